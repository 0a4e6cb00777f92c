//! One validator's engine, on a thread of its own or as a task of the caller's runtime.

use std::{
    fs,
    num::{NonZeroU16, NonZeroUsize},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    simplex::{self, Engine, Floor, ForwardPolicy, SkipPolicy, config::SkipBudget, scheme::ed25519::Scheme},
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
    Application, Config, Handle, Inbox, Replay, Runtime, StartError, StopReason, Store, Transport,
    adapter::{Adapter, Progress},
    certificate,
    committee::{Committee, Digest, Rotation},
    context::Context,
    halt::{Halt, Quiet},
    store::{PARTITION, volume::Volume},
    transport::{
        Channel,
        certificates::{self, Delaying},
        wire::{Gate, Inlet, Outlet},
    },
};

/// Bytes of a page with its checksum: small, because the engine rewrites the whole page to which it appends a vote.
pub(crate) const PAGE_BYTES: usize = 512;
const PAGE: NonZeroU16 = page_size(PAGE_BYTES as u32);
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

/// Starts an engine on a thread named `consensus`.
///
/// `scratch` is a directory in which the tokio runtime may place its lock file; it is made if missing. It may be
/// deleted while the engine does not run.
///
/// # Errors
/// [`StartError`]: the configuration, the records of an earlier run or `scratch` cannot be used; nothing runs then.
pub fn start(config: Config, wiring: Wiring, scratch: &Path) -> Result<Handle, StartError> {
    let application = wiring.application.clone();
    fs::create_dir_all(scratch).map_err(|error| StartError::Scratch { path: scratch.to_owned(), error })?;
    let (run, mut handle) = prepare(config, wiring)?;
    let runner = runtime::Runner::new(
        runtime::Config::new()
            .with_worker_threads(1)
            .with_max_blocking_threads(1)
            .with_storage_directory(scratch.to_owned()),
    );
    let halt = handle.halt.clone();
    let thread = std::thread::Builder::new()
        .name("consensus".to_owned())
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| runner.start(|runtime| run.drive(runtime))));
            if let Err(panic) = outcome {
                halt.stop(StopReason::Panic(panic_message(&*panic)));
            }
            tell_stopped(&halt, &*application);
        })
        .map_err(StartError::Thread)?;
    handle.thread = Some(thread);
    Ok(handle)
}

/// Starts an engine as a task of `runtime`, and all its parts as tasks below it.
///
/// Time, randomness and the order of tasks are the runtime's: on commonware's deterministic runtime a cluster is one
/// thread, and the same seed gives the same run. Callbacks are made from the runtime's tasks. Engines that share a
/// runtime need contexts that differ in a label or an attribute, because their metrics have the same names. When the
/// task above ends, the engine ends as by [`Handle::crash`]. A panic is left to the runtime.
///
/// # Errors
/// [`StartError`]: the configuration or the records of an earlier run cannot be used; nothing runs then.
pub fn spawn<R: Runtime>(runtime: R, config: Config, wiring: Wiring) -> Result<Handle, StartError> {
    let application = wiring.application.clone();
    let (run, handle) = prepare(config, wiring)?;
    let halt = handle.halt.clone();
    // Dropping the runtime's own handle leaves the task running: ours ends it through `halt`.
    let _task = runtime.spawn(move |runtime| async move {
        run.drive(runtime).await;
        tell_stopped(&halt, &*application);
    });
    Ok(handle)
}

