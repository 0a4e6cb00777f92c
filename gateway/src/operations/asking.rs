//! Questions: each is one question of the client protocol, or two, and its answer in the words of this interface.

use client::answers::{
    AccountAnswer, AccountsOfAnswer, AttestationAnswer, BlockAnswer, FeedAnswer, FeedEvent, FeedItem,
    MembersAnswer, RowAnswer, StatusAnswer, TransactionAnswer,
};
use client::{AsOf, Cursor, FeedQuery, Query, RawAnswer};
use engine::limits::REPLAY_WINDOW;
use engine::roots::{AccountProof, ChainEntry};
use engine::types::{
    AccountId, Asset, ChainId, Digest, Fingerprint, Height, Members, OWN_CHAIN_KEY, Transaction,
    TransactionId,
};
use engine::wire::Block;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Arguments, Reply};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// Events of a page, if nothing is said.
const PAGE: u64 = 100;
/// Free nonces that are offered.
const NONCES_OFFERED: usize = 16;

/// Reads an answer of the node as `T`.
pub(super) fn read<T: DeserializeOwned>(answer: &RawAnswer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::new(
            failure::INTERNAL,
            format!("the node's answer cannot be read ({error}): run a gateway of the node's release"),
        )
    })
}

pub(super) async fn ask<T: DeserializeOwned>(gateway: &Gateway, query: Query) -> Result<(AsOf, T), Failure> {
    let answer = gateway.desk.ask(query).await?;
    Ok((answer.as_of, read(&answer)?))
}

/// The members of an answer, and which height it speaks of.
pub(super) fn view(as_of: AsOf, mut value: Value) -> Reply {
    value["as_of"] = json!(as_of);
    value["view"] = "latest".into();
    Reply::ok(value)
}

/// A parameter that the table requires.
pub(super) fn given<T>(argument: Option<T>, name: &str) -> Result<T, Failure> {
    argument.ok_or_else(|| Failure::invalid(format!("the parameter {name} is missing")))
}

pub(super) fn chain_of(arguments: &Arguments) -> Result<ChainId, Failure> {
    let number = given(arguments.whole("chain"), "chain")?;
    u32::try_from(number).map(ChainId).map_err(|_| Failure::invalid("the parameter chain is too large"))
}

pub(super) async fn transaction(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let id = TransactionId(given(arguments.bytes32("id"), "id")?);
    let chain = arguments.whole("chain").map(|_| chain_of(arguments)).transpose()?;
    let (as_of, answer): (_, TransactionAnswer) = ask(gateway, Query::Transaction { chain, id }).await?;
    let mut value = json!(answer);
    value["code"] = answer.outcome.code().into();
    value["said"] = said(gateway, &answer.packet);
    Ok(view(as_of, value))
}

/// What a transaction in hexadecimal says.
fn said(gateway: &Gateway, packet: &str) -> Value {
    let bytes = hex::decode(packet).unwrap_or_default();
    Transaction::from_bytes(&bytes)
        .map_or(Value::Null, |transaction| (gateway.settings.words.fields)(&transaction))
}

pub(super) async fn account(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let (chain, account) = (chain_of(arguments)?, AccountId(given(arguments.whole("account"), "account")?));
    let (as_of, answer): (_, AccountAnswer) =
        ask(gateway, Query::Account { chain, account, record: true }).await?;
    let AccountAnswer { state_root, proof, record } = &answer;
    let free = free_nonces(proof);
    let mut value = json!({
        "chain": chain,
        "account": account,
        "balance": proof.balance,
        "key": proof.key,
        "key_version": proof.key_version,
        "status": proof.flags.name(),
        "frozen": proof.flags.frozen().name(),
        "next_nonce": proof.window_base + u64::from(u64::BITS - proof.window_used.leading_zeros()),
        "free_nonces": free,
        "state_root": state_root,
        "proof": proof,
    });
    if let Some(record) = record {
        value["record"] = json!(record);
    }
    Ok(view(as_of, value))
}

/// The lowest nonces that an account has not used.
fn free_nonces(of: &AccountProof) -> Vec<u64> {
    let is_free = |place: &u64| *place >= REPLAY_WINDOW || of.window_used >> place & 1 == 0;
    let free = (0..2 * REPLAY_WINDOW).filter(is_free);
    free.filter_map(|place| of.window_base.checked_add(place)).take(NONCES_OFFERED).collect()
}

