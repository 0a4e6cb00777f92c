//! What becomes of each transaction of this kind, and their encodings.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::execute::oracle::Oracle;
use crate::execute::tests::{any_transfer, both, chain_of, command, opening_as, transfer};
use crate::execute::{Delta, Row, StateWriter};
use crate::limits::{ATTESTATIONS_MAX, DATA_BYTES_MAX};
use crate::types::*;

/// A chain with so many accounts, of which account 2 may freeze and account 3 open 6 more. It has room for 12
/// attestations.
pub(crate) fn register_chain(accounts: usize) -> ChainGenesis {
    let roles = Roles {
        freezer: Some(AccountId(2)),
        registrar: Registrar::Account(AccountId(3)),
        accounts_cap: accounts as u64 + 6,
        attestations_cap: 12,
        windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
        ..Roles::default()
    };
    let (kind, asset) = (ChainKind::Attestations, Asset::NONE);
    ChainGenesis { kind, asset, roles, ..chain_of(&vec![0; accounts]) }
}

/// A fingerprint for each byte but 0.
pub(crate) fn print(of: u8) -> Fingerprint {
    Fingerprint(std::array::from_fn(|at| if at == 0 { of.wrapping_mul(37) } else { of }))
}

pub(crate) fn plain(of: u8) -> Registration<'static> {
    Registration { fingerprint: print(of), kind: 7, link: Link::None, data: Data::None }
}

/// One that is tied to an earlier one.
pub(crate) fn tied(of: u8, link: fn(Fingerprint) -> Link, to: u8) -> Registration<'static> {
    Registration { link: link(print(to)), ..plain(of) }
}

/// An envelope with the other fields of a transfer; nobody has signed it.
pub(crate) fn attest_as(like: &Transfer, registrations: &[Registration<'_>]) -> Transaction {
    let mut encoded = Vec::new();
    registrations.iter().for_each(|one| one.encode(&mut encoded).unwrap());
    let registrations = Registrations::read(registrations.len(), &encoded).unwrap();
    signed(like, registrations)
}

fn signed(like: &Transfer, registrations: Registrations<'_>) -> Transaction {
    let Transfer { chain, key_version, reference, debit: owner, nonce, expiry, .. } = *like;
    let attest = Attest { chain, key_version, reference, owner, registrations, nonce, expiry };
    attest.sign(&Digest::default(), |_| [0; 64]).unwrap()
}

pub(crate) fn revoke_as(like: &Transfer, reason: u32, fingerprints: &[u8]) -> Transaction {
    let fingerprints: Vec<_> = fingerprints.iter().map(|of| print(*of).0).collect();
    let Transfer { chain, key_version, reference, debit: owner, nonce, expiry, .. } = *like;
    let revoke =
        Revoke { chain, key_version, reference, owner, reason, fingerprints: &fingerprints, nonce, expiry };
    revoke.sign(&Digest::default(), |_| [0; 64]).unwrap()
}

/// Data that lives by itself.
#[derive(Clone, Debug)]
enum Owned {
    None,
    Inline(Vec<u8>),
    Hash(Digest),
}

fn borrowed(data: &Owned) -> Data<'_> {
    match data {
        Owned::None => Data::None,
        Owned::Inline(data) => Data::Inline(data),
        Owned::Hash(hash) => Data::Hash(*hash),
    }
}

