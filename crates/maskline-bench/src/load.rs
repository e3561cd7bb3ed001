//! Calls on a target, one after another or as requests arrive.
//!
//! A **closed loop** has a fixed number of callers, each of which waits for its answer before it asks again: throughput, and the latency that
//! one impatient caller sees. When the target stalls, so do the callers: the requests that would have come meanwhile are never made
//! and their waiting is in no figure ("coordinated omission", Gil Tene). An **open loop** has a schedule of arrivals that does not care how the
//! target is doing, and counts each latency **from the intended start**: what users of a server see.
//!
//! Time is a parameter: [`RealClock`] for measuring, [`VirtualClock`] for testing without waiting.

mod clock;
mod drive;
mod schedule;

use std::time::Duration;

pub use clock::{Clock, RealClock, VirtualClock};
pub use drive::{run_closed, run_open};
pub use schedule::{Arrivals, schedule};

use crate::samples::Sample;

/// Which call of a run is made, and who makes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request {
    /// Index of the call, from 0.
    pub index: usize,
    /// Number of the caller, from 0: of a closed loop's callers, or of the threads that make an open loop's calls.
    pub caller: usize,
}

/// What is under load. Calls come from several threads at once.
pub trait Target: Sync {
    /// Why a call failed.
    type Error: std::fmt::Display;

    /// Makes a call and waits for its answer.
    ///
    /// # Errors
    /// Whatever the target calls an error; it is counted, and the run goes on.
    fn call(&self, request: Request) -> Result<(), Self::Error>;

    /// Which input the call has: samples of different inputs may differ in time. One input by default.
    fn input(&self, _request: Request) -> u32 {
        0
    }
}

impl<F, E> Target for F
where
    F: Fn(usize) -> Result<(), E> + Sync,
    E: std::fmt::Display,
{
    type Error = E;

    fn call(&self, request: Request) -> Result<(), E> {
        self(request.index)
    }
}

/// When a closed loop ends. Calls under way are always finished and recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// After this many calls.
    Calls(usize),
    /// When this much time has passed: no call starts later.
    Time(Duration),
}

/// Most callers, and most threads that make the calls of an open loop.
pub const MOST_CALLERS: usize = 4096;

/// A fixed number of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedLoop {
    /// How many callers.
    pub concurrency: usize,
    /// When it ends.
    pub limit: Limit,
}

/// Calls at given times, whatever the target does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLoop {
    /// Intended starts from the start of the run, rising: see [`schedule`].
    pub arrivals: Vec<Duration>,
    /// Threads that make the calls. With all of them waiting for answers a call starts late, and its latency says so; give more than the target
    /// handles at a time, so that its queue is the target's own.
    pub workers: usize,
}

/// One call of a run. Times are from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its index.
    pub index: usize,
    /// Its input, as the target says.
    pub input: u32,
    /// When it should have started: in a closed loop, when it did.
    pub intended: Duration,
    /// When it started.
    pub start: Duration,
    /// When its answer, or error, came.
    pub end: Duration,
    /// Whether there was an answer.
    pub is_ok: bool,
}

/// What happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// All calls, by index.
    pub calls: Vec<Call>,
    /// What the first failed calls said, at most ten.
    pub messages: Vec<String>,
}

impl Record {
    /// The calls that were answered, with latencies from the intended start. Failed calls are counted by [`errors`](Self::errors) and have no
    /// latency: a target that refuses at once would look fast.
    pub fn samples(&self) -> Vec<Sample> {
        let sample = |call: &Call| Sample { start: call.intended, duration: call.end.saturating_sub(call.intended), input: call.input };
        self.calls.iter().filter(|call| call.is_ok).map(sample).collect()
    }

    /// Number of failed calls.
    pub fn errors(&self) -> usize {
        self.calls.iter().filter(|call| !call.is_ok).count()
    }

    /// Answers per second, from the first intended start to the last end; 0 for no time.
    pub fn rate(&self) -> f64 {
        let first = self.calls.iter().map(|call| call.intended).min().unwrap_or_default();
        let last = self.calls.iter().map(|call| call.end).max().unwrap_or_default();
        let seconds = last.saturating_sub(first).as_secs_f64();
        if seconds > 0.0 { (self.calls.len() - self.errors()) as f64 / seconds } else { 0.0 }
    }

    /// The longest that a call started after its intended start. In an open loop that lags without all workers being busy, the machine is
    /// too slow to make the load.
    pub fn lag(&self) -> Duration {
        self.calls.iter().map(|call| call.start.saturating_sub(call.intended)).max().unwrap_or_default()
    }
}
