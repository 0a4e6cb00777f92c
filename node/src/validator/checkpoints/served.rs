//! Checkpoints for peers that fetch a state.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use engine::limits::STATES_MAX;
use engine::replica::{ServedState, StateRead};
use engine::types::Height;
use engine::wire::PeerMessage;

use super::Directory;

/// Reads checkpoints for peers. What is in which file is read once.
pub struct ServedStates {
    files: Directory,
    known: BTreeMap<Height, Arc<ServedState>>,
}

impl ServedStates {
    /// Those of a directory.
    #[must_use]
    pub fn new(files: Directory) -> Self {
        Self { files, known: BTreeMap::new() }
    }

    /// The answer to a peer, and the height of the checkpoint of which it has a part. What cannot be read is not there:
    /// the peer asks another one.
    pub fn answer(&mut self, read: StateRead) -> (PeerMessage, Option<Height>) {
        match read {
            StateRead::States => {
                let heights = self.files.newest_first().unwrap_or_default();
                self.known.retain(|height, _| heights.contains(height));
                let offer = |height: Height| Some(self.state(height)?.list.offer(&self.files.network));
                (PeerMessage::States(heights.into_iter().filter_map(offer).take(STATES_MAX).collect()), None)
            }
            StateRead::ChunkList(height) => {
                let of = |state: Arc<ServedState>| (state.list.digests.clone(), state.evidence.clone());
                let (digests, evidence) = self.state(height).map(of).unwrap_or_default();
                let served = (!digests.is_empty()).then_some(height);
                (PeerMessage::ChunkList { height, digests, evidence: evidence.into() }, served)
            }
            StateRead::Chunk(height, number) => {
                let chunk = self.state(height).and_then(|state| {
                    let read = || state.chunk(&mut File::open(self.files.file(height))?, number);
                    told(height, read())
                });
                let served = chunk.as_ref().map(|_| height);
                (PeerMessage::Chunk { height, number, bytes: chunk.unwrap_or_default().into() }, served)
            }
        }
    }

    fn state(&mut self, height: Height) -> Option<Arc<ServedState>> {
        if let Some(known) = self.known.get(&height) {
            return Some(known.clone());
        }
        let of = || ServedState::of(self.files.of_validator(), &mut File::open(self.files.file(height))?);
        let state = Arc::new(told(height, of())?);
        self.known.insert(height, state.clone());
        Some(state)
    }
}

/// What was read; what is damaged is said.
fn told<T>(height: Height, read: io::Result<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            if super::is_damage(&error) {
                tracing::warn!("the checkpoint of height {height} is not given to a peer: {error}");
            }
            None
        }
    }
}
