//! Alarms that an operator has silenced: which, until when, and why.
//!
//! ```text
//! millrace alarm silence ──▶ DATA/silences.json ──▶ the validator, once a second ──▶ log, status, metrics, webhooks
//! ```
//!
//! A silence hides nothing: the alarm is judged and shown as before, with the silence beside it. It does not ring: the
//! metric that rules fire on is 0, webhooks get nothing but `silenced` for an alarm that was raised before, and
//! `millrace monitor` does not count it. Every silence has an end.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use engine::types::ValidatorIndex;
use engine::wire::answers::{AlarmKind, SilenceAnswer};
use serde::{Deserialize, Serialize};

use crate::disk::replace_file;

/// The name of the file in the data directory.
const FILE: &str = "silences.json";
const FORMAT: &str = "millrace/silences/1";
/// Silences of a validator at most; those that have ended are removed first.
pub const SILENCES_MAX: usize = 64;
/// The longest silence, in seconds: 30 days.
pub const SILENCE_SECONDS_MAX: u64 = 30 * 86_400;
/// Characters of a reason at most.
pub const REASON_MAX: usize = 200;
/// How much later than [`SILENCE_SECONDS_MAX`] from now an end may be: the clock may have been set back a little.
const CLOCK_SECONDS: u64 = 3_600;
/// The longest file that is read: its silences, each with the longest reason of the longest characters, written out.
const FILE_BYTES_MAX: u64 = 128 << 10;

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// The alarm.
    pub alarm: AlarmKind,
    /// The place of the validator that the alarm is about; `None` silences the alarm whatever it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<ValidatorIndex>,
    /// Its end, in seconds since the Unix epoch.
    pub until: u64,
    /// Why, for those who see it later.
    pub reason: String,
}

/// All silences of a validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silences {
    format: String,
    silences: Vec<Silence>,
}

/// The silences cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SilenceError {
    /// The file cannot be read or written.
    #[error("{}: {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is damaged, or of another format.
    #[error("{}: not the silences of a validator ({problem}): remove the file, then silence again what is to be silent", .file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There are too many.
    #[error("{SILENCES_MAX} silences are in effect already: end one with `millrace alarm unsilence`")]
    TooMany,
    /// No such alarm is silenced.
    #[error("{} is not silenced: `millrace alarm silences` lists what is; give --about as it stands there", .0.name())]
    None(AlarmKind),
}

/// A reason as it is kept: without spaces around it.
///
/// # Errors
/// It is empty, too long, or has control characters; in words.
pub fn fit_reason(text: &str) -> Result<&str, String> {
    match text.trim() {
        "" => Err("say why, for those who see it later".to_owned()),
        reason if reason.chars().count() > REASON_MAX => Err(format!("at most {REASON_MAX} characters")),
        reason if reason.chars().any(char::is_control) => Err("leave control characters out".to_owned()),
        reason => Ok(reason),
    }
}

impl Default for Silences {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), silences: Vec::new() }
    }
}

impl Silences {
    /// Reads those of a data directory; none if it has no file. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or has what `millrace alarm silence` would refuse.
    pub fn load(data: &Path, now: u64) -> Result<Self, SilenceError> {
        let file = data.join(FILE);
        let mut text = String::new();
        let read = fs::File::open(&file).and_then(|of| of.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(SilenceError::Io { file, error }),
        }
        let problem = match serde_json::from_str::<Self>(&text) {
            _ if text.len() as u64 > FILE_BYTES_MAX => format!("it is longer than {FILE_BYTES_MAX} bytes"),
            Ok(found) if found.format == FORMAT => match found.excess(now) {
                None => return Ok(found),
                Some(problem) => problem,
            },
            Ok(found) => format!("its format is {:?} and not {FORMAT:?}", found.format),
            Err(error) => error.to_string(),
        };
        Err(SilenceError::Content { file, problem })
    }

