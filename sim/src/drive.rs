//! What happens when an event is due: the replica, the committer and the rest are called, and what they say is carried
//! out.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::execute::Delta;
use engine::ingress::Source;
use engine::replica::{Halt, Input, JournalReader, Now, Read, To, Work};
use engine::types::{
    AccountRecord, FIRST_KEY_VERSION, Height, OwnRow, PacketRun, TransactionId, ValidatorIndex, Verdict,
};
use engine::verify::{BatchFault, BatchRefusal, Checked, Job, Tally, Verified};
use engine::wire::{Batch, Notice, PeerMessage};

use crate::checks::{OnChain, Ordered};
use crate::described::Described;
use crate::device::Device;
use crate::environment::DECIDING;
use crate::host::{Committed, Output};
use crate::links::{BULK, CONTROL};
use crate::moments::Moment;
use crate::reserved::reservations;
use crate::rules::Rule;
use crate::schedule::Sort;
use crate::world::{Event, World};

/// The calendar of the world begins here, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_900_000_000_000;
/// A sync that began before the faults ended takes no longer than this.
const SYNC_MAX: Duration = Duration::from_millis(1_500);
/// The shortest wait of a validator for an event, as in the node.
const WAIT_MIN: Duration = Duration::from_micros(500);

impl World {
    /// The true time.
    pub(crate) fn clock_ms(&self) -> u64 {
        EPOCH_MS + self.now.as_millis() as u64
    }

    pub(crate) fn time_of(&self, node: usize) -> Now {
        let place = &self.nodes[node];
        let since = place.running.as_ref().map_or(Duration::ZERO, |running| running.since);
        let skew = if self.healed && place.liar.is_none() { 0 } else { place.skew_ms };
        Now { monotonic: self.now - since, unix_ms: self.clock_ms().saturating_add_signed(skew) }
    }

    /// Gives a replica an input and carries out what it says.
    pub(crate) fn feed(&mut self, node: usize, input: Input) {
        let mut now = self.time_of(node);
        let Some(running) = &mut self.nodes[node].running else { return };
        if let Input::Message(_, PeerMessage::Block(block)) = &input {
            running.host.saw(block);
        }
        now.unix_ms = now.unix_ms.max(running.host.latest_ms);
        running.host.view = running.consensus.as_ref().map_or(0, consensus::Handle::view);
        running.replica.handle(input, now, &mut running.host);
        let said = std::mem::take(&mut running.host.out);
        for output in said {
            self.output(node, output);
        }
        self.write_journal(node);
        self.set_alarm(node);
    }

    fn set_alarm(&mut self, node: usize) {
        let now = self.now;
        let life = self.nodes[node].life;
        let Some(running) = &mut self.nodes[node].running else { return };
        let Some(deadline) = running.replica.deadline() else { return };
        let at = (running.since + deadline).max(now + WAIT_MIN);
        if running.alarm.is_none_or(|alarm| at < alarm) {
            running.alarm = Some(at);
            self.at(at, Event::Alarm(node, life));
        }
    }

