//! What executing a block changed on a chain.

use super::{DELIVERY_BYTES, Delivery, ReplayWindow, RowChange};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::{
    AccountFlags, AccountId, ChainId, Charter, Digest, Effect, Height, Issuance, Members, Outcome,
    chain_of_key,
};
use crate::wire::Writer;

/// The part of an account that execution changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balance {
    /// What it holds.
    pub balance: u64,
    /// The nonces that it has spent.
    pub window: ReplayWindow,
    /// Which ways it is closed to money.
    pub flags: AccountFlags,
    /// The version of its key.
    pub key_version: u32,
}

/// One account, before and after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Change {
    /// The account.
    pub account: AccountId,
    /// Before the block.
    pub before: Balance,
    /// After it; never the same as before.
    pub after: Balance,
}

/// What a chain made of one delivery. What could not be credited goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// What was delivered.
    pub delivery: Delivery,
    /// Applied, or why not.
    pub outcome: Outcome,
}

/// The outcome of every transaction of a block on one chain, what came from and went to other chains, what was issued
/// and burned, which accounts were opened, and every account and row that is different after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    chain: ChainId,
    height: Height,
    outcomes: Vec<Outcome>,
    inbox: Vec<Delivered>,
    outbox: Vec<Delivery>,
    issuance: Issuance,
    opened: Vec<[u8; PUBLIC_KEY_BYTES]>,
    keys: Vec<(AccountId, [u8; PUBLIC_KEY_BYTES])>,
    effects: Vec<Effect>,
    rows: Vec<RowChange>,
    members: Option<Members>,
    changes: Vec<Change>,
}

/// What a block has done with a chain beside its accounts that are different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub outcomes: Vec<Outcome>,
    pub inbox: Vec<Delivered>,
    pub outbox: Vec<Delivery>,
    pub issuance: Issuance,
    /// What is set aside in open reservations, before and after the block.
    pub reserved: (u64, u64),
    pub opened: Vec<[u8; PUBLIC_KEY_BYTES]>,
    pub keys: Vec<(AccountId, [u8; PUBLIC_KEY_BYTES])>,
    pub effects: Vec<Effect>,
    pub rows: Vec<RowChange>,
    /// The members that it has decided, with the epoch that will be theirs.
    pub members: Option<Members>,
}

impl Delta {
    /// Asserts what makes a delta one: changes ascend, change something, and conserve: what the accounts held, what was
    /// set aside, what came in and what was issued is what they hold, what is set aside, what goes out and what was
    /// burned.
    pub(super) fn new((chain, height): (ChainId, Height), done: Done, changes: Vec<Change>) -> Self {
        let Done { outcomes, inbox, outbox, issuance, reserved, opened, keys, effects, rows, members } = done;
        assert!(changes.is_sorted_by(|a, b| a.account < b.account), "changes ascend by account");
        let sum =
            |side: fn(&Change) -> u64| changes.iter().map(|change| u128::from(side(change))).sum::<u128>();
        let before = sum(|change| change.before.balance) + amounts(inbox.iter().map(|came| &came.delivery));
        let after = sum(|change| change.after.balance) + amounts(&outbox);
        let (before, after) = (before + u128::from(reserved.0), after + u128::from(reserved.1));
        let (before, after) = (before + u128::from(issuance.issued), after + u128::from(issuance.burned));
        assert_eq!(before, after, "block {height} on chain {chain} made or destroyed money");
        Self {
            chain,
            height,
            outcomes,
            inbox,
            outbox,
            issuance,
            opened,
            keys,
            effects,
            rows,
            members,
            changes,
        }
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// The block.
    pub fn height(&self) -> Height {
        self.height
    }

    /// One outcome for each transaction, in the order of the block.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// What came from other chains, in the order of execution, before the transactions.
    pub fn inbox(&self) -> &[Delivered] {
        &self.inbox
    }

    /// What goes to other chains, in the order of execution.
    pub fn outbox(&self) -> &[Delivery] {
        &self.outbox
    }

    /// The accounts that the block has given another key, with it, in the order of execution.
    pub fn keys(&self) -> &[(AccountId, [u8; PUBLIC_KEY_BYTES])] {
        &self.keys
    }

    /// What has taken effect by itself, before anything else of the block.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// What the block has issued and burned.
    pub fn issuance(&self) -> Issuance {
        self.issuance
    }

    /// The keys of the accounts that the block has opened, in the order of their ids, which follow the others.
    pub fn opened(&self) -> &[[u8; PUBLIC_KEY_BYTES]] {
        &self.opened
    }

    /// The places of the chain's table that are different or new, ascending.
    pub fn rows(&self) -> &[RowChange] {
        &self.rows
    }

    /// What the block has decided about chains: what each is to be, and from which height on. Only the chain that
    /// decides has such rows.
    pub fn decided(&self) -> impl Iterator<Item = (ChainId, Charter)> {
        let rows = self.rows.iter().filter_map(|change| change.after.as_ref());
        rows.filter_map(|row| {
            let chain = chain_of_key(row.key())?;
            Some((chain, Charter::decode(row.value()).expect("the ledger's own rows are what they say")))
        })
    }

    /// The members that the block has decided, with the epoch that will be theirs. Their rows are among the
    /// [rows](Self::rows), as far as they are different.
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// The accounts that are different, ascending; of one that the block has opened, from an empty one on.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// SHA-256 of the encoding: chain, height, outcomes, each changed account as it is afterwards, inbox, outbox,
    /// issued and burned, the keys of opened accounts, what took effect by itself, the rows that are different. The
    /// state root covers the same facts; this is for a journal or a comparison that has no tree.
    pub fn digest(&self) -> Digest {
        // The place and the length of a row have 8 bytes.
        let rows: usize = self.rows.iter().map(|row| 8 + row.leaf().len()).sum();
        let crossings = (self.inbox.len() + self.outbox.len()) * (DELIVERY_BYTES + 1);
        let accounts = self.changes.len() * 40 + self.opened.len() * PUBLIC_KEY_BYTES + self.keys.len() * 40;
        let mut writer = Writer::with_capacity(64 + self.outcomes.len() + accounts + crossings + rows);
        writer.u32(self.chain.0).u64(self.height.0).count(self.outcomes.len());
        for outcome in &self.outcomes {
            writer.u8(outcome.code());
        }
        writer.count(self.changes.len());
        for Change { account, after, .. } in &self.changes {
            writer.u64(account.0).u64(after.balance).u64(after.window.base).u64(after.window.used);
            writer.u32(after.flags.bits()).u32(after.key_version);
        }
        writer.count(self.inbox.len());
        for Delivered { delivery, outcome } in &self.inbox {
            writer.raw(&delivery.leaf()).u8(outcome.code());
        }
        writer.count(self.outbox.len());
        for delivery in &self.outbox {
            writer.raw(&delivery.leaf());
        }
        writer.u64(self.issuance.issued).u64(self.issuance.burned);
        writer.count(self.opened.len());
        for key in &self.opened {
            writer.raw(key);
        }
        writer.count(self.keys.len());
        for (account, key) in &self.keys {
            writer.u64(account.0).raw(key);
        }
        let mut effects = Vec::new();
        self.effects.iter().for_each(|effect| effect.write(&mut effects));
        writer.count(self.effects.len()).raw(&effects);
        writer.count(self.rows.len());
        for row in &self.rows {
            writer.u32(row.place).blob(row.leaf());
        }
        Digest(kernels::sha2::sha256(&writer.finish()))
    }
}

/// The sum of what is delivered.
fn amounts<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> u128 {
    deliveries.into_iter().map(|delivery| u128::from(delivery.crossing.amount)).sum()
}
