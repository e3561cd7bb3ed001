//! What is seen of a picture, look after look.

use std::sync::Arc;
use std::time::Instant;

use maskline_vision::look::{Look, Pyramid};
use maskline_vision::mask::{self, Logits, Upsampler, clean};
use maskline_vision::nms::nms;

use super::viewer::{CHUNK, Seen, Viewer, clipped};
use crate::drivers::NOT_FINITE;
use crate::drivers::{Call, Sweep};
use crate::promptable::PromptMask;
use crate::{Error, ErrorKind, Prompt, Result, SegmentOptions, Stage, Stages};

/// Points whose looks are compared with each other before they are looked at again: what is seen at each takes 9 KB.
pub(super) const POINTS_COMPARED: usize = 1024;

/// Overlap (IoU) of the boxes of early looks above which they see the same thing. Stricter than suppression in the end, for early
/// scores choose badly among things that are only alike: a comparison on a few annotated photos had worse masks at 0.7, and none worse
/// at 0.85.
const SAME_THING: f64 = 0.85;

/// A picture, and who looks at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sights<'a> {
    pub(super) viewer: &'a Viewer,
    pub(super) pyramid: &'a Pyramid,
    /// Width and height of the picture.
    pub(super) size: (usize, usize),
    pub(super) call: &'a Call,
}

/// A look and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    look: Look,
    seen: Seen,
}

