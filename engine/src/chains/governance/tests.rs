//! Decisions and what becomes of them, on a chain alone and in a whole ledger. Every block is executed both ways.

mod bytes;
pub(crate) mod members;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::execute::oracle::Oracle;
use crate::execute::tests::{any_transfer, both, chain_of, command, opening_as, transfer};
use crate::execute::{ChainRules, StateWriter, Table};
use crate::limits::DECISION_LAG;
use crate::roots::tests::restored::restored;
use crate::roots::{CommittedView, Executed, Ledger, OracleLedger};
use crate::types::*;
use crate::verify::Verified;

const EUR: Asset = Asset(*b"EUR\0\0\0\0\0\0\0\0\0\0\0\0\0");

/// A chain that decides: so many administrators, of whom `threshold` must approve. The first one opens accounts.
pub(crate) fn deciding_chain(administrators: usize, threshold: u8) -> ChainGenesis {
    let roles = Roles {
        registrar: Registrar::Account(AccountId(0)),
        accounts_cap: administrators as u64 + 6,
        freezer: Some(AccountId(1)),
        windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
        ..Roles::default()
    };
    let (kind, asset) = (ChainKind::Governance, Asset::NONE);
    ChainGenesis { kind, asset, roles, threshold, ..chain_of(&vec![0; administrators]) }
}

fn encoded(decision: &Decision) -> Vec<u8> {
    decision.encode()
}

/// An administrator's proposal, in the name of the version `administrators`, until `until_ms`.
fn propose(
    like: &Transfer,
    (administrators, until_ms): (u64, u64),
    decision: &Decision,
) -> (Transaction, Digest) {
    propose_with(like, (administrators, until_ms), decision, Consents::NONE)
}

fn propose_with(
    like: &Transfer,
    (administrators, until_ms): (u64, u64),
    decision: &Decision,
    consents: Consents<'_>,
) -> (Transaction, Digest) {
    let bytes = encoded(decision);
    let propose = Propose {
        chain: like.chain,
        key_version: like.key_version,
        reference: like.reference,
        administrator: like.debit,
        administrators,
        until_ms,
        consents,
        decision: EncodedDecision::read(&bytes).expect("a decision that can be encoded"),
        nonce: like.nonce,
        expiry: like.expiry,
    };
    (propose.sign(&Digest::default(), |_| [0; 64]).unwrap(), propose.proposal())
}

fn approve(like: &Transfer, administrators: u64, proposal: Digest) -> Transaction {
    approve_with(like, administrators, proposal, Consents::NONE)
}

fn approve_with(
    like: &Transfer,
    administrators: u64,
    proposal: Digest,
    consents: Consents<'_>,
) -> Transaction {
    let approve = Approve {
        chain: like.chain,
        key_version: like.key_version,
        reference: like.reference,
        administrator: like.debit,
        proposal,
        administrators,
        consents,
        nonce: like.nonce,
        expiry: like.expiry,
    };
    approve.sign(&Digest::default(), |_| [0; 64]).unwrap()
}

fn new_chain(id: u32, kind: ChainKind) -> NewChain {
    let transfers = kind == ChainKind::Transfers;
    let roles = Roles {
        registrar: Registrar::Account(AccountId(0)),
        accounts_cap: 9,
        issuer: transfers.then_some(AccountId(0)),
        issuance_cap: if transfers { 1_000 } else { 0 },
        attestations_cap: if transfers { 0 } else { 50 },
        ..Roles::default()
    };
    let (suite, asset) = (CryptoSuite::Ed25519, if transfers { EUR } else { Asset::NONE });
    NewChain { id: ChainId(id), kind, suite, asset, roles, founders: vec![[0x41; 32], [0x42; 32]] }
}

