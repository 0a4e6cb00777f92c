use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use bytes::Bytes;

use crate::testing::*;
use crate::transport::STREAM_WINDOW;
use crate::*;

const FRAME_MAX: usize = 64 << 10;
const OUTBOUND_FRAME_MAX: usize = 128 << 10;
const QUEUE: usize = 1 << 20;
const INBOUND: usize = 256 << 10;

struct Server {
    network: Network,
    events: Receiver<ClientEvent>,
    address: SocketAddr,
    fingerprint: Fingerprint,
}

/// A validator whose handler passes every event on and echoes nothing.
fn server(connections_max: usize, stalled_after: Duration) -> Server {
    server_with(connections_max, stalled_after, |_| {})
}

/// A validator whose handler does `first` and then passes the event on.
fn server_with(
    connections_max: usize,
    stalled_after: Duration,
    first: impl Fn(&ClientEvent) + Send + Sync + 'static,
) -> Server {
    let admission = Admission { hello_within: LONG, ..Admission::default() };
    server_admitting(connections_max, stalled_after, admission, first)
}

/// The same with bounds for strangers.
fn server_admitting(
    connections_max: usize,
    stalled_after: Duration,
    admission: Admission,
    first: impl Fn(&ClientEvent) + Send + Sync + 'static,
) -> Server {
    let (sender, events): (Sender<ClientEvent>, _) = mpsc::channel();
    let identity = Identity::generate("validator").unwrap();
    let fingerprint = identity.fingerprint();
    let socket = local();
    let address = socket.local_addr().unwrap();
    let settings = Settings {
        thread_name: "net".to_owned(),
        identity,
        peers: None,
        clients: Some(ClientSettings {
            sockets: vec![socket],
            connections_max,
            admission,
            inbound_frame_bytes_max: FRAME_MAX,
            outbound_frame_bytes_max: OUTBOUND_FRAME_MAX,
            inbound_bytes: INBOUND,
            queue_bytes: QUEUE,
            queue_bytes_total: 16 * QUEUE,
            stalled_after,
        }),
    };
    let on_client = move |event| {
        first(&event);
        // The test may have seen enough and be gone.
        let _ = sender.send(event);
        Flow::Continue
    };
    let network = Network::start(settings, |_| Flow::Continue, on_client).unwrap();
    Server { network, events, address, fingerprint }
}

const LONG: Duration = Duration::from_secs(20);

impl Server {
    fn connect(&self) -> BlockingConnection {
        let options = ConnectOptions { timeout: LONG, ..ConnectOptions::default() };
        BlockingConnection::connect(&self.address.into(), self.fingerprint, options).unwrap()
    }

    /// Connects, and returns the validator's handle of the client too.
    fn connect_open(&self) -> (BlockingConnection, Client) {
        let mut connection = self.connect();
        connection.send(Bytes::from_static(b"hello")).unwrap();
        let client = wait(&self.events, |event| match event {
            ClientEvent::Opened(client) => Some(client),
            _ => None,
        });
        let (sender, hello) = self.wait_frame();
        assert_eq!((sender.id(), &hello[..]), (client.id(), &b"hello"[..]));
        (connection, client)
    }

    fn wait_frame(&self) -> (Client, Frame) {
        wait(&self.events, |event| match event {
            ClientEvent::Frame { client, frame } => Some((client, frame)),
            _ => None,
        })
    }

    fn wait_closed(&self, which: u64) -> String {
        wait(&self.events, |event| match event {
            ClientEvent::Closed { id, reason } if id == which => Some(reason),
            _ => None,
        })
    }

    /// Still serves others.
    fn assert_serves(&self) {
        let (mut connection, client) = self.connect_open();
        client.send(Bytes::from_static(b"answer")).unwrap();
        let answer = connection.recv(LONG).unwrap();
        assert_eq!(&answer[..], b"answer");
        connection.finish();
        self.wait_closed(client.id());
    }
}

