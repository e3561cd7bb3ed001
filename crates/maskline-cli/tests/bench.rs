//! `maskline bench`: that it measures what it says, in the forms that it says, and refuses what it cannot measure.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../maskline-bench/tests/schema/mod.rs"]
mod schema;

use std::process::Command;

use assert_cmd::cargo::CommandCargoExt;
use common::{Outcome, Place};
use maskline_bench::Report;
use maskline_bench::report::{CacheState, EmbeddingState, TextKind, TextState, Texts};
use serde_json::Value;

/// A short run: the figures are few, their form is whole.
fn quick<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["bench", "--time", "0.2", "--cold", "1", "--no-ceiling"], arguments].concat()
}

fn report(outcome: &Outcome) -> Report {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    Report::from_json(outcome.stdout.as_bytes()).unwrap()
}

fn follows_the_schema(text: &str) {
    let schema = serde_json::from_str(maskline_bench::report::SCHEMA).unwrap();
    assert_eq!(schema::faults(&schema, &serde_json::from_str(text).unwrap()), Vec::<String>::new());
}

#[test]
fn a_model_is_measured_cold_and_steady() {
    let place = Place::new();
    let outcome = place.maskline(&["bench", "nano", "--time", "0.2", "--cold", "2", "-f", "json", "--embedding", "miss,hit,held"]);
    let report = report(&outcome);
    follows_the_schema(&outcome.stdout);
    let caches: Vec<CacheState> = report.cold.iter().map(|row| row.cache).collect();
    assert_eq!(caches, [CacheState::Empty, CacheState::Present]);
    for row in &report.cold {
        assert_eq!(row.runs, 2);
        let parts: f64 = row.stages.iter().map(|stage| stage.mean_ms).sum();
        assert!((parts - row.ready.mean_ms).abs() < 0.01 * row.ready.mean_ms, "{parts} of {}", row.ready.mean_ms);
        assert!(row.first_result.mean_ms <= row.ready.mean_ms, "{row:?}");
        let time = |name: &str| row.stages.iter().find(|stage| stage.name == name).unwrap().mean_ms;
        // The cache was really empty, or really full.
        assert_eq!(time("build") > 0.0, row.cache == CacheState::Empty, "{row:?}");
        assert!(time("runtime_load") > 0.0 && time("session") > 0.0 && time("first_inference") > 0.0, "{row:?}");
        assert!(row.peak_memory_bytes.is_some_and(|bytes| bytes > 10 << 20) || cfg!(not(target_os = "linux")));
    }
    let states: Vec<Option<EmbeddingState>> = report.steady.iter().map(|row| row.embedding).collect();
    assert_eq!(states, [EmbeddingState::Miss, EmbeddingState::Hit, EmbeddingState::Held].map(Some));
    for (row, stages) in report.steady.iter().zip(&report.stages) {
        assert!(row.summary.n >= 11 && row.errors == 0, "{}", row.summary.n);
        assert_eq!(row.name, stages.name);
        let covered: f64 = stages.stages.iter().map(|stage| stage.mean_ms).sum();
        assert!((covered + stages.unaccounted_ms - stages.end_to_end.mean_ms).abs() < 1e-6);
        let has = |name: &str| stages.stages.iter().any(|stage| stage.name == name);
        let is_held = row.embedding == Some(EmbeddingState::Held);
        assert!(has("mask_decode") && has("decode") != is_held, "{stages:?}");
        assert_eq!(has("preprocess"), row.embedding == Some(EmbeddingState::Miss), "only a miss prepares the picture");
    }
    assert!(report.identity.machine.bandwidth_gbs.is_some_and(|rate| rate > 0.1));
    assert!(report.identity.machine.multiply_add_gflops.is_some_and(|rate| rate > 0.1));
    assert_eq!(report.identity.subjects[0].model.kernels, None, "nano has no image encoder");
    let ceilings: Vec<&str> = report.ceilings.iter().map(|row| row.subject.as_str()).collect();
    assert_eq!(ceilings, ["nano"]);
    assert!(report.ceilings.iter().all(|row| row.work > 1e6 && row.achieved > 0.0 && row.limit > 0.1), "{:?}", report.ceilings);
}

