//! The bytes of a checkpoint, inside its [chunks](super::chunks). Numbers are little-endian; in parentheses are the bytes
//! of a field, or of the count before a list.
//!
//! ```text
//! magic | network (32) | validator (32) | replay from (8)
//! common  | record of the height: bytes (4), as in the journal | roots (4), 32 each | quotas (4), each
//!         | chain (4), since (8), bytes (4) | chains (4), each as below
//! local   | last certificate: bytes (4) | begun (8) | done (8) | lost (1) | counterpart lost (1)
//!         | base (8) | positions (8), 8 each | hints (8), 8 each
//! chain   | id (4) | beginning (8) | heights that opened accounts (4), each height (8), accounts (8)
//!         | accounts (8), 64 each | slots (8), each 0 or 1, bytes (2), leaf | deliveries (4), each as its leaf
//! ```

use std::io::{self, ErrorKind, Read, Write};

use super::chunks::{ChunkReader, ChunkWriter};
use super::{Boots, ChainCheckpoint, Checkpoint, CheckpointMark, CommittedBlock, Positions, ValidatorId};
use crate::execute::{AccountState, DELIVERY_BYTES, Delivery, Growth, Pages, ReplayWindow, Row};
use crate::limits::ROW_VALUE_BYTES_MAX;
use crate::order::Quotas;
use crate::store::Position;
use crate::types::{AccountFlags, ChainId, Digest, Height, Quota};
use crate::wire::Block;

const MAGIC: &[u8; 21] = b"millrace/checkpoint/2";
const ACCOUNT_BYTES: usize = 32 + 4 + 8 + 8 + 8 + 4;

impl Checkpoint {
    /// Writes it.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn write<W: Write>(&self, of: ValidatorId<'_>, to: W) -> io::Result<W> {
        let mut out = Out(ChunkWriter::new(to));
        out.raw(MAGIC)?;
        out.raw(&of.network.0)?;
        out.raw(of.validator)?;
        out.u64(self.replay_from.raw())?;
        out.bytes(&self.record.encode())?;
        out.many(&self.roots, |out, root| out.raw(&root.0))?;
        let quotas: Vec<_> = self.quotas.entries().collect();
        out.many(&quotas, |out, (chain, since, quota)| {
            out.u32(chain.0)?;
            out.u64(since.0)?;
            out.u32(quota.0)
        })?;
        out.many(&self.chains, Out::chain)?;
        out.bytes(&self.certificate)?;
        let Boots { begun, done, lost, counterpart_lost } = self.boots;
        out.u64(begun)?;
        out.u64(done)?;
        out.raw(&[u8::from(lost), u8::from(counterpart_lost)])?;
        out.u64(self.positions.base.0)?;
        out.u64(self.positions.records.len() as u64)?;
        self.positions.records.iter().try_for_each(|position| out.u64(position.raw()))?;
        out.u64(self.hints.len() as u64)?;
        self.hints.iter().try_for_each(|slot| out.u64(*slot))?;
        out.0.finish()
    }

    /// Reads one to its end and compares every digest, without keeping anything of it.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn check_digests(from: impl Read) -> io::Result<()> {
        let mut input = ChunkReader::new(from);
        io::copy(&mut input, &mut io::sink())?;
        input.finish()
    }

    /// Reads one. Whether it is what the network had is for [`Self::restore`] to find out.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is of another network; nothing of it was believed.
    pub fn read(of: ValidatorId<'_>, from: impl Read) -> io::Result<Self> {
        let mut input = In(ChunkReader::new(from));
        let (replay_from, record) = input.read_header(of)?;
        let roots = input.many(|input| input.array().map(Digest))?;
        let quotas =
            input.many(|input| Ok((ChainId(input.u32()?), Height(input.u64()?), Quota(input.u32()?))))?;
        let chains = input.many(In::chain)?;
        let certificate = input.bytes()?;
        let (begun, done) = (input.u64()?, input.u64()?);
        let (lost, counterpart_lost) = (input.bit()?, input.bit()?);
        let (base, count) = (Height(input.u64()?), input.u64()?);
        let records = (0..count).map(|_| input.u64().map(Position::from_raw)).collect::<io::Result<_>>()?;
        let positions = Positions { base, records };
        let count = input.u64()?;
        let hints = (0..count).map(|_| input.u64()).collect::<io::Result<_>>()?;
        input.0.finish()?;
        Ok(Self {
            record,
            roots,
            quotas: quotas.into_iter().collect::<Quotas>(),
            chains,
            certificate,
            boots: Boots { begun, done, lost, counterpart_lost },
            replay_from,
            positions,
            hints,
        })
    }
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

struct Out<W>(ChunkWriter<W>);

impl<W: Write> Out<W> {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn u32(&mut self, number: u32) -> io::Result<()> {
        self.raw(&number.to_le_bytes())
    }

