//! maskline's server: warm models on protocols that clients already speak.
//!
//! It holds no model logic: requests become [`maskline::Request`]s and tickets, answers the form that a protocol has.

mod anylabeling;
mod app;
mod fault;
mod guard;
mod http;
mod label_studio;
mod listen;
mod models;
mod observe;
pub mod oip;
mod options;
mod page;
mod pictures;
mod rest;
mod server;
mod statistics;
mod video;

pub use guard::{Access, FetchRules, Key, Tls};
pub use label_studio::{LabelStudio, LabelStudioToken};
pub use observe::{LogFormat, Telling, Told, tell};
pub use options::{Limits, ModelSpec, Repository, ServerOptions, SpecSource, Times, VideoLimits};
pub use server::{Parts, Server, Stop};
