//! Consecutive windows of a run.

use std::ops::Range;
use std::time::Duration;

use crate::percentile::{Percentile, median};
use crate::samples::{Sample, milliseconds};

/// A stretch of the run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Its samples.
    pub(super) range: Range<usize>,
    /// Middle of its starts, in seconds from the start of the run.
    pub(super) middle: f64,
    /// Median of its durations.
    pub(super) median_ms: f64,
    /// Samples per second, from its first start to the next window's.
    pub(super) rate: f64,
}

impl Window {
    /// The window of `range` among samples in the order of their starts. An empty range has `NaN` figures.
    pub(super) fn new(samples: &[Sample], range: Range<usize>) -> Self {
        let own = &samples[range.clone()];
        let start = own.first().map_or(Duration::ZERO, |sample| sample.start);
        let last = own.last().map_or(Duration::ZERO, Sample::end);
        let stop = samples.get(range.end).map_or(last, |next| next.start);
        let [from, to] = [start, stop].map(|time| milliseconds(time) / 1e3);
        let median_ms = median(&mut own.iter().map(Sample::milliseconds).collect::<Vec<_>>());
        Self { rate: own.len() as f64 / (to - from), middle: from.midpoint(to), median_ms, range }
    }
}

/// Windows of at least `length` and at least as many samples as a median needs. What is left over at the end, too short for a
/// window of its own, belongs to the last.
pub(super) fn cut(samples: &[Sample], length: Duration) -> Vec<Window> {
    let fewest = Percentile::P50.floor();
    let mut ends = Vec::new();
    let mut start = 0;
    for end in 1..=samples.len() {
        let stop = samples.get(end).map_or_else(|| samples[end - 1].end(), |next| next.start);
        if end - start >= fewest && stop.saturating_sub(samples[start].start) >= length {
            ends.push(end);
            start = end;
        }
    }
    if let Some(last) = ends.last_mut() {
        *last = samples.len();
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| Window::new(samples, start..*end)).collect()
}

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::samples::Sample;
    use std::time::Duration;

    fn every(ms: u64, n: u64) -> Vec<Sample> {
        (0..n).map(|i| Sample::new(Duration::from_millis(i * ms), Duration::from_millis(ms))).collect()
    }

    #[test]
    fn windows_cover_the_run() {
        for (ms, n) in [(10, 1234), (1, 5000), (400, 100), (10, 100)] {
            let samples = every(ms, n);
            let windows = cut(&samples, Duration::from_secs(1));
            assert_eq!(windows.first().map(|w| w.range.start), Some(0));
            assert_eq!(windows.last().map(|w| w.range.end), Some(samples.len()));
            assert!(windows.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
            assert!(windows.iter().all(|w| w.range.len() >= 11 && (w.rate - 1000.0 / ms as f64).abs() < 1e-6), "{windows:?}");
        }
    }

    #[test]
    fn short_runs_have_no_window() {
        assert!(cut(&every(10, 99), Duration::from_secs(1)).is_empty());
        assert!(cut(&every(500, 10), Duration::from_secs(1)).is_empty());
        assert!(cut(&[], Duration::from_secs(1)).is_empty());
    }
}
