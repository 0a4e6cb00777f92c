//! The definition of the kind, in the plainest words. It keeps and writes out for itself what the executor asks
//! [`ProposalRecord`](crate::types::ProposalRecord) and its kin for.

mod members;
mod restore;

use std::collections::{BTreeMap, BTreeSet};

use self::members::PlainMembers;
pub(super) use self::restore::restore;
pub(crate) use self::restore::restore_decisions;

use crate::execute::oracle::Oracle;
use crate::types::{
    AccountId, Approve, Asset, ChainGenesis, ChainId, ChainKind, ChainStatus, ChainTime, Consents, Content,
    Decision, Effect, Epoch, FirstMembers, Height, Members, NewChain, Order, Outcome, Propose, Registrar,
    Roles, RulesVersion,
};

type Key = [u8; 32];

/// From a decision to its effect.
const LAG: u64 = 128;
/// The rules by which that takes one height more.
const TRIAL: u16 = 2;
/// Chains of a network.
const CHAINS: usize = 256;

/// A chain, as it is decided or as it is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainChain {
    kind: u16,
    pub(crate) asset: Asset,
    pub(crate) supply: u64,
    cap_ever: u64,
    pub(crate) status: ChainStatus,
    since: u64,
    pub(crate) roles: Roles,
    proposal: Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PlainProposal {
    administrators: u64,
    until_ms: u64,
    approvals: Vec<u64>,
    decided: Option<(u64, u64)>,
    decision: Decision,
    encoded: Vec<u8>,
}

/// What was decided about the chains of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainGovernance {
    chains: BTreeMap<ChainId, PlainChain>,
    version: u64,
    threshold: usize,
    administrators: BTreeSet<u64>,
    proposals: BTreeMap<Key, PlainProposal>,
    /// What takes effect at a height, in the order in which it was decided.
    due: BTreeMap<u64, Vec<Key>>,
    decisions: u64,
    /// Who validates by which rules; none in tests of the chain alone.
    members: Option<PlainMembers>,
}

impl PlainChain {
    pub(crate) fn genesis(chain: &ChainGenesis) -> Self {
        let supply = chain.accounts.iter().fold(0_u64, |sum, account| sum.saturating_add(account.balance));
        Self::new(chain.kind, chain.asset, supply, chain.roles)
    }

    pub(crate) fn created(new: &NewChain) -> Self {
        Self::new(new.kind, new.asset, 0, new.roles)
    }

    fn new(kind: ChainKind, asset: Asset, supply: u64, roles: Roles) -> Self {
        let (status, cap_ever) = (ChainStatus::Active, roles.issuance_cap);
        Self { kind: kind as u16, asset, supply, cap_ever, status, since: 0, roles, proposal: [0; 32] }
    }

    fn change(&mut self, decision: &Decision, since: u64, proposal: Key) {
        (self.since, self.proposal) = (since, proposal);
        match decision {
            Decision::Pause(_) => self.status = ChainStatus::Paused,
            Decision::Resume(_) => self.status = ChainStatus::Active,
            Decision::Close(_) => self.status = ChainStatus::Closed,
            Decision::Roles(_, roles) => {
                self.roles = *roles;
                self.cap_ever = self.cap_ever.max(roles.issuance_cap);
            }
            Decision::Create(_) | Decision::Administrators(_) | Decision::Members(_) => {}
        }
    }

