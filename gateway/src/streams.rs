//! Streams of events: blocks, what happened on a chain, a transaction's fate, alarms.
//!
//! ```text
//! one watcher asks the node for its height, while a stream is open ─▶ height ─▶ each stream goes on from its own cursor
//!                                         └─ each new block is encoded once ─▶ the last RECENT of them are shared
//! each stream ─▶ server-sent events, or a WebSocket: the same events with the same cursors
//! ```
//!
//! Invariants: an event is sent at least once, in order, and its id is the cursor to go on from (`Last-Event-ID`, or
//! `from`); a stream holds one event at a time, so a slow reader slows only itself; a cursor that the node no longer
//! keeps is answered with 410 before anything is streamed; a stream ends within seconds of the token that opened it.

mod carrier;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use client::answers::{BlockAnswer, FeedAnswer, StatusAnswer, TransactionAnswer};
use client::{Cursor, FeedQuery, Query};
use engine::types::{Height, TransactionId};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::arguments::{Arguments, Form, Parameter, Place};
use crate::failure::{self, Failure};
use crate::gateway::{Gateway, Visitor};
use crate::numbers::exact;
use crate::operations::{Caller, block_value, feed_query, happened};
use crate::tokens::Scope;

pub use carrier::{Carrier, token};

/// Streams that are open at a time.
const STREAMS_MAX: usize = 8_192;
/// How often the node is asked for its height while somebody listens.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// How often it is asked for a transaction that it does not find: each time it searches its newest blocks.
const FATE_EVERY: Duration = Duration::from_millis(500);
/// How often it is asked for its alarms.
const ALARMS_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked whether a caller may still read. A step is broken off for it, so this is longer than the desk
/// waits for an answer: a node that is silent is told of, and not asked over and over.
const ALLOWED_EVERY: Duration = Duration::from_secs(14);
/// Blocks that are kept encoded for those that follow.
const RECENT: usize = 256;
/// What of a block is in an event: the rest is asked for.
const OF_BLOCK: [&str; 7] =
    ["height", "digest", "time_ms", "epoch", "transactions", "failures", "state_root"];

const fn parameter(name: &'static str, form: Form, required: bool, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, form, required, about }
}

/// What a stream of blocks takes.
pub const OF_BLOCKS: &[Parameter] =
    &[parameter("from", Form::Whole(u64::MAX), false, "The first height; without it, the next one.")];
/// What a stream of a chain takes.
pub const OF_HISTORY: &[Parameter] = &[
    parameter("chain", Form::Whole(u32::MAX as u64), true, "The chain."),
    parameter("account", Form::Whole(u64::MAX), false, "Only what concerns this account."),
    parameter("reference", Form::Reference, false, "Only what carries this reference."),
    parameter("from", Form::Cursor, false, "Where to go on; without it, at the next height."),
    parameter("limit", Form::Whole(1_000), false, "Events that are asked for at a time."),
];
/// What a stream of a transaction's fate takes.
pub const OF_FATE: &[Parameter] = &[parameter("id", Form::Bytes32, true, "The id of the transaction.")];

/// All streams, for the description: path, what it takes, and what it is for.
pub const STREAMS: [(&str, &[Parameter], &str); 4] = [
    ("/v1/streams/blocks", OF_BLOCKS, "Blocks as they are committed."),
    ("/v1/streams/history", OF_HISTORY, "What happens on a chain, or to one account."),
    ("/v1/streams/fate", OF_FATE, "What becomes of a transaction; ends when that is final."),
    (
        "/v1/streams/alarms",
        &[],
        "The alarms of the node: all of them at first, and again whenever they change.",
    ),
];

/// Who asks for a stream, and how.
pub struct Asked {
    /// Who.
    pub visitor: Visitor,
    /// What it takes.
    pub arguments: Arguments,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// How the stream is to travel.
    pub carrier: Carrier,
}

