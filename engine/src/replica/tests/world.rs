//! What surrounds one validator.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::super::*;
use crate::mempool::Origin;
use crate::order::Finality;
use crate::store::{Durable, Log, Position, StoreError};
use crate::types::{Digest, Height, Signed, ValidatorIndex};
use crate::wire::{Notice, PeerMessage};

/// A vote that no log remembers.
pub const FORGOTTEN: &[u8] = b"forgotten";

/// What a validator has said and written. A record counts as durable when the test says so.
pub struct World {
    pub(super) log: Log,
    pub mail: Vec<(To, PeerMessage)>,
    pub(super) work: VecDeque<Work>,
    pub(super) answers: BTreeMap<QuestionId, Answer>,
    pub notices: Vec<(u64, Notice)>,
    pub repeated: Vec<(Origin, Signed)>,
    pub observed: Vec<Observation>,
    pub floor: Option<Finality>,
    pub has_begun: bool,
    /// The last vote that it has seen of each other.
    pub votes_seen: BTreeMap<ValidatorIndex, Bytes>,
    pub votes_forgotten: bool,
    pub halted: Option<Halt>,
    /// Every record since the start, and those that are not told to be durable.
    pub written: Vec<(u8, Position)>,
    pub(super) unsynced: VecDeque<(u8, Durable)>,
    pub(super) records_committed: VecDeque<Position>,
    pub(super) index: BlockIndex,
    pub roots: Vec<(Height, Digest)>,
    /// Heights at which a checkpoint was due, and what it needed.
    pub due: Vec<(Height, CheckpointDue)>,
    /// What was handed on about states: this host does none of it.
    pub about_states: Vec<Work>,
    /// At which height the epoch has ended.
    pub epoch_over: Option<Height>,
    pub(super) to_tell: VecDeque<Input>,
}

impl World {
    pub fn new(log: Log, index: BlockIndex) -> Self {
        Self {
            log,
            mail: Vec::new(),
            work: VecDeque::new(),
            answers: BTreeMap::new(),
            notices: Vec::new(),
            repeated: Vec::new(),
            observed: Vec::new(),
            floor: None,
            has_begun: false,
            votes_seen: BTreeMap::new(),
            votes_forgotten: false,
            halted: None,
            written: Vec::new(),
            unsynced: VecDeque::new(),
            records_committed: VecDeque::new(),
            index,
            roots: Vec::new(),
            due: Vec::new(),
            about_states: Vec::new(),
            epoch_over: None,
            to_tell: VecDeque::new(),
        }
    }

    /// The journal, and where its blocks stand.
    pub fn journal(&self) -> (&Log, &BlockIndex) {
        (&self.log, &self.index)
    }

    /// The kinds of what is written and not durable.
    pub fn kinds(&self) -> Vec<u8> {
        self.unsynced.iter().map(|(kind, _)| *kind).collect()
    }

    /// Everything that was written since the start.
    pub fn records(&self) -> Vec<(u8, Vec<u8>)> {
        self.written.iter().map(|(kind, position)| (*kind, self.log.read(*position).unwrap().bytes)).collect()
    }

    fn write(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        let position = self.log.append(kind, parts)?;
        let durable = self.log.wait_durable(position)?;
        self.written.push((kind, position));
        self.unsynced.push_back((kind, durable));
        Ok(position)
    }
}

impl Ports for World {
    fn send(&mut self, to: To, message: &PeerMessage) {
        self.mail.push((to, message.clone()));
    }

    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        self.write(kind, parts)
    }

    fn answer(&mut self, question: QuestionId, answer: Answer) {
        assert_eq!(self.answers.insert(question, answer), None, "a question is answered once");
    }

    fn is_open(&self, question: QuestionId) -> bool {
        !self.answers.contains_key(&question)
    }

    fn notify(&mut self, connection: u64, notices: Vec<Notice>) {
        self.notices.extend(notices.into_iter().map(|notice| (connection, notice)));
    }

    fn hand_on(&mut self, work: Work) {
        self.work.push_back(work);
    }

    fn begin_consensus(&mut self, floor: Option<Finality>) {
        assert!(!std::mem::replace(&mut self.has_begun, true), "consensus begins once");
        self.floor = floor;
    }

    fn last_vote(&self, of: ValidatorIndex) -> Bytes {
        self.votes_seen.get(&of).cloned().unwrap_or_default()
    }

    fn lacks_vote(&self, vote: &[u8]) -> bool {
        vote == FORGOTTEN
    }

    fn forget_votes(&mut self) -> Result<(), StoreError> {
        self.votes_forgotten = true;
        Ok(())
    }

    fn view(&self) -> u64 {
        0
    }

    fn kept_from(&self) -> Height {
        self.index.kept_from()
    }

    fn observe(&mut self, observation: Observation) {
        self.observed.push(observation);
    }

    fn halt(&mut self, halt: Halt) {
        self.halted = Some(halt);
    }
}

impl CommitPorts for World {
    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        let position = self.write(kind, parts)?;
        self.records_committed.push_back(position);
        Ok(position)
    }

    fn notify(&mut self, connection: u64, notices: Vec<Notice>) {
        self.notices.extend(notices.into_iter().map(|notice| (connection, notice)));
    }

    fn repeated(&mut self, origin: Origin, transaction: Signed) {
        self.repeated.push((origin, transaction));
    }

    fn tell(&mut self, event: CommitterEvent<'_>) {
        match event {
            CommitterEvent::Executed { height, root, in_flight, executed } => {
                self.roots.push((height, root));
                let decided = executed.decided();
                self.to_tell.push_back(Input::Executed { height, root, in_flight, decided });
            }
            CommitterEvent::Committed { height, checkpoint } => {
                self.due.extend(checkpoint.map(|due| (height, due)));
                self.index.committed(height, self.records_committed.pop_front().unwrap());
                self.to_tell.push_back(Input::Committed(height));
            }
            CommitterEvent::Stage { .. } => {}
        }
    }
}
