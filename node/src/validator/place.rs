//! Notices when the data directory of a running validator is deleted, renamed or replaced.
//!
//! The files stay open then, and writing goes on without an error, but nobody will ever find what is written. So
//! nothing is durable any more, and the validator must not go on.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::fatal::fatal;

/// The journal's directory as it was when the validator started.
pub(super) struct Place {
    directory: PathBuf,
    /// Device and inode; `None` where the system did not tell them.
    was: Option<(u64, u64)>,
}

impl Place {
    pub(super) fn of(data: &Path) -> Self {
        let directory = data.join("journal");
        let was = identity(&directory).ok();
        Self { directory, was }
    }

    /// Whether the name leads elsewhere now, or nowhere. A system that does not tell is believed to have it still: the
    /// next write shows whether the disk is well.
    fn is_gone(&self) -> bool {
        match (self.was, identity(&self.directory)) {
            (Some(was), Ok(is)) => was != is,
            (Some(_), Err(error)) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
            (None, _) => false,
        }
    }

    /// Stops the validator if its data directory is not there any more.
    pub(super) fn check(&self) {
        if self.is_gone() {
            fatal(format!(
                "the journal {} was deleted, renamed or replaced while this validator ran, so what it writes is lost. If \
                 it was renamed, give it its name back and start the validator again. If it is lost, start the validator \
                 with an empty data directory: it fetches the state from the others and votes again once that is safe",
                self.directory.display()
            ));
        }
    }
}

fn identity(directory: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(directory)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_deleted_renamed_or_replaced_is_noticed() {
        let data = tempfile::tempdir().unwrap();
        let journal = data.path().join("journal");
        fs::create_dir(&journal).unwrap();
        let place = Place::of(data.path());
        assert!(!place.is_gone());
        fs::write(journal.join("segment"), b"a file").unwrap();
        assert!(!place.is_gone(), "what lies in it may change");
        let aside = data.path().join("aside");
        fs::rename(&journal, &aside).unwrap();
        assert!(place.is_gone());
        // Another one of its name is not it.
        fs::create_dir(&journal).unwrap();
        assert!(place.is_gone());
        fs::remove_dir(&journal).unwrap();
        fs::rename(&aside, &journal).unwrap();
        assert!(!place.is_gone(), "it is back in its place");
        fs::remove_dir_all(data.path()).unwrap();
        assert!(place.is_gone());
    }
}
