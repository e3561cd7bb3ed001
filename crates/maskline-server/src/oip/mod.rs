//! The Open Inference Protocol, version 2, over HTTP and gRPC.
//!
//! [`http`] and [`grpc`] read requests into one form, [`InferRequest`], and write [`InferAnswer`]s: they know no models. What is asked so
//! is answered at one place, `infer`: networks take tensors as they are (`raw`), models of pictures what `high` makes of them.

mod counts;
mod datatype;
mod describe;
pub mod grpc;
mod high;
pub mod http;
mod infer;
mod message;
mod number;
mod raw;
mod repository;
mod tensor;
#[cfg(test)]
mod tests;

pub use datatype::Datatype;
pub use message::{AnswerOutput, InferAnswer, InferRequest, Parameter, Parameters, WantedOutput};
pub use tensor::{Description, Tensor};
