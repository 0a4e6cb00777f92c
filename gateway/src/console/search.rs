//! One field in which everything is looked for: heights, accounts, ids, fingerprints, keys, references.

use std::sync::Arc;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::page::{Page, heading};
use super::transactions::{Events, Of};
use super::{View, accounts, chains, number, shown, texts as t, words};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// Chains that are searched. With more chains, the search needs the chain, as in `1:7`.
const CHAINS_MAX: usize = 64;
/// Chains in which a reference is looked for: the blocks of each have to be read.
const READ_MAX: usize = 8;
/// Searches at a time: one can ask the node some hundred questions, which others wait behind.
pub(super) const SEARCHES_MAX: usize = 4;
/// Bytes of a reference.
const REFERENCE_BYTES: usize = 12;

/// Something that was found: where, and what it is.
type Hit = (String, Markup);

pub(super) async fn page(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let full = || Failure::unavailable("too many searches are under way; search again in a moment");
    let _room = gateway.console.searches.try_acquire().map_err(|_| full())?;
    let wanted = view.text("q").unwrap_or_default().trim();
    let all = view.ask(gateway, "chains", json!({})).await?;
    let all: Vec<&Value> = all["chains"].as_array().into_iter().flatten().take(CHAINS_MAX).collect();
    let mut hits = Vec::new();
    let mut tables = Vec::new();
    if let Some((chain, account)) = wanted.split_once(':').and_then(pair) {
        hits.extend(account_hit(gateway, view, (chain, account)).await?);
    } else if let Ok(whole) = wanted.parse::<u64>() {
        hits.extend(numbered(gateway, view, whole, &all).await?);
    } else if is_hash(wanted) {
        hits.extend(hashed(gateway, view, wanted, &all).await?);
    }
    if hits.is_empty() && (1..=REFERENCE_BYTES).contains(&wanted.len()) {
        tables = referenced(gateway, view, wanted, &all).await?;
    }
    let nothing = hits.is_empty() && tables.is_empty();
    let body = html! {
        (heading(&view.fill(t::SEARCH_FOR, &[&shown::plain(wanted)]), Some(view.t(t::SEARCH_ABOUT))))
        @if nothing { p.none { (view.t(t::NOTHING)) } }
        @if !hits.is_empty() { ul.hits { @for (path, says) in &hits { li { a href=(path) { (says) } } } } }
        @for table in &tables { (table) }
    };
    let status = if nothing { StatusCode::NOT_FOUND } else { StatusCode::OK };
    Ok(Page { status, ..Page::fixed("", view.t(t::SEARCH), body) })
}

fn pair((chain, account): (&str, &str)) -> Option<(u64, u64)> {
    Some((u64::from(chain.trim().parse::<u32>().ok()?), account.trim().parse().ok()?))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// An answer, or nothing where there is no such thing.
fn found(answer: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if [failure::NOT_FOUND, failure::BELOW_RETENTION].contains(&failure.kind) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn account_hit(
    gateway: &Gateway,
    view: &View,
    (chain, account): (u64, u64),
) -> Result<Option<Hit>, Failure> {
    let call = json!({ "chain": chain, "account": account.to_string() });
    let answer = found(view.ask(gateway, "account", call).await)?;
    Ok(answer.map(|answer| {
        let title = view.fill(t::ACCOUNT_OF, &[&account.to_string(), &chain.to_string()]);
        let balance = shown::grouped(number(&answer["balance"]));
        (accounts::path(chain, account), html! { (title) " · " (balance) })
    }))
}

/// A block of that height, and accounts of that number.
async fn numbered(gateway: &Gateway, view: &View, whole: u64, all: &[&Value]) -> Result<Vec<Hit>, Failure> {
    let mut hits = Vec::new();
    let block = found(view.ask(gateway, "block", json!({ "height": whole.to_string() })).await)?;
    if block.is_some() {
        let title = view.fill(t::BLOCK_AT, &[&shown::grouped(whole)]);
        hits.push((format!("/blocks/{whole}"), html! { (title) }));
    }
    for chain in all.iter().filter(|chain| whole < number(&chain["accounts"])) {
        let chain_id = number(&chain["chain"]);
        let title = view.fill(t::ACCOUNT_OF, &[&whole.to_string(), &chain_id.to_string()]);
        let kind = chains::kind(view, words(&chain["kind"]));
        hits.push((accounts::path(chain_id, whole), html! { (title) " · " (kind) }));
    }
    Ok(hits)
}

/// A transaction of that id, a registered fingerprint, or accounts with that key.
async fn hashed(gateway: &Gateway, view: &View, hash: &str, all: &[&Value]) -> Result<Vec<Hit>, Failure> {
    let hash = hash.to_ascii_lowercase();
    let mut hits = Vec::new();
    if found(view.ask(gateway, "transaction", json!({ "id": hash })).await)?.is_some() {
        hits.push((
            format!("/transactions/{hash}"),
            html! { (view.t(t::TRANSACTION)) " " (shown::ends(&hash)) },
        ));
    }
    for chain in all {
        let id = number(&chain["chain"]);
        if chain["kind"] == "attestations" {
            let call = json!({ "chain": id, "fingerprint": hash });
            let answer = found(view.ask(gateway, "attestation", call).await)?;
            let registered = answer.filter(|answer| answer["registered"] == true);
            if let Some(answer) = registered {
                let by = words(&answer["transaction"]);
                let path = match by {
                    "" => format!("/v1/chains/{id}/attestations/{hash}"),
                    by => format!("/transactions/{by}"),
                };
                hits.push((
                    path,
                    html! { (view.fill(t::REGISTERED_ON, &[&id.to_string()])) " " (shown::ends(&hash)) },
                ));
            }
        }
        let keyed = found(view.ask(gateway, "accounts_of", json!({ "chain": id, "key": hash })).await)?;
        for account in keyed.iter().flat_map(|answer| answer["accounts"].as_array()).flatten().take(50) {
            let account = number(account);
            let title = view.fill(t::ACCOUNT_OF, &[&account.to_string(), &id.to_string()]);
            hits.push((accounts::path(id, account), html! { (title) " · " (view.t(t::KEY)) }));
        }
    }
    Ok(hits)
}

/// What carries that reference, of the newest blocks.
async fn referenced(
    gateway: &Gateway,
    view: &View,
    reference: &str,
    all: &[&Value],
) -> Result<Vec<Markup>, Failure> {
    let mut tables = Vec::new();
    for chain in all.iter().take(READ_MAX) {
        let chain = number(&chain["chain"]);
        let of = Of { chain, account: None, reference: Some(reference) };
        let events = Events::newest(gateway, view, of).await?;
        if !events.is_empty() {
            let title = view.fill(t::TRANSACTIONS_OF, &[&chain.to_string()]);
            tables.push(events.table(gateway, view, &title));
        }
    }
    Ok(tables)
}
