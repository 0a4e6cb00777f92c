//! Who decides, what is proposed, and what takes effect when.
//!
//! ```text
//! rows of the chain that decides: its own … │ proposal ─▶ next higher key ─▶ proposal ─▶ … ─▶ zero
//! ```

use client::answers::{MembersAnswer, RowAnswer, StatusAnswer};
use client::{AsOf, Query};
use engine::types::{
    ADMINISTRATORS_KEY, AccountId, Administrators, BEFORE_PROPOSALS, ChainId, ChainKind, Charter, Council,
    Decision, Digest, Epoch, Height, MEMBERS_KEY, MembersRecord, OWN_CHAIN_KEY, ProposalRecord,
};
use serde_json::{Map, Value, json};

use super::asking::{ask, chain_of, own_row, view};
use super::{Arguments, Reply};
use crate::clock;
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// Proposals of one page.
const PROPOSALS_MAX: usize = 100;

pub(super) async fn charter(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let chain = chain_of(arguments)?;
    let (as_of, RowAnswer { proof, .. }) = own_row(gateway, chain).await?;
    let said = match proof.says(&Digest(OWN_CHAIN_KEY)).flatten() {
        Some(row) => Some(Charter::decode(row).ok_or_else(|| unread("chain"))?),
        None => gateway.settings.genesis.as_ref().and_then(|genesis| genesis.chain(chain)).map(Charter::from),
    };
    let mut value = json!({ "chain": chain });
    if let Some(charter) = said {
        value["charter"] = (gateway.settings.words.charter)(&charter);
    }
    Ok(view(as_of, value))
}

fn unread(what: &str) -> Failure {
    let message = format!("the node's row of the {what} cannot be read: run a gateway of the node's release");
    Failure::new(failure::INTERNAL, message)
}

/// The chain that decides, if there is one.
async fn deciding(gateway: &Gateway) -> Result<(AsOf, Option<ChainId>), Failure> {
    if let Some(genesis) = &gateway.settings.genesis {
        let chain = genesis.governance().map(|chain| chain.id);
        return Ok((gateway.desk.as_of().await?, chain));
    }
    let (as_of, status): (_, StatusAnswer) = ask(gateway, Query::Status).await?;
    if status.committed == Height(0) {
        return Ok((as_of, None));
    }
    let block = Query::Block { height: status.committed };
    let (as_of, block): (_, client::answers::BlockAnswer) = ask(gateway, block).await?;
    let entry = block.entries.iter().find(|entry| entry.kind == ChainKind::Governance);
    Ok((as_of, entry.map(|entry| entry.chain)))
}

pub(super) async fn governance(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let (as_of, chain) = deciding(gateway).await?;
    let Some(chain) = chain else { return Ok(view(as_of, json!({ "proposals": [] }))) };
    let row = async |key| ask::<RowAnswer>(gateway, Query::Row { chain, key }).await;
    let (_, answer) = row(ADMINISTRATORS_KEY).await?;
    let administrators = match answer.proof.says(&Digest(ADMINISTRATORS_KEY)).flatten() {
        Some(row) => Some(Administrators::decode(row).ok_or_else(|| unread("administrators"))?),
        None => of_genesis(gateway),
    };
    let coming = coming(gateway, chain).await?;
    let mut key = Digest(arguments.bytes32("from").unwrap_or(BEFORE_PROPOSALS));
    let (mut proposals, mut as_of, mut next) = (Vec::new(), as_of, None);
    loop {
        let (at, answer) = row(key.0).await?;
        as_of = AsOf { height: at.height.max(as_of.height), ..at };
        if key.0 > BEFORE_PROPOSALS
            && let Some(row) = answer.proof.says(&key).flatten()
        {
            let record = ProposalRecord::decode(row).ok_or_else(|| unread("proposal"))?;
            let present = administrators.as_ref().map(|of| of.version);
            proposals.push(proposal(gateway, (key, &record), (at.height, present, coming)));
        }
        let following = answer.proof.next;
        if following <= key {
            break;
        }
        key = following;
        if proposals.len() == PROPOSALS_MAX {
            next = Some(following);
            break;
        }
    }
    let mut value =
        Map::from_iter([("chain".to_owned(), json!(chain)), ("proposals".to_owned(), proposals.into())]);
    if let Some(Administrators { version, council }) = &administrators {
        value.insert("version".to_owned(), (*version).into());
        value.insert("administrators".to_owned(), json!(council.accounts));
        value.insert("threshold".to_owned(), council.threshold.into());
    }
    if let Some(next) = next {
        value.insert("next".to_owned(), json!(next));
    }
    Ok(view(as_of, Value::Object(value)))
}

