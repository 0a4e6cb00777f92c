//! Peers that are called by names.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::peers::link::Link;
use crate::testing::*;
use crate::*;

/// A name whose addresses the test changes while validators call it.
#[derive(Clone, Default)]
struct Moving(Arc<Mutex<Vec<&'static str>>>, Arc<AtomicUsize>);

impl Moving {
    fn set(&self, hosts: &[&'static str]) {
        *self.0.lock().unwrap() = hosts.to_vec();
    }

    /// How often it was looked up.
    fn lookups(&self) -> usize {
        self.1.load(Relaxed)
    }

    fn names(&self) -> Names {
        let this = self.clone();
        Names::of(move |name, port| {
            assert_eq!(name, "birch.example");
            this.1.fetch_add(1, Relaxed);
            let hosts = this.0.lock().unwrap().clone();
            match hosts.is_empty() {
                true => Err(std::io::Error::other("no such name")),
                false => Ok(hosts.iter().map(|host| format!("{host}:{port}").parse().unwrap()).collect()),
            }
        })
    }
}

#[test]
fn a_peer_that_moves_is_found_by_its_name() {
    let mut plan = Plan::new(2);
    let port = plan.addresses[1].port();
    let birch = Moving::default();
    let (sender, events) = mpsc::channel();
    let peer = Peer {
        index: 1,
        address: format!("birch.example:{port}").parse().unwrap(),
        fingerprint: plan.identities[1].fingerprint(),
    };
    let settings = Settings {
        thread_name: "net-0".to_owned(),
        identity: plan.identities[0].clone(),
        peers: Some(PeerSettings {
            me: 0,
            known_as: plan.identities[0].fingerprint(),
            sockets: vec![plan.socket(0)],
            names: birch.names(),
            peers: vec![peer],
            channels: channels(),
        }),
        clients: None,
    };
    let on_peer = move |event| {
        let _ = sender.send(event);
        Flow::Continue
    };
    let network = Network::start(settings, on_peer, |_| Flow::Continue).unwrap();
    let node = Node { network, events };
    // It leads nowhere, then to nobody, then to somebody else and to the right one.
    until(|| birch.lookups() >= 3);
    birch.set(&["127.0.0.9"]);
    let before = birch.lookups();
    until(|| birch.lookups() >= before + 3);
    assert_eq!(node.peers().connected(), []);
    birch.set(&["127.0.0.9", "127.0.0.1"]);
    let other = plan.start(1);
    node.wait_connected(&[1]);
    // The machine gets another address.
    drop(other);
    node.wait_disconnected(1);
    let moved = plan.start_at(1, socket(&format!("127.0.0.5:{port}")));
    birch.set(&["127.0.0.5"]);
    node.wait_connected(&[1]);
    node.deliver(1, b"found");
    assert_eq!(&moved.wait_message().2[..], b"found");
}

#[test]
fn a_caller_that_is_known_by_a_name_has_places_of_its_own() {
    let plan = Plan::new(2);
    let link = Link::new(Peer {
        index: 0,
        address: "birch.example:7000".parse().unwrap(),
        fingerprint: plan.identities[0].fingerprint(),
    });
    let at = |text: &str| link.is_at(text.parse().unwrap());
    assert!(!at("192.0.2.1:7000"));
    let found = ["192.0.2.1:7000".parse().unwrap(), "[2001:db8::1]:7000".parse().unwrap()];
    let birch = link.address();
    link.found(&birch, &found);
    assert!(at("192.0.2.1:7000") && at("[::ffff:192.0.2.1]:7000") && at("[2001:db8::1]:7000"));
    assert!(!at("192.0.2.1:7001") && !at("192.0.2.2:7000"));
    link.set_address(birch.clone());
    assert!(at("192.0.2.1:7000"), "the same leads where it did");
    // A lookup that ends late says nothing of the address that it has now.
    link.set_address("192.0.2.9:7000".parse().unwrap());
    link.found(&birch, &found);
    assert!(at("192.0.2.9:7000") && !at("192.0.2.1:7000"));
}

#[test]
fn a_lookup_that_hangs_does_not_hold_up_the_end_of_a_network() {
    let mut plan = Plan::new(2);
    let (asked, questions) = mpsc::channel();
    let (answer, waiting) = mpsc::channel::<()>();
    let waiting = Mutex::new(waiting);
    let has_answered = Arc::new(AtomicBool::new(false));
    let answered = has_answered.clone();
    let names = Names::of(move |_, _| {
        let _ = asked.send(());
        let _ = waiting.lock().unwrap().recv_timeout(Duration::from_secs(20));
        answered.store(true, Relaxed);
        Err(std::io::Error::other("too late"))
    });
    let peers = vec![Peer {
        index: 1,
        address: "birch.example:7000".parse().unwrap(),
        fingerprint: plan.identities[1].fingerprint(),
    }];
    let settings = Settings {
        thread_name: "net-0".to_owned(),
        identity: plan.identities[0].clone(),
        peers: Some(PeerSettings {
            me: 0,
            known_as: plan.identities[0].fingerprint(),
            sockets: vec![plan.socket(0)],
            names,
            peers,
            channels: channels(),
        }),
        clients: None,
    };
    let network = Network::start(settings, |_| Flow::Continue, |_| Flow::Continue).unwrap();
    questions.recv().unwrap();
    network.shutdown(Duration::ZERO);
    assert!(!has_answered.load(Relaxed), "nobody has waited for it");
    // And the port is free again.
    drop(plan.socket(0));
    drop(answer);
}
