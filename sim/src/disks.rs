//! The disks of one validator, and the log of its votes as consensus sees it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use consensus::SyncDone;
use engine::replica::{Boot, Boots, KIND_BOOT};
use engine::store::simulated::{Fate, SimulatedDisk, SimulatedLog};
use engine::store::{LogKind, Options, Owner, Position, StoreError};
use engine::types::Support;
use engine::wire::PeerVersion;

use crate::bell::{Call, Rope};
use crate::chance::Chance;
use crate::checkpoints::Files;

/// Kind of the records of consensus in its own log.
const KIND_CONSENSUS: u8 = 1;
/// Small, because a simulator has many logs in memory. The record of a full block fits in which every transaction
/// fails.
const GROUP_BYTES: usize = 512 << 10;
const SEGMENT_BYTES: u64 = 1 << 20;

/// How logs are opened.
pub(crate) fn options(network: [u8; 32], log: LogKind) -> Options {
    // A disk is never given to another validator.
    let owner = Owner { network, validator: [0; 32], log };
    Options { group_bytes: GROUP_BYTES, segment_bytes: SEGMENT_BYTES, ..Options::new(owner) }
}

/// What stays when a validator is gone.
#[derive(Clone, Default)]
pub(crate) struct Disks {
    pub(crate) journal: SimulatedDisk,
    pub(crate) votes: SimulatedDisk,
    pub(crate) checkpoints: Files,
    pub(crate) release: Release,
}

/// Which release of the program is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Release {
    /// The one before it, which speaks the first version with its peers.
    Last,
    /// This one.
    #[default]
    Present,
    /// The one after it, which runs the rules after the last ones as well.
    Next,
}

impl Release {
    /// The rules that it runs.
    pub(crate) fn support(self) -> Support {
        match self {
            Self::Last | Self::Present => Support::OURS,
            Self::Next => Support::TRIAL,
        }
    }

    /// The newest version that it speaks with its peers.
    pub(crate) fn speaks(self) -> PeerVersion {
        match self {
            Self::Last => PeerVersion::FIRST,
            Self::Present | Self::Next => PeerVersion::LAST,
        }
    }
}

impl Disks {
    /// Copies, to be put back later.
    pub(crate) fn copy(&self) -> Self {
        let checkpoints = self.checkpoints.copy();
        let (journal, votes) = (self.journal.copy(), self.votes.copy());
        Self { journal, votes, checkpoints, release: self.release }
    }

    /// Cuts the power. Each unsynced sector arrives whole, in part or not at all.
    pub(crate) fn cut_power(&self, chance: &mut Chance) {
        let lost = chance.of(&[0, 300, 700, 1_000]);
        self.lose_unsynced(lost, chance);
    }

    /// Cuts the power. So many of a thousand unsynced sectors are lost, and some of the others are torn.
    pub(crate) fn lose_unsynced(&self, lost: u64, chance: &mut Chance) {
        self.checkpoints.cut_power();
        for disk in [&self.journal, &self.votes] {
            disk.crash(|| match chance.within(0..1_000) {
                drawn if drawn < lost => Fate::Lost,
                drawn if drawn % 10 == 0 => Fate::Torn(chance.below(4_096)),
                _ => Fate::Kept,
            });
        }
    }
}

/// The memory of consensus; the same as the node's, on a simulated disk.
pub(crate) struct VoteLog {
    pub(crate) log: SimulatedLog,
    rope: Rope,
    boot: Mutex<Option<Boot>>,
    /// A broken rule: syncs are done before they have begun.
    hasty: bool,
    /// What may go once the record at a position is durable.
    releases: Mutex<Vec<(Position, u64)>>,
}

/// What the log of votes remembers.
pub(crate) struct Votes {
    pub(crate) log: Arc<VoteLog>,
    pub(crate) replay: consensus::Replay,
    pub(crate) boots: Boots,
}

impl VoteLog {
    pub(crate) fn open(
        disk: &SimulatedDisk,
        network: [u8; 32],
        rope: Rope,
        hasty: bool,
    ) -> Result<Votes, String> {
        let (log, records) =
            SimulatedLog::open(disk, &options(network, LogKind::Votes)).map_err(|error| error.to_string())?;
        let (mut replay, mut boots) = (consensus::Replay::new(), Boots::default());
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            match record.kind {
                KIND_BOOT => boots.note(Boot::decode(&record.bytes).map_err(|error| error.to_string())?),
                _ => replay.record(record.position.raw(), &record.bytes),
            }
        }
        Ok(Votes {
            log: Arc::new(Self { log, rope, boot: Mutex::default(), hasty, releases: Mutex::default() }),
            replay,
            boots,
        })
    }

    /// Completes a sync, and releases what is not needed any more. True if more is in flight.
    pub(crate) fn complete(&self) -> bool {
        let durable = self.log.complete();
        let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, before) in releases.extract_if(.., |(position, _)| durable.covers(*position)) {
            self.log.release(Position::from_raw(before));
            self.rope.pull(Call::Pruned);
        }
        self.log.submit()
    }

    /// Remembers the boot of this run, durably.
    pub(crate) fn boot(&self, number: u64, lost: bool) -> Result<(), StoreError> {
        let boot = Boot::of_votes(number, lost);
        self.log.append(KIND_BOOT, &[&boot.encode()])?;
        self.log.settle();
        *self.boot_of_this_run() = Some(boot);
        self.log.failure().map_or(Ok(()), Err)
    }

    /// Votes of earlier runs are lost, as others have shown.
    pub(crate) fn lost(&self) -> Result<(), StoreError> {
        if let Some(boot) = &mut *self.boot_of_this_run() {
            boot.lost = true;
            self.log.append(KIND_BOOT, &[&boot.encode()])?;
            self.log.settle();
        }
        self.log.failure().map_or(Ok(()), Err)
    }

    /// Something above the floor of this run is final: if votes were lost, that is made good.
    pub(crate) fn made_good(&self) {
        if let Some(boot) = &mut *self.boot_of_this_run()
            && boot.lost
        {
            boot.lost = false;
            let _reported = self.log.append(KIND_BOOT, &[&boot.encode()]);
        }
    }

    fn boot_of_this_run(&self) -> MutexGuard<'_, Option<Boot>> {
        self.boot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl consensus::Store for VoteLog {
    fn append(&self, record: &[u8]) -> io::Result<u64> {
        self.log.append(KIND_CONSENSUS, &[record]).map(Position::raw).map_err(io::Error::other)
    }

    fn sync(&self, position: u64, done: SyncDone) {
        if self.hasty {
            return done(Ok(()));
        }
        let done = Box::new(move |outcome: Result<_, StoreError>| {
            done(outcome.map(|_| ()).map_err(io::Error::other));
        });
        self.log.on_durable(Position::from_raw(position), done);
        self.rope.pull(Call::Sync);
    }

    fn release(&self, before: u64) {
        let Some(boot) = *self.boot_of_this_run() else { return };
        let Ok(position) = self.log.append(KIND_BOOT, &[&boot.encode()]) else { return };
        self.releases.lock().unwrap_or_else(PoisonError::into_inner).push((position, before));
        self.rope.pull(Call::Sync);
    }
}
