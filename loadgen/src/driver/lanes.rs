//! The connections of a run and the tasks that serve them, around books that all of them share.
//!
//! ```text
//! connected ── lost ──▶ tried again and again ── there, and keeps up ──▶ what has no verdict is offered once more
//! ```
//!
//! A validator tells the first verdict to who submits the same bytes again, so nothing is counted twice.

use super::clock::Clock;
use super::handshake;
use crate::outcome::LostConnection;
use crate::plan::LoadPlan;
use crate::pool::Pool;
use crate::schedule::Schedule;
use crate::session::Session;
use client::{ClientError, Connection, Event, Receiver, Sender};
use std::cell::{RefCell, RefMut};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// Packets in one frame, or those of one transaction: enough to amortise it, few enough that a validator can start on
/// the first soon.
const FRAME_PACKETS: u64 = 1_024;
/// Where sending has failed, the validator's own last words are waited for so long.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Pauses between attempts to reach a validator that went away: the first, and the longest.
const AGAIN_MIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// What the tasks share. No borrow is ever held across an await.
struct Shared {
    clock: Clock,
    plan: LoadPlan,
    session: RefCell<Session>,
    pool: RefCell<Pool>,
    retries: RefCell<Vec<Vec<Range<u64>>>>,
    wake: Vec<Notify>,
    states: RefCell<Vec<State>>,
    news: RefCell<Vec<String>>,
}

/// How a lane's connection is.
#[derive(Debug, Clone, Default)]
struct State {
    /// Why it was lost first, and how often it was.
    lost: Option<(String, u32)>,
    is_away: bool,
    /// It has told nothing since it was lost.
    is_mute: bool,
}

/// All lanes of a run. Dropping it ends the tasks.
pub(super) struct Lanes {
    shared: Rc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Lanes {
    pub fn start(
        plan: &LoadPlan,
        clock: Clock,
        session: Session,
        pool: Pool,
        links: Vec<Connection>,
    ) -> Lanes {
        let shared = Rc::new(Shared {
            clock,
            plan: plan.clone(),
            session: RefCell::new(session),
            pool: RefCell::new(pool),
            retries: RefCell::new(vec![Vec::new(); links.len()]),
            wake: links.iter().map(|_| Notify::new()).collect(),
            states: RefCell::new(vec![State::default(); links.len()]),
            news: RefCell::default(),
        });
        let serve = |(lane, link)| tokio::task::spawn_local(serve(shared.clone(), lane, link));
        let tasks = links.into_iter().enumerate().map(serve).collect();
        Lanes { shared, tasks }
    }

    /// What was due, sent and answered so far.
    pub fn session(&self) -> RefMut<'_, Session> {
        self.shared.session.borrow_mut()
    }

    /// Adds signed packets to every lane.
    pub fn add(&self, signed: Vec<Vec<u8>>, per_lane: u64) {
        self.shared.pool.borrow_mut().add(signed, per_lane);
        self.session().add_ready(per_lane);
    }

    /// Schedules what is due by `due_us` and wakes the senders.
    pub fn tick(&self, schedule: &mut Schedule, due_us: u64, now_us: u64) {
        self.session().schedule(schedule, due_us);
        self.settle(now_us);
    }

    /// Gives up what has waited too long, and wakes the senders for what may be offered again.
    pub fn settle(&self, now_us: u64) {
        let mut session = self.session();
        session.expire(now_us);
        while let Some((lane, tags)) = session.take_retry(now_us) {
            self.shared.retries.borrow_mut()[lane].push(tags);
        }
        drop(session);
        for wake in &self.shared.wake {
            wake.notify_one();
        }
    }

    /// Why a connection was lost, if none is left that tells anything.
    pub fn all_lost(&self) -> Option<String> {
        let states = self.shared.states.borrow();
        let gone = |state: &State| state.is_away || state.is_mute;
        let reason =
            || states.iter().rev().find_map(|state| state.lost.as_ref()).map(|(reason, _)| reason.clone());
        states.iter().all(gone).then(reason).flatten()
    }

    /// What has happened to connections since the last call, for a person.
    pub fn take_news(&self) -> Vec<String> {
        self.shared.news.take()
    }

    /// Ends the tasks and hands over the books, the packets and the lost connections.
    pub fn take(&mut self) -> (Session, Pool, Vec<LostConnection>) {
        self.end();
        let mut session = self.shared.session.replace(Session::empty());
        session.close();
        let lost = |(lane, State { lost, is_away, .. }): (usize, State)| {
            let (reason, times) = lost?;
            Some(LostConnection { lane, reason, times, came_back: !is_away })
        };
        let lost = self.shared.states.take().into_iter().enumerate().filter_map(lost).collect();
        (session, self.shared.pool.replace(Pool::empty()), lost)
    }

