//! When a device's verdicts count: an *accept* of a program counts where a combination confirms it. Everything else is
//! undecided.
//!
//! ```text
//!  claims + canaries ──▶ wide: a verdict each ──▶ combination of what it accepts: a point for each group
//!                              │                           │
//!                              └───────────┬───────────────┘
//!                                          ▼
//!                                        judge ──▶ accepted   wide accepts, and no sign of trouble in the batch
//!                                          │  └──▶ undecided  the CPU decides: wide refuses
//!                                          └──▶ distrusted    the device is out of service; the CPU decides on all
//! ```
//!
//! A spot check finds broken hardware, but not a wrong formula: all validators would share shader and driver, and one
//! crafted forgery is in no sample. Therefore everything is computed twice, in different limbs and by different
//! formulas, and the second time with coefficients that nobody knew when the claims were made. A batch is distrusted
//! where
//!
//! - wide accepts a canary: entries known to be bad, at places that the seed of the batch names,
//! - a group's sum is not the multiple of B that the CPU expects, or
//! - the CPU refuses an entry that wide accepts. The entries that it checks are drawn after the verdicts are in.
//!
//! Nobody is blamed by a device: what it refuses is undecided.

use super::combination::GROUP;
use super::{
    Capacity, Claim, Device, DeviceInfo, GpuError, Program, Rejection, Settled, Taken, Ticket, Verifier,
};
use crate::ed25519::{SigningKey, groups, verify};
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
    /// Wide accepts it and so does its group, in a batch without any sign of trouble.
    Accepted,
    /// The CPU decides.
    Undecided,
}

/// Why nothing that the device says counts any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The combination does not confirm what wide accepts.
    #[error(
        "wide accepts signatures that the combination of the {entries} entries from {first} on does not confirm"
    )]
    Combination {
        /// The first of the group, from zero, in the batch that was submitted.
        first: usize,
        /// How many of the batch are in the group.
        entries: usize,
    },
    /// A program accepts an entry that is known to be bad.
    #[error("the program {program:?} accepts a signature that is known to be bad")]
    Canary {
        /// The program.
        program: Program,
    },
    /// Both ways accept an entry that the CPU refuses.
    #[error("wide and the combination accept entry {entry}, which the CPU refuses")]
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

/// A ticket for the opinions on one batch. Dropping it gives the batch up.
#[derive(Debug)]
#[must_use = "a batch whose ticket is dropped is given up"]
pub struct Pending {
    ticket: Ticket,
    /// Where the canaries are, ascending.
    canaries: Vec<usize>,
    /// Of each entry with the canaries, then of each group.
    coefficients: Vec<u128>,
}

/// A program and the combination of what it accepts, on one device.
#[derive(Debug)]
pub struct DoubleCheck {
    verifier: Verifier,
}

