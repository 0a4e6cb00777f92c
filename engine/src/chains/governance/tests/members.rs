//! Who validates, as administrators decide it. Every height is executed both ways, and the definition goes on from
//! rows.

use std::sync::LazyLock;

use super::*;
use crate::limits::CONSENT_HEIGHTS_MAX;
use crate::roots::tests::batch;

const DECIDING: ChainId = ChainId(7);

/// A network of the validators with these numbers, and one chain, whose administrators decide.
fn genesis(validators: &[u8], membership: Membership, chain: ChainGenesis) -> Genesis {
    let validator = |number: &u8| {
        let Member { name, public_key, certificate_fingerprint, .. } = member(*number);
        ValidatorGenesis { name, public_key, certificate_fingerprint }
    };
    let validators = validators.iter().map(validator).collect();
    Genesis::with_membership("m".into(), validators, membership, vec![chain]).unwrap()
}

/// The network of one validator whose administrators are those of a chain of the kind.
pub(crate) fn of_one(chain: ChainGenesis) -> Genesis {
    genesis(&[1], Membership::Decided, chain)
}

/// In a network [`of_one`], with the chain of the laws, administrators add a validator, which consents, or does not.
pub(crate) fn any_addition() -> impl Strategy<Value = Transaction> + Clone {
    static NETWORK: LazyLock<Genesis> = LazyLock::new(|| of_one(deciding_chain(4, 2)));
    (0..4_u64, any::<bool>(), 1..3_u16, any_transfer()).prop_map(|(who, first, count, like)| {
        let change = MemberChange::Add(member(2));
        let set = Members::of_genesis(&NETWORK).after(&change).unwrap();
        let consents = (0..count).map(|place| consent(NETWORK.network(), &set, (place as u8 + 1, place), 1));
        let consents = Consents::encode(consents.collect());
        let consents = Consents::read(&consents).unwrap();
        let like = Transfer { debit: AccountId(who), ..like };
        let decision = Decision::Members(change);
        let (proposed, proposal) = propose_with(&like, (1, u64::MAX), &decision, consents);
        if first { proposed } else { approve_with(&like, 1, proposal, consents) }
    })
}

/// Administrators of a network, and how its members change.
struct Rig {
    genesis: Genesis,
    ledger: Ledger,
    oracle: OracleLedger,
    epoch: Epoch,
    nonce: u64,
}

impl Rig {
    fn new(validators: &[u8], membership: Membership, threshold: u8) -> Self {
        let genesis = genesis(validators, membership, deciding_chain(2, threshold));
        let (ledger, oracle) = (Ledger::genesis(&genesis), OracleLedger::genesis(&genesis));
        Self { genesis, ledger, oracle, epoch: Epoch(0), nonce: 0 }
    }

    fn decided(validators: &[u8], threshold: u8) -> Self {
        Self::new(validators, Membership::Decided, threshold)
    }

    fn run(&mut self, transactions: &[Transaction]) -> Executed {
        let height = self.ledger.height().next();
        let at = ChainTime::new(height, height.0 * 1_000).in_epoch(self.epoch);
        let packets: Vec<_> = transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
        let batches: Vec<_> = (!packets.is_empty()).then(|| batch(1, &packets)).into_iter().collect();
        let executed = self.ledger.execute(at, &batches);
        let expected = self.oracle.execute(at, |_| PacketRun::all(&packets).collect());
        assert_eq!(executed.deltas[0].outcomes(), expected.outcomes[0].outcomes);
        assert_eq!(*executed.state_root.digest(), expected.state_root);
        let members = executed.decided().members;
        assert!(members.is_none_or(|members| members == self.ledger.members()));
        executed
    }

    /// The next height; its outcomes, and the members that it has decided.
    fn height(&mut self, transactions: &[Transaction]) -> (Vec<Outcome>, Option<Members>) {
        let executed = self.run(transactions);
        self.oracle = restored(&self.genesis, &self.ledger, &executed, &self.oracle);
        (executed.deltas[0].outcomes().to_vec(), executed.decided().members)
    }

