//! Ed25519 as consensus needs it: the same verdict from everybody, on every input.
//!
//! ```text
//! entries ──▶ verify_batch ──▶ one random linear combination ── holds ──▶ all true
//!      │                                 │ fails                                (an encoding that is refused is in no sum)
//!      │                                 └──▶ by group, then by halves ──▶ eight independent lanes, or singles ──▶ a verdict each
//!      └ verify_groups: the same, and says what it cost
//!
//! requests ─▶ sign_batch ──▶ eight to a vector, the same bytes as one by one, in constant time
//! ```
//!
//! The accepted set is ZIP-215: `A` and `R` may be non-canonical encodings of curve points, `s < L`, and
//! `[8](sB − R − kA) = 0` with `k = SHA-512(R ‖ A ‖ M)` over the bytes as received.
//!
//! Invariants:
//!
//! - `verify_batch(e)[i] == verify(e[i])` for every `i`, except with probability 2⁻¹²⁸ over an unpredictable seed.
//! - A bad entry costs its neighbours time, never their verdict; those of other groups at most as much as the first
//!   sum.

mod backend;
mod base;
mod comb;
mod combination;
mod decoded;
mod decompress;
mod encode;
mod field;
mod halve;
mod lanes;
mod msm;
#[cfg(target_arch = "x86_64")]
mod naf;
#[cfg(target_arch = "x86_64")]
mod packed;
mod point;
mod power;
mod scalar;
mod search;
mod signing;
mod single;
#[cfg(test)]
mod tests;

pub use backend::{Backend, BackendError};
pub use decoded::{DecodedEntry, DecodedKey, verify_batch_decoded, verify_batch_decoded_on};
use field::LANES;
use search::Search;
pub use search::{Company, Effort, Group};
pub use signing::{SignRequest, SigningKey, sign_batch, sign_batch_on};
use std::cell::RefCell;

/// The 32 bytes of an encoded public key; any bytes, checked on use.
pub type PublicKey = [u8; 32];
/// The 64 bytes `R ‖ s` of a signature; any bytes, checked on use.
pub type Signature = [u8; 64];

/// Larger batches are split: the working set should stay in the L2 cache.
pub const BATCH_MAX: usize = 4096;

/// One signature to check.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The signer's encoded public key.
    pub key: &'a PublicKey,
    /// The signed bytes, exactly.
    pub message: &'a [u8],
    /// `R ‖ s`.
    pub signature: &'a Signature,
}

/// Whether `signature` is `key`'s signature over `message`, by ZIP-215.
#[must_use]
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    verify_on(Backend::best(), &Entry { key, message, signature })
}

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
    key: &'a PublicKey,
    message: &'a [u8],
    signature: &'a Signature,
    decoded: Option<&'a DecodedKey>,
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

fn each_in_lanes(backend: Backend, entries: &[Item<'_>], verdicts: &mut [bool]) {
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

fn verify_items(backend: Backend, items: &[Item<'_>], seed: [u8; 32], verdicts: &mut [bool]) {
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
