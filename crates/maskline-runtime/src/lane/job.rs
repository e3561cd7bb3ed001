//! What is asked of a lane, and the handles of who asked.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Outputs;
use super::queue::Queue;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::SharedTensor;
use crate::tensor::{ElementType, Tensor};
use crate::waiting::Priority;

/// An input of a run.
#[derive(Debug, Clone)]
pub enum Input {
    /// For this run alone.
    Owned(Tensor),
    /// Lent to this run. Jobs that share the same tensor may run together.
    Shared(SharedTensor),
}

impl Input {
    pub(crate) fn element_type(&self) -> ElementType {
        match self {
            Self::Owned(tensor) => tensor.element_type(),
            Self::Shared(tensor) => tensor.element_type(),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
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

/// What a model is asked to compute: its inputs by name, until when, and how urgently.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) inputs: Vec<(String, Input)>,
    pub(super) deadline: Option<Instant>,
    pub(super) priority: Priority,
    pub(super) pace: Duration,
    pub(super) staying: Vec<String>,
}

impl Job {
    /// A job with these inputs, of normal priority and without a deadline.
    pub fn new<'a, I: Into<Input>>(inputs: impl IntoIterator<Item = (&'a str, I)>) -> Self {
        let inputs = inputs.into_iter().map(|(name, input)| (name.to_string(), input.into())).collect();
        Self { inputs, deadline: None, priority: Priority::default(), pace: Duration::ZERO, staying: Vec::new() }
    }

    /// Answered with `TimedOut` if its turn comes only then; what has begun is finished.
    #[must_use]
    pub fn with_deadline(self, deadline: impl Into<Option<Instant>>) -> Self {
        Self { deadline: deadline.into(), ..self }
    }

    /// Of what waits, the most urgent goes first, else in the order of asking; those that can run with it do so, whatever their priority.
    /// What is low can wait for ever where more urgent jobs keep coming: a deadline bounds it.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Lets these outputs stay where they are computed: in the device's memory, where the lane's provider has its own and there is room
    /// ([`LaneOptions::residence`](super::LaneOptions::residence)). Runs on the same device take them from there; who reads them fetches
    /// them. Of jobs that run together nothing stays.
    #[must_use]
    pub fn staying<'a>(self, outputs: impl IntoIterator<Item = &'a str>) -> Self {
        Self { staying: outputs.into_iter().map(str::to_owned).collect(), ..self }
    }

    /// Makes the run that it is in longer by this sleep, or by the longest of those that run together: for tests of what depends
    /// on time.
    #[must_use]
    pub fn with_pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }
}

pub(super) type Answer = Result<Outputs>;

/// What is called with the answer.
pub(super) type Reply = Box<dyn FnOnce(Answer) + Send>;

/// A job in the queue.
pub(super) struct Payload {
    /// In the order of the ports.
    pub(super) inputs: Vec<Input>,
    /// Names of outputs that may stay on the device.
    pub(super) staying: Vec<String>,
    pub(super) pace: Duration,
    pub(super) reply: Reply,
}

impl fmt::Debug for Payload {
    /// Without the inputs, which may be millions of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// A job under way. Dropping it before the job began takes the job out of the queue: nothing is run, and its reply is dropped
/// without a call. What has begun is answered all the same.
#[derive(Debug)]
#[must_use = "dropping it cancels the job; `detach` lets it go on"]
pub struct Ticket {
    queue: Option<Arc<Queue<Payload>>>,
    number: u64,
}

impl Ticket {
    pub(super) fn new(queue: Arc<Queue<Payload>>, number: u64) -> Self {
        Self { queue: Some(queue), number }
    }

    /// Whether the job still waits for its turn.
    pub fn is_queued(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_waiting(self.number))
    }

    /// Lets the job go on without a handle.
    pub fn detach(mut self) {
        self.queue = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.cancel(self.number);
        }
    }
}

/// A job under way whose answer is waited for. Dropping it before the job began spares its cost.
#[derive(Debug)]
#[must_use = "dropping it cancels the job"]
pub struct Pending {
    pub(super) answer: Receiver<Answer>,
    pub(super) ticket: Ticket,
    pub(super) model: Arc<str>,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What [`Lane::run`](super::Lane::run) returns.
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

    /// Whether the job still waits for its turn.
    pub fn is_queued(&self) -> bool {
        self.ticket.is_queued()
    }
}

pub(super) fn closed(model: &str) -> Error {
    Error::new(ErrorKind::Closed, "its session has ended").at(model)
}

pub(super) fn late(model: &str, asked: Instant) -> Error {
    let waited = format!("the deadline passed after {:.3} s in the queue", asked.elapsed().as_secs_f64());
    Error::new(ErrorKind::TimedOut, waited).at(model)
}
