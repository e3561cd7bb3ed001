//! Everything mode: a grid of clicks over the picture and its crops, and of their masks those that are good and no duplicates
//! (`segment_anything/automatic_mask_generator.py`, `sam2/automatic_mask_generator.py`).

mod candidates;
mod options;
mod search;

use std::ops::ControlFlow;
use std::time::Instant;

use maskline_vision::grid::Crop;
use maskline_vision::{Object, RgbImage};
use serde::Serialize;

pub use options::EverythingOptions;

use self::candidates::{Candidate, best_of_crops, without_small_regions};
use self::options::Plan;
use self::search::Search;
use crate::drivers::Call;
use crate::{Image, Model, Result, Stage, Stages};

/// Points of which the masks are judged together, which bounds the low-resolution logits in memory: 12 MB for three masks each of
/// 256 x 256. (The official `points_per_batch`, 64, is for a decoder that takes them all together.)
pub(crate) const POINTS_TOGETHER: usize = 16;

/// The answer of [`Model::everything`].
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    #[serde(rename = "timings_ms")]
    pub timings: Stages,
}

/// Where an object of [`Everything`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
        self.everything_for(image, options, watch, &Call::default())
    }

    /// As [`Model::everything_watched`], for somebody.
    pub(crate) fn everything_for(&self, image: &Image, options: &EverythingOptions, watch: Watch<'_>, call: &Call) -> Result<Everything> {
        let start = Instant::now();
        let plan = Plan::new(options, &self.driver().prompting()?.everything, image.size())?;
        let mut search = Search::new(&plan, watch, call);
        search.tell()?;
        let (mut timings, mut found) = (Stages::of_prompts(), Vec::new());
        for crop in &plan.crops {
            let embedding = if crop.layer == 0 { self.embed_for(image, call) } else { self.embed_for(&cut(image.pixels(), crop)?, call) }?;
            let begun = Instant::now();
            let (candidates, spent) = search.crop(&embedding, crop)?;
            found.extend(candidates);
            timings += *embedding.timings() + spent.rest(Stage::Postprocess, begun);
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
        timings.spend(Stage::Postprocess, begun.elapsed());
        let covered = timings.total() - timings.get(Stage::Decode);
        timings.spend(Stage::Other, start.elapsed().saturating_sub(covered));
        Ok(Everything { objects, origins, size: image.size(), timings })
    }
}

/// How far [`Model::everything`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Clicks that are answered, of all crops together; of models that look several times, in proportion.
    pub done: usize,
    /// Clicks in all.
    pub total: usize,
}

/// Who hears of the progress, and may end the work.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A part of the picture as a picture.
fn cut(pixels: &RgbImage, crop: &Crop) -> Result<Image> {
    let [x1, y1, x2, y2] = crop.bounds;
    let rows = (y1..y2).flat_map(|y| &pixels.row(y)[3 * x1..3 * x2]);
    Ok(Image::from_pixels(RgbImage::new(x2 - x1, y2 - y1, rows.copied().collect())?))
}

fn finished(candidate: Candidate) -> (Object, Origin) {
    let Candidate { mask, score, stability, point, crop, .. } = candidate;
    let bounds = mask.bounds().unwrap_or_default().map(|side| side as f32);
    let object = Object { score, stability: Some(stability), bounds, mask: Some(mask), ..Object::default() };
    (object, Origin { point, crop: crop.bounds })
}
