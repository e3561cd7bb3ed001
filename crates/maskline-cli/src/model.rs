//! Naming a model, loading the engine, and `build`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use maskline::hub::{find, registry};
use maskline::runtime::{LibraryOptions, Variant, usable_threads};
use maskline::{BundleOptions, Dialect, Engine, EngineOptions, ErrorKind, ModelSource, SizeSource, families, read_names};
use serde_json::json;

use crate::args::{Build, Model, ModelOptions};
use crate::failure::Failure;
use crate::nearest::{listed, nearest};
use crate::output::Reports;
use crate::pictures::shown;
use crate::{applies, hub, terminal};

/// Loads ONNX Runtime, telling about a fetch as it goes.
pub(crate) fn engine(runtime: Option<&Path>, offline: bool) -> Result<Engine, Failure> {
    engine_for("cpu", runtime, offline)
}

/// Loads the variant of ONNX Runtime that has a provider. CUDA's is large and useless without the driver's libraries: it is
/// never fetched unasked, but used where the user names it.
pub(crate) fn engine_for(provider: &str, runtime: Option<&Path>, offline: bool) -> Result<Engine, Failure> {
    Ok(engine_at((provider, runtime, offline), None)?)
}

/// As [`engine_for`], with the bundles in a given folder.
pub(crate) fn engine_at(
    (provider, runtime, offline): (&str, Option<&Path>, bool),
    bundles: Option<&Path>,
) -> Result<Engine, maskline::Error> {
    let mut library = LibraryOptions { progress: Some(Arc::new(terminal::say)), ..LibraryOptions::from_env() };
    library.path = runtime.map(Path::to_path_buf);
    library.offline |= offline;
    if provider == "openvino" {
        library.variant = Variant::OpenVino;
    }
    let cache = bundles.map_or_else(|| library.home.join("bundles"), Path::to_path_buf);
    Engine::new(EngineOptions { cache, library })
}

/// What a word names: one model, or a detector and the segmenter that its boxes are prompts of, joined by `+`.
pub(crate) fn sources(options: &ModelOptions, model: &OsStr) -> Result<Vec<ModelSource>, Failure> {
    // A file may have a `+` in its name, and a name need not be text.
    match model.to_str().filter(|model| !Path::new(model).exists()) {
        Some(text) if text.split('+').any(str::is_empty) => {
            let message = format!("{text}: expected models joined by `+`, found nothing on one side of it");
            Err(Failure::new(ErrorKind::InvalidOption, format!("{message}\n  help: a detector and a promptable model: yolov8n+nano")))
        }
        Some(text) => text.split('+').map(|name| source(options, name.as_ref())).collect(),
        None => Ok(vec![source(options, model)?]),
    }
}

fn source(options: &ModelOptions, word: &OsStr) -> Result<ModelSource, Failure> {
    if options.synthetic {
        return Ok(ModelSource::Synthetic { architecture: word.to_string_lossy().into_owned(), seed: options.seed });
    }
    let path = Path::new(word);
    // A file of the name goes before a model of the name.
    let Some(name) = word.to_str().filter(|_| !path.exists()) else {
        return Ok(ModelSource::of_path(path));
    };
    if let Some(carried) = ModelSource::carried(name) {
        return Ok(carried);
    }
    if find(name).is_some() {
        return pulled(name);
    }
    if is_architecture(name) {
        let message = format!("`{name}` is an architecture, not a file");
        let help = "\n  help: give the path of its checkpoint, or add --synthetic to run it with generated weights";
        return Err(Failure::new(ErrorKind::BadInput, message + help));
    }
    if is_name(path) {
        return Err(Failure::new(ErrorKind::BadInput, format!("no such model: {name}\n  help: {}", alike(name))));
    }
    Ok(ModelSource::of_path(path))
}