#[test]
fn sweeps_measure_every_combination_and_compare_answers() {
    let place = Place::new();
    let sweeps = ["nano", "--sweep", "prompts=1,3", "--sweep", "threads=1,2", "--embedding", "held", "--kind", "box", "-f", "json"];
    let report = report(&place.maskline(&quick(&sweeps)));
    let names: Vec<&str> = report.identity.subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(names, ["nano prompts=1 threads=1", "nano prompts=1 threads=2", "nano prompts=3 threads=1", "nano prompts=3 threads=2"]);
    let asked: Vec<(usize, usize)> = report.identity.subjects.iter().map(|s| (s.prompts.unwrap().count, s.threads.unwrap())).collect();
    assert_eq!(asked, [(1, 1), (1, 2), (3, 1), (3, 2)]);
    // More threads give the same masks, and that was looked at.
    let parities: Vec<Option<bool>> = report.steady.iter().map(|row| row.parity.as_ref().map(|parity| parity.is_equal())).collect();
    assert_eq!(parities, [None, Some(true), None, Some(true)]);
    let sweeps: Vec<(&str, usize)> = report.sweeps.iter().map(|sweep| (sweep.parameter.as_str(), sweep.curves.len())).collect();
    assert_eq!(sweeps, [("prompts", 2), ("threads", 2)]);
    assert!(report.sweeps.iter().flat_map(|sweep| &sweep.curves).all(|curve| curve.points.len() == 2));
    // A start per process, not per row.
    assert_eq!(report.cold.len(), 2 * 2);
}

#[test]
fn every_provider_that_is_here_is_measured_and_the_others_are_told_with_what_brings_them() {
    let place = Place::new();
    // The tests' ONNX Runtime is named, and has but its own kernels.
    let outcome = place.maskline(&quick(&["nano", "--sweep", "provider=all", "--embedding", "held", "-f", "json"]));
    let report = report(&outcome);
    let names: Vec<&str> = report.identity.subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(names, ["nano provider=cpu"]);
    for (provider, help) in [("openvino", "maskline runtime install openvino"), ("cuda", "cuda1"), ("tensorrt", "")] {
        let line = format!("{provider} is not here: ");
        let told = outcome.stderr.lines().find(|told| told.contains(&line)).unwrap_or_else(|| panic!("{provider}: {}", outcome.stderr));
        assert!(told.contains(help), "{told}");
        assert!(report.notes.iter().any(|note| note.starts_with(&line)), "{:?}", report.notes);
    }
    assert!(report.identity.subjects[0].effort.is_none(), "nobody knows how a named library came");
    assert!(report.identity.machine.cards.is_empty(), "nothing computed on a card");
    place.maskline(&quick(&["nano", "--sweep", "provider=all,cpu"])).fails(2, &["all stands alone"]);
}

