//! The figures of an audit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Finding;
use super::chronicle::Chapter;
use crate::types::{Digest, Height, Outcome};

/// The money of one asset, over all its chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Supply {
    /// The asset.
    pub asset: String,
    /// What the genesis put there.
    pub genesis: u128,
    /// The sum of all balances at the end.
    pub balances: u128,
    /// What was on its way between chains at the end.
    pub in_flight: u128,
}

impl Supply {
    /// What was found: on accounts and on its way.
    pub fn found(&self) -> u128 {
        self.balances + self.in_flight
    }
}

/// The audit of one directory.
#[derive(Debug, Clone, Serialize)]
pub struct AuditReport {
    /// The directory.
    pub directory: PathBuf,
    /// The network.
    pub network: Digest,
    /// Whether everything holds.
    pub ok: bool,
    /// The last committed height.
    pub height: Height,
    /// The digest of the last committed block.
    pub block: Digest,
    /// The state root of the last committed height.
    pub state_root: Digest,
    /// Records of the journal.
    pub records: u64,
    /// Bytes of those records.
    pub record_bytes: u64,
    /// Records of the vote log, each with a good checksum.
    pub consensus_records: u64,
    /// Batches on disk.
    pub batches: u64,
    /// Batches on disk that no committed block orders: sealed or received, but not finalized before the stop.
    pub batches_unordered: u64,
    /// Transactions of committed blocks.
    pub transactions: u64,
    /// Those of them that moved money.
    pub applied: u64,
    /// Those of them that failed, by outcome.
    pub failed: BTreeMap<String, u64>,
    /// Payments between chains that were credited.
    pub crossed: u64,
    /// Payments between chains that went back to the payer, by the reason why they could not be credited.
    pub refunded: BTreeMap<String, u64>,
    /// Transaction signatures that were checked.
    pub signatures: u64,
    /// Signatures of authors under their batches that were checked.
    pub author_signatures: u64,
    /// Finalization certificates that were checked.
    pub finalizations: u64,
    /// The last heights whose finalization certificate is not in this directory: they are final through a later
    /// block that was not yet written here.
    pub heights_without_certificate: u64,
    /// The money of each asset.
    pub supply: Vec<Supply>,
    /// The first thing that is wrong.
    pub finding: Option<Finding>,
}

impl AuditReport {
    /// Counts the transactions of a height.
    pub(super) fn count(&mut self, chapter: &Chapter) {
        let failures = chapter.failures.iter().flatten();
        let failed = chapter.failures.iter().map(Vec::len).sum::<usize>() as u64;
        self.transactions += chapter.transactions();
        self.applied += chapter.transactions() - failed;
        for (_, outcome) in failures {
            *self.failed.entry(outcome.to_string()).or_default() += 1;
        }
        for (_, outcome) in &chapter.decided {
            match outcome {
                Outcome::Applied => self.crossed += 1,
                reason => *self.refunded.entry(reason.to_string()).or_default() += 1,
            }
        }
    }
}
