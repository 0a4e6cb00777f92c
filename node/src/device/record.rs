//! What a data directory knows of devices: from which height on one was used, and whether one was caught.
//!
//! ```text
//! DATA/device.json     since: the first height whose signatures a device may have accepted, and the CPU has not checked
//!                      distrust: why no device is used any more, and whether the CPU has checked those heights again
//! DATA/device.caught   what device.json becomes, by its name alone, when a device is caught: also on a full disk
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{put_in_place, replace_file};

/// The name of the file in the data directory.
pub const FILE: &str = "device.json";
/// The file that is written in advance.
const PREPARED: &str = "device.caught";
/// What that says; the reason follows when it can be written.
const CAUGHT: &str = "a wrong verdict; the log says which";
const FORMAT: &str = "millrace/device/1";

/// What is known. Every change is on the disk before it counts.
#[derive(Debug)]
pub struct Record {
    file: PathBuf,
    content: Option<Content>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distrust: Option<Distrust>,
}

/// Why no device is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distrust {
    /// What has shown it.
    pub why: String,
    /// Whether the CPU has checked again what a device may have accepted.
    pub checked_again: bool,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read or written.
    #[error("{}: {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is damaged, or of another format.
    #[error(
        "{}: not the record of a device ({problem}): put it back, or remove it, and then check the directory with \
         `millrace verify`",
        .file.display()
    )]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Record {
    /// Reads what a data directory knows.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn open(data: &Path) -> Result<Self, RecordError> {
        let file = data.join(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { file, content: None }),
            Err(error) => return Err(RecordError::Io { file, error }),
        };
        let problem = match serde_json::from_str::<Content>(&text) {
            Ok(content) if content.format == FORMAT => return Ok(Self { file, content: Some(content) }),
            Ok(content) => format!("its format is {:?} and not {FORMAT:?}", content.format),
            Err(error) => error.to_string(),
        };
        Err(RecordError::Content { file, problem })
    }

    /// The first height whose signatures a device may have accepted.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        self.content.as_ref().map(|content| content.since)
    }

    /// Why no device is used, if there is a reason.
    #[must_use]
    pub fn distrust(&self) -> Option<&Distrust> {
        self.content.as_ref()?.distrust.as_ref()
    }

    /// The file, for messages.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// From this height on a device may accept signatures, if not from an earlier one. What is to be said when it is
    /// caught is written in advance.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn used_from(&mut self, height: u64) -> Result<(), RecordError> {
        let since = self.since().map_or(height, |since| since.min(height));
        self.write(Content { format: FORMAT.to_owned(), since, distrust: self.distrust().cloned() })?;
        self.prepare()
    }

    /// The CPU has checked what is below this height, and found it good.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn checked_below(&mut self, height: u64) -> Result<(), RecordError> {
        let Some(content) = self.content.clone().filter(|content| content.since < height) else {
            return Ok(());
        };
        self.write(Content { since: height, ..content })?;
        if self.distrust().is_none() { self.prepare() } else { Ok(()) }
    }

    fn prepare(&self) -> Result<(), RecordError> {
        let Some(content) = self.content.clone() else { return Ok(()) };
        let distrust = Some(Distrust { why: CAUGHT.to_owned(), checked_again: false });
        write(&self.file.with_file_name(PREPARED), &Content { distrust, ..content })
    }

    /// A device was caught. What was accepted is to be checked again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn caught(&mut self, why: &str) -> Result<(), RecordError> {
        let distrust = Some(Distrust { why: why.to_owned(), checked_again: false });
        // Without the height everything counts as accepted by it.
        let since = self.since().unwrap_or(1);
        let content = Content { format: FORMAT.to_owned(), since, distrust };
        let prepared = put_in_place(&self.file.with_file_name(PREPARED), &self.file);
        let written = self.write(content.clone());
        if prepared.is_err() {
            return written;
        }
        self.content = Some(content);
        Ok(())
    }

    /// The CPU has checked everything again, and found it good.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn checked_again(&mut self) -> Result<(), RecordError> {
        let Some(mut content) = self.content.clone() else { return Ok(()) };
        content.distrust.iter_mut().for_each(|distrust| distrust.checked_again = true);
        self.write(content)
    }

    fn write(&mut self, content: Content) -> Result<(), RecordError> {
        write(&self.file, &content)?;
        self.content = Some(content);
        Ok(())
    }
}

