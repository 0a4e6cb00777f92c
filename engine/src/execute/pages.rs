//! An array whose copies share what neither has changed: a page is copied before its first write.
//!
//! ```text
//! array   ─▶ page 0   page 1'  page 2        a write copied page 1; pages 0 and 2 belong to both
//! copy    ─▶ page 0   page 1   page 2
//! ```
//!
//! So a copy of any size is taken at once, between two blocks, and what is copied later is what blocks change.

use std::ops::Index;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::prefetch;

/// Values of a page: half a KiB of accounts. Blocks touch accounts here and there, and copy each page that they touch
/// once. The smaller a page is, the longer that takes, and the less of it falls to the first blocks behind a capture.
const PAGE_VALUES: usize = 8;

type Page<T> = ArrayVec<T, PAGE_VALUES>;

/// An array in pages. All but the last page are full.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Arc<Page<T>>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Clone for Pages<T> {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone() }
    }
}

impl<T> Pages<T> {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE_VALUES + last.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The value at a place.
    #[inline]
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&T> {
        self.pages.get(place / PAGE_VALUES)?.get(place % PAGE_VALUES)
    }

    /// Asks the processor for the value at a place that will be needed soon.
    #[inline]
    pub fn prefetch(&self, place: usize) {
        if let Some(value) = self.get(place) {
            prefetch(value);
        }
    }

    /// All values, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// The values from a place on.
    pub fn iter_from(&self, place: usize) -> impl Iterator<Item = &T> {
        let skipped = place % PAGE_VALUES;
        self.pages.iter().skip(place / PAGE_VALUES).flat_map(|page| page.iter()).skip(skipped)
    }
}

impl<T: Clone> Pages<T> {
    /// The value at a place, to be changed.
    #[inline]
    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        // Looked for first: a page is not copied for a place that it does not have.
        let page = self.pages.get_mut(place / PAGE_VALUES).filter(|page| place % PAGE_VALUES < page.len())?;
        Arc::make_mut(page).get_mut(place % PAGE_VALUES)
    }

    /// One more value, at the end.
    pub fn push(&mut self, value: T) {
        match self.pages.last_mut().filter(|last| last.len() < PAGE_VALUES) {
            Some(last) => Arc::make_mut(last).push(value),
            None => self.pages.push(Arc::new(Page::from_iter([value]))),
        }
    }

    /// The last value is taken away.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.pages.last_mut()?;
        let value = Arc::make_mut(last).pop();
        if last.is_empty() {
            self.pages.pop();
        }
        value
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    #[inline]
    fn index(&self, place: usize) -> &T {
        &self.pages[place / PAGE_VALUES][place % PAGE_VALUES]
    }
}

impl<T: Clone> Extend<T> for Pages<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T: Clone> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut pages = Self::default();
        pages.extend(values);
        pages
    }
}

impl<T: PartialEq> PartialEq for Pages<T> {
    fn eq(&self, other: &Self) -> bool {
        self.pages == other.pages
    }
}

impl<T: Eq> Eq for Pages<T> {}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_copy_stays_as_it_was_and_the_array_is_an_array(
            before in 0..3 * PAGE_VALUES, steps in vec((0..4_u8, any::<prop::sample::Index>(), any::<u32>()), 0..60),
        ) {
            let mut plain: Vec<u32> = (0..before as u32).collect();
            let mut pages: Pages<u32> = plain.iter().copied().collect();
            let (kept, copy) = (plain.clone(), pages.clone());
            for (step, place, value) in steps {
                match step {
                    0 => {
                        plain.push(value);
                        pages.push(value);
                    }
                    1 => prop_assert_eq!(plain.pop(), pages.pop()),
                    _ => {
                        let place = place.index(plain.len() + 1);
                        let both = (plain.get_mut(place), pages.get_mut(place));
                        prop_assert_eq!(both.0.is_some(), both.1.is_some());
                        if let (Some(plain), Some(pages)) = both {
                            (*plain, *pages) = (value, value);
                        }
                    }
                }
                prop_assert_eq!((plain.len(), plain.is_empty()), (pages.len(), pages.is_empty()));
            }
            prop_assert!(pages.iter().eq(&plain));
            let from = plain.len() / 2;
            prop_assert!(pages.iter_from(from).eq(&plain[from..]));
            prop_assert!(copy.iter().eq(&kept));
            prop_assert_eq!(&copy, &kept.iter().copied().collect());
        }
    }
}