    fn by(&mut self, administrator: u64) -> Transfer {
        self.nonce += 1;
        Transfer { expiry: Height(u64::MAX), ..by(administrator, self.nonce) }
    }

    /// The set that a change would make.
    fn after(&self, change: &MemberChange) -> Members {
        self.ledger.members().after(change).unwrap()
    }

    /// The consents of those at these places of a set, given at the last height.
    fn consents(&self, set: &Members, places: &[u16]) -> Vec<Consent> {
        let height = self.ledger.height().0;
        places.iter().map(|place| agrees(self.genesis.network(), set, *place, height)).collect()
    }

    /// One administrator proposes, with these consents.
    fn propose(&mut self, decision: &Decision, consents: Vec<Consent>) -> (Transaction, Digest) {
        let like = self.by(0);
        let encoded = Consents::encode(consents);
        let until = u64::MAX - self.nonce;
        propose_with(&like, (1, until), decision, Consents::read(&encoded).unwrap())
    }

    /// Administrator 1 approves.
    fn approve(&mut self, proposal: Digest, consents: Vec<Consent>) -> Transaction {
        let like = self.by(1);
        let encoded = Consents::encode(consents);
        approve_with(&like, 1, proposal, Consents::read(&encoded).unwrap())
    }

    /// One height in which this is proposed; what came of it.
    fn told(&mut self, decision: &Decision, consents: Vec<Consent>) -> Outcome {
        let (proposed, proposal) = self.propose(decision, consents);
        let before = self.ledger.members();
        let (told, decided) = self.height(&[proposed]);
        let kept = self.row(&proposal.0).is_some();
        assert_eq!(kept, told[0] == Outcome::Applied);
        assert_eq!(decided.is_some(), self.ledger.members() != before);
        told[0]
    }

    /// It is decided at once, with the consents of all.
    fn decide(&mut self, change: MemberChange) -> Members {
        let set = self.after(&change);
        let all: Vec<u16> = (0..set.list.len() as u16).collect();
        let consents = self.consents(&set, &all);
        assert_eq!(self.told(&Decision::Members(change), consents), Outcome::Applied);
        assert_eq!(self.ledger.members(), set);
        set
    }

    fn row(&self, key: &[u8; 32]) -> Option<&[u8]> {
        self.ledger.tables().next().unwrap().get(key)
    }

    /// The places that have rows.
    fn places(&self) -> Vec<u16> {
        (0..200).filter(|place| self.row(&member_key(ValidatorIndex(*place))).is_some()).collect()
    }
}

/// The consent of the member at a place of a set.
fn agrees(network: &Digest, set: &Members, place: u16, height: u64) -> Consent {
    let number = set.list[usize::from(place)].certificate_fingerprint[0];
    consent(network, set, (number, place), height)
}

fn remove(number: u8, below_four: bool) -> MemberChange {
    MemberChange::Remove { key: member(number).public_key, below_four }
}

fn replace(gone: u8, number: u8) -> MemberChange {
    MemberChange::Replace(member(gone).public_key, member(number))
}

#[test]
fn the_last_approval_decides_with_consents_and_the_set_is_handed_out_and_stands_in_rows() {
    use Outcome::*;
    let mut rig = Rig::decided(&[1, 2, 3, 4], 2);
    let first = rig.ledger.members();
    assert_eq!(first, Members::of_genesis(&rig.genesis));
    let change = MemberChange::Add(member(5));
    let set = rig.after(&change);
    let (proposed, proposal) = rig.propose(&Decision::Members(change.clone()), vec![]);
    let (pause, other) = rig.propose(&Decision::Pause(DECIDING), vec![]);
    assert_eq!(rig.height(&[proposed, pause]), (vec![Applied, OtherKind], None));
    assert_eq!((rig.ledger.members(), rig.row(&MEMBERS_KEY), rig.places()), (first, None, vec![]));
    let none = rig.approve(proposal, vec![]);
    let few = rig.approve(proposal, rig.consents(&set, &[0, 1, 4]));
    assert_eq!(rig.height(&[none, few]), (vec![TooFewConsents; 2], None));
    let enough = rig.approve(proposal, rig.consents(&set, &[0, 1, 3, 4]));
    let late = rig.approve(proposal, vec![]);
    let unknown = rig.approve(other, vec![]);
    let (told, decided) = rig.height(&[enough, late, unknown]);
    assert_eq!((told, decided), (vec![Applied, ProposalDecided, UnknownProposal], Some(set.clone())));
    let at = rig.ledger.height();
    let record = MembersRecord::decode(rig.row(&MEMBERS_KEY).unwrap()).unwrap();
    assert_eq!(record, MembersRecord::new(&set, at, proposal, Epoch(0)));
    assert_eq!(record.members(|key| rig.row(key)), Some(set.clone()));
    let proposed = ProposalRecord::decode(rig.row(&proposal.0).unwrap()).unwrap();
    assert_eq!((proposed.decided, proposed.approvals.len()), (Some((1, at)), 2));
    // No chain has anything to obey, then or later.
    for _ in 0..=DECISION_LAG {
        let executed = rig.run(&[]);
        assert!(executed.deltas[0].effects().is_empty() && executed.decided().members.is_none());
    }
    assert_eq!(rig.ledger.members(), set);
}

