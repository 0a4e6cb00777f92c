//! Administrators: what clients on the chain that decides know, and what they say next. They mostly agree; at times
//! they say what they must not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use engine::types::{
    ADMINISTRATORS_KEY, AccountId, Administrators, ChainId, ChainKind, ChainStatus, Charter, Consents,
    Council, Decision, Digest, Fingerprint, Height, Member, MemberChange, Members, ProposalRecord, Quota,
    RULES_TRIAL, Registrar, Roles, RulesVersion, Support, chain_of_key,
};

use crate::chance::Chance;
use crate::environment::{ADMINISTRATORS, DECIDING, Environment, FREEZER, ISSUANCE_CAP, THRESHOLD, roles_of};

/// Whether administrators decide about chains, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Governed {
    /// There are none.
    No,
    /// They draw what they want.
    ByChance,
    /// They want what a script asks of them, and nothing else.
    ByScript,
}

/// What a script asks of administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Another chain with money, behind all others.
    Create,
    /// The chain that was created first rests.
    PauseCreated,
    /// This one comes into this place among the validators.
    Replace(usize, usize),
    /// The rules after the last ones that this release runs.
    Rules,
}

/// What somebody says on the chain that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// A proposal, for a version of the administrators and until a time.
    Propose { administrators: u64, until_ms: u64, decision: Decision },
    /// An approval, for a version of the administrators.
    Approve { administrators: u64, proposal: Digest },
}

/// What clients know of what was decided.
#[derive(Debug)]
pub(crate) struct Administration {
    governed: Governed,
    present: Administrators,
    proposals: BTreeMap<Digest, ProposalRecord>,
    /// Chains that are not as the genesis has them, as they are decided.
    charters: BTreeMap<ChainId, Charter>,
    /// Chains of the genesis.
    first: BTreeMap<ChainId, ChainKind>,
    asked: VecDeque<Decision>,
    /// The members that were decided last, and the last height.
    members: Members,
    height: Height,
    /// Who would consent to members now.
    pub(crate) ready: BTreeSet<usize>,
    /// The rules that each validator runs since it was started last.
    support: Vec<Support>,
}

impl Administration {
    pub(crate) fn new(environment: &Environment, governed: Governed) -> Self {
        let accounts = (0..ADMINISTRATORS).map(AccountId).collect();
        Self {
            governed,
            present: Administrators { version: 1, council: Council { threshold: THRESHOLD, accounts } },
            proposals: BTreeMap::new(),
            charters: BTreeMap::new(),
            first: environment.genesis.chains().iter().map(|chain| (chain.id, chain.kind)).collect(),
            asked: VecDeque::new(),
            members: Members::of_genesis(&environment.genesis),
            height: Height(0),
            ready: BTreeSet::new(),
            support: vec![Support::OURS; environment.signing_seeds.len()],
        }
    }

    /// A validator was started, and runs these rules.
    pub(crate) fn runs(&mut self, validator: usize, support: Support) {
        self.support[validator] = support;
    }

    /// The rules that were decided last.
    pub(crate) fn rules(&self) -> RulesVersion {
        self.members.rules
    }

    /// Whether there are any.
    pub(crate) fn is_there(&self) -> bool {
        self.governed != Governed::No
    }

    /// The number of the first chain that is created.
    pub(crate) fn first_created(&self) -> u32 {
        self.first.last_key_value().map_or(0, |(last, _)| last.0 + 1)
    }

    /// Whether it is decided that it is created.
    pub(crate) fn has_created(&self) -> bool {
        self.charters.contains_key(&ChainId(self.first_created()))
    }

    /// A script wants this to be decided.
    pub(crate) fn ask(&mut self, environment: &Environment, ask: Ask) {
        let first = self.first_created();
        self.asked.push_back(match ask {
            Ask::Create => Decision::Create(environment.new_chain(first, ChainKind::Transfers)),
            Ask::PauseCreated => Decision::Pause(ChainId(first)),
            Ask::Replace(place, who) => {
                let gone = self.members.list[place].public_key;
                Decision::Members(MemberChange::Replace(gone, environment.member(who)))
            }
            Ask::Rules => Decision::Members(MemberChange::Rules(RULES_TRIAL)),
        });
    }

