//! Who has sent bad signatures lately: who is told of it, who is named in the log, and who is cut off.
//!
//! Counts start anew with each interval, for each source at its first bad signature. A source that sends more than
//! [`BAD_MAX`] bad signatures in one is named in the log, once; if more than half of its signatures are bad by then, it
//! is to be cut off. An honest client signs well, but one with an old key or of another network sends nothing else: it
//! is cut too, and told why.
//!
//! Invariants: at most [`OFFENDERS_MAX`] sources are counted; only those that have sent a bad signature are; one log
//! line for each of them and interval.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use engine::ingress::Source;
use engine::verify::Tally;

/// How long bad signatures count.
const INTERVAL: Duration = Duration::from_secs(10);
/// Transactions with a bad signature that are let pass in an interval.
const BAD_MAX: u64 = 64;
/// Sources that are counted at a time; further ones are counted when they are bad in the next interval.
const OFFENDERS_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Offender {
    signatures: u64,
    bad: u64,
    refused: u64,
    said: bool,
    cut: bool,
}

#[derive(Debug, Default)]
struct Table {
    since: Duration,
    by_source: BTreeMap<Source, Offender>,
}

/// Shared by the verify threads.
#[derive(Debug, Default)]
pub struct Offenders(Mutex<Table>);

/// What is to be done about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Name it in the log.
    pub say: bool,
    /// Cut it off.
    pub cut: bool,
    /// How many transactions with a bad signature it has sent in this interval.
    pub bad: u64,
}

impl Offenders {
    /// Learns what a source's signatures were.
    pub fn note(&self, source: Source, tally: Tally, now: Duration) -> Judgement {
        let mut table = self.0.lock().expect("no panic while held");
        if now.saturating_sub(table.since) >= INTERVAL {
            *table = Table { since: now, by_source: BTreeMap::new() };
        }
        let room = table.by_source.len() < OFFENDERS_MAX;
        let known = table.by_source.contains_key(&source);
        if !known && (tally.bad == 0 || !room) {
            return Judgement::default();
        }
        let offender = table.by_source.entry(source).or_default();
        offender.signatures += u64::from(tally.signatures);
        offender.bad += u64::from(tally.bad);
        offender.refused += u64::from(tally.refused);
        let many = offender.refused > BAD_MAX;
        let cut = many && 2 * offender.bad > offender.signatures && !offender.cut;
        let say = many && !offender.said;
        offender.said |= many;
        offender.cut |= cut;
        Judgement { say, cut, bad: offender.refused }
    }
}

#[cfg(test)]
mod tests;
