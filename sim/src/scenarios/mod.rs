//! Situations that chance seldom brings about, each as a script: `sim --scenario NAME`.
//!
//! A scenario is a plan whose steps wait for what they need. Each seed gives it other delays. A run is clean only if
//! every step has come and nothing that must hold was violated. `docs/RELIABILITY.md` names what each one shows.

mod attacks;
mod decisions;
mod outages;

use std::time::Duration;

use crate::chance::Chance;
use crate::moments::Moment;
use crate::schedule::{Act, Filter, Loss, Plan, Sort};
use crate::script::{Step, When};

/// A scripted plan.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// How many validators it has.
    pub validators: usize,
    pub(crate) plan: fn(&mut Plan, &mut Chance),
}

impl Scenario {
    /// Every scenario.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "head_in_memory",
            about: "a notarized block names a batch that f+1 honest hold in memory only; all lose power",
            validators: 4,
            plan: attacks::head_in_memory,
        },
        Self {
            name: "head_certified_once",
            about: "the same, but one honest validator has certified: it must serve after its restart",
            validators: 4,
            plan: attacks::head_certified_once,
        },
        Self {
            name: "finalize_votes_lost",
            about: "all lose power after 2f+1 votes to finalize, before anybody has a finalization",
            validators: 4,
            plan: outages::finalize_votes_lost,
        },
        Self {
            name: "root_lag",
            about: "syncs at f+1 are slower than t_a until 64 blocks are not final; then the disks heal",
            validators: 4,
            plan: outages::root_lag,
        },
        Self {
            name: "split_branches",
            about: "an author shows three branches 2/2/1, and another liar claims to hold everything",
            validators: 7,
            plan: attacks::split_branches,
        },
        Self {
            name: "lost_disk",
            about: "an honest author has lost its disk while f of those that hold its stream are silent",
            validators: 7,
            plan: outages::lost_disk,
        },
        Self {
            name: "last_batch_at_a_liar",
            about: "an honest author has lost its disk; its last batches are with a liar that serves none",
            validators: 4,
            plan: attacks::last_batch_at_a_liar,
        },
        Self {
            name: "shown_to_few",
            about: "an author sends to f+1 only, liars claim the rest, Byzantine votes are withheld",
            validators: 7,
            plan: attacks::shown_to_few,
        },
        Self {
            name: "leader_nullifies",
            about: "the leader votes to skip its view right after the notarization, while certify waits",
            validators: 4,
            plan: attacks::leader_nullifies,
        },
        Self {
            name: "leader_equivocates",
            about: "the leader proposes two blocks; f honest have seen the one that is not notarized",
            validators: 4,
            plan: attacks::leader_equivocates,
        },
        Self {
            name: "parent_without_bodies",
            about: "a validator verifies a child while its final parent's bodies are missing and f are down",
            validators: 4,
            plan: outages::parent_without_bodies,
        },
        Self {
            name: "restart_certified",
            about: "a restart between a durable certification and the finalization, with a pruned vote log",
            validators: 4,
            plan: outages::restart_certified,
        },
        Self {
            name: "votes_wiped",
            about: "a vote log is wiped while the others are a view ahead",
            validators: 4,
            plan: outages::votes_wiped,
        },
        Self {
            name: "directory_put_back",
            about: "a validator finds an older copy of its whole directory",
            validators: 4,
            plan: outages::directory_put_back,
        },
        Self {
            name: "quota_exceeded",
            about: "a leader's block takes more of a chain than its quota, in batches that everybody has",
            validators: 4,
            plan: attacks::quota_exceeded,
        },
        Self {
            name: "log_forged",
            about: "a leader's blocks have the log of other headers than those below them",
            validators: 4,
            plan: attacks::log_forged,
        },
        Self {
            name: "bodies_just_late",
            about: "the reply is dropped at t_v, the bodies come 1 ms later, and the votes are split",
            validators: 4,
            plan: attacks::bodies_just_late,
        },
        Self {
            name: "key_replaced",
            about: "an account gets another key while batches with both are in flight, and one validator is behind",
            validators: 4,
            plan: outages::key_replaced,
        },
        Self {
            name: "chain_created",
            about: "a chain is created while one is behind and another restarts; all lose power; it is paused",
            validators: 4,
            plan: decisions::chain_created,
        },
        Self {
            name: "all_replaced",
            about: "others come into all places, one by one, with power cuts; one comes when none of the genesis is left",
            validators: 4,
            plan: decisions::all_replaced,
        },
        Self {
            name: "rules_activated",
            about: "other rules wait for the last validator that lacks them; who goes back too late is refused",
            validators: 4,
            plan: decisions::rules_activated,
        },
        Self {
            name: "sixteen_steady",
            about: "16 validators, 62 transactions a second each: batches and views stay bounded",
            validators: 16,
            plan: outages::sixteen_steady,
        },
    ];

    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|scenario| scenario.name == name)
    }

    pub(crate) fn draw(&self, chance: &mut Chance) -> Plan {
        let mut plan = Plan::calm(self.validators);
        plan.quality.delay_us = chance.of(&[(500, 4_000), (2_000, 15_000), (5_000, 30_000)]);
        plan.sync_us = chance.of(&[(100, 400), (500, 3_000)]);
        plan.submit_every_ms = chance.of(&[10, 20]);
        // The script heals.
        plan.heal = Duration::from_secs(30);
        (self.plan)(&mut plan, chance);
        plan
    }
}

fn step(when: When, acts: Vec<Act>) -> Step {
    Step { when, acts }
}

fn after_ms(ms: u64, acts: Vec<Act>) -> Step {
    step(When::After(Duration::from_millis(ms)), acts)
}

fn withhold(from: &[usize], to: &[usize], sorts: &[Sort]) -> Act {
    Act::Withhold(Filter { from: from.to_vec(), to: to.to_vec(), sorts: sorts.to_vec() })
}

/// Everything that consensus says: who hears none of it stays behind.
fn consensus_sorts() -> Vec<Sort> {
    let kinds = [Moment::Notarizes, Moment::Nullifies, Moment::Finalizes];
    let votes = kinds.into_iter().flat_map(|kind| [Sort::Vote(kind), Sort::Certificate(kind)]);
    votes.chain([Sort::Requests]).collect()
}

fn start_all(nodes: &[usize], loss: Loss) -> Vec<Act> {
    nodes.iter().map(|node| Act::Start(*node, loss)).collect()
}

const FINALIZATIONS: [Sort; 2] = [Sort::Vote(Moment::Finalizes), Sort::Certificate(Moment::Finalizes)];

#[cfg(test)]
mod tests;
