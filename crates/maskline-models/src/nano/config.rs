//! Sizes, from the shapes of the tensors.

use maskline_weights::Checkpoint;

use crate::{Error, ErrorKind, EverythingDefaults, LookHead, Normalise, Result};

pub(super) const ARCHITECTURE: &str = "nano";
/// Width of an attention head.
const HEAD: usize = 32;

/// Sizes of a nano.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Channels at the resolution of the answer.
    pub fine: usize,
    /// Channels at half of it.
    pub middle: usize,
    /// Channels at a quarter of it, where the attention is.
    pub coarse: usize,
    /// Residual and attention blocks at that scale.
    pub depth: usize,
    /// Heads of the attention.
    pub heads: usize,
}

impl Config {
    /// The one that is shipped.
    pub fn published() -> Self {
        Self { fine: 32, middle: 64, coarse: 128, depth: 2, heads: 128 / HEAD }
    }

    /// Of a checkpoint.
    ///
    /// # Errors
    /// `Checkpoint` if the tensors are not those of a nano.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let root = checkpoint.root();
        let outputs = |name: &str| root.shape(name).map(|shape| shape.first().copied().unwrap_or(0));
        let [fine, middle, coarse] = [outputs("stem.0.weight")?, outputs("down1.0.weight")?, outputs("down2.0.weight")?];
        let depth = root.push("residuals").children().len();
        if coarse == 0 || coarse % HEAD != 0 {
            let misfit = Error::new(ErrorKind::Checkpoint, "down2.0.weight");
            return Err(misfit.expecting(format!("a multiple of {HEAD} channels")).finding(coarse).at(checkpoint.path()));
        }
        Ok(Self { fine, middle, coarse, depth, heads: coarse / HEAD })
    }
}

impl LookHead {
    /// The numbers that nano is trained with (`training/nano/frames.py`, `prompts.py`, `predict.py`).
    pub(super) fn nano() -> Self {
        Self {
            input: 96,
            output: 48,
            margin: 0.2,
            max_stretch: 2.0,
            min_window: 8.0,
            fovea_growth: 4.5,
            fovea_side: 1024,
            click_sigma: 1.5,
            refinements: 2,
            // Its predicted IoU is a sober one: of an object that it has not seen before, rarely above 0.8.
            everything: EverythingDefaults { predicted_iou: 0.6, stability: 0.7, points_per_side: 16, cleans_logits: true },
            prompt_logit_limit: None,
            normalise: Normalise { mean: [0.47, 0.45, 0.41], std: [0.27, 0.27, 0.28] },
        }
    }
}
