//! Bad input over the real ports: everybody who causes trouble is told, and nobody else notices.

use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use crate::testbed::{PATIENCE, Testbed, verdicts, wait};
use bytes::Bytes;
use client::{Client, ClientError};
use engine::types::{
    AccountId, Action, Command, Digest, Height, Outcome, Packet, Refusal, Transfer, Verdict,
};
use engine::wire::{ClientFrame, PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST, Query, ServerFrame};
use loadgen::Start;
use net::{BlockingConnection, ConnectOptions, Identity, LinkError};
use node::validator::counters::CountersReport;

/// A connection below the protocol.
fn raw(testbed: &Testbed) -> BlockingConnection {
    let member = &testbed.network.members[0];
    let options = ConnectOptions { frame_bytes_max: 16 << 20, ..ConnectOptions::default() };
    BlockingConnection::connect(&member.clients, member.fingerprint, options).unwrap()
}

fn hello(testbed: &Testbed) -> Bytes {
    ClientFrame::Hello { version: PROTOCOL_VERSION, network: *testbed.network.genesis.network() }.encode()
}

/// A transfer of account `debit` that would be good.
fn good(debit: u64, nonce: u64) -> Transfer {
    Transfer {
        chain: crate::testbed::CHAIN,
        key_version: 1,
        reference: [0; 12],
        debit: AccountId(debit),
        credit_chain: None,
        credit: AccountId(debit + 1),
        amount: 5,
        nonce,
        expiry: Height(1_000_000),
    }
}

/// Why the validator closed the connection.
fn closing_words(connection: &mut BlockingConnection) -> String {
    loop {
        match connection.recv(PATIENCE) {
            Ok(frame) => {
                if let Ok(ServerFrame::Rejected { reason }) = ServerFrame::decode(&frame) {
                    return reason;
                }
            }
            Err(LinkError::Closed(reason)) => return reason,
            Err(error) => panic!("closed without words: {error}"),
        }
    }
}

fn still_good(testbed: &mut Testbed, debit: u64) {
    let mut client = testbed.client(0);
    let packet = testbed.signed(&good(debit, 0));
    assert_eq!(verdicts(&mut client, &[packet]), [Verdict::Committed]);
    testbed.all_alive();
}

/// A command on a chain where nobody has a role.
fn command(testbed: &Testbed, authority: u64, action: Action) -> Packet {
    let Transfer { chain, key_version, reference, nonce, expiry, .. } = good(authority, 0);
    let authority = AccountId(authority);
    let command = Command { chain, key_version, reference, authority, action, nonce, expiry };
    let key = testbed.network.client_seed().unwrap().signing_key(chain, authority);
    command.sign(testbed.network.genesis.network(), |message| key.sign(message))
}

