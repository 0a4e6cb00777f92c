//! What becomes of changes of accounts, one block a second; a re-key waits a second or 3 blocks, a recovery two.

use proptest::collection::vec;
use proptest::prelude::*;

use super::SETTLED_AFTER;
use crate::execute::oracle::Oracle;
use crate::execute::tests::{any_transfer, both, command, governed, opening_as, transfer};
use crate::execute::{AccountState, Crossing, Delivery, Leg, StateWriter};
use crate::limits::GUARDIANS_MAX;
use crate::types::*;

fn key(of: u8) -> [u8; 32] {
    [0xc0 | of; 32]
}

pub(crate) fn rekey_as(like: &Transfer, to: u8) -> Transaction {
    let Transfer { chain, key_version, reference, debit: account, nonce, expiry, .. } = *like;
    let (key, possession) = (&key(to), &[0; 64]);
    let rekey = Rekey { chain, key_version, reference, account, key, possession, nonce, expiry };
    rekey.sign(&Digest::default(), |_| [0; 64]).unwrap()
}

fn protect_as(like: &Transfer, safeguards: &Safeguards) -> Result<Transaction, Malformed> {
    let Transfer { chain, key_version, reference, debit: account, nonce, expiry, .. } = *like;
    let encoded = safeguards.encode();
    let safeguards = EncodedSafeguards::read(&encoded)?;
    Protect { chain, key_version, reference, account, safeguards, nonce, expiry }
        .sign(&Digest::default(), |_| [0; 64])
}

fn recover_as(like: &Transfer, (account, changes): (u64, u64), to: u8, by_key: Option<u8>) -> Transaction {
    let Transfer { chain, key_version, reference, debit: signer, nonce, expiry, .. } = *like;
    let (new, possession) = (&key(to), &[0; 64]);
    let recovery_key = by_key.map(key);
    let recovery = recovery_key.as_ref().map(|key| (key, possession));
    let account = AccountId(account);
    Recover {
        chain,
        key_version,
        reference,
        signer,
        account,
        changes,
        key: new,
        possession,
        recovery,
        nonce,
        expiry,
    }
    .sign(&Digest::default(), |_| [0; 64])
    .unwrap()
}

fn command_as(like: &Transfer, action: Action) -> Transaction {
    let Transfer { key_version, debit: authority, nonce, expiry, .. } = *like;
    let command = Command { key_version, expiry, ..command(authority.0, action, nonce) };
    command.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
}

fn safeguards(recovery_key: Option<u8>, threshold: u8, guardians: &[u64]) -> Safeguards {
    let guardians = guardians.iter().copied().map(AccountId).collect();
    Safeguards { recovery_key: recovery_key.map(key), threshold, guardians }
}

/// Changes of accounts that often collide: for a [`governed`] chain with eight accounts.
pub(crate) fn any_change() -> impl Strategy<Value = Transaction> + Clone {
    let guardians = proptest::collection::btree_set(0..10_u64, 1..4);
    let protect =
        (guardians, 0..3_u8, any::<bool>(), any_transfer()).prop_map(|(of, threshold, keyed, like)| {
            let like = Transfer { debit: AccountId(like.debit.0 % 3), ..like };
            let of: Vec<u64> = of.into_iter().filter(|guardian| *guardian != like.debit.0).collect();
            let threshold = if of.is_empty() { 0 } else { 1 + threshold % of.len() as u8 };
            protect_as(&like, &safeguards(keyed.then_some(7), threshold, &of)).unwrap()
        });
    let few = |like: Transfer| Transfer { debit: AccountId(like.debit.0 % 4), ..like };
    let rekey = (any_transfer(), 1..5_u8).prop_map(move |(like, to)| rekey_as(&few(like), to));
    let recovery =
        (any_transfer(), 0..3_u64, 0..5_u64, 1..3_u8, prop_oneof![3 => Just(None), 1 => Just(Some(7))]);
    let recover =
        recovery.prop_map(|(like, account, changes, to, by)| recover_as(&like, (account, changes), to, by));
    let order =
        (any_transfer(), any::<bool>(), 1..5_u64).prop_map(move |(like, closes, change)| match closes {
            // Accounts that were opened hold nothing at first.
            true => command_as(&Transfer { debit: AccountId(8 + like.debit.0 % 3), ..like }, Action::Close),
            false => command_as(&few(like), Action::Cancel { change }),
        });
    prop_oneof![2 => rekey, 2 => protect, 3 => recover, 2 => order]
}

