//! The definition of execution, in the plainest words: no cache lines, no bitmaps, no arithmetic that could wrap.
//!
//! Slow is the specification. The fast pass is compared with this one in tests, and `millrace verify` replays with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::execute::{AccountState, Crossing, Delivered, Delivery, Leg, ReplayWindow};
use crate::types::{
    AccountId, Asset, ChainGenesis, ChainId, Height, Outcome, Packet, TransactionId, Transfer,
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
}

/// The accounts of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oracle {
    chain: ChainId,
    assets: BTreeMap<ChainId, Asset>,
    accounts: Vec<Account>,
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
        };
        let accounts: Vec<Account> = chain.account_states().map(account).collect();
        let assets = chains.iter().map(|chain| (chain.id, chain.asset)).collect();
        Self { chain: chain.id, assets, accounts }
    }

    /// Executes what came from other chains, and then the transactions of the block at `height`, each with its id.
    pub fn execute<'a>(
        &mut self,
        height: Height,
        inbox: &[Delivery],
        packets: impl Iterator<Item = (TransactionId, &'a Packet)>,
    ) -> OracleOutcome {
        let before = self.balances();
        let (mut outcomes, mut delivered, mut outbox) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in inbox {
            let outcome = self.deliver(delivery);
            delivered.push(Delivered { delivery: *delivery, outcome });
            if outcome != Outcome::Applied {
                outbox.push(Delivery { leg: Leg::Refund(outcome), ..*delivery });
            }
        }
        for (transaction, packet) in packets {
            let transfer = packet.transfer().expect("a verified batch holds transfers");
            let outcome = self.transfer(height, &transfer);
            if outcome == Outcome::Sent {
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
        assert_eq!(
            before + sum(inbox),
            self.balances() + sum(&outbox),
            "block {height} made or destroyed money"
        );
        OracleOutcome { outcomes, inbox: delivered, outbox }
    }

    fn deliver(&mut self, delivery: &Delivery) -> Outcome {
        let Crossing { payer, payee, amount, .. } = delivery.crossing;
        let to = match delivery.leg {
            Leg::Credit => payee,
            Leg::Refund(_) => payer,
        };
        let Some(account) = self.accounts.get_mut(to.0 as usize) else { return Outcome::UnknownCredit };
        if account.balance + u128::from(amount) > u128::from(u64::MAX) {
            return Outcome::CreditOverflow;
        }
        account.balance += u128::from(amount);
        Outcome::Applied
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

        if let Some(chain) = transfer.credit_chain {
            return self.send(transfer, chain);
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

    /// The debit of a payment to another chain, once the nonce is spent.
    fn send(&mut self, transfer: &Transfer, to: ChainId) -> Outcome {
        match self.assets.get(&to) {
            None => return Outcome::UnknownCreditChain,
            Some(asset) if *asset != self.assets[&self.chain] => return Outcome::OtherAsset,
            Some(_) => {}
        }
        let payer = &mut self.accounts[transfer.debit.0 as usize];
        if payer.balance < u128::from(transfer.amount) {
            return Outcome::InsufficientBalance;
        }
        payer.balance -= u128::from(transfer.amount);
        Outcome::Sent
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
