//! The validator's side of a device: which signatures it gets, whether its answers count, and when it is tried again.
//!
//! ```text
//!              ┌──────────────── resting, for a while ◀── lost, hanging, out of memory
//!              ▼                                          ▲
//!  start ──▶ a child ──▶ ready ──▶ measured ──▶ in service ──▶ caught: never again
//! ```

use std::fmt;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use engine::verify::{Answer, Assistant};
use kernels::ed25519::{Entry, Item, SigningKey};
use kernels::gpu::Claim;

use super::calibration::DeviceTimes;
use super::child::{Link, Spawn};
use super::guard::{Fault, GUARDS, Guarded};
use super::lines::{FromChild, Which, hear};
use super::pace::{PATIENCE_MAX, Pace, Policy};
use super::shared_memory::SharedMemory;
use super::slot::{CLAIMS_MAX, Slot};
use super::worker::SLOTS;
use crate::machine::random;
use crate::validator::clock::Clock;

mod state;

pub use state::Standing;
use state::{Flight, State};

/// How long a child may take until its device is ready. A driver that compiles for the first time takes seconds, on a
/// busy machine minutes.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// A child that has not answered for a batch for so long is hanging.
const HANGING_AFTER: Duration = Duration::from_secs(10);
/// How long the first batches may take, with which it is measured: their keys are new.
const MEASURED_WITHIN: Duration = Duration::from_secs(60);
/// The measurement ends with a batch that takes this long.
const LONG_BATCH: Duration = Duration::from_millis(100);
/// Sizes of the batches by which a device is measured.
const SIZES: [usize; 5] = [32, 128, 512, 2_048, 8_192];
/// Keys that sign these batches.
const KEYS: usize = 16;
/// After a loss the next child is started this much later, after each further loss twice as long,
const REST_FIRST: Duration = Duration::from_secs(30);
/// but at most this much later.
const REST_MAX: Duration = Duration::from_secs(600);
/// A device that was in service for so long begins anew with the shortest rest.
const STEADY_AFTER: Duration = Duration::from_secs(600);
/// How often the supervisor looks at the state of the child.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so many batches in a row without an answer that counts, the device rests.
const FAILURES_MAX: u32 = 8;
/// A child is given up after more lines than this about batches that it was not given.
const STRAY_LINES_MAX: u32 = 64;

/// What a desk calls when something happens to its device.
pub struct Hooks {
    /// A device is in service, and was measured.
    pub in_service: Box<dyn Fn(DeviceTimes) + Send + Sync>,
    /// A device was caught with a wrong verdict: nothing that it accepted may be voted for before it is checked again.
    pub caught: Box<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// Where verify threads hand in signatures for a device. A thread supervises the child, and another hears each child.
#[derive(Debug)]
pub struct Desk {
    inner: Arc<Inner>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

#[derive(Debug)]
struct Inner {
    policy: Policy,
    hooks: Hooks,
    clock: Clock,
    /// What a signature takes on the CPU.
    cpu: Duration,
    /// How long each batch is waited for, where a test sets it.
    patience: Option<Duration>,
    /// The threads that hear children, and the one that starts them.
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// A batch that was handed in.
#[derive(Debug)]
struct Ticket {
    inner: Arc<Inner>,
    which: Which,
    guarded: Guarded,
    taken: usize,
    /// Signatures of the batch, and of those before it.
    ahead: usize,
    begun: Duration,
    patience: Duration,
}

impl Desk {
    /// Starts a child, and takes signatures once it is ready. `cpu` is what a signature takes on the CPU.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        policy: Policy,
        cpu: Duration,
        clock: Clock,
        program: std::path::PathBuf,
        hooks: Hooks,
    ) -> std::io::Result<Self> {
        // With `auto` a software device would never get a part: it is slower than the CPU.
        let takes_software = policy == Policy::Gpu;
        let spawn = Box::new(super::child::Program { path: program, takes_software });
        Self::with(policy, (cpu, None), clock, spawn, hooks)
    }

    fn with(
        policy: Policy,
        (cpu, patience): (Duration, Option<Duration>),
        clock: Clock,
        spawn: Box<dyn Spawn>,
        hooks: Hooks,
    ) -> std::io::Result<Self> {
        let state = State {
            standing: Standing::Starting,
            device: None,
            claims_max: 0,
            link: None,
            life: 0,
            generation: 0,
            flights: [const { None }; SLOTS],
            pace: None,
            timeouts: 0,
            failures: 0,
            said: None,
            trouble: None,
            is_stopping: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let threads = Arc::<Mutex<Vec<_>>>::default();
        let inner =
            Arc::new(Inner { policy, hooks, clock, cpu, patience, threads: threads.clone(), state, changed });
        let here = inner.clone();
        let supervisor =
            thread::Builder::new().name("device".into()).spawn(move || here.supervise(&*spawn))?;
        threads.lock().unwrap_or_else(PoisonError::into_inner).push(supervisor);
        Ok(Self { inner, threads })
    }

    /// The state of the device, and what the child calls it.
    #[must_use]
    pub fn standing(&self) -> (Standing, Option<String>) {
        let state = self.inner.lock();
        (state.standing.clone(), state.device.clone())
    }

    /// What keeps a device from its service, until one is in service again.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.inner.lock().trouble.clone()
    }

