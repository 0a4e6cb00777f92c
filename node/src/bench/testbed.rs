//! The network that a benchmark or a demonstration runs on: its directory and its processes, none of which outlives it.
//!
//! ```text
//! dropped, panicked ──> processes killed, temporary directory removed
//! SIGINT, SIGTERM ────> the load ends with what it has; the same by this thread or a waiting one, then exit 130, 143
//! SIGKILL ────────────> the kernel kills the processes (they are tied); the directory stays
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::interrupt::Interrupt;
use crate::config::Config;
use crate::network::{self, InitOptions, Network, ProcessError, Tie, ValidatorProcess};

/// How long validators may take to stop, all together.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How long they may take to find each other.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// The directory of a benchmark.
#[derive(Debug)]
struct BenchDirectory {
    path: PathBuf,
    /// Whether it is removed at the end.
    temporary: bool,
}

/// What has to be cleaned up, by this thread or by the one that waits for signals. Never locked for long.
#[derive(Debug, Default)]
struct Cleanup {
    /// Processes that run, and have not been waited for.
    pids: Vec<u32>,
    directory: Option<BenchDirectory>,
}

impl Cleanup {
    /// Kills what runs and removes what is temporary.
    fn clear(&mut self) {
        self.pids.drain(..).for_each(|pid| network::signal(pid, libc::SIGKILL));
        if let Some(directory) = self.directory.take().filter(|directory| directory.temporary)
            && let Err(error) = fs::remove_dir_all(&directory.path)
        {
            eprintln!("cannot remove {}: {error}", directory.path.display());
        }
    }
}

/// A running network that belongs to this process.
#[derive(Debug)]
pub(crate) struct Testbed {
    pub network: Network,
    pub interrupt: Interrupt,
    /// In the order of the validators; none once it is stopped or has ended.
    processes: Vec<Option<ValidatorProcess>>,
    cleanup: Arc<Mutex<Cleanup>>,
}

impl Testbed {
    /// Makes a network in `data`, or in a temporary directory that is removed afterwards unless it is kept.
    pub(crate) fn build(data: Option<&Path>, keep: bool, options: &InitOptions) -> Result<Self> {
        let path = match data {
            Some(path) => path.to_owned(),
            None => temporary(&options.name).context("cannot make a temporary directory")?,
        };
        let directory = BenchDirectory { path: path.clone(), temporary: data.is_none() && !keep };
        let cleanup = Arc::new(Mutex::new(Cleanup { pids: Vec::new(), directory: Some(directory) }));
        let at_last = Arc::clone(&cleanup);
        let interrupt = Interrupt::watch(move || {
            let mut cleanup = lock(&at_last);
            cleanup.clear();
            // Kept locked until the process ends, so that nobody starts another one meanwhile.
            std::mem::forget(cleanup);
        })?;
        let made = network::init(&path, options).map_err(anyhow::Error::from).and_then(|network| {
            // All configurations are alike: a setting that makes no sense is better refused here than by each process.
            Config::load(&network.members[0].config_file())?;
            Ok(network)
        });
        match made {
            Ok(network) => Ok(Self { network, interrupt, processes: Vec::new(), cleanup }),
            Err(error) => {
                lock(&cleanup).clear();
                Err(error)
            }
        }
    }

    /// Starts all validators and waits until they answer. Call it on the thread that outlives them.
    pub(crate) fn start(&mut self) -> Result<()> {
        let executable = std::env::current_exe().context("cannot find this executable")?;
        let mut started = Vec::new();
        for member in &self.network.members {
            let mut cleanup = lock(&self.cleanup);
            let process = ValidatorProcess::spawn(&executable, member, Tie::Tied)?;
            cleanup.pids.push(process.pid());
            started.push(process);
        }
        network::wait_ready(&self.network, &mut started, READY_PATIENCE)?;
        self.processes = started.into_iter().map(Some).collect();
        Ok(())
    }

    /// The processes, in the order of the validators.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.iter().flatten().map(ValidatorProcess::pid).collect()
    }

    /// Those that have ended by themselves: which, and why.
    pub(crate) fn take_dead(&mut self) -> Vec<(usize, ProcessError)> {
        let mut dead = Vec::new();
        for (at, slot) in self.processes.iter_mut().enumerate() {
            if let Some(error) = slot.as_mut().and_then(|process| process.check().err()) {
                let pid = slot.take().map(|process| process.pid());
                lock(&self.cleanup).pids.retain(|other| Some(*other) != pid);
                dead.push((at, error));
            }
        }
        dead
    }

    /// Kills a validator, as a power cut would.
    pub(crate) fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.processes.get_mut(at).and_then(Option::take) {
            lock(&self.cleanup).pids.retain(|pid| *pid != process.pid());
            process.kill();
        }
    }

    /// Starts a validator that was killed. Call it on the thread that outlives it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_again(&mut self, at: usize) -> Result<()> {
        let executable = std::env::current_exe().context("cannot find this executable")?;
        let mut cleanup = lock(&self.cleanup);
        let process = ValidatorProcess::spawn(&executable, &self.network.members[at], Tie::Tied)?;
        cleanup.pids.push(process.pid());
        self.processes[at] = Some(process);
        Ok(())
    }

    /// Sends a signal to a validator, if it runs.
    pub(crate) fn signal(&self, at: usize, signal: libc::c_int) {
        if let Some(pid) = self.pid_of(at) {
            network::signal(pid, signal);
        }
    }

    /// The process of a validator, if it runs.
    pub(crate) fn pid_of(&self, at: usize) -> Option<u32> {
        self.processes.get(at)?.as_ref().map(ValidatorProcess::pid)
    }

    /// Stops all validators, in good order.
    pub(crate) fn stop(&mut self) -> Result<(), ProcessError> {
        let processes: Vec<_> = self.processes.iter_mut().filter_map(Option::take).collect();
        lock(&self.cleanup).pids.clear();
        processes.iter().for_each(ValidatorProcess::ask_to_stop);
        processes.into_iter().try_for_each(|process| process.stop(STOP_PATIENCE))
    }

    /// Kills what runs and removes what is temporary.
    pub(crate) fn clear(&mut self) {
        // They are killed and waited for.
        self.processes.clear();
        let mut cleanup = lock(&self.cleanup);
        cleanup.pids.clear();
        cleanup.clear();
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        // The thread that waits for signals holds the cleanup too, so it would not be dropped by itself.
        self.clear();
    }
}

fn lock(cleanup: &Mutex<Cleanup>) -> MutexGuard<'_, Cleanup> {
    cleanup.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new directory that nobody else uses.
fn temporary(name: &str) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = std::env::temp_dir().join(format!("millrace-{name}-{}", hex::encode(random)));
    fs::create_dir(&path)?;
    Ok(path)
}
