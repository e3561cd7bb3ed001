//! The real programs against maskline, on the same weights and a picture that all decode alike: their answers are the same.
//!
//! `MASKLINE_PEER_PYTHON=…/bin/python cargo test -p maskline-bench --test peers -- --ignored --nocapture` runs every program whose
//! packages that Python has; with `MASKLINE_PEER_FULL=1` at the models' published sizes, which takes minutes. With
//! `MASKLINE_PEER_FETCH=1` the environment of ONNX Runtime is made from nothing and used (90 MB from the network).
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline::{
    BundleOptions, Dialect, Engine, EngineOptions, HeadBranch, Image, LoadOptions, Model, ModelSource, Multimask, Object, PredictOptions,
    Prompt, SegmentOptions, write_generated_weights,
};
use maskline_bench::peers::{
    Environment, EnvironmentOptions, ErrorKind, Mode, PeerModel, Program, Reply, Request, Task, Worker, lively_masks, parity,
};
use tempfile::TempDir;

const THREADS: usize = 2;
/// Side of the pictures of promptable models, unless all is tested at its real size.
const SIDE: usize = 256;

/// A Python with packages, and a picture without losses; `None`, said aloud, where the picture is missing.
struct Place {
    folder: TempDir,
    engine: Engine,
    environments: EnvironmentOptions,
    picture: PathBuf,
}

fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path)
}

fn place() -> Option<Place> {
    let python = std::env::var_os("MASKLINE_PEER_PYTHON").expect("MASKLINE_PEER_PYTHON names a Python");
    place_with(Some(python.into()))
}

fn place_with(python: Option<PathBuf>) -> Option<Place> {
    let picture = shared("photos/skimage_astronaut.png");
    if !picture.exists() {
        maskline_testing::skip(format_args!("{} is missing", picture.display()));
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().join("bundles"), ..EngineOptions::default() }).unwrap();
    let environments = EnvironmentOptions { python, ..EnvironmentOptions::new(folder.path().join("peers")) };
    Some(Place { folder, engine, environments, picture })
}

impl Place {
    /// maskline's model, and the same one as others take it. A promptable model keeps no embeddings.
    fn open(&self, source: &ModelSource, image_size: Option<usize>) -> (Model, PeerModel) {
        self.open_as(source, BundleOptions { image_size, ..BundleOptions::default() })
    }

    fn open_as(&self, source: &ModelSource, bundle: BundleOptions) -> (Model, PeerModel) {
        let portable = self.engine.build(source.clone(), &BundleOptions { dialect: Dialect::Portable, ..bundle.clone() }).unwrap();
        let checkpoint = match source {
            ModelSource::Checkpoint(path) => path.clone(),
            ModelSource::Synthetic { architecture, seed } => {
                let path = self.folder.path().join(format!("{architecture}.safetensors"));
                write_generated_weights(architecture, *seed, &bundle, &path).unwrap();
                path
            }
            other => unreachable!("{other:?} is not tested"),
        };
        let options = LoadOptions { threads: THREADS, warm_up: false, embedding_cache: 0, bundle, ..LoadOptions::default() };
        let model = self.engine.load(source.clone(), &options).unwrap();
        (model, PeerModel::of_bundle(&portable, Some(checkpoint)))
    }

