//! Naming a model, loading the engine, and `build`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use maskline::runtime::{LibraryOptions, PackageState, Variant, cuda_variant, home_dir, is_installed, packages, usable_threads};
use maskline::{
    Bundle, BundleOptions, Dialect, Engine, EngineOptions, Error, ErrorKind, LoadOptions, ModelSource, Selection, SizeSource, families,
    read_names,
};
use maskline_hub::{find, registry};
use serde_json::json;

use crate::args::{Build, Model, ModelOptions};
use crate::failure::Failure;
use crate::nearest::{listed, nearest};
use crate::output::Reports;
use crate::pictures::shown;
use crate::{applies, hub, terminal};

/// Which ONNX Runtime a command needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime<'a> {
    /// The variant that has it is loaded. CUDA's are large and useless without a driver: they are never fetched unasked.
    pub(crate) provider: &'a str,
    /// A library or its folder, where the user names one.
    pub(crate) path: Option<&'a Path>,
    /// Never use the network.
    pub(crate) offline: bool,
    /// Compute threads of all models together; 0 for one per core.
    pub(crate) threads: usize,
    /// Folder of the bundles, if not the usual one.
    pub(crate) bundles: Option<&'a Path>,
}

impl Default for Runtime<'_> {
    fn default() -> Self {
        Self { provider: "cpu", path: None, offline: false, threads: 0, bundles: None }
    }
}

impl Runtime<'_> {
    /// Loads it, telling about a fetch as it goes.
    ///
    /// # Errors
    /// `Unavailable` also where the provider needs a build that is only fetched when asked for.
    pub(crate) fn engine(&self) -> Result<Engine, Error> {
        let options = self.options();
        self.check(&options.library)?;
        Engine::new(options)
    }

    /// Fails where the provider's build is not here and would have to be asked for.
    ///
    /// # Errors
    /// `Unavailable`, with the command that brings it.
    pub(crate) fn check(&self, library: &LibraryOptions) -> Result<(), Error> {
        let is_named = library.path.is_some() || library.environment_path.is_some();
        if !self.is_nvidias() || is_named || is_installed(library) {
            return Ok(());
        }
        let (provider, variant) = (self.provider, library.variant);
        let bytes: u64 =
            packages(library)?.iter().filter(|package| package.state == PackageState::Missing).map(|package| package.download_bytes).sum();
        let message = format!("the {provider} provider needs the variant {variant} of ONNX Runtime, which is not installed");
        let help = format!("maskline runtime install {variant}   ({:.0} MB)", bytes as f64 / 1e6);
        Err(Error::new(ErrorKind::Unavailable, message).with_help(help))
    }

    fn is_nvidias(&self) -> bool {
        ["cuda", "tensorrt"].contains(&self.provider)
    }

    /// What the engine is made with.
    pub(crate) fn options(&self) -> EngineOptions {
        let mut library = LibraryOptions { progress: Some(Arc::new(terminal::say)), ..LibraryOptions::from_env() };
        library.path = self.path.map(Path::to_path_buf);
        library.offline |= self.offline;
        library.threads = self.threads;
        library.variant = match self.provider {
            "openvino" => Variant::OpenVino,
            _ if self.is_nvidias() => cuda_variant(&library),
            _ => library.variant,
        };
        let cache = self.bundles.map_or_else(|| library.home.join("bundles"), Path::to_path_buf);
        EngineOptions { cache, library, ..EngineOptions::default() }
    }
}

/// What a word names: one model, or a detector and the segmenter that its boxes are prompts of, joined by `+`.
pub(crate) fn sources(options: &ModelOptions, model: &OsStr) -> Result<Vec<ModelSource>, Failure> {
    // A file may have a `+` in its name, and a name need not be text.
    match model.to_str().filter(|model| !Path::new(model).exists()) {
        Some(text) if text.split('+').any(str::is_empty) => {
            let error = Error::new(ErrorKind::InvalidOption, text).expecting("models joined by `+`").but_found("nothing on one side of it");
            Err(error.with_help("a detector and a promptable model: yolov8n+nano").into())
        }
        Some(text) => text.split('+').map(|name| source(options, name.as_ref())).collect(),
        None => Ok(vec![source(options, model)?]),
    }
}

