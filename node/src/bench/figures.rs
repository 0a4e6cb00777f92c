//! What one validator has used and counted, read from outside: `/proc` and its own counters.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use loadgen::report::StageLatency;

use crate::validator::counters::CountersReport;

/// What a process has used since it was started.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU time of all threads, the ended ones too.
    pub cpu_us: u64,
    /// CPU time by thread name; numbered threads are added up under the name without the number.
    pub threads_us: BTreeMap<String, u64>,
    /// The largest resident memory so far.
    pub resident_bytes_max: u64,
}

impl Usage {
    /// What the process with this id has used.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let tick_us = tick_us();
        let cpu_us = ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?).map_or(0, |(_, n)| n * tick_us);
        let mut threads_us = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between being listed and being read.
            let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
            if let Some((name, ticks)) = ticks(&stat) {
                let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
                *threads_us.entry(name.to_owned()).or_default() += ticks * tick_us;
            }
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self { cpu_us, threads_us, resident_bytes_max: peak_bytes(&status) })
    }

    /// What was used between an earlier look and this one; the memory is the peak of both.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &String| earlier.threads_us.get(name).copied().unwrap_or(0);
        let threads = self.threads_us.iter();
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            threads_us: threads.map(|(name, us)| (name.clone(), us.saturating_sub(before(name)))).collect(),
            resident_bytes_max: self.resident_bytes_max,
        }
    }
}

/// The name of a thread and its ticks of CPU time, from the text of a `stat` file.
fn ticks(stat: &str) -> Option<(&str, u64)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    // The fields after the name begin with the third; user and system time are the 14th and 15th.
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((name, user + system))
}

/// The largest resident memory, from the text of a `status` file.
fn peak_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn tick_us() -> u64 {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000 / u64::try_from(hertz).unwrap_or(100).max(1)
}

/// A validator's usage and counters at one instant.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    pub usage: Usage,
    pub counters: CountersReport,
}

impl Sample {
    /// A counter's value; one that the validator does not have is nothing counted.
    pub(super) fn total(&self, counter: &str) -> u64 {
        self.counters.totals.get(counter).copied().unwrap_or(0)
    }

    fn bytes(&self, direction: &str) -> u64 {
        self.counters.bytes.get(direction).copied().unwrap_or(0)
    }
}

/// All validators at one instant.
pub(super) type Samples = Vec<Sample>;

/// Bytes between two instants, over all validators: put on a wire (each once, by its sender), and written to disk.
pub(super) fn bytes_between(open: &Samples, close: &Samples) -> (u64, u64) {
    let sum = |directions: &[&str]| -> u64 {
        let of = |sample: &Sample| directions.iter().map(|direction| sample.bytes(direction)).sum::<u64>();
        let pairs = open.iter().zip(close);
        pairs.map(|(before, after)| of(after).saturating_sub(of(before))).sum()
    };
    (sum(&["peers_out", "clients_in", "clients_out"]), sum(&["journal", "consensus_log"]))
}

/// Percentiles of a stage between two instants, over all validators.
pub(super) fn stage_between(open: &Samples, close: &Samples, stage: &str) -> StageLatency {
    let mut window: BTreeMap<u64, u64> = BTreeMap::new();
    for (before, after) in open.iter().zip(close) {
        let Some(after) = after.counters.stages_us.get(stage) else { continue };
        let before: BTreeMap<u64, u64> = match before.counters.stages_us.get(stage) {
            Some(before) => before.buckets.iter().copied().collect(),
            None => BTreeMap::new(),
        };
        for (value, count) in &after.buckets {
            let count = count.saturating_sub(before.get(value).copied().unwrap_or(0));
            *window.entry(*value).or_default() += count;
        }
    }
    StageLatency { p50: quantile(&window, 0.5), p99: quantile(&window, 0.99) }
}

fn quantile(window: &BTreeMap<u64, u64>, quantile: f64) -> u64 {
    let total: u64 = window.values().sum();
    let rank = ((total as f64 * quantile).ceil() as u64).max(1);
    let mut seen = 0;
    for (value, count) in window {
        seen += count;
        if seen >= rank {
            return *value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validator::counters::StageReport;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 10 0 0 0 25 17 3 4 20 0 1 0 1 2 3";
        assert_eq!(ticks(stat), Some(("a (b) c", 42)));
        assert_eq!(ticks("7 (short) S 1"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_bytes_max > 1 << 20);
        assert!(!usage.threads_us.is_empty());
        assert_eq!(usage.since(&usage).cpu_us, 0);
    }

    fn sample(buckets: &[(u64, u64)], journal: u64) -> Sample {
        let mut sample = Sample::default();
        let report = StageReport { buckets: buckets.to_vec(), ..StageReport::default() };
        sample.counters.stages_us.insert("verify".into(), report);
        sample.counters.bytes.insert("journal".into(), journal);
        sample
    }

    #[test]
    fn a_stage_is_what_was_added_in_the_window() {
        let open = vec![sample(&[(10, 1_000)], 5), sample(&[], 0)];
        let close = vec![sample(&[(10, 1_090), (50, 9)], 25), sample(&[(900, 1)], 7)];
        let stage = stage_between(&open, &close, "verify");
        assert_eq!((stage.p50, stage.p99), (10, 50));
        assert_eq!(stage_between(&open, &close, "mempool").p99, 0);
        assert_eq!(bytes_between(&open, &close), (0, 27));
    }
}
