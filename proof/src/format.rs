//! The bytes of a proof.
//!
//! ```text
//! magic | network | #epoch changes = 0 | kind | claim | path
//!       | height | #chains | path | place | entry | path                   up to the state root
//!       | #headers | headers.. | #certificate bytes | certificate          up to the validators
//! path = #siblings | siblings..      other places and sizes follow from the claim and the entry
//! ```

use alloc::vec::Vec;

use crate::attestation::{ROW_VALUE_BYTES_MAX, Row};
use crate::certificate::CERTIFICATE_BYTES_MAX;
use crate::codec::{FormError, Reader, count};
use crate::entry::{ENTRY_BYTES, Entry};
use crate::header::{HEADER_BYTES_MAX, Header};
use crate::leaf::{ACCOUNT_BYTES, Account, BODY_BYTES};
use crate::{Digest, ProofError};

/// Siblings of one path: enough for 2^32 leaves.
pub const PATH_MAX: usize = 32;
/// Headers from the one that carries the state root up to the one that the certificate names.
pub const HEADERS_MAX: usize = 64;
/// Bytes of the largest proof.
pub const PROOF_BYTES_MAX: usize = MAGIC.len()
    + 32
    + 2
    + 1
    + CLAIM_BYTES_MAX
    + 8
    + 4
    + 4
    + ENTRY_BYTES
    + 3 * PATH_BYTES_MAX
    + 1
    + HEADERS_MAX * HEADER_BYTES_MAX
    + 2
    + CERTIFICATE_BYTES_MAX;

/// Bytes of the largest claim: fingerprint, place, keys and value of a row.
const CLAIM_BYTES_MAX: usize = 32 + 8 + 32 + 32 + 2 + ROW_VALUE_BYTES_MAX;
const _: () = assert!(CLAIM_BYTES_MAX >= BODY_BYTES + ACCOUNT_BYTES);
const PATH_BYTES_MAX: usize = 1 + PATH_MAX * 32;
const MAGIC: &[u8; 16] = b"millrace/proof/6";
const ACCOUNT: u8 = 1;
const TRANSACTION: u8 = 2;
const UNSPENT: u8 = 3;
const ROW: u8 = 4;

/// What is to be proved, with its path to a root of the chain's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// An account is so after the height.
    Account {
        /// The account.
        account: Account,
        /// From its leaf to the accounts root.
        path: Vec<Digest>,
    },
    /// A transaction is in the block at the height.
    Transaction {
        /// Its id.
        id: Digest,
        /// The code of its outcome.
        outcome: u8,
        /// Its place among the block's transactions on the chain.
        position: u64,
        /// From its leaf to the transactions root.
        path: Vec<Digest>,
    },
    /// A transfer can never execute any more: its expiry has passed and its nonce is unspent.
    Unspent {
        /// Its signed bytes.
        body: [u8; BODY_BYTES],
        /// The account that would pay.
        account: Account,
        /// From that account's leaf to the accounts root.
        path: Vec<Digest>,
    },
    /// A row of the chain's table says what there is of a fingerprint: its own, or the one that shows that there is
    /// none. Or what the chain is: then the fingerprint is [`CHARTER_KEY`](crate::CHARTER_KEY).
    Row {
        /// The fingerprint.
        fingerprint: Digest,
        /// The place of the row.
        position: u64,
        /// The row; its value has at most [`ROW_VALUE_BYTES_MAX`].
        row: Row,
        /// From its leaf to the table root.
        path: Vec<Digest>,
    },
}

/// A proof, decoded. It is a claim until [`verify`](crate::verify()) says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The network id.
    pub network: Digest,
    /// What is to be proved.
    pub claim: Claim,
    /// The height of the state root.
    pub height: u64,
    /// How many chains there are then.
    pub chains: u32,
    /// From the leaf of the height to the state root.
    pub height_path: Vec<Digest>,
    /// Which of the chains this is, in the order of their ids.
    pub place: u32,
    /// What the state root says of the chain.
    pub entry: Entry,
    /// From the leaf of the entry to the state root.
    pub entry_path: Vec<Digest>,
    /// The header that carries the state root, and those above it up to the one that the certificate names.
    pub headers: Vec<Header>,
    /// A finalization certificate.
    pub certificate: Vec<u8>,
}

