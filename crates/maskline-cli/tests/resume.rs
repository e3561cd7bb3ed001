//! Runs that end early: what is written is whole, and the next run does the rest.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Outcome, Place};
use serde_json::Value;

const PICTURES: usize = 120;
/// Formats of pictures, of lines, and gathered ones.
const ARGUMENTS: [&str; 14] = [
    "run",
    "--synthetic",
    "yolov8n",
    "--size",
    "64",
    "--conf",
    "0",
    "--max-detections",
    "3",
    "in",
    "-f",
    "png,yolo,json,coco",
    "-o",
    "out",
];

fn pictures(place: &Place) {
    std::fs::create_dir(place.path("in")).unwrap();
    for index in 0..PICTURES {
        std::fs::copy(place.path("photo.png"), place.path(&format!("in/{index:03}.png"))).unwrap();
    }
}

fn run(place: &Place, more: &[&str]) -> Outcome {
    place.maskline(&[&ARGUMENTS[..], &["--json"], more].concat())
}

/// Begins a run, sends a signal after some answers, and waits for its end; the exit code, if it has one.
fn ended_by(place: &Place, signal: &str, answers: usize) -> Option<i32> {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("maskline"));
    command.current_dir(place.folder.path()).args(ARGUMENTS).arg("--json").envs(place.environment());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.by_ref().take(answers).for_each(drop);
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    lines.for_each(drop);
    child.wait().unwrap().code()
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file in the folder is whole, whatever ended the run; how many labels there are.
fn whole_files(place: &Place) -> usize {
    let mut labels = 0;
    for entry in std::fs::read_dir(place.path("out")).unwrap().flatten() {
        let path = entry.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("png") => drop(image::open(&path).unwrap()),
            Some("txt") if !path.ends_with("classes.txt") => {
                labels += 1;
                assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3, "{}", path.display());
            }
            Some("json") => drop(serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap()),
            Some("jsonl") => drop(lines(&path)),
            _ => {}
        }
    }
    labels
}

/// The rest is done, nothing twice, and all of it is in the files of the whole run.
fn resumes(place: &Place, done: usize) {
    let rest = run(place, &["--resume"]);
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    let answered = rest.json_lines().len();
    assert!(answered < PICTURES && answered >= PICTURES - done, "{answered} answered after {done}");
    assert_eq!(whole_files(place), PICTURES);
    let results = lines(&place.path("out/results.jsonl"));
    let mut names: Vec<&str> = results.iter().map(|line| line["image"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((results.len(), names.len()), (PICTURES, PICTURES));
    let data: Value = serde_json::from_slice(&std::fs::read(place.path("out/coco.json")).unwrap()).unwrap();
    let mut ids: Vec<i64> = data["images"].as_array().unwrap().iter().map(|image| image["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), data["annotations"].as_array().unwrap().len()), (PICTURES, 3 * PICTURES));
    assert_eq!(run(place, &["--resume"]).json_lines().len(), 0, "all is done");
}

#[test]
fn ctrl_c_ends_at_the_next_picture_and_the_rest_is_done_later() {
    let place = Place::new();
    pictures(&place);
    assert_eq!(ended_by(&place, "-INT", 5), Some(130));
    let done = whole_files(&place);
    assert!((5..PICTURES).contains(&done), "{done}");
    assert_eq!(lines(&place.path("out/results.jsonl")).len(), done);
    let data: Value = serde_json::from_slice(&std::fs::read(place.path("out/coco.json")).unwrap()).unwrap();
    assert_eq!(data["images"].as_array().unwrap().len(), done, "what holds all pictures is written too");
    resumes(&place, done);
}

#[test]
fn ctrl_c_before_the_first_answer_ends_at_once() {
    let place = Place::new();
    // A pipe that nobody writes to: the command waits for its list for as long as it is let.
    assert!(Command::new("mkfifo").arg(place.path("list")).status().unwrap().success());
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("maskline"));
    command.current_dir(place.folder.path()).args(["run", "--synthetic", "yolov8n", "@list"]).envs(place.environment());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Opening it for writing waits until the command reads.
    let _writer = std::fs::File::options().write(true).open(place.path("list")).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn what_a_killed_run_leaves_is_whole() {
    let place = Place::new();
    pictures(&place);
    for answers in [3, 30] {
        assert_eq!(ended_by(&place, "-KILL", answers), None);
        assert!(whole_files(&place) >= answers);
    }
    // Even if the last line was cut off.
    let text = std::fs::read(place.path("out/results.jsonl")).unwrap();
    std::fs::write(place.path("out/results.jsonl"), &text[..text.len() - 9]).unwrap();
    let done = whole_files_but_lines(&place);
    resumes(&place, done);
}

fn whole_files_but_lines(place: &Place) -> usize {
    let names = std::fs::read_dir(place.path("out")).unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".txt") && name != "classes.txt").count()
}

#[test]
fn what_changed_is_done_again() {
    let place = Place::new();
    pictures(&place);
    assert_eq!(run(&place, &[]).json_lines().len(), PICTURES);
    image::RgbImage::from_pixel(30, 20, image::Rgb([200, 10, 10])).save(place.path("in/007.png")).unwrap();
    std::fs::remove_file(place.path("out/009.txt")).unwrap();
    std::fs::remove_file(place.path("in/011.png")).unwrap();
    let again = run(&place, &["--resume"]).json_lines();
    let names: Vec<&str> = again.iter().map(|line| line["image"].as_str().unwrap()).collect();
    assert_eq!(names, ["in/007.png", "in/009.png"]);
    assert_eq!(lines(&place.path("out/results.jsonl")).len(), PICTURES - 1);
    let other = run(&place, &["--resume", "--iou", "0.5"]);
    assert_eq!(other.json_lines().len(), PICTURES - 1, "other options are another question: {}", other.stderr);
    place.maskline(&["run", "photo.png", "--box", "1,1,50,50", "--json", "--resume"]).fails(2, &["--resume", "-o DIR"]);
}

#[test]
fn a_full_disk_is_the_error_of_the_file_that_did_not_fit() {
    let place = Place::new();
    let noise =
        image::RgbImage::from_fn(300, 300, |x, y| image::Rgb([x * y, x * 31 + y * 17, x ^ (y * 7)].map(|value| (value % 251) as u8)));
    noise.save(place.path("large.png")).unwrap();
    // The model is built before there is a limit.
    assert_eq!(place.run_small(&["photo.png", "--json"]).code, 0);
    let maskline = assert_cmd::cargo::cargo_bin("maskline");
    // A limit for every file stands for the full disk: 100 blocks of 512 bytes.
    let script = format!(
        "trap '' XFSZ; ulimit -f 100; exec '{}' run --synthetic yolov8n --size 64 --conf 0 --json photo.png large.png -f png,json -o out",
        maskline.display()
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.folder.path()).envs(place.environment()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), output.status.code()), (2, Some(1)), "{stderr}");
    assert!(lines[0]["files"][0] == "out/photo.png" && lines[1]["error"]["kind"] == "io", "{stdout}");
    assert!(stderr.contains("large.png") && !stderr.contains("panicked"), "{stderr}");
    assert!(place.path("out/photo.png").exists() && !place.path("out/large.png").exists());
}
