//! The engine: ONNX Runtime and the caches, from which models are loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline_runtime::{Cache, Fallback, Faults, LaneOptions, Library, LibraryOptions, Provider, TensorRtOptions, cache_limit};

use crate::bundle::uncalibrated;
use crate::limits::{self, LARGEST_BATCH, MOST_SESSIONS, MOST_THREADS};
use crate::model::Opening;
use crate::workers::{self, Workers};
use crate::{
    Bundle, BundleOptions, Calibration, ColdTimings, Concern, Delays, Dialect, Error, ErrorKind, Model, ModelSource, Numbers, Observer,
    Part, Precision, Result,
};

/// Options of [`Engine::new`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where ONNX Runtime is found, or fetched to.
    pub library: LibraryOptions,
    /// Directory of the bundles. How much it keeps says `MASKLINE_CACHE_MAX` ([`cache_limit`]).
    pub cache: PathBuf,
    /// Most tickets ([`Model::ask`]) of each model that are worked on at once: each has a thread meanwhile. More than networks can join gain
    /// nothing.
    pub workers: usize,
    /// Most tickets of each model that wait for that; more are `Busy`.
    pub queue: usize,
}

impl Default for EngineOptions {
    /// The environment's wishes (`MASKLINE_HOME`, `MASKLINE_ONNXRUNTIME`, `MASKLINE_OFFLINE`).
    fn default() -> Self {
        let library = LibraryOptions::from_env();
        let cache = library.home.join("bundles");
        Self { library, cache, workers: 16, queue: 1024 }
    }
}

/// Options of [`Engine::load`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// What runs the network. One that is not there is an error, never a silent fall-back.
    pub provider: Provider,
    /// Threads of a session of its own, up to 1024; 0 for the compute threads that all models of the process share.
    pub threads: usize,
    /// Run the network once while loading, so that the first request is as fast as the others.
    pub warm_up: bool,
    /// Sessions of each part, which run beside each other; they share the compute threads.
    pub sessions: usize,
    /// Requests that may wait at each session; who calls when so many do waits for room.
    pub queue: usize,
    /// Most rows of different callers that run together. `None`: prompts up to what was measured to be fastest, pictures one by one, as on a
    /// processor nothing is gained by more. What runs together is equal to what runs alone but for rounding; with 1, answers are the same
    /// bit by bit whoever else asks.
    pub together: Option<usize>,
    /// How long rows wait for others to run with, where nothing else is to be done meanwhile; zero: not at all.
    pub wait: Duration,
    /// Where the provider fails while the model runs (its memory is full, the device is lost), let the CPU answer instead, and come back
    /// when the provider works again; [`Model::degraded`] tells. Off, such a failure is the answer.
    pub degrade: bool,
    /// Most bytes of embeddings that a promptable model keeps; 0 for none.
    pub embedding_cache: usize,
    /// Most bytes of embeddings that stay in the memory of the device that made them (`cuda`, `tensorrt`), within those that are kept or held;
    /// those that were not asked for the longest time are moved to the host. 0 for none.
    pub device_embeddings: usize,
    /// Most bytes of encoded words that a model keeps; 0 for none.
    pub word_cache: usize,
    /// What numbers the model computes with.
    pub precision: Precision,
    /// What the bundle is built for.
    pub bundle: BundleOptions,
    /// Where pictures are prepared.
    pub preprocessing: Preprocessing,
    /// Hears what observed networks see ([`Numbers::Observed`](crate::Numbers::Observed)).
    pub observer: Option<Arc<Observer>>,
    /// Sleeps within stages, for tests; none by default.
    pub delays: Delays,
    /// Runs that fail, for tests; none by default.
    pub faults: Faults,
}

impl LoadOptions {
    /// What lanes are opened with, whatever they run.
    pub(crate) fn lane(&self) -> LaneOptions {
        LaneOptions {
            provider: self.provider_for_numbers(),
            threads: self.threads,
            queue: self.queue,
            max_rows: self.together.unwrap_or(1),
            max_wait: self.wait,
            fallback: self.degrade.then(Fallback::default),
            faults: self.faults,
            ..LaneOptions::default()
        }
    }

