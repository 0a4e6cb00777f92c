//! What can happen next: every event that the Byzantine validator, the network, the disks and the clocks allow.

use super::{
    guards::Guards,
    rules::Rule,
    state::{BlockId, Fact, HONEST, Held, QUORUM_WITH_FAULTY, Round, State, VIEWS, Validator},
};
use std::fmt;

/// One event at one honest validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The block and its bodies arrive, and `verify` answers *true*.
    Notarize(BlockId),
    /// Votes or the notarization arrive, what is missing is fetched, the journal syncs, and `certify` answers *true*.
    ///
    /// With whether the validator then votes to finalize.
    Certify(BlockId, bool),
    DropCertify(BlockId),
    Nullify(usize),
    /// The vote log is lost. Occurs only without the rule `VotesAreDurable`.
    Forget,
    /// All validators at once.
    PowerCut,
}

/// An event and the validator at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub at: usize,
    pub event: Event,
}

/// The name of a proposal in traces: `P1`, `Q1`, `P2`, `Q2`.
pub(super) fn name(id: BlockId) -> String {
    format!("{}{}", if id.choice == 0 { 'P' } else { 'Q' }, id.view + 1)
}

/// The letter of a branch of the Byzantine author's stream in traces.
pub(super) fn branch(body: usize) -> char {
    if body == 0 { 'a' } else { 'b' }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.event {
            Event::Notarize(id) => {
                write!(f, "validator {at} receives {} with its body and votes to notarize it", name(id))
            }
            Event::Certify(id, true) => write!(
                f,
                "validator {at} learns that {} is notarized, certifies it and votes to finalize it",
                name(id)
            ),
            Event::Certify(id, false) => write!(
                f,
                "validator {at} learns that {} is notarized and certifies it; it may not vote to finalize it",
                name(id)
            ),
            Event::DropCertify(id) => {
                write!(f, "validator {at} learns that {} is notarized and gives up certifying it", name(id))
            }
            Event::Nullify(view) => {
                write!(f, "validator {at} times out and votes to nullify view {}", view + 1)
            }
            Event::Forget => write!(f, "validator {at} loses its vote log"),
            Event::PowerCut => {
                write!(f, "all validators lose power and restart: what was only in memory is gone")
            }
        }
    }
}

/// The four proposals of the Byzantine leader.
pub(super) fn proposals() -> impl Iterator<Item = BlockId> {
    (0..VIEWS).flat_map(|view| (0..2).map(move |choice| BlockId { view, choice }))
}

/// Calls `visit` with every step that is possible in `state` and the state after it.
pub(super) fn successors(guards: Guards<'_>, state: &State, mut visit: impl FnMut(Step, State)) {
    for at in 0..HONEST {
        for v in informed(state, &state.validators[at]) {
            let mut emit = |event: Event, v: Validator| {
                let mut next = *state;
                next.validators[at] = v;
                visit(Step { at, event }, next);
            };
            for id in proposals() {
                notarize(guards, v, id, &mut emit);
                if state.notarize_votes(id) >= QUORUM_WITH_FAULTY {
                    certify(guards, v, id, &mut emit);
                }
            }
            if !guards.rules.hold(Rule::VotesAreDurable) {
                emit(Event::Forget, forget(v));
            }
            for view in 0..VIEWS {
                if guards.may_nullify(&v, view) {
                    let mut next = v;
                    next.rounds[view].set(Fact::Nullified, true);
                    emit(Event::Nullify(view), next);
                }
            }
        }
    }
    let mut after = *state;
    for v in &mut after.validators {
        power_cut(guards, v);
    }
    if after != *state {
        visit(Step { at: HONEST, event: Event::PowerCut }, after);
    }
}

