use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Mesh;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::testing::*;
use crate::transport::Accepting;
use crate::*;

/// A frame whose content tells where it belongs.
fn numbered(from: u16, channel: usize, number: u32, length: usize) -> Bytes {
    let mut bytes = vec![number as u8; 8 + length];
    bytes[..2].copy_from_slice(&from.to_le_bytes());
    bytes[2..4].copy_from_slice(&(channel as u16).to_le_bytes());
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

#[test]
fn four_validators_exchange_frames_in_order() {
    const FRAMES: u32 = 60;
    let mut plan = Plan::new(4);
    let nodes: Vec<Node> = (0..4).map(|me| plan.start(me)).collect();
    for (me, node) in nodes.iter().enumerate() {
        let others: Vec<u16> = (0..4).filter(|other| *other != me as u16).collect();
        node.wait_connected(&others);
        assert_eq!(node.peers().connected(), others);
    }
    let length = |channel: usize, number: u32| match channel {
        URGENT => (number as usize * 37) % 3000,
        _ => (number as usize * 9973) % 100_000,
    };
    std::thread::scope(|scope| {
        for (me, node) in nodes.iter().enumerate() {
            let peers = node.peers();
            scope.spawn(move || {
                for number in 0..FRAMES {
                    for channel in [URGENT, BULK] {
                        let frame = numbered(me as u16, channel, number, length(channel, number));
                        for to in peers.connected() {
                            until(|| match peers.send(to, channel, frame.clone()) {
                                Ok(()) => true,
                                Err(SendError::Full) => false,
                                Err(other) => panic!("{other}"),
                            });
                        }
                    }
                }
            });
        }
        for (me, node) in nodes.iter().enumerate() {
            let mut next = [[0u32; 2]; 4];
            for _ in 0..3 * 2 * FRAMES {
                let (from, channel, frame) = node.wait_message();
                let number = next[from as usize][channel];
                let expected = numbered(from, channel, number, length(channel, number));
                assert!(frame.bytes == expected, "{me}: {from} {channel} {number}");
                next[from as usize][channel] += 1;
            }
        }
    });
    let counted = nodes[0].network.metrics();
    assert_eq!(counted.peer_frames_received, u64::from(3 * 2 * FRAMES));
    assert_eq!(counted.peer_connected, 3);
    assert_eq!(counted.peer_disconnected, 0);
}

#[test]
fn a_restarted_validator_is_connected_again() {
    let mut plan = Plan::new(3);
    let mut nodes: Vec<Option<Node>> = (0..3).map(|me| Some(plan.start(me))).collect();
    for restarted in [1u16, 0, 2] {
        let others: Vec<u16> = (0..3).filter(|other| *other != restarted).collect();
        let node = nodes[restarted as usize].take().unwrap();
        until(|| node.peers().connected() == others);
        node.network.shutdown(Duration::ZERO);
        for other in &others {
            let other = nodes[*other as usize].as_ref().unwrap();
            let reason = other.wait_disconnected(restarted);
            assert!(reason.contains("stopping"), "{reason}");
            let refused = other.peers().send(restarted, BULK, Bytes::new());
            assert_eq!(refused, Err(SendError::NotConnected));
        }
        let node = plan.start(restarted as usize);
        for other in &others {
            let other = nodes[*other as usize].as_ref().unwrap();
            other.wait_connected(&[restarted]);
            other.deliver(restarted, b"welcome");
        }
        for _ in &others {
            assert_eq!(&node.wait_message().2[..], b"welcome");
        }
        nodes[restarted as usize] = Some(node);
    }
}

#[test]
fn a_killed_validator_is_recognized_by_its_successor_answering() {
    let mut plan = Plan::new(2);
    let socket = plan.socket(1);
    let pins = crate::tls::Pins::new(vec![plan.identities[0].fingerprint()]);
    let tls = crate::tls::server(&plan.identities[1], crate::tls::PEER_PROTOCOLS, Some(pins));
    let streams = crate::transport::Streams { uni: 2, bi: 0, send_window: 1 << 20, receive_window: 4 << 20 };
    let accepting = Accepting::new(tls.unwrap(), streams).unwrap();
    let doomed = runtime();
    let node = plan.start(0);
    let held = doomed.block_on(async {
        let endpoint = quinn::Endpoint::new(
            crate::transport::endpoint(Some((&plan.identities[1], "peers"))),
            Some(accepting.any()),
            socket,
            std::sync::Arc::new(quinn::TokioRuntime),
        )
        .unwrap();
        let mut connected = tokio::task::spawn_blocking(move || {
            node.wait_connected(&[1]);
            node
        });
        // The caller may give up a first call on a busy machine; it is the last that counts.
        let mut calls = Vec::new();
        loop {
            tokio::select! {
                node = &mut connected => break (node.unwrap(), endpoint, calls),
                incoming = endpoint.accept() => calls.extend(answer(incoming.unwrap()).await.ok()),
            }
        }
    });
    // All tasks are dropped where they stand: nothing more is sent, as after a kill.
    drop(doomed);
    let (node, endpoint, calls) = held;
    drop((endpoint, calls));
    let address = plan.addresses[1];
    until(|| match std::net::UdpSocket::bind(address) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
    });
    let successor = plan.start(1);
    let reason = node.wait_disconnected(1);
    assert!(reason.contains("reset"), "{reason}");
    node.wait_connected(&[1]);
    drop(successor);
}

