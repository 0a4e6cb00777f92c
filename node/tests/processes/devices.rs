//! Validators that have signatures checked by a device, whose driver runs in a process of its own.
//!
//! A device is needed, be it one that the CPU imitates. Where there is none the tests say so, unless
//! `MILLRACE_REQUIRE_GPU=1`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use engine::wire::answers::{AlarmKind, SignaturesAnswer};
use loadgen::Start;
use node::network::{Tie, ValidatorProcess};

use crate::testbed::{MILLRACE, Testbed, wait};

/// Whether there is a device; that there is none is a failure where one is required.
fn has_device() -> bool {
    let found =
        Command::new(MILLRACE).args(["kernels", "check", "--backend", "gpu", "/dev/null"]).output().unwrap();
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    let has = !said.contains("the GPU cannot be used") && !said.contains("no Vulkan device");
    if !has {
        let is_required = std::env::var_os("MILLRACE_REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!is_required, "a device is required: {said}");
        eprintln!("skipped: {said}");
    }
    has
}

/// A network of four whose first validator is to use a device.
fn with_device(verify: &str) -> Testbed {
    let testbed = Testbed::new(4, 64);
    let config = testbed.network.members[0].config_file();
    let text = fs::read_to_string(&config).unwrap() + &format!("\n[work]\nverify = \"{verify}\"\n");
    fs::write(&config, text).unwrap();
    testbed
}

fn start(testbed: &mut Testbed) {
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
}

fn signatures(testbed: &Testbed) -> SignaturesAnswer {
    testbed.client(0).status().unwrap().value.signatures
}

fn in_service(testbed: &Testbed) {
    wait("the device is in service", || {
        signatures(testbed).device.is_some_and(|device| device.ends_with("in service"))
    });
}

/// The processes that a validator has started.
fn children(testbed: &Testbed) -> Vec<String> {
    let id = testbed.processes[0].as_ref().unwrap().pid().to_string();
    let found = Command::new("pgrep").args(["-P", &id]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_device_accepts_signatures_and_the_death_of_its_driver_stops_nothing() {
    if !has_device() {
        return;
    }
    let mut testbed = with_device("gpu");
    start(&mut testbed);
    in_service(&testbed);
    let mut told = vec![testbed.load(&[0, 1], 600.0, 2, Start::Fresh)];
    // How many come back in time depends on how fast the device is.
    wait("a device has accepted something", || {
        told.push(testbed.load(&[0, 1], 600.0, 2, Start::Resume));
        signatures(&testbed).accepted_by_device > 0
    });
    assert_eq!(signatures(&testbed).by, "gpu");
    let others = testbed.client(1).status().unwrap().value.signatures;
    assert_eq!(
        (others.by.as_str(), others.others_by_device),
        ("cpu", vec![testbed.network.members[0].index])
    );

    // In the middle of a load, so that batches are under way.
    let killed = children(&testbed);
    assert_eq!(killed.len(), 1, "{killed:?}");
    let last = std::thread::scope(|scope| {
        let load = scope.spawn(|| testbed.load(&[0, 1], 600.0, 3, Start::Resume));
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(Command::new("kill").args(["-9", &killed[0]]).status().unwrap().success());
        load.join().unwrap()
    });
    assert_eq!((last.tally().timed_out, last.tally().rejected_total()), (0, 0), "{:?}", last.tally());
    told.push(last);
    let said = signatures(&testbed);
    // It may be on its way back already.
    let is_gone = |device: &String| device.starts_with("none: its process") || device.ends_with(": starting");
    assert!(said.device.as_ref().is_some_and(is_gone), "{said:?}");
    testbed.all_alive();
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&told.iter().collect::<Vec<_>>());
}

#[test]
fn a_validator_ends_in_time_while_its_driver_hangs() {
    if !has_device() {
        return;
    }
    let mut testbed = with_device("gpu");
    start(&mut testbed);
    in_service(&testbed);
    let hanging = children(&testbed);
    assert_eq!(hanging.len(), 1, "{hanging:?}");
    assert!(Command::new("kill").args(["-STOP", &hanging[0]]).status().unwrap().success());
    let outcome = testbed.load(&[0, 1], 600.0, 2, Start::Fresh);
    assert_eq!(outcome.tally().timed_out, 0, "{:?}", outcome.tally());
    testbed.stop(0);
    // It was not ended by its own watch over the end.
    let log = fs::read_to_string(testbed.network.members[0].log_file()).unwrap();
    assert!(log.trim_end().ends_with("stopped; the journal is complete"), "{log}");
    let is_there = |id: &str| Command::new("kill").args(["-0", id]).output().unwrap().status.success();
    wait("the child is gone", || !is_there(&hanging[0]));
    testbed.stop_all();
    testbed.audit(&[&outcome]);
}

/// Needs no device: what is noted on the disk is enough.
#[test]
fn after_a_wrong_verdict_everything_is_checked_again_before_the_validator_takes_part() {
    let mut testbed = with_device("auto");
    start(&mut testbed);
    let first = testbed.load(&[0, 1], 400.0, 2, Start::Fresh);
    testbed.settle();
    testbed.stop(0);
    let record = testbed.network.members[0].directory.join("data/device.json");
    let caught = r#"{"format": "millrace/device/1", "since": 1, "distrust": {"why": "it lied", "checked_again": false}}"#;
    fs::write(&record, caught).unwrap();
    testbed.spawn(0);
    testbed.ready();
    let log = fs::read_to_string(testbed.network.members[0].log_file()).unwrap();
    let (again, good) = (
        log.find("(it lied): the CPU checks the signatures of heights 1 to"),
        log.find("these signatures are good; the device stays out"),
    );
    assert!(again.zip(good).is_some_and(|(again, good)| again < good), "{log}");
    assert!(fs::read_to_string(&record).unwrap().contains("\"checked_again\": true"));
    wait("the alarm tells of it", || {
        let alarms = testbed.client(0).status().unwrap().value.alarms;
        alarms.iter().any(|alarm| alarm.alarm == AlarmKind::DeviceOut && alarm.says.contains("it lied"))
    });
    let said = signatures(&testbed);
    assert!(said.device.is_some_and(|device| device.contains("remove ")), "no child is started");
    assert!(children(&testbed).is_empty());
    let second = testbed.load(&[0], 400.0, 2, Start::Resume);
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&[&first, &second]);

    // A record that cannot be read is no licence to go on.
    fs::write(&record, "{").unwrap();
    let config = testbed.network.members[0].config_file();
    let started = Command::new(MILLRACE).args(["node", "--config"]).arg(&config).output().unwrap();
    let said = fs::read_to_string(testbed.network.members[0].log_file()).unwrap()
        + &String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("device.json: not the record of a device"), "{said}");
}

