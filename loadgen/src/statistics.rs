//! What several runs say together, and whether two builds or settings differ.
//!
//! ```text
//!   runs of one ───── order statistics ──> median, with an interval
//!   runs of A and B ── in blocks of four, ABBA or BAAB ── pairs ── Hodges and Lehmann ──> ratio, with an interval
//!                                                                                   └──> better | worse | cannot tell
//! ```
//!
//! Percentiles of several runs are compared across the runs, and never averaged: the mean of two p99 is the p99 of
//! nothing. No distribution is assumed. The interval of a median ends at two of the runs, in their order (David and
//! Nagaraja, *Order Statistics*, 7.1). The ratio is the estimator of Hodges and Lehmann over the logarithms of the
//! pairs, and its interval is that of the signed-rank test of Wilcoxon, exact for as many pairs (Hollander, Wolfe and
//! Chicken, *Nonparametric Statistical Methods*, 3.1 to 3.3).

use serde::{Deserialize, Serialize};

use crate::workload::Dice;

/// How sure an interval must be to cover what it is an interval of.
pub const CONFIDENCE: f64 = 0.95;
/// The fewest runs whose median has such an interval: of five, even the lowest and the highest do not reach it.
pub const RUNS_MIN: usize = 6;
/// The fewest pairs that are compared.
pub const PAIRS_MIN: usize = 8;
/// The most: the exact distribution of so many is computed in a moment.
pub const PAIRS_MAX: usize = 256;
/// A difference below this share does not count, however sure it is: nobody changes a system for it.
pub const EFFECT_MIN: f64 = 0.02;

/// An estimate, and where the true value probably is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The best guess.
    pub estimate: f64,
    /// The upper end.
    pub high: f64,
    /// The probability that an interval made so covers the true value; at least [`CONFIDENCE`].
    pub confidence: f64,
}

/// The median of runs; `None` for fewer than [`RUNS_MIN`], or where one is no number.
#[must_use]
pub fn median(runs: &[f64]) -> Option<Interval> {
    let runs = in_order(runs.to_vec()).filter(|runs| runs.len() >= RUNS_MIN)?;
    let n = runs.len();
    // Below its k-th run lies the median with the probability of fewer than k heads in n throws of a coin.
    let (mut below, mut term, mut k) = (0.0, 0.5_f64.powi(n as i32), 0);
    while k < n / 2 && 1.0 - 2.0 * (below + term) >= CONFIDENCE {
        below += term;
        term *= (n - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    let k = k.checked_sub(1)?;
    Some(Interval {
        low: runs[k],
        estimate: middle(&runs),
        high: runs[n - 1 - k],
        confidence: 1.0 - 2.0 * below,
    })
}

/// How many times as much the second of each pair is as the first; `None` for fewer than [`PAIRS_MIN`] pairs or more
/// than [`PAIRS_MAX`], or where a value is not above zero.
#[must_use]
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Interval> {
    let is_usable = |value: f64| value.is_finite() && value > 0.0;
    if !(PAIRS_MIN..=PAIRS_MAX).contains(&pairs.len())
        || !pairs.iter().all(|(a, b)| is_usable(*a) && is_usable(*b))
    {
        return None;
    }
    let logs: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).ln()).collect();
    let walsh =
        logs.iter().enumerate().flat_map(|(at, one)| logs[at..].iter().map(move |other| (one + other) / 2.0));
    let walsh = in_order(walsh.collect())?;
    // The largest rank sum that is so rare that both tails beyond it are rare enough together.
    let (mut below, mut cut) = (0.0, 0);
    for probability in signed_rank(logs.len()) {
        if 1.0 - 2.0 * (below + probability) < CONFIDENCE {
            break;
        }
        below += probability;
        cut += 1;
    }
    let cut: usize = cut;
    let end = cut.checked_sub(1)?;
    Some(Interval {
        low: walsh[end].exp(),
        estimate: middle(&walsh).exp(),
        high: walsh[walsh.len() - 1 - end].exp(),
        confidence: 1.0 - 2.0 * below,
    })
}

/// The probability of each sum of the ranks of the positive ones among `n` values without a sign of their own.
fn signed_rank(n: usize) -> Vec<f64> {
    let mut probabilities = vec![0.0; n * (n + 1) / 2 + 1];
    probabilities[0] = 1.0;
    let mut highest = 0;
    for rank in 1..=n {
        highest += rank;
        for sum in (0..=highest).rev() {
            let with = if sum >= rank { probabilities[sum - rank] } else { 0.0 };
            probabilities[sum] = 0.5 * (probabilities[sum] + with);
        }
    }
    probabilities
}

fn in_order(mut values: Vec<f64>) -> Option<Vec<f64>> {
    values.sort_unstable_by(f64::total_cmp);
    values.iter().all(|value| value.is_finite()).then_some(values)
}

fn middle(in_order: &[f64]) -> f64 {
    let n = in_order.len();
    f64::midpoint(in_order[(n - 1) / 2], in_order[n / 2])
}

/// Which way of a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// A rate.
    More,
    /// A time, or a cost.
    Less,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// B is better than A.
    Better,
    /// B is worse than A.
    Worse,
    /// The difference is too small or too unsure to be called one.
    CannotTell,
}

impl Comparison {
    /// What a ratio of B to A says. The whole interval must lie on one side of 1, and the estimate must be at least
    /// `effect_min` beyond 1.
    #[must_use]
    pub fn of(ratio: &Interval, good: Good, effect_min: f64) -> Self {
        let (more, less) = match good {
            Good::More => (Self::Better, Self::Worse),
            Good::Less => (Self::Worse, Self::Better),
        };
        if ratio.low > 1.0 && ratio.estimate >= 1.0 + effect_min {
            more
        } else if ratio.high < 1.0 && ratio.estimate <= 1.0 / (1.0 + effect_min) {
            less
        } else {
            Self::CannotTell
        }
    }

    /// For a person.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// One of the two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// What was there before.
    A,
    /// What may be better.
    B,
}

/// The order of the runs for so many pairs, an even number: blocks of ABBA and BAAB, drawn by a seed. A machine that
/// slowly becomes faster or slower then favours neither side, and nor does one that does so with a period.
#[must_use]
pub fn order(pairs: usize, seed: u64) -> Vec<Side> {
    let mut dice = Dice::new(seed);
    (0..pairs.div_ceil(2))
        .flat_map(|_| match dice.next() >> 63 {
            0 => [Side::A, Side::B, Side::B, Side::A],
            _ => [Side::B, Side::A, Side::A, Side::B],
        })
        .collect()
}

/// The pairs (A, B) of runs in that order: each run with its neighbour.
#[must_use]
pub fn pairs(order: &[Side], figures: &[f64]) -> Vec<(f64, f64)> {
    let neighbours = order.chunks_exact(2).zip(figures.chunks_exact(2));
    neighbours
        .map(|(sides, figures)| match sides[0] {
            Side::A => (figures[0], figures[1]),
            Side::B => (figures[1], figures[0]),
        })
        .collect()
}

#[cfg(test)]
mod tests;
