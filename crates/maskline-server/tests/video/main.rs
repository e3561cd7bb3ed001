//! Sessions that follow objects through videos, as clients meet them: over a socket.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

#[path = "../rest/client.rs"]
mod client;
mod clip;
mod frames;
mod lives;
mod objects;
mod refusals;
#[path = "../rest/running.rs"]
mod running;
