//! What a validator writes into its journal.
//!
//! ```text
//! kind 1  batch            the batch exactly as it travels; written before the block that orders it, and before its
//!                          author sends it to a peer
//! kind 2  committed block  block, certificate, where its batches stand, what execution made of it; written before a
//!                          client is told
//! kind 3  block            a proposed block; written when this validator proposes it, votes to notarize it, or is
//!                          asked to certify it
//! kind 4  boot             how often this validator was started; the vote log has the same number
//! kind 5  state            a committed block whose state was fetched from others: the record of a height whose batches
//!                          and predecessors are not here
//! ```
//!
//! The network is not repeated in the records: the log's own header carries it.

use thiserror::Error;

use super::Boots;
use crate::roots::{CHAIN_ENTRY_BYTES, ChainEntry};
use crate::store::Position;
use crate::types::{ChainId, Digest, Effect, Height, Members, Outcome, Packet, PacketRun, TransactionId};
use crate::wire::Block;

/// Record kind of a batch: the bytes are the batch's encoding.
pub const KIND_BATCH: u8 = 1;
/// Record kind of a [`CommittedBlock`].
pub const KIND_COMMITTED: u8 = 2;
/// Record kind of a proposed block: the bytes are the block's encoding.
pub const KIND_BLOCK: u8 = 3;
/// Record kind of a [`Boot`].
pub const KIND_BOOT: u8 = 4;
/// Record kind of a [`CommittedBlock`] whose state was fetched: without certificate and places of batches.
pub const KIND_STATE: u8 = 5;

/// A start of this validator, as the journal and the vote log both remember it, so that one of them that was emptied,
/// copied or put back can be told from its counterpart. At each start the journal says *begun*, then the vote log says
/// it, then the journal says *done*; only then does the validator speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boot {
    /// How often the validator was started, from 1.
    pub number: u64,
    /// Whether the counterpart is known to have it, too.
    pub done: bool,
    /// Whether this log has lost something that was not learnt again yet. It stays so over any number of starts, until
    /// a record says otherwise.
    pub lost: bool,
    /// Whether this start found that the counterpart has lost something. It counts until the counterpart has this
    /// start, and says so itself.
    pub counterpart_lost: bool,
}

impl Boot {
    /// No start, but a loss that was noticed later.
    pub const LOST: Self = Self { lost: true, ..Self::LEARNT };
    /// No start, but the end of a loss: what this log had lost is known again.
    pub const LEARNT: Self = Self { number: 0, done: false, lost: false, counterpart_lost: false };

    /// No start, and nothing that its log does not remember already.
    #[must_use]
    pub fn nothing_new(remembered: Boots) -> Self {
        let Boots { lost, counterpart_lost, .. } = remembered;
        Self { lost, counterpart_lost, ..Self::LEARNT }
    }

    /// The record of a start in the log of votes, which is written between the two of the journal.
    #[must_use]
    pub fn of_votes(number: u64, lost: bool) -> Self {
        Self { number, done: true, lost, counterpart_lost: false }
    }

    /// The record's bytes.
    #[must_use]
    pub fn encode(self) -> [u8; 9] {
        let phase = u8::from(self.done) | u8::from(self.lost) << 1 | u8::from(self.counterpart_lost) << 2;
        let mut bytes = [phase; 9];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    /// Reads a record. Bits that have no meaning are not looked at: a log is this validator's own.
    ///
    /// # Errors
    /// It does not have nine bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader { bytes, at: 0 };
        let (number, phase) = (reader.u64("boot")?, reader.take(1, "boot phase")?[0]);
        let bit = |at: u8| phase >> at & 1 != 0;
        let boot = Self { number, done: bit(0), lost: bit(1), counterpart_lost: bit(2) };
        reader.finish()?;
        Ok(boot)
    }
}

/// What execution of one block made of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRecord {
    /// What the state root says of the chain.
    pub entry: ChainEntry,
    /// The transactions that failed, by position among the block's on this chain; ascending.
    pub failures: Vec<(u32, Outcome)>,
    /// Payments from other chains that could not be credited, in the order of the inbox.
    pub returned: Vec<(TransactionId, Outcome)>,
    /// What took effect by itself, before anything else.
    pub effects: Vec<Effect>,
}

impl ChainRecord {
    /// The outcomes of the chain's transactions, given their packets in order.
    pub fn outcomes<'a>(&self, packets: impl Iterator<Item = &'a [Packet]>) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> =
            packets.flat_map(PacketRun::all).map(|run| Outcome::success(&run)).collect();
        for (position, outcome) in &self.failures {
            if let Some(slot) = outcomes.get_mut(*position as usize) {
                *slot = *outcome;
            }
        }
        outcomes
    }
}

/// One executed block, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedBlock {
    /// Height of the block.
    pub height: Height,
    /// Digest of what the block changed.
    pub delta_digest: Digest,
    /// State root after the block.
    pub state_root: Digest,
    /// The block's own encoding.
    pub block: Vec<u8>,
    /// The finalization certificate; empty where the block is final through a certified descendant.
    pub certificate: Vec<u8>,
    /// Who validates from the next height on, if the block is the last of its epoch. Its header has their digest.
    pub members: Option<Members>,
    /// Where in the journal its batches stand, by author and sequence.
    pub batches: Vec<Position>,
    /// One record for every chain that there is after the block, ascending.
    pub chains: Vec<ChainRecord>,
}

