//! What a benchmark says: to programs as JSON, to people as a table, to colleagues as a page.
//!
//! ```text
//!   LoadOutcome ─┐
//!   validity, validators' counters, audit (from the node) ─┴─> BenchReport ──> JSON | text | directory (page, JSON, CSV)
//! ```
//!
//! The JSON is an interface: the fields of schema 1 keep their names and meanings, and new ones may be
//! added. Every number is named with its unit; a number that was not measured is `null`, never 0.

mod chart;
mod machine;
mod page;
mod recovery;
mod table;

pub use machine::Machine;
pub use recovery::recovered_after;
pub use table::Style;

use crate::outcome::{Latency, LoadOutcome, LostConnection, Percentile};
use crate::session::SecondRow;
use crate::validity::Validity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the JSON's shape.
pub const SCHEMA: u32 = 1;

/// What was built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of the package.
    pub version: String,
    /// `release` or `debug`.
    pub profile: String,
    /// The commit, if it is known.
    pub commit: Option<String>,
}

/// What ran, exactly, so that it can be run again. Each part is `None` where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The command line, quoted for a shell.
    pub command: Option<String>,
    /// SHA-256 of the executable, in hexadecimal digits.
    pub binary_sha256: Option<String>,
    /// Whether the build has changes that are in no commit.
    pub dirty: Option<bool>,
    /// The compiler of the build.
    pub rustc: Option<String>,
    /// When the run had ended, in UTC (RFC 3339).
    pub ended: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchConfig {
    /// Number of validators.
    pub validators: u64,
    /// Number of member chains.
    pub chains: u64,
    /// Number of accounts on each chain.
    pub accounts: u64,
    /// Length of the window.
    pub seconds: u64,
    /// `max`, or transactions a second.
    pub rate: String,
    /// How the rate changed over the window, of which it is the mean; empty where that is not known.
    #[serde(default)]
    pub shape: String,
    /// How transactions followed each other: `even` or `poisson`; empty where that is not known.
    #[serde(default)]
    pub arrivals: String,
    /// The kind of traffic.
    pub workload: String,
    /// Share of transfers that cross chains.
    pub cross_chain_percent: f64,
    /// Payments of each transaction; those of linked transfers share a signature.
    #[serde(default)]
    pub payments: u64,
    /// Accounts that each transaction opened; 0 where it did something else.
    #[serde(default)]
    pub opened: u64,
    /// Bytes of data that were registered with each fingerprint.
    #[serde(default)]
    pub data_bytes: u64,
    /// The storage backend that was in use.
    pub storage: String,
    /// Who was to check signatures: `cpu`, `gpu` or `auto`; empty where that is not known.
    #[serde(default)]
    pub verify: String,
}

/// Rates in transactions a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tps {
    /// Offered in the window.
    pub offered: f64,
    /// Committed in the window.
    pub committed: f64,
    /// Commits of the best second.
    pub peak_second: f64,
    /// Commits of the worst second.
    pub lowest_second: f64,
}

/// Time that transactions spent in one stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLatency {
    /// Median, in microseconds.
    pub p50: u64,
    /// 99th percentile, in microseconds.
    pub p99: u64,
}

/// Time in each stage, in the order in which a transaction walks through them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Waiting to be verified.
    pub ingress: StageLatency,
    /// Being verified.
    pub verify: StageLatency,
    /// Waiting to be sealed into a batch.
    pub mempool: StageLatency,
    /// From the sealed batch until a quorum holds it.
    pub available: StageLatency,
    /// From then to the finalized block.
    pub ordered: StageLatency,
    /// From the finalized block to its delta.
    pub executed: StageLatency,
    /// From the delta to the disk.
    pub durable: StageLatency,
    /// From the disk to the notice that leaves.
    pub notified: StageLatency,
}

impl Stages {
    /// Names and values, in order.
    pub fn rows(&self) -> [(&'static str, StageLatency); 8] {
        [
            ("ingress", self.ingress),
            ("verify", self.verify),
            ("mempool", self.mempool),
            ("available", self.available),
            ("ordered", self.ordered),
            ("executed", self.executed),
            ("durable", self.durable),
            ("notified", self.notified),
        ]
    }
}

/// Bytes of all validators together for each committed transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BytesPerTx {
    /// Sent on the network.
    pub wire: f64,
    /// Written to disk.
    pub disk: f64,
}

