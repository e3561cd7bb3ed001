//! The engine: ONNX Runtime and the caches, from which models are loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use maskline_runtime::{Cache, Library, LibraryOptions, Provider, cache_limit};

use crate::limits::{self, MOST_THREADS};
use crate::model::Opening;
use crate::{Bundle, BundleOptions, ColdTimings, Concern, Delays, Error, ErrorKind, Model, Result};

/// Options of [`Engine::new`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where ONNX Runtime is found, or fetched to.
    pub library: LibraryOptions,
    /// Directory of the bundles. How much it keeps says `MASKLINE_CACHE_MAX` ([`cache_limit`]).
    pub cache: PathBuf,
}

impl Default for EngineOptions {
    /// The environment's wishes (`MASKLINE_HOME`, `MASKLINE_ONNXRUNTIME`, `MASKLINE_OFFLINE`).
    fn default() -> Self {
        let library = LibraryOptions::from_env();
        let cache = library.home.join("bundles");
        Self { library, cache }
    }
}

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// An official checkpoint: safetensors, PyTorch, or a directory with `model.safetensors`.
    Checkpoint(PathBuf),
    /// An existing ONNX export.
    Onnx(PathBuf),
    /// A published architecture at its real size, with generated weights.
    Synthetic {
        /// Name, as `maskline list` shows it.
        architecture: String,
        /// Seed of the weights.
        seed: u64,
    },
    /// The small segmenter that maskline itself carries (`nano`, see `training/MODEL_CARD.md`).
    Nano,
}

/// Name of the model that maskline carries.
const NANO: &str = "nano";

/// Its weights: safetensors, f16. `None` in builds without the feature `nano`.
pub(crate) fn carried_weights() -> Option<&'static [u8]> {
    #[cfg(feature = "nano")]
    return Some(include_bytes!("../weights/nano.safetensors"));
    #[cfg(not(feature = "nano"))]
    None
}

impl ModelSource {
    /// The model that a name stands for, of those that maskline carries.
    pub fn carried(name: &str) -> Option<Self> {
        (name == NANO && carried_weights().is_some()).then_some(Self::Nano)
    }

    /// The source that a path names: by extension `.onnx` an export, else a checkpoint.
    pub fn of_path(path: &Path) -> Self {
        let is_onnx = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
        if is_onnx { Self::Onnx(path.to_path_buf()) } else { Self::Checkpoint(path.to_path_buf()) }
    }

    /// A short name for people: file stem or architecture.
    pub fn name(&self) -> String {
        match self {
            Self::Checkpoint(path) | Self::Onnx(path) => {
                path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
            }
            Self::Synthetic { architecture, .. } => format!("{architecture} (generated weights)"),
            Self::Nano => NANO.into(),
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for ModelSource {
    fn from(path: &P) -> Self {
        Self::of_path(path.as_ref())
    }
}

/// Options of [`Engine::load`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// What runs the network. One that is not there is an error, never a silent fall-back.
    pub provider: Provider,
    /// Threads of a session, up to 1024; 0 for one per core.
    pub threads: usize,
    /// Run the network once while loading, so that the first request is as fast as the others.
    pub warm_up: bool,
    /// Most bytes of embeddings that a promptable model keeps; 0 for none.
    pub embedding_cache: usize,
    /// What the bundle is built for.
    pub bundle: BundleOptions,
    /// Sleeps within stages, for tests; none by default.
    pub delays: Delays,
}

impl LoadOptions {
    fn check(&self) -> Result<()> {
        if self.threads > 0 { limits::check_count("threads", self.threads, MOST_THREADS) } else { Ok(()) }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            provider: Provider::Cpu,
            threads: 0,
            warm_up: true,
            embedding_cache: 256 << 20,
            bundle: BundleOptions::default(),
            delays: Delays::default(),
        }
    }
}

/// Owns ONNX Runtime and the caches.
#[derive(Debug)]
pub struct Engine {
    library: Arc<Library>,
    cache: Cache,
}

impl Engine {
    /// Finds and loads ONNX Runtime; on the first start of all, fetches it unless that is forbidden.
    ///
    /// # Errors
    /// `Unavailable` if there is no ONNX Runtime and it cannot be fetched; the message says the way out.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let library = maskline_runtime::load(&options.library)?;
        Ok(Self { library, cache: Cache::new(options.cache).with_limit(cache_limit()?) })
    }

    /// The loaded ONNX Runtime.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Builds the bundle of a model, or finds it in the cache.
    ///
    /// # Errors
    /// `BadInput` for a file that is missing, broken or of no known family; `Io` if the cache cannot be written.
    pub fn build(&self, source: impl Into<ModelSource>, options: &BundleOptions) -> Result<Bundle> {
        let source = source.into();
        if let ModelSource::Checkpoint(path) | ModelSource::Onnx(path) = &source
            && !path.exists()
        {
            let message =
                format!("no such model: {}\n  help: give the path of a checkpoint (.safetensors, .pt) or an ONNX export", path.display());
            return Err(Error::new(ErrorKind::BadInput, message).about(Concern::Model));
        }
        Bundle::open(&self.cache, &source, options).map_err(of_loading)
    }

    /// Loads a model: a path, or a [`ModelSource`].
    ///
    /// # Errors
    /// As [`Engine::build`]; `Unavailable` if the provider is not there, `OverLimit` for more threads than 1024.
    pub fn load(&self, source: impl Into<ModelSource>, options: &LoadOptions) -> Result<Model> {
        let start = Instant::now();
        options.check()?;
        let source = source.into();
        let bundle = self.build(source.clone(), &options.bundle)?;
        let mut cold =
            ColdTimings { runtime_fetch: self.library.fetch_time(), runtime_load: self.library.load_time(), ..ColdTimings::default() };
        *(if bundle.built { &mut cold.build } else { &mut cold.model_read }) = start.elapsed();
        let opening = Opening { name: source.name(), bundle, options, cold, start };
        let model = Model::open(&self.library, opening).map_err(of_loading)?;
        if !model.was_cached() {
            // Its optimised graph lies beside it now. Where room cannot be made, the model is loaded all the same.
            let _ = self.cache.keep_to_limit();
        }
        Ok(model)
    }
}

/// No picture has been asked about yet.
fn of_loading(error: Error) -> Error {
    if error.concerns() == Concern::Picture { error.about(Concern::Model) } else { error }
}
