//! One validator as a child process of this executable.
//!
//! ```text
//! spawn ── running ──┬── stop(): SIGTERM, wait, SIGKILL if it does not go ── Stopped
//!                    ├── exited by itself: ProcessError::Died with the end of its log
//!                    └── dropped: SIGKILL (a tied process also dies with the thread that spawned it)
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::Member;

/// Bytes from the end of a log that are shown when a validator died.
const TAIL_BYTES: u64 = 4096;
/// How often a stopping process is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Why a validator's process is not running.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start validator \"{name}\": {}: {source}", file.display())]
    Spawn {
        /// The validator.
        name: String,
        /// The file that is missing or cannot be used.
        file: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// It ended although nobody stopped it.
    #[error("validator \"{name}\" ended by itself ({status}); the end of {}:\n{tail}", log.display())]
    Died {
        /// The validator.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// It did not stop when asked, and was killed.
    #[error("validator \"{name}\" did not stop within {waited:?} and was killed; see {}", log.display())]
    Stubborn {
        /// The validator.
        name: String,
        /// How long it was given.
        waited: Duration,
        /// Its log.
        log: PathBuf,
    },
}

/// Whether a validator outlives the process that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// It dies with the starting thread, whatever happens to it.
    Tied,
    /// It goes on: `network up`.
    Detached,
}

/// A running validator.
#[derive(Debug)]
pub struct ValidatorProcess {
    name: String,
    log: PathBuf,
    /// How long its log was before: what is above is of earlier runs.
    log_from: u64,
    child: Child,
    tie: Tie,
}

impl ValidatorProcess {
    /// Starts `millrace node` for a member of a network. Its output is appended to its log.
    ///
    /// A tied process is killed by the kernel when the *thread* that called this ends, so call it on a
    /// thread that lives as long as the processes are wanted.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn spawn(executable: &Path, member: &Member, tie: Tie) -> Result<Self, ProcessError> {
        let failed = |file: &Path| {
            let (name, file) = (member.name.clone(), file.to_owned());
            move |source| ProcessError::Spawn { name, file, source }
        };
        let (config, log_file) = (member.config_file(), member.log_file());
        // Absolute, so that every command recognises the process, from whatever directory it is typed.
        let config = config.canonicalize().map_err(failed(&config))?;
        let log = OpenOptions::new().create(true).append(true).open(&log_file).map_err(failed(&log_file))?;
        let log_from = log.metadata().map_err(failed(&log_file))?.len();
        let mut command = Command::new(executable);
        command
            .args(["node", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed(&log_file))?)
            .stderr(log);
        let parent = std::process::id();
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid and setsid.
        unsafe {
            command.pre_exec(move || match tie {
                Tie::Tied => die_with(parent),
                Tie::Detached => own_session(),
            });
        }
        if tie == Tie::Tied {
            // Ctrl-C reaches only the parent, which stops its validators in its own order.
            command.process_group(0);
        }
        let child = command.spawn().map_err(failed(executable))?;
        Ok(Self { name: member.name.clone(), log: log_file, log_from, child, tie })
    }

    /// The id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The validator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fails if the process has ended.
    ///
    /// # Errors
    /// [`ProcessError::Died`] with the end of its log.
    pub fn check(&mut self) -> Result<(), ProcessError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(self.died(status)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Asks the process to stop, without waiting for it.
    pub fn ask_to_stop(&self) {
        signal(self.child.id(), libc::SIGTERM);
    }

    /// Kills the process, as a power cut would.
    pub fn kill(&mut self) {
        // An error means that it has gone already, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Errors
    /// [`ProcessError::Stubborn`] if it had to be killed, [`ProcessError::Died`] if it failed while stopping.
    pub fn stop(mut self, patience: Duration) -> Result<(), ProcessError> {
        self.ask_to_stop();
        let mut waited = Duration::ZERO;
        while waited < patience {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.died(status)),
                Ok(None) | Err(_) => std::thread::sleep(POLL),
            }
            waited += POLL;
        }
        self.kill();
        Err(ProcessError::Stubborn { name: self.name.clone(), waited, log: self.log.clone() })
    }

    /// The last lines that this process has logged.
    pub(super) fn tail(&self) -> String {
        shown_tail(&self.log, self.log_from)
    }

    fn died(&self, status: ExitStatus) -> ProcessError {
        let tail = self.tail();
        ProcessError::Died { name: self.name.clone(), status, log: self.log.clone(), tail }
    }
}

impl Drop for ValidatorProcess {
    fn drop(&mut self) {
        if self.tie == Tie::Tied {
            self.kill();
        }
    }
}

/// Sends a signal to a process; one that has gone is no error.
pub(crate) fn signal(pid: u32, signal: libc::c_int) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: kill takes plain numbers; `pid` is positive, so it names one process and no group.
    let _ = unsafe { libc::kill(pid, signal) };
}

/// The last lines of a log for a person to read, of those that begin at `from` or later.
pub(super) fn shown_tail(log: &Path, from: u64) -> String {
    match tail(log, from) {
        Ok(text) => text.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("(unreadable: {error})"),
    }
}

/// The last lines of a log, of those that begin at `from` or later.
pub(super) fn tail(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    let is_cut = length > from + TAIL_BYTES;
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match (is_cut, text.split_once('\n')) {
        (true, Some((_, whole_lines))) => whole_lines.to_owned(),
        _ => text.into_owned(),
    })
}

fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a signal number and touches no memory.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // The parent may have died before the call above.
    // SAFETY: getppid cannot fail and touches no memory.
    if unsafe { libc::getppid() } as u32 != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

fn own_session() -> io::Result<()> {
    // SAFETY: setsid takes nothing; it fails only for a group leader, which a forked child is not.
    match unsafe { libc::setsid() } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
