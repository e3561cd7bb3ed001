//! What networks give, and how it is read: data for the drivers.

use serde::{Deserialize, Serialize};

use super::{MaskDecoder, Normalise, embedding, folded_embedding};
use crate::{Error, ErrorKind, Result};

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
        /// Bins of the distance distribution per box side; 1 where the distances are given as they are.
        reg_max: usize,
        /// How keypoints and angles are coded.
        coding: Coding,
    },
    /// Existing exports: one tensor [B, 4 + classes + extras, anchors] with centre boxes in input pixels and sigmoid scores.
    Decoded {
        /// Name of that output.
        predictions: String,
        /// Name of the prototype output.
        protos: Option<String>,
    },
    /// Existing exports that choose objects themselves: one tensor [B, objects, 6 + extras], rows of a box in input pixels (corners; centre and
    /// size of rotated ones), score, class and extras. Rows that stand for nothing have the score 0.
    Chosen {
        /// Name of that output.
        predictions: String,
        /// Name of the prototype output.
        protos: Option<String>,
    },
}

/// How the raw outputs of a head code keypoints and angles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Keypoints at twice the number from the anchor's corner, angles as sigmoids of a half turn (YOLOv8, YOLO11).
    Doubled,
    /// Keypoints at the number from the anchor's centre, angles in radians (YOLO26).
    Plain,
}

/// One of a detector's two heads, which were trained on other rules of what is an object's anchor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadBranch {
    /// Many anchors for each object, of which suppression leaves the best. Most detectors have this one only.
    #[default]
    OneToMany,
    /// One anchor for each object: no suppression.
    OneToOne,
}

impl HeadBranch {
    /// Both of them; the first is the one that answers where nothing is said.
    pub const ALL: [Self; 2] = [Self::OneToMany, Self::OneToOne];

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneToMany => "one2many",
            Self::OneToOne => "one2one",
        }
    }

    /// What its tensors' names begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::OneToMany => "",
            Self::OneToOne => "one2one_",
        }
    }
}

/// How a picture's objects are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Each anchor is of its best class, and of those that overlap the best stays.
    Suppression,
    /// The best pairs of anchor and class.
    Best {
        /// So many at most, unless more objects are asked for.
        most: usize,
    },
    /// The graph has chosen.
    Made,
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
    /// How objects are chosen.
    pub selection: Selection,
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
            HeadForm::Raw { strides, reg_max, .. } => {
                !strides.is_empty() && !strides.contains(&0) && (1..=MOST_CHANNELS).contains(reg_max) && self.selection != Selection::Made
            }
            HeadForm::Decoded { .. } => self.selection != Selection::Made,
            HeadForm::Chosen { .. } => self.selection == Selection::Made,
        };
        let channels = self.classes.saturating_add(self.extras.channels());
        if fits && form_fits && self.classes > 0 && channels <= MOST_CHANNELS {
            return Ok(());
        }
        let message = format!("a head of {} classes with {:?} in the form {:?} answers nothing", self.classes, self.extras, self.form);
        Err(Error::new(ErrorKind::Output, message))
    }
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

/// What a promptable family does where everything is asked for: the numbers of its published mask generator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EverythingDefaults {
    /// Masks with a smaller predicted IoU are dropped.
    pub predicted_iou: f32,
    /// Masks with a smaller stability score are dropped.
    pub stability: f32,
    /// Points a side of the grid over the whole picture.
    pub points_per_side: usize,
    /// Small regions are removed from the logits, not from the finished masks.
    pub cleans_logits: bool,
}

impl EverythingDefaults {
    /// Of `SamAutomaticMaskGenerator`.
    pub const SAM_1: Self = Self { predicted_iou: 0.88, stability: 0.95, points_per_side: 32, cleans_logits: false };
    /// Of `SAM2AutomaticMaskGenerator`.
    pub const SAM_2: Self = Self { predicted_iou: 0.8, stability: 0.95, points_per_side: 32, cleans_logits: true };
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
    /// Which decoder the bundle has, and so what its embeddings are.
    #[serde(default)]
    pub decoder: MaskDecoder,
    /// Whether a pad token follows the clicks even where a box is given.
    pub always_padded: bool,
    /// Choice of a single answer.
    pub single: SingleMask,
    /// What is done where everything is asked for.
    pub everything: EverythingDefaults,
    /// An answer's logits are cut to this size where they are the mask of a later prompt; `None` where they stay as they are.
    pub prompt_logit_limit: Option<f32>,
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

    /// Names of the tensors of an embedding, in a fixed order: see [`embedding`] and [`folded_embedding`].
    pub fn embedding(&self) -> &'static [&'static str] {
        if self.decoder == MaskDecoder::Native {
            return folded_embedding::names(self.high_resolution);
        }
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
    /// What is done where everything is asked for.
    pub everything: EverythingDefaults,
    /// As [`PromptHead::prompt_logit_limit`].
    pub prompt_logit_limit: Option<f32>,
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

/// Where a model's tokenizer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// From files that travel with the bundle.
    Files,
    /// None was beside the checkpoint: it takes examples, and no words.
    Missing,
    /// The weights are generated and know no words: each word is some id.
    StandIn,
}

