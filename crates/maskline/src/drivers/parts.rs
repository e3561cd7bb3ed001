//! The parts of a model, and the lanes that run them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use maskline_models::ModelInfo;
use maskline_runtime::{Fallback, Input, Lane, LaneOptions, Library, ModelSource, Outputs, Provider, Residence, Tally, device_key};

use super::Call;
use crate::limits::LARGEST_USUAL;
use crate::{Bundle, Degradation, Delays, Error, ErrorKind, LoadOptions, Observer, Result, Stage, Stages};

/// What a driver opens its lanes from. Cheap to clone: all clones share the lanes that are open.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) library: Arc<Library>,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) options: Arc<LoadOptions>,
    /// The model's name.
    name: Arc<str>,
    open: Arc<Mutex<BTreeMap<String, Slot>>>,
    /// Counts the runs of all lanes.
    pub(crate) tally: Arc<Tally>,
    /// What stays on the device.
    residence: Arc<Residence>,
}

/// A part that is open, or is being opened by who holds the lock.
type Slot = Arc<Mutex<Option<Arc<Lanes>>>>;

impl Parts {
    pub(crate) fn new(library: &Arc<Library>, bundle: Bundle, options: &LoadOptions, name: &str) -> Self {
        let (library, bundle, options) = (Arc::clone(library), Arc::new(bundle), Arc::new(options.clone()));
        let residence = Arc::new(Residence::new(options.device_embeddings));
        Self { library, bundle, options, name: name.into(), open: Arc::default(), tally: Arc::default(), residence }
    }

