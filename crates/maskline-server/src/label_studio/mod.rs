//! A machine learning backend of Label Studio: `/label-studio`, or `/label-studio/MODEL` for one model.
//!
//! Label Studio asks for the server's health, says where it is itself (`/setup`), and then sends tasks: with what somebody has just drawn, for the
//! one object that it means; without, for all objects of the project's labels.

mod body;
mod choose;
mod config;
mod connection;
mod picture;
mod predict;
mod question;
mod regions;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maskline::{Error, ErrorKind};
use moka::future::Cache;
use serde_json::json;

pub use connection::{LabelStudio, LabelStudioToken};

use crate::app::{self, App};
use crate::fault::{Fault, Reason, Result};
use crate::statistics::Spent;
use body::Setup;
use choose::Wish;
use config::Config;
use connection::{Connections, is_near};
use picture::Gallery;

/// Name in the accounts.
const PROTOCOL: &str = "label-studio";
/// What all its paths begin with.
pub(crate) const PREFIX: &str = "/label-studio";
/// Bytes of what `/setup` sends.
const LARGEST_SETUP: usize = 2 << 20;
/// Projects whose parameters are remembered, the last ones.
const MOST_PROJECTS: u64 = 1024;

/// What requests share.
struct Studio {
    app: Arc<App>,
    gallery: Gallery,
    /// The model that was entered in a project's parameters.
    models: Cache<String, String>,
}

type Shared = Arc<Studio>;
type Model = Option<Path<String>>;

/// All paths below `/label-studio`.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let gallery = Gallery::new(Connections::new(app.options.label_studio.clone()));
    let studio = Arc::new(Studio { app: Arc::clone(app), gallery, models: Cache::new(MOST_PROJECTS) });
    let predict = |State(studio): State<Shared>, path: Model, request: Request| {
        predict::predict(studio, path.map(|Path(name)| name), request.into_body())
    };
    let mut router = Router::new();
    for base in ["", "/{model}"] {
        router = router
            .route(&format!("{base}/health"), get(health))
            .route(&format!("{base}/setup"), post(setup))
            .route(&format!("{base}/predict"), post(predict))
            .route(&format!("{base}/webhook"), post(webhook))
            .route(&format!("{base}/versions"), get(versions))
            .route(&format!("{base}/train"), post(train));
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(axum::middleware::from_fn(crate::rest::name_instance))
        .layer(DefaultBodyLimit::max(app.limits().body))
        .with_state(studio)
}

/// Whether a path is the one that tells whether the server lives.
pub(crate) fn is_health(path: &str) -> bool {
    let rest = path.strip_prefix("/label-studio/").and_then(|rest| rest.strip_suffix("health"));
    rest.is_some_and(|model| model.is_empty() || model.find('/') == Some(model.len() - 1))
}

/// What predictions say that they come from.
fn version_of(model: &str) -> String {
    format!("{model}@maskline-{}", env!("CARGO_PKG_VERSION"))
}

async fn health() -> Response {
    Json(json!({"status": "UP", "model_class": "maskline"})).into_response()
}

/// Label Studio waits three seconds for this one: a model that is still being loaded is no reason to say no.
async fn setup(State(studio): State<Shared>, path: Model, request: Request) -> Response {
    let account = studio.app.account_of_none(PROTOCOL);
    let outcome = connected(&studio, path, request).await.map(|version| Json(json!({"model_version": version})));
    app::close(account, outcome, |_| Spent::default()).into_response()
}

async fn connected(studio: &Studio, path: Model, request: Request) -> Result<String> {
    let is_near = is_near(request.extensions(), request.headers());
    let body = crate::rest::whole(&studio.app, request.into_body()).await?;
    if body.len() > LARGEST_SETUP {
        return Err(Fault::over("body", format!("{LARGEST_SETUP} bytes"), body.len()));
    }
    let setup: Setup = body::read(&body)?;
    let config = setup.schema.as_deref().map(Config::read).transpose()?;
    let of_project = setup.extra_params.as_ref().and_then(|extra| extra.model.clone());
    let wish = Wish {
        path: path.map(|Path(name)| name),
        version: None,
        config: config.and_then(|config| config.model),
        of_project: of_project.clone(),
    };
    let slot = wish.likely(&studio.app)?;
    if let Some(project) = &setup.project {
        match of_project {
            Some(model) => studio.models.insert(project.0.clone(), model).await,
            None => studio.models.invalidate(&project.0).await,
        }
    }
    studio.gallery.connections.learn(&setup, is_near).await;
    Ok(version_of(slot.name()))
}

impl Studio {
    async fn model_of(&self, project: Option<&str>) -> Option<String> {
        match project {
            Some(project) => self.models.get(project).await,
            None => None,
        }
    }
}

/// What was annotated. Nothing is learnt from it.
async fn webhook() -> Response {
    (StatusCode::CREATED, Json(json!({}))).into_response()
}

async fn versions(State(studio): State<Shared>, path: Model) -> Response {
    let names: Vec<String> = match path {
        Some(Path(name)) => match studio.app.models.get(&name) {
            Ok(slot) => vec![slot.name().to_owned()],
            Err(fault) => return fault.into_response(),
        },
        None => studio.app.models.all().iter().map(|slot| slot.name().to_owned()).collect(),
    };
    let versions: Vec<String> = names.iter().map(|name| version_of(name)).collect();
    Json(json!({"versions": versions})).into_response()
}

async fn train() -> Response {
    Fault::new(Reason::Unsupported, Error::new(ErrorKind::InvalidOption, "models are not trained here")).into_response()
}

/// The answer to a path that there is not.
async fn unknown(OriginalUri(uri): OriginalUri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let fault = Fault::not_found(format!("no such path: {path}"));
    fault.with_help("enter http://HOST:PORT/label-studio, or http://HOST:PORT/label-studio/MODEL, as the backend's URL").into_response()
}

/// The answer to a method that a path does not take; the router adds those that it does.
async fn other_method(method: Method) -> Response {
    let error = Error::new(ErrorKind::BadInput, "the path takes other methods").but_found(method);
    Fault::new(Reason::MethodNotAllowed, error.with_help("the header Allow names them")).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_health;

    #[test]
    fn health_is_told_to_all_and_nothing_else() {
        assert!(is_health("/label-studio/health") && is_health("/label-studio/sam2.1-tiny/health"));
        for other in ["/label-studio/setup", "/label-studio/xhealth", "/label-studio//health/x", "/label-studio/a/b/health", "/v1/health"] {
            assert!(!is_health(other), "{other}");
        }
    }
}
