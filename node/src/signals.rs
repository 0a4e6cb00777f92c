//! What an operator asks of a process: SIGTERM, SIGINT and SIGHUP, taken by a thread that waits for them. One that the
//! process was started to ignore, as a shell does with SIGINT for what it starts in the background, stays ignored.
//!
//! ```text
//! main: block() ── before any thread is started, so that every thread inherits the mask
//!  └─ some thread: wait() ── returns when a signal arrives; nothing runs in a signal handler
//! ```

use std::io;
use std::time::Duration;

/// A signal that was taken. Commands are stopped by each of them, a validator only by the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: `kill PID`, `millrace network down`.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGHUP: the terminal was closed; `systemctl reload` for a validator.
    Hangup,
}

impl Signal {
    /// The exit code of a command that it has stopped: 128 and the number of the signal, as shells have it.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Holds the signals back from every thread that is started after this call.
///
/// # Errors
/// What the operating system answered.
pub fn block() -> io::Result<()> {
    let set = taken_signals();
    // SAFETY: `set` was initialised by `sigemptyset`; a null old set is allowed.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Takes SIGHUP also where the process was started to ignore it, as `nohup` does: for a process that does not end by
/// it.
///
/// # Errors
/// As [`block`], which must have been called before.
pub fn heed_hangup() -> io::Result<()> {
    // SAFETY: it sets the default action of a signal, in a process that has no handler for it.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    block()
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

/// Waits until a signal comes. [`block`] must have been called before.
///
/// # Errors
/// What the operating system answered.
pub fn wait() -> io::Result<Signal> {
    let set = taken_signals();
    let mut taken: libc::c_int = 0;
    // SAFETY: `set` is initialised and `taken` is a valid place for the answer.
    match unsafe { libc::sigwait(&raw const set, &raw mut taken) } {
        0 => Ok(match taken {
            libc::SIGINT => Signal::Interrupt,
            libc::SIGHUP => Signal::Hangup,
            _ => Signal::Terminate,
        }),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The same, for no longer than this: `None` if nobody has asked.
///
/// # Errors
/// What the operating system answered.
pub fn wait_for(at_most: Duration) -> io::Result<Option<Signal>> {
    let set = taken_signals();
    let wait = libc::timespec {
        tv_sec: at_most.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(at_most.subsec_nanos() as i32),
    };
    // SAFETY: `set` and `wait` are initialised; a null place for what comes with the signal is allowed.
    match unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const wait) } {
        libc::SIGINT => Ok(Some(Signal::Interrupt)),
        libc::SIGTERM => Ok(Some(Signal::Terminate)),
        libc::SIGHUP => Ok(Some(Signal::Hangup)),
        _ => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(None),
            error => Err(error),
        },
    }
}

/// The signals end the process again, if they come once more: undoes [`block`] for this thread.
pub fn restore() {
    let set = taken_signals();
    // SAFETY: it sets the default action of three signals, in a process that has no handler for them; `set` is
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

const SIGNALS: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

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

fn taken_signals() -> libc::sigset_t {
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

    fn send(signal: libc::c_int) {
        // SAFETY: it sends a signal that is ignored or blocked to this thread, which is alive.
        unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
    }

    /// In one test, because actions belong to the whole process.
    #[test]
    fn signals_are_taken_in_turn_and_those_that_are_ignored_are_not() {
        // SAFETY: it sets the actions of signals that no other test sends.
        let before = unsafe {
            [libc::SIGINT, libc::SIGHUP].map(|signal| (signal, libc::signal(signal, libc::SIG_IGN)))
        };
        block().unwrap();
        send(libc::SIGINT);
        send(libc::SIGHUP);
        send(libc::SIGTERM);
        assert_eq!(wait().unwrap(), Signal::Terminate);
        heed_hangup().unwrap();
        send(libc::SIGINT);
        send(libc::SIGHUP);
        assert_eq!(wait().unwrap(), Signal::Hangup);
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        block().unwrap();
        send(libc::SIGINT);
        assert_eq!(wait().unwrap(), Signal::Interrupt);
        for (signal, action) in before {
            // SAFETY: as above.
            unsafe { libc::signal(signal, action) };
        }
    }
}
