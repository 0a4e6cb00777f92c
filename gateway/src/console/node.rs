//! The node itself: its machine, its disk, the stages through which transactions go, its certificate.

use std::collections::BTreeMap;

use engine::replica::Stage;
use maud::{Markup, html};

use super::page::{Page, badge, chart, facts, heading, numbers, table, words};
use super::pulse::Moment;
use super::texts::Text;
use super::{View, shown, texts as t};
use crate::failure::Failure;

const DAY: u64 = 86_400;
/// From so many days before its end on a certificate is marked.
const CERTIFICATE_DAYS: u64 = 30;

pub(super) fn page(view: &View) -> Result<Page, Failure> {
    let moment = view.moment()?;
    let gauges = &moment.sample.counted.gauges;
    let bytes = |name: &str| gauges.get(name).map_or_else(|| "–".to_owned(), |value| shown::bytes(*value));
    let body = html! {
        (heading(&shown::plain(&moment.sample.status.name), Some(view.t(t::NODE_ABOUT))))
        (identity(view, moment))
        h2 { (view.t(t::STAGES)) }
        (stages(view, moment))
        div.charts {
            (chart(view, t::MEMORY_OF_PROCESS, &bytes("process_resident_bytes"), &html! { (moment.charts.memory) }))
            (chart(view, t::DISK_FREE, &bytes("disk_free_bytes"), &html! { (moment.charts.disk) }))
        }
        h2 { (view.t(t::MACHINE)) }
        (machine(view, gauges))
        h2 { (view.t(t::JOURNAL)) }
        (journal(view, moment))
        (counts(view, t::REFUSED, &moment.sample.counted.refused))
    };
    Ok(Page::live("/node", view.t(t::NODE), body))
}

fn identity(view: &View, moment: &Moment) -> Markup {
    let (status, now) = (&moment.sample.status, moment.sample.now);
    let role = match status.standing.is_member() {
        true => badge("good", view.t(t::MEMBER)),
        false => badge("warn", view.t(t::FOLLOWS)),
    };
    let certificate = status.certificate_until.map(|until| until.saturating_sub(now) / DAY);
    let certificate = match certificate {
        None => html! { (view.t(t::UNKNOWN)) },
        Some(days) => {
            let tone = if days > CERTIFICATE_DAYS { "good" } else { "bad" };
            badge(tone, &view.fill(t::DAYS, &[&shown::grouped(days)]))
        }
    };
    let votes = match (status.stream_lost, status.votes_forgotten) {
        (false, false) => badge("good", view.t(t::YES)),
        _ => badge("bad", view.t(t::NO)),
    };
    let rules = status.rules.map(|rules| format!("{} ({}–{})", rules.present, rules.first, rules.last));
    facts(
        view,
        [
            (t::ROLE, role),
            (t::PLACE, html! { (status.validator) }),
            (t::EPOCH, html! { (status.standing.epoch) }),
            (t::VOTES, votes),
            (t::RULES, html! { (rules.as_deref().unwrap_or("–")) }),
            (t::CERTIFICATE_LEFT, certificate),
            (t::UPTIME, html! { (shown::seconds(status.uptime_seconds)) }),
            (t::STATE_ROOT, shown::hash(&status.state_root.to_string())),
        ],
    )
}

fn stage_name(stage: Stage) -> Text {
    match stage {
        Stage::Ingress => t::STAGE_INGRESS,
        Stage::Verify => t::STAGE_VERIFY,
        Stage::Mempool => t::STAGE_MEMPOOL,
        Stage::Available => t::STAGE_AVAILABLE,
        Stage::Ordered => t::STAGE_ORDERED,
        Stage::Executed => t::STAGE_EXECUTED,
        Stage::Durable => t::STAGE_DURABLE,
        Stage::Notified => t::STAGE_NOTIFIED,
    }
}

