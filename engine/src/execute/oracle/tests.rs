//! A definition that is read from accounts and rows against the one that has executed everything.

use super::*;
use crate::execute::{Row, StateWriter};
use crate::types::{
    AccountRecord, Administrators, Attestation, Change, Charter, Council, DataSummary, Decision, Digest,
    Epoch, Fingerprint, Link, LockClock, MEMBERS_KEY, Member, MemberChange, Members, MembersRecord,
    Membership, OldKey, Pending, ProposalRecord, Purpose, Quota, RULES_FIRST, Reservation, ValidatorIndex,
    member, member_key,
};

impl Oracle {
    /// What the definition has, without what leaves no trace in accounts and rows and decides nothing: nonces below the
    /// windows, and which places of the table the height at hand has changed.
    pub(crate) fn without_forgotten(&self) -> Self {
        let mut without_forgotten = self.clone();
        for Account { used_nonces, lowest_nonce, .. } in &mut without_forgotten.accounts {
            used_nonces.retain(|nonce| u128::from(*nonce) >= *lowest_nonce);
        }
        without_forgotten.table.take_changed();
        without_forgotten
    }

    /// From now on it is what the accounts and rows of the fast state say, which must be the same.
    pub(crate) fn go_on_restored(&mut self, chains: &[ChainGenesis], writer: &StateWriter) {
        self.go_on_restored_with(chains, None, writer);
    }

    /// The same, where these were the first members.
    pub(crate) fn go_on_restored_with(
        &mut self,
        chains: &[ChainGenesis],
        first: Option<FirstMembers>,
        writer: &StateWriter,
    ) {
        let state = writer.state();
        let accounts: Vec<_> = (0..state.accounts()).filter_map(|id| state.account(AccountId(id))).collect();
        let rows: Vec<_> = writer.table().slots().iter().map(|slot| slot.as_ref().map(Row::leaf)).collect();
        let when = (writer.height(), writer.issuance());
        let mut restored = Self::restore((self.chain, chains, first), when, &accounts, &rows).unwrap();
        restored.others.clone_from(&self.others);
        assert_eq!(restored, self.without_forgotten());
        *self = restored;
    }
}

#[test]
fn what_is_too_short_is_not_read() {
    let mut fields = Fields(&[1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 6]);
    let read = (fields.byte(), fields.short(), fields.small(), fields.number(), fields.array());
    assert_eq!(read, (Some(1), Some(2), Some(3), Some(4), Some([5, 6])));
    assert_eq!((fields.byte(), fields.short(), fields.small()), (None, None, None));
    assert_eq!((fields.number(), fields.array::<1>(), fields.rest()), (None, None, &[][..]));
}

type PlainRow = ([u8; 32], Vec<u8>);

/// What is said of a chain with these rows and the accounts of its genesis, as of height 9.
fn told(genesis: &ChainGenesis, key_versions: u32, rows: &[PlainRow]) -> String {
    told_of((genesis, None), key_versions, rows)
}

/// The same, where these were the first members.
fn told_of(
    (genesis, first): (&ChainGenesis, Option<FirstMembers>),
    key_versions: u32,
    rows: &[PlainRow],
) -> String {
    let mut table = PlainTable::empty();
    rows.iter().for_each(|(key, value)| table.put(*key, value.clone()));
    let leaves: Vec<_> = (0..table.slots().len()).map(|place| table.leaf(place)).collect();
    let rows: Vec<_> = leaves.iter().map(|leaf| Some(&leaf[..])).collect();
    let states = genesis.account_states();
    let accounts: Vec<_> = states.map(|of| AccountState { key_version: key_versions, ..of }).collect();
    let which = (genesis.id, std::slice::from_ref(genesis), first);
    let when = (Height(9), Issuance::default());
    Oracle::restore(which, when, &accounts, &rows)
        .map_or_else(|error| error.to_string(), |_| "read".to_owned())
}

fn own(which: u8, small: u32, number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[16] = which;
    key[20..24].copy_from_slice(&small.to_be_bytes());
    key[24..].copy_from_slice(&number.to_be_bytes());
    key
}