pub(crate) fn any_decision() -> impl Strategy<Value = Decision> + Clone {
    let id = (5..10_u32).prop_map(ChainId);
    let kind = prop_oneof![Just(ChainKind::Transfers), Just(ChainKind::Attestations)];
    let roles = (any::<bool>(), 0..4_u64, 0..20_u64).prop_map(|(anyone, holder, cap)| Roles {
        registrar: if anyone { Registrar::Anyone } else { Registrar::Account(AccountId(holder)) },
        accounts_cap: 1 + cap,
        attestations_cap: if holder == 3 { cap } else { 0 },
        freezer: Some(AccountId(holder)),
        quota: Quota(if cap == 0 { 65_535 } else { 65_536 + cap as u32 }),
        ..Roles::default()
    });
    let council =
        (proptest::collection::btree_set(0..7_u64, 1..5), any::<u8>()).prop_map(|(accounts, most)| {
            let accounts: Vec<_> = accounts.into_iter().map(AccountId).collect();
            Council { threshold: 1 + most % accounts.len() as u8, accounts }
        });
    let change =
        (0..3_u8, 1..6_u8, 1..6_u8, any::<bool>()).prop_map(|(kind, gone, number, below_four)| {
            match (kind, member(gone).public_key) {
                (0, _) => MemberChange::Add(member(number)),
                (1, key) => MemberChange::Remove { key, below_four },
                (_, key) => MemberChange::Replace(key, member(number)),
            }
        });
    prop_oneof![
        2 => (id.clone(), kind).prop_map(|(ChainId(id), kind)| Decision::Create(new_chain(id, kind))),
        2 => id.clone().prop_map(Decision::Pause),
        1 => id.clone().prop_map(Decision::Resume),
        1 => id.clone().prop_map(Decision::Close),
        3 => (id, roles).prop_map(|(id, roles)| Decision::Roles(id, roles)),
        2 => council.prop_map(Decision::Administrators),
        2 => change.prop_map(Decision::Members),
    ]
}

/// Proposals, approvals of the same and of others, and what administrators do with their accounts.
pub(crate) fn any_transaction() -> impl Strategy<Value = Transaction> + Clone {
    let terms = (
        prop_oneof![9 => Just(1_u64), 3 => Just(2), 1 => 0..4_u64],
        prop_oneof![9 => Just(u64::MAX), 1 => 0..9_000_u64],
    );
    let speaks = (any_decision(), terms, 0..6_u64, any_transfer(), 0..4_u8).prop_map(
        |(decision, terms, who, like, does)| {
            let like = Transfer { debit: AccountId(who), ..like };
            let (proposed, proposal) = propose(&like, terms, &decision);
            if does == 0 { proposed } else { approve(&like, terms.0, proposal) }
        },
    );
    // Few of them, so that many agree.
    let agrees = (0..3_u32, any::<bool>(), 0..5_u64, any_transfer()).prop_map(|(which, first, who, like)| {
        let decision = match which {
            0 => {
                Decision::Administrators(Council { threshold: 1, accounts: vec![AccountId(1), AccountId(2)] })
            }
            1 => Decision::Roles(
                ChainId(7),
                Roles { registrar: Registrar::Anyone, accounts_cap: 99, ..Roles::default() },
            ),
            _ => Decision::Create(new_chain(8, ChainKind::Transfers)),
        };
        let like = Transfer { debit: AccountId(who), ..like };
        let (proposed, proposal) = propose(&like, (1, u64::MAX), &decision);
        if first { proposed } else { approve(&like, 1, proposal) }
    });
    let others = (any_transfer(), 0..4_u32, any::<bool>()).prop_map(|(like, bits, freezes)| {
        if !freezes {
            return opening_as(&Transfer { debit: AccountId(0), ..like }, &[1 + bits as u8]);
        }
        let (account, frozen) = (AccountId(like.credit.0 % 4), Frozen::from_bits(bits));
        let freeze = Command { nonce: like.nonce, ..command(1, Action::Freeze { account, frozen }, 0) };
        freeze.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    });
    let additions = members::any_addition();
    prop_oneof![4 => speaks, 6 => agrees, 3 => additions, 1 => others, 2 => crate::chains::changes::tests::any_change()]
}

/// A chain that decides and its definition, block by block.
struct Pair {
    chains: Vec<ChainGenesis>,
    writer: StateWriter,
    oracle: Oracle,
}

impl Pair {
    fn new(genesis: &ChainGenesis) -> Self {
        let oracle = Oracle::genesis(genesis, std::slice::from_ref(genesis));
        Self { chains: vec![genesis.clone()], writer: StateWriter::genesis(genesis), oracle }
    }

    fn block(&mut self, transactions: &[&Transaction]) -> Vec<Outcome> {
        let packets: Vec<_> = transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
        let delta = both(&mut self.writer, &mut self.oracle, &packets);
        self.oracle.go_on_restored(&self.chains, &self.writer);
        delta.outcomes().to_vec()
    }

    fn pass(&mut self, heights: u64) {
        (0..heights).for_each(|_| drop(self.block(&[])));
    }
}

fn by(administrator: u64, nonce: u64) -> Transfer {
    transfer(administrator, 0, 0, nonce)
}

