//! The figures of an audit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Finding;
use crate::types::{Action, Command, Content, Digest, Height, Outcome, PacketRun, ValidatorIndex};

/// The money of one asset, over all its chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Supply {
    /// The asset.
    pub asset: String,
    /// What the genesis put there.
    pub genesis: u128,
    /// The sum of all balances at the end.
    pub balances: u128,
    /// What was set aside at the end, in open reservations.
    pub reserved: u128,
    /// What was in flight between chains at the end.
    pub in_flight: u128,
    /// What was issued since.
    pub issued: u128,
    /// What was burned since.
    pub burned: u128,
}

impl Supply {
    /// What there must be: what the genesis put there, with what was issued and without what was burned.
    pub fn expected(&self) -> u128 {
        self.genesis + self.issued - self.burned
    }

    /// What was found: on accounts, set aside and in flight.
    pub fn found(&self) -> u128 {
        self.balances + self.reserved + self.in_flight
    }
}

/// The audit of one directory.
#[derive(Debug, Clone, Serialize)]
pub struct AuditReport {
    /// The directory: of the validator, or of the archive where that was audited alone.
    pub directory: PathBuf,
    /// The network.
    pub network: Digest,
    /// The validator whose directory it is, by its place in the last epoch that was audited, if it has one there.
    pub validator: Option<ValidatorIndex>,
    /// Whether everything holds.
    pub ok: bool,
    /// The blocks above this height were audited: 0, or the height of the checkpoint at which the journal was pruned.
    pub audited_above: Height,
    /// The last height that came from an archive, where one was audited before the journal: all from height 1 on did.
    pub archived_to: Option<Height>,
    /// The first height whose block the journal has: 1, or more where it was pruned. None if no block can be read.
    pub kept_from: Option<Height>,
    /// The last committed height that was audited.
    pub height: Height,
    /// The digest of the last committed block.
    pub block: Digest,
    /// The state root of the last committed height.
    pub state_root: Digest,
    /// Epochs up to that of the block behind the last committed one: sets of validators, the genesis' among them.
    pub epochs: u64,
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
    /// Those of them that are transfers and moved money within a chain.
    pub applied: u64,
    /// Those of them that are linked transfers and took effect.
    pub linked: u64,
    /// Payments of those.
    pub linked_payments: u64,
    /// Accounts that were opened.
    pub opened: u64,
    /// Fingerprints that were registered.
    pub attested: u64,
    /// Attestations that were revoked.
    pub revoked: u64,
    /// Those of them with which accounts asked for other keys or safeguards, or to be closed, or cancelled that, or
    /// others did so for them, and that were taken.
    pub changes: u64,
    /// Those of them with which an issuer or a freezer ordered something, and that took effect.
    pub commands: u64,
    /// Those of them with which administrators proposed and approved decisions, and that were taken.
    pub governance: u64,
    /// Those of them that set money aside, for a payment or for a swap.
    pub reserved: u64,
    /// Those of them that settled what was set aside.
    pub settled: u64,
    /// Those of them that took an offer of another chain.
    pub swapped: u64,
    /// Those of them that moved nothing, by outcome.
    pub failed: BTreeMap<String, u64>,
    /// Payments between chains that were credited. Those of the last two heights may not be decided yet.
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
    /// Whether the audit could not begin: the journal cannot be opened, or was pruned and has no checkpoint that can be
    /// used.
    #[must_use]
    pub fn has_not_begun(&self) -> bool {
        let archived = self.archived_to.is_some_and(|height| height.0 > 0);
        !self.ok && self.state_root == Digest::default() && self.kept_from != Some(Height(1)) && !archived
    }

    /// Counts a transaction that has its final outcome.
    pub(super) fn count(&mut self, run: PacketRun<'_>, outcome: Outcome) {
        let cross = run.is_cross();
        match outcome {
            Outcome::Applied if cross => self.crossed += 1,
            Outcome::Applied if run.is_command() => match run.content() {
                Ok(Content::Command(Command { action: Action::Close | Action::Cancel { .. }, .. })) => {
                    self.changes += 1;
                }
                _ => self.commands += 1,
            },
            Outcome::Applied if run.is_envelope() => match run.content() {
                Ok(Content::Linked(linked)) => {
                    self.linked += 1;
                    self.linked_payments += linked.payments.count() as u64;
                }
                Ok(Content::Opening(opening)) => self.opened += opening.accounts.count() as u64,
                Ok(Content::Attest(attest)) => self.attested += attest.registrations.count() as u64,
                Ok(Content::Revoke(revoke)) => self.revoked += revoke.fingerprints.len() as u64,
                Ok(Content::Rekey(_) | Content::Protect(_) | Content::Recover(_)) => self.changes += 1,
                Ok(Content::Propose(_) | Content::Approve(_)) => self.governance += 1,
                Ok(Content::Reserve(_) | Content::Offer(_)) => self.reserved += 1,
                Ok(Content::Settle(_)) => self.settled += 1,
                Ok(Content::Take(_)) => self.swapped += 1,
                _ => {}
            },
            Outcome::Applied => self.applied += 1,
            // What never left its chain has failed there.
            Outcome::UnknownCredit
            | Outcome::CreditOverflow
            | Outcome::CreditFrozen
            | Outcome::CreditClosed
            | Outcome::ChainClosed
                if cross =>
            {
                *self.refunded.entry(outcome.to_string()).or_default() += 1;
            }
            outcome => *self.failed.entry(outcome.to_string()).or_default() += 1,
        }
    }
}
