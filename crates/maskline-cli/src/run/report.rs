//! What is said and written of the answers.

use std::path::PathBuf;

use indicatif::ProgressBar;
use maskline::vision::decode::DecodeOptions;
use maskline::{Concern, Error, Image, Model, Stages};
use serde_json::{Value, json};

use super::text::{self, Found, Telling};
use crate::args::Run;
use crate::failure::{self, Failure};
use crate::model::notes;
use crate::output::{Drawn, Outputs};
use crate::pictures::{self, Missing, Picture, shown};
use crate::terminal;

/// The answer to one picture.
pub(super) struct Answer<'a> {
    pub(super) image: &'a Image,
    pub(super) models: &'a [&'a Model],
    pub(super) drawn: Drawn<'a>,
    /// What was found, as JSON: `objects` or `classes`.
    pub(super) found: Value,
    /// Boxes on the picture that said what was looked for, as JSON.
    pub(super) examples: Vec<Value>,
    pub(super) timings: Stages,
    /// What is said where nothing was found.
    pub(super) nothing: String,
    /// What was looked for and not found, beside what was.
    pub(super) absent: Vec<String>,
    /// Prompts that could not be answered.
    pub(super) errors: &'a [(usize, Error)],
}

/// Tells and writes answers in the order of the pictures, and remembers what went wrong.
pub(super) struct Report<'a> {
    pub(super) arguments: &'a Run,
    pub(super) pictures: &'a [Picture],
    /// Indices of the only classes that are wished.
    pub(super) classes: Option<Vec<usize>>,
    pub(super) progress: ProgressBar,
    pub(super) outputs: Outputs<'a>,
    /// Which time the pictures are gone over; only the first one is written.
    pub(super) pass: usize,
    /// Whether the next answer is the first, which carries the cold figures.
    is_first: bool,
    /// Exit code: that of the first failure.
    code: u8,
    /// Files that were written, where they are not named one by one.
    written: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(arguments: &'a Run, pictures: &'a [Picture], outputs: Outputs<'a>) -> Self {
        Self { arguments, pictures, classes: None, progress: ProgressBar::hidden(), outputs, pass: 0, is_first: true, code: 0, written: 0 }
    }

    /// Whether a picture's files can be written; decodes it if so.
    pub(super) fn open(&self, place: usize) -> Result<Image, Error> {
        if self.pass == 0 {
            self.outputs.check(place)?;
        }
        pictures::exists(&self.pictures[place].path)?;
        let options = DecodeOptions { max_pixels: self.arguments.max_pixels, ..DecodeOptions::default() };
        Image::open_with(&self.pictures[place].path, &options)
    }

    /// A picture that could not be answered. What is wrong with the options or the model is wrong for every picture: it ends the command.
    pub(super) fn fail(&mut self, place: usize, error: Error) -> Result<(), Failure> {
        if error.concerns() != Concern::Picture {
            return Err(error.into());
        }
        self.fail_with(&shown(&self.pictures[place].path), &error)
    }

    /// An argument that names no picture.
    pub(super) fn fail_missing(&mut self, missing: &Missing) -> Result<(), Failure> {
        self.fail_with(&shown(&missing.argument), &missing.error)
    }

    fn fail_with(&mut self, name: &str, error: &Error) -> Result<(), Failure> {
        self.complain(name, error);
        let mut line = json!({"image": name, "files": [], "error": failure::told(error)});
        if self.pass > 0 {
            line["repeat"] = json!(self.pass);
        } else if let Err(error) = self.outputs.line(&line) {
            self.complain(name, &error);
        }
        if self.arguments.json { self.print(&format!("{line}\n")) } else { Ok(()) }
    }

    /// Tells an error about a picture, and remembers the exit code.
    fn complain(&mut self, name: &str, error: &Error) {
        if self.code == 0 {
            self.code = failure::code(error.kind());
        }
        let message = error.to_string();
        // The engine names the file where it knows it; the line must name it in any case.
        let (is_named, name) = (message.contains(name), pictures::on_a_line(name));
        self.progress.suspend(|| terminal::complain(&if is_named { message } else { format!("{name}: {message}") }));
    }

    /// Writes and tells an answer.
    pub(super) fn succeed(&mut self, place: usize, answer: &Answer<'_>) -> Result<(), Failure> {
        let files = match self.pass {
            0 => self.outputs.write(place, answer.image, &answer.drawn),
            _ => Ok(Vec::new()),
        };
        let files = match files {
            Ok(files) => files,
            Err(error) => return self.fail_with(&shown(&self.pictures[place].path), &error),
        };
        let line = self.line(place, answer, &files);
        let name = shown(&self.pictures[place].path);
        for (_, error) in answer.errors {
            self.complain(&name, error);
        }
        if self.pass == 0 {
            let noted =
                self.outputs.line(&line).and_then(|()| if answer.errors.is_empty() { self.outputs.note_done(place) } else { Ok(()) });
            noted.unwrap_or_else(|error| self.complain(&name, &error));
        }
        if self.arguments.json {
            return self.print(&format!("{line}\n"));
        }
        self.tell(place, answer, &files)
    }

    fn line(&mut self, place: usize, answer: &Answer<'_>, files: &[PathBuf]) -> Value {
        let (width, height) = answer.image.size();
        let joined = |part: fn(&Model) -> String| answer.models.iter().map(|model| part(model)).collect::<Vec<_>>();
        let mut providers = joined(Model::provider);
        providers.dedup();
        let files: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        let key = if answer.drawn.classes.is_some() { "classes" } else { "objects" };
        let mut line = json!({
            "image": shown(&self.pictures[place].path), "width": width, "height": height,
            "model": joined(|model| model.name().to_string()).join("+"), "provider": providers.join("+"),
            "start": if answer.models.iter().all(|model| model.was_cached()) { "warm" } else { "cold" },
            key: answer.found, "files": files, "timings_ms": answer.timings, "rows_together": answer.timings.rows_together(),
        });
        if !answer.examples.is_empty() {
            line["examples"] = json!(answer.examples);
        }
        if self.pass > 0 {
            line["repeat"] = json!(self.pass);
        }
        if let (true, Some(model)) = (std::mem::take(&mut self.is_first), answer.models.last()) {
            line["cold_ms"] = json!(model.cold());
            let notes: Vec<String> = answer.models.iter().flat_map(|model| notes(model)).collect();
            if !notes.is_empty() {
                line["notes"] = json!(notes);
            }
            if !self.arguments.json && !self.arguments.quiet {
                answer.models.iter().for_each(|model| super::say_loaded(model));
            }
        }
        line
    }

    fn tell(&mut self, place: usize, answer: &Answer<'_>, files: &[PathBuf]) -> Result<(), Failure> {
        self.written += files.len();
        if self.arguments.quiet {
            return Ok(());
        }
        let name = shown(&self.pictures[place].path);
        let telling = Telling {
            path: &pictures::on_a_line(&name),
            size: answer.image.size(),
            found: Found { objects: answer.drawn.objects, classes: answer.drawn.classes },
            nothing: &answer.nothing,
            absent: &answer.absent,
            timing: &answer.timings.line(),
            total: answer.timings.total(),
        };
        if self.pictures.len().saturating_mul(self.arguments.repeat) > text::MOST_TABLES {
            return self.print(&telling.line());
        }
        self.print(&telling.whole())?;
        if !files.is_empty() {
            terminal::say(&text::written(files));
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        self.progress.suspend(|| terminal::print(text))
    }

    /// Writes the files that hold all pictures; the exit code.
    pub(super) fn finish(mut self) -> Result<u8, Failure> {
        self.progress.finish_and_clear();
        let is_quiet = self.arguments.quiet || self.arguments.json;
        let mut files = Vec::new();
        for written in self.outputs.finish() {
            match written {
                Ok(file) => files.push(file),
                Err(error) => {
                    terminal::complain(&error.to_string());
                    self.code = if self.code == 0 { failure::code(error.kind()) } else { self.code };
                }
            }
        }
        if !files.is_empty() && !is_quiet {
            terminal::say(&text::written(&files));
        }
        if self.pictures.len() > text::MOST_TABLES && self.written > 0 && !is_quiet {
            let folder = crate::output::folder_of(self.arguments);
            terminal::say(&format!("wrote {} files about {} pictures into {}", self.written, self.pictures.len(), folder.display()));
        }
        Ok(self.code)
    }
}