#[test]
fn each_bad_transaction_gets_its_reason_while_good_ones_go_on() {
    let mut testbed = Testbed::up(4, 100);
    let mut client = testbed.client(0);
    let first = testbed.signed(&good(1, 0));
    assert_eq!(verdicts(&mut client, &[first]), [Verdict::Committed]);

    let mut malformed = testbed.signed(&good(2, 0));
    malformed.0[2] = 1;
    let mut forged = testbed.signed(&good(2, 0));
    forged.0[127] ^= 1;
    let chain = Transfer { chain: engine::types::ChainId(9), ..good(2, 0) };
    let bad: Vec<(Packet, Verdict)> = vec![
        (malformed, Refusal::Malformed.into()),
        (forged, Refusal::BadSignature.into()),
        (testbed.signed(&chain), Refusal::WrongChain.into()),
        (testbed.signed(&Transfer { expiry: Height(0), ..good(2, 0) }), Refusal::Expired.into()),
        (testbed.signed(&Transfer { amount: 7, ..good(1, 0) }), Refusal::Replayed.into()),
        (testbed.signed(&good(2, 128)), Refusal::NonceTooFar.into()),
        (testbed.signed(&Transfer { debit: AccountId(100), ..good(2, 0) }), Refusal::UnknownAccount.into()),
        (testbed.signed(&Transfer { credit: AccountId(100), ..good(2, 0) }), Refusal::UnknownAccount.into()),
        (testbed.signed(&Transfer { key_version: 2, ..good(2, 0) }), Refusal::WrongKeyVersion.into()),
        (testbed.signed(&Transfer { key_version: 0, ..good(2, 0) }), Refusal::WrongKeyVersion.into()),
        // A command of somebody who may order nothing.
        (command(&testbed, 2, Action::Burn { amount: 1 }), Refusal::RoleNotHeld.into()),
        // Nobody but execution knows the balance: this one is in a block, without effect.
        (testbed.signed(&Transfer { amount: 2_000_000, ..good(3, 0) }), Outcome::InsufficientBalance.into()),
    ];
    // Good ones stand between the bad ones, in one submission.
    let mut packets = Vec::new();
    let mut expected = Vec::new();
    for (at, (packet, verdict)) in (10..).zip(bad) {
        packets.extend([packet, testbed.signed(&good(at, 0))]);
        expected.extend([verdict, Verdict::Committed]);
    }
    assert_eq!(verdicts(&mut client, &packets), expected);

    let twice = testbed.signed(&good(4, 0));
    let told = verdicts(&mut client, &[twice, twice]);
    assert!(told.contains(&Verdict::Committed), "{told:?}");
    assert!(
        told.contains(&Refusal::DuplicatePending.into()) || told.contains(&Refusal::Replayed.into()),
        "{told:?}"
    );
    let counters: node::validator::counters::CountersReport =
        client.ask(engine::wire::Query::Counters).unwrap().value;
    assert!(counters.refused.values().sum::<u64>() >= 10, "{:?}", counters.refused);
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&[]);
}

#[test]
fn frames_that_cannot_be_read_close_only_their_own_connection() {
    let mut testbed = Testbed::up(4, 100);
    let hello_of = |version, network| ClientFrame::Hello { version, network }.encode();
    let network = *testbed.network.genesis.network();
    let garbage: Vec<(&str, Vec<Bytes>)> = vec![
        ("an empty frame", vec![Bytes::new()]),
        ("an unknown kind", vec![Bytes::from_static(&[250, 1, 2, 3])]),
        ("a hello cut short", vec![hello(&testbed).slice(..20)]),
        ("a hello with a tail", vec![Bytes::from([hello(&testbed).as_ref(), &[0]].concat())]),
        ("an old version", vec![hello_of(PROTOCOL_VERSION_FIRST - 1, network)]),
        ("another network", vec![hello_of(PROTOCOL_VERSION, Digest([7; 32]))]),
        ("no hello", vec![ClientFrame::Query { id: 1, query: engine::wire::Query::Status }.encode()]),
        ("half a packet", vec![hello(&testbed), Bytes::from([&[2][..], &[0; 8], &[1; 100]].concat())]),
        ("no packets", vec![hello(&testbed), Bytes::from([&[2][..], &[0; 8]].concat())]),
        ("too many packets", vec![hello(&testbed), Bytes::from(vec![2; 9 + 4097 * 128])]),
        ("an oversized frame", vec![hello(&testbed), Bytes::from(vec![2; 8 << 20])]),
        (
            "noise",
            vec![hello(&testbed), Bytes::from((0..=255).cycle().skip(7).take(5000).collect::<Vec<u8>>())],
        ),
    ];
    for (what, frames) in garbage {
        let mut connection = raw(&testbed);
        for frame in frames {
            // A validator that has seen enough may close before everything is written.
            if connection.send(frame).is_err() {
                break;
            }
        }
        let words = closing_words(&mut connection);
        assert!(!words.is_empty(), "{what}: closed without a reason");
    }
    still_good(&mut testbed, 5);
}

