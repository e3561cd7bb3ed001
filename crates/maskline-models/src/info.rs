//! What the engine must know of a built model: data that is stored with the bundle.

use serde::{Deserialize, Serialize};

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
            Self::Keypoints { count, dims } => count * dims,
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
}

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
    /// Name of the picture input.
    pub input: String,
    /// How pictures are brought to the input.
    pub preprocess: Preprocess,
    /// Side of the square input that is used unless asked otherwise.
    pub default_size: usize,
    /// Height and width, where the graph takes no other.
    pub fixed_size: Option<[usize; 2]>,
    /// Batch size, where the graph takes no other.
    pub fixed_batch: Option<usize>,
    /// What the network gives.
    pub output: Output,
}
