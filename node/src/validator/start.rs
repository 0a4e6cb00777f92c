//! Starting a validator, and stopping it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{bounded, unbounded};
use engine::availability::{Availability, Committee};
use engine::ingress::{self, Bounds};
use engine::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};
use engine::mempool::Mempool;
use engine::order::BlockTree;
use engine::store::{Backend, Log, Options};
use engine::types::{ChainId, Genesis, ValidatorIndex};
use engine::verify::Verifier;
use net::{ClientSettings, Fingerprint, Network, Peer, PeerSettings, Settings};

use super::clients::{Clients, Reception};
use super::clock::Clock;
use super::core::{Core, Wiring};
use super::counters::Counters;
use super::events::CoreEvent;
use super::executor::{Executor, Shared, Work};
use super::fatal::{fatal, stop_on_panic};
use super::hints::Hints;
use super::index::JournalIndex;
use super::ordering::{Certificates, OverQuic, ToCore, VoteLog, public_keys};
use super::peers::{Sorter, channels};
use super::queries::QueryThread;
use super::recovery::{Recovered, Recovery};
use super::report::Report;
use super::server::Server;
use super::verifier::VerifyThread;
use crate::config::{Config, StorageBackend};
use crate::signals;
use crate::topology::{INGRESS_BYTES_MAX, PEER_BATCH_BYTES_MAX, QUERIES, REQUESTS};

/// Customers connected to one validator.
const CLIENTS_MAX: usize = 1_024;
/// How long a customer may leave its full queue unread.
const CLIENT_STALL: Duration = Duration::from_secs(5);
/// Segments of the log of consensus are small: little is alive in it at a time.
const VOTE_SEGMENT_BYTES: u64 = 8 << 20;
/// How long what is queued for the network may take when the validator stops.
const FAREWELL: Duration = Duration::from_millis(300);

/// Runs the validator of `config` until a signal asks it to stop.
///
/// # Errors
/// Whatever keeps it from starting: a port taken, a directory in use or of another network, a damaged journal. Once it
/// runs, what it cannot survive ends the process with [`super::EXIT_FATAL`].
pub fn run(config: &Config) -> anyhow::Result<()> {
    stop_on_panic();
    let validator = Validator::start(config)?;
    let signal = signals::wait().context("cannot wait for signals")?;
    tracing::info!(?signal, "stopping");
    validator.stop();
    tracing::info!("stopped; the journal is complete");
    Ok(())
}

struct Validator {
    mempools: Arc<BTreeMap<ChainId, Mempool>>,
    consensus: consensus::Handle,
    core: crossbeam::channel::Sender<CoreEvent>,
    executor: crossbeam::channel::Sender<Work>,
    core_thread: JoinHandle<()>,
    executor_thread: JoinHandle<()>,
    network: Arc<Network>,
    readers: Vec<JoinHandle<()>>,
}

