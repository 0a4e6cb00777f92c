//! The one writer of a chain's state.

use std::sync::Arc;

use super::delta::Done;
use super::touched::Touched;
use super::{AccountState, Balance, ChainState, Crossing, Delivered, Delivery, Delta, Leg, WindowRefusal};
use crate::limits::{BLOCK_PACKETS_MAX, DELIVERIES_MAX, PUBLIC_KEY_BYTES};
use crate::types::{
    AccountId, Action, Asset, ChainGenesis, ChainId, Command, Content, Height, Issuance, Opening, Outcome,
    Packet, PacketRun, Payments, Roles, TransactionId,
};
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
    issuance: Issuance,
    /// How many accounts there are, those included that the block at hand has opened.
    accounts: u64,
    opened: Vec<[u8; PUBLIC_KEY_BYTES]>,
    touched: Touched,
    outbox: Vec<Delivery>,
}

impl StateWriter {
    /// A new state: the genesis of a chain.
    pub fn genesis(chain: &ChainGenesis) -> Self {
        let (id, asset, accounts) = (chain.id, chain.asset, chain.account_states());
        Self::restore((id, asset, chain.roles), Height(0), Issuance::default(), accounts)
    }

    /// A new state: the accounts of a chain as they were after the block at `height`, and what had been issued and
    /// burned by then. Those who read them from outside compare root and sums with the network's before relying on
    /// them.
    pub fn restore(
        (chain, asset, roles): (ChainId, Asset, Roles),
        height: Height,
        issuance: Issuance,
        accounts: impl Iterator<Item = AccountState>,
    ) -> Self {
        let state = Arc::new(ChainState::new(chain, asset, roles, accounts));
        let accounts = state.accounts();
        let (touched, opened, outbox) = (Touched::new(accounts as usize), Vec::new(), Vec::new());
        Self { state, neighbours: Arc::default(), height, issuance, accounts, opened, touched, outbox }
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

    /// What has been issued and burned since the beginning.
    pub fn issuance(&self) -> Issuance {
        self.issuance
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
        let issuance = self.issuance;
        let deliver =
            |delivery: &Delivery| Delivered { delivery: *delivery, outcome: self.deliver(delivery) };
        let inbox: Vec<Delivered> = inbox.iter().map(deliver).collect();
        let mut outcomes = Vec::with_capacity(BLOCK_PACKETS_MAX);
        for mut packets in batches {
            while let Some((run, rest)) = PacketRun::split_first(packets) {
                if let Some(coming) = packets.get(PREFETCH_AHEAD) {
                    self.state.prefetch(coming.debit());
                    self.state.prefetch(coming.credit());
                }
                packets = rest;
                let outcome = self.transaction(height, run);
                if outcome == Outcome::Sent {
                    let transaction = TransactionId(ids[outcomes.len()]);
                    self.outbox.push(sent(&run, transaction));
                }
                outcomes.push(outcome);
            }
        }
        outcomes.shrink_to_fit();
        self.height = height;
        let (outbox, changes) = (std::mem::take(&mut self.outbox), self.touched.drain(&self.state));
        let (issuance, opened) = (self.issuance.without(issuance), std::mem::take(&mut self.opened));
        if !opened.is_empty() {
            self.state.show(height, self.accounts);
        }
        let done = Done { outcomes, inbox, outbox, issuance, opened };
        Delta::new((self.state.chain(), height), done, changes)
    }

    /// Takes back the last executed block.
    pub fn undo(&mut self, delta: &Delta) {
        assert_eq!(delta.chain(), self.state.chain(), "a delta of another chain");
        assert_eq!(delta.height(), self.height, "only the last block can be taken back");
        for change in delta.changes() {
            let index = self.index(change.account).expect("a delta names accounts that exist");
            assert_eq!(
                self.state.mutable(index),
                change.after,
                "account {} is not as the delta left it",
                change.account
            );
            self.state.set_balance(index, change.before.balance);
            self.state.set_window(index, change.before.window);
            self.state.set_frozen(index, change.before.frozen);
        }
        self.issuance = self.issuance.without(delta.issuance());
        if !delta.opened().is_empty() {
            self.accounts -= delta.opened().len() as u64;
            self.state.hide(self.accounts);
        }
        self.height = Height(self.height.0 - 1);
    }

    #[inline]
    fn index(&self, account: AccountId) -> Option<usize> {
        (account.0 < self.accounts).then_some(account.0 as usize)
    }

    /// The order of the checks is part of the protocol: it decides which outcome is recorded, and which outcomes spend
    /// the nonce. Those after the window's check do; see [`Outcome::spends_nonce`].
    #[inline]
    fn transaction(&mut self, height: Height, packet: PacketRun<'_>) -> Outcome {
        let state = &*self.state;
        if packet.expiry() < height {
            return Outcome::Expired;
        }
        let Some(debit) = self.index(packet.debit()) else { return Outcome::UnknownDebit };
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

        if packet.is_command() {
            return self.command(packet, debit);
        }
        if packet.is_envelope() {
            return self.envelope(packet, debit);
        }
        if payer.frozen.debit() {
            return Outcome::DebitFrozen;
        }
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
        let Some(credit) = self.index(packet.credit()) else { return Outcome::UnknownCredit };
        if state.frozen_at(credit).credit() {
            return Outcome::CreditFrozen;
        }
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

    /// What the account at `authority` orders, once its nonce is spent.
    #[cold]
    fn command(&mut self, packet: PacketRun<'_>, authority: usize) -> Outcome {
        let Ok(Content::Command(Command { authority: orders, action, .. })) = packet.content() else {
            unreachable!("a verified batch has transactions of known kinds");
        };
        let state = Arc::clone(&self.state);
        let (roles, before) = (*state.roles(), state.mutable(authority));
        let holder = match action {
            Action::Issue { .. } | Action::Burn { .. } => roles.issuer,
            Action::Freeze { .. } => roles.freezer,
        };
        if holder != Some(orders) {
            return Outcome::RoleNotHeld;
        }
        match action {
            // A freezer that is frozen itself can still order, or nobody could ever unfreeze it.
            Action::Freeze { account, frozen } => {
                let Some(index) = self.index(account) else { return Outcome::UnknownCredit };
                self.touched.note(index, state.mutable(index));
                state.set_frozen(index, frozen);
            }
            _ if before.frozen.debit() => return Outcome::DebitFrozen,
            Action::Issue { to, amount } => {
                let Some(index) = self.index(to) else { return Outcome::UnknownCredit };
                let payee: Balance = state.mutable(index);
                if payee.frozen.credit() {
                    return Outcome::CreditFrozen;
                }
                let Some(issuance) = self.issuance.issue(amount, roles.issuance_cap) else {
                    return Outcome::IssuanceCap;
                };
                let Some(balance) = payee.balance.checked_add(amount) else { return Outcome::CreditOverflow };
                self.touched.note(index, payee);
                state.set_balance(index, balance);
                self.issuance = issuance;
            }
            Action::Burn { amount } => {
                let Some(balance) = before.balance.checked_sub(amount) else {
                    return Outcome::InsufficientBalance;
                };
                let Some(issuance) = self.issuance.burn(amount) else { return Outcome::IssuanceCap };
                state.set_balance(authority, balance);
                self.issuance = issuance;
            }
        }
        Outcome::Applied
    }

    /// What an envelope of the account at `signer` does, once its nonce is spent.
    #[cold]
    fn envelope(&mut self, run: PacketRun<'_>, signer: usize) -> Outcome {
        match run.content() {
            Ok(Content::Linked(linked)) => self.linked(linked.payments, signer),
            Ok(Content::Opening(opening)) => self.open(&opening, signer),
            _ => unreachable!("a verified batch has transactions of known kinds"),
        }
    }

    /// New accounts, all or none.
    fn open(&mut self, opening: &Opening<'_>, registrar: usize) -> Outcome {
        let roles = self.state.roles();
        if !roles.registrar.is(opening.registrar) {
            return Outcome::RoleNotHeld;
        }
        if self.state.frozen_at(registrar).debit() {
            return Outcome::DebitFrozen;
        }
        let accounts = self.accounts + opening.accounts.count() as u64;
        if accounts > roles.accounts_cap {
            return Outcome::AccountsCap;
        }
        self.touched.grow(accounts as usize);
        for (index, account) in (self.accounts as usize..).zip(opening.accounts.iter()) {
            self.state.open(index, account.key);
            self.opened.push(*account.key);
        }
        self.accounts = accounts;
        Outcome::Applied
    }

    /// The payments of the account at `debit`, all or none.
    fn linked(&mut self, payments: Payments<'_>, debit: usize) -> Outcome {
        let state = Arc::clone(&self.state);
        if state.frozen_at(debit).debit() {
            return Outcome::DebitFrozen;
        }
        for (at, payment) in payments.iter().enumerate() {
            if let Some(coming) = payments.get(at + PREFETCH_AHEAD) {
                state.prefetch(coming.to);
            }
            match self.index(payment.to) {
                None => return Outcome::UnknownCredit,
                Some(index) if state.frozen_at(index).credit() => return Outcome::CreditFrozen,
                Some(_) => {}
            }
        }
        let payer = state.mutable(debit).balance;
        let left = u64::try_from(payments.total()).ok().and_then(|total| payer.checked_sub(total));
        let Some(left) = left else { return Outcome::InsufficientBalance };
        state.set_balance(debit, left);
        for (made, payment) in payments.iter().enumerate() {
            let index = self.index(payment.to).expect("looked at above");
            let payee = state.mutable(index);
            let Some(balance) = payee.balance.checked_add(payment.amount) else {
                // Those who were paid give it back, so nobody was paid.
                for payment in payments.iter().take(made) {
                    let index = self.index(payment.to).expect("it was paid");
                    state.set_balance(index, state.mutable(index).balance - payment.amount);
                }
                state.set_balance(debit, payer);
                return Outcome::CreditOverflow;
            };
            self.touched.note(index, payee);
            state.set_balance(index, balance);
        }
        Outcome::Applied
    }

    /// What cannot be credited goes back to where it came from. That always succeeds: the payer's account exists, what
    /// comes back is taken also by a frozen one, and all that an asset has fits into 64 bits.
    fn deliver(&mut self, delivery: &Delivery) -> Outcome {
        let Delivery { leg, crossing } = *delivery;
        let account = match leg {
            Leg::Credit => crossing.payee,
            Leg::Refund(_) => crossing.payer,
        };
        let credited = match self.index(account) {
            None => Err(Outcome::UnknownCredit),
            Some(index) => {
                let before = self.state.mutable(index);
                if leg == Leg::Credit && before.frozen.credit() {
                    Err(Outcome::CreditFrozen)
                } else {
                    let balance = before.balance.checked_add(crossing.amount).ok_or(Outcome::CreditOverflow);
                    balance.map(|balance| {
                        self.touched.note(index, before);
                        self.state.set_balance(index, balance);
                    })
                }
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
