//! Fingerprints of documents: registered, superseded, revoked, asked for and proved.

use std::fs;

use client::{Client, ClientError};
use engine::types::{
    AccountId, Asset, Attest, ChainId, ChainKind, Data, DataSummary, Digest, Fingerprint, Height, Link,
    Outcome, Refusal, Registration, Registrations, Revoke, Roles, Status, Transaction, Verdict,
};
use node::network::{ChainDraft, InitOptions};

use crate::testbed::{CHAIN, PATIENCE, Testbed, expect};

/// The chain that takes fingerprints; [`CHAIN`] has money.
const REGISTER: ChainId = ChainId(2);

/// Validators, a chain of transfers, and one of attestations with room for 20.
fn testbed(validators: u16) -> Testbed {
    let mut chains = ChainDraft::alike(2, 100, 1_000_000);
    chains[1] = ChainDraft {
        kind: ChainKind::Attestations,
        asset: Asset::NONE,
        roles: Roles { freezer: Some(AccountId(1)), attestations_cap: 20, ..Roles::default() },
        balance: 0,
        ..chains[1]
    };
    let mut testbed = Testbed::with(&InitOptions { validators, chains, ..InitOptions::default() });
    (0..validators.into()).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

fn print(of: u8) -> Fingerprint {
    Fingerprint(std::array::from_fn(|at| if at == 0 { of.wrapping_mul(91) } else { of }))
}

fn plain(of: u8) -> Registration<'static> {
    Registration { fingerprint: print(of), kind: 3, link: Link::None, data: Data::None }
}

