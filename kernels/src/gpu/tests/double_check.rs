//! Accepted only where the combination confirms it and nothing in the batch is wrong; else the CPU decides.

use super::super::combination::GROUP;
use super::super::double_check::judge;
use super::super::{
    CANARIES, Capacity, Claim, Disagreement, DoubleCheck, GpuError, Judged, Opinion, Program, Refused,
    Rejection, Settled, Taken,
};
use super::{PATIENCE, good, open};
use crate::ed25519::{groups, verify};
use curve25519_dalek::{EdwardsPoint, scalar::Scalar};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SEED: [u8; 32] = [3; 32];
/// y = 2, which no point has.
const NO_POINT: [u8; 32] = {
    let mut encoding = [0; 32];
    encoding[0] = 2;
    encoding
};

static SHARED: LazyLock<Option<Mutex<DoubleCheck>>> = LazyLock::new(|| {
    let device = open().filter(|device| device.info().has_int64)?;
    let capacity = Capacity { claims: 128, blocks: 512, flights: 2 };
    Some(Mutex::new(DoubleCheck::new(device, capacity).unwrap()))
});

fn shared() -> Option<MutexGuard<'static, DoubleCheck>> {
    let mut check = SHARED.as_ref().map(|check| check.lock().unwrap_or_else(PoisonError::into_inner))?;
    check.verifier().tamper = None;
    check.verifier().all_summed = false;
    Some(check)
}

