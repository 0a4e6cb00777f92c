//! A block: a header, which consensus orders by its digest, and the certificates of the batches that it puts in order.
//!
//! ```text
//! header = height | view | time | proposer | #roots | #sections | parent | first root height | roots.. | sections..
//! section (a member chain) = chain | batches | transactions | RFC 9162 root over that chain's encoded certificates
//! ```
//!
//! Invariant: a [`Block`] that exists is consistent in itself: certificates ascend strictly by (chain, author, sequence)
//! and the sections are exactly what they amount to.

use super::{Certificate, Reader, WireError, Writer};
use crate::limits::{
    BLOCK_CERTIFICATES_MAX, BLOCK_ROOTS_MAX, BLOCK_TRANSACTIONS_MAX, CERTIFICATE_HEADER_BYTES, CHAINS_MAX,
    HEADER_FIXED_BYTES, SECTION_BYTES,
};
use crate::types::{BatchId, ChainId, Digest, Height, ValidatorIndex};

/// What one chain gets from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The chain.
    pub chain: ChainId,
    /// How many batches.
    pub batches: u32,
    /// How many transactions in them.
    pub transactions: u64,
    /// The root over the encoded certificates.
    pub root: Digest,
}

/// What the digest of a block covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the block.
    pub height: Height,
    /// The view of consensus in which it was proposed.
    pub view: u64,
    /// The digest of the block below.
    pub parent: Digest,
    /// Who proposed it.
    pub proposer: ValidatorIndex,
    /// The proposer's clock, in milliseconds since 1970. Nothing that executes depends on it.
    pub time_ms: u64,
    /// The height of the first root in `roots`.
    pub roots_first: Height,
    /// State roots of executed heights, contiguous.
    pub roots: Vec<Digest>,
    /// One for each chain that has batches, ascending.
    pub sections: Vec<Section>,
}

/// Why a block is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Certificates must ascend strictly by (chain, author, sequence).
    #[error("the certificate of {0} is not above the one before it")]
    CertificateOrder(BatchId),
    /// The sections are not what the certificates amount to.
    #[error("the sections of the header are not those of the certificates")]
    Sections,
    /// More roots than a block may carry.
    #[error("{0} roots are more than {BLOCK_ROOTS_MAX}")]
    Roots(usize),
    /// More certificates than a block may carry.
    #[error("{0} certificates are more than {BLOCK_CERTIFICATES_MAX}")]
    Certificates(usize),
    /// More transactions than a block may carry.
    #[error("{0} transactions are more than {BLOCK_TRANSACTIONS_MAX}")]
    Transactions(u64),
    /// Height 0 is the genesis, which is not a block of this kind.
    #[error("height 0 is the genesis")]
    Genesis,
    /// A root of this height or of one above it.
    #[error("a block at {0} cannot know the roots it carries")]
    FutureRoot(Height),
}

impl Header {
    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(
            HEADER_FIXED_BYTES + self.roots.len() * 32 + self.sections.len() * SECTION_BYTES,
        );
        self.write(&mut writer);
        writer.finish()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u64(self.height.0).u64(self.view).u64(self.time_ms).u16(self.proposer.0);
        writer.u16(self.roots.len() as u16).count(self.sections.len());
        writer.digest(&self.parent).u64(self.roots_first.0);
        for root in &self.roots {
            writer.digest(root);
        }
        for section in &self.sections {
            writer.u32(section.chain.0).u32(section.batches).u64(section.transactions).digest(&section.root);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let height = Height(reader.u64("height")?);
        let view = reader.u64("view")?;
        let time_ms = reader.u64("time")?;
        let proposer = ValidatorIndex(reader.u16("proposer")?);
        let root_count = reader.count16("roots", BLOCK_ROOTS_MAX, 32)?;
        let section_count = reader.count("sections", CHAINS_MAX, SECTION_BYTES)?;
        let parent = reader.digest("parent")?;
        let roots_first = Height(reader.u64("first root height")?);
        let roots = (0..root_count).map(|_| reader.digest("root")).collect::<Result<_, _>>()?;
        let sections = (0..section_count)
            .map(|_| {
                Ok(Section {
                    chain: ChainId(reader.u32("section chain")?),
                    batches: reader.u32("section batches")?,
                    transactions: reader.u64("section transactions")?,
                    root: reader.digest("section root")?,
                })
            })
            .collect::<Result<_, WireError>>()?;
        Ok(Self { height, view, parent, proposer, time_ms, roots_first, roots, sections })
    }

