//! X-AnyLabeling's remote server, below `/x-anylabeling`: the annotation tool asks it in place of models of its own.
//!
//! The tool appends `/v1/models` and `/v1/predict` to the address that it is given, so that a prefix keeps its paths apart from the native
//! interface's. It shows nothing where an answer of status 200 says that it failed: failures have statuses of their own here.

mod answer;
mod models;
mod predict;
mod shapes;
mod video;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use maskline::{Error, ErrorKind};

pub(crate) use answer::refusal;

use crate::app::App;
use crate::fault::{Fault, Reason};
use answer::Told;

/// What all its paths begin with.
pub(crate) const PREFIX: &str = "/x-anylabeling";
/// Whether the server lives, which is told to all.
pub(crate) const HEALTH: &str = "/x-anylabeling/health";
/// Name in the accounts.
pub(crate) const PROTOCOL: &str = "x-anylabeling";

type Shared = Arc<App>;

/// Whether a path is one of these.
pub(crate) fn is_of(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All paths below the prefix.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/health", get(models::health))
        .route("/v1/models", get(models::all))
        .route("/v1/models/{name}/info", get(models::one))
        .route("/v1/predict", post(predict::predict))
        .route("/v1/video/init", post(video::init))
        .route("/v1/video/prompt", post(video::prompt))
        .route("/v1/video/propagate/stream", post(video::propagate))
        .route("/v1/video/cleanup/{id}", post(video::cleanup))
        .route("/v1/video/{*rest}", any(other_ways))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .with_state(Arc::clone(app))
}

/// Ways to follow objects that the tool itself does not take.
async fn other_ways(State(app): State<Shared>) -> Response {
    let error = Error::new(ErrorKind::Unavailable, "objects are followed while somebody listens, and in no other way");
    failed(&app, Fault::new(Reason::Unsupported, error.with_help("POST …/v1/video/propagate/stream")))
}

async fn unknown(State(app): State<Shared>, OriginalUri(uri): OriginalUri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let help = format!("the tool's server_url is http://…{PREFIX}, without a slash at its end");
    failed(&app, Fault::not_found(format!("no such path: {path}")).with_help(help))
}

async fn other_method(State(app): State<Shared>, method: Method) -> Response {
    let error = Error::new(ErrorKind::BadInput, "the path takes other methods").but_found(method);
    failed(&app, Fault::new(Reason::MethodNotAllowed, error))
}

fn failed(app: &App, fault: Fault) -> Response {
    app.account_of_none(PROTOCOL).fail(&fault);
    Told::<()>(Err(fault)).into_response()
}
