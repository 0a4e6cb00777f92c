//! Notices when the data directory of a running validator is deleted, renamed or replaced.
//!
//! The files stay open then, and writing goes on without an error, but nobody will ever find what is written. So
//! nothing is durable any more, and the validator must not go on.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::fatal::fatal;

/// The directories of the journal and of the votes, as they were when they were opened.
pub(super) struct Place([Known; 2]);

struct Known {
    directory: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// The place of logs that have just been opened.
    ///
    /// # Errors
    /// The system does not tell which directories these are.
    pub(super) fn of(data: &Path) -> anyhow::Result<Self> {
        let known = |name: &str| {
            let directory = data.join(name);
            let (device, inode) =
                identity(&directory).with_context(|| format!("cannot look at {}", directory.display()))?;
            anyhow::Ok(Known { directory, device, inode })
        };
        Ok(Self([known("journal")?, known("consensus")?]))
    }

    /// A directory whose name leads elsewhere now, or nowhere. Where the system answers with another error, it is taken
    /// to be there still: the next write shows whether the disk is well.
    fn gone(&self) -> Option<&Path> {
        let is_gone = |known: &&Known| match identity(&known.directory) {
            Ok(now) => now != (known.device, known.inode),
            Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        self.0.iter().find(is_gone).map(|known| &*known.directory)
    }

    /// Stops the validator if its data directory is not there any more.
    pub(super) fn check(&self) {
        if let Some(directory) = self.gone() {
            fatal(format!(
                "{} was deleted, renamed or replaced while this validator ran, so what it writes is lost. If it was \
                 renamed, give it its name back and start the validator again. If it is lost, start the validator with an \
                 empty data directory: it fetches the state from the others and votes again once that is safe",
                directory.display()
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
        assert!(Place::of(data.path()).is_err(), "nothing was opened here");
        for name in ["journal", "consensus"] {
            fs::create_dir_all(data.path().join("journal")).unwrap();
            fs::create_dir_all(data.path().join("consensus")).unwrap();
            let (directory, aside) = (data.path().join(name), data.path().join("aside"));
            let place = Place::of(data.path()).unwrap();
            fs::write(directory.join("segment"), b"a file").unwrap();
            assert_eq!(place.gone(), None, "what lies in it may change");
            fs::rename(&directory, &aside).unwrap();
            assert_eq!(place.gone(), Some(&*directory));
            // Another one of its name is not it.
            fs::create_dir(&directory).unwrap();
            assert_eq!(place.gone(), Some(&*directory));
            fs::remove_dir(&directory).unwrap();
            fs::rename(&aside, &directory).unwrap();
            assert_eq!(place.gone(), None, "it is back in its place");
            fs::remove_dir_all(&directory).unwrap();
            assert_eq!(place.gone(), Some(&*directory));
        }
    }
}
