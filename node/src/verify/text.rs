//! An audit as text.

use std::fmt;

use engine::audit::AuditReport;

use super::CheckpointFile;
use crate::archive::ArchivedFile;
use crate::cli::grouped;

/// Shows a report to people, with the checkpoints of the directory.
#[derive(Debug)]
pub struct Text<'a>(pub &'a AuditReport, pub &'a [CheckpointFile]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let verdict = if report.ok { "holds" } else { "DOES NOT HOLD" };
        writeln!(f, "{}: {verdict}", report.directory.display())?;
        let mut row = |label: &str, value: String| writeln!(f, "  {label:<31} {value}");
        row("network", report.network.to_string())?;
        if let Some(validator) = report.validator {
            row("validator", validator.to_string())?;
        }
        if let Some(to) = report.archived_to {
            row("from the archive", format!("heights 1 to {}", grouped(to.0)))?;
        }
        if let Some(from) = report.kept_from.filter(|from| from.0 > 1) {
            row("blocks are kept", format!("from height {} on", grouped(from.0)))?;
        }
        if report.has_not_begun() {
            row("audited", "no block".to_owned())?;
        } else {
            if report.audited_above.0 > 0 {
                let above = grouped(report.audited_above.0);
                row("audited above", format!("height {above}: the audit began with that checkpoint"))?;
            }
            row("committed height", grouped(report.height.0))?;
            if report.epochs > 1 {
                row("epochs", format!("{}, each with other validators", grouped(report.epochs)))?;
            }
            row("state root", report.state_root.to_string())?;
        }
        row("transactions applied", grouped(report.applied))?;
        if report.linked > 0 {
            let payments = grouped(report.linked_payments);
            row("linked transfers", format!("{} of {payments} payments", grouped(report.linked)))?;
        }
        if report.changes > 0 {
            row("changes of accounts", grouped(report.changes))?;
        }
        if report.opened > 0 {
            row("accounts opened", grouped(report.opened))?;
        }
        if report.attested > 0 {
            row("fingerprints registered", grouped(report.attested))?;
        }
        if report.revoked > 0 {
            row("attestations revoked", grouped(report.revoked))?;
        }
        if report.commands > 0 {
            row("commands of authorities", grouped(report.commands))?;
        }
        if report.governance > 0 {
            row("proposals and approvals", grouped(report.governance))?;
        }
        if report.reserved > 0 {
            row("reservations and offers", format!("{} made", grouped(report.reserved)))?;
        }
        if report.settled > 0 {
            row("settlements", grouped(report.settled))?;
        }
        for (outcome, count) in &report.failed {
            row(&format!("failed: {outcome}"), grouped(*count))?;
        }
        if report.crossed > 0 || !report.refunded.is_empty() {
            row("payments between chains", format!("{} credited", grouped(report.crossed)))?;
        }
        for (reason, count) in &report.refunded {
            row(&format!("sent back: {reason}"), grouped(*count))?;
        }
        if report.swapped > 0 {
            row("swaps between chains", grouped(report.swapped))?;
        }
        row("transaction signatures", format!("{} checked", grouped(report.signatures)))?;
        row("checked by", format!("the CPU ({})", ::kernels::ed25519::Backend::best()))?;
        row("batches' authors", format!("{} signatures checked", grouped(report.author_signatures)))?;
        row("finalization certificates", format!("{} checked", grouped(report.finalizations)))?;
        if report.heights_without_certificate > 0 {
            let text = "last heights are final through a later block that is not in this directory";
            row("without certificate", format!("{} {text}", report.heights_without_certificate))?;
        }
        for supply in &report.supply {
            let verdict = match supply.expected() == supply.found() {
                true if supply.issued == 0 && supply.burned == 0 => "as in the genesis",
                true => "as it must be",
                false => "WRONG",
            };
            let part = |amount, place: &str| match amount {
                0 => String::new(),
                amount => format!(", {} of it {place}", large(amount)),
            };
            let (reserved, in_flight) =
                (part(supply.reserved, "set aside"), part(supply.in_flight, "between chains"));
            row(
                &format!("money of {}", supply.asset),
                format!("{} ({verdict}{reserved}{in_flight})", large(supply.found())),
            )?;
            if supply.issued > 0 || supply.burned > 0 {
                row("  issued, burned", format!("{}, {}", large(supply.issued), large(supply.burned)))?;
            }
        }
        let batches =
            format!("{}, of which {} not ordered", grouped(report.batches), report.batches_unordered);
        row("batches", batches)?;
        let journal = format!("{} records, {} bytes", grouped(report.records), grouped(report.record_bytes));
        row("journal", journal)?;
        if report.consensus_records > 0 || report.archived_to.is_none() {
            row("vote log", format!("{} records", grouped(report.consensus_records)))?;
        }
        for file in self.1 {
            row(&file.label(), file.state.to_string())?;
        }
        match &report.finding {
            None => Ok(()),
            Some(finding) => writeln!(f, "\n{finding}"),
        }
    }
}

/// Shows the files of an archive to people: how many there are, and each with which something is wrong.
#[derive(Debug)]
pub struct ArchiveText<'a>(pub &'a [ArchivedFile]);

impl fmt::Display for ArchiveText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = || self.0.iter().filter(|file| file.wrong.is_some());
        let last = self.0.last().map_or(0, |file| file.last.0);
        let verdict = match wrong().count() {
            0 => "all of them whole".to_owned(),
            count => format!("something is WRONG with {}", grouped(count as u64)),
        };
        writeln!(f, "  {:<31} up to height {}, {verdict}", "files of the archive", grouped(last))?;
        for file in wrong() {
            let label = format!("heights {} to {}", grouped(file.first.0), grouped(file.last.0));
            writeln!(f, "  {label:<31} {file} ({})", file.file.display())?;
        }
        Ok(())
    }
}

/// A sum over many chains; it fits into 64 bits as far as the genesis is valid.
fn large(amount: u128) -> String {
    u64::try_from(amount).map_or_else(|_| amount.to_string(), grouped)
}
