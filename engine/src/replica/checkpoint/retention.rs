//! How much of the journal is kept, and which checkpoints with it.
//!
//! ```text
//! journal      ░░░░░░░░░░░░░█████████████████████████████████████████
//! checkpoints               ▲ base        ▲           ▲         ▲   ▲ newest
//!                           └── pruned here; an audit begins here      └── a start goes on here
//! ```
//!
//! The journal is pruned only where a checkpoint stands, so that everything above it can be audited. It is pruned at
//! the first checkpoint after which no more stands than the operator wants, and never above the last but one: the
//! newest may be one that cannot be used. Nor is it pruned so high that a peer which is a little behind finds nothing.
//! Of the checkpoints between, as many stay as will be needed: one for each quarter of what is kept. A checkpoint that
//! a peer is fetching stays, and the journal behind it, for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::store::Position;
use crate::types::Height;

/// How much of the journal is kept: at most each of these limits, but always what a start needs. Without a limit
/// everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of the journal.
    pub bytes: Option<u64>,
    /// Heights.
    pub heights: Option<u64>,
    /// Milliseconds between the times of the blocks.
    pub ms: Option<u64>,
    /// Heights that are kept in any case, for peers that are a little behind.
    pub heights_min: u64,
}

/// What of a checkpoint says how much of the journal stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointMark {
    /// Its height.
    pub height: Height,
    /// Where the journal is read from behind it.
    pub replay_from: Position,
    /// The time of its block, in milliseconds since 1970.
    pub time_ms: u64,
}

/// What becomes of checkpoints and of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// The checkpoints that stay, ascending.
    pub kept: Vec<Height>,
    /// The checkpoint at which the journal is pruned.
    pub prune_at: Option<CheckpointMark>,
}

/// What is kept, as a share of what may be: in thousandths.
const WHOLE: u128 = 1_000;
/// Checkpoints between the first and the last two are at least so far apart, in thousandths of what may be kept.
const QUARTER: u128 = WHOLE / 4;

impl Retention {
    /// Whether everything is kept.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.bytes.is_none() && self.heights.is_none() && self.ms.is_none()
    }

    /// How much of what may be kept stands between two checkpoints, by the limit that is reached first, in thousandths.
    fn share(&self, from: &CheckpointMark, to: &CheckpointMark) -> u128 {
        let of = |amount: u64, limit: Option<u64>| {
            limit.map_or(0, |limit| u128::from(amount) * WHOLE / u128::from(limit.max(1)))
        };
        let bytes = of(to.replay_from.raw().saturating_sub(from.replay_from.raw()), self.bytes);
        let heights = of(to.height.0.saturating_sub(from.height.0), self.heights);
        bytes.max(heights).max(of(to.time_ms.saturating_sub(from.time_ms), self.ms))
    }

    /// Whether two checkpoints are so far apart that both stay.
    fn is_far_enough(&self, from: &CheckpointMark, to: &CheckpointMark) -> bool {
        let heights = to.height.0 - from.height.0;
        !self.is_everything() && self.share(from, to) >= QUARTER && heights >= self.heights_min / 4
    }

    /// What becomes of these checkpoints, ascending, of which the newest was written now and read back. `base` is where
    /// the journal begins: at its start, or where it was pruned. Those that are `held` stay, and the journal behind
    /// them.
    #[must_use]
    pub fn plan(
        &self,
        base: &CheckpointMark,
        checkpoints: &[CheckpointMark],
        held: &BTreeSet<Height>,
    ) -> RetentionPlan {
        let Some((newest, older)) = checkpoints.split_last() else { return RetentionPlan::default() };
        let Some((last_but_one, between)) = older.split_last() else {
            return RetentionPlan { kept: vec![newest.height], prune_at: None };
        };
        let fits = |mark: &&CheckpointMark| self.share(mark, newest) <= WHOLE;
        let for_peers = newest.height.0.saturating_sub(self.heights_min);
        let is_held = |mark: &CheckpointMark| held.contains(&mark.height);
        let fetched = older.iter().find(|mark| is_held(mark)).map_or(u64::MAX, |mark| mark.height.0);
        let highest = for_peers.min(fetched);
        let prunable = older.partition_point(|mark| mark.height.0 <= highest);
        let prune_at = match (fits(&base), older[..prunable].split_last()) {
            (true, _) | (_, None) => None,
            (false, Some((last, before))) => Some(*before.iter().find(fits).unwrap_or(last)),
        };
        let prune_at = prune_at.filter(|prune_at| prune_at.height > base.height);
        let mut kept = Vec::new();
        let mut before = *base;
        if let Some(prune_at) = prune_at.filter(|prune_at| prune_at.height != last_but_one.height) {
            kept.push(prune_at.height);
            before = prune_at;
        }
        let first = prune_at.map_or(base.height, |prune_at| prune_at.height);
        for mark in between.iter().filter(|mark| mark.height >= first) {
            if mark.height > before.height && self.is_far_enough(&before, mark) {
                kept.push(mark.height);
                before = *mark;
            } else if is_held(mark) && kept.last() != Some(&mark.height) {
                kept.push(mark.height);
            }
        }
        // Where the journal was pruned, an audit begins.
        let is_base = |mark: &CheckpointMark| mark.height == base.height && !is_held(mark);
        if prune_at.is_none() && base.height.0 > 0 && between.iter().any(is_base) {
            kept.insert(0, base.height);
        }
        kept.extend([last_but_one.height, newest.height]);
        RetentionPlan { kept, prune_at }
    }
}

