//! Administrators decide, and power and links fail when that takes effect; nobody lies.

use super::{after_ms, consensus_sorts, start_all, step, withhold};
use crate::administrators::{Ask, Governed};
use crate::chance::Chance;
use crate::disks::Release;
use crate::schedule::{Act, Loss, Plan};
use crate::script::{Step, When};

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

/// One after the other, four others come into the places of all validators of the genesis. When that is decided,
/// perhaps all lose power; who has left dies. One more begins when none of the genesis is left that it could hear: it
/// has the genesis, and the epochs that its operator has fetched. It comes into a place, too, and they decide about
/// chains as ever.
pub(super) fn all_replaced(plan: &mut Plan, chance: &mut Chance) {
    plan.governed = Governed::ByScript;
    plan.hasten();
    let last = 8;
    (plan.spares, plan.absent) = (5, vec![last]);
    let (mut left, mut alive) = (ALL.to_vec(), (0..last).collect::<Vec<_>>());
    for epoch in 1..=4 {
        let place = left.remove(chance.below(left.len()));
        let who = 3 + epoch as usize;
        plan.script.push(after_ms(chance.within(50..400), vec![Act::Ask(Ask::Replace(place, who))]));
        let cut = if chance.permille(500) { alive.clone() } else { vec![chance.of(&alive)] };
        plan.script.push(step(When::DecidesMembers(epoch), vec![Act::CutPower(cut)]));
        plan.script.push(after_ms(chance.within(1..80), start_all(&alive, Loss::Nothing)));
        alive.retain(|node| *node != place);
        let members: Vec<_> = left.iter().copied().chain(4..=who).collect();
        plan.script.push(step(When::InEpoch(epoch, members), vec![Act::Kill(place)]));
    }
    plan.script.push(after_ms(chance.within(1..200), start_all(&[last], Loss::Nothing)));
    plan.script.push(step(When::InEpoch(4, vec![last]), vec![Act::Ask(Ask::Replace(chance.below(4), last))]));
    plan.script.push(step(When::InEpoch(5, vec![last]), vec![Act::Ask(Ask::Create), Act::Heal]));
}

/// Another release is there when a validator starts again, soon.
fn reinstall(chance: &mut Chance, node: usize, release: Release) -> [Step; 2] {
    [
        after_ms(chance.within(10..120), vec![Act::Install(node, release), Act::Kill(node)]),
        after_ms(chance.within(1..80), start_all(&[node], Loss::Nothing)),
    ]
}

/// Other rules are wanted, and not decided while 1 has a release that lacks them. Until then 2 goes back to that
/// release, and goes on. When they are decided, 2 has gone back again, and perhaps all lose power: it stops before the
/// epoch that has them, and the three others go on. With the newer release it comes back. After that, 3 goes back and
/// does not start. What is decided then takes effect by the other rules.
pub(super) fn rules_activated(plan: &mut Plan, chance: &mut Chance) {
    plan.governed = Governed::ByScript;
    plan.hasten();
    for node in [0, 2, 3] {
        plan.script.extend(reinstall(chance, node, Release::Next));
    }
    plan.script.push(after_ms(50, vec![Act::Ask(Ask::Rules)]));
    plan.script.push(step(When::LacksConsents, Vec::new()));
    plan.script.extend(reinstall(chance, 2, Release::Present));
    plan.script.push(step(When::TakesMore(2), Vec::new()));
    plan.script.extend(reinstall(chance, 2, Release::Next));
    plan.script.extend(reinstall(chance, 1, Release::Next));
    let without_power = if chance.permille(500) { ALL.to_vec() } else { vec![2] };
    let acts = vec![Act::Install(2, Release::Present), Act::CutPower(without_power)];
    plan.script.push(step(When::DecidesRules, acts));
    for node in ALL {
        plan.script.push(after_ms(chance.within(1..60), start_all(&[node], Loss::Nothing)));
    }
    plan.script.push(step(When::HasRules(vec![0, 1, 3]), Vec::new()));
    plan.script.push(step(When::RefusesRules(2), Vec::new()));
    plan.script.push(step(When::TakesMore(0), vec![Act::Install(2, Release::Next)]));
    plan.script.push(step(When::HasRules(ALL.to_vec()), Vec::new()));
    plan.script.extend(reinstall(chance, 3, Release::Present));
    plan.script.push(step(When::RefusesRules(3), vec![Act::Ask(Ask::Create)]));
    plan.script.push(step(When::TakesMore(1), vec![Act::Install(3, Release::Next)]));
    plan.script.push(step(When::HasEffect(1, ALL.to_vec()), vec![Act::Heal]));
}
