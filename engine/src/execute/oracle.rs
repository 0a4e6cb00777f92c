//! The definition of execution, in the plainest words: no cache lines, no bitmaps, no arithmetic that could wrap.
//!
//! What a transaction does once its nonce is spent stands with the kind of its chain ([`crate::chains`]). Slow is the
//! specification. The fast pass is compared with this one in tests, and `millrace verify` replays with it.

mod fields;
mod restore;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::fields::Fields;
pub use self::restore::Unreadable;
pub(crate) use self::restore::{About, Fault, UNKNOWN_ROW};
pub use self::rows::PlainTable;
use crate::chains::attestations::PlainAttestation;
use crate::chains::changes::{PlainRecord, settle_plainly};
use crate::chains::governance::{PlainChain, PlainGovernance, obey_plainly, refuses};
use crate::chains::transfers::PlainReservation;
use crate::chains::{Rules, of_kind};
use crate::execute::{AccountState, Crossing, Delivered, Delivery, Leg, ReplayWindow};
use crate::types::{
    AccountFlags, AccountId, Action, Asset, ChainGenesis, ChainId, ChainKind, ChainStatus, ChainTime,
    Command, Content, Effect, Epoch, FirstMembers, Frozen, Height, Issuance, Members, NewChain, Opening,
    Order, Outcome, PacketRun, Registrar, RulesVersion, TransactionId,
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its public key.
    pub key: [u8; 32],
    /// The keys that it had before, from the first version on, each with the height that gave it.
    pub former_keys: Vec<([u8; 32], Height)>,
    /// The version of its key.
    pub key_version: u32,
    /// What it holds.
    pub balance: u128,
    /// Every nonce that was ever spent.
    pub used_nonces: BTreeSet<u64>,
    /// The lowest nonce that may still be used: grows with the highest nonce spent, which it trails by at most 63.
    pub lowest_nonce: u128,
    /// Whether nothing leaves it.
    pub debit_frozen: bool,
    /// Whether nothing new comes to it.
    pub credit_frozen: bool,
    /// Whether it closes when its lock window ends.
    pub closing: bool,
    /// Whether it is closed for good.
    pub closed: bool,
    /// What the chain keeps of it beside its leaf.
    pub(crate) record: PlainRecord,
}

/// A chain: its accounts, and what its kind has beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oracle {
    chain: ChainId,
    kind: ChainKind,
    pub(crate) others: BTreeMap<ChainId, (ChainKind, Asset)>,
    /// What the chain is, as it is in effect.
    pub(crate) is: PlainChain,
    /// What was decided about all chains, if it is this one that decides.
    pub(crate) governance: Option<PlainGovernance>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) issued: u128,
    pub(crate) burned: u128,
    pub(crate) attestations: BTreeMap<[u8; 32], PlainAttestation>,
    /// Attestations, and what is kept of accounts beside their leaves.
    pub(crate) table: PlainTable,
    /// The accounts with a change in its lock window.
    pub(crate) changing: BTreeSet<AccountId>,
    /// Open reservations, by the account and the nonce that made them.
    pub(crate) reservations: BTreeMap<(u64, u64), PlainReservation>,
    /// What the clock of lock windows shows, and the time of the block that has set it.
    pub(crate) clock: (u64, u64),
    /// The keys of the accounts that the height at hand has opened.
    opened: Vec<[u8; 32]>,
    /// The accounts that it has given another key, with it.
    pub(crate) keys: Vec<(AccountId, [u8; 32])>,
    /// What has taken effect by itself in the height at hand.
    pub(crate) effects: Vec<Effect>,
}

/// What a height did on a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleOutcome {
    /// One for each transaction.
    pub outcomes: Vec<Outcome>,
    /// What became of each delivery from another chain.
    pub inbox: Vec<Delivered>,
    /// What goes to other chains.
    pub outbox: Vec<Delivery>,
    /// What the height has issued and burned.
    pub issuance: Issuance,
    /// The keys of the accounts that it has opened.
    pub opened: Vec<[u8; 32]>,
    /// The accounts that it has given another key, with it.
    pub keys: Vec<(AccountId, [u8; 32])>,
    /// What has taken effect by itself.
    pub effects: Vec<Effect>,
}

impl Oracle {
    /// The accounts at the beginning of a chain, which is one of `chains`. The members of the network are fixed.
    pub fn genesis(chain: &ChainGenesis, chains: &[ChainGenesis]) -> Self {
        Self::beginning(chain, chains, None)
    }

