//! The child: it has the driver, runs the double check, and writes what that accepts into shared memory.
//!
//! It is started by a validator, as `millrace device-child`, with a socket as its standard input and the shared memory
//! as its standard output. It ends when the validator is gone, or when its device is lost.

use std::collections::VecDeque;
use std::io::{self, BufReader, stderr, stdin, stdout};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, bounded};
use kernels::gpu::{CANARIES, Capacity, Claim, Device, DoubleCheck, Judged, Pending, Refused, Rejection};

use super::lines::{FromChild, ToChild, Which, hear, say};
use super::shared_memory::SharedMemory;
use super::slot::{CLAIMS_MAX, SLOT_WORDS, Slot};
use crate::machine::random;

/// The name of the child's command.
pub(super) const COMMAND: &str = "device-child";
/// The option that allows a software device.
pub(super) const SOFTWARE: &str = "--software";
/// Batches in shared memory.
pub(super) const SLOTS: usize = 3;
/// Words of the shared memory.
pub(super) const MEMORY_WORDS: usize = SLOTS * SLOT_WORDS;
/// Entries of each batch that the child's own check has the CPU look at.
const SAMPLES: usize = 1;
/// How long it waits for the oldest batch before it looks for new ones.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The niceness of the child: the validator's threads come first.
const NICENESS: i32 = 5;
/// Blocks that a claim's hash takes at most: of 303 bytes.
const CLAIM_BLOCKS: usize = 3;

/// Works until the validator or the device is gone.
///
/// # Errors
/// It was not started by a validator, or the validator is of another release.
pub fn run(takes_software: bool) -> anyhow::Result<()> {
    let by_hand = "validators start this command themselves; for a GPU use `millrace node --verify gpu`";
    let socket = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let memory = stdout().as_fd().try_clone_to_owned()?;
    // What a driver prints must not go into the memory.
    rustix::stdio::dup2_stdout(stderr())?;
    let memory = SharedMemory::map(&memory, MEMORY_WORDS).context(by_hand)?;
    give_way();
    let orders = listen(socket.try_clone()?)?;
    let mut worker = match open(takes_software) {
        Ok(check) => Worker { socket, memory, check, waiting: VecDeque::new(), flying: VecDeque::new() },
        Err(why) => {
            return Ok(say(&mut &socket, &FromChild::Unusable { why: FromChild::words(why) })?);
        }
    };
    let device = FromChild::words(worker.check.info());
    let claims = worker.check.capacity().claims;
    say(&mut &worker.socket, &FromChild::Ready { device, claims })?;
    worker.work(&orders)
}

/// Gives way to the validator: a software device would take every core, and when memory runs out the kernel is to end
/// this process first.
fn give_way() {
    // Where that is not allowed, it goes on without.
    let _niced = rustix::process::nice(NICENESS);
    let _told = std::fs::write("/proc/self/oom_score_adj", "500");
}

/// The double check, on the best device.
fn open(takes_software: bool) -> Result<DoubleCheck, String> {
    let device = Device::open().map_err(|error| error.to_string())?;
    if device.info().is_software && !takes_software {
        return Err(format!("{} is a software device, which is slower than the CPU", device.info().name));
    }
    let claims = CLAIMS_MAX + CANARIES;
    let capacity = Capacity { claims, blocks: CLAIM_BLOCKS * claims, flights: SLOTS };
    let capacity = capacity.within(device.info());
    DoubleCheck::new(device, capacity).map_err(|error| error.to_string())
}

/// What the validator says. When it is gone the process ends at once: the driver may be hanging.
fn listen(socket: UnixStream) -> io::Result<Receiver<Which>> {
    // The validator has a slot for each, so it never says more.
    let (sender, orders) = bounded(SLOTS);
    thread::Builder::new().name("device-orders".into()).spawn(move || {
        let mut lines = BufReader::new(socket);
        while let Ok(Some(ToChild::Check(which))) = hear(&mut lines) {
            if sender.send(which).is_err() {
                break;
            }
        }
        let _dead = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    })?;
    Ok(orders)
}

struct Worker {
    socket: UnixStream,
    memory: SharedMemory,
    check: DoubleCheck,
    waiting: VecDeque<(Which, Vec<Claim>)>,
    /// In the order in which they were handed to the device.
    flying: VecDeque<(Which, Pending)>,
}

impl Worker {
    fn work(&mut self, orders: &Receiver<Which>) -> anyhow::Result<()> {
        loop {
            if self.waiting.is_empty() && self.flying.is_empty() {
                let Ok(which) = orders.recv() else { return Ok(()) };
                self.read(which)?;
            }
            while let Ok(which) = orders.try_recv() {
                self.read(which)?;
            }
            self.submit()?;
            self.take()?;
        }
    }

    fn read(&mut self, which: Which) -> anyhow::Result<()> {
        let slot = Slot::of(self.memory.words(), which.slot)
            .context("the validator names a slot that does not exist")?;
        self.waiting.push_back((which, slot.claims()?));
        Ok(())
    }

    fn submit(&mut self) -> anyhow::Result<()> {
        while let Some((which, claims)) = self.waiting.pop_front() {
            match self.check.submit(claims, random()?) {
                Ok(pending) => self.flying.push_back((which, pending)),
                Err(Rejection { reason: Refused::Full(_), claims }) => {
                    self.waiting.push_front((which, claims));
                    break;
                }
                Err(Rejection { reason, .. }) => self.fail(which, reason.into())?,
            }
        }
        Ok(())
    }

    fn take(&mut self) -> anyhow::Result<()> {
        let Some((which, pending)) = self.flying.pop_front() else { return Ok(()) };
        // Only when the verdicts are there. Without randomness this child ends, and the CPU decides.
        let draw = || random().expect("the operating system gives randomness, as before");
        match self.check.take(pending, LOOK_EVERY, SAMPLES, draw) {
            Judged::Pending(pending) => {
                self.flying.push_front((which, pending));
                Ok(())
            }
            Judged::Settled { opinions, .. } => {
                let slot = Slot::of(self.memory.words(), which.slot).expect("it was read before");
                slot.answer(&opinions);
                Ok(say(&mut &self.socket, &FromChild::Settled(which))?)
            }
            Judged::Failed { error, .. } => self.fail(which, error.into()),
            Judged::Distrusted { why, .. } => {
                let why = FromChild::words(why);
                Ok(say(&mut &self.socket, &FromChild::Distrusted { which, why })?)
            }
        }
    }

    /// There are no opinions on a batch. A device that failed once is opened anew, by another child.
    fn fail(&mut self, which: Which, error: anyhow::Error) -> anyhow::Result<()> {
        say(&mut &self.socket, &FromChild::Failed { which, why: FromChild::words(&error) })?;
        match error.downcast_ref() {
            Some(Refused::TooLarge { .. }) => Ok(()),
            _ => Err(error),
        }
    }
}
