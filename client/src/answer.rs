//! Reading answers, and checking that they are about what was asked and that their proofs hold.
//!
//! ```text
//! RawAnswer ── read ─▶ Answer<T> ── about the question? ── path to the state root that it names? ─▶ what was asked for
//! ```

use bytes::Bytes;
use engine::roots::RowProof;
use engine::types::{
    AccountId, Attestation, ChainId, Data, Digest, Effect, Fingerprint, Height, Outcome, Reservation,
    Transaction, TransactionId, Verdict,
};
use engine::wire::answers::{
    AccountAnswer, AttestationAnswer, BlockAnswer, CrossingAnswer, ErrorAnswer, FailureKind, FeedAnswer,
    FeedEvent, ProofAnswer, RowAnswer, TransactionAnswer,
};
use engine::wire::{AsOf, Block, Cursor, FeedQuery, Happening, answers};
use serde::de::DeserializeOwned;

use crate::ClientError;

/// An answer, and the height that it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The height that it speaks of, and how far the validator knows that it is behind.
    pub as_of: AsOf,
    /// What was asked for.
    pub value: T,
}

/// An answer as it came, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The number of the question.
    pub id: u64,
    /// The height that it speaks of.
    pub as_of: AsOf,
    /// One of [`answers`](crate::answers), as JSON.
    pub body: Bytes,
}

/// A transaction in its block, with the proof: both speak of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTransaction {
    /// Where it is, and what became of it.
    pub transaction: TransactionAnswer,
    /// The transaction, whose bytes hash to its id.
    pub signed: Transaction,
    /// Its proof, which holds.
    pub proof: ProofAnswer,
}

/// What a chain says of a fingerprint, proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAttestation {
    /// The state root to which the proof leads.
    pub state_root: Digest,
    /// The row of the fingerprint, or the one that shows that there is none.
    pub proof: RowProof,
    /// What the chain says; none where the fingerprint is not registered.
    pub attestation: Option<Attestation>,
    /// The transaction that registered it, by the validator's word.
    pub transaction: Option<TransactionId>,
    /// The data that was registered with it, if the validator has it and it stands in the transaction: it has the hash
    /// that the attestation names.
    pub data: Option<Vec<u8>>,
}

/// What a chain says of a reservation, proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundReservation {
    /// The state root to which the proof leads.
    pub state_root: Digest,
    /// The row of the reservation, or the one that shows that there is none.
    pub proof: RowProof,
    /// What is set aside; none where the reservation is not open.
    pub reservation: Option<Reservation>,
}

/// A block whose header has the digest that the answer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBlock {
    /// What the validator says of it.
    pub answer: BlockAnswer,
    /// The block, decoded.
    pub block: Block,
}

/// Something that happened on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Where it is in the feed.
    pub at: Cursor,
    /// What it is.
    pub what: Occurrence,
}

/// What happened on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrence {
    /// Something with a transaction. Its bytes hash to the id; what happened with it is the validator's word.
    Transaction {
        /// Its id.
        id: TransactionId,
        /// What happened with it.
        happening: Happening,
        /// The transaction itself.
        signed: Transaction,
    },
    /// Something took effect by itself. It is the validator's word; account, reservation and chain can be asked for
    /// with a proof.
    Effect(Effect),
}

/// Some of the feed of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// What was wanted of it, in order.
    pub events: Vec<Happened>,
    /// Where to go on: any validator of the network understands it.
    pub next: Cursor,
}

impl RawAnswer {
    /// The answer as `T`.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::BelowRetention`] and [`ClientError::Unavailable`] in the validator's
    /// words; [`ClientError::Unreadable`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<Answer<T>, ClientError> {
        let as_of = self.as_of;
        if let Ok(ErrorAnswer { error }) = serde_json::from_slice(&self.body) {
            return Err(match error.kind {
                FailureKind::NotFound => ClientError::NotFound { reason: error.reason, as_of },
                FailureKind::Unavailable => ClientError::Unavailable { reason: error.reason, as_of },
                FailureKind::BelowRetention => ClientError::BelowRetention { reason: error.reason, as_of },
            });
        }
        let value =
            serde_json::from_slice(&self.body).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(Answer { as_of, value })
    }
}

/// An account's answer is about that account, at the height that it says, and proved.
pub(crate) fn check_account(
    answer: &Answer<AccountAnswer>,
    chain: ChainId,
    account: AccountId,
) -> Result<(), ClientError> {
    let AccountAnswer { state_root, proof, record } = &answer.value;
    proof.verify(state_root).map_err(|source| ClientError::Proof { what: "account", source })?;
    let record = record.as_ref().ok_or(ClientError::Mismatch("it has no record of the account"))?;
    record
        .verify(state_root)
        .map_err(|source| ClientError::Proof { what: "record of the account", source })?;
    if proof.account != account || [&proof.chain, &record.chain].map(|of| of.entry.chain) != [chain; 2] {
        return Err(ClientError::Mismatch("it proves another account"));
    }
    if proof.chain.height != answer.as_of.height {
        return Err(ClientError::Mismatch("it proves the account at another height than it speaks of"));
    }
    match answer.value.record() {
        Some(_) => Ok(()),
        None => Err(ClientError::Mismatch("its record of the account is not one of that account")),
    }
}

