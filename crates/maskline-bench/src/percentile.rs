//! Percentiles that were measured: each is one of the samples (nearest rank), comes with an interval, and is `None` where there
//! are too few samples to say anything.
//!
//! # How many samples a percentile needs
//! With the share `s = 1 - p` of all calls truly slower than the percentile, a run of `n` calls sees `X` of them, and `X` is
//! binomial. MLPerf's early stopping ("MLPerf Inference Rules", appendix on early stopping) accepts a run with `t` calls over
//! the bound when `P[X ≤ t] ≤ 1 %`: the percentile is then below the bound with 99 % confidence. The smallest useful run lets one
//! call be over (`t = 1`): a bound set by the very largest sample would be any single hiccup. So
//!
//! ```text
//! floor(p) = the least n with  pⁿ + n (1 − p) pⁿ⁻¹ ≤ 0.01
//! ```
//!
//! which gives 11, 64, 130, 662 and 6636 samples for p50, p90, p95, p99 and p99.9. Read the other way round: from the floor on, the
//! second largest sample is above the percentile with 99 % confidence.
//!
//! # Intervals
//! `[x₍l₎, x₍u₎]` of the sorted samples with `P[B < l] ≤ 2.5 %` and `P[B ≥ u] ≤ 2.5 %` for `B` binomial with `n` and `p` (David
//! and Nagaraja, "Order Statistics", 3rd ed., section 7.1): at least 95 % whatever the distribution is, if the samples are independent.

use serde::{Deserialize, Serialize};

use crate::binomial::at_most;

/// The percentiles that reports give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Percentile {
    /// The median.
    P50,
    /// One call in ten is slower.
    P90,
    /// One call in twenty is slower.
    P95,
    /// One call in a hundred is slower.
    P99,
    /// One call in a thousand is slower.
    P999,
}

/// A figure and the 95 % interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
}

impl Estimate {
    /// Milliseconds of a call as things per second, of which a call has `count`.
    pub fn per_second(&self, count: usize) -> Self {
        let [value, low, high] = [self.value, self.high, self.low].map(|milliseconds| 1e3 * count as f64 / milliseconds);
        Self { value, low, high }
    }
}

/// Confidence of the intervals: 2.5 % on either side.
pub(crate) const TAIL: f64 = 0.025;
/// Risk at the floor: the 99 % confidence of MLPerf's early stopping.
const FLOOR_RISK: f64 = 0.01;

impl Percentile {
    /// All of them, from the middle outwards.
    pub const ALL: [Self; 5] = [Self::P50, Self::P90, Self::P95, Self::P99, Self::P999];

    /// The share of samples at or below it, in thousandths.
    pub fn permille(self) -> u64 {
        match self {
            Self::P50 => 500,
            Self::P90 => 900,
            Self::P95 => 950,
            Self::P99 => 990,
            Self::P999 => 999,
        }
    }

    /// As it is written: `p50`, …, `p99.9`.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }

    /// The share as a probability.
    pub fn probability(self) -> f64 {
        self.permille() as f64 / 1000.0
    }

    /// The least number of samples it may be given for (see [`percentile`](self)).
    pub fn floor(self) -> usize {
        let is_enough = |n: u64| at_most(1, n, 1.0 - self.probability()) <= FLOOR_RISK;
        let mut enough = 2;
        while !is_enough(enough) {
            enough *= 2;
        }
        let mut too_few = enough / 2;
        while too_few + 1 < enough {
            let middle = too_few.midpoint(enough);
            if is_enough(middle) { enough = middle } else { too_few = middle }
        }
        enough as usize
    }

    /// The percentile of sorted values with its 95 % interval; `None` below the floor.
    pub fn of_sorted(self, sorted: &[f64]) -> Option<Estimate> {
        if sorted.len() < self.floor() {
            return None;
        }
        self.of_few_sorted(sorted)
    }

