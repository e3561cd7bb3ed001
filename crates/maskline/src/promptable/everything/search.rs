//! The clicks of one picture: asked, judged, and told of.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use maskline_vision::grid::Crop;
use maskline_vision::nms::nms;

use super::candidates::{Candidate, Clicked, best_of_crop, judge};
use super::options::Plan;
use super::{EverythingOptions, Progress, Watch};
use crate::promptable::embedding::Source;
use crate::promptable::looks::{self, Looks, Sight};
use crate::promptable::{Embedding, Multimask, Prompt, PromptMask, SegmentOptions};
use crate::timings::{PromptTimings, Work};
use crate::{Error, ErrorKind, Result};

/// Points of which the masks are judged together, which bounds the low-resolution logits in memory: 12 MB for three masks each of
/// 256 x 256. (The official `points_per_batch`, 64, is for a decoder that takes them all together.)
const POINTS_TOGETHER: usize = 16;

/// Points whose looks are compared with each other before they are looked at again: what is seen at each takes 9 KB.
const POINTS_COMPARED: usize = 1024;

/// Overlap (IoU) of the boxes of early looks above which they see the same thing. Stricter than suppression in the end, for early
/// scores choose badly among things that are only alike: a comparison on a few annotated photos had worse masks at 0.7, and none worse
/// at 0.85.
const SAME_THING: f64 = 0.85;

/// One picture under way.
pub(super) struct Search<'a> {
    plan: &'a Plan<'a>,
    watch: Watch<'a>,
    /// Clicks that are answered.
    done: usize,
    /// What the decoders did, since somebody looked last.
    work: Work,
}

