//! Whether a validator reports that an author has signed two batches for one place.

use std::collections::BTreeMap;

use engine::types::Head;
use engine::wire::Batch;

use crate::world::World;

/// The batches of one author that a validator has found in its journal or taken in since it started, each with the one
/// before it.
#[derive(Debug, Default)]
pub(crate) struct Taken(BTreeMap<Head, Head>);

impl Taken {
    pub(crate) fn heads(&self) -> impl Iterator<Item = Head> {
        self.0.keys().copied()
    }

    pub(crate) fn has(&self, head: &Head) -> bool {
        self.0.contains_key(head)
    }

    /// Notes a batch. True if the validator must still know another one in its place, and so sees the contradiction
    /// (R3): it keeps two branches above the cut, and forgets a branch that the cut has left, with all that follows.
    fn note(&mut self, head: Head, previous: Head, cut: Head) -> bool {
        self.0.insert(head, previous);
        let others = self.0.iter().filter(|(other, after)| **other != head && **after == previous).count();
        head.sequence > cut.sequence && others > 0 && !self.has_left(previous, cut)
    }

    /// Whether the cut has passed a batch on another branch. Not if a batch on the way down was never here: what
    /// follows that one is kept.
    fn has_left(&self, head: Head, cut: Head) -> bool {
        let mut at = head;
        while at.sequence > cut.sequence
            && let Some(previous) = self.0.get(&at)
        {
            at = *previous;
        }
        at.sequence <= cut.sequence && at != cut
    }
}

impl World {
    /// Notes the batches that a validator has found in its journal.
    pub(crate) fn found(&mut self, node: usize, found: Vec<(usize, Head, Head)>) {
        let life = self.nodes[node].life;
        for (author, head, previous) in found {
            self.taken.entry((node, life, author)).or_default().0.insert(head, previous);
        }
    }

    /// Notes a batch that is taken in. True if it must be reported as a contradiction.
    pub(crate) fn forks(&mut self, node: usize, batch: &Batch) -> bool {
        let (author, life) = (usize::from(batch.id().author.0), self.nodes[node].life);
        let cut = self.nodes[node].cut.get(author).copied().unwrap_or(Head::NONE);
        let taken = self.taken.entry((node, life, author)).or_default();
        taken.note(batch.head(), batch.previous(), cut)
    }
}

#[cfg(test)]
mod tests {
    use engine::types::{Digest, Sequence};

    use super::*;

    const ROOT: Head = Head::NONE;

    fn head(sequence: u64, digest: u8) -> Head {
        Head { sequence: Sequence(sequence), digest: Digest([digest; 32]) }
    }

    #[test]
    fn two_batches_in_one_place_are_a_contradiction_until_the_cut_leaves_them() {
        let (one, other, third) = (head(1, 1), head(1, 2), head(1, 3));
        let mut taken = Taken::default();
        assert!(!taken.note(one, ROOT, ROOT));
        assert!(!taken.note(one, ROOT, ROOT), "the same once more");
        assert!(taken.note(other, ROOT, ROOT));
        assert!(!taken.note(third, ROOT, one), "it is not above the cut");

        assert!(!taken.note(head(2, 4), other, ROOT));
        assert!(!taken.note(head(2, 5), other, one), "what followed the other one is forgotten");
        assert!(!taken.note(head(2, 6), one, one));
        assert!(taken.note(head(2, 7), one, one));
        assert!(!taken.note(head(3, 8), head(2, 7), one));
        assert!(taken.note(head(3, 9), head(2, 7), one), "this branch lies on the cut");
    }

    #[test]
    fn what_follows_a_batch_that_never_came_is_kept() {
        let (missing, cut) = (head(1, 1), head(1, 2));
        let mut taken = Taken::default();
        assert!(!taken.note(head(3, 3), head(2, 9), ROOT));
        assert!(taken.note(head(3, 4), head(2, 9), cut), "nobody knows where its branch begins");
        assert!(!taken.note(head(2, 9), missing, cut));
        assert!(!taken.note(head(3, 5), head(2, 9), cut), "now it is known");
    }
}
