//! The finalization certificate of the consensus engine, decoded and checked by hand: commonware simplex with Ed25519.
//!
//! ```text
//! epoch | view | parent view | payload 32     the proposal, which is what is signed; numbers are variable-length
//! #bits 8 | bitmap | #signatures | 64 each    who signed, in the order of the public keys, least bit first
//!
//! message = length of the namespace | "millrace/consensus/1/" network id "_FINALIZE" | proposal
//! ```
//!
//! The tests hold every single-byte change of certificates against commonware's own verdict.

use alloc::vec::Vec;
use core::fmt;

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::genesis::{VALIDATORS_MAX, quorum};

/// Bytes of the largest certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 16 << 10;

const NAMESPACE_START: &[u8] = b"millrace/consensus/1/";
const NAMESPACE_END: &[u8] = b"_FINALIZE";
/// The length of the namespace, which as a variable-length number is one byte.
const NAMESPACE_BYTES: usize = NAMESPACE_START.len() + 32 + NAMESPACE_END.len();
const _: () = assert!(NAMESPACE_BYTES < 0x80);
const _: () =
    assert!(3 * 10 + 32 + 8 + VALIDATORS_MAX / 8 + 5 + VALIDATORS_MAX * 64 <= CERTIFICATE_BYTES_MAX);

/// Why a certificate does not make a header final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// The bytes are not one certificate in its one form.
    Form(FormError),
    /// It is of another epoch than its header.
    Epoch {
        /// Its epoch.
        found: u64,
        /// That of the header.
        expected: u64,
    },
    /// Its view is not above its parent's.
    View {
        /// Its view.
        view: u64,
        /// The view of its parent.
        parent: u64,
    },
    /// It is of a committee of another size.
    Committee {
        /// How many it counts.
        found: u64,
        /// How many validators the epoch has.
        validators: usize,
    },
    /// Too few have signed.
    Quorum {
        /// How many have.
        signed: usize,
        /// How many must.
        quorum: usize,
    },
    /// A signature does not fit the proposal and the validator's key.
    Signature {
        /// The validator's index in the epoch.
        validator: usize,
    },
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => error.fmt(f),
            Self::Epoch { found, expected } => {
                write!(f, "it is of epoch {found}, and the header of epoch {expected}")
            }
            Self::View { view, parent } => write!(f, "its view {view} is not above its parent's, {parent}"),
            Self::Committee { found, validators } => {
                write!(f, "it is of {found} validators, and there are {validators}")
            }
            Self::Quorum { signed, quorum } => write!(f, "{signed} signed it, and a quorum is {quorum}"),
            Self::Signature { validator } => {
                write!(f, "the signature of validator {validator} is not right for this network and proposal")
            }
        }
    }
}

impl core::error::Error for CertificateError {}

/// A certificate, decoded. It is a claim until [`Self::check`] says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The epoch.
    pub epoch: u64,
    /// The view in which the payload was proposed.
    pub view: u64,
    /// The view of its parent.
    pub parent_view: u64,
    /// The digest of the header that is final, with all below it.
    pub payload: Digest,
    /// Who signed: a place for each validator, in the order of the public keys.
    pub signers: Vec<bool>,
    /// The signatures of those who did, in the same order.
    pub signatures: Vec<[u8; 64]>,
}

