//! Accepted only where both programs agree and nothing in the batch is wrong; else the CPU decides.

use super::super::double_check::judge;
use super::super::{
    CANARIES, Capacity, Claim, Disagreement, DoubleCheck, GpuError, Judged, Opinion, Program, Refused,
    Rejection, Settled,
};
use super::{PATIENCE, good, open};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SEED: [u8; 32] = [3; 32];

static SHARED: LazyLock<Option<Mutex<DoubleCheck>>> = LazyLock::new(|| {
    let device = open().filter(|device| device.info().has_int64)?;
    let capacity = Capacity { claims: 128, blocks: 512, flights: 2 };
    Some(Mutex::new(DoubleCheck::new(device, capacity).unwrap()))
});

fn shared() -> Option<MutexGuard<'static, DoubleCheck>> {
    let mut check = SHARED.as_ref().map(|check| check.lock().unwrap_or_else(PoisonError::into_inner))?;
    check.verifier().tamper = None;
    Some(check)
}

/// Good claims but for every fifth.
fn mixed() -> Vec<Claim> {
    let mut claims: Vec<Claim> = (0..60).map(|n| good(n, n as usize)).collect();
    claims.iter_mut().step_by(5).for_each(|claim| claim.signature[35] ^= 2);
    claims
}

fn opinions() -> Vec<Opinion> {
    (0..60).map(|n| if n % 5 == 0 { Opinion::Undecided } else { Opinion::Accepted }).collect()
}

/// Tampered with after the kernels; the words are those of 128 claims by one program and by the other.
fn tampered(check: &mut DoubleCheck, tamper: fn(&mut Vec<u32>)) -> Judged {
    check.verifier().tamper = Some(tamper);
    let pending = check.submit(mixed(), SEED).unwrap();
    check.take(pending, PATIENCE, 4, || [9; 32])
}

fn distrusted(judged: Judged) -> Disagreement {
    let Judged::Distrusted { why, claims } = judged else { panic!("not distrusted: {judged:?}") };
    assert_eq!(claims, mixed());
    why
}

#[test]
fn what_both_accept_is_accepted_and_the_rest_undecided() {
    let Some(mut check) = shared() else { return };
    for seed in 0..5 {
        let mut pending = check.submit(mixed(), [seed; 32]).unwrap();
        let judged = loop {
            match check.take(pending, Duration::ZERO, 4, || [seed; 32]) {
                Judged::Pending(again) => pending = again,
                judged => break judged,
            }
        };
        let Judged::Settled { claims, opinions: given } = judged else { panic!("settled: {judged:?}") };
        assert_eq!((claims, given), (mixed(), opinions()));
    }
}

#[test]
fn a_device_that_accepts_everything_is_found_by_its_canaries() {
    let Some(mut check) = shared() else { return };
    let why = distrusted(tampered(&mut check, |words| words.fill(2)));
    assert_eq!(why, Disagreement::Canary { program: Program::Wide });
    let why = distrusted(tampered(&mut check, |words| words[128..].fill(2)));
    assert_eq!(why, Disagreement::Canary { program: Program::Narrow });
}

#[test]
fn one_program_alone_accepts_nothing() {
    let Some(mut check) = shared() else { return };
    // Refuses everything, so no canary notices.
    let why = distrusted(tampered(&mut check, |words| words[128..].fill(1)));
    assert_eq!(why, Disagreement::Programs { entry: 1, accepted_by: Program::Wide });
    let why = distrusted(tampered(&mut check, |words| words[..128].fill(1)));
    assert_eq!(why, Disagreement::Programs { entry: 1, accepted_by: Program::Narrow });
    // Where both refuse everything nobody is blamed.
    let judged = tampered(&mut check, |words| words.fill(1));
    let Judged::Settled { opinions, .. } = judged else { panic!("settled: {judged:?}") };
    assert_eq!(opinions, [Opinion::Undecided; 60]);
}

#[test]
fn a_device_that_writes_nothing_fails() {
    let Some(mut check) = shared() else { return };
    let judged = tampered(&mut check, |words| words.fill(0));
    let Judged::Failed { error, claims } = judged else { panic!("it fails: {judged:?}") };
    assert!(matches!(error, GpuError::Output { word: 0, .. }), "{error}");
    assert_eq!(claims, mixed());
}

#[test]
fn what_both_programs_get_wrong_is_found_by_the_cpus_sample() {
    // All bad, and both programs accept all but the canary at the end.
    let mut claims = mixed();
    claims.iter_mut().for_each(|claim| claim.signature[40] ^= 1);
    claims.push(good(99, 9));
    let mut verdicts = vec![true; 61];
    verdicts[60] = false;
    let settled = Settled {
        claims,
        verdicts: Program::ALL.into_iter().map(|program| (program, verdicts.clone())).collect(),
        times: Vec::new(),
    };
    let judged = judge(settled.clone(), &[60], 1, || [1; 32]);
    assert!(matches!(judged, Judged::Distrusted { why: Disagreement::Cpu { .. }, .. }), "{judged:?}");
    // One bad entry of many: the more samples, the surer. Which are drawn follows from the seed alone.
    let found = |samples: usize| {
        let mut settled = settled.clone();
        settled.claims[..60].clone_from_slice(&(0..60).map(|n| good(n, 5)).collect::<Vec<_>>());
        settled.claims[7].signature[40] ^= 1;
        let caught = |seed: &u8| {
            matches!(judge(settled.clone(), &[60], samples, || [*seed; 32]), Judged::Distrusted { .. })
        };
        (0..32).filter(caught).count()
    };
    let (few, many) = (found(1), found(120));
    assert!(few < 8 && many > 20, "{few} and {many} of 32");
}

#[test]
fn no_sample_is_drawn_before_the_verdicts_or_of_what_is_refused() {
    let settled = Settled {
        claims: vec![good(1, 1), good(2, 2)],
        verdicts: Program::ALL.into_iter().map(|program| (program, vec![false; 2])).collect(),
        times: Vec::new(),
    };
    let judged = judge(settled, &[], 8, || panic!("there is nothing to draw from"));
    assert!(matches!(judged, Judged::Settled { .. }));
}

#[test]
fn canaries_are_never_seen_by_the_caller() {
    let Some(mut check) = shared() else { return };
    let claims_max = check.capacity().claims;
    assert_eq!(claims_max, 128 - CANARIES);
    let full = || vec![good(1, 1); claims_max];
    let pending = check.submit(full(), SEED).unwrap();
    assert_eq!(check.give_up(pending), full());
    let pending = check.submit(full(), SEED).unwrap();
    let judged = check.take(pending, PATIENCE, 1, || SEED);
    let Judged::Settled { opinions, .. } = judged else { panic!("settled: {judged:?}") };
    assert_eq!(opinions, vec![Opinion::Accepted; claims_max]);
    let mut more = full();
    more.push(good(2, 2));
    let Err(Rejection { reason: Refused::TooLarge { .. }, claims }) = check.submit(more.clone(), SEED) else {
        panic!("no room for the canaries")
    };
    assert_eq!(claims, more);
    // No claims, only canaries.
    let pending = check.submit(Vec::new(), SEED).unwrap();
    assert!(
        matches!(check.take(pending, PATIENCE, 1, || SEED), Judged::Settled { claims, .. } if claims.is_empty())
    );
}
