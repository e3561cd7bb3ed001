//! Everything mode: a grid of clicks over the picture and its crops, and of their masks those that are good and no duplicates
//! (`segment_anything/automatic_mask_generator.py`, `sam2/automatic_mask_generator.py`).

mod candidates;
mod options;

use std::ops::ControlFlow;
use std::time::Instant;

use maskline_vision::grid::Crop;
use maskline_vision::{Object, RgbImage};

pub use options::EverythingOptions;

use self::candidates::{Candidate, best_of_crop, best_of_crops, judge, without_small_regions};
use self::options::{Convention, Plan};
use super::{Embedding, Multimask, Prompt, PromptMask, SegmentOptions};
use crate::timings::{PromptTimings, Work};
use crate::{Error, ErrorKind, Image, Model, Result};

/// Points of which the masks are judged together, which bounds the low-resolution logits in memory: 12 MB for three masks each of
/// 256 x 256. (The official `points_per_batch`, 64, is for a decoder that takes them all together.)
const POINTS_TOGETHER: usize = 16;

/// The answer of [`Model::everything`].
#[derive(Debug, Clone, PartialEq)]
pub struct Everything {
    /// The objects: `score` is the predicted IoU, `stability` that of the mask at the size of the picture (at that of the crop, for
    /// masks that come from one). In the official order: by falling predicted IoU; with crops, those of the smallest crops
    /// first; where SAM 1 removed small regions, masks that had none first.
    pub objects: Vec<Object>,
    /// Where each object comes from.
    pub origins: Vec<Origin>,
    /// Width and height of the picture in pixels.
    pub size: (usize, usize),
    /// Where the time went, for all crops together.
    pub timings: PromptTimings,
}

/// Where an object of [`Everything`] comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// x, y of the click that it answers, in pixels of the picture.
    pub point: [f32; 2],
    /// `[x1, y1, x2, y2]`: the crop that it was found in, the last two exclusive.
    pub crop: [usize; 4],
}

impl Model {
    /// Finds the objects of a picture without being told where they are: `SamAutomaticMaskGenerator` and
    /// `SAM2AutomaticMaskGenerator`, with the same filters in the same order. Masks without a pixel are left out.
    ///
    /// Crops of the picture go through the encoder one after the other, and into the cache of embeddings.
    ///
    /// # Errors
    /// `InvalidOption` if the model takes no prompts or for options outside their domain, `OverLimit` for too many points, `BadInput`
    /// for a picture that is too small for the crops, `BadAnswer` if the network gave NaN.
    pub fn everything(&self, image: &Image, options: &EverythingOptions) -> Result<Everything> {
        self.everything_watched(image, options, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`Model::everything`], for callers who show how far it is, or want to call it off: `watch` hears of it before the first click
    /// and after every few, and ends it by [`ControlFlow::Break`].
    ///
    /// # Errors
    /// As [`Model::everything`]; `Cancelled` if `watch` said so.
    pub fn everything_watched(&self, image: &Image, options: &EverythingOptions, watch: Watch<'_>) -> Result<Everything> {
        let start = Instant::now();
        let convention = Convention::of(self.answerer()?);
        image.check()?;
        let plan = Plan::new(options, (convention, image.size()))?;
        let mut search = Search { plan: &plan, watch, done: 0, work: Work::default() };
        search.tell()?;
        let (mut timings, mut found) = (PromptTimings::default(), Vec::new());
        for crop in &plan.crops {
            let embedding = if crop.layer == 0 { self.embed(image) } else { self.embed(&cut(image.pixels(), crop)) }?;
            let begun = Instant::now();
            found.extend(search.crop(&embedding, crop)?);
            timings += *embedding.timings() + PromptTimings::of_prompts(begun, std::mem::take(&mut search.work));
        }
        let begun = Instant::now();
        if plan.crops.len() > 1 {
            found = best_of_crops(found, &plan);
        }
        if options.min_mask_region_area > 0 && !plan.cleans_logits {
            let threshold = options.box_nms_thresh.max(options.crop_nms_thresh);
            found = without_small_regions(found, options.min_mask_region_area, threshold)?;
        }
        let (objects, origins) = found.into_iter().map(finished).unzip();
        timings.postprocess += begun.elapsed();
        let covered = timings.total() - timings.decode;
        timings.other += start.elapsed().saturating_sub(covered);
        Ok(Everything { objects, origins, size: image.size(), timings })
    }
}

/// How far [`Model::everything`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Clicks that are answered, of all crops together.
    pub done: usize,
    /// Clicks in all.
    pub total: usize,
}

/// Who hears of the progress, and may end the work.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A part of the picture as a picture.
fn cut(pixels: &RgbImage, crop: &Crop) -> Image {
    let [x1, y1, x2, y2] = crop.bounds;
    let rows = (y1..y2).flat_map(|y| &pixels.row(y)[3 * x1..3 * x2]);
    Image::from_pixels(RgbImage { width: x2 - x1, height: y2 - y1, pixels: rows.copied().collect() })
}

/// One picture under way.
struct Search<'a> {
    plan: &'a Plan<'a>,
    watch: Watch<'a>,
    /// Clicks that are answered.
    done: usize,
    /// What the decoders did, since somebody looked last.
    work: Work,
}

impl Search<'_> {
    /// Says how far it is; `Cancelled` if that is far enough.
    fn tell(&mut self) -> Result<()> {
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
    fn crop(&mut self, embedding: &Embedding, crop: &Crop) -> Result<Vec<Candidate>> {
        let (width, height) = embedding.size();
        let mut found = Vec::new();
        for grid in self.plan.grids[crop.layer].chunks(POINTS_TOGETHER) {
            let points: Vec<[f32; 2]> = grid.iter().map(|[x, y]| [(x * width as f64) as f32, (y * height as f64) as f32]).collect();
            let prompts: Vec<Prompt> = points.iter().map(|[x, y]| Prompt::click(*x, *y)).collect();
            let multimask = if self.plan.options.multimask_output { Multimask::On } else { Multimask::Off };
            let mut masks = self.masks(embedding, &prompts, multimask)?;
            if self.plan.options.use_m2m {
                masks = self.refined(embedding, masks, &points)?;
            }
            found.extend(judge(&masks, (self.plan, crop, &points))?);
            self.done += grid.len();
            self.tell()?;
        }
        Ok(best_of_crop(found, self.plan))
    }

    /// The decoder's answers, in the order of the prompts.
    fn masks(&mut self, embedding: &Embedding, prompts: &[Prompt], multimask: Multimask) -> Result<Vec<PromptMask>> {
        let EverythingOptions { mask_threshold: threshold, chunk, .. } = *self.plan.options;
        let options = SegmentOptions { multimask, threshold, chunk, ..SegmentOptions::default() };
        let segments = embedding.segment(prompts, &options)?;
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

fn finished(candidate: Candidate) -> (Object, Origin) {
    let Candidate { mask, score, stability, point, crop, .. } = candidate;
    let bounds = mask.bounds().unwrap_or_default().map(|side| side as f32);
    let object = Object { score, stability: Some(stability), bounds, mask: Some(mask), ..Object::default() };
    (object, Origin { point, crop: crop.bounds })
}
