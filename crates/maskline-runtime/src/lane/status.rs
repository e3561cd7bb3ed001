//! What a lane says of what runs it: written by its threads, read by everybody.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::provider::ProviderShare;

/// The provider of a lane failed while it ran, and the CPU answers in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degraded {
    /// Short name of the provider that was wished for.
    pub wished: String,
    /// What it said.
    pub reason: String,
    /// When it failed.
    pub since: SystemTime,
    /// How often it was tried to come back since then, in vain.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: SystemTime,
}

#[derive(Debug)]
pub(super) struct Status(Mutex<State>);

#[derive(Debug)]
struct State {
    providers: Vec<ProviderShare>,
    degraded: Option<Degraded>,
    has_run: bool,
}

impl Status {
    pub(super) fn new(providers: Vec<ProviderShare>) -> Self {
        Self(Mutex::new(State { providers, degraded: None, has_run: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn providers(&self) -> Vec<ProviderShare> {
        self.lock().providers.clone()
    }

    pub(super) fn degraded(&self) -> Option<Degraded> {
        self.lock().degraded.clone()
    }

    pub(super) fn has_run(&self) -> bool {
        self.lock().has_run
    }

    pub(super) fn ran(&self) {
        self.lock().has_run = true;
    }

    /// The provider has failed, and what runs the lane now.
    pub(super) fn fell_back(&self, degraded: Degraded, providers: Vec<ProviderShare>) {
        let mut state = self.lock();
        (state.degraded, state.providers) = (Some(degraded), providers);
    }

    /// It was tried to come back, in vain; the next attempt comes after this pause.
    pub(super) fn tried(&self, pause: Duration) {
        if let Some(degraded) = &mut self.lock().degraded {
            degraded.attempts += 1;
            degraded.next_attempt = SystemTime::now() + pause;
        }
    }

    pub(super) fn came_back(&self, providers: Vec<ProviderShare>) {
        let mut state = self.lock();
        (state.degraded, state.providers) = (None, providers);
    }
}
