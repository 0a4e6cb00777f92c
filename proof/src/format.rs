//! The bytes of a proof.
//!
//! ```text
//! magic | network | #epoch changes | changes.. | kind | claim | path
//!       | height | #chains | path | place | entry | path                   up to the state root
//!       | state root | path | header | #later = 0 or 1 | path | header     up to a header that is final
//!       | #certificate bytes | certificate                                 up to the validators
//! change = header | #certificate bytes | certificate | #bytes | members  the end of an epoch, by its validators
//! path = #siblings | siblings..      other places and sizes follow from the claim and the entry
//! ```

use alloc::vec::Vec;

use crate::certificate::CERTIFICATE_BYTES_MAX;
use crate::codec::{FormError, Reader, count};
use crate::entry::{ENTRY_BYTES, Entry};
use crate::epoch::{EPOCH_CHANGES_BYTES_MAX, EPOCH_CHANGES_MAX, EpochChange};
use crate::header::{HEADER_BYTES, Header};
use crate::leaf::{ACCOUNT_BYTES, Account, BODY_BYTES};
use crate::row::{ROW_VALUE_BYTES_MAX, Row};
use crate::{Digest, ProofError};

/// Siblings of one path: enough for 2^32 leaves.
pub const PATH_MAX: usize = 32;
/// Siblings of a path in the log of headers, which has a leaf for each height.
pub const LOG_PATH_MAX: usize = 64;
/// Bytes of the largest proof.
pub const PROOF_BYTES_MAX: usize = MAGIC.len()
    + 32
    + 2
    + EPOCH_CHANGES_BYTES_MAX
    + 1
    + CLAIM_BYTES_MAX
    + 8
    + 4
    + 4
    + ENTRY_BYTES
    + 4 * PATH_BYTES_MAX
    + 32
    + 2 * HEADER_BYTES
    + 1
    + (1 + LOG_PATH_MAX * 32)
    + 2
    + CERTIFICATE_BYTES_MAX;

/// Bytes of the largest claim: key, place, keys and value of a row.
const CLAIM_BYTES_MAX: usize = 32 + 8 + 32 + 32 + 2 + ROW_VALUE_BYTES_MAX;
const _: () = assert!(CLAIM_BYTES_MAX >= BODY_BYTES + ACCOUNT_BYTES);
const PATH_BYTES_MAX: usize = 1 + PATH_MAX * 32;
pub(crate) const MAGIC: &[u8; 16] = b"millrace/proof/8";
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
    /// A transaction can never execute any more: its expiry has passed and its nonce is unspent.
    Unspent {
        /// Its signed bytes.
        body: [u8; BODY_BYTES],
        /// The account that signs it.
        account: Account,
        /// From that account's leaf to the accounts root.
        path: Vec<Digest>,
    },
    /// A row of the chain's table says what there is of a key: the row of that key, or the one that shows that there
    /// is none. A key is a fingerprint, a proposal, or one of the ledger's own, such as
    /// [`CHARTER_KEY`](crate::CHARTER_KEY).
    Row {
        /// The key.
        asked: Digest,
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
    /// The ends of all epochs before that of the final header, the first one first.
    pub epoch_changes: Vec<EpochChange>,
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
    /// From there to the validators.
    pub finality: Finality,
}

/// That a state root is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The state root.
    pub state_root: Digest,
    /// From the state root to the root of those that the header carries.
    pub path: Vec<Digest>,
    /// The header that carries it.
    pub carrier: Header,
    /// The header that the certificate names, where it is a later one.
    pub later: Option<Later>,
    /// A finalization certificate.
    pub certificate: Vec<u8>,
}

/// A header above another one, however far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// From the digest of the lower header to the log of this one.
    pub path: Vec<Digest>,
    /// The header.
    pub header: Header,
}

impl Finality {
    /// The header that the certificate names.
    #[must_use]
    pub fn last(&self) -> &Header {
        self.later.as_ref().map_or(&self.carrier, |later| &later.header)
    }

