//! One run: a `bench` in a process of its own.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use loadgen::LoadError;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

use crate::bench::{self, Interrupt};
use crate::cli::{Cli, Command};
use crate::validator::clock::Clock;

/// How often it is looked whether a run has ended.
const POLL: Duration = Duration::from_millis(50);
/// Lines of a run that has failed that are shown.
const LAST_LINES: usize = 12;
/// How long a run may take to end after a signal: less than this process has for its own last words.
const FAREWELL: Duration = Duration::from_millis(500);
/// Options of `bench` that a series sets for each run, or that make a series.
const TAKEN: [&str; 5] = ["--json", "--report", "--repeat", "--saturate", "--data"];

/// A `bench` with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    executable: PathBuf,
    options: Vec<String>,
}

impl Program {
    /// Reads a side: a path, options, or both, as a shell would split them; then what both sides have in common.
    pub(super) fn parse(words: &str, common: &[String]) -> Result<Self> {
        let words =
            shlex::split(words).ok_or_else(|| wrong(format!("a quote is not closed in {words:?}")))?;
        let (executable, options) = match words.split_first() {
            Some((first, options)) if !first.starts_with('-') => (PathBuf::from(first), options),
            _ => (std::env::current_exe().context("this executable has no path any more")?, &words[..]),
        };
        if !executable.is_file() {
            return Err(wrong(format!("{}: there is no such executable", executable.display())));
        }
        let options: Vec<String> = common.iter().chain(options).cloned().collect();
        if words.first().is_none_or(|first| first.starts_with('-')) {
            check(&options)?;
        }
        for option in &options {
            let name = option.split('=').next().unwrap_or_default();
            if TAKEN.contains(&name) {
                return Err(wrong(format!("{name} is set for every run: leave it out")));
            }
        }
        Ok(Self { executable, options })
    }

    /// The `bench` that this process was asked for on its command line, without the options that are set for each run.
    pub(super) fn this(set: &[&str]) -> Result<Self> {
        let executable = std::env::current_exe().context("this executable has no path any more")?;
        // They were understood, so what is not UTF-8 in them is the name of a file.
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let words: Vec<String> = words.skip_while(|word| word != "bench").skip(1).collect();
        Ok(Self { executable, options: without(&words, set) })
    }

    /// The same with more options.
    #[must_use]
    pub(super) fn with(&self, more: impl IntoIterator<Item = String>) -> Self {
        let mut with = self.clone();
        with.options.extend(more);
        with
    }

    /// Runs it with its data in a place of its own, which is cleared afterwards unless it is to be kept.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) fn run_in(&self, place: &Place, keep: bool, interrupt: &Interrupt) -> Result<Value> {
        let result = self.with(place.option()).run(interrupt);
        place.clear(keep);
        result
    }

    /// Runs it to its end, or until a signal comes: then it is asked to stop, and cleans up by itself. What it measured
    /// is returned as it was written, for a `millrace` of another version may have other fields.
    ///
    /// # Errors
    /// It cannot be started, or fails: then its last lines are in the error.
    fn run(&self, interrupt: &Interrupt) -> Result<Value> {
        let mut child = Running(
            process::Command::new(&self.executable)
                .arg("bench")
                .args(&self.options)
                .args(["--json", "-"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start {}", self.executable.display()))?,
        );
        let (result, said) = (gather(child.0.stdout.take())?, gather(child.0.stderr.take())?);
        let status = loop {
            if let Some(status) = child.0.try_wait()? {
                break status;
            }
            if interrupt.signal().is_some() {
                child.stop();
                bail!("stopped by a signal");
            }
            std::thread::sleep(POLL);
        };
        if !status.success() {
            let said = said.join().unwrap_or_default();
            let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
            bail!("{self}: {status}\n{}", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"));
        }
        let result = result.join().unwrap_or_default();
        serde_json::from_str(&result).context("its result is no JSON")
    }
}

/// Whether this executable's own `bench` takes these options: better to know before the first run than at the second.
fn check(options: &[String]) -> Result<()> {
    let words = ["millrace", "bench"].into_iter().chain(options.iter().map(String::as_str));
    let cli = Cli::try_parse_from(words).map_err(|error| wrong(error.render().to_string()))?;
    let Command::Bench(args) = cli.command else {
        return Err(wrong("these are no options of `bench`".to_owned()));
    };
    Ok(bench::check(&args)?)
}

/// A run that ends with this.
struct Running(process::Child);

impl Running {
    /// Asks it to stop, and gives it a moment to stop its validators and to remove what it has made.
    fn stop(&mut self) {
        let of = Pid::from_child(&self.0);
        // One that has ended needs nothing more.
        let _ended = kill_process(of, rustix::process::Signal::TERM);
        let clock = Clock::start();
        while clock.now() < FAREWELL && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its validators end with it, if it still runs.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// The directory of one run in the one that was asked for. Without `--keep` it is removed when the run has ended: a
/// long series would fill the disk.
pub(super) struct Place(Option<PathBuf>);

impl Place {
    pub(super) fn of(data: Option<&Path>, number: usize) -> Self {
        Self(data.map(|data| data.join(format!("run-{number:02}"))))
    }

    /// The option that names it.
    fn option(&self) -> Option<String> {
        self.0.as_ref().map(|place| format!("--data={}", place.display()))
    }

    /// Removes it, unless it is to be kept.
    fn clear(&self, keep: bool) {
        if let Some(place) = self.0.as_ref().filter(|_| !keep)
            && let Err(error) = std::fs::remove_dir_all(place)
            && place.exists()
        {
            eprintln!("cannot remove {}: {error}", place.display());
        }
    }
}

/// Options without those that are set for each run. Of these `--saturate` alone has no value.
pub(super) fn without(words: &[String], set: &[&str]) -> Vec<String> {
    let (mut left, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some((name, _)) if set.contains(&name) => {}
            None if word == "--saturate" && set.contains(&"--saturate") => {}
            None if set.contains(&word.as_str()) => drop(words.next()),
            _ => left.push(word.clone()),
        }
    }
    left
}

/// What was typed makes no sense.
fn wrong(why: String) -> anyhow::Error {
    LoadError::Plan(why).into()
}

/// Reads what a process prints, so that it never waits for its reader.
fn gather(pipe: Option<impl Read + Send + 'static>) -> Result<JoinHandle<String>> {
    let mut pipe = pipe.context("the run has no output")?;
    let read = move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    std::thread::Builder::new().name("run".into()).spawn(read).context("cannot start a thread")
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bench", crate::cli::quoted(&self.executable))?;
        self.options.iter().try_for_each(|option| write!(f, " {}", crate::cli::quoted(option)))
    }
}
