//! What the engine must know of a built model: data that is stored with the bundle.

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Boxes with classes.
    Detect,
    /// Boxes with classes and a mask each.
    Segment,
    /// Boxes with keypoints.
    Pose,
    /// Class probabilities of the whole picture.
    Classify,
    /// Rotated boxes with classes.
    Obb,
    /// Masks for clicks, boxes and rough masks.
    Promptable,
}

impl Task {
    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Segment => "segment",
            Self::Pose => "pose",
            Self::Classify => "classify",
            Self::Obb => "obb",
            Self::Promptable => "promptable",
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How a picture becomes the network's input: f32 [B, 3, H, W], RGB, 0..1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Preprocess {
    /// Scaled to fit, centred on grey (114); height and width are multiples of `stride`.
    Letterbox {
        /// Largest stride of the network.
        stride: usize,
    },
    /// The short side scaled to the input size, then the centre cut out.
    CenterCrop,
    /// Stretched to the square input in floating point, antialiased, and normalised (SAM 2).
    Stretch(Normalise),
    /// The long side scaled to the input's side in 8 bits, normalised, zeros added at the right and at the bottom (SAM 1).
    LongestSide(Normalise),
    /// Kept as it is, with its halves: the network sees parts of it (nano).
    Pyramid,
}

/// Channel means and deviations of pictures in 0..1, RGB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalise {
    /// Mean.
    pub mean: [f32; 3],
    /// Standard deviation.
    pub std: [f32; 3],
}

impl Normalise {
    /// The statistics of ImageNet that most vision models share.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
}

/// What follows box and class scores of an anchor in a detector's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extras {
    /// Nothing.
    None,
    /// Coefficients of the mask prototypes.
    Masks {
        /// Number of prototypes.
        count: usize,
    },
    /// Keypoints.
    Keypoints {
        /// Number of keypoints.
        count: usize,
        /// Numbers per keypoint: 2 (x, y) or 3 (with visibility).
        dims: usize,
    },
    /// The angle of a rotated box.
    Angle,
}

impl Extras {
    /// Channels per anchor.
    pub fn channels(self) -> usize {
        match self {
            Self::None => 0,
            Self::Masks { count } => count,
            Self::Keypoints { count, dims } => count.saturating_mul(dims),
            Self::Angle => 1,
        }
    }
}

/// In which form a detector's graph gives its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadForm {
    /// maskline's own graphs: per stride `s` the convolution outputs as they are, `boxes_s` [B, 4·reg_max, H/s, W/s],
    /// `scores_s` [B, classes, H/s, W/s] and `extras_s` [B, extras, H/s, W/s]; prototypes as `protos`. Only the few anchors
    /// above the threshold are decoded.
    Raw {
        /// Strides of the levels, in the order of the anchors.
        strides: Vec<usize>,
        /// Bins of the distance distribution per box side.
        reg_max: usize,
    },
    /// Existing exports: one tensor [B, 4 + classes + extras, anchors] with centre boxes in input pixels and sigmoid scores.
    Decoded {
        /// Name of that output.
        predictions: String,
        /// Name of the prototype output.
        protos: Option<String>,
    },
}

/// The head of a detector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorHead {
    /// Number of classes.
    pub classes: usize,
    /// What each anchor carries besides box and scores.
    pub extras: Extras,
    /// Form of the outputs.
    pub form: HeadForm,
}

impl DetectorHead {
    /// Refuses sizes that no answer can have: nothing is divided by them, and no memory is asked for them.
    ///
    /// # Errors
    /// `Output`, which says what is wrong.
    pub fn check(&self) -> Result<()> {
        const MOST_CHANNELS: usize = 1 << 20;
        let fits = match self.extras {
            Extras::None | Extras::Angle => true,
            Extras::Masks { count } => count > 0,
            Extras::Keypoints { count, dims } => count > 0 && (dims == 2 || dims == 3),
        };
        let form_fits = match &self.form {
            HeadForm::Raw { strides, reg_max } => !strides.is_empty() && !strides.contains(&0) && (1..=MOST_CHANNELS).contains(reg_max),
            HeadForm::Decoded { .. } => true,
        };
        let channels = self.classes.saturating_add(self.extras.channels());
        if fits && form_fits && self.classes > 0 && channels <= MOST_CHANNELS {
            return Ok(());
        }
        let message = format!("a head of {} classes with {:?} in the form {:?} answers nothing", self.classes, self.extras, self.form);
        Err(Error::new(ErrorKind::Output, message))
    }
}

