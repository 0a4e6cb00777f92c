//! The one writer of a chain's state.

use std::sync::Arc;

use super::book::{Book, Neighbours};
use super::delta::Done;
use super::{
    AccountState, ChainState, Crossing, Delivered, Delivery, Delta, Growth, Leg, PREFETCH_AHEAD, Table,
    WindowRefusal,
};
use crate::chains::changes::settle;
use crate::chains::governance::{Governance, obey, takes};
use crate::chains::{Rules, of_kind};
use crate::limits::{BLOCK_PACKETS_MAX, DELIVERIES_MAX};
use crate::types::{
    ChainGenesis, ChainId, ChainStatus, ChainTime, Charter, Content, Epoch, FirstMembers, Height, Issuance,
    Members, NewChain, Order, Outcome, Packet, PacketRun, RulesVersion, TransactionId,
};
use crate::verify::Verified;
use crate::wire::Batch;

/// The right to change a chain's state. There is one for each state, and it cannot be cloned.
#[derive(Debug)]
pub struct StateWriter {
    book: Book,
    height: Height,
}

/// What a chain is at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRules {
    /// The chain.
    pub chain: ChainId,
    /// What it does, and who may order what.
    pub charter: Charter,
}

impl From<&ChainGenesis> for ChainRules {
    fn from(chain: &ChainGenesis) -> Self {
        Self { chain: chain.id, charter: chain.into() }
    }
}

impl From<&NewChain> for ChainRules {
    fn from(new: &NewChain) -> Self {
        Self { chain: new.id, charter: new.into() }
    }
}

impl StateWriter {
    /// A new state: the genesis of a chain. One that decides about others knows only itself until it
    /// [governs](Self::govern) them.
    pub fn genesis(chain: &ChainGenesis) -> Self {
        let issuance = Issuance::default();
        let mut writer =
            Self::restore(chain.into(), Height(0), issuance, chain.account_states(), None, Table::empty());
        writer.govern(std::slice::from_ref(chain), None);
        writer
    }

    /// A new state: that of a chain that the next height creates, in which it obeys that decision.
    pub fn created(new: &NewChain, before: Height) -> Self {
        let (issuance, nobody) = (Issuance::default(), std::iter::empty());
        Self::restore(new.into(), before, issuance, nobody, None, Table::empty())
    }

    /// A new state: the accounts and the table of a chain as they were after the block at `height`, what had been
    /// issued and burned by then, and how many accounts there were after which height, unless the chain begins with
    /// all of them. Those who read them from outside compare roots and sums with the network's before relying on them.
    pub fn restore(
        rules: ChainRules,
        height: Height,
        issuance: Issuance,
        accounts: impl Iterator<Item = AccountState>,
        growth: Option<Growth>,
        table: Table,
    ) -> Self {
        let state = Arc::new(ChainState::new(rules, accounts, growth, &table));
        Self { book: Book::new(state, issuance, table), height }
    }

    /// Tells it of all chains of the network. Before that, there are none.
    pub fn meet(&mut self, neighbours: Neighbours) {
        self.book.meet(neighbours);
    }

    /// Tells it of the chains of the genesis, and of the members, if there are administrators. It matters to the one
    /// that decides about them, whose table says what was decided since.
    pub fn govern(&mut self, chains: &[ChainGenesis], first: Option<FirstMembers>) {
        self.book.govern(chains, first, self.height);
    }

    /// The members that were decided last, whether they are in effect or not, if this chain decides about them.
    pub fn members(&self) -> Option<&Members> {
        self.book.governance().and_then(Governance::members)
    }

    /// The rules of an epoch up to theirs, if this chain decides about them.
    pub fn rules_of(&self, epoch: Epoch) -> Option<RulesVersion> {
        self.book.governance().and_then(|governance| governance.rules_of(epoch))
    }

    /// The same with the height in which they were decided, if any were.
    pub fn last_decided(&self) -> Option<(Height, &Members)> {
        self.book.governance().and_then(Governance::last_decided)
    }

