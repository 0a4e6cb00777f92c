//! What can go wrong between a program and a validator, and what to do about it.

use std::time::Duration;

use engine::roots::ProofError;
use engine::types::{Digest, Height, TransactionId, Verdict};
use engine::wire::{AsOf, PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST, WireError};
use net::{ConnectError, LinkError};

/// Why a validator was not reached, did not answer, or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection was not made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was lost, or closed by the validator.
    #[error("the connection ended: {0}; connect again, and ask for your transactions by their ids")]
    Link(#[from] LinkError),
    /// Nothing came in time.
    #[error(
        "the validator sent nothing within {0:?}: it is overloaded or stopping; ask again later, or ask another one"
    )]
    Silent(Duration),
    /// The validator said why it does not talk to this client.
    #[error("the validator refuses this client: {0}")]
    Rejected(String),
    /// The validator is of another network.
    #[error(
        "the validator belongs to network {found}, not to {wanted}: check the address and the network id"
    )]
    Network {
        /// The network that was asked for.
        wanted: Digest,
        /// The network that it belongs to.
        found: Digest,
    },
    /// The validator speaks another protocol.
    #[error(
        "the validator wants to speak version {0} of the client protocol, and this program speaks versions \
         {PROTOCOL_VERSION_FIRST} to {PROTOCOL_VERSION}: use a program of its release"
    )]
    Version(u32),
    /// A frame that is not of this protocol.
    #[error("the validator sent a frame that cannot be read ({0}): is it of another release?")]
    Frame(#[from] WireError),
    /// A frame that has no place here.
    #[error("the validator does not follow the protocol: it sent {0}")]
    Unexpected(&'static str),
    /// An answer that is not of the kind that was asked for.
    #[error("the validator's answer cannot be read ({0}): is it of another release?")]
    Unreadable(String),
    /// There is no such thing in the committed ledger, as far as this validator has it.
    #[error("{reason} (at {as_of})")]
    NotFound {
        /// The validator's words.
        reason: String,
        /// The height at which it looked.
        as_of: AsOf,
    },
    /// It is older than what this validator keeps; ask one that keeps more.
    #[error("{reason} (at {as_of})")]
    BelowRetention {
        /// The validator's words.
        reason: String,
        /// Where it stands.
        as_of: AsOf,
    },
    /// The validator cannot answer now; ask again later.
    #[error("the validator cannot say now: {reason} (at {as_of})")]
    Unavailable {
        /// The validator's words.
        reason: String,
        /// Where it stands.
        as_of: AsOf,
    },
    /// A proof for strangers could not be completed in time.
    #[error(
        "the state root of height {height} is not under a finalization after {patience:?}: the network makes no \
         progress, or this validator is behind; ask again later, or ask another one"
    )]
    NotFinal {
        /// The height of which the proof speaks.
        height: Height,
        /// How long it was waited.
        patience: Duration,
    },
    /// A proof that proves nothing.
    #[error("the validator's proof of the {what} does not hold: {source}; do not rely on this validator")]
    Proof {
        /// What it was to prove.
        what: &'static str,
        /// Where it breaks.
        source: ProofError,
    },
    /// An answer to another question, or one that contradicts itself.
    #[error("the validator's answer is not about what was asked: {0}; do not rely on this validator")]
    Mismatch(&'static str),
    /// The ledger says something else than the validator told before.
    #[error(
        "the validator told that transaction {id} is {}, and now {found}; keep both as evidence and tell the operator",
        told_words(*told)
    )]
    Contradiction {
        /// The transaction.
        id: TransactionId,
        /// What was told first.
        told: Verdict,
        /// What was found later.
        found: String,
    },
    /// The operating system gave no thread or runtime.
    #[error("cannot start the client's thread: {0}")]
    Start(#[from] std::io::Error),
}

fn told_words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Committed => "committed".into(),
        Verdict::Failed(outcome) => format!("in a block without effect ({outcome})"),
        Verdict::Refused(refusal) => format!("refused ({refusal})"),
    }
}

#[cfg(test)]
mod tests;
