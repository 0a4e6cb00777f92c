//! Clients' connections: what they send, on the network's thread, and what they are told, from any thread.
//!
//! ```text
//!   Hello ─▶ Welcome        Submit ─▶ ingress (full: Busy at once; no member: NotMember)        Query ─▶ query thread
//! ```
//!
//! Invariant: nothing but a `Hello` of this network is listened to before it; a client that breaks the protocol is told
//! why and disconnected; one that does not read is disconnected when its queue is full. Neither is noticed by anybody
//! else.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use client::Welcome;
use engine::ingress::{Lane, Refused, Submission};
use engine::limits::NOTICES_MAX;
use engine::types::{Digest, PacketSlab, Refusal, Signed, Verdict};
use engine::wire::answers::ErrorAnswer;
use engine::wire::{
    AsOf, ClientFrame, Notice, PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST, Query, STANDING_SINCE, ServerFrame,
    version_for,
};
use net::{Client, ClientEvent, Flow, Frame, SendError};
use serde::Serialize;

use super::caller::{Caller, Neighbour};
use super::counters::Counters;
use super::questions::Questions;
use super::shared::Shared;

/// A client that has introduced itself.
#[derive(Debug)]
struct Connected {
    client: Caller,
    /// The version of the protocol that is spoken with it.
    version: u32,
}

/// The clients that have introduced themselves.
#[derive(Debug, Default)]
pub struct Clients {
    connected: RwLock<BTreeMap<u64, Connected>>,
    counters: Arc<Counters>,
}

impl Clients {
    /// Nobody yet.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { connected: RwLock::default(), counters }
    }

    /// Tells a client what became of its transactions. One that has gone asks by transaction id when it is back.
    pub fn notify(&self, connection: u64, notices: Vec<Notice>) {
        let connected = self.connected.read().expect("no panic while held");
        let Some(client) = connected.get(&connection).map(|connected| connected.client.clone()) else {
            return;
        };
        drop(connected);
        Counters::add(&self.counters.notices, notices.len() as u64);
        let frames = notices.chunks(NOTICES_MAX).map(|chunk| ServerFrame::Notices(chunk.to_vec()));
        self.tell(connection, &client, frames);
    }

    /// Tells a client which of its transactions are in the mempool: one whose submission asks for that.
    pub fn accepted(&self, connection: u64, tags: &[u64]) {
        let client = match tags {
            [] => None,
            _ => self
                .connected
                .read()
                .expect("no panic while held")
                .get(&connection)
                .map(|of| of.client.clone()),
        };
        let frames = tags.chunks(NOTICES_MAX).map(|chunk| ServerFrame::Accepted(chunk.to_vec()));
        client.iter().for_each(|client| self.tell(connection, client, frames.clone()));
    }

    fn tell(&self, connection: u64, client: &Caller, frames: impl Iterator<Item = ServerFrame>) {
        for frame in frames {
            match client.send(frame) {
                Ok(()) => {}
                Err(SendError::NotConnected) => return,
                Err(SendError::Full) => {
                    Counters::add(&self.counters.slow_clients, 1);
                    let remote = client.place();
                    tracing::warn!(client = connection, remote, "cut: its notices are not being read");
                    client.close("your notices are not being read; ask for your transactions by their ids");
                    return;
                }
                Err(error) => panic!("notices are no frame for a client: {error}"),
            }
        }
    }

    /// Ends the connection of a client, which is told why. What it sends until the network has closed it is not read.
    pub fn cut(&self, connection: u64, reason: &str) {
        let connected = self.connected.write().expect("no panic while held").remove(&connection);
        if let Some(Connected { client, .. }) = connected {
            Counters::add(&self.counters.offenders_cut, 1);
            client.close(reason);
        }
    }

    fn introduce(&self, client: Caller, version: u32) {
        let id = client.id();
        self.connected.write().expect("no panic while held").insert(id, Connected { client, version });
    }

    /// The version that is spoken on a connection, if its client has been introduced.
    fn version(&self, id: u64) -> Option<u32> {
        self.connected.read().expect("no panic while held").get(&id).map(|connected| connected.version)
    }

    fn knows(&self, id: u64) -> bool {
        self.connected.read().expect("no panic while held").contains_key(&id)
    }

    fn forget(&self, id: u64) {
        self.connected.write().expect("no panic while held").remove(&id);
    }
}

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

/// A question of a client that waits for its answer.
#[derive(Debug)]
pub struct Question {
    client: Caller,
    id: u64,
}

