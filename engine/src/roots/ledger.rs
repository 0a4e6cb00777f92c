//! All chains of a network: states and trees that move together, height by height.

use std::sync::Arc;

use super::lazy_trees::LazyTrees;
use super::proof::{AccountProof, ChainEntryProof, RowProof};
use super::{ChainEntry, StateRoot, TransactionTree, inbox_root, outbox_root, transaction_ids};
use crate::execute::{
    ChainState, Chains, Delivery, Delta, Key, Neighbour, Neighbours, StateWriter, Table, route,
};
use crate::order::NextMembers;
use crate::types::{
    AccountId, ChainId, ChainTime, Charter, Decision, Digest, Epoch, FirstMembers, Genesis, Height, Members,
    Order, RulesVersion,
};
use crate::verify::Verified;
use crate::wire::Batch;

/// What executing a height gave: evidence of the state root, and what was computed on the way.
#[derive(Debug)]
pub struct Executed {
    /// The root over all chains.
    pub state_root: StateRoot,
    /// One delta for each chain, ascending. A chain without one in the height before is created in this one.
    pub deltas: Vec<Delta>,
    /// One transaction tree for each chain, ascending.
    pub trees: Vec<TransactionTree>,
}

/// What a height has decided: what ordering must know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// What each chain is to be, and from which height on.
    pub charters: Vec<(ChainId, Charter)>,
    /// The members of the next epoch, which is the one after that of the block. It begins with a later block.
    pub members: Option<Members>,
}

impl Executed {
    /// What the height has decided.
    pub fn decided(&self) -> Decided {
        Decided {
            charters: self.deltas.iter().flat_map(Delta::decided).collect(),
            members: self.deltas.iter().find_map(|delta| delta.members().cloned()),
        }
    }
}

/// Why a snapshot is not what the network had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Not the chains that the entries name, in their order.
    #[error("the restored state does not have the chains that its entries name, in ascending order")]
    Chains,
    /// The accounts or the table of a chain do not have the root that they should have, or its sums are others.
    #[error(
        "the accounts or the table of chain {0} do not have the root of their entry, or other sums were issued and burned"
    )]
    Accounts(ChainId),
    /// What a chain has sent does not have the root that it should have.
    #[error("what chain {0} has sent to others does not have the root of its entry")]
    Outbox(ChainId),
    /// The entries do not have the state root of the network.
    #[error("the entries of the chains do not lead to the state root of the network")]
    StateRoot,
}

/// Heights that were executed again have led elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("executed again, it has the state root {0}")]
pub struct StateMismatch(
    /// The root that they have led to.
    pub Digest,
);

#[derive(Debug)]
struct Chain {
    writer: StateWriter,
    trees: LazyTrees,
}

/// The writers and trees of all chains. There is one in a validator; its thread is the only one that changes state.
#[derive(Debug)]
pub struct Ledger {
    network: Digest,
    chains: Vec<Chain>,
    /// The states, for readers.
    states: Chains,
    /// What each chain executes first in the next height.
    inboxes: Vec<Vec<Delivery>>,
    root: StateRoot,
    /// The members of the genesis.
    first: Members,
}

impl Ledger {
    /// The beginning of a network.
    pub fn genesis(genesis: &Genesis) -> Self {
        let mut chains = chains(genesis.chains().iter().map(StateWriter::genesis));
        govern(&mut chains, genesis);
        let nothing = TransactionTree::of(Vec::new(), &[]);
        let entries = chains.iter().map(|chain| chain.entry(&nothing, None)).collect();
        let inboxes = vec![Vec::new(); chains.len()];
        let (states, root) = (states(&chains), StateRoot::new(Height(0), entries));
        let first = Members::of_genesis(genesis);
        Self { network: *genesis.network(), chains, states, inboxes, root, first }
    }

