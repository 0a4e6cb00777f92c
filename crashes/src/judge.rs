//! A validator recovers what a crash has left, and what it then has is audited.
//!
//! - The start believes its own logs: a crash loses nothing that makes a validator follow without voting.
//! - `verify` finds nothing wrong, and every transaction in it was submitted.
//! - What a client had been told before the crash is there, unless the journal was pruned above it.
//! - The vote that finalized the last committed block is in the log of votes, and none of an epoch that has not begun.
//! - All recoveries of one history agree: a height has one block, one state root, its transactions, and the epoch in
//!   which the next block is.
//! - No checkpoint was set aside: each had its name only when it was whole.
//! - A validator that has told a client something has no `first-start` any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::audit::AuditReport;
use engine::types::{Epoch, Height, Outcome};
use node::config::FIRST_START;
use node::validator::{Rehearsal, rehearse};
use node::verify::auditor;

use crate::epochs::DECISIONS;
use crate::life::Subject;

/// What was recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The last committed height.
    pub height: u64,
    /// What was committed up to here is not kept; 0 where everything is.
    pub above: u64,
    /// The transactions that are kept.
    pub transactions: BTreeSet<u64>,
}

/// What all recoveries of one history have shown.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Block and state root of each height, and the epoch in which a start goes on from there.
    heights: BTreeMap<u64, (String, String, Epoch)>,
    /// In which block each transaction is.
    transactions: BTreeMap<u64, u64>,
}

impl History {
    /// Recovers the data directory at a place, and audits it.
    ///
    /// # Errors
    /// What does not hold.
    pub fn recover(&mut self, subject: &Subject, data: &Path) -> Result<Found, String> {
        let config = subject.config(data).map_err(|error| format!("{error:#}"))?;
        let found = rehearse(&config).map_err(|error| format!("the next start fails: {error:#}"))?;
        if found.believes_a_loss {
            return Err("the next start believes that a log was lost".into());
        }
        let Rehearsal { epoch, finalized, voted, .. } = found;
        if voted < finalized || voted.0 > epoch {
            return Err(format!(
                "epoch and view {finalized:?} are final by its own vote, the last one in its log is of {voted:?}, and it \
                 goes on in epoch {epoch}"
            ));
        }
        let checkpoints = std::fs::read_dir(data.join("checkpoints")).map_err(|error| error.to_string())?;
        for entry in checkpoints.flatten() {
            if entry.path().extension().is_some_and(|ending| ending == "unfit") {
                return Err(format!("the start has set aside {}", entry.path().display()));
            }
        }
        let (report, transactions) = self.audit(subject, data, epoch)?;
        if report.height != found.height {
            return Err(format!("the start is at height {}, the audit at {}", found.height, report.height));
        }
        Ok(Found { height: report.height.0, above: report.audited_above.0, transactions })
    }

    fn audit(
        &mut self,
        subject: &Subject,
        data: &Path,
        epoch: Epoch,
    ) -> Result<(AuditReport, BTreeSet<u64>), String> {
        let mut seen = Vec::new();
        let genesis = subject.network.genesis.clone();
        let mut auditor = auditor(genesis).map_err(|error| error.to_string())?;
        let visit = &mut |height: Height, packet: engine::types::PacketRun<'_>, outcome: Outcome| {
            seen.push((height.0, subject.number_of(packet), outcome));
        };
        let report = auditor.audit(data, &|_, _| {}, visit).map_err(|error| format!("verify: {error}"))?;
        if let Some(finding) = &report.finding {
            return Err(format!(
                "verify: {}: expected {}, found {}",
                finding.what, finding.expected, finding.found
            ));
        }
        let mut transactions = BTreeSet::new();
        for (height, number, outcome) in seen {
            let number = number.ok_or("a transaction that was never submitted")?;
            let first = *self.transactions.entry(number).or_insert(height);
            if outcome != Outcome::Applied || first != height || !transactions.insert(number) {
                return Err(format!(
                    "transaction {number} is {outcome:?} at height {height}, before at {first}"
                ));
            }
        }
        let now = (report.block.to_string(), report.state_root.to_string(), epoch);
        match self.heights.entry(report.height.0).or_insert_with(|| now.clone()) {
            before if *before == now => Ok((report, transactions)),
            before => Err(format!("height {} is {now:?}, and was {before:?}", report.height)),
        }
    }

    /// Whether what a client was told is there.
    ///
    /// # Errors
    /// What is not.
    pub fn judge(&self, found: &Found, told: &BTreeSet<u64>) -> Result<(), String> {
        // One that no recovery has shown yet was committed before all that are kept, or it is lost: a client waits
        // for its notices before it goes on.
        let is_before = |number: &u64| {
            let first = if *number < DECISIONS { 0 } else { DECISIONS };
            found.above > 0 && found.transactions.range(first..*number).next().is_none()
        };
        let is_pruned = |number: &u64| match self.transactions.get(number) {
            Some(at) => *at <= found.above,
            None => is_before(number),
        };
        match told.difference(&found.transactions).find(|number| !is_pruned(number)) {
            None => Ok(()),
            Some(number) => Err(format!(
                "transaction {number} was told to be committed, and is not in {} heights",
                found.height
            )),
        }
    }
}

/// Whether a data directory that is about to be recovered may say that its validator has never run.
///
/// # Errors
/// It may not.
pub fn judge_marker(data: &Path, told: &BTreeSet<u64>) -> Result<(), String> {
    match data.join(FIRST_START).exists() && !told.is_empty() {
        true => Err(format!("{FIRST_START} is there, and a client was told something")),
        false => Ok(()),
    }
}
