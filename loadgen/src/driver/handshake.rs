//! Connects to every validator, waits until each has caught up, and asks where the clients' accounts stand.
//!
//! Invariant: an account is read only from a validator that has committed (a) the highest height that any validator had
//! committed when the load began and (b) everything that it then knew to be final. Older state would give nonces that
//! are used already, and all transfers would be refused.
//!
//! A validator that dies meanwhile does not end the load: the others tell of its accounts, and its lane is tried again
//! like one that dies later.

use crate::plan::{Endpoint, LoadError, LoadPlan, Start};
use crate::progress::{Observer, Phase};
use crate::workload::{ChainClients, ClientAccount};
use client::{AsOf, ClientError, Connection, Event, Fingerprint, Query, RawAnswer};
use engine::types::{AccountId, FIRST_KEY_VERSION, Height};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Queries that one validator may owe answers to at a time.
const QUERIES_AHEAD: u64 = 256;
/// A validator that does not answer within this time is taken for dead.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How often a validator that is behind is asked again.
const CATCH_UP_POLL: Duration = Duration::from_millis(100);
/// A wait shorter than this is not worth a message: the last block is always still being written.
const CATCH_UP_QUIET: Duration = Duration::from_secs(1);

pub(super) async fn connect(plan: &LoadPlan) -> Result<Vec<Connection>, LoadError> {
    let mut links = Vec::with_capacity(plan.endpoints.len());
    for lane in 0..plan.endpoints.len() {
        links.push(open(plan, lane).await.map_err(|error| not_there(plan, lane, error))?);
    }
    Ok(links)
}

/// Connects to a validator that takes transactions.
async fn open(plan: &LoadPlan, lane: usize) -> Result<Connection, ClientError> {
    let Endpoint { address, fingerprint } = &plan.endpoints[lane];
    let link = Connection::open(address, Fingerprint(*fingerprint), &plan.network).await?;
    let standing = link.welcome.standing;
    match standing.is_member() {
        true => Ok(link),
        false => Err(ClientError::Rejected(format!("it takes no transactions ({standing})"))),
    }
}

fn not_there(plan: &LoadPlan, lane: usize, source: ClientError) -> LoadError {
    LoadError::Connect { lane, address: plan.endpoints[lane].address.clone(), source: Box::new(source) }
}

/// Waits until every validator keeps up and has committed both the highest height that any of them said to have
/// committed and what it knew to be final.
///
/// # Errors
/// One is behind for too long, or none is left.
pub(super) async fn caught_up(
    plan: &LoadPlan,
    links: &mut [Connection],
    observer: &mut dyn Observer,
) -> Result<CaughtUp, LoadError> {
    let mut gone = vec![None; links.len()];
    let highest = links.iter().map(|link| link.welcome.as_of.height).max().unwrap_or_default();
    let begun = Instant::now();
    for (lane, link) in links.iter_mut().enumerate() {
        let mut as_of = link.welcome.as_of;
        // What one validator says of the network binds only that one: a wrong claim must not make the others look late.
        let goal = highest.max(as_of.network_height());
        let mut told = false;
        while as_of.height < goal || !as_of.keeps_up() {
            let waited = plan.catch_up;
            if begun.elapsed() >= waited {
                let address = plan.endpoints[lane].address.clone();
                return Err(match as_of.height < goal || as_of.behind.is_some() {
                    true => LoadError::Behind { lane, address, as_of, goal, waited },
                    false => LoadError::CannotTellIfBehind { lane, address, height: as_of.height, waited },
                });
            }
            if !told && begun.elapsed() >= CATCH_UP_QUIET {
                let address = plan.endpoints[lane].address.clone();
                observer.phase(&Phase::CatchingUp { address, height: as_of.height, goal });
                told = true;
            }
            tokio::time::sleep(CATCH_UP_POLL).await;
            as_of = match standing_of(link).await {
                Ok(as_of) => as_of,
                Err(error) => {
                    gone[lane] = Some(error.to_string());
                    break;
                }
            };
        }
    }
    CaughtUp { height: highest, gone }.unless_all_are_gone()
}

/// The validators at the beginning of a load.
pub(super) struct CaughtUp {
    /// The highest height that any of them had committed.
    height: Height,
    /// Why a validator is not asked any more, by lane.
    gone: Vec<Option<String>>,
}

impl CaughtUp {
    pub(super) fn height(&self) -> Height {
        self.height
    }

    /// # Errors
    /// [`LoadError::AllLost`].
    fn unless_all_are_gone(self) -> Result<Self, LoadError> {
        match self.gone.iter().all(Option::is_some).then(|| self.gone.last().cloned().flatten()).flatten() {
            Some(reason) => Err(LoadError::AllLost(reason)),
            None => Ok(self),
        }
    }

    /// A validator that is still asked: that of the lane, or the next one.
    fn instead_of(&self, lane: usize) -> Option<usize> {
        (lane..self.gone.len()).chain(0..lane).find(|lane| self.gone[*lane].is_none())
    }
}

/// Connects to a validator that went away, once it is there again and keeps up with the network.
///
/// # Errors
/// It is not there yet, or not a member any more.
pub(super) async fn reconnect(plan: &LoadPlan, lane: usize) -> Result<Connection, ClientError> {
    let mut link = open(plan, lane).await?;
    while !standing_of(&mut link).await?.keeps_up() {
        tokio::time::sleep(CATCH_UP_POLL).await;
    }
    Ok(link)
}

