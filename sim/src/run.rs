//! One run of one seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use commonware_runtime::{Runner as _, deterministic};
use engine::types::{Outcome, Refusal};

use crate::chance::Chance;
use crate::device::Device;
use crate::meter::Cost;
use crate::reserved::SetAside;
use crate::rules::Rule;
use crate::scenarios::Scenario;
use crate::schedule::Plan;
use crate::trace::{Readable, Trace};
use crate::world::World;

/// Time passes by so much when tasks have run: the shortest step of the world.
const CYCLE: Duration = Duration::from_micros(20);

/// What to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// How many validators.
    pub validators: usize,
    /// A rule that is broken.
    pub broken: Option<Rule>,
    /// A script instead of drawn faults; it says how many validators there are.
    pub scenario: Option<&'static Scenario>,
    /// No faults: counts what the network costs.
    pub cost: bool,
    /// A device checks signatures beside the verifiers.
    pub devices: bool,
    /// Whether the trace is kept for people to read.
    pub trace: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// A digest of everything that happened.
    pub digest: u64,
    /// What was wrong; empty where nothing was.
    pub violations: Vec<String>,
    /// How long the run was, in virtual time.
    pub virtual_time: Duration,
    /// How long it took after all faults had ended until everybody had committed and was told.
    pub recovery: Duration,
    /// Events.
    pub events: u64,
    /// Blocks that were executed.
    pub heights: u64,
    /// Starts that went on from a checkpoint.
    pub resumed: usize,
    /// States that were fetched from others.
    pub fetched: usize,
    /// Epochs that have begun behind the first.
    pub epochs: u64,
    /// Transactions that were submitted.
    pub submitted: usize,
    /// Payments between chains that arrived, and that came back.
    pub crossed: (usize, usize),
    /// Accounts that got another key, and those of them that got it by a recovery.
    pub replaced: (usize, usize),
    /// Chains that were created, and pauses that took effect.
    pub decided: (usize, usize),
    /// Transactions that were applied on chains that were created, and payments that have arrived on paused ones.
    pub on_decided: (usize, usize),
    /// How often money was set aside, and what became of it.
    pub set_aside: SetAside,
    /// How often each outcome stands in a block, and how often clients were told each refusal: by their bytes.
    pub verdicts: BTreeMap<u8, usize>,
    /// The trace, if it was kept.
    pub trace: Vec<String>,
    /// The largest sizes that a replica reported, by name.
    pub sizes: BTreeMap<&'static str, usize>,
    /// What the network cost, where that was asked for.
    pub cost: Option<Cost>,
    /// Where blocks had to go on: the longest time and the most views without a new one.
    pub gap_max: Duration,
    /// See `gap_max`.
    pub views_max: u64,
    /// What was planned.
    pub plan: String,
}

/// Runs a seed once.
#[must_use]
pub fn simulate(run: &Run) -> Report {
    let readable = Arc::new(Mutex::new(Readable::default()));
    let caught = catch_unwind(AssertUnwindSafe(|| simulate_unguarded(run, &readable)));
    let Readable { plan, lines } =
        std::mem::take(&mut *readable.lock().unwrap_or_else(PoisonError::into_inner));
    let report = caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Report {
            digest: 0,
            violations: vec![format!("panic: {}", text.unwrap_or_default())],
            virtual_time: Duration::ZERO,
            recovery: Duration::ZERO,
            events: 0,
            heights: 0,
            resumed: 0,
            fetched: 0,
            epochs: 0,
            submitted: 0,
            crossed: (0, 0),
            replaced: (0, 0),
            decided: (0, 0),
            on_decided: (0, 0),
            set_aside: SetAside::default(),
            verdicts: BTreeMap::new(),
            trace: Vec::new(),
            sizes: BTreeMap::new(),
            cost: None,
            gap_max: Duration::ZERO,
            views_max: 0,
            plan: String::new(),
        }
    });
    Report { plan, trace: lines, ..report }
}

fn simulate_unguarded(run: &Run, readable: &Arc<Mutex<Readable>>) -> Report {
    let Run { seed, validators, broken, scenario, cost, devices, trace } = *run;
    let mut chance = Chance::new(seed);
    let plan = match scenario {
        Some(scenario) => scenario.draw(&mut chance),
        None if cost => Plan::cost(validators),
        None => Plan::draw(validators, &mut chance),
    };
    let config = deterministic::Config::new().with_seed(seed).with_cycle(CYCLE);
    deterministic::Runner::new(config).start(|context| async move {
        readable.lock().unwrap_or_else(PoisonError::into_inner).plan = format!("{plan:?}");
        let trace = Trace::new(trace.then(|| Arc::clone(readable)));
        let mut world = World::new(seed, plan, broken, trace, context);
        world.device = (devices || broken == Some(Rule::VerdictsKept)).then(|| Device::new(seed, broken));
        world.run().await;
        Report {
            digest: world.trace.digest(),
            violations: world.checks.violations.clone(),
            virtual_time: world.now,
            recovery: world.now.saturating_sub(world.plan.heal),
            events: world.trace.events(),
            heights: world.checks.height(),
            resumed: world.resumed,
            fetched: world.fetched,
            epochs: world.epochs.0,
            crossed: world.checks.crossed,
            replaced: world.checks.keys.replaced,
            decided: world.checks.decisions.came,
            on_decided: (world.checks.decisions.on_created, world.checks.decisions.on_paused),
            set_aside: world.checks.reserved.counts,
            submitted: world.clients.submissions.len(),
            verdicts: verdicts(&world),
            sizes: world.sizes.clone(),
            cost: world.cost.clone(),
            gap_max: world.pace.gap_max,
            views_max: world.pace.views_max,
            plan: String::new(),
            trace: Vec::new(),
        }
    })
}

fn verdicts(world: &World) -> BTreeMap<u8, usize> {
    let mut verdicts = BTreeMap::new();
    let refusals = world.clients.refusals().map(Refusal::code);
    for code in world.checks.outcomes().map(Outcome::code).chain(refusals) {
        *verdicts.entry(code).or_default() += 1;
    }
    verdicts
}
