//! A network whose validators are gone for good goes on as another one.

use std::fs;
use std::path::Path;

use engine::replica::FetchedState;
use engine::types::{Epoch, Packet, Refusal, Verdict};
use loadgen::Start;
use node::network::{Network, STATE_FILE};

use crate::members::{FIVE, decide, directory, follower, in_epoch, testbed};
use crate::recovery::store;
use crate::testbed::{Down, Testbed, expect, free_base_port, named_in, verdicts, wait};

/// What an account holds, by what a validator of a network says.
fn balance(network: &str, account: &str) -> serde_json::Value {
    let (text, _) = expect(0, &["query", "--network", network, "--json", "account", "1", account]);
    named_in(&text, "balance")
}

/// Two epochs with load, of which one validator is left.
fn gone() -> (Testbed, Packet) {
    let mut testbed = testbed();
    let dir = directory(&testbed);
    testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Fresh);
    let request = follower(&mut testbed);
    decide(&dir, &["admit", &request]);
    in_epoch(&testbed, &[0, 1, 2, 3, 4], 1, &FIVE);
    testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Resume);
    testbed.settle();
    let unsent = testbed.transfer(11, 60);
    (testbed, unsent)
}

#[test]
fn a_network_whose_validators_are_gone_goes_on_as_another_one() {
    let (mut testbed, unsent) = gone();
    let dir = directory(&testbed);
    let accounts = ["7", "42", "1999"];
    let before = accounts.map(|account| balance(&dir, account));
    (0..5).filter(|index| *index != 4).for_each(|index| testbed.kill(index));
    let data = testbed.network.members[4].data();
    let data = data.to_str().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let heir = outside.path().join("heir").to_str().unwrap().to_owned();
    let rebuild = |code| {
        expect(code, &["network", "rebuild", data, "--to", &heir, "--base-port", &free_base_port(), "--json"])
    };
    let (_, error) = rebuild(2);
    assert!(error.contains("in use by another process"), "it runs: {error}");
    testbed.stop(4);
    let (made, _) = rebuild(0);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let from = made.pointer("/rebuilt_from/height").and_then(serde_json::Value::as_u64).unwrap();
    let (_, error) = rebuild(2);
    assert!(error.contains("already"), "nothing is overwritten: {error}");

    let network = Network::load(Path::new(&heir)).unwrap();
    let small = "checkpoint_every_kib = 64\nsegment_mib = 4";
    network.members.iter().for_each(|member| store(member, small));
    // One whose state is spoiled does not begin anything else.
    let state = network.members[0].data().join("checkpoints/fetched.state");
    let mut spoiled = fs::read(&state).unwrap();
    spoiled[5_000] ^= 1;
    fs::write(&state, spoiled).unwrap();
    let config = network.members[0].config_file();
    let (_, words) = expect(1, &["node", "--config", config.to_str().unwrap()]);
    assert!(words.contains("copy genesis.state"), "{words}");
    fs::copy(Path::new(&heir).join(STATE_FILE), &state).unwrap();

    let _down = Down(&heir);
    expect(0, &["network", "up", &heir]);
    assert_eq!(accounts.map(|account| balance(&heir, account)), before);
    let (members, _) = expect(0, &["chain", "members", "--network", &heir]);
    assert!(members.starts_with(&format!("epoch 0, from height {} on", from + 1)), "{members}");
    // What was signed for the old network holds nothing here.
    let mut client = network.members[1].connect(&network.genesis).unwrap();
    assert_eq!(verdicts(&mut client, &[unsent]), [Verdict::Refused(Refusal::BadSignature)]);
    drop(client);
    expect(0, &["load", "--network", &heir, "--rate", "300", "--seconds", "3"]);
    let (proof, header) = (format!("{heir}/some.proof"), format!("{heir}/genesis.header"));
    expect(0, &["query", "--network", &heir, "account", "1", "7", "--proof", &proof]);
    let (holds, _) = expect(0, &["verify-proof", &proof, "--genesis", &header]);
    assert!(holds.contains("the proof holds"), "{holds}");

    archived(&heir, from);

    // What one has that was started again is the same as what the others have: the states below are named by two alike.
    for index in ["1", "2"] {
        expect(0, &["network", "down", &heir, "--only", index]);
        expect(0, &["network", "up", &heir, "--only", index]);
    }
    // One that loses everything gets the state from the others, who have a later one by now.
    expect(0, &["network", "down", &heir, "--only", "3"]);
    fs::remove_dir_all(network.members[3].data()).unwrap();
    expect(0, &["load", "--network", &heir, "--rate", "300", "--seconds", "3", "--validators", "0,1,2"]);
    expect(0, &["network", "up", &heir, "--only", "3"]);
    wait("it has caught up", || {
        let client = network.members[3].connect(&network.genesis).ok();
        client
            .is_some_and(|client| client.welcome().as_of.keeps_up() && client.welcome().as_of.height.0 > from)
    });
    // The administrators are those of the old network, and decide about the new members.
    decide(&heir, &["remove", "3", "--below-four"]);
    wait("the next epoch has begun", || {
        let members = network.members[0].connect(&network.genesis).and_then(|mut client| client.members());
        members.is_ok_and(|answer| answer.value.0.epoch == Epoch(1))
    });
    expect(0, &["load", "--network", &heir, "--rate", "100", "--seconds", "1"]);
    expect(0, &["network", "down", &heir]);
    for member in &network.members {
        let (text, _) = expect(0, &["verify", member.data().to_str().unwrap()]);
        assert!(text.contains("holds"), "{text}");
    }
    // The old network has lost nothing by it.
    expect(0, &["verify", data]);
}

