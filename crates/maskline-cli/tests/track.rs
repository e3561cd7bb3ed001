//! Objects followed through clips. Weights are generated, so that masks mean nothing: what is looked at is which frames there are, that the
//! same question has the same answer on every way, and what is said of bad input.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Outcome, Place};
use serde_json::{Value, json};

const MODEL: [&str; 5] = ["track", "sam2.1-tiny", "--synthetic", "--size", "64"];
const CLICK: [&str; 2] = ["--point", "40,30"];
/// Every third of 30 frames a second is missing.
const UNEVEN: &str = "select='not(eq(mod(n,3),1))'";

/// A place, where there is ffmpeg.
fn place() -> Option<Place> {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        maskline_testing::skip("there is no ffmpeg");
        return None;
    }
    Some(Place::new())
}

/// Makes a file in the place; `arguments` stand before its name.
fn make(place: &Place, name: &str, arguments: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg(name).current_dir(place.folder.path());
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A clip of moving shapes, 96 × 64, with a key frame in every ten; a filter chooses among its frames.
fn clip(place: &Place, name: &str, frames: usize, filter: &str) {
    let source = "testsrc=size=96x64:rate=30";
    let (count, h264) = (frames.to_string(), ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "10", "-vsync", "vfr"]);
    make(place, name, &[&["-f", "lavfi", "-i", source, "-vf", filter, "-frames:v", &count], &h264[..]].concat());
}

fn track(place: &Place, arguments: &[&str]) -> Outcome {
    place.maskline(&[&MODEL[..], arguments].concat())
}

/// The same, which must go well.
fn tracked(place: &Place, arguments: &[&str]) -> Outcome {
    let outcome = track(place, arguments);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome
}

/// Frames by number, without what they took.
fn frames(outcome: &Outcome) -> BTreeMap<u64, Value> {
    let lines = outcome.json_lines().into_iter().filter(|line| line.get("frame").is_some());
    let bare = |mut line: Value| {
        line.as_object_mut().unwrap().remove("timings_ms").unwrap();
        (line["frame"].as_u64().unwrap(), line)
    };
    lines.map(bare).collect()
}

fn asked(place: &Place, arguments: &[&str]) -> BTreeMap<u64, Value> {
    frames(&tracked(place, &[arguments, &["--json"]].concat()))
}

fn ids(frame: &Value) -> Vec<i64> {
    frame["objects"].as_array().unwrap().iter().map(|object| object["id"].as_i64().unwrap()).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Times of the frames of a clip, in ticks of 1/90000 s.
fn times(place: &Place, clip: &str) -> Vec<i64> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "frame=pts_time", "-of", "csv=p=0", clip]).current_dir(place.folder.path());
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let filled = text.lines().filter(|line| !line.is_empty());
    filled.map(|line| (line.trim_end_matches(',').parse::<f64>().unwrap() * 90_000.0).round() as i64).collect()
}

#[test]
fn every_format_has_every_frame() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 12, UNEVEN);
    let formats = "overlay,davis,sa-v,coco-rle,mots,youtube-vis";
    let outcome = tracked(&place, &["clip.mp4", "--point", "40,30", "--object", "--box", "5,5,50,40", "--label", "cat", "-f", formats]);
    assert!(outcome.stdout.contains("12 frames, 2 objects") && outcome.stdout.contains("memory"), "{}", outcome.stdout);
    let out = place.path("maskline-out/clip");
    let found = lines(&out.join("masks.jsonl"));
    assert_eq!(found.len(), 12);
    assert!(found.iter().all(|frame| ids(frame) == [1, 2] && frame["objects"][1]["label"] == "cat"));
    let overlay = times(&place, "maskline-out/clip/overlay.mp4");
    assert!(overlay == times(&place, "clip.mp4") && overlay.len() == 12, "{overlay:?}");
    for (index, frame) in found.iter().enumerate() {
        let picture = image::open(out.join(format!("davis/{index:05}.png"))).unwrap();
        assert_eq!((picture.width(), picture.height()), (96, 64));
        let mask = image::open(out.join(format!("sa-v/002/{index:05}.png"))).unwrap().to_luma8();
        let area = mask.pixels().filter(|pixel| pixel.0 == [255]).count() as u64;
        assert_eq!(frame["objects"][1]["area"], area, "frame {index}");
    }
    let tracks: Value = serde_json::from_str(&std::fs::read_to_string(out.join("youtube-vis.json")).unwrap()).unwrap();
    assert!(tracks.as_array().unwrap().iter().all(|track| track["segmentations"].as_array().unwrap().len() == 12));
    let mots = std::fs::read_to_string(out.join("mots.txt")).unwrap();
    assert!(!mots.is_empty() && mots.lines().all(|line| line.split(' ').count() == 6));
    let left: Vec<String> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left.len(), 7, "nothing is left beside them: {left:?}");
}

