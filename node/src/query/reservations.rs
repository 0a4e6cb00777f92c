//! Money that is set aside, in words and as readable JSON.

use engine::types::{Envelope, Offer, Price, Reserve, Settle, Take};
use serde_json::{Value, json};

use super::print::memo;
use crate::cli::grouped;

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
        amount => format!("settled, {} of it paid", grouped(amount)),
    };
    format!("reservation {} {done}, by account {}{}", of.reservation, of.envelope.signer, memo(of.memo))
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
    format!(
        "{} from account {} to account {}, for {} of offer {} on chain {}, to account {} there{}",
        grouped(of.price),
        of.envelope.signer,
        of.terms.to,
        grouped(of.terms.amount),
        of.terms.offer,
        of.chain,
        of.credit,
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
        "reservation": of.id().to_string(),
        "amount": of.amount,
        "seconds": of.seconds,
        "payee": of.payee,
        "settler": of.settler,
    });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of a settlement.
pub(super) fn settle_fields(of: &Settle<'_>) -> Value {
    let more = json!({ "reservation": of.reservation.to_string(), "amount": of.amount });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of an offer.
pub(super) fn offer_fields(of: &Offer<'_>) -> Value {
    let more = json!({
        "offer": of.id().to_string(),
        "amount": of.amount,
        "seconds": of.seconds,
        "price": price_fields(&of.price),
    });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of who takes an offer.
pub(super) fn take_fields(of: &Take<'_>) -> Value {
    let more = json!({
        "offer_chain": of.chain,
        "offer": of.terms.offer.to_string(),
        "amount": of.terms.amount,
        "credit": of.credit,
        "price": of.price,
        "to": of.terms.to,
    });
    envelope(&of.envelope, &more, of.memo)
}

/// The fields of what an offer asks for.
pub(crate) fn price_fields(of: &Price) -> Value {
    json!({ "chain": of.chain, "amount": of.amount, "to": of.to, "taker": of.taker })
}