/// A committed-block record that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// The record ends before its fields do.
    #[error("the record ends at byte {at}, inside {field}")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
        /// Where the record ends.
        at: usize,
    },
    /// The record goes on after its last field.
    #[error("{extra} bytes follow the record's last field")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// An outcome byte that no version of the engine wrote.
    #[error("unknown outcome {0}")]
    Outcome(u8),
    /// An entry of a chain of an unknown kind, or in an unknown state.
    #[error("an entry of a chain of an unknown kind, or in an unknown state")]
    Entry,
    /// Something of an unknown kind that took effect by itself.
    #[error("something of an unknown kind took effect by itself")]
    Effect,
    /// Validators of the next epoch that cannot be a set.
    #[error("the validators of the next epoch are not a set of members")]
    Members,
}

impl CommittedBlock {
    /// What it says of a chain; `None` before the chain was created, or where the network has no such chain.
    #[must_use]
    pub fn chain(&self, chain: ChainId) -> Option<&ChainRecord> {
        self.chains.iter().find(|of| of.entry.chain == chain)
    }

    /// Whether it names exactly the validators whose digest its block has.
    #[must_use]
    pub fn hands_over_as(&self, block: &Block) -> bool {
        self.members.as_ref().map(Members::digest).as_ref() == block.next_members()
    }

    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let failures: usize = self.chains.iter().map(|chain| chain.failures.len()).sum();
        let returned: usize = self.chains.iter().map(|chain| chain.returned.len()).sum();
        let members = self.members.as_ref().map(Members::encode).unwrap_or_default();
        let size = 8
            + 64
            + 3 * 4
            + self.block.len()
            + self.certificate.len()
            + members.len()
            + 4
            + self.batches.len() * 8
            + self.chains.len() * (CHAIN_ENTRY_BYTES + 12)
            + failures * 5
            + returned * 33;
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&self.height.0.to_le_bytes());
        out.extend_from_slice(&self.delta_digest.0);
        out.extend_from_slice(&self.state_root.0);
        put_bytes(&mut out, &self.block);
        put_bytes(&mut out, &self.certificate);
        put_bytes(&mut out, &members);
        out.extend_from_slice(&(self.batches.len() as u32).to_le_bytes());
        for position in &self.batches {
            out.extend_from_slice(&position.raw().to_le_bytes());
        }
        out.extend_from_slice(&(self.chains.len() as u32).to_le_bytes());
        for chain in &self.chains {
            out.extend_from_slice(&chain.entry.leaf());
            out.extend_from_slice(&(chain.failures.len() as u32).to_le_bytes());
            for (position, outcome) in &chain.failures {
                out.extend_from_slice(&position.to_le_bytes());
                out.push(outcome.code());
            }
            out.extend_from_slice(&(chain.returned.len() as u32).to_le_bytes());
            for (transaction, outcome) in &chain.returned {
                out.extend_from_slice(&transaction.0);
                out.push(outcome.code());
            }
            out.extend_from_slice(&(chain.effects.len() as u32).to_le_bytes());
            chain.effects.iter().for_each(|effect| effect.write(&mut out));
        }
        out
    }

    /// Reads a record; the whole of `bytes` must be one record.
    ///
    /// # Errors
    /// [`RecordError`] names the field at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader { bytes, at: 0 };
        let height = Height(reader.u64("height")?);
        let delta_digest = reader.digest("delta digest")?;
        let state_root = reader.digest("state root")?;
        let block = reader.bytes("block")?;
        let certificate = reader.bytes("certificate")?;
        let members = match &reader.bytes("members")?[..] {
            [] => None,
            members => Some(Members::decode(members).ok_or(RecordError::Members)?),
        };
        let mut batches = Vec::new();
        for _ in 0..reader.u32("batch count")? {
            batches.push(Position::from_raw(reader.u64("batch position")?));
        }
        let mut chains = Vec::new();
        for _ in 0..reader.u32("chain count")? {
            let entry = ChainEntry::parse(&reader.array("chain entry")?);
            let entry = entry.ok_or(RecordError::Entry)?;
            let (mut failures, mut returned) = (Vec::new(), Vec::new());
            for _ in 0..reader.u32("failure count")? {
                failures.push((reader.u32("failure position")?, reader.outcome()?));
            }
            for _ in 0..reader.u32("returned count")? {
                returned.push((TransactionId(reader.array("returned payment")?), reader.outcome()?));
            }
            let mut effects = Vec::new();
            for _ in 0..reader.u32("number of effects")? {
                effects.push(reader.effect()?);
            }
            chains.push(ChainRecord { entry, failures, returned, effects });
        }
        reader.finish()?;
        Ok(Self { height, delta_digest, state_root, block, certificate, members, batches, chains })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A cursor that never reads past the end; a length is checked before anything is allocated for it.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], RecordError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(RecordError::Truncated { field, at: self.bytes.len() })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], RecordError> {
        Ok(self.take(N, field)?.try_into().expect("take returned N bytes"))
    }

    fn effect(&mut self) -> Result<Effect, RecordError> {
        let at = self.at;
        let [kind] = self.array("effect")?;
        let length = Effect::length(kind).ok_or(RecordError::Effect)?;
        self.at = at;
        Effect::decode(self.take(length, "effect")?).ok_or(RecordError::Effect)
    }

    fn finish(self) -> Result<(), RecordError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => Err(RecordError::Trailing { extra }),
        }
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    fn outcome(&mut self) -> Result<Outcome, RecordError> {
        let outcome = self.take(1, "outcome")?[0];
        Outcome::try_from(outcome).map_err(|_| RecordError::Outcome(outcome))
    }

    fn digest(&mut self, field: &'static str) -> Result<Digest, RecordError> {
        Ok(Digest(self.array(field)?))
    }

    fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, RecordError> {
        let len = self.u32(field)? as usize;
        Ok(self.take(len, field)?.to_vec())
    }
}

#[cfg(test)]
mod tests;