/// The validator as it is, and with the certificates of the first view that it may receive just before it acts.
fn informed(state: &State, v: &Validator) -> impl Iterator<Item = Validator> {
    let round = v.rounds[0];
    let nullified = !round.is(Fact::Nullification) && state.nullify_votes(0) >= QUORUM_WITH_FAULTY;
    let finalized = (0..2).find(|choice| {
        !round.is(Fact::Finalization) && state.is_finalized(BlockId { view: 0, choice: *choice })
    });
    let mut with_nullification = *v;
    with_nullification.rounds[0].set(Fact::Nullification, true);
    let mut with_finalization = *v;
    with_finalization.rounds[0].set_notarized(finalized);
    with_finalization.rounds[0].set(Fact::Finalization, true);
    [(true, *v), (nullified, with_nullification), (finalized.is_some(), with_finalization)]
        .into_iter()
        .filter_map(|(possible, v)| possible.then_some(v))
}

fn notarize(guards: Guards<'_>, mut v: Validator, id: BlockId, emit: &mut impl FnMut(Event, Validator)) {
    receive_proposal(guards, &mut v, id);
    if guards.may_notarize(&v, id) {
        v.rounds[id.view].set_vote(Some(id.choice));
        emit(Event::Notarize(id), v);
    }
}

fn certify(guards: Guards<'_>, mut v: Validator, id: BlockId, emit: &mut impl FnMut(Event, Validator)) {
    if v.rounds[id.view].notarized().is_some() {
        return;
    }
    v.rounds[id.view].set_notarized(Some(id.choice));
    if guards.certify_pending(&v, id.view) && !guards.rules.hold(Rule::CertifyStaysPending) {
        let mut dropped = v;
        dropped.rounds[id.view].set(Fact::Dropped, true);
        emit(Event::DropCertify(id), dropped);
    }
    receive_missing(guards, &mut v, id);
    if guards.may_certify(&v, id.view) {
        guards.certify(&mut v, id.view);
        emit(Event::Certify(id, v.rounds[id.view].is(Fact::FinalizeVoted)), v);
    }
}

/// The validator without its vote log; its journal of blocks and bodies is another file.
fn forget(v: Validator) -> Validator {
    let mut without = v;
    for (round, old) in without.rounds.iter_mut().zip(v.rounds) {
        *round = Round::default();
        (0..2).for_each(|choice| round.set_block(choice, old.block(choice)));
    }
    without
}

/// The leader sends its block, and the author the body.
fn receive_proposal(guards: Guards<'_>, v: &mut Validator, id: BlockId) {
    if v.held(id) == Held::No {
        v.rounds[id.view].set_block(id.choice, Held::Memory);
    }
    // Without the rule the author may as well withhold the body until `certify` asks for it.
    if guards.rules.hold(Rule::VerifyWaitsForBodies) {
        receive_body(guards, v, id);
    }
}

fn receive_body(guards: Guards<'_>, v: &mut Validator, id: BlockId) {
    if let Some(body) = guards.needed_body(v, id).filter(|body| v.body(*body) == Held::No) {
        v.set_body(body, Held::Memory);
    }
}

/// What a pending `certify` waits for is fetched by digest. The Byzantine validator may always send it.
fn receive_missing(guards: Guards<'_>, v: &mut Validator, id: BlockId) {
    let before = *v;
    for block in guards.needed_blocks(&before, id) {
        if v.held(block) == Held::No && guards.rules.hold(Rule::FetchUnfinalizedAncestors) {
            v.rounds[block.view].set_block(block.choice, Held::Memory);
        }
    }
    receive_body(guards, v, id);
}

/// Power fails at this validator, and it starts again: memory is lost, and `certify` is asked again.
pub(super) fn power_cut(guards: Guards<'_>, v: &mut Validator) {
    let after = |held: Held| match held {
        Held::Memory => Held::No,
        Held::Durable if !guards.rules.hold(Rule::ServeAfterRestart) => Held::Unloaded,
        held => held,
    };
    for round in &mut v.rounds {
        for choice in 0..2 {
            round.set_block(choice, after(round.block(choice)));
        }
        round.set(Fact::Dropped, false);
    }
    for body in 0..2 {
        if v.body(body) == Held::Memory {
            v.set_body(body, Held::No);
        }
    }
}
