//! A validator that has lost something: its own stream, or the memory of its votes.
//!
//! *Lost stream* (R5): it seals nothing until 2f+1 others have said which batch of it they have received last, and then
//! goes on behind the highest batch with its signature that can be fetched from them. How far they *hold* it would not
//! do: a batch that was sent before the loss may still be on its way to their disks.
//!
//! *Forgotten votes*: it follows without voting until something is final at least two views above every view that 2f+1
//! others are in: whatever it may have voted for lies below.
//!
//! *Older copy*: a whole directory that was put back is consistent in itself, so the two rules above miss it. A
//! validator that starts hears a quorum, itself included, before its first vote and its first batch. One signed vote or
//! batch that its directory lacks is enough, and both rules apply. No validator needs more: what f liars hide, an
//! honest one shows, if it was up when the vote was cast.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::state::TICK;
use super::{Boot, Epochs, Halt, KIND_BOOT, Now, Observation, Ports, Replica, To};
use crate::availability::{Gap, Stream};
use crate::order::Finality;
use crate::types::{Head, ValidatorIndex};
use crate::wire::PeerMessage;

/// How long a head that at most f others have named is looked for, since the last own batch has come: a liar may name
/// one that nobody has.
const SEARCH: Duration = Duration::from_secs(3);
/// How often a peer is asked for the last vote that it has seen, until it answers.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How far above the views of others finality must be.
const VIEWS_ABOVE: u64 = 2;
/// With fewer validators than this votes cannot be made good: none may be missing.
const VOTES_REGAINED_FROM: usize = 4;
/// After this long, what the f highest of the others say of their view no longer binds: f of them may be liars, and
/// every honest one is by then in a view that this validator cannot have left behind.
const SETTLED: Duration = Duration::from_secs(30);

/// What a validator still knows of itself when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Its journal is missing, older than its votes, or of another run: it may have sealed more than it knows.
    pub stream_lost: bool,
    /// The log of its votes is missing or older than its journal: it may have voted more than it knows.
    pub votes_forgotten: bool,
    /// What it finds may be an older copy of everything, so it hears others before it votes and seals. Every start
    /// does.
    pub hears_others: bool,
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

/// How many validators there are, as far as a start can tell: the members of the last epoch that its journal, or what
/// its operator has fetched, has. If it has voted in a later one, so many may have come that votes can be made good.
#[must_use]
pub fn validators_known(journal: &Epochs, fetched: Option<&Epochs>, voted_in: u64) -> usize {
    let last = fetched.unwrap_or(journal);
    let count = journal.members().list.len().max(last.members().list.len());
    if voted_in > last.present().0 { count.max(VOTES_REGAINED_FROM) } else { count }
}

