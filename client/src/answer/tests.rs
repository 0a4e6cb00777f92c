use super::*;
use engine::roots::{ChainEntry, ChainEntryProof, Ledger, StateRoot, TransactionProof, TransactionTree};
use engine::types::{
    AccountGenesis, Asset, ChainGenesis, ChainKind, CryptoSuite, Genesis, Link, Outcome, Packet, Refusal,
    Roles, Sequence, Transfer, ValidatorGenesis, ValidatorIndex, record_key,
};
use engine::wire::answers::StatusAnswer;
use serde::Serialize;

const CHAIN: ChainId = ChainId(1);
const NETWORK: Digest = Digest([5; 32]);
const AS_OF: AsOf = AsOf { height: Height(9), behind: Some(300) };

fn answered(answer: &impl Serialize) -> RawAnswer {
    RawAnswer { id: 1, as_of: AS_OF, body: serde_json::to_vec(answer).unwrap().into() }
}

#[test]
fn an_answer_is_read_with_its_height_and_a_failure_in_the_validators_words() {
    let place = TransactionAnswer { packet: "00".into(), ..transaction() };
    let read = answered(&place).read::<TransactionAnswer>().unwrap();
    assert_eq!(read, Answer { as_of: AS_OF, value: place });

    let missing =
        answered(&ErrorAnswer::not_found("there is no such block")).read::<BlockAnswer>().unwrap_err();
    assert!(matches!(missing, ClientError::NotFound { as_of: AS_OF, .. }));
    let text = missing.to_string();
    assert!(text.contains("no such block (at height 9; the validator is 300 blocks behind)"), "{text}");
    let later = answered(&ErrorAnswer::unavailable("too many questions")).read::<BlockAnswer>().unwrap_err();
    assert!(matches!(later, ClientError::Unavailable { as_of: AS_OF, .. }));
    for body in ["", "{}", "[1]", "{\"committed\":"] {
        let raw = RawAnswer { id: 1, as_of: AS_OF, body: Bytes::from_static(body.as_bytes()) };
        assert!(matches!(raw.read::<StatusAnswer>(), Err(ClientError::Unreadable(_))), "{body:?}");
    }
}

