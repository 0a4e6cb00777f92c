//! When a run is over, and what is looked at then and on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::limits::STREAM_BATCHES_MAX;
use engine::replica::{CommittedBlock, KIND_COMMITTED};
use engine::store::simulated::{SimulatedDisk, SimulatedLog};
use engine::store::{LogKind, StoreError};
use engine::types::{Asset, Reservation, ReservationId, Verdict};

use crate::administrators::Governed;
use crate::disks::options;
use crate::world::{Event, World};

/// How often the world is looked at.
const EVERY: Duration = Duration::from_millis(50);
/// How long clients go on after all faults have ended, at least.
const GO_ON: Duration = Duration::from_millis(300);
/// How long a run waits for what administrators decide, however slow heights are.
const DECISIONS: Duration = Duration::from_secs(15);
/// How much longer a run may last after an epoch has begun near its end. All validators start again, some look for 3 s
/// for what a liar has named before they vote, and then clients have to be served once more.
const BORDER_PATIENCE: Duration = Duration::from_secs(8);
/// How far behind one that follows may be: it hears of heights, and then fetches them.
const FOLLOWS_WITHIN: u64 = 64;
/// At this height a chain is created and used, wherever administrators create one.
const DECISIONS_HEIGHT: u64 = 400;

impl World {
    /// The latest clock of an honest validator.
    pub(crate) fn latest_clock_ms(&self) -> u64 {
        let honest = self.nodes.iter().filter(|node| node.liar.is_none());
        let ahead = honest.map(|node| self.clock_ms().saturating_add_signed(node.skew_ms)).max();
        ahead.unwrap_or(0).max(self.clock_ms()).max(self.latest_clock)
    }

    pub(crate) fn is_submitting(&self) -> bool {
        !self.probed
    }

    pub(crate) fn honest(&self) -> impl Iterator<Item = usize> {
        self.everybody().filter(|node| self.is_honest(*node))
    }

    /// Looks at what must hold at every moment, and whether the run is over.
    pub(crate) fn look(&mut self) {
        self.latest_clock = self.latest_clock_ms();
        self.check_sizes();
        self.check_pace();
        self.help();
        if !self.checks.violations.is_empty() {
            return self.finish();
        }
        if self.cost.is_some() && self.script.missing().is_none() {
            return self.finish();
        }
        if self.healed && self.now >= self.plan.heal + GO_ON {
            let missing = self.missing();
            if !self.probed && missing.is_none() {
                self.probed = true;
            } else if self.probed && missing.is_none() && self.untold().is_none() {
                return self.finish();
            }
            let (heal, patience) = (self.plan.heal, self.plan.patience);
            let of_border = (self.pace.last_border + BORDER_PATIENCE).min(heal + 2 * patience);
            if self.now > (heal + patience).max(of_border) {
                let what = missing.or_else(|| self.untold()).unwrap_or_default();
                self.checks.violation(self.now, format!("liveness: {what}"));
                return self.finish();
            }
        }
        self.after(EVERY, Event::Look);
    }

    /// Whether what administrators decide must take effect before the run ends. Where liars make heights slow, nobody
    /// waits for so many of them.
    fn awaits_decisions(&self) -> bool {
        let slow = self.now > self.plan.heal + DECISIONS && self.checks.height() < DECISIONS_HEIGHT;
        self.plan.governed != Governed::No && !self.probed && !slow
    }

