//! Starts, watches and stops the validators of a network.
//!
//! ```text
//! up:    spawn all (detached) ── poll each client port until it answers ── write node.pid ── endpoints
//! down:  read node.pid ── is it ours? ── SIGTERM to all ── wait ── SIGKILL those that stay ── what was stopped
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use client::answers::StatusAnswer;

use super::process::{self, Tie};
use super::{Member, Network, ProcessError, ValidatorProcess};
use crate::signals;

/// How often a starting or stopping validator is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long `up` waits for all validators to answer.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How long `down` waits before it kills.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Why a network could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A validator ended, or could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A validator did not answer in time.
    #[error(
        "validator \"{name}\" did not answer at {address} within {waited:?}: {reason}; the end of its log:\n{tail}"
    )]
    NotReady {
        /// The validator.
        name: String,
        /// Its client port.
        address: net::Address,
        /// How long it was given.
        waited: Duration,
        /// The last refusal.
        reason: String,
        /// The end of its log.
        tail: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The answer.
        source: io::Error,
    },
}

/// What became of one validator that was to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// It stopped when asked.
    Stopped(u32),
    /// It had to be killed.
    Killed(u32),
    /// It was not running.
    NotRunning,
}

/// A validator that runs in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Whether it was running before.
    pub before: bool,
    /// What it says of itself.
    pub status: StatusAnswer,
}

/// Starts every validator that is not running and returns when all answer; they go on when the caller ends.
///
/// # Errors
/// [`RunError`]; validators started by this call are stopped again.
pub fn up(network: &Network, executable: &Path) -> Result<Vec<Running>, RunError> {
    let before: Vec<Option<u32>> = network.members.iter().map(running).collect();
    let mut started = Vec::new();
    let result = start_missing(network, executable, &before, &mut started);
    if result.is_err() {
        for process in started {
            // The first failure is the one to report.
            let _ = process.stop(STOP_PATIENCE);
        }
        for (member, _) in network.members.iter().zip(&before).filter(|(_, pid)| pid.is_none()) {
            let _ = fs::remove_file(member.pid_file());
        }
    }
    result
}

/// From now on, a signal that asks this process to stop also stops the validators of the network that do not run yet:
/// for [`up`], which may be interrupted while it waits for them. The signals must have been blocked.
///
/// # Errors
/// The operating system gave no thread.
pub fn stop_new_on_signal(network: &Network) -> Result<(), RunError> {
    let (members, executable) = (network.members.clone(), "the thread that waits for signals");
    let before: Vec<bool> = members.iter().map(|member| running(member).is_some()).collect();
    let watch = move || {
        let Ok(signal) = signals::wait() else { return };
        for member in members.iter().zip(before).filter(|(_, before)| !before).map(|(member, _)| member) {
            if let Some(pid) = running(member) {
                process::signal(pid, libc::SIGTERM);
            }
            // There is none where it was not started.
            let _ = fs::remove_file(member.pid_file());
        }
        eprintln!("stopped by a signal, and with it the validators that were being started");
        std::process::exit(signal.exit_code());
    };
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(watch);
    spawned.map(drop).map_err(|source| RunError::Io { path: executable.into(), source })
}

fn start_missing(
    network: &Network,
    executable: &Path,
    before: &[Option<u32>],
    started: &mut Vec<ValidatorProcess>,
) -> Result<Vec<Running>, RunError> {
    let mut pids = Vec::new();
    for (member, running) in network.members.iter().zip(before) {
        if let Some(pid) = running {
            pids.push(*pid);
            continue;
        }
        let process = ValidatorProcess::spawn(executable, member, Tie::Detached)?;
        let (path, pid) = (member.pid_file(), process.pid());
        started.push(process);
        fs::write(&path, format!("{pid}\n")).map_err(|source| RunError::Io { path, source })?;
        pids.push(pid);
    }
    let statuses = wait_ready(network, started, READY_PATIENCE)?;
    let before = before.iter().map(Option::is_some);
    let all = pids.into_iter().zip(before).zip(statuses);
    Ok(all.map(|((pid, before), status)| Running { pid, before, status }).collect())
}

/// Waits until every validator answers on its client port and is connected to a quorum.
///
/// # Errors
/// [`RunError`] if one dies or does not answer in time.
pub fn wait_ready(
    network: &Network,
    processes: &mut [ValidatorProcess],
    patience: Duration,
) -> Result<Vec<StatusAnswer>, RunError> {
    let quorum = network.genesis.quorum();
    let mut waited = Duration::ZERO;
    let mut statuses = Vec::new();
    for member in &network.members {
        loop {
            processes.iter_mut().try_for_each(ValidatorProcess::check)?;
            let status = member.connect(&network.genesis).and_then(|mut client| client.status());
            let reason = match status.map(|answer| answer.value) {
                Ok(status) if status.peers.len() + 1 >= quorum => {
                    statuses.push(status);
                    break;
                }
                Ok(status) => format!("it has found {} peers, and needs {}", status.peers.len(), quorum - 1),
                Err(error) => error.to_string(),
            };
            if waited >= patience {
                let its = processes.iter().find(|process| process.name() == member.name);
                let tail = its.map(ValidatorProcess::tail).unwrap_or_default();
                let (name, address) = (member.name.clone(), member.clients.clone());
                return Err(RunError::NotReady { name, address, waited, reason, tail });
            }
            std::thread::sleep(POLL);
            waited += POLL;
        }
    }
    Ok(statuses)
}

/// Stops every validator of the network that `up` started.
///
/// # Errors
/// [`RunError::Io`] where a pid file cannot be removed.
pub fn down(network: &Network) -> Result<Vec<Down>, RunError> {
    let pids: Vec<Option<u32>> = network.members.iter().map(running).collect();
    for pid in pids.iter().flatten() {
        process::signal(*pid, libc::SIGTERM);
    }
    let mut waited = Duration::ZERO;
    let mut outcome = Vec::new();
    for (member, pid) in network.members.iter().zip(&pids) {
        outcome.push(match pid {
            None => Down::NotRunning,
            Some(pid) => {
                while process::runs(*pid, &member.config_file()) && waited < STOP_PATIENCE {
                    std::thread::sleep(POLL);
                    waited += POLL;
                }
                if process::runs(*pid, &member.config_file()) {
                    process::signal(*pid, libc::SIGKILL);
                    Down::Killed(*pid)
                } else {
                    Down::Stopped(*pid)
                }
            }
        });
        let path = member.pid_file();
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(RunError::Io { path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(outcome)
}

/// The process of a validator that `up` started, if it is still running.
fn running(member: &Member) -> Option<u32> {
    let pid = fs::read_to_string(member.pid_file()).ok()?.trim().parse().ok()?;
    process::runs(pid, &member.config_file()).then_some(pid)
}
