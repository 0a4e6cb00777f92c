//! What a load is asked to do, and why it may not be able to.

use crate::client_keys::ClientSeed;
use crate::shape::{Arrivals, Shape};
use crate::workload::Dice;
use client::{Address, AsOf, ClientError};
use engine::limits::{DATA_BYTES_MAX, LINKED_PAYMENTS_MAX, OPENED_ACCOUNTS_MAX};
use engine::types::{Asset, ChainId, ChainKind, Digest, Height};
use std::ops::Range;
use std::time::Duration;

/// One validator to drive load at.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its client port.
    pub address: Address,
    /// SHA-256 of its TLS certificate, by which it is recognised.
    pub fingerprint: [u8; 32],
}

/// The clients of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainLoad {
    /// The chain.
    pub chain: ChainId,
    /// What it does.
    pub kind: ChainKind,
    /// How many accounts it has; their keys follow from the plan's seed.
    pub accounts: u64,
    /// What each account held at genesis.
    pub balance: u64,
    /// What the balances are balances of.
    pub asset: Asset,
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// They pay each other.
    Transfer,
    /// They register fingerprints.
    Attest,
    /// Both, and each chain gets the same share.
    Mixed,
    /// They open accounts.
    Open,
}

impl Traffic {
    /// What it takes: chains of each of these kinds.
    pub fn kinds(self) -> &'static [ChainKind] {
        match self {
            Self::Transfer | Self::Open => &[ChainKind::Transfers],
            Self::Attest => &[ChainKind::Attestations],
            Self::Mixed => &[ChainKind::Transfers, ChainKind::Attestations],
        }
    }

    /// Refuses what does not go with it on any chains, so that it can be said before there are chains.
    ///
    /// # Errors
    /// [`LoadError::Plan`]: so many bytes of data, so many payments or new accounts of a transaction or such a share of
    /// transfers to other chains.
    pub fn check(
        self,
        data_bytes: u16,
        (payments, opened): (u16, u16),
        cross_percent: u8,
    ) -> Result<(), LoadError> {
        let wrong = |what: &str| Err(LoadError::Plan(what.into()));
        if cross_percent > 100 {
            return wrong("of 100 transfers 0 to 100 go to another chain");
        }
        if self == Self::Open && cross_percent > 0 {
            return wrong("accounts are opened on their chain: leave out --cross-chain or --workload");
        }
        if !(1..=OPENED_ACCOUNTS_MAX).contains(&usize::from(opened)) {
            return wrong("a transaction opens 1 to 680 accounts");
        }
        if opened > 1 && self != Self::Open {
            return wrong("--opened goes with --workload open");
        }
        if self == Self::Attest && cross_percent > 0 {
            return wrong(
                "fingerprints stay on their chain: leave out --cross-chain, or take --workload mixed",
            );
        }
        if !(1..=LINKED_PAYMENTS_MAX).contains(&usize::from(payments)) {
            return wrong("a transaction has 1 to 1,000 payments");
        }
        if payments > 1 && self != Self::Transfer {
            return wrong("linked transfers are a workload of their own: leave out --linked or --workload");
        }
        if payments > 1 && cross_percent > 0 {
            return wrong("linked transfers stay on their chain: leave out --linked or --cross-chain");
        }
        if usize::from(data_bytes) > DATA_BYTES_MAX {
            return wrong("a fingerprint is registered with 0 to 1,024 bytes of data");
        }
        if data_bytes > 0 && matches!(self, Self::Transfer | Self::Open) {
            return wrong(
                "transfers and new accounts carry no data: leave out --data-bytes, or add --workload attest",
            );
        }
        Ok(())
    }
}

/// Bytes that a signed transaction takes beyond those of a transfer, about: a payment takes 24, a fingerprint with what
/// belongs to it 48, and a new account with its key and signature 144.
pub fn bytes_beyond(traffic: Traffic, data_bytes: u16, (payments, opened): (u16, u16)) -> u64 {
    let payments = if payments > 1 { 24 * u64::from(payments) } else { 0 };
    let attest =
        if matches!(traffic, Traffic::Attest | Traffic::Mixed) { 48 + u64::from(data_bytes) } else { 0 };
    let opened = if traffic == Traffic::Open { 144 * u64::from(opened) } else { 0 };
    payments + attest + opened
}

/// How fast to offer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// As fast as the network answers: a controller follows its delay.
    Max,
    /// So many transactions a second, whatever happens.
    Fixed(f64),
}

/// Where the nonces of the clients stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The network has not been used since its genesis.
    Fresh,
    /// Ask the validators for every account first.
    Resume,
}

