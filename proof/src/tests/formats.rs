//! The decoders: what is accepted is encoded to the same bytes, and codes of the engine are read as it reads them.

use std::vec::Vec;

use engine::execute::shows_absence;
use engine::types::{
    AccountId, DataSummary, Epoch, Fingerprint, Height, Link, Outcome, Status as EngineStatus,
};
use engine::wire::Block;
use kernels::merkle::{Frontier, InclusionProof, leaf_hash, root, verify_inclusion};
use proptest::collection::vec;
use proptest::prelude::*;

use super::network::{GOVERNANCE, Network, REGISTER};
use super::proofs;
use crate::genesis::CHAIN_BYTES;
use crate::*;

#[test]
fn the_genesis_header_is_read_as_it_was_written() {
    let network = Network::new("names", 7, &[(3, 5), (8, 1), (REGISTER, 4), (GOVERNANCE, 3), (u32::MAX, 2)]);
    let header = Genesis::decode(network.genesis.header()).unwrap();
    assert_eq!((header.network, header.name.as_str()), (network.genesis.network().0, network.genesis.name()));
    assert_eq!(header.quorum(), network.genesis.quorum());
    for (ours, theirs) in header.validators.iter().zip(network.genesis.validators()) {
        assert_eq!((&ours.name, ours.key), (&theirs.name, theirs.public_key));
        assert_eq!(ours.certificate_fingerprint, theirs.certificate_fingerprint);
    }
    let roots = network.ledger.accounts_roots();
    for ((ours, theirs), (id, root)) in header.chains.iter().zip(network.genesis.chains()).zip(roots) {
        assert_eq!((ours.id, ours.asset, ours.accounts_root), (id.0, theirs.asset.0, root.0));
        assert_eq!((ours.accounts, Some(ours.supply)), (theirs.accounts.len() as u64, theirs.supply()));
        let roles = &theirs.roles;
        let holders = [roles.issuer, roles.freezer].map(|holder| holder.map(|account| account.0));
        assert_eq!(
            ([ours.roles.issuer, ours.roles.freezer], ours.roles.issuance_cap),
            (holders, roles.issuance_cap)
        );
        assert_eq!((ours.kind.name(), ours.threshold), (theirs.kind.name(), theirs.threshold.into()));
        assert_eq!((ours.roles.attestations_cap, ours.roles.quota), (roles.attestations_cap, roles.quota.0));
        let windows = (roles.windows.rekey_seconds, roles.windows.recovery_seconds);
        assert_eq!((ours.roles.rekey_window, ours.roles.recovery_window), windows);
    }
    assert_eq!((header.validators.len(), header.chains.len(), header.members_are_decided), (7, 5, false));
}

#[test]
fn whether_administrators_decide_who_validates_is_in_the_header() {
    use engine::types::Membership;
    let with = |chains: &[(u32, u64)], membership| {
        Network::with_membership("members", 1, chains, membership).genesis.header().to_vec()
    };
    let decided = with(&[(GOVERNANCE, 3)], Membership::Decided);
    assert!(Genesis::decode(&decided).unwrap().members_are_decided);
    let fixed = with(&[(GOVERNANCE, 3)], Membership::Fixed);
    assert!(!Genesis::decode(&fixed).unwrap().members_are_decided);
    let at = fixed.iter().zip(&decided).position(|(a, b)| a != b).unwrap();
    let with_byte = |mut bytes: Vec<u8>, byte: u8| {
        bytes[at] = byte;
        Genesis::decode(&bytes).err()
    };
    let invalid = |reason| Some(FormError::Invalid { what: "membership", reason });
    assert_eq!(with_byte(fixed.clone(), 1), None);
    assert_eq!(with_byte(fixed, 2), invalid("it is unknown here"));
    let nobody = with(&[(3, 1)], Membership::Fixed);
    assert_eq!(with_byte(nobody, 1), invalid("there is no chain that decides"));
}