/// Whether a word that is no file is more likely a name than a path.
fn is_name(path: &Path) -> bool {
    let endings = ["pt", "pth", "safetensors", "onnx"];
    path.components().count() == 1 && path.extension().is_none_or(|ending| !endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The names that may be meant by one that there is not.
fn alike(name: &str) -> String {
    let names: Vec<&str> = registry().iter().map(|entry| entry.name).chain(["nano"]).collect();
    let longer: Vec<&str> = names.iter().copied().filter(|known| known.starts_with(name)).collect();
    let near = if longer.is_empty() { nearest(name, names) } else { longer };
    let all = "`maskline list` names all; else give the path of a checkpoint (.safetensors, .pt) or an ONNX export";
    if near.is_empty() { all.into() } else { format!("is {} meant? {all}", listed(&near)) }
}

/// A model by its name. One that is not here is never fetched unasked.
fn pulled(name: &str) -> Result<ModelSource, Failure> {
    let path = hub::hub(true)?.require(name).map_err(|error| {
        let synthetic = "\n        or give the path of its checkpoint, or run the architecture with generated weights: --synthetic";
        let more = if error.kind() == ErrorKind::Unavailable && is_architecture(name) { synthetic } else { "" };
        Failure::new(error.kind(), format!("{error}{more}"))
    })?;
    Ok(ModelSource::of_path(&path))
}

/// Whether a family has published an architecture of this name.
pub(crate) fn is_architecture(name: &str) -> bool {
    families().iter().any(|family| family.description().architectures.contains(&name))
}

/// What bundles are built for.
///
/// # Errors
/// `BadInput` for a file of names that cannot be read.
pub(crate) fn bundle_options(options: &ModelOptions, image_size: Option<usize>) -> Result<BundleOptions, Failure> {
    let labels = options.names.as_deref().map(read_names).transpose()?;
    Ok(BundleOptions { keypoint_shape: options.keypoints, image_size, labels, ..BundleOptions::default() })
}

/// The threads that a model gets; that fewer are used than were wished is said.
pub(crate) fn threads(wished: usize) -> usize {
    let usable = usable_threads(wished);
    if let Some(remark) = usable.remark() {
        terminal::say(&remark);
    }
    if wished == 0 { 0 } else { usable.count }
}

/// What people should know of a model that they were not told by anybody: which weights of its file were taken,
/// that its class names are assumed, that it has a size of its own.
pub(crate) fn notes(model: &maskline::Model) -> Vec<String> {
    let info = model.info();
    let size = (info.size_from == SizeSource::File).then(|| format!("size: {}, as the model file says", info.default_size));
    info.weights_notes.iter().cloned().chain(info.labels_from.note()).chain(size).collect()
}

/// `maskline build`.
pub(crate) fn build(arguments: &Build, matches: &clap::ArgMatches) -> Result<(), Failure> {
    let Model { model, options } = &arguments.model;
    let source = source(options, model)?;
    let name = source.name();
    let engine = engine(options.runtime.as_deref(), options.offline)?;
    let dialect = if arguments.portable { Dialect::Portable } else { Dialect::Ort };
    let bundle = engine.build(source, &BundleOptions { dialect, ..bundle_options(options, arguments.size)? })?;
    applies::check_build(matches, &name, bundle.info())?;
    if let Some(folder) = &arguments.output {
        copy(&bundle.directory, folder, arguments.overwrite)?;
    }
    let directory = arguments.output.as_deref().unwrap_or(&bundle.directory);
    let parts: Vec<String> = bundle.parts().map(|(name, _)| name.to_string()).collect();
    if arguments.json {
        let line = json!({"directory": shown(directory), "built": bundle.built, "parts": parts, "info": bundle.info()});
        return terminal::print(&format!("{line}\n"));
    }
    let what = if bundle.built { "built" } else { "was in the cache" };
    terminal::say(&format!("{} ({}) {what}: {}", bundle.info().architecture, bundle.info().task, parts.join(", ")));
    terminal::print(&format!("{}\n", directory.display()))
}

/// Copies a bundle's own files, without the artefacts that belong to this machine.
fn copy(from: &Path, to: &Path, overwrite: bool) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::new(ErrorKind::Io, format!("{error}\n  in   {}", from.display()));
    let names = std::fs::read_dir(from).map_err(unreadable)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let names: Vec<String> = names.filter(|name| !name.contains(".optimised.onnx")).collect();
    let mut folder = Reports::open(to, &names.iter().map(String::as_str).collect::<Vec<_>>(), overwrite)?;
    for name in &names {
        folder.copy(&from.join(name), name)?;
    }
    Ok(())
}