impl Certificate {
    /// Decodes a certificate.
    ///
    /// # Errors
    /// [`FormError`]: the bytes are not one certificate in its one form.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        let epoch = variable(&mut reader, "epoch of the certificate", u64::BITS)?;
        let view = variable(&mut reader, "view of the certificate", u64::BITS)?;
        let parent_view = variable(&mut reader, "parent view of the certificate", u64::BITS)?;
        let payload = reader.array("payload of the certificate")?;
        let signers = bitmap(&mut reader)?;
        let claimed = variable(&mut reader, "signatures of the certificate", u32::BITS)? as usize;
        let claimed = reader.bounded("signatures of the certificate", claimed, VALIDATORS_MAX, 64)?;
        if claimed == 0 || claimed != signers.iter().filter(|signed| **signed).count() {
            let reason = "there is not one for each that signed";
            return Err(FormError::Invalid { what: "signatures of the certificate", reason });
        }
        let signature = |_| reader.array("signatures of the certificate");
        let signatures = (0..claimed).map(signature).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        Ok(Self { epoch, view, parent_view, payload, signers, signatures })
    }

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.proposal();
        bytes.extend_from_slice(&(self.signers.len() as u64).to_be_bytes());
        for eight in self.signers.chunks(8) {
            bytes.push(eight.iter().rev().fold(0, |byte, signed| byte << 1 | u8::from(*signed)));
        }
        write_variable(&mut bytes, self.signatures.len() as u64);
        bytes.extend_from_slice(self.signatures.as_flattened());
        bytes
    }

    fn proposal(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.epoch, self.view, self.parent_view] {
            write_variable(&mut bytes, number);
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// What each of them signs in the network with this id.
    #[must_use]
    pub fn message(&self, network: &Digest) -> Vec<u8> {
        let mut message = Vec::new();
        message.push(NAMESPACE_BYTES as u8);
        message.extend_from_slice(NAMESPACE_START);
        message.extend_from_slice(network);
        message.extend_from_slice(NAMESPACE_END);
        message.extend_from_slice(&self.proposal());
        message
    }

    /// Whether a quorum of the validators of an epoch of a network, which have these keys, signed it.
    ///
    /// # Errors
    /// [`CertificateError`]: the first thing that is wrong.
    pub fn check(&self, network: &Digest, epoch: u64, keys: &[Digest]) -> Result<(), CertificateError> {
        let validators = keys.len();
        if self.epoch != epoch {
            return Err(CertificateError::Epoch { found: self.epoch, expected: epoch });
        }
        if self.view <= self.parent_view {
            return Err(CertificateError::View { view: self.view, parent: self.parent_view });
        }
        if self.signers.len() != validators {
            return Err(CertificateError::Committee { found: self.signers.len() as u64, validators });
        }
        let (signed, quorum) = (self.signatures.len(), quorum(validators));
        if signed < quorum {
            return Err(CertificateError::Quorum { signed, quorum });
        }
        let mut by_key: Vec<_> = keys.iter().enumerate().collect();
        by_key.sort_unstable_by_key(|(_, key)| **key);
        let signers = by_key.iter().zip(&self.signers).filter(|(_, signed)| **signed);
        let message = self.message(network);
        for (((validator, key), _), signature) in signers.zip(&self.signatures) {
            if !kernels::ed25519::verify(key, &message, signature) {
                return Err(CertificateError::Signature { validator: *validator });
            }
        }
        Ok(())
    }
}

/// A number in groups of seven bits, lowest first; all but the last group have the top bit set. One form for each.
fn variable(reader: &mut Reader<'_>, what: &'static str, bits: u32) -> Result<u64, FormError> {
    let invalid = FormError::Invalid { what, reason: "it is not a variable-length number in its one form" };
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let byte = reader.u8(what)?;
        let left = bits - shift;
        if (byte == 0 && shift > 0) || (left <= 7 && u8::BITS - byte.leading_zeros() > left) {
            return Err(invalid);
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
        // The last group had no top bit: it had at most `left` bits, and at most 7 of them.
        shift += 7;
    }
}

fn write_variable(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn bitmap(reader: &mut Reader<'_>) -> Result<Vec<bool>, FormError> {
    const WHAT: &str = "signers of the certificate";
    let bits = u64::from_be_bytes(reader.array(WHAT)?);
    let bits = usize::try_from(bits).unwrap_or(usize::MAX);
    if bits > VALIDATORS_MAX {
        return Err(FormError::TooMany { what: WHAT, count: bits, max: VALIDATORS_MAX });
    }
    let bytes = reader.take(WHAT, bits.div_ceil(8))?;
    let all = bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    if all.clone().skip(bits).any(|signed| signed) {
        return Err(FormError::Invalid { what: WHAT, reason: "bits beyond the last validator" });
    }
    Ok(all.take(bits).collect())
}
