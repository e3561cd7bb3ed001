//! The paths of `/v2`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maskline::{Error, ErrorKind};
use serde::Serialize;
use serde_json::json;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use super::super::describe::Which;
use super::super::infer::Arrived;
use super::super::{counts, describe, repository};
use super::{HEADER_LENGTH, chunks::Chunks};
use crate::app::App;
use crate::fault::{Fault, Reason};

/// What the server does beside the protocol's core, by Triton's names.
pub(in super::super) const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"];

type Answer = Result<Response, Told>;

/// A fault in this protocol's form.
struct Told(Fault);

impl<F: Into<Fault>> From<F> for Told {
    fn from(fault: F) -> Self {
        Self(fault.into())
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let Self(fault) = self;
        let mut response = (fault.reason.oip_status(), axum::Json(json!({"error": fault.line()}))).into_response();
        if let Some(time) = fault.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
        response
    }
}

/// Everything below `/v2`.
pub(crate) fn routes(app: &Arc<App>) -> Router {
    // Triton's asynchronous client says by default that it takes packed answers, and unpacks those of inference alone, where they are no errors.
    let is_answer = |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| status.is_success();
    let packing = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_answer);
    let model = |router: Router<Arc<App>>, at: &str| {
        router
            .route(at, get(metadata))
            .route(&format!("{at}/ready"), get(model_ready))
            .route(&format!("{at}/config"), get(config))
            .route(&format!("{at}/stats"), get(statistics))
            .route(&format!("{at}/infer"), post(infer).layer(packing.clone()))
    };
    let router = Router::new()
        .route("/", get(server))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/models/stats", get(all_statistics))
        .route("/repository/index", post(index))
        .route("/repository/models/{model}/load", post(load))
        .route("/repository/models/{model}/unload", post(unload));
    let router = model(model(router, "/models/{model}"), "/models/{model}/versions/{version}");
    let router = ["/systemsharedmemory", "/cudasharedmemory"].into_iter().fold(router, |router, at| {
        let router = router.route(&format!("{at}/status"), get(no_regions)).route(&format!("{at}/unregister"), post(nothing));
        router
            .route(&format!("{at}/region/{{region}}/status"), get(no_regions))
            .route(&format!("{at}/region/{{region}}/unregister"), post(nothing))
            .route(&format!("{at}/region/{{region}}/register"), post(no_memory))
    });
    // How large a body may be was seen to when it was received.
    let router = router.layer(DefaultBodyLimit::disable());
    let router = router.fallback(no_path).method_not_allowed_fallback(no_method).with_state(Arc::clone(app));
    Router::new().nest("/v2", router)
}

async fn live() -> Response {
    axum::Json(json!({"live": true})).into_response()
}

