//! The ledger over HTTP: JSON-RPC 2.0, REST and streams of events, for programs that speak no QUIC; metrics; and a
//! console for people.
//!
//! ```text
//! HTTP/1.1, HTTP/2, TLS ─▶ guard ─▶ rpc │ rest │ streams │ metrics │ console ─▶ gateway ─▶ desk ─▶ Host: the node
//!                            │                      │                                ├─ Remote: over the client protocol
//!                            └─ tokens       operations: one table of them           └─ in the node's own process
//! ```
//!
//! Invariants:
//! - it is a client of the node's rooms, never a way around them: it can do nothing that a client cannot;
//! - it holds no key that signs anything;
//! - what callers can make it hold is bounded: connections, requests, bodies, questions, submissions, streams;
//! - beyond loopback nothing is open without TLS and tokens or client certificates ([`Doors::check`]);
//! - administration has a listener of its own ([`Administration`]), and is off unless it is configured;
//! - a read names the durable height that it speaks of. Its Merkle paths are handed on as the node gave them; only the
//!   proofs for strangers are checked here.

mod host;
mod remote;
mod settings;
mod tokens;
mod certificates;
mod followed;
mod admin;
mod clock;
mod serve;
mod watched;
mod latest;
mod ready;
#[cfg(test)]
mod testing;
mod guard;
mod rest;
mod rpc;
mod openapi;
mod operations;
mod arguments;
pub mod nearest;
mod numbers;
mod failure;
mod streams;
mod console;
mod webhooks;
mod metrics;
mod meters;
mod offenders;
mod gateway;
mod desk;

pub use admin::{AdminError, Denied, Steward};
pub use certificates::ClientFiles;
pub use host::{Boxed, EventReceiver, EventSender, Gone, Host, Listen, NotRead, Speak, Talk, events};
pub use remote::Remote;
pub use serve::{Running, Share, StartError, THREAD_NAME, start};
pub use settings::{
    AdminDoors, Administration, Doors, DoorsError, STREAMS_OF_CALLER, Settings, TlsFiles, Words,
};
pub use tokens::{Listed, Scope, Scopes, TokenError, TokenFile};
pub use webhooks::{NoWebhook, Webhook};
