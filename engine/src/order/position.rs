//! Where a branch stands after a block, and the state roots that this validator knows.

use std::collections::BTreeMap;

use kernels::merkle::{Frontier, leaf_hash};
use thiserror::Error;

use crate::limits::ROOT_LAG_MAX;
use crate::types::{Digest, Epoch, Head, Height, ValidatorIndex};
use crate::wire::{Block, Header};

/// What a block's child needs to know of it. A block says all of it by itself, so no branch has to be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The block's height.
    pub height: Height,
    /// Its digest.
    pub digest: Digest,
    /// The epoch in which it was proposed.
    pub epoch: Epoch,
    /// The view in which it was proposed.
    pub view: u64,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// The height of the first state root that no block of this branch has carried yet.
    pub roots_next: Height,
    /// Whether the block is the last of its epoch: nothing follows it in that epoch.
    pub ends_epoch: bool,
    /// How far each author's stream is taken.
    pub cut: Vec<Head>,
    /// The tree over the digests of all headers up to the block's.
    pub log: Frontier,
}

impl Position {
    /// The genesis of a network of `validators`: height 0, its digest is the network id. Its own state root follows
    /// from the genesis, so the first root to carry is that of height 1.
    #[must_use]
    pub fn genesis(network: Digest, validators: usize) -> Self {
        let cut = vec![Head::NONE; validators];
        let mut log = Frontier::default();
        log.append(leaf_hash(&network.0));
        Self {
            height: Height(0),
            digest: network,
            epoch: Epoch(0),
            view: 0,
            time_ms: 0,
            roots_next: Height(1),
            ends_epoch: false,
            cut,
            log,
        }
    }

    /// The position after `block`.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        let header = block.header();
        Self {
            height: header.height,
            digest: *block.digest(),
            epoch: header.epoch,
            view: header.view,
            time_ms: header.time_ms,
            roots_next: Height(header.roots_first.0 + header.roots.len() as u64),
            ends_epoch: block.next_members().is_some(),
            cut: header.cut.clone(),
            log: block.log(),
        }
    }

    /// Where the epoch after it begins, if the block is the last of its own: views and streams begin anew there.
    #[must_use]
    pub fn in_next_epoch(self, validators: usize) -> Self {
        let (epoch, cut) = (self.epoch.next(), vec![Head::NONE; validators]);
        Self { epoch, view: 0, ends_epoch: false, cut, ..self }
    }

    /// How far an author's stream is taken.
    #[must_use]
    pub fn head(&self, author: ValidatorIndex) -> Head {
        self.cut.get(usize::from(author.0)).copied().unwrap_or(Head::NONE)
    }

    /// Whether a child that carries `roots` state roots stays close enough to execution to take more batches. One that
    /// takes none is always allowed: else roots would wait for finality, and finality for roots.
    #[must_use]
    pub fn lag_allows(&self, roots: usize) -> bool {
        let next_uncarried = self.roots_next.0 + roots as u64;
        self.height.0 + 1 - next_uncarried.min(self.height.0 + 1) < ROOT_LAG_MAX
    }
}

/// The validators of the next epoch, once some are decided and until that epoch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextMembers(Option<(Height, Digest)>);

impl NextMembers {
    /// They were decided at this height, and have this digest.
    #[must_use]
    pub fn decided(at: Height, digest: Digest) -> Self {
        Self(Some((at, digest)))
    }

    /// What the header says of them that carries so many roots from `first` on: it is the last of its epoch if one of
    /// these is of the height in which they were decided. So who votes for it has executed that height.
    #[must_use]
    pub fn due(&self, first: Height, roots: usize) -> Digest {
        let carried = first.0..first.0.saturating_add(roots as u64);
        self.0.filter(|(at, _)| carried.contains(&at.0)).map(|(_, digest)| digest).unwrap_or_default()
    }
}

/// A finalized block carries a state root that is not ours: this validator or a quorum has executed wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the state root of height {height} is {ours} here, but the finalized block {block} carries {theirs}")]
pub struct Divergence {
    /// The height whose root differs.
    pub height: Height,
    /// The height of the block that carries it.
    pub block: Height,
    /// Our root.
    pub ours: Digest,
    /// The network's root.
    pub theirs: Digest,
}

/// The state roots of executed heights, as far back as a block may still carry them.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    by_height: BTreeMap<Height, Digest>,
}

impl Roots {
    /// Adds the root of a height just executed.
    pub fn executed(&mut self, height: Height, root: Digest) {
        self.by_height.insert(height, root);
    }

    /// Forgets what lies below `height`.
    pub fn forget_below(&mut self, height: Height) {
        self.by_height = self.by_height.split_off(&height);
    }

    /// The root of a height, if it is executed and not forgotten.
    #[must_use]
    pub fn get(&self, height: Height) -> Option<&Digest> {
        self.by_height.get(&height)
    }

    /// The roots from `first` on, contiguous, below `end`, at most `max`.
    #[must_use]
    pub fn run(&self, first: Height, end: Height, max: usize) -> Vec<Digest> {
        (first.0..end.0).map_while(|height| self.get(Height(height)).copied()).take(max).collect()
    }

    /// Compares what a header carries with ours. `Ok(None)`: all equal; `Ok(Some(height))`: this height is not executed
    /// yet.
    ///
    /// # Errors
    /// [`Divergence`] at the lowest height that differs.
    pub fn compare(&self, header: &Header) -> Result<Option<Height>, Divergence> {
        for (offset, theirs) in header.roots.iter().enumerate() {
            let height = Height(header.roots_first.0 + offset as u64);
            match self.get(height) {
                None => return Ok(Some(height)),
                Some(ours) if ours == theirs => {}
                Some(ours) => {
                    return Err(Divergence { height, block: header.height, ours: *ours, theirs: *theirs });
                }
            }
        }
        Ok(None)
    }
}
