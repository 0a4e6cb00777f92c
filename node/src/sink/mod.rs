//! A null sink: it speaks the client protocol of a validator, answers *committed* to everything at once, and verifies,
//! orders, executes and writes nothing. It is there to show what the load generator can do alone.
//!
//! ```text
//!   bench, load ── millrace sink, a process ──▶ Sink: for each connection of the load a port and a thread
//!   generator ──▶ the same sessions as a validator's ──▶ committed
//! ```
//!
//! Nobody can take it for a validator. Its certificate is its own and made at its start. Its network has another id,
//! which follows from that of the real one: a client of the real network is told what this is and refused, and what is
//! signed for a sink is worthless everywhere else. Its status says so, too.
//!
//! Its memory is bounded by what the transport holds for a client; it keeps nothing itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context as _;
use engine::types::{Digest, ValidatorIndex};
use loadgen::Endpoint;
use net::{Flow, Identity, Network, Settings};
use sha2::{Digest as _, Sha256};

use crate::validator::counters::Counters;
use crate::validator::{client_settings, sessions};
use server::SinkServer;

mod process;
mod server;

pub use process::{SinkProcess, serve};

/// Under the hash that makes the id of a sink's network.
const DOMAIN: &[u8] = b"millrace/null-sink/1";

/// The id of the network for which a sink of a network takes transactions.
#[must_use]
pub fn network_of_sink(of: &Digest) -> Digest {
    Digest(Sha256::new().chain_update(DOMAIN).chain_update(of.as_bytes()).finalize().into())
}

/// A running null sink. Dropping it closes its ports.
pub struct Sink {
    network: Digest,
    endpoints: Vec<Endpoint>,
    counters: Arc<Counters>,
    ports: Vec<Network>,
}

impl Sink {
    /// Opens a sink beside the network `of`, with a port on loopback for each connection of a load.
    ///
    /// # Errors
    /// The system gives no port, no thread or no randomness.
    pub fn start(of: &Digest, connections: usize) -> anyhow::Result<Self> {
        let network = network_of_sink(of);
        let mut sink = Self { network, endpoints: Vec::new(), counters: Arc::default(), ports: Vec::new() };
        for at in 0..connections {
            let identity = Identity::generate("null sink").context("no certificate for a null sink")?;
            let fingerprint = identity.fingerprint().0;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let sockets = net::bind(&[address]).context("no port for a null sink")?;
            let address = sockets.first().context("no port for a null sink")?.local_addr()?;
            let server = SinkServer::new(*of, ValidatorIndex(at as u16), sink.counters.clone());
            let settings = Settings {
                thread_name: "net".to_owned(),
                identity,
                peers: None,
                clients: Some(client_settings(sockets)),
            };
            let taking = move |event| sessions::take(&server, event);
            sink.ports.push(Network::start(settings, |_| Flow::Continue, taking)?);
            sink.endpoints.push(Endpoint { address: address.into(), fingerprint });
        }
        Ok(sink)
    }

    /// The id of its network.
    #[must_use]
    pub fn network(&self) -> Digest {
        self.network
    }

    /// Where it answers, in the order of a load's connections.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Transactions that it has received, and those that it has called committed.
    #[must_use]
    pub fn counted(&self) -> (u64, u64) {
        (self.counters.received.load(Relaxed), self.counters.notices.load(Relaxed))
    }

    fn stop(self) {
        self.ports.into_iter().for_each(|port| port.shutdown(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests;
