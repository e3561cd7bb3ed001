//! `pull`, `list`, `show`, `rm`, and `run` by name, against a hub on the loopback interface.
#![allow(clippy::unwrap_used)]

#[path = "../../maskline-hub/tests/server/mod.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;
use server::{Answer, Server};
use tempfile::TempDir;

struct Place {
    folder: TempDir,
    base: String,
}

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new(server: &Server) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), base: server.base.clone() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("maskline").unwrap();
        command.current_dir(self.folder.path()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("MASKLINE_HOME", self.folder.path().join("home")).env("MASKLINE_HUB", &self.base);
        for name in ["HF_TOKEN", "HF_ENDPOINT", "MASKLINE_OFFLINE"] {
            command.env_remove(name);
        }
        command
    }

    fn maskline(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).output().unwrap())
    }
}

impl Outcome {
    fn of(output: std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn ends(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// One model of the list.
fn listed(list: &Value, family: &str, name: &str) -> Value {
    let family = list.as_array().unwrap().iter().find(|one| one["family"] == family).unwrap();
    family["models"].as_array().unwrap().iter().find(|model| model["name"] == name).unwrap().clone()
}

#[test]
fn pull_list_show_run_and_rm() {
    let server = Server::start(|_| Answer::file(&[7; 100_000]).with("ETag", "\"tag\""));
    let place = Place::new(&server);
    let before = listed(&place.maskline(&["list", "--json"]).json(), "yolov8", "yolov8n");
    assert_eq!((&before["pulled"], &before["state"], &before["licence"]), (&false.into(), &"absent".into(), &"AGPL-3.0".into()));
    place.maskline(&["run", "yolov8n", "photo.png"]).ends(4, &["maskline pull yolov8n", "AGPL-3.0", "--synthetic"]);
    assert_eq!(server.requests().len(), 0, "nothing is fetched unasked");
    let show = place.maskline(&["show", "yolov8n"]);
    for word in ["AGPL-3.0", "Ultralytics/YOLOv8", "about 6.5 MB", "maskline pull yolov8n"] {
        assert!(show.stdout.contains(word), "{}", show.stdout);
    }

    let pulled = place.maskline(&["pull", "yolov8n"]);
    pulled.ends(0, &["licence AGPL-3.0", "about 6.5 MB", "downloading of 0.1 MB", "done, 0.1 MB", "maskline run yolov8n"]);
    let path = place.folder.path().join("home/models/yolov8n/yolov8n.pt");
    assert_eq!(Path::new(pulled.stdout.trim()), path);
    assert_eq!(std::fs::read(&path).unwrap(), [7; 100_000]);
    place.maskline(&["pull", "yolov8n"]).ends(0, &["was here already"]);
    assert_eq!(place.maskline(&["pull", "yolov8n", "--json", "--offline"]).json()["files"], 0);
    assert_eq!(server.requests().len(), 1);

    let after = listed(&place.maskline(&["list", "--json"]).json(), "yolov8", "yolov8n");
    assert_eq!((&after["pulled"], &after["bytes_on_disk"]), (&true.into(), &100_000.into()));
    assert_eq!(after["checkpoint"].as_str().map(Path::new), Some(path.as_path()));
    let table = place.maskline(&["list"]).stdout;
    for word in ["yolov8x-obb", "yolov8n-seg", "sam2.1-tiny", "SAM License", "Apache-2.0", "yes"] {
        assert!(table.contains(word), "`{word}` is not in: {table}");
    }
    assert!(place.maskline(&["show", "yolov8n"]).stdout.contains("home/models/yolov8n/yolov8n.pt"));
    // Whether or not there is an ONNX Runtime: what is wrong now is no missing model, and no checkpoint, which the file is not.
    let broken = place.maskline(&["build", "yolov8n", "--offline"]);
    assert_ne!(broken.code, 0);
    assert!(!broken.stderr.contains("maskline pull"), "{}", broken.stderr);

    assert_eq!(place.maskline(&["rm", "yolov8n", "--json"]).json()["bytes"], 100_000);
    assert!(!path.exists());
    place.maskline(&["rm", "yolov8n"]).ends(4, &["not on this machine"]);
}

#[test]
fn what_cannot_be_pulled_says_why() {
    let server = Server::start(|request| if request.path.contains("sam3") { Answer::status(401) } else { Answer::status(404) });
    let place = Place::new(&server);
    place.maskline(&["pull", "sam3"]).ends(4, &["SAM License", "gated", "accept the licence", "HF_TOKEN"]);
    place.maskline(&["pull", "yolov8n"]).ends(4, &["no such file", "404"]);
    place.maskline(&["pull", "yolov8q"]).ends(3, &["no model is called `yolov8q`", "yolov8n"]);
    place.maskline(&["pull", "yolov8n", "--offline"]).ends(4, &["offline"]);
    place.maskline(&["show", "yolov8q"]).ends(3, &["no model is called"]);
    place.maskline(&["rm", "yolov8q"]).ends(3, &["no model is called"]);
    let mut command = place.command(&["list"]);
    Outcome::of(command.env("MASKLINE_HUB", "hub.example").output().unwrap()).ends(2, &["MASKLINE_HUB", "hub.example"]);
    let help = place.maskline(&["show", "sam3"]).stdout;
    assert!(help.contains("HF_TOKEN") && help.contains("the SAM License is not Apache-2.0"), "{help}");
}

#[test]
fn a_killed_pull_goes_on_in_the_next_one() {
    let content: Vec<u8> = (0..2_000_000_u32).map(|i| (i / 7) as u8).collect();
    let whole = content.clone();
    let server = Server::start(move |request| {
        let answer = Answer::rest(request, &content).with("ETag", "\"tag\"");
        if request.number == 0 { Answer { silence: Duration::from_secs(60), ..answer.cut(1_000_000) } } else { answer }
    });
    let place = Place::new(&server);
    let mut child = place.command(&["pull", "mobile-sam"]).spawn().unwrap();
    let partial = place.folder.path().join("home/models/mobile-sam/mobile-sam.pt.partial");
    while std::fs::metadata(&partial).map_or(0, |facts| facts.len()) < 1_000_000 {
        assert!(child.try_wait().unwrap().is_none(), "the pull ended early");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.maskline(&["list"]).stdout.contains("1.0 MB of it"));
    let pulled = place.maskline(&["pull", "mobile-sam"]);
    pulled.ends(0, &["going on after 1.0 MB of 2.0 MB"]);
    assert_eq!(std::fs::read(pulled.stdout.trim()).unwrap(), whole);
    assert_eq!(server.requests()[1].start(), Some(1_000_000));
}

#[test]
fn of_two_processes_one_downloads() {
    let server = Server::start(|_| Answer { delay: Duration::from_secs(1), ..Answer::file(&[7; 1000]) });
    let place = Place::new(&server);
    let children: Vec<_> = (0..2).map(|_| place.command(&["pull", "mobile-sam"]).spawn().unwrap()).collect();
    let outcomes: Vec<Outcome> = children.into_iter().map(|child| Outcome::of(child.wait_with_output().unwrap())).collect();
    outcomes.iter().for_each(|outcome| assert_eq!(outcome.code, 0, "{}", outcome.stderr));
    assert_eq!(server.requests().len(), 1);
    assert!(outcomes.iter().any(|outcome| outcome.stderr.contains("waiting")));
}
