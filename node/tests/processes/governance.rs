//! Chains that administrators create, pause and close while the network runs.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use engine::types::ChainId;
use node::network::{ChainDraft, InitOptions};
use serde_json::{Value, json};

use crate::testbed::{MILLRACE, Testbed, expect, millrace, wait};

/// Four validators, two of three administrators on chain 0, and chain 1 with money.
fn testbed() -> Testbed {
    let mut chains = vec![ChainDraft::governance(ChainId(0), 3, 2)];
    chains.extend(ChainDraft::alike(1, 2_000, 1_000_000));
    let mut testbed = Testbed::with(&InitOptions { validators: 4, chains, ..InitOptions::default() });
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

/// The proposal in what `chain create` and its kin print.
fn proposal(text: &str) -> String {
    let row = text.lines().find_map(|line| line.trim().strip_prefix("proposal "));
    row.unwrap_or_else(|| panic!("no proposal in {text}")).trim().to_owned()
}

/// Administrator 0 proposes and 2 approves; the proposal.
fn decide(dir: &str, decision: &[&str]) -> String {
    let (text, _) = expect(0, &[&["chain"], decision, &["--network", dir]].concat());
    assert!(text.contains("open: approved by 1 of version 1"), "{text}");
    let proposal = proposal(&text);
    let (text, _) = expect(0, &["chain", "approve", &proposal, "--as", "2", "--network", dir]);
    assert!(text.contains("decision ") && text.contains("in effect from height"), "{text}");
    proposal
}

#[test]
fn a_chain_is_created_under_load_with_a_dead_validator_and_is_there_when_all_come_back_from_a_power_cut() {
    let mut testbed = testbed();
    let dir = testbed.path().to_str().unwrap().to_owned();
    testbed.kill(3);
    let (text, _) = expect(0, &["query", "chain", "1", "--network", &dir, "--validator", "0"]);
    assert!(text.contains("validator 3 (\"damson\") does not answer"), "{text}");
    // Its exit code says that validators were killed under it.
    let mut load = Command::new(MILLRACE)
        .args(["load", "--network", &dir, "--rate", "4000", "--seconds", "60"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let create = [
        "create",
        "5",
        "--kind",
        "transfers",
        "--test-founders",
        "4",
        "--issuer",
        "0",
        "--issuance-cap",
        "900",
    ];
    let created = decide(&dir, &create);
    testbed.spawn(3);
    expect(0, &["chain", "proposal", &created, "--wait", "--network", &dir]);
    // The load signs for the same account, and may take the nonce.
    let pay = ["transfer", "--network", &dir, "--from", "1:1900", "--to", "5:1", "--amount", "70"];
    wait("a payment to the new chain", || millrace(&pay).status.success());
    expect(0, &["chain", "issue", "--to", "5:0", "--amount", "900", "--network", &dir]);
    let paused = decide(&dir, &["pause", "5"]);
    (0..4).for_each(|index| testbed.kill(index));
    let _ = load.kill();
    load.wait().unwrap();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    // What was decided before the cut takes effect after it.
    expect(0, &["chain", "proposal", &paused, "--wait", "--network", &dir]);
    for index in ["0", "1", "2", "3"] {
        testbed.settle();
        let (text, _) = expect(0, &["query", "--network", &dir, "--validator", index, "account", "5", "1"]);
        assert!(text.contains("balance       70"), "{text}");
        let pay = [
            "transfer",
            "--network",
            &dir,
            "--validator",
            index,
            "--from",
            "5:0",
            "--to",
            "5:1",
            "--amount",
            "1",
        ];
        let (text, _) = expect(1, &pay);
        assert!(text.contains("chain paused"), "{text}");
    }
    let (text, _) = expect(0, &["chain", "list", "--network", &dir]);
    assert!(text.contains("paused; the last decision about it"), "{text}");
    // A stranger is shown what was decided, that something else was not, and who decides.
    let header = testbed.path().join("genesis.header").to_str().unwrap().to_owned();
    let holds = |name: &str, question: &[&str], words: &str| {
        let proof = testbed.path().join(name).to_str().unwrap().to_owned();
        expect(0, &[question, &["--network", &dir, "--proof", &proof]].concat());
        let (text, _) = expect(0, &["verify-proof", &proof, "--genesis", &header]);
        assert!(text.contains(words), "{words}: {text}");
        expect(0, &["verify-proof", &proof, "--genesis", &header, "--json"]);
    };
    let decided = ["chain", "proposal", &paused];
    holds("paused.proof", &decided, "to pause chain 5, was decided (decision 2) and takes effect at height");
    let unknown = "77".repeat(32);
    holds("unknown.proof", &["chain", "proposal", &unknown], "there was no proposal 7777");
    holds(
        "deciders.proof",
        &["query", "administrators"],
        "3 accounts of chain 0 decided, 2 of whom must approve",
    );
    let (text, _) = expect(0, &["query", "administrators", "--network", &dir]);
    assert!(text.contains("accounts 0, 1, 2"), "{text}");
    // Its feed begins with it, wherever a question begins.
    let (text, _) = expect(0, &["query", "--network", &dir, "feed", "5"]);
    assert!(text.contains("70 from account 1900 to account 1 on chain 5"), "{text}");
    // It was created, and paused later: what took effect by itself comes first.
    let in_effect = text.lines().filter(|line| line.contains("in effect: proposal "));
    assert_eq!(in_effect.count(), 2, "{text}");
    assert!(text.lines().next().is_some_and(|line| line.contains("in effect: proposal ")), "{text}");
    testbed.stop_all();
    for member in &testbed.network.members {
        let (text, _) = expect(0, &["verify", member.data().to_str().unwrap()]);
        assert!(text.contains("proposals and approvals         4"), "{text}");
    }
}

#[test]
fn what_cannot_be_decided_is_told() {
    let testbed = testbed();
    let dir = testbed.path().to_str().unwrap();
    let chain = |code: i32, more: &[&str]| expect(code, &[&["chain"], more, &["--network", dir]].concat());
    let create = ["create", "9", "--kind", "transfers", "--test-founders", "2"];
    let with = |options: &[&'static str]| [&create[..], options].concat();
    let key = "ab".repeat(32);
    let usage = [
        (create[..4].to_vec(), "--founder"),
        (vec!["create", "9", "--kind", "governance", "--test-founders", "1"], "transfers or attestations"),
        (with(&["--issuer", "0"]), "--issuance-cap: an issuer needs a cap"),
        (with(&["--issuance-cap", "5"]), "--issuance-cap: nobody issues here"),
        (
            with(&["--freezer", "2"]),
            "--freezer: there is no account 2: the chain begins with accounts 0 to 1",
        ),
        (
            with(&["--registrar", "anyone", "--accounts-cap", "1"]),
            "--accounts-cap: 1 is less than the 2 accounts",
        ),
        (with(&["--attestations-cap", "1"]), "--attestations-cap: a chain of the kind \"transfers\""),
        (with(&["--rekey-window", "9", "--recovery-window", "8"]), "--recovery-window: 8 s must be longer"),
        (
            vec!["create", "9", "--kind", "attestations", "--test-founders", "1"],
            "--attestations-cap: a chain of the kind \"attestations\" needs",
        ),
        (vec!["create", "9", "--kind", "transfers", "--founder", &key, "--founder", &key], "is given twice"),
        (vec!["roles", "1", "--attestations-cap", "5"], "--attestations-cap: a chain of the kind"),
        (vec!["roles", "1", "--issuer", "0"], "--issuance-cap: an issuer needs a cap"),
        (
            vec!["administrators", "--accounts", "0,1", "--threshold", "3"],
            "--threshold: of 2 administrators 1 to 2",
        ),
        (
            vec!["administrators", "--accounts", "0,0", "--threshold", "1"],
            "--accounts: account 0 is named twice",
        ),
    ];
    for (typed, words) in usage {
        let (_, error) = chain(2, &typed);
        assert!(error.contains(words), "{typed:?}: {error}");
    }
    let failed = [
        (&["create", "1", "--kind", "transfers", "--test-founders", "1"][..], "chain id taken"),
        (&["pause", "7"], "unknown chain"),
        (&["pause", "0"], "another kind of chain"),
        (&["resume", "1"], "another state of the chain"),
        (&["pause", "1", "--administrators-version", "2"], "other administrators"),
    ];
    for (typed, words) in failed {
        let (text, _) = chain(1, typed);
        assert!(text.contains(words), "{typed:?}: {text}");
    }
    let (_, error) = chain(1, &["administrators", "--accounts", "0,7", "--threshold", "1"]);
    assert!(error.contains("account 7 cannot be an administrator: chain 0 has no account 7"), "{error}");
    for typed in [&["proposal", &"ab".repeat(32)][..], &["approve", &"ab".repeat(32), "--as", "1"]] {
        let (_, error) = chain(1, typed);
        assert!(error.contains("nobody has proposed"), "{error}");
    }
    let (_, error) =
        expect(1, &["transfer", "--network", dir, "--from", "6:0", "--to", "1:1", "--amount", "1"]);
    assert!(error.contains("no account 0, or the network has no chain 6"), "{error}");
    // A proposal with an absent approval is not in effect, and says so.
    let (text, _) = chain(0, &["roles", "1", "--freezer", "3", "--for-minutes", "5"]);
    let (text, _) = chain(0, &["proposal", &proposal(&text)]);
    assert!(text.contains("freezer account 3") && text.contains("open: approved by 1"), "{text}");

    // A network without administrators stays as its genesis has it.
    let other = Testbed::new(1, 10);
    let (_, error) = expect(2, &["chain", "pause", "1", "--network", other.path().to_str().unwrap()]);
    assert!(error.contains("no chain of the kind \"governance\""), "{error}");
}

#[test]
fn what_would_change_and_what_will_is_shown() {
    let testbed = testbed();
    let dir = testbed.path().to_str().unwrap();
    let member = &testbed.network.members[1];
    let (endpoint, fingerprint) = (member.clients.to_string(), member.fingerprint.to_string());
    let network_id = testbed.network.genesis.network().to_string();
    let one = ["--endpoint", &endpoint, "--fingerprint", &fingerprint, "--network-id", &network_id];
    let run = |code: i32, typed: &[&str]| expect(code, &[typed, &["--network", dir]].concat());
    let json = |typed: &[&str]| -> Value { serde_json::from_str(&run(0, typed).0).unwrap() };
    let (text, _) = run(0, &["chain", "proposals"]);
    assert!(text.contains("0 open, 0 decided and not in effect yet; at height"), "{text}");

    // A role of an account that is not there can be proposed, with a warning.
    let roles = ["chain", "roles", "1", "--freezer", "5000", "--rekey-window", "7"];
    let (text, warning) = run(0, &roles);
    assert!(warning.contains("warning: chain 1 has no account 5000"), "{warning}");
    assert!(warning.contains("nobody becomes the freezer"), "{warning}");
    let changes = text.split_once("it changes what is in effect now:").unwrap().1;
    let (changes, _) = changes.split_once("transaction ").unwrap();
    assert!(changes.contains("freezer       nobody → account 5000"), "{changes}");
    assert!(changes.contains("86,400 s for a key, 604,800 s for a recovery → 7 s for a key"), "{changes}");
    assert!(!changes.contains("issuer"), "{changes}");
    let roles = proposal(&text);
    let proposed = json(&["chain", "administrators", "--accounts", "1,0", "--threshold", "2", "--json"]);
    assert!(proposed["proposal"]["fate"].as_str().unwrap().starts_with("open: approved by 1"), "{proposed}");
    let expected = json!([
        { "what": "administrators", "from": "accounts 0, 1, 2", "to": "accounts 0, 1" },
    ]);
    assert_eq!(proposed["proposal"]["changes"], expected);
    let administrators = proposed["proposal"]["proposal"].as_str().unwrap();
    let (_, same) = run(2, &["chain", "roles", "1", "--registrar", "none"]);
    assert!(same.contains("that changes nothing: chain 1 has these roles"), "{same}");
    let (other, _) = run(0, &["chain", "roles", "1", "--freezer", "1"]);

    // The list has all of them.
    let listed = json(&["chain", "proposals", "--json"]);
    let named = |listed: &Value| -> BTreeSet<String> {
        let proposals = listed["proposals"].as_array().unwrap().iter();
        proposals.map(|of| of["proposal"].as_str().unwrap().to_owned()).collect()
    };
    let all = BTreeSet::from([roles.clone(), administrators.to_owned(), proposal(&other)]);
    assert_eq!(named(&listed), all);

    // An approval tells the fate of its proposal: as JSON, and also where it was signed before.
    let approved = json(&["chain", "approve", &roles, "--as", "1", "--json"]);
    assert_eq!(approved["proposal"]["number"], 1);
    assert_eq!(approved["proposal"]["approvals"], json!([0, 1]));
    let since = approved["proposal"]["in_effect_from"].as_u64().unwrap();
    let file = testbed.path().join("approval.json");
    let file = file.to_str().unwrap();
    let offline = ["--nonce", "0", "--expiry", "100000", "--offline", file];
    run(0, &[&["chain", "approve", administrators, "--as", "2"], &offline[..]].concat());
    let (text, _) = run(0, &["submit", file]);
    assert!(text.contains("fate     decision 2, in effect from height"), "{text}");
    assert_eq!(json(&["submit", file, "--json"])["proposal"]["number"], 2);

    // What is decided is in the list of chains before it is in effect.
    testbed.settle();
    let (text, _) = run(0, &["chain", "list"]);
    let of_chain_1 = text.split_once("chain 1: transfers").unwrap().1;
    assert!(of_chain_1.contains(&format!("from height {since} on: chain 1: ")), "{text}");
    assert!(text.contains("on: administrators are accounts 0, 1; 2 must approve (proposal "), "{text}");
    let decided = json(&["chain", "list", "--json"])["answer"]["decided"].clone();
    assert_eq!((&decided[0]["proposal"], &decided[1]["number"]), (&json!(roles), &json!(2)), "{decided}");
    let (text, _) = expect(0, &[&["chain", "list"], &one[..]].concat());
    assert!(text.contains("roles           as the genesis has them") && text.contains("decided"), "{text}");
    let (text, _) = expect(0, &[&["chain", "proposal", &roles], &one[..]].concat());
    assert!(text.contains("decision 1, in effect from height"), "{text}");
    let (text, _) = expect(0, &[&["chain", "proposals"], &one[..]].concat());
    assert!(text.contains("1 open, 2 decided and not in effect yet; at height"), "{text}");
    for command in ["list", "proposals"] {
        expect(2, &["chain", command]);
    }

    // The account is not there in time, so nobody has the role. What is open is void.
    run(0, &["chain", "proposal", administrators, "--wait"]);
    let (text, _) = run(0, &["query", "chain", "1"]);
    assert!(text.contains("freezer           nobody") && text.contains("7 s for a key"), "{text}");
    let (text, _) = run(0, &["chain", "proposals"]);
    assert!(text.starts_with("0 open, 0 decided and not in effect yet, 3 other(s) (--all"), "{text}");
    let (text, _) = run(0, &["chain", "proposals", "--all"]);
    assert!(text.contains("void: made for version 1"), "{text}");
}
