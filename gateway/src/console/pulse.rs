//! The state of the node for all visitors: the node is asked once for all of them, at most once a second.
//!
//! ```text
//! watch: node ── Counters, Status, Members ─▶ Moment (charts drawn) ─▶ every page, every stream
//!          └── once a second while somebody looks, else every IDLE ─▶ history of figures, alarms that are over
//! ```
//!
//! Invariants: however many look, the node is asked once; a moment is never older than it says; histories are bounded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::Query;
use client::answers::{AlarmAnswer, MembersAnswer};
use engine::types::{Member, Members};
use maud::PreEscaped;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{charts, shown};
use crate::failure::{self, Failure};
use crate::gateway::Gateway;
use crate::metrics::{self, Sample};

/// How often the node is asked while somebody looks.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is asked while nobody does: alarms are noted then as well.
const IDLE: Duration = Duration::from_secs(5);
/// How long after the last visit the node is still asked once a second.
const LOOKED: Duration = Duration::from_secs(10);
/// How long a page waits for a new moment.
const PATIENCE: Duration = Duration::from_secs(3);
/// Moments whose figures are kept.
const POINTS_MAX: usize = 400;
/// How many alarms that are over are kept.
const PAST_MAX: usize = 256;

/// A moment: the state of the node as it was at one time.
pub struct Moment {
    /// What it last said of itself.
    pub sample: Arc<Sample>,
    /// Why the node does not answer now, if it does not.
    pub lost: Option<Failure>,
    /// Who validates.
    pub members: Arc<Vec<Member>>,
    /// Transactions and blocks a second, since the moment before.
    pub rates: (f64, f64),
    /// Charts for the pages.
    pub charts: Charts,
    /// When it was seen.
    pub taken: Instant,
}

/// Charts of the last minutes; empty where nobody has looked.
#[derive(Clone)]
pub struct Charts {
    /// Transactions committed a second.
    pub transactions: PreEscaped<String>,
    /// Blocks committed a second.
    pub blocks: PreEscaped<String>,
    /// Transactions that wait.
    pub waiting: PreEscaped<String>,
    /// Memory of the process.
    pub memory: PreEscaped<String>,
    /// Bytes that are free on the disk.
    pub disk: PreEscaped<String>,
}

impl Default for Charts {
    fn default() -> Self {
        let none = || PreEscaped(String::new());
        Self { transactions: none(), blocks: none(), waiting: none(), memory: none(), disk: none() }
    }
}

/// An alarm that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAlarm {
    /// What it was.
    pub alarm: AlarmAnswer,
    /// When it was gone, in seconds since the Unix epoch.
    pub until: u64,
}

/// The moments of a node.
pub struct Pulse {
    latest: watch::Sender<Option<Arc<Moment>>>,
    /// Why there is no moment yet.
    lost: Mutex<Option<Failure>>,
    /// When somebody has looked last, in milliseconds since the gateway began.
    looked: AtomicU64,
    look: Notify,
    past: Mutex<VecDeque<PastAlarm>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            latest: watch::Sender::new(None),
            lost: Mutex::default(),
            // Nobody has looked yet.
            looked: AtomicU64::new(0),
            look: Notify::new(),
            past: Mutex::default(),
        }
    }
}

impl Pulse {
    /// The newest moment, as it is.
    pub fn now(&self) -> Option<Arc<Moment>> {
        self.latest.borrow().clone()
    }

    /// A moment that is new; waits for it.
    ///
    /// # Errors
    /// Nothing is known of the node yet.
    pub async fn fresh(gateway: &Gateway) -> Result<Arc<Moment>, Failure> {
        let mut moments = Self::follow(gateway);
        let is_new = |moment: &Option<Arc<Moment>>| {
            let is_drawn = |of: &Moment| of.lost.is_some() || !of.charts.transactions.0.is_empty();
            moment.as_ref().is_some_and(|of| of.taken.elapsed() < EVERY + EVERY / 2 && is_drawn(of))
        };
        // Else the last one there is.
        drop(timeout(PATIENCE, moments.wait_for(is_new)).await);
        let moment = moments.borrow().clone();
        moment.ok_or_else(|| {
            let lost = gateway.console.pulse.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
            lost.unwrap_or_else(|| Failure::unavailable("the node has not answered yet; ask again later"))
        })
    }

