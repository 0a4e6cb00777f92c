//! From the mempools to own batches.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::availability::Event;
use engine::mempool::Pending;
use engine::receipts::NoticeBook;
use engine::types::{ChainId, Refusal};
use engine::verify::Verified;

use super::{Core, Own};
use crate::validator::counters::{Counters, Stage};

/// When sealing has to wait for earlier batches to be ordered, it is tried again after this long.
const SEAL_RETRY: Duration = Duration::from_millis(10);

impl Core {
    pub(super) fn mempool_filled(&mut self) {
        self.waiting_since.get_or_insert(self.wiring.clock.now());
    }

    pub(super) fn seal_deadline(&self) -> Option<Duration> {
        self.waiting_since.map(|since| since + self.wiring.work.batch_delay)
    }

    pub(super) fn seal_if_due(&mut self, now: Duration) {
        if self.seal_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        self.wiring.filled.store(false, Relaxed);
        self.waiting_since = None;
        let chains: Vec<ChainId> = self.wiring.mempools.keys().copied().collect();
        let left =
            chains.into_iter().map(|chain| self.seal_chain(chain)).fold(false, |left, more| left | more);
        if left {
            // Earlier batches must be ordered first: look again soon, without waiting for another arrival.
            self.wiring.filled.store(true, Relaxed);
            self.waiting_since = Some((now + SEAL_RETRY).saturating_sub(self.wiring.work.batch_delay));
        }
    }

    /// Seals what waits on a chain; `true` if something has to go on waiting.
    fn seal_chain(&mut self, chain: ChainId) -> bool {
        loop {
            let mempool = &self.wiring.mempools[&chain];
            if mempool.is_empty() {
                return false;
            }
            if !self.availability.may_seal(chain) {
                return true;
            }
            let (mut taken, mut expired) = (Vec::new(), Vec::new());
            mempool.take(self.committed, self.wiring.work.batch_transactions_max, &mut taken, &mut expired);
            self.tell_expired(&expired);
            if !taken.is_empty() {
                self.seal(chain, &taken);
            }
        }
    }

    fn seal(&mut self, chain: ChainId, taken: &[Pending]) {
        let id = self.availability.next_own(chain);
        let batch = Verified::seal(id, taken.iter().map(|pending| &pending.transaction));
        let sealed_us = self.wiring.clock.now_us();
        let counters = &self.wiring.counters;
        Counters::add(&counters.batches_sealed, 1);
        Counters::add(&counters.transactions_sealed, taken.len() as u64);
        for run in taken.chunk_by(|a, b| a.origin.verified_us == b.origin.verified_us) {
            let us = sealed_us.saturating_sub(run[0].origin.verified_us);
            counters.record(Stage::Mempool, us, run.len() as u64);
        }
        let origins = taken.iter().map(|pending| pending.origin).collect();
        self.own.insert(id, Own { origins, sealed_us, available_us: sealed_us });
        self.availability(Event::Sealed(batch));
    }

    fn tell_expired(&self, expired: &[Pending]) {
        if expired.is_empty() {
            return;
        }
        self.wiring.counters.refuse(Refusal::Expired.name(), expired.len() as u64);
        let mut notices = NoticeBook::new();
        let origins = expired.iter().map(|pending| pending.origin);
        notices.refused(origins.map(|origin| (origin.connection, origin.tag, Refusal::Expired)));
        for (connection, notices) in notices.drain() {
            self.wiring.clients.notify(connection, notices);
        }
    }
}
