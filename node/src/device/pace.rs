//! How many of the signatures that are offered a device gets.
//!
//! A device takes a time for each batch and a time for each signature; the CPU a time for each signature. What a device
//! gets and what is left to the CPU is checked at the same time, so with `auto` the parts are such that both end
//! together. Where the device's part would be too small to be worth a batch, it gets nothing.

use std::time::Duration;

/// Who checks signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// The CPU alone.
    #[default]
    Cpu,
    /// The device gets as many as it can check in a tenth of a second, and a smallest batch whenever it is idle; the
    /// CPU checks the rest.
    Gpu,
    /// Each round is split so that device and CPU end together.
    Auto,
}

impl Policy {
    /// The word in a configuration file, and on a command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Auto => "auto",
        }
    }

    /// How long a batch may take on a device.
    fn bound(self) -> Duration {
        match self {
            Self::Cpu => Duration::ZERO,
            Self::Gpu => Duration::from_millis(100),
            Self::Auto => Duration::from_millis(50),
        }
    }
}

/// Fewer signatures are not worth a batch: the guard alone costs the CPU two of them.
pub(super) const BATCH_MIN: usize = 16;
/// No batch is waited for longer than this; then the CPU decides.
pub(super) const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Beside the time that a batch should take, a machine that has other work may need this.
const PATIENCE_MORE: Duration = Duration::from_millis(100);
/// How much of `drift` each batch that was timed decides.
const WEIGHT: f64 = 0.1;
/// How far `drift` returns to 1 for each round of which the device gets nothing.
const FORGIVENESS: f64 = 0.002;
/// The bounds of `drift`: a batch that took still less or longer counts as these.
const DRIFT: (f64, f64) = (0.1, 10.0);

/// How fast a device and the CPU are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Seconds of a batch, whatever is in it.
    batch: f64,
    /// Seconds of each signature, on the device.
    claim: f64,
    /// Seconds of each signature, on one thread of the CPU.
    cpu: f64,
    /// How long batches have taken lately, as a multiple of what the times above say.
    drift: f64,
}

impl Pace {
    /// From what two batches took on the device, a small one and a large one, and from what one signature takes on the
    /// CPU.
    pub(super) fn new(small: (usize, Duration), large: (usize, Duration), cpu: Duration) -> Self {
        let seconds = |(claims, took): (usize, Duration)| (claims.max(1) as f64, took.as_secs_f64());
        let ((few, short), (many, long)) = (seconds(small), seconds(large));
        // Noise can make the large one the faster one.
        let claim =
            if many > few { ((long - short) / (many - few)).max(long / many / 4.0) } else { short / few };
        let batch = (short - claim * few).max(0.0);
        Self { batch, claim: claim.max(1e-9), cpu: cpu.as_secs_f64().max(1e-9), drift: 1.0 }
    }

    /// How long this many signatures take on the device.
    pub(super) fn expected(&self, claims: usize) -> Duration {
        Duration::from_secs_f64(self.drift * (self.batch + self.claim * claims as f64))
    }

    /// How long is waited for a batch with so many signatures in it and before it.
    pub(super) fn patience(&self, claims: usize) -> Duration {
        (4 * self.expected(claims) + PATIENCE_MORE).min(PATIENCE_MAX)
    }

    /// How many of `offered` the device gets, with so many `waiting` there already.
    pub(super) fn share(&self, policy: Policy, offered: usize, waiting: usize) -> usize {
        let Self { batch, claim, cpu, drift } = *self;
        let (batch, claim) = (drift * batch, drift * claim);
        let bound = (policy.bound().as_secs_f64() - batch) / claim - waiting as f64;
        let fair = match policy {
            Policy::Cpu => 0.0,
            Policy::Gpu => offered as f64,
            Policy::Auto => (cpu * offered as f64 - batch - claim * waiting as f64) / (claim + cpu),
        };
        // Negative and not a number are zero.
        let share = fair.min(bound).min(offered as f64) as usize;
        match share {
            BATCH_MIN.. => share,
            _ if policy == Policy::Gpu && waiting == 0 && offered >= BATCH_MIN => BATCH_MIN,
            _ => 0,
        }
    }

    /// A round of which the device got nothing. So one that was slow for a while gets batches again later.
    pub(super) fn passed_over(&mut self) {
        self.drift += FORGIVENESS * (1.0 - self.drift);
    }

    /// The smallest size of a round, by powers of two up to `most`, of which the device gets a part.
    pub(super) fn crossover(&self, policy: Policy, most: usize) -> Option<usize> {
        let sizes = (0..).map(|power| 1 << power).take_while(|size| *size < most).chain([most]);
        sizes.into_iter().find(|size| self.share(policy, *size, 0) > 0)
    }

