//! What the generator alone can do: the same load against a null sink, which answers *committed* to everything at once.
//!
//! ```text
//!   LoadPlan ── against_sink ──> the same chains, accounts, bytes and connections ── run ──> Ceiling
//! ```
//!
//! The ceiling bounds the generator, and nothing else: a network that is slower than its ceiling may still be slowed
//! down by a generator that takes its CPU. Where the sink was slower than the generator, the ceiling is too low, which
//! makes a run invalid and never valid.

use crate::outcome::LoadOutcome;
use crate::plan::{Endpoint, LoadPlan, Rate, Start};
use crate::shape::{Arrivals, Shape};
use engine::types::Digest;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// With a fixed rate, so many times it is offered to the sink: enough to see that the rate is well below the ceiling,
/// without signing what the generator could do at most.
const OFFERED: f64 = 1.5;
/// And at least this much, in transactions a second: it takes next to nothing, and says more.
const OFFERED_MIN: f64 = 20_000.0;
/// A sink that has answered this share of what was offered was not at its limit, and neither was the generator.
const KEPT_UP: f64 = 0.99;
/// Load before the window opens.
const WARM_UP: Duration = Duration::from_secs(1);
/// With a rate that is found: the longest that the search may take, and the packets that are signed for it.
const SEARCH: Duration = Duration::from_secs(10);
const SEARCH_PACKETS: u64 = 500_000;

/// What the generator drove at a null sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Transactions a second that the sink answered.
    pub tps: f64,
    /// Whether it could be more: nothing was at its limit, or the signed transactions ran out.
    pub at_least: bool,
    /// How long that was measured.
    pub seconds: u64,
    /// CPU of the generator for each transaction.
    pub generator_cpu_us_per_tx: Option<f64>,
    /// CPU of the sink's process for each transaction. It is the price of the transport, at the other end.
    pub sink_cpu_us_per_tx: Option<f64>,
}

impl Ceiling {
    /// What a run against a sink has shown; the sink's process used so much CPU in its window.
    pub fn of(outcome: &LoadOutcome, plan: &LoadPlan, sink_cpu: Option<Duration>) -> Ceiling {
        let (tps, committed) = (outcome.committed_tps(), outcome.tally().committed);
        let kept_up = matches!(plan.rate, Rate::Fixed(rate) if tps >= KEPT_UP * rate);
        let sink_cpu = sink_cpu.filter(|_| committed > 0);
        Ceiling {
            tps,
            at_least: kept_up || outcome.generator.starved,
            seconds: outcome.seconds(),
            generator_cpu_us_per_tx: outcome.cpu_us_per_tx(),
            sink_cpu_us_per_tx: sink_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / committed as f64),
        }
    }
}

impl LoadPlan {
    /// The same load against a null sink, whose network has another id, so that nothing that is signed for the sink is
    /// good for a real network.
    pub fn against_sink(&self, network: Digest, endpoints: Vec<Endpoint>, seconds: u64) -> LoadPlan {
        assert_eq!(endpoints.len(), self.endpoints.len(), "as many connections as the load has");
        LoadPlan {
            network,
            endpoints,
            start: Start::Fresh,
            rate: match self.rate {
                Rate::Max => Rate::Max,
                // A shape is driven at its peak.
                Rate::Fixed(rate) => {
                    Rate::Fixed((OFFERED * rate * self.shape.peak(self.seconds)).max(OFFERED_MIN))
                }
            },
            shape: Shape::Constant,
            arrivals: Arrivals::Even,
            seconds,
            warm_up: WARM_UP,
            search: SEARCH,
            search_packets: SEARCH_PACKETS,
            ..self.clone()
        }
    }
}
