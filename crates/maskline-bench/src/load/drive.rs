//! The two loops.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Call, Clock, ClosedLoop, Limit, MOST_CALLERS, OpenLoop, Record, Request, Target};
use crate::error::{Error, Result};

/// Runs a closed loop: latencies are from the start of each call.
///
/// # Errors
/// If there are no callers, or the target panics.
pub fn run_closed<T: Target>(target: &T, clock: &impl Clock, options: &ClosedLoop) -> Result<Record> {
    let beginning = clock.now();
    let next = |index: usize| {
        let now = clock.now();
        let goes_on = match options.limit {
            Limit::Calls(calls) => index < calls,
            Limit::Time(time) => now.saturating_sub(beginning) < time,
        };
        goes_on.then_some(now)
    };
    drive(target, clock, &Crew { what: "concurrency", threads: options.concurrency, beginning }, &next)
}

/// Runs an open loop: latencies are from the intended start of each call.
///
/// # Errors
/// If there are no workers, the arrivals do not rise, or the target panics.
pub fn run_open<T: Target>(target: &T, clock: &impl Clock, options: &OpenLoop) -> Result<Record> {
    if !options.arrivals.is_sorted() {
        return Err(Error::argument("arrivals", "rising times", "a time before its predecessor"));
    }
    let beginning = clock.now();
    let next = |index: usize| options.arrivals.get(index).map(|arrival| beginning.saturating_add(*arrival));
    drive(target, clock, &Crew { what: "workers", threads: options.workers, beginning }, &next)
}

/// Who makes the calls.
struct Crew {
    /// What the number of threads is called.
    what: &'static str,
    threads: usize,
    /// The start of the run.
    beginning: Duration,
}

/// Threads that take the next call, wait for its intended start as `next` gives it, and make it, until `next` gives none.
fn drive<T: Target>(target: &T, clock: &impl Clock, crew: &Crew, next: &(impl Fn(usize) -> Option<Duration> + Sync)) -> Result<Record> {
    let threads = crew.threads;
    if !(1..=MOST_CALLERS).contains(&threads) {
        return Err(Error::argument(crew.what, format!("1 to {MOST_CALLERS}"), threads));
    }
    let shared = Shared { beginning: crew.beginning, taken: AtomicUsize::new(0), messages: Mutex::default() };
    let calls = std::thread::scope(|scope| {
        // All take part before the first starts, or simulated time would leap without the rest.
        (0..threads).for_each(|_| clock.join());
        let shared = &shared;
        let caller = |caller: usize| scope.spawn(move || work(&Caller { target, clock, caller }, next, shared));
        let workers: Vec<_> = (0..threads).map(caller).collect();
        let results: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        results.into_iter().collect::<Result<Vec<_>, _>>().map_err(|_| Error::TargetPanicked)
    })?;
    let mut calls: Vec<Call> = calls.into_iter().flatten().collect();
    calls.sort_unstable_by_key(|call| call.index);
    Ok(Record { calls, messages: shared.messages.into_inner().unwrap_or_else(PoisonError::into_inner) })
}

/// What the threads of a run share.
struct Shared {
    beginning: Duration,
    taken: AtomicUsize,
    messages: Mutex<Vec<String>>,
}

/// Leaves the clock also when the target panics: otherwise the others would wait for ever.
struct TakingPart<'a, C: Clock>(&'a C);

impl<C: Clock> Drop for TakingPart<'_, C> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// One of the threads of a run.
struct Caller<'a, T, C> {
    target: &'a T,
    clock: &'a C,
    /// Its number.
    caller: usize,
}

fn work<T: Target, C: Clock>(own: &Caller<'_, T, C>, next: &impl Fn(usize) -> Option<Duration>, shared: &Shared) -> Vec<Call> {
    let Caller { target, clock, caller } = *own;
    let _part = TakingPart(clock);
    let since = |time: Duration| time.saturating_sub(shared.beginning);
    let mut calls = Vec::new();
    loop {
        let index = shared.taken.fetch_add(1, Ordering::Relaxed);
        let Some(intended) = next(index) else { return calls };
        if clock.now() < intended {
            clock.sleep_until(intended);
        }
        let request = Request { index, caller };
        let start = clock.now();
        let outcome = target.call(request);
        let end = clock.now();
        let is_ok = outcome.is_ok();
        calls.push(Call { index, input: target.input(request), intended: since(intended), start: since(start), end: since(end), is_ok });
        if let Err(error) = outcome {
            note(&shared.messages, &error);
        }
    }
}

fn note(messages: &Mutex<Vec<String>>, error: &impl std::fmt::Display) {
    const MOST: usize = 10;
    let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    if messages.len() < MOST {
        messages.push(error.to_string());
    }
}
