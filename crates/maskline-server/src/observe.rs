//! Seeing what goes on: Prometheus' metrics, logs, and traces.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use maskline::Usage;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::app::App;
use crate::models::State;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Bounds of the histograms of times, in seconds: from a cached click to the largest encoder on a small machine.
const SECONDS: [f64; 16] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
/// Bounds of the histogram of rows that ran together.
const ROWS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// How often what histograms have gathered is put into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// What is told while the server runs.
#[derive(Debug, Clone)]
pub struct Telling {
    /// How logs are written to standard error.
    pub format: LogFormat,
    /// What is logged, as `RUST_LOG` has it: `info`, `maskline_server=debug`, whose requests are told one by one.
    pub filter: String,
    /// Where traces of requests go (OTLP over gRPC): `http://127.0.0.1:4317`; `None` for nowhere.
    pub traces: Option<String>,
}

/// Sends what is left of the traces when it is dropped.
#[derive(Debug, Default)]
pub struct Told {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.provider.as_ref().map(SdkTracerProvider::shutdown) {
            // Nobody is left to hear of it but the person at the terminal.
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Begins to log and, where wished, to trace. Must be called within a Tokio runtime, once in a process.
///
/// # Errors
/// `InvalidOption` for a filter or an address that cannot be read, and where the process logs already.
pub fn tell(telling: &Telling) -> maskline::Result<Told> {
    let invalid = |message: String| maskline::Error::new(maskline::ErrorKind::InvalidOption, message);
    let filter = &telling.filter;
    let filter = EnvFilter::try_new(filter).map_err(|error| invalid(format!("log filter `{filter}`: {error}")))?;
    let has_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(has_colours);
    let lines = match telling.format {
        LogFormat::Text => lines.compact().with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed(),
    };
    let provider = telling.traces.as_deref().map(tracer_provider).transpose()?;
    // Whatever is logged, every request is traced, and nothing of the libraries.
    let spans = || tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("maskline_server"));
    let traces =
        provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("maskline")).with_filter(spans()));
    let subscriber = tracing_subscriber::registry().with(lines).with(traces);
    subscriber.try_init().map_err(|error| invalid(format!("logging: {error}")))?;
    Ok(Told { provider })
}

/// What sends traces, some of them at a time.
fn tracer_provider(address: &str) -> maskline::Result<SdkTracerProvider> {
    let wrong = |error: opentelemetry_otlp::ExporterBuildError| {
        maskline::Error::new(maskline::ErrorKind::InvalidOption, format!("traces to {address}: {error}"))
    };
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(address).build().map_err(wrong)?;
    let server = Resource::builder().with_service_name("maskline").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(server).build())
}

/// Makes a request's span a part of the caller's trace, where its headers name one (W3C `traceparent`).
pub(crate) fn continue_trace(span: &tracing::Span, headers: &HeaderMap) {
    if !headers.contains_key("traceparent") {
        return;
    }
    let caller = TraceContextPropagator::new().extract(&Headers(headers));
    // Where nothing is traced, there is nothing to be a part of.
    let _ = span.set_parent(caller);
}

/// Headers as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// The process's metrics, which are there from the first call on; `None` where the process records metrics elsewhere.
pub(crate) fn metrics() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let times = [Matcher::Full("maskline_request_seconds".into()), Matcher::Full("maskline_stage_seconds".into())];
        let mut builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full("maskline_rows_together".into()), &ROWS).ok()?;
        for time in times {
            builder = builder.set_buckets_for_metric(time, &SECONDS).ok()?;
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        describe();
        Some(handle)
    };
    HANDLE.get_or_init(install).as_ref()
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("maskline_requests_total", "Requests by what became of them: ok, or why not.");
    describe_counter!("maskline_embedding_requests_total", "Answers that needed an embedding, by whether it was there.");
    describe_histogram!("maskline_request_seconds", "From a request's arrival to its answer.");
    describe_histogram!("maskline_stage_seconds", "Where the time of answers went.");
    describe_histogram!("maskline_rows_together", "Rows that ran together in the runs that answers came from.");
    describe_gauge!("maskline_model_state", "1 for the state that a model is in.");
    describe_gauge!("maskline_model_provider", "1 for the provider that really runs a model.");
    describe_gauge!("maskline_requests_under_way", "Requests of a model that are under way or wait.");
    describe_counter!("maskline_network_runs_total", "Runs of a model's networks.");
    describe_counter!("maskline_network_rows_total", "Rows (pictures, prompts, phrases) in those runs.");
    describe_counter!("maskline_network_failures_total", "Runs that failed.");
    describe_gauge!("maskline_network_queue", "Runs that wait for a network.");
    describe_gauge!("maskline_cache_bytes", "Bytes that a model keeps, of embeddings and of encoded words.");
    describe_gauge!("maskline_cache_device_bytes", "Of these bytes, those in the memory of a device.");
    describe_gauge!("maskline_cache_entries", "How many it keeps.");
    describe_counter!("maskline_cache_hits_total", "How often one was there.");
    describe_counter!("maskline_cache_misses_total", "How often it had to be made.");
    describe_counter!("maskline_cache_evictions_total", "How often one had to make room.");
    describe_gauge!("maskline_picture_bytes", "Bytes of the decoded pictures that are kept.");
    describe_gauge!("maskline_video_sessions", "Sessions of a model that follow objects through videos.");
    describe_gauge!("maskline_video_bytes", "Bytes that the sessions of a model keep.");
    describe_counter!("maskline_video_frames_total", "Frames that sessions of a model were given.");
    describe_gauge!("maskline_resident_bytes", "Memory of the process.");
    describe_gauge!("maskline_ready", "Whether the server is ready.");
    describe_gauge!("maskline_uptime_seconds", "Since the server was started.");
}

