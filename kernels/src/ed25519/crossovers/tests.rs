use super::*;
use crate::ed25519::{Company, Group, verify_groups_on};
use std::cell::Cell;

/// A clock on which every look takes a microsecond: nothing seems to take longer than anything else.
fn even() -> impl FnMut() -> Duration {
    let looks = Cell::new(0);
    move || {
        looks.set(looks.get() + 1);
        Duration::from_micros(looks.get())
    }
}

#[test]
fn what_is_measured_is_within_its_bounds_on_every_backend_and_by_every_clock() {
    let mut micros: u64 = 1;
    for backend in Backend::all().into_iter().cycle().take(9) {
        // A clock that jumps ahead as it likes.
        let found = Crossovers::measure(backend, || {
            micros += micros.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
            Duration::from_micros(micros)
        });
        assert!(found.lanes >= Crossovers::LEAST.lanes, "{backend}: {found:?}");
        let combination = Crossovers::LEAST.combination..=Crossovers::COMBINATION_MOST;
        assert!(combination.contains(&found.combination), "{backend}: {found:?}");
    }
}

#[test]
fn where_nothing_is_faster_the_plain_way_is_taken() {
    let found = Crossovers::measure(Backend::best(), even());
    assert_eq!(found, Crossovers { lanes: usize::MAX, combination: Crossovers::COMBINATION_MOST });
}

#[test]
fn no_verdict_depends_on_them() {
    let key = SigningKey::from_seed([3; 32]);
    let signed: Vec<_> = (0..60u8).map(|number| ([number; 40], key.sign(&[number; 40]))).collect();
    let public = key.public_key();
    let bad = |number: usize| number % 17 == 5;
    let entries: Vec<_> = signed
        .iter()
        .enumerate()
        .map(|(number, (message, signature))| Entry {
            key: &public,
            message: if bad(number) { &message[1..] } else { &message[..] },
            signature,
        })
        .collect();
    let items: Vec<_> = entries.iter().map(Item::from).collect();
    let expected: Vec<bool> = (0..60).map(|number| !bad(number)).collect();
    for backend in Backend::all() {
        for (lanes, combination) in [(1, 1), (1, 1000), (usize::MAX, 16), (usize::MAX, 1000), (5, 40)] {
            let backend = backend.with(Crossovers { lanes, combination });
            let mut verdicts = vec![false; items.len()];
            let groups = [Group { entries: items.len(), company: Company::Shared }];
            verify_groups_on(backend, &items, &groups, [9; 32], &mut verdicts);
            assert_eq!(verdicts, expected, "{backend} with {lanes} and {combination}");
        }
    }
}