/// What all streams share.
pub struct Streams {
    room: Arc<Semaphore>,
    height: watch::Sender<u64>,
    watching: AtomicBool,
    recent: Mutex<VecDeque<(u64, Arc<Event>)>>,
    /// How many each caller has open. Who has none is not in it.
    of_callers: Mutex<BTreeMap<Caller, usize>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(STREAMS_MAX)),
            height: watch::Sender::new(0),
            watching: AtomicBool::new(false),
            recent: Mutex::default(),
            of_callers: Mutex::default(),
        }
    }
}

/// An event, before it is written the way it travels.
struct Event {
    name: &'static str,
    id: String,
    /// JSON. It has no line breaks of its own, so what was said by others cannot end the event.
    data: String,
}

/// What comes next in a stream: an event, or its end.
enum Step {
    Send(Arc<Event>),
    End,
}

/// A stream of one kind.
trait Course: Send + 'static {
    /// What is to be sent next; waits for it. Where that is given up, nothing is lost: the next call tells it.
    fn step(&mut self, gateway: &Gateway) -> impl Future<Output = Result<Step, Failure>> + Send;
}

impl Streams {
    /// Follows the height of the node, and begins to look for it if nobody did.
    fn follow(gateway: &Arc<Gateway>) -> watch::Receiver<u64> {
        let heights = gateway.streams.height.subscribe();
        if !gateway.streams.watching.swap(true, SeqCst) {
            tokio::spawn(look(gateway.clone()));
        }
        heights
    }

    fn recent(&self, height: u64) -> Option<Arc<Event>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(at, _)| *at == height).map(|(_, event)| event.clone())
    }

    fn keep(&self, height: u64, event: &Arc<Event>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.iter().all(|(at, _)| *at != height) {
            recent.push_back((height, event.clone()));
            if recent.len() > RECENT {
                recent.pop_front();
            }
        }
    }
}