/// A chain that is executed both ways, block by block.
struct Chain {
    genesis: ChainGenesis,
    writer: StateWriter,
    oracle: Oracle,
    nonces: std::collections::BTreeMap<u64, u64>,
}

impl Chain {
    /// Four accounts with 100 each; account 4 is opened, and holds nothing.
    fn new() -> Self {
        let genesis = governed(&[100, 100, 100, 100]);
        let oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
        let writer = StateWriter::genesis(&genesis);
        let mut chain = Self { genesis, writer, oracle, nonces: Default::default() };
        let like = chain.like(3, 1);
        chain.block(&[(opening_as(&like, &[9]), Outcome::Applied)]);
        chain
    }

    /// The fields of the next transaction of an account.
    fn like(&mut self, debit: u64, key_version: u32) -> Transfer {
        let nonce = self.nonces.entry(debit).or_default();
        *nonce += 1;
        Transfer { key_version, ..transfer(debit, 0, 1, *nonce - 1) }
    }

    fn pay(&mut self, debit: u64, key_version: u32, credit: u64) -> Transaction {
        let transfer = Transfer { credit: AccountId(credit), ..self.like(debit, key_version) };
        transfer.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    }

    /// Account 0 has these safeguards, where it had none.
    fn protected(&mut self, safeguards: &Safeguards) {
        let protect = protect_as(&self.like(0, 1), safeguards).unwrap();
        self.block(&[(protect, Applied)]);
        self.blocks(SETTLED_AFTER);
        assert_eq!(&self.record(0).safeguards, safeguards);
    }

    fn block(&mut self, transactions: &[(Transaction, Outcome)]) {
        let packets: Vec<_> = transactions.iter().flat_map(|(one, _)| one.run().packets()).copied().collect();
        let delta = both(&mut self.writer, &mut self.oracle, &packets);
        self.oracle.go_on_restored(std::slice::from_ref(&self.genesis), &self.writer);
        let expected: Vec<_> = transactions.iter().map(|(_, outcome)| *outcome).collect();
        assert_eq!(delta.outcomes(), expected, "at height {}", delta.height());
    }

    fn blocks(&mut self, count: u64) {
        (0..count).for_each(|_| self.block(&[]));
    }

    fn account(&self, id: u64) -> AccountState {
        self.writer.state().account(AccountId(id)).unwrap()
    }

    fn record(&self, id: u64) -> AccountRecord {
        let value = self.writer.table().get(&record_key(AccountId(id))).unwrap();
        AccountRecord::decode(value).unwrap()
    }
}

use Outcome::*;

