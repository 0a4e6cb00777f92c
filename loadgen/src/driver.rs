//! Runs a plan: one thread, one runtime, one connection to every validator.
//!
//! ```text
//!   every tick:   Schedule ──> Session ──(wake)──> sender task of each lane ──frames──> validator
//!   any time:     validator ──notices──> receiver task of each lane ──> Session
//!   every 200 ms: Session ──Interval──> Controller ──rate──> Schedule
//!
//!   connect → catch up → (resume) → sign → [search → sign] → warm up → window → drain
//! ```
//!
//! All tasks share the books on one thread, so there is no lock and no queue between them. A lane whose
//! validator pushes back waits alone: its packets grow older than their intended time, and that shows in
//! the latencies, not in the schedule. A lane whose connection is lost lets its packets time out until the
//! validator is there again. Where none is for as long as a transaction may wait, the run ends with what it
//! has measured.
//!
//! The generator shares the machine with what it measures, so it knows when it was the limit: it is
//! *saturated* when more than 5 % of the window's ticks came more than 20 ms late, or the signed packets
//! ran out.

mod clock;
mod handshake;
mod lanes;
mod steal;

use crate::controller::{Controller, Tuning};
use crate::outcome::{EndedEarly, Generator, LoadOutcome};
use crate::plan::{LoadError, LoadPlan, Rate, Traffic};
use crate::pool::Pool;
use crate::presign::Presigner;
use crate::progress::{Live, Observer, Phase};
use crate::schedule::Schedule;
use crate::session::{Session, SessionConfig};
use crate::shape::Instants;
use crate::workload::Workload;
use clock::{Clock, Lateness, thread_cpu};
use engine::types::Height;
use lanes::Lanes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use steal::CpuTimes;
use tokio::time::MissedTickBehavior;

/// How often the controller decides and the observer is shown something.
const INTERVAL_US: u64 = 200_000;
/// The search ends when the controller has followed the network for this long, and for so many of its delays.
const SETTLED_US: u64 = 5_000_000;
/// See [`SETTLED_US`].
const SETTLED_DELAYS: u64 = 10;
/// How many more packets are signed than the found rate needs, because the rate may still grow.
const HEADROOM: f64 = 1.3;
/// A rate below this share of what the network would take is held down by the signed packets, and says so.
const HELD_DOWN_SHARE: f64 = 0.98;
/// The load resumes this share below the rate that the search found.
const RESTART_SHARE: f64 = 0.85;

