//! Submissions: handed to the node, waited for, and told as a receipt.
//!
//! ```text
//! bytes ─▶ node ─┬─ refused ──────────────────────▶ an error with the code of docs/ERRORS.md
//!                ├─ accepted (wait=accepted) ─────▶ 200 accepted
//!                ├─ a verdict (wait=committed) ───▶ 200 committed or failed, the same for the same bytes
//!                └─ nothing in time ──────────────▶ 202 with the reference
//! ```

use std::time::Duration;

use client::Query;
use client::answers::TransactionAnswer;
use engine::types::{Outcome, Refusal, Transaction, Verdict};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::asking::{given, read};
use super::{Arguments, Caller, Reply};
use crate::desk::{Ticket, unreached};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// The longest wait, in milliseconds.
pub const WAIT_MS_MAX: u64 = 60_000;
/// The wait, if nothing is said.
const WAIT_MS: u64 = 10_000;
/// The pause before bytes are submitted again of which the same may be waiting.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How often a transaction is looked up that was told to be in a block, before the node's view has it.
const LOOKS: usize = 40;

/// What a wait ended with.
enum End {
    Accepted,
    Verdict(Verdict),
    Nothing,
}

pub(super) async fn submit(
    gateway: &Gateway,
    caller: Caller,
    arguments: &Arguments,
) -> Result<Reply, Failure> {
    let transaction = transaction(arguments)?;
    let id = transaction.id(&gateway.settings.network).to_string();
    if let Some(seconds) = gateway.offenders.holds_off(caller, Instant::now()) {
        let message = "too many of your signatures were bad; check the key, its version and the network id";
        return Err(Failure::new(failure::TOO_MANY, message).after(seconds));
    }
    let until_accepted = arguments.word("wait") == Some("accepted");
    let until = Instant::now() + Duration::from_millis(arguments.whole("timeout_ms").unwrap_or(WAIT_MS));
    loop {
        let ticket = gateway.desk.submit(caller.0, transaction.clone())?;
        if until_accepted && !ticket.tells {
            let message = "the node is of a release that does not say what it accepts: use wait=committed";
            return Err(Failure::new(failure::UNAVAILABLE, message));
        }
        let verdict = match wait(ticket, until_accepted, until).await? {
            End::Accepted => return Ok(Reply::ok(json!({ "id": id, "status": "accepted" }))),
            End::Nothing => {
                return Ok(Reply { status: 202, value: json!({ "id": id, "status": "pending" }) });
            }
            End::Verdict(verdict) => verdict,
        };
        let outcome = match verdict {
            Verdict::Committed => Outcome::Applied,
            Verdict::Failed(outcome) => outcome,
            Verdict::Refused(Refusal::DuplicatePending)
                if !until_accepted && Instant::now() + AGAIN_AFTER < until =>
            {
                // Perhaps these very bytes wait already: then their verdict is the answer.
                sleep(AGAIN_AFTER).await;
                continue;
            }
            Verdict::Refused(refusal) => {
                if refusal == Refusal::BadSignature {
                    gateway.offenders.note(caller, Instant::now());
                }
                return Err(Failure::refused(refusal, &id));
            }
        };
        let status = if outcome.is_failure() { "failed" } else { "committed" };
        let mut receipt = json!({ "id": id, "status": status, "code": outcome.code(), "outcome": outcome });
        if arguments.word("receipt") == Some("full") {
            add_place(gateway, &transaction, &mut receipt).await?;
        }
        return Ok(Reply::ok(receipt));
    }
}

/// The transaction of a call.
pub(super) fn transaction(arguments: &Arguments) -> Result<Transaction, Failure> {
    let bytes = given(arguments.bytes("transaction"), "transaction")?;
    Transaction::from_bytes(bytes).map_err(|malformed| {
        let failure = Failure::refused(Refusal::Malformed, "");
        Failure { message: malformed.to_string(), data: None, ..failure }
    })
}

async fn wait(ticket: Ticket, until_accepted: bool, until: Instant) -> Result<End, Failure> {
    let Ticket { accepted, mut verdict, .. } = ticket;
    let expired = sleep_until(until);
    tokio::pin!(expired);
    let accepted = async {
        // Where a verdict has come first, that is the answer.
        if accepted.await.is_err() || !until_accepted {
            std::future::pending::<()>().await;
        }
    };
    tokio::pin!(accepted);
    tokio::select! {
        biased;
        told = &mut verdict => match told {
            Ok(Ok(verdict)) => Ok(End::Verdict(verdict)),
            Ok(Err(gone)) => Err(lost(unreached(&gone))),
            Err(_) => Err(lost(Failure::unavailable("the gateway has given up waiting"))),
        },
        () = accepted => Ok(End::Accepted),
        () = expired => Ok(End::Nothing),
    }
}

/// Nobody knows what became of the transaction.
fn lost(failure: Failure) -> Failure {
    let message = format!(
        "{}. The transaction may be in a block: submit the same bytes again, which tells what became of it",
        failure.message
    );
    Failure { message, ..failure }
}

/// Adds where the transaction is.
async fn add_place(gateway: &Gateway, transaction: &Transaction, receipt: &mut Value) -> Result<(), Failure> {
    let (chain, id) = (Some(transaction.chain()), transaction.id(&gateway.settings.network));
    for look in 0.. {
        match gateway.desk.ask(Query::Transaction { chain, id }).await {
            Ok(answer) => {
                let answer: TransactionAnswer = read(&answer)?;
                receipt["chain"] = json!(answer.chain);
                receipt["height"] = json!(answer.height);
                receipt["position"] = answer.position.into();
                return Ok(());
            }
            // The verdict can be a moment before the view of those who ask.
            Err(failure) if failure.kind == failure::NOT_FOUND && look < LOOKS => {
                sleep(AGAIN_AFTER / 2).await
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
