//! The models of the server: which there are, in which state, and how they come and go.

mod load;
mod slot;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use maskline::{Answerer, Engine, Error, ErrorKind, Part};
use tokio::sync::Semaphore;

pub(crate) use slot::{Served, Slot, Turn};
pub(crate) use status::{State, Status};

use crate::fault::{Fault, Result};
use crate::options::{ModelSpec, Repository, SpecSource};
use crate::video::Sessions;

/// The models of the server.
pub(crate) struct Models {
    /// Once it is made.
    engine: OnceLock<Arc<Engine>>,
    repository: Arc<dyn Repository>,
    slots: RwLock<BTreeMap<String, Arc<Slot>>>,
    /// Building and opening take all cores: one model after another.
    loading: Arc<Semaphore>,
    queue: usize,
    /// Sessions that follow objects with these models.
    pub(crate) sessions: Arc<Sessions>,
}

/// What a name in a request means.
pub(crate) enum Named {
    /// A model, asked with pictures; or a graph, asked with tensors.
    Whole(Arc<Slot>),
    /// One network of a model, asked with tensors.
    Part { slot: Arc<Slot>, part: String },
}

impl Models {
    pub(crate) fn new(repository: Arc<dyn Repository>, queue: usize, sessions: Sessions) -> Self {
        let (loading, sessions) = (Arc::new(Semaphore::new(1)), Arc::new(sessions));
        Self { engine: OnceLock::new(), repository, slots: RwLock::default(), loading, queue, sessions }
    }

    /// The engine is there: models can be loaded.
    pub(crate) fn start(&self, engine: Arc<Engine>) {
        // A second one would be another engine beside the first.
        let _ = self.engine.set(engine);
    }

    fn engine(&self) -> maskline::Result<&Arc<Engine>> {
        self.engine.get().ok_or_else(|| Error::new(ErrorKind::Unavailable, "ONNX Runtime is not loaded yet"))
    }

    /// Adds a model that is not loaded yet.
    pub(crate) fn add(&self, spec: ModelSpec, is_required: bool) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(spec, is_required, self.queue));
        self.slots.write().unwrap_or_else(PoisonError::into_inner).insert(slot.name().to_owned(), Arc::clone(&slot));
        slot
    }

    /// All models that were named at the start, or loaded since, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Names of models that could be loaded, beside those of [`Models::all`].
    pub(crate) fn others(&self) -> Vec<String> {
        self.repository.names().into_iter().filter(|name| self.slot(name).is_none()).collect()
    }

    fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Whether every model that the server was started with answers.
    pub(crate) fn are_ready(&self) -> bool {
        // One that went idle comes back by itself, and one that is unloaded by request is missed by nobody.
        let is_ready = |slot: &Arc<Slot>| {
            let status = slot.status();
            let is_gone = status.state == State::Draining || status.is_idle || status.is_dismissed;
            !slot.is_required || status.state.answers() || is_gone
        };
        self.all().iter().all(is_ready)
    }

    /// The model of a name.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Slot>> {
        self.slot(name).ok_or_else(|| self.unknown(name))
    }

    /// The model or network of a name: `sam2.1-tiny`, `sam2.1-tiny.image_encoder`.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn named(&self, name: &str) -> Result<Named> {
        if let Some(slot) = self.slot(name) {
            return Ok(Named::Whole(slot));
        }
        let split = name.rsplit_once('.').and_then(|(model, part)| Some((self.slot(model)?, part)));
        let (slot, part) = split.ok_or_else(|| self.unknown(name))?;
        // Which networks a model has is known while it is loaded.
        match slot.served() {
            Some(served) if !part_names(&served).iter().any(|known| known == part) => Err(self.unknown(name)),
            _ => Ok(Named::Part { slot, part: part.to_owned() }),
        }
    }

    fn unknown(&self, name: &str) -> Fault {
        let names: Vec<String> = self.all().iter().map(|slot| slot.name().to_owned()).collect();
        let known = if names.is_empty() { "none is served".to_owned() } else { format!("served are {}", names.join(", ")) };
        let shown: String = name.chars().take(100).flat_map(char::escape_debug).collect();
        Fault::not_found(format!("unknown model `{shown}`")).with_help(known)
    }

    /// A place among the requests of a model; one that went idle is loaded first.
    ///
    /// # Errors
    /// `NotReady`, `Busy`.
    pub(crate) async fn enter(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Turn> {
        if slot.status().is_idle {
            self.load(slot).await?;
        }
        slot.enter()
    }

    /// Loads a model by its name, if need be one that was not named at the start.
    ///
    /// # Errors
    /// `NotFound`, and as loading it.
    pub(crate) async fn load_named(self: &Arc<Self>, name: &str) -> Result<()> {
        let slot = match self.slot(name) {
            Some(slot) => slot,
            None => self.add(self.repository.find(name).map_err(|error| self.unknown(name).with_help(error.to_string()))?, false),
        };
        self.load(&slot).await
    }

    /// Unloads the models that nobody asked for so long, and that no session follows objects with.
    pub(crate) async fn unload_idle(&self, keep_alive: Duration) {
        for slot in self.all() {
            if slot.idle() >= keep_alive && !self.sessions.has_of(slot.name()) {
                self.unload(&slot, true).await;
            }
        }
    }
}

/// The networks of what is served, by the names that requests give them after the model's. Those of a pair are its models', which are served
/// for themselves where somebody wants them.
pub(crate) fn part_names(served: &Served) -> Vec<String> {
    match served {
        Served::Asked(Answerer::One(model)) => model.part_names().into_iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A network of what is served. Opening it may take a while: not for a thread that serves connections.
///
/// # Errors
/// `NotFound`; as opening it.
pub(crate) fn part_of(served: &Served, part: &str) -> Result<Part> {
    match served {
        Served::Asked(Answerer::One(model)) => Ok(model.part(part)?),
        _ => Err(Fault::not_found(format!("no network `{part}`"))),
    }
}

impl SpecSource {
    /// The models in it.
    pub(crate) fn models(&self) -> Vec<&maskline::ModelSource> {
        match self {
            Self::One(model) => vec![model],
            Self::Pair { finder, segmenter } => vec![finder, segmenter],
            Self::Graph(_) => Vec::new(),
        }
    }
}
