//! What a transaction says: in a line for lists, and whole. It was written by others, all of it.

use engine::types::Transaction;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::page::{account_link, badge};
use super::texts::{self as t, Text};
use super::{View, amount, number, shown, words};
use crate::gateway::Gateway;

/// Members of a list that are shown.
const SHOWN_MAX: usize = 50;
/// How many levels of a value are shown: more than any value of ours has.
const DEPTH_MAX: usize = 8;

/// Kinds of transactions: the member of what was said, and its name.
const KINDS: [(&str, Text); 15] = [
    ("transfer", t::TRANSFER),
    ("linked", t::LINKED),
    ("command", t::COMMAND),
    ("opening", t::OPENING),
    ("attest", t::ATTEST),
    ("revoke", t::REVOKE),
    ("rekey", t::REKEY),
    ("protect", t::PROTECT),
    ("recover", t::RECOVER),
    ("propose", t::PROPOSE),
    ("approve", t::APPROVE),
    ("reserve", t::RESERVE),
    ("settle", t::SETTLE),
    ("offer", t::OFFER),
    ("take", t::TAKE),
];

/// Members that are accounts of the chain on which it was signed.
const ACCOUNTS: [&str; 10] = [
    "debit",
    "account",
    "authority",
    "owner",
    "signer",
    "registrar",
    "administrator",
    "payer",
    "payee",
    "settler",
];

/// Members that are amounts of something.
const AMOUNTS: [&str; 3] = ["amount", "total", "price"];

/// Names of members, where we have a word for them.
const NAMES: [(&str, Text); 20] = [
    ("chain", t::CHAIN),
    ("key_version", t::KEY_VERSION),
    ("reference", t::REFERENCE),
    ("debit", t::PAYER),
    ("credit", t::PAYEE),
    ("credit_chain", t::PAYEE_CHAIN),
    ("amount", t::AMOUNT),
    ("total", t::TOTAL),
    ("nonce", t::NONCE),
    ("expiry", t::EXPIRY),
    ("memo", t::MEMO_BYTES),
    ("memo_text", t::MEMO),
    ("payments", t::PAYMENTS),
    ("account", t::ACCOUNT),
    ("key", t::KEY),
    ("owner", t::OWNER),
    ("fingerprint", t::FINGERPRINT),
    ("registrar", t::REGISTRAR),
    ("administrator", t::ADMINISTRATOR),
    ("proposal", t::PROPOSAL),
];

/// What was said, by its kind.
fn kind_of(said: &Value) -> Option<(&String, &Map<String, Value>)> {
    said.as_object()?.iter().find_map(|(kind, fields)| Some((kind, fields.as_object()?)))
}

/// The name of its kind.
pub(super) fn kind(view: &View, said: &Value) -> String {
    let Some((kind, _)) = kind_of(said) else { return view.t(t::UNKNOWN).to_owned() };
    let known = KINDS.iter().find(|(of, _)| of == kind);
    known.map_or_else(|| shown::plain(kind), |(_, text)| view.t(*text).to_owned())
}

/// What it says in a line: payments in signs, everything else in the node's own English.
pub(super) fn line(gateway: &Gateway, said: &Value, packet: &str) -> Markup {
    match kind_of(said) {
        Some((kind, of)) if kind == "transfer" => {
            let (from, to) = (number(&of["chain"]), number(&of["credit_chain"]));
            let (payer, payee) = (number(&of["debit"]), number(&of["credit"]));
            html! {
                @if from != to { (from) ":" }
                (account_link(from, payer)) " → " @if from != to { (to) ":" } (account_link(to, payee))
                " · " strong { (amount(&of["amount"])) }
                @if of["reference"].as_str().is_some_and(|digits| digits.bytes().any(|digit| digit != b'0')) {
                    " · " (shown::reference(words(&of["reference"])))
                }
            }
        }
        _ => {
            let bytes = hex::decode(packet).unwrap_or_default();
            let line = Transaction::from_bytes(&bytes).map(|of| (gateway.settings.words.line)(&of));
            html! { span lang="en" { (shown::foreign(line.as_deref().unwrap_or("–"))) } }
        }
    }
}

/// What became of something, with its colour.
pub(super) fn outcome(view: &View, event: &Value) -> Markup {
    let name = words(event.get("outcome").or_else(|| event.get("reason")).unwrap_or(&Value::Null));
    let in_words = shown::plain(&name.replace('_', " "));
    match words(&event["event"]) {
        "credited" => badge("good", view.t(t::CREDITED)),
        "swapped" => badge("good", view.t(t::SWAPPED)),
        "refunded" => badge("warn", &format!("{}: {in_words}", view.t(t::REFUNDED))),
        "not_credited" => badge("warn", &format!("{}: {in_words}", view.t(t::NOT_CREDITED))),
        "in_effect" => badge("good", view.t(t::IN_EFFECT)),
        "changed" => badge("good", view.t(t::CHANGED)),
        "released" => badge("warn", view.t(t::RELEASED)),
        _ => match name {
            "applied" => badge("good", view.t(t::APPLIED)),
            "sent" => badge("good", view.t(t::SENT_ON)),
            _ => html! { span lang="en" { (badge("bad", &in_words)) } },
        },
    }
}

/// All of it, as names and values.
pub(super) fn whole(view: &View, said: &Value) -> Markup {
    match kind_of(said) {
        Some((_, fields)) => object(view, fields, number(&fields["chain"]), 0),
        None => html! { p.none { (view.t(t::NOTHING)) } },
    }
}

fn object(view: &View, fields: &Map<String, Value>, chain: u64, depth: usize) -> Markup {
    let shown = fields.iter().filter(|(_, value)| !value.is_null());
    html! {
        dl.facts {
            @for (name, value) in shown {
                div { dt { (self::name(view, name)) } dd { (member(view, fields, (name, value), (chain, depth))) } }
            }
        }
    }
}

fn name(view: &View, name: &str) -> String {
    let known = NAMES.iter().find(|(of, _)| *of == name);
    known.map_or_else(|| shown::plain(&name.replace('_', " ")), |(_, text)| view.t(*text).to_owned())
}

fn member(
    view: &View,
    of: &Map<String, Value>,
    (name, value): (&str, &Value),
    (chain, depth): (u64, usize),
) -> Markup {
    match value {
        _ if ACCOUNTS.contains(&name) && crate::numbers::whole(value).is_some() => {
            account_link(chain, number(value))
        }
        _ if name == "credit" && crate::numbers::whole(value).is_some() => {
            let chain = of.get("credit_chain").map_or(chain, number);
            account_link(chain, number(value))
        }
        _ if AMOUNTS.contains(&name) && crate::numbers::whole(value).is_some() => amount(value),
        Value::String(digits) if name == "reference" => shown::reference(digits),
        Value::String(text) if name.ends_with("_text") => shown::foreign(text),
        Value::String(text) => html! { span.mono { (shown::foreign(text)) } },
        Value::Array(list) if depth < DEPTH_MAX => html! {
            ol.plain {
                @for value in list.iter().take(SHOWN_MAX) {
                    li { (member(view, of, ("", value), (chain, depth + 1))) }
                }
            }
            @if list.len() > SHOWN_MAX { p.small { (view.fill(t::AND_MORE, &[&(list.len() - SHOWN_MAX).to_string()])) } }
        },
        Value::Object(fields) if depth < DEPTH_MAX => object(view, fields, chain, depth + 1),
        other => html! { (shown::plain(&other.to_string())) },
    }
}