/// The answer about a fingerprint is about it, at the height that it says, and proved; data has the hash that is
/// proved.
pub(crate) fn attestation_of(
    answer: Answer<AttestationAnswer>,
    chain: ChainId,
    fingerprint: &Fingerprint,
) -> Result<Answer<FoundAttestation>, ClientError> {
    let Answer { as_of, value: AttestationAnswer { state_root, proof, transaction, data } } = answer;
    proof.verify(&state_root).map_err(|source| ClientError::Proof { what: "attestation", source })?;
    if proof.chain.entry.chain != chain {
        return Err(ClientError::Mismatch("it proves what another chain says"));
    }
    if proof.chain.height != as_of.height {
        return Err(ClientError::Mismatch("it proves the fingerprint at another height than it speaks of"));
    }
    let says = proof.says(&Digest(fingerprint.0));
    let value = says.ok_or(ClientError::Mismatch("it proves another fingerprint"))?;
    let unreadable = || ClientError::Unreadable("a row of its table is no attestation".to_owned());
    let attestation = value.map(|value| Attestation::decode(value).ok_or_else(unreadable)).transpose()?;
    let data =
        data.map(hex::decode).transpose().map_err(|error| ClientError::Unreadable(error.to_string()))?;
    let expected = attestation.map(|attestation| attestation.data);
    let fits = match (&data, expected) {
        (None, _) => true,
        (Some(data), Some(expected)) => Data::Inline(data).summary() == expected,
        (Some(_), None) => false,
    };
    if !fits || (attestation.is_none() && transaction.is_some()) {
        return Err(ClientError::Mismatch("its data is not what was registered with the fingerprint"));
    }
    Ok(Answer { as_of, value: FoundAttestation { state_root, proof, attestation, transaction, data } })
}

/// A row is about that reservation, at the height that it says, and proved.
pub(crate) fn reservation_of(
    answer: Answer<RowAnswer>,
    chain: ChainId,
    key: &[u8; 32],
) -> Result<Answer<FoundReservation>, ClientError> {
    check_row(&answer, chain, key)?;
    let Answer { as_of, value: RowAnswer { state_root, proof } } = answer;
    let unreadable = || ClientError::Unreadable("a row of its table is no reservation".to_owned());
    let value = proof.says(&Digest(*key)).flatten();
    let reservation = value.map(|value| Reservation::decode(value).ok_or_else(unreadable)).transpose()?;
    Ok(Answer { as_of, value: FoundReservation { state_root, proof, reservation } })
}

/// A row is about that key, at the height that it says, and proved.
pub(crate) fn check_row(
    answer: &Answer<RowAnswer>,
    chain: ChainId,
    key: &[u8; 32],
) -> Result<(), ClientError> {
    let RowAnswer { state_root, proof } = &answer.value;
    proof.verify(state_root).map_err(|source| ClientError::Proof { what: "row", source })?;
    if proof.chain.entry.chain != chain {
        return Err(ClientError::Mismatch("it proves what another chain says"));
    }
    if proof.chain.height != answer.as_of.height {
        return Err(ClientError::Mismatch("it proves the row at another height than it speaks of"));
    }
    let says = proof.says(&Digest(*key));
    says.map(drop).ok_or(ClientError::Mismatch("it proves another row"))
}

/// A proof is of that transaction, of a height that is committed, and holds.
pub(crate) fn check_proof(
    answer: &Answer<ProofAnswer>,
    chain: ChainId,
    id: &TransactionId,
) -> Result<(), ClientError> {
    let ProofAnswer { state_root, proof } = &answer.value;
    proof.verify(state_root).map_err(|source| ClientError::Proof { what: "transaction", source })?;
    if proof.id != *id || proof.chain.entry.chain != chain {
        return Err(ClientError::Mismatch("it proves another transaction"));
    }
    if proof.chain.height > answer.as_of.height {
        return Err(ClientError::Mismatch("it proves a height that it says is not committed"));
    }
    Ok(())
}

/// The bytes of a transaction's answer hash to the id that was asked for.
pub(crate) fn signed_of(
    answer: &TransactionAnswer,
    network: &Digest,
    chain: Option<ChainId>,
    id: &TransactionId,
) -> Result<Transaction, ClientError> {
    let signed = signed(&answer.packet)?;
    if answer.id != *id || signed.id(network) != *id {
        return Err(ClientError::Mismatch(
            "the transaction's bytes do not hash to the id that was asked for",
        ));
    }
    if chain.is_some_and(|chain| chain != answer.chain) || signed.chain() != answer.chain {
        return Err(ClientError::Mismatch("the transaction is of another chain"));
    }
    Ok(signed)
}

