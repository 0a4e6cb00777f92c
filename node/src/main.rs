//! The `millrace` binary: parses the command line and turns outcomes into exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use node::cli::{Cli, EXIT_INTERRUPTED, exit_code, reasons, run};
use node::signals;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = signals::block() {
        eprintln!("error: cannot prepare for signals: {error}");
        return ExitCode::FAILURE;
    }
    // A validator and a bench have something to put in order first, and do that themselves.
    if !cli.takes_signals() {
        std::thread::spawn(|| {
            if signals::wait().is_ok() {
                eprintln!("\nstopped by a signal");
                std::process::exit(EXIT_INTERRUPTED);
            }
        });
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