    fn output(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        match output {
            Output::Send(to, message) => self.send(node, &to, &message),
            Output::Notify(notices) => self.notify(node, notices),
            Output::Work(Work::Check(check)) => {
                let wait = self.chance.micros(100..1_500);
                match self.device.as_ref().map_or(Some(Duration::ZERO), Device::delay) {
                    Some(later) => self.after(wait + later, Event::Check(node, life, check)),
                    None => self.after(wait, Event::Unchecked(node, life, check.from, *check.batch.digest())),
                }
            }
            Output::Work(Work::Execute(job)) => {
                self.nodes[node].cut = job.block.value().cut().to_vec();
                self.nodes[node].cut_height = job.block.value().height().0;
                // One thread executes, one block after the other.
                let wait = self.chance.micros(50..1_000);
                let at = self.nodes[node].executing.max(self.now) + wait;
                self.nodes[node].executing = at;
                self.at(at, Event::Execute(node, life, job));
            }
            Output::Work(Work::Read(peer, read)) => {
                let wait = self.chance.micros(100..1_000);
                self.after(wait, Event::Read(node, life, peer, read));
            }
            Output::Work(Work::ReadState(peer, read)) => {
                let wait = self.chance.micros(200..4_000);
                self.after(wait, Event::ReadState(node, life, peer, read));
            }
            Output::Work(Work::NextEpoch(height)) => {
                self.say(node, format_args!("the epoch is over at height {height}: it starts again"));
                self.epochs = self.epochs.max(self.checks.decisions.members.0);
                self.pace.last_border = self.now;
                self.goes_on_from_its_disks(node);
            }
            Output::Work(Work::State(work)) => {
                // One thread does it, one after the other.
                self.after(Duration::from_millis(2), Event::StateWork(node, life, work));
            }
            Output::Begin(floor) => {
                let view = floor.as_ref().map_or(0, engine::order::Finality::view);
                self.say(node, format_args!("votes from view {view} on"));
                if std::mem::take(&mut self.nodes[node].knows_its_loss) {
                    (self.nodes[node].forgot, self.nodes[node].put_back) = (false, false);
                    self.moment(node, Moment::Rejoins, 0, None);
                }
                let Some(running) = &mut self.nodes[node].running else { return };
                if let Err(error) = running.vote(floor.as_ref()) {
                    self.checks.violation(self.now, format!("v{node}: {error}"));
                }
            }
            Output::Moment(moment, view, digest) => self.moment(node, moment, view, Some(digest)),
            Output::VotesBlindly(digest) => {
                // It keeps what it votes for, as it would if it had not looked.
                let Some(block) = self.blocks.get(&digest).cloned() else { return };
                let proposer = block.header().proposer;
                self.feed(node, Input::Message(proposer, PeerMessage::Block(block)));
            }
            Output::Observe(observation) => self.observe(node, &observation),
            Output::Halt(halt) => self.halt(node, &halt),
        }
    }

    /// The verdict of one that knows the accounts of the genesis alone.
    fn refuse_opened(&self, batch: Verified<Batch>) -> Result<Verified<Batch>, BatchRefusal> {
        let opened =
            |chain, run: PacketRun<'_>| self.environment.genesis.account(chain, run.debit()).is_none();
        let mut sections = batch.sections();
        let unknown = sections.any(|(chain, packets)| PacketRun::all(packets).any(|run| opened(chain, run)));
        drop(sections);
        let (fault, tally) = (BatchFault::UnknownAccount, Tally::default());
        if unknown { Err(BatchRefusal { batch: batch.id(), position: 0, fault, tally }) } else { Ok(batch) }
    }

    /// A validator stops by itself.
    pub(crate) fn halt(&mut self, node: usize, halt: &Halt) {
        let full = self.nodes[node].full;
        self.say(node, format_args!("halts: {halt}"));
        if !(full && matches!(halt, Halt::Disk(_))) && self.is_honest(node) {
            self.checks.violation(self.now, format!("halt: v{node} stops: {halt}"));
        }
        self.stop(node);
        let wait = self.chance.millis(200..900);
        self.after(wait, Event::Act(crate::schedule::Act::Start(node, crate::schedule::Loss::Nothing)));
    }

    pub(crate) fn send(&mut self, node: usize, to: &To, message: &PeerMessage) {
        if self.is_honest(node) {
            match (self.rule, message) {
                (Some(Rule::BlocksFetched), PeerMessage::FetchBlock { .. })
                | (
                    Some(Rule::BodiesFetched),
                    PeerMessage::FetchBatches { .. } | PeerMessage::FetchBodies { .. },
                ) => return,
                _ => {}
            }
        }
        match message {
            PeerMessage::Block(block) => {
                self.blocks.entry(*block.digest()).or_insert_with(|| block.clone());
            }
            PeerMessage::FetchBatches { author, head, .. } => {
                self.moment(node, Moment::Fetches, u64::from(author.0), Some(head.digest));
            }
            _ => {}
        }
        let validators = self.nodes[node].running.as_ref().map_or(0, |running| running.seats.len());
        let all = || (0..validators).collect();
        let indices: Vec<usize> = match to {
            To::All => all(),
            To::One(peer) => vec![usize::from(peer.0)],
            To::Some(peers) => peers.iter().map(|peer| usize::from(peer.0)).collect(),
        };
        for index in indices {
            let peer = self.reach(node, index);
            let Some(peer) = peer else { continue };
            if self.rule == Some(Rule::BordersCrossed) && self.asks_beyond(node, peer, message) {
                continue;
            }
            let index = self.nodes[peer].me;
            let now = self.now;
            let said = match &mut self.nodes[node].liar {
                Some(liar) => liar.says(index, message.clone(), now),
                None => Some(message.clone()),
            };
            if let Some(said) = said {
                self.carry(node, peer, said);
            }
        }
    }

