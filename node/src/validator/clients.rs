//! Customers' connections: what they send, on the network's thread, and what they are told, from any thread.
//!
//! ```text
//!   Hello ─▶ Welcome        Submit ─▶ ingress (full: Busy at once)        Query ─▶ query thread, executor
//! ```
//!
//! Invariant: nothing but a `Hello` of this network is listened to before it; a customer that breaks the protocol is told
//! why and disconnected; one that does not read is disconnected when its queue is full. Neither is noticed by anybody
//! else.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use crossbeam::channel::{Sender, TrySendError};
use engine::ingress::{Lane, Submission};
use engine::limits::NOTICES_MAX;
use engine::types::{Digest, Height, ValidatorIndex, Verdict};
use engine::wire::{ClientFrame, Notice, PROTOCOL_VERSION, Query, ServerFrame};
use net::{Client, ClientEvent, Flow, Frame, SendError};
use serde::Serialize;

use super::clock::Clock;
use super::counters::Counters;
use crate::query::answers::ErrorAnswer;

/// The customers that have introduced themselves.
#[derive(Debug, Default)]
pub struct Clients {
    connected: RwLock<BTreeMap<u64, Client>>,
    counters: Arc<Counters>,
}

impl Clients {
    /// Nobody yet.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { connected: RwLock::default(), counters }
    }

    /// Tells a customer what became of its transactions. One that has gone asks by transaction id when it is back.
    pub fn notify(&self, connection: u64, notices: Vec<Notice>) {
        let client = self.connected.read().expect("no panic while held").get(&connection).cloned();
        let Some(client) = client else { return };
        Counters::add(&self.counters.notices, notices.len() as u64);
        for chunk in notices.chunks(NOTICES_MAX) {
            match client.send(ServerFrame::Notices(chunk.to_vec()).encode()) {
                Ok(()) => {}
                Err(SendError::NotConnected) => return,
                Err(SendError::Full) => {
                    Counters::add(&self.counters.slow_clients, 1);
                    tracing::warn!(client = connection, remote = %client.remote(), "cut: its notices are not being read");
                    client.close("your notices are not being read; ask for your transactions by their ids");
                    return;
                }
                Err(error) => panic!("{} notices are no frame for a client: {error}", chunk.len()),
            }
        }
    }

    fn introduce(&self, client: &Client) {
        self.connected.write().expect("no panic while held").insert(client.id(), client.clone());
    }

    fn knows(&self, id: u64) -> bool {
        self.connected.read().expect("no panic while held").contains_key(&id)
    }

    fn forget(&self, id: u64) {
        self.connected.write().expect("no panic while held").remove(&id);
    }
}

/// A question of a customer that waits for its answer.
#[derive(Debug)]
pub struct Question {
    client: Client,
    id: u64,
}

impl Question {
    /// Answers. A customer that does not read its answers is disconnected by the network.
    pub fn answer(&self, answer: &impl Serialize) {
        let body = serde_json::to_vec(answer).expect("answers have string keys and no failing parts");
        let body = if body.len() > engine::limits::ANSWER_BYTES_MAX {
            let too_large = ErrorAnswer::unavailable("the answer is larger than a frame may be");
            serde_json::to_vec(&too_large).expect("as above")
        } else {
            body
        };
        let _disconnected =
            self.client.send(ServerFrame::Answer { id: self.id, body: Bytes::from(body) }.encode());
    }
}

/// Takes what customers send.
pub struct Reception {
    /// This network.
    pub network: Digest,
    /// This validator.
    pub validator: ValidatorIndex,
    /// Time.
    pub clock: Clock,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// To the verifiers.
    pub ingress: Lane<Submission>,
    /// To the query thread.
    pub questions: Sender<(Question, Query)>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl Reception {
    /// Takes one event of the network.
    pub fn take(&self, event: ClientEvent) -> Flow {
        match event {
            ClientEvent::Opened(_) => Flow::Continue,
            ClientEvent::Frame { client, frame } => self.frame(&client, frame),
            ClientEvent::Closed { id, reason } => {
                tracing::debug!(client = id, reason, "client gone");
                self.clients.forget(id);
                Flow::Continue
            }
        }
    }

    fn frame(&self, client: &Client, frame: Frame) -> Flow {
        match ClientFrame::decode(&frame.bytes) {
            Err(error) => self.refuse(client, format!("the frame cannot be read: {error}")),
            Ok(ClientFrame::Hello { version, network }) => self.hello(client, version, network),
            Ok(_) if !self.clients.knows(client.id()) => {
                self.refuse(client, "the first frame must be a Hello".into())
            }
            Ok(ClientFrame::Submit { tag, packets }) => {
                Counters::add(&self.counters.received, packets.len() as u64);
                let (connection, received_us) = (client.id(), self.clock.now_us());
                let hold = Some(Arc::new(frame.permit) as _);
                let submission = Submission { connection, tag, received_us, packets, hold };
                self.submit(submission)
            }
            Ok(ClientFrame::Query { id, query }) => self.ask(Question { client: client.clone(), id }, query),
        }
    }

    fn hello(&self, client: &Client, version: u32, network: Digest) -> Flow {
        if version != PROTOCOL_VERSION {
            let reason = format!("protocol version {version} is not spoken here, only {PROTOCOL_VERSION}");
            return self.refuse(client, reason);
        }
        if network != self.network {
            let reason = format!("this validator belongs to network {}, not to {network}", self.network);
            return self.refuse(client, reason);
        }
        self.clients.introduce(client);
        let height = Height(self.counters.height.load(Relaxed));
        let welcome =
            ServerFrame::Welcome { version: PROTOCOL_VERSION, network, validator: self.validator, height };
        let _disconnected = client.send(welcome.encode());
        Flow::Continue
    }

    fn submit(&self, submission: Submission) -> Flow {
        let (connection, tag, packets) =
            (submission.connection, submission.tag, submission.packets.len() as u64);
        if let Err(refused) = self.ingress.offer(submission) {
            let refusal = refused.refusal();
            self.counters.refuse(refusal.name(), packets);
            let verdict = Verdict::Refused(refusal);
            let notices = (tag..tag + packets).map(|tag| Notice { tag, verdict }).collect();
            self.clients.notify(connection, notices);
        }
        Flow::Continue
    }

    fn ask(&self, question: Question, query: Query) -> Flow {
        if let Err(refused) = self.questions.try_send((question, query)) {
            let (TrySendError::Full((question, _)) | TrySendError::Disconnected((question, _))) = refused;
            question.answer(&ErrorAnswer::unavailable("too many questions are waiting; ask again later"));
        }
        Flow::Continue
    }

    fn refuse(&self, client: &Client, reason: String) -> Flow {
        Counters::add(&self.counters.client_frames_refused, 1);
        tracing::debug!(client = client.id(), remote = %client.remote(), reason, "client refused");
        let _disconnected = client.send(ServerFrame::Rejected { reason: reason.clone() }.encode());
        Flow::Close(reason)
    }
}