#[test]
fn as_many_as_must_approve_decide_and_each_bad_approval_says_why() {
    use Outcome::*;
    let mut pair = Pair::new(&deciding_chain(4, 3));
    let create = Decision::Create(new_chain(8, ChainKind::Transfers));
    let (proposed, proposal) = propose(&by(0, 0), (1, 90_000), &create);
    let (again, same) = propose(&by(1, 0), (1, 90_000), &create);
    assert_eq!(proposal, same, "who proposes does not matter");
    let mut stranger = by(3, 0);
    stranger.nonce = 1;
    let told = pair.block(&[
        &proposed,
        &again,
        &approve(&by(0, 1), 1, proposal),
        &approve(&by(2, 0), 2, proposal),
        &approve(&by(2, 1), 1, Digest([9; 32])),
        &approve(&by(2, 2), 1, Digest(CLOCK_KEY)),
        &propose(&by(2, 3), (1, 500), &create).0,
        &approve(&by(1, 1), 1, proposal),
    ]);
    assert_eq!(
        told,
        [
            Applied,
            ProposalTaken,
            ApprovedAlready,
            OtherAdministrators,
            UnknownProposal,
            UnknownProposal,
            ProposalExpired,
            Applied
        ]
    );
    // Not decided yet: two of three.
    assert!(pair.writer.table().get(&chain_key(ChainId(8))).is_none());
    let told = pair.block(&[&approve(&by(3, 0), 1, proposal), &approve(&stranger, 1, proposal)]);
    assert_eq!(told, [Applied, ProposalDecided]);
    let decided = ProposalRecord::decode(pair.writer.table().get(&proposal.0).unwrap()).unwrap();
    assert_eq!(decided.decided, Some((1, Height(2 + DECISION_LAG))));
    assert_eq!(decided.approvals, [0, 1, 3].map(AccountId));
    assert_eq!(decided.proposal(), proposal);
    let charter = Charter::decode(pair.writer.table().get(&chain_key(ChainId(8))).unwrap()).unwrap();
    assert_eq!((charter.since, charter.proposal), (Height(2 + DECISION_LAG), proposal));
    // A late proposal: its time is over when the last one approves.
    let (late, of) = propose(&by(0, 5), (1, 4_000), &Decision::Pause(ChainId(8)));
    assert_eq!(pair.block(&[&late, &approve(&by(1, 5), 1, of)]), [Applied, Applied]);
    pair.pass(1);
    assert_eq!(pair.block(&[&approve(&by(2, 5), 1, of)]), [ProposalExpired]);
    // Somebody who is none of them.
    let opening = opening_as(&by(0, 6), &[7]);
    assert_eq!(pair.block(&[&opening]), [Applied]);
    assert_eq!(
        pair.block(&[&approve(&by(4, 0), 1, of), &propose(&by(4, 1), (1, u64::MAX), &create).0]),
        [RoleNotHeld; 2]
    );
}