    /// Whether an honest node asks for blocks of one that has begun a later epoch.
    fn asks_beyond(&self, node: usize, peer: usize, message: &PeerMessage) -> bool {
        let epoch = |of: usize| self.nodes[of].running.as_ref().map(|running| running.epoch);
        let asks = matches!(message, PeerMessage::FetchBlocks { .. } | PeerMessage::FetchBlock { .. });
        asks && self.is_honest(node) && epoch(peer) > epoch(node)
    }

    /// The node behind a number, as `node` sees it.
    pub(crate) fn reach(&self, node: usize, number: usize) -> Option<usize> {
        let index = self.called(node, number)?;
        let peer = self.peer(node, index);
        (index != self.nodes[node].me && self.are_peers(node, peer)).then_some(peer)
    }

    /// Puts a message on a link.
    pub(crate) fn carry(&mut self, from: usize, to: usize, message: PeerMessage) {
        let Some(connection) = self.links.connection(from, to) else { return };
        let (sender, receiver) = (self.nodes[from].me, self.nodes[to].me);
        if message.since() > self.agreed(from, to) && self.is_honest(from) {
            let what =
                format!("versions: v{sender} sends v{receiver} what its release cannot read: {message:?}");
            self.checks.violation(self.now, what);
        }
        let is = |sort| match &message {
            PeerMessage::Batch(_) => matches!(sort, Sort::Batches | Sort::All),
            _ => sort == Sort::All,
        };
        if self.filters.iter().any(|filter| filter.takes(sender, receiver, is)) {
            return;
        }
        let channel = match message {
            PeerMessage::Batch(_)
            | PeerMessage::BlocksReply(_)
            | PeerMessage::ChunkList { .. }
            | PeerMessage::Chunk { .. }
            | PeerMessage::Stored { .. } => BULK,
            _ => CONTROL,
        };
        if self.meter.on {
            let traffic = if channel == BULK { &mut self.meter.batches } else { &mut self.meter.control };
            traffic.count(message.encode().len());
        }
        for at in self.links.arrivals(from, to, channel, self.now) {
            self.at(at, Event::Message { from, to, connection, message: message.clone() });
        }
    }

    /// Submits what was appended, if the disk is not busy.
    fn write_journal(&mut self, node: usize) {
        let wait = self.journal_time(node);
        let life = self.nodes[node].life;
        let Some(running) = &mut self.nodes[node].running else { return };
        if !running.journal_busy && running.journal.submit() {
            running.journal_busy = true;
            self.after(wait, Event::Journal(node, life));
        }
    }

    pub(crate) fn write_votes(&mut self, node: usize) {
        let wait = self.sync_time(node);
        let life = self.nodes[node].life;
        let Some(running) = &mut self.nodes[node].running else { return };
        if !running.votes_busy && running.votes.log.submit() {
            running.votes_busy = true;
            self.after(wait, Event::Votes(node, life));
        }
    }

    fn journal_time(&mut self, node: usize) -> Duration {
        let factor = self.plan.journal_factor * self.nodes[node].slow_journal;
        (self.sync_time(node) * factor as u32).min(SYNC_MAX)
    }

    fn sync_time(&mut self, node: usize) -> Duration {
        let (least, most) = self.plan.sync_us;
        (self.chance.micros(least..most) * self.nodes[node].slow as u32).min(SYNC_MAX)
    }

