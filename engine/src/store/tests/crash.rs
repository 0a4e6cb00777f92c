//! Power cuts at every boundary between two operations, with every subset of the unsynced sectors.

use super::rig::{Chance, Life, judge, recovered};
use super::*;

/// A life that appends, releases and rests by chance.
fn live(
    disk: &SimulatedDisk,
    incarnation: u32,
    (history, released): (&[(u64, Position)], u64),
    lying: bool,
    chance: &mut Chance,
    records: u64,
) -> Life {
    let faults = Faults { reordering: chance.below(2) == 1, lying, ..Faults::default() };
    let (mut rig, replayed) = recovered(disk, &small(), faults).unwrap();
    assert!(replayed.len() <= history.len());
    rig.resume(history.to_vec(), released);
    for number in 0..records {
        // Numbers of different lives differ, so that a record of another life cannot pass for one of this.
        rig.append(u64::from(incarnation) * 1000 + number).unwrap();
        for _ in 0..chance.below(4) {
            rig.turn();
        }
        if chance.below(6) == 0 {
            let durable = history.len() as u64 + number / 2;
            rig.release(durable.saturating_sub(chance.below(8)));
        }
    }
    if chance.below(2) == 0 {
        rig.settle();
    }
    rig.end()
}

/// Cuts a life behind `operations`, recovers and judges.
fn cut(
    life: &Life,
    operations: usize,
    fate: impl FnMut() -> Fate,
) -> Result<(SimulatedDisk, u64, u64), String> {
    let disk = life.cut(operations, fate);
    let (_, records) = recovered(&disk, &small(), Faults::default()).map_err(|error| error.to_string())?;
    let (first, end) =
        judge(&records, &life.history, life.acknowledged_after(operations), life.released_after(operations))?;
    Ok((disk, first, end))
}

/// All subsets of the unsynced sectors at all operation boundaries. Returns how many crashes were survived.
fn enumerate(seed: u64, lying: bool) -> Result<u64, String> {
    let mut chance = Chance::new(seed);
    let life = live(&SimulatedDisk::new(), 1, (&[], 0), lying, &mut chance, 16);
    let mut crashes = 0;
    for operations in 0..=life.moments.len() {
        let unsynced = operations.checked_sub(1).map_or(0, |last| life.moments[last].unsynced());
        let sectors = unsynced.min(6) as u32;
        for subset in 0..1u64 << sectors {
            let mut index = 0;
            let fate = || {
                index += 1;
                if subset >> ((index - 1) % 64) & 1 == 1 { Fate::Kept } else { Fate::Lost }
            };
            cut(&life, operations, fate).map_err(|error| {
                format!("seed {seed}, after {operations} operations, subset {subset:b}: {error}")
            })?;
            crashes += 1;
        }
    }
    Ok(crashes)
}

#[test]
fn every_subset_of_unsynced_sectors_at_every_boundary() {
    let crashes: u64 = (0..64).map(|seed| enumerate(seed, false).unwrap()).sum();
    assert!(crashes > 8_000, "only {crashes} crashes were tried");
}

#[test]
fn a_lying_sync_is_found_out() {
    // The control: were syncs to do nothing, the enumeration would say so.
    assert!(enumerate(0, true).is_err());
}

/// Several lives, each cut short somewhere, with sectors kept, lost or torn by chance.
fn lives(seed: u64) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let (mut disk, mut history, mut released) = (SimulatedDisk::new(), Vec::new(), 0);
    for incarnation in 1..=6 {
        let records = 1 + chance.below(20);
        let life = live(&disk, incarnation, (&history, released), false, &mut chance, records);
        let operations = chance.below(life.moments.len() as u64 + 1) as usize;
        let fate = || match chance.below(3) {
            0 => Fate::Kept,
            1 => Fate::Lost,
            _ => Fate::Torn(512 * chance.below(8) as usize),
        };
        let (after, first, end) = cut(&life, operations, fate)
            .map_err(|error| format!("seed {seed}, life {incarnation}: {error}"))?;
        disk = after;
        history = life.history[..end as usize].to_vec();
        released = released.max(first);
    }
    Ok(())
}

#[test]
fn many_lives_and_deaths_lose_nothing_and_revive_nothing() {
    // The last seed releases a record that is not durable yet, and loses it.
    for seed in (0..400).chain([15_536_081_271_723_652_876]) {
        lives(seed).unwrap();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]
    #[test]
    fn any_seed_survives(seed: u64) {
        lives(seed).unwrap();
    }
}
