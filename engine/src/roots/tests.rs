//! Fast roots against the oracle's, and proofs against everything that could be wrong with them.

mod executed_again;
pub(crate) mod restored;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::chains::attestations::tests::{attest_as, plain, print, revoke_as, tied};
use crate::chains::changes::tests::rekey_as;
use crate::execute::{ChainRules, ChainState, StateWriter, Table};
use crate::types::*;
use crate::verify::Verified;
use crate::wire::{Batch, BatchSection};

/// Chains from this number on are of the kind *attestations*.
const REGISTER: u32 = 20;

fn genesis(chains: &[(u32, usize)]) -> Genesis {
    let chain = |(id, accounts): &(u32, usize)| ChainGenesis {
        id: ChainId(*id),
        kind: if *id < REGISTER { ChainKind::Transfers } else { ChainKind::Attestations },
        suite: CryptoSuite::Ed25519,
        asset: match *id {
            0..10 => Asset::UNIT,
            REGISTER.. => Asset::NONE,
            _ => Asset(*b"another asset   "),
        },
        roles: match accounts {
            _ if *id >= REGISTER => Roles {
                freezer: Some(AccountId(1)),
                registrar: Registrar::Account(AccountId(1)),
                accounts_cap: *accounts as u64 + 9,
                attestations_cap: 30,
                ..Roles::default()
            },
            1 => Roles::default(),
            _ => Roles {
                issuer: Some(AccountId(0)),
                issuance_cap: 300,
                freezer: Some(AccountId(1)),
                registrar: Registrar::Account(AccountId(1)),
                accounts_cap: *accounts as u64 + 9,
                windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
                ..Roles::default()
            },
        },
        threshold: 0,
        accounts: (0..*accounts)
            .map(|i| AccountGenesis {
                public_key: [(i % 255) as u8 + 1; 32],
                balance: if *id < REGISTER { 100 + i as u64 } else { 0 },
            })
            .collect(),
    };
    let validator =
        ValidatorGenesis { name: "one".into(), public_key: [1; 32], certificate_fingerprint: [2; 32] };
    Genesis::new("roots".into(), vec![validator], chains.iter().map(chain).collect()).unwrap()
}

/// A transfer from one chain to another, or within one.
fn crossing((from, to): (u32, u32), (debit, credit): (u64, u64), amount: u64, nonce: u64) -> Packet {
    let transfer = Transfer {
        chain: ChainId(from),
        credit_chain: (from != to).then_some(ChainId(to)),
        ..crate::execute::tests::transfer(debit, credit, amount, nonce)
    };
    transfer.sign(&Digest::default(), |_| [0; 64])
}

fn ordered(chain: u32, authority: u64, action: Action, nonce: u64) -> Packet {
    let command =
        Command { chain: ChainId(chain), ..crate::execute::tests::command(authority, action, nonce) };
    command.sign(&Digest::default(), |_| [0; 64])
}

fn packet(chain: u32, debit: u64, credit: u64, amount: u64, nonce: u64) -> Packet {
    let chain = ChainId(chain);
    let transfer = Transfer { chain, ..crate::execute::tests::transfer(debit, credit, amount, nonce) };
    transfer.sign(&Digest::default(), |_| [0; 64])
}

/// Linked transfers within a chain.
fn linked(chain: u32, debit: u64, payments: &[(u64, u64)], nonce: u64) -> Transaction {
    let like = Transfer { chain: ChainId(chain), ..crate::execute::tests::transfer(debit, 0, 0, nonce) };
    crate::execute::tests::linked_as(&like, payments, b"memo")
}

