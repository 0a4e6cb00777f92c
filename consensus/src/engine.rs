//! One validator's engine on a thread of its own.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    simplex::{self, Engine, Floor, ForwardPolicy, SkipPolicy, config::SkipBudget, elector::RoundRobin},
    types::ViewDelta,
};
use commonware_cryptography::{Signer as _, ed25519};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock as _, Runner as _, Spawner as _, Supervisor as _,
    buffer::paged::{CacheRef, page_size},
    tokio as runtime,
};
use commonware_utils::{NonZeroDuration, channel::mpsc};

use crate::{
    Application, Config, Inbox, Replay, StartError, StopReason, Store, Transport,
    adapter::{Adapter, Progress},
    certificate::EPOCH,
    committee::{Committee, Digest},
    context::Context,
    halt::Halt,
    store::volume::Volume,
    transport::{
        Channel, Shared,
        wire::{Gate, Inlet, Outlet},
    },
};

/// Small pages, because the engine rewrites the whole page to which it appends a vote.
const PAGE: NonZeroU16 = page_size(512);
const WRITE_BUFFER: NonZeroUsize = nonzero(8 << 10);
const REPLAY_BUFFER: NonZeroUsize = nonzero(64 << 10);
const CACHE_PAGES: NonZeroUsize = nonzero(64);
const MAILBOX: NonZeroUsize = nonzero(1024);

const fn nonzero(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).expect("constants above are not zero")
}

/// What an engine is connected to.
pub struct Wiring {
    /// The way out to the peers.
    pub transport: Arc<dyn Transport>,
    /// The way in; see [`crate::inbound`].
    pub inbox: Inbox,
    /// The log that remembers this validator's votes.
    pub store: Arc<dyn Store>,
    /// All records of earlier runs that the log still has.
    pub replay: Replay,
    /// Who gives the payloads their meaning.
    pub application: Arc<dyn Application>,
}

impl std::fmt::Debug for Wiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wiring").field("replay", &self.replay).finish_non_exhaustive()
    }
}

/// What has happened since the engine was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The highest finalized view.
    pub finalized_view: u64,
    /// Finalizations announced.
    pub finalized: u64,
    /// Views skipped.
    pub nullified: u64,
    /// Contradictory votes proven.
    pub faults: u64,
    /// Messages taken from peers.
    pub delivered: u64,
    /// Messages dropped because their sender's share of a queue was full.
    pub dropped_full: u64,
    /// Messages dropped because they were empty, too long, or from nobody.
    pub dropped_invalid: u64,
    /// Messages dropped because their sender was blocked.
    pub dropped_blocked: u64,
    /// Records appended to the store.
    pub store_records: u64,
    /// Their bytes.
    pub store_bytes: u64,
    /// Times the engine waited for durability.
    pub store_syncs: u64,
    /// Snapshots written into the store.
    pub compactions: u64,
    /// Bytes of the last of them.
    pub live_bytes: u64,
}

/// A running engine. Dropping it asks the engine to stop; [`Handle::stop`] also waits for it.
#[derive(Debug)]
pub struct Handle {
    me: u16,
    halt: Halt,
    progress: Arc<Progress>,
    shared: Arc<Shared>,
    volume: Arc<Volume>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// This validator's index.
    pub fn me(&self) -> u16 {
        self.me
    }

    /// Why the engine has stopped or is stopping; `None` while it runs.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.halt.reason()
    }

    /// Asks the engine to stop and waits until it has. Nothing is lost by stopping at any moment.
    ///
    /// # Panics
    /// When called from one of the engine's own callbacks.
    pub fn stop(mut self) {
        self.halt.stop(StopReason::Requested);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the engine's thread catches its panics");
        }
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (inbound, store) = (&self.shared.counters, &self.volume.counters);
        Counters {
            finalized_view: read(&self.progress.finalized_view),
            finalized: read(&self.progress.finalized),
            nullified: read(&self.progress.nullified),
            faults: read(&self.progress.faults),
            delivered: read(&inbound.delivered),
            dropped_full: read(&inbound.dropped_full),
            dropped_invalid: read(&inbound.dropped_invalid),
            dropped_blocked: read(&inbound.dropped_blocked),
            store_records: read(&store.records),
            store_bytes: read(&store.bytes),
            store_syncs: read(&store.syncs),
            compactions: read(&store.compactions),
            live_bytes: read(&store.live_bytes),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.halt.stop(StopReason::Requested);
    }
}