    /// Follows the moments, as somebody who looks.
    pub fn follow(gateway: &Gateway) -> watch::Receiver<Option<Arc<Moment>>> {
        let pulse = &gateway.console.pulse;
        let is_idle = !pulse.looked_at(gateway);
        pulse.looked.store((gateway.started.elapsed().as_millis() as u64).max(1), Relaxed);
        if is_idle {
            pulse.look.notify_one();
        }
        pulse.latest.subscribe()
    }

    /// Whether somebody has looked lately.
    pub fn looked_at(&self, gateway: &Gateway) -> bool {
        let looked = Duration::from_millis(self.looked.load(Relaxed));
        !looked.is_zero() && gateway.started.elapsed().saturating_sub(looked) < LOOKED
    }

    /// The alarms that are over, the newest first.
    pub fn past(&self) -> Vec<PastAlarm> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    fn note_past(&self, before: &[AlarmAnswer], now: &Sample) {
        let is_on = |alarm: &AlarmAnswer| {
            now.status.alarms.iter().any(|of| (of.alarm, of.about) == (alarm.alarm, alarm.about))
        };
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        for alarm in before.iter().filter(|alarm| !is_on(alarm)) {
            if past.len() == PAST_MAX {
                past.pop_front();
            }
            past.push_back(PastAlarm { alarm: alarm.clone(), until: now.now });
        }
    }
}

/// Figures of one moment.
struct Point {
    at: Instant,
    transactions: f64,
    blocks: f64,
    waiting: f64,
    memory: f64,
    disk: f64,
}

/// What is remembered from one moment to the next.
#[derive(Default)]
struct Memory {
    last: Option<(Instant, Arc<Sample>)>,
    members: Option<(u64, Arc<Vec<Member>>)>,
    points: VecDeque<Point>,
}

/// Asks the node for its moments until the gateway ends.
pub async fn run(gateway: Arc<Gateway>) {
    let mut memory = Memory::default();
    loop {
        let pulse = &gateway.console.pulse;
        match memory.moment(&gateway).await {
            Ok(moment) => drop(pulse.latest.send_replace(Some(Arc::new(moment)))),
            Err(failure) => {
                let last = pulse.now();
                *pulse.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.clone());
                if let Some(last) = last {
                    let Moment { sample, members, charts, .. } = &*last;
                    let (sample, members, charts) = (sample.clone(), members.clone(), charts.clone());
                    let (lost, taken) = (Some(failure), Instant::now());
                    let moment = Moment { sample, lost, members, rates: (0.0, 0.0), charts, taken };
                    pulse.latest.send_replace(Some(Arc::new(moment)));
                }
            }
        }
        sleep(EVERY).await;
        if !pulse.looked_at(&gateway) {
            let _either = timeout(IDLE - EVERY, pulse.look.notified()).await;
        }
    }
}

impl Memory {
    async fn moment(&mut self, gateway: &Gateway) -> Result<Moment, Failure> {
        let sample = Arc::new(metrics::sample(gateway).await?);
        let members = self.members(gateway, sample.status.standing.epoch.0).await?;
        let taken = Instant::now();
        let (pulse, mut rates) = (&gateway.console.pulse, (0.0, 0.0));
        if let Some((at, before)) = &self.last {
            pulse.note_past(&before.status.alarms, &sample);
            let took = taken.duration_since(*at).as_secs_f64().max(1e-3);
            let total = |of: &Sample, name: &str| of.counted.totals.get(name).copied().unwrap_or(0);
            // A node that was started again counts anew.
            let rate = |name| total(&sample, name).saturating_sub(total(before, name)) as f64 / took;
            rates = (rate("executed"), rate("blocks"));
        }
        let gauge = |name: &str| sample.counted.gauges.get(name).copied().unwrap_or(0.0);
        self.points.push_back(Point {
            at: taken,
            transactions: rates.0,
            blocks: rates.1,
            waiting: sample.status.pending as f64,
            memory: gauge("process_resident_bytes"),
            disk: gauge("disk_free_bytes"),
        });
        if self.points.len() > POINTS_MAX {
            self.points.pop_front();
        }
        self.last = Some((taken, sample.clone()));
        let charts = if pulse.looked_at(gateway) { self.charts(taken) } else { Charts::default() };
        Ok(Moment { sample, lost: None, members, rates, charts, taken })
    }

