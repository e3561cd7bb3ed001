//! What every request passes first.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use maskline::{Error, ErrorKind};

use super::cors;
use super::host::{self, Asking, Names};
use super::refusal::{Refused, refuse};
use crate::app::App;
use crate::fault::{Fault, Reason, Result};
use crate::options::ServerOptions;

/// The port that a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// HTTP: native, Open Inference Protocol, metrics.
    Http,
    /// gRPC.
    Grpc,
}

/// Whoever asks what is behind it must call the server by its name, come from a page that may ask if it is one, and show a key if keys are
/// wished. Covers the routes and the fallback that a router has so far.
pub(crate) fn protect(router: Router, app: &Arc<App>, side: Side) -> Router {
    let gate = Gate { names: Names::new(&app.options.access), app: Arc::clone(app), side };
    let router = router.layer(from_fn_with_state(Arc::new(gate), pass));
    // Outside of the keys: a browser asks without one whether it may ask, and a page may read why it was refused.
    match cors::layer(&app.options.access.origins) {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

struct Gate {
    app: Arc<App>,
    names: Names,
    side: Side,
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.check(&request) {
        Ok(()) => next.run(request).await,
        Err(fault) => refuse(&gate.app, Refused { side: gate.side, path: request.uri().path(), fault: &fault }),
    }
}

impl Gate {
    fn check(&self, request: &Request) -> Result<()> {
        let (access, uri, headers) = (&self.app.options.access, request.uri(), request.headers());
        self.names.check(uri, headers)?;
        host::check_origin(access, Asking { method: request.method(), uri, headers })?;
        if is_told_to_all(&self.app.options, uri.path()) || access.admits(headers) {
            return Ok(());
        }
        // The same whatever was wrong: no key, an unknown one, one in another form.
        let error = Error::new(ErrorKind::BadInput, "the request shows no key of this server");
        Err(Fault::new(Reason::Unauthorized, error.with_help("send `Authorization: Bearer KEY` or `X-Api-Key: KEY`")))
    }
}

/// Whether the server lives and is ready is told to all, as whoever watches over it has no key; the page asks for one itself.
fn is_told_to_all(options: &ServerOptions, path: &str) -> bool {
    match path {
        "/health" | "/v2/health/live" | "/v2/health/ready" => true,
        "/grpc.health.v1.Health/Check" | "/grpc.health.v1.Health/Watch" => true,
        "/inference.GRPCInferenceService/ServerLive" | "/inference.GRPCInferenceService/ServerReady" => true,
        crate::anylabeling::HEALTH => true,
        "/metrics" => options.access.has_open_metrics,
        path => crate::label_studio::is_health(path) || (options.page && crate::page::is_of(path)),
    }
}

#[cfg(test)]
mod tests;
