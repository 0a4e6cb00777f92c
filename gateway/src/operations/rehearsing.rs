//! What signed bytes mean, and what would become of a transfer now: nothing is submitted.

use client::answers::AccountAnswer;
use client::{AsOf, Query};
use engine::limits::{NONCE_AHEAD_MAX, REPLAY_WINDOW};
use engine::roots::AccountProof;
use engine::types::{
    AccountId, ChainId, ChainKind, ChainStatus, Outcome, Refusal, Transaction, Transfer, Verdict,
};
use serde_json::json;

use super::asking::read;
use super::submitting::transaction;
use super::{Arguments, Reply};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

pub(super) fn decode(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let transaction = transaction(arguments)?;
    Ok(Reply::ok(json!({
        "id": transaction.id(&gateway.settings.network),
        "chain": transaction.chain(),
        "signer": transaction.debit(),
        "key_version": transaction.key_version(),
        "nonce": transaction.nonce(),
        "expiry": transaction.expiry(),
        "packets": transaction.run().packets().len(),
        "said": (gateway.settings.words.fields)(&transaction),
    })))
}

/// What a rehearsal looks at, in this order.
const CHECKED: [&str; 9] =
    ["account", "expiry", "key version", "nonce", "signature", "chain", "payer", "payee", "balance"];

pub(super) async fn dry_run(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let transaction = transaction(arguments)?;
    let Ok(transfer) = transaction.run().transfer() else {
        let message = "only transfers of one packet are rehearsed; decode says what others mean";
        return Err(Failure::invalid(message));
    };
    let payer = account(gateway, transfer.chain, transfer.debit).await?;
    let payee = account(gateway, transfer.credit_chain.unwrap_or(transfer.chain), transfer.credit).await?;
    let (as_of, verdict) = match payer {
        Err(as_of) => (as_of, Refusal::UnknownAccount.into()),
        Ok((as_of, payer)) => (as_of, judge(gateway, (&transaction, &transfer), as_of, &payer, payee.ok())),
    };
    let (would, words) = match verdict {
        Verdict::Committed => ("apply", Outcome::Applied.name()),
        Verdict::Failed(outcome) => ("fail", outcome.name()),
        Verdict::Refused(refusal) => ("be_refused", refusal.name()),
    };
    Ok(Reply::ok(json!({
        "as_of": as_of,
        "view": "latest",
        "id": transaction.id(&gateway.settings.network),
        "would": would,
        "code": verdict.code(),
        "words": words,
        "checked": CHECKED,
    })))
}

/// An account, or the height at which there is none.
async fn account(
    gateway: &Gateway,
    chain: ChainId,
    account: AccountId,
) -> Result<Result<(AsOf, AccountProof), AsOf>, Failure> {
    match gateway.desk.ask(Query::Account { chain, account, record: false }).await {
        Ok(answer) => Ok(Ok((answer.as_of, read::<AccountAnswer>(&answer)?.proof))),
        Err(failure) if failure.kind == failure::NOT_FOUND => {
            let as_of = failure.data.and_then(|mut data| serde_json::from_value(data["as_of"].take()).ok());
            Ok(Err(as_of.unwrap_or_default()))
        }
        Err(failure) => Err(failure),
    }
}

fn judge(
    gateway: &Gateway,
    (transaction, transfer): (&Transaction, &Transfer),
    as_of: AsOf,
    payer: &AccountProof,
    payee: Option<(AsOf, AccountProof)>,
) -> Verdict {
    let ahead = transfer.nonce.checked_sub(payer.window_base);
    let is_used = |ahead: u64| ahead < REPLAY_WINDOW && payer.window_used >> ahead & 1 != 0;
    let entry = &payer.chain.entry;
    let is_signed = || {
        let message = transaction.run().message(&gateway.settings.network);
        kernels::ed25519::verify(&payer.key.0, &message, transaction.signature())
    };
    if transfer.expiry <= as_of.height {
        return Refusal::Expired.into();
    }
    if transfer.key_version != payer.key_version {
        return Refusal::WrongKeyVersion.into();
    }
    match ahead {
        None => return Refusal::Replayed.into(),
        Some(ahead) if is_used(ahead) => return Refusal::Replayed.into(),
        Some(ahead) if ahead >= NONCE_AHEAD_MAX => return Refusal::NonceTooFar.into(),
        Some(_) => {}
    }
    if !is_signed() {
        return Refusal::BadSignature.into();
    }
    let credit = |of: &AccountProof| match of.flags.credit() {
        Err(outcome) => Err(outcome),
        Ok(()) if of.chain.entry.asset != entry.asset => Err(Outcome::OtherAsset),
        Ok(()) => Ok(()),
    };
    let judged = match entry.status {
        ChainStatus::Paused => Err(Outcome::ChainPaused),
        ChainStatus::Closed if transfer.credit_chain.is_none() => Err(Outcome::ChainClosed),
        _ if entry.kind != ChainKind::Transfers => Err(Outcome::OtherKind),
        _ => payer.flags.debit(),
    };
    let judged = judged.and_then(|()| match &payee {
        None => Err(Outcome::UnknownCredit),
        Some((_, payee)) => credit(payee),
    });
    match judged {
        Err(outcome) => outcome.into(),
        Ok(()) if payer.balance < transfer.amount => Outcome::InsufficientBalance.into(),
        Ok(()) => Verdict::Committed,
    }
}

#[cfg(test)]
mod tests;
