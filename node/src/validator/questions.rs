//! What the query thread is told and asked, and in which order it takes that.
//!
//! ```text
//!   executor ── committed heights ──▶ events ─┐
//!                                             ├─▶ next: every event that waits, then one question
//!   clients ── questions, in turns ───────────┘
//! ```
//!
//! Invariant: when a question is taken, no event waits. So the events that can wait, each with all that a block
//! changed, are those that come in while one question is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam::channel::{Receiver, Sender, TryRecvError};
use engine::execute::Delta;
use engine::replica::CheckpointDue;
use engine::roots::StateRoot;

use super::turns::Turns;

/// Questions of one client that may wait: as many as a load generator asks ahead when it resumes.
const QUESTIONS_PER_CLIENT: usize = 256;

/// What the query thread is told.
#[derive(Debug)]
pub enum ReaderEvent {
    /// The next height is committed: what it changed, its state root, and what a checkpoint needs, if one is due at
    /// it.
    Committed(Vec<Delta>, StateRoot, Option<CheckpointDue>),
    /// A question waits, and none waited before.
    Asked,
    /// Stop.
    Stop,
}

/// What the query thread does next.
#[derive(Debug)]
pub enum Next<Q> {
    /// Take a committed height into the view, and perhaps a checkpoint of it.
    Commit(Vec<Delta>, StateRoot, Option<CheckpointDue>),
    /// Answer a question.
    Answer(Q),
}

/// Where clients' questions wait. Cheap to clone.
pub struct Questions<Q> {
    turns: Arc<Mutex<Turns<u64, Q>>>,
    waker: Sender<ReaderEvent>,
}

impl<Q> Clone for Questions<Q> {
    fn clone(&self) -> Self {
        Self { turns: self.turns.clone(), waker: self.waker.clone() }
    }
}

impl<Q> Questions<Q> {
    /// Nothing is asked yet. `waker` is the way to the thread that answers.
    #[must_use]
    pub fn new(waker: Sender<ReaderEvent>) -> Self {
        Self { turns: Arc::new(Mutex::new(Turns::new(QUESTIONS_PER_CLIENT))), waker }
    }

    /// Adds a question of a client, or gives back what has no room.
    ///
    /// # Errors
    /// As many questions of this client wait as may.
    pub fn offer(&self, client: u64, question: Q) -> Result<(), Q> {
        let mut turns = self.turns();
        let sleeping = turns.is_empty();
        turns.offer(client, question)?;
        if sleeping {
            // A thread that is gone has stopped: its validator is stopping.
            let _stopping = self.waker.send(ReaderEvent::Asked);
        }
        Ok(())
    }

    /// Drops the questions of a client that is gone.
    pub fn forget(&self, client: u64) {
        self.turns().forget(client);
    }

    /// What is next: every event that waits comes before any question. `None` when it is time to stop.
    pub fn next(&self, events: &Receiver<ReaderEvent>) -> Option<Next<Q>> {
        loop {
            let event = match events.try_recv() {
                Ok(event) => event,
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {
                    let question = self.turns().take();
                    match question {
                        Some((_, question)) => return Some(Next::Answer(question)),
                        None => events.recv().ok()?,
                    }
                }
            };
            match event {
                ReaderEvent::Committed(deltas, root, due) => {
                    return Some(Next::Commit(deltas, root, due));
                }
                ReaderEvent::Asked => {}
                ReaderEvent::Stop => return None,
            }
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns<u64, Q>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::unbounded;
    use engine::types::{Digest, Height};

    use super::*;

    fn committed() -> ReaderEvent {
        // The root of a height of a network without chains: its one leaf is the height and their number.
        let digest = kernels::merkle::root(&[kernels::merkle::leaf_hash(&[0; 12])]);
        let root = StateRoot::recorded(Height(0), Vec::new(), &Digest(digest)).unwrap();
        ReaderEvent::Committed(Vec::new(), root, None)
    }

    #[test]
    fn every_event_that_waits_comes_before_any_question() {
        let (waker, events) = unbounded();
        let questions = Questions::new(waker.clone());
        for round in 0..100 {
            questions.offer(1, round).unwrap();
            for _ in 0..20 {
                waker.send(committed()).unwrap();
            }
            for _ in 0..20 {
                assert!(matches!(questions.next(&events), Some(Next::Commit(..))));
            }
            assert!(matches!(questions.next(&events), Some(Next::Answer(question)) if question == round));
        }
    }

    #[test]
    fn a_stop_does_not_wait_for_the_questions_before_it() {
        let (waker, events) = unbounded();
        let questions = Questions::new(waker.clone());
        let asked = (0..1_000).filter(|question| questions.offer(1, *question).is_ok()).count();
        assert_eq!(asked, QUESTIONS_PER_CLIENT);
        waker.send(ReaderEvent::Stop).unwrap();
        assert!(questions.next(&events).is_none());
    }

    #[test]
    fn clients_are_answered_in_turns_and_those_that_are_gone_are_not() {
        let (waker, events) = unbounded();
        let questions = Questions::new(waker);
        for question in ["greedy", "again"] {
            questions.offer(1, question).unwrap();
        }
        questions.offer(2, "modest").unwrap();
        questions.offer(3, "gone").unwrap();
        questions.forget(3);
        let next = || match questions.next(&events) {
            Some(Next::Answer(question)) => question,
            other => panic!("{other:?}"),
        };
        assert_eq!([next(), next(), next()], ["greedy", "modest", "again"]);
    }

    #[test]
    fn a_question_wakes_the_thread_that_waits_for_one() {
        let (waker, events) = unbounded();
        let questions = Questions::new(waker);
        let asking = questions.clone();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| questions.next(&events));
            asking.offer(1, "now").unwrap();
            assert!(matches!(waiting.join().unwrap(), Some(Next::Answer("now"))));
        });
    }
}
