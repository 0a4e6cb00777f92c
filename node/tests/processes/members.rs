//! Validators that come and go while the network runs.

use std::process::Command;

use engine::types::{ChainId, Epoch, Membership};
use loadgen::{LoadPlan, Start};
use node::network::{ChainDraft, InitOptions, Network};

use crate::recovery::until_executed;
use crate::testbed::{Down, Testbed, expect, free_base_port, millrace, run_load, wait};

/// Four validators, two of three administrators on chain 0 who decide about members, too, and chain 1 with money.
pub(crate) fn testbed() -> Testbed {
    testbed_of(4)
}

/// The same with so many validators.
fn testbed_of(validators: u16) -> Testbed {
    let mut chains = vec![ChainDraft::governance(ChainId(0), 3, 2)];
    chains.extend(ChainDraft::alike(1, 2_000, 1_000_000));
    let membership = Membership::Decided;
    let mut testbed =
        Testbed::with(&InitOptions { validators, chains, membership, ..InitOptions::default() });
    (0..usize::from(validators)).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed
}

pub(crate) fn directory(testbed: &Testbed) -> String {
    testbed.path().to_str().unwrap().to_owned()
}

/// Prepares another validator, lets it follow, and waits until it keeps up. What administrators admit is given back.
pub(crate) fn follower(testbed: &mut Testbed) -> String {
    let (index, request) = prepared(testbed);
    testbed.spawn(index);
    follows(testbed, index);
    request
}

/// Prepares another validator, and has the others let it follow. What administrators admit is given back.
fn prepared(testbed: &mut Testbed) -> (usize, String) {
    let dir = directory(testbed);
    let index = testbed.network.members.len();
    let (text, _) = expect(0, &["network", "add", &dir]);
    assert!(text.contains("kill -HUP") && text.contains("chain admit"), "{text}");
    for process in testbed.processes.iter().flatten() {
        let told = Command::new("kill").args(["-HUP", &process.pid().to_string()]).status().unwrap();
        assert!(told.success());
    }
    testbed.network = Network::load(testbed.path()).unwrap();
    testbed.processes.push(None);
    (index, format!("{dir}/validator-{index}/request.toml"))
}

fn follows(testbed: &Testbed, index: usize) {
    wait("it follows", || {
        let status = testbed.try_client(index).and_then(|mut client| client.status().ok());
        status.is_some_and(|status| status.as_of.height.0 > 0 && status.as_of.keeps_up())
    });
}

/// Administrator 0 proposes and 2 approves.
pub(crate) fn decide(dir: &str, decision: &[&str]) {
    let (text, _) = expect(0, &[&["chain"], decision, &["--network", dir]].concat());
    let proposal = proposal_of(&text);
    let (text, _) = expect(0, &["chain", "approve", &proposal, "--as", "2", "--network", dir]);
    assert!(text.contains(", made at height "), "{text}");
}

/// The proposal that a command has made.
fn proposal_of(text: &str) -> String {
    let row = text.lines().find_map(|line| line.trim().strip_prefix("proposal "));
    row.unwrap_or_else(|| panic!("no proposal in {text}")).trim().to_owned()
}

/// Waits until these are in an epoch, and have these members.
pub(crate) fn in_epoch(testbed: &Testbed, who: &[usize], epoch: u64, names: &[&str]) {
    for index in who {
        wait(&format!("validator {index} is in epoch {epoch}"), || {
            let members = testbed.try_client(*index).and_then(|mut client| client.members().ok());
            members.is_some_and(|answer| answer.value.0.epoch == Epoch(epoch))
        });
        let members = testbed.client(*index).members().unwrap().value.0;
        let found: Vec<_> = members.list.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(found, names);
    }
}

pub(crate) const FIVE: [&str; 5] = ["alder", "birch", "cedar", "damson", "elm"];

