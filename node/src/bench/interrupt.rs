//! A signal that ends a load early: first the load is asked to end with what it has, and soon after that it has to.

use std::io::{self, Write as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::signals::{self, Signal};

/// How long the load may take to say what it has measured.
const LAST_WORDS: Duration = Duration::from_millis(700);

/// Whether a signal has come that ends this command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<OnceLock<Signal>>);

impl Interrupt {
    /// Waits for a signal on a thread of its own. If the command has not ended soon after one, `clean_up` is called and
    /// the process ends. Signals must have been blocked.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn watch(clean_up: impl FnOnce() + Send + 'static) -> Result<Self> {
        let interrupt = Self::default();
        let noted = interrupt.clone();
        let watch = move || {
            let Ok(signal) = signals::wait() else { return };
            let _first = noted.0.set(signal);
            std::thread::sleep(LAST_WORDS);
            clean_up();
            noted.end(signal);
        };
        std::thread::Builder::new().name("signals".into()).spawn(watch).context("cannot start a thread")?;
        Ok(interrupt)
    }

    /// The signal, if one has come.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.0.get().copied()
    }

    /// Ends the process as a signal demands, if one has come.
    pub(crate) fn end_if_asked(&self) {
        if let Some(signal) = self.signal() {
            self.end(signal);
        }
    }

    fn end(&self, signal: Signal) -> ! {
        // Who is gone need not be told.
        let _ = io::stdout().flush();
        let _ = writeln!(io::stderr(), "stopped by a signal");
        std::process::exit(signal.exit_code())
    }
}
