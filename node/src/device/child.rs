//! The child process, as the validator sees it.

use std::io::{self, BufRead as _, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::shared_memory::SharedMemory;
use super::worker::{COMMAND, MEMORY_WORDS, SOFTWARE};

/// Bytes of a line of the driver that go to the log.
const PRINTED_BYTES_MAX: usize = 256;
/// Lines of the driver that go to the log; a driver may print without end.
const PRINTED_LINES_MAX: usize = 32;
/// How long a child that was killed is waited for, in steps. One that hangs in the kernel is left to it.
const REAPED_WITHIN: (u32, Duration) = (20, Duration::from_millis(20));
/// A child reads its lines at once; one that does not is hanging.
const WRITE_PATIENCE: Duration = Duration::from_millis(200);

/// Starts children; tests have another kind.
pub(super) trait Spawn: Send + Sync + std::fmt::Debug {
    /// Starts one.
    fn spawn(&self) -> io::Result<Link>;
}

/// A child that runs.
#[derive(Debug)]
pub(super) struct Link {
    /// Lines go both ways.
    pub(super) socket: UnixStream,
    /// The memory that the child maps, too.
    pub(super) memory: Arc<SharedMemory>,
    /// The process; none in tests, whose child is a thread.
    process: Option<Child>,
}

impl Link {
    pub(super) fn new(socket: UnixStream, memory: SharedMemory, process: Option<Child>) -> io::Result<Self> {
        let link = Self { socket, memory: Arc::new(memory), process };
        link.socket.set_write_timeout(Some(WRITE_PATIENCE))?;
        Ok(link)
    }

    /// Ends the child, whatever it does at the moment, and does not wait for it.
    pub(super) fn kill(&mut self) {
        // It may have ended.
        let _gone = self.socket.shutdown(Shutdown::Both);
        if let Some(process) = &mut self.process {
            let _gone = process.kill();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.kill();
        let Some(process) = &mut self.process else { return };
        let (steps, step) = REAPED_WITHIN;
        for _ in 0..steps {
            if !matches!(process.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(step);
        }
    }
}

/// This program, as a child.
#[derive(Debug)]
pub(super) struct Program {
    /// Its file.
    pub(super) path: PathBuf,
    /// Whether it may use a software device.
    pub(super) takes_software: bool,
}

impl Spawn for Program {
    fn spawn(&self) -> io::Result<Link> {
        let (memory, file) = SharedMemory::create(MEMORY_WORDS)?;
        let (ours, theirs) = UnixStream::pair()?;
        let process = Command::new(&self.path)
            .arg(COMMAND)
            .args(self.takes_software.then_some(SOFTWARE))
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::from(file))
            .stderr(Stdio::piped())
            .spawn()?;
        // Whatever fails from here on, the child is ended.
        let mut link = Link::new(ours, memory, Some(process))?;
        if let Some(printed) = link.process.as_mut().and_then(|process| process.stderr.take()) {
            thread::Builder::new().name("device-prints".into()).spawn(move || hand_on(printed))?;
        }
        Ok(link)
    }
}

/// Writes what a driver prints to the log, up to a bound.
fn hand_on(printed: impl io::Read) {
    let mut lines = BufReader::new(printed);
    let mut told = 0;
    let mut line = Vec::new();
    // Read to the end, or the child would stop at a full pipe.
    while let Ok(1..) = io::Read::take(&mut lines, PRINTED_BYTES_MAX as u64).read_until(b'\n', &mut line) {
        if told < PRINTED_LINES_MAX {
            told += 1;
            tracing::debug!(
                "the driver of the device prints: {}",
                String::from_utf8_lossy(&line).trim().escape_debug()
            );
        }
        line.clear();
    }
}
