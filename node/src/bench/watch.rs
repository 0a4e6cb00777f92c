//! Looks at the validators when the measured window opens and closes, off the generator's thread.
//!
//! ```text
//! generator: phase(Measuring) ── a word ──> sampler: /proc and Counters of every validator ──> open
//!            phase(Draining)  ── a word ──> sampler: the same                              ──> close
//! ```

use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use client::Client;
use crossbeam::channel::{Receiver, Sender, unbounded};
use engine::wire::Query;
use loadgen::progress::{Live, Observer, Phase, Terminal};

use super::figures::{Sample, Samples, Usage};
use super::interrupt::Interrupt;
use crate::network::{Member, Network};

/// Asks every validator for its counters, and the system for what it has used.
pub(super) struct Sampler {
    /// None of one that went away.
    clients: Vec<Option<Client>>,
    pids: Vec<u32>,
    /// What each said last: all that is known of one that went away.
    last: Samples,
}

impl Sampler {
    /// Connects to every validator of a network; `pids` are their processes.
    pub(super) fn connect(network: &Network, pids: Vec<u32>) -> Result<Self> {
        let connect = |member: &Member| member.connect(&network.genesis).map(Some);
        let clients = network.members.iter().map(connect).collect::<Result<Vec<_>, _>>()?;
        let last = clients.iter().map(|_| Sample::default()).collect();
        Ok(Self { clients, pids, last })
    }

    /// All validators, now. One that went away stays as it was.
    pub(super) fn sample(&mut self) -> Samples {
        // What the system knows is read first, for all: it does not wait for an answer.
        let usages: Vec<_> = self.pids.iter().map(|pid| Usage::of(*pid)).collect();
        for ((slot, last), usage) in self.clients.iter_mut().zip(&mut self.last).zip(usages) {
            // One that has ended is not asked: its answer would be waited for.
            let usage = usage.ok().filter(|usage| usage.resident_bytes_max > 0);
            let asked = slot.as_mut().zip(usage).map(|(client, usage)| (client.ask(Query::Counters), usage));
            match asked {
                Some((Ok(counters), usage)) => *last = Sample { usage, counters: counters.value },
                _ => *slot = None,
            }
        }
        self.last.clone()
    }

    /// Connects again to those that went away and whose process is there; whether all of these are connected.
    pub(super) fn find_again(&mut self, network: &Network, pid_of: impl Fn(usize) -> Option<u32>) -> bool {
        let mut all_are_there = true;
        for (at, (slot, pid)) in self.clients.iter_mut().zip(&mut self.pids).enumerate() {
            let Some(running) = pid_of(at).filter(|_| slot.is_none()) else { continue };
            *slot = network.members[at].connect(&network.genesis).ok();
            *pid = running;
            all_are_there &= slot.is_some();
        }
        all_are_there
    }

    /// The committed height of every validator that is there.
    pub(super) fn heights(&mut self) -> Vec<u64> {
        let height = |slot: &mut Option<Client>| {
            let status = slot.as_mut()?.status().ok();
            if status.is_none() {
                *slot = None;
            }
            Some(status?.as_of.height.0)
        };
        self.clients.iter_mut().filter_map(height).collect()
    }
}

/// What was seen when the window opened and closed.
pub(super) struct Window {
    pub open: Samples,
    pub close: Samples,
}

/// Has samples taken off the generator's thread.
pub(super) struct Watcher {
    orders: Sender<()>,
    thread: JoinHandle<(Sampler, Vec<Samples>)>,
}

impl Watcher {
    /// Starts the sampling thread.
    pub(super) fn start(sampler: Sampler) -> Result<Self> {
        let (orders, waiting) = unbounded();
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || take(sampler, &waiting))
            .context("cannot start a thread")?;
        Ok(Self { orders, thread })
    }

    /// Has one taken now.
    pub(super) fn sample(&self) {
        // The thread ends only with this sender.
        let _ = self.orders.send(());
    }

    /// Ends the sampling thread; the window, and the sampler for what comes after.
    pub(super) fn finish(self) -> Result<(Sampler, Window)> {
        drop(self.orders);
        let (sampler, samples) = self.thread.join().map_err(|_| anyhow!("the sampling thread panicked"))?;
        let mut samples = samples.into_iter();
        match (samples.next(), samples.next()) {
            (Some(open), Some(close)) => Ok((sampler, Window { open, close })),
            _ => Err(anyhow!("the measured window was never opened and closed")),
        }
    }
}

fn take(mut sampler: Sampler, orders: &Receiver<()>) -> (Sampler, Vec<Samples>) {
    let samples = orders.iter().map(|()| sampler.sample()).collect();
    (sampler, samples)
}

/// The terminal of a load that a signal ends, with something that is done when the measured window opens and closes.
pub(super) struct Watched<F> {
    terminal: Terminal,
    interrupt: Interrupt,
    at_edges: F,
}

impl<F: FnMut()> Watched<F> {
    pub(super) fn new(interrupt: Interrupt, at_edges: F) -> Self {
        Self { terminal: Terminal::new(), interrupt, at_edges }
    }
}

impl<F: FnMut()> Observer for Watched<F> {
    fn phase(&mut self, phase: &Phase) {
        if matches!(phase, Phase::Measuring { .. } | Phase::Draining) {
            (self.at_edges)();
        }
        self.terminal.phase(phase);
    }

    fn signed(&mut self, done: u64, total: u64) {
        self.terminal.signed(done, total);
    }

    fn live(&mut self, live: &Live) {
        self.terminal.live(live);
    }

    fn news(&mut self, news: &str) {
        self.terminal.news(news);
    }

    fn is_cancelled(&mut self) -> bool {
        self.interrupt.signal().is_some()
    }
}
