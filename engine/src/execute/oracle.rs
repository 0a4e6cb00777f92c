//! The definition of execution, in the plainest words: no cache lines, no bitmaps, no arithmetic that could wrap.
//!
//! Slow is the specification. The fast pass is compared with this one in tests, and `millrace verify` replays with it.

use std::collections::BTreeSet;

use crate::execute::{AccountState, ReplayWindow};
use crate::types::{AccountId, ChainGenesis, Height, Outcome, Packet, Transfer};

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
}

/// The accounts of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oracle {
    accounts: Vec<Account>,
    supply: u128,
}

impl Oracle {
    /// The accounts at the beginning of a chain.
    pub fn genesis(chain: &ChainGenesis) -> Self {
        let account = |account: AccountState| Account {
            key: account.key,
            key_version: account.key_version,
            balance: u128::from(account.balance),
            used_nonces: BTreeSet::new(),
            lowest_nonce: 0,
        };
        let accounts: Vec<Account> = chain.account_states().map(account).collect();
        let supply = accounts.iter().map(|account| account.balance).sum();
        Self { accounts, supply }
    }

    /// Executes the transactions of the block at `height`.
    pub fn execute<'a>(&mut self, height: Height, packets: impl Iterator<Item = &'a Packet>) -> Vec<Outcome> {
        let outcomes = packets
            .map(|packet| {
                let transfer = packet.transfer().expect("a verified batch holds transfers");
                self.transfer(height, &transfer)
            })
            .collect();
        assert_eq!(self.balances(), self.supply, "block {height} made or destroyed money");
        outcomes
    }

    fn transfer(&mut self, height: Height, transfer: &Transfer) -> Outcome {
        if height > transfer.expiry {
            return Outcome::Expired;
        }
        let accounts = self.accounts.len() as u64;
        if transfer.debit.0 >= accounts {
            return Outcome::UnknownDebit;
        }
        let payer = &mut self.accounts[transfer.debit.0 as usize];
        if transfer.key_version != payer.key_version {
            return Outcome::WrongKeyVersion;
        }
        let nonce = u128::from(transfer.nonce);
        if nonce < payer.lowest_nonce || payer.used_nonces.contains(&transfer.nonce) {
            return Outcome::Replayed;
        }
        if nonce >= payer.lowest_nonce + 128 {
            return Outcome::NonceTooFar;
        }

        // The owner of the account asked for this, now, once: the nonce is spent even if the payment fails.
        payer.used_nonces.insert(transfer.nonce);
        if nonce >= payer.lowest_nonce + 64 {
            payer.lowest_nonce = nonce - 63;
        }

        if transfer.credit.0 >= accounts {
            return Outcome::UnknownCredit;
        }
        let (debit, credit) = (transfer.debit.0 as usize, transfer.credit.0 as usize);
        let amount = u128::from(transfer.amount);
        if self.accounts[debit].balance < amount {
            return Outcome::InsufficientBalance;
        }
        if debit != credit && self.accounts[credit].balance + amount > u128::from(u64::MAX) {
            return Outcome::CreditOverflow;
        }
        self.accounts[debit].balance -= amount;
        self.accounts[credit].balance += amount;
        Outcome::Applied
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
        }
    }
}