    /// The ledger over states that were restored from a snapshot, with what the snapshot says of each chain and what
    /// each chain had sent in that height. Nothing is believed: accounts and outboxes must have the roots of the
    /// entries, and the entries the state root of the network.
    pub fn restore(
        genesis: &Genesis,
        height: Height,
        writers: Vec<StateWriter>,
        entries: Vec<ChainEntry>,
        outboxes: &[Vec<Delivery>],
        state_root: &Digest,
    ) -> Result<Self, RestoreError> {
        let mut chains = chains(writers.into_iter());
        let fits = |(chain, entry): (&Chain, &ChainEntry)| {
            let state = chain.writer.state();
            chain.writer.height() == height
                && (state.chain(), state.kind()) == (entry.chain, entry.kind)
                && (state.status(), state.asset()) == (entry.status, entry.asset)
                && chain.trees.roots() == (entry.accounts_root, entry.table_root)
                && chain.writer.table().is_in_order()
                && chain.writer.issuance() == entry.issuance
        };
        if chains.len() != entries.len() || chains.len() != outboxes.len() {
            return Err(RestoreError::Chains);
        }
        let sent = |(entry, outbox): (&ChainEntry, &Vec<Delivery>)| {
            outbox.iter().all(Delivery::is_canonical) && entry.outbox_root == outbox_root(outbox)
        };
        if let Some(at) = entries.iter().zip(outboxes).position(|pair| !sent(pair)) {
            return Err(RestoreError::Outbox(entries[at].chain));
        }
        if let Some(at) = chains.iter().zip(&entries).position(|pair| !fits(pair)) {
            return Err(RestoreError::Accounts(entries[at].chain));
        }
        if !entries.is_sorted_by(|a, b| a.chain < b.chain) {
            return Err(RestoreError::Chains);
        }
        let root = StateRoot::new(height, entries);
        if root.digest() != state_root {
            return Err(RestoreError::StateRoot);
        }
        govern(&mut chains, genesis);
        let inboxes = route(&ids(&chains), outboxes.iter().map(Vec::as_slice));
        let states = states(&chains);
        let first = Members::of_genesis(genesis);
        Ok(Self { network: *genesis.network(), chains, states, inboxes, root, first })
    }

    /// The network.
    pub fn network(&self) -> &Digest {
        &self.network
    }

    /// The members that were decided last, up to the last executed height, with their epoch, which need not be in
    /// effect yet; those of the genesis where none were decided.
    pub fn members(&self) -> Members {
        self.chains.iter().find_map(|chain| chain.writer.members()).unwrap_or(&self.first).clone()
    }

    /// The rules of an epoch up to that of these members.
    fn rules_of(&self, epoch: Epoch) -> RulesVersion {
        let decided = self.chains.iter().find_map(|chain| chain.writer.rules_of(epoch));
        decided.unwrap_or(self.first.rules)
    }

    /// The states, for readers.
    pub fn states(&self) -> Chains {
        self.states.clone()
    }

    /// The last executed height.
    pub fn height(&self) -> Height {
        self.root.height()
    }

    /// The state root of the last executed height.
    pub fn state_root(&self) -> &StateRoot {
        &self.root
    }

    /// The root of the accounts of each chain.
    pub fn accounts_roots(&self) -> impl ExactSizeIterator<Item = (ChainId, Digest)> {
        self.chains.iter().map(|chain| (chain.writer.state().chain(), chain.trees.roots().0))
    }

    /// What headers must say of the members of the epoch after `present`, if they are decided.
    pub fn next_members(&self, present: Epoch) -> NextMembers {
        let decided = self.chains.iter().find_map(|chain| chain.writer.last_decided());
        let next = decided.filter(|(_, members)| members.epoch > present);
        next.map_or_else(NextMembers::default, |(at, members)| NextMembers::decided(at, members.digest()))
    }

    /// Executes the next height: the sections of `batches` of all chains, by author and sequence, as in the block.
    /// Before that, what administrators have decided takes effect. Chains run in parallel if there are several.
    pub fn execute(&mut self, at: ChainTime, batches: &[Verified<Batch>]) -> Executed {
        let (deltas, trees, entries) = self.run(at, batches, |trees, delta, writer| {
            trees.fold(delta, |place| writer.state().at(place), writer.table());
        });
        self.root = StateRoot::new(at.height, entries);
        Executed { state_root: self.root.clone(), deltas, trees }
    }