    /// Handles an event that is due. A process that is stopped finds everything later, in the same order.
    pub(crate) fn event(&mut self, event: Event) {
        match self.process_of(&event) {
            Reach::Nobody => {}
            Reach::Node(node) if self.nodes[node].pause.holds(self.now) => self.hold(node, event),
            Reach::Node(_) | Reach::World => self.handle(event),
        }
    }

    pub(crate) fn hold(&mut self, node: usize, event: Event) {
        if let Some(until) = self.nodes[node].pause.hold(event) {
            self.at(until, Event::Resume(node));
        }
    }

    /// The process goes on, if its stop is over.
    fn resume(&mut self, node: usize) {
        match self.nodes[node].pause.release(self.now) {
            Err(until) => self.at(until, Event::Resume(node)),
            Ok(held) => {
                for event in held {
                    if !matches!(self.process_of(&event), Reach::Nobody) {
                        self.handle(event);
                        self.advance();
                    }
                }
            }
        }
    }

    /// Whom an event is for.
    fn process_of(&self, event: &Event) -> Reach {
        let (node, life) = match event {
            Event::Call(node, life, _)
            | Event::Check(node, life, _)
            | Event::Unchecked(node, life, ..)
            | Event::Execute(node, life, _)
            | Event::Read(node, life, _, _)
            | Event::ReadState(node, life, _, _)
            | Event::StateWork(node, life, _)
            | Event::Journal(node, life)
            | Event::Votes(node, life)
            | Event::Alarm(node, life)
            | Event::Submission { node, life, .. } => (*node, Some(*life)),
            Event::Message { to, .. } | Event::Vote { to, .. } => (*to, None),
            _ => return Reach::World,
        };
        match self.life(node) {
            Some(now) if life.is_none_or(|life| life == now) => Reach::Node(node),
            _ => Reach::Nobody,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Call(node, life, call) => self.call((node, life), call),
            Event::Message { from, to, connection, message } => self.arrives(from, to, connection, message),
            Event::Vote { from, to, connection, channel, epoch, message } => {
                if self.links.connection(from, to) == Some(connection) {
                    let from = self.number(to, from);
                    // An engine takes a vote of another epoch for an offence.
                    let running =
                        self.nodes[to].running.as_ref().filter(|to| to.epoch == epoch && to.is_member);
                    if let (Some(running), Some(from)) = (running, from)
                        && usize::from(from.0) < running.seats.len()
                    {
                        running.inbound.deliver(from.0, channel, message);
                    }
                }
            }
            Event::Check(node, _, check) => {
                let batch = (check.batch.id().author, check.batch.head());
                let job = Job::batch(Source::Peer(check.from), check.batch);
                let Some(Checked::Batch(mut verdict)) = self.check(node, Height(0), job) else { return };
                if self.rule == Some(Rule::JudgedAsOf) {
                    verdict = verdict.and_then(|batch| self.refuse_opened(batch));
                }
                let (from, pushed) = (check.from, check.pushed);
                let forked = verdict.as_ref().is_ok_and(|taken| self.forks(node, taken));
                self.feed(node, Input::Checked { from, batch, pushed, verdict });
                let author = self.author(node, batch.0);
                if forked && self.is_honest(node) && !self.contradicted.contains(&(node, author)) {
                    let what = format!(
                        "evidence: v{node} has two batches of v{author} in one place and says nothing"
                    );
                    self.checks.violation(self.now, what);
                }
            }
            Event::Unchecked(node, _, from, digest) => self.feed(node, Input::Unchecked(from, digest)),
            Event::Execute(node, _, job) => self.execute(node, *job),
            Event::Read(node, _, peer, read) => self.read(node, peer, &read),
            Event::ReadState(node, _, peer, read) => self.read_state(node, peer, read),
            Event::StateWork(node, _, work) => self.state_work(node, work),
            Event::Journal(node, _) => self.journal_synced(node),
            Event::Votes(node, _) => {
                let Some(running) = &mut self.nodes[node].running else { return };
                running.votes_busy = running.votes.complete();
                if running.votes_busy {
                    let wait = self.sync_time(node);
                    let life = self.nodes[node].life;
                    self.after(wait, Event::Votes(node, life));
                }
            }
            Event::Alarm(node, _) => {
                if let Some(running) = &mut self.nodes[node].running {
                    running.alarm = None;
                }
                self.feed(node, Input::Time);
            }
            Event::Resume(node) => self.resume(node),
            Event::Submit => self.submit(),
            Event::Steady(node) => self.submit_steadily(node),
            Event::Submission { node, tag, packets, .. } => self.submission(node, tag, &packets),
            Event::Flood(node) => self.flood(node),
            Event::Oversize(node) => self.oversize(node),
            Event::Connect(a, b) => self.try_connect(a, b),
            Event::Lost(a, b, connection) => self.lost(a, b, connection),
            Event::Start(node, loss) => self.start(node, loss),
            Event::Act(act) => self.act(act),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
            // What is due is done after each event.
            Event::Script => {}
        }
    }

