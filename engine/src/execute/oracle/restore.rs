//! The definition of a chain from its accounts and rows, as a checkpoint has them, instead of from the genesis.
//!
//! ```text
//! account   key, version, balance, flags; of the window the lowest nonce, and the used ones from there on
//! row  1    the record of an account, and whether it is changing                 changes
//!      2    a key that an account had                                            changes
//!      3    the clock of lock windows                                            changes
//!      4, 5 the chains as they are decided, who decides                          governance
//!      6    what the chain is; without this row, what the genesis says           governance
//!      7    a reservation                                                        transfers
//!      8, 9 a member, and all of them                                            governance
//!      other keys   an attestation; or a proposal, and what waits for its height attestations, governance
//! entry     issued, burned
//! ```
//!
//! Who writes a row reads it, and a row counts only if what was read would be written with the same bytes. Beside that
//! it is checked what execution relies upon: that accounts exist which rows name, and that heights and times are not
//! ahead. So nothing that is read here can make it panic.
//!
//! Nonces below a window are forgotten. They are below the lowest one, and refused for that.

use std::collections::{BTreeMap, BTreeSet};

use super::{Account, Oracle, PlainTable};
use crate::chains::changes::{PlainRecord, restore_clock, restore_keys, restore_old_key, restore_record};
use crate::chains::governance::{PlainChain, PlainGovernance, restore_decisions};
use crate::chains::{Rules, of_kind};
use crate::execute::AccountState;
use crate::types::{AccountId, ChainGenesis, ChainId, ChainKind, FirstMembers, Height, Issuance};

/// What cannot be read of the accounts and rows of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// An account.
    #[error("account {0} {1}")]
    Account(AccountId, &'static str),
    /// The row at a place of the table.
    #[error("the row at place {0} {1}")]
    Row(usize, &'static str),
    /// What the chain is, or what was decided on it: what several rows say together.
    #[error("{0}")]
    Rows(&'static str),
}

/// What is wrong with an account or a row, as the end of a sentence: *the row at place 7 …*.
pub(crate) type Fault = &'static str;

/// A row of another kind of chains, or of none.
pub(crate) const UNKNOWN_ROW: Fault = "has a key that chains of this kind do not use";

/// What a row is about, as its key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// One of the ledger's own. 16 zeros | which (1) | 3 zeros | a small number (4) | a number (8); big-endian.
    Own(u8, u32, u64),
    /// What the key names: a fingerprint, or a proposal.
    Named([u8; 32]),
}

impl About {
    fn of(key: &[u8; 32]) -> Option<Self> {
        if key[..16] != [0; 16] {
            return Some(Self::Named(*key));
        }
        let (small, number) = (key[20..24].try_into().ok()?, key[24..].try_into().ok()?);
        let own = Self::Own(key[16], u32::from_be_bytes(small), u64::from_be_bytes(number));
        (key[17..20] == [0; 3]).then_some(own)
    }
}

impl Oracle {
    /// The chain as it was after a height, with the sums that it had issued and burned by then. `chains` are those of
    /// the genesis, and `first` are its members where they are not fixed; of [others](Self::others) it knows none yet.
    ///
    /// # Errors
    /// [`Unreadable`]: the first account or row that cannot be.
    pub(crate) fn restore(
        (chain, chains, first): (ChainId, &[ChainGenesis], Option<FirstMembers>),
        (height, issuance): (Height, Issuance),
        accounts: &[AccountState],
        rows: &[Option<&[u8]>],
    ) -> Result<Self, Unreadable> {
        let table = PlainTable::restore(rows).map_err(|(place, wrong)| Unreadable::Row(place, wrong))?;
        let genesis = chains.iter().find(|of| of.id == chain);
        let is = PlainChain::in_effect(genesis, &table).map_err(Unreadable::Rows)?;
        let kind = is.kind();
        let governance = genesis.filter(|_| kind == ChainKind::Governance);
        let account = |(id, of): (u64, &AccountState)| {
            Account::restored(of).map_err(|wrong| Unreadable::Account(AccountId(id), wrong))
        };
        let mut oracle = Self {
            governance: governance.map(|own| PlainGovernance::genesis(own, chains, first)),
            accounts: (0..).zip(accounts).map(account).collect::<Result<_, _>>()?,
            issued: u128::from(issuance.issued),
            burned: u128::from(issuance.burned),
            table,
            ..Self::empty(chain, kind, is, BTreeMap::new())
        };
        // The first row has no value: it is there for the order of keys.
        for (place, row) in rows.iter().enumerate().skip(1) {
            let Some((key, value)) = row.and_then(|row| Some((row.first_chunk()?, row.get(64..)?))) else {
                continue;
            };
            oracle.read(height, key, value).map_err(|wrong| Unreadable::Row(place, wrong))?;
        }
        restore_keys(&mut oracle, height).map_err(|(id, wrong)| Unreadable::Account(id, wrong))?;
        restore_decisions(&mut oracle, height).map_err(Unreadable::Rows)?;
        Ok(oracle)
    }

    /// Reads one row.
    fn read(&mut self, height: Height, key: &[u8; 32], value: &[u8]) -> Result<(), Fault> {
        match About::of(key).ok_or(UNKNOWN_ROW)? {
            About::Own(1, 0, account) => restore_record(self, height, account, value),
            About::Own(2, version, account) => restore_old_key(self, version, account, value),
            About::Own(3, 0, 0) => restore_clock(self, value),
            // It is read before all others.
            About::Own(6, 0, 0) => Ok(()),
            about => of_kind!(self.kind, Kind => Kind::restore_plainly(self, &about, value)),
        }
    }

    /// An account that a row names.
    pub(crate) fn named(&mut self, account: u64) -> Result<&mut Account, Fault> {
        let at = usize::try_from(account).ok();
        at.and_then(|at| self.accounts.get_mut(at)).ok_or("names an account that does not exist")
    }
}

impl Account {
    /// An account as its leaf has it. What rows say of it comes later.
    fn restored(state: &AccountState) -> Result<Self, Fault> {
        let (base, used) = (state.window.base, state.window.used);
        let slots = (0..64).filter(|slot| used >> slot & 1 == 1);
        let nonces: Option<BTreeSet<u64>> = slots.map(|slot| base.checked_add(slot)).collect();
        let flags = state.flags.bits();
        if flags > 15 {
            return Err("has flags that mean nothing");
        }
        if state.key_version == 0 {
            return Err("has a key of version 0");
        }
        Ok(Self {
            key: state.key,
            former_keys: Vec::new(),
            key_version: state.key_version,
            balance: u128::from(state.balance),
            used_nonces: nonces.ok_or("has used nonces above 64 bits")?,
            lowest_nonce: u128::from(base),
            debit_frozen: flags & 1 != 0,
            credit_frozen: flags & 2 != 0,
            closing: flags & 4 != 0,
            closed: flags & 8 != 0,
            record: PlainRecord::default(),
        })
    }
}