/// A batch of packets that ascend by chain.
pub(crate) fn batch(sequence: u64, packets: &[Packet]) -> Verified<Batch> {
    let previous = match sequence {
        1 => Head::NONE,
        _ => Head { sequence: Sequence(sequence - 1), digest: Digest([9; 32]) },
    };
    let runs: Vec<_> = PacketRun::all(packets).collect();
    let section = |of_chain: &[PacketRun<'_>]| BatchSection {
        chain: of_chain[0].chain(),
        packets: of_chain.iter().map(|run| run.packets().len() as u32).sum(),
    };
    let sections: Vec<_> = runs.chunk_by(|a, b| a.chain() == b.chain()).map(section).collect();
    let (network, author) = (Digest::default(), ValidatorIndex(0));
    Verified::assumed(Batch::seal(
        &network,
        (Epoch(0), author),
        &previous,
        Height(0),
        &sections,
        packets.iter(),
        |_| [0; 64],
    ))
}

/// One or two fingerprints, at times tied to others.
fn registrations(first: u64, chance: u64) -> Vec<Registration<'static>> {
    let link = [|_| Link::None, Link::Supersedes, Link::RefersTo][(chance / 8 % 3) as usize];
    let one = tied(first as u8 + 1, link, (chance % 29) as u8 + 1);
    let two = plain((first as u8 + 11) % 29 + 1);
    if chance.is_multiple_of(2) { vec![one] } else { vec![one, two] }
}