    /// What is not well yet.
    fn missing(&self) -> Option<String> {
        for node in self.honest() {
            let Some(running) = &self.nodes[node].running else {
                return Some(format!("v{node} does not run"));
            };
            if running.replica.is_learning() {
                return Some(format!("v{node} does not know its stream"));
            }
            if running.replica.is_rejoining() {
                return Some(format!("v{node} does not vote"));
            }
            // It follows, and its clients are sent elsewhere.
            if running.replica.is_follower() {
                continue;
            }
            let life = self.nodes[node].life;
            let served = self.clients.submissions.iter().rev().take_while(|one| one.at >= self.plan.heal);
            let mut served = served.filter(|one| one.node == node && one.life == life);
            let executed = |told: Verdict| matches!(told, Verdict::Committed | Verdict::Failed(_));
            if !served.any(|one| one.told.is_some_and(executed)) {
                let height = running.replica.committed();
                return Some(format!("v{node} commits nothing any more, at height {height}"));
            }
        }
        if self.awaits_decisions() && !self.checks.decisions.has_come() {
            return Some("no chain is created, or nothing applies there".to_owned());
        }
        let heights: Vec<u64> = self.honest().map(|node| self.nodes[node].committed).collect();
        let most = *heights.iter().max()?;
        let follows = |node: usize| {
            self.nodes[node].running.as_ref().is_some_and(|running| running.replica.is_follower())
        };
        let bound = |node| if follows(node) { FOLLOWS_WITHIN } else { 20 };
        let is_behind = self.honest().zip(&heights).any(|(node, height)| most - height > bound(node));
        is_behind.then(|| format!("somebody stays behind: {heights:?}"))
    }

    /// A client that waits for an answer of a validator that has not been restarted since.
    fn untold(&self) -> Option<String> {
        let mut waiting = self.clients.submissions.iter().filter(|one| {
            self.is_honest(one.node) && one.told.is_none() && self.life(one.node) == Some(one.life)
        });
        let one = waiting.next()?;
        Some(format!(
            "v{} never answers submission {} ({:.12}) of {:.3} s",
            one.node,
            one.tag,
            one.id,
            one.at.as_secs_f64()
        ))
    }

    /// Bounds of everything that is keyed by what a peer says.
    fn check_sizes(&mut self) {
        let n = self.plan.validators;
        for node in self.honest().collect::<Vec<_>>() {
            let Some(running) = &self.nodes[node].running else { continue };
            let missed = self.checks.height().saturating_sub(running.replica.finalized().0) as usize;
            let sizes: BTreeMap<_, _> = running.replica.sizes().into_iter().collect();
            for (&name, &size) in &sizes {
                let seen = self.sizes.entry(name).or_default();
                *seen = (*seen).max(size);
                let bound = match name {
                    "stream_batches" => 2 * STREAM_BATCHES_MAX,
                    "stream_bytes" if self.oversized() => 16 << 20,
                    "stream_bytes" => 1 << 20,
                    // Those of each proposer, and those that were asked for: what it has missed, if it has missed much.
                    "blocks" => 64 * n + 80 + missed,
                    "fetches" => 80 * n,
                    // Those that wait for their height, those that were pushed, and those that were asked for.
                    "checking" => sizes["early"] + (64 + 80) * n,
                    "early" => STREAM_BATCHES_MAX * n,
                    "judging" => 16,
                    "certifying" => 80,
                    // Each chain has one, and decisions wait for 128 heights.
                    "quotas" => 40,
                    // Final ones that wait to be dispatched, and those that may become final: no others.
                    "journaled_blocks" => sizes["blocks"] + sizes["undispatched"],
                    // No more is taken then, and the last certificate may finalize all blocks that wait.
                    "undispatched" => 1_024 + 64 * n + 80,
                    _ => 64,
                };
                if size > bound {
                    let what = format!("memory: v{node} keeps {size} of {name}, more than {bound}");
                    self.checks.violation(self.now, what);
                }
            }
        }
    }