    /// Batches whose answer did not come in time.
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.inner.lock().timeouts
    }

    /// Whether it checks signatures now.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        self.inner.lock().standing == Standing::InService
    }

    /// Ends the child, whatever it does, and waits until no hook is called any more. What is handed in after that goes
    /// to the CPU.
    pub fn stop(&self) {
        self.inner.lock().is_stopping = true;
        self.inner.changed.notify_all();
        loop {
            let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
            if threads.is_empty() {
                return;
            }
            // The last owner may be a hook; and a panic has ended the process already.
            let others = threads.into_iter().filter(|of| of.thread().id() != thread::current().id());
            others.for_each(|thread| drop(thread.join()));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Assistant for Desk {
    fn offer(&self, items: &[Item<'_>]) -> Option<Box<dyn Answer>> {
        let ticket = self.inner.offer(items.iter().map(Item::entry))?;
        Some(Box::new(ticket))
    }
}

impl Answer for Ticket {
    fn taken(&self) -> usize {
        self.taken
    }

    fn wait(self: Box<Self>) -> Option<Vec<bool>> {
        let answer = self.inner.answer(self.which, self.begun + self.patience);
        if let Some((_, landed)) = &answer {
            // When the answer came, not when this thread was done with the CPU's part and looked.
            self.inner.landed(self.ahead, landed.saturating_sub(self.begun));
        } else if self.inner.clock.now() >= self.begun + self.patience {
            self.inner.landed(self.ahead, self.patience);
        }
        let judged = answer.and_then(|(accepted, _)| self.judge(&accepted));
        self.inner.counts(judged)
    }
}

impl Ticket {
    fn judge(&self, answer: &[bool]) -> Option<Vec<bool>> {
        // Without randomness the CPU cannot check either; the verify thread stops the validator with a message.
        match self.guarded.judge(answer, &random().ok()?) {
            Ok(accepted) => Some(accepted),
            Err(Fault::Blind) => None,
            Err(fault) => {
                self.inner.catch(&fault.to_string());
                None
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.inner.give_up(self.which);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, for a moment.
    fn look<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0
    }

    fn offer<'e>(self: &Arc<Self>, entries: impl Iterator<Item = Entry<'e>> + Clone) -> Option<Ticket> {
        let share = {
            let mut state = self.lock();
            if state.standing != Standing::InService || state.flights.iter().all(Option::is_some) {
                return None;
            }
            let most = state.claims_max.saturating_sub(GUARDS);
            let room = Slot::room(entries.clone().take(most));
            let waiting = state.waiting();
            let pace = state.pace.as_mut()?;
            match pace.share(self.policy, room, waiting) {
                0 => {
                    pace.passed_over();
                    return None;
                }
                share => share,
            }
        };
        // Copied without the lock.
        let guarded = Guarded::new(entries.take(share), &random().ok()?);
        let mut state = self.lock();
        if state.standing != Standing::InService {
            return None;
        }
        let (begun, ahead) = (self.clock.now(), state.waiting() + share);
        let patience = self.patience.unwrap_or(state.pace?.patience(ahead));
        let which = state.launch(&guarded, begun)?;
        drop(state);
        Some(Ticket { inner: self.clone(), which, guarded, taken: share, ahead, begun, patience })
    }

    /// What the child says to a batch, if it does so in time. The slot is free then.
    fn answer(&self, which: Which, until: Duration) -> Option<(Vec<bool>, Duration)> {
        let mut state = self.lock();
        loop {
            let answer = state.flight(which)?.as_mut()?.answer.take();
            if let Some(answer) = answer {
                *state.flight(which)? = None;
                drop(state);
                return answer
                    .map_err(|why| tracing::debug!("a batch of signatures goes to the CPU: {why}"))
                    .ok();
            }
            let left = until.saturating_sub(self.clock.now());
            if left.is_zero() || state.is_stopping {
                state.timeouts += u64::from(left.is_zero());
                state.flight(which)?.as_mut()?.is_given_up = true;
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nobody waits for a batch any more.
    fn give_up(&self, which: Which) {
        let mut state = self.lock();
        if let Some(place) = state.flight(which) {
            match place {
                Some(flight) if flight.answer.is_none() => flight.is_given_up = true,
                _ => *place = None,
            }
        }
    }

    /// What was accepted, unless the device was caught meanwhile: then no answer of the child counts.
    fn counts(&self, judged: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let mut state = self.lock();
        match &judged {
            Some(_) => state.failures = 0,
            None => state.failures += 1,
        }
        judged.filter(|_| state.standing == Standing::InService)
    }

    fn landed(&self, ahead: usize, took: Duration) {
        if let Some(pace) = &mut self.lock().pace {
            pace.landed(ahead, took);
        }
    }

    /// The device has given a wrong verdict.
    fn catch(&self, why: &str) {
        let mut state = self.lock();
        let is_first = !matches!(state.standing, Standing::Caught { .. });
        if is_first {
            state.standing = Standing::Caught { why: why.to_owned() };
            state.link.iter_mut().for_each(Link::kill);
            state.fail_all("the device was caught with a wrong verdict");
        }
        drop(state);
        self.changed.notify_all();
        if is_first {
            (self.hooks.caught)(why);
        }
    }

    /// One child after another.
    fn supervise(self: &Arc<Self>, spawn: &dyn Spawn) {
        let mut rest = REST_FIRST;
        loop {
            let begun = self.clock.now();
            let why = self.live(spawn);
            let mut state = self.lock();
            let left = state.rest(why.clone());
            drop(state);
            self.changed.notify_all();
            drop(left);
            let mut state = self.lock();
            if state.is_stopping || matches!(state.standing, Standing::Caught { .. }) {
                return;
            }
            if self.clock.now().saturating_sub(begun) >= STEADY_AFTER {
                rest = REST_FIRST;
            }
            let seconds = rest.as_secs();
            // The alarm says that it is gone.
            tracing::debug!("the device is gone ({why}), and is tried again in {seconds} s");
            let until = self.clock.now() + rest;
            rest = (2 * rest).min(REST_MAX);
            while self.clock.now() < until && !state.is_stopping {
                state = self.look(state);
            }
            if state.is_stopping {
                return;
            }
            state.becomes(Standing::Starting);
        }
    }

    /// Follows a child from its start to its end, and returns why it has ended.
    fn live(self: &Arc<Self>, spawn: &dyn Spawn) -> String {
        let link = match spawn.spawn() {
            Ok(link) => link,
            Err(error) => return format!("its process cannot be started: {error}"),
        };
        let lines = match link.socket.try_clone() {
            Ok(lines) => lines,
            Err(error) => return format!("its process cannot be heard: {error}"),
        };
        let memory = link.memory.clone();
        let life = {
            let mut state = self.lock();
            state.life += 1;
            state.link = Some(link);
            state.life
        };
        let here = self.clone();
        let reader = thread::Builder::new()
            .name("device-lines".into())
            .spawn(move || here.listen(life, lines, &memory));
        match reader {
            Ok(reader) => {
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(reader);
            }
            Err(error) => return format!("there is no thread for it: {error}"),
        }
        let until = self.clock.now() + READY_WITHIN;
        let mut state = self.lock();
        while state.device.is_none() {
            if let Some(why) = self.ended(&state) {
                return why;
            }
            if self.clock.now() >= until {
                return format!("it is not ready after {} s", READY_WITHIN.as_secs());
            }
            state = self.look(state);
        }
        state.becomes(Standing::Measuring);
        drop(state);
        let (pace, measured) = match self.measure() {
            Ok(measured) => measured,
            Err(why) => return why,
        };
        let mut state = self.lock();
        if let Some(why) = self.ended(&state) {
            return why;
        }
        state.pace = Some(pace);
        state.trouble = None;
        state.becomes(Standing::InService);
        drop(state);
        (self.hooks.in_service)(measured);
        let mut state = self.lock();
        loop {
            if let Some(why) = self.ended(&state) {
                return why;
            }
            let now = self.clock.now();
            let hangs = |flight: &Flight| {
                flight.answer.is_none() && now.saturating_sub(flight.since) >= HANGING_AFTER
            };
            if state.flights.iter().flatten().any(hangs) {
                return format!("it has not answered for {} s", HANGING_AFTER.as_secs());
            }
            if state.failures >= FAILURES_MAX {
                return format!("{FAILURES_MAX} batches in a row had no answer that counts, or none in time");
            }
            state = self.look(state);
        }
    }

    /// Why the child's life is over, if it is.
    fn ended(&self, state: &State) -> Option<String> {
        match &state.standing {
            Standing::Caught { why } | Standing::Resting { why } => Some(why.clone()),
            _ if state.is_stopping => Some("the validator stops".into()),
            _ => None,
        }
    }

    /// Hears a child until it is gone.
    fn listen(&self, life: u64, lines: UnixStream, memory: &SharedMemory) {
        let (mut lines, mut strays) = (BufReader::new(lines), 0);
        let why = loop {
            let heard = hear::<FromChild>(&mut lines);
            let now = self.clock.now();
            let mut state = self.lock();
            if state.life != life {
                return;
            }
            let is_known = match heard {
                Ok(Some(FromChild::Ready { device, claims })) => {
                    state.device = Some(FromChild::words(device));
                    state.claims_max = claims.min(CLAIMS_MAX);
                    true
                }
                Ok(Some(FromChild::Unusable { why })) => break why,
                Ok(Some(FromChild::Settled(which))) => {
                    let claims =
                        state.flight(which).and_then(|place| place.as_ref()).map(|flight| flight.claims);
                    let slot = Slot::of(memory.words(), which.slot);
                    match claims.zip(slot).map(|(claims, slot)| slot.accepted(claims)) {
                        Some(Ok(accepted)) => state.landed(which, Ok((accepted, now))),
                        Some(Err(nonsense)) => break nonsense.to_string(),
                        None => false,
                    }
                }
                Ok(Some(FromChild::Failed { which, why })) => {
                    state.said = Some(FromChild::words(&why));
                    state.landed(which, Err(why))
                }
                Ok(Some(FromChild::Distrusted { why, .. })) => {
                    drop(state);
                    self.catch(&FromChild::words(why));
                    return;
                }
                Ok(None) => {
                    let said = state.said.take().map(|said| format!(": {said}")).unwrap_or_default();
                    break format!("its process has ended{said}");
                }
                Err(error) => break format!("its process says what makes no sense: {error}"),
            };
            strays += u32::from(!is_known);
            if strays > STRAY_LINES_MAX {
                break "its process speaks of batches that it was not given".into();
            }
            drop(state);
            self.changed.notify_all();
        };
        let mut state = self.lock();
        let left = if state.life == life { state.rest(FromChild::words(why)) } else { None };
        drop(state);
        self.changed.notify_all();
        drop(left);
    }

    /// How fast the device is, by batches of growing size.
    fn measure(&self) -> Result<(Pace, DeviceTimes), String> {
        let keys: Vec<SigningKey> = (0..KEYS).map(|key| SigningKey::from_seed([key as u8; 32])).collect();
        let signed = |number: usize| {
            let (key, message) = (&keys[number % KEYS], [number as u8; 96]);
            Claim { key: key.public_key(), signature: key.sign(&message), message: message.to_vec() }
        };
        let mut claims: Vec<Claim> = Vec::new();
        let mut timed: Vec<(usize, Duration)> = Vec::new();
        for size in SIZES {
            claims.extend((claims.len()..size).map(signed));
            // The first time is that of new keys and cold code.
            let runs = if timed.is_empty() { 2 } else { 1 };
            let mut took = Duration::ZERO;
            for _ in 0..runs {
                took = self.time(&claims)?;
            }
            timed.push((size, took));
            if took >= LONG_BATCH {
                break;
            }
        }
        let (small, large) = (timed[0], timed[timed.len() - 1]);
        if small.1 >= PATIENCE_MAX {
            return Err(format!("it is too slow: {} signatures take {:?}", small.0, small.1));
        }
        let pace = Pace::new(small, large, self.cpu);
        let (batch, signature) = pace.times();
        let device = self.lock().device.clone().unwrap_or_default();
        Ok((
            pace,
            DeviceTimes {
                device,
                batch_us: batch.as_micros() as u64,
                signature_ns: signature.as_nanos() as u64,
                batch_from: pace.crossover(self.policy, CLAIMS_MAX - GUARDS).map(|size| size as u64),
            },
        ))
    }

    /// How long a batch of good signatures takes.
    fn time(&self, claims: &[Claim]) -> Result<Duration, String> {
        let random = random().map_err(|error| error.to_string())?;
        let guarded = Guarded::new(claims.iter().map(Claim::entry), &random);
        let begun = self.clock.now();
        let which = self.lock().launch(&guarded, begun).ok_or("its process takes no batch")?;
        let answer = self.answer(which, begun + MEASURED_WITHIN);
        let took = self.clock.now().saturating_sub(begun);
        let (answer, _) = answer.ok_or("a batch by which it is measured has no answer")?;
        match guarded.judge(&answer, &random) {
            Ok(accepted) if accepted.iter().all(|accepted| *accepted) => Ok(took),
            Ok(_) | Err(Fault::Blind) => Err("it refuses good signatures".into()),
            Err(fault) => {
                self.catch(&fault.to_string());
                Err(fault.to_string())
            }
        }
    }
}

const _: () = assert!(PATIENCE_MAX.as_millis() < HANGING_AFTER.as_millis());

#[cfg(test)]
mod tests;