#[test]
fn what_cannot_be_decided_is_told_at_the_proposal_and_again_at_the_last_approval() {
    use Outcome::*;
    let money = ChainGenesis { id: ChainId(5), asset: EUR, ..chain_of(&[u64::MAX - 5_000, 4]) };
    let deciding = deciding_chain(2, 2);
    let chains = [money, deciding.clone()];
    let mut writer = StateWriter::genesis(&deciding);
    writer.govern(&chains, None);
    let oracle = Oracle::genesis(&deciding, &chains);
    let mut pair = Pair { chains: chains.to_vec(), writer, oracle };
    let told = |pair: &mut Pair, nonce: u64, decision: &Decision| {
        let until = 1_000_000_000 + nonce;
        pair.block(&[&propose(&by(0, nonce), (1, until), decision).0])[0]
    };
    let with = |change: fn(&mut NewChain)| {
        let mut new = new_chain(8, ChainKind::Transfers);
        change(&mut new);
        Decision::Create(new)
    };
    let roles = |chain: u32, change: fn(&mut Roles)| {
        let mut roles = Roles::default();
        change(&mut roles);
        Decision::Roles(ChainId(chain), roles)
    };
    let council = |accounts: &[u64]| {
        let accounts = accounts.iter().copied().map(AccountId).collect();
        Decision::Administrators(Council { threshold: 1, accounts })
    };
    let cases = [
        (with(|new| new.id = ChainId(5)), ChainIdTaken),
        (with(|new| new.id = ChainId(6)), ChainIdTaken),
        (with(|new| new.id = ChainId(7)), ChainIdTaken),
        // The genesis has 2^64 - 4,997 EUR.
        (with(|new| new.roles.issuance_cap = 4_997), IssuanceCap),
        (with(|new| new.roles.issuance_cap = 4_996), Applied),
        (Decision::Pause(ChainId(6)), UnknownChain),
        (Decision::Resume(ChainId(5)), OtherChainState),
        (Decision::Pause(ChainId(7)), OtherKind),
        (Decision::Close(ChainId(7)), OtherKind),
        (roles(5, |roles| roles.attestations_cap = 3), UnfitRoles),
        (roles(5, |roles| roles.quota = Quota(65_535)), UnfitRoles),
        (roles(5, |roles| roles.quota = Quota(Quota::WHOLE.0 + 1)), UnfitRoles),
        (roles(5, |roles| roles.quota = Quota::LEAST), Applied),
        (roles(7, |roles| (roles.issuer, roles.issuance_cap) = (Some(AccountId(0)), 1)), UnfitRoles),
        (roles(5, |roles| (roles.issuer, roles.issuance_cap) = (Some(AccountId(0)), 4_997)), IssuanceCap),
        (roles(5, |roles| (roles.issuer, roles.issuance_cap) = (Some(AccountId(0)), 4_996)), Applied),
        (roles(7, |roles| (roles.registrar, roles.accounts_cap) = (Registrar::Anyone, 9)), Applied),
        (council(&[0, 9]), UnknownCredit),
        (council(&[1]), Applied),
    ];
    for (nonce, (decision, expected)) in (0..).zip(&cases) {
        assert_eq!(told(&mut pair, nonce, decision), *expected, "{decision:?}");
    }
    // Two want to pause it: the second one to be decided comes too late, and its last approval says so.
    let (one, first) = propose(&by(0, 20), (1, 1 << 40), &Decision::Pause(ChainId(5)));
    let (two, second) = propose(&by(0, 21), (1, 1 << 41), &Decision::Pause(ChainId(5)));
    let told = pair.block(&[&one, &two, &approve(&by(1, 20), 1, first), &approve(&by(1, 21), 1, second)]);
    assert_eq!(told, [Applied, Applied, Applied, OtherChainState]);
    let waiting = ProposalRecord::decode(pair.writer.table().get(&second.0).unwrap()).unwrap();
    assert_eq!((waiting.decided, waiting.approvals.len()), (None, 1));
}

#[test]
fn other_administrators_void_what_is_open_and_those_who_decide_cannot_close() {
    use Outcome::*;
    let mut pair = Pair::new(&deciding_chain(3, 2));
    let council = Council { threshold: 1, accounts: vec![AccountId(2), AccountId(3)] };
    let opening = opening_as(&by(0, 0), &[7, 8]);
    let (change, proposal) = propose(&by(0, 1), (1, u64::MAX), &Decision::Administrators(council.clone()));
    let (open, of_open) =
        propose(&by(0, 2), (1, u64::MAX), &Decision::Create(new_chain(8, ChainKind::Attestations)));
    let told = pair.block(&[&opening, &change, &approve(&by(1, 0), 1, proposal), &open]);
    assert_eq!(told, [Applied; 4]);
    let close = |account: u64, nonce: u64| {
        let command = command(account, Action::Close, nonce);
        command.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    };
    // Account 3 is about to decide; account 4 never does.
    assert_eq!(pair.block(&[&close(0, 9), &close(3, 0), &close(4, 0)]), [RoleHeld, RoleHeld, Applied]);
    pair.pass(DECISION_LAG - 3);
    assert_eq!(pair.block(&[&approve(&by(3, 1), 2, of_open)]), [RoleNotHeld]);
    // In effect with the next height: before its transactions.
    let told = pair.block(&[
        &approve(&by(1, 1), 2, of_open),
        &approve(&by(3, 2), 2, of_open),
        &approve(&by(3, 3), 1, of_open),
        &propose(&by(3, 4), (2, u64::MAX), &Decision::Create(new_chain(8, ChainKind::Attestations))).0,
    ]);
    assert_eq!(told, [RoleNotHeld, OtherAdministrators, OtherAdministrators, Applied]);
    let row = pair.writer.table().get(&ADMINISTRATORS_KEY).unwrap();
    assert_eq!(Administrators::decode(row), Some(Administrators { version: 2, council }));
    assert_eq!(pair.block(&[&close(0, 10), &close(2, 0)]), [RoleHeld, RoleHeld], "account 0 opens accounts");
    assert_eq!(pair.block(&[&close(1, 2)]), [RoleHeld], "account 1 freezes");
}