    /// kind | suite | asset | supply | highest cap | status | since | roles | proposal
    fn value(&self) -> Vec<u8> {
        let mut value = [self.kind.to_le_bytes(), 1_u16.to_le_bytes()].concat();
        value.extend(self.asset.0);
        value.extend(self.supply.to_le_bytes());
        value.extend(self.cap_ever.to_le_bytes());
        value.push(match self.status {
            ChainStatus::Active => 0,
            ChainStatus::Paused => 1,
            ChainStatus::Closed => 2,
        });
        value.extend(self.since.to_le_bytes());
        let account = |of: Option<AccountId>| of.map_or(u64::MAX, |account| account.0).to_le_bytes();
        let roles = &self.roles;
        value.extend(account(roles.issuer));
        value.extend(roles.issuance_cap.to_le_bytes());
        value.extend(account(roles.freezer));
        value.extend(match roles.registrar {
            Registrar::Nobody => account(None),
            Registrar::Anyone => (u64::MAX - 1).to_le_bytes(),
            Registrar::Account(id) => account(Some(id)),
        });
        value.extend(roles.accounts_cap.to_le_bytes());
        value.extend(roles.attestations_cap.to_le_bytes());
        value.extend(roles.windows.rekey_seconds.to_le_bytes());
        value.extend(roles.windows.recovery_seconds.to_le_bytes());
        value.extend(roles.quota.0.to_le_bytes());
        value.extend(self.proposal);
        value
    }
}

impl PlainProposal {
    /// administrators | until | approvals | accounts | 0, or 1, number and height | decision
    fn value(&self) -> Vec<u8> {
        let mut value = [self.administrators.to_le_bytes(), self.until_ms.to_le_bytes()].concat();
        value.push(self.approvals.len() as u8);
        value.extend(self.approvals.iter().flat_map(|account| account.to_le_bytes()));
        match self.decided {
            None => value.push(0),
            Some((number, since)) => {
                value.push(1);
                value.extend(number.to_le_bytes());
                value.extend(since.to_le_bytes());
            }
        }
        value.extend(&self.encoded);
        value
    }
}

impl PlainGovernance {
    /// Without `first` nobody decides about the next epoch.
    pub(crate) fn genesis(own: &ChainGenesis, chains: &[ChainGenesis], first: Option<FirstMembers>) -> Self {
        Self {
            chains: chains.iter().map(|chain| (chain.id, PlainChain::genesis(chain))).collect(),
            version: 1,
            threshold: usize::from(own.threshold),
            administrators: (0..own.accounts.len() as u64).collect(),
            proposals: BTreeMap::new(),
            due: BTreeMap::new(),
            decisions: 0,
            members: first.map(PlainMembers::genesis),
        }
    }

    /// version | threshold | how many | accounts
    fn administrators_value(&self) -> Vec<u8> {
        let mut value = self.version.to_le_bytes().to_vec();
        value.extend([self.threshold as u8, self.administrators.len() as u8]);
        value.extend(self.administrators.iter().flat_map(|account| account.to_le_bytes()));
        value
    }

    /// The decisions that take effect at a height, in their order.
    pub(crate) fn orders(&self, height: Height) -> Vec<Order> {
        let due = self.due.get(&height.0).into_iter().flatten();
        let order = |key: &Key| Order {
            proposal: crate::types::Digest(*key),
            decision: self.proposals[key].decision.clone(),
        };
        due.map(order).collect()
    }

    /// The members that were decided last, and in which height.
    pub(crate) fn decided_members(&self) -> Option<(Height, Members)> {
        self.members.as_ref()?.last_decided()
    }

    /// The rules of an epoch up to theirs.
    pub(crate) fn rules_of(&self, epoch: Epoch) -> Option<RulesVersion> {
        self.members.as_ref().map(|members| members.rules_of(epoch.0))
    }

    /// Whether an account decides, or will from a later height than this one on.
    pub(crate) fn needs(&self, account: AccountId, height: Height) -> bool {
        let coming = self.due.range(height.0 + 1..).flat_map(|(_, keys)| keys).any(|key| {
            let decision = &self.proposals[key].decision;
            matches!(decision, Decision::Administrators(to) if to.accounts.contains(&account))
        });
        coming || self.administrators.contains(&account.0)
    }
}

