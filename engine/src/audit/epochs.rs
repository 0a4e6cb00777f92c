//! Who validates since when, by the definition: the first epoch has the validators of the genesis, and each one ends
//! with the block that carries the state root of the height in which others were decided. That block names them.

use super::checks::certified;
use super::records::{BaseCheckpoint, BaseHandover};
use super::{FinalityCheck, Wrong};
use crate::types::{Digest, Epoch, Genesis, Height, Members};
use crate::wire::Header;

/// The sets of all epochs up to the present one.
#[derive(Debug)]
pub(super) struct Epochs(Vec<Members>);

impl Epochs {
    /// The first epoch.
    pub(super) fn genesis(genesis: &Genesis) -> Self {
        Self(vec![Members::of_genesis(genesis)])
    }

    /// The present one.
    pub(super) fn members(&self) -> &Members {
        self.0.last().expect("there is that of the genesis")
    }

    /// Those of an epoch, if it has begun.
    pub(super) fn of(&self, epoch: Epoch) -> Option<&Members> {
        self.0.get(usize::try_from(epoch.0).ok()?)
    }

    /// The next epoch begins.
    pub(super) fn begin(&mut self, members: Members) {
        self.0.push(members);
    }

    /// The epochs up to that of a checkpoint's block, each of which the validators of the one before have made final.
    pub(super) fn of_checkpoint(
        genesis: &Genesis,
        finality: &dyn FinalityCheck,
        base: &BaseCheckpoint,
    ) -> Result<Self, Wrong> {
        let mut epochs = Self::genesis(genesis);
        let mut below = Height(0);
        for BaseHandover { block, certificate, members } in &base.handovers {
            let present = epochs.members();
            let (height, header) = (block.height(), block.header());
            let what = format!("the last block of epoch {}, of the checkpoint", present.epoch);
            if height <= below || height >= base.record.height {
                let expected = format!("a height above {below} and below {}", base.record.height);
                return Err(Wrong::new(what, expected, height));
            }
            if header.epoch != present.epoch || header.cut.len() != present.list.len() {
                let expected =
                    format!("a block of epoch {}, of {} streams", present.epoch, present.list.len());
                let found = format!("one of epoch {}, of {} streams", header.epoch, header.cut.len());
                return Err(Wrong::new(what, expected, found));
            }
            let next = present.epoch.next();
            if members.epoch != next || !members.is_valid() || members.digest() != header.next_members {
                let expected = format!("members of epoch {next} with the digest {}", header.next_members);
                let found = format!("a set of epoch {} with {}", members.epoch, members.digest());
                return Err(Wrong::new(what, expected, found));
            }
            let view = certified(finality, present, (block, certificate))?;
            if view < header.view {
                let expected = format!("a certificate of view {} or a later one", header.view);
                return Err(Wrong::new(what, expected, format!("one of view {view}")));
            }
            below = height;
            epochs.begin(members.clone());
        }
        Ok(epochs)
    }

    /// The members that a header must name: those that were `decided` last, if they are not the present ones and it
    /// carries the state root of the height in which they were.
    pub(super) fn due(
        &self,
        header: &Header,
        decided: Option<(Height, Members)>,
    ) -> Result<Option<Members>, Wrong> {
        let present = self.members().epoch;
        let carried = header.roots_first.0..header.roots_first.0 + header.roots.len() as u64;
        let due = decided.filter(|(at, members)| members.epoch > present && carried.contains(&at.0));
        let wrong = |expected, found| {
            Err(Wrong::new(format!("the block at height {}", header.height), expected, found))
        };
        let names = match header.next_members {
            nobody if nobody == Digest::default() => "that it goes on".to_owned(),
            digest => format!("that the members {digest} follow"),
        };
        match due {
            None if header.next_members == Digest::default() => Ok(None),
            None => {
                let expected = format!(
                    "that epoch {present} goes on, for it carries the state root of no height that decided members"
                );
                wrong(expected, names)
            }
            Some((_, members)) if header.next_members == members.digest() => Ok(Some(members)),
            Some((at, members)) => {
                let expected = format!(
                    "that the members {} follow epoch {present}, which height {at} decided",
                    members.digest()
                );
                wrong(expected, names)
            }
        }
    }
}
