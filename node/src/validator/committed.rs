//! Answers about committed blocks, from whatever has their records: the journal of a validator, or an archive.

use engine::replica::{ChainRecord, CommittedBlock, JournalReader, ReadError};
use engine::roots::{ChainEntry, StateRoot, TransactionProof, TransactionTree, contains_transaction};
use engine::store::Records;
use engine::types::{AccountId, ChainId, Content, Height, Outcome, Packet, PacketRun, TransactionId};
use engine::wire::answers::{BlockAnswer, CrossingAnswer, ProofAnswer, TransactionAnswer};
use engine::wire::{Batch, Block};

use super::search::Unanswered;

/// A committed block, as the journal holds it.
pub struct Stored {
    pub record: CommittedBlock,
    pub block: Block,
}

/// A transaction in its block.
pub struct Found {
    pub chain: ChainId,
    pub place: usize,
    pub tree: TransactionTree,
    pub batches: Vec<Batch>,
    pub stored: Stored,
}

impl Found {
    /// What became of it there.
    pub fn outcome(&self) -> Option<Outcome> {
        self.tree.entries().nth(self.place).map(|(_, outcome)| outcome)
    }
}

/// A block does not have the transaction.
pub struct NotThere {
    /// How many packets were looked at.
    pub packets: u64,
}

/// A committed block.
pub fn stored<R: Records>(reader: &JournalReader<'_, R>, height: Height) -> Result<Stored, Unanswered> {
    let (record, block) = reader.block(height)?;
    Ok(Stored { record, block })
}

/// Looks for a transaction in a block. Only the block that holds it has its tree built.
pub fn find_in<R: Records>(
    reader: &JournalReader<'_, R>,
    stored: Stored,
    chain: Option<ChainId>,
    id: &TransactionId,
) -> Result<Result<Found, NotThere>, Unanswered> {
    let mut looked_at = 0;
    if transactions(&stored.record, chain) == 0 {
        return Ok(Err(NotThere { packets: looked_at }));
    }
    let batches = reader.batches(&stored.record)?;
    let network = reader.network;
    for of_chain in stored.record.chains.iter().filter(|of| chain.is_none_or(|chain| chain == of.entry.chain))
    {
        let packets = || batches.iter().map(|batch| batch.packets_of(of_chain.entry.chain));
        looked_at += packets().map(<[_]>::len).sum::<usize>() as u64;
        let transactions = packets().flat_map(PacketRun::all).count();
        if transactions as u64 != of_chain.entry.transactions {
            return Err(ReadError::Damaged(stored.record.height).into());
        }
        if !packets().any(|packets| contains_transaction(network, packets, id)) {
            continue;
        }
        let tree = TransactionTree::new(network, packets(), &of_chain.outcomes(packets()));
        if let Some(place) = tree.position(id) {
            let chain = of_chain.entry.chain;
            return Ok(Ok(Found { chain, place, tree, batches, stored }));
        }
    }
    Ok(Err(NotThere { packets: looked_at }))
}

/// How many transactions have to be looked at in a block.
pub fn transactions(record: &CommittedBlock, chain: Option<ChainId>) -> u64 {
    let of_chain = |of: &&ChainRecord| chain.is_none_or(|chain| chain == of.entry.chain);
    record.chains.iter().filter(of_chain).map(|of| of.entry.transactions).sum()
}

