//! What must hold in every run, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::execute::oracle::OracleOutcome;
use engine::execute::{ChainState, Delivered, Delta, Leg, Table};
use engine::limits::{BLOCK_BATCHES_MAX, BLOCK_PACKETS_MAX, PACKET_BYTES, TIME_AHEAD_MAX_MS};
use engine::replica::Job;
use engine::roots::OracleLedger;
use engine::types::{
    AccountId, ChainId, ChainTime, Digest, Genesis, Height, Outcome, PacketRun, Transaction, TransactionId,
    Verdict,
};
use engine::wire::Header;
use kernels::merkle::{ArrayTree, leaf_hash};

use crate::clients::Submission;
use crate::decisions::Decisions;
use crate::environment::WINDOWS;
use crate::fingerprints::Fingerprints;
use crate::flows::{Moved, moved};
use crate::keys::Keys;
use crate::reserved::{Reserved, Rows, reservations};

/// What one batch of a block holds.
#[derive(Clone, Debug)]
struct OrderedBatch {
    author: usize,
    chain: ChainId,
    /// The height by which the batch is judged.
    as_of: Height,
    /// Packets of its transactions.
    packets: usize,
    /// Each transaction with its id.
    transactions: Vec<(TransactionId, Transaction)>,
}

/// A block, before it is known what its execution gave.
#[derive(Clone, Debug)]
pub(crate) struct Ordered {
    batches: usize,
    pub(crate) height: Height,
    pub(crate) digest: Digest,
    /// The root of its log of earlier headers.
    log: Digest,
    header: Header,
    sections: Vec<OrderedBatch>,
}

impl Ordered {
    /// `authors`: whose keys they have. `known`: nobody needs the transactions a second time.
    pub(crate) fn of(job: &Job, (network, authors): (&Digest, &[usize]), known: bool) -> Self {
        let mut sections = Vec::new();
        for batch in job.batches.iter().filter(|_| !known) {
            for (chain, packets) in batch.sections() {
                let transaction = |run: PacketRun<'_>| {
                    let transaction = run.transaction().expect("a verified batch holds transactions");
                    (run.id(network), transaction)
                };
                sections.push(OrderedBatch {
                    author: authors[usize::from(batch.id().author.0)],
                    chain,
                    as_of: batch.as_of(),
                    packets: packets.len(),
                    transactions: PacketRun::all(packets).map(transaction).collect(),
                });
            }
        }
        let block = job.block.value();
        Self {
            batches: job.batches.len(),
            height: block.height(),
            digest: *block.digest(),
            log: Digest(block.header().log.root()),
            header: block.header().clone(),
            sections,
        }
    }
}

impl Ordered {
    /// The broken rule of nonces: a payment that has failed before fails once more, instead of being a repetition.
    pub(crate) fn fail_again(&self, executed: &mut [OnChain], failed: &mut BTreeSet<TransactionId>) {
        for OnChain { chain, found, .. } in executed {
            let of_chain = self.sections.iter().filter(|section| section.chain == *chain);
            let ids = of_chain.flat_map(|section| section.transactions.iter().map(|(id, _)| *id));
            for (id, outcome) in ids.zip(&mut found.outcomes) {
                match *outcome {
                    Outcome::InsufficientBalance => drop(failed.insert(id)),
                    Outcome::Replayed if failed.contains(&id) => *outcome = Outcome::InsufficientBalance,
                    _ => {}
                }
            }
        }
    }
}

/// What a block did on one chain.
#[derive(Clone, Debug)]
pub(crate) struct OnChain {
    chain: ChainId,
    found: OracleOutcome,
    reservations: Rows,
    moved: Moved,
}

impl OnChain {
    pub(crate) fn of(delta: &Delta) -> Self {
        let found = OracleOutcome {
            outcomes: delta.outcomes().to_vec(),
            inbox: delta.inbox().to_vec(),
            outbox: delta.outbox().to_vec(),
            issuance: delta.issuance(),
            opened: delta.opened().to_vec(),
            keys: delta.keys().to_vec(),
            effects: delta.effects().to_vec(),
        };
        Self { chain: delta.chain(), found, reservations: reservations(delta), moved: moved(delta) }
    }

    /// The broken rule of crossings: the last delivery comes twice.
    pub(crate) fn deliver_again(&mut self) {
        self.found.inbox.extend(self.found.inbox.last().copied());
    }

    /// The broken rule of fingerprints: what is registered already is registered again.
    pub(crate) fn register_again(&mut self) {
        for outcome in &mut self.found.outcomes {
            if *outcome == Outcome::FingerprintTaken {
                *outcome = Outcome::Applied;
            }
        }
    }

