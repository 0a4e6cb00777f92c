//! The one stream of events of a browser. An event says only that there is a new moment; the pages show what changed.
//!
//! Invariants: at most [`STREAMS_MAX`] streams, each of at most [`LIFE`]: then the browser comes again, and is asked
//! again who it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout};

use super::pulse::{Moment, Pulse};
use crate::failure::Failure;
use crate::gateway::{Gateway, Visitor};
use crate::streams::Open;

/// Streams that are open at a time.
pub const STREAMS_MAX: usize = 1_024;
/// How long a stream stays open.
const LIFE: Duration = Duration::from_secs(600);
/// How often a stream sends a comment when it has no event.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

struct Stream {
    gateway: Arc<Gateway>,
    moments: Receiver<Option<Arc<Moment>>>,
    until: Instant,
    _held: (OwnedSemaphorePermit, Open),
}

/// Opens a stream.
///
/// # Errors
/// Too many are open, of this visitor or of all.
pub fn open(gateway: Arc<Gateway>, visitor: Visitor) -> Result<Response<Body>, Failure> {
    let full = || Failure::unavailable("too many streams of the console are open; ask again later").after(10);
    let room = gateway.console.streams.clone().try_acquire_owned().map_err(|_| full())?;
    let held = (room, Open::of(&gateway, visitor.caller)?);
    let moments = Pulse::follow(&gateway);
    let stream = Stream { gateway, moments, until: Instant::now() + LIFE, _held: held };
    let events = unfold(stream, |mut stream| async move {
        let changed = timeout(ALIVE_EVERY, stream.moments.changed()).await;
        if stream.until <= Instant::now() || matches!(changed, Ok(Err(_))) {
            return None;
        }
        // It goes on being one who looks.
        stream.moments = Pulse::follow(&stream.gateway);
        let moment = stream.moments.borrow_and_update().clone();
        let bytes = match moment {
            Some(moment) if changed.is_ok() => event(&moment),
            _ => Bytes::from_static(b": alive\n\n"),
        };
        Some((Ok::<_, Infallible>(bytes), stream))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn event(moment: &Moment) -> Bytes {
    let status = &moment.sample.status;
    let data = json!({
        "height": status.committed.0.to_string(),
        "alarms": status.alarms.len(),
        "lost": moment.lost.is_some(),
    });
    Bytes::from(format!("event: moment\ndata: {data}\n\n"))
}
