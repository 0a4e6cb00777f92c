//! Administration: a listener of its own, off unless it is configured, and in the node's process only.
//!
//! ```text
//! curl ─▶ TLS and certificate, or loopback ─▶ Host, no Origin ─▶ token or certificate with the scope `admin`
//!                                                                      │
//!            audit log ◀── who, what, when ── the call ── outcome ──▶ answer
//! ```
//!
//! Invariants:
//! - nothing here signs, and nothing here is reached through the other doors, whatever their tokens allow;
//! - a change is in the audit log before it is made, and what came of it before it is answered: where that log cannot
//!   be written, nothing is changed;
//! - changes have a log of their own: reads are in another one, and of refused calls so many that nobody fills it;
//! - no page of a browser gets an answer: a request with an `Origin` is refused, and no cookie is looked at.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN};
use axum::http::{Method, Response, StatusCode};
use client::answers::AlarmKind;
use kernels::sha2::sha256;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::certificates::{Clients, Shown};
use crate::clock;
use crate::console::chance;
use crate::failure::{self, Failure};
use crate::guard::{Peer, authority, bearer_of, caller, name_of};
use crate::meters::Meters;
use crate::offenders::{Offenders, TOKENS};
use crate::rest::{JSON, failed, media_type};
use crate::settings::AdminDoors;
use crate::tokens::{Bearer, PREFIX, Scope, TokenError, TokenFile, Tokens};

mod audit;
mod refusals;

use audit::{Audit, Line};
use refusals::Refusals;

/// Calls that are worked on at a time.
const CALLS_MAX: usize = 16;
/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 32;
/// Bytes of a body.
const BODY_BYTES_MAX: usize = 4 << 10;
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Why the node does not do something, in words for who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// What was asked for cannot be.
    Invalid(String),
    /// There is nothing of that kind.
    NotFound(String),
    /// It could not be done.
    Failed(String),
}

