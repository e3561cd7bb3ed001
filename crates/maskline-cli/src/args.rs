//! Arguments.

mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::bench::{Bench, WorkerOptions};
use crate::concepts;
use crate::eval::Eval;
use crate::gpu::Gpu;
use crate::prompts;
use crate::provider::{OpenVino, provider};
use crate::ps::{Ps, Stop};
use crate::quantise::Quantise;
use crate::runtimes::Runtimes;
use crate::serve::Serve;
use crate::track::Track;

use clap::{Args, Parser, Subcommand, ValueEnum};
use maskline::{Error, HeadBranch, Kernels, MaskDecoder, Precision, Provider};

pub(crate) use values::{Preprocess, head_branch, keypoint_shape, mask_decoder, precision};

/// Promptable vision models: from the official checkpoint to masks and boxes, with no Python in the path.
#[derive(Debug, Parser)]
#[command(name = "maskline", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 failed, 2 usage, 3 bad input, 4 model or runtime not available, 5 over a limit.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a model on pictures.
    Run(Box<Run>),
    /// Follow objects through a clip.
    Track(Box<Track>),
    /// Build a model's bundle (plain ONNX) and say where it is.
    Build(Build),
    /// Compare with golden cases of the official implementation.
    Verify(Verify),
    /// Measure how good a model is, on ground truth in COCO's format.
    Eval(Box<Eval>),
    /// Measure how fast models are on this machine: cold and steady, by stages, sizes, prompts and loads.
    Bench(Box<Bench>),
    /// Serve models: Open Inference Protocol over HTTP and gRPC, and a REST interface of its own.
    Serve(Box<Serve>),
    /// Say what a running server is doing.
    Ps(Ps),
    /// End a running server, or unload one of its models.
    Stop(Stop),
    /// A process with a model, which `bench` starts and talks to.
    #[command(hide = true)]
    BenchWorker(WorkerOptions),
    /// Download a model by its name, once.
    Pull(Pull),
    /// List families, their published architectures, and the models that can be pulled.
    List(Json),
    /// Say what a model is, where it comes from and where it is.
    Show(Named),
    /// Remove a pulled model.
    Rm(Named),
    /// Say what a bug report needs, and what is missing of each provider.
    Doctor(Doctor),
    /// List, fetch and remove builds of ONNX Runtime: for OpenVINO, CUDA and TensorRT.
    #[command(subcommand)]
    Runtime(Runtimes),
    /// Make a model's int8 from pictures of yours, if it is worth it and good enough.
    #[command(alias = "quantize")]
    Quantise(Box<Quantise>),
    /// Look after the cache of built models.
    #[command(subcommand)]
    Cache(Cache),
    /// Print a shell's completion script.
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version(Json),
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Load the ONNX Runtime of this provider, and let it compute something small.
    #[arg(long, env = "MASKLINE_PROVIDER", default_value = "cpu", value_parser = ["cpu", "openvino", "cuda", "tensorrt"])]
    pub(crate) provider: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Name, as in `maskline list`.
    pub(crate) name: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Never use the network: only say whether the model is here.
    #[arg(long, env = "MASKLINE_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name, as in `maskline list`.
    pub(crate) name: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which model, and what runs it.
#[derive(Debug, Args)]
pub(crate) struct Model {
    /// Checkpoint (.safetensors, .pt), ONNX export, name of a pulled model, or with --synthetic of an architecture (see `maskline list`).
    pub(crate) model: OsString,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
}

/// What a network runs on.
#[derive(Debug, Args)]
pub(crate) struct Compute {
    /// What runs the network; one that is not there is an error, never a silent fall-back.
    #[arg(long, env = "MASKLINE_PROVIDER", default_value = "cpu", value_parser = ["cpu", "openvino", "cuda", "tensorrt"])]
    pub(crate) provider: String,
    #[command(flatten)]
    pub(crate) gpu: Gpu,
    /// Threads of the network; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Side of the network input, a multiple of 32 (of SAM 3: 14); models with prompts or words are built for one size. [default: the model's]
    #[arg(long)]
    pub(crate) size: Option<usize>,
    #[command(flatten)]
    pub(crate) openvino: OpenVino,
}

