//! Model families: configuration, graphs and the constants of pre- and post-processing.
//!
//! A family is one folder of this crate and one line in [`families`]. It recognises its checkpoints, derives its configuration
//! from tensor shapes, and emits its graphs; what the engine must know to feed and read them is data, a [`ModelInfo`].

pub mod blocks;
mod branch;
pub mod efficientvit_sam;
mod error;
mod facts;
mod family;
mod info;
mod labels;
pub mod memory;
pub mod mobile_sam;
pub mod nano;
pub mod owl;
mod reader;
pub mod sam;
pub mod sam1;
pub mod sam2;
pub mod sam3;
mod unsupported;
pub mod yolo;

pub use error::{Error, ErrorKind, Result};
pub use facts::{Facts, without_mark};
pub use family::{
    Asset, BuildOptions, Built, Description, Family, Part, families, family_of, family_of_architecture, family_of_onnx, recognise,
};
pub use info::{
    Coding, ConceptHead, DetectorHead, EverythingDefaults, Extras, HeadBranch, HeadForm, LabelSource, LookHead, MaskDecoder, MemoryHead,
    ModelInfo, Normalise, Output, PLANES, PartInfo, PartRole, Preprocess, PromptHead, Selection, SingleMask, SizeRule, SizeSource, Task,
    Vocabulary, WordHead, embedding, folded_embedding,
};
pub use labels::parse_names;
pub use reader::PictureReader;