#[test]
fn datagrams_that_are_not_quic_are_nothing() {
    let mut testbed = Testbed::up(4, 100);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = node::config::Config::load(&testbed.network.members[0].config_file()).unwrap();
    let ports = [config.listen_peers, config.listen_clients];
    let mut noise = [0; 1200];
    for round in 0..500 {
        getrandom::fill(&mut noise).unwrap();
        let length = 1 + round * 7 % noise.len();
        for port in &ports {
            socket.send_to(&noise[..length], port.addresses()[0]).unwrap();
        }
    }
    still_good(&mut testbed, 5);
}

#[test]
fn a_peer_with_a_certificate_from_elsewhere_is_refused() {
    let mut testbed = Testbed::up(4, 100);
    let config = node::config::Config::load(&testbed.network.members[0].config_file()).unwrap();
    // A stranger that claims to be validator 3, with a certificate of its own making.
    let sockets = net::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let peers = vec![net::Peer {
        index: 0,
        address: config.listen_peers.addresses()[0].into(),
        fingerprint: testbed.network.members[0].fingerprint,
    }];
    let channels = vec![net::Channel {
        name: "noise",
        priority: 0,
        frame_bytes_max: 1 << 16,
        queue_bytes: 1 << 20,
        inbound_bytes: 1 << 20,
        on_full: net::OnFull::Drop,
    }];
    let (events, seen) = mpsc::channel();
    let settings = net::Settings {
        thread_name: "stranger".into(),
        identity: Identity::generate("dogwood").unwrap(),
        peers: Some(net::PeerSettings {
            me: 3,
            // The lower one calls.
            known_as: net::Fingerprint([0; 32]),
            sockets,
            names: net::Names::default(),
            peers,
            channels,
        }),
        clients: None,
    };
    let stranger = net::Network::start(
        settings,
        move |event| {
            if matches!(event, net::PeerEvent::Connected { .. }) {
                let _ = events.send(());
            }
            net::Flow::Continue
        },
        |_| net::Flow::Continue,
    )
    .unwrap();
    wait("it has called and was refused", || {
        let report = testbed.client(0).ask::<CountersReport>(Query::Counters).unwrap().value;
        report.bytes["refused_unknown"] > 0
    });
    assert!(seen.recv_timeout(Duration::from_secs(3)).is_err(), "the stranger was let in");
    still_good(&mut testbed, 5);
    stranger.shutdown(Duration::ZERO);
}

#[test]
fn a_client_that_expects_another_validator_does_not_talk() {
    let testbed = Testbed::up(1, 100);
    let member = &testbed.network.members[0];
    let other = Identity::generate("elder").unwrap().fingerprint();
    let error = Client::connect(&member.clients, other, *testbed.network.genesis.network()).err().unwrap();
    let ClientError::Connect(net::ConnectError::WrongFingerprint { .. }) = error else { panic!("{error}") };
}

#[test]
fn a_client_that_stops_reading_is_cut_and_others_go_on() {
    let mut testbed = Testbed::up(4, 200);
    let mut deaf = raw(&testbed);
    deaf.send(hello(&testbed)).unwrap();
    // Each malformed packet is worth a notice; nobody reads them.
    let frame = Bytes::from([&[2][..], &[0; 8], &[0xff; 4096 * 128]].concat());
    let mut cut = None;
    for _ in 0..2_000 {
        if let Err(error) = deaf.send(frame.clone()) {
            cut = Some(error);
            break;
        }
    }
    let error = cut.expect("a client that never reads is cut");
    assert!(matches!(error, LinkError::Closed(_)), "it is told why: {error}");
    still_good(&mut testbed, 5);
    let outcome = testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Resume);
    assert_eq!(outcome.tally().timed_out, 0);
    testbed.all_alive();
}

#[test]
fn a_flood_is_shed_with_words_and_the_ledger_stays_whole() {
    let mut testbed = Testbed::up(4, 400);
    // Far more than a test machine takes.
    let outcome = testbed.load(&[0, 1, 2, 3], 60_000.0, 3, Start::Fresh);
    testbed.all_alive();
    assert!(outcome.tally().applied() > 0);
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&[&outcome]);
}
