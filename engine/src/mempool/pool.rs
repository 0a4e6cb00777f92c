//! Slots and queue together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

#[cfg(not(loom))]
use crossbeam::queue::ArrayQueue;

#[cfg(loom)]
use super::model_queue::ArrayQueue;
use super::slots::SenderSlots;
use crate::limits::ENVELOPE_PACKETS_MAX;
use crate::types::{ChainId, Height, PacketRun, Refusal, Transaction};
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
#[derive(Clone, Debug)]
pub struct Pending {
    /// The transaction.
    pub transaction: Verified<Transaction>,
    /// Who waits for it.
    pub origin: Origin,
    /// The height by whose accounts its signatures were judged.
    pub as_of: Height,
}

/// The mempool of one chain. Any number of verify threads offer; the core takes.
#[derive(Debug)]
pub struct Mempool {
    chain: ChainId,
    slots: SenderSlots,
    queue: ArrayQueue<Pending>,
    /// What was taken out and had no room in the batch: the next to be taken.
    next: Mutex<Option<Pending>>,
    /// Packets of payloads that wait, of all accounts and of each that has some.
    payload_packets: AtomicUsize,
    senders: Mutex<BTreeMap<usize, usize>>,
    closed: AtomicBool,
    paused: AtomicBool,
}

impl Mempool {
    /// A mempool for a chain that begins with this many accounts, of `capacity` transactions, and `sender_cap` for each
    /// debit account. Their payloads may have as many packets together as there may be transactions, and at least those
    /// of two of the largest envelopes; those of one account a quarter of that.
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
            next: Mutex::new(None),
            payload_packets: AtomicUsize::new(0),
            senders: Mutex::default(),
            closed: AtomicBool::new(false),
            paused: AtomicBool::new(false),
        }
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// Takes a transaction in that is verified by the accounts of a height.
    ///
    /// # Errors
    /// `DuplicatePending`, `SenderFull`, `Busy` or `Stopping`.
    ///
    /// # Panics
    /// The transaction is one of another chain.
    pub fn offer(
        &self,
        transaction: Verified<Transaction>,
        as_of: Height,
        origin: Origin,
    ) -> Result<(), Refusal> {
        assert_eq!(transaction.chain(), self.chain, "a transaction of another chain");
        if self.closed.load(Relaxed) {
            return Err(Refusal::Stopping);
        }
        if self.paused.load(Relaxed) {
            return Err(Refusal::Busy);
        }
        let (sender, nonce) = (self.index(transaction.run()), transaction.nonce());
        let payload_packets = transaction.payload_packets();
        self.slots.claim(sender, nonce)?;
        let offered = self.claim_payload(sender, payload_packets).and_then(|()| {
            self.queue.push(Pending { transaction, origin, as_of }).map_err(|_| {
                self.release_payload(sender, payload_packets);
                Refusal::Busy
            })
        });
        offered.inspect_err(|_| self.slots.release(sender, nonce))
    }

    /// Takes room for a payload. Only envelopes come here with more than nothing, so one lock is enough for them.
    fn claim_payload(&self, sender: usize, packets: usize) -> Result<(), Refusal> {
        if packets == 0 {
            return Ok(());
        }
        let room = self.capacity().max(2 * ENVELOPE_PACKETS_MAX);
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let of_sender = senders.get(&sender).copied().unwrap_or(0) + packets;
        if self.payload_packets.load(Relaxed) + packets > room {
            return Err(Refusal::Busy);
        }
        if of_sender > (room / 4).max(ENVELOPE_PACKETS_MAX) {
            return Err(Refusal::SenderFull);
        }
        senders.insert(sender, of_sender);
        self.payload_packets.fetch_add(packets, Relaxed);
        Ok(())
    }

    fn release_payload(&self, sender: usize, packets: usize) {
        if packets == 0 {
            return;
        }
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        self.payload_packets.fetch_sub(packets, Relaxed);
        match senders.get_mut(&sender) {
            Some(of_sender) if *of_sender > packets => *of_sender -= packets,
            _ => drop(senders.remove(&sender)),
        }
    }

    /// Takes out transactions until they have `part` packets, oldest first; the last may exceed that, but all together
    /// never have more than `most`. Those that come first and can no longer execute above `committed` go to `expired`,
    /// also where nothing is to be taken, and their slots are given back. Says how many packets were taken.
    pub fn take(
        &self,
        committed: Height,
        (part, most): (usize, usize),
        taken: &mut Vec<Pending>,
        expired: &mut Vec<Pending>,
    ) -> usize {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut packets = 0;
        while let Some(pending) = next.take().or_else(|| self.queue.pop()) {
            let run = pending.transaction.run();
            if pending.transaction.expiry() <= committed {
                self.release(std::iter::once(run));
                self.release_payload(self.index(run), run.payload_packets());
                expired.push(pending);
            } else if packets >= part || packets + run.packets().len() > most {
                *next = Some(pending);
                break;
            } else {
                packets += run.packets().len();
                self.release_payload(self.index(run), run.payload_packets());
                taken.push(pending);
            }
        }
        packets
    }

    /// Gives slots back: of transactions that were taken out and are now in a committed block, or given up.
    pub fn release<'a>(&self, transactions: impl Iterator<Item = PacketRun<'a>>) {
        for run in transactions {
            self.slots.release(self.index(run), run.nonce());
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

    /// How many packets wait; out of date as soon as other threads offer.
    pub fn packets(&self) -> usize {
        self.len() + self.payload_packets.load(Relaxed)
    }

    /// How many transactions wait; out of date as soon as other threads offer.
    pub fn len(&self) -> usize {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.len() + usize::from(next.is_some())
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no more can wait; out of date as soon as others take.
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// How many can wait.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// The slots of the debit accounts.
    pub fn slots(&self) -> &SenderSlots {
        &self.slots
    }

    fn index(&self, run: PacketRun<'_>) -> usize {
        usize::try_from(run.debit().0).expect("a verified transaction has a sender that exists")
    }
}
