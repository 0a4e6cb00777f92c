//! What the clients do: transfers between accounts drawn from a seed, none of which should fail.
//!
//! ```text
//!   lane = validator index          account a sends only through lane a mod lanes
//!   lane 0: 0 4 8 …                 nonces of an account: contiguous
//!   lane 1: 1 5 9 …                 debits of an account: together never more than it held at the start
//! ```
//!
//! An account keeps to one validator because its nonces have to arrive within one replay window of each
//! other, and two validators would not agree on what is still pending. The client's reference of every
//! transfer is its lane and its number in the lane, so that a transaction that is found on disk names
//! its submission, without a table.
//!
//! Invariants: the same seed and shape give the same transfers; for every account, the sum of the
//! generated debits is at most the balance it started with, so no order of execution can overdraw it.

use crate::plan::LoadError;
use engine::limits::PACKET_BYTES;
use engine::types::{AccountId, ChainId, Height, Linked, Transfer};

/// The accounts of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainClients {
    /// The chain.
    pub chain: ChainId,
    /// What is known of each account, dense by account id.
    pub accounts: Vec<ClientAccount>,
}

/// Where an account stands before the load begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAccount {
    /// The nonce of its next transfer.
    pub next_nonce: u64,
    /// How much it may still spend.
    pub spendable: u64,
    /// The version of its key.
    pub key_version: u32,
}

/// Largest amount of one transfer.
const AMOUNT_MAX: u64 = 100;

/// Draws transfers for each lane.
#[derive(Debug, Clone)]
pub struct Workload {
    chains: Vec<ChainClients>,
    lanes: u64,
    next_in_lane: Vec<u64>,
    dice: Dice,
    expiry: Height,
    /// So many transfers in a hundred pay an account of another chain.
    cross_percent: u64,
    /// Payments of each transaction.
    payments: u64,
}

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The place of its chain among the clients' chains.
    pub chain: usize,
    /// A transfer; or, with payees, who pays, and how much in all.
    pub transfer: Transfer,
    /// Who is paid 1 each by linked transfers; none of a transfer.
    pub payees: Vec<AccountId>,
}

impl Workload {
    /// A workload over these clients for `lanes` validators; its transfers expire at `expiry`.
    pub fn new(
        chains: Vec<ChainClients>,
        lanes: usize,
        seed: u64,
        expiry: Height,
    ) -> Result<Workload, LoadError> {
        if lanes == 0 || chains.is_empty() {
            return Err(LoadError::Plan("a load needs at least one endpoint and one chain".into()));
        }
        let fewest = chains.iter().map(|c| c.accounts.len()).min().unwrap_or(0);
        if fewest < lanes.max(2) {
            return Err(LoadError::Plan(format!(
                "{fewest} accounts are too few for {lanes} validators: every validator needs a client, \
                 and a transfer needs two"
            )));
        }
        let lanes = lanes as u64;
        let next_in_lane = vec![0; lanes as usize];
        Ok(Workload {
            chains,
            lanes,
            next_in_lane,
            dice: Dice::new(seed),
            expiry,
            cross_percent: 0,
            payments: 1,
        })
    }

    /// The same, but so many transfers in a hundred pay an account of another chain.
    ///
    /// # Panics
    /// There is no other chain.
    pub fn crossing(self, percent: u8) -> Workload {
        assert!(percent == 0 || self.chains.len() > 1, "a transfer between chains takes two");
        Workload { cross_percent: percent.into(), ..self }
    }

    /// The same, but each transaction makes so many payments of 1, linked if there are several.
    pub fn linked(self, payments: u16) -> Workload {
        Workload { payments: payments.max(1).into(), ..self }
    }

    /// Packets of each transaction.
    pub fn packets(&self) -> usize {
        match self.payments {
            1 => 1,
            payments => 1 + Linked::payload_bytes(payments as usize, 0).div_ceil(PACKET_BYTES),
        }
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.lanes as usize
    }

    /// What is next in a lane.
    pub fn next(&mut self, lane: usize) -> Result<Drawn, LoadError> {
        let chain_at = self.dice.below(self.chains.len() as u64) as usize;
        let chain = &mut self.chains[chain_at];
        let total = chain.accounts.len() as u64;
        let lane_accounts = (total - lane as u64).div_ceil(self.lanes);
        let mut pick = self.dice.below(lane_accounts);
        for _ in 0..lane_accounts {
            if chain.accounts[(lane as u64 + pick * self.lanes) as usize].spendable >= self.payments {
                break;
            }
            pick = (pick + 1) % lane_accounts;
        }
        let debit = lane as u64 + pick * self.lanes;
        let account = &mut chain.accounts[debit as usize];
        if account.spendable < self.payments {
            return Err(LoadError::Exhausted { lane, chain: chain.chain });
        }
        let amount = match self.payments {
            1 => (1 + self.dice.below(AMOUNT_MAX)).min(account.spendable),
            payments => payments,
        };
        let nonce = account.next_nonce;
        account.spendable -= amount;
        account.next_nonce += 1;
        let (from, key_version) = (chain.chain, account.key_version);
        let (credit_chain, credit) = if self.cross_percent > 0 && self.dice.below(100) < self.cross_percent {
            let other = self.dice.below(self.chains.len() as u64 - 1) as usize;
            let other = &self.chains[if other >= chain_at { other + 1 } else { other }];
            (Some(other.chain), self.dice.below(other.accounts.len() as u64))
        } else {
            (None, self.other(total, debit))
        };
        let number = self.next_in_lane[lane];
        self.next_in_lane[lane] += 1;
        let transfer = Transfer {
            chain: from,
            key_version,
            reference: reference(lane, number),
            debit: AccountId(debit),
            credit_chain,
            credit: AccountId(credit),
            amount,
            nonce,
            expiry: self.expiry,
        };
        let payees = match self.payments {
            1 => Vec::new(),
            payments => (0..payments).map(|_| AccountId(self.other(total, debit))).collect(),
        };
        Ok(Drawn { chain: chain_at, transfer, payees })
    }

    /// One of so many accounts other than this one.
    fn other(&mut self, total: u64, than: u64) -> u64 {
        let other = self.dice.below(total - 1);
        if other >= than { other + 1 } else { other }
    }
}

/// The client's reference of transfer `number` of `lane`.
pub fn reference(lane: usize, number: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&(lane as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The lane and number that a reference names: the inverse of [`reference`].
pub fn parse_reference(bytes: &[u8; 12]) -> (usize, u64) {
    let (lane, number) = bytes.split_at(4);
    let lane = u32::from_le_bytes(lane.try_into().expect("four of twelve bytes"));
    let number = u64::from_le_bytes(number.try_into().expect("eight of twelve bytes"));
    (lane as usize, number)
}

/// SplitMix64: small, seeded, and good enough to choose clients.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`, by multiplication: the bias is below 2^-32 for the bounds in use here.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