#[test]
fn no_provider_is_fetched_for_the_sake_of_a_comparison() {
    let place = Place::new();
    let mut command = Command::cargo_bin("maskline").unwrap();
    command.args(quick(&["nano", "--sweep", "provider=all"])).current_dir(place.folder.path()).env_clear();
    let output =
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("MASKLINE_HOME", place.path("home")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    let brings = "cpu is not here: the variant cpu is not installed; to have it: maskline runtime install cpu";
    assert!(stderr.contains(brings) && stderr.contains("no provider is here"), "{stderr}");
    assert!(!place.path("home").exists(), "looking leaves nothing behind");
}

#[test]
fn loads_are_open_and_closed() {
    let place = Place::new();
    let outcome = place.maskline(&quick(&["nano", "--embedding", "held", "--concurrency", "1,3", "--rate", "20", "-f", "json"]));
    let report = report(&outcome);
    let curves: Vec<(&str, usize)> = report.loads.iter().map(|curve| (curve.kind.name(), curve.points.len())).collect();
    assert_eq!(curves, [("closed loop", 2), ("open loop, Poisson", 1)]);
    follows_the_schema(&outcome.stdout);
    assert!(report.loads.iter().flat_map(|curve| &curve.points).all(|point| point.errors == 0 && point.achieved_per_second > 0.0));
    for point in report.loads.iter().flat_map(|curve| &curve.points) {
        assert!(point.queue_ms.is_some(), "every answer tells how long it waited: {point:?}");
        assert!(point.rows_together.is_none_or(|rows| rows >= 1.0), "{point:?}");
    }
    // Each caller is a thread of the process, beside the one that hears orders.
    let threads: Vec<Option<usize>> = report.loads[0].points.iter().map(|point| point.threads).collect();
    let is_enough = |(threads, callers): (&Option<usize>, usize)| threads.is_some_and(|threads| threads > callers);
    assert!(threads.iter().zip([1, 3]).all(is_enough) || cfg!(not(target_os = "linux")), "{threads:?}");
}

#[test]
fn detectors_take_batches_and_no_prompts() {
    let place = Place::new();
    let yolo = ["yolov8n", "--synthetic", "--size", "64", "--images", "photo.png"];
    let outcome = place.maskline(&quick(&[&yolo[..], &["--sweep", "batch=1,2", "-f", "json"]].concat()));
    let report = report(&outcome);
    let subjects: Vec<(usize, bool)> = report.identity.subjects.iter().map(|s| (s.batch, s.prompts.is_none())).collect();
    assert_eq!(subjects, [(1, true), (2, true)]);
    assert_eq!(report.identity.subjects[0].model.generated_from_seed, Some(0));
    assert!(!report.identity.inputs.is_synthetic);
    assert!(report.steady.iter().all(|row| row.embedding.is_none()));
    let wrong = place.maskline(&quick(&[&yolo[..], &["--sweep", "prompts=1,2"]].concat()));
    wrong.fails(2, &["--sweep prompts", "promptable"]);
    place.maskline(&quick(&["nano", "--sweep", "batch=1,2"])).fails(2, &["--sweep batch", "--sweep prompts"]);
    for option in [["--prompts", "1"], ["--kind", "click"], ["--embedding", "miss"]] {
        let wrong = place.maskline(&quick(&[&yolo[..], &option].concat()));
        wrong.fails(2, &[&format!("{} does not apply to yolov8n", option[0]), "takes no prompts", "help: leave it out"]);
    }
    place.maskline(&quick(&["nano", "--batch", "1"])).fails(2, &["--batch does not apply to nano", "one picture at a time", "--prompts"]);
}

/// Generated weights that are told by words what to find, at a small size.
const OWL: [&str; 6] = ["owlv2-base", "--synthetic", "--size", "240", "--images", "photo.png"];

/// One home for all: the model is large, and built once.
fn owl(place: &Place, arguments: &[&str]) -> Outcome {
    place.maskline_at(&maskline::runtime::home_dir(), &quick(&[&OWL[..], arguments].concat()))
}

fn stage_ms(report: &Report, row: &str, stage: &str) -> Option<f64> {
    report.stages.iter().find(|stages| stages.name == row).unwrap().stages.iter().find(|one| one.name == stage).map(|one| one.mean_ms)
}

#[test]
fn words_are_encoded_in_the_call_or_found_in_the_cache_apart_from_pictures() {
    let place = Place::new();
    let outcome = owl(&place, &["--sweep", "text=1,20", "--embedding", "miss,held", "--text-cache", "hit,miss", "-f", "json"]);
    let report = report(&outcome);
    follows_the_schema(&outcome.stdout);
    let texts: Vec<Texts> = report.identity.subjects.iter().map(|subject| subject.texts.unwrap()).collect();
    assert_eq!(texts, [1, 20].map(|count| Texts { kind: TextKind::Words, count }));
    assert!(report.identity.subjects.iter().all(|subject| subject.prompts.is_none()));
    let origins: Vec<(EmbeddingState, TextState)> = report.steady.iter().map(|row| (row.embedding.unwrap(), row.text.unwrap())).collect();
    let of_one = [EmbeddingState::Miss, EmbeddingState::Held].map(|state| [(state, TextState::Hit), (state, TextState::Miss)]).concat();
    assert_eq!(origins, [of_one.clone(), of_one].concat());
    for row in &report.steady {
        assert!(row.errors == 0 && row.summary.n > 0, "{row:?}");
        // Each network runs where its embedding is not there, and nowhere else.
        let ran = |stage: &str| stage_ms(&report, &row.name, stage).is_some();
        assert_eq!(ran("text_encode"), row.text == Some(TextState::Miss), "{}", row.name);
        assert_eq!(ran("image_encode"), row.embedding == Some(EmbeddingState::Miss), "{}", row.name);
        assert_eq!((ran("match"), ran("network")), (true, false), "{}", row.name);
    }
    let sweeps: Vec<&str> = report.sweeps.iter().map(|sweep| sweep.name.as_str()).collect();
    // Of calls as quick as these there are enough for a median.
    assert!(sweeps.contains(&"text, embedding held, text hit"), "{sweeps:?}");
    assert!(report.cold.iter().any(|row| row.stages.iter().any(|stage| stage.name == "first_inference" && stage.mean_ms > 0.0)));
}

#[test]
fn given_phrases_are_searched_for_by_several_callers_and_both_networks_have_a_limit() {
    let place = Place::new();
    let given =
        ["--text", "a red bus", "--text", "mug", "--embedding", "held", "--text-cache", "miss", "--concurrency", "1,3", "-f", "json"];
    let arguments = [&["bench", "--time", "0.2", "--cold", "0"], &OWL[..], &given].concat();
    let outcome = place.maskline_at(&maskline::runtime::home_dir(), &arguments);
    let report = report(&outcome);
    assert_eq!(report.identity.subjects[0].texts, Some(Texts { kind: TextKind::Given, count: 2 }));
    assert_eq!(report.loads.len(), 1);
    assert!(report.loads[0].points.iter().all(|point| point.errors == 0 && point.rows_together.is_some_and(|rows| rows >= 1.0)));
    let ceilings: Vec<&str> = report.ceilings.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(ceilings, ["text_encoder"], "the picture's embedding is held");
    // Two phrases of 16 tokens through twelve blocks of width 512: 2 · 2 · 16 · 12 · 12 · 512² operations and some of attention.
    let least = 4.0 * 16.0 * 12.0 * 12.0 * 512.0 * 512.0;
    assert!((least..1.1 * least).contains(&report.ceilings[0].work), "{} of {least}", report.ceilings[0].work);
}

#[test]
fn questions_of_rising_complexity_are_a_table_by_size() {
    let place = Place::new();
    let model = ["owlv2-base", "--synthetic", "--images", "photo.png", "--embedding", "held", "-f", "json"];
    let swept = ["--sweep", "size=96,240", "--sweep", "prompts=word,phrase,objects"];
    let outcome = place.maskline_at(&maskline::runtime::home_dir(), &quick(&[&model[..], &swept].concat()));
    let report = report(&outcome);
    follows_the_schema(&outcome.stdout);
    let asked: Vec<_> = report.identity.subjects.iter().map(|subject| (subject.image_size.unwrap(), subject.texts.unwrap())).collect();
    let texts = [(TextKind::Word, 1), (TextKind::Phrase, 1), (TextKind::Objects, 3)].map(|(kind, count)| Texts { kind, count });
    let expected: Vec<_> = [96, 240].into_iter().flat_map(|size| texts.map(|texts| (size, texts))).collect();
    assert_eq!(asked, expected);
    let sweep = |name: &str| report.sweeps.iter().find(|sweep| sweep.parameter == name).unwrap();
    assert_eq!(sweep("prompts").places, Some(["word", "phrase", "objects"].map(str::to_owned).into()));
    assert_eq!((sweep("prompts").curves.len(), sweep("size").curves.len()), (2, 3), "one by each size, and one by each question");
}

#[test]
fn options_of_words_are_for_models_that_take_some() {
    let place = Place::new();
    for option in [["--text", "mug"], ["--phrases", "words"], ["--text-cache", "hit"]] {
        let nano = place.maskline(&quick(&[&["nano"], &option[..]].concat()));
        nano.fails(2, &[&format!("{} does not apply to nano", option[0]), "takes no words", "help: leave it out"]);
    }
    place.maskline(&quick(&["nano", "--sweep", "prompts=word,phrase"])).fails(2, &["--sweep prompts", "take no words"]);
    place.maskline(&quick(&["nano", "--sweep", "text=1,2"])).fails(2, &["--sweep text", "take no words"]);
    owl(&place, &["--prompts", "2"]).fails(2, &["--prompts does not apply to owlv2-base", "takes no prompts"]);
    owl(&place, &["--batch", "2"]).fails(2, &["--batch does not apply", "one picture at a time", "--sweep text"]);
    owl(&place, &["--text", "mug", "--sweep", "text=1,2"]).fails(2, &["--text does not apply beside --sweep text"]);
    owl(&place, &["--text", "mug", "--phrases", "words"]).fails(2, &["cannot be used with"]);
    owl(&place, &["--sweep", "text=1,1000"]).fails(2, &["at most 128", "--text"]);
    owl(&place, &["--text", " "]).fails(3, &["phrase", "only spaces"]);
}

#[test]
fn results_are_written_in_all_forms() {
    let place = Place::new();
    let outcome = place.maskline(&quick(&["nano", "-o", "out/report", "--embedding", "held"]));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("Cold start") && outcome.stdout.contains("nano, held"), "{}", outcome.stdout);
    let read = |name: &str| std::fs::read_to_string(place.path("out/report").join(name)).unwrap();
    follows_the_schema(&read("report.json"));
    assert!(read("report.md").starts_with("# "));
    assert!(read("report.csv").starts_with("section,row,item,metric,unit,value,low,high\r\n"));
    let page = read("report.html");
    assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("<script"), "one page without a network");
    let files = std::fs::read_dir(place.path("out/report")).unwrap().flatten().filter(|entry| entry.path().is_file());
    assert_eq!(files.count(), 4, "nothing is left over");
    std::fs::write(place.path("out/report/report.md"), "my own").unwrap();
    place.maskline(&quick(&["nano", "-o", "out/report", "--embedding", "held"])).fails(1, &["report.md", "--overwrite"]);
}