/// What is told of a transaction that was found, where `last` is the last committed height.
pub fn describe<R: Records>(
    reader: &JournalReader<'_, R>,
    id: &TransactionId,
    found: Found,
    last: Height,
) -> Result<TransactionAnswer, Unanswered> {
    let outcome = found.outcome();
    let Found { chain, place, tree, batches, stored } = found;
    let damaged = || ReadError::Damaged(stored.record.height);
    let outcome = outcome.ok_or_else(damaged)?;
    let mut transactions = batches
        .iter()
        .flat_map(|batch| PacketRun::all(batch.packets_of(chain)).map(move |run| (batch.id(), run)));
    let (batch, run) = transactions.nth(place).ok_or_else(damaged)?;
    Ok(TransactionAnswer {
        id: *id,
        chain,
        height: stored.record.height,
        position: place as u64,
        outcome,
        author: batch.author,
        sequence: batch.sequence,
        packet: hex::encode(Packet::bytes(run.packets())),
        opened: match (outcome, run.content()) {
            (Outcome::Applied, Ok(Content::Opening(_))) => {
                let all = batches.iter().flat_map(|batch| PacketRun::all(batch.packets_of(chain)));
                let accounts = stored.record.chain(chain).map_or(0, |of| of.entry.accounts);
                opened(&tree, place, all, accounts)
            }
            _ => None,
        },
        crossing: match outcome {
            Outcome::Sent => {
                let (destination, _) = run.destination().ok_or_else(damaged)?;
                Some(crossing(reader, id, destination, (stored.record.height, last))?)
            }
            _ => None,
        },
    })
}

/// What became of a payment that was sent at a height: the next height decides it, and refunds are in the one
/// after.
fn crossing<R: Records>(
    reader: &JournalReader<'_, R>,
    id: &TransactionId,
    destination: ChainId,
    (sent, last): (Height, Height),
) -> Result<CrossingAnswer, Unanswered> {
    let (arrival, refund) = (sent.next(), sent.next().next());
    if arrival > last {
        return Ok(CrossingAnswer::InFlight);
    }
    let record = stored(reader, arrival)?.record;
    let on_chain = record.chain(destination).ok_or(ReadError::Damaged(arrival))?;
    Ok(match on_chain.returned.iter().find(|(returned, _)| returned == id) {
        None => CrossingAnswer::Credited { height: arrival },
        Some(_) if refund > last => CrossingAnswer::InFlight,
        Some((_, reason)) => CrossingAnswer::Refunded { reason: *reason, returned: arrival, height: refund },
    })
}

/// The proof of a transaction that was found.
pub fn proof(found: &Found) -> Result<ProofAnswer, Unanswered> {
    let record = &found.stored.record;
    let proof = StateRoot::recorded(record.height, entries_of(record), &record.state_root)
        .and_then(|root| TransactionProof::new(&root, found.chain, &found.tree, found.place))
        .ok_or(ReadError::Damaged(record.height))?;
    Ok(ProofAnswer { state_root: record.state_root, proof })
}

/// What is told of a block.
pub fn block_answer(stored: &Stored) -> BlockAnswer {
    let Stored { record, block } = stored;
    BlockAnswer {
        height: record.height,
        digest: *block.digest(),
        block: hex::encode(&record.block),
        certificate: hex::encode(&record.certificate),
        state_root: record.state_root,
        entries: entries_of(record),
        failures: record.chains.iter().map(|chain| chain.failures.len() as u64).sum(),
    }
}

/// The first account that the opening at a place has opened. The block's openings have the last ids of the chain, in
/// their order: `transactions` are all of the chain in the block, and `accounts` how many it has after it.
fn opened<'a>(
    tree: &TransactionTree,
    place: usize,
    transactions: impl Iterator<Item = PacketRun<'a>>,
    accounts: u64,
) -> Option<AccountId> {
    let opens = |(run, (_, outcome)): (PacketRun<'a>, (TransactionId, Outcome))| match run.content() {
        Ok(Content::Opening(opening)) if outcome == Outcome::Applied => opening.accounts.count() as u64,
        _ => 0,
    };
    let from_here = transactions.zip(tree.entries()).skip(place).map(opens);
    accounts.checked_sub(from_here.sum()).map(AccountId)
}

/// What the record says of each chain, as the state root has it.
pub fn entries_of(record: &CommittedBlock) -> Vec<ChainEntry> {
    record.chains.iter().map(|chain| chain.entry).collect()
}
