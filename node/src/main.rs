//! The `millrace` binary: parses the command line and turns outcomes into exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use node::cli::{Cli, exit_code, run};
use node::signals;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = signals::block() {
        eprintln!("error: cannot prepare for signals: {error}");
        return ExitCode::FAILURE;
    }
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(&error)
        }
    }
}