#[test]
fn a_validator_comes_and_another_goes_under_load_and_all_of_it_outlives_a_power_cut() {
    let mut testbed = testbed();
    let dir = directory(&testbed);
    let request = follower(&mut testbed);
    let (text, _) = expect(0, &["chain", "members", "--network", &dir]);
    assert!(text.starts_with("epoch 0, from height 1 on"), "{text}");
    let plan = LoadPlan { seconds: 40, ..testbed.plan(&[0, 2, 3], 300.0, 40, Start::Resume) };
    let load = std::thread::spawn(move || run_load(&plan));

    // A load that is only connecting when all start again would begin anew.
    until_executed(&testbed);
    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[0, 1, 2, 3, 4], 1, &FIVE);
    let log = std::fs::read_to_string(testbed.network.members[0].log_file()).unwrap();
    assert!(log.contains("continuing from a checkpoint that is still in memory"), "{log}");
    // A dead one does not keep the others from going on without it.
    testbed.kill(1);
    decide(&dir, &["remove", "1"]);
    let four = ["alder", "cedar", "damson", "elm"];
    in_epoch(&testbed, &[0, 2, 3, 4], 2, &four);
    // It comes back, and nobody lets it in: so it cannot tell how far the others are, and is not taken for one in step.
    testbed.spawn(1);
    wait("it does not pass for one that keeps up", || {
        testbed.try_client(1).is_some_and(|client| client.welcome().as_of.behind.is_none())
    });
    let (text, _) = expect(0, &["network", "up", &dir, "--only", "1"]);
    assert!(text.contains("follower: not a member of epoch 2, which nobody has told it"), "{text}");
    let outcome = load.join().unwrap();
    let tally = outcome.tally();
    assert!(tally.applied() > 3_000 && tally.timed_out == 0, "{tally:?}");
    assert_eq!((outcome.ended_early.as_ref(), outcome.contested()), (None, 0), "{tally:?}");
    testbed.kill(1);

    (0..5).filter(|index| *index != 1).for_each(|index| testbed.kill(index));
    (0..5).filter(|index| *index != 1).for_each(|index| testbed.spawn(index));
    in_epoch(&testbed, &[0, 2, 3, 4], 2, &four);
    // With three of four the one that came is needed, and it serves clients.
    testbed.kill(0);
    testbed.load_in_need_of(4);
    testbed.stop_all();
    testbed.audit(&[]);
}

#[test]
fn a_dead_validator_is_replaced_in_one_step_though_the_power_fails_at_the_decision() {
    let mut testbed = testbed();
    let dir = directory(&testbed);
    let request = follower(&mut testbed);
    testbed.kill(2);
    decide(&dir, &["admit", &request, "--in-place-of", "2"]);
    for index in [0, 1, 3, 4] {
        testbed.kill(index);
    }
    for index in [0, 1, 3, 4] {
        testbed.spawn(index);
    }
    in_epoch(&testbed, &[0, 1, 3, 4], 1, &["alder", "birch", "elm", "damson"]);
    testbed.kill(0);
    testbed.load_in_need_of(4);
    // What was replaced may not vote again: its key is that of no member.
    testbed.spawn(2);
    testbed.load_in_need_of(3);
    testbed.stop_all();
    testbed.audit(&[]);
}

