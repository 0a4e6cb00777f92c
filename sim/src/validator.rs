//! One whole validator in one of its lives: the shipped replica, committer, verifier, logs and engine, put together as
//! the node does it, without its threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use commonware_runtime::{Supervisor as _, deterministic};
use engine::mempool::Mempools;
use engine::order::{Finality, Roots};
use engine::replica::{
    BlockIndex, CheckpointDue, Committer, Epochs, JournalReader, KIND_BOOT, Losses, Progress, Recovered,
    Recovery, RecoveryError, Replica, Settings, validators_known,
};
use engine::roots::{ChainEntry, CommittedView, Executed, Ledger};
use engine::store::simulated::SimulatedLog;
use engine::store::{LogKind, Position, Replay};
use engine::types::{Digest, Epoch, Head, Height, ValidatorIndex};
use engine::verify::Verifier;

use crate::bell::{Bell, Certificates, Rope};
use crate::checkpoints::{self, CheckpointTaker, Files, FromCheckpoint};
use crate::disks::{Disks, VoteLog, Votes, options};
use crate::environment::Environment;
use crate::host::{CommitHost, Host};
use crate::rules::Rule;

/// Transactions that may wait in a mempool.
const MEMPOOL: usize = 256;
/// Those of one sender.
const MEMPOOL_SENDER: u32 = 48;

/// What a start needs to know.
pub(crate) struct Start<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) bell: &'a Bell,
    pub(crate) context: &'a deterministic::Context,
    pub(crate) rule: Option<Rule>,
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) me: usize,
    pub(crate) is_liar: bool,
    pub(crate) disks: &'a Disks,
    /// Whether this validator has never run, as its operator says.
    pub(crate) first: bool,
    /// Dies after so many steps.
    pub(crate) dies: Option<u8>,
    pub(crate) hurried: bool,
    pub(crate) compact_bytes: u64,
    pub(crate) as_shipped: bool,
    pub(crate) fast: bool,
    pub(crate) everyone_prunes: bool,
    pub(crate) at: Duration,
    pub(crate) seed: [u8; 32],
    /// What its operator has fetched of the epochs.
    pub(crate) known: Option<Vec<u8>>,
}

impl Replayed {
    pub(crate) fn of(progress: Progress, executed: &Executed) -> Self {
        let root = &executed.state_root;
        Self { height: progress.height, root: *root.digest(), entries: root.entries().to_vec() }
    }
}

/// A height that recovery has executed again.
pub(crate) struct Replayed {
    pub(crate) height: Height,
    pub(crate) root: Digest,
    /// What the root says of each chain.
    pub(crate) entries: Vec<ChainEntry>,
}

/// What came of a start.
pub(crate) enum Started {
    /// With every height that was replayed, and the height of the checkpoint that was used.
    Runs(Box<Running>, Vec<Replayed>, Option<Height>),
    Died,
    Failed(String),
}

/// A running validator.
pub(crate) struct Running {
    pub(crate) replica: Replica,
    pub(crate) host: Host,
    pub(crate) committer: Committer,
    pub(crate) commit_host: CommitHost,
    pub(crate) verifier: Verifier,
    pub(crate) index: Arc<BlockIndex>,
    pub(crate) mempools: Arc<Mempools>,
    pub(crate) journal: Arc<SimulatedLog>,
    pub(crate) votes: Arc<VoteLog>,
    pub(crate) inbound: consensus::Inbound,
    pub(crate) epoch: Epoch,
    /// Whose keys the authors of the epoch have.
    pub(crate) authors: Vec<usize>,
    /// Whose keys the validators of the last epoch that is known have: these are the peers.
    pub(crate) seats: Vec<usize>,
    /// Whether it is one of the authors, and does its part.
    pub(crate) is_member: bool,
    pub(crate) consensus: Option<consensus::Handle>,
    waiting: Option<(consensus::Config, consensus::Wiring)>,
    pub(crate) certificates: Arc<Certificates>,
    /// The view from which consensus begins.
    pub(crate) floor: u64,
    pub(crate) losses: Losses,
    pub(crate) recovered: Height,
    /// How far each stream of the epoch was taken when it began.
    pub(crate) cut: Vec<Head>,
    /// The batches that it began with: author, head, the one before.
    pub(crate) found: Vec<(usize, Head, Head)>,
    /// When it was started.
    pub(crate) since: Duration,
    pub(crate) journal_busy: bool,
    pub(crate) votes_busy: bool,
    pub(crate) alarm: Option<Duration>,
    context: deterministic::Context,
}

