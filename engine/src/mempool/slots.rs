//! Which transactions of each debit account are pending: 64 bits for each account.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::execute::segments::Segments;
use crate::types::Refusal;

/// One bit for each (account, nonce mod 64). Accounts that are opened later get their bits when they first send. Nonces
/// that share a slot are 64 apart, and the replay window is 64 wide, so they are only ever pending together when a
/// client runs ahead of what is committed.
#[derive(Debug)]
pub struct SenderSlots {
    words: Box<[AtomicU64]>,
    opened: Segments<AtomicU64>,
    cap: AtomicU32,
}

impl SenderSlots {
    /// Slots for accounts `0..accounts` and those that are opened later, of which each may hold up to `cap`.
    ///
    /// # Panics
    /// `cap` is not in `1..=64`.
    pub fn new(accounts: usize, cap: u32) -> Self {
        assert!((1..=64).contains(&cap), "a cap of {cap}");
        let words = (0..accounts).map(|_| AtomicU64::new(0)).collect();
        Self { words, opened: Segments::new(), cap: AtomicU32::new(cap) }
    }

    /// Another cap from now on. Who holds more keeps what it holds.
    ///
    /// # Panics
    /// `cap` is not in `1..=64`.
    pub fn set_cap(&self, cap: u32) {
        assert!((1..=64).contains(&cap), "a cap of {cap}");
        self.cap.store(cap, Relaxed);
    }

    /// Takes the slot of a nonce.
    ///
    /// # Errors
    /// `DuplicatePending`: it is taken. `SenderFull`: the account holds as many as it may.
    #[inline]
    pub fn claim(&self, account: usize, nonce: u64) -> Result<(), Refusal> {
        let (word, bit) = (self.word(account), 1 << (nonce % 64));
        let cap = self.cap.load(Relaxed);
        let mut seen = word.load(Relaxed);
        loop {
            if seen == u64::MAX {
                return Err(Refusal::SenderFull);
            }
            if seen & bit != 0 {
                return Err(Refusal::DuplicatePending);
            }
            if seen.count_ones() >= cap {
                return Err(Refusal::SenderFull);
            }
            // Relaxed: the bit guards nothing but itself; the transaction travels through the queue.
            match word.compare_exchange_weak(seen, seen | bit, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Gives the slot of a nonce back.
    #[inline]
    pub fn release(&self, account: usize, nonce: u64) {
        self.word(account).fetch_and(!(1 << (nonce % 64)), Relaxed);
    }

    /// How many slots a sender holds.
    pub fn pending(&self, account: usize) -> u32 {
        self.word(account).load(Relaxed).count_ones()
    }

    #[inline]
    fn word(&self, account: usize) -> &AtomicU64 {
        self.words.get(account).unwrap_or_else(|| self.opened.make(account - self.words.len()))
    }
}
