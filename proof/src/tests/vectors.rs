//! The vectors of `sdk/vectors`, by which programs in other languages are held to this code: signatures at the edges of
//! ZIP-215, signed transactions, and proofs with what they say.
//!
//! The files are what this code makes. `MILLRACE_WRITE_VECTORS=1 cargo test -p proof vectors` writes them anew.

use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use engine::types::{
    AccountId, Attest, ChainId, Data, Digest as EngineDigest, Height, Link, Linked, Payment, Payments,
    Registration, Registrations, Revoke, Transaction, Transfer,
};
use kernels::ed25519::{self, SigningKey};
use kernels::sha2::{sha256, sha512_parts};
use serde_json::{Value, json};

use super::network::{GOVERNANCE, Network, REGISTER};
use super::{epochs, histories, print, proofs};
use crate::*;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/vectors").join(name)
}

/// Holds a file to what this code makes: a list with a line for each vector.
fn hold(name: &str, about: &str, vectors: &[Value]) {
    let lines: Vec<String> = vectors.iter().map(|vector| std::format!("    {vector}")).collect();
    let text = std::format!(
        "{{\n  \"about\": {},\n  \"vectors\": [\n{}\n  ]\n}}\n",
        json!(about),
        lines.join(",\n")
    );
    if std::env::var_os("MILLRACE_WRITE_VECTORS").is_some() {
        std::fs::write(file(name), &text).unwrap();
    }
    let found = std::fs::read_to_string(file(name)).unwrap_or_default();
    let same = found == text;
    assert!(same, "{name} is not what this code makes: MILLRACE_WRITE_VECTORS=1 cargo test -p proof vectors");
}

/// Every encoding of every point of small order, and all others whose `y` is written with `p` added.
fn edge_encodings() -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    all.extend((0..=18).map(|k| {
        let mut above = [0xff; 32];
        (above[0], above[31]) = (0xed + k, 0x7f);
        above
    }));
    let signed = all.clone().into_iter().map(|mut encoding| {
        encoding[31] ^= 0x80;
        encoding
    });
    all.extend(signed);
    all.sort_unstable();
    all.dedup();
    all
}

fn signature(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s);
    signature
}

/// Scalars around the order of the group, and far above it.
fn edge_scalars() -> [[u8; 32]; 5] {
    let below = (-Scalar::ONE).to_bytes();
    let mut order = below;
    order[0] += 1;
    let mut above = order;
    above[0] += 1;
    [[0; 32], below, order, above, [0xff; 32]]
}

/// What it is about, key, message, signature.
type Signature<'a> = (&'a str, [u8; 32], Vec<u8>, [u8; 64]);

#[test]
fn signatures_at_the_edges() {
    let mut cases: Vec<Signature<'_>> = Vec::new();
    for number in 0..4_u8 {
        let key = SigningKey::from_seed([number; 32]);
        let message = std::vec![number; usize::from(number) * 50];
        let good = key.sign(&message);
        cases.push(("good", key.public_key(), message.clone(), good));
        for at in [0, 31, 32, 62] {
            let mut bad = good;
            bad[at] ^= 1 << number;
            cases.push(("a bit is wrong", key.public_key(), message.clone(), bad));
        }
    }
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    for edge in edge_encodings() {
        let message = b"Zcash".to_vec();
        cases.push(("edge as the key", edge, message.clone(), signature(&identity, &[0; 32])));
        cases.push(("edge as R", identity, message, signature(&edge, &[0; 32])));
    }
    for s in edge_scalars() {
        let r = (ED25519_BASEPOINT_POINT * Scalar::from_bytes_mod_order(s)).compress().to_bytes();
        cases.push(("scalar at the edge", identity, std::vec![1, 2, 3], signature(&r, &s)));
    }
    for (i, of_key) in EIGHT_TORSION.iter().enumerate() {
        for (j, of_r) in EIGHT_TORSION.iter().enumerate() {
            let (a, r) =
                (Scalar::from(0x1234_5678_9abc_def1 + i as u64), Scalar::from(0xfeed_beef * (j as u64 + 1)));
            let key = (ED25519_BASEPOINT_POINT * a + of_key).compress().to_bytes();
            let point = (ED25519_BASEPOINT_POINT * r + of_r).compress().to_bytes();
            let message = std::vec![i as u8, j as u8];
            let k = Scalar::from_bytes_mod_order_wide(&sha512_parts(&[&point, &key, &message]));
            cases.push(("mixed order", key, message, signature(&point, (r + k * a).as_bytes())));
        }
    }
    let verdicts = cases.iter().map(|(_, key, message, signature)| ed25519::verify(key, message, signature));
    let vectors: Vec<Value> = cases
        .iter()
        .zip(verdicts)
        .map(|((about, key, message, signature), valid)| {
            let [key, message, signature] = [&key[..], message, &signature[..]].map(hex::encode);
            json!({ "about": about, "key": key, "message": message, "signature": signature, "valid": valid })
        })
        .collect();
    let valid = vectors.iter().filter(|vector| vector["valid"] == true).count();
    assert!(
        valid > 80 && vectors.len() - valid > 60,
        "both verdicts are there: {valid} of {}",
        vectors.len()
    );
    hold("signatures.json", "Ed25519 by the rules of ZIP-215", &vectors);
}

