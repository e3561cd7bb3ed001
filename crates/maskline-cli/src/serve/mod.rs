//! `maskline serve`.

mod check;
mod ending;
mod repository;
mod settings;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use maskline::{Delays, Engine, EngineOptions, Error, ErrorKind, Faults, LoadOptions};
use maskline_server::{
    Access, FetchRules, Key, LabelStudio, LabelStudioToken, Limits, LogFormat, ModelSpec, Parts, Server, ServerOptions, Telling, Times,
    Tls, VideoLimits,
};

use crate::args::{ModelOptions, Preprocess};
use crate::failure::Failure;
use crate::gpu::Gpu;
use crate::model::{Runtime, bundle_options, threads};
use crate::provider::{OpenVino, provider};
use crate::{hub, terminal};
use repository::{Here, Words};
use settings::{Bytes, File, Port, Settings, Span};

const MEGABYTE: usize = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Checkpoints, names of pulled models, architectures with --synthetic; two joined by `+` to give masks to what the first one finds;
    /// NAME=MODEL to serve one by another name. [default: those of the file; the small model that maskline carries]
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// Serve an ONNX graph as it is: tensors in, tensors out; may be given several times.
    #[arg(long, value_name = "[NAME=]FILE")]
    graph: Vec<String>,
    #[command(flatten)]
    options: ModelOptions,
    /// Where pictures are prepared: by the host, or by the network's provider, as products with matrices (promptable models and those of words).
    #[arg(long, value_enum, default_value_t = Preprocess::Host)]
    preprocess: Preprocess,
    /// Settings in TOML: the flags' names without their dashes, and models = ["…"]. Flags and the environment are stronger.
    #[arg(long, env = "MASKLINE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Tell what holds, and from where, and whether it could be served; then end.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    settings: Settings,
    /// Sleeps within stages, as JSON, for tests.
    #[arg(long, hide = true, value_parser = json::<Delays>)]
    delays: Option<Delays>,
    /// Failures of the provider, as JSON, for tests.
    #[arg(long, hide = true, value_parser = json::<Faults>)]
    faults: Option<Faults>,
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// `maskline serve`.
pub(crate) fn serve(arguments: &Serve, matches: &clap::ArgMatches) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
    let settings = arguments.settings.clone().or(file.settings.clone());
    let load = load_options(arguments, &settings)?;
    let words = Words { options: &arguments.options, load: &load, pulls: settings.pull.unwrap_or(false) };
    let options = ServerOptions { models: models(arguments, &file, &words)?, ..server_options(&settings)? };
    if arguments.check {
        return check::check(&options, &check::Told { settings: &settings, matches, file: arguments.config.as_deref() });
    }
    let format = if settings.log_json.unwrap_or(false) { LogFormat::Json } else { LogFormat::Text };
    let filter = settings.log.clone().unwrap_or_else(|| "warn,maskline_server=info".into());
    let telling = Telling { format, filter, traces: settings.otlp.clone() };
    let repository = Here { hub: hub::hub(arguments.options.offline || !words.pulls)?, load: load.clone() };
    let engine = engine_options(arguments, &settings)?;
    let parts = Parts { engine: Box::new(move || Engine::new(engine)), repository: std::sync::Arc::new(repository) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(ErrorKind::Failed, format!("no threads for connections: {error}")))?;
    let (has_page, is_encrypted) = (options.page, options.access.tls.is_some());
    let outcome = runtime.block_on(async {
        let _told = maskline_server::tell(&telling)?;
        let server = Server::open(options, parts).await?;
        let scheme = if is_encrypted { "https" } else { "http" };
        tell(&server, scheme);
        if let Some(address) = server.http().filter(|_| has_page) {
            terminal::say(&format!("in a browser: {scheme}://{}/", seen_from_here(address)));
        }
        ending::listen(server.stop())?;
        server.run().await
    });
    // What did not end in its time is left behind.
    runtime.shutdown_background();
    Ok(outcome?)
}