impl DoubleCheck {
    /// Compiles both. Of the capacity [`CANARIES`] claims are not the caller's.
    ///
    /// # Errors
    ///
    /// As for [`Verifier::new`]. A device without integers of 64 bits has no double check.
    pub fn new(device: Device, capacity: Capacity) -> Result<Self, GpuError> {
        Ok(Self { verifier: Verifier::combined(device, Program::Wide, GROUP, capacity)? })
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

    /// Hands a batch to the device, with canaries in it. `seed` says where those are and what they are, and gives the
    /// combination its coefficients. It must be fresh for every call, also when the same claims come again, and
    /// unpredictable to those who made them: from the operating system, after the claims are there.
    ///
    /// # Errors
    ///
    /// As for [`Verifier::submit`]; the claims come back as they came.
    pub fn submit(&mut self, claims: Vec<Claim>, seed: [u8; 32]) -> Result<Pending, Rejection> {
        let (batch, canaries) = with_canaries(claims, &seed);
        let coefficients = self.coefficients(&seed, batch.len());
        match self.verifier.submit_weighted(batch, &coefficients) {
            Ok(ticket) => Ok(Pending { ticket, canaries, coefficients }),
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
        let Pending { ticket, canaries, coefficients } = pending;
        match self.verifier.take(ticket, patience) {
            Taken::Pending(ticket) => Judged::Pending(Pending { ticket, canaries, coefficients }),
            Taken::Failed { error, claims } => Judged::Failed { error, claims: without(claims, &canaries) },
            Taken::Settled(settled) => judge(settled, &canaries, &coefficients, samples, draw),
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

    /// Of each of so many entries, then of each of their groups.
    fn coefficients(&self, seed: &[u8; 32], entries: usize) -> Vec<u128> {
        let bytes = Draw::new(seed, b"millrace gpu coefficients").bytes();
        groups::coefficients(*bytes.first_chunk().expect("64 bytes"), entries + self.verifier.groups(entries))
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
    coefficients: &[u128],
    samples: usize,
    draw: impl FnOnce() -> [u8; 32],
) -> Judged {
    let [(program, verdicts)] = &settled.verdicts[..] else { unreachable!("a double check has one program") };
    let why = if canaries.iter().any(|at| verdicts[*at]) {
        Some(Disagreement::Canary { program: *program })
    } else {
        unconfirmed(&settled.claims, verdicts, &settled.sums, coefficients).map(|group| {
            // As the caller counts.
            let counted = |at: usize| at - canaries.partition_point(|canary| *canary < at);
            let first = counted(group.start);
            Disagreement::Combination { first, entries: counted(group.end) - first }
        })
    };
    let accepted = without(verdicts.clone(), canaries);
    let claims = without(settled.claims, canaries);
    let why = why.or_else(|| refused(&claims, &accepted, samples, draw));
    if let Some(why) = why {
        return Judged::Distrusted { why, claims };
    }
    // Of an entry with s = 0, which no signer makes, a sum does not tell whether it is in it.
    let opinion = |(accepted, claim): (bool, &Claim)| match accepted && claim.signature[32..] != [0; 32] {
        true => Opinion::Accepted,
        false => Opinion::Undecided,
    };
    Judged::Settled { opinions: accepted.into_iter().zip(&claims).map(opinion).collect(), claims }
}

/// The first group whose sum is not as the entries that the program accepts demand.
///
/// All sums at once hold if and only if those that are good in each group do, but for one case in 2¹²⁵: a point for
/// each group is there to say where it went wrong.
fn unconfirmed(
    claims: &[Claim],
    verdicts: &[bool],
    sums: &[[u8; 32]],
    coefficients: &[u128],
) -> Option<std::ops::Range<usize>> {
    let (zs, checks) = coefficients.split_at(claims.len());
    let range = |group: usize| group * GROUP..claims.len().min((group + 1) * GROUP);
    let mut multiples = Vec::with_capacity(checks.len());
    for (group, check) in checks.iter().enumerate() {
        let accepted = range(group).filter(|at| verdicts[*at]).map(|at| (zs[at], &claims[at].signature));
        match groups::multiple(accepted, *check) {
            Some(multiple) => multiples.push(multiple),
            None => return Some(range(group)),
        }
    }
    if groups::sums_hold(sums, &multiples) {
        return None;
    }
    let fails = |group: &usize| !groups::sums_hold(&sums[*group..=*group], &multiples[*group..=*group]);
    (0..checks.len()).find(fails).map(range).or(Some(0..claims.len()))
}

/// An entry that was accepted, drawn to be checked, and that the CPU refuses.
fn refused(
    claims: &[Claim],
    accepted: &[bool],
    samples: usize,
    draw: impl FnOnce() -> [u8; 32],
) -> Option<Disagreement> {
    let accepted: Vec<usize> = (0..claims.len()).filter(|at| accepted[*at]).collect();
    if accepted.is_empty() {
        return None;
    }
    let seed = draw();
    let mut draw = Draw::new(&seed, b"millrace gpu sample");
    (0..samples).map(|_| accepted[draw.below(accepted.len())]).find_map(|entry| {
        let Claim { key, signature, message } = &claims[entry];
        (!verify(key, message, signature)).then_some(Disagreement::Cpu { entry })
    })
}