/// A transaction from its hexadecimal bytes.
fn signed(hexadecimal: &str) -> Result<Transaction, ClientError> {
    let bytes = hex::decode(hexadecimal).map_err(|error| ClientError::Unreadable(error.to_string()))?;
    Transaction::from_bytes(&bytes)
        .map_err(|_| ClientError::Mismatch("its bytes are not those of one transaction"))
}

/// The events of a feed are of the chain that was asked for, wanted, and in order from the cursor on.
pub(crate) fn feed_of(
    answer: &Answer<FeedAnswer>,
    network: &Digest,
    query: &FeedQuery,
) -> Result<Feed, ClientError> {
    let FeedAnswer { events, next } = &answer.value;
    if events.len() > usize::from(query.max) {
        return Err(ClientError::Mismatch("it names more events than were asked for"));
    }
    let mut from = query.from;
    let mut read = Vec::with_capacity(events.len());
    for FeedEvent { at, item } in events {
        let (wanted, what) = match item {
            answers::FeedItem::Transaction { id, happening, packet } => {
                let signed = signed(packet)?;
                if signed.id(network) != *id {
                    return Err(ClientError::Mismatch("the bytes of an event do not hash to its id"));
                }
                let here = happening.chain(signed.run()) == query.chain;
                let wanted = here && query.wants(*happening, signed.run());
                (wanted, Occurrence::Transaction { id: *id, happening: *happening, signed })
            }
            answers::FeedItem::Effect(effect) => (query.wants_effect(effect), Occurrence::Effect(*effect)),
        };
        if !wanted {
            return Err(ClientError::Mismatch("it names an event that was not asked for"));
        }
        if *at < from || at.height > answer.as_of.height {
            return Err(ClientError::Mismatch("its events are out of order, or not committed"));
        }
        from = Cursor { place: at.place.saturating_add(1), ..*at };
        read.push(Happened { at: *at, what });
    }
    if *next < from || (next.height > answer.as_of.height.next() && *next != query.from) {
        return Err(ClientError::Mismatch("its cursor does not go on behind its events"));
    }
    if *next == query.from && next.height <= answer.as_of.height {
        return Err(ClientError::Mismatch("its cursor does not move, although there is more"));
    }
    Ok(Feed { events: read, next: *next })
}

/// The proof proves what the answer says of the transaction.
pub(crate) fn check_same(transaction: &TransactionAnswer, proof: &ProofAnswer) -> Result<(), ClientError> {
    let proof = &proof.proof;
    let same = proof.id == transaction.id
        && proof.outcome == transaction.outcome
        && proof.chain.height == transaction.height
        && proof.chain.entry.chain == transaction.chain
        && proof.path.index == transaction.position;
    if !same {
        return Err(ClientError::Mismatch("it proves something else than it says of the transaction"));
    }
    check_crossing(transaction)
}

/// What a validator says of the other end of a payment between chains is not proved, but it must be possible.
fn check_crossing(transaction: &TransactionAnswer) -> Result<(), ClientError> {
    let next = transaction.height.next();
    let possible = match (transaction.outcome, transaction.crossing) {
        (Outcome::Sent, Some(CrossingAnswer::InFlight)) => true,
        (Outcome::Sent, Some(CrossingAnswer::Credited { height })) => height == next,
        (Outcome::Sent, Some(CrossingAnswer::Refunded { reason, returned, height })) => {
            reason.is_failure() && returned == next && height == next.next()
        }
        (Outcome::Sent, None) => false,
        (_, crossing) => crossing.is_none(),
    };
    possible.then_some(()).ok_or(ClientError::Mismatch(
        "what it says of the payment's other end cannot be: a payment arrives in the next block or comes back in the \
         one after",
    ))
}

/// The block of an answer is the one of that height, with the digest that the answer names.
pub(crate) fn block_of(answer: &BlockAnswer, height: Height) -> Result<Block, ClientError> {
    let bytes = hex::decode(&answer.block).map_err(|error| ClientError::Unreadable(error.to_string()))?;
    let block = Block::decode(&bytes)?;
    if answer.height != height || block.height() != height || *block.digest() != answer.digest {
        return Err(ClientError::Mismatch("the block is not the one that it names"));
    }
    Ok(block)
}

/// Compares a verdict with the outcome that was found in a block; `found` is an error where nothing was found.
pub(crate) fn compare(
    id: &TransactionId,
    told: Verdict,
    found: Result<FoundTransaction, ClientError>,
) -> Result<FoundTransaction, ClientError> {
    let contradiction = |found| ClientError::Contradiction { id: *id, told, found };
    match found {
        Ok(found) if found.transaction.final_outcome().map(Verdict::from) == Some(told) => Ok(found),
        Ok(FoundTransaction { transaction, .. }) => Err(contradiction(format!(
            "its block at height {} says \"{}\"",
            transaction.height, transaction.outcome
        ))),
        Err(ClientError::NotFound { reason, as_of }) => Err(contradiction(format!("{reason} (at {as_of})"))),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests;
