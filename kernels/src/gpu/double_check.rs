//! What may be made of a device's verdicts: an *accept* of both programs counts, everything else is undecided.
//!
//! ```text
//!  claims + canaries ──▶ both programs ──▶ judge ──▶ accepted   both accept, and no sign of trouble in the batch
//!                                            │  └──▶ undecided  the CPU decides: at least one refuses
//!                                            └──▶ distrusted    the device is out of service; the CPU decides on all
//! ```
//!
//! A spot check finds broken hardware, but not a wrong formula: all validators would share shader and driver, and one
//! crafted forgery is in no sample. Therefore two programs of different limbs and formulas must agree. A batch is
//! distrusted where
//!
//! - the programs differ on any entry,
//! - either accepts a canary: entries known to be bad, at places that the seed of the batch names, or
//! - the CPU refuses an entry that both accept. The entries that it checks are drawn after the verdicts are in.
//!
//! Nobody is blamed by a device: what both programs refuse is undecided.

use super::{
    Capacity, Claim, Device, DeviceInfo, GpuError, Program, Rejection, Settled, Taken, Ticket, Verifier,
};
use crate::ed25519::{SigningKey, verify};
use crate::sha2::sha512_parts;
use std::time::Duration;

/// Entries known to be bad that go with every batch.
pub const CANARIES: usize = 4;
/// Blocks that one of them fills at most.
const CANARY_BLOCKS: usize = 2;
/// Bytes of its message at most, so that it fills no more.
const CANARY_BYTES: usize = 175;

/// What the device's verdict on one entry is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Both programs accept it, in a batch without any sign of trouble.
    Accepted,
    /// The CPU decides.
    Undecided,
}

/// Why nothing that the device says counts any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The programs say different things about an entry.
    #[error("the programs differ on entry {entry}: {accepted_by:?} accepts it")]
    Programs {
        /// From zero, in the batch that was submitted.
        entry: usize,
        /// The program that accepts it.
        accepted_by: Program,
    },
    /// A program accepts an entry that is known to be bad.
    #[error("the program {program:?} accepts a signature that is known to be bad")]
    Canary {
        /// The program.
        program: Program,
    },
    /// Both programs accept an entry that the CPU refuses.
    #[error("both programs accept entry {entry}, which the CPU refuses")]
    Cpu {
        /// From zero, in the batch that was submitted.
        entry: usize,
    },
}

/// What became of a batch.
#[derive(Debug)]
pub enum Judged {
    /// The device is not done.
    Pending(Pending),
    /// An opinion on each claim.
    Settled {
        /// The claims, as they came.
        claims: Vec<Claim>,
        /// One for each.
        opinions: Vec<Opinion>,
    },
    /// The device failed; the CPU decides on the claims.
    Failed {
        /// What went wrong.
        error: GpuError,
        /// The claims, as they came.
        claims: Vec<Claim>,
    },
    /// The device gives wrong verdicts: it must not be used any more, what it accepted before is in doubt, and the CPU
    /// decides on the claims.
    Distrusted {
        /// What shows it.
        why: Disagreement,
        /// The claims, as they came.
        claims: Vec<Claim>,
    },
}

/// A claim on the opinions on one batch. Dropping it gives the batch up.
#[derive(Debug)]
#[must_use = "a batch whose ticket is dropped is given up"]
pub struct Pending {
    ticket: Ticket,
    /// Where the canaries are, ascending.
    canaries: Vec<usize>,
}

/// Both programs on one device.
#[derive(Debug)]
pub struct DoubleCheck {
    verifier: Verifier,
}

impl DoubleCheck {
    /// Compiles both programs. Of the capacity [`CANARIES`] claims are not the caller's.
    ///
    /// # Errors
    ///
    /// As for [`Verifier::new`].
    pub fn new(device: Device, capacity: Capacity) -> Result<Self, GpuError> {
        Ok(Self { verifier: Verifier::new(device, &Program::ALL, capacity)? })
    }

