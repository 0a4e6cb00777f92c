//! Chains: what each has, and what is in effect there.

use std::sync::Arc;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::page::{Page, badge, chain_link, facts, heading, numbers, table, words};
use super::texts::Text;
use super::{View, amount, number, shown, texts as t, words as text};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// The status of a chain.
pub(super) fn status(view: &View, status: &str) -> Markup {
    match status {
        "active" => badge("good", view.t(t::ACTIVE)),
        "paused" => badge("warn", view.t(t::PAUSED)),
        "closed" => badge("bad", view.t(t::CLOSED)),
        other => badge("", &shown::plain(other)),
    }
}

/// What a chain does.
pub(super) fn kind(view: &View, kind: &str) -> String {
    match kind {
        "transfers" => view.t(t::KIND_TRANSFERS).to_owned(),
        "attestations" => view.t(t::KIND_ATTESTATIONS).to_owned(),
        "governance" => view.t(t::KIND_GOVERNANCE).to_owned(),
        other => shown::plain(other),
    }
}

fn asset(of: &Value) -> Markup {
    match text(of) {
        "" => html! { "–" },
        asset => shown::foreign(asset),
    }
}

pub(super) async fn list(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let answer = view.ask(gateway, "chains", json!({})).await?;
    let counted = &view.moment()?.sample.counted.chains;
    let rows = answer["chains"].as_array().into_iter().flatten().map(|chain| {
        let id = number(&chain["chain"]);
        let pending = counted.iter().find(|of| u64::from(of.chain) == id).map_or(0, |of| of.pending);
        vec![
            chain_link(id),
            html! { (kind(view, text(&chain["kind"]))) },
            status(view, text(&chain["status"])),
            asset(&chain["asset"]),
            amount(&chain["accounts"]),
            amount(&chain["rows"]),
            amount(&chain["issued"]),
            amount(&chain["burned"]),
            html! { (shown::grouped(pending)) },
        ]
    });
    let heads = [
        numbers(t::CHAIN),
        words(t::KIND),
        words(t::STATE),
        words(t::ASSET),
        numbers(t::ACCOUNTS),
        numbers(t::ROWS),
        numbers(t::ISSUED),
        numbers(t::BURNED),
        numbers(t::WAITING),
    ];
    let body = html! {
        (heading(view.t(t::CHAINS), Some(view.t(t::CHAINS_ABOUT))))
        (table(view, view.t(t::CHAINS), &heads, rows))
    };
    Ok(Page::live("/chains", view.t(t::CHAINS), body))
}

pub(super) async fn one(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let id = view.text("chain").unwrap_or_default();
    let chain = view.ask(gateway, "chain", json!({ "chain": id })).await?;
    let charter = view.ask(gateway, "charter", json!({ "chain": id })).await?;
    let id = number(&chain["chain"]);
    let title = view.fill(t::CHAIN_OF, &[&id.to_string()]);
    let body = html! {
        (heading(&title, None))
        nav.pages aria-label=(view.t(t::MORE)) {
            a href={ "/transactions?chain=" (id) } { (view.t(t::TRANSACTIONS)) }
            a href={ "/accounts?chain=" (id) } { (view.t(t::ACCOUNTS)) }
        }
        (facts(view, [
            (t::KIND, html! { (kind(view, text(&chain["kind"]))) }),
            (t::STATE, status(view, text(&chain["status"]))),
            (t::ASSET, asset(&chain["asset"])),
            (t::ACCOUNTS, amount(&chain["accounts"])),
            (t::ROWS, amount(&chain["rows"])),
            (t::ISSUED, amount(&chain["issued"])),
            (t::BURNED, amount(&chain["burned"])),
            (t::STATE_ROOT, shown::hash(text(&chain["state_root"]))),
        ]))
        (in_effect(view, &charter))
        p.small { a href={ "/v1/chains/" (id) } { "JSON" } }
    };
    Ok(Page::fixed("/chains", title, body))
}

/// Who may do what there.
fn in_effect(view: &View, charter: &Value) -> Markup {
    let charter = &charter["charter"];
    let Some(roles) = charter.as_object() else {
        return html! { h2 { (view.t(t::IN_EFFECT)) } p.none { (view.t(t::NOT_KNOWN_HERE)) } };
    };
    let role = |name: &str| roles.get(name).unwrap_or(&Value::Null);
    let holder = |name: &str| match role(name) {
        Value::Null => html! { (view.t(t::NOBODY)) },
        Value::String(anyone) if anyone == "anyone" => html! { (view.t(t::ANYONE)) },
        account => amount(account),
    };
    let row = |name: Text, value: Markup| (name, value);
    let since = number(&charter["since"]);
    html! {
        h2 { (view.t(t::IN_EFFECT)) }
        (facts(view, [
            row(t::SINCE, if since == 0 { html! { (view.t(t::GENESIS)) } } else { amount(&charter["since"]) }),
            row(t::ISSUER, holder("issuer")),
            row(t::ISSUANCE_CAP, amount(role("issuance_cap"))),
            row(t::FREEZER, holder("freezer")),
            row(t::REGISTRAR, holder("registrar")),
            row(t::ACCOUNTS_CAP, amount(role("accounts_cap"))),
            row(t::ATTESTATIONS_CAP, amount(role("attestations_cap"))),
            row(t::REKEY_WINDOW, html! { (shown::seconds(number(role("rekey_window")))) }),
            row(t::RECOVERY_WINDOW, html! { (shown::seconds(number(role("recovery_window")))) }),
        ]))
    }
}
