//! Answers as text and as readable JSON.

use super::{decisions, reservations};
use client::answers::{BlockAnswer, CrossingAnswer, TransactionAnswer};
use engine::types::{
    AccountId, AccountRecord, Action, Approval, Attest, Change, Command, Content, Data, Linked, Opening,
    Payment, Protect, Recover, Registration, Rekey, Revoke, Safeguards, Transaction, Transfer,
};
use engine::wire::Block;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::{grouped, rows};

/// The lowest nonce above all used ones of a window.
pub(crate) fn next_nonce(base: u64, used: u64) -> u64 {
    base + u64::from(u64::BITS - used.leading_zeros())
}

/// The fields of a transfer.
pub(crate) fn transfer(transfer: &Transfer) -> Value {
    json!({
        "chain": transfer.chain,
        "key_version": transfer.key_version,
        "reference": hex::encode(transfer.reference),
        "debit": transfer.debit,
        "credit_chain": transfer.credit_chain.unwrap_or(transfer.chain),
        "credit": transfer.credit,
        "amount": transfer.amount,
        "nonce": transfer.nonce,
        "expiry": transfer.expiry,
    })
}

/// The fields of a command.
fn command(command: &Command) -> Value {
    let mut fields = json!({
        "chain": command.chain,
        "key_version": command.key_version,
        "reference": hex::encode(command.reference),
        "authority": command.authority,
        "nonce": command.nonce,
        "expiry": command.expiry,
    });
    fields["action"] = match command.action {
        Action::Issue { to, amount } => json!({ "issue": { "to": to, "amount": amount } }),
        Action::Burn { amount } => json!({ "burn": { "amount": amount } }),
        Action::Freeze { account, frozen } => json!({
            "freeze": { "account": account, "debit": frozen.debit(), "credit": frozen.credit() },
        }),
        Action::Close => json!("close"),
        Action::Cancel { change } => json!({ "cancel": { "change": change } }),
    };
    fields
}

/// The fields of linked transfers. The memo is hexadecimal, and text beside it where it is UTF-8.
fn linked(linked: &Linked<'_>) -> Value {
    let payments: Vec<_> = linked
        .payments
        .iter()
        .map(|payment| json!({ "credit": payment.to, "amount": payment.amount }))
        .collect();
    json!({
        "chain": linked.chain,
        "key_version": linked.key_version,
        "reference": hex::encode(linked.reference),
        "debit": linked.debit,
        "payments": payments,
        // It may exceed what a number of 64 bits holds: such payments fail, and stand in a block.
        "total": linked.payments.total().to_string(),
        "memo": hex::encode(linked.memo),
        "memo_text": std::str::from_utf8(linked.memo).ok(),
        "nonce": linked.nonce,
        "expiry": linked.expiry,
    })
}

/// The fields of a transaction, beside the others of an object: as `transfer`, `command`, `linked`, `opening`,
/// `attest`, `revoke`, `rekey`, `protect`, `recover`, `propose`, `approve`, `reserve`, `settle`, `offer` or `take`.
pub(crate) fn with_content(mut object: Value, transaction: &Transaction) -> Value {
    match transaction.run().content() {
        Ok(Content::Transfer(of)) => object["transfer"] = transfer(&of),
        Ok(Content::Command(of)) => object["command"] = command(&of),
        Ok(Content::Linked(of)) => object["linked"] = linked(&of),
        Ok(Content::Opening(of)) => object["opening"] = opening(&of),
        Ok(Content::Attest(of)) => object["attest"] = attest(&of),
        Ok(Content::Revoke(of)) => object["revoke"] = revoke(&of),
        Ok(Content::Rekey(of)) => object["rekey"] = rekey(&of),
        Ok(Content::Protect(of)) => object["protect"] = protect(&of),
        Ok(Content::Recover(of)) => object["recover"] = recover(&of),
        Ok(Content::Propose(of)) => object["propose"] = decisions::propose_fields(&of),
        Ok(Content::Approve(of)) => object["approve"] = decisions::approve_fields(&of),
        Ok(Content::Reserve(of)) => object["reserve"] = reservations::reserve_fields(&of),
        Ok(Content::Settle(of)) => object["settle"] = reservations::settle_fields(&of),
        Ok(Content::Offer(of)) => object["offer"] = reservations::offer_fields(&of),
        Ok(Content::Take(of)) => object["take"] = reservations::take_fields(&of),
        // No other kind is in a block or a signed file.
        Err(_) => {}
    }
    object
}

