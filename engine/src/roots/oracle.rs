//! State roots by the definition: for the audit, and for tests to compare with.
//!
//! An independent second reading of what a height does. Execution is [`crate::execute::oracle`], the tree is
//! [`merkle`], hashes are those of the `sha2` crate, and every leaf is written out here again, so that a mistake in the
//! fast executor, in the fast trees or in an encoding shows as a difference instead of being repeated.

mod merkle;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::merkle::{Hash, MerkleTree, leaf_hash, root_of, sha256};
use super::ChainEntry;
use crate::execute::AccountState;
use crate::execute::oracle::Oracle;
use crate::types::{AccountId, ChainGenesis, ChainId, Digest, Genesis, Height, Outcome, Packet};

/// What a height did, by the oracles.
#[derive(Debug)]
pub struct OracleExecuted {
    /// The root over all chains.
    pub state_root: Digest,
    /// What the root says of each chain of the genesis, in its order.
    pub entries: Vec<ChainEntry>,
    /// One list of outcomes for each chain of the genesis, in its order.
    pub outcomes: Vec<Vec<Outcome>>,
    /// SHA-256 of the digests of all chains' deltas, in the order of the genesis.
    pub delta_digest: Digest,
}

/// An oracle and a tree for each chain. Leaves are hashed anew for every account that a transaction names, changed or
/// not.
#[derive(Debug)]
pub struct OracleLedger {
    network: Digest,
    chains: Vec<Chain>,
}

#[derive(Debug)]
struct Chain {
    id: ChainId,
    oracle: Oracle,
    accounts: MerkleTree,
}

impl OracleLedger {
    /// The beginning of a network.
    pub fn genesis(genesis: &Genesis) -> Self {
        let chain = |chain: &ChainGenesis| {
            let oracle = Oracle::genesis(chain);
            let leaves: Vec<_> = (0..)
                .map(AccountId)
                .zip(oracle.account_states())
                .map(|(id, at)| account_leaf(id, &at))
                .collect();
            Chain { id: chain.id, oracle, accounts: MerkleTree::new(&leaves) }
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
        let mut outcomes = Vec::new();
        let mut deltas = Vec::new();
        for chain in &mut self.chains {
            let (entry, of_chain, delta) = chain.execute(&self.network, height, &packets(chain.id));
            entries.push(entry);
            outcomes.push(of_chain);
            deltas.push(delta);
        }
        let height_leaf = leaf_hash(&height.0.to_le_bytes());
        let leaves: Vec<_> = std::iter::once(height_leaf).chain(entries.iter().map(entry_leaf)).collect();
        OracleExecuted {
            state_root: Digest(root_of(&leaves)),
            entries,
            outcomes,
            delta_digest: Digest(sha256(&deltas.concat())),
        }
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
        height: Height,
        packets: &[&Packet],
    ) -> (ChainEntry, Vec<Outcome>, Hash) {
        let named: BTreeSet<_> =
            packets.iter().flat_map(|packet| [packet.debit(), packet.credit()]).collect();
        let states = |oracle: &Oracle| -> Vec<_> {
            named.iter().filter_map(|id| Some((*id, oracle.account_state(*id)?))).collect()
        };
        let before = states(&self.oracle);
        let outcomes = self.oracle.execute(height, packets.iter().copied());
        let after = states(&self.oracle);

        let leaves: Vec<_> =
            after.iter().map(|(id, state)| (id.0 as usize, account_leaf(*id, state))).collect();
        self.accounts.replace(&leaves);

        let leaf = |(packet, outcome): (&&Packet, &Outcome)| transaction_leaf(network, packet, *outcome);
        let transactions: Vec<_> = packets.iter().zip(&outcomes).map(leaf).collect();
        let entry = ChainEntry {
            chain: self.id,
            transactions_root: Digest(root_of(&transactions)),
            accounts_root: Digest(self.accounts.root()),
            transactions: packets.len() as u64,
        };

        let changed = after.iter().zip(&before).filter(|(after, before)| after != before);
        let changes: Vec<_> = changed.map(|(after, _)| *after).collect();
        let delta = delta_digest(self.id, height, &outcomes, &changes);
        (entry, outcomes, delta)
    }
}

/// id | key | key version | balance | base of the window | used nonces of the window
fn account_leaf(id: AccountId, account: &AccountState) -> Hash {
    let mut leaf = Vec::new();
    leaf.extend(id.0.to_le_bytes());
    leaf.extend(account.key);
    leaf.extend(account.key_version.to_le_bytes());
    leaf.extend(account.balance.to_le_bytes());
    leaf.extend(account.window.base.to_le_bytes());
    leaf.extend(account.window.used.to_le_bytes());
    leaf_hash(&leaf)
}

/// transaction id | outcome
fn transaction_leaf(network: &Digest, packet: &Packet, outcome: Outcome) -> Hash {
    let mut leaf = sha256(&packet.message(network)).to_vec();
    leaf.push(outcome.code());
    leaf_hash(&leaf)
}

/// chain | transactions root | accounts root | number of transactions
fn entry_leaf(entry: &ChainEntry) -> Hash {
    let mut leaf = Vec::new();
    leaf.extend(entry.chain.0.to_le_bytes());
    leaf.extend(entry.transactions_root.0);
    leaf.extend(entry.accounts_root.0);
    leaf.extend(entry.transactions.to_le_bytes());
    leaf_hash(&leaf)
}

/// chain | height | count | outcomes | count | (account | balance | base of the window | used nonces) of each changed
/// account
fn delta_digest(
    chain: ChainId,
    height: Height,
    outcomes: &[Outcome],
    changes: &[(AccountId, AccountState)],
) -> Hash {
    let mut delta = Vec::new();
    delta.extend(chain.0.to_le_bytes());
    delta.extend(height.0.to_le_bytes());
    delta.extend((outcomes.len() as u32).to_le_bytes());
    delta.extend(outcomes.iter().map(|outcome| outcome.code()));
    delta.extend((changes.len() as u32).to_le_bytes());
    for (account, after) in changes {
        delta.extend(account.0.to_le_bytes());
        delta.extend(after.balance.to_le_bytes());
        delta.extend(after.window.base.to_le_bytes());
        delta.extend(after.window.used.to_le_bytes());
    }
    sha256(&delta)
}