#[test]
fn members_are_decided_only_where_the_genesis_says_so() {
    let mut rig = Rig::new(&[1, 2, 3, 4], Membership::Fixed, 1);
    let change = MemberChange::Add(member(5));
    let set = rig.after(&change);
    let consents = rig.consents(&set, &[0, 1, 2, 3, 4]);
    assert_eq!(rig.told(&Decision::Members(change), consents), Outcome::MembersFixed);
}

/// A decision that waits: the height from which on it is in effect, counted from the one in which it was decided.
fn lag(rig: &mut Rig) -> u64 {
    let council = Council { threshold: 1, accounts: vec![AccountId(0), AccountId(1)] };
    let (proposed, proposal) = rig.propose(&Decision::Administrators(council), vec![]);
    assert_eq!(rig.height(&[proposed]).0, [Outcome::Applied]);
    let record = ProposalRecord::decode(rig.row(&proposal.0).unwrap()).unwrap();
    record.decided.unwrap().1.0 - rig.ledger.height().0
}

#[test]
fn other_rules_take_the_consent_of_every_member_and_are_those_of_the_next_epoch() {
    use Outcome::*;
    for membership in [Membership::Fixed, Membership::Decided] {
        let mut rig = Rig::new(&[1, 2, 3, 4], membership, 1);
        let rules = |version| MemberChange::Rules(RulesVersion(version));
        for other in [3, 9, u16::MAX] {
            assert_eq!(rig.told(&Decision::Members(rules(other)), vec![]), OtherRules);
        }
        let decision = Decision::Members(rules(2));
        let set = rig.after(&rules(2));
        let mut consents = rig.consents(&set, &[0, 1, 2]);
        assert_eq!(rig.told(&decision, consents.clone()), TooFewConsents, "a quorum is not enough");
        let without_rules = Members { rules: RULES_FIRST, ..set.clone() };
        consents.push(agrees(rig.genesis.network(), &without_rules, 3, rig.ledger.height().0));
        assert_eq!(rig.told(&decision, consents), TooFewConsents, "the last one knows of no rules");
        // The epoch goes on with its own rules until the next one begins.
        assert_eq!(rig.decide(rules(2)), set);
        assert_eq!((set.rules, set.epoch, &set.list), (RULES_TRIAL, Epoch(1), &rig.after(&rules(3)).list));
        let record = MembersRecord::decode(rig.row(&MEMBERS_KEY).unwrap()).unwrap();
        assert_eq!((record.rules, record.rules_since), (RULES_TRIAL, Epoch(1)));
        assert_eq!([0, 1].map(|epoch| record.rules_of(Epoch(epoch)).0), [1, 2]);
        assert_eq!(rig.told(&Decision::Members(rules(3)), vec![]), MembersChanging);
        assert_eq!(lag(&mut rig), DECISION_LAG);
        rig.ledger = restored_ledger(&rig.genesis, &rig.ledger);
        assert_eq!(lag(&mut rig), DECISION_LAG, "a start there knows both");
        rig.epoch = Epoch(1);
        assert_eq!(lag(&mut rig), DECISION_LAG + 1);
        rig.ledger = restored_ledger(&rig.genesis, &rig.ledger);
        assert_eq!(lag(&mut rig), DECISION_LAG + 1);
        assert_eq!(rig.told(&decision, vec![]), OtherRules, "there is no way back");
        if membership == Membership::Decided {
            let grown = rig.decide(MemberChange::Add(member(5)));
            let record = MembersRecord::decode(rig.row(&MEMBERS_KEY).unwrap()).unwrap();
            assert_eq!((grown.rules, record.rules_since), (RULES_TRIAL, Epoch(1)), "they stay");
            assert_eq!(lag(&mut rig), DECISION_LAG + 1);
        }
    }
}

