//! A report of made-up but plausible figures: simulated calls, judged and summed up as real ones are.

#[path = "report/calls.rs"]
mod calls;
#[path = "report/identity.rs"]
mod identity;

use std::time::Duration;

use calls::{closed, modes, skewed, warm};
use identity::{SUBJECTS, effort, identity};
use maskline_bench::Result;
use maskline_bench::bootstrap::{Resampling, median_ratio};
use maskline_bench::percentile::Estimate;
use maskline_bench::random::Random;
use maskline_bench::report::{
    CacheState, Ceiling, CeilingUnit, Cold, ColdStage, Curve, CurvePoint, EmbeddingState, LoadCurve, LoadKind, LoadPoint, Parity, Peer,
    Report, Stage, StageRow, Steady, Sweep, Unit,
};
use maskline_bench::samples::{Sample, Summary};
use maskline_bench::steadiness::{Options, judge};

/// How much faster the second subject is.
const FASTER: f64 = 0.71;

/// The report.
///
/// # Errors
/// Never, unless the crate has a fault.
pub(crate) fn example() -> Result<Report> {
    let mut random = Random::new(7);
    let mut report = Report::new(identity());
    report.notes = vec!["All figures are made up; this page shows what a report looks like.".to_owned()];
    for (subject, factor) in SUBJECTS.into_iter().zip([1.0, FASTER]) {
        report.cold.extend([CacheState::Empty, CacheState::Present].map(|cache| cold(subject, cache, factor, &mut random)));
        report.steady.extend(calls_of(subject, factor, &mut random)?);
        report.stages.push(stages(subject, factor, &mut random));
        report.ceilings.extend(ceilings(subject, factor));
    }
    for row in report.steady.iter_mut().filter(|row| row.subject != SUBJECTS[0]) {
        row.parity = Some(parity(0.9962));
    }
    let clicks = closed(14.0, |_| modes(&mut random));
    report.steady.push(steady([SUBJECTS[1], "fast clock now and then"], EmbeddingState::Held, clicks)?);
    report.sweeps = sweeps(&mut random);
    for (subject, kind) in [(SUBJECTS[0], LoadKind::Poisson), (SUBJECTS[1], LoadKind::Poisson), (SUBJECTS[0], LoadKind::Closed)] {
        report.loads.push(load(subject, kind, &mut random)?);
    }
    report.peers = vec![
        peer(["pytorch", "PyTorch 2.9"], 1.62, &report.steady[0], &mut random)?,
        peer(["onnxruntime-python", "ONNX Runtime 1.24"], 1.21, &report.steady[0], &mut random)?,
    ];
    report.peers[1].parity = None;
    Ok(report)
}

/// The report of a later day: encoding is slower, clicks are faster, starts are as they were, and one subject is another.
///
/// # Errors
/// Never, unless the crate has a fault.
pub(crate) fn later() -> Result<Report> {
    let mut random = Random::new(8);
    let mut report = example()?;
    report.identity.created = "2026-02-20T17:05:00Z".to_owned();
    report.identity.machine.governor = Some("powersave".to_owned());
    report.identity.subjects[1].threads = Some(4);
    let samples = closed(60.0, |at| 231.0 * warm(at, 0.9) * skewed(&mut random, 0.03));
    report.steady[0] = steady([SUBJECTS[0], "image"], EmbeddingState::Miss, samples)?;
    let samples = closed(20.0, |at| 12.4 * warm(at, 0.4) * skewed(&mut random, 0.05));
    report.steady[1] = steady([SUBJECTS[0], "image again"], EmbeddingState::Hit, samples)?;
    let samples = closed(60.0, |at| 154.0 * warm(at, 0.9) * skewed(&mut random, 0.05));
    report.steady[3] = steady([SUBJECTS[1], "image"], EmbeddingState::Miss, samples)?;
    for (subject, factor) in SUBJECTS.into_iter().zip([1.0, FASTER * 0.9]) {
        let rows = [CacheState::Empty, CacheState::Present].map(|cache| cold(subject, cache, factor, &mut random));
        report.cold.retain(|row| row.subject != subject);
        report.cold.extend(rows);
    }
    Ok(report)
}

fn calls_of(subject: &str, factor: f64, random: &mut Random) -> Result<[Steady; 3]> {
    let image = closed(60.0, |at| 212.0 * factor * warm(at, 0.9) * skewed(random, 0.03));
    let again = closed(20.0, |at| 14.0 * factor * warm(at, 0.4) * skewed(random, 0.05));
    let click = closed(16.0, |at| 11.0 * factor * warm(at, 0.3) * skewed(random, 0.05));
    Ok([
        steady([subject, "image"], EmbeddingState::Miss, image)?,
        steady([subject, "image again"], EmbeddingState::Hit, again)?,
        steady([subject, "click"], EmbeddingState::Held, click)?,
    ])
}

