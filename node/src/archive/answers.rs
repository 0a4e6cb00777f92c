//! An archive that answers questions as a validator would. So everything that asks a validator, and checks what it is
//! told, can ask an archive.

use std::path::Path;

use client::{Client, Query, Welcome};
use engine::replica::{BlockIndex, FeedBlocks, JournalReader, ReadError};
use engine::types::{ChainId, Digest, Epoch, Height, Outcome, TransactionId, ValidatorIndex};
use engine::wire::answers::{BlockAnswer, EpochsAnswer, ErrorAnswer, FeedAnswer, TransactionAnswer};
use engine::wire::{AsOf, Cursor, FeedQuery, PROTOCOL_VERSION, Role, Standing};
use serde::Serialize;

use super::Archive;
use super::error::ArchiveError;
use super::records::ArchiveRecords;
use crate::validator::committed::{Found, block_answer, describe, find_in, proof, stored};
use crate::validator::search::Unanswered;

/// Heights that a question about a feed looks at, with the two before that it may need.
const FEED_HEIGHTS: u64 = 256 + 2;

/// A client of an archive of this network, with the height before its first block: 0 unless it was rebuilt.
///
/// # Errors
/// There is no archive in the directory.
pub fn client(directory: &Path, (network, before_first): (Digest, Height)) -> Result<Client, ArchiveError> {
    let archive = Archive::open(directory)?;
    let as_of = AsOf { height: archive.last(), behind: Some(0) };
    let records = ArchiveRecords::new(archive, network);
    let mut answers = Answers { records, before_first, feed_blocks: FeedBlocks::default() };
    let standing = Standing { epoch: Epoch(0), role: Role::Observer };
    let (validator, version) = (ValidatorIndex(u16::MAX), PROTOCOL_VERSION);
    let welcome = Welcome { validator, as_of, standing, version };
    Ok(Client::local(network, welcome, Box::new(move |query| (as_of, answers.answer(query)))))
}

struct Answers {
    records: ArchiveRecords,
    /// The height before the first block: 0, or that from which a rebuilt network goes on.
    before_first: Height,
    /// What was read last for a feed.
    feed_blocks: FeedBlocks,
}

impl Answers {
    fn answer(&mut self, query: &Query) -> Vec<u8> {
        match query {
            Query::Transaction { chain, id } => told(self.transaction(*chain, id)),
            Query::Proof { chain, id } => told(self.find(Some(*chain), id).and_then(|found| proof(&found))),
            Query::Block { height } => told(self.block(*height)),
            Query::Feed(feed) => told(self.feed(feed)),
            Query::Epochs { from } => told(self.epochs(*from)),
            _ => encoded(&ErrorAnswer::unavailable("an archive has only blocks")),
        }
    }

    fn epochs(&self, from: Epoch) -> Result<EpochsAnswer, Unanswered> {
        let ended = self.records.ended_epochs().map_err(|error| ReadError::from(error.into_store()))?;
        let ended = ended.iter().map(|of| (&of.block, &of.certificate[..], &of.members));
        Ok(EpochsAnswer::from_epoch(from, ended))
    }

    fn reader<'a>(&'a self, index: &'a BlockIndex) -> JournalReader<'a, ArchiveRecords> {
        JournalReader { records: &self.records, index, network: self.records.network() }
    }

    fn block(&self, height: Height) -> Result<BlockAnswer, Unanswered> {
        self.is_there(height)?;
        let index = self.records.index(height, height);
        Ok(block_answer(&stored(&self.reader(&index), height)?))
    }

    /// Refuses a height of which there is no file.
    fn is_there(&self, height: Height) -> Result<(), Unanswered> {
        let archive = self.records.archive();
        if height > archive.last() {
            let last = archive.last();
            return Err(Unanswered::NotFound(format!(
                "the archive ends with height {last}, before {height}"
            )));
        }
        let (directory, exists) = (archive.directory().to_owned(), archive.file_of(height).is_some());
        let missing = || Unanswered::NotFound(ArchiveError::FileMissing { directory, height }.to_string());
        (exists || height <= self.before_first).then_some(()).ok_or_else(missing)
    }

    fn transaction(
        &self,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<TransactionAnswer, Unanswered> {
        let found = self.find(chain, id)?;
        let height = found.stored.record.height;
        let last = self.records.archive().last();
        let index = self.records.index(height, Height(height.0 + 2));
        describe(&self.reader(&index), id, found, last)
    }

    /// Where a transaction was executed: bytes that came once more stand in a later block, too, and spent nothing
    /// there.
    fn find(&self, chain: Option<ChainId>, id: &TransactionId) -> Result<Found, Unanswered> {
        let mut first = None;
        for file in self.records.files_with(id) {
            let (from, to) = file.map_err(|error| ReadError::from(error.into_store()))?;
            for height in (from.0..=to.0).map(Height) {
                let index = self.records.index(height, height);
                let reader = self.reader(&index);
                let Ok(found) = find_in(&reader, stored(&reader, height)?, chain, id)? else { continue };
                if found.outcome().is_some_and(Outcome::spends_nonce) {
                    return Ok(found);
                }
                first.get_or_insert(found);
            }
        }
        let archive = self.records.archive();
        let (last, gaps) = (archive.last(), archive.gaps(self.before_first));
        let gaps =
            gaps.iter().map(|(from, to)| format!("; the files with heights {from} to {to} are not here"));
        let none = || format!("no transaction {id} is in the archive, which ends with height {last}");
        first.ok_or_else(|| Unanswered::NotFound(none() + &gaps.collect::<String>()))
    }

    fn feed(&mut self, query: &FeedQuery) -> Result<FeedAnswer, Unanswered> {
        let last = self.records.archive().last();
        let query = FeedQuery { from: query.from.max(Cursor::at(self.before_first.next())), ..*query };
        let from = query.from.height;
        if from <= last {
            self.is_there(from)?;
        }
        let index = self.records.index(Height(from.0.saturating_sub(2)), Height(from.0 + FEED_HEIGHTS));
        let reader = JournalReader { records: &self.records, index: &index, network: self.records.network() };
        let read = reader.feed(&query, last, &mut self.feed_blocks, &|| false);
        // What came from other chains follows from the two heights before.
        let needs_origin = self.before_first.0 > 0 && from.0 <= self.before_first.0 + 2;
        read.map_err(|error| match error {
            error if needs_origin => Unanswered::NotFound(format!(
                "what came from other chains at height {from} or at the next one follows from blocks of the network before, \
                 which was rebuilt at height {}: go on with --from {} ({error})",
                self.before_first,
                Cursor::at(Height(self.before_first.0 + 3))
            )),
            error => error.into(),
        })
    }
}

fn told<T: Serialize>(answer: Result<T, Unanswered>) -> Vec<u8> {
    match answer {
        Ok(answer) => encoded(&answer),
        Err(Unanswered::NotFound(reason)) => encoded(&ErrorAnswer::not_found(reason)),
        Err(error) => encoded(&ErrorAnswer::unavailable(error.to_string())),
    }
}

fn encoded(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("answers are plain data")
}