/// What a transaction says, in a line.
pub(crate) fn says(transaction: &Transaction) -> String {
    match transaction.run().content() {
        Ok(Content::Attest(of)) => {
            let mut all = of.registrations.iter();
            match (all.next(), all.next()) {
                (Some(only), None) => {
                    format!("fingerprint {}, registered by account {}", only.fingerprint, of.owner)
                }
                _ => format!("{} fingerprints, registered by account {}", of.registrations.count(), of.owner),
            }
        }
        Ok(Content::Revoke(of)) => format!(
            "{} attestation(s) of account {} revoked, reason {}",
            of.fingerprints.len(),
            of.owner,
            of.reason
        ),
        Ok(Content::Rekey(of)) => {
            format!("account {} gets the key {}", of.account, hex::encode(of.key))
        }
        Ok(Content::Protect(of)) => {
            format!("safeguards of account {}: {}", of.account, safeguards(&of.safeguards.get()))
        }
        Ok(Content::Recover(of)) => {
            let by = if of.recovery.is_some() { "its recovery key, brought by account" } else { "guardian" };
            format!("account {} gets the key {}, by {by} {}", of.account, hex::encode(of.key), of.signer)
        }
        Ok(Content::Propose(of)) => {
            let decision = decisions::decision(&of.decision.get());
            format!("administrator {} proposes: {decision}", of.administrator)
        }
        Ok(Content::Approve(of)) => {
            format!("administrator {} approves proposal {}", of.administrator, of.proposal)
        }
        Ok(Content::Reserve(of)) => reservations::reserve(&of),
        Ok(Content::Settle(of)) => reservations::settle(&of),
        Ok(Content::Offer(of)) => reservations::offer(&of),
        Ok(Content::Take(of)) => reservations::take(&of),
        Ok(Content::Opening(of)) => {
            format!("{} new account(s), opened by account {}", of.accounts.count(), of.registrar)
        }
        Ok(Content::Linked(of)) => {
            let (count, total) = (of.payments.count(), of.payments.total());
            let memo = memo(of.memo);
            match of.payments.iter().next() {
                Some(only) if count == 1 => payment(only.amount, of.debit.0, only.to.0, None) + &memo,
                _ => format!(
                    "{} linked payments, {} in all, from account {}{memo}",
                    grouped(count as u64),
                    grouped_sum(total),
                    of.debit
                ),
            }
        }
        Ok(Content::Transfer(of)) => {
            payment(of.amount, of.debit.0, of.credit.0, of.credit_chain.map(|chain| chain.0))
        }
        Ok(Content::Command(of)) => match of.action {
            Action::Issue { to, amount } => {
                format!("{amount} issued to account {to} by account {}", of.authority)
            }
            Action::Burn { amount } => format!("{amount} burned by account {}", of.authority),
            Action::Freeze { account, frozen } => {
                format!("account {account} frozen: {}, by account {}", frozen.name(), of.authority)
            }
            Action::Close => format!("account {} closes", of.authority),
            Action::Cancel { change } => format!("change {change} of account {} is cancelled", of.authority),
        },
        Err(_) => "something that is no transaction".to_owned(),
    }
}

/// A memo behind what else a transaction says.
pub(super) fn memo(memo: &[u8]) -> String {
    if memo.is_empty() { String::new() } else { format!(", memo {}", text_of(memo)) }
}

/// Which accounts a transaction has opened, and where.
pub(crate) fn opened(answer: &TransactionAnswer, transaction: &Transaction) -> String {
    let count = match transaction.run().content() {
        Ok(Content::Opening(of)) => of.accounts.count() as u64,
        _ => 0,
    };
    let first = answer.opened.map_or(0, |account| account.0);
    let accounts = match count {
        1 => format!("account {first}"),
        _ => format!("accounts {first} to {}", first + count.saturating_sub(1)),
    };
    format!("{} at height {}: {accounts} opened (the validator's word)", answer.outcome, answer.height)
}

