//! Heights that are executed again, whose roots are recorded.

use super::*;

/// A ledger that does again what another one does.
pub(super) struct Replayer(Ledger);

impl Replayer {
    pub(super) fn genesis(genesis: &Genesis) -> Self {
        Self(Ledger::genesis(genesis))
    }

    /// Executes most heights against their records, some as if they were new, and compares the trees from time to time:
    /// it is where the first one is, and a view of it says the same.
    pub(super) fn replay(&mut self, at: ChainTime, batches: &[Verified<Batch>], first: (&Ledger, &Executed)) {
        let (ledger, executed) = first;
        let root = executed.state_root.clone();
        let again = match at.height.0 % 5 {
            4 => self.0.execute(at, batches),
            _ => self.0.execute_again(at, batches, root.clone()).unwrap(),
        };
        assert_eq!((&again.state_root, self.0.state_root()), (&root, &root));
        let digests = |of: &Executed| of.deltas.iter().map(crate::execute::Delta::digest).collect::<Vec<_>>();
        assert_eq!(digests(&again), digests(executed));
        assert!(
            again
                .trees
                .iter()
                .map(TransactionTree::root)
                .eq(executed.trees.iter().map(TransactionTree::root))
        );
        if at.height.0.is_multiple_of(3) {
            return;
        }
        assert_eq!(self.0.compare_trees(), Ok(()));
        assert!(self.0.accounts_roots().eq(ledger.accounts_roots()));
        let mut view = CommittedView::of(&self.0);
        assert_eq!(view.state_root(), ledger.state_root());
        for state in ledger.states().iter() {
            for account in (0..state.accounts()).map(AccountId) {
                let (chain, key) = (state.chain(), state.account(account).unwrap().key);
                let expected = ledger.prove_account(chain, account);
                assert_eq!(
                    (view.prove(chain, account), self.0.prove_account(chain, account)),
                    (expected.clone(), expected)
                );
                assert!(view.accounts_of(chain, &key, account).next() == Some(account));
            }
        }
        for of in 0..30 {
            let expected = ledger.prove_row(ChainId(REGISTER), &print(of).0);
            assert_eq!(view.prove_row(ChainId(REGISTER), &print(of).0), expected);
        }
    }
}

/// When a wrong record of a height is noticed.
#[derive(Debug, PartialEq)]
enum Noticed {
    AtOnce,
    AtComparison,
    Never,
}

/// Two heights of two chains, executed again with what `change` makes of what is recorded of the second.
fn noticed_when(change: impl Fn(&mut [ChainEntry])) -> Noticed {
    let genesis = genesis(&[(2, 13), (9, 5)]);
    let (mut ledger, mut again) = (Ledger::genesis(&genesis), Ledger::genesis(&genesis));
    let at = |height| ChainTime::new(Height(height), 0);
    let blocks =
        [batch(1, &[packet(2, 0, 1, 7, 0)]), batch(2, &[packet(2, 1, 0, 7, 0), packet(9, 1, 2, 3, 0)])];
    let first = ledger.execute(at(1), &blocks[..1]);
    again.execute_again(at(1), &blocks[..1], first.state_root).unwrap();
    let second = ledger.execute(at(2), &blocks[1..]);
    let mut entries = second.state_root.entries().to_vec();
    change(&mut entries);
    let root = *StateRoot::new(Height(2), entries.clone()).digest();
    let recorded = StateRoot::recorded(Height(2), entries, &root).unwrap();
    let honest = StateMismatch(*second.state_root.digest());
    match again.execute_again(at(2), &blocks[1..], recorded) {
        Ok(_) => {
            let compared = again.compare_trees();
            assert!(compared == Ok(()) || compared == Err(honest), "{compared:?}");
            if compared.is_ok() { Noticed::Never } else { Noticed::AtComparison }
        }
        Err(_) => Noticed::AtOnce,
    }
}

#[test]
fn a_wrong_record_is_noticed() {
    assert_eq!(noticed_when(|_| {}), Noticed::Never);
    let now: [fn(&mut ChainEntry); 8] = [
        |entry| entry.transactions_root.0[0] ^= 1,
        |entry| entry.transactions += 1,
        |entry| entry.accounts += 1,
        |entry| entry.outbox_root.0[0] ^= 1,
        |entry| entry.inbox += 1,
        |entry| entry.rows += 1,
        |entry| entry.issuance.issued += 1,
        |entry| entry.status = ChainStatus::Paused,
    ];
    for (number, change) in now.into_iter().enumerate() {
        assert_eq!(noticed_when(|entries| change(&mut entries[1])), Noticed::AtOnce, "{number}");
    }
    for chain in 0..2 {
        let noticed = noticed_when(|entries| entries[chain].accounts_root.0[9] ^= 1);
        assert_eq!(noticed, Noticed::AtComparison);
        let noticed = noticed_when(|entries| entries[chain].table_root.0[9] ^= 1);
        assert_eq!(noticed, Noticed::AtComparison);
    }
}

#[test]
fn a_record_of_other_chains_or_another_height_is_refused() {
    let genesis = genesis(&[(2, 13), (9, 5)]);
    let first = |height, chains: usize| {
        let mut ledger = Ledger::genesis(&genesis);
        let executed = Ledger::genesis(&genesis).execute(ChainTime::new(Height(1), 0), &[]);
        let recorded = StateRoot::new(height, executed.state_root.entries()[..chains].to_vec());
        ledger.execute_again(ChainTime::new(Height(1), 0), &[], recorded).is_ok()
    };
    assert!(first(Height(1), 2));
    assert!(!first(Height(1), 1));
    assert!(!first(Height(2), 2));
}
