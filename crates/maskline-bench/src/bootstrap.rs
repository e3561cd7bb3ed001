//! Intervals by resampling, where no formula fits: means of skewed samples, ratios of medians.
//!
//! Calls that follow each other resemble each other (clocks, caches, temperature), so blocks are drawn, not single samples: the
//! circular block bootstrap (Politis and Romano 1992) with blocks of `∛n`. The ends of the interval are percentiles of the
//! resampled figures (Efron 1979), widened, where they miss it, to the figure itself.

use crate::error::{Error, Result};
use crate::percentile::{Estimate, TAIL, median};
use crate::random::Random;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// How often.
    pub resamples: usize,
    /// Seed of the draws: the same seed gives the same interval.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 1000, seed: 0 }
    }
}

/// The mean of values with its 95 % interval.
///
/// # Errors
/// If there are no values, a value is not finite, or there is nothing to resample.
pub fn mean(values: &[f64], resampling: &Resampling) -> Result<Estimate> {
    check("values", values)?;
    estimate(resampling, mean_of(values), |random, room| {
        draw(values, random, room);
        mean_of(room)
    })
}

/// The ratio `median(numerator) / median(denominator)` of independent samples with its 95 % interval.
///
/// # Errors
/// If there are no values, a value is not finite, the denominator's median is not above 0, or there is nothing to resample.
pub fn median_ratio(numerator: &[f64], denominator: &[f64], resampling: &Resampling) -> Result<Estimate> {
    check("numerator", numerator)?;
    check("denominator", denominator)?;
    let ratio = |above: f64, below: f64| if below > 0.0 { above / below } else { f64::NAN };
    let value = ratio(median(&mut numerator.to_vec()), median(&mut denominator.to_vec()));
    if !value.is_finite() {
        return Err(Error::argument("denominator", "a median above 0", median(&mut denominator.to_vec())));
    }
    estimate(resampling, value, |random, room| {
        draw(numerator, random, room);
        let above = median(room);
        draw(denominator, random, room);
        ratio(above, median(room))
    })
}

fn check(what: &str, values: &[f64]) -> Result<()> {
    if values.is_empty() {
        return Err(Error::argument(what, "at least one", "none"));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::argument(what, "finite numbers", value)),
        None => Ok(()),
    }
}

fn estimate(resampling: &Resampling, value: f64, mut figure: impl FnMut(&mut Random, &mut Vec<f64>) -> f64) -> Result<Estimate> {
    const FEWEST: usize = 100;
    if resampling.resamples < FEWEST {
        return Err(Error::argument("resamples", "at least 100", resampling.resamples));
    }
    let mut random = Random::new(resampling.seed);
    let mut room = Vec::new();
    let mut figures: Vec<f64> = (0..resampling.resamples).map(|_| figure(&mut random, &mut room)).collect();
    // A resample whose denominator is 0 says nothing.
    figures.retain(|figure| figure.is_finite());
    figures.sort_unstable_by(f64::total_cmp);
    let outside = (figures.len() as f64 * TAIL) as usize;
    let low = figures.get(outside).copied().unwrap_or(value);
    let high = figures.iter().rev().nth(outside).copied().unwrap_or(value);
    Ok(Estimate { value, low: low.min(value), high: high.max(value) })
}

/// As many values as there are, in blocks that wrap around at the end.
fn draw(values: &[f64], random: &mut Random, room: &mut Vec<f64>) {
    let n = values.len();
    let block = (n as f64).cbrt().ceil() as usize;
    room.clear();
    while room.len() < n {
        let start = random.below(n);
        let straight = (start + block).min(n);
        room.extend_from_slice(&values[start..straight]);
        room.extend_from_slice(&values[..(start + block - straight).min(n)]);
    }
    room.truncate(n);
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::{Resampling, draw, mean, median_ratio};
    use crate::random::Random;

    #[test]
    fn the_interval_of_a_mean_is_about_two_standard_errors() {
        let mut random = Random::new(5);
        let values: Vec<f64> = (0..2000).map(|_| 10.0 + random.normal()).collect();
        let estimate = mean(&values, &Resampling::default()).expect("finite values");
        let width = (estimate.high - estimate.low) / (2.0 * 1.96 / (2000.0_f64).sqrt());
        assert!(estimate.is_sound() && (0.8..1.2).contains(&width), "{estimate:?} {width}");
    }

    #[test]
    fn correlated_samples_have_wider_intervals() {
        let mut random = Random::new(6);
        // Runs of ten equal samples: a tenth of the information.
        let values: Vec<f64> = (0..200).flat_map(|_| [10.0 + random.normal(); 10]).collect();
        let estimate = mean(&values, &Resampling::default()).expect("finite values");
        assert!(estimate.high - estimate.low > 1.5 * 2.0 * 1.96 / (2000.0_f64).sqrt(), "{estimate:?}");
    }

    #[test]
    fn a_ratio_is_found_again() {
        let mut random = Random::new(7);
        let slow: Vec<f64> = (0..500).map(|_| 12.0 + 0.5 * random.normal()).collect();
        let fast: Vec<f64> = (0..700).map(|_| 10.0 + 0.5 * random.normal()).collect();
        let ratio = median_ratio(&slow, &fast, &Resampling::default()).expect("finite values");
        assert!(ratio.low < 1.2 && 1.2 < ratio.high && ratio.high - ratio.low < 0.03, "{ratio:?}");
        assert_eq!(ratio, median_ratio(&slow, &fast, &Resampling::default()).expect("finite values"));
    }

    #[test]
    fn blocks_keep_the_length_and_the_values() {
        let mut room = Vec::new();
        for n in 1_u32..40 {
            let values: Vec<f64> = (0..n).map(f64::from).collect();
            draw(&values, &mut Random::new(u64::from(n)), &mut room);
            assert_eq!(room.len(), values.len());
            assert!(room.iter().all(|value| values.contains(value)));
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let resampling = Resampling::default();
        assert!(mean(&[], &resampling).is_err());
        assert!(mean(&[1.0, f64::NAN], &resampling).is_err());
        assert!(median_ratio(&[1.0], &[0.0], &resampling).is_err());
        assert!(mean(&[1.0], &Resampling { resamples: 3, seed: 0 }).is_err());
    }
}
