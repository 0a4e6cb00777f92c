//! What happens once faults end: the continuation in which a new block must be finalized.
//!
//! The Byzantine validator is silent from here on, so a quorum is all three honest validators. Every message between
//! them is delivered, everything that is missing is fetched, and a view without progress times out.

use super::{
    guards::Guards,
    rules::Rule,
    state::{Block, BlockId, Fact, HONEST, Held, QUORUM_WITH_FAULTY, State, VIEWS, VIEWS_MAX},
    step::{name, proposals},
};
use std::fmt;

/// Checks the fair continuation after every set of certificates that the Byzantine validator may still hand out.
///
/// Everything else that is in flight when faults end is lost. Returns how many further views it took at most until a
/// block of one of them was finalized.
///
/// # Errors
/// Where one continuation ended without such a block.
pub(super) fn recovers(guards: Guards<'_>, state: &State) -> Result<usize, Stuck> {
    let gifts: Vec<Gift> = gifts(state).collect();
    (0..1 << gifts.len()).try_fold(0, |most, mask: u32| {
        let mut state = *state;
        let given =
            || gifts.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, gift)| *gift);
        given().for_each(|gift| hand_out(gift, &mut state));
        match continues(guards, &mut state) {
            Some(views) => Ok(most.max(views)),
            None => Err(Stuck { gifts: given().collect(), state }),
        }
    })
}

