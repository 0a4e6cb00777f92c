use std::sync::Weak;

use bytes::Bytes;

use super::*;
use crate::clock::Clock;
use crate::errors::SendError;
use crate::outbox::{Drain, Outbox};

const QUEUE: usize = 1 << 20;
const TOTAL: usize = 8 << 20;

/// A client of the `host`-th address, and the end of its queue that is never read.
fn client(crowd: &Arc<Crowd>, id: u64, host: u8) -> (Client, Drain) {
    let (outbox, drain) = Outbox::within(crowd.queues().clone(), QUEUE, QUEUE / 2);
    let remote = ([10, 0, 0, host], 1_000).into();
    (Client::new(id, remote, outbox, Arc::downgrade(crowd), crowd.metrics.clone(), Clock::start()), drain)
}

fn crowd(clients_max: usize) -> Arc<Crowd> {
    Arc::new(Crowd::new(clients_max, 100, TOTAL, Arc::default()))
}

/// Clients of so many addresses that came in this order.
fn full(hosts: &[u8]) -> (Arc<Crowd>, Vec<(Client, Drain)>) {
    let crowd = crowd(hosts.len());
    let come = |(id, host): (usize, &u8)| {
        let come = client(&crowd, id as u64, *host);
        come.0.active_at(Duration::from_secs(id as u64));
        crowd.introduce(&come.0, Duration::ZERO).unwrap();
        come
    };
    let clients = hosts.iter().enumerate().map(come).collect();
    (crowd, clients)
}

fn open(clients: &[(Client, Drain)]) -> Vec<bool> {
    clients.iter().map(|(client, _)| client.is_open()).collect()
}

#[test]
fn the_longest_idle_of_the_address_that_holds_most_gives_way() {
    let (crowd, clients) = full(&[1, 2, 2, 2]);
    clients[1].0.active_at(Duration::from_secs(9));
    let now = Duration::from_secs(10);
    let (newcomer, _drain) = client(&crowd, 9, 3);
    assert!(crowd.has_place(newcomer.remote().ip(), now));
    assert_eq!(crowd.introduce(&newcomer, now), Ok(()));
    assert_eq!(open(&clients), [true, true, false, true]);
    assert_eq!(crowd.metrics.client_gave_way.get(), 1);
    // Its place is not given back twice.
    crowd.forget(&clients[2].0);
    let table = crowd.table();
    assert_eq!((table.clients.len(), table.by_address.values().sum()), (4, 4));
}

#[test]
fn busy_clients_of_many_addresses_do_not_displace_each_other() {
    let (crowd, clients) = full(&[1, 2, 3]);
    let (newcomer, _drain) = client(&crowd, 9, 4);
    let busy = Duration::from_secs(29);
    assert!(!crowd.has_place(newcomer.remote().ip(), busy));
    let words = crowd.introduce(&newcomer, busy).unwrap_err();
    assert!(words.contains("as many as it takes"), "{words}");
    // The first has been idle since the beginning.
    assert_eq!(crowd.introduce(&newcomer, IDLE), Ok(()));
    assert_eq!(open(&clients), [false, true, true]);
}

#[test]
fn the_queues_of_all_clients_together_have_one_bound() {
    let crowd = crowd(100);
    let frame = Bytes::from(vec![0; QUEUE / 4]);
    let mut clients = Vec::new();
    for id in 0..20 {
        // Most are many clients of one address, and take no more each than the others.
        let host = if id < 15 { 1 } else { id as u8 };
        let come = client(&crowd, id, host);
        crowd.introduce(&come.0, Duration::ZERO).unwrap();
        let taken = (0..3).all(|_| come.0.send(frame.clone()).is_ok());
        assert!(taken || id < 15, "{id}");
        assert!(crowd.queues().used() <= TOTAL);
        clients.push(come);
        // What a closed client held comes back when its connection is dropped.
        clients.retain(|(client, _)| client.is_open());
    }
    assert!(crowd.metrics.client_shed.get() > 0);
    let honest = clients.iter().filter(|(client, _)| client.id() >= 15).count();
    assert_eq!(honest, 5, "the others are not closed");
}

#[test]
fn a_full_queue_of_one_is_no_reason_to_close_another() {
    let crowd = crowd(2);
    let (quiet, greedy) = (client(&crowd, 0, 1), client(&crowd, 1, 2));
    crowd.introduce(&quiet.0, Duration::ZERO).unwrap();
    crowd.introduce(&greedy.0, Duration::ZERO).unwrap();
    let frame = Bytes::from(vec![0; QUEUE / 2 - 100]);
    let refused = (0..10).filter(|_| greedy.0.send(frame.clone()) == Err(SendError::Full)).count();
    assert_eq!(refused, 8);
    assert!(quiet.0.is_open() && greedy.0.is_open());
}

#[test]
fn a_client_outlives_its_port() {
    let crowd = crowd(1);
    let (client, _drain) = client(&crowd, 0, 1);
    let weak: Weak<Crowd> = Arc::downgrade(&crowd);
    crowd.introduce(&client, Duration::ZERO).unwrap();
    drop(crowd);
    assert!(weak.upgrade().is_none(), "clients keep nothing of the port");
    assert_eq!(client.send(Bytes::from_static(b"late")), Ok(()));
}

#[test]
fn what_waits_for_clients_that_are_being_closed_counts_too() {
    let crowd = crowd(100);
    let frame = Bytes::from(vec![0; QUEUE / 4]);
    let mut closing = Vec::new();
    for id in 0..20 {
        let come = client(&crowd, id, 1);
        crowd.introduce(&come.0, Duration::ZERO).unwrap();
        for _ in 0..3 {
            // Refused when all of them together hold as much as may be.
            let _ = come.0.send(frame.clone());
        }
        // It breaks the protocol and does not read why.
        come.0.close("you break the protocol");
        closing.push(come);
    }
    let (honest, _drain) = client(&crowd, 99, 2);
    crowd.introduce(&honest, Duration::ZERO).unwrap();
    let _ = honest.send(frame.clone());
    assert!(honest.is_open());
    let places: Vec<u64> = crowd.table().clients.keys().copied().collect();
    closing.retain(|(client, _)| places.contains(&client.id()));
    assert!(crowd.queues().used() <= crowd.queues().mark() + QUEUE, "the others are closed at once");
    assert_eq!(honest.send(frame), Ok(()));
}
