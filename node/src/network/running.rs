//! Starts, watches and stops the validators of a network.
//!
//! ```text
//! up:    spawn those that do not run (detached) ── write node.pid ── wait until they answer ── what became of each
//! down:  find the processes ── SIGTERM to all ── wait ── SIGKILL those that stay ── what was stopped
//! ```
//!
//! A process is found by its `node.pid`, and without that (it was lost, or somebody has started the validator by hand)
//! among all processes of the machine. One that lives is never forgotten: its `node.pid` goes after it has gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::answers::StatusAnswer;

use super::found::{Processes, runs};
use super::process::{self, Tie};
use super::waiting::{self, Ready, Unready};
use super::{Member, Network, ProcessError, ValidatorProcess};
use crate::signals;
use crate::validator::clock::Clock;

/// How often a stopping validator is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long `down` waits before it kills.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How long it then waits for the end of what it has killed.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Why a network could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A validator ended, or could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A validator did not answer in time.
    #[error(
        "validator \"{name}\" was not ready at {address}, and for {waited:?} there was no progress: {reason}; the end of \
         its log:\n{tail}"
    )]
    NotReady {
        /// The validator.
        name: String,
        /// Its client port.
        address: net::Address,
        /// How long it was given.
        waited: Duration,
        /// What it was doing.
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
    /// It was killed, and is still there: it waits for the machine, mostly for a disk that does not answer.
    Stays(u32),
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
    /// That it only follows, in words; none of a member.
    pub follows: Option<String>,
}

/// What became of one validator that was to be up.
#[derive(Debug)]
pub enum Up {
    /// It answers, and is connected to a quorum, or to all others that run here; or it follows.
    Running(Box<Running>),
    /// It is not up. Its process, where that lives and is left alone, and the reason.
    Not(Option<u32>, RunError),
}

/// The processes that [`up`] has started. Who holds the lock starts one, or has stopped all of them for good.
type StartedProcesses = Arc<Mutex<Vec<(u32, Member)>>>;

/// Starts those of the chosen validators, by their places in the network, that are not running, and returns when each
/// of them is up, or has ended, or has made no progress for as long as `patience`. They go on when the caller ends. Who
/// is still waited for is told to `tell`. Also how many members make a quorum now.
pub fn up(
    (network, chosen): (&Network, &[usize]),
    executable: &Path,
    begun: &StartedProcesses,
    patience: Duration,
    tell: &mut dyn FnMut(String),
) -> (BTreeMap<usize, Up>, usize) {
    let found = Processes::list();
    let before: BTreeMap<usize, u32> = network
        .members
        .iter()
        .enumerate()
        .filter_map(|(at, member)| Some((at, running(member, &found)?)))
        .collect();
    let (mut outcomes, mut started, mut pids) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for at in chosen {
        if let Some(pid) = before.get(at) {
            pids.insert(*at, *pid);
            let file = network.members[*at].pid_file();
            if named_in(&file) != Some(*pid) {
                // It was lost. Where it cannot be written, the process is found without it next time, too.
                let _ = fs::write(file, format!("{pid}\n"));
            }
            continue;
        }
        match start(&network.members[*at], executable, begun) {
            Ok(process) => {
                pids.insert(*at, process.pid());
                started.push(process);
            }
            Err(error) => drop(outcomes.insert(*at, Up::Not(None, error))),
        }
    }
    let running = before.len() + started.len();
    let (ready, quorum) = waiting::wait(network, &pids, running, &mut started, patience, tell);
    for (at, outcome) in ready {
        let (member, pid) = (&network.members[at], pids[&at]);
        outcomes.insert(
            at,
            match outcome {
                Ok(Ready { status, follows }) => {
                    Up::Running(Box::new(Running { pid, before: before.contains_key(&at), status, follows }))
                }
                Err(unready) => {
                    let lives = runs(pid, member);
                    if !lives {
                        // There is nothing left that it names.
                        let _ = fs::remove_file(member.pid_file());
                    }
                    Up::Not(lives.then_some(pid), not_ready(member, &started, unready))
                }
            },
        );
    }
    (outcomes, quorum)
}

fn start(member: &Member, executable: &Path, begun: &StartedProcesses) -> Result<ValidatorProcess, RunError> {
    let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
    let mut process = ValidatorProcess::spawn(executable, member, Tie::Detached)?;
    begun.push((process.pid(), member.clone()));
    let path = member.pid_file();
    match fs::write(&path, format!("{}\n", process.pid())) {
        Ok(()) => Ok(process),
        Err(source) => {
            process.kill();
            Err(RunError::Io { path, source })
        }
    }
}

