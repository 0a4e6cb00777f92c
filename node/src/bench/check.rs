//! The verdict on a run: all directories audited, and clients' notices held against what is on disk. A validator that
//! died is held to what it has told itself: that was durable on its own disk before.

use anyhow::Result;
use engine::audit::{AuditReport, Finding, FindingKind};
use engine::types::{Content, Outcome, PacketRun};
use loadgen::outcome::LoadOutcome;
use loadgen::report::Audit;

use crate::cli::progress_bar;
use crate::network::Network;
use crate::verify;

/// How many missing transactions are named.
const NAMED: usize = 3;

/// Audits every validator's directory, also of those that are `dead`. `verified` are the signatures that each says it
/// has checked, and of these the ones that a device has accepted.
pub(super) fn audit(
    network: &Network,
    outcome: &LoadOutcome,
    (verified, by_device): (Vec<u64>, Vec<u64>),
    dead: &[usize],
) -> Result<Audit> {
    let mut auditor = verify::auditor(network.genesis.clone())?;
    let mut audit = Audit {
        roots_equal: true,
        signatures_verified_per_validator: verified,
        signatures_by_device_per_validator: by_device,
        attested_told: outcome.acknowledged().map(registers).sum(),
        ..Audit::default()
    };
    let mut reports: Vec<AuditReport> = Vec::new();
    for (lane, member) in network.members.iter().enumerate() {
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
        let told_by = dead.contains(&lane).then_some(lane);
        audit.missing = audit.missing.max(trail.missing(told_by));
        audit.duplicated = audit.duplicated.max(trail.duplicated);
        for id in trail.missing_ids(network.genesis.network(), told_by, NAMED) {
            eprintln!("{}: the transaction {id}, told committed, is missing", member.name);
        }
        if let Some(finding) = &report.finding {
            eprintln!("{}: {finding}", member.name);
        }
        reports.push(report);
    }
    judge(&mut audit, &reports, dead);
    Ok(audit)
}

fn judge(audit: &mut Audit, reports: &[AuditReport], dead: &[usize]) {
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
    let alive = reports.iter().enumerate().filter(|(at, _)| !dead.contains(at));
    audit.attested = alive.map(|(_, report)| report.attested).min().unwrap_or(audit.attested_told);
    audit.ok = reports.iter().all(|report| report.ok) && audit.keeps_its_word();
}

/// How many fingerprints a transaction registers.
fn registers(transaction: PacketRun<'_>) -> u64 {
    match transaction.content() {
        Ok(Content::Attest(attest)) => attest.registrations.count() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{
        AccountId, Attest, ChainId, Data, Digest, Fingerprint, Height, Link, Registration, Registrations,
        Revoke,
    };

    #[test]
    fn each_fingerprint_of_a_registration_counts_and_a_revocation_registers_none() {
        let network = Digest([9; 32]);
        let (chain, owner, expiry) = (ChainId(2), AccountId(7), Height(50));
        let (key_version, reference, nonce) = (1, [0; 12], 0);
        let mut encoded = Vec::new();
        for n in 1..=3 {
            let fingerprint = Fingerprint([n; 32]);
            Registration { fingerprint, kind: 0, link: Link::None, data: Data::None }
                .encode(&mut encoded)
                .unwrap();
        }
        let registrations = Registrations::read(3, &encoded).unwrap();
        let attest = Attest { chain, key_version, reference, owner, registrations, nonce, expiry };
        let fingerprints = &[[1; 32], [2; 32]];
        let revoke = Revoke { chain, key_version, reference, owner, reason: 0, fingerprints, nonce, expiry };
        assert_eq!(registers(attest.sign(&network, |_| [0; 64]).unwrap().run()), 3);
        assert_eq!(registers(revoke.sign(&network, |_| [0; 64]).unwrap().run()), 0);
    }
}
