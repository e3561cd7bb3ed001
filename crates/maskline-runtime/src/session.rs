//! Sessions: a model on a thread of its own, fed by a bounded queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ort::session::SessionInputValue;
use ort::value::DynValue;

use crate::error::{Error, ErrorKind, Result};
use crate::library::check_loaded;
use crate::opening::{Opened, Opening, ports};
use crate::provider::ProviderShare;
use crate::tensor::{Element, ElementType, Tensor, TensorData, for_each_element};
use crate::threads::{Threads, usable_threads};
use crate::{Library, Provider};

/// Where the model is.
#[derive(Debug, Clone, Copy)]
pub enum ModelSource<'a> {
    /// An `.onnx` file, external data beside it.
    File(&'a Path),
    /// The content of an `.onnx` file without external data.
    Bytes(&'a [u8]),
}

/// How far ONNX Runtime rewrites the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptimisationLevel {
    /// Not at all.
    None,
    /// Fusions that suit every provider.
    Extended,
    /// Also the memory layout of convolutions.
    #[default]
    All,
}

/// Options of [`Session::open`].
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// What runs the model.
    pub provider: Provider,
    /// Threads inside an operator; 0 for one per core that this process may use. More than that are cut to it
    /// ([`usable_threads`](crate::usable_threads)), which [`Session::threads`] tells.
    pub threads: usize,
    /// Whether those threads spin while they wait: faster runs, busy cores.
    pub spinning: bool,
    /// How far the graph is rewritten.
    pub optimisation: OptimisationLevel,
    /// File for the optimised graph (also a folder name for compiled kernels of other providers): written by the first
    /// session, loaded by the next ones. Its name must carry [`device_key`](crate::device_key).
    pub optimised: Option<PathBuf>,
    /// Requests that may wait; who calls [`Session::run`] when so many do waits for room.
    pub queue: usize,
    /// Writes ONNX Runtime's profile to files with this prefix.
    pub profile: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            provider: Provider::Cpu,
            threads: 0,
            spinning: true,
            optimisation: OptimisationLevel::All,
            optimised: None,
            queue: 64,
            profile: None,
        }
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type, if it is one of ours.
    pub element_type: Option<ElementType>,
    /// Sizes; `None` where free.
    pub shape: Vec<Option<usize>>,
}

/// What opening a session took.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// Creating the session.
    pub create: Duration,
    /// Whether it came from an optimised artefact.
    pub from_optimised: bool,
}

/// A model that is ready to run. Dropping it ends its thread after the request in flight.
#[derive(Debug)]
pub struct Session {
    queue: Option<SyncSender<Job>>,
    owner: Option<JoinHandle<()>>,
    model: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    providers: Vec<ProviderShare>,
    cold: Cold,
    threads: Threads,
    unsaved: Option<String>,
}

type Answer = Result<Outputs>;

#[derive(Debug)]
struct Job {
    inputs: Vec<(String, Input)>,
    answer: SyncSender<Answer>,
    abandoned: Arc<AtomicBool>,
    asked: Instant,
}

/// A request under way. Dropping it before it started spares its cost.
#[derive(Debug)]
pub struct Pending {
    answer: Receiver<Answer>,
    abandoned: Arc<AtomicBool>,
    model: String,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What [`Session::run`] returns.
    pub fn wait(self) -> Answer {
        self.answer.recv().unwrap_or_else(|_| Err(closed(&self.model)))
    }

    /// Waits at most this long; `None` if the answer is not there yet.
    pub fn wait_for(&self, limit: Duration) -> Option<Answer> {
        match self.answer.recv_timeout(limit) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(closed(&self.model))),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

/// The outputs of one run, in ONNX Runtime's own memory.
#[derive(Debug)]
pub struct Outputs {
    values: Vec<(String, DynValue)>,
    /// From the request to the start of the run.
    pub queue: Duration,
    /// The run itself.
    pub run: Duration,
}

/// A tensor that many runs take as input, in ONNX Runtime's own memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedTensor {
    value: Arc<DynValue>,
    element_type: ElementType,
    shape: Vec<usize>,
}

impl SharedTensor {
    /// Takes over a tensor without copying it.
    ///
    /// # Errors
    /// `InvalidInput` if ONNX Runtime refuses it, `LibraryNotFound` before it is [loaded](crate::load).
    pub fn new(tensor: Tensor) -> Result<Self> {
        check_loaded()?;
        let (element_type, shape) = (tensor.element_type(), tensor.shape().to_vec());
        let refused = |error: ort::Error| Error::new(ErrorKind::InvalidInput, format!("a shared tensor: {error}")).with_source(error);
        Ok(Self { value: Arc::new(ort_value(tensor).map_err(refused)?), element_type, shape })
    }

    /// Size of every dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element_type.size()
    }

    /// The elements.
    ///
    /// # Errors
    /// `InvalidOutput` if they are of another type.
    pub fn view<T: Element>(&self) -> Result<View<'_, T>> {
        extract(&self.value, "a shared tensor")
    }
}

