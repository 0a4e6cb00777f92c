//! Chains of the kind *transfers*: accounts that hold money of one asset and pay each other. `docs/TRANSFERS.md` has
//! the rules, in the order in which they are looked at.

mod executor;
mod oracle;

use super::Rules;
use super::accounts::{self, refuse};
use crate::execute::oracle::Oracle;
use crate::execute::{Book, ChainState, Chains, Delivery, Leg};
use crate::types::{
    AccountFlags, AccountId, Action, ChainKind, ChainStatus, ChainTime, Command, Content, Outcome, PacketRun,
    Refusal, Transfer,
};

/// The rules of the kind.
pub(crate) enum Transfers {}

impl Rules for Transfers {
    fn judge(chains: &Chains, state: &ChainState, content: &Content<'_>) -> Result<(), Refusal> {
        match content {
            Content::Transfer(transfer) => judge_transfer(chains, state, transfer),
            Content::Linked(linked) => {
                refuse(state, linked.debit, AccountFlags::debit)?;
                let mut payments = linked.payments.iter();
                payments.try_for_each(|payment| refuse(state, payment.to, AccountFlags::credit))
            }
            _ => accounts::judge(state, content).unwrap_or_else(|| match content {
                Content::Command(command) => judge_issuance(state, command),
                _ => Err(Refusal::OtherKind),
            }),
        }
    }

    #[inline]
    fn execute(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome {
        executor::execute(book, at, signer, run)
    }

    fn credit(book: &mut Book, leg: Leg, to: AccountId, amount: u64) -> Result<(), Outcome> {
        executor::credit(book, leg, to, amount)
    }

    fn execute_plainly(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome {
        oracle::execute(oracle, at, content)
    }

    fn credit_plainly(oracle: &mut Oracle, delivery: &Delivery) -> Outcome {
        oracle::deliver(oracle, delivery)
    }
}

fn judge_transfer(chains: &Chains, state: &ChainState, transfer: &Transfer) -> Result<(), Refusal> {
    refuse(state, transfer.debit, AccountFlags::debit)?;
    let Some(other) = transfer.credit_chain else {
        return refuse(state, transfer.credit, AccountFlags::credit);
    };
    // Whether the account exists there is for that chain to say, when the money arrives.
    let other = chains.get(other).ok_or(Refusal::UnknownCreditChain)?;
    if other.kind() != ChainKind::Transfers {
        return Err(Refusal::OtherKind);
    }
    if other.status() == ChainStatus::Closed {
        return Err(Refusal::ChainClosed);
    }
    (other.asset() == state.asset()).then_some(()).ok_or(Refusal::OtherAsset)
}

fn judge_issuance(state: &ChainState, command: &Command) -> Result<(), Refusal> {
    let credited = match command.action {
        Action::Issue { to, .. } => to,
        _ => command.authority,
    };
    if state.roles().issuer != Some(command.authority) {
        return Err(Refusal::RoleNotHeld);
    }
    state.index(credited).map(|_| ()).ok_or(Refusal::UnknownAccount)
}
