//! How a stream travels: as server-sent events, or over a WebSocket (RFC 6455).
//!
//! ```text
//! server-sent events   id, event and data on a line each          a comment every ALIVE_EVERY
//! WebSocket            {"id", "event", "data"} a text message     a ping every ALIVE_EVERY ─▶ close code and reason
//! ```
//!
//! A socket accepts no messages. The parameters of a stream are in its address. The token is among the protocols that
//! the client offers (`millrace.v1, bearer.TOKEN`): a page in a browser can put it there, and logs do not have it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts as _, Request};
use axum::http::Response;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use futures_util::stream::{SplitSink, SplitStream, unfold};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, interval_at, timeout};

use super::{Course, Event, Open, Step, event};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// How often a stream sends a comment or a ping when it has no event.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// A socket on which nothing was heard for this time, not even an answer to a ping, is closed.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a socket waits until the other side has closed it, too.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a message that a socket reads before it is refused: no message is accepted.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
/// The protocol that a socket speaks, where the other side offers any.
const PROTOCOL: &str = "millrace.v1";
/// What stands before a token among the protocols.
const BEARER: &str = "bearer.";

/// How a stream travels.
pub enum Carrier {
    /// As server-sent events.
    Events,
    /// Over a WebSocket.
    Socket(Box<WebSocketUpgrade>),
}

/// What a stream holds while it is open.
type Held = (OwnedSemaphorePermit, Open);

/// The token among the protocols of a WebSocket, if one stands there.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(UPGRADE)?;
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|offer| offer.to_str().ok());
    offered.flat_map(|offer| offer.split(',')).find_map(|one| one.trim().strip_prefix(BEARER))
}

impl Carrier {
    /// What a request asks for.
    ///
    /// # Errors
    /// [`failure::INVALID_REQUEST`]: it begins a WebSocket, and not as RFC 6455 says.
    pub async fn of(request: &mut Request) -> Result<Self, Failure> {
        if !request.headers().contains_key(UPGRADE) {
            return Ok(Self::Events);
        }
        let whole = std::mem::take(request);
        let (mut parts, body) = whole.into_parts();
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
        *request = Request::from_parts(parts, body);
        match upgrade {
            Ok(upgrade) => Ok(Self::Socket(Box::new(upgrade))),
            Err(refused) => {
                let message = format!("this begins no WebSocket of version 13 over HTTP/1.1: {refused}");
                Err(Failure::new(failure::INVALID_REQUEST, message))
            }
        }
    }

    /// The response with which a stream begins.
    pub(super) fn carry(self, gateway: Arc<Gateway>, course: impl Course, held: Held) -> Response<Body> {
        match self {
            Self::Events => events(gateway, course, held),
            Self::Socket(upgrade) => upgrade
                .protocols([PROTOCOL])
                .read_buffer_size(MESSAGE_BYTES_MAX)
                // Each message is written at once, so none waits in a buffer of its own.
                .write_buffer_size(0)
                .max_message_size(MESSAGE_BYTES_MAX)
                .max_frame_size(MESSAGE_BYTES_MAX)
                .on_upgrade(move |socket| async move {
                    speak(socket, &gateway, course).await;
                    drop(held);
                }),
        }
    }
}

