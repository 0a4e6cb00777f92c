//! What a run has found: figures for the report, and a trail for the audit.
//!
//! ```text
//!   Session + Pool ──> LoadOutcome ──> figures (rates, latencies, rows of each second)
//!                          └────────> AuditTrail: found(packet on disk) … missing(), duplicated
//! ```
//!
//! The trail holds the network to its word: every transaction that a validator told a client is
//! committed must be on every validator's disk, exactly once. A transfer's reference names its
//! submission, so the comparison is an index, and the bytes are compared, not only the name.

use crate::pool::Pool;
use crate::session::{SecondRow, Session, Tally};
use crate::workload::parse_reference;
use engine::types::{Digest, PacketRun, TransactionId};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What is known about the generator itself.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    /// CPU time of its thread during the window.
    pub cpu: Option<Duration>,
    /// Whether the signed packets ran out before the window closed.
    pub starved: bool,
    /// Share of the ticks of the window that came more than 20 ms late.
    pub late_share: f64,
    /// Share of the machine's CPU time in the window that its hypervisor gave to others; `None` where the kernel does
    /// not tell.
    pub steal_share: Option<f64>,
    /// The rate at which the load resumed after the search, if there was one.
    pub rate_found: Option<f64>,
}

/// Share of late ticks beyond which the generator was a limit.
const LATE_SHARE_MAX: f64 = 0.05;

impl Generator {
    /// Whether the figures say more about the generator than about the network.
    pub fn saturated(&self) -> bool {
        self.starved || self.late_share > LATE_SHARE_MAX
    }
}

/// A validator that went away during the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostConnection {
    /// Its index in the load, which has one lane for each validator.
    pub lane: usize,
    /// Its last words, or the transport's, when it went away first.
    pub reason: String,
    /// How often it went away.
    #[serde(default)]
    pub times: u32,
    /// Whether it was there again at the end.
    #[serde(default)]
    pub came_back: bool,
}

/// Why a run ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedEarly {
    /// No validator could be reached any more; the last words of one.
    AllLost(String),
    /// The observer wanted no more.
    Cancelled,
}

impl fmt::Display for EndedEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllLost(reason) => write!(f, "no validator could be reached any more ({reason})"),
            Self::Cancelled => f.write_str("it was stopped"),
        }
    }
}

/// Percentiles of the latency from the intended send to the committed notice, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of all were at most this.
    pub p50: u64,
    /// Nine in ten.
    pub p90: u64,
    /// 99 in a hundred.
    pub p99: u64,
    /// 999 in a thousand.
    pub p999: u64,
    /// All of them.
    pub max: u64,
}

/// How many transactions took at most how long. Of a whole run these are the lines of HDR histogram's own percentile
/// log: five for each halving of the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// The share, from 0 to 100.
    pub percent: f64,
    /// So many microseconds were enough.
    pub latency_us: u64,
    /// For so many transactions.
    pub count: u64,
}

/// Lines of a percentile log for each halving of the rest.
const TICKS_PER_HALF: u32 = 5;

impl Percentile {
    /// The log of a histogram; nothing of an empty one.
    fn log(histogram: &Histogram<u64>) -> Vec<Percentile> {
        let mut count = 0;
        let quantiles = histogram.iter_quantiles(TICKS_PER_HALF).map(|step| {
            count += step.count_since_last_iteration();
            let percent = step.quantile_iterated_to() * 100.0;
            Percentile { percent, latency_us: step.value_iterated_to(), count }
        });
        quantiles.filter(|_| !histogram.is_empty()).collect()
    }
}

impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
    }
}

/// A finished run.
#[derive(Debug)]
pub struct LoadOutcome {
    session: Session,
    pool: Pool,
    /// The generator's own part.
    pub generator: Generator,
    /// Validators that went away.
    pub lost: Vec<LostConnection>,
    /// Why it ended before its time, if it did: the window is shorter then.
    pub ended_early: Option<EndedEarly>,
}

impl LoadOutcome {
    pub(crate) fn new(
        session: Session,
        pool: Pool,
        generator: Generator,
        lost: Vec<LostConnection>,
        ended_early: Option<EndedEarly>,
    ) -> LoadOutcome {
        assert!(session.window().is_some(), "a finished run has had its window");
        LoadOutcome { session, pool, generator, lost, ended_early }
    }

    fn window(&self) -> &crate::session::Window {
        self.session.window().expect("checked when the outcome was made")
    }

    /// The counts of the window.
    pub fn tally(&self) -> &Tally {
        &self.window().tally
    }

    /// Length of the window in seconds.
    pub fn seconds(&self) -> u64 {
        self.window().seconds()
    }

    /// Latency percentiles of everything offered in the window; failures and time-outs are in it.
    pub fn latency(&self) -> Latency {
        self.window().latency_us().into()
    }

    /// The same as [`Self::latency`], for a curve.
    pub fn latency_percentiles(&self) -> Vec<Percentile> {
        Percentile::log(self.window().latency_us())
    }

    /// One row for each second of the window.
    pub fn rows(&self) -> &[SecondRow] {
        self.session.seconds()
    }

