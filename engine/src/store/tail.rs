//! Makes the log's tail durable before anybody acts upon it.
//!
//! ```text
//!   ──── durable by the word of a later sector ────▶ D ──── tail: whole, but synced? ────▶ end
//!                                                    └── read, written again, synced ──────┘
//! ```
//!
//! What recovery finds behind `D` may be only in the page cache: the process that wrote it was killed before its sync,
//! or its sync failed. A sync alone does not help after a failed one: Linux has marked the pages clean, shows them to
//! every reader, and lets the next sync succeed without writing them. No mark file can be relied on to tell of the
//! failure, because the disk that would hold it has just failed. So every open writes the tail again, byte for byte as
//! it was read, with a sync behind it; that is two groups at most, and one sector after an orderly end. A power cut in
//! between changes nothing, since each sector is replaced by itself.
//!
//! Within the failed process nothing needs repair: its log stays stopped, and reads end where the last sync succeeded.

use super::buffer::Buffer;
use super::disk::{Disk, Done, Event, Write, Writer};
use super::error::StoreError;
use super::identity::Identity;
use super::recover::{Extent, corrupt, unreadable};
use super::sector::{ENDS_SEGMENT, Found, SECTOR_BYTES, Seed};

/// Sectors written at a time.
const CHUNK_SECTORS: u64 = 256;

/// Writes and syncs what lies between the durable end and the end of the log.
pub(super) fn rewrite(
    disk: &dyn Disk,
    writer: &mut dyn Writer,
    identity: &Identity,
    extent: &Extent,
) -> Result<(), StoreError> {
    let size = identity.segment_sectors();
    let seed = Seed::new(&identity.owner);
    let mut next = extent.durable;
    for ticket in 0.. {
        if next >= extent.end {
            break;
        }
        let (segment, within) = (next / size, next % size);
        let wanted = CHUNK_SECTORS.min(size - within).min(extent.end - next) as usize;
        let offset = within * SECTOR_BYTES as u64;
        let mut buffer = Buffer::new(wanted);
        disk.read(segment, offset, &mut buffer, wanted)
            .map_err(|error| unreadable(disk, size, next, &error))?;
        let mut count = 0;
        while count < wanted {
            let found = seed.inspect(buffer.sector(count), next);
            let Found::Valid(tag) = found else {
                // It was whole a moment ago: nothing may be written on the strength of such a read.
                return Err(corrupt(disk, size, next, format!("sector {next}"), found.describe()));
            };
            count += 1;
            if tag.flags & ENDS_SEGMENT != 0 {
                next = (segment + 1) * size;
                break;
            }
            next += 1;
        }
        let written = Write { ticket, segment, offset, buffer, bytes: count * SECTOR_BYTES };
        write(writer, written).map_err(|error| StoreError::writing(&disk.path(segment), &error))?;
    }
    Ok(())
}

/// Writes one chunk and waits for its sync.
fn write(writer: &mut dyn Writer, write: Write) -> std::io::Result<()> {
    writer.submit(write);
    loop {
        if let Event::Done(Done { result, .. }) = writer.wait(None) {
            return result;
        }
    }
}
