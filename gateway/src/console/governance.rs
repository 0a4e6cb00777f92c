//! Governance: who decides, what is proposed, and what takes effect when.

use std::sync::Arc;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::page::{Page, account_link, badge, block_link, chain_link, facts, heading};
use super::{View, amount, number, shown, texts as t, words as text};
use crate::arguments::{Form, Parameter, Place};
use crate::failure::Failure;
use crate::gateway::Gateway;

const LIST: &[Parameter] = &[Parameter {
    name: "from",
    place: Place::Query,
    form: Form::Bytes32,
    required: false,
    about: "Where to go on.",
}];

/// What comes first on the page.
const ORDER: [&str; 5] = ["open", "decided", "in_effect", "expired", "void"];

pub(super) async fn page(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    view.read(LIST)?;
    let call = view.text("from").map_or_else(|| json!({}), |from| json!({ "from": from }));
    let answer = view.ask(gateway, "governance", call).await?;
    let Some(chain) = crate::numbers::whole(&answer["chain"]) else {
        let body = html! { (heading(view.t(t::GOVERNANCE), None)) p.none { (view.t(t::NO_GOVERNANCE)) } };
        return Ok(Page::fixed("/governance", view.t(t::GOVERNANCE), body));
    };
    let mut proposals: Vec<&Value> = answer["proposals"].as_array().into_iter().flatten().collect();
    let place = |of: &Value| ORDER.iter().position(|state| of["state"] == *state).unwrap_or(ORDER.len());
    proposals.sort_by_key(|of| {
        let number = crate::numbers::whole(&of["number"]).unwrap_or(0);
        (place(of), std::cmp::Reverse(number), number_of(of, "until_ms"))
    });
    let body = html! {
        (heading(view.t(t::GOVERNANCE), Some(view.t(t::GOVERNANCE_ABOUT))))
        (council(view, &answer, chain))
        h2 { (view.t(t::PROPOSALS)) }
        @if proposals.is_empty() { p.none { (view.t(t::NOTHING)) } }
        @for of in &proposals { (proposal(view, chain, of)) }
        @if let Some(next) = answer["next"].as_str() {
            nav.pages aria-label=(view.t(t::MORE)) {
                a href={ "/governance?from=" (next) } rel="next" { (view.t(t::MORE)) }
            }
        }
        p.small { a href="/v1/governance" { "JSON" } }
    };
    Ok(Page::live("/governance", view.t(t::GOVERNANCE), body))
}

fn number_of(of: &Value, name: &str) -> u64 {
    number(&of[name])
}

fn accounts(chain: u64, list: &Value) -> Markup {
    html! {
        @for (at, account) in list.as_array().into_iter().flatten().enumerate() {
            @if at > 0 { ", " } (account_link(chain, number(account)))
        }
    }
}

fn council(view: &View, answer: &Value, chain: u64) -> Markup {
    let known = answer["administrators"].is_array();
    let unknown = || html! { (view.t(t::NOT_KNOWN_HERE)) };
    facts(
        view,
        [
            (t::CHAIN, chain_link(chain)),
            (t::ADMINISTRATORS, if known { accounts(chain, &answer["administrators"]) } else { unknown() }),
            (t::MUST_APPROVE, if known { amount(&answer["threshold"]) } else { unknown() }),
            (t::VERSION, if known { amount(&answer["version"]) } else { unknown() }),
        ],
    )
}

fn proposal(view: &View, chain: u64, of: &Value) -> Markup {
    let since = crate::numbers::whole(&of["in_effect_from"]);
    let (tone, state) = match text(&of["state"]) {
        "open" => ("warn", t::OPEN),
        "decided" => ("good", t::DECIDED),
        "in_effect" => ("good", t::IN_EFFECT),
        "expired" => ("", t::EXPIRED),
        _ => ("", t::VOID),
    };
    // Members and rules take effect with the next epoch, whatever the height.
    let is_epoch = ["add_member", "remove_member", "replace_member", "rules"]
        .iter()
        .any(|name| of["decision"].get(name).is_some());
    let effect = match since {
        Some(_) if is_epoch && of["state"] == "decided" => html! { (view.t(t::NEXT_EPOCH)) },
        Some(since) => html! { (view.t(t::HEIGHT)) " " (block_link(since)) },
        None => html! { "–" },
    };
    html! {
        article.card {
            h3 { (badge(tone, view.t(state))) " " span lang="en" { (shown::foreign(text(&of["says"]))) } }
            (facts(view, [
                (t::APPROVED_BY, accounts(chain, &of["approvals"])),
                (t::APPROVABLE_UNTIL, shown::time(number_of(of, "until_ms"))),
                (t::TAKES_EFFECT, effect),
                (t::PROPOSAL, shown::hash(text(&of["proposal"]))),
            ]))
        }
    }
}
