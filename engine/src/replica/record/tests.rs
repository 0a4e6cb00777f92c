use super::*;
use crate::types::{AccountId, ChangeKind, Epoch, RULES_FIRST, member};
use proptest::prelude::*;

fn members(count: u8) -> Members {
    Members { epoch: Epoch(1), rules: RULES_FIRST, list: (1..=count).map(member).collect() }
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn effect() -> impl Strategy<Value = Effect> {
    let changed = prop_oneof![Just(ChangeKind::Key), Just(ChangeKind::Safeguards), Just(ChangeKind::Closing)];
    prop_oneof![
        digest().prop_map(|proposal| Effect::InEffect { proposal }),
        (any::<[u64; 2]>(), changed, any::<bool>()).prop_map(|([account, change], what, stands)| {
            Effect::Changed { account: AccountId(account), change, what, stands }
        }),
        any::<[u64; 3]>().prop_map(|[payer, nonce, amount]| {
            Effect::Released { payer: AccountId(payer), nonce, amount }
        }),
    ]
}

prop_compose! {
    fn chain()(
        entry in any::<[u8; CHAIN_ENTRY_BYTES]>(), kind in 1u8..=3, status in 0u8..=2,
        failures in prop::collection::vec((any::<u32>(), 1u8..=11), 0..5),
        returned in prop::collection::vec((any::<[u8; 32]>(), 1u8..=11), 0..5),
        effects in prop::collection::vec(effect(), 0..5),
    ) -> ChainRecord {
        let outcome = |outcome| Outcome::try_from(outcome).unwrap();
        let failures = failures.into_iter().map(|(at, code)| (at, outcome(code))).collect();
        let returned = returned.into_iter().map(|(id, code)| (TransactionId(id), outcome(code))).collect();
        let mut entry = entry;
        (entry[4], entry[5], entry[6]) = (kind, 0, status);
        ChainRecord { entry: ChainEntry::parse(&entry).unwrap(), failures, returned, effects }
    }
}

prop_compose! {
    fn record()(
        height in any::<u64>(), delta_digest in digest(), state_root in digest(),
        block in prop::collection::vec(any::<u8>(), 0..200), certificate in prop::collection::vec(any::<u8>(), 0..50),
        members in prop::option::of((1_u8..5).prop_map(members)),
        batches in prop::collection::vec(any::<u64>().prop_map(Position::from_raw), 0..6),
        chains in prop::collection::vec(chain(), 0..4),
    ) -> CommittedBlock {
        let height = Height(height);
        CommittedBlock { height, delta_digest, state_root, block, certificate, members, batches, chains }
    }
}

proptest! {
    #[test]
    fn a_record_survives_its_encoding(record in record()) {
        prop_assert_eq!(CommittedBlock::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn every_cut_is_noticed(record in record(), cut in any::<prop::sample::Index>()) {
        let bytes = record.encode();
        let cut = cut.index(bytes.len());
        prop_assert!(matches!(CommittedBlock::decode(&bytes[..cut]), Err(RecordError::Truncated { .. })), "cut at {}", cut);
    }

    #[test]
    fn trailing_bytes_are_noticed(record in record(), extra in 1usize..9) {
        let mut bytes = record.encode();
        bytes.resize(bytes.len() + extra, 0);
        prop_assert_eq!(CommittedBlock::decode(&bytes), Err(RecordError::Trailing { extra }));
    }
}

#[test]
fn a_boot_is_a_number_and_whether_it_was_done() {
    let boot = |number, bits: u8| Boot {
        number,
        done: bits & 1 != 0,
        lost: bits & 2 != 0,
        counterpart_lost: bits & 4 != 0,
    };
    for boot in (0..8).map(|bits| boot(1 << (5 * bits), bits)).chain([Boot::LEARNT]) {
        assert_eq!(Boot::decode(&boot.encode()), Ok(boot));
    }
    assert_eq!(Boot::decode(&[1; 8]), Err(RecordError::Truncated { field: "boot phase", at: 8 }));
    assert_eq!(Boot::decode(&[1; 10]), Err(RecordError::Trailing { extra: 1 }));
}

#[test]
fn an_unknown_outcome_or_effect_is_refused() {
    let chain = ChainRecord {
        entry: ChainEntry { transactions: 1, ..ChainEntry::default() },
        failures: Vec::new(),
        returned: vec![(TransactionId([5; 32]), Outcome::UnknownCredit)],
        effects: vec![Effect::InEffect { proposal: Digest([6; 32]) }],
    };
    let record = CommittedBlock {
        height: Height(1),
        delta_digest: Digest([3; 32]),
        state_root: Digest([4; 32]),
        block: vec![],
        batches: vec![Position::from_raw(8), Position::from_raw(1 << 40)],
        certificate: vec![],
        members: Some(members(1)),
        chains: vec![chain],
    };
    let bytes = record.encode();
    // Behind block and certificate, which are empty, the number of members stands behind their epoch.
    let mut nobody = bytes.clone();
    nobody[72 + 3 * 4 + 8] = 0;
    assert_eq!(CommittedBlock::decode(&nobody), Err(RecordError::Members));
    // The effect has 33 bytes, and its count 4.
    let with = |from_end: usize, byte: u8| {
        let mut bytes = bytes.clone();
        let at = bytes.len() - from_end;
        bytes[at] = byte;
        CommittedBlock::decode(&bytes)
    };
    assert_eq!(with(1, 7).map(|record| record.chains[0].effects.len()), Ok(1));
    assert_eq!(with(38, 200), Err(RecordError::Outcome(200)));
    assert_eq!(with(33, 200), Err(RecordError::Effect));
}
