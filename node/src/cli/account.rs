//! What can be typed about accounts: opening, freezing, other keys, closing.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::types::Digest;

use super::pay::parse_place;
use super::{AuthorityArgs, PassphraseArgs, Place, SigningArgs};

/// Open accounts, freeze and unfreeze them, give them other keys, and close them.
///
/// Two of these take a role: the chain's registrar opens accounts, its freezer
/// freezes and unfreezes. `millrace chain list` names both. A frozen
/// account keeps what it has. What was on its way and comes back to it arrives
/// nevertheless.
///
/// An account's own key orders another key (`new-key`, `rekey`), says who may give
/// it one when its own is lost (`protect`), closes it, and cancels any of that
/// while its lock window lasts. `recover` is for those whom it has named.
#[derive(Debug, Clone, Subcommand)]
#[command(verbatim_doc_comment)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum AccountCommand {
    Request(RequestArgs),
    Open(OpenArgs),
    Freeze(FreezeArgs),
    Unfreeze(UnfreezeArgs),
    NewKey(NewAccountKeyArgs),
    Rekey(RekeyArgs),
    Protect(ProtectArgs),
    Recover(RecoverArgs),
    Cancel(CancelArgs),
    Close(CloseArgs),
}

/// Ask for an account: write the public key of a key file, with a proof that you
/// have its secret, into a file for the registrar of a chain.
///
/// The file is no secret. It is good for this network, chain and registrar alone,
/// and no validator is asked. The registrar opens the account with `millrace
/// account open`.
///
/// Examples:
///   millrace account request dora.pem --network /tmp/mill --chain 1 --out dora.json
///   millrace account request dora.pem --network-id 77e0… --chain 1 \
///                    --registrar 2 --out dora.json
///
/// Exit codes: 0 done, 2 usage, or a file or passphrase that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RequestArgs {
    /// The key file of the new account.
    #[arg(value_name = "FILE")]
    pub key: PathBuf,
    /// The network's directory.
    #[arg(long, value_name = "DIR", required_unless_present = "network_id", conflicts_with = "network_id")]
    pub network: Option<PathBuf>,
    /// Instead of --network: the network id, as genesis.toml records it.
    #[arg(long, value_name = "HEX", requires = "registrar")]
    pub network_id: Option<Digest>,
    /// The chain that is to have the account.
    #[arg(long, value_name = "CHAIN")]
    pub chain: u32,
    /// The account that will open it; without it, the registrar by the genesis of --network.
    #[arg(long, value_name = "ACCOUNT")]
    pub registrar: Option<u64>,
    /// The file to make.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where the passphrase of the key file is.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Open the accounts that were asked for, up to 680 under one signature: all of
/// them, or none.
///
/// They get the next free numbers of the chain, in the order of the files, and
/// hold nothing at first. The output names them.
///
/// Examples:
///   millrace account open dora.json --network /tmp/mill
///   millrace account open *.json --authority 2 --network-id 77e0… \
///                    --endpoint 127.0.0.1:7401 --fingerprint 9a41… \
///                    --key registrar.pem
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct OpenArgs {
    /// What `millrace account request` has written.
    #[arg(value_name = "FILE", required = true)]
    pub requests: Vec<PathBuf>,
    /// Who opens them, and how.
    #[command(flatten)]
    pub by: AuthorityArgs,
}

/// Freeze an account: nothing leaves it any more, or nothing comes to it, or
/// both.
///
/// What is said here replaces what was before: a freeze of the debit alone opens
/// the credit.
///
/// Examples:
///   millrace account freeze 1:7 --network /tmp/mill
///   millrace account freeze 1:7 --debit --network /tmp/mill
///   millrace account freeze 1:7 --authority 1 --network-id 77e0… \
///                    --key freezer.pem --nonce 4 --expiry 90000 --offline f.json
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the freezer's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct FreezeArgs {
    /// The account.
    #[arg(value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// Nothing leaves the account.
    #[arg(long)]
    pub debit: bool,
    /// Nothing new comes to it. Without --debit and --credit, both are meant.
    #[arg(long)]
    pub credit: bool,
    /// Who orders it, and how.
    #[command(flatten)]
    pub by: AuthorityArgs,
}

/// Open a frozen account again, both ways.
///
/// Example:
///   millrace account unfreeze 1:7 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the freezer's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct UnfreezeArgs {
    /// The account.
    #[arg(value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// Who orders it, and how.
    #[command(flatten)]
    pub by: AuthorityArgs,
}

