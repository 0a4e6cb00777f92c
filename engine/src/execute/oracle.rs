//! The definition of execution, in the plainest words: no cache lines, no bitmaps, no arithmetic that could wrap.
//!
//! What a transaction does once its nonce is spent stands with the kind of its chain ([`crate::chains`]). Slow is the
//! specification. The fast pass is compared with this one in tests, and `millrace verify` replays with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::chains::attestations::{PlainAttestation, Register};
use crate::chains::{Rules, of_kind};
use crate::execute::{AccountState, Crossing, Delivered, Delivery, Leg, ReplayWindow};
use crate::types::{
    AccountId, Asset, Attest, ChainGenesis, ChainId, ChainKind, Command, Content, Frozen, Height, Issuance,
    Linked, Opening, Outcome, PacketRun, Registrar, Revoke, Roles, TransactionId, Transfer,
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its public key.
    pub key: [u8; 32],
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
}

/// A chain: its accounts, and what its kind has beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oracle {
    chain: ChainId,
    kind: ChainKind,
    pub(crate) others: BTreeMap<ChainId, (ChainKind, Asset)>,
    pub(crate) roles: Roles,
    pub(crate) accounts: Vec<Account>,
    pub(crate) issued: u128,
    pub(crate) burned: u128,
    pub(crate) attestations: Register,
    /// The keys of the accounts that the height at hand has opened.
    opened: Vec<[u8; 32]>,
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
}

impl Oracle {
    /// The accounts at the beginning of a chain, which is one of `chains`.
    pub fn genesis(chain: &ChainGenesis, chains: &[ChainGenesis]) -> Self {
        let account = |account: AccountState| Account {
            key: account.key,
            key_version: account.key_version,
            balance: u128::from(account.balance),
            used_nonces: BTreeSet::new(),
            lowest_nonce: 0,
            debit_frozen: false,
            credit_frozen: false,
        };
        let accounts: Vec<Account> = chain.account_states().map(account).collect();
        let others = chains.iter().map(|chain| (chain.id, (chain.kind, chain.asset))).collect();
        Self {
            chain: chain.id,
            kind: chain.kind,
            others,
            roles: chain.roles,
            accounts,
            issued: 0,
            burned: 0,
            attestations: Register::default(),
            opened: Vec::new(),
        }
    }

    /// Executes what came from other chains, and then the transactions of the block at `height`, each with its id.
    pub fn execute<'a>(
        &mut self,
        height: Height,
        inbox: &[Delivery],
        transactions: impl Iterator<Item = (TransactionId, PacketRun<'a>)>,
    ) -> OracleOutcome {
        let before = (self.balances(), self.issued, self.burned);
        let (mut outcomes, mut delivered, mut outbox) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in inbox {
            let outcome = of_kind!(self.kind, Kind => Kind::credit_plainly(self, delivery));
            delivered.push(Delivered { delivery: *delivery, outcome });
            if outcome != Outcome::Applied {
                outbox.push(Delivery { leg: Leg::Refund(outcome), ..*delivery });
            }
        }
        for (transaction, run) in transactions {
            let content = run.content().expect("a verified batch holds transactions");
            let outcome = self.transaction(height, &content);
            if let (Outcome::Sent, Content::Transfer(transfer)) = (outcome, content) {
                let crossing = Crossing {
                    transaction,
                    source: self.chain,
                    payer: transfer.debit,
                    destination: transfer.credit_chain.expect("only what has one is sent"),
                    payee: transfer.credit,
                    amount: transfer.amount,
                };
                outbox.push(Delivery { leg: Leg::Credit, crossing });
            }
            outcomes.push(outcome);
        }
        let sum = |deliveries: &[Delivery]| -> u128 {
            deliveries.iter().map(|delivery| u128::from(delivery.crossing.amount)).sum()
        };
        let (issued, burned) = (self.issued - before.1, self.burned - before.2);
        assert_eq!(
            before.0 + sum(inbox) + issued,
            self.balances() + sum(&outbox) + burned,
            "block {height} made or destroyed money"
        );
        let issuance = issuance_of(issued, burned);
        let opened = std::mem::take(&mut self.opened);
        OracleOutcome { outcomes, inbox: delivered, outbox, issuance, opened }
    }

