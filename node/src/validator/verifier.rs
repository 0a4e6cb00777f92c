//! A verify thread: rounds of signatures, of clients and peers together.
//!
//! ```text
//!   ingress ─▶ round of at most 4,096 ─▶ engine::verify ─┬─ clients' ─▶ mempool, or a refusal to the client
//!                                                        └─ peers' batches ─▶ core
//! ```
//!
//! A client most of whose signatures are bad is disconnected, and what it has left waiting is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam::channel::Sender;
use engine::ingress::{Intake, PeerBatch, Round, Source, Submission};
use engine::limits::{BATCH_PACKETS_MAX, ROOT_LAG_MAX};
use engine::mempool::{Mempool, Origin};
use engine::receipts::NoticeBook;
use engine::replica::{Input, Stage};
use engine::types::{Height, PacketRun, Refusal};
use engine::verify::{Checked, CheckedPackets, CheckedTransaction, Job, Tally, Verifier};

use super::clients::{Demand, Resubmitted};
use super::counters::Counters;
use super::events::CoreEvent;
use super::fatal::fatal;
use super::offenders::Offenders;
use super::questions::Questions;
use super::shared::Shared;

/// How long a verifier sleeps before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a verify thread works with.
#[derive(Clone)]
pub struct VerifyThread {
    /// What is to be checked.
    pub intake: Intake,
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// To the query thread.
    pub questions: Questions<Demand>,
    /// Who has sent bad signatures lately.
    pub offenders: Arc<Offenders>,
    /// To the core.
    pub core: Sender<CoreEvent>,
}

impl VerifyThread {
    /// Works until the network is gone.
    pub fn run(self, mut verifier: Verifier) {
        let mut device_from = 0;
        while let Some(round) = self.intake.take(BATCH_PACKETS_MAX, PATIENCE, || self.shared.clock.now()) {
            let now_from = self.shared.checking.batch_from();
            if device_from != now_from {
                device_from = now_from;
                self.intake.device_from(device_from);
            }
            if !round.is_empty() {
                self.round(&mut verifier, round);
            }
        }
    }

    fn round(&self, verifier: &mut Verifier, round: Round) {
        let taken_us = self.shared.clock.now_us();
        let committed = self.shared.index.height();
        let (turned_away, submissions): (Vec<_>, Vec<_>) =
            round.submissions.into_iter().partition(|submission| self.has_no_room(submission));
        for submission in turned_away {
            self.shared.turn_away(&submission, Refusal::Busy);
        }
        let mut jobs = Vec::with_capacity(submissions.len() + round.batches.len());
        let mut senders = Vec::with_capacity(round.batches.len());
        for PeerBatch { from, pushed, batch, hold } in round.batches {
            senders.push((from, (batch.id().author, batch.head()), pushed, hold));
            jobs.push(Job::batch(Source::Peer(from), batch));
        }
        jobs.extend(
            submissions
                .iter()
                .map(|submission| Job::packets(submission.connection, submission.packets.clone())),
        );
        let mut seed = [0; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            fatal(format!(
                "the operating system gives no randomness, without which signatures cannot be checked: {error}"
            ));
        }
        let (rechecked, assisted) = (verifier.rechecked(), verifier.assisted());
        let mut checked = verifier.check(committed, jobs, seed).into_iter();
        Counters::add(&self.shared.counters.signatures_rechecked, verifier.rechecked() - rechecked);
        Counters::add(&self.shared.counters.signatures_by_device, verifier.assisted() - assisted);
        let verified_us = self.shared.clock.now_us();
        // The holds go now: their bytes are checked, and the peers may send more.
        for ((from, batch, pushed, _hold), checked) in senders.into_iter().zip(&mut checked) {
            let Checked::Batch(verdict) = checked else {
                unreachable!("answers come in the order of the jobs")
            };
            if let Err(refusal) = &verdict {
                Counters::add(&self.shared.counters.batches_refused, 1);
                tracing::debug!(peer = from.0, %refusal, "a peer's batch is refused whole");
                self.score(Source::Peer(from), refusal.tally);
            }
            self.tell(CoreEvent::Input(Input::Checked { from, batch, pushed, verdict }));
        }
        let mut notices = NoticeBook::new();
        let mut tallies = Vec::with_capacity(submissions.len());
        for (submission, checked) in submissions.iter().zip(checked) {
            let Checked::Packets(checked) = checked else {
                unreachable!("answers come in the order of the jobs")
            };
            let transactions = checked.len() as u64;
            self.shared.counters.record(
                Stage::Ingress,
                taken_us.saturating_sub(submission.received_us),
                transactions,
            );
            self.shared.counters.record(Stage::Verify, verified_us.saturating_sub(taken_us), transactions);
            self.admit(submission, &checked, (committed, verified_us), &mut notices);
            tallies.push((Source::Connection(submission.connection), checked.tally()));
        }
        for (connection, notices) in notices.drain() {
            self.shared.clients.notify(connection, notices);
        }
        for (source, tally) in tallies {
            self.score(source, tally);
        }
    }

