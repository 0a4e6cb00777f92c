//! A connection inside a tokio runtime, in two halves that two tasks can hold.

use std::time::Duration;

use bytes::Bytes;
use engine::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};
use engine::types::{Digest, PacketSlab, ValidatorIndex};
use engine::wire::{
    AsOf, ClientFrame, Notice, PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST, Query, ServerFrame, Standing,
};
use net::{Address, ClientConnection, ClientReceiver, ClientSender, ConnectOptions, Fingerprint};

use crate::{ClientError, RawAnswer};

/// A validator that does not welcome a client within this time is taken for dead.
const WELCOME_PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a validator that has welcomed this client.
pub struct Connection {
    /// The way to the validator.
    pub sender: Sender,
    /// The way back.
    pub receiver: Receiver,
    /// What the validator said first.
    pub welcome: Welcome,
}

/// What a validator says of itself when it welcomes a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// Which validator it is.
    pub validator: ValidatorIndex,
    /// Its committed height, and how far it knows that it is behind.
    pub as_of: AsOf,
    /// Whether it is a member, which takes transactions.
    pub standing: Standing,
    /// The version of the client protocol that is spoken.
    pub version: u32,
}

/// Submits transactions and asks questions.
pub struct Sender(ClientSender);

/// Takes what the validator says.
pub struct Receiver(ClientReceiver);

/// What a validator says to a client after its welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What became of submitted packets.
    Notices(Vec<Notice>),
    /// The tags of transactions that are in the validator's mempool now, where that was asked for. A verdict follows,
    /// or has come already.
    Accepted(Vec<u64>),
    /// The answer to a question.
    Answer(RawAnswer),
}

impl Connection {
    /// Connects to the client port of the validator whose certificate has this fingerprint, and greets it.
    ///
    /// # Errors
    /// [`ClientError`]: nobody answers, it is another validator, network or protocol version, or it refuses.
    pub async fn open(
        address: &Address,
        fingerprint: Fingerprint,
        network: &Digest,
    ) -> Result<Self, ClientError> {
        let options = ConnectOptions {
            frame_bytes_max: CLIENT_FRAME_BYTES_MAX.max(SERVER_FRAME_BYTES_MAX),
            ..ConnectOptions::default()
        };
        let connection = ClientConnection::connect(address, fingerprint, options).await?;
        let (mut sender, mut receiver) = connection.split();
        let hello = ClientFrame::Hello { version: PROTOCOL_VERSION, network: *network };
        sender.send(hello.encode()).await?;
        let frame = tokio::time::timeout(WELCOME_PATIENCE, receiver.recv()).await;
        let frame = frame.map_err(|_| ClientError::Silent(WELCOME_PATIENCE))??;
        let welcome = read_welcome(&frame, network)?;
        Ok(Self { sender: Sender(sender), receiver: Receiver(receiver), welcome })
    }
}

impl Sender {
    /// Sends submissions in one go, each with the tag of its first packet; waits while the validator pushes back.
    ///
    /// # Errors
    /// [`ClientError::Link`].
    pub async fn submit(
        &mut self,
        submissions: impl IntoIterator<Item = (u64, PacketSlab)>,
    ) -> Result<(), ClientError> {
        self.send(submissions, false).await
    }

    /// The same, and asks to be told which transactions are accepted, with [`Event::Accepted`]. Only a validator whose
    /// [version](Welcome::version) is at least [`ACCEPTED_SINCE`](crate::ACCEPTED_SINCE) can read it.
    ///
    /// # Errors
    /// [`ClientError::Link`].
    pub async fn submit_and_hear(
        &mut self,
        submissions: impl IntoIterator<Item = (u64, PacketSlab)>,
    ) -> Result<(), ClientError> {
        self.send(submissions, true).await
    }

    async fn send(
        &mut self,
        submissions: impl IntoIterator<Item = (u64, PacketSlab)>,
        tell: bool,
    ) -> Result<(), ClientError> {
        let frame = |(tag, packets)| ClientFrame::Submit { tag, packets, tell }.encode();
        Ok(self.0.send_all(submissions.into_iter().map(frame)).await?)
    }

    /// Asks questions in one go, each under a number that its answer repeats.
    ///
    /// # Errors
    /// [`ClientError::Link`].
    pub async fn ask(
        &mut self,
        questions: impl IntoIterator<Item = (u64, Query)>,
    ) -> Result<(), ClientError> {
        let frame = |(id, query)| ClientFrame::Query { id, query }.encode();
        Ok(self.0.send_all(questions.into_iter().map(frame)).await?)
    }
}

impl Receiver {
    /// What the validator says next.
    ///
    /// # Errors
    /// [`ClientError::Rejected`] with its last words; [`ClientError::Link`] when the connection has ended.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        read_event(&self.0.recv().await?)
    }

    /// The same, waiting no longer than `patience`.
    ///
    /// # Errors
    /// As [`Self::next`], and [`ClientError::Silent`].
    pub async fn next_within(&mut self, patience: Duration) -> Result<Event, ClientError> {
        tokio::time::timeout(patience, self.next()).await.map_err(|_| ClientError::Silent(patience))?
    }
}

fn read_welcome(frame: &Bytes, wanted: &Digest) -> Result<Welcome, ClientError> {
    match ServerFrame::decode(frame)? {
        ServerFrame::Welcome { version, .. }
            if !(PROTOCOL_VERSION_FIRST..=PROTOCOL_VERSION).contains(&version) =>
        {
            Err(ClientError::Version(version))
        }
        ServerFrame::Welcome { network, .. } if network != *wanted => {
            Err(ClientError::Network { wanted: *wanted, found: network })
        }
        ServerFrame::Welcome { version, validator, as_of, standing, .. } => {
            Ok(Welcome { validator, as_of, standing, version })
        }
        ServerFrame::Rejected { reason } => Err(ClientError::Rejected(reason)),
        ServerFrame::Notices(_) | ServerFrame::Accepted(_) => {
            Err(ClientError::Unexpected("notices before its welcome"))
        }
        ServerFrame::Answer { .. } => Err(ClientError::Unexpected("an answer before its welcome")),
    }
}

fn read_event(frame: &Bytes) -> Result<Event, ClientError> {
    match ServerFrame::decode(frame)? {
        ServerFrame::Notices(notices) => Ok(Event::Notices(notices)),
        ServerFrame::Accepted(tags) => Ok(Event::Accepted(tags)),
        ServerFrame::Answer { id, as_of, body } => Ok(Event::Answer(RawAnswer { id, as_of, body })),
        ServerFrame::Rejected { reason } => Err(ClientError::Rejected(reason)),
        ServerFrame::Welcome { .. } => Err(ClientError::Unexpected("a second welcome")),
    }
}

#[cfg(test)]
mod tests;
