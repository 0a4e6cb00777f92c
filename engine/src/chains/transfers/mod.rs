//! Chains of the kind *transfers*: accounts that hold money of one asset and pay each other. `docs/TRANSFERS.md` has
//! the rules, in the order in which they are looked at.

mod executor;
mod oracle;

use super::Rules;
use super::accounts::{judge_freeze, judge_opening, refuse_frozen};
use crate::execute::oracle::Oracle;
use crate::execute::{Book, ChainState, Chains, Delivery, Leg};
use crate::types::{
    AccountId, Action, ChainKind, Command, Content, Frozen, Height, Outcome, PacketRun, Refusal, Transfer,
};

/// The rules of the kind.
pub(crate) enum Transfers {}

impl Rules for Transfers {
    fn judge(chains: &Chains, state: &ChainState, content: &Content<'_>) -> Result<(), Refusal> {
        match content {
            Content::Transfer(transfer) => judge_transfer(chains, state, transfer),
            Content::Command(command) => judge_command(state, command),
            Content::Linked(linked) => {
                refuse_frozen(state, linked.debit, Frozen::debit)?;
                let mut payments = linked.payments.iter();
                payments.try_for_each(|payment| refuse_frozen(state, payment.to, Frozen::credit))
            }
            Content::Opening(opening) => judge_opening(state, opening),
            Content::Attest(_) | Content::Revoke(_) => Err(Refusal::OtherKind),
        }
    }

    #[inline]
    fn execute(book: &mut Book, _: Height, signer: usize, run: PacketRun<'_>) -> Outcome {
        executor::execute(book, signer, run)
    }

    fn credit(book: &mut Book, leg: Leg, to: AccountId, amount: u64) -> Result<(), Outcome> {
        executor::credit(book, leg, to, amount)
    }

    fn execute_plainly(oracle: &mut Oracle, _: Height, content: &Content<'_>) -> Outcome {
        oracle::execute(oracle, content)
    }

    fn credit_plainly(oracle: &mut Oracle, delivery: &Delivery) -> Outcome {
        oracle::deliver(oracle, delivery)
    }
}

fn judge_transfer(chains: &Chains, state: &ChainState, transfer: &Transfer) -> Result<(), Refusal> {
    refuse_frozen(state, transfer.debit, Frozen::debit)?;
    let Some(other) = transfer.credit_chain else {
        return refuse_frozen(state, transfer.credit, Frozen::credit);
    };
    // Whether the account exists there is for that chain to say, when the money arrives.
    let other = chains.get(other).ok_or(Refusal::UnknownCreditChain)?;
    if other.kind() != ChainKind::Transfers {
        return Err(Refusal::OtherKind);
    }
    (other.asset() == state.asset()).then_some(()).ok_or(Refusal::OtherAsset)
}

fn judge_command(state: &ChainState, command: &Command) -> Result<(), Refusal> {
    let credited = match command.action {
        Action::Freeze { account, .. } => return judge_freeze(state, command.authority, account),
        Action::Issue { to, .. } => to,
        Action::Burn { .. } => command.authority,
    };
    if state.roles().issuer != Some(command.authority) {
        return Err(Refusal::RoleNotHeld);
    }
    state.index(credited).map(|_| ()).ok_or(Refusal::UnknownAccount)
}
