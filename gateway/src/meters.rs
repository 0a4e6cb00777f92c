//! What the gateway itself counts. Every label is from a closed set, so the number of series is bounded: by
//! operations and doors, and by the kinds of failures.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::failure::Kind;

/// Through which door an operation was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// JSON-RPC.
    Rpc,
    /// REST.
    Rest,
    /// The console.
    Console,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    door: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtDoor {
    door: &'static str,
}

/// The counters of a gateway. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub struct Meters {
    calls: Family<Call, Counter>,
    failures: Family<Reason, Counter>,
    seconds: Family<AtDoor, Histogram, fn() -> Histogram>,
    /// Connections that are open.
    pub connections: Gauge<i64, AtomicI64>,
    /// Streams that are open.
    pub streams: Gauge<i64, AtomicI64>,
    /// Streams that were refused because their caller has too many.
    pub streams_refused: Counter,
    /// Alarms that a webhook has refused for good.
    pub webhooks_given_up: Counter,
    /// Connections that were ended because nothing was read or written for too long.
    pub stalled: Counter,
    /// Connections that were turned away because there were too many.
    pub turned_away: Counter,
}

impl Meters {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        // From a millisecond to the longest wait for a verdict.
        let histogram: fn() -> Histogram =
            || Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0]);
        Self {
            calls: Family::default(),
            failures: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            connections: Gauge::default(),
            streams: Gauge::default(),
            streams_refused: Counter::default(),
            webhooks_given_up: Counter::default(),
            stalled: Counter::default(),
            turned_away: Counter::default(),
        }
    }

    /// An operation was called.
    pub fn called(&self, door: Door, operation: &'static str, failure: Option<Kind>, took: Duration) {
        let door = match door {
            Door::Rpc => "rpc",
            Door::Rest => "rest",
            Door::Console => "console",
        };
        self.calls.get_or_create(&Call { door, operation }).inc();
        self.seconds.get_or_create(&AtDoor { door }).observe(took.as_secs_f64());
        failure.into_iter().for_each(|kind| self.failed(kind));
    }

    /// A request was answered with a failure.
    pub fn failed(&self, kind: Kind) {
        self.failures.get_or_create(&Reason { reason: kind.name }).inc();
    }

    /// Puts all of it into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let of = registry.sub_registry_with_prefix("gateway");
        of.register("calls", "Calls of operations, by door and operation", self.calls.clone());
        of.register("failures", "Requests answered with a failure, by reason", self.failures.clone());
        of.register(
            "call_duration_seconds",
            "How long operations took, waits included",
            self.seconds.clone(),
        );
        of.register("connections", "Connections that are open", self.connections.clone());
        of.register("streams", "Streams of events that are open", self.streams.clone());
        of.register(
            "streams_refused",
            "Streams refused because their caller has too many",
            self.streams_refused.clone(),
        );
        of.register(
            "webhooks_given_up",
            "Alarms that a webhook has refused for good",
            self.webhooks_given_up.clone(),
        );
        of.register(
            "connections_stalled",
            "Connections ended because nothing was read or written for too long",
            self.stalled.clone(),
        );
        of.register(
            "connections_turned_away",
            "Connections turned away because there were too many",
            self.turned_away.clone(),
        );
    }
}
