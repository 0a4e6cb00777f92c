mod simulation;

use kernels::ed25519::SigningKey;

use super::*;
use crate::types::{
    AccountGenesis, BatchId, ChainGenesis, ChainId, ChainKind, CryptoSuite, Digest, Genesis, Packet,
    Sequence, ValidatorGenesis, ValidatorIndex,
};
use crate::verify::Verified;
use crate::wire::{Acknowledgement, Batch, Certificate, PeerMessage};

const CHAIN: ChainId = ChainId(1);
const NOW: Duration = Duration::from_secs(1);

fn seed(validator: u16) -> [u8; 32] {
    [validator as u8 + 1; 32]
}

fn genesis(validators: u16) -> Genesis {
    let validator = |index: u16| ValidatorGenesis {
        name: format!("validator-{index}"),
        public_key: SigningKey::from_seed(seed(index)).public_key(),
        certificate_fingerprint: [index as u8; 32],
    };
    let account = AccountGenesis { public_key: [0; 32], balance: 1 };
    let (kind, suite) = (ChainKind::Transfers, CryptoSuite::Ed25519);
    let chain = ChainGenesis { id: CHAIN, kind, suite, accounts: vec![account] };
    Genesis::new("test".into(), (0..validators).map(validator).collect(), vec![chain]).unwrap()
}

fn committee(me: u16) -> Committee {
    Committee::new(&genesis(4), ValidatorIndex(me), seed(me), [9; 32])
}

fn machine(me: u16) -> Availability {
    Availability::new(committee(me), vec![CHAIN])
}

fn id(author: u16, sequence: u64) -> BatchId {
    BatchId { chain: CHAIN, author: ValidatorIndex(author), sequence: Sequence(sequence) }
}

fn batch(id: BatchId, content: u8) -> Verified<Batch> {
    Verified::assumed(Batch::seal(id, [Packet([content; 128])].iter()))
}

fn acknowledge(validator: u16, batch: &Batch) -> Acknowledgement {
    committee(validator).acknowledge(batch.id(), *batch.digest())
}

fn certificate(batch: &Batch, signers: &[u16]) -> Certificate {
    let signers = signers.iter().map(|s| (ValidatorIndex(*s), acknowledge(*s, batch).signature)).collect();
    Certificate::new(batch.id(), *batch.digest(), batch.transactions(), signers).unwrap()
}

fn acknowledged(from: u16, acknowledgement: Acknowledgement) -> Event {
    Event::Acknowledged(vec![(ValidatorIndex(from), acknowledgement)])
}

fn certified(from: u16, certificate: Certificate) -> Event {
    Event::Certified(vec![(ValidatorIndex(from), certificate)])
}

/// An author with one sealed and durable batch.
fn author() -> (Availability, Verified<Batch>) {
    let mut author = machine(0);
    let own = batch(author.next_own(CHAIN), 1);
    let out = author.handle(Event::Sealed(own.clone()), NOW);
    assert_eq!(out, [Output::Store(own.clone())], "nobody sees what a crash could still undo");
    let peer = ValidatorIndex(1);
    assert_eq!(author.handle(Event::Connected(peer), NOW), []);
    let out = author.handle(Event::Durable(own.id(), *own.digest()), NOW);
    assert_eq!(out, [Output::Broadcast(PeerMessage::Batch(own.bytes().clone()))]);
    assert_eq!(author.handle(Event::Durable(own.id(), *own.digest()), NOW), [], "told twice, sent once");
    (author, own)
}

#[test]
fn a_quorum_of_acknowledgements_makes_the_certificate_once() {
    let (mut author, own) = author();
    assert_eq!(author.handle(acknowledged(1, acknowledge(1, &own)), NOW), []);
    assert_eq!(author.handle(acknowledged(1, acknowledge(1, &own)), NOW), [], "a duplicate counts once");
    let expected = certificate(&own, &[0, 1, 3]);
    let out = author.handle(acknowledged(3, acknowledge(3, &own)), NOW);
    let broadcast = Output::Broadcast(PeerMessage::Certificate(expected.clone()));
    assert_eq!(out, [broadcast, Output::Available(own.id())]);
    assert_eq!(author.available(&own.id()).unwrap().certificate(), &expected);
    assert_eq!(author.handle(acknowledged(2, acknowledge(2, &own)), NOW), [], "late");
    assert!(machine(2).check(&expected));
}

