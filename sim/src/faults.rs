//! Faults as they happen, and their end.

use std::time::Duration;

use engine::replica::Input;
use engine::store::simulated::Faults;
use engine::wire::{PeerMessage, PeerVersion};

use crate::bell::Rope;
use crate::disks::VoteLog;
use crate::moments::Moment;
use crate::rules::Rule;
use crate::schedule::{Act, Loss};
use crate::validator::{Running, Start, Started};
use crate::world::{Event, World};

/// After how long without a sign of life a connection is given up, and tried anew.
const GIVE_UP: Duration = Duration::from_millis(600);
const TRY_AGAIN: Duration = Duration::from_millis(150);

/// How often operators look after validators that are in an epoch that is over.
const HELP_EVERY: Duration = Duration::from_secs(5);

impl World {
    pub(crate) fn act(&mut self, act: Act) {
        if self.healed && !matches!(act, Act::Start(..)) {
            return;
        }
        let text = format!("{act:?}");
        self.trace.say(self.now, "--", format_args!("{text}"));
        match act {
            Act::Kill(who) => self.each(who, Self::stop),
            Act::CutPower(some) => some.into_iter().for_each(|who| self.each(who, Self::cut_power)),
            Act::Start(who, loss) => self.each(who, |world, node| world.start(node, loss)),
            Act::Install(who, release) => {
                self.each(who, |world, node| world.nodes[node].disks.release = release);
            }
            Act::Copy(who) => {
                let node = &mut self.nodes[who];
                node.older = Some(node.disks.copy());
                node.ran_since = false;
            }
            Act::DieStarting(who, steps) => self.nodes[who].dies = Some(steps),
            Act::SlowDisk(who, factor) => self.nodes[who].slow = factor,
            Act::FullDisk(who) => {
                let node = &mut self.nodes[who];
                node.full = true;
                node.disks.journal.set_faults(Faults::full());
                node.disks.votes.set_faults(Faults::full());
            }
            Act::Pause(who, how_long) => self.nodes[who].pause.stop(self.now + how_long),
            Act::Skew(who, ms) => self.nodes[who].skew_ms += ms,
            Act::Cut(from, to) => {
                self.links.set_cut(from, to, true);
                if let Some(connection) = self.links.connection(from, to) {
                    self.after(GIVE_UP, Event::Lost(from, to, connection));
                }
            }
            Act::LoseUnsynced(some) => some.into_iter().for_each(|who| {
                self.each(who, |world, node| {
                    world.stop(node);
                    let disks = world.nodes[node].disks.clone();
                    disks.lose_unsynced(1_000, &mut world.chance);
                });
            }),
            Act::SlowJournal(who, factor) => self.nodes[who].slow_journal = factor,
            Act::Withhold(filter) => self.filters.push(filter),
            Act::Pass => self.filters.clear(),
            Act::PassTo(to) => self.filters.retain(|filter| filter.to != [to]),
            Act::Push(from, to) => self.push(from, &to),
            Act::Ask(ask) => self.clients.administration.ask(&self.environment, ask),
            Act::Measure => self.measure(),
            Act::Measured => self.measured(),
            Act::Heal => {
                self.plan.heal = self.now;
                self.heal();
            }
            Act::SlowLink(from, to, us) => self.links.set_slow(from, to, us),
            Act::MendLinks => {
                for from in 0..self.nodes.len() {
                    for to in 0..self.nodes.len() {
                        self.links.set_cut(from, to, false);
                    }
                }
                self.connect_all();
            }
        }
    }

