//! The one writer of a chain's state.

use std::sync::Arc;

use super::book::{Book, Neighbours};
use super::delta::Done;
use super::{
    AccountState, ChainState, Crossing, Delivered, Delivery, Delta, Leg, PREFETCH_AHEAD, Table, WindowRefusal,
};
use crate::chains::changes::settle;
use crate::chains::{Rules, of_kind};
use crate::limits::{BLOCK_PACKETS_MAX, DELIVERIES_MAX};
use crate::types::{
    Asset, ChainGenesis, ChainId, ChainKind, ChainTime, Height, Issuance, Outcome, Packet, PacketRun, Roles,
    TransactionId,
};
use crate::verify::Verified;
use crate::wire::Batch;

/// The right to change a chain's state. There is one for each state, and it cannot be cloned.
#[derive(Debug)]
pub struct StateWriter {
    book: Book,
    height: Height,
}

/// What a chain is from its beginning on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRules {
    /// The chain.
    pub chain: ChainId,
    /// What it does.
    pub kind: ChainKind,
    /// What its balances are balances of.
    pub asset: Asset,
    /// Who may order what.
    pub roles: Roles,
}

impl From<&ChainGenesis> for ChainRules {
    fn from(chain: &ChainGenesis) -> Self {
        Self { chain: chain.id, kind: chain.kind, asset: chain.asset, roles: chain.roles }
    }
}

impl StateWriter {
    /// A new state: the genesis of a chain.
    pub fn genesis(chain: &ChainGenesis) -> Self {
        let issuance = Issuance::default();
        Self::restore(chain.into(), Height(0), issuance, chain.account_states(), Table::empty())
    }

    /// A new state: the accounts and the table of a chain as they were after the block at `height`, and what had been
    /// issued and burned by then. Those who read them from outside compare roots and sums with the network's before
    /// relying on them.
    pub fn restore(
        rules: ChainRules,
        height: Height,
        issuance: Issuance,
        accounts: impl Iterator<Item = AccountState>,
        table: Table,
    ) -> Self {
        let state = Arc::new(ChainState::new(rules, accounts, &table));
        Self { book: Book::new(state, issuance, table), height }
    }

    /// Tells it of all chains of the network. Before that, there are none.
    pub fn meet(&mut self, neighbours: Neighbours) {
        self.book.meet(neighbours);
    }

    /// The state, to be read by others.
    pub fn state(&self) -> &Arc<ChainState> {
        self.book.state()
    }

    /// The table of the chain.
    pub fn table(&self) -> &Table {
        self.book.table()
    }

    /// The last block that was executed.
    pub fn height(&self) -> Height {
        self.height
    }

    /// What has been issued and burned since the beginning.
    pub fn issuance(&self) -> Issuance {
        self.book.issuance()
    }

    /// Executes the changes of accounts that are due, then what other chains sent in the block before, then this
    /// chain's sections of the next block's batches, each in its order. `ids` are those of the transactions.
    pub fn execute(
        &mut self,
        at: ChainTime,
        inbox: &[Delivery],
        batches: &[Verified<Batch>],
        ids: &[[u8; 32]],
    ) -> Delta {
        let chain = self.state().chain();
        self.execute_packets(at, inbox, batches.iter().map(|batch| batch.packets_of(chain)), ids)
    }