fn transactions_of(batches: &[Verified<Batch>], chain: ChainId) -> Vec<PacketRun<'_>> {
    batches.iter().flat_map(|batch| PacketRun::all(batch.packets_of(chain))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn roots_are_the_oracles(blocks in vec(vec((0..4_usize, 0..6_usize, 0..18_u64, 0..18_u64, 0..200_u64, 0..150_u64), 0..30), 1..7)) {
        let genesis = genesis(&[(2, 13), (9, 5), (11, 3), (REGISTER, 6)]);
        let (mut ledger, mut oracle) = (Ledger::genesis(&genesis), OracleLedger::genesis(&genesis));
        let mut view = CommittedView::genesis(&genesis, ledger.state_root().clone());
        let mut replayer = executed_again::Replayer::genesis(&genesis);
        for (height, block) in (1..).map(Height).zip(blocks) {
            let batches: Vec<_> = block
                .chunks(7)
                .zip(1..)
                .map(|(chunk, sequence)| {
                    let mut transactions: Vec<_> = chunk
                        .iter()
                        .map(|(at, to, debit, credit, amount, nonce)| {
                            // Chain 11 has another asset, and there is no chain 12.
                            let (from, to) = ([2, 9, 11, REGISTER][*at], [2, 9, 9, 11, 12, REGISTER][*to]);
                            let like = |debit| Transfer {
                                chain: ChainId(from),
                                ..crate::execute::tests::transfer(debit, 0, 0, *nonce)
                            };
                            let packet = match amount % 8 {
                                5 | 6 => return attest_as(&like(debit % 2), &registrations(*credit, *amount)),
                                7 => return revoke_as(&like(debit % 2), 1, &[*credit as u8 + 1]),
                                3 => {
                                    let payments = [(*credit, *amount % 30), (credit / 2, 1), (*debit, 2)];
                                    return linked(from, *debit, &payments, *nonce);
                                }
                                4 if nonce % 3 == 0 => {
                                    let keys: Vec<_> = (0..1 + nonce % 5).map(|at| (1 + credit + at) as u8).collect();
                                    return crate::execute::tests::opening_as(&like(1), &keys);
                                }
                                4 if nonce % 3 == 1 => {
                                    let like = Transfer { key_version: 1 + (amount / 8 % 2) as u32, ..like(*debit) };
                                    return rekey_as(&like, *credit as u8);
                                }
                                0 => ordered(from, 0, Action::Issue { to: AccountId(*credit), amount: *amount }, *nonce),
                                1 => ordered(from, 0, Action::Burn { amount: *amount }, *nonce),
                                2 => {
                                    let frozen = Frozen::from_bits((*nonce % 4) as u32);
                                    ordered(from, 1, Action::Freeze { account: AccountId(*credit), frozen }, *nonce)
                                }
                                _ => crossing((from, to), (*debit, *credit), *amount, *nonce),
                            };
                            packet.run().transaction().unwrap()
                        })
                        .collect();
                    transactions.sort_by_key(|transaction| transaction.chain());
                    let packets: Vec<_> =
                        transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
                    batch(sequence, &packets)
                })
                .collect();
            let moment = crate::execute::tests::at(height);
            let executed = ledger.execute(moment, &batches);
            let expected = oracle.execute(moment, |chain| transactions_of(&batches, chain));
            prop_assert_eq!(executed.state_root.digest(), &expected.state_root);
            prop_assert_eq!(executed.state_root.entries(), &expected.entries[..]);
            let deltas: Vec<_> = executed.deltas.iter().flat_map(|delta| delta.digest().0).collect();
            prop_assert_eq!(expected.delta_digest.0, kernels::sha2::sha256(&deltas));
            for (delta, outcomes) in executed.deltas.iter().zip(&expected.outcomes) {
                prop_assert_eq!(delta.outcomes(), &outcomes.outcomes[..]);
                prop_assert_eq!(delta.inbox(), &outcomes.inbox[..]);
                prop_assert_eq!(delta.outbox(), &outcomes.outbox[..]);
            }
            for (tree, entry) in executed.trees.iter().zip(executed.state_root.entries()) {
                prop_assert_eq!(tree.root(), entry.transactions_root);
            }
            // Folding is the same as building the tree over the accounts anew.
            for ((_, root), state) in ledger.accounts_roots().zip(ledger.states().iter()) {
                prop_assert_eq!(root, AccountTree::of(state).root());
            }
            replayer.replay(moment, &batches, (&ledger, &executed));
            oracle = restored::restored(&genesis, &ledger, &executed, &oracle);
            view.commit(&executed.deltas, executed.state_root.clone());
            for state in ledger.states().iter() {
                for account in (0..state.accounts()).map(AccountId) {
                    let proof = view.prove(state.chain(), account).unwrap();
                    prop_assert_eq!(Some(proof.state()), state.account(account));
                    prop_assert_eq!(proof.verify(executed.state_root.digest()), Ok(()));
                    let key = proof.state().key;
                    let has = |other: &AccountId| state.account(*other).unwrap().key == key;
                    for first in [0, account.0, account.0 + 1, u64::MAX] {
                        let expected: Vec<_> = (first..state.accounts()).map(AccountId).filter(has).collect();
                        let found: Vec<_> = view.accounts_of(state.chain(), &key, AccountId(first)).collect();
                        prop_assert_eq!(found, expected);
                    }
                }
                prop_assert_eq!(view.accounts_of(state.chain(), &[0xee; 32], AccountId(0)).count(), 0);
            }
            for of in 0..30 {
                let key = print(of);
                let proof = view.prove_row(ChainId(REGISTER), &key.0).unwrap();
                prop_assert_eq!(Some(proof.clone()), ledger.prove_row(ChainId(REGISTER), &key.0));
                prop_assert_eq!(proof.verify(executed.state_root.digest()), Ok(()));
                let table = ledger.tables().last().unwrap();
                let value = table.get(&key.0).filter(|_| of > 0);
                prop_assert_eq!(proof.says(&Digest(key.0)).map(|says| says.filter(|_| of > 0)), Some(value));
            }
            // What is kept of accounts beside their leaves.
            for account in 0..13 {
                let key = record_key(AccountId(account));
                let proof = view.prove_row(ChainId(2), &key).unwrap();
                prop_assert_eq!(Some(proof.clone()), ledger.prove_row(ChainId(2), &key));
                prop_assert_eq!(proof.verify(executed.state_root.digest()), Ok(()));
            }
        }
    }
}

fn executed() -> (Genesis, Ledger, Executed) {
    let genesis = genesis(&[(2, 13), (9, 5)]);
    let mut ledger = Ledger::genesis(&genesis);
    let ones: Vec<_> = (0..11).map(|nonce| packet(2, nonce, nonce + 1, 7, nonce)).collect();
    let nines = [packet(9, 4, 0, 1, 0), packet(9, 4, 0, 1, 0), packet(9, 3, 0, 999, 0)];
    let rest = [&ones[4..], &nines].concat();
    let executed = ledger.execute(ChainTime::new(Height(1), 0), &[batch(1, &ones[..4]), batch(2, &rest)]);
    (genesis, ledger, executed)
}

