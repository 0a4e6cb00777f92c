//! State roots by the definition: for the audit, and for tests to compare with.
//!
//! An independent second reading of what a height does. Execution is [`crate::execute::oracle`], the tree is
//! [`merkle`], hashes are those of the `sha2` crate, and every leaf is written out here again, so that a mistake in the
//! fast executor, in the fast trees or in an encoding shows as a difference instead of being repeated.

mod merkle;
mod restore;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use self::restore::{OracleRestoreError, PlainState};

use self::merkle::{Hash, MerkleTree, leaf_hash, root_of, sha256};
use super::ChainEntry;
use crate::execute::AccountState;
use crate::execute::oracle::{Oracle, OracleOutcome};
use crate::execute::{Delivered, Delivery, Leg, ReplayWindow};
use crate::types::{
    AccountFlags, AccountId, Action, ChainGenesis, ChainId, ChainKind, ChainStatus, ChainTime, Content,
    Decision, Digest, Effect, FirstMembers, Genesis, Height, Members, Order, PacketRun, RULES_FIRST,
    TransactionId,
};

/// What a height did, by the oracles.
#[derive(Debug, PartialEq, Eq)]
pub struct OracleExecuted {
    /// The root over all chains.
    pub state_root: Digest,
    /// What the root says of each chain, ascending.
    pub entries: Vec<ChainEntry>,
    /// What happened on each chain, ascending.
    pub outcomes: Vec<OracleOutcome>,
    /// SHA-256 of the digests of all chains' deltas, ascending.
    pub delta_digest: Digest,
}

/// An oracle and a tree for each chain. Leaves are hashed anew for every account that a transaction names, changed or
/// not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleLedger {
    network: Digest,
    chains: Vec<Chain>,
    /// What was sent in the last height, in the order of the chains.
    in_flight: Vec<Delivery>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    id: ChainId,
    oracle: Oracle,
    accounts: MerkleTree,
    table: MerkleTree,
}

impl OracleLedger {
    /// The beginning of a network.
    pub fn genesis(genesis: &Genesis) -> Self {
        let chain = |chain: &ChainGenesis| {
            let oracle = Oracle::beginning(chain, genesis.chains(), FirstMembers::of(genesis));
            let leaves: Vec<_> = (0..)
                .map(AccountId)
                .zip(oracle.account_states())
                .map(|(id, at)| account_leaf(id, &at))
                .collect();
            let table = MerkleTree::new(&[leaf_hash(&[0; 64])]);
            Chain { id: chain.id, oracle, accounts: MerkleTree::new(&leaves), table }
        };
        let chains = genesis.chains().iter().map(chain).collect();
        Self { network: *genesis.network(), chains, in_flight: Vec::new() }
    }

    /// Executes a height. `transactions` gives those of a chain in the order of the block.
    pub fn execute<'a>(
        &mut self,
        at: ChainTime,
        transactions: impl Fn(ChainId) -> Vec<PacketRun<'a>>,
    ) -> OracleExecuted {
        self.take_effect(at.height);
        let rules = self.chains.iter().find_map(|chain| chain.oracle.rules_of(at.epoch));
        let at = at.by(rules.unwrap_or(RULES_FIRST));
        let mut entries = Vec::new();
        let mut outcomes = Vec::new();
        let mut deltas = Vec::new();
        let came = std::mem::take(&mut self.in_flight);
        for chain in &mut self.chains {
            let is_mine = |delivery: &&Delivery| match delivery.leg {
                Leg::Credit | Leg::Take(_) => delivery.crossing.destination == chain.id,
                Leg::Refund(_) | Leg::Swapped(_) => delivery.crossing.source == chain.id,
            };
            let inbox: Vec<Delivery> = came.iter().filter(is_mine).copied().collect();
            let (entry, of_chain, delta) = chain.execute(&self.network, at, &inbox, &transactions(chain.id));
            self.in_flight.extend_from_slice(&of_chain.outbox);
            entries.push(entry);
            outcomes.push(of_chain);
            deltas.push(delta);
        }
        OracleExecuted {
            state_root: state_root(at.height, &entries),
            entries,
            outcomes,
            delta_digest: Digest(sha256(&deltas.concat())),
        }
    }

    /// Decisions take effect: chains are created, and every chain obeys what is decided about it.
    fn take_effect(&mut self, height: Height) {
        let orders: Vec<Order> = self.chains.iter().flat_map(|chain| chain.oracle.orders(height)).collect();
        for Order { decision, .. } in &orders {
            let Decision::Create(new) = decision else { continue };
            for chain in &mut self.chains {
                chain.oracle.others.insert(new.id, (new.kind, new.asset));
            }
            let mut others = self.chains[0].oracle.others.clone();
            others.insert(new.id, (new.kind, new.asset));
            let oracle = Oracle::created(new, others);
            let (accounts, table) = (MerkleTree::new(&[]), MerkleTree::new(&[leaf_hash(&[0; 64])]));
            self.chains.push(Chain { id: new.id, oracle, accounts, table });
        }
        for chain in &mut self.chains {
            chain.oracle.obey(height, &orders);
        }
    }

    /// What is in flight between chains after the last height.
    pub fn in_flight(&self) -> &[Delivery] {
        &self.in_flight
    }

    /// The members that were decided last, with their epoch, which need not have begun yet, and in which height.
    pub fn decided_members(&self) -> Option<(Height, Members)> {
        self.chains.iter().find_map(|chain| chain.oracle.decided_members())
    }

    /// The oracle of each chain.
    pub fn oracles(&self) -> impl ExactSizeIterator<Item = (ChainId, &Oracle)> {
        self.chains.iter().map(|chain| (chain.id, &chain.oracle))
    }
}