#[test]
fn acknowledgements_that_come_together_are_judged_each_by_itself() {
    let (mut author, own) = author();
    let mut forged = acknowledge(1, &own);
    forged.signature[7] ^= 1;
    let stranger = Acknowledgement { validator: ValidatorIndex(9), ..acknowledge(2, &own) };
    let together = [(1, forged), (9, stranger), (2, acknowledge(2, &own)), (3, acknowledge(3, &own))];
    let together = together.map(|(from, acknowledgement)| (ValidatorIndex(from), acknowledgement));
    let out = author.handle(Event::Acknowledged(together.into()), NOW);
    let refused = |from| Output::Refused(Refused::Acknowledgement(own.id(), ValidatorIndex(from)));
    let broadcast = Output::Broadcast(PeerMessage::Certificate(certificate(&own, &[0, 2, 3])));
    assert_eq!(out, [refused(1), refused(9), broadcast, Output::Available(own.id())]);
}

#[test]
fn certificates_that_come_together_are_judged_each_by_itself() {
    let mut peer = machine(1);
    let batches: Vec<_> = (1..=4).map(|sequence| batch(id(0, sequence), 1)).collect();
    let mut shown: Vec<_> = batches.iter().map(|batch| certificate(batch, &[0, 2, 3])).collect();
    // Good signatures, of another batch.
    let signers = shown[0].signers().to_vec();
    shown[1] = Certificate::new(batches[1].id(), *batches[1].digest(), 1, signers).unwrap();
    shown[2] = certificate(&batches[2], &[0, 2]);
    shown.push(shown[0].clone());
    let together = shown.into_iter().map(|certificate| (ValidatorIndex(0), certificate)).collect();
    let refused = |at: usize| Output::Refused(Refused::Certificate(batches[at].id(), ValidatorIndex(0)));
    let good = |at: usize| Output::Available(batches[at].id());
    assert_eq!(peer.handle(Event::Certified(together), NOW), [good(0), refused(1), refused(2), good(3)]);
}

#[test]
fn nothing_is_certified_before_the_author_holds_it_durably() {
    let mut author = machine(0);
    let own = batch(author.next_own(CHAIN), 1);
    author.handle(Event::Sealed(own.clone()), NOW);
    for peer in 1..4 {
        assert_eq!(author.handle(acknowledged(peer, acknowledge(peer, &own)), NOW), []);
    }
    let out = author.handle(Event::Durable(own.id(), *own.digest()), NOW);
    assert!(out.contains(&Output::Available(own.id())), "{out:?}");
}

#[test]
fn forged_and_contradictory_acknowledgements_count_nothing() {
    let (mut author, own) = author();
    let invalid = |from| [Output::Refused(Refused::Acknowledgement(own.id(), ValidatorIndex(from)))];
    let mut forged = acknowledge(1, &own);
    forged.signature[7] ^= 1;
    assert_eq!(author.handle(acknowledged(1, forged), NOW), invalid(1), "a bad signature");
    assert_eq!(author.handle(acknowledged(2, acknowledge(1, &own)), NOW), invalid(2), "in another's name");
    let other = batch(own.id(), 2);
    assert_eq!(author.handle(acknowledged(1, acknowledge(1, &other)), NOW), invalid(1), "another digest");
    assert_eq!(
        author.handle(acknowledged(0, acknowledge(0, &own)), NOW),
        invalid(0),
        "our own, from outside"
    );
    assert!(author.available(&own.id()).is_none());
}

#[test]
fn a_peer_acknowledges_only_what_is_durable_and_again_when_asked_again() {
    let mut peer = machine(1);
    let sent = batch(id(0, 1), 1);
    let received = || Event::Received(ValidatorIndex(0), sent.clone());
    assert_eq!(peer.handle(received(), NOW), [Output::Store(sent.clone())]);
    assert_eq!(peer.handle(received(), NOW), [], "not durable yet");
    let reply = Output::Send(ValidatorIndex(0), PeerMessage::Acknowledgement(acknowledge(1, &sent)));
    assert_eq!(peer.handle(Event::Durable(sent.id(), *sent.digest()), NOW), [reply]);
    let reply = Output::Send(ValidatorIndex(0), PeerMessage::Acknowledgement(acknowledge(1, &sent)));
    assert_eq!(peer.handle(received(), NOW), [reply]);
}

