//! How good a model is on a data set in COCO's format.
//!
//! [`Truth`] reads the data set. [`promptable()`] gives a model boxes and clicks and compares its masks with the true ones;
//! [`detector()`] lets a detector find objects, [`finder()`] tells a model the names of what to find, and [`detections()`] gives what they,
//! or any other program ([`read_predictions`]), found COCO's average precision. `docs/eval.md` has the definitions.
//!
//! ```no_run
//! use maskline::{Engine, EngineOptions, LoadOptions};
//! use maskline_eval as eval;
//!
//! # fn main() -> Result<(), maskline::Error> {
//! let engine = Engine::new(EngineOptions::default())?;
//! let model = engine.load("sam2.1_hiera_tiny.pt", &LoadOptions::default())?;
//! let truth = eval::Truth::open("coco/instances.json")?.with_pictures("coco/images");
//! let report = eval::promptable(&model, &truth, &eval::PromptableOptions::default(), |done, all| eprintln!("{done} of {all}"))?;
//! for asked in &report.prompts {
//!     println!("{}: {:.3}", asked.prompt, asked.all.mean_iou);
//! }
//! # Ok(())
//! # }
//! ```

mod agreement;
mod average;
mod baselines;
mod choice;
mod clicks;
mod detections;
mod detector;
mod file;
mod finder;
mod ids;
mod interval;
mod matching;
mod predictions;
mod promptable;
mod quality;
mod rounds;
mod truth;

pub use agreement::{Said, agreement, ask};
pub use clicks::{first_click, next_click};
pub use detections::{AveragePrecision, Detection, DetectionReport, Judged, Phrases, detections};
pub use detector::{DetectorOptions, detector};
pub use file::without_mark;
pub use finder::{finder, phrase};
pub use predictions::read_predictions;
pub use promptable::{PromptableOptions, promptable};
pub use quality::{Asked, LeftOut, ObjectQuality, PromptQuality, PromptableReport, Quality};
pub use truth::{Annotation, Category, Picture, Truth};
