//! The query thread: everything that clients ask, from the journal and from a view of the committed state.
//!
//! ```text
//!   executor ── deltas of committed heights ──▶ view ─▶ accounts, attestations
//!   journal ── records ───────────────────────▶ transactions, blocks, proofs
//! ```
//!
//! No query waits for execution, and no query has unbounded work: [`super::search`] says how far a transaction is
//! looked for that the hints do not know, and so does the answer. What is committed meanwhile is taken into the view
//! before the next question ([`super::questions`]).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam::channel::Receiver;
use engine::limits::{BODY_BYTES, KEY_ACCOUNTS_MAX, PACKET_BYTES, ROOT_LAG_MAX, SIGNATURE_BYTES};
use engine::replica::{FeedBlocks, ReadError};
use engine::roots::{ChainEntry, CommittedView};
use engine::store::Log;
use engine::types::{
    AccountId, Attestation, ChainId, ChainKind, Consent, Content, Data, Digest, Epoch, Fingerprint, Height,
    PacketRun, RulesVersion, Signed, Support, TransactionId, ValidatorIndex, Verdict, record_key,
};
use engine::wire::answers::{
    AccountAnswer, AccountsOfAnswer, AttestationAnswer, BlockAnswer, ConsentAnswer, EpochsAnswer,
    ErrorAnswer, FeedAnswer, MembersAnswer, ProofAnswer, RowAnswer, StatusAnswer, TransactionAnswer,
};
use engine::wire::{AsOf, FeedQuery, Notice, Query};
use kernels::ed25519::SigningKey;
use net::PeerNetwork;
use serde::Serialize;

use super::checkpoints::CheckpointTaker;
use super::clients::{Demand, Resubmitted};
use super::committed::{self, Found, Stored};
use super::counters::Counters;
use super::questions::{Next, Questions, ReaderEvent};
use super::report::Report;
use super::search::{Search, Unanswered};
use super::sessions::Question;
use super::shared::Shared;
use super::storage::why_portable;

/// The query thread.
pub struct QueryThread {
    shared: Arc<Shared>,
    view: CommittedView,
    taker: CheckpointTaker,
    report: Report,
    peers: PeerNetwork,
    /// With which it consents to other members.
    key: SigningKey,
    /// What was read last for a feed.
    feed_blocks: FeedBlocks,
    /// Transactions that were submitted again and whose first verdict is known when a height is committed.
    resubmitted: Vec<(Height, Resubmitted)>,
}

/// How many of these wait at most; what has no room is refused as if nobody knew.
const RESUBMITTED_MAX: usize = 4_096;

/// What is known of a transaction that was submitted before.
enum First {
    Told(Verdict),
    /// Ask again when this height is committed.
    At(Height),
    Unknown,
}

