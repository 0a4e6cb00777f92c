//! What a validator knows of epochs that its journal does not have: a file that its operator has fetched.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use engine::replica::{Epochs, EpochsError, HandoverError};
use engine::store::remove_file;
use engine::types::{Genesis, Support};

use super::ordering::Certificates;

/// The name of that file in a data directory: [`Epochs::encode`].
pub const EPOCHS_FILE: &str = "epochs";

/// The epochs of the file in a data directory, where they go on behind those of the journal. A file that says nothing
/// new is removed.
///
/// # Errors
/// The file cannot be read or used, or is of another history than the journal.
pub fn fetched_epochs(
    data: &Path,
    genesis: &Genesis,
    journal: &Epochs,
    certificates: &Certificates,
) -> anyhow::Result<Option<Epochs>> {
    let file = data.join(EPOCHS_FILE);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let known = match Epochs::decode((genesis, Support::OURS), &bytes, certificates) {
        Ok(known) => known,
        // What is wrong is the program.
        Err(EpochsError::Handover(_, HandoverError::Rules(rules))) => return Err(rules.into()),
        Err(error) => {
            let file = file.display();
            return Err(error).with_context(|| {
                format!("the epochs in {file} cannot be used: remove it, or fetch it again with `millrace network learn`")
            });
        }
    };
    if let Some(epoch) = known.parts_from(journal) {
        anyhow::bail!(
            "{} has another end of epoch {epoch} than the journal beside it: one of them is of a history that somebody has \
             forged with keys of that epoch. Ask the other operators which one is the network's (`millrace chain \
             members` prints the digest of the present validators) before anything is removed",
            file.display()
        );
    }
    if known.present() > journal.present() {
        return Ok(Some(known));
    }
    remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok(None)
}