#[test]
fn an_administrator_has_so_many_open_proposals_and_a_height_so_many_decisions() {
    use Outcome::*;
    let wait = |until: u64| {
        (1, until, Decision::Administrators(Council { threshold: 1, accounts: vec![AccountId(1)] }))
    };
    let mut pair = Pair::new(&deciding_chain(2, 2));
    let mut nonce = 0;
    let mut told = Vec::new();
    while told.last() != Some(&ProposalsFull) {
        let transactions: Vec<_> = (nonce..nonce + 60)
            .map(|nonce| {
                let (administrators, until, decision) = wait(1 << 40 | nonce);
                propose(&by(0, nonce), (administrators, until), &decision)
            })
            .collect();
        told = pair.block(&transactions.iter().map(|(one, _)| one).collect::<Vec<_>>());
        nonce += 60;
        if told[0] == Applied && nonce == 60 {
            // What is decided counts no more.
            assert_eq!(pair.block(&[&approve(&by(1, 0), 1, transactions[0].1)]), [Applied]);
        }
    }
    let open = crate::limits::PROPOSALS_MAX as u64 + 1;
    assert_eq!(nonce - 60 + told.iter().filter(|outcome| **outcome == Applied).count() as u64, open);
    // The other one has proposals of its own.
    let (one, _) = propose(&by(1, 1), (1, 5_000_000), &wait(0).2);
    assert_eq!(pair.block(&[&one]), [Applied]);

    let mut alone = Pair::new(&deciding_chain(1, 1));
    let freezer = |account| Roles { freezer: Some(AccountId(account)), ..Roles::default() };
    let all: Vec<_> = (0..64)
        .map(|nonce| propose(&by(0, nonce), (1, 1 << 40), &Decision::Roles(ChainId(7), freezer(nonce))).0)
        .collect();
    assert_eq!(alone.block(&all.iter().collect::<Vec<_>>()), [Applied; 64]);
    let next: Vec<_> = (64..66)
        .map(|nonce| propose(&by(0, nonce), (1, 1 << 40), &Decision::Roles(ChainId(7), freezer(nonce))).0)
        .collect();
    let extra: Vec<_> = (66..=128)
        .map(|nonce| propose(&by(0, nonce), (1, 1 << 40), &Decision::Roles(ChainId(7), freezer(nonce))).0)
        .collect();
    let both: Vec<_> = next.iter().chain(&extra).collect();
    let told = alone.block(&both);
    assert_eq!((told[63], told[64]), (Applied, ProposalsFull), "64 of one height");
    alone.pass(DECISION_LAG);
    // The last of each height is in effect.
    assert_eq!(alone.writer.state().roles().freezer, None, "account 127 is not there");
}

#[test]
fn undo_takes_decisions_and_their_effects_back() {
    let genesis = deciding_chain(2, 1);
    let mut pair = Pair::new(&genesis);
    let roles = Roles { registrar: Registrar::Anyone, accounts_cap: 50, ..Roles::default() };
    let (proposed, _) = propose(&by(0, 0), (1, u64::MAX), &Decision::Roles(genesis.id, roles));
    assert_eq!(pair.block(&[&proposed]), [Outcome::Applied]);
    pair.pass(DECISION_LAG - 1);
    let (before, orders) = (pair.writer.table().clone(), pair.writer.orders());
    assert_eq!((orders.len(), pair.writer.state().roles()), (1, genesis.roles));
    pair.writer.obey(&orders);
    let time = crate::execute::tests::at(pair.writer.height().next());
    let delta = pair.writer.execute_packets(time, &[], std::iter::empty(), &[]);
    assert_eq!((pair.writer.state().roles(), pair.writer.orders()), (roles, vec![]));
    pair.writer.undo(&delta);
    assert_eq!((pair.writer.table(), pair.writer.state().roles()), (&before, genesis.roles));
    assert_eq!(pair.writer.orders(), orders);
}

/// A ledger, its definition, and what a reader sees, height by height.
struct Network {
    genesis: Genesis,
    ledger: Ledger,
    oracle: OracleLedger,
    view: CommittedView,
    last: Option<Executed>,
}

