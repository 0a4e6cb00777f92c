//! The definition, restored from what checkpoints have, and from what none can have.

use kernels::merkle::{leaf_hash, root};
use proptest::sample::Index;

use super::*;
use crate::execute::{AccountState, Delivery, Leg, Row};
use crate::replica::ChainCheckpoint;

/// A chain of a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    entry: ChainEntry,
    accounts: Vec<AccountState>,
    rows: Vec<Option<Vec<u8>>>,
    outbox: Vec<Delivery>,
}

/// What the fast ledger has, as it stands in the bytes of a checkpoint.
pub(crate) fn saved(ledger: &Ledger, executed: &Executed) -> Vec<Saved> {
    let states = ledger.states();
    let chain = |((entry, table), delta): ((&ChainEntry, &Table), &crate::execute::Delta)| {
        let state = states.get(entry.chain).unwrap();
        let checkpoint = ChainCheckpoint {
            chain: entry.chain,
            growth: state.growth_until(ledger.height()),
            accounts: (0..state.accounts()).map(|id| state.account(AccountId(id)).unwrap()).collect(),
            slots: table.slots().clone(),
            outbox: delta.outbox().to_vec(),
        };
        let ChainCheckpoint { accounts, slots, outbox, .. } = checkpoint.through_bytes();
        let rows = slots.iter().map(|slot| slot.as_ref().map(|row: &Row| row.leaf().to_vec())).collect();
        Saved { entry: *entry, accounts: accounts.iter().copied().collect(), rows, outbox }
    };
    executed.state_root.entries().iter().zip(ledger.tables()).zip(&executed.deltas).map(chain).collect()
}

/// The root of the entries of all chains, in any order.
pub(crate) fn state_root(height: Height, saved: &[Saved]) -> Digest {
    let first = [&height.0.to_le_bytes()[..], &(saved.len() as u32).to_le_bytes()].concat();
    let entries = saved.iter().map(|chain| leaf_hash(&chain.entry.leaf()));
    Digest(root(&std::iter::once(leaf_hash(&first)).chain(entries).collect::<Vec<_>>()))
}

pub(crate) fn restore(
    genesis: &Genesis,
    height: Height,
    saved: &[Saved],
    root: &Digest,
) -> Result<OracleLedger, OracleRestoreError> {
    let chains = saved.iter().map(|chain| PlainState {
        entry: chain.entry,
        accounts: chain.accounts.clone(),
        rows: chain.rows.iter().map(Option::as_deref).collect(),
        outbox: &chain.outbox,
    });
    OracleLedger::restore(genesis, height, chains, root)
}

/// The definition, restored from what the fast ledger has after a height; it is `oracle`, which got there otherwise.
pub(crate) fn restored(
    genesis: &Genesis,
    ledger: &Ledger,
    executed: &Executed,
    oracle: &OracleLedger,
) -> OracleLedger {
    let (height, root) = (ledger.height(), executed.state_root.digest());
    let restored = restore(genesis, height, &saved(ledger, executed), root).unwrap();
    assert_eq!(restored, oracle.without_forgotten());
    restored
}

/// One thing that is changed in a checkpoint.
#[derive(Clone, Debug)]
pub(crate) enum Spoil {
    /// A bit of a row.
    Flip(Index, Index),
    /// A row ends sooner.
    Cut(Index, Index),
    /// A row has another byte at its end.
    Longer(Index, u8),
    /// A row is not there.
    Vacate(Index),
    /// A row is there twice.
    Again(Index),
    /// Two places change their rows.
    Swap(Index, Index),
    /// A field of an account has another value.
    Account(Index, u8, u64),
    /// The last account is not there.
    Fewer,
}

pub(crate) fn any_spoil() -> impl Strategy<Value = Spoil> {
    let index = any::<Index>;
    let number = prop_oneof![0..20_u64, Just(u64::MAX), any::<u64>()];
    let account = (index(), 0..6_u8, number);
    prop_oneof![
        6 => (index(), index()).prop_map(|(row, bit)| Spoil::Flip(row, bit)),
        3 => (index(), index()).prop_map(|(row, length)| Spoil::Cut(row, length)),
        1 => (index(), any::<u8>()).prop_map(|(row, byte)| Spoil::Longer(row, byte)),
        1 => index().prop_map(Spoil::Vacate),
        1 => index().prop_map(Spoil::Again),
        1 => (index(), index()).prop_map(|(row, other)| Spoil::Swap(row, other)),
        3 => account.prop_map(|(account, field, value)| Spoil::Account(account, field, value)),
        1 => Just(Spoil::Fewer),
    ]
}

impl Spoil {
    /// Whether no chain can have what it leaves, whatever its roots are.
    pub(crate) fn leaves_no_chain(&self) -> bool {
        matches!(self, Self::Cut(..) | Self::Longer(..) | Self::Vacate(_) | Self::Again(_))
    }
}

