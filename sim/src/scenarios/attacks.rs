//! Liars at the worst moment.

use engine::types::Quota;

use super::{FINALIZATIONS, after_ms, start_all, step, withhold};
use crate::byzantine::Misdeed;
use crate::chance::Chance;
use crate::moments::Moment;
use crate::schedule::{Act, Loss, Plan, Sort};
use crate::script::{Views, When};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// The liar (3) keeps its stream to itself. When it leads, its block takes its newest batch, which it shows to 0 and 1
/// at that moment, while their journals are slow. All lose power once the notarization is durable, and the liar never
/// speaks again: nobody honest has the batch. The view must be skipped.
pub(super) fn head_in_memory(plan: &mut Plan, chance: &mut Chance) {
    head_held(plan, &[0, 1]);
    let asked = When::mark(Moment::Certifies, &[0, 1], Views::Marked);
    plan.script.push(step(asked, Vec::new()));
    plan.script.push(after_ms(
        20 + chance.within(0..30),
        vec![Act::LoseUnsynced(vec![0, 1, 2]), withhold(&[3], &ALL, &[Sort::All])],
    ));
    plan.script.push(after_ms(100, start_all(&[0, 1, 2], Loss::Nothing)));
    // The notarization was durable: it is asked for again, and nobody can say yes.
    plan.script.push(step(When::all(Moment::Certifies, &[0, 1], Views::Marked), Vec::new()));
    plan.script.push(step(When::all(Moment::HearsFinal, &[0, 1, 2], Views::Later), vec![Act::Heal]));
}

/// The same, but 0 has a quick journal, and has certified. It does not vote to skip the view, so the others need the
/// batch.
pub(super) fn head_certified_once(plan: &mut Plan, chance: &mut Chance) {
    head_held(plan, &[1]);
    plan.script.push(step(When::mark(Moment::MayFinalize, &[0], Views::Marked), Vec::new()));
    plan.script.push(step(
        When::all(Moment::Finalizes, &[0], Views::Marked),
        vec![Act::LoseUnsynced(vec![0, 1, 2]), withhold(&[3], &ALL, &[Sort::All])],
    ));
    plan.script.push(after_ms(chance.within(1..200), start_all(&[1, 2], Loss::Nothing)));
    plan.script.push(after_ms(chance.within(1..200), start_all(&[0], Loss::Nothing)));
    plan.script.push(step(When::all(Moment::MayFinalize, &[1], Views::Marked), Vec::new()));
    plan.script.push(step(When::Ordered, vec![Act::Heal]));
}

fn head_held(plan: &mut Plan, slow: &[usize]) {
    plan.liars.insert(3, vec![Misdeed::TakeOwn]);
    let slow = slow.iter().map(|node| Act::SlowJournal(*node, 10_000));
    plan.script = vec![
        after_ms(0, vec![withhold(&[3], &ALL, &[Sort::Batches])]),
        after_ms(600, Vec::new()),
        step(
            When::mark(Moment::Proposes, &[3], Views::Any),
            slow.chain([
                Act::Pass,
                Act::Push(3, vec![0, 1]),
                withhold(&ALL, &[2], &[Sort::Batches]),
                withhold(&[3], &[2], &[Sort::Batches]),
            ])
            .collect(),
        ),
    ];
}

/// n = 7. Author 6 shows one branch to 0 and 1, another one to 2 and 3, a third one to 4. Liar 5 claims to hold
/// whatever anybody holds.
pub(super) fn split_branches(plan: &mut Plan, _: &mut Chance) {
    plan.submit_every_ms = 4;
    plan.liars.insert(6, vec![Misdeed::ForkBatches]);
    plan.liars.insert(5, vec![Misdeed::ClaimAll]);
    plan.branches = Some(vec![0, 0, 1, 1, 2, 0, 0]);
    let contradicted = |node| step(When::all(Moment::Contradicts, &[node], Views::Only(6)), Vec::new());
    plan.script = vec![
        contradicted(2),
        contradicted(4),
        step(When::Takes(6), Vec::new()),
        after_ms(1_000, vec![Act::Heal]),
    ];
}

/// n = 7. Author 6 sends its batches to 0, 1 and 2 only and answers nobody else; liar 5 claims to hold them. So a
/// leader counts a quorum of five. Neither liar votes, so 3 and 4 must fetch the bodies in time.
pub(super) fn shown_to_few(plan: &mut Plan, _: &mut Chance) {
    let all: Vec<usize> = (0..7).collect();
    let votes = [Sort::Vote(Moment::Notarizes), Sort::Vote(Moment::Nullifies), Sort::Vote(Moment::Finalizes)];
    plan.liars.insert(5, vec![Misdeed::ClaimAll]);
    plan.liars.insert(6, vec![Misdeed::ClaimAll]);
    plan.script = vec![
        after_ms(0, vec![withhold(&[6], &[3, 4, 5], &[Sort::Batches]), withhold(&[5, 6], &all, &votes)]),
        step(When::all(Moment::Fetches, &[3], Views::Only(6)), Vec::new()),
        step(When::all(Moment::Fetches, &[4], Views::Only(6)), Vec::new()),
        step(When::Takes(6), Vec::new()),
        after_ms(1_000, vec![Act::Heal]),
    ];
}

