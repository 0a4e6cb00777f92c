//! What can be asked of a validator, and how its proofs are checked.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::wire::Cursor;

use super::{Reserved, WhomArgs, attest, reserve};

/// Ask a validator about the committed ledger, and check its proof before
/// printing.
///
/// Accounts and transactions come with a Merkle path (RFC 9162) to a state
/// root. The path is checked here; with `--network` the state root is compared
/// with those that the other validators have at that height. What is printed
/// says what was checked.
///
/// `--proof FILE` writes a proof instead that convinces anybody who has the
/// header of the genesis, without a network: see `millrace verify-proof`. It
/// waits until the state root is under a finalization, which takes a second or
/// two; at most 20.
///
/// The options that say which validator is asked go before the question or
/// after it.
///
/// `--archive ARCHIVE` asks an archive instead of a validator, without a network:
/// block, transaction, proof, history and feed, and `transaction --proof`. The
/// genesis.header of the archive says who must have signed; with `--network` it is
/// that of the network.
///
/// Examples:
///   millrace query --network /tmp/mill status
///   millrace query --network /tmp/mill --validator 2 counters
///   millrace query account 1 7 --network /tmp/mill
///   millrace query --network /tmp/mill account 1 7 --proof account.proof
///   millrace query --network /tmp/mill key 1 7 1 --proof first-key.proof
///   millrace query --network /tmp/mill attestation 2 --file contract.pdf
///   millrace query --network /tmp/mill attestation 2 9a41… --history
///   millrace query --network /tmp/mill reservation 1:7/3
///   millrace query --network /tmp/mill transaction 5f0c…
///   millrace query --network /tmp/mill transaction 5f0c… --proof paid.proof
///   millrace query --network /tmp/mill proof 1 5f0c…  --json
///   millrace query --network /tmp/mill history 1 7 --reference "invoice 42"
///   millrace query --network /tmp/mill feed 1 --from 812.0 --follow --json
///   millrace query --archive /archive/mill transaction 5f0c… --proof paid.proof
///   millrace query --endpoint 127.0.0.1:7401 --fingerprint 9a41… \
///                  --network-id 77e0… block 12
///
/// Exit codes: 0 answered, and every proof holds, or the proof is written; 1 no
/// such thing (also not registered, or not open), no answer, or a proof that does
/// not hold; 2 usage.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct QueryArgs {
    /// Which validator to ask.
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Instead of a validator: an archive, as `millrace archive` wrote it.
    #[arg(long, value_name = "ARCHIVE", global = true)]
    pub archive: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to ask.
    #[command(subcommand)]
    pub question: Question,
}