#[test]
fn a_key_is_replaced_after_its_window_and_signs_from_then_on() {
    let mut chain = Chain::new();
    let (like, again) = (chain.like(0, 1), chain.like(0, 1));
    chain.block(&[(rekey_as(&like, 1), Applied), (rekey_as(&again, 2), ChangePending)]);
    let (begun, old) = (chain.writer.height(), chain.account(0));
    for _ in 1..SETTLED_AFTER {
        let pay = chain.pay(0, 1, 1);
        chain.block(&[(pay, Applied)]);
        assert_eq!((chain.account(0).key, chain.account(0).key_version), (old.key, 1));
    }
    let (with_old, with_new) = (chain.pay(0, 1, 1), chain.pay(0, 2, 1));
    chain.block(&[(with_old, WrongKeyVersion), (with_new, Applied)]);
    let since = Height(begun.0 + SETTLED_AFTER);
    assert_eq!((chain.account(0).key, chain.account(0).key_version), (key(1), 2));
    assert_eq!(chain.record(0).key_since, since);
    let row = chain.writer.table().get(&old_key_key(AccountId(0), 1)).unwrap();
    assert_eq!(OldKey::decode(row), Some(OldKey { key: old.key, since: Height(0), until: since }));
    // What was admissible stays so, and the new key is from its height on (R6).
    let state = chain.writer.state();
    let known = |version, height| {
        state.key_as_of(AccountId(0), version, Height(height)).map(|key| (key.encoded, key.version))
    };
    assert_eq!((known(1, 0), known(1, 99)), (Some((old.key, 1)), Some((old.key, 1))));
    assert_eq!((known(2, since.0 - 1), known(2, since.0)), (None, Some((key(1), 2))));
    assert_eq!((known(0, 99), known(3, 99)), (None, None));
}

#[test]
fn a_change_is_cancelled_by_its_number_alone_and_never_while_debit_frozen() {
    let mut chain = Chain::new();
    let (like, cancel) = (chain.like(0, 1), chain.like(0, 1));
    let wrong = command_as(&chain.like(0, 1), Action::Cancel { change: 2 });
    let right = command_as(&cancel, Action::Cancel { change: 1 });
    let again = command_as(&chain.like(0, 1), Action::Cancel { change: 1 });
    chain.block(&[
        (rekey_as(&like, 1), Applied),
        (wrong, UnknownChange),
        (right, Applied),
        (again, UnknownChange),
    ]);
    chain.blocks(5);
    assert_eq!(chain.account(0).key_version, 1);
    let like = chain.like(0, 1);
    let freeze = |frozen| Action::Freeze { account: AccountId(0), frozen };
    let frozen = command_as(&chain.like(2, 1), freeze(Frozen::DEBIT));
    let cancel = command_as(&chain.like(0, 1), Action::Cancel { change: 2 });
    let another = rekey_as(&chain.like(0, 1), 3);
    chain.block(&[
        (rekey_as(&like, 1), Applied),
        (frozen, Applied),
        (cancel, DebitFrozen),
        (another, DebitFrozen),
    ]);
    chain.blocks(3);
    assert_eq!(chain.account(0).key_version, 1, "a frozen account keeps its key");
}

#[test]
fn guardians_give_another_key_when_enough_of_them_want_the_same_one() {
    let mut chain = Chain::new();
    let nobody = protect_as(&chain.like(1, 1), &safeguards(None, 1, &[77])).unwrap();
    chain.block(&[(nobody, UnknownCredit)]);
    chain.protected(&safeguards(None, 2, &[1, 2, 3]));
    assert_eq!(chain.record(0).safeguards.threshold, 2);
    let by = |chain: &mut Chain, guardian, changes, to| {
        recover_as(&chain.like(guardian, 1), (0, changes), to, None)
    };
    let all = [
        (by(&mut chain, 4, 1, 1), NotGuardian),
        (by(&mut chain, 1, 0, 1), UnknownChange),
        (by(&mut chain, 1, 1, 1), Applied),
        // The same one again, and another one for another key, are not two for one key.
        (by(&mut chain, 1, 1, 1), Applied),
        (by(&mut chain, 2, 1, 2), Applied),
    ];
    chain.block(&all);
    assert_eq!((chain.record(0).pending, chain.record(0).approvals.len()), (None, 2));
    let third = by(&mut chain, 3, 1, 1);
    chain.block(&[(third, Applied)]);
    let pending = chain.record(0).pending.unwrap();
    assert_eq!((pending.change, pending.by_recovery), (Change::Key(key(1)), true));
    assert_eq!((chain.record(0).changes, chain.record(0).approvals.len()), (2, 0));
    let once_more = by(&mut chain, 2, 2, 1);
    chain.block(&[(once_more, ChangePending)]);
    chain.blocks(3);
    assert_eq!(chain.account(0).key, key(1));
}