#[test]
fn a_clip_a_folder_and_streams_have_the_same_masks() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mkv", 10, "null");
    std::fs::create_dir(place.path("frames")).unwrap();
    let to_rgb = "scale=flags=accurate_rnd+full_chroma_int+bicubic,format=rgb24";
    make(&place, "frames/%d.png", &["-i", "clip.mkv", "-vf", to_rgb]);
    make(&place, "frames.raw", &["-i", "clip.mkv", "-vf", to_rgb, "-f", "rawvideo"]);
    let masks = |frames: BTreeMap<u64, Value>| frames.into_values().map(|frame| frame["objects"].clone()).collect::<Vec<_>>();
    let filed = masks(asked(&place, &[&["clip.mkv"], &CLICK[..]].concat()));
    assert_eq!(filed.len(), 10);
    assert_eq!(masks(asked(&place, &[&["frames"], &CLICK[..]].concat())), filed);
    let piped = |file: &str, more: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("maskline").unwrap();
        command.current_dir(place.folder.path()).args(MODEL).arg("-").args(CLICK).arg("--json").args(more).envs(place.environment());
        let output = command.write_stdin(std::fs::read(place.path(file)).unwrap()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    assert_eq!(masks(frames(&piped("clip.mkv", &[]))), filed);
    let raw = piped("frames.raw", &["--raw", "96x64", "--rate", "15"]);
    assert_eq!(masks(frames(&raw)), filed);
    assert_eq!(frames(&raw)[&9]["time"], json!(0.6));
    // What is not a whole frame is told, and the whole ones before it are used.
    let cut = piped("frames.raw", &["--raw", "96x63"]);
    cut.fails(3, &["cut off", "expected 96 × 63 × 3 = 18144 bytes"]);
    assert_eq!(frames(&cut).len(), 10 * 64 / 63);
}

#[test]
fn what_is_said_of_a_frame_counts_from_there() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 10, "null");
    let alone = asked(&place, &[&["clip.mp4"], &CLICK[..]].concat());
    let joined = asked(&place, &["clip.mp4", "--point", "40,30", "--object", "--box", "5,5,50,40@4"]);
    let first = |frames: &BTreeMap<u64, Value>| frames.values().map(|frame| frame["objects"][0].clone()).collect::<Vec<_>>();
    assert_eq!(first(&alone), first(&joined), "another object changes nothing");
    assert_eq!(joined.values().map(|frame| ids(frame).len()).collect::<Vec<_>>(), [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
    let corrected = asked(&place, &["clip.mp4", "--object", "1", "--point", "40,30", "--point", "10,10,0@4"]);
    let (before, after) = (first(&alone), first(&corrected));
    assert!(before[..4] == after[..4] && before[4..] != after[4..]);
    // Nothing is looked for before something is asked.
    let late = asked(&place, &["clip.mp4", "--point", "40,30@6"]);
    assert!((0..6).all(|frame| ids(&late[&frame]).is_empty()) && (6..10).all(|frame| ids(&late[&frame]) == [1]));
    let prompts = json!([{"points": [[40, 30]]}, {"object": 7, "frame": 4, "box": [5, 5, 50, 40], "label": "dog"}]);
    std::fs::write(place.path("prompts.json"), prompts.to_string()).unwrap();
    let filed = asked(&place, &["clip.mp4", "--prompts", "prompts.json"]);
    assert_eq!((ids(&filed[&9]), first(&filed)), (vec![1, 7], first(&alone)));
    // A mask is believed as it is.
    let image = image::GrayImage::from_fn(96, 64, |x, _| image::Luma([if x < 30 { 255 } else { 0 }]));
    image.save(place.path("mask.png")).unwrap();
    let masked = asked(&place, &["clip.mp4", "--mask", "mask.png@2"]);
    assert_eq!(ids(&masked[&2]), [1]);
}

#[test]
fn clips_are_gone_through_in_every_direction() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 30, UNEVEN);
    let numbers = |frames: &BTreeMap<u64, Value>| frames.keys().copied().collect::<Vec<_>>();
    let backward = tracked(&place, &["clip.mp4", "--point", "40,30@20", "--direction", "backward", "-f", "overlay,coco-rle", "-o", "back"]);
    assert!(backward.stdout.contains("21 frames"), "{}", backward.stdout);
    let found = lines(&place.path("back/masks.jsonl"));
    assert_eq!(found.iter().map(|frame| frame["frame"].as_u64().unwrap()).collect::<Vec<_>>(), (0..21).collect::<Vec<_>>(), "in order");
    assert!(found.iter().all(|frame| ids(frame) == [1]));
    assert_eq!(times(&place, "back/overlay.mp4"), times(&place, "clip.mp4")[..21]);

    let both = asked(&place, &["clip.mp4", "--point", "40,30@20", "--direction", "both"]);
    assert!(numbers(&both) == (0..30).collect::<Vec<_>>() && both.values().all(|frame| ids(frame) == [1]));
    let forward = asked(&place, &["clip.mp4", "--point", "40,30@20", "--from", "20"]);
    assert!((20..30).all(|frame| both[&frame] == forward[&frame]), "the way forward is the same");
    let some = asked(&place, &["clip.mp4", "--point", "40,30@20", "--direction", "both", "--frames", "3", "--every", "2"]);
    assert_eq!(numbers(&some), [16, 18, 20, 22, 24]);
    assert_eq!(numbers(&asked(&place, &["clip.mp4", "--point", "40,30", "--from", "5", "--frames", "4", "--every", "3"])), [5, 8, 11, 14]);
}

