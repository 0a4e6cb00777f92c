//! Proofs of a real ledger with real signatures, and everything that could be wrong with them.

mod certificates;
mod charters;
mod councils;
mod epochs;
mod formats;
mod histories;
mod members;
mod network;
mod records;
mod reservations;
mod transparency;
mod vectors;

use std::string::ToString as _;
use std::vec::Vec;

use engine::types::{
    CANCEL_KIND, Data, Fingerprint, LINKED_KIND, Link, Outcome, Packet, Registration, TAKE_KIND,
    TRANSFER_KIND,
};
use network::{Network, REGISTER};

use crate::leaf::Nonce;
use crate::*;

/// A fingerprint for each byte.
fn print(of: u8) -> Fingerprint {
    Fingerprint([of; 32])
}

fn registration(of: u8, link: Link) -> Registration<'static> {
    Registration { fingerprint: print(of), kind: 5, link, data: Data::Inline(b"data") }
}

/// Four validators, two chains with money and one without, a block with a few transactions, of which one fails.
/// Fingerprint 3 is in force and refers to another, 5 is superseded by 7, which is revoked.
fn network() -> Network {
    let mut network = Network::new("tests", 4, &[(2, 13), (9, 5), (REGISTER, 4)]);
    let five = registration(5, Link::None);
    let seven = registration(7, Link::Supersedes(print(5)));
    let three = registration(3, Link::RefersTo(print(5)));
    let revoked = network.revoke(1, print(7), 1);
    let register = [network.attest(1, &[five, seven], 0), network.attest(2, &[three], 0), revoked].concat();
    let packets: Vec<Packet> = [(2, 0, 1, 0), (2, 1, 12, 0), (2, 3, 99, 7), (9, 4, 0, 0), (9, 0, 1, 3)]
        .into_iter()
        .map(|(chain, debit, credit, nonce)| network.transfer(chain, debit, credit, nonce, 100))
        .chain(register)
        .collect();
    network.block(&[]);
    network.block(&packets);
    network
}

/// The packet with another expiry.
fn expiring(packet: Packet, expiry: u64) -> [u8; 128] {
    let mut bytes = packet.0;
    bytes[56..64].copy_from_slice(&expiry.to_le_bytes());
    bytes
}

/// A proof of each kind, final so many headers above the one that carries the state root.
fn proofs(more: u64) -> (Network, Vec<Proof>) {
    let mut network = network();
    let never = network.transfer(2, 1, 2, 9, 2);
    let rows = [3, 5, 7, 6, 9, 1].map(|of| network.row(print(of).0));
    let envelope = network.attest(0, &[registration(9, Link::None)], 9);
    let envelope = Packet(expiring(envelope[0], 2));
    let others = [network.account(2, 12), network.transaction(0, 2), network.never(&never)];
    let open = others.into_iter().chain(rows).chain([network.account(REGISTER, 1), network.never(&envelope)]);
    let open: Vec<_> = open.collect();
    let closed = open.into_iter().map(|proof| network.close(proof, more)).collect();
    (network, closed)
}

fn check(network: &Network, proof: &Proof) -> Result<Statement, ProofError> {
    verify(&proof.encode().unwrap(), network.genesis.header())
}