impl Sights<'_> {
    /// All looks for some prompts: of each the last one and its answer, and what they took.
    pub(super) fn of(&self, prompts: &[&Prompt]) -> Result<(Vec<Sight>, Stages)> {
        let (mut sights, mut stages) = self.glance(prompts)?;
        for _ in 0..self.viewer.refinements() {
            // A box or a mask says where to look; clicks alone do not.
            let is_open = |prompt: &Prompt| prompt.bounds.is_none() && prompt.mask.is_none();
            let mut open: Vec<&mut Sight> =
                sights.iter_mut().zip(prompts).filter(|(_, prompt)| is_open(prompt)).map(|(sight, _)| sight).collect();
            if open.is_empty() {
                break;
            }
            stages += self.look_closer(&mut open)?;
        }
        Ok((sights, stages))
    }

    /// The first look for each prompt.
    fn glance(&self, prompts: &[&Prompt]) -> Result<(Vec<Sight>, Stages)> {
        let start = Instant::now();
        let looks: Vec<Look> = prompts.iter().map(|prompt| self.viewer.first_look(prompt, self.size)).collect();
        let (seen, stages) = self.viewer.look(self.pyramid, &looks.iter().collect::<Vec<_>>(), self.call)?;
        let sights = looks.into_iter().zip(seen).map(|(look, seen)| Sight { look, seen }).collect();
        Ok((sights, stages.rest(Stage::MaskDecode, start)))
    }

    /// Looks again, at what was seen.
    fn look_closer(&self, sights: &mut [&mut Sight]) -> Result<Stages> {
        let start = Instant::now();
        let closer = |sight: &&mut Sight| self.viewer.refined_look(sight.look.clone(), &sight.seen.logits, self.size);
        let looks: Vec<Look> = sights.iter().map(closer).collect();
        let (seen, stages) = self.viewer.look(self.pyramid, &looks.iter().collect::<Vec<_>>(), self.call)?;
        sights.iter_mut().zip(looks.into_iter().zip(seen)).for_each(|(sight, (look, seen))| **sight = Sight { look, seen });
        Ok(stages.rest(Stage::MaskDecode, start))
    }

    /// What is seen at some points of a sweep, by index of the point, each thing once; `tell` hears how many points are done.
    ///
    /// Many clicks mean the same thing, which shows at the first look already: it is looked at again for one of them. A third to a half of
    /// all looks is saved.
    pub(super) fn distinct(
        &self,
        sweep: &Sweep<'_>,
        points: &[[f32; 2]],
        tell: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<(Vec<(usize, Sight)>, Stages)> {
        let chunk = sweep.options.chunk.unwrap_or(CHUNK);
        let (mut sights, mut stages) = (Vec::with_capacity(points.len()), Stages::default());
        for points in points.chunks(chunk) {
            let clicks: Vec<Prompt> = points.iter().map(|[x, y]| Prompt::click(*x, *y)).collect();
            let (seen, spent) = self.glance(&clicks.iter().collect::<Vec<_>>())?;
            stages += spent;
            let first = sights.len();
            sights.extend(seen.into_iter().enumerate().map(|(i, sight)| (first + i, sight)));
            // The first look at all points is about half of the work.
            tell(sights.len() / 2)?;
        }
        let refinements = self.viewer.refinements();
        for round in 1..=refinements {
            let begun = points.len() / 2 + points.len().div_ceil(2) * (round - 1) / refinements;
            sights = self.once(sights, sweep);
            for sights in sights.chunks_mut(chunk) {
                stages += self.look_closer(&mut sights.iter_mut().map(|(_, sight)| sight).collect::<Vec<_>>())?;
                tell(begun)?;
            }
        }
        tell(points.len())?;
        Ok((sights, stages))
    }

    /// Of sights that overlap as those of one thing do, the one of the better score.
    fn once(&self, sights: Vec<(usize, Sight)>, sweep: &Sweep<'_>) -> Vec<(usize, Sight)> {
        let threshold = sweep.options.box_nms_thresh.max(SAME_THING);
        let bounds = |sight: &Sight| self.bounds_of(sight, sweep.options.mask_threshold);
        // What is empty so far overlaps nothing.
        let boxes: Vec<[f32; 4]> = sights.iter().map(|(_, sight)| bounds(sight).unwrap_or_default()).collect();
        let scores: Vec<f32> = sights.iter().map(|(_, sight)| sight.seen.score).collect();
        let mut sights: Vec<Option<(usize, Sight)>> = sights.into_iter().map(Some).collect();
        nms(&boxes, &scores, threshold).into_iter().filter_map(|index| sights[index].take()).collect()
    }

    /// `[x1, y1, x2, y2]` in pixels of what is above a threshold; `None` where nothing is.
    fn bounds_of(&self, sight: &Sight, threshold: f32) -> Option<[f32; 4]> {
        let bounds = sight.look.frame.bounds_above(&sight.seen.logits, threshold, self.viewer.optics())?;
        Some(clipped(bounds, self.size).map(|side| side as f32))
    }

    /// The mask of what was seen for the prompt of this index.
    pub(super) fn mask_of(&self, index: usize, sight: Sight, options: &SegmentOptions) -> Result<PromptMask> {
        let Sight { look, seen } = sight;
        if !seen.logits.iter().sum::<f32>().is_finite() || !seen.score.is_finite() {
            let message = format!("prompt {index}: the network's answer is not finite");
            return Err(Error::new(ErrorKind::BadAnswer, message).with_help(NOT_FINITE));
        }
        let side = self.viewer.optics().output;
        let [x1, y1, x2, y2] = [look.frame.x.at(0.0), look.frame.y.at(0.0), look.frame.x.at(1.0), look.frame.y.at(1.0)];
        let window = mask::Frame::Window { low: [y1, x1], length: [y2 - y1, x2 - x1] };
        let mut logits = Logits::new(seen.logits, [side; 2])?;
        clean(&mut logits, &options.cleaning());
        let upsampler = Upsampler::new([side; 2], &window, [self.size.1, self.size.0]).map_err(Error::of_picture)?;
        Ok(PromptMask {
            prompt: index,
            candidate: 0,
            score: seen.score,
            presence: None,
            logits,
            part: Some([x1, y1, x2, y2]),
            prompt_limit: None,
            upsampler: Arc::new(upsampler),
            threshold: options.threshold,
            settled: None,
        })
    }
}
