//! What a service manager is told: systemd, or another one that has set `NOTIFY_SOCKET`. Without one, nothing is said.
//!
//! ```text
//! start ── STATUS, EXTEND_TIMEOUT_USEC while it gets on ──▶ READY=1 ── RELOADING=1 … READY=1 ──▶ STOPPING=1
//!                                                             └─ WATCHDOG=1 for each turn of the core, now and then
//! ```
//!
//! `READY=1` is said when the ports answer, everything is recovered and the threads run; not that peers are there.

use std::time::Duration;

use sd_notify::NotifyState;

use super::clock::Clock;

/// How often it is said how far a long start is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// A start that gets on may always take so much longer.
const EXTENSION: Duration = Duration::from_secs(300);

/// It is ready: after the start, and after each reload.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    // Without the time a manager that waits for the end of a reload takes none of it.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// What it does, in words.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}

/// Tells how a long start gets on.
pub struct Progress {
    clock: Clock,
    told: Option<Duration>,
}

impl Progress {
    /// Nothing is told yet.
    pub fn new() -> Self {
        Self { clock: Clock::start(), told: None }
    }

    /// It has got on; the words say how far it is. As long as this is called, the manager waits.
    pub fn note(&mut self, words: impl FnOnce() -> String) {
        let now = self.clock.now();
        if self.told.is_none_or(|told| now >= told + PROGRESS_EVERY) {
            self.told = Some(now);
            let extension = NotifyState::ExtendTimeoutUsec(EXTENSION.as_micros() as u32);
            // A validator that starts again in its process is watched already.
            tell(&[NotifyState::Status(&words()), extension, NotifyState::Watchdog]);
        }
    }
}

/// Tells a manager that wants to know that the core makes its turns.
pub struct Watchdog {
    /// A quarter of the time after which the manager ends a silent process; none where it does not.
    every: Option<Duration>,
    told: Duration,
}

impl Watchdog {
    /// As the manager has asked for.
    pub fn new() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|within| within / 4), told: Duration::ZERO }
    }

    /// The core makes a turn.
    pub fn turn(&mut self, now: Duration) {
        if self.every.is_some_and(|every| now >= self.told + every) {
            self.told = now;
            tell(&[NotifyState::Watchdog]);
        }
    }
}