/// How long a checkpoint is held after a peer has asked for a part of it: the peer then needs the blocks above it.
const HELD_AFTER: Duration = Duration::from_secs(120);
/// How long one is held at most, however many ask for it: they may do so for no other purpose.
const HELD_MAX: Duration = Duration::from_secs(900);

/// The checkpoints that peers are fetching: since when, and when somebody asked last.
#[derive(Clone, Debug, Default)]
pub struct Held(BTreeMap<Height, (Duration, Duration)>);

impl Held {
    /// A peer was given a part of the checkpoint of a height.
    pub fn note(&mut self, height: Height, now: Duration) {
        self.0.entry(height).or_insert((now, now)).1 = now;
    }

    /// The heights of those that are held, of all that there are; others are forgotten.
    pub fn heights(&mut self, there: &[CheckpointMark], now: Duration) -> BTreeSet<Height> {
        self.0.retain(|height, _| there.iter().any(|mark| mark.height == *height));
        let counts = |first: Duration, last: Duration| now < last + HELD_AFTER && now < first + HELD_MAX;
        self.0.iter().filter(|(_, (first, last))| counts(*first, *last)).map(|(height, _)| *height).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GENESIS: CheckpointMark =
        CheckpointMark { height: Height(0), replay_from: Position::from_raw(0), time_ms: 0 };

    /// A checkpoint each 10 heights, 100 bytes, 1,000 ms.
    fn mark(number: u64) -> CheckpointMark {
        let (height, position) = (Height(10 * number), Position::from_raw(100 * number));
        CheckpointMark { height, replay_from: position, time_ms: 1_000 * number }
    }

    /// Carries out the plan after the newest of these checkpoints was written.
    fn follow(
        retention: Retention,
        (marks, base): (&mut Vec<CheckpointMark>, &mut CheckpointMark),
        held: &BTreeSet<Height>,
    ) {
        let RetentionPlan { kept, prune_at } = retention.plan(base, marks, held);
        marks.retain(|mark| kept.contains(&mark.height));
        let left: Vec<Height> = marks.iter().map(|mark| mark.height).collect();
        assert_eq!(kept, left, "ascending, and no others");
        *base = prune_at.unwrap_or(*base);
    }

    /// Writes so many checkpoints one after the other; what is there at the end, and where the journal was pruned.
    fn written(retention: Retention, count: u64) -> (Vec<u64>, CheckpointMark) {
        let (mut marks, mut base): (Vec<CheckpointMark>, CheckpointMark) = (Vec::new(), GENESIS);
        for number in 1..=count {
            marks.push(mark(number));
            follow(retention, (&mut marks, &mut base), &BTreeSet::new());
            assert!(base == GENESIS || marks.contains(&base), "an audit begins where the journal was pruned");
        }
        (marks.iter().map(|mark| mark.height.0).collect(), base)
    }

    #[test]
    fn without_limits_nothing_is_pruned_and_two_checkpoints_stay() {
        assert_eq!(written(Retention::default(), 1), (vec![10], GENESIS));
        assert_eq!(written(Retention::default(), 50), (vec![490, 500], GENESIS));
    }

    #[test]
    fn each_limit_cuts() {
        let by_bytes = Retention { bytes: Some(1_000), ..Retention::default() };
        let by_heights = Retention { heights: Some(100), ..Retention::default() };
        let by_time = Retention { ms: Some(10_000), ..Retention::default() };
        for retention in [by_bytes, by_heights, by_time] {
            assert_eq!(written(retention, 10).1, GENESIS, "all of it is not more than the limit");
            let (kept, base) = written(retention, 50);
            assert!((mark(40).height..=mark(43).height).contains(&base.height), "{base:?}");
            assert!(kept.len() <= 6 && kept[0] == base.height.0, "{kept:?}");
        }
        let both = Retention { bytes: Some(1_000), heights: Some(50), ..Retention::default() };
        assert!(written(both, 50).1.height >= mark(45).height, "the one that is reached first");
    }

    #[test]
    fn what_a_start_needs_stays_however_small_the_limit() {
        let nothing = Retention { bytes: Some(0), heights: Some(0), ms: Some(0), heights_min: 0 };
        assert_eq!(written(nothing, 1), (vec![10], GENESIS));
        assert_eq!(written(nothing, 50), (vec![490, 500], mark(49)));
        let for_peers = Retention { heights_min: 45, ..nothing };
        assert_eq!(written(for_peers, 4).1, GENESIS, "they may want any of these 40 heights");
        let (kept, base) = written(for_peers, 50);
        assert!((mark(44).height..=mark(45).height).contains(&base.height), "{kept:?}");
    }

    #[test]
    fn what_a_peer_fetches_stays_and_the_journal_behind_it() {
        let retention = Retention { heights: Some(100), ..Retention::default() };
        let (mut marks, mut base): (Vec<CheckpointMark>, CheckpointMark) = (Vec::new(), GENESIS);
        let held = BTreeSet::from([Height(170), Height(999)]);
        for number in 1..=60 {
            marks.push(mark(number));
            let held = if number < 50 { held.clone() } else { BTreeSet::new() };
            follow(retention, (&mut marks, &mut base), &held);
            assert_eq!(marks.contains(&mark(17)), (17..50).contains(&number), "{number}");
            assert!(number >= 50 || base.height <= Height(170), "{base:?}");
        }
        assert!(base.height >= Height(500), "nobody fetches it any more: {base:?}");
    }

    #[test]
    fn a_checkpoint_is_held_while_it_is_asked_for_and_not_longer_than_its_time() {
        let s = Duration::from_secs;
        let there = [mark(3), mark(4)];
        let mut held = Held::default();
        held.note(Height(30), s(10));
        held.note(Height(40), s(20));
        held.note(Height(77), s(20));
        assert_eq!(held.heights(&there, s(20)), BTreeSet::from([Height(30), Height(40)]), "there is no 77");
        assert_eq!(held.heights(&there, s(135)), BTreeSet::from([Height(40)]), "it is asked for no more");
        for at in (140..3_000).step_by(10) {
            held.note(Height(40), s(at));
            assert_eq!(
                held.heights(&there, s(at)).contains(&Height(40)),
                at < 920,
                "at {at} s, however often it is asked for"
            );
        }
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_the_limit_unless_a_start_needs_it(
            steps in prop::collection::vec((1_u64..200, 1_u64..5_000, 0_u64..50_000), 1..60),
            limits in (prop::option::of(0_u64..50_000), prop::option::of(0_u64..2_000), prop::option::of(0_u64..500_000)),
            heights_min in prop::sample::select(vec![0_u64, 300]),
            held in prop::option::of((0_u64..60, 0_usize..30)),
        ) {
            let retention = Retention { bytes: limits.0, heights: limits.1, ms: limits.2, heights_min };
            let (mut marks, mut base, mut newest): (Vec<CheckpointMark>, CheckpointMark, CheckpointMark) = (Vec::new(), GENESIS, GENESIS);
            let mut held_now = BTreeSet::new();
            for (at, (heights, bytes, ms)) in steps.into_iter().enumerate() {
                let replay_from = Position::from_raw(newest.replay_from.raw() + bytes);
                newest = CheckpointMark { height: Height(newest.height.0 + heights), replay_from, time_ms: newest.time_ms + ms };
                marks.push(newest);
                if held.is_some_and(|(from, _)| from == at as u64) {
                    held_now = marks.iter().rev().nth(1).map(|mark| mark.height).into_iter().collect();
                } else if held.is_some_and(|(from, steps)| at as u64 > from + steps as u64) {
                    held_now.clear();
                }
                let RetentionPlan { kept, prune_at } = retention.plan(&base, &marks, &held_now);
                marks.retain(|mark| kept.contains(&mark.height));
                prop_assert!(held_now.iter().all(|height| kept.contains(height)));
                prop_assert!(prune_at.is_none_or(|mark| held_now.iter().all(|height| mark.height <= *height)));
                prop_assert_eq!(&kept, &marks.iter().map(|mark| mark.height).collect::<Vec<_>>());
                prop_assert!(prune_at.is_none_or(|prune_at| prune_at.height > base.height));
                base = prune_at.unwrap_or(base);
                prop_assert!(base == GENESIS || marks.contains(&base));
                prop_assert!(held.is_some() || marks.len() <= 7);
                let needed = marks.len() < 2 || base == marks[marks.len() - 2];
                let next = marks.iter().find(|mark| mark.height > base.height);
                let for_peers = next.is_none_or(|next| newest.height.0 - next.height.0 < heights_min);
                prop_assert!(!held_now.is_empty() || needed || for_peers || retention.share(&base, &newest) <= WHOLE);
                prop_assert!(base == GENESIS || newest.height.0 - base.height.0 >= heights_min);
            }
        }
    }
}
