//! What a validator answers to a client's questions, as JSON on the wire.
//!
//! ```text
//! Query::Account ──> AccountAnswer      account ── path ──> accounts root ───────────┐   and a row, as below
//! Query::Attestation, Row ──> their answers  row ── path ──> table root ─────────────┤
//! Query::Proof   ──> ProofAnswer        transaction ── path ──> transactions root ───┴ chain entry ──> state root
//! Query::Transaction, Block, Status, Feed, AccountsOf, Epochs ──> their answers    anything that fails ──> {"error": …}
//! ```
//!
//! The frame around an answer says which height it speaks of ([`AsOf`](super::AsOf)). Hashes and keys are lower-case
//! hexadecimal. Nothing in here is evidence: the client checks it.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Block, Cursor, Happening, Standing};
use crate::limits::EPOCHS_ANSWERED_MAX;
use crate::roots::{AccountProof, ChainEntry, RowProof, TransactionProof};
use crate::types::{
    AccountId, AccountRecord, ChainId, Digest, Effect, Epoch, Height, Members, Outcome, RulesVersion,
    Sequence, TransactionId, ValidatorIndex, record_key,
};

/// An account as it is under a state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAnswer {
    /// The state root under which the account was read: that of `proof.chain.height`.
    pub state_root: Digest,
    /// The account, and its way to the state root.
    pub proof: AccountProof,
    /// What the chain keeps of it beside its leaf, or that there is nothing, and the way to the same state root; if
    /// that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RowProof>,
}

impl AccountAnswer {
    /// What the chain keeps of the account beside its leaf; `None` where there is no row, or one about something else.
    pub fn record(&self) -> Option<AccountRecord> {
        match self.record.as_ref()?.says(&Digest(record_key(self.proof.account)))? {
            None => Some(AccountRecord::default()),
            Some(value) => AccountRecord::decode(value),
        }
    }
}

/// Which accounts have a public key. Each is to be asked for by itself, with its proof; that there are no others is the
/// validator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsOfAnswer {
    /// They, ascending, at most [`KEY_ACCOUNTS_MAX`](crate::limits::KEY_ACCOUNTS_MAX).
    pub accounts: Vec<AccountId>,
    /// Whether there are more above them.
    pub more: bool,
}

/// What a chain says of a fingerprint under a state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationAnswer {
    /// The state root under which the table was read: that of `proof.chain.height`.
    pub state_root: Digest,
    /// The row of the fingerprint, or the one that shows that there is none, and its way to the state root.
    pub proof: RowProof,
    /// The transaction that registered it, as far as the validator finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionId>,
    /// The data that was registered with it, in hexadecimal, if it stands in that transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// What the table of a chain says of a key under a state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowAnswer {
    /// The state root under which the table was read: that of `proof.chain.height`.
    pub state_root: Digest,
    /// The row of the key, or the one that shows that there is none, and its way to the state root.
    pub proof: RowProof,
}

/// Who validates in the present epoch of a validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersAnswer {
    /// The epoch.
    pub epoch: Epoch,
    /// The last height of the epoch before; 0 in the first one.
    pub begins_after: Height,
    /// The members, in their encoding, in hexadecimal.
    pub members: String,
    /// The place of the validator that answers; none if it only follows.
    pub me: Option<ValidatorIndex>,
}

/// The consent of a validator to members of the next epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentAnswer {
    /// The key with which it votes, 64 hexadecimal digits.
    pub public_key: Digest,
    /// The height at which it consents.
    pub height: Height,
    /// Its signature, 128 hexadecimal digits; none where it does not keep up, is in another
    /// epoch, does not run these rules, or does not vote yet after a loss.
    pub signature: Option<String>,
}

