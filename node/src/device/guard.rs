//! What the validator itself does so that it need not trust its child.
//!
//! The programs of the device check each other, with known bad entries of their own, in the child. This looks at the
//! child: at a place that it cannot know there is one entry more that is known to be bad, and after the answer the CPU
//! checks entries that were drawn only then.

use kernels::ed25519::{Entry, verify};
use kernels::gpu::Claim;

/// One entry in so many is checked by the CPU, and at least one of each batch.
const SAMPLE_ONE_IN: usize = 1024;

/// What is wrong with a child, or its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Caught {
    /// It accepts what is known to be bad.
    #[error("it accepts a signature that is known to be bad")]
    Canary,
    /// It accepts what the CPU refuses.
    #[error("it accepts signature {0} of a batch, which the CPU refuses")]
    Sample(usize),
}

/// A batch, with a known bad entry in it.
#[derive(Debug)]
pub(super) struct Guarded {
    claims: Vec<Claim>,
    canary: usize,
}

/// Random bytes, unpredictable to those who made the signatures.
pub(super) type Random = [u8; 32];

impl Guarded {
    /// Copies what is to be checked, and puts a known bad entry in. There must be something to check.
    pub(super) fn new<'e>(entries: impl IntoIterator<Item = Entry<'e>>, random: &Random) -> Self {
        let mut claims: Vec<Claim> = entries.into_iter().map(|entry| Claim::from(&entry)).collect();
        let mut bad = claims[below(random, 0, claims.len())].clone();
        let canary = below(random, 1, claims.len() + 1);
        // As good a signature as another, but for a bit of s. Should that be good, too, the next bit is taken.
        let first = below(random, 2, 250);
        for bit in (first..250).chain(0..first) {
            bad.signature[32 + bit / 8] ^= 1 << (bit % 8);
            if !verify(&bad.key, &bad.message, &bad.signature) {
                break;
            }
        }
        claims.insert(canary, bad);
        Self { claims, canary }
    }

    /// All entries, as the child sees them.
    pub(super) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Which of the entries that were to be checked are accepted, or what shows that nothing counts. `random` is drawn
    /// after the answer has come.
    pub(super) fn judge(&self, mut accepted: Vec<bool>, random: &Random) -> Result<Vec<bool>, Caught> {
        assert_eq!(accepted.len(), self.claims.len(), "an opinion on each entry");
        if accepted.remove(self.canary) {
            return Err(Caught::Canary);
        }
        let places: Vec<usize> = (0..accepted.len()).filter(|at| accepted[*at]).collect();
        if !places.is_empty() {
            for number in 0..1 + accepted.len() / SAMPLE_ONE_IN {
                let at = places[below(random, number, places.len())];
                let Claim { key, signature, message } = &self.claims[at + usize::from(at >= self.canary)];
                if !verify(key, message, signature) {
                    return Err(Caught::Sample(at));
                }
            }
        }
        Ok(accepted)
    }
}

/// The number with this place among those that follow from random bytes, below `end`.
fn below(random: &Random, place: usize, end: usize) -> usize {
    let bytes =
        kernels::sha2::sha256_parts(&[b"millrace device guard", random, &(place as u64).to_le_bytes()]);
    let number = u64::from_le_bytes(*bytes.first_chunk().expect("32 bytes"));
    (number % end as u64) as usize
}

#[cfg(test)]
mod tests {
    use kernels::ed25519::SigningKey;

    use super::*;

    fn claims(count: usize) -> Vec<Claim> {
        let key = SigningKey::from_seed([8; 32]);
        let claim = |number: usize| {
            let message = number.to_le_bytes().to_vec();
            Claim { key: key.public_key(), signature: key.sign(&message), message }
        };
        (0..count).map(claim).collect()
    }

    fn honest(batch: &[Claim]) -> Vec<bool> {
        batch.iter().map(|claim| verify(&claim.key, &claim.message, &claim.signature)).collect()
    }

    #[test]
    fn honest_answers_come_through_without_the_known_bad_entry() {
        for (count, random) in [(1, 1), (2, 2), (100, 3), (100, 4)] {
            let mut batch = claims(count);
            batch[count / 2].signature[33] ^= 4;
            let guarded = Guarded::new(batch.iter().map(Claim::entry), &[random; 32]);
            assert_eq!(guarded.claims().len(), count + 1);
            let accepted = guarded.judge(honest(guarded.claims()), &[9; 32]).unwrap();
            assert_eq!(accepted, honest(&batch));
        }
    }

    #[test]
    fn who_accepts_everything_is_caught() {
        let batch = claims(50);
        for random in 0..20 {
            let guarded = Guarded::new(batch.iter().map(Claim::entry), &[random; 32]);
            assert_eq!(guarded.judge(vec![true; 51], &[9; 32]), Err(Caught::Canary));
        }
    }

    #[test]
    fn who_accepts_bad_ones_is_caught_by_a_sample_sooner_or_later() {
        let mut batch = claims(10);
        batch.iter_mut().skip(5).for_each(|claim| claim.signature[40] ^= 1);
        let guarded = Guarded::new(batch.iter().map(Claim::entry), &[7; 32]);
        let mut answer = vec![true; 11];
        answer[guarded.canary] = false;
        let caught = (0..40).filter(|random| guarded.judge(answer.clone(), &[*random; 32]).is_err()).count();
        assert!((5..36).contains(&caught), "half of the entries are bad, and one is drawn: {caught} of 40");
    }

    #[test]
    fn places_are_drawn_from_all() {
        let places: std::collections::BTreeSet<usize> = (0..200)
            .map(|random| Guarded::new(claims(4).iter().map(Claim::entry), &[random; 32]).canary)
            .collect();
        assert_eq!(places.len(), 5);
    }
}
