//! Naming a model, loading the engine, and `build`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use maskline::hub::find;
use maskline::runtime::{LibraryOptions, Variant};
use maskline::{BundleOptions, Dialect, Engine, EngineOptions, ErrorKind, ModelSource, families};
use serde_json::json;

use crate::args::{Build, Model, ModelOptions};
use crate::failure::Failure;
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
    Ok(ModelSource::of_path(path))
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

pub(crate) fn bundle_options(options: &ModelOptions, image_size: Option<usize>) -> BundleOptions {
    BundleOptions { keypoint_shape: options.keypoints, image_size, ..BundleOptions::default() }
}

/// `maskline build`.
pub(crate) fn build(arguments: &Build, matches: &clap::ArgMatches) -> Result<(), Failure> {
    let Model { model, options } = &arguments.model;
    let source = source(options, model)?;
    let name = source.name();
    let engine = engine(options.runtime.as_deref(), options.offline)?;
    let dialect = if arguments.portable { Dialect::Portable } else { Dialect::Ort };
    let bundle = engine.build(source, &BundleOptions { dialect, ..bundle_options(options, arguments.size) })?;
    applies::check_build(matches, &name, bundle.info())?;
    if let Some(folder) = &arguments.output {
        copy(&bundle.directory, folder)?;
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
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let io = |path: &Path, error: std::io::Error| Failure::new(ErrorKind::Io, format!("{error}\n  in   {}", path.display()));
    std::fs::create_dir_all(to).map_err(|e| io(to, e))?;
    for entry in std::fs::read_dir(from).map_err(|e| io(from, e))?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().contains(".optimised.onnx") {
            continue;
        }
        // Beside its place first, then renamed: a model that is there is whole.
        let (aside, target) = (to.join(format!(".{}.partial", name.to_string_lossy())), to.join(&name));
        std::fs::copy(entry.path(), &aside).map_err(|e| io(&aside, e))?;
        std::fs::rename(&aside, &target).map_err(|e| io(&target, e))?;
    }
    Ok(())
}
