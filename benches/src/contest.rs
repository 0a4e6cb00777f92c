//! Contestants in turns.

use std::{collections::BTreeMap, time::Duration};

/// Someone who can do the operation: a name and a closure that does it for `items` items and panics on a wrong answer.
pub struct Contestant<'a> {
    /// Backend or library.
    pub name: String,
    /// Whether it is one of our backends.
    pub ours: bool,
    /// Does the work once.
    pub work: Box<dyn FnMut() + 'a>,
}

impl<'a> Contestant<'a> {
    /// One of our backends.
    pub fn ours(name: impl Into<String>, work: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), ours: true, work: Box::new(work) }
    }

    /// A reference library.
    pub fn rival(name: impl Into<String>, work: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), ours: false, work: Box::new(work) }
    }
}

/// One operation's result: nanoseconds per item of each contestant.
#[derive(Debug)]
pub struct Outcome {
    /// Such as `ed25519.batch.256`.
    pub op: String,
    /// Our backends.
    pub ours: BTreeMap<String, f64>,
    /// The libraries.
    pub rivals: BTreeMap<String, f64>,
}

/// Runs the contestants in turns for `rounds` rounds; a turn repeats the work until `turn` has passed.
pub fn run(
    op: &str,
    items: usize,
    rounds: usize,
    turn: Duration,
    mut contestants: Vec<Contestant<'_>>,
) -> Outcome {
    let mut samples = vec![Vec::new(); contestants.len()];
    for contestant in &mut contestants {
        (contestant.work)();
    }
    for _ in 0..rounds {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            let start = thread_time();
            let mut times = 0u32;
            let spent = loop {
                (contestant.work)();
                times += 1;
                let spent = thread_time() - start;
                if spent >= turn {
                    break spent;
                }
            };
            samples.push(spent.as_nanos() as f64 / f64::from(times) / items as f64);
        }
    }
    let mut outcome = Outcome { op: op.to_owned(), ours: BTreeMap::new(), rivals: BTreeMap::new() };
    for (contestant, mut samples) in contestants.into_iter().zip(samples) {
        samples.sort_by(f64::total_cmp);
        let side = if contestant.ours { &mut outcome.ours } else { &mut outcome.rivals };
        side.insert(contestant.name, samples[samples.len() / 2]);
    }
    outcome
}

/// CPU time of this thread: on a machine that others use too, waiting for a core must not count.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "every Linux has a clock for the thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps this thread on one core. Returns whether the system agreed.
pub fn pin(core: usize) -> bool {
    // SAFETY: an all-zero set is a valid empty set, and the calls only write to and read from it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
    }
}
