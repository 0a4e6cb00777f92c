//! The fast pass against the oracle, and laws of its own.

use proptest::collection::vec;
use proptest::prelude::*;

use super::oracle::Oracle;
use super::*;
use crate::types::*;

pub(crate) fn chain_of(balances: &[u64]) -> ChainGenesis {
    let account = |(i, balance): (usize, &u64)| AccountGenesis {
        public_key: [(i % 255) as u8 + 1; 32],
        balance: *balance,
    };
    ChainGenesis {
        id: ChainId(7),
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts: balances.iter().enumerate().map(account).collect(),
    }
}

pub(crate) fn transfer(debit: u64, credit: u64, amount: u64, nonce: u64) -> Transfer {
    Transfer {
        chain: ChainId(7),
        key_version: FIRST_KEY_VERSION,
        reference: [0; 12],
        debit: AccountId(debit),
        credit_chain: None,
        credit: AccountId(credit),
        amount,
        nonce,
        expiry: Height(1000),
    }
}

pub(crate) fn command(authority: u64, action: Action, nonce: u64) -> Command {
    Command {
        chain: ChainId(7),
        key_version: FIRST_KEY_VERSION,
        reference: [0; 12],
        authority: AccountId(authority),
        action,
        nonce,
        expiry: Height(1000),
    }
}

/// Linked transfers, not signed.
pub(crate) fn linked(debit: u64, payments: &[(u64, u64)], memo: &[u8], nonce: u64) -> Transaction {
    linked_as(&transfer(debit, 0, 0, nonce), payments, memo)
}

/// Linked transfers with the other fields of a transfer.
pub(crate) fn linked_as(like: &Transfer, payments: &[(u64, u64)], memo: &[u8]) -> Transaction {
    let payment = |(to, amount): &(u64, u64)| Payment { to: AccountId(*to), amount: *amount }.encode();
    let encoded: Vec<_> = payments.iter().map(payment).collect();
    let Transfer { chain, key_version, reference, debit, nonce, expiry, .. } = *like;
    let payments = Payments::of(&encoded);
    let linked = Linked { chain, key_version, reference, debit, payments, memo, nonce, expiry };
    linked.sign(&Digest::default(), |_| [0; 64]).unwrap()
}

/// Accounts that are to be opened, with the fields of a transfer; nobody has signed anything.
pub(crate) fn opening_as(like: &Transfer, keys: &[u8]) -> Transaction {
    let account = |key: &u8| NewAccount { key: &[*key; 32], possession: &[0; 64] }.encode();
    let encoded: Vec<_> = keys.iter().map(account).collect();
    let Transfer { chain, key_version, reference, debit: registrar, nonce, expiry, .. } = *like;
    let accounts = NewAccounts::of(&encoded);
    let opening = Opening { chain, key_version, reference, registrar, accounts, nonce, expiry };
    opening.sign(&Digest::default(), |_| [0; 64]).unwrap()
}

/// A chain whose account 1 may issue 500, whose account 2 may freeze, and whose account 3 may open 6 accounts more.
pub(crate) fn governed(balances: &[u64]) -> ChainGenesis {
    let roles = Roles {
        issuer: Some(AccountId(1)),
        issuance_cap: 500,
        freezer: Some(AccountId(2)),
        registrar: Registrar::Account(AccountId(3)),
        accounts_cap: balances.len() as u64 + 6,
        windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
        ..Roles::default()
    };
    ChainGenesis { roles, ..chain_of(balances) }
}

fn unsigned(transfer: Transfer) -> Packet {
    transfer.sign(&Digest::default(), |_| [0; 64])
}

fn ordered(authority: u64, action: Action, nonce: u64) -> Packet {
    command(authority, action, nonce).sign(&Digest::default(), |_| [0; 64])
}

pub(crate) fn states(writer: &StateWriter) -> Vec<AccountState> {
    (0..writer.state().accounts()).map(|id| writer.state().account(AccountId(id)).unwrap()).collect()
}

/// Blocks of these tests are a second apart.
pub(crate) fn at(height: Height) -> ChainTime {
    ChainTime::new(height, height.0 * 1_000)
}