    /// What of them is beyond the limits, if something is.
    fn excess(&self, now: u64) -> Option<String> {
        if self.silences.len() > SILENCES_MAX {
            return Some(format!("it has {} silences, and {SILENCES_MAX} are the most", self.silences.len()));
        }
        let last = now.saturating_add(SILENCE_SECONDS_MAX + CLOCK_SECONDS);
        self.silences.iter().find_map(|of| {
            let name = of.alarm.name();
            let wrong = fit_reason(&of.reason).err().map(|wrong| format!("the reason of {name}: {wrong}"));
            let late =
                || (of.until > last).then(|| format!("{name} is silenced for more than 30 days from now"));
            wrong.or_else(late)
        })
    }

    /// Writes them, durably.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, data: &Path) -> Result<(), SilenceError> {
        let file = data.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        text.and_then(|text| replace_file(&file, &text)).map_err(|error| SilenceError::Io { file, error })
    }

    /// Adds a silence; it replaces one for the same alarm and validator. Those that have ended are removed.
    ///
    /// # Errors
    /// [`SILENCES_MAX`] are in effect.
    pub fn add(&mut self, silence: Silence, now: u64) -> Result<(), SilenceError> {
        let key = (silence.alarm, silence.about);
        self.silences.retain(|of| of.until > now && (of.alarm, of.about) != key);
        if self.silences.len() >= SILENCES_MAX {
            return Err(SilenceError::TooMany);
        }
        self.silences.push(silence);
        self.silences.sort_by_key(|of| (of.alarm, of.about));
        Ok(())
    }

    /// Ends the silence of an alarm and validator.
    ///
    /// # Errors
    /// There is none.
    pub fn end(&mut self, alarm: AlarmKind, about: Option<ValidatorIndex>) -> Result<(), SilenceError> {
        let before = self.silences.len();
        self.silences.retain(|of| (of.alarm, of.about) != (alarm, about));
        if self.silences.len() == before { Err(SilenceError::None(alarm)) } else { Ok(()) }
    }

    /// Those that are in effect.
    pub fn now(&self, now: u64) -> impl Iterator<Item = &Silence> {
        self.silences.iter().filter(move |of| of.until > now)
    }

    /// The silence of an alarm, if it has one; of several the one that lasts longest.
    #[must_use]
    pub fn of(&self, alarm: AlarmKind, about: Option<ValidatorIndex>, now: u64) -> Option<SilenceAnswer> {
        let fits = |of: &&Silence| of.alarm == alarm && (of.about.is_none() || of.about == about);
        let longest = self.now(now).filter(fits).max_by_key(|of| of.until)?;
        Some(SilenceAnswer { until: longest.until, reason: longest.reason.clone() })
    }
}

/// The silences of a running validator, read again when their file has changed.
#[derive(Debug, Default)]
pub struct Watched {
    changed: Option<SystemTime>,
    silences: Silences,
    /// The fault of the file that was logged last.
    told: Option<String>,
}

