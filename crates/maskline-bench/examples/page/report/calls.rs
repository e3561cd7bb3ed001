//! Simulated calls.

use std::time::Duration;

use maskline_bench::random::Random;
use maskline_bench::samples::{Sample, from_milliseconds};

/// A time around 1 with a tail, and now and then a hiccup.
pub(crate) fn skewed(random: &mut Random, spread: f64) -> f64 {
    let hiccup = if random.unit() < 0.004 { 1.0 + random.unit() } else { 1.0 };
    (0.97 + 0.03 * (1.5 * spread / 0.03 * random.normal() / 2.0).exp()) * hiccup
}

/// What warm-up costs at a time.
pub(crate) fn warm(at: f64, length: f64) -> f64 {
    1.0 + 1.4 * (-at / length).exp()
}

/// Two clock rates.
pub(crate) fn modes(random: &mut Random) -> f64 {
    let base = if random.unit() < 0.25 { 11.0 } else { 14.5 };
    base * skewed(random, 0.03)
}

/// A closed loop of so many seconds, whose call at a time takes so many milliseconds.
pub(crate) fn closed(seconds: f64, mut time: impl FnMut(f64) -> f64) -> Vec<Sample> {
    let mut start = Duration::ZERO;
    let mut samples = Vec::new();
    while start.as_secs_f64() < seconds {
        let duration = from_milliseconds(time(start.as_secs_f64())).unwrap_or_default();
        samples.push(Sample::new(start, duration));
        start += duration;
    }
    samples
}
