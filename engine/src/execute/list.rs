//! The states of all chains, for readers.

use std::sync::Arc;

use super::grown::Grown;
use super::{ChainState, Table};
use crate::limits::CHAINS_MAX;
use crate::types::{ChainGenesis, ChainId, Genesis};

/// The states of all chains of a network, for readers. Clones see the same chains, also those that are created later.
#[derive(Clone, Debug)]
pub struct Chains {
    first: Arc<[Arc<ChainState>]>,
    /// Those that were created since: their ids are above the others'.
    later: Arc<Grown<Arc<ChainState>>>,
}

impl Chains {
    /// From the states, one for each chain, ascending by id.
    pub fn new(states: impl IntoIterator<Item = Arc<ChainState>>) -> Self {
        let first: Arc<[_]> = states.into_iter().collect();
        assert!(first.is_sorted_by(|a, b| a.chain() < b.chain()), "chains ascend");
        let later = Grown::with_room(CHAINS_MAX.saturating_sub(first.len()));
        Self { first, later: Arc::new(later) }
    }

    /// There is another chain, whose id is above all others'.
    pub(crate) fn add(&self, state: Arc<ChainState>) {
        assert!(self.iter().all(|other| other.chain() < state.chain()), "chains ascend");
        self.later.push(state);
    }

    /// The state of a chain.
    #[inline]
    pub fn get(&self, chain: ChainId) -> Option<&ChainState> {
        let first = match &*self.first {
            [only] => (only.chain() == chain).then_some(0),
            all => all.binary_search_by_key(&chain, |state| state.chain()).ok(),
        };
        match first {
            Some(at) => Some(&self.first[at]),
            None => self.created(chain),
        }
    }

    #[cold]
    fn created(&self, chain: ChainId) -> Option<&ChainState> {
        self.later.iter().find(|state| state.chain() == chain).map(|state| &**state)
    }

    /// All chains that there are now, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ChainState>> {
        self.first.iter().chain(self.later.iter())
    }
}

impl From<&Genesis> for Chains {
    /// States of their own, which nobody writes: for tools that check signatures against the first keys.
    fn from(genesis: &Genesis) -> Self {
        let state = |chain: &ChainGenesis| {
            Arc::new(ChainState::new(chain.into(), chain.account_states(), None, &Table::default()))
        };
        Self::new(genesis.chains().iter().map(state))
    }
}
