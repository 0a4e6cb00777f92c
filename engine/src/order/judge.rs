//! Whether to vote for a proposed block.
//!
//! What makes a block permanently invalid is a [`Flaw`]; what may still arrive is a [`Wait`]. Consensus asks once for
//! each view, so the two must never be confused.

use thiserror::Error;

use super::quotas::Share;
use super::{Divergence, NextMembers, OverQuota, Position, Quotas, Roots};
use crate::availability::{Gap, Stream};
use crate::limits::{BLOCK_BATCHES_MAX, BLOCK_PACKETS_MAX, DECISION_LAG, TIME_AHEAD_MAX_MS};
use crate::types::{Digest, Epoch, Head, Height, ValidatorIndex};
use crate::wire::Block;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The block with this digest.
    Block(Digest),
    /// The execution of this height.
    Executed(Height),
    /// Batches: for each author with a gap, what is there and the head that is missing.
    Batches(Vec<(ValidatorIndex, Head)>),
    /// This validator's own clock.
    Time,
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The height does not follow the parent's.
    #[error("height {found} does not follow the parent's height {parent}")]
    Height {
        /// The height in the header.
        found: Height,
        /// The height of the parent.
        parent: Height,
    },
    /// Proposed in another epoch.
    #[error("made in epoch {found}, proposed in epoch {expected}")]
    Epoch {
        /// The epoch in the header.
        found: Epoch,
        /// That of the parent.
        expected: Epoch,
    },
    /// Proposed for another view.
    #[error("made for view {found}, proposed in view {expected}")]
    View {
        /// The view in the header.
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
        /// The proposer in the header.
        found: ValidatorIndex,
        /// The leader of the view.
        expected: ValidatorIndex,
    },
    /// It follows the last block of the epoch.
    #[error("follows the last block of the epoch")]
    AfterLast,
    /// It ends the epoch where it goes on, or the other way round, or for other validators than were decided.
    #[error("names other validators of the next epoch than were decided")]
    NextMembers,
    /// Time runs backwards.
    #[error("its time lies before its parent's")]
    Time,
    /// The roots do not begin where the parent's branch ended.
    #[error("its roots begin at height {found} instead of {expected}")]
    RootsFirst {
        /// The first height in the header.
        found: Height,
        /// The first height whose root is not carried yet.
        expected: Height,
    },
    /// Its log is not that of the headers below it.
    #[error("its log is not that of all earlier headers")]
    Log,
    /// A root is not ours.
    #[error("{0}")]
    Root(#[from] Divergence),
    /// It takes batches, too far ahead of execution.
    #[error("takes batches too far ahead of the last state root carried")]
    RootLag,
    /// A cut of another number of streams than there are validators.
    #[error("cuts {0} streams, the network has another number of validators")]
    CutLength(usize),
    /// A head that does not extend the parent's.
    #[error("the cut of validator {0} does not extend the parent's")]
    Cut(ValidatorIndex),
    /// More batches than a block may take.
    #[error("takes {0} batches, more than {BLOCK_BATCHES_MAX}")]
    Batches(u64),
    /// More transactions than a block may take, counted in the batches that are here.
    #[error("takes {0} packets, more than {BLOCK_PACKETS_MAX}")]
    Packets(u64),
    /// More of one chain than its quota, counted in the batches that are here.
    #[error("{0}")]
    Quota(#[from] OverQuota),
}

/// What this validator has executed.
pub(super) struct Executed<'a> {
    pub roots: &'a Roots,
    pub quotas: &'a Quotas,
    /// The last height that is executed.
    pub executed: Height,
    pub next_members: NextMembers,
}