#[test]
fn a_feed_is_taken_only_in_order_and_as_asked_for() {
    let transfer = Transfer {
        chain: CHAIN,
        key_version: 0,
        reference: [7; 12],
        debit: AccountId(1),
        credit_chain: None,
        credit: AccountId(2),
        amount: 5,
        nonce: 0,
        expiry: Height(9),
    };
    let packet = transfer.sign(&NETWORK, |_| [0; 64]);
    let crossing = Transfer { credit_chain: Some(ChainId(2)), ..transfer }.sign(&NETWORK, |_| [0; 64]);
    let event = |place, packet: &Packet, happening| FeedEvent {
        at: Cursor { height: Height(3), place },
        item: answers::FeedItem::Transaction {
            id: packet.id(&NETWORK),
            happening,
            packet: hex::encode(packet.0),
        },
    };
    let applied = Happening::Executed { outcome: Outcome::Applied };
    let good = FeedAnswer {
        events: vec![event(0, &packet, applied), event(4, &packet, applied)],
        next: Cursor::at(AS_OF.height.next()),
    };
    let query = FeedQuery {
        chain: CHAIN,
        from: Cursor::START,
        account: Some(AccountId(2)),
        reference: Some([7; 12]),
        max: 2,
    };
    let read = |value: FeedAnswer, query: &FeedQuery| {
        let json = serde_json::to_vec(&value).unwrap();
        let value = serde_json::from_slice(&json).unwrap();
        feed_of(&Answer { as_of: AS_OF, value }, &NETWORK, query)
    };
    let feed = read(good.clone(), &query).unwrap();
    let Occurrence::Transaction { signed, .. } = &feed.events[1].what else { panic!("{feed:?}") };
    assert_eq!((feed.next, feed.events.len(), signed.run().packets()), (good.next, 2, &[packet][..]));
    type Change = fn(&mut FeedAnswer);
    fn told(event: &mut FeedEvent) -> (&mut Happening, &mut String) {
        match &mut event.item {
            answers::FeedItem::Transaction { happening, packet, .. } => (happening, packet),
            answers::FeedItem::Effect(effect) => panic!("{effect:?}"),
        }
    }
    let changes: [(&str, Change); 7] = [
        ("other bytes", |answer| told(&mut answer.events[0]).1.replace_range(80..82, "77")),
        ("no packet", |answer| told(&mut answer.events[0]).1.truncate(254)),
        ("one place twice", |answer| answer.events[1].at = answer.events[0].at),
        ("not committed", |answer| answer.events[1].at.height = Height(10)),
        ("of another account", |answer| {
            *told(&mut answer.events[1]).0 = Happening::Executed { outcome: Outcome::InsufficientBalance };
        }),
        ("a cursor behind its events", |answer| answer.next = answer.events[1].at),
        ("a cursor far ahead", |answer| answer.next = Cursor::at(Height(11))),
    ];
    for (why, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(read(bad, &query).is_err(), "{why}");
    }
    let other = [
        FeedQuery { chain: ChainId(2), ..query },
        FeedQuery { from: Cursor { height: Height(3), place: 1 }, ..query },
        FeedQuery { reference: Some([8; 12]), ..query },
        FeedQuery { max: 1, ..query },
    ];
    for query in other {
        assert!(read(good.clone(), &query).is_err(), "{query:?}");
    }
    // What takes effect by itself has no reference, and may be of another account.
    let effect = |payer, next| FeedAnswer {
        events: vec![FeedEvent {
            at: Cursor { height: Height(3), place: 0 },
            item: answers::FeedItem::Effect(Effect::Released {
                payer: AccountId(payer),
                nonce: 4,
                amount: 5,
            }),
        }],
        next,
    };
    let unreferenced = FeedQuery { reference: None, ..query };
    let feed = read(effect(2, good.next), &unreferenced).unwrap();
    let released = Effect::Released { payer: AccountId(2), nonce: 4, amount: 5 };
    assert_eq!(feed.events[0].what, Occurrence::Effect(released));
    assert!(read(effect(3, good.next), &unreferenced).is_err());
    assert!(read(effect(3, good.next), &FeedQuery { account: None, ..unreferenced }).is_ok());
    assert!(read(effect(2, good.next), &query).is_err());
    let arrived = FeedAnswer { events: vec![event(0, &crossing, Happening::Credited)], ..good };
    assert!(read(arrived.clone(), &FeedQuery { chain: ChainId(2), ..query }).is_ok());
    assert!(read(arrived, &query).is_err(), "the money arrived on another chain");
}

#[test]
fn an_account_is_taken_only_as_asked_for_proved_and_at_its_height() {
    let accounts = (0..5).map(|i| AccountGenesis { public_key: [i + 1; 32], balance: 100 }).collect();
    let chain = ChainGenesis {
        id: CHAIN,
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts,
    };
    let validator =
        ValidatorGenesis { name: "one".into(), public_key: [1; 32], certificate_fingerprint: [2; 32] };
    let ledger = Ledger::genesis(&Genesis::new("proofs".into(), vec![validator], vec![chain]).unwrap());
    let proof = ledger.prove_account(CHAIN, AccountId(3)).unwrap();
    let record = ledger.prove_row(CHAIN, &record_key(AccountId(3)));
    let value = AccountAnswer { state_root: *ledger.state_root().digest(), proof, record };
    let good = Answer { as_of: AsOf { height: Height(0), behind: Some(0) }, value };
    assert!(check_account(&good, CHAIN, AccountId(3)).is_ok());
    assert!(matches!(check_account(&good, CHAIN, AccountId(2)), Err(ClientError::Mismatch(_))));
    assert!(matches!(check_account(&good, ChainId(2), AccountId(3)), Err(ClientError::Mismatch(_))));
    let elsewhere = Answer { as_of: AS_OF, ..good.clone() };
    assert!(matches!(check_account(&elsewhere, CHAIN, AccountId(3)), Err(ClientError::Mismatch(_))));
    let mut other_record = good.clone();
    other_record.value.record.as_mut().unwrap().next = Digest([1; 32]);
    assert!(matches!(
        check_account(&other_record, CHAIN, AccountId(3)),
        Err(ClientError::Proof { what: "record of the account", .. })
    ));
    let mut without = good.clone();
    without.value.record = None;
    assert!(matches!(check_account(&without, CHAIN, AccountId(3)), Err(ClientError::Mismatch(_))));
    let mut richer = good;
    richer.value.proof.balance += 1;
    assert!(matches!(
        check_account(&richer, CHAIN, AccountId(3)),
        Err(ClientError::Proof { what: "account", .. })
    ));
}

