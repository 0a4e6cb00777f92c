//! What administration over HTTP does in a validator's process: silences in its data directory, and the level of its
//! log.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine::types::ValidatorIndex;
use engine::wire::answers::AlarmKind;
use gateway::{Denied, Steward};
use serde_json::{Value, json};

use crate::log::Log;
use crate::silences::{SILENCE_SECONDS_MAX, Silence, SilenceError, Silences, fit_reason};
use crate::validator::clock::Clock;

/// A validator, as far as it is administered.
pub struct OfValidator {
    data: PathBuf,
    log: Log,
    /// Held from the reading of the silences to their writing.
    silences: Mutex<()>,
}

impl OfValidator {
    /// The validator with this data directory and log.
    pub fn new(data: &Path, log: Log) -> Self {
        Self { data: data.to_owned(), log, silences: Mutex::new(()) }
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Silences, u64) -> Result<Value, SilenceError>,
    ) -> Result<Value, Denied> {
        let _one_at_a_time = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let mut silences = Silences::load(&self.data, now).map_err(denied)?;
        let said = change(&mut silences, now).map_err(denied)?;
        silences.save(&self.data).map_err(denied)?;
        Ok(said)
    }
}

fn now() -> u64 {
    Clock::start().moment().unix_ms / 1_000
}

fn denied(error: SilenceError) -> Denied {
    match error {
        SilenceError::None(alarm) => Denied::NotFound(format!("{} is not silenced", alarm.name())),
        SilenceError::TooMany => Denied::Invalid(error.to_string()),
        SilenceError::Io { .. } | SilenceError::Content { .. } => Denied::Failed(error.to_string()),
    }
}

impl Steward for OfValidator {
    fn silences(&self) -> Result<Value, Denied> {
        let now = now();
        let silences = Silences::load(&self.data, now).map_err(denied)?;
        Ok(json!({ "silences": silences.now(now).collect::<Vec<_>>() }))
    }

    fn silence(&self, of: (AlarmKind, Option<u16>), seconds: u64, reason: &str) -> Result<Value, Denied> {
        if !(1..=SILENCE_SECONDS_MAX).contains(&seconds) {
            let words = format!("seconds must be from 1 to {SILENCE_SECONDS_MAX}, which is 30 days");
            return Err(Denied::Invalid(words));
        }
        let reason = fit_reason(reason).map_err(|wrong| Denied::Invalid(format!("the reason: {wrong}")))?;
        self.change(|silences, now| {
            let (alarm, about) = (of.0, of.1.map(ValidatorIndex));
            let silence = Silence { alarm, about, until: now + seconds, reason: reason.to_owned() };
            let said = json!(silence);
            silences.add(silence, now)?;
            Ok(said)
        })
    }

    fn unsilence(&self, (alarm, about): (AlarmKind, Option<u16>)) -> Result<Value, Denied> {
        self.change(|silences, _| {
            silences.end(alarm, about.map(ValidatorIndex))?;
            Ok(json!({ "alarm": alarm, "about": about }))
        })
    }

    fn log_level(&self) -> Value {
        json!({ "level": self.log.level() })
    }

    fn set_log_level(&self, level: &str) -> Result<Value, Denied> {
        self.log.set(level).map_err(|wrong| Denied::Invalid(format!("the level: {wrong}")))?;
        Ok(self.log_level())
    }
}