#[test]
fn what_cannot_be_measured_is_said() {
    let place = Place::new();
    std::fs::write(place.path("broken.jpg"), b"no picture").unwrap();
    place.maskline(&["bench"]).fails(2, &["Usage: maskline bench"]);
    place.maskline(&quick(&["no-such-model"])).fails(3, &["no-such-model"]);
    place.maskline(&quick(&["nano,nano"])).fails(2, &["nano is there twice"]);
    place.maskline(&quick(&["nano+nano"])).fails(2, &["expected one model"]);
    place.maskline(&quick(&["nano", "--images", "broken.jpg"])).fails(3, &["broken.jpg"]);
    place.maskline(&quick(&["nano", "--images", "gone.jpg"])).fails(3, &["gone.jpg"]);
    place.maskline(&quick(&["nano", "--sweep", "prompts=1,2,3,4,5,6,7,8,9", "--sweep", "threads=1,2,3"])).fails(5, &["27", "--limit"]);
    place.maskline(&quick(&["nano", "--sweep", "colour=red"])).fails(2, &["size, prompts, kind"]);
    place.maskline(&quick(&["nano", "--prompts", "0"])).fails(2, &["prompts"]);
    place.maskline(&quick(&["nano", "--sweep", "size=64"])).fails(2, &["nano: size", "expected 96", "found 64"]);
    place.maskline(&quick(&["nano", "--prompts", "2", "--sweep", "prompts=1,2"])).fails(2, &["--prompts does not apply beside --sweep"]);
    place.maskline(&quick(&["nano", "--embedding", "held,held"])).fails(2, &["held is there twice"]);
    place.maskline(&quick(&["nano", "--concurrency", "0"])).fails(2, &["--concurrency", "1 to 4096"]);
    place.maskline(&quick(&["nano", "--rate", "0"])).fails(2, &["--rate", "above 0"]);
    place.maskline(&quick(&["nano", "--arrivals", "constant"])).fails(2, &["--rate"]);
    place.maskline(&quick(&["nano", "--overwrite"])).fails(2, &["--output"]);
    place.maskline(&["bench", "nano", "--time", "0", "--against", "pytorch"]).fails(2, &["--against", "--time 0"]);
    place.maskline(&quick(&["nano", "--precision", "f8"])).fails(2, &["precision", "f16-emulated"]);
    place.maskline(&quick(&["nano", "--sweep", "precision=bf16"])).fails(2, &["precision", "bf16"]);
    place.maskline(&quick(&["nano", "--provider", "cuda"])).fails(4, &["cuda"]);
    place.maskline(&quick(&["nano", "--runtime", "gone.so"])).fails(4, &["gone.so"]);
    place.maskline(&quick(&["nano", "--against", "caffe"])).fails(2, &["pytorch, onnxruntime-python, ultralytics"]);
    place.maskline(&quick(&["nano", "--against", "pytorch", "--peer-python", "gone/python"])).fails(4, &["gone/python"]);
    place.maskline(&quick(&["nano", "--against", "pytorch", "--offline"])).fails(4, &["offline"]);
}

