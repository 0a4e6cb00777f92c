//! Where a benchmark plays: a network's directory and its processes, none of which outlives it.
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
/// What the shell calls a process that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// The directory of a benchmark.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Whether it is removed at the end.
    temporary: bool,
}

/// What has to be cleaned up, by this thread or by the one that waits for signals.
#[derive(Debug, Default)]
struct Debris {
    processes: Vec<ValidatorProcess>,
    place: Option<Place>,
}

impl Debris {
    /// Kills what runs and removes what is temporary.
    fn clear(&mut self) {
        self.processes.clear();
        if let Some(place) = self.place.take().filter(|place| place.temporary)
            && let Err(error) = fs::remove_dir_all(&place.path)
        {
            eprintln!("cannot remove {}: {error}", place.path.display());
        }
    }
}

/// A running network that belongs to this process.
#[derive(Debug)]
pub(super) struct Stage {
    pub network: Network,
    debris: Arc<Mutex<Debris>>,
}

impl Stage {
    /// Makes a network in `data`, or in a temporary directory that is removed afterwards unless it is kept.
    pub(super) fn build(data: Option<&Path>, keep: bool, options: &InitOptions) -> Result<Self> {
        let path = match data {
            Some(path) => path.to_owned(),
            None => temporary().context("cannot make a temporary directory")?,
        };
        let place = Place { path: path.clone(), temporary: data.is_none() && !keep };
        let debris = Arc::new(Mutex::new(Debris { processes: Vec::new(), place: Some(place) }));
        watch_signals(Arc::clone(&debris))?;
        let made = network::init(&path, options).map_err(anyhow::Error::from).and_then(|network| {
            // All configurations are alike: a setting that makes no sense is better refused here than by each process.
            Config::load(&network.members[0].config_file())?;
            Ok(network)
        });
        match made {
            Ok(network) => Ok(Self { network, debris }),
            Err(error) => {
                debris.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Err(error)
            }
        }
    }

    /// Starts all validators and waits until they answer. Call it on the thread that outlives them.
    pub(super) fn start(&mut self) -> Result<()> {
        let executable = std::env::current_exe().context("cannot find this executable")?;
        let mut debris = self.debris.lock().unwrap_or_else(PoisonError::into_inner);
        for member in &self.network.members {
            let process = ValidatorProcess::spawn(&executable, member, Tie::Tied)?;
            debris.processes.push(process);
        }
        network::wait_ready(&self.network, &mut debris.processes, READY_PATIENCE)?;
        Ok(())
    }

    /// The processes, in the order of the validators.
    pub(super) fn pids(&self) -> Vec<u32> {
        let debris = self.debris.lock().unwrap_or_else(PoisonError::into_inner);
        debris.processes.iter().map(ValidatorProcess::pid).collect()
    }

    /// Fails if a validator has ended by itself.
    pub(super) fn check(&self) -> Result<(), ProcessError> {
        let mut debris = self.debris.lock().unwrap_or_else(PoisonError::into_inner);
        debris.processes.iter_mut().try_for_each(ValidatorProcess::check)
    }

    /// Stops all validators, in good order.
    pub(super) fn stop(&self) -> Result<(), ProcessError> {
        let mut debris = self.debris.lock().unwrap_or_else(PoisonError::into_inner);
        let processes = std::mem::take(&mut debris.processes);
        processes.iter().for_each(ValidatorProcess::ask_to_stop);
        processes.into_iter().try_for_each(|process| process.stop(STOP_PATIENCE))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The thread that waits for signals holds the debris too, so it would not be dropped by itself.
        self.debris.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// On a signal, cleans up and ends this process.
fn watch_signals(debris: Arc<Mutex<Debris>>) -> Result<()> {
    let watch = move || {
        if signals::wait().is_ok() {
            eprintln!("stopped by a signal");
            // Kept locked, so that nobody starts another process meanwhile.
            let mut debris = debris.lock().unwrap_or_else(PoisonError::into_inner);
            debris.clear();
            std::process::exit(EXIT_INTERRUPTED);
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
