//! What a journal's records say, and the two questions that the auditor cannot answer by itself: how bytes are read,
//! and what a finalization certificate proves. The program around it answers them; the rules know neither.

use std::path::{Path, PathBuf};

use super::{Finding, Wrong};
use crate::execute::{AccountState, Delivery, Growth};
use crate::roots::ChainEntry;
use crate::store::{Owner, Position};
use crate::types::{Digest, Effect, Height, Members, Outcome, TransactionId};
use crate::wire::{Batch, Block};

/// One record of a journal.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A batch, as it was sealed or received.
    Batch(Batch),
    /// A block that was proposed, and may or may not be committed.
    Block(Block),
    /// A block, with what execution made of it.
    Committed(Box<Committed>),
    /// A start of the validator.
    Boot,
    /// The journal goes on from a state that was fetched from others.
    Fetched,
}

/// A committed block as its record tells of it. Nothing in it is believed.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The height.
    pub height: Height,
    /// The block.
    pub block: Block,
    /// The finalization certificate; empty where the block is final through a descendant.
    pub certificate: Vec<u8>,
    /// Who validates from the next height on, if it is the last block of its epoch.
    pub members: Option<Members>,
    /// The state root after the block.
    pub state_root: Digest,
    /// The digest of what the block changed on all chains.
    pub delta_digest: Digest,
    /// What it made of each chain.
    pub chains: Vec<CommittedChain>,
}

/// What a record says of one chain.
#[derive(Clone, Debug)]
pub struct CommittedChain {
    /// Its entry under the state root.
    pub entry: ChainEntry,
    /// The transactions that failed, by place; ascending.
    pub failures: Vec<(u32, Outcome)>,
    /// Payments from other chains that could not be credited, in the order of the inbox.
    pub returned: Vec<(TransactionId, Outcome)>,
    /// What took effect by itself, before anything else.
    pub effects: Vec<Effect>,
}

/// Where the audit of a journal begins that was pruned: a checkpoint as its file has it. Nothing in it is believed.
#[derive(Clone, Debug)]
pub struct BaseCheckpoint {
    /// The file.
    pub file: PathBuf,
    /// Where the journal is read from.
    pub replay_from: Position,
    /// The record of the height. Its certificate is needed only if the block is the last one of its epoch.
    pub record: Committed,
    /// How the epochs before that of the block ended, the first one first.
    pub handovers: Vec<BaseHandover>,
    /// The state roots of the last heights up to this one.
    pub roots: Vec<Digest>,
    /// What the chains had after the height, in the order of the record.
    pub chains: Vec<BaseChain>,
}

/// The end of an epoch, in a [`BaseCheckpoint`].
#[derive(Clone, Debug)]
pub struct BaseHandover {
    /// The last block of the epoch.
    pub block: Block,
    /// Its finalization certificate.
    pub certificate: Vec<u8>,
    /// Who validates in the next one.
    pub members: Members,
}

/// One chain of a [`BaseCheckpoint`].
#[derive(Clone, Debug)]
pub struct BaseChain {
    /// How many accounts it had after which height.
    pub growth: Growth,
    /// Its accounts, by their ids.
    pub accounts: Vec<AccountState>,
    /// The places of its table, each with the bytes of its leaf.
    pub rows: Vec<Option<Vec<u8>>>,
    /// What it sent to other chains in the height.
    pub outbox: Vec<Delivery>,
}

/// Reads the records of a journal.
pub trait JournalFormat: Send + Sync {
    /// The oldest checkpoint in a data directory whose journal still has everything from a position on.
    ///
    /// # Errors
    /// There is none, or it cannot be read: what is wrong with which file.
    fn base_checkpoint(
        &self,
        data: &Path,
        owner: &Owner,
        first: Position,
    ) -> Result<Box<BaseCheckpoint>, Finding>;

    /// The state from which the network was rebuilt, as an archive has it.
    ///
    /// # Errors
    /// It is not there, or cannot be read: what is wrong with which file.
    fn origin_state(&self, archive: &Path) -> Result<Box<BaseCheckpoint>, Finding>;

    /// What a record says.
    ///
    /// # Errors
    /// [`Wrong`] says what cannot be read.
    fn read(&self, kind: u8, bytes: Vec<u8>) -> Result<Entry, Wrong>;
}

/// Checks finalization certificates. The audit has a trait of its own, beside `order::FinalityVerifier`, on purpose: it
/// shares nothing with the code that it judges.
pub trait FinalityCheck: Send + Sync {
    /// What a certificate of these validators proves to be final.
    ///
    /// # Errors
    /// Why it proves nothing, in words.
    fn check(&self, members: &Members, certificate: &[u8]) -> Result<FinalBlock, String>;
}

/// What a good certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// The view in which the block was proposed; for the last one of an epoch perhaps not for the first time.
    pub view: u64,
    /// The digest of the block.
    pub digest: Digest,
}
