//! The benchmark, small: it must hold, clean up after itself, and fail when it should.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::testbed::{MILLRACE, expect, wait};
use engine::wire::Query;
use node::validator::counters::CountersReport;

const SMALL: [&str; 10] =
    ["bench", "--accounts", "400", "--rate", "500", "--warm-up", "1", "--ceiling", "0", "--seconds"];

#[test]
fn a_small_bench_holds_and_reports() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (json, report, data) = (path("result.json"), path("report"), path("data"));
    let key = path("generator.pem");
    let (made, _) = expect(0, &["key", "new", &key, "--no-passphrase", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let more = ["2", "--json", &json, "--report", &report, "--data", &data, "--sign-with", &key];
    let with_ceiling = SMALL.map(|argument| if argument == "0" { "1" } else { argument });
    let arguments: Vec<&str> = with_ceiling.into_iter().chain(more).collect();
    let (out, _) = expect(0, &arguments);
    assert!(out.contains("nothing that clients were told is committed is lost"), "{out}");
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(result["schema"], 1);
    assert_eq!(result["audit"]["ok"], true);
    assert!(result["committed"].as_u64().unwrap() > 0, "{result}");
    let told = result["audit"]["acknowledged"].as_u64().unwrap();
    for verified in result["audit"]["signatures_verified_per_validator"].as_array().unwrap() {
        assert!(verified.as_u64().unwrap() >= told, "every validator checks every signature: {result}");
    }
    for figure in
        ["/bytes_per_tx/wire", "/bytes_per_tx/disk", "/cpu_us_per_tx_per_validator", "/stages_us/durable/p99"]
    {
        assert!(result.pointer(figure).unwrap().as_f64().unwrap() > 0.0, "{figure}: {result}");
    }
    let validity = &result["validity"];
    let rules = validity["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap());
    let all = ["late_sends", "offered", "ceiling", "steal", "file_system", "sync", "audit"];
    assert_eq!(rules.collect::<Vec<_>>(), all, "{result}");
    let (tps, sync) = (&validity["ceiling"]["tps"], &validity["rules"][5]["measured"]);
    // Beyond the rate of the run: the rules would say so if it were not.
    assert!(tps.as_f64().unwrap() > 500.0 && sync.as_f64().unwrap() > 0.0, "{result}");
    assert!(validity["ceiling"]["sink_cpu_us_per_tx"].is_number(), "{result}");
    assert!(result["generator"]["send_delay_us"]["max"].as_u64().unwrap() > 0, "{result}");
    // Everything was measured; what a busy machine makes of it is not for a test to say.
    let verdict = if validity["verdict"] == "valid" { "VALID: " } else { "INVALID: " };
    let page = fs::read_to_string(Path::new(&report).join("report.html")).unwrap();
    assert!(out.starts_with(verdict), "{out}");
    assert!(page.split_once("<strong>").unwrap().1.starts_with(verdict), "{page}");
    let verify = format!("{data}/validator-3/data");
    expect(0, &["verify", &verify]);
    let manifest = &result["manifest"];
    assert_eq!(manifest["binary_sha256"].as_str().map(str::len), Some(64), "{manifest}");
    let command = manifest["command"].as_str().unwrap();
    assert!(command.contains(" bench --accounts 400 ") && page.contains(command), "{command}");
    let public_key = made["public_key"].as_str().unwrap();
    expect(0, &["verify-report", &report, "--key", public_key]);
    fs::write(Path::new(&report).join("seconds.csv"), "").unwrap();
    let (says, _) = expect(1, &["verify-report", &report, "--key", public_key]);
    assert!(says.contains("has changed"), "{says}");
    expect(2, &["verify-report", &data, "--key", public_key]);
}

#[test]
fn a_bench_over_chains_that_pay_each_other_holds_and_a_payment_is_followed_through_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (json, data) = (path("result.json"), path("data"));
    let more = ["2", "--chains", "3", "--cross-chain", "50", "--json", &json, "--data", &data];
    let arguments: Vec<&str> = SMALL.into_iter().chain(more).collect();
    expect(0, &arguments);
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&result["audit"]["ok"], &result["audit"]["balance_drift"]), (&true.into(), &0.into()));
    assert_eq!(result["config"]["cross_chain_percent"], 50.0);
    assert_eq!((&result["failed"], &result["timed_out"]), (&serde_json::json!({}), &0.into()), "{result}");
    let (told, committed) = (result["audit"]["acknowledged"].as_u64(), result["committed"].as_u64());
    assert!(told.unwrap() >= committed.unwrap() && committed.unwrap() > 500, "{result}");
    let report = path("verify.json");
    expect(0, &["verify", &format!("{data}/validator-2/data"), "--json", &report]);
    let audit: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert!(audit["crossed"].as_u64().unwrap() > 200, "{audit}");

    expect(0, &["network", "up", &data]);
    assert_eq!(result["validity"]["rules"][2]["finding"], "not_judged", "without a ceiling: {result}");
    assert_ne!(result["validity"]["verdict"], "valid", "{result}");
    let load = ["load", "--network", &data, "--rate", "100", "--seconds", "1", "--cross-chain", "100"];
    let (said, words) = expect(0, &[&load[..], &["--ceiling", "1"]].concat());
    assert!(said.starts_with("NOT JUDGED: ") || said.starts_with("INVALID: "), "{said}");
    assert!(words.contains("the generator's ceiling: "), "{words}");
    let (_, id) = said.trim_end().rsplit_once(' ').unwrap();
    let (trail, _) = expect(0, &["query", "--network", &data, "transaction", id]);
    expect(0, &["network", "down", &data]);
    assert!(trail.contains("sent to another chain at height"), "{trail}");
    assert!(trail.contains("credited there at height"), "{trail}");
}

