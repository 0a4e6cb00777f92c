//! The gateway itself: what all requests share, and the one way through which every operation is called.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::certificates::{Certificate, Clients};
use crate::clock;
use crate::console::{Console, Session};
use crate::desk::Desk;
use crate::failure::{self, Failure};
use crate::meters::{Door, Meters};
use crate::numbers;
use crate::offenders::{Offenders, SIGNATURES};
use crate::operations::{Caller, Operation, Reply};
use crate::ready::Ready;
use crate::settings::Settings;
use crate::streams::Streams;
use crate::tokens::{Scope, Scopes, TokenError, Tokens};

/// Proofs that are made at a time; each holds a thread.
const PROOFS_MAX: usize = 4;
/// How long `min_height` is waited for.
const HEIGHT_PATIENCE: Duration = Duration::from_secs(5);

/// What all requests share.
pub struct Gateway {
    /// The way to the node.
    pub desk: Desk,
    /// What it is like.
    pub settings: Settings,
    /// The tokens, if there is a file of them.
    pub tokens: Option<Tokens>,
    /// What the keys of client certificates may do, if those are asked for.
    pub clients: Option<Clients>,
    /// Room for proofs.
    pub proofs: Semaphore,
    /// Who has sent bad signatures lately.
    pub offenders: Offenders,
    /// What is counted.
    pub meters: Meters,
    /// The streams of events.
    pub streams: Streams,
    /// The pages for people.
    pub console: Console,
    /// Whether the node is ready, as everybody may ask.
    pub ready: Ready,
    /// When it began.
    pub started: Instant,
}

/// Who a request comes from, and what it may do.
#[derive(Debug, Clone, Copy)]
pub struct Visitor {
    /// A number for its address, or for its token if it has one.
    pub caller: Caller,
    /// What it may do.
    pub scopes: Scopes,
    /// The SHA-256 of its token, if it has shown one.
    pub token: Option<[u8; 32]>,
    /// The certificate that it has shown, if it is known by that.
    pub certificate: Option<Certificate>,
    /// Its session, if it is a browser that has signed in.
    pub session: Option<Session>,
}

impl Gateway {
    /// A gateway to a node.
    ///
    /// # Errors
    /// The file of tokens cannot be used.
    pub fn new(settings: Settings, desk: Desk) -> Result<Self, TokenError> {
        let tokens = settings.doors.tokens.as_deref().map(Tokens::open).transpose()?;
        let clients = settings.doors.clients.as_ref();
        let clients = clients.map(|files| Clients::open(&files.clients)).transpose()?;
        Ok(Self {
            desk,
            settings,
            tokens,
            clients,
            proofs: Semaphore::new(PROOFS_MAX),
            offenders: Offenders::new(SIGNATURES),
            meters: Meters::new(),
            streams: Streams::default(),
            console: Console::default(),
            ready: Ready::default(),
            started: Instant::now(),
        })
    }

    /// Calls an operation: the same over every door.
    ///
    /// # Errors
    /// A [`Failure`] for the caller.
    pub async fn call(
        &self,
        operation: &Operation,
        (door, visitor): (Door, Visitor),
        arguments: Result<Arguments, Failure>,
    ) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let called = self.run(operation, visitor, arguments).await;
        let failure = called.as_ref().err().map(|failure| failure.kind);
        self.meters.called(door, operation.name, failure, begun.elapsed());
        called
    }

    async fn run(
        &self,
        operation: &Operation,
        visitor: Visitor,
        arguments: Result<Arguments, Failure>,
    ) -> Result<Reply, Failure> {
        visitor.may(operation.scope)?;
        let arguments = arguments?;
        let at = arguments.whole("at");
        self.reach(arguments.whole("min_height").max(at)).await?;
        let mut reply = (operation.run)(self, visitor.caller, &arguments).await?;
        if let Some(at) = at {
            answers_for(at, &reply.value)?;
        }
        numbers::exact(&mut reply.value);
        Ok(reply)
    }

    /// Waits until the node has committed a height.
    async fn reach(&self, height: Option<u64>) -> Result<(), Failure> {
        let Some(height) = height else { return Ok(()) };
        let until = Instant::now() + HEIGHT_PATIENCE;
        loop {
            let as_of = self.desk.as_of().await?;
            let committed = as_of.height;
            if committed.0 >= height {
                return Ok(());
            }
            if Instant::now() >= until {
                let message = format!(
                    "the node has committed height {committed}, and not {height} yet; ask again later, or another node"
                );
                let data = serde_json::json!({ "as_of": as_of });
                return Err(Failure::new(failure::BEHIND, message).after(1).with(data));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a visitor may still do something: its token or certificate can have been revoked, or have ended, since
    /// it came.
    ///
    /// # Errors
    /// As [`Visitor::may`]; [`failure::UNAUTHORIZED`] with a token that is not good any more.
    pub fn may_still(&self, visitor: Visitor, scope: Scope) -> Result<(), Failure> {
        let (now, unix) = (self.started.elapsed(), clock::unix_seconds());
        let (found, words) = match (visitor.token, visitor.certificate) {
            (Some(token), _) => {
                let found = self.tokens.as_ref().and_then(|tokens| tokens.find_hash(&token, now, unix));
                (found, "the token was revoked, or has ended")
            }
            (None, Some(certificate)) => {
                let found = self.clients.as_ref().and_then(|clients| clients.find(&certificate, now, unix));
                (found, "the client certificate is not known any more, or has ended")
            }
            (None, None) => return visitor.may(scope),
        };
        let ended = || Failure::new(failure::UNAUTHORIZED, words);
        Visitor { scopes: found.ok_or_else(ended)?.scopes, ..visitor }.may(scope)
    }

    /// How the node is, in its own words.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn status(&self) -> Result<(client::AsOf, Value), Failure> {
        let answer = self.desk.ask(client::Query::Status).await?;
        let status = serde_json::from_slice(&answer.body);
        let status =
            status.map_err(|error| Failure::new(failure::INTERNAL, format!("the node's status: {error}")))?;
        Ok((answer.as_of, status))
    }
}

/// Whether an answer is for the height that was asked for. Where not, it is for the node's newest one.
///
/// # Errors
/// [`failure::NOT_AT`].
fn answers_for(at: u64, answer: &Value) -> Result<(), Failure> {
    let as_of: client::AsOf = serde_json::from_value(answer["as_of"].clone()).unwrap_or_default();
    let newest = as_of.height.0;
    if newest == at { Ok(()) } else { Err(Failure::not_at(at, (newest, newest), as_of)) }
}

impl Visitor {
    /// Whether it may do something.
    ///
    /// # Errors
    /// [`failure::UNAUTHORIZED`] without a token, [`failure::FORBIDDEN`] with one that does not allow it.
    pub fn may(self, scope: Scope) -> Result<(), Failure> {
        match self.scopes.has(scope) {
            true => Ok(()),
            false => {
                let (kind, shown) = match (self.token, self.certificate) {
                    (Some(_), _) => (failure::FORBIDDEN, "the token"),
                    (None, Some(_)) => (failure::FORBIDDEN, "the client certificate"),
                    (None, None) => (failure::UNAUTHORIZED, "no token was shown, which"),
                };
                let message = format!("this needs the scope {scope}, and {shown} allows {}", self.scopes);
                Err(Failure::new(kind, message))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