    fn transaction(&mut self, height: Height, content: &Content<'_>) -> Outcome {
        let (expiry, signer, key_version, nonce) = match content {
            Content::Transfer(Transfer { expiry, debit, key_version, nonce, .. }) => {
                (*expiry, *debit, *key_version, *nonce)
            }
            Content::Command(Command { expiry, authority, key_version, nonce, .. }) => {
                (*expiry, *authority, *key_version, *nonce)
            }
            Content::Linked(Linked { expiry, debit, key_version, nonce, .. }) => {
                (*expiry, *debit, *key_version, *nonce)
            }
            Content::Opening(Opening { expiry, registrar, key_version, nonce, .. }) => {
                (*expiry, *registrar, *key_version, *nonce)
            }
            Content::Attest(Attest { expiry, owner, key_version, nonce, .. })
            | Content::Revoke(Revoke { expiry, owner, key_version, nonce, .. }) => {
                (*expiry, *owner, *key_version, *nonce)
            }
        };
        if height > expiry {
            return Outcome::Expired;
        }
        if signer.0 >= self.accounts.len() as u64 {
            return Outcome::UnknownDebit;
        }
        let account = &mut self.accounts[signer.0 as usize];
        if key_version != account.key_version {
            return Outcome::WrongKeyVersion;
        }
        if u128::from(nonce) < account.lowest_nonce || account.used_nonces.contains(&nonce) {
            return Outcome::Replayed;
        }
        if u128::from(nonce) >= account.lowest_nonce + 128 {
            return Outcome::NonceTooFar;
        }

        // The owner of the account asked for this, now, once: the nonce is spent even if it fails.
        account.used_nonces.insert(nonce);
        if u128::from(nonce) >= account.lowest_nonce + 64 {
            account.lowest_nonce = u128::from(nonce) - 63;
        }
        of_kind!(self.kind, Kind => Kind::execute_plainly(self, height, content))
    }

    /// New accounts with the next ids, once the nonce is spent.
    pub(crate) fn open(&mut self, opening: &Opening<'_>) -> Outcome {
        let may = match self.roles.registrar {
            Registrar::Nobody => false,
            Registrar::Account(account) => account == opening.registrar,
            Registrar::Anyone => true,
        };
        if !may {
            return Outcome::RoleNotHeld;
        }
        if self.accounts[opening.registrar.0 as usize].debit_frozen {
            return Outcome::DebitFrozen;
        }
        if (self.accounts.len() + opening.accounts.count()) as u64 > self.roles.accounts_cap {
            return Outcome::AccountsCap;
        }
        for account in opening.accounts.iter() {
            self.opened.push(*account.key);
            self.accounts.push(Account {
                key: *account.key,
                key_version: 1,
                balance: 0,
                used_nonces: BTreeSet::new(),
                lowest_nonce: 0,
                debit_frozen: false,
                credit_frozen: false,
            });
        }
        Outcome::Applied
    }

    /// The flags of an account, as its freezer orders, once the nonce is spent.
    pub(crate) fn freeze(&mut self, by: AccountId, account: AccountId, frozen: Frozen) -> Outcome {
        if self.roles.freezer != Some(by) {
            return Outcome::RoleNotHeld;
        }
        let Some(account) = self.accounts.get_mut(account.0 as usize) else {
            return Outcome::UnknownCredit;
        };
        (account.debit_frozen, account.credit_frozen) = (frozen.debit(), frozen.credit());
        Outcome::Applied
    }

    /// The chain.
    pub(crate) fn chain(&self) -> ChainId {
        self.chain
    }

    /// How many attestations there may be.
    pub(crate) fn attestations_cap(&self) -> u64 {
        self.roles.attestations_cap
    }

    /// Every attestation, in the order of registration.
    pub fn attestations(&self) -> &[PlainAttestation] {
        self.attestations.in_order()
    }

    /// Whether its kind has a table.
    pub(crate) fn has_table(&self) -> bool {
        self.kind == ChainKind::Attestations
    }

    /// What has been issued and burned since the beginning.
    pub fn issuance(&self) -> Issuance {
        issuance_of(self.issued, self.burned)
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
            frozen: Frozen::from_bits(u32::from(self.debit_frozen) + 2 * u32::from(self.credit_frozen)),
        }
    }
}
