//! A member of the network that has gone bad: it holds a good certificate, and everything it sends is wrong.

use std::sync::mpsc::{Receiver, channel};

use crate::stage::{CHAIN, PATIENCE, Stage, verdicts, wait};
use bytes::Bytes;
use engine::limits::{PEER_MESSAGE_BYTES_MAX, SIGNATURE_BYTES};
use engine::types::{BatchId, Digest, Height, Sequence, ValidatorIndex, Verdict};
use engine::wire::{Acknowledgement, Batch, Certificate, PeerMessage, Query};
use net::{Channel, Network, PeerEvent};
use node::config::Config;
use node::validator::counters::CountersReport;
use node::validator::peers::{BULK, CONTROL, channels};

/// Which member it is; those with a lower index call it.
const ME: usize = 3;

/// The bad member, in place of validator [`ME`].
struct Byzantine {
    network: Network,
    events: Receiver<PeerEvent>,
}

impl Byzantine {
    /// Takes the place of a validator that has been stopped: its port and its certificate.
    fn in_place_of(stage: &Stage) -> Self {
        let config = Config::load(&stage.network.members[ME].config_file()).unwrap();
        let peer = |peer: &node::config::PeerConfig| net::Peer {
            index: peer.index,
            address: peer.address,
            fingerprint: net::Fingerprint(peer.certificate_fingerprint),
        };
        // Its own bounds are wider than those of the others, so that it can send what they must not take.
        let wide = |channel: Channel| Channel {
            frame_bytes_max: channel.frame_bytes_max + 1,
            inbound_bytes: channel.inbound_bytes + 1,
            ..channel
        };
        let (sender, events) = channel();
        let settings = net::Settings {
            thread_name: "byzantine".into(),
            identity: config.identity.clone(),
            peers: Some(net::PeerSettings {
                me: config.index,
                socket: net::bind(config.listen_peers).unwrap(),
                peers: config.peers.iter().map(peer).collect(),
                channels: channels(1 << 20).into_iter().map(wide).collect(),
            }),
            clients: None,
        };
        let take = move |event| {
            let _ = sender.send(event);
            net::Flow::Continue
        };
        let network = Network::start(settings, take, |_| net::Flow::Continue).unwrap();
        Self { network, events }
    }

    /// Waits until validator 0 is there.
    fn connected(&self) {
        wait("validator 0 calls", || self.network.peers().unwrap().connected().contains(&0));
        self.events.try_iter().for_each(drop);
    }

    fn send(&self, channel: usize, frame: Bytes) {
        self.network.peers().unwrap().send(0, channel, frame).unwrap();
    }

    /// Why validator 0 hung up.
    fn hung_up(&self) -> String {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("validator 0 hangs up");
            if let PeerEvent::Disconnected { peer: 0, reason } = event {
                return reason;
            }
        }
    }
}

fn batch_id(sequence: u64) -> BatchId {
    BatchId { chain: CHAIN, author: ValidatorIndex(ME as u16), sequence: Sequence(sequence) }
}

fn counters(stage: &Stage) -> CountersReport {
    stage.client(0).ask(Query::Counters).unwrap()
}

