//! What a chain is, and what was decided about all chains, read from rows.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::{Key, PlainChain, PlainGovernance, PlainMembers, PlainProposal, can_have, own_row};
use crate::execute::oracle::{About, Fault, Fields, Oracle, PlainTable, UNKNOWN_ROW};
use crate::types::{
    AccountId, Asset, ChainGenesis, ChainId, ChainKind, ChainStatus, Decision, EncodedDecision, Height,
    LockWindows, Quota, Registrar, Roles,
};

impl PlainChain {
    /// What a chain is in effect: as its own row says, or as the genesis has it where nothing was decided.
    pub(crate) fn in_effect(genesis: Option<&ChainGenesis>, table: &PlainTable) -> Result<Self, Fault> {
        let first = genesis.map(Self::genesis);
        match table.get(&own_row(6, 0)) {
            Some(value) => Self::restored(first.as_ref(), value),
            None => first.ok_or("it is neither in the genesis nor says what it is"),
        }
    }

    /// A row's chain: kind, asset and supply are those of the genesis. A chain that was created since begins without
    /// money, and decides nothing.
    fn restored(first: Option<&Self>, value: &[u8]) -> Result<Self, Fault> {
        let chain = Self::read(value).ok_or("what a chain is cannot be read")?;
        let fits = match first {
            Some(first) => (chain.kind, chain.asset, chain.supply) == (first.kind, first.asset, first.supply),
            None => chain.supply == 0 && chain.kind() != ChainKind::Governance,
        };
        if fits { Ok(chain) } else { Err("a chain has another kind, asset or supply than at its beginning") }
    }

    fn read(value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let (kind, _suite) = (fields.short()?, fields.short()?);
        let chain = Self {
            kind: (1..=3).contains(&kind).then_some(kind)?,
            asset: Asset(fields.array()?),
            supply: fields.number()?,
            cap_ever: fields.number()?,
            status: match fields.byte()? {
                0 => ChainStatus::Active,
                1 => ChainStatus::Paused,
                2 => ChainStatus::Closed,
                _ => return None,
            },
            since: fields.number()?,
            roles: roles(&mut fields)?,
            proposal: fields.array()?,
        };
        (chain.value() == value && can_have(&chain, &chain.roles)).then_some(chain)
    }

    /// What it does.
    pub(crate) fn kind(&self) -> ChainKind {
        match self.kind {
            1 => ChainKind::Transfers,
            2 => ChainKind::Attestations,
            _ => ChainKind::Governance,
        }
    }
}

fn roles(fields: &mut Fields<'_>) -> Option<Roles> {
    let holder = |account: u64| (account != u64::MAX).then_some(AccountId(account));
    Some(Roles {
        issuer: holder(fields.number()?),
        issuance_cap: fields.number()?,
        freezer: holder(fields.number()?),
        registrar: match fields.number()? {
            u64::MAX => Registrar::Nobody,
            account if account == u64::MAX - 1 => Registrar::Anyone,
            account => Registrar::Account(AccountId(account)),
        },
        accounts_cap: fields.number()?,
        attestations_cap: fields.number()?,
        windows: LockWindows { rekey_seconds: fields.small()?, recovery_seconds: fields.small()? },
        quota: Quota(fields.small()?),
    })
}

impl PlainProposal {
    /// The decision is read like one that an administrator sends: it has the same bytes.
    fn read(value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let (administrators, until_ms, count) = (fields.number()?, fields.number()?, fields.byte()?);
        let approvals = (0..count).map(|_| fields.number()).collect::<Option<Vec<u64>>>()?;
        let decided = match fields.byte()? {
            0 => None,
            _ => Some((fields.number()?, fields.number()?)),
        };
        let encoded = fields.rest();
        let decision = EncodedDecision::read(encoded).ok()?.get();
        let encoded = encoded.to_vec();
        let proposal = Self { administrators, until_ms, approvals, decided, decision, encoded };
        let approve_once = proposal.approvals.iter().collect::<BTreeSet<_>>().len() == usize::from(count);
        ((1..=16).contains(&count) && approve_once && proposal.value() == value).then_some(proposal)
    }

