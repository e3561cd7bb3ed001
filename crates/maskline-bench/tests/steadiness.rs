//! Runs whose steadiness is known.

use std::time::Duration;

use maskline_bench::random::Random;
use maskline_bench::samples::{Sample, from_milliseconds};
use maskline_bench::steadiness::{Judgement, Options, Status, judge};

/// A closed loop whose call `i`, beginning at this many seconds, takes so many milliseconds.
fn run(seconds: f64, mut time: impl FnMut(usize, f64) -> f64) -> Vec<Sample> {
    let mut start = Duration::ZERO;
    let mut samples = Vec::new();
    while start.as_secs_f64() < seconds {
        let duration = from_milliseconds(time(samples.len(), start.as_secs_f64())).expect("a time");
        samples.push(Sample::new(start, duration));
        start += duration;
    }
    samples
}

fn judged(samples: &[Sample]) -> Judgement {
    judge(samples, &Options::default()).expect("fine options")
}

fn noisy(random: &mut Random, ms: f64) -> f64 {
    ms * (1.0 + 0.03 * random.normal())
}

#[track_caller]
fn assert_unstable(samples: &[Sample], because: &str) {
    let verdict = judged(samples).verdict;
    assert_eq!(verdict.status, Status::Unstable, "{}", verdict.reason);
    assert!(verdict.reason.contains(because), "{}", verdict.reason);
}

#[test]
fn a_steady_load_is_valid() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let found = judged(&run(20.0, |_, _| noisy(&mut random, 10.0)));
        assert_eq!(found.verdict.status, Status::Valid, "seed {seed}: {}", found.verdict.reason);
        assert!(found.series.warm_up().is_empty());
        let drift = found.verdict.drift.expect("many windows").change;
        assert!(drift.is_sound() && drift.value.abs() < 0.02);
    }
}

#[test]
fn a_skewed_load_with_rare_stalls_is_valid() {
    let mut random = Random::new(1);
    let samples = run(30.0, |i, _| 8.0 + 2.0 * (0.3 * random.normal()).exp() + if i % 500 == 250 { 80.0 } else { 0.0 });
    let found = judged(&samples);
    assert_eq!(found.verdict.status, Status::Valid, "{}", found.verdict.reason);
}

#[test]
fn scatter_is_no_unsteadiness() {
    // A deviation of 10 %, and few samples: the figures are poor, as their intervals say, but there is no sign of change.
    for ms in [15.0, 300.0, 1500.0] {
        let is_accused = |seed: &u64| {
            let mut random = Random::new(*seed);
            let verdict = judged(&run(40.0 + ms / 10.0, |_, _| ms * (1.0 + 0.1 * random.normal()))).verdict;
            verdict.status == Status::Unstable && !verdict.reason.contains("no 3 consecutive")
        };
        let accused = (0..100).filter(is_accused).count();
        assert!(accused <= 5, "{accused} of 100 runs of {ms} ms");
    }
}

#[test]
fn warm_up_ends_when_windows_agree() {
    let mut random = Random::new(2);
    let samples = run(20.0, |_, at| noisy(&mut random, 10.0 * (1.0 + 2.0 * (-at / 0.7).exp())));
    let found = judged(&samples);
    assert_eq!(found.verdict.status, Status::Valid, "{}", found.verdict.reason);
    let end = found.series.steady()[0].start.as_secs_f64();
    assert!((1.5..4.5).contains(&end), "warm-up ended at {end} s");
    assert_eq!(found.series.warm_up().len() + found.series.steady().len(), samples.len());
}

#[test]
fn mixed_modes_are_unstable() {
    let mut random = Random::new(3);
    let every_fifth = run(20.0, |i, _| noisy(&mut random, if i % 5 == 4 { 20.0 } else { 10.0 }));
    assert_unstable(&every_fifth, "two modes");
    let at_random = run(60.0, |_, _| {
        let ms = if random.unit() < 0.2 { 20.0 } else { 10.0 };
        noisy(&mut random, ms)
    });
    assert_unstable(&at_random, "two modes");
}

#[test]
fn clusters_are_unstable() {
    let mut random = Random::new(4);
    // A fifth of the calls, in clusters of 100: 1.6 s fast, 2 s slow.
    let clusters = run(40.0, |i, _| noisy(&mut random, if i % 500 >= 400 { 20.0 } else { 10.0 }));
    assert_unstable(&clusters, "windows");
    // Long regimes: 6 s fast, 1.5 s slow. Three windows agree at once.
    let regimes = run(60.0, |_, at| noisy(&mut random, if at % 7.5 > 6.0 { 13.0 } else { 10.0 }));
    assert_unstable(&regimes, "windows are more than 5 % off");
}

#[test]
fn a_change_of_regime_is_unstable() {
    let mut random = Random::new(5);
    let throttled = run(30.0, |_, at| noisy(&mut random, if at > 24.0 { 12.0 } else { 10.0 }));
    assert_unstable(&throttled, "the thirds of the steady part do not agree");
}

#[test]
fn drift_is_unstable() {
    let mut random = Random::new(6);
    let drifting = run(60.0, |_, at| noisy(&mut random, 10.0 * (1.0 + 0.07 * at / 60.0)));
    let verdict = judged(&drifting).verdict;
    assert_eq!(verdict.status, Status::Unstable, "{}", verdict.reason);
    assert!(verdict.reason.contains("drifts by +"), "{}", verdict.reason);
    let change = verdict.drift.expect("many windows").change;
    assert!(change.low > 0.05 && change.high < 0.09, "{change:?}");
}

#[test]
fn warm_up_that_never_ends_is_unstable() {
    let samples = run(30.0, |_, at| 10.0 * 1.2_f64.powf(at));
    assert_unstable(&samples, "no 3 consecutive windows agree within 5 %");
}

#[test]
fn short_runs_are_insufficient() {
    for samples in [run(0.0, |_, _| 1.0), run(2.5, |_, _| 10.0), run(9.0, |_, _| 10.0), run(20.0, |_, _| 2000.0)] {
        let verdict = judged(&samples).verdict;
        assert_eq!(verdict.status, Status::Insufficient, "{}", verdict.reason);
        assert!(verdict.reason.contains("needed"), "{}", verdict.reason);
    }
}

#[test]
fn slow_calls_get_windows_of_eleven() {
    let mut random = Random::new(8);
    let found = judged(&run(120.0, |_, _| 1500.0 * (1.0 + 0.01 * random.normal())));
    assert_eq!(found.verdict.status, Status::Valid, "{}", found.verdict.reason);
}

#[test]
fn bad_options_are_refused() {
    for tolerance in [0.0, 1.0, f64::NAN] {
        assert!(judge(&[], &Options { tolerance, ..Options::default() }).is_err());
    }
    assert!(judge(&[], &Options { window: Duration::ZERO, ..Options::default() }).is_err());
}
