//! Short-lived measures beside the books: the controller's interval and the rows of each second.

use super::window::new_histogram;
use crate::controller::Interval;
use engine::types::Verdict;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One second of the window, by arrival (`offered`: by intention).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondRow {
    /// Transactions that were meant to leave in this second.
    pub offered: u64,
    /// Commits heard of.
    pub committed: u64,
    /// Transactions that ended in a block without effect.
    pub failed: u64,
    /// Refusals heard of.
    pub rejected: u64,
    /// Transactions given up.
    pub timed_out: u64,
    /// Median latency of the commits, from their intended send.
    pub latency_us_p50: u64,
    /// 99th percentile of the same.
    pub latency_us_p99: u64,
    /// Transactions without a verdict at the last look in this second, however old; `None` where nobody looked.
    #[serde(default)]
    pub waiting: Option<u64>,
}

/// Buckets of one millisecond for the controller's median; the last one holds all that is longer.
const DELAY_BUCKETS: usize = 4096;

#[derive(Debug)]
pub(super) struct Meters {
    pub interval: Interval,
    pub strange: u64,
    pub late_commits: u64,
    pub busy_retries: u64,
    delays_ms: Vec<u32>,
    delays: u64,
    start_us: u64,
    rows: Vec<SecondRow>,
    /// The second whose latencies are being gathered.
    row: usize,
    latency_us: Histogram<u64>,
}

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            interval: Interval::default(),
            strange: 0,
            late_commits: 0,
            busy_retries: 0,
            delays_ms: vec![0; DELAY_BUCKETS],
            delays: 0,
            start_us: u64::MAX,
            rows: Vec::new(),
            row: 0,
            latency_us: new_histogram(),
        }
    }
}

impl Meters {
    pub fn open(&mut self, start_us: u64, seconds: u64) {
        self.start_us = start_us;
        self.rows = vec![SecondRow::default(); seconds as usize];
    }

    pub fn end(&mut self, seconds: u64) {
        self.rows.truncate(seconds as usize);
    }

    pub fn rows(&self) -> &[SecondRow] {
        &self.rows
    }

    pub fn offered(&mut self, intended_us: u64) {
        if let Some(second) = self.second(intended_us) {
            self.rows[second].offered += 1;
        }
    }

    pub fn waits(&mut self, unsettled: u64, now_us: u64) {
        if let Some(second) = self.second(now_us) {
            self.rows[second].waiting = Some(unsettled);
        }
    }

    pub fn settled(&mut self, verdict: Option<Verdict>, delay_us: u64, now_us: u64) {
        if verdict == Some(Verdict::Committed) {
            let bucket = (delay_us / 1_000) as usize;
            self.delays_ms[bucket.min(DELAY_BUCKETS - 1)] += 1;
            self.delays += 1;
        }
        let Some(second) = self.second(now_us) else { return };
        if second > self.row {
            self.close();
            self.row = second;
        }
        let row = &mut self.rows[second];
        match verdict {
            Some(Verdict::Committed) => {
                row.committed += 1;
                self.latency_us.saturating_record(delay_us.max(1));
            }
            Some(Verdict::Failed(_)) => row.failed += 1,
            Some(Verdict::Refused(_)) => row.rejected += 1,
            None => row.timed_out += 1,
        }
    }

    /// Writes the percentiles of the second being gathered into its row.
    pub fn close(&mut self) {
        if let Some(row) = self.rows.get_mut(self.row).filter(|_| !self.latency_us.is_empty()) {
            row.latency_us_p50 = self.latency_us.value_at_quantile(0.5);
            row.latency_us_p99 = self.latency_us.value_at_quantile(0.99);
            self.latency_us.reset();
        }
    }

    pub fn take_interval(&mut self, length_us: u64) -> Interval {
        let taken = Interval { length_us, delay_us: self.median_delay(), ..self.interval };
        self.interval = Interval::default();
        self.delays_ms.fill(0);
        self.delays = 0;
        taken
    }

    fn median_delay(&self) -> Option<u64> {
        let mut left = self.delays.div_ceil(2);
        let bucket = self.delays_ms.iter().position(|n| {
            let reached = left <= u64::from(*n);
            left = left.saturating_sub(u64::from(*n));
            reached && self.delays > 0
        })?;
        Some(bucket as u64 * 1_000 + 500)
    }

    fn second(&self, at_us: u64) -> Option<usize> {
        let second = at_us.checked_sub(self.start_us)? / 1_000_000;
        usize::try_from(second).ok().filter(|s| *s < self.rows.len())
    }
}