impl Validator {
    fn start(config: &Config) -> anyhow::Result<Self> {
        let genesis = &config.genesis;
        let me = ValidatorIndex(config.index);
        let clock = Clock::start();
        let counters = Arc::new(Counters::default());
        let (index, hints) = (Arc::new(JournalIndex::default()), Arc::new(Hints::default()));
        let certificates = Certificates::new(genesis).context("the genesis has a key that is none")?;

        let peer_socket = net::bind(config.listen_peers).context("the port for validators")?;
        let client_socket = net::bind(config.listen_clients).context("the port for customers")?;
        let (journal, replay) = Log::open(&config.data.join("journal"), options(config))?;
        let journal = Arc::new(journal);
        let (votes, vote_replay, vote_log) =
            VoteLog::open(&config.data.join("consensus"), vote_options(config))?;

        let seed = random()?;
        let recovery = Recovery { genesis, certificates: &certificates, index: &index, hints: &hints, seed };
        let recovered = recovery.run(replay).with_context(|| {
            format!("the journal in {} cannot be continued", config.data.join("journal").display())
        })?;
        let Recovered { genesis_root, ledger, head, roots, uncarried, unordered } = recovered;
        counters.height.store(head.height.0, std::sync::atomic::Ordering::Relaxed);
        counters.finalized.store(head.height.0, std::sync::atomic::Ordering::Relaxed);
        tracing::info!(height = head.height.0, unordered = unordered.len(), "recovered");

        let committee = Committee::new(genesis, me, config.consensus_seed.0, seed);
        let mut availability = Availability::new(committee, chain_ids(genesis));
        let streams = streams(genesis);
        for (chain, author) in &streams {
            let mut ordered = head.next_batch(*chain, *author);
            ordered.sequence = head.ordered(*chain, *author);
            availability.handle(engine::availability::Event::Ordered(ordered), Duration::ZERO);
        }
        unordered.into_iter().for_each(|batch| availability.restore(batch));
        let mut tree = BlockTree::new(head);
        uncarried.into_iter().for_each(|(height, root)| tree.executed(height, root));

        let mempools = Arc::new(mempools(config));
        let clients = Arc::new(Clients::new(counters.clone()));
        let (core, core_events) = unbounded();
        let (executor, work) = unbounded();
        let (questions, asked) = bounded(QUERIES.depth);
        let (server, requests) = bounded(REQUESTS.depth);
        let bounds =
            Bounds { submission_bytes_max: INGRESS_BYTES_MAX, batch_bytes_max: PEER_BATCH_BYTES_MAX };
        let (ingress, peer_batches, intake) = ingress::open(bounds);
        let (inbound, inbox) = consensus::inbound(genesis.validators().len());

        let consensus_bytes_max = inbound.message_bytes_max();
        let sorter = Sorter {
            core: core.clone(),
            consensus: inbound,
            batches: peer_batches,
            clock,
            counters: counters.clone(),
        };
        let reception = Reception {
            network: *genesis.network(),
            validator: me,
            clock,
            clients: clients.clone(),
            ingress,
            questions,
            counters: counters.clone(),
        };
        let settings = Settings {
            thread_name: "net".to_owned(),
            identity: config.identity.clone(),
            peers: Some(PeerSettings {
                me: config.index,
                socket: peer_socket,
                peers: peers(config),
                channels: channels(consensus_bytes_max),
            }),
            clients: Some(ClientSettings {
                socket: client_socket,
                connections_max: CLIENTS_MAX,
                inbound_frame_bytes_max: CLIENT_FRAME_BYTES_MAX,
                outbound_frame_bytes_max: SERVER_FRAME_BYTES_MAX,
                inbound_bytes: 8 << 20,
                queue_bytes: (8 << 20).max(2 * SERVER_FRAME_BYTES_MAX),
                stalled_after: CLIENT_STALL,
            }),
        };
        let network =
            Network::start(settings, move |event| sorter.take(event), move |event| reception.take(event))?;
        let network = Arc::new(network);
        let peers = network.peers().expect("the settings have a port for peers");
        let weak = Arc::downgrade(&network);
        let report = Report {
            counters: counters.clone(),
            metrics: Arc::new(move || weak.upgrade().map(|network| network.metrics()).unwrap_or_default()),
            journal: journal.clone(),
            votes: vote_log,
            mempools: mempools.clone(),
            genesis_root,
        };

        let shared = Shared {
            clock,
            journal: journal.clone(),
            index: index.clone(),
            hints: hints.clone(),
            counters: counters.clone(),
            mempools: mempools.clone(),
            clients: clients.clone(),
            core: core.clone(),
        };
        let states = ledger.states();
        let executor_room = Executor::new(ledger, roots, shared, executor.clone());
        let executor_thread = spawn("executor", move || executor_room.run(&work))?;

        let mut readers = Vec::new();
        let filled = Arc::new(AtomicBool::new(false));
        let signatures = Arc::clone(&counters.signatures_verified);
        let verifier = Verifier::new(*genesis.network(), states, signatures);
        for number in 0..config.work.verify_threads {
            let verifier = verifier.clone();
            let room = VerifyThread {
                intake: intake.clone(),
                clock,
                mempools: mempools.clone(),
                filled: filled.clone(),
                clients: clients.clone(),
                core: core.clone(),
                counters: counters.clone(),
            };
            readers.push(spawn(&format!("verify-{number}"), move || room.run(verifier))?);
        }
        let query_room = QueryThread {
            genesis: genesis.clone(),
            validator: me,
            clock,
            journal: journal.clone(),
            index: index.clone(),
            hints,
            executor: executor.clone(),
            report,
            peers: peers.clone(),
        };
        readers.push(spawn("query", move || query_room.run(&asked))?);
        let server_room = Server { journal: journal.clone(), index: index.clone(), peers: peers.clone() };
        readers.push(spawn("server", move || server_room.run(&requests))?);

        let wiring = Wiring {
            streams,
            work: config.work.clone(),
            clock,
            certificates,
            journal,
            index,
            counters,
            mempools: mempools.clone(),
            filled,
            clients,
            peers: peers.clone(),
            executor: executor.clone(),
            server,
            events: core.clone(),
        };
        let core_room = Core::new(wiring, availability, tree);
        let core_thread = spawn("core", move || core_room.run(&core_events))?;

        let scratch = config.data.join("consensus-scratch");
        let keys = public_keys(genesis);
        let engine =
            consensus::Config::new(*genesis.network().as_bytes(), keys, config.consensus_seed.0, scratch);
        let wiring = consensus::Wiring {
            transport: Arc::new(OverQuic(peers)),
            inbox,
            store: votes,
            replay: vote_replay,
            application: Arc::new(ToCore::new(core.clone())),
        };
        let consensus = consensus::start(engine, wiring).context("consensus cannot start")?;
        tracing::info!(peers = %config.listen_peers, clients = %config.listen_clients, "running");
        Ok(Self { mempools, consensus, core, executor, core_thread, executor_thread, network, readers })
    }

