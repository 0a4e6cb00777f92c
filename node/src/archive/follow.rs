//! The command: one pass over a journal, or on and on beside the validator.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::archiver::{Archiver, Passed};
use super::error::ArchiveError;
use super::write::Written;
use crate::cli::{ArchiveArgs, genesis_file_beside, grouped, print_json, progress_bar};
use crate::config::genesis;
use crate::disk::lies_within;
use crate::{signals, verify};

/// How often a journal that is followed is looked at again.
const POLL: Duration = Duration::from_secs(1);

/// Archives what a data directory has, and what comes, if that is wanted.
///
/// # Errors
/// The directory or the genesis cannot be used; [`ArchiveError`].
pub fn archive(args: &ArchiveArgs) -> Result<bool> {
    verify::check_data(&args.data)?;
    if lies_within(&args.to, &args.data) {
        return Err(ArchiveError::InsideData(args.to.clone()).into());
    }
    let file = genesis_file_beside(&args.data, args.genesis.as_deref())?;
    let genesis = genesis::load(&file)?;
    let mut archiver = Archiver::open(&args.data, &args.to, (&genesis, &file))?;
    let (first, begin) = (archiver.height().next(), grouped(genesis.first_parent().0.next().0));
    let mut files = Vec::new();
    let mut told = |written: Written| {
        let Written { first, last, bytes, plain_bytes } = written;
        let [first, last, bytes, plain] = [first.0, last.0, bytes, plain_bytes].map(grouped);
        eprintln!("archived: heights {first} to {last}, {bytes} bytes in the file for {plain}");
        // Of one that goes on and on nobody waits for the sum.
        if !args.follow {
            files.push(written);
        }
    };
    if args.follow {
        follow(&mut archiver, &begin, args.every, &mut told)?;
        return Ok(true);
    }
    let bar = progress_bar("archiving");
    let stop = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        signals::is_pending()
    };
    let mut told = |written| bar.suspend(|| told(written));
    let passed = archiver.pass(stop, &mut told);
    let closed = archiver.close(&mut told);
    bar.finish_and_clear();
    let passed = closed.and(passed)?;
    if args.json {
        let (directory, height) = (&args.to, archiver.height());
        print_json(&json!({ "archive": directory, "archived_to": height, "files": files }))?;
    } else if archiver.height() < first {
        println!(
            "nothing new: {} has heights {begin} to {}",
            args.to.display(),
            grouped(archiver.height().0)
        );
    } else {
        println!("{} has heights {begin} to {}", args.to.display(), grouped(archiver.height().0));
    }
    if passed == Passed::Stopped {
        let signal = signals::wait()?;
        eprintln!("stopped by a signal: the same command goes on from there");
        std::process::exit(signal.exit_code());
    }
    Ok(true)
}

/// Goes on until a signal comes. What is less than a whole file is put into one after `every` seconds.
fn follow(archiver: &mut Archiver, begin: &str, every: u64, told: &mut dyn FnMut(Written)) -> Result<()> {
    eprintln!("following from height {} on; SIGTERM or Ctrl-C ends it", grouped(archiver.height().next().0));
    let mut waited = 0;
    loop {
        archiver.pass(|_, _| signals::is_pending(), told)?;
        if !archiver.has_some() {
            waited = 0;
        } else if waited >= every {
            archiver.close(told)?;
        }
        if signals::wait_for(POLL)?.is_some() {
            archiver.close(told)?;
            eprintln!("stopped: the archive has heights {begin} to {}", grouped(archiver.height().0));
            return Ok(());
        }
        waited += POLL.as_secs();
    }
}
