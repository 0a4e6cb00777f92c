//! What exactly ran: the command line, the executable, and what it was built from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use loadgen::report::{Build, Manifest};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::quoted;
use crate::validator::clock::Clock;

const READ_BYTES: usize = 1 << 20;
/// What `git describe --dirty` puts behind a commit that is not all.
const DIRTY: &str = "-dirty";

/// This executable, as a version with its commit.
pub(super) fn build() -> Build {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    Build {
        version: env!("CARGO_PKG_VERSION").into(),
        profile: profile.into(),
        commit: option_env!("MILLRACE_COMMIT").map(str::to_owned),
    }
}

/// This process, after its run.
pub(super) fn manifest() -> Manifest {
    let words: Vec<_> = std::env::args_os().map(quoted).collect();
    // The kernel has the file that was started, also where its path has another one since.
    let executable = File::open("/proc/self/exe").and_then(sha256);
    let seconds = i64::try_from(Clock::start().moment().unix_ms / 1_000).ok();
    let ended = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    Manifest {
        command: Some(words.join(" ")),
        binary_sha256: executable.ok().map(hex::encode),
        dirty: option_env!("MILLRACE_COMMIT").map(|commit| commit.ends_with(DIRTY)),
        rustc: option_env!("MILLRACE_RUSTC").map(str::to_owned),
        ended: ended.and_then(|time| time.format(&Rfc3339).ok()),
    }
}

/// The SHA-256 of all that a reader has.
pub(super) fn sha256(mut from: impl Read) -> io::Result<[u8; 32]> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&piece[..read]),
        }
    }
}

/// The SHA-256 of a file.
pub(super) fn sha256_of(file: &Path) -> io::Result<[u8; 32]> {
    sha256(File::open(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_knows_what_it_is() {
        let manifest = manifest();
        assert_eq!(manifest.binary_sha256.unwrap().len(), 64);
        assert!(manifest.command.unwrap().starts_with(&quoted(std::env::args().next().unwrap())));
        assert!(manifest.ended.unwrap().ends_with('Z'));
        let known = sha256(&b"abc"[..]).unwrap();
        assert_eq!(hex::encode(&known[..4]), "ba7816bf");
    }
}