    /// SHA-256 of the encoding: the digest of the block.
    pub fn digest(&self) -> Digest {
        Digest(kernels::sha2::sha256(&self.encode()))
    }
}

/// A header and the certificates under it. Its digest is computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    header: Header,
    certificates: Vec<Certificate>,
    digest: Digest,
}

impl Block {
    /// Makes a block: computes the sections of `header` (whatever stands there) from the certificates.
    pub fn build(mut header: Header, certificates: Vec<Certificate>) -> Result<Self, BlockError> {
        header.sections = sections(&certificates)?;
        Self::new(header, certificates)
    }

    /// Checks that header and certificates belong together.
    pub fn new(header: Header, certificates: Vec<Certificate>) -> Result<Self, BlockError> {
        if header.height.0 == 0 {
            return Err(BlockError::Genesis);
        }
        if header.roots.len() > BLOCK_ROOTS_MAX {
            return Err(BlockError::Roots(header.roots.len()));
        }
        let above_roots = header.roots_first.0.checked_add(header.roots.len() as u64);
        if above_roots.is_none_or(|above| above > header.height.0) {
            return Err(BlockError::FutureRoot(header.height));
        }
        if sections(&certificates)? != header.sections {
            return Err(BlockError::Sections);
        }
        let digest = header.digest();
        Ok(Self { header, certificates, digest })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the block.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// The certificates, ascending by (chain, author, sequence).
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificates of one chain, in the order of execution.
    pub fn certificates_of(&self, chain: ChainId) -> &[Certificate] {
        let first = self.certificates.partition_point(|certificate| certificate.batch().chain < chain);
        let end = self.certificates.partition_point(|certificate| certificate.batch().chain <= chain);
        &self.certificates[first..end]
    }

    /// How many transactions, over all chains.
    pub fn transactions(&self) -> u64 {
        self.header.sections.iter().map(|section| section.transactions).sum()
    }

    /// SHA-256 of the encoded header.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Writes it.
    pub fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.count(self.certificates.len());
        for certificate in &self.certificates {
            certificate.write(writer);
        }
    }

    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let header = Header::read(reader)?;
        let count = reader.count("certificates", BLOCK_CERTIFICATES_MAX, CERTIFICATE_HEADER_BYTES)?;
        let certificates = (0..count).map(|_| Certificate::read(reader)).collect::<Result<_, _>>()?;
        Ok(Self::new(header, certificates)?)
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let block = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(block)
    }
}

/// What certificates amount to, chain by chain; refuses a wrong order and too much.
fn sections(certificates: &[Certificate]) -> Result<Vec<Section>, BlockError> {
    if certificates.len() > BLOCK_CERTIFICATES_MAX {
        return Err(BlockError::Certificates(certificates.len()));
    }
    if let Some(pair) = certificates.windows(2).find(|pair| pair[0].batch() >= pair[1].batch()) {
        return Err(BlockError::CertificateOrder(pair[1].batch()));
    }
    let transactions =
        certificates.iter().map(|certificate| u64::from(certificate.transactions())).sum::<u64>();
    if transactions > BLOCK_TRANSACTIONS_MAX as u64 {
        return Err(BlockError::Transactions(transactions));
    }
    let by_chain = certificates.chunk_by(|a, b| a.batch().chain == b.batch().chain);
    Ok(by_chain
        .map(|certificates| {
            let leaves: Vec<_> =
                certificates.iter().map(|c| kernels::merkle::leaf_hash(&c.encode())).collect();
            Section {
                chain: certificates[0].batch().chain,
                batches: certificates.len() as u32,
                transactions: certificates.iter().map(|c| u64::from(c.transactions())).sum(),
                root: Digest(kernels::merkle::root(&leaves)),
            }
        })
        .collect())
}