/// Server-sent events.
fn events(gateway: Arc<Gateway>, course: impl Course, held: Held) -> Response<Body> {
    let events = unfold(Some((course, gateway, held)), |state| async {
        let (mut course, gateway, held) = state?;
        let bytes = match timeout(ALIVE_EVERY, course.step(&gateway)).await {
            Err(_) => Bytes::from_static(b": alive\n\n"),
            Ok(Ok(Step::Send(event))) => lines(&event),
            Ok(Ok(Step::End)) => return None,
            // It says why, and ends: the caller goes on from its cursor.
            Ok(Err(failure)) => {
                return Some((Ok(lines(&event("error", "", failure.to_json()))), None));
            }
        };
        Some((Ok::<_, Infallible>(bytes), Some((course, gateway, held))))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn lines(Event { name, id, data }: &Event) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n"))
}

fn message(Event { name, id, data }: &Event) -> Message {
    Message::text(format!("{{\"id\":{},\"event\":\"{name}\",\"data\":{data}}}", json!(id)))
}

/// How a socket ends: a code, and why.
type Ending = (u16, String);

/// Sends a stream over a socket, until one side ends it.
async fn speak(socket: WebSocket, gateway: &Gateway, course: impl Course) {
    let (mut sink, mut heard) = socket.split();
    let ending = sent(&mut sink, &mut heard, gateway, course).await;
    let close = async {
        if let Some((code, reason)) = ending {
            let reason = reason.into();
            let _ = sink.send(Message::Close(Some(CloseFrame { code, reason }))).await;
        }
        let _ = sink.flush().await;
        while let Some(Ok(_)) = heard.next().await {}
    };
    let _ = timeout(FAREWELL, close).await;
}

/// Sends what comes; nothing is answered where the other side is gone, or has closed the socket.
async fn sent(
    sink: &mut SplitSink<WebSocket, Message>,
    heard: &mut SplitStream<WebSocket>,
    gateway: &Gateway,
    mut course: impl Course,
) -> Option<Ending> {
    let mut ping = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
    let mut lived = Instant::now();
    loop {
        let step = {
            let mut step = pin!(course.step(gateway));
            loop {
                tokio::select! {
                    step = &mut step => break step,
                    message = heard.next() => match message? {
                        Ok(Message::Ping(_) | Message::Pong(_)) => lived = Instant::now(),
                        Ok(Message::Text(_) | Message::Binary(_)) => {
                            return Some((close_code::POLICY, "this socket takes no messages".to_owned()));
                        }
                        Ok(Message::Close(_)) | Err(_) => return None,
                    },
                    _ = ping.tick() => {
                        if lived.elapsed() > SILENCE {
                            return Some((close_code::POLICY, "no ping was answered".to_owned()));
                        }
                        sink.send(Message::Ping(Bytes::new())).await.ok()?;
                    }
                }
            }
        };
        match step {
            Ok(Step::Send(event)) => sink.send(message(&event)).await.ok()?,
            Ok(Step::End) => return Some((close_code::NORMAL, "it is final".to_owned())),
            Err(failure) => {
                sink.send(message(&event("error", "", failure.to_json()))).await.ok()?;
                return Some((code_of(&failure), failure.kind.name.to_owned()));
            }
        }
    }
}

/// The close code of a failure: those of RFC 6455 where one fits, and 4000 and the HTTP status of the others.
fn code_of(failure: &Failure) -> u16 {
    match failure.kind.status {
        500 => close_code::ERROR,
        503 => close_code::AGAIN,
        status => 4_000 + status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_same_on_both_ways() {
        let event = event("block", "7", json!({ "height": 7, "memo": "a\nb\u{2028}" }));
        let lines = lines(&event);
        let (head, data) = std::str::from_utf8(&lines).unwrap().split_once("data: ").unwrap();
        assert_eq!((head, data.lines().count()), ("id: 7\nevent: block\n", 2));
        let said: serde_json::Value = serde_json::from_str(message(&event).to_text().unwrap()).unwrap();
        assert_eq!(said["data"], serde_json::from_str::<serde_json::Value>(data).unwrap());
        assert_eq!((&said["id"], &said["event"]), (&json!("7"), &json!("block")));
    }

    #[test]
    fn a_token_stands_among_the_protocols_of_a_socket_and_nowhere_else() {
        let mut headers = HeaderMap::new();
        let offer = HeaderValue::from_static("millrace.v1, bearer.mr_01");
        headers.insert(SEC_WEBSOCKET_PROTOCOL, offer);
        assert_eq!(token(&headers), None, "this is no socket");
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        assert_eq!(token(&headers), Some("mr_01"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("millrace.v1"));
        assert_eq!(token(&headers), None);
    }

    #[test]
    fn a_close_code_says_whether_to_come_back() {
        let codes = [failure::UNAVAILABLE, failure::INTERNAL, failure::BELOW_RETENTION]
            .map(|kind| code_of(&Failure::new(kind, "")));
        assert_eq!(codes, [1013, 1011, 4410]);
    }
}