/// Executes both ways and compares everything.
pub(crate) fn both(writer: &mut StateWriter, oracle: &mut Oracle, packets: &[Packet]) -> Delta {
    let height = writer.height().next();
    let before = states(writer);
    let ids: Vec<_> = PacketRun::all(packets).map(|run| run.id(&Digest::default())).collect();
    let raw: Vec<_> = ids.iter().map(|id| id.0).collect();
    // As if there were a batch of each five transactions.
    let mut batches = vec![packets];
    for (place, run) in PacketRun::all(packets).enumerate() {
        let last = batches.pop().expect("there is always one");
        if place % 5 == 4 {
            let at = run.packets().as_ptr_range().end.addr() - last.as_ptr().addr();
            let (batch, rest) = last.split_at(at / size_of::<Packet>());
            batches.extend([batch, rest]);
        } else {
            batches.push(last);
        }
    }
    let at = at(height);
    let orders = writer.orders();
    assert_eq!(orders, oracle.orders(height));
    writer.obey(&orders);
    oracle.obey(height, &orders);
    let delta = writer.execute_packets(at, &[], batches.into_iter(), &raw);
    let expected = oracle.execute(at, &[], ids.into_iter().zip(PacketRun::all(packets)));
    assert_eq!(delta.outcomes(), expected.outcomes);
    assert_eq!((delta.inbox(), delta.outbox()), (&expected.inbox[..], &expected.outbox[..]));
    let after = states(writer);
    assert_eq!(after, oracle.account_states().collect::<Vec<_>>());
    assert_eq!(delta.opened(), expected.opened);
    assert!(writer.table().is_in_order());
    assert!(oracle.table().agrees(writer.table()), "{:?} is not {:?}", writer.table(), oracle.table());
    assert_eq!((delta.keys(), delta.effects()), (&expected.keys[..], &expected.effects[..]));
    let state = writer.state();
    assert_eq!(state.accounts_as_of(height), after.len() as u64);
    assert_eq!(state.accounts_as_of(Height(height.0 - 1)), before.len() as u64);
    let opened = delta.opened().iter().map(|key| AccountState::opened(*key));
    let before: Vec<AccountState> = before.into_iter().chain(opened).collect();
    let changed: Vec<u64> = (0..before.len()).filter(|i| before[*i] != after[*i]).map(|i| i as u64).collect();
    assert_eq!(delta.changes().iter().map(|change| change.account.0).collect::<Vec<_>>(), changed);
    for change in delta.changes() {
        let (was, is) = (before[change.account.0 as usize], after[change.account.0 as usize]);
        let parts = |of: AccountState| {
            let AccountState { balance, window, flags, key_version, .. } = of;
            Balance { balance, window, flags, key_version }
        };
        assert_eq!((change.before, change.after), (parts(was), parts(is)));
    }
    assert_eq!((delta.issuance(), writer.issuance()), (expected.issuance, oracle.issuance()));
    assert_eq!(writer.state().supply(), oracle.balances());
    spends(&before, packets, &delta);
    delta
}

/// A nonce is spent exactly where the outcome says so, and by nothing else.
fn spends(before: &[AccountState], packets: &[Packet], delta: &Delta) {
    let mut windows: Vec<_> = before.iter().map(|account| account.window).collect();
    for (packet, outcome) in PacketRun::all(packets).zip(delta.outcomes()) {
        let window = usize::try_from(packet.debit().0).ok().and_then(|at| windows.get_mut(at));
        if outcome.spends_nonce() {
            let window = window.expect("no account, no nonce");
            *window = window.with(packet.nonce()).expect("a nonce is spent once");
        } else if *outcome == Outcome::Replayed {
            let spent = window.expect("no account, no replay").with(packet.nonce());
            assert_eq!(spent, Err(WindowRefusal::Replayed));
        }
    }
    for change in delta.changes() {
        assert_eq!(change.after.window, windows[change.account.0 as usize]);
    }
}

/// Transfers that often collide, overspend, replay, jump ahead, expire, and name what does not exist.
pub(crate) fn any_transfer() -> impl Strategy<Value = Transfer> + Clone {
    let amount = prop_oneof![0..50_u64, Just(u64::MAX), u64::MAX - 100..u64::MAX];
    let nonce = prop_oneof![8 => 0..200_u64, 1 => any::<u64>()];
    let key_version = prop_oneof![8 => Just(FIRST_KEY_VERSION), 2 => Just(2), 1 => 0..5_u32];
    let expiry = prop_oneof![9 => Just(1000_u64), 1 => 0..8_u64];
    (0..11_u64, 0..11_u64, amount, nonce, key_version, expiry).prop_map(
        |(debit, credit, amount, nonce, key_version, expiry)| Transfer {
            key_version,
            expiry: Height(expiry),
            ..transfer(debit, credit, amount, nonce)
        },
    )
}

