//! Slow change over a run.

use serde::{Deserialize, Serialize};

use super::windows::Window;
use crate::percentile::{Estimate, median_of_sorted, sorted};

/// Slope of the windows' medians: the Theil–Sen estimate, which single odd windows do not move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Change of the median from the first window to the last, as a share of the median of all windows, with Sen's 95 % interval.
    pub change: Estimate,
}

impl Drift {
    /// `None` with fewer than three windows, or where the medians are 0.
    pub(super) fn of(windows: &[Window]) -> Option<Self> {
        let (first, last) = (windows.first()?, windows.last()?);
        let middle = median_of_sorted(&sorted(windows.iter().map(|window| window.median_ms)));
        let scale = (last.middle - first.middle) / middle;
        if windows.len() < 3 || !scale.is_finite() {
            return None;
        }
        let slope = |a: &Window, b: &Window| (b.median_ms - a.median_ms) / (b.middle - a.middle) * scale;
        let pairs = windows.iter().enumerate().flat_map(|(i, a)| windows[i + 1..].iter().map(move |b| slope(a, b)));
        let slopes = sorted(pairs.filter(|slope| slope.is_finite()));
        let value = median_of_sorted(&slopes);
        let [low, high] = sen_interval(&slopes, windows.len());
        value.is_finite().then_some(Self { change: Estimate { value, low: low.min(value), high: high.max(value) } })
    }

    /// Why the change is too large, if it surely is one and more than `tolerance`.
    pub(super) fn trouble(&self, tolerance: f64) -> Option<String> {
        let Estimate { value, low, high } = self.change;
        let is_sure = low > 0.0 || high < 0.0;
        let [value_percent, low, high] = [value, low, high].map(|share| share * 100.0);
        let reason = format!("the median drifts by {value_percent:+.1} % over the run (95 % interval {low:+.1} to {high:+.1} %)");
        (is_sure && value.abs() > tolerance).then_some(reason)
    }
}

/// Sen (1968): the slopes whose ranks are Kendall's 95 % bounds away from the middle.
fn sen_interval(slopes: &[f64], n: usize) -> [f64; 2] {
    let (n, pairs) = (n as f64, slopes.len() as f64);
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let reach = 1.96 * deviation;
    let low = ((pairs - reach) / 2.0).floor().max(1.0) as usize;
    let high = (((pairs + reach) / 2.0).ceil() as usize + 1).min(slopes.len());
    let at = |rank: usize| slopes.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN);
    [at(low), at(high)]
}

#[cfg(test)]
mod tests {
    use super::{Drift, Window};
    use crate::random::Random;

    fn windows(medians: impl Iterator<Item = f64>) -> Vec<Window> {
        medians.enumerate().map(|(i, median_ms)| Window { range: i..i + 1, middle: i as f64, median_ms, rate: 1.0 }).collect()
    }

    #[test]
    fn a_slope_is_found_and_enclosed() {
        let mut random = Random::new(9);
        // 1 % per window over 20 windows, with a scatter of 1 %.
        let drift = Drift::of(&windows((0..21).map(|i| 10.0 + 0.1 * f64::from(i) + 0.1 * random.normal()))).expect("enough windows");
        assert!(drift.change.is_sound() && drift.change.low < 0.182 && 0.182 < drift.change.high, "{drift:?}");
        assert!(drift.change.low > 0.1 && drift.trouble(0.05).is_some_and(|reason| reason.contains("drifts by +")));
    }

    #[test]
    fn no_slope_is_no_trouble() {
        let mut random = Random::new(10);
        let flat = Drift::of(&windows((0..30).map(|_| 10.0 + 0.1 * random.normal()))).expect("enough windows");
        assert!(flat.change.low < 0.0 && flat.change.high > 0.0 && flat.trouble(0.05).is_none(), "{flat:?}");
        assert!(Drift::of(&windows([1.0, 2.0].into_iter())).is_none());
        assert!(Drift::of(&windows([0.0; 5].into_iter())).is_none());
    }
}