/// Looks for the height of the node until nobody listens.
async fn look(gateway: Arc<Gateway>) {
    let streams = &gateway.streams;
    loop {
        if let Ok(as_of) = gateway.desk.as_of().await {
            streams
                .height
                .send_if_modified(|height| std::mem::replace(height, as_of.height.0) != as_of.height.0);
        }
        if streams.height.receiver_count() == 0 {
            streams.watching.store(false, SeqCst);
            // Somebody who came in between has seen that there was one who looks.
            if streams.height.receiver_count() == 0 || streams.watching.swap(true, SeqCst) {
                return;
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

fn event(name: &'static str, id: &str, mut data: Value) -> Arc<Event> {
    exact(&mut data);
    Arc::new(Event { name, id: id.to_owned(), data: data.to_string() })
}

/// The place from which a caller goes on: what it has seen last, or what it says.
fn resumed(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())
}

/// Streams blocks, from a height on.
///
/// # Errors
/// A [`Failure`], before anything is streamed.
pub async fn blocks(gateway: Arc<Gateway>, asked: Asked) -> Result<Response<Body>, Failure> {
    let Asked { visitor, arguments, headers, carrier } = asked;
    let seen = resumed(&headers).map(|id| {
        id.parse::<u64>()
            .map_err(|_| Failure::invalid("Last-Event-ID is no height that this stream has given"))
    });
    let from = seen.transpose()?.map(|seen| seen.saturating_add(1)).or(arguments.whole("from"));
    let next = match from {
        Some(from) => from.max(1),
        None => gateway.desk.as_of().await?.height.0 + 1,
    };
    let mut course = Blocks { next, heights: Streams::follow(&gateway), first: None };
    if from.is_some() {
        course.first = course.event(&gateway).await?;
    }
    open(gateway, course, (visitor, carrier))
}

struct Blocks {
    next: u64,
    heights: watch::Receiver<u64>,
    /// What was asked for before anything was streamed.
    first: Option<Arc<Event>>,
}

impl Blocks {
    /// The event of the next block, if it is committed.
    async fn event(&self, gateway: &Gateway) -> Result<Option<Arc<Event>>, Failure> {
        if let Some(event) = gateway.streams.recent(self.next) {
            return Ok(Some(event));
        }
        let answer = match gateway.desk.ask(Query::Block { height: Height(self.next) }).await {
            Ok(answer) => answer,
            Err(failure) if failure.kind == failure::NOT_FOUND => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let answer: BlockAnswer = read(&answer.body)?;
        let whole = block_value(&answer)?;
        let data: Value = OF_BLOCK.iter().map(|name| ((*name).to_owned(), whole[*name].clone())).collect();
        let event = event("block", &self.next.to_string(), data);
        if *self.heights.borrow() < self.next + RECENT as u64 {
            gateway.streams.keep(self.next, &event);
        }
        Ok(Some(event))
    }
}

impl Course for Blocks {
    async fn step(&mut self, gateway: &Gateway) -> Result<Step, Failure> {
        loop {
            let event = match self.first.take() {
                None if *self.heights.borrow_and_update() >= self.next => self.event(gateway).await?,
                first => first,
            };
            if let Some(event) = event {
                self.next += 1;
                return Ok(Step::Send(event));
            }
            changed(&mut self.heights).await?;
        }
    }
}

/// Waits until the node has another height.
async fn changed(heights: &mut watch::Receiver<u64>) -> Result<(), Failure> {
    heights.changed().await.map_err(|_| Failure::unavailable("the gateway is stopping"))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::new(failure::INTERNAL, format!("the node's answer cannot be read: {error}"))
    })
}

/// Streams what happens on a chain, or to one account, from a cursor on.
///
/// # Errors
/// A [`Failure`], before anything is streamed.
pub async fn history(gateway: Arc<Gateway>, asked: Asked) -> Result<Response<Body>, Failure> {
    let Asked { visitor, arguments, headers, carrier } = asked;
    let mut query = feed_query(&arguments)?;
    let seen = resumed(&headers).map(str::parse::<Cursor>).transpose();
    let seen = seen.map_err(|error| Failure::invalid(format!("Last-Event-ID: {error}")))?;
    query.from = match seen.or(arguments.cursor("from")) {
        Some(from) => from,
        None => Cursor::at(gateway.desk.as_of().await?.height.next()),
    };
    let heights = Streams::follow(&gateway);
    let mut course = History { query, heights, waiting: VecDeque::new() };
    course.fill(&gateway).await?;
    open(gateway, course, (visitor, carrier))
}

struct History {
    query: FeedQuery,
    heights: watch::Receiver<u64>,
    waiting: VecDeque<Arc<Event>>,
}

impl History {
    /// Asks for what comes next. Whether there may be more at once.
    async fn fill(&mut self, gateway: &Gateway) -> Result<bool, Failure> {
        let answer = gateway.desk.ask(Query::Feed(self.query)).await?;
        let FeedAnswer { events, next } = read(&answer.body)?;
        for of in &events {
            // Who has seen this event goes on behind it.
            let behind = Cursor { place: of.at.place.saturating_add(1), ..of.at };
            self.waiting.push_back(event("happening", &behind.to_string(), happened(gateway, of)));
        }
        self.query.from = next;
        Ok(next.height <= answer.as_of.height)
    }
}

impl Course for History {
    async fn step(&mut self, gateway: &Gateway) -> Result<Step, Failure> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(Step::Send(event));
            }
            let height = *self.heights.borrow_and_update();
            let there_is_more = height >= self.query.from.height.0 && self.fill(gateway).await?;
            if !there_is_more && self.waiting.is_empty() {
                changed(&mut self.heights).await?;
            }
        }
    }
}

/// Streams what becomes of a transaction, and ends when that is final.
///
/// # Errors
/// A [`Failure`], before anything is streamed.
pub async fn fate(gateway: Arc<Gateway>, asked: Asked) -> Result<Response<Body>, Failure> {
    let id = asked.arguments.bytes32("id").ok_or_else(|| Failure::invalid("the parameter id is missing"))?;
    let course = Fate { id: TransactionId(id), heights: Streams::follow(&gateway), told: None, ended: false };
    open(gateway, course, (asked.visitor, asked.carrier))
}

struct Fate {
    id: TransactionId,
    heights: watch::Receiver<u64>,
    told: Option<TransactionAnswer>,
    ended: bool,
}