type Call = (quinn::Connection, Vec<quinn::SendStream>, Vec<quinn::RecvStream>);

/// What a validator does with a call, and no more.
async fn answer(incoming: quinn::Incoming) -> Result<Call, Box<dyn std::error::Error>> {
    let connection = incoming.accept()?.await?;
    let (mut out, mut into) = (Vec::new(), Vec::new());
    for number in 0u8..2 {
        let mut stream = connection.open_uni().await?;
        stream.write_all(&[number]).await?;
        out.push(stream);
        into.push(connection.accept_uni().await?);
    }
    Ok((connection, out, into))
}

#[test]
fn strangers_are_refused_counted_and_harm_nobody() {
    let hour = Duration::from_secs(3600);
    #[allow(clippy::disallowed_methods, reason = "a certificate must expire by the real clock")]
    let now = SystemTime::now();
    let mut plan = Plan::with(4, |index| match index {
        // Their certificates are not valid: one has expired, one is not valid yet. They are validators nevertheless.
        0 => Identity::generate_valid("expired", now - 2 * hour..now - hour).unwrap(),
        1 => Identity::generate_valid("early", now + hour..now + 2 * hour).unwrap(),
        _ => Identity::generate("good").unwrap(),
    });
    let node = plan.start(2);
    let other = plan.start(3);
    node.wait_connected(&[3]);

    let stranger = Identity::generate("validator-0").unwrap();
    let target = node.network.metrics();
    assert_eq!((target.refused_unknown, target.refused_no_certificate), (0, 0));
    runtime().block_on(async {
        let attacker = Attacker::new();
        let expected = plan.identities[2].fingerprint();
        let attempts = [
            (Some(&stranger), "UnknownIssuer"),
            (None, "no certificates"),
            (Some(&plan.identities[3]), "does not call"),
        ];
        for (identity, words) in attempts {
            let connection = attacker.call_peer(plan.addresses[2], expected, identity).await;
            let closed = match connection {
                Ok(connection) => connection.closed().await,
                Err(error) => error,
            };
            let reason = closed.to_string();
            assert!(reason.contains(words), "{words}: {reason}");
        }
    });
    // A refused caller may know before the counter does.
    until(|| {
        let counted = node.network.metrics();
        let refused = [counted.refused_unknown, counted.refused_no_certificate, counted.refused_direction];
        refused == [1, 1, 1]
    });
    let (expired, early) = (plan.start(0), plan.start(1));
    node.wait_connected(&[0, 1]);
    early.wait_connected(&[0]);
    expired.deliver(2, b"my key counts");
    assert_eq!(&node.wait_message().2[..], b"my key counts");
    assert_eq!(node.network.metrics().peer_disconnected, 0);
    other.deliver(2, b"still here");
    assert_eq!(&node.wait_message().2[..], b"still here");
}

#[test]
fn an_impostor_at_a_peers_address_is_not_believed() {
    let mut plan = Plan::new(2);
    // Somebody else answers where validator 1 should be.
    let genuine = plan.identities[1].clone();
    plan.identities[1] = Identity::generate("validator-1").unwrap();
    let impostor = plan.start(1);
    plan.identities[1] = genuine;
    let node = plan.start(0);
    // The caller raises the alert, so the impostor counts a failed handshake: the certificate's owner
    // is unknown to the caller.
    until(|| impostor.network.metrics().refused_unknown > 2);
    assert_eq!(node.network.metrics().peer_connected, 0);
    assert_eq!(node.peers().connected(), []);
    impostor.network.shutdown(Duration::ZERO);
    // The genuine one comes home.
    let _genuine = plan.start(1);
    node.wait_connected(&[1]);
}