/// Names of the image encoder's outputs, which are the embedding: one tensor per name, one picture per row.
///
/// With `g` the side of the embedding, `C` its width, and `I` the inner width of the cross attentions in `h` heads.
pub mod embedding {
    /// f32 [B, g², C]: the image embedding with the no-mask embedding added, cells by rows.
    pub const CELLS: &str = "cells";
    /// f32 [B, h, I/h, g²]: the cells as keys of the first attention from tokens to the image.
    pub const KEYS: &str = "keys";
    /// f32 [B, h, g², I/h]: the cells as values of that attention.
    pub const VALUES: &str = "values";
    /// f32 [B, g², I]: the cells as queries of the first attention from the image to tokens.
    pub const QUERIES: &str = "queries";
    /// f32 [B, 4 g², C/4] (SAM 2): features of twice the resolution, in blocked order, the upscaling's bias added.
    pub const MIDDLE: &str = "middle";
    /// f32 [B, 16 g², C/8] (SAM 2): features of four times the resolution, in blocked order, the upscaling's bias added.
    pub const FINE: &str = "fine";
}

/// How one of a prompt's masks is chosen when a single answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SingleMask {
    /// The first mask.
    First,
    /// The first mask if it is stable, else the best of the others by predicted IoU (SAM 2's `dynamic_multimask_via_stability`).
    Stable {
        /// Stability compares the areas above `delta` and `-delta`.
        delta: f32,
        /// From this ratio on the first mask is stable.
        threshold: f32,
    },
}

/// A promptable segmenter: an image encoder, whose outputs are named in [`embedding`], and decoders that answer prompts.
///
/// The decoders take the embedding of one picture, `coords` f32 [P, n, 2] in pixels of the prompt square, `kinds` i64 [P, n] (see
/// [`crate::sam::kind`]), the second one also `mask` f32 [P, 1, 4g, 4g]; they give `masks` f32 [P, M, 16 g²] in blocked order
/// ([`crate::sam::unblock`]), `scores` f32 [P, M], and in SAM 2 `object` f32 [P, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptHead {
    /// Side of the image embedding.
    pub grid: usize,
    /// Side of the square in which prompts are given; the picture's long (SAM 1) or every (SAM 2) side is scaled to it.
    pub space: usize,
    /// Number of masks per prompt; the first one is for a single answer.
    pub masks: usize,
    /// Whether the decoder tells if the object is there at all.
    pub object_score: bool,
    /// Whether the encoder gives features of higher resolution too.
    pub high_resolution: bool,
    /// Whether a pad token follows the clicks even where a box is given.
    pub always_padded: bool,
    /// Choice of a single answer.
    pub single: SingleMask,
}

impl PromptHead {
    /// Name of the image encoder's graph.
    pub const ENCODER: &'static str = "image_encoder";
    /// Name of the decoder's graph for prompts without a mask.
    pub const DECODER: &'static str = "mask_decoder";
    /// Name of the decoder's graph for prompts with a mask.
    pub const MASKED_DECODER: &'static str = "mask_decoder_with_mask";
    /// Input of the decoders.
    pub const COORDS: &'static str = "coords";
    /// Input of the decoders.
    pub const KINDS: &'static str = "kinds";
    /// Input of the second decoder.
    pub const MASK: &'static str = "mask";
    /// Output of the decoders.
    pub const MASKS: &'static str = "masks";
    /// Output of the decoders.
    pub const SCORES: &'static str = "scores";
    /// Output of SAM 2's decoders.
    pub const OBJECT: &'static str = "object";

    /// Names of the tensors of an embedding, in a fixed order.
    pub fn embedding(&self) -> &'static [&'static str] {
        use embedding::{CELLS, FINE, KEYS, MIDDLE, QUERIES, VALUES};
        const NAMES: [&str; 6] = [CELLS, KEYS, VALUES, QUERIES, MIDDLE, FINE];
        if self.high_resolution { &NAMES } else { &NAMES[..4] }
    }

    /// Side of the low-resolution masks, given out and taken as prompts.
    pub fn mask_side(&self) -> usize {
        4 * self.grid
    }
}