    fn charts(&self, now: Instant) -> Charts {
        let chart = |of: fn(&Point) -> f64, label: fn(f64) -> String| {
            let at = |point: &Point| (-now.duration_since(point.at).as_secs_f64(), of(point));
            charts::chart(&self.points.iter().map(at).collect::<Vec<_>>(), label)
        };
        Charts {
            transactions: chart(|of| of.transactions, shown::rate),
            blocks: chart(|of| of.blocks, shown::rate),
            waiting: chart(|of| of.waiting, shown::rate),
            memory: chart(|of| of.memory, shown::bytes),
            disk: chart(|of| of.disk, shown::bytes),
        }
    }

    async fn members(&mut self, gateway: &Gateway, epoch: u64) -> Result<Arc<Vec<Member>>, Failure> {
        if let Some((of, members)) = &self.members
            && *of == epoch
        {
            return Ok(members.clone());
        }
        let answer = gateway.desk.ask(Query::Members).await?;
        let answer: Option<MembersAnswer> = serde_json::from_slice(&answer.body).ok();
        let members = answer
            .and_then(|answer| hex::decode(&answer.members).ok().and_then(|bytes| Members::decode(&bytes)));
        let members = members.ok_or_else(|| {
            Failure::new(failure::INTERNAL, "the node names no members: run a gateway of the node's release")
        })?;
        let members = Arc::new(members.list);
        self.members = Some((epoch, members.clone()));
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use client::AsOf;
    use client::answers::{AlarmKind, Severity};

    use super::*;

    fn sample(alarms: &[AlarmKind], now: u64) -> Sample {
        let alarms: Vec<_> = alarms
            .iter()
            .map(|kind| AlarmAnswer {
                alarm: *kind,
                severity: Severity::Warning,
                about: None,
                since: 1,
                says: "it".to_owned(),
                silenced: None,
            })
            .collect();
        let zeros = "00".repeat(32);
        let status = serde_json::json!({
            "network": zeros, "network_name": "mill", "validator": 2, "name": "cedar", "committed": 7,
            "finalized": 8, "state_root": zeros, "stream_lost": false, "votes_forgotten": false, "kept_from": 1,
            "journal_bytes": 9, "peers": [0, 1], "pending": 0, "storage": "uring", "uptime_seconds": 3,
            "alarms": alarms,
        });
        let status = serde_json::from_value(status).unwrap();
        Sample { counted: metrics::Counted::default(), status, as_of: AsOf::default(), now }
    }

    #[test]
    fn an_alarm_that_is_over_is_kept_and_only_so_many_are() {
        let pulse = Pulse::default();
        let both = sample(&[AlarmKind::DiskFills, AlarmKind::Lagging], 5);
        pulse.note_past(&[], &both);
        assert_eq!(pulse.past(), []);
        pulse.note_past(&both.status.alarms, &sample(&[AlarmKind::Lagging], 9));
        let past = pulse.past();
        assert_eq!((past.len(), past[0].alarm.alarm, past[0].until), (1, AlarmKind::DiskFills, 9));
        for at in 0..2 * PAST_MAX as u64 {
            pulse.note_past(&both.status.alarms[..1], &sample(&[], 10 + at));
        }
        assert_eq!((pulse.past().len(), pulse.past()[0].until), (PAST_MAX, 9 + 2 * PAST_MAX as u64));
    }
}