impl Vocabulary {
    /// The files that a tokenizer is made of; some of them are enough.
    pub const FILES: [&str; 5] = ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];
}

/// A detector that is told by words or examples what to look for (OWL): two encoders, and the product of what they give.
///
/// The image encoder gives of each of the `grid`² patches, by rows, `boxes` f32 [B, n, 4] (centre and size in 0..1 of the input),
/// `classes` f32 [B, n, width], `shift` and `scale` f32 [B, n], and in version 2 `objectness` f32 [B, n] (logits). The text encoder takes
/// `ids` i64 [P, context] and gives `words` f32 [P, width] of length 1. With ĉ and q̂ of length 1 (1e-6 added to the length of each
/// before it is divided by), the logit of a patch and a query is `(ĉ·q̂ + shift) scale`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordHead {
    /// Patches a side.
    pub grid: usize,
    /// Width of the embeddings of words and patches.
    pub width: usize,
    /// Tokens of a text, with its start and end.
    pub context: usize,
    /// Ids of tokens are below it.
    pub vocabulary: usize,
    /// How texts become tokens.
    pub tokenizer: Vocabulary,
    /// Whether patches say how much of an object they are.
    pub has_objectness: bool,
}

impl WordHead {
    /// Name of the picture's graph.
    pub const IMAGE_ENCODER: &'static str = "image_encoder";
    /// Name of the words' graph.
    pub const TEXT_ENCODER: &'static str = "text_encoder";
    /// Output of the picture's graph.
    pub const BOXES: &'static str = "boxes";
    /// Output of the picture's graph.
    pub const CLASSES: &'static str = "classes";
    /// Output of the picture's graph.
    pub const SHIFT: &'static str = "shift";
    /// Output of the picture's graph.
    pub const SCALE: &'static str = "scale";
    /// Output of the picture's graph, in version 2.
    pub const OBJECTNESS: &'static str = "objectness";
    /// Input of the words' graph.
    pub const IDS: &'static str = "ids";
    /// Input of the words' graph where it also gives its inner tensors.
    pub const MASK: &'static str = "mask";
    /// Output of the words' graph.
    pub const WORDS: &'static str = "words";

    /// Refuses sizes that no answer can have.
    ///
    /// # Errors
    /// `Output`, which says what is wrong.
    pub fn check(&self) -> Result<()> {
        const MOST: usize = 1 << 20;
        let Self { grid, width, context, vocabulary, .. } = *self;
        if (1..=1 << 13).contains(&grid) && (1..=MOST).contains(&width) && (2..=MOST).contains(&context) && vocabulary > 2 {
            return Ok(());
        }
        let message = format!("{grid} patches a side, embeddings of {width}, {context} tokens of {vocabulary}: this finds nothing");
        Err(Error::new(ErrorKind::Output, message))
    }
}

/// A segmenter that is told by words and by examples what to look for (SAM 3). With `g` the side of the picture's grid, `C` the width of the
/// trunk, `D` that of what follows, `q` the number of queries and `L` the length of a prompt, its graphs are:
///
/// - [`IMAGE_ENCODER`](Self::IMAGE_ENCODER): the picture to `trunk` f32 [B, g², C], cells by rows;
/// - [`CONCEPT_NECK`](Self::CONCEPT_NECK): `trunk` to what all concepts share, [`FEATURES`](Self::FEATURES);
/// - [`TEXT_ENCODER`](Self::TEXT_ENCODER): `ids` i64 [P, context] to `words` f32 [P, context, D]; rows after a text's end mean nothing;
/// - [`EXEMPLAR_ENCODER`](Self::EXEMPLAR_ENCODER): `coarse`, and examples on that picture, to `exemplars` f32 [1, n + 1, D]:
///   `boxes` f32 [1, n, 4] (centre and size in 0..1), `labels` i64 [1, n] (1 wanted, 0 not), `across` and `down` f32 [1, n, r, g], the
///   weights of its pooled cells; the last row is that of examples as a whole;
/// - [`CONCEPT_DECODER`](Self::CONCEPT_DECODER): `attended`, and prompts `prompt` f32 [P, L, D] of which `present` f32 [P, L] tells the
///   rows that count (1 or 0), to `logits` f32 [P, q], `presence` f32 [P, 1], `boxes` f32 [P, q, 4] (corners in 0..1), `queries` f32
///   [P, q, D] and `encoded` f32 [P, g², D];
/// - [`MASK_HEAD`](Self::MASK_HEAD): of one prompt `encoded`, `prompt`, `present`, chosen `queries` f32 [1, k, D], and of the picture `middle`
///   and `fine`, to `masks` f32 [1, k, 4g, 4g] (logits).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptHead {
    /// Side of the picture's grid.
    pub grid: usize,
    /// Width of words, examples and queries.
    pub width: usize,
    /// Width of the trunk.
    pub trunk_width: usize,
    /// Objects that are looked for at once.
    pub queries: usize,
    /// Cells a side of what is pooled of an example's box.
    pub pooled: usize,
    /// Tokens of a text, with its start and end.
    pub context: usize,
    /// Ids of tokens are below it.
    pub vocabulary: usize,
    /// How texts become tokens.
    pub tokenizer: Vocabulary,
    /// Its head for clicks, boxes and masks, whose image side is [`CLICK_NECK`](Self::CLICK_NECK): `trunk` to the [`embedding`]. `None`
    /// where the checkpoint has none.
    pub clicks: Option<PromptHead>,
}

