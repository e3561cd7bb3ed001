//! The native interface, as clients meet it: over a socket, with bytes of their own.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod client;
mod export;
mod formats;
mod images;
mod inputs;
mod refusals;
mod running;
mod server;
mod streams;
mod words;
