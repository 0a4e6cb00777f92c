//! Whether to vote for a proposed block.

use thiserror::Error;

use super::{Divergence, Position, Roots};
use crate::types::{BatchId, Digest, Height, ValidatorIndex};
use crate::wire::{Block, Certificate};

/// What consensus says about a proposal, apart from its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The view.
    pub view: u64,
    /// Whose turn it is.
    pub leader: ValidatorIndex,
    /// The digest of the parent.
    pub parent: Digest,
}

/// The verdict on a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Vote for it.
    Valid,
    /// It can never become valid.
    Invalid(Flaw),
    /// Something may still arrive: ask again when it has.
    Wait(Wait),
}

/// What a judgement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The block with this digest.
    Block(Digest),
    /// The execution of this height.
    Executed(Height),
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The height does not follow the parent's.
    #[error("height {found} does not follow the parent's height {parent}")]
    Height {
        /// The block's.
        found: Height,
        /// The parent's.
        parent: Height,
    },
    /// Proposed for another view.
    #[error("made for view {found}, proposed in view {expected}")]
    View {
        /// The header's.
        found: u64,
        /// The view of consensus.
        expected: u64,
    },
    /// The header names another parent.
    #[error("names another parent than consensus does")]
    Parent,
    /// The header names another proposer than the leader.
    #[error("names validator {found} as proposer, the leader is {expected}")]
    Proposer {
        /// The header's.
        found: ValidatorIndex,
        /// The leader.
        expected: ValidatorIndex,
    },
    /// Time runs backwards.
    #[error("its time lies before its parent's")]
    Time,
    /// The roots do not begin where the parent's branch ended.
    #[error("its roots begin at height {found} instead of {expected}")]
    RootsFirst {
        /// The header's.
        found: Height,
        /// The first height whose root is not carried yet.
        expected: Height,
    },
    /// A root is not ours.
    #[error("{0}")]
    Root(#[from] Divergence),
    /// Too far ahead of execution.
    #[error("too far ahead of the last state root carried")]
    RootLag,
    /// A batch that is not the next one of its stream.
    #[error("orders the batch {found} where sequence {expected} is next")]
    Sequence {
        /// The batch.
        found: BatchId,
        /// The sequence that is next.
        expected: u64,
    },
    /// A certificate without a quorum of good signatures, or for an unknown chain or author.
    #[error("the certificate of the batch {0} is not valid")]
    Certificate(BatchId),
}

/// Judges `block` as a child of `parent`. `valid_certificate` answers for one certificate.
pub(super) fn judge(
    block: &Block,
    proposal: &Proposal,
    parent: &Position,
    roots: &Roots,
    valid_certificate: impl FnMut(&Certificate) -> bool,
) -> Judgement {
    match flaw(block, proposal, parent, valid_certificate) {
        Some(flaw) => Judgement::Invalid(flaw),
        None => match roots.compare(block.header()) {
            Ok(None) => Judgement::Valid,
            Ok(Some(height)) => Judgement::Wait(Wait::Executed(height)),
            Err(divergence) => Judgement::Invalid(divergence.into()),
        },
    }
}

fn flaw(
    block: &Block,
    proposal: &Proposal,
    parent: &Position,
    mut valid_certificate: impl FnMut(&Certificate) -> bool,
) -> Option<Flaw> {
    let header = block.header();
    if header.parent != proposal.parent || header.parent != parent.digest {
        return Some(Flaw::Parent);
    }
    if header.height != parent.height.next() {
        return Some(Flaw::Height { found: header.height, parent: parent.height });
    }
    if header.view != proposal.view {
        return Some(Flaw::View { found: header.view, expected: proposal.view });
    }
    if header.proposer != proposal.leader {
        return Some(Flaw::Proposer { found: header.proposer, expected: proposal.leader });
    }
    if header.time_ms < parent.time_ms {
        return Some(Flaw::Time);
    }
    if header.roots_first != parent.roots_next {
        return Some(Flaw::RootsFirst { found: header.roots_first, expected: parent.roots_next });
    }
    if !parent.lag_allows(header.roots.len()) {
        return Some(Flaw::RootLag);
    }
    let mut previous: Option<BatchId> = None;
    for certificate in block.certificates() {
        let found = certificate.batch();
        let same_stream =
            previous.filter(|previous| (previous.chain, previous.author) == (found.chain, found.author));
        let last =
            same_stream.map_or(parent.ordered(found.chain, found.author), |previous| previous.sequence);
        if found.sequence != last.next() {
            return Some(Flaw::Sequence { found, expected: last.next().0 });
        }
        if !valid_certificate(certificate) {
            return Some(Flaw::Certificate(found));
        }
        previous = Some(found);
    }
    None
}
