//! What the engine must know of a built model: data that is stored with the bundle.

mod heads;
mod memory;
mod picture;
mod task;

use serde::{Deserialize, Serialize};

use crate::Result;

pub use heads::{
    Coding, ConceptHead, DetectorHead, EverythingDefaults, Extras, HeadBranch, HeadForm, LookHead, Output, PLANES, PromptHead, Selection,
    SingleMask, Vocabulary, WordHead,
};
pub use memory::MemoryHead;
pub use picture::{MaskDecoder, embedding, folded_embedding};
pub use task::Task;

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
    /// Stretched to the square input by a cubic filter in 8 bits, and normalised (OWL-ViT).
    StretchLevels(Normalise),
    /// Stretched to the square input by an antialiased linear filter in 8 bits, and normalised (SAM 3).
    StretchLevelsLinear(Normalise),
    /// Put into the top left corner of a black square, which is blurred and scaled to the input, and normalised (OWLv2).
    PaddedSquare(Normalise),
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
    /// From 0..1 to -1..1.
    pub const CENTRED: Self = Self { mean: [0.5; 3], std: [0.5; 3] };
    /// The statistics of CLIP's pictures.
    pub const CLIP: Self = Self { mean: [0.481_454_66, 0.457_827_5, 0.408_210_73], std: [0.268_629_54, 0.261_302_6, 0.275_777_1] };
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

/// What a part does in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartRole {
    /// Pictures to embeddings.
    ImageEncoder,
    /// What the image encoder gives to what words and examples are compared with.
    ConceptNeck,
    /// What the image encoder gives to what prompts are answered from.
    PromptNeck,
    /// Words to embeddings.
    TextEncoder,
    /// Examples on a picture to embeddings.
    ExemplarEncoder,
    /// A picture's features and concepts to objects.
    ConceptDecoder,
    /// Objects of a concept to their masks.
    MaskHead,
    /// An embedding and prompts to masks.
    MaskDecoder,
    /// The same for prompts with an earlier mask, which is refined.
    RefiningDecoder,
    /// What is remembered of objects into a picture's features.
    MemoryAttention,
    /// What is seen of objects to what is remembered of them.
    MemoryEncoder,
    /// A given mask to what a decoder takes.
    MaskReader,
    /// Features of objects' own to their masks.
    ObjectDecoder,
    /// The same for prompts with an earlier mask, which is refined.
    RefiningObjectDecoder,
    /// Pictures to boxes, and what belongs to them.
    Detector,
    /// Pictures to class probabilities.
    Classifier,
    /// Pictures with prompts in them to masks.
    Segmenter,
}

/// A graph of a model, as it is stored with the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Stable name, which is also that of its file.
    pub name: String,
    /// What it does in the model.
    pub role: PartRole,
    /// Whether it is opened and warmed when the model is loaded, not when it is first needed.
    pub eager: bool,
}

/// Name of the one part of an existing export.
pub(crate) const NETWORK: &str = "network";

/// Which picture sizes a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRule {
    /// Every picture is looked at in its own size.
    Own,
    /// One size, which was chosen when the model was built.
    Built {
        /// Height and width.
        size: [usize; 2],
    },
    /// One size, which whoever exported the model has chosen.
    Exported {
        /// Height and width.
        size: [usize; 2],
    },
    /// Any size.
    Any {
        /// Sides must be multiples of it.
        multiple: usize,
    },
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
    /// Its graphs; the first one takes pictures. Made from the graphs themselves, see [`Built::new`](crate::Built::new).
    pub parts: Vec<PartInfo>,
    /// What the network gives.
    pub output: Output,
    /// How it follows objects through time; `None` where it does not.
    #[serde(default)]
    pub memory: Option<MemoryHead>,
}

impl ModelInfo {
    /// What is wrong with it in a bundle that somebody damaged: sizes that no answer can have.
    ///
    /// # Errors
    /// `Output`, as [`DetectorHead::check`].
    pub fn check(&self) -> Result<()> {
        self.memory.as_ref().map_or(Ok(()), MemoryHead::check)?;
        match &self.output {
            Output::Detector(head) => head.check(),
            Output::Words(head) => head.check(),
            Output::Concepts(head) => head.check(),
            _ => Ok(()),
        }
    }

    /// Number of classes; `None` where it knows none.
    pub fn classes(&self) -> Option<usize> {
        match &self.output {
            Output::Detector(head) => Some(head.classes),
            Output::Classifier { classes, .. } => Some(*classes),
            Output::Promptable(_) | Output::Looks(_) | Output::Words(_) | Output::Concepts(_) => None,
        }
    }