impl Network {
    /// Chain 5 has EUR, chain 7 decides with one of two.
    fn new() -> Self {
        let issuer = Roles { issuer: Some(AccountId(1)), issuance_cap: 100, ..Roles::default() };
        let money = ChainGenesis { id: ChainId(5), asset: EUR, roles: issuer, ..chain_of(&[500, 500]) };
        let validator =
            ValidatorGenesis { name: "v".into(), public_key: [1; 32], certificate_fingerprint: [2; 32] };
        let genesis = Genesis::new("t".into(), vec![validator], vec![money, deciding_chain(2, 1)]).unwrap();
        let ledger = Ledger::genesis(&genesis);
        let (oracle, view) =
            (OracleLedger::genesis(&genesis), CommittedView::genesis(&genesis, ledger.state_root().clone()));
        Self { genesis, ledger, oracle, view, last: None }
    }

    /// The next height, with these transactions ascending by chain; the outcomes, chain by chain.
    fn height(&mut self, transactions: &[Transaction]) -> Vec<(u32, Vec<Outcome>)> {
        let time = ChainTime::new(self.ledger.height().next(), self.ledger.height().0 * 1_000);
        let network = self.genesis.network();
        let sealed: Vec<_> = transactions.iter().cloned().map(Verified::assumed).collect();
        let sealed: Vec<_> = sealed.iter().collect();
        let seal = || {
            Verified::seal(network, (Epoch(0), ValidatorIndex(0)), &Head::NONE, Height(0), &sealed, |_| {
                [0; 64]
            })
        };
        let batches: Vec<_> = (!sealed.is_empty()).then(seal).into_iter().collect();
        let executed = self.ledger.execute(time, &batches);
        let of_chain = |chain: ChainId| {
            batches.iter().flat_map(|batch| PacketRun::all(batch.packets_of(chain))).collect()
        };
        let expected = self.oracle.execute(time, of_chain);
        assert_eq!(executed.state_root.entries(), expected.entries);
        for (delta, expected) in executed.deltas.iter().zip(&expected.outcomes) {
            assert_eq!(delta.effects(), expected.effects);
        }
        assert_eq!(*executed.state_root.digest(), expected.state_root);
        self.oracle = restored(&self.genesis, &self.ledger, &executed, &self.oracle);
        self.view.commit(&executed.deltas, executed.state_root.clone());
        for (entry, chain) in executed.state_root.entries().iter().map(|entry| (entry, entry.chain)) {
            for account in (0..entry.accounts).map(AccountId) {
                self.view.prove(chain, account).unwrap().verify(executed.state_root.digest()).unwrap();
            }
            let row = self.view.prove_row(chain, &OWN_CHAIN_KEY).unwrap();
            row.verify(executed.state_root.digest()).unwrap();
        }
        let outcomes = executed.deltas.iter().filter(|delta| !delta.outcomes().is_empty());
        let outcomes = outcomes.map(|delta| (delta.chain().0, delta.outcomes().to_vec())).collect();
        self.last = Some(executed);
        outcomes
    }

    /// The administrator decides this now; it takes effect at the height that is returned.
    fn decide(&mut self, nonce: u64, decision: &Decision) -> Height {
        let (proposed, _) = propose(&by(0, nonce), (1, u64::MAX - nonce), decision);
        assert_eq!(self.height(&[proposed]), [(7, vec![Outcome::Applied])]);
        Height(self.ledger.height().0 + DECISION_LAG)
    }

    /// Empty heights up to the one before.
    fn until(&mut self, before: Height) {
        while self.ledger.height().next() < before {
            self.height(&[]);
        }
    }

    fn pays(&self, (from, to): (u32, Option<u32>), (payer, payee): (u64, u64), nonce: u64) -> Transaction {
        let like = transfer(payer, payee, 10, nonce);
        let transfer = Transfer { chain: ChainId(from), credit_chain: to.map(ChainId), ..like };
        transfer.sign(self.genesis.network(), |_| [0; 64]).run().transaction().unwrap()
    }

    fn issues(chain: u32, (by, to): (u64, u64), amount: u64, nonce: u64) -> Transaction {
        let issue = Command {
            chain: ChainId(chain),
            ..command(by, Action::Issue { to: AccountId(to), amount }, nonce)
        };
        issue.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    }

    fn balance(&self, chain: u32, account: u64) -> u64 {
        self.ledger.states().get(ChainId(chain)).unwrap().account(AccountId(account)).unwrap().balance
    }
}