#[test]
fn approvals_that_are_too_old_do_not_count() {
    let mut chain = Chain::new();
    chain.protected(&safeguards(None, 2, &[1, 2]));
    let one = recover_as(&chain.like(1, 1), (0, 1), 1, None);
    chain.block(&[(one, Applied)]);
    chain.blocks(2);
    let two = recover_as(&chain.like(2, 1), (0, 1), 1, None);
    chain.block(&[(two, Applied)]);
    assert_eq!((chain.record(0).pending, chain.record(0).approvals.len()), (None, 1));
}

/// A change that its own key has begun does not take effect while the account is frozen, for its owner could not
/// cancel.
#[test]
fn a_recovery_takes_the_place_of_a_thiefs_key_and_a_freeze_stops_the_thief() {
    let mut chain = Chain::new();
    chain.protected(&safeguards(Some(7), 0, &[]));
    let theft = rekey_as(&chain.like(0, 1), 5);
    let stranger = recover_as(&chain.like(1, 1), (0, 2), 1, Some(6));
    let recovery = recover_as(&chain.like(1, 1), (0, 2), 1, Some(7));
    let replay = recover_as(&chain.like(2, 1), (0, 2), 1, Some(7));
    chain.block(&[(theft, Applied), (stranger, NotGuardian), (recovery, Applied), (replay, UnknownChange)]);
    // A thief who holds the key can cancel that, until the freezer helps the owner.
    let cancel = command_as(&chain.like(0, 1), Action::Cancel { change: 3 });
    let theft = rekey_as(&chain.like(0, 1), 5);
    chain.block(&[(cancel, Applied), (theft, Applied)]);
    let freeze = |frozen| Action::Freeze { account: AccountId(0), frozen };
    let frozen = command_as(&chain.like(2, 1), freeze(Frozen::DEBIT));
    chain.block(&[(frozen, Applied)]);
    chain.blocks(3);
    assert_eq!((chain.account(0).key_version, chain.record(0).pending), (1, None));
    let recovery = recover_as(&chain.like(1, 1), (0, 4), 1, Some(7));
    let cancel = command_as(&chain.like(0, 1), Action::Cancel { change: 5 });
    chain.block(&[(recovery, Applied), (cancel, DebitFrozen)]);
    chain.blocks(2);
    let (open, pay) = (command_as(&chain.like(2, 1), freeze(Frozen::NONE)), chain.pay(0, 2, 1));
    chain.block(&[(open, Applied), (pay, Applied)]);
    assert_eq!((chain.account(0).key, chain.record(0).safeguards.recovery_key), (key(1), Some(key(7))));
}

/// What a guardian has said while a thief's change was waiting counts on when that is dropped.
#[test]
fn a_change_that_is_dropped_takes_no_guardians_word_with_it() {
    let mut chain = Chain::new();
    chain.protected(&safeguards(None, 2, &[1, 2]));
    let freeze = Action::Freeze { account: AccountId(0), frozen: Frozen::DEBIT };
    let (theft, freeze) = (rekey_as(&chain.like(0, 1), 5), command_as(&chain.like(2, 1), freeze));
    chain.block(&[(theft, Applied), (freeze, Applied)]);
    chain.blocks(1);
    let one = recover_as(&chain.like(1, 1), (0, 2), 1, None);
    chain.block(&[(one, Applied)]);
    chain.blocks(1);
    assert_eq!((chain.record(0).pending, chain.record(0).approvals.len()), (None, 1));
    let two = recover_as(&chain.like(2, 1), (0, 2), 1, None);
    chain.block(&[(two, Applied)]);
    chain.blocks(3);
    assert_eq!(chain.account(0).key, key(1));
}

