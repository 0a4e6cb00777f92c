use super::*;
use crate::mempool::Origin;
use crate::roots::{Ledger, StateRoot};
use crate::store::{Log, LogKind, Options, Owner};
use crate::types::{
    AccountGenesis, Asset, ChainGenesis, ChainId, ChainKind, CryptoSuite, Genesis, Height, Outcome, Refusal,
    Roles, ValidatorGenesis, Verdict,
};
use crate::wire::Notice;

const OWNER: Owner = Owner { network: [0; 32], validator: [0; 32], log: LogKind::Journal };

fn origin(connection: u64, tag: u64) -> Origin {
    Origin { connection, tag, received_us: 0, verified_us: 0 }
}

fn notice(tag: u64, verdict: Verdict) -> Notice {
    Notice { tag, verdict }
}

fn state_root() -> StateRoot {
    let account = AccountGenesis { public_key: [1; 32], balance: 5 };
    let (id, kind, suite) = (ChainId(0), ChainKind::Transfers, CryptoSuite::Ed25519);
    let chain = ChainGenesis {
        id,
        kind,
        suite,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts: vec![account],
    };
    let validator =
        ValidatorGenesis { name: "v".into(), public_key: [1; 32], certificate_fingerprint: [2; 32] };
    let genesis = Genesis::new("receipts".into(), vec![validator], vec![chain]).unwrap();
    Ledger::genesis(&genesis).execute(crate::types::ChainTime::new(Height(1), 0), &[]).state_root
}

/// A receipt of height 1, over a real log.
fn receipt() -> Receipt {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), Options::new(OWNER)).unwrap();
    let position = log.append(1, &[b"height 1"]).unwrap();
    let durable = log.wait_durable(position).unwrap();
    Receipt::mint(&durable, position, &state_root()).unwrap()
}

#[test]
fn there_is_no_receipt_before_the_record_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), Options::new(OWNER)).unwrap();
    let root = state_root();
    let first = log.append(1, &[b"height 1"]).unwrap();
    let durable = log.wait_durable(first).unwrap();
    let second = log.append(1, &[b"height 2"]).unwrap();
    assert_eq!(Receipt::mint(&durable, second, &root), None, "that evidence is older than the record");
    let receipt = Receipt::mint(&durable, first, &root).unwrap();
    assert_eq!((receipt.height(), receipt.state_root()), (Height(1), root.digest()));
}

#[test]
fn notices_are_gathered_by_connection_in_order() {
    let mut book = NoticeBook::new();
    book.refused([(2, 90, Refusal::Busy)].into_iter());
    let origins = [origin(2, 7), origin(2, 8), origin(1, 7), origin(2, 9)];
    let outcomes = [Outcome::Applied, Outcome::Replayed, Outcome::Applied, Outcome::Applied];
    book.executed(&receipt(), Height(1), &origins, &outcomes);
    assert!(!book.is_empty());
    let failed = Verdict::Failed(Outcome::Replayed);
    let expected = [
        (1, vec![notice(7, Verdict::Committed)]),
        (
            2,
            vec![
                notice(90, Verdict::Refused(Refusal::Busy)),
                notice(7, Verdict::Committed),
                notice(8, failed),
                notice(9, Verdict::Committed),
            ],
        ),
    ];
    assert_eq!(book.drain().collect::<Vec<_>>(), expected);
    assert!(book.is_empty());
}

#[test]
#[should_panic(expected = "another height")]
fn a_receipt_speaks_for_its_height_only() {
    NoticeBook::new().executed(&receipt(), Height(2), &[origin(1, 1)], &[Outcome::Applied]);
}
