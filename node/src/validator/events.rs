//! Everything that the core is told.

use consensus::{Fault, Finalization, ProposalContext, Reply};
use engine::order::Proposal;
use engine::types::{BatchId, Digest, Height, ValidatorIndex};
use engine::verify::Verified;
use engine::wire::{Batch, PeerMessage};
use net::Permit;

/// One event for the core thread.
#[derive(Debug)]
pub enum CoreEvent {
    /// A peer is connected.
    Connected(ValidatorIndex),
    /// A peer is gone.
    Disconnected(ValidatorIndex),
    /// A peer says something that needs no signature check of transactions. The permit returns its bytes to the peer's
    /// budget when the core is done with it.
    Peer(ValidatorIndex, PeerMessage, Permit),
    /// Every signature of a peer's batch is good.
    BatchVerified {
        /// Who sent it: the author, or a peer that was asked for it.
        from: ValidatorIndex,
        /// The batch.
        batch: Verified<Batch>,
    },
    /// A batch of this validator or of a peer is in the journal, durably.
    BatchDurable(BatchId, Digest),
    /// The mempool holds something and held nothing before.
    MempoolFilled,
    /// Consensus wants a block to be proposed.
    Propose(Proposal, Reply<consensus::Payload>),
    /// Consensus wants a proposal to be judged.
    Judge(Proposal, Digest, Reply<bool>),
    /// Consensus votes for our proposal now: send the body.
    Relay(Digest),
    /// Consensus has finalized.
    Finalized(Finalization),
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
