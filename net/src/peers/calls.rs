//! How a pair of validators finds each other: calling peers with a higher index, and answering calls.
//!
//! A flood of handshakes that are never finished must not keep a peer out. Calls from exactly the address
//! of a peer have places of their own ([`Link::calls`](super::link::Link)); all others share
//! [`STRANGERS_MAX`] places, fair by address. While many are taken, a caller must first show that it
//! receives what is sent to its address (QUIC's *Retry*), so a forged address takes no place.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint, Incoming, VarInt};

use super::gate::{Verdict, refused_pause};
use super::link::{Opened, certificate_of, open_streams};
use super::{Line, Mesh, OpenMesh};
use crate::identity::Fingerprint;
use crate::metrics::Metrics;
use crate::tls::SERVER_NAME;
use crate::transport::{Accepting, close, closing_words, tls_alert};

/// Handshakes that may be under way from addresses that belong to no peer.
pub(super) const STRANGERS_MAX: usize = 64;
/// From so many on, a caller must show that its address is its own.
const STRANGERS_UNCHECKED: usize = 16;
/// A handshake and the opening of the streams must be done by then.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// The same for the calling side: mostly short, so that a peer that has just started is found soon,
/// with a long one among them for a slow path or a busy machine.
const CALL_LIMITS_MS: [u64; 4] = [400, 400, 400, 2_000];
/// Pauses between calls; the last one from then on.
const PAUSES_MS: [u64; 5] = [20, 50, 100, 200, 200];
/// How often a caller looks whether a peer is still excluded; the exclusion may be ended early.
const EXCLUDED_POLL: Duration = Duration::from_millis(200);

/// What two processes with one identity are told.
const DUPLICATE_WORDS: &str = "another connection of this identity is alive: two processes use one identity";

impl Mesh {
    /// Starts accepting and calling.
    pub(crate) fn run(self: Arc<Self>, open: OpenMesh) {
        for (peer, config) in open.calling {
            tokio::spawn(self.clone().keep_calling(open.endpoint.clone(), peer, config));
        }
        tokio::spawn(self.keep_accepting(open.endpoint, open.accepting));
    }

