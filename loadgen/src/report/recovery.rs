//! How long a fault is felt, from the rows of each second.

use crate::session::SecondRow;

/// Seconds before the first fault that say what is usual, at most and at least.
const BEFORE_MAX: usize = 10;
const BEFORE_MIN: usize = 3;
/// So many seconds in a row must be as usual.
const STEADY: usize = 3;
/// At least this share of the usual commits.
const COMMITTED_MIN: f64 = 0.9;
/// The p99 may be so many times the usual one, and this much longer in any case.
const P99_TIMES: u64 = 2;
const P99_MORE_US: u64 = 100_000;

/// Seconds from a fault until the commits and the p99 are as usual for three seconds in a row; 0 if they have never
/// been otherwise. `None` if that is not seen before the window ends, or if fewer than three seconds passed before the
/// first fault.
pub fn recovered_after(rows: &[SecondRow], first_fault: u64, fault: u64) -> Option<u64> {
    let (first_fault, fault) = (usize::try_from(first_fault).ok()?, usize::try_from(fault).ok()?);
    let before = rows.get(first_fault.saturating_sub(BEFORE_MAX)..first_fault)?;
    if before.len() < BEFORE_MIN {
        return None;
    }
    let usual = |value: fn(&SecondRow) -> u64| {
        let mut values: Vec<u64> = before.iter().map(value).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let committed_min = usual(|row| row.committed) as f64 * COMMITTED_MIN;
    let p99 = usual(|row| row.latency_us_p99);
    let p99_max = (P99_TIMES * p99).max(p99 + P99_MORE_US);
    let is_usual = |row: &SecondRow| row.committed as f64 >= committed_min && row.latency_us_p99 <= p99_max;
    let after = rows.get(fault..)?.windows(STEADY).position(|rows| rows.iter().all(is_usual))?;
    Some(after as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(committed: &[u64]) -> Vec<SecondRow> {
        let row = |committed: &u64| SecondRow {
            committed: *committed,
            latency_us_p99: if *committed < 500 { 2_000_000 } else { 50_000 },
            ..SecondRow::default()
        };
        committed.iter().map(row).collect()
    }

    #[test]
    fn a_fault_is_over_when_three_seconds_are_as_usual() {
        let rows = rows(&[1_000, 990, 1_010, 1_000, 100, 0, 1_500, 0, 1_000, 950, 1_000, 1_000]);
        assert_eq!(recovered_after(&rows, 4, 4), Some(4), "one good second is not enough");
        assert_eq!(recovered_after(&rows, 4, 8), Some(0), "a later one that nobody felt");
        assert_eq!(recovered_after(&rows, 4, 10), None, "too late to tell");
        assert_eq!(recovered_after(&rows[..9], 4, 4), None);
        assert_eq!(recovered_after(&rows, 2, 2), None, "what is usual is not known");
    }

    #[test]
    fn commits_alone_do_not_make_it_over() {
        let mut rows = rows(&[1_000; 12]);
        for row in &mut rows[5..8] {
            row.latency_us_p99 = 150_001;
        }
        assert_eq!(recovered_after(&rows, 5, 5), Some(3));
        rows.iter_mut().skip(5).for_each(|row| row.latency_us_p99 = row.latency_us_p99.min(150_000));
        assert_eq!(recovered_after(&rows, 5, 5), Some(0), "100 ms more are no fault");
    }
}