#[test]
fn each_kind_says_what_the_ledger_says() {
    for more in [0, 1, 5, 300] {
        let (network, proofs) = proofs(more);
        let said: Vec<Statement> = proofs.iter().map(|proof| check(&network, proof).unwrap()).collect();
        for statement in &said {
            assert_eq!(statement.network, network.genesis.network().0);
            assert_eq!((statement.height, statement.final_height), (2, 3 + more));
            assert_eq!((statement.signed, statement.validators), (3, 4));
            assert_eq!(statement.final_time_ms, 1_800_000_000_003 + more);
        }
        let Fact::Account(account) = said[0].fact else { panic!("{:?}", said[0]) };
        assert_eq!((account.id, account.balance, account.key_version), (12, 1_005, 1));
        let unknown = Outcome::UnknownCredit.code();
        let Fact::Transaction { outcome, position, of, .. } = said[1].fact else { panic!("{:?}", said[1]) };
        assert_eq!((outcome, position, of), (unknown, 2, 3));
        let Fact::NeverExecuted(transfer) = said[2].fact else { panic!("{:?}", said[2]) };
        assert_eq!((transfer.account, transfer.nonce, transfer.expiry), (1, 9, 2));
        assert_eq!(transfer.id, Some(network.transfer(2, 1, 2, 9, 2).id(network.genesis.network()).0));
        assert_eq!(transfer.payment, Some(Payment { credit_chain: None, credit: 2, amount: 5 }));
        let Fact::NeverExecuted(envelope) = said[10].fact else { panic!("{:?}", said[10]) };
        assert_eq!((envelope.account, envelope.nonce, envelope.expiry), (0, 9, 2));
        assert_eq!((envelope.kind, envelope.id, envelope.payment), (18, None, None));
        let text = said[10].to_string();
        assert!(
            text.starts_with("an envelope (registration of fingerprints) with the signed bytes 1200000014"),
            "{text}"
        );
        assert!(text.ends_with(
            " of chain 20 of the network \"tests\" has not been executed and never can be: it expired at height 2, and \
             after block 2 account 0 has not spent nonce 9"
        ));
        assert_eq!(
            said[0].to_string(),
            "after block 2 of the network \"tests\", account 12 of chain 2 held 1005 UNIT"
        );
        assert!(said[1].to_string().ends_with(": without effect (unknown credit account)"), "{}", said[1]);
        assert!(
            said[2]
                .to_string()
                .ends_with("it expired at height 2, and after block 2 account 1 has not spent nonce 9")
        );
        assert!(said[..3].iter().all(|statement| statement.chain == 2));
        assert!(said[3..].iter().all(|statement| statement.chain == REGISTER));
        let of = |at: usize| match said[at].fact {
            Fact::Attestation { fingerprint, attestation } => (fingerprint, attestation),
            ref fact => panic!("{fact:?}"),
        };
        let [(_, three), (_, five), (fingerprint, seven)] = [3, 4, 5].map(of);
        let hash = Some(kernels::sha2::sha256(b"data"));
        assert_eq!((three.status, three.refers_to, three.owner), (Status::InForce, Some(print(5).0), 2));
        assert_eq!((three.data_hash, three.data_bytes, three.kind, three.registered), (hash, 4, 5, 2));
        assert_eq!(five.status, Status::Superseded { at: 2, by: print(7).0 });
        assert_eq!(
            (seven.status, seven.supersedes),
            (Status::Revoked { at: 2, reason: 6 }, Some(print(5).0))
        );
        assert_eq!(fingerprint, print(7).0);
        for (at, of) in [(6, 6), (7, 9), (8, 1)] {
            assert_eq!(said[at].fact, Fact::NotRegistered { fingerprint: print(of).0 });
        }
        let hex = |byte: &str| byte.repeat(32);
        assert_eq!(
            said[5].to_string(),
            std::format!(
                "after block 2 of the network \"tests\", fingerprint {} is revoked since height 2 (reason 6) on chain 20, \
                 where account 1 registered it at height 2",
                hex("07")
            )
        );
        assert!(
            said[4]
                .to_string()
                .contains(&std::format!("superseded since height 2 by fingerprint {}", hex("07")))
        );
        assert!(said[6].to_string().ends_with("is not registered on chain 20"));
        assert!(said[9].to_string().contains("account 1 of chain 20 had the key"), "{}", said[9]);
    }
}

