//! The table at the end of a benchmark: one screen, one column of boxes, the answer first.

use super::{BenchReport, duration, grouped};
use crate::validity::{Finding, Verdict};

/// How the table may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With colours, for a terminal.
    Colour,
    /// Plain text.
    Plain,
}

impl Style {
    /// Colour where stdout is a terminal.
    pub fn of_stdout() -> Style {
        if std::io::IsTerminal::is_terminal(&std::io::stdout()) { Style::Colour } else { Style::Plain }
    }
}

/// Columns between the borders.
const WIDTH: usize = 76;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const STAGE_BAR: usize = 26;

#[derive(Clone, Copy)]
enum Ink {
    None,
    Bold,
    Dim,
    Good,
    Bad,
}

struct Table {
    style: Style,
    text: String,
}

impl Table {
    fn edge(&mut self, left: char, title: &str, right: char) {
        let title = if title.is_empty() { String::new() } else { format!("─ {title} ") };
        let rest = WIDTH.saturating_sub(title.chars().count());
        self.text.push_str(&format!("{left}{title}{}{right}\n", "─".repeat(rest)));
    }

    fn section(&mut self, title: &str) {
        self.edge('├', title, '┤');
    }

    /// A line inside the box; too long a text is cut, so that the border stays straight.
    fn line(&mut self, ink: Ink, text: &str) {
        let mut shown: String = text.chars().take(WIDTH - 2).collect();
        let pad = WIDTH - 2 - shown.chars().count();
        if text.chars().count() > WIDTH - 2 {
            shown.pop();
            shown.push('…');
        }
        let (on, off) = self.ink(ink);
        self.text.push_str(&format!("│ {on}{shown}{off}{} │\n", " ".repeat(pad)));
    }

    fn ink(&self, ink: Ink) -> (&'static str, &'static str) {
        if self.style == Style::Plain {
            return ("", "");
        }
        match ink {
            Ink::None => ("", ""),
            Ink::Bold => ("\x1b[1m", "\x1b[0m"),
            Ink::Dim => ("\x1b[2m", "\x1b[0m"),
            Ink::Good => ("\x1b[1;32m", "\x1b[0m"),
            Ink::Bad => ("\x1b[1;31m", "\x1b[0m"),
        }
    }
}

pub(super) fn render(report: &BenchReport, style: Style) -> String {
    let mut table = Table { style, text: String::new() };
    table.edge('╭', "millrace bench", '╮');
    head(&mut table, report);
    validity(&mut table, report);
    rates(&mut table, report);
    latency(&mut table, report);
    stages(&mut table, report);
    cost(&mut table, report);
    audit(&mut table, report);
    table.edge('╰', "", '╯');
    table.text
}

fn head(table: &mut Table, report: &BenchReport) {
    let (config, machine) = (&report.config, &report.machine);
    table.line(
        Ink::None,
        &format!(
            "{} · {} · {} accounts · {} s · rate {} · {}",
            plural(config.validators, "validator"),
            plural(config.chains, "chain"),
            grouped(config.accounts),
            config.seconds,
            config.rate,
            config.workload,
        ),
    );
    if config.data_bytes > 0 {
        let data = plural(config.data_bytes, "byte");
        table.line(Ink::None, &format!("{data} of data with each fingerprint"));
    }
    let storage = &report.config.storage;
    if !storage.is_empty() {
        table.line(Ink::Dim, &format!("journals by {storage}"));
    }
    let memory = machine.memory_bytes as f64 / (1u64 << 30) as f64;
    let cores = plural(machine.cores, "core");
    table.line(Ink::Dim, &format!("{} · {cores} · {memory:.0} GiB · {}", machine.cpu, machine.system));
}

