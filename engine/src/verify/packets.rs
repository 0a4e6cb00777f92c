//! What a client submitted: each transaction is judged by itself.

use super::signed::Signed;
use super::{PREFETCH_AHEAD, Tally, Verified};
use crate::chains::governance::takes;
use crate::chains::{Rules, of_kind};
use crate::execute::{AccountKey, Chains, WindowRefusal};
use crate::types::{Height, Outcome, PacketRun, PacketSlab, Refusal, Transaction};

/// A client's packets and the verdicts on their transactions.
#[derive(Clone, Debug)]
pub struct CheckedPackets {
    slab: PacketSlab,
    refusals: Vec<Option<Refusal>>,
    tally: Tally,
}

/// One transaction of a client's packets.
#[derive(Clone, Debug)]
pub struct CheckedTransaction<'a> {
    /// The place of its first packet.
    pub place: usize,
    /// Its packets.
    pub run: PacketRun<'a>,
    /// The evidence or the refusal.
    pub verdict: Result<Verified<Transaction>, Refusal>,
}

impl CheckedPackets {
    /// The transactions, in order.
    pub fn iter(&self) -> impl Iterator<Item = CheckedTransaction<'_>> {
        let runs = self.slab.runs().zip(&self.refusals);
        runs.scan(0, |next, (run, refusal)| {
            let place = *next;
            *next += run.packets().len();
            let verdict = match refusal {
                Some(refusal) => Err(*refusal),
                None => run.transaction().map(Verified::new).map_err(|_| Refusal::Malformed),
            };
            Some(CheckedTransaction { place, run, verdict })
        })
    }

    /// For each transaction, in order: why it is refused, if it is.
    pub fn refusals(&self) -> &[Option<Refusal>] {
        &self.refusals
    }

    /// How many signatures were checked, and how many of them were bad.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many transactions.
    pub fn len(&self) -> usize {
        self.refusals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// The cheap refusals of a client's transactions; survivors go to `signed`.
pub(super) fn judge<'a>(
    chains: &'a Chains,
    committed: Height,
    slab: &'a PacketSlab,
    signed: &mut Vec<Signed<'a>>,
) -> Vec<Option<Refusal>> {
    let mut rest = slab.packets();
    let mut refusals = Vec::with_capacity(rest.len());
    while let Some((run, left)) = PacketRun::split_first(rest) {
        if let Some(coming) = rest.get(PREFETCH_AHEAD)
            && let Some(state) = chains.get(coming.chain())
        {
            state.prefetch(coming.debit());
            if !coming.is_cross() {
                state.prefetch(coming.credit());
            }
        }
        rest = left;
        refusals.push(match judge_transaction(chains, committed, run) {
            Ok(key) => {
                signed.push(Signed::transaction(key, run));
                Signed::add_others(run, signed);
                None
            }
            Err(refusal) => Some(refusal),
        });
    }
    refusals
}

fn judge_transaction<'a>(
    chains: &'a Chains,
    committed: Height,
    run: PacketRun<'_>,
) -> Result<AccountKey<'a>, Refusal> {
    let content = run.content().map_err(|_| Refusal::Malformed)?;
    let state = chains.get(run.chain()).ok_or(Refusal::WrongChain)?;
    if run.expiry() <= committed {
        return Err(Refusal::Expired);
    }
    if !state.existed(run.debit(), committed) {
        return Err(Refusal::UnknownAccount);
    }
    // The version first: who sees another key sees every nonce that was spent before it.
    let present = state.key_version(run.debit());
    // In the order of execution: what has spent its nonce is told as that, whatever has changed since. So who submits
    // the same bytes again hears what became of them.
    let window = state.window(run.debit()).ok_or(Refusal::UnknownAccount)?.with(run.nonce());
    if window == Err(WindowRefusal::Replayed) {
        return Err(Refusal::Replayed);
    }
    // The present key, once it is on the disk here: the batch will be judged by a height from there on.
    let is_present = present == Some(run.key_version());
    let key = state.key_as_of(run.debit(), run.key_version(), committed).filter(|_| is_present);
    let key = key.ok_or(Refusal::WrongKeyVersion)?;
    window.map_err(|_| Refusal::NonceTooFar)?;
    takes(state.status(), run).map_err(|reason| match reason {
        Outcome::ChainPaused => Refusal::ChainPaused,
        _ => Refusal::ChainClosed,
    })?;
    of_kind!(state.kind(), Kind => Kind::judge(chains, state, &content))?;
    Ok(key)
}

/// Puts the cheap refusals and the verdicts on signatures together; takes its verdicts from the front.
pub(super) fn conclude(
    slab: PacketSlab,
    mut refusals: Vec<Option<Refusal>>,
    verdicts: &mut &[bool],
) -> CheckedPackets {
    let mut tally = Tally::default();
    let runs = slab.runs().zip(&mut refusals);
    for (run, undecided) in runs.filter(|(_, refusal)| refusal.is_none()) {
        let mine = verdicts.split_off(..run.signatures()).expect("a verdict for each signature");
        tally.count(mine);
        *undecided = mine.contains(&false).then_some(Refusal::BadSignature);
    }
    CheckedPackets { slab, refusals, tally }
}