impl Losses {
    /// What `journal` and `votes` say of each other, in a network of `validators`. `first` means that this validator
    /// has never run, which only its operator can know: two empty logs may also be two lost ones.
    ///
    /// Each log remembers its own loss until it is made good: a validator may well be started again before that. The
    /// journal, which is written first, also remembers that of the votes, until the log of votes has the same start.
    ///
    /// Where one log turns out to be lost there is nothing left to hold the other against, so it counts as lost, too.
    /// With fewer than four validators votes cannot be made good, so there the votes beside a lost journal are
    /// believed.
    ///
    /// A copy of everything cannot be told from the original by itself: others tell.
    #[must_use]
    pub fn of(journal: Boots, votes: Boots, first: bool, validators: usize) -> Self {
        // A first start that was cut short has neither voted nor sealed.
        if first && journal.done == 0 && votes.begun == 0 {
            return Self { hears_others: true, ..Self::default() };
        }
        let stream = journal.begun == 0 || journal.begun < votes.begun;
        let forgotten = votes.begun < journal.done
            || (votes.begun == 0 && journal.begun == 0)
            || (votes.begun < journal.begun && journal.counterpart_lost);
        Self {
            stream_lost: stream || forgotten || journal.lost || votes.lost,
            votes_forgotten: forgotten || (stream && validators >= VOTES_REGAINED_FROM) || votes.lost,
            hears_others: true,
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
    /// What each said last.
    answers: BTreeMap<ValidatorIndex, Head>,
    /// The finalized cut of the own stream and how many batches above it are here, and since when both are so, or since
    /// when so few named heads are missing that all of them may be lies.
    progress: (Head, usize),
    since: Option<Duration>,
}

impl Learning {
    pub(super) fn told(&mut self, by: ValidatorIndex, head: Head) {
        self.answers.insert(by, head);
    }
}

/// How much of what others have named is here.
struct Named {
    /// The batches nearest to the cut that are missing, one for each answer that leads to one.
    missing: Vec<Head>,
    /// Whether something is here and still on its way to the disk.
    unwritten: bool,
    /// The highest head whose whole path is here, if it lies above the cut.
    highest: Option<Head>,
}

impl Named {
    fn of<'a>(answers: impl Iterator<Item = &'a Head>, stream: &Stream) -> Self {
        let mut named = Self { missing: Vec::new(), unwritten: false, highest: None };
        for head in answers {
            match stream.path(&stream.cut(), head) {
                Ok(path) => {
                    named.unwritten |= path.iter().any(|batch| !stream.is_durable(batch.digest()));
                    named.highest = named.highest.max((!path.is_empty()).then_some(*head));
                }
                Err(Gap::Missing(at)) => named.missing.push(at),
                // It lies below the cut, or where nothing can be ordered any more.
                Err(Gap::Leaves) => {}
            }
        }
        named
    }
}

/// What others say at a start: see the older copy above.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// What each has received of the own stream.
    heads: BTreeMap<ValidatorIndex, Head>,
    /// When each was asked for the last vote that it has seen.
    asked: BTreeMap<ValidatorIndex, Duration>,
    /// Who has shown it, or has seen none.
    shown: BTreeSet<ValidatorIndex>,
    /// Since when a quorum has said both, and when it was last looked at what is missing.
    since: Option<Duration>,
    looked: Option<Duration>,
}

impl Hearing {
    pub(super) fn told(&mut self, by: ValidatorIndex, head: Head) {
        self.heads.insert(by, head);
    }

    /// What it was asked on an earlier connection may be lost.
    pub(super) fn connected(&mut self, peer: ValidatorIndex) {
        self.asked.remove(&peer);
    }

