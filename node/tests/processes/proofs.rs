//! Proofs made by a running network, checked in an empty directory by somebody who has only the header of its genesis.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use client::ClientError;
use engine::types::{Digest, Height, Packet, Transfer, Verdict};

use crate::testbed::{CHAIN, MILLRACE, Testbed, expect, verdicts, wait};

/// Checks a proof in a directory that has nothing but two files.
fn check(directory: &Path, proof: &[u8], header: &[u8], json: bool) -> Output {
    fs::write(directory.join("some.proof"), proof).unwrap();
    fs::write(directory.join("genesis.header"), header).unwrap();
    let mut command = Command::new(MILLRACE);
    command.current_dir(directory).env_clear().args([
        "verify-proof",
        "some.proof",
        "--genesis",
        "genesis.header",
    ]);
    if json {
        command.arg("--json");
    }
    command.output().unwrap()
}

#[test]
fn a_stranger_checks_proofs_with_nothing_but_the_header_of_the_genesis() {
    let mut testbed = Testbed::up(4, 100);
    let dir = testbed.path().to_str().unwrap().to_owned();
    let network = testbed.network.clone();
    let file = |name: &str| testbed.path().join(name).to_str().unwrap().to_owned();
    let files = ["account.proof", "paid.proof", "never.proof"].map(file);
    let [account, paid, never] = &files;

    let mut client = testbed.client(1);
    let sent: Vec<Packet> = (0..3).map(|nonce| testbed.transfer(7, nonce)).collect();
    assert!(verdicts(&mut client, &sent).iter().all(|verdict| *verdict == Verdict::Committed));
    let id = sent[1].id(network.genesis.network()).to_string();
    // Signed and never sent; it expires soon.
    let expiry = client.status().unwrap().as_of.height.0 + 2;
    let again = testbed.transfer(7, 9).run().transfer().unwrap();
    let withheld = testbed.signed(&Transfer { expiry: Height(expiry), ..again });
    let withheld_hex = hex::encode(withheld.0);
    // An envelope in a file that was never submitted.
    let [envelope, offline] = [&file("envelope.proof"), &file("offline.json")];
    let payments = &file("payments.csv");
    fs::write(payments, "9,1\n10,2\n").unwrap();
    let pays = ["transfer", "--network", &dir, "--from", "1:8", "--payments", payments];
    let when = ["--nonce", "9", "--expiry", &expiry.to_string(), "--offline", offline];
    expect(0, &[&pays[..], &when].concat());
    wait("the withheld transfer expires", || client.status().unwrap().as_of.height.0 >= expiry);

    let query = |arguments: &[&str]| {
        let all: Vec<&str> = ["query", "--network", &dir].iter().chain(arguments).copied().collect();
        expect(0, &all).0
    };
    let out = query(&["account", "1", "7", "--proof", account]);
    assert!(out.contains("it says: after block") && out.contains("verify-proof"), "{out}");
    query(&["transaction", &id, "--proof", paid, "--json"]);
    query(&["never", &withheld_hex, "--proof", never]);
    let out = query(&["never", offline, "--proof", envelope]);
    assert!(
        out.contains(&format!("--genesis {} --transaction {offline}\n", file("genesis.header"))),
        "{out}"
    );
    let (_, error) =
        expect(2, &["query", "--network", &dir, "never", &withheld_hex[2..], "--proof", "no.proof"]);
    assert!(error.contains("these 127 bytes are not a transaction"), "{error}");
    let (_, error) = expect(2, &["query", "--network", &dir, "never", "nowhere.json", "--proof", "no.proof"]);
    assert!(error.contains("nowhere.json: No such file"), "{error}");
    // What was spent has no such proof, and no file.
    let nothing = file("nothing.proof");
    let spent = ["query", "--network", &dir, "never", &hex::encode(sent[0].0), "--proof", &nothing];
    let (_, error) = expect(1, &spent);
    assert!(error.contains("is spent, perhaps by this transaction"), "{error}");
    assert!(!Path::new(&nothing).exists());
    // One who does not know the genesis gets the same proof, unchecked.
    let member = &network.members[0];
    let [endpoint, fingerprint, network_id] =
        [member.clients.to_string(), member.fingerprint.to_string(), network.genesis.network().to_string()];
    let foreign = file("foreign.proof");
    let whom = ["query", "--endpoint", &endpoint, "--fingerprint", &fingerprint, "--network-id", &network_id];
    let asked: Vec<&str> = whom.into_iter().chain(["account", "1", "7", "--proof", &foreign]).collect();
    let (out, _) = expect(0, &asked);
    assert!(out.contains("are not checked here"), "{out}");
    // What no genesis is needed for is checked all the same.
    let spent = ["never", &hex::encode(sent[0].0), "--proof", &nothing];
    let (_, error) = expect(1, &whom.into_iter().chain(spent).collect::<Vec<_>>());
    assert!(error.contains("is spent, perhaps by this transaction"), "{error}");
    assert!(!Path::new(&nothing).exists());

    let genesis = file("genesis.header");
    let header = fs::read(&genesis).unwrap();
    assert_eq!(header, network.genesis.header());
    testbed.stop_all();

    let stranger = tempfile::tempdir().unwrap();
    let says = |name: &str, words: &str| {
        let proof = fs::read(name).unwrap();
        let output = check(stranger.path(), &proof, &header, false);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("the proof holds") && text.contains(words), "{text}");
        for at in (0..proof.len()).step_by(61) {
            let mut changed = proof.clone();
            changed[at] ^= 1;
            let output = check(stranger.path(), &changed, &header, false);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            // The signed bytes of what never executes are the question.
            if ![never, envelope].contains(&&name.to_owned()) || !(51..115).contains(&at) {
                assert_eq!(output.status.code(), Some(1), "byte {at}: {text}");
                assert!(text.contains("does not hold"), "byte {at}: {text}");
            }
        }
        // The supply of the last chain: another genesis, and so another network.
        let mut changed = header.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(check(stranger.path(), &proof, &changed, false).status.code(), Some(1));
    };
    says(account, "account 7 of chain 1 held");
    says(&foreign, "account 7 of chain 1 held");
    says(paid, &format!("transaction {id}: applied"));
    says(never, "has not been executed and never can be");
    says(envelope, "an envelope (linked transfers) with the signed bytes 10000000");
    // Who has the transaction compares it: here with the one that is proved, and with another of the same account.
    let compared = |code, proof: &str, with: &str| {
        expect(code, &["verify-proof", proof, "--genesis", &genesis, "--transaction", with]).0
    };
    let text = compared(0, envelope, offline);
    let signed: serde_json::Value = serde_json::from_slice(&fs::read(offline).unwrap()).unwrap();
    assert!(text.contains(signed["id"].as_str().unwrap()), "{text}");
    assert!(compared(1, envelope, &withheld_hex).contains("does not speak of that transaction"));
    compared(0, never, &withheld_hex);
    compared(0, paid, &hex::encode(sent[1].0));
    assert!(compared(1, account, &withheld_hex).contains("does not speak of that transaction"));
    let asked = ["verify-proof", account, "--genesis", &genesis, "--transaction", &withheld_hex, "--json"];
    let told: serde_json::Value = serde_json::from_str(&expect(1, &asked).0).unwrap();
    assert!(told["holds"] == false && told["statement"].is_object(), "{told}");
    let (_, error) = expect(
        2,
        &["verify-proof", never, "--genesis", &genesis, "--transaction", &format!("0x{withheld_hex}")],
    );
    assert!(error.contains("without 0x"), "{error}");

    let proof = fs::read(paid).unwrap();
    let json = |proof: &[u8]| -> serde_json::Value {
        serde_json::from_slice(&check(stranger.path(), proof, &header, true).stdout).unwrap()
    };
    let good = json(&proof);
    assert_eq!((&good["holds"], &good["statement"]["chain"]), (&true.into(), &CHAIN.0.into()));
    assert_eq!(good["statement"]["fact"]["transaction"]["outcome"], "applied");
    assert_eq!(good["statement"]["network"], network.genesis.network().to_string());
    let bad = json(&proof[1..]);
    assert!(bad["holds"] == false && bad["reason"].is_string(), "{bad}");

    // What is no header is a wrong file, and no wrong proof; nor is the header of another network than one expects.
    let cut_short = check(stranger.path(), &proof, &header[..header.len() - 1], false);
    let text = String::from_utf8_lossy(&cut_short.stderr).into_owned();
    assert!(cut_short.status.code() == Some(2) && text.contains("not the header of a genesis"), "{text}");
    let with_id =
        |id: &str| ["verify-proof", paid, "--genesis", &genesis, "--network-id", id].map(str::to_owned);
    let id = network.genesis.network().to_string();
    let other = Digest([7; 32]).to_string();
    expect(0, &with_id(&id).each_ref().map(String::as_str));
    let (_, error) = expect(2, &with_id(&other).each_ref().map(String::as_str));
    assert!(error.contains(&id) && error.contains(&other), "{error}");
    expect(2, &with_id("12").each_ref().map(String::as_str));

    let (_, error) = expect(2, &["verify-proof", "/nowhere.proof", "--genesis", paid]);
    assert!(error.contains("/nowhere.proof"), "{error}");
    expect(2, &["verify-proof", paid]);
}

#[test]
fn a_proof_says_when_the_network_makes_no_progress() {
    let mut testbed = Testbed::up(4, 100);
    let mut client = testbed.client(0);
    wait("a block", || client.status().unwrap().as_of.height.0 > 0);
    (1..4).for_each(|index| testbed.kill(index));
    let height = client.status().unwrap().as_of.height;
    wait("the last validator stands still", || {
        let patience = std::time::Duration::from_millis(500);
        match client.prove_account(CHAIN, engine::types::AccountId(3), patience) {
            // A block that was on its way.
            Ok(proof) => proof.height < height.0,
            Err(error) => matches!(error, ClientError::NotFinal { .. }),
        }
    });
}
