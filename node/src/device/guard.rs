//! How the validator itself finds faults of its child, or of its device.
//!
//! In the child, the double check compares two ways of checking, with known bad entries of its own. This guard checks
//! the child. It adds an entry that is known to be bad and one that is known to be good, at places that the child is
//! not told. After the answer the CPU checks entries that are drawn only then. That finds faults. A malicious process
//! could find the known bad entry by checking signatures itself.

use kernels::ed25519::{Entry, SigningKey, verify};
use kernels::gpu::Claim;
use kernels::sha2::sha256_parts;

/// Entries that the guard puts into each batch.
pub(super) const GUARDS: usize = 2;
/// One entry in so many is checked by the CPU, and at least one of each batch.
const SAMPLE_ONE_IN: usize = 1024;

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It accepts what is known to be bad.
    #[error("it accepts a signature that is known to be bad")]
    Canary,
    /// It accepts what the CPU refuses.
    #[error("it accepts signature {0} of a batch, which the CPU refuses")]
    Sample(usize),
    /// It does not accept what is known to be good. That is useless, but harms nobody: the CPU decides.
    #[error("it does not accept a signature that is known to be good")]
    Blind,
}

/// A batch, with a known bad and a known good entry in it.
#[derive(Debug)]
pub(super) struct Guarded {
    claims: Vec<Claim>,
    bad: usize,
    good: usize,
}

/// Random bytes, unpredictable to those who made the signatures.
pub(super) type Random = [u8; 32];

impl Guarded {
    /// Copies what is to be checked, and puts the guards in. There must be something to check.
    pub(super) fn new<'e>(entries: impl IntoIterator<Item = Entry<'e>>, random: &Random) -> Self {
        let mut claims: Vec<Claim> = entries.into_iter().map(|entry| Claim::from(&entry)).collect();
        let message = claims[below(random, 0, claims.len())].message.clone();
        let mut bad = signed(random, 1, &message);
        // A bit below 2^250, so that s does not become invalid by its size alone. Should the signature still be good,
        // another bit is taken.
        let first = below(random, 2, 250);
        for bit in (first..250).chain(0..first) {
            bad.signature[32 + bit / 8] ^= 1 << (bit % 8);
            if !verify(&bad.key, &bad.message, &bad.signature) {
                break;
            }
        }
        let at = below(random, 3, claims.len() + 1);
        claims.insert(at, bad);
        let good = below(random, 4, claims.len() + 1);
        claims.insert(good, signed(random, 5, &message));
        Self { claims, bad: at + usize::from(good <= at), good }
    }

    /// All entries, as the child sees them.
    pub(super) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Which of the entries that were to be checked are accepted, or why nothing counts. `random` is drawn after the
    /// answer has come.
    pub(super) fn judge(&self, accepted: &[bool], random: &Random) -> Result<Vec<bool>, Fault> {
        assert_eq!(accepted.len(), self.claims.len(), "an opinion on each entry");
        if accepted[self.bad] {
            return Err(Fault::Canary);
        }
        let asked = || (0..accepted.len()).filter(|at| *at != self.bad && *at != self.good);
        let places: Vec<(usize, usize)> = asked().enumerate().filter(|(_, at)| accepted[*at]).collect();
        if !places.is_empty() {
            for number in 0..1 + accepted.len() / SAMPLE_ONE_IN {
                let (place, at) = places[below(random, number, places.len())];
                let Claim { key, signature, message } = &self.claims[at];
                if !verify(key, message, signature) {
                    return Err(Fault::Sample(place));
                }
            }
        }
        match accepted[self.good] {
            true => Ok(asked().map(|at| accepted[at]).collect()),
            false => Err(Fault::Blind),
        }
    }
}

/// A good signature, by a key that nobody has.
fn signed(random: &Random, place: usize, message: &[u8]) -> Claim {
    let key = SigningKey::from_seed(bytes(random, place));
    Claim { key: key.public_key(), signature: key.sign(message), message: message.to_vec() }
}

/// 32 bytes that are derived from `random` for this purpose.
fn bytes(random: &Random, place: usize) -> [u8; 32] {
    sha256_parts(&[b"millrace device guard", random, &(place as u64).to_le_bytes()])
}

/// A number below `end` that is derived in the same way.
fn below(random: &Random, place: usize, end: usize) -> usize {
    let bytes = bytes(random, place);
    let number = u64::from_le_bytes(*bytes.first_chunk().expect("32 bytes"));
    (number % end as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn claims(count: usize) -> Vec<Claim> {
        let key = SigningKey::from_seed([8; 32]);
        let claim = |number: usize| {
            let message = number.to_le_bytes().to_vec();
            Claim { key: key.public_key(), signature: key.sign(&message), message }
        };
        (0..count).map(claim).collect()
    }

    fn guarded(claims: &[Claim], random: u8) -> Guarded {
        Guarded::new(claims.iter().map(Claim::entry), &[random; 32])
    }

    fn honest(batch: &[Claim]) -> Vec<bool> {
        batch.iter().map(|claim| verify(&claim.key, &claim.message, &claim.signature)).collect()
    }

    #[test]
    fn honest_answers_come_through_without_the_guards() {
        for random in 0..40 {
            let mut batch = claims([1, 2, 30][usize::from(random) % 3]);
            let middle = batch.len() / 2;
            batch[middle].signature[33] ^= 4;
            let guarded = guarded(&batch, random);
            assert_eq!(guarded.claims().len(), batch.len() + GUARDS);
            let all = honest(guarded.claims());
            assert!(!all[guarded.bad] && all[guarded.good]);
            assert_eq!(guarded.judge(&all, &[9; 32]), Ok(honest(&batch)));
        }
    }

    #[test]
    fn who_accepts_everything_is_caught_and_who_accepts_nothing_is_blind() {
        let batch = claims(50);
        for random in 0..20 {
            let guarded = guarded(&batch, random);
            assert_eq!(guarded.judge(&[true; 52], &[9; 32]), Err(Fault::Canary));
            assert_eq!(guarded.judge(&[false; 52], &[9; 32]), Err(Fault::Blind));
        }
    }

    #[test]
    fn who_accepts_bad_ones_is_caught_by_a_sample_sooner_or_later() {
        let mut batch = claims(10);
        batch.iter_mut().skip(5).for_each(|claim| claim.signature[40] ^= 1);
        let guarded = guarded(&batch, 7);
        let mut answer = vec![true; 12];
        answer[guarded.bad] = false;
        let caught = |random| guarded.judge(&answer, &[random; 32]);
        let samples: BTreeSet<usize> = (0..80)
            .filter_map(|random| match caught(random) {
                Err(Fault::Sample(place)) => Some(place),
                other => other.is_err().then(|| panic!("{other:?}")),
            })
            .collect();
        assert_eq!(samples, (5..10).collect(), "counted as the batch was handed in");
    }

    #[test]
    fn places_are_drawn_from_all() {
        let places = |place: fn(&Guarded) -> usize| -> BTreeSet<usize> {
            (0..200).map(|random| place(&guarded(&claims(4), random))).collect()
        };
        assert_eq!((places(|of| of.bad).len(), places(|of| of.good).len()), (6, 6));
    }
}