    pub(crate) fn execute_packets<'a>(
        &mut self,
        at: ChainTime,
        inbox: &[Delivery],
        batches: impl Iterator<Item = &'a [Packet]>,
        ids: &[[u8; 32]],
    ) -> Delta {
        let height = at.height;
        assert_eq!(height, self.height.next(), "blocks are executed one after the other");
        assert!(inbox.len() <= DELIVERIES_MAX, "{} deliveries are more than two blocks send", inbox.len());
        let before = self.book.issuance();
        settle(&mut self.book, at);
        let (inbox, outcomes) = of_kind!(self.state().kind(), Kind => {
            let inbox = inbox.iter().map(|delivery| deliver::<Kind>(&mut self.book, delivery)).collect();
            (inbox, run::<Kind>(&mut self.book, at, batches, ids))
        });
        self.height = height;
        let book = &mut self.book;
        let changes = book.touched.drain(&Arc::clone(book.state()));
        let (outbox, opened) = (std::mem::take(&mut book.outbox), std::mem::take(&mut book.opened));
        let keys = std::mem::take(&mut book.keys);
        if !opened.is_empty() {
            book.state().show(height, book.accounts());
        }
        let (issuance, rows) = (book.issuance().without(before), book.table.drain());
        let done = Done { outcomes, inbox, outbox, issuance, opened, keys, rows };
        Delta::new((book.state().chain(), height), done, changes)
    }

    /// Takes back the last executed block.
    pub fn undo(&mut self, delta: &Delta) {
        let book = &mut self.book;
        let state = Arc::clone(book.state());
        assert_eq!(delta.chain(), state.chain(), "a delta of another chain");
        assert_eq!(delta.height(), self.height, "only the last block can be taken back");
        for change in delta.changes() {
            let index = book.index(change.account).expect("a delta names accounts that exist");
            assert_eq!(
                state.mutable(index),
                change.after,
                "account {} is not as the delta left it",
                change.account
            );
            state.set_balance(index, change.before.balance);
            state.set_window(index, change.before.window);
            state.set_flags(index, change.before.flags);
            if change.before.key_version != change.after.key_version {
                state.unset_key(index);
            }
        }
        book.set_issuance(book.issuance().without(delta.issuance()));
        if !delta.opened().is_empty() {
            book.close_opened(delta.opened().len() as u64);
            state.hide(book.accounts());
        }
        book.table.undo(delta.rows());
        delta.rows().iter().for_each(|row| book.undo_due(row));
        self.height = Height(self.height.0 - 1);
    }
}

/// The transactions of a block, in order.
fn run<'a, K: Rules>(
    book: &mut Book,
    at: ChainTime,
    batches: impl Iterator<Item = &'a [Packet]>,
    ids: &[[u8; 32]],
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(BLOCK_PACKETS_MAX);
    for mut packets in batches {
        while let Some((run, rest)) = PacketRun::split_first(packets) {
            if let Some(coming) = packets.get(PREFETCH_AHEAD) {
                book.state().prefetch(coming.debit());
                book.state().prefetch(coming.credit());
            }
            packets = rest;
            let outcome = transaction::<K>(book, at, run);
            if outcome == Outcome::Sent {
                let transaction = TransactionId(ids[outcomes.len()]);
                book.outbox.push(sent(&run, transaction));
            }
            outcomes.push(outcome);
        }
    }
    outcomes.shrink_to_fit();
    outcomes
}

/// The order of the checks is part of the protocol: it decides which outcome is recorded, and which outcomes spend the
/// nonce. Those after the window's check do; see [`Outcome::spends_nonce`].
#[inline]
fn transaction<K: Rules>(book: &mut Book, at: ChainTime, packet: PacketRun<'_>) -> Outcome {
    let state = &**book.state();
    if packet.expiry() < at.height {
        return Outcome::Expired;
    }
    let Some(signer) = book.index(packet.debit()) else { return Outcome::UnknownDebit };
    let before = state.mutable(signer);
    let window = before.window.with(packet.nonce());
    // Who submits the same bytes again hears what became of them, also if the account has another key by now.
    if window == Err(WindowRefusal::Replayed) {
        return Outcome::Replayed;
    }
    if packet.key_version() != before.key_version {
        return Outcome::WrongKeyVersion;
    }
    let Ok(window) = window else { return Outcome::NonceTooFar };
    state.set_window(signer, window);
    book.touch(signer, before);
    K::execute(book, at, signer, packet)
}

/// What cannot be credited goes back to where it came from. That always succeeds.
fn deliver<K: Rules>(book: &mut Book, delivery: &Delivery) -> Delivered {
    let Delivery { leg, crossing } = *delivery;
    let account = match leg {
        Leg::Credit => crossing.payee,
        Leg::Refund(_) => crossing.payer,
    };
    let outcome = match (K::credit(book, leg, account, crossing.amount), leg) {
        (Ok(()), _) => Outcome::Applied,
        (Err(reason), Leg::Credit) => {
            book.outbox.push(Delivery { leg: Leg::Refund(reason), crossing });
            reason
        }
        (Err(reason), Leg::Refund(_)) => panic!("a refund to account {account} fails: {reason}"),
    };
    Delivered { delivery: *delivery, outcome }
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