fn ceilings(subject: &str, factor: f64) -> [Ceiling; 3] {
    let ceiling = |name: &str, unit, work: f64, [achieved, limit]: [f64; 2]| {
        let [name, subject] = [name, subject].map(str::to_owned);
        Ceiling { name, subject, work, unit, achieved, limit }
    };
    [
        ceiling("image encoder, matrix products", CeilingUnit::Gigaflops, 71.2e9, [412.0 / factor, 531.0 / factor]),
        ceiling("image encoder, whole", CeilingUnit::Gigaflops, 73.9e9, [336.0 / factor, 531.0 / factor]),
        ceiling("mask decoder, whole", CeilingUnit::Gigabytes, 0.154e9, [11.8, 38.6]),
    ]
}

fn parity(value: f64) -> Parity {
    Parity { metric: "least mask IoU".to_owned(), value, least: 0.99 }
}

fn steady([subject, call]: [&str; 2], embedding: EmbeddingState, samples: Vec<Sample>) -> Result<Steady> {
    let judgement = judge(&samples, &Options { window: Duration::from_secs(2), ..Options::default() })?;
    Ok(Steady {
        name: format!("{subject}: {call}"),
        subject: subject.to_owned(),
        load: "closed loop, 1 caller".to_owned(),
        embedding: Some(embedding),
        text: None,
        summary: Summary::of(judgement.series.steady())?,
        device_memory_bytes: None,
        errors: 0,
        verdict: judgement.verdict,
        parity: None,
        samples: Some(judgement.series),
    })
}

fn cold(subject: &str, cache: CacheState, factor: f64, random: &mut Random) -> Cold {
    const RUNS: usize = 12;
    let built = if cache == CacheState::Empty { 2100.0 } else { 0.0 };
    let parts = [
        ("process start", 9.0),
        ("runtime load", 62.0),
        ("model read", 48.0 + built / 20.0),
        ("build", built),
        ("session", (310.0 + built / 4.0) * factor),
        ("warm-up", 430.0 * factor),
        ("first call", 221.0 * factor),
        ("other", 11.0),
    ];
    let mut whole = vec![0.0; RUNS];
    let mut ready = vec![0.0; RUNS];
    let mut part = |(name, base): &(&str, f64)| {
        let times: Vec<f64> = (0..RUNS).map(|_| base * (1.0 + 0.05 * random.unit())).collect();
        for (i, time) in times.iter().enumerate() {
            whole[i] += time;
            ready[i] += if ["first call", "other"].contains(name) { 0.0 } else { *time };
        }
        ColdStage::of(name, &times)
    };
    let stages = parts.iter().filter(|part| part.1 > 0.0).map(&mut part).collect();
    Cold {
        name: subject.to_owned(),
        subject: subject.to_owned(),
        cache,
        runs: RUNS,
        stages,
        ready: ColdStage::of("ready", &ready),
        first_result: ColdStage::of("first result", &whole),
        peak_memory_bytes: Some(((612 << 20) as f64 * factor) as u64),
        device_memory_bytes: None,
    }
}

fn stages(subject: &str, factor: f64, random: &mut Random) -> StageRow {
    let parts =
        [("decode", 9.1), ("preprocess", 3.2), ("image encode", 184.0 * factor), ("mask decode", 11.0 * factor), ("postprocess", 1.9)];
    let mut whole = vec![0.4; 800];
    let mut stage = |(name, base): &(&str, f64)| {
        let times: Vec<f64> = (0..whole.len()).map(|_| base * skewed(random, 0.06)).collect();
        whole.iter_mut().zip(&times).for_each(|(sum, time)| *sum += time);
        Stage::of(name, &times)
    };
    let stages = parts.iter().map(&mut stage).collect();
    StageRow::new(&format!("{subject}: image"), subject, stages, Stage::of("end to end", &whole))
}