fn write(file: &Path, content: &Content) -> Result<(), RecordError> {
    let text = serde_json::to_vec_pretty(content).map_err(io::Error::from);
    let written = text.and_then(|text| replace_file(file, &text));
    written.map_err(|error| RecordError::Io { file: file.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_height_is_kept_and_a_caught_device_stays_caught() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Record::open(directory.path()).unwrap();
        assert_eq!((open().since(), open().distrust()), (None, None));
        open().used_from(70).unwrap();
        open().used_from(90).unwrap();
        assert_eq!(open().since(), Some(70));
        open().used_from(12).unwrap();
        assert_eq!(open().since(), Some(12));
        open().caught("it accepts what is bad").unwrap();
        let distrust = Distrust { why: "it accepts what is bad".into(), checked_again: false };
        assert_eq!((open().since(), open().distrust()), (Some(12), Some(&distrust)));
        open().used_from(5).unwrap();
        open().checked_again().unwrap();
        let distrust = Distrust { checked_again: true, ..distrust };
        assert_eq!((open().since(), open().distrust()), (Some(5), Some(&distrust)));
    }

    #[test]
    fn a_device_that_was_caught_before_a_height_was_written_counts_from_the_beginning() {
        let directory = tempfile::tempdir().unwrap();
        Record::open(directory.path()).unwrap().caught("x").unwrap();
        assert_eq!(Record::open(directory.path()).unwrap().since(), Some(1));
    }

    #[test]
    fn what_was_prepared_takes_its_place_where_nothing_can_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Record::open(directory.path()).unwrap();
        let mut record = open();
        record.used_from(70).unwrap();
        // As on a full disk: names change, and no file can be made.
        fs::create_dir(directory.path().join("device.new")).unwrap();
        record.caught("it lies").unwrap();
        let found = open();
        let distrust = found.distrust().expect("it is known");
        assert!(!distrust.checked_again && distrust.why == CAUGHT && found.since() == Some(70));
        assert_eq!(record.distrust().map(|of| of.why.as_str()), Some("it lies"));
    }

    #[test]
    fn what_the_cpu_has_checked_need_not_be_checked_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut record = Record::open(directory.path()).unwrap();
        record.checked_below(50).unwrap();
        assert_eq!(record.since(), None, "no device was used");
        record.used_from(70).unwrap();
        record.checked_below(60).unwrap();
        assert_eq!(record.since(), Some(70));
        record.checked_below(90).unwrap();
        record.used_from(100).unwrap();
        assert_eq!(Record::open(directory.path()).unwrap().since(), Some(90));
        record.caught("x").unwrap();
        assert_eq!(Record::open(directory.path()).unwrap().since(), Some(90));
        record.checked_below(95).unwrap();
        let found = Record::open(directory.path()).unwrap();
        assert!(found.since() == Some(95) && found.distrust().is_some_and(|of| !of.checked_again));
    }

    #[test]
    fn a_damaged_file_is_named_and_never_taken_for_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        for damaged in ["", "{", "[]", "{\"format\":\"millrace/device/2\",\"since\":1}", "{\"since\":1}"] {
            fs::write(&file, damaged).unwrap();
            let error = Record::open(directory.path()).unwrap_err().to_string();
            assert!(error.contains("device.json") && error.contains("millrace verify"), "{damaged}: {error}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(matches!(Record::open(directory.path()), Err(RecordError::Io { .. })));
    }
}