/// Where a transaction is, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionAnswer {
    /// The transaction.
    pub id: TransactionId,
    /// Its chain.
    pub chain: ChainId,
    /// The block that it is in.
    pub height: Height,
    /// Its place among the block's transactions on this chain.
    pub position: u64,
    /// What execution made of it.
    pub outcome: Outcome,
    /// The validator that sealed its batch.
    pub author: ValidatorIndex,
    /// The batch's number in that validator's stream.
    pub sequence: Sequence,
    /// The transaction, in hexadecimal: the 128 bytes of its packet, or of each packet of an envelope.
    pub packet: String,
    /// The first of the accounts that it has opened, where it has; the others follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<AccountId>,
    /// What became of the payment on the other chain, where the outcome is *sent*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<CrossingAnswer>,
}

impl TransactionAnswer {
    /// What became of it in the end; `None` while a payment to another chain is in flight.
    pub fn final_outcome(&self) -> Option<Outcome> {
        match (self.outcome, self.crossing) {
            (Outcome::Sent, None | Some(CrossingAnswer::InFlight)) => None,
            (Outcome::Sent, Some(CrossingAnswer::Credited { .. })) => Some(Outcome::Applied),
            (Outcome::Sent, Some(CrossingAnswer::Refunded { reason, .. })) => Some(reason),
            (outcome, _) => Some(outcome),
        }
    }
}

/// What became of a payment to another chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CrossingAnswer {
    /// It is in flight: the validator has not committed the height that decides it.
    InFlight,
    /// The payee has it.
    Credited {
        /// Since this height.
        height: Height,
    },
    /// The payee could not be credited, and the payer has it back.
    Refunded {
        /// Why.
        reason: Outcome,
        /// The height at which the payee's chain could not credit it.
        returned: Height,
        /// Since when the payer has it back.
        height: Height,
    },
}

/// The proof that a transaction is in a block, with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofAnswer {
    /// The state root of the block's height: that of `proof.chain.height`.
    pub state_root: Digest,
    /// The transaction with its outcome, and its way to the state root.
    pub proof: TransactionProof,
}

/// Some of what happened on a chain, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedAnswer {
    /// What was wanted of it.
    pub events: Vec<FeedEvent>,
    /// Where to go on. All that was wanted below it, from the cursor of the question on, is in `events`; above the
    /// committed height nothing has happened yet.
    pub next: Cursor,
}

/// Something that happened on a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEvent {
    /// Where it is in the feed.
    pub at: Cursor,
    /// What it is.
    #[serde(flatten)]
    pub item: FeedItem,
}

/// What an event of a feed is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeedItem {
    /// A transaction.
    Transaction {
        /// Its id.
        id: TransactionId,
        /// What happened with it.
        #[serde(flatten)]
        happening: Happening,
        /// Its bytes, in hexadecimal: the 128 of its packet, or of each packet of an envelope.
        packet: String,
    },
    /// Something that took effect by itself.
    Effect(Effect),
}

/// How epochs ended, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochsAnswer {
    /// From the epoch that was asked for on, at most [`EPOCHS_ANSWERED_MAX`](crate::limits::EPOCHS_ANSWERED_MAX).
    pub ended: Vec<EpochAnswer>,
    /// Whether more of them have ended.
    pub more: bool,
}

/// The end of an epoch, each part in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochAnswer {
    /// The header of its last block, in its [short form](crate::wire::Block::short).
    pub header: String,
    /// The block itself; empty where the validator is of a release that does not tell it.
    #[serde(default)]
    pub block: String,
    /// The finalization certificate of that block.
    pub certificate: String,
    /// The [validators](crate::types::Members::encode) of the next one.
    pub members: String,
}

impl EpochsAnswer {
    /// The answer from an epoch on, given the last blocks of all that have ended, with their certificates and the
    /// members that followed.
    pub fn from_epoch<'a>(
        from: Epoch,
        all: impl ExactSizeIterator<Item = (&'a Block, &'a [u8], &'a Members)>,
    ) -> Self {
        let skipped = usize::try_from(from.0).unwrap_or(usize::MAX);
        let more = all.len() > skipped.saturating_add(EPOCHS_ANSWERED_MAX);
        let ended = |(block, certificate, members): (&Block, &[u8], &Members)| EpochAnswer {
            header: hex::encode(block.short()),
            block: hex::encode(block.encode()),
            certificate: hex::encode(certificate),
            members: hex::encode(members.encode()),
        };
        Self { ended: all.skip(skipped).take(EPOCHS_ANSWERED_MAX).map(ended).collect(), more }
    }
}

