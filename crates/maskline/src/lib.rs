//! maskline: from the official checkpoint to masks and boxes, with no Python in the path.
//!
//! ```no_run
//! use maskline::{Engine, EngineOptions, Image, LoadOptions, PredictOptions};
//!
//! # fn main() -> Result<(), maskline::Error> {
//! let engine = Engine::new(EngineOptions::default())?;
//! let model = engine.load("yolov8n.safetensors", &LoadOptions::default())?; // or the name of a model that was pulled
//! let image = Image::open("bus.jpg")?;
//! let found = model.predict(&image, &PredictOptions::default())?;
//! for object in &found.objects {
//!     println!("{} {:.2} {:?}", object.label.as_deref().unwrap_or("?"), object.score, object.bounds);
//! }
//! println!("the network took {:?} of {:?}", found.timings.networks(), found.timings.total());
//! # Ok(())
//! # }
//! ```
//!
//! Promptable models encode a picture once, and answer any number of clicks, boxes and masks on it:
//!
//! ```no_run
//! use maskline::{Engine, EngineOptions, Image, LoadOptions, Prompt, SegmentOptions};
//!
//! # fn main() -> Result<(), maskline::Error> {
//! let engine = Engine::new(EngineOptions::default())?;
//! let model = engine.load("sam2.1_hiera_tiny.pt", &LoadOptions::default())?;
//! let embedding = model.embed(&Image::open("photo.jpg")?)?;
//! let prompts = [Prompt::click(500.0, 375.0), Prompt::bounds([75.0, 275.0, 1725.0, 850.0])];
//! let found = embedding.find(&prompts, &SegmentOptions::default())?;
//! for object in found.objects() {
//!     println!("{:?} {:.2}", object.bounds, object.score);
//! }
//! embedding.save("photo.embedding")?;
//! # Ok(())
//! # }
//! ```
//!
//! An [`Engine`] owns ONNX Runtime and the caches, a [`Model`] its lanes. The first load of a checkpoint builds a bundle (plain ONNX, kept on
//! disk); later loads take it from there. Any mix of questions about a picture is a [`Request`], which [`Model::answer`] answers at once and
//! [`Model::ask`] without waiting; `docs/library.md` tells of threads, ownership and caches.

mod ask;
mod bundle;
mod cache;
mod calibration;
mod cancel;
mod degrade;
mod delays;
mod detect;
mod drivers;
mod engine;
mod error;
mod host;
mod image;
mod limits;
mod model;
mod names;
mod part;
mod precision;
mod promptable;
mod source;
mod stages;
mod tracker;
mod usage;
pub mod verify;
mod workers;

pub use ask::{Answer, Answerer, Answers, Ask, Concept, Exemplar, Pair, PairOptions, Request, Subject, Ticket};
pub use bundle::{Bundle, BundleOptions, Kernels, write_generated_weights};
pub use calibration::{Calibrating, Calibration, CalibrationOptions, Observer};
pub use degrade::Degradation;
pub use delays::Delays;
pub use detect::{ClassScore, Detections, InputSize, PredictOptions, Usual, WordOptions};
pub use engine::{Engine, EngineOptions, LoadOptions, Preprocessing};
pub use error::{Concern, Error, ErrorKind, Result};
pub use image::Image;
pub use maskline_models::{
    Description, HeadBranch, LabelSource, MaskDecoder, MemoryHead, ModelInfo, PartInfo, PartRole, Selection, SizeRule, SizeSource, Task,
    Vocabulary, families, parse_names,
};
pub use maskline_onnx::Dialect;
pub use maskline_runtime::{self as runtime, Faults, Priority, Provider, ProviderShare};
pub use maskline_vision::{self as vision, Keypoint, Mask, Object, RgbImage, RotatedBox};
pub use model::Model;
pub use names::read_names;
pub use part::Part;
pub use precision::{Numbers, Precision};
pub use promptable::{
    Click, Embedding, Everything, EverythingOptions, Found, MaskPrompt, Masked, Multimask, Origin, PartLogits, Progress, Prompt,
    PromptMask, SegmentOptions, Segments, Watch,
};
pub use source::ModelSource;
pub use stages::{ColdTimings, EmbeddingSource, PhraseCount, Stage, Stages};
pub use tracker::{Direction, Frame, FrameEncoder, MemoryPrecision, ObjectId, Tracked, TrackedObject, Tracker, TrackerOptions};
pub use usage::{CacheUsage, Usage};

/// So that the code of the guide compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Guide;
