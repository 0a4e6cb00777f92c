//! An audit as text.

use std::fmt;

use engine::audit::AuditReport;

use crate::cli::grouped;

/// Shows a report to people.
#[derive(Debug)]
pub struct Text<'a>(pub &'a AuditReport);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let verdict = if report.ok { "holds" } else { "DOES NOT HOLD" };
        writeln!(f, "{}: {verdict}", report.directory.display())?;
        let mut row = |label: &str, value: String| writeln!(f, "  {label:<26}{value}");
        row("network", report.network.to_string())?;
        row("committed height", grouped(report.height.0))?;
        row("state root", report.state_root.to_string())?;
        row("transactions applied", grouped(report.applied))?;
        for (outcome, count) in &report.failed {
            row(&format!("  failed: {outcome}"), grouped(*count))?;
        }
        if report.crossed > 0 || !report.refunded.is_empty() {
            row("payments between chains", format!("{} credited", grouped(report.crossed)))?;
        }
        for (reason, count) in &report.refunded {
            row(&format!("  refunded: {reason}"), grouped(*count))?;
        }
        row("transaction signatures", format!("{} checked", grouped(report.signatures)))?;
        row("batches' authors", format!("{} signatures checked", grouped(report.author_signatures)))?;
        row("finalization certificates", format!("{} checked", grouped(report.finalizations)))?;
        if report.heights_without_certificate > 0 {
            let text = "last heights are final through a later block that is not in this directory";
            row("without certificate", format!("{} {text}", report.heights_without_certificate))?;
        }
        for supply in &report.supply {
            let verdict = if supply.genesis == supply.found() { "as in the genesis" } else { "WRONG" };
            let in_flight = match supply.in_flight {
                0 => String::new(),
                amount => format!(", {amount} of it between chains"),
            };
            row(&format!("money of {}", supply.asset), format!("{} ({verdict}{in_flight})", supply.found()))?;
        }
        let batches =
            format!("{}, of which {} not ordered", grouped(report.batches), report.batches_unordered);
        row("batches", batches)?;
        let journal = format!("{} records, {} bytes", grouped(report.records), grouped(report.record_bytes));
        row("journal", journal)?;
        row("vote log", format!("{} records", grouped(report.consensus_records)))?;
        match &report.finding {
            None => Ok(()),
            Some(finding) => write!(f, "\n{finding}"),
        }
    }
}