#[test]
fn one_comes_when_all_validators_of_the_genesis_have_gone() {
    let mut testbed = testbed_of(1);
    let dir = directory(&testbed);
    let request = follower(&mut testbed);
    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[0, 1], 1, &FIVE[..2]);
    decide(&dir, &["remove", "0", "--below-four"]);
    in_epoch(&testbed, &[1], 2, &FIVE[1..2]);
    let (text, _) = expect(0, &["chain", "members", "--network", &dir]);
    let row = text.lines().find_map(|line| line.strip_prefix("digest "));
    let digest = row.unwrap_or_else(|| panic!("no digest in {text}")).to_owned();
    testbed.kill(0);

    let (index, request) = prepared(&mut testbed);
    let (endpoint, fingerprint) = {
        let of = &testbed.network.members[1];
        (of.clients.to_string(), of.fingerprint.to_string())
    };
    wait("it has started again", || testbed.try_client(1).is_some_and(|mut client| client.status().is_ok()));
    let learn = ["network", "learn", &dir, "--endpoint", &endpoint, "--fingerprint", &fingerprint];
    let other = "ab".repeat(32);
    let (_, error) = expect(1, &[&learn[..], &["--trust", &other]].concat());
    assert!(error.contains("not abab"), "{error}");
    let file = testbed.network.members[index].data().join("epochs");
    assert!(!file.exists(), "nothing is written that is not trusted");
    let (text, _) = expect(0, &[&learn[..], &["--trust", &digest]].concat());
    assert!(text.contains(&format!("epoch 2, of 1 validators with the digest {digest}")), "{text}");
    assert!(text.contains("1 of them answer"), "{text}");

    let good = std::fs::read(&file).unwrap();
    let mut spoiled = good.clone();
    spoiled[200] ^= 1;
    std::fs::write(&file, spoiled).unwrap();
    let config = testbed.network.members[index].config_file();
    let (_, words) = expect(1, &["node", "--config", config.to_str().unwrap()]);
    assert!(words.contains("cannot be used") && words.contains("network learn"), "{words}");
    std::fs::write(&file, good).unwrap();
    testbed.spawn(index);
    follows(&testbed, index);
    in_epoch(&testbed, &[index], 2, &FIVE[1..2]);
    wait("its journal says as much by now", || !file.exists());
    follows(&testbed, index);
    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[1, 2], 3, &FIVE[1..3]);
    testbed.stop_all();
    testbed.audit(&[]);
}