/// Runs the plan to its end. Blocks the calling thread, on which the observer is called.
pub fn run(plan: &LoadPlan, observer: &mut dyn Observer) -> Result<LoadOutcome, LoadError> {
    plan.check()?;
    if plan.endpoints.is_empty() {
        return Err(LoadError::Plan("there is no endpoint to drive load at".into()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, Run::start(plan, observer));
    // A lookup of a name that hangs is not waited for.
    runtime.shutdown_background();
    outcome
}

struct Run<'a> {
    plan: &'a LoadPlan,
    observer: &'a mut dyn Observer,
    clock: Clock,
    lanes: Lanes,
    schedule: Schedule,
    lateness: Lateness,
    /// The signed packets, not the network, have held the rate down.
    held_down: bool,
    /// When the measured window closes.
    ends_us: u64,
    /// Since when no validator is there.
    all_lost_since: Option<u64>,
    ended_early: Option<EndedEarly>,
}

/// How a stretch of load ends.
enum Until<'c> {
    /// The search is over: the controller has settled, or time or packets have run out.
    Found(&'c mut Controller),
    /// An instant; the rate follows the controller, if there is one.
    Instant(Option<&'c mut Controller>),
}

impl Run<'_> {
    async fn start(plan: &LoadPlan, observer: &mut dyn Observer) -> Result<LoadOutcome, LoadError> {
        observer.phase(&Phase::Connecting);
        let mut links = handshake::connect(plan).await?;
        let caught_up = handshake::caught_up(plan, &mut links, observer).await?;
        let height = caught_up.height();
        let clients = handshake::clients(plan, &mut links, caught_up, observer).await?;
        let expiry = Height(height.0.saturating_add(plan.expiry_heights));
        let workload = Workload::new(clients, links.len(), plan.seed, expiry)?
            .of(plan.traffic, plan.data_bytes)?
            .crossing(plan.cross_percent)
            .linked(plan.payments)
            .opening(if plan.traffic == Traffic::Open { plan.opened } else { 0 })
            .sharing(plan.share)?;
        let session = Session::new(SessionConfig {
            lanes: links.len(),
            timeout_us: micros(plan.timeout),
            busy_retry_us: plan.busy_retry.map(micros),
        });
        let clock = Clock::start();
        let lanes = Lanes::start(plan, clock, session, Pool::new(links.len(), workload.sizes()), links);
        let schedule = Schedule::new(0, 1.0);
        let mut run = Run {
            plan,
            observer,
            clock,
            lanes,
            schedule,
            lateness: Lateness::default(),
            held_down: false,
            ends_us: 0,
            all_lost_since: None,
            ended_early: None,
        };
        run.phases(workload).await
    }

    async fn phases(&mut self, workload: Workload) -> Result<LoadOutcome, LoadError> {
        let plan = self.plan;
        let accounts: Vec<_> = plan.chains.iter().map(|c| (c.chain, c.accounts)).collect();
        let lanes = workload.lanes() as u64;
        let (network, seed) = (plan.network, plan.clients);
        let load_seconds = plan.warm_up.as_secs_f64() + plan.seconds as f64;
        let first = match plan.rate {
            Rate::Max => {
                let round = workload.sizes();
                plan.search_packets / round.packets(round.period()) * round.period()
            }
            Rate::Fixed(rate) => packets(rate, load_seconds, lanes),
        };
        self.observer.phase(&Phase::Signing { packets: first });
        let keys = move || Presigner::new(network, &seed, &accounts, workload);
        let mut presigner = self.elsewhere(keys, None).await?;
        presigner = self.sign(presigner, first).await?;

        let mut controller = None;
        let rate = match plan.rate {
            Rate::Fixed(rate) => rate,
            Rate::Max => {
                let tuning = Tuning { target_us: micros(plan.delay_target), ..Tuning::default() };
                let found = controller.insert(Controller::new(tuning));
                let rate = self.search(found).await? * RESTART_SHARE;
                let needed = packets(found.best_answered().max(rate) * HEADROOM, load_seconds, lanes);
                let missing = needed.saturating_sub(self.lanes.session().unscheduled());
                self.observer.phase(&Phase::Signing { packets: missing });
                self.sign(presigner, missing).await?;
                rate
            }
        };
        self.observer.phase(&Phase::WarmingUp { rate });
        if let Some(controller) = &mut controller {
            controller.restart_at(rate);
        }
        self.set_out(rate);
        let opens = self.clock.now_us() + micros(plan.warm_up);
        let closes = opens + plan.seconds * 1_000_000;
        self.ends_us = closes;
        self.load(opens, Until::Instant(controller.as_mut())).await?;

        self.lanes.session().open_window(opens, plan.seconds);
        if let (Rate::Fixed(rate), true) = (plan.rate, plan.is_shaped()) {
            let count = (rate * plan.seconds as f64).round() as u64;
            let shape = (&plan.shape, plan.arrivals);
            let seed = plan.seed_of_arrivals();
            self.schedule = Schedule::shaped(Instants::new(shape, opens, plan.seconds, count, seed));
        }
        self.lateness = Lateness::default();
        let (cpu, machine) = (thread_cpu(), CpuTimes::now());
        self.observer.phase(&Phase::Measuring { seconds: plan.seconds });
        self.load(closes, Until::Instant(controller.as_mut())).await?;
        let starved = self.lanes.session().starved() || self.held_down;
        self.observer.phase(&Phase::Draining);
        let cpu = cpu.zip(thread_cpu()).map(|(before, after)| after.saturating_sub(before));
        let steal_share =
            machine.zip(CpuTimes::now()).and_then(|(before, after)| after.stolen_since(&before));
        match &self.ended_early {
            None => self.drain().await,
            Some(why) => self.cut_short(&why.clone()),
        }
        self.observer.phase(&Phase::Done);
        let (session, pool, lost) = self.lanes.take();
        let generator = Generator {
            cpu,
            starved,
            late_share: self.lateness.share(),
            steal_share,
            rate_found: controller.map(|_| rate),
        };
        Ok(LoadOutcome::new(session, pool, generator, lost, self.ended_early.take()))
    }

    /// Ends the window now. Nothing more is waited for.
    fn cut_short(&mut self, why: &EndedEarly) {
        let now = self.clock.now_us();
        let mut session = self.lanes.session();
        session.end_window(now);
        match why {
            EndedEarly::AllLost(_) => session.give_up(now),
            EndedEarly::Cancelled => session.withdraw(),
        }
    }

    /// Why the run is to end now, if it is.
    fn end_early(&mut self, now_us: u64) -> Option<EndedEarly> {
        for news in self.lanes.take_news() {
            self.observer.news(&news);
        }
        if self.observer.is_cancelled() {
            return Some(EndedEarly::Cancelled);
        }
        let Some(reason) = self.lanes.all_lost() else {
            self.all_lost_since = None;
            return None;
        };
        let since = *self.all_lost_since.get_or_insert(now_us);
        (now_us - since >= micros(self.plan.timeout)).then_some(EndedEarly::AllLost(reason))
    }

    async fn search(&mut self, controller: &mut Controller) -> Result<f64, LoadError> {
        self.observer.phase(&Phase::Searching);
        self.set_out(controller.rate());
        let ends = self.clock.now_us() + micros(self.plan.search);
        self.load(ends, Until::Found(controller)).await?;
        let rate = controller.found_rate();
        self.drain().await;
        Ok(rate.max(Tuning::default().rate_min))
    }

    /// What the signed packets last for until the end, evenly, if that is less than `rate`: a window that is loaded to
    /// its end at a known limit says more than one that falls silent.
    fn affordable(&mut self, rate: f64, now_us: u64) -> f64 {
        let seconds = self.ends_us.saturating_sub(now_us).max(1) as f64 / 1e6;
        let without_forgotten = self.lanes.session().unscheduled() as f64 / seconds;
        self.held_down |= without_forgotten < rate * HELD_DOWN_SHARE;
        rate.min(without_forgotten)
    }

    /// Begins a stretch of load now: what was not due before is due from here on.
    fn set_out(&mut self, rate: f64) {
        let now = self.clock.now_us();
        self.schedule = Schedule::new(now, rate);
        // What came back in a pause says nothing about the load to come.
        self.lanes.session().take_interval(0);
    }

    /// Offers load until `end_us`, or until the search is over.
    async fn load(&mut self, end_us: u64, mut until: Until<'_>) -> Result<(), LoadError> {
        let begin = self.clock.now_us();
        let mut interval_from = begin;
        let mut tracking_since = None;
        let mut tick = tokio::time::interval(self.plan.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let planned = tick.tick().await;
            let now = self.clock.now_us();
            self.lateness.tick(self.clock.micros(planned.into_std()), now, micros(self.plan.tick));
            // The end is exact: what is due later is not sent.
            self.lanes.tick(&mut self.schedule, now.min(end_us - 1), now);
            if now >= end_us {
                return Ok(());
            }
            if now - interval_from < INTERVAL_US {
                continue;
            }
            if let Some(why) = self.end_early(now) {
                let is_measuring = self.lanes.session().window().is_some();
                return match why {
                    why if is_measuring => {
                        self.ended_early = Some(why);
                        Ok(())
                    }
                    EndedEarly::AllLost(reason) => Err(LoadError::AllLost(reason)),
                    EndedEarly::Cancelled => Err(LoadError::Cancelled),
                };
            }
            let seen = self.lanes.session().take_interval(now - interval_from);
            interval_from = now;
            let mut found = false;
            let rate = match &mut until {
                Until::Found(controller) => {
                    let rate = controller.update(seen);
                    if controller.tracking() {
                        let since = *tracking_since.get_or_insert(now);
                        found = now - since >= SETTLED_US.max(SETTLED_DELAYS * controller.delay_us());
                    }
                    found |= self.lanes.session().starved();
                    Some(rate)
                }
                Until::Instant(controller) => {
                    controller.as_mut().map(|c| c.update(seen)).map(|rate| self.affordable(rate, now))
                }
            };
            if let Some(rate) = rate {
                self.schedule.set_rate(rate, now);
            }
            self.observer.live(&Live {
                elapsed: (now - begin) as f64 / 1e6,
                rate: self.schedule.rate(),
                answered: seen.answered as f64 * 1e6 / seen.length_us as f64,
                in_flight: self.lanes.session().in_flight(),
                delay_us: seen.delay_us,
            });
            if found {
                return Ok(());
            }
        }
    }

    /// Waits until everything scheduled has its final state; the time-out bounds it.
    async fn drain(&mut self) {
        while self.lanes.session().in_flight() > 0 {
            tokio::time::sleep(self.plan.tick).await;
            self.lanes.settle(self.clock.now_us());
            if self.observer.is_cancelled() {
                self.lanes.session().withdraw();
            }
        }
    }

    async fn sign(&mut self, mut presigner: Presigner, packets: u64) -> Result<Presigner, LoadError> {
        let lanes = self.plan.endpoints.len() as u64;
        // Each stretch begins where the sizes do.
        let per_lane = packets.div_ceil(lanes).next_multiple_of(presigner.sizes().period());
        let done = Arc::new(AtomicU64::new(0));
        let counter = done.clone();
        let work = move || {
            let signed = presigner.sign(per_lane as usize, &counter);
            signed.map(|signed| (presigner, signed))
        };
        let (presigner, signed) = self.elsewhere(work, Some((done, packets))).await??;
        self.lanes.add(signed, per_lane);
        Ok(presigner)
    }

    /// Runs long work on a thread of its own, while this one keeps the connections alive.
    async fn elsewhere<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        progress: Option<(Arc<AtomicU64>, u64)>,
    ) -> Result<T, LoadError> {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let body = move || {
            // A receiver that is gone needs no result.
            let _ = sender.send(work());
        };
        let thread = std::thread::Builder::new().name("loadgen-sign".into()).spawn(body)?;
        loop {
            tokio::select! {
                result = &mut receiver => {
                    return result.map_err(|_| match thread.join() {
                        Err(panic) => std::panic::resume_unwind(panic),
                        Ok(()) => unreachable!("the thread answers before it ends"),
                    });
                }
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    if self.observer.is_cancelled() {
                        return Err(LoadError::Cancelled);
                    }
                    if let Some((done, total)) = &progress {
                        self.observer.signed(done.load(Ordering::Relaxed).min(*total), *total);
                    }
                }
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Packets for so many seconds at a rate, the same for every lane, and a few for the last tick.
fn packets(rate: f64, seconds: f64, lanes: u64) -> u64 {
    ((rate * seconds).ceil() as u64 + 64).next_multiple_of(lanes)
}

#[cfg(test)]
mod tests;
