//! Requests and answers over HTTP: JSON, and the binary extension.

mod answer;
mod chunks;
mod data;
mod request;
mod service;
#[cfg(test)]
mod tests;

pub use answer::{Written, write};
pub use request::{Body, read};
pub(super) use request::{bad_size, datatype_of};
pub(crate) use service::routes;
pub(super) use service::{EXTENSIONS, no_shared_memory};

/// The header that tells how long the JSON is, where tensors follow it.
pub const HEADER_LENGTH: &str = "Inference-Header-Content-Length";