    /// As [`of_sorted`](Self::of_sorted), whatever the number of values: for judging, not for reporting. The interval is cut
    /// off at the extremes. `None` where there are no values.
    pub(crate) fn of_few_sorted(self, sorted: &[f64]) -> Option<Estimate> {
        let rank = nearest_rank(sorted.len(), self.permille());
        let [low, high] = interval_ranks(sorted.len(), self.probability());
        let at = |rank: usize| sorted.get(rank.max(1) - 1).copied();
        Some(Estimate { value: at(rank)?, low: at(low.min(rank))?, high: at(high.max(rank))? })
    }
}

impl Estimate {
    /// A figure whose interval is known to be itself.
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// Whether its three numbers are finite and in order.
    pub fn is_sound(&self) -> bool {
        self.low.is_finite() && self.high.is_finite() && self.low <= self.value && self.value <= self.high
    }
}

/// 1-based rank of the least value that the share of all is at or below: `⌈n · share⌉`, in whole numbers so that no rounding of
/// 0.99 moves it.
fn nearest_rank(n: usize, permille: u64) -> usize {
    (n as u128 * u128::from(permille)).div_ceil(1000).max(1) as usize
}

/// 1-based ranks that enclose the true percentile with 95 % confidence, cut off at `1` and `n`.
fn interval_ranks(n: usize, p: f64) -> [usize; 2] {
    let n = n as u64;
    // The least k with P[B ≤ k] above the tail: P[B < l] = P[B ≤ l - 1] is within the tail for l = k and for no larger l.
    let low = least(n, |k| at_most(k, n, p) > TAIL);
    // The least u with P[B ≥ u] = 1 - P[B ≤ u - 1] within the tail.
    let high = least(n, |k| 1.0 - at_most(k, n, p) <= TAIL) + 1;
    [low.clamp(1, n.max(1)) as usize, high.clamp(1, n.max(1)) as usize]
}

/// The least `k` in `0..=n` for which the monotone condition holds (`n` if none).
fn least(n: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let [mut low, mut high] = [0, n];
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// The values in rising order.
pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The lower middle value of sorted values; `NaN` where there are none.
pub(crate) fn median_of_sorted(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// [`median_of_sorted`] of values in any order, which are moved about.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::{Percentile, interval_ranks, nearest_rank, sorted};
    use crate::random::Random;

    #[test]
    fn floors_are_those_of_the_binomial_rule() {
        assert_eq!(Percentile::ALL.map(Percentile::floor), [11, 64, 130, 662, 6636]);
    }

    #[test]
    fn intervals_do_not_need_cutting_from_the_floor_on() {
        for percentile in Percentile::ALL {
            let n = percentile.floor();
            assert!(1.0 - super::at_most(n as u64 - 1, n as u64, percentile.probability()) <= super::TAIL, "{percentile:?}");
        }
    }

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Median of 100: ranks 40 and 61 (David and Nagaraja); p99 of 1000 samples is the 990th.
        assert_eq!(interval_ranks(100, 0.5), [40, 61]);
        assert_eq!([nearest_rank(1000, 990), nearest_rank(11, 500), nearest_rank(1, 999)], [990, 6, 1]);
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_claim() {
        let mut random = Random::new(3);
        let runs = 1000;
        let truth = -(0.1_f64).ln();
        let covers = |_: &usize| {
            let run = sorted((0..100).map(|_| random.exponential()));
            Percentile::P90.of_sorted(&run).is_some_and(|p90| p90.low <= truth && truth <= p90.high)
        };
        let covered = (0..runs).filter(covers).count();
        // 95 % at least; three standard errors below that.
        assert!(covered as f64 / runs as f64 > 0.95 - 3.0 * (0.05 * 0.95 / runs as f64).sqrt(), "{covered} of {runs}");
    }

    #[test]
    fn too_few_samples_give_nothing() {
        let values: Vec<f64> = (0..661).map(f64::from).collect();
        assert!(Percentile::P99.of_sorted(&values).is_none());
        assert!(Percentile::P95.of_sorted(&values).is_some());
        assert!(Percentile::P50.of_few_sorted(&[]).is_none());
    }
}