#[test]
fn signed_transactions() {
    let seed = std::array::from_fn(|at| at as u8);
    let (key, network) = (SigningKey::from_seed(seed), EngineDigest([0x11; 32]));
    let sign = |message: &[u8]| key.sign(message);
    let (chain, reference, nonce, expiry) = (ChainId(1), *b"invoice 17\0\0", 3, Height(1_004));
    let fields = json!({
        "chain": 1, "account": 9, "key_version": 2, "reference": "invoice 17", "nonce": 3, "expiry": 1_004,
    });
    let mut vectors = Vec::new();
    let mut add = |about: &str, more: Value, signed: &Transaction| {
        let mut vector = json!({
            "about": about,
            "seed": hex::encode(seed),
            "public_key": hex::encode(key.public_key()),
            "network": network.to_string(),
            "id": signed.id(&network).to_string(),
            "bytes": hex::encode(signed.run().packets().iter().flat_map(|packet| packet.0).collect::<Vec<u8>>()),
        });
        let members = vector.as_object_mut().unwrap();
        members.extend(fields.as_object().unwrap().clone());
        members.extend(more.as_object().unwrap().clone());
        vectors.push(vector);
    };
    for (about, credit_chain, amount) in [
        ("a transfer", None, 25),
        ("a transfer to another chain", Some(ChainId(7)), 25),
        ("the largest amount", None, u64::MAX),
    ] {
        let transfer = Transfer {
            chain,
            key_version: 2,
            reference,
            debit: AccountId(9),
            credit_chain,
            credit: AccountId(8),
            amount,
            nonce,
            expiry,
        };
        let signed = Transaction::from_bytes(&transfer.sign(&network, sign).0).unwrap();
        let credit_chain = credit_chain.map(|chain| chain.0);
        let more = json!({ "credit": 8, "amount": amount.to_string(), "credit_chain": credit_chain });
        add(about, more, &signed);
    }
    let payments = [(1, 5), (2, u64::MAX), (1, 7)];
    let payments = payments.map(|(credit, amount)| Payment { to: AccountId(credit), amount }.encode());
    let linked = Linked {
        chain,
        key_version: 2,
        reference,
        debit: AccountId(9),
        payments: Payments::of(&payments),
        memo: b"rent",
        nonce,
        expiry,
    };
    let more = json!({ "payments": [[1, "5"], [2, u64::MAX.to_string()], [1, "7"]], "memo": "rent" });
    add("linked transfers", more, &linked.sign(&network, sign).unwrap());
    let hash = EngineDigest(sha256(b"data"));
    let of = |fingerprint: u8, kind, link, data| Registration {
        fingerprint: print(fingerprint),
        kind,
        link,
        data,
    };
    let lists: [(&str, Vec<Registration<'_>>, Value); 4] = [
        (
            "one fingerprint: its payload leaves room in a packet",
            std::vec![of(1, 5, Link::None, Data::None)],
            json!([{ "fingerprint": hex::encode([1; 32]), "type": 5 }]),
        ),
        (
            "a fingerprint with data that refers to another one",
            std::vec![of(2, 0, Link::RefersTo(print(1)), Data::Inline(b"data"))],
            json!([{ "fingerprint": hex::encode([2; 32]), "refers_to": hex::encode([1; 32]), "data": hex::encode("data") }]),
        ),
        (
            "a fingerprint that supersedes another one, and one with the hash of data",
            std::vec![
                of(3, 7, Link::Supersedes(print(2)), Data::None),
                of(4, 0, Link::None, Data::Hash(hash))
            ],
            json!([
                { "fingerprint": hex::encode([3; 32]), "type": 7, "supersedes": hex::encode([2; 32]) },
                { "fingerprint": hex::encode([4; 32]), "data_hash": hex::encode(hash.0) },
            ]),
        ),
        (
            "a payload that fills its packets",
            std::vec![of(5, 0, Link::None, Data::Inline(&[9; 86]))],
            json!([{ "fingerprint": hex::encode([5; 32]), "data": hex::encode([9; 86]) }]),
        ),
    ];
    for (about, list, registrations) in lists {
        let mut encoded = Vec::new();
        list.iter().for_each(|one| one.encode(&mut encoded).unwrap());
        let attest = Attest {
            chain,
            key_version: 2,
            reference,
            owner: AccountId(9),
            registrations: Registrations::read(list.len(), &encoded).unwrap(),
            nonce,
            expiry,
        };
        add(about, json!({ "registrations": registrations }), &attest.sign(&network, sign).unwrap());
    }
    let revoke = Revoke {
        chain,
        key_version: 2,
        reference,
        owner: AccountId(9),
        reason: 6,
        fingerprints: &[[1; 32], [2; 32]],
        nonce,
        expiry,
    };
    let revoked = json!({ "reason": 6, "revoked": [hex::encode([1; 32]), hex::encode([2; 32])] });
    add("a revocation", revoked, &revoke.sign(&network, sign).unwrap());
    hold("transactions.json", "Signed transactions, as docs/WIRE.md has them", &vectors);
}

fn attested(fingerprint: &Digest, of: &Attestation) -> Value {
    let hexed = |of: Option<Digest>| of.map(hex::encode);
    let (status, ended, by, reason) = match of.status {
        Status::InForce => ("in force", None, None, 0),
        Status::Superseded { at, by } => ("superseded", Some(at), Some(by), 0),
        Status::Revoked { at, reason } => ("revoked", Some(at), None, reason),
    };
    json!({
        "fact": "attestation",
        "fingerprint": hex::encode(fingerprint),
        "status": status,
        "owner": of.owner,
        "registered": of.registered,
        "ended": ended,
        "type": of.kind,
        "refers_to": hexed(of.refers_to),
        "supersedes": hexed(of.supersedes),
        "superseded_by": hexed(by),
        "reason": reason,
        "data_hash": hexed(of.data_hash),
        "data_bytes": of.data_bytes,
    })
}

/// What is proved, in the words of the packages; nothing where they do not read it.
fn said(fact: &Fact) -> Value {
    match fact {
        Fact::Account(of) => json!({
            "fact": "account",
            "account": of.id,
            "key": hex::encode(of.key),
            "key_version": of.key_version,
            "balance": of.balance,
            "window_base": of.window_base,
            "window_used": of.window_used.to_string(),
            "flags": of.flags,
        }),
        Fact::Transaction { id, outcome, position, .. } => {
            json!({ "fact": "transaction", "id": hex::encode(id), "code": outcome, "position": position })
        }
        Fact::NeverExecuted(of) => json!({
            "fact": "never",
            "body": hex::encode(of.body),
            "kind": of.kind,
            "account": of.account,
            "nonce": of.nonce,
            "expiry": of.expiry,
        }),
        Fact::Attestation { fingerprint, attestation } => attested(fingerprint, attestation),
        Fact::NotRegistered { fingerprint } => {
            json!({ "fact": "not registered", "fingerprint": hex::encode(fingerprint) })
        }
        _ => Value::Null,
    }
}

fn stated(of: &Statement) -> Value {
    json!({
        "network": hex::encode(of.network),
        "network_name": of.network_name,
        "chain": of.chain,
        "kind": of.kind.name(),
        "status": of.status.name(),
        "height": of.height,
        "final_height": of.final_height,
        "final_time_ms": of.final_time_ms,
        "epoch": of.epoch,
        "signed": of.signed,
        "validators": of.validators,
        "fact": said(&of.fact),
    })
}

fn vector(about: &str, network: &Network, proof: &Proof) -> Value {
    let (bytes, genesis) = (proof.encode().unwrap(), network.genesis.header());
    let says = stated(&verify(&bytes, genesis).unwrap());
    json!({ "about": about, "proof": hex::encode(bytes), "genesis": hex::encode(genesis), "says": says })
}

#[test]
fn proofs_and_what_they_say() {
    let mut vectors = Vec::new();
    for (about, more) in [("certified itself", 0), ("under a certificate far above", 300)] {
        let (network, all) = proofs(more);
        vectors.extend(all.iter().map(|proof| vector(about, &network, proof)));
    }
    for changes in [1, 3] {
        let mut network = epochs::changed(changes);
        let proof = epochs::proof(&mut network);
        vectors.push(vector("over changes of the validators", &network, &proof));
    }
    let mut network = epochs::changed(1);
    let others =
        [(3, CHARTER_KEY), (GOVERNANCE, ADMINISTRATORS_KEY)].map(|(chain, key)| network.row_of(chain, key));
    for open in others {
        let proof = network.close(open, 0);
        vectors.push(vector("a row that the packages do not read", &network, &proof));
    }
    for is_revoked in [false, true] {
        let (bytes, genesis, proved) = histories::whole(is_revoked);
        let earlier: Vec<Value> =
            proved.earlier.iter().map(|(of, attestation)| attested(of, attestation)).collect();
        vectors.push(json!({
            "about": "a history",
            "history": hex::encode(bytes),
            "genesis": hex::encode(genesis),
            "says": stated(&proved.last),
            "earlier": earlier,
        }));
    }
    assert!(vectors.iter().any(|vector| vector["says"]["chain"] == REGISTER));
    hold("proofs.json", "Proofs of docs/PROOFS.md, and what they say", &vectors);
}
