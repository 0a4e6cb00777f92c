//! The known blocks above the last finalized one.

use std::collections::BTreeMap;

use thiserror::Error;

use super::judge::{Executed, Flaw, Wait, judge};
use super::quotas::Share;
use super::{Finality, Finalized, Judgement, NextMembers, Position, Proposal, Quotas, Roots};
use crate::availability::Stream;
use crate::limits::{BLOCK_BATCHES_MAX, BLOCK_PACKETS_MAX, BLOCK_ROOTS_MAX, DECISION_LAG};
use crate::types::{ChainId, Charter, Digest, Head, Height, ValidatorIndex};
use crate::wire::{Block, Header};

/// Blocks of one proposer that are kept above the head without having been asked for: a proposer that floods fills only
/// its own share.
const BLOCKS_PER_PROPOSER_MAX: usize = 64;
/// Finalized blocks that may wait for an ancestor.
const FINALITIES_WAITING_MAX: usize = 4_096;

#[derive(Debug)]
struct Known {
    block: Block,
    asked: bool,
    durable: bool,
}

/// The known blocks above the head, and the roots that this validator has computed.
#[derive(Debug)]
pub struct BlockTree {
    head: Position,
    blocks: BTreeMap<Digest, Known>,
    /// What is final and whose block, or an ancestor of it, is not known yet; by view.
    waiting: BTreeMap<u64, Finality>,
    roots: Roots,
    quotas: Quotas,
    /// The last height that is executed.
    executed: Height,
    /// The validators of the next epoch, once they are decided.
    next_members: NextMembers,
}

/// What became of a block that was offered to the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is new.
    Added,
    /// It was known.
    Known,
    /// It lies at or below the head.
    Old,
    /// Its proposer has too many blocks here already.
    Full,
}

/// Why no block can be proposed on a parent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// The parent is not known.
    #[error("the block {0} is not known")]
    Unknown(Digest),
}

/// Why finality cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FinalizeError {
    /// The finalized branch does not contain the head: consensus has forked.
    #[error("the finalized block {finalized} does not descend from the head {head}: two final branches")]
    Fork {
        /// What is said to be final.
        finalized: Digest,
        /// What was final before.
        head: Digest,
    },
    /// So many finalities wait for blocks that this validator must catch up first.
    #[error("{FINALITIES_WAITING_MAX} finalizations wait for missing blocks")]
    Full,
}

