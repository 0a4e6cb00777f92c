//! The host for a process of its own: a node that is called over the client protocol.

use client::{ACCEPTED_SINCE, Address, Connection, Event, Fingerprint, Query, Receiver, Sender};
use engine::types::{Digest, PacketSlab};

use crate::host::{Boxed, Gone, Host, Listen, Speak, Talk};

/// A node behind its port for clients, pinned by its certificate.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is called.
    pub address: Address,
    /// What its certificate is recognised by.
    pub fingerprint: Fingerprint,
    /// The network that it must belong to.
    pub network: Digest,
}

impl Host for Remote {
    fn open(&self) -> Boxed<'_, Result<Talk, Gone>> {
        Box::pin(async {
            let opened = Connection::open(&self.address, self.fingerprint, &self.network).await;
            let Connection { sender, receiver, welcome } = opened.map_err(gone)?;
            let tells = welcome.version >= ACCEPTED_SINCE;
            Ok(Talk { speak: Box::new(Mouth { sender, tells }), listen: Box::new(Ear(receiver)), welcome })
        })
    }
}

struct Mouth {
    sender: Sender,
    /// Whether the node is of a release that says what it accepts.
    tells: bool,
}

impl Speak for Mouth {
    fn submit(&mut self, first: u64, packets: PacketSlab) -> Boxed<'_, Result<(), Gone>> {
        Box::pin(async move {
            let sent = match self.tells {
                true => self.sender.submit_and_hear([(first, packets)]).await,
                false => self.sender.submit([(first, packets)]).await,
            };
            sent.map_err(gone)
        })
    }

    fn ask(&mut self, questions: Vec<(u64, Query)>) -> Boxed<'_, Result<(), Gone>> {
        Box::pin(async move { self.sender.ask(questions).await.map_err(gone) })
    }
}

struct Ear(Receiver);

impl Listen for Ear {
    fn next(&mut self) -> Boxed<'_, Result<Event, Gone>> {
        Box::pin(async { self.0.next().await.map_err(gone) })
    }
}

fn gone(error: client::ClientError) -> Gone {
    Gone(error.to_string())
}
