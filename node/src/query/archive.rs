//! Questions to an archive, without a network: what a validator would answer about blocks, and proofs of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use client::{Client, ClientError};
use engine::roots::TransactionProof;
use engine::types::{Digest, Height};
use kernels::sha2::sha256;

use super::{Asked, Checked, PROOF_PATIENCE, answer, feed, found, network_of};
use crate::archive::{self, Archive, ArchiveError};
use crate::cli::{QueryArgs, Question};
use crate::config::ConfigError;
use crate::config::genesis::HEADER_FILE;

/// What is known of the network of an archive.
pub(super) struct AskedArchive {
    /// The header of the genesis, and where it is.
    pub(super) header: Vec<u8>,
    pub(super) header_file: PathBuf,
}

/// Answers one question from an archive; `false` where there is no such thing.
///
/// # Errors
/// There is no archive, it cannot be read, or it has no answers to such questions.
pub(super) fn query(args: &QueryArgs, directory: &Path) -> Result<bool> {
    args.whom.check_beside_archive()?;
    if let Some(name) = not_in_archive(&args.question) {
        return Err(ArchiveError::NotInArchive(name).into());
    }
    // Said before its header is missed.
    Archive::open(directory)?;
    let header_file = args.whom.network.as_deref().unwrap_or(directory).join(HEADER_FILE);
    let header = match network_of(args.whom.network.as_deref())? {
        Some(network) => network.genesis.header().to_vec(),
        None => std::fs::read(&header_file)
            .map_err(|source| ConfigError::Unreadable { file: header_file.clone(), source })?,
    };
    let progress = match &args.question {
        Question::Feed { args: feed, .. } | Question::History { args: feed, .. } => {
            Some(feed::Progress::new(feed.from)?)
        }
        _ => None,
    };
    // A header that cannot be read is said where it is needed.
    let origin = proof::Genesis::decode(&header).ok().and_then(|genesis| genesis.origin);
    let before_first = Height(origin.map_or(0, |origin| origin.height));
    let client = archive::client(directory, (Digest(sha256(&header)), before_first))?;
    let archive = Some(AskedArchive { header, header_file });
    let answered = answer(&mut Asked { client, network: None, archive }, args, progress.as_ref());
    let answered = answered.map_err(|error| match error.downcast() {
        Ok(ClientError::Unavailable { reason, .. }) => ArchiveError::Unreadable(reason).into(),
        Ok(error) => error.into(),
        Err(error) => error,
    });
    found(answered, args)
}

/// What an archive has no answer to, by the words of the command line.
fn not_in_archive(question: &Question) -> Option<&'static str> {
    match question {
        Question::Feed { args, .. } | Question::History { args, .. } => args.follow.then_some("--follow"),
        Question::Transaction { .. } | Question::Block { .. } | Question::Proof { .. } => None,
        Question::Account { .. } => Some("account"),
        Question::Record { .. } => Some("record"),
        Question::Key { .. } => Some("key"),
        Question::Administrators { .. } => Some("administrators"),
        Question::Accounts { .. } => Some("accounts"),
        Question::Attestation { .. } => Some("attestation"),
        Question::Chain { .. } => Some("chain"),
        Question::Reservation { .. } => Some("reservation"),
        Question::Never { .. } => Some("never"),
        Question::Status => Some("status"),
        Question::Counters => Some("counters"),
    }
}

impl AskedArchive {
    /// The genesis, as its header has it.
    pub(super) fn genesis(&self) -> Result<proof::Genesis> {
        let genesis = proof::Genesis::decode(&self.header);
        genesis.with_context(|| format!("{}: no header of a genesis", self.header_file.display()))
    }

    /// Completes the proof of a transaction and checks it as a stranger does.
    pub(super) fn checked(&self, client: &mut Client, of: &TransactionProof) -> Result<Checked> {
        let certificate = match client.prove_transaction(Some(of.chain.entry.chain), &of.id, PROOF_PATIENCE) {
            Ok(whole) => {
                let bytes = whole.encode().context("what the archive has makes no proof")?;
                if let Err(error) = proof::verify(&bytes, &self.header) {
                    bail!("the archive does not prove what it says of the transaction: {error}");
                }
                true
            }
            Err(ClientError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Checked { path: true, certificate: Some(certificate), ..Checked::default() })
    }
}