/// What administration asks of the node.
pub trait Steward: Send + Sync + 'static {
    /// The silences that are in effect.
    ///
    /// # Errors
    /// They cannot be read.
    fn silences(&self) -> Result<Value, Denied>;
    /// Silences an alarm for so many seconds; says until when.
    ///
    /// # Errors
    /// The limits of silences are exceeded, or they cannot be written.
    fn silence(&self, of: (AlarmKind, Option<u16>), seconds: u64, reason: &str) -> Result<Value, Denied>;
    /// Ends a silence.
    ///
    /// # Errors
    /// There is none, or it cannot be written.
    fn unsilence(&self, of: (AlarmKind, Option<u16>)) -> Result<Value, Denied>;
    /// What of the log is written.
    fn log_level(&self) -> Value;
    /// Writes this of the log from now on, until the configuration is read again.
    ///
    /// # Errors
    /// It is no level.
    fn set_log_level(&self, level: &str) -> Result<Value, Denied>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Silencing {
    alarm: AlarmKind,
    about: Option<u16>,
    seconds: u64,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsilencing {
    alarm: AlarmKind,
    about: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoking {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    level: String,
}

/// What does a call. It may take the disk.
type Run = fn(&Admin, Value) -> Result<Value, Denied>;

/// A call.
struct Call {
    name: &'static str,
    path: &'static str,
    /// Whether it changes something, and so takes a body.
    changes: bool,
    run: Run,
}

const CALLS: [Call; 7] = [
    Call { name: "silences", path: "/v1/silences", changes: false, run: |of, _| of.steward.silences() },
    Call {
        name: "silence",
        path: "/v1/silences",
        changes: true,
        run: |of, told| {
            let Silencing { alarm, about, seconds, reason } = read(told)?;
            of.steward.silence((alarm, about), seconds, &reason)
        },
    },
    Call {
        name: "unsilence",
        path: "/v1/silences/end",
        changes: true,
        run: |of, told| {
            let Unsilencing { alarm, about } = read(told)?;
            of.steward.unsilence((alarm, about))
        },
    },
    Call { name: "tokens", path: "/v1/tokens", changes: false, run: |of, _| of.tokens() },
    Call {
        name: "revoke_token",
        path: "/v1/tokens/revoke",
        changes: true,
        run: |of, told| of.revoke(&read::<Revoking>(told)?.name),
    },
    Call {
        name: "log_level",
        path: "/v1/log-level",
        changes: false,
        run: |of, _| Ok(of.steward.log_level()),
    },
    Call {
        name: "set_log_level",
        path: "/v1/log-level",
        changes: true,
        run: |of, told| of.steward.set_log_level(&read::<Level>(told)?.level),
    },
];

fn read<T: serde::de::DeserializeOwned>(told: Value) -> Result<T, Denied> {
    serde_json::from_value(told).map_err(|error| Denied::Invalid(format!("the body: {error}")))
}

/// The listener's state.
pub struct Admin {
    steward: Arc<dyn Steward>,
    token_file: PathBuf,
    known: Tokens,
    clients: Option<Clients>,
    /// Whether others than this machine can call: each of them shows a certificate.
    is_beyond: bool,
    hosts: Vec<String>,
    /// What was changed.
    audit: Audit,
    /// What was read and refused.
    reads: Audit,
    refusals: Refusals,
    calls: Arc<Semaphore>,
    tries: Offenders,
    meters: Meters,
    started: Instant,
}

/// Why administration cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Its tokens or certificates cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// Its audit log cannot be written.
    #[error("{}: the audit log of administration cannot be written: {source}", file.display())]
    Audit {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Who calls, for the audit log.
struct Who {
    words: String,
    bearer: Bearer,
}

impl Admin {
    /// Opens what it needs.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn open(
        doors: &AdminDoors,
        steward: Arc<dyn Steward>,
        meters: Meters,
    ) -> Result<Arc<Self>, AdminError> {
        let log = |file: PathBuf| Audit::open(&file).map_err(|source| AdminError::Audit { file, source });
        let mut reads = doors.audit.clone().into_os_string();
        reads.push(".reads");
        let (audit, reads) = (log(doors.audit.clone())?, log(reads.into())?);
        let own = doors.listen.iter().map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
        let own = own.map(|ip| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
        let hosts =
            own.chain(["localhost".to_owned()]).chain(doors.hosts.iter().map(|host| host.to_lowercase()));
        Ok(Arc::new(Self {
            steward,
            token_file: doors.tokens.clone(),
            known: Tokens::open(&doors.tokens)?,
            clients: doors.clients.as_ref().map(|files| Clients::open(&files.clients)).transpose()?,
            is_beyond: doors.is_beyond().is_some(),
            hosts: hosts.collect(),
            audit,
            reads,
            refusals: Refusals::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            tries: Offenders::new(TOKENS),
            meters,
            started: Instant::now(),
        }))
    }

    /// Its paths: all lead to one handler.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    fn tokens(&self) -> Result<Value, Denied> {
        let file = TokenFile::load(&self.token_file).map_err(|error| Denied::Failed(error.to_string()))?;
        let fields = |of: &crate::tokens::Listed| json!({ "name": of.name, "scopes": of.scopes, "expires": of.expires });
        Ok(json!({ "tokens": file.tokens.iter().map(fields).collect::<Vec<_>>() }))
    }

    fn revoke(&self, name: &str) -> Result<Value, Denied> {
        let failed = |error: TokenError| match error {
            TokenError::Unknown { .. } => Denied::NotFound(format!("there is no token {name:?}")),
            other => Denied::Failed(other.to_string()),
        };
        TokenFile::change(&self.token_file, |file| file.revoke(&self.token_file, name)).map_err(failed)?;
        Ok(json!({ "revoked": name }))
    }

    /// Who sends a request, if it may be sent here at all.
    fn admit(&self, request: &Request, peer: &Peer) -> Result<Who, Failure> {
        let called = authority(request.headers(), request.uri());
        if !self.hosts.iter().any(|host| *host == name_of(&called)) {
            let words = "administration is not called under this name: use the address on which it listens, or one of its hosts";
            return Err(Failure::new(failure::WRONG_HOST, words));
        }
        if request.headers().contains_key(ORIGIN) {
            let words = "administration takes no requests from pages in browsers";
            return Err(Failure::new(failure::WRONG_ORIGIN, words));
        }
        let holder = self.holder(peer);
        if self.is_beyond {
            holder.as_ref().map_err(Clone::clone)?;
        }
        let unknown = |words: &str| Failure::new(failure::UNAUTHORIZED, words);
        match bearer_of(request.headers()) {
            None => holder,
            Some(token) => {
                let hash =
                    token.filter(|token| token.starts_with(PREFIX)).map(|token| sha256(token.as_bytes()));
                let found = hash.and_then(|hash| {
                    self.known.find_hash(&hash, self.started.elapsed(), clock::unix_seconds())
                });
                // Wrong ones alone are held off: other programs share an address with the operator.
                let bearer = found.ok_or_else(|| {
                    let from = caller("address", &peer.address.ip().to_canonical().to_string());
                    if let Some(seconds) = self.tries.holds_off(from, Instant::now()) {
                        let words = format!("too many tokens were wrong: try again in {seconds} seconds");
                        return Failure::new(failure::TOO_MANY, words).after(seconds);
                    }
                    self.tries.note(from, Instant::now());
                    tracing::warn!(from = %peer.address, "administration was called with a token that is not good");
                    unknown("the token is unknown, revoked or expired: get another one")
                })?;
                let beside = holder.map_or_else(|_| String::new(), |of| format!(" with {}", of.words));
                Ok(Who { words: format!("token {}{beside}", bearer.name), bearer })
            }
        }
    }

    /// Who holds the certificate of a connection.
    fn holder(&self, peer: &Peer) -> Result<Who, Failure> {
        let unknown = |words: &str| Failure::new(failure::UNAUTHORIZED, words);
        let certificate = match &peer.shown {
            Shown::Good(certificate) => certificate,
            Shown::Bad(words) => return Err(unknown(words)),
            Shown::Nothing if self.is_beyond => {
                return Err(unknown(
                    "no client certificate was shown, without which nobody administers from elsewhere",
                ));
            }
            Shown::Nothing => {
                return Err(unknown("write Authorization: Bearer, and a token with the scope admin"));
            }
        };
        let clients = self.clients.as_ref().ok_or_else(|| unknown("no certificate is known here"))?;
        let bearer = clients.find(certificate, self.started.elapsed(), clock::unix_seconds());
        let bearer = bearer.ok_or_else(|| {
            let key = hex::encode(certificate.key);
            unknown(&format!(
                "the key {key} of the client certificate is not in the file of clients, or has ended"
            ))
        })?;
        Ok(Who { words: format!("certificate {}", bearer.name), bearer })
    }

    /// Who may administer and sends a request; else what is known of who sends it, and why it is refused.
    fn permit(&self, request: &Request, peer: &Peer) -> Result<Who, (String, Failure)> {
        let shown = || self.holder(peer).map_or_else(|_| "unknown".to_owned(), |of| of.words);
        let who = self.admit(request, peer).map_err(|failure| (shown(), failure))?;
        if who.bearer.scopes.has(Scope::Admin) {
            return Ok(who);
        }
        let words = format!("this needs the scope admin, and the {} allows {}", who.words, who.bearer.scopes);
        Err((who.words, Failure::new(failure::FORBIDDEN, words)))
    }

    /// Writes down who was refused which call. It is refused also where that cannot be written.
    fn note(&self, call: &str, (who, from): (&str, &str), (failure, left_out): (&Failure, u64)) {
        let (what, unix, why) = (&Value::Null, clock::unix_seconds(), Some(failure.message.as_str()));
        let written = call_id().map_err(|failure| failure.message).and_then(|id| {
            let line = Line { call_id: &id, unix, who, from, call, what, outcome: "refused", why, left_out };
            self.reads.append(line).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::error!("a refused call cannot be written to the audit log of administration: {error}");
        }
    }

    /// Does a call, with what it leaves in the audit log.
    fn work(&self, call: &Call, (who, from): (&Who, &str), told: Value) -> Result<Value, Failure> {
        let id = call_id()?;
        let log = if call.changes { &self.audit } else { &self.reads };
        let what = told.clone();
        let write = |outcome: &str, why: Option<&str>| {
            let (unix, who, what) = (clock::unix_seconds(), who.words.as_str(), &what);
            let line =
                Line { call_id: &id, unix, who, from, call: call.name, what, outcome, why, left_out: 0 };
            log.append(line).map_err(|error| {
                tracing::error!("the audit log of administration cannot be written: {error}");
                Failure::unavailable("the audit log cannot be written; the log of the validator says why")
                    .after(10)
            })
        };
        if call.changes {
            write("begun", None)?;
        }
        match (call.run)(self, told) {
            Ok(answer) => {
                write("done", None)?;
                if call.changes {
                    tracing::info!(
                        who = who.words,
                        from,
                        call = call.name,
                        "administration has changed something"
                    );
                }
                Ok(answer)
            }
            Err(denied) => {
                let (kind, words) = match denied {
                    Denied::Invalid(words) => (failure::INVALID_PARAMS, words),
                    Denied::NotFound(words) => (failure::NOT_FOUND, words),
                    Denied::Failed(words) => (failure::UNAVAILABLE, words),
                };
                write("refused", Some(&words))?;
                Err(Failure::new(kind, words))
            }
        }
    }
}

/// What ties the lines of a call together.
fn call_id() -> Result<String, Failure> {
    let id = chance().map(|id| id[..16].to_owned());
    id.map_err(|error| Failure::new(failure::INTERNAL, format!("there is no randomness: {error}")))
}

async fn answer(State(admin): State<Arc<Admin>>, request: Request) -> Response<Body> {
    let answered = answered(&admin, request).await;
    let mut response = answered.unwrap_or_else(|failure| {
        admin.meters.failed(failure.kind);
        failed(&failure)
    });
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answered(admin: &Arc<Admin>, request: Request) -> Result<Response<Body>, Failure> {
    let full = || Failure::unavailable("too many calls are being worked on; ask again later");
    let room = admin.calls.clone().try_acquire_owned().map_err(|_| full())?;
    let peer: Peer = request.extensions().get().cloned().expect("every connection has it");
    let call = find(request.method(), request.uri().path());
    let (admin, from) = (admin.clone(), peer.address.to_string());
    let defect =
        |_| Failure::new(failure::INTERNAL, "administration has met a defect of its own; please report it");
    // Before the body: one that may not administer takes no room from those that may.
    let who = match admin.permit(&request, &peer) {
        Ok(who) => who,
        Err((who, failure)) => {
            let key = match who.as_str() {
                "unknown" => caller("address", &peer.address.ip().to_canonical().to_string()),
                known => caller("who", known),
            };
            let Some(left_out) = admin.refusals.has_room(key, Instant::now()) else { return Err(failure) };
            let name = call.map_or("unknown", |call| call.name);
            let note = move || {
                let _room = room;
                admin.note(name, (&who, &from), (&failure, left_out));
                failure
            };
            return Err(tokio::task::spawn_blocking(note).await.unwrap_or_else(defect));
        }
    };
    let call = call?;
    let (parts, body) = request.into_parts();
    let told = if call.changes {
        media_type(&parts.headers, &[JSON])?;
        let bytes = timeout(BODY_PATIENCE, to_bytes(body, BODY_BYTES_MAX)).await;
        let slow =
            || Failure::new(failure::TOO_SLOW, format!("the body did not come within {BODY_PATIENCE:?}"));
        let large =
            || Failure::new(failure::TOO_LARGE, format!("the body has more than {BODY_BYTES_MAX} bytes"));
        let bytes = bytes.map_err(|_| slow())?.map_err(|_| large())?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(failure::PARSE, format!("the body is not JSON: {error}")))?
    } else {
        Value::Null
    };
    // Work goes on when its caller is gone, so the room is its own.
    let work = move || {
        let _room = room;
        admin.work(call, (&who, &from), told)
    };
    let value = tokio::task::spawn_blocking(work).await.map_err(defect)??;
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    Ok(response)
}

/// The call at a path.
fn find(method: &Method, path: &str) -> Result<&'static Call, Failure> {
    static ALL: [Call; 7] = CALLS;
    let mut at_path = ALL.iter().filter(|call| call.path == path).peekable();
    if at_path.peek().is_none() {
        let known = ALL.iter().map(|call| call.path);
        return Err(Failure::unknown(failure::NOT_FOUND, "call of administration at", path, known));
    }
    let wanted = if call_changes(method) {
        at_path.find(|call| call.changes)
    } else {
        at_path.find(|call| !call.changes)
    };
    wanted.filter(|_| matches!(*method, Method::GET | Method::POST)).ok_or_else(|| {
        Failure::new(failure::WRONG_METHOD, "GET asks and POST changes; this path takes the other one")
    })
}

fn call_changes(method: &Method) -> bool {
    *method != Method::GET
}

#[cfg(test)]
pub(crate) mod tests;
