//! Accounts with other keys: who signed what, as of which height.

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