impl Saved {
    pub(crate) fn spoil(&mut self, how: &Spoil) {
        let Self { accounts, rows, .. } = self;
        let there: Vec<usize> = (0..rows.len()).filter(|place| rows[*place].is_some()).collect();
        let place = |of: &Index| there[of.index(there.len())];
        let mut change = |of: &Index, how: &dyn Fn(&mut Vec<u8>)| how(rows[place(of)].as_mut().unwrap());
        match how {
            Spoil::Flip(of, bit) => change(of, &|row| {
                let bit = bit.index(row.len() * 8);
                row[bit / 8] ^= 1 << (bit % 8);
            }),
            Spoil::Cut(of, length) => change(of, &|row| row.truncate(length.index(row.len()))),
            Spoil::Longer(of, byte) => change(of, &|row| row.push(*byte)),
            Spoil::Vacate(of) => rows[place(of)] = None,
            Spoil::Again(of) => rows.push(rows[place(of)].clone()),
            Spoil::Swap(of, other) => rows.swap(of.index(there.len()), other.index(there.len())),
            Spoil::Fewer => accounts.truncate(accounts.len() - 1),
            Spoil::Account(of, field, value) => {
                let at = of.index(accounts.len());
                let account = &mut accounts[at];
                match field {
                    0 => account.key[0] ^= 1,
                    1 => account.key_version = *value as u32,
                    2 => account.balance = *value,
                    3 => account.window.base = *value,
                    4 => account.window.used = *value,
                    _ => account.flags = AccountFlags::from_bits(*value as u32),
                }
            }
        }
    }

    /// The entry says what there is.
    pub(crate) fn seal(&mut self) {
        let Self { entry, accounts, rows, outbox } = self;
        let leaf = |(id, of): (u64, &AccountState)| leaf_hash(&account_leaf(AccountId(id), of));
        let leaves: Vec<_> = (0..).zip(&*accounts).map(leaf).collect();
        (entry.accounts_root, entry.accounts) = (Digest(root(&leaves)), leaves.len() as u64);
        let places: Vec<_> = rows.iter().map(|row| leaf_hash(row.as_deref().unwrap_or_default())).collect();
        (entry.table_root, entry.rows) = (Digest(root(&places)), places.len() as u64);
        (entry.outbox_root, entry.outbox) = (outbox_root(outbox), outbox.len() as u64);
    }

    /// Whether both have the same accounts and rows.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.accounts, &self.rows) == (&other.accounts, &other.rows)
    }
}

/// Two chains, of which one has sent money to the other, and a third one without money.
fn network() -> (Genesis, Height, Vec<Saved>, Digest) {
    let genesis = genesis(&[(2, 3), (9, 2), (REGISTER, 2)]);
    let mut ledger = Ledger::genesis(&genesis);
    let issue = ordered(2, 0, Action::Issue { to: AccountId(1), amount: 7 }, 1);
    let sent = ledger.execute(
        ChainTime::new(Height(1), 0),
        &[batch(1, &[crossing((2, 9), (0, 1), 30, 0), crossing((2, 9), (0, 0), 5, 2), issue])],
    );
    let saved = saved(&ledger, &sent);
    (genesis, Height(1), saved, *sent.state_root.digest())
}

#[test]
fn what_is_not_under_the_state_root_is_refused_and_the_reason_says_which() {
    let (genesis, height, good, root) = network();
    assert!(restore(&genesis, height, &good, &root).is_ok());
    let told = |change: fn(&mut Vec<Saved>)| {
        let mut saved = good.clone();
        change(&mut saved);
        restore(&genesis, height, &saved, &root).unwrap_err()
    };
    let (other_height, other_root) = (Height(2), Digest::default());
    assert_eq!(restore(&genesis, other_height, &good, &root), Err(OracleRestoreError::Root));
    assert_eq!(restore(&genesis, height, &good, &other_root), Err(OracleRestoreError::Root));
    assert_eq!(told(|saved| saved[1].entry.issuance.issued += 1), OracleRestoreError::Root);
    assert_eq!(told(|saved| saved[1].entry.inbox += 1), OracleRestoreError::Root);
    assert_eq!(told(|saved| saved[1].entry.transactions_root.0[0] ^= 1), OracleRestoreError::Root);
    assert_eq!(told(|saved| saved.swap(0, 1)), OracleRestoreError::Root);
    let differs = |change: fn(&mut Saved)| {
        let mut saved = good.clone();
        change(&mut saved[0]);
        match restore(&genesis, height, &saved, &root).unwrap_err() {
            OracleRestoreError::Entry { chain: ChainId(2), differs } => differs,
            other => panic!("{other}"),
        }
    };
    for (change, which) in [
        ((|of| of.accounts[1].balance += 1) as fn(&mut Saved), "the root of the accounts"),
        (|of| of.accounts[1].window.used ^= 1, "the root of the accounts"),
        (|of| of.accounts.swap(0, 1), "the root of the accounts"),
        (|of| of.accounts.truncate(2), "the number of accounts"),
        (|of| of.entry.accounts_root.0[0] ^= 1, "the root of the accounts"),
        (|of| of.rows[0] = None, "the root of the table"),
        (|of| of.rows.push(None), "the number of rows"),
        (|of| of.outbox[0].crossing.amount += 1, "the root of the outbox"),
        (|of| of.outbox[0].leg = Leg::Refund(Outcome::CreditFrozen), "the root of the outbox"),
        (|of| of.outbox.swap(0, 1), "the root of the outbox"),
        (|of| of.outbox.clear(), "the number of deliveries sent"),
        (|of| of.entry.status = ChainStatus::Paused, "the status"),
        (|of| of.entry.asset = Asset::NONE, "the asset"),
        (|of| of.entry.kind = ChainKind::Attestations, "the kind"),
    ] {
        assert_eq!(differs(change), which);
    }
}

