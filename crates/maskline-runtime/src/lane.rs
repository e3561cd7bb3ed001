//! Lanes: a model on a thread of its own, fed by a bounded queue whose jobs may run together.
//!
//! The reply to a job is a callback, so that nobody needs a thread to wait. Jobs whose rows can be put under each other run as one,
//! as far as [`LaneOptions::max_rows`] allows it.

mod faults;
mod job;
mod joiner;
mod outputs;
mod owner;
mod plan;
mod queue;
mod recovery;
mod runner;
mod status;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use job::{Answer, Payload, Reply, closed, late};
use joiner::Description;
use owner::Owner;
use plan::Plan;
use queue::{Entry, Limits, Queue, Refusal};
use runner::Runner;
use status::Status;

pub use faults::Faults;
pub use job::{Input, Job, Pending, Ticket};
pub use outputs::{Outputs, RawView};
pub use status::Degraded;
pub use tally::{RunCount, Tally};

use crate::error::{Error, ErrorKind, Result};
use crate::opening::{Opened, Opening};
use crate::port::{Port, Ports};
use crate::provider::ProviderShare;
use crate::residence::Residence;
use crate::threads::Threads;
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

/// Options of [`Lane::open`].
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// What errors call the model; `None`: the file's stem.
    pub name: Option<String>,
    /// What runs the model.
    pub provider: Provider,
    /// Threads inside an operator; 0 for those that all such lanes share ([`LibraryOptions::threads`](crate::LibraryOptions::threads)).
    /// More than there are cores are cut ([`usable_threads`](crate::usable_threads)), which [`Lane::threads`] tells.
    pub threads: usize,
    /// Whether those threads spin while they wait: faster runs, busy cores. The shared ones do; a lane that does not want it gets
    /// threads of its own.
    pub spinning: bool,
    /// How far the graph is rewritten.
    pub optimisation: OptimisationLevel,
    /// File for the optimised graph, of other providers a folder for what they compile: written by the first lane, loaded by the next ones.
    /// Its name must carry [`device_key`](crate::device_key).
    pub optimised: Option<PathBuf>,
    /// Bytes of the weights outside the model's file, as they count against the largest model with an optimised graph; `None`: there are none.
    pub weights_bytes: Option<u64>,
    /// Jobs that may wait; who calls [`Lane::run`] when so many do waits for room.
    pub queue: usize,
    /// Rows that may run together; 1: every job runs alone. Only for models whose rows do not depend on each other. See
    /// [`Lane::set_max_rows`].
    pub max_rows: usize,
    /// How long a job may wait for others to run with, when nothing else is to be done.
    pub max_wait: Duration,
    /// Counts the lane's runs; several lanes can share it.
    pub tally: Arc<Tally>,
    /// What may stay on the provider's device between runs; lanes share it that take each other's outputs. By default nothing stays.
    pub residence: Arc<Residence>,
    /// What to do where the provider fails while the model runs; `None`: tell so.
    pub fallback: Option<Fallback>,
    /// Failures for tests; none by default.
    pub faults: Faults,
    /// Writes ONNX Runtime's profile to files with this prefix.
    pub profile: Option<PathBuf>,
}

impl Default for LaneOptions {
    fn default() -> Self {
        Self {
            name: None,
            provider: Provider::Cpu,
            threads: 0,
            spinning: true,
            optimisation: OptimisationLevel::All,
            optimised: None,
            weights_bytes: None,
            queue: 64,
            max_rows: 1,
            max_wait: Duration::ZERO,
            tally: Arc::default(),
            residence: Arc::default(),
            fallback: None,
            faults: Faults::default(),
            profile: None,
        }
    }
}

/// The CPU in the place of a provider that fails while the model runs: out of memory, a lost device. The job that failed is run again there,
/// as is all that follows, until the provider has opened and run the model again, which is tried after 1 s, 2 s, 4 s and so on up to 5
/// minutes. Jobs that run together and fail are run one by one first; a job that fails on the CPU too was at fault itself, and nothing
/// follows from it.
#[derive(Debug, Clone, Default)]
pub struct Fallback {
    /// [`LaneOptions::optimised`] of the CPU.
    pub optimised: Option<PathBuf>,
}

/// What opening a lane took.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// Creating the session.
    pub create: Duration,
    /// Whether it came from an optimised artefact.
    pub from_optimised: bool,
    /// Whether there can be one: else every start is like this one.
    pub is_kept: bool,
}

/// A model that is ready to run. Dropping it ends its thread after the run in flight; jobs that wait are answered with `Closed`.
#[derive(Debug)]
pub struct Lane {
    queue: Arc<Queue<Payload>>,
    owner: Option<JoinHandle<()>>,
    model: Arc<str>,
    ports: Ports,
    is_joinable: bool,
    status: Arc<Status>,
    cold: Cold,
    threads: Threads,
    unsaved: Option<String>,
    residence: Arc<Residence>,
}