fn validity(table: &mut Table, report: &BenchReport) {
    let validity = &report.validity;
    table.section("validity");
    let ink = match validity.verdict {
        Verdict::Valid => Ink::Good,
        Verdict::Invalid => Ink::Bad,
        Verdict::NotJudged => Ink::Bold,
    };
    let estimate = if validity.estimate { ", an estimate: the rate was found, not configured" } else { "" };
    table.line(ink, &format!("{}{estimate}", validity.verdict));
    for rule in &validity.rules {
        let (ink, mark) = match rule.finding {
            Finding::Holds => (Ink::None, '✔'),
            Finding::Fails => (Ink::Bad, '✘'),
            Finding::NotJudged => (Ink::Bold, '?'),
            Finding::DoesNotApply => (Ink::Dim, '–'),
        };
        table.line(ink, &format!("{mark} {}", rule.says));
    }
    let Some(ceiling) = validity.ceiling else { return };
    let more = if ceiling.at_least { " or more" } else { "" };
    let cpu = |us: Option<f64>| us.map_or("unknown".into(), |us| format!("{us:.2} µs"));
    let (generator, sink) = (cpu(ceiling.generator_cpu_us_per_tx), cpu(ceiling.sink_cpu_us_per_tx));
    let tps = grouped(ceiling.tps.round() as u64);
    table.line(Ink::Dim, &format!("ceiling {tps} a second{more}; it bounds the generator only"));
    table.line(Ink::Dim, &format!("CPU at the ceiling: {generator} the generator, {sink} the null sink"));
}

fn rates(table: &mut Table, report: &BenchReport) {
    let seconds = report.seconds.len().max(1) as f64;
    table.section("transactions a second");
    let row = |name: &str, rate: f64, total: u64| {
        format!("{name:<10}{:>12}   {:>14} in the window", grouped(rate.round() as u64), grouped(total))
    };
    table.line(Ink::None, &row("offered", report.tps.offered, report.offered));
    table.line(Ink::None, &row("accepted", report.accepted as f64 / seconds, report.accepted));
    table.line(Ink::Bold, &row("committed", report.tps.committed, report.committed));
    if report.config.payments > 1 {
        let (each, committed) = (report.config.payments, report.committed);
        table.line(Ink::None, &row("payments", report.tps.committed * each as f64, committed * each));
    }
    if report.config.opened > 0 {
        let (each, committed) = (report.config.opened, report.committed);
        table.line(Ink::None, &row("accounts", report.tps.committed * each as f64, committed * each));
    }
    let (low, high) = (report.tps.lowest_second as u64, report.tps.peak_second as u64);
    table.line(Ink::Dim, &format!("each second {}", spark(report)));
    table.line(Ink::Dim, &format!("lowest {} · peak {}", grouped(low), grouped(high)));
    for (reason, n) in &report.rejected {
        table.line(Ink::Bad, &format!("refused   {:>12}   {}", grouped(*n), reason.replace('_', " ")));
    }
    for (outcome, n) in &report.failed {
        table.line(Ink::Bad, &format!("failed    {:>12}   {}", grouped(*n), outcome.replace('_', " ")));
    }
    if report.timed_out > 0 {
        table.line(Ink::Bad, &format!("timed out {:>12}", grouped(report.timed_out)));
    }
    for lost in &report.lost_connections {
        let end = if lost.came_back { " and came back" } else { "" };
        table.line(Ink::Bad, &format!("validator {} went away{end}: {}", lost.lane, lost.reason));
    }
    for fault in &report.faults {
        let felt = fault.felt();
        let at = format!("{} s", fault.second);
        table.line(Ink::Bold, &format!("at {at:>6}: {} validator {}; {felt}", fault.action, fault.validator));
    }
    if let Some(why) = &report.ended_early {
        table.line(Ink::Bad, &format!("ended after {} s: {why}", report.seconds.len()));
    }
}

fn latency(table: &mut Table, report: &BenchReport) {
    table.section("latency, intended send to committed notice");
    let l = &report.latency_us;
    let cells = [("p50", l.p50), ("p90", l.p90), ("p99", l.p99), ("p99.9", l.p999), ("max", l.max)];
    let names: String = cells.iter().map(|(name, _)| format!("{name:>14}")).collect();
    let values: String = cells.iter().map(|(_, us)| format!("{:>14}", duration(*us))).collect();
    table.line(Ink::Dim, &names);
    table.line(Ink::Bold, &values);
}

