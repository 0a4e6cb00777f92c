//! What one validator's engine is started with, and why it may refuse.

use std::{io, path::PathBuf, time::Duration};

use crate::{CertificateError, FIRST_EPOCH, Finalization, Payload, ReplayError};

/// One validator's engine.
#[derive(Clone)]
pub struct Config {
    /// Identifies the network: part of everything that is signed.
    pub network: [u8; 32],
    /// Counts the sets of validators that the network has had before. It is part of every vote, and views begin anew
    /// with each. **A validator that has entered one never votes in an earlier one again**: its owner enters one only
    /// when the last payload of the epoch before is final, and that is durable.
    pub epoch: u64,
    /// What the first payload of this epoch extends: the network id in the first one, then the last payload of the
    /// epoch before.
    pub root: Payload,
    /// The Ed25519 public keys of the epoch's validators. A validator's index is its place in this list.
    pub validators: Vec<[u8; 32]>,
    /// The seed of this validator's own Ed25519 key; its public key must be in `validators`.
    pub signing_seed: [u8; 32],
    /// `false`: follow, without a vote. Such an engine takes and announces what the others finalize, and is asked to
    /// verify and certify, but signs nothing. No validator uses it today; it is there for observers.
    pub votes: bool,
    /// A payload of this epoch that is known to be final, to start from instead of the root.
    ///
    /// Nothing at or below its view is voted on. If the store holds a higher finalization, that one counts. The floor
    /// is recorded, so a later start need not name it.
    ///
    /// This is how a validator that lost its records comes back, because **one that starts below a view in which it
    /// has voted may vote there a second time**. It learns the [`crate::Handle::view`] of 2f+1 others; let V be the
    /// highest answer. It cannot have voted above V + 1, so it starts from a finalization at V + 2 or above.
    pub floor: Option<Finalization>,
    /// How long to wait for what.
    pub timing: Timing,
    /// Records written since the last compaction before the next one starts, in bytes.
    pub compact_after_bytes: u64,
    /// How many views below the finalized one are kept, for peers that lag.
    pub views_kept: u64,
}

impl Config {
    /// A configuration of the first epoch, with the defaults for everything that has one.
    pub fn new(network: [u8; 32], validators: Vec<[u8; 32]>, signing_seed: [u8; 32]) -> Self {
        Self {
            network,
            epoch: FIRST_EPOCH,
            root: network,
            validators,
            signing_seed,
            votes: true,
            floor: None,
            timing: Timing::default(),
            compact_after_bytes: 4 << 20,
            views_kept: 128,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("epoch", &self.epoch)
            .field("validators", &self.validators.len())
            .field("votes", &self.votes)
            .field("floor", &self.floor.as_ref().map(Finalization::view))
            .field("timing", &self.timing)
            .field("compact_after_bytes", &self.compact_after_bytes)
            .field("views_kept", &self.views_kept)
            .finish_non_exhaustive()
    }
}

/// The patience of an engine. Safety never depends on it; all validators should use similar values.
///
/// The defaults suit validators whose cores and links are not overloaded. Where many share a few cores, all of these
/// must be longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a leader may take to propose.
    pub leader_timeout: Duration,
    /// How long a view may take to be certified here, [`crate::Application::verify`] and
    /// [`crate::Application::certify`] together, before this validator votes to skip it; longer than `leader_timeout`,
    /// and than almost every sync of the disk.
    pub certification_timeout: Duration,
    /// How often a vote to skip is repeated. Recovers votes that were lost before peers were connected.
    pub retry: Duration,
    /// A leader not heard of for this long, while a quorum was, is skipped at once instead of after
    /// `leader_timeout`; longer than `certification_timeout` and `retry`. `None`: never.
    pub skip_after: Option<Duration>,
    /// How long a notarization or finalization waits before it is broadcast, because everybody can make it from the
    /// votes and a later finalization makes it useless; shorter than `leader_timeout`. Zero: it does not wait.
    pub certificate_delay: Duration,
    /// How long a peer may take to answer a request for a missing certificate.
    pub fetch_timeout: Duration,
    /// The pause before such a request is repeated to another peer.
    pub fetch_retry: Duration,
    /// How long nothing is taken from a peer that sent something invalid.
    pub block_for: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            leader_timeout: Duration::from_millis(400),
            certification_timeout: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            skip_after: Some(Duration::from_millis(2500)),
            certificate_delay: Duration::from_millis(100),
            fetch_timeout: Duration::from_secs(1),
            fetch_retry: Duration::from_millis(100),
            block_for: Duration::from_secs(60),
        }
    }
}

impl Timing {
    /// The patience for a network of so many: longer the more there are, since many of them often share a machine.
    #[must_use]
    pub fn for_validators(validators: usize) -> Self {
        let share = Duration::from_millis(50) * validators as u32;
        let default = Self::default();
        Self {
            leader_timeout: default.leader_timeout + share,
            certification_timeout: default.certification_timeout + share,
            skip_after: default.skip_after.map(|skip| skip + 2 * share),
            ..default
        }
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        let rules = [
            (!self.leader_timeout.is_zero(), "leader_timeout must not be zero"),
            (
                self.certification_timeout > self.leader_timeout,
                "certification_timeout must be longer than leader_timeout",
            ),
            (!self.retry.is_zero(), "retry must not be zero"),
            (
                self.skip_after.is_none_or(|skip| skip > self.certification_timeout && skip > self.retry),
                "skip_after must be longer than certification_timeout and retry",
            ),
            (
                self.certificate_delay < self.leader_timeout,
                "certificate_delay must be shorter than leader_timeout",
            ),
            (!self.fetch_timeout.is_zero(), "fetch_timeout must not be zero"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(StartError::Timing(rule)),
            None => Ok(()),
        }
    }
}

/// Why an engine was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No validators, or more than an engine can serve.
    #[error("a committee of {validators} validators: there must be 1 to {max}")]
    CommitteeSize {
        /// How many were given.
        validators: usize,
        /// The most there may be.
        max: usize,
    },
    /// A public key that is not one.
    #[error("the public key of validator {validator} is not a valid Ed25519 key")]
    InvalidKey {
        /// Whose key.
        validator: usize,
    },
    /// Two validators share a key.
    #[error("two validators have the same public key")]
    DuplicateKey,
    /// The signing key belongs to none of the validators.
    #[error("the signing key belongs to none of the validators")]
    NotAMember,
    /// The inbox was made for another number of validators.
    #[error("the inbox was made for {inbox} validators, the committee has {committee}")]
    InboxSize {
        /// The inbox's number.
        inbox: usize,
        /// The committee's number.
        committee: usize,
    },
    /// Contradictory timing.
    #[error("timing: {0}")]
    Timing(&'static str),
    /// The floor is not one of this network.
    #[error("the floor is not final in this network: {0}")]
    Floor(CertificateError),
    /// `views_kept` is zero.
    #[error("views_kept must not be zero")]
    ViewsKept,
    /// The records of an earlier run cannot be used.
    #[error("the consensus records cannot be replayed: {0}")]
    Replay(#[from] ReplayError),
    /// The scratch directory cannot be made.
    #[error("the scratch directory {path} cannot be used: {error}")]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The first record was refused by the store.
    #[error("the store refused the first consensus record: {0}")]
    Store(io::Error),
    /// The operating system refused a thread.
    #[error("no thread for consensus: {0}")]
    Thread(io::Error),
}
