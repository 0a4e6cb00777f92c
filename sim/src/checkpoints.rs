//! Checkpoints of one validator, taken as the node takes them, and kept as files are: whole or not at all. Some
//! validators prune their journals at them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::execute::{Chains, Delta};
use engine::order::{FinalityVerifier, Roots};
use engine::replica::{
    BlockIndex, Boots, Checkpoint, CheckpointDue, CheckpointError, CheckpointMark, Held, JournalReader,
    Keeper, Recovered, Recovery, RecoveryError, Restored, Retention, RetentionPlan, Schedule, Start,
    ValidatorId,
};
use engine::roots::{CommittedView, Ledger, StateRoot};
use engine::store::simulated::SimulatedLog;
use engine::store::{Position, Replay};
use engine::types::{Digest, Height};

use crate::rules::Rule;
use crate::states::Fetched;
use crate::validator::Replayed;

/// A checkpoint is due after so many heights, or bytes of batches: often, because runs are short.
pub(crate) const SCHEDULE: (u64, u64) = (4, 8 << 10);
/// Those that prune their journals keep so many heights: what a validator asks for that is not far behind.
const HEIGHTS_KEPT: u64 = 48;
/// The same where everyone prunes, so that a validator that was away for a while finds nobody who keeps what it needs.
const FEW_HEIGHTS_KEPT: u64 = 24;
/// Where every journal begins.
const GENESIS: CheckpointMark =
    CheckpointMark { height: Height(0), replay_from: Position::from_raw(0), time_ms: 0 };

/// How much of its journal a validator keeps. Every other one keeps everything, so that the others can catch up from it
/// by blocks, unless everyone prunes.
pub(crate) fn retention(me: usize, everyone_prunes: bool) -> Retention {
    let at_most =
        |heights| Retention { heights: Some(heights), heights_min: heights, ..Retention::default() };
    match (everyone_prunes, me % 2) {
        (true, _) => at_most(FEW_HEIGHTS_KEPT),
        (false, 0) => Retention::default(),
        (false, _) => at_most(HEIGHTS_KEPT),
    }
}

/// The files of a validator.
#[derive(Clone, Default)]
pub(crate) struct Files(Arc<Mutex<Directory>>);

#[derive(Clone)]
pub(crate) struct Directory {
    /// Oldest first.
    files: Vec<(CheckpointMark, Vec<u8>)>,
    /// Where the journal was pruned.
    base: CheckpointMark,
    /// How often the power was cut.
    power_cuts: usize,
    /// What is there of a state that others have.
    pub(crate) fetched: Option<Fetched>,
    /// Those that peers are fetching. A process that ends forgets them.
    pub(crate) held: Held,
}

impl Default for Directory {
    fn default() -> Self {
        Self { files: Vec::new(), base: GENESIS, power_cuts: 0, fetched: None, held: Held::default() }
    }
}

impl Files {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Directory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy, to be put back later.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// The journal begins with this one: there are no others.
    pub(crate) fn begin_with(&self, checkpoint: &Checkpoint, network: &Digest) {
        let bytes = checkpoint.write(of(network), Vec::new()).expect("a vector takes everything");
        let mark = CheckpointMark::read(of(network), &bytes[..]).expect("it was written so");
        let mut directory = self.lock();
        (directory.files, directory.base) = (vec![(mark, bytes)], mark);
    }

    /// One is written. Where the journal is to be cut, if it is.
    fn keep(
        &self,
        mark: CheckpointMark,
        bytes: Vec<u8>,
        (retention, now): (Retention, Duration),
    ) -> Option<CheckpointMark> {
        let mut directory = self.lock();
        directory.files.push((mark, bytes));
        let marks: Vec<CheckpointMark> = directory.files.iter().map(|(mark, _)| *mark).collect();
        let held = directory.held.heights(&marks, now);
        let RetentionPlan { kept, prune_at } = retention.plan(&directory.base, &marks, &held);
        directory.files.retain(|(mark, _)| kept.contains(&mark.height));
        directory.base = prune_at.unwrap_or(directory.base);
        prune_at
    }

    /// Where the journal begins that was pruned, or that goes on from a fetched state.
    pub(crate) fn begins_at(&self) -> Option<(Height, Position)> {
        let base = self.lock().base;
        (base.height.0 > 0).then_some((base.height, base.replay_from))
    }

    /// The height at which the journal was pruned; 0 where it never was.
    pub(crate) fn base(&self) -> Height {
        self.lock().base.height
    }