#[test]
fn frames_go_both_ways_in_order() {
    let server = server(4, LONG);
    let (mut connection, client) = server.connect_open();
    for number in 0..200u32 {
        let frame = Bytes::from(vec![number as u8; number as usize * 300]);
        connection.send(frame.clone()).unwrap();
        let (_, got) = server.wait_frame();
        assert!(got.bytes == frame);
        client.send(got.bytes).unwrap();
        assert!(connection.recv(LONG).unwrap() == frame);
    }
    connection.finish();
    server.wait_closed(client.id());
    assert_eq!(client.send(Bytes::new()), Err(SendError::NotConnected));
    let counted = server.network.metrics();
    assert_eq!(counted.client_frames_received, 201);
    assert_eq!(counted.client_frames_sent, 200);
    assert_eq!((counted.client_connected, counted.client_disconnected), (1, 1));
}

#[test]
fn a_wrong_pin_names_both_fingerprints() {
    let server = server(4, LONG);
    let other = Identity::generate("validator").unwrap().fingerprint();
    let result = BlockingConnection::connect(&server.address.into(), other, ConnectOptions::default());
    match result.map(|_| ()) {
        Err(ConnectError::WrongFingerprint { expected, found, .. }) => {
            assert_eq!((expected, found), (other, server.fingerprint))
        }
        other => panic!("{other:?}"),
    }
    server.assert_serves();
}