    /// The decisions that take effect in the next height, in their order, if this is the chain that decides.
    pub fn orders(&self) -> Vec<Order> {
        let governance = self.book.governance();
        governance.map_or_else(Vec::new, |governance| governance.orders(self.table(), self.height.next()))
    }

    /// Decisions about this chain take effect in the height that is executed next.
    pub fn obey(&mut self, orders: &[Order]) {
        obey(&mut self.book, self.height.next(), orders);
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
        let (before, reserved) = (self.book.issuance(), self.book.reserved());
        // Nobody could cancel while the chain rests: no lock window ends, and their clock stands still.
        if self.book.state().status() != ChainStatus::Paused {
            settle(&mut self.book, at);
        }
        let (inbox, outcomes) = of_kind!(self.state().kind(), Kind => {
            let inbox = inbox.iter().map(|delivery| deliver::<Kind>(&mut self.book, *delivery)).collect();
            (inbox, run::<Kind>(&mut self.book, at, batches, ids))
        });
        self.height = height;
        let book = &mut self.book;
        let changes = book.touched.drain(&Arc::clone(book.state()));
        let (outbox, opened) = (std::mem::take(&mut book.outbox), std::mem::take(&mut book.opened));
        let (keys, effects) = (std::mem::take(&mut book.keys), std::mem::take(&mut book.effects));
        if !opened.is_empty() {
            book.state().show(height, book.accounts());
        }
        let (issuance, rows) = (book.issuance().without(before), book.table.drain());
        let reserved = (reserved, book.reserved());
        let members = book.governance().and_then(|of| of.members_decided_at(height)).cloned();
        let done = Done { outcomes, inbox, outbox, issuance, reserved, opened, keys, effects, rows, members };
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
        book.undo_rows(delta.rows());
        self.height = Height(self.height.0 - 1);
        book.reconvene(self.height);
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
                book.outbox.push(sent(run, transaction));
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
    let (state, status) = (&**book.state(), book.state().status());
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
    if let Err(reason) = takes(status, packet) {
        return reason;
    }
    K::execute(book, at, signer, packet)
}

/// What cannot be credited, or buys nothing, goes back to where it came from. What goes back always arrives.
fn deliver<K: Rules>(book: &mut Book, delivery: Delivery) -> Delivered {
    let Delivery { leg, crossing } = delivery;
    let received = match (leg, book.state().status()) {
        (Leg::Credit, ChainStatus::Closed) => Err(Outcome::ChainClosed),
        _ => K::receive(book, &delivery),
    };
    let outcome = match (received, leg) {
        (Ok(()), Leg::Take(terms)) => {
            book.outbox.push(Delivery { leg: Leg::Swapped(terms.to), crossing });
            Outcome::Applied
        }
        (Ok(()), _) => Outcome::Applied,
        (Err(reason), Leg::Credit | Leg::Take(_)) => {
            book.outbox.push(Delivery { leg: Leg::Refund(reason), crossing });
            reason
        }
        (Err(reason), Leg::Refund(_) | Leg::Swapped(_)) => {
            panic!("what must arrive does not: {delivery:?}: {reason}")
        }
    };
    Delivered { delivery, outcome }
}

/// What a transaction that sends money to another chain puts into the outbox.
fn sent(run: PacketRun<'_>, transaction: TransactionId) -> Delivery {
    let (leg, destination, payee, amount) = match run.is_cross() {
        true => (Leg::Credit, run.credit_chain(), run.credit(), run.amount()),
        false => match run.content() {
            Ok(Content::Take(of)) => (Leg::Take(of.terms), of.chain, of.credit, of.price),
            _ => unreachable!("nothing else sends"),
        },
    };
    let (source, payer) = (run.chain(), run.debit());
    Delivery { leg, crossing: Crossing { transaction, source, payer, destination, payee, amount } }
}