    async fn keep_calling(self: Arc<Self>, endpoint: Endpoint, peer: u16, config: quinn::ClientConfig) {
        let link = &self.links[&peer];
        let (mut failures, mut refusals) = (0, 0);
        let mut told = String::new();
        loop {
            let now = self.clock.now();
            if let Some((until, _)) = link.excluded(now) {
                tokio::time::sleep(until.saturating_sub(now).min(EXCLUDED_POLL)).await;
                continue;
            }
            let limit = Duration::from_millis(CALL_LIMITS_MS[failures % CALL_LIMITS_MS.len()]);
            let mut called = None;
            let call = async {
                let connecting = endpoint
                    .connect_with(config.clone(), link.peer.address, SERVER_NAME)
                    .map_err(|error| error.to_string())?;
                let connection = connecting.await.map_err(|error| closing_words(&error))?;
                called = Some(connection.clone());
                let opened = open_streams(&connection, &self.channels).await;
                Ok((connection, opened.map_err(|error| error.to_string())?))
            };
            let result =
                tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err("no answer".to_owned()));
            let failed = match result {
                Ok((connection, opened)) => match link.admit(&connection, self.clock.now()) {
                    Verdict::Admit => {
                        self.serve(link, connection, opened).await;
                        None
                    }
                    // Excluded meanwhile: the words go with the connection.
                    Verdict::Excluded(words) => {
                        connection.close(close::EXCLUDED.into(), words.as_bytes());
                        None
                    }
                    Verdict::Duplicate { .. } => None,
                },
                Err(reason) => Some(reason),
            };
            let refused = called.as_ref().and_then(refused_with);
            if refused == Some(close::DUPLICATE) {
                self.metrics.duplicate_identities.add(1);
            }
            refusals = if refused.is_some() { refusals + 1 } else { 0 };
            match failed {
                None => {
                    failures = 0;
                    told.clear();
                }
                Some(reason) => {
                    failures += 1;
                    if reason != told && self.tell_failure(peer, &reason, refused) {
                        told = reason;
                    }
                }
            }
            tokio::time::sleep(match refusals {
                0 => Duration::from_millis(PAUSES_MS[failures.min(PAUSES_MS.len() - 1)]),
                times => refused_pause(times),
            })
            .await;
        }
    }

    /// Logs why a call failed, if a line may be written.
    fn tell_failure(&self, peer: u16, reason: &str, refused: Option<u32>) -> bool {
        let address = self.links[&peer].peer.address;
        if refused == Some(close::DUPLICATE) {
            let line = self.may_log(Line::Duplicate, peer);
            return line.inspect(|suppressed| {
                tracing::warn!(peer, %address, reason, suppressed,
                    "refused by a peer: two processes use the identity of this validator, {}; stop one of them", self.me);
            }).is_some();
        }
        let line = self.may_log(Line::Unreachable, peer);
        line.inspect(
            |suppressed| tracing::info!(peer, %address, reason, suppressed, "cannot reach a peer yet"),
        )
        .is_some()
    }

    async fn keep_accepting(self: Arc<Self>, endpoint: Endpoint, accepting: Accepting) {
        while let Some(incoming) = endpoint.accept().await {
            let remote = incoming.remote_address();
            let caller = self.links.values().find(|link| is_same(link.peer.address, remote));
            let (places, unchecked) = match caller {
                Some(link) => (&link.calls, 1),
                None => (&self.strangers, STRANGERS_UNCHECKED),
            };
            if places.used() >= unchecked && !incoming.remote_address_validated() {
                self.metrics.handshakes_retried.add(1);
                // An address that is not validated can always be asked to show that it is its own.
                let _ = incoming.retry();
                continue;
            }
            let Some(mut place) = places.take(remote.ip(), self.clock.now()) else {
                self.metrics.handshakes_ignored.add(1);
                incoming.ignore();
                continue;
            };
            let (mesh, accepting) = (self.clone(), accepting.clone());
            tokio::spawn(async move {
                let accepted = tokio::select! {
                    accepted = mesh.accept(incoming, &accepting) => accepted,
                    () = place.displaced() => {
                        mesh.metrics.handshakes_displaced.add(1);
                        None
                    }
                };
                drop(place);
                if let Some((peer, connection, opened)) = accepted {
                    mesh.serve(&mesh.links[&peer], connection, opened).await;
                }
            });
        }
    }

    /// Takes a call as far as a link that can be served; a refusal is counted and logged.
    async fn accept(&self, incoming: Incoming, accepting: &Accepting) -> Option<(u16, Connection, Opened)> {
        let remote = incoming.remote_address();
        let refused = |reason: &str| {
            if let Some(suppressed) = self.may_log_refusal(remote.ip()) {
                tracing::warn!(%remote, reason, suppressed, "refused a peer");
            }
        };
        let handshake = async { incoming.accept_with(accepting.for_remote(remote))?.await };
        let connection = match tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                count_refusal(&self.metrics, &error);
                refused(&closing_words(&error));
                return None;
            }
            Err(_) => {
                self.metrics.refused_handshake.add(1);
                refused("the handshake took too long");
                return None;
            }
        };
        let certificate = certificate_of(&connection);
        let peer = certificate.and_then(|certificate| self.peer_of(Fingerprint::of(&certificate)));
        let Some(peer) = peer.filter(|peer| *peer < self.me) else {
            let reason = "the validator with the higher index is called, it does not call";
            self.metrics.refused_direction.add(1);
            refused(reason);
            connection.close(close::REFUSED.into(), reason.as_bytes());
            return None;
        };
        if !self.is_admitted(peer, &connection) {
            return None;
        }
        let opened = open_streams(&connection, &self.channels);
        match tokio::time::timeout(HANDSHAKE_LIMIT, opened).await {
            Ok(Ok(opened)) => Some((peer, connection, opened)),
            Ok(Err(error)) => {
                self.end(&connection, &error);
                refused(&error.to_string());
                None
            }
            Err(_) => {
                self.metrics.refused_handshake.add(1);
                connection.close(close::VIOLATION.into(), b"the streams were not opened in time");
                refused("the streams were not opened in time");
                None
            }
        }
    }

    /// Whether this connection is now the one of its peer; otherwise it is closed with the reason.
    fn is_admitted(&self, peer: u16, connection: &Connection) -> bool {
        let (code, words) = match self.links[&peer].admit(connection, self.clock.now()) {
            Verdict::Admit => return true,
            Verdict::Excluded(words) => {
                self.metrics.refused_excluded.add(1);
                (close::EXCLUDED, words)
            }
            Verdict::Duplicate { first } => {
                self.metrics.duplicate_identities.add(1);
                if first && let Some(suppressed) = self.may_log(Line::Duplicate, peer) {
                    tracing::warn!(peer, remote = %connection.remote_address(), suppressed,
                        "two processes use the identity of validator {peer}: its older connection is kept; stop one of them");
                }
                (close::DUPLICATE, DUPLICATE_WORDS.to_owned())
            }
        };
        connection.close(code.into(), words.as_bytes());
        false
    }
}

/// Whether two addresses are one; a socket for both families shows IPv4 addresses inside IPv6 ones.
fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

/// The code of a refusal after which a caller waits longer each time.
fn refused_with(connection: &Connection) -> Option<u32> {
    let Some(ConnectionError::ApplicationClosed(closed)) = connection.close_reason() else { return None };
    let codes = [close::DUPLICATE, close::EXCLUDED];
    codes.into_iter().find(|code| closed.error_code == VarInt::from_u32(*code))
}

/// Which counter a failed handshake belongs to, by the alert of TLS (RFC 8446, section 6).
fn count_refusal(metrics: &Metrics, error: &ConnectionError) {
    const CERTIFICATE_EXPIRED: u64 = 45;
    const UNKNOWN_CA: u64 = 48;
    const CERTIFICATE_REQUIRED: u64 = 116;
    let counter = match tls_alert(error) {
        Some(UNKNOWN_CA) => &metrics.refused_unknown,
        Some(CERTIFICATE_EXPIRED) => &metrics.refused_expired,
        Some(CERTIFICATE_REQUIRED) => &metrics.refused_no_certificate,
        _ => &metrics.refused_handshake,
    };
    counter.add(1);
}
