//! The audit log of administration: a line of JSON for each thing that somebody asked for and for what came of it.
//!
//! ```text
//! changes           ─▶ audit.log       ── full ─▶ audit.log.1 ─▶ … ─▶ audit.log.KEPT ─▶ removed
//! reads and refusals ─▶ audit.log.reads ── full ─▶ audit.log.reads.1 ─▶ …
//! ```
//!
//! Invariants: a line is on the disk before its call is answered, and before a change is made; the files are for their
//! owner alone (mode 0600), and of each kind there are at most [`KEPT`] and one of [`FILE_BYTES_MAX`] each. Only
//! changes of those who may make them push out lines of older changes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::tokens::sync_directory;

/// Bytes after which a file is put aside.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Files that are kept beside the present one.
const KEPT: u32 = 8;

/// The log.
#[derive(Debug)]
pub struct Audit {
    file: PathBuf,
    bytes_max: u64,
    open: Mutex<()>,
}

/// What one line says.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// What ties the lines of one call together.
    pub call_id: &'a str,
    /// Seconds since the Unix epoch.
    pub unix: u64,
    /// Who calls: the kind and the name of what was shown.
    pub who: &'a str,
    /// The address of the caller.
    pub from: &'a str,
    /// The name of the call.
    pub call: &'a str,
    /// What it was told; null is not written.
    pub what: &'a Value,
    /// `begun`, `done` or `refused`.
    pub outcome: &'a str,
    /// Why, where it was refused.
    pub why: Option<&'a str>,
    /// How many refusals before this line got none.
    pub left_out: u64,
}

impl Audit {
    /// The log in a file, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be written, or others can read it.
    pub fn open(file: &Path) -> io::Result<Self> {
        let audit = Self { file: file.to_owned(), bytes_max: FILE_BYTES_MAX, open: Mutex::new(()) };
        audit.file().map(|_| audit)
    }

    fn file(&self) -> io::Result<File> {
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.file)?;
        let mode = opened.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let words = format!("its mode is {mode:04o}, so others can read or change it: chmod 600 it");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
        }
        Ok(opened)
    }

    /// Appends a line, durably.
    ///
    /// # Errors
    /// What the system says; then the call must not be made.
    pub fn append(&self, line: Line<'_>) -> io::Result<()> {
        let Line { call_id, unix, who, from, call, what, outcome, why, left_out } = line;
        let mut said = json!({
            "time": time_of(unix), "id": call_id, "who": who, "from": from, "call": call, "outcome": outcome,
        });
        if !what.is_null() {
            said["what"] = what.clone();
        }
        if left_out > 0 {
            said["left_out"] = left_out.into();
        }
        if let Some(why) = why {
            said["why"] = why.into();
        }
        let mut text = format!("{said}\n");
        let _one_at_a_time = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.file()?;
        if file.metadata()?.len() + text.len() as u64 > self.bytes_max {
            self.rotate()?;
            file = self.file()?;
        }
        let length = file.metadata()?.len();
        if ends_torn(&file, length)? {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        // A new file, or one after a rotation, is there after a crash only once its directory is on the disk.
        if length == 0 { sync_directory(&self.file) } else { Ok(()) }
    }

    fn rotate(&self) -> io::Result<()> {
        let aside = |number: u32| {
            let mut name = self.file.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT).rev() {
            match fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.file, aside(1))
    }
}

/// Whether the last line was not written to its end, as on a full disk.
fn ends_torn(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last != [b'\n'])
}

fn time_of(unix: u64) -> String {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let time = i64::try_from(unix).ok().and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| unix.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(call_id: &str) -> Line<'_> {
        const WHAT: Value = Value::Null;
        Line {
            call_id,
            unix: 1_800_000_000,
            who: "token ops",
            from: "127.0.0.1",
            call: "silence",
            what: &WHAT,
            outcome: "refused",
            why: Some("a \"reason\"\nof two lines"),
            left_out: 0,
        }
    }

    #[test]
    fn a_line_is_one_line_and_the_file_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("audit.log");
        let audit = Audit::open(&file).unwrap();
        audit.append(line("1")).unwrap();
        audit.append(line("2")).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let said: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (said.len(), &said[1]["id"], &said[0]["time"]),
            (2, &json!("2"), &json!("2027-01-15T08:00:00Z"))
        );
        assert_eq!(said[0]["why"], "a \"reason\"\nof two lines");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(audit.append(line("3")).unwrap_err().to_string().contains("chmod 600"));
        assert!(Audit::open(&file).is_err());
        assert!(Audit::open(&directory.path().join("nowhere/audit.log")).is_err());
    }

    #[test]
    fn a_line_that_was_not_written_to_its_end_spoils_no_other_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("audit.log");
        let audit = Audit::open(&file).unwrap();
        audit.append(line("1")).unwrap();
        let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
        torn.write_all(b"{\"time\":\"20").unwrap();
        audit.append(line("2")).unwrap();
        audit.append(line("3")).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let read = |line: &str| serde_json::from_str::<Value>(line).ok().map(|of| of["id"].clone());
        let ids: Vec<_> = text.lines().map(read).collect();
        assert_eq!(ids, [Some(json!("1")), None, Some(json!("2")), Some(json!("3"))], "{text}");
    }

    #[test]
    fn there_are_only_so_many_files_and_the_newest_lines_are_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("audit.log");
        let audit = Audit { bytes_max: 600, ..Audit::open(&file).unwrap() };
        for number in 0..100 {
            audit.append(line(&number.to_string())).unwrap();
        }
        let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|of| of.unwrap().path()).collect();
        assert_eq!(files.len() as u32, KEPT + 1, "{files:?}");
        assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 600));
        assert!(fs::read_to_string(&file).unwrap().contains("\"id\":\"99\""));
        let before = fs::read_to_string(directory.path().join("audit.log.1")).unwrap();
        assert!(before.contains("\"id\":\"97\"") || before.contains("\"id\":\"98\""), "{before}");
    }
}
