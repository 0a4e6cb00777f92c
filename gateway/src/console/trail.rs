//! The way of a payment between chains, as a picture.

use maud::{Markup, html};
use serde_json::Value;

use super::texts as t;
use super::{View, number, shown, words};

/// A place on the way.
struct Stop {
    chain: u64,
    height: Option<u64>,
    what: String,
    tone: &'static str,
}

const WIDTH: usize = 200;
const GAP: usize = 60;

/// The picture, where the transaction leaves its chain.
pub(super) fn picture(view: &View, found: &Value) -> Markup {
    let stops = stops(view, found);
    if stops.is_empty() {
        return html! {};
    }
    let size = stops.len() * (WIDTH + GAP) - GAP;
    let says: Vec<String> = stops
        .iter()
        .map(|stop| {
            let height = stop.height.map_or_else(|| "…".to_owned(), shown::grouped);
            format!("{} {}, {} {height}: {}", view.t(t::CHAIN), stop.chain, view.t(t::HEIGHT), stop.what)
        })
        .collect();
    html! {
        figure.trail {
            figcaption { (view.t(t::TRAIL)) }
            svg role="img" aria-label=(says.join(" → ")) width=(size) viewBox=(format!("0 0 {size} 100")) {
                @for (at, stop) in stops.iter().enumerate() {
                    @let left = at * (WIDTH + GAP);
                    @if at > 0 {
                        line.line x1=(left - GAP + 6) y1="50" x2=(left - 14) y2="50" {}
                        polygon.tip points=(format!("{},44 {},50 {},56", left - 16, left - 4, left - 16)) {}
                    }
                    rect class={ "stop " (stop.tone) } x=(left + 1) y="5" width=(WIDTH - 2) height="90" rx="8" {}
                    text.strong x=(left + 16) y="34" { (view.t(t::CHAIN)) " " (stop.chain) }
                    text x=(left + 16) y="58" {
                        (view.t(t::HEIGHT)) " " (stop.height.map_or_else(|| "…".to_owned(), shown::grouped))
                    }
                    text x=(left + 16) y="82" { (stop.what) }
                }
            }
        }
    }
}

fn stops(view: &View, found: &Value) -> Vec<Stop> {
    let (chain, height) = (number(&found["chain"]), number(&found["height"]));
    let crossing = &found["crossing"];
    if !crossing.is_object() {
        return Vec::new();
    }
    let said = found["said"].as_object().and_then(|said| said.values().next());
    let to = said.and_then(|said| said.get("credit_chain")).map_or(chain, number);
    let stop = |chain, height, what: &str, tone| Stop { chain, height, what: what.to_owned(), tone };
    let at = |name: &str| crate::numbers::whole(&crossing[name]);
    let sent = stop(chain, Some(height), view.t(t::SENT_ON), "good");
    match words(&crossing["state"]) {
        "credited" => vec![sent, stop(to, at("height"), view.t(t::CREDITED), "good")],
        "refunded" => {
            let reason = shown::plain(&words(&crossing["reason"]).replace('_', " "));
            let not = format!("{}: {reason}", view.t(t::NOT_CREDITED));
            vec![
                sent,
                stop(to, at("returned"), &not, "bad"),
                stop(chain, at("height"), view.t(t::REFUNDED), "warn"),
            ]
        }
        _ => vec![sent, stop(to, None, view.t(t::IN_FLIGHT), "")],
    }
}
