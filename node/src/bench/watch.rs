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
use crate::network::{Member, Network};

/// Asks every validator for its counters, and the system for what it has used.
pub(super) struct Sampler {
    clients: Vec<Client>,
    pids: Vec<u32>,
}

impl Sampler {
    /// Connects to every validator of a network; `pids` are their processes.
    pub(super) fn connect(network: &Network, pids: Vec<u32>) -> Result<Self> {
        let connect = |member: &Member| member.connect(&network.genesis);
        let clients = network.members.iter().map(connect).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { clients, pids })
    }

    /// All validators, now.
    pub(super) fn sample(&mut self) -> Result<Samples> {
        // What the system knows is read first, for all: it does not wait for an answer.
        let usages =
            self.pids.iter().map(|pid| Usage::of(*pid)).collect::<Result<Vec<_>, _>>().context("/proc")?;
        let mut samples = Vec::new();
        for (client, usage) in self.clients.iter_mut().zip(usages) {
            samples.push(Sample { usage, counters: client.ask(Query::Counters)?.value });
        }
        Ok(samples)
    }

    /// The committed height of every validator.
    pub(super) fn heights(&mut self) -> Result<Vec<u64>> {
        self.clients.iter_mut().map(|client| Ok(client.status()?.as_of.height.0)).collect()
    }
}

/// What was seen when the window opened and closed.
pub(super) struct Window {
    pub open: Samples,
    pub close: Samples,
}

/// Shows the run on the terminal, and has samples taken at the right moments.
pub(super) struct Watcher {
    terminal: Terminal,
    orders: Sender<()>,
    thread: JoinHandle<(Sampler, Result<Vec<Samples>>)>,
}

impl Watcher {
    /// Starts the sampling thread.
    pub(super) fn start(sampler: Sampler) -> Result<Self> {
        let (orders, waiting) = unbounded();
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || take(sampler, &waiting))
            .context("cannot start a thread")?;
        Ok(Self { terminal: Terminal::new(), orders, thread })
    }

    /// Ends the sampling thread; the window, and the sampler for what comes after.
    pub(super) fn finish(self) -> Result<(Sampler, Window)> {
        drop(self.orders);
        let (sampler, samples) = self.thread.join().map_err(|_| anyhow!("the sampling thread panicked"))?;
        let mut samples = samples.context("the validators could not be sampled")?.into_iter();
        match (samples.next(), samples.next()) {
            (Some(open), Some(close)) => Ok((sampler, Window { open, close })),
            _ => Err(anyhow!("the measured window was never opened and closed")),
        }
    }
}

fn take(mut sampler: Sampler, orders: &Receiver<()>) -> (Sampler, Result<Vec<Samples>>) {
    let samples = orders.iter().map(|()| sampler.sample()).collect();
    (sampler, samples)
}

impl Observer for Watcher {
    fn phase(&mut self, phase: &Phase) {
        if matches!(phase, Phase::Measuring { .. } | Phase::Draining) {
            // The thread ends only with a failed sample, which `finish` reports.
            let _ = self.orders.send(());
        }
        self.terminal.phase(phase);
    }

    fn signed(&mut self, done: u64, total: u64) {
        self.terminal.signed(done, total);
    }

    fn live(&mut self, live: &Live) {
        self.terminal.live(live);
    }
}