    /// TensorRT takes the types of a graph only where it may.
    fn provider_for_numbers(&self) -> Provider {
        let numbers = self.bundle.numbers.unwrap_or_else(|| self.precision.on(&self.provider));
        match &self.provider {
            Provider::TensorRt(options) => Provider::TensorRt(TensorRtOptions {
                fp16: options.fp16 || numbers == Numbers::F16,
                int8: options.int8 || numbers == Numbers::Int8,
                ..options.clone()
            }),
            provider => provider.clone(),
        }
    }

    /// What the bundle is built for: our own operators are for processors, and OpenVINO knows standard ones only.
    pub(crate) fn bundle(&self, source: &ModelSource) -> BundleOptions {
        let dialect = match (&self.provider, self.bundle.dialect) {
            (Provider::OpenVino(_), _) => Dialect::Portable,
            (Provider::Cuda(_) | Provider::TensorRt(_), Dialect::Native) => Dialect::Ort,
            (_, dialect) => dialect,
        };
        // An export is run as it is, unless something else is wished, which is refused.
        let is_as_it_is = matches!(source, ModelSource::Onnx(_)) && self.precision == Precision::Auto;
        let precision = if is_as_it_is { Precision::F32 } else { self.precision };
        let numbers = self.bundle.numbers.unwrap_or_else(|| precision.on(&self.provider));
        BundleOptions { dialect, numbers: Some(numbers), ..self.bundle.clone() }
    }

    fn check(&self) -> Result<()> {
        limits::check_count("sessions", self.sessions, MOST_SESSIONS)?;
        limits::check_count("queue", self.queue, usize::MAX)?;
        self.together.map_or(Ok(()), |rows| limits::check_count("together", rows, LARGEST_BATCH))?;
        if self.threads > 0 { limits::check_count("threads", self.threads, MOST_THREADS) } else { Ok(()) }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            provider: Provider::Cpu,
            threads: 0,
            warm_up: true,
            sessions: 1,
            queue: 64,
            together: None,
            wait: Duration::ZERO,
            degrade: false,
            embedding_cache: 256 << 20,
            device_embeddings: 1 << 30,
            word_cache: 16 << 20,
            precision: Precision::default(),
            preprocessing: Preprocessing::default(),
            observer: None,
            bundle: BundleOptions::default(),
            delays: Delays::default(),
            faults: Faults::default(),
        }
    }
}

/// Where pictures are prepared for a network: resized, padded, normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preprocessing {
    /// On the host, as the official implementations do it.
    #[default]
    Host,
    /// By the model's provider, as products with matrices: a picture goes there as bytes. Where the official implementations resize bytes, a
    /// level differs here and there; elsewhere only rounding.
    Device,
}

/// Owns ONNX Runtime and the caches.
#[derive(Debug)]
pub struct Engine {
    library: Arc<Library>,
    cache: Cache,
    /// Where pulled models are.
    home: PathBuf,
    workers: workers::Limits,
}

