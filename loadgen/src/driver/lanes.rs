//! The connections of a run and the tasks that serve them, around books that all of them share.

use super::clock::Clock;
use crate::pool::Pool;
use crate::schedule::Schedule;
use crate::session::Session;
use client::{Connection, Event, Receiver, Sender};
use std::cell::{RefCell, RefMut};
use std::ops::Range;
use std::rc::Rc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Packets in one frame, or those of one transaction: enough to amortise it, few enough that a validator can start on
/// the first soon.
const FRAME_PACKETS: u64 = 1_024;

/// What the tasks share. No borrow is ever held across an await.
struct Shared {
    clock: Clock,
    session: RefCell<Session>,
    pool: RefCell<Pool>,
    retries: RefCell<Vec<Vec<Range<u64>>>>,
    wake: Vec<Notify>,
    lost: RefCell<Vec<(usize, String)>>,
}

/// All lanes of a run. Dropping it ends the tasks.
pub(super) struct Lanes {
    shared: Rc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Lanes {
    pub fn start(clock: Clock, session: Session, pool: Pool, links: Vec<Connection>) -> Lanes {
        let shared = Rc::new(Shared {
            clock,
            session: RefCell::new(session),
            pool: RefCell::new(pool),
            retries: RefCell::new(vec![Vec::new(); links.len()]),
            wake: links.iter().map(|_| Notify::new()).collect(),
            lost: RefCell::default(),
        });
        let mut tasks = Vec::new();
        for (lane, link) in links.into_iter().enumerate() {
            tasks.push(tokio::task::spawn_local(send(shared.clone(), lane, link.sender)));
            tasks.push(tokio::task::spawn_local(receive(shared.clone(), lane, link.receiver)));
        }
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

    /// Why the last connection was lost, if none is left.
    pub fn all_lost(&self) -> Option<String> {
        let lost = self.shared.lost.borrow();
        let all = (0..self.shared.wake.len()).all(|lane| lost.iter().any(|(l, _)| *l == lane));
        all.then(|| lost.last().map(|(_, reason)| reason.clone())).flatten()
    }

    /// Ends the tasks and hands over the books, the packets and the lost connections.
    pub fn take(&mut self) -> (Session, Pool, Vec<(usize, String)>) {
        self.end();
        let mut session = self.shared.session.replace(Session::empty());
        session.close();
        (session, self.shared.pool.replace(Pool::empty()), self.shared.lost.take())
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
        let mut lost = self.lost.borrow_mut();
        // Both tasks of a lane notice; the first word is the truest.
        if lost.iter().all(|(l, _)| *l != lane) {
            lost.push((lane, reason));
        }
    }

    fn due(&self, lane: usize) -> Option<Range<u64>> {
        if let Some(again) = self.retries.borrow_mut()[lane].pop() {
            return Some(again);
        }
        let most = self.pool.borrow().sizes().within(FRAME_PACKETS);
        let numbers = self.session.borrow_mut().take_due(lane, most);
        (!numbers.is_empty()).then_some(numbers)
    }
}

async fn send(shared: Rc<Shared>, lane: usize, mut sender: Sender) {
    loop {
        let Some(numbers) = shared.due(lane) else {
            shared.wake[lane].notified().await;
            continue;
        };
        let slabs: Vec<_> = shared.pool.borrow().slabs(lane, numbers).collect();
        if let Err(error) = sender.submit(slabs).await {
            return shared.lose(lane, error.to_string());
        }
    }
}

async fn receive(shared: Rc<Shared>, lane: usize, mut receiver: Receiver) {
    let reason = loop {
        match receiver.next().await {
            Ok(Event::Notices(notices)) => {
                let now = shared.clock.now_us();
                let (mut session, pool) = (shared.session.borrow_mut(), shared.pool.borrow());
                for notice in notices {
                    // A tag that is not the first packet's names nothing that was sent.
                    let number = pool.sizes().number(notice.tag).unwrap_or(u64::MAX);
                    session.notice(lane, number, notice.verdict, now);
                }
            }
            Ok(Event::Answer(_)) => {}
            Err(error) => break error.to_string(),
        }
    };
    shared.lose(lane, reason);
}
