//! Arguments of `eval`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use maskline::{HeadBranch, Precision};

use crate::args::{Compute, Multimask, head_branch, keypoint_shape, precision};

/// Which model, and what runs it, as for `run`; then what it is judged by.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Eval {
    /// Checkpoint (.safetensors, .pt), ONNX export, name of a pulled model, or with --synthetic of an architecture (see `maskline list`).
    #[arg(required_unless_present = "predictions", conflicts_with = "predictions")]
    pub(crate) model: Option<OsString>,
    /// Ground truth: COCO's instances.json, with polygons or run lengths.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Folder of the pictures. [default: `images` beside the ground truth, or its folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Judge these detections (COCO's results format) in place of a model's.
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
    /// Print one JSON object in place of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the JSON object to a file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that maskline did not write.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// At most so many pictures, chosen by the seed.
    #[arg(long, value_name = "COUNT", conflicts_with = "predictions")]
    pub(crate) images_limit: Option<usize>,
    /// Seed of the choice of pictures and objects, of the intervals, and of generated weights.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Generate weights for a published architecture: real size and speed, meaningless answers.
    #[arg(long)]
    pub(crate) synthetic: bool,
    /// Keypoints of a pose checkpoint that does not tell, as COUNTxDIMS.
    #[arg(long, value_name = "17x3", value_parser = keypoint_shape)]
    pub(crate) keypoints: Option<[usize; 2]>,
    /// Which of a detector's two heads answers, as for `run`.
    #[arg(long, value_name = "one2many|one2one", value_parser = head_branch)]
    pub(crate) head: Option<HeadBranch>,
    /// Numbers that the model computes with, as for `run`.
    #[arg(long, default_value = "auto", value_name = "NUMBERS", value_parser = precision)]
    pub(crate) precision: Precision,
    #[command(flatten)]
    pub(crate) compute: Compute,
    /// Most pixels of a picture that is decoded.
    #[arg(long, default_value_t = 100_000_000)]
    pub(crate) max_pixels: u64,
    /// ONNX Runtime library (file or folder); else found or fetched.
    #[arg(long, value_name = "PATH")]
    pub(crate) runtime: Option<PathBuf>,
    /// Never use the network.
    #[arg(long, env = "MASKLINE_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) offline: bool,
    /// Objects with less pixels are left out.
    #[arg(long, default_value_t = 1024, value_name = "AREA", help_heading = PROMPTS)]
    pub(crate) min_area: u64,
    /// At most so many objects, chosen by the seed.
    #[arg(long, value_name = "COUNT", help_heading = PROMPTS)]
    pub(crate) objects_limit: Option<usize>,
    /// Clicks per object.
    #[arg(long, default_value_t = 5, value_name = "COUNT", help_heading = PROMPTS)]
    pub(crate) clicks: usize,
    /// Each click comes with the logits of the answer before.
    #[arg(long, help_heading = PROMPTS)]
    pub(crate) mask_feedback: bool,
    /// Which mask is the answer: auto takes of a single click the best of three; off the model's single answer.
    #[arg(long, value_enum, default_value_t = Multimask::Auto, help_heading = PROMPTS)]
    pub(crate) multimask: Multimask,
    /// The JSON lists the IoU of every object.
    #[arg(long, help_heading = PROMPTS)]
    pub(crate) per_object: bool,
    /// Least score.
    #[arg(long, default_value_t = 0.001, help_heading = DETECTORS)]
    pub(crate) conf: f32,
    /// Overlap above which the worse of two boxes of a class goes. [default: 0.7; with words none goes]
    #[arg(long, help_heading = DETECTORS)]
    pub(crate) iou: Option<f32>,
    /// Most objects per picture.
    #[arg(long, default_value_t = 300, value_name = "COUNT", help_heading = DETECTORS)]
    pub(crate) max_detections: usize,
    /// Letterbox to the smallest rectangle instead of a square.
    #[arg(long, help_heading = DETECTORS)]
    pub(crate) rect: bool,
    /// Pictures that go through the network together.
    #[arg(long, default_value_t = 1, value_name = "COUNT", help_heading = DETECTORS)]
    pub(crate) batch: usize,
    /// Ask for each category in the seven phrasings that published figures are measured with, of models that are told what to find.
    #[arg(long, help_heading = DETECTORS)]
    pub(crate) templates: bool,
}

const PROMPTS: &str = "Promptable models";
const DETECTORS: &str = "Detectors";
