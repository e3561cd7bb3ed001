//! Arguments of `maskline bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use maskline_bench::load::MOST_CALLERS;
use maskline_bench::measure::Sweep;
use maskline_bench::peers::Program;
use maskline_bench::remote::InputShape;
use maskline_bench::report::{PromptKind, TextKind};

use crate::args::ModelOptions;
use crate::gpu::Gpu;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(
    override_usage = "maskline bench [OPTIONS] MODEL[,MODEL…]\n       maskline bench --url URL [OPTIONS] MODEL[,MODEL…]\n       maskline bench compare [OPTIONS] BEFORE AFTER\n       maskline bench track [OPTIONS] MODEL"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    /// Models, with commas: checkpoints (.safetensors, .pt), ONNX exports, names of pulled models, `nano`, or with --synthetic
    /// architectures (see `maskline list`).
    #[arg(value_delimiter = ',', required_unless_present = "self_test")]
    pub(crate) models: Vec<String>,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
    #[command(flatten)]
    pub(crate) setting: Setting,
    #[command(flatten)]
    pub(crate) calls: Calls,
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(flatten)]
    pub(crate) results: Results,
    /// Try the benchmark itself: sleeps, stalls and mixtures are put in, and must be told. Needs no model.
    #[arg(long, conflicts_with_all = ["models", "synthetic"])]
    pub(crate) self_test: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Judge one report by another: exit code 1 for a row that surely became slower.
    Compare(Compare),
    /// Measure how fast objects are followed through a video: by their number and that of memories, the first frame apart.
    Track(Track),
}

/// What a process of `bench` is started for, beside what it is told later.
#[derive(Debug, Args)]
pub(crate) struct WorkerOptions {
    /// Only have this provider compute something.
    #[arg(long = "try", value_name = "PROVIDER")]
    pub(crate) trial: Option<String>,
    /// ONNX Runtime for it.
    #[arg(long, requires = "trial", value_name = "PATH")]
    pub(crate) runtime: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Setting {
    /// Measure every value, and with several --sweep every combination: size, prompts, kind, text, batch, threads, provider, precision or kernels.
    /// Of models that take words, prompts may be word, phrase and objects: one word, a phrase, several phrases. provider=all is every
    /// provider that this machine has; nothing is fetched.
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub(crate) sweep: Vec<Sweep>,
    /// Most combinations that are measured.
    #[arg(long, default_value_t = 24, value_name = "COUNT")]
    pub(crate) limit: usize,
    /// What runs the network; one that is not there is an error, never a silent fall-back.
    #[arg(long, env = "MASKLINE_PROVIDER", default_value = "cpu", value_parser = ["cpu", "openvino", "cuda", "tensorrt"])]
    pub(crate) provider: String,
    #[command(flatten)]
    pub(crate) gpu: Gpu,
    /// Threads of the network; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Side of the network input. [default: the model's]
    #[arg(long)]
    pub(crate) size: Option<usize>,
    /// Pictures per call, of models that take no prompts. [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub(crate) batch: Option<usize>,
    /// Prompts per call, of promptable models. [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub(crate) prompts: Option<usize>,
    /// Kind of the prompts: click, box or mask. [default: click]
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<PromptKind>,
    /// Search for this phrase, of models that are told by words what to find; several are searched for together. [default: one word]
    #[arg(long, value_name = "PHRASE")]
    pub(crate) text: Vec<String>,
    /// Kind of the phrases that are made up: words or phrases. [default: words]
    #[arg(long, value_name = "KIND", conflicts_with = "text")]
    pub(crate) phrases: Option<TextKind>,
    /// Pictures, folders of pictures or globs. [default: generated ones, and the report says so]
    #[arg(long, num_args = 1.., value_name = "IMAGE")]
    pub(crate) images: Vec<std::ffi::OsString>,
}

/// How it is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct Calls {
    /// Cold starts per row, in fresh processes; 0 for none. Eleven have a median.
    #[arg(long, default_value_t = 11, value_name = "RUNS")]
    pub(crate) cold: usize,
    /// State of the cache of built models at cold starts.
    #[arg(long, value_delimiter = ',', default_value = "empty,present", value_name = "STATE")]
    pub(crate) cache: Vec<Cache>,
    /// Least length of a steady row; slow models need more for a VALID one. 0 for none.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub(crate) time: f64,
    /// Where a picture's embedding comes from, of models that take prompts or words, one row each: encoded in the call, found in the
    /// cache, or held by the caller. [default: miss,hit]
    #[arg(long, value_delimiter = ',', value_name = "STATE")]
    pub(crate) embedding: Vec<Embedding>,
    /// Where the embeddings of phrases come from, one row each: found in the cache, or encoded in the call. [default: hit]
    #[arg(long, value_delimiter = ',', value_name = "STATE")]
    pub(crate) text_cache: Vec<TextCache>,
    /// Also load it with so many callers at once, each waiting for its answer and with prompts of its own.
    #[arg(long, value_delimiter = ',', value_name = "CALLERS", value_parser = callers)]
    pub(crate) concurrency: Vec<usize>,
    /// Also load it with so many requests per second that wait for nobody; latency counts from the intended start.
    #[arg(long, value_delimiter = ',', value_name = "PER SECOND", value_parser = rate)]
    pub(crate) rate: Vec<f64>,
    /// How the requests of --rate come.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson, requires = "rate")]
    pub(crate) arrivals: Arrivals,
    /// Also measure other programs on the same model, weights, pictures and threads, in turns with ours: pytorch, onnxruntime-python,
    /// ultralytics. Each gets a Python environment of its own in maskline's folder, made once.
    #[arg(long, value_delimiter = ',', value_name = "PROGRAM")]
    pub(crate) against: Vec<Program>,
    /// Python with the packages of the other programs; without it, maskline makes an environment.
    #[arg(long, value_name = "PYTHON", requires = "against")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Do not measure the machine's limits.
    #[arg(long)]
    pub(crate) no_ceiling: bool,
    /// Seed of the order of turns and of arrivals.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) run_seed: u64,
}