    /// Executes the next height again and compares the result with its recorded state root, except for the roots of
    /// accounts and tables. What changed in those trees is remembered until [`Self::compare_trees`] hashes them, once
    /// for many heights.
    ///
    /// # Errors
    /// [`StateMismatch`]: the result differs. The ledger must not be used any more.
    pub fn execute_again(
        &mut self,
        at: ChainTime,
        batches: &[Verified<Batch>],
        recorded: StateRoot,
    ) -> Result<Executed, StateMismatch> {
        let (deltas, trees, mut entries) = self.run(at, batches, |trees, delta, _| trees.note(delta));
        for (entry, recorded) in entries.iter_mut().zip(recorded.entries()) {
            (entry.accounts_root, entry.table_root) = (recorded.accounts_root, recorded.table_root);
        }
        let is_like = recorded.height() == at.height && entries == recorded.entries();
        self.root = StateRoot::new(at.height, entries);
        match is_like {
            true => Ok(Executed { state_root: recorded, deltas, trees }),
            false => Err(self.compare_trees().err().unwrap_or_else(|| StateMismatch(*self.root.digest()))),
        }
    }

    /// Compares the roots of accounts and tables with the recorded ones, after heights that were [executed
    /// again](Self::execute_again). If they agree, all of these heights were executed as they were at first, for
    /// nothing else leads there.
    ///
    /// # Errors
    /// [`StateMismatch`]: they differ. The ledger must not be used any more.
    pub fn compare_trees(&mut self) -> Result<(), StateMismatch> {
        let mut entries = self.root.entries().to_vec();
        for (chain, entry) in self.chains.iter_mut().zip(&mut entries) {
            let state = chain.writer.state();
            chain.trees.fold_accounts(|place| state.at(place));
            chain.trees.fold_rows(chain.writer.table());
            (entry.accounts_root, entry.table_root) = chain.trees.roots();
        }
        match entries == self.root.entries() {
            true => Ok(()),
            false => Err(StateMismatch(*StateRoot::new(self.root.height(), entries).digest())),
        }
    }

    /// What a height does, whether its root is computed or known: `update_trees` tells the trees of a chain. What comes
    /// back is of each chain: what changed, its transactions, and what a root says of it.
    fn run(
        &mut self,
        at: ChainTime,
        batches: &[Verified<Batch>],
        update_trees: impl Fn(&mut LazyTrees, &Delta, &StateWriter) + Sync,
    ) -> (Vec<Delta>, Vec<TransactionTree>, Vec<ChainEntry>) {
        assert!(batches.is_sorted_by(|a, b| a.id() < b.id()), "the order of the block");
        self.take_effect(at.height);
        let at = at.by(self.rules_of(at.epoch));
        let network = &self.network;
        let run = |(chain, inbox): (&mut Chain, &Vec<Delivery>)| {
            let (delta, tree) = chain.execute(network, at, inbox, batches);
            update_trees(&mut chain.trees, &delta, &chain.writer);
            let entry = chain.entry(&tree, Some(&delta));
            ((delta, tree), entry)
        };
        let results: Vec<_> = if self.chains.len() == 1 {
            self.chains.iter_mut().zip(&self.inboxes).map(run).collect()
        } else {
            use rayon::prelude::*;
            self.chains.par_iter_mut().zip(&self.inboxes).map(run).collect()
        };
        let (results, entries): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let (deltas, trees): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        self.inboxes = route(&ids(&self.chains), deltas.iter().map(Delta::outbox));
        (deltas, trees, entries)
    }

    /// Decisions take effect: chains are created, and every chain obeys what is decided about it.
    fn take_effect(&mut self, height: Height) {
        let orders: Vec<Order> = self.chains.iter().flat_map(|chain| chain.writer.orders()).collect();
        if orders.is_empty() {
            return;
        }
        for Order { decision, .. } in &orders {
            if let Decision::Create(new) = decision {
                let chain = Chain::of(StateWriter::created(new, Height(height.0 - 1)));
                self.states.add(Arc::clone(chain.writer.state()));
                self.chains.push(chain);
                self.inboxes.push(Vec::new());
            }
        }
        introduce(&mut self.chains);
        self.chains.iter_mut().for_each(|chain| chain.writer.obey(&orders));
    }

    /// Payments that are in flight between chains: the next height executes them, whatever else it has.
    pub fn in_flight(&self) -> impl Iterator<Item = &Delivery> {
        self.inboxes.iter().flatten()
    }