/// Registrations, supersessions and revocations that often collide, and freezes and openings.
pub(crate) fn any_transaction() -> impl Strategy<Value = Transaction> + Clone {
    let data = prop_oneof![
        3 => Just(Owned::None),
        2 => vec(any::<u8>(), 1..40).prop_map(Owned::Inline),
        1 => any::<[u8; 32]>().prop_map(|hash| Owned::Hash(Digest(hash))),
    ];
    let link = prop_oneof![3 => Just(0_usize), 1 => Just(1), 2 => Just(2)];
    let registration = (1..20_u8, 1..20_u8, link, any::<u32>(), data);
    let attest = (vec(registration, 1..4), any_transfer()).prop_map(|(registrations, like)| {
        let registration = |(of, to, link, kind, data): &(u8, u8, usize, u32, Owned)| {
            let link = [Link::None, Link::RefersTo(print(*to)), Link::Supersedes(print(*to))][*link];
            let mut encoded = Vec::new();
            let data = borrowed(data);
            Registration { fingerprint: print(*of), kind: *kind, link, data }.encode(&mut encoded).unwrap();
            encoded
        };
        let encoded: Vec<u8> = registrations.iter().flat_map(registration).collect();
        let registrations = Registrations::read(registrations.len(), &encoded).unwrap();
        // Of two owners, so that they meet often.
        signed(&Transfer { debit: AccountId(like.debit.0 % 2), ..like }, registrations)
    });
    let revoke =
        (vec(1..20_u8, 1..3), any::<u32>(), any_transfer()).prop_map(|(fingerprints, reason, like)| {
            revoke_as(&Transfer { debit: AccountId(like.debit.0 % 2), ..like }, reason, &fingerprints)
        });
    let others = (any_transfer(), 0..4_u32, any::<bool>()).prop_map(|(like, bits, freezes)| {
        if !freezes {
            return opening_as(&Transfer { debit: AccountId(3), ..like }, &[1 + bits as u8]);
        }
        let (account, frozen) = (AccountId(like.credit.0 % 3), Frozen::from_bits(bits));
        let freeze = Command { nonce: like.nonce, ..command(2, Action::Freeze { account, frozen }, 0) };
        freeze.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    });
    prop_oneof![6 => attest, 2 => revoke, 1 => others, 2 => crate::chains::changes::tests::any_change()]
}

/// One block after the other, both ways, on a chain with four accounts.
fn outcomes(blocks: &[&[Transaction]]) -> (Vec<Vec<Outcome>>, StateWriter) {
    let genesis = register_chain(4);
    let mut writer = StateWriter::genesis(&genesis);
    let mut oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
    let mut run = |block: &&[Transaction]| -> Delta {
        let packets: Vec<_> = block.iter().flat_map(|one| one.run().packets()).copied().collect();
        let delta = both(&mut writer, &mut oracle, &packets);
        oracle.go_on_restored(std::slice::from_ref(&genesis), &writer);
        delta
    };
    (blocks.iter().map(|block| run(block).outcomes().to_vec()).collect(), writer)
}

fn at(owner: u64, nonce: u64) -> Transfer {
    transfer(owner, 0, 0, nonce)
}

fn found(writer: &StateWriter, of: u8) -> Option<Attestation> {
    writer.table().get(&print(of).0).map(|value| Attestation::decode(value).unwrap())
}

#[test]
fn a_fingerprint_is_registered_once_and_by_all_or_none() {
    use Outcome::*;
    let (told, writer) = outcomes(&[
        &[
            attest_as(&at(0, 0), &[plain(1), plain(2)]),
            attest_as(&at(1, 0), &[plain(3), plain(2)]),
            attest_as(&at(1, 1), &[plain(3), plain(3)]),
            attest_as(&at(1, 2), &[plain(3)]),
        ],
        &[attest_as(&at(0, 1), &[plain(3)])],
    ]);
    assert_eq!(told, [vec![Applied, FingerprintTaken, FingerprintTaken, Applied], vec![FingerprintTaken]]);
    assert_eq!(found(&writer, 3).unwrap().owner, AccountId(1));
    assert_eq!((found(&writer, 3).unwrap().registered, writer.table().len()), (Height(1), 4));
    assert_eq!(found(&writer, 4), None);
}

