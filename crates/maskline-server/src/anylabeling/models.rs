//! The models, with what the tool shows for each.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use maskline::{Error, ErrorKind, Usual};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::Told;
use super::video::OF_VIDEOS;
use super::{PROTOCOL, Shared};
use crate::app::{self, App};
use crate::fault::{Fault, Reason, Result};
use crate::models::{Served, Slot};
use crate::statistics::Spent;
use crate::video::following;

/// Place of the slider for the fineness of outlines that stands for [`USUAL_FINENESS`](super::shapes::USUAL_FINENESS): its steps are
/// ten-thousandths.
const FINENESS_STEP: u32 = 10;

/// `GET /health`: whoever gets an answer knows that the server lives.
pub(super) async fn health(State(app): State<Shared>) -> Response {
    let loaded = app.models.all().iter().filter(|slot| slot.served().is_some()).count();
    let body = json!({"status": "healthy", "models_loaded": loaded});
    app::close(app.account_of_none(PROTOCOL), Ok(Json(body)), |_| Spent::default()).into_response()
}

/// `GET /v1/models`: those that are loaded and answer questions about pictures.
pub(super) async fn all(State(app): State<Shared>) -> Response {
    let told = |slot: &Arc<Slot>| Some((slot.name().to_owned(), json!(ModelBody::of(slot)?)));
    let of_videos = |slot: &Arc<Slot>| Some((format!("{}{OF_VIDEOS}", slot.name()), json!(ModelBody::of_videos(slot)?)));
    let all = app.models.all();
    let models: Map<String, Value> = all.iter().filter_map(told).chain(all.iter().filter_map(of_videos)).collect();
    accounted(&app, Ok(models))
}

/// `GET /v1/models/{name}/info`.
pub(super) async fn one(State(app): State<Shared>, Path(name): Path<String>) -> Response {
    let told = app.models.get(name.strip_suffix(OF_VIDEOS).unwrap_or(&name)).and_then(|slot| {
        let of = if name.ends_with(OF_VIDEOS) { ModelBody::of_videos } else { ModelBody::of };
        let body = of(&slot).ok_or_else(|| {
            let error = Error::new(ErrorKind::Unavailable, format!("`{}` is not loaded, or takes tensors alone", slot.name()));
            Fault::new(Reason::NotReady, error)
        })?;
        let mut body = json!(body);
        body["model_id"] = json!(name);
        Ok(body)
    });
    accounted(&app, told)
}

fn accounted<T: Serialize>(app: &App, outcome: Result<T>) -> Response {
    Told(app::close(app.account_of_none(PROTOCOL), outcome, |_| Spent::default())).into_response()
}

/// What the tool shows for a model, and how it asks it about many pictures.
#[derive(Debug, Serialize)]
struct ModelBody {
    display_name: String,
    widgets: Vec<Widget>,
    params: Params,
    capabilities: Capabilities,
    /// `default`, `text_prompt`, `video`; null where each picture wants its own points.
    batch_processing_mode: Option<&'static str>,
}

/// A part of the tool's window, and what it shows at first.
#[derive(Debug, Serialize)]
struct Widget {
    name: &'static str,
    value: Value,
}

/// What holds where a request says nothing.
#[derive(Debug, Serialize)]
struct Params {
    #[serde(skip_serializing_if = "Option::is_none")]
    conf_threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iou_threshold: Option<f64>,
    epsilon_factor: f64,
}

/// What can be asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Capabilities {
    /// Points and boxes around an object.
    pub(super) prompts: bool,
    /// Words.
    pub(super) words: bool,
    /// Boxes around what is looked for, and around what is not.
    pub(super) examples: bool,
    /// Whatever it knows.
    pub(super) objects: bool,
    /// What the whole picture shows.
    pub(super) classes: bool,
    /// Its objects have outlines.
    pub(super) masks: bool,
}

impl Capabilities {
    pub(super) fn of(served: &Served) -> Self {
        let first = served.first().map(|model| model.info());
        Self {
            prompts: served.prompted().is_some(),
            words: first.is_some_and(|info| info.takes_words()),
            examples: first.is_some_and(|info| info.task.takes_concepts()),
            objects: first.is_some_and(|info| info.task.finds_boxes()),
            classes: first.is_some_and(|info| info.task.classifies()),
            masks: served.models().iter().any(|model| model.info().task.has_masks()),
        }
    }

    /// The parts of the tool's window that ask for it.
    fn widgets(self, usual: Usual) -> Vec<Widget> {
        let mut widgets = Vec::new();
        let mut add = |name: &'static str, value: Value| {
            if widgets.iter().all(|known: &Widget| known.name != name) {
                widgets.push(Widget { name, value });
            }
        };
        if self.objects || self.classes {
            add("button_run", Value::Null);
        }
        if self.words {
            add("edit_text", Value::Null);
            add("button_send", Value::Null);
        }
        if self.examples {
            for name in ["add_pos_rect", "add_neg_rect", "button_run_rect", "button_clear", "button_finish_object"] {
                add(name, Value::Null);
            }
        } else if self.prompts {
            for name in ["button_add_point", "button_remove_point", "button_add_rect", "button_clear", "button_finish_object"] {
                add(name, Value::Null);
            }
        }
        for (label, name, value) in [("input_conf", "edit_conf", usual.conf), ("input_iou", "edit_iou", usual.iou)] {
            if let Some(value) = value {
                add(label, Value::Null);
                add(name, json!(rounded(value)));
            }
        }
        if self.masks {
            add("mask_fineness_slider", json!(FINENESS_STEP));
            add("mask_fineness_value_label", Value::Null);
        }
        add("toggle_preserve_existing_annotations", json!(false));
        widgets
    }
}

impl ModelBody {
    fn of(slot: &Slot) -> Option<Self> {
        let served = slot.served()?;
        let usual = served.first()?.usual();
        let capabilities = Capabilities::of(&served);
        let batch_processing_mode = match capabilities {
            Capabilities { words: true, .. } => Some("text_prompt"),
            Capabilities { objects: true, .. } | Capabilities { classes: true, .. } => Some("default"),
            _ => None,
        };
        let params = Params {
            conf_threshold: usual.conf.map(rounded),
            iou_threshold: usual.iou.map(rounded),
            epsilon_factor: super::shapes::USUAL_FINENESS.into(),
        };
        let widgets = capabilities.widgets(usual);
        Some(Self { display_name: slot.name().to_owned(), widgets, params, capabilities, batch_processing_mode })
    }

    /// The same model as one that follows objects through a folder of pictures, where it can.
    fn of_videos(slot: &Slot) -> Option<Self> {
        following(&slot.served()?)?;
        let display_name = format!("{} (video)", slot.name());
        let names = ["button_add_point", "button_remove_point", "button_clear", "button_finish_object", "button_reset_tracker"];
        let mut widgets: Vec<Widget> = names.into_iter().map(|name| Widget { name, value: Value::Null }).collect();
        widgets.push(Widget { name: "toggle_preserve_existing_annotations", value: json!(false) });
        Some(Self { display_name, widgets, batch_processing_mode: Some("video"), ..Self::of(slot)? })
    }
}

/// As people write it.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}
