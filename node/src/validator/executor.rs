//! The executor's thread: it drives the [`Committer`] and hands what was committed to the readers.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use engine::execute::Delta;
use engine::mempool::Origin;
use engine::replica::{CommitPorts, Committer, CommitterEvent, Halt, Input, Job, Stage};
use engine::roots::StateRoot;
use engine::store::{Durable, Position, StoreError};
use engine::types::{Height, Outcome, Signed, Verdict};
use engine::wire::Notice;

use super::clients::{Demand, Resubmitted};
use super::core::stop;
use super::counters::Counters;
use super::events::CoreEvent;
use super::questions::{Questions, ReaderEvent};
use super::shared::Shared;

/// One thing for the executor to do.
#[derive(Debug)]
pub enum Event {
    /// Execute the next block.
    Block(Box<Job>),
    /// The journal is durable up to here.
    Durable(Durable),
    /// Stop.
    Stop,
}

/// The executor.
pub struct Executor {
    committer: Committer,
    host: Host,
}

/// The committer's world.
struct Host {
    shared: Arc<Shared>,
    core: Sender<CoreEvent>,
    readers: Sender<ReaderEvent>,
    questions: Questions<Demand>,
    events: Sender<Event>,
    position: Position,
    /// What was executed and is not durable yet, for the readers.
    executed: VecDeque<(Height, Position, Vec<Delta>, StateRoot)>,
}

impl Executor {
    /// An executor of this committer. `events` is the sending end of its own queue: the journal answers through it.
    #[must_use]
    pub fn new(
        committer: Committer,
        shared: Arc<Shared>,
        core: Sender<CoreEvent>,
        (readers, questions): (Sender<ReaderEvent>, Questions<Demand>),
        events: Sender<Event>,
    ) -> Self {
        let (position, executed) = (Position::from_raw(0), VecDeque::new());
        Self { committer, host: Host { shared, core, readers, questions, events, position, executed } }
    }

    /// Works until told to stop.
    pub fn run(mut self, events: &Receiver<Event>) {
        for event in events {
            let now = self.host.shared.clock.moment();
            match event {
                Event::Block(job) => {
                    let done = self.committer.execute(*job, now, &mut self.host);
                    done.unwrap_or_else(|halt| stop(&halt));
                }
                Event::Durable(durable) => self.committer.durable(&durable, now, &mut self.host),
                Event::Stop => return,
            }
        }
    }
}

impl CommitPorts for Host {
    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        let position = self.shared.journal.append(kind, parts)?;
        self.position = position;
        let events = self.events.clone();
        self.shared.journal.on_durable(
            position,
            Box::new(move |outcome| match outcome {
                // An executor that is gone is stopping; the record is durable all the same.
                Ok(durable) => drop(events.send(Event::Durable(durable))),
                Err(error) => stop(&Halt::Disk(error)),
            }),
        );
        Ok(position)
    }

    fn notify(&mut self, connection: u64, notices: Vec<Notice>) {
        self.shared.clients.notify(connection, notices);
    }

    /// The query thread looks for the first verdict, in the turn of the client.
    fn repeated(&mut self, origin: Origin, transaction: Signed) {
        let Origin { connection, tag, .. } = origin;
        let otherwise = Verdict::Failed(Outcome::Replayed);
        let demand = Demand::Resubmitted(Resubmitted { connection, tag, transaction, otherwise });
        if self.questions.offer(connection, demand).is_err() {
            self.shared.clients.notify(connection, vec![Notice { tag, verdict: otherwise }]);
        }
    }

    fn tell(&mut self, event: CommitterEvent<'_>) {
        let counters = &self.shared.counters;
        match event {
            CommitterEvent::Executed { height, root, executed, in_flight } => {
                let outcomes = || executed.deltas.iter().flat_map(|delta| delta.outcomes());
                Counters::add(&counters.blocks, 1);
                Counters::add(&counters.executed, outcomes().count() as u64);
                let applied = outcomes().filter(|outcome| !outcome.is_failure()).count();
                Counters::add(&counters.applied, applied as u64);
                executed.trees.iter().for_each(|tree| self.shared.hints.note_block(tree, height));
                self.shared.rules.follow(executed);
                let deltas = executed.deltas.clone();
                self.executed.push_back((height, self.position, deltas, executed.state_root.clone()));
                let decided = executed.decided();
                self.to_core(CoreEvent::Input(Input::Executed { height, root, in_flight, decided }));
            }
            CommitterEvent::Committed { height, checkpoint } => {
                let (of, position, deltas, root) =
                    self.executed.pop_front().expect("a height is committed after it was executed");
                assert_eq!(of, height, "heights are committed in the order of their execution");
                self.shared.index.committed(height, position);
                counters.height.store(height.0, std::sync::atomic::Ordering::Relaxed);
                let _stopping = self.readers.send(ReaderEvent::Committed(deltas, root, checkpoint));
                self.to_core(CoreEvent::Input(Input::Committed(height)));
            }
            CommitterEvent::Stage { stage: Stage::Durable, us, transactions } => {
                counters.record(Stage::Durable, us, transactions);
                counters.record(Stage::Notified, 1, transactions);
            }
            CommitterEvent::Stage { stage, us, transactions } => counters.record(stage, us, transactions),
        }
    }
}

impl Host {
    fn to_core(&self, event: CoreEvent) {
        let _stopping = self.core.send(event);
    }
}