#[test]
fn rows_of_accounts_fit_to_accounts_heights_and_times() {
    let genesis = crate::execute::tests::governed(&[100; 4]);
    let begun = |begun| {
        let pending = Pending { change: Change::Close, by_recovery: false, begun: Height(begun), due_ms: 5 };
        AccountRecord { changes: 1, pending: Some(pending), ..AccountRecord::default() }.encode()
    };
    let clock = |now_ms, block_ms| LockClock { now_ms, block_ms }.encode().to_vec();
    let reserved = |payee, settler| {
        let purpose = Purpose::Payment { payee: AccountId(payee), settler: AccountId(settler) };
        Reservation { amount: 1, due_ms: 5, purpose }.encode()
    };
    let other_bytes = |at: usize, byte, mut value: Vec<u8>| {
        value[at] = byte;
        value
    };
    let mut no_key = own(1, 0, 0);
    no_key[17] = 1;
    let charter = |change: fn(&mut Charter)| {
        let mut charter = Charter::from(&genesis);
        change(&mut charter);
        charter.encode()
    };
    let begins = "a chain has another kind, asset or supply than at its beginning";
    for (key, value, expected) in [
        (own(1, 0, 3), begun(9), "read"),
        (own(1, 0, 3), begun(10), "the row at place 1 has a change that was begun later"),
        (own(1, 0, 4), begun(9), "the row at place 1 names an account that does not exist"),
        (
            own(1, 0, 3),
            other_bytes(20, 2, begun(9)),
            "the row at place 1 is not what a chain keeps of an account",
        ),
        (own(1, 1, 3), begun(9), "the row at place 1 has a key that chains of this kind do not use"),
        (no_key, begun(9), "the row at place 1 has a key that chains of this kind do not use"),
        (own(3, 0, 0), clock(7, 7), "read"),
        (own(3, 0, 0), clock(8, 7), "the row at place 1 is a clock that is ahead of its block"),
        (own(3, 0, 0), vec![0; 15], "the row at place 1 is not a clock"),
        (own(3, 0, 1), clock(7, 7), "the row at place 1 has a key that chains of this kind do not use"),
        (own(4, 0, 7), charter(|_| ()), "the row at place 1 has a key that chains of this kind do not use"),
        (own(5, 0, 0), vec![0; 10], "the row at place 1 has a key that chains of this kind do not use"),
        (own(6, 0, 0), charter(|of| of.status = ChainStatus::Closed), "read"),
        (own(6, 0, 0), charter(|of| of.asset = Asset(*b"another asset   ")), begins),
        (own(6, 0, 0), charter(|of| of.supply += 1), begins),
        (own(6, 0, 0), charter(|of| of.roles.quota = Quota(1)), "what a chain is cannot be read"),
        (own(7, 3, 5), reserved(3, 3), "read"),
        (own(7, 4, 5), reserved(3, 3), "the row at place 1 names an account that does not exist"),
        (own(7, 3, 5), reserved(4, 3), "the row at place 1 names an account that does not exist"),
        (own(7, 3, 5), reserved(3, 4), "the row at place 1 names an account that does not exist"),
        (own(7, 3, 5), other_bytes(16, 3, reserved(3, 3)), "the row at place 1 is not a reservation"),
        (own(8, 0, 0), vec![], "the row at place 1 has a key that chains of this kind do not use"),
        ([9; 32], vec![], "the row at place 1 has a key that chains of this kind do not use"),
    ] {
        assert_eq!(told(&genesis, 1, &[(key, value)]), expected);
    }
}

