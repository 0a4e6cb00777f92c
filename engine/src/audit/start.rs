//! Where the audit of a directory begins: with the genesis, with a checkpoint, or behind an archive.

use std::path::Path;

use super::chronicle::Chronicle;
use super::epochs::Epochs;
use super::{Auditor, BaseCheckpoint, Entry, Finding, Walk, Wrong, checks};
use crate::store::{Owner, Position, Replay};
use crate::types::Height;

/// What is found where an archive begins with another state than that from which the network was rebuilt. A later one
/// could be anybody's: nothing shows that it is the network's.
pub(super) fn other_origin(base: &BaseCheckpoint, expected: Height) -> Finding {
    let (expected, found) =
        (format!("that of height {expected}"), format!("one of height {}", base.record.height));
    Wrong::new("the state from which the network was rebuilt", expected, found).at(base.file.clone(), 0)
}

/// What is left of a journal that may have been pruned.
struct Kept {
    /// The height of the first block.
    from: Option<Height>,
    /// Whether that is all from the genesis on. A journal that goes on from a fetched state has not begun there, though
    /// nothing of it may be gone.
    is_whole: bool,
}

impl Auditor {
    /// Goes on behind the last height of an archive, if the journal has everything from there on.
    pub(super) fn continue_after_archive(
        &mut self,
        data: &Path,
        owner: &Owner,
        replay: &mut Replay,
        archived_to: Height,
        walk: &mut Walk,
    ) -> Result<(), Finding> {
        let Kept { from, is_whole } = self.first_kept(replay);
        walk.report.kept_from = from;
        // Of the heights up to that of the checkpoint batches may be gone, though their blocks are there.
        let base = match is_whole {
            true => None,
            false => Some(self.format.base_checkpoint(data, owner, replay.released())?.record.height),
        };
        let begins = base.map(Height::next).max(from);
        match begins.filter(|begins| *begins > archived_to.next()) {
            None => Ok(()),
            Some(begins) => {
                let what = "the journal that goes on from the archive";
                let expected = format!(
                    "all from height {} on, for the archive ends with height {archived_to}: archive from a validator that \
                     has more",
                    archived_to.next()
                );
                let found = format!("all from height {begins} on");
                Err(Wrong::new(what, expected, found).at(data.join("journal"), 0))
            }
        }
    }

    /// Begins with the genesis; or, where the journal was pruned, with the oldest checkpoint behind which it has all.
    /// Where it was pruned in its first segment only, and no checkpoint can be used, it may still have all.
    pub(super) fn start(
        &mut self,
        data: &Path,
        owner: &Owner,
        replay: &mut Replay,
        walk: &mut Walk,
    ) -> Result<(), Finding> {
        let (Kept { from, is_whole }, released) = (self.first_kept(replay), replay.released());
        if !is_whole {
            // Said also where there is no checkpoint to begin with.
            walk.report.kept_from = from;
            walk.report.height = Height(from.map_or(0, |from| from.0.saturating_sub(1)));
            walk.report.audited_above = walk.report.height;
        }
        let needs_base = released > Position::from_raw(0) || !is_whole;
        let base = needs_base.then(|| self.format.base_checkpoint(data, owner, released));
        let base = match base {
            Some(Ok(base)) => base,
            Some(Err(finding)) if !is_whole && from.is_some() => return Err(finding),
            Some(Err(_)) | None => {
                walk.report.kept_from = Some(Height(1));
                if self.chronicle.base().0 > 0 {
                    self.replace_chronicle(Chronicle::new(&self.genesis));
                }
                return Ok(());
            }
        };
        self.start_at_checkpoint(&base, walk)?;
        replay.seek(base.replay_from).map_err(|error| {
            let what = "where the journal is read from behind the checkpoint";
            Wrong::new(what, "a record of the journal", error).at(base.file.clone(), 0)
        })?;
        walk.report.kept_from.get_or_insert(base.record.height.next());
        Ok(())
    }

    /// Begins with a checkpoint, if its state is that of its height and no other directory has another block there.
    pub(super) fn start_at_checkpoint(
        &mut self,
        base: &BaseCheckpoint,
        walk: &mut Walk,
    ) -> Result<(), Finding> {
        let wrong = |wrong: Wrong| wrong.at(base.file.clone(), 0);
        let epochs = Epochs::of_checkpoint(&self.genesis, &*self.finality, base).map_err(wrong)?;
        checks::block(&*self.finality, (epochs.members(), self.support), &base.record).map_err(wrong)?;
        let chronicle = Chronicle::from_checkpoint(&self.genesis, base, epochs).map_err(wrong)?;
        for handover in &base.handovers {
            self.is_no_fork(&handover.block).map_err(wrong)?;
        }
        let height = base.record.height;
        match self.chronicle.chapter(height) {
            Some(chapter) if chapter.digest == *base.record.block.digest() => {
                chapter.compare(&base.record).map_err(wrong)?;
            }
            Some(chapter) => {
                let what = format!("the block at height {height}, of the checkpoint");
                let expected = format!("{}, as in another directory", chapter.digest);
                return Err(wrong(Wrong::fork(what, expected, base.record.block.digest())));
            }
            None => self.replace_chronicle(chronicle),
        }
        walk.report.audited_above = height;
        walk.skip_to = height;
        walk.report.height = height;
        walk.report.block = *base.record.block.digest();
        walk.report.state_root = base.record.state_root;
        walk.epoch = base.record.block.header().epoch;
        walk.pass(&base.record.block, &self.chronicle);
        Ok(())
    }

    /// What is left of a journal.
    fn first_kept(&self, replay: &mut Replay) -> Kept {
        let (from, fetched) = self.first_height(replay);
        replay.rewind();
        let is_whole = replay.first() == Position::from_raw(0) && (!fetched || from == Some(Height(1)));
        Kept { from, is_whole }
    }

    /// The height of the first block in what is left of a journal, and whether a fetched state stands before it.
    /// Nothing else about it is believed.
    fn first_height(&self, replay: &mut Replay) -> (Option<Height>, bool) {
        let mut fetched = false;
        let first = replay.find_map(|record| {
            match record.ok().map(|record| self.format.read(record.kind, record.bytes)) {
                Some(Ok(Entry::Committed(committed))) => Some(Some(committed.height)),
                Some(Ok(entry)) => {
                    fetched |= matches!(entry, Entry::Fetched);
                    None
                }
                Some(Err(_)) | None => Some(None),
            }
        });
        (first.flatten(), fetched)
    }
}
