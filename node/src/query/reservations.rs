//! Money that is set aside, in words and as readable JSON.

use anyhow::Result;
use client::Answer;
use engine::types::{
    Content, Envelope, Offer, Price, Purpose, Reservation, Reserve, Settle, Take, Transaction,
};
use serde_json::{Value, json};

use super::print::{self, memo};
use super::{Asked, print_found};
use crate::cli::{Reserved, grouped, rows};

/// The reservation or the offer that a transaction makes, if it makes one.
pub(crate) fn made(transaction: &Transaction) -> Option<Reserved> {
    let id = match transaction.run().content() {
        Ok(Content::Reserve(of)) => of.id(),
        Ok(Content::Offer(of)) => of.id(),
        _ => return None,
    };
    Some(Reserved { chain: transaction.chain(), id })
}

/// The same as a row.
pub(crate) fn made_row(transaction: &Transaction) -> Option<(&'static str, String)> {
    let name = match transaction.run().content() {
        Ok(Content::Offer(_)) => "offer",
        _ => "reservation",
    };
    made(transaction).map(|made| (name, made.to_string()))
}

/// What a reservation says, in a line.
pub(super) fn reserve(of: &Reserve<'_>) -> String {
    let settler = match of.settler == of.payee {
        true => String::new(),
        false => format!(", settled by account {}", of.settler),
    };
    format!(
        "{} set aside by account {} for account {}, for {} s{settler}{}",
        grouped(of.amount),
        of.envelope.signer,
        of.payee,
        grouped(of.seconds.into()),
        memo(of.memo)
    )
}

/// What a settlement says, in a line.
pub(super) fn settle(of: &Settle<'_>) -> String {
    let done = match of.amount {
        0 => "given back".to_owned(),
        amount => format!("settled, {} of it paid to account {}", grouped(amount), of.payee),
    };
    let named = Reserved { chain: of.envelope.chain, id: of.reservation };
    format!("{named} {done}, by account {}{}", of.envelope.signer, memo(of.memo))
}

/// What an offer says, in a line.
pub(super) fn offer(of: &Offer<'_>) -> String {
    format!(
        "{} offered by account {} for {}, for {} s{}",
        grouped(of.amount),
        of.envelope.signer,
        price(&of.price),
        grouped(of.seconds.into()),
        memo(of.memo)
    )
}

/// What the taker of an offer says, in a line.
pub(super) fn take(of: &Take<'_>) -> String {
    let (here, there) = (of.envelope.chain, of.chain);
    format!(
        "offer {} taken: {} to {there}:{}, for {} from {here}:{} to {here}:{}{}",
        Reserved { chain: there, id: of.terms.offer },
        grouped(of.terms.amount),
        of.credit,
        grouped(of.price),
        of.envelope.signer,
        of.terms.to,
        memo(of.memo)
    )
}

/// What an offer asks for.
pub(crate) fn price(of: &Price) -> String {
    let taker = of.taker.map_or(String::new(), |taker| format!(", from account {taker} alone"));
    format!("{} on chain {} to account {}{taker}", grouped(of.amount), of.chain, of.to)
}

fn envelope(of: &Envelope, more: &Value, text: &[u8]) -> Value {
    let mut fields = json!({
        "chain": of.chain,
        "key_version": of.key_version,
        "reference": hex::encode(of.reference),
        "signer": of.signer,
        "memo": hex::encode(text),
        "memo_text": std::str::from_utf8(text).ok(),
        "nonce": of.nonce,
        "expiry": of.expiry,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        fields[name] = value.clone();
    }
    fields
}

/// The fields of a reservation.
pub(super) fn reserve_fields(of: &Reserve<'_>) -> Value {
    let more = json!({
        "reservation": Reserved { chain: of.envelope.chain, id: of.id() }.to_string(),
        "amount": of.amount,
        "seconds": of.seconds,
        "payee": of.payee,
        "settler": of.settler,
    });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of a settlement.
pub(super) fn settle_fields(of: &Settle<'_>) -> Value {
    let reservation = Reserved { chain: of.envelope.chain, id: of.reservation };
    let more = json!({ "reservation": reservation.to_string(), "payee": of.payee, "amount": of.amount });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of an offer.
pub(super) fn offer_fields(of: &Offer<'_>) -> Value {
    let more = json!({
        "offer": Reserved { chain: of.envelope.chain, id: of.id() }.to_string(),
        "amount": of.amount,
        "seconds": of.seconds,
        "price": price_fields(&of.price),
    });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of who takes an offer.
pub(super) fn take_fields(of: &Take<'_>) -> Value {
    let more = json!({
        "offer": Reserved { chain: of.chain, id: of.terms.offer }.to_string(),
        "amount": of.terms.amount,
        "to": of.credit,
        "price": of.price,
        "pays": of.terms.to,
    });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of what an offer asks for.
pub(crate) fn price_fields(of: &Price) -> Value {
    json!({ "chain": of.chain, "amount": of.amount, "to": of.to, "taker": of.taker })
}

impl Asked {
    /// Prints what a chain says of a reservation or an offer; `false` if it is not open.
    pub(super) fn reservation(&mut self, reserved: Reserved, json: bool) -> Result<bool> {
        let Answer { as_of, value: found } = self.client.reservation(reserved.chain, reserved.id)?;
        let checked = self.checked(found.proof.chain.height, &found.state_root)?;
        let open = found.reservation.is_some();
        if json {
            let answer = json!({
                "open": open,
                "reservation": found.reservation.map(|of| fields(reserved, &of)),
                "state_root": found.state_root,
                "proof": found.proof,
            });
            return print_found(as_of, (&answer, open), &checked);
        }
        let height = found.proof.chain.height;
        let mut shown = match &found.reservation {
            Some(of) => {
                println!("{reserved} is open after height {height}");
                describe(of)
            }
            None => {
                println!(
                    "{reserved} is not open after height {height}: it was settled or taken, or its time is over, or it \
                     was never made"
                );
                Vec::new()
            }
        };
        shown.extend([
            ("state root", found.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        rows(&shown);
        Ok(open)
    }
}

/// What an open reservation is.
pub(crate) fn describe(of: &Reservation) -> Vec<(&'static str, String)> {
    let mut rows = vec![("amount", grouped(of.amount))];
    match &of.purpose {
        Purpose::Payment { payee, settler } => {
            rows.extend([("for", format!("account {payee}")), ("settled by", format!("account {settler}"))])
        }
        Purpose::Swap(asked) => rows.push(("price", price(asked))),
    }
    rows.push(("over", format!("not before {}, by the lock clock of the chain", print::time(of.due_ms))));
    rows
}

/// The same as fields.
pub(crate) fn fields(reserved: Reserved, of: &Reservation) -> Value {
    let purpose = match &of.purpose {
        Purpose::Payment { payee, settler } => json!({ "payment": { "payee": payee, "settler": settler } }),
        Purpose::Swap(price) => json!({ "swap": price_fields(price) }),
    };
    json!({ "name": reserved.to_string(), "amount": of.amount, "due_ms": of.due_ms, "purpose": purpose })
}
