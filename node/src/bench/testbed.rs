//! The network that a benchmark runs on: its directory and its processes, none of which outlives it.
//!
//! ```text
//! dropped, panicked ──> processes killed, temporary directory removed
//! SIGINT, SIGTERM ────> the same by a waiting thread, then exit 130
//! SIGKILL ────────────> the kernel kills the processes (they are tied); the directory stays
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::config::Config;
use crate::network::{self, InitOptions, Network, ProcessError, Tie, ValidatorProcess};
use crate::signals;

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

/// What has to be cleaned up, by this thread or by the one that waits for signals.
#[derive(Debug, Default)]
struct Cleanup {
    processes: Vec<ValidatorProcess>,
    directory: Option<BenchDirectory>,
}

impl Cleanup {
    /// Kills what runs and removes what is temporary.
    fn clear(&mut self) {
        self.processes.clear();
        if let Some(directory) = self.directory.take().filter(|directory| directory.temporary)
            && let Err(error) = fs::remove_dir_all(&directory.path)
        {
            eprintln!("cannot remove {}: {error}", directory.path.display());
        }
    }
}

/// A running network that belongs to this process.
#[derive(Debug)]
pub(super) struct Testbed {
    pub network: Network,
    cleanup: Arc<Mutex<Cleanup>>,
}

impl Testbed {
    /// Makes a network in `data`, or in a temporary directory that is removed afterwards unless it is kept.
    pub(super) fn build(data: Option<&Path>, keep: bool, options: &InitOptions) -> Result<Self> {
        let path = match data {
            Some(path) => path.to_owned(),
            None => temporary().context("cannot make a temporary directory")?,
        };
        let directory = BenchDirectory { path: path.clone(), temporary: data.is_none() && !keep };
        let cleanup = Arc::new(Mutex::new(Cleanup { processes: Vec::new(), directory: Some(directory) }));
        watch_signals(Arc::clone(&cleanup))?;
        let made = network::init(&path, options).map_err(anyhow::Error::from).and_then(|network| {
            // All configurations are alike: a setting that makes no sense is better refused here than by each process.
            Config::load(&network.members[0].config_file())?;
            Ok(network)
        });
        match made {
            Ok(network) => Ok(Self { network, cleanup }),
            Err(error) => {
                cleanup.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Err(error)
            }
        }
    }

    /// Starts all validators and waits until they answer. Call it on the thread that outlives them.
    pub(super) fn start(&mut self) -> Result<()> {
        let executable = std::env::current_exe().context("cannot find this executable")?;
        let mut cleanup = self.cleanup.lock().unwrap_or_else(PoisonError::into_inner);
        for member in &self.network.members {
            let process = ValidatorProcess::spawn(&executable, member, Tie::Tied)?;
            cleanup.processes.push(process);
        }
        network::wait_ready(&self.network, &mut cleanup.processes, READY_PATIENCE)?;
        Ok(())
    }

    /// The processes, in the order of the validators.
    pub(super) fn pids(&self) -> Vec<u32> {
        let cleanup = self.cleanup.lock().unwrap_or_else(PoisonError::into_inner);
        cleanup.processes.iter().map(ValidatorProcess::pid).collect()
    }

    /// Fails if a validator has ended by itself.
    pub(super) fn check(&self) -> Result<(), ProcessError> {
        let mut cleanup = self.cleanup.lock().unwrap_or_else(PoisonError::into_inner);
        cleanup.processes.iter_mut().try_for_each(ValidatorProcess::check)
    }

    /// Stops all validators, in good order.
    pub(super) fn stop(&self) -> Result<(), ProcessError> {
        let mut cleanup = self.cleanup.lock().unwrap_or_else(PoisonError::into_inner);
        let processes = std::mem::take(&mut cleanup.processes);
        processes.iter().for_each(ValidatorProcess::ask_to_stop);
        processes.into_iter().try_for_each(|process| process.stop(STOP_PATIENCE))
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        // The thread that waits for signals holds the cleanup too, so it would not be dropped by itself.
        self.cleanup.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// On a signal, cleans up and ends this process.
fn watch_signals(cleanup: Arc<Mutex<Cleanup>>) -> Result<()> {
    let watch = move || {
        if let Ok(signal) = signals::wait() {
            eprintln!("stopped by a signal");
            // Kept locked, so that nobody starts another process meanwhile.
            let mut cleanup = cleanup.lock().unwrap_or_else(PoisonError::into_inner);
            cleanup.clear();
            std::process::exit(signal.exit_code());
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).context("cannot start a thread")?;
    Ok(())
}

/// A new directory that nobody else uses.
fn temporary() -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = std::env::temp_dir().join(format!("millrace-bench-{}", hex::encode(random)));
    fs::create_dir(&path)?;
    Ok(path)
}
