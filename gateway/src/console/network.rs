//! The first page: how the network is, as this node sees it.

use std::sync::Arc;

use maud::{Markup, html};

use super::View;
use super::page::{Page, badge, chart, heading, numbers, table, tile, words};
use super::pulse::Moment;
use super::{alarms, blocks, matrix, shown, texts as t};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// Blocks over which it is counted who proposes.
const BLOCKS: u64 = 20;

pub(super) async fn page(gateway: &Arc<Gateway>, view: &View) -> Result<Page, Failure> {
    let moment = view.moment()?;
    let newest = moment.sample.status.committed.0;
    // Without them the page says less, and nothing wrong.
    let blocks = blocks::recent(gateway, newest, BLOCKS).await.unwrap_or_default();
    let status = &moment.sample.status;
    let name = shown::plain(&status.network_name);
    let (rates, charts) = (moment.rates, &moment.charts);
    let body = html! {
        (heading(&name, Some(view.t(t::NETWORK_ABOUT))))
        (tiles(view, moment))
        (alarms::present(view, moment))
        (validators(view, moment, &blocks))
        (matrix::table(gateway, view, moment))
        div.charts {
            (chart(view, t::TRANSACTIONS_A_SECOND, &shown::rate(rates.0), &html! { (charts.transactions) }))
            (chart(view, t::BLOCKS_A_SECOND, &shown::rate(rates.1), &html! { (charts.blocks) }))
            (chart(view, t::WAITING, &shown::grouped(status.pending), &html! { (charts.waiting) }))
        }
        p.small { (view.t(t::NETWORK_ID)) " " (shown::hash(&status.network.to_string())) }
    };
    Ok(Page::live("/", view.t(t::NETWORK), body))
}

fn tiles(view: &View, moment: &Moment) -> Markup {
    let (sample, members) = (&moment.sample, moment.members.len());
    let status = &sample.status;
    let here = usize::from(status.standing.is_member());
    let connected = status.peers.iter().filter(|peer| usize::from(peer.0) < members).count() + here;
    let quorum = members - members.saturating_sub(1) / 3;
    let of_members = match connected {
        _ if connected >= members => "good",
        _ if connected > quorum => "warn",
        _ => "bad",
    };
    let behind = match sample.as_of.behind {
        None => (view.t(t::UNKNOWN).to_owned(), "warn"),
        Some(behind) => (shown::grouped(behind), if sample.as_of.keeps_up() { "good" } else { "bad" }),
    };
    let alarms = match status.alarms.len() {
        0 => "good",
        _ if alarms::is_critical(&status.alarms) => "bad",
        _ => "warn",
    };
    html! {
        dl.tiles {
            (tile(view, t::HEIGHT, &html! { (shown::grouped(status.committed.0)) }, ""))
            (tile(view, t::BLOCKS_BEHIND, &html! { (behind.0) }, behind.1))
            (tile(view, t::VALIDATORS_THERE, &html! { (connected) " / " (members) }, of_members))
            (tile(view, t::TRANSACTIONS_A_SECOND, &html! { (shown::rate(moment.rates.0)) }, ""))
            (tile(view, t::WAITING, &html! { (shown::grouped(status.pending)) }, ""))
            (tile(view, t::EPOCH, &html! { (status.standing.epoch) }, ""))
            (tile(view, t::ALARMS, &html! { a href="/alarms" { (status.alarms.len()) } }, alarms))
        }
    }
}

fn validators(view: &View, moment: &Moment, blocks: &[Arc<blocks::Row>]) -> Markup {
    let status = &moment.sample.status;
    let leader = blocks.first().map(|block| block.proposer);
    let links = &moment.sample.counted.links;
    let rows = moment.members.iter().enumerate().map(|(place, member)| {
        let place = place as u16;
        let is_me = status.standing.is_member() && status.validator.0 == place;
        let link = links.iter().find(|link| link.peer == place && link.connected);
        let is_there = status.peers.iter().any(|peer| peer.0 == place);
        let state = match (is_me, is_there) {
            (true, _) => badge("good", view.t(t::THIS_NODE)),
            (false, true) => badge("good", view.t(t::CONNECTED)),
            (false, false) => badge("bad", view.t(t::NOT_CONNECTED)),
        };
        let of_link = |value: Option<String>| html! { (value.as_deref().unwrap_or("–")) };
        vec![
            html! { (place) },
            html! {
                (shown::foreign(&member.name))
                @if leader == Some(place) { " " (badge("mark", view.t(t::LEADER))) }
            },
            state,
            html! { (blocks.iter().filter(|block| block.proposer == place).count()) },
            of_link(link.map(|link| shown::micros(link.rtt_us))),
            of_link(link.map(|link| shown::bytes(link.sent_bytes as f64))),
            of_link(link.map(|link| shown::bytes(link.received_bytes as f64))),
            of_link(link.map(|link| shown::grouped(link.lost_packets))),
            of_link(link.map(|link| shown::bytes(link.queued_bytes as f64))),
        ]
    });
    let heads = [
        numbers(t::PLACE),
        words(t::NAME),
        words(t::STATE),
        numbers(t::PROPOSED),
        numbers(t::ROUND_TRIP),
        numbers(t::SENT),
        numbers(t::RECEIVED),
        numbers(t::LOST_PACKETS),
        numbers(t::QUEUED),
    ];
    html! {
        (table(view, view.t(t::VALIDATORS), &heads, rows))
        p.small { (view.fill(t::VALIDATORS_ABOUT, &[&blocks.len().to_string()])) }
    }
}