    /// The power is cut. In turns, the last one is whole, was not written yet, or is not whole: the node's files are
    /// renamed when they are, and this one is as if its disk had lied. No chance is drawn, so that seeds mean what they
    /// meant.
    pub(crate) fn cut_power(&self) {
        let mut directory = self.lock();
        directory.power_cuts += 1;
        directory.fetched.take_if(|fetched| matches!(fetched, Fetched::Partial(..)));
        let power_cuts = directory.power_cuts;
        // Who has pruned its journal needs one of two; a disk that spoils both is a lost one.
        if directory.base.height.0 > 0 && directory.files.len() < 2 {
            return;
        }
        match (power_cuts % 4, directory.files.last_mut()) {
            (1, Some(_)) => drop(directory.files.pop()),
            (3, Some((_, bytes))) => bytes.truncate(power_cuts * 4_099 % bytes.len()),
            _ => {}
        }
    }

    /// Those that there are, newest first.
    pub(crate) fn newest_first(&self) -> Vec<(CheckpointMark, Vec<u8>)> {
        self.lock().files.iter().rev().cloned().collect()
    }

    fn remove(&self, mark: &CheckpointMark) {
        self.lock().files.retain(|(of, _)| of.height != mark.height);
    }
}

/// What a running validator must know to take one.
pub(crate) struct CheckpointTaker {
    view: CommittedView,
    keeper: Keeper,
    states: Chains,
    executed: VecDeque<(Vec<Delta>, StateRoot)>,
    /// The starts that the journal remembers by now.
    pub(crate) boots: Arc<Mutex<Boots>>,
    files: Files,
    retention: Retention,
}

impl CheckpointTaker {
    pub(crate) fn new(
        view: CommittedView,
        (recovered, roots): (&Recovered, &Roots),
        states: Chains,
        boots: Boots,
        (files, retention): (Files, Retention),
    ) -> Self {
        let keeper = Keeper::new(recovered, roots);
        let (executed, boots) = (VecDeque::new(), Arc::new(Mutex::new(boots)));
        Self { view, keeper, states, executed, boots, files, retention }
    }

    /// A height is executed.
    pub(crate) fn executed(&mut self, deltas: Vec<Delta>, root: StateRoot) {
        self.executed.push_back((deltas, root));
    }

    /// The next of these is committed. Where a checkpoint is due, it is written; where the journal is to be cut then,
    /// if it is.
    pub(crate) fn committed(
        &mut self,
        due: Option<CheckpointDue>,
        reader: &JournalReader<'_, SimulatedLog>,
        (rule, now): (Option<Rule>, Duration),
    ) -> Result<Option<CheckpointMark>, String> {
        let (deltas, root) = self.executed.pop_front().expect("what is committed was executed");
        self.keeper.commit(&deltas, &root);
        self.view.commit(&deltas, root);
        let Some(due) = due else { return Ok(None) };
        let boots = *self.boots.lock().unwrap_or_else(PoisonError::into_inner);
        let state = (&self.view, &deltas[..], &self.states);
        let taken = self.keeper.capture(state, reader, (due, boots));
        let mut taken = taken.map_err(|error| format!("a checkpoint cannot be taken: {error}"))?;
        if rule == Some(Rule::StatesAlike) {
            // Something that is this validator's own.
            taken.common.record.certificate = taken.evidence.last.clone();
            taken.common.record.batches = vec![due.replay_from];
        }
        let written = taken.write(of(reader.network), Vec::new()).expect("a vector takes everything");
        let mark =
            CheckpointMark::read(of(reader.network), &written[..]).map_err(|error| error.to_string())?;
        Ok(self.files.keep(mark, written, (self.retention, now)))
    }
}

/// No validator is given the disk of another one.
pub(crate) fn of(network: &Digest) -> ValidatorId<'_> {
    ValidatorId { network, validator: &[0; 32] }
}

/// What was recovered, and from which checkpoint.
pub(crate) struct FromCheckpoint {
    pub(crate) height: Height,
    pub(crate) replay_from: Position,
    pub(crate) index: BlockIndex,
    pub(crate) replayed: Vec<Replayed>,
    pub(crate) recovered: (Recovered, Ledger, Roots),
    pub(crate) view: CommittedView,
}

