//! Everything mode: a grid of clicks over the picture and its crops, and of their masks those that are good and no duplicates
//! (`segment_anything/automatic_mask_generator.py`, `sam2/automatic_mask_generator.py`).

mod candidates;
mod options;

use std::time::{Duration, Instant};

use maskline_vision::grid::Crop;
use maskline_vision::{Object, RgbImage};

pub use options::EverythingOptions;

use self::candidates::{Candidate, best_of_crop, best_of_crops, judge, without_small_regions};
use self::options::{Convention, Plan};
use super::{Embedding, Multimask, Prompt, PromptMask, SegmentOptions};
use crate::timings::PromptTimings;
use crate::{Image, Model, Result};

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
        let start = Instant::now();
        let plan = Plan::new(options, (Convention::of(self.answerer()?), image.size()))?;
        let mut timings = PromptTimings { decode: image.decode, was_cached: true, ..PromptTimings::default() };
        let mut found = Vec::new();
        for crop in &plan.crops {
            let embedding = if crop.layer == 0 { self.embed(image) } else { self.embed(&cut(image.pixels(), crop)) }?;
            let begun = Instant::now();
            let (best, decode) = of_crop(&embedding, &plan, crop)?;
            found.extend(best);
            let encoded = embedding.timings();
            timings.preprocess += encoded.preprocess;
            timings.image_encode += encoded.image_encode;
            timings.was_cached &= encoded.was_cached;
            timings.mask_decode += decode;
            timings.postprocess += begun.elapsed().saturating_sub(decode);
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
        timings.other = start.elapsed().saturating_sub(covered);
        Ok(Everything { objects, origins, size: image.size(), timings })
    }
}

/// A part of the picture as a picture.
fn cut(pixels: &RgbImage, crop: &Crop) -> Image {
    let [x1, y1, x2, y2] = crop.bounds;
    let rows = (y1..y2).flat_map(|y| &pixels.row(y)[3 * x1..3 * x2]);
    Image::from_pixels(RgbImage { width: x2 - x1, height: y2 - y1, pixels: rows.copied().collect() })
}

/// The best masks of one crop, and how long the decoder took.
fn of_crop(embedding: &Embedding, plan: &Plan<'_>, crop: &Crop) -> Result<(Vec<Candidate>, Duration)> {
    let (width, height) = embedding.size();
    let mut decode = Duration::ZERO;
    let mut found = Vec::new();
    for grid in plan.grids[crop.layer].chunks(POINTS_TOGETHER) {
        let points: Vec<[f32; 2]> = grid.iter().map(|[x, y]| [(x * width as f64) as f32, (y * height as f64) as f32]).collect();
        let prompts: Vec<Prompt> = points.iter().map(|[x, y]| Prompt::click(*x, *y)).collect();
        let multimask = if plan.options.multimask_output { Multimask::On } else { Multimask::Off };
        let mut masks = masks(embedding, &prompts, (plan, multimask, &mut decode))?;
        if plan.options.use_m2m {
            masks = refined(embedding, masks, (plan, &points, &mut decode))?;
        }
        found.extend(judge(&masks, (plan, crop, &points))?);
    }
    Ok((best_of_crop(found, plan), decode))
}

/// The decoder's answers, in the order of the prompts.
fn masks(
    embedding: &Embedding,
    prompts: &[Prompt],
    (plan, multimask, decode): (&Plan<'_>, Multimask, &mut Duration),
) -> Result<Vec<PromptMask>> {
    let threshold = plan.options.mask_threshold;
    let options = SegmentOptions { multimask, threshold, chunk: plan.options.chunk, ..SegmentOptions::default() };
    let segments = embedding.segment(prompts, &options)?;
    *decode += segments.timings.mask_decode;
    let answers = segments.answers.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(answers.into_iter().flatten().collect())
}

/// Each mask refined once: the single answer to its point and its own logits.
fn refined(
    embedding: &Embedding,
    masks: Vec<PromptMask>,
    (plan, points, decode): (&Plan<'_>, &[[f32; 2]], &mut Duration),
) -> Result<Vec<PromptMask>> {
    let origins: Vec<usize> = masks.iter().map(|mask| mask.prompt).collect();
    let prompt = |mask: &PromptMask| {
        let [x, y] = points[mask.prompt];
        Prompt::click(x, y).with_mask(mask.to_prompt())
    };
    let prompts: Vec<Prompt> = masks.iter().map(prompt).collect();
    let mut refined = self::masks(embedding, &prompts, (plan, Multimask::Off, decode))?;
    // They count the masks that they refine; from here on they count points again.
    refined.iter_mut().for_each(|mask| mask.prompt = origins[mask.prompt]);
    Ok(refined)
}

fn finished(candidate: Candidate) -> (Object, Origin) {
    let Candidate { mask, score, stability, point, crop, .. } = candidate;
    let bounds = mask.bounds().unwrap_or_default().map(|side| side as f32);
    let object = Object { score, stability: Some(stability), bounds, mask: Some(mask), ..Object::default() };
    (object, Origin { point, crop: crop.bounds })
}