/// Transfers, linked ones, openings, and commands, of those who hold a role and of some who do not: for a [`governed`]
/// chain with eight accounts.
pub(crate) fn any_transaction() -> impl Strategy<Value = Transaction> + Clone {
    let account = (0..9_u64).prop_map(AccountId);
    let amount = prop_oneof![9 => 0..150_u64, 1 => any::<u64>()];
    let action = prop_oneof![
        (account.clone(), amount.clone()).prop_map(|(to, amount)| Action::Issue { to, amount }),
        amount.prop_map(|amount| Action::Burn { amount }),
        (account, prop_oneof![3 => Just(0), 1 => 0..4_u32])
            .prop_map(|(account, bits)| Action::Freeze { account, frozen: Frozen::from_bits(bits) }),
    ];
    let command = (action, 0..3_u64, any_transfer()).prop_map(|(action, stranger, like)| {
        let holder = if matches!(action, Action::Freeze { .. }) { 2 } else { 1 };
        let authority = if stranger == 0 { like.debit.0 } else { holder };
        let Transfer { key_version, expiry, nonce, .. } = like;
        Command { key_version, expiry, ..command(authority, action, nonce) }
            .sign(&Digest::default(), |_| [0; 64])
    });
    let amount = prop_oneof![20 => 0..60_u64, 1 => any::<u64>(), 1 => 400..900_u64];
    let linked = (vec((prop_oneof![20 => 0..8_u64, 1 => any::<u64>()], amount), 1..12), any_transfer())
        .prop_map(|(payments, like)| linked_as(&like, &payments, b"memo"));
    let opening = (vec(1..=u8::MAX, 1..4), 0..4_u64, any_transfer()).prop_map(|(keys, stranger, like)| {
        let debit = if stranger == 0 { like.debit } else { AccountId(3) };
        opening_as(&Transfer { debit, ..like }, &keys)
    });
    let alone = prop_oneof![2 => any_transfer().prop_map(unsigned), 1 => command];
    let alone = alone.prop_map(|packet| packet.run().transaction().unwrap());
    let set_aside = crate::chains::transfers::tests::any_reservation();
    let change = crate::chains::changes::tests::any_change();
    prop_oneof![6 => alone, 2 => linked, 1 => opening, 3 => change, 4 => set_aside]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_nonce_is_used_once_in_any_order(nonces in vec(0..400_u64, 1..400), start in prop_oneof![Just(0), Just(u64::MAX - 390)]) {
        let mut window = ReplayWindow { base: start, used: 0 };
        let mut used = std::collections::BTreeSet::new();
        for nonce in nonces {
            let Some(nonce) = start.checked_add(nonce) else { continue };
            match window.with(nonce) {
                Ok(next) => {
                    prop_assert!(used.insert(nonce), "{nonce} was used twice");
                    prop_assert!(next.base >= window.base && next.with(nonce) == Err(WindowRefusal::Replayed));
                    window = next;
                }
                Err(WindowRefusal::Replayed) => prop_assert!(used.contains(&nonce) || nonce < window.base),
                Err(WindowRefusal::TooFar) => prop_assert!(nonce - window.base >= 128),
            }
        }
    }
}

fn outcomes_of(balances: &[u64], transfers: &[Transfer]) -> (Vec<Outcome>, Vec<u64>) {
    let genesis = chain_of(balances);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let packets: Vec<_> = transfers.iter().copied().map(unsigned).collect();
    let delta = both(&mut writer, &mut oracle, &packets);
    (delta.outcomes().to_vec(), states(&writer).iter().map(|account| account.balance).collect())
}

