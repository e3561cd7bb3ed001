//! Which model answers.

use std::sync::Arc;

use super::question::Question;
use crate::app::App;
use crate::fault::Result;
use crate::models::{Slot, Turn};
use crate::rest::{Need, choose};

/// What is said about the model, the strongest first.
pub(super) struct Wish {
    /// `/label-studio/MODEL/…`: must be there.
    pub(super) path: Option<String>,
    /// `model_version` of a request, where it is one of ours.
    pub(super) version: Option<String>,
    /// `model="…"` in the labelling configuration.
    pub(super) config: Option<String>,
    /// `{"model": "…"}` in the parameters of the connection.
    pub(super) of_project: Option<String>,
}

/// A model that answers, and a place among its requests.
pub(super) struct Chosen {
    pub(super) turn: Turn,
    need: Need,
}

impl Chosen {
    /// Whether it is asked with words, and not what there is.
    pub(super) fn takes_words(&self) -> bool {
        self.need == Need::Concepts
    }
}

impl Wish {
    /// The name of the model, where something is said that there is.
    ///
    /// # Errors
    /// `NotFound` for a name that somebody entered and that there is not.
    fn name(&self, app: &App) -> Result<Option<String>> {
        if let Some(name) = &self.path {
            return app.models.get(name).map(|slot| Some(slot.name().to_owned()));
        }
        // Label Studio sends what an earlier answer said, from whichever model.
        let version = self.version.as_deref().and_then(|version| version.rsplit_once('@')).map(|(name, _)| name);
        if let Some(name) = version.filter(|name| app.models.get(name).is_ok()) {
            return Ok(Some(name.to_owned()));
        }
        let entered = self.config.as_ref().or(self.of_project.as_ref());
        entered.map(|name| app.models.get(name).map(|slot| slot.name().to_owned())).transpose()
    }

    /// The model for a question; `None` where none pre-annotates or can be warmed, which is no error: it waits for somebody to draw something.
    ///
    /// # Errors
    /// `NotFound`, `NotReady`, `Busy`; `BadRequest` where no model can answer.
    pub(super) async fn choose(&self, app: &App, question: &Question) -> Result<Option<Chosen>> {
        let name = self.name(app)?;
        let (needs, is_needed): (&[Need], bool) = match question {
            Question::Labels => (&[Need::Objects, Need::Concepts], false),
            Question::Object(_) => (&[Need::Prompts], true),
            Question::Words(_) => (&[Need::Concepts], true),
            // The model that will be clicked at, before one that could only be warmed.
            Question::Prewarm => (&[Need::Prompts, Need::Embeddings], false),
            Question::Nothing => (&[Need::Prompts], false),
        };
        for need in needs {
            let slot = match choose(app, name.as_deref(), *need) {
                Ok(slot) => slot,
                Err(fault) if is_needed => return Err(fault),
                Err(_) => continue,
            };
            let turn = app.models.enter(&slot).await?;
            if need.is_met(&turn.served) {
                return Ok(Some(Chosen { turn, need: *need }));
            }
            if is_needed {
                need.check(&slot, &turn.served)?;
            }
        }
        Ok(None)
    }

    /// The model whose name `/setup` is answered with, loaded or not.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest` where none can be asked about pictures at all.
    pub(super) fn likely(&self, app: &App) -> Result<Arc<Slot>> {
        let name = self.name(app)?;
        let can =
            |need: &Need| choose(app, name.as_deref(), *need).ok().filter(|slot| slot.served().is_none_or(|served| need.is_met(&served)));
        let found = [Need::Objects, Need::Concepts, Need::Prompts].iter().find_map(can);
        found.map_or_else(
            || {
                let slot = choose(app, name.as_deref(), Need::Prompts)?;
                slot.served().map_or(Ok(()), |served| Need::Prompts.check(&slot, &served))?;
                Ok(slot)
            },
            Ok,
        )
    }
}