#[test]
fn a_peer_that_breaks_the_framing_is_cut() {
    let mut plan = Plan::new(3);
    let node = plan.start(1);
    let honest = plan.start(2);
    node.wait_connected(&[2]);
    let runtime = runtime();
    let too_long = (channels()[URGENT].frame_bytes_max as u32 + 1).to_le_bytes();
    // (first bytes of two streams, what the peer is told)
    let attacks: [([&[u8]; 2], &str); 4] = [
        ([&[&[0u8][..], &too_long].concat(), &[1]], "maximum"),
        ([&[&[0u8][..], &[0xff; 4]].concat(), &[1]], "maximum"),
        ([&[0], &[0]], "open already"),
        ([&[0], &[9]], "unknown"),
    ];
    for (index, (streams, words)) in attacks.into_iter().enumerate() {
        let closed = runtime.block_on(async {
            let attacker = Attacker::new();
            let connection = attacker
                .call_peer(plan.addresses[1], plan.identities[1].fingerprint(), Some(&plan.identities[0]))
                .await
                .unwrap();
            let mut held = Vec::new();
            for first in streams {
                let mut stream = connection.open_uni().await.unwrap();
                stream.write_all(first).await.unwrap();
                held.push(stream);
            }
            connection.closed().await.to_string()
        });
        assert!(closed.contains(words), "{closed}");
        until(|| node.network.metrics().peer_violations == index as u64 + 1);
    }
    honest.deliver(1, b"still here");
    assert_eq!(&node.wait_message().2[..], b"still here");
}

#[test]
fn garbage_on_the_peer_port_is_counted_and_ignored() {
    let mut plan = Plan::new(2);
    let node = plan.start(1);
    let other = plan.start(0);
    node.wait_connected(&[0]);
    let thrown = throw_garbage(plan.addresses[1]);
    until(|| node.network.metrics().datagrams_stray >= thrown / 2);
    other.deliver(1, b"still here");
    assert_eq!(&node.wait_message().2[..], b"still here");
    assert_eq!(node.network.metrics().peer_disconnected, 0);
}

