//! One lane: a queue bounded by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crossbeam::channel::{Receiver, Sender, TryRecvError, unbounded};

use super::Weighed;

/// What a lane has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// Packets that were let in.
    pub accepted_packets: u64,
    /// Packets that were turned away because the lane was full.
    pub shed_packets: u64,
    /// Bytes that wait.
    pub queued_bytes: u64,
}

/// What the lane did not take comes back.
#[derive(Debug)]
pub enum Refused<T> {
    /// There is no room for it now.
    Full(T),
    /// Nobody takes anything any more.
    Closed(T),
}

#[derive(Debug)]
struct Shared {
    bytes_max: usize,
    bytes: AtomicUsize,
    accepted_packets: AtomicU64,
    shed_packets: AtomicU64,
}

/// Where things are put into a lane. When the last clone is gone, the lane is closed.
#[derive(Clone, Debug)]
pub struct Lane<T> {
    sender: Sender<T>,
    shared: Arc<Shared>,
}

/// Where things are taken out.
#[derive(Clone, Debug)]
pub(super) struct Outlet<T> {
    receiver: Receiver<T>,
    shared: Arc<Shared>,
    /// Whether this outlet has seen the end.
    finished: std::cell::Cell<bool>,
}

pub(super) fn open<T>(bytes_max: usize) -> (Lane<T>, Outlet<T>) {
    // Unbounded in items, bounded in bytes by `shared`: every item has at least one packet's worth of bytes.
    let (sender, receiver) = unbounded();
    let shared = Arc::new(Shared {
        bytes_max,
        bytes: AtomicUsize::new(0),
        accepted_packets: AtomicU64::new(0),
        shed_packets: AtomicU64::new(0),
    });
    let outlet = Outlet { receiver, shared: Arc::clone(&shared), finished: false.into() };
    (Lane { sender, shared }, outlet)
}

impl<T: Weighed> Lane<T> {
    /// Puts an item in, or gives it back.
    pub fn offer(&self, item: T) -> Result<(), Refused<T>> {
        let (bytes, packets) = (item.bytes(), item.packets() as u64);
        let room = self.shared.bytes.fetch_update(Relaxed, Relaxed, |queued| {
            (queued < self.shared.bytes_max).then_some(queued + bytes)
        });
        if room.is_err() {
            self.shared.shed_packets.fetch_add(packets, Relaxed);
            return Err(Refused::Full(item));
        }
        self.sender.send(item).map_err(|refused| {
            self.shared.bytes.fetch_sub(bytes, Relaxed);
            Refused::Closed(refused.0)
        })?;
        self.shared.accepted_packets.fetch_add(packets, Relaxed);
        Ok(())
    }

    /// What this lane has seen.
    pub fn counters(&self) -> LaneCounters {
        LaneCounters {
            accepted_packets: self.shared.accepted_packets.load(Relaxed),
            shed_packets: self.shared.shed_packets.load(Relaxed),
            queued_bytes: self.shared.bytes.load(Relaxed) as u64,
        }
    }
}

impl<T: Weighed> Outlet<T> {
    /// Takes items until they hold `packets_max` packets or none is left.
    pub(super) fn take(&self, packets_max: usize, items: &mut Vec<T>) {
        let mut packets = 0;
        while packets < packets_max {
            match self.receiver.try_recv() {
                Ok(item) => {
                    self.shared.bytes.fetch_sub(item.bytes(), Relaxed);
                    packets += item.packets().max(1);
                    items.push(item);
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.finished.set(true),
            }
        }
    }

    pub(super) fn receiver(&self) -> &Receiver<T> {
        &self.receiver
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.get()
    }
}
