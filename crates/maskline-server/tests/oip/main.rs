//! The Open Inference Protocol as clients meet it: over HTTP byte by byte, and over gRPC by the client that is made from the protocol.
#![allow(clippy::unwrap_used)]

mod grpc;
mod http;
mod pictures;
mod pressure;
mod repository;
mod server;
mod wire;