/// Who can give an account another key, in words.
pub(crate) fn safeguards(of: &Safeguards) -> String {
    let guardians: Vec<String> = of.guardians.iter().map(ToString::to_string).collect();
    let guardians = match guardians.len() {
        0 => None,
        count => Some(format!("{} of {count} guardians: {}", of.threshold, guardians.join(", "))),
    };
    let key = of.recovery_key.map(|key| format!("recovery key {}", hex::encode(key)));
    let all: Vec<String> = key.into_iter().chain(guardians).collect();
    if all.is_empty() { "none".to_owned() } else { all.join("; ") }
}

/// The same as fields.
pub(crate) fn safeguards_fields(of: &Safeguards) -> Value {
    json!({
        "recovery_key": of.recovery_key.map(hex::encode),
        "threshold": of.threshold,
        "guardians": of.guardians,
    })
}

/// What a chain keeps of an account beside its leaf, as far as there is any of it.
pub(crate) fn record_rows(record: &AccountRecord) -> Vec<(&'static str, String)> {
    let mut shown = Vec::new();
    if record.changes > 0 {
        shown.push(("changes", format!("{} begun so far", record.changes)));
    }
    if !record.safeguards.is_none() {
        shown.push(("safeguards", safeguards(&record.safeguards)));
    }
    for Approval { guardian, until_ms, key } in &record.approvals {
        let who = match record.safeguards.guardians.get(usize::from(*guardian)) {
            Some(account) => format!("guardian {account}"),
            None => format!("a guardian that it does not have (place {guardian})"),
        };
        shown.push(("approved", format!("key {} by {who}, until {}", hex::encode(key), time(*until_ms))));
    }
    if let Some(pending) = &record.pending {
        let what = match &pending.change {
            Change::Key(key) => format!("the key {}", hex::encode(key)),
            Change::Safeguards(of) => format!("safeguards: {}", safeguards(of)),
            Change::Close => "the account closes".to_owned(),
        };
        let by = if pending.by_recovery { "a recovery" } else { "its own key" };
        shown.push((
            "pending",
            format!(
                "change {}, by {by}: {what}, not before {}; it can be cancelled as long as it stands here",
                record.changes,
                time(pending.due_ms)
            ),
        ));
    }
    shown
}

/// Which guardians want which key, as fields: a guardian is its account.
pub(crate) fn approval_fields(record: &AccountRecord) -> Vec<Value> {
    let guardian = |place: u8| record.safeguards.guardians.get(usize::from(place));
    let fields = |Approval { guardian: place, until_ms, key }: &Approval| json!({ "guardian": guardian(*place), "until_ms": until_ms, "key": hex::encode(key) });
    record.approvals.iter().map(fields).collect()
}

/// From when on an account has had a key.
pub(crate) fn since(height: u64) -> String {
    match height {
        0 => "the beginning of the account".to_owned(),
        height => format!("height {height}"),
    }
}

/// The change that is in its lock window, as fields.
pub(crate) fn pending_fields(record: &AccountRecord) -> Value {
    record.pending.as_ref().map_or(Value::Null, |pending| {
        let change = match &pending.change {
            Change::Key(key) => json!({ "key": hex::encode(key) }),
            Change::Safeguards(of) => json!({ "safeguards": safeguards_fields(of) }),
            Change::Close => json!("close"),
        };
        json!({
            "number": record.changes,
            "change": change,
            "by_recovery": pending.by_recovery,
            "begun": pending.begun,
            "due_ms": pending.due_ms,
        })
    })
}

/// A time of the chain, in words.
pub(crate) fn time(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1_000).ok();
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{ms} ms since 1970"))
}

/// The fields of an envelope that gives the account another key.
fn rekey(rekey: &Rekey<'_>) -> Value {
    json!({
        "chain": rekey.chain,
        "key_version": rekey.key_version,
        "reference": hex::encode(rekey.reference),
        "account": rekey.account,
        "key": hex::encode(rekey.key),
        "nonce": rekey.nonce,
        "expiry": rekey.expiry,
    })
}