/// Ask for another key: write the public key of a key file, with a proof that you
/// have its secret, into a file that `rekey` and `recover` take.
///
/// The file is no secret. It is good for this network and account alone, and no
/// validator is asked.
///
/// Examples:
///   millrace account new-key erin-2.pem --account 1:30 --network /tmp/mill \
///                    --out erin-2.json
///   millrace account new-key erin-2.pem --account 1:30 --network-id 77e0… \
///                    --out erin-2.json
///
/// Exit codes: 0 done, 2 usage, or a file or passphrase that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct NewAccountKeyArgs {
    /// The key file with the new key.
    #[arg(value_name = "FILE")]
    pub key: PathBuf,
    /// The account that is to have it.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// The network's directory.
    #[arg(long, value_name = "DIR", required_unless_present = "network_id", conflicts_with = "network_id")]
    pub network: Option<PathBuf>,
    /// Instead of --network: the network id, as genesis.toml records it.
    #[arg(long, value_name = "HEX")]
    pub network_id: Option<Digest>,
    /// The file to make.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where the passphrase of the key file is.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Give an account another key, signed with its present one.
///
/// The key takes effect when the chain's lock window is over (`millrace chain
/// list`); until then the present key signs, and can cancel it. The file is what
/// `millrace account new-key` has written.
///
/// Example:
///   millrace account rekey erin-2.json --key erin.pem --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RekeyArgs {
    /// What `millrace account new-key` has written.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Say who may give the account another key when its own is lost: a recovery key,
/// guardians, or both. They replace those that were named before.
///
/// Guardians are up to 8 other accounts of the chain, of which --threshold must
/// want the same key. Where nobody was named before, this takes effect when the
/// lock window of a re-key is over, else when the longer one is.
///
/// Examples:
///   millrace account protect 1:30 --guardians 4,5,6 --threshold 2 \
///                    --key erin.pem --network /tmp/mill
///   millrace account protect 1:30 --recovery-key 5f02… --key erin.pem \
///                    --network /tmp/mill
///   millrace account protect 1:30 --nobody --key erin.pem --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ProtectArgs {
    /// The account.
    #[arg(value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// The public key that may give the account another key, as `millrace key show` prints it.
    #[arg(long, value_name = "HEX", required_unless_present_any = ["guardians", "nobody"])]
    pub recovery_key: Option<Digest>,
    /// The guardians' account numbers, on the same chain, with commas between them.
    #[arg(long, value_name = "ACCOUNTS", value_delimiter = ',', requires = "threshold", value_parser = parse_number)]
    pub guardians: Vec<u64>,
    /// How many of the guardians must want the same key.
    #[arg(long, value_name = "NUMBER", requires = "guardians")]
    pub threshold: Option<u8>,
    /// Name nobody any more: from then on nobody can recover the account.
    #[arg(long, conflicts_with_all = ["recovery_key", "guardians"])]
    pub nobody: bool,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Give somebody else's account another key: as one of its guardians, or with its
/// recovery key.
///
/// A guardian's word counts for one lock window of the chain. When enough guardians
/// want the same key, or at once with the recovery key, the longer lock window
/// begins, and the account gets the key at its end. The present key can cancel
/// that, unless the account is debit-frozen: who has lost a key to a thief asks the
/// chain's freezer first.
///
/// With a recovery key, any account of the chain can sign and submit.
///
/// Examples:
///   millrace account recover erin-3.json --signer 4 --key guardian.pem \
///                    --network /tmp/mill
///   millrace account recover erin-3.json --signer 9 --network /tmp/mill \
///                    --with-recovery-key safe.pem
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RecoverArgs {
    /// What `millrace account new-key` has written.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The account that signs: a guardian; with a recovery key, any account of the chain.
    #[arg(long, value_name = "ACCOUNT")]
    pub signer: u64,
    /// The key file of the recovery key. If it is encrypted and no file has the passphrase, the terminal is asked.
    #[arg(long, value_name = "FILE")]
    pub with_recovery_key: Option<PathBuf>,
    /// The passphrase of the recovery key's file is the first line of this file.
    #[arg(long, value_name = "FILE", requires = "with_recovery_key")]
    pub recovery_passphrase_file: Option<PathBuf>,
    /// How many changes the account has begun, as `millrace query account` says; without it, the validators of
    /// --network are asked.
    #[arg(long, value_name = "NUMBER")]
    pub changes: Option<u64>,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Cancel the change of an account that is in its lock window: another key, also
/// by a recovery, other safeguards, or closing.
///
/// Example:
///   millrace account cancel 1:30 --key erin.pem --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct CancelArgs {
    /// The account.
    #[arg(value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// The number of the change, as `millrace query account` says; without it, the validators of --network are asked
    /// which one is in its lock window now.
    #[arg(long, value_name = "NUMBER")]
    pub change: Option<u64>,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Close an account for good. It must be empty, and hold no role.
///
/// From now on nothing leaves it and nothing new comes to it. It is closed when the
/// lock window of a re-key is over; until then it can be cancelled. Its number is
/// never used again.
///
/// Example:
///   millrace account close 1:30 --key erin.pem --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct CloseArgs {
    /// The account.
    #[arg(value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub account: Place,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// A number in a list, with or without a blank before it.
pub(super) fn parse_number(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| "write the numbers of accounts, with commas between them, as in 4,5,6".to_owned())
}