    /// What lanes of the model are opened with, whatever they run.
    pub(crate) fn lane(&self) -> LaneOptions {
        LaneOptions { residence: Arc::clone(&self.residence), ..self.options.lane() }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
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

    /// The lanes of a part, opened now where they are not open yet.
    ///
    /// # Errors
    /// `Failed` if the bundle has no such part, `Unavailable` if the provider is not there.
    pub(crate) fn open(&self, part: &str) -> Result<Arc<Lanes>> {
        self.lanes(part, &mut Stages::default())
    }

    /// As [`Parts::open`]; opening them, or waiting for another thread that does, is told in `stages`.
    fn lanes(&self, part: &str, stages: &mut Stages) -> Result<Arc<Lanes>> {
        let start = Instant::now();
        let slot = Arc::clone(locked(&self.open).entry(part.to_owned()).or_default());
        let mut slot = locked(&slot);
        let waited = start.elapsed();
        stages.spend(Stage::Queue, waited);
        if let Some(lanes) = &*slot {
            return Ok(Arc::clone(lanes));
        }
        let lanes = Arc::new(self.opened(part)?);
        *slot = Some(Arc::clone(&lanes));
        stages.spend(Stage::Open, start.elapsed().saturating_sub(waited));
        Ok(lanes)
    }

    /// New lanes of a part, with its optimised graph beside it in the bundle.
    fn opened(&self, part: &str) -> Result<Lanes> {
        let missing = || Error::new(ErrorKind::Failed, format!("{}: the bundle has no part `{part}`", self.name));
        let (_, file) = self.bundle.parts().find(|(name, _)| *name == part).ok_or_else(missing)?;
        let optimised = |provider: &Provider| {
            let name = || format!("{part}.{}.optimised.onnx", device_key(provider, &self.library));
            (!self.bundle.has_half(part)).then(|| self.beside(&name()))
        };
        let lane_options = LaneOptions {
            name: Some(format!("{}.{part}", self.name)),
            optimised: optimised(&self.options.provider),
            fallback: self.options.degrade.then(|| Fallback { optimised: optimised(&Provider::Cpu) }),
            weights_bytes: self.bundle.weights_bytes(part),
            tally: Arc::clone(&self.tally),
            ..self.lane()
        };
        let graph = Graph { name: part, file: ModelSource::File(&file), lane_options, options: &self.options };
        Ok(Lanes { _bundle: Some(Arc::clone(&self.bundle)), ..graph.open(&self.library)? })
    }

    /// The parts that are open now, in the order of the bundle.
    pub(crate) fn all_open(&self) -> Vec<Arc<Lanes>> {
        let slots: BTreeMap<String, Slot> = locked(&self.open).clone();
        // One that is just being opened is not open yet.
        let lanes = |name: &str| slots.get(name)?.try_lock().ok()?.clone();
        self.bundle.parts().filter_map(|(name, _)| lanes(name)).collect()
    }

    /// The first part of the bundle.
    pub(crate) fn first(&self) -> Result<&str> {
        let first = self.bundle.parts().next().map(|(name, _)| name);
        first.ok_or_else(|| Error::new(ErrorKind::Failed, format!("{}: the bundle has no part", self.name)))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept under these locks is put there in one piece.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network that is to be opened.
pub(crate) struct Graph<'a> {
    /// Short name of the part.
    pub(crate) name: &'a str,
    pub(crate) file: ModelSource<'a>,
    pub(crate) lane_options: LaneOptions,
    pub(crate) options: &'a LoadOptions,
}

impl Graph<'_> {
    pub(crate) fn open(&self, library: &Arc<Library>) -> Result<Lanes> {
        let open = |_| Lane::open(library, self.file, &self.lane_options);
        let limit = self.options.together.unwrap_or(usize::MAX);
        let lanes = (0..self.options.sessions.max(1)).map(open).collect::<Result<_, _>>()?;
        let largest = LARGEST_USUAL.into_iter().chain([("batch", self.options.together.unwrap_or(1))]);
        let largest = self.options.provider.compiles_shapes().then(|| largest.collect());
        Ok(Lanes { name: self.name.to_owned(), _bundle: None, limit, largest, lanes, observer: self.options.observer.clone() })
    }
}

/// The lanes of one part: at least one.
#[derive(Debug)]
pub(crate) struct Lanes {
    name: String,
    /// Where the part lies, which must stay there while it is in use.
    _bundle: Option<Arc<Bundle>>,
    /// Most rows of several callers that may run together, whatever is fastest.
    limit: usize,
    /// Where the provider compiles for ranges of shapes: the largest free sizes that are to come, by their names.
    largest: Option<Vec<(&'static str, usize)>>,
    lanes: Vec<Lane>,
    /// Hears what they see.
    observer: Option<Arc<Observer>>,
}

impl Lanes {
    /// Name of the part.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first of them, which knows what all have in common.
    pub(crate) fn first(&self) -> &Lane {
        &self.lanes[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// The one where the fewest wait.
    pub(crate) fn idlest(&self) -> &Lane {
        self.lanes.iter().min_by_key(|lane| lane.queued()).unwrap_or(&self.lanes[0])
    }

    /// What really runs them now, with repetitions.
    pub(crate) fn providers(&self) -> Vec<String> {
        self.lanes.iter().flat_map(Lane::providers).map(|share| share.name).collect()
    }

    /// Of those that the wished provider has failed, the first.
    pub(crate) fn degraded(&self) -> Option<Degradation> {
        let of = |lane: &Lane| Some(Degradation::of(self.name.clone(), lane.degraded()?));
        self.lanes.iter().find_map(of)
    }

    /// Runs those that have not run yet once on zeros, and all in the largest sizes for which they are to be compiled.
    pub(crate) fn warm_up(&self) -> Result<()> {
        self.lanes.iter().filter(|lane| !lane.has_run()).try_for_each(|lane| lane.warm_up())?;
        Ok(self.largest.iter().try_for_each(|sizes| self.lanes.iter().try_for_each(|lane| lane.warm_up_at(sizes)))?)
    }

    /// So many rows of several callers may run together.
    pub(crate) fn set_max_rows(&self, rows: usize) {
        self.lanes.iter().for_each(|lane| lane.set_max_rows(rows.min(self.limit)));
    }

    /// Runs a call's inputs where the fewest wait, and tells in `stages` what that took, as the stage `network`.
    pub(crate) fn run<I: Into<Input>>(&self, inputs: Vec<(&str, I)>, network: Stage, call: &Call) -> Result<(Outputs, Stages)> {
        self.run_staying(inputs, &[], network, call)
    }

    /// As [`Lanes::run`]. Outputs of these names may stay on the provider's device.
    pub(crate) fn run_staying<I: Into<Input>>(
        &self,
        inputs: Vec<(&str, I)>,
        staying: &[&str],
        network: Stage,
        call: &Call,
    ) -> Result<(Outputs, Stages)> {
        call.check()?;
        let start = Instant::now();
        let job = call.job(inputs).staying(staying.iter().copied());
        let answer = self.idlest().run_held(job, |job| call.cancel.hold(job));
        call.cancel.release();
        // Taken out of the queue, a job fails in its own way.
        let outputs = answer.map_err(|error| call.check().err().unwrap_or_else(|| error.into()))?;
        if let Some(observer) = &self.observer {
            observer.see(&self.name, &outputs)?;
        }
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
}

impl LazyLanes {
    pub(crate) fn new(parts: &Parts, part: &'static str) -> Self {
        Self { parts: parts.clone(), part }
    }

    /// The lanes; opening them, or waiting for another thread that does, is told in `stages`.
    pub(crate) fn get(&self, stages: &mut Stages) -> Result<Arc<Lanes>> {
        self.parts.lanes(self.part, stages)
    }
}
