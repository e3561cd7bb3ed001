//! The head for clicks, boxes and masks: opened when the first of them comes.

use std::sync::{Arc, Mutex, PoisonError};

use maskline_models::{ConceptHead, PromptHead};

use super::sight::{Neck, Sight};
use crate::drivers::parts::LazyLanes;
use crate::drivers::sam::Prompter;
use crate::drivers::{Call, Encoded, Listener, Parts, Prompting, Question, Sweep, Take};
use crate::{Result, Stage, Stages};

/// The click neck, and the mask decoders.
#[derive(Debug)]
pub(super) struct Clicks {
    parts: Parts,
    head: PromptHead,
    neck: LazyLanes,
    prompter: Mutex<Option<Arc<Prompter>>>,
}

impl Clicks {
    pub(super) fn new(parts: &Parts, head: PromptHead) -> Self {
        Self { neck: LazyLanes::new(parts, ConceptHead::CLICK_NECK), prompter: Mutex::new(None), parts: parts.clone(), head }
    }

    pub(super) fn prompting(&self) -> Prompting {
        Prompter::prompting(&self.head)
    }

    /// What answers; opening it is told in `stages`.
    pub(super) fn prompter(&self, stages: &mut Stages) -> Result<Arc<Prompter>> {
        let start = std::time::Instant::now();
        let mut slot = self.prompter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prompter) = &*slot {
            return Ok(Arc::clone(prompter));
        }
        let prompter = Arc::new(Prompter::open(&self.parts, self.head.clone())?);
        *slot = Some(Arc::clone(&prompter));
        stages.spend(Stage::Open, start.elapsed());
        Ok(prompter)
    }

    /// What makes of a picture's trunk what the decoders take.
    pub(super) fn neck(&self, sight: &Sight, stages: &mut Stages) -> Result<Neck> {
        Ok(Neck { lanes: self.neck.get(stages)?, trunk: Arc::clone(sight.trunk()), names: self.head.embedding() })
    }

    /// The picture as the decoders take it.
    pub(super) fn embedding(&self, sight: &Sight, stages: &mut Stages, call: &Call) -> Result<Encoded> {
        sight.clicks(stages, |stages| {
            let tensors = self.neck(sight, stages)?.see(stages, call)?;
            Ok(Arc::new(self.prompter(stages)?.embedding(tensors)))
        })
    }

    pub(super) fn tune(&self, picture: &Encoded) -> Result<()> {
        self.prompter(&mut Stages::default())?.tune(picture)
    }

    pub(super) fn segment(&self, question: &Question<'_>, stages: &mut Stages, take: Take<'_>) -> Result<Stages> {
        self.prompter(stages)?.segment(question, take)
    }

    pub(super) fn sweep(&self, sweep: &Sweep<'_>, stages: &mut Stages, listener: &mut dyn Listener) -> Result<Stages> {
        self.prompter(stages)?.sweep(sweep, listener)
    }
}
