//! How long clients wait while somebody attacks. By itself this only sees that they are served at all; `just attacks`
//! measures longer and prints the times, with and without each attack.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::byzantine::{Byzantine, batch};
use crate::testbed::{CHAIN, Testbed};
use client::ClientError;
use engine::types::{ChainId, Head, TransactionId, ValidatorIndex};
use loadgen::outcome::Latency;
use loadgen::progress::Silent;
use loadgen::{LoadPlan, Start};
use net::{BlockingConnection, ConnectOptions};
use node::network::{ChainDraft, InitOptions};

/// Seconds of each measurement.
const SECONDS: &str = "MILLRACE_ATTACK_SECONDS";
/// Transactions a second of all honest clients together.
const RATE: f64 = 500.0;
/// Signatures in a frame of the bad client, and how often it sends one: 200 a second.
const BAD_SIGNATURES: u64 = 10;
const BAD_EVERY: Duration = Duration::from_millis(50);
/// Transactions a second that are about three times what four validators take on two cores.
const FLOOD: f64 = 60_000.0;
/// The chain that is not flooded.
const OTHER: ChainId = ChainId(2);
/// Connections that never say anything.
const IDLE: usize = 200;

/// A client of validator 0 whose signatures are all bad. When it is disconnected it comes back.
fn bad_signatures(testbed: &Testbed, stop: &AtomicBool) {
    let mut client = None;
    for nonce in 0.. {
        if stop.load(Relaxed) {
            return;
        }
        let spoiled = |debit| {
            let mut packet = testbed.transfer(debit, nonce);
            packet.0[127] ^= 1;
            packet
        };
        let packets: Vec<_> = (0..BAD_SIGNATURES).map(spoiled).collect();
        client = client.or_else(|| testbed.try_client(0));
        if client.as_mut().is_some_and(|client| client.submit(&packets).is_err()) {
            client = None;
        }
        std::thread::sleep(BAD_EVERY);
    }
}

/// Four clients that ask validator 0 for transactions that nobody knows, as fast as they are answered.
fn queries(testbed: &Testbed, stop: &AtomicBool) {
    std::thread::scope(|scope| {
        for seed in 0..4_u8 {
            scope.spawn(move || {
                let mut client = None;
                for at in 0_u64.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let mut id = [seed; 32];
                    id[..8].copy_from_slice(&at.to_le_bytes());
                    client = client.or_else(|| testbed.try_client(0));
                    let asked = client.as_mut().map(|client| client.transaction(None, &TransactionId(id)));
                    // Anything but an answer has cost the connection.
                    let answer = |error: &ClientError| {
                        matches!(error, ClientError::NotFound { .. } | ClientError::Unavailable { .. })
                    };
                    if !matches!(asked, Some(Err(error)) if answer(&error)) {
                        client = None;
                    }
                }
            });
        }
    });
}

/// Connections to validator 0 that never say hello.
fn idle(testbed: &Testbed, stop: &AtomicBool) {
    let member = &testbed.network.members[0];
    let connect =
        || BlockingConnection::connect(&member.clients, member.fingerprint, ConnectOptions::default()).ok();
    let mut connections = Vec::new();
    while !stop.load(Relaxed) {
        if connections.len() < IDLE {
            connections.extend(connect());
        } else {
            std::thread::sleep(BAD_EVERY);
        }
    }
}