/// Which servers are measured instead of models here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct Remote {
    /// Measure the models of this server, ours or any that speaks the Open Inference Protocol v2, under --concurrency (1 where nothing is
    /// said) and --rate. Given several times, servers take turns and are compared. A key is read from MASKLINE_API_KEY.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Vec<String>,
    /// How servers are asked. [default: rest for models of maskline that take pictures, else oip]
    #[arg(long, value_enum, requires = "url")]
    pub(crate) protocol: Option<Protocol>,
    /// Shape of an input of a model that takes tensors, where its sizes are free, such as INPUT0:1,16.
    #[arg(long, value_name = "NAME:SIZE,…", requires = "url")]
    pub(crate) input: Vec<InputShape>,
    /// Key that the servers want.
    #[arg(long, env = "MASKLINE_API_KEY", hide = true, hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// The Open Inference Protocol, version 2, over HTTP.
    Oip,
    /// maskline's own interface.
    Rest,
}

/// What is made of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct Results {
    /// Folder for report.md, report.csv, report.json and report.html.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that maskline did not write.
    #[arg(long, requires = "output")]
    pub(crate) overwrite: bool,
    /// What is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Report of the earlier state (JSON).
    pub(crate) before: PathBuf,
    /// Report of the later state (JSON).
    pub(crate) after: PathBuf,
    /// Share by which a median may rise before that is a regression.
    #[arg(long, default_value = "5%", value_name = "SHARE", value_parser = share)]
    pub(crate) fail_over: f64,
    /// Also fail where a row cannot be judged.
    #[arg(long)]
    pub(crate) strict: bool,
    /// What is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Folder for comparison.md, comparison.csv, comparison.json and comparison.html.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that maskline did not write.
    #[arg(long, requires = "output")]
    pub(crate) overwrite: bool,
}

/// What a video is measured with.
#[derive(Debug, Args)]
pub(crate) struct Track {
    /// A model with a memory: a checkpoint, the name of a pulled model, or with --synthetic an architecture.
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
    /// Numbers of objects, each a video of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_name = "N,…", value_parser = count)]
    pub(crate) objects: Vec<usize>,
    /// Frames of a video after the first one; more than the model has memories.
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = count)]
    pub(crate) frames: usize,
    /// Threads; 0 for all cores.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) threads: usize,
    /// Take turns with transformers' `Sam2VideoModel`, of published architectures.
    #[arg(long)]
    pub(crate) against_transformers: bool,
    /// Python with torch and transformers; without it, maskline makes an environment.
    #[arg(long, value_name = "PYTHON", requires = "against_transformers")]
    pub(crate) peer_python: Option<PathBuf>,
    /// What is printed: text, md or json.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// Nothing is built.
    Empty,
    /// The bundle of an earlier start is there.
    Present,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Embedding {
    /// The picture is encoded in the call.
    Miss,
    /// The picture comes again, and its embedding is in the cache.
    Hit,
    /// The caller holds the embedding.
    Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextCache {
    /// The phrases come again, and their embeddings are in the cache.
    Hit,
    /// The phrases are encoded in the call.
    Miss,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrivals {
    /// At random: each independent of all others.
    Poisson,
    /// At even distances.
    Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for the terminal.
    Text,
    /// Markdown tables.
    Md,
    /// One figure per line.
    Csv,
    /// Everything, for programs.
    Json,
    /// A page with charts.
    Html,
}

/// Callers at a time.
fn callers(text: &str) -> Result<usize, String> {
    let callers = text.trim().parse().ok().filter(|callers| (1..=MOST_CALLERS).contains(callers));
    callers.ok_or_else(|| format!("expected a number of callers from 1 to {MOST_CALLERS}"))
}

/// Objects, or frames.
fn count(text: &str) -> Result<usize, String> {
    const MOST: usize = 100_000;
    let count = text.trim().parse().ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| format!("expected a number from 1 to {MOST}"))
}

/// Requests per second.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "expected requests per second, above 0".to_owned())
}

/// `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent| percent / 100.0),
        None => number(text),
    };
    share.filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(|| "expected a share between 0 and 1, such as 5% or 0.05".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{callers, rate, share};

    #[test]
    fn loads_are_read() {
        assert_eq!((callers("8"), rate("2.5")), (Ok(8), Ok(2.5)));
        assert!(["0", "-1", "4097", "x"].into_iter().all(|text| callers(text).is_err()));
        assert!(["0", "-1", "inf", "nan", "x"].into_iter().all(|text| rate(text).is_err()));
    }

    #[test]
    fn shares_are_read() {
        assert_eq!((share("5%"), share("0.05"), share("12.5 %")), (Ok(0.05), Ok(0.05), Ok(0.125)));
        assert!(["", "%", "0%", "100%", "5", "-1%", "nan", "x%"].into_iter().all(|text| share(text).is_err()));
    }
}
