//! Names of files and directories that survive a power cut: a directory's entries are synced apart from what they name.

use std::fs;
use std::io;
use std::path::Path;

use super::files::sync_directory;

/// Makes a directory and those above it that are missing, durably.
///
/// # Errors
/// The file system refuses.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    create_directory_with(directory, sync_directory)
}

/// Removes a file, durably: it is not there again after a power cut.
///
/// # Errors
/// The file system refuses.
pub fn remove_file(file: &Path) -> io::Result<()> {
    remove_file_with(file, sync_directory)
}

fn create_directory_with(directory: &Path, mut sync: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    // The entry of a directory that exists may never have been synced: the start that made it may have been cut here.
    let parents = || directory.ancestors().skip(1).map(parent_or_here);
    let missing = parents().take_while(|parent| !parent.exists()).count();
    fs::create_dir_all(directory)?;
    parents().take(missing + 1).try_for_each(&mut sync)
}

fn remove_file_with(file: &Path, sync: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    fs::remove_file(file)?;
    sync(file.parent().map_or(Path::new("."), parent_or_here))
}

/// The parent of a relative name is the empty path.
fn parent_or_here(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_new_name_is_synced_in_its_parent_once_it_exists() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b/c");
        let synced = |directory: &Path| {
            let mut synced = Vec::new();
            let sync = |parent: &Path| {
                assert!(directory.is_dir(), "the names are synced when they are all there");
                synced.push(parent.strip_prefix(root.path()).unwrap().to_path_buf());
                sync_directory(parent)
            };
            create_directory_with(directory, sync).unwrap();
            synced
        };
        assert_eq!(synced(&directory), ["a/b", "a", ""].map(Path::new));
        assert_eq!(synced(&directory), [Path::new("a/b")], "it may not have been synced when it was made");
    }

    #[test]
    fn a_removed_name_is_synced_in_its_parent() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("marker");
        fs::write(&file, "").unwrap();
        let mut synced = None;
        let sync = |parent: &Path| {
            assert!(!file.exists());
            synced = Some(parent.to_path_buf());
            sync_directory(parent)
        };
        remove_file_with(&file, sync).unwrap();
        assert_eq!(synced.as_deref(), Some(root.path()));
        assert!(remove_file(&file).is_err(), "a file that is not there cannot be removed");
    }

    #[test]
    fn relative_names_have_a_parent_too() {
        assert_eq!(parent_or_here(Path::new("data").parent().unwrap()), Path::new("."));
    }
}
