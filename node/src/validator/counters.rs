//! What a validator counts, and the report that a `Counters` query answers with.
//!
//! Counters are relaxed atomics that only grow. Stage times are histograms of microseconds, recorded once for a
//! whole chunk or batch with its number of transactions as weight. Both are cumulative since the start, so that
//! whoever wants a window subtracts two reports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The stages of a transaction at the validator that took it from its customer, in the order of its walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// From the frame's arrival until a verifier picks it up.
    Ingress,
    /// Until its signature has a verdict.
    Verify,
    /// Until it is sealed in a batch.
    Mempool,
    /// Until 2f+1 validators hold the batch.
    Available,
    /// Until the block that orders the batch is finalized.
    Ordered,
    /// Until the block is executed and its roots are known.
    Executed,
    /// Until the block's record is on disk.
    Durable,
    /// Until the notice is handed to the customer's connection.
    Notified,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 8] = [
        Self::Ingress,
        Self::Verify,
        Self::Mempool,
        Self::Available,
        Self::Ordered,
        Self::Executed,
        Self::Durable,
        Self::Notified,
    ];

    /// The stage's name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Verify => "verify",
            Self::Mempool => "mempool",
            Self::Available => "available",
            Self::Ordered => "ordered",
            Self::Executed => "executed",
            Self::Durable => "durable",
            Self::Notified => "notified",
        }
    }
}

/// One row for each counter: its field, and what it counts.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one validator.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: AtomicU64,)+
            /// Signatures checked, own customers' and peers' batches'; shared with the verifiers.
            pub signatures_verified: Arc<AtomicU64>,
            refused: Mutex<BTreeMap<&'static str, u64>>,
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
    /// Transactions received from customers, refused ones included.
    received,
    /// Transactions of customers that entered the mempool.
    accepted,
    /// Batches sealed from the own mempool.
    batches_sealed,
    /// Transactions in those batches.
    transactions_sealed,
    /// Batches of peers that passed every check.
    batches_accepted,
    /// Batches of peers that were refused.
    batches_refused,
    /// Frames of peers that could not be decoded.
    peer_frames_refused,
    /// Messages of peers that were understood and refused.
    peer_messages_refused,
    /// Frames of customers that could not be decoded.
    client_frames_refused,
    /// Blocks executed.
    blocks,
    /// Transactions executed, failed ones included.
    executed,
    /// Transactions that applied.
    applied,
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
    /// Notices sent to customers.
    notices,
    /// Customers disconnected because they did not read their notices.
    slow_clients,
    /// Batches asked back from peers.
    batches_fetched,
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
    /// Refused transactions of customers by reason, cumulative since the start.
    pub refused: BTreeMap<String, u64>,
    /// Stage times by name.
    pub stages_us: BTreeMap<String, StageReport>,
    /// The network's counts (bytes, frames, refusals) by name, and the bytes written to `journal` and `consensus_log`.
    pub bytes: BTreeMap<String, u64>,
    /// The journal's storage back-end: `uring` or `portable`.
    pub storage: String,
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

    /// Records that `transactions` spent `us` in `stage`.
    pub fn record(&self, stage: Stage, us: u64, transactions: u64) {
        let mut stages = self.stages.lock().expect("no panic while held");
        stages.entry(stage.name()).or_default().0.saturating_record_n(us.max(1), transactions);
    }

    /// Everything counted so far.
    #[must_use]
    pub fn report(&self, bytes: BTreeMap<String, u64>, storage: &str) -> CountersReport {
        let refused = self.refused.lock().expect("no panic while held");
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
            refused: refused.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
            stages_us: stages.iter().map(|(name, h)| ((*name).to_owned(), stage(h))).collect(),
            bytes,
            storage: storage.to_owned(),
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
        counters.record(Stage::Verify, 100, 3);
        counters.record(Stage::Verify, 10_000, 1);
        let report = counters.report(BTreeMap::new(), "portable");
        assert_eq!(report.totals["received"], 7);
        assert_eq!(report.refused["Busy"], 3);
        let verify = &report.stages_us["verify"];
        assert_eq!(verify.buckets.iter().map(|(_, n)| n).sum::<u64>(), 4);
        assert_eq!(verify.p50, 100);
        assert!(verify.p99 >= 10_000);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<CountersReport>(&json).unwrap(), report);
    }
}