    /// Whether every transaction of a submission is for a mempool that is full, and none was told a verdict before:
    /// then no signature is worth a check.
    fn has_no_room(&self, submission: &Submission) -> bool {
        let mempools = &self.shared.mempools;
        let is_full = |run: PacketRun<'_>| mempools.get(run.chain()).is_some_and(Mempool::is_full);
        let (network, highest) = (self.shared.genesis.network(), self.shared.index.height().0 + ROOT_LAG_MAX);
        let is_new = |run: PacketRun<'_>| self.shared.hints.find(&run.id(network), Height(highest)).is_none();
        submission.packets.runs().all(is_full) && submission.packets.runs().all(is_new)
    }

    /// Holds bad signatures against their source.
    fn score(&self, source: Source, tally: Tally) {
        Counters::add(&self.shared.counters.bad_signatures, tally.refused.into());
        let judgement = self.offenders.note(source, tally, self.shared.clock.now());
        if judgement.say {
            tracing::warn!(?source, bad = judgement.bad, cut = judgement.cut, "sends bad signatures");
        }
        if let (true, Source::Connection(connection)) = (judgement.cut, source) {
            self.shared.clients.cut(connection, "most of your signatures are bad");
            self.intake.discard(source);
        }
    }

    fn admit(
        &self,
        submission: &Submission,
        checked: &CheckedPackets,
        (committed, verified_us): (Height, u64),
        notices: &mut NoticeBook,
    ) {
        let (mut accepted, mut told) = (0, Vec::new());
        let mut refused: Vec<(u64, u64, Refusal)> = Vec::new();
        for CheckedTransaction { place, run, verdict } in checked.iter() {
            let (connection, tag) = (submission.connection, submission.tag + place as u64);
            let origin = Origin { connection, tag, received_us: submission.received_us, verified_us };
            let offered = verdict.and_then(|transaction| {
                let mempool = self.shared.mempools.get(transaction.chain()).ok_or(Refusal::WrongChain)?;
                mempool.offer(transaction, committed, origin)
            });
            match offered {
                Ok(()) => {
                    accepted += 1;
                    told.extend(submission.tell.then_some(tag));
                }
                Err(refusal) if self.asks_for_first_verdict(connection, tag, run, refusal) => {}
                Err(refusal) => refused.push((connection, tag, refusal)),
            }
        }
        Counters::add(&self.shared.counters.accepted, accepted);
        for run in refused.chunk_by(|a, b| a.2 == b.2) {
            self.shared.counters.refuse(run[0].2.name(), run.len() as u64);
        }
        notices.refused(refused.into_iter());
        self.shared.clients.accepted(submission.connection, &told);
        if accepted > 0 && !self.shared.filled.swap(true, Relaxed) {
            self.tell(CoreEvent::MempoolFilled);
        }
    }

    /// Whether the query thread tells the client what became of these bytes when they were submitted before. If it has
    /// no room, the client is refused as if nobody knew.
    fn asks_for_first_verdict(
        &self,
        connection: u64,
        tag: u64,
        run: PacketRun<'_>,
        refusal: Refusal,
    ) -> bool {
        let shared = &*self.shared;
        // What is executed may not be durable yet.
        let highest = Height(shared.index.height().0 + ROOT_LAG_MAX);
        matches!(refusal, Refusal::Replayed | Refusal::Expired) && {
            let transaction = run.signed(shared.genesis.network());
            let demand = Resubmitted { connection, tag, transaction, otherwise: refusal.into() };
            shared.hints.find(&transaction.id, highest).is_some()
                && self.questions.offer(connection, Demand::Resubmitted(demand)).is_ok()
        }
    }

    fn tell(&self, event: CoreEvent) {
        let _stopping = self.core.send(event);
    }
}
