//! What `serve` can be told: by flags, by the environment, by a file, in this order of strength.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use maskline::runtime::parse_bytes;
use maskline::{Error, ErrorKind};
use serde::{Deserialize, Deserializer};

use crate::failure::Failure;

/// A time as people write it: `500ms`, `30s`, `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a time such as 500ms, 30s or 5m, found `{text}`");
        let time: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(time).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a port is, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) Option<SocketAddr>);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        // A bare port is one of this machine.
        let address = text.parse().or_else(|_| format!("127.0.0.1:{text}").parse());
        address.map(|address| Self(Some(address))).map_err(|_| format!("expected ADDRESS:PORT, a port, or off, found `{text}`"))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A number of bytes as people write it: `6GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = parse_bytes(text).ok().filter(|bytes| *bytes > 0);
        bytes.map(Self).ok_or_else(|| format!("expected a size such as 6GB or 800MB, found `{text}`"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MB", self.0 as f64 / 1e6)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a value is shown in the list of what holds.
trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown_as_is {
    ($($type:ty),*) => {
        $(impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        })*
    };
}
shown_as_is!(Span, Port, Bytes, usize, u64, u32, bool, String);

impl Shown for PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for Vec<String> {
    fn shown(&self) -> String {
        self.join(",")
    }
}

/// A setting in the list of what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// As in the file, and with two dashes on the command line.
    pub(crate) name: String,
    /// The argument's name within the command line's parser.
    pub(crate) id: &'static str,
    pub(crate) value: Option<String>,
}

macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// What can be set in all three ways. `None`: nothing was said.
        #[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct Settings {
            $($(#[$meta])* pub(crate) $name: Option<$type>,)*
        }

        impl Settings {
            /// These, and where they say nothing, weaker ones.
            #[must_use]
            pub(crate) fn or(self, weaker: Self) -> Self {
                Self { $($name: self.$name.or(weaker.$name),)* }
            }

            /// All of them, in order.
            pub(crate) fn list(&self) -> Vec<Setting> {
                vec![$(Setting {
                    name: stringify!($name).replace('_', "-"),
                    id: stringify!($name),
                    value: self.$name.as_ref().map(Shown::shown),
                },)*]
            }
        }
    };
}

settings! {
    /// Where HTTP is answered. [default: 127.0.0.1:8000]
    #[arg(long, env = "MASKLINE_HTTP", value_name = "ADDRESS:PORT", help_heading = "Where")]
    http: Port,
    /// Where gRPC is answered, or `off`. [default: 127.0.0.1:8001]
    #[arg(long, env = "MASKLINE_GRPC", value_name = "ADDRESS:PORT", help_heading = "Where")]
    grpc: Port,
    /// No page for people at /. [default: false]
    #[arg(long, env = "MASKLINE_NO_PAGE", num_args = 0..=1, default_missing_value = "true", help_heading = "Where")]
    no_page: bool,
    /// What runs the networks: cpu, openvino, cuda, tensorrt. [default: cpu]
    #[arg(long, env = "MASKLINE_PROVIDER", help_heading = "Models")]
    provider: String,
    /// GPU that computes, counted from 0 (cuda, tensorrt). [default: 0]
    #[arg(long, env = "MASKLINE_DEVICE", value_name = "N", help_heading = "Models")]
    device: u32,
    /// Most memory that each network may take of the GPU, such as 6GB; cuDNN and cuBLAS take some beside it (cuda). [default: all]
    #[arg(long, env = "MASKLINE_GPU_MEMORY_LIMIT", value_name = "SIZE", help_heading = "Models")]
    gpu_memory_limit: Bytes,
    /// Most memory of encoded pictures that each model leaves on the GPU between requests, such as 4GB; others are moved to the host (cuda,
    /// tensorrt). [default: 1GiB]
    #[arg(long, env = "MASKLINE_GPU_EMBEDDINGS", value_name = "SIZE", help_heading = "Models")]
    gpu_embeddings: Bytes,
    /// Compute in TF32: faster, with errors of about 1e-3 (cuda). [default: false]
    #[arg(long, env = "MASKLINE_TF32", num_args = 0..=1, default_missing_value = "true", help_heading = "Models")]
    tf32: bool,
    /// Capture the runs of networks with fixed shapes as CUDA graphs (cuda). [default: false]
    #[arg(long, env = "MASKLINE_CUDA_GRAPH", num_args = 0..=1, default_missing_value = "true", help_heading = "Models")]
    cuda_graph: bool,
    /// How long TensorRT looks for a fast engine, 0 to 5 (tensorrt). [default: 3]
    #[arg(long, env = "MASKLINE_TENSORRT_LEVEL", value_name = "LEVEL", help_heading = "Models")]
    tensorrt_level: usize,
    /// Most memory of the GPU that TensorRT works with while it builds an engine, such as 4GB (tensorrt). [default: all]
    #[arg(long, env = "MASKLINE_TENSORRT_WORKSPACE", value_name = "SIZE", help_heading = "Models")]
    tensorrt_workspace: Bytes,
    /// What OpenVINO tunes the networks for: latency or throughput. [default: latency]
    #[arg(long, env = "MASKLINE_HINT", value_name = "HINT", help_heading = "Models")]
    hint: String,
    /// Requests that OpenVINO lays one session out for, 1 to 8; they share the threads. [default: 1]
    #[arg(long, env = "MASKLINE_STREAMS", value_name = "COUNT", help_heading = "Models")]
    streams: usize,
    /// Arithmetic of OpenVINO inside the networks: f32, bf16 or f16. [default: f32]
    #[arg(long, env = "MASKLINE_INFERENCE_PRECISION", value_name = "PRECISION", help_heading = "Models")]
    inference_precision: String,
    /// Compute threads of all models together; 0 for one per core. [default: 0]
    #[arg(long, env = "MASKLINE_THREADS", value_name = "COUNT", help_heading = "Models")]
    threads: usize,
    /// Side of the network input. [default: each model's]
    #[arg(long, env = "MASKLINE_SIZE", value_name = "PIXELS", help_heading = "Models")]
    size: usize,
    /// Sessions of each network, which run beside each other. [default: 1]
    #[arg(long, env = "MASKLINE_SESSIONS", value_name = "COUNT", help_heading = "Models")]
    sessions: usize,
    /// Most rows (prompts, pictures, phrases) of different callers that run together; 1 for none. [default: what was measured to be fastest]
    #[arg(long, env = "MASKLINE_TOGETHER", value_name = "ROWS", help_heading = "Models")]
    together: usize,
    /// How long a row may wait for others to run with, when nothing else is to be done. [default: 0s]
    #[arg(long, env = "MASKLINE_MAX_WAIT", value_name = "TIME", help_heading = "Models")]
    max_wait: Span,
    /// Most megabytes of encoded pictures that each model keeps; 0 for none. [default: 256]
    #[arg(long, env = "MASKLINE_EMBEDDING_CACHE", value_name = "MB", help_heading = "Models")]
    embedding_cache: usize,
    /// A model that nobody asked for so long is unloaded, and loaded again by the next request. [default: never]
    #[arg(long, env = "MASKLINE_KEEP_ALIVE", value_name = "TIME", help_heading = "Models")]
    keep_alive: Span,
    /// Answer with errors when a provider fails, in place of going on with the CPU. [default: false]
    #[arg(long, env = "MASKLINE_NO_DEGRADE", num_args = 0..=1, default_missing_value = "true", help_heading = "Models")]
    no_degrade: bool,
    /// Download models that are not here. [default: false]
    #[arg(long, env = "MASKLINE_PULL", num_args = 0..=1, default_missing_value = "true", help_heading = "Models")]
    pull: bool,
    /// Go on when a model cannot be loaded; the server is then never ready. [default: false]
    #[arg(long, env = "MASKLINE_KEEP_GOING", num_args = 0..=1, default_missing_value = "true", help_heading = "Models")]
    keep_going: bool,
    /// Requests cannot load and unload models. [default: false]
    #[arg(long, env = "MASKLINE_NO_CONTROL", num_args = 0..=1, default_missing_value = "true", help_heading = "Models")]
    no_control: bool,
    /// Requests of a model that may be under way or wait; more are refused. [default: 64]
    #[arg(long, env = "MASKLINE_QUEUE", value_name = "COUNT", help_heading = "Limits")]
    queue: usize,
    /// The longest that a request may take; it may ask for less. [default: 60s]
    #[arg(long, env = "MASKLINE_TIMEOUT", value_name = "TIME", help_heading = "Limits")]
    timeout: Span,
    /// The longest wait for a client that sends. [default: 30s]
    #[arg(long, env = "MASKLINE_CLIENT_TIMEOUT", value_name = "TIME", help_heading = "Limits")]
    client_timeout: Span,
    /// Megabytes of a request's body. [default: 64]
    #[arg(long, env = "MASKLINE_MAX_BODY", value_name = "MB", help_heading = "Limits")]
    max_body: usize,
    /// Megabytes of all bodies and decoded pictures that are under way. [default: 1024]
    #[arg(long, env = "MASKLINE_REQUEST_MEMORY", value_name = "MB", help_heading = "Limits")]
    request_memory: usize,
    /// Pixels of a picture. [default: 100000000]
    #[arg(long, env = "MASKLINE_MAX_PIXELS", value_name = "COUNT", help_heading = "Limits")]
    max_pixels: u64,
    /// Prompts, or phrases and examples, of a request. [default: 1024]
    #[arg(long, env = "MASKLINE_MAX_PROMPTS", value_name = "COUNT", help_heading = "Limits")]
    max_prompts: usize,
    /// Megabytes of decoded pictures that are kept for requests that name them by their hash. [default: 256]
    #[arg(long, env = "MASKLINE_PICTURE_CACHE", value_name = "MB", help_heading = "Limits")]
    picture_cache: usize,
    /// Connections at a time. [default: 2048]
    #[arg(long, env = "MASKLINE_MAX_CONNECTIONS", value_name = "COUNT", help_heading = "Limits")]
    max_connections: usize,
    /// Sessions that follow objects through videos; 0 for none. [default: 16]
    #[arg(long, env = "MASKLINE_VIDEO_SESSIONS", value_name = "COUNT", help_heading = "Videos")]
    video_sessions: usize,
    /// A session that nobody asked for so long is closed. [default: 300s]
    #[arg(long, env = "MASKLINE_VIDEO_IDLE", value_name = "TIME", help_heading = "Videos")]
    video_idle: Span,
    /// Objects of a session. [default: 256]
    #[arg(long, env = "MASKLINE_VIDEO_OBJECTS", value_name = "COUNT", help_heading = "Videos")]
    video_objects: usize,
    /// Frames that a session may keep answers of, to go back to them. [default: 300]
    #[arg(long, env = "MASKLINE_VIDEO_HISTORY", value_name = "FRAMES", help_heading = "Videos")]
    video_history: usize,
    /// Megabytes of all sessions together; where they are reached, no frame and no prompt is taken. [default: 4096]
    #[arg(long, env = "MASKLINE_VIDEO_MEMORY", value_name = "MB", help_heading = "Videos")]
    video_memory: usize,
    /// After SIGTERM: so long the server says that it is not ready, and goes on. [default: 3s]
    #[arg(long, env = "MASKLINE_NOTICE", value_name = "TIME", help_heading = "Ending")]
    notice: Span,
    /// After that: so long what was accepted may take. [default: 30s]
    #[arg(long, env = "MASKLINE_DRAIN", value_name = "TIME", help_heading = "Ending")]
    drain: Span,
    /// File of keys, one a line, of which every request must show one. (A single key: MASKLINE_API_KEY in the environment.)
    #[arg(long, env = "MASKLINE_API_KEY_FILE", value_name = "FILE", help_heading = "Access")]
    api_key_file: PathBuf,
    /// Let other machines ask without a key. [default: false]
    #[arg(long, env = "MASKLINE_OPEN", num_args = 0..=1, default_missing_value = "true", help_heading = "Access")]
    open: bool,
    /// Tell the metrics without a key. [default: false]
    #[arg(long, env = "MASKLINE_OPEN_METRICS", num_args = 0..=1, default_missing_value = "true", help_heading = "Access")]
    open_metrics: bool,
    /// Certificate chain (PEM): connections are encrypted.
    #[arg(long, env = "MASKLINE_TLS_CERTIFICATE", value_name = "FILE", help_heading = "Access")]
    tls_certificate: PathBuf,
    /// Private key of the certificate (PEM).
    #[arg(long, env = "MASKLINE_TLS_KEY", value_name = "FILE", help_heading = "Access")]
    tls_key: PathBuf,
    /// Names by which the server may be called beside localhost and addresses; * for any.
    #[arg(long, env = "MASKLINE_HOSTS", value_name = "NAME,…", value_delimiter = ',', help_heading = "Access")]
    hosts: Vec<String>,
    /// Pages that may ask from a browser (CORS); * for any.
    #[arg(long, env = "MASKLINE_ORIGINS", value_name = "URL,…", value_delimiter = ',', help_heading = "Access")]
    origins: Vec<String>,
    /// Hosts from which pictures may be fetched that requests name by their address; *.example.org for all below a name.
    #[arg(long, env = "MASKLINE_FETCH_FROM", value_name = "HOST,…", value_delimiter = ',', help_heading = "Access")]
    fetch_from: Vec<String>,
    /// Fetch them over http too. [default: only https]
    #[arg(long, env = "MASKLINE_FETCH_HTTP", num_args = 0..=1, default_missing_value = "true", help_heading = "Access")]
    fetch_http: bool,
    /// Where Label Studio is, for pictures that only it gives out; credentials go there and nowhere else. [default: where one on this machine
    /// says that it is]
    #[arg(long, env = "MASKLINE_LABEL_STUDIO_URL", value_name = "URL", help_heading = "Access")]
    label_studio_url: String,
    /// File with a token for it, legacy or personal. (Or LABEL_STUDIO_API_KEY in the environment.) [default: what it sends itself]
    #[arg(long, env = "MASKLINE_LABEL_STUDIO_TOKEN_FILE", value_name = "FILE", help_heading = "Access")]
    label_studio_token_file: PathBuf,
    /// What is logged, as RUST_LOG has it; maskline_server=debug tells every request. [default: warn,maskline_server=info]
    #[arg(long, env = "MASKLINE_LOG", value_name = "FILTER", help_heading = "Logs")]
    log: String,
    /// Send traces of requests there (OpenTelemetry's OTLP over gRPC). [default: nowhere]
    #[arg(long, env = "MASKLINE_OTLP", value_name = "URL", help_heading = "Logs")]
    otlp: String,
    /// Log as one JSON object a line. [default: false]
    #[arg(long, env = "MASKLINE_LOG_JSON", num_args = 0..=1, default_missing_value = "true", help_heading = "Logs")]
    log_json: bool,
}

/// A file of settings, which also names the models.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct File {
    pub(crate) models: Vec<String>,
    pub(crate) settings: Settings,
}

impl File {
    /// Reads a TOML file: `models = ["nano"]`, and the flags without their dashes.
    ///
    /// # Errors
    /// `BadInput` for a file that is not there, or not of that form; the message names line and key.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        let wrong = |error: toml::de::Error| Error::new(ErrorKind::BadInput, error.to_string().trim_end().to_owned()).at(path);
        let mut table: toml::Table = toml::from_str(&text).map_err(wrong)?;
        let models = match table.remove("models") {
            Some(models) => models.try_into().map_err(|error: toml::de::Error| wrong(error))?,
            None => Vec::new(),
        };
        let settings = if models.is_empty() && !text.contains("models") {
            // From the text itself, so that an error names its line.
            toml::from_str(&text).map_err(wrong)?
        } else {
            table.try_into().map_err(|error: toml::de::Error| wrong(error))?
        };
        Ok(Self { models, settings })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_louder_holds() {
        let loud = Settings { queue: Some(3), ..Settings::default() };
        let low = Settings { queue: Some(5), drain: Some(Span(Duration::from_secs(9))), ..Settings::default() };
        let both = loud.or(low);
        assert_eq!((both.queue, both.drain, both.notice), (Some(3), Some(Span(Duration::from_secs(9))), None));
        let listed = both.list().into_iter().find(|setting| setting.name == "drain").unwrap();
        assert_eq!(listed.value.as_deref(), Some("9s"));
    }

    #[test]
    fn a_file_has_the_names_of_the_flags_and_its_errors_name_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            File::read(&path)
        };
        let file =
            read("models = ['nano', 'a+b']\nhttp = '0.0.0.0:80'\nmax-wait = '5ms'\nhosts = ['a.example']\nopen = true\ngrpc = 'off'\n")
                .unwrap();
        assert_eq!(file.models, ["nano", "a+b"]);
        assert_eq!(file.settings.max_wait, Some(Span(Duration::from_millis(5))));
        assert_eq!((file.settings.grpc, file.settings.open), (Some(Port(None)), Some(true)));
        for (text, told) in [("quue = 3", "quue"), ("queue = 'x'", "queue"), ("max-wait = '5 parsecs'", "parsecs"), ("queue 3", "TOML")] {
            let Err(Failure::Error(error)) = read(text) else { panic!("{text}") };
            assert_eq!(error.kind(), ErrorKind::BadInput);
            assert!(error.to_string().contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn times_and_ports_are_read_as_people_write_them() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert!("".parse::<Span>().is_err() && "-3s".parse::<Span>().is_err());
        assert_eq!("9000".parse::<Port>().unwrap().to_string(), "127.0.0.1:9000");
        assert!("nowhere".parse::<Port>().is_err());
        assert_eq!(("6GB".parse(), "1.5MB".parse::<Bytes>().unwrap().to_string().as_str()), (Ok(Bytes(6_000_000_000)), "1.5MB"));
        assert!("0".parse::<Bytes>().is_err() && "much".parse::<Bytes>().is_err());
    }
}