impl Running {
    /// Starts a validator from its disks, as `node` does.
    pub(crate) fn start(start: &Start<'_>) -> Started {
        let genesis = &start.environment.genesis;
        let network = start.environment.network();
        let rope = Rope { bell: start.bell.clone(), caller: (start.node, start.life) };
        let rule = start.rule;
        let certificates = Arc::new(Certificates::new(genesis, rule == Some(Rule::CertificatesChecked)));
        let hasty = rule == Some(Rule::VotesDurable);
        let votes = match VoteLog::open(&start.disks.votes, network.0, rope.clone(), hasty) {
            Ok(votes) => votes,
            Err(error) => return Started::Failed(format!("the votes cannot be read: {error}")),
        };
        let support = start.disks.release.support();
        let recovery = Recovery { genesis, support, certificates: &*certificates, seed: start.seed };
        let (journal, Resumed { recovered: (mut recovered, ledger, roots), view, index, replayed, used }) =
            match open(start, &recovery, &certificates) {
                Ok(Some(opened)) => opened,
                Ok(None) => return Started::Died,
                Err(error) => return Started::Failed(error),
            };
        let (members, root) = (recovered.epochs.members().clone(), recovered.epochs.root().1);
        let (epoch, keys) = (members.epoch, members.keys());
        let known =
            match start.known.as_ref().map(|known| Epochs::decode((genesis, support), known, &*certificates))
            {
                Some(Ok(known)) if known.parts_from(&recovered.epochs).is_some() => {
                    return Started::Failed("what is known of epochs is of another history".to_owned());
                }
                Some(Ok(known)) => Some(known).filter(|known| known.present() > epoch),
                Some(Err(error)) => return Started::Failed(format!("the epochs cannot be used: {error}")),
                None => None,
            };
        let authors = start.environment.owners(&members);
        let seats = known.as_ref().map(|known| start.environment.owners(known.members()));
        let seats = seats.unwrap_or_else(|| authors.clone());
        let number = |of: &[usize]| of.iter().position(|one| *one == start.me).unwrap_or(of.len());
        let (place, seat) = (number(&authors), number(&seats));
        let is_member = known.is_none() && place < authors.len();
        let observers = if is_member { start.environment.signing_seeds.len() - seats.len() } else { 0 };
        let counted = validators_known(&recovered.epochs, known.as_ref(), votes.replay.epoch());
        let mut losses = Losses::of(recovered.boots, votes.boots, start.first, counted);
        match boot(&journal, &votes, &recovered, losses, start.dies) {
            Ok(true) => {}
            Ok(false) => return Started::Died,
            Err(error) => return Started::Failed(format!("the start cannot be written down: {error}")),
        }
        let ledger = if rule == Some(Rule::MoneyConserved) && recovered.head.height.0 == 0 {
            engine::roots::Ledger::genesis(&start.environment.richer())
        } else {
            ledger
        };
        match rule {
            Some(Rule::LostVotesNoticed) => (losses.votes_forgotten, losses.hears_others) = (false, false),
            Some(Rule::LostStreamNoticed | Rule::NoticesByDigest) => {
                (losses.stream_lost, losses.hears_others) = (false, false);
            }
            Some(Rule::OlderCopiesNoticed) => losses.hears_others = false,
            Some(Rule::BlocksReloaded) => recovered.blocks.clear(),
            Some(Rule::BatchesReloaded) => recovered.unordered.clear(),
            // It would hear what its twin has voted, or, where half of the others talk to the twin, no quorum.
            _ if start.is_liar => losses.hears_others = false,
            _ => {}
        }
        let batches = recovered.unordered.iter().map(|(batch, _)| batch);
        let found =
            batches.map(|batch| (usize::from(batch.id().author.0), batch.head(), batch.previous())).collect();

        let mempools = Arc::new(Mempools::new(&ledger.states(), MEMPOOL, MEMPOOL_SENDER));
        let verifier = Verifier::new(network, ledger.states(), keys.clone().into(), Arc::default());
        let journal = Arc::new(journal);
        let (height, cut) = (recovered.head.height, recovered.head.cut.clone());
        let mut boots = recovered.boots;
        boots.note(losses.boot(Losses::next_boot(boots, votes.boots), true));
        let files =
            (start.disks.checkpoints.clone(), checkpoints::retention(start.me, start.everyone_prunes));
        let taker = CheckpointTaker::new(view, (&recovered, &roots), ledger.states(), boots, files);
        let index = Arc::new(index);
        let committer = Committer::new(ledger, roots, mempools.clone());
        let signing_seed = start.environment.signing_seeds[start.me];
        let replica = Replica::new(
            genesis,
            Settings { known, observers, ..settings(seat, seats.len(), (start.as_shipped, start.fast)) },
            &signing_seed,
            Box::new(certificates.clone()),
            mempools.clone(),
            recovered,
            losses,
        );
        let (inbound, inbox) = consensus::inbound(keys.len());
        let mut config = consensus::Config::new(network.0, keys, signing_seed);
        (config.epoch, config.root) = (epoch.0, root.0);
        config.compact_after_bytes = start.compact_bytes;
        if start.as_shipped {
            config.timing = consensus::Timing::for_validators(start.environment.keys().len());
        }
        if start.hurried {
            config.timing.leader_timeout = Duration::from_millis(250);
            config.timing.certification_timeout = Duration::from_millis(400);
            config.timing.retry = Duration::from_millis(300);
        }
        let memory = votes.replay.memory(epoch.0);
        let wiring = consensus::Wiring {
            transport: Arc::new(rope.clone()),
            inbox,
            store: votes.log.clone(),
            replay: votes.replay,
            application: Arc::new(rope),
        };
        let host = Host {
            view: 0,
            journal: journal.clone(),
            index: index.clone(),
            boots: taker.boots.clone(),
            rule,
            me: ValidatorIndex(place as u16),
            epoch,
            inbound: inbound.clone(),
            memory,
            certificates: certificates.clone(),
            votes: votes.log.clone(),
            network,
            sealed: Default::default(),
            out: Vec::new(),
            questions: BTreeMap::new(),
            asked: 0,
            forge: None,
            written: None,
            forged: BTreeMap::new(),
            lags: BTreeMap::new(),
            latest_ms: 0,
            recent: Default::default(),
            own: Head::NONE,
            sealed_batches: 0,
        };
        let commit_host = CommitHost {
            journal: journal.clone(),
            out: Vec::new(),
            appended: BTreeMap::new(),
            position: None,
            checkpoints: taker,
        };
        let running = Self {
            replica,
            host,
            committer,
            commit_host,
            verifier,
            index,
            mempools,
            journal,
            votes: votes.log,
            inbound,
            epoch,
            authors,
            seats,
            is_member,
            consensus: None,
            waiting: Some((config, wiring)),
            certificates,
            floor: 0,
            losses,
            recovered: height,
            cut,
            found,
            since: start.at,
            journal_busy: false,
            votes_busy: false,
            alarm: None,
            context: start
                .context
                .child("node")
                .with_attribute("node", start.node)
                .with_attribute("life", start.life),
        };
        Started::Runs(Box::new(running), replayed, used)
    }

