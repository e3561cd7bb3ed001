//! What a client must know of the models.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maskline::{ColdTimings, Error, ErrorKind, Model, ModelInfo, SizeRule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Shared;
use super::fields::Way;
use super::format::Format;
use super::run::PROTOCOL;
use crate::app::{self, App};
use crate::fault::{Fault, Reason, Result};
use crate::models::{Served, Slot, State as ModelState};
use crate::statistics::Spent;

/// Labels that are told; the others are counted.
const FIRST_LABELS: usize = 100;

/// The models.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Models)]
pub(super) struct ModelsBody {
    /// Those that the server was started with, and those that were loaded since.
    models: Vec<ModelBody>,
    /// Names of others that can be loaded.
    available: Vec<String>,
}

/// A model: all that a form for its requests is made from.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct ModelBody {
    /// What requests call it.
    pub(super) name: String,
    pub(super) state: ModelState,
    /// Why, or how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Seconds since 1970 that it is in this state.
    since: f64,
    /// What runs its networks. This and what follows is known while it is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    /// The CPU stands in for the provider that was wished for.
    degraded: bool,
    /// What it is: `detect`, `segment`, `pose`, `classify`, `obb`, `promptable`, `find` or `concepts`; of a pair both, joined by `+`; `graph`
    /// of a plain ONNX graph, which takes tensors alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    /// Architectures of its models.
    architectures: Vec<String>,
    /// What can be asked of it.
    takes: TakesBody,
    /// Forms of its answers, by the endpoint that gives them.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<Format>>)]
    formats: Map<String, Value>,
    /// Options and what they are where nothing is said.
    #[schema(value_type = Object)]
    defaults: Map<String, Value>,
    /// Side of the network's input, and what it must be a multiple of where it can be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<InputBody>,
    /// Names of the first classes that it knows, as far as its file names them.
    labels: Vec<String>,
    /// Classes that it knows.
    label_count: usize,
    limits: LimitsBody,
    /// Requests that are under way or wait.
    pub(super) under_way: usize,
    /// Rows that wait at its networks.
    queued: usize,
    /// Seconds since somebody asked.
    pub(super) idle_s: f64,
    /// Bytes of the embeddings that it keeps.
    pub(super) embedding_bytes: usize,
    /// Milliseconds that loading took, by stage; of a pair those of its last model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    cold_ms: Option<Value>,
}

/// What can be asked of a model.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Takes)]
struct TakesBody {
    /// Points, boxes and masks: `/v1/segment`.
    prompts: bool,
    /// `everything` of `/v1/segment`.
    everything: bool,
    /// `texts` of `/v1/detect`.
    words: bool,
    /// `like`, `like_boxes` and `unlike_boxes` of `/v1/detect`.
    exemplars: bool,
    /// `/v1/detect` without being told what to find.
    objects: bool,
    /// `/v1/classify`.
    classes: bool,
    /// `/v1/embed`.
    embeddings: bool,
    /// Its objects have masks.
    masks: bool,
    /// Follows objects from frame to frame: `/v1/video`.
    video: bool,
}

/// Size of a network's input.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InputSize)]
struct InputBody {
    /// Side where nothing is said, in pixels.
    size: usize,
    /// What `size` must be a multiple of; left out where it cannot be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiple: Option<usize>,
}

/// What is refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Limits)]
struct LimitsBody {
    /// Prompts, or texts and examples, of a request.
    prompts: usize,
    /// Pixels of a picture.
    pixels: u64,
    /// Bytes of a request's body.
    body: usize,
    /// Requests under way or waiting.
    queue: usize,
    /// Milliseconds until an answer.
    timeout_ms: u64,
}

/// `GET /v1/models`.
pub(super) async fn all(State(app): State<Shared>) -> Response {
    let body = ModelsBody { models: ModelBody::all(&app), available: app.models.others() };
    accounted(&app, Ok(Json(body)))
}

/// `GET /v1/models/{name}`.
pub(super) async fn one(State(app): State<Shared>, Path(name): Path<String>) -> Response {
    accounted(&app, app.models.get(&name).map(|slot| Json(ModelBody::of(&app, &slot))))
}

/// `POST /v1/models/{name}/load`: answers when it is loaded.
pub(super) async fn load(State(app): State<Shared>, Path(name): Path<String>) -> Response {
    let loaded = async {
        may_control(&app)?;
        app.models.load_named(&name).await?;
        app.models.get(&name).map(|slot| Json(ModelBody::of(&app, &slot)))
    };
    let loaded = loaded.await;
    accounted(&app, loaded)
}

/// `POST /v1/models/{name}/unload`: answers when what it accepted is answered.
pub(super) async fn unload(State(app): State<Shared>, Path(name): Path<String>) -> Response {
    let unloaded = async {
        may_control(&app)?;
        let slot = app.models.get(&name)?;
        app.models.unload(&slot, false).await;
        Ok(Json(ModelBody::of(&app, &slot)))
    };
    let unloaded = unloaded.await;
    accounted(&app, unloaded)
}

fn may_control(app: &App) -> Result<()> {
    if app.options.control {
        return Ok(());
    }
    let error = Error::new(ErrorKind::InvalidOption, "models are not loaded and unloaded by requests here");
    Err(Fault::new(Reason::Forbidden, error))
}

fn accounted<T: Serialize>(app: &App, outcome: Result<Json<T>>) -> Response {
    let outcome = outcome.map(|body| (StatusCode::OK, body));
    app::close(app.account_of_none(PROTOCOL), outcome, |_| Spent::default()).into_response()
}