#[test]
fn two_batches_under_one_sequence_are_evidence_and_only_one_is_acknowledged() {
    let mut peer = machine(1);
    let (first, second) = (batch(id(0, 1), 1), batch(id(0, 1), 2));
    peer.handle(Event::Received(ValidatorIndex(0), first.clone()), NOW);
    let out = peer.handle(Event::Received(ValidatorIndex(0), second.clone()), NOW);
    let (batch, first_digest, second_digest) = (first.id(), *first.digest(), *second.digest());
    let evidence = Refused::Equivocation { batch, first: first_digest, second: second_digest };
    assert_eq!(out, [Output::Refused(evidence)]);
    assert_eq!(
        peer.handle(Event::Durable(batch, second_digest), NOW),
        [],
        "never stored, never acknowledged"
    );
}

#[test]
fn one_digest_per_sequence_also_after_a_restart() {
    let (first, second) = (batch(id(0, 1), 1), batch(id(0, 1), 2));
    let mut peer = machine(1);
    peer.restore(first.clone());
    let out = peer.handle(Event::Received(ValidatorIndex(0), second), NOW);
    assert!(matches!(out[..], [Output::Refused(Refused::Equivocation { .. })]), "{out:?}");
    let again = peer.handle(Event::Received(ValidatorIndex(0), first.clone()), NOW);
    assert_eq!(
        again,
        [Output::Send(ValidatorIndex(0), PeerMessage::Acknowledgement(acknowledge(1, &first)))]
    );
}

#[test]
fn the_quorums_batch_wins_over_the_one_we_were_sent() {
    let (ours, theirs) = (batch(id(0, 1), 1), batch(id(0, 1), 2));
    let mut peer = machine(1);
    peer.handle(Event::Received(ValidatorIndex(0), ours.clone()), NOW);
    let out = peer.handle(certified(0, certificate(&theirs, &[0, 2, 3])), NOW);
    assert!(
        matches!(out[..], [Output::Available(_), Output::Refused(Refused::Equivocation { .. })]),
        "{out:?}"
    );
    assert!(peer.body(&ours.id(), ours.digest()).is_none());
    assert!(peer.available(&ours.id()).is_some_and(|a| a.certificate().digest() == theirs.digest()));
}

#[test]
fn what_was_acknowledged_first_keeps_our_word_whatever_the_quorum_holds() {
    let (ours, theirs) = (batch(id(0, 1), 1), batch(id(0, 1), 2));
    let quorum = certificate(&theirs, &[0, 2, 3]);
    let contradict = [certified(0, quorum.clone()), Event::Needed(quorum.clone())];
    for event in contradict {
        let mut peer = machine(1);
        peer.handle(Event::Received(ValidatorIndex(0), ours.clone()), NOW);
        assert_eq!(peer.handle(Event::Durable(ours.id(), *ours.digest()), NOW).len(), 1);
        peer.handle(event, NOW);
        let out = peer.handle(Event::Received(ValidatorIndex(0), theirs.clone()), NOW);
        assert!(out.contains(&Output::Store(theirs.clone())), "it is needed for execution: {out:?}");
        assert_eq!(peer.handle(Event::Durable(theirs.id(), *theirs.digest()), NOW), [], "not acknowledged");
        assert_eq!(peer.handle(Event::Received(ValidatorIndex(0), theirs.clone()), NOW), []);
        // The journal now holds both, in this order.
        let mut restarted = machine(1);
        restarted.restore(ours.clone());
        restarted.restore(theirs.clone());
        assert_eq!(restarted.body(&ours.id(), ours.digest()), Some(&ours));
        assert_eq!(restarted.body(&theirs.id(), theirs.digest()), None);
        let out = restarted.handle(Event::Received(ValidatorIndex(0), theirs.clone()), NOW);
        assert!(matches!(out[..], [Output::Refused(Refused::Equivocation { .. })]), "{out:?}");
    }
}

#[test]
fn a_checked_certificate_is_remembered_as_evidence() {
    let sent = batch(id(0, 1), 1);
    let mut peer = machine(1);
    assert!(peer.check(&certificate(&sent, &[0, 2, 3])));
    assert!(peer.available(&sent.id()).is_some());
    assert!(peer.check(&certificate(&sent, &[0, 1, 2])), "another quorum's is as good");
    let out = peer.handle(Event::Received(ValidatorIndex(0), sent.clone()), NOW);
    assert_eq!(out, [Output::Store(sent.clone())]);
    let far = batch(id(0, WINDOW + 1), 1);
    assert!(peer.check(&certificate(&far, &[0, 2, 3])));
    assert!(peer.available(&far.id()).is_none(), "memory stays inside the window");
}

