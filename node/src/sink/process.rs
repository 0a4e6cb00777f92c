//! A null sink as a process of its own, so that its CPU can be told from the generator's.
//!
//! ```text
//! parent ── millrace sink NETWORK --connections N ──▶ child ── one line of JSON: where it answers ──▶ parent
//! parent ends, or drops it ── standard input closes ──▶ child ends
//! ```

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use engine::types::Digest;
use loadgen::Endpoint;
use serde::{Deserialize, Serialize};

use super::Sink;
use crate::cli::SinkArgs;

/// The command that is one.
const COMMAND: &str = "sink";
/// The line in which it says where it answers is not longer.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Where a sink answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announcement {
    network: Digest,
    endpoints: Vec<(String, Digest)>,
}

/// Is a null sink beside a network until standard input ends.
///
/// # Errors
/// It could not be started.
pub fn serve(args: &SinkArgs) -> anyhow::Result<()> {
    let sink = Sink::start(&args.network, args.connections.into())?;
    let endpoint = |of: &Endpoint| (of.address.to_string(), Digest(of.fingerprint));
    let endpoints = sink.endpoints().iter().map(endpoint).collect();
    let said = Announcement { network: sink.network(), endpoints };
    println!("{}", serde_json::to_string(&said)?);
    // Who started it holds the other end; what comes is not for it.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    sink.stop();
    Ok(())
}

/// A null sink that this process has started. Dropping it ends it.
#[derive(Debug)]
pub struct SinkProcess {
    child: Child,
    /// The id of its network.
    pub network: Digest,
    /// Where it answers.
    pub endpoints: Vec<Endpoint>,
}

impl SinkProcess {
    /// Starts this executable as a sink beside a network.
    ///
    /// # Errors
    /// It could not be started, or has not said where it answers.
    pub fn spawn(executable: &Path, of: &Digest, connections: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(executable)
            .arg(COMMAND)
            .arg(of.to_string())
            .args(["--connections", &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C reaches only the parent, and ends this one through it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", executable.display()))?;
        let printed = child.stdout.take();
        // Whatever fails from here on, the child is ended.
        let mut sink = Self { child, network: *of, endpoints: Vec::new() };
        let mut line = String::new();
        let mut printed = BufReader::new(printed.context("the sink has no output")?.take(LINE_BYTES_MAX));
        printed.read_line(&mut line)?;
        let Ok(said) = serde_json::from_str::<Announcement>(&line) else {
            bail!("the null sink has not said where it answers");
        };
        let endpoint = |(address, fingerprint): (String, Digest)| {
            Ok(Endpoint { address: address.parse()?, fingerprint: fingerprint.0 })
        };
        sink.endpoints = said.endpoints.into_iter().map(endpoint).collect::<anyhow::Result<_>>()?;
        sink.network = said.network;
        Ok(sink)
    }

    /// The id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for SinkProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