/// Who knows that a recovery key was stolen can name another, and its thief cannot hold that up.
#[test]
fn other_safeguards_are_not_displaced_unless_the_account_is_frozen() {
    let mut chain = Chain::new();
    chain.protected(&safeguards(Some(7), 0, &[]));
    let other = protect_as(&chain.like(0, 1), &safeguards(Some(6), 0, &[])).unwrap();
    let thief = recover_as(&chain.like(1, 1), (0, 2), 1, Some(7));
    chain.block(&[(other, Applied), (thief, ChangePending)]);
    chain.blocks(2);
    assert_eq!(chain.record(0).safeguards.recovery_key, Some(key(7)), "it waits for the longer window");
    chain.blocks(2);
    assert_eq!(chain.record(0).safeguards.recovery_key, Some(key(6)));
    // A thief of the account's own key could hold up its guardians like that: the freezer helps.
    let hold_up = protect_as(&chain.like(0, 1), &safeguards(Some(5), 0, &[])).unwrap();
    let freeze = Action::Freeze { account: AccountId(0), frozen: Frozen::DEBIT };
    let freeze = command_as(&chain.like(2, 1), freeze);
    let recovery = recover_as(&chain.like(1, 1), (0, 3), 1, Some(6));
    chain.block(&[(hold_up, Applied), (freeze, Applied), (recovery, Applied)]);
    chain.blocks(3);
    assert_eq!((chain.account(0).key, chain.record(0).safeguards.recovery_key), (key(1), Some(key(6))));
}

/// An account that was robbed while the network was down can still be saved: time without blocks does not count.
#[test]
fn windows_do_not_end_while_there_are_no_blocks() {
    let mut genesis = governed(&[100, 100, 100, 100]);
    genesis.roles.windows = LockWindows { rekey_seconds: 10, recovery_seconds: 20 };
    let mut writer = StateWriter::genesis(&genesis);
    let mut oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
    let mut block = |time_ms: u64, transactions: &[&Transaction]| {
        let at = ChainTime::new(writer.height().next(), time_ms);
        let packets: Vec<_> = transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
        let ids = vec![[0; 32]; transactions.len()];
        let delta = writer.execute_packets(at, &[], [&packets[..]].into_iter(), &ids);
        let with_ids = PacketRun::all(&packets).map(|run| (TransactionId([0; 32]), run));
        let expected = oracle.execute(at, &[], with_ids);
        assert_eq!((delta.outcomes(), delta.keys()), (&expected.outcomes[..], &expected.keys[..]));
        assert_eq!(delta.effects(), expected.effects);
        assert_eq!(delta.effects().len(), delta.keys().len(), "nothing else takes effect here");
        assert!(oracle.table().agrees(writer.table()));
        (delta.outcomes().to_vec(), delta.keys().len())
    };
    let day = 24 * 3_600 * 1_000;
    // The proposer of the first block has the time of the genesis, which is none.
    assert_eq!(block(0, &[&rekey_as(&transfer(0, 0, 0, 0), 1)]).0, [Applied]);
    for blocks in 1..5 {
        assert_eq!(block(20_000 * day + blocks, &[]).1, 0);
    }
    // After an outage there is time to cancel.
    let after = 20_100 * day;
    assert_eq!(block(after, &[]).1, 0);
    let cancel = command_as(&transfer(0, 0, 0, 1), Action::Cancel { change: 1 });
    assert_eq!(block(after + 1, &[&cancel]), (vec![Applied], 0));
    // A window is as long as it should be where blocks come.
    assert_eq!(block(after + 2, &[&rekey_as(&transfer(1, 0, 0, 0), 1)]).0, [Applied]);
    let replaced: Vec<u64> = (1..30).filter(|half| block(after + 2 + half * 500, &[]).1 > 0).collect();
    assert_eq!(replaced, [20]);
}

/// Who submits the same bytes again hears what became of them, also under a key that was replaced since.
#[test]
fn what_is_submitted_again_under_a_replaced_key_is_a_repetition() {
    let mut chain = Chain::new();
    let (like, pay) = (chain.like(0, 1), chain.pay(0, 1, 1));
    chain.block(&[(rekey_as(&like, 1), Applied), (pay.clone(), Applied)]);
    chain.blocks(3);
    let late = chain.pay(0, 1, 1);
    chain.block(&[(pay, Replayed), (late, WrongKeyVersion)]);
}