#[test]
fn a_set_that_cannot_be_is_refused_when_it_is_proposed() {
    use Outcome::*;
    let mut rig = Rig::decided(&[1, 2, 3, 4], 2);
    let twin = Member { certificate_fingerprint: [2; 32], ..member(9) };
    for (change, expected) in [
        (remove(5, true), UnfitMembers),
        (replace(5, 9), UnfitMembers),
        (MemberChange::Add(member(3)), UnfitMembers),
        (MemberChange::Add(twin), UnfitMembers),
        (replace(1, 3), UnfitMembers),
        (remove(1, false), BelowFour),
        (remove(1, true), Applied),
        (replace(1, 9), Applied),
    ] {
        assert_eq!(rig.told(&Decision::Members(change.clone()), vec![]), expected, "{change:?}");
    }
    let mut alone = Rig::decided(&[1], 2);
    assert_eq!(alone.told(&Decision::Members(remove(1, true)), vec![]), UnfitMembers);
    let all: Vec<u8> = (1..=128).collect();
    let mut full = Rig::decided(&all, 2);
    assert_eq!(full.told(&Decision::Members(MemberChange::Add(member(129))), vec![]), UnfitMembers);
    let mut nearly = Rig::decided(&all[..127], 2);
    assert_eq!(nearly.told(&Decision::Members(MemberChange::Add(member(129))), vec![]), Applied);
}

#[test]
fn consents_count_if_they_are_signed_in_time_by_a_quorum_with_the_newcomer() {
    use Outcome::*;
    let mut rig = Rig::decided(&[1, 2, 3, 4], 1);
    while rig.ledger.height().0 < CONSENT_HEIGHTS_MAX + 20 {
        rig.run(&[]);
    }
    let change = MemberChange::Add(member(5));
    let (set, decision) = (rig.after(&change), Decision::Members(change));
    let network = *rig.genesis.network();
    let tell = |rig: &mut Rig, change: &dyn Fn(&mut Vec<Consent>, u64)| {
        let mut consents = rig.consents(&set, &[0, 1, 2, 4]);
        // The height in which it will be looked at.
        change(&mut consents, rig.ledger.height().next().0);
        rig.told(&decision, consents)
    };
    assert_eq!(tell(&mut rig, &|consents, _| consents.truncate(3)), TooFewConsents, "three of five");
    let others: &dyn Fn(&mut Vec<Consent>, u64) =
        &|consents, now| consents[3] = agrees(&network, &set, 3, now - 1);
    assert_eq!(tell(&mut rig, others), TooFewConsents, "a quorum without the newcomer");
    assert_eq!(tell(&mut rig, &|consents, _| consents[0].signature[9] ^= 1), TooFewConsents);
    assert_eq!(tell(&mut rig, &|consents, _| consents[0].place = ValidatorIndex(3)), TooFewConsents);
    assert_eq!(tell(&mut rig, &|consents, _| consents[3].place = ValidatorIndex(5)), TooFewConsents);
    let at = |consents: &mut Vec<Consent>, height| consents[1] = agrees(&network, &set, 1, height);
    assert_eq!(tell(&mut rig, &|consents, now| at(consents, now + 1)), TooFewConsents, "not yet");
    let old = CONSENT_HEIGHTS_MAX + 1;
    assert_eq!(tell(&mut rig, &|consents, now| at(consents, now - old)), TooFewConsents, "too old");
    let elsewhere: &dyn Fn(&mut Vec<Consent>, u64) =
        &|consents, now| consents[1] = agrees(&Digest([1; 32]), &set, 1, now);
    assert_eq!(tell(&mut rig, elsewhere), TooFewConsents, "another network");
    let other_set = Members { epoch: Epoch(2), ..set.clone() };
    let other: &dyn Fn(&mut Vec<Consent>, u64) =
        &|consents, now| consents[1] = agrees(&network, &other_set, 1, now);
    assert_eq!(tell(&mut rig, other), TooFewConsents, "another epoch");
    // What is wrong beside enough that is right does no harm; and a consent holds up to its last height.
    let enough: &dyn Fn(&mut Vec<Consent>, u64) = &|consents, now| {
        at(consents, now - CONSENT_HEIGHTS_MAX);
        consents[0] = agrees(&network, &set, 0, now);
        consents.push(Consent { place: ValidatorIndex(3), height: Height(now), signature: [7; 64] });
    };
    assert_eq!(tell(&mut rig, enough), Applied);
    assert_eq!(rig.ledger.members(), set);
}