    fn u64(&mut self, number: u64) -> io::Result<()> {
        self.raw(&number.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.u32(bytes.len() as u32)?;
        self.raw(bytes)
    }

    fn many<T>(
        &mut self,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        self.u32(items.len() as u32)?;
        items.iter().try_for_each(|item| write(self, item))
    }

    fn chain(&mut self, of: &ChainCheckpoint) -> io::Result<()> {
        self.u32(of.chain.0)?;
        self.u64(of.growth.beginning)?;
        self.many(&of.growth.since, |out, (height, accounts)| {
            out.u64(height.0)?;
            out.u64(*accounts)
        })?;
        self.u64(of.accounts.len() as u64)?;
        of.accounts.iter().try_for_each(|account| self.raw(&account_bytes(account)))?;
        self.u64(of.slots.len() as u64)?;
        of.slots.iter().try_for_each(|place| match place {
            None => self.raw(&[0]),
            Some(row) => {
                self.raw(&[1])?;
                self.raw(&(row.leaf().len() as u16).to_le_bytes())?;
                self.raw(row.leaf())
            }
        })?;
        self.many(&of.outbox, |out, delivery| out.raw(&delivery.leaf()))
    }
}

fn account_bytes(of: &AccountState) -> [u8; ACCOUNT_BYTES] {
    let mut bytes = [0; ACCOUNT_BYTES];
    bytes[..32].copy_from_slice(&of.key);
    bytes[32..36].copy_from_slice(&of.key_version.to_le_bytes());
    bytes[36..44].copy_from_slice(&of.balance.to_le_bytes());
    bytes[44..52].copy_from_slice(&of.window.base.to_le_bytes());
    bytes[52..60].copy_from_slice(&of.window.used.to_le_bytes());
    bytes[60..].copy_from_slice(&of.flags.bits().to_le_bytes());
    bytes
}

struct In<R>(ChunkReader<R>);

#[cfg(test)]
impl ChainCheckpoint {
    /// What is read of what is written.
    pub(crate) fn through_bytes(&self) -> Self {
        let mut out = Out(ChunkWriter::new(Vec::new()));
        out.chain(self).expect("a vector takes everything");
        let bytes = out.0.finish().expect("as above");
        In(ChunkReader::new(&bytes[..])).chain().expect("it was written so")
    }
}

impl CheckpointMark {
    /// The mark of a checkpoint, read from its first chunks: as many as the record of its height fills.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn read(of: ValidatorId<'_>, from: impl Read) -> io::Result<Self> {
        let (replay_from, record) = In(ChunkReader::new(from)).read_header(of)?;
        let block = Block::decode(&record.block).map_err(|_| invalid("its block cannot be decoded"))?;
        Ok(Self { height: record.height, replay_from, time_ms: block.header().time_ms })
    }
}

impl<R: Read> In<R> {
    /// Where the journal is read from, and the record of the height.
    fn read_header(&mut self, of: ValidatorId<'_>) -> io::Result<(Position, CommittedBlock)> {
        if self.array()? != *MAGIC {
            return Err(invalid("this is not a checkpoint, or one of another version"));
        }
        if Digest(self.array()?) != *of.network {
            return Err(invalid("it is of another network"));
        }
        if self.array()? != *of.validator {
            return Err(invalid("it is of another validator"));
        }
        let replay_from = Position::from_raw(self.u64()?);
        let record = CommittedBlock::decode(&self.bytes()?)
            .map_err(|error| invalid(format!("the record of its height cannot be read: {error}")))?;
        Ok((replay_from, record))
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bit(&mut self) -> io::Result<bool> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(invalid("a flag is neither 0 nor 1")),
        }
    }

    /// Memory grows with the bytes that come, not with the length that is announced.
    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = u64::from(self.u32()?);
        let mut bytes = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn many<T>(&mut self, mut read: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let count = self.u32()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn chain(&mut self) -> io::Result<ChainCheckpoint> {
        let (chain, beginning) = (ChainId(self.u32()?), self.u64()?);
        let since = self.many(|input| Ok((Height(input.u64()?), input.u64()?)))?;
        let accounts = (0..self.u64()?).map(|_| self.account()).collect::<io::Result<_>>()?;
        let slots = (0..self.u64()?).map(|_| self.slot()).collect::<io::Result<Pages<_>>>()?;
        let outbox = self.many(|input| {
            let leaf: [u8; DELIVERY_BYTES] = input.array()?;
            Delivery::parse(&leaf).ok_or_else(|| invalid("something of an unknown kind is in flight"))
        })?;
        Ok(ChainCheckpoint { chain, growth: Growth { beginning, since }, accounts, slots, outbox })
    }

    fn account(&mut self) -> io::Result<AccountState> {
        Ok(AccountState {
            key: self.array()?,
            key_version: self.u32()?,
            balance: self.u64()?,
            window: ReplayWindow { base: self.u64()?, used: self.u64()? },
            flags: AccountFlags::from_bits(self.u32()?),
        })
    }

    fn slot(&mut self) -> io::Result<Option<Row>> {
        if !self.bit()? {
            return Ok(None);
        }
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if !(64..=64 + ROW_VALUE_BYTES_MAX).contains(&length) {
            return Err(invalid("a row is longer or shorter than rows are"));
        }
        let mut leaf = vec![0; length];
        self.0.read_exact(&mut leaf)?;
        let (key, rest) = leaf.split_first_chunk().expect("a row begins with two keys");
        let (next, value) = rest.split_first_chunk().expect("the second of them");
        Ok(Some(Row::new(key, next, value)))
    }
}
