//! What a server is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use maskline::{Error, LoadOptions, ModelSource};

/// Options of [`Server::open`](crate::Server::open).
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where HTTP is answered; port 0 for any that is free.
    pub http: SocketAddr,
    /// Where gRPC is answered; `None` for nowhere.
    pub grpc: Option<SocketAddr>,
    /// The models that make the server ready.
    pub models: Vec<ModelSpec>,
    /// What is refused.
    pub limits: Limits,
    /// How long things may take.
    pub times: Times,
    /// Sessions that follow objects through videos.
    pub video: VideoLimits,
    /// Who may ask.
    pub access: crate::guard::Access,
    /// From where pictures may be fetched whose address a request names; `None` for nowhere.
    pub fetch: Option<crate::guard::FetchRules>,
    /// Whether there is a page for people at `/`.
    pub page: bool,
    /// The Label Studio whose tasks are looked at; `None` for one on this machine that says where it is.
    pub label_studio: Option<crate::label_studio::LabelStudio>,
    /// Whether models may be loaded and unloaded by requests.
    pub control: bool,
    /// Whether the server ends when a model that it was started with cannot be loaded; otherwise it goes on, and is never ready.
    pub exit_on_failure: bool,
}

impl Default for ServerOptions {
    /// This machine alone, on Triton's ports.
    fn default() -> Self {
        Self {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            grpc: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8001))),
            models: Vec::new(),
            limits: Limits::default(),
            times: Times::default(),
            video: VideoLimits::default(),
            access: crate::guard::Access::default(),
            fetch: None,
            page: true,
            label_studio: None,
            control: true,
            exit_on_failure: true,
        }
    }
}

impl ServerOptions {
    /// Refuses what no server is started with.
    ///
    /// # Errors
    /// `InvalidOption` for an address that others reach without a key; `BadInput` for certificates that cannot be used.
    pub fn check(&self) -> maskline::Result<()> {
        self.access.check(self)?;
        self.access.tls.as_ref().map_or(Ok(()), |tls| tls.acceptor().map(drop))
    }
}

/// A model to be served.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// What requests call it.
    pub name: String,
    /// What it is made of.
    pub source: SpecSource,
    /// Models that must be fetched before, by their registered names.
    pub needs: Vec<String>,
    /// How it is loaded.
    pub load: LoadOptions,
}

/// What a served model is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecSource {
    /// One model.
    One(ModelSource),
    /// One that finds objects, and one that gives them masks.
    Pair {
        /// The model that finds.
        finder: ModelSource,
        /// The model that makes masks.
        segmenter: ModelSource,
    },
    /// A plain ONNX graph: tensors in, tensors out.
    Graph(PathBuf),
}

/// Models by name: those that were not named at the start, and how they come here.
pub trait Repository: Send + Sync {
    /// Names of the models that can be loaded without a network.
    fn names(&self) -> Vec<String>;

    /// What a name stands for.
    ///
    /// # Errors
    /// `BadInput` for a name that nothing is known of, `Unavailable` for a model that is not here.
    fn find(&self, name: &str) -> Result<ModelSpec, Error>;

    /// Fetches a model that a spec needs ([`ModelSpec::needs`]); `told` hears how far it is.
    ///
    /// # Errors
    /// As pulling it.
    fn fetch(&self, name: &str, told: &mut dyn FnMut(String)) -> Result<(), Error>;
}

/// What is refused, before there is memory for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests of a model that may be under way or wait; more are refused.
    pub queue: usize,
    /// Bytes of a request's body, after decompression.
    pub body: usize,
    /// Bytes of all bodies and decoded pictures together that are under way.
    pub memory: usize,
    /// Pixels of a picture.
    pub pixels: u64,
    /// Prompts, or phrases and examples, of a request.
    pub prompts: usize,
    /// Bytes of decoded pictures that are kept for requests that name them by their hash.
    pub pictures: usize,
    /// Connections at a time.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 64, body: 64 << 20, memory: 1 << 30, pixels: 100_000_000, prompts: 1024, pictures: 256 << 20, connections: 2048 }
    }
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The longest that a request waits for its answer; it may ask for less.
    pub request: Duration,
    /// For a request's head, and between two pieces of its body.
    pub client: Duration,
    /// After the first signal: so long the server says that it is not ready, and goes on.
    pub notice: Duration,
    /// After that: so long what was accepted may take.
    pub drain: Duration,
    /// A model that nobody asked for so long is unloaded; the next request loads it. `None` for never.
    pub keep_alive: Option<Duration>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(60),
            client: Duration::from_secs(30),
            notice: Duration::from_secs(3),
            drain: Duration::from_secs(30),
            keep_alive: None,
        }
    }
}

/// What sessions that follow objects through videos may take. A session keeps the encoded picture of one frame (at 1024 pixels 17 MB), and
/// of each object what tracking needs (at 1024 pixels 1.1 MB for each of 7 memories) and as much again for each prompted frame and each
/// frame of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoLimits {
    /// Sessions at a time; 0 for none at all.
    pub sessions: usize,
    /// A session that nobody asked for so long is closed.
    pub idle: Duration,
    /// Objects of a session.
    pub objects: usize,
    /// Frames that a session may keep answers of, to go back to them.
    pub history: usize,
    /// Bytes of all sessions together: where they are reached, no frame and no prompt is taken.
    pub memory: usize,
}

impl Default for VideoLimits {
    fn default() -> Self {
        Self { sessions: 16, idle: Duration::from_secs(300), objects: 256, history: 300, memory: 4 << 30 }
    }
}
