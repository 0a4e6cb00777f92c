//! What the threads of one validator share. Each thread owns its own state; this is everything else.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::ingress::Submission;
use engine::mempool::Mempools;
use engine::replica::{BlockIndex, Boot, Boots, Checkpoint, Epochs, Held, Hints, JournalReader, Retention};
use engine::store::Log;
use engine::types::{Genesis, Refusal, ValidatorIndex, Verdict};
use engine::wire::Standing;

use super::alarms::Board;
use super::catch_up::CatchUp;
use super::checking::Checking;
use super::clock::Clock;
use super::counters::Counters;
use super::damage::Damage;
use super::rules::ProposedRules;
use super::scrub;
use super::sessions::{Clients, verdicts};

/// Shared by all threads of one validator.
pub struct Shared {
    /// The network.
    pub genesis: Arc<Genesis>,
    /// This validator.
    pub me: ValidatorIndex,
    /// Its name.
    pub name: String,
    /// Whether it is a member of the present epoch.
    pub standing: Standing,
    /// The epochs up to the present one.
    pub epochs: Epochs,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The journal.
    pub journal: Arc<Log>,
    /// Where its committed blocks stand.
    pub index: BlockIndex,
    /// In which blocks transactions probably are.
    pub hints: Hints,
    /// Verified transactions that wait, one queue for each chain.
    pub mempools: Arc<Mempools>,
    /// Set by a verifier that has told the core that the mempools hold something, until the core has heard it.
    pub filled: AtomicBool,
    /// Who is connected.
    pub clients: Clients,
    /// Tells of damage of the journal.
    pub damage: Damage,
    /// How far the scrubber is.
    pub scrub: scrub::Progress,
    /// The starts that the journal remembers.
    pub boots: Mutex<Boots>,
    /// The checkpoints that peers are fetching.
    pub held: Mutex<Held>,
    /// How much of the journal is kept.
    pub retention: Mutex<Retention>,
    /// What administrators ask for.
    pub rules: ProposedRules,
    /// What an operator is to look at.
    pub alarms: Board,
    /// Who checks signatures, here and elsewhere.
    pub checking: Checking,
    /// What the status says of a catch-up by state.
    pub catch_up: CatchUp,
    /// Set when a state was fetched from which the next start goes on: the validator ends and starts again.
    pub starts_again: AtomicBool,
    /// The newest checkpoint that was captured and not written when the validator stopped.
    pub unwritten: Mutex<Option<Checkpoint>>,
    /// Set when the validator stops: what takes long for others is given up.
    pub stopping: AtomicBool,
}

impl Shared {
    /// The journal gets a record of a start, or of a loss.
    pub fn note_boot(&self, boot: Boot) {
        self.boots.lock().unwrap_or_else(PoisonError::into_inner).note(boot);
    }

    /// The checkpoints that peers are fetching.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of the journal is kept.
    pub fn retention(&self) -> Retention {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader of the journal.
    pub fn reader(&self) -> JournalReader<'_, Log> {
        JournalReader { records: &*self.journal, index: &self.index, network: self.genesis.network() }
    }

    /// The starts that the journal remembers.
    pub fn boots(&self) -> Boots {
        *self.boots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a checkpoint that was not written for the next start, unless there is a newer one.
    pub fn leave(&self, checkpoint: Checkpoint) {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        if unwritten.as_ref().is_none_or(|other| other.height() < checkpoint.height()) {
            *unwritten = Some(checkpoint);
        }
    }

    /// Tells a client that its submission was refused whole.
    pub fn turn_away(&self, submission: &Submission, refusal: Refusal) {
        let notices = verdicts(submission.tag, &submission.packets, Verdict::Refused(refusal));
        self.counters.refuse(refusal.name(), notices.len() as u64);
        self.clients.notify(submission.connection, notices);
    }
}
