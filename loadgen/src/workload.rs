//! What the clients do: transfers between accounts drawn from a seed, or fingerprints that they register, or accounts
//! that they open; none of which should fail.
//!
//! ```text
//!   lane = validator index          account a sends only through lane a mod lanes, counted from the first of the share
//!   lane 0: 0 4 8 …                 nonces of an account: contiguous
//!   lane 1: 1 5 9 …                 debits of an account: together never more than it held at the start
//! ```
//!
//! An account keeps to one validator because its nonces have to arrive within one replay window of each
//! other, and two validators would not agree on what is still pending. The client's reference of every
//! transfer is its lane and its number in the lane, so that a transaction that is found on disk names
//! its submission, without a table.
//!
//! A fingerprint is the hash of chain, account and nonce. A nonce is used once, so a fingerprint is new, also in a
//! later run; and so is the seed of the keys of the accounts that a transaction opens.
//!
//! Invariants: the same seed and shape give the same transactions; for every account, the sum of the
//! generated debits is at most the balance it started with, so no order of execution can overdraw it.

use crate::plan::{LoadError, Share, Traffic};
use crate::pool::Sizes;
use engine::limits::PACKET_BYTES;
use engine::types::{
    AccountId, Attest, ChainId, ChainKind, Fingerprint, Height, Linked, NewAccounts, Transfer,
};
use kernels::sha2::sha256_parts;

/// The accounts of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainClients {
    /// The chain.
    pub chain: ChainId,
    /// What it does.
    pub kind: ChainKind,
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
    /// The accounts that pay.
    share: Share,
    /// So many transfers in a hundred pay an account of another chain.
    cross_percent: u64,
    /// Payments of each transaction.
    payments: u64,
    /// Accounts that each transaction opens; none where it does something else.
    opened: usize,
    /// What a lane's transactions are, again and again; each with the places of the chains that take it.
    round: Vec<(ChainKind, Vec<usize>)>,
    /// Bytes of data of each registration.
    data_bytes: usize,
}

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The place of its chain among the clients' chains.
    pub chain: usize,
    /// A transfer; or the fields that every transaction has.
    pub transfer: Transfer,
    /// What it is.
    pub does: Does,
}

