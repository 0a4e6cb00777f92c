//! The scrubber: reads everything that is on the disk, slowly and again and again, and has what is rotten repaired.
//!
//! ```text
//!   journal ──▶ sectors whole? ── no ──▶ below the newest checkpoint? ── yes ──▶ put together from what is left and from
//!   votes   ──▶ sectors whole? ── no ──▶ said                    │              what others have ──▶ file beside it
//!   checkpoints ▶ digests hold? ─ no ──▶ set aside               └── no: said; after the next checkpoint
//! ```
//!
//! What has rotted is found while others still have it, and not at the start that needs it. Only the journal is
//! repaired. A vote log that lost something may have lost a vote, and nobody else knows what this validator has said.
//!
//! The thread has the lowest priority. It rests 63 times as long as it has worked, and reads no more in a second than
//! the operator lets it. What a round has come to is forgotten with the process.

mod asking;
mod progress;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::order::FinalityVerifier;
use engine::replica::{CheckpointMark, MendError, Mender};
use engine::store::{Log, Position, Repaired, Rot};
use engine::types::Height;

pub use self::asking::{Asking, Stored};
pub use self::progress::Progress;
use self::told::Told;
use super::checkpoints::{self, PIECE_BYTES, Pace};
use super::shared::Shared;

/// Bytes of batches in one repair: some segments of the journal.
const REPAIR_BYTES_MAX: usize = 256 << 20;
/// The rest between two rounds.
const ROUND_REST: Duration = Duration::from_secs(10);

/// Reads and repairs.
pub struct Scrubber {
    pub shared: Arc<Shared>,
    pub votes: Arc<Log>,
    pub files: checkpoints::Directory,
    pub certificates: Arc<dyn FinalityVerifier + Send + Sync>,
    /// Those who have the same blocks; how many of them must say the same.
    pub asking: Asking,
    pub agree: usize,
    /// Bytes that are read in a second at most.
    pub rate: u64,
}

/// A stretch that cannot be read, and what is wrong there.
type Found = (Rot, String);