/// An input of a run.
#[derive(Debug, Clone)]
pub enum Input {
    /// For this run alone.
    Owned(Tensor),
    /// Lent to this run.
    Shared(SharedTensor),
}

impl Input {
    fn element_type(&self) -> ElementType {
        match self {
            Self::Owned(tensor) => tensor.element_type(),
            Self::Shared(tensor) => tensor.element_type(),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Owned(tensor) => tensor.shape(),
            Self::Shared(tensor) => tensor.shape(),
        }
    }
}

impl From<Tensor> for Input {
    fn from(tensor: Tensor) -> Self {
        Self::Owned(tensor)
    }
}

impl From<SharedTensor> for Input {
    fn from(tensor: SharedTensor) -> Self {
        Self::Shared(tensor)
    }
}

/// A tensor of [`Outputs`], not copied.
#[derive(Debug, Clone)]
pub struct View<'a, T> {
    /// Shape.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: &'a [T],
}

impl Outputs {
    /// Names in the order of the model.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| name.as_str())
    }

    /// An output.
    ///
    /// # Errors
    /// `InvalidOutput` if there is none of this name or it has another element type.
    pub fn view<T: Element>(&self, name: &str) -> Result<View<'_, T>> {
        let Some((_, value)) = self.values.iter().find(|(n, _)| n == name) else {
            let known: Vec<&str> = self.names().collect();
            return Err(Error::new(ErrorKind::InvalidOutput, format!("no output is called `{name}`; there are {}", known.join(", "))));
        };
        extract(value, &format!("output `{name}`"))
    }

    /// Takes an f32 output out, to be an input of other runs.
    ///
    /// # Errors
    /// As [`Outputs::view`].
    pub fn take(&mut self, name: &str) -> Result<SharedTensor> {
        let shape = self.f32(name)?.shape;
        // Found by the line above.
        let at = self.values.iter().position(|(n, _)| n == name).unwrap_or_default();
        let (_, value) = self.values.swap_remove(at);
        Ok(SharedTensor { value: Arc::new(value), element_type: ElementType::F32, shape })
    }

    /// An f32 output.
    ///
    /// # Errors
    /// As [`Outputs::view`].
    pub fn f32(&self, name: &str) -> Result<View<'_, f32>> {
        self.view(name)
    }
}

fn extract<'a, T: Element>(value: &'a DynValue, what: &str) -> Result<View<'a, T>> {
    let (shape, data) = value.try_extract_tensor::<T>().map_err(|error| {
        Error::new(ErrorKind::InvalidOutput, format!("{what}: expected a tensor of {}: {error}", T::TYPE)).with_source(error)
    })?;
    Ok(View { shape: shape.iter().map(|size| *size as usize).collect(), data })
}

impl Session {
    /// Opens a model: from its optimised artefact where there is one, else from the model, leaving the artefact behind.
    ///
    /// # Errors
    /// `ProviderUnavailable` if the library has not the provider or it cannot start, `InvalidModel` if the model is broken.
    pub fn open(library: &Arc<Library>, source: ModelSource<'_>, options: &SessionOptions) -> Result<Self> {
        options.provider.check(library)?;
        let start = Instant::now();
        let model = match source {
            ModelSource::File(path) => path.display().to_string(),
            ModelSource::Bytes(bytes) => format!("a model of {} bytes in memory", bytes.len()),
        };
        let threads = usable_threads(options.threads);
        let opening = Opening { library, options, model: &model, threads: threads.count, shares: Arc::default() };
        let Opened { session, from_optimised, unsaved } = opening.open(source)?;
        let cold = Cold { create: start.elapsed(), from_optimised };
        let (inputs, outputs) = (ports(session.inputs()), ports(session.outputs()));
        let providers = opening.providers()?;
        let (queue, jobs) = sync_channel(options.queue.max(1));
        let (owned_model, names) = (model.clone(), outputs.iter().map(|port| port.name.clone()).collect());
        let owner = std::thread::Builder::new()
            .name("maskline-session".into())
            .spawn(move || Owner { session, model: owned_model, outputs: names }.serve(&jobs))
            .map_err(|error| Error::new(ErrorKind::Io, format!("no thread could be started: {error}")))?;
        Ok(Self { queue: Some(queue), owner: Some(owner), model, inputs, outputs, providers, cold, threads, unsaved })
    }

    /// Inputs in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs in order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// What really runs the nodes, as ONNX Runtime reported it.
    pub fn providers(&self) -> &[ProviderShare] {
        &self.providers
    }

    /// What opening took.
    pub fn cold(&self) -> Cold {
        self.cold
    }

    /// The threads inside an operator, and whether more were asked for.
    pub fn threads(&self) -> Threads {
        self.threads
    }

    /// Why the optimised graph could not be written where [`SessionOptions::optimised`] says, so that the next start makes it again;
    /// `None` where it lies there, or none was wanted. On a read-only disk this is no error.
    pub fn unsaved(&self) -> Option<&str> {
        self.unsaved.as_deref()
    }

