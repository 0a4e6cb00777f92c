mod keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kernels::ed25519::{DecodedKey, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::execute::{Chains, StateWriter};
use crate::ingress::Source;
use crate::limits::DECODED_KEYS_MAX;
use crate::types::*;
use crate::wire::{Batch, BatchSection};

const NETWORK: Digest = Digest([0x42; 32]);
const AUTHOR: Source = Source::Peer(ValidatorIndex(2));

pub(crate) fn key(account: u64) -> SigningKey {
    SigningKey::from_seed([account as u8 + 1; 32])
}

fn chain(id: u32) -> ChainGenesis {
    let account = |i| AccountGenesis { public_key: key(i).public_key(), balance: 1000 };
    let accounts = (0..4).map(account).collect();
    ChainGenesis {
        id: ChainId(id),
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts,
    }
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
    Room { verifier: Verifier::new(NETWORK, chains, authors(), Arc::clone(&counter)), writer, counter }
}

impl Room {
    fn submit(&mut self, committed: u64, packets: &[Packet]) -> Vec<Option<Refusal>> {
        let job = Job::packets(1, PacketSlab::copy_from(packets));
        let checked = self.verifier.check(Height(committed), vec![job], [9; 32]).remove(0);
        let Checked::Packets(checked) = checked else { panic!("packets give packets") };
        assert_eq!(checked.len(), packets.len());
        for (verdict, packet) in checked.iter().zip(packets) {
            if let Ok(transaction) = verdict.verdict {
                assert_eq!(transaction.run().packets(), [*packet]);
            }
        }
        checked.iter().map(|checked| checked.verdict.err()).collect()
    }

    /// The refusals of a client's transactions, of whatever length.
    fn submit_runs(&mut self, committed: u64, packets: &[Packet]) -> Vec<Option<Refusal>> {
        let job = Job::packets(1, PacketSlab::copy_from(packets));
        let checked = self.verifier.check(Height(committed), vec![job], [9; 32]).remove(0);
        let Checked::Packets(checked) = checked else { panic!("packets give packets") };
        checked.refusals().to_vec()
    }

    fn batch(&mut self, chain: u32, packets: &[Packet]) -> Result<(), (u32, BatchFault)> {
        self.check(batch(chain, 1, packets))
    }

    fn check(&mut self, batch: Batch) -> Result<(), (u32, BatchFault)> {
        let checked =
            self.verifier.check(Height(0), vec![Job::batch(AUTHOR, batch.clone())], [9; 32]).remove(0);
        let Checked::Batch(checked) = checked else { panic!("a batch gives a batch") };
        checked
            .map(|checked| assert_eq!(*checked, batch))
            .map_err(|refusal| (refusal.position, refusal.fault))
    }
}

const SEALER: ValidatorIndex = ValidatorIndex(2);

fn author_key() -> SigningKey {
    SigningKey::from_seed([99; 32])
}

/// Three validators; the last one seals the batches here.
fn authors() -> Arc<[[u8; 32]]> {
    [key(50).public_key(), key(51).public_key(), author_key().public_key()].into()
}

fn batch(chain: u32, sequence: u64, packets: &[Packet]) -> Batch {
    sealed(&NETWORK, SEALER, &[(chain, packets)], sequence)
}

fn sealed(network: &Digest, author: ValidatorIndex, sections: &[(u32, &[Packet])], sequence: u64) -> Batch {
    let previous = match sequence {
        1 => Head::NONE,
        _ => Head { sequence: Sequence(sequence - 1), digest: Digest([9; 32]) },
    };
    let packets: Vec<_> = sections.iter().flat_map(|(_, packets)| *packets).copied().collect();
    let section = |(chain, packets): &(u32, &[Packet])| BatchSection {
        chain: ChainId(*chain),
        packets: packets.len() as u32,
    };
    let sections: Vec<_> = sections.iter().map(section).collect();
    Batch::seal(network, (Epoch(0), author), &previous, Height(0), &sections, packets.iter(), |message| {
        author_key().sign(message)
    })
}

/// The batch with a byte of its encoding changed.
fn tampered(batch: &Batch, at: usize) -> Batch {
    let mut bytes = batch.bytes().to_vec();
    bytes[at] ^= 1;
    Batch::decode(&NETWORK, bytes.into()).unwrap()
}

#[test]
fn a_batch_must_be_signed_by_its_author_and_have_the_body_that_its_header_names() {
    let mut room = room();
    let packets: Vec<_> = (0..20).map(|nonce| signed(good(nonce))).collect();
    let good = batch(3, 1, &packets);
    assert_eq!(room.check(tampered(&good, 100)), Err((20, BatchFault::BadAuthorSignature)));
    let last = good.bytes().len() - 1;
    assert_eq!(room.check(tampered(&good, last)), Err((0, BatchFault::WrongBody)));
    let in_name_of = |author| sealed(&NETWORK, ValidatorIndex(author), &[(3, &packets)], 1);
    assert_eq!(room.check(in_name_of(1)), Err((20, BatchFault::BadAuthorSignature)));
    assert_eq!(room.check(in_name_of(3)), Err((0, BatchFault::UnknownAuthor)));
    let elsewhere = sealed(&Digest([0x43; 32]), SEALER, &[(3, &packets)], 1);
    let elsewhere = Batch::decode(&NETWORK, elsewhere.bytes().clone()).unwrap();
    assert_eq!(room.check(elsewhere), Err((20, BatchFault::BadAuthorSignature)), "of another network");
    assert_eq!(room.counter.load(Relaxed), 3 * 21, "the author's signature is checked with the clients'");
    assert_eq!(room.check(good), Ok(()));
}

#[test]
fn positions_count_over_all_sections_and_each_packet_belongs_to_its_section() {
    let mut room = room();
    let threes: Vec<_> = (0..3).map(|nonce| signed(good(nonce))).collect();
    let eights: Vec<_> = (0..3).map(|nonce| signed(Transfer { chain: ChainId(8), ..good(nonce) })).collect();
    let check =
        |room: &mut Room, sections: &[(u32, &[Packet])]| room.check(sealed(&NETWORK, SEALER, sections, 1));
    assert_eq!(check(&mut room, &[(3, &threes), (8, &eights)]), Ok(()));
    assert_eq!(check(&mut room, &[(3, &threes), (9, &eights)]), Err((3, BatchFault::WrongChain)));
    assert_eq!(check(&mut room, &[(3, &threes[..2]), (8, &threes[2..])]), Err((2, BatchFault::WrongChain)));
    let mut forged_last = eights.clone();
    forged_last[1].0[100] ^= 1;
    assert_eq!(check(&mut room, &[(3, &threes), (8, &forged_last)]), Err((4, BatchFault::BadSignature)));
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
    room.writer.execute(ChainTime::new(Height(1), 0), &[], &[Verified::assumed(batch(3, 1, &[packet]))], &[]);
    assert_eq!(room.submit(1, &[packet]), [Some(Refusal::Replayed)]);
}

#[test]
fn a_batch_is_good_as_a_whole_or_its_first_fault_is_named() {
    let mut room = room();
    let good_ones: Vec<_> = (0..20).map(|nonce| signed(good(nonce))).collect();
    assert_eq!(room.batch(3, &good_ones), Ok(()));
    assert_eq!(room.counter.load(Relaxed), 21, "the author's, too");

    let with = |position: usize, packet: Packet| {
        let mut packets = good_ones.clone();
        packets[position] = packet;
        packets
    };
    let mut malformed = good_ones[5];
    malformed.0[0] = 9;
    assert_eq!(room.batch(3, &with(5, malformed)), Err((5, BatchFault::Malformed)));
    let other_chain = signed(Transfer { chain: ChainId(8), ..good(5) });
    assert_eq!(room.batch(3, &with(6, other_chain)), Err((6, BatchFault::WrongChain)));
    assert_eq!(room.batch(4, &good_ones), Err((0, BatchFault::WrongChain)));
    let stranger = signed(Transfer { debit: AccountId(99), ..good(5) });
    assert_eq!(room.batch(3, &with(7, stranger)), Err((7, BatchFault::UnknownAccount)));
    let old_key = signed(Transfer { key_version: 2, ..good(5) });
    assert_eq!(room.batch(3, &with(8, old_key)), Err((8, BatchFault::WrongKeyVersion)));
    assert_eq!(room.counter.load(Relaxed), 21, "no signature is checked in a batch that is refused cheaply");
    assert_eq!(room.batch(3, &with(19, forged(good(19)))), Err((19, BatchFault::BadSignature)));
    assert_eq!(room.counter.load(Relaxed), 42);
}

#[test]
fn a_payment_to_another_chain_needs_a_chain_of_the_same_asset() {
    let gold = ChainGenesis { asset: "GOLD".parse().unwrap(), ..chain(9) };
    let chains = [chain(3), chain(8), gold].map(|chain| Arc::clone(StateWriter::genesis(&chain).state()));
    let verifier = Verifier::new(NETWORK, Chains::new(chains), authors(), Arc::default());
    let mut room = Room { verifier, ..room() };
    let to = |chain, account| {
        let (credit_chain, credit) = (Some(ChainId(chain)), AccountId(account));
        signed(Transfer { credit_chain, credit, ..good(0) })
    };
    let cases = [
        (to(8, 1), None),
        // Whether the account exists is for the other chain to say.
        (to(8, 77), None),
        (to(9, 1), Some(Refusal::OtherAsset)),
        (to(4, 1), Some(Refusal::UnknownCreditChain)),
        (to(3, 1), Some(Refusal::Malformed)),
    ];
    let packets = cases.map(|(packet, _)| packet);
    assert_eq!(room.submit(0, &packets), cases.map(|(_, refusal)| refusal));
    // A batch with any of the well-formed ones is valid: what they come to is an outcome of execution.
    assert_eq!(room.batch(3, &packets[..4]), Ok(()));
    assert_eq!(room.batch(3, &packets), Err((4, BatchFault::Malformed)));
}

#[test]
fn commands_need_their_role_and_frozen_accounts_are_refused_before_they_are_sealed() {
    let roles = Roles {
        issuer: Some(AccountId(1)),
        issuance_cap: 9,
        freezer: Some(AccountId(2)),
        ..Roles::default()
    };
    let mut writer = StateWriter::genesis(&ChainGenesis { roles, ..chain(3) });
    let other = StateWriter::genesis(&chain(8));
    let chains = Chains::new([Arc::clone(writer.state()), Arc::clone(other.state())]);
    let verifier = Verifier::new(NETWORK, chains, authors(), Arc::default());
    let mut room = Room { verifier, ..room() };
    let ordered = |authority: u64, action, nonce| {
        let command = crate::execute::tests::command(authority, action, nonce);
        Command { chain: ChainId(3), ..command }.sign(&NETWORK, |message| key(authority).sign(message))
    };
    let issue = |to| Action::Issue { to: AccountId(to), amount: 1 };
    let freeze = |account, frozen| Action::Freeze { account: AccountId(account), frozen };
    let pay = |debit, credit, nonce| {
        let (debit, credit) = (AccountId(debit), AccountId(credit));
        signed(Transfer { debit, credit, ..good(nonce) })
    };
    let across = |debit| {
        let (credit_chain, debit) = (Some(ChainId(8)), AccountId(debit));
        signed(Transfer { credit_chain, debit, ..good(9) })
    };
    let cases = [
        (ordered(1, issue(0), 5), None),
        (ordered(1, issue(77), 5), Some(Refusal::UnknownAccount)),
        (ordered(0, issue(0), 5), Some(Refusal::RoleNotHeld)),
        (ordered(1, Action::Burn { amount: 1 }, 6), None),
        (ordered(1, freeze(0, Frozen::BOTH), 7), Some(Refusal::RoleNotHeld)),
        (ordered(2, freeze(0, Frozen::BOTH), 5), None),
        (ordered(2, freeze(77, Frozen::BOTH), 5), Some(Refusal::UnknownAccount)),
        (pay(0, 3, 8), None),
        (across(0), None),
    ];
    let packets = cases.map(|(packet, _)| packet);
    assert_eq!(room.submit(0, &packets), cases.map(|(_, refusal)| refusal));
    assert_eq!(
        room.batch(3, &packets[..3]),
        Ok(()),
        "what is refused here would fail, and a batch may hold it"
    );

    let freezing = [ordered(2, freeze(0, Frozen::DEBIT), 0), ordered(2, freeze(3, Frozen::CREDIT), 1)];
    let delta = writer.execute(
        ChainTime::new(Height(1), 0),
        &[],
        &[Verified::assumed(batch(3, 1, &freezing))],
        &[[0; 32]; 2],
    );
    assert_eq!(delta.outcomes(), [crate::types::Outcome::Applied; 2]);
    let cases = [
        (pay(0, 1, 8), Some(Refusal::Frozen)),
        (across(0), Some(Refusal::Frozen)),
        (pay(1, 3, 8), Some(Refusal::Frozen)),
        (pay(3, 1, 8), None),
        (pay(1, 0, 8), None),
        (across(3), None),
        (pay(1, 77, 8), Some(Refusal::UnknownAccount)),
    ];
    assert_eq!(room.submit(1, &cases.map(|(packet, _)| packet)), cases.map(|(_, refusal)| refusal));

    // What was executed before the freeze is told as such: its client may ask what became of it.
    let paid = [pay(1, 3, 20), ordered(2, freeze(1, Frozen::BOTH), 2)];
    let delta = writer.execute(
        ChainTime::new(Height(2), 0),
        &[],
        &[Verified::assumed(batch(3, 2, &paid))],
        &[[0; 32]; 2],
    );
    assert_eq!(delta.outcomes()[1], crate::types::Outcome::Applied);
    let replayed = [Some(Refusal::Replayed), Some(Refusal::Replayed)];
    assert_eq!(room.submit(2, &[paid[0], freezing[0]]), replayed);
}

#[test]
fn a_key_that_is_no_point_has_no_good_signature_and_does_not_spoil_the_others() {
    let no_point = (0..=255).map(|byte| [byte; 32]).find(|key| !DecodedKey::new(key).is_valid()).unwrap();
    let mut genesis = chain(3);
    genesis.accounts[1].public_key = no_point;
    let chains = Chains::new([Arc::clone(StateWriter::genesis(&genesis).state())]);
    let mut room = Room { verifier: Verifier::new(NETWORK, chains, authors(), Arc::default()), ..room() };
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
    let mut room = Room { verifier: Verifier::new(NETWORK, chains, authors(), Arc::default()), ..room() };
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

/// A round of 4,096 signatures, from `sources` of equal size, of which the first `bad_sources` forge `bad` in all.
fn round_of(sources: usize, bad_sources: usize, bad: usize) -> Vec<Job> {
    let (good, forged) = (signed(good(0)), forged(good(0)));
    let (each, bad_each) = (4096 / sources, bad / bad_sources);
    let job = |source: usize| {
        // The last are the dearest: the search comes to them when it has seen all others.
        let forges = if source >= sources - bad_sources { bad_each } else { 0 };
        // Spread evenly, as is hardest for a search.
        let spread = each.checked_div(forges).unwrap_or(usize::MAX);
        let packets: Vec<_> =
            (0..each).map(|at| if forges > 0 && at % spread == 0 { forged } else { good }).collect();
        Job::packets(source as u64, PacketSlab::copy_from(&packets))
    };
    (0..sources).map(job).collect()
}

/// How many signatures were bad in these answers.
fn bad_in(answers: &[Checked]) -> u32 {
    let bad = |checked: &Checked| match checked {
        Checked::Packets(packets) => packets.tally().bad,
        Checked::Batch(batch) => batch.as_ref().map_or_else(|refusal| refusal.tally.bad, |_| 0),
    };
    answers.iter().map(bad).sum()
}

#[test]
fn one_bad_source_costs_the_others_less_than_twice_and_only_once() {
    for bad in [8, 64, 512] {
        let mut room = room();
        let answers = room.verifier.check(Height(0), round_of(8, 1, bad), [3; 32]);
        assert_eq!(bad_in(&answers), bad as u32);
        let first = room.verifier.rechecked();
        // The other 3,584 once more at the very most, and its own 512 as often as the search for all that is bad takes.
        assert!(first < 3584 + 4 * 512, "{bad} bad: {first}");
        let answers = room.verifier.check(Height(0), round_of(8, 1, bad), [4; 32]);
        assert_eq!(bad_in(&answers), bad as u32);
        let second = room.verifier.rechecked() - first;
        assert!(
            second <= 4 * 512,
            "{bad} bad: it is a suspect, and nobody else's signature is checked again: {second}"
        );
        if bad > 8 {
            assert_eq!(second, 0, "{bad} bad: its own are checked one by one");
        }
    }
}

#[test]
fn many_bad_sources_cost_the_others_less_than_twice_and_only_once() {
    for bad in [8, 64, 512] {
        let mut room = room();
        let bad_sources = bad.min(64);
        let answers = room.verifier.check(Height(0), round_of(128, bad_sources, bad), [3; 32]);
        assert_eq!(bad_in(&answers), bad as u32);
        let first = room.verifier.rechecked();
        let of_bad = 32 * bad_sources.next_multiple_of(8) as u64;
        assert!(first <= 4096 + 3 * of_bad, "{bad} bad: {first}");
        room.verifier.check(Height(0), round_of(128, bad_sources, bad), [4; 32]);
        assert!(room.verifier.rechecked() - first <= 4 * of_bad, "{bad} bad");
    }
}

#[test]
fn a_suspect_is_forgiven_after_enough_good_signatures_and_the_table_is_bounded() {
    use kernels::ed25519::Company;
    let suspects = suspects::Suspects::default();
    let (few, many, all_good) = (
        Tally { signatures: 4096, bad: 1, refused: 1 },
        Tally { signatures: 64, bad: 2, refused: 2 },
        Tally { signatures: suspects::FORGIVEN_AFTER as u32 - 1, bad: 0, refused: 0 },
    );
    let client = Source::Connection;
    suspects.note(client(1), all_good);
    assert_eq!((suspects.company(client(1)), suspects.len()), (Company::Shared, 0));
    suspects.note(client(1), few);
    suspects.note(AUTHOR, many);
    assert_eq!([client(1), AUTHOR].map(|source| suspects.company(source)), [Company::Apart, Company::Alone]);
    suspects.note(client(1), all_good);
    assert_eq!(suspects.company(client(1)), Company::Apart);
    suspects.note(client(1), few);
    suspects.note(client(1), all_good);
    assert_eq!(suspects.company(client(1)), Company::Apart, "in a row");
    suspects.note(client(1), Tally { signatures: 1, bad: 0, refused: 0 });
    assert_eq!((suspects.company(client(1)), suspects.len()), (Company::Shared, 1));

    for connection in 0..suspects::SUSPECTS_MAX as u64 {
        suspects.note(client(connection), few);
    }
    assert_eq!(suspects.len(), suspects::SUSPECTS_MAX);
    assert_eq!(suspects.company(AUTHOR), Company::Shared, "the oldest goes first");
    suspects.note(client(0), few);
    suspects.note(AUTHOR, few);
    assert_eq!(suspects.company(client(0)), Company::Apart, "it was bad again just now");
    assert_eq!(suspects.company(client(1)), Company::Shared);
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
            .enumerate()
            .map(|(at, (as_batch, kinds))| {
                let packets: Vec<_> = kinds.iter().map(|kind| packet(*kind)).collect();
                // Sources repeat, and not in order.
                if *as_batch {
                    Job::batch(Source::Peer(ValidatorIndex(at as u16 % 3)), batch(3, 1, &packets))
                } else {
                    Job::packets(at as u64 % 3, PacketSlab::copy_from(&packets))
                }
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

/// Linked transfers, signed with the key of the account so many after the payer.
fn signed_linked(after: u64, payments: &[(u64, u64)], nonce: u64) -> Transaction {
    let transaction = crate::execute::tests::linked_as(&good(nonce), payments, b"memo");
    let signer = key(transaction.debit().0 + after);
    let mut bytes = transaction.bytes().to_vec();
    bytes[64..128].copy_from_slice(&signer.sign(&transaction.run().message(&NETWORK)));
    Transaction::from_bytes(&bytes).unwrap()
}

#[test]
fn envelopes_are_judged_whole_wherever_they_stand() {
    let mut room = room();
    let many = vec![(0, 1); 40];
    let first = signed_linked(0, &many, 10);
    let forged = signed_linked(1, &many, 11);
    let mut spoiled = signed_linked(0, &many, 12).bytes().to_vec();
    spoiled[128 + 4] ^= 1;
    let spoiled = Transaction::from_bytes(&spoiled).unwrap();
    let unknown = signed_linked(0, &[(0, 1), (1 << 20, 1)], 13);
    let mut of_no_kind = signed_linked(0, &[(0, 1)], 14).bytes().to_vec();
    of_no_kind[0] = 99;
    let of_no_kind = Packet::slice(&of_no_kind);
    let cut_off = &first.run().packets()[..3];
    let packets = [
        &[signed(good(0))],
        first.run().packets(),
        forged.run().packets(),
        &[signed(good(1))],
        spoiled.run().packets(),
        unknown.run().packets(),
        of_no_kind,
        &[signed(good(2))],
        cut_off,
    ]
    .concat();
    let job = Job::packets(1, PacketSlab::copy_from(&packets));
    let Checked::Packets(checked) = room.verifier.check(Height(0), vec![job], [9; 32]).remove(0) else {
        panic!("packets give packets")
    };
    use Refusal::*;
    let expected = [
        None,
        None,
        Some(BadSignature),
        None,
        Some(BadSignature),
        Some(UnknownAccount),
        Some(Malformed),
        None,
        Some(Malformed),
    ];
    assert_eq!(checked.refusals(), expected);
    assert_eq!((checked.tally().signatures, checked.tally().bad), (6, 2));
    let mut place = 0;
    for one in checked.iter() {
        assert_eq!(one.place, place, "a transaction has the place of its first packet");
        place += one.run.packets().len();
        if let Ok(evidence) = one.verdict {
            assert_eq!(evidence.run(), one.run);
        }
    }
    assert_eq!(place, packets.len());
}

#[test]
fn a_batch_with_envelopes_is_good_as_a_whole_or_not_at_all() {
    let mut room = room();
    let linked = |nonce| signed_linked(0, &vec![(0, 1); 20], nonce);
    let packets = [&[signed(good(0))], linked(1).run().packets(), linked(2).run().packets()].concat();
    assert_eq!(room.check(batch(3, 1, &packets)), Ok(()));
    assert_eq!(
        room.check(batch(3, 1, &packets[..packets.len() - 1])),
        Err((2, BatchFault::Malformed)),
        "cut off"
    );
    let forged = [&packets[..], signed_linked(1, &[(0, 1)], 3).run().packets()].concat();
    assert_eq!(room.check(batch(3, 1, &forged)), Err((3, BatchFault::BadSignature)));
    // A section ends with its chain: an envelope does not reach into the next one.
    let eights = [signed(Transfer { chain: ChainId(8), ..good(0) })];
    let reaching = sealed(&NETWORK, SEALER, &[(3, &packets[..2]), (8, &eights)], 1);
    assert_eq!(room.check(reaching), Err((1, BatchFault::Malformed)));
    let sealed = Verified::seal(
        &NETWORK,
        (Epoch(0), SEALER),
        &Head::NONE,
        Height(0),
        &[&Verified::assumed(linked(1)), &Verified::assumed(signed(good(4)).run().transaction().unwrap())],
        |message| author_key().sign(message),
    );
    assert_eq!((sealed.transactions(), sealed.packets().len()), (2, linked(1).run().packets().len() + 1));
    assert_eq!(room.check(sealed.into_inner()), Ok(()));
}

/// Accounts of these numbers, opened by account 0 of chain 3 and signed for as they must be.
fn signed_opening(numbers: &[u64], nonce: u64) -> Transaction {
    let encode = |number: &u64| {
        let key = key(*number);
        let message = possession_message(&NETWORK, ChainId(3), AccountId(0), &key.public_key());
        NewAccount { key: &key.public_key(), possession: &key.sign(&message) }.encode()
    };
    let encoded: Vec<_> = numbers.iter().map(encode).collect();
    let Transfer { chain, key_version, reference, expiry, .. } = good(nonce);
    let accounts = NewAccounts::of(&encoded);
    let opening = Opening { chain, key_version, reference, registrar: AccountId(0), accounts, nonce, expiry };
    opening.sign(&NETWORK, |message| key(0).sign(message)).unwrap()
}

/// A room whose chain 3 lets every account open others.
fn open_room() -> Room {
    let roles = Roles { registrar: Registrar::Anyone, accounts_cap: 100, ..Roles::default() };
    let writer = StateWriter::genesis(&ChainGenesis { roles, ..chain(3) });
    let counter = Arc::new(AtomicU64::new(0));
    let chains = Chains::new([Arc::clone(writer.state())]);
    Room { verifier: Verifier::new(NETWORK, chains, authors(), Arc::clone(&counter)), writer, counter }
}

#[test]
fn who_opens_an_account_shows_that_its_key_wants_it() {
    let mut room = open_room();
    let good_one = signed_opening(&[40, 41, 42], 0);
    let spoil = |at: usize| {
        let mut bytes = good_one.bytes().to_vec();
        bytes[at] ^= 1;
        let unsigned = Transaction::from_bytes(&bytes).unwrap();
        // The registrar signs what it is given.
        let signature = key(0).sign(&unsigned.run().message(&NETWORK));
        bytes[64..128].copy_from_slice(&signature);
        Transaction::from_bytes(&bytes).unwrap()
    };
    // The key of the second account, and the last byte of its possession.
    for at in [128 + 96, 128 + 96 + 95] {
        let spoiled = spoil(at);
        assert_eq!(room.submit_runs(0, spoiled.run().packets()), [Some(Refusal::BadSignature)], "byte {at}");
        let packets = [&[signed(good(0))], spoiled.run().packets(), &[signed(good(1))]].concat();
        assert_eq!(room.check(batch(3, 1, &packets)), Err((1, BatchFault::BadSignature)), "byte {at}");
    }
    assert_eq!(room.submit_runs(0, good_one.run().packets()), [None]);
    let counted = room.counter.load(Relaxed);
    let packets = [&[signed(good(0))], good_one.run().packets(), &[signed(good(1))]].concat();
    assert_eq!(room.check(batch(3, 1, &packets)), Ok(()));
    assert_eq!(
        room.counter.load(Relaxed) - counted,
        1 + 4 + 1 + 1,
        "three keys, three accounts and the author"
    );
    // Nobody opens accounts of a chain without a registrar.
    let mut closed = self::room();
    assert_eq!(closed.submit_runs(0, good_one.run().packets()), [Some(Refusal::RoleNotHeld)]);
}

#[test]
fn an_account_signs_from_the_height_on_that_opened_it() {
    let mut room = open_room();
    let opening = signed_opening(&[40], 0);
    let id = opening.id(&NETWORK).0;
    let opened = AccountId(4);
    let transfer = Transfer { debit: opened, credit: AccountId(0), ..good(0) };
    let pay = transfer.sign(&NETWORK, |message| key(40).sign(message));
    let as_of = |height| {
        let sections = [BatchSection { chain: ChainId(3), packets: 1 }];
        let sign = |message: &[u8]| author_key().sign(message);
        let of = (Epoch(0), SEALER);
        Batch::seal(&NETWORK, of, &Head::NONE, Height(height), &sections, [&pay].into_iter(), sign)
    };
    assert_eq!(room.check(as_of(1)), Err((0, BatchFault::UnknownAccount)), "nobody has opened it");
    let block = batch(3, 1, opening.run().packets());
    room.writer.execute(ChainTime::new(Height(1), 0), &[], &[Verified::assumed(block)], &[id]);
    assert_eq!(room.writer.state().accounts(), 5);
    // All validators say the same of a batch, however far each has executed.
    assert_eq!(room.check(as_of(0)), Err((0, BatchFault::UnknownAccount)));
    assert_eq!(room.check(as_of(1)), Ok(()));
    // A client's transaction is taken when the opening is on this validator's disk.
    assert_eq!(room.submit_runs(0, &[pay]), [Some(Refusal::UnknownAccount)]);
    assert_eq!(room.submit_runs(1, &[pay]), [None]);
    let with_another_key = transfer.sign(&NETWORK, |message| key(41).sign(message));
    assert_eq!(room.submit_runs(1, &[with_another_key]), [Some(Refusal::BadSignature)]);
}
