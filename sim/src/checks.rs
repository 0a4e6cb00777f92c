//! What must hold in every run, whatever goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::limits::TIME_AHEAD_MAX_MS;
use engine::replica::Job;
use engine::types::{ChainId, Digest, Height, Outcome, TransactionId, Verdict};

use crate::clients::Submission;

/// What one batch of a block holds.
#[derive(Clone, Debug)]
struct OrderedBatch {
    author: usize,
    chain: ChainId,
    /// Id, payer and nonce of each transaction.
    transactions: Vec<(TransactionId, u64, u64)>,
}

/// A block, before it is known what its execution gave.
#[derive(Clone, Debug)]
pub(crate) struct Ordered {
    pub(crate) height: Height,
    pub(crate) digest: Digest,
    time_ms: u64,
    sections: Vec<OrderedBatch>,
}

impl Ordered {
    /// `known`: nobody needs the transactions a second time.
    pub(crate) fn of(job: &Job, network: &Digest, known: bool) -> Self {
        let mut sections = Vec::new();
        for batch in job.batches.iter().filter(|_| !known) {
            for (chain, packets) in batch.sections() {
                let transactions = packets
                    .iter()
                    .map(|packet| (packet.id(network), packet.debit().0, packet.nonce()))
                    .collect();
                sections.push(OrderedBatch { author: usize::from(batch.id().author.0), chain, transactions });
            }
        }
        let block = job.block.value();
        Self { height: block.height(), digest: *block.digest(), time_ms: block.header().time_ms, sections }
    }
}

/// The one history that everybody must share.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Digest and root of each height, from 1.
    history: Vec<(Digest, Digest)>,
    /// What became of transactions in batches of an author.
    outcomes: BTreeMap<(usize, TransactionId), Vec<Outcome>>,
    applied: BTreeMap<TransactionId, Height>,
    spent: BTreeMap<(ChainId, u64, u64), Height>,
    pub(crate) violations: Vec<String>,
}

impl Checks {
    pub(crate) fn violation(&mut self, at: Duration, what: String) {
        // What follows from the first ones is of little interest.
        if self.violations.len() < 20 {
            self.violations.push(format!("{:.3} s: {what}", at.as_secs_f64()));
        }
    }

    pub(crate) fn height(&self) -> u64 {
        self.history.len() as u64
    }

    /// Some validator has executed a block, now or again.
    pub(crate) fn executed(
        &mut self,
        who: usize,
        ordered: &Ordered,
        root: Digest,
        outcomes: &[(ChainId, Vec<Outcome>)],
        clock_ms: u64,
        at: Duration,
    ) {
        let Ordered { height, digest, time_ms, sections } = ordered;
        if let Some((known, known_root)) = self.history.get(height.0 as usize - 1) {
            if known != digest {
                let what =
                    format!("agreement: v{who} has {digest:.16} at height {height}, others {known:.16}");
                self.violation(at, what);
            } else if *known_root != root {
                self.violation(at, format!("roots: v{who} has another state root at height {height}"));
            }
            return;
        }
        if height.0 != self.height() + 1 {
            return self.violation(
                at,
                format!("order: v{who} executes height {height} before {}", self.height() + 1),
            );
        }
        self.history.push((*digest, root));
        if *time_ms > clock_ms + TIME_AHEAD_MAX_MS {
            self.violation(
                at,
                format!("time: the block at height {height} lies {} s ahead", (time_ms - clock_ms) / 1_000),
            );
        }
        let mut rest: BTreeMap<ChainId, &[Outcome]> =
            outcomes.iter().map(|(chain, outcomes)| (*chain, outcomes.as_slice())).collect();
        for section in sections {
            let Some(of_chain) = rest.get_mut(&section.chain) else { continue };
            for (id, payer, nonce) in &section.transactions {
                let Some((outcome, left)) = of_chain.split_first() else {
                    self.violation(at, format!("outcomes: too few at height {height}"));
                    return;
                };
                *of_chain = left;
                self.transaction(
                    (section.author, *id),
                    (section.chain, *payer, *nonce),
                    *outcome,
                    *height,
                    at,
                );
            }
        }
    }

    /// Some validator has executed a height again at its start. Says what is wrong, if anything is.
    pub(crate) fn replayed(&self, height: Height, root: Digest) -> Option<String> {
        match self.history.get(height.0 as usize - 1) {
            Some((_, known)) if *known == root => None,
            Some(_) => Some(format!("has another state root at height {height} after its restart")),
            None => Some(format!("finds height {height} in its journal, which nobody has executed")),
        }
    }

    fn transaction(
        &mut self,
        (author, id): (usize, TransactionId),
        slot: (ChainId, u64, u64),
        outcome: Outcome,
        height: Height,
        at: Duration,
    ) {
        self.outcomes.entry((author, id)).or_default().push(outcome);
        if outcome == Outcome::Applied
            && let Some(before) = self.applied.insert(id, height)
        {
            self.violation(at, format!("exactly once: {id:.16} applied at heights {before} and {height}"));
        }
        if outcome.spends_nonce()
            && let Some(before) = self.spent.insert(slot, height)
        {
            let (chain, payer, nonce) = slot;
            let what = format!(
                "exactly once: nonce {nonce} of account {payer} on chain {chain} is spent at heights {before} and {height}"
            );
            self.violation(at, what);
        }
    }

    /// Compares everything that clients of honest validators were told with what is in blocks.
    pub(crate) fn truth(&mut self, submissions: &[Submission], honest: impl Fn(usize) -> bool, at: Duration) {
        let mut by_id: BTreeMap<(usize, TransactionId), Vec<&Submission>> = BTreeMap::new();
        for submission in submissions.iter().filter(|one| honest(one.node)) {
            by_id.entry((submission.node, submission.id)).or_default().push(submission);
        }
        let mut lies = Vec::new();
        for ((node, id), submissions) in &by_id {
            let mut outcomes = self.outcomes.get(&(*node, *id)).cloned().unwrap_or_default();
            let in_blocks = outcomes.len();
            let mut refused = 0;
            for told in submissions.iter().filter_map(|one| one.told) {
                let outcome = match told {
                    Verdict::Committed => Outcome::Applied,
                    Verdict::Failed(outcome) => outcome,
                    Verdict::Refused(_) => {
                        refused += 1;
                        continue;
                    }
                };
                match outcomes.iter().position(|one| *one == outcome) {
                    Some(found) => drop(outcomes.swap_remove(found)),
                    None => lies.push(format!(
                        "truth: v{node} told a client {told} of {id:.16}, which no block of its batches says"
                    )),
                }
            }
            if in_blocks > submissions.len() - refused {
                lies.push(format!(
                    "truth: v{node} refused {id:.16} {refused} times of {}, yet it is {in_blocks} times in its batches",
                    submissions.len()
                ));
            }
        }
        lies.into_iter().for_each(|lie| self.violation(at, lie));
    }
}
