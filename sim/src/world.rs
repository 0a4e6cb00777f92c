//! The world: one queue of events in virtual time, and everything that reacts to them, on one thread.
//!
//! ```text
//!   events by time ─▶ World ─▶ replicas, committers, verifiers, disks, links, clients ─▶ events
//!   engines of consensus (tasks of the same runtime) ─▶ Bell ─▶ World
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use commonware_runtime::{Clock as _, deterministic};
use consensus::Channel;
use engine::replica::{Check, Job, Read, StateRead};
use engine::sync::StateWork;
use engine::types::{Digest, Epoch, Head, Height, Packet, TransactionId, ValidatorIndex};
use engine::wire::{Batch, Block, PeerMessage, PeerVersion, StateOffer};

use crate::administrators::Governed;
use crate::bell::{Bell, Call};
use crate::byzantine::Liar;
use crate::chance::Chance;
use crate::checks::Checks;
use crate::clients::Clients;
use crate::device::Device;
use crate::disks::{Disks, Release};
use crate::environment::{Environment, Founded};
use crate::evidence::Taken;
use crate::links::Links;
use crate::meter::{Cost, Meter};
use crate::moments::Moments;
use crate::pace::Pace;
use crate::pause::Pause;
use crate::rules::Rule;
use crate::schedule::{Act, Filter, Loss, Plan};
use crate::script::{Script, When};
use crate::trace::Trace;
use crate::validator::Running;

/// What may happen.
pub(crate) enum Event {
    Call(usize, u64, Call),
    Message {
        from: usize,
        to: usize,
        connection: u64,
        message: PeerMessage,
    },
    Vote {
        from: usize,
        to: usize,
        connection: u64,
        channel: Channel,
        epoch: Epoch,
        message: Bytes,
    },
    Check(usize, u64, Check),
    /// There was no room for this peer's batch.
    Unchecked(usize, u64, ValidatorIndex, Digest),
    Execute(usize, u64, Box<Job>),
    /// A stopped process goes on.
    Resume(usize),
    Read(usize, u64, ValidatorIndex, Read),
    ReadState(usize, u64, ValidatorIndex, StateRead),
    StateWork(usize, u64, StateWork),
    Journal(usize, u64),
    Votes(usize, u64),
    Alarm(usize, u64),
    Submit,
    /// A validator gets the next of its steady transactions.
    Steady(usize),
    Submission {
        node: usize,
        life: u64,
        tag: u64,
        packets: Vec<Packet>,
    },
    Flood(usize),
    /// A liar shows so many batches that no block may take them all.
    Oversize(usize),
    Connect(usize, usize),
    Lost(usize, usize, u64),
    Start(usize, Loss),
    Act(Act),
    Heal,
    Look,
    /// A step of the script may be due.
    Script,
}

/// A place where a validator runs: its disks, and its process while there is one. A liar may have two.
pub(crate) struct Node {
    /// Whose keys it has.
    pub(crate) me: usize,
    pub(crate) disks: Disks,
    pub(crate) older: Option<Disks>,
    /// It has run since the older disks were copied: they do not know everything that it did.
    pub(crate) ran_since: bool,
    pub(crate) first: bool,
    pub(crate) life: u64,
    pub(crate) running: Option<Box<Running>>,
    pub(crate) liar: Option<Liar>,
    pub(crate) pause: Pause<Event>,
    pub(crate) skew_ms: i64,
    pub(crate) slow: u64,
    pub(crate) dies: Option<u8>,
    /// Its disk is full or was: a halt is no wonder.
    pub(crate) full: bool,
    /// The highest height of which a client of this validator was told, as long as its disks keep it.
    pub(crate) acknowledged: u64,
    pub(crate) committed: u64,
    /// It has lost votes, and has not come back from a floor yet.
    pub(crate) forgot: bool,
    /// It knows that it has lost votes, since it was started.
    pub(crate) knows_its_loss: bool,
    /// Everything on its disks was put back, and it has not come back from a floor yet.
    pub(crate) put_back: bool,
    /// When its executor has done what it has been given.
    pub(crate) executing: Duration,
    /// What each honest node has told it of its own stream since it started, or lost that.
    pub(crate) told: BTreeMap<usize, Head>,
    /// Whether it has not gone on, because its release does not run the rules.
    pub(crate) refuses_rules: bool,
    /// How far its replica has taken each stream.
    pub(crate) cut: Vec<Head>,
    /// The height of the block that was last given to its executor.
    pub(crate) cut_height: u64,
    pub(crate) slow_journal: u64,
    /// The last view in which it was asked for a block.
    pub(crate) led: u64,
}

