//! When warm-up ends, and whether the rest may be believed.
//!
//! The run is cut into consecutive windows, each of at least [`Options::window`] and at least 11 samples (the floor of a median).
//! **Warm-up ends** at the first of three consecutive windows whose p50 and whose rate each agree within 5 %: largest over smallest.
//! All that follows is the steady part; nothing of it is left out. It is `VALID` unless one of these says otherwise, in this order:
//!
//! | check | the run is | why |
//! |---|---|---|
//! | fewer than three windows, under 10 s, or under 11 samples | `INSUFFICIENT` | there is nothing to judge |
//! | no three windows agree | `UNSTABLE` | warm-up never ended |
//! | the thirds of the steady part differ by more than 5 % on p50 or rate, and surely | `UNSTABLE` | a later change of regime |
//! | more than a tenth of the windows (and more than one) are surely off the median of all | `UNSTABLE` | regimes that come and go |
//! | the medians drift by more than 5 % over the run, and surely | `UNSTABLE` | heat, leaks |
//! | the durations have two [modes](Modes) | `UNSTABLE` | a well-mixed pair of regimes, which every window shows alike |
//!
//! Thirds "surely" differ if the 95 % intervals of the two furthest apart do not touch. A window is "surely off" if the 95 % interval of
//! its own median lies outside of ±5 % of the median of all, so that few and scattered samples are not accused. Drift is the Theil–Sen
//! slope of the windows' medians with Sen's interval (Sen 1968).

mod drift;
mod modes;
mod windows;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use drift::Drift;
pub use modes::Modes;

use crate::error::{Error, Result};
use crate::percentile::{Estimate, Percentile, median, sorted};
use crate::samples::{Sample, Series};
use windows::{Window, cut};

/// How to judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Least length of a window.
    pub window: Duration,
    /// What counts as equal, as a share.
    pub tolerance: f64,
    /// Least length of the steady part.
    pub least_time: Duration,
    /// Whether rates must agree too: not those of random arrivals, which are the schedule's and not the target's.
    pub is_rate_judged: bool,
}

impl Default for Options {
    /// Windows of 1 s, 5 %, 10 s.
    fn default() -> Self {
        Self { window: Duration::from_secs(1), tolerance: 0.05, least_time: Duration::from_secs(10), is_rate_judged: true }
    }
}

/// Whether the figures may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Steady, and enough samples.
    Valid,
    /// The figures depend on when one looked.
    Unstable,
    /// Too few samples to say.
    Insufficient,
}

/// A status and its reason in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether the figures may be believed.
    pub status: Status,
    /// Why, with the numbers that decided.
    pub reason: String,
    /// Change of the median over the steady part; `None` with fewer than three windows.
    pub drift: Option<Drift>,
}

/// What [`judge`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The samples, warm-up and steady apart. All are steady where warm-up never ended, since there is no telling.
    pub series: Series,
    /// Whether the steady ones may be believed.
    pub verdict: Verdict,
}

impl Status {
    /// As it is printed: `VALID`, `UNSTABLE`, `INSUFFICIENT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Unstable => "UNSTABLE",
            Self::Insufficient => "INSUFFICIENT",
        }
    }
}

/// Tells warm-up from steady and judges the steady part. The order of the samples does not matter.
///
/// # Errors
/// If the tolerance is not between 0 and 1 or windows have no length.
pub fn judge(samples: &[Sample], options: &Options) -> Result<Judgement> {
    if !(options.tolerance > 0.0 && options.tolerance < 1.0) {
        return Err(Error::argument("tolerance", "a share between 0 and 1", options.tolerance));
    }
    if options.window.is_zero() {
        return Err(Error::argument("window", "more than 0 s", "0 s"));
    }
    let mut samples = samples.to_vec();
    samples.sort_by_key(|sample| sample.start);
    let windows = cut(&samples, options.window);
    let first = windows.windows(AGREEING).position(|three| disagreement(three, options).is_none());
    let warm_up = first.map_or(0, |first| windows[first].range.start);
    let steady = &samples[warm_up..];
    let drift = Drift::of(&windows[first.unwrap_or(0)..]);
    let (status, reason) = match first {
        _ if windows.len() < AGREEING => (Status::Insufficient, few_windows(windows.len(), options)),
        None => (Status::Unstable, never_steady(&windows, options)),
        Some(first) => match (shortage(steady, options), trouble(steady, &windows[first..], options)) {
            (Some(reason), _) => (Status::Insufficient, reason),
            (None, Some(reason)) => (Status::Unstable, reason),
            (None, None) => (Status::Valid, format!("steady from sample {warm_up} on, {} samples", steady.len())),
        },
    };
    let verdict = Verdict { status, reason, drift };
    Ok(Judgement { series: Series::new(samples, warm_up), verdict })
}

