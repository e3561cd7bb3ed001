//! A place to run the command in: its own cache, a picture, and ONNX Runtime as the environment has it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

pub mod served;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::Command;
use maskline::runtime::{LibraryOptions, locate};
use tempfile::TempDir;

/// ONNX Runtime's library, fetched once where it is not there yet.
static RUNTIME: LazyLock<PathBuf> = LazyLock::new(|| locate(&LibraryOptions::from_env()).unwrap().path);

pub struct Place {
    pub folder: TempDir,
}

pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let picture = image::RgbImage::from_fn(120, 80, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, ((x + y) % 256) as u8]));
        picture.save(place.path("photo.png")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `maskline` in the folder.
    pub fn maskline(&self, arguments: &[&str]) -> Outcome {
        self.maskline_of(&arguments.iter().map(OsStr::new).collect::<Vec<_>>())
    }

    /// The same with arguments that need not be text.
    pub fn maskline_of(&self, arguments: &[&OsStr]) -> Outcome {
        self.started(&self.path("home"), arguments)
    }

    /// The same with another home.
    pub fn maskline_at(&self, home: &Path, arguments: &[&str]) -> Outcome {
        self.started(home, &arguments.iter().map(OsStr::new).collect::<Vec<_>>())
    }

    /// What `maskline` finds in its environment.
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("MASKLINE_HOME", self.path("home")), ("MASKLINE_ONNXRUNTIME", RUNTIME.clone())]
    }

    fn started(&self, home: &Path, arguments: &[&OsStr]) -> Outcome {
        let mut command = Command::cargo_bin("maskline").unwrap();
        command.current_dir(self.folder.path()).args(arguments);
        command.envs(self.environment()).env("MASKLINE_HOME", home);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs generated weights at a small size.
    pub fn run_small(&self, arguments: &[&str]) -> Outcome {
        self.maskline(&[&["run", "--synthetic", "yolov8n", "--size", "64"], arguments].concat())
    }
}

impl Outcome {
    /// Asserts an exit code and that the error has these words, and is no panic.
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
    }

    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A file of the shared test material, or `None` (said aloud) where it is missing.
pub fn shared(path: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if file.exists() {
        return Some(file);
    }
    maskline_testing::skip(format_args!("{} is missing", file.display()));
    None
}
