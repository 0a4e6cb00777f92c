//! Places for connections that are not known yet: bounded, fair by address, never all taken for long.
//!
//! When every place is taken, the newcomer displaces the oldest connection of the address that holds
//! most, so that one address cannot keep the others out, and connections that only sit there cannot
//! keep anybody out. A place is safe for [`SAFE_FOR`], which is enough for an honest handshake and
//! bounds the handshakes that a flood can start.
//!
//! Inequalities: `taken <= max`, `displaced in a second <= max / SAFE_FOR`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// A younger place cannot be displaced.
pub(crate) const SAFE_FOR: Duration = Duration::from_millis(250);

/// The places.
pub(crate) struct Places {
    max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    /// The next number; a smaller one is older.
    next: u64,
    count: usize,
    by_address: BTreeMap<IpAddr, BTreeMap<u64, Holder>>,
}

struct Holder {
    since: Duration,
    /// Dropped when the place is taken away.
    _keeps: oneshot::Sender<()>,
}

/// A place, given back when dropped.
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
    number: u64,
    displaced: oneshot::Receiver<()>,
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// How many are taken.
    pub(crate) fn used(&self) -> usize {
        lock(&self.taken).count
    }

    /// A place for a connection from `address`; `None` while all are taken and safe.
    pub(crate) fn take(&self, address: IpAddr, now: Duration) -> Option<Place> {
        let address = source(address);
        let mut taken = lock(&self.taken);
        if taken.count >= self.max && !taken.displace(now) {
            return None;
        }
        let number = taken.next;
        let (keeps, displaced) = oneshot::channel();
        let holder = Holder { since: now, _keeps: keeps };
        taken.next += 1;
        taken.count += 1;
        taken.by_address.entry(address).or_default().insert(number, holder);
        Some(Place { taken: self.taken.clone(), address, number, displaced })
    }
}

impl Taken {
    /// Takes a place away from the address that holds most; false where its oldest is still safe.
    fn displace(&mut self, now: Duration) -> bool {
        let oldest = |places: &BTreeMap<u64, Holder>| places.keys().next().copied().unwrap_or(u64::MAX);
        let most = self.by_address.iter().max_by_key(|(_, places)| (places.len(), Reverse(oldest(places))));
        let Some((address, number, holder)) = most.and_then(|(address, places)| {
            let (number, holder) = places.first_key_value()?;
            Some((*address, *number, holder))
        }) else {
            return false;
        };
        if now.saturating_sub(holder.since) < SAFE_FOR {
            return false;
        }
        self.remove(address, number);
        true
    }

    fn remove(&mut self, address: IpAddr, number: u64) {
        let Some(places) = self.by_address.get_mut(&address) else { return };
        if places.remove(&number).is_some() {
            self.count -= 1;
        }
        if places.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Place {
    /// Resolves when the place has been taken away.
    pub(crate) async fn displaced(&mut self) {
        // The sender never sends; it is dropped.
        let _ = (&mut self.displaced).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).remove(self.address, self.number);
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: of IPv6 the first 64 bits, since one host has all the others.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests;
