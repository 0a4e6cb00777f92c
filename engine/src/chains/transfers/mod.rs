//! Chains of the kind *transfers*: accounts that hold money of one asset and pay each other. `docs/TRANSFERS.md` has
//! the rules, in the order in which they are looked at.

mod executor;
mod oracle;
mod reservations;

use super::Rules;
use super::accounts::{self, refuse};
use crate::execute::oracle::{About, Fault, Oracle};
use crate::execute::{Book, ChainState, Chains, Delivery};
use crate::types::{
    AccountFlags, Action, ChainId, ChainKind, ChainStatus, ChainTime, Command, Content, Outcome, PacketRun,
    Refusal, Transfer,
};

pub(crate) use self::oracle::{PlainReservation, release_plainly};
pub(super) use self::reservations::release;

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
            Content::Reserve(of) => {
                refuse(state, of.envelope.signer, AccountFlags::debit)?;
                refuse(state, of.payee, AccountFlags::credit)
            }
            Content::Settle(of) => refuse(state, of.envelope.signer, AccountFlags::debit),
            Content::Offer(of) => {
                refuse(state, of.envelope.signer, AccountFlags::debit)?;
                judge_destination(chains, of.price.chain).map(|_| ())
            }
            Content::Take(of) => {
                refuse(state, of.envelope.signer, AccountFlags::debit)?;
                judge_destination(chains, of.chain)?;
                refuse(state, of.terms.to, AccountFlags::credit)
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

    fn receive(book: &mut Book, delivery: &Delivery) -> Result<(), Outcome> {
        executor::receive(book, delivery)
    }

    fn execute_plainly(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome {
        oracle::execute(oracle, at, content)
    }

    fn receive_plainly(oracle: &mut Oracle, delivery: &Delivery) -> Outcome {
        oracle::deliver(oracle, delivery)
    }

    fn restore_plainly(oracle: &mut Oracle, about: &About, value: &[u8]) -> Result<(), Fault> {
        oracle::restore(oracle, about, value)
    }
}

fn judge_transfer(chains: &Chains, state: &ChainState, transfer: &Transfer) -> Result<(), Refusal> {
    refuse(state, transfer.debit, AccountFlags::debit)?;
    let Some(other) = transfer.credit_chain else {
        return refuse(state, transfer.credit, AccountFlags::credit);
    };
    let other = judge_destination(chains, other)?;
    (other.asset() == state.asset()).then_some(()).ok_or(Refusal::OtherAsset)
}

/// Whether an account exists there is for that chain to say, when money arrives.
fn judge_destination(chains: &Chains, chain: ChainId) -> Result<&ChainState, Refusal> {
    let other = chains.get(chain).ok_or(Refusal::UnknownCreditChain)?;
    if other.kind() != ChainKind::Transfers {
        return Err(Refusal::OtherKind);
    }
    if other.status() == ChainStatus::Closed {
        return Err(Refusal::ChainClosed);
    }
    Ok(other)
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

#[cfg(test)]
pub(crate) mod tests;
