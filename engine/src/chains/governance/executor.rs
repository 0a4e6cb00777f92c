//! What administrators decide, and what becomes of it.

use std::collections::BTreeMap;

use super::super::accounts;
use super::members::DecidedMembers;
use crate::execute::{Book, Table};
use crate::limits::{CHAINS_MAX, DECISIONS_MAX, PROPOSALS_MAX};
use crate::types::{
    ADMINISTRATORS_KEY, AccountId, Administrators, Approve, Asset, ChainGenesis, ChainId, ChainStatus,
    ChainTime, Charter, Consents, Content, Council, Decision, Digest, Effect, Epoch, Fingerprint,
    FirstMembers, Height, Members, NewChain, Order, Outcome, PacketRun, ProposalRecord, Propose,
    RulesVersion, chain_key, chain_of_key,
};

/// What was decided about the chains of a network: read from the genesis and the table, and kept beside it.
#[derive(Debug)]
pub(crate) struct Governance {
    /// This chain.
    own: ChainId,
    /// The chains and the administrators of the genesis.
    genesis: BTreeMap<ChainId, Charter>,
    first: Administrators,
    /// All chains, as they are decided.
    chains: BTreeMap<ChainId, Charter>,
    /// Those who decide now.
    administrators: Administrators,
    /// What is decided and not yet in effect: by the height from which on it is, in the order of decisions.
    due: BTreeMap<(Height, u64), Due>,
    /// How many proposals of each administrator the present version has not decided.
    open: BTreeMap<AccountId, usize>,
    /// Who validates by which rules; none in tests of the chain alone.
    members: Option<DecidedMembers>,
    /// How many decisions there were.
    decisions: u64,
}

/// A decision that is not yet in effect.
#[derive(Debug)]
struct Due {
    proposal: Digest,
    /// Those who decide from then on, if others do.
    council: Option<Council>,
}

impl Due {
    fn of(proposal: Digest, decision: &Decision) -> Self {
        let council = match decision {
            Decision::Administrators(council) => Some(council.clone()),
            _ => None,
        };
        Self { proposal, council }
    }
}

impl Governance {
    /// Before the first decision. Without `first` nobody decides about the next epoch.
    pub(crate) fn beginning(own: ChainId, genesis: &[ChainGenesis], first: Option<FirstMembers>) -> Self {
        let deciding = genesis.iter().find(|chain| chain.id == own).expect("the chain is one of the genesis");
        let accounts = (0..deciding.accounts.len() as u64).map(AccountId).collect();
        let council = Council { threshold: deciding.threshold, accounts };
        let administrators = Administrators { version: 1, council };
        let chains: BTreeMap<_, _> = genesis.iter().map(|chain| (chain.id, Charter::from(chain))).collect();
        Self {
            own,
            genesis: chains.clone(),
            first: administrators.clone(),
            chains,
            administrators,
            members: first.map(DecidedMembers::beginning),
            due: BTreeMap::new(),
            open: BTreeMap::new(),
            decisions: 0,
        }
    }

    /// What the table says after a height.
    pub(crate) fn read(&mut self, table: &Table, height: Height) {
        const KEPT: &str = "the ledger's own rows are what they say";
        let found = table.get(&ADMINISTRATORS_KEY).map(|row| Administrators::decode(row).expect(KEPT));
        self.administrators = found.unwrap_or_else(|| self.first.clone());
        self.chains = self.genesis.clone();
        if let Some(members) = &mut self.members {
            members.read(table);
        }
        (self.due, self.open, self.decisions) = (BTreeMap::new(), BTreeMap::new(), 0);
        for row in table.rows() {
            if let Some(chain) = chain_of_key(row.key()) {
                self.chains.insert(chain, Charter::decode(row.value()).expect(KEPT));
            }
            let proposal = Digest(*row.key());
            let Some(record) = proposal_at(table, &proposal) else { continue };
            match record.decided {
                Some((number, since)) => {
                    self.decisions = self.decisions.max(number);
                    if since > height {
                        self.due.insert((since, number), Due::of(proposal, &record.decision));
                    }
                }
                None if record.administrators == self.administrators.version => {
                    *self.open.entry(record.approvals[0]).or_default() += 1;
                }
                None => {}
            }
        }
    }