/// Starts an engine on a thread named `consensus`.
pub fn start(config: Config, wiring: Wiring) -> Result<Handle, StartError> {
    config.timing.check()?;
    if config.views_kept == 0 {
        return Err(StartError::ViewsKept);
    }
    let committee = Arc::new(Committee::new(&config.network, &config.validators)?);
    let key =
        ed25519::PrivateKey::decode(Copying(&config.signing_seed)).map_err(|_| StartError::NotAMember)?;
    let me = committee.validator(&key.public_key()).ok_or(StartError::NotAMember)?;
    let scheme = committee.signer(key).ok_or(StartError::NotAMember)?;
    let Wiring { transport, inbox, store, replay, application } = wiring;
    if inbox.shared.committee_size() != committee.len() {
        return Err(StartError::InboxSize {
            inbox: inbox.shared.committee_size(),
            committee: committee.len(),
        });
    }
    std::fs::create_dir_all(&config.scratch)
        .map_err(|error| StartError::Scratch { path: config.scratch.clone(), error })?;

    let halt = Halt::new();
    let identity = committee.identity(me);
    let recovered = replay.finish(identity)?;
    let volume = Volume::new(store, recovered, identity, config.compact_after_bytes, halt.clone())
        .map_err(StartError::Store)?;
    let volume = Arc::new(volume);
    let progress = Arc::new(Progress::default());
    let shared = inbox.shared.clone();
    let adapter = Adapter { application: application.clone(), committee, scheme, progress: progress.clone() };

    let run = Run { config, me, transport, inbox, adapter, volume: volume.clone(), halt: halt.clone() };
    let stopping = halt.clone();
    let thread = std::thread::Builder::new()
        .name("consensus".to_owned())
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| run.run()));
            if let Err(panic) = outcome {
                stopping.stop(StopReason::Panic(panic_message(&*panic)));
            }
            stopping.stop(StopReason::Ended);
            application.stopped(stopping.reason().expect("set by the line before"));
        })
        .map_err(StartError::Thread)?;
    Ok(Handle { me, halt, progress, shared, volume, thread: Some(thread) })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Everything that moves to the engine's thread.
struct Run {
    config: Config,
    me: u16,
    transport: Arc<dyn Transport>,
    inbox: Inbox,
    adapter: Adapter,
    volume: Arc<Volume>,
    halt: Halt,
}

impl Run {
    fn run(self) {
        let config = runtime::Config::new()
            .with_worker_threads(1)
            .with_max_blocking_threads(1)
            .with_storage_directory(self.config.scratch.clone());
        runtime::Runner::new(config).start(|runtime| self.drive(runtime));
    }

    async fn drive(self, runtime: runtime::Context) {
        let Run { config, me, transport, inbox, adapter, volume, halt } = self;
        let timing = config.timing;
        let context = Context { runtime, volume };
        let committee = adapter.committee.clone();
        let (blocked, newly_blocked) = mpsc::unbounded_channel();
        let gate = Gate {
            shared: inbox.shared.clone(),
            committee: committee.clone(),
            application: adapter.application.clone(),
            blocked,
            subscribers: Arc::default(),
        };
        let unblocker = context.child("unblocker").spawn({
            let gate = gate.clone();
            move |context| unblock(context, gate, newly_blocked, timing.block_for)
        });

        let engine = Engine::new(
            context.child("engine"),
            simplex::Config {
                scheme: adapter.scheme.clone(),
                elector: <RoundRobin>::default(),
                blocker: gate,
                automaton: adapter.clone(),
                relay: adapter.clone(),
                reporter: adapter,
                // Conflicting votes are worth more than the little memory that old votes take.
                track_historical_votes: true,
                strategy: Sequential,
                partition: "simplex-0".to_owned(),
                mailbox_size: MAILBOX,
                epoch: EPOCH,
                floor: Floor::Genesis(Digest::from(config.network)),
                replay_buffer: REPLAY_BUFFER,
                write_buffer: WRITE_BUFFER,
                page_cache: CacheRef::new(PAGE, CACHE_PAGES),
                leader_timeout: timing.leader_timeout,
                certification_timeout: timing.certification_timeout,
                timeout_retry: timing.retry,
                view_retention: ViewDelta::new(config.views_kept),
                skip: match timing.skip_after {
                    None => SkipPolicy::Disabled,
                    Some(timeout) => SkipPolicy::Enabled { timeout, budget: SkipBudget::Participants },
                },
                fetch_timeout: NonZeroDuration::new_panic(timing.fetch_timeout),
                fetch_retry_delay: timing.fetch_retry,
                forward: ForwardPolicy::Disabled,
            },
        );
        let shared = inbox.shared;
        let [votes, certificates, resolver] = inbox.queues;
        let link = |channel, queue| {
            (
                Outlet { transport: transport.clone(), committee: committee.clone(), me, channel },
                Inlet { queue, shared: shared.clone(), committee: committee.clone(), channel },
            )
        };
        let engine = engine.start(
            link(Channel::Vote, votes),
            link(Channel::Certificate, certificates),
            link(Channel::Resolver, resolver),
        );
        tokio::select! {
            _ = halt.stopped() => {}
            _ = engine => {}
            _ = unblocker => {}
        }
    }
}

/// Lifts each block after its time.
async fn unblock(
    context: Context,
    gate: Gate,
    mut newly_blocked: mpsc::UnboundedReceiver<u16>,
    block_for: std::time::Duration,
) {
    while let Some(validator) = newly_blocked.recv().await {
        let gate = gate.clone();
        context.child("block").spawn(move |context| async move {
            context.sleep(block_for).await;
            gate.lift(validator);
        });
    }
}
