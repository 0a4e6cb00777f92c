//! What a chain of attestations has said of a thing over time, in one file: a proof of the last attestation, and those
//! before it, each of which the one behind it supersedes.
//!
//! ```text
//! proof ──▶ last one: .. | supersedes | history ── must be the hash of ──▶ its registration, history of the one before
//!                             │                                                                          │
//!                             └──▶ the one before: .. | superseded by the one behind it, then | history ◀┘ .. to the first
//! ```
//!
//! Only the last one has a path: the hash chain that ends in it shows the others.

use alloc::vec::Vec;
use core::fmt;

use kernels::sha2::sha256_parts;

use crate::codec::Reader;
use crate::{
    ATTESTATION_BYTES, Attestation, Claim, Digest, Fact, FormError, PROOF_BYTES_MAX, Proof, ProofError,
    Statement, Status, verify,
};

/// More attestations than this are in no file.
pub const HISTORY_MAX: usize = 16_384;
/// No file is longer.
pub const HISTORY_BYTES_MAX: usize = MAGIC.len() + 4 + PROOF_BYTES_MAX + 4 + HISTORY_MAX * ATTESTATION_BYTES;

const MAGIC: &[u8; 18] = b"millrace/history/1";
const REGISTERED: &[u8] = b"millrace/attestation";
const REVOKED: &[u8] = b"millrace/revocation";
const NONE: Digest = [0; 32];

/// Where the value of a row has what can change after the registration, and the history.
const STATUS: usize = 0;
const REASON: core::ops::Range<usize> = 12..16;
const ENDED: core::ops::Range<usize> = 32..40;
const LATER: core::ops::Range<usize> = 104..136;
const HISTORY: core::ops::Range<usize> = 136..ATTESTATION_BYTES;

/// A file with a history, decoded. It is a claim until [`verify_history`] says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// An encoded proof of the last attestation.
    pub proof: Vec<u8>,
    /// The values of the rows of those before it, the last one first.
    pub earlier: Vec<[u8; ATTESTATION_BYTES]>,
}

/// What is proved of a history. Only [`verify_history`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvedHistory {
    /// What the chain says of the last attestation, [`Fact::Attestation`].
    pub last: Statement,
    /// The fingerprints and attestations before it, the last one first. Each says at which height the one behind it
    /// superseded it.
    pub earlier: Vec<(Digest, Attestation)>,
}

/// The first thing that is wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// The bytes are not one history in its one form.
    Form(FormError),
    /// The proof does not hold.
    Proof(ProofError),
    /// The proof holds and speaks of something else than an attestation.
    OtherFact,
    /// An attestation is not superseded by the one behind it; counted from 1, the last one before that of the proof.
    NotSuperseded(usize),
    /// The history of an attestation is not that of what was registered and of the one before; 0 is that of the proof.
    Broken(usize),
    /// The first one that is named supersedes another one, which is missing.
    Missing,
    /// There are more than those that the last one leads to.
    TooMany,
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(f, "the history cannot be read: {error}"),
            Self::Proof(error) => error.fmt(f),
            Self::OtherFact => f.write_str("its proof does not speak of an attestation"),
            Self::NotSuperseded(number) => {
                write!(f, "attestation {number} before the last one is not superseded by the one behind it")
            }
            Self::Broken(number) => {
                write!(f, "the hash chain does not hold at attestation {number} before the last one")
            }
            Self::Missing => f.write_str("the first attestation supersedes one that is missing"),
            Self::TooMany => f.write_str("it has attestations to which the last one does not lead"),
        }
    }
}

impl core::error::Error for HistoryError {}

