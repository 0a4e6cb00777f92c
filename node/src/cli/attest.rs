//! What can be typed to register and revoke fingerprints.

use std::path::PathBuf;

use clap::Args;
use engine::types::{Digest, Fingerprint};

use super::pay::parse_place;
use super::{Place, SigningArgs};

/// Register the fingerprints of files, or of anything, on a chain of the kind
/// attestations, and wait until it is decided.
///
/// A fingerprint is the SHA-256 of a file; the file itself goes nowhere. Once it is
/// registered, everybody can check that it was, by which account and at which
/// height (`millrace query attestation`), and prove it to strangers. A chain takes
/// each fingerprint once. Up to 1,000 are registered under one signature: all of
/// them, or none.
///
/// With --supersedes the new attestation takes the place of one that the same
/// account registered; nothing is deleted. With --refers-to it names one of
/// anybody. Up to 1,024 bytes of data can go with it, readable by everybody, or the
/// SHA-256 of something longer.
///
/// The key, the nonce, --offline and the validator are as for `millrace transfer`.
///
/// Examples:
///   millrace attest contract.pdf --by 2:7 --network /tmp/mill
///   millrace attest signed.pdf --by 2:7 --supersedes 9a41… --network /tmp/mill
///   millrace attest --hash 77e0… --by 2:7 --data "lot 42" \
///                   --network /tmp/mill
///   millrace attest *.pdf --by 2:7 --type 3 --network-id 77e0… --key notary.pem \
///                   --nonce 12 --expiry 90000 --offline attest.json
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a file that cannot be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct AttestArgs {
    /// What is registered.
    #[command(flatten)]
    pub what: FingerprintArgs,
    /// The chain, and the account that registers and signs.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub by: Place,
    /// What sort of thing they are: your own number.
    #[arg(long = "type", value_name = "NUMBER", default_value_t = 0)]
    pub kind: u32,
    /// The fingerprint of your own attestation whose place the new one takes.
    #[arg(long, value_name = "HEX", value_parser = parse_fingerprint)]
    pub supersedes: Option<Fingerprint>,
    /// The fingerprint of an attestation that the new one names.
    #[arg(long, value_name = "HEX", value_parser = parse_fingerprint, conflicts_with = "supersedes")]
    pub refers_to: Option<Fingerprint>,
    /// Text that goes with it, at most 1,024 bytes.
    #[arg(long, value_name = "TEXT")]
    pub data: Option<String>,
    /// Instead of --data: a file, at most 1,024 bytes.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub data_file: Option<PathBuf>,
    /// Instead of --data: the SHA-256 of what is kept elsewhere.
    #[arg(long, value_name = "HEX", conflicts_with_all = ["data", "data_file"])]
    pub data_hash: Option<Digest>,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Revoke attestations that the same account has registered, up to 1,000 under one
/// signature: all of them, or none.
///
/// They stay on the chain, with the height and your reason, and can be proved; what
/// is revoked cannot be superseded or registered again.
///
/// Examples:
///   millrace revoke contract.pdf --by 2:7 --network /tmp/mill
///   millrace revoke --hash 77e0… --by 2:7 --reason 4 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a file that cannot be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RevokeArgs {
    /// What is revoked.
    #[command(flatten)]
    pub what: FingerprintArgs,
    /// The chain, and the account that registered them and signs.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub by: Place,
    /// Why: your own number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub reason: u32,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Which fingerprints.
#[derive(Debug, Clone, Args)]
pub struct FingerprintArgs {
    /// Files; the SHA-256 of each is meant.
    #[arg(value_name = "FILE", required_unless_present = "fingerprints")]
    pub files: Vec<PathBuf>,
    /// Instead of a file, or beside files: a fingerprint, 64 hexadecimal digits; may be repeated.
    #[arg(long = "hash", value_name = "HEX", value_parser = parse_fingerprint)]
    pub fingerprints: Vec<Fingerprint>,
}

pub(super) fn parse_fingerprint(text: &str) -> Result<Fingerprint, String> {
    match text.parse::<Fingerprint>() {
        Ok(reserved) if reserved.is_reserved() => {
            Err("a fingerprint does not begin with 16 zero bytes".to_owned())
        }
        Ok(fingerprint) => Ok(fingerprint),
        Err(_) => Err("a fingerprint is written as 64 hexadecimal digits".to_owned()),
    }
}
