//! Continues an archive from a journal: which height is next, which file it goes into, and what another process must
//! not do meanwhile.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use engine::replica::FetchedState;
use engine::store::Position;
use engine::types::{Digest, Genesis, Height, Support};
use kernels::sha2::sha256;
use serde::{Deserialize, Serialize};

use super::error::ArchiveError;
use super::format::FileHeader;
use super::journal::{Heights, Step, Tip};
use super::write::{FileWriter, Written, replace};
use super::{Archive, ArchiveFile};
use crate::config::genesis::HEADER_FILE;
use crate::disk::free_bytes;
use crate::network::STATE_FILE;
use crate::validator::ordering::{self, Certificates};
use crate::verify::VerifyError;

/// Uncompressed bytes after which a file ends, with the next height that has a certificate.
const FILE_BYTES: u64 = 64 << 20;
/// What is left to others on the disk of an archive.
const ROOM_LEFT_BYTES: u64 = 64 << 20;
/// What a process leaves to the next one.
pub(super) const PROGRESS_FILE: &str = "archived.json";

/// Where the next process goes on. The files of the archive count; this saves reading the journal from its beginning,
/// and tells that a file was taken away.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ArchiveProgress {
    /// The last height of the archive.
    pub(super) height: Height,
    /// The public key of the validator whose journal it was, and where it has to be read from.
    validator: Digest,
    position: u64,
}

/// Why a pass over the journal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// There is no further height that is proved to be final.
    All,
    /// It was asked to stop.
    Stopped,
}

/// The one process that writes an archive.
pub(super) struct Archiver {
    directory: PathBuf,
    network: Digest,
    heights: Heights,
    writer: Option<FileWriter>,
    /// The end of the last file.
    height: Height,
    block: Digest,
    file_bytes: u64,
    /// Held as long as it lives.
    _lock: File,
}

impl Archiver {
    /// Opens an archive, or makes one, and looks for its next height in the journal of a data directory.
    ///
    /// Of a network that was rebuilt the archive keeps the state as well from which it goes on.
    pub fn open(
        data: &Path,
        directory: &Path,
        (genesis, genesis_file): (&Genesis, &Path),
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).map_err(ArchiveError::io("creating", directory))?;
        let lock = lock(directory)?;
        let network = *genesis.network();
        name_network(directory, genesis)?;
        if genesis.origin().is_some() {
            keep_state(directory, genesis, &genesis_file.with_file_name(STATE_FILE))?;
        }
        let tip = end_of(directory, &network)?.unwrap_or_else(|| Tip::genesis(genesis));
        let progress = progress(directory);
        if let Some(progress) = progress.as_ref().filter(|progress| progress.height > tip.height) {
            return Err(ArchiveError::LastFileMissing {
                directory: directory.to_owned(),
                height: progress.height,
            }
            .into());
        }
        let read_to = progress.filter(|progress| progress.position > 0);
        let read_to = read_to.map(|at| (at.validator.0, Position::from_raw(at.position)));
        let verifier = ordering::verifier(genesis.network(), &tip.members).map_err(VerifyError::Committee)?;
        let (height, block) = (tip.height, tip.digest);
        let heights = Heights::open(data, &network, verifier, tip, read_to)?;
        let directory = directory.to_owned();
        let (writer, file_bytes) = (None, FILE_BYTES);
        Ok(Self { directory, network, heights, writer, height, block, file_bytes, _lock: lock })
    }

    /// The same with smaller files.
    #[cfg(test)]
    pub fn with_files_of(self, file_bytes: u64) -> Self {
        Self { file_bytes, ..self }
    }

    /// The last height that is in a file.
    pub fn height(&self) -> Height {
        self.height
    }

    /// Whether there are heights that are in no file yet.
    pub fn has_some(&self) -> bool {
        self.writer.is_some()
    }

    /// Archives what the journal has by now. What is less than a whole file waits for [`Self::close`]. `stop` is told
    /// how many bytes of the journal are read, and of how many. After an error there is no further pass.
    pub fn pass(
        &mut self,
        mut stop: impl FnMut(u64, u64) -> bool,
        told: &mut dyn FnMut(Written),
    ) -> Result<Passed, ArchiveError> {
        loop {
            let (done, total) = self.heights.progress();
            if self.heights.is_at_certificate() && stop(done, total) {
                return Ok(Passed::Stopped);
            }
            let proven = match self.heights.next() {
                Ok(Step::Height(proven)) => proven,
                Ok(Step::More) => continue,
                Ok(Step::End) => return Ok(Passed::All),
                Err(error) => {
                    // What is proved is kept, whatever comes behind it.
                    self.close(told)?;
                    return Err(error);
                }
            };
            // It comes back when the height is in it: a file that could not be written is not ended.
            let mut writer = match self.writer.take() {
                Some(writer) => writer,
                None => {
                    self.check_room()?;
                    let header =
                        FileHeader { network: self.network, first: self.height.next(), parent: self.block };
                    FileWriter::begin(&self.directory, header)?
                }
            };
            let block = proven.tip.digest;
            writer.add(proven)?;
            self.writer = Some(writer);
            if self.heights.is_at_certificate() {
                self.block = block;
                let is_full = self.writer.as_ref().is_some_and(|of| of.plain_bytes() >= self.file_bytes);
                if is_full {
                    self.close(told)?;
                }
            }
        }
    }

    /// Ends the file that is being written, if there is one.
    pub fn close(&mut self, told: &mut dyn FnMut(Written)) -> Result<(), ArchiveError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let written = writer.finish()?;
        self.height = written.last;
        let (validator, position) = self.heights.read_to();
        let progress =
            ArchiveProgress { height: self.height, validator: Digest(validator), position: position.raw() };
        let progress = serde_json::to_vec_pretty(&progress).expect("numbers and digests");
        replace(&self.directory.join(PROGRESS_FILE), &progress)?;
        told(written);
        Ok(())
    }

    /// Refuses to begin a file for which there is no room.
    fn check_room(&self) -> Result<(), ArchiveError> {
        let free = free_bytes(&self.directory).map_err(ArchiveError::io("looking at", &self.directory))?;
        let needed = self.file_bytes.saturating_add(ROOM_LEFT_BYTES);
        match free < needed {
            true => Err(ArchiveError::NoRoom { directory: self.directory.clone(), free, needed }),
            false => Ok(()),
        }
    }
}