impl<'a> Search<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, watch: Watch<'a>) -> Self {
        Self { plan, watch, done: 0, work: Work::default() }
    }

    /// What the networks did since this was asked last.
    pub(super) fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    /// Says how far it is; `Cancelled` if that is far enough.
    pub(super) fn tell(&mut self) -> Result<()> {
        let progress = Progress { done: self.done, total: self.plan.points() };
        match (self.watch)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                let message = format!("everything: called off after {} of {} clicks", progress.done, progress.total);
                Err(Error::new(ErrorKind::Cancelled, message))
            }
        }
    }

    /// The best masks of one crop.
    pub(super) fn crop(&mut self, embedding: &Embedding, crop: &Crop) -> Result<Vec<Candidate>> {
        let (width, height) = embedding.size();
        let place = |[x, y]: &[f64; 2]| [(x * width as f64) as f32, (y * height as f64) as f32];
        let points: Vec<[f32; 2]> = self.plan.grids[crop.layer].iter().map(place).collect();
        let found = match embedding.source() {
            Source::Encoded(_) => self.by_decoder(embedding, Clicked { crop, points: &points }),
            Source::Looks(looks) => self.by_looks(embedding, looks, Clicked { crop, points: &points }),
        }?;
        Ok(best_of_crop(found, self.plan))
    }

    fn by_decoder(&mut self, embedding: &Embedding, clicked: Clicked<'_>) -> Result<Vec<Candidate>> {
        let multimask = if self.plan.options.multimask_output { Multimask::On } else { Multimask::Off };
        let mut found = Vec::new();
        for points in clicked.points.chunks(POINTS_TOGETHER) {
            let masks = self.masks(embedding, &clicks(points), multimask)?;
            found.extend(self.judged(embedding, masks, Clicked { points, ..clicked })?);
            self.done += points.len();
            self.tell()?;
        }
        Ok(found)
    }

    fn by_looks(&mut self, embedding: &Embedding, looks: &Looks, clicked: Clicked<'_>) -> Result<Vec<Candidate>> {
        let options = self.segment_options(Multimask::Off);
        let mut found = Vec::new();
        for points in clicked.points.chunks(POINTS_COMPARED) {
            let mut sights = self.distinct_sights(looks, points)?.into_iter();
            while sights.len() > 0 {
                let some = sights.by_ref().take(POINTS_TOGETHER);
                let masks = some.map(|(index, sight)| looks.mask_of(index, sight, &options)).collect::<Result<Vec<_>>>()?;
                found.extend(self.judged(embedding, masks, Clicked { points, ..clicked })?);
            }
        }
        Ok(found)
    }

    /// What of the answers to some points passes by itself.
    fn judged(&mut self, embedding: &Embedding, masks: Vec<PromptMask>, clicked: Clicked<'_>) -> Result<Vec<Candidate>> {
        let masks = if self.plan.options.use_m2m { self.refined(embedding, masks, clicked.points)? } else { masks };
        judge(&masks, self.plan, clicked)
    }

    /// What is seen at some points, by index of the point, each thing once.
    ///
    /// Many clicks mean the same thing, which shows at the first look already: it is looked at again for one of them. A third to a half of
    /// all looks is saved.
    fn distinct_sights(&mut self, looks: &Looks, points: &[[f32; 2]]) -> Result<Vec<(usize, Sight)>> {
        let (before, chunk) = (self.done, self.plan.options.chunk.unwrap_or(looks::CHUNK));
        let mut sights = Vec::with_capacity(points.len());
        for points in points.chunks(chunk) {
            let (seen, start) = (clicks(points), Instant::now());
            let (seen, queue) = looks.glance(&seen.iter().collect::<Vec<_>>())?;
            self.add_look(start, queue);
            let first = sights.len();
            sights.extend(seen.into_iter().enumerate().map(|(i, sight)| (first + i, sight)));
            // The first look at all points is about half of the work.
            self.done = before + sights.len() / 2;
            self.tell()?;
        }
        for round in 1..=looks.refinements() {
            sights = self.distinct(looks, sights);
            for sights in sights.chunks_mut(chunk) {
                let start = Instant::now();
                let queue = looks.look_closer(&mut sights.iter_mut().map(|(_, sight)| sight).collect::<Vec<_>>())?;
                self.add_look(start, queue);
                self.tell()?;
            }
            self.done = before + points.len() / 2 + points.len().div_ceil(2) * round / looks.refinements();
        }
        self.done = before + points.len();
        self.tell()?;
        Ok(sights)
    }

    /// Counts a look that began at `start` and waited for the network.
    fn add_look(&mut self, start: Instant, queue: Duration) {
        self.work += Work { queue, network: start.elapsed().saturating_sub(queue), ..Work::default() };
    }

    /// Of sights that overlap as those of one thing do, the one of the better score.
    fn distinct(&self, looks: &Looks, sights: Vec<(usize, Sight)>) -> Vec<(usize, Sight)> {
        let EverythingOptions { mask_threshold, box_nms_thresh, .. } = *self.plan.options;
        let threshold = box_nms_thresh.max(SAME_THING);
        // What is empty so far overlaps nothing.
        let boxes: Vec<[f32; 4]> = sights.iter().map(|(_, sight)| looks.bounds_of(sight, mask_threshold).unwrap_or_default()).collect();
        let scores: Vec<f32> = sights.iter().map(|(_, sight)| sight.seen.score).collect();
        let mut sights: Vec<Option<(usize, Sight)>> = sights.into_iter().map(Some).collect();
        nms(&boxes, &scores, threshold).into_iter().filter_map(|index| sights[index].take()).collect()
    }

    fn segment_options(&self, multimask: Multimask) -> SegmentOptions {
        let EverythingOptions { mask_threshold: threshold, chunk, .. } = *self.plan.options;
        SegmentOptions { multimask, threshold, chunk, ..SegmentOptions::default() }
    }

    /// The decoder's answers, in the order of the prompts.
    fn masks(&mut self, embedding: &Embedding, prompts: &[Prompt], multimask: Multimask) -> Result<Vec<PromptMask>> {
        let segments = embedding.segment(prompts, &self.segment_options(multimask))?;
        let PromptTimings { queue, open, mask_decode: network, .. } = segments.timings;
        self.work += Work { queue, open, network };
        let answers = segments.answers.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Each mask refined once: the single answer to its point and its own logits.
    fn refined(&mut self, embedding: &Embedding, masks: Vec<PromptMask>, points: &[[f32; 2]]) -> Result<Vec<PromptMask>> {
        let origins: Vec<usize> = masks.iter().map(|mask| mask.prompt).collect();
        let prompt = |mask: &PromptMask| {
            let [x, y] = points[mask.prompt];
            Prompt::click(x, y).with_mask(mask.to_prompt())
        };
        let prompts: Vec<Prompt> = masks.iter().map(prompt).collect();
        let mut refined = self.masks(embedding, &prompts, Multimask::Off)?;
        // They count the masks that they refine; from here on they count points again.
        refined.iter_mut().for_each(|mask| mask.prompt = origins[mask.prompt]);
        Ok(refined)
    }
}

fn clicks(points: &[[f32; 2]]) -> Vec<Prompt> {
    points.iter().map(|[x, y]| Prompt::click(*x, *y)).collect()
}