#[test]
fn a_row_is_taken_only_as_asked_for_proved_and_at_its_height() {
    let of = |answer: Answer<AttestationAnswer>| Answer {
        as_of: answer.as_of,
        value: RowAnswer { state_root: answer.value.state_root, proof: answer.value.proof },
    };
    let good = of(row([b"five", b"eight"], 1));
    assert!(check_row(&good, CHAIN, &[5; 32]).is_ok());
    assert!(check_row(&good, CHAIN, &[6; 32]).is_ok(), "there is none up to the next");
    for (chain, key) in [(CHAIN, [8; 32]), (CHAIN, [4; 32]), (ChainId(2), [5; 32])] {
        assert!(matches!(check_row(&good, chain, &key), Err(ClientError::Mismatch(_))), "{chain} {key:?}");
    }
    let elsewhere = Answer { as_of: AsOf { height: Height(1), ..AS_OF }, ..good.clone() };
    assert!(matches!(check_row(&elsewhere, CHAIN, &[5; 32]), Err(ClientError::Mismatch(_))));
    let mut other = good;
    other.value.proof.value[0] ^= 1;
    assert!(matches!(check_row(&other, CHAIN, &[5; 32]), Err(ClientError::Proof { what: "row", .. })));
}

/// Fingerprint 5 is registered with data, and fingerprint 8 refers to it with the hash of some.
fn attestations() -> [Attestation; 2] {
    let (owner, hash) = ((AccountId(3), Height(2)), Data::Hash(Digest([6; 32])));
    [
        (5, (7, Link::None, Data::Inline(b"data").summary())),
        (8, (7, Link::RefersTo(Fingerprint([5; 32])), hash.summary())),
    ]
    .map(|(of, said)| Attestation::register(&Fingerprint([of; 32]), owner, said, Digest::default()))
}

/// The first leaf of a state root over one chain.
fn height_leaf(height: Height) -> Vec<u8> {
    [&height.0.to_le_bytes()[..], &1_u32.to_le_bytes()].concat()
}

/// What a validator answers from a table of these values, whose rows are those of the fingerprints 0, 5 and 8, with the
/// row at a place.
fn row(values: [&[u8]; 2], place: usize) -> Answer<AttestationAnswer> {
    let [none, five, eight] = [0, 5, 8].map(|of| Digest([of; 32]));
    let rows = [(none, five, &[][..]), (five, eight, values[0]), (eight, none, values[1])];
    let leaves = rows.map(|(key, next, value)| [&key.0, &next.0, value].concat());
    let hashes = leaves.map(|leaf| kernels::merkle::leaf_hash(&leaf));
    let table_root = Digest(kernels::merkle::root(&hashes));
    let entry = ChainEntry { chain: CHAIN, table_root, rows: 3, ..ChainEntry::default() };
    let leaves = [&height_leaf(AS_OF.height)[..], &entry.leaf()].map(kernels::merkle::leaf_hash);
    let state_root = Digest(kernels::merkle::root(&leaves));
    let root = StateRoot::recorded(AS_OF.height, vec![entry], &state_root).unwrap();
    let (entry, entry_path) = root.prove(CHAIN).unwrap();
    let chain = ChainEntryProof { height: AS_OF.height, height_path: root.prove_height(), entry, entry_path };
    let path = kernels::merkle::prove(&hashes, place as u64).unwrap().into();
    let (key, next, value) = rows[place];
    let proof = RowProof { key, next, value: value.to_vec(), path, chain };
    Answer { as_of: AS_OF, value: AttestationAnswer { state_root, proof, transaction: None, data: None } }
}