    /// A program at work; `None` where its packages are missing.
    fn worker(&self, program: Program, model: &PeerModel) -> Option<Worker> {
        let task = Task { threads: THREADS, ..Task::new(model.clone()) };
        let started = Environment::prepare(program, &self.environments).and_then(|environment| Worker::start(&environment, program, &task));
        match started {
            Ok(worker) => Some(worker),
            Err(error) if error.kind() == ErrorKind::Lacking => {
                maskline_testing::skip(&error);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The parts of a call are its time, and that it takes some is seen.
fn check_times(reply: &Reply) {
    let sum: f64 = reply.stages.iter().map(|(_, milliseconds)| milliseconds).sum();
    assert!(sum > 0.0 && sum <= reply.milliseconds * 1.001, "{sum} of {}", reply.milliseconds);
}

fn prompts() -> Vec<Prompt> {
    let boxes = (0..6).map(|i| i as f32 * 30.0).map(|at| Prompt::bounds([20.0 + at, 15.0 + at, 220.0 + at, 180.0 + at]));
    let clicks = [Prompt::click(250.0, 130.0), Prompt::click(60.0, 400.0), Prompt::click(250.0, 130.0).with_click(100.0, 100.0, false)];
    boxes.chain(clicks).chain([Prompt::bounds([50.0, 40.0, 300.0, 400.0]).with_click(170.0, 200.0, true)]).collect()
}

fn check_promptable(architecture: &str) {
    let Some(place) = place() else { return };
    let size = if std::env::var_os("MASKLINE_PEER_FULL").is_some() { None } else { Some(SIDE) };
    let (model, peer) = place.open(&ModelSource::Synthetic { architecture: architecture.into(), seed: 0 }, size);
    let prompts = prompts();
    let embedding = model.embed(&Image::open(&place.picture).unwrap()).unwrap();
    for multimask in [Multimask::Auto, Multimask::Off] {
        let ours = embedding.find(&prompts, &SegmentOptions { multimask, ..SegmentOptions::default() }).unwrap().into_objects();
        for program in [Program::OnnxRuntimePython, Program::PyTorch] {
            let Some(mut worker) = place.worker(program, &peer) else { continue };
            for mode in [Mode::Miss, Mode::Hit, Mode::Held] {
                let request = Request { picture: &place.picture, mode, prompts: &prompts, words: None, multimask };
                let reply = worker.call(&request).unwrap();
                check_times(&reply);
                let has = |name: &str| reply.stages.iter().any(|(stage, _)| stage == name);
                assert_eq!((has("decode"), has("image_encode")), (mode != Mode::Held, mode == Mode::Miss), "{mode:?}");
                let same = parity(&ours, &reply.objects);
                let lively = lively_masks(&ours);
                eprintln!(
                    "{architecture} {program} {} {multimask:?}: {} {:.5}, {lively} of {} masks neither empty nor full, {:.0} ms, ready {:?}",
                    mode.name(),
                    same.metric,
                    same.value,
                    ours.len(),
                    reply.milliseconds,
                    worker.ready().total
                );
                assert!(same.is_equal() && lively > ours.len() / 2, "{same:?}");
            }
            assert!(!cfg!(target_os = "linux") || worker.peak_memory().unwrap() > 50 << 20);
        }
    }
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn sam2() {
    check_promptable("sam2.1-tiny");
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn mobile_sam() {
    check_promptable("mobile-sam");
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn efficientvit_sam() {
    check_promptable("efficientvit-sam-l0");
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn efficientvit_sam_of_six_stages() {
    check_promptable("efficientvit-sam-xl0");
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn sam1() {
    check_promptable("sam-vit-base");
}

fn detect(model: &Model, picture: &Path) -> Vec<Object> {
    model.predict(&Image::open(picture).unwrap(), &PredictOptions::default()).unwrap().objects
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn yolov8() {
    let Some(place) = place() else { return };
    let weights = shared("yolov8n/yolov8n.safetensors");
    if !weights.exists() {
        maskline_testing::skip(format_args!("{} is missing", weights.display()));
        return;
    }
    let (model, peer) = place.open(&ModelSource::Checkpoint(weights), None);
    let pictures = ["skimage_astronaut.png", "skimage_coffee.png", "usls_cat.png", "efficientvit_city.png"];
    for program in [Program::OnnxRuntimePython, Program::PyTorch, Program::Ultralytics] {
        let Some(mut worker) = place.worker(program, &peer) else { continue };
        for name in pictures {
            let picture = shared("photos").join(name);
            let ours = detect(&model, &picture);
            let request = Request { picture: &picture, mode: Mode::Detect, prompts: &[], words: None, multimask: Multimask::Auto };
            let reply = worker.call(&request).unwrap();
            check_times(&reply);
            let same = parity(&ours, &reply.objects);
            eprintln!("yolov8n {program} {name}: {} {:.5}, {} objects, {:.0} ms", same.metric, same.value, ours.len(), reply.milliseconds);
            assert!(same.is_equal() && !ours.is_empty(), "{name}: {same:?}\n{ours:?}\n{:?}", reply.objects);
        }
        let missing =
            Request { picture: Path::new("/no/such.png"), mode: Mode::Detect, prompts: &[], words: None, multimask: Multimask::Auto };
        assert_eq!(worker.call(&missing).unwrap_err().kind(), ErrorKind::Failed);
        assert!(worker.call(&Request { picture: &place.picture, ..missing }).is_ok(), "it can be asked again");
    }
}

#[test]
#[ignore = "needs MASKLINE_PEER_PYTHON, a Python with the packages of other programs"]
fn generated_weights_of_a_detector_are_all_loaded() {
    let Some(place) = place() else { return };
    for (architecture, head) in [("yolov8n", None), ("yolo11n", None), ("yolo26n", None), ("yolo26n", Some(HeadBranch::OneToOne))] {
        let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 0 };
        let (model, peer) = place.open_as(&source, BundleOptions { head, ..BundleOptions::default() });
        let ours = detect(&model, &place.picture);
        for program in [Program::PyTorch, Program::Ultralytics, Program::OnnxRuntimePython] {
            let Some(mut worker) = place.worker(program, &peer) else { continue };
            let request = Request { picture: &place.picture, mode: Mode::Detect, prompts: &[], words: None, multimask: Multimask::Auto };
            let reply = worker.call(&request).unwrap();
            let same = parity(&ours, &reply.objects);
            eprintln!("{architecture} {head:?} {program}: {} {:.5}, {} objects", same.metric, same.value, ours.len());
            assert!(same.is_equal() || ours.is_empty(), "{architecture} {program}: {same:?}");
        }
    }
}

#[test]
#[ignore = "needs MASKLINE_PEER_FETCH, fetches 90 MB"]
fn an_environment_made_from_nothing_works_where_it_ends_up() {
    assert!(std::env::var_os("MASKLINE_PEER_FETCH").is_some(), "MASKLINE_PEER_FETCH is not set");
    let Some(mut place) = place_with(None) else { return };
    place.environments.progress = Some(std::sync::Arc::new(|text: &str| eprintln!("{text}")));
    let (model, peer) = place.open(&ModelSource::Synthetic { architecture: "mobile-sam".into(), seed: 0 }, Some(SIDE));
    let mut worker = place.worker(Program::OnnxRuntimePython, &peer).unwrap();
    let prompts = prompts();
    let request = Request { picture: &place.picture, mode: Mode::Miss, prompts: &prompts, words: None, multimask: Multimask::Auto };
    let reply = worker.call(&request).unwrap();
    let ours = model.embed(&Image::open(&place.picture).unwrap()).unwrap().find(&prompts, &SegmentOptions::default()).unwrap();
    assert!(parity(&ours.into_objects(), &reply.objects).is_equal());
    // The second time nothing is fetched.
    place.environments.offline = true;
    let environment = Environment::prepare(Program::OnnxRuntimePython, &place.environments).unwrap();
    eprintln!("{:?}", environment.versions());
    assert!(environment.versions().iter().any(|(name, version)| name == "onnxruntime" && version != "unknown"));
}
