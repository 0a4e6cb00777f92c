//! What happened on a chain, asked from a cursor on; and the same bytes, submitted twice.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use client::{Cursor, FeedQuery, Happening, Occurrence};
use engine::types::{AccountId, Outcome, Packet, Refusal, Transfer, Verdict};
use serde_json::Value;

use crate::testbed::{CHAIN, MILLRACE, Testbed, expect, verdicts, wait};

#[test]
fn the_same_bytes_get_the_same_verdict_again_from_every_validator() {
    let mut testbed = Testbed::up(4, 100);
    let sent: Vec<Packet> = (0..3).map(|nonce| testbed.transfer(7, nonce)).collect();
    let too_much = testbed.transfer(8, 0).run().transfer().unwrap();
    let too_much = testbed.signed(&Transfer { amount: 10_000_000, ..too_much });
    let all = [sent[0], sent[1], sent[2], too_much];
    let mut first = testbed.client(1);
    let told = verdicts(&mut first, &all);
    let failed = Verdict::Failed(Outcome::InsufficientBalance);
    assert_eq!(told, [Verdict::Committed, Verdict::Committed, Verdict::Committed, failed]);
    testbed.settle();
    for validator in 0..4 {
        assert_eq!(verdicts(&mut testbed.client(validator), &all), told, "validator {validator}");
    }
    // Other bytes with the same nonce are another transaction, and so is another signature.
    let other = testbed.transfer(7, 0).run().transfer().unwrap();
    let other = testbed.signed(&Transfer { amount: 6, ..other });
    let mut unsigned = sent[0];
    unsigned.0[127] ^= 1;
    let replayed = Verdict::Refused(Refusal::Replayed);
    assert_eq!(verdicts(&mut first, &[other, unsigned]), [replayed, replayed]);
    // What was known before a restart is known after it.
    testbed.kill(2);
    testbed.spawn(2);
    testbed.ready();
    assert_eq!(verdicts(&mut testbed.client(2), &all), told);
    testbed.all_alive();
}

#[test]
fn the_same_bytes_at_two_validators_at_once_get_one_verdict() {
    let testbed = Testbed::up(4, 100);
    let mut clients = [testbed.client(0), testbed.client(1)];
    let bytes: Vec<Packet> = (0..40).map(|debit| testbed.transfer(debit, 0)).collect();
    let tags = clients.each_mut().map(|client| client.submit(&bytes).unwrap());
    for (client, tags) in clients.iter_mut().zip(tags) {
        let mut told = Vec::new();
        while told.len() < bytes.len() {
            told.extend(client.notices(Duration::from_secs(30)).unwrap());
        }
        assert!(told.iter().all(|notice| tags.contains(&notice.tag)));
        assert!(told.iter().all(|notice| notice.verdict == Verdict::Committed), "{told:?}");
    }
    // A replay of other bytes with the same nonce is still a failure: one of the two takes it, by the order.
    let other = |amount| {
        let transfer = testbed.transfer(50, 0).run().transfer().unwrap();
        testbed.signed(&Transfer { amount, ..transfer })
    };
    for (client, amount) in clients.iter_mut().zip([1, 2]) {
        client.submit(&[other(amount)]).unwrap();
    }
    let told = clients.each_mut().map(|client| client.notices(Duration::from_secs(30)).unwrap()[0].verdict);
    let replayed = [Verdict::Failed(Outcome::Replayed), Verdict::Refused(Refusal::Replayed)];
    let (good, bad): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| *told == Verdict::Committed);
    assert_eq!(good.len(), 1, "{bad:?}");
    assert!(replayed.contains(&bad[0]), "{bad:?}");
}