impl BlockTree {
    /// A tree whose last finalized block is `head`, with the quotas and the next validators that are decided by then.
    #[must_use]
    pub fn new(head: Position, quotas: Quotas, next_members: NextMembers) -> Self {
        let (executed, roots) = (head.height, Roots::default());
        let (blocks, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { head, blocks, waiting, roots, quotas, executed, next_members }
    }

    /// The last block handed out as finalized.
    #[must_use]
    pub fn head(&self) -> &Position {
        &self.head
    }

    /// Notes the state root of a height just executed. Heights ascend.
    pub fn executed(&mut self, height: Height, root: Digest) {
        self.roots.executed(height, root);
        self.executed = self.executed.max(height);
        self.roots.forget_below(self.head.roots_next.min(height));
    }

    /// Notes what was decided about chains in a height just executed. Heights ascend.
    pub fn decided(&mut self, height: Height, decided: Vec<(ChainId, Charter)>) {
        self.quotas.follow(height, decided);
    }

    /// Notes that a height just executed has decided who validates in the next epoch.
    pub fn decided_members(&mut self, height: Height, members: Digest) {
        self.next_members = NextMembers::decided(height, members);
    }

    /// The quotas of the chains, as far as they are decided.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// A block of the tree.
    #[must_use]
    pub fn block(&self, digest: &Digest) -> Option<&Block> {
        self.blocks.get(digest).map(|known| &known.block)
    }

    /// How many blocks are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether no block is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Takes in a block. Nothing about it is checked yet but its own consistency. One that was `asked` for by its
    /// digest is taken in any case.
    pub fn insert(&mut self, block: Block, asked: bool) -> Insert {
        // A final block at or below the head's height is a fork, to be shown by the block itself.
        if block.height() <= self.head.height && self.missing() != Some(*block.digest()) {
            return Insert::Old;
        }
        if self.blocks.contains_key(block.digest()) {
            return Insert::Known;
        }
        let proposer = block.header().proposer;
        // Who is named as the proposer of a block that was asked for may not know of it: a leader may name anybody.
        let pushed = |known: &&Known| !known.asked && known.block.header().proposer == proposer;
        let share = || self.blocks.values().filter(pushed).count();
        if !asked && share() >= BLOCKS_PER_PROPOSER_MAX {
            return Insert::Full;
        }
        self.blocks.insert(*block.digest(), Known { block, asked, durable: false });
        Insert::Added
    }

    /// Forgets a block that is permanently invalid. If a quorum votes for it nevertheless, it is fetched again.
    pub fn remove(&mut self, digest: &Digest) {
        self.blocks.remove(digest);
    }

    /// Notes that the journal holds a block durably.
    pub fn durable(&mut self, digest: &Digest) {
        if let Some(known) = self.blocks.get_mut(digest) {
            known.durable = true;
        }
    }

    /// The blocks from the head (excluded) to `digest` (included), lowest first; or the digest that is missing.
    ///
    /// # Errors
    /// The digest of the lowest block that is missing.
    pub fn branch(&self, digest: &Digest) -> Result<Vec<&Block>, Digest> {
        let mut branch = Vec::new();
        let mut at = *digest;
        while at != self.head.digest {
            let known = self.blocks.get(&at).ok_or(at)?;
            branch.push(&known.block);
            at = known.block.header().parent;
        }
        branch.reverse();
        Ok(branch)
    }

    /// Whether every block from the head (excluded) to `digest` (included) is known and durable.
    #[must_use]
    pub fn is_branch_durable(&self, digest: &Digest) -> bool {
        let durable = |block: &&Block| self.blocks.get(block.digest()).is_some_and(|known| known.durable);
        self.branch(digest).is_ok_and(|branch| branch.iter().all(durable))
    }

    /// The position after a known block, or after the head.
    ///
    /// # Errors
    /// The digest, if the block is not known.
    pub fn position(&self, digest: &Digest) -> Result<Position, Digest> {
        if *digest == self.head.digest {
            return Ok(self.head.clone());
        }
        self.blocks.get(digest).map(|known| Position::of(&known.block)).ok_or(*digest)
    }

    /// Builds a block on `proposal.parent`, which is not the last of its epoch, with the roots that are due. `ready`
    /// says for each author the head up to which its stream may be taken, above the parent's cut; what would make the
    /// block too large is left for the next one.
    ///
    /// # Errors
    /// [`ProposeError`]: the parent is not known.
    pub fn propose(
        &self,
        proposal: &Proposal,
        time_ms: u64,
        streams: &[Stream],
        ready: impl Fn(ValidatorIndex, &Position) -> Head,
    ) -> Result<Block, ProposeError> {
        let parent = self.position(&proposal.parent).map_err(ProposeError::Unknown)?;
        let height = parent.height.next();
        let roots = self.roots.run(parent.roots_next, height, BLOCK_ROOTS_MAX);
        let knows_quotas = self.executed.0 + DECISION_LAG >= height.0;
        let cut = match knows_quotas && parent.lag_allows(roots.len()) {
            true => next_cut(&parent, streams, Share::new(&self.quotas, height), ready),
            false => parent.cut.clone(),
        };
        let header = Header {
            height,
            epoch: parent.epoch,
            view: proposal.view,
            parent: parent.digest,
            proposer: proposal.leader,
            time_ms: time_ms.max(parent.time_ms),
            roots_first: parent.roots_next,
            next_members: self.next_members.due(parent.roots_next, roots.len()),
            roots,
            cut,
            log: parent.log,
        };
        Ok(Block::new(header).expect("a child of a position, within the limits, is a block"))
    }

    /// Judges the block with this digest as a proposal; see [`Judgement`].
    #[must_use]
    pub fn judge(&self, digest: &Digest, proposal: &Proposal, streams: &[Stream], unix_ms: u64) -> Judgement {
        let parent = self.position(&proposal.parent);
        if parent.as_ref().is_ok_and(|parent| parent.ends_epoch) {
            // It was judged when it was proposed first. Until it is final it is proposed again.
            let again = *digest == proposal.parent;
            return if again { Judgement::Valid } else { Judgement::Invalid(Flaw::AfterLast) };
        }
        let (known, parent) = match (self.blocks.get(digest), parent) {
            (None, _) => return Judgement::Wait(Wait::Block(*digest)),
            (_, Err(missing)) => return Judgement::Wait(Wait::Block(missing)),
            (Some(known), Ok(parent)) => (known, parent),
        };
        let Self { roots, quotas, executed, next_members, .. } = self;
        let here = Executed { roots, quotas, executed: *executed, next_members: *next_members };
        judge(&known.block, proposal, &parent, &here, streams, unix_ms)
    }

    /// Takes finality and hands out every block that is final now, lowest first. Where a block is missing
    /// ([`Self::missing`]) nothing comes out until [`Self::drain`] finds it.
    ///
    /// # Errors
    /// [`FinalizeError`]; `Fork` means that consensus is broken and the node must stop.
    pub fn finalize(&mut self, finality: Finality) -> Result<Vec<Finalized<Block>>, FinalizeError> {
        if finality.view() <= self.head.view {
            return Ok(Vec::new());
        }
        if self.waiting.len() >= FINALITIES_WAITING_MAX {
            return Err(FinalizeError::Full);
        }
        self.waiting.insert(finality.view(), finality);
        self.drain()
    }

    /// Hands out what has become final since blocks arrived.
    ///
    /// # Errors
    /// [`FinalizeError::Fork`].
    pub fn drain(&mut self) -> Result<Vec<Finalized<Block>>, FinalizeError> {
        let mut out = Vec::new();
        while let Some((&view, finality)) = self.waiting.first_key_value() {
            let digest = *finality.digest();
            let Ok(branch) = self.branch(&digest) else { break };
            let branch: Vec<Block> = branch.into_iter().cloned().collect();
            if branch.is_empty() && digest != self.head.digest {
                return Err(FinalizeError::Fork { finalized: digest, head: self.head.digest });
            }
            let finality = self.waiting.remove(&view).expect("it was the first");
            for block in branch {
                self.head = Position::of(&block);
                let proof = match *block.digest() == digest {
                    true => finality.certificate().to_vec(),
                    false => Vec::new(),
                };
                out.push(Finalized::new(block, proof));
            }
            let (height, view) = (self.head.height, self.head.view);
            // A block of an earlier view that is not final now never will be.
            self.blocks.retain(|_, known| known.block.height() > height && known.block.header().view > view);
            self.waiting.retain(|waiting, _| *waiting > view);
        }
        self.check_fork()?;
        Ok(out)
    }

    /// Finality whose branch reaches the head's height without meeting the head is a fork.
    fn check_fork(&self) -> Result<(), FinalizeError> {
        let Some((_, finality)) = self.waiting.first_key_value() else { return Ok(()) };
        let mut at = *finality.digest();
        while let Some(known) = self.blocks.get(&at) {
            let header = known.block.header();
            if header.height.0 <= self.head.height.0 + 1 && header.parent != self.head.digest {
                return Err(FinalizeError::Fork { finalized: *finality.digest(), head: self.head.digest });
            }
            at = header.parent;
        }
        Ok(())
    }

    /// The block that holds back the next finalized one, to be fetched from peers.
    #[must_use]
    pub fn missing(&self) -> Option<Digest> {
        let (_, finality) = self.waiting.first_key_value()?;
        self.branch(finality.digest()).err()
    }
}

/// For each author the highest ready head that fits: whole batches, counted in the bodies that are here. Each height
/// begins with another author, and each author meets every leader, so that none is always the one that is left out. Of
/// a quota each author has its part before another one has more, but for the first batch of the one that begins.
fn next_cut(
    parent: &Position,
    streams: &[Stream],
    mut share: Share,
    ready: impl Fn(ValidatorIndex, &Position) -> Head,
) -> Vec<Head> {
    let mut cut = parent.cut.clone();
    let (mut batches, mut packets) = (0, 0);
    let authors = cut.len();
    let height = share.height().0 as usize;
    let first = height + height / authors;
    let mut is_left = false;
    for rest in [false, true] {
        if rest && !is_left {
            break;
        }
        for turn in 0..authors {
            let author = (first + turn) % authors;
            let from = cut[author];
            let to = ready(ValidatorIndex(author as u16), parent);
            let Ok(path) = streams[author].path(&from, &to) else { continue };
            share.begin();
            for (place, batch) in path.into_iter().enumerate() {
                let with_it = packets + batch.packets().len();
                if with_it > BLOCK_PACKETS_MAX || batches == BLOCK_BATCHES_MAX {
                    break;
                }
                let begins = turn == 0 && place == 0;
                if !rest && !begins && !share.is_within_part(batch, authors) {
                    is_left = true;
                    break;
                }
                if share.take(batch).is_err() {
                    break;
                }
                (batches, packets) = (batches + 1, with_it);
                cut[author] = batch.head();
            }
        }
    }
    cut
}
