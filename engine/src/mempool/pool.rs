//! Slots and queue together.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[cfg(not(loom))]
use crossbeam::queue::ArrayQueue;

#[cfg(loom)]
use super::model_queue::ArrayQueue;
use super::slots::SenderSlots;
use crate::types::{ChainId, Height, Packet, Refusal, Transaction};
use crate::verify::Verified;

/// Where a transaction came from, so that its sender can be told what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// The client's connection.
    pub connection: u64,
    /// The client's tag.
    pub tag: u64,
    /// When it arrived, on the validator's own clock.
    pub received_us: u64,
    /// When it was verified.
    pub verified_us: u64,
}

/// A transaction that waits.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// The transaction.
    pub transaction: Verified<Transaction>,
    /// Who waits for it.
    pub origin: Origin,
}

/// The mempool of one chain. Any number of verify threads offer; the core takes.
#[derive(Debug)]
pub struct Mempool {
    chain: ChainId,
    slots: SenderSlots,
    queue: ArrayQueue<Pending>,
    closed: AtomicBool,
    paused: AtomicBool,
}

impl Mempool {
    /// A mempool for a chain with this many accounts, of `capacity` transactions, and `sender_cap` for each debit
    /// account.
    ///
    /// # Panics
    /// `sender_cap` is not in `1..=64`, or `capacity` is 0.
    pub fn new(chain: ChainId, accounts: u64, capacity: usize, sender_cap: u32) -> Self {
        let accounts = usize::try_from(accounts).expect("accounts of a chain fit into memory");
        let slots = SenderSlots::new(accounts, sender_cap);
        Self {
            chain,
            slots,
            queue: ArrayQueue::new(capacity),
            closed: AtomicBool::new(false),
            paused: AtomicBool::new(false),
        }
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// Takes a transaction in.
    ///
    /// # Errors
    /// `DuplicatePending`, `SenderFull`, `Busy` or `Stopping`.
    ///
    /// # Panics
    /// The transaction is one of another chain.
    pub fn offer(&self, transaction: Verified<Transaction>, origin: Origin) -> Result<(), Refusal> {
        assert_eq!(transaction.chain(), self.chain, "a transaction of another chain");
        if self.closed.load(Relaxed) {
            return Err(Refusal::Stopping);
        }
        if self.paused.load(Relaxed) {
            return Err(Refusal::Busy);
        }
        let (sender, nonce) = (self.index(&transaction), transaction.nonce());
        self.slots.claim(sender, nonce)?;
        self.queue.push(Pending { transaction, origin }).map_err(|_| {
            self.slots.release(sender, nonce);
            Refusal::Busy
        })
    }

    /// Takes out up to `max` transactions, oldest first. Those that can no longer execute above `committed` go to
    /// `expired`, and their slots are given back.
    pub fn take(&self, committed: Height, max: usize, taken: &mut Vec<Pending>, expired: &mut Vec<Pending>) {
        let end = taken.len() + max;
        while taken.len() < end
            && let Some(pending) = self.queue.pop()
        {
            if pending.transaction.expiry() <= committed {
                self.release([pending.transaction.packet()].into_iter());
                expired.push(pending);
            } else {
                taken.push(pending);
            }
        }
    }

    /// Gives slots back: of transactions that were taken out and are now in a committed block, or given up.
    pub fn release<'a>(&self, packets: impl Iterator<Item = &'a Packet>) {
        for packet in packets {
            self.slots.release(self.index(packet), packet.nonce());
        }
    }

    /// Answers *Busy* to everything until [`Self::resume`]: nothing can be sealed now.
    pub fn pause(&self) {
        self.paused.store(true, Relaxed);
    }

    /// Takes transactions again.
    pub fn resume(&self) {
        self.paused.store(false, Relaxed);
    }

    /// Refuses everything from now on. What waits can still be taken.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// How many transactions wait; out of date as soon as other threads offer.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many can wait.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// The slots of the debit accounts.
    pub fn slots(&self) -> &SenderSlots {
        &self.slots
    }

    fn index(&self, packet: &Packet) -> usize {
        let account = packet.debit().0;
        assert!(account < self.slots.accounts() as u64, "a verified transaction has a sender that exists");
        account as usize
    }
}