impl Lane {
    /// Opens a model: from its optimised artefact where there is one, else from the model, leaving the artefact behind.
    ///
    /// # Errors
    /// `ProviderUnavailable` if the library has not the provider or it cannot start, `InvalidModel` if the model is broken.
    pub fn open(library: &Arc<Library>, source: ModelSource<'_>, options: &LaneOptions) -> Result<Self> {
        options.provider.check(library)?;
        let start = Instant::now();
        library.toolkit().prepare(&options.provider, library.path())?;
        let opening = Opening::new(library, source, options);
        let Opened { session, from_optimised, unsaved, is_kept } = opening.open(source)?;
        let cold = Cold { create: start.elapsed(), from_optimised, is_kept };
        let of = |outlets: &[ort::value::Outlet]| outlets.iter().map(Port::of).collect();
        let ports = Ports { inputs: of(session.session().inputs()), outputs: of(session.session().outputs()) };
        let (providers, threads) = (opening.providers()?, opening.threads());
        let limits = Limits { capacity: options.queue, max_rows: options.max_rows, max_wait: options.max_wait };
        let queue = Arc::new(Queue::new(limits));
        let model = short_name(source, options);
        let status = Arc::new(Status::new(providers));
        let runner = Runner::new(session, options, Plan::of(library, source, options), Arc::clone(&status));
        let tally = Arc::clone(&options.tally);
        let owner = Owner { runner, model: Arc::clone(&model), ports: ports.clone(), queue: Arc::clone(&queue), tally };
        let owner = std::thread::Builder::new()
            .name("maskline-lane".into())
            .spawn(move || owner.serve())
            .map_err(|error| Error::new(ErrorKind::Io, format!("no thread could be started: {error}")).at(&model).with_source(error))?;
        let is_joinable = ports.are_joinable();
        let residence = Arc::clone(&options.residence);
        Ok(Self { queue, owner: Some(owner), model, ports, is_joinable, status, cold, threads, unsaved, residence })
    }

    /// Inputs in order.
    pub fn inputs(&self) -> &[Port] {
        &self.ports.inputs
    }

    /// Outputs in order.
    pub fn outputs(&self) -> &[Port] {
        &self.ports.outputs
    }

    /// What really runs the nodes now, as ONNX Runtime reported it.
    pub fn providers(&self) -> Vec<ProviderShare> {
        self.status.providers()
    }

    /// Whether the CPU stands in for the wished provider ([`LaneOptions::fallback`]), and why.
    pub fn degraded(&self) -> Option<Degraded> {
        self.status.degraded()
    }

    /// What opening took.
    pub fn cold(&self) -> Cold {
        self.cold
    }

    /// The threads inside an operator, and whether more were asked for.
    pub fn threads(&self) -> Threads {
        self.threads
    }

    /// Why the optimised graph could not be written where [`LaneOptions::optimised`] says, so that the next start makes it again;
    /// `None` where it lies there, or none was wanted. On a read-only disk this is no error.
    pub fn unsaved(&self) -> Option<&str> {
        self.unsaved.as_deref()
    }

    /// Whether jobs can run together at all: the first size of every output and of some inputs is one free size with a name, and that
    /// name is nowhere else. Inputs without it must then be the same [`SharedTensor`](crate::SharedTensor).
    pub fn is_joinable(&self) -> bool {
        self.is_joinable
    }

    /// Rows that may run together from now on; see [`LaneOptions::max_rows`].
    pub fn set_max_rows(&self, rows: usize) {
        self.queue.set_max_rows(rows);
    }

    /// Whether a job was run yet.
    pub fn has_run(&self) -> bool {
        self.status.has_run()
    }

    /// Runs the model once on zeros, with 1 for free sizes. Nothing is run where those inputs would be larger than 2 GiB.
    ///
    /// # Errors
    /// As [`Lane::run`]; not where the model has free sizes and fails, since 1 need not be a size that it takes.
    pub fn warm_up(&self) -> Result<()> {
        self.warm_up_at(&[])
    }

