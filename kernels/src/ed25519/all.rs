//! Everything that is more than one signature on the plain path: backends, batches, groups.

use super::field::LANES;
use super::search::Search;
use super::{
    Backend, DecodedEntry, DecodedKey, Effort, Entry, Group, PublicKey, Signature, combination, lanes,
};
use std::cell::RefCell;

/// Larger batches are split: the working set should stay in the L2 cache.
pub const BATCH_MAX: usize = 4096;

/// [`verify`] on a chosen backend, for comparisons; the verdict is the same on each.
#[must_use]
pub fn verify_on(backend: Backend, entry: &Entry<'_>) -> bool {
    backend.single(&Item::from(entry))
}

/// Checks many signatures at once and writes a verdict for each.
///
/// `seed` must be unpredictable to those who made the entries (take it from the operating system for each call): a
/// known seed lets an attacker balance two bad signatures against each other.
///
/// # Panics
///
/// If `entries` and `verdicts` differ in length.
pub fn verify_batch(entries: &[Entry<'_>], seed: [u8; 32], verdicts: &mut [bool]) {
    verify_batch_on(Backend::best(), entries, seed, verdicts);
}

/// [`verify_batch`] on a chosen backend, for comparisons; verdicts are the same on each.
///
/// # Panics
///
/// If `entries` and `verdicts` differ in length.
pub fn verify_batch_on(backend: Backend, entries: &[Entry<'_>], seed: [u8; 32], verdicts: &mut [bool]) {
    let items: Vec<_> = entries.iter().map(Item::from).collect();
    verify_items(backend, &items, seed, verdicts);
}

/// An entry of either kind: its signer's point may be known.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a Signature,
    pub(super) decoded: Option<&'a DecodedKey>,
}

impl<'a> Item<'a> {
    /// The entry without what is known of its signer.
    #[must_use]
    pub fn entry(&self) -> Entry<'a> {
        let Self { key, message, signature, .. } = *self;
        Entry { key, message, signature }
    }
}

impl<'a> From<&Entry<'a>> for Item<'a> {
    fn from(entry: &Entry<'a>) -> Self {
        let Entry { key, message, signature } = *entry;
        Self { key, message, signature, decoded: None }
    }
}

impl<'a> From<&DecodedEntry<'a>> for Item<'a> {
    fn from(entry: &DecodedEntry<'a>) -> Self {
        let DecodedEntry { key, message, signature } = *entry;
        Self { key: key.encoded(), message, signature, decoded: Some(key) }
    }
}

/// Checks signatures of several groups at once, writes a verdict for each, and says what it cost. The verdicts are
/// those of [`verify_batch`]. What is bad in one group costs the others one sum more at most, and nothing where it is
/// not [`Company::Shared`].
///
/// # Panics
///
/// If `items` and `verdicts` differ in length, or if `groups` are not of as many entries in all.
pub fn verify_groups(items: &[Item<'_>], groups: &[Group], seed: [u8; 32], verdicts: &mut [bool]) -> Effort {
    verify_groups_on(Backend::best(), items, groups, seed, verdicts)
}

/// [`verify_groups`] on a chosen backend.
///
/// # Panics
///
/// If `items` and `verdicts` differ in length, or if `groups` are not of as many entries in all.
pub fn verify_groups_on(
    backend: Backend,
    items: &[Item<'_>],
    groups: &[Group],
    seed: [u8; 32],
    verdicts: &mut [bool],
) -> Effort {
    assert_eq!(items.len(), verdicts.len(), "one verdict for each entry");
    let grouped: usize = groups.iter().map(|group| group.entries).sum();
    assert_eq!(items.len(), grouped, "each entry is in a group");
    with_search(backend, seed, |search| search.groups(items, groups, verdicts))
}

/// A verdict for each entry, independently and without randomness, eight at a time: what small batches use and what a
/// failed combination falls back to.
///
/// # Panics
///
/// If `entries` and `verdicts` differ in length.
pub fn verify_lanes_on(backend: Backend, entries: &[Entry<'_>], verdicts: &mut [bool]) {
    assert_eq!(entries.len(), verdicts.len(), "one verdict for each entry");
    let items: Vec<_> = entries.iter().map(Item::from).collect();
    each_in_lanes(backend, &items, verdicts);
}

pub(super) fn each_in_lanes(backend: Backend, entries: &[Item<'_>], verdicts: &mut [bool]) {
    for (entries, verdicts) in entries.chunks(LANES).zip(verdicts.chunks_mut(LANES)) {
        lanes::verify(backend, entries, verdicts);
    }
}

/// Whether the random linear combination of all `entries`, at most [`BATCH_MAX`], holds, where it pays and where not.
pub(crate) fn combination_holds_on(backend: Backend, entries: &[Entry<'_>], seed: [u8; 32]) -> bool {
    let items: Vec<_> = entries.iter().map(Item::from).collect();
    let (mut coefficients, mut scratch) = (combination::Coefficients::new(seed), Default::default());
    let mut combination = combination::Combination::prepare(backend, &items, &mut coefficients, &mut scratch);
    combination.sum(0..items.len()).vanishes && !combination.acceptable().contains(&false)
}

pub(super) fn verify_items(backend: Backend, items: &[Item<'_>], seed: [u8; 32], verdicts: &mut [bool]) {
    assert_eq!(items.len(), verdicts.len(), "one verdict for each entry");
    with_search(backend, seed, |search| search.together(items, &[], verdicts));
}

fn with_search(backend: Backend, seed: [u8; 32], work: impl FnOnce(&mut Search<'_>)) -> Effort {
    SCRATCH.with_borrow_mut(|scratch| {
        let coefficients = combination::Coefficients::new(seed);
        let mut search = Search { backend, coefficients, scratch, effort: Effort::default() };
        work(&mut search);
        search.effort
    })
}

thread_local! {
    /// A few megabytes that a verifying thread would otherwise ask the system for, and give back, with every batch.
    static SCRATCH: RefCell<combination::Scratch> = RefCell::default();
}
