//! The models that a server can have: those that it was told, and all that lie here.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use maskline::{Error, ErrorKind, LoadOptions, ModelSource};
use maskline_hub::{Hub, PullEvent};
use maskline_server::{ModelSpec, Repository, SpecSource};

use crate::args::ModelOptions;
use crate::failure::Failure;
use crate::hub;
use crate::model;

/// How often a download is told of.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// How words become models.
pub(super) struct Words<'a> {
    pub(super) options: &'a ModelOptions,
    pub(super) load: &'a LoadOptions,
    /// Whether models that are not here may be fetched.
    pub(super) pulls: bool,
}

impl Words<'_> {
    /// The model of a word: `MODEL`, or `NAME=MODEL` to serve it by another name.
    pub(super) fn model(&self, word: &str) -> Result<ModelSpec, Failure> {
        let (name, model) = match word.split_once('=') {
            Some((name, model)) if !name.is_empty() && !model.is_empty() => (Some(name), model),
            _ => (None, word),
        };
        let needs = if self.pulls { self.absent(model)? } else { Vec::new() };
        let sources = if needs.is_empty() { model::sources(self.options, model.as_ref())? } else { named(model) };
        let own: Vec<String> = model.split('+').map(plain_name).collect();
        let name = checked(name.map_or_else(|| own.join("+"), str::to_owned))?;
        let source = match <[ModelSource; 2]>::try_from(sources) {
            Ok([finder, segmenter]) => SpecSource::Pair { finder, segmenter },
            Err(mut sources) => match (sources.pop(), sources.pop()) {
                (Some(source), None) => SpecSource::One(source),
                _ => {
                    let error = Error::new(ErrorKind::InvalidOption, word).expecting("one model, or two joined by `+`");
                    return Err(error.but_found("more").into());
                }
            },
        };
        Ok(ModelSpec { name, source, needs, load: self.load.clone() })
    }

    /// A plain graph: `NAME=FILE.onnx`, or only the file.
    pub(super) fn graph(&self, word: &str) -> Result<ModelSpec, Failure> {
        let (name, file) = word.split_once('=').unwrap_or(("", word));
        let file = PathBuf::from(file);
        if !file.is_file() {
            return Err(Error::new(ErrorKind::BadInput, "no such graph").at(&file).with_help("--graph NAME=FILE.onnx").into());
        }
        let name = if name.is_empty() { plain_name(&file.to_string_lossy()) } else { name.to_owned() };
        Ok(ModelSpec { name: checked(name)?, source: SpecSource::Graph(file), needs: Vec::new(), load: self.load.clone() })
    }

    /// Registered models of a word that are not here.
    fn absent(&self, word: &str) -> Result<Vec<String>, Failure> {
        let hub = hub::hub(self.options.offline)?;
        let is_absent = |name: &&str| maskline_hub::find(name).is_some() && hub.require(name).is_err();
        Ok(word.split('+').filter(is_absent).map(str::to_owned).collect())
    }
}

/// Models by their names, which are found once they are here.
fn named(word: &str) -> Vec<ModelSource> {
    word.split('+').map(|name| ModelSource::carried(name).unwrap_or_else(|| ModelSource::Checkpoint(PathBuf::from(name)))).collect()
}

/// What a model is called that nobody has named: the stem of its file, the word itself where it is none.
fn plain_name(word: &str) -> String {
    let path = std::path::Path::new(word);
    let is_file = path.components().count() > 1 || path.exists();
    let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
    stem.filter(|_| is_file).map_or_else(|| word.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// A name that can stand in a path.
fn checked(name: String) -> Result<String, Failure> {
    let is_sane = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
    if name.chars().all(is_sane) && !name.starts_with('.') && !name.is_empty() && name.len() <= 100 {
        return Ok(name);
    }
    let error = Error::new(ErrorKind::InvalidOption, "name of a served model");
    let error = error.expecting("up to 100 letters, digits, and . _ + -").but_found(format!("`{}`", name.escape_debug()));
    Err(error.with_help("give it one: NAME=MODEL").into())
}

/// The models that lie here.
pub(super) struct Here {
    pub(super) hub: Hub,
    pub(super) load: LoadOptions,
}

impl Repository for Here {
    fn names(&self) -> Vec<String> {
        let carried = ModelSource::carried("nano").map(|_| "nano".to_owned());
        let pulled = self.hub.list().into_iter().filter(|listed| self.hub.require(listed.entry.name).is_ok());
        carried.into_iter().chain(pulled.map(|listed| listed.entry.name.to_owned())).collect()
    }

    fn find(&self, name: &str) -> Result<ModelSpec, Error> {
        if !self.names().iter().any(|known| known == name) {
            let error = Error::new(ErrorKind::BadInput, format!("`{name}` is not here"));
            return Err(error.with_help(format!("on the server's machine: maskline pull {name}")));
        }
        let source = named(name).remove(0);
        Ok(ModelSpec { name: name.to_owned(), source: SpecSource::One(source), needs: Vec::new(), load: self.load.clone() })
    }

    fn fetch(&self, name: &str, told: &mut dyn FnMut(String)) -> Result<(), Error> {
        let mut last: Option<Instant> = None;
        let tell = |event: PullEvent<'_>| {
            let PullEvent::Progress { file, done, total } = event else { return };
            if last.is_none_or(|last| last.elapsed() >= TOLD_EVERY) {
                last = Some(Instant::now());
                let whole = total.map_or_else(String::new, |total| format!(" of {}", total >> 20));
                told(format!("{file}: {}{whole} MiB", done >> 20));
            }
        };
        self.hub.pull(name, tell).map(drop)
    }
}
