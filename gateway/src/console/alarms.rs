//! Alarms: those that there are, those that are over, and what to do about each.

use client::answers::{AlarmAnswer, AlarmKind, Severity};
use maud::{Markup, html};

use super::page::{Page, badge, heading, numbers, table, words};
use super::pulse::Moment;
use super::texts::Text;
use super::{View, shown, texts as t};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// What to do about each alarm.
const RUNBOOK: &str = include_str!("../../../docs/ALARMS.md");

/// What an alarm is called.
fn name(kind: AlarmKind) -> Text {
    match kind {
        AlarmKind::QuorumLost => t::QUORUM_LOST,
        AlarmKind::QuorumAtEdge => t::QUORUM_AT_EDGE,
        AlarmKind::PeerUnreachable => t::PEER_UNREACHABLE,
        AlarmKind::NoCommits => t::NO_COMMITS,
        AlarmKind::Lagging => t::LAGGING,
        AlarmKind::CannotCatchUp => t::CANNOT_CATCH_UP,
        AlarmKind::StreamLost => t::STREAM_LOST,
        AlarmKind::VotesForgotten => t::VOTES_FORGOTTEN,
        AlarmKind::ClonedIdentity => t::CLONED_IDENTITY,
        AlarmKind::DiskFills => t::DISK_FILLS,
        AlarmKind::MemoryLow => t::MEMORY_LOW,
        AlarmKind::DiskRots => t::DISK_ROTS,
        AlarmKind::BackendFallback => t::BACKEND_FALLBACK,
        AlarmKind::CertificateEnds => t::CERTIFICATE_ENDS,
        AlarmKind::DeviceOut => t::DEVICE_OUT,
        AlarmKind::DevicesDecide => t::DEVICES_DECIDE,
    }
}

fn severity(view: &View, of: Severity) -> Markup {
    match of {
        Severity::Critical => badge("bad", view.t(t::CRITICAL)),
        Severity::Warning => badge("warn", view.t(t::WARNING)),
    }
}

/// Whether one of them is critical and rings.
pub(super) fn is_critical(alarms: &[AlarmAnswer]) -> bool {
    alarms.iter().any(|alarm| alarm.severity == Severity::Critical && alarm.silenced.is_none())
}

/// What an alarm says, and that it is silenced, where it is.
fn says(view: &View, alarm: &AlarmAnswer) -> Markup {
    html! {
        span lang="en" { (shown::foreign(&alarm.says)) }
        @if let Some(silence) = &alarm.silenced {
            " (" (view.t(t::SILENCED)) ", " (view.t(t::UNTIL)) " " (shown::time(silence.until.saturating_mul(1_000)))
            ": " (shown::foreign(&silence.reason)) ")"
        }
    }
}

/// The alarms that there are, as a list; nothing where there are none.
pub(super) fn present(view: &View, moment: &Moment) -> Markup {
    let alarms = &moment.sample.status.alarms;
    html! {
        @if !alarms.is_empty() {
            section.alarms aria-label=(view.t(t::ALARMS_NOW)) {
                @for alarm in alarms {
                    p.note.bad[alarm.severity == Severity::Critical] {
                        (severity(view, alarm.severity)) " "
                        a href={ "/alarms/" (alarm.alarm.name()) } { (view.t(name(alarm.alarm))) } " "
                        (says(view, alarm))
                    }
                }
            }
        }
    }
}

pub(super) fn list(gateway: &Gateway, view: &View) -> Result<Page, Failure> {
    let moment = view.moment()?;
    let about = |alarm: &AlarmAnswer| {
        let member = alarm.about.and_then(|about| moment.members.get(usize::from(about.0)));
        html! { @match member { Some(member) => (shown::foreign(&member.name)), None => "–" } }
    };
    let cells = |alarm: &AlarmAnswer| {
        vec![
            html! { a href={ "/alarms/" (alarm.alarm.name()) } { (view.t(name(alarm.alarm))) } },
            severity(view, alarm.severity),
            about(alarm),
            says(view, alarm),
            shown::time(alarm.since.saturating_mul(1_000)),
        ]
    };
    let heads = [words(t::ALARM), words(t::SEVERITY), words(t::ABOUT), words(t::SAYS), words(t::SINCE)];
    let present = moment.sample.status.alarms.iter().map(cells);
    let past = gateway.console.pulse.past();
    let over = past.iter().map(|past| {
        let end = shown::time(past.until.saturating_mul(1_000));
        let lasted = html! { (shown::seconds(past.until.saturating_sub(past.alarm.since))) };
        cells(&past.alarm).into_iter().chain([end, lasted]).collect()
    });
    let past_heads: Vec<_> = heads.into_iter().chain([words(t::UNTIL), numbers(t::LASTED)]).collect();
    let body = html! {
        (heading(view.t(t::ALARMS), Some(view.t(t::ALARMS_ABOUT))))
        @if moment.sample.status.alarms.is_empty() { p.note.good { (view.t(t::NO_ALARMS)) } }
        @else { (table(view, view.t(t::ALARMS_NOW), &heads, present)) }
        (table(view, view.t(t::ALARMS_OVER), &past_heads, over))
        p.small { (view.t(t::ALARMS_OVER_ABOUT)) }
    };
    Ok(Page::live("/alarms", view.t(t::ALARMS), body))
}

pub(super) fn one(view: &View) -> Result<Page, Failure> {
    let named = view.text("alarm").unwrap_or_default();
    let kind = AlarmKind::ALL.iter().copied().find(|kind| kind.name() == named);
    let known = AlarmKind::ALL.iter().map(|kind| kind.name());
    let kind = kind.ok_or_else(|| Failure::unknown(failure::NOT_FOUND, "alarm", named, known))?;
    let title = view.t(name(kind));
    let body = html! {
        (heading(title, None))
        p { code { (kind.name()) } }
        h2 { (view.t(t::WHAT_TO_DO)) }
        p lang="en" { (advice(kind)) }
        p { a href="/alarms" { (view.t(t::ALARMS)) } }
    };
    Ok(Page::fixed("/alarms", title, body))
}

/// What the page of alarms says of one, without its markup.
fn advice(kind: AlarmKind) -> String {
    let heading = format!("## `{}`\n", kind.name());
    let (_, rest) = RUNBOOK.split_once(&heading).unwrap_or(("", RUNBOOK));
    let text = rest.split("\n## ").next().unwrap_or_default().trim().replace('\n', " ");
    let mut plain = String::with_capacity(text.len());
    let mut left = text.as_str();
    // Links become their words.
    while let Some((before, after)) = left.split_once("](") {
        let (text, words) = before.rsplit_once('[').unwrap_or((before, ""));
        plain.extend([text, words]);
        left = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain.push_str(left);
    plain.replace(['`', '*'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_advice_about_every_alarm() {
        for kind in AlarmKind::ALL {
            let advice = advice(*kind);
            assert!((40..1_500).contains(&advice.len()), "{}: {advice}", kind.name());
            assert!(!advice.contains(['`', '#']) && !advice.contains("]("), "{advice}");
        }
        assert!(advice(AlarmKind::QuorumLost).contains("see Too many are gone."));
    }
}
