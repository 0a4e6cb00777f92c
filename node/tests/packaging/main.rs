//! What lies in `packaging/` and `ops/` fits the program: each path, option and exit code is one that it has. Linters
//! are asked where the machine has them, and it is said loudly which it has not.

#[cfg(test)]
mod ops;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser as _;
use node::cli::Cli;

const UNIT: &str = "millrace.service";
const CONTAINER: &str = "Containerfile";
const COMPOSE: &str = "compose.yaml";
/// Where the container and the unit have the program.
const INSTALLED: &str = "/usr/local/bin/millrace";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").canonicalize().expect("it is there")
}

fn read(name: &str) -> String {
    fs::read_to_string(packaging().join(name)).expect("a text")
}

/// The values of a setting of the unit, in order.
fn settings<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(of, _)| *of == name)
        .map(|(_, value)| value)
        .collect()
}

/// The words of a list in one line, as YAML and containers write it.
fn words(list: &str) -> Vec<String> {
    let inside = list.trim().trim_start_matches('[').trim_end_matches(']');
    inside.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()
}

/// The command line must be one that the program takes.
fn is_taken(arguments: &[String]) {
    let line = std::iter::once("millrace".to_owned()).chain(arguments.iter().cloned());
    if let Err(error) = Cli::try_parse_from(line) {
        panic!("{arguments:?}: {error}");
    }
}

/// Runs a linter, if the machine has it.
fn linted(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: {program} {} ({error})", arguments.join(" "));
            None
        }
    }
}

fn passes(program: &str, output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program}: {words}");
}

#[test]
fn the_unit_starts_reloads_and_does_not_repeat_what_a_person_has_to_mend() {
    let unit = read(UNIT);
    let [start] = settings(&unit, "ExecStart")[..] else { panic!("one command: {unit}") };
    let (program, arguments) = start.split_once(' ').unwrap();
    assert_eq!(program, INSTALLED);
    is_taken(&arguments.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(settings(&unit, "ExecReload"), ["/bin/kill -HUP $MAINPID"]);
    assert_eq!(settings(&unit, "Type"), ["notify"]);
    // The two after which a person has to act; those of the program's own help.
    let codes = [2, node::validator::EXIT_FATAL].map(|code| code.to_string()).join(" ");
    assert_eq!(settings(&unit, "RestartPreventExitStatus"), [codes]);
    // What the program needs is not forbidden.
    assert_eq!(settings(&unit, "SystemCallFilter")[0], "@system-service");
    if let Some(output) = linted("systemd-analyze", &["syscall-filter", "@system-service", "@aio"]) {
        let known = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(known.contains("@aio") && known.contains("io_uring_setup"), "{known}");
    }
    for family in ["AF_UNIX", "AF_INET", "AF_INET6"] {
        assert!(
            settings(&unit, "RestrictAddressFamilies")[0].split(' ').any(|known| known == family),
            "{family}"
        );
    }
}

#[test]
fn systemd_reads_the_unit() {
    // It looks for the program, so it gets the one that was built.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join(UNIT);
    fs::write(&copy, read(UNIT).replace(INSTALLED, env!("CARGO_BIN_EXE_millrace"))).unwrap();
    if let Some(output) = linted("systemd-analyze", &["verify", copy.to_str().unwrap()]) {
        passes("systemd-analyze", &output);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn the_container_runs_as_nobody_special_and_starts_a_validator() {
    let file = read(CONTAINER);
    let instruction = |name: &str| -> Vec<String> {
        let lines = file.lines().filter_map(|line| line.strip_prefix(&format!("{name} ")));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(instruction("FROM").len(), 2, "what builds it is not in it");
    assert_eq!(instruction("USER"), ["10001:10001"]);
    assert_eq!(words(&instruction("ENTRYPOINT")[0]), [INSTALLED]);
    is_taken(&words(&instruction("CMD")[0]));
    assert_eq!(instruction("STOPSIGNAL"), ["SIGTERM"]);
    // The ports of the first validator that `network init` makes.
    let ports = [7400, 7401].map(|port| format!("{port}/udp")).join(" ");
    assert_eq!(instruction("EXPOSE"), [ports]);
    if let Some(output) = linted("hadolint", &[packaging().join(CONTAINER).to_str().unwrap()]) {
        passes("hadolint", &output);
    }
}

#[test]
fn the_compose_file_names_four_validators_and_commands_that_there_are() {
    let file = read(COMPOSE);
    let lists = |key: &str| -> Vec<Vec<String>> {
        let lines = file.lines().filter_map(|line| line.trim().strip_prefix(&format!("{key}: [")));
        lines.map(words).collect()
    };
    let commands = lists("command");
    commands.iter().for_each(|command| is_taken(command));
    let started = commands.iter().filter(|command| command[0] == "node").count();
    assert_eq!(started, 4);
    let init = commands.iter().find(|command| command[..2] == ["network", "init"]).unwrap();
    for index in 0..4 {
        let config = format!("{}/validator-{index}/node.toml", init[2]);
        assert!(commands.iter().any(|command| command.contains(&config)), "{config}");
    }
    let checks = lists("test");
    assert_eq!(checks.len(), 4);
    for check in checks {
        assert_eq!(check[..2], ["CMD", "millrace"]);
        is_taken(&check[2..]);
    }
    let path = packaging().join(COMPOSE);
    let parse = "import sys, yaml; d = yaml.safe_load(open(sys.argv[1])); \
                 v = [s for n, s in d['services'].items() if n.startswith('validator-')]; \
                 assert len(v) == 4 and all(s['restart'] == 'no' and s['read_only'] for s in v), v";
    if let Some(output) = linted("python3", &["-c", "import yaml"]) {
        match output.status.success() {
            true => passes("python3", &linted("python3", &["-c", parse, path.to_str().unwrap()]).unwrap()),
            false => eprintln!("SKIPPED: python3 has no module yaml"),
        }
    }
    if let Some(output) = linted("docker", &["compose", "version"]) {
        match output.status.success() {
            true => {
                let arguments = ["compose", "-f", path.to_str().unwrap(), "config", "--quiet"];
                passes("docker compose", &linted("docker", &arguments).unwrap());
            }
            false => eprintln!("SKIPPED: docker compose config (docker has no compose here)"),
        }
    }
}
