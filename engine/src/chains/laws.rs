//! The laws of every kind of chain. A kind joins by standing in [`kinds`].

use proptest::collection::vec;
use proptest::prelude::*;

use super::attestations::tests as attestations;
use super::governance::tests as governance;
use crate::execute::AccountState;
use crate::execute::oracle::Oracle;
use crate::execute::tests as transfers;
use crate::execute::{ChainRules, Delta, StateWriter, Table};
use crate::limits::DECISION_LAG;
use crate::replica::ChainCheckpoint;
use crate::roots::tests::batch;
use crate::roots::tests::restored::{Saved, any_spoil, restore, restored, saved, state_root};
use crate::roots::{AccountTree, Executed, Ledger, OracleExecuted, OracleLedger, TableTree};
use crate::types::*;

type Blocks = Vec<Vec<Transaction>>;

fn blocks(one: impl Strategy<Value = Transaction>) -> impl Strategy<Value = Blocks> {
    vec(vec(one, 0..60), 1..10)
}

/// A chain of each kind, with blocks that often fail, collide and are repeated. Each is given some of the transactions
/// of the others, too.
fn kinds() -> impl Strategy<Value = (ChainGenesis, Blocks)> {
    // With what may be issued it is all the money that there can be; eight accounts, so id 8 exists only once it is
    // opened.
    let money = transfers::governed(&[u64::MAX - 1_200, 100, 100, 100, 100, 100, 100, 100]);
    let register = attestations::register_chain(8);
    let deciding = governance::deciding_chain(4, 2);
    let all = |weights: [u32; 3]| {
        let [of_money, of_register, of_deciding] = weights;
        prop_oneof![
            of_money => transfers::any_transaction(),
            of_register => attestations::any_transaction(),
            of_deciding => governance::any_transaction(),
        ]
    };
    prop_oneof![
        (Just(money), blocks(all([12, 1, 1]))),
        (Just(register), blocks(all([1, 12, 1]))),
        // What is decided in the first blocks is in effect in the last ones.
        (Just(deciding), blocks(all([1, 1, 12]))).prop_map(|(genesis, mut blocks)| {
            let later = blocks.split_off(blocks.len() / 2);
            blocks.extend(std::iter::repeat_n(Vec::new(), DECISION_LAG as usize));
            blocks.extend(later);
            (genesis, blocks)
        }),
    ]
}

fn execute(writer: &mut StateWriter, oracle: &mut Oracle, transactions: &[Transaction]) -> Delta {
    transfers::both(writer, oracle, &packets_of(transactions))
}

/// Everything that a writer holds.
fn whole(writer: &StateWriter) -> (Vec<AccountState>, Table, Issuance, Height) {
    (transfers::states(writer), writer.table().clone(), writer.issuance(), writer.height())
}

/// A network of one chain.
fn network(chain: ChainGenesis) -> Genesis {
    let validator =
        ValidatorGenesis { name: "one".into(), public_key: [1; 32], certificate_fingerprint: [2; 32] };
    if chain.kind == ChainKind::Governance {
        return governance::members::of_one(chain);
    }
    Genesis::new("laws".into(), vec![validator], vec![chain]).unwrap()
}

/// The next height of a ledger and of its definition, which agree.
fn next(ledger: &mut Ledger, oracle: &mut OracleLedger, packets: &[Packet]) -> (Executed, OracleExecuted) {
    let at = transfers::at(ledger.height().next());
    let batches: Vec<_> = (!packets.is_empty()).then(|| batch(1, packets)).into_iter().collect();
    let executed = ledger.execute(at, &batches);
    let expected = again(oracle, at, packets);
    assert_eq!(*executed.state_root.digest(), expected.state_root);
    let digests: Vec<_> = executed.deltas.iter().map(|delta| delta.digest().0).collect();
    assert_eq!(kernels::sha2::sha256(digests.as_flattened()), expected.delta_digest.0);
    (executed, expected)
}

fn again(oracle: &mut OracleLedger, at: ChainTime, packets: &[Packet]) -> OracleExecuted {
    oracle.execute(at, |chain| PacketRun::all(packets).filter(|run| run.chain() == chain).collect())
}

