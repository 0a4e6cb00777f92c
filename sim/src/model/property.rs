//! The properties, as predicates of one state.

use super::{
    fair::recovers,
    guards::Guards,
    state::{BlockId, HONEST, State},
    step::proposals,
};
use std::fmt;

/// What must hold in every reachable state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// Any two finalized blocks lie on one branch.
    Agreement,
    /// `durable holders among the honest >= f + 1`, for every finalized block, its ancestors, and the bodies of
    /// their cuts.
    Held,
    /// Once faults end and the faulty validator is silent, a new block is finalized within three further views.
    NeverStuck,
}

impl Property {
    /// Every property.
    pub const ALL: [Property; 3] = [Property::Agreement, Property::Held, Property::NeverStuck];
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::Agreement => "two finalized blocks lie on different branches",
            Property::Held => {
                "fewer than f + 1 honest validators hold a finalized block and its bodies durably"
            }
            Property::NeverStuck => "faults end, everything is delivered, and no new block is ever finalized",
        })
    }
}

/// `f + 1` for four validators.
const HOLDERS: usize = 2;

fn finalized(state: &State) -> impl Iterator<Item = BlockId> + '_ {
    proposals().filter(|id| state.is_finalized(*id))
}

fn agreement(guards: Guards<'_>, state: &State) -> bool {
    finalized(state).all(|low| {
        let mut later = finalized(state).filter(|high| high.view >= low.view);
        later.all(|high| guards.contents.branch(high).any(|block| block == low))
    })
}

fn held(guards: Guards<'_>, state: &State) -> bool {
    let contents = guards.contents;
    finalized(state).flat_map(|tip| contents.branch(tip)).all(|block| {
        let blocks = state.count(|v| v.held(block).durable());
        let bodies = contents.cut(Some(block)).map_or(HONEST, |body| state.count(|v| v.body(body).durable()));
        blocks >= HOLDERS && bodies >= HOLDERS
    })
}

/// Checks one state for some properties: the one that it breaks, or the further views that a recovery takes at most.
pub(super) fn check(guards: Guards<'_>, state: &State, properties: &[Property]) -> Result<usize, Property> {
    if properties.contains(&Property::Agreement) && !agreement(guards, state) {
        return Err(Property::Agreement);
    }
    if properties.contains(&Property::Held) && !held(guards, state) {
        return Err(Property::Held);
    }
    if properties.contains(&Property::NeverStuck) {
        return recovers(guards, state).map_err(|_| Property::NeverStuck);
    }
    Ok(0)
}
