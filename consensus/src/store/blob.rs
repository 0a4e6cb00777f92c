//! The operations on blobs, as commonware's storage traits.

use std::{future::pending, ops::RangeInclusive, sync::Arc};

use bytes::{Buf as _, BufMut as _};
use commonware_runtime::{
    Blob as BlobTrait, BlobVersion, Error, Handle, IoBufMut, IoBufs, IoBufsMut, ReadOptions, WriteOptions,
};
use commonware_utils::sync::Mutex;

use super::{
    record::{CHUNK_BYTES, NAME_BYTES_MAX, Record},
    volume::{Content, Entry, Refused, State, Volume},
};

/// One open blob.
pub(crate) struct Blob {
    volume: Arc<Volume>,
    entry: Arc<Entry>,
}

impl Volume {
    /// Opens a blob, making it if there is none.
    pub(crate) async fn open(
        self: &Arc<Self>,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        check_names(partition, name)?;
        let opened = self.open_now(partition, name, versions);
        never_if_refused(opened).await
    }

    fn open_now(
        self: &Arc<Self>,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<Result<(Blob, u64, BlobVersion), Error>, Refused> {
        let mut state = self.lock();
        let found = state.partitions.get(partition).and_then(|blobs| blobs.get(name)).cloned();
        let entry = match found {
            Some(entry) => {
                // The map and `entry` hold one reference each; a third is an open blob.
                if Arc::strong_count(&entry) > 2 {
                    return Ok(Err(Error::BlobAlreadyOpen(partition.to_owned(), hex(name))));
                }
                let found = BlobVersion::new(entry.version);
                if !versions.contains(&found) {
                    return Ok(Err(Error::BlobVersionMismatch { expected: versions, found }));
                }
                entry
            }
            None => {
                let version = versions.end().get();
                let id = state.next_id;
                let position = self.append(&mut state, Record::Create { id, version, partition, name })?;
                state.next_id += 1;
                let entry = Arc::new(Entry {
                    id,
                    version,
                    partition: partition.to_owned(),
                    name: name.to_owned(),
                    content: Mutex::new(Content { last: Some(position), ..Content::default() }),
                });
                state
                    .partitions
                    .entry(partition.to_owned())
                    .or_default()
                    .insert(name.to_owned(), entry.clone());
                self.compact_if_due(&mut state)?;
                entry
            }
        };
        let (len, version) = (entry.content.lock().bytes.len() as u64, BlobVersion::new(entry.version));
        Ok(Ok((Blob { volume: self.clone(), entry }, len, version)))
    }

    /// Removes a blob, or all blobs of a partition.
    pub(crate) async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        check_names(partition, name.unwrap_or_default())?;
        never_if_refused(self.remove_now(partition, name)).await
    }

    fn remove_now(&self, partition: &str, name: Option<&[u8]>) -> Result<Result<(), Error>, Refused> {
        let mut state = self.lock();
        let Some(blobs) = state.partitions.get(partition) else {
            return Ok(Err(Error::PartitionMissing(partition.to_owned())));
        };
        let gone: Vec<Arc<Entry>> = match name {
            None => blobs.values().cloned().collect(),
            Some(name) => match blobs.get(name) {
                Some(entry) => vec![entry.clone()],
                None => return Ok(Err(Error::BlobMissing(partition.to_owned(), hex(name)))),
            },
        };
        for entry in gone {
            self.append(&mut state, Record::Remove { id: entry.id })?;
            entry.content.lock().removed = true;
            if let Some(blobs) = state.partitions.get_mut(partition) {
                blobs.remove(&entry.name);
                if blobs.is_empty() {
                    state.partitions.remove(partition);
                }
            }
        }
        self.compact_if_due(&mut state)?;
        Ok(Ok(()))
    }

    /// The names of a partition's blobs.
    pub(crate) fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        check_names(partition, &[])?;
        let state = self.lock();
        let blobs =
            state.partitions.get(partition).ok_or_else(|| Error::PartitionMissing(partition.to_owned()))?;
        Ok(blobs.keys().cloned().collect())
    }
}

impl Blob {
    fn missing(&self) -> Error {
        Error::BlobMissing(self.entry.partition.clone(), hex(&self.entry.name))
    }