    /// Stops in the order of the walk, so that whatever is told to a customer is durable, and ends with the journal.
    fn stop(self) {
        self.mempools.values().for_each(Mempool::close);
        self.consensus.stop();
        let _gone = self.core.send(CoreEvent::Stop);
        join(self.core_thread);
        let _gone = self.executor.send(Work::Stop);
        join(self.executor_thread);
        match Arc::try_unwrap(self.network) {
            Ok(network) => network.shutdown(FAREWELL),
            Err(_) => fatal(
                "the network is still in use after every thread but its own has ended: a defect of Millrace",
            ),
        }
        self.readers.into_iter().for_each(join);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(work).with_context(|| format!("no thread for {name}"))
}

fn join(thread: JoinHandle<()>) {
    // A panic has ended the process already.
    let _ended = thread.join();
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| anyhow::anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(seed)
}

fn options(config: &Config) -> Options {
    let backend = match config.storage {
        StorageBackend::Auto => Backend::Auto,
        StorageBackend::Uring => Backend::Uring,
        StorageBackend::Portable => Backend::Portable,
    };
    let owner = *config.genesis.network().as_bytes();
    Options { backend, segment_bytes: config.segment_bytes, ..Options::new(owner) }
}

fn vote_options(config: &Config) -> Options {
    Options {
        segment_bytes: VOTE_SEGMENT_BYTES,
        group_bytes: 1 << 20,
        thread_name: "consensus-log".to_owned(),
        ..options(config)
    }
}

fn chain_ids(genesis: &Genesis) -> Vec<ChainId> {
    genesis.chains().iter().map(|chain| chain.id).collect()
}

fn streams(genesis: &Genesis) -> Vec<(ChainId, ValidatorIndex)> {
    let authors = 0..genesis.validators().len() as u16;
    let chains = genesis.chains().iter();
    chains.flat_map(|chain| authors.clone().map(|author| (chain.id, ValidatorIndex(author)))).collect()
}

fn mempools(config: &Config) -> BTreeMap<ChainId, Mempool> {
    let work = &config.work;
    let mempool = |chain: &engine::types::ChainGenesis| {
        let accounts = chain.accounts.len() as u64;
        (
            chain.id,
            Mempool::new(chain.id, accounts, work.mempool_transactions, work.mempool_per_account as u32),
        )
    };
    config.genesis.chains().iter().map(mempool).collect()
}

fn peers(config: &Config) -> Vec<Peer> {
    let peer = |peer: &crate::config::PeerConfig| Peer {
        index: peer.index,
        address: peer.address,
        fingerprint: Fingerprint(peer.certificate_fingerprint),
    };
    config.peers.iter().map(peer).collect()
}
