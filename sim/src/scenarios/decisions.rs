//! Administrators decide, and power and links fail when that takes effect; nobody lies.

use super::{after_ms, consensus_sorts, start_all, step, withhold};
use crate::administrators::{Ask, Governed};
use crate::chance::Chance;
use crate::schedule::{Act, Loss, Plan};
use crate::script::When;

const ALL: [usize; 4] = [0, 1, 2, 3];

/// A chain is created. Shortly before, 3 ceases to hear votes: it gets batches of a chain that it does not have yet.
/// Shortly after, 1 is killed, and finds the creation in its journal. When all have the chain, all lose power. Then the
/// chain is paused while payments to it are in flight.
pub(super) fn chain_created(plan: &mut Plan, chance: &mut Chance) {
    plan.governed = Governed::ByScript;
    plan.hasten();
    plan.script = vec![
        after_ms(300, vec![Act::Ask(Ask::Create)]),
        step(When::Nears(chance.within(1..8)), vec![withhold(&ALL, &[3], &consensus_sorts())]),
        step(When::HasEffect(1, vec![1]), Vec::new()),
        after_ms(chance.within(1..60), vec![Act::Kill(1)]),
        after_ms(chance.within(1..60), start_all(&[1], Loss::Nothing)),
        step(When::WaitsForHeight(3), Vec::new()),
        step(When::UsesCreated(5), vec![Act::Pass]),
        step(When::HasEffect(1, ALL.to_vec()), Vec::new()),
        after_ms(chance.within(1..200), vec![Act::CutPower(ALL.to_vec())]),
    ];
    for node in ALL {
        plan.script.push(after_ms(chance.within(1..200), start_all(&[node], Loss::Nothing)));
    }
    plan.script.push(step(When::UsesCreated(5), vec![Act::Ask(Ask::PauseCreated)]));
    plan.script.push(step(When::HasEffect(2, ALL.to_vec()), Vec::new()));
    plan.script.push(step(When::ArrivesPaused, vec![Act::Heal]));
}
