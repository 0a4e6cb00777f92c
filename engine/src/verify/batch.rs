//! What a peer sealed: good as a whole or not at all.

use super::signed::Signed;
use super::{PREFETCH_AHEAD, Tally, Verified};
use crate::execute::{AccountKey, ChainState, Chains};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::{BatchId, Height, PacketRun};
use crate::wire::Batch;

/// What is wrong in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// The network has no such validator.
    #[error("unknown author")]
    UnknownAuthor,
    /// The author has not signed the header.
    #[error("the author's signature does not fit")]
    BadAuthorSignature,
    /// The packets are not those that the header commits to.
    #[error("the body is not the one that the header names")]
    WrongBody,
    /// Not a transaction.
    #[error("not a transaction")]
    Malformed,
    /// The network has no such chain, or the transaction names another chain than the batch.
    #[error("wrong chain")]
    WrongChain,
    /// There is no such debit account.
    #[error("unknown debit account")]
    UnknownAccount,
    /// The debit account had no key of this version at the height that the batch names, nor before.
    #[error("unknown key version")]
    WrongKeyVersion,
    /// The signature does not fit.
    #[error("bad signature")]
    BadSignature,
}

/// Why a peer's batch is refused. Its author should not have sealed it, so it is the author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch ({batch}), transaction {position}: {fault}")]
pub struct BatchRefusal {
    /// The batch.
    pub batch: BatchId,
    /// The first transaction at fault; the author's signature counts as the one after the last.
    pub position: u32,
    /// What is wrong with it.
    pub fault: BatchFault,
    /// How many signatures were checked, and how many of them were bad.
    pub tally: Tally,
}

/// The cheap checks of a batch. Either all signatures of its transactions and the author's go to `signed`, or nothing;
/// how many signatures of transactions.
pub(super) fn judge<'a>(
    chains: &'a Chains,
    authors: &'a [[u8; PUBLIC_KEY_BYTES]],
    batch: &'a Batch,
    signed: &mut Vec<Signed<'a>>,
) -> Result<usize, BatchRefusal> {
    let author = authors.get(usize::from(batch.id().author.0));
    let author = author.ok_or_else(|| refusal(batch, 0, BatchFault::UnknownAuthor))?;
    if !batch.body_matches() {
        return Err(refusal(batch, 0, BatchFault::WrongBody));
    }
    let first = signed.len();
    let judged = judge_sections(chains, batch, signed);
    let signatures = signed.len() - first;
    match judged {
        Ok(()) => signed.push(Signed::author(author, batch)),
        Err(_) => signed.truncate(first),
    }
    judged.map(|()| signatures)
}

fn judge_sections<'a>(
    chains: &'a Chains,
    batch: &'a Batch,
    signed: &mut Vec<Signed<'a>>,
) -> Result<(), BatchRefusal> {
    let mut position = 0;
    for (chain, packets) in batch.sections() {
        let state = chains.get(chain).ok_or_else(|| refusal(batch, position, BatchFault::WrongChain))?;
        let (mut rest, known) = (packets, state.accounts_as_of(batch.as_of()));
        while let Some((run, left)) = PacketRun::split_first(rest) {
            if let Some(coming) = rest.get(PREFETCH_AHEAD) {
                state.prefetch(coming.debit());
            }
            rest = left;
            let key = judge_transaction(state, (known, batch.as_of()), run);
            let key = key.map_err(|fault| refusal(batch, position, fault))?;
            signed.push(Signed::transaction(key, run));
            Signed::add_others(run, signed);
            position += 1;
        }
    }
    Ok(())
}

/// `known`: so many accounts there were at the height that the batch names.
fn judge_transaction<'a>(
    state: &'a ChainState,
    (known, as_of): (u64, Height),
    run: PacketRun<'_>,
) -> Result<AccountKey<'a>, BatchFault> {
    if !run.is_transaction() {
        return Err(BatchFault::Malformed);
    }
    if run.chain() != state.chain() {
        return Err(BatchFault::WrongChain);
    }
    if run.debit().0 >= known {
        return Err(BatchFault::UnknownAccount);
    }
    state.key_as_of(run.debit(), run.key_version(), as_of).ok_or(BatchFault::WrongKeyVersion)
}

/// Puts the cheap checks and the verdicts on signatures together; takes its verdicts from the front.
pub(super) fn conclude(
    batch: Batch,
    cheap: Result<usize, BatchRefusal>,
    verdicts: &mut &[bool],
) -> Result<Verified<Batch>, BatchRefusal> {
    let signatures = cheap?;
    let mine = verdicts.split_off(..=signatures).expect("a verdict for each signature");
    match mine.iter().position(|good| !good) {
        None => Ok(Verified::new(batch)),
        Some(bad) => {
            // The transaction that carries the bad signature; the author's counts as one after the last.
            let mut carried = 0;
            let carries = |run: PacketRun<'_>| {
                carried += run.signatures();
                bad < carried
            };
            let position = PacketRun::all(batch.packets()).position(carries);
            let fault =
                if position.is_some() { BatchFault::BadSignature } else { BatchFault::BadAuthorSignature };
            let position = position.unwrap_or_else(|| batch.transactions());
            Err(BatchRefusal { tally: Tally::of(mine), ..refusal(&batch, position, fault) })
        }
    }
}

fn refusal(batch: &Batch, position: usize, fault: BatchFault) -> BatchRefusal {
    BatchRefusal { batch: batch.id(), position: position as u32, fault, tally: Tally::default() }
}
