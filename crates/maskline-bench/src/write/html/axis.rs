//! Axes with round ticks.

/// More than so many steps between ticks look crowded.
const MOST_STEPS: f64 = 7.0;
/// Values that differ by a larger factor need a logarithmic axis.
const MOST_LINEAR: f64 = 20.0;
/// Less than this is 0 on any axis: steps of it would be lost in rounding.
const LEAST: f64 = 1e-12;

/// An axis: what it shows, from where to where, and where its ticks are.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) label: String,
    low: f64,
    high: f64,
    is_log: bool,
    /// Share of the axis that is left free at both ends.
    margin: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// From 0 to at least `most`, with round ticks.
    pub(super) fn from_zero(label: impl Into<String>, most: f64) -> Self {
        let most = if most.is_finite() && most > LEAST { most } else { 1.0 };
        let step = round_step(most / MOST_STEPS);
        let count = (most / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=count as usize).map(|i| i as f64 * step).collect();
        Self { label: label.into(), low: 0.0, high: count * step, is_log: false, margin: 0.0, ticks }
    }

    /// From 0 to exactly `most`: for time, where nothing comes after the end.
    pub(super) fn until(label: impl Into<String>, most: f64) -> Self {
        let mut axis = Self::from_zero(label, most);
        if most > 0.0 && most < axis.high {
            axis.high = most;
            axis.ticks.retain(|tick| *tick <= most);
        }
        axis
    }

    /// Over the values with round ends, logarithmic where they differ by more than a factor of 20: for distributions, which need no 0.
    pub(super) fn around(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter().filter(|value| value.is_finite());
        let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if !(least > 0.0 && most - least > LEAST) || most > least * MOST_LINEAR {
            return Self::spanning(label, [least, most]);
        }
        let step = round_step((most - least) / MOST_STEPS);
        let [first, last] = [(least / step).floor(), (most / step).ceil()];
        let ticks: Vec<f64> = (first as i64..=last as i64).map(|i| i as f64 * step).collect();
        Self { label: label.into(), low: first * step, high: last * step, is_log: false, margin: 0.0, ticks }
    }

    /// Over the values, from 0 where they lie within a factor of 20, and logarithmic where not.
    pub(super) fn spanning(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (least, most) = usable.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if most > least * MOST_LINEAR { Self::log(label, least, most) } else { Self::from_zero(label, most) }
    }

    fn log(label: impl Into<String>, least: f64, most: f64) -> Self {
        let decades = least.log10().floor() as i32..=most.log10().ceil() as i32;
        let per_decade: &[f64] = if most > least * 1e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all: Vec<f64> = decades.flat_map(|decade| per_decade.iter().map(move |digit| digit * 10_f64.powi(decade))).collect();
        let low = all.iter().copied().filter(|tick| *tick <= least).fold(least, |_, tick| tick);
        let high = all.iter().copied().find(|tick| *tick >= most).unwrap_or(most);
        let ticks = all.into_iter().filter(|tick| (low..=high).contains(tick)).collect();
        Self { label: format!("{}, logarithmic", label.into()), low, high, is_log: true, margin: 0.0, ticks }
    }

    /// With a tick at each of a few values; logarithmic where they grow by factors, such as 1, 2, 4, 8.
    pub(super) fn at_values(label: impl Into<String>, values: &[f64]) -> Self {
        const MOST_TICKS: usize = 12;
        let mut ticks: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        ticks.sort_unstable_by(f64::total_cmp);
        ticks.dedup();
        let [low, high] = [ticks.first(), ticks.last()].map(|end| end.copied().unwrap_or(0.0));
        let label = label.into();
        if ticks.len() < 2 || ticks.len() > MOST_TICKS {
            return Self::from_zero(label, high);
        }
        let is_log = low > 0.0 && high >= low * 8.0;
        let label = if is_log { format!("{label}, logarithmic") } else { label };
        let mut axis = Self { label, low, high, is_log, margin: 0.04, ticks };
        axis.thin_out();
        axis
    }

    /// For ratios: logarithmic, with 1 in the middle, wide enough for all of them.
    pub(super) fn ratio(label: impl Into<String>, ratios: impl IntoIterator<Item = f64>) -> Self {
        /// Ticks on both sides of 1, the finest that still reach far enough: ends, then what lies between them and 1.
        const TICKS: [&[f64]; 6] = [
            &[0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06],
            &[0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15],
            &[0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4],
            &[0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0],
            &[0.2, 0.33, 0.5, 1.0, 2.0, 3.0, 5.0],
            &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
        ];
        let usable = ratios.into_iter().filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        let reach = usable.map(|ratio| ratio.max(1.0 / ratio)).fold(1.0, f64::max);
        let fits = |ticks: &&&[f64]| ticks.last().is_some_and(|last| *last >= reach);
        let ticks = TICKS.iter().find(fits).unwrap_or(&TICKS[TICKS.len() - 1]).to_vec();
        let end = ticks.iter().map(|tick| tick.max(1.0 / tick)).fold(reach, f64::max);
        Self { label: format!("{}, logarithmic", label.into()), low: 1.0 / end, high: end, is_log: true, margin: 0.03, ticks }
    }

    /// Drops ticks that would touch their predecessor, never the values.
    fn thin_out(&mut self) {
        const NEAREST: f64 = 0.05;
        let mut last = f64::NEG_INFINITY;
        let is_far = self.ticks.iter().map(|tick| {
            let is_far = self.share(*tick) >= last + NEAREST;
            last = if is_far { self.share(*tick) } else { last };
            is_far
        });
        let is_far: Vec<bool> = is_far.collect();
        let mut keep = is_far.into_iter();
        self.ticks.retain(|_| keep.next().unwrap_or(true));
    }

    /// Where a value lies, from 0 to 1; values beyond the ends lie at the ends.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // A value that is not a number lies at the low end.
        self.margin + (1.0 - 2.0 * self.margin) * if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// A tick as it is written.
    pub(super) fn tick_text(&self, tick: f64) -> String {
        let step = self.ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        let finest = if self.is_log || !step.is_finite() { tick } else { step };
        round_text(tick, finest)
    }
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= rough * (1.0 - 1e-9)).unwrap_or(10.0);
    digit * power
}

