//! Everything that the core thread is told.

use consensus::{Fault, Payload, ProposalContext, Reply};
use engine::order::{Finality, Proposal};
use engine::store::Durable;
use engine::types::{Digest, Head, Height, ValidatorIndex};
use engine::verify::{BatchRefusal, Verified};
use engine::wire::{Batch, PeerMessage};
use net::Permit;

/// One event for the core thread.
#[derive(Debug)]
pub enum CoreEvent {
    /// A peer is connected.
    Connected(ValidatorIndex),
    /// A peer is gone.
    Disconnected(ValidatorIndex),
    /// A peer says something. The permit returns its bytes to the peer's budget when they have been dealt with; those of a
    /// batch travel on to the verifiers.
    Peer(ValidatorIndex, PeerMessage, Permit),
    /// A verifier has decided about a batch.
    Checked {
        /// Who sent it.
        from: ValidatorIndex,
        /// Its author, sequence and digest.
        batch: (ValidatorIndex, Head),
        /// Whether its author sent it by itself.
        pushed: bool,
        /// The verdict.
        verdict: Result<Verified<Batch>, BatchRefusal>,
    },
    /// The verifiers had no room for a batch.
    Unchecked(ValidatorIndex, Digest),
    /// The journal is durable up to here.
    Durable(Durable),
    /// The mempool holds something and held nothing before.
    MempoolFilled,
    /// Consensus wants a block to be proposed.
    Propose(Proposal, Reply<Payload>),
    /// Consensus wants a proposal to be judged.
    Verify(Proposal, Digest, Reply<bool>),
    /// Consensus has a notarization: may this validator vote to finalize?
    Certify(u64, Digest, Reply<bool>),
    /// Consensus votes for our proposal now: send the block.
    Relay(Digest),
    /// Consensus has finalized.
    Finalized(Finality),
    /// Consensus has caught a peer at a fault.
    Fault(Fault),
    /// A block is executed and this is the state root after it.
    Executed(Height, Digest),
    /// A block's record is durable.
    Committed(Height),
    /// Stop: nothing after this matters.
    Stop,
}

/// Consensus speaks of 32 bytes and numbers; the ledger has names for them.
#[must_use]
pub fn proposal(context: &ProposalContext) -> Proposal {
    Proposal { view: context.view, leader: ValidatorIndex(context.leader), parent: Digest(context.parent) }
}
