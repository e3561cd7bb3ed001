//! `maskline run`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::vision::decode::DecodeOptions;
use maskline::{Detections, Error, Image, InputSize, LoadOptions, Model, PredictOptions};
use serde_json::{Value, json};

use crate::args::Run;
use crate::failure::{self, Failure};
use crate::outputs::Outputs;
use crate::{model, pictures, terminal};

/// Runs a model on pictures. One that fails is told and passed over; the others are done.
pub(crate) fn run(arguments: &Run) -> Result<(), Failure> {
    let source = model::source(&arguments.model)?;
    let pictures = pictures::pictures(&arguments.images)?;
    let mut outputs = Outputs::open(arguments)?;
    let engine = model::engine_for(&arguments.provider, arguments.model.runtime.as_deref(), arguments.model.offline)?;
    let load = LoadOptions {
        provider: arguments.provider.parse()?,
        threads: arguments.threads,
        // The first picture warms up as well as an empty one, and is an answer.
        warm_up: false,
        bundle: model::bundle_options(&arguments.model),
    };
    let model = engine.load(source, &load)?;
    let mut session = Session { model: &model, arguments, outputs: &mut outputs, first: true, code: 0 };
    let progress = progress(pictures.len() * arguments.repeat);
    for _ in 0..arguments.repeat.max(1) {
        for together in pictures.chunks(arguments.batch.max(1)) {
            session.answer(together)?;
            progress.inc(together.len() as u64);
        }
    }
    progress.finish_and_clear();
    let code = session.code;
    outputs.finish()?;
    match code {
        0 => Ok(()),
        code => Err(Failure::Told(code)),
    }
}

fn progress(count: usize) -> ProgressBar {
    let visible = count > 1 && terminal::is_talking();
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {per_sec}, {eta} left");
    ProgressBar::with_draw_target(Some(count as u64), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

struct Session<'a> {
    model: &'a Model,
    arguments: &'a Run,
    outputs: &'a mut Outputs,
    /// Whether the next answer is the first, which carries the cold figures.
    first: bool,
    /// Exit code: that of the first failure.
    code: u8,
}

impl Session<'_> {
    fn answer(&mut self, paths: &[PathBuf]) -> Result<(), Failure> {
        let decode = DecodeOptions { max_pixels: self.arguments.max_pixels, ..DecodeOptions::default() };
        let opened: Vec<Result<Image, Error>> = paths.iter().map(|path| Image::open_with(path, &decode)).collect();
        let images: Vec<&Image> = opened.iter().filter_map(|image| image.as_ref().ok()).collect();
        // What is wrong with the options or the network is wrong for every picture: it ends the command.
        let mut answers = self.model.predict_batch(&images, &self.options())?.into_iter();
        for (path, image) in paths.iter().zip(&opened) {
            match image {
                Err(error) => self.fail(path, error)?,
                Ok(image) => {
                    if let Some(answer) = answers.next() {
                        self.succeed(path, image, &answer)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn options(&self) -> PredictOptions {
        let arguments = self.arguments;
        let size = match (arguments.size, arguments.rect) {
            (Some(0), _) => InputSize::Square(0),
            (size, true) => InputSize::Rect(size.unwrap_or(0)),
            (Some(size), false) => InputSize::Square(size),
            (None, false) => InputSize::Default,
        };
        PredictOptions {
            size,
            conf: arguments.conf,
            iou: arguments.iou,
            max_detections: arguments.max_detections,
            agnostic_nms: arguments.agnostic_nms,
            classes: arguments.classes.clone(),
            batch: arguments.batch,
            ..PredictOptions::default()
        }
    }

    fn fail(&mut self, path: &Path, error: &Error) -> Result<(), Failure> {
        if self.code == 0 {
            self.code = failure::code(error.kind());
        }
        let message = error.to_string();
        // The engine names the file where it knows it; the line must name it in any case.
        let named = message.contains(&path.display().to_string());
        terminal::complain(&if named { message.clone() } else { format!("{}: {message}", path.display()) });
        let line = json!({"image": path, "error": {"kind": failure::word(error.kind()), "message": message}});
        self.outputs.line(&line)?;
        if self.arguments.json { terminal::print(&format!("{line}\n")) } else { Ok(()) }
    }

    fn succeed(&mut self, path: &Path, image: &Image, answer: &Detections) -> Result<(), Failure> {
        let line = self.json_line(path, answer);
        self.outputs.write(path, image, answer)?;
        self.outputs.line(&line)?;
        if self.arguments.json {
            return terminal::print(&format!("{line}\n"));
        }
        self.print_tables(path, answer)
    }

    fn json_line(&mut self, path: &Path, answer: &Detections) -> Value {
        let mut line = json!({
            "image": path, "width": answer.size.0, "height": answer.size.1,
            "model": self.model.name(), "provider": self.model.provider(),
            "start": if self.model.was_cached() { "warm" } else { "cold" },
        });
        match &answer.classes {
            Some(classes) => line["classes"] = json!(classes),
            None => line["objects"] = json!(answer.objects),
        }
        line["timings_ms"] = json!(answer.timings);
        if std::mem::take(&mut self.first) {
            line["cold_ms"] = json!(self.model.cold());
        }
        line
    }

    fn print_tables(&mut self, path: &Path, answer: &Detections) -> Result<(), Failure> {
        let mut text = format!("{}  {} × {}\n", path.display(), answer.size.0, answer.size.1);
        if let Some(classes) = &answer.classes {
            let mut table = terminal::table(&["class", "score"]);
            for class in classes {
                table.add_row([class.label.clone().unwrap_or_else(|| format!("#{}", class.class_id)), format!("{:.3}", class.score)]);
            }
            text += &format!("{table}\n");
        } else if answer.objects.is_empty() {
            text += &format!("nothing above {}\n", self.arguments.conf);
        } else {
            let mut table = terminal::table(&["label", "score", "x1", "y1", "x2", "y2"]);
            for object in &answer.objects {
                let label = object.label.clone().or(object.class_id.map(|id| format!("#{id}"))).unwrap_or_default();
                let numbers = object.bounds.map(|side| format!("{side:.1}"));
                table.add_row([label, format!("{:.3}", object.score)].into_iter().chain(numbers));
            }
            text += &format!("{table}\n");
        }
        let milliseconds = |time: std::time::Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let timings = answer.timings;
        text += &format!(
            "decode {} + preprocess {} + network {} + postprocess {} + other {} = {} ms\n",
            milliseconds(timings.decode),
            milliseconds(timings.preprocess),
            milliseconds(timings.network),
            milliseconds(timings.postprocess),
            milliseconds(timings.other),
            milliseconds(timings.total()),
        );
        if std::mem::take(&mut self.first) {
            let cold = self.model.cold();
            let start = if self.model.was_cached() { "from the cache" } else { "built now" };
            terminal::say(&format!(
                "loaded {} ({}, {}) on {} in {} ms, {start}",
                self.model.name(),
                self.model.info().architecture,
                self.model.info().task,
                self.model.provider(),
                milliseconds(cold.total),
            ));
        }
        terminal::print(&text)
    }
}