/// What a transaction of the load does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// It pays one account.
    Pays,
    /// It pays these 1 each, linked.
    PaysAll(Vec<AccountId>),
    /// It registers a fingerprint with so many bytes of data.
    Attests(Fingerprint, usize),
    /// It opens so many accounts, whose keys follow from this seed.
    Opens([u8; 32], usize),
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
        let transfers: Vec<usize> = of_kind(&chains, ChainKind::Transfers);
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
            share: Share::ALL,
            cross_percent: 0,
            payments: 1,
            opened: 0,
            round: vec![(ChainKind::Transfers, transfers)],
            data_bytes: 0,
        })
    }

    /// The same, but of this traffic; a fingerprint is registered with so many bytes of data. Each chain that takes a
    /// part of it gets the same share.
    ///
    /// # Errors
    /// [`LoadError::Plan`]: no chain takes a part of it.
    pub fn of(self, traffic: Traffic, data_bytes: u16) -> Result<Workload, LoadError> {
        let takes_part = |kind: &ChainKind| traffic.kinds().contains(kind);
        let kinds: Vec<_> = self.chains.iter().map(|chain| chain.kind).filter(takes_part).collect();
        if let Some(kind) = traffic.kinds().iter().find(|kind| !kinds.contains(kind)) {
            return Err(LoadError::Plan(format!("there is no chain of the kind \"{}\"", kind.name())));
        }
        // One transaction for each chain, or for the chains after which their kinds begin again.
        let begins_again = |after: &usize| {
            kinds.len().is_multiple_of(*after) && kinds[*after..] == kinds[..kinds.len() - after]
        };
        let period = (1..kinds.len()).find(begins_again).unwrap_or(kinds.len());
        let round = kinds[..period].iter().map(|kind| (*kind, of_kind(&self.chains, *kind))).collect();
        Ok(Workload { round, data_bytes: data_bytes.into(), ..self })
    }

    /// The same, but only these accounts pay.
    ///
    /// # Errors
    /// [`LoadError::Plan`]: they are too few.
    pub fn sharing(self, share: Share) -> Result<Workload, LoadError> {
        let few = self.chains.iter().map(|chain| share.accounts(chain.accounts.len() as u64));
        if let Some(few) = few.map(|accounts| accounts.end - accounts.start).find(|few| *few < self.lanes) {
            let lanes = self.lanes;
            return Err(LoadError::Plan(format!(
                "a share of {few} accounts is too small for {lanes} validators: every validator needs a client"
            )));
        }
        Ok(Workload { share, ..self })
    }

    /// The same, but so many transfers in a hundred pay an account of another chain.
    ///
    /// # Panics
    /// There is no other chain.
    pub fn crossing(self, percent: u8) -> Workload {
        let takers = of_kind(&self.chains, ChainKind::Transfers).len();
        assert!(percent == 0 || takers > 1, "a transfer between chains takes two");
        Workload { cross_percent: percent.into(), ..self }
    }

    /// The same, but each transaction makes so many payments of 1, linked if there are several.
    pub fn linked(self, payments: u16) -> Workload {
        Workload { payments: payments.max(1).into(), ..self }
    }

    /// The same, but each transaction on a chain with money opens so many accounts.
    pub fn opening(self, accounts: u16) -> Workload {
        Workload { opened: accounts.into(), ..self }
    }

    /// Packets of a lane's transactions.
    pub fn sizes(&self) -> Sizes {
        let payload_packets = |kind: &ChainKind| match (kind, self.payments) {
            (ChainKind::Transfers, _) if self.opened > 0 => {
                NewAccounts::payload_bytes(self.opened).div_ceil(PACKET_BYTES)
            }
            // No traffic goes to administrators.
            (ChainKind::Transfers, 1) | (ChainKind::Governance, _) => 0,
            (ChainKind::Transfers, payments) => {
                Linked::payload_bytes(payments as usize, 0).div_ceil(PACKET_BYTES)
            }
            (ChainKind::Attestations, _) => {
                Attest::payload_bytes_of_one(self.data_bytes).div_ceil(PACKET_BYTES)
            }
        };
        let sizes: Vec<u64> = self.round.iter().map(|(kind, _)| 1 + payload_packets(kind) as u64).collect();
        Sizes::repeating(&sizes)
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.lanes as usize
    }

    /// What is next in a lane.
    pub fn next(&mut self, lane: usize) -> Result<Drawn, LoadError> {
        let number = self.next_in_lane[lane];
        let (kind, takers) = &self.round[(number % self.round.len() as u64) as usize];
        let (kind, takers) = (*kind, takers.clone());
        let chain_at = takers[self.dice.below(takers.len() as u64) as usize];
        let chain = &mut self.chains[chain_at];
        let total = chain.accounts.len() as u64;
        let payers = self.share.accounts(total);
        let first = payers.start + lane as u64;
        let lane_accounts = (payers.end - first).div_ceil(self.lanes);
        let mut pick = self.dice.below(lane_accounts);
        let pays = kind == ChainKind::Transfers && self.opened == 0;
        let least = if pays { self.payments } else { 0 };
        for _ in 0..lane_accounts {
            if chain.accounts[(first + pick * self.lanes) as usize].spendable >= least {
                break;
            }
            pick = (pick + 1) % lane_accounts;
        }
        let debit = first + pick * self.lanes;
        let account = &mut chain.accounts[debit as usize];
        if account.spendable < least {
            return Err(LoadError::Exhausted { lane, chain: chain.chain });
        }
        if !pays {
            let (chain, nonce, key_version) = (chain.chain, account.next_nonce, account.key_version);
            account.next_nonce += 1;
            self.next_in_lane[lane] += 1;
            let (debit, reference) = (AccountId(debit), reference(lane, number));
            let transfer = Transfer {
                chain,
                key_version,
                reference,
                debit,
                credit_chain: None,
                credit: debit,
                amount: 0,
                nonce,
                expiry: self.expiry,
            };
            let fresh = fingerprint(chain, debit, nonce);
            let does = match self.opened {
                0 => Does::Attests(fresh, self.data_bytes),
                accounts => Does::Opens(fresh.0, accounts),
            };
            return Ok(Drawn { chain: chain_at, transfer, does });
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
            let others: Vec<_> = takers.iter().filter(|at| **at != chain_at).collect();
            let other = &self.chains[*others[self.dice.below(others.len() as u64) as usize]];
            (Some(other.chain), self.dice.below(other.accounts.len() as u64))
        } else {
            (None, self.other(total, debit))
        };
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
        let does = match self.payments {
            1 => Does::Pays,
            payments => Does::PaysAll((0..payments).map(|_| AccountId(self.other(total, debit))).collect()),
        };
        Ok(Drawn { chain: chain_at, transfer, does })
    }

    /// One of so many accounts other than this one.
    fn other(&mut self, total: u64, than: u64) -> u64 {
        let other = self.dice.below(total - 1);
        if other >= than { other + 1 } else { other }
    }
}

/// The places of the chains of a kind.
fn of_kind(chains: &[ChainClients], kind: ChainKind) -> Vec<usize> {
    (0..chains.len()).filter(|at| chains[*at].kind == kind).collect()
}

/// What an account registers with a nonce.
fn fingerprint(chain: ChainId, account: AccountId, nonce: u64) -> Fingerprint {
    let parts: [&[u8]; 4] =
        [b"millrace/load", &chain.0.to_le_bytes(), &account.0.to_le_bytes(), &nonce.to_le_bytes()];
    Fingerprint(sha256_parts(&parts))
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

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seeded, and good enough to choose clients.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
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
