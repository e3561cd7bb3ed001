//! What state a model is in.

use std::time::SystemTime;

use maskline::Error;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The life of a served model, in the order in which it is lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ModelState)]
pub(crate) enum State {
    /// Known, and not in memory.
    Unloaded,
    /// Its files are being fetched.
    Downloading,
    /// Its graphs are being made.
    Building,
    /// Its networks are being opened.
    Loading,
    /// Its networks run for the first time.
    Warming,
    /// It answers.
    Ready,
    /// It answers, from the CPU in place of the wished provider.
    Degraded,
    /// It answers what it accepted, and takes nothing more.
    Draining,
    /// It could not be loaded.
    Failed,
}

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Unloaded,
        Self::Downloading,
        Self::Building,
        Self::Loading,
        Self::Warming,
        Self::Ready,
        Self::Degraded,
        Self::Draining,
        Self::Failed,
    ];

    /// Stable name: that of JSON and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unloaded => "unloaded",
            Self::Downloading => "downloading",
            Self::Building => "building",
            Self::Loading => "loading",
            Self::Warming => "warming",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }

    /// Whether it answers.
    pub(crate) fn answers(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }

    /// Whether it is on its way to be ready.
    pub(crate) fn is_coming(self) -> bool {
        matches!(self, Self::Downloading | Self::Building | Self::Loading | Self::Warming)
    }
}

/// A state, since when, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// Why, or how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What it failed with.
    #[serde(skip)]
    pub(crate) error: Option<Box<Error>>,
    #[serde(skip)]
    pub(crate) since: SystemTime,
    /// Unloaded because nobody asked: the next request loads it.
    #[serde(skip)]
    pub(crate) is_idle: bool,
    /// Unloaded because somebody asked for that: nobody waits for it to be ready.
    #[serde(skip)]
    pub(crate) is_dismissed: bool,
}

impl Status {
    pub(crate) fn new(state: State) -> Self {
        Self { state, reason: None, error: None, since: SystemTime::now(), is_idle: false, is_dismissed: false }
    }

    /// It could not be loaded.
    pub(crate) fn failed(error: Error) -> Self {
        let status = Self::new(State::Failed).because(error.to_string());
        Self { error: Some(Box::new(error)), ..status }
    }

    #[must_use]
    pub(crate) fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}