/// A part of the accounts of each chain: loads that run at the same time each take another one. The nonces of an
/// account can be given by one load only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    number: u32,
    of: u32,
}

impl Share {
    /// All accounts.
    pub const ALL: Share = Share { number: 1, of: 1 };

    /// One of `of` parts, counted from 1; `None` where there is no such part.
    pub fn new(number: u32, of: u32) -> Option<Share> {
        (1..=of).contains(&number).then_some(Share { number, of })
    }

    /// Its accounts among so many.
    pub fn accounts(self, total: u64) -> Range<u64> {
        let first = |number: u32| (u128::from(total) * u128::from(number) / u128::from(self.of)) as u64;
        first(self.number - 1)..first(self.number)
    }
}

/// Everything a run needs to know.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The network id, under every signature.
    pub network: Digest,
    /// One endpoint for each validator; the accounts of the share send through each of them in turn.
    pub endpoints: Vec<Endpoint>,
    /// The chains and their clients.
    pub chains: Vec<ChainLoad>,
    /// The secret of the clients' keys.
    pub clients: ClientSeed,
    /// The accounts that pay.
    pub share: Share,
    /// Seed for the random choice of clients and amounts.
    pub seed: u64,
    /// What the clients do. Chains of other kinds get no load.
    pub traffic: Traffic,
    /// Bytes of data that are registered with each fingerprint.
    pub data_bytes: u16,
    /// So many transfers in a hundred go to an account of another chain.
    pub cross_percent: u8,
    /// Payments of each transaction: 1 is a transfer, more are linked transfers.
    pub payments: u16,
    /// Accounts that each transaction opens, with [`Traffic::Open`]; else 1.
    pub opened: u16,
    /// Where the nonces stand.
    pub start: Start,
    /// Transactions a second, or what the network takes.
    pub rate: Rate,
    /// How the rate changes over the window, of which it is the mean.
    pub shape: Shape,
    /// How transactions follow each other in the window.
    pub arrivals: Arrivals,
    /// Length of the measured window, in whole seconds.
    pub seconds: u64,
    /// The longest that the load waits for validators that are behind the network.
    pub catch_up: Duration,
    /// Load before the window opens, at the rate of the window, evenly.
    pub warm_up: Duration,
    /// With [`Rate::Max`]: the longest that the search for the rate may take.
    pub search: Duration,
    /// With [`Rate::Max`]: packets signed for the search, which also ends when they run out.
    pub search_packets: u64,
    /// A transaction without a verdict for so long counts as timed out.
    pub timeout: Duration,
    /// How many heights after the start of the load its transactions may still execute.
    pub expiry_heights: u64,
    /// The median delay that [`Rate::Max`] settles on.
    pub delay_target: Duration,
    /// Due packets leave at this period.
    pub tick: Duration,
    /// Offer again after this long what was refused for want of room; `None`: a refusal is final.
    pub busy_retry: Option<Duration>,
}

impl LoadPlan {
    /// A plan with defaults. The commands set rate, seconds and warm-up themselves.
    pub fn new(network: Digest, endpoints: Vec<Endpoint>, clients: ClientSeed) -> LoadPlan {
        LoadPlan {
            network,
            endpoints,
            chains: Vec::new(),
            clients,
            share: Share::ALL,
            seed: 1,
            traffic: Traffic::Transfer,
            data_bytes: 0,
            cross_percent: 0,
            payments: 1,
            opened: 1,
            start: Start::Fresh,
            rate: Rate::Max,
            shape: Shape::Constant,
            arrivals: Arrivals::Even,
            seconds: 15,
            catch_up: Duration::from_secs(60),
            warm_up: Duration::from_secs(3),
            search: Duration::from_secs(30),
            search_packets: 1_000_000,
            timeout: Duration::from_secs(10),
            expiry_heights: 1_000_000,
            delay_target: Duration::from_millis(300),
            tick: Duration::from_millis(2),
            busy_retry: None,
        }
    }

    /// Bytes that a signed transaction of this load takes beyond those of a transfer.
    pub fn bytes_beyond(&self) -> u64 {
        bytes_beyond(self.traffic, self.data_bytes, (self.payments, self.opened))
    }

    /// The seed of drawn arrivals: another one than that of the clients, and another one for each share, so that two
    /// loads at once do not send at the same instants.
    pub(crate) fn seed_of_arrivals(&self) -> u64 {
        const LABEL: u64 = u64::from_le_bytes(*b"arrivals");
        Dice::new(self.seed ^ LABEL ^ u64::from(self.share.number) << 32).next()
    }

