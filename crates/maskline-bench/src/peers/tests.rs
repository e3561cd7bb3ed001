//! The protocol against a small stub, and environments made by stand-ins for Python and pip.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use maskline::{ModelInfo, Multimask, Prompt};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{Reads, Script};
use super::python::output_of;
use super::worker::{Mode, Phrase, Request, Words, Worker};
use super::{Environment, EnvironmentOptions, ErrorKind, Limits, PeerModel, Program, Task};

pub(super) fn info(family: &str) -> ModelInfo {
    let head = json!({"grid": 64, "space": 1024, "masks": 4, "object_score": true, "high_resolution": true, "always_padded": true,
                      "single": "first", "everything": {"predicted_iou": 0.8, "stability": 0.95, "points_per_side": 32, "cleans_logits": true}});
    let normalise = json!({"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]});
    serde_json::from_value(json!({
        "family": family, "architecture": "some", "task": "promptable", "labels": [], "input": "picture",
        "preprocess": {"stretch": normalise}, "default_size": 1024, "fixed_size": null, "fixed_batch": null, "parts": [],
        "output": {"promptable": head},
    }))
    .unwrap()
}

fn task() -> Task {
    let model = PeerModel { checkpoint: Some("weights.safetensors".into()), parts: vec![], info: info("sam2") };
    let limits = Limits { start: Duration::from_secs(20), call: Duration::from_secs(20) };
    Task { threads: 2, limits, ..Task::new(model) }
}

/// What every stub begins with: the task is read, and `say` answers.
const PREAMBLE: &str = "
import json, os, sys, time
def say(message): print(json.dumps(message), flush=True)
READY = {'ready': {'import': 1.5, 'load': 2.5, 'a_last': 0.5}, 'threads': 2}
REPLY = {'milliseconds': 7.25, 'stages': {'z': 1.0, 'a': 2.0}, 'threads': 2,
         'objects': [{'score': 0.5, 'segmentation': {'size': [2, 2], 'counts': '13'}}]}
task = json.loads(sys.stdin.readline())
";

/// Starts a stub; `None`, with a word about it, where there is no Python.
fn stub(body: &str, task: &Task) -> Option<(TempDir, super::Result<Worker>)> {
    if output_of(Command::new("python3").arg("-V")).is_err() {
        maskline_testing::skip("there is no python3");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stub.py");
    std::fs::write(&path, format!("{PREAMBLE}{body}")).unwrap();
    let mut command = Command::new("python3");
    command.arg("-I").arg(path);
    let worker = Worker::launch(command, "stub", &json!({"seed": 3}), task);
    Some((folder, worker))
}

fn ask(worker: &mut Worker) -> super::Result<super::Reply> {
    let prompts = [Prompt::click(1.0, 1.0).with_click(2.0, 1.0, false)];
    worker.call(&Request { picture: Path::new("photo.png"), mode: Mode::Miss, prompts: &prompts, words: None, multimask: Multimask::Auto })
}

#[test]
fn a_worker_gets_ready_answers_and_can_be_asked_again_after_an_error() {
    let body = "
say(READY)
first = json.loads(sys.stdin.readline())
say(REPLY if first['prompts'] == [{'points': [[1, 1], [2, 1]], 'labels': [1, 0]}] and task['seed'] == 3 else {'error': str(first)})
sys.stdin.readline()
say({'error': 'no such picture'})
sys.stdin.readline()
say(REPLY)
";
    let Some((_folder, worker)) = stub(body, &task()) else { return };
    let mut worker = worker.unwrap();
    let ready = worker.ready().clone();
    let names: Vec<&str> = ready.parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["interpreter", "import", "load", "a_last"]);
    let sum: f64 = ready.parts.iter().map(|(_, milliseconds)| milliseconds).sum();
    assert!((sum - ready.total.as_secs_f64() * 1e3).abs() < 1e-6, "the parts are the whole");
    let reply = ask(&mut worker).unwrap();
    assert_eq!((reply.milliseconds, reply.stages), (7.25, vec![("z".into(), 1.0), ("a".into(), 2.0)]));
    let mask = reply.objects[0].mask.as_ref().unwrap();
    assert_eq!((mask.width(), mask.height(), mask.area(), reply.objects[0].prompt), (2, 2, 3, Some(0)));
    if cfg!(target_os = "linux") {
        assert!(worker.peak_memory().unwrap() > 1 << 20);
    }
    let error = ask(&mut worker).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("no such picture"), "{error}");
    assert_eq!(ask(&mut worker).unwrap().milliseconds, 7.25);
}

#[test]
fn a_worker_that_cannot_load_says_why() {
    let body = "say({'error': 'this Python lacks torch'})";
    let Some((_folder, worker)) = stub(body, &task()) else { return };
    let error = worker.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lacking);
    assert!(error.to_string().contains("this Python lacks torch"), "{error}");
}

