//! The verdict on a run: all directories audited, and clients' notices held against what is on disk.

use anyhow::Result;
use engine::audit::{AuditReport, Finding, FindingKind};
use engine::types::Outcome;
use loadgen::outcome::LoadOutcome;
use loadgen::report::Audit;

use crate::cli::progress_bar;
use crate::network::Network;
use crate::verify;

/// How many missing transactions are named.
const NAMED: usize = 3;

/// Audits every validator's directory. `verified` are the signatures that each says it has checked.
pub(super) fn audit(network: &Network, outcome: &LoadOutcome, verified: Vec<u64>) -> Result<Audit> {
    let mut auditor = verify::auditor(network.genesis.clone())?;
    let mut audit =
        Audit { roots_equal: true, signatures_verified_per_validator: verified, ..Audit::default() };
    let mut reports: Vec<AuditReport> = Vec::new();
    for member in &network.members {
        let mut trail = outcome.trail();
        let bar = progress_bar(&format!("audit {}", member.name));
        let progress = |done: u64, total: u64| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let report = auditor.audit(&member.data(), &progress, &mut |_, transaction, outcome| {
            if outcome == Outcome::Applied {
                trail.applied(transaction);
            }
        })?;
        bar.finish_and_clear();
        audit.acknowledged = trail.acknowledged;
        audit.missing = audit.missing.max(trail.missing());
        audit.duplicated = audit.duplicated.max(trail.duplicated);
        for id in trail.missing_ids(network.genesis.network(), NAMED) {
            eprintln!("{}: the transaction {id}, told committed, is missing", member.name);
        }
        if let Some(finding) = &report.finding {
            eprintln!("{}: {finding}", member.name);
        }
        reports.push(report);
    }
    judge(&mut audit, &reports);
    Ok(audit)
}

fn judge(audit: &mut Audit, reports: &[AuditReport]) {
    let kind = |kind: FindingKind| {
        let found = move |finding: &Finding| finding.kind == kind;
        reports.iter().filter(|report| report.finding.as_ref().is_some_and(found)).count() as u64
    };
    audit.forks = kind(FindingKind::Fork);
    audit.roots_equal = kind(FindingKind::Root) == 0 && audit.forks == 0;
    audit.balance_drift = reports
        .iter()
        .flat_map(|report| &report.supply)
        .map(|supply| i64::try_from(supply.found() as i128 - supply.expected() as i128).unwrap_or(i64::MAX))
        .find(|drift| *drift != 0)
        .unwrap_or(0);
    audit.ok = reports.iter().all(|report| report.ok)
        && audit.missing == 0
        && audit.duplicated == 0
        && audit.balance_drift == 0;
}
