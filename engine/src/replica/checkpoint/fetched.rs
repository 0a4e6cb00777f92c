//! The state that a validator has fetched from others, and how it goes on from there.
//!
//! ```text
//! journal ─ .. 811 ─ batches, blocks ─ start │ state of 9000 ─ what of these is still of use ─ start ─ 9001 ─ ..
//!                                            └─ the checkpoint of 9000 begins here; what stands before it is released
//! ```
//!
//! The file is the common part of a checkpoint and, in chunks of its own, the evidence: bytes (4). It is complete or
//! not there. Until the checkpoint that is made of it is durable, the journal goes on at the height before as if
//! nothing had happened.

use std::io::{self, ErrorKind, Read, Write};

use super::chunks::{ChunkReader, ChunkWriter};
use super::format::read_evidence;
use super::served::chunk_frame;
use super::{Checkpoint, CheckpointError, CommonState, Positions, Restored, Schedule};
use crate::order::FinalityVerifier;
#[cfg(doc)]
use crate::replica::Boot;
use crate::replica::{Boots, Evidence, KIND_BATCH, KIND_BLOCK, KIND_STATE, Recovered};
use crate::store::{Position, StoreError};
use crate::types::{Digest, Genesis, Height, Support};
use crate::wire::Block;

/// A state that was fetched whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedState {
    /// What all validators have at its height.
    pub common: CommonState,
    /// What shows that it is the network's; consensus may begin from its last finalization.
    pub evidence: Evidence,
}

/// Writes the evidence, with which a file ends.
fn end<W: Write>(mut out: ChunkWriter<W>, evidence: &[u8]) -> io::Result<W> {
    out.write_all(&(evidence.len() as u32).to_le_bytes())?;
    out.write_all(evidence)?;
    out.finish()
}

impl FetchedState {
    /// What stands behind the last of so many chunks in its file, given its [`Evidence`], encoded.
    #[must_use]
    pub fn tail(chunks: u32, evidence: &[u8]) -> Vec<u8> {
        let out = ChunkWriter::new(chunk_frame(chunks, &[]));
        end(out, evidence).expect("a vector takes everything")
    }

    /// Writes the file of one.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn write<W: Write>(&self, network: &Digest, to: W) -> io::Result<W> {
        end(ChunkWriter::new(self.common.write(network, to)?), &self.evidence.encode())
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is not whole, or of another network.
    pub fn read(network: &Digest, from: impl Read) -> io::Result<Self> {
        let (common, from) = CommonState::read_part(network, from)?;
        let mut tail = ChunkReader::new(from);
        let evidence = read_evidence(&mut tail)?;
        tail.finish()?;
        let evidence =
            Evidence::decode(&evidence).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Self { common, evidence })
    }

    /// The height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.common.record.height
    }

    /// Checks that it is a state of the network, as far as it can be seen from itself.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn check(
        &self,
        (genesis, support): (&Genesis, Support),
        certificates: &dyn FinalityVerifier,
    ) -> Result<Restored, CheckpointError> {
        self.clone().at(Position::from_raw(0), Boots::default()).restore(
            (genesis, support),
            certificates,
            Schedule::new(1, 1),
        )
    }

    /// The checkpoint of this validator whose journal begins anew at a position.
    fn at(self, position: Position, boots: Boots) -> Checkpoint {
        let Self { common, evidence } = self;
        let positions = Positions { base: common.record.height, records: [position].into() };
        Checkpoint { common, evidence, boots, replay_from: position, positions, hints: Vec::new() }
    }

    /// Writes into the journal what a start needs that goes on from here: the record of the height, and what the
    /// journal has recovered and is still of use above it. What comes back is the checkpoint of that start. Nothing of
    /// it counts before the checkpoint is durable, and it must not be so before the journal is.
    ///
    /// Something must stand before it, durably ([`Boot::nothing_new`]): a journal of which nothing was released is one
    /// that begins at the genesis.
    ///
    /// # Errors
    /// The journal takes no more.
    pub fn adopt(
        self,
        recovered: &Recovered,
        mut append: impl FnMut(u8, &[&[u8]]) -> Result<Position, StoreError>,
    ) -> Result<Checkpoint, StoreError> {
        let record = &self.common.record;
        let block = Block::decode(&record.block).expect("the state was checked");
        let position = append(KIND_STATE, &[&record.encode()])?;
        // What was voted for must be there when somebody asks for it (R11).
        for (block, _) in recovered.blocks.iter().filter(|(block, _)| block.height() > record.height) {
            append(KIND_BLOCK, &[&block.encode()])?;
        }
        for (batch, _) in &recovered.unordered {
            let id = batch.id();
            let was_judged = batch.as_of() <= record.height;
            if was_judged
                && block.cut().get(usize::from(id.author.0)).is_some_and(|cut| id.sequence > cut.sequence)
            {
                append(KIND_BATCH, &[batch.bytes()])?;
            }
        }
        Ok(self.at(position, recovered.boots))
    }
}
