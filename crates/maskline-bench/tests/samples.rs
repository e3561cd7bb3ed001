//! Figures of samples: bounds, order, floors and the way through JSON.

use std::time::Duration;

use maskline_bench::percentile::Percentile;
use maskline_bench::samples::{Sample, Series, Summary};
use proptest::prelude::*;

fn samples(nanoseconds: &[u64]) -> Vec<Sample> {
    let mut start = Duration::ZERO;
    let mut one = |ns: &u64| {
        let sample = Sample::new(start, Duration::from_nanos(*ns));
        start = sample.end();
        sample
    };
    nanoseconds.iter().map(&mut one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn figures_are_in_order(nanoseconds in prop::collection::vec(0_u64..10_000_000_000, 1..900)) {
        let summary = Summary::of(&samples(&nanoseconds)).expect("there are samples");
        let mut last = summary.min_ms;
        for percentile in Percentile::ALL {
            let estimate = summary.percentile(percentile);
            prop_assert_eq!(estimate.is_some(), nanoseconds.len() >= percentile.floor());
            if let Some(estimate) = estimate {
                prop_assert!(estimate.is_sound());
                prop_assert!(estimate.low >= summary.min_ms && estimate.high <= summary.max_ms);
                prop_assert!(estimate.value >= last, "percentiles rise");
                prop_assert!(nanoseconds.iter().any(|ns| *ns as f64 / 1e6 == estimate.value), "a percentile is a sample");
                last = estimate.value;
            }
        }
        prop_assert!(summary.mean_ms.is_sound());
        // The sum of n roundings.
        let rounding = 1e-9 * summary.max_ms;
        prop_assert!(summary.mean_ms.value >= summary.min_ms - rounding && summary.mean_ms.value <= summary.max_ms + rounding);
        prop_assert_eq!(summary.n, nanoseconds.len(), "nothing is removed");
    }

    #[test]
    fn samples_survive_json(start in 0_u64..2_160_000_000_000_000, duration in 0_u64..2_160_000_000_000_000, input: u32) {
        let sample = Sample { start: Duration::from_nanos(start), duration: Duration::from_nanos(duration), input };
        let json = serde_json::to_string(&sample).expect("finite numbers");
        prop_assert_eq!(serde_json::from_str::<Sample>(&json).expect("what was written"), sample);
    }

    #[test]
    fn a_series_keeps_every_sample(starts in prop::collection::vec(0_u64..1000, 0..50), warm_up in 0_usize..60) {
        let all: Vec<Sample> = starts.iter().map(|s| Sample::new(Duration::from_millis(*s), Duration::from_millis(1))).collect();
        let series = Series::new(all, warm_up);
        prop_assert_eq!(series.warm_up().len(), warm_up.min(starts.len()));
        let kept: Vec<u64> = series.warm_up().iter().chain(series.steady()).map(|s| s.start.as_millis() as u64).collect();
        let mut expected = starts;
        expected.sort_unstable();
        prop_assert_eq!(kept, expected);
    }
}

#[test]
fn known_figures() {
    let summary =
        Summary::of(&samples(&[2_000_000, 4_000_000, 4_000_000, 4_000_000, 5_000_000, 5_000_000, 7_000_000, 9_000_000])).expect("samples");
    assert_eq!((summary.n, summary.mean_ms.value, summary.min_ms, summary.max_ms), (8, 5.0, 2.0, 9.0));
    assert!((summary.deviation_ms - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
    assert!((summary.variation - summary.deviation_ms / 5.0).abs() < 1e-12);
    assert!((summary.seconds - 0.04).abs() < 1e-12 && (summary.rate() - 200.0).abs() < 1e-9);
    assert!(summary.p50_ms.is_none(), "eight samples are too few for a median");
}

#[test]
fn bad_samples_are_refused() {
    assert!(Summary::of(&[]).is_err());
    for json in ["[-1.0, 1.0, 0]", "[0.0, 1e300, 0]", "[0.0, 1.0]", "[0.0, null, 0]"] {
        assert!(serde_json::from_str::<Sample>(json).is_err(), "{json}");
    }
}
