//! Proofs of what a chain keeps of accounts: safeguards, changes in their lock windows, and keys that they had.

use std::string::ToString as _;
use std::vec::Vec;

use engine::types::{
    AccountId, AccountRecord as EngineRecord, Approval as EngineApproval, ChainId, Change as EngineChange,
    EncodedSafeguards, Height, OldKey as EngineOldKey, Pending as EnginePending, Protect, Rekey,
    Safeguards as EngineSafeguards, new_key_message, old_key_key, record_key,
};
use proptest::prelude::*;

use super::check;
use super::network::{Network, QUICK, account_key};
use crate::*;

const OWNER: AccountId = AccountId(1);
const RECOVERY_KEY: [u8; 32] = [9; 32];

fn said(network: &mut Network, key: [u8; 32]) -> Result<Statement, ProofError> {
    let open = network.row_of(QUICK, key);
    let proof = network.close(open, 0);
    check(network, &proof)
}

fn safeguards() -> EngineSafeguards {
    let guardians = [2, 3].map(AccountId).into();
    EngineSafeguards { recovery_key: Some(RECOVERY_KEY), threshold: 2, guardians }
}

/// Account 1 names who can give it another key.
fn protect(network: &mut Network) {
    let encoded = safeguards().encode();
    let protect = Protect {
        chain: ChainId(QUICK),
        key_version: 1,
        reference: [0; 12],
        account: OWNER,
        safeguards: EncodedSafeguards::read(&encoded).unwrap(),
        nonce: 0,
        expiry: Height(1_000),
    };
    let signed = protect.sign(network.genesis.network(), |message| account_key(1).sign(message)).unwrap();
    network.block(signed.run().packets());
}

/// Account 1 asks for the key of account 40.
fn rekey(network: &mut Network) {
    let (id, key) = (*network.genesis.network(), account_key(40));
    let public = key.public_key();
    let possession = key.sign(&new_key_message(&id, (ChainId(QUICK), OWNER), &public));
    let rekey = Rekey {
        chain: ChainId(QUICK),
        key_version: 1,
        reference: [0; 12],
        account: OWNER,
        key: &public,
        possession: &possession,
        nonce: 1,
        expiry: Height(1_000),
    };
    let signed = rekey.sign(&id, |message| account_key(1).sign(message)).unwrap();
    network.block(signed.run().packets());
}

/// Time passes until every lock window is over.
fn wait(network: &mut Network) {
    for _ in 0..4 {
        network.time_ms += 1_000;
        network.block(&[]);
    }
}

#[test]
fn what_a_chain_keeps_of_an_account_is_proved_and_that_it_keeps_nothing() {
    let mut network = Network::new("records", 4, &[(QUICK, 5)]);
    network.time_ms = 1_800_000_000_000;
    protect(&mut network);
    let begun = said(&mut network, record_key(OWNER)).unwrap();
    let Fact::Record { account: 1, record: Some(record) } = &begun.fact else { panic!("{begun:?}") };
    let Some(Pending { change: Change::Safeguards(of), by_recovery: false, begun: 1, due_ms }) =
        &record.pending
    else {
        panic!("{record:?}")
    };
    assert_eq!((of.recovery_key, of.threshold, &of.guardians[..]), (Some(RECOVERY_KEY), 2, &[2, 3][..]));
    assert!(*due_ms > 1_800_000_000_000 && record.safeguards.guardians.is_empty());
    assert!(begun.to_string().ends_with(
        "account 1 of chain 12 had the key with which it began, no safeguards, and change 1 in its lock window"
    ));

    wait(&mut network);
    rekey(&mut network);
    wait(&mut network);
    let after = said(&mut network, record_key(OWNER)).unwrap();
    let Fact::Record { record: Some(record), .. } = &after.fact else { panic!("{after:?}") };
    assert_eq!((record.changes, &record.pending, record.safeguards.threshold), (2, &None, 2));
    let words = std::format!(
        "account 1 of chain 12 had its key since height {}, a recovery key and 2 of 2 guardians, and no change in its \
         lock window (2 begun so far)",
        record.key_since
    );
    assert!(after.to_string().ends_with(&words), "{after}");

    let first = said(&mut network, old_key_key(OWNER, 1)).unwrap();
    let key = Some(OldKey { key: account_key(1).public_key(), since: 0, until: record.key_since });
    assert_eq!(first.fact, Fact::OldKey { account: 1, version: 1, key });
    let words =
        std::format!("(version 1) from its beginning until height {} gave it the next one", record.key_since);
    assert!(first.to_string().ends_with(&words), "{first}");
    // The present key has no such row, nor has the key of one who never changed it.
    for (account, version) in [(1, 2), (4, 1)] {
        let present = said(&mut network, old_key_key(AccountId(account), version)).unwrap();
        assert_eq!(present.fact, Fact::OldKey { account, version, key: None });
    }
    let nothing = said(&mut network, record_key(AccountId(4))).unwrap();
    assert_eq!(nothing.fact, Fact::Record { account: 4, record: None });
    assert!(nothing.to_string().ends_with("closing of account 4 of chain 12 was ever begun"), "{nothing}");
    // Of an account that is not there nothing is said, not even that nothing is kept of it.
    let none = Err(ProofError::NoAccount { account: 5, accounts: 5 });
    assert_eq!(said(&mut network, record_key(AccountId(5))), none);
    assert_eq!(said(&mut network, old_key_key(AccountId(5), 1)), none);
    // The lock clock has a row, and no proof speaks of it.
    assert_eq!(said(&mut network, engine::types::CLOCK_KEY), Err(ProofError::OwnRow));
}

