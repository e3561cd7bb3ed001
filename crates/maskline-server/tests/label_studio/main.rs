//! The machine learning backend, as Label Studio meets it: requests of its own, and pictures that only it gives out.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod answers;
#[path = "../rest/client.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod client;
mod connecting;
mod pictures;
mod requests;
#[path = "../rest/running.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod running;
mod studio;
mod words;
