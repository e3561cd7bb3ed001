//! The making of a session: from the model or its optimised artefact, with its provider.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::ValueType;

use crate::error::{Error, ErrorKind, Result};
use crate::provider::{ProviderShare, Settings, parse_placement};
use crate::session::{ModelSource, OptimisationLevel, Port, SessionOptions};
use crate::tensor::ElementType;
use crate::{Library, artefact};

/// Models above this size are not written as one optimised file: the format ends at 2 GB.
const LARGEST_ARTEFACT: u64 = 1_500_000_000;

/// A session that is made, and how.
pub(crate) struct Opened {
    pub(crate) session: ort::session::Session,
    /// Whether it came from an optimised artefact.
    pub(crate) from_optimised: bool,
    /// Why its optimised graph is not on disk, where that was wished.
    pub(crate) unsaved: Option<String>,
}

/// The making of an [`ort::session::Session`].
pub(crate) struct Opening<'a> {
    pub(crate) library: &'a Arc<Library>,
    pub(crate) options: &'a SessionOptions,
    /// What errors call the model.
    pub(crate) model: &'a str,
    /// As many as there may be.
    pub(crate) threads: usize,
    pub(crate) shares: Arc<Mutex<Vec<ProviderShare>>>,
}

impl Opening<'_> {
    pub(crate) fn open(&self, source: ModelSource<'_>) -> Result<Opened> {
        let plain = || self.create(source, self.options.optimisation, None);
        let Some(path) = self.options.optimised.as_deref().filter(|_| self.options.provider.is_cpu() && small_enough(source)) else {
            return Ok(Opened { session: plain()?, from_optimised: false, unsaved: None });
        };
        if artefact::is_complete(path) {
            match self.create(ModelSource::File(path), OptimisationLevel::None, None) {
                Ok(session) => return Ok(Opened { session, from_optimised: true, unsaved: None }),
                // Complete but refused (another build of the runtime, say): made anew below.
                Err(_) => artefact::discard(path),
            }
        }
        // A prebuilt cache may be read-only, and a disk full: neither keeps the model from running.
        match self.create_and_save(source, path) {
            Ok(session) => Ok(Opened { session, from_optimised: false, unsaved: None }),
            Err(error) => Ok(Opened { session: plain()?, from_optimised: false, unsaved: Some(error.to_string()) }),
        }
    }

    fn create_and_save(&self, source: ModelSource<'_>, path: &Path) -> Result<ort::session::Session> {
        let aside = artefact::Aside::new(path)?;
        let session = self.create(source, self.options.optimisation, Some(aside.path()))?;
        aside.commit()?;
        Ok(session)
    }

    fn create(&self, source: ModelSource<'_>, level: OptimisationLevel, save: Option<&Path>) -> Result<ort::session::Session> {
        let mut builder = self.builder(level, save).map_err(|error| self.failure(&error))?;
        match source {
            ModelSource::File(path) => builder.commit_from_file(path),
            ModelSource::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
        .map_err(|error| self.failure(&error))
    }

    fn builder(&self, level: OptimisationLevel, save: Option<&Path>) -> ort::Result<SessionBuilder> {
        let options = self.options;
        let level = match level {
            OptimisationLevel::None => GraphOptimizationLevel::Disable,
            OptimisationLevel::Extended => GraphOptimizationLevel::Level2,
            OptimisationLevel::All => GraphOptimizationLevel::All,
        };
        let mut builder = ort::session::Session::builder(&self.library.environment)?
            .with_intra_threads(self.threads)?
            .with_inter_threads(1)?
            .with_optimization_level(level)?
            .with_intra_op_spinning(options.spinning)?;
        if let Some(path) = save {
            builder = builder.with_optimized_model_path(path)?;
        }
        if let Some(path) = &options.profile {
            builder = builder.with_profiling(path)?;
        }
        if options.provider.is_cpu() {
            return Ok(builder);
        }
        let shares = Arc::clone(&self.shares);
        let logger: ort::logging::LoggerFunction = Arc::new(move |_, _, _, _, message| {
            if let Some(share) = parse_placement(message) {
                shares.lock().unwrap_or_else(PoisonError::into_inner).push(share);
            }
        });
        builder = builder.with_logger(logger)?.with_log_level(ort::logging::LogLevel::Verbose)?;
        let settings = Settings { threads: self.threads, cache: options.optimised.as_deref() };
        Ok(builder.with_execution_providers(options.provider.dispatches(&settings))?)
    }

    fn failure(&self, error: &ort::Error) -> Error {
        if self.options.provider.is_cpu() {
            return Error::new(ErrorKind::InvalidModel, format!("{}: {error}", self.model));
        }
        let message = format!("{}: the {} provider could not start: {error}", self.model, self.options.provider);
        Error::new(ErrorKind::ProviderUnavailable, message).with_help(self.options.provider.way_out())
    }

    /// What the nodes were placed on; that the wished provider took none is an error, not a fall-back.
    pub(crate) fn providers(&self) -> Result<Vec<ProviderShare>> {
        let wished = &self.options.provider;
        if wished.is_cpu() {
            return Ok(vec![ProviderShare { name: "cpu".into(), nodes: None }]);
        }
        let shares = std::mem::take(&mut *self.shares.lock().unwrap_or_else(PoisonError::into_inner));
        if shares.iter().any(|share| share.name == wished.name() && share.nodes != Some(0)) {
            return Ok(shares);
        }
        let names: Vec<&str> = shares.iter().map(|share| share.name.as_str()).collect();
        let message = format!("{}: the {wished} provider took no node of the graph; placed on: {}", self.model, names.join(", "));
        Err(Error::new(ErrorKind::ProviderUnavailable, message).with_help(wished.way_out()))
    }
}

fn small_enough(source: ModelSource<'_>) -> bool {
    match source {
        ModelSource::Bytes(bytes) => (bytes.len() as u64) < LARGEST_ARTEFACT,
        ModelSource::File(path) => {
            // External data lies beside the model; whatever else does, too much of it only costs the artefact.
            let folder = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
            let beside: u64 =
                folder.into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok()).map(|facts| facts.len()).sum();
            beside < LARGEST_ARTEFACT
        }
    }
}

/// The inputs or outputs of a session.
pub(crate) fn ports(outlets: &[ort::value::Outlet]) -> Vec<Port> {
    outlets
        .iter()
        .map(|outlet| {
            let (element_type, shape) = match outlet.dtype() {
                ValueType::Tensor { ty, shape, .. } => {
                    (ElementType::from_ort(*ty), shape.iter().map(|size| usize::try_from(*size).ok()).collect())
                }
                _ => (None, Vec::new()),
            };
            Port { name: outlet.name().into(), element_type, shape }
        })
        .collect()
}
