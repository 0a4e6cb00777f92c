//! The command line around the engine's auditor: it learns here how this validator's records are read and what the
//! consensus engine's certificates prove. [`Text`] shows its report.

mod checkpoints;
mod map;
mod records;
mod text;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use consensus::Verifier;
use engine::audit::{Auditor, FinalBlock, FinalityCheck};
use engine::types::{Digest, Genesis, Members, Support};

use crate::config::FIRST_START;
use crate::validator::ordering;
pub use checkpoints::{Audit, CheckpointFile};
pub use map::Map;
pub use text::{ArchiveText, Text};

/// Why there is no auditor.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The validators cannot form a committee.
    #[error("the validators cannot form a committee: {0}")]
    Committee(consensus::StartError),
    /// The directory is not a validator's data directory.
    #[error("{}: no data directory, for it has no journal; name the directory that has one, as in {}", .0.display(), .1.display())]
    NoData(PathBuf, PathBuf),
    /// The validator has never been started.
    #[error("{}: this validator has never run, so it has no data yet", .0.display())]
    NeverRan(PathBuf),
    /// The operating system gave no randomness for the signature checks.
    #[error("no randomness: {0}")]
    Randomness(io::Error),
}

/// Whether a directory is one that a validator writes.
///
/// # Errors
/// [`VerifyError::NoData`], with the one that is probably meant, or [`VerifyError::NeverRan`].
pub fn check_data(directory: &Path) -> Result<(), VerifyError> {
    if directory.join("journal").is_dir() {
        return Ok(());
    }
    if directory.join(FIRST_START).exists() {
        return Err(VerifyError::NeverRan(directory.to_owned()));
    }
    let likely = [directory.join("data"), directory.join("validator-0/data"), directory.join("..")];
    let meant = likely.into_iter().find(|likely| likely.join("journal").is_dir());
    let meant = meant.unwrap_or_else(|| PathBuf::from("DIR/validator-0/data"));
    Err(VerifyError::NoData(directory.to_owned(), meant))
}

/// An auditor of a network's directories.
///
/// # Errors
/// [`VerifyError`].
pub fn auditor(genesis: Arc<Genesis>) -> Result<Auditor, VerifyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| VerifyError::Randomness(io::Error::other(error)))?;
    let first = Members::of_genesis(&genesis);
    let verifier = ordering::verifier(genesis.network(), &first).map_err(VerifyError::Committee)?;
    let network = *genesis.network();
    let finality = Certificates { network, known: RwLock::new(vec![(first, Arc::new(verifier))]) };
    Ok(Auditor::new((genesis, Support::OURS), seed, Box::new(records::Records(network)), Box::new(finality)))
}

/// The consensus engine's certificates.
struct Certificates {
    network: Digest,
    /// Sets of validators whose certificates were checked before, each with what checks them.
    known: RwLock<Vec<(Members, Arc<Verifier>)>>,
}

impl Certificates {
    fn of(&self, members: &Members) -> Result<Arc<Verifier>, String> {
        let find = |known: &[(Members, Arc<Verifier>)]| {
            known.iter().find(|(of, _)| of == members).map(|(_, verifier)| Arc::clone(verifier))
        };
        if let Some(verifier) = find(&self.known.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(verifier);
        }
        let verifier = ordering::verifier(&self.network, members).map_err(|error| error.to_string())?;
        let verifier = Arc::new(verifier);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.push((members.clone(), Arc::clone(&verifier)));
        Ok(verifier)
    }
}

impl FinalityCheck for Certificates {
    fn check(&self, members: &Members, certificate: &[u8]) -> Result<FinalBlock, String> {
        let verifier = self.of(members)?;
        let finalized = verifier.verify(certificate).map_err(|error| error.to_string())?;
        Ok(FinalBlock { view: finalized.view(), digest: Digest(finalized.payload()) })
    }
}