/// A checkpoint whose roots all fit to each other, but that no network can have had.
#[test]
fn what_no_network_can_have_is_refused_whatever_its_root() {
    let (genesis, height, good, root) = network();
    let told = |change: fn(&mut Vec<Saved>)| {
        let mut saved = good.clone();
        change(&mut saved);
        saved.iter_mut().for_each(Saved::seal);
        restore(&genesis, height, &saved, &state_root(height, &saved)).unwrap_err()
    };
    use OracleRestoreError::{Chains, Delivery, Money};
    assert_eq!(told(|saved| drop(saved.pop())), Chains);
    assert_eq!(told(|saved| saved.push(saved[1].clone())), Chains);
    assert_eq!(told(|saved| saved.swap(0, 1)), Chains);
    assert_eq!(told(Vec::clear), Chains);
    let message = told(|saved| saved[1].entry.chain = ChainId(10)).to_string();
    assert!(message.contains("neither in the genesis"), "{message}");
    assert_eq!(told(|saved| saved[0].accounts[0].balance += 1), Money(Asset::UNIT));
    assert_eq!(told(|saved| saved[0].entry.issuance.burned += 1), Money(Asset::UNIT));
    assert_eq!(told(|saved| saved[2].accounts[0].balance += 1), Money(Asset::NONE));
    // More than 64 bits of it, which the sums do not tell from what was issued.
    let much = |saved: &mut Vec<Saved>| {
        saved[0].accounts[1].balance += u64::MAX - 200;
        saved[0].entry.issuance.issued += u64::MAX - 200;
    };
    assert_eq!(told(much), Money(Asset::UNIT));
    let second = |place| Delivery { chain: ChainId(2), place };
    assert_eq!(told(|saved| saved[0].outbox[1].crossing.source = ChainId(9)), second(1));
    assert_eq!(told(|saved| saved[0].outbox[0].crossing.destination = ChainId(REGISTER)), second(0));
    assert_eq!(told(|saved| saved[0].outbox[0].crossing.destination = ChainId(8)), second(0));
    // A credit and a refund without a reason have one leaf.
    let mut turned = good.clone();
    turned[0].outbox[1].leg = Leg::Refund(Outcome::Applied);
    assert_eq!(restore(&genesis, height, &turned, &root).unwrap_err(), second(1));
    assert_eq!(told(|saved| saved[0].outbox[1].leg = Leg::Refund(Outcome::CreditFrozen)), second(1));
    assert_eq!(
        told(|saved| saved[1].outbox = saved[0].outbox.clone()),
        Delivery { chain: ChainId(9), place: 0 }
    );
    let unreadable = |change: fn(&mut Vec<Saved>)| told(change).to_string();
    for (change, expected) in [
        (
            (|saved| saved[0].accounts[2].key_version = 0) as fn(&mut Vec<Saved>),
            "account 2 has a key of version 0",
        ),
        (|saved| saved[0].accounts[2].key_version = 2, "account 2 lacks a key that it had"),
        (|saved| saved[0].accounts[2].key_version = u32::MAX, "account 2 lacks a key that it had"),
        (
            |saved| saved[0].accounts[2].flags = AccountFlags::from_bits(16),
            "account 2 has flags that mean nothing",
        ),
        (
            |saved| saved[0].accounts[2].window = crate::execute::ReplayWindow { base: u64::MAX, used: 2 },
            "account 2 has used nonces above 64 bits",
        ),
        (|saved| saved[0].rows.clear(), "the row at place 0 is not the one with the key zero and no value"),
        (|saved| saved[0].rows[0] = Some(vec![0; 63]), "the row at place 0 is shorter than two keys"),
        (|saved| saved[0].rows.push(Some(vec![0; 64])), "the row at place 1 has the key of another one"),
        (
            |saved| saved[0].rows.push(Some(vec![7; 64])),
            "the row at place 0 does not name the next higher key",
        ),
        (
            |saved| {
                saved[0].rows[0] = Some([[0; 32], [7; 32]].concat());
                saved[0].rows.push(Some([[7; 32], [0; 32]].concat()));
            },
            "the row at place 1 has a key that chains of this kind do not use",
        ),
    ] {
        assert_eq!(unreadable(change), format!("chain 2 cannot be read: {expected}"));
    }
}
