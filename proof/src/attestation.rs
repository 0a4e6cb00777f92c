//! A row of the table of a chain of attestations: what the chain says of a fingerprint.

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::row::is_reserved;

/// Bytes of an attestation in its row.
pub const ATTESTATION_BYTES: usize = 168;

const NONE: Digest = [0; 32];

/// Whether an attestation is what its owner says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is.
    InForce,
    /// Its owner has registered another fingerprint in its place.
    Superseded {
        /// The height.
        at: u64,
        /// The other one.
        by: Digest,
    },
    /// Its owner has revoked it.
    Revoked {
        /// The height.
        at: u64,
        /// Why: the owner's own number.
        reason: u32,
    },
}

/// What a chain says of a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Whether it is in force.
    pub status: Status,
    /// The account that registered it.
    pub owner: u64,
    /// The height at which it was registered.
    pub registered: u64,
    /// What sort of thing has the fingerprint: the owner's own number.
    pub kind: u32,
    /// The fingerprint whose place it takes.
    pub supersedes: Option<Digest>,
    /// A fingerprint that it names, of any owner.
    pub refers_to: Option<Digest>,
    /// The SHA-256 of the data that was registered with it.
    pub data_hash: Option<Digest>,
    /// Bytes of that data, where it stands in the transaction; else 0.
    pub data_bytes: u32,
    /// The end of the hash chain over what was registered, superseded and revoked.
    pub history: Digest,
}

impl Attestation {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: the bytes are not one attestation in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let invalid = |what, reason| FormError::Invalid { what, reason };
        let [status, link, form, zero] = reader.array("status of the attestation")?;
        let kind = reader.u32("type of the attestation")?;
        let data_bytes = reader.u32("data of the attestation")?;
        let reason = reader.u32("reason of the revocation")?;
        let owner = reader.u64("owner of the attestation")?;
        let registered = reader.u64("height of the registration")?;
        let ended = reader.u64("height of the end")?;
        let data_hash: Digest = reader.array("data of the attestation")?;
        let earlier: Digest = reader.array("earlier fingerprint")?;
        let later: Digest = reader.array("later fingerprint")?;
        let history = reader.array("history of the attestation")?;
        reader.finish()?;
        if zero != 0 {
            return Err(invalid("status of the attestation", "a byte that must be 0 is not"));
        }
        let status = match (status, ended, later == NONE, reason) {
            (0, 0, true, 0) => Status::InForce,
            (1, at, false, 0) => Status::Superseded { at, by: later },
            (2, at, true, reason) => Status::Revoked { at, reason },
            _ => return Err(invalid("status of the attestation", "it does not fit to the other fields")),
        };
        let (refers_to, supersedes) = match (link, is_reserved(&earlier)) {
            (0, _) if earlier == NONE => (None, None),
            (1, false) => (Some(earlier), None),
            (2, false) => (None, Some(earlier)),
            _ => {
                return Err(invalid("link of the attestation", "it does not fit to the earlier fingerprint"));
            }
        };
        let data_hash = match (form, data_bytes, data_hash == NONE) {
            (0, 0, true) => None,
            (1, 1.., _) | (2, 0, _) => Some(data_hash),
            _ => return Err(invalid("data of the attestation", "its form does not fit to its length")),
        };
        Ok(Self { status, owner, registered, kind, supersedes, refers_to, data_hash, data_bytes, history })
    }
}
