//! What a validator counts, and the report that a `Counters` query answers with.
//!
//! Counters are relaxed atomics that only grow. Stage times are histograms of microseconds, recorded once for a
//! whole chunk or batch with its number of transactions as weight. Both are cumulative since the start, so that
//! two reports, subtracted, give a window.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use engine::replica::Stage;
use engine::types::Height;
use engine::wire::AsOf;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One row for each counter: its field, and what it counts.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one validator.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: AtomicU64,)+
            /// Signatures checked, of own clients and of peers' batches; shared with the verifiers.
            pub signatures_verified: Arc<AtomicU64>,
            refused: Mutex<BTreeMap<&'static str, u64>>,
            offences: Mutex<BTreeMap<&'static str, u64>>,
            stages: Mutex<BTreeMap<&'static str, StageHistogram>>,
        }

        impl Counters {
            fn totals(&self) -> BTreeMap<String, u64> {
                let signatures = ("signatures_verified".to_owned(), self.signatures_verified.load(Relaxed));
                let others = [$((stringify!($name).to_owned(), self.$name.load(Relaxed)),)+];
                others.into_iter().chain([signatures]).collect()
            }
        }
    };
}

counters! {
    /// Transactions received from clients, refused ones included.
    received,
    /// Transactions of clients that entered the mempool.
    accepted,
    /// Batches sealed from the own mempool.
    batches_sealed,
    /// Transactions in those batches.
    transactions_sealed,
    /// Batches of peers that passed every check.
    batches_accepted,
    /// Batches of peers that were refused.
    batches_refused,
    /// Bad signatures, of clients and of peers.
    bad_signatures,
    /// Signatures that a device has accepted.
    signatures_by_device,
    /// Batches of signatures for which no answer of the device came in time.
    device_timeouts,
    /// How often a signature was checked once more, because others beside it were bad.
    signatures_rechecked,
    /// Clients disconnected because too many of their signatures were bad.
    offenders_cut,
    /// Frames of peers that could not be decoded.
    peer_frames_refused,
    /// Messages of peers that were understood and refused.
    peer_messages_refused,
    /// Frames of clients that could not be decoded.
    client_frames_refused,
    /// Blocks executed.
    blocks,
    /// Transactions executed, failed ones included.
    executed,
    /// Transactions that applied, or were sent to another chain.
    applied,
    /// Transactions that were submitted again and told their first verdict.
    resubmitted,
    /// Height of the last durable block.
    height,
    /// Height of the last finalized block that is known.
    finalized,
    /// Blocks that this validator proposed.
    blocks_proposed,
    /// Proposals of others that this validator refused to vote for.
    proposals_refused,
    /// Faults of other validators that consensus reported with evidence.
    faults,
    /// Notices sent to clients.
    notices,
    /// Clients disconnected because they did not read their notices.
    slow_clients,
    /// Requests for batches and blocks that were missing.
    batches_fetched,
    /// Times that the journal could not be read where it was durable, for a peer or a client.
    journal_damage,
    /// Bytes that the scrubber has read.
    scrubbed_bytes,
    /// Stretches of journal and vote log that cannot be read and are not repaired, in the last round of the scrubber.
    rotten,
    /// Stretches of the journal that are read from repairs.
    repaired,
    /// How many blocks this validator is behind f+1 of its peers, if more than the normal course explains; else 0.
    behind,
    /// 1 while fewer than f+1 peers say where they stand, so that nobody here can tell whether this validator is
    /// behind.
    unheard,
    /// 1 while this validator does not know how far its own stream goes, and seals nothing.
    stream_lost,
    /// 1 while this validator does not vote because it may have forgotten what it voted for.
    votes_forgotten,
}

/// Microseconds, one significant decimal digit in 64 (1.6 %), up to ten minutes.
#[derive(Debug)]
struct StageHistogram(Histogram<u64>);

impl Default for StageHistogram {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 600_000_000, 2).expect("constant bounds are valid"))
    }
}

/// One stage's times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Median, microseconds.
    pub p50: u64,
    /// 99th percentile, microseconds.
    pub p99: u64,
    /// (microseconds, transactions) for every non-empty bucket, cumulative since the start.
    pub buckets: Vec<(u64, u64)>,
}

