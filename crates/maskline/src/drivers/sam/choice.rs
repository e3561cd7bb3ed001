//! Which of a prompt's masks is the answer when one is wanted.

use maskline_models::SingleMask;

/// Share of the area above `-delta` that is also above `delta`: near 1 for masks with steep borders. 1 for an empty mask.
pub(super) fn stability(logits: &[f32], delta: f32) -> f32 {
    let above = |level: f32| logits.iter().filter(|logit| **logit > level).count() as f32;
    let union = above(-delta);
    if union > 0.0 { above(delta) / union } else { 1.0 }
}

/// Whether a network's answer is made of numbers. It is asked of every logit of every mask, so nothing here depends on the one before.
pub(super) fn are_finite(numbers: &[f32]) -> bool {
    !numbers.iter().fold(false, |is_bad, number| is_bad | !number.is_finite())
}

/// A prompt's masks, one after the other, and the score of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub(super) logits: &'a [f32],
    pub(super) scores: &'a [f32],
}

/// Index of the single answer among a prompt's masks.
pub(super) fn single_mask(rule: SingleMask, candidates: Candidates<'_>) -> usize {
    let Candidates { logits, scores } = candidates;
    match rule {
        SingleMask::First => 0,
        SingleMask::Stable { delta, threshold } => {
            let first = &logits[..logits.len() / scores.len().max(1)];
            if stability(first, delta) >= threshold || scores.len() < 2 { 0 } else { 1 + best(&scores[1..]) }
        }
    }
}

/// Index of the largest score, the first of equal ones.
pub(super) fn best(scores: &[f32]) -> usize {
    scores.iter().enumerate().fold(0, |best, (i, score)| if *score > scores[best] { i } else { best })
}
