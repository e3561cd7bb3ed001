//! A report of made-up but plausible figures: simulated calls, judged and summed up as real ones are.

use std::time::Duration;

use maskline_bench::Result;
use maskline_bench::bootstrap::median_ratio;
use maskline_bench::percentile::Estimate;
use maskline_bench::random::Random;
use maskline_bench::report::{
    CacheState, Ceiling, CeilingUnit, Cold, ColdStage, Curve, CurvePoint, EmbeddingState, Identity, Inputs, LoadCurve, LoadKind, LoadPoint,
    Machine, ModelIdentity, Parity, Peer, Precision, PromptKind, Prompts, Provider, Report, Run, Stage, StageRow, Steady, Subject, Sweep,
    Tool, Unit,
};
use maskline_bench::samples::{Sample, Summary, from_milliseconds};
use maskline_bench::steadiness::{Options, judge};

const SUBJECT: &str = "sam2.1-tiny";

/// The report.
///
/// # Errors
/// Never, unless the crate has a fault.
pub(crate) fn example() -> Result<Report> {
    let mut random = Random::new(7);
    let mut report = Report::new(identity());
    report.notes = vec!["All figures are made up; this page shows what a report looks like.".to_owned()];
    report.cold = vec![cold("first start", CacheState::Empty, &mut random), cold("later start", CacheState::Present, &mut random)];
    report.steady = vec![
        steady("image, encode", EmbeddingState::Miss, closed(60.0, |at| 212.0 * warm(at, 0.9) * skewed(&mut random, 0.03)))?,
        steady("click, embedding known", EmbeddingState::Hit, closed(20.0, |at| 14.0 * warm(at, 0.4) * skewed(&mut random, 0.05)))?,
        steady("click, fast clock now and then", EmbeddingState::Hit, closed(14.0, |_| modes(&mut random)))?,
    ];
    report.stages = vec![stages(&mut random)];
    report.sweeps = vec![sweep(&mut random)];
    for (name, kind) in
        [("image, encode", LoadKind::Poisson), ("click, embedding known", LoadKind::Poisson), ("image, encode", LoadKind::Closed)]
    {
        let name = if kind == LoadKind::Closed { format!("{name}, closed loop") } else { name.to_owned() };
        report.loads.push(load(&name, kind, &mut random)?);
    }
    report.peers = vec![
        peer("PyTorch 2.9, eager", 1.62, &report.steady[0], &mut random)?,
        peer("ONNX export, ONNX Runtime", 1.21, &report.steady[0], &mut random)?,
    ];
    report.peers[1].parity = None;
    let ceiling = |name: &str, unit, achieved, limit| Ceiling {
        name: name.to_owned(),
        subject: SUBJECT.to_owned(),
        work: achieved * 1e8,
        unit,
        achieved,
        limit,
    };
    report.ceilings = vec![
        ceiling("image encoder, matrix products", CeilingUnit::Gigaflops, 412.0, 531.0),
        ceiling("image encoder, whole", CeilingUnit::Gigaflops, 336.0, 531.0),
        ceiling("mask decoder, whole", CeilingUnit::Gigabytes, 11.8, 38.6),
    ];
    Ok(report)
}

fn identity() -> Identity {
    let text = |text: &str| Some(text.to_owned());
    Identity {
        created: "2026-01-15T09:30:00Z".to_owned(),
        tool: Tool { version: "0.1.0".to_owned(), commit: text("0123456789abcdef"), onnx_runtime: "1.24.0".to_owned() },
        machine: Machine {
            cpu: "Example Processor 9000 @ 3.40GHz".to_owned(),
            isa: text("avx512_vnni, avx512f, avx2"),
            logical_cpus: 16,
            governor: text("performance"),
            clock_mhz: Some(3390.0),
            temperature_celsius: Some(71.0),
            memory_bytes: Some(32 << 30),
            bandwidth_gbs: Some(38.6),
            load_before: Some(0.12),
            os: "Linux 6.12".to_owned(),
            device: None,
            driver: None,
        },
        run: Run { arguments: vec!["bench".to_owned(), SUBJECT.to_owned()], seed: 42, seconds: 431.7 },
        inputs: Inputs { name: "photos".to_owned(), count: 64, sha256: "fedcba9876543210".repeat(4), is_synthetic: false },
        subjects: vec![Subject {
            name: SUBJECT.to_owned(),
            model: ModelIdentity {
                name: "sam2.1-tiny".to_owned(),
                sha256: Some("0123456789abcdef".repeat(4)),
                generated_from_seed: None,
                bundle: "89abcdef01234567".to_owned(),
                family: "SAM 2.1".to_owned(),
                architecture: "Hiera-T".to_owned(),
                precision: Precision::F32,
            },
            provider: Provider { asked: "cpu".to_owned(), actual: "cpu".to_owned(), fallback_share: Some(0.0) },
            threads: 8,
            batch: 1,
            image_size: Some(1024),
            prompts: Some(Prompts { kind: PromptKind::Click, count: 1 }),
        }],
    }
}

fn skewed(random: &mut Random, spread: f64) -> f64 {
    let hiccup = if random.unit() < 0.004 { 1.0 + random.unit() } else { 1.0 };
    (0.97 + 0.03 * (1.5 * spread / 0.03 * random.normal() / 2.0).exp()) * hiccup
}

fn warm(at: f64, length: f64) -> f64 {
    1.0 + 1.4 * (-at / length).exp()
}

fn modes(random: &mut Random) -> f64 {
    let base = if random.unit() < 0.25 { 11.0 } else { 14.5 };
    base * skewed(random, 0.03)
}

