//! Acknowledgements of a batch, and the certificate that a quorum of them makes.
//!
//! Neither type says that its signatures are good: `availability` finds that out and mints `Available<Batch>`.

use super::{Reader, WireError, Writer};
use crate::limits::{
    BATCH_TRANSACTIONS_MAX, CERTIFICATE_HEADER_BYTES, CERTIFICATE_SIGNER_BYTES, SIGNATURE_BYTES,
    VALIDATORS_MAX,
};
use crate::types::{BatchId, ChainId, Digest, Sequence, ValidatorIndex};

const ACKNOWLEDGEMENT_DOMAIN: &[u8; 14] = b"millrace/ack/1";
const ACKNOWLEDGEMENT_MESSAGE_BYTES: usize = 14 + 32 + 4 + 2 + 8 + 32;

/// What an acknowledgement signs: that the batch is stored durably by the signer and every signature in it is good.
pub fn acknowledgement_message(
    network: &Digest,
    batch: &BatchId,
    digest: &Digest,
) -> [u8; ACKNOWLEDGEMENT_MESSAGE_BYTES] {
    let mut message = [0; ACKNOWLEDGEMENT_MESSAGE_BYTES];
    message[0..14].copy_from_slice(ACKNOWLEDGEMENT_DOMAIN);
    message[14..46].copy_from_slice(&network.0);
    message[46..50].copy_from_slice(&batch.chain.0.to_le_bytes());
    message[50..52].copy_from_slice(&batch.author.0.to_le_bytes());
    message[52..60].copy_from_slice(&batch.sequence.0.to_le_bytes());
    message[60..92].copy_from_slice(&digest.0);
    message
}

/// One validator's word for one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The batch.
    pub batch: BatchId,
    /// Its digest.
    pub digest: Digest,
    /// Who says so.
    pub validator: ValidatorIndex,
    /// Over [`acknowledgement_message`].
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Acknowledgement {
    /// Writes it.
    pub fn write(&self, writer: &mut Writer) {
        write_batch_id(writer, &self.batch);
        writer.digest(&self.digest).u16(self.validator.0).raw(&self.signature);
    }

    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            batch: read_batch_id(reader)?,
            digest: reader.digest("acknowledged digest")?,
            validator: ValidatorIndex(reader.u16("acknowledging validator")?),
            signature: reader.array("acknowledgement signature")?,
        })
    }

    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let acknowledgement = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(acknowledgement)
    }
}

/// Why a certificate is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Signers must ascend strictly.
    #[error("signer {0} is not above the signer before it")]
    SignerOrder(ValidatorIndex),
    /// No signers, or more than a network has validators.
    #[error("{0} signers are outside 1..={VALIDATORS_MAX}")]
    Signers(usize),
    /// A batch has 1 to [`BATCH_TRANSACTIONS_MAX`] transactions.
    #[error("a certificate for a batch of {0} transactions")]
    Transactions(u32),
    /// Sequences begin at 1.
    #[error("a certificate for sequence 0")]
    Sequence,
}

/// Acknowledgements of one batch by several validators. Whether they are a quorum, and good, is not said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    batch: BatchId,
    digest: Digest,
    transactions: u32,
    signers: Vec<(ValidatorIndex, [u8; SIGNATURE_BYTES])>,
}

impl Certificate {
    /// Puts signatures together; `signers` must ascend strictly.
    pub fn new(
        batch: BatchId,
        digest: Digest,
        transactions: u32,
        signers: Vec<(ValidatorIndex, [u8; SIGNATURE_BYTES])>,
    ) -> Result<Self, CertificateError> {
        if batch.sequence.0 == 0 {
            return Err(CertificateError::Sequence);
        }
        if transactions == 0 || transactions as usize > BATCH_TRANSACTIONS_MAX {
            return Err(CertificateError::Transactions(transactions));
        }
        if signers.is_empty() || signers.len() > VALIDATORS_MAX {
            return Err(CertificateError::Signers(signers.len()));
        }
        if let Some(pair) = signers.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(CertificateError::SignerOrder(pair[1].0));
        }
        Ok(Self { batch, digest, transactions, signers })
    }

    /// The batch.
    pub fn batch(&self) -> BatchId {
        self.batch
    }

    /// The digest of the batch.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many transactions the batch has.
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Who signed, ascending, and the signatures.
    pub fn signers(&self) -> &[(ValidatorIndex, [u8; SIGNATURE_BYTES])] {
        &self.signers
    }

    /// Bytes of the encoding.
    pub fn encoded_len(&self) -> usize {
        CERTIFICATE_HEADER_BYTES + self.signers.len() * CERTIFICATE_SIGNER_BYTES
    }

    /// Writes it.
    pub fn write(&self, writer: &mut Writer) {
        write_batch_id(writer, &self.batch);
        writer.u16(self.signers.len() as u16).digest(&self.digest).u32(self.transactions).raw(&[0; 4]);
        for (validator, signature) in &self.signers {
            writer.u16(validator.0).raw(signature);
        }
    }

    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let batch = read_batch_id(reader)?;
        let signer_count = reader.u16("certificate signers")?;
        let digest = reader.digest("certified digest")?;
        let transactions = reader.u32("certified transactions")?;
        reader.reserved::<4>("certificate header")?;
        let signer_count = usize::from(signer_count);
        if signer_count > VALIDATORS_MAX {
            return Err(CertificateError::Signers(signer_count).into());
        }
        let bytes = reader.take("certificate signers", signer_count * CERTIFICATE_SIGNER_BYTES)?;
        let signers = bytes.as_chunks::<CERTIFICATE_SIGNER_BYTES>().0.iter().map(|signer| {
            let (index, signature) = signer.split_first_chunk().expect("a signer begins with its index");
            (
                ValidatorIndex(u16::from_le_bytes(*index)),
                *signature.first_chunk().expect("and ends with 64 bytes"),
            )
        });
        Ok(Self::new(batch, digest, transactions, signers.collect())?)
    }

    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.encoded_len());
        self.write(&mut writer);
        writer.finish()
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let certificate = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(certificate)
    }
}

pub(super) fn write_batch_id(writer: &mut Writer, id: &BatchId) {
    writer.u32(id.chain.0).u16(id.author.0).u64(id.sequence.0);
}

pub(super) fn read_batch_id(reader: &mut Reader<'_>) -> Result<BatchId, WireError> {
    Ok(BatchId {
        chain: ChainId(reader.u32("batch chain")?),
        author: ValidatorIndex(reader.u16("batch author")?),
        sequence: Sequence(reader.u64("batch sequence")?),
    })
}
