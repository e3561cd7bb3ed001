//! One model: its state, its networks while it is loaded, and who is using them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maskline::{Answerer, Answers, Error, ErrorKind, Model, Part, Request, Ticket};
use tokio::sync::{Notify, oneshot, watch};

use super::{State, Status};
use crate::fault::{Fault, Reason, Result};
use crate::options::ModelSpec;
use crate::statistics::Statistics;

/// What answers, while it is loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Served {
    /// Asked about pictures: a model, or a pair of them.
    Asked(Answerer),
    /// Takes tensors alone.
    Graph(Part),
}

impl Served {
    /// All models in it: of a pair the finder first; none of a graph.
    pub(crate) fn models(&self) -> Vec<&Model> {
        match self {
            Self::Asked(answerer) => answerer.models(),
            Self::Graph(_) => Vec::new(),
        }
    }

    /// The model that finds by itself or for words, or answers everything.
    pub(crate) fn first(&self) -> Option<&Model> {
        self.models().first().copied()
    }

    /// The model that takes prompts, where one does.
    pub(crate) fn prompted(&self) -> Option<&Model> {
        self.models().last().copied().filter(|model| model.info().takes_prompts())
    }

    /// What really runs the networks.
    pub(crate) fn provider(&self) -> String {
        let mut names: Vec<String> = self.models().into_iter().map(Model::provider).collect();
        if let Self::Graph(part) = self {
            names.push(part.provider());
        }
        names.dedup();
        names.join("+")
    }

    /// Why it answers from the CPU in place of the wished provider.
    pub(crate) fn degraded(&self) -> Option<String> {
        let told = |degradation: maskline::Degradation| format!("{}: {}", degradation.wished, degradation.reason);
        match self {
            Self::Graph(part) => part.degraded().map(told),
            Self::Asked(_) => self.models().into_iter().find_map(Model::degraded).map(told),
        }
    }

    /// Asks; dropping what is returned calls the request off.
    pub(crate) fn ask(&self, request: Request) -> Result<Asked> {
        let ticket = match self {
            Self::Asked(answerer) => answerer.ask(request)?,
            Self::Graph(part) => {
                let error = Error::new(ErrorKind::InvalidOption, format!("`{}` is a plain graph", part.name()));
                return Err(Fault::from(error).with_help("it takes tensors: POST /v2/models/…/infer"));
            }
        };
        let (sender, answers) = oneshot::channel();
        // Whoever has gone needs no answer.
        ticket.on_ready(move |outcome| drop(sender.send(outcome)));
        Ok(Asked { answers, _ticket: ticket })
    }
}

/// A question under way.
#[derive(Debug)]
pub(crate) struct Asked {
    answers: oneshot::Receiver<maskline::Result<Answers>>,
    _ticket: Ticket,
}

impl Asked {
    /// Waits for the answers.
    ///
    /// # Errors
    /// As [`Model::answer`].
    pub(crate) async fn answers(self) -> Result<Answers> {
        let gone = || Fault::new(Reason::Failed, Error::new(ErrorKind::Failed, "the engine gave no answer"));
        Ok(self.answers.await.map_err(|_| gone())??)
    }
}

/// A model of the server.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) spec: ModelSpec,
    /// Whether the server waits for it before it says that it is ready.
    pub(crate) is_required: bool,
    pub(crate) statistics: Arc<Statistics>,
    queue: usize,
    status: watch::Sender<Status>,
    served: Mutex<Option<Served>>,
    parts: Mutex<BTreeMap<String, Arc<Statistics>>>,
    under_way: AtomicUsize,
    /// Somebody has left.
    left: Notify,
    used: Mutex<Instant>,
}

impl Slot {
    /// A model that is not loaded; `queue` requests may be under way or wait.
    pub(crate) fn new(spec: ModelSpec, is_required: bool, queue: usize) -> Self {
        Self {
            spec,
            is_required,
            statistics: Arc::default(),
            queue,
            status: watch::Sender::new(Status::new(State::Unloaded)),
            served: Mutex::new(None),
            parts: Mutex::default(),
            under_way: AtomicUsize::new(0),
            left: Notify::new(),
            used: Mutex::new(Instant::now()),
        }
    }

    /// What requests call it.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its state now.
    pub(crate) fn status(&self) -> Status {
        let status = self.status.borrow().clone();
        match self.served().filter(|_| status.state == State::Ready).and_then(|served| served.degraded()) {
            Some(reason) => Status { state: State::Degraded, reason: Some(reason), ..status },
            None => status,
        }
    }

    /// Hears of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn set(&self, status: Status) {
        let reason = status.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
        tracing::info!(model = self.name(), state = status.state.name(), "{} is {}{reason}", self.name(), status.state.name());
        self.status.send_replace(status);
    }

    /// Takes on the loading, unless it is loaded, or somebody else is at it.
    pub(super) fn begin(&self) -> bool {
        self.status.send_if_modified(|status| {
            let begins = matches!(status.state, State::Unloaded | State::Failed);
            if begins {
                *status = Status::new(State::Loading).because("waits for its turn");
            }
            begins
        })
    }

    /// Takes on the unloading, unless it is not loaded.
    pub(super) fn end(&self) -> bool {
        self.status.send_if_modified(|status| {
            let ends = status.state == State::Ready;
            if ends {
                *status = Status::new(State::Draining);
            }
            ends
        })
    }

    /// What answers now.
    pub(crate) fn served(&self) -> Option<Served> {
        lock(&self.served).clone()
    }

    pub(super) fn serve(&self, served: Option<Served>) {
        *lock(&self.used) = Instant::now();
        *lock(&self.served) = served;
    }

    /// The account of one of its networks.
    pub(crate) fn part_statistics(&self, part: &str) -> Arc<Statistics> {
        Arc::clone(lock(&self.parts).entry(part.to_owned()).or_default())
    }

    /// Requests that are under way or wait.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// How long nobody has asked.
    pub(crate) fn idle(&self) -> Duration {
        if self.under_way() > 0 { Duration::ZERO } else { lock(&self.used).elapsed() }
    }

    /// A place among the requests of the model, which must be loaded.
    ///
    /// # Errors
    /// `NotReady` where it is not, `Busy` where too many are there.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Turn> {
        let status = self.status.borrow().clone();
        let served = self.served().filter(|_| status.state == State::Ready).ok_or_else(|| not_ready(self.name(), &status))?;
        let enters = |count: usize| (count < self.queue).then_some(count + 1);
        if self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enters).is_err() {
            // The words that clients of Triton know a full queue by.
            let message = format!("Exceeds maximum queue size: {} requests of `{}` wait already", self.queue, self.name());
            let error = Error::new(ErrorKind::Busy, message).with_help("ask again in a moment, or start the server with a larger --queue");
            return Err(error.into());
        }
        Ok(Turn { slot: Arc::clone(self), served })
    }

    /// Waits until nobody is there.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.under_way() == 0 {
                return;
            }
            left.await;
        }
    }
}

fn not_ready(name: &str, status: &Status) -> Fault {
    let why = status.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
    Fault::new(Reason::NotReady, Error::new(ErrorKind::Unavailable, format!("`{name}` is {}{why}", status.state.name())))
}

/// A place among the requests of a model. Dropping it leaves.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) slot: Arc<Slot>,
    pub(crate) served: Served,
}

impl Drop for Turn {
    fn drop(&mut self) {
        *lock(&self.slot.used) = Instant::now();
        self.slot.under_way.fetch_sub(1, Ordering::Relaxed);
        self.slot.left.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