    /// A height is executed, which has perhaps decided who validates.
    pub(crate) fn executed(&mut self, height: Height, members: Option<&Members>) {
        self.height = self.height.max(height);
        let later = members.filter(|members| members.epoch > self.members.epoch);
        self.members = later.cloned().unwrap_or_else(|| self.members.clone());
    }

    /// What those who are to be members say of a decision, encoded; nothing if it is about something else.
    pub(crate) fn consents(&self, environment: &Environment, decision: &Decision) -> Vec<u8> {
        let set = match decision {
            Decision::Members(change) => self.members.after(change).ok(),
            _ => None,
        };
        set.map_or_else(
            || Consents::encode(Vec::new()),
            |set| {
                let runs = |who: usize| self.support[who].has(set.rules);
                let ready = self.ready.iter().copied().filter(|who| runs(*who)).collect();
                environment.consents(&set, self.height, &ready)
            },
        )
    }

    /// What a proposal that is known is about.
    pub(crate) fn proposed(&self, proposal: &Digest) -> Option<&Decision> {
        self.proposals.get(proposal).map(|record| &record.decision)
    }

    /// A row of the chain that decides.
    pub(crate) fn learn(&mut self, key: &[u8; 32], value: &[u8]) {
        if *key == ADMINISTRATORS_KEY {
            let learnt = Administrators::decode(value).filter(|learnt| learnt.version > self.present.version);
            self.present = learnt.unwrap_or_else(|| self.present.clone());
        } else if let Some(chain) = chain_of_key(key) {
            let known = self.charters.get(&chain).map(|charter| charter.since);
            let learnt = Charter::decode(value).filter(|learnt| Some(learnt.since) > known);
            self.charters.extend(learnt.map(|charter| (chain, charter)));
        } else if !Fingerprint(*key).is_reserved()
            && let Some(record) = ProposalRecord::decode(value)
        {
            let known = self.proposals.get(&Digest(*key));
            if known.is_none_or(|known| known.approvals.len() < record.approvals.len()) {
                self.proposals.insert(Digest(*key), record);
            }
        }
    }

    /// Who says what next, of whom `others` are accounts that do not decide; `None` if nobody wants anything.
    pub(crate) fn next(
        &mut self,
        environment: &Environment,
        chance: &mut Chance,
        others: &[u64],
        now_ms: u64,
    ) -> Option<(u64, Speech)> {
        if chance.permille(120) {
            return Some(self.wrong(environment, chance, others, now_ms));
        }
        let version = self.present.version;
        let is_open = |of: &ProposalRecord| {
            of.decided.is_none() && of.administrators == version && of.until_ms >= now_ms
        };
        let open: Vec<_> = self.proposals.iter().filter(|(_, of)| is_open(of)).collect();
        if !open.is_empty() && chance.permille(700) {
            let (proposal, record) = open[chance.below(open.len())];
            let left = self.present.council.accounts.iter().filter(|one| !record.approvals.contains(one));
            let left: Vec<_> = left.copied().collect();
            let administrator = if left.is_empty() { record.approvals[0] } else { chance.of(&left) };
            return Some((administrator.0, Speech::Approve { administrators: version, proposal: *proposal }));
        }
        let decided = |of: &Decision| {
            self.proposals.values().any(|known| known.decided.is_some() && known.decision == *of)
        };
        while self.asked.front().is_some_and(decided) {
            self.asked.pop_front();
        }
        let decision = match self.governed {
            Governed::ByChance => self.wish(environment, chance)?,
            _ => self.asked.front()?.clone(),
        };
        // The same proposal again, or another one about the same, of which at times nobody hears in time.
        let until_ms = match self.governed {
            Governed::ByChance => now_ms.saturating_add(chance.of(&[200, 5_000, u64::MAX])),
            _ => u64::MAX,
        };
        let administrator = chance.of(&self.present.council.accounts);
        Some((administrator.0, Speech::Propose { administrators: version, until_ms, decision }))
    }

