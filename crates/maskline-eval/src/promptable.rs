//! Boxes and clicks for a promptable model.

use std::collections::BTreeMap;

use maskline::{Embedding, Error, ErrorKind, Mask, Model, Multimask, Prompt, PromptMask, Result, SegmentOptions};
use rayon::prelude::*;

use crate::choice::choose;
use crate::file::wrong;
use crate::quality::{Judged, Statistics, summarise};
use crate::rounds::{Answer, play};
use crate::truth::by_picture;
use crate::{Annotation, LeftOut, ObjectQuality, PromptableReport, Truth};

/// Options of [`promptable`].
#[derive(Debug, Clone)]
pub struct PromptableOptions {
    /// Objects with less pixels are left out.
    pub min_area: u64,
    /// At most so many pictures, chosen by the seed among those with objects.
    pub max_images: Option<usize>,
    /// At most so many objects, chosen by the seed among those of the pictures.
    pub max_objects: Option<usize>,
    /// Seed of the choices and of the intervals.
    pub seed: u64,
    /// Clicks per object.
    pub clicks: usize,
    /// Beside the clicks, each prompt carries the logits of the answer before.
    pub mask_feedback: bool,
    /// Which of a prompt's masks is the answer: [`Multimask::Auto`] or [`Multimask::Off`].
    pub multimask: Multimask,
    /// Resamples of the intervals; 0 for none.
    pub resamples: usize,
    /// Most pixels of a picture that is decoded.
    pub max_pixels: u64,
}

impl Default for PromptableOptions {
    fn default() -> Self {
        Self {
            min_area: 32 * 32,
            max_images: None,
            max_objects: None,
            seed: 0,
            clicks: 5,
            mask_feedback: false,
            multimask: Multimask::Auto,
            resamples: 2000,
            max_pixels: 100_000_000,
        }
    }
}

/// More clicks than anyone makes for one object.
const MOST_CLICKS: usize = 100;
/// Objects that are asked for together, whose logits are in memory at a time.
const TOGETHER: usize = 256;

/// An object that is asked for.
#[derive(Clone, Copy)]
struct Target<'a> {
    annotation: &'a Annotation,
    mask: &'a Mask,
}

/// Asks a promptable model for every object of the ground truth, by its box and by clicks that follow the answers, and compares the
/// masks at the size of the picture. `progress` hears how many objects of how many are done.
///
/// # Errors
/// `InvalidOption` for a model that takes no prompts and options outside their domain; `BadInput` when pictures are missing, cannot be
/// read or have another size than the ground truth says, and when no object is left to be asked for; and what the model fails with.
pub fn promptable(
    model: &Model,
    truth: &Truth,
    options: &PromptableOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<PromptableReport> {
    options.check()?;
    if !model.info().takes_prompts() {
        let message = format!("{}: a {} takes no prompts", model.name(), model.info().architecture);
        return Err(Error::new(ErrorKind::InvalidOption, message));
    }
    let mut left_out = LeftOut::default();
    let targets = targets(truth, options, &mut left_out)?;
    truth.check_files(targets.keys().copied())?;
    let all = targets.values().map(Vec::len).sum();
    let mut judged = Vec::with_capacity(all);
    progress(0, all);
    for (picture, targets) in &targets {
        let embedding = model.embed(&truth.read(*picture, options.max_pixels)?)?;
        for targets in targets.chunks(TOGETHER) {
            let objects: Vec<&Mask> = targets.iter().map(|target| target.mask).collect();
            let played = play(&objects, options, |prompts| ask(&embedding, prompts, options));
            let played = played.map_err(|error| error.named(format!("picture {}", truth.shown_image(truth.pictures()[*picture].id))))?;
            judged.extend(targets.iter().zip(&played).map(|(target, played)| Judged::new(target.facts(truth), played)));
            progress(judged.len(), all);
        }
    }
    let prompts = summarise(&judged, options.clicks, Statistics { resamples: options.resamples, seed: options.seed });
    let per_object = judged.into_iter().map(|object| object.facts).collect();
    Ok(PromptableReport { images: targets.len(), objects: all, left_out, prompts, per_object })
}

impl PromptableOptions {
    fn check(&self) -> Result<()> {
        let invalid = |name: &str| Error::new(ErrorKind::InvalidOption, name);
        if self.clicks > MOST_CLICKS {
            return Err(invalid("clicks").expecting(format!("at most {MOST_CLICKS}")).but_found(self.clicks));
        }
        if self.multimask == Multimask::On {
            let error = invalid("multimask").expecting("auto or off").but_found("on");
            return Err(error.with_help("every prompt is judged by one mask"));
        }
        Ok(())
    }
}

/// The objects to be asked for, by picture.
fn targets<'a>(truth: &'a Truth, options: &PromptableOptions, left_out: &mut LeftOut) -> Result<BTreeMap<usize, Vec<Target<'a>>>> {
    let mut eligible = Vec::new();
    for annotation in truth.annotations() {
        match &annotation.mask {
            _ if annotation.is_crowd => left_out.crowds += 1,
            None => left_out.without_mask += 1,
            // An empty mask has no box and no middle.
            Some(mask) if mask.area() < options.min_area.max(1) => left_out.small += 1,
            Some(mask) => eligible.push(Target { annotation, mask }),
        }
    }
    let count = eligible.len();
    let pictures: Vec<_> = by_picture(eligible, |target| target.annotation.picture).into_iter().collect();
    let chosen = choose(pictures, options.max_images, options.seed);
    let chosen: Vec<Target> = chosen.into_iter().flat_map(|(_, targets)| targets).collect();
    let chosen = choose(chosen, options.max_objects, options.seed);
    left_out.not_chosen = count - chosen.len();
    if chosen.is_empty() {
        let LeftOut { crowds, small, without_mask, not_chosen } = *left_out;
        let found = format!(
            "none: of {} annotations {crowds} are crowds, {without_mask} have no segmentation, {small} \
             have less than {} pixels, and {not_chosen} were not chosen",
            truth.annotations().len(),
            options.min_area,
        );
        let error = wrong("").expecting("objects to ask for").but_found(found);
        return Err(truth.bad(error.with_help("lower --min-area, or raise the limits of pictures and objects")));
    }
    Ok(by_picture(chosen, |target| target.annotation.picture))
}

impl Target<'_> {
    fn facts(&self, truth: &Truth) -> ObjectQuality {
        let (image_id, annotation_id) = (truth.pictures()[self.annotation.picture].id, self.annotation.id);
        ObjectQuality {
            image_id,
            image_text_id: truth.image_text_id(image_id).map(str::to_owned),
            annotation_id,
            annotation_text_id: truth.annotation_text_id(annotation_id).map(str::to_owned),
            area: self.mask.area(),
            is_thing: self.annotation.is_thing,
            ious: Vec::new(),
        }
    }
}

/// One round of a picture's prompts.
fn ask(embedding: &Embedding, prompts: &[Prompt], options: &PromptableOptions) -> Result<Vec<Answer>> {
    let segment = SegmentOptions { multimask: options.multimask, ..SegmentOptions::default() };
    let answers = embedding.segment(prompts, &segment)?.answers;
    let masks = answers.into_iter().map(|answer| {
        let first: Option<PromptMask> = answer?.into_iter().next();
        first.ok_or_else(|| Error::new(ErrorKind::BadAnswer, "the model gave no mask"))
    });
    let answer = |mask: &PromptMask| Ok(Answer { mask: mask.mask()?, feedback: options.mask_feedback.then(|| mask.to_prompt()) });
    masks.collect::<Result<Vec<_>>>()?.par_iter().map(answer).collect()
}