    /// A batch with so many signatures in it and before it has taken this long.
    pub(super) fn landed(&mut self, claims: usize, took: Duration) {
        let measured = self.batch + self.claim * claims as f64;
        let drift = (took.as_secs_f64() / measured).clamp(DRIFT.0, DRIFT.1);
        self.drift += WEIGHT * (drift - self.drift);
    }

    /// The device's time for each batch, and its time for each signature.
    pub(super) fn times(&self) -> (Duration, Duration) {
        (Duration::from_secs_f64(self.batch), Duration::from_secs_f64(self.claim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// 1 ms a batch and 1 µs a signature; the CPU takes 10 µs.
    fn fast() -> Pace {
        Pace::new((64, micros(1_064)), (4096, micros(5_096)), micros(10))
    }

    /// As a software device: 1 ms a signature.
    fn slow() -> Pace {
        Pace::new((16, micros(16_000)), (64, micros(64_000)), micros(10))
    }

    #[test]
    fn with_auto_device_and_cpu_end_together() {
        let pace = fast();
        for offered in [1_000, 4_096, 16_384] {
            let share = pace.share(Policy::Auto, offered, 0);
            let (device, cpu) = (pace.expected(share), micros(10 * (offered - share) as u64));
            assert!(device.abs_diff(cpu) < micros(30), "{offered}: {device:?} and {cpu:?}");
        }
        assert_eq!(pace.share(Policy::Auto, 100, 0), 0, "the CPU needs as long as a batch costs");
        let (alone, behind) = (pace.share(Policy::Auto, 4_096, 0), pace.share(Policy::Auto, 4_096, 8_000));
        assert!(behind < alone, "what waits there already counts");
        assert_eq!(slow().share(Policy::Auto, 1_000, 0), 0);
    }

    #[test]
    fn with_gpu_the_device_gets_what_it_can_check_in_time() {
        assert_eq!(fast().share(Policy::Gpu, 4_096, 0), 4_096);
        assert_eq!(slow().share(Policy::Gpu, 4_096, 0), 100);
        assert_eq!(slow().share(Policy::Gpu, 4_096, 90), 0, "ten are not worth a batch");
        let slowest = Pace::new((16, micros(9_000_000)), (64, micros(19_000_000)), micros(10));
        assert_eq!(slowest.share(Policy::Gpu, 4_096, 0), BATCH_MIN, "it has nothing to do");
        assert_eq!(slowest.share(Policy::Gpu, 4_096, 1), 0);
        assert_eq!(slowest.share(Policy::Gpu, BATCH_MIN - 1, 0), 0);
        assert_eq!(fast().share(Policy::Cpu, 4_096, 0), 0);
    }

    #[test]
    fn the_crossover_is_where_the_device_gets_something() {
        assert_eq!(fast().crossover(Policy::Auto, 16_384), Some(128));
        assert_eq!(slow().crossover(Policy::Auto, 1_024), None);
        assert_eq!(slow().crossover(Policy::Gpu, 4_096), Some(16));
    }

    #[test]
    fn a_device_that_becomes_slower_gets_less_and_is_waited_for_within_bounds() {
        let mut pace = fast();
        let before = pace.share(Policy::Auto, 4_096, 0);
        (0..100).for_each(|_| pace.landed(4_096, micros(50_000)));
        let after = pace.share(Policy::Auto, 4_096, 0);
        assert!(after > 0 && after < before / 2, "{before} and {after}");
        (0..100).for_each(|_| pace.landed(4_096, Duration::from_secs(3_600)));
        assert_eq!(slow().patience(16_384), PATIENCE_MAX);
        let slow = pace;
        (0..10_000).for_each(|_| pace.passed_over());
        assert_eq!(pace.share(Policy::Auto, 4_096, 0), before, "what was long ago is forgotten");
        pace = slow;
        (0..200).for_each(|_| pace.landed(4_096, Duration::ZERO));
        assert!(pace.share(Policy::Auto, 4_096, 0) > before);
    }

    #[test]
    fn no_measurement_makes_it_divide_by_nothing() {
        for (small, large) in [((0, 0), (0, 0)), ((64, 900), (64, 100)), ((64, 9_000), (4_096, 10))] {
            let of = |(claims, took)| (claims, micros(took));
            let pace = Pace::new(of(small), of(large), Duration::ZERO);
            for policy in [Policy::Cpu, Policy::Gpu, Policy::Auto] {
                assert!(pace.share(policy, 4_096, 0) <= 4_096, "{pace:?}");
            }
            assert!(pace.patience(4_096) <= PATIENCE_MAX);
        }
    }
}