impl Watched {
    /// The present silences. A file that cannot be used silences nothing, and is logged once.
    pub fn look(&mut self, data: &Path, now: u64) -> &Silences {
        let changed = fs::metadata(data.join(FILE)).and_then(|about| about.modified()).ok();
        if changed != self.changed || changed.is_none() {
            self.changed = changed;
            let (silences, wrong) = match Silences::load(data, now) {
                Ok(silences) => (silences, None),
                Err(error) => (Silences::default(), Some(error.to_string())),
            };
            self.silences = silences;
            if let Some(wrong) = wrong.as_ref().filter(|wrong| self.told.as_ref() != Some(wrong)) {
                tracing::warn!("no alarm is silenced: {wrong}");
            }
            self.told = wrong;
        }
        &self.silences
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn silence(alarm: AlarmKind, about: Option<u16>, until: u64) -> Silence {
        Silence { alarm, about: about.map(ValidatorIndex), until, reason: "the rack is moved".into() }
    }

    #[test]
    fn a_silence_has_an_end_and_belongs_to_what_it_names() {
        let mut silences = Silences::default();
        silences.add(silence(AlarmKind::PeerUnreachable, Some(2), 100), 10).unwrap();
        silences.add(silence(AlarmKind::DiskFills, None, 200), 10).unwrap();
        let of = |alarm, about: Option<u16>, now| {
            silences.of(alarm, about.map(ValidatorIndex), now).map(|of| of.until)
        };
        assert_eq!(of(AlarmKind::PeerUnreachable, Some(2), 99), Some(100));
        assert_eq!(of(AlarmKind::PeerUnreachable, Some(2), 100), None, "it is over");
        assert_eq!(of(AlarmKind::PeerUnreachable, Some(3), 50), None, "of another validator");
        assert_eq!(
            (of(AlarmKind::DiskFills, None, 50), of(AlarmKind::DiskFills, Some(1), 50)),
            (Some(200), Some(200))
        );
        assert_eq!(of(AlarmKind::NoCommits, None, 50), None);
    }

    #[test]
    fn a_second_one_replaces_the_first_and_they_are_bounded() {
        let mut silences = Silences::default();
        silences.add(silence(AlarmKind::DiskFills, None, 200), 10).unwrap();
        silences.add(silence(AlarmKind::DiskFills, None, 50), 10).unwrap();
        assert_eq!(silences.of(AlarmKind::DiskFills, None, 60), None);
        silences.end(AlarmKind::DiskFills, None).unwrap();
        assert!(matches!(silences.end(AlarmKind::DiskFills, None), Err(SilenceError::None(_))));
        for about in 0..SILENCES_MAX as u16 {
            silences.add(silence(AlarmKind::PeerUnreachable, Some(about), 100), 10).unwrap();
        }
        let one_more = silence(AlarmKind::DiskFills, None, 100);
        assert!(matches!(silences.add(one_more.clone(), 10), Err(SilenceError::TooMany)));
        silences.add(one_more, 100).unwrap();
        assert_eq!(silences.silences.len(), 1, "those that are over are forgotten");
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_silences_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let mut watched = Watched::default();
        assert_eq!(watched.look(data, 10), &Silences::default());
        let mut silences = Silences::load(data, 10).unwrap();
        silences.add(silence(AlarmKind::DiskFills, None, 10 + SILENCE_SECONDS_MAX), 10).unwrap();
        silences.save(data).unwrap();
        assert_eq!(watched.look(data, 10), &silences);
        let of =
            |until: u64, reason: &str| json!({ "alarm": "disk_fills", "until": until, "reason": reason });
        let file = |list: Vec<Value>| json!({ "format": FORMAT, "silences": list }).to_string();
        let excess = [
            file(vec![of(u64::MAX, "endless")]),
            file(vec![of(10 + SILENCE_SECONDS_MAX + CLOCK_SECONDS + 1, "too long")]),
            file(vec![of(20, "")]),
            file(vec![of(20, "two\nlines")]),
            file(vec![of(20, &"x".repeat(REASON_MAX + 1))]),
            file(vec![of(20, "moved"); SILENCES_MAX + 1]),
            file(vec![of(20, &"x".repeat(FILE_BYTES_MAX as usize))]),
        ];
        let damaged = [
            "",
            "{}",
            "{\"format\":\"millrace/silences/2\",\"silences\":[]}",
            "{\"format\":\"millrace/silences/1\",\"silences\":[{}]}",
        ];
        for text in damaged.into_iter().map(str::to_owned).chain(excess) {
            fs::write(data.join(FILE), &text).unwrap();
            assert!(matches!(Silences::load(data, 10), Err(SilenceError::Content { .. })), "{text}");
            // The clock of a file system can be too coarse to tell two writes apart.
            watched.changed = None;
            assert_eq!(watched.look(data, 10), &Silences::default());
            assert!(watched.told.is_some());
        }
        let most = vec![of(10 + SILENCE_SECONDS_MAX, &"\u{1f600}".repeat(REASON_MAX)); SILENCES_MAX];
        fs::write(data.join(FILE), file(most)).unwrap();
        assert_eq!(Silences::load(data, 10).unwrap().silences.len(), SILENCES_MAX, "the limits themselves");
        fs::remove_file(data.join(FILE)).unwrap();
        watched.changed = None;
        assert_eq!(watched.look(data, 10), &Silences::default());
    }
}