    /// The next height is committed, and perhaps a checkpoint is due at it.
    pub(crate) fn take_checkpoint(
        &mut self,
        due: Option<CheckpointDue>,
        now: Duration,
    ) -> Result<(), String> {
        let network = self.host.network;
        let reader = JournalReader { records: &*self.journal, index: &self.index, network: &network };
        let due = match self.host.rule {
            Some(Rule::CheckpointsReachBack) => due.and_then(|due| {
                let replay_from = self.index.position(self.index.height())?;
                Some(CheckpointDue { replay_from, ..due })
            }),
            _ => due,
        };
        if let Some(cut) = self.commit_host.checkpoints.committed(due, &reader, (self.host.rule, now))? {
            self.index.prune(cut.height);
            let behind = self.index.position(self.index.height()).unwrap_or(cut.replay_from);
            self.journal.release(match self.host.rule {
                Some(Rule::JournalReachesBack) => behind,
                _ => cut.replay_from,
            });
        }
        Ok(())
    }

    /// Starts consensus, from a floor where there is one.
    pub(crate) fn vote(&mut self, floor: Option<&Finality>) -> Result<(), String> {
        let Some((mut config, wiring)) = self.waiting.take() else { return Ok(()) };
        // Its journal was lost, and it has voted in a later epoch: it follows until it has caught up.
        if wiring.replay.epoch() > config.epoch {
            return Ok(());
        }
        config.floor = floor.and_then(|floor| self.certificates.floor(floor));
        self.floor = config.floor.as_ref().map_or(0, consensus::Finalization::view);
        let handle = consensus::spawn(self.context.child("consensus"), config, wiring);
        self.consensus = Some(handle.map_err(|error| format!("consensus cannot start: {error}"))?);
        Ok(())
    }

    /// The process ends.
    pub(crate) fn die(self) {
        if let Some(consensus) = self.consensus {
            consensus.crash();
        }
    }
}

