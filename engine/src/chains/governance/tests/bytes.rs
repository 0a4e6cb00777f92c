//! Decisions and rows have one encoding.

use super::*;

proptest! {
    #[test]
    fn decisions_have_one_encoding(decision in any_decision(), more in any::<u8>(), cut in any::<prop::sample::Index>()) {
        prop_assume!(decision.is_valid());
        let bytes = decision.encode();
        prop_assert!(bytes.len() <= crate::limits::DECISION_BYTES_MAX);
        prop_assert_eq!(Decision::decode(&bytes), Some(decision));
        prop_assert_eq!(Decision::decode(&[&bytes[..], &[more]].concat()), None);
        prop_assert_eq!(Decision::decode(&bytes[..cut.index(bytes.len())]), None);
    }

    #[test]
    fn bytes_that_are_a_decision_are_its_encoding(bytes in vec(prop_oneof![3 => 0..7_u8, 1 => any::<u8>()], 0..120)) {
        if let Some(decision) = Decision::decode(&bytes) {
            prop_assert_eq!(decision.encode(), bytes);
        }
    }

    #[test]
    fn rows_of_governance_have_one_encoding(
        decision in any_decision(), numbers in any::<[u64; 3]>(), decided in any::<bool>(), more in any::<u8>(), status in 0..3_u8,
    ) {
        prop_assume!(decision.is_valid());
        let record = ProposalRecord {
            administrators: numbers[0],
            until_ms: numbers[1],
            approvals: (0..numbers[2] % 17).rev().map(AccountId).collect(),
            decided: decided.then_some((numbers[1], Height(numbers[2]))),
            decision,
        };
        let bytes = record.encode();
        prop_assert!(bytes.len() <= crate::limits::ROW_VALUE_BYTES_MAX);
        prop_assert_eq!(ProposalRecord::decode(&bytes), Some(record.clone()));
        prop_assert_eq!(ProposalRecord::decode(&[&bytes[..], &[more]].concat()), None);
        if let Decision::Create(new) = &record.decision {
            let charter = Charter {
                status: ChainStatus::of(status).unwrap(),
                since: Height(numbers[0]),
                supply: numbers[1],
                ..Charter::from(new)
            };
            let bytes = charter.encode();
            prop_assert_eq!(Charter::decode(&bytes), Some(charter));
            prop_assert_eq!(Charter::decode(&bytes[1..]), None);
            prop_assert_eq!(Charter::decode(&[&bytes[..], &[more]].concat()), None);
        }
    }
}
