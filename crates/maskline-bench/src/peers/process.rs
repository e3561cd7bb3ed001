//! A process that answers line by line, watched from outside.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::{Error, ErrorKind, Result};

/// Lines of stderr that are kept.
const LAST_LINES: usize = 12;
/// Characters of a kept line.
const LONGEST_LINE: usize = 300;
/// Bytes of an answer: some thousands of masks.
const LARGEST_ANSWER: u64 = 256 << 20;
/// How long a process may take to end by itself when its stdin is closed.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// A running process. It ends with this value.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    /// Written by a thread of its own: a process that does not read must not block us. `None` when it was ended.
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<Vec<u8>>,
    log: Log,
}

impl Process {
    /// Starts a command; `name` is what errors call it.
    pub(super) fn start(mut command: Command, name: &str) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
            Error::new(ErrorKind::Died, format!("{name} cannot be started: {error}\n  in   {program}"))
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(Error::new(ErrorKind::Died, format!("{name} has no pipes")));
        };
        let (requests, to_write) = mpsc::channel();
        let (to_read, answers) = mpsc::channel();
        std::thread::spawn(move || write_all(stdin, &to_write));
        std::thread::spawn(move || read_lines(stdout, &to_read));
        Ok(Self { name: name.to_owned(), child, requests: Some(requests), answers, log: Log::of(stderr) })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a message and waits for the answer, at most so long. After any error but `Failed` the process is ended.
    pub(super) fn ask(&mut self, message: &Value, limit: Duration) -> Result<Vec<u8>> {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        if self.requests.as_ref().is_none_or(|requests| requests.send(line).is_err()) {
            return Err(self.death("is not running"));
        }
        match self.answers.recv_timeout(limit) {
            Ok(answer) if answer.last() == Some(&b'\n') => Ok(answer),
            Ok(_) => Err(self.death("gave an answer that does not end")),
            Err(RecvTimeoutError::Disconnected) => Err(self.death("ended in the middle of its work")),
            Err(RecvTimeoutError::Timeout) => {
                self.end(Duration::ZERO);
                let message = format!("{} gave no answer within {:.1} s and was ended", self.name, limit.as_secs_f64());
                Err(Error::new(ErrorKind::TimedOut, message).log(&self.log.last()))
            }
        }
    }

    /// Ends the process, whose output is not to be trusted any more; why, with what it said last.
    pub(super) fn death(&mut self, what: &str) -> Error {
        let status = self.end(PATIENCE);
        let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
        Error::new(ErrorKind::Died, format!("{} {what}{status}", self.name)).log(&self.log.last())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it wrote to stderr last.
    pub(super) fn log(&self) -> Vec<String> {
        self.log.last()
    }

    /// Closes its stdin and waits so long for it to end before it is killed.
    fn end(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.requests = None;
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.log.wait();
                    return Some(status);
                }
                Ok(None) if start.elapsed() < patience => std::thread::sleep(POLL),
                Ok(None) | Err(_) => break,
            }
        }
        // It may have ended meanwhile; there is nothing left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.wait();
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(PATIENCE);
    }
}

fn write_all(mut stdin: impl Write, lines: &Receiver<Vec<u8>>) {
    while let Ok(line) = lines.recv() {
        // A process that is gone is noticed where its answer is missing.
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read_lines(stdout: impl Read, lines: &Sender<Vec<u8>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LARGEST_ANSWER).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if lines.send(line).is_err() => return,
            Ok(_) => {}
        }
    }
}

/// The end of what a process writes to stderr.
#[derive(Debug)]
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    fn of(stderr: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while matches!(reader.by_ref().take(1 << 16).read_until(b'\n', &mut line), Ok(length) if length > 0) {
                let text: String = String::from_utf8_lossy(&line).trim_end().chars().take(LONGEST_LINE).collect();
                line.clear();
                if text.trim().is_empty() {
                    continue;
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == LAST_LINES {
                    kept.pop_front();
                }
                kept.push_back(text);
            }
        });
        Self { lines, reader }
    }

    fn last(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Waits for the last lines of a process that has ended; not for ever, as its own children may hold the pipe.
    fn wait(&self) {
        let start = Instant::now();
        while !self.reader.is_finished() && start.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(POLL);
        }
    }
}
