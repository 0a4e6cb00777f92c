//! Transactions of several packets, from clients of every kind to the audit.

use client::{Client, Cursor, FeedQuery, Happened, Occurrence};
use engine::limits::{ENVELOPE_PACKETS_MAX, FEED_PACKETS_MAX};
use engine::types::{
    AccountId, Height, Linked, Outcome, Packet, PacketRun, Payment, Payments, Refusal, Transaction, Verdict,
};

use crate::testbed::{CHAIN, PATIENCE, Testbed, expect, wait};

/// Linked transfers of 1 each to the accounts, signed by the payer.
fn linked(testbed: &Testbed, debit: u64, payees: &[u64], memo: &[u8], nonce: u64) -> Transaction {
    let payment = |to: &u64| Payment { to: AccountId(*to), amount: 1 }.encode();
    let encoded: Vec<_> = payees.iter().map(payment).collect();
    let linked = Linked {
        chain: CHAIN,
        key_version: 1,
        reference: [0; 12],
        debit: AccountId(debit),
        payments: Payments::of(&encoded),
        memo,
        nonce,
        expiry: Height(u64::MAX),
    };
    let network = &testbed.network;
    let key = network.client_seed().unwrap().signing_key(CHAIN, AccountId(debit));
    linked.sign(network.genesis.network(), |message| key.sign(message)).unwrap()
}

/// The verdict on each transaction of packets, by the tag of its first packet.
fn told(client: &mut Client, packets: &[Packet]) -> Vec<Verdict> {
    let mut tag = client.submit(packets).unwrap().start;
    let mut tags = Vec::new();
    for run in PacketRun::all(packets) {
        tags.push(tag);
        tag += run.packets().len() as u64;
    }
    let mut notices = Vec::new();
    while notices.len() < tags.len() {
        notices.extend(client.notices(PATIENCE).unwrap());
    }
    notices.sort_by_key(|notice| notice.tag);
    assert_eq!(notices.iter().map(|notice| notice.tag).collect::<Vec<_>>(), tags);
    notices.iter().map(|notice| notice.verdict).collect()
}

#[test]
fn envelopes_and_packets_go_through_together_and_are_told_apart() {
    let mut testbed = Testbed::up(4, 100);
    let network = *testbed.network.genesis.network();
    let wages = linked(&testbed, 7, &(20..60).collect::<Vec<_>>(), b"wages", 0);
    let others = linked(&testbed, 8, &[20, 21], b"", 0);
    let nobody = linked(&testbed, 9, &[20, 5_000], b"", 0);
    let mut forged = linked(&testbed, 10, &[20], b"", 0).bytes().to_vec();
    forged[140] ^= 1;
    let mut endless = *testbed.transfer(11, 0).run().first();
    endless.0[..2].copy_from_slice(&16_u16.to_le_bytes());
    let one_too_many = (ENVELOPE_PACKETS_MAX - 1) * 128 + 1;
    endless.0[32..48].fill(0);
    endless.0[32..36].copy_from_slice(&(one_too_many as u32).to_le_bytes());
    let mut cut_off = *linked(&testbed, 12, &[20], b"", 0).run().first();
    cut_off.0[32..36].copy_from_slice(&1_000_u32.to_le_bytes());
    let all = [
        &[testbed.transfer(5, 0)],
        wages.run().packets(),
        others.run().packets(),
        nobody.run().packets(),
        Packet::slice(&forged),
        &[endless, testbed.transfer(6, 0), cut_off],
    ]
    .concat();
    let expected = [
        Verdict::Committed,
        Verdict::Committed,
        Verdict::Committed,
        Verdict::Refused(Refusal::UnknownAccount),
        Verdict::Refused(Refusal::BadSignature),
        Verdict::Refused(Refusal::Malformed),
        Verdict::Committed,
        Verdict::Refused(Refusal::Malformed),
    ];
    assert_eq!(told(&mut testbed.client(0), &all), expected);
    testbed.settle();
    // The same bytes elsewhere get the same verdicts; with another nonce's content they are another transaction.
    let other = linked(&testbed, 7, &[99], b"wages", 0);
    for validator in [1, 3] {
        let mut client = testbed.client(validator);
        assert_eq!(told(&mut client, wages.run().packets()), [Verdict::Committed]);
        assert_eq!(told(&mut client, other.run().packets()), [Verdict::Refused(Refusal::Replayed)]);
    }
    let mut client = testbed.client(2);
    let found = client.transaction(Some(CHAIN), &wages.id(&network)).unwrap().value;
    assert_eq!((found.signed, found.transaction.outcome), (wages.clone(), Outcome::Applied));
    let balance =
        |client: &mut Client, account| client.account(CHAIN, AccountId(account)).unwrap().value.proof.balance;
    assert_eq!((balance(&mut client, 7), balance(&mut client, 59)), (1_000_000 - 40 + 5, 1_000_001));

    // After a kill of everybody the answer is the same, and so is the audit.
    (0..4).for_each(|index| testbed.kill(index));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    assert_eq!(told(&mut testbed.client(2), wages.run().packets()), [Verdict::Committed]);
    testbed.stop_all();
    for member in &testbed.network.members {
        expect(0, &["verify", member.data().to_str().unwrap()]);
    }
}

