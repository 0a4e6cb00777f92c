//! Accounts with other keys, and new ones: who signed what, as of which height.

use super::*;
use crate::types::{Packet, Rekey, new_key_message};

/// Account 5 with the key of number 60; its possession is `spoilt`, if that is said.
fn rekey(scene: &Scene, spoilt: bool) -> Transaction {
    let (network, account) = (scene.genesis.network(), AccountId(5));
    let new = signing_key(60);
    let mut possession = new.sign(&new_key_message(network, (CHAIN, account), &new.public_key()));
    possession[40] ^= u8::from(spoilt);
    let (key, possession) = (&new.public_key(), &possession);
    let (reference, expiry) = ([0; 12], Height(100));
    let rekey = Rekey { chain: CHAIN, key_version: 1, reference, account, key, possession, nonce: 0, expiry };
    rekey.sign(network, |message| signing_key(5).sign(message)).unwrap()
}

/// The key counts from height 4 on: times of these blocks are a second apart.
fn replaced(spoilt: bool) -> Scene {
    let mut scene = Scene::new();
    scene.block_ms = 1_000;
    let rekey = rekey(&scene, spoilt);
    let batch = scene.batch(rekey.run().packets());
    scene.commit(&[batch], |_| {});
    (0..3).for_each(|_| scene.commit(&[], |_| {}));
    scene
}

fn pays(scene: &Scene, key: u64, key_version: u32, nonce: u64) -> Packet {
    let transfer = scene.transfer(5, 1, nonce).run().transfer().unwrap();
    let transfer = Transfer { key_version, ..transfer };
    transfer.sign(scene.genesis.network(), |message| signing_key(key).sign(message))
}

#[test]
fn an_account_signs_with_its_new_key_from_its_height_on() {
    let mut scene = replaced(false);
    // The old key is admissible for good; what becomes of it is for execution to say.
    let batch = scene.batch_as_of(&[pays(&scene, 60, 2, 1), pays(&scene, 5, 1, 2)], 4);
    scene.commit(&[batch], |_| {});
    let report = scene.audit();
    assert_eq!(report.finding, None);
    assert_eq!((report.changes, report.applied, report.transactions, report.signatures), (1, 1, 3, 4));
    assert_eq!(report.failed.keys().collect::<Vec<_>>(), ["wrong key version"]);
    for (as_of, key, version, words) in [
        (3, 60, 2, "a key that account 5 had as of height 3"),
        (4, 60, 3, "a key that account 5 had as of height 4"),
        (4, 5, 2, "a signature of account 5"),
        (4, 60, 1, "a signature of account 5"),
    ] {
        let mut scene = replaced(false);
        let packet = pays(&scene, key, version, 1);
        scene.batch_as_of(&[packet], as_of);
        assert!(scene.finding().expected.contains(words), "{words}: {:?}", scene.finding());
    }
    let finding = replaced(true).finding();
    assert!(finding.expected.contains("a signature of the key"), "{finding:?}");
}

/// Accounts with these keys, opened by account 3; the possession of each is `spoilt`, if that is said.
fn opening(scene: &Scene, keys: &[u64], spoilt: bool) -> Transaction {
    let network = scene.genesis.network();
    let encode = |number: &u64| {
        let key = signing_key(*number);
        let message = possession_message(network, CHAIN, AccountId(3), &key.public_key());
        let mut possession = key.sign(&message);
        possession[40] ^= u8::from(spoilt);
        NewAccount { key: &key.public_key(), possession: &possession }.encode()
    };
    let encoded: Vec<_> = keys.iter().map(encode).collect();
    let opening = Opening {
        chain: CHAIN,
        key_version: 1,
        reference: [0; 12],
        registrar: AccountId(3),
        accounts: NewAccounts::of(&encoded),
        nonce: 0,
        expiry: Height(100),
    };
    opening.sign(network, |message| signing_key(3).sign(message)).unwrap()
}

#[test]
fn accounts_that_are_opened_sign_from_then_on() {
    // The account behind those of the genesis, with the key of number 50.
    let pays = |scene: &Scene, debit, key: u64| {
        let transfer = scene.transfer(5, 1, 9).run().transfer().unwrap();
        let transfer = Transfer { debit: AccountId(debit), ..transfer };
        transfer.sign(scene.genesis.network(), |message| signing_key(key).sign(message))
    };
    let opened = |spoilt| {
        let mut scene = Scene::new();
        let opening = opening(&scene, &[50, 51], spoilt);
        let batch = scene.batch(opening.run().packets());
        scene.commit(&[batch], |_| {});
        scene
    };
    let mut scene = opened(false);
    let batch = scene.batch_as_of(&[pays(&scene, ACCOUNTS, 50), scene.transfer(7, 1, 0)], 1);
    scene.commit(&[batch], |_| {});
    let report = scene.audit();
    assert_eq!(report.finding, None);
    assert_eq!((report.opened, report.applied, report.transactions, report.signatures), (2, 1, 3, 5));
    assert_eq!(report.failed.keys().collect::<Vec<_>>(), ["insufficient balance"]);

    for (as_of, debit, key, words) in [
        (0, ACCOUNTS, 50, "an account below"),
        (1, ACCOUNTS + 2, 50, "an account below"),
        (1, ACCOUNTS, 51, "a signature of account"),
        (2, ACCOUNTS, 50, "a height up to 1"),
    ] {
        let mut scene = opened(false);
        let packet = pays(&scene, debit, key);
        scene.batch_as_of(&[packet], as_of);
        assert!(scene.finding().expected.contains(words), "{words}: {:?}", scene.finding());
    }
    let finding = opened(true).finding();
    assert!(finding.expected.contains("a signature of the key"), "{finding:?}");
}
