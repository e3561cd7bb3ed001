//! The making of a session: from the model or its optimised artefact, with its provider.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::compute::{Compute, has_fixed_shapes};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::{Faults, LaneOptions, ModelSource, OptimisationLevel};
use crate::provider::{Provider, ProviderShare, Settings, parse_placement};
use crate::threads::{Threads, usable_threads};
use crate::{Library, artefact, operators};

/// What ONNX Runtime fuses for its CPU kernels and runs slower than the parts: an addition with the normalisation that follows takes twice as
/// long as both. (Measured on the mask decoders, at 1 to 8 prompts: 7 to 10 % of all they take.)
const SLOWER: &str = "SkipLayerNormFusion";

/// Models above these sizes have no optimised file. It ends at 2 GB, and so a model in one piece must be smaller; of weights outside only those
/// that were changed (kernels of convolutions) are in it, the others are read where they are.
const LARGEST_GRAPH: u64 = 1_500_000_000;
const MOST_WEIGHTS: u64 = 4_000_000_000;

/// Why compiled models are not kept.
const NO_READER: &str = "this build of OpenVINO cannot read compiled models of processors back (it comes without libopenvino_ir_frontend): \
     each start compiles anew";

/// How a session is made.
#[derive(Clone, Copy)]
struct Making<'a> {
    level: OptimisationLevel,
    /// Where the optimised graph is written to, or compiled models are.
    save: Option<&'a Path>,
    /// Whether its runs are captured as CUDA graphs.
    capture: bool,
}

impl Making<'_> {
    fn plain(level: OptimisationLevel) -> Self {
        Self { level, save: None, capture: false }
    }
}

/// A session that is made, and how.
pub(crate) struct Opened {
    pub(crate) session: Compute,
    /// Whether it came from an optimised artefact.
    pub(crate) from_optimised: bool,
    /// Why its optimised graph is not on disk, where that was wished.
    pub(crate) unsaved: Option<String>,
    /// Whether there can be an artefact at all.
    pub(crate) is_kept: bool,
}