#[test]
fn a_feed_of_large_envelopes_comes_in_parts_and_names_who_was_paid() {
    let testbed = Testbed::up(4, 100);
    let payees = vec![30; 990];
    let large: Vec<_> = (0..40).map(|nonce| linked(&testbed, 7, &payees, b"", nonce)).collect();
    let packets: Vec<Packet> = large.iter().flat_map(|one| one.run().packets()).copied().collect();
    assert!(packets.len() > 2 * FEED_PACKETS_MAX, "{}", packets.len());
    let mut client = testbed.client(0);
    let verdicts = told(&mut client, &packets);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Committed), "{verdicts:?}");
    let mut query = FeedQuery {
        chain: CHAIN,
        from: Cursor::START,
        account: Some(AccountId(30)),
        reference: None,
        max: 1_000,
    };
    let (mut events, mut answers) = (Vec::new(), 0);
    wait("all events have been told", || {
        let answer = client.feed(&query).unwrap().value;
        query.from = answer.next;
        answers += usize::from(!answer.events.is_empty());
        events.extend(answer.events);
        events.len() == large.len()
    });
    assert!(answers >= 3, "{answers}");
    let is_large = |event: &Happened| match &event.what {
        Occurrence::Transaction { signed, .. } => large.contains(signed),
        Occurrence::Effect(_) => false,
    };
    assert!(events.iter().all(is_large));
    let nobody = FeedQuery { from: Cursor::START, account: Some(AccountId(31)), ..query };
    assert!(client.feed(&nobody).unwrap().value.events.is_empty());
}

#[test]
fn the_command_line_pays_many_and_says_what_is_wrong_with_a_file() {
    let testbed = Testbed::up(1, 100);
    let dir = testbed.path().to_str().unwrap();
    let file = testbed.path().join("payments.csv");
    let file = file.to_str().unwrap();
    let pay = |code: i32, more: &[&str]| {
        let all = [&["transfer", "--network", dir, "--from", "1:7"], more].concat();
        expect(code, &all)
    };
    std::fs::write(file, "10,300\n# and\n11,250\n").unwrap();
    let (text, _) = pay(0, &["--payments", file, "--memo", "wages\u{1b}[2J"]);
    assert!(text.contains("2 linked payments, 550 in all, from account 7, memo 77616765731b"), "{text}");
    let (text, _) = pay(0, &["--to", "1:12", "--amount", "5", "--memo", "rent of May"]);
    assert!(text.contains("5 from account 7 to account 12, memo \"rent of May\""), "{text}");
    let (text, _) = pay(0, &["--payments", file, "--memo-hash", &"ab".repeat(32), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["committed"], &json["linked"]["total"]), (&true.into(), &"550".into()));
    assert_eq!(json["linked"]["payments"][1], serde_json::json!({ "credit": 11, "amount": 250 }));
    assert_eq!(json["linked"]["memo"], "ab".repeat(32));
    let signed = testbed.path().join("signed.json");
    let signed = signed.to_str().unwrap();
    pay(0, &["--payments", file, "--nonce", "9", "--expiry", "100000", "--offline", signed]);
    for _ in 0..2 {
        let (text, _) = expect(0, &["submit", signed, "--network", dir]);
        assert!(text.contains("committed"), "{text}");
    }
    let (text, _) = expect(0, &["query", "--network", dir, "account", "1", "11"]);
    assert!(text.contains("1,000,750"), "{text}");

    std::fs::write(file, "10,300\n11;250\n").unwrap();
    let (_, error) = pay(2, &["--payments", file]);
    assert!(error.contains("line 2") && error.contains("such as"), "{error}");
    // What cannot be counted in 64 bits fails, and is shown all the same by everything that prints it.
    std::fs::write(file, format!("10,{0}\n11,{0}\n", u64::MAX)).unwrap();
    let (text, _) = pay(1, &["--payments", file, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["linked"]["total"], "36893488147419103230");
    let id = json["id"].as_str().unwrap();
    let (text, _) = expect(0, &["query", "--network", dir, "transaction", id]);
    assert!(text.contains("insufficient balance") && text.contains("to account 11"), "{text}");
    expect(0, &["query", "--network", dir, "transaction", id, "--json"]);
    expect(0, &["query", "--network", dir, "feed", "1", "--json"]);
    let (text, _) = expect(0, &["query", "--network", dir, "history", "1", "11"]);
    assert!(
        text.contains("550 in all, from account 7, memo") && text.contains("(250 of it to this account)"),
        "{text}"
    );
    let (_, error) = pay(2, &["--to", "1:12", "--amount", "5", "--memo", &"m".repeat(257)]);
    assert!(error.contains("at most 256 bytes") && error.contains("--memo-hash"), "{error}");
    let (_, error) = pay(2, &["--to", "2:12", "--amount", "5", "--memo", "m"]);
    assert!(error.contains("takes no memo"), "{error}");
    for wrong in [
        &["--to", "1:12"][..],
        &["--amount", "5"],
        &[],
        &["--payments", file, "--to", "1:12", "--amount", "5"],
    ] {
        pay(2, wrong);
    }
    std::fs::write(file, "10,1\n5000,1\n").unwrap();
    let (text, _) = pay(1, &["--payments", file]);
    assert!(
        text.contains("unknown account") && text.contains("line 2: chain 1 has no account 5000"),
        "{text}"
    );
}