/// Who decides by the genesis, where that is at hand: nobody has changed it since.
fn of_genesis(gateway: &Gateway) -> Option<Administrators> {
    let chain = gateway.settings.genesis.as_ref()?.governance()?;
    let accounts = (0..chain.accounts.len() as u64).map(AccountId).collect();
    Some(Administrators { version: 1, council: Council { threshold: chain.threshold, accounts } })
}

/// The proposal of members whose epoch has not begun, if there is one.
async fn coming(gateway: &Gateway, chain: ChainId) -> Result<Option<Digest>, Failure> {
    let (_, present): (_, MembersAnswer) = ask(gateway, Query::Members).await?;
    let (_, answer): (_, RowAnswer) = ask(gateway, Query::Row { chain, key: MEMBERS_KEY }).await?;
    let Some(row) = answer.proof.says(&Digest(MEMBERS_KEY)).flatten() else { return Ok(None) };
    let record = MembersRecord::decode(row).ok_or_else(|| unread("members"))?;
    let has_begun = |epoch: Epoch| epoch <= present.epoch;
    Ok((!has_begun(record.epoch)).then_some(record.proposal))
}

fn proposal(
    gateway: &Gateway,
    (id, record): (Digest, &ProposalRecord),
    (height, present, coming): (Height, Option<u64>, Option<Digest>),
) -> Value {
    let words = &gateway.settings.words;
    let mut value = (words.proposal)(record);
    value["proposal"] = json!(id);
    value["says"] = (words.decision)(&record.decision).into();
    value["version"] = record.administrators.into();
    value["state"] = state(record, height, (present, coming == Some(id)), clock::unix_seconds()).into();
    value
}

fn state(
    record: &ProposalRecord,
    height: Height,
    (present, is_coming): (Option<u64>, bool),
    unix: u64,
) -> &'static str {
    match record.decided {
        Some(_) if matches!(record.decision, Decision::Members(_)) => {
            if is_coming {
                "decided"
            } else {
                "in_effect"
            }
        }
        Some((_, since)) if since <= height => "in_effect",
        Some(_) => "decided",
        None if present.is_some_and(|present| present != record.administrators) => "void",
        None if record.until_ms / 1_000 < unix => "expired",
        None => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{MemberChange, RulesVersion};

    #[test]
    fn a_proposal_is_in_one_state() {
        let record = |decided, decision| ProposalRecord {
            administrators: 2,
            until_ms: 10_000,
            approvals: vec![AccountId(0)],
            decided,
            decision,
        };
        let pause = || Decision::Pause(ChainId(1));
        let members = || Decision::Members(MemberChange::Rules(RulesVersion(2)));
        let at = |height| Some((1, Height(height)));
        for (record, says) in [
            (record(at(7), pause()), "in_effect"),
            (record(at(8), pause()), "decided"),
            (record(None, pause()), "open"),
            (record(at(3), members()), "in_effect"),
        ] {
            assert_eq!(state(&record, Height(7), (Some(2), false), 10), says, "{record:?}");
        }
        assert_eq!(state(&record(at(3), members()), Height(7), (Some(2), true), 10), "decided");
        assert_eq!(state(&record(None, pause()), Height(7), (Some(3), false), 10), "void");
        assert_eq!(state(&record(None, pause()), Height(7), (Some(2), false), 11), "expired");
        assert_eq!(state(&record(None, pause()), Height(7), (None, false), 10), "open");
    }
}
