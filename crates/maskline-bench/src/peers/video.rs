//! Another program that follows objects through a video, frame by frame.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::environment::Environment;
use super::error::{Error, ErrorKind, Result};
use super::process::Process;
use super::python::isolated;

/// A frame of many objects on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// `Sam2VideoModel` of transformers at work.
#[derive(Debug)]
pub struct VideoPeer {
    process: Process,
}

#[derive(Deserialize)]
struct Answer {
    milliseconds: Option<f64>,
}

impl VideoPeer {
    /// Starts it for a published architecture, with generated weights.
    ///
    /// # Errors
    /// `Died` if it does not start.
    pub fn start(environment: &Environment, architecture: &str, threads: usize) -> Result<Self> {
        let mut command = isolated(environment.python());
        command.arg(environment.scripts.file("video.py")).arg(architecture).arg(threads.to_string());
        Ok(Self { process: Process::start(command, "transformers' Sam2VideoModel")? })
    }

    /// Begins a video with so many objects, each clicked on the first frame.
    ///
    /// # Errors
    /// `Died` or `TimedOut`.
    pub fn begin(&mut self, objects: usize) -> Result<()> {
        self.ask(&json!({ "objects": objects })).map(|_| ())
    }

    /// Runs the next frame: what it took, in milliseconds.
    ///
    /// # Errors
    /// `Died` or `TimedOut`.
    pub fn next_frame(&mut self) -> Result<f64> {
        let answer = self.ask(&json!({ "frame": true }))?;
        answer.milliseconds.ok_or_else(|| self.process.death("told no time"))
    }

    fn ask(&mut self, message: &Value) -> Result<Answer> {
        let line = self.process.ask(message, PATIENCE)?;
        serde_json::from_slice(&line)
            .map_err(|error| Error::new(ErrorKind::Died, format!("{} answered nonsense: {error}", self.process.name())))
    }
}
