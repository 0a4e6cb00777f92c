//! The definition of all chains from a checkpoint instead of from the genesis.
//!
//! ```text
//! accounts, rows, outbox of a chain ── own leaves, own trees ──▶ roots and counts ──┐
//!         └─ Oracle::restore ──▶ kind, status, asset, sums of money ────────────────┴ == entry of the chain
//!                                                   entries of all chains, height ── own tree ── == state root
//! ```
//!
//! Nothing is believed but the state root, which the caller must have from a block that a quorum has finalized. What
//! the entries say of the transactions and of the inbox of the height is under the root, too, and leads to nothing
//! here. What is issued and burned stands in the entry alone; the sums of money must fit to it.

use std::collections::{BTreeMap, BTreeSet};

use super::merkle::{MerkleTree, leaf_hash, root_of};
use super::{Chain, OracleLedger, account_leaf, delivery, state_root};
use crate::execute::oracle::{Oracle, Unreadable};
use crate::execute::{AccountState, Delivery, Leg};
use crate::roots::ChainEntry;
use crate::types::{AccountId, Asset, ChainId, ChainKind, Digest, FirstMembers, Genesis, Height};

/// One chain after a height, as a checkpoint has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainState<'a> {
    /// What the state root says of it.
    pub entry: ChainEntry,
    /// Its accounts, by their ids.
    pub accounts: Vec<AccountState>,
    /// The places of its table, each with the bytes of its leaf: key, next key and value. `None` where nothing is.
    pub rows: Vec<Option<&'a [u8]>>,
    /// What it sent to other chains in the height.
    pub outbox: &'a [Delivery],
}

/// Why a checkpoint is not what the network had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OracleRestoreError {
    /// Not the chains that there should be, in their order.
    #[error("the chains are not those of the genesis and those created since, in ascending order")]
    Chains,
    /// What a chain has is not what its entry says.
    #[error("{differs} of chain {chain} differs from what its entry says")]
    Entry {
        /// The chain.
        chain: ChainId,
        /// What of it.
        differs: &'static str,
    },
    /// Accounts or rows that no chain can have.
    #[error("chain {chain} cannot be read: {what}")]
    Unreadable {
        /// The chain.
        chain: ChainId,
        /// What of it, and why.
        what: Unreadable,
    },
    /// A delivery that no chain sends.
    #[error("chain {chain} cannot have sent delivery {place} of its outbox")]
    Delivery {
        /// The chain.
        chain: ChainId,
        /// The place in its outbox.
        place: usize,
    },
    /// Money was made or destroyed.
    #[error(
        "the balances, reservations and payments in flight of asset {0} exceed 2^64 - 1, or are not what the genesis had \
         plus what was issued minus what was burned"
    )]
    Money(Asset),
    /// The entries do not have the state root of the network.
    #[error("the entries of the chains do not lead to the state root of the network")]
    Root,
}

