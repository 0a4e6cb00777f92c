//! A load whose validators go away, that is interrupted, or that another load disturbs.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};

use crate::testbed::{MILLRACE, Testbed, expect, wait};
use engine::wire::Query;
use loadgen::progress::Silent;
use loadgen::{LoadPlan, Start};
use node::validator::counters::CountersReport;

fn counted(testbed: &Testbed, index: usize, name: &str) -> u64 {
    testbed.client(index).ask::<CountersReport>(Query::Counters).unwrap().value.totals[name]
}

fn until_executed(testbed: &Testbed, index: usize) {
    let before = counted(testbed, index, "executed");
    wait("the load is executed", || counted(testbed, index, "executed") > before);
}

/// Begins a load of a network on the command line.
fn begin(testbed: &Testbed, more: &[&str]) -> Child {
    let mut command = Command::new(MILLRACE);
    command.args(["load", "--network"]).arg(testbed.path()).args(more);
    // A test that a shell runs in the background ignores Ctrl-C, and would hand that on.
    // SAFETY: between fork and exec it sets the default action of a signal.
    unsafe {
        command.pre_exec(|| match libc::signal(libc::SIGINT, libc::SIG_DFL) {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What it has said in the end: on stdout, and on stderr.
fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_validator_that_dies_and_comes_back_gets_its_load_again() {
    let mut testbed = Testbed::up(4, 400);
    let plan = LoadPlan { seconds: 20, ..testbed.plan(&[0, 1, 2, 3], 300.0, 20, Start::Fresh) };
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    until_executed(&testbed, 1);
    testbed.kill(3);
    testbed.spawn(3);
    testbed.ready();
    // Its counters begin anew: what it gets now is of the same load.
    wait("it gets load again", || counted(&testbed, 3, "accepted") > 0);
    let outcome = load.join().unwrap();
    let [lost] = &outcome.lost[..] else { panic!("{:?}", outcome.lost) };
    assert!(lost.lane == 3 && lost.came_back && lost.times == 1, "{lost:?}");
    assert_eq!((outcome.ended_early.as_ref(), outcome.contested()), (None, 0));
    let tally = outcome.tally();
    assert_eq!((&tally.rejected[..], &tally.failed[..]), (&[][..], &[][..]), "{tally:?}");
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&[&outcome]);
}

#[test]
fn a_load_without_any_validator_left_says_so_and_what_it_has_measured() {
    let mut testbed = Testbed::up(4, 400);
    let load = begin(&testbed, &["--rate", "200", "--seconds", "600", "--warm-up", "1"]);
    until_executed(&testbed, 0);
    let before = counted(&testbed, 0, "executed");
    // Behind the warm-up, and a second of the window.
    wait("something is measured", || counted(&testbed, 0, "executed") > before + 600);
    (0..4).for_each(|index| testbed.kill(index));
    let output = load.wait_with_output().unwrap();
    let (out, err) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
    assert!(out.contains("committed ") && !out.contains("committed 0/s"), "{out}");
    assert!(
        out.contains("ended early, after ") && out.contains(" of 600 s: no validator could be reached"),
        "{out}"
    );
    assert_eq!(err.matches("went away").count(), 4, "{err}");
}

#[test]
fn two_loads_on_the_same_accounts_say_so_and_shares_go_together() {
    let mut testbed = Testbed::up(4, 400);
    let both = |of: [&[&str]; 2]| {
        let usual = ["--rate", "300", "--seconds", "5"];
        let loads = of.map(|more| begin(&testbed, &[&usual, more].concat()));
        loads.map(|load| load.wait_with_output().unwrap())
    };
    let outputs = both([&[], &[]]);
    let disturbed = outputs.iter().filter(|output| output.status.code() == Some(1));
    let words: Vec<String> = disturbed.map(|output| said(output).0).collect();
    assert!(!words.is_empty(), "{outputs:?}");
    assert!(
        words.iter().all(|words| words.contains("uses the same accounts") && words.contains("--share")),
        "{words:?}"
    );
    for output in both([&["--share", "1/2"], &["--share", "2/2"]]) {
        assert_eq!(output.status.code(), Some(0), "{:?}", said(&output));
    }
    for wrong in ["0/2", "3/2", "1", "a/b"] {
        expect(2, &["load", "--network", testbed.path().to_str().unwrap(), "--share", wrong]);
    }
    testbed.all_alive();
}

#[test]
fn a_load_leaves_validators_out() {
    let testbed = Testbed::up(4, 400);
    let network = testbed.path().to_str().unwrap();
    let load = ["load", "--network", network, "--rate", "200", "--seconds", "1", "--validators"];
    expect(0, &[&load[..], &["0,2"]].concat());
    let received: Vec<u64> = (0..4).map(|index| counted(&testbed, index, "received")).collect();
    assert!(received[0] > 0 && received[2] > 0 && received[1] == 0 && received[3] == 0, "{received:?}");
    let (_, error) = expect(2, &[&load[..], &["0,4"]].concat());
    assert!(error.contains("there is no validator 4"), "{error}");
}

#[test]
fn an_interrupted_load_says_what_it_has_measured() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        // What the load before had under way would be taken for this one's.
        let testbed = Testbed::up(1, 400);
        let load = begin(&testbed, &["--rate", "200", "--seconds", "600", "--warm-up", "0"]);
        until_executed(&testbed, 0);
        let id = load.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let output = load.wait_with_output().unwrap();
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
        assert!(out.contains("offered ") && out.contains("of 600 s: it was stopped"), "{out}\n{err}");
        assert!(!out.contains("without an answer"), "{out}");
    }
}

#[test]
fn a_load_that_waits_for_validators_ends_by_a_signal() {
    let testbed = Testbed::new(4, 400);
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let load = begin(&testbed, &["--rate", "200", "--seconds", "5"]);
        // Its thread for signals is there before it calls anybody.
        let tasks = format!("/proc/{}/task", load.id());
        let names =
            || std::fs::read_dir(&tasks).into_iter().flatten().flatten().map(|task| task.path().join("comm"));
        wait("it waits for signals", || names().any(|name| read(&name).trim() == "signals"));
        assert!(Command::new("kill").args([signal, &load.id().to_string()]).status().unwrap().success());
        let output = load.wait_with_output().unwrap();
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    }
}

fn read(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