#[test]
fn only_the_owner_supersedes_and_revokes_and_only_what_is_in_force() {
    use Outcome::*;
    let (told, writer) = outcomes(&[
        &[attest_as(&at(0, 0), &[plain(1), plain(9)])],
        &[
            attest_as(&at(1, 0), &[tied(2, Link::Supersedes, 1)]),
            attest_as(&at(0, 1), &[tied(2, Link::Supersedes, 5)]),
            attest_as(&at(1, 1), &[tied(8, Link::RefersTo, 5)]),
            attest_as(&at(1, 2), &[tied(8, Link::RefersTo, 1)]),
            // What stands before in the same envelope counts, and is taken back if a later one fails.
            attest_as(&at(0, 2), &[tied(2, Link::Supersedes, 1), tied(3, Link::Supersedes, 1)]),
            attest_as(&at(0, 3), &[tied(2, Link::Supersedes, 1), tied(3, Link::Supersedes, 2)]),
        ],
        &[
            attest_as(&at(0, 4), &[tied(4, Link::Supersedes, 1)]),
            revoke_as(&at(0, 5), 3, &[1]),
            revoke_as(&at(1, 3), 3, &[3]),
            revoke_as(&at(0, 6), 3, &[3, 5]),
            revoke_as(&at(0, 7), 3, &[3, 3]),
            revoke_as(&at(0, 8), 3, &[3, 9]),
            revoke_as(&at(0, 9), 3, &[3]),
        ],
    ]);
    let second = vec![OtherOwner, UnknownFingerprint, UnknownFingerprint, Applied, NotInForce, Applied];
    let third = vec![NotInForce, NotInForce, OtherOwner, UnknownFingerprint, NotInForce, Applied, NotInForce];
    assert_eq!(told, [vec![Applied], second, third]);
    let [one, two, three] = [1, 2, 3].map(|of| found(&writer, of).unwrap());
    assert_eq!((one.status, one.later, one.ended), (Status::Superseded, print(2), Height(2)));
    assert_eq!((two.status, two.later), (Status::Superseded, print(3)));
    assert_eq!((three.status, three.reason, three.ended), (Status::Revoked, 3, Height(3)));
    // The history is a chain: each follows from the one before, and from nothing else.
    assert!(one.follows(&print(1), Digest::default()));
    assert!(two.follows(&print(2), one.history) && three.follows(&print(3), two.history));
    assert!(!three.follows(&print(3), one.history) && !three.follows(&print(2), two.history));
    assert!(!Attestation { reason: 4, ..three }.follows(&print(3), two.history));
    assert!(!Attestation { kind: 8, ..two }.follows(&print(2), one.history));
    // A reference is no history: what it refers to may still change.
    assert!(found(&writer, 8).unwrap().follows(&print(8), Digest::default()));
}

#[test]
fn a_chain_is_full_at_its_cap_and_a_frozen_owner_says_nothing() {
    use Outcome::*;
    let many: Vec<_> = (1..=11).map(plain).collect();
    let freeze = |nonce, frozen| {
        let order = command(2, Action::Freeze { account: AccountId(1), frozen }, nonce);
        order.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    };
    let (told, writer) = outcomes(&[&[
        attest_as(&at(0, 0), &many),
        attest_as(&at(0, 1), &[plain(12), plain(13)]),
        freeze(0, Frozen::DEBIT),
        attest_as(&at(1, 0), &[plain(12)]),
        freeze(1, Frozen::CREDIT),
        attest_as(&at(1, 1), &[plain(12)]),
        attest_as(&at(1, 2), &[plain(13)]),
        attest_as(&at(1, 3), &[tied(13, Link::Supersedes, 12)]),
        revoke_as(&at(1, 4), 0, &[12]),
    ]]);
    assert_eq!(
        told,
        [[Applied, ChainFull, Applied, DebitFrozen, Applied, Applied, ChainFull, ChainFull, Applied]]
    );
    assert_eq!((found(&writer, 12).unwrap().status, writer.table().len()), (Status::Revoked, 13));
}

