//! Calls and how long they took. Warm-up is kept, apart; nothing is ever removed as an outlier.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bootstrap::{self, Resampling};
use crate::error::{Error, Result};
use crate::percentile::{Estimate, Percentile, sorted};

/// One call that answered. In JSON `[start in ms, duration in ms, input]`, exact to the nanosecond for 25 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it started, from the start of the run; when it should have started in an open loop.
    pub start: Duration,
    /// How long it took, from `start`.
    pub duration: Duration,
    /// Which of the run's inputs it had. Inputs of different size differ in time, and that is no sign of unsteadiness.
    pub input: u32,
}

/// The samples of a run, warm-up and steady ones apart, each in the order of their starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    warm_up: Vec<Sample>,
    steady: Vec<Sample>,
}

/// The figures of a set of samples, in milliseconds. `None` is "n/a": too few samples (see [`percentile`](crate::percentile)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Number of samples.
    pub n: usize,
    /// From the first start to the last end, in seconds.
    pub seconds: f64,
    /// Mean, with a bootstrap interval.
    pub mean_ms: Estimate,
    /// Standard deviation (of `n - 1`); 0 for a single sample.
    pub deviation_ms: f64,
    /// Coefficient of variation: standard deviation over mean.
    pub variation: f64,
    /// The fastest.
    pub min_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// Median.
    pub p50_ms: Option<Estimate>,
    /// 90th percentile.
    pub p90_ms: Option<Estimate>,
    /// 95th percentile.
    pub p95_ms: Option<Estimate>,
    /// 99th percentile.
    pub p99_ms: Option<Estimate>,
    /// 99.9th percentile.
    pub p999_ms: Option<Estimate>,
}

impl Sample {
    /// A sample of the run's only input.
    pub fn new(start: Duration, duration: Duration) -> Self {
        Self { start, duration, input: 0 }
    }

    /// When it ended.
    pub fn end(&self) -> Duration {
        self.start.saturating_add(self.duration)
    }

    /// Its duration in milliseconds.
    pub fn milliseconds(&self) -> f64 {
        milliseconds(self.duration)
    }
}

impl Series {
    /// The samples by their start; the first `warm_up` of them are warm-up.
    pub fn new(mut samples: Vec<Sample>, warm_up: usize) -> Self {
        samples.sort_by_key(|sample| sample.start);
        let steady = samples.split_off(warm_up.min(samples.len()));
        Self { warm_up: samples, steady }
    }

    /// Samples that were told apart by something else than their order.
    pub fn apart(mut warm_up: Vec<Sample>, mut steady: Vec<Sample>) -> Self {
        warm_up.sort_by_key(|sample| sample.start);
        steady.sort_by_key(|sample| sample.start);
        Self { warm_up, steady }
    }

    /// The samples before steadiness.
    pub fn warm_up(&self) -> &[Sample] {
        &self.warm_up
    }

    /// The samples that figures are made of.
    pub fn steady(&self) -> &[Sample] {
        &self.steady
    }
}

impl Summary {
    /// The figures of samples, with intervals of the default [`Resampling`].
    ///
    /// # Errors
    /// If there are no samples.
    pub fn of(samples: &[Sample]) -> Result<Self> {
        Self::resampled(samples, &Resampling::default())
    }

    /// The figures of samples.
    ///
    /// # Errors
    /// If there are no samples or too few resamples.
    pub fn resampled(samples: &[Sample], resampling: &Resampling) -> Result<Self> {
        let times: Vec<f64> = samples.iter().map(Sample::milliseconds).collect();
        let mean_ms = bootstrap::mean(&times, resampling)?;
        let squares: f64 = times.iter().map(|time| (time - mean_ms.value).powi(2)).sum();
        let deviation_ms = (squares / (times.len() - 1).max(1) as f64).sqrt();
        let sorted = sorted(times);
        let [p50_ms, p90_ms, p95_ms, p99_ms, p999_ms] = Percentile::ALL.map(|percentile| percentile.of_sorted(&sorted));
        Ok(Self {
            n: sorted.len(),
            seconds: span(samples).as_secs_f64(),
            mean_ms,
            deviation_ms,
            variation: if mean_ms.value > 0.0 { deviation_ms / mean_ms.value } else { 0.0 },
            min_ms: sorted.first().copied().unwrap_or(mean_ms.value),
            max_ms: sorted.last().copied().unwrap_or(mean_ms.value),
            p50_ms,
            p90_ms,
            p95_ms,
            p99_ms,
            p999_ms,
        })
    }

    /// A percentile; `None` where there are too few samples.
    pub fn percentile(&self, percentile: Percentile) -> Option<Estimate> {
        match percentile {
            Percentile::P50 => self.p50_ms,
            Percentile::P90 => self.p90_ms,
            Percentile::P95 => self.p95_ms,
            Percentile::P99 => self.p99_ms,
            Percentile::P999 => self.p999_ms,
        }
    }

    /// Answers per second over the whole span; 0 where there is no span.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.n as f64 / self.seconds } else { 0.0 }
    }
}

/// From the first start to the last end.
fn span(samples: &[Sample]) -> Duration {
    let first = samples.iter().map(|sample| sample.start).min().unwrap_or_default();
    let last = samples.iter().map(Sample::end).max().unwrap_or_default();
    last.saturating_sub(first)
}

/// A duration in milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// Milliseconds as a duration; `None` where they are not finite, negative or beyond a duration's range.
pub fn from_milliseconds(milliseconds: f64) -> Option<Duration> {
    let nanoseconds = (milliseconds * 1e6).round();
    // Not `try_from_secs_f64`: dividing by 1000 first would lose the last digit.
    (0.0..=u64::MAX as f64 / 2.0).contains(&nanoseconds).then(|| Duration::from_nanos(nanoseconds as u64))
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (milliseconds(self.start), self.milliseconds(), self.input).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, duration, input) = <(f64, f64, u32)>::deserialize(deserializer)?;
        let time = |what: &str, ms: f64| {
            from_milliseconds(ms).ok_or_else(|| serde::de::Error::custom(Error::argument(what, "milliseconds of at least 0", ms)))
        };
        Ok(Self { start: time("start of a sample", start)?, duration: time("duration of a sample", duration)?, input })
    }
}
