//! Whether the figures of a run say something about the network, judged before any of them is read.
//!
//! ```text
//!   LoadOutcome, Ceiling, Disk ──> Facts ──> Validity: each rule holds, fails, or is not judged, with the reason
//!                                               └──> one line, which is printed first
//! ```
//!
//! A run is *invalid* if a rule fails, *not judged* if none fails and one could not be judged, else *valid*. A rate
//! that was found (`--rate max`) makes it an *estimate* besides. docs/guides/benchmarks.md explains each rule.
//!
//! Invariant: what was not measured is never taken for what holds.

use crate::ceiling::Ceiling;
use crate::outcome::LoadOutcome;
use crate::plan::Rate;
use serde::{Deserialize, Serialize};
use std::fmt;

/// At most this share of the sends may be late.
pub const LATE_SENDS_MAX: f64 = 0.01;
/// At least this share of a fixed rate must have been sent.
pub const OFFERED_MIN: f64 = 0.99;
/// The committed rate may be at most this share of the ceiling.
pub const CEILING_SHARE_MAX: f64 = 0.80;
/// At most this share of the machine's CPU time may have been stolen.
pub const STEAL_MAX: f64 = 0.02;
/// A sync that is faster writes to nothing that survives a power cut. Our assumption: the fastest drives take 8 to 10
/// us for 4 KiB (Optane P4800X at queue depth 1), and system call and file system come on top.
pub const SYNC_US_MIN: f64 = 5.0;

/// What the data of the validators lies on.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Name of the file system.
    pub file_system: String,
    /// Whether it keeps its files in memory; `None` where that depends on what lies below it.
    pub in_memory: Option<bool>,
    /// Median time of a small write's sync; or why that is not known.
    pub sync_us_p50: Result<f64, String>,
}

/// What is known of a run. What is not known comes with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The rate that was to be offered; `None` if it was found.
    pub rate: Option<f64>,
    /// Why the run ended before its time, if it did.
    pub ended_early: Option<String>,
    /// Share of the offered ones that left late, or never.
    pub late_sends: f64,
    /// Transactions a second that left.
    pub sent_tps: f64,
    /// The highest rate in transactions a second that the generator had to drive: the peak of a shape, or what left.
    pub driven_tps: f64,
    /// Share of the machine's CPU time that was stolen.
    pub steal_share: Option<f64>,
    /// What the generator can do alone.
    pub ceiling: Result<Ceiling, String>,
    /// What the data lies on.
    pub disk: Result<Disk, String>,
}

impl Facts {
    /// What a run says of itself, beside what was found before it.
    pub fn of(
        outcome: &LoadOutcome,
        (rate, peak): (Rate, f64),
        ceiling: Result<Ceiling, String>,
        disk: Result<Disk, String>,
    ) -> Facts {
        Facts {
            rate: match rate {
                Rate::Max => None,
                Rate::Fixed(rate) => Some(rate),
            },
            ended_early: outcome.ended_early.as_ref().map(ToString::to_string),
            late_sends: outcome.late_sends(),
            sent_tps: outcome.sent_tps(),
            driven_tps: match rate {
                Rate::Max => outcome.sent_tps().max(outcome.committed_tps()),
                Rate::Fixed(rate) => outcome.sent_tps().max(rate * peak),
            },
            steal_share: outcome.generator.steal_share,
            ceiling,
            disk,
        }
    }
}

/// A rule that a run must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Few sends are late.
    LateSends,
    /// The configured rate was offered.
    Offered,
    /// The committed rate is well below the generator's ceiling.
    Ceiling,
    /// The machine's CPU was there.
    Steal,
    /// The data does not lie in memory.
    FileSystem,
    /// A sync reaches a medium.
    Sync,
    /// The files on disk have everything that clients were told, and no validator died by itself.
    Audit,
}

/// What was found of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It is kept.
    Holds,
    /// It is broken.
    Fails,
    /// What it asks for is not known.
    NotJudged,
    /// It asks for what was not configured.
    DoesNotApply,
}

