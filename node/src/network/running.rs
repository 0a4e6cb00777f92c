//! Starts, watches and stops the validators of a network.
//!
//! ```text
//! up:    spawn all (detached) ── poll each client port until it answers ── write node.pid ── endpoints
//! down:  read node.pid ── is it ours? ── SIGTERM to all ── wait ── SIGKILL whoever stays ── what was stopped
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::process::{self, Tie};
use super::{Member, Network, ProcessError, ValidatorProcess};
use crate::client::Client;
use crate::query::answers::StatusAnswer;

/// How often a starting or stopping validator is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long `up` waits for all validators to answer.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How long `down` waits before it kills.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Why a network could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Validators of this network are running.
    #[error("validator \"{name}\" of this network is running already (process {pid}); stop it first: millrace network down {}", directory.display())]
    Running {
        /// One that runs.
        name: String,
        /// Its process.
        pid: u32,
        /// The network's directory.
        directory: std::path::PathBuf,
    },
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
        address: std::net::SocketAddr,
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

/// Starts every validator that is not running and returns when all answer; they go on when the caller ends.
///
/// # Errors
/// [`RunError`]; validators started by this call are stopped again.
pub fn up(network: &Network, executable: &Path) -> Result<Vec<(u32, StatusAnswer)>, RunError> {
    for member in &network.members {
        if let Some(pid) = running(member) {
            let (name, directory) = (member.name.clone(), network.directory.clone());
            return Err(RunError::Running { name, pid, directory });
        }
    }
    let mut started = Vec::new();
    let result = start_all(network, executable, &mut started);
    if result.is_err() {
        for process in started {
            // The first failure is the one to report.
            let _ = process.stop(STOP_PATIENCE);
        }
        for member in &network.members {
            let _ = fs::remove_file(member.pid_file());
        }
    }
    result
}

fn start_all(
    network: &Network,
    executable: &Path,
    started: &mut Vec<ValidatorProcess>,
) -> Result<Vec<(u32, StatusAnswer)>, RunError> {
    for member in &network.members {
        let process = ValidatorProcess::spawn(executable, member, Tie::Detached)?;
        let path = member.pid_file();
        let written = fs::write(&path, format!("{}\n", process.pid()));
        started.push(process);
        written.map_err(|source| RunError::Io { path, source })?;
    }
    let statuses = wait_ready(network, started, READY_PATIENCE)?;
    Ok(started.iter().map(ValidatorProcess::pid).zip(statuses).collect())
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
            let reason = match Client::connect(member, &network.genesis).and_then(|mut c| c.status()) {
                Ok(status) if status.peers.len() + 1 >= quorum => {
                    statuses.push(status);
                    break;
                }
                Ok(status) => format!("it has found {} peers, and needs {}", status.peers.len(), quorum - 1),
                Err(error) => error.to_string(),
            };
            if waited >= patience {
                let tail = process::tail(&member.log_file()).unwrap_or_default();
                let (name, address) = (member.name.clone(), member.clients);
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
