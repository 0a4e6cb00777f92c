//! The processes of validators, as the operating system knows them (`/proc`): what a `node.pid` says is checked here,
//! and what none says is found.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Member;

/// All processes of this machine that run a validator and that this user can see.
pub(super) struct Processes(Vec<Found>);

/// A process that runs a validator.
struct Found {
    pid: u32,
    /// The configuration that it was started with, from where it was started.
    config: PathBuf,
}

impl Processes {
    /// Those that there are now.
    pub(super) fn list() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(pids.filter_map(Found::at).collect())
    }

    /// The process of a validator.
    pub(super) fn of(&self, member: &Member) -> Option<u32> {
        self.0.iter().find(|found| found.runs(member)).map(|found| found.pid)
    }
}

/// Whether a process is still there and runs this validator: a pid can be reused.
pub(super) fn runs(pid: u32, member: &Member) -> bool {
    Found::at(pid).is_some_and(|found| found.runs(member))
}

/// Whether a process was stopped by a signal, and could go on.
pub(super) fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

impl Found {
    fn at(pid: u32) -> Option<Self> {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut arguments = line.split(|byte| *byte == 0).skip(1);
        // One that runs a validator for somebody, as strace does, has it further behind.
        arguments.next().filter(|argument| *argument == b"node")?;
        let config = loop {
            let argument = arguments.next()?;
            match argument.strip_prefix(b"--config") {
                Some([]) => break arguments.next()?,
                Some([b'=', path @ ..]) => break path,
                _ => {}
            }
        };
        if state(pid)? == 'Z' {
            return None;
        }
        // Somebody who started it by hand may have given a path from where he was.
        let place = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        Some(Self { pid, config: place.join(OsStr::from_bytes(config)) })
    }

    fn runs(&self, member: &Member) -> bool {
        // The directory may have been moved since, and another one may be in its place: what is open has moved along.
        let journals: Vec<PathBuf> = self.open().filter(|file| is_of_a_journal(file)).collect();
        if !journals.is_empty() {
            // So has a data directory that was given another name beside the configuration.
            let beside = member.config_file().parent().map(Path::to_owned);
            let places = [Some(member.data()), beside].into_iter().flatten();
            let mut places = places.filter_map(|place| place.canonicalize().ok());
            return places.any(|place| journals.iter().any(|file| file.starts_with(&place)));
        }
        let its = member.config_file().canonicalize();
        self.config.canonicalize().is_ok_and(|config| its.is_ok_and(|its| its == config))
    }

    /// The files that the process has open.
    fn open(&self) -> impl Iterator<Item = PathBuf> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok())
    }
}

/// Whether a file lies in a directory that is called as those of journals are.
fn is_of_a_journal(file: &Path) -> bool {
    file.parent().and_then(Path::file_name).is_some_and(|name| name == "journal")
}

/// The state of a process: R and S when it lives, T when it was stopped, Z when it has ended.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
