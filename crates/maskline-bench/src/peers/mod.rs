//! Other programs on the same model, weights, pictures and threads, each in a process of its own.
//!
//! An [`Environment`] is a Python with a program's packages, which maskline makes in its own folder (or the one that the user names,
//! which is only read). A [`Worker`] is the program at work: it loads the model, says what that took, and answers one call after the
//! other. [`parity()`] compares its answers with maskline's. Which of the two is called when, and what the times mean, is for
//! the caller.
//!
//! ```no_run
//! use maskline_bench::peers::{Environment, EnvironmentOptions, Mode, PeerModel, Program, Request, Task, Worker};
//!
//! # fn run(bundle: maskline::Bundle) -> maskline_bench::peers::Result<()> {
//! let program = Program::OnnxRuntimePython;
//! let folder = std::env::temp_dir().join("peers");
//! let environment = Environment::prepare(program, &EnvironmentOptions::new(folder))?;
//! let task = Task::new(PeerModel::of_bundle(&bundle, None));
//! let mut worker = Worker::start(&environment, program, &task)?;
//! let prompts = [maskline::Prompt::bounds([10.0, 10.0, 200.0, 150.0])];
//! let request =
//!     Request { picture: "photo.png".as_ref(), mode: Mode::Miss, prompts: &prompts, words: None, multimask: maskline::Multimask::Auto };
//! let reply = worker.call(&request)?;
//! println!("ready after {:?}, then {} ms", worker.ready().total, reply.milliseconds);
//! # Ok(())
//! # }
//! ```

mod environment;
mod error;
mod parity;
mod process;
mod program;
mod python;
mod scripts;
mod task;
mod video;
mod worker;

#[cfg(test)]
mod effort_tests;
#[cfg(test)]
mod tests;

pub use environment::{Environment, EnvironmentOptions, Installed};
pub use error::{Error, ErrorKind, Result};
pub use parity::{lively_masks, parity};
pub use program::{Program, Step};
pub use task::{DetectOptions, Limits, PeerModel, Task};
pub use video::VideoPeer;
pub use worker::{Mode, Phrase, Ready, Reply, Request, Words, Worker};
