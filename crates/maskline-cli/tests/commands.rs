//! Every command as a user meets it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, shared};

#[test]
fn run_writes_every_format_and_prints_tables() {
    let place = Place::new();
    let outcome = place.run_small(&["--conf", "0", "--max-detections", "3", "-o", "out", "-f", "jpg,png,json,coco,yolo", "photo.png"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    for word in ["photo.png", "120 × 80", "label", "network"] {
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    }
    assert_eq!(image::open(place.path("out/photo.jpg")).unwrap().width(), 120);
    assert_eq!(image::open(place.path("out/photo.png")).unwrap().height(), 80);
    let coco: serde_json::Value = serde_json::from_slice(&std::fs::read(place.path("out/coco.json")).unwrap()).unwrap();
    assert_eq!(coco["annotations"].as_array().unwrap().len(), 3);
    assert_eq!(std::fs::read_to_string(place.path("out/photo.txt")).unwrap().lines().count(), 3);
    assert_eq!(std::fs::read_to_string(place.path("out/results.jsonl")).unwrap().lines().count(), 1);
    assert!(!place.path("maskline-out").exists());
}

#[test]
fn json_has_the_documented_shape_and_timings_that_add_up() {
    let place = Place::new();
    for copy in ["copy.png", "third.png"] {
        std::fs::copy(place.path("photo.png"), place.path(copy)).unwrap();
    }
    let arguments = ["--json", "--conf", "0", "--max-detections", "4", "photo.png", "copy.png", "third.png"];
    let cold = place.run_small(&arguments);
    let warm = place.run_small(&[&arguments[..], &["--batch", "2"]].concat());
    assert_eq!((cold.code, warm.code), (0, 0), "{}{}", cold.stderr, warm.stderr);
    let (cold, warm) = (cold.json_lines(), warm.json_lines());
    assert_eq!((&cold[0]["start"], &warm[0]["start"]), (&"cold".into(), &"warm".into()));
    assert!(cold[0]["cold_ms"]["build"].as_f64() > Some(0.0) && cold[1].get("cold_ms").is_none());
    for line in cold.iter().chain(&warm) {
        assert_eq!((&line["width"], &line["height"], &line["provider"]), (&120.into(), &80.into(), &"cpu".into()));
        let timings = line["timings_ms"].as_object().unwrap();
        let parts: f64 = timings.iter().filter(|(name, _)| *name != "total").map(|(_, ms)| ms.as_f64().unwrap()).sum();
        assert!((parts - timings["total"].as_f64().unwrap()).abs() < 0.01, "{timings:?}");
        assert_eq!(line["objects"].as_array().unwrap().len(), 4);
        assert_eq!(line["objects"], cold[0]["objects"], "neighbours in a batch change nothing");
        assert_eq!(line["objects"][0]["box"].as_array().unwrap().len(), 4);
    }
    assert!(!place.path("maskline-out").exists(), "with --json nothing is written unless asked for");
}

#[test]
fn every_task_runs_with_generated_weights() {
    let place = Place::new();
    let tasks = [("seg", "segmentation"), ("pose", "keypoints"), ("obb", "rotated_box")];
    for (generation, task, key) in
        ["yolov8n", "yolo11n", "yolo26n"].into_iter().flat_map(|generation| tasks.map(|(task, key)| (generation, task, key)))
    {
        let architecture = format!("{generation}-{task}");
        let arguments = [
            "run",
            "--synthetic",
            &architecture,
            "--size",
            "64",
            "--conf",
            "0",
            "--max-detections",
            "2",
            "--json",
            "-f",
            "png",
            "photo.png",
        ];
        let outcome = place.maskline(&arguments);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(outcome.json_lines()[0]["objects"][0].get(key).is_some(), "{architecture}: {}", outcome.stdout);
    }
    for architecture in ["yolov8n-cls", "yolo11n-cls", "yolo26n-cls"] {
        let outcome = place.maskline(&["run", "--synthetic", architecture, "--size", "64", "--json", "photo.png"]);
        assert_eq!(outcome.json_lines()[0]["classes"].as_array().unwrap().len(), 5, "{}", outcome.stderr);
    }
}

#[test]
fn folders_globs_and_equal_names() {
    let place = Place::new();
    std::fs::create_dir(place.path("a")).unwrap();
    std::fs::copy(place.path("photo.png"), place.path("a/photo.png")).unwrap();
    std::fs::copy(place.path("photo.png"), place.path("a/other.png")).unwrap();
    let outcome = place.run_small(&["--json", "-o", "out", "-f", "png", "a", "*.png"]);
    assert_eq!(outcome.json_lines().len(), 3, "{}", outcome.stderr);
    assert!(place.path("out/photo.png").exists() && place.path("out/a/photo.png").exists() && place.path("out/other.png").exists());
    let before = std::fs::read(place.path("photo.png")).unwrap();
    assert_eq!(place.run_small(&["-o", ".", "-f", "png", "photo.png"]).code, 0);
    assert_eq!(std::fs::read(place.path("photo.png")).unwrap(), before, "a picture never overwrites itself");
    place.run_small(&["nothing-*.png"]).fails(3, &["nothing matches"]);
}

#[test]
fn build_gives_plain_onnx_that_runs_elsewhere() {
    let place = Place::new();
    let outcome = place.maskline(&["build", "--synthetic", "yolov8n", "--portable", "-o", "bundle", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.json_lines()[0]["parts"][0], "detector");
    assert!(place.path("bundle/detector.onnx").exists() && place.path("bundle/detector.weights").exists());
}

#[test]
fn cache_du_and_prune() {
    let place = Place::new();
    assert_eq!(place.maskline(&["build", "--synthetic", "yolov8n"]).code, 0);
    let listed = place.maskline(&["cache", "du", "--json"]).json_lines().remove(0);
    assert_eq!(listed["entries"][0]["architecture"], "yolov8n");
    place.maskline(&["cache", "prune"]).fails(2, &["--all"]);
    assert_eq!(place.maskline(&["cache", "prune", "--all", "--dry-run"]).code, 0);
    assert!(place.maskline(&["cache", "du"]).stdout.contains("yolov8n"));
    assert_eq!(place.maskline(&["cache", "prune", "--all"]).code, 0);
    assert_eq!(place.maskline(&["cache", "du", "--json"]).json_lines()[0]["bytes"], 0);
}

#[test]
fn list_doctor_version_and_completions() {
    let place = Place::new();
    assert!(place.maskline(&["list"]).stdout.contains("yolov8x-obb"));
    assert_eq!(place.maskline(&["list", "--json"]).json_lines()[0][0]["family"], "yolov8");
    let doctor = place.maskline(&["doctor", "--json"]).json_lines().remove(0);
    assert!(doctor["runtime"]["version"].is_string() && doctor["threads"].as_u64() > Some(0));
    assert_eq!(place.maskline(&["version", "--json"]).json_lines()[0]["maskline"], env!("CARGO_PKG_VERSION"));
    assert!(place.maskline(&["completions", "bash"]).stdout.contains("maskline"));
}

#[test]
fn verify_passes_fails_and_dumps() {
    let Some(case) = shared("goldens/yolov8/classify_narrow") else { return };
    let place = Place::new();
    let path = case.display().to_string();
    let outcome = place.maskline(&["verify", &path, "--json", "--dump", "dump.safetensors"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.json_lines()[0]["rows"].as_array().unwrap().len(), 2);
    let bytes = std::fs::read(place.path("dump.safetensors")).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor("x0.prob").is_ok());

    // A golden tensor of another value, and one that nobody can compute, are failures.
    let copy = place.path("case");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&case).unwrap().flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let golden = std::fs::read(case.join("outputs.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&golden).unwrap();
    let mut wrong = tensors.tensor("x0.prob").unwrap().data().to_vec();
    wrong[..4].copy_from_slice(&0.9_f32.to_le_bytes());
    let view = |data| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 10], data).unwrap();
    let changed = [("x0.prob", view(&wrong)), ("x0.unheard", view(&wrong))];
    let target = copy.join("outputs.safetensors");
    std::fs::remove_file(&target).unwrap();
    std::fs::write(&target, safetensors::serialize(changed, None).unwrap()).unwrap();
    let outcome = place.maskline(&["verify", &copy.display().to_string()]);
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("BEYOND") && outcome.stdout.contains("no check knows"), "{}", outcome.stdout);
    place.maskline(&["verify", "home"]).fails(3, &["not a golden case"]);
}
