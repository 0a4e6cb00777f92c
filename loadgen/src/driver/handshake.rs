//! Greets every validator, and asks where the customers' accounts stand.

use crate::plan::{LoadError, LoadPlan, Start};
use crate::progress::{Observer, Phase};
use crate::workload::{ChainCustomers, CustomerAccount};
use engine::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};
use engine::types::{AccountId, ChainId, GENESIS_KEY_VERSION, Height};
use engine::wire::{ClientFrame, PROTOCOL_VERSION, Query, ServerFrame};
use net::{ClientConnection, ClientReceiver, ClientSender, ConnectOptions, Fingerprint};
use serde::Deserialize;
use std::time::Duration;

/// Queries on their way to one validator at a time.
const QUERIES_AHEAD: u64 = 256;
/// A validator that does not greet within this time is taken for dead.
const GREETING: Duration = Duration::from_secs(10);

/// A greeted validator.
pub(super) struct Link {
    pub sender: ClientSender,
    pub receiver: ClientReceiver,
    pub height: Height,
}

pub(super) async fn connect(plan: &LoadPlan) -> Result<Vec<Link>, LoadError> {
    let mut links = Vec::with_capacity(plan.endpoints.len());
    for lane in 0..plan.endpoints.len() {
        links.push(greet(plan, lane).await?);
    }
    Ok(links)
}

async fn greet(plan: &LoadPlan, lane: usize) -> Result<Link, LoadError> {
    let endpoint = &plan.endpoints[lane];
    let address = endpoint.address;
    let lost = |reason: String| LoadError::Connect { lane, address, reason };
    let wrong = |reason: String| LoadError::Handshake { lane, address, reason };
    let options = ConnectOptions {
        frame_bytes_max: CLIENT_FRAME_BYTES_MAX.max(SERVER_FRAME_BYTES_MAX),
        ..ConnectOptions::default()
    };
    let connection = ClientConnection::connect(address, Fingerprint(endpoint.fingerprint), options).await;
    let (mut sender, mut receiver) = connection.map_err(|e| lost(e.to_string()))?.split();
    let hello = ClientFrame::Hello { version: PROTOCOL_VERSION, network: plan.network };
    sender.send(hello.encode()).await.map_err(|e| lost(e.to_string()))?;
    let greeting = tokio::time::timeout(GREETING, receiver.recv()).await;
    let frame = greeting
        .map_err(|_| wrong(format!("it did not answer the greeting within {} s", GREETING.as_secs())))?
        .map_err(|e| lost(e.to_string()))?;
    match ServerFrame::decode(&frame) {
        Ok(ServerFrame::Welcome { network, .. }) if network != plan.network => {
            Err(wrong(format!("it belongs to network {network}")))
        }
        Ok(ServerFrame::Welcome { height, .. }) => Ok(Link { sender, receiver, height }),
        Ok(ServerFrame::Rejected { reason }) => Err(wrong(reason)),
        Ok(_) => Err(wrong("its first frame is no greeting".into())),
        Err(error) => Err(wrong(format!("its first frame cannot be read: {error}"))),
    }
}

/// Where the customers of all chains stand, as the plan says: at genesis, or as the validators tell.
pub(super) async fn customers(
    plan: &LoadPlan,
    links: &mut [Link],
    observer: &mut dyn Observer,
) -> Result<Vec<ChainCustomers>, LoadError> {
    let mut customers: Vec<ChainCustomers> = plan
        .chains
        .iter()
        .map(|load| {
            let account =
                CustomerAccount { next_nonce: 0, spendable: load.balance, key_version: GENESIS_KEY_VERSION };
            ChainCustomers { chain: load.chain, accounts: vec![account; load.accounts as usize] }
        })
        .collect();
    if plan.start == Start::Resume {
        observer.phase(&Phase::Resuming);
        let lanes = links.len();
        for chain in &mut customers {
            for (lane, link) in links.iter_mut().enumerate() {
                ask(link, lane, lanes, chain).await?;
            }
        }
    }
    Ok(customers)
}

async fn ask(
    link: &mut Link,
    lane: usize,
    lanes: usize,
    customers: &mut ChainCustomers,
) -> Result<(), LoadError> {
    let chain = customers.chain;
    let fail = |account: u64, reason: String| LoadError::Resume { lane, chain, account, reason };
    let mine: Vec<u64> = (lane as u64..customers.accounts.len() as u64).step_by(lanes).collect();
    let (mut asked, mut told) = (0, 0);
    while told < mine.len() {
        let mut questions = Vec::new();
        while asked < mine.len() && (asked - told) < QUERIES_AHEAD as usize {
            let query = Query::Account { chain, account: AccountId(mine[asked]) };
            questions.push(ClientFrame::Query { id: mine[asked], query }.encode());
            asked += 1;
        }
        link.sender.send_all(questions).await.map_err(|e| fail(mine[told], e.to_string()))?;
        // Answer by answer, but refill only in larger steps.
        let until = if asked == mine.len() { mine.len() } else { told + (asked - told) / 2 + 1 };
        while told < until {
            let frame = tokio::time::timeout(GREETING, link.receiver.recv()).await;
            let frame = frame
                .map_err(|_| fail(mine[told], "it does not answer".into()))?
                .map_err(|e| fail(mine[told], e.to_string()))?;
            match ServerFrame::decode(&frame) {
                Ok(ServerFrame::Answer { id, body }) => {
                    let place = customers.accounts.get_mut(id as usize);
                    let place = place.ok_or_else(|| fail(id, "it answers what was not asked".into()))?;
                    *place = standing(chain, &body).map_err(|reason| fail(id, reason))?;
                    told += 1;
                }
                Ok(ServerFrame::Rejected { reason }) => return Err(fail(mine[told], reason)),
                Ok(_) => {}
                Err(error) => return Err(fail(mine[told], error.to_string())),
            }
        }
    }
    Ok(())
}

/// What the generator reads of an account's answer; the proofs in it are for those who doubt.
#[derive(Deserialize)]
struct Answer {
    proof: Standing,
}

#[derive(Deserialize)]
struct Standing {
    key_version: u32,
    balance: u64,
    window_base: u64,
    window_used: u64,
}

fn standing(chain: ChainId, body: &[u8]) -> Result<CustomerAccount, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| {
        format!("chain {chain}: {}", String::from_utf8_lossy(body).chars().take(200).collect::<String>())
    })?;
    let Standing { key_version, balance, window_base, window_used } = answer.proof;
    if key_version != GENESIS_KEY_VERSION {
        return Err(format!(
            "its key has been changed (version {key_version}); the generator has only the first"
        ));
    }
    // The first nonce above every used one: gaps below it stay unused for good.
    let next_nonce = window_base + u64::from(u64::BITS - window_used.leading_zeros());
    Ok(CustomerAccount { next_nonce, spendable: balance, key_version })
}
