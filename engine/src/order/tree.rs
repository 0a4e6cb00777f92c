//! The known blocks above the last finalized one.

use std::collections::BTreeMap;

use thiserror::Error;

use super::judge::{Wait, judge};
use super::{Finality, FinalityVerifier, Finalized, Judgement, Position, Proposal, Roots};
use crate::availability::Available;
use crate::limits::{BLOCK_CERTIFICATES_MAX, BLOCK_ROOTS_MAX, BLOCK_TRANSACTIONS_MAX};
use crate::types::{BatchId, ChainId, Digest, Height, ValidatorIndex};
use crate::wire::{Batch, Block, Certificate, Header};

/// Blocks of one proposer that are kept above the head: a proposer that floods fills only its own share.
const BLOCKS_PER_PROPOSER_MAX: usize = 64;
/// Finalized blocks that may wait for the body of an ancestor.
const FINALITIES_WAITING_MAX: usize = 4_096;

/// The known blocks above the head, and the roots that this validator has computed.
#[derive(Debug)]
pub struct BlockTree {
    head: Position,
    blocks: BTreeMap<Digest, Block>,
    /// Certificates whose block, or an ancestor of it, is not known yet, by view.
    waiting: BTreeMap<u64, (Finality, Vec<u8>)>,
    roots: Roots,
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
    /// The parent, or an ancestor of it above the head, is not known.
    #[error("the block {0} is not known")]
    Unknown(Digest),
    /// Execution must catch up first: this height's root must be carried.
    #[error("height {0} is not executed yet")]
    Behind(Height),
}

/// Why a certificate finalizes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FinalizeError {
    /// The certificate is not good.
    #[error("the finalization certificate is not valid")]
    Certificate,
    /// The finalized branch does not contain the head: consensus has forked.
    #[error("the finalized block {finalized} does not descend from the head {head}: two final branches")]
    Fork {
        /// What is said to be final.
        finalized: Digest,
        /// What was final before.
        head: Digest,
    },
    /// So many certificates wait for blocks that this validator must catch up first.
    #[error("{FINALITIES_WAITING_MAX} finalizations wait for missing blocks")]
    Full,
}

impl BlockTree {
    /// A tree whose last finalized block is `head`.
    #[must_use]
    pub fn new(head: Position) -> Self {
        Self { head, blocks: BTreeMap::new(), waiting: BTreeMap::new(), roots: Roots::default() }
    }

    /// The last block handed out as finalized.
    #[must_use]
    pub fn head(&self) -> &Position {
        &self.head
    }

    /// Notes the state root of a height just executed. Heights ascend.
    pub fn executed(&mut self, height: Height, root: Digest) {
        self.roots.executed(height, root);
        self.roots.forget_below(self.head.roots_next.min(height));
    }

    /// A block of the tree.
    #[must_use]
    pub fn block(&self, digest: &Digest) -> Option<&Block> {
        self.blocks.get(digest)
    }

    /// Takes in a block that a peer or this validator proposed. Nothing about it is checked yet but its own consistency.
    pub fn insert(&mut self, block: Block) -> Insert {
        if block.height() <= self.head.height {
            return Insert::Old;
        }
        if self.blocks.contains_key(block.digest()) {
            return Insert::Known;
        }
        let proposer = block.header().proposer;
        let share = self.blocks.values().filter(|known| known.header().proposer == proposer).count();
        if share >= BLOCKS_PER_PROPOSER_MAX && !self.is_wanted(block.digest()) {
            return Insert::Full;
        }
        self.blocks.insert(*block.digest(), block);
        Insert::Added
    }

    fn is_wanted(&self, digest: &Digest) -> bool {
        self.missing().is_some_and(|missing| missing == *digest)
    }

    /// The blocks from the head (excluded) to `digest` (included), lowest first; or the digest that is missing.
    fn branch(&self, digest: &Digest) -> Result<Vec<&Block>, Digest> {
        let mut branch = Vec::new();
        let mut at = *digest;
        while at != self.head.digest {
            let block = self.blocks.get(&at).ok_or(at)?;
            branch.push(block);
            at = block.header().parent;
        }
        branch.reverse();
        Ok(branch)
    }

    /// The position after a known block of a branch that begins at the head.
    ///
    /// # Errors
    /// The digest of the block that is missing.
    pub fn position(&self, digest: &Digest) -> Result<Position, Digest> {
        let branch = self.branch(digest)?;
        Ok(branch.into_iter().fold(self.head.clone(), |position, block| position.after(block)))
    }

