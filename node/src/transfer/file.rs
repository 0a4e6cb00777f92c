//! A signed transaction in a file, for another machine to submit.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use engine::limits::{ENVELOPE_PACKETS_MAX, PACKET_BYTES};
use engine::types::{Digest, Transaction, TransactionId};
use serde::{Deserialize, Serialize};

use crate::cli::{OutputError, SignedSource, write_new};

/// The only version of the file so far.
const VERSION: u32 = 1;
/// Bytes of the largest file that is read: the digits of the largest envelope, and much room for the rest.
const FILE_BYTES_MAX: usize = 2 * ENVELOPE_PACKETS_MAX * PACKET_BYTES + (4 << 10);

/// The file, as JSON. Everything but the packets is for people and for early refusals: the packets are what counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedFile {
    millrace_transaction: u32,
    /// The network that the signature is for.
    network: Digest,
    /// The transaction's id there.
    id: TransactionId,
    /// The bytes of its packets, in hexadecimal; of most transactions the 128 bytes of one.
    packet: String,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// It is something else, or damaged.
    #[error("{}: not a signed transaction: {problem}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It was signed for another network.
    #[error("{}: signed for the network {found}, but this is {expected}", file.display())]
    OtherNetwork {
        /// The file.
        file: PathBuf,
        /// The network that it is for.
        found: Digest,
        /// The network at hand.
        expected: Digest,
    },
}

impl SignedSource {
    /// The transaction, for the network at hand.
    ///
    /// # Errors
    /// [`FileError`]: its file cannot be used.
    pub fn transaction(&self, network: &Digest) -> Result<Transaction, FileError> {
        match self {
            Self::Here(transaction) => Ok(transaction.clone()),
            Self::File(file) => SignedFile::read(file)?.transaction_for(network, file),
        }
    }
}

impl SignedFile {
    /// The file of a signed transaction.
    pub fn new(network: &Digest, transaction: &Transaction) -> Self {
        let (id, packet) = (transaction.id(network), hex::encode(transaction.bytes()));
        Self { millrace_transaction: VERSION, network: *network, id, packet }
    }

    /// Writes it into a new file.
    ///
    /// # Errors
    /// [`FileError::Output`]: also where there is a file already.
    pub fn write(&self, file: &Path) -> Result<(), FileError> {
        let text = serde_json::to_string_pretty(self).expect("text and numbers have a JSON form") + "\n";
        Ok(write_new(file, text.as_bytes())?)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`FileError`]: it cannot be read, or is not such a file.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let wrong = |problem: String| FileError::Content { file: file.to_owned(), problem };
        let mut text = Vec::new();
        let opened =
            File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text));
        opened.map_err(|source| FileError::Io { file: file.to_owned(), source })?;
        if text.len() > FILE_BYTES_MAX {
            return Err(wrong(format!("it is longer than the {FILE_BYTES_MAX} bytes that one has at most")));
        }
        let signed: Self = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("it is not the JSON that --offline writes ({error})")))?;
        if signed.millrace_transaction != VERSION {
            return Err(wrong(format!("version {} is not known here", signed.millrace_transaction)));
        }
        Ok(signed)
    }

    /// The transaction, for the network at hand.
    ///
    /// # Errors
    /// [`FileError`]: it is for another network, or its parts contradict each other.
    pub fn transaction_for(&self, network: &Digest, file: &Path) -> Result<Transaction, FileError> {
        let wrong = |problem: &str| FileError::Content { file: file.to_owned(), problem: problem.to_owned() };
        if self.network != *network {
            let (found, expected) = (self.network, *network);
            return Err(FileError::OtherNetwork { file: file.to_owned(), found, expected });
        }
        let bytes = hex::decode(&self.packet);
        let bytes = bytes.ok().filter(|bytes| !bytes.is_empty() && bytes.len().is_multiple_of(PACKET_BYTES));
        let bytes = bytes
            .ok_or_else(|| wrong("the packet is not 128 bytes, or packets of 128 bytes, in hexadecimal"))?;
        let transaction =
            Transaction::from_bytes(&bytes).map_err(|_| wrong("the packets are not one transaction"))?;
        if transaction.id(network) != self.id {
            return Err(wrong("the id is not that of the packet: the file was changed"));
        }
        Ok(transaction)
    }
}