#[test]
fn a_detector_says_what_is_followed() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 3, "null");
    let arguments = ["track", "yolov8n+sam2.1-tiny", "--synthetic", "--size", "64", "clip.mp4", "--json"];
    let outcome = place.maskline(&[&arguments[..], &["--conf", "0.0001", "--classes", "0-"]].concat());
    outcome.fails(2, &["--classes"]);
    let outcome = place.maskline(&[&arguments[..], &["--conf", "0.0001", "--iou", "0.01"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let found = frames(&outcome);
    let objects = found[&2]["objects"].as_array().unwrap();
    assert!(!objects.is_empty() && objects.iter().all(|object| object["label"].is_string() && object["class_id"].is_u64()), "{objects:?}");
    assert_eq!(ids(&found[&0]), ids(&found[&2]));
    place.maskline(&[&arguments[..], &["--conf", "1"]].concat()).fails(3, &["finds nothing above 1", "--from"]);
}

#[test]
fn live_frames_that_come_too_fast_are_skipped() {
    let Some(place) = place() else { return };
    make(&place, "fast.mp4", &["-f", "lavfi", "-i", "testsrc=size=96x64:rate=500:duration=1", "-c:v", "libx264", "-pix_fmt", "yuv420p"]);
    let outcome = tracked(&place, &["fast.mp4", "--point", "40,30", "--box", "1,1,30,30@301", "--realtime", "60", "--json"]);
    let (found, summary) = (frames(&outcome), outcome.json_lines().pop().unwrap());
    let skipped = summary["skipped"].as_u64().unwrap();
    assert!(skipped > 50 && found.len() as u64 + skipped == 500, "{summary}");
    assert!(found.contains_key(&301), "a frame with a prompt is never skipped");
    let patient = tracked(&place, &["fast.mp4", "--point", "40,30", "--frames", "20", "--realtime", "100000", "--json"]);
    assert_eq!((frames(&patient).len(), &patient.json_lines().pop().unwrap()["skipped"]), (20, &json!(0)));
}

#[cfg(unix)]
#[test]
fn what_ctrl_c_leaves_is_whole_and_goes_on() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 240, UNEVEN);
    let arguments = [&MODEL[..], &["clip.mp4", "--json", "-f", "davis,coco-rle,mots,overlay"], &CLICK[..]].concat();
    tracked(&place, &[&arguments[5..], &["-o", "straight"]].concat());
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("maskline"));
    command.current_dir(place.folder.path()).args(&arguments).args(["-o", "out"]).envs(place.environment());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    told.by_ref().take(20).for_each(drop);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    told.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done = lines(&place.path("out/masks.jsonl"));
    assert!((20..240).contains(&done.len()), "{}", done.len());
    assert_eq!(times(&place, "out/overlay.mp4"), times(&place, "clip.mp4")[..done.len()], "the overlay is whole as far as it goes");
    assert_eq!(std::fs::read_dir(place.path("out/davis")).unwrap().count(), done.len());
    let first = std::fs::metadata(place.path("out/davis/00003.png")).unwrap().modified().unwrap();

    tracked(&place, &[&arguments[5..], &["-o", "out", "--resume"]].concat());
    assert_eq!(
        std::fs::metadata(place.path("out/davis/00003.png")).unwrap().modified().unwrap(),
        first,
        "what is done is not written again"
    );
    for name in ["masks.jsonl", "mots.txt", "davis/00239.png"] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(name)).unwrap();
        assert!(read("out") == read("straight"), "{name} differs from that of a run without a break");
    }
    assert_eq!(times(&place, "out/overlay.mp4").len(), 240);
    let again = track(&place, &["clip.mp4", "-f", "davis,coco-rle,mots,overlay", "--point", "40,30", "-o", "out", "--resume"]);
    assert!(again.code == 0 && again.stderr.contains("all 240 frames were done before"), "{}", again.stderr);
    let other = track(&place, &["clip.mp4", "-f", "coco-rle", "--point", "41,30", "-o", "out", "--resume", "--frames", "2"]);
    assert!(other.code == 0 && other.stderr.contains("asked for in another way"), "{}", other.stderr);
    assert!(!place.path("out/davis/00003.png").exists(), "pictures of another question are gone");
}