#[test]
fn a_fingerprint_is_taken_only_as_asked_for_proved_and_at_its_height() {
    let [five, eight] = attestations();
    let values = [&five.encode()[..], &eight.encode()];
    let found = |place, of| attestation_of(row(values, place), CHAIN, &Fingerprint([of; 32]));
    assert_eq!(found(1, 5).unwrap().value.attestation, Some(five));
    assert_eq!(found(2, 8).unwrap().value.attestation, Some(eight));
    for (place, of) in [(0, 4), (1, 6), (2, 9)] {
        assert_eq!(found(place, of).unwrap().value.attestation, None, "{of}");
    }
    for (place, of) in [(0, 5), (1, 4), (1, 8), (2, 5), (2, 0)] {
        assert!(matches!(found(place, of), Err(ClientError::Mismatch(_))), "row {place} of {of}");
    }
    // The first row is there, and says nothing of the fingerprint that no owner can have.
    assert!(matches!(found(0, 0), Err(ClientError::Unreadable(_))));

    let asked = Fingerprint([5; 32]);
    let other = attestation_of(row(values, 1), ChainId(2), &asked);
    assert!(matches!(other, Err(ClientError::Mismatch(_))));
    let elsewhere = Answer { as_of: AsOf { height: Height(8), behind: None }, ..row(values, 1) };
    assert!(matches!(attestation_of(elsewhere, CHAIN, &asked), Err(ClientError::Mismatch(_))));
    type Change = fn(&mut RowProof);
    let changes: [Change; 4] = [
        |proof| proof.value[16] ^= 1,
        |proof| proof.next = Digest([7; 32]),
        |proof| proof.path.index += 1,
        |proof| proof.chain.entry.rows += 1,
    ];
    for change in changes {
        let mut spoiled = row(values, 1);
        change(&mut spoiled.value.proof);
        let refused = attestation_of(spoiled, CHAIN, &asked);
        assert!(matches!(refused, Err(ClientError::Proof { what: "attestation", .. })), "{refused:?}");
    }
    let odd = attestation_of(row([b"no attestation", values[1]], 1), CHAIN, &asked);
    assert!(matches!(odd, Err(ClientError::Unreadable(_))));
}

#[test]
fn data_is_taken_only_with_the_hash_that_is_proved() {
    let [five, eight] = attestations();
    let values = [&five.encode()[..], &eight.encode()];
    let sent = |place, of, data: &str| {
        let mut answer = row(values, place);
        (answer.value.transaction, answer.value.data) = (Some(transaction().id), Some(data.to_owned()));
        attestation_of(answer, CHAIN, &Fingerprint([of; 32]))
    };
    let found = sent(1, 5, &hex::encode("data")).unwrap().value;
    assert_eq!((found.data.as_deref(), found.transaction), (Some(&b"data"[..]), Some(transaction().id)));
    // Other data; nothing at all; data of which the chain has only a hash.
    for (place, of, data) in [(1, 5, "dat"), (1, 5, ""), (2, 8, "data")] {
        let refused = sent(place, of, &hex::encode(data));
        assert!(matches!(refused, Err(ClientError::Mismatch(_))), "{data:?} of {of}: {refused:?}");
    }
    assert!(matches!(sent(1, 5, "data"), Err(ClientError::Unreadable(_))), "not hexadecimal");
    // Of what is not registered there is neither a transaction nor data.
    let absent = row(values, 1).value;
    for answer in [
        AttestationAnswer { transaction: Some(transaction().id), ..absent.clone() },
        AttestationAnswer { data: Some(hex::encode("data")), ..absent },
    ] {
        let refused = attestation_of(Answer { as_of: AS_OF, value: answer }, CHAIN, &Fingerprint([6; 32]));
        assert!(matches!(refused, Err(ClientError::Mismatch(_))), "{refused:?}");
    }
}

fn packet() -> Packet {
    let transfer = Transfer {
        chain: CHAIN,
        key_version: 1,
        reference: [0; 12],
        debit: AccountId(1),
        credit_chain: None,
        credit: AccountId(2),
        amount: 5,
        nonce: 0,
        expiry: Height(99),
    };
    transfer.sign(&NETWORK, |_| [7; 64])
}

/// What a truthful validator answers of [`packet`], the only one in the block at height 4.
fn transaction() -> TransactionAnswer {
    TransactionAnswer {
        id: packet().id(&NETWORK),
        chain: CHAIN,
        height: Height(4),
        position: 0,
        outcome: Outcome::Expired,
        author: ValidatorIndex(2),
        sequence: Sequence(1),
        packet: hex::encode(packet().0),
        opened: None,
        crossing: None,
    }
}

/// The proof that goes with [`transaction`].
fn proved() -> ProofAnswer {
    let tree = TransactionTree::new(&NETWORK, [&[packet()][..]].into_iter(), &[Outcome::Expired]);
    let entry = ChainEntry {
        chain: CHAIN,
        transactions_root: tree.root(),
        transactions: 1,
        accounts_root: Digest([8; 32]),
        ..ChainEntry::default()
    };
    let leaves = [&height_leaf(Height(4))[..], &entry.leaf()].map(kernels::merkle::leaf_hash);
    let state_root = Digest(kernels::merkle::root(&leaves));
    let root = StateRoot::recorded(Height(4), vec![entry], &state_root).unwrap();
    ProofAnswer { state_root, proof: TransactionProof::new(&root, CHAIN, &tree, 0).unwrap() }
}

