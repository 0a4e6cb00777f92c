//! A validator that has lost something: its own stream, or the memory of its votes.
//!
//! *Lost stream* (R5): it seals nothing until 2f+1 others have said which batch of it they have received last, and then
//! goes on behind the highest batch with its signature that can be fetched from them. How far they *hold* it would not
//! do: a batch that was sent before the loss may still be on its way to their disks.
//!
//! *Forgotten votes*: it follows without voting until something is final at least two views above every view that 2f+1
//! others are in: whatever it may have voted for lies below.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Boot, Halt, KIND_BOOT, Now, Observation, Ports, Replica};
use crate::limits::STREAM_BATCHES_MAX;
use crate::mempool::Mempool;
use crate::order::Finality;
use crate::types::{Head, ValidatorIndex};

/// How long a head that was named is looked for, after enough others have answered: a liar may name one that nobody
/// has.
const SEARCH: Duration = Duration::from_secs(3);
/// How far above the views of others finality must be.
const VIEWS_ABOVE: u64 = 2;
/// After this long, what the f highest of the others say of their view no longer binds: f of them may be liars, and
/// every honest one is by then in a view that this validator cannot have left behind.
const SETTLED: Duration = Duration::from_secs(30);

/// What a validator still knows of itself when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its journal is missing, older than its votes, or of another run: it may have sealed more than it knows.
    pub stream_lost: bool,
    /// The log of its votes is missing or older than its journal: it may have voted more than it knows.
    pub votes_forgotten: bool,
}

/// The starts that one log remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boots {
    /// The last that was begun; 0 if none was.
    pub begun: u64,
    /// The last that was done; 0 if none was.
    pub done: u64,
    /// Whether the log says of itself that it lost something and has not learnt it again.
    pub lost: bool,
    /// Whether the last start found that the other log had lost something.
    pub counterpart_lost: bool,
}

impl Boots {
    /// Notes a record.
    pub fn note(&mut self, boot: Boot) {
        self.begun = self.begun.max(boot.number);
        if boot.done {
            self.done = self.done.max(boot.number);
        }
        self.lost = boot.lost;
        self.counterpart_lost = boot.counterpart_lost;
    }
}

impl Standing {
    /// What `journal` and `votes` say of each other. `first` means that this validator has never run, which only its
    /// operator can know: two empty logs may also be two lost ones.
    ///
    /// Each log remembers its own loss until it is made good: a validator may well be started again before that. The
    /// journal, which is written first, also remembers that of the votes, until the log of votes has the same start.
    ///
    /// A copy that was made and put back within one start cannot be told from the original.
    #[must_use]
    pub fn of(journal: Boots, votes: Boots, first: bool) -> Self {
        // A first start that was cut short has neither voted nor sealed.
        if first && journal.done == 0 && votes.begun == 0 {
            return Self::default();
        }
        Self {
            stream_lost: journal.begun == 0 || journal.begun < votes.begun || journal.lost,
            votes_forgotten: votes.begun < journal.done
                || (votes.begun == 0 && journal.begun == 0)
                || (votes.begun < journal.begun && journal.counterpart_lost)
                || votes.lost,
        }
    }

    /// The journal's record of a start that found this.
    #[must_use]
    pub fn boot(self, number: u64, done: bool) -> Boot {
        Boot { number, done, lost: self.stream_lost, counterpart_lost: self.votes_forgotten }
    }

    /// The boot that follows.
    #[must_use]
    pub fn next_boot(journal: Boots, votes: Boots) -> u64 {
        journal.begun.max(votes.begun) + 1
    }
}

/// What others have said of the own stream.
#[derive(Debug, Default)]
pub(super) struct Learning {
    answers: BTreeMap<ValidatorIndex, Head>,
    complete: Option<Duration>,
}

impl Learning {
    pub(super) fn told(&mut self, by: ValidatorIndex, head: Head) {
        self.answers.insert(by, head);
    }
}

/// In which views others are.
#[derive(Debug, Default)]
pub(super) struct Rejoin {
    /// What each said first, and what it said last.
    views: BTreeMap<ValidatorIndex, u64>,
    latest: BTreeMap<ValidatorIndex, u64>,
    above: Option<u64>,
    complete: Option<Duration>,
}

