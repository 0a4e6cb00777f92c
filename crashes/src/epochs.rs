//! The next epoch of a network of one: its only administrator decides that its only validator has another name.
//!
//! To the validator that is a handover like any other: it finalizes the last block of its epoch, starts again, and
//! begins its votes anew in the same log.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use client::Client;
use engine::types::{
    AccountId, ChainId, Consents, Content, Decision, EncodedDecision, Epoch, Height, Member, MemberChange,
    PacketRun, Propose, Transaction,
};
use node::network::{ChainDraft, Network};

/// The numbers of decisions begin here, above those of all transfers.
pub const DECISIONS: u64 = 1 << 32;
/// How often it is looked whether the next epoch has begun.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often at most: a start may take long on a loaded machine.
const LOOKS: u32 = 3_000;

/// The chain of the administrator.
#[must_use]
pub fn deciding() -> ChainDraft {
    ChainDraft::governance(ChainId(0), 1, 1)
}

/// The number of a transaction that is a decision.
#[must_use]
pub fn number_of(transaction: PacketRun<'_>) -> Option<u64> {
    match transaction.content() {
        Ok(Content::Propose(propose)) => Some(DECISIONS + propose.nonce),
        _ => None,
    }
}

/// Has the validator hand over to itself, under another name, and returns when the next epoch has begun. `commit`
/// submits the decision with its number, and returns when it is committed.
///
/// # Errors
/// The validator does not answer, or does not begin the next epoch.
pub fn next(
    network: &Network,
    nonce: u64,
    mut client: Client,
    commit: impl FnOnce(&mut Client, &Transaction, u64) -> anyhow::Result<()>,
) -> anyhow::Result<Client> {
    let (present, _) = client.members()?.value;
    let epoch = Epoch(present.epoch.0 + 1);
    let me = present.list.first().context("there is one validator")?;
    let member = Member { name: format!("epoch-{epoch}"), ..me.clone() };
    let change = MemberChange::Replace(me.public_key, member);
    // One that has just started does not consent before something is final.
    let mut consent = None;
    for _ in 0..LOOKS {
        consent = client.consent(&present.after(&change)?)?;
        if consent.is_some() {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    let consents = Consents::encode(vec![consent.context("the validator does not consent")?]);
    let (decision, administrator) = (Decision::Members(change).encode(), AccountId(0));
    let chain = deciding().id;
    let propose = Propose {
        chain,
        key_version: 1,
        reference: [0; 12],
        administrator,
        administrators: 1,
        until_ms: u64::MAX,
        consents: Consents::read(&consents)?,
        decision: EncodedDecision::read(&decision)?,
        nonce,
        expiry: Height(1_000_000),
    };
    let key = network.client_seed()?.signing_key(chain, administrator);
    let transaction = propose.sign(network.genesis.network(), |message| key.sign(message))?;
    commit(&mut client, &transaction, DECISIONS + nonce)?;
    drop(client);
    for _ in 0..LOOKS {
        // Between two epochs it does not answer.
        if let Ok(mut client) = network.members[0].connect(&network.genesis)
            && client.members().is_ok_and(|members| members.value.0.epoch == epoch)
        {
            return Ok(client);
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("epoch {epoch} does not begin")
}