/// Recovers from the newest checkpoint that can be used, as the node does; `None` if there is none. Those that cannot
/// be used are removed: they are not whole, or the journal is another one, or has been released above where they begin.
/// Nothing else may be wrong with any.
///
/// # Errors
/// Something else is.
pub(crate) fn recover<C: FinalityVerifier>(
    files: &Files,
    (recovery, certificates): (&Recovery<'_>, &C),
    (replay, released): (&mut Replay, Position),
) -> Result<Option<FromCheckpoint>, String> {
    for (mark, bytes) in files.newest_first() {
        if mark.replay_from < released {
            files.remove(&mark);
            continue;
        }
        match from(&bytes, recovery, certificates, replay) {
            Ok(found) => return Ok(Some(found)),
            Err(CheckpointError::Unreadable(_)) => files.remove(&mark),
            Err(error) if error.is_of_another_journal() => files.remove(&mark),
            Err(error) => {
                return Err(format!("the checkpoint of height {} cannot be used: {error}", mark.height));
            }
        }
    }
    Ok(None)
}

fn from<C: FinalityVerifier>(
    bytes: &[u8],
    recovery: &Recovery<'_>,
    certificates: &C,
    replay: &mut Replay,
) -> Result<FromCheckpoint, CheckpointError> {
    let checkpoint = Checkpoint::read(of(recovery.genesis.network()), bytes)?;
    let height = checkpoint.height();
    let Restored { start, replay_from, positions, .. } =
        checkpoint.restore((recovery.genesis, recovery.support), certificates, schedule())?;
    replay.seek(replay_from).map_err(RecoveryError::from)?;
    let (index, mut replayed) = (BlockIndex::restored(positions), Vec::new());
    let recovered = recovery.run::<RecoveryError>(start, replay, |progress, executed| {
        index.committed(progress.height, progress.position);
        replayed.push(Replayed::of(progress, executed));
        Ok(())
    })?;
    let view = CommittedView::of(&recovered.1);
    Ok(FromCheckpoint { height, replay_from, index, replayed, recovered, view })
}

pub(crate) fn schedule() -> Schedule {
    Schedule::new(SCHEDULE.0, SCHEDULE.1)
}

/// A recovery from the genesis.
pub(crate) fn start(recovery: &Recovery<'_>) -> Start {
    Start::genesis(recovery.genesis, recovery.support, schedule())
}

/// The batches that can still be ordered: each follows one of them, or the cut. Others are of branches that have lost.
fn to_be_ordered(recovered: &Recovered) -> BTreeSet<Digest> {
    let mut ascending: Vec<_> = recovered.unordered.iter().map(|(batch, _)| batch).collect();
    ascending.sort_by_key(|batch| batch.id().sequence);
    let mut reached: BTreeSet<Digest> = BTreeSet::new();
    for batch in ascending {
        let cut = recovered.head.head(batch.id().author);
        if batch.previous() == cut || reached.contains(&batch.previous().digest) {
            reached.insert(*batch.digest());
        }
    }
    reached
}

/// What differs between a recovery from a checkpoint and one of the whole journal: nothing must. Batches and
/// blocks that the replica had given up before the checkpoint stand in the journal, and only there.
pub(crate) fn difference(from: &FromCheckpoint, whole: &(Recovered, Ledger, Roots)) -> Option<String> {
    let ours = &from.recovered;
    let (one, other) = (&ours.0, &whole.0);
    let root = |ledger: &Ledger| (ledger.height(), *ledger.state_root().digest());
    let first = Height(one.head.height.0.saturating_sub(64).max(1));
    let blocks = |recovered: &Recovered| -> Vec<(Digest, Position)> {
        let read = recovered.blocks.iter().filter(|(_, position)| *position >= from.replay_from);
        read.map(|(block, position)| (*block.digest(), *position)).collect()
    };
    let differs = [
        ("the state", root(&ours.1) != root(&whole.1)),
        ("the head", one.head != other.head),
        ("uncarried roots", one.uncarried != other.uncarried),
        ("blocks", blocks(one) != blocks(other)),
        ("finality", one.finality != other.finality),
        ("what is in flight", one.in_flight != other.in_flight),
        ("quotas", one.quotas != other.quotas),
        ("starts", one.boots != other.boots),
        ("when the next one is due", one.schedule != other.schedule),
        ("the last position", one.last != other.last),
        ("batches", to_be_ordered(one) != to_be_ordered(other)),
        ("roots", (first.0..=one.head.height.0).any(|at| ours.2.get(Height(at)) != whole.2.get(Height(at)))),
    ];
    let named: Vec<&str> = differs.iter().filter(|(_, differs)| *differs).map(|(what, _)| *what).collect();
    (!named.is_empty()).then(|| named.join(", "))
}