/// A fair continuation that finalizes nothing: how it began, and where it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    gifts: Vec<Gift>,
    state: State,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for gift in &self.gifts {
            match gift {
                Gift::Notarization(id) => {
                    writeln!(f, "      validator 3 sends everybody the notarization of {}", name(*id))?
                }
                Gift::Nullification(view) => {
                    writeln!(f, "      validator 3 sends everybody the nullification of view {}", view + 1)?;
                }
                Gift::Finalization(id) => {
                    writeln!(f, "      validator 3 sends everybody the finalization of {}", name(*id))?
                }
            }
        }
        writeln!(f, "      validator 3 falls silent, everything else is delivered, and it ends so:")?;
        for (at, v) in self.state.validators.iter().enumerate() {
            write!(f, "      validator {at} waits in view {}", v.view() + 1)?;
            for id in proposals() {
                let round = v.rounds[id.view];
                if round.notarized() == Some(id.choice) && !round.is(Fact::Certified) {
                    write!(f, ", cannot certify {}", name(id))?;
                }
                if round.notarized() == Some(id.choice) && round.is(Fact::FinalizeVoted) {
                    write!(f, ", has voted to finalize {}", name(id))?;
                }
            }
            for view in (0..VIEWS_MAX).filter(|view| v.rounds[*view].is(Fact::Nullified)) {
                write!(f, ", has voted to nullify view {}", view + 1)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A certificate that no honest validator holds yet, although its votes exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gift {
    Notarization(BlockId),
    Nullification(usize),
    Finalization(BlockId),
}

fn gifts(state: &State) -> impl Iterator<Item = Gift> + '_ {
    let unknown = |view: usize, fact| state.count(|v| v.rounds[view].is(fact)) == 0;
    let nullifications = (0..VIEWS)
        .filter(move |view| {
            unknown(*view, Fact::Nullification) && state.nullify_votes(*view) >= QUORUM_WITH_FAULTY
        })
        .map(Gift::Nullification);
    let notarizations = proposals()
        .filter(move |id| {
            unknown(id.view, Fact::Certified) && state.notarize_votes(*id) >= QUORUM_WITH_FAULTY
        })
        .map(Gift::Notarization);
    let finalizations = proposals()
        .filter(move |id| unknown(id.view, Fact::Finalization) && state.is_finalized(*id))
        .map(Gift::Finalization);
    nullifications.chain(notarizations).chain(finalizations)
}

fn hand_out(gift: Gift, state: &mut State) {
    for v in &mut state.validators {
        match gift {
            Gift::Nullification(view) => v.rounds[view].set(Fact::Nullification, true),
            Gift::Notarization(id) => v.rounds[id.view].set_notarized(Some(id.choice)),
            Gift::Finalization(id) => {
                v.rounds[id.view].set_notarized(Some(id.choice));
                v.rounds[id.view].set(Fact::Finalization, true);
            }
        }
    }
}

fn continues(guards: Guards<'_>, state: &mut State) -> Option<usize> {
    let mut contents = *guards.contents;
    loop {
        let guards = Guards { rules: guards.rules, contents: &contents };
        while settle(guards, state) {}
        let finalized = |view: &usize| state.count(|v| v.rounds[*view].is(Fact::Finalization)) > 0;
        if let Some(view) = (VIEWS..VIEWS_MAX).find(finalized) {
            return Some(view + 1 - VIEWS);
        }
        let proposal = propose(guards, state);
        if let Some((id, block)) = proposal {
            contents.propose(id, block);
            for v in state.validators.iter_mut().filter(|v| v.view() == id.view) {
                v.rounds[id.view].set_block(id.choice, Held::Memory);
            }
        } else if !time_out(guards, state) {
            return None;
        }
    }
}

/// An honest leader extends the highest block that it may extend, once.
fn propose(guards: Guards<'_>, state: &State) -> Option<(BlockId, Block)> {
    (VIEWS..VIEWS_MAX).find_map(|view| {
        let leader = &state.validators[view % HONEST];
        let id = BlockId { view, choice: 0 };
        let round = leader.rounds[view];
        if leader.view() != view || guards.contents.get(id).is_some() || round.is(Fact::Nullified) {
            return None;
        }
        let certified = |view: usize| {
            let round = leader.rounds[view];
            let choice = round.notarized()?;
            (round.is(Fact::Certified) || round.is(Fact::Finalization)).then_some(BlockId { view, choice })
        };
        let parent = (0..view).rev().find_map(certified);
        let block = Block { parent, cut: guards.contents.cut(parent) };
        guards.extends(leader, parent, view).then_some((id, block))
    })
}

/// Every validator that waits in its view votes to nullify it. Returns whether anyone did.
fn time_out(guards: Guards<'_>, state: &mut State) -> bool {
    let mut changed = false;
    for v in &mut state.validators {
        let view = v.view();
        if view < VIEWS_MAX && guards.may_nullify(v, view) {
            v.rounds[view].set(Fact::Nullified, true);
            changed = true;
        }
    }
    changed
}

/// One pass of delivering, fetching, verifying, certifying and voting. Returns whether anything changed.
fn settle(guards: Guards<'_>, state: &mut State) -> bool {
    let before = *state;
    let end = state.validators.iter().map(|v| v.view() + 1).max().map_or(VIEWS_MAX, |end| end.min(VIEWS_MAX));
    for view in 0..end {
        certificates(guards.rules.hold(Rule::CertificatesTravel), state, view);
    }
    for at in 0..HONEST {
        fetch(guards, state, at, end);
        let v = &mut state.validators[at];
        for view in VIEWS..end {
            if guards.may_notarize(v, BlockId { view, choice: 0 }) {
                v.rounds[view].set_vote(Some(0));
            }
        }
        for view in 0..end {
            if guards.may_certify(v, view) {
                guards.certify(v, view);
            }
        }
    }
    *state != before
}

/// Assembles what three honest votes make, and passes on what one validator holds.
fn certificates(travel: bool, state: &mut State, view: usize) {
    let arrives = view >= VIEWS;
    let all = HONEST;
    for choice in 0..2 {
        let id = BlockId { view, choice };
        let is = |round: super::state::Round, fact| round.notarized() == Some(choice) && round.is(fact);
        let finalized = arrives && state.finalize_votes(id) == all
            || travel && state.count(|v| is(v.rounds[view], Fact::Finalization)) > 0;
        // Consensus serves a notarization only once it is certified.
        let notarized = arrives && state.notarize_votes(id) == all
            || travel && state.count(|v| is(v.rounds[view], Fact::Certified)) > 0;
        for v in &mut state.validators {
            let round = &mut v.rounds[view];
            if finalized || notarized && round.notarized().is_none() {
                round.set_notarized(Some(choice));
            }
            if finalized {
                round.set(Fact::Finalization, true);
            }
        }
    }
    // A vote to nullify is sent again while its view lasts.
    let voted = state.count(|v| v.rounds[view].is(Fact::Nullified) && (arrives || v.view() == view));
    if voted == all || travel && state.count(|v| v.rounds[view].is(Fact::Nullification)) > 0 {
        for v in &mut state.validators {
            v.rounds[view].set(Fact::Nullification, true);
        }
    }
}

/// Fetches what a pending `certify` of this validator waits for, from any honest validator that has it.
fn fetch(guards: Guards<'_>, state: &mut State, at: usize, end: usize) {
    for view in 0..end {
        let v = state.validators[at];
        let Some(choice) = v.rounds[view].notarized().filter(|_| guards.certify_pending(&v, view)) else {
            continue;
        };
        let id = BlockId { view, choice };
        if guards.rules.hold(Rule::FetchUnfinalizedAncestors) {
            for block in guards.needed_blocks(&v, id) {
                if v.held(block) == Held::No && state.count(|v| v.held(block).here()) > 0 {
                    state.validators[at].rounds[block.view].set_block(block.choice, Held::Memory);
                }
            }
        }
        let missing = guards.needed_body(&v, id).filter(|body| !v.body(*body).here());
        if let Some(body) = missing.filter(|body| state.count(|v| v.body(*body).here()) > 0) {
            state.validators[at].set_body(body, Held::Memory);
        }
    }
}
