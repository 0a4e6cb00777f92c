//! A verify thread: rounds of signatures, of customers and peers together.
//!
//! ```text
//!   ingress ─▶ round of at most 4,096 ─▶ engine::verify ─┬─ customers' ─▶ mempool, or a refusal to the customer
//!                                                        └─ peers' batches ─▶ core
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crossbeam::channel::Sender;
use engine::ingress::{Intake, PeerBatch, Round, Submission};
use engine::limits::BATCH_TRANSACTIONS_MAX;
use engine::mempool::{Mempool, Origin};
use engine::receipts::NoticeBook;
use engine::types::{ChainId, Height, Refusal};
use engine::verify::{Checked, CheckedPackets, Job, Verifier};
use engine::wire::Batch;

use super::clients::Clients;
use super::clock::Clock;
use super::counters::{Counters, Stage};
use super::events::CoreEvent;
use super::fatal::fatal;

/// How long a verifier sleeps before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a verify thread works with.
#[derive(Clone)]
pub struct VerifyThread {
    /// What is to be checked.
    pub intake: Intake,
    /// Time.
    pub clock: Clock,
    /// One for each chain.
    pub mempools: Arc<BTreeMap<ChainId, Mempool>>,
    /// Set while the core knows that the mempools hold something.
    pub filled: Arc<AtomicBool>,
    /// Who is to be told of refusals.
    pub clients: Arc<Clients>,
    /// To the core.
    pub core: Sender<CoreEvent>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl VerifyThread {
    /// Works until the network is gone.
    pub fn run(self, mut verifier: Verifier) {
        while let Some(round) = self.intake.take(BATCH_TRANSACTIONS_MAX, PATIENCE) {
            if !round.is_empty() {
                self.round(&mut verifier, round);
            }
        }
    }

    fn round(&self, verifier: &mut Verifier, round: Round) {
        let taken_us = self.clock.now_us();
        let committed = Height(self.counters.height.load(Relaxed));
        let mut jobs = Vec::with_capacity(round.submissions.len() + round.batches.len());
        let mut senders = Vec::with_capacity(round.batches.len());
        for PeerBatch { from, bytes, hold, .. } in round.batches {
            match Batch::decode(bytes) {
                Ok(batch) => {
                    jobs.push(Job::Batch(batch));
                    senders.push((from, hold));
                }
                Err(error) => {
                    Counters::add(&self.counters.peer_frames_refused, 1);
                    tracing::warn!(peer = from.0, %error, "a peer's batch cannot be read");
                }
            }
        }
        jobs.extend(round.submissions.iter().map(|submission| Job::Packets(submission.packets.clone())));
        let mut seed = [0; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            fatal(format!(
                "the operating system gives no randomness, without which signatures cannot be checked: {error}"
            ));
        }
        let mut checked = verifier.check(committed, jobs, seed).into_iter();
        let verified_us = self.clock.now_us();
        // The holds go now: their bytes are checked, and the peers may send more.
        for ((from, _hold), checked) in senders.into_iter().zip(&mut checked) {
            match checked {
                Checked::Batch(Ok(batch)) => self.tell(CoreEvent::BatchVerified { from, batch }),
                Checked::Batch(Err(refusal)) => {
                    Counters::add(&self.counters.batches_refused, 1);
                    tracing::warn!(peer = from.0, %refusal, "a peer's batch is refused whole");
                }
                Checked::Packets(_) => unreachable!("answers come in the order of the jobs"),
            }
        }
        let mut notices = NoticeBook::new();
        for (submission, checked) in round.submissions.iter().zip(checked) {
            let Checked::Packets(checked) = checked else {
                unreachable!("answers come in the order of the jobs")
            };
            let packets = submission.packets.len() as u64;
            self.counters.record(Stage::Ingress, taken_us.saturating_sub(submission.received_us), packets);
            self.counters.record(Stage::Verify, verified_us.saturating_sub(taken_us), packets);
            self.admit(submission, &checked, verified_us, &mut notices);
        }
        for (connection, notices) in notices.drain() {
            self.clients.notify(connection, notices);
        }
    }

    fn admit(
        &self,
        submission: &Submission,
        checked: &CheckedPackets,
        verified_us: u64,
        notices: &mut NoticeBook,
    ) {
        let mut accepted = 0;
        let mut refused: Vec<(u64, u64, Refusal)> = Vec::new();
        for (tag, verdict) in (submission.tag..).zip(checked.iter()) {
            let connection = submission.connection;
            let origin = Origin { connection, tag, received_us: submission.received_us, verified_us };
            let offered = verdict.and_then(|transaction| {
                let mempool = self.mempools.get(&transaction.chain()).ok_or(Refusal::WrongChain)?;
                mempool.offer(transaction, origin)
            });
            match offered {
                Ok(()) => accepted += 1,
                Err(refusal) => refused.push((connection, tag, refusal)),
            }
        }
        Counters::add(&self.counters.accepted, accepted);
        for run in refused.chunk_by(|a, b| a.2 == b.2) {
            self.counters.refuse(run[0].2.name(), run.len() as u64);
        }
        notices.refused(refused.into_iter());
        if accepted > 0 && !self.filled.swap(true, Relaxed) {
            self.tell(CoreEvent::MempoolFilled);
        }
    }

    fn tell(&self, event: CoreEvent) {
        let _stopping = self.core.send(event);
    }
}
