//! The parts of a model, and the lanes that run them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maskline_models::ModelInfo;
use maskline_runtime::{Input, Lane, LaneOptions, Library, ModelSource, Outputs, device_key};

use super::Call;
use crate::{Bundle, Delays, Error, ErrorKind, LoadOptions, Result, Stage, Stages};

/// What a driver opens its lanes from.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) library: Arc<Library>,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) options: LoadOptions,
    /// The model's name.
    pub(crate) name: Arc<str>,
}

impl Parts {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn info(&self) -> &ModelInfo {
        self.bundle.info()
    }

    pub(crate) fn delays(&self) -> Delays {
        self.options.delays
    }

    /// What the provider, runtime and processor of this process are, for names of files beside the bundle.
    pub(crate) fn device(&self) -> String {
        device_key(&self.options.provider, &self.library)
    }

    /// A file of the bundle's folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.bundle.directory.join(name)
    }

    /// Opens the lanes of a part, with its optimised graph beside it in the bundle.
    ///
    /// # Errors
    /// `Failed` if the bundle has no such part, `Unavailable` if the provider is not there.
    pub(crate) fn open(&self, part: &str) -> Result<Lanes> {
        let missing = || Error::new(ErrorKind::Failed, format!("{}: the bundle has no part `{part}`", self.name));
        let (_, file) = self.bundle.parts().find(|(name, _)| *name == part).ok_or_else(missing)?;
        let options = LaneOptions {
            name: Some(format!("{}.{part}", self.name)),
            provider: self.options.provider.clone(),
            threads: self.options.threads,
            queue: self.options.queue,
            optimised: (!self.bundle.has_half(part)).then(|| self.beside(&format!("{part}.{}.optimised.onnx", self.device()))),
            max_rows: self.options.together.unwrap_or(1),
            weights_bytes: self.bundle.weights_bytes(part),
            ..LaneOptions::default()
        };
        let open = |_| Lane::open(&self.library, ModelSource::File(&file), &options);
        let limit = self.options.together.unwrap_or(usize::MAX);
        Ok(Lanes { limit, lanes: (0..self.options.sessions.max(1)).map(open).collect::<Result<_, _>>()? })
    }

    /// The first part of the bundle.
    pub(crate) fn first(&self) -> Result<&str> {
        let first = self.bundle.parts().next().map(|(name, _)| name);
        first.ok_or_else(|| Error::new(ErrorKind::Failed, format!("{}: the bundle has no part", self.name)))
    }
}

/// The lanes of one part: at least one.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Most rows of several callers that may run together, whatever is fastest.
    limit: usize,
    lanes: Vec<Lane>,
}

impl Lanes {
    /// The first of them, which knows what all have in common.
    pub(crate) fn first(&self) -> &Lane {
        &self.lanes[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// So many rows of several callers may run together.
    pub(crate) fn set_max_rows(&self, rows: usize) {
        self.lanes.iter().for_each(|lane| lane.set_max_rows(rows.min(self.limit)));
    }

    /// Runs a call's inputs where the fewest wait, and tells in `stages` what that took, as the stage `network`.
    pub(crate) fn run<I: Into<Input>>(&self, inputs: Vec<(&str, I)>, network: Stage, call: &Call) -> Result<(Outputs, Stages)> {
        call.check()?;
        let start = Instant::now();
        let lane = self.lanes.iter().min_by_key(|lane| lane.queued()).unwrap_or(&self.lanes[0]);
        let answer = lane.run_held(call.job(inputs), |job| call.cancel.hold(job));
        call.cancel.release();
        // Taken out of the queue, a job fails in its own way.
        let outputs = answer.map_err(|error| call.check().err().unwrap_or_else(|| error.into()))?;
        let mut stages = Stages::default();
        stages.add_run(network, start.elapsed(), &outputs);
        Ok((outputs, stages))
    }
}

/// The lanes of a part that is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct LazyLanes {
    parts: Parts,
    part: &'static str,
    open: Mutex<Option<Arc<Lanes>>>,
}

impl LazyLanes {
    pub(crate) fn new(parts: &Parts, part: &'static str) -> Self {
        Self { parts: parts.clone(), part, open: Mutex::new(None) }
    }

    /// The lanes; opening them, or waiting for another thread that does, is told in `stages`.
    pub(crate) fn get(&self, stages: &mut Stages) -> Result<Arc<Lanes>> {
        let start = Instant::now();
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = start.elapsed();
        stages.spend(Stage::Queue, waited);
        if let Some(lanes) = &*slot {
            return Ok(Arc::clone(lanes));
        }
        let lanes = Arc::new(self.parts.open(self.part)?);
        *slot = Some(Arc::clone(&lanes));
        stages.spend(Stage::Open, start.elapsed().saturating_sub(waited));
        Ok(lanes)
    }
}
