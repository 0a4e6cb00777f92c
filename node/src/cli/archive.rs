//! What there is to say about an archive.

use std::path::PathBuf;

use clap::Args;

/// Archive what a network has committed, from one validator's files.
///
/// Reads the journal of a validator, which may run meanwhile, and writes its
/// blocks into files of their own: with certificates, batches, and what became
/// of each transaction. Nothing in the data directory is written or locked. The
/// journal may be pruned afterwards: `millrace verify --archive` audits from the
/// genesis on, and `millrace query --archive` answers about blocks, transactions
/// and what happened, and writes proofs.
///
/// A file FIRST-LAST.archive is written aside, synced, and then gets its name; it
/// is never changed again. So files can be copied and moved to cheap storage, but
/// leave the last one: the archive goes on from it. Killed at any moment, the same
/// command goes on without a gap. It takes the blocks of any validator of the
/// network that still has the next height.
///
/// Without --follow it archives what there is and ends. With it, it goes on beside
/// the validator until SIGTERM or Ctrl-C.
///
/// Examples:
///   millrace archive /srv/mill/data --to /archive/mill
///   millrace archive /srv/mill/data --to /archive/mill --follow
///   millrace verify /srv/mill/data --archive /archive/mill
///   millrace query --archive /archive/mill transaction 5f0c… --proof paid.proof
///
/// Exit codes: 0 done, or stopped when asked while it followed; 1 the journal no
/// longer has the next height, is damaged or has another block than the archive,
/// or the disk is full; 2 a directory or the genesis cannot be used, the archive is
/// of another network, or another process writes it; 130 or 143 stopped by a signal
/// before it was through.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ArchiveArgs {
    /// The validator's data directory.
    #[arg(value_name = "DATA_DIR")]
    pub data: PathBuf,
    /// The archive; it is made if it does not exist.
    #[arg(long, value_name = "ARCHIVE")]
    pub to: PathBuf,
    /// The network's genesis.toml; without it, the one that DATA_DIR/../node.toml names.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// Go on beside the validator.
    #[arg(long)]
    pub follow: bool,
    /// With --follow: after so many seconds a file is closed even if it is not full. A full file has 64 MiB
    /// uncompressed.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "follow")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: u64,
    /// Print what was archived as JSON, at the end.
    #[arg(long, conflicts_with = "follow")]
    pub json: bool,
}