#[test]
fn a_death_in_the_middle_is_told_with_the_last_words() {
    let body = "
say(READY)
sys.stdin.readline()
print('the last straw', file=sys.stderr)
os._exit(3)
";
    let Some((_folder, worker)) = stub(body, &task()) else { return };
    let mut worker = worker.unwrap();
    let error = ask(&mut worker).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Died);
    let text = error.to_string();
    assert!(text.contains("| the last straw") && text.contains("exit status: 3"), "{text}");
    assert_eq!(ask(&mut worker).unwrap_err().kind(), ErrorKind::Died, "it stays dead");
}

#[test]
fn garbage_on_stdout_is_no_answer() {
    for (body, expected) in [
        ("print('Downloading…', flush=True)", "`Downloading…`"),
        ("say({'ready': 5})", "no answer"),
        ("say(REPLY)", "before it was asked"),
        ("sys.stdout.write('{'); sys.stdout.flush()", "does not end"),
        ("say({**READY, 'threads': 1})", "1 threads, expected 2"),
    ] {
        let Some((_folder, worker)) = stub(body, &task()) else { return };
        let error = worker.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Died, "{body}");
        assert!(error.to_string().contains(expected), "{body}: {error}");
    }
}

#[test]
fn answers_of_another_count_or_with_broken_masks_are_refused() {
    let broken = "REPLY['objects'][0]['segmentation']['counts'] = '19'";
    for (change, expected) in [("REPLY['objects'] *= 2", "1 prompts with 2 masks"), (broken, "a broken answer")] {
        let body = format!("say(READY)\nsys.stdin.readline()\n{change}\nsay(REPLY)\n");
        let Some((_folder, worker)) = stub(&body, &task()) else { return };
        let error = ask(&mut worker.unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Died);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_worker_that_hangs_is_ended_in_time() {
    let limits = Limits { call: Duration::from_millis(300), ..task().limits };
    let body = "
say(READY)
print('still thinking', file=sys.stderr, flush=True)
time.sleep(60)
";
    let Some((_folder, worker)) = stub(body, &Task { limits, ..task() }) else { return };
    let mut worker = worker.unwrap();
    let start = Instant::now();
    let error = ask(&mut worker).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("| still thinking"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(ask(&mut worker).unwrap_err().kind(), ErrorKind::Died);
}

#[test]
fn prompts_that_others_do_not_take_are_refused_before_they_are_sent() {
    let Some((_folder, worker)) = stub("say(READY)\nsys.stdin.readline()", &task()) else { return };
    let mut worker = worker.unwrap();
    let empty = [Prompt::default()];
    let request = Request { picture: Path::new("photo.png"), mode: Mode::Miss, prompts: &empty, words: None, multimask: Multimask::Auto };
    assert_eq!(worker.call(&request).unwrap_err().kind(), ErrorKind::Unsupported);
    let request = Request { prompts: &[], multimask: Multimask::On, ..request };
    assert_eq!(worker.call(&request).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn words_are_told_with_their_tokens_and_find_any_number_of_objects() {
    let body = "
say(READY)
seen = []
for line in sys.stdin:
    seen.append(json.loads(line))
    found = [{'score': 0.5, 'box': [1, 2, 3, 4], 'class_id': index} for index in (1, 0, 1)]
    told = [{'text': 'a red bus', 'ids': [7, 1, 9]}, {'text': 'Schiff'}]
    expected = {'words': ['miss', 'held'][len(seen) - 1], 'phrases': told, 'prompts': [], 'mode': 'miss'}
    fits = all(seen[-1].get(key) == value for key, value in expected.items())
    say({**REPLY, 'objects': found} if fits else {'error': str(seen[-1])})
";
    let Some((_folder, worker)) = stub(body, &task()) else { return };
    let mut worker = worker.unwrap();
    let phrase = |text: &str, ids: Option<&[i64]>| Phrase { text: text.into(), ids: ids.map(<[i64]>::to_vec) };
    let phrases = [phrase("a red bus", Some(&[7, 1, 9])), phrase("Schiff", None)];
    for are_held in [false, true] {
        let words = Some(Words { phrases: &phrases, are_held });
        let request = Request { picture: Path::new("photo.png"), mode: Mode::Miss, prompts: &[], words, multimask: Multimask::Auto };
        let objects = worker.call(&request).unwrap().objects;
        assert_eq!(objects.iter().map(|object| object.class_id).collect::<Vec<_>>(), [Some(1), Some(0), Some(1)]);
    }
}

#[test]
fn what_words_find_keeps_box_and_class_beside_its_mask() {
    // A mask of 2 × 2 pixels that is empty: four zeros.
    let body = "
say(READY)
for line in sys.stdin:
    say({**REPLY, 'objects': [{'score': 0.5, 'box': [1, 2, 3, 4], 'class_id': 1, 'segmentation': {'size': [2, 2], 'counts': '4'}}]})
";
    let Some((_folder, worker)) = stub(body, &task()) else { return };
    let phrases = [Phrase { text: "Schiff".into(), ids: None }];
    let words = Some(Words { phrases: &phrases, are_held: false });
    let request = Request { picture: Path::new("photo.png"), mode: Mode::Miss, prompts: &[], words, multimask: Multimask::Auto };
    let objects = worker.unwrap().call(&request).unwrap().objects;
    assert_eq!((objects[0].class_id, objects[0].bounds, objects[0].prompt), (Some(1), [1.0, 2.0, 3.0, 4.0], None));
    assert!(objects[0].mask.as_ref().unwrap().is_empty());
}

#[test]
fn each_program_says_what_it_runs() {
    let nano = Program::PyTorch.script(&info("nano")).unwrap_err();
    assert_eq!(nano.kind(), ErrorKind::Unsupported);
    assert!(nano.to_string().contains("no other program does"), "{nano}");
    let other = Program::Ultralytics.script(&info("mobile_sam")).unwrap_err().to_string();
    assert!(other.contains("those that do: pytorch, onnxruntime-python"), "{other}");
    for program in Program::ALL {
        assert_eq!(program.name().parse::<Program>().unwrap(), program);
    }
    let unknown = "tensorflow".parse::<Program>().unwrap_err();
    assert!(unknown.to_string().contains("pytorch, onnxruntime-python, ultralytics"), "{unknown}");
}

#[test]
fn a_program_is_refused_a_model_without_what_it_reads() {
    let task = Task::new(PeerModel { checkpoint: None, parts: vec![], info: info("sam2") });
    for program in [Program::PyTorch, Program::OnnxRuntimePython] {
        let script = program.script(&task.model.info).unwrap();
        assert_eq!(task.message(&script).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

/// An export stands for the checkpoint where a program reads both, and where it is one file.
#[test]
fn an_export_stands_for_a_checkpoint() {
    let script = |reads: Reads| Script { module: "some", class: "Some", needs: &[], reads };
    let part = |name: &str| (name.to_owned(), PathBuf::from(format!("{name}.onnx")));
    let of = |checkpoint: Option<&str>, parts: Vec<(String, PathBuf)>| {
        Task::new(PeerModel { checkpoint: checkpoint.map(Into::into), parts, info: info("yolov8") })
    };
    let told = |task: &Task| task.message(&script(Reads::CheckpointOrExport)).map(|message| message["checkpoint"].clone());
    assert_eq!(told(&of(None, vec![part("network")])).unwrap(), json!("network.onnx"));
    assert_eq!(told(&of(Some("weights.pt"), vec![part("network")])).unwrap(), json!("weights.pt"));
    let several = told(&of(None, vec![part("image_encoder"), part("mask_decoder")]));
    assert_eq!(several.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let only = of(None, vec![part("network")]).message(&script(Reads::Checkpoint));
    assert_eq!(only.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// Names of both layouts, converted by the carried script in plain Python.
#[test]
fn names_of_published_layouts_are_converted() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = super::scripts::Scripts::write(folder.path()).unwrap();
    let code = r#"
import sys; sys.path.insert(0, sys.argv[1])
import names
official = ["image_encoder.trunk.pos_embed", "image_encoder.trunk.blocks.3.mlp.layers.1.bias", "image_encoder.neck.convs.2.conv.weight",
            "no_mem_embed", "maskmem_tpos_enc", "memory_attention.layers.0.norm1.weight", "obj_ptr_proj.layers.0.weight",
            "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "sam_prompt_encoder.mask_downscaling.4.bias",
            "sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight", "sam_mask_decoder.transformer.norm_final_attn.bias",
            "sam_mask_decoder.transformer.layers.1.self_attn.out_proj.bias", "sam_mask_decoder.output_upscaling.1.weight",
            "sam_mask_decoder.iou_prediction_head.layers.0.weight", "sam_mask_decoder.iou_prediction_head.layers.1.weight",
            "sam_mask_decoder.output_hypernetworks_mlps.2.layers.2.bias"]
official += [f"sam_prompt_encoder.point_embeddings.{index}.weight" for index in range(4)]
for name in sorted(names.sam2({name: [name] for name in official}, lambda rows: sum(rows, []))): print(name)
print("--")
sam = ["vision_encoder.layers.2.layer_norm1.weight", "vision_encoder.neck.layer_norm2.bias", "prompt_encoder.point_embed.1.weight",
       "prompt_encoder.shared_embedding.positional_embedding", "mask_decoder.iou_prediction_head.layers.0.bias",
       "mask_decoder.iou_prediction_head.proj_out.bias", "mask_decoder.upscale_layer_norm.weight"]
for name in sorted(names.sam(dict.fromkeys(sam))): print(name)
print("--")
sam3 = ["detector_model.text_projection.weight", "detr_decoder.query_embed.weight", "tracker_neck.fpn_layers.0.proj1.bias",
        "tracker_model.no_memory_embedding"]
for name in sorted(names.sam3(dict.fromkeys(sam3))): print(name)
"#;
    let python = Path::new("python3");
    if output_of(Command::new(python).arg("-V")).is_err() {
        maskline_testing::skip("there is no python3");
        return;
    }
    let folder = scripts.file("names.py");
    let text = output_of(super::python::isolated(python).args(["-B", "-c", code]).arg(folder.parent().unwrap())).unwrap();
    let [sam2, sam, sam3]: [&str; 3] = text.split("--\n").collect::<Vec<_>>().try_into().unwrap();
    let expected = "mask_decoder.iou_prediction_head.layers.0.weight mask_decoder.iou_prediction_head.proj_in.weight \
                    mask_decoder.output_hypernetworks_mlps.2.proj_out.bias mask_decoder.transformer.layer_norm_final_attn.bias \
                    mask_decoder.transformer.layers.0.mlp.proj_in.weight mask_decoder.transformer.layers.1.self_attn.o_proj.bias \
                    mask_decoder.upscale_layer_norm.weight no_memory_embedding prompt_encoder.mask_embed.layer_norm2.bias \
                    prompt_encoder.point_embed.weight prompt_encoder.shared_embedding.positional_embedding \
                    shared_image_embedding.positional_embedding vision_encoder.backbone.blocks.3.mlp.proj_out.bias \
                    vision_encoder.backbone.pos_embed vision_encoder.neck.convs.2.weight";
    assert_eq!(sam2.lines().collect::<Vec<_>>().join(" "), expected);
    let expected = "image_encoder.blocks.2.norm1.weight image_encoder.neck.3.bias mask_decoder.iou_prediction_head.layers.1.bias \
                    mask_decoder.iou_prediction_head.layers.2.bias mask_decoder.output_upscaling.1.weight \
                    prompt_encoder.pe_layer.positional_encoding_gaussian_matrix prompt_encoder.point_embeddings.1.weight";
    assert_eq!(sam.lines().collect::<Vec<_>>().join(" "), expected);
    assert_eq!(sam3.lines().collect::<Vec<_>>(), ["detr_decoder.query_embed.weight", "text_projection.weight"]);
}

/// Stand-ins for Python are shell scripts.
#[cfg(unix)]
mod environments {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HAS_ALL: &str = r#"{"python": "3.12.1", "missing": [], "versions": [["numpy", "9.9"]]}"#;
    const LACKS: &str = r#"{"python": "3.12.1", "missing": ["onnxruntime", "cv2"], "versions": []}"#;

    /// Copied by another process: a file that this one has open for writing while another test forks could not be run.
    fn write_script(path: &Path, text: &str) {
        let draft = path.with_extension("draft");
        std::fs::write(&draft, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        let _ = std::fs::remove_file(path);
        output_of(Command::new("cp").arg(&draft).arg(path)).unwrap();
    }

    /// A Python that makes environments, whose own Python does `pip` and then has `facts`. Every environment that is made adds a
    /// line to `made`.
    fn maker(folder: &Path, pip: &str, facts: &str) -> PathBuf {
        let inner = folder.join("inner");
        write_script(&inner, &format!("case \"$*\" in\n*\"pip install\"*) {pip};;\n*facts.py*) echo '{facts}';;\n*) exit 9;;\nesac\n"));
        let outer = folder.join("python3");
        let copy = format!("mkdir -p \"$4/bin\" && cp '{}' \"$4/bin/python\" && echo made >> '{}/made'", inner.display(), folder.display());
        write_script(&outer, &format!("case \"$*\" in\n*\"import sys, venv\"*) echo 3 12;;\n*\"-m venv\"*) {copy};;\n*) exit 9;;\nesac\n"));
        outer
    }

    fn options(folder: &Path, maker: PathBuf) -> (EnvironmentOptions, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let progress: maskline::runtime::Progress = Arc::new(move |text: &str| listener.lock().unwrap().push(text.to_owned()));
        (EnvironmentOptions { maker: Some(maker), progress: Some(progress), ..EnvironmentOptions::new(folder.join("peers")) }, told)
    }

    fn count_made(folder: &Path) -> usize {
        std::fs::read_to_string(folder.join("made")).map_or(0, |text| text.lines().count())
    }

    /// Folders of environments, finished or not; the locks stay.
    fn left(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder.join("peers/onnxruntime")).map_or(vec![], |entries| entries.flatten().collect());
        entries.iter().filter(|entry| entry.path().is_dir() && entry.file_name() != ".locks").count()
    }

    #[test]
    fn an_environment_is_made_once_and_its_size_is_told_before() {
        let folder = tempfile::tempdir().unwrap();
        let (options, told) = options(folder.path(), maker(folder.path(), "exit 0", HAS_ALL));
        let first = Environment::prepare(Program::OnnxRuntimePython, &options).unwrap();
        assert_eq!(first.versions(), [("python".to_owned(), "3.12.1".to_owned()), ("numpy".to_owned(), "9.9".to_owned())]);
        assert!(first.python().is_file());
        assert!(told.lock().unwrap()[0].contains("MB"), "{told:?}");
        let offline = EnvironmentOptions { offline: true, maker: Some("/no/python".into()), ..options };
        let again = Environment::prepare(Program::OnnxRuntimePython, &offline).unwrap();
        assert_eq!((again.python(), count_made(folder.path())), (first.python(), 1));
    }

    #[test]
    fn pip_is_kept_from_installing_elsewhere_and_its_last_lines_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let pip = "[ \"$1\" = -I ] && echo \"no-user: $*\"; echo; echo 'ERROR: no route to host' >&2; exit 1";
        let (options, _) = options(folder.path(), maker(folder.path(), pip, HAS_ALL));
        let error = Environment::prepare(Program::OnnxRuntimePython, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Install);
        let text = error.to_string();
        for part in ["| no-user: -I -m pip install --no-deps --no-user", "| ERROR: no route to host", "exit status: 1", "--peer-python"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(left(folder.path()), 0, "nothing half-made is left");
    }

    #[test]
    fn without_python_or_network_the_way_out_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, _) = options(folder.path(), folder.path().join("nothing"));
        let error = Environment::prepare(Program::OnnxRuntimePython, &missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoPython);
        assert!(error.to_string().contains("help: install Python 3.11"), "{error}");
        let old = folder.path().join("old");
        write_script(&old, "echo 3 9");
        let error =
            Environment::prepare(Program::OnnxRuntimePython, &EnvironmentOptions { maker: Some(old), ..missing.clone() }).unwrap_err();
        assert!(error.kind() == ErrorKind::NoPython && error.to_string().contains("version 3.9"), "{error}");
        let error = Environment::prepare(Program::OnnxRuntimePython, &EnvironmentOptions { offline: true, ..missing }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Offline);
        assert!(error.to_string().contains("--peer-python"), "{error}");
        assert_eq!(left(folder.path()), 0);
    }

    #[test]
    fn an_environment_that_does_not_work_any_more_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (options, _) = options(folder.path(), maker(folder.path(), "exit 0", HAS_ALL));
        let python = Environment::prepare(Program::OnnxRuntimePython, &options).unwrap().python().to_path_buf();
        std::fs::remove_file(&python).unwrap();
        let again = Environment::prepare(Program::OnnxRuntimePython, &options).unwrap();
        assert_eq!((again.python(), count_made(folder.path())), (python.as_path(), 2));
        assert!(python.is_file());
    }

    #[test]
    fn packages_that_are_not_there_after_all_are_an_error_and_no_environment() {
        let folder = tempfile::tempdir().unwrap();
        let (options, _) = options(folder.path(), maker(folder.path(), "exit 0", LACKS));
        let error = Environment::prepare(Program::OnnxRuntimePython, &options).unwrap_err();
        assert_eq!((error.kind(), left(folder.path())), (ErrorKind::Install, 0));
    }

    #[test]
    fn a_python_of_the_user_is_only_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        write_script(&theirs, &format!("echo \"$*\" >> '{}/calls'\necho '{LACKS}'", folder.path().display()));
        let mut options = EnvironmentOptions { python: Some(theirs.clone()), ..EnvironmentOptions::new(folder.path().join("peers")) };
        let error = Environment::prepare(Program::OnnxRuntimePython, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lacking);
        assert!(error.to_string().contains("lacks what onnxruntime-python needs: onnxruntime, cv2"), "{error}");
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert!(calls.lines().count() == 1 && calls.contains("facts.py") && !calls.contains("pip"), "{calls}");
        write_script(&theirs, &format!("echo '{HAS_ALL}'"));
        assert!(Environment::prepare(Program::OnnxRuntimePython, &options).unwrap().is_foreign);
        options.python = Some(folder.path().join("nothing"));
        assert_eq!(Environment::prepare(Program::OnnxRuntimePython, &options).unwrap_err().kind(), ErrorKind::NoPython);
    }

    #[test]
    fn two_at_once_make_one_environment() {
        let folder = tempfile::tempdir().unwrap();
        let (options, _) = options(folder.path(), maker(folder.path(), "sleep 0.3", HAS_ALL));
        std::thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| Environment::prepare(Program::OnnxRuntimePython, &options)));
            for one in both {
                one.join().unwrap().unwrap();
            }
        });
        assert_eq!(count_made(folder.path()), 1);
    }
}

/// Value is what messages are made of; a task's must hold what every script reads.
#[test]
fn a_task_tells_the_script_all_that_it_reads() {
    let message: Value = task().message(&Program::PyTorch.script(&info("sam2")).unwrap()).unwrap();
    for key in ["module", "class", "needs", "family", "architecture", "info", "checkpoint", "parts", "threads", "size", "detect"] {
        assert!(message.get(key).is_some(), "{key}: {message}");
    }
    assert_eq!(message["threads"], 2);
}