    /// The device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        self.verifier.info()
    }

    /// How much it takes from the caller.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        let Capacity { claims, blocks, flights } = self.verifier.capacity();
        let blocks = blocks.saturating_sub(CANARIES * CANARY_BLOCKS);
        Capacity { claims: claims.saturating_sub(CANARIES), blocks, flights }
    }

    /// Hands a batch to the device, with canaries in it. `seed` must be unpredictable to those who made the claims: it
    /// says where the canaries are, and what they are.
    ///
    /// # Errors
    ///
    /// As for [`Verifier::submit`]; the claims come back as they came.
    pub fn submit(&mut self, claims: Vec<Claim>, seed: [u8; 32]) -> Result<Pending, Rejection> {
        let (batch, canaries) = with_canaries(claims, &seed);
        match self.verifier.submit(batch) {
            Ok(ticket) => Ok(Pending { ticket, canaries }),
            Err(Rejection { reason, claims }) => {
                Err(Rejection { reason, claims: without(claims, &canaries) })
            }
        }
    }

    /// What became of a batch, after waiting for it at most `patience`. Where the device is done, `draw` is asked for a
    /// seed, fresh and unpredictable, that names `samples` entries for the CPU to check.
    ///
    /// # Panics
    ///
    /// If the ticket is another verifier's.
    pub fn take(
        &mut self,
        pending: Pending,
        patience: Duration,
        samples: usize,
        draw: impl FnOnce() -> [u8; 32],
    ) -> Judged {
        let Pending { ticket, canaries } = pending;
        match self.verifier.take(ticket, patience) {
            Taken::Pending(ticket) => Judged::Pending(Pending { ticket, canaries }),
            Taken::Failed { error, claims } => Judged::Failed { error, claims: without(claims, &canaries) },
            Taken::Settled(settled) => judge(settled, &canaries, samples, draw),
        }
    }

    /// Gives a batch up and returns its claims: the CPU decides.
    ///
    /// # Panics
    ///
    /// If the ticket is another verifier's.
    pub fn give_up(&mut self, pending: Pending) -> Vec<Claim> {
        without(self.verifier.give_up(pending.ticket), &pending.canaries)
    }

    /// [`Verifier::forget_keys`].
    pub fn forget_keys(&mut self) {
        self.verifier.forget_keys();
    }

    #[cfg(test)]
    pub(super) fn verifier(&mut self) -> &mut Verifier {
        &mut self.verifier
    }
}

/// Numbers that follow from a seed.
struct Draw<'a> {
    seed: &'a [u8; 32],
    purpose: &'static [u8],
    drawn: u64,
}

impl<'a> Draw<'a> {
    fn new(seed: &'a [u8; 32], purpose: &'static [u8]) -> Self {
        Self { seed, purpose, drawn: 0 }
    }

    fn bytes(&mut self) -> [u8; 64] {
        self.drawn += 1;
        sha512_parts(&[self.purpose, self.seed, &self.drawn.to_le_bytes()])
    }

    /// One below `end`, which is not zero. 2⁶⁴ is not a multiple of `end`, by which no number is favoured noticeably.
    fn below(&mut self, end: usize) -> usize {
        let number = u64::from_le_bytes(*self.bytes().first_chunk().expect("64 bytes"));
        (number % end as u64) as usize
    }
}

