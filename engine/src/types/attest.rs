//! What an account says of fingerprints: it registers them, or revokes what it registered, in an envelope.
//!
//! ```text
//! attest    payload   | count (2) | registrations..                                               1 to 1,000
//!           each      | link | form | data bytes (2) | type (4) | fingerprint (32) | earlier (32)? | data? |
//!                     link 0 none, 1 refers to, 2 supersedes: with an earlier fingerprint unless it is 0
//!                     form 0 no data, 1 the data itself, 1 to 1,024 bytes, 2 its SHA-256
//! revoke    payload   | reason (4) | fingerprints (32)..                                          1 to 1,000
//! ```
//!
//! Either all take effect or none, one after the other.

use kernels::sha2::sha256;

use super::attestation::{DataSummary, Link};
use super::packet::{ATTEST_KIND, Body, REVOKE_KIND};
use super::transaction::Malformed;
use super::{AccountId, ChainId, Digest, Fingerprint, Height, PacketRun, Transaction};
use crate::limits::{ATTESTATIONS_MAX, DATA_BYTES_MAX, SIGNATURE_BYTES};

/// Link, form, data bytes, type and fingerprint.
const FIXED_BYTES: usize = 1 + 1 + 2 + 4 + 32;

/// The data that is registered with a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// None.
    None,
    /// The data, 1 to [`DATA_BYTES_MAX`] bytes; opaque to the ledger.
    Inline(&'a [u8]),
    /// The SHA-256 of what is kept elsewhere.
    Hash(Digest),
}

impl Data<'_> {
    /// What the chain remembers of it.
    pub fn summary(&self) -> DataSummary {
        match self {
            Self::None => DataSummary::None,
            Self::Inline(data) => DataSummary::Inline(data.len() as u32, Digest(sha256(data))),
            Self::Hash(hash) => DataSummary::Hash(*hash),
        }
    }
}

/// One fingerprint that is to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// The fingerprint; not a [reserved](Fingerprint::is_reserved) one.
    pub fingerprint: Fingerprint,
    /// What sort of thing has it: the owner's own number.
    pub kind: u32,
    /// How it is tied to an earlier one.
    pub link: Link,
    /// What is registered with it.
    pub data: Data<'a>,
}

impl<'a> Registration<'a> {
    /// Appends the encoding.
    ///
    /// # Errors
    /// [`Malformed`]: no fingerprint, or data that is empty or too long.
    pub fn encode(&self, payload: &mut Vec<u8>) -> Result<(), Malformed> {
        let (form, data): (u8, &[u8]) = match &self.data {
            Data::None => (0, &[]),
            Data::Inline(data) if !data.is_empty() && data.len() <= DATA_BYTES_MAX => (1, data),
            Data::Inline(_) => return Err(Malformed),
            Data::Hash(hash) => (2, &hash.0),
        };
        let earlier = self.link.earlier();
        if self.fingerprint.is_reserved() || earlier.is_some_and(Fingerprint::is_reserved) {
            return Err(Malformed);
        }
        payload.extend_from_slice(&[self.link.code(), form]);
        payload.extend_from_slice(&(data.len() as u16).to_le_bytes());
        payload.extend_from_slice(&self.kind.to_le_bytes());
        payload.extend_from_slice(&self.fingerprint.0);
        payload.extend_from_slice(earlier.as_ref().map_or(&[], |earlier| &earlier.0[..]));
        payload.extend_from_slice(data);
        Ok(())
    }

    /// The first registration of an encoding, and what follows it.
    fn split_first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        let data_bytes = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
        let kind = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let fingerprint = Fingerprint(*fixed.last_chunk()?);
        let (earlier, rest) = match fixed[0] {
            0 => (Fingerprint::NONE, rest),
            _ => rest.split_first_chunk().map(|(earlier, rest)| (Fingerprint(*earlier), rest))?,
        };
        let link = Link::of(fixed[0], earlier)?;
        let (data, rest) = rest.split_at_checked(data_bytes)?;
        let data = match (fixed[1], data_bytes) {
            (0, 0) => Data::None,
            (1, 1..=DATA_BYTES_MAX) => Data::Inline(data),
            (2, 32) => Data::Hash(Digest(*data.first_chunk()?)),
            _ => return None,
        };
        (!fingerprint.is_reserved()).then_some((Self { fingerprint, kind, link, data }, rest))
    }
}

