//! Blocks: the newest ones as they come, and each by itself. What was asked for once is kept for all visitors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use client::Query;
use client::answers::BlockAnswer;
use engine::types::Height;
use engine::wire::Block;
use futures_util::future::try_join_all;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::page::{Page, block_link, chain_link, facts, heading, numbers, table, words};
use super::{View, amount, number, shown, texts as t, transactions, words as text};
use crate::arguments::{Form, Parameter, Place};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// Blocks of one page.
const PAGE: u64 = 25;
/// Blocks that are kept.
const KEPT: usize = 256;

const BEFORE: &[Parameter] = &[Parameter {
    name: "before",
    place: Place::Query,
    form: Form::Whole(u64::MAX),
    required: false,
    about: "Blocks below this height.",
}];

/// What a list says of a block.
pub(super) struct Row {
    pub height: u64,
    pub digest: String,
    pub time_ms: u64,
    pub epoch: u64,
    pub view: u64,
    pub proposer: u16,
    pub transactions: u64,
    pub failures: u64,
}

/// Blocks that were asked for: they do not change any more.
#[derive(Default)]
pub(super) struct Recent(Mutex<BTreeMap<u64, Arc<Row>>>);

impl Recent {
    fn find(&self, height: u64) -> Option<Arc<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&height).cloned()
    }

    fn keep(&self, row: &Arc<Row>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(row.height, row.clone());
        if kept.len() > KEPT {
            kept.pop_first();
        }
    }
}

/// The newest blocks, the newest first. Those that the node does not keep are left out.
pub(super) async fn recent(gateway: &Gateway, newest: u64, count: u64) -> Result<Vec<Arc<Row>>, Failure> {
    let first = newest.saturating_sub(count - 1).max(1);
    let rows = try_join_all((first..=newest).rev().map(|height| row(gateway, height))).await?;
    Ok(rows.into_iter().flatten().collect())
}