/// The answer to a `Counters` query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CountersReport {
    /// Every counter by name, cumulative since the start.
    pub totals: BTreeMap<String, u64>,
    /// Refused transactions of clients by reason, cumulative since the start.
    pub refused: BTreeMap<String, u64>,
    /// Messages of peers that broke a rule, by offence, cumulative since the start.
    pub offences: BTreeMap<String, u64>,
    /// Stage times by name.
    pub stages_us: BTreeMap<String, StageReport>,
    /// The network's counts (bytes, frames, refusals) by name, and the bytes written to `journal` and `consensus_log`.
    pub bytes: BTreeMap<String, u64>,
    /// The journal's storage backend: `uring` or `portable`.
    pub storage: String,
    /// How machine and process are, by name; the last part of a name is the unit.
    #[serde(default)]
    pub gauges: BTreeMap<String, f64>,
    /// What each chain has, ascending.
    #[serde(default)]
    pub chains: Vec<ChainReport>,
    /// How the link to each peer is.
    #[serde(default)]
    pub links: Vec<LinkReport>,
}

/// What a chain has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChainReport {
    /// The chain.
    pub chain: u32,
    /// Transactions in its mempool.
    pub pending: u64,
    /// Its accounts.
    pub accounts: u64,
    /// The rows of its table.
    pub rows: u64,
    /// What was issued since the beginning.
    pub issued: u64,
    /// What was burned since the beginning.
    pub burned: u64,
    /// Whether it takes new work.
    pub active: bool,
}

/// How the link to a peer is. Counts begin with its present connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// The peer.
    pub peer: u16,
    /// Whether it is connected.
    pub connected: bool,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
    /// Microseconds of a round trip.
    pub rtt_us: u64,
    /// Packets that were lost on the way to it.
    pub lost_packets: u64,
    /// Bytes that wait for it.
    pub queued_bytes: u64,
}

impl Counters {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    /// Counts refused transactions by reason.
    pub fn refuse(&self, reason: &'static str, transactions: u64) {
        *self.refused.lock().expect("no panic while held").entry(reason).or_default() += transactions;
    }

    /// Counts a message of a peer that broke a rule.
    pub fn offend(&self, offence: &'static str) {
        Self::add(&self.peer_messages_refused, 1);
        *self.offences.lock().expect("no panic while held").entry(offence).or_default() += 1;
    }

    /// The height that answers speak of now.
    #[must_use]
    pub fn as_of(&self) -> AsOf {
        // Read in this order the committed height cannot be the higher one.
        let height = self.height.load(Relaxed);
        let undispatched = self.finalized.load(Relaxed).saturating_sub(height);
        let behind = undispatched.max(self.behind.load(Relaxed));
        let is_known = behind > 0 || self.unheard.load(Relaxed) == 0;
        AsOf { height: Height(height), behind: is_known.then_some(behind) }
    }

    /// Records that `transactions` spent `us` in `stage`.
    pub fn record(&self, stage: Stage, us: u64, transactions: u64) {
        let mut stages = self.stages.lock().expect("no panic while held");
        stages.entry(stage.name()).or_default().0.saturating_record_n(us.max(1), transactions);
    }

    /// Everything counted so far.
    #[must_use]
    pub fn report(&self, bytes: BTreeMap<String, u64>, storage: &str) -> CountersReport {
        let named = |counts: &Mutex<BTreeMap<&'static str, u64>>| {
            let counts = counts.lock().expect("no panic while held");
            counts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
        };
        let stages = self.stages.lock().expect("no panic while held");
        let stage = |histogram: &StageHistogram| StageReport {
            p50: histogram.0.value_at_quantile(0.5),
            p99: histogram.0.value_at_quantile(0.99),
            buckets: histogram
                .0
                .iter_recorded()
                .map(|v| (v.value_iterated_to(), v.count_at_value()))
                .collect(),
        };
        CountersReport {
            totals: self.totals(),
            refused: named(&self.refused),
            offences: named(&self.offences),
            stages_us: stages.iter().map(|(name, h)| ((*name).to_owned(), stage(h))).collect(),
            bytes,
            storage: storage.to_owned(),
            ..CountersReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_what_was_counted() {
        let counters = Counters::default();
        Counters::add(&counters.received, 7);
        counters.refuse("Busy", 2);
        counters.refuse("Busy", 1);
        counters.offend("unwanted");
        counters.record(Stage::Verify, 100, 3);
        counters.record(Stage::Verify, 10_000, 1);
        let report = counters.report(BTreeMap::new(), "portable");
        assert_eq!(report.totals["received"], 7);
        assert_eq!(report.refused["Busy"], 3);
        assert_eq!((report.offences["unwanted"], report.totals["peer_messages_refused"]), (1, 1));
        let verify = &report.stages_us["verify"];
        assert_eq!(verify.buckets.iter().map(|(_, n)| n).sum::<u64>(), 4);
        assert_eq!(verify.p50, 100);
        assert!(verify.p99 >= 10_000);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<CountersReport>(&json).unwrap(), report);
    }
}