    /// What must not come to anything.
    fn wrong(
        &self,
        environment: &Environment,
        chance: &mut Chance,
        others: &[u64],
        now_ms: u64,
    ) -> (u64, Speech) {
        let (present, first) = (self.present.version, self.first_created());
        let one = chance.of(&self.present.council.accounts).0;
        let proposals: Vec<_> = self.proposals.iter().collect();
        let known = (!proposals.is_empty()).then(|| proposals[chance.below(proposals.len())]);
        let propose =
            |administrators, until_ms, decision| Speech::Propose { administrators, until_ms, decision };
        let unknown = Digest([0x77; 32]);
        let proposal = known.map_or(unknown, |(proposal, _)| *proposal);
        match chance.below(8) {
            // Twice by one, or what is decided already.
            0..=2 => {
                let one = known.and_then(|(_, record)| record.approvals.first()).map_or(one, |by| by.0);
                (one, Speech::Approve { administrators: present, proposal })
            }
            3 => (one, Speech::Approve { administrators: present, proposal: unknown }),
            4 => (one, Speech::Approve { administrators: present + chance.within(0..2), proposal }),
            5 if !others.is_empty() => {
                let decision = Decision::Pause(ChainId(1));
                (chance.of(others), propose(present, u64::MAX, decision))
            }
            6 => (one, propose(present, now_ms - 60_000, Decision::Pause(ChainId(1)))),
            _ => {
                let decision = match chance.below(4) {
                    0 => Decision::Create(environment.new_chain(first - 1, ChainKind::Transfers)),
                    1 => Decision::Pause(ChainId(DECIDING)),
                    2 => Decision::Resume(ChainId(first + 9)),
                    _ => Decision::Roles(ChainId(1), roles_of(ChainKind::Attestations, 12)),
                };
                (one, propose(present, now_ms + chance.within(0..1_000), decision))
            }
        }
    }

    /// What administrators want: first of all another chain, and then now and then that one rests, which goes on soon.
    fn wish(&self, environment: &Environment, chance: &mut Chance) -> Option<Decision> {
        let first = self.first_created();
        let has_next = self.support.iter().all(|support| support.has(RULES_TRIAL));
        if has_next && self.members.rules < RULES_TRIAL && chance.permille(300) {
            return Some(Decision::Members(MemberChange::Rules(RULES_TRIAL)));
        }
        let mut chains: BTreeMap<ChainId, ChainStatus> =
            self.first.keys().map(|chain| (*chain, ChainStatus::Active)).collect();
        chains.extend(self.charters.iter().map(|(chain, charter)| (*chain, charter.status)));
        chains.remove(&ChainId(DECIDING));
        if !self.has_created() && chance.permille(700) {
            return Some(Decision::Create(environment.new_chain(first, ChainKind::Transfers)));
        }
        let rest: Vec<_> =
            chains.iter().filter(|(_, of)| **of == ChainStatus::Paused).map(|(chain, _)| *chain).collect();
        let all: Vec<_> = chains.keys().copied().collect();
        Some(match chance.below(40) {
            0..=2 if rest.len() < 2 => Decision::Pause(chance.of(&all)),
            0..=12 if !rest.is_empty() => Decision::Resume(chance.of(&rest)),
            13 => {
                // A holder is replaced, and a cap may be below what is there.
                let issuance_cap = chance.of(&[ISSUANCE_CAP / 4, ISSUANCE_CAP, 2 * ISSUANCE_CAP]);
                let roles = roles_of(ChainKind::Transfers, 12);
                let freezer = Some(AccountId(chance.of(&[FREEZER, FREEZER + 1])));
                let registrar = chance.of(&[roles.registrar, Registrar::Anyone]);
                let quota = chance.of(&[Quota::WHOLE, Quota::LEAST]);
                Decision::Roles(ChainId(1), Roles { issuance_cap, freezer, registrar, quota, ..roles })
            }
            14 => {
                // All of the beginning or two of them: what is proposed until then is void.
                let mut accounts: Vec<_> = (0..ADMINISTRATORS).map(AccountId).collect();
                if chance.permille(300) {
                    accounts.remove(chance.below(accounts.len()));
                }
                Decision::Administrators(Council { threshold: THRESHOLD, accounts })
            }
            15..=16 if self.has_created() && !chains.contains_key(&ChainId(first + 1)) => {
                let kind = chance.of(&[ChainKind::Attestations, ChainKind::Transfers]);
                Decision::Create(environment.new_chain(first + 1, kind))
            }
            18 => Decision::Members(self.wish_for_member(environment, chance)),
            // Where there are others, they come and go more often than that.
            19..=20 if environment.has_spares() => {
                Decision::Members(self.wish_for_member(environment, chance))
            }
            17 if chains.contains_key(&ChainId(first + 1)) => Decision::Close(ChainId(first + 1)),
            _ => return None,
        })
    }
}

