//! An operator's first day, on the command line alone: init, up, load, questions, kill -9, up again, down, verify.

use std::path::Path;
use std::process::Command;

use crate::testbed::{Down, expect, free_base_port, wait};
use node::network::Network;
use serde_json::{Value, json};

#[test]
fn an_operators_first_day() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mill");
    let dir = path.to_str().unwrap();
    let base = free_base_port();
    let (out, _) = expect(0, &["network", "init", dir, "--accounts", "400", "--base-port", &base]);
    assert!(out.contains("network id") && out.contains(&format!("millrace network up {dir}")), "{out}");

    let _down = Down(dir);
    let (out, _) = expect(0, &["network", "up", dir]);
    for words in ["millrace load --network", "millrace query --network", "millrace network down"] {
        assert!(out.contains(words), "{out}");
    }
    let network = Network::load(&path).unwrap();

    let load = ["load", "--network", dir, "--rate", "300", "--seconds", "3", "--warm-up", "1"];
    let (out, _) = expect(0, &load);
    assert!(out.contains("committed") && !out.contains("refused") && !out.contains("failed"), "{out}");
    let (_, id) = out.split_once(" transaction ").expect("the load names one of its transactions");
    questions(dir, &network, id.trim());

    // A power cut at one validator: the others go on.
    let pid = std::fs::read_to_string(network.members[2].pid_file()).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    let before = height(&network, 0);
    wait("the others go on", || height(&network, 0) > before + 2);
    let (out, _) = expect(0, &["network", "up", dir]);
    assert!(out.contains("was running"), "{out}");
    let up: Value = serde_json::from_str(&expect(0, &["network", "up", dir, "--json"]).0).unwrap();
    let validators = up["validators"].as_array().unwrap();
    assert!(validators.len() == 4 && validators.iter().all(|of| of["was_running"] == true), "{up}");
    assert_eq!(validators[2]["clients"], network.members[2].clients.to_string());
    let goal = height(&network, 0);
    wait("the killed one catches up", || height(&network, 2) >= goal);
    expect(0, &load);

    let (out, _) = expect(0, &["network", "down", dir]);
    assert_eq!(out.matches("stopped").count(), 4, "{out}");
    let (out, _) = expect(0, &["network", "down", dir]);
    assert_eq!(out.matches("was not running").count(), 4, "{out}");
    let down: Value = serde_json::from_str(&expect(0, &["network", "down", dir, "--json"]).0).unwrap();
    assert_eq!(
        (&down["validators"][3]["outcome"], &down["gracefully"]),
        (&json!("not running"), &json!(true))
    );
    for member in &network.members {
        let data = member.data();
        let (out, _) = expect(0, &["verify", data.to_str().unwrap()]);
        assert!(out.contains("holds"), "{out}");
    }
    verify_json(&network.members[0].data());
}

fn height(network: &Network, member: usize) -> u64 {
    let client = network.members[member].connect(&network.genesis);
    client.and_then(|mut client| client.status()).map_or(0, |status| status.as_of.height.0)
}

/// Every question, as a person and as a program.
fn questions(dir: &str, network: &Network, id: &str) {
    let json = |arguments: &[&str]| -> serde_json::Value {
        let all: Vec<&str> = ["query", "--network", dir, "--json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&expect(0, &all).0).unwrap()
    };
    let text = |arguments: &[&str]| {
        let all: Vec<&str> = ["query", "--network", dir].iter().chain(arguments).copied().collect();
        expect(0, &all).0
    };
    let status = json(&["status"]);
    assert_eq!(status["answer"]["network"], network.genesis.network().to_string());
    assert_eq!(status["as_of"]["height"], status["answer"]["committed"]);
    assert!(status["as_of"]["behind"].is_number(), "{status}");
    assert_eq!(
        (&status["answer"]["stream_lost"], &status["answer"]["votes_forgotten"]),
        (&false.into(), &false.into())
    );
    let status: Vec<String> = text(&["status"]).split_whitespace().map(str::to_owned).collect();
    let status = status.join(" ");
    for words in ["committed", "behind", "stream known", "votes remembered"] {
        assert!(status.contains(words), "{words}: {status}");
    }
    let counters = json(&["counters"]);
    assert!(counters["answer"]["totals"]["blocks"].as_u64().unwrap() > 0, "{counters}");
    let counters = text(&["counters"]);
    for words in ["signatures_verified", "duplicate_identities", "stages, microseconds"] {
        assert!(counters.contains(words), "{words}: {counters}");
    }

    let account = json(&["account", "1", "7"]);
    assert_eq!(account["answer"]["proof"]["account"], 7);
    assert!(account["answer"]["next_nonce"].is_u64(), "{account}");
    assert_eq!(account["checked"]["path"], true);
    assert_eq!(account["as_of"]["height"], account["answer"]["proof"]["chain"]["height"]);
    let account = text(&["account", "1", "7"]);
    assert!(account.contains("balance") && account.contains("a path leads to this state root"), "{account}");

    let transaction = json(&["transaction", id]);
    assert_eq!(transaction["answer"]["transaction"]["outcome"], "applied");
    assert!(text(&["transaction", id]).contains("a path leads to this state root"));
    let proof = json(&["proof", "1", id]);
    assert_eq!(proof["answer"]["proof"]["id"], id);
    assert!(text(&["proof", "1", id]).contains("transactions root"));
    let block = text(&["block", &transaction["answer"]["transaction"]["height"].to_string()]);
    assert!(block.contains("certificate of a quorum") || block.contains("later block"), "{block}");
    let block = json(&["block", &transaction["answer"]["transaction"]["height"].to_string()]);
    assert_eq!(block["answer"]["header"]["cut"].as_array().unwrap().len(), 4, "{block}");

    let unknown = "00".repeat(32);
    let (_, error) = expect(1, &["query", "--network", dir, "transaction", &unknown]);
    assert!(!error.is_empty());
    expect(1, &["query", "--network", dir, "account", "1", "400"]);
    let (nothing, error) = expect(1, &["query", "--network", dir, "account", "1", "400", "--json"]);
    let nothing: serde_json::Value = serde_json::from_str(&nothing).unwrap();
    assert_eq!((&nothing["found"], &nothing["answer"], error.as_str()), (&false.into(), &().into(), ""));
    assert!(nothing["reason"].as_str().unwrap().contains("no account 400"), "{nothing}");
    let fingerprint = network.members[0].fingerprint.to_string();
    let endpoint = network.members[0].clients.to_string();
    let id = network.genesis.network().to_string();
    let whom =
        ["query", "--endpoint", &endpoint, "--fingerprint", &fingerprint, "--network-id", &id, "status"];
    expect(0, &whom);
    let stranger =
        ["query", "--endpoint", &endpoint, "--fingerprint", &unknown, "--network-id", &id, "status"];
    let (_, error) = expect(1, &stranger);
    assert!(error.contains("certificate") || error.contains("fingerprint"), "{error}");
}

fn verify_json(data: &Path) {
    let (out, _) = expect(0, &["verify", data.to_str().unwrap(), "--json", "-"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], true);
    assert!(report["applied"].as_u64().unwrap() >= 900, "{report}");
    assert!(report["finalizations"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["finding"], serde_json::Value::Null);
}
