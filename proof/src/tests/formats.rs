//! The decoders: what is accepted is encoded to the same bytes, and codes of the engine are read as it reads them.

use std::vec::Vec;

use engine::execute::shows_absence;
use engine::types::{AccountId, DataSummary, Fingerprint, Height, Link, Outcome, Status as EngineStatus};
use engine::wire::Block;
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
    assert_eq!((header.validators.len(), header.chains.len()), (7, 5));
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
fn both_read_every_changed_byte_of_a_header_alike() {
    let (_, proofs) = proofs(3);
    for header in &proofs[0].headers {
        let mut good = Vec::new();
        header.encode(&mut good).unwrap();
        for at in 0..good.len() {
            for change in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= change;
                alike(&bytes);
            }
            alike(&good[..at]);
        }
    }
}

fn alike(bytes: &[u8]) {
    let (ours, theirs) = (Header::decode(bytes), Block::decode(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}");
    if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
        let header = theirs.header();
        assert_eq!((ours.digest(), ours.height), (Ok(theirs.digest().0), header.height.0));
        assert_eq!(
            (ours.view, ours.time_ms, ours.proposer),
            (header.view, header.time_ms, header.proposer.0)
        );
        assert_eq!((ours.parent, ours.roots_first), (header.parent.0, header.roots_first.0));
        assert!(ours.roots.iter().eq(header.roots.iter().map(|root| &root.0)));
    }
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<Digest>()
}

fn header() -> impl Strategy<Value = Header> {
    let head =
        (1..u64::MAX, any::<u8>()).prop_map(|(sequence, fill)| Head { sequence, digest: [fill | 1; 32] });
    let head = prop_oneof![3 => head, 1 => Just(Head { sequence: 0, digest: [0; 32] })];
    let numbers = (1_u64 << 20..u64::MAX, any::<u64>(), any::<u64>(), any::<u16>(), 0_u64..1 << 20);
    (numbers, digest(), vec(digest(), 0..5), vec(head, 1..9)).prop_map(
        |((height, view, time_ms, proposer, roots_first), parent, roots, cut)| {
            let roots_first = roots_first.min(height - roots.len() as u64);
            Header { height, view, time_ms, proposer, parent, roots_first, roots, cut }
        },
    )
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
            |([fingerprint, key, next], position, value, path)| Claim::Row {
                fingerprint,
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
    let top = (vec(header(), 0..4), vec(any::<u8>(), 0..200));
    (digest(), claim(), any::<u64>(), any::<[u32; 2]>(), entry, paths, top).prop_map(
        |(
            network,
            claim,
            height,
            [chains, place],
            entry,
            (height_path, entry_path),
            (headers, certificate),
        )| Proof {
            network,
            claim,
            height,
            chains,
            height_path,
            place,
            entry,
            entry_path,
            headers,
            certificate,
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
    fn headers_are_read_as_the_engine_reads_them(header in header()) {
        let mut bytes = Vec::new();
        header.encode(&mut bytes).unwrap();
        prop_assert_eq!(Header::decode(&bytes), Ok(header));
        alike(&bytes);
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
        prop_assert_eq!(ours.shows_absence(&asked), shows_absence((&key, &next), &asked));
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in vec(any::<u8>(), 0..600), genesis in any::<bool>()) {
        let magic: &[u8] = if genesis { b"millrace/genesis-header/4" } else { b"millrace/proof/3" };
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
    let headers = std::vec![good.headers[0].clone(); 65];
    too_many(&Proof { headers, ..good.clone() }, "headers", HEADERS_MAX);
    let row = Row { key: [1; 32], next: [2; 32], value: std::vec![0; ROW_VALUE_BYTES_MAX + 1] };
    let claim = Claim::Row { fingerprint: [1; 32], position: 0, row, path: Vec::new() };
    too_many(&Proof { claim, ..good.clone() }, "value of the row", ROW_VALUE_BYTES_MAX);
    let certificate = std::vec![0; CERTIFICATE_BYTES_MAX + 1];
    too_many(&Proof { certificate, ..good.clone() }, "certificate", CERTIFICATE_BYTES_MAX);
}