#[test]
fn a_member_whose_key_stays_need_not_be_among_those_who_consent() {
    let mut rig = Rig::decided(&[1, 2, 3, 4], 1);
    let mut moved = member(2);
    moved.peer_address = "elsewhere.example:7000".into();
    let change = MemberChange::Replace(moved.public_key, moved);
    let set = rig.after(&change);
    let consents = rig.consents(&set, &[0, 2, 3]);
    assert_eq!(rig.told(&Decision::Members(change), consents), Outcome::Applied);
    rig.epoch = Epoch(1);
    let set = rig.after(&replace(2, 9));
    let without = rig.consents(&set, &[0, 2, 3]);
    assert_eq!(
        rig.told(&Decision::Members(replace(2, 9)), without),
        Outcome::TooFewConsents,
        "its key is new"
    );
    let with = rig.consents(&set, &[0, 1, 3]);
    assert_eq!(rig.told(&Decision::Members(replace(2, 9)), with), Outcome::Applied);
}

#[test]
fn consents_to_what_is_not_about_members_are_refused() {
    use Outcome::*;
    let mut rig = Rig::decided(&[1], 2);
    let set = rig.after(&MemberChange::Add(member(2)));
    let roles = Decision::Roles(DECIDING, Roles::default());
    let needless = rig.consents(&set, &[0]);
    assert_eq!(rig.told(&roles, needless.clone()), NeedlessConsents);
    let (proposed, proposal) = rig.propose(&roles, vec![]);
    let (with, without) = (rig.approve(proposal, needless.clone()), rig.approve(proposal, vec![]));
    assert_eq!(rig.height(&[proposed, with, without]).0, [Applied, NeedlessConsents, Applied]);
    // Nobody looks at those of an approval that does not decide.
    let (early, _) = rig.propose(&Decision::Members(MemberChange::Add(member(2))), needless);
    assert_eq!(rig.height(&[early]), (vec![Applied], None));
}

#[test]
fn one_change_after_the_other_and_the_next_only_in_the_next_epoch() {
    use Outcome::*;
    let mut rig = Rig::decided(&[1, 2, 3, 4, 5], 2);
    let change = replace(1, 9);
    let set = rig.after(&change);
    let (one, first) = rig.propose(&Decision::Members(change), vec![]);
    let (two, second) = rig.propose(&Decision::Members(remove(5, false)), vec![]);
    let of_first = rig.approve(first, rig.consents(&set, &[0, 1, 2, 3]));
    let shrunk = rig.after(&remove(5, false));
    let of_second = rig.approve(second, rig.consents(&shrunk, &[0, 1, 2, 3]));
    assert_eq!(rig.height(&[one, two, of_first, of_second]).0, [Applied, Applied, Applied, MembersChanging]);
    assert_eq!(
        rig.told(&Decision::Members(remove(5, false)), vec![]),
        MembersChanging,
        "when it is proposed"
    );
    rig.epoch = Epoch(1);
    // The consents were to another set.
    let again = rig.approve(second, rig.consents(&shrunk, &[0, 1, 2, 3]));
    assert_eq!(rig.height(&[again]), (vec![TooFewConsents], None));
    let shrunk = rig.after(&remove(5, false));
    let now = rig.approve(second, rig.consents(&shrunk, &[0, 1, 2, 3]));
    assert_eq!(rig.height(&[now]), (vec![Applied], Some(shrunk.clone())));
    assert_eq!((shrunk.epoch, shrunk.list[0].clone()), (Epoch(2), member(9)));
    assert_eq!(rig.told(&Decision::Members(replace(2, 8)), vec![]), MembersChanging);
}

