//! The clients whose first frame has come: how many there may be, and what their queues may hold together.
//!
//! When every place is taken, a newcomer gets the place of the client that has been idle longest at the address that
//! holds most, if that address holds more than the newcomer's would, or if that client has been idle for [`IDLE`]. So
//! neither a few addresses nor clients that only sit there keep others out, and busy clients do not displace each
//! other in turns.
//!
//! When the queues of all clients together pass their mark, the client with the largest queue of the address with the
//! largest queues is closed at once. So clients that do not read can harm only each other.
//!
//! Inequalities: `clients <= clients_max`, `sum by address == clients`, `bytes of all queues <= Total`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Client;
use crate::metrics::Metrics;
use crate::outbox::Total;
use crate::places::source;

/// A client from whom and to whom nothing went for so long gives way to any newcomer.
const IDLE: Duration = Duration::from_secs(30);

/// The introduced clients.
pub(super) struct Crowd {
    clients_max: usize,
    per_address_max: usize,
    queues: Arc<Total>,
    table: Mutex<Table>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Table {
    clients: BTreeMap<u64, Client>,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Crowd {
    pub(super) fn new(
        clients_max: usize,
        per_address_max: usize,
        queue_bytes_total: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        let queues = Arc::new(Total::new(queue_bytes_total));
        Self { clients_max, per_address_max, queues, table: Mutex::default(), metrics }
    }

    /// The bound of all queues together.
    pub(super) fn queues(&self) -> &Arc<Total> {
        &self.queues
    }

    /// Whether anything is queued or unacknowledged.
    pub(super) fn unsent(&self) -> bool {
        self.table().clients.values().any(|client| client.queued_bytes() > 0)
    }

    /// Whether a newcomer from an address would get a place now.
    pub(super) fn has_place(&self, address: IpAddr, now: Duration) -> bool {
        let table = self.table();
        table.clients.len() < self.clients_max || table.gives_way(source(address), now).is_some()
    }

    /// Gives a client a place, or says why not.
    pub(super) fn introduce(&self, client: &Client, now: Duration) -> Result<(), String> {
        let address = source(client.remote().ip());
        let (clients_max, per_address_max) = (self.clients_max, self.per_address_max);
        let mut table = self.table();
        if table.of(address) >= per_address_max {
            self.metrics.refused_address.add(1);
            return Err(format!(
                "{per_address_max} clients are connected from your address, as many as may be"
            ));
        }
        if table.clients.len() >= clients_max {
            let Some(idle) = table.gives_way(address, now) else {
                self.metrics.refused_limit.add(1);
                return Err(format!("this validator has {clients_max} clients, as many as it takes"));
            };
            table.remove(&idle);
            self.metrics.client_gave_way.add(1);
            idle.displace(
                "all places are taken and you were idle longest: yours was given to another client",
            );
        }
        *table.by_address.entry(address).or_default() += 1;
        table.clients.insert(client.id(), client.clone());
        Ok(())
    }

    /// A client is gone. One that was displaced has lost its place before.
    pub(super) fn forget(&self, client: &Client) {
        self.table().remove(client);
    }

    /// Closes clients until the queues of the others together are below the mark again. What a closed one held comes
    /// back a little later, so it is not counted.
    pub(super) fn relieve(&self) {
        let mut table = self.table();
        loop {
            let mut by_address: BTreeMap<IpAddr, (usize, usize, &Client)> = BTreeMap::new();
            for client in table.clients.values() {
                let bytes = client.queued_bytes();
                let (sum, most, greedy) =
                    by_address.entry(source(client.remote().ip())).or_insert((0, bytes, client));
                *sum += bytes;
                if bytes > *most {
                    (*most, *greedy) = (bytes, client);
                }
            }
            let held: usize = by_address.values().map(|(sum, ..)| sum).sum();
            if held <= self.queues.mark() {
                return;
            }
            let Some((_, _, greedy)) = by_address.into_values().max_by_key(|(sum, most, _)| (*sum, *most))
            else {
                return;
            };
            let greedy = greedy.clone();
            table.remove(&greedy);
            self.metrics.client_shed.add(1);
            greedy.displace("clients do not read what they are sent, and more waits for you than for others");
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// How many come from an address.
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    /// Who gives way to a newcomer from `address`.
    fn gives_way(&self, address: IpAddr, now: Duration) -> Option<Client> {
        let most = self.by_address.values().copied().max()?;
        let of_most = |client: &&Client| self.of(source(client.remote().ip())) == most;
        let idle = self.clients.values().filter(of_most).min_by_key(|client| client.last_active())?;
        let fairer = most > self.of(address) + 1;
        (fairer || now.saturating_sub(idle.last_active()) >= IDLE).then(|| idle.clone())
    }

    fn remove(&mut self, client: &Client) {
        if self.clients.remove(&client.id()).is_none() {
            return;
        }
        let address = source(client.remote().ip());
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
