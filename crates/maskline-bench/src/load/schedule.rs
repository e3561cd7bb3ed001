//! When calls should start.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::random::Random;

/// How calls arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// At even distances.
    Constant,
    /// Each independent of all others (a Poisson process): the gaps are exponential. The seed decides which.
    Poisson {
        /// Seed of the gaps.
        seed: u64,
    },
}

/// `count` intended starts at a mean rate per second, rising from the start of the run.
///
/// # Errors
/// If the rate is not above 0, or so low that the last start is beyond a thousand years.
pub fn schedule(arrivals: Arrivals, rate: f64, count: usize) -> Result<Vec<Duration>> {
    const LONGEST: f64 = 1000.0 * 365.25 * 86400.0;
    if !(rate.is_finite() && rate > 0.0) {
        return Err(Error::argument("rate", "calls per second, above 0", rate));
    }
    let starts: Vec<f64> = match arrivals {
        Arrivals::Constant => (0..count).map(|i| i as f64 / rate).collect(),
        Arrivals::Poisson { seed } => {
            let mut random = Random::new(seed);
            let gaps = (0..count).map(|_| random.exponential() / rate);
            gaps.scan(0.0, |start, gap| Some(std::mem::replace(start, *start + gap))).collect()
        }
    };
    match starts.last() {
        Some(last) if *last > LONGEST => Err(Error::argument("rate", "a run of less than a thousand years", rate)),
        _ => Ok(starts.into_iter().map(Duration::from_secs_f64).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, schedule};

    #[test]
    fn constant_arrivals_are_even() {
        let starts = schedule(Arrivals::Constant, 4.0, 5).expect("a fine rate");
        assert_eq!(starts.iter().map(|s| s.as_millis()).collect::<Vec<_>>(), [0, 250, 500, 750, 1000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let starts = schedule(Arrivals::Poisson { seed: 1 }, 100.0, 20_001).expect("a fine rate");
        let gaps: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // An exponential distribution's deviation is its mean; five standard errors.
        assert!((mean * 100.0 - 1.0).abs() < 0.036, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
        assert_eq!(starts, schedule(Arrivals::Poisson { seed: 1 }, 100.0, 20_001).expect("a fine rate"));
        assert_ne!(starts, schedule(Arrivals::Poisson { seed: 2 }, 100.0, 20_001).expect("a fine rate"));
    }

    #[test]
    fn bad_rates_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(schedule(Arrivals::Constant, rate, 1).is_err(), "{rate}");
        }
        assert!(schedule(Arrivals::Constant, 1e-12, 10).is_err());
        assert!(schedule(Arrivals::Constant, 1.0, 0).is_ok_and(|starts| starts.is_empty()));
    }
}
