//! The signature of a report. With it the publisher can show that the generator wrote the files as they are.
//!
//! ```text
//!   report.html, report.json, seconds.csv ── SHA-256 of each ──> message ── the key of --sign-with ──> report.sig
//! ```
//!
//! It is Ed25519 (RFC 8032) over [`CONTEXT`], a line feed, and for each of [`FILES`] a line of `sha256sum`: the digest,
//! two blanks, the name. The context keeps a signature of a report from ever being one of a transaction. It says who
//! vouches for the files and that they are unchanged since. Only another run can show that the figures are true.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kernels::ed25519;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::manifest::sha256_of;
use crate::cli::{VerifyReportArgs, print_json};
use crate::keys::AccountKey;

const CONTEXT: &[u8] = b"millrace/report/1";
const FILES: [&str; 3] = ["report.html", "report.json", "seconds.csv"];
const SIGNATURE: &str = "report.sig";
/// Bytes of the longest file that is read as a signature. One has about 350.
const SIGNATURE_BYTES_MAX: u64 = 4 << 10;

/// What cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file cannot be read.
    #[error("{}: {source}; name the directory that `bench --report DIR --sign-with FILE` has written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The file of the signature has another form.
    #[error("{}: this is not the signature of a report ({problem}); take the file that came with the report", file.display())]
    NotASignature {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The file of a signature.
#[derive(Debug, Serialize, Deserialize)]
struct Signed {
    /// [`CONTEXT`]: the form of this file and of what is signed.
    format: String,
    #[serde(with = "hex::serde")]
    public_key: [u8; 32],
    #[serde(with = "hex::serde")]
    signature: [u8; 64],
}

/// Signs the report that a directory holds.
pub(super) fn sign(directory: &Path, key: &AccountKey) -> Result<()> {
    let signed = Signed {
        format: String::from_utf8_lossy(CONTEXT).into_owned(),
        public_key: key.public_key(),
        signature: key.signing_key().sign(&message(directory)?),
    };
    let file = directory.join(SIGNATURE);
    let text = format!("{}\n", serde_json::to_string_pretty(&signed)?);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Removes the signature of an earlier report, which does not hold for the next one.
pub(super) fn forget(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(SIGNATURE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is signed.
fn message(directory: &Path) -> Result<Vec<u8>, ReportError> {
    let mut lines = String::new();
    for name in FILES {
        let file = directory.join(name);
        let digest = sha256_of(&file).map_err(|source| ReportError::Io { file, source })?;
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{}  {name}", hex::encode(digest));
    }
    Ok([CONTEXT, b"\n", lines.as_bytes()].concat())
}

fn read(directory: &Path) -> Result<Signed, ReportError> {
    let file = directory.join(SIGNATURE);
    let io = |source| ReportError::Io { file: file.clone(), source };
    let wrong = |problem: String| ReportError::NotASignature { file: file.clone(), problem };
    let bytes = fs::metadata(&file).map_err(io)?.len();
    if bytes > SIGNATURE_BYTES_MAX {
        return Err(wrong(format!("it has {bytes} bytes")));
    }
    let text = fs::read(&file).map_err(io)?;
    let signed: Signed = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    match signed.format.as_bytes() == CONTEXT {
        true => Ok(signed),
        false => Err(wrong(format!("its format is {:?}", signed.format))),
    }
}

/// Checks who has signed a report; `false` where it is another key, or a file has changed since.
///
/// # Errors
/// [`ReportError`]: a file cannot be read, or is no signature.
pub fn verify_report(args: &VerifyReportArgs) -> Result<bool> {
    let signed = read(&args.directory)?;
    let message = message(&args.directory)?;
    let is_expected = signed.public_key == args.key.0;
    let holds = is_expected && ed25519::verify(&args.key.0, &message, &signed.signature);
    let found = hex::encode(signed.public_key);
    let says = match (holds, is_expected) {
        (true, _) => format!("signed with the key {found}: {}", FILES.join(", ")),
        (_, false) => format!("NOT signed with that key: report.sig names the key {found}"),
        _ => "the signature does NOT hold: a file of the report has changed since it was signed".to_owned(),
    };
    match args.json {
        true => drop(print_json(&json!({ "holds": holds, "public_key": found, "says": says }))?),
        false => println!("{says}"),
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::Digest;

    #[test]
    fn a_signature_holds_for_these_files_and_this_key_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let key = AccountKey::new([7; 32]);
        let check = |public_key| {
            let directory = directory.path().to_owned();
            verify_report(&VerifyReportArgs { directory, key: Digest(public_key), json: true })
        };
        assert!(sign(directory.path(), &key).is_err(), "there is nothing to sign");
        FILES.iter().for_each(|name| fs::write(file(name), name).unwrap());
        assert!(check(key.public_key()).unwrap_err().downcast_ref::<ReportError>().is_some(), "no signature");
        sign(directory.path(), &key).unwrap();
        assert!(check(key.public_key()).unwrap());
        assert!(!check([9; 32]).unwrap(), "another key");
        for name in FILES {
            fs::write(file(name), "other").unwrap();
            assert!(!check(key.public_key()).unwrap(), "{name}");
            fs::write(file(name), name).unwrap();
        }
        let text = fs::read_to_string(file(SIGNATURE)).unwrap();
        for spoiled in [text.replace("report/1", "report/2"), " ".repeat(5 << 10), "{}".into()] {
            fs::write(file(SIGNATURE), spoiled).unwrap();
            let error = check(key.public_key()).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(ReportError::NotASignature { .. })), "{error}");
        }
        forget(directory.path()).unwrap();
        forget(directory.path()).unwrap();
        assert!(!file(SIGNATURE).exists());
    }
}
