//! A network that lost too many validators for good goes on as another one.
//!
//! ```text
//! old network  ── block H-1 ── block H        what execution left behind it: accounts, tables, payments under way
//!                                 │                                              │
//! new network     genesis ──names─┴▶ seam, in the place of block H ◀─────────────┘ ── block H+1 ── ..
//!                 (other validators, other network id)
//! ```
//!
//! Nothing of the old network is changed: it has its blocks, and if its validators come back they go on without the new
//! one. The new network has other validators, so its genesis is another one, and no signature for one network holds in
//! the other. Its first block extends the *seam*: a block in the place of the last one of the old network, with
//! nobody's streams. The genesis names it together with the state root behind it, so the genesis alone tells from where
//! the new network goes on.
//!
//! The state is the old one. Only what administrators had decided about the old validators is left out: it would name
//! members and epochs that the new network does not have.

use std::collections::BTreeSet;

use thiserror::Error;

use super::CommittedBlock;
use super::checkpoint::CommonState;
use crate::execute::{Growth, Pages, Row, Table};
use crate::limits::VALIDATORS_MAX;
use crate::roots::{StateRoot, TableTree};
use crate::types::{
    Decision, Digest, Epoch, Genesis, GenesisError, Head, MEMBERS_KEY, Origin, ProposalRecord, RULES_FIRST,
    RulesVersion, ValidatorGenesis, ValidatorIndex, member_key,
};
use crate::wire::{Block, BlockError, Header, WireError};

/// Why a network cannot be rebuilt from a state.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// The block of its height cannot be decoded.
    #[error("the last block cannot be decoded: {0}")]
    Block(#[from] WireError),
    /// The seam is no block.
    #[error("no block can stand in the place of the last one: {0}")]
    Seam(#[from] BlockError),
    /// The validators make no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The old network has later rules than those with which every network begins.
    #[error(
        "the network has rules {0}, and a rebuilt one begins with rules {RULES_FIRST}: this release cannot rebuild it"
    )]
    Rules(RulesVersion),
    /// The record of the height does not have the chains of the state.
    #[error("the record of the last height has other chains than the state")]
    Chains,
}

/// The genesis of the network with these validators that goes on from the last state of another one, and that state as
/// the new network has it.
///
/// # Errors
/// [`RebuildError`].
pub fn rebuild(
    old: &Genesis,
    state: &CommonState,
    rules: RulesVersion,
    (name, validators): (String, Vec<ValidatorGenesis>),
) -> Result<(Genesis, CommonState), RebuildError> {
    if rules != RULES_FIRST {
        return Err(RebuildError::Rules(rules));
    }
    let last = Block::decode(&state.record.block)?;
    if state.record.chains.len() != state.chains.len() {
        return Err(RebuildError::Chains);
    }
    let mut records = state.record.chains.clone();
    let deciding = old.governance().map(|chain| chain.id);
    let mut chains = state.chains.clone();
    for (record, chain) in records.iter_mut().zip(&mut chains) {
        // No batch of the new network names an earlier height.
        chain.growth = Growth::of(chain.accounts.len() as u64);
        if Some(chain.chain) == deciding {
            chain.slots = without_members(&chain.slots);
            record.entry.table_root = TableTree::of(&Table::restore(chain.slots.iter().cloned())).root();
        }
    }
    let height = state.record.height;
    let root = StateRoot::new(height, records.iter().map(|record| record.entry).collect());
    let seam = Block::new(Header {
        height,
        epoch: Epoch(0),
        view: 0,
        time_ms: last.header().time_ms,
        proposer: ValidatorIndex(0),
        parent: *last.digest(),
        roots_first: height,
        roots: Vec::new(),
        cut: vec![Head::NONE; validators.len().clamp(1, VALIDATORS_MAX)],
        next_members: Digest::default(),
        log: last.header().log.clone(),
    })?;
    let origin = Origin {
        network: *old.network(),
        height,
        block: *seam.digest(),
        state_root: *root.digest(),
        quotas: state.quotas.digest(),
    };
    let membership = (old.membership(), Some(origin));
    let genesis = Genesis::with_origin(name, validators, membership, old.chains().to_vec())?;
    let record = CommittedBlock {
        height,
        delta_digest: Digest::default(),
        state_root: *root.digest(),
        block: seam.encode(),
        certificate: Vec::new(),
        members: None,
        batches: Vec::new(),
        chains: records,
    };
    let state = CommonState {
        record,
        ordered_bytes: 0,
        roots: vec![*root.digest()],
        quotas: state.quotas.clone(),
        handovers: Vec::new(),
        chains,
    };
    Ok((genesis, state))
}

/// The table of the chain that decides without what was decided, or proposed, about validators: these places are
/// vacant.
fn without_members(slots: &Pages<Option<Row>>) -> Pages<Option<Row>> {
    let of_members: BTreeSet<[u8; 32]> = (0..VALIDATORS_MAX as u16)
        .map(|place| member_key(ValidatorIndex(place)))
        .chain([MEMBERS_KEY])
        .collect();
    let is_of_members = |row: &Row| {
        let proposal = ProposalRecord::decode(row.value()).filter(|of| of.proposal().0 == *row.key());
        let proposes = proposal.is_some_and(|of| matches!(of.decision, Decision::Members(_)));
        proposes || of_members.contains(row.key())
    };
    let stays = |row: &&Row| !is_of_members(row);
    let mut kept: Vec<_> = slots.iter().flatten().filter(stays).map(|row| *row.key()).collect();
    kept.sort_unstable();
    let next = |key: &[u8; 32]| {
        let behind = kept.partition_point(|other| other <= key);
        kept.get(behind).copied().unwrap_or_default()
    };
    let slot = |slot: &Option<Row>| {
        let row = slot.as_ref().filter(stays)?;
        Some(Row::new(row.key(), &next(row.key()), row.value()))
    };
    slots.iter().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::member;

    #[test]
    fn what_was_decided_about_members_is_taken_out_and_the_table_stays_in_order() {
        let of_member = |place| member_key(ValidatorIndex(place));
        let mut keys = vec![[0; 32], [7; 32], MEMBERS_KEY, of_member(0), of_member(127), [9; 32], [255; 32]];
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let next = |key: &[u8; 32]| sorted.iter().find(|other| *other > key).copied().unwrap_or_default();
        let value = member(3).encode();
        let mut slots: Pages<Option<Row>> =
            keys.iter().map(|key| Some(Row::new(key, &next(key), &value))).collect();
        slots.push(None);
        assert!(Table::restore(slots.iter().cloned()).is_in_order());

        let cleaned = without_members(&slots);
        assert_eq!(cleaned.len(), slots.len(), "places stay");
        let table = Table::restore(cleaned.iter().cloned());
        assert!(table.is_in_order());
        keys.retain(|key| ![MEMBERS_KEY, of_member(0), of_member(127)].contains(key));
        let mut left: Vec<_> = table.rows().map(|row| *row.key()).collect();
        left.sort_unstable();
        keys.sort_unstable();
        assert_eq!(left, keys);
        assert!(table.rows().all(|row| row.value() == value), "the others are as they were");
        assert_eq!(without_members(&cleaned), cleaned);
    }
}
