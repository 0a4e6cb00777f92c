//! Whether chains are created, paused, resumed and closed only as enough administrators have decided, no sooner than a
//! decision takes effect and everywhere at the same height; and whether what applies fits the chains of its height.
//!
//! Nothing here asks the definition of execution, so a mistake that it shares with the executor is seen.

use std::collections::{BTreeMap, BTreeSet};

use engine::execute::{Chains, Delivered, Leg};
use engine::roots::ChainEntry;
use engine::types::{
    AccountId, Action, Approve, Asset, ChainGenesis, ChainId, ChainKind, ChainStatus, ChainTime, Command,
    Content, Decision, Digest, Epoch, Genesis, Height, MemberChange, Outcome, Propose, Quota, Roles,
    Transaction, Transfer,
};
use engine::wire::Header;

/// From a decision to its effect, in heights.
const LAG: u64 = 128;
/// The same by the rules that tests have after the last ones.
const LAG_OF_TRIAL: u64 = 129;

/// Transactions on created chains that are enough for a run.
const USED: usize = 20;

/// What is proposed, and who approves it.
#[derive(Debug)]
struct Proposal {
    decision: Decision,
    administrators: u64,
    until_ms: u64,
    approvals: BTreeSet<AccountId>,
    decided: bool,
}

/// A chain, as it is in effect or as it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    kind: ChainKind,
    asset: Asset,
    status: ChainStatus,
    roles: Roles,
    /// The height in which it began.
    begun: Height,
}

type Standings = BTreeMap<ChainId, Standing>;

/// What transactions that were applied have decided.
#[derive(Debug)]
pub(crate) struct Decisions {
    deciding: Option<ChainId>,
    /// How often there were other administrators, and 1.
    version: u64,
    threshold: usize,
    administrators: BTreeSet<AccountId>,
    proposals: BTreeMap<Digest, Proposal>,
    /// What is decided and not in effect.
    due: BTreeMap<Height, Vec<Decision>>,
    /// All chains as they are decided.
    decided: Standings,
    /// All chains as they are from a height on.
    since: BTreeMap<Height, Standings>,
    /// How many decisions are in effect.
    pub(crate) effects: usize,
    /// Chains that were created, and pauses that took effect.
    pub(crate) came: (usize, usize),
    /// How many transactions were applied on chains that were created.
    pub(crate) on_created: usize,
    /// How many payments have arrived on chains that were paused.
    pub(crate) on_paused: usize,
    /// The epoch of the members that were decided last, and in which height that was.
    pub(crate) members: (Epoch, Height),
    /// The first epoch of other rules, if they were decided.
    pub(crate) rules: Option<Epoch>,
    /// Decisions about the next epoch for which consents were missing.
    pub(crate) lacked: usize,
    /// The epoch of the last block, and whether it was the last of its epoch.
    epoch: (Epoch, bool),
}

impl Standing {
    fn genesis(chain: &ChainGenesis) -> Self {
        let ChainGenesis { kind, asset, roles, .. } = *chain;
        Self { kind, asset, status: ChainStatus::Active, roles, begun: Height(0) }
    }
}

/// What becomes of chains by a decision that takes effect at a height.
fn change(chains: &mut Standings, decision: &Decision, height: Height) {
    let mut set = |chain: &ChainId, status| {
        if let Some(of) = chains.get_mut(chain) {
            of.status = status;
        }
    };
    match decision {
        Decision::Create(new) => {
            let (kind, asset, status, roles) = (new.kind, new.asset, ChainStatus::Active, new.roles);
            chains.insert(new.id, Standing { kind, asset, status, roles, begun: height });
        }
        Decision::Pause(chain) => set(chain, ChainStatus::Paused),
        Decision::Resume(chain) => set(chain, ChainStatus::Active),
        Decision::Close(chain) => set(chain, ChainStatus::Closed),
        Decision::Roles(chain, roles) => {
            if let Some(of) = chains.get_mut(chain) {
                of.roles = *roles;
            }
        }
        Decision::Administrators(_) | Decision::Members(_) => {}
    }
}

