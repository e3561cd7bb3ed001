//! `/v1/video`: sessions, their frames and their objects.

mod answer;
mod body;
mod document;
mod frames;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use maskline::{Error, ErrorKind, ObjectId, Stage};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) use body::{FramesBody, OpenBody, SaidBody, SessionBody, SessionsBody, VideoAnswerBody, VideoObjectBody};
pub(super) use document::paths;

use super::Shared;
use super::choose::{Need, choose};
use super::fields;
use super::hear::{json, kind_of, unread, whole};
use super::run::{PROTOCOL, within};
use super::source::heavy;
use crate::app::{self, App};
use crate::fault::{Fault, Result};
use crate::models::Slot;
use crate::statistics::{Account, Spent};
use crate::video::{Terms, Work, following};
use answer::{Told, Writing};

/// All paths of sessions.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/video", get(all).post(open))
        .route("/video/{id}", get(one).delete(close))
        .route("/video/{id}/frames", post(frames::give))
        .route("/video/{id}/objects", post(say))
        .route("/video/{id}/objects/{object}", delete(remove))
        .route("/video/{id}/objects/{object}/prompts", delete(clear))
        .route("/video/{id}/reset", post(reset))
}

/// `GET /v1/video`.
async fn all(State(app): State<Shared>) -> Response {
    let sessions = app.models.sessions.all().iter().map(|session| SessionBody::of(session)).collect();
    accounted(app.account_of_none(PROTOCOL), Ok((StatusCode::OK, Json(SessionsBody { sessions }))))
}

/// `GET /v1/video/{id}`.
async fn one(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    let told = app.models.sessions.get(&id).map(|session| (StatusCode::OK, Json(SessionBody::of(&session))));
    accounted(app.account_of_none(PROTOCOL), told)
}

/// `DELETE /v1/video/{id}`.
async fn close(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    accounted(app.account_of_none(PROTOCOL), app.models.sessions.close(&id).map(|()| StatusCode::NO_CONTENT))
}

/// `POST /v1/video`.
async fn open(State(app): State<Shared>, request: Request) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let opened = within(app.deadline(None), opened(&app, request, &mut account)).await;
    accounted(account, opened)
}

async fn opened(app: &App, request: Request, account: &mut Account) -> Result<impl IntoResponse + use<>> {
    let body: OpenBody = read(app, request).await?;
    let slot = choose(app, body.model.as_deref(), Need::Video)?;
    account.names(slot.name(), &slot.statistics);
    let turn = app.models.enter(&slot).await?;
    let model = following(&turn.served).ok_or_else(|| remembers_nothing(app, &slot))?;
    let session = app.models.sessions.open(&slot, model, Terms { options: body.options(), ..Terms::default() })?;
    let place = HeaderValue::try_from(format!("/v1/video/{}", session.id)).map_err(|_| app::panicked("naming the session"))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(SessionBody::of(&session))))
}

/// The refusal of a model that follows nothing, with those that do.
fn remembers_nothing(app: &App, slot: &Slot) -> Fault {
    let follows = |slot: &&Arc<Slot>| slot.served().is_some_and(|served| following(&served).is_some());
    let names: Vec<String> = app.models.all().iter().filter(follows).map(|slot| format!("`{}`", slot.name())).collect();
    let help = if names.is_empty() { "none that is served does".to_owned() } else { format!("these do: {}", names.join(", ")) };
    let error =
        Error::new(ErrorKind::InvalidOption, format!("`{}`", slot.name())).expecting("a model that remembers objects from frame to frame");
    Fault::from(error.but_found("one of single pictures")).with_help(help)
}

/// `POST /v1/video/{id}/objects`.
async fn say(State(app): State<Shared>, Path(id): Path<String>, request: Request) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let told = within(app.deadline(None), said(&app, &id, request, &mut account)).await;
    match app::close(account, told, |told| told.spent) {
        Ok(told) => told.into_response(),
        Err(fault) => fault.into_response(),
    }
}

async fn said(app: &App, id: &str, request: Request, account: &mut Account) -> Result<Told> {
    let began = std::time::Instant::now();
    let session = app.models.sessions.get(id)?;
    account.names(session.slot.name(), &session.slot.statistics);
    let body: SaidBody = read(app, request).await?;
    let received = began.elapsed();
    // A mask of the frame's size, however it comes.
    let pixels = session.state().size.filter(|_| body.has_mask()).map_or(0, |(width, height)| width as u64 * height as u64);
    let room = app.pictures.room(pixels).await?;
    let say = move |size| {
        let _room = room;
        body.said(size)
    };
    let mut answered = session.say(app, say).await?;
    answered.tracked.timings.spend(Stage::Receive, received);
    Writing { session: session.id.clone(), has_masks: true, began }.told(app, answered).await
}

/// `DELETE /v1/video/{id}/objects/{object}`.
async fn remove(State(app): State<Shared>, Path((id, object)): Path<(String, String)>) -> Response {
    let object = object_of(&object);
    changed(&app, &id, move |work| work.remove(object?)).await
}

/// `DELETE /v1/video/{id}/objects/{object}/prompts`.
async fn clear(State(app): State<Shared>, Path((id, object)): Path<(String, String)>) -> Response {
    let object = object_of(&object);
    changed(&app, &id, move |work| work.clear(object?)).await
}

/// `POST /v1/video/{id}/reset`.
async fn reset(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    changed(&app, &id, |work| {
        work.reset();
        Ok(())
    })
    .await
}

fn object_of(text: &str) -> Result<ObjectId> {
    let shown = || text.chars().take(40).flat_map(char::escape_debug).collect::<String>();
    text.parse().map_err(|_| Fault::bad("object", "a whole number", format!("`{}`", shown())))
}

/// Changes a session, which is answered with nothing.
async fn changed(app: &App, id: &str, change: impl FnOnce(&mut Work) -> Result<()> + Send + 'static) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let session = app.models.sessions.get(id);
    if let Ok(session) = &session {
        account.names(session.slot.name(), &session.slot.statistics);
    }
    let change = async { session?.change(app, change).await.map(|()| StatusCode::NO_CONTENT) };
    let changed = within(app.deadline(None), change).await;
    accounted(account, changed)
}

fn accounted(account: Account, outcome: Result<impl IntoResponse>) -> Response {
    app::close(account, outcome, |_| Spent::default()).into_response()
}

/// The JSON of a request; what says nothing is an empty object.
async fn read<T: DeserializeOwned + Send + 'static>(app: &App, request: Request) -> Result<T> {
    let kind = kind_of(&request);
    let body = whole(app, request.into_body()).await?;
    if body.is_empty() {
        return Ok(fields::read(Value::Object(Map::new()))?);
    }
    if kind != "application/json" {
        return Err(unread(&kind, "application/json"));
    }
    heavy(body.len(), move || Ok(fields::read(Value::Object(json(&body)?))?)).await?
}