#[test]
fn the_keys_of_an_account_follow_each_other() {
    let genesis = crate::execute::tests::governed(&[100]);
    let old = |version, since, until| {
        let key = OldKey { key: [5; 32], since: Height(since), until: Height(until) };
        (own(2, version, 0), key.encode())
    };
    let since = |key_since| {
        let record = AccountRecord { key_since: Height(key_since), ..AccountRecord::default() };
        (own(1, 0, 0), record.encode())
    };
    let lacks = "account 0 lacks a key that it had";
    let overlap = "account 0 had two keys at a time, or none";
    let another = "account 0 has its key since another height than the one that ended the key before";
    for (version, rows, expected) in [
        (3, vec![old(1, 0, 4), old(2, 4, 9), since(9)], "read"),
        (3, vec![old(1, 0, 4), since(4)], lacks),
        (3, vec![old(1, 0, 4), old(2, 5, 9), since(9)], overlap),
        (3, vec![old(1, 1, 4), old(2, 4, 9), since(9)], overlap),
        (3, vec![old(1, 0, 4), old(2, 4, 4), since(4)], overlap),
        (3, vec![old(1, 0, 4), old(2, 4, 9), since(8)], another),
        (3, vec![old(1, 0, 4), old(2, 4, 10), since(10)], another),
        (1, vec![since(4)], another),
        (1, vec![old(1, 0, 4), since(4)], "the row at place 1 has a version that no earlier key has"),
        (2, vec![old(0, 0, 4), since(4)], "the row at place 1 has a version that no earlier key has"),
        (2, vec![(own(2, 1, 0), vec![0; 47])], "the row at place 1 is not a key that an account had"),
    ] {
        assert_eq!(told(&genesis, version, &rows), expected, "{rows:?}");
    }
}

#[test]
fn decisions_are_numbered_and_named_and_have_made_the_administrators() {
    let genesis = crate::chains::governance::tests::deciding_chain(2, 1);
    let council = Council { threshold: 1, accounts: vec![AccountId(1)] };
    let proposed = |until_ms, decided: Option<(u64, u64)>, decision: &Decision| {
        let record = ProposalRecord {
            administrators: 1,
            until_ms,
            approvals: vec![AccountId(0)],
            decided: decided.map(|(number, since)| (number, Height(since))),
            decision: decision.clone(),
        };
        (record.proposal().0, record.encode())
    };
    let changes = |until_ms, number, since| {
        proposed(until_ms, Some((number, since)), &Decision::Administrators(council.clone()))
    };
    let pauses = |until_ms, number| proposed(until_ms, Some((number, 9)), &Decision::Pause(ChainId(8)));
    let version = |version, threshold| {
        let council = Council { threshold, accounts: vec![AccountId(1)] };
        (own(5, 0, 0), Administrators { version, council }.encode())
    };
    let (name, other) = (changes(5, 1, 9).0, changes(6, 1, 9).1);
    let numbered = "the decisions are not numbered from 1 on";
    let made = "the administrators have another version than decisions have made";
    let mut unnamed = pauses(1, 1).1;
    unnamed[16] = 0;
    unnamed.drain(17..25);
    for (rows, expected) in [
        (vec![changes(5, 1, 9), version(2, 1)], "read"),
        (vec![changes(5, 1, 10)], "read"),
        (vec![changes(5, 1, 9)], made),
        (vec![version(2, 1)], made),
        (vec![changes(5, 1, 9), version(3, 1)], made),
        (vec![version(2, 2)], "the row at place 1 does not say who decides"),
        (vec![(name, other)], "the row at place 1 is a proposal under the name of another one"),
        (vec![(name, vec![0; 40])], "the row at place 1 is not a proposal"),
        (vec![([9; 32], unnamed)], "the row at place 1 is not a proposal"),
        (vec![pauses(1, 1), pauses(2, 2)], "read"),
        (vec![pauses(1, 2)], numbered),
        (vec![pauses(1, 1), pauses(2, 1)], numbered),
        (vec![pauses(1, 1), pauses(2, 3)], numbered),
        (vec![(own(7, 0, 0), vec![])], "the row at place 1 has a key that chains of this kind do not use"),
        (
            vec![(own(4, 0, 1 << 32), vec![])],
            "the row at place 1 has a key that chains of this kind do not use",
        ),
    ] {
        assert_eq!(told(&genesis, 1, &rows), expected, "{rows:?}");
    }
}