impl Engine {
    /// Finds and loads ONNX Runtime; on the first start of all, fetches it unless that is forbidden.
    ///
    /// # Errors
    /// `Unavailable` if there is no ONNX Runtime and it cannot be fetched; the message says the way out.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let library = maskline_runtime::load(&options.library)?;
        let workers = workers::Limits { threads: options.workers, queue: options.queue };
        let cache = Cache::new(options.cache).with_limit(cache_limit()?);
        Ok(Self { library, cache, home: options.library.home, workers })
    }

    /// The loaded ONNX Runtime.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Builds the bundle of a model, or finds it in the cache.
    ///
    /// # Errors
    /// `BadInput` for a file that is missing, broken or of no known family, and for an unknown name; `Unavailable` for a model that is not
    /// here whole; `Io` if the cache cannot be written.
    pub fn build(&self, source: impl Into<ModelSource>, options: &BundleOptions) -> Result<Bundle> {
        let source = source.into().resolved(&self.home)?;
        if let ModelSource::Checkpoint(path) | ModelSource::Onnx(path) = &source
            && !path.exists()
        {
            return Err(missing(path));
        }
        if options.numbers == Some(Numbers::Int8) && options.calibration.is_none() {
            let calibration = Some(Arc::new(self.kept_calibration(&source, options)?));
            return Bundle::open(&self.cache, &source, &BundleOptions { calibration, ..options.clone() }).map_err(of_loading);
        }
        Bundle::open(&self.cache, &source, options).map_err(of_loading)
    }

    /// The name that the bundle of a model has in the cache.
    pub(crate) fn bundle_name(&self, source: &ModelSource, options: &BundleOptions) -> Result<String> {
        Bundle::name_of(&source.clone().resolved(&self.home)?, options)
    }

    /// Where the calibration of a model lies that is loaded so.
    ///
    /// # Errors
    /// As [`Engine::build`].
    pub fn calibration_file(&self, source: &ModelSource, options: &LoadOptions) -> Result<PathBuf> {
        self.file_of_calibration(source, &options.bundle(source))
    }

    fn file_of_calibration(&self, source: &ModelSource, options: &BundleOptions) -> Result<PathBuf> {
        let plain = BundleOptions { numbers: Some(Numbers::F32), calibration: None, ..options.clone() };
        Ok(self.home.join("calibrations").join(format!("{}.json", self.bundle_name(source, &plain)?)))
    }

    fn kept_calibration(&self, source: &ModelSource, options: &BundleOptions) -> Result<Calibration> {
        let path = self.file_of_calibration(source, options)?;
        if path.exists() { Calibration::read(&path) } else { Err(uncalibrated()) }
    }

    /// Loads a model: a path, the name of a model that maskline carries or that was pulled (`nano`), or a [`ModelSource`].
    ///
    /// # Errors
    /// As [`Engine::build`]; `Unavailable` if the provider is not there, `OverLimit` for more threads than 1024.
    pub fn load(&self, source: impl Into<ModelSource>, options: &LoadOptions) -> Result<Model> {
        let start = Instant::now();
        options.check()?;
        let source = source.into().resolved(&self.home)?;
        let bundle = self.build(source.clone(), &options.bundle(&source))?;
        let mut cold =
            ColdTimings { runtime_fetch: self.library.fetch_time(), runtime_load: self.library.load_time(), ..ColdTimings::default() };
        *(if bundle.built { &mut cold.build } else { &mut cold.model_read }) = start.elapsed();
        let opening = Opening { name: source.name(), bundle, options, workers: Workers::new(self.workers), cold, start };
        let model = Model::open(&self.library, opening).map_err(of_loading)?;
        if !model.was_cached() {
            // Its optimised graph lies beside it now. Where room cannot be made, the model is loaded all the same.
            let _ = self.cache.keep_to_limit();
        }
        Ok(model)
    }

    /// Opens any ONNX graph as one network, to be asked with tensors. Of the options, those for bundles and caches do not matter; what ONNX
    /// Runtime makes of the graph is not kept on disk.
    ///
    /// # Errors
    /// `BadInput` for a file that is missing or broken, and for a graph with a port that is no tensor of numbers; else as
    /// [`Engine::load`].
    pub fn graph(&self, path: &Path, options: &LoadOptions) -> Result<Part> {
        options.check()?;
        if !path.is_file() {
            return Err(missing(path));
        }
        Part::of_file(&self.library, path, options).map_err(of_loading)
    }
}

fn missing(path: &Path) -> Error {
    let error = Error::new(ErrorKind::BadInput, format!("no such model: {}", path.display())).about(Concern::Model);
    error.with_help("give the path of a checkpoint (.safetensors, .pt) or an ONNX export")
}

/// No picture has been asked about yet.
fn of_loading(error: Error) -> Error {
    if error.concerns() == Concern::Picture { error.about(Concern::Model) } else { error }
}