/// What rules amount to together.
fn verdict_of(rules: &[Judged]) -> Verdict {
    let any = |finding| rules.iter().any(|rule| rule.finding == finding);
    if any(Finding::Fails) {
        Verdict::Invalid
    } else if any(Finding::NotJudged) {
        Verdict::NotJudged
    } else {
        Verdict::Valid
    }
}

/// A rule, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The rule.
    pub rule: Rule,
    /// What was found.
    pub finding: Finding,
    /// What was measured: a share, or of [`Rule::Sync`] microseconds.
    pub measured: Option<f64>,
    /// What it may be at most, or of [`Rule::Offered`] and [`Rule::Sync`] must be at least.
    pub bar: Option<f64>,
    /// The same for a person, or why there is no finding.
    pub says: String,
}

/// What a run amounts to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All rules that apply hold.
    Valid,
    /// A rule is broken.
    Invalid,
    /// No rule is broken, and one at least could not be judged.
    #[default]
    NotJudged,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Valid => "VALID",
            Verdict::Invalid => "INVALID",
            Verdict::NotJudged => "NOT JUDGED",
        })
    }
}

/// Whether the figures of a run may be relied on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// What it amounts to.
    pub verdict: Verdict,
    /// Whether the rate was found and not configured.
    pub estimate: bool,
    /// All rules.
    pub rules: Vec<Judged>,
    /// What the generator can do alone, where that was measured.
    pub ceiling: Option<Ceiling>,
    /// Name of the file system of the data, where it is known.
    pub file_system: Option<String>,
}

impl Validity {
    /// Judges a run.
    pub fn judge(facts: &Facts) -> Validity {
        let whole = |rule: Judged| match &facts.ended_early {
            Some(why) => Judged::not_known(rule.rule, format!("the run ended early: {why}")),
            None => rule,
        };
        let rules = vec![
            whole(late_sends(facts)),
            whole(offered(facts)),
            whole(ceiling(facts)),
            whole(steal(facts)),
            file_system(facts),
            sync(facts),
            Judged::not_known(Rule::Audit, "the files were not audited".into()),
        ];
        Validity {
            verdict: verdict_of(&rules),
            estimate: facts.rate.is_none(),
            rules,
            ceiling: facts.ceiling.as_ref().ok().copied(),
            file_system: facts.disk.as_ref().ok().map(|disk| disk.file_system.clone()),
        }
    }

    /// The same after the audit: whether it holds, and how many validators died that nobody has killed on purpose.
    #[must_use]
    pub fn audited(mut self, holds: bool, died: usize) -> Validity {
        let (finding, says) = match (holds, died) {
            (false, _) => (Finding::Fails, "the audit does not hold".to_owned()),
            (true, 0) => (Finding::Holds, "the audit holds".to_owned()),
            (true, 1) => (Finding::Fails, "a validator died".to_owned()),
            (true, died) => (Finding::Fails, format!("{died} validators died")),
        };
        self.rules.retain(|judged| judged.rule != Rule::Audit);
        self.rules.push(Judged { rule: Rule::Audit, finding, measured: None, bar: None, says });
        self.verdict = verdict_of(&self.rules);
        self
    }

    /// All of it in one line: the verdict, and each rule that stands in its way.
    pub fn line(&self) -> String {
        let estimate = if self.estimate { ", AN ESTIMATE (the rate was found, not configured)" } else { "" };
        let blames = match self.verdict {
            Verdict::Valid => return format!("{}{estimate}: every rule that applies holds", self.verdict),
            Verdict::Invalid => Finding::Fails,
            Verdict::NotJudged => Finding::NotJudged,
        };
        let mut blamed: Vec<&str> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.finding == blames) {
            // One reason may stand in the way of several rules.
            if !blamed.contains(&rule.says.as_str()) {
                blamed.push(&rule.says);
            }
        }
        let blamed = if blamed.is_empty() { "no rule was looked at".to_owned() } else { blamed.join("; ") };
        format!("{}{estimate}: {blamed}", self.verdict)
    }
}

