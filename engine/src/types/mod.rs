//! The words of the ledger as types: ids, digests, the packet of a transaction, outcomes and refusals, the genesis.
//!
//! ```text
//! Packet, 128 bytes as received ── one or a run of them ──▶ PacketRun ── content() ──▶ Transfer, Command, Linked, ..
//!                                       │
//!                                       └─ message(network) = network id || body || payload
//!                                          is what is signed, and what the transaction id hashes
//! ```
//!
//! Invariants: a newtype never converts into another one silently; a `Genesis` that exists is valid, and its network id
//! is the hash of its header; a transaction id never depends on the signature.

mod attest;
mod attestation;
mod command;
mod consent;
mod digest;
mod effect;
mod genesis;
mod origin;
mod roles;
mod governance;
mod ids;
mod linked;
mod members;
mod opening;
mod packet;
mod record;
mod rekey;
mod reservation;
mod reserve;
mod rules;
mod flags;
mod transaction;
mod verdict;

pub use attest::{Attest, Data, Registration, Registrations, Revoke};
pub use attestation::{ATTESTATION_BYTES, Attestation, DataSummary, Link, Status};
pub use command::{Action, Command, Frozen};
pub use consent::{Consent, Consents};
pub use digest::{Digest, Fingerprint, NotHex, TransactionId};
pub use effect::{ChangeKind, Effect};
pub use flags::AccountFlags;
pub use genesis::{
    AccountGenesis, ChainGenesis, ChainKind, CryptoSuite, FIRST_KEY_VERSION, Genesis, GenesisError,
    ValidatorGenesis, quorum,
};
pub use governance::{
    ADMINISTRATORS_KEY, Administrators, Approve, BEFORE_PROPOSALS, ChainStatus, Charter, Council, Decision,
    EncodedDecision, NewChain, OWN_CHAIN_KEY, Order, ProposalRecord, Propose, chain_key, chain_of_key,
};
pub use ids::{
    AccountId, Asset, BatchId, ChainId, ChainTime, Epoch, Head, Height, NoAsset, Sequence, ValidatorIndex,
};
pub use linked::{Linked, Payment, Payments};
pub use members::{
    FirstMembers, MEMBERS_KEY, Member, MemberChange, MemberFlaw, Members, MembersRecord, Membership,
    member_key,
};
pub use opening::{NewAccount, NewAccounts, Opening, POSSESSION_MESSAGE_BYTES, possession_message};
pub use origin::Origin;
pub use packet::{
    APPROVE_KIND, ATTEST_KIND, BURN_KIND, CANCEL_KIND, CLOSE_KIND, CROSS_TRANSFER_KIND, ENVELOPE_KIND_MIN,
    FREEZE_KIND, ISSUE_KIND, LINKED_KIND, OFFER_KIND, OPEN_KIND, PROPOSE_KIND, PROTECT_KIND, Packet,
    PacketSlab, RECOVER_KIND, REKEY_KIND, RESERVE_KIND, REVOKE_KIND, SETTLE_KIND, TAKE_KIND, TRANSFER_KIND,
    Transfer,
};
pub use record::{
    AccountRecord, Approval, CLOCK_KEY, Change, LockClock, OldKey, OwnRow, Pending, Safeguards, old_key_key,
    record_key,
};
pub use rekey::{EncodedSafeguards, Protect, Recover, Rekey, new_key_message, recovery_message};
pub use reservation::{ACCOUNT_MAX, NoReservation, Price, Purpose, Reservation, ReservationId};
pub use reserve::{Envelope, Offer, Reserve, Settle, Take, Terms};
pub use roles::{Issuance, LockWindows, Quota, Registrar, Roles};
pub use rules::{RULES_FIRST, RULES_LAST, RULES_TRIAL, RulesVersion, Support, UnsupportedRules};
pub use transaction::{Content, Malformed, PacketRun, Runs, Signed, Transaction};
pub use verdict::{Outcome, Refusal, UnknownCode, Verdict};

#[cfg(test)]
pub(crate) use {consent::tests::consent, members::tests::member, origin::tests::origin};

#[cfg(test)]
mod tests;