#[test]
fn a_slow_receiver_pushes_back_on_one_channel_only() {
    let mut plan = Plan::new(2);
    let (receiver, sender) = (plan.start(0), plan.start(1));
    sender.wait_connected(&[0]);
    let peers = sender.peers();
    let frame = |number: u32| numbered(1, BULK, number, 100_000);
    // The receiver keeps every frame, so in the end the sender's queue stays full.
    let mut held = Vec::new();
    let mut sent = 0;
    let bound = channels()[BULK].inbound_bytes;
    loop {
        match peers.send(0, BULK, frame(sent)) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => {
                let urgent = numbered(1, URGENT, sent, 0);
                peers.send(0, URGENT, urgent.clone()).unwrap();
                // The urgent channel passes however full the other one is.
                loop {
                    let (_, channel, frame) = receiver.wait_message();
                    if channel == URGENT {
                        assert!(frame.bytes == urgent);
                        break;
                    }
                    held.push(frame);
                }
                let full: usize = held.iter().map(|frame| frame.permit.bytes()).sum();
                assert!(full <= bound, "{full} held");
                let queue = channels()[BULK].queue_bytes;
                assert!(peers.queued_bytes(0, BULK) <= queue);
                let next = held.first().map_or(0, |frame| frame.permit.bytes());
                if full + next > bound && peers.queued_bytes(0, BULK) + next > queue {
                    break;
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(sender.network.metrics().peer_frames_full > 0);
    // Released, everything comes, in order, nothing twice.
    let mut number = 0;
    while number < sent {
        let got = match held.is_empty() {
            false => held.remove(0),
            true => receiver.wait_message().2,
        };
        assert!(got.bytes == frame(number), "frame {number}");
        number += 1;
    }
    until(|| peers.queued_bytes(0, BULK) == 0);
}

#[test]
fn on_full_drop_succeeds_and_counts() {
    let mut plan = Plan::new(2);
    let mut lossy = channels();
    lossy[URGENT].on_full = OnFull::Drop;
    let settings = Settings {
        thread_name: "net".to_owned(),
        identity: plan.identities[0].clone(),
        peers: Some(PeerSettings {
            me: 0,
            known_as: plan.identities[0].fingerprint(),
            sockets: vec![plan.socket(0)],
            names: Names::default(),
            peers: plan.peers_of(0),
            channels: lossy,
        }),
        clients: None,
    };
    let network = Network::start(settings, |_| Flow::Continue, |_| Flow::Continue).unwrap();
    let peers = network.peers().unwrap();
    assert_eq!(peers.send(1, URGENT, Bytes::new()), Ok(()));
    assert_eq!(peers.send(1, BULK, Bytes::new()), Err(SendError::NotConnected));
    assert_eq!(peers.send(7, BULK, Bytes::new()), Err(SendError::Unknown));
    assert_eq!(peers.send(1, 7, Bytes::new()), Err(SendError::Unknown));
    assert_eq!(network.metrics().peer_frames_unconnected, 2);
    assert_eq!(network.metrics().peer_frames_sent, 0);
}

#[test]
fn shutdown_lets_what_was_sent_arrive() {
    let mut plan = Plan::new(2);
    let (receiver, sender) = (plan.start(0), plan.start(1));
    sender.wait_connected(&[0]);
    for number in 0..30 {
        sender.peers().send(0, BULK, numbered(1, BULK, number, 100_000)).unwrap();
    }
    sender.network.shutdown(Duration::from_secs(60));
    for number in 0..30 {
        assert!(receiver.wait_message().2.bytes == numbered(1, BULK, number, 100_000));
    }
}

#[test]
fn contradictory_settings_are_refused() {
    let mut plan = Plan::new(3);
    let peers = plan.peers_of(0);
    let mut try_with = |peers: Vec<Peer>, channels: Vec<Channel>| {
        let settings = Settings {
            thread_name: "net".to_owned(),
            identity: plan.identities[0].clone(),
            peers: Some(PeerSettings {
                me: 0,
                known_as: plan.identities[0].fingerprint(),
                sockets: vec![plan.socket(0)],
                names: Names::default(),
                peers,
                channels,
            }),
            clients: None,
        };
        match Network::start(settings, |_| Flow::Continue, |_| Flow::Continue) {
            Err(NetError::Config(error)) => error,
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    let with_first = |change: &dyn Fn(&mut Peer)| {
        let mut changed = peers.clone();
        change(&mut changed[0]);
        changed
    };
    let repeated = with_first(&|peer| peer.index = 2);
    assert_eq!(try_with(repeated, channels()), ConfigError::RepeatedPeer(2));
    let myself = with_first(&|peer| peer.index = 0);
    assert_eq!(try_with(myself, channels()), ConfigError::RepeatedPeer(0));
    let twins = with_first(&|peer| peer.fingerprint = peers[1].fingerprint);
    assert_eq!(try_with(twins, channels()), ConfigError::RepeatedFingerprint(1, 2));
    assert_eq!(try_with(peers.clone(), vec![]), ConfigError::ChannelCount(0));
    let mut tight = channels();
    tight[BULK].inbound_bytes = tight[BULK].frame_bytes_max;
    assert!(matches!(try_with(peers.clone(), tight), ConfigError::BudgetBelowFrame { name: "bulk", .. }));
    let mut greedy = channels();
    greedy[BULK].inbound_bytes = 64 << 20;
    assert!(matches!(try_with(peers.clone(), greedy), ConfigError::PeerBudget { .. }));
}

#[test]
fn a_taken_port_is_named() {
    let taken = local();
    let address = taken.local_addr().unwrap();
    let error = bind(&[address]).unwrap_err();
    assert!(matches!(error, NetError::AddressInUse { address: named } if named == address));
    let words = error.to_string();
    assert!(words.contains(&address.to_string()) && words.contains("another port"), "{words}");
}

#[test]
fn two_processes_with_one_identity_do_not_replace_each_other_endlessly() {
    let mut plan = Plan::new(2);
    let called = plan.start(1);
    let first = plan.start(0);
    called.wait_connected(&[0]);
    let second = plan.start_at(0, local());
    // Both sides count it, whichever of the two processes was kept.
    until(|| called.network.metrics().duplicate_identities > 0);
    until(|| called.peers().duplicates().keys().eq([&0]));
    until(|| {
        first.network.metrics().duplicate_identities + second.network.metrics().duplicate_identities > 0
    });
    // The one that was refused knows that it is about itself.
    until(|| [&first, &second].iter().any(|node| node.peers().duplicates().keys().eq([&0])));
    until(|| called.peers().connected() == [0]);
    let connected = called.network.metrics().peer_connected;
    assert!(connected <= 4, "connected {connected} times");
    // The one that was kept is served.
    let (kept, refused) = match first.network.metrics().duplicate_identities {
        0 => (first, second),
        _ => (second, first),
    };
    kept.deliver(1, b"still here");
    assert_eq!(&called.wait_message().2[..], b"still here");
    // Once it stops, the other one is let in.
    kept.network.shutdown(Duration::ZERO);
    refused.deliver(1, b"me now");
    assert_eq!(&called.wait_message().2[..], b"me now");
}

#[test]
fn a_peer_that_is_disconnected_is_told_why_and_kept_out_for_a_while() {
    const LONG: Duration = Duration::from_secs(600);
    // Once the one that calls is kept out, once the one that is called.
    for (judge, judged) in [(1, 0), (0, 1)] {
        let mut plan = Plan::new(3);
        let nodes: Vec<Node> = (0..3).map(|me| plan.start(me)).collect();
        let (node, other) = (&nodes[judge as usize], &nodes[judged as usize]);
        until(|| nodes.iter().all(|node| node.peers().connected().len() == 2));
        node.peers().disconnect(judged, "it sent rubbish", LONG);
        for (node, peer) in [(other, judge), (node, judged)] {
            let reason = node.wait_disconnected(peer);
            assert!(reason.contains("it sent rubbish"), "{reason}");
        }
        if judge > judged {
            until(|| node.network.metrics().refused_excluded > 0);
        }
        assert_eq!(node.network.metrics().peers_excluded, 1);
        assert_eq!(node.peers().connected(), [2]);
        // The others are not concerned, and time heals.
        nodes[2].deliver(judge, b"still here");
        assert_eq!(&node.wait_message().2[..], b"still here");
        node.peers().disconnect(judged, "it sent rubbish", Duration::ZERO);
        other.deliver(judge, b"sorry");
        assert_eq!(&node.wait_message().2[..], b"sorry");
    }
}

#[test]
fn a_flood_of_half_handshakes_keeps_no_peer_out() {
    let mut plan = Plan::new(2);
    let called = plan.start(1);
    let target = plan.addresses[1];
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    // It ends with the test process where the test fails.
    let flood = std::thread::spawn(move || {
        let mut flood = HalfHandshakes::new(target);
        while !stopped.load(Relaxed) {
            flood.start();
        }
    });
    // Strangers with this very IP address, which they have shown to be theirs, hold every place.
    until(|| called.network.metrics().handshakes_retried > 0);
    until(|| {
        let counted = called.network.metrics();
        counted.handshakes_displaced + counted.handshakes_ignored > 0
    });
    let caller = plan.start(0);
    caller.wait_connected(&[1]);
    caller.network.shutdown(Duration::ZERO);
    called.wait_disconnected(0);
    let again = plan.start(0);
    again.wait_connected(&[1]);
    stop.store(true, Relaxed);
    flood.join().unwrap();
}

#[test]
fn refusals_do_not_fill_the_log() {
    const CALLS: u64 = 20;
    let mut plan = Plan::new(2);
    let settings = PeerSettings {
        me: 1,
        known_as: plan.identities[1].fingerprint(),
        sockets: vec![plan.socket(1)],
        names: Names::default(),
        peers: plan.peers_of(1),
        channels: channels(),
    };
    let metrics = Arc::new(Metrics::default());
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    runtime().block_on(async {
        let on_peer = Box::new(|_| Flow::Continue);
        let (mesh, open) =
            Mesh::open(settings, &plan.identities[1], on_peer, metrics.clone(), Clock::start()).unwrap();
        mesh.run(open);
        let attacker = Attacker::new();
        for _ in 0..CALLS {
            let called = attacker.call_peer(plan.addresses[1], plan.identities[1].fingerprint(), None).await;
            if let Ok(connection) = called {
                connection.closed().await;
            }
        }
        while metrics.refused_no_certificate.get() < CALLS {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(lines.count(), 1);
}

#[test]
fn a_peer_is_let_in_while_strangers_hold_every_place() {
    let mut plan = Plan::new(2);
    let settings = PeerSettings {
        me: 1,
        known_as: plan.identities[1].fingerprint(),
        sockets: vec![plan.socket(1)],
        names: Names::default(),
        peers: plan.peers_of(1),
        channels: channels(),
    };
    let caller = plan.start(0);
    runtime().block_on(async {
        let on_peer = Box::new(|_| Flow::Continue);
        let (mesh, open) =
            Mesh::open(settings, &plan.identities[1], on_peer, Arc::default(), Clock::start()).unwrap();
        let (host, late) = (plan.addresses[0].ip(), Duration::from_secs(3600));
        // Taken in the future, so that none of them gives way.
        let held: Vec<_> =
            (0..super::calls::STRANGERS_MAX).map(|_| mesh.strangers.take(host, late).unwrap()).collect();
        mesh.clone().run(open);
        let connected = async {
            while mesh.links[&0].up().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), connected).await.expect("the peer is let in");
        drop(held);
    });
    drop(caller);
}
