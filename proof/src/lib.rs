//! Proofs that a stranger checks with nothing but the header of a genesis: no network, no files, no `std`.
//!
//! ```text
//! account, row, transaction ── path ──▶ entry of its chain ── path ──▶ state root ── path ──▶ header
//!                                                                              path in the log │
//! validators of the genesis header ── over each change of them ──▶ a quorum signed ──▶ certificate ── payload ──▶ later header
//! ```
//!
//! [`verify`] takes the bytes of a proof and of a genesis header and says what is proved, or the first thing that is
//! wrong; [`verify_history`] does the same for an attestation and all that it supersedes. [`Proof`] and [`History`] are
//! the formats, for those who make one. `docs/PROOFS.md` has both formats byte by byte.
//!
//! Invariants:
//! - a [`Statement`] comes only out of a proof that holds;
//! - every length is compared with its bound and with the bytes that are left before anything is allocated, no byte may
//!   be left over, and what is accepted is encoded to the same bytes again;
//! - every byte counts: another byte is another statement or none, and what is evidence cannot be changed at all. The
//!   one thing that is not evidence is the transaction or key of which an absence speaks: it is the question;
//! - nothing here panics on any input.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate self as proof;
#[cfg(test)]
extern crate std;

mod codec;
mod genesis;
mod entry;
mod leaf;
mod row;
mod attestation;
mod charter;
mod council;
mod member;
mod record;
mod reservation;
mod header;
mod certificate;
mod epoch;
mod format;
mod statement;
mod error;
mod verify;
mod history;

pub use attestation::{ATTESTATION_BYTES, Attestation, Status};
pub use certificate::{CERTIFICATE_BYTES_MAX, Certificate, CertificateError};
pub use charter::Charter;
pub use codec::FormError;
pub use council::{Administrators, Council, Decision, NewChain, Proposal};
pub use entry::{ChainStatus, ENTRY_BYTES, Entry, Tree};
pub use epoch::{EPOCH_CHANGES_MAX, EpochChange, EpochChangeError, validators_after};
pub use error::ProofError;
pub use format::{Claim, Finality, LOG_PATH_MAX, Later, PATH_MAX, PROOF_BYTES_MAX, Proof};
pub use genesis::{ANYONE, Chain, ChainKind, GENESIS_HEADER_BYTES_MAX, Genesis, Roles, Validator};
pub use header::{HEADER_BYTES, Header};
pub use history::{HISTORY_BYTES_MAX, HISTORY_MAX, History, HistoryError, ProvedHistory, verify_history};
pub use leaf::{ACCOUNT_BYTES, Account, BODY_BYTES, Payment, Unexecuted, kind_name, outcome_name};
pub use member::{Member, MemberChange, MemberSet, MembersRecord};
pub use record::{AccountRecord, Approval, Change, OldKey, Pending, Safeguards};
pub use reservation::{Purpose, Reservation};
pub use row::{ADMINISTRATORS_KEY, CHARTER_KEY, MEMBERS_KEY, ROW_VALUE_BYTES_MAX, Row, member_key};
pub use statement::{Fact, Statement};
pub use verify::verify;

/// SHA-256, or a key.
pub type Digest = [u8; 32];

#[cfg(test)]
mod tests;
