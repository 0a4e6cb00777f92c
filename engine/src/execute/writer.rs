//! The one writer of a chain's state.

use std::sync::Arc;

use super::{AccountState, Balance, ChainState, Change, Delta, WindowRefusal};
use crate::limits::BLOCK_TRANSACTIONS_MAX;
use crate::types::{AccountId, ChainGenesis, ChainId, Height, Outcome, Packet};
use crate::verify::Verified;
use crate::wire::Batch;

/// How many packets ahead the lines of accounts are asked for: at 50 ns a transfer this covers a miss to memory.
const PREFETCH_AHEAD: usize = 8;

/// The right to change a chain's state. There is one for each state, and it cannot be cloned.
#[derive(Debug)]
pub struct StateWriter {
    state: Arc<ChainState>,
    height: Height,
    touched: Touched,
}

impl StateWriter {
    /// A new state: the genesis of a chain.
    pub fn genesis(chain: &ChainGenesis) -> Self {
        Self::restore(chain.id, Height(0), chain.account_states())
    }

    /// A new state: the accounts of `chain` as they were after the block at `height`. Those who read them from outside
    /// compares the root of their tree with the network's before relying on them.
    pub fn restore(chain: ChainId, height: Height, accounts: impl Iterator<Item = AccountState>) -> Self {
        let state = Arc::new(ChainState::new(chain, accounts));
        let touched = Touched::new(state.accounts() as usize);
        Self { state, height, touched }
    }

    /// The state, to be read by others.
    pub fn state(&self) -> &Arc<ChainState> {
        &self.state
    }

    /// The last block that was executed.
    pub fn height(&self) -> Height {
        self.height
    }

    /// Executes this chain's sections of the next block's batches, in their order.
    pub fn execute(&mut self, height: Height, batches: &[Verified<Batch>]) -> Delta {
        let chain = self.state.chain();
        self.execute_packets(height, batches.iter().map(|batch| batch.packets_of(chain)))
    }

    pub(super) fn execute_packets<'a>(
        &mut self,
        height: Height,
        batches: impl Iterator<Item = &'a [Packet]>,
    ) -> Delta {
        assert_eq!(height, self.height.next(), "blocks are executed one after the other");
        let mut outcomes = Vec::with_capacity(BLOCK_TRANSACTIONS_MAX);
        for packets in batches {
            for (at, packet) in packets.iter().enumerate() {
                if let Some(coming) = packets.get(at + PREFETCH_AHEAD) {
                    self.state.prefetch(coming.debit());
                    self.state.prefetch(coming.credit());
                }
                outcomes.push(self.transfer(height, packet));
            }
        }
        outcomes.shrink_to_fit();
        self.height = height;
        Delta::new(self.state.chain(), height, outcomes, self.touched.drain(&self.state))
    }

    /// Takes back the last executed block.
    pub fn undo(&mut self, delta: &Delta) {
        assert_eq!(delta.chain(), self.state.chain(), "a delta of another chain");
        assert_eq!(delta.height(), self.height, "only the last block can be taken back");
        for change in delta.changes() {
            let index = self.state.index(change.account).expect("a delta names accounts that exist");
            assert_eq!(
                self.state.mutable(index),
                change.after,
                "account {} is not as the delta left it",
                change.account
            );
            self.state.set_balance(index, change.before.balance);
            self.state.set_window(index, change.before.window);
        }
        self.height = Height(self.height.0 - 1);
    }

    /// The order of the checks is part of the protocol: it decides which outcome is recorded, and which outcomes spend
    /// the nonce. Those after the window's check do; see [`Outcome::spends_nonce`].
    #[inline]
    fn transfer(&mut self, height: Height, packet: &Packet) -> Outcome {
        let state = &*self.state;
        if packet.expiry() < height {
            return Outcome::Expired;
        }
        let Some(debit) = state.index(packet.debit()) else { return Outcome::UnknownDebit };
        if packet.key_version() != state.key_version(debit) {
            return Outcome::WrongKeyVersion;
        }
        let payer = state.mutable(debit);
        let window = match payer.window.with(packet.nonce()) {
            Ok(window) => window,
            Err(WindowRefusal::Replayed) => return Outcome::Replayed,
            Err(WindowRefusal::TooFar) => return Outcome::NonceTooFar,
        };
        self.touched.note(debit, payer);
        state.set_window(debit, window);

        let Some(credit) = state.index(packet.credit()) else { return Outcome::UnknownCredit };
        let amount = packet.amount();
        let Some(payer_balance) = payer.balance.checked_sub(amount) else {
            return Outcome::InsufficientBalance;
        };
        if debit == credit {
            return Outcome::Applied;
        }
        let payee = state.mutable(credit);
        let Some(payee_balance) = payee.balance.checked_add(amount) else { return Outcome::CreditOverflow };
        self.touched.note(credit, payee);
        state.set_balance(debit, payer_balance);
        state.set_balance(credit, payee_balance);
        Outcome::Applied
    }
}

/// Which accounts the block at hand has touched, and how they were before. A bitmap answers the question "touched
/// before?" from the first-level cache, and sorts for nothing: the rank of a bit is the place of its account.
#[derive(Debug)]
struct Touched {
    bits: Vec<u64>,
    /// How many bits are set in all words before this one; filled by `drain`.
    ranks: Vec<u32>,
    before: Vec<(u32, Balance)>,
}

impl Touched {
    fn new(accounts: usize) -> Self {
        let words = accounts.div_ceil(64);
        Self { bits: vec![0; words], ranks: vec![0; words], before: Vec::new() }
    }

    #[inline]
    fn note(&mut self, index: usize, before: Balance) {
        let (word, bit) = (&mut self.bits[index / 64], 1 << (index % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.before.push((index as u32, before));
        }
    }

    /// The accounts that differ from before, ascending; forgets them.
    fn drain(&mut self, state: &ChainState) -> Vec<Change> {
        let mut rank = 0;
        for (word, before_word) in self.bits.iter().zip(&mut self.ranks) {
            *before_word = rank;
            rank += word.count_ones();
        }
        let mut changes = vec![Change::default(); self.before.len()];
        for (index, before) in self.before.drain(..) {
            let (word, bit) = (index as usize / 64, 1_u64 << (index % 64));
            let place = self.ranks[word] + (self.bits[word] & (bit - 1)).count_ones();
            let account = AccountId(u64::from(index));
            changes[place as usize] = Change { account, before, after: state.mutable(index as usize) };
        }
        self.bits.fill(0);
        changes.retain(|change| change.before != change.after);
        changes
    }
}
