//! What sets the generations of networks apart: their layers, scales and heads, as the configurations of the `ultralytics` package say.

use self::Layer::{Attention, Concat, Down, Upsample};
use self::Link::{Attended, Narrow, Nested, Wide};
use crate::Coding;

/// A generation: its networks at every scale.
#[derive(Debug, PartialEq)]
pub(super) struct Generation {
    /// What the names of its architectures begin with, which is also the name of the family.
    pub(super) name: &'static str,
    /// As people write it, with an article.
    pub(super) title: &'static str,
    /// Layers of the detectors below the head.
    pub(super) detector: &'static [Layer],
    /// Layers that the head of the detectors reads, of the strides 8, 16 and 32.
    pub(super) levels: [usize; 3],
    /// Layers of the classifiers below the head.
    pub(super) classifier: &'static [Layer],
    /// Published scales.
    pub(super) scales: [Scale; 5],
    /// Bins of the distance distribution per box side; 1 for plain distances.
    pub(super) reg_max: usize,
    /// Class branches of a depthwise and a pointwise convolution each, instead of two plain ones.
    pub(super) has_light_classes: bool,
    /// How keypoints and angles are coded.
    pub(super) coding: Coding,
    /// A second head for answers without suppression, and the finer prototypes and keypoints that came with it.
    pub(super) has_two_heads: bool,
}

/// A published scale.
#[derive(Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) name: &'static str,
    /// Of the numbers of repeats.
    pub(super) depth: f64,
    /// Of the channels.
    pub(super) width: f64,
    /// Most channels before they are scaled.
    pub(super) widest: usize,
    /// The same of classifiers.
    pub(super) widest_classifier: usize,
    /// Whether links between the halves of stages are small stages themselves.
    pub(super) is_nested: bool,
}

/// A layer before it is scaled. It reads the one before it, and [`Layer::Concat`] another one too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Layer {
    /// A convolution that halves the resolution.
    Down(usize),
    /// Half the channels go through a chain of links, and all results are joined.
    Stage(Stage),
    /// Chained maxima over windows.
    Pool(Pool),
    /// Half the channels go through blocks of attention.
    Attention { channels: usize, repeats: usize },
    /// Doubles the resolution.
    Upsample,
    /// Joined with an earlier layer.
    Concat(usize),
}

/// A cross-stage block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    pub(super) channels: usize,
    pub(super) repeats: usize,
    pub(super) link: Link,
    /// Channels of the links, as a share of the output.
    pub(super) share: f64,
    /// Whether bottlenecks add their input.
    pub(super) adds: bool,
}

/// A link of the chain in a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Link {
    /// A bottleneck that keeps its channels.
    Wide,
    /// A bottleneck that halves them.
    Narrow,
    /// A small stage of two bottlenecks.
    Nested,
    /// A bottleneck and a block of attention.
    Attended,
}

/// A pyramid of maxima.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pool {
    pub(super) channels: usize,
    /// Nothing follows its first convolution, and its input is added where widths agree.
    pub(super) is_residual: bool,
}

const fn stage(channels: usize, repeats: usize, link: Link) -> Layer {
    Layer::Stage(Stage { channels, repeats, link, share: 0.5, adds: true })
}

const fn quarter_stage(channels: usize) -> Layer {
    Layer::Stage(Stage { channels, repeats: 2, link: Link::Narrow, share: 0.25, adds: true })
}

const fn plain_stage(channels: usize) -> Layer {
    Layer::Stage(Stage { channels, repeats: 3, link: Link::Wide, share: 0.5, adds: false })
}

const fn pool(is_residual: bool) -> Layer {
    Layer::Pool(Pool { channels: 1024, is_residual })
}

const fn scale(name: &'static str, [depth, width]: [f64; 2], widest: [usize; 2], is_nested: bool) -> Scale {
    Scale { name, depth, width, widest: widest[0], widest_classifier: widest[1], is_nested }
}

/// YOLOv8 (2023).
pub(super) static V8: Generation = Generation {
    name: "yolov8",
    title: "a YOLOv8",
    detector: &[
        Down(64),
        Down(128),
        stage(128, 3, Wide),
        Down(256),
        stage(256, 6, Wide),
        Down(512),
        stage(512, 6, Wide),
        Down(1024),
        stage(1024, 3, Wide),
        pool(false),
        Upsample,
        Concat(6),
        plain_stage(512),
        Upsample,
        Concat(4),
        plain_stage(256),
        Down(256),
        Concat(12),
        plain_stage(512),
        Down(512),
        Concat(9),
        plain_stage(1024),
    ],
    levels: [15, 18, 21],
    classifier: &[
        Down(64),
        Down(128),
        stage(128, 3, Wide),
        Down(256),
        stage(256, 6, Wide),
        Down(512),
        stage(512, 6, Wide),
        Down(1024),
        stage(1024, 3, Wide),
    ],
    scales: [
        scale("n", [0.33, 0.25], [1024, 1024], false),
        scale("s", [0.33, 0.5], [1024, 1024], false),
        scale("m", [0.67, 0.75], [768, 1024], false),
        scale("l", [1.0, 1.0], [512, 1024], false),
        scale("x", [1.0, 1.25], [512, 1024], false),
    ],
    reg_max: 16,
    has_light_classes: false,
    coding: Coding::Doubled,
    has_two_heads: false,
};