fn packets_of(transactions: &[Transaction]) -> Vec<Packet> {
    transactions.iter().flat_map(|one| one.run().packets()).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_restored_definition_goes_on_like_the_one_from_the_genesis((chain, blocks) in kinds(), every in 1..5_usize) {
        let genesis = network(chain);
        let (mut ledger, mut oracle) = (Ledger::genesis(&genesis), OracleLedger::genesis(&genesis));
        let mut other: Option<OracleLedger> = None;
        for (place, transactions) in blocks.iter().enumerate() {
            let packets = packets_of(transactions);
            let (executed, expected) = next(&mut ledger, &mut oracle, &packets);
            if let Some(other) = &mut other {
                prop_assert_eq!(&again(other, transfers::at(ledger.height()), &packets), &expected);
                prop_assert_eq!(other.without_forgotten(), oracle.without_forgotten());
            }
            if place % every == 0 {
                other = Some(restored(&genesis, &ledger, &executed, &oracle));
            }
        }
    }

    #[test]
    fn a_spoiled_checkpoint_is_refused_and_never_makes_the_definition_panic(
        (chain, blocks) in kinds(), spoils in vec(any_spoil(), 1..12),
    ) {
        let genesis = network(chain);
        let (mut ledger, mut oracle) = (Ledger::genesis(&genesis), OracleLedger::genesis(&genesis));
        let mut last = None;
        for transactions in &blocks {
            last = Some(next(&mut ledger, &mut oracle, &packets_of(transactions)).0);
        }
        let (executed, height) = (last.unwrap(), ledger.height());
        let good = saved(&ledger, &executed);
        for spoil in spoils {
            let mut bad = good.clone();
            bad.iter_mut().for_each(|chain| chain.spoil(&spoil));
            let same = bad.iter().zip(&good).all(|(bad, good)| bad.is_like(good));
            prop_assert_eq!(restore(&genesis, height, &bad, executed.state_root.digest()).is_ok(), same);
            // As if a quorum had signed it.
            bad.iter_mut().for_each(Saved::seal);
            let told = restore(&genesis, height, &bad, &state_root(height, &bad));
            prop_assert!(told.is_err() || !spoil.leaves_no_chain(), "{:?}", spoil);
            if let Ok(mut forged) = told {
                again(&mut forged, transfers::at(height.next()), &[]);
            }
        }
    }

    #[test]
    fn the_executor_is_the_oracle_and_undo_restores_every_byte((genesis, blocks) in kinds()) {
        let oracle = &mut Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
        let mut writer = StateWriter::genesis(&genesis);
        let (mut history, mut deltas) = (vec![whole(&writer)], Vec::new());
        for transactions in blocks {
            deltas.push(execute(&mut writer, oracle, &transactions));
            history.push(whole(&writer));
        }
        for delta in deltas.iter().rev() {
            prop_assert_eq!(&whole(&writer), &history.pop().unwrap());
            writer.undo(delta);
        }
        prop_assert_eq!(&whole(&writer), &history.pop().unwrap());
    }

    #[test]
    fn roots_are_functions_of_the_state_and_a_restored_state_goes_on((genesis, blocks) in kinds(), at in 0..5_usize) {
        let oracle = &mut Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
        let mut writer = StateWriter::genesis(&genesis);
        let (mut accounts, mut table) = (AccountTree::of(writer.state()), TableTree::of(writer.table()));
        let mut restored: Option<StateWriter> = None;
        for (place, transactions) in blocks.iter().enumerate() {
            let delta = execute(&mut writer, oracle, transactions);
            accounts.fold(&delta, |place| writer.state().at(place));
            table.fold(&delta);
            prop_assert_eq!(accounts.root(), AccountTree::of(writer.state()).root());
            prop_assert_eq!(table.root(), TableTree::of(writer.table()).root());
            if let Some(restored) = &mut restored {
                let packets = packets_of(transactions);
                let ids: Vec<_> = transactions.iter().map(|one| one.id(&Digest::default()).0).collect();
                let orders = restored.orders();
                restored.obey(&orders);
                let again = restored.execute_packets(transfers::at(writer.height()), &[], [&packets[..]].into_iter(), &ids);
                prop_assert_eq!(again.digest(), delta.digest());
                prop_assert_eq!(whole(restored), whole(&writer));
            }
            if place == at {
                let (rules, height) = (ChainRules::from(&genesis), writer.height());
                let of_chain = ChainCheckpoint {
                    chain: genesis.id,
                    growth: writer.state().growth_until(height),
                    accounts: transfers::states(&writer).into_iter().collect(),
                    slots: writer.table().slots().clone(),
                    outbox: delta.outbox().to_vec(),
                };
                let ChainCheckpoint { growth, accounts, slots, outbox, .. } = of_chain.through_bytes();
                prop_assert_eq!(outbox, delta.outbox());
                let (issuance, rows) = (writer.issuance(), Table::restore(slots.iter().cloned()));
                let states = accounts.iter().copied();
                let mut again = StateWriter::restore(rules, height, issuance, states, Some(growth), rows);
                again.govern(std::slice::from_ref(&genesis), None);
                restored = Some(again);
            }
        }
    }
}
