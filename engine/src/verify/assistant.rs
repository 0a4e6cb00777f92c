//! Signatures that something outside this crate, such as a GPU, may accept before the CPU looks at them.
//!
//! ```text
//! signatures of a round ─┬─ the first so many ──▶ assistant ──▶ accepted ───────────────▶ verdicts
//!                        │                            └──▶ anything else, or nothing ─▶ CPU ─▲
//!                        └─ the others ─────────────────────────────────────────────▶ CPU ─┘
//! ```
//!
//! An assistant promises that what it accepts is good; `node/src/device` says how a GPU keeps that promise. As long as
//! it does, all verdicts are those of the CPU. No signature is refused because of an assistant.

use std::fmt;

use kernels::ed25519::{Backend, Company, Effort, Group, Item, verify_groups_on};

/// Something that may accept signatures in place of the CPU.
pub trait Assistant: fmt::Debug + Send + Sync {
    /// Offers signatures. The assistant takes and copies as many of the first ones as it likes. `None`: it takes none.
    fn offer(&self, items: &[Item<'_>]) -> Option<Box<dyn Answer>>;
}

/// The pending answer of an [`Assistant`].
pub trait Answer: fmt::Debug {
    /// How many signatures it took.
    fn taken(&self) -> usize;

    /// Waits, for a bounded time, and says of each signature taken whether it is accepted. `None` if there is no answer
    /// that counts: then the CPU checks all of them.
    fn wait(self: Box<Self>) -> Option<Vec<bool>>;
}

/// How many signatures of a round the assistant and the CPU have decided on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// How many the assistant has accepted.
    pub(super) assisted: u64,
    /// What the others have cost the CPU.
    pub(super) effort: Effort,
}

/// Writes a verdict for each signature.
pub(super) fn decide(
    (backend, assistant): (Backend, Option<&dyn Assistant>),
    items: &[Item<'_>],
    groups: &[Group],
    seed: [u8; 32],
    verdicts: &mut [bool],
) -> Decided {
    let offered = assistant.filter(|_| !items.is_empty()).and_then(|assistant| assistant.offer(items));
    let Some(answer) = offered else {
        return Decided { assisted: 0, effort: verify_groups_on(backend, items, groups, seed, verdicts) };
    };
    let taken = answer.taken().min(items.len());
    let (theirs, others) = cut(groups, taken);
    let (first, rest) = verdicts.split_at_mut(taken);
    let effort = verify_groups_on(backend, &items[taken..], &others, seed, rest);
    match answer.wait().filter(|accepted| accepted.len() == taken) {
        None => {
            let theirs = verify_groups_on(backend, &items[..taken], &theirs, seed, first);
            Decided { assisted: 0, effort: sum(effort, theirs) }
        }
        Some(accepted) => {
            first.copy_from_slice(&accepted);
            let assisted = accepted.iter().filter(|accepted| **accepted).count();
            let left: Vec<usize> = (0..taken).filter(|at| !accepted[*at]).collect();
            let items: Vec<Item<'_>> = left.iter().map(|at| items[*at]).collect();
            // Most of them are bad, so a combination would only fail.
            let alone = [Group { entries: left.len(), company: Company::Alone }];
            let mut decided = vec![false; left.len()];
            let theirs = verify_groups_on(backend, &items, &alone, seed, &mut decided);
            left.into_iter().zip(decided).for_each(|(at, verdict)| first[at] = verdict);
            Decided { assisted: assisted as u64, effort: sum(effort, theirs) }
        }
    }
}

/// The groups of the first so many signatures, and those of the others.
fn cut(groups: &[Group], mut first: usize) -> (Vec<Group>, Vec<Group>) {
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    for Group { entries, company } in groups.iter().copied() {
        let of_first = entries.min(first);
        first -= of_first;
        let group = |entries| (entries > 0).then_some(Group { entries, company });
        before.extend(group(of_first));
        behind.extend(group(entries - of_first));
    }
    (before, behind)
}

fn sum(a: Effort, b: Effort) -> Effort {
    Effort { combined: a.combined + b.combined, alone: a.alone + b.alone }
}

#[cfg(test)]
mod tests;