    /// As [`Lane::warm_up`], with these sizes for the free ones of these names.
    ///
    /// # Errors
    /// As [`Lane::warm_up`].
    pub fn warm_up_at(&self, sizes: &[(&str, usize)]) -> Result<()> {
        let Some(inputs) = self.ports.zeros(sizes) else { return Ok(()) };
        let is_free = self.ports.inputs.iter().any(|port| port.shape.contains(&None));
        match self.run(Job::new(inputs)) {
            Err(error) if !(is_free && is_of_running(&error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Jobs that wait now, in the queue or for room in it.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Queues a job. `reply` is called with the answer on the lane's own thread, once, unless the ticket is dropped before the job
    /// began: it should only hand on, and never wait for this lane. A panic in it harms nobody.
    ///
    /// # Errors
    /// `InvalidInput` if the inputs are not the model's, `Busy` if too many wait: then `reply` is not called.
    pub fn submit(&self, job: Job, reply: impl FnOnce(Result<Outputs>) + Send + 'static) -> Result<Ticket> {
        let entry = self.entry(job, Instant::now(), Box::new(reply))?;
        let asked = entry.asked;
        let number = self.queue.try_push(entry).map_err(|refusal| self.refused(refusal, asked))?;
        Ok(Ticket::new(Arc::clone(&self.queue), number))
    }

    /// Queues a job whose answer is waited for later.
    ///
    /// # Errors
    /// As [`Lane::submit`].
    pub fn start(&self, job: Job) -> Result<Pending> {
        let (sender, answer) = sync_channel(1);
        // A caller that has gone needs no answer.
        let ticket = self.submit(job, move |outcome| drop(sender.send(outcome)))?;
        Ok(Pending { answer, ticket, model: Arc::clone(&self.model) })
    }

    /// Runs a job and waits for the answer; where too many wait already, first for room among them.
    ///
    /// # Errors
    /// `InvalidInput` if the inputs are not the model's; `TimedOut` if the job's deadline comes before its turn; `RunFailed` with
    /// ONNX Runtime's words, or `ProviderUnavailable` where it is the first run of a provider that nothing stands in for; `Closed`, also in a reply of this very lane, which would wait for itself.
    pub fn run(&self, job: Job) -> Answer {
        self.run_held(job, Ticket::detach)
    }

    /// As [`Lane::run`]. `hold` is handed the job's ticket: whoever drops it, on any thread, before the job began, takes it out of the
    /// queue, and this call fails with `Closed`.
    ///
    /// # Errors
    /// As [`Lane::run`].
    pub fn run_held(&self, job: Job, hold: impl FnOnce(Ticket)) -> Answer {
        let (asked, deadline) = (Instant::now(), job.deadline);
        if self.is_own_thread() {
            return Err(Error::new(ErrorKind::Closed, "a reply of the model waits for the model itself").at(&self.model));
        }
        let (sender, answer) = sync_channel(1);
        let entry = self.entry(job, asked, Box::new(move |outcome| drop(sender.send(outcome))))?;
        let number = self.queue.push(entry).map_err(|refusal| self.refused(refusal, asked))?;
        hold(Ticket::new(Arc::clone(&self.queue), number));
        let in_time = deadline.map(|deadline| answer.recv_timeout(deadline.saturating_duration_since(Instant::now())));
        match in_time {
            Some(Ok(answer)) => answer,
            // It is not waited for until a run ends that it is not part of.
            Some(Err(RecvTimeoutError::Timeout)) if self.queue.cancel(number) => Err(late(&self.model, asked)),
            _ => answer.recv().unwrap_or_else(|_| Err(closed(&self.model))),
        }
    }

    fn entry(&self, job: Job, asked: Instant, reply: Reply) -> Result<Entry<Payload>> {
        let Job { inputs, deadline, priority, pace, staying } = job;
        let inputs = self.ports.arrange(inputs).map_err(|error| error.at(&self.model))?;
        let description = Description::of(&inputs, &self.ports, self.is_joinable);
        let staying = if self.residence.is_open() { staying } else { Vec::new() };
        Ok(Entry { description, asked, deadline, priority, payload: Payload { inputs, staying, pace, reply } })
    }

    fn refused(&self, refusal: Refusal, asked: Instant) -> Error {
        match refusal {
            Refusal::Full => Error::new(ErrorKind::Busy, "too many requests wait").at(&self.model),
            Refusal::Closed => closed(&self.model),
            Refusal::Late => late(&self.model, asked),
        }
    }

    fn is_own_thread(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.thread().id() == std::thread::current().id())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let left = self.queue.close();
        for entry in left {
            owner::answer(entry.payload.reply, Err(closed(&self.model)));
        }
        let is_own = self.is_own_thread();
        // Dropped by a reply, the lane's own thread cannot wait for itself: it ends after this.
        if let Some(owner) = self.owner.take().filter(|_| !is_own) {
            // A panic of the owner was already answered with an error.
            let _ = owner.join();
        }
    }
}

/// Whether an error came of a run, the first of a provider among them.
fn is_of_running(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RunFailed | ErrorKind::ProviderUnavailable)
}

/// What errors call a model: no place in some cache.
fn short_name(source: ModelSource<'_>, options: &LaneOptions) -> Arc<str> {
    match (&options.name, source) {
        (Some(name), _) => name.as_str().into(),
        (None, ModelSource::File(path)) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into(),
        (None, ModelSource::Bytes(bytes)) => format!("a model of {} bytes in memory", bytes.len()).into(),
    }
}