    /// The broken rule of keys: an account that has got a key gets it again.
    pub(crate) fn give_again(&mut self) {
        self.found.keys.extend(self.found.keys.last().copied());
    }

    /// The broken rule of effects: the last one is told twice.
    pub(crate) fn tell_again(&mut self) {
        self.found.effects.extend(self.found.effects.last().copied());
    }

    /// The broken rule of approvals: who has approved a proposal approves it again.
    pub(crate) fn approve_again(&mut self) {
        for outcome in &mut self.found.outcomes {
            if *outcome == Outcome::ApprovedAlready {
                *outcome = Outcome::Applied;
            }
        }
    }

    /// The broken rule of pauses: a chain that is paused takes what it is given.
    pub(crate) fn take_while_paused(&mut self) {
        for outcome in &mut self.found.outcomes {
            if *outcome == Outcome::ChainPaused {
                *outcome = Outcome::Applied;
            }
        }
    }

    /// The broken rule of settlements: what was settled already is settled again.
    pub(crate) fn settle_again(&mut self) {
        for outcome in &mut self.found.outcomes {
            if *outcome == Outcome::NotReserved {
                *outcome = Outcome::Applied;
            }
        }
    }

    /// The broken rule of flows: of all that an account gets, one is missing.
    pub(crate) fn lose_one(&mut self) {
        for amount in self.moved.values_mut().filter(|amount| **amount > 1) {
            *amount -= 1;
        }
    }

    /// The broken rule of time-outs: what is set aside is not kept.
    pub(crate) fn release_early(&mut self) {
        self.reservations.retain(|(_, after)| after.is_none());
    }

    /// The broken rule of terms: an offer is taken also by who says something else of it.
    pub(crate) fn take_otherwise(&mut self) {
        for came in self.found.inbox.iter_mut().filter(|came| came.outcome == Outcome::OtherTerms) {
            came.outcome = Outcome::Applied;
        }
    }

    /// The broken rule of swaps: the price comes back although the offer is taken.
    pub(crate) fn refund_swapped(&mut self) {
        for came in &mut self.found.inbox {
            if let Leg::Swapped(_) = came.delivery.leg {
                came.delivery.leg = Leg::Refund(Outcome::NotReserved);
            }
        }
    }

    /// The broken rule of issues: what was issued is counted twice.
    pub(crate) fn count_again(&mut self) {
        self.found.issuance.issued *= 2;
    }
}

/// The one history that everybody must share.
#[derive(Debug)]
pub(crate) struct Checks {
    /// The definition of execution and of state roots.
    oracle: OracleLedger,
    /// Payments between chains that are not decided: in batches of which author, and since which height.
    crossing: BTreeMap<TransactionId, (usize, Height)>,
    /// Digest and root of each height, from 1.
    history: Vec<(Digest, Digest)>,
    /// The tree over the digests of the history, from the network id on.
    log: ArrayTree,
    /// What became of transactions in batches of an author.
    outcomes: BTreeMap<(usize, TransactionId), Vec<Outcome>>,
    applied: BTreeMap<TransactionId, Height>,
    /// Payments between chains that arrived, and that came back.
    pub(crate) crossed: (usize, usize),
    spent: BTreeMap<(ChainId, u64, u64), Height>,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) keys: Keys,
    pub(crate) decisions: Decisions,
    pub(crate) reserved: Reserved,
    pub(crate) violations: Vec<String>,
}