#[test]
fn an_account_closes_when_it_is_empty_and_nothing_comes_back_any_more() {
    let mut chain = Chain::new();
    let close = |like: &Transfer| command_as(like, Action::Close);
    let (holder, rich) = (close(&chain.like(3, 1)), close(&chain.like(0, 1)));
    let own = close(&chain.like(4, 1));
    let (to, from, again) = (chain.pay(0, 1, 4), chain.pay(4, 1, 0), close(&chain.like(4, 1)));
    chain.block(&[
        (holder, RoleHeld),
        (rich, NotEmpty),
        (own, Applied),
        (to, CreditClosed),
        (from, DebitClosed),
        (again, DebitClosed),
    ]);
    assert_eq!(chain.account(4).flags.name(), "closing");
    let stay = command_as(&chain.like(4, 1), Action::Cancel { change: 1 });
    let (to, from) = (chain.pay(0, 1, 4), chain.pay(4, 1, 0));
    chain.block(&[(stay, Applied), (to, Applied), (from, Applied)]);
    let own = close(&chain.like(4, 1));
    chain.block(&[(own, Applied)]);
    chain.blocks(3);
    assert_eq!(chain.account(4).flags, AccountFlags::CLOSED);
    let (to, from) = (chain.pay(0, 1, 4), chain.pay(4, 1, 0));
    let cancel = command_as(&chain.like(4, 1), Action::Cancel { change: 2 });
    let freeze = Action::Freeze { account: AccountId(4), frozen: Frozen::NONE };
    let freeze = command_as(&chain.like(2, 1), freeze);
    let recover = recover_as(&chain.like(1, 1), (4, 2), 1, None);
    chain.block(&[
        (to, CreditClosed),
        (from, DebitClosed),
        (cancel, DebitClosed),
        (freeze, CreditClosed),
        (recover, CreditClosed),
    ]);
}

#[test]
fn a_refund_reaches_a_closing_account_which_then_stays_open() {
    let genesis = governed(&[100, 100, 100, 100]);
    let mut writer = StateWriter::genesis(&genesis);
    let mut oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
    let like = transfer(3, 0, 0, 0);
    both(&mut writer, &mut oracle, opening_as(&like, &[9]).run().packets());
    both(&mut writer, &mut oracle, command_as(&transfer(4, 0, 0, 0), Action::Close).run().packets());
    // As if it had sent 5 to another chain in that block.
    let crossing = Crossing {
        transaction: TransactionId([1; 32]),
        source: ChainId(7),
        payer: AccountId(4),
        destination: ChainId(8),
        payee: AccountId(0),
        amount: 5,
    };
    let refund = Delivery { leg: Leg::Refund(UnknownCredit), crossing };
    let credit = Delivery { leg: Leg::Credit, crossing: Crossing { payee: AccountId(4), ..crossing } };
    let mut run = |inbox: &[Delivery]| {
        let at = crate::execute::tests::at(writer.height().next());
        let delta = writer.execute_packets(at, inbox, std::iter::empty(), &[]);
        let expected = oracle.execute(at, inbox, std::iter::empty());
        assert_eq!((delta.inbox(), delta.outbox()), (&expected.inbox[..], &expected.outbox[..]));
        assert_eq!(delta.effects(), expected.effects);
        let account = writer.state().account(AccountId(4)).unwrap();
        let outcomes: Vec<_> = delta.inbox().iter().map(|came| came.outcome).collect();
        (outcomes, account, delta.effects().to_vec())
    };
    assert_eq!(run(&[credit]).0, [CreditClosed]);
    assert_eq!(run(&[refund]).0, [Applied]);
    let (_, account, effects) = run(&[]);
    assert_eq!((account.balance, account.flags), (5, AccountFlags::OPEN));
    let what = ChangeKind::Closing;
    assert_eq!(effects, [Effect::Changed { account: AccountId(4), change: 1, what, stands: false }]);
}