/// In one test, which compiles the kernels once.
#[test]
fn a_double_check_accepts_what_is_confirmed_and_nothing_else() {
    what_is_confirmed_is_accepted_and_the_rest_undecided();
    a_device_that_accepts_everything_is_found_by_its_canaries();
    a_program_alone_accepts_nothing();
    sums_that_are_not_those_of_this_batch_confirm_nothing();
    a_forgery_that_the_program_accepts_spoils_the_sum_of_its_group();
    a_device_that_writes_nothing_fails();
    an_s_of_zero_is_for_the_cpu_to_decide();
    canaries_are_never_seen_by_the_caller();
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

/// Tampered with after the kernels; the words are those of 128 claims, then of the sums of four groups.
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

fn what_is_confirmed_is_accepted_and_the_rest_undecided() {
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

fn a_device_that_accepts_everything_is_found_by_its_canaries() {
    let Some(mut check) = shared() else { return };
    let why = distrusted(tampered(&mut check, |words| words[..128].fill(2)));
    assert_eq!(why, Disagreement::Canary { program: Program::Wide });
}

/// The group whose sum is not as it should be, with 64 entries of which four are canaries.
fn unconfirmed(judged: Judged) -> usize {
    let Disagreement::Combination { first, entries } = distrusted(judged) else { panic!("by its sum") };
    assert!((GROUP - CANARIES..=GROUP).contains(&entries), "{entries}");
    usize::from(first > 0)
}

fn a_program_alone_accepts_nothing() {
    let Some(mut check) = shared() else { return };
    // Accepts what the device has not summed up; canaries are refused still.
    let accepts_more = |words: &mut Vec<u32>| {
        let refused: Vec<usize> = (0..64).filter(|at| words[*at] == 1).collect();
        words[refused[refused.len() - 1]] = 2;
        words[refused[0]] = 2;
    };
    // Those at both ends may be canaries, which is found as well.
    assert!(matches!(
        distrusted(tampered(&mut check, accepts_more)),
        Disagreement::Combination { .. } | Disagreement::Canary { .. }
    ));
    // Refuses what was summed up.
    assert_eq!(unconfirmed(tampered(&mut check, |words| words[..32].fill(1))), 0);
    assert_eq!(unconfirmed(tampered(&mut check, |words| words[32..64].fill(1))), 1);
}

fn sums_that_are_not_those_of_this_batch_confirm_nothing() {
    let Some(mut check) = shared() else { return };
    let identity: fn(&mut Vec<u32>) = |words| {
        words[128..].fill(0);
        words[128] = 1;
        words[136] = 1;
    };
    let base = |words: &mut Vec<u32>| {
        let encoded = EdwardsPoint::mul_base(&Scalar::ONE).compress().to_bytes();
        for (word, bytes) in words[136..].iter_mut().zip(encoded.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
    };
    // The identity, nothing at all, one point wherever it came from, a wrong bit, and no point.
    assert_eq!(unconfirmed(tampered(&mut check, identity)), 0);
    assert_eq!(unconfirmed(tampered(&mut check, |words| words[128..].fill(0))), 0);
    assert_eq!(unconfirmed(tampered(&mut check, base)), 1);
    assert_eq!(unconfirmed(tampered(&mut check, |words| words[128] ^= 1)), 0);
    assert_eq!(unconfirmed(tampered(&mut check, |words| words[143] ^= 1 << 31)), 1);
    assert_eq!(unconfirmed(tampered(&mut check, |words| words[136..144].fill(u32::MAX))), 1);
    // Sums that another seed's coefficients gave: what an earlier batch left.
    static EARLIER: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    let judged = tampered(&mut check, |words| EARLIER.lock().unwrap().clone_from(words));
    assert!(matches!(judged, Judged::Settled { .. }));
    check.verifier().tamper = Some(|words| words[128..].copy_from_slice(&EARLIER.lock().unwrap()[128..]));
    let pending = check.submit(mixed(), [4; 32]).unwrap();
    assert_eq!(unconfirmed(check.take(pending, PATIENCE, 4, || [9; 32])), 0);
}

fn a_forgery_that_the_program_accepts_spoils_the_sum_of_its_group() {
    let Some(mut check) = shared() else { return };
    // By every way to be bad, each alone among good ones: what wide would say is overruled, on the device and after.
    let bad: [fn(&mut Claim); 6] = [
        |claim| claim.message[0] ^= 1,
        |claim| claim.signature[40] ^= 1,
        |claim| claim.key = good(999, 1).key,
        // An R and a key that encode no point.
        |claim| claim.signature[..32].copy_from_slice(&NO_POINT),
        |claim| claim.key = NO_POINT,
        // s = 0, for which the identity would do if there were no check values.
        |claim| claim.signature[32..].fill(0),
    ];
    for spoil in bad {
        let mut claims: Vec<Claim> = (0..60).map(|n| good(n, 20)).collect();
        spoil(&mut claims[59]);
        check.verifier().all_summed = true;
        let (batch, coefficients) = (claims.clone(), groups::coefficients([7; 32], 60 + 2));
        let ticket = check.verifier().submit_weighted(batch, &coefficients).unwrap();
        let taken = check.verifier().take(ticket, PATIENCE);
        let Taken::Settled(mut settled) = taken else { panic!("settled: {taken:?}") };
        assert_eq!(settled.verdicts[0].1.iter().filter(|good| !**good).count(), 1);
        settled.verdicts[0].1.fill(true);
        let judged = judge(settled, &[], &coefficients, 0, || [1; 32]);
        let Judged::Distrusted { why, .. } = judged else { panic!("not distrusted: {judged:?}") };
        assert_eq!(why, Disagreement::Combination { first: 32, entries: 28 });
    }
}

fn a_device_that_writes_nothing_fails() {
    let Some(mut check) = shared() else { return };
    let judged = tampered(&mut check, |words| words.fill(0));
    let Judged::Failed { error, claims } = judged else { panic!("it fails: {judged:?}") };
    assert!(matches!(error, GpuError::Output { word: 0, .. }), "{error}");
    assert_eq!(claims, mixed());
}

/// As if the device had summed up right what it accepts: the points that the CPU expects.
fn confirmed(claims: Vec<Claim>, verdicts: Vec<bool>, coefficients: &[u128]) -> Settled {
    let (zs, checks) = coefficients.split_at(claims.len());
    let sum = |(group, check): (usize, &u128)| {
        let range = group * GROUP..claims.len().min((group + 1) * GROUP);
        let entries = range.filter(|at| verdicts[*at]).map(|at| (zs[at], &claims[at].signature));
        let words = groups::multiple(entries, *check).unwrap();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let multiple = Scalar::from_canonical_bytes(bytes.try_into().unwrap()).unwrap();
        EdwardsPoint::mul_base(&multiple).compress().to_bytes()
    };
    let sums = checks.iter().enumerate().map(sum).collect();
    Settled { claims, verdicts: vec![(Program::Wide, verdicts)], sums, times: Vec::new() }
}

#[test]
fn what_both_ways_get_wrong_is_found_by_the_cpus_sample() {
    // All bad, and both ways accept all but the canary at the end.
    let mut claims = mixed();
    claims.iter_mut().for_each(|claim| claim.signature[40] ^= 1);
    claims.push(good(99, 9));
    let mut verdicts = vec![true; 61];
    verdicts[60] = false;
    let coefficients = groups::coefficients([5; 32], 63);
    let settled = confirmed(claims, verdicts, &coefficients);
    let judged = judge(settled.clone(), &[60], &coefficients, 1, || [1; 32]);
    assert!(matches!(judged, Judged::Distrusted { why: Disagreement::Cpu { .. }, .. }), "{judged:?}");
    // One bad entry of many: the more samples, the surer. Which are drawn follows from the seed alone.
    let mut claims = settled.claims;
    claims[..60].clone_from_slice(&(0..60).map(|n| good(n, 5)).collect::<Vec<_>>());
    claims[7].signature[40] ^= 1;
    let settled = confirmed(claims, settled.verdicts[0].1.clone(), &coefficients);
    let found = |samples: usize| {
        let caught = |seed: &u8| {
            let judged = judge(settled.clone(), &[60], &coefficients, samples, || [*seed; 32]);
            matches!(judged, Judged::Distrusted { .. })
        };
        (0..32).filter(caught).count()
    };
    let (few, many) = (found(1), found(120));
    assert!(few < 8 && many > 20, "{few} and {many} of 32");
}

#[test]
fn no_sample_is_drawn_before_the_verdicts_or_of_what_is_refused() {
    let coefficients = groups::coefficients([5; 32], 3);
    let settled = confirmed(vec![good(1, 1), good(2, 2)], vec![false; 2], &coefficients);
    let judged = judge(settled, &[], &coefficients, 8, || panic!("there is nothing to draw from"));
    assert!(matches!(judged, Judged::Settled { .. }));
}

fn an_s_of_zero_is_for_the_cpu_to_decide() {
    let Some(mut check) = shared() else { return };
    // The identity as key and as R: good for every message.
    let mut claims = mixed();
    claims[1].key = std::array::from_fn(|i| u8::from(i == 0));
    claims[1].signature = std::array::from_fn(|i| u8::from(i == 0));
    assert!(verify(&claims[1].key, &claims[1].message, &claims[1].signature));
    let pending = check.submit(claims, SEED).unwrap();
    let judged = check.take(pending, PATIENCE, 4, || SEED);
    let Judged::Settled { opinions: given, .. } = judged else { panic!("settled: {judged:?}") };
    let mut expected = opinions();
    expected[1] = Opinion::Undecided;
    assert_eq!(given, expected);
}

#[test]
fn an_s_that_is_not_below_l_is_confirmed_by_no_sum() {
    let coefficients = groups::coefficients([5; 32], 3);
    let mut settled = confirmed(vec![good(1, 1), good(2, 2)], vec![true; 2], &coefficients);
    // s + L, the same number modulo L.
    let mut over = 0;
    let order = (-Scalar::ONE).to_bytes();
    for (i, (s, l)) in settled.claims[1].signature[32..].iter_mut().zip(order).enumerate() {
        over += u16::from(*s) + u16::from(l) + u16::from(i == 0);
        *s = over as u8;
        over >>= 8;
    }
    let judged = judge(settled, &[], &coefficients, 0, || [1; 32]);
    let Judged::Distrusted { why, .. } = judged else { panic!("not distrusted: {judged:?}") };
    assert_eq!(why, Disagreement::Combination { first: 0, entries: 2 });
}

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