impl Proof {
    /// The bytes.
    ///
    /// # Errors
    /// [`FormError::TooMany`]: something is longer than the format has room for.
    pub fn encode(&self) -> Result<Vec<u8>, FormError> {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.network);
        bytes.extend_from_slice(&0_u16.to_le_bytes());
        match &self.claim {
            Claim::Account { account, path } => {
                bytes.push(ACCOUNT);
                bytes.extend_from_slice(&account.encode());
                write_path(&mut bytes, path)?;
            }
            Claim::Transaction { id, outcome, position, path } => {
                bytes.push(TRANSACTION);
                bytes.extend_from_slice(id);
                bytes.push(*outcome);
                bytes.extend_from_slice(&position.to_le_bytes());
                write_path(&mut bytes, path)?;
            }
            Claim::Unspent { body, account, path } => {
                bytes.push(UNSPENT);
                bytes.extend_from_slice(body);
                bytes.extend_from_slice(&account.encode());
                write_path(&mut bytes, path)?;
            }
            Claim::Row { fingerprint, position, row: Row { key, next, value }, path } => {
                bytes.push(ROW);
                bytes.extend_from_slice(fingerprint);
                bytes.extend_from_slice(&position.to_le_bytes());
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(next);
                let length: u16 = count("value of the row", value.len(), ROW_VALUE_BYTES_MAX)?;
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(value);
                write_path(&mut bytes, path)?;
            }
        }
        bytes.extend_from_slice(&self.height.to_le_bytes());
        bytes.extend_from_slice(&self.chains.to_le_bytes());
        write_path(&mut bytes, &self.height_path)?;
        bytes.extend_from_slice(&self.place.to_le_bytes());
        bytes.extend_from_slice(&self.entry.encode());
        write_path(&mut bytes, &self.entry_path)?;
        bytes.push(count("headers", self.headers.len(), HEADERS_MAX)?);
        for header in &self.headers {
            header.encode(&mut bytes)?;
        }
        let length: u16 = count("certificate", self.certificate.len(), CERTIFICATE_BYTES_MAX)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.certificate);
        Ok(bytes)
    }

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// [`ProofError`] says what the bytes are instead.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLong(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        if reader.array("magic").is_ok_and(|magic: [u8; MAGIC.len()]| magic != *MAGIC) {
            return Err(ProofError::Magic);
        }
        let network = reader.array("network id")?;
        match reader.u16("epoch changes")? {
            0 => {}
            changes => return Err(ProofError::EpochChanges(changes)),
        }
        let claim = match reader.u8("kind")? {
            ACCOUNT => Claim::Account { account: Account::read(&mut reader)?, path: read_path(&mut reader)? },
            TRANSACTION => Claim::Transaction {
                id: reader.array("transaction id")?,
                outcome: reader.u8("outcome")?,
                position: reader.u64("position")?,
                path: read_path(&mut reader)?,
            },
            UNSPENT => Claim::Unspent {
                body: reader.array("transfer")?,
                account: Account::read(&mut reader)?,
                path: read_path(&mut reader)?,
            },
            ROW => Claim::Row {
                fingerprint: reader.array("fingerprint")?,
                position: reader.u64("place of the row")?,
                row: Row {
                    key: reader.array("key of the row")?,
                    next: reader.array("next key of the row")?,
                    value: {
                        let length = usize::from(reader.u16("value of the row")?);
                        let length = reader.bounded("value of the row", length, ROW_VALUE_BYTES_MAX, 1)?;
                        Vec::from(reader.take("value of the row", length)?)
                    },
                },
                path: read_path(&mut reader)?,
            },
            kind => return Err(ProofError::Kind(kind)),
        };
        let height = reader.u64("height")?;
        let chains = reader.u32("number of chains")?;
        let height_path = read_path(&mut reader)?;
        let place = reader.u32("place of the chain")?;
        let entry = Entry::read(&mut reader)?;
        let entry_path = read_path(&mut reader)?;
        let headers = usize::from(reader.u8("headers")?);
        let headers = reader.bounded("headers", headers, HEADERS_MAX, 1)?;
        let headers = (0..headers).map(|_| Header::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        let length = usize::from(reader.u16("certificate")?);
        let length = reader.bounded("certificate", length, CERTIFICATE_BYTES_MAX, 1)?;
        let certificate = Vec::from(reader.take("certificate", length)?);
        reader.finish()?;
        Ok(Self {
            network,
            claim,
            height,
            chains,
            height_path,
            place,
            entry,
            entry_path,
            headers,
            certificate,
        })
    }
}

fn write_path(bytes: &mut Vec<u8>, path: &[Digest]) -> Result<(), FormError> {
    bytes.push(count("path", path.len(), PATH_MAX)?);
    bytes.extend_from_slice(path.as_flattened());
    Ok(())
}

fn read_path(reader: &mut Reader<'_>) -> Result<Vec<Digest>, FormError> {
    reader.digests("path", PATH_MAX)
}
