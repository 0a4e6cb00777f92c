//! How the validators changed: each set has made final the block that names the next one.
//!
//! ```text
//! validators of the genesis ── a quorum signed ──▶ last block of epoch 0 ── next members ──▶ validators of epoch 1 ── ..
//! ```

use alloc::vec::Vec;
use core::fmt;

use crate::certificate::CERTIFICATE_BYTES_MAX;
use crate::codec::{FormError, Reader, count};
use crate::member::MEMBER_SET_BYTES_MAX;
use crate::{Certificate, CertificateError, Digest, Genesis, Header, MemberSet, ProofError};

/// Changes of the validators that one proof can span.
pub const EPOCH_CHANGES_MAX: usize = 1_024;
/// Bytes of all of them together: room for 300 of the largest sets, and for the most changes of up to 50 validators.
pub(crate) const EPOCH_CHANGES_BYTES_MAX: usize = 16 << 20;

/// The end of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochChange {
    /// The last block of the epoch.
    pub header: Header,
    /// Its finalization certificate, by the validators of that epoch.
    pub certificate: Vec<u8>,
    /// The validators of the next one.
    pub members: MemberSet,
}

/// Why the end of an epoch does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochChangeError {
    /// Its block is of another epoch.
    Epoch(u64),
    /// Its block is not above that of the change before.
    Height(u64),
    /// The members are not of the next epoch.
    MembersEpoch(u64),
    /// The members do not have the digest that the header names.
    Members,
    /// The certificate is for another block.
    OtherBlock,
    /// The certificate does not hold.
    Certificate(CertificateError),
}

impl fmt::Display for EpochChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(epoch) => write!(f, "its last block is of epoch {epoch}"),
            Self::Height(height) => {
                write!(f, "its last block, of height {height}, is not above that of the epoch before")
            }
            Self::MembersEpoch(epoch) => write!(f, "the members that follow are of epoch {epoch}"),
            Self::Members => f.write_str("the members that follow are others than its last block names"),
            Self::OtherBlock => f.write_str("the certificate is for another block than its last one"),
            Self::Certificate(error) => write!(f, "the certificate of its last block does not hold: {error}"),
        }
    }
}

impl EpochChange {
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), FormError> {
        let Self { header, certificate, members } = self;
        bytes.extend_from_slice(&header.encode());
        let length: u16 = count("certificate", certificate.len(), CERTIFICATE_BYTES_MAX)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(certificate);
        let members = members.encode();
        let length: u16 = count("members", members.len(), MEMBER_SET_BYTES_MAX)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&members);
        Ok(())
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let header = Header::read(reader)?;
        let length = usize::from(reader.u16("certificate")?);
        let length = reader.bounded("certificate", length, CERTIFICATE_BYTES_MAX, 1)?;
        let certificate = Vec::from(reader.take("certificate", length)?);
        let length = usize::from(reader.u16("members")?);
        let length = reader.bounded("members", length, MEMBER_SET_BYTES_MAX, 1)?;
        let members = MemberSet::decode(reader.take("members", length)?)?;
        Ok(Self { header, certificate, members })
    }

    /// Whether the validators of this epoch, which have these keys, have made it final above a height.
    fn check(
        &self,
        network: &Digest,
        epoch: u64,
        (keys, above): (&[Digest], u64),
    ) -> Result<(), EpochChangeError> {
        let Self { header, certificate, members } = self;
        if header.epoch != epoch {
            return Err(EpochChangeError::Epoch(header.epoch));
        }
        if header.height <= above {
            return Err(EpochChangeError::Height(header.height));
        }
        if epoch.checked_add(1) != Some(members.epoch) {
            return Err(EpochChangeError::MembersEpoch(members.epoch));
        }
        if header.next_members != members.digest() {
            return Err(EpochChangeError::Members);
        }
        let certificate = Certificate::decode(certificate).map_err(CertificateError::Form);
        let certificate = certificate.map_err(EpochChangeError::Certificate)?;
        if certificate.payload != header.digest() {
            return Err(EpochChangeError::OtherBlock);
        }
        certificate.check(network, epoch, keys).map_err(EpochChangeError::Certificate)
    }
}

/// The keys of the validators behind these changes, by their places, if each of them follows from the one before; and
/// the height of the last one, 0 if there is none.
///
/// # Errors
/// [`ProofError::FixedMembers`] and [`ProofError::EpochChange`].
pub fn validators_after(
    genesis: &Genesis,
    changes: &[EpochChange],
) -> Result<(Vec<Digest>, u64), ProofError> {
    if !genesis.members_are_decided && !changes.is_empty() {
        return Err(ProofError::FixedMembers);
    }
    let mut keys: Vec<Digest> = genesis.validators.iter().map(|validator| validator.key).collect();
    let mut height = 0;
    for (epoch, change) in (0..).zip(changes) {
        let checked = change.check(&genesis.network, epoch, (&keys, height));
        checked.map_err(|error| ProofError::EpochChange { epoch, error })?;
        (keys, height) = (change.members.keys(), change.header.height);
    }
    Ok((keys, height))
}