#[test]
fn a_header_says_from_where_a_rebuilt_network_goes_on() {
    use engine::types::{Digest, Genesis as Whole, Height, Membership, Origin};
    let network = Network::new("heir", 1, &[(3, 1)]);
    let old = &network.genesis;
    let origin = |height| Origin {
        network: Digest([1; 32]),
        height: Height(height),
        block: Digest([2; 32]),
        state_root: Digest([3; 32]),
        quotas: Digest([4; 32]),
    };
    let heir = |height| {
        let membership = (Membership::Fixed, Some(origin(height)));
        Whole::with_origin("heir".into(), old.validators().to_vec(), membership, old.chains().to_vec())
    };
    let header = heir(77).unwrap().header().to_vec();
    let found = Genesis::decode(&header).unwrap().origin.unwrap();
    assert_eq!((found.network, found.height, found.block), ([1; 32], 77, [2; 32]));
    assert_eq!((found.state_root, found.quotas), ([3; 32], [4; 32]));
    assert_eq!(Genesis::decode(old.header()).unwrap().origin, None);
    assert!(heir(0).is_err() && heir(u64::MAX).is_err());
    let at = old.header().iter().zip(&header).position(|(a, b)| a != b).unwrap();
    let with = |place: usize, bytes: &[u8]| {
        let mut changed = header.clone();
        changed[place..place + bytes.len()].copy_from_slice(bytes);
        Genesis::decode(&changed).err()
    };
    let invalid = |reason| Some(FormError::Invalid { what: "origin of the network", reason });
    assert_eq!(with(at, &[2]), invalid("it is unknown here"));
    for height in [0, u64::MAX] {
        assert_eq!(with(at + 33, &u64::to_le_bytes(height)), invalid("nothing goes on from its height"));
    }
}

