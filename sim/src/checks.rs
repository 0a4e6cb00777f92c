//! What must hold in every run, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::execute::ChainState;
use engine::execute::oracle::Oracle;
use engine::limits::{BLOCK_BATCHES_MAX, BLOCK_TRANSACTIONS_MAX, TIME_AHEAD_MAX_MS};
use engine::replica::Job;
use engine::types::{AccountId, ChainId, Digest, Genesis, Height, Outcome, Packet, TransactionId, Verdict};

use crate::clients::Submission;

/// What one batch of a block holds.
#[derive(Clone, Debug)]
struct OrderedBatch {
    author: usize,
    chain: ChainId,
    /// Id and packet of each transaction.
    transactions: Vec<(TransactionId, Packet)>,
}

/// A block, before it is known what its execution gave.
#[derive(Clone, Debug)]
pub(crate) struct Ordered {
    batches: usize,
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
                let transactions = packets.iter().map(|packet| (packet.id(network), *packet)).collect();
                sections.push(OrderedBatch { author: usize::from(batch.id().author.0), chain, transactions });
            }
        }
        let block = job.block.value();
        Self {
            batches: job.batches.len(),
            height: block.height(),
            digest: *block.digest(),
            time_ms: block.header().time_ms,
            sections,
        }
    }
}

impl Ordered {
    /// The broken rule of nonces: a payment that has failed before fails once more, instead of being a repetition.
    pub(crate) fn fail_again(
        &self,
        outcomes: &mut [(ChainId, Vec<Outcome>)],
        failed: &mut BTreeSet<TransactionId>,
    ) {
        for (chain, outcomes) in outcomes {
            let of_chain = self.sections.iter().filter(|section| section.chain == *chain);
            let ids = of_chain.flat_map(|section| section.transactions.iter().map(|(id, _)| *id));
            for (id, outcome) in ids.zip(outcomes) {
                match *outcome {
                    Outcome::InsufficientBalance => drop(failed.insert(id)),
                    Outcome::Replayed if failed.contains(&id) => *outcome = Outcome::InsufficientBalance,
                    _ => {}
                }
            }
        }
    }
}

/// The one history that everybody must share.
#[derive(Debug)]
pub(crate) struct Checks {
    /// The definition of execution.
    oracles: BTreeMap<ChainId, Oracle>,
    /// Digest and root of each height, from 1.
    history: Vec<(Digest, Digest)>,
    /// What became of transactions in batches of an author.
    outcomes: BTreeMap<(usize, TransactionId), Vec<Outcome>>,
    applied: BTreeMap<TransactionId, Height>,
    spent: BTreeMap<(ChainId, u64, u64), Height>,
    pub(crate) violations: Vec<String>,
}

impl Checks {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        Self {
            oracles: genesis.chains().iter().map(|chain| (chain.id, Oracle::genesis(chain))).collect(),
            history: Vec::new(),
            outcomes: BTreeMap::new(),
            applied: BTreeMap::new(),
            spent: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// How many transactions were applied.
    pub(crate) fn applied(&self) -> usize {
        self.applied.len()
    }

    /// How a chain that has executed everything differs from the definition.
    pub(crate) fn differs(&self, chain: &ChainState) -> Option<String> {
        let oracle = self.oracles.get(&chain.chain())?;
        let mut accounts = (0..).zip(oracle.account_states());
        let (account, _) = accounts
            .find(|(account, expected)| chain.account(AccountId(*account)).as_ref() != Some(expected))?;
        Some(format!("has account {account} of chain {} not as it is defined", chain.chain()))
    }

    pub(crate) fn violation(&mut self, at: Duration, what: String) {
        // What follows from the first ones is of little interest.
        if self.violations.len() < 20 {
            self.violations.push(format!("{:.3} s: {what}", at.as_secs_f64()));
        }
    }

    pub(crate) fn height(&self) -> u64 {
        self.history.len() as u64
    }

    /// Some honest validator is about to execute a block.
    pub(crate) fn finalized(&mut self, ordered: &Ordered, at: Duration) {
        let Ordered { batches, height, sections, .. } = ordered;
        let transactions: usize = sections.iter().map(|section| section.transactions.len()).sum();
        if *batches > BLOCK_BATCHES_MAX || transactions > BLOCK_TRANSACTIONS_MAX {
            let what = format!(
                "limits: the block at height {height} takes {transactions} transactions in {batches} batches"
            );
            self.violation(at, what);
        }
    }

    /// Whether a block is part of the history.
    pub(crate) fn has_ordered(&self, digest: &Digest) -> bool {
        self.history.iter().any(|(known, _)| known == digest)
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
        let Ordered { height, digest, time_ms, sections, .. } = ordered;
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
        self.compare(*height, sections, outcomes, at);
        let mut rest: BTreeMap<ChainId, &[Outcome]> =
            outcomes.iter().map(|(chain, outcomes)| (*chain, outcomes.as_slice())).collect();
        for section in sections {
            let Some(of_chain) = rest.get_mut(&section.chain) else { continue };
            for (id, packet) in &section.transactions {
                let Some((outcome, left)) = of_chain.split_first() else {
                    self.violation(at, format!("outcomes: too few at height {height}"));
                    return;
                };
                *of_chain = left;
                self.transaction(
                    (section.author, *id),
                    (section.chain, packet.debit().0, packet.nonce()),
                    *outcome,
                    *height,
                    at,
                );
            }
        }
    }

    /// Compares outcomes with those of the definition.
    fn compare(
        &mut self,
        height: Height,
        sections: &[OrderedBatch],
        outcomes: &[(ChainId, Vec<Outcome>)],
        at: Duration,
    ) {
        for (chain, found) in outcomes {
            let Some(oracle) = self.oracles.get_mut(chain) else { continue };
            let of_chain = sections.iter().filter(|section| section.chain == *chain);
            let packets = of_chain.flat_map(|section| section.transactions.iter().map(|(_, packet)| packet));
            let expected = oracle.execute(height, packets);
            if let Some(place) = (0..expected.len()).find(|place| expected.get(*place) != found.get(*place)) {
                let (expected, found) = (expected[place], found.get(place));
                let what = format!(
                    "execution: height {height} gives {found:?} for transaction {place}, not {expected:?}"
                );
                self.violation(at, what);
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