#[test]
fn bad_certificates_are_refused() {
    let sent = batch(id(0, 1), 1);
    let refused = [Output::Refused(Refused::Certificate(sent.id(), ValidatorIndex(2)))];
    let mut peer = machine(1);
    let small = certificate(&sent, &[0, 2]);
    assert_eq!(peer.handle(certified(2, small), NOW), refused, "no quorum");
    let good = certificate(&sent, &[0, 2, 3]);
    let mut signers = good.signers().to_vec();
    signers[1].1[0] ^= 1;
    let forged = Certificate::new(sent.id(), *sent.digest(), 1, signers).unwrap();
    assert_eq!(peer.handle(certified(2, forged.clone()), NOW), refused, "a bad signature");
    assert!(!peer.check(&forged));
    let mut stranger = good.signers().to_vec();
    stranger[2].0 = ValidatorIndex(9);
    let stranger = Certificate::new(sent.id(), *sent.digest(), 1, stranger).unwrap();
    assert!(!peer.check(&stranger), "a signer who is no validator");
    let elsewhere = BatchId { chain: ChainId(7), ..sent.id() };
    let elsewhere = Certificate::new(elsewhere, *sent.digest(), 1, good.signers().to_vec()).unwrap();
    let out = peer.handle(certified(2, elsewhere.clone()), NOW);
    assert_eq!(out, [Output::Refused(Refused::UnknownStream(elsewhere.batch()))]);
    assert!(peer.check(&good));
}

#[test]
fn a_needed_body_is_asked_of_one_signer_after_another() {
    let wanted = batch(id(0, 1), 1);
    let mut peer = machine(3);
    let needed = || Event::Needed(certificate(&wanted, &[0, 1, 2]));
    let asked = |out: &[Output]| match out {
        [Output::Send(to, PeerMessage::FetchBatch { batch, digest })] => {
            assert_eq!((*batch, digest), (wanted.id(), wanted.digest()));
            Some(to.0)
        }
        [] => None,
        other => panic!("{other:?}"),
    };
    let mut signers = vec![asked(&peer.handle(needed(), NOW)).unwrap()];
    assert_eq!(asked(&peer.handle(needed(), NOW)), None, "asked already");
    assert_eq!(asked(&peer.handle(Event::Tick, NOW)), None, "it has time to answer");
    for round in 1..3 {
        signers.push(asked(&peer.handle(Event::Tick, NOW + FETCH_TIMEOUT * round)).unwrap());
    }
    signers.sort_unstable();
    assert_eq!(signers, [0, 1, 2], "a signer that withholds does not stop us");
    let out = peer.handle(Event::Received(ValidatorIndex(2), wanted.clone()), NOW);
    assert_eq!(out, [Output::Store(wanted.clone()), Output::Arrived(wanted.id())], "in the journal first");
    assert!(peer.body(&wanted.id(), wanted.digest()).is_some());
    assert_eq!(peer.handle(Event::Tick, NOW * 100), []);
}

#[test]
fn a_wrong_answer_to_a_fetch_is_not_taken() {
    let wanted = batch(id(0, 1), 1);
    let mut peer = machine(3);
    peer.handle(Event::Needed(certificate(&wanted, &[0, 1, 2])), NOW);
    let wrong = batch(id(0, 1), 2);
    let out = peer.handle(Event::Received(ValidatorIndex(1), wrong.clone()), NOW);
    let refused = Refused::NotAsked(wanted.id(), ValidatorIndex(1));
    assert_eq!(out, [Output::Refused(refused)], "the liar, not the author");
    let out = peer.handle(Event::Received(ValidatorIndex(0), wrong), NOW);
    assert!(matches!(out[..], [Output::Refused(Refused::Equivocation { .. })]), "{out:?}");
    assert!(peer.body(&wanted.id(), wanted.digest()).is_none());
}

#[test]
fn a_batch_of_another_is_not_taken_unasked() {
    let mut peer = machine(1);
    let out = peer.handle(Event::Received(ValidatorIndex(2), batch(id(0, 1), 1)), NOW);
    assert_eq!(out, [Output::Refused(Refused::NotAsked(id(0, 1), ValidatorIndex(2)))]);
}