/// Everything of one run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rule: Option<Rule>,
    pub(crate) environment: Environment,
    pub(crate) context: deterministic::Context,
    pub(crate) bell: Bell,
    pub(crate) now: Duration,
    sequence: u64,
    events: BTreeMap<(Duration, u64), Box<Event>>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Links,
    pub(crate) clients: Clients,
    pub(crate) checks: Checks,
    /// Starts that went on from a checkpoint.
    pub(crate) resumed: usize,
    /// States that were fetched.
    pub(crate) fetched: usize,
    /// The last epoch that has begun.
    pub(crate) epochs: Epoch,
    /// The state of each height of which there was a checkpoint.
    pub(crate) states: BTreeMap<Height, StateOffer>,
    pub(crate) trace: Trace,
    pub(crate) chance: Chance,
    pub(crate) device: Option<Device>,
    pub(crate) healed: bool,
    /// When operators last looked after validators.
    pub(crate) helped: Duration,
    /// Everybody has committed something since: the clients may stop.
    pub(crate) probed: bool,
    pub(crate) latest_clock: u64,
    /// The batches of an author that a node had or took in, in a life.
    pub(crate) taken: BTreeMap<(usize, u64, usize), Taken>,
    /// Who has reported that an author contradicts itself.
    pub(crate) contradicted: BTreeSet<(usize, usize)>,
    pub(crate) finished: Option<Duration>,
    /// Peers that see the second of a liar's two processes.
    pub(crate) sees_twin: Vec<bool>,
    /// The largest sizes that a replica has reported, by name.
    pub(crate) sizes: BTreeMap<&'static str, usize>,
    pub(crate) script: Script,
    pub(crate) moments: Moments,
    /// Every block that was sent.
    pub(crate) blocks: BTreeMap<Digest, Block>,
    /// Messages that vanish.
    pub(crate) filters: Vec<Filter>,
    pub(crate) pace: Pace,
    pub(crate) meter: Meter,
    pub(crate) cost: Option<Cost>,
    /// At most f validators have faults: blocks must go on all the time.
    pub(crate) gentle: bool,
    /// The batches of a block that is too large.
    pub(crate) oversize: Vec<Batch>,
    pub(crate) oversize_shown: bool,
    /// Payments that have failed, for the broken rule of their nonces.
    pub(crate) failed: BTreeSet<TransactionId>,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        plan: Plan,
        rule: Option<Rule>,
        trace: Trace,
        context: deterministic::Context,
    ) -> Self {
        let mut chance = Chance::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let environment = Environment::new(
            plan.validators,
            Founded {
                chains: plan.chains,
                register: plan.register,
                governed: plan.governed != Governed::No,
                accounts: plan.accounts,
                quota: plan.quota,
                spares: plan.spares,
            },
        );
        let twins = plan.twin.into_iter();
        // The number of a node is that of its keys, except that of the second process of a liar.
        let identities: Vec<usize> = (0..plan.validators + plan.spares).chain(twins).collect();
        assert!(
            plan.twin.is_none() || plan.spares == 0,
            "a second process has the number behind the validators"
        );
        let release = |me: usize| match (plan.newer, plan.older) {
            (_, Some(older)) if older == me => Release::Last,
            (true, _) => Release::Next,
            (false, _) => Release::Present,
        };
        let nodes = identities.iter().map(|me| {
            let liar = plan.liars.get(me).map(|misdeeds| {
                let mut liar = Liar::new(misdeeds, *me, plan.validators, &environment, chance.fork());
                liar.shows(plan.favoured.as_deref(), plan.branches.as_deref());
                liar
            });
            Node {
                me: *me,
                disks: Disks { release: release(*me), ..Disks::default() },
                older: None,
                ran_since: false,
                first: true,
                life: 0,
                running: None,
                skew_ms: liar.as_ref().map_or(0, Liar::skew_ms),
                liar,
                pause: Pause::default(),
                slow: 1,
                dies: None,
                full: false,
                acknowledged: 0,
                committed: 0,
                forgot: false,
                knows_its_loss: false,
                put_back: false,
                executing: Duration::ZERO,
                told: BTreeMap::new(),
                refuses_rules: false,
                cut: Vec::new(),
                cut_height: 0,
                slow_journal: 1,
                led: 0,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let drawn = (0..plan.validators).map(|_| chance.permille(500)).collect();
        let sees_twin = plan.sees_twin.clone().unwrap_or(drawn);
        let mut world = Self {
            links: Links::new(plan.quality, chance.fork()),
            clients: Clients::new(&environment, plan.governed, chance.fork()),
            checks: Checks::new(&environment.genesis),
            resumed: 0,
            fetched: 0,
            epochs: Epoch(0),
            states: BTreeMap::new(),
            trace,
            environment,
            context,
            bell: Bell::default(),
            now: Duration::ZERO,
            sequence: 0,
            events: BTreeMap::new(),
            nodes,
            chance,
            device: None,
            healed: false,
            helped: Duration::ZERO,
            probed: false,
            latest_clock: 0,
            taken: BTreeMap::new(),
            contradicted: BTreeSet::new(),
            finished: None,
            sees_twin,
            sizes: BTreeMap::new(),
            script: Script::new(plan.script.clone()),
            moments: Moments::default(),
            blocks: BTreeMap::new(),
            filters: Vec::new(),
            pace: Pace::default(),
            meter: Meter::default(),
            cost: None,
            gentle: plan.is_gentle(),
            oversize: Vec::new(),
            oversize_shown: false,
            failed: BTreeSet::new(),
            rule,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for node in (0..self.nodes.len()).filter(|node| !self.plan.absent.contains(node)).collect::<Vec<_>>()
        {
            // Others come when there is something to fetch, or nothing yet.
            let late = self.is_spare(node) && self.plan.script.is_empty();
            let last = if late { self.plan.heal.as_millis() as u64 / 2 + 60 } else { 60 };
            let at = self.chance.millis(0..last);
            self.after(at, Event::Start(node, Loss::Nothing));
            if self.nodes[node].liar.as_ref().is_some_and(|liar| liar.does(crate::byzantine::Misdeed::Flood))
            {
                self.after(Duration::from_millis(300), Event::Flood(node));
            }
        }
        for (at, act) in std::mem::take(&mut self.plan.acts) {
            self.after(at, Event::Act(act));
        }
        if let Some(When::After(wait)) = self.plan.script.first().map(|step| &step.when) {
            self.after(*wait, Event::Script);
        }
        self.after(self.plan.heal, Event::Heal);
        if self.plan.steady.is_some() {
            for node in 0..self.plan.validators {
                let at = self.chance.millis(1_000..1_050);
                self.after(at, Event::Steady(node));
            }
        } else {
            self.after(Duration::from_millis(100), Event::Submit);
        }
        self.after(Duration::from_millis(200), Event::Look);
    }

    /// Has something happen later.
    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    pub(crate) fn at(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((at.max(self.now), self.sequence), Box::new(event));
    }

    /// Runs until everything is well again, or it is clear that it will not be.
    pub(crate) async fn run(&mut self) {
        while self.finished.is_none() {
            self.now = self.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
            for (caller, call) in self.bell.take() {
                self.call(caller, call);
                self.advance();
            }
            while self.finished.is_none()
                && let Some(entry) = self.events.first_entry()
                && entry.key().0 <= self.now
            {
                let event = entry.remove();
                self.event(*event);
                self.advance();
            }
            let Some(((next, _), _)) = self.events.first_key_value() else { return };
            let mut slept = pin!(self.context.sleep_until(UNIX_EPOCH + *next));
            poll_fn(|context| match self.bell.poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => slept.as_mut().poll(context),
            })
            .await;
        }
    }

    pub(crate) fn is_honest(&self, node: usize) -> bool {
        self.nodes[node].liar.is_none()
    }

    /// The process of a validator that a node talks to.
    pub(crate) fn peer(&self, of: usize, index: usize) -> usize {
        match self.plan.twin {
            Some(twin) if twin == index && of < self.plan.validators && self.sees_twin[of] => {
                self.plan.validators
            }
            _ => index,
        }
    }

    /// Whether two nodes talk to each other: in the epochs in which they are now, each knows the other.
    pub(crate) fn are_peers(&self, a: usize, b: usize) -> bool {
        let (a_is, b_is) = (self.nodes[a].me, self.nodes[b].me);
        let knows = |one: usize, other: usize| self.number(one, other).is_some();
        a_is != b_is && self.peer(a, b_is) == b && self.peer(b, a_is) == a && knows(a, b) && knows(b, a)
    }

    /// The version that two nodes speak with each other.
    pub(crate) fn agreed(&self, a: usize, b: usize) -> PeerVersion {
        let speaks = |node: usize| self.nodes[node].disks.release.speaks();
        speaks(a).min(speaks(b))
    }

    pub(crate) fn life(&self, node: usize) -> Option<u64> {
        self.nodes[node].running.as_ref().map(|_| self.nodes[node].life)
    }

    pub(crate) fn say(&mut self, node: usize, what: std::fmt::Arguments<'_>) {
        let name = self.name(node);
        self.trace.say(self.now, &name, what);
    }

    pub(crate) fn name(&self, node: usize) -> String {
        match node < self.plan.validators {
            true => format!("v{node}"),
            false => format!("v{}'", self.nodes[node].me),
        }
    }
}
