//! What is not archived yet is not released, where the operator has named the archive; but the disk comes first.

use std::collections::BTreeSet;
use std::path::Path;

use engine::replica::{CheckpointMark, Retention, RetentionPlan};
use engine::types::{Digest, Height};

use crate::archive::Archive;

/// Where less than this is free, or than the next checkpoint needs, the journal is pruned whatever the archive has.
const ROOM_BYTES: u64 = 1 << 30;

/// How far pruning may go.
pub(super) struct Bound<'a> {
    pub archive: &'a Path,
    pub network: &'a Digest,
    /// Bytes that are free on the disk of the journal.
    pub free: u64,
    /// How many must be for the next checkpoint.
    pub needed: u64,
}

/// Says at a start that the archive which the configuration names has nothing of this network yet.
pub fn tell_archive(archive: Option<&Path>, network: &Digest) {
    let Some(archive) = archive.filter(|archive| Archive::reaches(archive, network) == Height(0)) else {
        return;
    };
    let archive = archive.display();
    tracing::warn!(
        "there is no archive of this network in {archive}, which the field archive in the section [storage] names: nothing \
         of the journal is released before it is archived there, while the disk has room. If the name is right, see that \
         `millrace archive --follow` runs"
    );
}

impl Bound<'_> {
    /// A plan of this retention, bounded by what the archive has, with words where that makes a difference.
    pub fn apply(
        &self,
        (retention, plan): (Retention, RetentionPlan),
        (base, marks): (&CheckpointMark, &[CheckpointMark]),
        held: BTreeSet<Height>,
    ) -> RetentionPlan {
        let archived = Archive::reaches(self.archive, self.network);
        let Some(at) = plan.prune_at.filter(|at| at.height > archived) else { return plan };
        let (archive, height) = (self.archive.display(), at.height);
        if self.free < self.needed.max(ROOM_BYTES) {
            tracing::error!(
                "the journal is pruned up to height {height}, though the archive {archive} ends with height {archived}: only \
                 {} bytes are free. Make room, and see why `millrace archive` is behind",
                self.free
            );
            return plan;
        }
        tracing::warn!(
            "the journal is not pruned up to height {height}, for the archive {archive} ends with height {archived}: see \
             that `millrace archive --follow` runs"
        );
        waiting(retention, (base, marks), held, archived)
    }
}

/// What is done instead where the archive ends before what would be released.
fn waiting(
    retention: Retention,
    (base, marks): (&CheckpointMark, &[CheckpointMark]),
    mut held: BTreeSet<Height>,
    archived: Height,
) -> RetentionPlan {
    match marks.iter().rev().find(|mark| mark.height <= archived) {
        Some(mark) => {
            held.insert(mark.height);
            retention.plan(base, marks, &held)
        }
        // Without a limit nothing is released.
        None => Retention::default().plan(base, marks, &held),
    }
}

#[cfg(test)]
mod tests {
    use engine::store::Position;

    use super::*;

    fn mark(number: u64) -> CheckpointMark {
        let (height, replay_from) = (Height(10 * number), Position::from_raw(100 * number));
        CheckpointMark { height, replay_from, time_ms: 1_000 * number }
    }

    #[test]
    fn nothing_is_released_that_is_not_archived_and_all_of_it_once_it_is() {
        let retention = Retention { heights: Some(50), ..Retention::default() };
        for lag in [0, 1, 15, 40, 200] {
            let (mut marks, mut base) = (Vec::new(), CheckpointMark { height: Height(0), ..mark(0) });
            for number in 1..=60 {
                marks.push(mark(number));
                // The archiver does not come back before the fortieth.
                let archived = Height(if number < 40 { 100 } else { 10 * number - lag.min(10 * number) });
                let usual = retention.plan(&base, &marks, &BTreeSet::new());
                let is_ahead = usual.prune_at.is_some_and(|at| at.height > archived);
                let plan = match is_ahead {
                    true => waiting(retention, (&base, &marks), BTreeSet::new(), archived),
                    false => usual,
                };
                assert!(plan.prune_at.is_none_or(|at| at.height <= archived), "{plan:?}");
                marks.retain(|mark| plan.kept.contains(&mark.height));
                base = plan.prune_at.unwrap_or(base);
                assert!(number >= 40 || base.height <= Height(100));
            }
            let left = 600 - base.height.0;
            assert!(left <= 50 + lag + 10 || lag >= 40, "lag {lag}: {left} heights are left");
        }
    }

    #[test]
    fn the_disk_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let retention = Retention { heights: Some(50), ..Retention::default() };
        let marks: Vec<_> = (1..=20).map(mark).collect();
        let base = CheckpointMark { height: Height(0), ..mark(0) };
        let planned = |free, needed| {
            let bound = Bound { archive: directory.path(), network: &Digest::default(), free, needed };
            let plan = retention.plan(&base, &marks, &BTreeSet::new());
            bound.apply((retention, plan), (&base, &marks), BTreeSet::new()).prune_at
        };
        assert_eq!(planned(u64::MAX, 0), None, "there is no archive yet");
        assert_eq!(planned(ROOM_BYTES, ROOM_BYTES), None);
        assert!(planned(ROOM_BYTES - 1, 0).is_some());
        assert!(
            planned(ROOM_BYTES, ROOM_BYTES + 1).is_some(),
            "a large state has no room for its next checkpoint"
        );
    }
}