#[test]
fn a_proof_is_taken_only_as_asked_for_and_of_a_committed_height() {
    let id = transaction().id;
    let good = Answer { as_of: AS_OF, value: proved() };
    assert!(check_proof(&good, CHAIN, &id).is_ok());
    assert!(matches!(check_proof(&good, CHAIN, &TransactionId([0; 32])), Err(ClientError::Mismatch(_))));
    assert!(matches!(check_proof(&good, ChainId(2), &id), Err(ClientError::Mismatch(_))));
    let early = Answer { as_of: AsOf { height: Height(3), behind: None }, ..good.clone() };
    assert!(matches!(check_proof(&early, CHAIN, &id), Err(ClientError::Mismatch(_))));
    let mut prettier = good;
    prettier.value.proof.outcome = Outcome::Applied;
    assert!(matches!(
        check_proof(&prettier, CHAIN, &id),
        Err(ClientError::Proof { what: "transaction", .. })
    ));
}

#[test]
fn a_transaction_is_taken_only_with_its_own_bytes_and_the_proof_of_what_is_said() {
    let (good, proof) = (transaction(), proved());
    let id = good.id;
    assert_eq!(signed_of(&good, &NETWORK, None, &id).unwrap().run().packets(), [packet()]);
    assert!(signed_of(&good, &NETWORK, Some(CHAIN), &id).is_ok());
    let mut other = packet();
    other.0[40] ^= 1;
    let spoiled = [
        (TransactionAnswer { packet: hex::encode(other.0), ..good.clone() }, NETWORK, None),
        (TransactionAnswer { packet: hex::encode([1; 127]), ..good.clone() }, NETWORK, None),
        (TransactionAnswer { id: TransactionId([1; 32]), ..good.clone() }, NETWORK, None),
        (TransactionAnswer { chain: ChainId(2), ..good.clone() }, NETWORK, None),
        (good.clone(), NETWORK, Some(ChainId(2))),
        (good.clone(), Digest([6; 32]), None),
    ];
    for (answer, network, chain) in spoiled {
        let refused = signed_of(&answer, &network, chain, &id);
        assert!(matches!(refused, Err(ClientError::Mismatch(_))), "{refused:?}");
    }
    let unreadable = TransactionAnswer { packet: "xyz".into(), ..good.clone() };
    assert!(matches!(signed_of(&unreadable, &NETWORK, None, &id), Err(ClientError::Unreadable(_))));

    assert!(check_same(&good, &proof).is_ok());
    for answer in [
        TransactionAnswer { outcome: Outcome::Applied, ..good.clone() },
        TransactionAnswer { height: Height(5), ..good.clone() },
        TransactionAnswer { position: 1, ..good },
    ] {
        assert!(matches!(check_same(&answer, &proof), Err(ClientError::Mismatch(_))));
    }
}

#[test]
fn a_verdict_is_held_against_the_block() {
    let id = transaction().id;
    let found = || {
        Ok(FoundTransaction {
            transaction: transaction(),
            signed: packet().run().transaction().unwrap(),
            proof: proved(),
        })
    };
    assert!(compare(&id, Verdict::Failed(Outcome::Expired), found()).is_ok());
    for told in [Verdict::Committed, Verdict::Failed(Outcome::Replayed), Verdict::Refused(Refusal::Busy)] {
        let error = compare(&id, told, found()).unwrap_err();
        assert!(
            matches!(&error, ClientError::Contradiction { found, .. } if found.contains("height 4")),
            "{error}"
        );
    }
    let missing = Err(ClientError::NotFound { reason: "no block has it".into(), as_of: AS_OF });
    let error = compare(&id, Verdict::Committed, missing).unwrap_err();
    assert!(matches!(error, ClientError::Contradiction { .. }), "{error}");
    // What could not be asked contradicts nothing.
    let error = compare(&id, Verdict::Committed, Err(ClientError::Rejected("full".into()))).unwrap_err();
    assert!(matches!(error, ClientError::Rejected(_)), "{error}");
}