    fn write(&self, bytes: &mut Vec<u8>) -> Result<(), FormError> {
        let Self { state_root, path, carrier, later, certificate } = self;
        bytes.extend_from_slice(state_root);
        write_path(bytes, path, PATH_MAX)?;
        bytes.extend_from_slice(&carrier.encode());
        bytes.push(u8::from(later.is_some()));
        if let Some(Later { path, header }) = later {
            write_path(bytes, path, LOG_PATH_MAX)?;
            bytes.extend_from_slice(&header.encode());
        }
        let length: u16 = count("certificate", certificate.len(), CERTIFICATE_BYTES_MAX)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(certificate);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let state_root = reader.array("state root")?;
        let path = read_path(reader)?;
        let carrier = Header::read(reader)?;
        let later = match reader.u8("number of later headers")? {
            0 => None,
            1 => Some(Later { path: reader.digests("path", LOG_PATH_MAX)?, header: Header::read(reader)? }),
            _ => return Err(FormError::Invalid { what: "number of later headers", reason: "it is 0 or 1" }),
        };
        let length = usize::from(reader.u16("certificate")?);
        let length = reader.bounded("certificate", length, CERTIFICATE_BYTES_MAX, 1)?;
        let certificate = Vec::from(reader.take("certificate", length)?);
        Ok(Self { state_root, path, carrier, later, certificate })
    }
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
        let changes: u16 = count("epoch changes", self.epoch_changes.len(), EPOCH_CHANGES_MAX)?;
        bytes.extend_from_slice(&changes.to_le_bytes());
        let before = bytes.len();
        self.epoch_changes.iter().try_for_each(|change| change.write(&mut bytes))?;
        count::<u32>("bytes of epoch changes", bytes.len() - before, EPOCH_CHANGES_BYTES_MAX)?;
        match &self.claim {
            Claim::Account { account, path } => {
                bytes.push(ACCOUNT);
                bytes.extend_from_slice(&account.encode());
                write_path(&mut bytes, path, PATH_MAX)?;
            }
            Claim::Transaction { id, outcome, position, path } => {
                bytes.push(TRANSACTION);
                bytes.extend_from_slice(id);
                bytes.push(*outcome);
                bytes.extend_from_slice(&position.to_le_bytes());
                write_path(&mut bytes, path, PATH_MAX)?;
            }
            Claim::Unspent { body, account, path } => {
                bytes.push(UNSPENT);
                bytes.extend_from_slice(body);
                bytes.extend_from_slice(&account.encode());
                write_path(&mut bytes, path, PATH_MAX)?;
            }
            Claim::Row { asked, position, row: Row { key, next, value }, path } => {
                bytes.push(ROW);
                bytes.extend_from_slice(asked);
                bytes.extend_from_slice(&position.to_le_bytes());
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(next);
                let length: u16 = count("value of the row", value.len(), ROW_VALUE_BYTES_MAX)?;
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(value);
                write_path(&mut bytes, path, PATH_MAX)?;
            }
        }
        bytes.extend_from_slice(&self.height.to_le_bytes());
        bytes.extend_from_slice(&self.chains.to_le_bytes());
        write_path(&mut bytes, &self.height_path, PATH_MAX)?;
        bytes.extend_from_slice(&self.place.to_le_bytes());
        bytes.extend_from_slice(&self.entry.encode());
        write_path(&mut bytes, &self.entry_path, PATH_MAX)?;
        self.finality.write(&mut bytes)?;
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
        let changes = usize::from(reader.u16("epoch changes")?);
        let changes = reader.bounded("epoch changes", changes, EPOCH_CHANGES_MAX, HEADER_BYTES)?;
        let before = reader.rest().len();
        let epoch_changes =
            (0..changes).map(|_| EpochChange::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        let (what, bytes, max) =
            ("bytes of epoch changes", before - reader.rest().len(), EPOCH_CHANGES_BYTES_MAX);
        if bytes > max {
            return Err(FormError::TooMany { what, count: bytes, max }.into());
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
                asked: reader.array("key")?,
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
        let finality = Finality::read(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            network,
            epoch_changes,
            claim,
            height,
            chains,
            height_path,
            place,
            entry,
            entry_path,
            finality,
        })
    }
}

fn write_path(bytes: &mut Vec<u8>, path: &[Digest], max: usize) -> Result<(), FormError> {
    bytes.push(count("path", path.len(), max)?);
    bytes.extend_from_slice(path.as_flattened());
    Ok(())
}

fn read_path(reader: &mut Reader<'_>) -> Result<Vec<Digest>, FormError> {
    reader.digests("path", PATH_MAX)
}