pub(super) async fn accounts_of(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let (chain, key) = (chain_of(arguments)?, given(arguments.bytes32("key"), "key")?);
    let from = AccountId(arguments.whole("from").unwrap_or(0));
    let (as_of, answer): (_, AccountsOfAnswer) = ask(gateway, Query::AccountsOf { chain, key, from }).await?;
    let AccountsOfAnswer { accounts, more } = answer;
    Ok(view(as_of, json!({ "chain": chain, "accounts": accounts, "more": more })))
}

/// What a page of the history wants.
pub(crate) fn feed_query(arguments: &Arguments) -> Result<FeedQuery, Failure> {
    let max = arguments.whole("limit").unwrap_or(PAGE);
    if max == 0 {
        return Err(Failure::invalid("the parameter limit is 0: a page has at least one event"));
    }
    Ok(FeedQuery {
        chain: chain_of(arguments)?,
        from: arguments.cursor("from").unwrap_or(Cursor::START),
        account: arguments.whole("account").map(AccountId),
        reference: arguments.reference("reference"),
        max: u16::try_from(max).map_err(|_| Failure::invalid("the parameter limit is too large"))?,
    })
}

pub(super) async fn history(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let query = feed_query(arguments)?;
    let (as_of, FeedAnswer { events, next }): (_, FeedAnswer) = ask(gateway, Query::Feed(query)).await?;
    let events: Vec<Value> = events.iter().map(|event| happened(gateway, event)).collect();
    let at_end = next.height > as_of.height;
    Ok(view(as_of, json!({ "chain": query.chain, "events": events, "next": next, "at_end": at_end })))
}

/// An event of a feed, with what its transaction says.
pub(crate) fn happened(gateway: &Gateway, event: &FeedEvent) -> Value {
    let mut value = json!(event);
    if let FeedItem::Transaction { packet, .. } = &event.item {
        value["said"] = said(gateway, packet);
    }
    value
}

pub(super) async fn block(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let height = Height(given(arguments.whole("height"), "height")?);
    let (as_of, answer): (_, BlockAnswer) = ask(gateway, Query::Block { height }).await?;
    Ok(view(as_of, block_value(&answer)?))
}

/// A block, with what stands in its header.
pub(crate) fn block_value(answer: &BlockAnswer) -> Result<Value, Failure> {
    let bytes = hex::decode(&answer.block).unwrap_or_default();
    let block = Block::decode(&bytes).map_err(|error| {
        Failure::new(
            failure::INTERNAL,
            format!("the node's block cannot be read ({error}): run a gateway of the node's release"),
        )
    })?;
    let header = block.header();
    let mut value = json!(answer);
    value["time_ms"] = header.time_ms.into();
    value["epoch"] = json!(header.epoch);
    value["consensus_view"] = header.view.into();
    value["proposer"] = json!(header.proposer);
    value["parent"] = json!(header.parent);
    value["transactions"] = answer.entries.iter().map(|entry| entry.transactions).sum::<u64>().into();
    Ok(value)
}

fn chain_value(entry: &ChainEntry) -> Value {
    let asset = if entry.asset == Asset::NONE { String::new() } else { entry.asset.to_string() };
    json!({
        "chain": entry.chain,
        "kind": entry.kind.name(),
        "status": entry.status.name(),
        "asset": asset,
        "accounts": entry.accounts,
        "rows": entry.rows,
        "issued": entry.issuance.issued,
        "burned": entry.issuance.burned,
    })
}

pub(super) async fn own_row(gateway: &Gateway, chain: ChainId) -> Result<(AsOf, RowAnswer), Failure> {
    ask(gateway, Query::Row { chain, key: OWN_CHAIN_KEY }).await
}

