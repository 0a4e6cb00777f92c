//! Whether the balance of every account changes in every height by what it has paid and got, as transactions and what
//! came from other chains say.
//!
//! Nothing here asks the definition of execution, so a mistake that it shares with the executor is seen.

use std::collections::BTreeMap;

use engine::execute::{Delivered, Delivery, Delta, Leg};
use engine::types::{AccountId, Action, ChainId, Command, Content, Linked, Outcome, Transfer};

/// By how much the balances of accounts of a chain are different after a block, of those that are.
pub(crate) type Moved = BTreeMap<AccountId, i128>;

/// By how much balances must be different after this height. What is set aside is told by [`Self::pays`] and
/// [`Self::gets`], by who knows what there is.
#[derive(Debug, Default)]
pub(crate) struct Flows(BTreeMap<ChainId, Moved>);

/// By how much a block has changed balances.
pub(crate) fn moved(delta: &Delta) -> Moved {
    let changes = delta.changes().iter();
    let moved = changes.map(|of| (of.account, i128::from(of.after.balance) - i128::from(of.before.balance)));
    moved.filter(|(_, amount)| *amount != 0).collect()
}

impl Flows {
    pub(crate) fn gets(&mut self, chain: ChainId, account: AccountId, amount: u64) {
        *self.0.entry(chain).or_default().entry(account).or_default() += i128::from(amount);
    }

    pub(crate) fn pays(&mut self, chain: ChainId, account: AccountId, amount: u64) {
        *self.0.entry(chain).or_default().entry(account).or_default() -= i128::from(amount);
    }

    /// A transaction of the block has not failed.
    pub(crate) fn executed(&mut self, content: &Content<'_>) {
        match content {
            Content::Transfer(Transfer { chain, debit, credit_chain, credit, amount, .. }) => {
                self.pays(*chain, *debit, *amount);
                if credit_chain.is_none() {
                    self.gets(*chain, *credit, *amount);
                }
            }
            Content::Linked(Linked { chain, debit, payments, .. }) => {
                for payment in payments.iter() {
                    self.pays(*chain, *debit, payment.amount);
                    self.gets(*chain, payment.to, payment.amount);
                }
            }
            Content::Command(Command { chain, authority, action, .. }) => match action {
                Action::Issue { to, amount } => self.gets(*chain, *to, *amount),
                Action::Burn { amount } => self.pays(*chain, *authority, *amount),
                _ => {}
            },
            Content::Take(of) => self.pays(of.envelope.chain, of.envelope.signer, of.price),
            _ => {}
        }
    }

    /// Something came to a chain. Who takes an offer gets what is offered, which is not said here.
    pub(crate) fn arrived(&mut self, chain: ChainId, came: &Delivered) {
        let Delivered { delivery: Delivery { leg, crossing }, outcome } = came;
        let to = match leg {
            Leg::Credit => crossing.payee,
            Leg::Refund(_) => crossing.payer,
            Leg::Swapped(to) => *to,
            Leg::Take(_) => return,
        };
        if *outcome == Outcome::Applied {
            self.gets(chain, to, crossing.amount);
        }
    }

    /// A chain has executed a height, which has changed its balances by so much.
    ///
    /// # Errors
    /// It is not what was executed.
    pub(crate) fn compare(&mut self, chain: ChainId, found: &Moved) -> Result<(), String> {
        let mut expected = self.0.remove(&chain).unwrap_or_default();
        expected.retain(|_, amount| *amount != 0);
        let mut all = expected.keys().chain(found.keys());
        let Some(account) = all.find(|account| expected.get(account) != found.get(account)) else {
            return Ok(());
        };
        let (expected, found) = (expected.get(account), found.get(account));
        Err(format!("account {account} of chain {chain} gets {found:?}, and not {expected:?}"))
    }
}

#[cfg(test)]
mod tests {
    use engine::execute::Crossing;
    use engine::types::{Payment, Transaction, TransactionId};

    use super::*;
    use crate::environment::{Environment, Signer};

    const CHAIN: ChainId = ChainId(1);

    fn environment() -> Environment {
        Environment::of_four(2, false, false)
    }

    /// Whether these are the balances that change by these transactions, by account.
    fn fits(transactions: &[Transaction], moved: &[(u64, i128)]) -> bool {
        let mut flows = Flows::default();
        transactions.iter().for_each(|one| flows.executed(&one.run().content().expect("it was signed")));
        compares(flows, moved)
    }

    fn compares(mut flows: Flows, moved: &[(u64, i128)]) -> bool {
        let moved = moved.iter().map(|(account, amount)| (AccountId(*account), *amount)).collect();
        flows.compare(CHAIN, &moved).is_ok()
    }

    #[test]
    fn money_that_goes_elsewhere_is_seen() {
        let (environment, by) = (environment(), Signer::first(3));
        let pays = environment.transfer((1, None), (by, 4), 10, 0, u64::MAX);
        assert!(fits(&[], &[]) && fits(std::slice::from_ref(&pays), &[(3, -10), (4, 10)]));
        for wrong in [&[(3, -10), (5, 10)][..], &[(3, -10), (4, 9)], &[(3, -10)], &[]] {
            assert!(!fits(std::slice::from_ref(&pays), wrong), "{wrong:?}");
        }
        let back = environment.transfer((1, None), (Signer::first(4), 3), 10, 0, u64::MAX);
        assert!(fits(&[pays, back], &[]), "it comes back");
        let itself = environment.transfer((1, None), (by, 3), 10, 1, u64::MAX);
        assert!(fits(&[itself], &[]));
        let sends = environment.transfer((1, Some(2)), (by, 4), 10, 0, u64::MAX);
        assert!(fits(&[sends], &[(3, -10)]));
        let payments = [(4, 1), (5, 2)].map(|(to, amount)| Payment { to: AccountId(to), amount });
        let linked = environment.linked(1, by, &payments, 0, u64::MAX);
        assert!(fits(&[linked], &[(3, -3), (4, 1), (5, 2)]));
        let issues = environment.command(1, by, Action::Issue { to: AccountId(4), amount: 5 }, 0);
        let burns = environment.command(1, by, Action::Burn { amount: 2 }, 1);
        assert!(fits(&[issues, burns], &[(3, -2), (4, 5)]));
    }

    #[test]
    fn what_arrives_is_credited_and_what_does_not_is_not() {
        let crossing = Crossing {
            transaction: TransactionId::default(),
            source: ChainId(2),
            payer: AccountId(3),
            destination: CHAIN,
            payee: AccountId(4),
            amount: 10,
        };
        let arrives = |leg, outcome, moved: &[(u64, i128)]| {
            let mut flows = Flows::default();
            flows.arrived(CHAIN, &Delivered { delivery: Delivery { leg, crossing }, outcome });
            compares(flows, moved)
        };
        assert!(arrives(Leg::Credit, Outcome::Applied, &[(4, 10)]));
        assert!(arrives(Leg::Credit, Outcome::CreditFrozen, &[]));
        assert!(arrives(Leg::Refund(Outcome::CreditFrozen), Outcome::Applied, &[(3, 10)]));
        assert!(arrives(Leg::Swapped(AccountId(5)), Outcome::Applied, &[(5, 10)]));
        assert!(!arrives(Leg::Swapped(AccountId(5)), Outcome::Applied, &[(4, 10)]));
    }
}