/// What to ask.
#[derive(Debug, Clone, Subcommand)]
pub enum Question {
    /// What an account holds, under the latest state root.
    Account {
        /// The chain.
        chain: u32,
        /// The account's number.
        account: u64,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// What a chain keeps of an account beside its balance: since when it has its key, who can give it another one, and
    /// what is about to change.
    Record {
        /// The chain.
        chain: u32,
        /// The account's number.
        account: u64,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// A key that an account had before its present one, and from which height to which. Or that none of that version
    /// was replaced.
    Key {
        /// The chain.
        chain: u32,
        /// The account's number.
        account: u64,
        /// The version of the key: 1 is the first.
        version: u32,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// Who decides about the chains of the network, and how many of them must approve.
    Administrators {
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// Which accounts of a chain have a public key, with what they hold. Each is proved; that there are no others is
    /// the validator's word.
    Accounts {
        /// The chain.
        chain: u32,
        /// The public key, 64 hexadecimal digits, as `key show` prints it.
        public_key: engine::types::Digest,
        /// Only accounts from this number on.
        #[arg(long, value_name = "ACCOUNT", default_value_t = 0)]
        from: u64,
    },
    /// What a chain says of a fingerprint: registered, by whom, still in force? Or that it is not registered.
    Attestation {
        /// The chain.
        chain: u32,
        /// The fingerprint, 64 hexadecimal digits.
        // --fingerprint is the validator's.
        #[arg(
            id = "registered",
            value_name = "FINGERPRINT",
            required_unless_present = "file",
            value_parser = attest::parse_fingerprint
        )]
        fingerprint: Option<engine::types::Fingerprint>,
        /// Instead of the fingerprint: the file that has it.
        #[arg(long, value_name = "FILE", conflicts_with = "registered")]
        file: Option<PathBuf>,
        /// Show those before it, too, as far as each supersedes the one before, and check that the chain holds; with
        /// --proof, write the proof of all of them.
        #[arg(long)]
        history: bool,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// What a chain is now: its kind and status, and who may do what there.
    Chain {
        /// The chain.
        chain: u32,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// What is set aside under an account and a nonce, for a payment or for a swap: or that nothing is.
    Reservation {
        /// The reservation or the offer.
        #[arg(value_name = "CHAIN:ACCOUNT/NONCE", value_parser = reserve::parse_reserved)]
        reservation: Reserved,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// Where a transaction is, what it says, and what became of it. A validator looks through the last 65,536 packets,
    /// and remembers the blocks of almost all of the last half million transactions; `history` finds any.
    Transaction {
        /// The transaction's id, 64 hexadecimal digits.
        id: engine::types::TransactionId,
        /// Its chain, if you know it: the search is shorter.
        #[arg(long)]
        chain: Option<u32>,
        /// Write a proof for strangers into this file instead of printing the answer.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// The proof that a transaction has not been executed and never can be: it has expired and its nonce is unspent.
    Never {
        /// The file that `--offline` wrote, or the bytes in hexadecimal: 256 digits, or more of an envelope.
        #[arg(value_name = "FILE|BYTES", value_parser = parse_signed)]
        transaction: SignedSource,
        /// Write the proof into this file.
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
    },
    /// A block: its header, how far it takes each stream, its finality and its roots.
    Block {
        /// The block's height.
        height: u64,
    },
    /// The proof that a transaction is in a block, with its outcome.
    Proof {
        /// The chain.
        chain: u32,
        /// The transaction's id, 64 hexadecimal digits.
        id: engine::types::TransactionId,
    },
    /// What happened on a chain, in the order of execution: an event a line, and where to go on.
    Feed {
        /// The chain.
        chain: u32,
        /// Which part of it.
        #[command(flatten)]
        args: FeedArgs,
    },
    /// What an account signed, received or got back, and what took effect for it by itself, in order: an event a
    /// line, and where to go on.
    History {
        /// The chain.
        chain: u32,
        /// The account's number.
        account: u64,
        /// Which part of it.
        #[command(flatten)]
        args: FeedArgs,
    },
    /// The validator's state: heights, peers, whether it votes.
    Status,
    /// Everything that the validator has counted since its start.
    Counters,
}

/// Which part of a feed is printed.
#[derive(Debug, Clone, Args)]
pub struct FeedArgs {
    /// Begin here: a height and a place, as the last line of an earlier answer names it. Any validator of the network
    /// understands it. Without it, the beginning, or the first height that is kept.
    #[arg(long, value_name = "HEIGHT.PLACE", default_value_t = Cursor::START)]
    pub from: Cursor,
    /// Only transfers with this reference of their sender, at most 12 bytes.
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// Print so many events at most.
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Wait for more at the end, and connect again if the connection ends.
    #[arg(long)]
    pub follow: bool,
}

/// Check a proof that `millrace query … --proof` wrote, with nothing but the
/// header of the genesis: no network, no validator, no account file.
///
/// Prints in plain words what is proved: what an account held after a block,
/// that a transaction is in a block and with what outcome, that one has not
/// been executed and never can be, what a chain says of a fingerprint, what is
/// set aside or that nothing is, what a chain is and who may do what there, who
/// can help an account and which keys it had, who decides, and what was proposed
/// and decided. A quorum of the validators that the header names has signed for
/// it. Every byte is checked: a changed proof is refused, and the message says
/// what is wrong with it.
/// The question alone may be changed, such as the transaction that was never
/// executed: then another one is answered, so name yours with --transaction. It is
/// compared by what it signs; its signature and an envelope's payload are not
/// checked.
///
/// Take the header from somebody you trust, or take it from anywhere and name
/// with --network-id the network id that you trust: it is the header's SHA-256.
/// docs/PROOFS.md says what each proof says and does not say.
///
/// Examples:
///   millrace verify-proof account.proof --genesis genesis.header
///   millrace verify-proof paid.proof --genesis genesis.header --json
///   millrace verify-proof paid.proof --genesis genesis.header --network-id 9f...
///   millrace verify-proof never.proof --genesis genesis.header --transaction pay.json
///
/// Exit codes: 0 the proof holds; 1 it does not, or it does not speak of what
/// --transaction names; 2 usage, a file cannot be read,
/// or the header is no header or of another network than --network-id.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct VerifyProofArgs {
    /// The proof.
    #[arg(value_name = "FILE")]
    pub proof: PathBuf,
    /// The header of the genesis, as `network init` wrote it.
    #[arg(long, value_name = "GENESIS_HEADER")]
    pub genesis: PathBuf,
    /// The network id that the header must have, 64 hexadecimal digits: with it the header may come from anywhere.
    #[arg(long, value_name = "ID")]
    pub network_id: Option<engine::types::Digest>,
    /// The transaction that the proof must speak of: the file that `--offline` wrote, or its bytes in hexadecimal.
    #[arg(long, value_name = "FILE|BYTES", value_parser = parse_signed)]
    pub transaction: Option<SignedSource>,
    /// Print JSON: whether it holds, and what it says or what is wrong.
    #[arg(long)]
    pub json: bool,
}

/// Where a signed transaction is.
#[derive(Debug, Clone)]
pub enum SignedSource {
    /// On the command line.
    Here(engine::types::Transaction),
    /// In a file that `--offline` wrote.
    File(PathBuf),
}

impl std::fmt::Display for SignedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(transaction) => f.write_str(&hex::encode(transaction.bytes())),
            Self::File(file) => file.display().fmt(f),
        }
    }
}

fn parse_signed(text: &str) -> Result<SignedSource, String> {
    let are_digits = |text: &str| text.len() >= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if std::path::Path::new(text).exists() {
        return Ok(SignedSource::File(PathBuf::from(text)));
    }
    if text.strip_prefix("0x").is_some_and(are_digits) {
        return Err("write the bytes without 0x".to_owned());
    }
    if !are_digits(text) {
        return Ok(SignedSource::File(PathBuf::from(text)));
    }
    let bytes = hex::decode(text).map_err(|_| "a byte has two hexadecimal digits".to_owned())?;
    let transaction = engine::types::Transaction::from_bytes(&bytes);
    transaction.map(SignedSource::Here).map_err(|error| format!("these {} bytes are {error}", bytes.len()))
}