impl Judged {
    fn found(rule: Rule, holds: bool, (measured, bar): (f64, f64), says: String) -> Judged {
        let finding = if holds { Finding::Holds } else { Finding::Fails };
        Judged { rule, finding, measured: Some(measured), bar: Some(bar), says }
    }

    fn not_known(rule: Rule, why: String) -> Judged {
        Judged { rule, finding: Finding::NotJudged, measured: None, bar: None, says: why }
    }
}

fn late_sends(facts: &Facts) -> Judged {
    let (share, bar) = (facts.late_sends, LATE_SENDS_MAX);
    let says = format!("{} of the sends over 10 ms late (at most {})", percent(share), percent(bar));
    Judged::found(Rule::LateSends, share <= bar, (share, bar), says)
}

fn offered(facts: &Facts) -> Judged {
    let Some(rate) = facts.rate else {
        let says = "no rate was configured that could be missed".to_owned();
        let finding = Finding::DoesNotApply;
        return Judged { rule: Rule::Offered, finding, measured: None, bar: None, says };
    };
    let (share, bar) = (facts.sent_tps / rate, OFFERED_MIN);
    let says = format!("{} of the configured rate offered (at least {})", percent(share), percent(bar));
    Judged::found(Rule::Offered, share >= bar, (share, bar), says)
}

fn ceiling(facts: &Facts) -> Judged {
    let ceiling = match &facts.ceiling {
        Ok(ceiling) if ceiling.tps > 0.0 => ceiling,
        Ok(_) => return Judged::not_known(Rule::Ceiling, "the null sink has answered nothing".into()),
        Err(why) => return Judged::not_known(Rule::Ceiling, why.clone()),
    };
    let (share, bar) = (facts.driven_tps / ceiling.tps, CEILING_SHARE_MAX);
    if share > bar && ceiling.at_least {
        let why = "the ceiling is too little known: its signed transactions ran out".to_owned();
        return Judged { measured: Some(share), bar: Some(bar), ..Judged::not_known(Rule::Ceiling, why) };
    }
    let most = if ceiling.at_least { "at most " } else { "" };
    let says =
        format!("drove {most}{} of the generator's ceiling (at most {})", percent(share), percent(bar));
    Judged::found(Rule::Ceiling, share <= bar, (share, bar), says)
}

fn steal(facts: &Facts) -> Judged {
    let Some(share) = facts.steal_share else {
        return Judged::not_known(Rule::Steal, "the kernel does not tell what time was stolen".into());
    };
    let bar = STEAL_MAX;
    let says = format!("{} of the CPU time stolen (at most {})", percent(share), percent(bar));
    Judged::found(Rule::Steal, share <= bar, (share, bar), says)
}

fn file_system(facts: &Facts) -> Judged {
    let disk = match &facts.disk {
        Ok(disk) => disk,
        Err(why) => return Judged::not_known(Rule::FileSystem, why.clone()),
    };
    let name = &disk.file_system;
    let (finding, says) = match disk.in_memory {
        Some(true) => (Finding::Fails, format!("the data lies on {name}, in memory")),
        Some(false) => (Finding::Holds, format!("the data lies on {name}")),
        None => {
            let why = "and what is below that is not known: give --data a directory on a local disk";
            (Finding::NotJudged, format!("the data lies on {name}, {why}"))
        }
    };
    Judged { rule: Rule::FileSystem, finding, measured: None, bar: None, says }
}

fn sync(facts: &Facts) -> Judged {
    let measured = facts.disk.as_ref().map_err(Clone::clone);
    let us = match measured.and_then(|disk| disk.sync_us_p50.clone()) {
        Ok(us) => us,
        Err(why) => return Judged::not_known(Rule::Sync, why),
    };
    let takes = if us < 1_000.0 { format!("{us:.1} µs") } else { format!("{:.1} ms", us / 1_000.0) };
    let says = format!("a sync of 4 KiB takes {takes}, the median (at least {SYNC_US_MIN} µs)");
    Judged::found(Rule::Sync, us >= SYNC_US_MIN, (us, SYNC_US_MIN), says)
}

/// A share as a person reads it, in hundredths of a percent: the bars have no finer steps.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

#[cfg(test)]
mod tests;