#[test]
fn a_proposal_means_the_same_member_when_places_have_moved() {
    use Outcome::*;
    let mut rig = Rig::decided(&[1, 2, 3, 4, 5, 6, 7], 2);
    let changes = [remove(2, false), remove(4, false), replace(6, 9), remove(2, false)];
    let mut proposals = Vec::new();
    for change in &changes {
        let (proposed, proposal) = rig.propose(&Decision::Members(change.clone()), vec![]);
        assert_eq!(rig.height(&[proposed]).0, [Applied]);
        proposals.push(proposal);
    }
    let left: [&[u8]; 3] = [&[1, 3, 4, 5, 6, 7], &[1, 3, 5, 6, 7], &[1, 3, 5, 9, 7]];
    for (epoch, ((change, proposal), left)) in (1..).zip(changes.iter().zip(&proposals).zip(left)) {
        let set = rig.after(change);
        let all: Vec<u16> = (0..set.list.len() as u16).collect();
        let approved = rig.approve(*proposal, rig.consents(&set, &all));
        assert_eq!(rig.height(&[approved]).0, [Applied]);
        let found: Vec<_> = rig.ledger.members().list.into_iter().map(|member| member.name).collect();
        let expected: Vec<_> = left.iter().map(|number| member(*number).name).collect();
        assert_eq!(found, expected);
        rig.epoch = Epoch(epoch);
    }
    let gone = rig.approve(proposals[3], vec![]);
    assert_eq!(rig.height(&[gone]).0, [UnfitMembers], "it has left already");
}

