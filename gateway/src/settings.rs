//! What a gateway is to be like, and the rules that keep it from being open by mistake.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use client::Address;
use engine::types::{Charter, Decision, Digest, Genesis, ProposalRecord, Transaction};
use serde_json::Value;

use crate::admin::Steward;
use crate::certificates::ClientFiles;
use crate::tokens::{Scope, Scopes};
use crate::webhooks::Webhook;

/// Streams that a caller may have open, if nothing is said.
pub const STREAMS_OF_CALLER: usize = 256;

/// Where the certificate of a gateway and its key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// What somebody who configures a gateway decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// What callers without a token may do.
    pub anonymous: Scopes,
    /// The file of tokens, if there are any.
    pub tokens: Option<PathBuf>,
    /// Its certificate, if it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Who vouches for client certificates, if those are asked for.
    pub clients: Option<ClientFiles>,
    /// The names under which it is called, beside the addresses on which it listens and `localhost`.
    pub hosts: Vec<String>,
    /// The origins whose pages may call it, beside its own.
    pub origins: Vec<String>,
    /// Where the alarms of the node are posted.
    pub webhooks: Vec<Webhook>,
    /// How many streams a caller may have open: a token, or an address without one.
    pub streams_of_caller: usize,
}

/// Doors that nothing was said of: they are closed.
impl Default for Doors {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            anonymous: Scopes::default(),
            tokens: None,
            tls: None,
            clients: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            webhooks: Vec::new(),
            streams_of_caller: STREAMS_OF_CALLER,
        }
    }
}

/// What a gateway needs to begin.
#[derive(Clone)]
pub struct Settings {
    /// What was configured.
    pub doors: Doors,
    /// The network.
    pub network: Digest,
    /// Its genesis, where that is at hand.
    pub genesis: Option<Arc<Genesis>>,
    /// What says in words, and as fields, what was signed.
    pub words: Words,
    /// How the node is administered over HTTP, if it is.
    pub administration: Option<Administration>,
    /// Where other validators answer clients, by the fingerprints of their certificates, as far as that is known.
    pub others: Vec<([u8; 32], Address)>,
}

/// Administration over HTTP.
#[derive(Clone)]
pub struct Administration {
    /// Its listener.
    pub doors: AdminDoors,
    /// What does it.
    pub steward: Arc<dyn Steward>,
}

/// The listener of administration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminDoors {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The file of tokens.
    pub tokens: PathBuf,
    /// Its certificate, if it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Who vouches for client certificates, if those are asked for.
    pub clients: Option<ClientFiles>,
    /// The names under which it is called, beside the addresses on which it listens and `localhost`.
    pub hosts: Vec<String>,
    /// The file of its audit log.
    pub audit: PathBuf,
}

fn is_beyond(listen: &[SocketAddr]) -> Option<SocketAddr> {
    listen.iter().copied().find(|address| !address.ip().to_canonical().is_loopback())
}

impl AdminDoors {
    /// An address that other machines reach, if there is one.
    #[must_use]
    pub fn is_beyond(&self) -> Option<SocketAddr> {
        is_beyond(&self.listen)
    }

    /// Whether it may be opened: beyond this machine only with TLS and client certificates.
    ///
    /// # Errors
    /// [`DoorsError`], which says what is missing.
    pub fn check(&self) -> Result<(), DoorsError> {
        if self.listen.is_empty() {
            return Err(DoorsError::NoListen);
        }
        if self.clients.is_some() && self.tls.is_none() {
            return Err(DoorsError::ClientsWithoutTls);
        }
        match self.is_beyond() {
            Some(beyond) if self.clients.is_none() => Err(DoorsError::AdminBeyond(beyond)),
            _ => Ok(()),
        }
    }
}

/// What says what was signed.
#[derive(Clone, Copy)]
pub struct Words {
    /// What a transaction means, as fields of an object.
    pub fields: fn(&Transaction) -> Value,
    /// The same in a line of English.
    pub line: fn(&Transaction) -> String,
    /// A decision of administrators in a line of English.
    pub decision: fn(&Decision) -> String,
    /// A proposal, and how far it is, as fields of an object.
    pub proposal: fn(&ProposalRecord) -> Value,
    /// What is in effect on a chain, as fields of an object.
    pub charter: fn(&Charter) -> Value,
}

/// Doors that would be open by mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoorsError {
    /// It listens nowhere.
    #[error("the gateway listens on no address: name one, such as 127.0.0.1:7480")]
    NoListen,
    /// Everybody on the way could read tokens.
    #[error(
        "the gateway is to listen on {0}, which other machines reach, without TLS: name a certificate and its private \
         key, or listen on 127.0.0.1"
    )]
    NoTls(SocketAddr),
    /// Everybody could call.
    #[error(
        "the gateway is to listen on {0}, which other machines reach, without authentication: name a file of tokens \
         (`millrace token new`) or an authority of client certificates, or listen on 127.0.0.1"
    )]
    NoTokens(SocketAddr),
    /// Certificates are shown in TLS alone.
    #[error(
        "client certificates are asked for without TLS: name a certificate and its private key as well, or leave the \
         authority out"
    )]
    ClientsWithoutTls,
    /// Who has a token could administer from everywhere.
    #[error(
        "administration is to listen on {0}, which other machines reach, without TLS and client certificates: name \
         certificate, private_key and client_authority, or listen on 127.0.0.1"
    )]
    AdminBeyond(SocketAddr),
    /// Administration is nobody's without a token.
    #[error("callers without a token cannot administer: leave admin out of what they may do")]
    AnonymousAdmin,
    /// Everybody could do this.
    #[error(
        "the gateway is to listen on {0}, which other machines reach, and callers without a token may {1}: write \
         `anonymous = []` (`--anonymous none`), or listen on 127.0.0.1"
    )]
    Anonymous(SocketAddr, Scopes),
}