#[test]
fn what_would_stop_the_network_or_is_none_of_its_members_is_refused_in_words() {
    let mut testbed = testbed();
    let dir = directory(&testbed);
    for (who, words) in [
        ("9", "the validator at place 9 is not a member: the members now are 0 \"alder\", 1 \"birch\""),
        ("dogwood", "\"dogwood\" is not a member"),
        (&"ab".repeat(32), "no validator has the key abab"),
        ("99999", "write a place or a name"),
    ] {
        let (_, error) = expect(2, &["chain", "remove", who, "--network", &dir]);
        assert!(error.contains(words), "{who}: {error}");
    }
    let stranger = ["chain", "remove", "1", "--below-four", "--as", "9", "--network", &dir];
    let (_, error) = expect(2, &stranger);
    assert!(
        error.contains("account 9 of chain 0 is not an administrator") && error.contains("0, 1, 2"),
        "{error}"
    );
    let (_, error) = expect(2, &["chain", "approve", "77e0", "--as", "1", "--network", &dir]);
    assert!(
        error.contains("write all 64 hexadecimal digits; here are 4") && error.contains("chain proposals"),
        "{error}"
    );
    let (_, error) = expect(2, &["chain", "remove", "1", "--network", &dir]);
    assert!(
        error.contains("fewer than 4 validators would remain") && error.contains("--below-four"),
        "{error}"
    );
    let request = follower(&mut testbed);
    let text = std::fs::read_to_string(&request).unwrap();
    let spoilt = |from: &str, to: &str| {
        let file = testbed.path().join("spoilt.toml");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (_, error) = expect(2, &["chain", "admit", &spoilt("name = ", "nome = "), "--network", &dir]);
    assert!(error.contains("spoilt.toml") && error.contains("name"), "{error}");
    let (_, error) =
        expect(2, &["chain", "admit", &spoilt("peers = \"", "peers = \"0.0.0.0:1"), "--network", &dir]);
    assert!(error.contains("peers"), "{error}");
    let (_, error) = expect(2, &["chain", "admit", &format!("{dir}/validator-4"), "--network", &dir]);
    assert!(
        error.contains("this is a directory; name the file: ") && error.contains("request.toml"),
        "{error}"
    );
    let (text, _) = expect(0, &["chain", "remove", "damson", "--below-four", "--network", &dir]);
    assert!(text.contains("validator 3 of epoch 0 is \"damson\""), "{text}");
    let removal = proposal_of(&text);
    // It waits for others, not for time, and says for whom.
    let (text, error) = expect(1, &["chain", "proposal", &removal, "--wait", "--network", &dir]);
    assert!(
        text.contains("open: approved by 1") && error.contains("1 more of accounts 1, 2 must approve"),
        "{text}{error}"
    );
    let (text, _) = expect(0, &["chain", "members", "--network", &dir]);
    assert!(
        text.contains("proposed: remove the validator") && text.contains("now \"damson\" at place 3"),
        "{text}"
    );
    let (_, error) = expect(1, &["chain", "approve", &removal, "--as", "0", "--network", &dir]);
    assert!(error.contains("nothing was signed: account 0 has approved it already"), "{error}");
    // Signed where nobody can be asked, the last approval lacks consents.
    let file = testbed.path().join("approval.json");
    let offline =
        ["--offline", file.to_str().unwrap(), "--nonce", "0", "--expiry", "100000", "--network", &dir];
    expect(0, &[&["chain", "approve", &removal, "--as", "1"], &offline[..]].concat());
    let (_, error) = expect(2, &["submit", file.to_str().unwrap(), "--network", &dir]);
    assert!(error.contains("without the consents of those who are to be members"), "{error}");
    // The newcomer is down: a quorum without it is not enough.
    testbed.kill(4);
    let (text, _) = expect(0, &["chain", "admit", &request, "--network", &dir]);
    let proposal = &proposal_of(&text);
    let approve = ["chain", "approve", proposal, "--as", "2", "--network", &dir];
    let (text, error) = expect(1, &approve);
    assert!(
        text.contains("too few consents") && error.contains("(\"elm\") does not consent"),
        "{text}{error}"
    );
    assert!(error.contains("warning: 4 of the 5 new members consent. The last approval needs 4"), "{error}");
    testbed.spawn(4);
    // It must have heard where the others stand, and have caught up.
    wait("it consents, and it is decided", || millrace(&approve).status.success());
    in_epoch(&testbed, &[0, 1, 2, 3, 4], 1, &FIVE);
    let (text, _) = expect(0, &["chain", "proposal", proposal, "--wait", "--network", &dir]);
    assert!(text.contains("the epoch that has them has begun"), "{text}");
    let (_, error) = expect(1, &approve);
    assert!(error.contains("nothing was signed: it is decided already"), "{error}");
    testbed.stop_all();
}

#[test]
fn who_left_says_so_and_one_that_was_prepared_elsewhere_is_found() {
    let mut testbed = testbed();
    let dir = directory(&testbed);
    // As it is on another machine: nothing here knows of the fifth.
    let file = testbed.path().join("network.toml");
    let elsewhere = std::fs::read_to_string(&file).unwrap();
    let request = follower(&mut testbed);
    let here = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &elsewhere).unwrap();
    let pay = |code: i32, more: &[&str]| {
        let pay = ["transfer", "--network", &dir, "--from", "1:7", "--to", "1:8", "--amount", "1"];
        let (text, error) = expect(code, &[&pay, more].concat());
        text + &error
    };
    let status = |more: &[&str]| expect(0, &[&["query", "--network", &dir, "status"], more].concat()).0;
    let elm = testbed.network.members[4].clone();
    let (address, fingerprint) = (elm.clients.to_string(), elm.fingerprint.to_string());
    let (_, error) = expect(2, &["query", "--network", &dir, "--validator", "4", "status"]);
    assert!(error.contains("there is no validator 4: network.toml lists 0 (\"alder\")"), "{error}");
    let (_, error) = expect(2, &["query", "--network", &dir, "--validator", "elm", "status"]);
    assert!(error.contains("the members now are \"alder\""), "{error}");
    let (_, error) = expect(2, &["query", "--network", &dir, "--endpoint", &address, "status"]);
    assert!(error.contains("add --fingerprint"), "{error}");
    let by_hand = ["--endpoint", &*address, "--fingerprint", &fingerprint];
    let text = status(&by_hand);
    assert!(text.contains("observer: it is not a member, and never was"), "{text}");
    let told = pay(1, &by_hand);
    assert!(
        told.contains("takes no transactions (observer") && told.contains("\"alder\" at 127.0.0.1:"),
        "{told}"
    );

    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[0, 1, 2, 3, 4], 1, &FIVE);
    for whom in [&["--validator", "elm"][..], &["--endpoint", &address]] {
        wait("it is asked by its name", || {
            millrace(&[&["query", "--network", &dir, "status"], whom].concat()).status.success()
        });
        let text = status(whom);
        assert!(text.contains("  epoch         1\n  role          member\n"), "{text}");
        pay(0, whom);
    }
    decide(&dir, &["remove", "birch"]);
    in_epoch(&testbed, &[0, 2, 3, 4], 2, &["alder", "cedar", "damson", "elm"]);
    let knows_it = || status(&["--validator", "1"]).contains("follower: not a member any more since epoch 2");
    wait("it knows that it has left", knows_it);
    let told = pay(1, &["--validator", "birch"]);
    assert!(told.contains("not a member any more since epoch 2") && told.contains("\"elm\" at"), "{told}");
    // Unless it is named, it is not sent to.
    pay(0, &[]);
    let json = ["query", "--network", &dir, "--validator", "1", "--json", "status"];
    let json: serde_json::Value = serde_json::from_str(&expect(0, &json).0).unwrap();
    assert_eq!(
        (&json["answer"]["role"], &json["answer"]["since_epoch"]),
        (&serde_json::json!("follower"), &serde_json::json!(2))
    );
    let load = ["load", "--network", &dir, "--rate", "50", "--seconds", "1"];
    let (text, error) = expect(0, &load);
    assert!(error.contains("no load for \"birch\", which takes no transactions (follower"), "{error}");
    assert!(text.contains("committed"), "{text}");
    std::fs::write(&file, here).unwrap();
    testbed.kill(1);
    let _down = Down(&dir);
    // What was killed and does not know of its removal is up nevertheless, and so is all.
    let (text, error) = expect(0, &["network", "up", &dir, "--only", "1"]);
    assert!(
        text.contains("1 validator of the network") && text.contains("follower: not a member"),
        "{text}{error}"
    );
    testbed.stop_all();
}

