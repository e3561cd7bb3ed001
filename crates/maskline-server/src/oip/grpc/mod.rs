//! Requests and answers over gRPC.

mod answer;
mod described;
mod health;
mod request;
mod service;
#[cfg(test)]
mod tests;

pub use answer::write;
pub use request::read;
pub(crate) use service::routes;

/// The protocol's messages and service, as `proto/inference.proto` describes them.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
pub mod proto {
    tonic::include_proto!("inference");
}