/// Yes, or a status that says no, as the protocol has it.
fn readiness(told: serde_json::Value, is_ready: bool) -> Response {
    let status = if is_ready { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    (status, axum::Json(told)).into_response()
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_ready() {
        return readiness(json!({"ready": true}), true);
    }
    readiness(json!({"ready": false, "error": "not ready"}), false)
}

async fn model_ready(State(app): State<Arc<App>>, Path(which): Path<Which>) -> Response {
    match which.is_ready(&app) {
        Ok(true) => readiness(json!({"name": which.model, "ready": true}), true),
        Ok(false) => readiness(json!({"name": which.model, "ready": false, "error": "not ready"}), false),
        // Not 404: whoever asks whether it is ready hears that it is not.
        Err(fault) => readiness(json!({"name": which.model, "ready": false, "error": fault.line()}), false),
    }
}

async fn server() -> Response {
    axum::Json(json!({"name": "maskline", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS})).into_response()
}

async fn metadata(State(app): State<Arc<App>>, Path(which): Path<Which>) -> Answer {
    let signature = which.signature(&app).await?;
    let tensors = |tensors: &[describe::TensorSignature]| -> Vec<serde_json::Value> {
        let told =
            |tensor: &describe::TensorSignature| json!({"name": tensor.name, "datatype": tensor.datatype.name(), "shape": tensor.sizes()});
        tensors.iter().map(told).collect()
    };
    let describe::Signature { name, platform, inputs, outputs, .. } = &signature;
    let told = json!({
        "name": name, "versions": [describe::VERSION], "platform": platform, "inputs": tensors(inputs), "outputs": tensors(outputs),
    });
    Ok(axum::Json(told).into_response())
}

async fn config(State(app): State<Arc<App>>, Path(which): Path<Which>) -> Answer {
    let describe::Signature { name, platform, max_batch, inputs, outputs } = which.signature(&app).await?;
    let tensor = |tensor: &describe::TensorSignature| json!({"name": tensor.name, "data_type": tensor.datatype.config_name(), "dims": tensor.dims(max_batch)});
    let input = |signature: &describe::TensorSignature| {
        let mut told = tensor(signature);
        told["optional"] = signature.is_optional.into();
        told
    };
    let mut told = json!({
        "name": name,
        "platform": platform,
        "backend": describe::BACKEND,
        "max_batch_size": max_batch,
        "input": inputs.iter().map(input).collect::<Vec<_>>(),
        "output": outputs.iter().map(tensor).collect::<Vec<_>>(),
    });
    if max_batch > 0 {
        told["dynamic_batching"] = json!({});
    }
    Ok(axum::Json(told).into_response())
}

#[derive(Serialize)]
struct Statistics {
    model_stats: Vec<counts::ModelCounts>,
}

async fn statistics(State(app): State<Arc<App>>, Path(which): Path<Which>) -> Answer {
    Ok(axum::Json(Statistics { model_stats: counts::of(&app, Some(&which))? }).into_response())
}

async fn all_statistics(State(app): State<Arc<App>>) -> Answer {
    Ok(axum::Json(Statistics { model_stats: counts::of(&app, None)? }).into_response())
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Index {
    ready: bool,
}

async fn index(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let Index { ready } = of_json(&body)?;
    Ok(axum::Json(repository::index(&app, ready)).into_response())
}

/// An object of JSON; an empty body stands for one without keys.
fn of_json<T: serde::de::DeserializeOwned + Default>(body: &Bytes) -> Result<T, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Fault::bad("the request's JSON", "an object", error))
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Control {
    parameters: serde_json::Map<String, serde_json::Value>,
}

async fn load(State(app): State<Arc<App>>, Path(which): Path<Which>, body: Bytes) -> Answer {
    let Control { parameters } = of_json(&body)?;
    if let Some(name) = parameters.keys().find(|name| *name == "config" || name.starts_with("file:")) {
        let error =
            Error::new(ErrorKind::InvalidOption, "models are loaded as the server was told").at_place(format!("parameter `{name}`"));
        return Err(Fault::from(error).into());
    }
    repository::load(&app, &which.model).await?;
    Ok(StatusCode::OK.into_response())
}

async fn unload(State(app): State<Arc<App>>, Path(which): Path<Which>, body: Bytes) -> Answer {
    of_json::<Control>(&body)?;
    repository::unload(&app, &which.model).await?;
    Ok(StatusCode::OK.into_response())
}

async fn infer(State(app): State<Arc<App>>, Path(which): Path<Which>, headers: HeaderMap, body: Bytes) -> Answer {
    let length = headers.get(HEADER_LENGTH).map(|length| String::from_utf8_lossy(length.as_bytes()));
    let reading = async { Ok(super::read(&body, length.as_deref())?) };
    let write = |answer| Ok(super::write(&answer)?);
    Ok(response(Arrived::new(&app, which, "http").answer(reading, write).await?))
}

fn response(written: super::Written) -> Response {
    let super::Written { json, tensors } = written;
    if tensors.is_empty() {
        return ([(header::CONTENT_TYPE, "application/json")], json).into_response();
    }
    let length = json.len();
    let body = Chunks::new(std::iter::once(json).chain(tensors));
    let headers = [(header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()), (HEADER_LENGTH, length.to_string())];
    (headers, Body::new(body)).into_response()
}

async fn no_regions() -> Response {
    axum::Json(json!([])).into_response()
}

async fn nothing() -> StatusCode {
    StatusCode::OK
}

async fn no_memory() -> Told {
    no_shared_memory().into()
}

/// No memory can be shared.
pub(in super::super) fn no_shared_memory() -> Fault {
    let error = Error::new(ErrorKind::InvalidOption, "shared memory is not served");
    Fault::new(Reason::Unsupported, error.with_help("send the tensor within the request"))
}

async fn no_path(request: Request) -> Told {
    let path: String = request.uri().path().chars().take(200).flat_map(char::escape_debug).collect();
    Fault::not_found(format!("there is nothing at {path}")).into()
}

async fn no_method(request: Request) -> Told {
    let error = Error::new(ErrorKind::InvalidOption, format!("{} is not for {}", request.method(), request.uri().path()));
    Fault::new(Reason::MethodNotAllowed, error).into()
}
