use super::{row, run};
use crate::scenarios::{SCENARIOS, Scenario, choose};
use loadgen::report::BenchReport;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Stands in for `millrace`: a script that gets the arguments of `bench`.
fn stand_in(directory: &Path, body: &str) -> PathBuf {
    let path = directory.join("millrace");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn fresh_directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("millrace-perf-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

const SCENARIO: Scenario = Scenario { name: "try", arguments: &["--validators", "2"] };

#[test]
fn scenarios_are_chosen_by_name_and_strangers_refused() {
    let names = |n: &[&str]| n.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    assert_eq!(choose(&names(&["all"])).unwrap().len(), SCENARIOS.len());
    let two = choose(&names(&["n4-long", "n1"])).unwrap();
    assert_eq!(two.iter().map(|s| s.name).collect::<Vec<_>>(), ["n4-long", "n1"]);
    assert!(choose(&names(&["n5"])).is_err());
}

#[test]
fn a_good_run_leaves_its_report_under_the_scenarios_name() {
    let directory = fresh_directory("good");
    let report = BenchReport { schema: 1, committed: 77, ..Default::default() };
    std::fs::write(directory.join("given.json"), report.to_json()).unwrap();
    let given = directory.join("given.json");
    let body =
        format!("[ \"$1 $2 $3 $4\" = 'bench --validators 2 --json' ] && cp {} \"$5\"", given.display());
    let back = run(&SCENARIO, &stand_in(&directory, &body), &directory).unwrap();
    assert_eq!(back, report);
    assert_eq!(std::fs::read_to_string(directory.join("try.json")).unwrap(), report.to_json());
    let row = row("try", &back);
    assert!(row.starts_with("try") && row.ends_with("NOT JUDGED"), "{row}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_failed_audit_leaves_the_old_figures_alone() {
    let directory = fresh_directory("bad");
    std::fs::write(directory.join("try.json"), "old").unwrap();
    let millrace = stand_in(&directory, "echo '{}' > \"$5\"; exit 1");
    assert!(run(&SCENARIO, &millrace, &directory).is_err());
    assert_eq!(std::fs::read_to_string(directory.join("try.json")).unwrap(), "old");
    assert!(!directory.join(".try.json").exists());
    std::fs::remove_dir_all(directory).unwrap();
}