/// How many consecutive windows must agree.
const AGREEING: usize = 3;

fn few_windows(found: usize, options: &Options) -> String {
    let windows = if found == 1 { "window" } else { "windows" };
    format!("{found} {windows} of {} s and 11 samples; 3 are needed", options.window.as_secs_f64())
}

fn never_steady(windows: &[Window], options: &Options) -> String {
    let last = disagreement(&windows[windows.len() - AGREEING..], options).unwrap_or_default();
    format!("no 3 consecutive windows agree within {:.0} %; of the last three, {last}", options.tolerance * 100.0)
}

/// In words, what the windows disagree on.
fn disagreement(windows: &[Window], options: &Options) -> Option<String> {
    let spread = |what: &str, of: fn(&Window) -> f64| {
        let least = windows.iter().map(of).fold(f64::INFINITY, f64::min);
        let most = windows.iter().map(of).fold(0.0, f64::max);
        let apart = most / least - 1.0;
        // Windows whose samples are all 0 agree.
        (most > 0.0 && apart > options.tolerance).then(|| format!("the {what} differ by {:.1} %", apart * 100.0))
    };
    let rates = || options.is_rate_judged.then(|| spread("rates", |window| window.rate)).flatten();
    spread("medians", |window| window.median_ms).or_else(rates)
}

fn shortage(steady: &[Sample], options: &Options) -> Option<String> {
    let first = steady.first()?.start;
    let time = steady.iter().map(Sample::end).max()?.saturating_sub(first);
    let least = Percentile::P50.floor();
    if steady.len() < least {
        return Some(format!("{} steady samples; {least} are needed", steady.len()));
    }
    let [found, least] = [time, options.least_time].map(|time| time.as_secs_f64());
    (time < options.least_time).then(|| format!("{found:.3} s of steady samples; {least:.3} s are needed"))
}

fn trouble(steady: &[Sample], windows: &[Window], options: &Options) -> Option<String> {
    thirds_differ(steady, options)
        .or_else(|| windows_off(steady, windows, options.tolerance))
        .or_else(|| Drift::of(windows).and_then(|drift| drift.trouble(options.tolerance)))
        .or_else(|| Modes::of(steady, options.tolerance).map(|modes| modes.to_string()))
}

fn thirds_differ(steady: &[Sample], options: &Options) -> Option<String> {
    let third = steady.len() / 3;
    let thirds = [&steady[..third], &steady[third..2 * third], &steady[2 * third..]];
    let medians = thirds.map(|own| Percentile::P50.of_few_sorted(&sorted(own.iter().map(Sample::milliseconds))));
    let differ = |what: &str, figures: [Option<Estimate>; 3]| {
        let [first, second, third] = figures;
        let figures = [first?, second?, third?];
        let least = figures.iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
        let most = figures.iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
        let apart = most.value / least.value - 1.0;
        let reason = format!("the thirds of the steady part do not agree: the {what} differ by {:.1} %", apart * 100.0);
        (apart > options.tolerance && most.low > least.high).then_some(reason)
    };
    let rates = || options.is_rate_judged.then(|| differ("rates", thirds.map(rate))).flatten();
    differ("medians", medians).or_else(rates)
}

/// Calls per second with the interval that the scatter of the gaps between them gives.
fn rate(samples: &[Sample]) -> Option<Estimate> {
    let gaps: Vec<f64> = samples.windows(2).map(|pair| (pair[1].start - pair[0].start).as_secs_f64()).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    let reach = 1.96 * (variance / gaps.len() as f64).sqrt() / mean;
    let value = 1.0 / mean;
    (value.is_finite() && reach.is_finite()).then_some(Estimate { value, low: value * (1.0 - reach), high: value * (1.0 + reach) })
}

fn windows_off(steady: &[Sample], windows: &[Window], tolerance: f64) -> Option<String> {
    let all = median(&mut steady.iter().map(Sample::milliseconds).collect::<Vec<_>>());
    let first = windows.first()?.range.start;
    let is_off = |window: &&Window| {
        let own = sorted(steady[window.range.start - first..window.range.end - first].iter().map(Sample::milliseconds));
        let interval = Percentile::P50.of_few_sorted(&own);
        interval.is_some_and(|own| own.low > all * (1.0 + tolerance) || own.high < all * (1.0 - tolerance))
    };
    let off = windows.iter().filter(is_off).count();
    let share = format!("{off} of {} windows are more than {:.0} % off the median of all", windows.len(), tolerance * 100.0);
    (off > 1 && off * 10 > windows.len()).then_some(share)
}