/// All metrics in Prometheus' text form.
pub(crate) async fn exposition(app: &App) -> Option<String> {
    let handle = metrics()?;
    let yes = |is: bool| if is { 1.0 } else { 0.0 };
    for slot in app.models.all() {
        let name = slot.name().to_owned();
        let status = slot.status();
        for state in State::ALL {
            metrics::gauge!("maskline_model_state", "model" => name.clone(), "state" => state.name()).set(yes(state == status.state));
        }
        metrics::gauge!("maskline_requests_under_way", "model" => name.clone()).set(slot.under_way() as f64);
        let held = app.models.sessions.held_by(&name);
        metrics::gauge!("maskline_video_sessions", "model" => name.clone()).set(held.sessions as f64);
        metrics::gauge!("maskline_video_bytes", "model" => name.clone()).set(held.bytes as f64);
        let Some(served) = slot.served() else { continue };
        provider(&name, &served.provider());
        // Of a pair, each model counts for itself.
        let is_pair = served.models().len() > 1;
        for model in served.models() {
            let name = if is_pair { format!("{name}/{}", model.name()) } else { name.clone() };
            usage(&name, &model.usage());
        }
    }
    metrics::gauge!("maskline_picture_bytes").set(app.pictures.settled_bytes().await as f64);
    metrics::gauge!("maskline_resident_bytes").set(maskline::runtime::current_rss().unwrap_or_default() as f64);
    metrics::gauge!("maskline_ready").set(yes(app.is_ready()));
    metrics::gauge!("maskline_uptime_seconds").set(app.began.elapsed().as_secs_f64());
    Some(handle.render())
}

/// The provider that runs a model now; those that ran it before are told with 0.
fn provider(model: &str, provider: &str) {
    static SEEN: Mutex<BTreeSet<[String; 2]>> = Mutex::new(BTreeSet::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.insert([model.to_owned(), provider.to_owned()]);
    for [name, known] in seen.iter().filter(|[name, _]| name == model) {
        let is_it = if known == provider { 1.0 } else { 0.0 };
        metrics::gauge!("maskline_model_provider", "model" => name.clone(), "provider" => known.clone()).set(is_it);
    }
}

/// What the engine counts of a model.
fn usage(model: &str, usage: &Usage) {
    let name = || model.to_owned();
    metrics::counter!("maskline_network_runs_total", "model" => name()).absolute(usage.runs.runs);
    metrics::counter!("maskline_network_rows_total", "model" => name()).absolute(usage.runs.rows);
    metrics::counter!("maskline_network_failures_total", "model" => name()).absolute(usage.runs.failed);
    metrics::gauge!("maskline_network_queue", "model" => name()).set(usage.queued as f64);
    for (cache, kept) in [("embeddings", &usage.embeddings), ("words", &usage.words)] {
        metrics::gauge!("maskline_cache_bytes", "model" => name(), "cache" => cache).set(kept.bytes as f64);
        metrics::gauge!("maskline_cache_device_bytes", "model" => name(), "cache" => cache).set(kept.device_bytes as f64);
        metrics::gauge!("maskline_cache_entries", "model" => name(), "cache" => cache).set(kept.entries as f64);
        metrics::counter!("maskline_cache_hits_total", "model" => name(), "cache" => cache).absolute(kept.hits);
        metrics::counter!("maskline_cache_misses_total", "model" => name(), "cache" => cache).absolute(kept.misses);
        metrics::counter!("maskline_cache_evictions_total", "model" => name(), "cache" => cache).absolute(kept.evicted);
    }
}

/// Keeps what histograms gather from growing while nobody asks for the metrics.
pub(crate) async fn upkeep(app: Arc<App>) {
    while !app.ending.is_cancelled() {
        tokio::time::sleep(UPKEEP).await;
        if let Some(handle) = metrics() {
            handle.run_upkeep();
        }
    }
}