/// A report whose rows are judged, and slower by a factor.
fn scaled(report: &Value, factor: f64) -> Value {
    let mut report = report.clone();
    for row in report["steady"].as_array_mut().unwrap() {
        row["verdict"] = serde_json::json!({"status": "VALID", "reason": "made for a test", "drift": null});
        let scale = |value: &mut Value| *value = serde_json::json!(value.as_f64().unwrap() * factor);
        for end in ["value", "low", "high"] {
            scale(&mut row["summary"]["p50_ms"][end]);
        }
        for sample in row["samples"]["steady"].as_array_mut().unwrap() {
            scale(&mut sample[1]);
        }
    }
    report
}

#[test]
fn reports_are_compared() {
    let place = Place::new();
    let outcome = place.maskline(&quick(&["nano", "--embedding", "held", "-f", "json"]));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    for (name, factor) in [("before", 1.0), ("same", 1.01), ("slower", 1.3)] {
        std::fs::write(place.path(&format!("{name}.json")), scaled(&report, factor).to_string()).unwrap();
    }
    // As it was measured, too short to be judged: nothing became slower, but nobody can say so.
    std::fs::write(place.path("short.json"), report.to_string()).unwrap();
    let short = |more: &[&str]| place.maskline(&[&["bench", "compare", "short.json", "short.json"], more].concat()).code;
    assert_eq!((short(&[]), short(&["--strict"])), (0, 1));
    // Wide enough a threshold that the scatter of a few samples on a busy machine decides nothing.
    let compare = |after: &str, more: &[&str]| place.maskline(&[&["bench", "compare", "before.json", after], more].concat());
    let same = compare("before.json", &["--fail-over", "50%"]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    assert!(same.stdout.contains("nano, held"), "{}", same.stdout);
    let json = compare("slower.json", &["-f", "json", "--fail-over", "90%"]);
    assert_eq!(json.code, 0, "{}", json.stderr);
    let ratio = serde_json::from_str::<Value>(&json.stdout).unwrap()["rows"][0]["ratio"]["value"].as_f64().unwrap();
    assert!((ratio - 1.3).abs() < 1e-6, "{ratio}");
    std::fs::write(place.path("slow.json"), scaled(&report, 40.0).to_string()).unwrap();
    let slow = compare("slow.json", &["--fail-over", "5%", "-o", "out"]);
    assert_eq!(slow.code, 1, "{}{}", slow.stdout, slow.stderr);
    assert!(place.path("out/comparison.html").exists() && place.path("out/comparison.md").exists());
    place.maskline(&["bench", "compare", "before.json", "gone.json"]).fails(3, &["gone.json"]);
    place.maskline(&["bench", "compare", "before.json", "photo.png"]).fails(3, &["not a benchmark report", "photo.png"]);
    place.maskline(&["bench", "compare", "before.json", "same.json", "--fail-over", "500%"]).fails(2, &["share"]);
}

/// With a Python that has onnxruntime, numpy, Pillow, OpenCV and pycocotools in `MASKLINE_PEER_PYTHON`.
#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn other_programs_take_turns_and_are_compared() {
    let python = std::env::var("MASKLINE_PEER_PYTHON").unwrap();
    let place = Place::new();
    let against = ["--against", "onnxruntime-python", "--peer-python", &python];
    place.maskline(&quick(&[&["nano"][..], &against].concat())).fails(2, &["onnxruntime-python does not run nano"]);
    let yolo = ["yolov8n", "--synthetic", "--size", "64", "--images", "photo.png", "-f", "json"];
    let report = report(&place.maskline(&quick(&[&yolo[..], &against].concat())));
    let [peer] = report.peers.as_slice() else { panic!("{:?}", report.peers) };
    assert_eq!((peer.compared_with.as_str(), peer.is_interleaved), ("yolov8n", true));
    assert!(peer.program.starts_with("onnxruntime-python (python 3."), "{}", peer.program);
    assert!(peer.parity.as_ref().unwrap().is_equal(), "{:?}", peer.parity);
    assert!(peer.summary.n >= 11 && peer.ratio.value > 0.0);
    let effort = peer.effort.as_ref().unwrap();
    assert!(effort.installed_bytes.is_some_and(|bytes| bytes > 50 << 20) && effort.steps.len() == 4, "{effort:?}");
    assert!(peer.ready.as_ref().unwrap().max_ms > 0.0 && peer.peak_memory_bytes.is_some_and(|bytes| bytes > 10 << 20));
}