/// A closed loop of so many seconds, whose call at a time takes so many milliseconds.
fn closed(seconds: f64, mut time: impl FnMut(f64) -> f64) -> Vec<Sample> {
    let mut start = Duration::ZERO;
    let mut samples = Vec::new();
    while start.as_secs_f64() < seconds {
        let duration = from_milliseconds(time(start.as_secs_f64())).unwrap_or_default();
        samples.push(Sample::new(start, duration));
        start += duration;
    }
    samples
}

fn steady(name: &str, embedding: EmbeddingState, samples: Vec<Sample>) -> Result<Steady> {
    let judgement = judge(&samples, &Options { window: Duration::from_secs(2), ..Options::default() })?;
    Ok(Steady {
        name: name.to_owned(),
        subject: SUBJECT.to_owned(),
        load: "closed loop, 1 caller".to_owned(),
        embedding: Some(embedding),
        summary: Summary::of(judgement.series.steady())?,
        errors: 0,
        verdict: judgement.verdict,
        parity: None,
        samples: Some(judgement.series),
    })
}

fn cold(name: &str, cache: CacheState, random: &mut Random) -> Cold {
    const RUNS: usize = 12;
    let built = if cache == CacheState::Empty { 2100.0 } else { 0.0 };
    let parts = [
        ("process start", 9.0),
        ("runtime load", 62.0),
        ("model read", 48.0 + built / 20.0),
        ("build", built),
        ("session", 310.0 + built / 4.0),
        ("first inference", 390.0),
        ("other", 11.0),
    ];
    let mut whole = vec![0.0; RUNS];
    let mut ready = vec![0.0; RUNS];
    let mut part = |(name, base): &(&str, f64)| {
        let times: Vec<f64> = (0..RUNS).map(|_| base * (1.0 + 0.05 * random.unit())).collect();
        for (i, time) in times.iter().enumerate() {
            whole[i] += time;
            ready[i] += if ["first inference", "other"].contains(name) { 0.0 } else { *time };
        }
        ColdStage::of(name, &times)
    };
    let stages = parts.iter().filter(|part| part.1 > 0.0).map(&mut part).collect();
    Cold {
        name: name.to_owned(),
        subject: SUBJECT.to_owned(),
        cache,
        runs: RUNS,
        stages,
        ready: ColdStage::of("ready", &ready),
        first_result: ColdStage::of("first result", &whole),
        peak_memory_bytes: Some(612 << 20),
    }
}

fn stages(random: &mut Random) -> StageRow {
    let parts = [("decode", 9.1), ("preprocess", 3.2), ("image encode", 196.0), ("mask decode", 13.0), ("postprocess", 1.9)];
    let mut whole = vec![0.4; 800];
    let mut stage = |(name, base): &(&str, f64)| {
        let times: Vec<f64> = (0..whole.len()).map(|_| base * skewed(random, 0.06)).collect();
        whole.iter_mut().zip(&times).for_each(|(sum, time)| *sum += time);
        Stage::of(name, &times)
    };
    let stages = parts.iter().map(&mut stage).collect();
    StageRow::new("image and click", SUBJECT, stages, Stage::of("end to end", &whole))
}

fn sweep(random: &mut Random) -> Sweep {
    let mut curve = |name: &str, base: f64, serial: f64| Curve {
        name: name.to_owned(),
        points: [1.0, 2.0, 4.0, 8.0, 16.0]
            .map(|at: f64| {
                let value = base * (serial + (1.0 - serial) / at) * (1.0 + 0.02 * random.unit()) * if at > 8.0 { 1.15 } else { 1.0 };
                CurvePoint { at, figure: Estimate { value, low: value * 0.97, high: value * 1.04 } }
            })
            .to_vec(),
    };
    let curves = vec![curve("f32", 1240.0, 0.06), curve("bf16", 900.0, 0.08)];
    Sweep {
        name: "Median latency over threads".to_owned(),
        parameter: "threads".to_owned(),
        places: None,
        unit: Unit::Milliseconds,
        curves,
    }
}

/// One server: service times near the steady ones, a queue as requests arrive.
fn load(name: &str, kind: LoadKind, random: &mut Random) -> Result<LoadCurve> {
    let service = if name.starts_with("image") { 0.05 } else { 0.014 };
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
        Ok(LoadPoint { offered: *offered, achieved_per_second: summary.rate(), summary, errors: 0, verdict: judgement.verdict })
    };
    Ok(LoadCurve { name: name.to_owned(), subject: SUBJECT.to_owned(), kind, points: loads.iter().map(point).collect::<Result<_>>()? })
}

fn peer(name: &str, factor: f64, own: &Steady, random: &mut Random) -> Result<Peer> {
    let theirs = closed(60.0, |_| 212.0 * factor * skewed(random, 0.04));
    let times = |samples: &[Sample]| samples.iter().map(Sample::milliseconds).collect::<Vec<_>>();
    let ours = own.samples.as_ref().map(|series| times(series.steady())).unwrap_or_default();
    let judgement = judge(&theirs, &Options { window: Duration::from_secs(5), ..Options::default() })?;
    let start = |base: f64, random: &mut Random| {
        ColdStage::of("first result", &(0..12).map(|_| base * (1.0 + 0.05 * random.unit())).collect::<Vec<_>>())
    };
    Ok(Peer {
        name: name.to_owned(),
        program: name.to_owned(),
        compared_with: own.name.clone(),
        is_interleaved: true,
        summary: Summary::of(judgement.series.steady())?,
        verdict: judgement.verdict,
        ready: Some(start(2900.0, random)),
        first_result: Some(start(3400.0, random)),
        peak_memory_bytes: Some(1400 << 20),
        ratio: median_ratio(&times(&theirs), &ours, &maskline_bench::bootstrap::Resampling::default())?,
        parity: Some(Parity { metric: "least mask IoU".to_owned(), value: 0.9991, least: 0.99 }),
    })
}
