//! Says in the log, in time, that the disk fills.

use std::path::Path;

use crate::disk::{Room, RoomWatch, free_bytes};

/// A look is taken at every so many calls of [`RoomReport::look`], which come five times a second.
const CALLS_EACH: u32 = 25;

/// Looks at the disk of a directory, now and then.
#[derive(Debug, Default)]
pub(super) struct RoomReport {
    watch: RoomWatch,
    calls: u32,
}

impl RoomReport {
    /// Takes its look, if it is time for one.
    pub(super) fn look(&mut self, data: &Path) {
        let is_due = self.calls.is_multiple_of(CALLS_EACH);
        self.calls = self.calls.wrapping_add(1);
        // A disk that does not even tell its room shows that at the next write.
        let Some(free) = is_due.then(|| free_bytes(data)).and_then(Result::ok) else { return };
        let (mib, data) = (free >> 20, data.display());
        match self.watch.judge(free) {
            Some(Room::Low) => tracing::warn!(
                "only {mib} MiB are free on the disk of {data}: the validator stops when it is full. Make room, or let it \
                 keep less of its journal (keep_mib in the section [storage])"
            ),
            Some(Room::Enough) => tracing::info!("{mib} MiB are free again on the disk of {data}"),
            None => {}
        }
    }
}