#[test]
fn nobody_there_is_said_as_such() {
    let socket = local();
    let options = ConnectOptions { timeout: Duration::from_millis(100), ..ConnectOptions::default() };
    let fingerprint = Fingerprint([0; 32]);
    let result = BlockingConnection::connect(&socket.local_addr().unwrap().into(), fingerprint, options);
    match result.map(|_| ()) {
        Err(error @ ConnectError::NoAnswer { .. }) => {
            assert!(error.to_string().contains("client port"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_the_addresses_of_a_name_the_one_that_answers_is_taken() {
    let server = server(4, LONG);
    let named: Address = format!("mill.example:{}", server.address.port()).parse().unwrap();
    let connect = |hosts: &'static [&'static str], timeout| {
        let address = move |host: &&str| format!("{host}:1").parse().unwrap();
        let names = Names::of(move |_, _| match hosts.is_empty() {
            true => Err(std::io::Error::other("no such name")),
            false => Ok(hosts.iter().map(address).collect()),
        });
        let options = ConnectOptions { timeout, ..ConnectOptions::default() };
        let connecting = ClientConnection::connect_through(names, &named, server.fingerprint, options);
        runtime().block_on(connecting).map(|_| ())
    };
    // Nobody is at the first two.
    connect(&["127.0.0.8", "127.0.0.9", "127.0.0.1"], LONG).unwrap();
    let error = connect(&["127.0.0.8", "127.0.0.9"], Duration::from_millis(400)).unwrap_err();
    assert!(matches!(&error, ConnectError::NoAnswer { address, .. } if *address == named), "{error}");
    let error = connect(&[], LONG).unwrap_err();
    assert!(matches!(&error, ConnectError::Unresolved { .. }), "{error}");
    assert!(error.to_string().contains("cannot find mill.example"), "{error}");
}

#[test]
fn a_peer_port_refuses_a_client() {
    let mut plan = Plan::new(1);
    let node = plan.start(0);
    let fingerprint = plan.identities[0].fingerprint();
    let options = ConnectOptions::default();
    let result = BlockingConnection::connect(&plan.addresses[0].into(), fingerprint, options);
    assert!(matches!(result, Err(ConnectError::Refused { .. })));
    // The client may know before the counter does.
    until(|| node.network.metrics().refused_handshake == 1);
}

#[test]
fn too_many_clients_are_refused() {
    let server = server(2, LONG);
    let (first, client) = server.connect_open();
    let _second = server.connect_open();
    let third =
        BlockingConnection::connect(&server.address.into(), server.fingerprint, ConnectOptions::default());
    match third.map(|_| ()) {
        Err(ConnectError::Refused { reason, .. }) => {
            assert!(reason.contains("as many connections"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.network.metrics().refused_limit, 1);
    first.finish();
    server.wait_closed(client.id());
    server.assert_serves();
}

#[test]
fn an_idle_client_gives_its_place_to_one_from_an_address_that_holds_fewer() {
    let server = server(2, LONG);
    let (mut first, idle) = server.connect_open();
    let (_second, _) = server.connect_open();
    runtime().block_on(async {
        let attacker = Attacker::at("127.0.0.2");
        let connection = attacker.call_client(server.address, server.fingerprint).await.unwrap();
        let (mut stream, _read) = connection.open_bi().await.unwrap();
        stream.write_all(&[5, 0, 0, 0, b'h', b'e', b'l', b'l', b'o']).await.unwrap();
        stream.finish().unwrap();
        stream.stopped().await.unwrap();
    });
    assert_eq!(&server.wait_frame().1[..], b"hello");
    match first.recv(LONG) {
        Err(LinkError::Closed(reason)) => assert!(reason.contains("idle longest"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let reason = server.wait_closed(idle.id());
    assert!(reason.contains("idle longest"), "{reason}");
    assert_eq!(server.network.metrics().client_gave_way, 1);
}

#[test]
fn an_oversized_frame_closes_its_sender_with_a_reason() {
    let server = server(4, LONG);
    let (_other, other) = server.connect_open();
    let (mut connection, client) = server.connect_open();
    connection.send(Bytes::from(vec![0; FRAME_MAX])).unwrap();
    connection.send(Bytes::from(vec![0; FRAME_MAX + 1])).unwrap();
    match connection.recv(LONG) {
        Err(LinkError::Closed(reason)) => assert!(reason.contains("65537"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let reason = server.wait_closed(client.id());
    assert!(reason.contains("maximum"), "{reason}");
    assert_eq!(server.network.metrics().client_violations, 1);
    assert_eq!(other.send(Bytes::from_static(b"still here")), Ok(()));
    server.assert_serves();
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_a_violation() {
    let server = server(4, LONG);
    runtime().block_on(async {
        let attacker = Attacker::new();
        let connection = attacker.call_client(server.address, server.fingerprint).await.unwrap();
        let (mut stream, _read) = connection.open_bi().await.unwrap();
        stream.write_all(&[200, 0, 0, 0, 1, 2, 3]).await.unwrap();
        stream.finish().unwrap();
        let closed = connection.closed().await.to_string();
        assert!(closed.contains("inside a frame"), "{closed}");
    });
    until(|| server.network.metrics().client_violations == 1);
    server.assert_serves();
}

#[test]
fn garbage_on_the_client_port_is_counted_and_ignored() {
    let server = server(4, LONG);
    let (_connection, client) = server.connect_open();
    let thrown = throw_garbage(server.address);
    until(|| server.network.metrics().datagrams_stray >= thrown / 2);
    assert_eq!(client.send(Bytes::from_static(b"still here")), Ok(()));
    server.assert_serves();
}

#[test]
fn a_client_that_stops_reading_is_closed_and_others_go_on() {
    let server = server(4, Duration::from_millis(300));
    let (mut reading, reader) = server.connect_open();
    // It keeps its connection alive and never reads.
    let (_held, stuck) = server.connect_open();
    let frame = Bytes::from(vec![7; FRAME_MAX]);
    let mut answered = 0u64;
    loop {
        match stuck.send(frame.clone()) {
            Ok(()) => {}
            Err(SendError::Full) => {
                // Meanwhile the other one is served.
                reader.send(Bytes::from(answered.to_le_bytes().to_vec())).unwrap();
                let got = reading.recv(LONG).unwrap();
                assert_eq!(got[..], answered.to_le_bytes());
                answered += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(SendError::NotConnected) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(answered > 0);
    let reason = server.wait_closed(stuck.id());
    assert!(reason.contains("stopped reading"), "{reason}");
    assert_eq!(server.network.metrics().client_stalled, 1);
    server.assert_serves();
}

#[test]
fn a_client_that_reads_late_is_slowed_down_and_not_cut() {
    const QUESTIONS: usize = 100;
    let answer = Bytes::from(vec![7; OUTBOUND_FRAME_MAX]);
    let refused = Arc::new(AtomicUsize::new(0));
    let count = refused.clone();
    let server = server_with(4, LONG, move |event| {
        let ClientEvent::Frame { client, .. } = event else { return };
        if client.send(answer.clone()).is_err() {
            count.fetch_add(1, Relaxed);
        }
    });
    const { assert!(QUESTIONS * OUTBOUND_FRAME_MAX > 2 * QUEUE + 4 * STREAM_WINDOW) };
    let mut connection = server.connect();
    // All questions before the first answer is read: far more answers than queue and windows hold.
    for _ in 0..QUESTIONS {
        connection.send(Bytes::from_static(b"question")).unwrap();
    }
    for _ in 0..QUESTIONS {
        assert_eq!(connection.recv(LONG).unwrap().len(), OUTBOUND_FRAME_MAX);
    }
    assert_eq!(refused.load(Relaxed), 0);
}

#[test]
fn each_direction_has_its_own_longest_frame() {
    let server = server(4, LONG);
    let (mut connection, client) = server.connect_open();
    client.send(Bytes::from(vec![1; OUTBOUND_FRAME_MAX])).unwrap();
    assert_eq!(connection.recv(LONG).unwrap().len(), OUTBOUND_FRAME_MAX);
    let (length, max) = (OUTBOUND_FRAME_MAX + 1, OUTBOUND_FRAME_MAX);
    assert_eq!(client.send(Bytes::from(vec![1; length])), Err(SendError::TooLarge { length, max }));
    server.assert_serves();
}

#[test]
fn a_flood_is_held_back_by_its_own_budget() {
    let server = server(4, LONG);
    let (connection, client) = server.connect_open();
    let frames = 400;
    let flood = std::thread::spawn(move || {
        let mut connection = connection;
        for number in 0..frames {
            connection.send(Bytes::from(vec![number as u8; 32 << 10])).unwrap();
        }
        connection
    });
    let mut held = Vec::new();
    let one = (32 << 10) + FRAME_OVERHEAD;
    while held.len() < INBOUND / one {
        held.push(server.wait_frame().1);
    }
    // The budget is used up: whatever the flood does, no further frame of it is delivered while
    // another client comes, is served and goes.
    let (mut other, other_client) = {
        let mut connection = server.connect();
        connection.send(Bytes::from_static(b"other")).unwrap();
        let (sender, frame) = server.wait_frame();
        assert_eq!(&frame[..], b"other");
        assert_ne!(sender.id(), client.id());
        (connection, sender)
    };
    other_client.send(Bytes::from_static(b"answer")).unwrap();
    assert_eq!(&other.recv(LONG).unwrap()[..], b"answer");
    // The hello, the other's frame and what is held.
    let delivered = server.network.metrics().client_frames_received;
    assert_eq!(delivered as usize, 2 + held.len());
    let first = held.len();
    drop(held);
    for number in first..frames {
        let (_, frame) = server.wait_frame();
        assert!(frame.iter().all(|byte| *byte == number as u8), "frame {number}");
    }
    flood.join().unwrap().finish();
}

#[test]
fn close_delivers_what_was_sent_and_then_the_words() {
    let server = server(4, LONG);
    let (mut connection, client) = server.connect_open();
    for number in 0..10u8 {
        client.send(Bytes::from(vec![number; FRAME_MAX])).unwrap();
    }
    client.close("you are not welcome");
    assert_eq!(client.send(Bytes::new()), Err(SendError::NotConnected));
    for number in 0..10u8 {
        assert_eq!(connection.recv(LONG).unwrap()[0], number);
    }
    assert_eq!(connection.recv(LONG), Err(LinkError::Closed("you are not welcome".to_owned())));
    assert_eq!(server.wait_closed(client.id()), "you are not welcome");
}

#[test]
fn a_stopping_validator_says_so() {
    let server = server(4, LONG);
    let (mut connection, _client) = server.connect_open();
    server.network.shutdown(Duration::from_secs(20));
    match connection.recv(LONG) {
        Err(LinkError::Closed(reason)) => assert!(reason.contains("stopping"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

impl Server {
    /// A connection that says nothing.
    async fn silent(&self, attacker: &Attacker) -> quinn::Connection {
        let calls = async {
            loop {
                // A call is put off while the places of strangers are all young.
                if let Ok(connection) = attacker.call_client(self.address, self.fingerprint).await {
                    return connection;
                }
            }
        };
        tokio::time::timeout(LONG, calls).await.expect("a stranger gets a place")
    }
}

#[test]
fn idle_strangers_keep_nobody_out() {
    let admission = Admission { hello_within: LONG, strangers_max: 4, ..Admission::default() };
    let server = server_admitting(4, LONG, admission, |_| {});
    let (_held, introduced) = server.connect_open();
    let runtime = runtime();
    let attacker = runtime.block_on(async { Attacker::new() });
    // Three times as many as there are places of either kind, and none of them leaves by itself.
    let strangers: Vec<_> = (0..12).map(|_| runtime.block_on(server.silent(&attacker))).collect();
    server.assert_serves();
    assert_eq!(introduced.send(Bytes::from_static(b"still here")), Ok(()));
    until(|| server.network.metrics().client_displaced + server.network.metrics().handshakes_displaced >= 8);
    let counted = server.network.metrics();
    assert_eq!((counted.client_connected, counted.refused_limit), (2, 0));
    // The displaced ones are told why.
    let words = runtime.block_on(strangers[0].closed()).to_string();
    assert!(words.contains("first frame"), "{words}");
}

#[test]
fn a_client_that_says_nothing_is_closed_in_time_and_told_why() {
    let admission = Admission { hello_within: Duration::from_millis(100), ..Admission::default() };
    let server = server_admitting(4, LONG, admission, |_| {});
    runtime().block_on(async {
        let attacker = Attacker::new();
        let connection = server.silent(&attacker).await;
        let (mut stream, _read) = connection.open_bi().await.unwrap();
        // A frame that is begun is not a first frame.
        stream.write_all(&[5, 0, 0, 0, 1]).await.unwrap();
        let closed = tokio::time::timeout(LONG, connection.closed());
        let words = closed.await.expect("it is closed").to_string();
        assert!(words.contains("first frame did not come"), "{words}");
    });
    until(|| server.network.metrics().client_silent == 1);
    assert_eq!(server.network.metrics().client_connected, 0);
}

#[test]
fn one_address_gets_its_share_and_no_more() {
    let admission = Admission { hello_within: LONG, per_address_max: 2, ..Admission::default() };
    let server = server_admitting(8, LONG, admission, |_| {});
    let (first, client) = server.connect_open();
    let (_second, _) = server.connect_open();
    let mut third = server.connect();
    third.send(Bytes::from_static(b"hello")).unwrap();
    match third.recv(LONG) {
        Err(LinkError::Closed(reason)) => assert!(reason.contains("from your address"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.network.metrics().refused_address, 1);
    first.finish();
    server.wait_closed(client.id());
    server.assert_serves();
}

#[test]
fn a_first_frame_is_short() {
    let server = server(4, LONG);
    let mut connection = server.connect();
    connection.send(Bytes::from(vec![0; HELLO_BYTES_MAX + 1])).unwrap();
    match connection.recv(LONG) {
        Err(LinkError::Closed(reason)) => assert!(reason.contains("4096"), "{reason}"),
        other => panic!("{other:?}"),
    }
    until(|| server.network.metrics().client_violations == 1);
    server.assert_serves();
}