/// Where it is, for people and for scripts that gave port 0.
fn tell(server: &Server, scheme: &str) {
    let (http, grpc) = (server.http(), server.grpc());
    if let Some(http) = http {
        let grpc = grpc.map_or_else(String::new, |grpc| format!(", gRPC {grpc}"));
        terminal::say(&format!("listening: {scheme}://{http}{grpc}"));
    }
}

/// Where a browser on this machine finds a server that listens everywhere.
fn seen_from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn models(arguments: &Serve, file: &File, words: &Words<'_>) -> Result<Vec<ModelSpec>, Failure> {
    let mut named = if arguments.models.is_empty() { file.models.clone() } else { arguments.models.clone() };
    if named.is_empty() && arguments.graph.is_empty() {
        named.push("nano".into());
    }
    let models = named.iter().map(|word| words.model(word)).chain(arguments.graph.iter().map(|word| words.graph(word)));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let error = Error::new(ErrorKind::InvalidOption, format!("two models would be called `{}`", twice[0]));
        return Err(error.with_help("give one of them a name: NAME=MODEL").into());
    }
    Ok(models)
}

fn load_options(arguments: &Serve, settings: &Settings) -> Result<LoadOptions, Failure> {
    let usual = LoadOptions::default();
    let openvino =
        OpenVino { hint: settings.hint.clone(), streams: settings.streams, inference_precision: settings.inference_precision.clone() };
    let provider = provider(settings.provider.as_deref().unwrap_or("cpu"), &gpu(settings), &openvino)?;
    if settings.gpu_embeddings.is_some() && !provider.has_memory() {
        let error = Error::new(ErrorKind::InvalidOption, format!("--gpu-embeddings does not apply to the {provider} provider"));
        return Err(error.with_help("leave it out, or choose --provider cuda or tensorrt").into());
    }
    Ok(LoadOptions {
        provider,
        precision: arguments.options.precision,
        preprocessing: arguments.preprocess.into(),
        sessions: settings.sessions.unwrap_or(usual.sessions),
        together: settings.together.or(usual.together),
        wait: settings.max_wait.map_or(usual.wait, |Span(time)| time),
        embedding_cache: settings.embedding_cache.map_or(usual.embedding_cache, |megabytes| megabytes.saturating_mul(MEGABYTE)),
        device_embeddings: settings.gpu_embeddings.map_or(usual.device_embeddings, |Bytes(bytes)| bytes.try_into().unwrap_or(usize::MAX)),
        degrade: !settings.no_degrade.unwrap_or(false),
        bundle: bundle_options(&arguments.options, settings.size)?,
        delays: arguments.delays.unwrap_or_default(),
        faults: arguments.faults.unwrap_or_default(),
        ..usual
    })
}

fn gpu(settings: &Settings) -> Gpu {
    Gpu {
        device: settings.device,
        gpu_memory_limit: settings.gpu_memory_limit.map(|Bytes(bytes)| bytes),
        tf32: settings.tf32.unwrap_or(false),
        cuda_graph: settings.cuda_graph.unwrap_or(false),
        // What is too large for a level is refused as one.
        tensorrt_level: settings.tensorrt_level.map(|level| u8::try_from(level).unwrap_or(u8::MAX)),
        tensorrt_workspace: settings.tensorrt_workspace.map(|Bytes(bytes)| bytes),
    }
}

fn engine_options(arguments: &Serve, settings: &Settings) -> Result<EngineOptions, Failure> {
    let runtime = Runtime {
        provider: settings.provider.as_deref().unwrap_or("cpu"),
        path: arguments.options.runtime.as_deref(),
        offline: arguments.options.offline,
        threads: threads(settings.threads.unwrap_or(0)),
        ..Runtime::default()
    };
    let usual = runtime.options();
    runtime.check(&usual.library)?;
    Ok(EngineOptions { queue: settings.queue.unwrap_or(Limits::default().queue).max(1), ..usual })
}