/// The fields of an envelope that says who may give the account another key.
fn protect(protect: &Protect<'_>) -> Value {
    json!({
        "chain": protect.chain,
        "key_version": protect.key_version,
        "reference": hex::encode(protect.reference),
        "account": protect.account,
        "safeguards": safeguards_fields(&protect.safeguards.get()),
        "nonce": protect.nonce,
        "expiry": protect.expiry,
    })
}

/// The fields of an envelope that gives somebody else's account another key.
fn recover(recover: &Recover<'_>) -> Value {
    json!({
        "chain": recover.chain,
        "key_version": recover.key_version,
        "reference": hex::encode(recover.reference),
        "signer": recover.signer,
        "account": recover.account,
        "changes": recover.changes,
        "key": hex::encode(recover.key),
        "recovery_key": recover.recovery.map(|(key, _)| hex::encode(key)),
        "nonce": recover.nonce,
        "expiry": recover.expiry,
    })
}

/// The fields of an envelope that opens accounts.
fn opening(opening: &Opening<'_>) -> Value {
    let keys: Vec<String> = opening.accounts.iter().map(|account| hex::encode(account.key)).collect();
    json!({
        "chain": opening.chain,
        "key_version": opening.key_version,
        "reference": hex::encode(opening.reference),
        "registrar": opening.registrar,
        "keys": keys,
        "nonce": opening.nonce,
        "expiry": opening.expiry,
    })
}

/// The fields of an envelope that registers fingerprints.
fn attest(attest: &Attest<'_>) -> Value {
    let registration = |of: Registration<'_>| {
        json!({
            "fingerprint": of.fingerprint,
            "type": of.kind,
            "supersedes": of.link.supersedes(),
            "refers_to": of.link.refers_to(),
            "data": match of.data {
                Data::Inline(data) => Some(hex::encode(data)),
                Data::None | Data::Hash(_) => None,
            },
            "data_hash": of.data.summary().hash(),
        })
    };
    json!({
        "chain": attest.chain,
        "key_version": attest.key_version,
        "reference": hex::encode(attest.reference),
        "owner": attest.owner,
        "registrations": attest.registrations.iter().map(registration).collect::<Vec<_>>(),
        "nonce": attest.nonce,
        "expiry": attest.expiry,
    })
}

/// The fields of an envelope that revokes attestations.
fn revoke(revoke: &Revoke<'_>) -> Value {
    json!({
        "chain": revoke.chain,
        "key_version": revoke.key_version,
        "reference": hex::encode(revoke.reference),
        "owner": revoke.owner,
        "reason": revoke.reason,
        "fingerprints": revoke.fingerprints.iter().map(hex::encode).collect::<Vec<_>>(),
        "nonce": revoke.nonce,
        "expiry": revoke.expiry,
    })
}

/// A reference behind what else is said of a transaction, if it has one.
pub(super) fn reference(reference: &[u8; 12]) -> String {
    let length = reference.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if length == 0 { String::new() } else { format!(", reference {}", text_of(&reference[..length])) }
}

/// A memo or data for a terminal: as text only where nothing in it could pass for something else, else in hexadecimal.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let is_plain = |letter: char| letter == ' ' || letter.is_alphanumeric() || letter.is_ascii_punctuation();
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_plain) && !text.contains('"') => format!("\"{text}\""),
        _ => hex::encode(bytes),
    }
}

/// A sum of more than 64 bits in groups of three digits.
fn grouped_sum(sum: u128) -> String {
    u64::try_from(sum).map_or_else(|_| sum.to_string(), grouped)
}

/// What an account gets of linked payments.
pub(crate) fn share(transaction: &Transaction, account: AccountId) -> Option<u128> {
    let Ok(Content::Linked(of)) = transaction.run().content() else { return None };
    let mine = of.payments.iter().filter(|payment| payment.to == account);
    let sum: u128 = mine.map(|payment| u128::from(payment.amount)).sum();
    (sum > 0).then_some(sum)
}