#[test]
fn account_proofs_hold_and_break() {
    let (_, ledger, executed) = executed();
    let root = executed.state_root.digest();
    for (chain, accounts) in [(2, 13), (9, 5)] {
        for account in 0..accounts {
            let proof = ledger.prove_account(ChainId(chain), AccountId(account)).unwrap();
            assert_eq!(proof.verify(root), Ok(()));
            assert_eq!(
                Some(proof.state()),
                ledger.states().get(ChainId(chain)).unwrap().account(AccountId(account))
            );
            let text = serde_json::to_string(&proof).unwrap();
            assert_eq!(serde_json::from_str::<AccountProof>(&text).unwrap(), proof);
        }
        assert!(ledger.prove_account(ChainId(chain), AccountId(accounts)).is_none());
    }
    assert!(ledger.prove_account(ChainId(3), AccountId(0)).is_none());

    let proof = ledger.prove_account(ChainId(2), AccountId(5)).unwrap();
    assert_eq!(proof.verify(&Digest::default()), Err(ProofError::Height));
    let broken = |change: fn(&mut AccountProof)| {
        let mut proof = proof.clone();
        change(&mut proof);
        proof.verify(root)
    };
    assert_eq!(broken(|proof| proof.balance += 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.account.0 += 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.key.0[0] ^= 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.key_version += 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.window_used ^= 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.window_base += 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.flags = AccountFlags::CLOSED), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.chain.entry.issuance.issued += 1), Err(ProofError::Chain));
    assert_eq!(broken(|proof| proof.path.index += 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.path.siblings.truncate(1)), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.chain.height.0 += 1), Err(ProofError::Height));
    assert_eq!(broken(|proof| proof.chain.entry.chain.0 += 1), Err(ProofError::Chain));
    assert_eq!(broken(|proof| proof.chain.entry.transactions += 1), Err(ProofError::Chain));
    assert_eq!(broken(|proof| proof.chain.entry_path.siblings[0].0[3] ^= 1), Err(ProofError::Chain));
}

#[test]
fn transaction_proofs_hold_and_break() {
    let (genesis, _, executed) = executed();
    let root = executed.state_root.digest();
    for (tree, chain) in executed.trees.iter().zip(genesis.chains()) {
        for place in 0..tree.len() {
            let proof = TransactionProof::new(&executed.state_root, chain.id, tree, place).unwrap();
            assert_eq!(proof.verify(root), Ok(()));
            let text = serde_json::to_string(&proof).unwrap();
            assert_eq!(serde_json::from_str::<TransactionProof>(&text).unwrap(), proof);
        }
        assert!(TransactionProof::new(&executed.state_root, chain.id, tree, tree.len()).is_none());
    }
    let other_chain = TransactionProof::new(&executed.state_root, ChainId(9), &executed.trees[0], 0);
    assert!(other_chain.is_none(), "a tree that is not under this root");

    let proof = TransactionProof::new(&executed.state_root, ChainId(9), &executed.trees[1], 2).unwrap();
    assert_eq!(proof.outcome, Outcome::InsufficientBalance);
    assert_eq!(proof.id, packet(9, 3, 0, 999, 0).id(genesis.network()));
    let broken = |change: fn(&mut TransactionProof)| {
        let mut proof = proof.clone();
        change(&mut proof);
        proof.verify(root)
    };
    assert_eq!(broken(|proof| proof.outcome = Outcome::Applied), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.id.0[0] ^= 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.path.index = 1), Err(ProofError::Leaf));
    assert_eq!(broken(|proof| proof.path.size = 4), Err(ProofError::Leaf));
}