#[test]
fn a_created_chain_takes_part_from_its_height_on_and_money_moves_there() {
    use Outcome::*;
    let mut network = Network::new();
    let early = network.ledger.states();
    let since = network.decide(0, &Decision::Create(new_chain(8, ChainKind::Transfers)));
    network.until(since);
    assert!(early.get(ChainId(8)).is_none(), "nobody sees it before");
    assert_eq!(network.height(&[network.pays((5, Some(8)), (0, 1), 0)]), [(5, vec![Sent])]);
    let chain = early.get(ChainId(8)).expect("who had the states has those of the new chain");
    assert_eq!((chain.accounts(), chain.asset(), chain.status()), (2, EUR, ChainStatus::Active));
    // Batches that name an earlier height hold no transaction of it.
    assert_eq!((chain.accounts_as_of(Height(since.0 - 1)), chain.accounts_as_of(since)), (0, 2));
    let of = network.last.as_ref().unwrap().state_root.entries().last().copied().unwrap();
    assert_eq!((of.chain, of.accounts, of.kind), (ChainId(8), 2, ChainKind::Transfers));
    let told = network.height(&[Network::issues(8, (0, 0), 1_000, 0), network.pays((8, None), (0, 1), 1)]);
    assert_eq!(told, [(8, vec![Applied, Applied])]);
    assert_eq!((network.balance(8, 0), network.balance(8, 1), network.balance(5, 0)), (990, 20, 490));
    // Back to a chain of the genesis.
    assert_eq!(network.height(&[network.pays((8, Some(5)), (1, 1), 0)]), [(8, vec![Sent])]);
    network.height(&[]);
    assert_eq!((network.balance(8, 1), network.balance(5, 1)), (10, 510));
    // Its charter stands in its own table.
    let table = network.ledger.tables().last().unwrap();
    let charter = Charter::decode(table.get(&OWN_CHAIN_KEY).unwrap()).unwrap();
    assert_eq!((charter.since, charter.cap_ever, charter.roles.issuer), (since, 1_000, Some(AccountId(0))));
}

#[test]
fn a_paused_chain_takes_no_transaction_and_all_that_is_in_flight() {
    use Outcome::*;
    let mut network = Network::new();
    let created = network.decide(0, &Decision::Create(new_chain(8, ChainKind::Transfers)));
    network.until(created);
    network.height(&[]);
    let paused = network.decide(1, &Decision::Pause(ChainId(8)));
    network.until(Height(paused.0 - 1));
    // Sent in the last height before: it arrives at a chain that rests. What rests can also send back.
    network.height(&[network.pays((5, Some(8)), (0, 1), 0)]);
    let told = network.height(&[network.pays((5, Some(8)), (0, 9), 1), Network::issues(8, (0, 0), 5, 0)]);
    assert_eq!(told, [(5, vec![Sent]), (8, vec![ChainPaused])]);
    assert_eq!((network.balance(8, 1), network.balance(5, 0)), (10, 480));
    // The same bytes are final: their nonce is spent.
    assert_eq!(network.height(&[Network::issues(8, (0, 0), 5, 0)]), [(8, vec![Replayed])]);
    network.height(&[]);
    assert_eq!(network.balance(5, 0), 490, "what could not be credited came back");
    let states = network.ledger.states();
    assert_eq!(states.get(ChainId(8)).unwrap().status(), ChainStatus::Paused);
    let resumed = network.decide(2, &Decision::Resume(ChainId(8)));
    network.until(resumed);
    assert_eq!(network.height(&[Network::issues(8, (0, 0), 5, 1)]), [(8, vec![Applied])]);
}

#[test]
fn from_a_closed_chain_money_can_only_leave() {
    use Outcome::*;
    let mut network = Network::new();
    let created = network.decide(0, &Decision::Create(new_chain(8, ChainKind::Transfers)));
    network.until(created);
    network.height(&[]);
    network.height(&[Network::issues(8, (0, 0), 30, 0)]);
    let closed = network.decide(1, &Decision::Close(ChainId(8)));
    network.until(closed);
    let told = network.height(&[
        network.pays((5, Some(8)), (0, 1), 0),
        network.pays((8, None), (0, 1), 1),
        network.pays((8, Some(5)), (0, 1), 2),
        network.pays((8, Some(5)), (0, 9), 3),
        Network::issues(8, (0, 0), 5, 4),
        opening_as(&Transfer { chain: ChainId(8), ..by(0, 5) }, &[9]),
    ]);
    assert_eq!(told, [(5, vec![Sent]), (8, vec![ChainClosed, Sent, Sent, ChainClosed, ChainClosed])]);
    network.height(&[]);
    network.height(&[]);
    // What came is refused, and goes back; what left and was refused comes back, also to a closed chain.
    assert_eq!((network.balance(5, 0), network.balance(5, 1)), (500, 510));
    assert_eq!((network.balance(8, 0), network.balance(8, 1)), (20, 0));
    let burn = Command { chain: ChainId(8), ..command(0, Action::Burn { amount: 20 }, 6) };
    let burn = burn.sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap();
    assert_eq!(network.height(&[burn]), [(8, vec![Applied])]);
    // For good: nothing can be decided about it any more.
    let (again, _) = propose(&by(0, 9), (1, u64::MAX), &Decision::Resume(ChainId(8)));
    assert_eq!(network.height(&[again]), [(7, vec![OtherChainState])]);
}