impl ConceptHead {
    /// Name of a graph.
    pub const IMAGE_ENCODER: &'static str = "image_encoder";
    /// Name of a graph.
    pub const CONCEPT_NECK: &'static str = "concept_neck";
    /// Name of a graph.
    pub const CLICK_NECK: &'static str = "click_neck";
    /// Name of a graph.
    pub const TEXT_ENCODER: &'static str = WordHead::TEXT_ENCODER;
    /// Name of a graph.
    pub const EXEMPLAR_ENCODER: &'static str = "exemplar_encoder";
    /// Name of a graph.
    pub const CONCEPT_DECODER: &'static str = "concept_decoder";
    /// Name of a graph.
    pub const MASK_HEAD: &'static str = "mask_head";
    /// What the image encoder gives.
    pub const TRUNK: &'static str = "trunk";
    /// The picture's cells as examples look at them, f32 [B, g², D].
    pub const COARSE: &'static str = "coarse";
    /// The picture's cells after they have looked at each other, before they look at a prompt, f32 [B, g², D].
    pub const ATTENDED: &'static str = "attended";
    /// What the picture adds to a prompt's pixels at twice the resolution, f32 [B, D, 4g, g]: first pixels of even rows and columns, then those
    /// of even rows and odd columns, and so on.
    pub const MIDDLE: &'static str = "middle";
    /// The same at four times the resolution, f32 [B, D, 8g, 2g].
    pub const FINE: &'static str = "fine";
    /// What stands for examples where there are none, f32 [B, 1, D]: the official model's prompts always end with it.
    pub const BLANK: &'static str = "blank";
    /// Outputs of the concept neck.
    pub const FEATURES: [&'static str; 5] = [Self::COARSE, Self::BLANK, Self::ATTENDED, Self::MIDDLE, Self::FINE];
    /// Input of the text encoder.
    pub const IDS: &'static str = WordHead::IDS;
    /// Output of the text encoder.
    pub const WORDS: &'static str = WordHead::WORDS;
    /// Input of the exemplar encoder, output of the concept decoder.
    pub const BOXES: &'static str = "boxes";
    /// Input of the exemplar encoder.
    pub const LABELS: &'static str = "labels";
    /// Input of the exemplar encoder.
    pub const ACROSS: &'static str = "across";
    /// Input of the exemplar encoder.
    pub const DOWN: &'static str = "down";
    /// Output of the exemplar encoder.
    pub const EXEMPLARS: &'static str = "exemplars";
    /// Input of concept decoder and mask head.
    pub const PROMPT: &'static str = "prompt";
    /// Input of concept decoder and mask head.
    pub const PRESENT: &'static str = "present";
    /// Output of the concept decoder.
    pub const LOGITS: &'static str = "logits";
    /// Output of the concept decoder.
    pub const PRESENCE: &'static str = "presence";
    /// Output of the concept decoder, input of the mask head.
    pub const QUERIES: &'static str = "queries";
    /// Output of the concept decoder, input of the mask head.
    pub const ENCODED: &'static str = "encoded";
    /// Output of the mask head.
    pub const MASKS: &'static str = "masks";

    /// Side of the masks' logits.
    pub fn mask_side(&self) -> usize {
        4 * self.grid
    }

    /// Refuses sizes that no answer can have.
    ///
    /// # Errors
    /// `Output`, which says what is wrong.
    pub fn check(&self) -> Result<()> {
        const MOST: usize = 1 << 20;
        let Self { grid, width, trunk_width, queries, pooled, context, vocabulary, .. } = *self;
        let widths = [width, trunk_width, queries, pooled];
        if (1..=1 << 11).contains(&grid)
            && widths.iter().all(|width| (1..=MOST).contains(width))
            && (2..=MOST).contains(&context)
            && vocabulary > 2
        {
            return Ok(());
        }
        let message = format!(
            "a grid of {grid}, widths, queries and pooled cells of {widths:?}, {context} tokens of {vocabulary}: this finds nothing"
        );
        Err(Error::new(ErrorKind::Output, message))
    }
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
        /// Number of classes.
        classes: usize,
        /// Name of the output.
        probabilities: String,
    },
    /// Masks for prompts, from an embedding of the picture.
    Promptable(PromptHead),
    /// Masks for prompts, from looks at the picture.
    Looks(LookHead),
    /// Boxes for words and examples.
    Words(WordHead),
    /// Masks for words and examples, and for prompts where there is a head for them.
    Concepts(ConceptHead),
}