/// Judges `block` as a child of `parent`, which is not the last of its epoch. `unix_ms` is this validator's own clock.
pub(super) fn judge(
    block: &Block,
    proposal: &Proposal,
    parent: &Position,
    known: &Executed<'_>,
    streams: &[Stream],
    unix_ms: u64,
) -> Judgement {
    let Executed { roots, quotas, executed, next_members } = *known;
    if let Some(flaw) = header_flaw(block, proposal, parent) {
        return Judgement::Invalid(flaw);
    }
    match roots.compare(block.header()) {
        Err(divergence) => return Judgement::Invalid(divergence.into()),
        Ok(Some(height)) => return Judgement::Wait(Wait::Executed(height)),
        Ok(None) => {}
    }
    // A block that carries the root of the height in which validators were decided has been executed so far here.
    if block.header().next_members != next_members.due(parent.roots_next, block.header().roots.len()) {
        return Judgement::Invalid(Flaw::NextMembers);
    }
    // Whether the quotas of this height are known: what is decided about it was decided so many heights before.
    if block.header().cut != parent.cut && executed.0 + DECISION_LAG < block.height().0 {
        return Judgement::Wait(Wait::Executed(Height(block.height().0 - DECISION_LAG)));
    }
    let time_ms = block.header().time_ms;
    if time_ms > parent.time_ms && time_ms > unix_ms.saturating_add(TIME_AHEAD_MAX_MS) {
        return Judgement::Wait(Wait::Time);
    }
    judge_cut(block, parent, quotas, streams)
}

fn header_flaw(block: &Block, proposal: &Proposal, parent: &Position) -> Option<Flaw> {
    let header = block.header();
    if header.parent != proposal.parent || header.parent != parent.digest {
        return Some(Flaw::Parent);
    }
    if header.height != parent.height.next() {
        return Some(Flaw::Height { found: header.height, parent: parent.height });
    }
    if header.epoch != parent.epoch {
        return Some(Flaw::Epoch { found: header.epoch, expected: parent.epoch });
    }
    if header.view != proposal.view {
        return Some(Flaw::View { found: header.view, expected: proposal.view });
    }
    if header.proposer != proposal.leader {
        return Some(Flaw::Proposer { found: header.proposer, expected: proposal.leader });
    }
    if header.log != parent.log {
        return Some(Flaw::Log);
    }
    if header.time_ms < parent.time_ms {
        return Some(Flaw::Time);
    }
    if header.roots_first != parent.roots_next {
        return Some(Flaw::RootsFirst { found: header.roots_first, expected: parent.roots_next });
    }
    if header.cut.len() != parent.cut.len() {
        return Some(Flaw::CutLength(header.cut.len()));
    }
    if header.cut != parent.cut && !parent.lag_allows(header.roots.len()) {
        return Some(Flaw::RootLag);
    }
    let mut batches = 0_u64;
    for (author, (from, to)) in parent.cut.iter().zip(&header.cut).enumerate() {
        let author = ValidatorIndex(author as u16);
        if to.sequence < from.sequence || (to.sequence == from.sequence && to != from) {
            return Some(Flaw::Cut(author));
        }
        batches = batches.saturating_add(to.sequence.0 - from.sequence.0);
    }
    (batches > BLOCK_BATCHES_MAX as u64).then_some(Flaw::Batches(batches))
}

fn judge_cut(block: &Block, parent: &Position, quotas: &Quotas, streams: &[Stream]) -> Judgement {
    let mut missing = Vec::new();
    let mut packets = 0_u64;
    let mut taken = Vec::new();
    for (author, ((from, to), stream)) in parent.cut.iter().zip(block.cut()).zip(streams).enumerate() {
        let author = ValidatorIndex(author as u16);
        match stream.path(from, to) {
            Ok(batches) => {
                packets += batches.iter().map(|batch| batch.packets().len() as u64).sum::<u64>();
                taken.extend(batches);
            }
            Err(Gap::Missing(head)) => missing.push((author, head)),
            Err(Gap::Leaves) => return Judgement::Invalid(Flaw::Cut(author)),
        }
    }
    if packets > BLOCK_PACKETS_MAX as u64 {
        return Judgement::Invalid(Flaw::Packets(packets));
    }
    if !missing.is_empty() {
        return Judgement::Wait(Wait::Batches(missing));
    }
    let mut share = Share::new(quotas, block.height());
    match taken.iter().try_for_each(|batch| share.take(batch)) {
        Ok(()) => Judgement::Valid,
        Err(over) => Judgement::Invalid(over.into()),
    }
}
