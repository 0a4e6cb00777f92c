//! The `millrace` binary: parses the command line and turns outcomes into exit codes.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use node::cli::{Cli, exit_code, reasons, run};
use node::{signals, stdout};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.ends_on_closed_pipe() {
        signals::end_on_closed_pipe();
    }
    // Who has something to put in order, or to say, first waits for the signals; all others are ended by them.
    if cli.takes_signals()
        && let Err(error) = signals::block()
    {
        complain(&format!("cannot prepare for signals: {error}"));
        return ExitCode::FAILURE;
    }
    match catch_unwind(AssertUnwindSafe(|| run(cli))) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            complain(&reasons(&error));
            exit_code(&error)
        }
        Err(panic) => {
            complain(&stdout::why_it_ended(panic));
            ExitCode::FAILURE
        }
    }
}

/// The last words of a command; the exit code says the same where nobody can read them.
fn complain(reason: &str) {
    let _ = writeln!(std::io::stderr(), "error: {}", stdout::visible(reason));
}
