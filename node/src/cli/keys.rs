//! What can be typed about key files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::pay::{Place, parse_place};

/// Make and look at the key files of accounts.
///
/// A key file is PKCS#8 in PEM form with one Ed25519 secret (RFC 8410), the form
/// that OpenSSL reads and writes. With a passphrase it is encrypted with AES-256-CBC
/// under a key from scrypt. A key file is refused if other users of the machine can
/// read it.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = super::EXIT_CODES)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum KeyCommand {
    New(NewKeyArgs),
    Show(ShowKeyArgs),
    Derive(DeriveKeyArgs),
}

/// Make a new key file, and print its public key.
///
/// The file must not exist. Only its owner can read it (mode 0600). The passphrase
/// comes from the terminal, a file or the environment; --no-passphrase writes the
/// secret unencrypted. Nobody can recover a lost file or passphrase.
///
/// OpenSSL can make the same: openssl genpkey -algorithm ed25519 -out FILE
///
/// Examples:
///   millrace key new alice.pem
///   millrace key new alice.pem --passphrase-file alice.pass
///   MILL_PASS=… millrace key new alice.pem --passphrase-env MILL_PASS --json
///
/// Exit codes: 0 done, 2 usage, or the file or the passphrase cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct NewKeyArgs {
    /// The file to make.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How it is encrypted.
    #[command(flatten)]
    pub protection: ProtectionArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Print the public key of a key file, never the secret.
///
/// Give the public key to the people who make the genesis of a network, so that
/// an account gets it.
///
/// Examples:
///   millrace key show alice.pem
///   millrace key show alice.pem --passphrase-file alice.pass --json
///
/// Exit codes: 0 done, 2 usage, or the file or the passphrase cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ShowKeyArgs {
    /// The key file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where its passphrase is.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Make a key file for an account of a network with test money.
///
/// The keys of all accounts that `network init` makes follow from one secret,
/// customers.seed. This command writes the key of one account into a file, so that
/// the account can be used from a machine that does not have that secret. It is
/// the account's first key: one that the account got later is in no network.
///
/// Examples:
///   millrace key derive alice.pem --network /tmp/mill --account 1:7
///   millrace key derive alice.pem --network /tmp/mill --account 1:7 --no-passphrase
///
/// Exit codes: 0 done, 2 usage, or the network, the file or the passphrase cannot
/// be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct DeriveKeyArgs {
    /// The file to make.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The network's directory, as `network init` made it.
    #[arg(long, value_name = "DIR")]
    pub network: PathBuf,
    /// The account.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// How the file is encrypted.
    #[command(flatten)]
    pub protection: ProtectionArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where the passphrase of a key file is. Without any of these, the terminal is asked.
#[derive(Debug, Clone, Default, Args)]
pub struct PassphraseArgs {
    /// The passphrase is the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_env")]
    pub passphrase_file: Option<PathBuf>,
    /// The passphrase is in this environment variable.
    #[arg(long, value_name = "NAME")]
    pub passphrase_env: Option<String>,
}

/// How a new key file is encrypted.
#[derive(Debug, Clone, Args)]
pub struct ProtectionArgs {
    /// Where the passphrase is.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Write the secret unencrypted: a reader of the file has the account.
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_env"])]
    pub no_passphrase: bool,
}