/// An archive of the new network begins with the state that its genesis names, and needs no data directory.
fn archived(heir: &str, from: u64) {
    let outside = tempfile::tempdir().unwrap();
    let archive = outside.path().join("archive").to_str().unwrap().to_owned();
    let (data, genesis) = (format!("{heir}/validator-1/data"), format!("{heir}/genesis.toml"));
    let state = Path::new(heir).join(STATE_FILE);
    let aside = outside.path().join("aside");
    fs::rename(&state, &aside).unwrap();
    let (_, error) = expect(1, &["archive", &data, "--to", &archive]);
    assert!(error.contains("put genesis.state beside the genesis"), "{error}");
    let whole = fs::read(&aside).unwrap();
    let mut spoiled = whole.clone();
    spoiled[5_000] ^= 1;
    fs::write(&state, &spoiled).unwrap();
    expect(1, &["archive", &data, "--to", &archive]);
    fs::rename(&aside, &state).unwrap();
    let (words, _) = expect(0, &["archive", &data, "--to", &archive]);
    let first = from + 1;
    assert!(words.contains(&format!("has heights {first} to ")), "{words}");

    let verify = |code, more: &[&str]| {
        let all = ["verify", "--archive", &archive, "--genesis", &genesis, "--json", "-"];
        serde_json::from_str::<serde_json::Value>(&expect(code, &[&all[..], more].concat()).0).unwrap()
    };
    let report = verify(0, &[]);
    let number = |report: &serde_json::Value, name: &str| report[name].as_u64().unwrap();
    assert_eq!(number(&report, "audited_above"), from, "{report}");
    assert!(number(&report, "archived_to") > from && number(&report, "transactions") > 0, "{report}");
    assert!(report["archive"].as_array().unwrap().iter().all(|file| file["wrong"].is_null()), "{report}");
    let ask =
        |code, height: u64| expect(code, &["query", "--archive", &archive, "block", &height.to_string()]);
    ask(0, first);
    let (_, error) = ask(1, from - 1);
    assert!(error.contains("no file with height"), "{error}");
    let (_, error) = expect(1, &["query", "--archive", &archive, "transaction", &"0".repeat(64)]);
    assert!(
        error.contains("is in the archive") && !error.contains("are not here"),
        "nothing is missing: {error}"
    );

    // Without the state, or with another one, nothing of it can be audited.
    let kept = Path::new(&archive).join(STATE_FILE);
    fs::write(&kept, spoiled).unwrap();
    let report = verify(1, &[]);
    assert!(report["finding"]["what"].as_str().unwrap().contains("the state from which"), "{report}");
    // A later state holds as well, or could be anybody's: the archive begins with that which the genesis names.
    let network = *Network::load(Path::new(heir)).unwrap().genesis.network();
    let mut later = FetchedState::read(&network, &whole[..]).unwrap();
    later.common.record.height.0 += 1;
    let later = later.write(&network, Vec::new()).unwrap();
    fs::write(&kept, &later).unwrap();
    let report = verify(1, &[]);
    assert_eq!(report["finding"]["expected"], format!("that of height {from}"), "{report}");
    fs::remove_file(&kept).unwrap();
    fs::rename(&state, &aside).unwrap();
    fs::write(&state, &later).unwrap();
    let (_, error) = expect(1, &["archive", &data, "--to", &archive]);
    assert!(error.contains(&format!("was rebuilt from that of height {from}")), "{error}");
    fs::rename(&aside, &state).unwrap();
    verify(1, &[]);
    // What happened on a chain is told from the first height on, where nothing came from other chains before it.
    let (events, _) = expect(0, &["query", "--archive", &archive, "feed", "1", "--limit", "3"]);
    assert_eq!(events.lines().filter(|line| !line.is_empty()).count(), 4, "{events}");
    // The archive goes on, and has it again.
    expect(0, &["load", "--network", heir, "--rate", "100", "--seconds", "1"]);
    let (words, _) = expect(0, &["archive", &data, "--to", &archive]);
    assert!(words.starts_with(&format!("{archive} has heights {first} to ")), "{words}");
    assert!(verify(0, &[])["ok"].as_bool().unwrap());
}

#[test]
fn data_that_does_not_hold_makes_no_network() {
    let mut testbed = Testbed::up(1, 64);
    testbed.load(&[0], 200.0, 2, Start::Fresh);
    testbed.stop_all();
    let data = testbed.network.members[0].data();
    let journal = data.join("journal/0000000000000000.segment");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[40_000] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let heir = testbed.path().join("heir");
    let command = ["network", "rebuild", data.to_str().unwrap(), "--to", heir.to_str().unwrap()];
    let (_, error) = expect(1, &command);
    assert!(error.contains("does not hold") && !heir.exists(), "{error}");

    let empty = Testbed::new(1, 64);
    let data = empty.network.members[0].data();
    let (_, error) =
        expect(2, &["network", "rebuild", data.to_str().unwrap(), "--to", heir.to_str().unwrap()]);
    assert!(!heir.exists(), "{error}");
}
