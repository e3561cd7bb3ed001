//! What a model says when the provider that was wished for has failed it.

use std::time::SystemTime;

use maskline_runtime::Degraded;
use serde::Serialize;

/// The wished provider failed while the model ran, and the CPU answers in its place
/// ([`LoadOptions::degrade`](crate::LoadOptions::degrade)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Degradation {
    /// The part that it happened to.
    pub part: String,
    /// The provider that was wished for: `cuda`.
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

impl Degradation {
    pub(crate) fn of(part: String, degraded: Degraded) -> Self {
        let Degraded { wished, reason, since, attempts, next_attempt, .. } = degraded;
        Self { part, wished, reason, since, attempts, next_attempt }
    }
}