/// Files may grow to 16 KiB and no further.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_error_and_leaves_whole_lines() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 200, "null");
    // Builds the model, which needs room.
    tracked(&place, &["clip.mp4", "--point", "40,30", "--frames", "1", "--json"]);
    let script = "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(assert_cmd::cargo::cargo_bin("maskline"))
        .args(MODEL)
        .args(["clip.mp4", "-f", "coco-rle", "-o", "out"]);
    let output =
        command.args(CLICK).args(["--point", "60,50"]).current_dir(place.folder.path()).envs(place.environment()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot be written") && told.contains("masks.jsonl") && told.matches("error:").count() == 1, "{told}");
    let found = lines(&place.path("out/masks.jsonl"));
    assert!(!found.is_empty() && found.len() < 200);
}

#[test]
fn clips_that_cannot_be_read_are_told() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 60, "null");
    make(&place, "stream.mp4", &["-i", "clip.mp4", "-c", "copy", "-movflags", "+faststart"]);
    make(&place, "sound.m4a", &["-f", "lavfi", "-i", "sine=duration=1"]);
    let cut = |from: &str, to: &str| {
        let bytes = std::fs::read(place.path(from)).unwrap();
        std::fs::write(place.path(to), &bytes[..bytes.len() * 2 / 3]).unwrap();
    };
    cut("clip.mp4", "headless.mp4");
    cut("stream.mp4", "cut.mp4");
    std::fs::write(place.path("empty.mp4"), "").unwrap();
    std::fs::create_dir(place.path("nothing")).unwrap();
    let fails = |clip: &str, code: i32, words: &[&str]| {
        let outcome = track(&place, &[&[clip, "-o", "out"], &CLICK[..]].concat());
        outcome.fails(code, words);
        assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
    };
    fails("sound.m4a", 3, &["only sound", "sound.m4a"]);
    fails("headless.mp4", 3, &["cut off", "index", "headless.mp4"]);
    fails("empty.mp4", 3, &["the file is empty"]);
    fails("nothing", 3, &["no picture in the folder"]);
    fails("photo.mp4", 3, &["no such clip"]);
    assert!(!place.path("out").exists(), "nothing was made for them");
    fails("cut.mp4", 3, &["damaged or cut off", "of the 60"]);
    assert!(std::fs::read_dir(place.path("out/davis")).unwrap().count() > 10, "what could be read was used");
    let outcome = {
        let mut command = assert_cmd::Command::cargo_bin("maskline").unwrap();
        command.current_dir(place.folder.path()).args(MODEL).arg("clip.mp4").args(CLICK).envs(place.environment());
        let output = command.env("MASKLINE_FFMPEG", "/nowhere/ffmpeg").output().unwrap();
        Outcome { code: output.status.code().unwrap(), stdout: String::new(), stderr: String::from_utf8(output.stderr).unwrap() }
    };
    outcome.fails(4, &["/nowhere/ffmpeg", "help: "]);
}

