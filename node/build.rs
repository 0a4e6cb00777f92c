//! Tells the binary which commit it is built from and with which compiler, so that a reader of its reports can build it
//! again.
//!
//! `MILLRACE_COMMIT` in the environment goes first, for builds outside a checkout; without either, reports have no
//! commit.

use std::process::Command;

/// What the binary is made of: a change in any of it may make the checkout differ from its commit.
const SOURCES: [&str; 10] = [
    "src",
    "../kernels/src",
    "../engine/src",
    "../proof/src",
    "../consensus/src",
    "../net/src",
    "../client/src",
    "../gateway/src",
    "../loadgen/src",
    "../Cargo.lock",
];

fn main() {
    println!("cargo::rerun-if-env-changed=MILLRACE_COMMIT");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if let Some(version) = said(Command::new(compiler).arg("--version")) {
        println!("cargo::rustc-env=MILLRACE_RUSTC={version}");
    }
    if std::env::var_os("MILLRACE_COMMIT").is_some() {
        return;
    }
    SOURCES.iter().for_each(|source| println!("cargo::rerun-if-changed={source}"));
    if let Some(journal_of_head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={journal_of_head}");
    }
    if let Some(commit) = git(&["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"]) {
        println!("cargo::rustc-env=MILLRACE_COMMIT={commit}");
    }
}

/// What git says, if there is a git and a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    said(Command::new("git").args(arguments))
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
