//! Accounts: found by number or by key, and each with what it holds, what is under way, and its history.

use std::sync::Arc;

use client::Query;
use client::answers::AccountAnswer;
use engine::types::{AccountId, AccountRecord, ChainId, Change};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::page::{Page, account_link, badge, chain_link, facts, heading, numbers, proof, table};
use super::transactions::{Events, Of};
use super::{View, amount, number, shown, sign_in, texts as t, words as text};
use crate::arguments::{Form, Parameter, Place};
use crate::failure::Failure;
use crate::gateway::Gateway;

const fn parameter(name: &'static str, form: Form, required: bool, place: Place) -> Parameter {
    Parameter { name, place, form, required, about: "As the field says." }
}

/// What the search for accounts takes.
const LIST: &[Parameter] = &[
    parameter("chain", Form::Whole(u32::MAX as u64), false, Place::Query),
    parameter("account", Form::Whole(u64::MAX), false, Place::Query),
    parameter("key", Form::Bytes32, false, Place::Query),
];
/// What the page of an account takes.
const ONE: &[Parameter] = &[
    parameter("chain", Form::Whole(u32::MAX as u64), true, Place::Path),
    parameter("account", Form::Whole(u64::MAX), true, Place::Path),
    parameter("from", Form::Cursor, false, Place::Query),
];

pub(super) async fn list(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let arguments = view.read(LIST)?;
    let chain = arguments.whole("chain");
    let found = match (chain, view.text("key"), arguments.whole("account")) {
        (Some(chain), Some(key), _) => Some(of_key(gateway, view, (chain, key)).await?),
        (Some(chain), None, Some(account)) => Some(one_row(gateway, view, (chain, account)).await?),
        _ => None,
    };
    let body = html! {
        (heading(view.t(t::ACCOUNTS), Some(view.t(t::ACCOUNTS_ABOUT))))
        form.filter action="/accounts" method="get" {
            label for="chain" { (view.t(t::CHAIN)) }
            input #chain name="chain" inputmode="numeric" size="6" maxlength="10" required value=[chain];
            label for="account" { (view.t(t::ACCOUNT)) }
            input #account name="account" inputmode="numeric" size="8" maxlength="20"
                value=[arguments.whole("account")];
            label for="key" { (view.t(t::KEY)) }
            input #key name="key" size="24" maxlength="64" spellcheck="false" value=[view.text("key")];
            button type="submit" { (view.t(t::SHOW)) }
        }
        @if let Some(found) = &found { (found) }
    };
    Ok(Page::fixed("/accounts", view.t(t::ACCOUNTS), body))
}

