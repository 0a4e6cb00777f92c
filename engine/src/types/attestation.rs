//! An attestation: what a chain says of a fingerprint that an account has registered.
//!
//! ```text
//! 0        1      2      3   4      8            12       16      24           32      40          72        104
//! 136
//! | status | link | form | 0 | type | data bytes | reason | owner | registered | ended | data hash | earlier | later |
//! history |
//! ```
//!
//! The *history* is a hash chain: it covers what was registered, the history of the attestation that this one
//! supersedes, and a revocation. So the history of the last one stands for all before it.

use kernels::sha2::sha256_parts;

use super::{AccountId, Digest, Fingerprint, Height};
use crate::limits::ROW_VALUE_BYTES_MAX;

/// Bytes of [`Attestation::encode`].
pub const ATTESTATION_BYTES: usize = 168;

const _: () = assert!(ATTESTATION_BYTES <= ROW_VALUE_BYTES_MAX);

const REGISTERED: &[u8; 20] = b"millrace/attestation";
const REVOKED: &[u8; 19] = b"millrace/revocation";

/// Whether an attestation is what its owner says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It is.
    InForce = 0,
    /// Its owner has registered another one in its place.
    Superseded = 1,
    /// Its owner has revoked it.
    Revoked = 2,
}

impl Status {
    /// What to call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
        }
    }
}

/// How an attestation is tied to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not at all.
    None,
    /// It refers to one of anybody, which stays as it is.
    RefersTo(Fingerprint),
    /// It takes the place of one of the same owner.
    Supersedes(Fingerprint),
}

impl Link {
    /// The earlier one.
    pub fn earlier(self) -> Option<Fingerprint> {
        match self {
            Self::None => None,
            Self::RefersTo(earlier) | Self::Supersedes(earlier) => Some(earlier),
        }
    }

    /// The one that it refers to.
    pub fn refers_to(self) -> Option<Fingerprint> {
        match self {
            Self::RefersTo(earlier) => Some(earlier),
            Self::None | Self::Supersedes(_) => None,
        }
    }

    /// The one whose place it takes.
    pub fn supersedes(self) -> Option<Fingerprint> {
        match self {
            Self::Supersedes(earlier) => Some(earlier),
            Self::None | Self::RefersTo(_) => None,
        }
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::RefersTo(_) => 1,
            Self::Supersedes(_) => 2,
        }
    }

    pub(super) fn of(code: u8, earlier: Fingerprint) -> Option<Self> {
        match code {
            0 if earlier == Fingerprint::NONE => Some(Self::None),
            1 if !earlier.is_reserved() => Some(Self::RefersTo(earlier)),
            2 if !earlier.is_reserved() => Some(Self::Supersedes(earlier)),
            _ => None,
        }
    }
}

/// What is known of the data that was registered with a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSummary {
    /// There was none.
    None,
    /// It stands in the transaction: its length in bytes, and its SHA-256.
    Inline(u32, Digest),
    /// Its SHA-256 was registered instead of it.
    Hash(Digest),
}

impl DataSummary {
    /// The SHA-256 of the data, if there is some.
    pub fn hash(self) -> Option<Digest> {
        match self {
            Self::None => None,
            Self::Inline(_, hash) | Self::Hash(hash) => Some(hash),
        }
    }

    fn fields(self) -> (u8, u32, Digest) {
        match self {
            Self::None => (0, 0, Digest::default()),
            Self::Inline(bytes, hash) => (1, bytes, hash),
            Self::Hash(hash) => (2, 0, hash),
        }
    }

    fn of((form, bytes, hash): (u8, u32, Digest)) -> Option<Self> {
        match form {
            0 if bytes == 0 && hash == Digest::default() => Some(Self::None),
            1 if bytes > 0 => Some(Self::Inline(bytes, hash)),
            2 if bytes == 0 => Some(Self::Hash(hash)),
            _ => None,
        }
    }
}

