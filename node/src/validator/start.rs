//! Starting a validator, and stopping it.
//!
//! ```text
//!   ports and logs ─▶ recover ─▶ boot ─▶ network ─▶ executor, verifiers, readers, core ─▶ consensus
//! ```

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Sender, unbounded};
use engine::ingress::{self, Bounds, Intake, PeerBatch, Refused};
use engine::limits::VALIDATORS_MAX;
use engine::mempool::Mempools;
use engine::order::Finality;
use engine::replica::{
    Boots, Check, Checkpoint, Committer, Epochs, Input, KIND_BOOT, Keeper, Losses, Recovered, Replica,
    Settings as ReplicaSettings, validators_known,
};
use engine::store::{Log, LogKind, Replay};
use engine::types::Membership;
use engine::verify::Verifier;
use kernels::ed25519::SigningKey;
use net::{Network, PeerNetwork, Permit};

use super::alarms::{AlarmWatch, Board};
use super::catch_up::CatchUp;
use super::certificate::CertificateReport;
use super::checking::{Checking, equip};
use super::checkpoints::{self, CheckpointTaker, CheckpointWork, ServedStates};
use super::clients::{Demand, Reception};
use super::clock::Clock;
use super::core::{Begin, Core, Wiring};
use super::counters::Counters;
use super::damage::Damage;
use super::events::CoreEvent;
use super::executor::{Event, Executor};
use super::fatal::stop_on_panic;
use super::fetched_epochs::fetched_epochs;
use super::memory::delay_purge;
use super::neighbour::Here;
use super::offenders::Offenders;
use super::ordering::{Certificates, EPOCH_BYTES, OverQuic, SeenVotes, ToCore, VoteLog, Votes};
use super::orders::{Order, Orders};
use super::peers::{Sorter, channels};
use super::place::Place;
use super::queries::QueryThread;
use super::questions::{Questions, ReaderEvent};
use super::reader::{self, Requests};
use super::recheck::{Forgery, follow, recheck};
use super::recover::{Resumed, Stopped, recover};
use super::reload::{Knobs, reload};
use super::report::Report;
use super::room::RoomReport;
use super::rules::ProposedRules;
use super::scrub::{self, Asking, Scrubber};
use super::seat::Seat;
use super::service;
use super::sessions::{self, Clients};
use super::shared::Shared;
use super::storage;
use super::verifier::VerifyThread;
use crate::config::{Config, FIRST_START};
use crate::device::Record;

mod settings;

pub(crate) use settings::client_settings;
pub(super) use settings::{ingress_bytes, tuning};
use settings::{network_settings, options, replica_settings, vote_options};