impl QueryThread {
    /// A thread whose view of the accounts is that of the last committed height.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        view: CommittedView,
        taker: CheckpointTaker,
        report: Report,
        peers: PeerNetwork,
        key: SigningKey,
    ) -> Self {
        let (feed_blocks, resubmitted) = (FeedBlocks::default(), Vec::new());
        Self { shared, view, taker, report, peers, key, feed_blocks, resubmitted }
    }

    /// Answers until it is told to stop.
    pub fn run(mut self, events: &Receiver<ReaderEvent>, questions: &Questions<Demand>) {
        while let Some(next) = questions.next(events) {
            match next {
                Next::Commit(deltas, root, due) => {
                    self.view.commit(&deltas, root);
                    self.taker.committed(&self.view, &deltas, due, &self.shared);
                    let height = self.view.height();
                    let due: Vec<_> = self.resubmitted.extract_if(.., |(at, _)| *at <= height).collect();
                    // They are asked again in the turns of their clients: each may cost the reading of a block.
                    for (_, resubmitted) in due {
                        let demand = Demand::Resubmitted(resubmitted);
                        if questions.offer(resubmitted.connection, demand).is_err() {
                            self.tell_otherwise(&resubmitted);
                        }
                    }
                }
                Next::Answer(Demand::Query(question, query)) => self.answer(&question, query),
                Next::Answer(Demand::Resubmitted(resubmitted)) => self.tell_again(&resubmitted),
            }
        }
    }

    fn answer(&mut self, question: &Question, query: Query) {
        // Answers speak of the view's height; blocks above it may be in the index already and are not answered with.
        let as_of = AsOf { height: self.view.height(), ..self.shared.counters.as_of() };
        match query {
            Query::Account { chain, account, record } => {
                let answer = self.account((chain, account), record);
                self.tell(question, as_of, answer);
            }
            Query::Transaction { chain, id } => self.tell(question, as_of, self.transaction(chain, &id)),
            Query::Proof { chain, id } => self.tell(question, as_of, self.proof(chain, &id)),
            Query::Block { height } => self.tell(question, as_of, self.block_answer(height)),
            Query::Status => self.tell(question, as_of, self.status()),
            Query::Counters => {
                let entries = self.view.state_root().entries();
                question.answer(as_of, &self.report.whole(entries, &self.peers));
            }
            Query::Attestation { chain, fingerprint } => {
                let answer = self.attestation(chain, &fingerprint);
                self.tell(question, as_of, answer);
            }
            Query::Members => question.answer(as_of, &self.members()),
            Query::Consent { epoch, members, rules } => {
                question.answer(as_of, &self.consent((epoch, rules, &members), as_of));
            }
            Query::Row { chain, key } => {
                let answer = self.row(chain, &key);
                self.tell(question, as_of, answer);
            }
            Query::Epochs { from } => {
                let ended = self.shared.epochs.handovers().iter();
                let ended = ended.map(|of| (&of.block, &of.certificate[..], &of.members));
                question.answer(as_of, &EpochsAnswer::from_epoch(from, ended));
            }
            Query::AccountsOf { chain, key, from } => {
                self.tell(question, as_of, self.accounts_of(chain, &key, from));
            }
            Query::Feed(feed) => {
                let answer = self.feed(&feed);
                self.tell(question, as_of, answer);
            }
        }
    }

    fn tell<T: Serialize>(&self, question: &Question, as_of: AsOf, answer: Result<T, Unanswered>) {
        let error = match answer {
            Ok(answer) => return question.answer(as_of, &answer),
            Err(Unanswered::NotFound(reason)) => ErrorAnswer::not_found(reason),
            Err(error @ Unanswered::BelowRetention(_)) => ErrorAnswer::below_retention(error.to_string()),
            Err(error) => {
                self.note_damage(&error);
                ErrorAnswer::unavailable(error.to_string())
            }
        };
        question.answer(as_of, &error);
    }

    fn note_damage(&self, error: &Unanswered) {
        if let Unanswered::Journal(error) = error {
            self.shared.damage.note(error, self.shared.clock.now());
        }
    }

    /// Tells a client what it was told, or would have been, when it submitted these very bytes before.
    fn tell_again(&mut self, resubmitted: &Resubmitted) {
        let Resubmitted { connection, tag, transaction, .. } = resubmitted;
        let verdict = match self.first_verdict(transaction) {
            First::At(height) if self.resubmitted.len() < RESUBMITTED_MAX => {
                return self.resubmitted.push((height, *resubmitted));
            }
            First::Told(verdict) => {
                Counters::add(&self.shared.counters.resubmitted, 1);
                verdict
            }
            First::At(_) | First::Unknown => return self.tell_otherwise(resubmitted),
        };
        self.shared.clients.notify(*connection, vec![Notice { tag: *tag, verdict }]);
    }

    fn tell_otherwise(&self, resubmitted: &Resubmitted) {
        let Resubmitted { connection, tag, otherwise, .. } = resubmitted;
        if let Verdict::Refused(refusal) = otherwise {
            self.shared.counters.refuse(refusal.name(), 1);
        }
        self.shared.clients.notify(*connection, vec![Notice { tag: *tag, verdict: *otherwise }]);
    }

    fn first_verdict(&self, transaction: &Signed) -> First {
        let (Signed { chain, id, signature }, height) = (*transaction, self.view.height());
        match self.shared.hints.find(&id, Height(height.0 + ROOT_LAG_MAX)) {
            Some(at) if at > height => return First::At(at),
            None => return First::Unknown,
            Some(_) => {}
        }
        let found = self.search().find_hinted(Some(chain), &id);
        let described = found.and_then(|found| found.map(|found| self.describe(&id, found)).transpose());
        match described.inspect_err(|error| self.note_damage(error)) {
            // The id does not cover the signature.
            Ok(Some(answer)) if signature_of(&answer) == Some(signature) => {
                match answer.final_outcome() {
                    // Where it spent nothing it only stands once more: what became of it is told by another place.
                    Some(_) if !answer.outcome.spends_nonce() => First::Unknown,
                    Some(outcome) => First::Told(outcome.into()),
                    // The next height decides about the money that was sent, and the one after gives it back.
                    None => First::At(height.next()),
                }
            }
            Ok(_) | Err(_) => First::Unknown,
        }
    }

    fn feed(&mut self, query: &FeedQuery) -> Result<FeedAnswer, Unanswered> {
        let shared = &*self.shared;
        self.chain(query.chain)?;
        let stopped = || shared.stopping.load(Relaxed);
        Ok(shared.reader().feed(query, self.view.height(), &mut self.feed_blocks, &stopped)?)
    }

    /// What the state root of the committed height says of a chain.
    fn chain(&self, chain: ChainId) -> Result<ChainEntry, Unanswered> {
        let entry = self.view.state_root().entries().iter().find(|entry| entry.chain == chain);
        entry.copied().ok_or_else(|| Unanswered::NotFound(format!("the network has no chain {chain}")))
    }

    fn row(&mut self, chain: ChainId, key: &[u8; 32]) -> Result<RowAnswer, Unanswered> {
        self.chain(chain)?;
        let none = || Unanswered::NotFound(format!("chain {chain} has no table"));
        let proof = self.view.prove_row(chain, key).ok_or_else(none)?;
        Ok(RowAnswer { state_root: *self.view.state_root().digest(), proof })
    }

    fn members(&self) -> MembersAnswer {
        let epochs = &self.shared.epochs;
        let members = epochs.members();
        MembersAnswer {
            epoch: members.epoch,
            begins_after: epochs.root().0,
            members: hex::encode(members.encode()),
            me: Some(self.shared.me).filter(|me| members.get(*me).is_some()),
        }
    }

    /// That this validator is up, keeps up, runs these rules, and is ready for these members. It says nothing of who
    /// they are: that is for administrators to decide.
    fn consent(&self, (epoch, rules, members): (Epoch, RulesVersion, &Digest), as_of: AsOf) -> ConsentAnswer {
        let (network, key) = (self.shared.genesis.network(), &self.key);
        let counters = &self.shared.counters;
        // One that does not vote yet is no help to the others.
        let votes = [&counters.votes_forgotten, &counters.stream_lost].iter().all(|of| of.load(Relaxed) == 0);
        let is_ready = votes
            && as_of.keeps_up()
            && Support::OURS.has(rules)
            && epoch == self.shared.epochs.present().next();
        let message = Consent::message(network, (epoch, rules, members), as_of.height);
        let signature = is_ready.then(|| hex::encode(key.sign(&message)));
        ConsentAnswer { public_key: Digest(key.public_key()), height: as_of.height, signature }
    }

    fn search(&self) -> Search<'_, Log> {
        let shared = &*self.shared;
        let reader = shared.reader();
        Search { reader, hints: &shared.hints, stopping: &shared.stopping }
    }

    fn account(
        &mut self,
        (chain, account): (ChainId, AccountId),
        record: bool,
    ) -> Result<AccountAnswer, Unanswered> {
        let none = || {
            Unanswered::NotFound(format!(
                "chain {chain} has no account {account}, or the network has no chain {chain}"
            ))
        };
        let proof = self.view.prove(chain, account).ok_or_else(none)?;
        let record = if record { self.view.prove_row(chain, &record_key(account)) } else { None };
        Ok(AccountAnswer { state_root: *self.view.state_root().digest(), proof, record })
    }

    fn accounts_of(
        &self,
        chain: ChainId,
        key: &[u8; 32],
        from: AccountId,
    ) -> Result<AccountsOfAnswer, Unanswered> {
        self.chain(chain)?;
        let found = self.view.accounts_of(chain, key, from).take(KEY_ACCOUNTS_MAX + 1);
        let mut accounts: Vec<_> = found.collect();
        let more = accounts.len() > KEY_ACCOUNTS_MAX;
        accounts.truncate(KEY_ACCOUNTS_MAX);
        Ok(AccountsOfAnswer { accounts, more })
    }

    /// What a chain says of a fingerprint. Whatever was registered with it stands in the block of that height; if that
    /// cannot be read, the rest is an answer all the same.
    fn attestation(
        &mut self,
        chain: ChainId,
        fingerprint: &Fingerprint,
    ) -> Result<AttestationAnswer, Unanswered> {
        let of = self.chain(chain)?;
        if of.kind != ChainKind::Attestations {
            let kind = of.kind.name();
            let reason = format!("chain {chain} is of the kind \"{kind}\": it has no attestations");
            return Err(Unanswered::NotFound(reason));
        }
        if fingerprint.is_reserved() {
            let reason = format!("{fingerprint} begins with 16 zero bytes, and cannot be registered");
            return Err(Unanswered::NotFound(reason));
        }
        let none = || Unanswered::NotFound(format!("the network has no chain {chain}"));
        let proof = self.view.prove_row(chain, &fingerprint.0).ok_or_else(none)?;
        let state_root = *self.view.state_root().digest();
        let said = (proof.key.0 == fingerprint.0).then(|| Attestation::decode(&proof.value)).flatten();
        let found = said.map(|said| self.registration(chain, fingerprint, said.registered)).transpose();
        let (transaction, data) = found.unwrap_or_else(|error| self.noted(&error)).unzip();
        Ok(AttestationAnswer { state_root, proof, transaction, data: data.flatten() })
    }

    /// The transaction that registered a fingerprint at a height, and the data, in hexadecimal, that stands there.
    fn registration(
        &self,
        chain: ChainId,
        fingerprint: &Fingerprint,
        height: Height,
    ) -> Result<(TransactionId, Option<String>), Unanswered> {
        let Stored { record, .. } = committed::stored(&self.shared.reader(), height)?;
        let batches = self.shared.reader().batches(&record)?;
        let of_chain = record.chain(chain).ok_or(ReadError::Damaged(height))?;
        let packets = || batches.iter().map(|batch| batch.packets_of(chain));
        let outcomes = of_chain.outcomes(packets());
        if outcomes.len() as u64 != of_chain.entry.transactions {
            return Err(ReadError::Damaged(height).into());
        }
        let applied =
            packets().flat_map(PacketRun::all).zip(outcomes).filter(|(_, outcome)| !outcome.is_failure());
        for (run, _) in applied {
            let Ok(Content::Attest(attest)) = run.content() else { continue };
            let registered = attest.registrations.iter().find(|of| of.fingerprint == *fingerprint);
            if let Some(registration) = registered {
                let data = match registration.data {
                    Data::Inline(data) => Some(hex::encode(data)),
                    Data::None | Data::Hash(_) => None,
                };
                return Ok((run.id(self.shared.genesis.network()), data));
            }
        }
        // The row says that it was registered at this height.
        Err(ReadError::Damaged(height).into())
    }

    /// Nothing is found, and the operator hears why.
    fn noted<T>(&self, error: &Unanswered) -> Option<T> {
        self.note_damage(error);
        None
    }

    fn transaction(
        &self,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<TransactionAnswer, Unanswered> {
        let found = self.search().find(chain, id)?;
        self.describe(id, found)
    }

    fn describe(&self, id: &TransactionId, found: Found) -> Result<TransactionAnswer, Unanswered> {
        committed::describe(&self.shared.reader(), id, found, self.view.height())
    }

    fn proof(&self, chain: ChainId, id: &TransactionId) -> Result<ProofAnswer, Unanswered> {
        committed::proof(&self.search().find(Some(chain), id)?)
    }

    fn block_answer(&self, height: Height) -> Result<BlockAnswer, Unanswered> {
        Ok(committed::block_answer(&committed::stored(&self.shared.reader(), height)?))
    }

    fn status(&self) -> Result<StatusAnswer, Unanswered> {
        let shared = &self.shared;
        let (missing, fetching) = shared.catch_up.now(shared.clock.now());
        let name = shared.name.clone();
        Ok(StatusAnswer {
            network: *shared.genesis.network(),
            network_name: shared.genesis.name().to_owned(),
            validator: shared.me,
            name,
            standing: shared.standing,
            committed: self.view.height(),
            finalized: Height(shared.counters.finalized.load(Relaxed)),
            state_root: *self.view.state_root().digest(),
            stream_lost: shared.counters.stream_lost.load(Relaxed) != 0,
            votes_forgotten: shared.counters.votes_forgotten.load(Relaxed) != 0,
            kept_from: shared.index.kept_from(),
            journal_bytes: shared.journal.bytes_on_disk(),
            peers: self.peers.connected().into_iter().map(ValidatorIndex).collect(),
            pending: self.report.pending(),
            storage: shared.journal.metrics().backend.to_owned(),
            storage_fallback: why_portable(&shared.journal),
            certificate_until: self.report.identity.valid_until(),
            fetching,
            missing,
            scrub: shared.scrub.answer(),
            rules: Some(shared.rules.answer(shared.epochs.members(), shared.clock.moment().unix_ms)),
            alarms: shared.alarms.now(),
            signatures: shared.checking.answer(&shared.counters),
            uptime_seconds: shared.clock.now().as_secs(),
        })
    }
}

fn signature_of(answer: &TransactionAnswer) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut signature = [0; SIGNATURE_BYTES];
    let digits = answer.packet.get(2 * BODY_BYTES..2 * PACKET_BYTES)?;
    hex::decode_to_slice(digits, &mut signature).ok().map(|()| signature)
}