fn server_options(settings: &Settings) -> Result<ServerOptions, Failure> {
    let usual = ServerOptions::default();
    let http = match settings.http {
        None => usual.http,
        Some(Port(Some(address))) => address,
        Some(Port(None)) => {
            return Err(Failure::new(ErrorKind::InvalidOption, "--http off: without HTTP nobody can ask how the server is"));
        }
    };
    let fetch = settings.fetch_from.clone().map(|hosts| FetchRules {
        hosts,
        has_plain: settings.fetch_http.unwrap_or(false),
        ..FetchRules::default()
    });
    Ok(ServerOptions {
        http,
        grpc: settings.grpc.map_or(usual.grpc, |Port(address)| address),
        limits: limits(settings, &usual.limits),
        times: times(settings, &usual.times),
        video: video(settings, &usual.video),
        access: access(settings)?,
        fetch,
        page: !settings.no_page.unwrap_or(false),
        label_studio: label_studio(settings)?,
        control: !settings.no_control.unwrap_or(false),
        exit_on_failure: !settings.keep_going.unwrap_or(false),
        ..usual
    })
}

fn limits(settings: &Settings, usual: &Limits) -> Limits {
    let bytes = |wished: Option<usize>, usual: usize| wished.map_or(usual, |megabytes| megabytes.saturating_mul(MEGABYTE));
    Limits {
        queue: settings.queue.unwrap_or(usual.queue).max(1),
        body: bytes(settings.max_body, usual.body),
        memory: bytes(settings.request_memory, usual.memory),
        pixels: settings.max_pixels.unwrap_or(usual.pixels),
        prompts: settings.max_prompts.unwrap_or(usual.prompts),
        pictures: bytes(settings.picture_cache, usual.pictures),
        connections: settings.max_connections.unwrap_or(usual.connections).max(1),
    }
}

fn times(settings: &Settings, usual: &Times) -> Times {
    let time = |wished: Option<Span>, usual: Duration| wished.map_or(usual, |Span(time)| time);
    Times {
        request: time(settings.timeout, usual.request),
        client: time(settings.client_timeout, usual.client),
        notice: time(settings.notice, usual.notice),
        drain: time(settings.drain, usual.drain),
        keep_alive: settings.keep_alive.map(|Span(time)| time),
    }
}

fn video(settings: &Settings, usual: &VideoLimits) -> VideoLimits {
    VideoLimits {
        sessions: settings.video_sessions.unwrap_or(usual.sessions),
        idle: settings.video_idle.map_or(usual.idle, |Span(time)| time),
        objects: settings.video_objects.unwrap_or(usual.objects).max(1),
        history: settings.video_history.unwrap_or(usual.history),
        memory: settings.video_memory.map_or(usual.memory, |megabytes| megabytes.saturating_mul(MEGABYTE)),
    }
}

fn access(settings: &Settings) -> Result<Access, Failure> {
    let mut keys = settings.api_key_file.as_deref().map(Key::from_file).transpose()?.unwrap_or_default();
    keys.extend(Key::from_environment()?);
    let tls = match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate: certificate.clone(), key: key.clone() }),
        (None, None) => None,
        _ => {
            let error = Error::new(ErrorKind::InvalidOption, "TLS").expecting("a certificate and its key");
            return Err(error.but_found("only one of them").with_help("--tls-certificate FILE --tls-key FILE").into());
        }
    };
    let (hosts, origins) = (settings.hosts.clone().unwrap_or_default(), settings.origins.clone().unwrap_or_default());
    let (is_open, has_open_metrics) = (settings.open.unwrap_or(false), settings.open_metrics.unwrap_or(false));
    Ok(Access { keys, tls, hosts, origins, is_open, has_open_metrics })
}

fn label_studio(settings: &Settings) -> Result<Option<LabelStudio>, Failure> {
    let file = settings.label_studio_token_file.as_deref();
    let Some(address) = &settings.label_studio_url else {
        if file.is_some() {
            let error = Error::new(ErrorKind::InvalidOption, "--label-studio-token-file").expecting("the address that the token is for");
            return Err(error.but_found("none").with_help("--label-studio-url http://HOST:8080").into());
        }
        return Ok(None);
    };
    let token = match file {
        Some(path) => Some(LabelStudioToken::from_file(path)?),
        None => LabelStudioToken::from_environment()?,
    };
    Ok(Some(LabelStudio::new(address, token)?))
}
