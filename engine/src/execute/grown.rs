//! A list that grows at its end while others read it, and never shrinks or moves.

use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Release},
};
use std::sync::{Mutex, PoisonError};

/// Up to a fixed number of values, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Grown<T> {
    slots: Box<[OnceLock<T>]>,
    len: AtomicUsize,
    adding: Mutex<()>,
}

impl<T> Grown<T> {
    /// Nothing, and room for so many.
    pub(crate) fn with_room(room: usize) -> Self {
        let slots = (0..room).map(|_| OnceLock::new()).collect();
        Self { slots, len: AtomicUsize::new(0), adding: Mutex::new(()) }
    }

    /// Adds a value.
    ///
    /// # Panics
    /// There is no room.
    pub(crate) fn push(&self, value: T) {
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.len.load(Acquire);
        assert!(place < self.slots.len(), "room for {} values", self.slots.len());
        assert!(self.slots[place].set(value).is_ok(), "the slot behind the last one is empty");
        // Release: who sees the length finds the values.
        self.len.store(place + 1, Release);
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    /// All that there are now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots[..self.len()].iter().filter_map(OnceLock::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_stays_where_it_is() {
        let list = Grown::with_room(3);
        assert!(list.len() == 0 && list.iter().next().is_none());
        list.push("a");
        let first = std::ptr::from_ref(list.iter().next().unwrap());
        list.push("b");
        list.push("c");
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(list.len(), 3);
        assert_eq!(std::ptr::from_ref(list.iter().next().unwrap()), first);
        let full = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| list.push("d")));
        assert!(full.is_err());
    }
}