/// One transaction, once its nonce is spent.
pub(super) fn execute(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome {
    let done = match content {
        Content::Propose(of) => propose(oracle, at, of),
        Content::Approve(of) => approve(oracle, at, of),
        _ => return oracle.common(at, content).unwrap_or(Outcome::OtherKind),
    };
    match done {
        Ok(()) => Outcome::Applied,
        Err(reason) => reason,
    }
}

fn of(oracle: &mut Oracle) -> &mut PlainGovernance {
    oracle.governance.as_mut().expect("the chain that decides knows what is decided")
}

fn speaks(oracle: &mut Oracle, account: AccountId, version: u64) -> Result<(), Outcome> {
    oracle.accounts[account.0 as usize].may_pay()?;
    if !of(oracle).administrators.contains(&account.0) {
        return Err(Outcome::RoleNotHeld);
    }
    if of(oracle).version != version {
        return Err(Outcome::OtherAdministrators);
    }
    Ok(())
}

fn propose(oracle: &mut Oracle, at: ChainTime, propose: &Propose<'_>) -> Result<(), Outcome> {
    speaks(oracle, propose.administrator, propose.administrators)?;
    if propose.until_ms < at.time_ms {
        return Err(Outcome::ProposalExpired);
    }
    let key = propose.proposal().0;
    if of(oracle).proposals.contains_key(&key) {
        return Err(Outcome::ProposalTaken);
    }
    let version = of(oracle).version;
    let undecided = of(oracle).proposals.values().filter(|other| {
        let mine = other.approvals[0] == propose.administrator.0 && other.administrators == version;
        mine && other.decided.is_none()
    });
    let undecided = undecided.count();
    let proposal = PlainProposal {
        administrators: propose.administrators,
        until_ms: propose.until_ms,
        approvals: vec![propose.administrator.0],
        decided: None,
        decision: propose.decision.get(),
        encoded: propose.decision.bytes().to_vec(),
    };
    fits(oracle, at, &proposal.decision, propose.consents)?;
    if undecided >= 256 {
        return Err(Outcome::ProposalsFull);
    }
    keep(oracle, at, key, proposal, propose.consents)
}

fn approve(oracle: &mut Oracle, at: ChainTime, approve: &Approve<'_>) -> Result<(), Outcome> {
    speaks(oracle, approve.administrator, approve.administrators)?;
    let key = approve.proposal.0;
    let mut proposal = of(oracle).proposals.get(&key).cloned().ok_or(Outcome::UnknownProposal)?;
    if proposal.decided.is_some() {
        return Err(Outcome::ProposalDecided);
    }
    if proposal.administrators != approve.administrators {
        return Err(Outcome::OtherAdministrators);
    }
    if proposal.until_ms < at.time_ms {
        return Err(Outcome::ProposalExpired);
    }
    if proposal.approvals.contains(&approve.administrator.0) {
        return Err(Outcome::ApprovedAlready);
    }
    fits(oracle, at, &proposal.decision, approve.consents)?;
    proposal.approvals.push(approve.administrator.0);
    keep(oracle, at, key, proposal, approve.consents)
}

/// Why it cannot be decided now.
fn fits(
    oracle: &mut Oracle,
    at: ChainTime,
    decision: &Decision,
    consents: Consents<'_>,
) -> Result<(), Outcome> {
    if let Decision::Members(change) = decision {
        let members = of(oracle).members.as_ref().ok_or(Outcome::MembersFixed)?;
        return members.possible(change, at).map(drop);
    }
    if consents.iter().next().is_some() {
        return Err(Outcome::NeedlessConsents);
    }
    let own = oracle.chain();
    let chains = &of(oracle).chains;
    let chain = match decision {
        Decision::Members(_) => return Ok(()),
        Decision::Administrators(council) => {
            for account in &council.accounts {
                let account = oracle.accounts.get(account.0 as usize).ok_or(Outcome::UnknownCredit)?;
                if account.closed || account.closing {
                    return Err(Outcome::CreditClosed);
                }
            }
            return Ok(());
        }
        Decision::Create(new) => {
            if chains.keys().any(|chain| *chain >= new.id) {
                return Err(Outcome::ChainIdTaken);
            }
            if chains.len() == CHAINS {
                return Err(Outcome::ChainsFull);
            }
            let mut after = chains.clone();
            after.insert(new.id, PlainChain::created(new));
            return money_fits(&after);
        }
        Decision::Pause(chain)
        | Decision::Resume(chain)
        | Decision::Close(chain)
        | Decision::Roles(chain, _) => chain,
    };
    let known = chains.get(chain).ok_or(Outcome::UnknownChain)?;
    if let Decision::Roles(_, roles) = decision {
        if known.status == ChainStatus::Closed {
            return Err(Outcome::OtherChainState);
        }
        if !can_have(known, roles) {
            return Err(Outcome::UnfitRoles);
        }
        let mut after = chains.clone();
        after.entry(*chain).and_modify(|of| of.change(decision, 0, [0; 32]));
        return money_fits(&after);
    }
    if *chain == own {
        return Err(Outcome::OtherKind);
    }
    let possible = match (decision, known.status) {
        (Decision::Pause(_), ChainStatus::Active) | (Decision::Resume(_), ChainStatus::Paused) => true,
        (Decision::Close(_), status) => status != ChainStatus::Closed,
        _ => false,
    };
    if possible { Ok(()) } else { Err(Outcome::OtherChainState) }
}

/// Whether a chain of this kind and asset can have such roles.
fn can_have(chain: &PlainChain, roles: &Roles) -> bool {
    let has_money = chain.kind == ChainKind::Transfers as u16;
    let takes_fingerprints = chain.kind == ChainKind::Attestations as u16;
    let (registrar, has_registrar) = match roles.registrar {
        Registrar::Nobody => (None, false),
        Registrar::Anyone => (None, true),
        Registrar::Account(account) => (Some(account), true),
    };
    let accounts = [roles.issuer, roles.freezer, registrar];
    let (rekey, recovery) = (roles.windows.rekey_seconds, roles.windows.recovery_seconds);
    (has_money || roles.issuer.is_none())
        && (roles.issuer.is_some() == (roles.issuance_cap > 0))
        && (takes_fingerprints == (roles.attestations_cap > 0))
        && roles.attestations_cap < 1 << 32
        && (has_registrar == (roles.accounts_cap > 0))
        && roles.accounts_cap <= 1 << 32
        && accounts.into_iter().flatten().all(|account| account.0 < 1 << 32)
        && rekey >= 1
        && recovery > rekey
        && recovery <= 366 * 24 * 3_600
        && (512 * 128..=65_536 * 128).contains(&roles.quota.0)
}

/// What there is of each asset, and what may ever have been issued, fits into 64 bits.
fn money_fits(chains: &BTreeMap<ChainId, PlainChain>) -> Result<(), Outcome> {
    let mut sums: BTreeMap<Asset, u128> = BTreeMap::new();
    for chain in chains.values() {
        *sums.entry(chain.asset).or_default() += u128::from(chain.supply) + u128::from(chain.cap_ever);
    }
    if sums.values().all(|sum| *sum <= u128::from(u64::MAX)) { Ok(()) } else { Err(Outcome::IssuanceCap) }
}

fn keep(
    oracle: &mut Oracle,
    at: ChainTime,
    key: Key,
    mut proposal: PlainProposal,
    consents: Consents<'_>,
) -> Result<(), Outcome> {
    let governance = of(oracle);
    let mut row = None;
    let decides = proposal.approvals.len() >= governance.threshold;
    if let (Decision::Members(change), true) = (&proposal.decision, decides) {
        let before = governance.members.clone().expect("a change of the members is possible");
        let after = before.possible(change, at)?;
        if !after.consent(&before, at, consents) {
            return Err(Outcome::TooFewConsents);
        }
        let after = after.decided(at.height.0, key);
        governance.decisions += 1;
        proposal.decided = Some((governance.decisions, at.height.0));
        governance.members = Some(after.clone());
        let value = proposal.value();
        governance.proposals.insert(key, proposal);
        oracle.table.put(key, value);
        let (mut rows, gone) = (after.rows(), after.places_left(&before));
        let of_all = rows.pop().expect("there is a row for all");
        rows.into_iter().for_each(|(key, value)| oracle.table.put(key, value));
        gone.for_each(|place| oracle.table.remove(&PlainMembers::row(place)));
        oracle.table.put(of_all.0, of_all.1);
        return Ok(());
    }
    if decides {
        let since = at.height.0 + if at.rules.0 >= TRIAL { LAG + 1 } else { LAG };
        if governance.due.get(&since).map_or(0, Vec::len) >= 64 {
            return Err(Outcome::ProposalsFull);
        }
        governance.due.entry(since).or_default().push(key);
        governance.decisions += 1;
        proposal.decided = Some((governance.decisions, since));
        if let Some(chain) = proposal.decision.chain() {
            if let Decision::Create(new) = &proposal.decision {
                governance.chains.insert(chain, PlainChain::created(new));
            }
            let of_chain = governance.chains.get_mut(&chain).expect("it is known");
            of_chain.change(&proposal.decision, since, key);
            row = Some((chain, of_chain.value()));
        }
    }
    let value = proposal.value();
    governance.proposals.insert(key, proposal);
    oracle.table.put(key, value);
    if let Some((chain, value)) = row {
        oracle.table.put(own_row(4, chain.0), value);
    }
    Ok(())
}

/// 16 zero bytes | what it is about | zeros | chain
fn own_row(about: u8, chain: u32) -> Key {
    let mut key = [0; 32];
    key[16] = about;
    key[28..].copy_from_slice(&chain.to_be_bytes());
    key
}

/// Decisions that take effect, before anything else of the height.
pub(crate) fn obey_plainly(oracle: &mut Oracle, height: Height, orders: &[Order]) {
    for Order { proposal, decision } in orders {
        if let (Some(governance), Decision::Administrators(council)) = (&mut oracle.governance, decision) {
            governance.version += 1;
            governance.threshold = usize::from(council.threshold);
            governance.administrators = council.accounts.iter().map(|account| account.0).collect();
            oracle.table.put(own_row(5, 0), governance.administrators_value());
            oracle.effects.push(Effect::InEffect { proposal: *proposal });
        }
        if decision.chain() != Some(oracle.chain()) {
            continue;
        }
        if let Decision::Create(new) = decision {
            new.founders.iter().for_each(|key| oracle.add_account(*key));
        }
        oracle.is.change(decision, height.0, proposal.0);
        if let Decision::Roles(..) = decision {
            let open =
                |account: AccountId| oracle.accounts.get(account.0 as usize).is_some_and(|of| !of.closed);
            let mut roles = oracle.is.roles;
            if roles.issuer.is_some_and(|account| !open(account)) {
                (roles.issuer, roles.issuance_cap) = (None, 0);
            }
            roles.freezer = roles.freezer.filter(|account| open(*account));
            if matches!(roles.registrar, Registrar::Account(account) if !open(account)) {
                (roles.registrar, roles.accounts_cap) = (Registrar::Nobody, 0);
            }
            oracle.is.roles = roles;
        }
        oracle.table.put(own_row(6, 0), oracle.is.value());
        oracle.effects.push(Effect::InEffect { proposal: *proposal });
    }
}

/// What a chain in this state does not take.
pub(crate) fn refuses(status: ChainStatus, content: &Content<'_>) -> Option<Outcome> {
    use crate::types::{Action, Command, Transfer};
    let leaves = match content {
        Content::Transfer(Transfer { credit_chain, .. }) => credit_chain.is_some(),
        Content::Command(Command { action, .. }) => !matches!(action, Action::Issue { .. }),
        Content::Rekey(_) | Content::Protect(_) | Content::Recover(_) | Content::Settle(_) => true,
        Content::Linked(_)
        | Content::Opening(_)
        | Content::Attest(_)
        | Content::Revoke(_)
        | Content::Propose(_)
        | Content::Approve(_)
        | Content::Reserve(_)
        | Content::Offer(_)
        | Content::Take(_) => false,
    };
    match status {
        ChainStatus::Active => None,
        ChainStatus::Paused => Some(Outcome::ChainPaused),
        ChainStatus::Closed => (!leaves).then_some(Outcome::ChainClosed),
    }
}
