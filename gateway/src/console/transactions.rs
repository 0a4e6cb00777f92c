//! Transactions: what happened on a chain, and one transaction with all that became of it.

use std::sync::Arc;

use client::Cursor;
use engine::types::Height;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::page::{
    Page, account_link, block_link, chain_link, facts, heading, numbers, proof, table, transaction_link,
    words,
};
use super::{View, chains, number, said, shown, texts as t, trail, words as text};
use crate::arguments::{Arguments, Form, Parameter, Place};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// Events of one page.
const PAGE: usize = 50;
/// How far back the newest events are looked for, in blocks: less first, more where that finds too few.
const BACK: [u64; 3] = [2, 24, 250];
/// How often the node is asked for one page: each time it reads at most some hundred blocks.
const ASKED_MAX: usize = 8;

const fn parameter(name: &'static str, form: Form, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, form, required: false, about }
}

/// What a list of events takes.
const LIST: &[Parameter] = &[
    parameter("chain", Form::Whole(u32::MAX as u64), "The chain."),
    parameter("account", Form::Whole(u64::MAX), "Only what concerns this account."),
    parameter("reference", Form::Reference, "Only what carries this reference."),
    parameter("from", Form::Cursor, "Where to go on."),
];

/// Some of a history.
pub(super) struct Events {
    list: Vec<Value>,
    next: String,
    at_end: bool,
}

/// Which history is meant.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    /// The chain.
    pub chain: u64,
    /// Only what concerns this account.
    pub account: Option<u64>,
    /// Only what carries this reference.
    pub reference: Option<&'a str>,
}

impl Events {
    /// Events from a cursor on: a page of them, or as far as the node was asked.
    pub(super) async fn from(
        gateway: &Gateway,
        view: &View,
        of: Of<'_>,
        from: Cursor,
    ) -> Result<Self, Failure> {
        let mut events = Self { list: Vec::new(), next: from.to_string(), at_end: false };
        for _ in 0..ASKED_MAX {
            let mut call =
                json!({ "chain": of.chain, "from": events.next, "limit": PAGE - events.list.len() });
            if let Some(account) = of.account {
                call["account"] = account.to_string().into();
            }
            if let Some(reference) = of.reference {
                call["reference"] = reference.into();
            }
            let mut answer = view.ask(gateway, "history", call).await?;
            if let Value::Array(list) = answer["events"].take() {
                events.list.extend(list);
            }
            events.next = text(&answer["next"]).to_owned();
            events.at_end = answer["at_end"] == true;
            if events.at_end || events.list.len() >= PAGE {
                break;
            }
        }
        Ok(events)
    }

    /// The newest events, the newest first. Of blocks with very many, some.
    pub(super) async fn newest(gateway: &Gateway, view: &View, of: Of<'_>) -> Result<Self, Failure> {
        let status = &view.moment()?.sample.status;
        let (committed, kept_from) = (status.committed.0, status.kept_from.0.max(1));
        let mut found = Self { list: Vec::new(), next: String::new(), at_end: true };
        for back in BACK {
            let from = (committed + 1).saturating_sub(back).max(kept_from);
            found = Self::from(gateway, view, of, Cursor::at(Height(from))).await?;
            if found.list.len() >= PAGE / 2 || from == kept_from {
                break;
            }
        }
        found.list.reverse();
        Ok(found)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The table of them.
    pub(super) fn table(&self, gateway: &Gateway, view: &View, caption: &str) -> Markup {
        let rows = self.list.iter().map(|event| {
            let at: Option<Cursor> = text(&event["at"]).parse().ok();
            let id = text(&event["id"]);
            vec![
                html! { @if let Some(at) = at { (block_link(at.height.0)) } },
                html! { @if id.is_empty() { (view.t(t::BY_ITSELF)) } @else { (said::kind(view, &event["said"])) } },
                match id {
                    "" => effect(event),
                    _ => said::line(gateway, &event["said"], text(&event["packet"])),
                },
                said::outcome(view, event),
                html! { @if id.is_empty() { "–" } @else { (transaction_link(id)) } },
            ]
        });
        let heads =
            [numbers(t::HEIGHT), words(t::KIND), words(t::SAYS), words(t::OUTCOME), words(t::TRANSACTION)];
        table(view, caption, &heads, rows)
    }

    /// Where to go on, for a list at a path that may have a query already.
    pub(super) fn pages(&self, view: &View, path: &str, is_newest: bool) -> Markup {
        let join = if path.contains('?') { '&' } else { '?' };
        html! {
            nav.pages aria-label=(view.t(t::MORE)) {
                a href={ (path) (join) "from=1.0" } rel="first" { (view.t(t::FROM_THE_BEGINNING)) }
                @if !is_newest {
                    @if !self.at_end { a href={ (path) (join) "from=" (self.next) } rel="next" { (view.t(t::LATER)) } }
                    a href=(path) { (view.t(t::NEWEST)) }
                }
            }
        }
    }
}

/// What took effect by itself: names and values, as the node says them.
fn effect(event: &Value) -> Markup {
    let fields = event.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "at" | "event" | "said"));
    let says: Vec<String> = fields
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{} {value}", name.replace('_', " "))
        })
        .collect();
    html! { span lang="en" { (shown::foreign(&says.join(", "))) } }
}