#[test]
fn a_machine_without_a_driver_runs_as_ever_and_says_so_once() {
    for verify in ["gpu", "auto"] {
        let mut testbed = with_device(verify);
        let program = testbed.path().join("without-a-driver");
        let script = format!("#!/bin/sh\nVK_DRIVER_FILES=/nonexistent.json exec '{MILLRACE}' \"$@\"\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let member = &testbed.network.members[0];
        testbed.processes[0] = Some(ValidatorProcess::spawn(&program, member, Tie::Tied).unwrap());
        (1..4).for_each(|index| testbed.spawn(index));
        testbed.ready();
        wait("it says that there is no device", || {
            signatures(&testbed).device.is_some_and(|device| device.starts_with("none:"))
        });
        let outcome = testbed.load(&[0], 400.0, 2, Start::Fresh);
        assert_eq!(
            (outcome.tally().timed_out, outcome.tally().rejected_total()),
            (0, 0),
            "{:?}",
            outcome.tally()
        );
        assert_eq!(signatures(&testbed).accepted_by_device, 0);
        testbed.settle();
        testbed.stop_all();
        testbed.audit(&[&outcome]);
        let log = fs::read_to_string(testbed.network.members[0].log_file()).unwrap();
        assert_eq!(log.matches("no device checks signatures").count(), 1, "{log}");
    }
}
