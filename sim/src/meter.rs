//! What a network costs: messages, bytes and time, counted in a window of a run.

use std::time::Duration;

use crate::world::World;

/// Counters since the window began.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) on: bool,
    since: Duration,
    view: u64,
    height: u64,
    applied: usize,
    sealed: u64,
    pub(crate) votes: Traffic,
    pub(crate) batches: Traffic,
    pub(crate) control: Traffic,
}

/// Messages and their bytes, as encoded: without the transport's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// What a window of a run has cost, over all validators.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// How long the window was, in virtual time.
    pub window: Duration,
    /// Views that were entered.
    pub views: u64,
    /// Blocks that were executed.
    pub blocks: u64,
    /// Batches that were sealed.
    pub batches: u64,
    /// Transactions that were applied.
    pub transactions: u64,
    /// From the submission to the answer, of everything that was answered: shortest first.
    pub latencies: Vec<Duration>,
    /// Votes, certificates and requests of consensus.
    pub consensus: Traffic,
    /// Batches, and blocks for validators that catch up.
    pub bulk: Traffic,
    /// Holdings, blocks, requests and status.
    pub control: Traffic,
}

impl World {
    fn highest_view(&self) -> u64 {
        let running = self.nodes.iter().filter_map(|node| node.running.as_ref()?.consensus.as_ref());
        running.map(consensus::Handle::view).max().unwrap_or(0)
    }

    fn sealed(&self) -> u64 {
        self.nodes.iter().filter_map(|node| node.running.as_ref()).map(|one| one.host.sealed_batches).sum()
    }

    /// Begins the window.
    pub(crate) fn measure(&mut self) {
        self.meter = Meter {
            on: true,
            since: self.now,
            view: self.highest_view(),
            height: self.checks.height(),
            applied: self.checks.applied(),
            sealed: self.sealed(),
            ..Meter::default()
        };
    }

    /// Ends it.
    pub(crate) fn measured(&mut self) {
        let Meter { since, view, height, applied, sealed, votes, batches, control, .. } = self.meter;
        let within = |at: &Duration| *at >= since && *at <= self.now;
        let told = self.clients.submissions.iter().filter(|one| one.told_at.as_ref().is_some_and(within));
        let mut latencies: Vec<Duration> =
            told.filter_map(|one| Some(one.told_at?.saturating_sub(one.at))).collect();
        latencies.sort_unstable();
        self.meter.on = false;
        let cost = Cost {
            window: self.now - since,
            views: self.highest_view() - view,
            blocks: self.checks.height() - height,
            batches: self.sealed() - sealed,
            transactions: (self.checks.applied() - applied) as u64,
            latencies,
            consensus: votes,
            bulk: batches,
            control,
        };
        if let Some((batches, views)) = self.plan.bounds {
            let seconds = cost.window.as_secs_f64();
            let each = cost.batches as f64 / seconds / self.plan.validators as f64;
            let a_second = cost.views as f64 / seconds;
            if each > batches as f64 || a_second > views as f64 || cost.transactions == 0 {
                let what = format!("pace: {each:.1} batches of each author and {a_second:.1} views a second");
                self.checks.violation(self.now, what);
            }
        }
        self.cost = Some(cost);
    }
}