async fn row(gateway: &Gateway, height: u64) -> Result<Option<Arc<Row>>, Failure> {
    let recent = &gateway.console.blocks;
    if let Some(row) = recent.find(height) {
        return Ok(Some(row));
    }
    let answer = match gateway.desk.ask(Query::Block { height: Height(height) }).await {
        Ok(answer) => answer,
        Err(failure) if [failure::BELOW_RETENTION, failure::NOT_FOUND].contains(&failure.kind) => {
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let unread = || {
        Failure::new(
            failure::INTERNAL,
            "the node's block cannot be read: run a gateway of the node's release",
        )
    };
    let answer: BlockAnswer = serde_json::from_slice(&answer.body).map_err(|_| unread())?;
    let block = hex::decode(&answer.block).ok().and_then(|bytes| Block::decode(&bytes).ok());
    let block = block.ok_or_else(unread)?;
    let header = block.header();
    let row = Arc::new(Row {
        height,
        digest: answer.digest.to_string(),
        time_ms: header.time_ms,
        epoch: header.epoch.0,
        view: header.view,
        proposer: header.proposer.0,
        transactions: answer.entries.iter().map(|entry| entry.transactions).sum(),
        failures: answer.failures,
    });
    recent.keep(&row);
    Ok(Some(row))
}

pub(super) async fn list(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let before = view.read(BEFORE)?.whole("before");
    let committed = view.moment()?.sample.status.committed.0;
    let newest = before.map_or(committed, |before| before.saturating_sub(1)).min(committed);
    let rows = if newest == 0 { Vec::new() } else { recent(gateway, newest, PAGE).await? };
    let oldest = rows.last().map_or(0, |row| row.height);
    let cells = rows.iter().map(|row| {
        vec![
            block_link(row.height),
            shown::time(row.time_ms),
            html! { (shown::grouped(row.transactions)) },
            html! { (shown::grouped(row.failures)) },
            html! { (row.proposer) },
            html! { (shown::grouped(row.view)) },
            html! { (row.epoch) },
            html! { code title=(row.digest) { (shown::ends(&row.digest)) } },
        ]
    });
    let heads = [
        numbers(t::HEIGHT),
        words(t::TIME),
        numbers(t::TRANSACTIONS),
        numbers(t::FAILURES),
        numbers(t::PROPOSER),
        numbers(t::CONSENSUS_VIEW),
        numbers(t::EPOCH),
        words(t::DIGEST),
    ];
    let body = html! {
        (heading(view.t(t::BLOCKS), Some(view.t(t::BLOCKS_ABOUT))))
        (table(view, view.t(t::BLOCKS), &heads, cells))
        nav.pages aria-label=(view.t(t::MORE)) {
            @if before.is_some() { a href="/blocks" rel="first" { (view.t(t::NEWEST)) } }
            @if oldest > 1 { a href={ "/blocks?before=" (oldest) } rel="next" { (view.t(t::OLDER)) } }
        }
    };
    let title = view.t(t::BLOCKS);
    Ok(if before.is_some() {
        Page::fixed("/blocks", title, body)
    } else {
        Page::live("/blocks", title, body)
    })
}

pub(super) async fn one(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let height = view.text("height").unwrap_or_default();
    let block = view.ask(gateway, "block", json!({ "height": height })).await?;
    let at = number(&block["height"]);
    let committed = view.moment()?.sample.status.committed.0;
    let chains: Vec<&Value> = block["entries"].as_array().into_iter().flatten().collect();
    let busy = chains.iter().filter(|entry| number(&entry["transactions"]) > 0);
    let mut lists = Vec::new();
    for entry in busy.take(8) {
        lists.push(transactions::of_block(gateway, view, (number(&entry["chain"]), at)).await?);
    }
    let body = html! {
        (heading(&view.fill(t::BLOCK_AT, &[&shown::grouped(at)]), None))
        nav.pages aria-label=(view.t(t::MORE)) {
            @if at > 1 { a href={ "/blocks/" (at - 1) } rel="prev" { "← " (shown::grouped(at - 1)) } }
            @if at < committed { a href={ "/blocks/" (at + 1) } rel="next" { (shown::grouped(at + 1)) " →" } }
        }
        (header(view, &block))
        (entries(view, &chains))
        @for list in &lists { (list) }
        p.small { a href={ "/v1/blocks/" (at) } { "JSON" } }
    };
    Ok(Page::fixed("/blocks", view.fill(t::BLOCK_AT, &[&shown::grouped(at)]), body))
}

fn header(view: &View, block: &Value) -> Markup {
    let certificate =
        if text(&block["certificate"]).is_empty() { t::LATER_CERTIFICATE } else { t::OWN_CERTIFICATE };
    facts(
        view,
        [
            (t::TIME, shown::time(number(&block["time_ms"]))),
            (t::TRANSACTIONS, amount(&block["transactions"])),
            (t::FAILURES, amount(&block["failures"])),
            (t::PROPOSER, html! { (text_or_number(&block["proposer"])) }),
            (t::CONSENSUS_VIEW, amount(&block["consensus_view"])),
            (t::EPOCH, amount(&block["epoch"])),
            (t::DIGEST, shown::hash(text(&block["digest"]))),
            (t::PARENT, shown::hash(text(&block["parent"]))),
            (t::STATE_ROOT, shown::hash(text(&block["state_root"]))),
            (t::CERTIFICATE, html! { (view.t(certificate)) }),
        ],
    )
}

fn text_or_number(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), shown::plain)
}

fn entries(view: &View, chains: &[&Value]) -> Markup {
    let rows = chains.iter().map(|entry| {
        vec![
            chain_link(number(&entry["chain"])),
            amount(&entry["transactions"]),
            amount(&entry["accounts"]),
            amount(&entry["rows"]),
            html! { code title=(text(&entry["accounts_root"])) { (shown::ends(text(&entry["accounts_root"]))) } },
        ]
    });
    let heads = [
        numbers(t::CHAIN),
        numbers(t::TRANSACTIONS),
        numbers(t::ACCOUNTS),
        numbers(t::ROWS),
        words(t::ACCOUNTS_ROOT),
    ];
    table(view, view.t(t::CHAINS_AFTER), &heads, rows)
}
