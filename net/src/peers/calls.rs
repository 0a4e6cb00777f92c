//! How a pair of validators finds each other: calling peers with a higher fingerprint, and answering calls.
//!
//! A flood of handshakes that are never finished must not keep a peer out. Calls from exactly the address
//! of a peer, or from one that its name led to last, have places of their own
//! ([`Link::calls`](super::link::Link)); all others share [`STRANGERS_MAX`] places, fair by address. While
//! many are taken, a caller must first show that it receives what is sent to its address (QUIC's *Retry*), so
//! a forged address takes no place.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint, Incoming, VarInt};

use super::gate::{Verdict, refused_pause};
use super::link::{Link, Opened, certificate_of, open_streams};
use super::{Line, Mesh, OpenMesh};
use crate::address::{Names, Resolver};
use crate::endpoints::Endpoints;
use crate::metrics::Metrics;
use crate::tls::{PEER_PROTOCOLS, SERVER_NAME};
use crate::transport::{Accepting, Calling, UNKNOWN_CA, close, handshake_words, tls_alert};

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

/// Pauses between calls of a peer that has a name: each call looks it up, which is work for others, too.
const NAMED_PAUSES_MS: [u64; 5] = [20, 100, 250, 500, 1_000];
/// How long a lookup is waited for at a time.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// How often the name of a peer that calls us, and is not connected, is looked up, so that its calls have places of
/// their own.
const KNOWN_EVERY: Duration = Duration::from_secs(30);

/// Why a round of calls came to nothing.
enum Failure {
    /// The name leads nowhere.
    Unresolved(String),
    /// Nobody answered as the peer should.
    Unreached(String),
    /// The peer answered, and does not want the connection at present: the code of its refusal.
    Refused(u32, String),
    /// The same, when the connection was served already.
    Dismissed,
}

impl Failure {
    /// In words.
    fn reason(&self) -> &str {
        match self {
            Self::Unresolved(reason) | Self::Unreached(reason) | Self::Refused(_, reason) => reason,
            Self::Dismissed => "",
        }
    }
}

impl Mesh {
    /// Starts accepting and calling.
    pub(crate) fn run(self: Arc<Self>, open: OpenMesh) {
        for link in self.links.values().filter(|link| link.peer.fingerprint < self.known_as) {
            tokio::spawn(self.clone().keep_knowing(link.peer.index, open.names.clone()));
        }
        for (peer, config) in open.calling {
            let resolver = Resolver::new(self.links[&peer].address(), open.names.clone());
            tokio::spawn(self.clone().keep_calling(open.endpoints.clone(), peer, config, resolver));
        }
        for endpoint in open.endpoints.listening() {
            tokio::spawn(self.clone().keep_accepting(endpoint.clone(), open.accepting.clone()));
        }
    }

    /// Looks up where a peer calls from, as long as it is not connected.
    async fn keep_knowing(self: Arc<Self>, peer: u16, names: Names) {
        let link = &self.links[&peer];
        let mut resolver = Resolver::new(link.address(), names);
        loop {
            resolver.follow(link.address());
            if link.up().is_none() {
                match resolver.resolve(LOOKUP_LIMIT).await {
                    Ok(addresses) => link.found(resolver.address(), &addresses),
                    Err(reason) => drop(self.tell_failure(peer, &Failure::Unresolved(reason))),
                }
            }
            let _sooner = tokio::time::timeout(KNOWN_EVERY, link.is_sought.notified()).await;
        }
    }

    async fn keep_calling(
        self: Arc<Self>,
        endpoints: Arc<Endpoints>,
        peer: u16,
        config: Calling,
        mut resolver: Resolver,
    ) {
        let link = &self.links[&peer];
        let (mut failures, mut refusals) = (0, 0);
        let mut told = String::new();
        let mut answered = None;
        loop {
            let now = self.clock.now();
            if let Some((until, _)) = link.excluded(now) {
                tokio::time::sleep(until.saturating_sub(now).min(EXCLUDED_POLL)).await;
                continue;
            }
            let address = link.address();
            let pauses = if address.socket().is_some() { PAUSES_MS } else { NAMED_PAUSES_MS };
            resolver.follow(address);
            let limit = Duration::from_millis(CALL_LIMITS_MS[failures % CALL_LIMITS_MS.len()]);
            let failed =
                self.call_once(&endpoints, link, &config, (&mut resolver, limit), &mut answered).await;
            let is_refusal = matches!(failed, Err(Failure::Refused(..) | Failure::Dismissed));
            refusals = if is_refusal { refusals + 1 } else { 0 };
            match failed {
                Ok(()) | Err(Failure::Dismissed) => {
                    failures = 0;
                    told.clear();
                }
                Err(failure) => {
                    failures += 1;
                    if failure.reason() != told && self.tell_failure(peer, &failure) {
                        failure.reason().clone_into(&mut told);
                    }
                }
            }
            tokio::time::sleep(match refusals {
                0 => Duration::from_millis(pauses[failures.min(pauses.len() - 1)]),
                times => refused_pause(times),
            })
            .await;
        }
    }

