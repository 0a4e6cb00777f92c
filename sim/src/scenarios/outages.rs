//! Power, disks and links fail at the worst moment; nobody lies.

use super::{FINALIZATIONS, after_ms, consensus_sorts, start_all, step, withhold};
use crate::chance::Chance;
use crate::moments::Moment;
use crate::schedule::{Act, Loss, Plan, Sort};
use crate::script::{Views, When};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// No vote to finalize arrives anywhere. Once three have left, all lose power. Nobody can have skipped the view, so the
/// block must become final.
pub(super) fn finalize_votes_lost(plan: &mut Plan, chance: &mut Chance) {
    let mut acts = vec![Act::LoseUnsynced(ALL.to_vec()), Act::Pass];
    plan.script = vec![
        after_ms(400 + chance.within(0..200), vec![withhold(&ALL, &ALL, &FINALIZATIONS)]),
        step(When::mark(Moment::Finalizes, &[0, 1, 2], Views::Any), Vec::new()),
        step(When::mark(Moment::Finalizes, &[0, 1, 2], Views::Later), std::mem::take(&mut acts)),
    ];
    for node in 0..4 {
        plan.script.push(after_ms(chance.within(1..200), start_all(&[node], Loss::Nothing)));
    }
    plan.script.push(step(When::Ordered, vec![Act::Heal]));
}

/// See [`Plan::lag`].
pub(super) fn root_lag(plan: &mut Plan, chance: &mut Chance) {
    plan.lag(chance);
}

/// 0 loses its journal. Of the six others, two are cut off from it: too few answer, so it stays silent until they are
/// back.
pub(super) fn lost_disk(plan: &mut Plan, chance: &mut Chance) {
    plan.losers = vec![0];
    let silent = [1, 2].into_iter().flat_map(|holder| [Act::Cut(0, holder), Act::Cut(holder, 0)]);
    plan.script = vec![
        step(When::Takes(0), Vec::new()),
        after_ms(chance.within(100..500), vec![Act::CutPower(vec![0])]),
        after_ms(50, silent.chain([Act::Start(0, Loss::Journal)]).collect()),
        step(When::all(Moment::LosesStream, &[0], Views::Any), Vec::new()),
        after_ms(1_000, Vec::new()),
        step(When::Learns(0), vec![Act::MendLinks]),
        step(When::KnowsStream(0), vec![Act::Heal]),
    ];
}

/// Batches stop reaching 0, so that a block becomes final whose bodies it lacks. 3 dies, so nothing goes on without 0:
/// it is asked to verify the next block, whose parent it cannot execute, and must fetch the parent's bodies.
pub(super) fn parent_without_bodies(plan: &mut Plan, _: &mut Chance) {
    plan.script = vec![
        after_ms(500, vec![withhold(&ALL, &[0], &[Sort::Batches])]),
        step(When::FinalWithout(0), vec![Act::Kill(3)]),
        step(When::VerifiesWithout(0), vec![Act::Pass]),
        step(When::all(Moment::HearsFinal, &[0, 1, 2], Views::Later), vec![Act::Heal]),
    ];
}

/// 0 loses power after its certification is durable and before the block is final, when its vote log has been cut
/// already.
pub(super) fn restart_certified(plan: &mut Plan, chance: &mut Chance) {
    plan.compact_bytes = 4 << 10;
    plan.script = vec![
        step(When::all(Moment::Prunes, &[0], Views::Any), vec![withhold(&ALL, &ALL, &FINALIZATIONS)]),
        step(When::mark(Moment::Finalizes, &[0], Views::Any), Vec::new()),
        step(When::mark(Moment::Finalizes, &[0], Views::Later), vec![Act::LoseUnsynced(vec![0])]),
        after_ms(chance.within(1..300), vec![Act::Start(0, Loss::Nothing)]),
        after_ms(chance.within(1..300), vec![Act::Pass]),
        step(When::Ordered, vec![Act::Heal]),
    ];
}

/// 0 hears nothing for a view, and then finds its vote log empty. It must not vote before a floor.
pub(super) fn votes_wiped(plan: &mut Plan, chance: &mut Chance) {
    plan.losers = vec![0];
    let silence = vec![withhold(&ALL, &[0], &[Sort::All]), withhold(&[0], &ALL, &[Sort::All])];
    plan.script = vec![
        after_ms(500, Vec::new()),
        step(When::mark(Moment::Notarizes, &ALL, Views::Any), silence),
        step(When::all(Moment::Notarizes, &[1, 2, 3], Views::Later), vec![Act::CutPower(vec![0])]),
        after_ms(chance.within(1..100), vec![Act::Start(0, Loss::Votes), Act::Pass]),
        step(When::all(Moment::Rejoins, &[0], Views::Any), vec![Act::Heal]),
    ];
}

/// 0 finds an older copy of everything, which is consistent in itself. The others have seen votes that it lacks: it
/// must not vote before a floor.
pub(super) fn directory_put_back(plan: &mut Plan, chance: &mut Chance) {
    plan.losers = vec![0];
    plan.script = vec![
        after_ms(chance.within(1..600), vec![Act::Copy(0)]),
        after_ms(chance.within(30..600), vec![Act::CutPower(vec![0])]),
        after_ms(chance.within(1..100), vec![Act::Start(0, Loss::OlderDirectory)]),
        step(When::all(Moment::FindsOlderCopy, &[0], Views::Any), Vec::new()),
        step(When::all(Moment::Rejoins, &[0], Views::Any), vec![Act::Heal]),
    ];
}

/// Every validator gets 62 transactions a second, one by one, with the settings of the node. A batch is sealed at most
/// every 16 ms, and at most every 50 ms while one is on its way; a block that takes batches comes at most every 16 ms.
pub(super) fn sixteen_steady(plan: &mut Plan, _: &mut Chance) {
    plan.accounts = 128;
    plan.steady = Some(62);
    plan.as_shipped = true;
    plan.bounds = Some((62, 62));
    plan.script = vec![after_ms(1_300, vec![Act::Measure]), after_ms(700, vec![Act::Measured, Act::Heal])];
}

/// 3 hears no votes, and stays behind. An account gets another key: 3 gets batches that it cannot judge before it has
/// executed the height that gave it. What was signed under the old key and comes too late fails everywhere alike, and
/// nobody is blamed for either.
pub(super) fn key_replaced(plan: &mut Plan, _: &mut Chance) {
    plan.submit_every_ms = 8;
    plan.script = vec![
        after_ms(500, vec![withhold(&ALL, &[3], &consensus_sorts())]),
        step(When::KeyReplaced, Vec::new()),
        step(When::WaitsForHeight(3), Vec::new()),
        step(When::SignedUnderBoth, vec![Act::Pass]),
        after_ms(500, vec![Act::Heal]),
    ];
}
