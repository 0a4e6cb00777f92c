//! State roots by the definition: for the audit, and for tests to compare with.

use std::collections::BTreeSet;

use super::transactions::transaction_leaf;
use super::{AccountTree, ChainEntry, StateRoot};
use crate::execute::oracle::Oracle;
use crate::types::{ChainGenesis, ChainId, Digest, Genesis, Height, Outcome, Packet};

/// What a height did, by the oracles.
#[derive(Debug)]
pub struct OracleExecuted {
    /// The root over all chains.
    pub state_root: StateRoot,
    /// One list of outcomes for each chain of the genesis, in its order.
    pub outcomes: Vec<Vec<Outcome>>,
}

/// An oracle and a tree for each chain. Leaves are hashed anew for every account that a transaction names, changed or not.
#[derive(Debug)]
pub struct OracleLedger {
    network: Digest,
    chains: Vec<(ChainId, Oracle, AccountTree)>,
}

impl OracleLedger {
    /// The beginning of a network.
    pub fn genesis(genesis: &Genesis) -> Self {
        let chain = |chain: &ChainGenesis| {
            let oracle = Oracle::genesis(chain);
            let tree = AccountTree::new(oracle.account_states());
            (chain.id, oracle, tree)
        };
        Self { network: *genesis.network(), chains: genesis.chains().iter().map(chain).collect() }
    }

    /// Executes a height. `packets` gives a chain's packets in the order of the block.
    pub fn execute<'a>(
        &mut self,
        height: Height,
        packets: impl Fn(ChainId) -> Vec<&'a Packet>,
    ) -> OracleExecuted {
        let mut entries = Vec::new();
        let mut all_outcomes = Vec::new();
        for (chain, oracle, tree) in &mut self.chains {
            let packets = packets(*chain);
            let outcomes = oracle.execute(height, packets.iter().copied());

            let leaf = |(packet, outcome): (&&Packet, &Outcome)| {
                kernels::merkle::leaf_hash(&transaction_leaf(&packet.id(&self.network).0, *outcome))
            };
            let leaves: Vec<_> = packets.iter().zip(&outcomes).map(leaf).collect();

            let named: BTreeSet<_> =
                packets.iter().flat_map(|packet| [packet.debit(), packet.credit()]).collect();
            let named: Vec<_> =
                named.into_iter().filter_map(|id| Some((id, oracle.account_state(id)?))).collect();
            tree.update(named.iter().copied());

            entries.push(ChainEntry {
                chain: *chain,
                transactions_root: Digest(kernels::merkle::root(&leaves)),
                accounts_root: tree.root(),
                transactions: packets.len() as u64,
            });
            all_outcomes.push(outcomes);
        }
        OracleExecuted { state_root: StateRoot::new(height, entries), outcomes: all_outcomes }
    }

    /// The oracle of each chain.
    pub fn oracles(&self) -> impl ExactSizeIterator<Item = (ChainId, &Oracle)> {
        self.chains.iter().map(|(chain, oracle, _)| (*chain, oracle))
    }
}
