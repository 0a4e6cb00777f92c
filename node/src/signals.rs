//! How an operator asks a process to stop: SIGTERM and SIGINT, taken by a thread that waits for them. One that the
//! process was started to ignore, as a shell does with SIGINT for what it starts in the background, stays ignored.
//!
//! ```text
//! main: block() ── before any thread is started, so that every thread inherits the mask
//!  └─ some thread: wait() ── returns when a signal arrives; nothing runs in a signal handler
//! ```

use std::io;
use std::time::Duration;

/// The signal that asked the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: `kill PID`, `millrace network down`.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
}

impl Signal {
    /// The exit code of a command that it has stopped: 128 and the number of the signal, as shells have it.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Holds SIGTERM and SIGINT back from every thread that is started after this call.
///
/// # Errors
/// What the operating system answered.
pub fn block() -> io::Result<()> {
    let set = stop_signals();
    // SAFETY: `set` was initialised by `sigemptyset`; a null old set is allowed.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether the process is asked to stop and nobody has taken that yet: for long work before [`wait`].
#[must_use]
pub fn is_pending() -> bool {
    // SAFETY: `sigpending` initialises the set whole; the signal numbers are valid.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigpending(&raw mut set) == 0
            && SIGNALS
                .iter()
                .any(|signal| libc::sigismember(&raw const set, *signal) == 1 && !is_ignored(*signal))
    }
}

/// Waits until the process is asked to stop. [`block`] must have been called before.
///
/// # Errors
/// What the operating system answered.
pub fn wait() -> io::Result<Signal> {
    let set = stop_signals();
    let mut taken: libc::c_int = 0;
    // SAFETY: `set` is initialised and `taken` is a valid place for the answer.
    match unsafe { libc::sigwait(&raw const set, &raw mut taken) } {
        0 if taken == libc::SIGINT => Ok(Signal::Interrupt),
        0 => Ok(Signal::Terminate),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The same, for no longer than this: `None` if nobody has asked.
///
/// # Errors
/// What the operating system answered.
pub fn wait_for(at_most: Duration) -> io::Result<Option<Signal>> {
    let set = stop_signals();
    let wait = libc::timespec {
        tv_sec: at_most.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(at_most.subsec_nanos() as i32),
    };
    // SAFETY: `set` and `wait` are initialised; a null place for what comes with the signal is allowed.
    match unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const wait) } {
        libc::SIGINT => Ok(Some(Signal::Interrupt)),
        libc::SIGTERM => Ok(Some(Signal::Terminate)),
        _ => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(None),
            error => Err(error),
        },
    }
}

/// SIGTERM and SIGINT end the process again, if they come once more: undoes [`block`] for this thread.
pub fn restore() {
    let set = stop_signals();
    // SAFETY: it sets the default action of two signals, in a process that has no handler for them; `set` is
    // initialised, and a null old set is allowed.
    unsafe {
        for signal in SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)) {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// From now on the process ends when it writes to somebody who has stopped reading, as in `millrace ... | head`. A Rust
/// program ignores the signal otherwise, and fails at the write.
pub fn end_on_closed_pipe() {
    // SAFETY: it sets the default action of a signal, in a process that has no handler for it.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// The signals that ask a process to stop.
const SIGNALS: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];

/// Whether the process ignores a signal. Blocked, it would be kept and taken by [`wait`] all the same.
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: an action is plain memory for which zeros are values, and a valid place for the answer; a null action
    // changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

fn stop_signals() -> libc::sigset_t {
    // SAFETY: a sigset is plain memory that `sigemptyset` initialises whole; the signal numbers are valid,
    // so none of the calls can fail.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)) {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_ignored_asks_for_nothing() {
        let send = |signal| {
            // SAFETY: it sends a signal that is ignored or blocked to this thread, which is alive.
            unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
        };
        // SAFETY: it sets the action of a signal that no other test sends.
        let before = unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        block().unwrap();
        send(libc::SIGINT);
        assert!(!is_pending());
        send(libc::SIGTERM);
        assert_eq!(wait().unwrap(), Signal::Terminate);
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGINT, before) };
    }

    #[test]
    fn a_signal_that_came_early_is_seen_and_then_taken() {
        block().unwrap();
        assert!(!is_pending());
        // SAFETY: it sends a blocked signal to this thread, which is alive.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGTERM) };
        assert!(is_pending());
        assert_eq!(wait().unwrap(), Signal::Terminate);
        assert!(!is_pending());
        assert_eq!(wait_for(Duration::from_millis(1)).unwrap(), None, "nobody has asked");
        // SAFETY: as above.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGINT) };
        assert_eq!(wait_for(Duration::from_secs(60)).unwrap(), Some(Signal::Interrupt));
    }
}