#[test]
fn a_transaction_that_stands_twice_is_found_where_it_spent_its_nonce() {
    let (genesis, _, executed) = executed();
    let twice = packet(9, 4, 0, 1, 0).id(genesis.network());
    let tree = &executed.trees[1];
    let entries: Vec<_> = tree.entries().collect();
    assert_eq!(entries[0], (twice, Outcome::Applied));
    assert_eq!(entries[1], (twice, Outcome::Replayed));
    assert_eq!(tree.position(&twice), Some(0));
    assert_eq!(tree.position(&packet(9, 3, 0, 999, 0).id(genesis.network())), Some(2));
    assert_eq!(tree.position(&TransactionId([0; 32])), None);

    let early = packet(9, 4, 0, 9999, 128);
    let packets = [early, packet(9, 4, 0, 0, 64), early];
    let outcomes = [Outcome::NonceTooFar, Outcome::Applied, Outcome::InsufficientBalance];
    let tree = TransactionTree::new(genesis.network(), std::iter::once(&packets[..]), &outcomes);
    assert_eq!(tree.position(&early.id(genesis.network())), Some(2));
}

#[test]
fn the_state_root_is_the_tree_that_the_door_describes() {
    let (_, _, executed) = executed();
    let chains = executed.state_root.entries().len() as u32;
    let height = kernels::merkle::leaf_hash(&[&1_u64.to_le_bytes()[..], &chains.to_le_bytes()].concat());
    let entries = executed.state_root.entries().iter().map(|entry| {
        let mut leaf = entry.chain.0.to_le_bytes().to_vec();
        leaf.extend((entry.kind as u16).to_le_bytes());
        leaf.push(entry.status as u8);
        leaf.extend(entry.asset.0);
        let trees = [
            (entry.transactions_root, entry.transactions),
            (entry.accounts_root, entry.accounts),
            (entry.outbox_root, entry.outbox),
            (entry.inbox_root, entry.inbox),
            (entry.table_root, entry.rows),
        ];
        for (root, size) in trees {
            leaf.extend(root.0);
            leaf.extend(size.to_le_bytes());
        }
        leaf.extend(entry.issuance.issued.to_le_bytes());
        leaf.extend(entry.issuance.burned.to_le_bytes());
        kernels::merkle::leaf_hash(&leaf)
    });
    let leaves: Vec<_> = std::iter::once(height).chain(entries).collect();
    assert_eq!(executed.state_root.digest().0, kernels::merkle::root(&leaves));
}

#[test]
fn every_height_has_its_own_root_even_when_nothing_happens() {
    let genesis = genesis(&[(0, 3)]);
    let mut ledger = Ledger::genesis(&genesis);
    let first = *ledger.execute(ChainTime::new(Height(1), 0), &[]).state_root.digest();
    let second = *ledger.execute(ChainTime::new(Height(2), 0), &[]).state_root.digest();
    assert_ne!(first, second);
    assert_eq!(ledger.height(), Height(2));
}

/// Writers over the accounts as a snapshot would give them.
fn writers(ledger: &Ledger) -> Vec<StateWriter> {
    let writer = |(state, table): (&Arc<ChainState>, &Table)| {
        let leaf = |id| account_leaf(AccountId(id), &state.account(AccountId(id)).unwrap());
        let leaves: Vec<_> = (0..state.accounts()).map(leaf).collect();
        let entry = ledger.state_root().entries().iter().find(|entry| entry.chain == state.chain());
        StateWriter::restore(
            ChainRules { chain: state.chain(), charter: *state.beginning() },
            ledger.height(),
            entry.unwrap().issuance,
            leaves.iter().map(|leaf| parse_account_leaf(leaf).1),
            Some(state.growth_until(ledger.height())),
            Table::restore(table.slots().iter().cloned()),
        )
    };
    ledger.states().iter().zip(ledger.tables()).map(writer).collect()
}

