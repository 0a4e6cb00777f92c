use client::answers::AlarmAnswer;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::*;
use crate::network::{InitOptions, init};

/// A status as a validator tells it.
fn status(height: u64, alarms: &[AlarmAnswer]) -> (AsOf, StatusAnswer) {
    let digest = "00".repeat(32);
    let status = json!({
        "network": digest, "network_name": "mill", "validator": 0, "name": "alder", "epoch": 2, "role": "member",
        "committed": height, "finalized": height, "state_root": digest, "stream_lost": false, "votes_forgotten": false,
        "kept_from": 1, "journal_bytes": 0, "peers": [1, 2], "pending": 17, "storage": "uring", "alarms": alarms,
        "uptime_seconds": 5,
    });
    let as_of: AsOf = serde_json::from_value(json!({ "height": height, "behind": 3 })).unwrap();
    (as_of, serde_json::from_value(status).unwrap())
}

fn alarm(severity: Severity, says: &str) -> AlarmAnswer {
    let alarm = client::answers::AlarmKind::DiskFills;
    AlarmAnswer { alarm, severity, about: None, since: 1, says: says.to_owned(), silenced: None }
}

/// What stands on a terminal of this size.
fn drawn(page: &Page, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| page.draw(frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_page_has_each_validator_and_each_alarm_and_no_letter_that_steers() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), &InitOptions { validators: 4, ..InitOptions::default() }).unwrap();
    let mut page = Page::new("mill\u{1b}[2J", &network.members);
    let told = |place, seconds, said| Told { place, at: Duration::from_secs(seconds), said };
    assert!(drawn(&page, (120, 30)).contains("0 of 4 validators answer"));
    page.take(told(0, 1, Ok(status(100, &[]))));
    page.take(told(0, 3, Ok(status(125, &[alarm(Severity::Warning, "so\u{1b}[31m full")]))));
    page.take(told(1, 3, Ok(status(120, &[alarm(Severity::Critical, "the disk is full")]))));
    page.take(told(2, 3, Err("nothing listens".to_owned())));
    let text = drawn(&page, (120, 30));
    for has in [
        "height 125  epoch 2  2 of 4 validators answer",
        "12.5",
        "17",
        "being asked",
        "cannot be reached: nothing listens",
        "disk_fills: the disk is full",
    ] {
        assert!(text.contains(has), "{has:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let place = |words: &str| text.find(words).unwrap();
    assert!(place("the disk is full") < place("so\\u{1b}"), "the worst ones stand first:\n{text}");
    // One that is silenced is shown, and its validator does not look as if it rang.
    let silence = client::answers::SilenceAnswer { until: 9, reason: "moved".to_owned() };
    let silenced = AlarmAnswer { silenced: Some(silence), ..alarm(Severity::Critical, "the disk is full") };
    page.take(told(1, 4, Ok(status(121, &[silenced]))));
    let text = drawn(&page, (120, 30));
    assert!(text.contains("the disk is full (silenced)"), "{text}");
    // A validator that was rebuilt begins below: there is no rate then.
    page.take(told(0, 4, Ok(status(7, &[]))));
    assert!(page.seen[0].rate.is_none());
    // No terminal is too small.
    for size in [(1, 1), (20, 4), (300, 100)] {
        drawn(&page, size);
    }
}

#[test]
fn it_ends_when_somebody_has_had_enough() {
    let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
    assert!(ends(&key(KeyCode::Char('q'), KeyModifiers::NONE)));
    assert!(ends(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(!ends(&key(KeyCode::Char('c'), KeyModifiers::NONE)));
    assert!(!ends(&Event::Resize(80, 24)));
}
