//! A worker from outside.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maskline::{Error, ErrorKind, Result};

use crate::machine::threads_of;
use crate::samples::milliseconds;
use crate::worker::{Assignment, Facts, Message, Order};

/// How this program is started as a [worker](crate::worker).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Arguments with which it calls [`serve`](crate::worker::serve).
    pub arguments: Vec<String>,
}

/// A provider that is to compute something in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trial<'a> {
    pub(super) provider: &'a str,
    /// ONNX Runtime, where the user names one.
    pub(super) runtime: Option<&'a Path>,
}

impl Launcher {
    /// Has a provider compute something, without the network.
    ///
    /// # Errors
    /// What the process says, or if it cannot be started.
    pub(super) fn compute(&self, trial: &Trial<'_>) -> Result<()> {
        let program = self.program.display();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["--try", trial.provider]).stdin(Stdio::null());
        if let Some(runtime) = trial.runtime {
            command.arg("--runtime").arg(runtime);
        }
        let output = command.output().map_err(|error| Error::new(ErrorKind::Failed, format!("{program}: {error}")))?;
        match serde_json::from_slice(&output.stdout) {
            Ok(Message::Computed) => Ok(()),
            Ok(Message::Failed { kind, message }) => Err(Error::new(kind, message)),
            // A library that cannot be loaded may take its process with it.
            _ => Err(Error::new(ErrorKind::Failed, format!("its process ended: {}", output.status))),
        }
    }
}

/// A process with a loaded model.
#[derive(Debug)]
pub struct Worker {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// How a start went.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// What was loaded.
    pub facts: Facts,
    /// The parts of the start in their order, in milliseconds; the last is what no other covers.
    pub stages: Vec<(String, f64)>,
    /// From the command to the first answer, as the caller sees it.
    pub first_result_ms: f64,
    /// From the command to readiness: the first answer is given, and nothing is left to warm up.
    pub ready_ms: f64,
    /// Most memory until then.
    pub peak_memory_bytes: Option<u64>,
    /// Most memory of a card until then, where that was watched and is told.
    pub device_memory_bytes: Option<u64>,
    /// The first answer.
    pub objects: serde_json::Value,
}

/// What a process says to an order, and what was seen of it meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// What it says.
    pub message: Message,
    /// Most threads that it had at a time; `None` where the system does not tell.
    pub threads: Option<usize>,
}

/// Most threads of a process until there is an end.
fn most_threads(process: u32, end: &mpsc::Receiver<()>) -> Option<usize> {
    const APART: Duration = Duration::from_millis(20);
    let mut most = None;
    loop {
        most = most.max(threads_of(process));
        if end.recv_timeout(APART) != Err(RecvTimeoutError::Timeout) {
            return most;
        }
    }
}

impl Worker {
    /// Starts a process; returns when its model is ready.
    ///
    /// # Errors
    /// If the process cannot be started, or what its start says.
    pub fn start(launcher: &Launcher, assignment: &Assignment) -> Result<(Self, Started)> {
        let name = assignment.source.name();
        let cannot = |error: std::io::Error| Error::new(ErrorKind::Failed, format!("{}: {error}", launcher.program.display()));
        let spawned = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Instant::now();
        let mut child = Command::new(&launcher.program)
            .args(&launcher.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let Some(output) = output else { return Err(Error::new(ErrorKind::Failed, format!("{name}: the process has no output"))) };
        let mut worker = Self { name, child, input, output: BufReader::new(output) };
        worker.say(assignment)?;
        let Message::First { facts, stages, began, objects } = worker.hear()? else { return Err(worker.unexpected()) };
        let first_result_ms = milliseconds(start.elapsed());
        let Message::Ready { warm_up_ms, peak_memory_bytes } = worker.hear()? else { return Err(worker.unexpected()) };
        let ready_ms = milliseconds(start.elapsed());
        // The one time that goes by the system's clock, as two processes share no other: a clock set back meanwhile would show as 0.
        let process_start = milliseconds(Duration::from_nanos(began).saturating_sub(spawned));
        let parts = std::iter::once(("process_start".to_owned(), process_start));
        let mut parts: Vec<(String, f64)> = parts.chain(stages).chain([("warm_up".to_owned(), warm_up_ms)]).collect();
        let covered: f64 = parts.iter().map(|part| part.1).sum();
        parts.push(("other".to_owned(), (ready_ms - covered).max(0.0)));
        let device_memory_bytes = None;
        let started = Started { facts: *facts, stages: parts, first_result_ms, ready_ms, peak_memory_bytes, device_memory_bytes, objects };
        Ok((worker, started))
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has an order done.
    ///
    /// # Errors
    /// What the process says, or if it has ended.
    pub fn order(&mut self, order: &Order) -> Result<Message> {
        self.say(order)?;
        self.hear()
    }

    /// As [`order`](Self::order), with an eye on the process meanwhile.
    ///
    /// # Errors
    /// As for [`order`](Self::order).
    pub fn order_watched(&mut self, order: &Order) -> Result<Watched> {
        let process = self.child.id();
        let (done, end) = mpsc::channel();
        std::thread::scope(|scope| {
            let watch = scope.spawn(move || most_threads(process, &end));
            let message = self.order(order);
            drop(done);
            // A watch that failed has seen nothing.
            let threads = watch.join().unwrap_or_default();
            Ok(Watched { message: message?, threads })
        })
    }

    /// Ends the process at once: nothing is under way in it, and taking a model down in order takes time.
    pub(super) fn kill(mut self) {
        // One that has ended already is as good.
        let _ = self.child.kill();
    }

    fn say(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        text.push(b'\n');
        let written = self.input.as_mut().is_some_and(|input| input.write_all(&text).and_then(|()| input.flush()).is_ok());
        if written { Ok(()) } else { Err(self.ended()) }
    }

    fn hear(&mut self) -> Result<Message> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) | Err(_) => Err(self.ended()),
            Ok(_) => match serde_json::from_str(&line) {
                Ok(Message::Failed { kind, message }) => Err(Error::new(kind, message)),
                Ok(message) => Ok(message),
                Err(error) => Err(Error::new(ErrorKind::Failed, format!("{}: the process said something else: {error}", self.name))),
            },
        }
    }

    pub(super) fn unexpected(&self) -> Error {
        Error::new(ErrorKind::Failed, format!("{}: the process answered another order", self.name))
    }

    fn ended(&mut self) -> Error {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let message = format!("{}: its process ended: {status}", self.name);
        Error::new(ErrorKind::Failed, message + "\n  help: a process that was killed often had too little memory: measure less at a time")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input ends it; one that is stuck must not keep us.
        drop(self.input.take());
        for _ in 0..200 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