pub(super) async fn list(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let arguments = view.read(LIST)?;
    let chains = view.ask(gateway, "chains", json!({})).await?;
    let chains: Vec<(u64, &str)> = chains["chains"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|chain| (number(&chain["chain"]), text(&chain["kind"])))
        .collect();
    // Payments are looked at most.
    let first = chains.iter().find(|(_, kind)| *kind == "transfers").or(chains.first());
    let chain = arguments.whole("chain").or(first.map(|(chain, _)| *chain)).unwrap_or(0);
    let of = Of { chain, account: arguments.whole("account"), reference: view.text("reference") };
    let events = match arguments.cursor("from") {
        Some(from) => Events::from(gateway, view, of, from).await?,
        None => Events::newest(gateway, view, of).await?,
    };
    let is_newest = arguments.cursor("from").is_none();
    let body = html! {
        (heading(view.t(t::TRANSACTIONS), Some(view.t(t::TRANSACTIONS_ABOUT))))
        (filter(view, &arguments, (chain, &chains)))
        (events.table(gateway, view, &view.fill(t::TRANSACTIONS_OF, &[&chain.to_string()])))
        (events.pages(view, &path_of(view, chain), is_newest))
        p.small { a href={ "/v1/chains/" (chain) "/history" } { "JSON" } }
    };
    let title = view.t(t::TRANSACTIONS);
    Ok(match is_newest {
        true => Page::live("/transactions", title, body),
        false => Page::fixed("/transactions", title, body),
    })
}

fn path_of(view: &View, chain: u64) -> String {
    let value = |name: &str| {
        let given = view.text(name)?;
        Some(format!(
            "&{name}={}",
            percent_encoding::utf8_percent_encode(given, percent_encoding::NON_ALPHANUMERIC)
        ))
    };
    let more: String = ["account", "reference"].into_iter().filter_map(value).collect();
    format!("/transactions?chain={chain}{more}")
}

fn filter(view: &View, arguments: &Arguments, (chain, chains): (u64, &[(u64, &str)])) -> Markup {
    html! {
        form.filter action="/transactions" method="get" {
            label for="chain" { (view.t(t::CHAIN)) }
            select #chain name="chain" {
                @for (of, kind) in chains {
                    option value=(of) selected[*of == chain] { (of) " · " (chains::kind(view, kind)) }
                }
            }
            label for="account" { (view.t(t::ACCOUNT)) }
            input #account name="account" inputmode="numeric" size="8" maxlength="20"
                value=[arguments.whole("account")];
            label for="reference" { (view.t(t::REFERENCE)) }
            input #reference name="reference" size="12" maxlength="24" value=[view.text("reference")];
            button type="submit" { (view.t(t::SHOW)) }
        }
    }
}

/// What a block has on a chain, as far as one page has it.
pub(super) async fn of_block(
    gateway: &Gateway,
    view: &View,
    (chain, height): (u64, u64),
) -> Result<Markup, Failure> {
    let of = Of { chain, account: None, reference: None };
    let mut call = view
        .ask(gateway, "history", json!({ "chain": chain, "from": format!("{height}.0"), "limit": PAGE }))
        .await?;
    let is_here =
        |event: &Value| text(&event["at"]).parse::<Cursor>().is_ok_and(|at| at.height == Height(height));
    let list = match call["events"].take() {
        Value::Array(list) => list.into_iter().filter(is_here).collect(),
        _ => Vec::new(),
    };
    let next = text(&call["next"]).to_owned();
    let goes_on = next.parse::<Cursor>().is_ok_and(|next| next.height == Height(height));
    let events = Events { list, next, at_end: false };
    Ok(html! {
        (events.table(gateway, view, &view.fill(t::TRANSACTIONS_OF, &[&of.chain.to_string()])))
        @if goes_on {
            p { a href={ "/transactions?chain=" (chain) "&from=" (events.next) } { (view.t(t::MORE)) } }
        }
    })
}

pub(super) async fn one(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let id = view.text("id").unwrap_or_default();
    let found = view.ask(gateway, "transaction", json!({ "id": id })).await?;
    let (id, chain, height) = (text(&found["id"]), number(&found["chain"]), number(&found["height"]));
    let event = json!({ "event": "executed", "outcome": found["outcome"] });
    let kind = said::kind(view, &found["said"]);
    let body = html! {
        (heading(&kind, None))
        p { (said::line(gateway, &found["said"], text(&found["packet"]))) " " (said::outcome(view, &event)) }
        (trail::picture(view, &found))
        (facts(view, [
            (t::TRANSACTION, shown::hash(id)),
            (t::CHAIN, chain_link(chain)),
            (t::HEIGHT, block_link(height)),
            (t::POSITION, html! { (number(&found["position"])) }),
            (t::CODE, html! { (number(&found["code"])) }),
            (t::SEALED_BY, html! { (number(&found["author"])) " / " (shown::grouped(number(&found["sequence"]))) }),
        ]))
        @if let Some(opened) = crate::numbers::whole(&found["opened"]) {
            p { (view.t(t::OPENED)) " " (account_link(chain, opened)) }
        }
        h2 { (view.t(t::SAYS)) }
        (said::whole(view, &found["said"]))
        (proof(
            view,
            gateway.settings.genesis.is_some(),
            &format!("/v1/proofs/transactions/{id}?chain={chain}"),
            &html! { a href={ "/v1/transactions/" (id) "?chain=" (chain) } { "JSON" } },
        ))
    };
    // What is in flight goes on.
    let is_final = found["crossing"]["state"] != "in_flight";
    Ok(Page { live: !is_final, ..Page::fixed("/transactions", kind, body) })
}