#[test]
fn each_kind_refuses_what_belongs_to_the_other() {
    use Outcome::*;
    let pay = transfer(0, 1, 0, 0).sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap();
    let burn = command(1, Action::Burn { amount: 0 }, 0).sign(&Digest::default(), |_| [0; 64]);
    let linked = crate::execute::tests::linked(0, &[(1, 0)], b"", 1);
    let open = opening_as(&at(3, 0), &[9]);
    let (told, _) = outcomes(&[&[pay, burn.run().transaction().unwrap(), linked, open]]);
    assert_eq!(told, [[OtherKind, OtherKind, OtherKind, Applied]]);
    let genesis = chain_of(&[10, 10]);
    let mut writer = StateWriter::genesis(&genesis);
    let mut oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
    let block = [attest_as(&at(0, 0), &[plain(1)]), revoke_as(&at(0, 1), 0, &[1])];
    let packets: Vec<_> = block.iter().flat_map(|one| one.run().packets()).copied().collect();
    let delta = both(&mut writer, &mut oracle, &packets);
    assert_eq!((delta.outcomes(), delta.rows().len()), (&[OtherKind, OtherKind][..], 0));
}

#[test]
fn data_is_remembered_by_its_hash() {
    let data = [5; DATA_BYTES_MAX];
    let hash = Digest(kernels::sha2::sha256(&data));
    let inline = Registration { data: Data::Inline(&data), ..plain(1) };
    let hashed = Registration { data: Data::Hash(hash), ..plain(2) };
    let (told, writer) = outcomes(&[&[attest_as(&at(0, 0), &[inline, hashed])]]);
    assert_eq!(told, [[Outcome::Applied]]);
    assert_eq!(found(&writer, 1).unwrap().data, DataSummary::Inline(DATA_BYTES_MAX as u32, hash));
    assert_eq!(found(&writer, 2).unwrap().data, DataSummary::Hash(hash));
}

#[test]
fn what_does_not_fit_is_malformed() {
    let encode = |one: Registration<'_>| one.encode(&mut Vec::new());
    assert_eq!(encode(Registration { fingerprint: Fingerprint::NONE, ..plain(1) }), Err(Malformed));
    assert_eq!(encode(Registration { link: Link::RefersTo(Fingerprint::NONE), ..plain(1) }), Err(Malformed));
    assert_eq!(encode(Registration { data: Data::Inline(&[]), ..plain(1) }), Err(Malformed));
    assert_eq!(
        encode(Registration { data: Data::Inline(&[0; DATA_BYTES_MAX + 1]), ..plain(1) }),
        Err(Malformed)
    );

    let mut encoded = Vec::new();
    (0..=ATTESTATIONS_MAX).for_each(|_| plain(1).encode(&mut encoded).unwrap());
    assert_eq!(Registrations::read(ATTESTATIONS_MAX + 1, &encoded), Err(Malformed));
    assert_eq!(Registrations::read(0, &[]), Err(Malformed));
    let one = &encoded[..40];
    assert_eq!(Registrations::read(1, one).unwrap().count(), 1);
    assert_eq!(Registrations::read(1, &encoded[..41]), Err(Malformed));
    assert_eq!(Registrations::read(1, &encoded[..39]), Err(Malformed));
    // Each byte of the fixed part that has a form of its own: link, form, length.
    for (place, value) in [(0, 1), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (3, 1)] {
        let mut wrong = one.to_vec();
        wrong[place] = value;
        assert_eq!(Registrations::read(1, &wrong), Err(Malformed), "byte {place} is {value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_attestation_reads_back_as_it_is(transactions in vec(any_transaction(), 1..30), flip in 0..168_usize, bit in 0..8_u8) {
        let (_, writer) = outcomes(&[&transactions]);
        let is_own = |row: &&Row| Fingerprint(*row.key()).is_reserved();
        for row in writer.table().rows().filter(|row| !is_own(row)) {
            let read = Attestation::decode(row.value()).unwrap();
            prop_assert_eq!(&read.encode()[..], row.value());
            let mut other = row.value().to_vec();
            other[flip] ^= 1 << bit;
            if let Some(read) = Attestation::decode(&other) {
                prop_assert_eq!(&read.encode()[..], &other[..], "each attestation has one encoding");
            }
        }
    }
}
