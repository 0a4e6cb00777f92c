//! The mempools of all chains of a network.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Mempool;
use crate::execute::Chains;
use crate::execute::grown::Grown;
use crate::limits::CHAINS_MAX;
use crate::types::ChainId;

/// Transactions of the mempool of a chain that is created while the validator runs: its memory is taken at once, and
/// no operator has agreed to it. After a restart it is as large as the others.
const CREATED_CAPACITY_MAX: usize = 1 << 14;

/// One mempool for each chain, also for those that are created later.
#[derive(Debug)]
pub struct Mempools {
    first: BTreeMap<ChainId, Mempool>,
    /// Those of chains that were created since, in the order of their ids.
    later: Grown<Mempool>,
    capacity: usize,
    all: Mutex<All>,
}

/// What all of them are told, and those that come later with them.
#[derive(Clone, Copy, Debug)]
struct All {
    paused: bool,
    closed: bool,
    sender_cap: u32,
}

impl Mempools {
    /// Of the chains that there are; see [`Mempool::new`] for the numbers.
    pub fn new(chains: &Chains, capacity: usize, sender_cap: u32) -> Self {
        let mempool = |chain: &crate::execute::ChainState| {
            Mempool::new(chain.chain(), chain.accounts(), capacity, sender_cap)
        };
        let first: BTreeMap<_, _> = chains.iter().map(|chain| (chain.chain(), mempool(chain))).collect();
        let later = Grown::with_room(CHAINS_MAX.saturating_sub(first.len()));
        let all = Mutex::new(All { paused: false, closed: false, sender_cap });
        Self { first, later, capacity, all }
    }

    /// There is another chain.
    pub(crate) fn add(&self, chain: ChainId, accounts: u64) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity = self.capacity.min(CREATED_CAPACITY_MAX);
        let mempool = Mempool::new(chain, accounts, capacity, all.sender_cap);
        if all.paused {
            mempool.pause();
        }
        if all.closed {
            mempool.close();
        }
        self.later.push(mempool);
    }

    /// The mempool of a chain.
    #[inline]
    pub fn get(&self, chain: ChainId) -> Option<&Mempool> {
        self.first.get(&chain).or_else(|| self.later.iter().find(|mempool| mempool.chain() == chain))
    }

    /// All that there are now, in the order of their chains.
    pub fn iter(&self) -> impl Iterator<Item = &Mempool> {
        self.first.values().chain(self.later.iter())
    }

    /// How many there are now.
    pub fn len(&self) -> usize {
        self.first.len() + self.later.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [Pauses](Mempool::pause) all, until they are resumed.
    pub fn pause(&self) {
        self.tell(|all| all.paused = true, Mempool::pause);
    }

    /// [Resumes](Mempool::resume) all.
    pub fn resume(&self) {
        self.tell(|all| all.paused = false, Mempool::resume);
    }

    /// [Closes](Mempool::close) all, for good.
    pub fn close(&self) {
        self.tell(|all| all.closed = true, Mempool::close);
    }

    /// Another number of transactions that each account may have waiting, from now on.
    ///
    /// # Panics
    /// It is not in `1..=64`.
    pub fn set_sender_cap(&self, cap: u32) {
        self.tell(|all| all.sender_cap = cap, |mempool| mempool.slots().set_cap(cap));
    }

    fn tell(&self, note: impl FnOnce(&mut All), each: impl Fn(&Mempool)) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut all);
        self.iter().for_each(each);
    }
}