async fn of_key(gateway: &Gateway, view: &View, (chain, key): (u64, &str)) -> Result<Markup, Failure> {
    let answer = view.ask(gateway, "accounts_of", json!({ "chain": chain, "key": key })).await?;
    let rows = answer["accounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|account| vec![account_link(chain, number(account))]);
    Ok(table(view, view.t(t::ACCOUNTS), &[numbers(t::ACCOUNT)], rows))
}

async fn one_row(gateway: &Gateway, view: &View, (chain, account): (u64, u64)) -> Result<Markup, Failure> {
    let account = account.to_string();
    let answer = view.ask(gateway, "account", json!({ "chain": chain, "account": account })).await?;
    let row = vec![account_link(chain, account), amount(&answer["balance"]), amount(&answer["next_nonce"])];
    let heads = [numbers(t::ACCOUNT), numbers(t::BALANCE), numbers(t::NEXT_NONCE)];
    Ok(table(view, view.t(t::ACCOUNTS), &heads, [row]))
}

/// The state of an account, with its colour.
fn state(answer: &Value) -> Markup {
    let (status, frozen) = (text(&answer["status"]), text(&answer["frozen"]));
    let tone = if status == "open" { "good" } else { "warn" };
    html! {
        span lang="en" {
            (badge(tone, &shown::plain(status)))
            @if frozen != "no" { " " (badge("warn", &format!("frozen: {}", shown::plain(frozen)))) }
        }
    }
}

pub(super) async fn one(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let arguments = view.read(ONE)?;
    let (chain, account) = (arguments.whole("chain").unwrap_or(0), arguments.whole("account").unwrap_or(0));
    let id = account.to_string();
    let answer = view.ask(gateway, "account", json!({ "chain": chain, "account": id })).await?;
    let of = Of { chain, account: Some(account), reference: None };
    let events = match arguments.cursor("from") {
        Some(from) => Events::from(gateway, view, of, from).await?,
        None => Events::newest(gateway, view, of).await?,
    };
    let is_newest = arguments.cursor("from").is_none();
    let path = format!("/chains/{chain}/accounts/{account}");
    let title = view.fill(t::ACCOUNT_OF, &[&id, &chain.to_string()]);
    let body = html! {
        (heading(&title, None))
        (facts(view, [
            (t::BALANCE, html! { strong { (amount(&answer["balance"])) } }),
            (t::STATE, state(&answer)),
            (t::CHAIN, chain_link(chain)),
            (t::KEY, shown::hash(text(&answer["key"]))),
            (t::KEY_VERSION, amount(&answer["key_version"])),
            (t::NEXT_NONCE, amount(&answer["next_nonce"])),
            (t::STATE_ROOT, shown::hash(text(&answer["state_root"]))),
        ]))
        (record(gateway, view, (chain, account)).await?)
        (events.table(gateway, view, view.t(t::HISTORY)))
        (events.pages(view, &path, is_newest))
        (proof(view, gateway.settings.genesis.is_some(), &format!("/v1/proofs{path}"), &html! {
            a href={ "/v1" (path) } { "JSON" }
            " · " a href={ "/v1/chains/" (chain) "/history?account=" (account) } { (view.t(t::HISTORY)) " (JSON)" }
        }))
    };
    Ok(match is_newest {
        true => Page::live("/accounts", title, body),
        false => Page::fixed("/accounts", title, body),
    })
}

/// What the chain keeps of it beside its leaf.
async fn record(gateway: &Gateway, view: &View, (chain, account): (u64, u64)) -> Result<Markup, Failure> {
    let chain_id = ChainId(u32::try_from(chain).unwrap_or(u32::MAX));
    let query = Query::Account { chain: chain_id, account: AccountId(account), record: true };
    let answer = gateway.desk.ask(query).await?;
    let answer: Option<AccountAnswer> = serde_json::from_slice(&answer.body).ok();
    let Some(record) = answer.and_then(|answer| answer.record()) else { return Ok(html! {}) };
    if record == AccountRecord::default() {
        return Ok(html! {});
    }
    let mut rows = Vec::new();
    let safeguards = &record.safeguards;
    if let Some(key) = safeguards.recovery_key {
        rows.push((t::RECOVERY_KEY, shown::hash(&hex::encode(key))));
    }
    if !safeguards.guardians.is_empty() {
        let guardians = html! {
            (safeguards.threshold) " / " (safeguards.guardians.len()) ": "
            @for (at, guardian) in safeguards.guardians.iter().enumerate() {
                @if at > 0 { ", " } (account_link(chain, guardian))
            }
        };
        rows.push((t::GUARDIANS, guardians));
    }
    for approval in &record.approvals {
        rows.push((t::APPROVED_KEY, html! {
            (shown::hash(&hex::encode(approval.key))) " " (view.t(t::UNTIL)) " " (shown::time(approval.until_ms))
        }));
    }
    if let Some(pending) = &record.pending {
        let what = match &pending.change {
            Change::Key(key) => html! { (view.t(t::KEY)) " " (shown::hash(&hex::encode(key))) },
            Change::Safeguards(_) => html! { (view.t(t::SAFEGUARDS)) },
            Change::Close => html! { (view.t(t::CLOSING)) },
        };
        rows.push((
            t::PENDING_CHANGE,
            html! {
                (what) " " (view.t(t::NOT_BEFORE)) " " (shown::time(pending.due_ms))
                @if pending.by_recovery { " " (badge("warn", view.t(t::BY_RECOVERY))) }
            },
        ));
    }
    Ok(html! { h2 { (view.t(t::SAFEGUARDS)) } (facts(view, rows)) })
}

/// Whether the path of an account can be gone to, from a search.
pub(super) fn path(chain: u64, account: u64) -> String {
    sign_in::back_to(Some(&format!("/chains/{chain}/accounts/{account}"))).to_owned()
}
