//! The server as a whole: what `maskline ps` shows, and what `maskline stop` sends.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maskline::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::about::ModelBody;
use super::run::PROTOCOL;
use crate::app::{self, App};
use crate::fault::{Fault, Reason, Result};
use crate::models::State as ModelState;
use crate::statistics::Spent;

/// The server.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Server)]
pub(super) struct ServerBody {
    /// Version of maskline.
    version: String,
    /// Number of the process.
    pid: u32,
    /// Seconds since it was started.
    uptime_s: f64,
    /// What it is at.
    state: ServerState,
    /// Whether all models that it was started with answer.
    ready: bool,
    /// Where it answers.
    addresses: AddressesBody,
    /// Bytes.
    memory: MemoryBody,
    /// Its models, in short.
    models: Vec<ShortModel>,
}

/// What a server is at.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ServerState {
    /// Models are being loaded.
    Starting,
    /// All of them answer.
    Ready,
    /// It answers what it accepted, and ends.
    Ending,
}

/// Where a server answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Addresses)]
struct AddressesBody {
    http: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<String>,
}

/// Memory, in bytes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Memory)]
struct MemoryBody {
    /// Of the process, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident: Option<u64>,
    /// Of decoded pictures that are kept.
    pictures: u64,
    /// Of embeddings that are kept.
    embeddings: u64,
    /// Of sessions that follow objects through videos.
    video: u64,
}

/// A model, in short.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ShortModel {
    name: String,
    state: ModelState,
    /// Why, or how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What runs its networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// Requests that are under way or wait.
    under_way: usize,
    /// Seconds since somebody asked.
    idle_s: f64,
}

/// `GET /v1/server`.
pub(super) async fn server(State(app): State<Shared>) -> Response {
    let body = body(&app);
    app::close(app.account_of_none(PROTOCOL), Ok(Json(body)), |_| Spent::default()).into_response()
}

fn body(app: &App) -> ServerBody {
    let models = ModelBody::all(app);
    let is_ready = app.is_ready();
    ServerBody {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: app.began.elapsed().as_secs_f64(),
        state: match (app.ending.is_cancelled(), is_ready) {
            (true, _) => ServerState::Ending,
            (false, true) => ServerState::Ready,
            (false, false) => ServerState::Starting,
        },
        ready: is_ready,
        addresses: AddressesBody { http: app.options.http.to_string(), grpc: app.options.grpc.map(|address| address.to_string()) },
        memory: MemoryBody {
            resident: maskline::runtime::current_rss(),
            pictures: app.pictures.bytes(),
            embeddings: models.iter().map(|model| model.embedding_bytes as u64).sum(),
            video: app.models.sessions.bytes() as u64,
        },
        models: models.into_iter().map(ShortModel::from).collect(),
    }
}

impl From<ModelBody> for ShortModel {
    fn from(model: ModelBody) -> Self {
        let ModelBody { name, state, reason, provider, under_way, idle_s, .. } = model;
        Self { name, state, reason, provider, under_way, idle_s }
    }
}

/// What comes of asking a server to stop.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stopping)]
pub(super) struct StoppingBody {
    state: ServerState,
}

/// `POST /v1/server/stop`: from this machine, or with a key; as JSON, which no page can send unasked.
pub(super) async fn stop(State(app): State<Shared>, request: Request) -> Response {
    let account = app.account_of_none(PROTOCOL);
    let stopped = may_stop(&app, &request).map(|()| {
        app.ending.cancel();
        (StatusCode::ACCEPTED, Json(StoppingBody { state: ServerState::Ending }))
    });
    app::close(account, stopped, |_| Spent::default()).into_response()
}

fn may_stop(app: &App, request: &Request) -> Result<()> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_here = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    // Where there are keys, a request has shown one by now.
    if !is_here && app.options.access.keys.is_empty() {
        let error = Error::new(ErrorKind::BadInput, "stopping the server").expecting("a request of the same machine, or a key");
        return Err(Fault::new(Reason::Forbidden, error));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let error =
        Error::new(ErrorKind::BadInput, "Content-Type").expecting("application/json").but_found(kind.chars().take(80).collect::<String>());
    Err(Fault::new(Reason::UnsupportedMedia, error))
}