/// Tells why the engine has stopped. An engine that crashes tells nobody.
fn tell_stopped(halt: &Halt, application: &dyn Application) {
    halt.stop(StopReason::Ended);
    match halt.reason().expect("set by the line before") {
        StopReason::Crashed => {}
        reason => application.stopped(reason),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Everything that moves to the engine's task.
struct Run {
    config: Config,
    me: u16,
    transport: Arc<dyn Transport>,
    inbox: Inbox,
    adapter: Adapter,
    floor: Floor<Scheme, Digest>,
    volume: Arc<Volume>,
    halt: Halt,
}

/// Checks what an engine is to be started with, and takes over the records of earlier runs.
fn prepare(config: Config, wiring: Wiring) -> Result<(Run, Handle), StartError> {
    config.timing.check()?;
    if config.views_kept == 0 {
        return Err(StartError::ViewsKept);
    }
    let committee = Arc::new(Committee::new(&config.network, config.epoch, &config.validators)?);
    let key =
        ed25519::PrivateKey::decode(Copying(&config.signing_seed)).map_err(|_| StartError::NotAMember)?;
    let me = committee.validator(&key.public_key()).ok_or(StartError::NotAMember)?;
    let scheme = match config.votes {
        true => committee.signer(key).ok_or(StartError::NotAMember)?,
        false => committee.verifier(),
    };
    let floor = match &config.floor {
        None => Floor::Genesis(Digest::from(config.root)),
        Some(floor) => Floor::Finalized(
            certificate::check(&committee, &scheme, floor.certificate()).map_err(StartError::Floor)?,
        ),
    };
    let Wiring { transport, inbox, store, replay, application } = wiring;
    if inbox.shared.committee_size() != committee.len() {
        return Err(StartError::InboxSize {
            inbox: inbox.shared.committee_size(),
            committee: committee.len(),
        });
    }

    let halt = Halt::new();
    let identity = committee.identity(me);
    let recovered = replay.finish(identity)?;
    let progress = Arc::new(Progress::default());
    let entered = config.floor.as_ref().map_or(0, |floor| floor.view() + 1);
    progress.view.store(recovered.highest_view().max(entered), Ordering::Relaxed);
    let volume = Volume::new(store, recovered, identity, config.compact_after_bytes, halt.clone())
        .map_err(StartError::Store)?;
    let volume = Arc::new(volume);
    let handle = Handle {
        me,
        halt: halt.clone(),
        progress: progress.clone(),
        shared: inbox.shared.clone(),
        volume: volume.clone(),
        thread: None,
    };
    let application = Arc::new(Quiet { application, halt: halt.clone() });
    let adapter = Adapter { application, committee, scheme, progress };
    Ok((Run { config, me, transport, inbox, adapter, floor, volume, halt }, handle))
}

impl Run {
    async fn drive<R: Runtime>(self, runtime: R) {
        let Run { config, me, transport, inbox, adapter, floor, volume, halt } = self;
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

        let (queue, certificates_to_send) = mpsc::unbounded_channel();
        let forwarder = context.child("certificates").spawn({
            let (transport, committee) = (transport.clone(), committee.len());
            move |context| {
                let delay = timing.certificate_delay;
                certificates::forward(context, certificates_to_send, transport, committee, delay)
            }
        });
        let transport: Arc<dyn Transport> = Arc::new(Delaying { transport, queue });

        let engine = Engine::new(
            context.child("engine"),
            simplex::Config {
                scheme: adapter.scheme.clone(),
                elector: Rotation::default(),
                blocker: gate,
                automaton: adapter.clone(),
                relay: adapter.clone(),
                reporter: adapter,
                // Conflicting votes are worth more than the little memory that old votes take.
                track_historical_votes: true,
                strategy: Sequential,
                partition: PARTITION.to_owned(),
                mailbox_size: MAILBOX,
                epoch: committee.epoch(),
                floor,
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
                // Payloads are digests: what one stands for is fetched by those who lack it.
                forward: ForwardPolicy::Disabled,
            },
        );
        let shared = inbox.shared;
        let [votes, certified, resolver] = inbox.queues;
        let link = |channel, queue| {
            (
                Outlet {
                    transport: transport.clone(),
                    committee: committee.clone(),
                    me,
                    channel,
                    halt: halt.clone(),
                },
                Inlet { queue, shared: shared.clone(), committee: committee.clone(), channel },
            )
        };
        let engine = engine.start(
            link(Channel::Vote, votes),
            link(Channel::Certificate, certified),
            link(Channel::Resolver, resolver),
        );
        // In this order, or the choice between two that are ready would be random.
        tokio::select! {
            biased;
            _ = halt.stopped() => {}
            _ = engine => {}
            _ = unblocker => {}
            _ = forwarder => {}
        }
    }
}

/// Lifts each block after its time.
async fn unblock<R: Runtime>(
    context: Context<R>,
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
