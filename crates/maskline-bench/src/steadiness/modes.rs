//! Two regimes mixed so well that every window looks like every other.

use crate::binomial::at_most;
use crate::percentile::{median, median_of_sorted, sorted};
use crate::samples::Sample;

/// Two modes of the durations, with a valley between them.
///
/// Windows agree, medians are flat and the interval of p50 is narrow when four calls in five take 10 ms and every fifth takes
/// 20 ms; yet "p50 10 ms" depends on a mixture that another day changes. What shows it is the shape.
///
/// # The test
/// The sorted durations are split after 10 %, 15 %, …, 90 %. Of each split, take the medians `a < b` of both sides, and count the samples
/// in three stretches of equal width `(b - a) / 3`: around `a`, around `b`, and the one midway. *If the distribution had one mode*, the
/// middle stretch would hold at least as much as the lesser of the outer two: a density with one mode stays so when smoothed with a box (boxes
/// are log-concave; Ibragimov 1956), and a density with one mode is nowhere lower than at the lower of two points around. So a middle stretch
/// with surely less than that contradicts one mode, whatever the shape, skew and tail. There are two modes when
/// * the middle holds less than half of the lesser peak, and a fair coin would give so few (binomial) with a risk below 0.1 % shared by the 17
///   splits: noise does not make a valley;
/// * `b - a` is more than the tolerance (5 %) of the median: two modes nearer than what counts as equal do no harm.
///
/// Less than a tenth of the samples is no mode but a tail, which p90 to p99.9 show. Hartigan's dip (1985) asks the same question
/// of the whole distribution, but is significant for any valley, however shallow or narrow, once there are enough samples.
///
/// Durations are taken relative to the median of their own input, since inputs of different size have modes by right. Inputs with
/// fewer than 11 samples are not looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modes {
    /// Middle of the fast mode in milliseconds.
    pub fast_ms: f64,
    /// Middle of the slow mode in milliseconds.
    pub slow_ms: f64,
    /// Share of the samples that are in the slow mode.
    pub slow_share: f64,
}

/// Risk of calling a single mode two, over all splits.
const RISK: f64 = 0.001;
const SPLITS: std::ops::RangeInclusive<usize> = 2..=18;

impl Modes {
    /// The two modes, if there are two that are more than `tolerance` apart.
    pub fn of(samples: &[Sample], tolerance: f64) -> Option<Self> {
        let times = sorted(relative_to_inputs(samples));
        let middle = median(&mut times.clone());
        let fewest = 1.0 / 20.0;
        let splits = SPLITS.map(|twentieth| (times.len() as f64 * fewest * twentieth as f64) as usize);
        let found = splits.filter_map(|split| Valley::between(&times, split));
        let apart = found.filter(|valley| valley.b - valley.a > tolerance * middle && valley.is_sure());
        let modes = apart.filter_map(|valley| Some((valley.depth(), Self::beside(&times, &valley)?)));
        modes.min_by(|x, y| x.0.total_cmp(&y.0)).map(|(_, modes)| modes)
    }

    /// The modes on both sides of a valley; `None` where one of them is but a tail.
    fn beside(sorted: &[f64], valley: &Valley) -> Option<Self> {
        const LEAST: f64 = 0.1;
        let (fast, slow) = sorted.split_at(below(sorted, valley.a.midpoint(valley.b)));
        let slow_share = slow.len() as f64 / sorted.len() as f64;
        let modes = Self { fast_ms: median_of_sorted(fast), slow_ms: median_of_sorted(slow), slow_share };
        (LEAST..=1.0 - LEAST).contains(&slow_share).then_some(modes)
    }
}

impl std::fmt::Display for Modes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fast_ms, slow_ms, slow_share } = self;
        write!(f, "two modes: around {fast_ms:.3} ms and, {:.0} % of the samples, around {slow_ms:.3} ms", slow_share * 100.0)
    }
}

/// Two peaks and what lies between.
struct Valley {
    a: f64,
    b: f64,
    lesser_peak: usize,
    middle: usize,
}

impl Valley {
    fn between(sorted: &[f64], split: usize) -> Option<Self> {
        let (fast, slow) = sorted.split_at_checked(split)?;
        let [a, b] = [fast, slow].map(|side| side.get(side.len() / 2).copied());
        let (a, b) = (a?, b?);
        let half = (b - a) / 6.0;
        let around = |x: f64| below(sorted, x + half) - below(sorted, x - half);
        (b > a).then(|| Self { a, b, lesser_peak: around(a).min(around(b)), middle: around(a.midpoint(b)) })
    }