/// The claims with canaries among them, and where those are, ascending.
fn with_canaries(claims: Vec<Claim>, seed: &[u8; 32]) -> (Vec<Claim>, Vec<usize>) {
    let mut draw = Draw::new(seed, b"millrace gpu canary places");
    let total = claims.len() + CANARIES;
    let mut places = std::collections::BTreeSet::new();
    while places.len() < CANARIES {
        places.insert(draw.below(total));
    }
    // As long as some claim's message, so that nothing sets them apart.
    let lengths: Vec<usize> = (0..CANARIES)
        .map(|_| claims.get(draw.below(total)).map_or(100, |claim| claim.message.len()).min(CANARY_BYTES))
        .collect();
    let mut draw = Draw::new(seed, b"millrace gpu canaries");
    let mut canaries = lengths.into_iter().enumerate().map(|(kind, length)| canary(kind, length, &mut draw));
    let mut claims = claims.into_iter();
    let batch = (0..total)
        .filter_map(|at| if places.contains(&at) { canaries.next() } else { claims.next() })
        .collect();
    (batch, places.into_iter().collect())
}

/// A signature that is good but for one thing, by kind: a bit of s, of the message, of R, or another key.
fn canary(kind: usize, length: usize, draw: &mut Draw<'_>) -> Claim {
    loop {
        let bytes = draw.bytes();
        let (seed, other) = bytes.split_at(32);
        let [key, another] =
            [seed, other].map(|seed| SigningKey::from_seed(*seed.first_chunk().expect("32 bytes")));
        let mut message: Vec<u8> = bytes.iter().copied().cycle().take(length).collect();
        let mut claim = Claim { key: key.public_key(), signature: key.sign(&message), message: Vec::new() };
        let bit = draw.below(250);
        match kind % 4 {
            // Below 2²⁵⁰, so that s does not become refusable by its size alone.
            0 => claim.signature[32 + bit / 8] ^= 1 << (bit % 8),
            1 if length > 0 => message[bit % length] ^= 1,
            2 => claim.signature[bit / 8] ^= 1 << (bit % 8),
            _ => claim.key = another.public_key(),
        }
        claim.message = message;
        // Known to be bad: the CPU says so.
        if !verify(&claim.key, &claim.message, &claim.signature) {
            return claim;
        }
    }
}

/// What is left of a batch without its canaries.
fn without<T>(batch: Vec<T>, canaries: &[usize]) -> Vec<T> {
    let is_claim = |at: &usize| canaries.binary_search(at).is_err();
    batch.into_iter().enumerate().filter(|(at, _)| is_claim(at)).map(|(_, entry)| entry).collect()
}

/// Makes opinions of verdicts, or says why none of them counts.
pub(super) fn judge(
    settled: Settled,
    canaries: &[usize],
    samples: usize,
    draw: impl FnOnce() -> [u8; 32],
) -> Judged {
    let Settled { claims, verdicts, .. } = settled;
    let claims = without(claims, canaries);
    for (program, verdicts) in &verdicts {
        if canaries.iter().any(|at| verdicts[*at]) {
            return Judged::Distrusted { why: Disagreement::Canary { program: *program }, claims };
        }
    }
    let mut verdicts = verdicts.into_iter().map(|(program, verdicts)| (program, without(verdicts, canaries)));
    let (Some((first, ones)), Some((second, others))) = (verdicts.next(), verdicts.next()) else {
        unreachable!("a double check has two programs")
    };
    if let Some(entry) = ones.iter().zip(&others).position(|(one, other)| one != other) {
        let accepted_by = if ones[entry] { first } else { second };
        return Judged::Distrusted { why: Disagreement::Programs { entry, accepted_by }, claims };
    }
    let accepted: Vec<usize> = (0..claims.len()).filter(|at| ones[*at]).collect();
    if !accepted.is_empty() {
        let seed = draw();
        let mut draw = Draw::new(&seed, b"millrace gpu sample");
        for _ in 0..samples {
            let entry = accepted[draw.below(accepted.len())];
            let Claim { key, signature, message } = &claims[entry];
            if !verify(key, message, signature) {
                return Judged::Distrusted { why: Disagreement::Cpu { entry }, claims };
            }
        }
    }
    let opinion = |accepted: bool| if accepted { Opinion::Accepted } else { Opinion::Undecided };
    Judged::Settled { opinions: ones.into_iter().map(opinion).collect(), claims }
}
