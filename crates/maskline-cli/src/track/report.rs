//! What is said of a clip.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::{Error, Model, Stages};
use maskline_video::write::FrameMasks;
use serde_json::{Value, json};

use super::follow::Step;
use crate::failure::{self, Failure};
use crate::pictures::{on_a_line, shown};
use crate::run::{milliseconds, written};
use crate::terminal;

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    pub(super) json: bool,
    pub(super) quiet: bool,
}

/// Tells frames as they come, and what they took together.
pub(super) struct Report {
    talk: Talk,
    progress: ProgressBar,
    frames: usize,
    objects: std::collections::BTreeSet<i64>,
    size: (usize, usize),
    stages: Stages,
    started: Instant,
    /// What the first frame took, which carries the cold figures.
    first: Option<Duration>,
    last: Instant,
    code: u8,
}

/// What is known at the end.
pub(super) struct Ending<'a> {
    pub(super) clip: &'a std::path::Path,
    pub(super) models: &'a [Model],
    /// Frames that were skipped, and answered too late.
    pub(super) live: Option<(usize, usize)>,
    pub(super) files: &'a [PathBuf],
}

impl Report {
    pub(super) fn new(talk: Talk, length: Option<usize>) -> Self {
        let is_visible = !talk.quiet && !talk.json && terminal::is_talking();
        let target = if is_visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let (bar, template) = match length {
            Some(length) => {
                (ProgressBar::with_draw_target(Some(length as u64), target), "{bar:30} {pos}/{len} frames, {per_sec}, {eta} left")
            }
            None => (ProgressBar::with_draw_target(None, target), "{pos} frames, {per_sec}"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let now = Instant::now();
        Self {
            talk,
            progress: bar.with_style(style),
            frames: 0,
            objects: std::collections::BTreeSet::new(),
            size: (0, 0),
            stages: Stages::default(),
            started: now,
            first: None,
            last: now,
            code: 0,
        }
    }

    /// A frame that is done.
    pub(super) fn add(&mut self, step: &Step) -> Result<(), Failure> {
        let Step { masks, timings } = step;
        self.last = Instant::now();
        self.first.get_or_insert_with(|| self.last - self.started);
        self.frames += 1;
        self.size = masks.size;
        self.objects.extend(masks.objects.iter().map(|object| object.id));
        self.stages += *timings;
        self.progress.inc(1);
        if self.talk.json { terminal::print(&format!("{}\n", line(masks, timings))) } else { Ok(()) }
    }

    /// An error that does not end the command.
    pub(super) fn complain(&mut self, error: &Error) {
        if self.code == 0 {
            self.code = failure::code(error.kind());
        }
        self.progress.suspend(|| terminal::complain(&error.to_string()));
    }

    /// The exit code so far.
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Frames a second behind the first frame.
    fn rate(&self) -> Option<f64> {
        let rest = self.last.checked_duration_since(self.started)?.checked_sub(self.first?)?.as_secs_f64();
        (self.frames > 1 && rest > 0.0).then(|| (self.frames - 1) as f64 / rest)
    }

    /// The mean of all frames.
    fn mean(&self) -> Stages {
        let mut mean = Stages::default();
        let count = u32::try_from(self.frames).unwrap_or(u32::MAX).max(1);
        self.stages.iter().for_each(|(stage, time)| mean.spend(stage, time / count));
        mean
    }

    /// The last word.
    pub(super) fn finish(&self, ending: &Ending<'_>) -> Result<(), Failure> {
        self.progress.finish_and_clear();
        if self.talk.json {
            return terminal::print(&format!("{}\n", self.summary(ending)));
        }
        if self.talk.quiet {
            return Ok(());
        }
        if self.frames > 0 {
            terminal::print(&self.told(ending))?;
        }
        if !ending.files.is_empty() {
            terminal::say(&written(ending.files));
        }
        Ok(())
    }

    fn told(&self, ending: &Ending<'_>) -> String {
        let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let (width, height) = self.size;
        let name = shown(ending.clip);
        let first = self.first.map(|first| format!(", first frame {} ms", milliseconds(first))).unwrap_or_default();
        let rate = self.rate().map(|rate| format!(", then {rate:.2} frames/s")).unwrap_or_default();
        let live = ending.live.map(|(skipped, late)| format!(", {skipped} skipped, {late} late")).unwrap_or_default();
        let (frames, objects) = (counted(self.frames, "frame"), counted(self.objects.len(), "object"));
        let mean = self.mean().line();
        format!("{}  {width} × {height}  {frames}, {objects}{first}{rate}{live}\nper frame: {mean}\n", on_a_line(&name))
    }

    fn summary(&self, ending: &Ending<'_>) -> Value {
        let files: Vec<String> = ending.files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        let models: Vec<&str> = ending.models.iter().map(Model::name).collect();
        let providers: Vec<String> = ending.models.iter().map(Model::provider).collect();
        let mut summary = json!({
            "clip": shown(ending.clip), "width": self.size.0, "height": self.size.1, "frames": self.frames, "objects": self.objects,
            "model": models.join("+"), "provider": providers.join("+"), "first_frame_ms": self.first.map(|first| first.as_secs_f64() * 1e3),
            "frames_per_second": self.rate(), "timings_ms": self.mean(), "files": files,
        });
        if let Some((skipped, late)) = ending.live {
            (summary["skipped"], summary["late"]) = (json!(skipped), json!(late));
        }
        summary
    }
}

/// A frame as JSON.
fn line(masks: &FrameMasks, timings: &Stages) -> Value {
    let mut line = json!(masks);
    line["timings_ms"] = json!(timings);
    line
}