#[test]
fn money_moves_and_each_outcome_has_its_cause() {
    use Outcome::*;
    let told = [
        (transfer(0, 1, 30, 0), Applied),
        (transfer(0, 1, 30, 0), Replayed),
        (transfer(0, 1, 71, 1), InsufficientBalance),
        (transfer(0, 1, 70, 1), Replayed),
        (transfer(0, 1, 70, 2), Applied),
        (transfer(1, 2, u64::MAX, 0), InsufficientBalance),
        (transfer(3, 0, 1, 0), UnknownDebit),
        (transfer(0, 3, 1, 3), UnknownCredit),
        (transfer(0, 0, 0, 3), Replayed),
        (transfer(1, 0, 1, 128), NonceTooFar),
        (transfer(1, 0, 1, 127), Applied),
        (transfer(1, 0, 1, 63), Replayed),
        (transfer(1, 0, 1, 64), Applied),
        (Transfer { key_version: 9, ..transfer(1, 0, 1, 65) }, WrongKeyVersion),
        (Transfer { expiry: Height(0), ..transfer(1, 0, 1, 65) }, Expired),
        (Transfer { expiry: Height(1), ..transfer(1, 0, 1, 65) }, Applied),
    ];
    let (transfers, expected): (Vec<_>, Vec<_>) = told.into_iter().unzip();
    let (outcomes, balances) = outcomes_of(&[100, 0, 5], &transfers);
    assert_eq!(outcomes, expected);
    assert_eq!(balances, [3, 97, 5]);
}

#[test]
fn accounts_are_opened_by_the_registrar_alone_and_up_to_the_cap() {
    use Outcome::*;
    let genesis = governed(&[100, 100, 100, 100]);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let open = |registrar, keys: &[u8], nonce| opening_as(&transfer(registrar, 0, 0, nonce), keys);
    let block = |all: &[Transaction]| -> Vec<Packet> {
        all.iter().flat_map(|one| one.run().packets()).copied().collect()
    };
    let pay = |debit, credit, amount, nonce| {
        unsigned(transfer(debit, credit, amount, nonce)).run().transaction().unwrap()
    };
    let first = both(
        &mut writer,
        &mut oracle,
        &block(&[
            open(0, &[20], 0),
            pay(0, 4, 5, 1),
            open(3, &[21, 22], 0),
            pay(0, 4, 5, 2),
            linked(0, &[(4, 1), (5, 2)], b"", 3),
            open(3, &[23, 24, 25, 26, 27], 1),
            open(3, &[21, 23, 24, 25], 2),
            open(3, &[28], 3),
        ]),
    );
    let expected = [RoleNotHeld, UnknownCredit, Applied, Applied, Applied, AccountsCap, Applied, AccountsCap];
    assert_eq!(first.outcomes(), expected);
    assert_eq!(first.opened().iter().map(|key| key[0]).collect::<Vec<_>>(), [21, 22, 21, 23, 24, 25]);
    let state = std::sync::Arc::clone(writer.state());
    assert_eq!((state.accounts(), state.account(AccountId(10))), (10, None));
    assert_eq!(state.account(AccountId(4)).map(|account| account.balance), Some(6));
    let key = |account, height| {
        let (account, height) = (AccountId(account), Height(height));
        let key = state.key_as_of(account, FIRST_KEY_VERSION, height)?;
        state.existed(account, height).then_some(key.encoded[0])
    };
    assert_eq!(
        [key(3, 0), key(4, 0), key(4, 1), key(9, 1), key(10, 1)],
        [Some(4), None, Some(21), Some(25), None]
    );
    // They pay like any other, and what is taken back is as if it had never been.
    let second = both(&mut writer, &mut oracle, &block(&[pay(4, 0, 2, 0), pay(4, 9, 1, 1)]));
    assert_eq!(second.outcomes(), [Applied, Applied]);
    writer.undo(&second);
    writer.undo(&first);
    assert_eq!(states(&writer), genesis.account_states().collect::<Vec<_>>());
    assert_eq!((state.accounts(), key(4, 1)), (4, None));
}

#[test]
fn a_frozen_registrar_opens_nothing() {
    use Outcome::*;
    let genesis = governed(&[100, 100, 100, 100]);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let freeze = ordered(2, Action::Freeze { account: AccountId(3), frozen: Frozen::DEBIT }, 0);
    let open = opening_as(&transfer(3, 0, 0, 0), &[9]);
    let delta = both(&mut writer, &mut oracle, &[&[freeze], open.run().packets()].concat());
    assert_eq!(delta.outcomes(), [Applied, DebitFrozen]);
}