    fn arrives(&mut self, from: usize, to: usize, connection: u64, mut message: PeerMessage) {
        if self.links.connection(from, to) != Some(connection) {
            return;
        }
        let index = self.nodes[from].me;
        let described = Described { message: &message, network: &self.environment.network() };
        self.say(to, format_args!("hears from v{index}: {described}"));
        if let Some(liar) = &mut self.nodes[to].liar {
            liar.hears(&message);
        }
        if self.rule == Some(Rule::PeersBounded)
            && self.is_honest(to)
            && let PeerMessage::Block(block) = &message
            && let Some(running) = &mut self.nodes[to].running
        {
            let question = running.host.ask_blindly();
            self.feed(to, Input::Certify(question, block.header().view, *block.digest()));
        }
        self.told_of_own(from, to, &mut message);
        if let Some(number) = self.number(to, from) {
            self.feed(to, Input::Message(number, message));
        }
    }

    fn journal_synced(&mut self, node: usize) {
        let now = self.time_of(node);
        let wait = self.journal_time(node);
        let life = self.nodes[node].life;
        let Some(running) = &mut self.nodes[node].running else { return };
        let durable = running.journal.complete();
        if let Some(error) = running.journal.failure() {
            return self.halt(node, &Halt::Disk(error));
        }
        running.journal_busy = running.journal.submit();
        if running.journal_busy {
            self.after(wait, Event::Journal(node, life));
        }
        if let Some(running) = &mut self.nodes[node].running {
            running.committer.durable(&durable, now, &mut running.commit_host);
        }
        self.committed(node);
        self.feed(node, Input::Durable(durable));
    }