/// What the files on disk say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Transactions that clients were told are committed.
    pub acknowledged: u64,
    /// Of these, the ones that are missing on some validator's disk.
    pub missing: u64,
    /// Transactions that were applied more than once.
    pub duplicated: u64,
    /// Money that appeared (or, negative, disappeared).
    pub balance_drift: i64,
    /// Heights at which two validators hold different blocks.
    pub forks: u64,
    /// Whether all validators hold the same state root at every height that they share.
    pub roots_equal: bool,
    /// Signatures that each validator checked.
    pub signatures_verified_per_validator: Vec<u64>,
    /// Of these, the ones that a device accepted.
    #[serde(default)]
    pub signatures_by_device_per_validator: Vec<u64>,
    /// Fingerprints that clients were told are registered.
    #[serde(default)]
    pub attested_told: u64,
    /// Fingerprints that are registered, on the validator's disk that has the fewest.
    #[serde(default)]
    pub attested: u64,
    /// Whether everything above is as it must be.
    pub ok: bool,
}

impl Audit {
    /// Whether the disks have everything that clients were told, once, and no money more or less. There may be more
    /// fingerprints than clients were told: an answer can come too late.
    pub fn keeps_its_word(&self) -> bool {
        self.missing == 0
            && self.duplicated == 0
            && self.balance_drift == 0
            && self.attested >= self.attested_told
    }
}

/// What one validator used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ValidatorFigures {
    /// CPU of the whole process for each committed transaction in the window.
    pub cpu_us_per_tx: f64,
    /// The most memory it held.
    pub resident_bytes_max: u64,
    /// CPU by group of threads, in microseconds for each committed transaction.
    pub threads_us_per_tx: BTreeMap<String, f64>,
}

/// The generator's account of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorFigures {
    /// Share of ticks that came more than 20 ms late.
    pub late_share: f64,
    /// Whether the signed packets ran out.
    pub starved: bool,
    /// How late the transactions of the window left, in microseconds from their intended sends.
    #[serde(default)]
    pub send_delay_us: Latency,
    /// Share of the machine's CPU time in the window that its hypervisor gave to others.
    #[serde(default)]
    pub steal_share: Option<f64>,
    /// The rate at which the load resumed after the search.
    pub rate_found: Option<f64>,
    /// Commits that came after their time-out.
    pub late_commits: u64,
    /// Notices that made no sense.
    pub strange_notices: u64,
    /// How often a refused packet was offered again.
    pub busy_retries: u64,
}

/// Something that was done to a validator on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultFigures {
    /// At which second of the window.
    pub second: u64,
    /// `kill`, `start`, `pause` or `resume`.
    pub action: String,
    /// Its index.
    pub validator: u64,
    /// Seconds until commits and p99 were as usual again for three seconds in a row; `None` if that was not seen.
    pub recovered_after_s: Option<u64>,
}

impl FaultFigures {
    /// How long it was felt, in words.
    fn felt(&self) -> String {
        match self.recovered_after_s {
            Some(0) => "not felt for a whole second".to_owned(),
            Some(seconds) => format!("as usual again after {seconds} s"),
            None => "not seen to be as usual again".to_owned(),
        }
    }
}

/// The result of `millrace bench`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// The version of this format: [`SCHEMA`].
    pub schema: u32,
    /// Whether its figures may be relied on.
    #[serde(default)]
    pub validity: Validity,
    /// Where it ran.
    pub machine: Machine,
    /// The version and the commit that ran.
    pub build: Build,
    /// How to run it again, and what exactly ran.
    #[serde(default)]
    pub manifest: Manifest,
    /// How it was asked to run.
    pub config: BenchConfig,
    /// Transactions meant to leave in the window.
    pub offered: u64,
    /// Of these, the ones that ended in a block, the failed ones included.
    pub accepted: u64,
    /// Commits heard of in the window.
    pub committed: u64,
    /// Refusals by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Transactions in a block but without effect, by outcome.
    pub failed: BTreeMap<String, u64>,
    /// Transactions without a verdict in time.
    pub timed_out: u64,
    /// Transactions a second.
    pub tps: Tps,
    /// From the intended send to the committed notice.
    pub latency_us: Latency,
    /// The same as a curve.
    #[serde(default)]
    pub latency_percentiles: Vec<Percentile>,
    /// Where the time went.
    pub stages_us: Stages,
    /// Mean over the validators.
    pub cpu_us_per_tx_per_validator: f64,
    /// CPU of the generator's thread; `None` where the kernel does not tell.
    pub loadgen_cpu_us_per_tx: Option<f64>,
    /// Whether the generator was a limit.
    pub generator_saturated: bool,
    /// Bytes moved and written.
    pub bytes_per_tx: BytesPerTx,
    /// What the files on disk say after the run.
    pub audit: Audit,
    /// More about the generator.
    pub generator: GeneratorFigures,
    /// More about each validator.
    pub validators: Vec<ValidatorFigures>,
    /// Validators that went away during the run.
    pub lost_connections: Vec<LostConnection>,
    /// Why the run ended before its time, if it did: there are fewer seconds then.
    #[serde(default)]
    pub ended_early: Option<String>,
    /// What was done to validators on purpose, in order.
    #[serde(default)]
    pub faults: Vec<FaultFigures>,
    /// Transactions that met others with their nonces: somebody else used the same accounts.
    #[serde(default)]
    pub contested: u64,
    /// Every second of the window.
    pub seconds: Vec<SecondRow>,
}