/// The last batches of 0 reach nobody but 3, which gives none of them on. Then 0 loses its journal. 3 names what nobody
/// can fetch: 0 looks for it for a while, goes on behind what the others have, and is ordered again, also when 3 serves
/// what it has at last.
pub(super) fn last_batch_at_a_liar(plan: &mut Plan, chance: &mut Chance) {
    plan.losers = vec![0];
    plan.liars.insert(3, Vec::new());
    let kept = withhold(&[3], &ALL, &[Sort::Batches]);
    plan.script = vec![
        step(When::Takes(0), vec![withhold(&[0], &[1, 2], &[Sort::Batches]), kept.clone()]),
        after_ms(100, Vec::new()),
        step(When::HasAlone(3, 0), vec![Act::CutPower(vec![0])]),
        after_ms(chance.within(50..300), vec![Act::Pass, kept, Act::Start(0, Loss::Journal)]),
        step(When::all(Moment::LosesStream, &[0], Views::Any), Vec::new()),
        step(When::KnowsStream(0), Vec::new()),
        step(When::TakesMore(0), vec![Act::Pass]),
        step(When::TakesMore(0), vec![Act::Heal]),
    ];
}

/// Leader 3 lets its block be notarized, and then votes to skip the view instead of certifying it, while 0 still waits
/// for its journal. The honest three finalize the block all the same.
pub(super) fn leader_nullifies(plan: &mut Plan, _: &mut Chance) {
    plan.liars.insert(3, vec![Misdeed::RefuseToCertify]);
    plan.script = vec![
        after_ms(500, vec![Act::SlowJournal(0, 300)]),
        after_ms(100, Vec::new()),
        step(When::mark(Moment::RefusesOwn, &[3], Views::Any), Vec::new()),
        step(When::all(Moment::Nullifies, &[3], Views::Marked), Vec::new()),
        step(When::all(Moment::MayFinalize, &[0], Views::MarkedNow), Vec::new()),
        step(When::Ordered, vec![Act::Heal]),
    ];
}

/// Leader 3 runs twice: 0 sees one process, 1 and 2 the other. In a view that it leads they vote for different blocks.
/// Only the second can be notarized, and 0 must fetch it.
pub(super) fn leader_equivocates(plan: &mut Plan, _: &mut Chance) {
    plan.liars.insert(3, Vec::new());
    plan.twin = Some(3);
    plan.sees_twin = Some(vec![false, true, true, false]);
    let later = [
        Sort::Vote(Moment::Notarizes),
        Sort::Certificate(Moment::Notarizes),
        Sort::Vote(Moment::Finalizes),
        Sort::Certificate(Moment::Finalizes),
        Sort::Requests,
    ];
    plan.script = vec![
        after_ms(300, Vec::new()),
        // Until 0 has voted it does not hear that the others have notarized the other block.
        step(When::mark(Moment::Proposes, &[4], Views::Any), vec![withhold(&[1, 2], &[0], &later)]),
        step(When::Split(vec![0, 1, 2]), vec![Act::Pass]),
        step(When::mark(Moment::Certifies, &[1, 2], Views::Marked), Vec::new()),
        step(When::Ordered, Vec::new()),
        step(When::all(Moment::HearsFinal, &[0], Views::Later), vec![Act::Heal]),
    ];
}

/// A chain has the lowest quota. When liar 3 leads, its block takes several batches of its own at once that are more
/// than that together. Everybody has them, nobody votes for the block, and one batch after the other is taken later.
pub(super) fn quota_exceeded(plan: &mut Plan, _: &mut Chance) {
    plan.quota = Quota::LEAST;
    plan.liars.insert(3, vec![Misdeed::OversizeBlocks]);
    plan.script = vec![
        step(When::mark(Moment::Proposes, &[3], Views::Any), Vec::new()),
        after_ms(1_000, Vec::new()),
        step(When::Takes(3), vec![Act::Heal]),
    ];
}

/// Whenever liar 3 leads, its block has the log of headers that nobody has seen. All skip the view.
pub(super) fn log_forged(plan: &mut Plan, _: &mut Chance) {
    plan.liars.insert(3, vec![Misdeed::ForgeLogs]);
    plan.script = vec![
        step(When::mark(Moment::Proposes, &[3], Views::Any), Vec::new()),
        step(When::all(Moment::Nullifies, &[0, 1, 2], Views::Marked), vec![Act::Heal]),
    ];
}

/// Batches stop reaching 0. It verifies a block whose bodies it lacks until it drops the reply at `t_v`; 1 ms later it
/// gets them. 0 has voted to skip a view that 1 and 2 vote to finalize. Liar 3 votes for neither, so the view is
/// neither final nor skipped: all must enter the next one.
pub(super) fn bodies_just_late(plan: &mut Plan, _: &mut Chance) {
    plan.submit_every_ms = 5;
    // What is under way at 400 ms has come before the next block is verified.
    plan.quality.delay_us = (500, 3_000);
    plan.liars.insert(3, Vec::new());
    // Nor does it hear that the others have notarized the block: that would end the question.
    let late =
        [Sort::Batches, Sort::Vote(Moment::Notarizes), Sort::Certificate(Moment::Notarizes), Sort::Requests];
    let push = ALL.iter().map(|from| Act::Push(*from, vec![0]));
    plan.script = vec![
        after_ms(0, vec![withhold(&[3], &ALL, &FINALIZATIONS)]),
        after_ms(400, vec![withhold(&ALL, &[0], &[Sort::Batches])]),
        step(When::VerifiesLacking(0, 1), vec![withhold(&ALL, &[0], &late)]),
        step(When::mark(Moment::GivesUp, &[0], Views::Marked), Vec::new()),
        after_ms(1, [Act::PassTo(0)].into_iter().chain(push).collect()),
        step(When::all(Moment::Nullifies, &[0], Views::Marked), Vec::new()),
        step(When::all(Moment::Finalizes, &[1, 2], Views::Marked), Vec::new()),
        step(When::all(Moment::MayFinalize, &[0], Views::Later), Vec::new()),
        step(When::Ordered, vec![Act::Heal]),
    ];
}