#[test]
fn questions_that_cannot_be_answered_are_told() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 6, "null");
    let fails = |arguments: &[&str], code: i32, words: &[&str]| {
        let outcome = track(&place, &[&["clip.mp4", "-o", "out"], arguments].concat());
        outcome.fails(code, words);
        assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
    };
    fails(&[], 2, &["expected prompts", "--point"]);
    fails(&["--point", "40,30@6"], 3, &["expected a frame below 6", "found 6"]);
    fails(&["--point", "400,30"], 3, &["object 1 on frame 0", "inside the frame of 96 × 64"]);
    fails(&["--box", "50,5,5,40@3"], 3, &["object 1 on frame 3", "50, 5, 5, 40"]);
    fails(&["--mask", "photo.png"], 3, &["96 × 64", "120 × 80"]);
    fails(&["--mask", "missing.png"], 3, &["missing.png"]);
    fails(&["--point", "40,30@x"], 2, &["number of a frame"]);
    fails(&["--point", "40,30@3", "--from", "4"], 2, &["frame 4 or a later one", "found frame 3"]);
    fails(&["--point", "40,30@3", "--every", "2"], 2, &["--every", "found frame 3"]);
    fails(&["--point", "40,30", "--from", "9"], 3, &["found 9, which is behind its end"]);
    fails(&["--point", "40,30", "--frames", "0"], 2, &["--frames", "1 or more"]);
    fails(&["--point", "40,30", "--direction", "backward"], 2, &["@FRAME"]);
    fails(&["--object", "1", "--box", "1,1,9,9", "--box", "2,2,9,9"], 2, &["object 1 has two boxes on frame 0"]);
    fails(&["--point", "40,30", "--realtime", "50", "--resume"], 2, &["--realtime"]);
    fails(&["--point", "40,30", "--raw", "96x64"], 2, &["--raw", "standard input"]);
    fails(&["--point", "40,30", "--max-pixels", "100"], 5, &["too large", "at most 100 pixels"]);
    let many: Vec<Value> = (0..1000).map(|_| json!([5, 5, 50, 40])).collect();
    std::fs::write(place.path("many.json"), json!(many).to_string()).unwrap();
    fails(&["--prompts", "many.json"], 5, &["at most 256"]);
    let nano = place.maskline(&["track", "nano", "clip.mp4", "--point", "4,3", "-o", "out"]);
    nano.fails(2, &["nano", "SAM 2.1"]);
    std::fs::write(place.path("frame.json"), json!([{"box": [5, 5, 50, 40], "frame": 2}]).to_string()).unwrap();
    place.maskline(&["run", "nano", "photo.png", "--prompts", "frame.json"]).fails(3, &["about clips", "maskline track"]);
}

#[test]
fn files_of_others_are_not_replaced() {
    let Some(place) = place() else { return };
    clip(&place, "clip.mp4", 3, "null");
    std::fs::create_dir_all(place.path("out/davis")).unwrap();
    std::fs::write(place.path("out/overlay.mp4"), "mine").unwrap();
    let arguments = [&["clip.mp4", "-o", "out"], &CLICK[..]].concat();
    track(&place, &arguments).fails(1, &["overlay.mp4", "--overwrite"]);
    std::fs::remove_file(place.path("out/overlay.mp4")).unwrap();
    std::fs::write(place.path("out/davis/00001.png"), "mine").unwrap();
    track(&place, &arguments).fails(1, &["davis/00001.png", "--overwrite"]);
    assert_eq!(std::fs::read_to_string(place.path("out/davis/00001.png")).unwrap(), "mine");
    tracked(&place, &[&arguments[..], &["--overwrite"]].concat());
    // Its own files it replaces, and takes away those that are not written again.
    tracked(&place, &[&arguments[..], &["--frames", "2"]].concat());
    assert_eq!(std::fs::read_dir(place.path("out/davis")).unwrap().count(), 2);
}
