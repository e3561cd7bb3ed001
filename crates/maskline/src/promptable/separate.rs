//! Masks that do not overlap: of several, the one with the largest logit keeps a pixel.

use maskline_vision::Mask;
use maskline_vision::mask::Logits;

use super::segment::PromptMask;
use crate::Result;

/// Each pixel is kept by the mask with the largest logit; the first masks of all prompts compete.
pub(super) fn separate(answers: &mut [Result<Vec<PromptMask>>], threshold: f32) {
    keep_apart(answers.iter_mut().flatten().filter_map(|masks| Some(&mut masks.first_mut()?.logits)).collect(), threshold);
}

/// Each pixel is kept by the mask with the largest logit; all are of one size.
///
/// A weaker mask falls as far below the threshold as the strongest one lies above it. So no two masks have a mean above the threshold
/// anywhere, and neither have any blends of their pixels: they are disjoint at the size of the picture, not only here.
pub(crate) fn keep_apart(mut masks: Vec<&mut Logits>, threshold: f32) {
    let pixels = masks.first().map_or(0, |mask| mask.data().len());
    let largest = masks.iter().flat_map(|mask| mask.data()).fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    // About 0 the sums below are exact, and blending rounds a number and its negative alike.
    let rounding = if threshold == 0.0 { 0.0 } else { 32.0 * f32::EPSILON * (largest + threshold.abs()) };
    for pixel in 0..pixels {
        let strongest = masks.iter().enumerate().fold((0, f32::NEG_INFINITY), |strongest, (i, mask)| {
            let logit = mask.data()[pixel];
            if logit > strongest.1 { (i, logit) } else { strongest }
        });
        let most = 2.0 * threshold - strongest.1 - rounding;
        for (_, mask) in masks.iter_mut().enumerate().filter(|(i, _)| *i != strongest.0) {
            let logit = &mut mask.data_mut()[pixel];
            *logit = logit.min(most);
        }
    }
}

/// The same for logits of different parts of the picture: they can only be compared at its size, width and height.
pub(super) fn separate_parts(answers: &mut [Result<Vec<PromptMask>>], size: (usize, usize)) -> Result<()> {
    let (width, height) = size;
    let mut masks: Vec<&mut PromptMask> = answers.iter_mut().flatten().filter_map(|masks| masks.first_mut()).collect();
    let mut strongest = vec![(f32::NEG_INFINITY, usize::MAX); width * height];
    for (i, mask) in masks.iter().enumerate() {
        let logits = mask.upsampler.upsample(&mask.logits)?;
        for (kept, logit) in strongest.iter_mut().zip(logits) {
            if logit > mask.threshold && logit > kept.0 {
                *kept = (logit, i);
            }
        }
    }
    for (i, mask) in masks.iter_mut().enumerate() {
        mask.settled = Some(Mask::from_fn(width, height, |x, y| strongest[y * width + x].1 == i)?);
    }
    Ok(())
}