    fn end(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lose(&self, lane: usize, reason: String) {
        let state = &mut self.states.borrow_mut()[lane];
        // One that comes back and goes again without a word is told of once.
        if !state.is_mute {
            let address = &self.plan.endpoints[lane].address;
            let news = format!("the validator at {address} went away ({reason}); it is tried again");
            self.news.borrow_mut().push(news);
        }
        let (_, times) = state.lost.get_or_insert((reason, 0));
        *times += 1;
        (state.is_away, state.is_mute) = (true, true);
    }

    /// It is there and does not take this client, mostly because it is not a member any more.
    fn refuse(&self, lane: usize, reason: String) {
        if let Some((why, _)) = &mut self.states.borrow_mut()[lane].lost
            && *why != reason
        {
            let address = &self.plan.endpoints[lane].address;
            self.news.borrow_mut().push(format!("the validator at {address} refuses the load: {reason}"));
            *why = reason;
        }
    }

    fn find_again(&self, lane: usize) {
        self.states.borrow_mut()[lane].is_away = false;
        let runs = self.session.borrow_mut().resume(lane);
        let most = self.pool.borrow().sizes().within(FRAME_PACKETS);
        let frames = runs.into_iter().flat_map(|run| {
            let starts = run.clone().step_by(most as usize);
            starts.map(move |start| start..run.end.min(start + most))
        });
        // The last one is taken first.
        let mut frames: Vec<_> = frames.collect();
        frames.reverse();
        self.retries.borrow_mut()[lane] = frames;
    }

    /// A validator has told something: it counts as there again.
    fn hear(&self, lane: usize) {
        let state = &mut self.states.borrow_mut()[lane];
        if std::mem::take(&mut state.is_mute) {
            let address = &self.plan.endpoints[lane].address;
            self.news.borrow_mut().push(format!("the validator at {address} is there again"));
        }
    }

    /// What a lane is to send next, and whether it is sent for the first time.
    fn due(&self, lane: usize) -> Option<(Range<u64>, bool)> {
        if let Some(again) = self.retries.borrow_mut()[lane].pop() {
            return Some((again, false));
        }
        let most = self.pool.borrow().sizes().within(FRAME_PACKETS);
        let numbers = self.session.borrow_mut().take_due(lane, most);
        (!numbers.is_empty()).then_some((numbers, true))
    }
}

/// Serves a lane, on one connection after the other.
async fn serve(shared: Rc<Shared>, lane: usize, mut link: Connection) {
    let mut pause = AGAIN_MIN;
    loop {
        let Connection { sender, receiver, .. } = link;
        // Ended when it is dropped.
        let mut receiving = JoinSet::new();
        receiving.spawn_local(receive(shared.clone(), lane, receiver));
        let said = |joined: Option<Result<String, _>>| joined.and_then(Result::ok);
        let reason = tokio::select! {
            words = receiving.join_next() => said(words).unwrap_or_default(),
            failed = send(&shared, lane, sender) => {
                let words = tokio::time::timeout(LAST_WORDS, receiving.join_next()).await;
                words.ok().and_then(said).unwrap_or(failed)
            }
        };
        drop(receiving);
        if !shared.states.borrow()[lane].is_mute {
            pause = AGAIN_MIN;
        }
        shared.lose(lane, reason);
        link = loop {
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(AGAIN_MAX);
            match handshake::reconnect(&shared.plan, lane).await {
                Ok(link) => break link,
                Err(ClientError::Rejected(reason)) => shared.refuse(lane, reason),
                Err(_) => {}
            }
        };
        shared.find_again(lane);
    }
}

/// Sends what is due until that fails; why.
async fn send(shared: &Shared, lane: usize, mut sender: Sender) -> String {
    loop {
        let Some((numbers, is_first)) = shared.due(lane) else {
            shared.wake[lane].notified().await;
            continue;
        };
        let slabs: Vec<_> = shared.pool.borrow().slabs(lane, numbers.clone()).collect();
        if let Err(error) = sender.submit(slabs).await {
            return error.to_string();
        }
        if is_first {
            shared.session.borrow_mut().left(lane, numbers, shared.clock.now_us());
        }
    }
}

/// Takes in notices until the connection ends; why it did.
async fn receive(shared: Rc<Shared>, lane: usize, mut receiver: Receiver) -> String {
    loop {
        match receiver.next().await {
            Ok(Event::Notices(notices)) => {
                shared.hear(lane);
                let now = shared.clock.now_us();
                let (mut session, pool) = (shared.session.borrow_mut(), shared.pool.borrow());
                for notice in notices {
                    // A tag that is not the first packet's names nothing that was sent.
                    let number = pool.sizes().number(notice.tag).unwrap_or(u64::MAX);
                    session.notice(lane, number, notice.verdict, now);
                }
            }
            Ok(Event::Answer(_) | Event::Accepted(_)) => {}
            Err(error) => return error.to_string(),
        }
    }
}