    /// Who is to be asked now.
    fn ask(&mut self, connected: &BTreeSet<ValidatorIndex>, now: Duration) -> Vec<ValidatorIndex> {
        let is_due = |peer: &&ValidatorIndex| {
            !self.shown.contains(peer) && self.asked.get(peer).is_none_or(|asked| now >= *asked + ASK_AGAIN)
        };
        let due: Vec<ValidatorIndex> = connected.iter().filter(is_due).copied().collect();
        self.asked.extend(due.iter().map(|peer| (*peer, now)));
        due
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
        (2 * self.faulty + 1).min(self.others)
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

    /// Something shows that this validator knows its own stream no longer: it seals nothing until it has learnt it,
    /// also if it is started again before that. At a start that says the same of its votes, also while it learns.
    pub(super) fn lose_stream(&mut self, ports: &mut impl Ports) -> Result<(), Halt> {
        // The log of votes comes first: one that has lost votes counts as one that has lost its stream, too.
        if self.hearing.is_some() && self.validators() >= VOTES_REGAINED_FROM {
            self.forget_votes(ports)?;
        }
        if self.learning.is_none() {
            self.learning = Some(Learning::default());
            self.mempools.pause();
            ports.observe(Observation::StreamLost);
            ports.append(KIND_BOOT, &[&Boot::LOST.encode()])?;
        }
        Ok(())
    }

    /// The directory is an older copy: what this validator may have voted for since is not known here.
    fn forget_votes(&mut self, ports: &mut impl Ports) -> Result<(), Halt> {
        self.hearing = None;
        ports.observe(Observation::OlderCopy);
        ports.forget_votes()?;
        self.rejoin = Some(Rejoin::default());
        Ok(())
    }

    /// A peer shows the last vote of this validator that it has seen.
    pub(super) fn vote_shown(
        &mut self,
        by: ValidatorIndex,
        vote: &[u8],
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let Some(hearing) = &mut self.hearing else { return Ok(()) };
        if !hearing.shown.insert(by) {
            return Ok(());
        }
        if !vote.is_empty() && ports.lacks_vote(vote) {
            self.forget_votes(ports)?;
            self.lose_stream(ports)?;
        }
        Ok(())
    }

    /// Whether this validator still hears others before it votes and seals.
    #[must_use]
    pub fn is_hearing(&self) -> bool {
        self.hearing.is_some()
    }

    /// Begins consensus once a quorum has been heard and shown nothing that is not here. What is named and missing is
    /// fetched: if it is this validator's, [`Self::lose_stream`] ends the hearing. What does not come was a lie, unless
    /// more than f have named something that is missing.
    pub(super) fn hear(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        let (me, others) = (self.settings.me, self.quorum - 1);
        let asked = self.hearing.as_mut().map(|hearing| hearing.ask(&self.connected, now.monotonic));
        for peer in asked.into_iter().flatten() {
            ports.send(To::One(peer), &PeerMessage::FetchLastVote);
        }
        if let Some(hearing) = &mut self.hearing
            && hearing.heads.len() >= others
            && hearing.shown.len() >= others
            && hearing.looked.is_none_or(|looked| now.monotonic >= looked + TICK)
        {
            hearing.looked = Some(now.monotonic);
            let searched = now.monotonic >= *hearing.since.get_or_insert(now.monotonic) + SEARCH;
            let missing = Named::of(hearing.heads.values(), &self.streams[usize::from(me.0)]).missing;
            if searched && missing.len() > self.faulty {
                self.lose_stream(ports)?;
            }
            if missing.is_empty() || searched {
                self.hearing = None;
            }
            for head in missing.into_iter().filter(|_| !searched) {
                self.want_batch(me, head, false, Vec::new(), Duration::ZERO, now);
            }
        }
        if self.hearing.is_none() && self.rejoin.is_none() && !self.has_begun {
            self.begin_consensus(self.last_finality.clone(), ports);
        }
        Ok(())
    }

    fn begin_consensus(&mut self, floor: Option<Finality>, ports: &mut impl Ports) {
        self.has_begun = true;
        ports.begin_consensus(floor);
    }

    pub(super) fn learn(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        let me = self.settings.me;
        let stream = &self.streams[usize::from(me.0)];
        // f+1 others hold more of the own stream than is here.
        if self.learning.is_none() && self.validators() > 1 && stream.lacking(self.faulty + 1).is_some() {
            self.lose_stream(ports)?;
        }
        let (needed, faulty, stream) = (self.others_needed(), self.faulty, &self.streams[usize::from(me.0)]);
        let early = self.early_of(me).next().is_some();
        let Some(learning) = &mut self.learning else { return Ok(()) };
        if learning.answers.len() < needed {
            return Ok(());
        }
        let named = Named::of(learning.answers.values(), stream);
        // More than f answers cannot all be lies, so one of them names a batch that exists: catch-up or a fetch brings
        // it. Fewer are believed while something still comes.
        let progress = (stream.cut(), stream.len());
        if named.missing.len() > faulty || learning.progress != progress {
            (learning.progress, learning.since) = (progress, Some(now.monotonic));
        }
        let searched = now.monotonic >= *learning.since.get_or_insert(now.monotonic) + SEARCH;
        // What has come and waits for the height that it names was sealed as well.
        if !named.unwritten && !early && (named.missing.is_empty() || searched) {
            // What is here and follows it was signed as well, on whichever disk it lies.
            let highest = stream.durable_end(named.highest.unwrap_or(stream.held()), &self.own_head);
            let extends = stream.leads_to(&highest, &self.own_head);
            let head = if extends { self.own_head } else { highest };
            self.learning = None;
            self.go_on_behind(head, now.monotonic, ports);
            self.mempools.resume();
            ports.observe(Observation::StreamLearnt(head));
            ports.append(KIND_BOOT, &[&Boot::LEARNT.encode()])?;
            return Ok(());
        }
        let near: Vec<Head> =
            named.missing.into_iter().filter(|head| stream.is_near(head.sequence)).collect();
        for head in near {
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
            return self.begin_consensus(self.last_finality.clone(), ports);
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
            self.begin_consensus(Some(finality.clone()), ports);
        }
    }
}
