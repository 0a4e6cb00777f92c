//! Tests of the whole log: on real files with both backends, on a simulated disk that crashes, lies and rots, and
//! ([`suite`]) what each fault of a disk comes to on all three.

mod crash;
mod faults;
mod files;
mod repairs;
mod rig;
mod rot;
mod simulated;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use super::simulated::{Fate, Faults, SimulatedDisk, SimulatedLog};
use super::*;

const OWNER: Owner = Owner { network: [0x5a; 32], validator: [0x77; 32], log: LogKind::Journal };

/// Small enough that a few records cross groups and segments.
fn small() -> Options {
    Options {
        segment_bytes: 8 * 4096,
        group_bytes: 3 * 4096,
        mark_after: Duration::from_millis(5),
        ..Options::new(OWNER)
    }
}

/// A record's bytes, different for every number.
fn content(number: u64, length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|index| (index.wrapping_mul(31) ^ number.wrapping_mul(0x9e37_79b9) >> 7) as u8)
        .collect()
}

/// Lengths that hit every layout: empty, a whole payload, a header alone at a sector's end, several sectors.
fn length(number: u64) -> usize {
    const LENGTHS: [usize; 12] = [0, 1, 100, 4048, 4047, 4040, 4049, 9000, 12_000, 500, 8104, 3];
    LENGTHS[(number % LENGTHS.len() as u64) as usize]
}
