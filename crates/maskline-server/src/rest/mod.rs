//! The native interface: `/v1`, in JSON, for people with `curl` and for pages.

mod about;
mod answer;
mod ask;
mod choose;
mod document;
mod export;
mod fields;
mod files;
mod format;
mod hear;
mod images;
mod object;
mod problem;
mod question;
mod run;
mod server;
mod source;
mod video;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use maskline::{Error, ErrorKind};

pub(crate) use choose::{Need, choose};
pub(crate) use document::document;
pub(crate) use fields::read;
pub(crate) use hear::{json, whole};
pub(crate) use problem::{Problem, name_instance};
pub(crate) use run::{AT_ONCE, MASK_LOGITS, within};
pub(crate) use source::{Source, decoded, heavy};

use crate::app::App;
use crate::fault::{Fault, Reason};
use fields::Way;

type Shared = Arc<App>;

/// All paths below `/v1`.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let way = |way: Way| post(move |State(app): State<Shared>, request: Request| run::answer(app, way, request));
    let mut router = Router::new();
    for each in Way::ALL {
        router = router.route(&format!("/{}", each.name()), way(each));
    }
    router
        .route("/export", post(export::export))
        .route("/images", put(images::keep))
        .route("/images/{sha256}", axum::routing::head(images::has).get(images::shown).delete(images::forget))
        .route("/models", get(about::all))
        .route("/models/{name}", get(about::one))
        .route("/models/{name}/load", post(about::load))
        .route("/models/{name}/unload", post(about::unload))
        .merge(video::routes())
        .route("/server", get(server::server))
        .route("/server/stop", post(server::stop))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(axum::middleware::from_fn(problem::name_instance))
        .layer(DefaultBodyLimit::max(app.limits().body))
        .with_state(Arc::clone(app))
}

/// The answer to a path that there is not.
async fn unknown(OriginalUri(uri): OriginalUri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    Fault::not_found(format!("no such path: {path}")).with_help("GET /openapi.json tells all of /v1").into_response()
}

/// The answer to a method that a path does not take; the router adds those that it does.
async fn other_method(method: Method) -> Response {
    let error = Error::new(ErrorKind::BadInput, "the path takes other methods").but_found(method);
    Fault::new(Reason::MethodNotAllowed, error.with_help("the header Allow names them")).into_response()
}
