//! What a gateway is to be like, and the rules that keep it from being open by mistake.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use client::Address;
use engine::types::{Charter, Decision, Digest, Genesis, ProposalRecord, Transaction};
use serde_json::Value;

use crate::tokens::Scopes;
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
    /// Where other validators answer clients, by the fingerprints of their certificates, as far as that is known.
    pub others: Vec<([u8; 32], Address)>,
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
         (`millrace token new`), or listen on 127.0.0.1"
    )]
    NoTokens(SocketAddr),
    /// Everybody could do this.
    #[error(
        "the gateway is to listen on {0}, which other machines reach, and callers without a token may {1}: let them do \
         nothing, or listen on 127.0.0.1"
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
        let Some(beyond) = self.listen.iter().find(|address| !address.ip().to_canonical().is_loopback())
        else {
            return Ok(());
        };
        if self.tls.is_none() {
            return Err(DoorsError::NoTls(*beyond));
        }
        if self.tokens.is_none() {
            return Err(DoorsError::NoTokens(*beyond));
        }
        match self.anonymous.is_empty() {
            true => Ok(()),
            false => Err(DoorsError::Anonymous(*beyond, self.anonymous)),
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
        doors.tokens = Some("tokens.toml".into());
        assert_eq!(doors.check(), Err(DoorsError::Anonymous(beyond, doors.anonymous)));
        doors.anonymous = Scopes::default();
        assert_eq!(doors.check(), Ok(()));
        doors.listen.clear();
        assert_eq!(doors.check(), Err(DoorsError::NoListen));
    }
}
