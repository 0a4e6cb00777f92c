//! A batch in shared memory: what is to be checked, and what the child says to it.
//!
//! ```text
//! count │ 26 words a claim: key, signature, length of the message, where it begins │ messages │ a word a claim: opinion
//! ```
//!
//! A reader takes nothing for granted: the other process may have written anything, at any time.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use kernels::ed25519::Entry;
use kernels::gpu::{CANARIES, Claim, Opinion};

use super::guard::GUARDS;

/// Claims of one batch at most, with those that the guard puts in.
pub(super) const CLAIMS_MAX: usize = 16_384 - CANARIES;
/// Bytes of a message at most. A longer one, and what stands behind it in the round, goes to the CPU.
pub(super) const MESSAGE_BYTES_MAX: usize = 303;
/// Words of a claim without its message: 32 bytes, 64 bytes, and two numbers.
const CLAIM_WORDS: usize = 8 + 16 + 2;
/// Words of all messages: a transfer's fills 24.
const MESSAGE_WORDS: usize = 40 * CLAIMS_MAX;
/// Where the parts begin.
const MESSAGES: usize = 1 + CLAIM_WORDS * CLAIMS_MAX;
const OPINIONS: usize = MESSAGES + MESSAGE_WORDS;
/// Words of a slot.
pub(super) const SLOT_WORDS: usize = OPINIONS + CLAIMS_MAX;

/// Opinions as words. Zero is none.
const UNDECIDED: u32 = 0x51a7_0001;
const ACCEPTED: u32 = 0x51a7_0002;

/// A slot whose words cannot be a batch or opinions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared memory holds {what} {number}, which cannot be")]
pub(super) struct Nonsense {
    what: &'static str,
    number: u64,
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a>(&'a [AtomicU32]);

impl<'a> Slot<'a> {
    /// The slot with this number.
    pub(super) fn of(words: &'a [AtomicU32], number: usize) -> Option<Self> {
        let begin = number.checked_mul(SLOT_WORDS)?;
        words.get(begin..begin.checked_add(SLOT_WORDS)?).map(Self)
    }

    /// How many of the first of these entries fit into a slot, beside those that the guard puts in.
    pub(super) fn room<'e>(entries: impl IntoIterator<Item = Entry<'e>>) -> usize {
        let mut left = MESSAGE_WORDS - GUARDS * MESSAGE_BYTES_MAX.div_ceil(4);
        let fits = |entry: &Entry<'_>| {
            let needs = entry.message.len().div_ceil(4);
            let fits = entry.message.len() <= MESSAGE_BYTES_MAX && needs <= left;
            left = left.saturating_sub(needs);
            fits
        };
        entries.into_iter().take(CLAIMS_MAX - GUARDS).take_while(fits).count()
    }

    /// Writes a batch that there is [room](Self::room) for, and no opinions.
    pub(super) fn put(&self, claims: &[Claim]) {
        self.0[0].store(claims.len() as u32, Relaxed);
        let mut at = 0;
        for (claim, place) in claims.iter().zip(self.0[1..].chunks(CLAIM_WORDS)) {
            write(&place[..8], &claim.key);
            write(&place[8..24], &claim.signature);
            place[24].store(claim.message.len() as u32, Relaxed);
            place[25].store(at as u32, Relaxed);
            let words = claim.message.len().div_ceil(4);
            write(&self.0[MESSAGES + at..][..words], &claim.message);
            at += words;
        }
        self.0[OPINIONS..][..claims.len()].iter().for_each(|word| word.store(0, Relaxed));
    }

    /// The batch.
    pub(super) fn claims(&self) -> Result<Vec<Claim>, Nonsense> {
        let nonsense = |what, number: u32| Nonsense { what, number: number.into() };
        let count = self.0[0].load(Relaxed);
        if count as usize > CLAIMS_MAX {
            return Err(nonsense("a number of claims", count));
        }
        let claim = |place: &[AtomicU32]| {
            let (length, at) = (place[24].load(Relaxed), place[25].load(Relaxed));
            let bytes = Some(length as usize).filter(|bytes| *bytes <= MESSAGE_BYTES_MAX);
            let bytes = bytes.ok_or_else(|| nonsense("a message with a length of", length))?;
            let end = (at as usize).checked_add(bytes.div_ceil(4)).filter(|end| *end <= MESSAGE_WORDS);
            let end = end.ok_or_else(|| nonsense("a message at", at))?;
            let mut claim = Claim { key: [0; 32], signature: [0; 64], message: vec![0; bytes] };
            read(&place[..8], &mut claim.key);
            read(&place[8..24], &mut claim.signature);
            read(&self.0[MESSAGES + at as usize..MESSAGES + end], &mut claim.message);
            Ok(claim)
        };
        self.0[1..].chunks(CLAIM_WORDS).take(count as usize).map(claim).collect()
    }