#[test]
fn a_restored_ledger_goes_on_with_the_same_roots() {
    let (genesis, mut ledger, executed) = executed();
    let root = executed.state_root;
    let outboxes: Vec<_> = executed.deltas.iter().map(|delta| delta.outbox().to_vec()).collect();
    let restore = |height, writers, entries, digest| {
        Ledger::restore(&genesis, height, writers, entries, &outboxes, digest)
    };
    let entries = root.entries().to_vec();
    let mut restored = restore(Height(1), writers(&ledger), entries.clone(), root.digest()).unwrap();
    assert_eq!(restored.state_root(), ledger.state_root());

    let error = |height, writers, entries, digest| restore(height, writers, entries, digest).unwrap_err();
    let other_root = Digest::default();
    assert_eq!(error(Height(1), writers(&ledger), entries.clone(), &other_root), RestoreError::StateRoot);
    assert_eq!(
        error(Height(2), writers(&ledger), entries.clone(), root.digest()),
        RestoreError::Accounts(ChainId(2))
    );
    let mut fewer = writers(&ledger);
    fewer.pop();
    assert_eq!(error(Height(1), fewer, entries.clone(), root.digest()), RestoreError::Chains);
    let mut rotten = writers(&ledger);
    let accounts = genesis.chains()[1].account_states();
    let rules = ChainRules::from(&genesis.chains()[1]);
    rotten[1] = StateWriter::restore(rules, Height(1), Issuance::default(), accounts, None, Table::default());
    assert_eq!(error(Height(1), rotten, entries.clone(), root.digest()), RestoreError::Accounts(ChainId(9)));
    let mut richer = writers(&ledger);
    let states = ledger.states();
    let state = states.get(ChainId(9)).unwrap();
    let accounts = (0..state.accounts()).map(|id| state.account(AccountId(id)).unwrap());
    richer[1] = {
        let issuance = Issuance { issued: 1, burned: 1 };
        StateWriter::restore(rules, Height(1), issuance, accounts, None, Table::default())
    };
    assert_eq!(error(Height(1), richer, entries, root.digest()), RestoreError::Accounts(ChainId(9)));

    let batches = [batch(3, &[packet(2, 0, 1, 5, 1)])];
    assert_eq!(
        restored.execute(ChainTime::new(Height(2), 0), &batches).state_root,
        ledger.execute(ChainTime::new(Height(2), 0), &batches).state_root
    );
}

/// What each account of a chain holds.
fn balances(ledger: &Ledger, chain: u32) -> Vec<u64> {
    let states = ledger.states();
    let state = states.get(ChainId(chain)).unwrap();
    (0..state.accounts()).map(|id| state.account(AccountId(id)).unwrap().balance).collect()
}

#[test]
fn money_between_chains_arrives_in_the_next_height_or_comes_back_in_the_one_after() {
    use crate::execute::Leg;
    use Outcome::*;
    let genesis = genesis(&[(2, 3), (9, 2), (11, 1)]);
    let mut ledger = Ledger::genesis(&genesis);
    let packets = [
        crossing((2, 9), (0, 1), 30, 0),
        crossing((2, 9), (1, 7), 40, 0),
        crossing((2, 9), (2, 0), 500, 0),
        crossing((2, 12), (2, 0), 1, 1),
        crossing((2, 11), (2, 0), 1, 2),
        crossing((9, 2), (0, 2), 5, 0),
    ];
    let first = ledger.execute(ChainTime::new(Height(1), 0), &[batch(1, &packets)]);
    let of_two = [Sent, Sent, InsufficientBalance, UnknownCreditChain, OtherAsset];
    assert_eq!(first.deltas[0].outcomes(), of_two);
    assert_eq!(first.deltas[1].outcomes(), [Sent]);
    assert_eq!((balances(&ledger, 2), balances(&ledger, 9)), (vec![70, 61, 102], vec![95, 101]));
    assert_eq!(ledger.in_flight().count(), 3);

    // A repetition spends no second nonce, and an empty block still delivers.
    let second = ledger.execute(ChainTime::new(Height(2), 0), &[batch(2, &packets[..1])]);
    assert_eq!(second.deltas[0].outcomes(), [Replayed]);
    let came: Vec<_> = second.deltas[1].inbox().iter().map(|came| came.outcome).collect();
    assert_eq!(came, [Applied, UnknownCredit]);
    assert_eq!((balances(&ledger, 2), balances(&ledger, 9)), (vec![70, 61, 107], vec![95, 131]));

    let third = ledger.execute(ChainTime::new(Height(3), 0), &[]);
    let [back] = third.deltas[0].inbox() else { panic!("one comes back: {third:?}") };
    assert_eq!((back.delivery.leg, back.outcome), (Leg::Refund(UnknownCredit), Applied));
    assert_eq!(back.delivery.crossing.transaction, packets[1].id(genesis.network()));
    assert_eq!((balances(&ledger, 2), balances(&ledger, 9)), (vec![70, 101, 107], vec![95, 131]));
    assert_eq!((balances(&ledger, 11), ledger.in_flight().count()), (vec![100], 0));
}