impl BenchReport {
    /// Everything that the generator knows; stages, validators' CPU, bytes and audit are for the node to add.
    pub fn from_outcome(
        outcome: &LoadOutcome,
        machine: Machine,
        build: Build,
        config: BenchConfig,
    ) -> BenchReport {
        let (tally, rows) = (outcome.tally(), outcome.rows());
        let second = |n: Option<u64>| n.unwrap_or(0) as f64;
        BenchReport {
            schema: SCHEMA,
            machine,
            build,
            config,
            offered: tally.offered,
            accepted: tally.accepted,
            committed: tally.committed,
            rejected: named(&tally.rejected),
            failed: named(&tally.failed),
            timed_out: tally.timed_out,
            tps: Tps {
                offered: outcome.offered_tps(),
                committed: outcome.committed_tps(),
                peak_second: second(rows.iter().map(|r| r.committed).max()),
                lowest_second: second(rows.iter().map(|r| r.committed).min()),
            },
            latency_us: outcome.latency(),
            latency_percentiles: outcome.latency_percentiles(),
            loadgen_cpu_us_per_tx: outcome.cpu_us_per_tx(),
            generator_saturated: outcome.generator.saturated(),
            generator: GeneratorFigures {
                late_share: outcome.generator.late_share,
                starved: outcome.generator.starved,
                send_delay_us: outcome.send_delay(),
                steal_share: outcome.generator.steal_share,
                rate_found: outcome.generator.rate_found,
                late_commits: outcome.late_commits(),
                strange_notices: outcome.strange_notices(),
                busy_retries: outcome.busy_retries(),
            },
            lost_connections: outcome.lost.clone(),
            ended_early: outcome.ended_early.as_ref().map(ToString::to_string),
            contested: outcome.contested(),
            seconds: rows.to_vec(),
            ..BenchReport::default()
        }
    }

    /// The JSON of `bench --json`, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps with text keys and finite numbers");
        text.push('\n');
        text
    }

    /// What is printed for a person: whether the run is valid, and then the table.
    pub fn text(&self, style: Style) -> String {
        format!("{}\n{}", self.validity.line(), self.table(style))
    }

    /// The table for a person.
    fn table(&self, style: Style) -> String {
        table::render(self, style)
    }

    /// Writes `report.html` (a page that needs nothing else), `report.json` and `seconds.csv`.
    pub fn write_dir(&self, directory: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("report.json"), self.to_json())?;
        std::fs::write(directory.join("report.html"), page::render(self))?;
        std::fs::write(directory.join("seconds.csv"), self.csv())
    }

    /// One line for each second.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "second,offered,committed,failed,rejected,timed_out,latency_us_p50,latency_us_p99\n",
        );
        for (second, r) in self.seconds.iter().enumerate() {
            text.push_str(&format!(
                "{second},{},{},{},{},{},{},{}\n",
                r.offered, r.committed, r.failed, r.rejected, r.timed_out, r.latency_us_p50, r.latency_us_p99
            ));
        }
        text
    }
}

/// Counts under the names that the JSON gives to reasons and outcomes.
fn named<K: Serialize>(counts: &[(K, u64)]) -> BTreeMap<String, u64> {
    let name = |key: &K| match serde_json::to_value(key) {
        Ok(serde_json::Value::String(name)) => name,
        _ => unreachable!("reasons and outcomes are plain names"),
    };
    counts.iter().map(|(key, n)| (name(key), *n)).collect()
}

/// 1234567 as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds as a person reads them.
fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests;
