//! Whether accounts get other keys only as they asked for, and no sooner than their lock windows end; and whether what
//! applies was signed under the key of the time.
//!
//! Nothing here asks the definition of execution, so a mistake that it shares with the executor is seen.

use std::collections::BTreeMap;

use engine::types::{
    AccountId, Action, ChainId, ChainTime, Command, Content, FIRST_KEY_VERSION, LockWindows, Transaction,
};

type Key = [u8; 32];

/// What is known of the keys of an account.
#[derive(Debug, Default)]
struct Account {
    /// How often it has got another key.
    replaced: u32,
    /// What its own key has asked for, and since when it may have it.
    asked: Option<(Key, u64)>,
    /// What others have asked for, and since when it may have each.
    recoveries: BTreeMap<Key, u64>,
}

/// What transactions that were applied have asked for.
#[derive(Debug)]
pub(crate) struct Keys {
    windows: LockWindows,
    accounts: BTreeMap<(ChainId, AccountId), Account>,
    /// How many accounts have got another key, and how many of them from others.
    pub(crate) replaced: (usize, usize),
    /// How many transactions were applied under a later key than an account's first one.
    pub(crate) anew: usize,
    /// How many stand in blocks under a key that was replaced before.
    pub(crate) late: usize,
}

impl Keys {
    pub(crate) fn new(windows: LockWindows) -> Self {
        Self { windows, accounts: BTreeMap::new(), replaced: (0, 0), anew: 0, late: 0 }
    }

    /// An account has got another key.
    ///
    /// # Errors
    /// Nobody has asked for that, or it is too soon.
    pub(crate) fn given(
        &mut self,
        (chain, account): (ChainId, AccountId),
        key: &Key,
        at: ChainTime,
    ) -> Result<(), String> {
        let of = self.accounts.entry((chain, account)).or_default();
        let asked = of.asked.filter(|(asked, _)| asked == key).map(|(_, due)| due);
        let recovered = of.recoveries.get(key).copied();
        of.replaced += 1;
        (of.asked, of.recoveries) = (None, BTreeMap::new());
        let is_due = |due: Option<u64>| due.is_some_and(|due| due <= at.time_ms);
        if is_due(asked) || is_due(recovered) {
            self.replaced.0 += 1;
            self.replaced.1 += usize::from(!is_due(asked));
            return Ok(());
        }
        let due = asked.or(recovered);
        Err(format!(
            "account {account} of chain {chain} gets another key at height {}, due: {due:?}",
            at.height
        ))
    }

    /// A transaction of the block has failed, because it is signed under another key than the account's.
    pub(crate) fn refused(&mut self, transaction: &Transaction) {
        let of = self.accounts.get(&(transaction.chain(), transaction.debit()));
        let present = FIRST_KEY_VERSION + of.map_or(0, |of| of.replaced);
        self.late += usize::from(transaction.key_version() < present);
    }

    /// A transaction of the block was applied.
    ///
    /// # Errors
    /// It was signed under another key than the account's.
    pub(crate) fn applied(&mut self, transaction: &Transaction, at: ChainTime) -> Result<(), String> {
        let (chain, signer) = (transaction.chain(), transaction.debit());
        let of = self.accounts.entry((chain, signer)).or_default();
        let (present, under) = (FIRST_KEY_VERSION + of.replaced, transaction.key_version());
        match transaction.run().content() {
            Ok(Content::Rekey(rekey)) => {
                of.asked = Some((*rekey.key, at.after(self.windows.rekey_seconds)));
            }
            // Of a recovery that is cancelled nothing is left: another one needs another word.
            Ok(Content::Command(Command { action: Action::Cancel { .. }, .. })) => {
                (of.asked, of.recoveries) = (None, BTreeMap::new());
            }
            Ok(Content::Recover(recover)) => {
                let due = at.after(self.windows.recovery_seconds);
                let of = self.accounts.entry((chain, recover.account)).or_default();
                of.recoveries.entry(*recover.key).or_insert(due);
            }
            _ => {}
        }
        self.anew += usize::from(under > FIRST_KEY_VERSION);
        if under == present {
            return Ok(());
        }
        Err(format!("account {signer} of chain {chain} signs under key {under}, and has key {present}"))
    }
}