#[test]
fn members_are_those_that_decisions_have_made() {
    let genesis = crate::chains::governance::tests::deciding_chain(2, 1);
    let set = Members { epoch: Epoch(0), rules: RULES_FIRST, list: [1, 2].map(member).into() };
    let first =
        FirstMembers { network: Digest([1; 32]), members: set.clone(), membership: Membership::Decided };
    let decided = |number, since, change: &MemberChange| {
        let record = ProposalRecord {
            administrators: 1,
            until_ms: number,
            approvals: vec![AccountId(0)],
            decided: Some((number, Height(since))),
            decision: Decision::Members(change.clone()),
        };
        (record.proposal().0, record.encode())
    };
    let rows_of = |set: &Members, decided: u64, proposal: [u8; 32]| {
        let of_member = |(place, of): (u16, &Member)| (member_key(ValidatorIndex(place)), of.encode());
        let record = MembersRecord::new(set, Height(decided), Digest(proposal), Epoch(0));
        let mut rows: Vec<PlainRow> = (0..).zip(&set.list).map(of_member).collect();
        rows.push((MEMBERS_KEY, record.encode()));
        rows
    };
    let (add, remove) =
        (MemberChange::Add(member(3)), MemberChange::Remove { key: member(1).public_key, below_four: false });
    let grown = set.after(&add).unwrap();
    let shrunk = grown.after(&remove).unwrap();
    let (one, two) = (decided(1, 7, &add), decided(2, 9, &remove));
    let with = |proposals: &[&PlainRow], rows: Vec<PlainRow>| -> Vec<PlainRow> {
        proposals.iter().copied().cloned().chain(rows).collect()
    };
    let made = "the members are others than decisions have made";
    let unknown = "the row at place 1 has a key that chains of this kind do not use";
    let mut extra = rows_of(&grown, 7, one.0);
    extra.push((member_key(ValidatorIndex(3)), member(4).encode()));
    let mut fewer = rows_of(&grown, 7, one.0);
    fewer.remove(0);
    let mut swapped = grown.clone();
    swapped.list.swap(0, 1);
    let other_epoch = Members { epoch: Epoch(2), ..grown.clone() };
    for (rows, expected) in [
        (vec![], "read"),
        (with(&[&one], rows_of(&grown, 7, one.0)), "read"),
        (with(&[&one, &two], rows_of(&shrunk, 9, two.0)), "read"),
        (with(&[&one, &two], rows_of(&grown, 7, one.0)), made),
        (with(&[&one], vec![]), made),
        (rows_of(&grown, 7, one.0), made),
        (with(&[&one], extra), made),
        (with(&[&one], fewer), made),
        (with(&[&one], rows_of(&swapped, 7, one.0)), made),
        (with(&[&one], rows_of(&other_epoch, 7, one.0)), made),
        (with(&[&one], rows_of(&grown, 8, one.0)), made),
        (with(&[&one], rows_of(&grown, 7, two.0)), made),
        (vec![decided(1, 10, &add)], "the members were changed in a later height"),
        (vec![decided(1, 7, &MemberChange::Add(member(2)))], "the members were changed as they cannot be"),
        (vec![(own(8, 1, 0), member(1).encode())], unknown),
        (vec![(own(9, 0, 1), vec![])], unknown),
    ] {
        assert_eq!(told_of((&genesis, Some(first.clone())), 1, &rows), expected, "{rows:?}");
    }
    assert_eq!(told(&genesis, 1, &[one]), "the members were changed, and they are fixed");
    for row in [own(8, 0, 0), MEMBERS_KEY] {
        assert_eq!(told(&genesis, 1, &[(row, vec![])]), unknown, "they are fixed");
    }
}

#[test]
fn an_attestation_has_an_owner_and_one_form() {
    let genesis = crate::chains::attestations::tests::register_chain(4);
    let of = |owner| {
        let (said, at) = ((1, Link::None, DataSummary::None), (AccountId(owner), Height(3)));
        Attestation::register(&Fingerprint([9; 32]), at, said, Digest::default()).encode().to_vec()
    };
    let with = |at: usize, byte| {
        let mut value = of(3);
        value[at] = byte;
        value
    };
    assert_eq!(told(&genesis, 1, &[([9; 32], of(3))]), "read");
    let unknown = "the row at place 1 names an account that does not exist";
    assert_eq!(told(&genesis, 1, &[([9; 32], of(4))]), unknown);
    // Status, tie, form, the zero, length of the data, reason, end, hash of the data, the earlier and the later one.
    for at in [0, 1, 2, 3, 8, 12, 32, 40, 72, 104] {
        let told = told(&genesis, 1, &[([9; 32], with(at, 3))]);
        assert_eq!(told, "the row at place 1 is not an attestation", "byte {at}");
    }
}