/// Bytes of peers' batches that may wait for a verifier.
const PEER_BATCH_BYTES_MAX: usize = 64 << 20;
/// Segments of the log of consensus are small: little is alive in it at a time.
pub(crate) const VOTE_SEGMENT_BYTES: u64 = 8 << 20;
/// How long what is queued for the network may take when the validator stops.
const FAREWELL: Duration = Duration::from_millis(300);
/// How often it is looked whether the validator is to start again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs the validator of `config` until a signal asks it to stop. One that has fetched a state starts again, from
/// there.
///
/// # Errors
/// What keeps it from starting: a port taken, a directory in use or of another network, a damaged journal. Once it
/// runs, what it cannot survive ends the process with [`super::EXIT_FATAL`].
pub fn run(mut config: Config, log: &crate::log::Log) -> anyhow::Result<()> {
    stop_on_panic();
    delay_purge();
    let (mut room, mut certificate) = (RoomReport::default(), CertificateReport::default());
    let orders = Orders::listen()?;
    let here = Arc::new(Here::new());
    let _gateway = crate::doors::open(&config, here.clone(), log)?;
    let mut left = None;
    loop {
        let validator = match Validator::start(&config, &orders, left.take()) {
            Ok(validator) => validator,
            // Asked to, before it had done anything.
            Err(error) if error.is::<Stopped>() => {
                tracing::info!("{error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        here.attach(&validator.reception);
        service::ready("running");
        let mut alarms = AlarmWatch::default();
        let signal = loop {
            validator.place.check();
            alarms.look(&validator.shared, &validator.knobs.peers, (&config.identity, &config.data));
            room.look(&config.data);
            certificate.look(&config.identity, || validator.shared.clock.moment().unix_ms / 1_000);
            match orders.next_within(LOOK_EVERY) {
                Some(Order::Stop(signal)) => break Some(signal),
                Some(Order::Reload) => {
                    reload(&mut config, log, &validator.knobs);
                    certificate = CertificateReport::default();
                }
                None if validator.shared.starts_again.load(Relaxed) => break None,
                None => {}
            }
        };
        match signal {
            Some(signal) => tracing::info!(?signal, "stopping"),
            None => tracing::info!("starting again"),
        }
        let place = Arc::clone(&validator.place);
        left = validator.stop(signal.is_some());
        place.check();
        if signal.is_some() {
            tracing::info!("stopped; the journal is complete");
            return Ok(());
        }
    }
}

fn open_journal(config: &Config) -> anyhow::Result<(Log, Replay)> {
    Ok(Log::open(&config.data.join("journal"), options(config, LogKind::Journal))?)
}

/// Recovers what a journal amounts to. Where a state was fetched that is above it, it goes on from there.
fn resume(
    config: &Config,
    orders: &Orders,
    certificates: &Certificates,
    files: &checkpoints::Directory,
    (mut opened, mut left): ((Log, Replay), Option<&Checkpoint>),
) -> anyhow::Result<(Log, Resumed)> {
    loop {
        let (journal, replay) = opened;
        let resumed = recover(config, orders, certificates, (replay, journal.released()), (files, left))?;
        service::status("looking whether a state was fetched");
        let fetched = files.fetched_above(resumed.recovered.head.height, &config.genesis)?;
        match fetched.map(|state| files.adopt(state, &resumed.recovered, &journal)) {
            Some(Ok(())) => {
                drop(journal);
                // The journal begins anew with the state.
                (opened, left) = (open_journal(config)?, None);
                continue;
            }
            Some(Err(error)) => tracing::warn!(
                "a state was fetched and cannot be put into the journal ({error:#}): the validator goes on at its old \
                 height, and tries again at its next start"
            ),
            None => {}
        }
        files.release_before(resumed.index.base(), &journal)?;
        return Ok((journal, resumed));
    }
}

/// What a validator has on its disk, recovered, with this start noted in it.
pub(super) struct Opened {
    pub(super) journal: Log,
    pub(super) votes: Votes,
    place: Arc<Place>,
    files: checkpoints::Directory,
    pub(super) resumed: Resumed,
    /// The epochs that are known, where they go on behind those of the journal.
    known: Option<Epochs>,
    pub(super) losses: Losses,
    boots: Boots,
}

/// Recovers what stands in the data directory, and notes this start there. `left` is what the last start in this
/// process has captured and not written.
pub(super) fn open(
    config: &Config,
    orders: &Orders,
    certificates: &Certificates,
    left: Option<&Checkpoint>,
) -> anyhow::Result<Opened> {
    let genesis = &config.genesis;
    service::status("opening the journal");
    let journal = open_journal(config)?;
    storage::tell_fallback(&journal.0);
    storage::tell_spoiled(&journal.1);
    let votes = VoteLog::open(&config.data.join("consensus"), vote_options(config))?;
    votes.replay.check().context("the records of consensus cannot be used")?;
    let place = Arc::new(Place::of(&config.data)?);
    let directory = config.data.join("checkpoints");
    let files = checkpoints::Directory::open(&directory, *genesis.network(), config.public_key())?;
    let (journal, mut resumed) = resume(config, orders, certificates, &files, (journal, left))?;
    if let Some(origin) = genesis.origin().filter(|origin| resumed.recovered.head.height < origin.height) {
        let begins = genesis.validators().iter().any(|of| of.public_key == config.public_key());
        let is_alone = genesis.validators().len() == 1;
        // One that has run before, or came later, gets a state from others.
        anyhow::ensure!(
            !(begins && (is_alone || config.data.join(FIRST_START).exists())),
            "the network was rebuilt and goes on from the state of height {}, which this validator does not have: copy \
             genesis.state from the directory in which the network was made to {}",
            origin.height,
            directory.join(checkpoints::WHOLE).display()
        );
    }
    let validators = resumed.recovered.epochs.members().list.len();
    let known = fetched_epochs(&config.data, genesis, &resumed.recovered.epochs, certificates)?;
    let is_alone = validators == 1 && genesis.membership() == Membership::Decided && known.is_none();
    let counted = validators_known(&resumed.recovered.epochs, known.as_ref(), votes.replay.epoch());
    let (losses, boots) = boot(config, counted, &journal, &votes, &mut resumed.recovered)?;
    // Others may have come since; the history that it would begin anew would be believed.
    anyhow::ensure!(
        !(is_alone && losses.votes_forgotten),
        "the journal or the votes in {} were lost or put back. According to what is left this validator is the only one, \
         so it would begin a second history, although the network may have other members by now. Put back what was lost, \
         or have the present members admit a new validator with a new key",
        config.data.display()
    );
    // Recovery may have taken minutes.
    place.check();
    Ok(Opened { journal, votes, place, files, resumed, known, losses, boots })
}

struct Validator {
    shared: Arc<Shared>,
    consensus: Arc<Mutex<Option<consensus::Handle>>>,
    core: Sender<CoreEvent>,
    executor: Sender<Event>,
    readers: Sender<ReaderEvent>,
    requests: Requests,
    network: Network,
    core_thread: JoinHandle<()>,
    executor_thread: JoinHandle<()>,
    reader_threads: Vec<JoinHandle<()>>,
    knobs: Knobs,
    /// For the gateway of this process; the network keeps it alive.
    reception: Weak<Reception>,
    /// Where its files are.
    place: Arc<Place>,
}

impl Validator {
    fn start(config: &Config, orders: &Orders, left: Option<Checkpoint>) -> anyhow::Result<Self> {
        let genesis = &config.genesis;
        let certificates = Certificates::new(genesis).context("the genesis has an invalid key")?;
        let peer_sockets = net::bind(config.listen_peers.addresses()).context("the port for validators")?;
        let client_sockets = net::bind(config.listen_clients.addresses()).context("the port for clients")?;
        let Opened { journal, votes, place, files, resumed, known, losses, boots } =
            open(config, orders, &certificates, left.as_ref())?;
        Forgery::look(&config.data)?;
        let mut devices = Record::open(&config.data)?;
        recheck(config, orders, &journal, &resumed, &mut devices)?;
        let Resumed { recovered, ledger, roots, view, index, hints, from_memory } = resumed;
        // One from which no start can go on is good for nothing.
        let left = left.filter(|_| from_memory);
        let seat = Seat::of(config, &recovered.epochs, known.as_ref());
        seat.tell(config);
        let keeper = Keeper::new(&recovered, &roots);
        let next = recovered.head.height.next();

        let (counters, clock) = (Arc::new(Counters::default()), Clock::start());
        let rules = ProposedRules::of(genesis, &ledger, clock.moment().unix_ms);
        counters.height.store(recovered.head.height.0, Relaxed);
        counters.finalized.store(recovered.head.height.0, Relaxed);
        let shared = Arc::new(Shared {
            genesis: genesis.clone(),
            me: seat.me,
            name: config.name.clone(),
            standing: seat.standing,
            epochs: recovered.epochs.clone(),
            clock,
            clients: Clients::new(counters.clone()),
            damage: Damage::new(counters.clone()),
            boots: Mutex::new(boots),
            journal: Arc::new(journal),
            index,
            hints,
            mempools: Arc::new(Mempools::new(
                &ledger.states(),
                config.work.mempool_transactions,
                config.work.mempool_per_account as u32,
            )),
            filled: AtomicBool::new(false),
            held: Mutex::default(),
            retention: Mutex::new(config.retention),
            scrub: scrub::Progress::new(counters.clone()),
            rules,
            alarms: Board::default(),
            checking: Checking::new(config.work.verify, devices),
            catch_up: CatchUp::default(),
            counters,
            starts_again: AtomicBool::new(false),
            unwritten: Mutex::default(),
            stopping: AtomicBool::new(false),
        });

        let (core, core_events) = unbounded();
        let (executor, executor_events) = unbounded();
        let (readers, reader_events) = unbounded();
        let questions = Questions::new(readers.clone());
        let bounds =
            Bounds { submission_bytes_max: ingress_bytes(config), batch_bytes_max: PEER_BATCH_BYTES_MAX };
        let (ingress, batches, intake) = ingress::open(bounds);
        let (inbound, inbox) = consensus::inbound(seat.validators());
        // Those of a later epoch may be more than those that are known here.
        let channels = channels(EPOCH_BYTES + consensus::message_bytes_max(VALIDATORS_MAX));
        let (stored, stored_by_others) = Asking::channel();
        let of_consensus = seat.is_member().then(|| (seat.epoch(), inbound.clone()));
        let sorter = Sorter::new(core.clone(), of_consensus, shared.clone(), stored);
        let lane = ingress.clone();
        let reception = Arc::new(Reception { shared: shared.clone(), ingress, questions: questions.clone() });
        let for_neighbour = Arc::downgrade(&reception);
        let settings = network_settings(config, &seat, (peer_sockets, client_sockets), channels);
        let network = Network::start(
            settings,
            move |event| sorter.take(event),
            move |event| sessions::take(&*reception, event),
        )?;
        let peers = network.peers().expect("the settings have a port for peers");
        let knobs = Knobs {
            shared: shared.clone(),
            core: core.clone(),
            ingress: lane,
            peers: peers.clone(),
            seat: seat.clone(),
            observers: seat.fingerprints(config),
        };

        let verifier = Verifier::new(
            *genesis.network(),
            ledger.states(),
            recovered.epochs.members().keys().into(),
            Arc::clone(&shared.counters.signatures_verified),
        );
        let verifier = equip(config, &shared, verifier, next)?;
        let mut reader_threads = verifiers(config, &verifier, &shared, &intake, &questions, &core)?;
        let ledger_states = ledger.states();
        let committer = Committer::new(ledger, roots, shared.mempools.clone());
        let to_readers = (readers.clone(), questions.clone());
        let room = Executor::new(committer, shared.clone(), core.clone(), to_readers, executor.clone());
        if shared.checking.by_device() {
            let (shared, chains, data) = (shared.clone(), ledger_states.clone(), config.data.clone());
            reader_threads.push(spawn("recheck", move || follow(&shared, &chains, &data))?);
        }
        let executor_thread = spawn("executor", move || room.run(&executor_events))?;
        let requests = Requests::default();
        let report = Report {
            shared: shared.clone(),
            metrics: network.counters(),
            identity: config.identity.clone(),
            votes: votes.log.log().clone(),
            data: config.data.clone(),
        };
        let (checkpoints, checkpoint_work) = unbounded();
        let busy = Arc::new(AtomicBool::new(left.is_some()));
        if let Some(left) = left {
            let _received_below = checkpoints.send(CheckpointWork::Captured(Box::new(left)));
        }
        let taker = CheckpointTaker {
            keeper,
            states: ledger_states,
            files: checkpoints.clone(),
            busy: busy.clone(),
            left_out: checkpoints::line_limit(),
        };
        let key = SigningKey::from_seed(config.consensus_seed.0);
        let query = QueryThread::new(shared.clone(), view, taker, report, peers.clone(), key);
        reader_threads.push(spawn("checkpoints", {
            let (shared, core, files) = (shared.clone(), core.clone(), files.clone());
            let archive = config.archive.clone();
            checkpoints::tell_archive(archive.as_deref(), genesis.network());
            // A core that is gone is stopping.
            let tell = move |input| drop(core.send(CoreEvent::Input(input)));
            move || files.run(&checkpoint_work, (&busy, &tell), &shared, archive.as_deref())
        })?);
        reader_threads.push(spawn("query", move || query.run(&reader_events, &questions))?);
        reader_threads.push(spawn("server", {
            let (shared, peers, requests) = (shared.clone(), peers.clone(), requests.clone());
            let states = ServedStates::new(files.clone());
            move || reader::run(&shared, states, &peers, &requests)
        })?);

        let consensus = Arc::new(Mutex::new(None));
        let certificates = Arc::new(certificates);
        if config.scrub_bytes_per_second > 0 {
            let scrubber = Scrubber {
                shared: shared.clone(),
                votes: votes.log.log().clone(),
                files,
                certificates: certificates.clone(),
                asking: Asking::new(peers.clone(), seat.validators() as u16, stored_by_others),
                agree: (seat.validators() - 1) / 3 + 1,
                rate: config.scrub_bytes_per_second,
            };
            reader_threads.push(spawn("scrubber", move || scrubber.run())?);
        }
        let seen_votes = SeenVotes {
            inbound,
            memory: votes.replay.memory(seat.epoch().0),
            log: votes.log.clone(),
            certificates: certificates.clone(),
            me: seat.me,
            epoch: seat.epoch(),
        };
        let begin =
            consensus_starter((config, &seat), votes, inbox, &peers, &core, &consensus, &certificates);
        let replica = Replica::new(
            genesis,
            ReplicaSettings { known, ..replica_settings(config, &seat) },
            &config.consensus_seed.0,
            Box::new(certificates),
            shared.mempools.clone(),
            recovered,
            losses,
        );
        let wiring = Wiring {
            shared: shared.clone(),
            peers,
            validators: seat.validators() as u16,
            events: core.clone(),
            executor: executor.clone(),
            checks: {
                let core = core.clone();
                Box::new(move |check, permit| offer(&batches, &core, check, permit))
            },
            requests: requests.clone(),
            checkpoints,
            begin: Some(begin),
            votes_forgotten: losses.votes_forgotten,
            votes: seen_votes,
            consensus: consensus.clone(),
        };
        let core_room = Core::new(replica, wiring);
        let core_thread = spawn("core", move || core_room.run(&core_events))?;
        tracing::info!(peers = %config.listen_peers, clients = %config.listen_clients, "running");
        Ok(Self {
            shared,
            consensus,
            core,
            executor,
            readers,
            requests,
            network,
            core_thread,
            executor_thread,
            reader_threads,
            knobs,
            reception: for_neighbour,
            place,
        })
    }

    /// Stops in the order of the walk, so that what is told to a client is durable, and ends with the journal. What
    /// comes back is a checkpoint that was captured and not written, if there is one.
    fn stop(self, for_good: bool) -> Option<Checkpoint> {
        match for_good {
            true => self.shared.mempools.close(),
            // Who submits is told to try again: the validator is there in a moment.
            false => self.shared.mempools.pause(),
        }
        // The lane of clients ends with its last door.
        drop(self.knobs);
        let end_consensus = || {
            let running = self.consensus.lock().unwrap_or_else(PoisonError::into_inner).take();
            running.map(consensus::Handle::stop)
        };
        end_consensus();
        let _gone = self.core.send(CoreEvent::Stop);
        join(self.core_thread);
        // The core may have started it since.
        end_consensus();
        let _gone = self.executor.send(Event::Stop);
        join(self.executor_thread);
        self.shared.stopping.store(true, Relaxed);
        self.shared.checking.stop();
        let _gone = self.readers.send(ReaderEvent::Stop);
        self.requests.close();
        self.network.shutdown(FAREWELL);
        self.reader_threads.into_iter().for_each(join);
        self.shared.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Compares what journal and votes remember of each other, and writes this start into both. A log that has lost
/// something says so until it has learnt it again, so that another restart finds the same. Also what the journal
/// remembers then.
fn boot(
    config: &Config,
    validators: usize,
    journal: &Log,
    votes: &Votes,
    recovered: &mut Recovered,
) -> anyhow::Result<(Losses, Boots)> {
    let marker = config.data.join(FIRST_START);
    let mut losses = Losses::of(recovered.boots, votes.boots, marker.exists(), validators);
    let own = recovered.epochs.members().place_of(&config.public_key());
    if recovered.refused.iter().any(|batch| Some(batch.author) == own) {
        tracing::error!(
            "a batch that this validator has sealed has a signature that the CPU refuses: a device may have accepted it. How \
             far its stream goes it learns from others"
        );
        losses.stream_lost = true;
    }
    let number = Losses::next_boot(recovered.boots, votes.boots);
    let mut boots = recovered.boots;
    let mut write = |done| -> anyhow::Result<()> {
        let boot = losses.boot(number, done);
        let position = journal.append(KIND_BOOT, &[&boot.encode()])?;
        journal.wait_durable(position)?;
        boots.note(boot);
        recovered.last = position;
        Ok(())
    };
    write(false)?;
    votes.log.boot(number, losses.votes_forgotten)?;
    write(true)?;
    if marker.exists() {
        engine::store::remove_file(&marker).with_context(|| format!("cannot remove {}", marker.display()))?;
    }
    let data = config.data.display();
    if losses.stream_lost {
        tracing::warn!(
            "the journal or the votes in {data} were lost or put back: this validator may have sealed batches that it does \
             not know. It seals nothing and answers Busy until enough peers have told how far its stream goes"
        );
    }
    if losses.votes_forgotten {
        tracing::warn!(
            "the votes or the journal in {data} were lost or put back: this validator may have cast votes that it does not \
             know. It follows without voting until something is final above every view that it may have voted in"
        );
    }
    Ok((losses, boots))
}

fn verifiers(
    config: &Config,
    verifier: &Verifier,
    shared: &Arc<Shared>,
    intake: &Intake,
    questions: &Questions<Demand>,
    core: &Sender<CoreEvent>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let offenders = Arc::new(Offenders::default());
    (0..config.work.verify_threads)
        .map(|number| {
            let room = VerifyThread {
                intake: intake.clone(),
                shared: shared.clone(),
                questions: questions.clone(),
                offenders: offenders.clone(),
                core: core.clone(),
            };
            let verifier = verifier.clone();
            spawn(&format!("verify-{number}"), move || room.run(verifier))
        })
        .collect()
}

/// Hands a batch to the verifiers, or says that they have no room: its author sends it again, or it is asked for again.
fn offer(batches: &ingress::Lane<PeerBatch>, core: &Sender<CoreEvent>, check: Check, permit: Option<Permit>) {
    let Check { from, pushed, batch } = check;
    let hold = permit.map(|permit| Arc::new(permit) as _);
    let unchecked = match batches.offer(PeerBatch { from, pushed, batch, hold }) {
        Ok(evicted) => evicted,
        Err(Refused::Full(batch) | Refused::Closed(batch)) => vec![batch],
    };
    for PeerBatch { from, batch, .. } in unchecked {
        let _stopping = core.send(CoreEvent::Input(Input::Unchecked(from, *batch.digest())));
    }
}

/// Starts consensus, from a floor where there is one, and keeps its handle.
fn consensus_starter(
    (config, seat): (&Config, &Seat),
    votes: Votes,
    inbox: consensus::Inbox,
    peers: &PeerNetwork,
    core: &Sender<CoreEvent>,
    handle: &Arc<Mutex<Option<consensus::Handle>>>,
    certificates: &Arc<Certificates>,
) -> Begin {
    let (network, keys) = (*config.genesis.network().as_bytes(), seat.members.keys());
    let mut engine = consensus::Config::new(network, keys, config.consensus_seed.0);
    (engine.epoch, engine.root) = (seat.epoch().0, *seat.root.as_bytes());
    engine.timing = consensus::Timing::for_validators(seat.validators());
    let scratch = config.data.join("consensus-scratch");
    let (core, handle, certificates) = (core.clone(), handle.clone(), certificates.clone());
    let transport = Arc::new(OverQuic {
        peers: peers.clone(),
        epoch: seat.epoch(),
        validators: seat.validators() as u16,
    });
    let voted_in = votes.replay.epoch();
    Box::new(move |floor: Option<Finality>| {
        if voted_in > engine.epoch {
            tracing::warn!(
                "the log of votes is of epoch {voted_in}, and the journal ends in epoch {}: this validator follows without \
                 voting until it has caught up",
                engine.epoch
            );
            return Ok(());
        }
        let checked =
            floor.map(|floor| certificates.floor(&floor).context("the floor has no valid certificate"));
        engine.floor = checked.transpose()?;
        let floor = engine.floor.as_ref().map_or(0, consensus::Finalization::view);
        let wiring = consensus::Wiring {
            transport,
            inbox,
            store: votes.log.clone(),
            replay: votes.replay,
            application: Arc::new(ToCore::new(core, votes.log, floor)),
        };
        let started = consensus::start(engine, wiring, &scratch).context("consensus cannot start")?;
        *handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(work).with_context(|| format!("no thread for {name}"))
}

fn join(thread: JoinHandle<()>) {
    // A panic has ended the process already.
    let _ended = thread.join();
}

#[cfg(test)]
mod tests;