impl ModelBody {
    /// All models.
    pub(super) fn all(app: &App) -> Vec<Self> {
        app.models.all().iter().map(|slot| Self::of(app, slot)).collect()
    }

    fn of(app: &App, slot: &Arc<Slot>) -> Self {
        let (status, served) = (slot.status(), slot.served());
        let models = served.as_ref().map(Served::models).unwrap_or_default();
        let infos: Vec<&ModelInfo> = models.iter().map(|model| model.info()).collect();
        let labels = infos.iter().map(|info| info.labels.as_slice()).find(|labels| !labels.is_empty()).unwrap_or_default();
        let takes = TakesBody::of(&infos);
        Self {
            name: slot.name().to_owned(),
            state: status.state,
            reason: status.reason,
            since: status.since.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
            provider: served.as_ref().map(Served::provider),
            degraded: status.state == ModelState::Degraded,
            task: served.as_ref().map(|_| task(&infos)),
            architectures: infos.iter().map(|info| info.architecture.clone()).collect(),
            formats: formats(&takes, labels),
            takes,
            defaults: defaults(&models),
            input: infos.last().map(|info| InputBody::of(info)),
            labels: labels.iter().take(FIRST_LABELS).cloned().collect(),
            label_count: infos.iter().find_map(|info| info.classes()).unwrap_or(labels.len()),
            limits: LimitsBody::of(app),
            under_way: slot.under_way(),
            queued: models.iter().map(|model| model.queued()).sum(),
            idle_s: slot.idle().as_secs_f64(),
            embedding_bytes: models.iter().map(|model| model.cached_embedding_bytes()).sum(),
            cold_ms: models.last().map(|model| cold(model)),
        }
    }
}

fn task(infos: &[&ModelInfo]) -> String {
    let names: Vec<&str> = infos.iter().map(|info| info.task.name()).collect();
    if names.is_empty() { "graph".to_owned() } else { names.join("+") }
}

fn cold(model: &Model) -> Value {
    let cold: &ColdTimings = model.cold();
    json!(cold)
}

impl TakesBody {
    fn of(infos: &[&ModelInfo]) -> Self {
        let (first, last) = match infos {
            [] => return Self::default(),
            [first, ..] => (first, infos[infos.len() - 1]),
        };
        Self {
            prompts: last.takes_prompts(),
            everything: last.everything().is_some(),
            words: first.takes_words(),
            exemplars: first.task.takes_concepts(),
            objects: first.task.finds_boxes(),
            classes: first.task.classifies(),
            embeddings: last.takes_prompts() || last.task.takes_concepts(),
            masks: infos.iter().any(|info| info.task.has_masks()),
            video: last.memory.is_some(),
        }
    }
}

/// Which formats which endpoint gives.
fn formats(takes: &TakesBody, labels: &[String]) -> Map<String, Value> {
    let ways = [
        (Way::Segment, takes.prompts),
        (Way::Detect, takes.objects || takes.words || takes.exemplars),
        (Way::Classify, takes.classes),
        (Way::Embed, takes.embeddings),
    ];
    let is_given = |format: &&Format| format.fits(takes.masks, labels);
    let names = |way| Format::of(way).iter().filter(is_given).map(|format| format.name());
    ways.into_iter().filter(|(_, is_there)| *is_there).map(|(way, _)| (way.name().to_owned(), names(way).collect())).collect()
}

/// What options are where nothing is said, as far as that is one number.
fn defaults(models: &[&Model]) -> Map<String, Value> {
    let mut defaults = Map::new();
    for model in models {
        let (info, usual) = (model.info(), model.usual());
        for (name, value) in [("conf", usual.conf), ("conf_of_examples", usual.conf_of_examples), ("iou", usual.iou)] {
            // Of a pair, the first one finds.
            if let (Some(value), false) = (value, defaults.contains_key(name)) {
                defaults.insert(name.into(), number(value));
            }
        }
        if info.task.finds_boxes() || info.task.takes_concepts() {
            defaults.insert("max_detections".into(), json!(maskline::PredictOptions::default().max_detections));
        }
        if info.task.classifies() {
            defaults.insert("top".into(), json!(maskline::PredictOptions::default().top));
        }
        if let Some(everything) = info.everything() {
            defaults.insert("multimask".into(), json!("auto"));
            defaults.insert("mask_threshold".into(), json!(maskline::SegmentOptions::default().threshold));
            defaults.insert("points_per_side".into(), json!(everything.points_per_side));
            defaults.insert("pred_iou_thresh".into(), number(everything.predicted_iou));
            defaults.insert("stability_thresh".into(), number(everything.stability));
        }
    }
    defaults
}

/// As people write it.
fn number(value: f32) -> Value {
    json!((f64::from(value) * 1e5).round() / 1e5)
}

impl InputBody {
    fn of(info: &ModelInfo) -> Self {
        let multiple = match info.size_rule() {
            SizeRule::Any { multiple } => Some(multiple),
            _ => None,
        };
        Self { size: info.default_size, multiple }
    }
}

impl LimitsBody {
    fn of(app: &App) -> Self {
        let limits = app.limits();
        Self {
            prompts: limits.prompts,
            pixels: limits.pixels,
            body: limits.body,
            queue: limits.queue,
            timeout_ms: u64::try_from(app.times().request.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