#[test]
fn the_record_of_one_account_is_not_that_of_another() {
    let mut network = Network::new("records", 4, &[(QUICK, 5)]);
    protect(&mut network);
    let mut other = network.row_of(QUICK, record_key(OWNER));
    for (account, verdict) in [
        // The row shows that those above it have none.
        (2, Ok(Fact::Record { account: 2, record: None })),
        (0, Err(ProofError::OtherRow)),
    ] {
        let Claim::Row { asked, .. } = &mut other.claim else { panic!("a row") };
        *asked = record_key(AccountId(account));
        let proof = network.close(other.clone(), 0);
        assert_eq!(check(&network, &proof).map(|said| said.fact), verdict);
    }
}

fn any_safeguards() -> impl Strategy<Value = EngineSafeguards> {
    let guardians = proptest::collection::btree_set(0..20_u64, 0..=8_usize);
    (any::<Option<[u8; 32]>>(), guardians, any::<u8>()).prop_map(|(recovery_key, guardians, threshold)| {
        let guardians: Vec<_> = guardians.into_iter().map(AccountId).collect();
        let threshold = guardians.len().min(1 + usize::from(threshold) % 8) as u8;
        EngineSafeguards { recovery_key, threshold, guardians }
    })
}

fn any_record() -> impl Strategy<Value = EngineRecord> {
    let change = prop_oneof![
        any::<[u8; 32]>().prop_map(EngineChange::Key),
        any_safeguards().prop_map(EngineChange::Safeguards),
        Just(EngineChange::Close),
    ];
    let pending =
        (change, any::<bool>(), any::<[u64; 2]>()).prop_map(|(change, by_recovery, [begun, due_ms])| {
            EnginePending { change, by_recovery, begun: Height(begun), due_ms }
        });
    let approvals = proptest::collection::vec(any::<(u64, [u8; 32])>(), 0..=8);
    (any::<[u64; 2]>(), any_safeguards(), proptest::option::of(pending), approvals).prop_map(
        |([changes, since], safeguards, pending, approvals)| {
            let approval = |(guardian, (until_ms, key))| EngineApproval { guardian, until_ms, key };
            EngineRecord {
                changes,
                key_since: Height(since),
                safeguards,
                pending,
                approvals: (0..).zip(approvals).map(approval).collect(),
            }
        },
    )
}

fn same_safeguards(ours: &Safeguards, theirs: &EngineSafeguards) -> bool {
    ours.recovery_key == theirs.recovery_key
        && ours.threshold == theirs.threshold
        && ours.guardians.iter().copied().eq(theirs.guardians.iter().map(|of| of.0))
}

fn same_record(ours: &AccountRecord, theirs: &EngineRecord) -> bool {
    let same_change = |ours: &Change, theirs: &EngineChange| match (ours, theirs) {
        (Change::Key(ours), EngineChange::Key(theirs)) => ours == theirs,
        (Change::Safeguards(ours), EngineChange::Safeguards(theirs)) => same_safeguards(ours, theirs),
        (Change::Close, EngineChange::Close) => true,
        _ => false,
    };
    let same_pending = match (&ours.pending, &theirs.pending) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => {
            same_change(&ours.change, &theirs.change)
                && (ours.by_recovery, ours.begun, ours.due_ms)
                    == (theirs.by_recovery, theirs.begun.0, theirs.due_ms)
        }
        _ => false,
    };
    let approvals = ours.approvals.iter().map(|of| (of.guardian, of.until_ms, of.key));
    (ours.changes, ours.key_since) == (theirs.changes, theirs.key_since.0)
        && same_safeguards(&ours.safeguards, &theirs.safeguards)
        && same_pending
        && approvals.eq(theirs.approvals.iter().map(|of| (of.guardian, of.until_ms, of.key)))
}

proptest! {
    #[test]
    fn both_read_the_bytes_of_a_record_alike(
        of in any_record(), at in any::<prop::sample::Index>(), byte in 0..4_u8, changes in any::<bool>(),
    ) {
        let mut value = of.encode();
        let at = at.index(value.len());
        if changes {
            value[at] = byte;
        }
        match (AccountRecord::decode(&value), EngineRecord::decode(&value)) {
            (Ok(ours), Some(theirs)) => prop_assert!(same_record(&ours, &theirs), "{ours:?}, {theirs:?}"),
            (Err(_), None) => prop_assert!(changes),
            (ours, theirs) => prop_assert!(false, "one takes what the other refuses: {ours:?}, {theirs:?}"),
        }
    }

    #[test]
    fn both_read_the_bytes_of_an_old_key_alike(key in any::<[u8; 32]>(), heights in any::<[u64; 2]>(), more in 0..2_usize) {
        let [since, until] = heights;
        let theirs = EngineOldKey { key, since: Height(since), until: Height(until) };
        let mut value = theirs.encode();
        value.extend(core::iter::repeat_n(0, more));
        let read = (more == 0).then_some(OldKey { key, since, until });
        prop_assert_eq!(OldKey::decode(&value).ok(), read);
    }
}