/// Where a validator stands now.
async fn standing_of(link: &mut Connection) -> Result<AsOf, ClientError> {
    link.sender.ask([(0, Query::Status)]).await?;
    Ok(answer(link).await?.as_of)
}

async fn answer(link: &mut Connection) -> Result<RawAnswer, ClientError> {
    loop {
        if let Event::Answer(answer) = link.receiver.next_within(ANSWER_PATIENCE).await? {
            return Ok(answer);
        }
    }
}

/// Where the clients of all chains stand, as the plan says: at genesis, or as the validators tell that have caught up.
///
/// # Errors
/// What one tells is wrong, or none is left.
pub(super) async fn clients(
    plan: &LoadPlan,
    links: &mut [Connection],
    mut caught_up: CaughtUp,
    observer: &mut dyn Observer,
) -> Result<Vec<ChainClients>, LoadError> {
    let mut clients: Vec<ChainClients> = plan
        .chains
        .iter()
        .map(|load| {
            let account =
                ClientAccount { next_nonce: 0, spendable: load.balance, key_version: FIRST_KEY_VERSION };
            ChainClients {
                chain: load.chain,
                kind: load.kind,
                accounts: vec![account; load.accounts as usize],
            }
        })
        .collect();
    if plan.start == Start::Resume {
        observer.phase(&Phase::Resuming);
        let lanes = links.len();
        for chain in &mut clients {
            for lane in 0..lanes {
                let share = plan.share.accounts(chain.accounts.len() as u64);
                let mut mine: Vec<u64> = (share.start + lane as u64..share.end).step_by(lanes).collect();
                while let Some(asked) = caught_up.instead_of(lane).filter(|_| !mine.is_empty()) {
                    let height = caught_up.height;
                    let answered = ask(&mut links[asked], asked, &mine, height, chain).await?;
                    mine = answered.left;
                    if let Some(reason) = answered.lost {
                        let address = &plan.endpoints[asked].address;
                        observer.news(&format!("the validator at {address} went away ({reason})"));
                        caught_up.gone[asked] = Some(reason);
                        caught_up = caught_up.unless_all_are_gone()?;
                    }
                }
            }
        }
    }
    Ok(clients)
}

/// What a validator has told.
struct Answered {
    /// The accounts of which it has not told.
    left: Vec<u64>,
    /// Why it tells no more, if it did not tell of all.
    lost: Option<String>,
}

/// Asks a validator where accounts stand.
///
/// # Errors
/// [`LoadError::Resume`]: what it tells cannot be used.
async fn ask(
    link: &mut Connection,
    lane: usize,
    mine: &[u64],
    height: Height,
    clients: &mut ChainClients,
) -> Result<Answered, LoadError> {
    let chain = clients.chain;
    let fail = |account: u64, reason: String| LoadError::Resume { lane, chain, account, reason };
    let (mut asked, mut told) = (0, 0);
    // Asked for, and not told of.
    let mut open = BTreeSet::new();
    let lost = |open: &BTreeSet<u64>, asked: usize, reason: ClientError| Answered {
        left: open.iter().chain(&mine[asked..]).copied().collect(),
        lost: Some(reason.to_string()),
    };
    while told < mine.len() {
        let ahead = mine.len().min(told + QUERIES_AHEAD as usize);
        let questions = mine[asked..ahead].iter().map(|account| {
            let query = Query::Account { chain, account: AccountId(*account), record: false };
            (*account, query)
        });
        if let Err(reason) = link.sender.ask(questions).await {
            return Ok(lost(&open, asked, reason));
        }
        open.extend(&mine[asked..ahead]);
        asked = ahead;
        // Answer by answer, but refill only in larger steps.
        let until = if asked == mine.len() { mine.len() } else { told + (asked - told) / 2 + 1 };
        while told < until {
            let answer = match answer(link).await {
                Ok(answer) => answer,
                Err(reason) => return Ok(lost(&open, asked, reason)),
            };
            let account = answer.id;
            if !open.remove(&account) {
                return Err(fail(account, "it answers what was not asked".into()));
            }
            let place = clients.accounts.get_mut(account as usize);
            let place = place.ok_or_else(|| fail(account, "it answers what was not asked".into()))?;
            *place = account_of(&answer, height).map_err(|reason| fail(account, reason))?;
            told += 1;
        }
    }
    Ok(Answered { left: Vec::new(), lost: None })
}

/// What the generator reads of an account's answer. It does not check the proofs: a wrong nonce harms only its own
/// load.
#[derive(Deserialize)]
struct AccountAnswer {
    proof: Standing,
}

#[derive(Deserialize)]
struct Standing {
    key_version: u32,
    balance: u64,
    window_base: u64,
    window_used: u64,
}

fn account_of(answer: &RawAnswer, height: Height) -> Result<ClientAccount, String> {
    let answer = answer.read::<AccountAnswer>().map_err(|error| error.to_string())?;
    if answer.as_of.height < height {
        return Err(format!("it answers from {}, and height {height} was committed before", answer.as_of));
    }
    let Standing { key_version, balance, window_base, window_used } = answer.value.proof;
    if key_version != FIRST_KEY_VERSION {
        return Err(format!(
            "its key has been changed (version {key_version}); the generator has only the first"
        ));
    }
    // The first nonce above every used one: gaps below it are never used.
    let next_nonce = window_base + u64::from(u64::BITS - window_used.leading_zeros());
    Ok(ClientAccount { next_nonce, spendable: balance, key_version })
}
