//! Who said what when: a digest always, and lines for people where they are asked for.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is left of a run for people to read, also where it has panicked: the plan, and the lines if they are wanted.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    pub(crate) plan: String,
    pub(crate) lines: Vec<String>,
}

/// The trace of one run. Two runs of one seed give the same digest.
#[derive(Debug)]
pub(crate) struct Trace {
    digest: u64,
    readable: Option<Arc<Mutex<Readable>>>,
    events: u64,
}

impl Trace {
    /// Lines go to `readable`, if there is one.
    pub(crate) fn new(readable: Option<Arc<Mutex<Readable>>>) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, readable, events: 0 }
    }

    /// Notes an event. The text is hashed and not kept, unless somebody wants to read it.
    pub(crate) fn say(&mut self, at: Duration, who: &str, what: fmt::Arguments<'_>) {
        self.events += 1;
        self.mix(&at.as_nanos().to_le_bytes());
        self.mix(who.as_bytes());
        let _never_fails = self.write_fmt(what);
        if let Some(readable) = &self.readable {
            let (seconds, micros) = (at.as_secs(), at.subsec_micros());
            readable
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .lines
                .push(format!("{seconds:>3}.{micros:06} {who:<4} {what}"));
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// FNV-1a.
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.mix(text.as_bytes());
        Ok(())
    }
}