#[test]
fn memory_is_bounded_by_the_window() {
    let mut peer = machine(1);
    let out = peer.handle(Event::Received(ValidatorIndex(0), batch(id(0, WINDOW + 1), 1)), NOW);
    assert_eq!(out, [Output::Refused(Refused::OutsideWindow(id(0, WINDOW + 1)))]);
    peer.handle(Event::Ordered(id(0, 1)), NOW);
    let out = peer.handle(Event::Received(ValidatorIndex(0), batch(id(0, WINDOW + 1), 1)), NOW);
    assert!(matches!(out[..], [Output::Store(_)]), "the window has moved: {out:?}");
    let old = peer.handle(Event::Received(ValidatorIndex(0), batch(id(0, 1), 1)), NOW);
    assert_eq!(old, [Output::Refused(Refused::OutsideWindow(id(0, 1)))]);
}

#[test]
fn sealing_pauses_until_own_batches_are_ordered() {
    let mut author = machine(0);
    while author.may_seal(CHAIN) {
        let own = batch(author.next_own(CHAIN), 1);
        author.handle(Event::Sealed(own), NOW);
    }
    assert_eq!(author.next_own(CHAIN).sequence.0, OWN_UNORDERED_MAX as u64 + 1);
    author.handle(Event::Ordered(id(0, 1)), NOW);
    assert!(author.may_seal(CHAIN));
}

#[test]
fn what_a_peer_may_have_missed_is_sent_again() {
    let (mut author, own) = author();
    author.handle(acknowledged(1, acknowledge(1, &own)), NOW);
    assert_eq!(author.handle(Event::Tick, NOW), []);
    let resent = author.handle(Event::Tick, NOW + RESEND_AFTER);
    let batch_again = |peer| Output::Send(ValidatorIndex(peer), PeerMessage::Batch(own.bytes().clone()));
    assert_eq!(resent, [batch_again(2), batch_again(3)], "not to the one that has acknowledged");
    assert_eq!(author.handle(Event::Connected(ValidatorIndex(2)), NOW), [batch_again(2)]);
    author.handle(acknowledged(2, acknowledge(2, &own)), NOW);
    let out = author.handle(Event::Connected(ValidatorIndex(3)), NOW);
    assert!(matches!(out[..], [Output::Send(_, PeerMessage::Certificate(_))]), "{out:?}");
    author.handle(Event::Ordered(own.id()), NOW);
    assert_eq!(author.handle(Event::Connected(ValidatorIndex(3)), NOW), []);
}

#[test]
fn own_batches_survive_a_restart() {
    let (_, own) = author();
    let mut restarted = machine(0);
    restarted.restore(own.clone());
    assert_eq!(restarted.next_own(CHAIN).sequence, Sequence(2));
    let out = restarted.handle(Event::Connected(ValidatorIndex(1)), NOW);
    assert_eq!(out, [Output::Send(ValidatorIndex(1), PeerMessage::Batch(own.bytes().clone()))]);
    restarted.handle(Event::Tick, NOW);
    restarted.handle(acknowledged(1, acknowledge(1, &own)), NOW);
    let out = restarted.handle(acknowledged(2, acknowledge(2, &own)), NOW);
    assert!(out.contains(&Output::Available(own.id())), "our own word counts again: {out:?}");
}

#[test]
fn a_single_validator_is_its_own_quorum_also_after_a_restart() {
    let alone = || {
        let committee = Committee::new(&genesis(1), ValidatorIndex(0), seed(0), [9; 32]);
        Availability::new(committee, vec![CHAIN])
    };
    let mut author = alone();
    let own = batch(author.next_own(CHAIN), 1);
    author.handle(Event::Sealed(own.clone()), NOW);
    let out = author.handle(Event::Durable(own.id(), *own.digest()), NOW);
    assert!(out.contains(&Output::Available(own.id())), "{out:?}");
    let mut restarted = alone();
    restarted.restore(own.clone());
    let out = restarted.handle(Event::Tick, NOW);
    assert!(out.contains(&Output::Available(own.id())), "{out:?}");
}

#[test]
fn an_unknown_stream_is_refused() {
    let elsewhere = BatchId { chain: ChainId(9), author: ValidatorIndex(0), sequence: Sequence(1) };
    let out = machine(1).handle(Event::Received(ValidatorIndex(0), batch(elsewhere, 1)), NOW);
    assert_eq!(out, [Output::Refused(Refused::UnknownStream(elsewhere))]);
    let other = batch(id(0, 1), 1);
    assert_ne!(*other.digest(), Digest([0; 32]));
}
