use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kernels::ed25519::{DecodedKey, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::execute::{Chains, StateWriter};
use crate::limits::DECODED_KEYS_MAX;
use crate::types::*;
use crate::wire::Batch;

const NETWORK: Digest = Digest([0x42; 32]);

pub(crate) fn key(account: u64) -> SigningKey {
    SigningKey::from_seed([account as u8 + 1; 32])
}

fn chain(id: u32) -> ChainGenesis {
    let account = |i| AccountGenesis { public_key: key(i).public_key(), balance: 1000 };
    let accounts = (0..4).map(account).collect();
    ChainGenesis { id: ChainId(id), kind: ChainKind::Transfers, suite: CryptoSuite::Ed25519, accounts }
}

fn good(nonce: u64) -> Transfer {
    Transfer { chain: ChainId(3), ..crate::execute::tests::transfer(nonce % 4, (nonce + 1) % 4, 1, nonce) }
}

fn signed(transfer: Transfer) -> Packet {
    let key = key(transfer.debit.0);
    transfer.sign(&NETWORK, |message| key.sign(message))
}

fn forged(transfer: Transfer) -> Packet {
    let mut packet = signed(transfer);
    packet.0[100] ^= 1;
    packet
}

struct Room {
    verifier: Verifier,
    writer: StateWriter,
    counter: Arc<AtomicU64>,
}

fn room() -> Room {
    let (writer, other) = (StateWriter::genesis(&chain(3)), StateWriter::genesis(&chain(8)));
    let counter = Arc::new(AtomicU64::new(0));
    let chains = Chains::new([Arc::clone(writer.state()), Arc::clone(other.state())]);
    Room { verifier: Verifier::new(NETWORK, chains, Arc::clone(&counter)), writer, counter }
}

impl Room {
    fn submit(&mut self, committed: u64, packets: &[Packet]) -> Vec<Option<Refusal>> {
        let job = Job::Packets(PacketSlab::copy_from(packets));
        let checked = self.verifier.check(Height(committed), vec![job], [9; 32]).remove(0);
        let Checked::Packets(checked) = checked else { panic!("packets give packets") };
        assert_eq!(checked.len(), packets.len());
        for (verdict, packet) in checked.iter().zip(packets) {
            if let Ok(transaction) = verdict {
                assert_eq!(transaction.packet(), packet);
            }
        }
        checked.iter().map(Result::err).collect()
    }

    fn batch(&mut self, chain: u32, packets: &[Packet]) -> Result<(), (u32, BatchFault)> {
        let job = Job::Batch(batch(chain, 1, packets));
        let checked = self.verifier.check(Height(0), vec![job], [9; 32]).remove(0);
        let Checked::Batch(checked) = checked else { panic!("a batch gives a batch") };
        checked
            .map(|batch| assert_eq!(batch.packets(), packets))
            .map_err(|refusal| (refusal.position, refusal.fault))
    }
}

fn batch(chain: u32, sequence: u64, packets: &[Packet]) -> Batch {
    let id = BatchId { chain: ChainId(chain), author: ValidatorIndex(2), sequence: Sequence(sequence) };
    Batch::seal(id, packets.iter())
}

#[test]
fn every_refusal_has_its_cause_and_only_signatures_that_matter_are_checked() {
    let mut room = room();
    let mut malformed = signed(good(0));
    malformed.0[2] = 1;
    let cases = [
        (malformed, Some(Refusal::Malformed)),
        (signed(Transfer { chain: ChainId(4), ..good(0) }), Some(Refusal::WrongChain)),
        (signed(Transfer { expiry: Height(10), ..good(0) }), Some(Refusal::Expired)),
        (signed(Transfer { expiry: Height(11), ..good(0) }), None),
        (signed(Transfer { debit: AccountId(4), ..good(0) }), Some(Refusal::UnknownAccount)),
        (signed(Transfer { credit: AccountId(4), ..good(0) }), Some(Refusal::UnknownAccount)),
        (signed(Transfer { key_version: 0, ..good(0) }), Some(Refusal::WrongKeyVersion)),
        (signed(Transfer { nonce: 128, ..good(0) }), Some(Refusal::NonceTooFar)),
        (signed(Transfer { nonce: 127, ..good(0) }), None),
        (signed(Transfer { chain: ChainId(8), ..good(0) }), None),
        (forged(good(0)), Some(Refusal::BadSignature)),
        (good(0).sign(&Digest([0x43; 32]), |message| key(0).sign(message)), Some(Refusal::BadSignature)),
        (good(0).sign(&NETWORK, |message| key(1).sign(message)), Some(Refusal::BadSignature)),
        (signed(good(0)), None),
    ];
    let packets: Vec<_> = cases.iter().map(|case| case.0).collect();
    let expected: Vec<_> = cases.iter().map(|case| case.1).collect();
    assert_eq!(room.submit(10, &packets), expected);
    assert_eq!(room.counter.load(Relaxed), 7, "four good ones and three forged ones");
    for (packet, expected) in cases {
        assert_eq!(room.submit(10, &[packet]), [expected], "alone as in company");
    }
}

#[test]
fn a_used_nonce_is_refused_once_its_block_is_executed() {
    let mut room = room();
    let packet = signed(good(0));
    assert_eq!(room.submit(0, &[packet]), [None]);
    room.writer.execute(Height(1), &[Verified::assumed(batch(3, 1, &[packet]))]);
    assert_eq!(room.submit(1, &[packet]), [Some(Refusal::Replayed)]);
}

#[test]
fn a_batch_is_good_as_a_whole_or_its_first_fault_is_named() {
    let mut room = room();
    let good_ones: Vec<_> = (0..20).map(|nonce| signed(good(nonce))).collect();
    assert_eq!(room.batch(3, &good_ones), Ok(()));
    assert_eq!(room.counter.load(Relaxed), 20);

    let with = |position: usize, packet: Packet| {
        let mut packets = good_ones.clone();
        packets[position] = packet;
        packets
    };
    let mut malformed = good_ones[5];
    malformed.0[0] = 2;
    assert_eq!(room.batch(3, &with(5, malformed)), Err((5, BatchFault::Malformed)));
    let other_chain = signed(Transfer { chain: ChainId(8), ..good(5) });
    assert_eq!(room.batch(3, &with(6, other_chain)), Err((6, BatchFault::WrongChain)));
    assert_eq!(room.batch(4, &good_ones), Err((0, BatchFault::WrongChain)));
    let stranger = signed(Transfer { debit: AccountId(99), ..good(5) });
    assert_eq!(room.batch(3, &with(7, stranger)), Err((7, BatchFault::UnknownAccount)));
    let old_key = signed(Transfer { key_version: 2, ..good(5) });
    assert_eq!(room.batch(3, &with(8, old_key)), Err((8, BatchFault::WrongKeyVersion)));
    assert_eq!(room.counter.load(Relaxed), 20, "no signature is checked in a batch that is refused cheaply");
    assert_eq!(room.batch(3, &with(19, forged(good(19)))), Err((19, BatchFault::BadSignature)));
    assert_eq!(room.counter.load(Relaxed), 40);
}

#[test]
fn a_batch_that_comes_again_is_not_checked_again_unless_a_byte_of_it_differs() {
    let mut room = room();
    let packets: Vec<_> = (0..20).map(|nonce| signed(good(nonce))).collect();
    assert_eq!(room.batch(3, &packets), Ok(()));
    assert_eq!(room.batch(3, &packets), Ok(()));
    assert_eq!(room.counter.load(Relaxed), 20);
    let mut other_thread = room.verifier.clone();
    other_thread.check(Height(0), vec![Job::Batch(batch(3, 1, &packets))], [9; 32]);
    assert_eq!(room.counter.load(Relaxed), 20, "what one thread has checked, all know");

    let mut tampered = packets.clone();
    tampered[7] = forged(good(7));
    assert_eq!(room.batch(3, &tampered), Err((7, BatchFault::BadSignature)));
    assert_eq!(room.batch(3, &tampered), Err((7, BatchFault::BadSignature)), "a bad one is never remembered");
    assert_eq!(room.counter.load(Relaxed), 60);
}

#[test]
fn the_memory_of_good_batches_is_bounded_and_the_oldest_go_first() {
    let batches: Vec<_> =
        (1..=4).map(|sequence| Verified::assumed(batch(3, sequence, &[signed(good(0))]))).collect();
    let memory = memory::Memory::new(2 * batches[0].bytes().len());
    let known = || batches.iter().map(|batch| memory.recall(batch.digest()).is_some()).collect::<Vec<_>>();
    memory.note(&batches[0]);
    memory.note(&batches[0]);
    memory.note(&batches[1]);
    assert_eq!(known(), [true, true, false, false], "the same one twice takes its room once");
    memory.note(&batches[2]);
    assert_eq!(known(), [false, true, true, false]);
    memory.note(&batches[3]);
    assert_eq!(known(), [false, false, true, true]);
    assert!(memory::Memory::new(0).recall(batches[0].digest()).is_none());
}

#[test]
fn a_key_that_is_no_point_has_no_good_signature_and_does_not_spoil_the_others() {
    let no_point = (0..=255).map(|byte| [byte; 32]).find(|key| !DecodedKey::new(key).is_valid()).unwrap();
    let mut genesis = chain(3);
    genesis.accounts[1].public_key = no_point;
    let chains = Chains::new([Arc::clone(StateWriter::genesis(&genesis).state())]);
    let mut room = Room { verifier: Verifier::new(NETWORK, chains, Arc::default()), ..room() };
    let packets: Vec<_> = (0..40).map(|nonce| signed(good(nonce))).collect();
    let expected = packets.iter().map(|packet| (packet.debit().0 == 1).then_some(Refusal::BadSignature));
    assert_eq!(room.submit(0, &packets), expected.collect::<Vec<_>>());
}

#[test]
fn a_chain_with_too_many_accounts_for_decoded_keys_gets_the_same_verdicts_in_any_company() {
    let mut large = chain(3);
    let other = large.accounts[3];
    large.accounts.resize(DECODED_KEYS_MAX + 1, other);
    let (large, small) = (StateWriter::genesis(&large), StateWriter::genesis(&chain(8)));
    let decoded = |writer: &StateWriter| writer.state().key(AccountId(0)).unwrap().decoded.is_some();
    assert_eq!((decoded(&large), decoded(&small)), (false, true));
    let chains = Chains::new([Arc::clone(large.state()), Arc::clone(small.state())]);
    let mut room = Room { verifier: Verifier::new(NETWORK, chains, Arc::default()), ..room() };
    let packets: Vec<_> = (0..40)
        .map(|nonce| Transfer { chain: ChainId(if nonce % 2 == 0 { 3 } else { 8 }), ..good(nonce) })
        .map(|transfer| if transfer.nonce % 7 == 0 { forged(transfer) } else { signed(transfer) })
        .collect();
    let expected = (0..40).map(|nonce| (nonce % 7 == 0).then_some(Refusal::BadSignature));
    assert_eq!(room.submit(0, &packets), expected.collect::<Vec<_>>());
}

#[test]
fn what_execution_must_judge_does_not_refuse_a_batch() {
    let mut room = room();
    let packets = [
        signed(Transfer { expiry: Height(0), ..good(0) }),
        signed(Transfer { nonce: 1 << 40, ..good(0) }),
        signed(Transfer { credit: AccountId(77), ..good(0) }),
        signed(Transfer { amount: u64::MAX, ..good(0) }),
    ];
    assert_eq!(room.batch(3, &packets), Ok(()));
}

#[test]
fn nothing_to_check_is_no_trouble() {
    let mut room = room();
    assert!(room.verifier.check(Height(0), vec![], [0; 32]).is_empty());
    assert!(room.submit(0, &[]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Jobs of every kind in one round get what they would get alone.
    #[test]
    fn neighbours_do_not_matter(kinds in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0..12_u8, 1..6)), 1..8)) {
        let packet = |kind: u8| match kind {
            0 => forged(good(3)),
            1 => signed(Transfer { chain: ChainId(4), ..good(0) }),
            2 => signed(Transfer { nonce: 500, ..good(0) }),
            nonce => signed(good(u64::from(nonce))),
        };
        let jobs: Vec<Job> = kinds
            .iter()
            .map(|(as_batch, kinds)| {
                let packets: Vec<_> = kinds.iter().map(|kind| packet(*kind)).collect();
                if *as_batch { Job::Batch(batch(3, 1, &packets)) } else { Job::Packets(PacketSlab::copy_from(&packets)) }
            })
            .collect();
        let mut room = room();
        let together = room.verifier.check(Height(0), jobs.clone(), [1; 32]);
        for (job, together) in jobs.into_iter().zip(together) {
            let alone = room.verifier.check(Height(0), vec![job], [2; 32]).remove(0);
            match (alone, together) {
                (Checked::Packets(a), Checked::Packets(b)) => prop_assert_eq!(a.refusals(), b.refusals()),
                (Checked::Batch(a), Checked::Batch(b)) => prop_assert_eq!(a, b),
                _ => prop_assert!(false, "answers come in the order of the jobs"),
            }
        }
    }
}
