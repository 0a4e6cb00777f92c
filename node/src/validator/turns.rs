//! Work that waits, a queue for each of those who want it: they are served in turns, so that one that asks for much
//! waits for itself alone.

use std::collections::{BTreeMap, VecDeque};

/// The queues. `waiting of one <= each_max`; one that has nothing waiting takes no room.
#[derive(Debug)]
pub struct Turns<K, T> {
    each_max: usize,
    waiting: BTreeMap<K, VecDeque<T>>,
    /// Who was served last.
    last: Option<K>,
}

impl<K: Copy + Ord, T> Turns<K, T> {
    /// At most `each_max` of each may wait.
    pub fn new(each_max: usize) -> Self {
        Self { each_max, waiting: BTreeMap::new(), last: None }
    }

    /// Adds to a queue, or gives back what has no room.
    ///
    /// # Errors
    /// As many of the same wait as may.
    pub fn offer(&mut self, of: K, item: T) -> Result<(), T> {
        let waiting = self.waiting.entry(of).or_default();
        if waiting.len() >= self.each_max {
            return Err(item);
        }
        waiting.push_back(item);
        Ok(())
    }

    /// The first of the one that comes after the one that was served last.
    pub fn take(&mut self) -> Option<(K, T)> {
        let after =
            |last: K| self.waiting.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded));
        let next = self.last.and_then(|last| after(last).next()).or_else(|| self.waiting.iter().next());
        let of = *next?.0;
        let waiting = self.waiting.get_mut(&of)?;
        let item = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&of);
        }
        self.last = Some(of);
        Some((of, item))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops what waits of one.
    pub fn forget(&mut self, of: K) {
        self.waiting.remove(&of);
    }
}

impl<K: Ord, T: PartialEq> Turns<K, T> {
    /// Whether the same waits already.
    pub fn contains(&self, of: &K, item: &T) -> bool {
        self.waiting.get(of).is_some_and(|waiting| waiting.contains(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_served_in_turns_and_within_its_bound() {
        let mut turns = Turns::new(64);
        let taken = (0..1_000).filter(|number| turns.offer(1, *number).is_ok()).count();
        assert_eq!(taken, 64);
        assert_eq!(turns.offer(2, 7), Ok(()));
        assert_eq!(turns.take(), Some((1, 0)));
        assert_eq!(turns.take(), Some((2, 7)), "one of the greedy goes before it, not all");
        assert_eq!(turns.take(), Some((1, 1)));
        assert!(turns.contains(&1, &2) && !turns.contains(&2, &7));
        assert_eq!(turns.offer(1, 8), Ok(()), "what was taken makes room");
    }

    #[test]
    fn what_is_forgotten_is_not_served() {
        let mut turns = Turns::new(4);
        turns.offer(1, 'a').unwrap();
        turns.offer(2, 'b').unwrap();
        turns.forget(1);
        assert_eq!(turns.take(), Some((2, 'b')));
        assert_eq!(turns.take(), None);
        assert!(turns.is_empty());
    }
}