/// The payments of linked transfers, the first of them, a line each.
pub(crate) fn payments(transaction: &Transaction) -> Vec<String> {
    const SHOWN: usize = 20;
    let Ok(Content::Linked(of)) = transaction.run().content() else { return Vec::new() };
    let line = |payment: Payment| format!("{} to account {}", grouped(payment.amount), payment.to);
    let mut lines: Vec<String> = of.payments.iter().take(SHOWN).map(line).collect();
    if of.payments.count() > SHOWN {
        lines.push(format!("and {} more (--json has all)", of.payments.count() - SHOWN));
    }
    lines
}

/// Who pays whom how much; the chain of the credit where it is another one.
pub(crate) fn payment(amount: u64, debit: u64, credit: u64, credit_chain: Option<u32>) -> String {
    let chain = credit_chain.map_or(String::new(), |chain| format!(" on chain {chain}"));
    format!("{amount} from account {debit} to account {credit}{chain}")
}

/// What became of a transaction, on both chains if it has crossed.
pub(crate) fn outcome(answer: &TransactionAnswer, transaction: &Transaction) -> String {
    let outcome = answer.outcome;
    let (done, not_done) = match transaction.run().content() {
        Ok(Content::Take(_)) => ("the offer there taken", "could not take the offer there"),
        _ => ("credited there", "could not be credited there"),
    };
    match answer.crossing {
        None if answer.opened.is_some() => {
            let first = answer.opened.map_or(0, |account| account.0);
            format!("{outcome}, opened accounts from {first} on (the validator's word)")
        }
        None => outcome.to_string(),
        Some(CrossingAnswer::InFlight) => format!("{outcome}, in flight: ask again after the next block"),
        Some(CrossingAnswer::Credited { height }) => {
            format!("{outcome} at height {}, {done} at height {height} (the validator's word)", answer.height)
        }
        Some(CrossingAnswer::Refunded { reason, returned, height }) => format!(
            "{outcome} at height {}, {not_done} at height {returned} ({reason}), refunded at height \
             {height} (the validator's word)",
            answer.height
        ),
    }
}

/// The fields of a block.
pub(super) fn header(block: &Block) -> Value {
    let header = block.header();
    json!({
        "height": header.height,
        "view": header.view,
        "parent": header.parent,
        "proposer": header.proposer,
        "time_ms": header.time_ms,
        "roots_first": header.roots_first,
        "roots": header.roots,
        "cut": header.cut,
    })
}

/// A block for a person.
pub(super) fn block(answer: &BlockAnswer, block: &Block, finality: &str, checked: &str) {
    let header = block.header();
    let transactions = answer.entries.iter().map(|entry| entry.transactions).sum();
    println!("block at height {}", header.height);
    rows(&[
        ("digest", answer.digest.to_string()),
        ("parent", header.parent.to_string()),
        ("view", format!("{}, proposed by validator {}", header.view, header.proposer)),
        ("time", time(header.time_ms)),
        ("transactions", format!("{}, of which {} failed", grouped(transactions), answer.failures)),
        ("finality", finality.to_owned()),
        ("state root", answer.state_root.to_string()),
        ("checked", format!("the digest is the header's; {checked}")),
    ]);
    for entry in &answer.entries {
        println!("  chain {}: {} transactions", entry.chain, grouped(entry.transactions));
        println!("    transactions root  {}", entry.transactions_root);
        println!("    accounts root      {}", entry.accounts_root);
        if entry.outbox + entry.inbox > 0 {
            println!("    outbox root        {} ({})", entry.outbox_root, grouped(entry.outbox));
            println!("    inbox root         {} ({})", entry.inbox_root, grouped(entry.inbox));
        }
    }
    for (author, head) in block.cut().iter().enumerate() {
        println!("  stream of validator {author}: taken up to {head}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_nonce_is_above_all_used_ones() {
        assert_eq!(next_nonce(0, 0), 0);
        assert_eq!(next_nonce(0, 0b111), 3);
        assert_eq!(next_nonce(5, 0b101), 8);
        assert_eq!(next_nonce(7, u64::MAX), 71);
    }
}
