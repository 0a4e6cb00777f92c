//! Questions to an archive.

use client::{ClientError, Cursor, FeedQuery, Occurrence};
use engine::types::Outcome;

use super::*;
use rig::CHAIN;

#[test]
fn blocks_transactions_proofs_and_feeds_come_out_of_an_archive() {
    let rig = rig::shared();
    let mut client = client(&rig.archive(), (*rig.genesis.network(), Height(0))).unwrap();
    let last = Archive::open(&rig.archive()).unwrap().last();
    for height in (1..=last.0).map(Height) {
        assert_eq!(client.block(height).unwrap().value.block.height(), height);
    }
    let beyond = client.block(last.next()).unwrap_err();
    assert!(matches!(&beyond, ClientError::NotFound { .. }), "{beyond}");
    assert!(beyond.to_string().contains(&format!("the archive ends with height {last}")), "{beyond}");
    let patience = std::time::Duration::ZERO;
    for (height, id) in rig.transactions.iter().filter(|(height, _)| *height < last) {
        for chain in [None, Some(CHAIN)] {
            let found = client.transaction(chain, id).unwrap().value;
            assert_eq!((found.transaction.height, found.transaction.outcome), (*height, Outcome::Applied));
        }
        let proof = client.prove_transaction(None, id, patience).unwrap();
        let statement = proof::verify(&proof.encode().unwrap(), rig.genesis.header()).unwrap();
        assert_eq!(statement.height, height.0);
    }
    let nowhere = engine::types::TransactionId([9; 32]);
    assert!(matches!(client.transaction(None, &nowhere), Err(ClientError::NotFound { .. })));
    // A payment and its arrival are the same event of a chain.
    let query = FeedQuery { chain: CHAIN, from: Cursor::START, account: None, reference: None, max: 1_000 };
    let feed = client.feed(&query).unwrap().value;
    let told = feed.events.iter().filter_map(|event| match &event.what {
        Occurrence::Transaction { id, .. } => Some((event.at.height, *id)),
        Occurrence::Effect(_) => None,
    });
    let told: std::collections::BTreeSet<_> = told.collect();
    assert!(rig.transactions.iter().filter(|(height, _)| *height <= last).all(|first| told.contains(first)));
    assert_eq!(feed.next.height, last.next());
}

/// The header that carries a root is in the next block, which is not there yet.
#[test]
fn a_proof_whose_end_is_not_archived_yet_is_not_waited_for() {
    let mut rig = Rig::new();
    (0..3).for_each(|_| rig.commit(1, true));
    pass(&rig, 1 << 20);
    let mut client = client(&rig.archive(), (*rig.genesis.network(), Height(0))).unwrap();
    let (_, last) = rig.transactions[2];
    assert!(client.transaction(None, &last).is_ok());
    let open = client.prove_transaction(None, &last, std::time::Duration::from_secs(3_600)).unwrap_err();
    assert!(open.to_string().contains("the archive ends with height 3"), "{open}");
}

#[test]
fn what_was_moved_away_or_is_damaged_is_said() {
    let mut rig = Rig::new();
    (0..30).for_each(|_| rig.commit(3, true));
    pass(&rig, 4_000);
    let all = files(&rig.archive());
    assert!(all.len() > 3);
    let (_, second_file) = heights_of(all[1].file_name().unwrap().to_str().unwrap()).unwrap();
    let network = *rig.genesis.network();
    let bytes = fs::read(&all[1]).unwrap();
    fs::remove_file(&all[1]).unwrap();
    let mut partial = client(&rig.archive(), (network, Height(0))).unwrap();
    let missing = partial.block(second_file).unwrap_err();
    assert!(missing.to_string().contains("it was moved, so bring it back"), "{missing}");
    let (_, gone) = rig.transactions[second_file.0 as usize - 1];
    let missing = partial.transaction(None, &gone).unwrap_err();
    assert!(missing.to_string().contains(&format!("to {second_file} are not here")), "{missing}");
    assert!(partial.block(Height(1)).is_ok() && partial.block(second_file.next()).is_ok());
    let mut changed = bytes;
    changed[200] ^= 1;
    fs::write(&all[1], changed).unwrap();
    let mut damaged = client(&rig.archive(), (network, Height(0))).unwrap();
    let error = damaged.block(second_file).unwrap_err();
    assert!(
        matches!(&error, ClientError::Unavailable { reason, .. } if reason.contains("is damaged at byte")),
        "{error}"
    );
    assert!(client(&rig.path("nothing"), (network, Height(0))).is_err());
}