/// A committed block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockAnswer {
    /// Its height.
    pub height: Height,
    /// Its digest, of its [short form](crate::wire::Block::short).
    pub digest: Digest,
    /// The encoded block, in hexadecimal; everything else is read out of it.
    pub block: String,
    /// The finalization certificate in hexadecimal; empty where a later block's certificate covers this one.
    pub certificate: String,
    /// The state root after it.
    pub state_root: Digest,
    /// What the state root commits to, every chain ascending.
    pub entries: Vec<ChainEntry>,
    /// The block's transactions that did not apply.
    pub failures: u64,
}

/// How a validator is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The network id.
    pub network: Digest,
    /// The network's name.
    pub network_name: String,
    /// The validator's place in the present epoch; as many as there are members if it has none.
    pub validator: ValidatorIndex,
    /// The validator's name.
    pub name: String,
    /// The present epoch, and whether the validator is a member of it.
    #[serde(flatten, deserialize_with = "standing_or_unsaid")]
    pub standing: Standing,
    /// The last height whose block is on this validator's disk.
    pub committed: Height,
    /// The last finalized height that it knows.
    pub finalized: Height,
    /// The state root of the committed height.
    pub state_root: Digest,
    /// Whether it does not know how far its own stream goes, and answers its clients *Busy*.
    pub stream_lost: bool,
    /// Whether it follows without voting, because it may have forgotten what it voted for.
    pub votes_forgotten: bool,
    /// The first height whose block and batches its journal has: 1 unless it was pruned.
    pub kept_from: Height,
    /// Bytes that its journal takes on the disk.
    pub journal_bytes: u64,
    /// The peers that it is connected to.
    pub peers: Vec<ValidatorIndex>,
    /// Transactions waiting in its mempools.
    pub pending: u64,
    /// The journal's backend: `uring` or `portable`.
    pub storage: String,
    /// Why it is `portable`, where it was to be `uring` if that can be had.
    #[serde(default)]
    pub storage_fallback: Option<String>,
    /// When its TLS certificate ends, in seconds since the Unix epoch.
    #[serde(default)]
    pub certificate_until: Option<u64>,
    /// The state that it fetches, because it cannot catch up by blocks.
    #[serde(default)]
    pub fetching: Option<FetchingAnswer>,
    /// What it needs and no connected validator keeps.
    #[serde(default)]
    pub missing: Option<MissingAnswer>,
    /// What was read of its disk to find rot.
    #[serde(default)]
    pub scrub: ScrubAnswer,
    /// The rules of the network and of the validator's release; none where that does not say.
    #[serde(default)]
    pub rules: Option<RulesAnswer>,
    /// What an operator is to look at, by [kind](AlarmKind) and then by what it is about.
    #[serde(default)]
    pub alarms: Vec<AlarmAnswer>,
    /// How it checks signatures.
    #[serde(default)]
    pub signatures: SignaturesAnswer,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
}

/// How a validator checks signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignaturesAnswer {
    /// `cpu`, `gpu` or `auto`, as configured; empty where its release does not say.
    pub by: String,
    /// How its device is, where it is to use one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Signatures that a device has accepted since the start.
    #[serde(default)]
    pub accepted_by_device: u64,
    /// The connected validators that use one, ascending.
    #[serde(default)]
    pub others_by_device: Vec<ValidatorIndex>,
}

/// Something that an operator is to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmAnswer {
    /// What it is.
    pub alarm: AlarmKind,
    /// How bad it is.
    pub severity: Severity,
    /// Which validator it is about, where it is not the one that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<ValidatorIndex>,
    /// Since when, in seconds since the Unix epoch.
    pub since: u64,
    /// What is wrong, for a person.
    pub says: String,
    /// That it is not to ring, where an operator has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<SilenceAnswer>,
}