impl Course for Fate {
    async fn step(&mut self, gateway: &Gateway) -> Result<Step, Failure> {
        loop {
            if self.ended {
                return Ok(Step::End);
            }
            match gateway.desk.ask(Query::Transaction { chain: None, id: self.id }).await {
                Ok(answer) => {
                    let found: TransactionAnswer = read(&answer.body)?;
                    self.ended = found.final_outcome().is_some();
                    if self.told.as_ref() != Some(&found) {
                        let mut data = json!(found);
                        data["final"] = self.ended.into();
                        data["code"] = found.outcome.code().into();
                        self.told = Some(found);
                        return Ok(Step::Send(event("fate", &answer.as_of.height.to_string(), data)));
                    }
                }
                Err(failure) if failure.kind == failure::NOT_FOUND => {}
                Err(failure) => return Err(failure),
            }
            sleep(FATE_EVERY).await;
            changed(&mut self.heights).await?;
        }
    }
}

/// Streams the alarms of the node: all of them at first, and again whenever they change.
///
/// # Errors
/// A [`Failure`], before anything is streamed.
pub async fn alarms(gateway: Arc<Gateway>, asked: Asked) -> Result<Response<Body>, Failure> {
    open(gateway, Alarms { told: None }, (asked.visitor, asked.carrier))
}

struct Alarms {
    told: Option<Value>,
}

impl Course for Alarms {
    async fn step(&mut self, gateway: &Gateway) -> Result<Step, Failure> {
        loop {
            let answer = gateway.desk.ask(Query::Status).await?;
            let status: StatusAnswer = read(&answer.body)?;
            let now = json!(status.alarms);
            if self.told.as_ref() != Some(&now) {
                self.told = Some(now.clone());
                let data = json!({ "as_of": answer.as_of, "alarms": now });
                return Ok(Step::Send(event("alarms", &answer.as_of.height.to_string(), data)));
            }
            sleep(ALARMS_EVERY).await;
        }
    }
}

/// A stream that goes on for as long as its caller may read.
struct Allowed<C> {
    course: C,
    visitor: Visitor,
    /// When it was last asked whether it may.
    asked: Instant,
}

impl<C: Course> Course for Allowed<C> {
    async fn step(&mut self, gateway: &Gateway) -> Result<Step, Failure> {
        loop {
            if self.asked.elapsed() >= ALLOWED_EVERY {
                self.asked = Instant::now();
                gateway.may_still(self.visitor, Scope::Read)?;
            }
            // A stream on which nothing happens ends with its token as well.
            if let Ok(step) = timeout(ALLOWED_EVERY, self.course.step(gateway)).await {
                return step;
            }
        }
    }
}

/// A response that goes on, if there is room for another stream.
fn open(
    gateway: Arc<Gateway>,
    course: impl Course,
    (visitor, carrier): (Visitor, Carrier),
) -> Result<Response<Body>, Failure> {
    let open = Open::of(&gateway, visitor.caller)?;
    let full = || Failure::unavailable("too many streams are open; ask again later").after(10);
    let room = gateway.streams.room.clone().try_acquire_owned().map_err(|_| full())?;
    let course = Allowed { course, visitor, asked: Instant::now() };
    Ok(carrier.carry(gateway, course, (room, open)))
}

/// Counts a stream while it is open: in the metrics, and among those of its caller.
pub struct Open {
    gateway: Arc<Gateway>,
    caller: Caller,
}

impl Open {
    /// Another stream of a caller.
    ///
    /// # Errors
    /// [`failure::TOO_MANY`]: it has as many as it may have.
    pub fn of(gateway: &Arc<Gateway>, caller: Caller) -> Result<Self, Failure> {
        let most = gateway.settings.doors.streams_of_caller;
        let mut all = gateway.streams.of_callers.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.get(&caller).copied().unwrap_or(0);
        if open >= most {
            gateway.meters.streams_refused.inc();
            let message = format!(
                "this caller (its token, or else its address) has {open} streams open, and more are not allowed: end one \
                 of them first"
            );
            return Err(Failure::new(failure::TOO_MANY, message).after(10));
        }
        all.insert(caller, open + 1);
        gateway.meters.streams.inc();
        Ok(Self { gateway: gateway.clone(), caller })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gateway.meters.streams.dec();
        let mut all = self.gateway.streams.of_callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&self.caller) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests;