/// The same, of words, with torch, torchvision, transformers and safetensors too.
#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn other_programs_search_for_the_same_words() {
    let python = std::env::var("MASKLINE_PEER_PYTHON").unwrap();
    let place = Place::new();
    let against = ["--against", "pytorch,onnxruntime-python", "--peer-python", &python];
    let asked = ["--phrases", "phrases", "--sweep", "text=3", "--embedding", "miss", "--text-cache", "hit,miss", "-f", "json"];
    // On a generated picture, which is made smaller: on `photo.png`, which is enlarged, the worst box has 0.93.
    let arguments = quick(&[&OWL[..4], &asked, &against].concat());
    let report = report(&place.maskline_at(&maskline::runtime::home_dir(), &arguments));
    assert_eq!(report.peers.len(), 4);
    for peer in &report.peers {
        assert!(peer.parity.as_ref().unwrap().is_equal(), "{}: {:?}", peer.name, peer.parity);
        assert!(peer.first_result.as_ref().unwrap().max_ms > 0.0, "the first call is told too");
    }
    // Both sides tell the same stages, so that one table shows them.
    for row in &report.stages {
        let has = |stage: &str| stage_ms(&report, &row.name, stage).is_some();
        assert_eq!(has("text_encode"), row.name.contains("text miss"), "{row:?}");
        assert!(has("preprocess") && has("image_encode") && has("match"), "{row:?}");
    }
    assert_eq!(report.stages.len(), report.steady.len() + report.peers.len());
}
