//! What X-AnyLabeling sends, and what it reads of the answers: its requests, field by field, over a socket.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

#[path = "../rest/client.rs"]
mod client;
#[path = "../video/clip.rs"]
mod clip;
mod predict;
#[path = "../rest/running.rs"]
mod running;
mod tool;
mod video;