#[test]
fn a_validator_is_prepared_at_addresses_of_its_own_and_hints_fit_to_the_machine() {
    let testbed = Testbed::with(&InitOptions {
        validators: 4,
        chains: vec![ChainDraft::governance(ChainId(0), 3, 2)],
        membership: Membership::Decided,
        ..InitOptions::default()
    });
    let dir = directory(&testbed);
    let base = free_base_port();
    let add = ["network", "add", &dir, "--base-port", &base];
    let (text, _) = expect(0, &add);
    assert!(text.contains("kill -HUP $(cat ") && text.contains("chain admit "), "{text}");
    let (_, error) = expect(2, &add);
    assert!(error.contains("\"elm\" is reached at 127.0.0.1:") && error.contains("--base-port"), "{error}");
    assert!(!testbed.path().join("validator-5").exists());
    // On a machine of its own there is nobody whom SIGHUP could reach, and no seed.
    let apart = tempfile::tempdir().unwrap();
    for name in ["network.toml", "genesis.toml", "chain-0.accounts"] {
        std::fs::copy(testbed.path().join(name), apart.path().join(name)).unwrap();
    }
    for name in ["validator-0", "validator-1"] {
        std::fs::create_dir(apart.path().join(name)).unwrap();
        let file = format!("{name}/node.toml");
        std::fs::copy(testbed.path().join(&file), apart.path().join(&file)).unwrap();
    }
    let (text, _) = expect(0, &["network", "add", apart.path().to_str().unwrap()]);
    assert!(!text.contains("kill -HUP") && text.contains("to an administrator"), "{text}");
}

#[test]
fn a_network_whose_members_are_fixed_says_so() {
    let testbed = Testbed::new(4, 400);
    let (_, error) = expect(2, &["network", "add", &directory(&testbed)]);
    assert!(error.contains("its validators are fixed"), "{error}");
    assert!(!testbed.path().join("validator-4").exists());
}