impl Compute {
    /// What runs the network, with its options.
    ///
    /// # Errors
    /// `InvalidOption` for options that the provider has not.
    pub(crate) fn provider(&self) -> Result<Provider, Error> {
        provider(&self.provider, &self.gpu, &self.openvino)
    }
}

/// How a model is found and built.
#[derive(Debug, Args)]
pub(crate) struct ModelOptions {
    /// Generate weights for a published architecture: real size and speed, meaningless answers.
    #[arg(long)]
    pub(crate) synthetic: bool,
    /// Seed of generated weights.
    #[arg(long, default_value_t = 0, requires = "synthetic")]
    pub(crate) seed: u64,
    /// Keypoints of a pose checkpoint that does not tell, as COUNTxDIMS.
    #[arg(long, value_name = "17x3", value_parser = keypoint_shape)]
    pub(crate) keypoints: Option<[usize; 2]>,
    /// Which of a detector's two heads answers, where it has two (YOLO26): one2many with suppression, as its reference predicts by default, or
    /// one2one, the best objects without suppression
    #[arg(long, value_name = "one2many|one2one", value_parser = head_branch)]
    pub(crate) head: Option<HeadBranch>,
    /// Mask decoder: maskline's own operators, or a graph of ONNX Runtime's [default: what is fastest here]
    #[arg(long, value_name = "graph|native", value_parser = mask_decoder)]
    pub(crate) decoder: Option<MaskDecoder>,
    /// Layers of image encoders: operators of maskline's own, or ONNX Runtime's; auto is what is fastest here
    #[arg(long, default_value = "auto", value_name = "auto|own|ort")]
    pub(crate) kernels: Kernels,
    /// Numbers that the model computes with: f32; f16, of which processors have the weights alone; f16-emulated, what a GPU answers in f16,
    /// slowly; auto is f16 on GPUs and f32 on processors
    #[arg(long, default_value = "auto", value_name = "NUMBERS", value_parser = precision)]
    pub(crate) precision: Precision,
    /// Class names instead of those of the model file: one a line, or YAML or JSON with `names`.
    #[arg(long, value_name = "FILE")]
    pub(crate) names: Option<PathBuf>,
    /// ONNX Runtime library (file or folder); else found or fetched.
    #[arg(long, value_name = "PATH")]
    pub(crate) runtime: Option<PathBuf>,
    /// Never use the network.
    #[arg(long, env = "MASKLINE_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
#[command(override_usage = "maskline run [OPTIONS] [MODEL] <IMAGES>...", allow_negative_numbers = true)]
pub(crate) struct Run {
    /// MODEL: checkpoint (.safetensors, .pt), ONNX export, name of a pulled model, or with --synthetic of an architecture (see
    /// `maskline list`); left out, the small model that maskline carries. IMAGES: pictures (JPEG, PNG, WebP, BMP, TIFF, GIF), folders of
    /// pictures, globs, or lists: @FILE, one path a line (a picture whose name begins with @ is ./@NAME).
    #[arg(required = true, value_names = ["[MODEL] IMAGES"])]
    pub(crate) words: Vec<OsString>,
    /// Look for pictures in folders within folders too.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
    /// Folder for what is written.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// What is written; may be given several times or with commas. [default: jpg (without a MODEL also masks), with --json nothing]
    #[arg(short, long, value_delimiter = ',', value_name = "FORMAT")]
    pub(crate) format: Vec<Format>,
    /// Print one JSON object per picture and line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Replace files that maskline did not write (never pictures and other files that this run reads).
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Go on with a folder: pictures that the same command has answered before, and that did not change, are left out.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Say nothing but errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// YOLO label files with the score at the end of each line, which is not for training.
    #[arg(long)]
    pub(crate) save_conf: bool,
    /// Where pictures are prepared: by the host, or by the network's provider, as products with matrices (promptable models and those of words).
    #[arg(long, value_enum, default_value_t = Preprocess::Host)]
    pub(crate) preprocess: Preprocess,
    #[command(flatten)]
    pub(crate) compute: Compute,
    /// Letterbox to the smallest rectangle instead of a square.
    #[arg(long)]
    pub(crate) rect: bool,
    /// Least score; detectors 0.25, words 0.1, examples 0.6, SAM 3 0.5 where nothing is said. With commas one for each phrase and example.
    #[arg(long, value_name = "SCORE[,…]", value_parser = concepts::parse_least_scores)]
    pub(crate) conf: Option<concepts::LeastScores>,
    /// Overlap above which the worse of two boxes of a class goes; detectors 0.7, examples 0.3, words and
    /// one2one heads never where nothing is said.
    #[arg(long)]
    pub(crate) iou: Option<f32>,
    /// Most objects per picture.
    #[arg(long, default_value_t = 300)]
    pub(crate) max_detections: usize,
    /// Only these classes, by index or name, with commas.
    #[arg(long, value_name = "CLASS,…")]
    pub(crate) classes: Vec<String>,
    /// Boxes of different classes suppress each other too.
    #[arg(long)]
    pub(crate) agnostic_nms: bool,
    /// Pictures that go through the network together.
    #[arg(long, default_value_t = 1)]
    pub(crate) batch: usize,
    /// Most pixels of a picture that is decoded.
    #[arg(long, default_value_t = 100_000_000)]
    pub(crate) max_pixels: u64,
    /// Go over the pictures so many times (for timing).
    #[arg(long, default_value_t = 1)]
    pub(crate) repeat: usize,
    #[command(flatten)]
    pub(crate) worded: Worded,
    #[command(flatten)]
    pub(crate) prompted: Prompted,
    #[command(flatten)]
    pub(crate) everything: Everything,
}

/// What a finder looks for, all of it together.
#[derive(Debug, Args)]
#[command(next_help_heading = "Words and examples (SAM 3, OWL-ViT, OWLv2)")]
pub(crate) struct Worded {
    /// Words for what is looked for, such as "a red car"; may be given several times. Classes are numbered in the order of the command line.
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Vec<String>,
    /// The same from a file, a phrase a line; empty lines and lines that begin with # are left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
    /// A picture of what is looked for, or a box on one, in its pixels; may be given several times. What is found is called as the file.
    #[arg(long, value_name = "PICTURE[#X1,Y1,X2,Y2]")]
    pub(crate) like: Vec<OsString>,
    /// A box on the picture itself around one of what is looked for, in its pixels; may be given several times. Says more of the phrase
    /// that stands before it; without phrases, all boxes together show what is looked for.
    #[arg(long, value_name = "X1,Y1,X2,Y2", value_parser = prompts::parse_bounds, allow_hyphen_values = true)]
    pub(crate) like_box: Vec<[f32; 4]>,
    /// The same around something that is not looked for.
    #[arg(long, value_name = "X1,Y1,X2,Y2", value_parser = prompts::parse_bounds, allow_hyphen_values = true)]
    pub(crate) unlike_box: Vec<[f32; 4]>,
    /// Look for each phrase in the phrasings that published figures are measured with ("a bad photo of the …"), and take the mean.
    #[arg(long)]
    pub(crate) templates: bool,
    /// Cut phrases that are too long for the model, in place of an error.
    #[arg(long)]
    pub(crate) truncate: bool,
}

/// What is asked of a promptable model, in pixels of the picture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Prompts (promptable models)")]
pub(crate) struct Prompted {
    /// A click on the object, or with a 0 beside it. A second --box, or --object, begins the next object.
    #[arg(long, value_name = "X,Y[,0]", value_parser = prompts::parse_click, allow_hyphen_values = true)]
    pub(crate) point: Vec<maskline::Click>,
    /// A box around the object.
    #[arg(long = "box", id = "bounds", value_name = "X1,Y1,X2,Y2", value_parser = prompts::parse_bounds, allow_hyphen_values = true)]
    pub(crate) bounds: Vec<[f32; 4]>,
    /// A rough mask of the object: a picture of the same size, white on black.
    #[arg(long, value_name = "FILE")]
    pub(crate) mask: Vec<PathBuf>,
    /// Name of the object.
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Vec<String>,
    /// What follows belongs to the next object.
    #[arg(long, num_args = 0, default_missing_value = "true", action = clap::ArgAction::Append)]
    pub(crate) object: Vec<bool>,
    /// Prompts as JSON: a list of boxes or of {"box", "points", "mask", "label"}, or {"images": {"photo.jpg": […]}}; COCO's annotations
    /// too. A mask is a file, COCO's polygons or run lengths.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,
    /// Masks per prompt: auto gives one, of a single click the best of three; off the model's single answer; on all three.
    #[arg(long, value_enum, default_value_t = Multimask::Auto)]
    pub(crate) multimask: Multimask,
    /// Logit above which a pixel belongs to the mask.
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    pub(crate) mask_threshold: f32,
    /// Fill holes of at most so many pixels of the low-resolution mask.
    #[arg(long, default_value_t = 0, value_name = "AREA")]
    pub(crate) fill_holes: u64,
    /// Remove separate spots of at most so many pixels of the low-resolution mask.
    #[arg(long, default_value_t = 0, value_name = "AREA")]
    pub(crate) remove_spots: u64,
    /// Masks do not overlap: each pixel goes to the strongest, of prompts or of what SAM 3 finds.
    #[arg(long)]
    pub(crate) no_overlap: bool,
    /// Most megabytes of encoded pictures that are kept, in case one comes again; 0 for none. [default: 32, with --repeat 256]
    #[arg(long, value_name = "MB")]
    pub(crate) embedding_cache: Option<usize>,
    /// Prompts that go through the decoder together. [default: what was measured to be fastest]
    #[arg(long, value_name = "COUNT")]
    pub(crate) chunk: Option<usize>,
}

/// How everything mode looks, as in the official automatic mask generators. `--multimask`, `--mask-threshold` and `--chunk` apply to it
/// too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everything mode (promptable models)")]
pub(crate) struct Everything {
    /// Find all objects: clicks on a grid over the picture, and of their masks those that are good and no duplicates.
    #[arg(long, conflicts_with_all = [
        "point", "bounds", "mask", "label", "object", "prompts", "fill_holes", "remove_spots", "no_overlap", "text", "texts", "like",
        "like_box", "unlike_box",
    ])]
    pub(crate) everything: bool,
    /// Points along each side of the grid. [default: 32, for nano 16]
    #[arg(long, value_name = "COUNT", requires = "everything")]
    pub(crate) points_per_side: Option<usize>,
    /// Masks with a predicted IoU up to this go; 0 keeps all. [default: 0.8 for SAM 2, 0.88 for SAM 1, 0.6 for nano]
    #[arg(long, value_name = "IOU", requires = "everything")]
    pub(crate) pred_iou_thresh: Option<f32>,
    /// Less stable masks go; 0 keeps all. [default: 0.95, for nano 0.7]
    #[arg(long, value_name = "SHARE", requires = "everything")]
    pub(crate) stability_thresh: Option<f32>,
    /// Stability compares the areas at thresholds this far above and below.
    #[arg(long, default_value_t = 1.0, value_name = "LOGIT", requires = "everything")]
    pub(crate) stability_offset: f32,
    /// Overlap of boxes above which the worse of two masks goes.
    #[arg(long, default_value_t = 0.7, value_name = "IOU", requires = "everything")]
    pub(crate) box_nms_thresh: f64,
    /// Look at crops of the picture too: 2 × 2, then 4 × 4, … of them.
    #[arg(long, default_value_t = 0, value_name = "LAYERS", requires = "everything")]
    pub(crate) crop_layers: usize,
    /// Overlap of boxes above which the mask of the larger crop goes.
    #[arg(long, default_value_t = 0.7, value_name = "IOU", requires = "everything")]
    pub(crate) crop_nms_thresh: f64,
    /// How far crops overlap, as a part of the short side. [default: 512/1500]
    #[arg(long, value_name = "SHARE", requires = "everything")]
    pub(crate) crop_overlap: Option<f64>,
    /// Points along each side are divided by this from layer to layer of crops.
    #[arg(long, default_value_t = 1, value_name = "DIVISOR", requires = "everything")]
    pub(crate) crop_points_downscale: usize,
    /// Remove smaller holes and spots, in pixels of the picture (SAM 1) or of the low-resolution mask (SAM 2).
    #[arg(long, default_value_t = 0, value_name = "AREA", requires = "everything")]
    pub(crate) min_area: u64,
    /// Refine each mask once by its own logits; slow.
    #[arg(long, requires = "everything")]
    pub(crate) m2m: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Multimask {
    Auto,
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Annotated picture, JPEG.
    Jpg,
    /// Annotated picture, PNG.
    Png,
    /// All answers as JSON lines: results.jsonl.
    Json,
    /// A COCO data set of all pictures (images, categories, annotations): coco.json.
    Coco,
    /// COCO results of all pictures, with the numbers of coco.json: coco-results.json.
    CocoResults,
    /// The same with the category ids 1..90 of the COCO data set: coco91-results.json.
    Coco91,
    /// One YOLO label file per picture: <picture>.txt; and classes.txt, data.yaml.
    Yolo,
    /// Objects with masks as COCO run lengths, one file per picture: <picture>.rle.json.
    CocoRle,
    /// One PNG of object numbers per picture: <picture>.index.png.
    PngIndex,
    /// One black and white PNG per object: <picture>.mask-001.png.
    Masks,
    /// One PNG per object with the rest transparent: <picture>.cutout-001.png.
    Cutout,
    /// Outlines with holes: <picture>.polygons.json.
    Polygons,
    /// LabelMe's annotations: <picture>.json.
    Labelme,
    /// YOLO's segments: <picture>.txt; and classes.txt, data.yaml.
    YoloSeg,
    /// Tasks with predictions for Label Studio, of all pictures: label-studio.json.
    LabelStudio,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Side of the network input of models that are built for one size (SAM). [default: the model's]
    #[arg(long)]
    pub(crate) size: Option<usize>,
    /// Standard operators only, for other runtimes.
    #[arg(long, conflicts_with = "provider")]
    pub(crate) portable: bool,
    /// Build it for this provider, and open and run every network there once: what it compiles (TensorRT's engines: minutes) and keeps is
    /// there at the next start. [default: cpu, and nothing is opened]
    #[arg(long, value_parser = ["cpu", "openvino", "cuda", "tensorrt"])]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) gpu: Gpu,
    /// Copy the bundle here.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that maskline did not write.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Directories of cases (case.json, its tensors, and a checkpoint unless it needs none).
    #[arg(required = true)]
    pub(crate) cases: Vec<PathBuf>,
    /// Check the graphs of standard operators only.
    #[arg(long)]
    pub(crate) portable: bool,
    /// Mask decoder that is checked: maskline's own operators, or a graph of ONNX Runtime's [default: what is fastest here]
    #[arg(long, value_name = "graph|native", value_parser = mask_decoder)]
    pub(crate) decoder: Option<MaskDecoder>,
    /// Layers of image encoders that are checked: operators of maskline's own, or ONNX Runtime's; auto is what is fastest here
    #[arg(long, default_value = "auto", value_name = "auto|own|ort")]
    pub(crate) kernels: Kernels,
    /// Numbers of the models that are checked: f32, f16, f16-emulated. The goldens are those of f32, from which f16 may differ by 2 %.
    #[arg(long, default_value = "f32", value_name = "NUMBERS", value_parser = precision)]
    pub(crate) precision: Precision,
    /// What runs the networks.
    #[arg(long, env = "MASKLINE_PROVIDER", default_value = "cpu", value_parser = ["cpu", "openvino", "cuda", "tensorrt"])]
    pub(crate) provider: String,
    #[command(flatten)]
    pub(crate) openvino: OpenVino,
    /// Print one JSON object per case, checkpoint and line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the computed tensors to a safetensors file.
    #[arg(long, value_name = "FILE")]
    pub(crate) dump: Option<PathBuf>,
    /// Replace files that maskline did not write.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// ONNX Runtime library (file or folder); else found or fetched.
    #[arg(long, value_name = "PATH")]
    pub(crate) runtime: Option<PathBuf>,
    /// Never use the network.
    #[arg(long, env = "MASKLINE_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) offline: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Show what the cache holds.
    Du(Json),
    /// Remove built models; one that is in use stays.
    Prune {
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Those not used for so many days.
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u64>,
        /// The least recently used ones, until the rest is at most so many megabytes.
        #[arg(long, value_name = "MB")]
        max_size: Option<u64>,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
}