/// Registrations on a chain, signed by the account.
fn attest(
    testbed: &Testbed,
    (chain, owner): (ChainId, u64),
    registrations: &[Registration<'_>],
    nonce: u64,
) -> Transaction {
    let mut encoded = Vec::new();
    registrations.iter().for_each(|one| one.encode(&mut encoded).unwrap());
    let attest = Attest {
        chain,
        key_version: 1,
        reference: *b"notary      ",
        owner: AccountId(owner),
        registrations: Registrations::read(registrations.len(), &encoded).unwrap(),
        nonce,
        expiry: Height(u64::MAX),
    };
    let key = testbed.network.client_seed().unwrap().signing_key(chain, AccountId(owner));
    attest.sign(testbed.network.genesis.network(), |message| key.sign(message)).unwrap()
}

fn revoke(testbed: &Testbed, owner: u64, of: &[u8], nonce: u64) -> Transaction {
    let fingerprints: Vec<_> = of.iter().map(|of| print(*of).0).collect();
    let revoke = Revoke {
        chain: REGISTER,
        key_version: 1,
        reference: [0; 12],
        owner: AccountId(owner),
        reason: 4,
        fingerprints: &fingerprints,
        nonce,
        expiry: Height(u64::MAX),
    };
    let key = testbed.network.client_seed().unwrap().signing_key(REGISTER, AccountId(owner));
    revoke.sign(testbed.network.genesis.network(), |message| key.sign(message)).unwrap()
}

/// What a validator says of one transaction.
fn told(client: &mut Client, transaction: &Transaction) -> Verdict {
    let tag = client.submit(transaction.run().packets()).unwrap().start;
    let notices = client.notices(PATIENCE).unwrap();
    assert_eq!(notices.iter().map(|notice| notice.tag).collect::<Vec<_>>(), [tag]);
    notices[0].verdict
}

#[test]
fn a_fingerprint_is_registered_once_by_whomever_it_is_tried_and_known_after_a_power_cut() {
    let mut testbed = testbed(4);
    let mut client = testbed.client(0);
    let data = [7; 200];
    let first = attest(
        &testbed,
        (REGISTER, 7),
        &[plain(1), Registration { data: Data::Inline(&data), ..plain(2) }],
        0,
    );
    assert_eq!(told(&mut client, &first), Verdict::Committed);
    let failed = |outcome| Verdict::Failed(outcome);
    let again = attest(&testbed, (REGISTER, 8), &[plain(3), plain(2)], 0);
    assert_eq!(told(&mut testbed.client(1), &again), failed(Outcome::FingerprintTaken));
    let other =
        attest(&testbed, (REGISTER, 8), &[Registration { link: Link::Supersedes(print(1)), ..plain(3) }], 1);
    assert_eq!(told(&mut testbed.client(2), &other), failed(Outcome::OtherOwner));
    let unknown =
        attest(&testbed, (REGISTER, 8), &[Registration { link: Link::RefersTo(print(9)), ..plain(3) }], 2);
    assert_eq!(told(&mut client, &unknown), failed(Outcome::UnknownFingerprint));
    let better =
        attest(&testbed, (REGISTER, 7), &[Registration { link: Link::Supersedes(print(1)), ..plain(3) }], 1);
    assert_eq!(told(&mut client, &better), Verdict::Committed);
    assert_eq!(told(&mut testbed.client(3), &revoke(&testbed, 7, &[3, 1], 2)), failed(Outcome::NotInForce));
    assert_eq!(told(&mut client, &revoke(&testbed, 7, &[3], 3)), Verdict::Committed);
    let many: Vec<_> = (20..38).map(plain).collect();
    assert_eq!(told(&mut client, &attest(&testbed, (REGISTER, 9), &many, 0)), failed(Outcome::ChainFull));

    // The wrong kind of chain is refused at the door.
    let refused = Verdict::Refused(Refusal::OtherKind);
    assert_eq!(told(&mut client, &attest(&testbed, (CHAIN, 7), &[plain(5)], 0)), refused);
    let pay = testbed.transfer(5, 0).run().transfer().unwrap();
    let across = engine::types::Transfer { credit_chain: Some(REGISTER), ..pay };
    assert_eq!(told(&mut client, &testbed.signed(&across).run().transaction().unwrap()), refused);
    let within = engine::types::Transfer { chain: REGISTER, ..pay };
    let key = testbed.network.client_seed().unwrap().signing_key(REGISTER, AccountId(5));
    let within = within.sign(testbed.network.genesis.network(), |message| key.sign(message));
    assert_eq!(told(&mut client, &within.run().transaction().unwrap()), refused);

    let check = |testbed: &Testbed, validator: usize| {
        let mut client = testbed.client(validator);
        let mut of = |of| client.attestation(REGISTER, &print(of)).unwrap().value;
        let [one, two, three, nine] = [1, 2, 3, 9].map(&mut of);
        assert_eq!(one.attestation.map(|of| (of.status, of.later)), Some((Status::Superseded, print(3))));
        let id = first.id(testbed.network.genesis.network());
        assert_eq!((two.transaction, two.data), (Some(id), Some(data.to_vec())));
        let hash = Digest(kernels::sha2::sha256(&data));
        assert_eq!(two.attestation.unwrap().data, DataSummary::Inline(200, hash));
        let three = three.attestation.unwrap();
        assert_eq!((three.status, three.reason, three.owner), (Status::Revoked, 4, AccountId(7)));
        assert!(three.follows(&print(3), one.attestation.unwrap().history));
        assert_eq!((nine.attestation, nine.transaction), (None, None));
        assert!(matches!(client.attestation(CHAIN, &print(1)), Err(ClientError::NotFound { .. })));
        assert!(matches!(client.attestation(ChainId(9), &print(1)), Err(ClientError::NotFound { .. })));
    };
    testbed.settle();
    check(&testbed, 3);
    (0..4).for_each(|index| testbed.kill(index));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    (0..4).for_each(|validator| check(&testbed, validator));
    assert_eq!(told(&mut testbed.client(2), &first), Verdict::Committed, "the first verdict");
    testbed.stop_all();
    for member in &testbed.network.members {
        let (text, _) = expect(0, &["verify", member.data().to_str().unwrap()]);
        assert!(text.contains("fingerprints registered"), "{text}");
    }
}

#[test]
fn the_command_line_registers_files_and_a_stranger_checks_what_is_said_of_them() {
    let testbed = testbed(1);
    let dir = testbed.path().to_str().unwrap();
    let file = |name: &str| testbed.path().join(name).to_str().unwrap().to_owned();
    let [contract, better, absent, proof, signed] =
        ["contract.txt", "better.txt", "absent.txt", "a.proof", "signed.json"].map(file);
    for (file, text) in [(&contract, "one"), (&better, "two"), (&absent, "three")] {
        fs::write(file, text).unwrap();
    }
    let attest = |code: i32, more: &[&str]| {
        expect(code, &[&["attest", "--network", dir, "--by", "2:7"], more].concat())
    };
    let ask = |code: i32, more: &[&str]| {
        expect(code, &[&["query", "--network", dir, "attestation", "2"], more].concat())
    };
    let (text, _) = attest(0, &[&contract, "--type", "9", "--data", "lot 42"]);
    assert!(text.contains("registered by account 7"), "{text}");
    let (text, _) = attest(1, &[&contract]);
    assert!(text.contains("fingerprint registered already"), "{text}");
    let (text, _) = ask(0, &["--file", &contract]);
    for words in ["in force", "account 7", "\"lot 42\" (6 bytes)", "a path leads to this state root"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (text, _) = ask(1, &["--file", &absent]);
    assert!(text.contains("is not registered on chain 2"), "{text}");
    let (text, _) = ask(1, &["--file", &absent, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["found"], &json["answer"]["registered"]), (&false.into(), &false.into()));

    let fingerprint = hex::encode(kernels::sha2::sha256(b"one"));
    attest(0, &[&better, "--supersedes", &fingerprint, "--data-hash", &"ab".repeat(32)]);
    let (text, _) = ask(0, &["--file", &better, "--history"]);
    assert!(text.contains("2 attestation(s)") && text.contains("superseded at height"), "{text}");
    let (text, _) = ask(0, &["--file", &better, "--history", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["answer"]["history"][0]["supersedes"], fingerprint);
    assert_eq!(json["answer"]["history"][1]["type"], 9);

    // Signed on another machine, submitted here.
    let offline = ["--nonce", "40", "--expiry", "100000", "--offline", &signed];
    let hashes = ["--hash", &"cd".repeat(32), "--hash", &"ef".repeat(32)];
    attest(0, &[&hashes[..], &offline].concat());
    let (text, _) = expect(0, &["submit", &signed, "--network", dir]);
    assert!(text.contains("2 fingerprints, registered by account 7"), "{text}");
    let (text, _) = expect(0, &["query", "--network", dir, "history", "2", "7", "--json"]);
    assert!(text.contains("registrations"), "{text}");

    let header = file("genesis.header");
    for (asked, words) in [(&better, "is in force"), (&contract, "superseded"), (&absent, "not registered")] {
        let _ = fs::remove_file(&proof);
        ask(0, &["--file", asked, "--proof", &proof]);
        let (text, _) = expect(0, &["verify-proof", &proof, "--genesis", &header]);
        assert!(text.contains(words), "{words}: {text}");
        expect(0, &["verify-proof", &proof, "--genesis", &header, "--json"]);
    }
    let (text, _) = expect(0, &["revoke", &better, "--network", dir, "--by", "2:7", "--reason", "5"]);
    assert!(text.contains("reason 5"), "{text}");
    let (text, _) = ask(0, &["--file", &better]);
    assert!(text.contains("revoked at height") && text.contains("reason 5"), "{text}");
    let (text, _) = expect(1, &["revoke", &better, "--network", dir, "--by", "2:7"]);
    assert!(text.contains("not in force"), "{text}");
    let (text, _) = expect(0, &["chain", "list", "--network", dir]);
    assert!(text.contains("chain 2: attestations") && text.contains("at most 20"), "{text}");
    expect(0, &["chain", "list", "--network", dir, "--json"]);
}

#[test]
fn what_cannot_be_registered_is_said_before_anything_is_signed() {
    let testbed = testbed(1);
    let dir = testbed.path().to_str().unwrap();
    let attest = |by: &str, more: &[&str]| {
        let (_, error) = expect(2, &[&["attest", "--network", dir, "--by", by], more].concat());
        error
    };
    let [one, two] = ["ab".repeat(32), "cd".repeat(32)];
    let one = ["--hash", one.as_str()];
    for (by, more, words) in [
        ("2:7", &["/nowhere/contract.txt"][..], "/nowhere/contract.txt"),
        ("2:7", &[], "required"),
        ("2:7", &["--hash", "abcd"], "64 hexadecimal digits"),
        ("2:7", &["--hash", &"0".repeat(64)], "does not begin with 16 zero bytes"),
        ("2:7", &[&one[..], &one].concat(), "named twice"),
        ("2:7", &[&one[..], &["--data", &"d".repeat(1_025)]].concat(), "1 to 1024 bytes"),
        ("2:7", &[&one[..], &["--data", ""]].concat(), "1 to 1024 bytes"),
        ("2:7", &[&one[..], &["--hash", &two, "--supersedes", &"ef".repeat(32)]].concat(), "one fingerprint"),
        ("1:7", &one, "kind \"transfers\""),
        ("5:7", &one, "no chain 5"),
    ] {
        let error = attest(by, more);
        assert!(error.contains(words), "{words}: {error}");
    }
    let (_, error) = expect(1, &[&["attest", "--network", dir, "--by", "2:700"], &one[..]].concat());
    assert!(error.contains("no account 700"), "{error}");
    let (_, error) = expect(1, &["query", "--network", dir, "attestation", "1", one[1]]);
    assert!(error.contains("has no attestations"), "{error}");
    let (_, error) = expect(2, &["transfer", "--network", dir, "--from", "1:7", "--to", "2:7"]);
    assert!(error.contains("--amount"), "{error}");
    let (text, _) =
        expect(1, &["transfer", "--network", dir, "--from", "1:7", "--to", "2:7", "--amount", "1"]);
    assert!(text.contains("another kind of chain"), "{text}");
}
