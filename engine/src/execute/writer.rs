//! The one writer of a chain's state.

use std::sync::Arc;

use super::touched::Touched;
use super::{AccountState, ChainState, Crossing, Delivered, Delivery, Delta, Leg, WindowRefusal};
use crate::limits::{BLOCK_TRANSACTIONS_MAX, DELIVERIES_MAX};
use crate::types::{Asset, ChainGenesis, ChainId, Height, Outcome, Packet, TransactionId};
use crate::verify::Verified;
use crate::wire::Batch;

/// How many packets ahead the lines of accounts are asked for: at 50 ns a transfer this covers a miss to memory.
const PREFETCH_AHEAD: usize = 8;

/// All chains of the network with their assets, ascending: where money may be sent to. An executor knows no more of
/// other chains.
pub type Neighbours = Arc<[(ChainId, Asset)]>;

/// The right to change a chain's state. There is one for each state, and it cannot be cloned.
#[derive(Debug)]
pub struct StateWriter {
    state: Arc<ChainState>,
    neighbours: Neighbours,
    height: Height,
    touched: Touched,
    outbox: Vec<Delivery>,
}

impl StateWriter {
    /// A new state: the genesis of a chain.
    pub fn genesis(chain: &ChainGenesis) -> Self {
        Self::restore(chain.id, chain.asset, Height(0), chain.account_states())
    }

    /// A new state: the accounts of `chain` as they were after the block at `height`. Those who read them from outside
    /// compare the root of their tree with the network's before relying on them.
    pub fn restore(
        chain: ChainId,
        asset: Asset,
        height: Height,
        accounts: impl Iterator<Item = AccountState>,
    ) -> Self {
        let state = Arc::new(ChainState::new(chain, asset, accounts));
        let touched = Touched::new(state.accounts() as usize);
        Self { state, neighbours: Arc::default(), height, touched, outbox: Vec::new() }
    }

    /// Tells it of the other chains. Before that, there are none.
    pub fn meet(&mut self, neighbours: Neighbours) {
        debug_assert!(neighbours.is_sorted_by(|a, b| a.0 < b.0), "chains ascend");
        self.neighbours = neighbours;
    }

    /// The state, to be read by others.
    pub fn state(&self) -> &Arc<ChainState> {
        &self.state
    }

    /// The last block that was executed.
    pub fn height(&self) -> Height {
        self.height
    }

    /// Executes what other chains sent in the block before, then this chain's sections of the next block's batches,
    /// each in its order. `ids` are those of the transactions.
    pub fn execute(
        &mut self,
        height: Height,
        inbox: &[Delivery],
        batches: &[Verified<Batch>],
        ids: &[[u8; 32]],
    ) -> Delta {
        let chain = self.state.chain();
        self.execute_packets(height, inbox, batches.iter().map(|batch| batch.packets_of(chain)), ids)
    }

    pub(super) fn execute_packets<'a>(
        &mut self,
        height: Height,
        inbox: &[Delivery],
        batches: impl Iterator<Item = &'a [Packet]>,
        ids: &[[u8; 32]],
    ) -> Delta {
        assert_eq!(height, self.height.next(), "blocks are executed one after the other");
        assert!(inbox.len() <= DELIVERIES_MAX, "{} deliveries are more than two blocks send", inbox.len());
        let deliver =
            |delivery: &Delivery| Delivered { delivery: *delivery, outcome: self.deliver(delivery) };
        let inbox: Vec<Delivered> = inbox.iter().map(deliver).collect();
        let mut outcomes = Vec::with_capacity(BLOCK_TRANSACTIONS_MAX);
        for packets in batches {
            for (at, packet) in packets.iter().enumerate() {
                if let Some(coming) = packets.get(at + PREFETCH_AHEAD) {
                    self.state.prefetch(coming.debit());
                    self.state.prefetch(coming.credit());
                }
                let outcome = self.transfer(height, packet);
                if outcome == Outcome::Sent {
                    let transaction = TransactionId(ids[outcomes.len()]);
                    self.outbox.push(sent(packet, transaction));
                }
                outcomes.push(outcome);
            }
        }
        outcomes.shrink_to_fit();
        self.height = height;
        let (outbox, changes) = (std::mem::take(&mut self.outbox), self.touched.drain(&self.state));
        Delta::new((self.state.chain(), height), outcomes, inbox, outbox, changes)
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

        let amount = packet.amount();
        if packet.is_cross() {
            let Ok(at) = self.neighbours.binary_search_by_key(&packet.credit_chain(), |(chain, _)| *chain)
            else {
                return Outcome::UnknownCreditChain;
            };
            if self.neighbours[at].1 != state.asset() {
                return Outcome::OtherAsset;
            }
            let Some(left) = payer.balance.checked_sub(amount) else { return Outcome::InsufficientBalance };
            state.set_balance(debit, left);
            return Outcome::Sent;
        }
        let Some(credit) = state.index(packet.credit()) else { return Outcome::UnknownCredit };
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

    /// What cannot be credited goes back to where it came from. That always succeeds: the payer's account exists, and
    /// all that an asset has fits into 64 bits.
    fn deliver(&mut self, delivery: &Delivery) -> Outcome {
        let Delivery { leg, crossing } = *delivery;
        let account = match leg {
            Leg::Credit => crossing.payee,
            Leg::Refund(_) => crossing.payer,
        };
        let credited = match self.state.index(account) {
            None => Err(Outcome::UnknownCredit),
            Some(index) => {
                let before = self.state.mutable(index);
                let balance = before.balance.checked_add(crossing.amount).ok_or(Outcome::CreditOverflow);
                balance.map(|balance| {
                    self.touched.note(index, before);
                    self.state.set_balance(index, balance);
                })
            }
        };
        match (credited, leg) {
            (Ok(()), _) => Outcome::Applied,
            (Err(reason), Leg::Credit) => {
                self.outbox.push(Delivery { leg: Leg::Refund(reason), crossing });
                reason
            }
            (Err(reason), Leg::Refund(_)) => panic!("a refund to account {account} fails: {reason}"),
        }
    }
}

/// What a transfer to another chain puts into the outbox.
fn sent(packet: &Packet, transaction: TransactionId) -> Delivery {
    let crossing = Crossing {
        transaction,
        source: packet.chain(),
        payer: packet.debit(),
        destination: packet.credit_chain(),
        payee: packet.credit(),
        amount: packet.amount(),
    };
    Delivery { leg: Leg::Credit, crossing }
}