impl OracleLedger {
    /// All chains as they were after a height, ascending. It goes on like one that has executed every height since the
    /// genesis.
    ///
    /// # Errors
    /// [`OracleRestoreError`]: what is wrong, of which chain.
    pub fn restore<'a>(
        genesis: &Genesis,
        height: Height,
        chains: impl IntoIterator<Item = PlainState<'a>>,
        root: &Digest,
    ) -> Result<Self, OracleRestoreError> {
        let mut ledger = Self { network: *genesis.network(), chains: Vec::new(), in_flight: Vec::new() };
        let mut entries = Vec::new();
        for state in chains {
            ledger.chains.push(Chain::restore(genesis, height, &state)?);
            ledger.in_flight.extend_from_slice(state.outbox);
            entries.push(state.entry);
        }
        if state_root(height, &entries) != *root {
            return Err(OracleRestoreError::Root);
        }
        if !ledger.has_all_chains(genesis, height) {
            return Err(OracleRestoreError::Chains);
        }
        let of_chain = |chain: &Chain| (chain.id, (chain.oracle.kind(), chain.oracle.asset()));
        let others: BTreeMap<_, _> = ledger.chains.iter().map(of_chain).collect();
        ledger.chains.iter_mut().for_each(|chain| chain.oracle.others.clone_from(&others));
        ledger.check_deliveries(&entries)?;
        ledger.check_money()?;
        Ok(ledger)
    }

    /// Those of the genesis and those that decisions have created, each once, ascending.
    fn has_all_chains(&self, genesis: &Genesis, height: Height) -> bool {
        let mut all: BTreeSet<ChainId> = genesis.chains().iter().map(|chain| chain.id).collect();
        for governance in self.chains.iter().filter_map(|chain| chain.oracle.governance.as_ref()) {
            all.extend(governance.created(height));
        }
        self.chains.iter().map(|chain| chain.id).eq(all)
    }

    /// What is in flight was sent by the chain in whose outbox it is, and both its chains have money.
    fn check_deliveries(&self, entries: &[ChainEntry]) -> Result<(), OracleRestoreError> {
        let mut sent = self.in_flight.iter();
        for ChainEntry { chain, outbox, .. } in entries {
            for (place, Delivery { leg, crossing }) in (0..).zip(sent.by_ref().take(*outbox as usize)) {
                let by = match leg {
                    Leg::Credit | Leg::Take(_) => Some(crossing.source),
                    Leg::Refund(reason) => reason.is_failure().then_some(crossing.destination),
                    Leg::Swapped(_) => Some(crossing.destination),
                };
                let others = &self.chains[0].oracle.others;
                let has_money = |of| others.get(&of).is_some_and(|(kind, _)| *kind == ChainKind::Transfers);
                if by != Some(*chain) || !has_money(crossing.source) || !has_money(crossing.destination) {
                    return Err(OracleRestoreError::Delivery { chain: *chain, place });
                }
            }
        }
        Ok(())
    }

    /// Of each asset there is what the genesis had and what was issued and not burned, and it fits into 64 bits.
    fn check_money(&self) -> Result<(), OracleRestoreError> {
        // Of each asset: what came into the world, what left it, and what there is.
        let mut sums: BTreeMap<Asset, [u128; 3]> = BTreeMap::new();
        for Chain { oracle, .. } in &self.chains {
            let [came, left, there_is] = sums.entry(oracle.asset()).or_default();
            *came += u128::from(oracle.is.supply) + oracle.issued;
            *left += oracle.burned;
            *there_is += oracle.balances() + oracle.reserved();
        }
        for Delivery { crossing, .. } in &self.in_flight {
            let (_, asset) = self.chains[0].oracle.others[&crossing.source];
            let [.., there_is] = sums.entry(asset).or_default();
            *there_is += u128::from(crossing.amount);
        }
        let fits =
            |[came, left, there_is]: [u128; 3]| came == left + there_is && there_is <= u128::from(u64::MAX);
        match sums.iter().find(|(_, sum)| !fits(**sum)) {
            None => Ok(()),
            Some((asset, _)) => Err(OracleRestoreError::Money(*asset)),
        }
    }
}

impl Chain {
    /// A chain whose accounts, rows and deliveries have the roots of its entry.
    fn restore(
        genesis: &Genesis,
        height: Height,
        state: &PlainState<'_>,
    ) -> Result<Self, OracleRestoreError> {
        let PlainState { entry, accounts, rows, outbox } = state;
        let id = entry.chain;
        let same = |checks: &[(bool, &'static str)]| match checks.iter().find(|(is_same, _)| !is_same) {
            None => Ok(()),
            Some((_, differs)) => Err(OracleRestoreError::Entry { chain: id, differs }),
        };
        let leaves = (0..).map(AccountId).zip(accounts).map(|(id, of)| account_leaf(id, of));
        let leaves: Vec<_> = leaves.collect();
        let places: Vec<_> = rows.iter().map(|row| leaf_hash(row.unwrap_or_default())).collect();
        let sent: Vec<_> = outbox.iter().map(|sent| leaf_hash(&delivery(sent))).collect();
        let (of_accounts, table) = (MerkleTree::new(&leaves), MerkleTree::new(&places));
        same(&[
            (entry.accounts == leaves.len() as u64, "the number of accounts"),
            (entry.accounts_root.0 == of_accounts.root(), "the root of the accounts"),
            (entry.rows == places.len() as u64, "the number of rows"),
            (entry.table_root.0 == table.root(), "the root of the table"),
            (entry.outbox == sent.len() as u64, "the number of deliveries sent"),
            (entry.outbox_root.0 == root_of(&sent), "the root of the outbox"),
        ])?;
        let which = (id, genesis.chains(), FirstMembers::of(genesis));
        let when = (height, entry.issuance);
        let oracle = Oracle::restore(which, when, accounts, rows)
            .map_err(|what| OracleRestoreError::Unreadable { chain: id, what })?;
        same(&[
            (entry.kind == oracle.kind(), "the kind"),
            (entry.status == oracle.is.status, "the status"),
            (entry.asset == oracle.asset(), "the asset"),
        ])?;
        Ok(Self { id, oracle, accounts: of_accounts, table })
    }
}
