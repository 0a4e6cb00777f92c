//! At which heights checkpoints are due.

use crate::store::Position;
use crate::types::Height;

/// When checkpoints are due beside those at the end of each epoch: a fixed function of the height and of the bytes of
/// all batches up to it. It depends neither on when earlier ones were due nor on starts or fetched states, so
/// validators with the same settings take theirs at the same heights, whatever they did before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    heights: u64,
    bytes: u64,
    ordered_bytes: u64,
}

impl Schedule {
    /// From the genesis on: one is due after so many bytes of batches, where each height counts as a share of them, so
    /// that one is due after so many heights without any batch. Both are at least 1.
    #[must_use]
    pub fn new(heights: u64, bytes: u64) -> Self {
        Self { heights: heights.max(1), bytes: bytes.max(1), ordered_bytes: 0 }
    }

    /// From a height on up to which the batches have so many bytes.
    #[must_use]
    pub(super) fn after(self, ordered_bytes: u64) -> Self {
        Self { ordered_bytes, ..self }
    }

    /// The bytes of all batches up to the last height.
    #[must_use]
    pub fn ordered_bytes(&self) -> u64 {
        self.ordered_bytes
    }

    /// The height is the next one, with batches of so many bytes. Whether a checkpoint is due at it.
    pub fn follow(&mut self, height: Height, bytes: u64) -> bool {
        let before = self.ordered_bytes;
        self.ordered_bytes = before.saturating_add(bytes);
        self.due_until(height.0, self.ordered_bytes) > self.due_until(height.0.saturating_sub(1), before)
    }

    /// How many are due up to a height.
    fn due_until(&self, height: u64, ordered_bytes: u64) -> u128 {
        let of_height = u128::from(self.bytes.div_ceil(self.heights));
        (u128::from(height) * of_height + u128::from(ordered_bytes)) / u128::from(self.bytes)
    }
}

/// What a checkpoint needs from the replica, which alone knows what it has not ordered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointDue {
    /// Where the journal has to be read from after the height.
    pub replay_from: Position,
    /// The bytes of all batches up to the height.
    pub ordered_bytes: u64,
    /// Whether the height is the last of its epoch: each start in the next one goes on from there.
    pub ends_epoch: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heights at which one is due.
    fn due(mut schedule: Schedule, first: u64, bytes: &[u64]) -> Vec<u64> {
        let heights = (first..).zip(bytes);
        heights
            .filter(|(height, bytes)| schedule.follow(Height(*height), **bytes))
            .map(|(height, _)| height)
            .collect()
    }

    #[test]
    fn heights_and_bytes_count_together() {
        assert_eq!(due(Schedule::new(4, 1_000), 1, &[0; 12]), [4, 8, 12], "heights alone");
        assert_eq!(due(Schedule::new(1_000, 1_000), 1, &[300; 10]), [4, 7, 10], "nearly bytes alone");
        assert_eq!(due(Schedule::new(4, 1_000), 1, &[500, 0, 0, 0, 0, 0]), [2, 6], "both");
        assert_eq!(due(Schedule::new(4, 1_000), 1, &[5_000, 0, 0, 0]), [1, 4], "one at a time");
        assert_eq!(due(Schedule::new(1, 1), 1, &[0, 9, 0]), [1, 2, 3]);
        assert_eq!(due(Schedule::new(0, 0), 1, &[0, 0]), [1, 2], "no setting divides by zero");
        assert_eq!(
            due(Schedule::new(u64::MAX, u64::MAX), 1 << 63, &[u64::MAX, u64::MAX, 0]),
            [1 << 63],
            "nothing overflows"
        );
    }

    #[test]
    fn it_does_not_matter_where_one_begins() {
        let bytes: Vec<u64> = (0..400).map(|height| height * 7_919 % 1_013).collect();
        let whole = due(Schedule::new(16, 9_000), 1, &bytes);
        assert!(whole.len() > 20);
        for begun in 1..bytes.len() {
            let schedule = Schedule::new(16, 9_000).after(bytes[..begun].iter().sum());
            let rest: Vec<u64> = whole.iter().copied().filter(|height| *height > begun as u64).collect();
            assert_eq!(due(schedule, begun as u64 + 1, &bytes[begun..]), rest, "from {begun} on");
        }
    }
}