impl Checks {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        Self {
            oracle: OracleLedger::genesis(genesis),
            crossing: BTreeMap::new(),
            history: Vec::new(),
            log: ArrayTree::new([leaf_hash(&genesis.network().0)].into()),
            outcomes: BTreeMap::new(),
            applied: BTreeMap::new(),
            crossed: (0, 0),
            spent: BTreeMap::new(),
            fingerprints: Fingerprints::default(),
            keys: Keys::new(WINDOWS),
            decisions: Decisions::new(genesis),
            reserved: Reserved::default(),
            violations: Vec::new(),
        }
    }

    /// How many transactions were applied.
    pub(crate) fn applied(&self) -> usize {
        self.applied.len()
    }

    /// What became of the transactions in batches.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        self.outcomes.values().flatten().copied()
    }

    /// How a chain that has executed everything differs from the definition.
    pub(crate) fn differs(&self, chain: &ChainState, table: &Table) -> Option<String> {
        let (_, oracle) = self.oracle.oracles().find(|(of, _)| *of == chain.chain())?;
        if !oracle.table().agrees(table) {
            return Some(format!("has not the table of chain {} as it is defined", chain.chain()));
        }
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
        let packets: usize = sections.iter().map(|section| section.packets).sum();
        if *batches > BLOCK_BATCHES_MAX || packets > BLOCK_PACKETS_MAX {
            let what =
                format!("limits: the block at height {height} takes {packets} packets in {batches} batches");
            self.violation(at, what);
        }
    }

    /// A block takes no more of a chain than its quota, unless it is all in one batch.
    fn quotas(&mut self, height: Height, sections: &[OrderedBatch], at: Duration) {
        let mut taken: BTreeMap<ChainId, (usize, usize)> = BTreeMap::new();
        for section in sections {
            let (batches, packets) = taken.entry(section.chain).or_default();
            (*batches, *packets) = (*batches + 1, *packets + section.packets);
        }
        for (chain, (_, packets)) in taken.into_iter().filter(|(_, (batches, _))| *batches > 1) {
            if let Err(wrong) = self.decisions.fits(chain, packets * PACKET_BYTES, height) {
                self.violation(at, format!("quota: {wrong}"));
            }
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
        executed: &[OnChain],
        clock_ms: u64,
        at: Duration,
    ) {
        let Ordered { height, digest, log, header, sections, .. } = ordered;
        let time_ms = header.time_ms;
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
        if log.0 != self.log.root() {
            self.violation(at, format!("log: the block at height {height} has not the log of all before it"));
        }
        self.log.append(&[leaf_hash(&digest.0)]);
        self.history.push((*digest, root));
        if time_ms > clock_ms + TIME_AHEAD_MAX_MS {
            self.violation(
                at,
                format!("time: the block at height {height} lies {} s ahead", (time_ms - clock_ms) / 1_000),
            );
        }
        if let Err(wrong) = self.decisions.epoch(header) {
            self.violation(at, format!("epochs: {wrong}"));
        }
        let moment = ChainTime::new(*height, time_ms).in_epoch(header.epoch);
        self.decisions.begin(*height);
        self.quotas(*height, sections, at);
        for OnChain { chain, found, .. } in executed {
            self.reserved.begin(*chain, self.decisions.status(*chain, *height), moment);
            for (account, key) in &found.keys {
                if let Err(wrong) = self.keys.given((*chain, *account), key, moment) {
                    self.violation(at, format!("keys: {wrong}"));
                }
            }
        }
        self.compare(moment, sections, (root, executed), at);
        self.arrivals(*height, executed, at);
        let mut rest: BTreeMap<ChainId, &[Outcome]> =
            executed.iter().map(|of| (of.chain, of.found.outcomes.as_slice())).collect();
        for section in sections {
            if let Err(wrong) = self.decisions.taken(section.chain, section.as_of, *height) {
                self.violation(at, format!("decisions: {wrong}"));
            }
            let Some(of_chain) = rest.get_mut(&section.chain) else { continue };
            for (id, packet) in &section.transactions {
                let Some((outcome, left)) = of_chain.split_first() else {
                    self.violation(at, format!("outcomes: too few at height {height}"));
                    return;
                };
                *of_chain = left;
                if *outcome == Outcome::Applied
                    && let Err(wrong) = self.fingerprints.applied(packet, *height)
                {
                    self.violation(at, format!("fingerprints: {wrong}"));
                }
                self.decisions.lacked += usize::from(*outcome == Outcome::TooFewConsents);
                if *outcome == Outcome::WrongKeyVersion {
                    self.keys.refused(packet);
                }
                if !outcome.is_failure()
                    && let Err(wrong) = self.keys.applied(packet, moment)
                {
                    self.violation(at, format!("keys: {wrong}"));
                }
                if !outcome.is_failure()
                    && let Err(wrong) = self.decisions.applied(packet, moment)
                {
                    self.violation(at, format!("decisions: {wrong}"));
                }
                if let Err(wrong) = self.reserved.executed((*id, packet), *outcome, moment) {
                    self.violation(at, format!("reservations: {wrong}"));
                }
                self.transaction(
                    (section.author, *id),
                    (section.chain, packet.debit().0, packet.nonce()),
                    *outcome,
                    *height,
                    at,
                );
            }
        }
        for OnChain { chain, reservations, moved, .. } in executed {
            if let Err(wrong) = self.reserved.compare(*chain, reservations, *height) {
                self.violation(at, format!("reservations: {wrong}"));
            }
            if let Err(wrong) = self.reserved.flows.compare(*chain, moved) {
                self.violation(at, format!("flows: at height {height} {wrong}"));
            }
        }
        if let Err(wrong) = self.reserved.whole(*height) {
            self.violation(at, format!("swaps: {wrong}"));
        }
    }

    /// Compares outcomes and the state root with those of the definition. Every other honest validator must have this
    /// root, so at each height that it executes, its accounts and tables are those of the definition, too.
    fn compare(
        &mut self,
        moment: ChainTime,
        sections: &[OrderedBatch],
        (root, executed): (Digest, &[OnChain]),
        at: Duration,
    ) {
        let height = moment.height;
        let defined = self.oracle.execute(moment, |chain| {
            let of_chain = sections.iter().filter(|section| section.chain == chain);
            of_chain.flat_map(|section| section.transactions.iter().map(|(_, one)| one.run())).collect()
        });
        for (OnChain { chain, found, .. }, expected) in executed.iter().zip(&defined.outcomes) {
            let places = 0..expected.outcomes.len();
            let differs = |place: &usize| expected.outcomes.get(*place) != found.outcomes.get(*place);
            if let Some(place) = places.into_iter().find(differs) {
                let (expected, found) = (expected.outcomes[place], found.outcomes.get(place));
                let what = format!(
                    "execution: height {height} gives {found:?} for transaction {place}, not {expected:?}"
                );
                self.violation(at, what);
            } else if (&expected.inbox, &expected.outbox) != (&found.inbox, &found.outbox) {
                let what = format!("crossing: height {height} moves other money to or from chain {chain}");
                self.violation(at, what);
            } else if expected.keys != found.keys {
                let what = format!("keys: height {height} gives accounts of chain {chain} other keys");
                self.violation(at, what);
            } else if expected.opened != found.opened {
                let what = format!("accounts: height {height} opens others on chain {chain}");
                self.violation(at, what);
            } else if expected.effects != found.effects {
                let what =
                    format!("effects: at height {height} something else takes effect on chain {chain}");
                self.violation(at, what);
            } else if expected.issuance != found.issuance {
                let (expected, found) = (expected.issuance, found.issuance);
                let what =
                    format!("issuance: height {height} gives {found:?} on chain {chain}, not {expected:?}");
                self.violation(at, what);
            }
        }
        if defined.state_root != root {
            self.violation(at, format!("roots: height {height} has not the state root of the definition"));
        }
    }

    /// What came from other chains: each payment is decided once, within two heights.
    fn arrivals(&mut self, height: Height, executed: &[OnChain], at: Duration) {
        for (chain, came) in executed.iter().flat_map(|of| of.found.inbox.iter().map(|came| (of.chain, came)))
        {
            if let Err(wrong) = self.decisions.arrived(chain, came, height) {
                self.violation(at, format!("decisions: {wrong}"));
            }
            let status = self.decisions.status(chain, height);
            if let Err(wrong) = self.reserved.arrived(chain, status, came, height) {
                self.violation(at, format!("swaps: {wrong}"));
            }
            let Delivered { delivery, outcome } = came;
            let id = delivery.crossing.transaction;
            let decided = match delivery.leg {
                Leg::Credit | Leg::Take(_) if *outcome == Outcome::Applied => Outcome::Applied,
                Leg::Credit | Leg::Take(_) | Leg::Swapped(_) => continue,
                Leg::Refund(reason) => reason,
            };
            let Some((author, _)) = self.crossing.remove(&id) else {
                self.violation(
                    at,
                    format!("crossing: {id:.16} is decided at height {height}, but not in flight"),
                );
                continue;
            };
            match decided {
                Outcome::Applied => self.crossed.0 += 1,
                _ => self.crossed.1 += 1,
            }
            self.ended((author, id), decided, height, at);
        }
        let late = self.crossing.iter().find(|(_, (_, sent))| sent.0 + 2 <= height.0);
        if let Some((id, (_, sent))) = late {
            self.violation(
                at,
                format!("crossing: {id:.16}, sent at height {sent}, is open after height {height}"),
            );
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

    /// A transaction in a batch of an author has its final outcome.
    fn ended(
        &mut self,
        (author, id): (usize, TransactionId),
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
    }

    fn transaction(
        &mut self,
        (author, id): (usize, TransactionId),
        slot: (ChainId, u64, u64),
        outcome: Outcome,
        height: Height,
        at: Duration,
    ) {
        if outcome == Outcome::Sent {
            self.crossing.insert(id, (author, height));
        } else {
            self.ended((author, id), outcome, height, at);
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
        let submissions = submissions.iter().filter(|one| honest(one.node));
        for mistold in self.fingerprints.mistold(submissions.clone()) {
            self.violation(at, format!("fingerprints: {mistold}"));
        }
        let mut by_id: BTreeMap<(usize, TransactionId), Vec<&Submission>> = BTreeMap::new();
        for submission in submissions {
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