    /// The same in a network with these members, where the chain that decides can put others in their places.
    pub fn beginning(chain: &ChainGenesis, chains: &[ChainGenesis], first: Option<FirstMembers>) -> Self {
        let others = chains.iter().map(|chain| (chain.id, (chain.kind, chain.asset))).collect();
        Self {
            governance: (chain.kind == ChainKind::Governance)
                .then(|| PlainGovernance::genesis(chain, chains, first)),
            accounts: chain.account_states().map(Account::of).collect(),
            ..Self::empty(chain.id, chain.kind, PlainChain::genesis(chain), others)
        }
    }

    /// A chain that is created in a height, in which it obeys that decision.
    pub fn created(new: &NewChain, others: BTreeMap<ChainId, (ChainKind, Asset)>) -> Self {
        Self::empty(new.id, new.kind, PlainChain::created(new), others)
    }

    /// A chain on which there is nothing yet.
    fn empty(
        chain: ChainId,
        kind: ChainKind,
        is: PlainChain,
        others: BTreeMap<ChainId, (ChainKind, Asset)>,
    ) -> Self {
        Self {
            chain,
            kind,
            others,
            is,
            governance: None,
            accounts: Vec::new(),
            issued: 0,
            burned: 0,
            attestations: BTreeMap::new(),
            table: PlainTable::empty(),
            changing: BTreeSet::new(),
            reservations: BTreeMap::new(),
            clock: (0, 0),
            opened: Vec::new(),
            keys: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// The decisions that take effect at a height, if it is this chain that decides.
    pub fn orders(&self, height: Height) -> Vec<Order> {
        self.governance.as_ref().map_or_else(Vec::new, |of| of.orders(height))
    }

    /// The members that were decided last, and in which height, if it is this chain that decides.
    pub fn decided_members(&self) -> Option<(Height, Members)> {
        self.governance.as_ref()?.decided_members()
    }

    /// The rules of an epoch up to theirs, if it is this chain that decides.
    pub fn rules_of(&self, epoch: Epoch) -> Option<RulesVersion> {
        self.governance.as_ref()?.rules_of(epoch)
    }

    /// Decisions take effect, before anything else of the height.
    pub fn obey(&mut self, height: Height, orders: &[Order]) {
        obey_plainly(self, height, orders);
    }

    /// Executes the changes of accounts that are due, then what came from other chains, and then the transactions of
    /// the block, each with its id.
    pub fn execute<'a>(
        &mut self,
        at: ChainTime,
        inbox: &[Delivery],
        transactions: impl Iterator<Item = (TransactionId, PacketRun<'a>)>,
    ) -> OracleOutcome {
        let before = (self.balances() + self.reserved(), self.issued, self.burned);
        if self.is.status != ChainStatus::Paused {
            settle_plainly(self, at);
        }
        let (mut outcomes, mut delivered, mut outbox) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in inbox {
            let outcome = match (delivery.leg, self.is.status) {
                (Leg::Credit, ChainStatus::Closed) => Outcome::ChainClosed,
                _ => of_kind!(self.kind, Kind => Kind::receive_plainly(self, delivery)),
            };
            delivered.push(Delivered { delivery: *delivery, outcome });
            match (delivery.leg, outcome) {
                (Leg::Take(terms), Outcome::Applied) => {
                    outbox.push(Delivery { leg: Leg::Swapped(terms.to), ..*delivery });
                }
                (_, Outcome::Applied) => {}
                _ => outbox.push(Delivery { leg: Leg::Refund(outcome), ..*delivery }),
            }
        }
        for (transaction, run) in transactions {
            let outcome = self.transaction(at, run);
            if outcome == Outcome::Sent {
                outbox.push(self.sent(transaction, run));
            }
            outcomes.push(outcome);
        }
        let sum = |deliveries: &[Delivery]| -> u128 {
            deliveries.iter().map(|delivery| u128::from(delivery.crossing.amount)).sum()
        };
        let (issued, burned) = (self.issued - before.1, self.burned - before.2);
        assert_eq!(
            before.0 + sum(inbox) + issued,
            self.balances() + self.reserved() + sum(&outbox) + burned,
            "block {} made or destroyed money",
            at.height
        );
        let issuance = issuance_of(issued, burned);
        let (opened, keys) = (std::mem::take(&mut self.opened), std::mem::take(&mut self.keys));
        let effects = std::mem::take(&mut self.effects);
        OracleOutcome { outcomes, inbox: delivered, outbox, issuance, opened, keys, effects }
    }

    /// What a transaction that leaves its chain puts on its way.
    fn sent(&self, transaction: TransactionId, run: PacketRun<'_>) -> Delivery {
        let (leg, payer, destination, payee, amount) = match run.content() {
            Ok(Content::Transfer(of)) => {
                let chain = of.credit_chain.expect("only what has one is sent");
                (Leg::Credit, of.debit, chain, of.credit, of.amount)
            }
            Ok(Content::Take(of)) => (Leg::Take(of.terms), of.envelope.signer, of.chain, of.credit, of.price),
            other => panic!("this does not leave its chain: {other:?}"),
        };
        let source = self.chain;
        Delivery { leg, crossing: Crossing { transaction, source, payer, destination, payee, amount } }
    }

    fn transaction(&mut self, at: ChainTime, run: PacketRun<'_>) -> Outcome {
        let content = run.content().expect("a verified batch holds transactions");
        // Whatever the kind, the signer stands where a transfer has the debit account.
        let (signer, nonce) = (run.debit(), run.nonce());
        if at.height > run.expiry() {
            return Outcome::Expired;
        }
        if signer.0 >= self.accounts.len() as u64 {
            return Outcome::UnknownDebit;
        }
        let account = &mut self.accounts[signer.0 as usize];
        if u128::from(nonce) < account.lowest_nonce || account.used_nonces.contains(&nonce) {
            return Outcome::Replayed;
        }
        if run.key_version() != account.key_version {
            return Outcome::WrongKeyVersion;
        }
        if u128::from(nonce) >= account.lowest_nonce + 128 {
            return Outcome::NonceTooFar;
        }

        // The owner of the account asked for this, now, once: the nonce is spent even if it fails.
        account.used_nonces.insert(nonce);
        if u128::from(nonce) >= account.lowest_nonce + 64 {
            account.lowest_nonce = u128::from(nonce) - 63;
        }
        let refused = refuses(self.is.status, &content);
        refused.unwrap_or_else(|| of_kind!(self.kind, Kind => Kind::execute_plainly(self, at, &content)))
    }

    /// What chains of every kind do, once the nonce is spent; `None` if it is something else.
    pub(crate) fn common(&mut self, at: ChainTime, content: &Content<'_>) -> Option<Outcome> {
        let done = match content {
            Content::Opening(of) => self.open(of),
            Content::Rekey(of) => self.rekey(at, of),
            Content::Protect(of) => self.protect(at, of),
            Content::Recover(of) => self.recover(at, of),
            Content::Command(Command { authority, action: Action::Freeze { account, frozen }, .. }) => {
                self.freeze(*authority, *account, *frozen)
            }
            Content::Command(Command { authority, action: Action::Close, .. }) => self.close(at, *authority),
            Content::Command(Command { authority, action: Action::Cancel { change }, .. }) => {
                self.cancel(*authority, *change)
            }
            Content::Command(_)
            | Content::Transfer(_)
            | Content::Linked(_)
            | Content::Attest(_)
            | Content::Revoke(_)
            | Content::Propose(_)
            | Content::Approve(_)
            | Content::Reserve(_)
            | Content::Settle(_)
            | Content::Offer(_)
            | Content::Take(_) => return None,
        };
        Some(match done {
            Ok(()) => Outcome::Applied,
            Err(reason) => reason,
        })
    }

    /// New accounts with the next ids.
    fn open(&mut self, opening: &Opening<'_>) -> Result<(), Outcome> {
        let may = match self.is.roles.registrar {
            Registrar::Nobody => false,
            Registrar::Account(account) => account == opening.registrar,
            Registrar::Anyone => true,
        };
        if !may {
            return Err(Outcome::RoleNotHeld);
        }
        self.accounts[opening.registrar.0 as usize].may_pay()?;
        if (self.accounts.len() + opening.accounts.count()) as u64 > self.is.roles.accounts_cap {
            return Err(Outcome::AccountsCap);
        }
        opening.accounts.iter().for_each(|account| self.add_account(*account.key));
        Ok(())
    }

    /// A new account with the next id.
    pub(crate) fn add_account(&mut self, key: [u8; 32]) {
        self.opened.push(key);
        self.accounts.push(Account::of(AccountState::opened(key)));
    }

    /// The flags of an account, as its freezer orders.
    fn freeze(&mut self, by: AccountId, account: AccountId, frozen: Frozen) -> Result<(), Outcome> {
        if self.is.roles.freezer != Some(by) {
            return Err(Outcome::RoleNotHeld);
        }
        let account = self.accounts.get_mut(account.0 as usize).ok_or(Outcome::UnknownCredit)?;
        if account.closed {
            return Err(Outcome::CreditClosed);
        }
        (account.debit_frozen, account.credit_frozen) = (frozen.debit(), frozen.credit());
        Ok(())
    }

    /// What its balances are balances of.
    pub(crate) fn asset(&self) -> Asset {
        self.is.asset
    }

    /// What the chain does.
    pub(crate) fn kind(&self) -> ChainKind {
        self.kind
    }

    /// The chain.
    pub(crate) fn chain(&self) -> ChainId {
        self.chain
    }

    /// The table.
    pub fn table(&self) -> &PlainTable {
        &self.table
    }

    /// What has been issued and burned since the beginning.
    pub fn issuance(&self) -> Issuance {
        issuance_of(self.issued, self.burned)
    }

    /// How many bytes of its transactions one block may take now.
    pub fn quota(&self) -> u32 {
        self.is.roles.quota.0
    }

    /// What is set aside in open reservations.
    pub fn reserved(&self) -> u128 {
        self.reservations.values().map(|of| u128::from(of.amount())).sum()
    }

    /// How many open reservations an account has made.
    pub(crate) fn reservations_of(&self, payer: AccountId) -> usize {
        self.reservations.range((payer.0, 0)..=(payer.0, u64::MAX)).count()
    }

    /// The accounts whose reservations are over at a time, if not before.
    pub(crate) fn payers_due(&self, now_ms: u64) -> impl Iterator<Item = AccountId> {
        let due = self.reservations.iter().filter(move |(_, of)| of.due_ms() <= now_ms);
        due.map(|((payer, _), _)| AccountId(*payer))
    }

    /// The sum of all balances.
    pub fn balances(&self) -> u128 {
        self.accounts.iter().map(|account| account.balance).sum()
    }

    /// The accounts.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The accounts in the form that the tree over accounts hashes.
    pub fn account_states(&self) -> impl ExactSizeIterator<Item = AccountState> {
        self.accounts.iter().map(Account::state)
    }

    /// One account in that form.
    pub fn account_state(&self, id: AccountId) -> Option<AccountState> {
        self.accounts.get(usize::try_from(id.0).ok()?).map(Account::state)
    }
}

fn issuance_of(issued: u128, burned: u128) -> Issuance {
    let fits = |sum: u128| u64::try_from(sum).expect("no sum of issues or burns exceeds 64 bits");
    Issuance { issued: fits(issued), burned: fits(burned) }
}

impl Account {
    /// A new account.
    fn of(account: AccountState) -> Self {
        Self {
            key: account.key,
            former_keys: Vec::new(),
            key_version: account.key_version,
            balance: u128::from(account.balance),
            used_nonces: BTreeSet::new(),
            lowest_nonce: 0,
            debit_frozen: false,
            credit_frozen: false,
            closing: false,
            closed: false,
            record: PlainRecord::default(),
        }
    }

    /// The key of a version, and the height that gave it; 0 where it began with the account.
    pub(crate) fn key_of(&self, version: u32) -> Option<([u8; 32], Height)> {
        if version == self.key_version {
            return Some((self.key, Height(self.record.key_since())));
        }
        self.former_keys.get(version.checked_sub(1)? as usize).copied()
    }

    /// Why it can neither pay nor order, if it cannot.
    pub(crate) fn may_pay(&self) -> Result<(), Outcome> {
        if self.closing || self.closed {
            Err(Outcome::DebitClosed)
        } else if self.debit_frozen {
            Err(Outcome::DebitFrozen)
        } else {
            Ok(())
        }
    }

    /// Why nothing new can come to it, if nothing can.
    pub(crate) fn may_receive(&self) -> Result<(), Outcome> {
        if self.closing || self.closed {
            Err(Outcome::CreditClosed)
        } else if self.credit_frozen {
            Err(Outcome::CreditFrozen)
        } else {
            Ok(())
        }
    }

    fn state(&self) -> AccountState {
        let base = u64::try_from(self.lowest_nonce).expect("it trails a 64-bit nonce");
        let mut used = 0;
        for slot in 0..64 {
            if base.checked_add(slot).is_some_and(|nonce| self.used_nonces.contains(&nonce)) {
                used |= 1 << slot;
            }
        }
        AccountState {
            key: self.key,
            key_version: self.key_version,
            balance: u64::try_from(self.balance).expect("a credit never exceeds 64 bits"),
            window: ReplayWindow { base, used },
            flags: AccountFlags::from_bits(
                u32::from(self.debit_frozen)
                    + 2 * u32::from(self.credit_frozen)
                    + 4 * u32::from(self.closing)
                    + 8 * u32::from(self.closed),
            ),
        }
    }
}