    /// Builds a block on `proposal.parent`: the roots that are due, and of every stream of `streams` the available
    /// batches that are next, in turns so that no stream starves the others.
    ///
    /// # Errors
    /// [`ProposeError`]: a missing ancestor, or execution too far behind.
    pub fn propose<'a>(
        &self,
        proposal: &Proposal,
        time_ms: u64,
        streams: &[(ChainId, ValidatorIndex)],
        available: impl Fn(&BatchId) -> Option<&'a Available<Batch>>,
    ) -> Result<Block, ProposeError> {
        let parent = self.position(&proposal.parent).map_err(ProposeError::Unknown)?;
        let height = parent.height.next();
        let roots = self.roots.run(parent.roots_next, height, BLOCK_ROOTS_MAX);
        if !parent.lag_allows(roots.len()) {
            return Err(ProposeError::Behind(Height(parent.roots_next.0 + roots.len() as u64)));
        }
        let header = Header {
            height,
            view: proposal.view,
            parent: parent.digest,
            proposer: proposal.leader,
            time_ms: time_ms.max(parent.time_ms),
            roots_first: parent.roots_next,
            roots,
            sections: Vec::new(),
        };
        let block = Block::build(header, next_certificates(&parent, streams, available));
        Ok(block.expect("certificates of ascending streams within the limits make a block"))
    }

    /// Judges the block with this digest as a proposal; see [`Judgement`].
    pub fn judge(
        &self,
        digest: &Digest,
        proposal: &Proposal,
        valid_certificate: impl FnMut(&Certificate) -> bool,
    ) -> Judgement {
        let Some(block) = self.blocks.get(digest) else {
            return Judgement::Wait(Wait::Block(*digest));
        };
        match self.position(&proposal.parent) {
            Err(missing) => Judgement::Wait(Wait::Block(missing)),
            Ok(parent) => judge(block, proposal, &parent, &self.roots, valid_certificate),
        }
    }

    /// Takes a finalization certificate and hands out every block that is final now, lowest first. Where a body is
    /// missing ([`Self::missing`]) nothing comes out until [`Self::drain`] finds it.
    ///
    /// # Errors
    /// [`FinalizeError`]; `Fork` means that consensus is broken and the node must stop.
    pub fn finalize(
        &mut self,
        certificate: &[u8],
        verifier: &impl FinalityVerifier,
    ) -> Result<Vec<Finalized<Block>>, FinalizeError> {
        let finality = verifier.verify(certificate).ok_or(FinalizeError::Certificate)?;
        if finality.view <= self.head.view {
            return Ok(Vec::new());
        }
        if self.waiting.len() >= FINALITIES_WAITING_MAX {
            return Err(FinalizeError::Full);
        }
        self.waiting.insert(finality.view, (finality, certificate.to_vec()));
        self.drain()
    }

    /// Hands out what has become final since bodies arrived.
    ///
    /// # Errors
    /// [`FinalizeError::Fork`].
    pub fn drain(&mut self) -> Result<Vec<Finalized<Block>>, FinalizeError> {
        let mut out = Vec::new();
        while let Some((&view, (finality, _))) = self.waiting.first_key_value() {
            let digest = finality.digest;
            let Ok(branch) = self.branch(&digest) else { break };
            let branch: Vec<Block> = branch.into_iter().cloned().collect();
            if branch.is_empty() && digest != self.head.digest {
                return Err(FinalizeError::Fork { finalized: digest, head: self.head.digest });
            }
            let (_, certificate) = self.waiting.remove(&view).expect("it was the first");
            for block in branch {
                self.head = self.head.after(&block);
                let proof = if *block.digest() == digest { certificate.clone() } else { Vec::new() };
                out.push(Finalized::new(block, proof));
            }
            let (height, view) = (self.head.height, self.head.view);
            self.blocks.retain(|_, block| block.height() > height);
            self.waiting.retain(|waiting, _| *waiting > view);
        }
        self.check_fork()?;
        Ok(out)
    }

    /// A waiting certificate whose branch reaches the head's height without meeting the head is a fork.
    fn check_fork(&self) -> Result<(), FinalizeError> {
        let Some((_, (finality, _))) = self.waiting.first_key_value() else { return Ok(()) };
        let mut at = finality.digest;
        while let Some(block) = self.blocks.get(&at) {
            if block.height().0 == self.head.height.0 + 1 && block.header().parent != self.head.digest {
                return Err(FinalizeError::Fork { finalized: finality.digest, head: self.head.digest });
            }
            at = block.header().parent;
        }
        Ok(())
    }

    /// The block body that holds back the next finalized block, to be fetched from peers.
    #[must_use]
    pub fn missing(&self) -> Option<Digest> {
        let (_, (finality, _)) = self.waiting.first_key_value()?;
        self.branch(&finality.digest).err()
    }
}

/// The available batches next in each stream, one from each in turn until the block is full; in block order.
fn next_certificates<'a>(
    parent: &Position,
    streams: &[(ChainId, ValidatorIndex)],
    available: impl Fn(&BatchId) -> Option<&'a Available<Batch>>,
) -> Vec<Certificate> {
    let mut next: Vec<BatchId> =
        streams.iter().map(|(chain, author)| parent.next_batch(*chain, *author)).collect();
    let mut taken = Vec::new();
    let mut transactions = 0;
    while !next.is_empty() && taken.len() < BLOCK_CERTIFICATES_MAX {
        next.retain_mut(|batch| {
            let Some(certificate) = available(batch).map(Available::certificate) else { return false };
            let with_it = transactions + certificate.transactions() as usize;
            if with_it > BLOCK_TRANSACTIONS_MAX || taken.len() == BLOCK_CERTIFICATES_MAX {
                return false;
            }
            transactions = with_it;
            taken.push(certificate.clone());
            batch.sequence = batch.sequence.next();
            true
        });
    }
    taken.sort_by_key(Certificate::batch);
    taken
}