#[test]
fn a_ledger_restored_with_money_on_its_way_delivers_it() {
    let genesis = genesis(&[(2, 3), (9, 2)]);
    let mut ledger = Ledger::genesis(&genesis);
    let sent = ledger.execute(ChainTime::new(Height(1), 0), &[batch(1, &[crossing((2, 9), (0, 1), 30, 0)])]);
    let outboxes: Vec<_> = sent.deltas.iter().map(|delta| delta.outbox().to_vec()).collect();
    let (entries, root) = (sent.state_root.entries().to_vec(), sent.state_root.digest());
    let restore = |outboxes: &[Vec<_>]| {
        let writers = writers(&ledger);
        Ledger::restore(&genesis, Height(1), writers, entries.clone(), outboxes, root)
    };
    let mut restored = restore(&outboxes).unwrap();
    let mut forged = outboxes.clone();
    forged[0][0].crossing.amount += 1;
    assert_eq!(restore(&forged).unwrap_err(), RestoreError::Outbox(ChainId(2)));
    // A credit and a refund without a reason have one leaf.
    let mut turned = outboxes.clone();
    turned[0][0].leg = crate::execute::Leg::Refund(Outcome::Applied);
    assert_eq!(restore(&turned).unwrap_err(), RestoreError::Outbox(ChainId(2)));
    assert_eq!(restore(&[vec![], vec![]]).unwrap_err(), RestoreError::Outbox(ChainId(2)));
    assert_eq!(restore(&outboxes[..1]).unwrap_err(), RestoreError::Chains);
    let (a, b) = (
        restored.execute(ChainTime::new(Height(2), 0), &[]).state_root,
        ledger.execute(ChainTime::new(Height(2), 0), &[]).state_root,
    );
    assert_eq!(a, b);
    assert_eq!(balances(&restored, 9), [100, 131]);
}

#[test]
fn an_entry_survives_its_leaf() {
    let mut bytes = [0; CHAIN_ENTRY_BYTES];
    bytes.iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
    // Kind and status are not any bytes.
    assert_eq!(ChainEntry::parse(&bytes), None);
    (bytes[4], bytes[5], bytes[6]) = (3, 0, 2);
    assert_eq!(ChainEntry::parse(&bytes).unwrap().leaf(), bytes);
    bytes[6] = 3;
    assert_eq!(ChainEntry::parse(&bytes), None);
}