/// Registrations in their encoding, which was read through once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registrations<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> Registrations<'a> {
    /// So many registrations, if the bytes are exactly those.
    pub fn read(count: usize, encoded: &'a [u8]) -> Result<Self, Malformed> {
        let whole = Self { count, encoded };
        let mut rest = encoded;
        for _ in 0..count {
            rest = Registration::split_first(rest).ok_or(Malformed)?.1;
        }
        let fits = rest.is_empty() && (1..=ATTESTATIONS_MAX).contains(&count);
        fits.then_some(whole).ok_or(Malformed)
    }

    /// The registrations, in order.
    pub fn iter(self) -> impl Iterator<Item = Registration<'a>> + use<'a> {
        let mut rest = self.encoded;
        std::iter::from_fn(move || {
            let (first, behind) = Registration::split_first(rest)?;
            rest = behind;
            Some(first)
        })
    }

    /// How many.
    pub fn count(self) -> usize {
        self.count
    }

    /// Bytes of the payload that has them, whether or not they fit into one envelope.
    pub fn payload_bytes(self) -> usize {
        2 + self.encoded.len()
    }
}

/// The fields of an envelope that registers fingerprints, without the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attest<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the owner's key under which it is signed.
    pub key_version: u32,
    /// The owner's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that registers and signs.
    pub owner: AccountId,
    /// What it registers, 1 to [`ATTESTATIONS_MAX`].
    pub registrations: Registrations<'a>,
    /// The owner's number for all of them; used once.
    pub nonce: u64,
    /// The last height at which they may be registered.
    pub expiry: Height,
}

/// The fields of an envelope that revokes attestations, without the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoke<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the owner's key under which it is signed.
    pub key_version: u32,
    /// The owner's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that revokes and signs: it has registered them.
    pub owner: AccountId,
    /// Why: the owner's own number.
    pub reason: u32,
    /// Which ones, 1 to [`ATTESTATIONS_MAX`].
    pub fingerprints: &'a [[u8; 32]],
    /// The owner's number for all of them; used once.
    pub nonce: u64,
    /// The last height at which they may be revoked.
    pub expiry: Height,
}

impl<'a> Attest<'a> {
    /// Bytes of the payload of one registration without a link, with so many bytes of data.
    pub const fn payload_bytes_of_one(data_bytes: usize) -> usize {
        2 + FIXED_BYTES + data_bytes
    }

    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let (count, encoded) = run.payload().split_first_chunk().ok_or(Malformed)?;
        let registrations = Registrations::read(usize::from(u16::from_le_bytes(*count)), encoded)?;
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            owner: run.debit(),
            registrations,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: they do not fit into one envelope.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let count = u16::try_from(self.registrations.count).map_err(|_| Malformed)?;
        let payload = [&count.to_le_bytes(), self.registrations.encoded].concat();
        let body = Body {
            kind: ATTEST_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.owner,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, &payload, sign)
    }
}

impl<'a> Revoke<'a> {
    /// Reads an envelope of this kind.
    pub(super) fn read(run: PacketRun<'a>) -> Result<Self, Malformed> {
        let (reason, encoded) = run.payload().split_first_chunk().ok_or(Malformed)?;
        let (fingerprints, rest) = encoded.as_chunks();
        let reserved = fingerprints.iter().any(|of| Fingerprint(*of).is_reserved());
        if reserved || !rest.is_empty() || !(1..=ATTESTATIONS_MAX).contains(&fingerprints.len()) {
            return Err(Malformed);
        }
        Ok(Self {
            chain: run.chain(),
            key_version: run.key_version(),
            reference: run.reference(),
            owner: run.debit(),
            reason: u32::from_le_bytes(*reason),
            fingerprints,
            nonce: run.nonce(),
            expiry: run.expiry(),
        })
    }

    /// The transaction, signed by `sign`, which is given the message and returns a signature.
    ///
    /// # Errors
    /// [`Malformed`]: no fingerprint, more than [`ATTESTATIONS_MAX`], or a [reserved](Fingerprint::is_reserved) one.
    pub fn sign(
        &self,
        network: &Digest,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Transaction, Malformed> {
        let payload = [&self.reason.to_le_bytes(), self.fingerprints.as_flattened()].concat();
        let body = Body {
            kind: REVOKE_KIND,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.owner,
            credit: 0,
            value: 0,
            nonce: self.nonce,
            expiry: self.expiry,
        };
        Transaction::envelope(network, body, &payload, sign)
    }
}
