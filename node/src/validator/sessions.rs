//! Sessions of clients, the same for a validator and for a null sink: how a client is greeted, how its frames are read,
//! and how it is told something, from any thread.
//!
//! ```text
//!   Hello ─▶ Welcome        Submit ─▶ Serves::submit        Query ─▶ Serves::ask
//! ```
//!
//! Invariant: nothing but a `Hello` of this network is listened to before it; a client that breaks the protocol is told
//! why and disconnected; one that does not read is disconnected when its queue is full. Neither is noticed by anybody
//! else.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use client::Welcome;
use engine::limits::NOTICES_MAX;
use engine::types::{Digest, PacketRun, PacketSlab, Verdict};
use engine::wire::answers::ErrorAnswer;
use engine::wire::{
    AsOf, ClientFrame, Notice, PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST, Query, ServerFrame, version_for,
};
use net::{Client, ClientEvent, Flow, Frame, Permit, SendError};
use serde::Serialize;

use super::caller::Caller;
use super::counters::Counters;

/// Who serves clients: a validator, or a null sink.
pub trait Serves {
    /// The clients that have introduced themselves.
    fn clients(&self) -> &Clients;
    /// The network that a client must name.
    fn network(&self) -> &Digest;
    /// What a client is told that names this one instead.
    fn foreign(&self, network: &Digest) -> String;
    /// What a client of the network hears first.
    fn welcome(&self, version: u32) -> Welcome;
    /// Takes transactions, the first packet under this tag. The client may want to be told what is accepted; as long as
    /// the permit is kept, their bytes count as being on the way.
    fn submit(&self, client: &Client, tag: u64, packets: PacketSlab, tell: bool, permit: Permit);
    /// Takes a question.
    fn ask(&self, question: Question, query: Query);
    /// A client is gone.
    fn gone(&self, client: u64);
}

/// Takes one event of the network.
pub fn take(server: &impl Serves, event: ClientEvent) -> Flow {
    match event {
        ClientEvent::Opened(_) => Flow::Continue,
        ClientEvent::Frame { client, frame } => read(server, &client, frame),
        ClientEvent::Closed { id, reason } => {
            tracing::debug!(client = id, reason, "client gone");
            server.clients().forget(id);
            server.gone(id);
            Flow::Continue
        }
    }
}

fn read(server: &impl Serves, client: &Client, frame: Frame) -> Flow {
    let clients = server.clients();
    match ClientFrame::decode(&frame.bytes) {
        Err(error) => return clients.refuse(client, format!("the frame cannot be read: {error}")),
        Ok(ClientFrame::Hello { version, network }) => return greet(server, client, version, network),
        Ok(_) if !clients.knows(client.id()) => {
            return clients.refuse(client, "the first frame must be a Hello".into());
        }
        Ok(ClientFrame::Submit { tag, packets, tell }) => {
            Counters::add(&clients.counters.received, packets.runs().count() as u64);
            server.submit(client, tag, packets, tell, frame.permit);
        }
        Ok(ClientFrame::Query { id, query }) => {
            server.ask(Question::new(Caller::Remote(client.clone()), id), query);
        }
    }
    Flow::Continue
}

fn greet(server: &impl Serves, client: &Client, version: u32, network: Digest) -> Flow {
    let clients = server.clients();
    let Some(version) = version_for(version) else {
        let reason = format!(
            "the client speaks version {version} of the client protocol at most, and this validator versions \
             {PROTOCOL_VERSION_FIRST} to {PROTOCOL_VERSION}: use a program of a later release"
        );
        return clients.refuse(client, reason);
    };
    if network != *server.network() {
        return clients.refuse(client, server.foreign(&network));
    }
    clients.introduce(Caller::Remote(client.clone()), version);
    let Welcome { validator, as_of, standing, version } = server.welcome(version);
    let welcome = ServerFrame::Welcome { version, network, validator, as_of, standing };
    let _disconnected = client.send(welcome.encode());
    Flow::Continue
}

/// One verdict on each transaction of a submission, under the tag of its first packet.
pub fn verdicts(first: u64, packets: &PacketSlab, verdict: Verdict) -> Vec<Notice> {
    let mut tag = first;
    let notice = |run: PacketRun<'_>| {
        let of_first = tag;
        tag += run.packets().len() as u64;
        Notice { tag: of_first, verdict }
    };
    packets.runs().map(notice).collect()
}

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

    pub(super) fn introduce(&self, client: Caller, version: u32) {
        let id = client.id();
        self.connected.write().expect("no panic while held").insert(id, Connected { client, version });
    }

    /// The version that is spoken on a connection, if its client has been introduced.
    pub(super) fn version(&self, id: u64) -> Option<u32> {
        self.connected.read().expect("no panic while held").get(&id).map(|connected| connected.version)
    }

    fn knows(&self, id: u64) -> bool {
        self.connected.read().expect("no panic while held").contains_key(&id)
    }

    pub(super) fn forget(&self, id: u64) {
        self.connected.write().expect("no panic while held").remove(&id);
    }

    fn refuse(&self, client: &Client, reason: String) -> Flow {
        Counters::add(&self.counters.client_frames_refused, 1);
        tracing::debug!(client = client.id(), remote = %client.remote(), reason, "client refused");
        let _disconnected = client.send(ServerFrame::Rejected { reason: reason.clone() }.encode());
        Flow::Close(reason)
    }
}

/// A question of a client that waits for its answer.
#[derive(Debug)]
pub struct Question {
    client: Caller,
    id: u64,
}

impl Question {
    pub(super) fn new(client: Caller, id: u64) -> Self {
        Self { client, id }
    }

    /// The connection that it came from.
    pub fn client(&self) -> u64 {
        self.client.id()
    }

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