    fn execute(&mut self, node: usize, mut job: engine::replica::Job) {
        let known = job.block.value().height().0 <= self.checks.height();
        let authors = self.nodes[node].running.as_ref().map_or(&[][..], |running| &running.authors);
        let ordered = Ordered::of(&job, (&self.environment.network(), authors), known);
        if self.is_honest(node) {
            self.checks.finalized(&ordered, self.now);
        }
        let now = self.time_of(node);
        let broken = self.rule == Some(Rule::EverythingExecuted) && node == 1;
        if broken && job.batches.pop().is_some() {
            let place = job.batches.len();
            job.positions.pop();
            job.own.retain(|own| own.place != place);
        }
        let hasty = self.rule == Some(Rule::NoticesDurable) && !job.own.is_empty();
        let Some(running) = &mut self.nodes[node].running else { return };
        if let Err(halt) = running.committer.execute(job, now, &mut running.commit_host) {
            return self.halt(node, &halt);
        }
        let said = std::mem::take(&mut running.commit_host.out);
        for event in said {
            if let Committed::Executed(height, root, deltas, in_flight, mut decided) = event {
                let mut executed: Vec<_> = deltas.iter().map(OnChain::of).collect();
                if self.rule == Some(Rule::FailuresSpend) {
                    ordered.fail_again(&mut executed, &mut self.failed);
                }
                if self.rule == Some(Rule::CrossingsOnce) {
                    executed.iter_mut().for_each(OnChain::deliver_again);
                }
                if self.rule == Some(Rule::FingerprintsOnce) {
                    executed.iter_mut().for_each(OnChain::register_again);
                }
                if self.rule == Some(Rule::KeysAwaited) {
                    executed.iter_mut().for_each(OnChain::give_again);
                }
                if self.rule == Some(Rule::EffectsOnce) {
                    executed.iter_mut().for_each(OnChain::tell_again);
                }
                if self.rule == Some(Rule::ApprovalsOnce) {
                    executed.iter_mut().for_each(OnChain::approve_again);
                }
                if self.rule == Some(Rule::PausesKept) {
                    executed.iter_mut().for_each(OnChain::take_while_paused);
                }
                if self.rule == Some(Rule::PaymentsWhole) {
                    executed.iter_mut().for_each(OnChain::lose_one);
                }
                if self.rule == Some(Rule::SettlementsOnce) {
                    executed.iter_mut().for_each(OnChain::settle_again);
                }
                if self.rule == Some(Rule::ReservationsKept) {
                    executed.iter_mut().for_each(OnChain::release_early);
                }
                if self.rule == Some(Rule::TermsKept) {
                    executed.iter_mut().for_each(OnChain::take_otherwise);
                }
                if self.rule == Some(Rule::SwapsWhole) {
                    executed.iter_mut().for_each(OnChain::refund_swapped);
                }
                if self.rule == Some(Rule::IssuesCounted) {
                    executed.iter_mut().for_each(OnChain::count_again);
                }
                if self.rule == Some(Rule::CrossingsAwaited) && self.is_honest(node) {
                    self.tell_early(node, &deltas);
                }
                if self.is_honest(node) {
                    let (clock, at) = (self.latest_clock_ms(), self.now);
                    self.checks.executed(self.nodes[node].me, &ordered, root, &executed, clock, at);
                    self.check_tables(node, height);
                    self.check_chains(node, height);
                    // Others that have this state root have the same money.
                    if !known {
                        self.check_money(node);
                    }
                }
                self.say(node, format_args!("has executed height {height}"));
                self.learn_accounts(node, &deltas);
                self.clients.executed(height, decided.members.as_ref());
                if self.rule == Some(Rule::EpochsEnd) {
                    decided.members = None;
                }
                if hasty && self.is_honest(node) {
                    self.nodes[node].acknowledged = self.nodes[node].acknowledged.max(height.0);
                }
                self.feed(node, Input::Executed { height, root, in_flight, decided });
            }
        }
        self.write_journal(node);
    }

    /// What was registered up to a height stays in the tables of an honest validator that has executed it.
    fn check_tables(&mut self, node: usize, height: Height) {
        let Some(running) = &self.nodes[node].running else { return };
        let ledger = running.committer.ledger();
        let states = ledger.states();
        let mut tables = states.iter().zip(ledger.tables());
        let lost = tables.find_map(|(of, table)| self.checks.fingerprints.lost(of.chain(), table, height));
        if let Some(lost) = lost {
            self.checks.violation(self.now, format!("fingerprints: v{node} {lost}"));
        }
    }

    /// An honest validator that has executed a height has the chains that are decided, and a mempool for each.
    fn check_chains(&mut self, node: usize, height: Height) {
        let Some(running) = &self.nodes[node].running else { return };
        let ledger = running.committer.ledger();
        let decisions = &self.checks.decisions;
        let said = match self.rule {
            Some(Rule::DecisionsAwaited) if node == 1 => Height(height.0 - 1),
            _ => height,
        };
        let states = ledger.states();
        let entries = ledger.state_root().entries();
        let without = entries.iter().find(|entry| running.mempools.get(entry.chain).is_none());
        let wrong = decisions.differ(said, entries).or_else(|| decisions.states_differ(said, &states));
        let wrong = wrong.or_else(|| Some(format!("has no mempool for chain {}", without?.chain)));
        if let Some(wrong) = wrong {
            self.checks.violation(self.now, format!("decisions: v{node} {wrong}"));
        }
    }