/// What a block says of the state behind it, for a height whose block the node keeps.
async fn block_at(gateway: &Gateway, at: u64) -> Result<(AsOf, BlockAnswer), Failure> {
    let height = Height(at);
    match ask::<BlockAnswer>(gateway, Query::Block { height }).await {
        Ok((as_of, answer)) => Ok((AsOf { height, ..as_of }, answer)),
        Err(failure) if [failure::BELOW_RETENTION, failure::NOT_FOUND].contains(&failure.kind) => {
            let (as_of, status): (_, StatusAnswer) = ask(gateway, Query::Status).await?;
            let kept = (status.kept_from.0.max(1), status.committed.0);
            Err(Failure::not_at(at, kept, as_of))
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn chain(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let chain = chain_of(arguments)?;
    if let Some(at) = arguments.whole("at") {
        let (as_of, answer) = block_at(gateway, at).await?;
        let entry = answer.entries.iter().find(|entry| entry.chain == chain);
        let entry = entry.ok_or_else(|| {
            let words = format!("there is no chain {chain} at height {at}");
            Failure::new(failure::NOT_FOUND, words).with(json!({ "as_of": as_of }))
        })?;
        let mut value = chain_value(entry);
        value["state_root"] = json!(answer.state_root);
        return Ok(view(as_of, value));
    }
    let (as_of, RowAnswer { state_root, proof }) = own_row(gateway, chain).await?;
    let mut value = chain_value(&proof.chain.entry);
    value["state_root"] = json!(state_root);
    value["proof"] = json!(proof);
    Ok(view(as_of, value))
}

pub(super) async fn chains(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    if let Some(at) = arguments.whole("at") {
        let (as_of, answer) = block_at(gateway, at).await?;
        let chains: Vec<Value> = answer.entries.iter().map(chain_value).collect();
        return Ok(view(as_of, json!({ "chains": chains })));
    }
    let (mut as_of, status): (_, StatusAnswer) = ask(gateway, Query::Status).await?;
    if status.committed > Height(0) {
        let height = status.committed;
        let (as_of, answer): (_, BlockAnswer) = ask(gateway, Query::Block { height }).await?;
        let chains: Vec<Value> = answer.entries.iter().map(chain_value).collect();
        return Ok(view(AsOf { height, ..as_of }, json!({ "chains": chains })));
    }
    // No block says it yet, so each chain of the genesis is asked for.
    let mut chains = Vec::new();
    let genesis = gateway.settings.genesis.iter().flat_map(|genesis| genesis.chains());
    for chain in genesis {
        let (at, answer) = own_row(gateway, chain.id).await?;
        chains.push(chain_value(&answer.proof.chain.entry));
        as_of = at;
    }
    Ok(view(as_of, json!({ "chains": chains })))
}

pub(super) async fn attestation(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let chain = chain_of(arguments)?;
    let fingerprint = Fingerprint(given(arguments.bytes32("fingerprint"), "fingerprint")?);
    let (as_of, answer): (_, AttestationAnswer) =
        ask(gateway, Query::Attestation { chain, fingerprint }).await?;
    let registered = answer.proof.says(&Digest(fingerprint.0)).flatten().is_some();
    let mut value = json!(answer);
    value["chain"] = json!(chain);
    value["fingerprint"] = hex::encode(fingerprint.0).into();
    value["registered"] = registered.into();
    Ok(view(as_of, value))
}

pub(super) async fn status(gateway: &Gateway) -> Result<Reply, Failure> {
    // As it came: a node of a later release says more.
    let (as_of, status): (_, Value) = ask(gateway, Query::Status).await?;
    Ok(view(as_of, json!({ "status": status })))
}

pub(super) async fn validators(gateway: &Gateway) -> Result<Reply, Failure> {
    let (as_of, answer): (_, MembersAnswer) = ask(gateway, Query::Members).await?;
    let members = hex::decode(&answer.members).ok().and_then(|bytes| Members::decode(&bytes));
    let members = members.ok_or_else(|| {
        Failure::new(failure::INTERNAL, "the node names no members: run a gateway of the node's release")
    })?;
    let fields = |(place, member): (usize, &engine::types::Member)| {
        json!({
            "place": place,
            "name": member.name,
            "public_key": hex::encode(member.public_key),
            "certificate_fingerprint": hex::encode(member.certificate_fingerprint),
            "client_address": member.client_address,
        })
    };
    let validators: Vec<Value> = members.list.iter().enumerate().map(fields).collect();
    let MembersAnswer { epoch, begins_after, .. } = answer;
    Ok(view(as_of, json!({ "epoch": epoch, "begins_after": begins_after, "validators": validators })))
}
