//! A member of the network that has gone bad: it holds a good certificate and a good key, and what it sends is wrong.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::testbed::{CHAIN, PATIENCE, Testbed, verdicts, wait};
use bytes::Bytes;
use engine::limits::{PEER_MESSAGE_BYTES_MAX, STREAM_BATCHES_MAX};
use engine::types::{
    ChainId, Digest, Epoch, Head, Height, Packet, Refusal, Sequence, ValidatorIndex, Verdict,
};
use engine::wire::{Batch, BatchSection, Block, Header, PeerMessage, Query};
use kernels::ed25519::SigningKey;
use kernels::merkle::Frontier;
use loadgen::Start;
use net::{Channel, Network, PeerEvent};
use node::config::Config;
use node::validator::counters::CountersReport;
use node::validator::peers::{BULK, CONTROL, channel_of, channels};

/// Which member it is.
const ME: usize = 3;
const MINE: ValidatorIndex = ValidatorIndex(ME as u16);
/// Offences in quick succession that cost a member its connection, with some to spare.
const TOO_MANY: usize = 100;

/// The bad member, in place of validator [`ME`].
pub struct Byzantine {
    pub network: Network,
    events: Receiver<PeerEvent>,
    key: SigningKey,
    network_id: Digest,
}

impl Byzantine {
    /// Takes the place of a validator that has been stopped: its port, its certificate and its key.
    pub fn in_place_of(testbed: &Testbed) -> Self {
        let config = Config::load(&testbed.network.members[ME].config_file()).unwrap();
        let peer = |peer: &node::config::PeerConfig| net::Peer {
            index: peer.index,
            address: peer.address.clone(),
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
                me: config.index.unwrap(),
                known_as: config.identity.fingerprint(),
                sockets: net::bind(config.listen_peers.addresses()).unwrap(),
                names: net::Names::default(),
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
        let key = SigningKey::from_seed(config.consensus_seed.0);
        Self { network, events, key, network_id: *testbed.network.genesis.network() }
    }

    /// Waits until validator 0 is there.
    fn connected(&self) {
        wait("validator 0 is connected", || self.network.peers().unwrap().connected().contains(&0));
        self.events.try_iter().for_each(drop);
    }

    fn send(&self, channel: usize, frame: Bytes) {
        self.network.peers().unwrap().send(0, channel, frame).unwrap();
    }

    fn say(&self, message: &PeerMessage) {
        self.send(channel_of(message), message.encode());
    }

    /// To everybody, as far as there is room.
    pub fn flood(&self, message: &PeerMessage) {
        let _as_far_as_there_is_room =
            self.network.peers().unwrap().broadcast(u16::MAX, channel_of(message), &message.encode());
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

    /// A batch in the name of `author`, signed by this member.
    pub fn seal(&self, author: ValidatorIndex, previous: &Head, chain: ChainId, packets: &[Packet]) -> Batch {
        let sections = [BatchSection { chain, packets: packets.len() as u32 }];
        let sign = |message: &[u8]| self.key.sign(message);
        Batch::seal(
            &self.network_id,
            (Epoch(0), author),
            previous,
            Height(0),
            &sections,
            packets.iter(),
            sign,
        )
    }
}

pub fn batch(batch: &Batch) -> PeerMessage {
    PeerMessage::Batch(batch.bytes().clone())
}

/// The same batch with one other byte.
fn spoiled(batch: &Batch, at: usize) -> PeerMessage {
    let mut bytes = batch.bytes().to_vec();
    bytes[at] ^= 1;
    PeerMessage::Batch(bytes.into())
}

/// A block that hangs in the air, of a network of `validators`.
fn block(proposer: u16, validators: usize, view: u64) -> PeerMessage {
    let header = Header {
        epoch: Epoch(0),
        height: Height(1 << 40),
        view,
        parent: Digest([9; 32]),
        proposer: ValidatorIndex(proposer),
        time_ms: 1,
        roots_first: Height(1),
        next_members: Digest::default(),
        roots: Vec::new(),
        cut: vec![Head::NONE; validators],
        log: Frontier::new(1 << 40, vec![[9; 32]]).unwrap(),
    };
    PeerMessage::Block(Block::new(header).unwrap())
}

fn status(height: u64) -> PeerMessage {
    PeerMessage::Status {
        epoch: Epoch(0),
        finalized: Height(height),
        committed: Height(height),
        kept_from: Height(1),
        view: height,
        yours: Head::NONE,
    }
}

fn counters(testbed: &Testbed) -> CountersReport {
    testbed.client(0).ask(Query::Counters).unwrap().value
}

fn offences(testbed: &Testbed, name: &str) -> u64 {
    counters(testbed).offences.get(name).copied().unwrap_or(0)
}

#[test]
fn frames_of_a_member_that_cannot_be_read_cost_it_the_connection_and_nobody_else_anything() {
    let mut testbed = Testbed::up(4, 100);
    testbed.kill(ME);
    let byzantine = Byzantine::in_place_of(&testbed);

    let status = status(9).encode();
    let unreadable: [(&str, usize, Bytes); 7] = [
        ("an empty frame", CONTROL, Bytes::new()),
        ("an unknown kind", CONTROL, Bytes::from_static(&[250, 1, 2, 3])),
        ("a message cut short", CONTROL, status.slice(..status.len() - 1)),
        ("a message with a tail", CONTROL, Bytes::from([&status[..], &[0]].concat())),
        ("a count that no frame could hold", CONTROL, Bytes::from_static(&[2, 255, 255, 255, 255])),
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
    assert!(counters(&testbed).totals["peer_frames_refused"] >= 6);
    // What consensus cannot read, it drops.
    byzantine.connected();
    for channel in 0..CONTROL {
        byzantine.send(channel, Bytes::from(vec![0xee; 300]));
    }

    let mut client = testbed.client(1);
    assert_eq!(verdicts(&mut client, &[testbed.transfer(5, 0)]), [Verdict::Committed], "three of four go on");
    byzantine.network.shutdown(Duration::ZERO);
    the_real_one_returns(&mut testbed);
}

#[test]
fn lies_of_a_member_are_counted_by_name_and_do_not_end_the_connection() {
    let mut testbed = Testbed::up(4, 100);
    testbed.kill(ME);
    let byzantine = Byzantine::in_place_of(&testbed);
    byzantine.connected();
    // Only one that has said in which epoch it is is heard about streams.
    byzantine.say(&status(0));

    let good = byzantine.seal(MINE, &Head::NONE, CHAIN, &[testbed.transfer(7, 0)]);
    let last = good.bytes().len() - 1;
    let mut forged = testbed.transfer(8, 0);
    forged.0[127] ^= 1;
    let forged = byzantine.seal(MINE, &Head::NONE, CHAIN, &[testbed.transfer(9, 0), forged]);
    let elsewhere = byzantine.seal(MINE, &Head::NONE, ChainId(9), &[testbed.transfer(8, 0)]);
    let of_another = byzantine.seal(ValidatorIndex(1), &Head::NONE, CHAIN, &[testbed.transfer(8, 0)]);
    let of_nobody = byzantine.seal(ValidatorIndex(99), &Head::NONE, CHAIN, &[testbed.transfer(8, 0)]);
    let head = Head { sequence: Sequence(5), digest: Digest([5; 32]) };
    let lies: [(&str, &str, PeerMessage); 12] = [
        ("half a batch", "malformed", PeerMessage::Batch(good.bytes().slice(..last))),
        ("a batch of an author that does not exist", "malformed", batch(&of_nobody)),
        ("a holding of too few", "malformed", PeerMessage::Holding(vec![Head::NONE; 3])),
        ("a block of a larger network", "malformed", block(3, 5, 1)),
        (
            "a request for a stream that does not exist",
            "malformed",
            PeerMessage::FetchBatches { author: ValidatorIndex(99), above: Sequence(0), head },
        ),
        ("a batch in another's name", "unwanted", batch(&of_another)),
        ("a block in another's name", "unwanted", block(1, 4, 1)),
        ("another body than the header's", "bad_batch", spoiled(&good, last)),
        ("another signature of the author", "bad_batch", spoiled(&good, 90)),
        ("a signature that no client made", "bad_batch", batch(&forged)),
        ("a chain that does not exist", "bad_batch", batch(&elsewhere)),
        ("a height that goes back", "false_sync", status(0)),
    ];
    byzantine.say(&status(1));
    for (what, name, lie) in lies {
        let before = offences(&testbed, name);
        byzantine.say(&lie);
        wait(&format!("{what} is counted as {name}"), || offences(&testbed, name) == before + 1);
    }
    assert!(byzantine.network.peers().unwrap().connected().contains(&0), "a lie does not end the connection");

    let mut client = testbed.client(1);
    assert_eq!(verdicts(&mut client, &[testbed.transfer(5, 0)]), [Verdict::Committed], "three of four go on");
    byzantine.network.shutdown(Duration::ZERO);
    the_real_one_returns(&mut testbed);
}

#[test]
fn of_two_batches_in_one_place_one_is_ordered_and_the_third_is_an_offence() {
    let mut testbed = Testbed::up(4, 100);
    testbed.kill(ME);
    let byzantine = Byzantine::in_place_of(&testbed);
    byzantine.connected();
    wait("all call", || byzantine.network.peers().unwrap().connected().len() == 3);

    // Shown to one validator only, so that none is ordered until all three are sent.
    let branches: Vec<Batch> = (21..24)
        .map(|debit| byzantine.seal(MINE, &Head::NONE, CHAIN, &[testbed.transfer(debit, 0)]))
        .collect();
    byzantine.say(&batch(&branches[0]));
    byzantine.say(&batch(&branches[1]));
    wait("the contradiction is counted", || counters(&testbed).totals["faults"] > 0);
    byzantine.say(&batch(&branches[2]));
    wait("the third branch is an offence", || offences(&testbed, "equivocation") == 1);

    // One of them is ordered, and whatever was not is in no block: its sender may submit it again.
    byzantine.flood(&batch(&branches[0]));
    let mut client = testbed.client(1);
    let id = testbed.transfer(21, 0).id(testbed.network.genesis.network());
    wait("the member's own batch is ordered", || client.check(&id, Verdict::Committed).is_ok());
    assert_eq!(verdicts(&mut client, &[testbed.transfer(5, 0)]), [Verdict::Committed], "three of four go on");
    byzantine.network.shutdown(Duration::ZERO);
    the_real_one_returns(&mut testbed);
}

#[test]
fn heights_and_holdings_that_do_not_exist_move_nobody() {
    let mut testbed = Testbed::up(4, 100);
    testbed.kill(ME);
    let byzantine = Byzantine::in_place_of(&testbed);
    byzantine.connected();
    wait("all call", || byzantine.network.peers().unwrap().connected().len() == 3);

    let most = u64::MAX;
    let nowhere = Head { sequence: Sequence(most), digest: Digest([7; 32]) };
    let near = Head { sequence: Sequence(1 << 20), digest: Digest([8; 32]) };
    for heads in [vec![nowhere; 4], vec![near; 4], vec![Head { sequence: Sequence(0), ..near }; 4]] {
        byzantine.flood(&PeerMessage::Holding(heads));
        byzantine.flood(&PeerMessage::Status {
            epoch: Epoch(0),
            finalized: Height(most),
            committed: Height(most),
            kept_from: Height(most),
            view: most,
            yours: nowhere,
        });
        byzantine.flood(&PeerMessage::FetchBatches { author: MINE, above: Sequence(0), head: nowhere });
        byzantine.flood(&PeerMessage::FetchBatches { author: MINE, above: Sequence(most), head: nowhere });
        byzantine.flood(&PeerMessage::FetchBlocks { from: Height(most), max: u32::MAX });
        byzantine.flood(&PeerMessage::FetchBlocks { from: Height(0), max: u32::MAX });
        byzantine.flood(&PeerMessage::FetchBlock { digest: Digest([6; 32]) });
        byzantine.flood(&PeerMessage::BlocksReply(Vec::new()));
        byzantine.flood(&block(3, 4, most));
        let outcome = testbed.load(&[0, 1, 2], 100.0, 2, Start::Resume);
        assert!(outcome.tally().applied() > 0 && outcome.tally().timed_out == 0, "{:?}", outcome.tally());
    }
    for index in 0..3 {
        let as_of = testbed.client(index).status().unwrap().as_of;
        assert!(as_of.keeps_up(), "one liar makes nobody believe to be behind: {as_of}");
    }
    byzantine.network.shutdown(Duration::ZERO);
    the_real_one_returns(&mut testbed);
}

#[test]
fn a_member_that_goes_on_with_offences_is_disconnected_for_a_while() {
    let mut testbed = Testbed::up(4, 100);
    testbed.kill(ME);
    let byzantine = Byzantine::in_place_of(&testbed);
    byzantine.connected();
    for _ in 0..TOO_MANY {
        byzantine.say(&block(1, 4, 1));
    }
    let reason = byzantine.hung_up();
    assert!(reason.contains("too many offences") && reason.contains("unwanted"), "{reason}");
    let bytes = counters(&testbed).bytes;
    assert!(bytes["peers_excluded"] >= 1, "{bytes:?}");

    // It may come back, and a new start is forgiven.
    byzantine.connected();
    let mut client = testbed.client(1);
    assert_eq!(verdicts(&mut client, &[testbed.transfer(5, 0)]), [Verdict::Committed], "three of four go on");
    byzantine.network.shutdown(Duration::ZERO);
    the_real_one_returns(&mut testbed);
}

#[test]
fn floods_of_a_member_take_no_more_than_its_share() {
    let mut testbed = Testbed::up(4, 400);
    testbed.kill(ME);
    let byzantine = Byzantine::in_place_of(&testbed);
    byzantine.connected();
    wait("all call", || byzantine.network.peers().unwrap().connected().len() == 3);

    // A stream without its first batch: nothing of it can be ordered, and only a window of it is kept.
    let first = byzantine.seal(MINE, &Head::NONE, CHAIN, &[testbed.transfer(20, 0)]);
    let mut previous = first.head();
    let stream: Vec<PeerMessage> = (0..2 * STREAM_BATCHES_MAX)
        .map(|at| {
            let sealed = byzantine.seal(MINE, &previous, CHAIN, &[testbed.transfer(21, at as u64 % 64)]);
            previous = sealed.head();
            batch(&sealed)
        })
        .collect();
    let plan = testbed.plan(&[0, 1, 2], 200.0, 6, Start::Fresh);
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut loadgen::progress::Silent).unwrap());
    for round in 0..10 {
        stream.iter().for_each(|message| byzantine.flood(message));
        for at in 0..500 {
            byzantine.flood(&block(3, 4, round * 500 + at));
            byzantine.flood(&PeerMessage::FetchBlocks { from: Height(1), max: u32::MAX });
            byzantine.flood(&PeerMessage::FetchBlock { digest: Digest([at as u8; 32]) });
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let outcome = load.join().unwrap();
    assert!(outcome.lost.is_empty() && outcome.tally().timed_out == 0, "{:?}", outcome.tally());
    assert!(outcome.tally().applied() > 0);
    testbed.all_alive();
    byzantine.network.shutdown(Duration::ZERO);
    the_real_one_returns(&mut testbed);
}

/// The port is free again, and the others believe its owner as before. Where its key has signed batches that its
/// journal does not know, it answers *Busy* until it has learnt them.
fn the_real_one_returns(testbed: &mut Testbed) {
    testbed.spawn(ME);
    testbed.ready();
    let mut client = testbed.client(ME);
    // A nonce that no load has reached.
    let packet = testbed.transfer(6, 100);
    wait("the real one takes part", || match verdicts(&mut client, &[packet])[0] {
        Verdict::Committed => true,
        Verdict::Refused(Refusal::Busy) => false,
        verdict => panic!("{verdict:?}"),
    });
    testbed.settle();
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&[]);
}