fn not_ready(member: &Member, processes: &[ValidatorProcess], unready: Unready) -> RunError {
    match unready {
        Unready::Ended(error) => error.into(),
        Unready::Waited(waited, reason) => {
            let its = processes.iter().find(|process| process.name() == member.name);
            let tail = its.map_or_else(|| process::shown_tail(&member.log_file(), 0), ValidatorProcess::tail);
            let (name, address) = (member.name.clone(), member.clients.clone());
            RunError::NotReady { name, address, waited, reason, tail }
        }
    }
}

/// Waits until all validators of a network, whose processes these are, answer and are connected to a quorum.
///
/// # Errors
/// [`RunError`] if one dies, or makes no progress for so long.
pub fn wait_ready(
    network: &Network,
    processes: &mut [ValidatorProcess],
    patience: Duration,
) -> Result<Vec<StatusAnswer>, RunError> {
    let place = |process: &ValidatorProcess| {
        let at = network.members.iter().position(|member| member.name == process.name())?;
        Some((at, process.pid()))
    };
    let pids: BTreeMap<usize, u32> = processes.iter().filter_map(place).collect();
    let (ready, _) = waiting::wait(network, &pids, pids.len(), processes, patience, &mut drop);
    let status = |(at, outcome): (usize, Result<Ready, Unready>)| match outcome {
        Ok(ready) => Ok(ready.status),
        Err(unready) => Err(not_ready(&network.members[at], processes, unready)),
    };
    ready.into_iter().map(status).collect()
}

/// From now on, a signal that asks this process to stop also stops those validators that [`up`] starts with what comes
/// back: it may be interrupted while it waits for them. The signals must have been blocked.
///
/// # Errors
/// The operating system gave no thread.
pub fn stop_new_on_signal() -> Result<StartedProcesses, RunError> {
    let started = StartedProcesses::default();
    let to_stop = Arc::clone(&started);
    let watch = move || {
        let Ok(signal) = signals::wait() else { return };
        // Held to the end, so that none is started behind it.
        let started = to_stop.lock().unwrap_or_else(PoisonError::into_inner);
        // A pid file stays until its process has gone, which nobody waits for here. The number of one that has ended
        // may be that of a stranger now.
        let running = started.iter().filter(|(pid, member)| runs(*pid, member));
        running.for_each(|(pid, _)| process::signal(*pid, libc::SIGTERM));
        eprintln!("stopped by a signal, and with it the validators that were being started");
        std::process::exit(signal.exit_code());
    };
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(watch);
    spawned.map_err(|source| RunError::Io { path: "the thread that waits for signals".into(), source })?;
    Ok(started)
}

/// Stops the chosen validators of the network, by their places in it, whether `up` has started them or somebody else.
///
/// # Errors
/// [`RunError::Io`] where a pid file cannot be removed.
pub fn down(network: &Network, chosen: &[usize]) -> Result<BTreeMap<usize, Down>, RunError> {
    let found = Processes::list();
    let pids: BTreeMap<usize, Option<u32>> =
        chosen.iter().map(|at| (*at, running(&network.members[*at], &found))).collect();
    for pid in pids.values().flatten() {
        process::signal(*pid, libc::SIGTERM);
        // One that was stopped by a signal would not hear of it.
        process::signal(*pid, libc::SIGCONT);
    }
    let clock = Clock::start();
    let mut outcome = BTreeMap::new();
    for (at, pid) in pids {
        let member = &network.members[at];
        let lives_at = |pid: u32, limit: Duration| {
            while runs(pid, member) && clock.now() < limit {
                std::thread::sleep(POLL);
            }
            runs(pid, member)
        };
        let became = match pid {
            None => Down::NotRunning,
            Some(pid) if !lives_at(pid, STOP_PATIENCE) => Down::Stopped(pid),
            Some(pid) => {
                process::signal(pid, libc::SIGKILL);
                if lives_at(pid, clock.now() + KILL_PATIENCE) { Down::Stays(pid) } else { Down::Killed(pid) }
            }
        };
        let path = member.pid_file();
        let removed = if matches!(became, Down::Stays(_)) { Ok(()) } else { fs::remove_file(&path) };
        outcome.insert(at, became);
        match removed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(RunError::Io { path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(outcome)
}

/// The process of a validator, if it is running.
fn running(member: &Member, found: &Processes) -> Option<u32> {
    named_in(&member.pid_file()).filter(|pid| runs(*pid, member)).or_else(|| found.of(member))
}

/// The process that a pid file names.
fn named_in(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