impl Doors {
    /// Whether they may be opened: beyond this machine only with TLS, with tokens, and with nothing for those who have
    /// none.
    ///
    /// # Errors
    /// [`DoorsError`], which says what is missing.
    pub fn check(&self) -> Result<(), DoorsError> {
        if self.listen.is_empty() {
            return Err(DoorsError::NoListen);
        }
        if self.anonymous.has(Scope::Admin) {
            return Err(DoorsError::AnonymousAdmin);
        }
        if self.clients.is_some() && self.tls.is_none() {
            return Err(DoorsError::ClientsWithoutTls);
        }
        let Some(beyond) = is_beyond(&self.listen) else { return Ok(()) };
        if self.tls.is_none() {
            return Err(DoorsError::NoTls(beyond));
        }
        if self.tokens.is_none() && self.clients.is_none() {
            return Err(DoorsError::NoTokens(beyond));
        }
        match self.anonymous.is_empty() {
            true => Ok(()),
            false => Err(DoorsError::Anonymous(beyond, self.anonymous)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Scope;

    #[test]
    fn beyond_this_machine_it_takes_tls_and_tokens_and_nothing_without_them() {
        let mut doors = Doors {
            listen: vec!["127.0.0.1:7480".parse().unwrap(), "[::1]:7480".parse().unwrap()],
            anonymous: [Scope::Read, Scope::Submit].into_iter().collect(),
            ..Doors::default()
        };
        assert_eq!(doors.check(), Ok(()));
        doors.listen.push("[::ffff:127.0.0.1]:7481".parse().unwrap());
        assert_eq!(doors.check(), Ok(()), "the same machine, written otherwise");
        let beyond: SocketAddr = "0.0.0.0:7480".parse().unwrap();
        doors.listen[0] = beyond;
        assert_eq!(doors.check(), Err(DoorsError::NoTls(beyond)));
        doors.tls = Some(TlsFiles { certificate: "tls.crt".into(), private_key: "tls.key".into() });
        assert_eq!(doors.check(), Err(DoorsError::NoTokens(beyond)));
        let files = || ClientFiles { authority: "ca.crt".into(), clients: "clients.toml".into() };
        doors.clients = Some(files());
        assert_eq!(
            doors.check(),
            Err(DoorsError::Anonymous(beyond, doors.anonymous)),
            "certificates do as well"
        );
        doors.clients = None;
        doors.tokens = Some("tokens.toml".into());
        assert_eq!(doors.check(), Err(DoorsError::Anonymous(beyond, doors.anonymous)));
        let words = doors.check().unwrap_err().to_string();
        assert!(words.contains("anonymous = []"), "it says what to write: {words}");
        doors.anonymous = Scopes::default();
        assert_eq!(doors.check(), Ok(()));
        doors.anonymous = [Scope::Admin].into_iter().collect();
        assert_eq!(doors.check(), Err(DoorsError::AnonymousAdmin));
        (doors.anonymous, doors.tls, doors.clients) = (Scopes::default(), None, Some(files()));
        assert_eq!(doors.check(), Err(DoorsError::ClientsWithoutTls));
        doors.listen.clear();
        assert_eq!(doors.check(), Err(DoorsError::NoListen));
    }

    #[test]
    fn administration_beyond_this_machine_takes_tls_and_client_certificates() {
        let mut doors = AdminDoors {
            listen: vec!["127.0.0.1:7490".parse().unwrap()],
            tokens: "tokens.toml".into(),
            tls: None,
            clients: None,
            hosts: Vec::new(),
            audit: "audit.log".into(),
        };
        assert_eq!(doors.check(), Ok(()));
        let beyond: SocketAddr = "[::]:7490".parse().unwrap();
        doors.listen.push(beyond);
        assert_eq!(doors.check(), Err(DoorsError::AdminBeyond(beyond)));
        doors.tls = Some(TlsFiles { certificate: "tls.crt".into(), private_key: "tls.key".into() });
        assert_eq!(doors.check(), Err(DoorsError::AdminBeyond(beyond)));
        doors.clients = Some(ClientFiles { authority: "ca.crt".into(), clients: "clients.toml".into() });
        assert_eq!(doors.check(), Ok(()));
        doors.tls = None;
        assert_eq!(doors.check(), Err(DoorsError::ClientsWithoutTls));
    }
}