fn stages(table: &mut Table, report: &BenchReport) {
    let rows = report.stages_us.rows();
    let longest = rows.iter().map(|(_, s)| s.p99).max().unwrap_or(0);
    if longest == 0 {
        return;
    }
    table.section("time in each stage");
    table.line(Ink::Dim, &format!("{:<12}{:>12}{:>12}", "", "p50", "p99"));
    for (name, stage) in rows {
        let cells = |us: u64| (us as f64 / longest as f64 * STAGE_BAR as f64).round() as usize;
        let (solid, all) = (cells(stage.p50), cells(stage.p99));
        let bar = format!("{}{}", "█".repeat(solid), "░".repeat(all.saturating_sub(solid)));
        let (p50, p99) = (duration(stage.p50), duration(stage.p99));
        table.line(Ink::None, &format!("{name:<12}{p50:>12}{p99:>12}  {bar}"));
    }
}

fn cost(table: &mut Table, report: &BenchReport) {
    table.section("cost of a committed transaction");
    let loadgen = report.loadgen_cpu_us_per_tx.map_or("unknown".into(), |us| format!("{us:.2} µs"));
    let validator = format!("{:.2} µs", report.cpu_us_per_tx_per_validator);
    table.line(Ink::None, &format!("CPU      {validator:>10} each validator   {loadgen:>10} load generator"));
    let (wire, disk) = (report.bytes_per_tx.wire, report.bytes_per_tx.disk);
    table.line(Ink::None, &format!("bytes    {wire:>10.0} on the wire       {disk:>10.0} on disk"));
    if let Some(bytes) = report.validators.iter().map(|v| v.resident_bytes_max).max() {
        table.line(Ink::None, &format!("memory   {:>6} MiB at most, of a validator", bytes >> 20));
    }
    if report.generator_saturated {
        let why = if report.generator.starved {
            "it ran out of signed transactions".to_string()
        } else {
            format!("{:.0} % of its ticks came late", report.generator.late_share * 100.0)
        };
        table.line(Ink::Bad, &format!("the load generator was a limit: {why}"));
    }
}

fn audit(table: &mut Table, report: &BenchReport) {
    let audit = &report.audit;
    table.section("audit, from the files on disk");
    let roots = if audit.roots_equal { "equal" } else { "DIFFERENT" };
    table.line(
        Ink::None,
        &format!(
            "{} told committed · {} missing · {} duplicated",
            grouped(audit.acknowledged),
            grouped(audit.missing),
            grouped(audit.duplicated),
        ),
    );
    let drift = audit.balance_drift;
    table.line(
        Ink::None,
        &format!("balance drift {drift} · {} · state roots {roots}", plural(audit.forks, "fork")),
    );
    if audit.attested_told > 0 {
        let (told, found) = (grouped(audit.attested_told), grouped(audit.attested));
        table.line(Ink::None, &format!("{told} fingerprints told registered · {found} registered"));
    }
    let checked: Vec<_> = audit.signatures_verified_per_validator.iter().map(|n| grouped(*n)).collect();
    table.line(Ink::None, &format!("signatures checked: {}", checked.join(" · ")));
    if !matches!(report.config.verify.as_str(), "" | "cpu") {
        let device = audit.signatures_by_device_per_validator.iter();
        let device: Vec<_> = device.map(|n| grouped(*n)).collect();
        table.line(Ink::None, &format!("accepted by a device: {}", device.join(" · ")));
    }
    if audit.ok {
        table.line(Ink::Good, "✔ nothing that clients were told is committed is lost");
    } else {
        table.line(Ink::Bad, "✘ THE AUDIT DOES NOT HOLD");
    }
}

/// The commits of each second as a line of bars; more seconds than fit are averaged.
fn spark(report: &BenchReport) -> String {
    let rows: Vec<u64> = report.seconds.iter().map(|r| r.committed).collect();
    let room = WIDTH - 2 - "each second ".len();
    let step = rows.len().div_ceil(room).max(1);
    let means: Vec<u64> = rows.chunks(step).map(|c| c.iter().sum::<u64>() / c.len() as u64).collect();
    let top = means.iter().copied().max().unwrap_or(0).max(1);
    means.iter().map(|n| BARS[(n * (BARS.len() as u64 - 1) / top) as usize]).collect()
}

pub(super) fn plural(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}
