//! Work on a file in pieces, with rests.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use crate::validator::clock::Clock;

/// Bytes of a piece.
pub const PIECE_BYTES: usize = 1 << 20;
/// The thread rests so many times as long as it has worked, so that it takes a small part of a core and of the disk:
/// all validators write theirs at the same height, and some share a machine.
const RESTS: u32 = 15;
/// …and a scrubber so many times: it never has an end, and may take 2 % of a core.
const SCRUB_RESTS: u32 = 63;
/// …but no longer than this at a time: a thread that was kept waiting has not worked.
const REST_MAX: Duration = Duration::from_secs(1);
/// How often it is looked meanwhile whether the validator stops.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Slows the work on a file: when the present piece began, and whether the validator is stopping.
#[derive(Clone, Copy)]
pub struct Pace<'a> {
    clock: &'a Clock,
    since: Duration,
    stopping: &'a dyn Fn() -> bool,
    rests: u32,
    /// Bytes in a second at most; none: as many as there are.
    rate: Option<u64>,
}

impl<'a> Pace<'a> {
    pub(super) fn new(clock: &'a Clock, stopping: &'a dyn Fn() -> bool) -> Self {
        Self { clock, since: clock.now(), stopping, rests: RESTS, rate: None }
    }

    /// That of a scrubber, which reads so many bytes in a second at most.
    pub fn scrubbing(clock: &'a Clock, stopping: &'a dyn Fn() -> bool, rate: u64) -> Self {
        Self { rests: SCRUB_RESTS, rate: Some(rate.max(1)), ..Self::new(clock, stopping) }
    }

    /// Whether the validator is stopping.
    pub fn is_stopping(&self) -> bool {
        (self.stopping)()
    }

    /// So many bytes are done. Rests as long as the rate asks, whatever that is.
    ///
    /// # Errors
    /// The validator is stopping. Not as *interrupted*: that would be tried again.
    pub fn rest(&mut self, bytes: u64) -> io::Result<()> {
        let least = self.rate.map_or(0.0, |rate| bytes as f64 / rate as f64);
        let worked = self.clock.now().saturating_sub(self.since);
        let rest = (worked * self.rests).min(REST_MAX);
        let until = self.since + (worked + rest).max(Duration::from_secs_f64(least));
        loop {
            if (self.stopping)() {
                return Err(io::Error::other("the validator is stopping"));
            }
            match until.saturating_sub(self.clock.now()) {
                Duration::ZERO => break,
                left => std::thread::sleep(left.min(LOOK_EVERY)),
            }
        }
        self.since = self.clock.now();
        Ok(())
    }
}

/// A file that is written piece by piece.
pub(super) struct PacedWriter<'a> {
    pub(super) file: File,
    piece: Vec<u8>,
    pace: Pace<'a>,
}

impl<'a> PacedWriter<'a> {
    pub(super) fn new(file: File, pace: Pace<'a>) -> Self {
        Self { file, piece: Vec::new(), pace }
    }
}

impl Write for PacedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            let bytes = self.piece.len() as u64;
            self.flush()?;
            self.pace.rest(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.piece)?;
        self.piece.clear();
        start_writing(&self.file)
    }
}

/// Has the system begin to write what it holds of a file, so that little is left for the sync at the end. This is no
/// sync: one for each piece would have the file system write down each time how long the file is, and the journal's
/// syncs would wait behind that.
fn start_writing(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file that is read piece by piece.
pub(super) struct PacedReader<'a> {
    file: File,
    /// Bytes that were read of the present piece.
    read: usize,
    pace: Pace<'a>,
}

impl<'a> PacedReader<'a> {
    pub(super) fn new(file: File, pace: Pace<'a>) -> Self {
        Self { file, read: 0, pace }
    }
}

impl Read for PacedReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.read += count;
        if self.read >= PIECE_BYTES {
            self.pace.rest(std::mem::take(&mut self.read) as u64)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 3 * PIECE_BYTES / 1_000 * 1_000;

    fn written(file: File, stopping: &dyn Fn() -> bool) -> io::Result<u64> {
        let clock = Clock::start();
        let mut paced = PacedWriter::new(file, Pace::new(&clock, stopping));
        for _ in 0..BYTES / 1_000 {
            paced.write_all(&[7; 1_000])?;
        }
        paced.flush()?;
        Ok(paced.file.metadata()?.len())
    }

    fn read(file: File, stopping: &dyn Fn() -> bool) -> io::Result<u64> {
        let clock = Clock::start();
        let mut paced = PacedReader::new(file, Pace::new(&clock, stopping));
        io::copy(&mut paced, &mut io::sink())
    }

    #[test]
    fn a_scrubber_reads_no_more_in_a_second_than_it_may() {
        let (clock, rate) = (Clock::start(), 10 * PIECE_BYTES as u64);
        let mut pace = Pace::scrubbing(&clock, &|| false, rate);
        let began = clock.now();
        // A piece, and a record that is larger than one.
        [1, 13].into_iter().for_each(|pieces| pace.rest(pieces * PIECE_BYTES as u64).unwrap());
        let took = clock.now() - began;
        assert!(took >= Duration::from_millis(1_400), "14 pieces, a tenth of a second each: {took:?}");
    }

    #[test]
    fn a_long_rest_ends_when_the_validator_stops() {
        let (clock, looks) = (Clock::start(), std::cell::Cell::new(0));
        let stopping = || looks.replace(looks.get() + 1) == 2;
        let mut pace = Pace::scrubbing(&clock, &stopping, 1);
        assert!(pace.rest(1 << 40).is_err());
        assert!(clock.now() < Duration::from_secs(10) && !pace.is_stopping());
    }

    #[test]
    fn a_file_is_worked_through_or_given_up_when_the_validator_stops() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(written(File::create(&path).unwrap(), &|| true).is_err());
        assert_eq!(written(File::create(&path).unwrap(), &|| false).unwrap(), BYTES as u64);
        assert!(read(File::open(&path).unwrap(), &|| true).is_err());
        assert_eq!(read(File::open(&path).unwrap(), &|| false).unwrap(), BYTES as u64);
    }
}
