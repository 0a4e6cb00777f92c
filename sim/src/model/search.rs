//! Breadth-first search over every reachable state, and the shortest way to a bad one.

use super::{
    fair::{Stuck, recovers},
    guards::Guards,
    property::{Property, check},
    rules::Rules,
    state::{Contents, State},
    step::{Step, branch, name, proposals, successors},
};
use std::fmt;

/// What an exhausted search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// States that differ after renaming honest validators.
    pub states: usize,
    /// The length of the longest of all shortest ways to a state.
    pub depth: usize,
    /// The most further views that any recovery took.
    pub further_views_max: usize,
}

/// A shortest way to a state in which a property fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What fails.
    pub property: Property,
    contents: u8,
    steps: Vec<Step>,
    stuck: Option<Stuck>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = Contents::choice(self.contents);
        writeln!(
            f,
            "validators 0 to 2 are honest; validator 3 is Byzantine and leads views 1 and 2, where it proposes"
        )?;
        for id in proposals() {
            let Some(block) = contents.get(id) else { continue };
            let parent = block.parent.map_or("the genesis".to_owned(), name);
            let cut = block.cut.map_or("no batch".to_owned(), |cut| format!("batch {}", branch(cut)));
            writeln!(f, "   {}: a child of {parent}; its cut takes {cut} of validator 3", name(id))?;
        }
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}  {step}", number + 1)?;
        }
        if let Some(stuck) = &self.stuck {
            write!(f, "{stuck}")?;
        }
        write!(f, "   => {}", self.property)
    }
}

/// States by number, in the order in which they were found, with an index by content.
struct Visited {
    states: Vec<u128>,
    parents: Vec<u32>,
    /// Open addressing; 0 is free, otherwise the number of a state plus 1. At most half full.
    slots: Vec<u32>,
}

impl Visited {
    fn new() -> Visited {
        Visited { states: Vec::new(), parents: Vec::new(), slots: vec![0; 1 << 16] }
    }

    fn slot(slots: &[u32], states: &[u128], state: u128) -> usize {
        let mixed =
            (state as u64 ^ ((state >> 64) as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mask = slots.len() - 1;
        let mut slot = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) as usize >> 20 & mask;
        while slots[slot] != 0 && states[slots[slot] as usize - 1] != state {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Takes a state in unless it is known.
    fn insert(&mut self, state: u128, parent: u32) {
        let slot = Visited::slot(&self.slots, &self.states, state);
        if self.slots[slot] != 0 {
            return;
        }
        self.states.push(state);
        self.parents.push(parent);
        self.slots[slot] = self.states.len() as u32;
        if self.states.len() * 2 > self.slots.len() {
            let mut slots = vec![0; self.slots.len() * 2];
            for (number, state) in self.states.iter().enumerate() {
                let slot = Visited::slot(&slots, &self.states, *state);
                slots[slot] = number as u32 + 1;
            }
            self.slots = slots;
        }
    }
}

/// Explores every state that is reachable under `rules`.
///
/// # Errors
/// The shortest way to a state in which a property fails.
pub fn explore(rules: Rules, properties: &[Property]) -> Result<Report, Counterexample> {
    let contents: [Contents; Contents::CHOICES as usize] =
        std::array::from_fn(|choice| Contents::choice(choice as u8));
    let mut visited = Visited::new();
    for choice in 0..Contents::CHOICES {
        visited.insert(State::initial(choice).canonical(), u32::MAX);
    }
    let mut report = Report { states: 0, depth: 0, further_views_max: 0 };
    let mut layer_end = visited.states.len();
    let mut next = 0;
    while next < visited.states.len() {
        if next == layer_end {
            report.depth += 1;
            layer_end = visited.states.len();
        }
        let state = State::unpack(visited.states[next]);
        let guards = Guards { rules, contents: &contents[usize::from(state.contents)] };
        match check(guards, &state, properties) {
            Ok(views) => report.further_views_max = report.further_views_max.max(views),
            Err(property) => return Err(trace(guards, &visited, next, property)),
        }
        successors(guards, &state, |_, after| visited.insert(after.canonical(), next as u32));
        next += 1;
    }
    report.states = visited.states.len();
    Ok(report)
}

/// The way to a state, with the validators under the same names throughout.
fn trace(guards: Guards<'_>, visited: &Visited, last: usize, property: Property) -> Counterexample {
    let mut way = vec![];
    let mut number = last as u32;
    while number != u32::MAX {
        way.push(visited.states[number as usize]);
        number = visited.parents[number as usize];
    }
    let contents = State::unpack(visited.states[last]).contents;
    let mut state = State::initial(contents);
    let mut steps = vec![];
    for packed in way.into_iter().rev().skip(1) {
        let mut found = None;
        successors(guards, &state, |step, after| {
            if found.is_none() && after.canonical() == packed {
                found = Some((step, after));
            }
        });
        let (step, after) = found.expect("a state of the search follows from its parent");
        steps.push(step);
        state = after;
    }
    // Asked again, so that it names the validators as the steps do.
    let stuck = recovers(guards, &state).err().filter(|_| property == Property::NeverStuck);
    Counterexample { property, contents, steps, stuck }
}