impl Administration {
    /// Somebody else comes into a place, or the same validator at another address: then who validates is as before, and
    /// an epoch begins. One of the genesis comes back to its own place.
    fn wish_for_member(&self, environment: &Environment, chance: &mut Chance) -> MemberChange {
        let owners = environment.owners(&self.members);
        let others: Vec<_> =
            (0..environment.signing_seeds.len()).filter(|who| !owners.contains(who)).collect();
        let place = chance.below(owners.len());
        let replace =
            |place: usize, member| MemberChange::Replace(self.members.list[place].public_key, member);
        if others.is_empty() || chance.permille(200) {
            let peer_address = format!("moved-{}:7000", self.members.epoch);
            return replace(place, Member { peer_address, ..self.members.list[place].clone() });
        }
        let who = chance.of(&others);
        let place = if who < environment.genesis.validators().len() { who } else { place };
        replace(place, environment.member(who))
    }
}

#[cfg(test)]
mod tests {
    use engine::types::chain_key;

    use super::*;

    fn environment() -> Environment {
        Environment::of_four(2, true, true)
    }

    #[test]
    fn what_a_script_asks_is_proposed_approved_and_then_done() {
        let (environment, mut chance) = (environment(), Chance::new(1));
        let mut all = Administration::new(&environment, Governed::ByScript);
        let mut says = |all: &mut Administration, wanted: fn(&Speech) -> bool| {
            let mut said = (0..200).filter_map(|_| all.next(&environment, &mut chance, &[], 100_000));
            said.find(|(_, speech)| wanted(speech))
        };
        let proposes = |speech: &Speech| matches!(speech, Speech::Propose { until_ms: u64::MAX, .. });
        let approves = |speech: &Speech| matches!(speech, Speech::Approve { administrators: 1, .. });
        assert_eq!(all.first_created(), 4);
        assert_eq!(says(&mut all, proposes), None, "nobody asks for anything");
        all.ask(&environment, Ask::Create);
        let Some((by, Speech::Propose { decision, .. })) = says(&mut all, proposes) else {
            panic!("nobody proposes it")
        };
        assert!(
            matches!(&decision, Decision::Create(new) if new.id == ChainId(4) && new.founders.len() == 8)
        );
        let mut record = ProposalRecord {
            administrators: 1,
            until_ms: u64::MAX,
            approvals: vec![AccountId(by)],
            decided: None,
            decision,
        };
        let key = [9; 32];
        all.learn(&key, &record.encode());
        let approved = says(
            &mut all,
            |speech| matches!(speech, Speech::Approve { administrators: 1, proposal } if proposal.0 == [9; 32]),
        );
        assert!(approved.is_some(), "nobody approves it");
        (record.approvals, record.decided) = (vec![AccountId(0), AccountId(1)], Some((1, Height(200))));
        all.learn(&key, &record.encode());
        assert_eq!(says(&mut all, proposes), None, "it is decided");
        assert!(says(&mut all, approves).is_some(), "some approve what they must not");
    }

    #[test]
    fn of_rows_the_later_ones_count() {
        let environment = environment();
        let mut all = Administration::new(&environment, Governed::ByChance);
        let council = Council { threshold: 1, accounts: vec![AccountId(1)] };
        let row = |version| Administrators { version, council: council.clone() }.encode();
        all.learn(&ADMINISTRATORS_KEY, &row(3));
        all.learn(&ADMINISTRATORS_KEY, &row(2));
        assert_eq!(all.present.version, 3);
        assert!(!all.has_created());
        let created = Charter::from(&environment.new_chain(4, ChainKind::Transfers));
        all.learn(&chain_key(ChainId(4)), &Charter { since: Height(9), ..created }.encode());
        let paused = Charter { status: ChainStatus::Paused, since: Height(8), ..created };
        all.learn(&chain_key(ChainId(4)), &paused.encode());
        assert!(all.has_created() && all.charters[&ChainId(4)].status == ChainStatus::Active);
    }
}