#[test]
fn a_feed_goes_on_where_it_was_with_whatever_validator_answers() {
    let mut testbed = Testbed::up(4, 100);
    let dir = testbed.path().to_str().unwrap().to_owned();
    let packets: Vec<Packet> = (0..5).map(|nonce| testbed.transfer(7, nonce)).collect();
    verdicts(&mut testbed.client(0), &packets[..3]);
    testbed.settle();

    let ids: Vec<String> =
        packets.iter().map(|packet| packet.id(testbed.network.genesis.network()).to_string()).collect();
    let query = |code: i32, arguments: &[&str]| {
        let all: Vec<&str> = ["query", "--network", &dir].iter().chain(arguments).copied().collect();
        expect(code, &all)
    };
    let lines = |arguments: &[&str]| -> Vec<Value> {
        query(0, arguments).0.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let events = lines(&["feed", "1", "--json"]);
    let [one, two, three, end] = &events[..] else { panic!("{events:?}") };
    for (event, id) in [one, two, three].into_iter().zip(&ids) {
        assert_eq!((&event["id"], &event["happening"]["outcome"]), (&json(id), &json("applied")));
    }
    // The cursor of one validator, given to another one.
    let next = two["at"].as_str().unwrap();
    let rest = lines(&["--validator", "3", "feed", "1", "--from", next, "--limit", "1", "--json"]);
    assert_eq!((rest.len(), &rest[0]["id"]), (2, &two["id"]));
    let from = rest[1]["next"].as_str().unwrap();
    assert_eq!(lines(&["feed", "1", "--from", from, "--json"])[0]["id"], three["id"]);
    let nothing = lines(&["feed", "1", "--from", end["next"].as_str().unwrap(), "--json"]);
    assert_eq!(nothing.len(), 1);
    let (history, _) = query(0, &["history", "1", "8"]);
    assert!(history.contains("applied: 5 from account 7 to account 8; "), "{history}");
    assert!(history.lines().last().unwrap().contains("go on with --from"), "{history}");
    assert_eq!(lines(&["history", "1", "9", "--json"]).len(), 1);
    assert_eq!(lines(&["history", "1", "7", "--reference", "rent", "--json"]).len(), 1);
    let (_, error) = query(1, &["feed", "5"]);
    assert!(error.contains("the network has no chain 5"), "{error}");
    let (_, error) = query(2, &["feed", "1", "--from", "12"]);
    assert!(error.contains("a height and a place"), "{error}");
    let (_, error) = query(2, &["feed", "1", "--reference", "thirteen bytes"]);
    assert!(error.contains("at most 12 bytes"), "{error}");

    // One that follows sees each event once, although its validator goes.
    // A shell that has started the tests in the background has them ignore Ctrl-C.
    let mut following = Command::new("env")
        .args([
            "--default-signal=INT",
            MILLRACE,
            "query",
            "--network",
            &dir,
            "feed",
            "1",
            "--follow",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut followed = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&followed.next().unwrap().unwrap()).unwrap() };
    (0..3).for_each(|at| assert_eq!(next()["id"], json(&ids[at])));
    testbed.kill(0);
    verdicts(&mut testbed.client(2), &packets[3..]);
    assert_eq!([next()["id"].clone(), next()["id"].clone()], [json(&ids[3]), json(&ids[4])]);
    // Ctrl-C ends it, and it says where to go on: behind all five.
    let id = following.id().to_string();
    let printed = lines(&["feed", "1", "--json"]);
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(following.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    following.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let (_, on) = said.trim_end().rsplit_once("stopped by a signal; go on with --from ").expect("the cursor");
    let behind: Cursor = on.parse().unwrap();
    let last: Cursor = printed[printed.len() - 2]["at"].as_str().unwrap().parse().unwrap();
    assert!(behind > last, "{said}");
    let nothing = lines(&["--validator", "2", "feed", "1", "--from", on, "--json"]);
    assert_eq!(nothing.len(), 1, "{nothing:?}");
    // One that ignores Ctrl-C goes on after it, and takes SIGTERM.
    let follow = ["query", "--network", &dir, "--validator", "2", "feed", "1", "--follow", "--json"];
    let mut ignoring = Command::new("env")
        .args([&["--ignore-signal=INT", MILLRACE], &follow[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines_of = BufReader::new(ignoring.stdout.take().unwrap()).lines();
    assert!(lines_of.next().is_some());
    let id = ignoring.id().to_string();
    for signal in ["-INT", "-TERM"] {
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(ignoring.wait().unwrap().code(), Some(143));
    let (_, note) = query(0, &["--validator", "2", "feed", "1", "--from", "99999999.0"]);
    assert!(note.contains("--from 99999999.0 is above all that this validator has"), "{note}");

    let mut client = testbed.client(1);
    let feed = FeedQuery {
        chain: CHAIN,
        from: Cursor::START,
        account: Some(AccountId(7)),
        reference: None,
        max: 1_000,
    };
    wait("validator 1 has all five", || client.feed(&feed).unwrap().value.events.len() == 5);
    let events = client.feed(&feed).unwrap().value.events;
    for (event, packet) in events.iter().zip(&packets) {
        let Occurrence::Transaction { happening, signed, .. } = &event.what else { panic!("{event:?}") };
        assert_eq!(signed.run().packets(), [*packet]);
        assert_eq!(*happening, Happening::Executed { outcome: Outcome::Applied });
    }
}

fn json(text: &str) -> Value {
    Value::from(text)
}