/// Opens the journal and recovers what it amounts to. Where a state was fetched that is above it, it goes on from
/// there, as the node does. `Ok(None)`: it died on the way.
fn open(
    start: &Start<'_>,
    recovery: &Recovery<'_>,
    certificates: &Arc<Certificates>,
) -> Result<Option<(SimulatedLog, Resumed)>, String> {
    let network = start.environment.network();
    let files = &start.disks.checkpoints;
    let mut dies = start.dies == Some(0);
    loop {
        let options = options(network.0, LogKind::Journal);
        let opened = SimulatedLog::open(&start.disks.journal, &options);
        let (journal, mut replay) =
            opened.map_err(|error| format!("the journal cannot be opened: {error}"))?;
        let resumed = resume(files, (recovery, certificates), (&mut replay, journal.released()))?;
        drop(replay);
        if files.adopt(&network, &resumed.recovered.0, &journal, dies)?.is_none() {
            // What stands before a state that was fetched is of no use.
            let begins = files.begins_at().filter(|(base, _)| *base == resumed.index.base());
            if let Some((_, begins)) = begins.filter(|(_, begins)| *begins > journal.released()) {
                journal.release(begins);
            }
            return Ok(Some((journal, resumed)));
        }
        if std::mem::take(&mut dies) {
            return Ok(None);
        }
    }
}

/// What the disks amount to.
struct Resumed {
    recovered: (Recovered, Ledger, Roots),
    view: CommittedView,
    index: BlockIndex,
    replayed: Vec<Replayed>,
    /// The height of the checkpoint that was used.
    used: Option<Height>,
}

/// First from a checkpoint, as the node does. Then, where the journal was never pruned, all of it: because the checks
/// want every height, and because both must come to the same.
fn resume(
    files: &Files,
    (recovery, certificates): (&Recovery<'_>, &Arc<Certificates>),
    (replay, released): (&mut Replay, Position),
) -> Result<Resumed, String> {
    let from = checkpoints::recover(files, (recovery, certificates), (&mut *replay, released))?;
    let used = from.as_ref().map(|from| from.height);
    if released > Position::from_raw(0) || from.as_ref().is_some_and(|from| from.index.base().0 > 0) {
        let from = from.ok_or("the journal was pruned, and no checkpoint can be used")?;
        let FromCheckpoint { index, replayed, recovered, view, .. } = from;
        index.prune(files.base());
        return Ok(Resumed { recovered, view, index, replayed, used });
    }
    replay.rewind();
    let (index, mut replayed) = (BlockIndex::default(), Vec::new());
    let whole = recovery.run::<RecoveryError>(checkpoints::start(recovery), replay, |progress, executed| {
        index.committed(progress.height, progress.position);
        replayed.push(Replayed::of(progress, executed));
        Ok(())
    });
    let whole = whole.map_err(|error| format!("the journal cannot be continued: {error}"))?;
    let Some(from) = from else {
        let view = CommittedView::of(&whole.1);
        return Ok(Resumed { recovered: whole, view, index, replayed, used });
    };
    if let Some(what) = checkpoints::difference(&from, &whole) {
        return Err(format!("a checkpoint of height {} leads elsewhere: {what}", from.height));
    }
    if index.until(index.height()) != from.index.until(index.height()) {
        return Err(format!("a checkpoint of height {} has other places of blocks", from.height));
    }
    Ok(Resumed { recovered: from.recovered, view: from.view, index, replayed, used })
}

/// Writes this start into both logs. `Ok(false)`: it died on the way.
fn boot(
    journal: &SimulatedLog,
    votes: &Votes,
    recovered: &Recovered,
    losses: Losses,
    dies: Option<u8>,
) -> Result<bool, engine::store::StoreError> {
    let number = Losses::next_boot(recovered.boots, votes.boots);
    let write = |done| {
        journal.append(KIND_BOOT, &[&losses.boot(number, done).encode()])?;
        journal.settle();
        journal.failure().map_or(Ok(()), Err)
    };
    write(false)?;
    if dies == Some(0) {
        return Ok(false);
    }
    votes.log.boot(number, losses.votes_forgotten)?;
    if dies == Some(1) {
        return Ok(false);
    }
    write(true)?;
    Ok(dies.is_none())
}

fn settings(me: usize, validators: usize, (as_shipped, fast): (bool, bool)) -> Settings {
    let settings = Settings::new(ValidatorIndex(me as u16), validators);
    if as_shipped {
        let patience = consensus::Timing::for_validators(validators).leader_timeout;
        return Settings { verify_patience: patience, ..settings };
    }
    let (view_interval, idle_interval) = match fast {
        true => (Duration::from_millis(1), Duration::from_millis(4)),
        false => (Duration::from_millis(20), settings.idle_interval),
    };
    Settings { batch_packets_max: 32, batch_packets_limit: 40, view_interval, idle_interval, ..settings }
}