/// What a chain says of a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Whether it is in force.
    pub status: Status,
    /// How it is tied to an earlier one.
    pub link: Link,
    /// What sort of thing has the fingerprint: the owner's own number.
    pub kind: u32,
    /// Why it was revoked: the owner's own number; 0 unless it was.
    pub reason: u32,
    /// The account that registered it.
    pub owner: AccountId,
    /// The height at which it was registered.
    pub registered: Height,
    /// The height at which it was superseded or revoked; 0 while it is in force.
    pub ended: Height,
    /// The data that was registered with it.
    pub data: DataSummary,
    /// The one that supersedes it, or [`Fingerprint::NONE`].
    pub later: Fingerprint,
    /// The end of its hash chain.
    pub history: Digest,
}

impl Attestation {
    /// One that is registered at a height. `before` is the history of the one that it supersedes.
    pub fn register(
        fingerprint: &Fingerprint,
        (owner, registered): (AccountId, Height),
        (kind, link, data): (u32, Link, DataSummary),
        before: Digest,
    ) -> Self {
        let mut attestation = Self {
            status: Status::InForce,
            link,
            kind,
            reason: 0,
            owner,
            registered,
            ended: Height(0),
            data,
            later: Fingerprint::NONE,
            history: before,
        };
        // Everything that was registered, as it is encoded: the history before it is at the end.
        let said = attestation.encode();
        attestation.history = Digest(sha256_parts(&[REGISTERED, &fingerprint.0, &said]));
        attestation
    }

    /// The same, revoked at a height.
    #[must_use]
    pub fn revoked(self, reason: u32, at: Height) -> Self {
        let parts: [&[u8]; 4] = [REVOKED, &self.history.0, &reason.to_le_bytes(), &at.0.to_le_bytes()];
        let history = Digest(sha256_parts(&parts));
        Self { status: Status::Revoked, reason, ended: at, history, ..self }
    }

    /// The same, superseded at a height.
    #[must_use]
    pub fn superseded(self, later: Fingerprint, at: Height) -> Self {
        Self { status: Status::Superseded, ended: at, later, ..self }
    }

    /// Whether its history is that of what it says, after `before`, the history of the one that it supersedes.
    pub fn follows(&self, fingerprint: &Fingerprint, before: Digest) -> bool {
        let said = (self.kind, self.link, self.data);
        let registered = Self::register(fingerprint, (self.owner, self.registered), said, before);
        match self.status {
            Status::Revoked => registered.revoked(self.reason, self.ended).history == self.history,
            Status::InForce | Status::Superseded => registered.history == self.history,
        }
    }

    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> [u8; ATTESTATION_BYTES] {
        let (form, data_bytes, data_hash) = self.data.fields();
        let earlier = self.link.earlier().unwrap_or(Fingerprint::NONE);
        let mut bytes = [0; ATTESTATION_BYTES];
        bytes[0..3].copy_from_slice(&[self.status as u8, self.link.code(), form]);
        bytes[4..8].copy_from_slice(&self.kind.to_le_bytes());
        bytes[8..12].copy_from_slice(&data_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.reason.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.owner.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.registered.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.ended.0.to_le_bytes());
        bytes[40..72].copy_from_slice(&data_hash.0);
        bytes[72..104].copy_from_slice(&earlier.0);
        bytes[104..136].copy_from_slice(&self.later.0);
        bytes[136..].copy_from_slice(&self.history.0);
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ATTESTATION_BYTES] = bytes.try_into().ok()?;
        let small = |at: usize| bytes[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let number = |at: usize| bytes[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let hash = |at: usize| bytes[at..].first_chunk().copied();
        let (reason, ended, later) = (small(12)?, Height(number(32)?), Fingerprint(hash(104)?));
        let status = match (bytes[0], ended.0, later == Fingerprint::NONE, reason) {
            (0, 0, true, 0) => Status::InForce,
            (1, _, false, 0) => Status::Superseded,
            (2, _, true, _) => Status::Revoked,
            _ => return None,
        };
        if bytes[3] != 0 {
            return None;
        }
        Some(Self {
            status,
            link: Link::of(bytes[1], Fingerprint(hash(72)?))?,
            kind: small(4)?,
            reason,
            owner: AccountId(number(16)?),
            registered: Height(number(24)?),
            ended,
            data: DataSummary::of((bytes[2], small(8)?, Digest(hash(40)?)))?,
            later,
            history: Digest(hash(136)?),
        })
    }
}
