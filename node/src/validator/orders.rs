//! What the operator asks of a running validator, and how soon it is done.
//!
//! ```text
//! SIGTERM, SIGINT ─▶ recovery ends, threads end in order, the journal last ─▶ exit 0
//!                     └─ not within STOP_WITHIN ─▶ the process ends at once, as in a power cut ─▶ exit 0
//! SIGHUP ─▶ the configuration is read again (`super::reload`)
//! ```
//!
//! A validator can be killed at any moment and loses nothing that a client was told. So where an orderly stop would
//! take long, because a large state is being read or a disk is slow, nobody has to wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::service;
use crate::signals::{self, Signal};

/// How long an orderly stop may take.
const STOP_WITHIN: Duration = Duration::from_millis(1_800);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop.
    Stop(Signal),
    /// Read the configuration again.
    Reload,
}

/// The orders that come by signals.
pub struct Orders {
    given: Receiver<Order>,
    is_to_stop: Arc<AtomicBool>,
}

impl Orders {
    /// Listens for signals, on a thread of its own. They must have been blocked.
    ///
    /// # Errors
    /// The operating system gives no thread, or no signals.
    pub fn listen() -> anyhow::Result<Self> {
        signals::heed_hangup().context("cannot prepare for signals")?;
        let (give, given) = unbounded();
        let is_to_stop = Arc::new(AtomicBool::new(false));
        let stop = is_to_stop.clone();
        let listen = move || listen(&give, &stop);
        std::thread::Builder::new().name("signals".into()).spawn(listen).context("no thread for signals")?;
        Ok(Self { given, is_to_stop })
    }

    /// The next order, if one is given within this time.
    #[must_use]
    pub fn next_within(&self, patience: Duration) -> Option<Order> {
        match self.given.recv_timeout(patience) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            // The listener is never gone: it ends with the process.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(patience);
                None
            }
        }
    }

    /// Whether the validator is to stop: for long work before its threads run.
    #[must_use]
    pub fn is_to_stop(&self) -> bool {
        self.is_to_stop.load(Relaxed)
    }

    /// Nobody orders anything.
    #[must_use]
    pub fn none() -> Self {
        Self { given: crossbeam::channel::never(), is_to_stop: Arc::default() }
    }
}

fn listen(give: &Sender<Order>, is_to_stop: &AtomicBool) {
    loop {
        match signals::wait() {
            Ok(Signal::Hangup) => {
                // Taken when the validator runs; who has ended is stopping.
                let _stopping = give.send(Order::Reload);
            }
            Ok(signal) => {
                is_to_stop.store(true, Relaxed);
                service::stopping();
                let _stopping = give.send(Order::Stop(signal));
                std::thread::sleep(STOP_WITHIN);
                tracing::warn!(
                    "stopped without waiting any longer for what was under way: as after a power cut, nothing that a \
                     client was told is lost"
                );
                std::process::exit(0);
            }
            Err(error) => {
                tracing::error!(
                    "signals cannot be waited for any more ({error}): only SIGKILL stops this process"
                );
                return;
            }
        }
    }
}