    /// Records and applies a write; the position of its last record, `None` if it changed nothing.
    fn write_now(&self, offset: u64, bytes: &[u8]) -> Result<Result<Option<u64>, Error>, Refused> {
        let Some(end) = offset.checked_add(bytes.len() as u64).and_then(|end| usize::try_from(end).ok())
        else {
            return Ok(Err(Error::OffsetOverflow));
        };
        if bytes.is_empty() {
            return Ok(Ok(None));
        }
        let start = end - bytes.len();
        let mut state = self.volume.lock();
        let mut content = self.entry.content.lock();
        if content.removed {
            return Ok(Err(self.missing()));
        }
        // The engine rewrites the page it appends to: only what differs is worth a record.
        let unchanged = content
            .bytes
            .get(start.min(content.bytes.len())..)
            .map_or(0, |old| old.iter().zip(bytes).take_while(|(old, new)| old == new).count());
        if unchanged < bytes.len() {
            let mut at = (start + unchanged) as u64;
            for chunk in bytes[unchanged..].chunks(CHUNK_BYTES) {
                self.record(&mut state, &mut content, |id| Record::Write { id, offset: at, bytes: chunk })?;
                at += chunk.len() as u64;
            }
            if end > content.bytes.len() {
                content.bytes.resize(end, 0);
            }
            content.bytes[start + unchanged..end].copy_from_slice(&bytes[unchanged..]);
        }
        let last = content.last;
        drop(content);
        self.volume.compact_if_due(&mut state)?;
        Ok(Ok(last))
    }

    fn resize_now(&self, len: u64) -> Result<Result<(), Error>, Refused> {
        let Ok(target) = usize::try_from(len) else {
            return Ok(Err(Error::OffsetOverflow));
        };
        let mut state = self.volume.lock();
        let mut content = self.entry.content.lock();
        if content.removed {
            return Ok(Err(self.missing()));
        }
        if content.bytes.len() != target {
            self.record(&mut state, &mut content, |id| Record::Resize { id, len })?;
            content.bytes.resize(target, 0);
        }
        drop(content);
        self.volume.compact_if_due(&mut state)?;
        Ok(Ok(()))
    }

    fn record<'a>(
        &self,
        state: &mut State,
        content: &mut Content,
        record: impl FnOnce(u64) -> Record<'a>,
    ) -> Result<(), Refused> {
        content.last = Some(self.volume.append(state, record(self.entry.id))?);
        Ok(())
    }
}

impl BlobTrait for Blob {
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        _options: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        let content = self.entry.content.lock();
        let start = usize::try_from(offset).map_err(|_| Error::OffsetOverflow)?;
        let end = start.checked_add(len).ok_or(Error::OffsetOverflow)?;
        let bytes = content.bytes.get(start..end).ok_or(Error::BlobInsufficientLength)?;
        match bufs.into().try_into_single() {
            Ok(mut buf) => {
                buf.clear();
                buf.put_slice(bytes);
                Ok(buf.into())
            }
            Err(mut bufs) if bufs.len() == len => {
                bufs.copy_from_slice(bytes);
                Ok(bufs)
            }
            Err(mut bufs) if bufs.is_empty() => {
                bufs.put_slice(bytes);
                Ok(bufs)
            }
            // Several half-filled buffers cannot be refilled through their public interface; nobody passes such.
            Err(_) => Err(Error::ReadFailed),
        }
    }

    async fn read_at(&self, offset: u64, len: usize, options: ReadOptions) -> Result<IoBufsMut, Error> {
        self.read_at_buf(offset, len, IoBufMut::with_capacity(len), options).await
    }

    async fn write_at(
        &self,
        offset: u64,
        bufs: impl Into<IoBufs> + Send,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let bytes = bufs.into().coalesce();
        let written = self.write_now(offset, bytes.chunk());
        let last = never_if_refused(written).await?;
        if let Some(last) = last.filter(|_| options.contains(WriteOptions::SYNC)) {
            self.volume.durable(self.volume.sync(last)).await;
        }
        Ok(())
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        let resized = self.resize_now(len);
        never_if_refused(resized).await
    }

    async fn sync(&self) -> Result<(), Error> {
        let last = self.entry.content.lock().last;
        if let Some(last) = last {
            self.volume.durable(self.volume.sync(last)).await;
        }
        Ok(())
    }

    async fn start_sync(&self) -> Handle<()> {
        let last = self.entry.content.lock().last;
        let Some(sync) = last.and_then(|last| self.volume.sync(last)) else {
            return Handle::ready(Ok(()));
        };
        let volume = self.volume.clone();
        Handle::from_future(async move {
            volume.durable(Some(sync)).await;
            Ok(())
        })
    }
}

/// A refused record has stopped the engine: the task that waits for it never goes on, and so never acts on it.
async fn never_if_refused<T>(result: Result<Result<T, Error>, Refused>) -> Result<T, Error> {
    match result {
        Ok(result) => result,
        Err(Refused) => pending().await,
    }
}

fn check_names(partition: &str, name: &[u8]) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if partition.is_empty()
        || partition.len() > NAME_BYTES_MAX
        || name.len() > NAME_BYTES_MAX
        || !partition.bytes().all(allowed)
    {
        return Err(Error::PartitionNameInvalid(partition.to_owned()));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