impl Scrubber {
    /// Scrubs until the validator stops.
    pub fn run(mut self) {
        lowest_priority();
        let (shared, mut told) = (self.shared.clone(), Told::default());
        let stopping = || shared.stopping.load(Relaxed);
        let mut pace = Pace::scrubbing(&shared.clock, &stopping, self.rate);
        while self.round(&mut pace, &mut told).is_some() {
            let until = shared.clock.now() + ROUND_REST;
            while shared.clock.now() < until {
                if stopping() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }

    /// One round over everything; `None` where the validator stops.
    fn round(&mut self, pace: &mut Pace<'_>, told: &mut Told) -> Option<()> {
        let shared = self.shared.clone();
        let left_out = told.begin(shared.clock.now());
        if left_out > 0 {
            tracing::error!(left_out, "more places of the disk are rotten than are named here");
        }
        let checkpoints = self.files.newest_first().unwrap_or_default();
        let of_checkpoints: u64 = checkpoints.iter().map(|height| self.files.bytes(*height)).sum();
        shared.scrub.begin(kept(&shared.journal) + kept(&self.votes) + of_checkpoints);
        let rotten = self.read(&shared.journal.clone(), pace)?;
        let left = self.mend(&rotten, pace, told)?;
        let votes = self.read(&self.votes, pace)?;
        for (rot, wrong) in &votes {
            let what =
                format!("the vote log cannot be read between {} and {}", rot.from.raw(), rot.until.raw());
            let more = format!(
                "{wrong}. It is never repaired from others, for it may have a vote that nobody else knows. Leave this \
                 validator running: only a start reads it, and old votes are released in time. If it has to be started \
                 before that, treat its votes as lost"
            );
            told.tell(&what, &more, shared.clock.now());
        }
        let mut are_whole = true;
        for height in checkpoints {
            are_whole &= self.checkpoint(height, pace)?;
        }
        let (rotten, repaired) = (left + votes.len() as u64, shared.journal.repairs().len() as u64);
        let bytes = shared.scrub.end(rotten, repaired);
        if shared.scrub.answer().rounds == 1 && rotten == 0 && are_whole {
            tracing::info!(
                mib = bytes >> 20,
                repaired,
                "everything on the disk was read, and nothing is rotten"
            );
        }
        Some(())
    }

    /// Reads all of a log; what cannot be read.
    fn read(&self, log: &Log, pace: &mut Pace<'_>) -> Option<Vec<Found>> {
        let (mut replay, mut found) = (log.scrub(), Vec::new());
        let (mut at, mut since) = (replay.next_position().raw(), 0);
        loop {
            match replay.next() {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let Some(rot) = replay.skip_rot() else { break };
                    // What was released meanwhile may have been taken into use again.
                    if rot.until > log.released() {
                        found.push((rot, error.to_string()));
                    }
                }
            }
            let now_at = replay.next_position().raw();
            since += now_at.saturating_sub(at);
            at = now_at.max(at);
            if since >= PIECE_BYTES as u64 {
                self.shared.scrub.read(since);
                pace.rest(std::mem::take(&mut since)).ok()?;
            }
        }
        self.shared.scrub.read(since);
        Some(found)
    }

    /// Has stretches of the journal repaired; how many cannot be.
    fn mend(&mut self, rotten: &[Found], pace: &mut Pace<'_>, told: &mut Told) -> Option<u64> {
        if rotten.is_empty() {
            return Some(0);
        }
        let (mut left, shared) = (0, self.shared.clone());
        let mender = Mender {
            reader: shared.reader(),
            certificates: &*self.certificates,
            epochs: &shared.epochs,
            agree: self.agree,
            settled: self.settled(),
            boots: shared.boots(),
            room: REPAIR_BYTES_MAX,
        };
        let rots: Vec<_> = rotten.iter().map(|(rot, _)| rot.clone()).collect();
        let wrong: BTreeMap<_, _> = rotten.iter().map(|(rot, wrong)| (rot.from, wrong)).collect();
        let mut is_stopped = false;
        mender.mend(&rots, &mut self.asking.resting(pace), &mut |rot, repair| {
            let wrong = wrong[&rot.from];
            let more = match repair.map(|repair| shared.journal.repair(&repair)) {
                Ok(Ok(Repaired { file, records, .. })) => {
                    let file = file.display();
                    format!(
                        "{wrong}. It is repaired: what stood there, {records} records, is read from {file} from now on. Look \
                         at the disk"
                    )
                }
                Err(MendError::Stopped) => {
                    is_stopped = true;
                    return;
                }
                Ok(Err(error)) => {
                    left += 1;
                    format!("{wrong}. Its repair cannot be written: {error}")
                }
                Err(error) => {
                    left += 1;
                    format!("{wrong}. It is not repaired yet: {error}")
                }
            };
            told.tell(&stretch(&shared, rot), &more, shared.clock.now());
        });
        (!is_stopped).then_some(left)
    }

    /// The newest checkpoint; where there is none, the genesis, below which nothing stands.
    fn settled(&self) -> CheckpointMark {
        let newest = self.files.marks().ok().and_then(|marks| marks.last().copied());
        newest.unwrap_or(CheckpointMark { height: Height(0), replay_from: Position::from_raw(0), time_ms: 0 })
    }

    /// Whether a checkpoint is whole, or gone meanwhile. One that is not is set aside, as a start would do it.
    fn checkpoint(&self, height: Height, pace: &Pace<'_>) -> Option<bool> {
        let bytes = self.files.bytes(height);
        let read = match self.files.read_back(height, *pace) {
            // A disk may say something else the second time.
            Err(error) if checkpoints::is_damage(&error) => self.files.read_back(height, *pace),
            read => read,
        };
        if self.shared.stopping.load(Relaxed) {
            return None;
        }
        self.shared.scrub.read(bytes);
        match read {
            Err(error) if checkpoints::is_damage(&error) => {
                self.files.set_aside(height);
                tracing::error!(
                    "the checkpoint of height {height} has rotted ({error}): its file is set aside. Look at the disk"
                );
                Some(false)
            }
            Err(error) if self.files.file(height).exists() => {
                tracing::error!(
                    "the checkpoint of height {height} cannot be read ({error}). Look at the disk"
                );
                Some(false)
            }
            _ => Some(true),
        }
    }
}

/// What a stretch of the journal is to a person.
fn stretch(shared: &Shared, rot: &Rot) -> String {
    let [first, behind] = [rot.from, rot.until].map(|position| shared.index.first_from(position));
    let records = match behind.0.saturating_sub(first.0) {
        0 => "without the record of a block".to_owned(),
        1 => format!("with the record of height {first}"),
        count => format!("with the records of heights {first} to {}", first.0 + count - 1),
    };
    let (from, until) = (rot.from.raw(), rot.until.raw());
    format!("the journal cannot be read between {from} and {until}, {records}")
}

/// Bytes that a log has for good.
fn kept(log: &Log) -> u64 {
    log.next().raw().saturating_sub(log.released().raw())
}

/// Has the system run this thread when it has nothing else to do. Where that is refused, its rests remain.
fn lowest_priority() {
    // SAFETY: the call takes numbers only, and on Linux speaks of the calling thread.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}