    /// The decisions that take effect at a height, in their order.
    pub(crate) fn orders(&self, table: &Table, height: Height) -> Vec<Order> {
        let due = self.due.range((height, 0)..=(height, u64::MAX));
        let order = |Due { proposal, .. }: &Due| {
            let record = proposal_at(table, proposal).expect("what is decided was proposed");
            Order { proposal: *proposal, decision: record.decision }
        };
        due.map(|(_, due)| order(due)).collect()
    }

    /// The rules of an epoch up to that of the members that were decided last, if that is decided here.
    pub(crate) fn rules_of(&self, epoch: Epoch) -> Option<RulesVersion> {
        self.members.as_ref().map(|members| members.rules_of(epoch))
    }

    /// The members that were decided last, if that is decided here.
    pub(crate) fn members(&self) -> Option<&Members> {
        self.members.as_ref().map(DecidedMembers::set)
    }

    /// The same with the height in which that was, if anything was decided.
    pub(crate) fn last_decided(&self) -> Option<(Height, &Members)> {
        let members = self.members.as_ref()?;
        Some((members.decided_at()?, members.set()))
    }

    /// The members that were decided in a height.
    pub(crate) fn members_decided_at(&self, height: Height) -> Option<&Members> {
        let members = self.members.as_ref()?;
        (members.decided_at() == Some(height)).then_some(members.set())
    }

    /// Whether an account decides, or is about to: it cannot be closed.
    pub(crate) fn needs(&self, account: AccountId) -> bool {
        let is_in = |council: &Council| council.accounts.binary_search(&account).is_ok();
        let mut coming = self.due.values().filter_map(|due| due.council.as_ref());
        is_in(&self.administrators.council) || coming.any(is_in)
    }

    /// Why an account cannot speak for this version of the administrators.
    fn speaks(&self, account: AccountId, administrators: u64) -> Result<(), Outcome> {
        if self.administrators.council.accounts.binary_search(&account).is_err() {
            return Err(Outcome::RoleNotHeld);
        }
        let present = administrators == self.administrators.version;
        present.then_some(()).ok_or(Outcome::OtherAdministrators)
    }