    /// Queues a request.
    ///
    /// # Errors
    /// `InvalidInput` if the inputs are not the model's, `QueueFull` if too many wait.
    pub fn submit<I: Into<Input>>(&self, inputs: Vec<(&str, I)>) -> Result<Pending> {
        let (job, pending) = self.job(inputs)?;
        match self.queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => Ok(pending),
            Some(Err(TrySendError::Full(_))) => Err(Error::new(ErrorKind::QueueFull, format!("{}: too many requests wait", self.model))),
            _ => Err(closed(&self.model)),
        }
    }

    /// Runs the model and waits for the answer; where too many requests wait already, first for room among them.
    ///
    /// # Errors
    /// `InvalidInput` if the inputs are not the model's; `RunFailed` with ONNX Runtime's words.
    pub fn run<I: Into<Input>>(&self, inputs: Vec<(&str, I)>) -> Result<Outputs> {
        let (job, pending) = self.job(inputs)?;
        match self.queue.as_ref().map(|queue| queue.send(job)) {
            Some(Ok(())) => pending.wait(),
            _ => Err(closed(&self.model)),
        }
    }

    fn job<I: Into<Input>>(&self, inputs: Vec<(&str, I)>) -> Result<(Job, Pending)> {
        let inputs: Vec<(&str, Input)> = inputs.into_iter().map(|(name, input)| (name, input.into())).collect();
        self.check(&inputs)?;
        let (sender, answer) = sync_channel(1);
        let abandoned = Arc::new(AtomicBool::new(false));
        let inputs = inputs.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
        let job = Job { inputs, answer: sender, abandoned: Arc::clone(&abandoned), asked: Instant::now() };
        Ok((job, Pending { answer, abandoned, model: self.model.clone() }))
    }

    fn check(&self, inputs: &[(&str, Input)]) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, format!("{}: {message}", self.model)));
        for port in &self.inputs {
            let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == port.name) else {
                return invalid(format!("input `{}` is missing", port.name));
            };
            if port.element_type != Some(tensor.element_type()) {
                let expected = port.element_type.map_or("another type".into(), |e| e.to_string());
                return invalid(format!("input `{}`: expected {expected}, found {}", port.name, tensor.element_type()));
            }
            let fits = port.shape.len() == tensor.shape().len()
                && port.shape.iter().zip(tensor.shape()).all(|(expected, found)| expected.is_none_or(|size| size == *found));
            if !fits {
                let expected: Vec<String> = port.shape.iter().map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
                return invalid(format!("input `{}`: expected [{}], found {:?}", port.name, expected.join(", "), tensor.shape()));
            }
        }
        match inputs.iter().find(|(name, _)| self.inputs.iter().all(|port| port.name != *name)) {
            Some((name, _)) => invalid(format!("it has no input `{name}`")),
            None => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(owner) = self.owner.take() {
            // A panic of the owner was already answered with an error.
            let _ = owner.join();
        }
    }
}

fn closed(model: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("{model}: its session has ended"))
}

/// The thread that owns a session.
struct Owner {
    session: ort::session::Session,
    model: String,
    outputs: Vec<String>,
}

impl Owner {
    fn serve(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            if job.abandoned.load(Ordering::Relaxed) {
                continue;
            }
            let queue = job.asked.elapsed();
            let inputs = job.inputs;
            let run = std::panic::AssertUnwindSafe(|| self.run(inputs, queue));
            let answer = std::panic::catch_unwind(run)
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::RunFailed, format!("{}: the run panicked", self.model))));
            // A caller that has gone needs no answer.
            let _ = job.answer.send(answer);
        }
    }

    fn run(&mut self, inputs: Vec<(String, Input)>, queue: Duration) -> Answer {
        let start = Instant::now();
        let failed = |error: ort::Error| Error::new(ErrorKind::RunFailed, format!("{}: {error}", self.model)).with_source(error);
        let mut shared = Vec::new();
        let mut values: Vec<(String, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            match input {
                Input::Owned(tensor) => values.push((name, ort_value(tensor).map_err(failed)?.into())),
                Input::Shared(tensor) => shared.push((name, tensor.value)),
            }
        }
        values.extend(shared.iter().map(|(name, value)| (name.clone(), value.as_ref().into())));
        let mut found = self.session.run(values).map_err(failed)?;
        let values = self.outputs.iter().filter_map(|name| found.remove(name).map(|value| (name.clone(), value))).collect();
        Ok(Outputs { values, queue, run: start.elapsed() })
    }
}

/// Hands the elements to ONNX Runtime without copying them.
fn ort_value(tensor: Tensor) -> ort::Result<DynValue> {
    let (shape, data) = tensor.into_parts();
    macro_rules! convert {
        ($(($variant:ident, $type:ty, $name:literal, $ort:ident))*) => {
            match data { $(TensorData::$variant(data) => ort::value::Tensor::from_array((shape, data)).map(|t| t.into_dyn()),)* }
        };
    }
    for_each_element!(convert)
}
