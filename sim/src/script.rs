//! Scripts: steps that wait for something to happen in the run, and then do something.
//!
//! A step that never comes is a violation: a scenario whose situation did not arise has shown nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::types::{Digest, Epoch, Head, RULES_FIRST};

use crate::moments::Moment;
use crate::schedule::Act;
use crate::world::{Event, World};

/// Which view a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Views {
    /// Any one in which the last of them does it after the step before.
    Any,
    /// The one that an earlier step has marked.
    Marked,
    /// The same, and the last of them does it after the step before.
    MarkedNow,
    /// A later one than that.
    Later,
    Only(u64),
}

/// What a step waits for, after the step before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So long after the step before.
    After(Duration),
    /// All these validators do this in one view, which becomes the marked one if `mark`.
    All { moment: Moment, nodes: Vec<usize>, views: Views, mark: bool },
    /// Two of these validators have voted to notarize different blocks in one view, not before the marked one. It
    /// becomes the marked one.
    Split(Vec<usize>),
    /// So many blocks were to be certified above the last finalized one, at one validator.
    Unfinalized(u64),
    /// This validator is asked to verify a block above the marked one, which is final there and not executed.
    VerifiesWithout(usize),
    /// This validator is asked to verify a block whose last batch of this author it has not taken in. Its view becomes
    /// the marked one.
    VerifiesLacking(usize, usize),
    /// A block is final at this validator that it cannot execute, because bodies are missing. Its view becomes the
    /// marked one.
    FinalWithout(usize),
    /// This validator runs and does not know its stream.
    Learns(usize),
    /// This validator runs and knows its stream.
    KnowsStream(usize),
    /// Somebody honest has executed a block that takes batches of this author.
    Takes(usize),
    /// The same, and it takes more than any had when the step before came.
    TakesMore(usize),
    /// The first validator has a batch of the second one that no other has.
    HasAlone(usize, usize),
    /// An account has got another key since the step before.
    KeyReplaced,
    /// This validator keeps a batch until it has executed the height that the batch names.
    WaitsForHeight(usize),
    /// Transactions have been applied under new keys, and others have come too late under keys that were replaced.
    SignedUnderBoth,
    /// The next decision takes effect within so many heights.
    Nears(u64),
    /// So many decisions are in effect, and these validators have committed the height of the last one.
    HasEffect(usize, Vec<usize>),
    /// So many more transactions were applied on created chains since the step before.
    UsesCreated(usize),
    /// A payment has arrived on a paused chain since the step before.
    ArrivesPaused,
    /// A decision about the next epoch lacked consents, since the step before.
    LacksConsents,
    /// Other rules are decided.
    DecidesRules,
    /// This validator has refused to go on, because its release does not run the rules.
    RefusesRules(usize),
    /// All of these are in an epoch of other rules.
    HasRules(Vec<usize>),
    /// The members of this epoch are decided.
    DecidesMembers(u64),
    /// All of these are in this epoch or a later one.
    InEpoch(u64, Vec<usize>),
    /// The marked block is executed.
    Ordered,
}

impl When {
    pub(crate) fn all(moment: Moment, nodes: &[usize], views: Views) -> Self {
        Self::All { moment, nodes: nodes.to_vec(), views, mark: false }
    }

    /// The same, and the view becomes the marked one.
    pub(crate) fn mark(moment: Moment, nodes: &[usize], views: Views) -> Self {
        Self::All { moment, nodes: nodes.to_vec(), views, mark: true }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) when: When,
    pub(crate) acts: Vec<Act>,
}

/// How far a script has come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: Vec<Step>,
    next: usize,
    since: Duration,
    marked: (u64, Option<Digest>),
    /// How far each stream was taken when the step before came, and how many accounts had got another key.
    cuts: Vec<u64>,
    replaced: usize,
    /// How many transactions were applied on created chains, and how many payments had arrived on paused ones.
    on_created: usize,
    on_paused: usize,
    /// How many decisions had lacked consents.
    lacked: usize,
}