    /// What names it.
    fn name(&self) -> Key {
        let terms = [self.administrators.to_le_bytes(), self.until_ms.to_le_bytes()].concat();
        Sha256::digest([&b"millrace/proposal"[..], &terms, &self.encoded].concat()).into()
    }
}

/// Reads a row that only the chain that decides has.
pub(in crate::chains::governance) fn restore(
    oracle: &mut Oracle,
    about: &About,
    value: &[u8],
) -> Result<(), Fault> {
    let governance = oracle.governance.as_mut().ok_or(UNKNOWN_ROW)?;
    match *about {
        About::Named(key) => {
            let proposal = PlainProposal::read(value).ok_or("is not a proposal")?;
            if proposal.name() != key {
                return Err("is a proposal under the name of another one");
            }
            governance.proposals.insert(key, proposal);
        }
        About::Own(4, 0, chain) => {
            let chain = ChainId(u32::try_from(chain).map_err(|_| UNKNOWN_ROW)?);
            let decided = PlainChain::restored(governance.chains.get(&chain), value)?;
            governance.chains.insert(chain, decided);
        }
        About::Own(5, 0, 0) => governance.read_administrators(value).ok_or("does not say who decides")?,
        // They are compared with what decisions have made, once all of them are read.
        About::Own(8, 0, _) | About::Own(9, 0, 0) if governance.members.is_some() => {}
        About::Own(..) => return Err(UNKNOWN_ROW),
    }
    Ok(())
}

impl PlainGovernance {
    fn read_administrators(&mut self, value: &[u8]) -> Option<()> {
        let mut fields = Fields(value);
        self.version = fields.number()?;
        let (threshold, count) = (fields.byte()?, fields.byte()?);
        self.threshold = usize::from(threshold);
        self.administrators = (0..count).map(|_| fields.number()).collect::<Option<_>>()?;
        let can_decide = (1..=count).contains(&threshold) && count <= 16;
        (can_decide && self.administrators_value() == value).then_some(())
    }

    /// The chains that decisions have created up to a height.
    pub(crate) fn created(&self, height: Height) -> BTreeSet<ChainId> {
        let in_effect = self.proposals.values().filter(|of| of.decided.is_some_and(|(_, at)| at <= height.0));
        let created = in_effect.filter_map(|of| match &of.decision {
            Decision::Create(new) => Some(new.id),
            _ => None,
        });
        created.collect()
    }
}

/// What takes effect at which height, once all proposals are read. Decisions are numbered from 1 on, each change of the
/// administrators that is in effect has made another version of them, and all changes of the members, one after the
/// other, have made the present ones.
pub(crate) fn restore_decisions(oracle: &mut Oracle, height: Height) -> Result<(), Fault> {
    let Some(governance) = &mut oracle.governance else { return Ok(()) };
    let decided = governance.proposals.iter().filter_map(|(key, of)| Some((of.decided?, of, *key)));
    let mut decided: Vec<_> = decided.collect();
    decided.sort_by_key(|((number, _), ..)| *number);
    let mut version = 1;
    for (number, ((found, since), of, key)) in (1..).zip(decided) {
        if number != found {
            return Err("the decisions are not numbered from 1 on");
        }
        let changes = matches!(of.decision, Decision::Administrators(_));
        version += u64::from(changes && since <= height.0);
        governance.decisions = number;
        let Decision::Members(change) = &of.decision else {
            governance.due.entry(since).or_default().push(key);
            continue;
        };
        let before = governance.members.as_ref().ok_or("the members were changed, and they are fixed")?;
        let after = before.after(change).map_err(|_| "the members were changed as they cannot be")?;
        if since > height.0 {
            return Err("the members were changed in a later height");
        }
        governance.members = Some(after.decided(since, key));
    }
    let rows = governance.members.as_ref().map_or_else(Vec::new, PlainMembers::rows);
    let of_members = |key: &Key| key[..16] == [0; 16] && matches!(key[16], 8 | 9);
    let there = oracle.table.slots().iter().flatten().filter(|(key, _)| of_members(key)).count();
    if there != rows.len() || rows.iter().any(|(key, value)| oracle.table.get(key) != Some(value)) {
        return Err("the members are others than decisions have made");
    }
    if governance.version != version {
        return Err("the administrators have another version than decisions have made");
    }
    Ok(())
}