    fn depth(&self) -> f64 {
        self.middle as f64 / self.lesser_peak.max(1) as f64
    }

    fn is_sure(&self) -> bool {
        let (middle, peak) = (self.middle as u64, self.lesser_peak as u64);
        middle * 2 < peak && at_most(middle, middle + peak, 0.5) < RISK / SPLITS.count() as f64
    }
}

/// How many sorted values are less than `x`.
fn below(sorted: &[f64], x: f64) -> usize {
    sorted.partition_point(|value| *value < x)
}

/// Milliseconds, scaled so that each input has the same median.
fn relative_to_inputs(samples: &[Sample]) -> Vec<f64> {
    const FEWEST: usize = 11;
    let mut by_input = std::collections::BTreeMap::<u32, Vec<f64>>::new();
    samples.iter().for_each(|sample| by_input.entry(sample.input).or_default().push(sample.milliseconds()));
    let all = median(&mut samples.iter().map(Sample::milliseconds).collect::<Vec<_>>());
    let judged = by_input.into_values().filter(|own| own.len() >= FEWEST);
    let scaled = judged.flat_map(|mut own| {
        let middle = median(&mut own);
        own.into_iter().map(move |time| time / middle * all)
    });
    scaled.filter(|time| time.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::Modes;
    use crate::random::Random;
    use crate::samples::{Sample, from_milliseconds};
    use std::time::Duration;

    fn modes(times: impl Iterator<Item = f64>) -> Option<Modes> {
        let sample = |ms: f64| Sample::new(Duration::ZERO, from_milliseconds(ms).expect("a time"));
        Modes::of(&times.map(sample).collect::<Vec<_>>(), 0.05)
    }

    #[test]
    fn one_mode_of_any_shape_is_one() {
        for seed in 0..100 {
            let mut random = Random::new(seed);
            for n in [50, 300, 3000] {
                let mut check = |name: &str, draw: &dyn Fn(&mut Random) -> f64| {
                    let times: Vec<f64> = (0..n).map(|_| draw(&mut random)).collect();
                    assert_eq!(modes(times.into_iter()), None, "{name}, seed {seed}, n {n}");
                };
                check("normal", &|r| (10.0 + r.normal()).max(0.0));
                check("log-normal", &|r| 10.0 * (0.8 * r.normal()).exp());
                check("exponential", &|r| 5.0 + 5.0 * r.exponential());
                check("uniform", &|r| 5.0 + 10.0 * r.unit());
                check("heavy tail", &|r| 10.0 / r.unit().sqrt());
                check("5 % stalls", &|r| if r.unit() < 0.05 { 300.0 } else { 10.0 + 0.3 * r.normal() });
            }
        }
    }

    #[test]
    fn mixed_modes_are_found() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            for (share, slow) in [(0.2, 20.0), (0.5, 20.0), (0.8, 20.0), (0.15, 12.0), (0.3, 40.0)] {
                let mut draw = || if random.unit() < share { slow } else { 10.0 };
                let times: Vec<f64> = (0..600).map(|_| draw()).collect();
                let noisy: Vec<f64> = times.iter().map(|time| time * (1.0 + 0.02 * random.normal())).collect();
                let found = modes(noisy.into_iter()).unwrap_or_else(|| panic!("seed {seed}, {share} at {slow} ms"));
                assert!((found.slow_share - share).abs() < 0.08, "{found:?}");
                assert!((found.fast_ms - 10.0).abs() < 0.5 && (found.slow_ms - slow).abs() < 0.05 * slow, "{found:?}");
            }
        }
    }

    #[test]
    fn modes_within_the_tolerance_do_no_harm() {
        assert_eq!(modes((0..1000).map(|i| if i % 4 == 0 { 10.3 } else { 10.0 })), None);
    }

    #[test]
    fn inputs_have_modes_by_right() {
        let mut random = Random::new(4);
        let mut sample = |i: u32| {
            let ms = [10.0, 20.0][(i % 2) as usize] * (1.0 + 0.02 * random.normal());
            Sample { start: Duration::ZERO, duration: from_milliseconds(ms).expect("a time"), input: i % 2 }
        };
        let samples: Vec<Sample> = (0..600).map(&mut sample).collect();
        assert_eq!(Modes::of(&samples, 0.05), None);
        let blind: Vec<Sample> = samples.iter().map(|sample| Sample { input: 0, ..*sample }).collect();
        assert!(Modes::of(&blind, 0.05).is_some());
    }
}
