//! What there is to say about backups, and what their commands print.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::print::{grouped, print_json, quoted, rows};
use crate::backup::{Backup, backup, restore};
use crate::verify::check_data;

/// Back up a validator's data while it runs.
///
/// Copies the checkpoints and the journal, up to its end of that moment, and reads
/// the copy back: each record, and each checkpoint. `backup.json` in it has the
/// SHA-256 of each file, and is written last. Nothing in the data directory is
/// written or locked. The log of votes is not copied, on purpose: see `restore`.
///
/// Keys and configuration are not in it: back them up once, apart from this.
///
/// Examples:
///   millrace backup /srv/mill/data --to /backup/mill-2026-11-29
///   millrace restore /backup/mill-2026-11-29 --to /srv/mill/data
///
/// Exit codes: 0 done and read back; 1 the data are damaged, or the disk is full;
/// 2 there is no journal, or the target is there already.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct BackupArgs {
    /// The validator's data directory.
    #[arg(value_name = "DATA_DIR")]
    pub data: PathBuf,
    /// The backup: a directory that does not exist.
    #[arg(long, value_name = "BACKUP")]
    pub to: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Make a data directory from a backup.
///
/// Compares every file with its SHA-256 first. The directory appears at once,
/// whole. It has no votes: what the validator has said since the backup cannot be
/// known from it. So the validator that starts there seals nothing until the
/// others have told how far its stream goes, and follows without voting until
/// something is final above every view in which it may have voted. Then it takes
/// part again, by itself. That needs four validators or more.
///
/// Make sure that no other process runs with this identity.
///
/// Example:
///   millrace restore /backup/mill-2026-11-29 --to /srv/mill/data
///
/// Exit codes: 0 done; 1 the backup is damaged, or the disk is full; 2 there is no
/// backup, or the target is there already.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RestoreArgs {
    /// The backup, as `millrace backup` made it.
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// The data directory: one that does not exist.
    #[arg(long, value_name = "DATA_DIR")]
    pub to: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Says now and then how many bytes are copied.
fn told(what: &'static str) -> impl FnMut(u64) {
    const EVERY: u64 = 1 << 30;
    let mut next = EVERY;
    move |bytes| {
        if bytes >= next {
            eprintln!("{what}: {} MiB", grouped(bytes >> 20));
            next = bytes + EVERY;
        }
    }
}

/// Makes a backup, and says what is in it.
///
/// # Errors
/// [`crate::backup::BackupError`].
pub(super) fn make(args: &BackupArgs) -> Result<bool> {
    check_data(&args.data)?;
    let Backup { manifest, records } = backup(&args.data, &args.to, &mut told("copied"))?;
    if args.json {
        print_json(&json!({ "backup": args.to, "records": records, "manifest": manifest }))?;
        return Ok(true);
    }
    println!("backup of validator {} in {}", manifest.validator, args.to.display());
    let newest = manifest.checkpoint.map_or_else(|| "none yet".into(), |height| format!("height {height}"));
    rows(&[
        ("network id", manifest.network.to_string()),
        ("newest checkpoint", newest),
        ("journal", format!("{} bytes, {} records", grouped(manifest.journal_bytes), grouped(records))),
        ("files", grouped(manifest.files.len() as u64)),
    ]);
    println!("\nuse it:  millrace restore {} --to DATA_DIR", quoted(&args.to));
    Ok(true)
}

/// Makes a data directory, and says what its validator will do.
///
/// # Errors
/// [`crate::backup::BackupError`].
pub(super) fn put_back(args: &RestoreArgs) -> Result<bool> {
    let manifest = restore(&args.backup, &args.to, &mut told("restored"))?;
    if args.json {
        print_json(&json!({ "data": args.to, "manifest": manifest }))?;
        return Ok(true);
    }
    println!("validator {} is restored in {}", manifest.validator, args.to.display());
    println!(
        "It has no votes: it follows without voting until the others have shown how far it may have gone. Make sure that \
         no other process runs with this identity."
    );
    Ok(true)
}