/// Why an alarm does not ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceAnswer {
    /// Until when, in seconds since the Unix epoch.
    pub until: u64,
    /// Why, as the operator has written it.
    pub reason: String,
}

/// How bad an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing stands still yet.
    Warning,
    /// Something stands still, or will with the next loss.
    Critical,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

macro_rules! alarms {
    ($($(#[$doc:meta])* $kind:ident = $name:literal;)*) => {
        /// What an alarm is about. `docs/ALARMS.md` says of each what to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum AlarmKind { $($(#[$doc])* #[serde(rename = $name)] $kind,)* }

        impl AlarmKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Its name, in logs, metrics and pages.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

alarms! {
    /// Fewer validators than a quorum are connected: nothing is committed.
    QuorumLost = "quorum_lost";
    /// As many validators as a quorum are connected: one more loss stops the network.
    QuorumAtEdge = "quorum_at_edge";
    /// A validator is not connected.
    PeerUnreachable = "peer_unreachable";
    /// Transactions wait, and nothing is committed.
    NoCommits = "no_commits";
    /// This validator is behind the others.
    Lagging = "lagging";
    /// It needs blocks that nobody keeps.
    CannotCatchUp = "cannot_catch_up";
    /// It takes no transactions, because it does not know how far its own stream goes.
    StreamLost = "stream_lost";
    /// It does not vote, because it may have forgotten what it voted for.
    VotesForgotten = "votes_forgotten";
    /// Another process uses its identity.
    ClonedIdentity = "cloned_identity";
    /// Its disk fills.
    DiskFills = "disk_fills";
    /// Its machine has little memory left.
    MemoryLow = "memory_low";
    /// Something on its disk cannot be read and is not repaired.
    DiskRots = "disk_rots";
    /// Its disk is not written as it was to be.
    BackendFallback = "backend_fallback";
    /// Its certificate ends, or has ended.
    CertificateEnds = "certificate_ends";
    /// The device that is to check signatures does not.
    DeviceOut = "device_out";
    /// So many validators have signatures checked by a device that a fault of it could decide.
    DevicesDecide = "devices_decide";
}

/// A validator of an earlier release says nothing of it.
fn standing_or_unsaid<'de, D: Deserializer<'de>>(fields: D) -> Result<Standing, D::Error> {
    Ok(Option::<Standing>::deserialize(fields)?.unwrap_or(Standing::UNSAID))
}

/// The rules of a network, and those that the release of a validator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesAnswer {
    /// Those of the present epoch.
    pub present: RulesVersion,
    /// The first ones that the validator runs.
    pub first: RulesVersion,
    /// The last ones that it runs.
    pub last: RulesVersion,
    /// The highest of those later than the present ones that administrators have decided, or proposed and may still
    /// decide.
    #[serde(default)]
    pub proposed: Option<RulesVersion>,
}

/// How far the scrubber of a validator is, which reads everything on its disk in rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScrubAnswer {
    /// Whole rounds since the start.
    pub rounds: u64,
    /// Bytes that were read in this round.
    pub read: u64,
    /// Bytes that it has.
    pub of: u64,
    /// Stretches of journal and vote log that the last round could not read, and that are not repaired.
    pub rotten: u64,
    /// Stretches of the journal that are read from repairs.
    pub repaired: u64,
}

/// How far a validator is with the state that it fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchingAnswer {
    /// The height of the state.
    pub height: Height,
    /// Chunks that are on its disk, of 1 MiB each.
    pub chunks: u32,
    /// All chunks.
    pub of: u32,
    /// Whom it asks at present.
    pub from: Vec<ValidatorIndex>,
}

/// A block that a validator needs and no validator keeps that it is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingAnswer {
    /// The height that it needs next.
    pub height: Height,
    /// The first height that one of them keeps.
    pub kept_from: Height,
    /// Whether it may fetch a state instead.
    pub fetches_states: bool,
}