#[test]
fn linked_transfers_are_made_all_or_none() {
    use Outcome::*;
    let made = |balances: &[u64], transactions: &[Transaction]| {
        let genesis = chain_of(balances);
        let (mut writer, mut oracle) =
            (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
        let packets: Vec<_> = transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
        let delta = both(&mut writer, &mut oracle, &packets);
        let balances: Vec<u64> = states(&writer).iter().map(|account| account.balance).collect();
        let outcomes = delta.outcomes().to_vec();
        writer.undo(&delta);
        (outcomes, balances)
    };
    let pays = |nonce, payments: &[(u64, u64)]| linked(0, payments, b"", nonce);
    let (outcomes, balances) = made(
        &[100, 0, 5],
        &[
            pays(0, &[(1, 30), (2, 30), (1, 1)]),
            pays(0, &[(1, 1)]),
            pays(1, &[(1, 20), (2, 20)]),
            pays(2, &[(1, 1), (3, 1)]),
            // The payer may be paid, but what it pays in all must be there.
            pays(3, &[(0, 30), (1, 9)]),
            pays(4, &[(0, 30), (1, 10)]),
            linked(9, &[(1, 1)], b"", 0),
        ],
    );
    assert_eq!(
        outcomes,
        [Applied, Replayed, InsufficientBalance, UnknownCredit, Applied, InsufficientBalance, UnknownDebit]
    );
    assert_eq!(balances, [30, 40, 35]);
    let overflows = pays(0, &[(2, 5), (1, 1), (1, 1)]);
    assert_eq!(made(&[10, u64::MAX - 1, 0], &[overflows]), (vec![CreditOverflow], vec![10, u64::MAX - 1, 0]));
    let more_than_there_is = pays(0, &[(1, u64::MAX), (1, u64::MAX)]);
    assert_eq!(made(&[10, 0], &[more_than_there_is]), (vec![InsufficientBalance], vec![10, 0]));
    let many: Vec<_> = (0..1_000).map(|at| (1 + at % 2, 1)).collect();
    assert_eq!(made(&[1_000, 0, 0], &[pays(0, &many)]), (vec![Applied], vec![0, 500, 500]));
}

#[test]
fn linked_transfers_stop_at_a_frozen_account() {
    use Outcome::*;
    let genesis = governed(&[100, 100, 100, 100]);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let freeze =
        |account, frozen, nonce| ordered(2, Action::Freeze { account: AccountId(account), frozen }, nonce);
    let pays = |debit, nonce| linked(debit, &[(1, 1), (3, 1)], b"", nonce);
    let packets = [
        &[freeze(3, Frozen::CREDIT, 0)],
        pays(0, 0).run().packets(),
        &[freeze(3, Frozen::DEBIT, 1)],
        pays(0, 1).run().packets(),
        pays(3, 0).run().packets(),
    ]
    .concat();
    let delta = both(&mut writer, &mut oracle, &packets);
    assert_eq!(delta.outcomes(), [Applied, CreditFrozen, Applied, Applied, DebitFrozen]);
}

#[test]
fn the_first_cause_in_the_order_of_the_protocol_is_told() {
    use Outcome::*;
    let everything_wrong =
        Transfer { expiry: Height(0), key_version: 9, ..transfer(9, 9, u64::MAX, u64::MAX) };
    type Repair = fn(&mut Transfer);
    let steps: [(Repair, Outcome); 6] = [
        (|transfer| transfer.expiry = Height(1), UnknownDebit),
        (|transfer| transfer.debit = AccountId(0), WrongKeyVersion),
        (|transfer| transfer.key_version = FIRST_KEY_VERSION, NonceTooFar),
        (|transfer| transfer.nonce = 0, UnknownCredit),
        (|transfer| (transfer.credit, transfer.nonce) = (AccountId(1), 1), InsufficientBalance),
        (|transfer| (transfer.amount, transfer.nonce) = (2, 2), CreditOverflow),
    ];
    let mut transfers = vec![everything_wrong];
    let mut expected = vec![Expired];
    for (repair, outcome) in steps {
        let mut repaired = transfers[transfers.len() - 1];
        repair(&mut repaired);
        transfers.push(repaired);
        expected.push(outcome);
    }
    let (outcomes, balances) = outcomes_of(&[2, u64::MAX - 1], &transfers);
    assert_eq!(outcomes, expected);
    assert_eq!(balances, [2, u64::MAX - 1]);
}

#[test]
fn paying_oneself_checks_the_balance_uses_the_nonce_and_keeps_the_money() {
    let transfers = [
        transfer(0, 0, 101, 0),
        transfer(0, 0, 100, 0),
        transfer(0, 0, 100, 1),
        transfer(0, 0, 100, 1),
        transfer(0, 0, 1, 2),
    ];
    let (outcomes, balances) = outcomes_of(&[100, u64::MAX - 100], &transfers);
    use Outcome::*;
    assert_eq!(outcomes, [InsufficientBalance, Replayed, Applied, Replayed, Applied]);
    assert_eq!(balances, [100, u64::MAX - 100]);
    let (outcomes, _) = outcomes_of(&[u64::MAX], &[transfer(0, 0, u64::MAX, 5)]);
    assert_eq!(outcomes, [Applied], "all the money there is, to oneself, does not overflow");
}

#[test]
fn a_payment_refused_for_want_of_money_cannot_succeed_later_and_cannot_be_repeated() {
    use Outcome::*;
    let genesis = chain_of(&[10, 1000, 0]);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let refused = unsigned(transfer(0, 2, 11, 0));
    let salary = unsigned(transfer(1, 0, 500, 0));
    assert_eq!(both(&mut writer, &mut oracle, &[refused]).outcomes(), [InsufficientBalance]);
    // The money comes, and any validator may put the refused payment into its blocks as often as it likes.
    let later = both(&mut writer, &mut oracle, &[refused, salary, refused, refused]);
    assert_eq!(later.outcomes(), [Replayed, Applied, Replayed, Replayed]);
    let again = both(&mut writer, &mut oracle, &[refused]);
    assert_eq!(again.outcomes(), [Replayed]);
    assert!(again.changes().is_empty());
    // Who still wants to pay signs a new transfer.
    assert_eq!(both(&mut writer, &mut oracle, &[unsigned(transfer(0, 2, 11, 1))]).outcomes(), [Applied]);
    assert_eq!(writer.state().account(AccountId(2)).unwrap().balance, 11);
}

#[test]
fn every_failure_of_a_usable_nonce_spends_it_and_undo_gives_it_back() {
    use Outcome::*;
    let failures = [
        (transfer(0, 1, 11, 70), InsufficientBalance),
        (transfer(0, 0, 11, 70), InsufficientBalance),
        (transfer(0, 1, 10, 70), CreditOverflow),
        (transfer(0, 9, 10, 70), UnknownCredit),
    ];
    for (failing, outcome) in failures {
        let genesis = chain_of(&[10, u64::MAX - 9]);
        let (mut writer, mut oracle) =
            (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
        both(&mut writer, &mut oracle, &[unsigned(transfer(0, 1, 0, 3))]);
        let before = states(&writer);
        let delta = both(&mut writer, &mut oracle, &[unsigned(failing)]);
        assert_eq!(delta.outcomes(), [outcome]);
        let [change] = delta.changes() else { panic!("only the payer is different: {delta:?}") };
        assert_eq!(change.account, AccountId(0));
        assert_eq!(change.after.balance, change.before.balance);
        assert_eq!(change.after.window, change.before.window.with(70).unwrap());
        writer.undo(&delta);
        assert_eq!(states(&writer), before);
    }
}

#[test]
fn what_no_window_can_record_spends_nothing() {
    use Outcome::*;
    let transfers = [
        (Transfer { expiry: Height(0), ..transfer(0, 1, 1, 0) }, Expired),
        (Transfer { key_version: 2, ..transfer(0, 1, 1, 0) }, WrongKeyVersion),
        (transfer(0, 1, 1, 128), NonceTooFar),
        (transfer(5, 1, 1, 0), UnknownDebit),
    ];
    for (failing, outcome) in transfers {
        let genesis = chain_of(&[10, 0]);
        let (mut writer, mut oracle) =
            (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
        let delta = both(&mut writer, &mut oracle, &[unsigned(failing)]);
        assert_eq!((delta.outcomes(), delta.changes()), (&[outcome][..], &[][..]));
        let delta = both(&mut writer, &mut oracle, &[unsigned(transfer(0, 1, 1, 0))]);
        assert_eq!(delta.outcomes(), [Applied]);
    }
}

fn restored(chain: &ChainGenesis, height: Height) -> StateWriter {
    StateWriter::restore(
        chain.into(),
        height,
        Issuance::default(),
        chain.account_states(),
        None,
        Table::empty(),
    )
}

#[test]
fn the_digest_of_a_delta_covers_heights_outcomes_and_changes() {
    let run = |packets: &[Packet], height: u64| {
        let chain = chain_of(&[10, 10]);
        let mut writer = restored(&chain, Height(height - 1));
        writer.execute_packets(ChainTime::new(Height(height), 0), &[], [packets].into_iter(), &[]).digest()
    };
    let base = run(&[unsigned(transfer(0, 1, 1, 0))], 1);
    assert_eq!(base, run(&[unsigned(transfer(0, 1, 1, 0))], 1));
    assert_ne!(base, run(&[unsigned(transfer(0, 1, 1, 0))], 2));
    assert_ne!(base, run(&[unsigned(transfer(0, 1, 2, 0))], 1));
    assert_ne!(base, run(&[unsigned(transfer(0, 1, 1, 1))], 1));
    assert_ne!(base, run(&[unsigned(transfer(0, 1, 1, 0)), unsigned(transfer(0, 1, 99, 1))], 1));
}

#[test]
#[should_panic(expected = "one after the other")]
fn a_height_is_never_skipped() {
    StateWriter::genesis(&chain_of(&[1])).execute_packets(
        ChainTime::new(Height(2), 0),
        &[],
        std::iter::empty(),
        &[],
    );
}

#[test]
#[should_panic(expected = "not as the delta left it")]
fn undo_refuses_a_state_that_the_delta_did_not_make() {
    let genesis = chain_of(&[10, 10]);
    let mut writer = StateWriter::genesis(&genesis);
    let delta = writer.execute_packets(
        ChainTime::new(Height(1), 0),
        &[],
        [&[unsigned(transfer(0, 1, 1, 0))][..]].into_iter(),
        &[],
    );
    let mut other = restored(&genesis, Height(1));
    other.undo(&delta);
}

#[test]
#[should_panic(expected = "made or destroyed money")]
fn the_check_of_conservation_finds_a_planted_theft() {
    let before = Balance { balance: 5, ..Balance::default() };
    let after = Balance { balance: 4, ..Balance::default() };
    Delta::new(
        (ChainId(7), Height(1)),
        super::delta::Done::default(),
        vec![super::Change { account: AccountId(0), before, after }],
    );
}

/// One block of packets on a governed chain: the outcomes, and what each account holds and how it is frozen.
fn governed_outcomes(packets: &[Packet]) -> (Vec<Outcome>, Vec<(u64, Frozen)>, Issuance) {
    let genesis = governed(&[100, 100, 100, 100]);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let delta = both(&mut writer, &mut oracle, packets);
    let accounts = states(&writer).iter().map(|account| (account.balance, account.flags.frozen())).collect();
    writer.undo(&delta);
    assert_eq!(states(&writer), genesis.account_states().collect::<Vec<_>>());
    assert_eq!(writer.issuance(), Issuance::default());
    (delta.outcomes().to_vec(), accounts, delta.issuance())
}

#[test]
fn only_the_issuer_issues_and_burns_and_never_beyond_the_cap() {
    use Outcome::*;
    let issue = |to, amount| Action::Issue { to: AccountId(to), amount };
    let burn = |amount| Action::Burn { amount };
    let told = [
        (ordered(0, issue(0, 1), 0), RoleNotHeld),
        (ordered(2, burn(1), 0), RoleNotHeld),
        (ordered(1, issue(9, 1), 0), UnknownCredit),
        (ordered(1, issue(3, 501), 1), IssuanceCap),
        (ordered(1, issue(3, 500), 2), Applied),
        (ordered(1, issue(3, 500), 2), Replayed),
        (ordered(1, issue(3, 1), 3), IssuanceCap),
        (ordered(1, burn(101), 4), InsufficientBalance),
        (ordered(1, burn(60), 5), Applied),
        (ordered(1, issue(1, 61), 6), IssuanceCap),
        (ordered(1, issue(1, 60), 7), Applied),
        (ordered(1, issue(1, u64::MAX), 8), IssuanceCap),
        (command(1, burn(1), 9).sign(&Digest::default(), |_| [0; 64]), Applied),
        (
            Command { expiry: Height(0), ..command(1, burn(1), 10) }.sign(&Digest::default(), |_| [0; 64]),
            Expired,
        ),
        (
            Command { key_version: 9, ..command(1, burn(1), 10) }.sign(&Digest::default(), |_| [0; 64]),
            WrongKeyVersion,
        ),
        (ordered(77, burn(1), 0), UnknownDebit),
    ];
    let (packets, expected): (Vec<_>, Vec<_>) = told.into_iter().unzip();
    let (outcomes, accounts, issuance) = governed_outcomes(&packets);
    assert_eq!(outcomes, expected);
    assert_eq!(accounts.iter().map(|(balance, _)| *balance).collect::<Vec<_>>(), [100, 99, 100, 600]);
    assert_eq!(issuance, Issuance { issued: 560, burned: 61 });
}

#[test]
fn a_frozen_account_is_closed_to_money_until_the_freezer_opens_it() {
    use Outcome::*;
    let freeze = |account, frozen| Action::Freeze { account: AccountId(account), frozen };
    let issue = |to| Action::Issue { to: AccountId(to), amount: 5 };
    let told = [
        (ordered(0, freeze(3, Frozen::BOTH), 0), RoleNotHeld),
        (ordered(1, freeze(3, Frozen::BOTH), 0), RoleNotHeld),
        (ordered(2, freeze(9, Frozen::BOTH), 0), UnknownCredit),
        (ordered(2, freeze(3, Frozen::DEBIT), 1), Applied),
        (unsigned(transfer(3, 0, 1, 0)), DebitFrozen),
        (unsigned(transfer(0, 3, 1, 1)), Applied),
        (unsigned(Transfer { credit_chain: Some(ChainId(8)), ..transfer(3, 0, 1, 1) }), DebitFrozen),
        (ordered(2, freeze(3, Frozen::CREDIT), 2), Applied),
        (unsigned(transfer(3, 0, 1, 2)), Applied),
        (unsigned(transfer(3, 0, 1, 0)), Replayed),
        (unsigned(transfer(0, 3, 1, 2)), CreditFrozen),
        (unsigned(transfer(3, 3, 1, 3)), CreditFrozen),
        (ordered(1, issue(3), 1), CreditFrozen),
        (ordered(2, freeze(3, Frozen::NONE), 3), Applied),
        (unsigned(transfer(0, 3, 1, 3)), Applied),
        // A frozen issuer orders nothing; a frozen freezer can still open itself.
        (ordered(2, freeze(1, Frozen::DEBIT), 4), Applied),
        (ordered(1, issue(0), 2), DebitFrozen),
        (ordered(1, Action::Burn { amount: 1 }, 3), DebitFrozen),
        (ordered(2, freeze(2, Frozen::BOTH), 5), Applied),
        (unsigned(transfer(2, 0, 1, 6)), DebitFrozen),
        (ordered(2, freeze(2, Frozen::CREDIT), 7), Applied),
    ];
    let (packets, expected): (Vec<_>, Vec<_>) = told.into_iter().unzip();
    let (outcomes, accounts, issuance) = governed_outcomes(&packets);
    assert_eq!(outcomes, expected);
    let frozen = [Frozen::NONE, Frozen::DEBIT, Frozen::CREDIT, Frozen::NONE];
    assert_eq!(accounts, [99, 100, 100, 101].into_iter().zip(frozen).collect::<Vec<_>>());
    assert_eq!(issuance, Issuance::default());
}

#[test]
fn a_chain_without_roles_takes_no_commands() {
    let genesis = chain_of(&[100, 100, 100]);
    let (mut writer, mut oracle) =
        (StateWriter::genesis(&genesis), Oracle::genesis(&genesis, std::slice::from_ref(&genesis)));
    let packets = [
        ordered(0, Action::Issue { to: AccountId(0), amount: 0 }, 0),
        ordered(1, Action::Burn { amount: 0 }, 0),
        ordered(2, Action::Freeze { account: AccountId(0), frozen: Frozen::NONE }, 0),
    ];
    assert_eq!(both(&mut writer, &mut oracle, &packets).outcomes(), [Outcome::RoleNotHeld; 3]);
}
