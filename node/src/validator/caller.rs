//! Who submits and asks: a client behind the network, or the gateway in this process.

use client::{Event, RawAnswer};
use engine::wire::ServerFrame;
use gateway::EventSender;
use net::SendError;

/// A client that has introduced itself, from wherever it calls. Cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Behind the network.
    Remote(net::Client),
    /// In this process.
    Here(Neighbour),
}

/// The connection of the gateway in this process.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Its number, which no connection of the network has.
    pub id: u64,
    /// The way to it.
    pub events: EventSender,
}

impl Caller {
    /// Never used twice while the validator runs.
    pub fn id(&self) -> u64 {
        match self {
            Self::Remote(client) => client.id(),
            Self::Here(neighbour) => neighbour.id,
        }
    }

    /// Where it calls from, for the log.
    pub fn place(&self) -> String {
        match self {
            Self::Remote(client) => client.remote().to_string(),
            Self::Here(_) => "the gateway in this process".to_owned(),
        }
    }

    /// Sends a frame, or queues it.
    ///
    /// # Errors
    /// [`SendError`]: nothing of it is sent.
    pub fn send(&self, frame: ServerFrame) -> Result<(), SendError> {
        let neighbour = match self {
            Self::Remote(client) => return client.send(frame.encode()),
            Self::Here(neighbour) => neighbour,
        };
        let event = match frame {
            ServerFrame::Notices(notices) => Event::Notices(notices),
            ServerFrame::Accepted(tags) => Event::Accepted(tags),
            ServerFrame::Answer { id, as_of, body } => Event::Answer(RawAnswer { id, as_of, body }),
            // It is welcomed when it calls, and hears its end from the channel.
            ServerFrame::Welcome { .. } | ServerFrame::Rejected { .. } => return Ok(()),
        };
        neighbour.events.send(event).map_err(|_| SendError::Full)
    }

    /// Ends the connection with these words.
    pub fn close(&self, reason: &str) {
        match self {
            Self::Remote(client) => client.close(reason),
            Self::Here(neighbour) => neighbour.events.close(reason),
        }
    }
}