#[test]
fn frames_of_a_member_that_cannot_be_read_cost_it_the_connection_and_nobody_else_anything() {
    let mut stage = Stage::up(4, 100);
    stage.kill(ME);
    let byzantine = Byzantine::in_place_of(&stage);

    let batch = Batch::seal(batch_id(1), [stage.transfer(7, 0)].iter());
    let batch = PeerMessage::Batch(batch.bytes().clone()).encode();
    let status = PeerMessage::Status { finalized: Height(9), committed: Height(9) }.encode();
    let unreadable: [(&str, usize, Bytes); 7] = [
        ("an empty frame", CONTROL, Bytes::new()),
        ("an unknown kind", CONTROL, Bytes::from_static(&[250, 1, 2, 3])),
        ("a message cut short", CONTROL, status.slice(..status.len() - 1)),
        ("a message with a tail", CONTROL, Bytes::from([&status[..], &[0]].concat())),
        ("a count that no frame could hold", CONTROL, Bytes::from_static(&[8, 255, 255, 255, 255])),
        ("an oversized message", CONTROL, Bytes::from(vec![1; PEER_MESSAGE_BYTES_MAX + 1])),
        (
            "noise among the batches",
            BULK,
            Bytes::from((0..=255).cycle().skip(77).take(999).collect::<Vec<u8>>()),
        ),
    ];
    for (what, channel, frame) in unreadable {
        byzantine.connected();
        byzantine.send(channel, frame);
        assert!(!byzantine.hung_up().is_empty(), "{what}: hung up without a reason");
    }
    // A batch is read by the verifiers: what cannot be read is counted, and no more is believed of it.
    byzantine.connected();
    let before = counters(&stage);
    byzantine.send(BULK, batch.slice(..batch.len() - 1));
    wait("half a batch is counted", || {
        counters(&stage).totals["peer_frames_refused"] > before.totals["peer_frames_refused"]
    });
    // What consensus cannot read, it drops.
    for channel in 0..CONTROL {
        byzantine.send(channel, Bytes::from(vec![0xee; 300]));
    }

    let mut client = stage.client(1);
    assert_eq!(verdicts(&mut client, &[stage.transfer(5, 0)]), [Verdict::Committed], "three of four go on");
    byzantine.network.shutdown(std::time::Duration::ZERO);
    the_real_one_returns(&mut stage);
}

#[test]
fn lies_of_a_member_are_refused_and_counted() {
    let mut stage = Stage::up(4, 100);
    stage.kill(ME);
    let byzantine = Byzantine::in_place_of(&stage);
    byzantine.connected();

    let mut forged = stage.transfer(7, 0);
    forged.0[127] ^= 1;
    let refused = |batch: Batch| {
        let before = counters(&stage).totals["batches_refused"];
        byzantine.send(BULK, PeerMessage::Batch(batch.bytes().clone()).encode());
        wait("the batch is refused", || counters(&stage).totals["batches_refused"] > before);
    };
    refused(Batch::seal(batch_id(1), [stage.transfer(8, 0), forged].iter()));
    let elsewhere = BatchId { chain: engine::types::ChainId(9), ..batch_id(1) };
    refused(Batch::seal(elsewhere, [stage.transfer(8, 0)].iter()));

    let acknowledgement = Acknowledgement {
        batch: BatchId { author: ValidatorIndex(0), ..batch_id(1) },
        digest: Digest([3; 32]),
        validator: ValidatorIndex(ME as u16),
        signature: [5; SIGNATURE_BYTES],
    };
    let signers = (1..4).map(|signer| (ValidatorIndex(signer), [6; SIGNATURE_BYTES])).collect();
    let certificate = Certificate::new(batch_id(1), Digest([4; 32]), 1, signers).unwrap();
    let lies = [
        PeerMessage::Acknowledgement(Acknowledgement { validator: ValidatorIndex(2), ..acknowledgement }),
        PeerMessage::Acknowledgement(acknowledgement),
        PeerMessage::Certificate(certificate),
    ];
    for lie in lies {
        let before = counters(&stage).totals["peer_messages_refused"];
        byzantine.send(CONTROL, lie.encode());
        wait(&format!("{lie:?} is refused"), || counters(&stage).totals["peer_messages_refused"] > before);
    }
    assert!(byzantine.network.peers().unwrap().connected().contains(&0), "a lie does not end the connection");

    let mut client = stage.client(1);
    assert_eq!(verdicts(&mut client, &[stage.transfer(5, 0)]), [Verdict::Committed], "three of four go on");
    byzantine.network.shutdown(std::time::Duration::ZERO);
    the_real_one_returns(&mut stage);
}

/// The port is free again, and the others believe its owner as before.
fn the_real_one_returns(stage: &mut Stage) {
    stage.spawn(ME);
    stage.ready();
    let mut client = stage.client(ME);
    assert_eq!(verdicts(&mut client, &[stage.transfer(6, 0)]), [Verdict::Committed]);
    stage.settle();
    stage.all_alive();
    stage.stop_all();
    stage.audit(&[]);
}