#[test]
fn roles_are_taken_and_given_at_their_height() {
    use Outcome::*;
    let mut network = Network::new();
    let roles = Roles { issuer: Some(AccountId(0)), issuance_cap: 20, ..Roles::default() };
    let since = network.decide(0, &Decision::Roles(ChainId(5), roles));
    network.until(since);
    let told = network.height(&[
        Network::issues(5, (1, 1), 1, 0),
        Network::issues(5, (0, 0), 20, 0),
        Network::issues(5, (0, 0), 1, 1),
    ]);
    assert_eq!(told, [(5, vec![RoleNotHeld, Applied, IssuanceCap])]);
    // An account that is not there when it takes effect gets no role: its number could be somebody else's later.
    let roles = Roles {
        issuer: Some(AccountId(2)),
        issuance_cap: 20,
        freezer: Some(AccountId(1)),
        ..Roles::default()
    };
    let since = network.decide(1, &Decision::Roles(ChainId(5), roles));
    network.until(since);
    network.height(&[]);
    let of_chain = network.ledger.states().get(ChainId(5)).unwrap().roles();
    assert_eq!((of_chain.issuer, of_chain.issuance_cap, of_chain.freezer), (None, 0, Some(AccountId(1))));
    let roles = Roles { issuer: Some(AccountId(0)), issuance_cap: 20, ..Roles::default() };
    let since = network.decide(2, &Decision::Roles(ChainId(5), roles));
    network.until(since);
    network.height(&[]);
    // A lower cap lets nothing forget the higher one: 100 was allowed once.
    let table = network.ledger.tables().next().unwrap();
    let charter = Charter::decode(table.get(&OWN_CHAIN_KEY).unwrap()).unwrap();
    assert_eq!((charter.cap_ever, charter.roles.issuance_cap), (100, 20));
}

/// The ledger that a snapshot of this one gives, where nothing is in flight.
fn restored_ledger(genesis: &Genesis, ledger: &Ledger) -> Ledger {
    let (root, states) = (ledger.state_root(), ledger.states());
    let writers = states.iter().zip(ledger.tables()).zip(root.entries()).map(|((state, table), entry)| {
        let accounts: Vec<_> =
            (0..state.accounts()).map(|id| state.account(AccountId(id)).unwrap()).collect();
        let rules = ChainRules { chain: state.chain(), charter: *state.beginning() };
        let rows = Table::restore(table.slots().iter().cloned());
        StateWriter::restore(rules, root.height(), entry.issuance, accounts.into_iter(), None, rows)
    });
    let (writers, entries): (Vec<_>, Vec<_>) = (writers.collect(), root.entries().to_vec());
    let nothing = vec![vec![]; writers.len()];
    Ledger::restore(genesis, root.height(), writers, entries, &nothing, root.digest()).unwrap()
}

#[test]
fn a_ledger_restored_between_a_decision_and_its_effect_goes_on() {
    let mut network = Network::new();
    let since = network.decide(0, &Decision::Create(new_chain(8, ChainKind::Attestations)));
    network.decide(1, &Decision::Pause(ChainId(5)));
    network.until(Height(since.0 - 10));
    network.ledger = restored_ledger(&network.genesis, &network.ledger);
    // The definition goes on from the beginning, and is compared at every height.
    network.until(Height(since.0 + 5));
    let states = network.ledger.states();
    assert_eq!(states.get(ChainId(5)).unwrap().status(), ChainStatus::Paused);
    assert_eq!(states.get(ChainId(8)).unwrap().kind(), ChainKind::Attestations);
}
