//! The audit as text.

use std::fmt;

use super::{AuditReport, Finding, FindingKind};
use crate::cli::grouped;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FindingKind::Damage => "damaged file",
            FindingKind::Wrong => "wrong record",
            FindingKind::Fork => "fork",
            FindingKind::Root => "wrong root",
            FindingKind::Supply => "wrong supply",
        };
        writeln!(f, "{kind}: {}", self.what)?;
        writeln!(f, "  file      {}", self.file.display())?;
        writeln!(f, "  offset    {}", self.offset)?;
        writeln!(f, "  expected  {}", self.expected)?;
        write!(f, "  found     {}", self.found)
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok { "holds" } else { "DOES NOT HOLD" };
        writeln!(f, "{}: {verdict}", self.directory.display())?;
        let mut row = |label: &str, value: String| writeln!(f, "  {label:<26}{value}");
        row("network", self.network.to_string())?;
        row("committed height", grouped(self.height.0))?;
        row("state root", self.state_root.to_string())?;
        row("transactions applied", grouped(self.applied))?;
        for (outcome, count) in &self.failed {
            row(&format!("  failed: {outcome}"), grouped(*count))?;
        }
        row("transaction signatures", format!("{} checked", grouped(self.signatures)))?;
        row("acknowledgements", format!("{} checked", grouped(self.acknowledgements)))?;
        row("finalization certificates", format!("{} checked", grouped(self.finalizations)))?;
        if self.heights_without_certificate > 0 {
            let text = "last heights are final through a later block that is not in this directory";
            row("without certificate", format!("{} {text}", self.heights_without_certificate))?;
        }
        for supply in &self.supply {
            let verdict = if supply.genesis == supply.found { "as in the genesis" } else { "WRONG" };
            row(&format!("balances of chain {}", supply.chain), format!("{} ({verdict})", supply.found))?;
        }
        let batches = format!("{}, of which {} not ordered", grouped(self.batches), self.batches_unordered);
        row("batches", batches)?;
        let journal = format!("{} records, {} bytes", grouped(self.records), grouped(self.record_bytes));
        row("journal", journal)?;
        row("consensus log", format!("{} records", grouped(self.consensus_records)))?;
        match &self.finding {
            None => Ok(()),
            Some(finding) => write!(f, "\n{finding}"),
        }
    }
}