impl From<FormError> for HistoryError {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

impl From<ProofError> for HistoryError {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

impl History {
    /// Whether bytes begin as a history does, and not as a [`Proof`].
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// The encoding.
    ///
    /// # Errors
    /// [`FormError`]: it is longer than any history may be.
    pub fn encode(&self) -> Result<Vec<u8>, FormError> {
        let too_many = |what, count, max| Err(FormError::TooMany { what, count, max });
        if self.proof.len() > PROOF_BYTES_MAX {
            return too_many("bytes of the proof", self.proof.len(), PROOF_BYTES_MAX);
        }
        if self.earlier.len() > HISTORY_MAX {
            return too_many("earlier attestations", self.earlier.len(), HISTORY_MAX);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(self.proof.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.proof);
        bytes.extend_from_slice(&(self.earlier.len() as u32).to_le_bytes());
        self.earlier.iter().for_each(|value| bytes.extend_from_slice(value));
        Ok(bytes)
    }

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// [`FormError`]: the bytes are not one history in its one form.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        if reader.take("beginning of the history", MAGIC.len())? != MAGIC {
            let (what, reason) = ("beginning of the history", "it is not of version 1");
            return Err(FormError::Invalid { what, reason });
        }
        let length = reader.u32("bytes of the proof")? as usize;
        let length = reader.bounded("bytes of the proof", length, PROOF_BYTES_MAX, 1)?;
        let proof = reader.take("proof", length)?.to_vec();
        let count = reader.u32("number of earlier attestations")? as usize;
        let count = reader.bounded("earlier attestations", count, HISTORY_MAX, ATTESTATION_BYTES)?;
        let earlier =
            (0..count).map(|_| reader.array("earlier attestation")).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        Ok(Self { proof, earlier })
    }
}

/// Checks the bytes of a history against the bytes of a genesis header, and says what is proved.
///
/// # Errors
/// [`HistoryError`]: the first thing that is wrong.
pub fn verify_history(bytes: &[u8], genesis_header: &[u8]) -> Result<ProvedHistory, HistoryError> {
    let History { proof, earlier } = History::decode(bytes)?;
    let last = verify(&proof, genesis_header)?;
    let Fact::Attestation { fingerprint, attestation } = last.fact else {
        return Err(HistoryError::OtherFact);
    };
    let Claim::Row { row, .. } = Proof::decode(&proof)?.claim else { return Err(HistoryError::OtherFact) };
    let value: [u8; ATTESTATION_BYTES] = row.value.try_into().map_err(|_| HistoryError::OtherFact)?;

    let mut proved = Vec::with_capacity(earlier.len());
    let mut behind = (fingerprint, attestation, value);
    for (number, value) in (1..).zip(earlier) {
        let Some(fingerprint) = behind.1.supersedes else { return Err(HistoryError::TooMany) };
        let attestation = Attestation::decode(&value)?;
        if attestation.status != (Status::Superseded { at: behind.1.registered, by: behind.0 }) {
            return Err(HistoryError::NotSuperseded(number));
        }
        if !follows(&behind, &attestation.history) {
            return Err(HistoryError::Broken(number - 1));
        }
        proved.push((fingerprint, attestation));
        behind = (fingerprint, attestation, value);
    }
    if behind.1.supersedes.is_some() {
        return Err(HistoryError::Missing);
    }
    match follows(&behind, &NONE) {
        true => Ok(ProvedHistory { last, earlier: proved }),
        false => Err(HistoryError::Broken(proved.len())),
    }
}

/// Whether the history of an attestation is that of its registration behind another history, and of its revocation.
fn follows(
    (fingerprint, attestation, value): &(Digest, Attestation, [u8; ATTESTATION_BYTES]),
    before: &Digest,
) -> bool {
    let mut registered = *value;
    registered[STATUS] = 0;
    registered[REASON].fill(0);
    registered[ENDED].fill(0);
    registered[LATER].fill(0);
    registered[HISTORY].copy_from_slice(before);
    let history = sha256_parts(&[REGISTERED, fingerprint, &registered]);
    let history = match attestation.status {
        Status::Revoked { at, reason } => {
            sha256_parts(&[REVOKED, &history, &reason.to_le_bytes(), &at.to_le_bytes()])
        }
        Status::InForce | Status::Superseded { .. } => history,
    };
    history == attestation.history
}
