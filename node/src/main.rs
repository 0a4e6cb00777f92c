//! The `millrace` binary: parses the command line and turns outcomes into exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use node::cli::{Cli, exit_code, reasons, run};
use node::signals;

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
        eprintln!("error: cannot prepare for signals: {error}");
        return ExitCode::FAILURE;
    }
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", reasons(&error));
            exit_code(&error)
        }
    }
}
