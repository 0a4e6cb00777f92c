//! How a validator stops when it must not go on.
//!
//! A broken invariant of our own, a failed disk or a diverged state cannot be repaired by the thread that notices:
//! going on could cost money. The whole process stops, says why and what to do, and leaves the journal as it is;
//! what was acknowledged is durable already.

use std::io::{self, Write as _};
use std::process;

/// Exit code of a validator that stopped itself.
pub const EXIT_FATAL: i32 = 3;

/// Logs `reason` (what happened, and what the operator should do) and ends the process.
pub fn fatal(reason: impl AsRef<str>) -> ! {
    let reason = reason.as_ref();
    tracing::error!("{reason}");
    // The log may be what is full.
    let _ = writeln!(io::stderr(), "millrace: stopped: {reason}");
    process::exit(EXIT_FATAL)
}

/// Makes a panic of any thread end the process: a validator with a dead thread only looks alive. The gateway's threads
/// are guests: there, a panic ends one request.
pub fn stop_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        if thread == gateway::THREAD_NAME {
            return;
        }
        fatal(format!(
            "thread {thread} panicked: {panic}. This is a defect of Millrace; please report it with the lines above. \
             The journal is intact: restart the validator with the same command"
        ));
    }));
}
