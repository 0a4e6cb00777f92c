use clap::Parser as _;
use loadgen::statistics::{Comparison, order};
use serde_json::{Value, json};

use super::compare::{Compared, Runs};
use super::figures::Run;
use super::program::{Program, without};
use crate::cli::{Cli, Command, CompareArgs, Figure};

fn args(line: &[&str]) -> Result<CompareArgs, String> {
    let words = ["millrace", "compare"].into_iter().chain(line.iter().copied());
    match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Command::Compare(args) => Ok(args),
        other => panic!("{other:?}"),
    }
}

fn report(tps: f64) -> Value {
    json!({
        "audit": { "ok": true },
        "build": { "commit": "abc" },
        "tps": { "committed": tps },
        "latency_us": { "p50": 1_000, "p99": 9_000 },
        "cpu_us_per_tx_per_validator": 2.5,
        "a_field_of_another_version": 7,
    })
}

#[test]
fn a_side_is_an_executable_or_options_or_both() {
    let here = std::env::current_exe().unwrap();
    let path = here.to_str().unwrap();
    let common = ["--seconds".to_owned(), "3".to_owned()];
    let of = |words: &str| Program::parse(words, &common).map(|program| program.to_string());
    let own = crate::cli::quoted(path);
    assert_eq!(of("").unwrap(), format!("{own} bench --seconds 3"));
    assert_eq!(of("--storage uring").unwrap(), format!("{own} bench --seconds 3 --storage uring"));
    assert_eq!(of(path).unwrap(), format!("{own} bench --seconds 3"));
    assert_eq!(
        of(&format!("{path} --set 'a=b c'")).unwrap(),
        format!("{own} bench --seconds 3 --set 'a=b c'")
    );
    for (bad, says) in [
        ("/no/such/millrace", "there is no such executable"),
        ("/tmp --chains 2", "there is no such executable"),
        ("'--chains 2", "a quote is not closed"),
        ("--json x", "--json is set for every run"),
        ("--report=x", "--report is set for every run"),
        ("--data x", "--data is set for every run"),
        ("--chains 999", "999"),
        ("--linked 2 --workload attest", "leave out --linked"),
    ] {
        let error = of(bad).unwrap_err().to_string();
        assert!(error.contains(says), "{bad}: {error}");
    }
}

#[test]
fn options_that_are_set_for_each_run_are_left_out() {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let set = ["--json", "--data", "--repeat", "--saturate"];
    for (typed, left) in [
        ("--repeat 6 --seconds 3", "--seconds 3"),
        ("--seconds=3 --json=x --data y --keep", "--seconds=3 --keep"),
        ("--saturate --rate 5", "--rate 5"),
        ("--json x --repeat=6", ""),
        ("--set a=b --set json=1", "--set a=b --set json=1"),
    ] {
        assert_eq!(without(&words(typed), &set), words(left), "{typed}");
    }
}

#[test]
fn the_command_line_takes_options_as_sides() {
    let of = args(&["--storage portable", "--storage uring", "--", "--seconds", "5"]).unwrap();
    assert_eq!((of.a.as_str(), of.b.as_str()), ("--storage portable", "--storage uring"));
    assert_eq!(of.common, ["--seconds", "5"]);
    assert_eq!((of.pairs, of.effect), (8, 2.0));
    for wrong in
        [&["a", "b", "--pairs", "9"][..], &["a", "b", "--pairs", "6"], &["a"], &["a", "b", "--effect", "-1"]]
    {
        assert!(args(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_run_without_a_sound_audit_or_a_figure_is_refused() {
    let run = Run::of(&report(5.0)).unwrap();
    assert_eq!((run.tps_committed, run.latency_us_p99, run.commit.as_deref()), (5.0, 9_000.0, Some("abc")));
    let spoilt = |place: &str, value: Value| {
        let mut report = report(5.0);
        *report.pointer_mut(place).unwrap() = value;
        Run::of(&report).unwrap_err().to_string()
    };
    assert!(spoilt("/audit/ok", json!(false)).contains("audit"));
    assert!(spoilt("/audit", json!(null)).contains("audit"));
    assert!(spoilt("/latency_us/p99", json!(null)).contains("/latency_us/p99"));
    assert!(spoilt("/tps", json!({})).contains("/tps/committed"));
}

#[test]
fn the_answer_is_that_of_the_chosen_figure() {
    let order = order(8, 3);
    let mut runs = Runs::new(order.clone());
    for (at, side) in order.iter().enumerate() {
        let factor = if *side == loadgen::statistics::Side::B { 1.2 } else { 1.0 };
        runs.push(Run::of(&report((1_000.0 + at as f64) * factor)).unwrap());
    }
    let compared = Compared::all(&runs);
    let answer = |figure| Compared::answer(&compared, figure, 0.02).unwrap();
    assert_eq!(answer(Figure::Rate), Comparison::Better);
    assert_eq!(answer(Figure::P99), Comparison::CannotTell, "it is the same in all runs");
    assert!(compared[0].to_string().contains("B/A 1.2"), "{}", compared[0]);
    let args = args(&["x", "y"]).unwrap();
    let json: Value =
        serde_json::from_str(&runs.to_json(&args, 3, &compared, Some(Comparison::Better))).unwrap();
    assert_eq!((&json["answer"], &json["figure"]), (&json!("better"), &json!("tps_committed")));
    assert_eq!(json["runs"].as_array().unwrap().len(), 16);
    assert_eq!(
        json["runs"][0]["side"],
        json!(if order[0] == order[3] { format!("{:?}", order[0]) } else { String::new() })
    );
    // One without a value has no ratio, and decides nothing.
    let mut none = Runs::new(order.clone());
    order.iter().for_each(|_| none.push(Run::of(&report(0.0)).unwrap()));
    let error = Compared::answer(&Compared::all(&none), Figure::Rate, 0.02).unwrap_err().to_string();
    assert!(error.contains("committed transactions a second"), "{error}");
}
