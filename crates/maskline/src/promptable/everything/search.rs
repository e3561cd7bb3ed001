//! The clicks of one picture: asked, judged, and told of.

use std::ops::ControlFlow;

use maskline_vision::grid::Crop;

use super::candidates::{Candidate, Clicked, best_of_crop, judge};
use super::options::Plan;
use super::{Progress, Watch};
use crate::drivers::{Call, Listener, Sweep};
use crate::promptable::{Embedding, Prompt, PromptMask};
use crate::{Error, ErrorKind, Result, Stage, Stages};

/// One picture under way.
pub(super) struct Search<'a> {
    plan: &'a Plan<'a>,
    watch: Watch<'a>,
    call: &'a Call,
    /// Clicks that are answered, of the crops before this one too.
    done: usize,
}

/// One crop of it.
struct InCrop<'s, 'a> {
    search: &'s mut Search<'a>,
    embedding: &'s Embedding,
    clicked: Clicked<'s>,
    /// Clicks of the crops before.
    before: usize,
    found: Vec<Candidate>,
    /// What refining took.
    spent: Stages,
}

impl<'a> Search<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, watch: Watch<'a>, call: &'a Call) -> Self {
        Self { plan, watch, call, done: 0 }
    }

    /// Says how far it is; `Cancelled` if that is far enough.
    pub(super) fn tell(&mut self) -> Result<()> {
        self.call.check()?;
        let progress = Progress { done: self.done, total: self.plan.points() };
        match (self.watch)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                let message = format!("everything: called off after {} of {} clicks", progress.done, progress.total);
                Err(Error::new(ErrorKind::Cancelled, message))
            }
        }
    }

    /// The best masks of one crop, and what the networks took for them.
    pub(super) fn crop(&mut self, embedding: &Embedding, crop: &Crop) -> Result<(Vec<Candidate>, Stages)> {
        let (width, height) = embedding.size();
        let place = |[x, y]: &[f64; 2]| [(x * width as f64) as f32, (y * height as f64) as f32];
        let points: Vec<[f32; 2]> = self.plan.grids[crop.layer].iter().map(place).collect();
        let (plan, call, before) = (self.plan, self.call, self.done);
        let clicked = Clicked { crop, points: &points };
        let mut here = InCrop { search: self, embedding, clicked, before, found: Vec::new(), spent: Stages::default() };
        let sweep = Sweep { picture: embedding.encoded(), size: embedding.size(), points: &points, options: plan.options, call };
        let spent = embedding.driver().sweep(&sweep, &mut here)? + here.spent;
        Ok((best_of_crop(here.found, plan), spent))
    }
}

impl Listener for InCrop<'_, '_> {
    fn masks(&mut self, masks: Vec<PromptMask>) -> Result<()> {
        let masks = if self.search.plan.options.use_m2m { self.refined(masks)? } else { masks };
        self.found.extend(judge(&masks, self.search.plan, self.clicked)?);
        Ok(())
    }

    fn progress(&mut self, done: usize) -> Result<()> {
        self.search.done = self.before + done;
        self.search.tell()
    }
}

impl InCrop<'_, '_> {
    /// Each mask refined once: the single answer to its point and its own logits.
    fn refined(&mut self, masks: Vec<PromptMask>) -> Result<Vec<PromptMask>> {
        let origins: Vec<usize> = masks.iter().map(|mask| mask.prompt).collect();
        let prompt = |mask: &PromptMask| {
            let [x, y] = self.clicked.points[mask.prompt];
            Prompt::click(x, y).with_mask(mask.to_prompt())
        };
        let prompts: Vec<Prompt> = masks.iter().map(prompt).collect();
        let segments = self.embedding.segment_for(&prompts, &self.search.plan.options.asking(), self.search.call)?;
        for stage in [Stage::Queue, Stage::Open, Stage::MaskDecode] {
            self.spent.spend(stage, segments.timings.get(stage));
        }
        let refined = segments.answers.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten();
        // They count the masks that they refine; from here on they count points again.
        Ok(refined.map(|mask| PromptMask { prompt: origins[mask.prompt], ..mask }).collect())
    }
}