/// A round number with as many decimals as `finest` needs, thousands apart.
fn round_text(value: f64, finest: f64) -> String {
    const MOST_DECIMALS: usize = 9;
    let is_whole = |decimals: &usize| {
        let scaled = finest * 10_f64.powi(*decimals as i32);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1e-3)
    };
    let decimals = (0..MOST_DECIMALS).find(is_whole).unwrap_or(MOST_DECIMALS);
    let text = format!("{value:.decimals$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut apart = String::new();
    for (i, letter) in text.char_indices() {
        // Four digits read well as they are.
        if whole > 4 && i > 0 && i < whole && (whole - i) % 3 == 0 {
            apart.push('\u{202f}');
        }
        apart.push(letter);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::{Axis, round_text};

    #[test]
    fn ticks_are_round_and_few() {
        for most in [0.000_37, 0.9, 1.0, 7.3, 23.0, 99.0, 1549.4, 2e6] {
            let axis = Axis::from_zero("x", most);
            assert!((3..=9).contains(&axis.ticks.len()), "{most}: {:?}", axis.ticks);
            assert!(axis.high >= most && axis.high <= most * 2.0, "{most}: {}", axis.high);
        }
        let texts = |axis: &Axis| axis.ticks.iter().map(|tick| axis.tick_text(*tick)).collect::<Vec<_>>();
        assert_eq!(texts(&Axis::from_zero("x", 0.9)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(&Axis::until("x", 60.1)), ["0", "10", "20", "30", "40", "50", "60"]);
        assert_eq!(texts(&Axis::around("x", [206.0, 237.8])), ["205", "210", "215", "220", "225", "230", "235", "240"]);
        assert_eq!(texts(&Axis::spanning("x", [8.0, 310.0])), ["5", "10", "20", "50", "100", "200", "500"]);
        assert_eq!(texts(&Axis::at_values("x", &[1.0, 2.0, 4.0, 8.0])), ["1", "2", "4", "8"]);
        assert_eq!(texts(&Axis::ratio("x", [0.98, 1.1])), ["0.85", "0.9", "0.95", "1", "1.05", "1.1", "1.15"]);
        assert_eq!([round_text(12_345.0, 5.0), round_text(1000.0, 500.0)], ["12\u{202f}345", "1000"]);
    }

    #[test]
    fn shares_stay_within_the_axis() {
        let around = [Axis::around("x", []), Axis::around("x", [2.0]), Axis::around("x", [2.0, 3.0]), Axis::around("x", [0.0, 1.0])];
        let ratios = [&[][..], &[1.0], &[0.0, f64::NAN], &[0.2, 9.0], &[1e-9, 1e9]].map(|ratios| Axis::ratio("x", ratios.iter().copied()));
        assert!(ratios.iter().all(|axis| (axis.share(1.0) - 0.5).abs() < 1e-9), "{ratios:?}");
        let axes = [Axis::from_zero("x", f64::NAN), Axis::from_zero("x", 0.0), Axis::spanning("x", []), Axis::spanning("x", [1.0, 1e9])];
        for axis in axes
            .into_iter()
            .chain([
                Axis::at_values("x", &[]),
                Axis::at_values("x", &[3.0]),
                Axis::at_values("x", &[0.0, 1.0]),
                Axis::until("x", 0.0),
                Axis::from_zero("x", 1e-320),
            ])
            .chain(around)
            .chain(ratios)
        {
            for value in [1e-320, f64::NAN, f64::INFINITY, -1.0, 0.0, 1.0, 1e300] {
                assert!((0.0..=1.0).contains(&axis.share(value)), "{axis:?} {value}");
            }
        }
    }
}
