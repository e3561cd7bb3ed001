//! Which model answers.

use std::sync::Arc;

use maskline::{Error, ErrorKind, ModelInfo};

use super::fields::Way;
use crate::app::App;
use crate::fault::{Fault, Result};
use crate::models::{Served, Slot, State};
use crate::video::following;

/// What a model must be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Answer prompts, or everything.
    Prompts,
    /// Find what words and examples say.
    Concepts,
    /// Find objects by itself.
    Objects,
    /// Name the whole picture.
    Classes,
    /// Keep pictures encoded.
    Embeddings,
    /// Follow objects from frame to frame.
    Video,
}

impl Need {
    /// Of a request that says what is looked for or does not.
    pub(super) fn of(way: Way, is_told: bool) -> Self {
        match way {
            Way::Segment => Self::Prompts,
            Way::Detect if is_told => Self::Concepts,
            Way::Detect => Self::Objects,
            Way::Classify => Self::Classes,
            Way::Embed => Self::Embeddings,
        }
    }

    /// Whether it is met.
    pub(crate) fn is_met(self, served: &Served) -> bool {
        let first = |is: fn(&ModelInfo) -> bool| served.first().is_some_and(|model| is(model.info()));
        match self {
            Self::Prompts => served.prompted().is_some(),
            Self::Concepts => first(|info| info.task.takes_concepts()),
            Self::Objects => first(|info| info.task.finds_boxes()),
            Self::Classes => first(|info| info.task.classifies()),
            Self::Embeddings => served.models().iter().any(|model| model.info().takes_prompts() || model.info().task.takes_concepts()),
            Self::Video => following(served).is_some(),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Prompts => "a model that takes prompts",
            Self::Concepts => "a model that finds what words and examples say",
            Self::Objects => "a model that finds objects by itself",
            Self::Classes => "a classifier",
            Self::Embeddings => "a model that keeps pictures encoded",
            Self::Video => "a model that remembers objects from frame to frame",
        }
    }

    /// Refuses a model that cannot do it.
    ///
    /// # Errors
    /// `BadRequest`.
    pub(crate) fn check(self, slot: &Slot, served: &Served) -> Result<()> {
        if self.is_met(served) {
            return Ok(());
        }
        let found = served.first().map_or("a plain graph", |model| model.info().task.noun());
        let error = Error::new(ErrorKind::InvalidOption, format!("`{}`", slot.name())).expecting(self.noun()).but_found(found);
        let help = match (self, served.first()) {
            (Self::Objects, Some(model)) if model.info().task.takes_concepts() => "say what to look for: texts, like, like_boxes",
            _ => "GET /v1/models tells what each model takes",
        };
        Err(error.with_help(help).into())
    }
}

/// The model that a request names; else the first one that can answer it, in the order in which the server was started with them.
///
/// # Errors
/// `NotFound` for a name that there is not; `BadRequest` where no model can.
pub(crate) fn choose(app: &App, name: Option<&str>, need: Need) -> Result<Arc<Slot>> {
    if let Some(name) = name {
        return app.models.get(name);
    }
    let named = app.options.models.iter().filter_map(|spec| app.models.get(&spec.name).ok());
    let later = app.models.all().into_iter().filter(|slot| !slot.is_required);
    let slots: Vec<Arc<Slot>> = named.chain(later).collect();
    if let [only] = slots.as_slice() {
        return Ok(Arc::clone(only));
    }
    let fits = |slot: &&Arc<Slot>| slot.served().is_some_and(|served| need.is_met(&served));
    // What is not loaded says what it can when it is.
    let may_come = |slot: &&Arc<Slot>| slot.status().is_idle || slot.status().state.is_coming();
    let found = slots.iter().find(fits).or_else(|| slots.iter().find(may_come)).cloned();
    found.ok_or_else(|| {
        let names: Vec<&str> = slots.iter().filter(|slot| slot.status().state != State::Unloaded).map(|slot| slot.name()).collect();
        let error = Error::new(ErrorKind::InvalidOption, "model").expecting(need.noun());
        let served = if names.is_empty() { "no model is served".to_owned() } else { format!("served are {}", names.join(", ")) };
        Fault::from(error.but_found("none that is served").with_help(served))
    })
}