    /// Writes the child's opinions.
    pub(super) fn answer(&self, opinions: &[Opinion]) {
        for (word, opinion) in self.0[OPINIONS..].iter().zip(opinions) {
            let opinion = match opinion {
                Opinion::Accepted => ACCEPTED,
                Opinion::Undecided => UNDECIDED,
            };
            word.store(opinion, Relaxed);
        }
    }

    /// Whether each of `count` claims is accepted.
    pub(super) fn accepted(&self, count: usize) -> Result<Vec<bool>, Nonsense> {
        let accepted = |word: &AtomicU32| match word.load(Relaxed) {
            ACCEPTED => Ok(true),
            UNDECIDED => Ok(false),
            word => Err(Nonsense { what: "an opinion that reads", number: word.into() }),
        };
        self.0[OPINIONS..].iter().take(count).map(accepted).collect()
    }
}

fn write(words: &[AtomicU32], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.chunks(4)) {
        let mut whole = [0; 4];
        whole[..bytes.len()].copy_from_slice(bytes);
        word.store(u32::from_le_bytes(whole), Relaxed);
    }
}

fn read(words: &[AtomicU32], bytes: &mut [u8]) {
    for (word, bytes) in words.iter().zip(bytes.chunks_mut(4)) {
        let whole = word.load(Relaxed).to_le_bytes();
        bytes.copy_from_slice(&whole[..bytes.len()]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> Vec<AtomicU32> {
        (0..SLOT_WORDS).map(|_| AtomicU32::new(u32::MAX)).collect()
    }

    fn claim(number: usize, bytes: usize) -> Claim {
        let byte = number as u8;
        Claim { key: [byte; 32], signature: [!byte; 64], message: vec![byte.wrapping_add(3); bytes] }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn a_batch_is_read_as_it_was_written(lengths in prop::collection::vec(0..=MESSAGE_BYTES_MAX, 0..60)) {
            let memory = words();
            let slot = Slot::of(&memory, 0).unwrap();
            let claims: Vec<Claim> = lengths.iter().enumerate().map(|(at, bytes)| claim(at, *bytes)).collect();
            prop_assert_eq!(Slot::room(claims.iter().map(Claim::entry)), claims.len());
            slot.put(&claims);
            prop_assert_eq!(slot.claims().unwrap(), claims.clone());
            prop_assert_eq!(slot.accepted(claims.len()).is_ok(), claims.is_empty(), "nobody has answered");
            let opinion = |at: usize| if at.is_multiple_of(3) { Opinion::Accepted } else { Opinion::Undecided };
            slot.answer(&(0..claims.len()).map(opinion).collect::<Vec<_>>());
            let expected: Vec<bool> = (0..claims.len()).map(|at| at.is_multiple_of(3)).collect();
            prop_assert_eq!(slot.accepted(claims.len()).unwrap(), expected);
        }

        #[test]
        fn whatever_another_process_writes_is_an_error_or_a_batch_within_bounds(
            noise in prop::collection::vec((0..1 + 4 * CLAIM_WORDS, any::<u32>()), 0..40),
            count in 0u32..6,
        ) {
            let memory = words();
            let slot = Slot::of(&memory, 0).unwrap();
            slot.put(&(0..4).map(|at| claim(at, 96)).collect::<Vec<_>>());
            noise.iter().for_each(|(at, word)| memory[*at].store(*word, Relaxed));
            memory[0].store(count, Relaxed);
            if let Ok(claims) = slot.claims() {
                prop_assert_eq!(claims.len(), count as usize);
                prop_assert!(claims.iter().all(|claim| claim.message.len() <= MESSAGE_BYTES_MAX));
            }
        }
    }

    #[test]
    fn what_is_too_long_or_too_much_has_no_room() {
        let long = [claim(0, 96), claim(1, MESSAGE_BYTES_MAX + 1), claim(2, 96)];
        assert_eq!(Slot::room(long.iter().map(Claim::entry)), 1);
        let many = claim(0, 0);
        assert_eq!(Slot::room((0..2 * CLAIMS_MAX).map(|_| many.entry())), CLAIMS_MAX - GUARDS);
        let wide = claim(0, MESSAGE_BYTES_MAX);
        let room = Slot::room((0..CLAIMS_MAX).map(|_| wide.entry()));
        assert_eq!(room, MESSAGE_WORDS / 76 - GUARDS);
        let memory = words();
        // With the guard's entries, which are as long as the others, the opinions begin behind the last message.
        let full: Vec<Claim> = (0..room + GUARDS).map(|_| wide.clone()).collect();
        let slot = Slot::of(&memory, 0).unwrap();
        slot.put(&full);
        assert_eq!(slot.claims().unwrap(), full);
        assert!(Slot::of(&memory, 1).is_none() && Slot::of(&memory, usize::MAX).is_none());
        memory[0].store(CLAIMS_MAX as u32 + 1, Relaxed);
        let said = Slot::of(&memory, 0).unwrap().claims().unwrap_err().to_string();
        assert_eq!(said, "the shared memory holds a number of claims 16381, which cannot be");
    }
}