fn sweeps(random: &mut Random) -> Vec<Sweep> {
    let mut point = |at: f64, value: f64| {
        let value = value * (1.0 + 0.02 * random.unit());
        CurvePoint { at, figure: Estimate { value, low: value * 0.97, high: value * 1.04 } }
    };
    let mut curve = |name: &str, places: &[f64], of: &dyn Fn(f64) -> f64| Curve {
        name: name.to_owned(),
        points: places.iter().map(|at| point(*at, of(*at))).collect(),
    };
    let threads = |base: f64, serial: f64| move |at: f64| base * (serial + (1.0 - serial) / at) * if at > 8.0 { 1.15 } else { 1.0 };
    let [few, many] = [&[1.0, 8.0, 47.0][..], &[1.0, 2.0, 4.0, 8.0, 16.0]];
    let over_threads = vec![curve("f32", many, &threads(1240.0, 0.06)), curve("bf16", many, &threads(900.0, 0.08))];
    let over_prompts = vec![curve("clicks", few, &|at| 9.0 + 2.0 * at), curve("boxes", few, &|at| 9.5 + 2.2 * at)];
    let over_providers = vec![curve("f32", &[0.0, 1.0, 2.0], &|at| 4.7 + 9.0 * at), curve("bf16", &[0.0, 2.0], &|at| 6.6 + 19.0 * at)];
    let sweep = |name: &str, parameter: &str, unit, curves| Sweep {
        name: name.to_owned(),
        parameter: parameter.to_owned(),
        places: None,
        unit,
        curves,
    };
    let providers = ["cpu", "openvino", "cuda"].map(str::to_owned).to_vec();
    vec![
        sweep("Median latency over threads", "threads", Unit::Milliseconds, over_threads),
        sweep("Median latency over prompts", "prompts", Unit::Milliseconds, over_prompts),
        Sweep { places: Some(providers), ..sweep("Throughput by provider", "provider", Unit::ImagesPerSecond, over_providers) },
    ]
}

/// One server: service times near the steady ones, a queue as requests arrive.
fn load(subject: &str, kind: LoadKind, random: &mut Random) -> Result<LoadCurve> {
    let service = if subject == SUBJECTS[0] { 0.05 } else { 0.05 * FASTER };
    let loads: &[f64] = if kind == LoadKind::Closed { &[1.0, 2.0, 4.0, 8.0] } else { &[2.0, 5.0, 8.0, 12.0, 15.0, 17.0, 18.5] };
    let point = |offered: &f64| {
        let (mut arrival, mut free) = (0.0_f64, 0.0_f64);
        let mut samples = Vec::new();
        for i in 0..900 {
            // A closed loop's next request comes with the answer of the one so many before.
            let answered: Option<Duration> =
                (i as usize).checked_sub(*offered as usize).and_then(|before| samples.get(before)).map(Sample::end);
            arrival = if kind == LoadKind::Closed {
                answered.map_or(0.0, |answered| answered.as_secs_f64())
            } else {
                arrival + random.exponential() / offered
            };
            free = free.max(arrival) + service * skewed(random, 0.04);
            samples.push(Sample::new(Duration::from_secs_f64(arrival), Duration::from_secs_f64(free - arrival)));
        }
        let judgement = judge(&samples, &Options { window: Duration::from_secs(12), tolerance: 0.5, ..Options::default() })?;
        let summary = Summary::of(judgement.series.steady())?;
        Ok(LoadPoint {
            offered: *offered,
            achieved_per_second: summary.rate(),
            summary,
            queue_ms: Some(0.4 * (offered - 1.0)),
            rows_together: Some(offered.min(8.0)),
            threads: Some(4 + *offered as usize),
            errors: 0,
            verdict: judgement.verdict,
            server: None,
        })
    };
    let name = format!("{subject}: image, {}", kind.name());
    Ok(LoadCurve { name, subject: subject.to_owned(), kind, points: loads.iter().map(point).collect::<Result<_>>()? })
}

fn peer([name, program]: [&str; 2], factor: f64, own: &Steady, random: &mut Random) -> Result<Peer> {
    let judgement =
        judge(&closed(60.0, |_| 212.0 * factor * skewed(random, 0.04)), &Options { window: Duration::from_secs(5), ..Options::default() })?;
    let times = |samples: &[Sample]| samples.iter().map(Sample::milliseconds).collect::<Vec<_>>();
    let ours = own.samples.as_ref().map(|series| times(series.steady())).unwrap_or_default();
    let mut start = |name: &str, base: f64| {
        Some(ColdStage::of(name, &(0..12).map(|_| base * factor * (1.0 + 0.05 * random.unit())).collect::<Vec<_>>()))
    };
    Ok(Peer {
        name: name.to_owned(),
        program: program.to_owned(),
        compared_with: own.name.clone(),
        is_interleaved: true,
        ready: start("ready", 1900.0),
        first_result: start("first result", 2300.0),
        peak_memory_bytes: Some(1400 << 20),
        summary: Summary::of(judgement.series.steady())?,
        verdict: judgement.verdict,
        ratio: median_ratio(&times(judgement.series.steady()), &ours, &Resampling::default())?,
        parity: Some(parity(0.9991)),
        effort: Some(effort(5 << 30, &["pip install torch", "write a script (ours has 70 lines of Python)", "run the script"])),
    })
}
