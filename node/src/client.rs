//! A client that asks one question at a time: what `query`, `bench` and `network up` use.
//!
//! ```text
//! connect: pinned TLS ── Hello(version, network) ──> Welcome     ask: Query ──> Answer (JSON)
//! ```
//!
//! Invariant: a `Client` that exists talks to the validator whose certificate was asked for, of the network
//! that was asked for, in the protocol version of this binary.

use std::net::SocketAddr;
use std::time::Duration;

use engine::limits::SERVER_FRAME_BYTES_MAX;
use engine::types::{Digest, Genesis, PacketSlab, ValidatorIndex};
use engine::wire::{ClientFrame, Notice, PROTOCOL_VERSION, Query, ServerFrame};
use net::{BlockingConnection, ConnectError, ConnectOptions, Fingerprint, LinkError};
use serde::de::DeserializeOwned;

use crate::network::Member;
use crate::query::answers::{ErrorAnswer, FailureKind, StatusAnswer};

/// How long a validator may take over one answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection was not made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was lost, or closed by the validator.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The validator said why it does not talk to us.
    #[error("the validator refuses: {0}")]
    Rejected(String),
    /// It answers something else than was asked.
    #[error("the validator's answer makes no sense: {0}")]
    Nonsense(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Not now.
    #[error("the validator cannot say now: {0}")]
    Unavailable(String),
}

/// A connection to one validator.
pub struct Client {
    connection: BlockingConnection,
    validator: ValidatorIndex,
    network: Digest,
    asked: u64,
    notices: Vec<Notice>,
}

impl Client {
    /// Connects to a member of a network.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(member: &Member, genesis: &Genesis) -> Result<Self, ClientError> {
        Self::open(member.clients, member.fingerprint, *genesis.network())
    }

    /// Connects to a validator of a network.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open(address: SocketAddr, fingerprint: Fingerprint, network: Digest) -> Result<Self, ClientError> {
        let options = ConnectOptions { frame_bytes_max: SERVER_FRAME_BYTES_MAX, ..ConnectOptions::default() };
        let mut connection = BlockingConnection::connect(address, fingerprint, options)?;
        connection.send(ClientFrame::Hello { version: PROTOCOL_VERSION, network }.encode())?;
        let mut client =
            Self { connection, validator: ValidatorIndex::default(), network, asked: 0, notices: Vec::new() };
        match client.receive(ANSWER_PATIENCE)? {
            ServerFrame::Welcome { validator, network: theirs, .. } if theirs == network => {
                client.validator = validator;
                Ok(client)
            }
            other => Err(nonsense(&other)),
        }
    }

    /// The validator at the other end.
    #[must_use]
    pub fn validator(&self) -> ValidatorIndex {
        self.validator
    }

    /// The network that it belongs to.
    #[must_use]
    pub fn network(&self) -> Digest {
        self.network
    }

    /// Asks, and reads the answer as `T`.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] and [`ClientError::Unavailable`] are the validator's own words.
    pub fn ask<T: DeserializeOwned>(&mut self, query: Query) -> Result<T, ClientError> {
        self.asked += 1;
        let asked = self.asked;
        self.connection.send(ClientFrame::Query { id: asked, query }.encode())?;
        loop {
            match self.receive(ANSWER_PATIENCE)? {
                ServerFrame::Answer { id, body } if id == asked => return read(&body),
                ServerFrame::Notices(notices) => self.notices.extend(notices),
                other => return Err(nonsense(&other)),
            }
        }
    }

    /// How the validator is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn status(&mut self) -> Result<StatusAnswer, ClientError> {
        self.ask(Query::Status)
    }

    /// Submits transactions; the first has the tag `tag`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn submit(&mut self, tag: u64, packets: PacketSlab) -> Result<(), ClientError> {
        Ok(self.connection.send(ClientFrame::Submit { tag, packets }.encode())?)
    }

    /// The notices that have come in, waiting up to `patience` for the first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn notices(&mut self, patience: Duration) -> Result<Vec<Notice>, ClientError> {
        if self.notices.is_empty() {
            match self.receive(patience)? {
                ServerFrame::Notices(notices) => return Ok(notices),
                other => return Err(nonsense(&other)),
            }
        }
        Ok(std::mem::take(&mut self.notices))
    }

    fn receive(&mut self, patience: Duration) -> Result<ServerFrame, ClientError> {
        let frame = self.connection.recv(patience)?;
        match ServerFrame::decode(&frame).map_err(|error| ClientError::Nonsense(error.to_string()))? {
            ServerFrame::Rejected { reason } => Err(ClientError::Rejected(reason)),
            frame => Ok(frame),
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    if let Ok(ErrorAnswer { error }) = serde_json::from_slice(body) {
        return Err(match error.kind {
            FailureKind::NotFound => ClientError::NotFound(error.reason),
            FailureKind::Unavailable => ClientError::Unavailable(error.reason),
        });
    }
    serde_json::from_slice(body).map_err(|error| ClientError::Nonsense(error.to_string()))
}

fn nonsense(frame: &ServerFrame) -> ClientError {
    let kind = match frame {
        ServerFrame::Welcome { .. } => "a welcome to another network, or a second one",
        ServerFrame::Notices(_) => "notices before the welcome",
        ServerFrame::Answer { .. } => "an answer to a question that was not asked",
        ServerFrame::Rejected { .. } => "a rejection",
    };
    ClientError::Nonsense(kind.to_owned())
}