#[test]
fn the_words_name_the_version() {
    let reason = match Genesis::decode(&[0; 64]) {
        Err(FormError::Invalid { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason.as_bytes().last(), crate::genesis::MAGIC.last());
}

#[test]
fn a_chain_has_what_its_kind_has_and_nothing_else() {
    let network = Network::new("kinds", 1, &[(3, 1), (REGISTER, 1)]);
    let header = network.genesis.header();
    // The two chains are at the end, of as many bytes each.
    let ends = [header.len() - CHAIN_BYTES, header.len()];
    // Places in a chain, and what is written there.
    type Changes<'a> = &'a [(usize, &'a [u8])];
    let with = |chain: usize, changes: Changes<'_>| {
        let mut bytes = header.to_vec();
        for (at, new) in changes {
            let at = ends[chain] - CHAIN_BYTES + at;
            bytes[at..at + new.len()].copy_from_slice(new);
        }
        Genesis::decode(&bytes).map(|genesis| genesis.chains[chain].roles.attestations_cap)
    };
    let (kind, asset, issuer, issuance_cap, attestations_cap, supply) = (4, 8, 24, 32, 64, 128);
    let (one, most, more) =
        (1_u64.to_le_bytes(), (u64::from(u32::MAX)).to_le_bytes(), (1_u64 << 32).to_le_bytes());
    assert_eq!((with(0, &[]), with(1, &[])), (Ok(0), Ok(1_000)));
    assert_eq!(with(1, &[(attestations_cap, &one)]), Ok(1));
    assert_eq!(with(1, &[(attestations_cap, &most)]), Ok(u64::from(u32::MAX)));
    let to_transfers: Changes<'_> = &[(kind, &[1]), (asset, b"UNIT"), (attestations_cap, &[0; 8])];
    assert_eq!(with(1, to_transfers), Ok(0));
    let refused: [(usize, Changes<'_>); 11] = [
        (0, &[(asset, &[0; 16])]),
        (0, &[(attestations_cap, &one)]),
        (0, &[(kind, &[2])]),
        (1, &[(kind, &[1])]),
        (1, &[(asset, b"UNIT")]),
        (1, &[(issuer, &[0; 8])]),
        (1, &[(issuance_cap, &one)]),
        (1, &[(supply, &one)]),
        (1, &[(attestations_cap, &[0; 8])]),
        (1, &[(attestations_cap, &more)]),
        (1, &[(attestations_cap, &[0xff; 8])]),
    ];
    let reason = "its other fields do not fit to it";
    for (chain, changes) in refused {
        let error = FormError::Invalid { what: "kind of a chain", reason };
        assert_eq!(with(chain, changes), Err(error), "{changes:?}");
    }
    let quota = |bytes: u32| with(0, &[(80, &bytes.to_le_bytes())]);
    assert_eq!((quota(64 << 10), quota(8 << 20)), (Ok(0), Ok(0)));
    for bytes in [(64 << 10) - 1, (8 << 20) + 1] {
        let reason = "it is from 64 KiB to 8 MiB";
        assert_eq!(quota(bytes), Err(FormError::Invalid { what: "quota of a chain", reason }));
    }
    for unknown in [0, 4] {
        let error = FormError::Invalid { what: "kind of a chain", reason: "it is unknown here" };
        assert_eq!(with(1, &[(kind, &[unknown])]), Err(error));
    }
}

#[test]
fn outcomes_have_the_names_of_the_engine() {
    for outcome in Outcome::ALL {
        assert_eq!(outcome_name(outcome.code()), Some(outcome.name()));
    }
    for code in (0..=u8::MAX).filter(|code| Outcome::try_from(*code).is_err()) {
        assert_eq!(outcome_name(code), None);
    }
}

#[test]
fn every_changed_byte_of_a_header_is_another_header_or_none() {
    let (_, proofs) = proofs(3);
    let good = proofs[0].finality.last();
    let bytes = good.encode();
    assert_eq!(Header::decode(&bytes).as_ref(), Ok(good));
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = bytes;
            bytes[at] ^= change;
            if let Ok(other) = Header::decode(&bytes) {
                assert_eq!(other.encode(), bytes);
                assert_ne!(other.digest(), good.digest(), "byte {at}");
            }
        }
        assert!(Header::decode(&bytes[..at]).is_err());
    }
    assert_eq!(Header::decode(&[&bytes[..], &[0]].concat()), Err(FormError::Trailing(1)));
}

#[test]
fn a_header_contradicts_neither_itself_nor_its_limits() {
    let (_, proofs) = proofs(0);
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = proofs[0].finality.carrier.clone();
        change(&mut header);
        match Header::decode(&header.encode()) {
            Ok(_) => None,
            Err(FormError::Invalid { what, .. }) => Some(what),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(with(&|_| ()), None);
    for height in [0, u64::MAX] {
        assert_eq!(with(&|header| header.height = height), Some("height of a header"));
    }
    assert_eq!(with(&|header| header.roots.size = 2), Some("roots of a header"), "its own root");
    assert_eq!(with(&|header| header.roots_first = u64::MAX), Some("roots of a header"));
    let many = |roots| with(&|header: &mut Header| (header.height, header.roots.size) = (100, roots));
    assert_eq!((many(64), many(65)), (None, Some("roots of a header")));
    for (heads, refused) in [(0, true), (1, false), (128, false), (129, true)] {
        assert_eq!(with(&|header| header.cut.size = heads), refused.then_some("cut of a header"));
    }
}

/// A block of the engine, with a log whose size is the height.
fn block() -> impl Strategy<Value = Block> {
    let head = (1..u64::MAX, any::<u8>()).prop_map(|(sequence, fill)| engine::types::Head {
        sequence: engine::types::Sequence(sequence),
        digest: engine::types::Digest([fill | 1; 32]),
    });
    let head = prop_oneof![3 => head, 1 => Just(engine::types::Head::NONE)];
    let numbers = (1_u64 << 20..u64::MAX, any::<u64>(), any::<u64>(), any::<u16>(), 0_u64..1 << 20);
    (numbers, digest(), vec(digest(), 0..65), vec(head, 1..129), vec(digest(), 64)).prop_map(
        |((height, view, time_ms, proposer, roots_first), parent, roots, cut, log)| {
            let log = log[..height.count_ones() as usize].to_vec();
            Block::new(engine::wire::Header {
                epoch: Epoch(time_ms.rotate_left(7)),
                height: Height(height),
                view,
                parent: engine::types::Digest(parent),
                proposer: engine::types::ValidatorIndex(proposer),
                time_ms,
                roots_first: Height(roots_first),
                next_members: engine::types::Digest([proposer as u8; 32]),
                roots: roots.into_iter().map(engine::types::Digest).collect(),
                cut,
                log: Frontier::new(height, log).unwrap(),
            })
            .unwrap()
        },
    )
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<Digest>()
}

fn header() -> impl Strategy<Value = Header> {
    block().prop_map(|block| Header::decode(&block.short()).unwrap())
}

fn account() -> impl Strategy<Value = Account> {
    (any::<[u64; 4]>(), digest(), any::<[u32; 2]>()).prop_map(
        |([id, balance, window_base, window_used], key, [key_version, flags])| Account {
            id,
            key,
            key_version,
            balance,
            window_base,
            window_used,
            flags,
        },
    )
}

fn claim() -> impl Strategy<Value = Claim> {
    let path = || vec(digest(), 0..6);
    prop_oneof![
        (account(), path()).prop_map(|(account, path)| Claim::Account { account, path }),
        (digest(), any::<u8>(), any::<u64>(), path())
            .prop_map(|(id, outcome, position, path)| Claim::Transaction { id, outcome, position, path }),
        (any::<[[u8; 32]; 2]>(), account(), path()).prop_map(|(halves, account, path)| {
            let mut body = [0; BODY_BYTES];
            body.copy_from_slice(halves.as_flattened());
            Claim::Unspent { body, account, path }
        }),
        (any::<[[u8; 32]; 3]>(), any::<u64>(), vec(any::<u8>(), 0..=ATTESTATION_BYTES), path()).prop_map(
            |([asked, key, next], position, value, path)| Claim::Row {
                asked,
                position,
                row: Row { key, next, value },
                path,
            }
        ),
    ]
}

fn attestation() -> impl Strategy<Value = engine::types::Attestation> {
    let other = || digest().prop_map(|print| Fingerprint(print.map(|byte| byte | 1)));
    let link =
        prop_oneof![Just(Link::None), other().prop_map(Link::RefersTo), other().prop_map(Link::Supersedes),];
    let hash = || digest().prop_map(engine::types::Digest);
    let data = prop_oneof![
        Just(DataSummary::None),
        (1..=u32::MAX, hash()).prop_map(|(bytes, hash)| DataSummary::Inline(bytes, hash)),
        hash().prop_map(DataSummary::Hash),
    ];
    let registered = (other(), any::<[u64; 2]>(), (any::<u32>(), link, data), hash());
    let end = (0..3, any::<u32>(), any::<u64>().prop_map(Height), other());
    (registered, end).prop_map(|((print, [owner, height], said, before), (end, reason, at, later))| {
        let by = (AccountId(owner), Height(height));
        let registered = engine::types::Attestation::register(&print, by, said, before);
        match end {
            0 => registered,
            1 => registered.superseded(later, at),
            _ => registered.revoked(reason, at),
        }
    })
}

/// The same fields, by our reading of the bytes and by the engine's.
fn says_the_same(ours: &Attestation, theirs: &engine::types::Attestation) -> bool {
    let status = match theirs.status {
        EngineStatus::InForce => Status::InForce,
        EngineStatus::Superseded => Status::Superseded { at: theirs.ended.0, by: theirs.later.0 },
        EngineStatus::Revoked => Status::Revoked { at: theirs.ended.0, reason: theirs.reason },
    };
    let expected = Attestation {
        status,
        owner: theirs.owner.0,
        registered: theirs.registered.0,
        kind: theirs.kind,
        supersedes: theirs.link.supersedes().map(|earlier| earlier.0),
        refers_to: theirs.link.refers_to().map(|earlier| earlier.0),
        data_hash: theirs.data.hash().map(|hash| hash.0),
        data_bytes: match theirs.data {
            DataSummary::Inline(bytes, _) => bytes,
            DataSummary::None | DataSummary::Hash(_) => 0,
        },
        history: theirs.history.0,
    };
    *ours == expected
}

fn proof() -> impl Strategy<Value = Proof> {
    let tree = || (digest(), any::<u64>()).prop_map(|(root, size)| Tree { root, size });
    let kind =
        prop_oneof![Just(ChainKind::Transfers), Just(ChainKind::Attestations), Just(ChainKind::Governance)];
    let status = prop_oneof![Just(ChainStatus::Active), Just(ChainStatus::Paused), Just(ChainStatus::Closed)];
    let is = (any::<u32>(), kind, status, any::<[u8; 16]>());
    let entry = (is, [(); 5].map(|()| tree()), any::<[u64; 2]>()).prop_map(
        |((chain, kind, status, asset), [transactions, accounts, outbox, inbox, table], [issued, burned])| {
            Entry { chain, kind, status, asset, transactions, accounts, outbox, inbox, table, issued, burned }
        },
    );
    let paths = (vec(digest(), 0..5), vec(digest(), 0..5));
    let later = prop_oneof![
        1 => Just(None),
        2 => (vec(digest(), 0..65), header()).prop_map(|(path, header)| Some(Later { path, header })),
    ];
    let finality = (digest(), vec(digest(), 0..7), header(), later, vec(any::<u8>(), 0..200)).prop_map(
        |(state_root, path, carrier, later, certificate)| Finality {
            state_root,
            path,
            carrier,
            later,
            certificate,
        },
    );
    let change = || {
        (header(), vec(any::<u8>(), 0..200), super::epochs::any_set())
            .prop_map(|(header, certificate, members)| EpochChange { header, certificate, members })
    };
    let head = (digest(), vec(change(), 0..3));
    (head, claim(), any::<u64>(), any::<[u32; 2]>(), entry, paths, finality).prop_map(
        |(head, claim, height, [chains, place], entry, (height_path, entry_path), finality)| Proof {
            network: head.0,
            epoch_changes: head.1,
            claim,
            height,
            chains,
            height_path,
            place,
            entry,
            entry_path,
            finality,
        },
    )
}

proptest! {
    #[test]
    fn a_proof_is_decoded_to_itself_and_to_nothing_else(proof in proof(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = proof.encode().unwrap();
        prop_assert_eq!(Proof::decode(&bytes), Ok(proof.clone()));
        for end in [0, bytes.len() / 2, bytes.len() - 1] {
            prop_assert!(Proof::decode(&bytes[..end]).is_err());
        }
        let at = at.index(bytes.len());
        let same = bytes[at] == byte;
        bytes[at] = byte;
        if let Ok(other) = Proof::decode(&bytes) {
            prop_assert_eq!(other == proof, same);
            prop_assert_eq!(other.encode(), Ok(bytes));
        }
    }

    #[test]
    fn headers_are_those_of_the_engine(block in block()) {
        let (ours, theirs) = (Header::decode(&block.short()).unwrap(), block.header());
        prop_assert_eq!((ours.digest(), &ours.encode()[..]), (block.digest().0, &block.short()[..]));
        prop_assert_eq!((ours.height, ours.view, ours.time_ms), (theirs.height.0, theirs.view, theirs.time_ms));
        prop_assert_eq!((ours.proposer, ours.parent), (theirs.proposer.0, theirs.parent.0));
        prop_assert_eq!((ours.roots_first, ours.log), (theirs.roots_first.0, theirs.log.root()));
        let roots: Vec<_> = theirs.roots.iter().map(|root| leaf_hash(&root.0)).collect();
        prop_assert_eq!(ours.roots, Tree { root: root(&roots), size: roots.len() as u64 });
        let head = |head: &engine::types::Head| leaf_hash(&[&head.sequence.0.to_le_bytes()[..], &head.digest.0].concat());
        let heads: Vec<_> = theirs.cut.iter().map(head).collect();
        prop_assert_eq!(ours.cut, Tree { root: root(&heads), size: heads.len() as u64 });
        for (place, of) in theirs.roots.iter().enumerate() {
            let height = ours.roots_first + place as u64;
            prop_assert_eq!(ours.place_of(height), Some(place as u64));
            let proof = InclusionProof {
                index: place as u64,
                size: roots.len() as u64,
                path: block.prove_root(Height(height)).unwrap(),
            };
            prop_assert!(verify_inclusion(&ours.roots.root, &leaf_hash(&of.0), &proof));
        }
        let end = ours.roots_first + roots.len() as u64;
        prop_assert_eq!((ours.place_of(end), block.prove_root(Height(end))), (None, None));
    }

    #[test]
    fn attestations_are_read_as_the_engine_reads_them(attestation in attestation()) {
        let good = attestation.encode();
        prop_assert!(says_the_same(&Attestation::decode(&good).unwrap(), &attestation));
        for at in 0..good.len() {
            for change in (0..8).map(|bit| 1 << bit).chain([0xff]) {
                let mut value = good;
                value[at] ^= change;
                let (ours, theirs) = (Attestation::decode(&value), engine::types::Attestation::decode(&value));
                let alike = match (&ours, &theirs) {
                    (Ok(ours), Some(theirs)) => says_the_same(ours, theirs),
                    (ours, theirs) => ours.is_err() && theirs.is_none(),
                };
                prop_assert!(alike, "byte {}: {:?} {:?}", at, ours, theirs);
            }
            prop_assert!(Attestation::decode(&good[..at]).is_err());
        }
        let longer = [&good[..], &[0]].concat();
        prop_assert_eq!(Attestation::decode(&longer), Err(FormError::Trailing(1)));
    }

    #[test]
    fn rows_are_those_of_the_engine(keys in any::<[u8; 3]>(), value in vec(any::<u8>(), 0..=ATTESTATION_BYTES)) {
        let [key, next, asked] = keys.map(|byte| [byte % 4; 32]);
        let theirs = engine::execute::Row::new(&key, &next, &value);
        let ours = Row { key, next, value };
        prop_assert_eq!(&ours.leaf()[..], theirs.leaf());
        let says = ours.says(&asked, |value| Ok(Vec::from(value)));
        let shows_absence = shows_absence((&key, &next), &asked);
        prop_assert_eq!(says == Ok(None), shows_absence && key != asked);
        prop_assert_eq!(says == Err(ProofError::OtherRow), !shows_absence && key != asked);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in vec(any::<u8>(), 0..600), genesis in any::<bool>()) {
        let magic: &[u8] = if genesis { crate::genesis::MAGIC } else { crate::format::MAGIC };
        let bytes = [magic, &bytes].concat();
        prop_assert!(verify(&bytes, &bytes).is_err());
        let _either = (Proof::decode(&bytes), Genesis::decode(&bytes), Certificate::decode(&bytes));
    }
}

#[test]
fn what_has_no_room_in_the_format_is_not_encoded() {
    let (_, proofs) = proofs(0);
    let too_many = |proof: &Proof, what, max| {
        let count = max + 1;
        assert_eq!(proof.encode(), Err(FormError::TooMany { what, count, max }));
    };
    let good = &proofs[0];
    too_many(&Proof { entry_path: std::vec![[0; 32]; 33], ..good.clone() }, "path", PATH_MAX);
    let with = |change: &dyn Fn(&mut Finality)| {
        let mut proof = good.clone();
        change(&mut proof.finality);
        proof
    };
    too_many(&with(&|finality| finality.path = std::vec![[0; 32]; 33]), "path", PATH_MAX);
    let header = good.finality.carrier.clone();
    let later = Some(Later { path: std::vec![[0; 32]; 65], header });
    too_many(&with(&|finality| finality.later.clone_from(&later)), "path", LOG_PATH_MAX);
    let row = Row { key: [1; 32], next: [2; 32], value: std::vec![0; ROW_VALUE_BYTES_MAX + 1] };
    let claim = Claim::Row { asked: [1; 32], position: 0, row, path: Vec::new() };
    too_many(&Proof { claim, ..good.clone() }, "value of the row", ROW_VALUE_BYTES_MAX);
    let certificate = std::vec![0; CERTIFICATE_BYTES_MAX + 1];
    too_many(
        &with(&|finality| finality.certificate.clone_from(&certificate)),
        "certificate",
        CERTIFICATE_BYTES_MAX,
    );
}
