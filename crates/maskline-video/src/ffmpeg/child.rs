//! The process, which ends with whoever started it.

use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, ErrorKind, Result};

/// A child process that is killed, and waited for, when the last handle to it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Child(Arc<Owned>);

#[derive(Debug)]
struct Owned(Mutex<std::process::Child>);

/// Those of its streams that are pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: Option<ChildStdout>,
    pub(crate) told: Option<ChildStderr>,
}

/// Starts a command.
pub(crate) fn spawn(command: &mut Command) -> Result<(Pipes, Child)> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Failed, format!("ffmpeg does not start: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let pipes = Pipes { input: child.stdin.take(), output: child.stdout.take(), told: child.stderr.take() };
    Ok((pipes, Child(Arc::new(Owned(Mutex::new(child))))))
}

impl Child {
    /// Ends it now.
    pub(crate) fn kill(&self) {
        self.0.end();
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> Result<ExitStatus> {
        let failed = |error: std::io::Error| Error::new(ErrorKind::Failed, format!("the end of ffmpeg is not told: {error}"));
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).wait().map_err(failed)
    }
}

impl Owned {
    fn end(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Both fail only where it has ended and was waited for.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.end();
    }
}