/// A question that has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: QueryFailure,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryFailure {
    /// Whether asking again could help.
    pub kind: FailureKind,
    /// For a person.
    pub reason: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// There is no such thing in the committed ledger.
    NotFound,
    /// The validator cannot say now.
    Unavailable,
    /// It is older than what the validator keeps. Another one, that keeps more, may say.
    BelowRetention,
}

impl ErrorAnswer {
    /// There is no such thing.
    #[must_use]
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self { error: QueryFailure { kind: FailureKind::NotFound, reason: reason.into() } }
    }

    /// The validator does not keep anything so old.
    #[must_use]
    pub fn below_retention(reason: impl Into<String>) -> Self {
        Self { error: QueryFailure { kind: FailureKind::BelowRetention, reason: reason.into() } }
    }

    /// The validator cannot answer now; the client may ask again later.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { error: QueryFailure { kind: FailureKind::Unavailable, reason: reason.into() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a validator of the release before says it.
    #[test]
    fn a_status_that_says_nothing_of_members_is_that_of_a_member() {
        let zeros = "00".repeat(32);
        let status = format!(
            r#"{{ "network": "{zeros}", "network_name": "mill", "validator": 2, "name": "cedar", "committed": 7,
                 "finalized": 8, "state_root": "{zeros}", "stream_lost": false, "votes_forgotten": false,
                 "kept_from": 1, "journal_bytes": 9, "peers": [0, 1], "pending": 0, "storage": "uring",
                 "uptime_seconds": 3 }}"#
        );
        let status: StatusAnswer = serde_json::from_str(&status).unwrap();
        assert_eq!((status.committed, status.standing), (Height(7), Standing::UNSAID));
        let mut said = serde_json::to_value(&status).unwrap();
        assert_eq!(serde_json::from_value::<StatusAnswer>(said.clone()).unwrap(), status);
        said["role"] = "observer".into();
        let observer: StatusAnswer = serde_json::from_value(said).unwrap();
        assert!(!observer.standing.is_member());
    }
    use crate::types::{Head, RULES_FIRST, member};
    use crate::wire::Header;
    use crate::wire::tests::log;

    /// Each answer has so many ends of epochs, and the next one goes on behind them.
    #[test]
    fn the_ends_of_epochs_are_answered_some_at_a_time() {
        let members = |epoch| Members { epoch: Epoch(epoch), rules: RULES_FIRST, list: vec![member(1)] };
        let ended: Vec<_> =
            (0..20_u64).map(|epoch| (block_of(epoch), vec![epoch as u8], members(epoch + 1))).collect();
        let from = |epoch| {
            let all = ended.iter().map(|(block, certificate, members)| (block, &certificate[..], members));
            EpochsAnswer::from_epoch(Epoch(epoch), all)
        };
        let certificates = |answer: &EpochsAnswer| -> Vec<String> {
            answer.ended.iter().map(|of| of.certificate.clone()).collect()
        };
        let (first, last) = (from(0), from(16));
        assert_eq!((certificates(&first).len(), first.more), (EPOCHS_ANSWERED_MAX, true));
        assert_eq!(
            (certificates(&last), last.more),
            (["10", "11", "12", "13"].map(str::to_owned).to_vec(), false)
        );
        assert_eq!(last.ended[0].header, hex::encode(block_of(16).short()));
        assert_eq!(last.ended[0].block, hex::encode(block_of(16).encode()));
        assert_eq!(last.ended[0].members, hex::encode(members(17).encode()));
        for none in [20, 21, u64::MAX] {
            assert_eq!((from(none).ended.len(), from(none).more), (0, false));
        }
    }

    /// The last block of an epoch.
    fn block_of(epoch: u64) -> Block {
        let header = Header {
            height: Height(epoch + 1),
            epoch: Epoch(epoch),
            view: 1,
            parent: Digest([7; 32]),
            proposer: ValidatorIndex(0),
            time_ms: 1,
            roots_first: Height(0),
            next_members: Digest([9; 32]),
            roots: Vec::new(),
            cut: vec![Head::NONE],
            log: log(epoch + 1),
        };
        Block::new(header).unwrap()
    }
}