/// Every sequence of a few payments over four heights: a scope in which all that can interfere with each other do.
#[test]
fn in_every_small_history_money_is_conserved_and_each_crossing_is_decided_once() {
    use std::collections::BTreeMap;
    let genesis = genesis(&[(2, 2), (9, 1)]);
    let supply: u128 = genesis.chains().iter().map(|chain| u128::from(chain.supply().unwrap())).sum();
    // All of it, more than there is left then, back, to nobody, within, and the first once more.
    let choices = [
        None,
        Some(crossing((2, 9), (0, 0), 100, 0)),
        Some(crossing((2, 9), (0, 0), 60, 1)),
        Some(crossing((9, 2), (0, 0), 150, 0)),
        Some(crossing((2, 9), (1, 5), 40, 0)),
        Some(crossing((9, 2), (0, 7), 90, 1)),
        Some(packet(2, 1, 0, 30, 1)),
    ];
    let heights = 4_u32;
    for history in 0..choices.len().pow(heights) {
        let mut ledger = Ledger::genesis(&genesis);
        let mut open: BTreeMap<TransactionId, Height> = BTreeMap::new();
        for step in 0..heights + 2 {
            let height = ledger.height().next();
            let choice = choices[history / choices.len().pow(step.min(heights)) % choices.len()];
            let chosen = choice.filter(|_| step < heights);
            let batches: Vec<_> = chosen.iter().map(|packet| batch(height.0, &[*packet])).collect();
            let executed = ledger.execute(ChainTime::new(height, 0), &batches);
            for came in executed.deltas.iter().flat_map(|delta| delta.inbox()) {
                let decides = came.outcome == Outcome::Applied;
                let id = came.delivery.crossing.transaction;
                let sent = if decides { open.remove(&id) } else { open.get(&id).copied() };
                let sent = sent.unwrap_or_else(|| panic!("history {history}: {id} is delivered twice"));
                assert!(height.0 <= sent.0 + 2, "history {history}: {id} comes late");
            }
            for (tree, delta) in executed.trees.iter().zip(&executed.deltas) {
                let sent = (0..).zip(delta.outcomes()).filter(|(_, outcome)| **outcome == Outcome::Sent);
                for (place, _) in sent {
                    assert_eq!(open.insert(tree.id(place), height), None, "history {history}");
                }
            }
            let held: u128 = ledger.states().iter().map(|state| state.supply()).sum();
            let crossing: u128 = ledger.in_flight().map(|one| u128::from(one.crossing.amount)).sum();
            assert_eq!(held + crossing, supply, "history {history}, height {height}");
            assert_eq!(ledger.in_flight().count(), open.len(), "history {history}, height {height}");
        }
        assert!(open.is_empty(), "history {history}: {open:?}");
    }
}

/// What cannot be credited because the payee is frozen goes back, also to a payer that is frozen by then.
#[test]
fn a_payment_to_a_frozen_account_comes_back_to_a_frozen_payer() {
    let genesis = genesis(&[(2, 13), (9, 5)]);
    let mut ledger = Ledger::genesis(&genesis);
    let freeze = |chain, account| {
        ordered(chain, 1, Action::Freeze { account: AccountId(account), frozen: Frozen::BOTH }, 0)
    };
    let first = [crossing((2, 9), (5, 3), 50, 0), freeze(2, 5), freeze(9, 3)];
    let sent = ledger.execute(ChainTime::new(Height(1), 0), &[batch(1, &first)]);
    assert_eq!(sent.deltas[0].outcomes(), [Outcome::Sent, Outcome::Applied]);
    let returned = ledger.execute(ChainTime::new(Height(2), 0), &[]);
    assert_eq!(returned.deltas[1].inbox()[0].outcome, Outcome::CreditFrozen);
    let refunded = ledger.execute(ChainTime::new(Height(3), 0), &[]);
    assert_eq!(refunded.deltas[0].inbox()[0].outcome, Outcome::Applied);
    assert_eq!((balances(&ledger, 2)[5], balances(&ledger, 9)[3]), (105, 103));
}

#[test]
fn ids_stand_in_the_order_of_the_transactions_whatever_their_length() {
    let network = Digest([3; 32]);
    let alone = |nonce| packet(2, 0, 1, 1, nonce);
    let envelope = |nonce| linked(2, 0, &vec![(1, 1); nonce as usize * 9], nonce);
    let (short, long) = (envelope(1), envelope(2));
    let first = [&[alone(3)], long.run().packets(), &[alone(4)]].concat();
    let second = [short.run().packets(), long.run().packets(), &[alone(5), alone(6)]].concat();
    let batches = || [&first[..], &[], &second].into_iter();
    let expected: Vec<_> =
        batches().flat_map(PacketRun::all).map(|run| kernels::sha2::sha256(&run.message(&network))).collect();
    assert_eq!(expected.len(), 7);
    assert_eq!(transaction_ids(&network, batches(), 0), expected);
    let id = TransactionId(expected[4]);
    assert!(contains_transaction(&network, &second, &id) && contains_transaction(&network, &first, &id));
    assert!(!contains_transaction(&network, &first[..1], &id));
}