    /// Does something to a validator: to both of its processes, if it has two.
    fn each(&mut self, who: usize, what: impl Fn(&mut Self, usize)) {
        let nodes: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].me == who).collect();
        nodes.into_iter().for_each(|node| what(self, node));
    }

    /// Shows the last own batches of a validator to others.
    fn push(&mut self, from: usize, to: &[usize]) {
        let Some(running) = &self.nodes[from].running else { return };
        for batch in running.host.recent.clone() {
            to.iter().for_each(|to| self.carry(from, *to, PeerMessage::Batch(batch.clone())));
        }
    }

    /// The process ends. What it wrote stays.
    pub(crate) fn stop(&mut self, node: usize) {
        let Some(running) = self.nodes[node].running.take() else { return };
        running.die();
        self.moments.forget(node);
        for peer in 0..self.nodes.len() {
            if peer != node
                && self.links.disconnect(node, peer)
                && let Some(number) = self.number(peer, node)
            {
                self.feed(peer, Input::Disconnected(number));
            }
        }
    }

    fn cut_power(&mut self, node: usize) {
        self.stop(node);
        let disks = self.nodes[node].disks.clone();
        disks.cut_power(&mut self.chance);
    }

    /// Starts a validator from what its disks hold then.
    pub(crate) fn start(&mut self, node: usize, loss: Loss) {
        if self.nodes[node].running.is_some() {
            return;
        }
        self.lose(node, loss);
        let honest = self.is_honest(node);
        let place = &mut self.nodes[node];
        place.life += 1;
        let dies = if self.healed { None } else { place.dies.take() };
        let seed = self.chance.bytes();
        if self.rule == Some(Rule::SyncsReal) && !self.healed {
            self.nodes[node].disks.journal.set_faults(Faults::lying());
        }
        let known = self.epochs_for(node);
        let place = &self.nodes[node];
        let started = Running::start(&Start {
            environment: &self.environment,
            bell: &self.bell,
            context: &self.context,
            rule: self.rule.filter(|_| honest),
            node,
            life: place.life,
            me: place.me,
            is_liar: !honest,
            disks: &place.disks,
            first: place.first,
            dies,
            hurried: self.plan.hurried,
            compact_bytes: self.plan.compact_bytes,
            as_shipped: self.plan.as_shipped,
            fast: self.plan.fast,
            everyone_prunes: self.plan.everyone_prunes,
            at: self.now,
            seed,
            known,
        });
        match started {
            Started::Runs(running, replayed, from) => {
                let place = &self.nodes[node];
                self.clients.administration.runs(place.me, place.disks.release.support());
                self.resumed += usize::from(from.is_some());
                self.started(node, running, &replayed);
            }
            Started::Died => {
                self.say(node, format_args!("dies while it starts"));
                let disks = self.nodes[node].disks.clone();
                disks.cut_power(&mut self.chance);
                let wait = self.chance.millis(10..300);
                self.after(wait, Event::Start(node, Loss::Nothing));
            }
            Started::Failed(why) => {
                self.say(node, format_args!("cannot start: {why}"));
                if honest && !self.nodes[node].full && !self.lacks_rules(node, &why) {
                    self.checks.violation(self.now, format!("start: v{node} cannot start: {why}"));
                }
                self.after(Duration::from_millis(400), Event::Start(node, Loss::Nothing));
            }
        }
    }

    /// What an operator has fetched of the epochs, if it has: any validator that is up may be asked.
    fn epochs_for(&mut self, node: usize) -> Option<Vec<u8>> {
        let is_left_out = self.plan.script.is_empty() && !self.healed && self.chance.permille(500);
        if self.plan.spares == 0 || !self.is_honest(node) || is_left_out {
            return None;
        }
        let epochs = self.honest().filter_map(|one| Some(self.nodes[one].running.as_ref()?.replica.epochs()));
        epochs.max_by_key(|epochs| epochs.present()).map(engine::replica::Epochs::encode)
    }

    /// Operators look after those that are in an epoch that is over and cannot get on by themselves.
    pub(crate) fn help(&mut self) {
        if self.plan.spares == 0 || !self.healed || self.now < self.helped + HELP_EVERY {
            return;
        }
        self.helped = self.now;
        for node in self.honest().filter(|node| self.is_left_behind(*node)).collect::<Vec<_>>() {
            self.say(node, format_args!("is told of later epochs by its operator"));
            self.stop(node);
            self.after(Duration::from_millis(200), Event::Start(node, Loss::Nothing));
        }
    }

    /// Whether a validator is in an epoch that is over, and too few of those that it knows can lead it on (E8): no f+1
    /// honest ones of them are beyond and let it in.
    fn is_left_behind(&self, node: usize) -> bool {
        let Some(running) = self.nodes[node].running.as_ref().filter(|of| of.epoch < self.epochs) else {
            return false;
        };
        let is_beyond = |peer: usize| {
            let of_peer = self.nodes[peer].running.as_ref();
            of_peer.is_some_and(|of_peer| of_peer.epoch > running.epoch)
        };
        let leads = |peer: &usize| self.is_honest(*peer) && self.are_peers(node, *peer) && is_beyond(*peer);
        let seats = || (0..running.seats.len()).filter_map(|number| self.reach(node, number));
        seats().filter(leads).count() <= (running.seats.len() - 1) / 3
    }

    /// Whether a validator cannot go on because its release does not run the rules that were decided, and says so.
    pub(crate) fn lacks_rules(&mut self, node: usize, why: &str) -> bool {
        let (needed, place) = (self.clients.administration.rules(), &mut self.nodes[node]);
        let words = format!("install a release that runs rules {needed}");
        let lacks = !place.disks.release.support().has(needed) && why.contains(&words);
        place.refuses_rules |= lacks;
        lacks
    }

    /// Takes away what is lost, or puts back what is older.
    fn lose(&mut self, node: usize, loss: Loss) {
        let release = self.nodes[node].disks.release;
        let shown = loss == Loss::OlderDirectory && self.others_would_tell(node);
        let place = &mut self.nodes[node];
        place.put_back |= shown;
        let older = place.older.as_ref().map(crate::disks::Disks::copy).unwrap_or_default();
        // A journal that was pruned is of no use without its checkpoints: who puts it back puts both back.
        if older.checkpoints.base().0 > 0 && matches!(loss, Loss::OlderJournal) {
            place.disks.checkpoints = older.checkpoints.copy();
        }
        match loss {
            Loss::Nothing => return,
            Loss::OlderDirectory if !shown => return,
            Loss::OlderDirectory => place.disks = older,
            Loss::Journal => place.disks.journal = Default::default(),
            Loss::Votes => place.disks.votes = Default::default(),
            Loss::Both => place.disks = Default::default(),
            Loss::OlderJournal => place.disks.journal = older.journal,
            Loss::OlderVotes => place.disks.votes = older.votes,
            Loss::JournalAndOlderVotes => {
                place.disks = crate::disks::Disks { votes: older.votes, ..Default::default() };
            }
            Loss::VotesAndOlderJournal => {
                let crate::disks::Disks { journal, checkpoints, .. } = older;
                place.disks = crate::disks::Disks { journal, checkpoints, ..Default::default() };
            }
        }
        place.disks.release = release;
        place.forgot |= match loss {
            Loss::Votes | Loss::Both | Loss::VotesAndOlderJournal | Loss::OlderDirectory => true,
            Loss::OlderVotes | Loss::JournalAndOlderVotes => place.ran_since,
            Loss::Nothing | Loss::Journal | Loss::OlderJournal => false,
        };
        if !matches!(loss, Loss::Votes | Loss::OlderVotes) {
            place.acknowledged = 0;
        }
        self.say(node, format_args!("has lost: {loss:?}"));
    }

    /// Whether every other honest validator has seen a vote of this one that the copy of its votes lacks.
    fn others_would_tell(&self, node: usize) -> bool {
        let Some(older) = &self.nodes[node].older else { return false };
        let rope = Rope { bell: self.bell.clone(), caller: (node, 0) };
        let network = self.environment.network().0;
        let Ok(votes) = VoteLog::open(&older.copy().votes, network, rope, false) else { return false };
        let me = self.nodes[node].me;
        let mut others = self.honest().filter(|other| *other != node && self.nodes[*other].me != me);
        others.all(|other| {
            let running = self.nodes[other].running.as_ref();
            running.is_some_and(|running| {
                let memory = votes.replay.memory(running.epoch.0);
                let Some(place) = running.authors.iter().position(|one| *one == me) else { return false };
                let vote = running.inbound.last_vote(place as u16);
                vote.is_some_and(|vote| running.certificates.lacks(&memory, (running.epoch, place), &vote))
            })
        })
    }

    fn started(&mut self, node: usize, mut running: Box<Running>, replayed: &[crate::validator::Replayed]) {
        self.nodes[node].first = false;
        self.nodes[node].ran_since = true;
        self.nodes[node].knows_its_loss = running.losses.votes_forgotten;
        self.nodes[node].told.clear();
        self.found(node, std::mem::take(&mut running.found));
        let (height, losses) = (running.recovered.0, running.losses);
        self.say(node, format_args!("starts at height {height}, {losses:?}"));
        for crate::validator::Replayed { height, root, entries } in replayed {
            if !self.is_honest(node) {
                continue;
            }
            if let Some(wrong) = self.checks.replayed(*height, *root) {
                self.checks.violation(self.now, format!("roots: v{node} {wrong}"));
            } else if let Some(wrong) = self.checks.decisions.differ(*height, entries) {
                self.checks.violation(self.now, format!("decisions: v{node}, starting, {wrong}"));
            }
        }
        let acknowledged = self.nodes[node].acknowledged;
        if height < acknowledged && self.is_honest(node) {
            let what = format!("durability: v{node} told of height {acknowledged} and starts at {height}");
            self.checks.violation(self.now, what);
        }
        running.host.forge = self.nodes[node].liar.as_mut().and_then(crate::byzantine::Liar::forge);
        self.nodes[node].committed = height;
        self.nodes[node].cut_height = height;
        self.nodes[node].cut = std::mem::take(&mut running.cut);
        if losses.stream_lost {
            self.moment(node, Moment::LosesStream, 0, None);
        }
        self.nodes[node].running = Some(running);
        self.feed(node, Input::Time);
        for peer in 0..self.nodes.len() {
            let wait = self.chance.millis(1..40);
            self.after(wait, Event::Connect(node, peer));
        }
    }

    fn connect_all(&mut self) {
        for a in 0..self.nodes.len() {
            for b in 0..a {
                let wait = self.chance.millis(1..60);
                self.after(wait, Event::Connect(a, b));
            }
        }
    }

    pub(crate) fn try_connect(&mut self, a: usize, b: usize) {
        let both = self.life(a).is_some() && self.life(b).is_some();
        if a == b || !both || !self.are_peers(a, b) || self.links.connection(a, b).is_some() {
            return;
        }
        if !self.links.is_open(a, b) {
            return self.after(TRY_AGAIN, Event::Connect(a, b));
        }
        self.links.connect(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            if let Some(number) = self.number(node, peer) {
                let version = match self.rule {
                    Some(Rule::AgreedSpoken) => PeerVersion::LAST,
                    _ => self.agreed(a, b),
                };
                self.feed(node, Input::Connected(number, version));
            }
        }
    }

    /// A link that is cut for long loses its connection.
    pub(crate) fn lost(&mut self, a: usize, b: usize, connection: u64) {
        if self.links.connection(a, b) != Some(connection) || self.links.is_open(a, b) {
            return;
        }
        self.links.disconnect(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            if let Some(number) = self.number(node, peer) {
                self.feed(node, Input::Disconnected(number));
            }
        }
        self.after(TRY_AGAIN, Event::Connect(a, b));
    }

    /// Every fault but lying ends.
    pub(crate) fn heal(&mut self) {
        if self.healed {
            return;
        }
        self.trace.say(self.now, "--", format_args!("all faults end"));
        self.healed = true;
        self.links.heal();
        let liars = &self.plan.liars;
        self.filters.retain(|filter| filter.from.iter().all(|from| liars.contains_key(from)));
        for node in 0..self.nodes.len() {
            let place = &mut self.nodes[node];
            place.slow = 1;
            place.slow_journal = 1;
            let waits = place.pause.end(self.now);
            place.dies = None;
            place.disks.journal.set_faults(Faults::default());
            place.disks.votes.set_faults(Faults::default());
            if waits {
                self.at(self.now, Event::Resume(node));
            }
            let wait = self.chance.millis(0..100);
            self.after(wait, Event::Start(node, Loss::Nothing));
        }
        self.connect_all();
    }
}