    /// Clients see which chains there are, what is decided about them, which numbers the accounts have got that they
    /// asked for, and which keys, and what is set aside.
    fn learn_accounts(&mut self, node: usize, deltas: &[Delta]) {
        let Some(running) = &self.nodes[node].running else { return };
        let states = running.committer.ledger().states();
        for delta in deltas {
            let Some(state) = states.get(delta.chain()) else { continue };
            let chain = delta.chain().0;
            let first = state.accounts() - delta.opened().len() as u64;
            if first == 0 {
                self.clients.learn_chain(chain, state.kind(), state.accounts());
            }
            for (id, key) in (first..).zip(delta.opened()) {
                self.clients.learn_key((chain, id), key, FIRST_KEY_VERSION);
            }
            for (account, key) in delta.keys() {
                let version = state.key_version(*account).unwrap_or(FIRST_KEY_VERSION);
                self.clients.learn_key((chain, account.0), key, version);
            }
            for after in delta.rows().iter().filter_map(|change| change.after.as_ref()) {
                if chain == DECIDING {
                    self.clients.administration.learn(after.key(), after.value());
                }
                if let (Some(OwnRow::Record(account)), Some(record)) =
                    (OwnRow::of(after.key()), AccountRecord::decode(after.value()))
                {
                    self.clients.learn_record((chain, account.0), record);
                }
            }
            for (id, reservation) in reservations(delta) {
                self.clients.learn_reservation(chain, id, reservation);
            }
        }
    }

    /// The broken rule of crossings: a client hears *committed* as soon as its money has left.
    fn tell_early(&mut self, node: usize, deltas: &[Delta]) {
        let sent: BTreeSet<TransactionId> =
            deltas.iter().flat_map(Delta::outbox).map(|delivery| delivery.crossing.transaction).collect();
        let submissions = self.clients.submissions.iter();
        let mine = submissions
            .filter(|one| one.node == node && one.told.is_none() && sent.contains(&one.id))
            .map(|one| Notice { tag: one.tag, verdict: Verdict::Committed });
        let notices = mine.collect();
        self.notify(node, notices);
    }

    /// Carries out what the committer says of durable heights.
    fn committed(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].running else { return };
        for event in std::mem::take(&mut running.commit_host.out) {
            match event {
                Committed::At(height, due) => {
                    let Some(running) = &mut self.nodes[node].running else { return };
                    if let Some(position) = running.commit_host.appended.remove(&height) {
                        running.index.committed(height, position);
                    }
                    if let Err(error) = running.take_checkpoint(due, self.now) {
                        return self.checks.violation(self.now, format!("v{node}: {error}"));
                    }
                    if due.is_some() {
                        self.check_state(node);
                    }
                    let place = &mut self.nodes[node];
                    place.committed = height.0;
                    place.acknowledged = place.acknowledged.max(height.0);
                    self.feed(node, Input::Committed(height));
                }
                Committed::Notify(notices) => self.notify(node, notices),
                Committed::Executed(..) => {}
            }
        }
    }

    fn read(&mut self, node: usize, peer: ValidatorIndex, read: &Read) {
        let Some(running) = &self.nodes[node].running else { return };
        let network = self.environment.network();
        let reader = JournalReader { records: &*running.journal, index: &running.index, network: &network };
        for message in reader.answer(read) {
            self.send(node, &To::One(peer), &message);
        }
    }

    fn flood(&mut self, node: usize) {
        let messages = self.nodes[node].liar.as_mut().map(crate::byzantine::Liar::flood).unwrap_or_default();
        for message in messages {
            let to = self.chance.below(self.plan.validators);
            if let Some(peer) = self.reach(node, to) {
                self.carry(node, peer, message);
            }
        }
        self.after(Duration::from_millis(60), Event::Flood(node));
    }
}

/// Whom an event is for.
enum Reach {
    /// A process that is gone.
    Nobody,
    /// The process of a node.
    Node(usize),
    /// None of them.
    World,
}
