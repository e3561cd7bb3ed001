//! Verdicts on pairs of reports whose difference is known.

#[path = "../examples/page/report.rs"]
mod example;

use std::time::Duration;

use maskline_bench::Report;
use maskline_bench::compare::Measure;
use maskline_bench::compare::{Change, Comparison, Options, compare};
use maskline_bench::random::Random;
use maskline_bench::report::{CacheState, Cold, ColdStage, Steady, Subject};
use maskline_bench::samples::{Sample, Series, Summary, from_milliseconds};
use maskline_bench::steadiness::{Status, Verdict};

fn row(name: &str, median: f64, n: usize, seed: u64) -> Steady {
    let mut random = Random::new(seed);
    let duration = |_| from_milliseconds(median * (1.0 + 0.04 * random.normal())).expect("a time");
    let samples: Vec<Sample> = (0..n).map(duration).map(|duration| Sample::new(Duration::ZERO, duration)).collect();
    let verdict = Verdict { status: Status::Valid, reason: String::new(), drift: None };
    let summary = Summary::of(&samples).expect("samples");
    let samples = Some(Series::new(samples, 0));
    let subject = "sam2.1-tiny".to_owned();
    Steady {
        name: name.to_owned(),
        subject,
        load: "closed loop".to_owned(),
        embedding: None,
        text: None,
        summary,
        device_memory_bytes: None,
        errors: 0,
        verdict,
        parity: None,
        samples,
    }
}

fn report(rows: Vec<Steady>) -> Report {
    let mut report = Report::new(example::example().expect("sound").identity);
    report.identity.subjects.truncate(1);
    report.steady = rows;
    report
}

fn cold(cache: CacheState, ready: f64, first: f64, runs: usize) -> Cold {
    let mut random = Random::new(3);
    let mut stage = |name: &str, base: f64| {
        let times: Vec<f64> = (0..runs).map(|_| base * (1.0 + 0.01 * random.unit())).collect();
        ColdStage::of(name, &times)
    };
    let [ready, first_result] = [stage("ready", ready), stage("first result", first)];
    let [name, subject] = ["start", "sam2.1-tiny"].map(str::to_owned);
    Cold { name, subject, cache, runs, stages: Vec::new(), ready, first_result, peak_memory_bytes: None, device_memory_bytes: None }
}

fn compared(before: Steady, after: Steady) -> Comparison {
    compare(&report(vec![before]), &report(vec![after]), &Options::default()).expect("fine options")
}

#[test]
fn verdicts_are_right() {
    let cases = [
        (1.2, 500, Change::Regression),
        (0.8, 500, Change::Improvement),
        (1.0, 500, Change::Same),
        (1.02, 2000, Change::Same),
        (1.05, 500, Change::Unclear),
        (1.0, 11, Change::Unclear),
    ];
    for (factor, n, expected) in cases {
        let found = compared(row("a", 10.0, n, 1), row("a", 10.0 * factor, n, 2));
        assert_eq!(found.rows[0].change, expected, "{factor}: {:?}", found.rows[0]);
        let ratio = found.rows[0].ratio.expect("two medians");
        assert!(ratio.is_sound() && ratio.low <= factor && factor <= ratio.high, "{factor}: {ratio:?}");
        assert_eq!(found.has_regression(), expected == Change::Regression);
        assert_eq!(found.is_conclusive(), expected != Change::Unclear);
    }
}

#[test]
fn without_samples_intervals_are_wider_but_there() {
    let with = compared(row("a", 10.0, 500, 1), row("a", 12.0, 500, 2)).rows[0].ratio.expect("two medians");
    let bare = |row: Steady| Steady { samples: None, ..row };
    let without = compared(bare(row("a", 10.0, 500, 1)), bare(row("a", 12.0, 500, 2))).rows[0].clone();
    let ratio = without.ratio.expect("two medians");
    assert!(ratio.low < with.low && with.high < ratio.high && without.change == Change::Regression, "{with:?} {ratio:?}");
}