    /// All money of an asset is in accounts, set aside or in flight, whatever the height that a validator has executed.
    pub(crate) fn check_money(&mut self, node: usize) {
        let Some(running) = &self.nodes[node].running else { return };
        let ledger = running.committer.ledger();
        let states = ledger.states();
        let mut supplies: BTreeMap<Asset, u128> = BTreeMap::new();
        for chain in self.environment.genesis.chains() {
            *supplies.entry(chain.asset).or_default() += u128::from(chain.supply().unwrap_or(0));
        }
        for entry in ledger.state_root().entries() {
            let asset = states.get(entry.chain).map_or(Asset::UNIT, |state| state.asset());
            let supply = supplies.entry(asset).or_default();
            *supply += u128::from(entry.issuance.issued);
            *supply -= u128::from(entry.issuance.burned);
        }
        let mut found: BTreeMap<Asset, u128> = BTreeMap::new();
        let (first, last) = ReservationId::RANGE;
        for (state, table) in states.iter().zip(ledger.tables()) {
            let set_aside = table.range(&first, &last).filter_map(|row| Reservation::decode(row.value()));
            let set_aside: u128 = set_aside.map(|of| u128::from(of.amount)).sum();
            *found.entry(state.asset()).or_default() += state.supply() + set_aside;
        }
        for crossing in ledger.in_flight().map(|delivery| delivery.crossing) {
            let asset = states.get(crossing.source).map(|state| state.asset()).unwrap_or(Asset::UNIT);
            *found.entry(asset).or_default() += u128::from(crossing.amount);
        }
        if found != supplies {
            let what = format!("conservation: v{node} has {found:?} on all chains, not {supplies:?}");
            self.checks.violation(self.now, what);
        }
    }

    /// The last checks.
    fn finish(&mut self) {
        self.finished = Some(self.now);
        if let Some(missing) = self.script.missing() {
            self.checks.violation(self.now, missing);
        }
        let honest: Vec<bool> = (0..self.nodes.len()).map(|node| self.is_honest(node)).collect();
        self.checks.truth(&self.clients.submissions, |node| honest[node], self.now);
        let mut differing = Vec::new();
        for node in self.honest().collect::<Vec<_>>() {
            self.check_money(node);
            let Some(running) = &self.nodes[node].running else { continue };
            let ledger = running.committer.ledger();
            let states = ledger.states();
            for (chain, table) in states.iter().zip(ledger.tables()) {
                // One that has not executed everything differs from the definition for that reason alone.
                if ledger.height().0 == self.checks.height()
                    && let Some(what) = self.checks.differs(chain, table)
                {
                    differing.push(format!("execution: v{node} {what}"));
                }
            }
        }
        differing.into_iter().for_each(|what| self.checks.violation(self.now, what));
        if self.checks.violations.is_empty() {
            self.recover_all();
        }
        for node in 0..self.nodes.len() {
            if let Some(running) = self.nodes[node].running.take() {
                running.die();
            }
        }
    }

    /// Whatever was acknowledged is on the disks: the power goes once more, and everybody reads what is left.
    fn recover_all(&mut self) {
        for node in self.honest().collect::<Vec<_>>() {
            let Some(running) = self.nodes[node].running.take() else { continue };
            running.die();
            let disks = self.nodes[node].disks.clone();
            disks.cut_power(&mut self.chance);
            let acknowledged = self.nodes[node].acknowledged;
            match durable_height(&disks.journal, self.environment.network().0) {
                Ok(height) if height >= acknowledged => {}
                Ok(height) => {
                    let what = format!(
                        "durability: v{node} told of height {acknowledged}, its journal ends at {height}"
                    );
                    self.checks.violation(self.now, what);
                }
                Err(error) => self.checks.violation(self.now, format!("durability: v{node}: {error}")),
            }
        }
    }
}

/// How high a journal goes, read from the disk alone.
fn durable_height(disk: &SimulatedDisk, network: [u8; 32]) -> Result<u64, StoreError> {
    let (_log, replay) = SimulatedLog::open(disk, &options(network, LogKind::Journal))?;
    let mut height = 0;
    for record in replay {
        let record = record?;
        if record.kind == KIND_COMMITTED {
            let committed = CommittedBlock::decode(&record.bytes).expect("it was written by the committer");
            height = committed.height.0;
        }
    }
    Ok(height)
}
