//! All blobs of one engine, and the log that remembers them.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use commonware_utils::{channel::oneshot, sync::Mutex};

use super::{
    Store,
    record::{CHUNK_BYTES, Identity, Record},
    replay::Recovered,
};
use crate::{StopReason, halt::Halt};

/// The blobs of one engine.
pub(crate) struct Volume {
    store: Arc<dyn Store>,
    halt: Halt,
    identity: Identity,
    compact_after: u64,
    state: Mutex<State>,
    /// One more than the highest position known to be durable.
    durable: Arc<AtomicU64>,
    /// One more than the position before which everything may be released; 0: nothing.
    releasable: Arc<AtomicU64>,
    pub(crate) counters: StoreCounters,
}

/// What the store is used for.
#[derive(Debug, Default)]
pub(crate) struct StoreCounters {
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) live_bytes: AtomicU64,
}

pub(crate) type Partitions = BTreeMap<String, BTreeMap<Vec<u8>, Arc<Entry>>>;

pub(crate) struct State {
    pub(crate) partitions: Partitions,
    pub(crate) next_id: u64,
    /// Bytes of records since the last snapshot, and the number from which the next one is due.
    since_snapshot: u64,
    due: u64,
    scratch: Vec<u8>,
}

/// One blob.
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) version: u16,
    pub(crate) partition: String,
    pub(crate) name: Vec<u8>,
    pub(crate) content: Mutex<Content>,
}

#[derive(Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// The position of the last record about this blob in this run.
    pub(crate) last: Option<u64>,
    pub(crate) removed: bool,
}

/// The store refused a record; the engine has been told to stop.
pub(crate) struct Refused;

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Volume {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        recovered: Recovered,
        identity: Identity,
        compact_after: u64,
        halt: Halt,
    ) -> io::Result<Self> {
        let mut partitions = Partitions::new();
        for (id, image) in recovered.blobs {
            let entry = Entry {
                id,
                version: image.version,
                partition: image.partition.clone(),
                name: image.name.clone(),
                content: Mutex::new(Content { bytes: image.bytes, ..Content::default() }),
            };
            partitions.entry(image.partition).or_default().insert(image.name, Arc::new(entry));
        }
        if let Some(snapshot) = recovered.snapshot {
            // The crash may have come between the end of the snapshot and this.
            store.release(snapshot);
        }
        let volume = Self {
            store,
            halt,
            identity,
            compact_after,
            state: Mutex::new(State {
                partitions,
                next_id: recovered.next_id,
                since_snapshot: recovered.bytes,
                due: compact_after,
                scratch: Vec::new(),
            }),
            durable: Arc::new(AtomicU64::new(recovered.last.map_or(0, |last| last + 1))),
            releasable: Arc::new(AtomicU64::new(0)),
            counters: StoreCounters::default(),
        };
        if recovered.begins {
            let mut record = Vec::new();
            Record::Identity(identity).encode(&mut record);
            volume.store.append(&record)?;
        }
        Ok(volume)
    }

    pub(crate) fn lock(&self) -> commonware_utils::sync::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Appends a record about a live blob, and compacts when that is due.
    pub(crate) fn append(&self, state: &mut State, record: Record<'_>) -> Result<u64, Refused> {
        let releasable = self.releasable.swap(0, Ordering::AcqRel);
        if releasable > 0 {
            self.store.release(releasable - 1);
        }
        self.write(state, record)
    }

    fn write(&self, state: &mut State, record: Record<'_>) -> Result<u64, Refused> {
        if self.halt.is_stopped() {
            return Err(Refused);
        }
        state.scratch.clear();
        record.encode(&mut state.scratch);
        state.since_snapshot += state.scratch.len() as u64;
        self.counters.records.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(state.scratch.len() as u64, Ordering::Relaxed);
        self.store.append(&state.scratch).map_err(|error| {
            self.halt.stop(StopReason::Storage(format!("a record was refused: {error}")));
            Refused
        })
    }

    /// Writes a snapshot if enough has been written since the last. Call with the content of no blob locked, after
    /// a mutation is applied in memory.
    pub(crate) fn compact_if_due(&self, state: &mut State) -> Result<(), Refused> {
        if state.since_snapshot < state.due {
            return Ok(());
        }
        let entries: Vec<Arc<Entry>> =
            state.partitions.values().flat_map(|blobs| blobs.values().cloned()).collect();
        state.since_snapshot = 0;
        let begin =
            self.write(state, Record::SnapshotBegin { identity: self.identity, next_id: state.next_id })?;
        for entry in &entries {
            let content = entry.content.lock();
            let (first, rest) = content.bytes.split_at(content.bytes.len().min(CHUNK_BYTES));
            let Entry { id, version, partition, name, .. } = &**entry;
            self.write(
                state,
                Record::SnapshotBlob { id: *id, version: *version, partition, name, bytes: first },
            )?;
            for bytes in rest.chunks(CHUNK_BYTES) {
                self.write(state, Record::SnapshotMore { id: *id, bytes })?;
            }
        }
        let end = self.write(state, Record::SnapshotEnd { blobs: entries.len() as u64 })?;
        let live = std::mem::take(&mut state.since_snapshot);
        // Never less than a few times what a snapshot costs, or compaction would be most of what is written.
        state.due = self.compact_after.max(live.saturating_mul(4));
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        self.counters.live_bytes.store(live, Ordering::Relaxed);
        let releasable = self.releasable.clone();
        let halt = self.halt.clone();
        self.store.sync(
            end,
            Box::new(move |result| match result {
                // Released by the engine's thread at its next record: the store is not called from its own callback.
                Ok(()) => {
                    releasable.fetch_max(begin + 1, Ordering::AcqRel);
                }
                Err(error) => halt.stop(not_durable(&error)),
            }),
        );
        Ok(())
    }

    /// Begins to make the record at `position` durable. `None`: it is already.
    pub(crate) fn sync(&self, position: u64) -> Option<oneshot::Receiver<()>> {
        if self.durable.load(Ordering::Acquire) > position {
            return None;
        }
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let (durable, halt) = (self.durable.clone(), self.halt.clone());
        self.store.sync(
            position,
            Box::new(move |result| match result {
                Ok(()) => {
                    durable.fetch_max(position + 1, Ordering::AcqRel);
                    let _waiter_gone = sender.send(());
                }
                Err(error) => halt.stop(not_durable(&error)),
            }),
        );
        Some(receiver)
    }

    /// Completes when a sync has; never, once the store has failed.
    pub(crate) async fn durable(&self, sync: Option<oneshot::Receiver<()>>) {
        let Some(sync) = sync else { return };
        if sync.await.is_err() {
            self.halt.stop(StopReason::Storage("the store dropped a sync without an answer".to_owned()));
            pending::<()>().await;
        }
    }
}

fn not_durable(error: &io::Error) -> StopReason {
    StopReason::Storage(format!("a sync failed: {error}"))
}