#[test]
fn the_same_report_is_the_same() {
    let report = example::example().expect("sound");
    let found = compare(&report, &report, &Options::default()).expect("fine options");
    assert!(found.differences.is_empty());
    for row in &found.rows {
        let expected = if row.name.contains("now and then") { Change::NotComparable } else { Change::Same };
        assert_eq!(row.change, expected, "{row:?}");
        assert!(row.ratio.is_none_or(|ratio| ratio.value == 1.0));
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    let good = || row("a", 10.0, 100, 1);
    let mut unsteady = good();
    unsteady.verdict = Verdict { status: Status::Unstable, reason: "two modes".to_owned(), drift: None };
    let mut other_load = good();
    other_load.load = "open loop".to_owned();
    for (after, why) in [(unsteady, "two modes"), (other_load, "different ways"), (row("a", 10.0, 5, 1), "n/a")] {
        let found = compared(good(), after);
        assert!(found.rows[0].change == Change::NotComparable && found.rows[0].reason.contains(why), "{found:?}");
        assert!(!found.has_regression() && !found.is_conclusive());
    }
    let found = compared(good(), row("b", 10.0, 100, 1));
    let reasons: Vec<&str> = found.rows.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(reasons, ["only in the later report", "only in the earlier report"]);
}

#[test]
fn cold_starts_are_compared_by_cache_and_measure() {
    let with = |starts: &[(CacheState, (f64, f64), usize)]| {
        let mut report = report(vec![]);
        report.cold = starts.iter().map(|(cache, times, runs)| cold(*cache, times.0, times.1, *runs)).collect();
        report
    };
    use CacheState::{Empty, Present, PresentUnread};
    let before = with(&[(Empty, (3000.0, 3300.0), 12), (Present, (800.0, 1000.0), 12), (PresentUnread, (900.0, 1100.0), 12)]);
    let after = with(&[(Present, (800.0, 1200.0), 12), (Empty, (2000.0, 3300.0), 10)]);
    let found = compare(&before, &after, &Options::default()).expect("fine options");
    let rows: Vec<_> = found.rows.iter().map(|row| (row.name.as_str(), row.measure, row.change)).collect();
    let expected = [
        ("start, cache present", Measure::ColdReady, Change::Same),
        ("start, cache present", Measure::ColdFirstResult, Change::Regression),
        // Ten runs have no median.
        ("start, cache empty", Measure::ColdReady, Change::NotComparable),
        ("start, cache empty", Measure::ColdFirstResult, Change::NotComparable),
        ("start, cache present, page cache dropped", Measure::ColdReady, Change::NotComparable),
        ("start, cache present, page cache dropped", Measure::ColdFirstResult, Change::NotComparable),
    ];
    assert_eq!(rows, expected);
    assert!(found.rows[2].reason.contains("n/a") && found.rows[2].before_ms.is_some() && found.rows[2].after_ms.is_none());
    assert_eq!(found.rows[4].reason, "only in the earlier report");
    let ratio = found.rows[1].ratio.expect("two medians");
    // The worst quotients of the two intervals.
    let [old, new] = [&before.cold[1], &after.cold[0]].map(|row| row.first_result.p50_ms.expect("enough runs"));
    assert_eq!([ratio.value, ratio.low, ratio.high], [new.value / old.value, new.low / old.high, new.high / old.low]);
    assert!(found.has_regression() && !found.is_conclusive());
}

#[test]
fn the_later_example_is_judged_as_it_was_made() {
    let [before, after] = [example::example(), example::later()].map(|report| report.expect("sound"));
    let found = compare(&before, &after, &Options::default()).expect("fine options");
    let change = |name: &str, measure| {
        let row = found.rows.iter().find(|row| row.name == name && row.measure == measure);
        row.unwrap_or_else(|| panic!("{name} is compared")).change
    };
    assert_eq!(change("sam2.1-tiny: image", Measure::Steady), Change::Regression);
    assert_eq!(change("sam2.1-tiny: image again", Measure::Steady), Change::Improvement);
    assert_eq!(change("sam2.1-tiny: click", Measure::Steady), Change::Same);
    assert_eq!(change("sam2.1-tiny, bf16, cache present", Measure::ColdFirstResult), Change::Improvement);
    let expected = ["machine.governor: performance before, powersave after", "subject sam2.1-tiny, bf16: threads: 8 before, 4 after"];
    assert_eq!(found.differences, expected);
}

#[test]
fn differences_of_identity_are_named() {
    let (mut before, mut after) = (report(vec![]), report(vec![]));
    after.identity.machine.governor = None;
    after.identity.subjects[0].threads = Some(4);
    after.identity.subjects[0].prompts = None;
    let other = |name: &str| Subject { name: name.to_owned(), ..before.identity.subjects[0].clone() };
    let (old, new) = (other("gone"), other("new"));
    before.identity.subjects.insert(0, old);
    after.identity.subjects.push(new);
    let found = compare(&before, &after, &Options::default()).expect("fine options");
    let expected = [
        "machine.governor: performance before, none after",
        "subject sam2.1-tiny: prompts: count 1 kind click before, none after",
        "subject sam2.1-tiny: threads: 8 before, 4 after",
        "subject new: only in the later report",
        "subject gone: only in the earlier report",
    ];
    assert_eq!(found.differences, expected);
}

#[test]
fn what_changes_by_itself_is_no_difference() {
    let (before, mut after) = (report(vec![]), report(vec![]));
    after.identity.created = "2026-02-01T00:00:00Z".to_owned();
    after.identity.tool.version = "0.2.0".to_owned();
    after.identity.run.arguments.push("--quick".to_owned());
    after.identity.run.seconds = 12.0;
    let machine = &mut after.identity.machine;
    for figure in [&mut machine.clock_mhz, &mut machine.temperature_celsius, &mut machine.bandwidth_gbs, &mut machine.load_before] {
        *figure = Some(1.5);
    }
    machine.throttles = Some(2);
    after.identity.subjects[0].effort = None;
    let found = compare(&before, &after, &Options::default()).expect("fine options");
    assert_eq!(found.differences, Vec::<String>::new());
}

#[test]
fn a_comparison_is_machine_readable() {
    let found = compared(row("a", 10.0, 100, 1), row("a", 20.0, 100, 2));
    let json = found.to_json().expect("finite numbers");
    assert!(json.contains("\"change\": \"regression\""));
    assert_eq!(serde_json::from_str::<Comparison>(&json).expect("what was written"), found);
}

#[test]
fn bad_thresholds_are_refused() {
    for threshold in [0.0, -0.1, 1.0, f64::NAN] {
        assert!(compare(&report(vec![]), &report(vec![]), &Options { threshold, ..Options::default() }).is_err());
    }
}