impl Script {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps, ..Self::default() }
    }

    /// The step that has not come.
    pub(crate) fn missing(&self) -> Option<String> {
        let step = self.steps.get(self.next)?;
        Some(format!("scenario: step {} never comes: {:?}", self.next + 1, step.when))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl World {
    /// Notes something for the script.
    pub(crate) fn moment(&mut self, node: usize, moment: Moment, view: u64, digest: Option<Digest>) {
        if self.script.is_empty() {
            return;
        }
        self.moments.note(node, moment, view, (self.now, digest));
        if moment == Moment::Certifies
            && let Some(block) = digest.and_then(|digest| self.blocks.get(&digest))
            && let Some(running) = &self.nodes[node].running
        {
            let above = block.height().0.saturating_sub(running.replica.finalized().0);
            self.moments.unfinalized = self.moments.unfinalized.max(above);
        }
    }

    /// Does what is due of the script.
    pub(crate) fn advance(&mut self) {
        while let Some(step) = self.script.steps.get(self.script.next) {
            let Step { when, acts } = step.clone();
            if !self.has_come(&when) {
                return;
            }
            self.trace.say(self.now, "--", format_args!("step {}: {when:?}", self.script.next + 1));
            self.script.next += 1;
            self.script.since = self.now;
            self.script.cuts = (0..self.nodes.len()).map(|author| self.honest_cut(author)).collect();
            self.script.replaced = self.checks.keys.replaced.0;
            let decisions = &self.checks.decisions;
            (self.script.on_created, self.script.on_paused) = (decisions.on_created, decisions.on_paused);
            self.script.lacked = decisions.lacked;
            if let Some(Step { when: When::After(wait), .. }) = self.script.steps.get(self.script.next) {
                self.after(*wait, Event::Script);
            }
            acts.into_iter().for_each(|act| self.act(act));
        }
    }

    /// How far an author's stream is taken by what somebody honest has executed.
    fn honest_cut(&self, author: usize) -> u64 {
        let honest = self.nodes.iter().filter(|node| node.liar.is_none());
        honest.filter_map(|node| node.cut.get(author)).map(|head| head.sequence.0).max().unwrap_or(0)
    }

    fn has_come(&mut self, when: &When) -> bool {
        let marked = self.script.marked;
        match when {
            When::After(wait) => self.now >= self.script.since + *wait,
            When::All { moment, nodes, views, mark } => {
                let now = matches!(views, Views::Any | Views::MarkedNow);
                let since = if now { self.script.since } else { Duration::ZERO };
                let range = match views {
                    Views::Any => 0..=u64::MAX,
                    Views::Marked | Views::MarkedNow => marked.0..=marked.0,
                    Views::Later => marked.0 + 1..=u64::MAX,
                    Views::Only(view) => *view..=*view,
                };
                let found = self.moments.find(*moment, nodes, range, since);
                if let Some(found) = found.filter(|_| *mark) {
                    self.script.marked = found;
                }
                found.is_some()
            }
            When::Split(nodes) => {
                let view = self.moments.split(marked.0.saturating_sub(1), nodes);
                self.script.marked.0 = view.unwrap_or(marked.0);
                view.is_some()
            }
            When::Unfinalized(blocks) => self.moments.unfinalized >= *blocks,
            When::VerifiesWithout(node) => {
                let height =
                    marked.1.and_then(|digest| self.blocks.get(&digest)).map(|block| block.height().0);
                let asked =
                    self.moments.find(Moment::Verifies, &[*node], marked.0 + 1..=u64::MAX, Duration::ZERO);
                asked.is_some() && height.is_some_and(|height| self.nodes[*node].cut_height < height)
            }
            When::VerifiesLacking(node, author) => {
                let Some((view, Some(digest))) = self.moments.last(Moment::Verifies, *node) else {
                    return false;
                };
                let head = self.blocks.get(&digest).and_then(|block| block.cut().get(*author));
                let Some(head) = head.filter(|head| !head.is_none()) else { return false };
                let of_author = |key: &(usize, u64, usize)| key.0 == *node && key.2 == *author;
                let mut taken = self.taken.iter().filter(|(key, _)| of_author(key));
                let lacks = !taken.any(|(_, batches)| batches.has(head));
                if lacks {
                    self.script.marked = (view, Some(digest));
                }
                lacks
            }
            When::FinalWithout(node) => {
                let Some(running) = &self.nodes[*node].running else { return false };
                let finalized = running.replica.finalized().0;
                let digest = self.blocks.iter().find(|(_, block)| block.height().0 == finalized);
                let lacks = self.nodes[*node].cut_height < finalized;
                let found = digest.filter(|_| lacks).and_then(|(digest, _)| {
                    self.moments.view_of(Moment::HearsFinal, *node, digest).map(|view| (view, Some(*digest)))
                });
                self.script.marked = found.unwrap_or(marked);
                found.is_some()
            }
            When::Learns(node) | When::KnowsStream(node) => {
                let running = self.nodes[*node].running.as_ref();
                let learns = matches!(when, When::Learns(_));
                running.is_some_and(|running| running.replica.is_learning() == learns)
            }
            When::Takes(author) => self.honest_cut(*author) > 0,
            When::TakesMore(author) => {
                self.honest_cut(*author) > self.script.cuts.get(*author).copied().unwrap_or(0)
            }
            When::HasAlone(holder, author) => {
                let of = |wanted: &dyn Fn(usize) -> bool| -> BTreeSet<Head> {
                    let taken = self.taken.iter().filter(|(key, _)| key.2 == *author && wanted(key.0));
                    taken.flat_map(|(_, batches)| batches.heads()).collect()
                };
                let others = of(&|node| node != *holder && node != *author);
                of(&|node| node == *holder).iter().any(|head| !others.contains(head))
            }
            When::KeyReplaced => self.checks.keys.replaced.0 > self.script.replaced,
            When::WaitsForHeight(node) => {
                let running = self.nodes[*node].running.as_ref();
                running.is_some_and(|running| {
                    running.replica.sizes().iter().any(|of| of.0 == "early" && of.1 > 0)
                })
            }
            When::SignedUnderBoth => self.checks.keys.anew > 0 && self.checks.keys.late > 0,
            When::Nears(heights) => {
                let next = self.checks.decisions.next_effect();
                next.is_some_and(|next| next.0 <= self.checks.height() + heights)
            }
            When::HasEffect(several, nodes) => {
                let decisions = &self.checks.decisions;
                let height = decisions.last_effect().0;
                decisions.effects >= *several
                    && nodes.iter().all(|node| self.nodes[*node].committed >= height)
            }
            When::UsesCreated(several) => {
                self.checks.decisions.on_created >= self.script.on_created + several
            }
            When::ArrivesPaused => self.checks.decisions.on_paused > self.script.on_paused,
            When::LacksConsents => self.checks.decisions.lacked > self.script.lacked,
            When::DecidesRules => self.checks.decisions.rules.is_some(),
            When::RefusesRules(node) => self.nodes[*node].refuses_rules,
            When::HasRules(nodes) => nodes.iter().all(|node| {
                let running = self.nodes[*node].running.as_ref();
                running.is_some_and(|running| running.replica.epochs().members().rules > RULES_FIRST)
            }),
            When::DecidesMembers(epoch) => self.checks.decisions.members.0 >= Epoch(*epoch),
            When::InEpoch(epoch, nodes) => nodes.iter().all(|node| {
                let running = self.nodes[*node].running.as_ref();
                running.is_some_and(|running| running.epoch >= Epoch(*epoch))
            }),
            When::Ordered => marked.1.is_some_and(|digest| self.checks.has_ordered(&digest)),
        }
    }
}