pub(crate) fn source(options: &ModelOptions, word: &OsStr) -> Result<ModelSource, Failure> {
    if options.synthetic {
        return Ok(ModelSource::Synthetic { architecture: word.to_string_lossy().into_owned(), seed: options.seed });
    }
    let name = word.to_string_lossy();
    match ModelSource::find(word, &home_dir()) {
        Ok(Some(source)) => Ok(source),
        // The registry knows which files make it whole, and what to tell of a model that is not here.
        Ok(None) | Err(_) if find(&name).is_some() => pulled(&name),
        Ok(None) if is_architecture(&name) => {
            let error = Error::new(ErrorKind::BadInput, format!("`{name}` is an architecture, not a file"));
            Err(error.with_help("give the path of its checkpoint, or add --synthetic to run it with generated weights").into())
        }
        Ok(None) => Err(Error::new(ErrorKind::BadInput, format!("no such model: {name}")).with_help(alike(&name)).into()),
        Err(error) => Err(error.into()),
    }
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
    let path = hub::hub(true)?.require(name).map_err(|error| match error.help() {
        Some(pull) if error.kind() == ErrorKind::Unavailable && is_architecture(name) => {
            let synthetic = "or give the path of its checkpoint, or run the architecture with generated weights: --synthetic";
            let help = format!("{pull}\n        {synthetic}");
            error.with_help(help)
        }
        _ => error,
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
    Ok(BundleOptions {
        decoder: options.decoder,
        kernels: options.kernels,
        keypoint_shape: options.keypoints,
        head: options.head,
        image_size,
        labels,
        ..BundleOptions::default()
    })
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
    let made = (info.selection() == Some(Selection::Made)).then(|| {
        "objects: chosen by the export itself, at the least score and the overlap that it was made with; less of them can be had, not more".into()
    });
    info.weights_notes.iter().cloned().chain(info.labels_from.note()).chain(size).chain(made).collect()
}

/// `maskline build`.
pub(crate) fn build(arguments: &Build, matches: &clap::ArgMatches) -> Result<(), Failure> {
    let Model { model, options } = &arguments.model;
    let source = source(options, model)?;
    let name = source.name();
    let provider = arguments.gpu.provider(arguments.provider.as_deref().unwrap_or("cpu"))?;
    let runtime = Runtime { provider: provider.name(), path: options.runtime.as_deref(), offline: options.offline, ..Runtime::default() };
    let engine = runtime.engine()?;
    let wished = bundle_options(options, arguments.size)?;
    let dialect = if arguments.portable { Dialect::Portable } else { wished.dialect };
    let bundle = BundleOptions { dialect, ..wished };
    let bundle = match arguments.provider {
        None => engine.build(source, &BundleOptions { numbers: Some(options.precision.on(&provider)), ..bundle })?,
        Some(_) => opened(&engine, source, &LoadOptions { provider, precision: options.precision, bundle, ..LoadOptions::default() })?,
    };
    applies::check_build(matches, &name, bundle.info())?;
    if let Some(folder) = &arguments.output {
        copy(&bundle, folder, arguments.overwrite)?;
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

/// Builds a model for its provider, and lets it make there whatever it makes at a first start.
fn opened(engine: &Engine, source: ModelSource, options: &LoadOptions) -> Result<Bundle, Error> {
    let start = Instant::now();
    let model = engine.load(source, &LoadOptions { warm_up: false, ..options.clone() })?;
    for part in model.part_names() {
        terminal::say(&format!("{part}: opening and running on {}", options.provider));
        model.part(part)?.warm_up()?;
    }
    terminal::say(&format!(
        "{} networks ran on {} after {:.1} s",
        model.part_names().len(),
        model.provider(),
        start.elapsed().as_secs_f64()
    ));
    Ok(model.bundle().clone())
}

/// Where a bundle has what travels with its graphs, such as a tokenizer.
const ASSETS: &str = "assets";

/// Copies a bundle's own files and its assets, without what belongs to this machine: artefacts, and words that were read.
fn copy(bundle: &Bundle, to: &Path, overwrite: bool) -> Result<(), Failure> {
    let from = &bundle.directory;
    let unreadable = |error: std::io::Error| Error::new(ErrorKind::Io, error.to_string()).at(from);
    let files = std::fs::read_dir(from).map_err(unreadable)?.flatten().filter(|entry| entry.path().is_file());
    let names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.contains(".optimised.onnx")).collect();
    let assets: Vec<&str> = bundle.assets().collect();
    // All of them may be written, or none is.
    let mut folder = Reports::open(to, &names, overwrite)?;
    let beside = if assets.is_empty() { None } else { Some(Reports::open(&to.join(ASSETS), &assets, overwrite)?) };
    for name in names {
        folder.copy(&from.join(name), name)?;
    }
    if let Some(mut beside) = beside {
        for name in assets {
            beside.copy(&from.join(ASSETS).join(name), name)?;
        }
    }
    Ok(())
}
