//! The links of the whole network, as a matrix: this node's own from its moment, and those of the others by their word.
//!
//! ```text
//! somebody looks ─▶ every EVERY: each other validator whose address is known ── Counters, over the client protocol ─▶ row
//! ```
//!
//! Invariants: each other validator is asked by this gateway at most once every [`EVERY`], however many look, and not
//! at all while nobody does; one that does not answer within [`PATIENCE`] has no row; a row is what its validator says,
//! and nobody checks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Address, Event, Fingerprint, Query};
use engine::types::{Digest, Member};
use futures_util::future::join_all;
use maud::{Markup, html};
use tokio::time::{Instant, sleep, timeout};

use super::pulse::Moment;
use super::{View, shown, texts as t};
use crate::gateway::Gateway;
use crate::host::{Host as _, Talk};
use crate::metrics::{Counted, Link};
use crate::remote::Remote;

/// How often the others are asked while somebody looks.
const EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How old a row may be to be shown.
const AGE_MAX: Duration = Duration::from_secs(20);

/// The links of one validator, and when it named them.
type Row = (Instant, Vec<Link>);

/// What the others have said last, by their places.
#[derive(Default)]
pub(super) struct Matrix(Mutex<BTreeMap<u16, Row>>);

/// Asks the others until the gateway ends.
pub async fn run(gateway: Arc<Gateway>) {
    loop {
        let moment = gateway.console.pulse.looked_at(&gateway).then(|| gateway.console.pulse.now()).flatten();
        let Some(moment) = moment else {
            sleep(PAUSE).await;
            continue;
        };
        let network = moment.sample.status.network;
        let others = others(&gateway, &moment);
        join_all(others.into_iter().map(|(place, address, fingerprint)| {
            let rows = &gateway.console.matrix.0;
            async move {
                let links = timeout(PATIENCE, asked(address, fingerprint, network)).await.ok().flatten();
                if let Some(links) = links {
                    rows.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(place, (Instant::now(), links));
                }
            }
        }))
        .await;
        sleep(EVERY).await;
    }
}

/// The places, addresses and certificates of the others, where their addresses are known.
fn others(gateway: &Gateway, moment: &Moment) -> Vec<(u16, Address, Fingerprint)> {
    let me = own_place(moment);
    let of = |(place, member): (usize, &Member)| {
        let place = u16::try_from(place).ok().filter(|place| Some(*place) != me)?;
        let known = &gateway.settings.others;
        let listed = known.iter().find(|(fingerprint, _)| *fingerprint == member.certificate_fingerprint);
        let address = listed.map(|(_, address)| address.clone());
        let address = address.or_else(|| member.client_address.parse().ok())?;
        Some((place, address, Fingerprint(member.certificate_fingerprint)))
    };
    moment.members.iter().enumerate().filter_map(of).collect()
}

/// The place of the node, if it is a member.
fn own_place(moment: &Moment) -> Option<u16> {
    let status = &moment.sample.status;
    status.standing.is_member().then_some(status.validator.0)
}

/// What a validator says of its links, over a connection of its own.
async fn asked(address: Address, fingerprint: Fingerprint, network: Digest) -> Option<Vec<Link>> {
    let Talk { mut speak, mut listen, .. } = Remote { address, fingerprint, network }.open().await.ok()?;
    speak.ask(vec![(0, Query::Counters)]).await.ok()?;
    loop {
        if let Event::Answer(answer) = listen.next().await.ok()? {
            return serde_json::from_slice::<Counted>(&answer.body).ok().map(|counted| counted.links);
        }
    }
}

/// A cell of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// The validator itself.
    Itself,
    /// Its validator was not asked, or has not answered.
    Unknown,
    /// There is no connection.
    Down,
    /// Microseconds of a round trip.
    Up(u64),
}

/// The rows for so many validators: what `me` says of its links, and what the others have said since `since`.
fn cells(
    count: u16,
    me: Option<(u16, &[Link])>,
    said: &BTreeMap<u16, Row>,
    since: Instant,
) -> Vec<Vec<Cell>> {
    let row = |from: u16| {
        let own = me.filter(|(place, _)| *place == from).map(|(_, links)| links);
        let told = said.get(&from).filter(|(at, _)| *at >= since).map(|(_, links)| links.as_slice());
        let links = own.or(told);
        let cell = |to: u16| match links {
            _ if to == from => Cell::Itself,
            None => Cell::Unknown,
            Some(links) => match links.iter().find(|link| link.peer == to && link.connected) {
                Some(link) => Cell::Up(link.rtt_us),
                None => Cell::Down,
            },
        };
        (0..count).map(cell).collect()
    };
    (0..count).map(row).collect()
}

/// The matrix as a table.
pub(super) fn table(gateway: &Gateway, view: &View, moment: &Moment) -> Markup {
    let count = moment.members.len() as u16;
    let me = own_place(moment).map(|place| (place, moment.sample.counted.links.as_slice()));
    let now = Instant::now();
    let rows = {
        let said = gateway.console.matrix.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells(count, me, &said, now.checked_sub(AGE_MAX).unwrap_or(now))
    };
    let caption = view.t(t::LINKS);
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table.matrix {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { (view.t(t::FROM_TO)) }
                        @for to in 0..count { th.n scope="col" { (to) } }
                    }
                }
                tbody {
                    @for (from, row) in rows.iter().enumerate() {
                        tr {
                            th scope="row" { (from) " " (shown::foreign(&moment.members[from].name)) }
                            @for cell in row { (drawn(view, *cell)) }
                        }
                    }
                }
            }
        }
        p.small { (view.t(t::LINKS_ABOUT)) }
    }
}

fn drawn(view: &View, cell: Cell) -> Markup {
    match cell {
        Cell::Itself => html! { td.n { "–" } },
        Cell::Unknown => {
            html! { td.n { span.none title=(view.t(t::NOT_ASKED)) aria-label=(view.t(t::NOT_ASKED)) { "?" } } }
        }
        Cell::Down => html! {
            td.n { span.badge.bad title=(view.t(t::NOT_CONNECTED)) aria-label=(view.t(t::NOT_CONNECTED)) { "×" } }
        },
        Cell::Up(us) => html! { td.n { (shown::micros(us)) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(peer: u16, connected: bool, rtt_us: u64) -> Link {
        Link { peer, connected, rtt_us, ..Link::default() }
    }

    #[test]
    fn each_row_is_by_the_word_of_its_validator_and_old_words_are_not_shown() {
        let now = Instant::now();
        let old = now - Duration::from_secs(1);
        let mine = [link(0, true, 70), link(2, false, 9)];
        let said = BTreeMap::from([
            (0, (now, vec![link(1, true, 80), link(2, true, 90)])),
            (2, (old, vec![link(0, true, 1), link(1, true, 1)])),
            (3, (now, Vec::new())),
        ]);
        use Cell::{Down, Itself, Unknown, Up};
        let expected = [
            [Itself, Up(80), Up(90), Down],
            [Up(70), Itself, Down, Down],
            [Unknown, Unknown, Itself, Unknown],
            [Down, Down, Down, Itself],
        ];
        assert_eq!(cells(4, Some((1, &mine)), &said, now), expected);
        // Who follows has no row of its own.
        assert_eq!(cells(2, None, &BTreeMap::new(), now), [[Itself, Unknown], [Unknown, Itself]]);
    }
}