impl Chain {
    /// The chain's entry, its outcomes, and the digest of its delta.
    fn execute(
        &mut self,
        network: &Digest,
        at: ChainTime,
        inbox: &[Delivery],
        transactions: &[PacketRun<'_>],
    ) -> (ChainEntry, OracleOutcome, Hash) {
        let of_transactions = transactions.iter().flat_map(|run| named_by(*run));
        let of_inbox = inbox.iter().flat_map(|came| match came.leg {
            Leg::Swapped(to) => vec![to],
            _ => vec![came.crossing.payer, came.crossing.payee],
        });
        let due = self.oracle.pending().chain(self.oracle.payers_due(at.time_ms));
        let named: BTreeSet<_> = of_transactions.chain(of_inbox).chain(due).collect();
        let states = |oracle: &Oracle| -> Vec<_> {
            named.iter().filter_map(|id| Some((*id, oracle.account_state(*id)?))).collect()
        };
        let before = states(&self.oracle);
        let id = |run: &PacketRun<'_>| TransactionId(sha256(&run.message(network)));
        let with_ids = transactions.iter().map(|run| (id(run), *run));
        let outcome = self.oracle.execute(at, inbox, with_ids);
        let after = states(&self.oracle);

        for key in &outcome.opened {
            let id = AccountId(self.accounts.len() as u64);
            self.accounts.push(account_leaf(id, &AccountState::opened(*key)));
        }
        let leaves: Vec<_> =
            after.iter().map(|(id, state)| (id.0 as usize, account_leaf(*id, state))).collect();
        self.accounts.replace(&leaves);
        let rows = self.rows();
        for (place, row) in &rows {
            match *place < self.table.len() {
                true => self.table.replace(&[(*place, leaf_hash(row))]),
                false => self.table.push(leaf_hash(row)),
            }
        }

        let leaves: Vec<_> = transactions
            .iter()
            .zip(&outcome.outcomes)
            .map(|(run, outcome)| leaf_hash(&[&id(run).0[..], &[outcome.code()]].concat()))
            .collect();
        let outbox: Vec<_> = outcome.outbox.iter().map(|sent| leaf_hash(&delivery(sent))).collect();
        let inbox: Vec<_> = outcome.inbox.iter().map(|came| leaf_hash(&delivered(came))).collect();
        let entry = ChainEntry {
            chain: self.id,
            kind: self.oracle.kind(),
            status: self.oracle.is.status,
            asset: self.oracle.is.asset,
            transactions_root: Digest(root_of(&leaves)),
            transactions: transactions.len() as u64,
            accounts_root: Digest(self.accounts.root()),
            accounts: self.oracle.accounts().len() as u64,
            outbox_root: Digest(root_of(&outbox)),
            outbox: outbox.len() as u64,
            inbox_root: Digest(root_of(&inbox)),
            inbox: inbox.len() as u64,
            table_root: Digest(self.table.root()),
            rows: self.table.len() as u64,
            issuance: self.oracle.issuance(),
        };

        // An account that was opened was an empty one before, and counts as changed if it no longer is.
        let before: BTreeMap<AccountId, AccountState> = before.into_iter().collect();
        let differs = |(id, after): &(AccountId, AccountState)| match before.get(id) {
            Some(before) => after != before,
            None => {
                after.balance != 0
                    || after.window != ReplayWindow::default()
                    || after.flags != AccountFlags::OPEN
            }
        };
        let changes: Vec<_> = after.into_iter().filter(differs).collect();
        let delta = delta_digest(self.id, at.height, &outcome, &changes, &rows);
        (entry, outcome, delta)
    }

    /// The rows that the height has made or changed, ascending, each with its leaf.
    fn rows(&mut self) -> Vec<(usize, Vec<u8>)> {
        let places = self.oracle.table.take_changed();
        let leaves = places.into_iter().map(|place| (place, self.oracle.table.leaf(place)));
        let kept =
            |place: usize, row: &[u8]| place < self.table.len() && self.table.leaf(place) == leaf_hash(row);
        leaves.filter(|(place, row)| !kept(*place, row)).collect()
    }
}

/// The root over all chains: a leaf with height and number of chains, then one for each chain.
fn state_root(height: Height, entries: &[ChainEntry]) -> Digest {
    let chains = entries.len() as u32;
    let height_leaf = leaf_hash(&[&height.0.to_le_bytes()[..], &chains.to_le_bytes()].concat());
    let leaves: Vec<_> = std::iter::once(height_leaf).chain(entries.iter().map(entry_leaf)).collect();
    Digest(root_of(&leaves))
}

/// Every account that a transaction may change.
fn named_by(run: PacketRun<'_>) -> Vec<AccountId> {
    match run.content().expect("a verified batch holds transactions") {
        Content::Transfer(of) => vec![of.debit, of.credit],
        Content::Command(of) => match of.action {
            Action::Issue { to: account, .. } | Action::Freeze { account, .. } => vec![of.authority, account],
            Action::Burn { .. } | Action::Close | Action::Cancel { .. } => vec![of.authority],
        },
        Content::Opening(of) => vec![of.registrar],
        Content::Attest(of) => vec![of.owner],
        Content::Revoke(of) => vec![of.owner],
        Content::Rekey(of) => vec![of.account],
        Content::Protect(of) => vec![of.account],
        Content::Recover(of) => vec![of.signer, of.account],
        Content::Propose(of) => vec![of.administrator],
        Content::Approve(of) => vec![of.administrator],
        Content::Reserve(of) => vec![of.envelope.signer, of.payee],
        Content::Settle(of) => vec![of.envelope.signer, of.reservation.payer, of.payee],
        Content::Offer(of) => vec![of.envelope.signer],
        Content::Take(of) => vec![of.envelope.signer],
        Content::Linked(of) => {
            std::iter::once(of.debit).chain(of.payments.iter().map(|payment| payment.to)).collect()
        }
    }
}

/// id | key | key version | balance | base of the window | used nonces of the window | flags
fn account_leaf(id: AccountId, account: &AccountState) -> Hash {
    let mut leaf = Vec::new();
    leaf.extend(id.0.to_le_bytes());
    leaf.extend(account.key);
    leaf.extend(account.key_version.to_le_bytes());
    leaf.extend(account.balance.to_le_bytes());
    leaf.extend(account.window.base.to_le_bytes());
    leaf.extend(account.window.used.to_le_bytes());
    leaf.extend(account.flags.bits().to_le_bytes());
    leaf_hash(&leaf)
}

/// 0 or the reason of a refund or 254 to an offer or 255 swapped | transaction id | source | payer | destination |
/// payee | amount | account of the offer | nonce of the offer | amount of the offer | account for the price
fn delivery(Delivery { leg, crossing }: &Delivery) -> Vec<u8> {
    let (code, terms) = match leg {
        Leg::Credit => (0, [0; 4]),
        Leg::Refund(reason) => (reason.code(), [0; 4]),
        Leg::Take(of) => (254, [of.offer.payer.0, of.offer.nonce, of.amount, of.to.0]),
        Leg::Swapped(to) => (255, [0, 0, 0, to.0]),
    };
    let mut leaf = vec![code];
    leaf.extend(crossing.transaction.0);
    leaf.extend(crossing.source.0.to_le_bytes());
    leaf.extend(crossing.payer.0.to_le_bytes());
    leaf.extend(crossing.destination.0.to_le_bytes());
    leaf.extend(crossing.payee.0.to_le_bytes());
    leaf.extend(crossing.amount.to_le_bytes());
    leaf.extend(terms.iter().flat_map(|number| number.to_le_bytes()));
    leaf
}

/// delivery | outcome
fn delivered(came: &Delivered) -> Vec<u8> {
    let mut leaf = delivery(&came.delivery);
    leaf.push(came.outcome.code());
    leaf
}

/// chain | kind | status | asset | root and number of transactions | of accounts | of the outbox | of the inbox |
/// of rows | issued | burned
fn entry_leaf(entry: &ChainEntry) -> Hash {
    let mut leaf = Vec::new();
    leaf.extend(entry.chain.0.to_le_bytes());
    leaf.extend(match entry.kind {
        ChainKind::Transfers => [1, 0],
        ChainKind::Attestations => [2, 0],
        ChainKind::Governance => [3, 0],
    });
    leaf.push(match entry.status {
        ChainStatus::Active => 0,
        ChainStatus::Paused => 1,
        ChainStatus::Closed => 2,
    });
    leaf.extend(entry.asset.0);
    leaf.extend(entry.transactions_root.0);
    leaf.extend(entry.transactions.to_le_bytes());
    leaf.extend(entry.accounts_root.0);
    leaf.extend(entry.accounts.to_le_bytes());
    leaf.extend(entry.outbox_root.0);
    leaf.extend(entry.outbox.to_le_bytes());
    leaf.extend(entry.inbox_root.0);
    leaf.extend(entry.inbox.to_le_bytes());
    leaf.extend(entry.table_root.0);
    leaf.extend(entry.rows.to_le_bytes());
    leaf.extend(entry.issuance.issued.to_le_bytes());
    leaf.extend(entry.issuance.burned.to_le_bytes());
    leaf_hash(&leaf)
}

/// chain | height | count | outcomes | count | (account | balance | base of the window | used nonces | flags | key
/// version) of each changed account | count | inbox | count | outbox | issued | burned | count | keys of opened
/// accounts
/// | count | (account | key) of each account with another key | count | what took effect by itself, as a journal has it
/// | count | (place | bytes | key | next key | value) of each changed place, with no bytes where no row is
fn delta_digest(
    chain: ChainId,
    height: Height,
    outcome: &OracleOutcome,
    changes: &[(AccountId, AccountState)],
    rows: &[(usize, Vec<u8>)],
) -> Hash {
    let mut delta = Vec::new();
    delta.extend(chain.0.to_le_bytes());
    delta.extend(height.0.to_le_bytes());
    delta.extend((outcome.outcomes.len() as u32).to_le_bytes());
    delta.extend(outcome.outcomes.iter().map(|outcome| outcome.code()));
    delta.extend((changes.len() as u32).to_le_bytes());
    for (account, after) in changes {
        delta.extend(account.0.to_le_bytes());
        delta.extend(after.balance.to_le_bytes());
        delta.extend(after.window.base.to_le_bytes());
        delta.extend(after.window.used.to_le_bytes());
        delta.extend(after.flags.bits().to_le_bytes());
        delta.extend(after.key_version.to_le_bytes());
    }
    delta.extend((outcome.inbox.len() as u32).to_le_bytes());
    delta.extend(outcome.inbox.iter().flat_map(delivered));
    delta.extend((outcome.outbox.len() as u32).to_le_bytes());
    delta.extend(outcome.outbox.iter().flat_map(delivery));
    delta.extend(outcome.issuance.issued.to_le_bytes());
    delta.extend(outcome.issuance.burned.to_le_bytes());
    delta.extend((outcome.opened.len() as u32).to_le_bytes());
    delta.extend(outcome.opened.iter().flatten());
    delta.extend((outcome.keys.len() as u32).to_le_bytes());
    for (account, key) in &outcome.keys {
        delta.extend(account.0.to_le_bytes());
        delta.extend(key);
    }
    delta.extend((outcome.effects.len() as u32).to_le_bytes());
    for effect in &outcome.effects {
        match *effect {
            Effect::InEffect { proposal } => delta.extend([&[1][..], &proposal.0].concat()),
            Effect::Changed { account, change, what, stands } => {
                let numbers = [account.0.to_le_bytes(), change.to_le_bytes()].concat();
                delta.extend([&[2][..], &numbers, &[what as u8, u8::from(stands)]].concat());
            }
            Effect::Released { payer, nonce, amount } => {
                let numbers = [payer.0, nonce, amount].map(u64::to_le_bytes);
                delta.extend([&[3][..], numbers.as_flattened()].concat());
            }
        }
    }
    delta.extend((rows.len() as u32).to_le_bytes());
    for (place, row) in rows {
        delta.extend((*place as u32).to_le_bytes());
        delta.extend((row.len() as u32).to_le_bytes());
        delta.extend(row);
    }
    sha256(&delta)
}