/// YOLO11 (2024).
pub(super) static V11: Generation = Generation {
    name: "yolo11",
    title: "a YOLO11",
    detector: &[
        Down(64),
        Down(128),
        quarter_stage(256),
        Down(256),
        quarter_stage(512),
        Down(512),
        stage(512, 2, Nested),
        Down(1024),
        stage(1024, 2, Nested),
        pool(false),
        Attention { channels: 1024, repeats: 2 },
        Upsample,
        Concat(6),
        stage(512, 2, Narrow),
        Upsample,
        Concat(4),
        stage(256, 2, Narrow),
        Down(256),
        Concat(13),
        stage(512, 2, Narrow),
        Down(512),
        Concat(10),
        stage(1024, 2, Nested),
    ],
    levels: [16, 19, 22],
    classifier: CLASSIFIER,
    scales: SCALES,
    reg_max: 16,
    has_light_classes: true,
    coding: Coding::Doubled,
    has_two_heads: false,
};

/// YOLO26 (2026).
pub(super) static V26: Generation = Generation {
    name: "yolo26",
    title: "a YOLO26",
    detector: &[
        Down(64),
        Down(128),
        quarter_stage(256),
        Down(256),
        quarter_stage(512),
        Down(512),
        stage(512, 2, Nested),
        Down(1024),
        stage(1024, 2, Nested),
        pool(true),
        Attention { channels: 1024, repeats: 2 },
        Upsample,
        Concat(6),
        stage(512, 2, Nested),
        Upsample,
        Concat(4),
        stage(256, 2, Nested),
        Down(256),
        Concat(13),
        stage(512, 2, Nested),
        Down(512),
        Concat(10),
        stage(1024, 1, Attended),
    ],
    levels: [16, 19, 22],
    classifier: CLASSIFIER,
    scales: SCALES,
    reg_max: 1,
    has_light_classes: true,
    coding: Coding::Plain,
    has_two_heads: true,
};

/// Of YOLO11 and YOLO26.
const CLASSIFIER: &[Layer] = &[
    Down(64),
    Down(128),
    quarter_stage(256),
    Down(256),
    quarter_stage(512),
    Down(512),
    stage(512, 2, Nested),
    Down(1024),
    stage(1024, 2, Nested),
    Attention { channels: 1024, repeats: 2 },
];

/// Of YOLO11 and YOLO26.
const SCALES: [Scale; 5] = [
    scale("n", [0.5, 0.25], [1024, 1024], false),
    scale("s", [0.5, 0.5], [1024, 1024], false),
    scale("m", [0.5, 1.0], [512, 512], true),
    scale("l", [1.0, 1.0], [512, 512], true),
    scale("x", [1.0, 1.5], [512, 512], true),
];

impl Generation {
    /// The layers below the head.
    pub(super) fn layers(&self, is_classifier: bool) -> &'static [Layer] {
        if is_classifier { self.classifier } else { self.detector }
    }

    /// The head's place among the layers.
    pub(super) fn head_layer(&self, is_classifier: bool) -> usize {
        self.layers(is_classifier).len()
    }

    /// Whether stages are of the kind that came with YOLO11.
    pub(super) fn stage_class(&self) -> &'static str {
        if self.has_light_classes { "C3k2" } else { "C2f" }
    }
}

impl Layer {
    /// The class of its module, of a generation whose stages are of this one.
    pub(super) fn class(&self, stage: &'static str) -> &'static str {
        match self {
            Self::Down(_) => "Conv",
            Self::Stage(_) => stage,
            Self::Pool(_) => "SPPF",
            Self::Attention { .. } => "C2PSA",
            Self::Upsample => "Upsample",
            Self::Concat(_) => "Concat",
        }
    }

    /// The layers that it reads; -1 is the one before it.
    pub(super) fn reads(&self) -> Vec<i64> {
        match self {
            Self::Concat(other) => vec![-1, *other as i64],
            _ => vec![-1],
        }
    }
}