impl Replica {
    /// How many others must be heard: 2f+1, or all of them where there are no more.
    fn others_needed(&self) -> usize {
        (2 * self.faulty + 1).min(self.validators() - 1)
    }

    /// Whether this validator does not know its own stream and seals nothing.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        self.learning.is_some()
    }

    /// Whether this validator does not vote because it may have forgotten what it voted for.
    #[must_use]
    pub fn is_rejoining(&self) -> bool {
        self.rejoin.is_some()
    }

    pub(super) fn learn(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        let me = self.settings.me;
        let stream = &self.streams[usize::from(me.0)];
        if self.learning.is_none() {
            // f+1 others hold more of the own stream than is here: this validator has forgotten it.
            if stream.lacking(self.faulty + 1).is_none() || self.validators() == 1 {
                return Ok(());
            }
            self.learning = Some(Learning::default());
            self.mempools.values().for_each(Mempool::pause);
            ports.observe(Observation::StreamLost);
        }
        let window = stream.cut().sequence.0 + STREAM_BATCHES_MAX as u64;
        let known = |head: &Head| stream.is_settled(head);
        let (needed, faulty) = (self.others_needed(), self.faulty);
        let Some(learning) = &mut self.learning else { return Ok(()) };
        let unknown: Vec<Head> = learning.answers.values().copied().filter(|head| !known(head)).collect();
        if learning.answers.len() < needed {
            return Ok(());
        }
        let complete = *learning.complete.get_or_insert(now.monotonic);
        let beyond = unknown.iter().filter(|head| head.sequence.0 > window).count();
        let searched = now.monotonic >= complete + SEARCH;
        // What f+1 say is true, and catch-up leads there; what fewer say may be a lie.
        if unknown.is_empty() || (searched && beyond <= faulty) {
            let held = stream.held();
            let kept = stream.path(&held, &self.own_head).is_ok();
            let head = if kept { self.own_head } else { held };
            self.learning = None;
            self.go_on_behind(head, now.monotonic, ports);
            self.mempools.values().for_each(Mempool::resume);
            ports.observe(Observation::StreamLearnt(head));
            ports.append(KIND_BOOT, &[&Boot::LEARNT.encode()])?;
            return Ok(());
        }
        for head in unknown.into_iter().filter(|head| head.sequence.0 <= window) {
            self.want_batch(me, head, false, Vec::new(), Duration::ZERO, now);
        }
        Ok(())
    }

    pub(super) fn rejoin_told(&mut self, by: ValidatorIndex, view: u64) {
        let needed = self.others_needed();
        let Some(rejoin) = &mut self.rejoin else { return };
        // The first answer counts: it was given after this validator had stopped voting, and a later one only waits
        // longer.
        rejoin.views.entry(by).or_insert(view);
        rejoin.latest.insert(by, view);
        // Any 2f+1 answers will do, so the lowest are taken: a liar who names a view that never comes keeps nobody
        // away.
        let mut views: Vec<u64> = rejoin.views.values().copied().collect();
        views.sort_unstable();
        let above = views.get(needed - 1).map(|view| view.saturating_add(VIEWS_ABOVE));
        rejoin.above = rejoin.above.or(above).min(above.or(rejoin.above));
    }

    /// After a while the highest claims are left out; a validator alone has nobody to ask.
    pub(super) fn settle_rejoin(&mut self, now: Now, ports: &mut impl Ports) {
        let (needed, faulty, alone) = (self.others_needed(), self.faulty, self.validators() == 1);
        let Some(rejoin) = &mut self.rejoin else { return };
        if alone {
            self.rejoin = None;
            return ports.rejoin(self.last_finality.clone());
        }
        if rejoin.views.len() >= needed
            && now.monotonic >= *rejoin.complete.get_or_insert(now.monotonic) + SETTLED
        {
            let mut views: Vec<u64> = rejoin.latest.values().copied().collect();
            views.sort_unstable_by(|a, b| b.cmp(a));
            rejoin.above = views.get(faulty).map(|view| view.saturating_add(VIEWS_ABOVE));
        }
    }

    pub(super) fn rejoin_with(&mut self, finality: &Finality, ports: &mut impl Ports) {
        let above = self.rejoin.as_ref().and_then(|rejoin| rejoin.above);
        if above.is_some_and(|above| finality.view() >= above) {
            self.rejoin = None;
            ports.rejoin(Some(finality.clone()));
        }
    }
}
