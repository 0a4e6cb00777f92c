//! Everything that the core thread is told.

use consensus::{Fault, Payload, ProposalContext, Reply};
use engine::order::Proposal;
use engine::replica::Input;
use engine::types::{Digest, ValidatorIndex};
use engine::wire::PeerMessage;
use net::Permit;

/// One event for the core thread.
#[derive(Debug)]
pub enum CoreEvent {
    /// Something for the replica as it is.
    Input(Input),
    /// A peer says something. The permit returns its bytes to the peer's budget when they have been dealt with; those
    /// of a batch travel on to the verifiers.
    Peer(ValidatorIndex, PeerMessage, Permit),
    /// The mempool holds something and held nothing before.
    MempoolFilled,
    /// Consensus wants a block to be proposed.
    Propose(Proposal, Reply<Payload>),
    /// Consensus wants a proposal to be judged.
    Verify(Proposal, Digest, Reply<bool>),
    /// Consensus has a notarization: may this validator vote to finalize?
    Certify(u64, Digest, Reply<bool>),
    /// Consensus has caught a peer at a fault.
    Fault(Fault),
    /// Stop: nothing after this matters.
    Stop,
}

/// Consensus speaks of 32 bytes and numbers; the ledger has names for them.
#[must_use]
pub fn proposal(context: &ProposalContext) -> Proposal {
    Proposal { view: context.view, leader: ValidatorIndex(context.leader), parent: Digest(context.parent) }
}