/// The stages as a flow, in the order in which a transaction goes through them.
fn stages(view: &View, moment: &Moment) -> Markup {
    let counted = &moment.sample.counted;
    let of = |stage: Stage| counted.stages_us.get(stage.name());
    let slowest = Stage::ALL.into_iter().filter_map(of).map(|of| of.p99).max().unwrap_or(0).max(1);
    html! {
        ol.flow {
            @for stage in Stage::ALL {
                @let figures = of(stage);
                li {
                    strong { (view.t(stage_name(stage))) }
                    @if let Some(figures) = figures {
                        @let count: u64 = figures.buckets.iter().map(|(_, count)| count).sum();
                        meter min="0" max=(slowest) value=(figures.p99) aria-label=(view.t(t::P99)) {}
                        span { "p50 " (shown::micros(figures.p50)) }
                        span { "p99 " (shown::micros(figures.p99)) }
                        span { (shown::grouped(count)) }
                    } @else { span { "–" } }
                    @if stage == Stage::Mempool {
                        span { (view.t(t::WAITING)) " " (shown::grouped(moment.sample.status.pending)) }
                    }
                }
            }
        }
        p.small { (view.t(t::STAGES_ABOUT)) }
    }
}

fn machine(view: &View, gauges: &BTreeMap<String, f64>) -> Markup {
    let value = |name: &str, shown: fn(f64) -> String| {
        html! { (gauges.get(name).map_or_else(|| "–".to_owned(), |value| shown(*value))) }
    };
    facts(
        view,
        [
            (t::MEMORY_OF_PROCESS, value("process_resident_bytes", shown::bytes)),
            (t::MEMORY_AVAILABLE, value("memory_available_bytes", shown::bytes)),
            (t::MEMORY_TOTAL, value("memory_total_bytes", shown::bytes)),
            (t::THREADS, value("process_threads", |count| shown::grouped(count as u64))),
            (t::DISK_FREE, value("disk_free_bytes", shown::bytes)),
        ],
    )
}

fn journal(view: &View, moment: &Moment) -> Markup {
    let status = &moment.sample.status;
    let scrub = &status.scrub;
    let done = match scrub.of {
        0 => "–".to_owned(),
        of => format!("{} / {}", shown::bytes(scrub.read as f64), shown::bytes(of as f64)),
    };
    let rotten = if scrub.rotten == 0 { "good" } else { "bad" };
    let gauges = &moment.sample.counted.gauges;
    let syncs =
        gauges.get("journal_syncs").map_or_else(|| "–".to_owned(), |count| shown::grouped(*count as u64));
    let segments =
        gauges.get("journal_segments").map_or_else(|| "–".to_owned(), |count| shown::grouped(*count as u64));
    html! {
        (facts(view, [
            (t::BACKEND, html! { (shown::plain(&status.storage)) }),
            (t::ON_THE_DISK, html! { (shown::bytes(status.journal_bytes as f64)) }),
            (t::SEGMENTS, html! { (segments) }),
            (t::SYNCS, html! { (syncs) }),
            (t::KEPT_FROM, html! { (shown::grouped(status.kept_from.0)) }),
            (t::SCRUBBED, html! { (done) " · " (view.fill(t::ROUNDS, &[&scrub.rounds.to_string()])) }),
            (t::UNREADABLE, badge(rotten, &shown::grouped(scrub.rotten))),
            (t::REPAIRED, html! { (shown::grouped(scrub.repaired)) }),
        ]))
        @if let Some(why) = &status.storage_fallback { p.note { span lang="en" { (shown::plain(why)) } } }
        @if let Some(fetching) = &status.fetching {
            p.note {
                (view.t(t::FETCHING)) " " (shown::grouped(fetching.height.0)) ": "
                progress max=(fetching.of) value=(fetching.chunks) {} " " (fetching.chunks) " / " (fetching.of)
            }
        }
    }
}

fn counts(view: &View, caption: Text, counts: &BTreeMap<String, u64>) -> Markup {
    let rows = counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| {
        vec![html! { span lang="en" { (shown::plain(name)) } }, html! { (shown::grouped(*count)) }]
    });
    table(view, view.t(caption), &[words(t::REASON), numbers(t::COUNT)], rows)
}