/// The member in place of validator 3 sends everybody batches in another's name, as many as there is room for.
fn unwanted_batches(testbed: &Testbed, stop: &AtomicBool) {
    let byzantine = Byzantine::in_place_of(testbed);
    for nonce in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let packets: Vec<_> = (0..64).map(|debit| testbed.transfer(debit, nonce)).collect();
        let sealed = byzantine.seal(ValidatorIndex(1), &Head::NONE, CHAIN, &packets);
        for _ in 0..64 {
            byzantine.flood(&batch(&sealed));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    byzantine.network.shutdown(Duration::ZERO);
}

/// Clients of one chain that offer much more than the network takes, on all validators.
fn flood(testbed: &Testbed, stop: &AtomicBool, rate: f64) {
    while !stop.load(Relaxed) {
        let plan = testbed.plan(&[0, 1, 2, 3], rate, 1, Start::Resume);
        // What it is refused is not offered again: it has more than enough.
        let plan = LoadPlan { busy_retry: None, timeout: Duration::from_secs(2), ..plan };
        let _refused = loadgen::run(&plan, &mut Silent);
    }
}

/// What clients of a chain wait that offers little, through all validators.
fn wait_of_chain(testbed: &Testbed, chain: ChainId, rate: f64, seconds: u64) -> Latency {
    let plan = testbed.plan(&[0, 1, 2, 3], rate, seconds, Start::Resume);
    let plan = LoadPlan { chains: vec![testbed.chain_load(chain)], ..plan };
    let outcome = loadgen::run(&plan, &mut Silent).unwrap();
    assert!(outcome.tally().applied() > 0 && outcome.tally().timed_out == 0, "{:?}", outcome.tally());
    outcome.latency()
}

/// What honest clients of the first three validators wait.
fn wait_of_others(testbed: &Testbed, seconds: u64) -> Latency {
    let outcome = testbed.load(&[0, 1, 2], RATE, seconds, Start::Resume);
    assert!(outcome.tally().applied() > 0 && outcome.tally().timed_out == 0, "{:?}", outcome.tally());
    outcome.latency()
}

fn under(testbed: &Testbed, seconds: u64, name: &str, attack: impl FnOnce(&Testbed, &AtomicBool) + Send) {
    let before = wait_of_others(testbed, seconds);
    compare(testbed, name, before, attack, || wait_of_others(testbed, seconds));
}

/// Prints what somebody waited before an attack and waits during it.
fn compare(
    testbed: &Testbed,
    name: &str,
    before: Latency,
    attack: impl FnOnce(&Testbed, &AtomicBool) + Send,
    measure: impl FnOnce() -> Latency,
) {
    let stop = AtomicBool::new(false);
    let during = std::thread::scope(|scope| {
        scope.spawn(|| attack(testbed, &stop));
        std::thread::sleep(Duration::from_secs(1));
        let during = std::panic::catch_unwind(std::panic::AssertUnwindSafe(measure));
        stop.store(true, Relaxed);
        during
    });
    let during = during.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let ms = |us: u64| us as f64 / 1e3;
    eprintln!(
        "{name:<18} p50 {:>7.1} -> {:>7.1} ms   p99 {:>7.1} -> {:>7.1} ms",
        ms(before.p50),
        ms(during.p50),
        ms(before.p99),
        ms(during.p99)
    );
}

/// C19. Before: the other chain's clients offer most of what there is, too, but no more than the network takes.
#[test]
fn a_chain_is_served_while_another_one_is_flooded() {
    let measured = std::env::var(SECONDS).ok();
    let seconds = measured.as_ref().map_or(1, |seconds| seconds.parse().expect("a number of seconds"));
    let flooding = if measured.is_some() { FLOOD } else { RATE };
    let chains = ChainDraft::alike(2, 4_000, 1_000_000);
    let mut testbed = Testbed::with(&InitOptions { validators: 4, chains, ..InitOptions::default() });
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let little = RATE / 2.0;
    let stop = AtomicBool::new(false);
    let before = std::thread::scope(|scope| {
        scope.spawn(|| flood(&testbed, &stop, flooding / 4.0));
        let before = wait_of_chain(&testbed, OTHER, little, seconds);
        stop.store(true, Relaxed);
        before
    });
    compare(
        &testbed,
        "another chain",
        before,
        |testbed, stop| flood(testbed, stop, flooding),
        || wait_of_chain(&testbed, OTHER, little, seconds),
    );
    testbed.all_alive();
}

#[test]
fn others_are_served_while_somebody_attacks() {
    let seconds = std::env::var(SECONDS).map_or(1, |seconds| seconds.parse().expect("a number of seconds"));
    let mut testbed = Testbed::up(4, 400);
    testbed.load(&[0, 1, 2], RATE, 1, Start::Fresh);
    under(&testbed, seconds, "bad signatures", bad_signatures);
    under(&testbed, seconds, "queries", queries);
    under(&testbed, seconds, "idle connections", idle);
    testbed.all_alive();
    testbed.kill(3);
    under(&testbed, seconds, "unwanted batches", unwanted_batches);
    testbed.all_alive();
}