    /// Offered transactions a second.
    pub fn offered_tps(&self) -> f64 {
        self.tally().offered as f64 / self.window().length()
    }

    /// Committed transactions a second, counted by arrival inside the window.
    pub fn committed_tps(&self) -> f64 {
        self.tally().committed as f64 / self.window().length()
    }

    /// How late the transactions of the window left.
    pub fn send_delay(&self) -> Latency {
        self.window().sends.delay()
    }

    /// The share of the offered ones that left more than 10 ms after their intended sends, or never.
    pub fn late_sends(&self) -> f64 {
        self.window().sends.late_share(self.tally().offered)
    }

    /// Transactions a second that left while the window was open.
    pub fn sent_tps(&self) -> f64 {
        self.window().sends.left() as f64 / self.window().length()
    }

    /// CPU of the generator for each transaction committed in the window.
    pub fn cpu_us_per_tx(&self) -> Option<f64> {
        let cpu = self.generator.cpu?.as_secs_f64() * 1e6;
        (self.tally().committed > 0).then(|| cpu / self.tally().committed as f64)
    }

    /// Commits that came after their time-out; the audit counts them, the figures do not.
    pub fn late_commits(&self) -> u64 {
        self.session.late_commits()
    }

    /// Transactions that were refused or failed because their nonce was used or waited already: somebody else uses the
    /// same accounts.
    pub fn contested(&self) -> u64 {
        self.session.contested()
    }

    /// Notices that made no sense: for what was not sent, or for what had its verdict already.
    pub fn strange_notices(&self) -> u64 {
        self.session.strange_notices()
    }

    /// How often a packet refused for want of room was offered again.
    pub fn busy_retries(&self) -> u64 {
        self.session.busy_retries()
    }

    /// Everything that the network told the clients is committed, from the first packet of the search to
    /// the last of the window.
    pub fn acknowledged(&self) -> impl Iterator<Item = PacketRun<'_>> + '_ {
        self.session.acknowledgements().filter_map(|(lane, tag)| self.pool.transaction(lane, tag))
    }

    /// A fresh trail, to follow through the files of one validator.
    pub fn trail(&self) -> AuditTrail<'_> {
        AuditTrail::new(&self.session, &self.pool)
    }
}

/// What was found of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Submitted by this run; now seen for the first time.
    Ours,
    /// Submitted by this run and seen before: executed twice?
    Again,
    /// Not submitted by this run.
    Foreign,
}

/// Ticks off the applied transactions of one validator's disk against what the clients were told.
#[derive(Debug)]
pub struct AuditTrail<'a> {
    session: &'a Session,
    pool: &'a Pool,
    seen: Vec<Vec<u64>>,
    /// Transactions that clients were told are committed.
    pub acknowledged: u64,
    /// Applied transactions that were seen more than once.
    pub duplicated: u64,
    /// Applied transactions that this run did not submit.
    pub foreign: u64,
}

impl<'a> AuditTrail<'a> {
    fn new(session: &'a Session, pool: &'a Pool) -> AuditTrail<'a> {
        let bits = |lane| vec![0; (session.sent(lane) as usize).div_ceil(64)];
        let seen = (0..session.lanes()).map(bits).collect();
        let acknowledged = session.acknowledgements().count() as u64;
        AuditTrail { session, pool, seen, acknowledged, duplicated: 0, foreign: 0 }
    }

    /// Ticks off a transaction that execution applied.
    pub fn applied(&mut self, transaction: PacketRun<'_>) -> Found {
        let (lane, tag) = parse_reference(&transaction.reference());
        let same = |ours: PacketRun<'_>| {
            (ours.body(), ours.payload()) == (transaction.body(), transaction.payload())
        };
        let is_ours = lane < self.seen.len()
            && tag < self.session.sent(lane)
            && self.pool.transaction(lane, tag).is_some_and(same);
        if !is_ours {
            self.foreign += 1;
            return Found::Foreign;
        };
        let word = &mut self.seen[lane][tag as usize / 64];
        let bit = 1 << (tag % 64);
        if *word & bit != 0 {
            self.duplicated += 1;
            return Found::Again;
        }
        *word |= bit;
        Found::Ours
    }

    /// Transactions that clients were told are committed and that were not seen; of all lanes, or of the one whose
    /// validator has told it.
    pub fn missing(&self, told_by: Option<usize>) -> u64 {
        self.unseen(told_by).count() as u64
    }

    /// The ids of some of the missing ones, for a person to look for.
    pub fn missing_ids(
        &self,
        network: &Digest,
        told_by: Option<usize>,
        at_most: usize,
    ) -> Vec<TransactionId> {
        self.unseen(told_by)
            .filter_map(|(lane, tag)| self.pool.transaction(lane, tag))
            .take(at_most)
            .map(|transaction| transaction.id(network))
            .collect()
    }

    fn unseen(&self, told_by: Option<usize>) -> impl Iterator<Item = (usize, u64)> + '_ {
        let told = self.session.acknowledgements();
        told.filter(move |(lane, _)| told_by.is_none_or(|told_by| told_by == *lane))
            .filter(|(lane, tag)| self.seen[*lane][*tag as usize / 64] & (1 << (tag % 64)) == 0)
    }
}
