//! Who said what when: a digest always, and lines for people where they are asked for.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The trace of one run. Two runs of one seed give the same digest.
#[derive(Debug)]
pub(crate) struct Trace {
    digest: u64,
    lines: Option<Vec<String>>,
    events: u64,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, lines: keep.then(Vec::new), events: 0 }
    }

    /// Notes an event. The text is hashed and not kept, unless somebody wants to read it.
    pub(crate) fn say(&mut self, at: Duration, who: &str, what: fmt::Arguments<'_>) {
        self.events += 1;
        self.mix(&at.as_nanos().to_le_bytes());
        self.mix(who.as_bytes());
        let _never_fails = self.write_fmt(what);
        if let Some(lines) = &mut self.lines {
            let (seconds, micros) = (at.as_secs(), at.subsec_micros());
            lines.push(format!("{seconds:>3}.{micros:06} {who:<4} {what}"));
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
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