impl Decisions {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let deciding = genesis.governance();
        let chains: Standings =
            genesis.chains().iter().map(|chain| (chain.id, Standing::genesis(chain))).collect();
        let accounts = deciding.map_or(0, |chain| chain.accounts.len() as u64);
        Self {
            deciding: deciding.map(|chain| chain.id),
            version: 1,
            threshold: deciding.map_or(0, |chain| usize::from(chain.threshold)),
            administrators: (0..accounts).map(AccountId).collect(),
            proposals: BTreeMap::new(),
            due: BTreeMap::new(),
            decided: chains.clone(),
            since: BTreeMap::from([(Height(0), chains)]),
            effects: 0,
            came: (0, 0),
            on_created: 0,
            on_paused: 0,
            members: (Epoch(0), Height(0)),
            rules: None,
            lacked: 0,
            epoch: (Epoch(0), false),
        }
    }

    /// The height at which the next decision takes effect.
    pub(crate) fn next_effect(&self) -> Option<Height> {
        self.due.first_key_value().map(|(height, _)| *height)
    }

    /// The last height at which a decision took effect.
    pub(crate) fn last_effect(&self) -> Height {
        self.since.last_key_value().map_or(Height(0), |(height, _)| *height)
    }

    /// Whether a chain was created, and is used for a while or rests.
    pub(crate) fn has_come(&self) -> bool {
        let (_, chains) = self.since.last_key_value().expect("the genesis has chains");
        let mut created = chains.values().filter(|of| of.begun > Height(0));
        self.came.0 > 0 && (self.on_created >= USED || created.all(|of| of.status != ChainStatus::Active))
    }

    /// The chains as of a height.
    fn at(&self, height: Height) -> &Standings {
        let (_, chains) = self.since.range(..=height).next_back().expect("the genesis has chains");
        chains
    }

    /// The status of a chain as of a height, if it is there.
    pub(crate) fn status(&self, chain: ChainId, height: Height) -> Option<ChainStatus> {
        self.at(height).get(&chain).map(|of| of.status)
    }

    /// How many bytes of a chain a block of a height may take, if it takes them from several batches.
    ///
    /// # Errors
    /// It takes more.
    pub(crate) fn fits(&self, chain: ChainId, bytes: usize, height: Height) -> Result<(), String> {
        let quota = self.at(height).get(&chain).map_or(u32::MAX, |of| of.roles.quota.0);
        // More than a whole block is for the limits of blocks to say.
        let fits = bytes <= quota as usize || quota == Quota::WHOLE.0;
        fits.then_some(()).ok_or_else(|| {
            format!("height {height} takes {bytes} bytes of chain {chain}, whose quota is {quota}")
        })
    }

    /// A height begins that nobody has executed before.
    pub(crate) fn begin(&mut self, height: Height) {
        let Some(decisions) = self.due.remove(&height) else { return };
        let mut chains = self.at(height).clone();
        for decision in &decisions {
            change(&mut chains, decision, height);
            match decision {
                Decision::Create(_) => self.came.0 += 1,
                Decision::Pause(_) => self.came.1 += 1,
                Decision::Administrators(council) => {
                    self.version += 1;
                    self.threshold = usize::from(council.threshold);
                    self.administrators = council.accounts.iter().copied().collect();
                }
                _ => {}
            }
        }
        self.effects += decisions.len();
        self.since.insert(height, chains);
    }

    /// The epoch that the next block belongs to.
    pub(crate) fn epoch_of_next(&self) -> Epoch {
        let (epoch, is_over) = self.epoch;
        if is_over { epoch.next() } else { epoch }
    }

    /// A block stands behind the one that was looked at last.
    ///
    /// # Errors
    /// Its epoch does not follow, or ends where no members were decided whose decision its roots show.
    pub(crate) fn epoch(&mut self, header: &Header) -> Result<(), String> {
        let expected = self.epoch_of_next();
        let (height, found) = (header.height, header.epoch);
        if found != expected {
            return Err(format!("height {height} is of epoch {found} instead of {expected}"));
        }
        let ends = header.next_members != Digest::default();
        let (next, decided) = self.members;
        let carried = header.roots_first.0..header.roots_first.0 + header.roots.len() as u64;
        let must_end = next > found && carried.contains(&decided.0);
        if ends != must_end {
            return Err(format!("height {height} ends epoch {found}: {ends}, and it should: {must_end}"));
        }
        self.epoch = (found, ends);
        Ok(())
    }

    /// How the chains that a validator has after a height differ from what is decided.
    pub(crate) fn differ(&self, height: Height, entries: &[ChainEntry]) -> Option<String> {
        let expected: BTreeMap<_, _> =
            self.at(height).iter().map(|(chain, of)| (*chain, (of.kind, of.asset, of.status))).collect();
        let found: BTreeMap<_, _> =
            entries.iter().map(|entry| (entry.chain, (entry.kind, entry.asset, entry.status))).collect();
        let mut all = expected.keys().chain(found.keys());
        let chain = all.find(|chain| expected.get(chain) != found.get(chain))?;
        let (expected, found) = (expected.get(chain), found.get(chain));
        Some(format!("has chain {chain} at height {height} as {found:?}, decided is {expected:?}"))
    }

    /// The same for the states that its readers see.
    pub(crate) fn states_differ(&self, height: Height, states: &Chains) -> Option<String> {
        let chains = self.at(height);
        let has = |chain: ChainId| states.get(chain).map(|state| (state.status(), state.roles()));
        let mut differing = chains.iter().filter(|(chain, of)| has(**chain) != Some((of.status, of.roles)));
        let (chain, of) = differing.next()?;
        let found = has(*chain);
        Some(format!("shows chain {chain} at height {height} as {found:?}, decided is {of:?}"))
    }

    /// A block takes something of a chain, in a batch that names an earlier height.
    ///
    /// # Errors
    /// There was no such chain at the height that the batch names, so it is not to be judged yet.
    pub(crate) fn taken(&self, chain: ChainId, as_of: Height, height: Height) -> Result<(), String> {
        match self.at(height).get(&chain) {
            Some(of) if of.begun <= as_of => Ok(()),
            of => {
                let begun = of.map(|of| of.begun);
                Err(format!(
                    "height {height} takes something of chain {chain}, begun {begun:?}, as of {as_of}"
                ))
            }
        }
    }

    /// A payment was decided on the chain that it came to.
    ///
    /// # Errors
    /// There is no such chain, or it is closed and was credited.
    pub(crate) fn arrived(&mut self, chain: ChainId, came: &Delivered, height: Height) -> Result<(), String> {
        let status = self.status(chain, height);
        let new = matches!(came.delivery.leg, Leg::Credit | Leg::Take(_));
        let credited = came.outcome == Outcome::Applied && new;
        self.on_paused += usize::from(credited && status == Some(ChainStatus::Paused));
        match status {
            Some(ChainStatus::Closed) if credited => {
                Err(format!("chain {chain} is closed and is credited at height {height}"))
            }
            None => Err(format!("money comes at height {height} to chain {chain}, which there is not")),
            _ => Ok(()),
        }
    }

    /// A transaction of the block at this height was applied.
    ///
    /// # Errors
    /// Its chain is not there or takes none, or who decides something must not.
    pub(crate) fn applied(&mut self, transaction: &Transaction, at: ChainTime) -> Result<(), String> {
        let (chain, height) = (transaction.chain(), at.height);
        let standing = self.at(height).get(&chain).copied();
        let standing = standing.ok_or_else(|| format!("chain {chain} is not there at height {height}"))?;
        self.on_created += usize::from(standing.begun > Height(0));
        let run = transaction.run();
        let content = run.content().map_err(|_| "a transaction cannot be read".to_owned())?;
        let takes = match standing.status {
            ChainStatus::Active => true,
            ChainStatus::Paused => false,
            ChainStatus::Closed => leaves(&content),
        };
        if !takes {
            let status = standing.status.name();
            return Err(format!(
                "a transaction applies at height {height} on chain {chain}, which is {status}"
            ));
        }
        match content {
            Content::Propose(propose) => self.proposed(&propose, at),
            Content::Approve(approve) => self.approved(&approve, at),
            _ => Ok(()),
        }
    }

    fn speaks(&self, chain: ChainId, account: AccountId, administrators: u64) -> Result<(), String> {
        let is_one = self.deciding == Some(chain) && self.administrators.contains(&account);
        if is_one && administrators == self.version {
            return Ok(());
        }
        Err(format!("account {account} of chain {chain} decides for administrators {administrators}"))
    }

    fn proposed(&mut self, propose: &Propose<'_>, at: ChainTime) -> Result<(), String> {
        self.speaks(propose.chain, propose.administrator, propose.administrators)?;
        let proposal = Proposal {
            decision: propose.decision.get(),
            administrators: propose.administrators,
            until_ms: propose.until_ms,
            approvals: BTreeSet::new(),
            decided: false,
        };
        let id = propose.proposal();
        if self.proposals.insert(id, proposal).is_some() {
            return Err(format!("{id:.12} is proposed again at height {}", at.height));
        }
        self.count(id, propose.administrator, at)
    }

    fn approved(&mut self, approve: &Approve<'_>, at: ChainTime) -> Result<(), String> {
        self.speaks(approve.chain, approve.administrator, approve.administrators)?;
        self.count(approve.proposal, approve.administrator, at)
    }

    /// One more administrator approves a proposal.
    fn count(&mut self, id: Digest, account: AccountId, at: ChainTime) -> Result<(), String> {
        let height = at.height;
        let proposal =
            self.proposals.get_mut(&id).filter(|of| !of.decided && of.administrators == self.version);
        let Some(proposal) = proposal else {
            return Err(format!("{id:.12} cannot be approved at height {height}, and is"));
        };
        if proposal.until_ms < at.time_ms || !proposal.approvals.insert(account) {
            return Err(format!("account {account} approves {id:.12} at height {height} again or too late"));
        }
        if proposal.approvals.len() < self.threshold {
            return Ok(());
        }
        proposal.decided = true;
        let decision = proposal.decision.clone();
        if !self.is_possible(&decision) {
            return Err(format!("{decision:?} is decided at height {height}, as chains are not"));
        }
        if let Decision::Members(change) = decision {
            if self.members.0 > at.epoch {
                return Err(format!("members are decided at height {height} while others have not begun"));
            }
            self.members = (at.epoch.next(), height);
            if let MemberChange::Rules(_) = change
                && self.rules.replace(at.epoch.next()).is_some()
            {
                return Err(format!(
                    "rules are decided again at height {height}, and nobody runs later ones"
                ));
            }
            return Ok(());
        }
        let by_trial = self.rules.is_some_and(|since| at.epoch >= since);
        let effect = Height(height.0 + if by_trial { LAG_OF_TRIAL } else { LAG });
        change(&mut self.decided, &decision, effect);
        self.due.entry(effect).or_default().push(decision);
        Ok(())
    }

    /// Whether chains are as a decision needs them.
    fn is_possible(&self, decision: &Decision) -> bool {
        let status = |chain: &ChainId| {
            let of = self.decided.get(chain).filter(|_| self.deciding != Some(*chain));
            of.map(|of| of.status)
        };
        match decision {
            Decision::Create(new) => self.decided.last_key_value().is_some_and(|(last, _)| *last < new.id),
            Decision::Pause(chain) => status(chain) == Some(ChainStatus::Active),
            Decision::Resume(chain) => status(chain) == Some(ChainStatus::Paused),
            Decision::Close(chain) => status(chain).is_some_and(|status| status != ChainStatus::Closed),
            Decision::Roles(chain, _) => self.decided.contains_key(chain),
            Decision::Administrators(_) => true,
            Decision::Members(_) => true,
        }
    }
}

/// Whether a chain that is closed still takes it: money leaves, or owners look after their accounts.
fn leaves(content: &Content<'_>) -> bool {
    match content {
        Content::Transfer(Transfer { credit_chain, .. }) => credit_chain.is_some(),
        Content::Command(Command { action, .. }) => !matches!(action, Action::Issue { .. }),
        Content::Rekey(_) | Content::Protect(_) | Content::Recover(_) | Content::Settle(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
