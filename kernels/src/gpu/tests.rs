//! Tests need a Vulkan device; Mesa's software driver is one. Without any they are skipped and say why, unless
//! `MILLRACE_REQUIRE_GPU=1` makes that a failure.

use super::*;
use crate::ed25519::{SigningKey, groups, verify};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod checks;
mod double_check;
mod flights;
mod laws;

/// Longer than anything takes on a loaded machine, so that only a device that hangs fails a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Small, so that batches are cut.
pub(super) const CAPACITY: Capacity = Capacity { claims: 1024, blocks: 4096, flights: 2 };

/// Opens the device, or says why the test is skipped.
pub(super) fn open() -> Option<Device> {
    let required = std::env::var_os("MILLRACE_REQUIRE_GPU").is_some_and(|value| value == "1");
    match Device::open() {
        Ok(device) => Some(device),
        Err(error) if required => panic!("MILLRACE_REQUIRE_GPU=1: {error}"),
        Err(error) => {
            // Not captured, so that it is seen although the test passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {error}");
            None
        }
    }
}

/// The programs that the device has.
fn programs(device: &Device) -> Vec<Program> {
    let runs = |program: &Program| device.info().has_int64 || *program != Program::Wide;
    Program::ALL.into_iter().filter(runs).collect()
}

static SHARED: LazyLock<Option<Mutex<Verifier>>> = LazyLock::new(|| {
    let device = open()?;
    let programs = programs(&device);
    let mut verifier = Verifier::build(device, &programs, Some(1), CAPACITY).unwrap();
    verifier.all_summed = true;
    Some(Mutex::new(verifier))
});

/// The verifier that all tests share: compiling takes seconds.
pub(crate) fn shared() -> Option<MutexGuard<'static, Verifier>> {
    // A test that failed while it held the lock has said so.
    SHARED.as_ref().map(|verifier| verifier.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Every program gives these verdicts, and so does a combination of each claim alone.
pub(crate) fn agree(claims: Vec<Claim>, expected: &[bool]) {
    let Some(mut verifier) = shared() else { return };
    let mut expected = expected.iter();
    for batch in CAPACITY.split(claims) {
        let expected: Vec<bool> = expected.by_ref().take(batch.len()).copied().collect();
        let coefficients = groups::coefficients([batch.len() as u8; 32], 2 * batch.len());
        let ticket = verifier.submit_weighted(batch, &coefficients).unwrap();
        let taken = verifier.take(ticket, PATIENCE);
        let Taken::Settled(settled) = taken else { panic!("not settled: {taken:?}") };
        for (program, verdicts) in &settled.verdicts {
            assert_eq!(*verdicts, expected, "the program {}", program.name());
        }
        let (zs, checks) = coefficients.split_at(settled.claims.len());
        for (i, claim) in settled.claims.iter().enumerate() {
            let multiple = groups::multiple([(zs[i], &claim.signature)], checks[i]);
            let holds = multiple.is_some_and(|multiple| groups::sums_hold(&settled.sums[i..=i], &[multiple]));
            assert_eq!(holds, expected[i], "the combination, claim {i}: {claim:?}");
        }
    }
    assert!(expected.next().is_none());
}

/// A good signature over a message of that length.
pub(super) fn good(n: u64, length: usize) -> Claim {
    let mut seed = [0x77; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    let (key, message) = (SigningKey::from_seed(seed), vec![n as u8; length]);
    Claim { key: key.public_key(), signature: key.sign(&message), message }
}

/// What takes the verifier that is shared, in one test: a process that compiles all kernels does so for some seconds,
/// and tests may be processes of their own.
#[test]
fn the_programs_and_the_combination_judge_as_the_cpu() {
    messages_of_every_length_around_a_block_are_hashed_right();
    batches_are_cut_and_keys_change_places();
    the_empty_batch_is_settled();
    bytes_of_no_meaning_are_judged_as_by_the_cpu();
    what_the_device_is_stands_in_one_line();
    flights::several_are_taken_in_any_order_and_no_more_than_that();
    flights::a_batch_above_the_capacity_is_refused_and_split();
    crate::ed25519::tests::ask_a_gpu_too();
    crate::check::tests::the_programs_of_a_device_are_paths_too();
}

fn messages_of_every_length_around_a_block_are_hashed_right() {
    let mut claims: Vec<Claim> =
        (0..200).chain([303, 304, 431, 432, 5000]).map(|n| good(n as u64 % 9, n)).collect();
    let mut expected = vec![true; claims.len()];
    for (i, claim) in claims.iter_mut().enumerate().filter(|(i, _)| i % 3 == 1) {
        claim.message.push(0);
        expected[i] = false;
    }
    agree(claims, &expected);
}

fn batches_are_cut_and_keys_change_places() {
    // Three times as many keys as have tables on the device, each twice, and a bad one now and then.
    let keys = 3 * CAPACITY.claims / 2;
    let mut claims: Vec<Claim> = (0..2 * keys as u64).map(|n| good(n % keys as u64, 32)).collect();
    for claim in claims.iter_mut().step_by(97) {
        claim.signature[40] ^= 1;
    }
    let expected: Vec<bool> = (0..claims.len()).map(|i| i % 97 != 0).collect();
    agree(claims, &expected);
}

fn the_empty_batch_is_settled() {
    agree(Vec::new(), &[]);
    let Some(mut verifier) = shared() else { return };
    let ticket = verifier.submit(Vec::new()).unwrap();
    let Taken::Settled(settled) = verifier.take(ticket, PATIENCE) else { panic!("it is settled") };
    // A device that has a clock times all kernels, also those that have nothing to do.
    assert!(settled.times.is_empty() || settled.times.len() == settled.verdicts.len());
    assert!(settled.claims.is_empty() && settled.verdicts.iter().all(|(_, verdicts)| verdicts.is_empty()));
}

fn bytes_of_no_meaning_are_judged_as_by_the_cpu() {
    let mut state = 5;
    let mut bytes =
        |n: usize| -> Vec<u8> { (0..n).map(|_| crate::ed25519::laws::next(&mut state) as u8).collect() };
    let mut claims = Vec::new();
    for n in 0..300 {
        let mut claim = good(n, n as usize);
        match n % 5 {
            0 => claim.key = bytes(32).try_into().unwrap(),
            1 => claim.signature = bytes(64).try_into().unwrap(),
            2 => claim.signature[..32].copy_from_slice(&bytes(32)),
            3 => claim.signature[32..].copy_from_slice(&bytes(32)),
            _ => {}
        }
        claims.push(claim);
    }
    let expected: Vec<bool> =
        claims.iter().map(|claim| verify(&claim.key, &claim.message, &claim.signature)).collect();
    assert!(expected.contains(&true) && expected.contains(&false));
    agree(claims, &expected);
}

fn what_the_device_is_stands_in_one_line() {
    let Some(verifier) = shared() else { return };
    let line = verifier.info().to_string();
    assert!(
        line.contains(&verifier.info().name) && line.contains("driver") && !line.contains('\n'),
        "{line}"
    );
}