    /// How its objects are chosen; `None` where it finds none by itself.
    pub fn selection(&self) -> Option<Selection> {
        match &self.output {
            Output::Detector(head) => Some(head.selection),
            _ => None,
        }
    }

    /// Keypoints of an object; `None` where it finds none.
    pub fn keypoints(&self) -> Option<usize> {
        match &self.output {
            Output::Detector(DetectorHead { extras: Extras::Keypoints { count, .. }, .. }) => Some(*count),
            _ => None,
        }
    }

    /// Whether it answers clicks, boxes or masks.
    pub fn takes_prompts(&self) -> bool {
        match &self.output {
            Output::Promptable(_) | Output::Looks(_) => true,
            Output::Concepts(head) => head.clicks.is_some(),
            Output::Detector(_) | Output::Classifier { .. } | Output::Words(_) => false,
        }
    }

    /// Form of its mask decoder; `None` where it has none.
    pub fn mask_decoder(&self) -> Option<MaskDecoder> {
        match &self.output {
            Output::Promptable(head) => Some(head.decoder),
            Output::Concepts(head) => head.clicks.as_ref().map(|clicks| clicks.decoder),
            _ => None,
        }
    }

    /// Whether objects can be asked for in words.
    pub fn takes_words(&self) -> bool {
        self.part_of_role(PartRole::TextEncoder).is_some()
    }

    /// How it finds what words and examples say; `None` of others.
    pub fn words(&self) -> Option<&WordHead> {
        match &self.output {
            Output::Words(head) => Some(head),
            _ => None,
        }
    }

    /// How it finds what words and examples say and cuts it out; `None` of others.
    pub fn concepts(&self) -> Option<&ConceptHead> {
        match &self.output {
            Output::Concepts(head) => Some(head),
            _ => None,
        }
    }

    /// How it answers clicks, boxes and masks from an embedding of the picture; `None` of others.
    pub fn prompts(&self) -> Option<&PromptHead> {
        match &self.output {
            Output::Promptable(head) => Some(head),
            Output::Concepts(head) => head.clicks.as_ref(),
            _ => None,
        }
    }

    /// Masks that it offers for one prompt; 0 where it takes no prompts.
    pub fn masks_per_prompt(&self) -> usize {
        match &self.output {
            Output::Looks(_) => 1,
            _ => self.prompts().map_or(0, |head| head.masks),
        }
    }

    /// Looks at the picture that follow the first one for a prompt without a box; `None` where prompts are answered from an embedding,
    /// or not at all.
    pub fn refinements(&self) -> Option<usize> {
        match &self.output {
            Output::Looks(head) => Some(head.refinements),
            _ => None,
        }
    }

    /// What a promptable model does where everything is asked for; `None` of others.
    pub fn everything(&self) -> Option<&EverythingDefaults> {
        match &self.output {
            Output::Looks(head) => Some(&head.everything),
            _ => self.prompts().map(|head| &head.everything),
        }
    }

    /// Which picture sizes it takes.
    pub fn size_rule(&self) -> SizeRule {
        // Without a letterbox nothing depends on the largest stride but the network, and no network here has a larger one.
        const MULTIPLE: usize = 32;
        match (&self.output, self.fixed_size, &self.preprocess) {
            (Output::Looks(_), ..) => SizeRule::Own,
            (Output::Promptable(_) | Output::Words(_) | Output::Concepts(_), Some(size), _) => SizeRule::Built { size },
            (_, Some(size), _) => SizeRule::Exported { size },
            (.., Preprocess::Letterbox { stride }) => SizeRule::Any { multiple: *stride },
            _ => SizeRule::Any { multiple: MULTIPLE },
        }
    }

    /// Whether the size of a picture's input can be chosen for each request.
    pub fn takes_any_size(&self) -> bool {
        matches!(self.size_rule(), SizeRule::Any { .. })
    }

    /// Height and width of the input where another size needs another build.
    pub fn built_size(&self) -> Option<[usize; 2]> {
        match self.size_rule() {
            SizeRule::Built { size } => Some(size),
            _ => None,
        }
    }

    /// What the sides of an input must be multiples of, where they can be chosen.
    pub fn strict_multiple(&self) -> Option<usize> {
        match self.size_rule() {
            SizeRule::Any { multiple } => Some(multiple),
            _ => None,
        }
    }

    /// The first part of this role.
    pub fn part_of_role(&self, role: PartRole) -> Option<&PartInfo> {
        self.parts.iter().find(|part| part.role == role)
    }
}
