//! All of HTTP: which paths there are, and what every request passes on its way to one.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tracing::Instrument;

use crate::app::App;
use crate::fault::Fault;
use crate::guard::{Side, protect, receive};
use crate::observe;

/// What a caller and a log know a request by.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A caller's own name for its request is taken up to this length.
const LONGEST_ID: usize = 128;

/// The name of a request, in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Of the HTTP port.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let document = || async { ([(header::CONTENT_TYPE, "application/json")], crate::rest::document()) };
    let own = Router::new().route("/openapi.json", get(document)).route("/metrics", get(metrics)).with_state(Arc::clone(app));
    // Not of pictures, which are packed already; the Open Inference Protocol has its own ways.
    let own = own
        .nest("/v1", crate::rest::router(app))
        .nest(crate::label_studio::PREFIX, crate::label_studio::router(app))
        .nest(crate::anylabeling::PREFIX, crate::anylabeling::router(app))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    // The page travels once to each browser: small counts for more than quick.
    let page = if app.options.page { crate::page::routes().layer(CompressionLayer::new()) } else { Router::new() };
    let own = own.merge(page);
    let router = own.merge(crate::oip::http::routes(app)).fallback(nowhere);
    let router = router.layer(from_fn_with_state(Arc::clone(app), receive)).layer(RequestDecompressionLayer::new());
    protect(router, app, Side::Http).layer(CatchPanicLayer::custom(panicked)).layer(from_fn(named))
}

/// Of the gRPC port.
pub(crate) fn grpc_router(app: &Arc<App>) -> Router {
    protect(crate::oip::grpc::routes(app), app, Side::Grpc).layer(from_fn(named))
}

/// The answer to a path outside of both interfaces, in the forms of both.
async fn nowhere(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let fault = Fault::not_found(format!("no such path: {path}"))
        .with_help("there are / (the page), /v1 (GET /openapi.json tells of it), /v2, /label-studio, /x-anylabeling and /metrics");
    let told = fault.line();
    let problem = json!({"type": "/problems/not_found", "title": "Not found", "status": 404, "detail": told, "error": told});
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match observe::exposition(&app).await {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        None => (StatusCode::NOT_IMPLEMENTED, "the process records its metrics elsewhere\n").into_response(),
    }
}

/// Gives a request its name, and tells the log of it.
async fn named(mut request: Request, next: Next) -> Response {
    let wished = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    let id = wished.filter(is_sane).map_or_else(fresh_id, str::to_owned);
    let empty = tracing::field::Empty;
    let span = tracing::info_span!(
        "request", id = %id, path = request.uri().path(), model = empty, outcome = empty,
        queue_ms = empty, input_ms = empty, infer_ms = empty, output_ms = empty,
    );
    observe::continue_trace(&span, request.headers());
    let (method, path, began) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(%method, path, status, took = ?began.elapsed(), "answered"));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A name that no other request of this process has, and hardly one of another.
pub(crate) fn fresh_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let start = START.get_or_init(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let hash = blake3::hash(format!("{} {}", now.as_nanos(), std::process::id()).as_bytes());
        u64::from_le_bytes(std::array::from_fn(|at| hash.as_bytes()[at]))
    });
    format!("{:016x}", start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A panic is told where it happened; the caller hears that it is our fault.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let body = r#"{"type":"/problems/failed","title":"failed","status":500,"detail":"answering panicked","error":"answering panicked"}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}