#[test]
fn rows_of_places_that_nobody_has_any_more_are_taken_out_and_the_others_move_down() {
    let mut rig = Rig::decided(&[1, 2, 3, 4, 5], 1);
    rig.decide(MemberChange::Add(member(6)));
    assert_eq!(rig.places(), [0, 1, 2, 3, 4, 5]);
    for (epoch, (number, left)) in (1..).zip([(3, 5_u16), (1, 4)]) {
        rig.epoch = Epoch(epoch);
        let set = rig.decide(remove(number, false));
        assert_eq!(rig.places(), (0..left).collect::<Vec<_>>());
        for (at, member) in (0..).map(ValidatorIndex).zip(&set.list) {
            assert_eq!(rig.row(&member_key(at)), Some(&member.encode()[..]));
        }
    }
    rig.epoch = Epoch(3);
    rig.decide(MemberChange::Add(member(7)));
    assert_eq!(rig.places(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_restored_ledger_has_the_members_and_undo_takes_them_back() {
    let mut rig = Rig::decided(&[1, 2, 3, 4], 1);
    rig.decide(MemberChange::Add(member(5)));
    rig.epoch = Epoch(1);
    let set = rig.decide(remove(2, false));
    let again = restored_ledger(&rig.genesis, &rig.ledger);
    assert_eq!(again.members(), set);
    rig.ledger = again;
    assert_eq!(rig.told(&Decision::Members(replace(1, 9)), vec![]), Outcome::MembersChanging);
    rig.epoch = Epoch(2);
    rig.decide(replace(1, 9));

    let genesis = genesis(&[1], Membership::Decided, deciding_chain(2, 1));
    let mut writer = StateWriter::genesis(&genesis.chains()[0]);
    writer.govern(genesis.chains(), FirstMembers::of(&genesis));
    let step = |writer: &mut StateWriter, epoch: u64, change: MemberChange| {
        let set = writer.members().unwrap().after(&change).unwrap();
        let all = (0..set.list.len() as u16).map(|place| agrees(genesis.network(), &set, place, epoch));
        let consents = Consents::encode(all.collect());
        let consents = Consents::read(&consents).unwrap();
        let (proposed, _) = propose_with(&by(0, epoch), (1, 1 << 40), &Decision::Members(change), consents);
        let at = ChainTime::new(writer.height().next(), 0).in_epoch(Epoch(epoch));
        let packets = proposed.run().packets();
        let delta = writer.execute_packets(at, &[], std::iter::once(packets), &[[0; 32]]);
        assert_eq!((delta.outcomes(), delta.members()), (&[Outcome::Applied][..], Some(&set)));
        delta
    };
    let states = |writer: &StateWriter| (writer.table().clone(), writer.members().cloned());
    let before = states(&writer);
    let grown = step(&mut writer, 0, MemberChange::Add(member(2)));
    let between = states(&writer);
    let shrunk = step(&mut writer, 1, remove(1, false));
    assert_eq!(writer.members().unwrap().list, [member(2)]);
    writer.undo(&shrunk);
    assert_eq!(states(&writer), between);
    writer.undo(&grown);
    assert_eq!(states(&writer), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn members_change_as_the_definition_says(
        first in 1..7_u8, steps in vec((0..4_u8, 1..12_u8, 1..12_u8, any::<bool>(), any::<u8>(), 0..4_u8, 0..3_u64), 1..14),
    ) {
        let mut rig = Rig::decided(&(1..=first).collect::<Vec<_>>(), 1);
        for (kind, gone, number, below_four, who, spoil, age) in steps {
            let change = match kind {
                0 => MemberChange::Add(member(number)),
                1 => remove(gone, below_four),
                2 => MemberChange::Rules(RulesVersion(rig.ledger.members().rules.0 + 1 + u16::from(below_four))),
                _ => replace(gone, number),
            };
            let consents = match rig.ledger.members().after(&change) {
                Err(_) => vec![],
                Ok(set) => {
                    // Mostly all of them.
                    let who = if who < 128 { u8::MAX } else { who };
                    let places: Vec<_> = (0..set.list.len() as u16).filter(|at| who >> (at % 8) & 1 == 1).collect();
                    let mut consents = rig.consents(&set, &places);
                    if let (0, Some(one)) = (spoil, consents.first_mut()) {
                        one.height.0 += age;
                    }
                    consents
                }
            };
            let before = rig.ledger.members();
            let told = rig.told(&Decision::Members(change.clone()), consents);
            let after = rig.ledger.members();
            if told == Outcome::Applied {
                prop_assert_eq!(&after, &before.after(&change).unwrap());
                prop_assert!(after.is_valid() && after.epoch.0 == rig.epoch.0 + 1);
            } else {
                prop_assert_eq!(after, before);
            }
            // Sometimes the next epoch begins.
            rig.epoch = if age == 0 { rig.epoch } else { rig.ledger.members().epoch };
        }
    }

    #[test]
    fn rows_of_members_have_one_encoding(
        numbers in (0..3_u64, any::<u64>()), count in 0..200_u16, more in any::<u8>(), rules in 1..4_u16, since in 0..4_u64,
    ) {
        let (digest, proposal) = (Digest([3; 32]), Digest([4; 32]));
        let (epoch, decided) = (Epoch(numbers.0), Height(numbers.1));
        let (rules, rules_since) = (RulesVersion(rules), Epoch(if rules == 1 { 0 } else { since }));
        let record = MembersRecord { epoch, decided, count, digest, proposal, rules, rules_since };
        let bytes = record.encode();
        // The second rules are those of an epoch after the first one, and the third ones of a later one.
        let may_have = (u64::from(rules.0) - 1..=epoch.0).contains(&rules_since.0);
        let is_one = numbers.0 > 0 && (1..=128).contains(&count) && may_have;
        prop_assert_eq!(MembersRecord::decode(&bytes), is_one.then_some(record));
        prop_assert_eq!(MembersRecord::decode(&bytes[1..]), None);
        prop_assert_eq!(MembersRecord::decode(&[&bytes[..], &[more]].concat()), None);
        prop_assert_eq!(record.members(|_| None), None, "a set has a member, and each has a row");
    }
}
