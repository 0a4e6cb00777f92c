//! Four validators over a network that loses, repeats and reorders, on journals that lag, with crashes at any moment.
//!
//! All of them are correct, so: nobody ever contradicts itself, nobody acknowledges two digests of one sequence, and once
//! the network heals every batch that an author holds durably gets its certificate.

use std::collections::BTreeMap;

use super::*;

/// A small generator, so that a failure is a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Node {
    machine: Availability,
    /// Appended, in order; a crash loses them.
    pending: Vec<Verified<Batch>>,
    /// Durable, in order.
    journal: Vec<Verified<Batch>>,
}

struct World {
    validators: u16,
    nodes: Vec<Node>,
    wire: Vec<(u16, u16, PeerMessage)>,
    /// What each validator has ever acknowledged: no crash wipes this.
    words: BTreeMap<(u16, BatchId), Digest>,
    now: Duration,
    sealed: u32,
}

fn fresh(validators: u16, me: u16) -> Availability {
    let committee = Committee::new(&genesis(validators), ValidatorIndex(me), seed(me), [9; 32]);
    Availability::new(committee, vec![CHAIN])
}

impl World {
    fn new(validators: u16) -> World {
        let node = |me| Node { machine: fresh(validators, me), pending: vec![], journal: vec![] };
        let nodes = (0..validators).map(node).collect();
        World { validators, nodes, wire: vec![], words: BTreeMap::new(), now: NOW, sealed: 0 }
    }

    fn handle(&mut self, me: u16, event: Event) {
        for output in self.nodes[usize::from(me)].machine.handle(event, self.now) {
            match output {
                Output::Store(batch) => self.nodes[usize::from(me)].pending.push(batch),
                Output::Send(to, message) => self.send(me, to.0, message),
                Output::Broadcast(message) => {
                    for to in (0..self.validators).filter(|to| *to != me) {
                        self.send(me, to, message.clone());
                    }
                }
                Output::Available(_) | Output::Arrived(_) => {}
                Output::Refused(refused) => panic!("a correct validator was refused: {refused}"),
            }
        }
    }

    fn send(&mut self, from: u16, to: u16, message: PeerMessage) {
        if let PeerMessage::Acknowledgement(acknowledgement) = &message {
            let word = self.words.entry((from, acknowledgement.batch)).or_insert(acknowledgement.digest);
            assert_eq!(*word, acknowledgement.digest, "{from} contradicts itself");
        }
        self.wire.push((from, to, message));
    }

    fn deliver(&mut self, from: u16, to: u16, message: PeerMessage) {
        let from = ValidatorIndex(from);
        let event = match message {
            PeerMessage::Batch(bytes) => {
                Event::Received(from, Verified::assumed(Batch::decode(bytes).unwrap()))
            }
            PeerMessage::Acknowledgement(acknowledgement) => {
                Event::Acknowledged(vec![(from, acknowledgement)])
            }
            PeerMessage::Certificate(certificate) => Event::Certified(vec![(from, certificate)]),
            other => panic!("{other:?}"),
        };
        self.handle(to, event);
    }

    fn seal(&mut self, me: u16) {
        let machine = &self.nodes[usize::from(me)].machine;
        if machine.may_seal(CHAIN) {
            self.sealed += 1;
            let mut packet = [0; 128];
            packet[..4].copy_from_slice(&self.sealed.to_le_bytes());
            let batch = Verified::assumed(Batch::seal(machine.next_own(CHAIN), [Packet(packet)].iter()));
            self.handle(me, Event::Sealed(batch));
        }
    }

    fn sync_one(&mut self, me: u16) {
        let node = &mut self.nodes[usize::from(me)];
        if !node.pending.is_empty() {
            let batch = node.pending.remove(0);
            node.journal.push(batch.clone());
            self.handle(me, Event::Durable(batch.id(), *batch.digest()));
        }
    }

    fn crash(&mut self, me: u16) {
        let mut machine = fresh(self.validators, me);
        let node = &mut self.nodes[usize::from(me)];
        node.pending.clear();
        node.journal.iter().for_each(|batch| machine.restore(batch.clone()));
        node.machine = machine;
        for peer in (0..self.validators).filter(|peer| *peer != me) {
            self.handle(me, Event::Connected(ValidatorIndex(peer)));
            self.handle(peer, Event::Connected(ValidatorIndex(me)));
        }
    }

    fn chaos(&mut self, chance: &mut Chance) {
        let me = chance.below(u64::from(self.validators)) as u16;
        match chance.below(40) {
            0..24 if !self.wire.is_empty() => {
                let index = chance.below(self.wire.len() as u64) as usize;
                let (from, to, message) = self.wire.swap_remove(index);
                match chance.below(10) {
                    0 | 1 => {}
                    2 => {
                        self.deliver(from, to, message.clone());
                        self.deliver(from, to, message);
                    }
                    _ => self.deliver(from, to, message),
                }
            }
            24..33 => self.sync_one(me),
            33..37 => self.seal(me),
            37 => self.crash(me),
            _ => {
                self.now += RESEND_AFTER / 3;
                self.handle(me, Event::Tick);
            }
        }
    }

    fn heal(&mut self) {
        for _ in 0..6 {
            self.now += RESEND_AFTER;
            (0..self.validators).for_each(|me| self.handle(me, Event::Tick));
            while !self.wire.is_empty() || self.nodes.iter().any(|node| !node.pending.is_empty()) {
                for (from, to, message) in std::mem::take(&mut self.wire) {
                    self.deliver(from, to, message);
                }
                (0..self.validators).for_each(|me| self.sync_one(me));
            }
        }
        for (me, node) in (0..).zip(&self.nodes) {
            let own = node.journal.iter().filter(|batch| batch.id().author.0 == me);
            for (batch, sequence) in own.zip(1..) {
                assert_eq!(batch.id().sequence, Sequence(sequence), "own sequences have no gap");
                let certificate = node.machine.available(&batch.id()).map(|a| *a.certificate().digest());
                assert_eq!(certificate, Some(*batch.digest()), "{} never became available", batch.id());
            }
        }
    }
}

#[test]
fn crashes_and_losses_never_make_a_correct_validator_contradict_itself_or_stop() {
    for (validators, seeds) in [(1, 20), (4, 60), (7, 10)] {
        for seed in 1..=seeds {
            let mut chance = Chance(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
            let mut world = World::new(validators);
            for _ in 0..250 {
                world.chaos(&mut chance);
            }
            world.heal();
            // And everybody can go on.
            (0..validators).for_each(|me| world.seal(me));
            world.heal();
        }
    }
}
