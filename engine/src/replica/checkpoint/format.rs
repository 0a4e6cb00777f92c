//! The bytes of a checkpoint: a head, then two parts, each in [chunks](super::chunks) of its own. Numbers are
//! little-endian; in parentheses are the bytes of a field, or of the count before a list.
//!
//! ```text
//! head    | magic (21) | network (32) | validator (32) | replay from (8) | SHA-256 of all this (32)
//! common  | magic (16) | network (32) | record of the height: bytes (4), as in the journal, without certificate and
//!         | places of batches | bytes of all batches (8) | roots (4), 32 each | quotas (4), each chain (4), since (8), bytes (4)
//!         | epochs that are over (4), each: bytes (4), last block, bytes (4), the next members
//!         | chains (4), each as below
//! local   | evidence: bytes (4) | begun (8) | done (8) | lost (1) | counterpart lost (1)
//!         | base (8) | positions (8), 8 each | hints (8), 8 each
//! chain   | id (4) | beginning (8) | heights that opened accounts (4), each height (8), accounts (8)
//!         | accounts (8), 64 each | slots (8), each 0 or 1, bytes (2), leaf | deliveries (4), each as its leaf
//! ```
//!
//! The common part has the same bytes at all validators, so its chunks can be fetched from any of them.

use std::io::{self, ErrorKind, Read, Write};

use kernels::sha2::sha256_parts;

use super::chunks::{ChunkReader, ChunkWriter};
use super::{
    Boots, ChainCheckpoint, Checkpoint, CheckpointMark, CommittedBlock, CommonState, Evidence, Positions,
    ValidatorId,
};
use crate::execute::{AccountState, DELIVERY_BYTES, Delivery, Growth, Pages, ReplayWindow, Row};
use crate::limits::ROW_VALUE_BYTES_MAX;
use crate::order::Quotas;
use crate::store::Position;
use crate::types::{AccountFlags, ChainId, Digest, Height, Members, Quota};
use crate::wire::Block;

const MAGIC: &[u8; 21] = b"millrace/checkpoint/5";
const COMMON_MAGIC: &[u8; 16] = b"millrace/state/3";
const HEAD_BYTES: usize = 21 + 32 + 32 + 8;
/// Where the chunks of the common part begin.
pub(super) const COMMON_AT: u64 = HEAD_BYTES as u64 + 32;
const ACCOUNT_BYTES: usize = 32 + 4 + 8 + 8 + 8 + 4;

impl Checkpoint {
    /// Writes it.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn write<W: Write>(&self, of: ValidatorId<'_>, mut to: W) -> io::Result<W> {
        let head = head(of, self.replay_from);
        to.write_all(&head)?;
        to.write_all(&sha256_parts(&[&head]))?;
        let to = self.common.write(of.network, to)?;
        let mut out = Out(ChunkWriter::new(to));
        out.bytes(&self.evidence.encode())?;
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
    pub fn check_digests(mut from: impl Read) -> io::Result<()> {
        read_head(&mut from)?;
        let mut common = ChunkReader::new(from);
        io::copy(&mut common, &mut io::sink())?;
        let mut local = ChunkReader::new(common.end()?);
        io::copy(&mut local, &mut io::sink())?;
        local.finish()
    }

    /// Reads one. Whether it is what the network had is for [`Self::restore`] to find out.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is of another network; nothing of it was believed.
    pub fn read(of: ValidatorId<'_>, mut from: impl Read) -> io::Result<Self> {
        let replay_from = read_own_head(of, &mut from)?;
        let (common, from) = CommonState::read_part(of.network, from)?;
        let mut input = In(ChunkReader::new(from));
        let evidence = input.evidence()?;
        let (begun, done) = (input.u64()?, input.u64()?);
        let (lost, counterpart_lost) = (input.bit()?, input.bit()?);
        let (base, count) = (Height(input.u64()?), input.u64()?);
        let records = (0..count).map(|_| input.u64().map(Position::from_raw)).collect::<io::Result<_>>()?;
        let positions = Positions { base, records };
        let count = input.u64()?;
        let hints = (0..count).map(|_| input.u64()).collect::<io::Result<_>>()?;
        input.0.finish()?;
        let boots = Boots { begun, done, lost, counterpart_lost };
        Ok(Self { common, evidence, boots, replay_from, positions, hints })
    }
}

impl CommonState {
    /// Writes it, in chunks.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn write<W: Write>(&self, network: &Digest, to: W) -> io::Result<W> {
        let mut out = Out(ChunkWriter::new(to));
        out.raw(COMMON_MAGIC)?;
        out.raw(&network.0)?;
        out.bytes(&self.record.encode())?;
        out.u64(self.ordered_bytes)?;
        out.many(&self.roots, |out, root| out.raw(&root.0))?;
        let quotas: Vec<_> = self.quotas.entries().collect();
        out.many(&quotas, |out, (chain, since, quota)| {
            out.u32(chain.0)?;
            out.u64(since.0)?;
            out.u32(quota.0)
        })?;
        out.many(&self.handovers, |out, (block, members)| {
            out.bytes(&block.encode())?;
            out.bytes(&members.encode())
        })?;
        out.many(&self.chains, Out::chain)?;
        out.0.finish()
    }

    /// Reads one, and gives back what stands behind it. It is not believed for that.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub(super) fn read_part<R: Read>(network: &Digest, from: R) -> io::Result<(Self, R)> {
        let mut input = In(ChunkReader::new(from));
        let record = input.record(network)?;
        let ordered_bytes = input.u64()?;
        let roots = input.many(|input| input.array().map(Digest))?;
        let quotas =
            input.many(|input| Ok((ChainId(input.u32()?), Height(input.u64()?), Quota(input.u32()?))))?;
        let handovers = input.many(In::handover)?;
        let chains = input.many(In::chain)?;
        let behind = input.0.end()?;
        let quotas = quotas.into_iter().collect::<Quotas>();
        Ok((Self { record, ordered_bytes, roots, quotas, handovers, chains }, behind))
    }
}

