//! What a model answers, and the questions that follow from it.

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
    /// Masks for clicks, boxes and rough masks.
    Promptable,
    /// Boxes for words and examples.
    Find,
    /// Masks for words and examples.
    Concepts,
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
            Self::Find => "find",
            Self::Concepts => "concepts",
        }
    }

    /// What a model of this task is, for sentences.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Detect => "a detector",
            Self::Segment => "a detector with masks",
            Self::Pose => "a pose model",
            Self::Classify => "a classifier",
            Self::Obb => "a detector of rotated boxes",
            Self::Promptable => "a promptable model",
            Self::Find => "a finder of what words and examples say",
            Self::Concepts => "a segmenter of what words and examples say",
        }
    }

    /// Whether it finds objects by itself, each with a box.
    pub fn finds_boxes(self) -> bool {
        !matches!(self, Self::Classify | Self::Promptable | Self::Find | Self::Concepts)
    }

    /// Whether it is told by words or examples which objects to find.
    pub fn takes_concepts(self) -> bool {
        matches!(self, Self::Find | Self::Concepts)
    }

    /// Whether it answers with objects, not with a word about the whole picture.
    pub fn has_objects(self) -> bool {
        self != Self::Classify
    }

    /// Whether its objects have masks.
    pub fn has_masks(self) -> bool {
        matches!(self, Self::Segment | Self::Promptable | Self::Concepts)
    }

    /// Whether it says of the whole picture what it shows.
    pub fn classifies(self) -> bool {
        self == Self::Classify
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
