//! Validators that are killed and stopped at random, alone and together, under full load without a break.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use loadgen::outcome::LoadOutcome;
use loadgen::progress::Silent;
use loadgen::{LoadError, LoadPlan, Start};

use crate::recovery::{FULL_LOAD, with_checkpoints};
use crate::testbed::{Testbed, wait};

/// How many times `just storm` asks for.
const CYCLES: &str = "MILLRACE_STORM_CYCLES";
const CYCLES_IN_TESTS: u64 = 5;
/// Length of one load; the next one begins at once.
const LOAD_SECONDS: u64 = 20;

/// Chance from the operating system: no two storms are alike, and each says what it does.
struct Chance;

impl Chance {
    fn below(&self, end: u64) -> u64 {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        u64::from_le_bytes(random) % end
    }

    fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

fn signal(testbed: &Testbed, index: usize, signal: &str) {
    let pid = testbed.processes[index].as_ref().expect("it runs").pid().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// Offers load to all validators, one load after the other, until it is told to end.
fn offer(plan: impl Fn() -> LoadPlan, over: &AtomicBool, told: &Mutex<Vec<LoadOutcome>>) {
    while !over.load(Relaxed) {
        match loadgen::run(&plan(), &mut Silent) {
            Ok(outcome) => told.lock().unwrap().push(outcome),
            // Nobody was there to be asked where the accounts stand.
            Err(LoadError::Plan(words)) => panic!("{words}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// Full load on all validators without a break, while something is done to them.
pub struct LoadUnderFaults {
    told: Arc<Mutex<Vec<LoadOutcome>>>,
    over: Arc<AtomicBool>,
    load: JoinHandle<()>,
}

impl LoadUnderFaults {
    /// Begins with some load of which every account has an answer.
    pub fn begin(testbed: &Testbed) -> Self {
        let told = Arc::new(Mutex::new(vec![testbed.load(&[0, 1, 2, 3], 500.0, 1, Start::Fresh)]));
        let over = Arc::new(AtomicBool::new(false));
        let load = {
            let (told, over) = (Arc::clone(&told), Arc::clone(&over));
            let plan = testbed.plan(&[0, 1, 2, 3], FULL_LOAD, LOAD_SECONDS, Start::Resume);
            std::thread::spawn(move || offer(|| plan.clone(), &over, &told))
        };
        Self { told, over, load }
    }

    /// Each of these validators commits more than the network had when it was asked.
    pub fn expect_progress(&self, testbed: &Testbed, validators: &[usize], after: &str) {
        let goal = tip(testbed) + 3;
        for index in validators {
            let height = || Some(testbed.try_client(*index)?.welcome().as_of.height.0);
            wait(&format!("validator {index} goes on: {after}"), || height() > Some(goal));
        }
        eprintln!("goes on: {after}; height {}", tip(testbed));
    }

    /// Nobody has ended by itself, all come to the same, and what clients were told is there.
    pub fn end(self, mut testbed: Testbed) {
        self.over.store(true, Relaxed);
        self.load.join().unwrap();
        testbed.ready();
        testbed.settle();
        testbed.all_alive();
        testbed.stop_all();
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let applied: u64 = told.iter().map(|outcome| outcome.tally().applied()).sum();
        eprintln!("{applied} transactions were committed in {} loads", told.len());
        assert!(applied > 0);
        testbed.audit(&told.iter().filter(|outcome| outcome.tally().applied() > 0).collect::<Vec<_>>());
    }
}

/// Does something to some of the validators, and says what.
fn strike(testbed: &mut Testbed, chance: &Chance) -> String {
    let one = chance.below(4) as usize;
    let other = (one + 1 + chance.below(3) as usize) % 4;
    match chance.below(10) {
        // A pause of a process: all its time-outs pass at once, and its peers have gone on.
        0..=1 => {
            let pause = if chance.below(12) == 0 {
                chance.millis(10_000, 60_000)
            } else {
                chance.millis(1_000, 6_000)
            };
            signal(testbed, one, "-STOP");
            std::thread::sleep(pause);
            signal(testbed, one, "-CONT");
            format!("stops {one} for {pause:?}")
        }
        // Too few are left while one stands still and another one is dead.
        2 => {
            let pause = chance.millis(1_000, 4_000);
            signal(testbed, one, "-STOP");
            testbed.kill(other);
            std::thread::sleep(pause);
            signal(testbed, one, "-CONT");
            testbed.spawn(other);
            format!("stops {one} for {pause:?} and kills {other}")
        }
        3 => {
            (0..4).for_each(|index| testbed.kill(index));
            (0..4).for_each(|index| testbed.spawn(index));
            "kills all".to_owned()
        }
        4..=5 => {
            let away = chance.millis(0, 1_500);
            [one, other].into_iter().for_each(|index| testbed.kill(index));
            std::thread::sleep(away);
            [one, other].into_iter().for_each(|index| testbed.spawn(index));
            format!("kills {one} and {other} for {away:?}")
        }
        // Again before it has recovered.
        6 => {
            let soon = chance.millis(0, 800);
            testbed.kill(one);
            testbed.spawn(one);
            std::thread::sleep(soon);
            testbed.kill(one);
            testbed.spawn(one);
            format!("kills {one} twice, {soon:?} apart")
        }
        _ => {
            let away = chance.millis(0, 3_000);
            testbed.kill(one);
            std::thread::sleep(away);
            testbed.spawn(one);
            format!("kills {one} for {away:?}")
        }
    }
}

/// The highest height that anybody has committed.
fn tip(testbed: &Testbed) -> u64 {
    let height = |index| Some(testbed.try_client(index)?.welcome().as_of.height.0);
    (0..4).filter_map(height).max().unwrap_or(0)
}

#[test]
fn storms_of_kills_and_pauses_at_full_load_lose_nothing() {
    let cycles = std::env::var(CYCLES).map_or(CYCLES_IN_TESTS, |cycles| cycles.parse().expect("a number"));
    let mut testbed = with_checkpoints(4_000, 4_096);
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let (storm, chance) = (LoadUnderFaults::begin(&testbed), Chance);
    for cycle in 1..=cycles {
        std::thread::sleep(chance.millis(200, 1_500));
        let what = strike(&mut testbed, &chance);
        let before = tip(&testbed);
        wait(&format!("the network goes on after cycle {cycle}, which {what}"), || {
            tip(&testbed) > before + 3
        });
        testbed.all_alive();
        eprintln!("cycle {cycle} of {cycles}: {what}; height {}", tip(&testbed));
    }
    storm.end(testbed);
}
