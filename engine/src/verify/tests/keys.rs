//! Keys that change: who signs from which height on, and what shows that a new key is wanted.

use super::*;

/// A room whose accounts of chain 3 get other keys after a second.
fn quick_room() -> Room {
    let windows = LockWindows { rekey_seconds: 1, recovery_seconds: 2 };
    let writer =
        StateWriter::genesis(&ChainGenesis { roles: Roles { windows, ..Roles::default() }, ..chain(3) });
    let counter = Arc::new(AtomicU64::new(0));
    let chains = Chains::new([Arc::clone(writer.state())]);
    Room { verifier: Verifier::new(NETWORK, chains, authors(), Arc::clone(&counter)), writer, counter }
}

impl Room {
    /// A block with these transactions, a second after the one before.
    fn execute(&mut self, transactions: &[&Transaction]) {
        let packets: Vec<_> = transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
        let ids: Vec<_> = transactions.iter().map(|one| one.id(&NETWORK).0).collect();
        let at = crate::execute::tests::at(self.writer.height().next());
        let block = (!packets.is_empty()).then(|| Verified::assumed(batch(3, 1, &packets)));
        let delta = self.writer.execute(at, &[], block.as_slice(), &ids);
        assert!(
            delta.outcomes().iter().all(|outcome| *outcome == Outcome::Applied),
            "{:?}",
            delta.outcomes()
        );
    }
}

fn signed_rekey(account: u64, to: &SigningKey, nonce: u64) -> Transaction {
    let (chain, account_id, new) = (ChainId(3), AccountId(account), to.public_key());
    let possession = to.sign(&new_key_message(&NETWORK, (chain, account_id), &new));
    let Transfer { key_version, reference, expiry, .. } = good(nonce);
    let (key_, possession) = (&new, &possession);
    let rekey =
        Rekey { chain, key_version, reference, account: account_id, key: key_, possession, nonce, expiry };
    rekey.sign(&NETWORK, |message| key(account).sign(message)).unwrap()
}

#[test]
fn a_batch_is_judged_by_the_keys_of_its_height_and_a_client_by_the_present_one() {
    let mut room = quick_room();
    let new = SigningKey::from_seed([77; 32]);
    room.execute(&[&signed_rekey(1, &new, 0)]);
    (0..3).for_each(|_| room.execute(&[]));
    assert_eq!(room.writer.state().key(AccountId(1)).unwrap().encoded, new.public_key());
    let by = |key: &SigningKey, key_version| {
        let transfer = Transfer { debit: AccountId(1), key_version, ..good(1) };
        transfer.sign(&NETWORK, |message| key.sign(message))
    };
    let (with_old, with_new) = (by(&key(1), 1), by(&new, 2));
    let as_of = |packet: &Packet, height| {
        let sections = [BatchSection { chain: ChainId(3), packets: 1 }];
        let sign = |message: &[u8]| author_key().sign(message);
        Batch::seal(
            &NETWORK,
            (Epoch(0), SEALER),
            &Head::NONE,
            Height(height),
            &sections,
            [packet].into_iter(),
            sign,
        )
    };
    // The key counts from height 4 on. What was admissible stays so: what becomes of it is for execution to say.
    for height in [0, 3, 4, 5] {
        assert_eq!(room.check(as_of(&with_old, height)), Ok(()), "height {height}");
        let expected = if height < 4 { Err((0, BatchFault::WrongKeyVersion)) } else { Ok(()) };
        assert_eq!(room.check(as_of(&with_new, height)), expected, "height {height}");
    }
    let crossed = [by(&key(1), 2), by(&new, 1)];
    for packet in crossed {
        assert_eq!(room.check(as_of(&packet, 9)), Err((0, BatchFault::BadSignature)));
    }
    assert_eq!(room.check(as_of(&by(&new, 3), 9)), Err((0, BatchFault::WrongKeyVersion)));
    let wrong = Some(Refusal::WrongKeyVersion);
    // The block that gave the key is not on the disk here yet: a batch could not name its height.
    assert_eq!(room.submit(3, &[with_old, with_new]), [wrong, wrong]);
    assert_eq!(room.submit(4, &[with_old, with_new]), [wrong, None]);
}

#[test]
fn who_gives_a_new_key_shows_that_the_key_wants_it_and_that_it_may() {
    let mut room = quick_room();
    let (new, safe) = (SigningKey::from_seed([77; 32]), SigningKey::from_seed([78; 32]));
    let rekey = signed_rekey(1, &new, 0);
    let (chain, account) = (ChainId(3), AccountId(1));
    let (new_key, safe_key) = (new.public_key(), safe.public_key());
    let possession = new.sign(&new_key_message(&NETWORK, (chain, account), &new_key));
    let signature = safe.sign(&recovery_message(&NETWORK, (chain, account), &new_key, 5));
    let Transfer { key_version, reference, expiry, .. } = good(0);
    let recover = Recover {
        chain,
        key_version,
        reference,
        signer: AccountId(2),
        account,
        changes: 5,
        key: &new_key,
        possession: &possession,
        recovery: Some((&safe_key, &signature)),
        nonce: 0,
        expiry,
    };
    let recover = recover.sign(&NETWORK, |message| key(2).sign(message)).unwrap();
    let spoiled = |one: &Transaction, at: usize, signer: u64| {
        let mut bytes = one.bytes().to_vec();
        bytes[at] ^= 1;
        let unsigned = Transaction::from_bytes(&bytes).unwrap();
        let signature = key(signer).sign(&unsigned.run().message(&NETWORK));
        bytes[64..128].copy_from_slice(&signature);
        Transaction::from_bytes(&bytes).unwrap()
    };
    assert_eq!(room.submit_runs(0, rekey.run().packets()), [None]);
    assert_eq!(room.submit_runs(0, recover.run().packets()), [None]);
    // Key and possession; account, changes, key, possession, recovery key and its signature.
    let places = [(&rekey, 1, &[0, 32, 95][..]), (&recover, 2, &[0, 8, 16, 48, 112, 144, 207])];
    for (one, signer, offsets) in places {
        for at in offsets {
            let spoiled = spoiled(one, 128 + at, signer);
            let told = room.submit_runs(0, spoiled.run().packets());
            assert!(
                matches!(told[..], [Some(Refusal::BadSignature | Refusal::UnknownAccount)]),
                "{at}: {told:?}"
            );
            let refused = room.check(batch(3, 1, spoiled.run().packets()));
            assert_eq!(refused, Err((0, BatchFault::BadSignature)), "{at}");
        }
    }
    let counted = room.counter.load(Relaxed);
    let packets = [rekey.run().packets(), &[signed(good(0))], recover.run().packets()].concat();
    assert_eq!(room.check(batch(3, 1, &packets)), Ok(()));
    assert_eq!(room.counter.load(Relaxed) - counted, 2 + 1 + 3 + 1, "and the author");
}