impl Question {
    /// Answers, as of a height. A client that does not read its answers is disconnected by the network.
    pub fn answer(&self, as_of: AsOf, answer: &impl Serialize) {
        let body = serde_json::to_vec(answer).expect("answers have string keys and no failing parts");
        let body = if body.len() > engine::limits::ANSWER_BYTES_MAX {
            let too_large = ErrorAnswer::unavailable("the answer is larger than a frame may be");
            serde_json::to_vec(&too_large).expect("as above")
        } else {
            body
        };
        let answer = ServerFrame::Answer { id: self.id, as_of, body: Bytes::from(body) };
        let _disconnected = self.client.send(answer);
    }
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

impl Reception {
    /// Takes one event of the network.
    pub fn take(&self, event: ClientEvent) -> Flow {
        match event {
            ClientEvent::Opened(_) => Flow::Continue,
            ClientEvent::Frame { client, frame } => self.frame(&client, frame),
            ClientEvent::Closed { id, reason } => {
                tracing::debug!(client = id, reason, "client gone");
                self.shared.clients.forget(id);
                self.questions.forget(id);
                Flow::Continue
            }
        }
    }

    fn frame(&self, client: &Client, frame: Frame) -> Flow {
        match ClientFrame::decode(&frame.bytes) {
            Err(error) => self.refuse(client, format!("the frame cannot be read: {error}")),
            Ok(ClientFrame::Hello { version, network }) => self.hello(client, version, network),
            Ok(_) if !self.shared.clients.knows(client.id()) => {
                self.refuse(client, "the first frame must be a Hello".into())
            }
            Ok(ClientFrame::Submit { tag, packets, tell }) => {
                Counters::add(&self.shared.counters.received, packets.runs().count() as u64);
                let (connection, received_us) = (client.id(), self.shared.clock.now_us());
                let hold = Some(Arc::new(frame.permit) as _);
                let submission = Submission { connection, tag, received_us, packets, tell, hold };
                self.submit(submission)
            }
            Ok(ClientFrame::Query { id, query }) => {
                self.ask(Question { client: Caller::Remote(client.clone()), id }, query)
            }
        }
    }

    fn hello(&self, client: &Client, version: u32, network: Digest) -> Flow {
        let Some(version) = version_for(version) else {
            let reason = format!(
                "the client speaks version {version} of the client protocol at most, and this validator versions \
                 {PROTOCOL_VERSION_FIRST} to {PROTOCOL_VERSION}: use a program of a later release"
            );
            return self.refuse(client, reason);
        };
        let ours = *self.shared.genesis.network();
        if network != ours {
            let reason = format!("this validator belongs to network {ours}, not to {network}");
            return self.refuse(client, reason);
        }
        self.shared.clients.introduce(Caller::Remote(client.clone()), version);
        let (validator, as_of, standing) =
            (self.shared.me, self.shared.counters.as_of(), self.shared.standing);
        let welcome = ServerFrame::Welcome { version, network, validator, as_of, standing };
        let _disconnected = client.send(welcome.encode());
        Flow::Continue
    }

    /// Introduces the gateway of this process. What it hears first is where the validator stands.
    pub fn welcome(&self, neighbour: Neighbour) -> Welcome {
        self.shared.clients.introduce(Caller::Here(neighbour), PROTOCOL_VERSION);
        let (validator, as_of, standing) =
            (self.shared.me, self.shared.counters.as_of(), self.shared.standing);
        Welcome { validator, as_of, standing, version: PROTOCOL_VERSION }
    }

    /// Takes transactions of the gateway, which is told what is accepted.
    pub fn submit_here(&self, neighbour: &Neighbour, tag: u64, packets: PacketSlab) {
        Counters::add(&self.shared.counters.received, packets.runs().count() as u64);
        let (connection, received_us) = (neighbour.id, self.shared.clock.now_us());
        self.submit(Submission { connection, tag, received_us, packets, tell: true, hold: None });
    }

    /// Takes a question of the gateway.
    pub fn ask_here(&self, neighbour: &Neighbour, id: u64, query: Query) {
        self.ask(Question { client: Caller::Here(neighbour.clone()), id }, query);
    }

    /// The gateway has gone.
    pub fn forget(&self, neighbour: &Neighbour) {
        self.shared.clients.forget(neighbour.id);
        self.questions.forget(neighbour.id);
    }

    fn submit(&self, submission: Submission) -> Flow {
        if !self.shared.standing.is_member() {
            let speaks = self.shared.clients.version(submission.connection);
            // What a client cannot read would end its connection, and with it all that it waits for.
            let is_known = speaks.is_some_and(|version| version >= STANDING_SINCE);
            let refusal = if is_known { Refusal::NotMember } else { Refusal::Busy };
            self.shared.turn_away(&submission, refusal);
            return Flow::Continue;
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
        Flow::Continue
    }

    fn ask(&self, question: Question, query: Query) -> Flow {
        let asked = self.questions.offer(question.client.id(), Demand::Query(question, query));
        if let Err(Demand::Query(question, _)) = asked {
            let busy = ErrorAnswer::unavailable("too many of your questions are waiting; ask again later");
            question.answer(self.shared.counters.as_of(), &busy);
        }
        Flow::Continue
    }

    fn refuse(&self, client: &Client, reason: String) -> Flow {
        Counters::add(&self.shared.counters.client_frames_refused, 1);
        tracing::debug!(client = client.id(), remote = %client.remote(), reason, "client refused");
        let _disconnected = client.send(ServerFrame::Rejected { reason: reason.clone() }.encode());
        Flow::Close(reason)
    }
}