#[test]
fn every_changed_byte_of_a_proof_is_refused() {
    for more in [0, 1] {
        let (network, proofs) = proofs(more);
        for proof in proofs {
            let good = check(&network, &proof).unwrap();
            let bytes = proof.encode().unwrap();
            // The transfer or fingerprint of which an absence speaks is the question, and another one may have the same
            // answer.
            let asked = match proof.claim {
                Claim::Unspent { .. } => 51..51 + BODY_BYTES,
                Claim::Row { .. } => 51..51 + 32,
                _ => 0..0,
            };
            for at in 0..bytes.len() {
                for change in (0..8).map(|bit| 1 << bit).chain([0xff]) {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    let verdict = verify(&changed, network.genesis.header());
                    if !asked.contains(&at) {
                        assert!(verdict.is_err(), "byte {at} of {proof:?}: {verdict:?}");
                    } else if let Ok(other) = verdict {
                        let questions = [&good, &other].map(|statement| match &statement.fact {
                            Fact::NeverExecuted(unexecuted) => (unexecuted.body, unexecuted.id),
                            Fact::NotRegistered { fingerprint } | Fact::Attestation { fingerprint, .. } => {
                                let mut body = [0; BODY_BYTES];
                                body[..32].copy_from_slice(fingerprint);
                                (body, None)
                            }
                            fact => panic!("{fact:?}"),
                        });
                        assert_ne!(questions[0], questions[1], "byte {at}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_changed_byte_of_the_genesis_header_is_refused() {
    let (network, proofs) = proofs(0);
    let header = network.genesis.header();
    for proof in proofs {
        let bytes = proof.encode().unwrap();
        for at in 0..header.len() {
            for bit in 0..8 {
                let mut changed = header.to_vec();
                changed[at] ^= 1 << bit;
                let verdict = verify(&bytes, &changed);
                assert!(
                    matches!(verdict, Err(ProofError::Genesis(_) | ProofError::Network)),
                    "{at}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn a_proof_with_the_id_of_another_network_has_no_signatures_for_it() {
    let (network, proofs) = proofs(0);
    let mut other = Network::new("tests too", 4, &[(2, 13), (9, 5), (REGISTER, 4)]);
    other.block(&[]);
    for mut proof in proofs {
        assert_eq!(check(&other, &proof), Err(ProofError::Network));
        proof.network = other.genesis.network().0;
        let error = check(&other, &proof).unwrap_err();
        let of_signature = matches!(error, ProofError::Certificate(CertificateError::Signature { .. }));
        assert!(of_signature || error == ProofError::Leaf, "{error}");
        assert_eq!(check(&network, &proof), Err(ProofError::Network));
    }
}

#[test]
fn truncated_and_longer_proofs_are_refused() {
    let (network, proofs) = proofs(1);
    for proof in proofs {
        let bytes = proof.encode().unwrap();
        for end in 0..bytes.len() {
            let error = verify(&bytes[..end], network.genesis.header()).unwrap_err();
            assert!(matches!(error, ProofError::Form(FormError::Truncated { .. })), "{end}: {error}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(verify(&longer, network.genesis.header()), Err(ProofError::Form(FormError::Trailing(1))));
        let endless = std::vec![0; PROOF_BYTES_MAX + 1];
        assert_eq!(verify(&endless, network.genesis.header()), Err(ProofError::TooLong(PROOF_BYTES_MAX + 1)));
    }
    let header = network.genesis.header();
    for end in 0..header.len() {
        assert!(Genesis::decode(&header[..end]).is_err());
    }
    assert_eq!(Genesis::decode(&[header, &[0]].concat()), Err(FormError::Trailing(1)));
}

#[test]
fn each_wrong_part_has_its_error() {
    let mut network = network();
    let transfer = |nonce, expiry| network.transfer(2, 1, 2, nonce, expiry);
    let (spent, late) = (transfer(0, 2), transfer(9, 3));
    let foreign = network.transfer(9, 1, 2, 9, 2);
    let open = network.account(2, 12);
    let mut never = [network.never(&spent), network.never(&late), network.never(&foreign)];
    let good = network.close(open.clone(), 2);
    assert!(check(&network, &good).is_ok());
    let with = |change: &dyn Fn(&mut Proof)| {
        let mut proof = good.clone();
        change(&mut proof);
        check(&network, &proof).unwrap_err()
    };

    assert_eq!(with(&|proof| proof.height = 1), ProofError::NotCarried { height: 1 });
    assert_eq!(with(&|proof| proof.finality.state_root[0] ^= 1), ProofError::StateRoot);
    assert_eq!(with(&|proof| proof.finality.path.push([1; 32])), ProofError::StateRoot);
    assert_eq!(with(&|proof| proof.finality.carrier.roots.root[0] ^= 1), ProofError::StateRoot);
    assert_eq!(with(&|proof| proof.height_path.reverse()), ProofError::Height);
    assert_eq!(with(&|proof| proof.entry.chain = 9), ProofError::Entry);
    assert_eq!(with(&|proof| proof.entry.status = crate::ChainStatus::Paused), ProofError::Entry);
    assert_eq!(with(&|proof| proof.place += 1), ProofError::Entry);
    assert_eq!(with(&|proof| proof.chains += 1), ProofError::Height);
    assert_eq!(with(&|proof| proof.entry.transactions.size = 4), ProofError::Entry);
    let richer = |proof: &mut Proof| {
        let Claim::Account { account, .. } = &mut proof.claim else { panic!("an account") };
        account.balance += 1;
    };
    assert_eq!(with(&richer), ProofError::Leaf);
    let later = |change: &dyn Fn(&mut Later)| with(&|proof| change(proof.finality.later.as_mut().unwrap()));
    assert_eq!(with(&|proof| proof.finality.carrier.time_ms += 1), ProofError::Log);
    assert_eq!(with(&|proof| proof.finality.carrier.cut.root[0] ^= 1), ProofError::Log);
    assert_eq!(later(&|later| later.path.reverse()), ProofError::Log);
    assert_eq!(later(&|later| later.path.clear()), ProofError::Log);
    assert_eq!(later(&|later| later.header.height += 100), ProofError::Log);
    assert_eq!(later(&|later| later.header.log[0] ^= 1), ProofError::Log);
    assert_eq!(later(&|later| later.header.time_ms += 1), ProofError::OtherBlock);
    assert_eq!(with(&|proof| proof.finality.later = None), ProofError::OtherBlock);
    // A header is not in its own log, nor in that of an earlier one.
    let carrier = good.finality.carrier.clone();
    assert_eq!(later(&|later| later.header = carrier.clone()), ProofError::Log);
    let last = good.finality.last().clone();
    assert_eq!(with(&|proof| proof.finality.carrier = last.clone()), ProofError::NotCarried { height: 2 });
    let certificate = |signers: usize, change: &dyn Fn(&mut Certificate)| {
        let mut certificate = network.certificate(5, signers);
        change(&mut certificate);
        match with(&|proof| proof.finality.certificate = certificate.encode()) {
            ProofError::Certificate(error) => error,
            error => panic!("{error}"),
        }
    };
    assert_eq!(certificate(2, &|_| ()), CertificateError::Quorum { signed: 2, quorum: 3 });
    assert_eq!(certificate(3, &|c| c.epoch = 1), CertificateError::Epoch { found: 1, expected: 0 });
    assert_eq!(certificate(3, &|c| c.parent_view = 10), CertificateError::View { view: 10, parent: 10 });
    assert_eq!(
        certificate(3, &|c| c.signers.push(false)),
        CertificateError::Committee { found: 5, validators: 4 }
    );
    assert!(matches!(certificate(3, &|c| c.signatures.swap(0, 1)), CertificateError::Signature { .. }));
    assert!(matches!(certificate(3, &|c| c.signatures.truncate(2)), CertificateError::Form(_)));

    let bytes = good.encode().unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        verify(&bytes, network.genesis.header()).unwrap_err()
    };
    assert_eq!(changed(15, b'1'), ProofError::Magic);
    assert!(
        std::format!("{}.", ProofError::Magic).ends_with(&std::format!("version {}.", bytes[15] as char))
    );
    assert!(matches!(changed(48, 1), ProofError::Form(_)), "there is no change of the validators");
    assert_eq!(changed(50, 5), ProofError::Kind(5));

    never = never.map(|proof| Proof { finality: good.finality.clone(), ..proof });
    assert_eq!(check(&network, &never[0]), Err(ProofError::Spent(0)));
    assert_eq!(check(&network, &never[1]), Err(ProofError::NotExpired { expiry: 3, height: 2 }));
    let Claim::Account { account, path } = good.claim.clone() else { panic!("an account") };
    for body in [*foreign.body(), *spent.body()] {
        let claim = Claim::Unspent { body, account, path: path.clone() };
        assert_eq!(with(&|proof| proof.claim = claim.clone()), ProofError::OtherTransaction);
    }
    let mut odd = *late.body();
    odd[0] = 2;
    let claim = Claim::Unspent { body: odd, account, path };
    assert!(matches!(
        with(&|proof| proof.claim = claim.clone()),
        ProofError::Form(FormError::Invalid { .. })
    ));
}

#[test]
fn the_kinds_of_transactions_are_those_of_the_engine() {
    let known: Vec<u16> = (0..=u16::MAX).filter(|kind| kind_name(*kind).is_some()).collect();
    let engine = (TRANSFER_KIND..=CANCEL_KIND).chain(LINKED_KIND..=TAKE_KIND);
    assert_eq!(known, engine.collect::<Vec<_>>());
    let mut names: Vec<_> = known.iter().map(|kind| kind_name(*kind)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), known.len(), "each has its own");
}

#[test]
fn a_nonce_that_the_window_has_passed_proves_nothing() {
    let account = Account {
        id: 1,
        key: [1; 32],
        key_version: 1,
        balance: 0,
        window_base: 10,
        window_used: 0b101,
        flags: 0,
    };
    let nonces = [(9, Nonce::Passed), (10, Nonce::Spent), (11, Nonce::Unspent), (12, Nonce::Spent)];
    for (nonce, known) in
        nonces.into_iter().chain([(73, Nonce::Unspent), (74, Nonce::Unspent), (u64::MAX, Nonce::Unspent)])
    {
        assert_eq!(account.nonce(nonce), known, "{nonce}");
    }
}

#[test]
fn a_proof_at_another_height_has_another_root() {
    let mut network = network();
    let old = network.account(2, 12);
    let old = network.close(old, 0);
    let new = network.account(2, 12);
    let new = network.close(new, 0);
    assert_ne!(old.height, new.height);
    let mixed = Proof { finality: new.finality.clone(), ..old.clone() };
    assert_eq!(check(&network, &mixed), Err(ProofError::NotCarried { height: old.height }));
    let mixed = Proof { height: new.height, ..mixed };
    assert_eq!(check(&network, &mixed), Err(ProofError::Height));
}

#[test]
fn a_proof_is_below_4_kib_for_a_million_accounts_or_rows_16_chains_and_16_validators() {
    // 20 siblings for an account or a row, 5 for an entry, 11 signatures of 16; then 6 for a state root among 64, and
    // 20 for a header a million heights below.
    let (network, proofs) = proofs(0);
    for (mut proof, sizes) in [(proofs[0].clone(), (2_345, 3_386)), (proofs[3].clone(), (2_547, 3_588))] {
        let (Claim::Account { path, .. } | Claim::Row { path, .. }) = &mut proof.claim else {
            panic!("an account or a row")
        };
        *path = std::vec![[1; 32]; 20];
        (proof.height_path, proof.entry_path) = (std::vec![[2; 32]; 5], std::vec![[3; 32]; 5]);
        let mut certificate = network.certificate(3, 3);
        (certificate.view, certificate.parent_view) = (1 << 40, (1 << 40) - 1);
        certificate.signers = (0..16).map(|place| place < 11).collect();
        certificate.signatures = std::vec![[5; 64]; 11];
        proof.finality.certificate = certificate.encode();
        let one = proof.encode().unwrap().len();
        proof.finality.path = std::vec![[4; 32]; 6];
        let header = proof.finality.carrier.clone();
        proof.finality.later = Some(Later { path: std::vec![[6; 32]; 20], header });
        let two = proof.encode().unwrap().len();
        assert_eq!((one, two), sizes);
        assert!(two < 4_096, "whatever its block carries, and however far below the final one");
    }
}

#[test]
fn a_row_speaks_of_its_own_fingerprint_and_of_those_up_to_the_next() {
    let mut network = network();
    let good = network.row(print(5).0);
    let good = network.close(good, 0);
    let with = |change: &dyn Fn(&mut [u8; 32], &mut u64, &mut Row)| {
        let mut proof = good.clone();
        let Claim::Row { asked, position, row, .. } = &mut proof.claim else { panic!("a row") };
        change(asked, position, row);
        check(&network, &proof).map(|statement| statement.fact)
    };
    let absent = |of: u8| Ok(Fact::NotRegistered { fingerprint: print(of).0 });
    assert_eq!(with(&|asked, _, _| *asked = print(6).0), absent(6));
    assert_eq!(with(&|asked, _, _| *asked = print(7).0), Err(ProofError::OtherRow));
    assert_eq!(with(&|asked, _, _| *asked = print(4).0), Err(ProofError::OtherRow));
    assert_eq!(with(&|asked, _, _| *asked = [0; 32]), Err(ProofError::OwnRow));
    assert_eq!(with(&|_, position, _| *position += 1), Err(ProofError::Leaf));
    assert_eq!(with(&|_, _, row| row.next = print(9).0), Err(ProofError::Leaf));
    assert_eq!(with(&|_, _, row| row.value[16] ^= 1), Err(ProofError::Leaf));
    let first = network.row(print(1).0);
    let mut first = network.close(first, 0);
    let Claim::Row { asked, position: 0, row: Row { key: [0, ..], .. }, .. } = &mut first.claim else {
        panic!("the first row")
    };
    *asked = [0; 32];
    assert_eq!(check(&network, &first), Err(ProofError::OwnRow), "no fingerprint has only zeros");
    // A chain with money has none of these rows, whatever a proof says of them.
    let mut foreign = network.account(2, 12);
    foreign.claim = good.claim.clone();
    let foreign = network.close(foreign, 0);
    let what = "attestations and no proposals";
    assert_eq!(check(&network, &foreign), Err(ProofError::NoSuchRows { chain: 2, what }));
}