    /// Calls all addresses that a peer has now, one after the other, each for no longer than `limit`, and serves the
    /// first connection until it ends. The address that has `answered` last comes first.
    async fn call_once(
        self: &Arc<Self>,
        endpoints: &Endpoints,
        link: &Link,
        config: &Calling,
        (resolver, limit): (&mut Resolver, Duration),
        answered: &mut Option<SocketAddr>,
    ) -> Result<(), Failure> {
        let mut addresses = resolver.resolve(LOOKUP_LIMIT).await.map_err(Failure::Unresolved)?;
        link.found(resolver.address(), &addresses);
        addresses.sort_by_key(|address| Some(*address) != *answered);
        let mut reasons = Vec::with_capacity(addresses.len());
        for address in &addresses {
            let mut called = None;
            let call = async {
                let endpoint = endpoints.towards(*address).map_err(|error| error.to_string())?;
                let connecting = endpoint
                    .connect_with(config.for_remote(*address), *address, SERVER_NAME)
                    .map_err(|error| error.to_string())?;
                let connection = connecting.await.map_err(|error| handshake_words(&error, PEER_PROTOCOLS))?;
                called = Some(connection.clone());
                let opened = open_streams(&connection, &self.channels).await;
                Ok((connection, opened.map_err(|error| error.to_string())?))
            };
            let result =
                tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err("no answer".to_owned()));
            let ended = match result {
                Ok((connection, opened)) => {
                    *answered = Some(*address);
                    match link.admit(&connection, self.clock.now()) {
                        Verdict::Admit => self.serve(link, connection, opened).await,
                        // Excluded meanwhile: the words go with the connection.
                        Verdict::Excluded(words) => {
                            connection.close(close::EXCLUDED.into(), words.as_bytes())
                        }
                        Verdict::Duplicate { .. } => {}
                    }
                    Ok(())
                }
                Err(reason) => Err(reason),
            };
            let refused = called.as_ref().and_then(refused_with);
            if refused == Some(close::DUPLICATE) {
                self.count_duplicate(self.me);
            }
            match (ended, refused) {
                (Ok(()), None) => return Ok(()),
                (Ok(()), Some(_)) => return Err(Failure::Dismissed),
                (Err(reason), Some(code)) => return Err(Failure::Refused(code, reason)),
                (Err(reason), None) if link.address().socket().is_some() => reasons.push(reason),
                (Err(reason), None) => reasons.push(format!("{address}: {reason}")),
            }
        }
        Err(Failure::Unreached(reasons.join("; ")))
    }

    /// Logs why a call failed, if a line may be written.
    fn tell_failure(&self, peer: u16, failure: &Failure) -> bool {
        let (address, reason) = (self.links[&peer].address(), failure.reason());
        let line = match failure {
            Failure::Refused(close::DUPLICATE, _) => Line::Duplicate,
            Failure::Unresolved(_) => Line::Unresolved,
            _ => Line::Unreachable,
        };
        let Some(suppressed) = self.may_log(line, peer) else { return false };
        match line {
            Line::Duplicate => tracing::warn!(peer, %address, reason, suppressed,
                "refused by a peer: two processes use the identity of this validator, {}; stop one of them", self.me),
            Line::Unresolved => tracing::warn!(peer, %address, reason, suppressed,
                "the name of a peer leads nowhere at present; it is looked up again at every attempt"),
            _ => tracing::info!(peer, %address, reason, suppressed, "cannot reach a peer yet"),
        }
        true
    }

    async fn keep_accepting(self: Arc<Self>, endpoint: Endpoint, accepting: Accepting) {
        while let Some(incoming) = endpoint.accept().await {
            let remote = incoming.remote_address();
            let caller = self.links.values().find(|link| link.is_at(remote));
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
                refused(&handshake_words(&error, PEER_PROTOCOLS));
                return None;
            }
            Err(_) => {
                self.metrics.refused_handshake.add(1);
                refused("the handshake took too long");
                return None;
            }
        };
        let certificate = certificate_of(&connection);
        let peer = certificate.and_then(|certificate| self.peer_of(&certificate));
        let Some(peer) = peer.filter(|peer| self.links[peer].peer.fingerprint < self.known_as) else {
            let reason = "the validator with the higher fingerprint is called, it does not call";
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
                self.count_duplicate(peer);
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

/// The code of a refusal after which a caller waits longer each time.
fn refused_with(connection: &Connection) -> Option<u32> {
    let Some(ConnectionError::ApplicationClosed(closed)) = connection.close_reason() else { return None };
    let codes = [close::DUPLICATE, close::EXCLUDED];
    codes.into_iter().find(|code| closed.error_code == VarInt::from_u32(*code))
}

/// Which counter a failed handshake belongs to, by the alert of TLS (RFC 8446, section 6).
fn count_refusal(metrics: &Metrics, error: &ConnectionError) {
    const CERTIFICATE_REQUIRED: u64 = 116;
    let counter = match tls_alert(error) {
        Some(UNKNOWN_CA) => &metrics.refused_unknown,
        Some(CERTIFICATE_REQUIRED) => &metrics.refused_no_certificate,
        _ => &metrics.refused_handshake,
    };
    counter.add(1);
}

#[cfg(test)]
mod tests;
