//! What can be typed to pay and to order: signing a transaction, and submitting one that was signed before.

use std::path::PathBuf;

use clap::Args;
use engine::types::{AccountId, ChainId, Digest};
use net::Address;

use super::{Named, PassphraseArgs, WhomArgs};

/// An account of a chain, written CHAIN:ACCOUNT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The chain.
    pub chain: ChainId,
    /// The account.
    pub account: AccountId,
}

/// Pay from one account to another, on one chain or across two of one asset, or
/// to many at once, and wait until it is decided.
///
/// The key of the account that pays is in a file (--key, see `millrace key`). For
/// the test money of a local network it can be left out: it then follows from the
/// network's secret, customers.seed. The nonce is the account's next one, unless
/// it is given. A payment to another chain is decided one block later than one
/// within a chain; the output follows it through both.
///
/// With --payments, up to 1,000 accounts of the payer's chain are paid under one
/// signature: all of them, or, if one payment fails, none. The file has a payment
/// a line: an account, a comma, an amount; lines that begin with # are comments.
/// Within a chain a memo of up to 256 bytes can go with it, or the SHA-256 of
/// something longer; everybody can read it.
///
/// With --offline no validator is asked: the signed transaction goes into a
/// file, and `millrace submit` sends it, from here or from another machine.
///
/// Examples:
///   millrace transfer --network /tmp/mill --from 1:7 --to 1:8 --amount 100
///   millrace transfer --network /tmp/mill --from 1:7 --to 2:3 --amount 100
///   millrace transfer --network /tmp/mill --from 1:7 --payments wages.csv \
///                     --memo "wages of May"
///   millrace transfer --network /tmp/mill --from 1:7 --to 1:8 --amount 100 \
///                     --key alice.pem --passphrase-file alice.pass
///   millrace transfer --endpoint 127.0.0.1:7401 --fingerprint 9a41… \
///                     --network-id 77e0… --key alice.pem \
///                     --from 1:7 --to 1:8 --amount 100
///   millrace transfer --network-id 77e0… --key alice.pem \
///                     --from 1:7 --to 1:8 --amount 100 \
///                     --nonce 12 --expiry 90000 --offline pay.json
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, a file of payments that cannot be read, or a key file that
/// cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct TransferArgs {
    /// Who pays.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub from: Place,
    /// Who receives.
    #[arg(
        long,
        value_name = "CHAIN:ACCOUNT",
        value_parser = parse_place,
        required_unless_present = "payments",
        requires = "amount"
    )]
    pub to: Option<Place>,
    /// How much.
    #[arg(long, requires = "to")]
    pub amount: Option<u64>,
    /// Instead of --to and --amount: a file of payments, an account and an amount a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "amount"])]
    pub payments: Option<PathBuf>,
    /// What goes with it.
    #[command(flatten)]
    pub memo: MemoArgs,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// What goes with a payment; everybody can read it.
#[derive(Debug, Clone, Args)]
pub struct MemoArgs {
    /// A memo, at most 256 bytes.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// Instead of --memo: the SHA-256 of what is kept elsewhere.
    #[arg(long, value_name = "HEX", conflicts_with = "memo")]
    pub memo_hash: Option<Digest>,
}

/// With which key a transaction is signed, and where it goes.
#[derive(Debug, Clone, Args)]
pub struct SigningArgs {
    /// The network's directory, as `network init` made it.
    #[arg(long, value_name = "DIR", required_unless_present = "network_id", conflicts_with = "network_id")]
    pub network: Option<PathBuf>,
    /// With --network: which validator to submit to, by its number in network.toml or by its name in `chain members`;
    /// without it, the first member that answers.
    #[arg(long, value_name = "INDEX|NAME", requires = "network", conflicts_with = "endpoint")]
    pub validator: Option<Named>,
    /// The address for clients of a validator. Needed without --network, or if network.toml does not list it.
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<Address>,
    /// With --endpoint: the SHA-256 of the public key of the validator's certificate, as genesis.toml lists it. With
    /// --network it is needed only if neither network.toml nor `chain members` lists the validator.
    #[arg(long, value_name = "HEX", requires = "endpoint")]
    pub fingerprint: Option<net::Fingerprint>,
    /// Instead of --network: the network id, as genesis.toml records it.
    #[arg(long, value_name = "HEX", requires = "key")]
    pub network_id: Option<Digest>,
    /// The key file of the account that signs.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Where the passphrase of the key file is.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Your own reference, at most 12 bytes.
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// The nonce; without it, the account's next one.
    #[arg(long)]
    pub nonce: Option<u64>,
    /// The last height at which it may execute; without it, 1,000 above the present one.
    #[arg(long, value_name = "HEIGHT")]
    pub expiry: Option<u64>,
    /// With --offline: the version of the signing account's key.
    #[arg(long, value_name = "NUMBER", requires = "offline", default_value_t = engine::types::FIRST_KEY_VERSION)]
    pub key_version: u32,
    /// Sign into this new file and submit nothing.
    #[arg(long, value_name = "FILE", requires_all = ["nonce", "expiry"])]
    pub offline: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl SigningArgs {
    /// Which validator the options mean.
    pub(crate) fn whom(&self) -> WhomArgs {
        let Self { network, validator, endpoint, fingerprint, network_id, .. } = self;
        WhomArgs {
            network: network.clone(),
            validator: validator.clone(),
            endpoint: endpoint.clone(),
            fingerprint: *fingerprint,
            network_id: *network_id,
        }
    }
}

/// Submit a transaction that was signed into a file, and wait until it is
/// decided.
///
/// The same file can be submitted again, also to another validator: it takes
/// effect once, and each submission tells what became of it. Of a proposal or an
/// approval it also tells how far the proposal is.
///
/// Examples:
///   millrace submit pay.json --network /tmp/mill
///   millrace submit pay.json --endpoint 127.0.0.1:7401 --fingerprint 9a41… \
///                   --network-id 77e0…
///
/// Exit codes: 0 committed, 1 refused, failed or no answer, 2 usage, or a file
/// that is not one or is for another network.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct SubmitArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which validator to submit to.
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which account orders, and how that is signed and submitted.
#[derive(Debug, Clone, Args)]
pub struct AuthorityArgs {
    /// The account that orders and signs; without it, the one that holds the role now: a validator of --network says
    /// it.
    #[arg(long, value_name = "ACCOUNT")]
    pub authority: Option<u64>,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

pub(super) fn parse_place(text: &str) -> Result<Place, String> {
    let place = text.split_once(':').and_then(|(chain, account)| {
        Some(Place { chain: ChainId(chain.parse().ok()?), account: AccountId(account.parse().ok()?) })
    });
    place.ok_or_else(|| "write the chain's number, a colon and the account's number, as in 1:7".to_owned())
}