/// The making of a [`Session`].
pub(crate) struct Opening<'a> {
    library: &'a Arc<Library>,
    options: &'a LaneOptions,
    /// What errors of opening call the model: its file, for only there it can be mended.
    place: String,
    /// Threads of its own; `None` where it takes the shared ones.
    own_threads: Option<Threads>,
    shares: Arc<Mutex<Vec<ProviderShare>>>,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(library: &'a Arc<Library>, source: ModelSource<'_>, options: &'a LaneOptions) -> Self {
        let place = match source {
            ModelSource::File(path) => path.display().to_string(),
            ModelSource::Bytes(bytes) => format!("a model of {} bytes in memory", bytes.len()),
        };
        let takes_shared = options.threads == 0 && options.spinning;
        let own_threads = (!takes_shared).then(|| usable_threads(options.threads));
        Self { library, options, place, own_threads, shares: Arc::default() }
    }

    /// The threads inside an operator.
    pub(crate) fn threads(&self) -> Threads {
        self.own_threads.unwrap_or_else(|| self.library.threads())
    }

    pub(crate) fn open(&self, source: ModelSource<'_>) -> Result<Opened> {
        let opened = match (&self.options.provider, self.options.optimised.as_deref()) {
            (Provider::Cpu, Some(path)) if self.is_small_enough(source) => self.open_optimised(source, path)?,
            (Provider::OpenVino(options), Some(path)) if options.cache.is_none() => match options.reads_compiled(self.library) {
                true => self.open_compiled(source, path)?,
                false => Opened { unsaved: Some(NO_READER.into()), ..self.open_plain(source)? },
            },
            _ => self.open_plain(source)?,
        };
        let device = self.options.provider.device().or(self.options.faults.device());
        Ok(Opened { session: opened.session.on(device), ..opened })
    }

    fn open_plain(&self, source: ModelSource<'_>) -> Result<Opened> {
        let plain = || self.create(source, Making::plain(self.options.optimisation));
        let session = plain().or_else(|error| self.without_engines(error, &plain))?;
        Ok(Opened { session: self.captured(source, session)?, from_optimised: false, unsaved: None, is_kept: false })
    }

    /// From the optimised graph, or from the model with the optimised graph as a by-product.
    fn open_optimised(&self, source: ModelSource<'_>, path: &Path) -> Result<Opened> {
        if artefact::is_complete(path) {
            match self.create(ModelSource::File(path), Making::plain(OptimisationLevel::None)) {
                Ok(session) => return Ok(Opened { session: Compute::new(session), from_optimised: true, unsaved: None, is_kept: true }),
                // Complete but refused (another build of the runtime, say): made anew below.
                Err(_) => artefact::discard(path),
            }
        }
        self.open_and_save(source, artefact::Aside::file(path))
    }

    /// From the model, with the folder of what OpenVINO compiled of it: it looks there first, and writes what it does not find.
    fn open_compiled(&self, source: ModelSource<'_>, path: &Path) -> Result<Opened> {
        if artefact::is_complete(path) {
            let before = artefact::written(path);
            let session = self.create(source, Making { save: Some(path), ..Making::plain(self.options.optimisation) });
            // Where it did not find there what it looked for, or could not read it, it has written.
            let from_optimised = session.is_ok() && artefact::written(path) == before;
            if !from_optimised {
                artefact::discard(path);
            }
            if let Ok(session) = session {
                return Ok(Opened { session: Compute::new(session), from_optimised, unsaved: None, is_kept: true });
            }
        }
        self.open_and_save(source, artefact::Aside::folder(path))
    }

    /// A prebuilt cache may be read-only, and a disk full: neither keeps the model from running.
    fn open_and_save(&self, source: ModelSource<'_>, aside: Result<artefact::Aside<'_>>) -> Result<Opened> {
        let saved = aside.and_then(|aside| {
            let session = self.create(source, Making { save: Some(aside.path()), ..Making::plain(self.options.optimisation) })?;
            aside.commit()?;
            Ok(Compute::new(session))
        });
        match saved {
            Ok(session) => Ok(Opened { session, from_optimised: false, unsaved: None, is_kept: true }),
            Err(error) => Ok(Opened { unsaved: Some(error.to_string()), is_kept: true, ..self.open_plain(source)? }),
        }
    }

    /// A second attempt after a first one has failed, without the engines that TensorRT has kept: one that was cut off while it was written
    /// keeps it from starting.
    fn without_engines(&self, error: Error, again: &dyn Fn() -> Result<Session>) -> Result<Session> {
        let engines = artefact::engines(&self.options.provider, self.library, self.options.optimised.as_deref());
        match engines.filter(|folder| std::fs::remove_dir_all(folder).is_ok()) {
            Some(_) => again(),
            None => Err(error),
        }
    }

    /// A session in the place of this one that captures its runs as CUDA graphs, where that is wished and possible.
    fn captured(&self, source: ModelSource<'_>, session: Session) -> Result<Compute> {
        let Provider::Cuda(options) = &self.options.provider else { return Ok(Compute::new(session)) };
        if !options.cuda_graph || !has_fixed_shapes(&session) {
            return Ok(Compute::new(session));
        }
        // What it holds of the card's memory goes first.
        drop(session);
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let session = self.create(source, Making { capture: true, ..Making::plain(self.options.optimisation) })?;
        let Some(device) = self.options.provider.device() else { return Ok(Compute::new(session)) };
        Compute::in_place(session, &device).map_err(|error| self.failure(&error))
    }

    fn create(&self, source: ModelSource<'_>, making: Making<'_>) -> Result<Session> {
        let mut builder = self.builder(making).map_err(|error| self.failure(&error))?;
        let mut commit = || match source {
            ModelSource::File(path) => builder.commit_from_file(path),
            ModelSource::Bytes(bytes) => builder.commit_from_memory(bytes),
        };
        operators::one_first(&mut commit).map_err(|error| self.failure(&error))
    }

    fn builder(&self, making: Making<'_>) -> ort::Result<SessionBuilder> {
        let options = self.options;
        let level = match making.level {
            OptimisationLevel::None => GraphOptimizationLevel::Disable,
            OptimisationLevel::Extended => GraphOptimizationLevel::Level2,
            OptimisationLevel::All => GraphOptimizationLevel::All,
        };
        let builder = Session::builder(&self.library.environment)?.with_optimization_level(level)?;
        let mut builder = builder.with_operators(operators::domain()?)?;
        if let Some(threads) = self.own_threads {
            builder = builder.with_independent_thread_pool()?.with_intra_threads(threads.count)?.with_inter_threads(1)?;
            builder = builder.with_intra_op_spinning(options.spinning)?;
        }
        if let Some(path) = making.save.filter(|_| options.provider.is_cpu()) {
            builder = builder.with_optimized_model_path(path)?;
        }
        if let Some(path) = &options.profile {
            builder = builder.with_profiling(path)?;
        }
        if options.provider.is_cpu() {
            return builder.with_disabled_optimizers(SLOWER).map_err(Into::into);
        }
        let shares = Arc::clone(&self.shares);
        let logger: ort::logging::LoggerFunction = Arc::new(move |_, _, _, _, message| {
            if let Some(share) = parse_placement(message) {
                shares.lock().unwrap_or_else(PoisonError::into_inner).push(share);
            }
        });
        builder = builder.with_logger(logger)?.with_log_level(ort::logging::LogLevel::Verbose)?;
        let cache = match options.provider {
            Provider::OpenVino(_) => making.save,
            _ => options.optimised.as_deref(),
        };
        let engines = artefact::engines(&options.provider, self.library, options.optimised.as_deref());
        let settings = Settings { threads: self.threads().count, cache, engines: engines.as_deref(), capture: making.capture };
        Ok(builder.with_execution_providers(options.provider.dispatches(&settings))?)
    }

    fn failure(&self, error: &ort::Error) -> Error {
        if self.options.provider.is_cpu() {
            return Error::new(ErrorKind::InvalidModel, error.to_string()).at(&self.place);
        }
        let message = format!("the {} provider could not start: {error}", self.options.provider);
        Error::new(ErrorKind::ProviderUnavailable, message).at(&self.place).with_help(self.options.provider.start_help())
    }

    /// What the nodes were placed on; that the wished provider took none is an error, not a fall-back.
    pub(crate) fn providers(&self) -> Result<Vec<ProviderShare>> {
        let wished = &self.options.provider;
        if self.options.faults.are_any() {
            return Ok(vec![ProviderShare { name: Faults::PROVIDER.into(), nodes: None }]);
        }
        if wished.is_cpu() {
            return Ok(vec![ProviderShare { name: "cpu".into(), nodes: None }]);
        }
        let shares = std::mem::take(&mut *self.shares.lock().unwrap_or_else(PoisonError::into_inner));
        if shares.iter().any(|share| share.name == wished.name() && share.nodes != Some(0)) {
            return Ok(shares);
        }
        let names: Vec<&str> = shares.iter().map(|share| share.name.as_str()).collect();
        let message = format!("the {wished} provider took no node of the graph; placed on: {}", names.join(", "));
        Err(Error::new(ErrorKind::ProviderUnavailable, message).at(&self.place).with_help(wished.start_help()))
    }

    fn is_small_enough(&self, source: ModelSource<'_>) -> bool {
        let graph = match source {
            ModelSource::Bytes(bytes) => bytes.len() as u64,
            // A file that cannot be looked at cannot be opened either.
            ModelSource::File(path) => path.metadata().map_or(0, |facts| facts.len()),
        };
        graph < LARGEST_GRAPH && self.options.weights_bytes.unwrap_or(0) < MOST_WEIGHTS
    }
}