    /// Why it cannot be decided now. Whether enough members consent matters only when it is decided.
    fn fits(
        &self,
        book: &Book,
        at: ChainTime,
        (decision, consents): (&Decision, Consents<'_>),
    ) -> Result<(), Outcome> {
        if !consents.is_empty() && !matches!(decision, Decision::Members(_)) {
            return Err(Outcome::NeedlessConsents);
        }
        let known = |chain: &ChainId| self.chains.get(chain).ok_or(Outcome::UnknownChain);
        let other = |chain: &ChainId| {
            known(chain)
                .and_then(|of| if *chain == self.own { Err(Outcome::OtherKind) } else { Ok(of.status) })
        };
        let may = |possible: bool| possible.then_some(()).ok_or(Outcome::OtherChainState);
        match decision {
            Decision::Create(new) => {
                if self.chains.last_key_value().is_some_and(|(last, _)| new.id <= *last) {
                    return Err(Outcome::ChainIdTaken);
                }
                if self.chains.len() >= CHAINS_MAX {
                    return Err(Outcome::ChainsFull);
                }
                self.caps(new.asset, None, new.roles.issuance_cap)
            }
            Decision::Pause(chain) => may(other(chain)? == ChainStatus::Active),
            Decision::Resume(chain) => may(other(chain)? == ChainStatus::Paused),
            Decision::Close(chain) => may(other(chain)? != ChainStatus::Closed),
            Decision::Roles(chain, roles) => {
                let record = known(chain)?;
                may(record.status != ChainStatus::Closed)?;
                if !roles.fit(record.kind, record.asset) {
                    return Err(Outcome::UnfitRoles);
                }
                self.caps(record.asset, Some(*chain), roles.issuance_cap)
            }
            Decision::Administrators(council) => council.accounts.iter().try_for_each(|account| {
                let index = book.index(*account).ok_or(Outcome::UnknownCredit)?;
                let flags = book.state().flags_at(index);
                if flags.is_closed() || flags.is_closing() { Err(Outcome::CreditClosed) } else { Ok(()) }
            }),
            Decision::Members(change) => {
                let members = self.members.as_ref().ok_or(Outcome::MembersFixed)?;
                let after = members.after(change, at)?;
                // A row for each of them, one for all, and that of the proposal.
                book.has_room_for(after.list.len() + 2).then_some(()).ok_or(Outcome::ChainFull)
            }
        }
    }

    /// The money of an asset always fits into 64 bits: what the genesis has, and what each chain may have issued at any
    /// time.
    fn caps(&self, asset: Asset, changed: Option<ChainId>, cap: u64) -> Result<(), Outcome> {
        let of_asset = self.chains.iter().filter(|(_, record)| record.asset == asset);
        let most = |(chain, record): (&ChainId, &Charter)| {
            let cap_ever = if Some(*chain) == changed { record.cap_ever.max(cap) } else { record.cap_ever };
            u128::from(record.supply) + u128::from(cap_ever)
        };
        let new = if changed.is_none() { cap } else { 0 };
        let sum = of_asset.map(most).sum::<u128>() + u128::from(new);
        (sum <= u128::from(u64::MAX)).then_some(()).ok_or(Outcome::IssuanceCap)
    }
}

/// The proposal in a row, if it is one.
fn proposal_at(table: &Table, proposal: &Digest) -> Option<ProposalRecord> {
    if Fingerprint(proposal.0).is_reserved() {
        return None;
    }
    table
        .get(&proposal.0)
        .map(|row| ProposalRecord::decode(row).expect("rows of proposals are what they say"))
}

/// One transaction of the account at `signer`, whose nonce is spent.
pub(super) fn execute(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome {
    let content = run.content().expect("a verified batch has transactions of known kinds");
    let done = match &content {
        Content::Propose(of) => propose(book, at, signer, of),
        Content::Approve(of) => approve(book, at, signer, of),
        _ => return accounts::execute(book, at, signer, &content).unwrap_or(Outcome::OtherKind),
    };
    done.err().unwrap_or(Outcome::Applied)
}

fn governance(book: &Book) -> &Governance {
    book.governance().expect("the chain that decides knows what is decided")
}

fn governance_mut(book: &mut Book) -> &mut Governance {
    book.governance_mut().expect("the chain that decides knows what is decided")
}

fn propose(book: &mut Book, at: ChainTime, signer: usize, propose: &Propose<'_>) -> Result<(), Outcome> {
    book.state().flags_at(signer).debit()?;
    governance(book).speaks(propose.administrator, propose.administrators)?;
    if propose.until_ms < at.time_ms {
        return Err(Outcome::ProposalExpired);
    }
    let proposal = propose.proposal();
    // No digest begins with 16 zero bytes.
    if Fingerprint(proposal.0).is_reserved() || book.table().get(&proposal.0).is_some() {
        return Err(Outcome::ProposalTaken);
    }
    let decision = propose.decision.get();
    governance(book).fits(book, at, (&decision, propose.consents))?;
    let open = governance(book).open.get(&propose.administrator).copied().unwrap_or(0);
    if open >= PROPOSALS_MAX {
        return Err(Outcome::ProposalsFull);
    }
    if !book.has_room() {
        return Err(Outcome::ChainFull);
    }
    let record = ProposalRecord {
        administrators: propose.administrators,
        until_ms: propose.until_ms,
        approvals: vec![propose.administrator],
        decided: None,
        decision,
    };
    count(book, at, proposal, (record, true), propose.consents)
}

fn approve(book: &mut Book, at: ChainTime, signer: usize, approve: &Approve<'_>) -> Result<(), Outcome> {
    book.state().flags_at(signer).debit()?;
    governance(book).speaks(approve.administrator, approve.administrators)?;
    let proposal = approve.proposal;
    let mut record = proposal_at(book.table(), &proposal).ok_or(Outcome::UnknownProposal)?;
    if record.decided.is_some() {
        return Err(Outcome::ProposalDecided);
    }
    if record.administrators != approve.administrators {
        return Err(Outcome::OtherAdministrators);
    }
    if record.until_ms < at.time_ms {
        return Err(Outcome::ProposalExpired);
    }
    if record.approvals.contains(&approve.administrator) {
        return Err(Outcome::ApprovedAlready);
    }
    governance(book).fits(book, at, (&record.decision, approve.consents))?;
    if !book.has_room() {
        return Err(Outcome::ChainFull);
    }
    record.approvals.push(approve.administrator);
    count(book, at, proposal, (record, false), approve.consents)
}

/// Keeps a proposal that somebody has approved; if that is enough, it is decided.
fn count(
    book: &mut Book,
    at: ChainTime,
    proposal: Digest,
    (mut record, is_new): (ProposalRecord, bool),
    consents: Consents<'_>,
) -> Result<(), Outcome> {
    let governance = governance_mut(book);
    let by = record.approvals[0];
    if record.approvals.len() < usize::from(governance.administrators.council.threshold) {
        *governance.open.entry(by).or_default() += usize::from(is_new);
        book.put(&proposal.0, &record.encode());
        return Ok(());
    }
    let members = match (&record.decision, &governance.members) {
        (Decision::Members(change), Some(members)) => Some(members.decided(change, at, consents, proposal)?),
        _ => None,
    };
    // The members change with an epoch, and no chain has anything to obey.
    let since = if members.is_some() { at.height } else { Height(at.height.0 + at.rules.decision_lag()) };
    if governance.due.range((since, 0)..).count() >= DECISIONS_MAX && members.is_none() {
        return Err(Outcome::ProposalsFull);
    }
    governance.decisions += 1;
    record.decided = Some((governance.decisions, since));
    if members.is_none() {
        governance.due.insert((since, governance.decisions), Due::of(proposal, &record.decision));
    }
    if !is_new {
        *governance.open.entry(by).or_default() -= 1;
    }
    let changed = record.decision.chain().map(|chain| {
        let before = match &record.decision {
            Decision::Create(new) => Charter::from(new),
            _ => governance.chains[&chain],
        };
        let after = before.after(&record.decision, since, proposal);
        governance.chains.insert(chain, after);
        (chain_key(chain), after)
    });
    book.put(&proposal.0, &record.encode());
    if let Some((key, after)) = changed {
        book.put(&key, &after.encode());
    }
    if let Some(members) = members {
        members.write(book);
        governance_mut(book).members = Some(members);
    }
    Ok(())
}

/// Decisions about this chain take effect, before anything else of the height.
pub(crate) fn obey(book: &mut Book, height: Height, orders: &[Order]) {
    if let Some(governance) = book.governance_mut() {
        governance.due = governance.due.split_off(&(height.next(), 0));
    }
    for Order { proposal, decision } in orders {
        if let (Some(governance), Decision::Administrators(council)) = (book.governance_mut(), decision) {
            let version = governance.administrators.version + 1;
            governance.administrators = Administrators { version, council: council.clone() };
            // What is open is void.
            governance.open.clear();
            let row = governance.administrators.encode();
            book.put(&ADMINISTRATORS_KEY, &row);
            book.note(Effect::InEffect { proposal: *proposal });
        }
        if decision.chain() != Some(book.state().chain()) {
            continue;
        }
        if let Decision::Create(NewChain { founders, .. }) = decision {
            book.open(founders.iter());
        }
        let mut after = book.charter().after(decision, height, *proposal);
        if matches!(decision, Decision::Roles(..)) {
            // Somebody else could open an account with this number, and have the role.
            after.roles = after.roles.kept(|account| {
                let flags = book.index(account).map(|index| book.state().flags_at(index));
                flags.is_some_and(|flags| !flags.is_closed())
            });
        }
        book.set_charter(&after);
        book.note(Effect::InEffect { proposal: *proposal });
    }
}