#[test]
fn no_more_changes_take_effect_in_a_block_than_may() {
    let accounts = crate::limits::CHANGES_MAX + 3;
    let genesis = governed(&vec![1; accounts]);
    let mut writer = StateWriter::genesis(&genesis);
    let mut oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
    let packets: Vec<_> = (0..accounts as u64)
        .flat_map(|account| rekey_as(&transfer(account, 0, 0, 0), 1).run().packets().to_vec())
        .collect();
    let ids = vec![[0; 32]; accounts];
    let mut run = |packets: &[Packet]| {
        let at = crate::execute::tests::at(writer.height().next());
        let delta = writer.execute_packets(at, &[], [packets].into_iter(), &ids);
        let with_ids = PacketRun::all(packets).map(|run| (TransactionId([0; 32]), run));
        assert_eq!(delta.keys(), oracle.execute(at, &[], with_ids).keys);
        oracle.go_on_restored(std::slice::from_ref(&genesis), &writer);
        delta.keys().len()
    };
    run(&packets);
    assert_eq!([run(&[]), run(&[]), run(&[]), run(&[]), run(&[])], [0, 0, accounts - 3, 3, 0]);
}

#[test]
fn only_what_can_be_meant_has_an_encoding() {
    let like = transfer(0, 0, 0, 0);
    assert!(protect_as(&like, &safeguards(None, 1, &[0])).is_err(), "an account cannot guard itself");
    assert!(protect_as(&like, &safeguards(None, 0, &[1])).is_err());
    assert!(protect_as(&like, &safeguards(None, 3, &[1, 2])).is_err());
    assert!(protect_as(&like, &safeguards(None, 1, &[2, 1])).is_err());
    assert!(protect_as(&like, &safeguards(None, 0, &[])).is_ok(), "no safeguards are safeguards, too");
    let most: Vec<u64> = (1..=GUARDIANS_MAX as u64).collect();
    assert!(protect_as(&like, &safeguards(Some(1), 8, &most)).is_ok());
    // A payload that is cut off or goes on, and a close that has another account or an amount, are no transactions.
    let rekey = rekey_as(&like, 1);
    let with = |at: usize, byte: u8| {
        let mut bytes = rekey.bytes().to_vec();
        bytes[at] = byte;
        Transaction::from_bytes(&bytes).is_ok()
    };
    assert_eq!([with(32, 96), with(32, 95), with(32, 97)], [true, false, false]);
    // Under a key of small order anybody can sign anything.
    let weak = |one: &Transaction, at: usize| {
        let mut bytes = one.bytes().to_vec();
        bytes[128 + at..][..32].fill(0);
        Transaction::from_bytes(&bytes).is_ok()
    };
    let recover = recover_as(&like, (1, 0), 1, Some(7));
    assert!(!weak(&rekey, 0) && !weak(&recover, 16) && !weak(&recover, 112));
    assert!(!weak(&opening_as(&like, &[1]), 0));
    assert!(!Safeguards { recovery_key: Some([0; 32]), ..Safeguards::default() }.is_valid());
    let close = command_as(&like, Action::Close);
    let with = |at: usize| {
        let mut bytes = close.bytes().to_vec();
        bytes[at] ^= 1;
        Transaction::from_bytes(&bytes).is_ok()
    };
    assert_eq!([with(32), with(40), with(48)], [false, false, true]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changes_read_back_as_they_were_signed(all in vec(any_change(), 1..20)) {
        for one in all {
            prop_assert_eq!(Transaction::from_bytes(one.bytes()), Ok(one.clone()));
            let signatures = match one.run().content().unwrap() {
                Content::Rekey(_) => 2,
                Content::Recover(of) => 2 + usize::from(of.recovery.is_some()),
                _ => 1,
            };
            prop_assert_eq!(one.run().signatures(), signatures);
        }
    }
}