/// Takes the archive's lock.
fn lock(directory: &Path) -> Result<File, ArchiveError> {
    let path = directory.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(ArchiveError::io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(ArchiveError::io("locking", &path)(error)),
    }
}

/// Puts the header of the genesis beside the files, with which strangers check proofs; or finds that of the network.
fn name_network(directory: &Path, genesis: &Genesis) -> Result<(), ArchiveError> {
    let path = directory.join(HEADER_FILE);
    match fs::read(&path) {
        Ok(header) if header == genesis.header() => Ok(()),
        Ok(header) => Err(ArchiveError::OtherNetwork {
            directory: directory.to_owned(),
            expected: *genesis.network(),
            found: Digest(sha256(&header)),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => replace(&path, genesis.header()),
        Err(error) => Err(ArchiveError::io("reading", &path)(error)),
    }
}

/// Puts the state beside the files from which a rebuilt network goes on, if it is that which the genesis names.
fn keep_state(directory: &Path, genesis: &Genesis, from: &Path) -> anyhow::Result<()> {
    let to = directory.join(STATE_FILE);
    if to.exists() {
        return Ok(());
    }
    let bytes = fs::read(from).map_err(ArchiveError::io("reading", from)).with_context(|| {
        format!("an archive of a rebuilt network keeps the state from which it goes on; put {STATE_FILE} beside the genesis")
    })?;
    let state = FetchedState::read(genesis.network(), &bytes[..]);
    let state = state.map_err(ArchiveError::io("reading", from))?;
    // A later state of the network holds as well, and the archive would lack what is below it.
    let expected = genesis.first_parent().0;
    if state.height() != expected {
        let (height, from) = (state.height(), from.display());
        anyhow::bail!(
            "{from}: a state of height {height}; the network was rebuilt from that of height {expected}"
        );
    }
    let is_it = state.check((genesis, Support::OURS), &Certificates::new(genesis)?);
    is_it.with_context(|| format!("{}: not the state from which the network was rebuilt", from.display()))?;
    Ok(replace(&to, &bytes)?)
}

/// The end of the last file, every byte of which is checked; none where there is no file.
fn end_of(directory: &Path, network: &Digest) -> Result<Option<Tip>, ArchiveError> {
    let archive = Archive::list(directory)?;
    let Some(heights) = archive.files.last() else { return Ok(None) };
    let file: ArchiveFile = archive.open_file(*heights)?;
    let (expected, found) = (*network, *file.network());
    if found != expected {
        return Err(ArchiveError::OtherNetwork { directory: directory.to_owned(), expected, found });
    }
    file.check()?;
    let (digest, cut) = (file.index.block, file.index.cut);
    Ok(Some(Tip { height: heights.1, digest, cut, members: Arc::new(file.index.members) }))
}

/// What the last process left. One that cannot be read is as good as none.
pub(super) fn progress(directory: &Path) -> Option<ArchiveProgress> {
    serde_json::from_slice(&fs::read(directory.join(PROGRESS_FILE)).ok()?).ok()
}