/// Planes that a [`LookHead`]'s network takes: normalised RGB, share in the picture, positive clicks, negative clicks, box, earlier mask,
/// fovea, x, y.
pub const PLANES: usize = 11;

/// A promptable segmenter without an image encoder: for every prompt it looks at the picture itself, through a frame of cells (see
/// `maskline_vision::look`).
///
/// The network takes `planes` f32 `[P, 11, input, input]` and gives `logits` f32 `[P, output, output]` and `scores` f32 `[P]`, the
/// predicted IoU in 0..1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookHead {
    /// Input cells a side.
    pub input: usize,
    /// Output cells a side.
    pub output: usize,
    /// Room around a box on each side, as a share of the box.
    pub margin: f64,
    /// No cell is more than so many times as wide as it is high, or the other way round.
    pub max_stretch: f64,
    /// Windows are at least so many pixels wide and high.
    pub min_window: f64,
    /// How fast the cells of a fovea grow with the distance from the click.
    pub fovea_growth: f64,
    /// Foveas look at a picture whose longer side is at most this.
    pub fovea_side: usize,
    /// Standard deviation of a click's spot in input cells.
    pub click_sigma: f64,
    /// Looks that follow the first one where there is no box.
    pub refinements: usize,
    /// Statistics of the channels.
    pub normalise: Normalise,
}

impl LookHead {
    /// Name of the graph.
    pub const SEGMENTER: &'static str = "segmenter";
    /// The input.
    pub const PLANES: &'static str = "planes";
    /// Output: mask logits.
    pub const LOGITS: &'static str = "logits";
    /// Output: predicted IoU.
    pub const SCORES: &'static str = "scores";
}

/// What the network gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Output {
    /// Boxes per anchor.
    Detector(DetectorHead),
    /// Class probabilities [B, classes].
    Classifier {
        /// Name of the output.
        probabilities: String,
    },
    /// Masks for prompts, from an embedding of the picture.
    Promptable(PromptHead),
    /// Masks for prompts, from looks at the picture.
    Looks(LookHead),
}

/// Where the names of classes come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LabelSource {
    /// Nobody names them, or there are no classes.
    #[default]
    None,
    /// The checkpoint or export.
    File,
    /// The caller.
    Given,
    /// Nobody: they are those of the data set that the published models with this many classes were trained on.
    Assumed {
        /// The data set, e.g. `COCO`.
        data_set: String,
    },
}

impl LabelSource {
    /// What people should know about the names: that they were assumed, or that there are none.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Assumed { data_set } => Some(format!("names: {data_set}'s, assumed: the checkpoint does not name its classes")),
            Self::None | Self::File | Self::Given => None,
        }
    }
}

/// Where the size of the picture input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SizeSource {
    /// The published models of this architecture have it.
    #[default]
    Published,
    /// The checkpoint or export says that it was made for it.
    File,
    /// The caller.
    Given,
}

/// Most pixels a side of the picture input.
pub(crate) const MOST_SIDE: usize = 8192;

/// All that the engine must know of a built model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Family name, e.g. `yolov8`.
    pub family: String,
    /// Architecture name, e.g. `yolov8n-seg`, or a description where the sizes are no published ones.
    pub architecture: String,
    /// What the model answers.
    pub task: Task,
    /// Class names by index; empty where neither checkpoint nor family knows them.
    pub labels: Vec<String>,
    /// Where the class names come from.
    #[serde(default)]
    pub labels_from: LabelSource,
    /// Which weights of a file that holds several were taken, and what was left out: sentences for people.
    #[serde(default)]
    pub weights_notes: Vec<String>,
    /// Name of the picture input.
    pub input: String,
    /// How pictures are brought to the input.
    pub preprocess: Preprocess,
    /// Side of the square input that is used unless asked otherwise.
    pub default_size: usize,
    /// Where that size comes from.
    #[serde(default)]
    pub size_from: SizeSource,
    /// Height and width, where the graph takes no other.
    pub fixed_size: Option<[usize; 2]>,
    /// Batch size, where the graph takes no other.
    pub fixed_batch: Option<usize>,
    /// What the network gives.
    pub output: Output,
}
