//! What clients of a validator submit and ask, on the network's thread or on that of the gateway.
//!
//! ```text
//!   Submit ─▶ ingress (full: Busy at once; no member: NotMember)        Query ─▶ query thread
//! ```
//!
//! How a client is greeted and read, and what it is told, is [`super::sessions`].

use std::sync::Arc;

use client::Welcome;
use engine::ingress::{Lane, Refused, Submission};
use engine::types::{Digest, PacketSlab, Refusal, Signed, Verdict};
use engine::wire::answers::ErrorAnswer;
use engine::wire::{PROTOCOL_VERSION, Query, STANDING_SINCE};
use net::{Client, Permit};

use super::caller::{Caller, Neighbour};
use super::counters::Counters;
use super::questions::Questions;
use super::sessions::{Clients, Question, Serves};
use super::shared::Shared;

/// What the query thread is asked.
#[derive(Debug)]
pub enum Demand {
    /// A question of a client.
    Query(Question, Query),
    /// A transaction of a client that is, or was, in a block already, it seems.
    Resubmitted(Resubmitted),
}

/// A transaction that a client has submitted once more: what became of it before?
#[derive(Clone, Copy, Debug)]
pub struct Resubmitted {
    /// The client's connection.
    pub connection: u64,
    /// The client's tag of it now.
    pub tag: u64,
    /// The transaction.
    pub transaction: Signed,
    /// What the client is told if nobody knows what became of it before.
    pub otherwise: Verdict,
}

/// Takes what clients send.
pub struct Reception {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// To the verifiers.
    pub ingress: Lane<Submission>,
    /// To the query thread.
    pub questions: Questions<Demand>,
}

impl Serves for Reception {
    fn clients(&self) -> &Clients {
        &self.shared.clients
    }

    fn network(&self) -> &Digest {
        self.shared.genesis.network()
    }

    fn foreign(&self, network: &Digest) -> String {
        format!("this validator belongs to network {}, not to {network}", self.network())
    }

    fn welcome(&self, version: u32) -> Welcome {
        let (validator, as_of, standing) =
            (self.shared.me, self.shared.counters.as_of(), self.shared.standing);
        Welcome { validator, as_of, standing, version }
    }

    fn submit(&self, client: &Client, tag: u64, packets: PacketSlab, tell: bool, permit: Permit) {
        let (connection, received_us) = (client.id(), self.shared.clock.now_us());
        let hold = Some(Arc::new(permit) as _);
        self.offer(Submission { connection, tag, received_us, packets, tell, hold });
    }

    fn ask(&self, question: Question, query: Query) {
        let asked = self.questions.offer(question.client(), Demand::Query(question, query));
        if let Err(Demand::Query(question, _)) = asked {
            let busy = ErrorAnswer::unavailable("too many of your questions are waiting; ask again later");
            question.answer(self.shared.counters.as_of(), &busy);
        }
    }

    fn gone(&self, client: u64) {
        self.questions.forget(client);
    }
}

impl Reception {
    /// Introduces the gateway of this process. What it hears first is where the validator stands.
    pub fn greet_here(&self, neighbour: Neighbour) -> Welcome {
        self.shared.clients.introduce(Caller::Here(neighbour), PROTOCOL_VERSION);
        self.welcome(PROTOCOL_VERSION)
    }

    /// Takes transactions of the gateway, which is told what is accepted.
    pub fn submit_here(&self, neighbour: &Neighbour, tag: u64, packets: PacketSlab) {
        Counters::add(&self.shared.counters.received, packets.runs().count() as u64);
        let (connection, received_us) = (neighbour.id, self.shared.clock.now_us());
        self.offer(Submission { connection, tag, received_us, packets, tell: true, hold: None });
    }

    /// Takes a question of the gateway.
    pub fn ask_here(&self, neighbour: &Neighbour, id: u64, query: Query) {
        self.ask(Question::new(Caller::Here(neighbour.clone()), id), query);
    }

    /// The gateway has gone.
    pub fn forget(&self, neighbour: &Neighbour) {
        self.shared.clients.forget(neighbour.id);
        self.questions.forget(neighbour.id);
    }

    fn offer(&self, submission: Submission) {
        if !self.shared.standing.is_member() {
            let speaks = self.shared.clients.version(submission.connection);
            // What a client cannot read would end its connection, and with it all that it waits for.
            let is_known = speaks.is_some_and(|version| version >= STANDING_SINCE);
            let refusal = if is_known { Refusal::NotMember } else { Refusal::Busy };
            return self.shared.turn_away(&submission, refusal);
        }
        match self.ingress.offer(submission) {
            Ok(evicted) => {
                evicted.iter().for_each(|submission| self.shared.turn_away(submission, Refusal::Busy))
            }
            Err(refused) => {
                let refusal = refused.refusal();
                let (Refused::Full(submission) | Refused::Closed(submission)) = refused;
                self.shared.turn_away(&submission, refusal);
            }
        }
    }
}