    /// An account with its proof under the state root of the last executed height.
    pub fn prove_account(&self, chain: ChainId, account: AccountId) -> Option<AccountProof> {
        let entry = ChainEntryProof::new(&self.root, chain)?;
        let at = self.chains.binary_search_by_key(&chain, |chain| chain.writer.state().chain()).ok()?;
        let chain = &self.chains[at];
        let state = chain.writer.state().account(account)?;
        Some(AccountProof::new(account, &state, chain.trees.prove_account(account)?, entry))
    }

    /// What the table of a chain says of a key, with its proof under the state root of the last executed height.
    pub fn prove_row(&self, chain: ChainId, key: &Key) -> Option<RowProof> {
        let entry = ChainEntryProof::new(&self.root, chain)?;
        let at = self.chains.binary_search_by_key(&chain, |chain| chain.writer.state().chain()).ok()?;
        let chain = &self.chains[at];
        let place = chain.writer.table().witness(key)?;
        Some(RowProof::new(chain.writer.table().row(place)?, chain.trees.prove_row(place)?, entry))
    }

    /// State, table and trees of each chain, in their order.
    pub(super) fn chain_parts(&self) -> impl ExactSizeIterator<Item = (&ChainState, &Table, &LazyTrees)> {
        self.chains.iter().map(|chain| (&**chain.writer.state(), chain.writer.table(), &chain.trees))
    }

    /// The table of each chain, in their order: what a snapshot has to hold beside the accounts.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &Table> {
        self.chains.iter().map(|chain| chain.writer.table())
    }
}

fn chains(writers: impl Iterator<Item = StateWriter>) -> Vec<Chain> {
    let mut chains: Vec<Chain> = writers.map(Chain::of).collect();
    introduce(&mut chains);
    chains
}

/// Tells the chain that decides what the genesis has. Its table is the network's.
fn govern(chains: &mut [Chain], genesis: &Genesis) {
    chains.iter_mut().for_each(|chain| chain.writer.govern(genesis.chains(), FirstMembers::of(genesis)));
}

fn states(chains: &[Chain]) -> Chains {
    Chains::new(chains.iter().map(|chain| Arc::clone(chain.writer.state())))
}

/// Tells every chain which chains there are.
fn introduce(chains: &mut [Chain]) {
    let neighbours: Neighbours =
        chains.iter().map(|chain| Neighbour::from(&**chain.writer.state())).collect();
    for chain in chains {
        chain.writer.meet(Arc::clone(&neighbours));
    }
}

fn ids(chains: &[Chain]) -> Vec<ChainId> {
    chains.iter().map(|chain| chain.writer.state().chain()).collect()
}

impl Chain {
    fn of(writer: StateWriter) -> Self {
        let state = writer.state();
        let accounts = (0..state.accounts() as usize).map(|place| state.at(place));
        Self { trees: LazyTrees::of(accounts, writer.table()), writer }
    }

    fn execute(
        &mut self,
        network: &Digest,
        at: ChainTime,
        inbox: &[Delivery],
        batches: &[Verified<Batch>],
    ) -> (Delta, TransactionTree) {
        let chain = self.writer.state().chain();
        let packets = || batches.iter().map(|batch| batch.packets_of(chain));
        let ids = transaction_ids(network, packets(), packets().map(<[_]>::len).sum());
        let delta = self.writer.execute(at, inbox, batches, &ids);
        let tree = TransactionTree::of(ids, delta.outcomes());
        (delta, tree)
    }

    /// What the state root says of this chain; without a delta nothing has happened in the height.
    fn entry(&self, transactions: &TransactionTree, delta: Option<&Delta>) -> ChainEntry {
        let (accounts_root, table_root) = self.trees.roots();
        let (outbox, inbox) = delta.map_or_else(Default::default, |delta| (delta.outbox(), delta.inbox()));
        let state = self.writer.state();
        ChainEntry {
            chain: state.chain(),
            kind: state.kind(),
            status: state.status(),
            asset: state.asset(),
            transactions_root: transactions.root(),
            transactions: transactions.len() as u64,
            accounts_root,
            accounts: state.accounts(),
            outbox_root: outbox_root(outbox),
            outbox: outbox.len() as u64,
            inbox_root: inbox_root(inbox),
            inbox: inbox.len() as u64,
            table_root,
            rows: self.writer.table().len() as u64,
            issuance: self.writer.issuance(),
        }
    }
}