#[test]
fn a_bench_of_linked_transfers_counts_transactions_and_names_the_payments() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (json, data) = (path("result.json"), path("data"));
    let linked = ["bench", "--accounts", "400", "--rate", "50", "--warm-up", "1", "--seconds", "2"];
    let arguments = [&linked[..], &["--linked", "200", "--json", &json, "--data", &data]].concat();
    let (out, _) = expect(0, &arguments);
    assert!(out.contains("payments"), "{out}");
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&result["audit"]["ok"], &result["audit"]["balance_drift"]), (&true.into(), &0.into()));
    assert_eq!(
        (&result["config"]["payments"], &result["config"]["workload"]),
        (&200.into(), &"linked".into())
    );
    let committed = result["committed"].as_u64().unwrap();
    assert!(committed > 50, "{result}");
    let report = path("verify.json");
    expect(0, &["verify", &format!("{data}/validator-1/data"), "--json", &report]);
    let audit: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    let (linked, payments) = (audit["linked"].as_u64().unwrap(), audit["linked_payments"].as_u64().unwrap());
    assert!(linked >= committed && payments == 200 * linked, "{audit}");

    let across = ["bench", "--linked", "2", "--cross-chain", "10", "--chains", "2"];
    let (_, error) = expect(2, &across);
    assert!(error.contains("leave out --linked or --cross-chain"), "{error}");
}

/// Processes whose command line names a directory.
fn processes_in(directory: &Path) -> usize {
    let names = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&format!("node\0--config\0{}", directory.display()))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(names).count()
}

#[test]
fn a_bench_that_is_killed_or_interrupted_leaves_no_process() {
    for signal in ["-9", "-2"] {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = Command::new(MILLRACE)
            .args(SMALL)
            .arg("60")
            .env("TMPDIR", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait("the validators run", || processes_in(directory.path()) == 4);
        let id = bench.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let status = bench.wait().unwrap();
        wait("the validators are gone", || processes_in(directory.path()) == 0);
        if signal == "-2" {
            assert_eq!(status.code(), Some(130));
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "the directory is removed");
        }
    }
}

#[test]
fn a_validator_that_dies_fails_the_bench_with_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Command::new(MILLRACE)
        .args(SMALL)
        .arg("4")
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait("the validators run", || processes_in(directory.path()) == 4);
    let network = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let victim = network.join("validator-1/node.toml");
    wait("the journal is open", || journal_bytes(&network) > 0);
    let pid = fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(victim.to_str().unwrap())
    });
    let pid = pid.unwrap().file_name().into_string().unwrap();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let output = bench.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("\"birch\" ended by itself") && error.contains("node.log"), "{error}");
}

#[test]
fn where_a_validator_dies_under_load_what_is_there_is_shown_and_audited() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("result.json");
    let data = directory.path().join("data");
    let bench = Command::new(MILLRACE)
        .args(SMALL)
        .arg("15")
        .arg("--json")
        .arg(&json)
        .arg("--data")
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let network = || node::network::Network::load(&data).ok();
    wait("the load runs", || {
        let client = network().and_then(|network| network.members[2].connect(&network.genesis).ok());
        let counters = client.map(|mut client| client.ask::<CountersReport>(Query::Counters));
        counters.is_some_and(|counters| counters.is_ok_and(|counters| counters.value.totals["executed"] > 0))
    });
    let victim = data.join("validator-2/node.toml");
    let pid = fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(victim.to_str().unwrap())
    });
    let pid = pid.unwrap().file_name().into_string().unwrap();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let output = bench.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
    assert!(err.contains("\"cedar\" ended by itself"), "{err}");
    assert!(out.contains("nothing that clients were told is committed is lost"), "{out}\n{err}");
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&result["audit"]["ok"], &result["audit"]["missing"]), (&true.into(), &0.into()), "{result}");
    assert!(result["committed"].as_u64().unwrap() > 0, "{result}");
}

#[test]
fn a_validator_that_is_killed_and_started_on_a_schedule_has_everything_at_the_end() {
    let faults =
        ["6", "--fault", "1:kill:3", "--fault", "2:start:3", "--fault", "4:pause:1", "--fault", "5:resume:1"];
    let (out, _) = expect(0, &[&SMALL[..], &faults, &["--json", "-"]].concat());
    let result: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(result["audit"]["ok"], true, "{result}");
    let done = result["faults"].as_array().unwrap().iter().map(|fault| fault["action"].as_str().unwrap());
    assert_eq!(done.collect::<Vec<_>>(), ["kill", "start", "pause", "resume"]);
    // What it used is not known, and no average has it.
    let cpu = |at: usize| result["validators"][at]["cpu_us_per_tx"].as_f64().unwrap();
    assert!(cpu(3) == 0.0 && cpu(0) > 0.0, "{result}");
    assert!(
        result["audit"]["signatures_verified_per_validator"][3].as_u64().unwrap() > 0,
        "it is asked again"
    );
    let (_, error) = expect(2, &[&SMALL[..], &["2", "--fault", "1:start:0"]].concat());
    assert!(error.contains("start goes with kill"), "{error}");
}

/// Bytes of the file that stands in the first validator's journal once it has been opened.
fn journal_bytes(network: &Path) -> u64 {
    fs::metadata(network.join("validator-0/data/journal/identity")).map_or(0, |metadata| metadata.len())
}