/// The head of a checkpoint, without its digest.
/// What is to be said of bytes that begin like ours and have another number behind that.
fn other_format(found: &[u8], ours: &[u8]) -> Option<String> {
    let number = |of: &[u8], at: usize| -> Option<u32> {
        let digits = of.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
        String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
    };
    let at = ours.iter().rposition(|byte| *byte == b'/')? + 1;
    let (found, ours) = (number(found, at).filter(|_| found.get(..at) == ours.get(..at))?, number(ours, at)?);
    let release = if found > ours { "a newer release" } else { "an older release" };
    Some(format!("it was written by {release}, in format {found}; this one reads format {ours}"))
}

fn head(of: ValidatorId<'_>, replay_from: Position) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let parts: [&[u8]; 4] = [MAGIC, &of.network.0, of.validator, &replay_from.raw().to_le_bytes()];
    let mut at = 0;
    for part in parts {
        head[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    head
}

/// The network, the validator, and where the journal is read from.
fn read_head(from: &mut impl Read) -> io::Result<([u8; 32], [u8; 32], Position)> {
    let (mut head, mut digest) = ([0; HEAD_BYTES], [0; 32]);
    from.read_exact(&mut head)?;
    let (magic, rest) = head.split_first_chunk().expect("its first field");
    if magic != MAGIC {
        return Err(invalid(other_format(magic, MAGIC).unwrap_or("this is not a checkpoint".to_owned())));
    }
    from.read_exact(&mut digest)?;
    if digest != sha256_parts(&[&head]) {
        return Err(invalid("its head does not have its digest"));
    }
    let (network, rest) = rest.split_first_chunk().expect("its second field");
    let (validator, rest) = rest.split_first_chunk().expect("its third field");
    let replay_from = rest.try_into().expect("its last field");
    Ok((*network, *validator, Position::from_raw(u64::from_le_bytes(replay_from))))
}

/// Where the journal is read from, if it is a checkpoint of this validator.
fn read_own_head(of: ValidatorId<'_>, from: &mut impl Read) -> io::Result<Position> {
    let (network, validator, replay_from) = read_head(from)?;
    if Digest(network) != *of.network {
        return Err(invalid("it is of another network"));
    }
    if validator != *of.validator {
        return Err(invalid("it is of another validator"));
    }
    Ok(replay_from)
}

/// The [`Evidence`], encoded, with which the local part begins.
pub(super) fn read_evidence(local: &mut ChunkReader<impl Read>) -> io::Result<Vec<u8>> {
    read_bytes(local)
}

/// Bytes with their length (4) before them. Memory grows with the bytes that come, not with the length that is
/// announced.
fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
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
    pub fn read(of: ValidatorId<'_>, mut from: impl Read) -> io::Result<Self> {
        let replay_from = read_own_head(of, &mut from)?;
        let record = In(ChunkReader::new(from)).record(of.network)?;
        let block = Block::decode(&record.block).map_err(|_| invalid("its block cannot be decoded"))?;
        Ok(Self { height: record.height, replay_from, time_ms: block.header().time_ms })
    }
}

impl<R: Read> In<R> {
    fn evidence(&mut self) -> io::Result<Evidence> {
        Evidence::decode(&self.bytes()?)
            .map_err(|error| invalid(format!("its evidence cannot be decoded: {error}")))
    }

    fn handover(&mut self) -> io::Result<(Block, Members)> {
        let block = Block::decode(&self.bytes()?);
        let block = block.map_err(|_| invalid("the last block of an epoch cannot be decoded"))?;
        let members = Members::decode(&self.bytes()?);
        Ok((block, members.ok_or_else(|| invalid("the validators of an epoch cannot be decoded"))?))
    }

    /// The beginning of the common part: the record of the height.
    fn record(&mut self, network: &Digest) -> io::Result<CommittedBlock> {
        let magic = self.array()?;
        if magic != *COMMON_MAGIC {
            let other = other_format(&magic, COMMON_MAGIC);
            return Err(invalid(other.unwrap_or("this is not the state of a network".to_owned())));
        }
        if Digest(self.array()?) != *network {
            return Err(invalid("it is of another network"));
        }
        CommittedBlock::decode(&self.bytes()?)
            .map_err(|error| invalid(format!("the record of its height cannot be read: {error}")))
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

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        read_bytes(&mut self.0)
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