    /// Whether the window is anything but a constant rate at equal distances.
    pub(crate) fn is_shaped(&self) -> bool {
        self.shape.is_shaped(self.arrivals)
    }

    /// Refuses a plan that contradicts itself, before anything is started and anybody is asked. Who gets the load may
    /// still be open.
    ///
    /// # Errors
    /// [`LoadError::Plan`].
    pub fn check(&self) -> Result<(), LoadError> {
        let wrong = |what: &str| Err(LoadError::Plan(what.into()));
        self.traffic.check(self.data_bytes, (self.payments, self.opened), self.cross_percent)?;
        let of_kind = |kind| self.chains.iter().filter(move |chain| chain.kind == kind);
        if let Some(kind) = self.traffic.kinds().iter().find(|kind| of_kind(**kind).count() == 0) {
            return wrong(&format!("there is no chain of the kind \"{}\" to drive load at", kind.name()));
        }
        if self.cross_percent > 0 && of_kind(ChainKind::Transfers).count() < 2 {
            return wrong("transfers between chains take two chains of transfers");
        }
        let assets = || of_kind(ChainKind::Transfers).map(|chain| chain.asset);
        if self.cross_percent > 0 && assets().zip(assets().skip(1)).any(|(one, other)| one != other) {
            return wrong("transfers between chains take chains of one asset");
        }
        if self.seconds == 0 {
            return wrong("the measured window must be at least one second long");
        }
        if let Rate::Fixed(rate) = self.rate
            && !(rate.is_finite() && rate > 0.0)
        {
            return wrong("the rate must be a positive number of transactions a second, or max");
        }
        self.shape.check_load(self.arrivals, self.rate, self.seconds)?;
        if self.tick.is_zero() || self.timeout.is_zero() || self.delay_target.is_zero() {
            return wrong("tick, time-out and delay target must be longer than nothing");
        }
        Ok(())
    }
}

/// Why a load could not be run. What a validator refuses is no error but a figure of the outcome.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan contradicts itself.
    #[error("this load cannot be run: {0}")]
    Plan(String),
    /// What is signed before the load does not fit into the memory.
    #[error("this load cannot be run: {0}")]
    NoRoom(String),
    /// A validator could not be reached, or is not one of this network.
    #[error("no load for the validator at {address}: {source}")]
    Connect {
        /// The validator's index in the load.
        lane: usize,
        /// Where it should answer.
        address: Address,
        /// What was wrong.
        source: Box<ClientError>,
    },
    /// A validator did not catch up with the network: from its old state the load would use nonces that are spent.
    #[error(
        "the validator at {address} has not caught up within {waited:?}: it is at {as_of}, and the network has \
         finalized height {goal}; wait until `millrace query status` shows that it has, or leave it out of the load"
    )]
    Behind {
        /// The validator's index in the load.
        lane: usize,
        /// Where it should answer.
        address: Address,
        /// Where it stands.
        as_of: AsOf,
        /// The height that it must have committed.
        goal: Height,
        /// How long it was given.
        waited: Duration,
    },
    /// A validator hears of too few others to know where the network is. So nothing may be committed at all.
    #[error(
        "the validator at {address} is at height {height} and could not find out within {waited:?} whether it is \
         behind: it needs answers of a quorum for that. `millrace query status` shows to whom it is connected; without \
         a quorum nothing is committed"
    )]
    CannotTellIfBehind {
        /// The validator's index in the load.
        lane: usize,
        /// Where it should answer.
        address: Address,
        /// Where it stands.
        height: Height,
        /// How long it was given.
        waited: Duration,
    },
    /// No connection is left.
    #[error("no validator could be reached any more before anything was measured; the last words: {0}")]
    AllLost(String),
    /// The observer wanted no more.
    #[error("stopped before anything was measured")]
    Cancelled,
    /// A query that the load depends on was not answered as expected.
    #[error("validator {lane} did not tell where account {account} of chain {chain} stands: {reason}")]
    Resume {
        /// The validator's index in the load.
        lane: usize,
        /// The chain.
        chain: ChainId,
        /// The account.
        account: u64,
        /// What was wrong.
        reason: String,
    },
    /// All clients of a lane have spent what they may.
    #[error("the clients of validator {lane} on chain {chain} have no money left for so many transfers")]
    Exhausted {
        /// The validator's index in the load.
        lane: usize,
        /// The chain.
        chain: ChainId,
    },
    /// The operating system refused a thread or a runtime.
    #[error("cannot start the load generator: {0}")]
    Start(#[from] std::io::Error),
}
