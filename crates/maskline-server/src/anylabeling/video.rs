//! `/v1/video/…`: a list of pictures, points on one of them, and shapes on all that follow.
//!
//! The tool sends all frames at first; they are kept as they came, and decoded when they are looked at.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use maskline::vision::decode::size_in_header;
use maskline::{Click, Direction, Error, ErrorKind, ObjectId, Prompt, TrackerOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::answer::Told;
use super::predict::PATIENCE;
use super::shapes::{Drawing, Shape, USUAL_FINENESS};
use super::{PROTOCOL, Shared};
use crate::app::{self, App};
use crate::fault::{Fault, Result};
use crate::rest::{decoded, heavy, json as fields, read, whole, within};
use crate::statistics::{Account, Spent};
use crate::video::{Answered, Course, Said, Session, Terms, following};

/// Behind a model's name: the same model, asked about videos. The tool asks a model about videos alone, or never.
pub(super) const OF_VIDEOS: &str = "@video";
/// Most frames of a session.
const MOST_FRAMES: usize = 10_000;
/// The object, where the tool names none.
const USUAL_OBJECT: ObjectId = 1;

/// The model's name without [`OF_VIDEOS`].
fn plain(name: &str) -> &str {
    name.strip_suffix(OF_VIDEOS).unwrap_or(name)
}

/// What the tool begins with.
#[derive(Debug, Deserialize)]
struct InitBody {
    model: String,
    /// Data URIs, or base64 alone.
    frames: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Begun {
    session_id: String,
    total_frames: usize,
}

/// `POST /v1/video/init`.
pub(super) async fn init(State(app): State<Shared>, request: Request) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let begun = within(app.deadline(None), begun(&app, request, &mut account)).await;
    Told(app::close(account, begun, |_| Spent::default())).into_response()
}

async fn begun(app: &App, request: Request, account: &mut Account) -> Result<Begun> {
    let InitBody { model, frames } = body(app, request).await?;
    let slot = app.models.get(plain(&model))?;
    account.names(slot.name(), &slot.statistics);
    let turn = app.models.enter(&slot).await?;
    let follower = following(&turn.served).ok_or_else(|| {
        let error = Error::new(ErrorKind::InvalidOption, format!("`{}`", slot.name()));
        Fault::from(error.expecting("a model that remembers objects from frame to frame").but_found("one of single pictures"))
    })?;
    if !(1..=MOST_FRAMES).contains(&frames.len()) {
        return Err(Fault::bad("frames", format!("1 to {MOST_FRAMES}"), frames.len()));
    }
    let (bytes, most) = (frames.iter().map(String::len).sum(), app.limits().body);
    let clip = heavy(bytes, move || clip(&frames, most)).await??;
    let options = TrackerOptions { length: Some(clip.len()), ..TrackerOptions::default() };
    let total_frames = clip.len();
    let session = app.models.sessions.open(&slot, follower, Terms { options, clip })?;
    Ok(Begun { session_id: session.id.clone(), total_frames })
}

/// The files of frames, which must be pictures of one size.
fn clip(frames: &[String], most: usize) -> Result<Vec<Bytes>> {
    let mut known = None;
    let read = |(index, frame): (usize, &String)| {
        let named = |mut fault: Fault| {
            *fault.error = fault.error.named(format!("frames[{index}]"));
            fault
        };
        let file = Bytes::from(decoded(frame, most).map_err(named)?);
        let size = size_in_header(&file).map_err(|error| named(Error::from(error).into()))?;
        if *known.get_or_insert(size) != size {
            let [expected, found] = [known.unwrap_or(size), size].map(|(width, height)| format!("{width} × {height}"));
            return Err(Fault::bad(format!("frames[{index}]"), format!("the size of the others, {expected}"), found));
        }
        Ok(file)
    };
    frames.iter().enumerate().map(read).collect()
}

/// What the tool says of an object.
#[derive(Debug, Deserialize)]
struct PromptBody {
    session_id: String,
    #[serde(default)]
    frame_index: usize,
    text_prompt: Option<String>,
    /// In shares of the frame's width and height.
    #[serde(default)]
    points: Vec<[f32; 2]>,
    #[serde(default)]
    point_labels: Vec<f32>,
    obj_id: Option<ObjectId>,
    #[serde(default)]
    params: ParamsBody,
}

#[derive(Debug, Default, Deserialize)]
struct ParamsBody {
    epsilon_factor: Option<f32>,
    /// Objects of before are forgotten.
    #[serde(default)]
    reset_tracker: bool,
}

/// Shapes on a frame.
#[derive(Debug, Serialize)]
struct Masks {
    frame_index: usize,
    masks: Vec<Shape>,
}

/// `POST /v1/video/prompt`.
pub(super) async fn prompt(State(app): State<Shared>, request: Request) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let said = within(app.deadline(Some(PATIENCE)), said(&app, request, &mut account)).await;
    Told(app::close(account, said, |(_, spent)| *spent).map(|(masks, _)| masks)).into_response()
}

async fn said(app: &App, request: Request, account: &mut Account) -> Result<(Masks, Spent)> {
    let PromptBody { session_id, frame_index, text_prompt, points, point_labels, obj_id, params } = body(app, request).await?;
    let session = session(app, &session_id)?;
    account.names(session.slot.name(), &session.slot.statistics);
    if text_prompt.is_some_and(|text| !text.is_empty()) && points.is_empty() {
        return Err(Fault::bad("text_prompt", "points on the object", "words").with_help("the model follows what is clicked on"));
    }
    let drawing = Wished { fineness: fineness(params.epsilon_factor)?, frame: frame_index };
    let clicks = Clicks { points, labels: point_labels };
    clicks.check()?;
    if params.reset_tracker {
        session
            .change(app, |work| {
                work.reset();
                Ok(())
            })
            .await?;
    }
    gone_to(app, &session, Course { index: Some(frame_index), tracks: false, direction: Direction::Forward }).await?;
    let object = obj_id.unwrap_or(USUAL_OBJECT);
    let said = move |size| Ok(Said { object, prompt: clicks.prompt(size), refines: false });
    let answered = session.say(app, said).await?;
    let spent = Spent::of(&answered.tracked.timings, 1);
    Ok((drawing.masks(answered).await?, spent))
}

/// Points, and whether each is on the object.
struct Clicks {
    points: Vec<[f32; 2]>,
    labels: Vec<f32>,
}

impl Clicks {
    fn check(&self) -> Result<()> {
        let Self { points, labels } = self;
        if points.is_empty() {
            return Err(Fault::bad("points", "one or more", "none"));
        }
        if !labels.is_empty() && labels.len() != points.len() {
            return Err(Fault::bad("point_labels", format!("{}, one for each point", points.len()), labels.len()));
        }
        if let Some(label) = labels.iter().find(|label| **label != 0.0 && **label != 1.0) {
            return Err(Fault::bad("point_labels", "1 or 0", label));
        }
        match points.iter().flatten().find(|share| !(0.0..=1.0).contains(*share)) {
            Some(share) => Err(Fault::bad("points", "shares of width and height, from 0 to 1", share)),
            None => Ok(()),
        }
    }

    /// In pixels of a frame of this width and height.
    fn prompt(&self, (width, height): (usize, usize)) -> Prompt {
        let is_positive = |index: usize| self.labels.get(index).is_none_or(|label| *label == 1.0);
        let click =
            |(index, [x, y]): (usize, &[f32; 2])| Click { x: x * width as f32, y: y * height as f32, is_positive: is_positive(index) };
        Prompt { clicks: self.points.iter().enumerate().map(click).collect(), ..Prompt::default() }
    }
}

/// How shapes are drawn, and of which frame.
#[derive(Clone, Copy)]
struct Wished {
    fineness: f32,
    frame: usize,
}

impl Wished {
    async fn masks(self, answered: Answered) -> Result<Masks> {
        let Self { fineness, frame } = self;
        let draw = move || {
            let tracked = &answered.tracked;
            let objects = tracked.objects.iter().filter(|object| !object.logits().data().iter().all(|logit| *logit <= 0.0));
            let objects = objects.map(maskline::TrackedObject::object).collect::<maskline::Result<Vec<_>>>()?;
            Ok(Masks { frame_index: frame, masks: Drawing { fineness, size: tracked.size }.shapes(&objects) })
        };
        heavy(usize::MAX, draw).await?
    }
}

fn fineness(wished: Option<f32>) -> Result<f32> {
    let fineness = wished.unwrap_or(USUAL_FINENESS);
    if (0.0..=1.0).contains(&fineness) { Ok(fineness) } else { Err(Fault::bad("epsilon_factor", "a number from 0 to 1", fineness)) }
}

/// A session that the tool began.
fn session(app: &App, id: &str) -> Result<Arc<Session>> {
    let session = app.models.sessions.get(id)?;
    if session.clip.is_empty() {
        return Err(Fault::bad("session_id", "a session that /v1/video/init began", "one of /v1/video"));
    }
    Ok(session)
}

/// Goes to a frame of the clip.
async fn gone_to(app: &App, session: &Arc<Session>, course: Course) -> Result<Answered> {
    let index = course.index.unwrap_or_default();
    let last = session.clip.len() - 1;
    let file = session.clip.get(index).cloned().ok_or_else(|| Fault::bad("frame_index", format!("0 to {last}"), index))?;
    let prepared = session.prepared(app, app.pictures.take(file)).await?;
    session.follow(app, prepared, course).await
}

/// How far objects are followed.
#[derive(Debug, Deserialize)]
struct PropagateBody {
    session_id: String,
    start_frame: Option<usize>,
    end_frame: Option<usize>,
    #[serde(default)]
    params: ParamsBody,
}

/// `POST /v1/video/propagate/stream`.
pub(super) async fn propagate(State(app): State<Shared>, request: Request) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let run = match Run::of(&app, request, &mut account).await {
        Ok(run) => run,
        Err(fault) => {
            account.fail(&fault);
            return Told::<()>(Err(fault)).into_response();
        }
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(run.through(sender, account).instrument(tracing::Span::current()));
    let events = futures_util::stream::unfold(receiver, |mut receiver| async {
        let event: Value = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(format!("data: {event}\n\n")), receiver))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(events.fuse())).into_response()
}

/// Objects on their way through a clip.
struct Run {
    app: Arc<App>,
    session: Arc<Session>,
    first: usize,
    last: usize,
    fineness: f32,
}

impl Run {
    async fn of(app: &Arc<App>, request: Request, account: &mut Account) -> Result<Self> {
        let PropagateBody { session_id, start_frame, end_frame, params } = body(app, request).await?;
        let session = session(app, &session_id)?;
        account.names(session.slot.name(), &session.slot.statistics);
        let (state, end) = (session.state(), session.clip.len() - 1);
        if state.objects.is_empty() {
            return Err(Fault::bad("session", "an object that was marked", "none").with_help("POST …/v1/video/prompt first"));
        }
        let first = start_frame.or(state.frame).unwrap_or_default();
        let last = end_frame.unwrap_or(end);
        if first > last || last > end {
            return Err(Fault::bad(
                "start_frame, end_frame",
                format!("frames from 0 to {end}, in their order"),
                format!("{first} to {last}"),
            ));
        }
        Ok(Self { app: Arc::clone(app), session, first, last, fineness: fineness(params.epsilon_factor)? })
    }

    /// Follows the objects, and tells of it. Who does not listen for too long hears no more.
    async fn through(self, events: mpsc::Sender<Value>, account: Account) {
        let pause = self.app.times().client;
        let tell = |event: Value| async { matches!(tokio::time::timeout(pause, events.send(event)).await, Ok(Ok(()))) };
        let (mut results, mut bytes, mut spent) = (Map::new(), 0, Spent::default());
        let count = self.session.clip.len();
        if !tell(json!({"type": "started", "total_frames": count, "start_frame_index": self.first})).await {
            return;
        }
        for frame in self.first..=self.last {
            let told = within(self.app.deadline(None), self.on(frame, &mut spent)).await.and_then(|masks| self.kept(masks, &mut bytes));
            match told {
                Ok(masks) => drop(results.insert(frame.to_string(), masks)),
                Err(fault) => {
                    tell(json!({"type": "error", "message": fault.line()})).await;
                    account.fail(&fault);
                    return;
                }
            }
            let progress = json!({"type": "progress", "current_frame": frame, "total_frames": count, "progress": self.share(frame)});
            if !tell(progress).await {
                return;
            }
        }
        tell(json!({"type": "completed", "total_frames": count, "results": results})).await;
        account.succeed(&spent);
    }

    async fn on(&self, frame: usize, spent: &mut Spent) -> Result<Masks> {
        let begun = Instant::now();
        let answered =
            gone_to(&self.app, &self.session, Course { index: Some(frame), tracks: true, direction: Direction::Forward }).await?;
        let timings = answered.tracked.timings.rest(maskline::Stage::Other, begun);
        *spent += Spent::of(&timings, answered.tracked.objects.len());
        Wished { fineness: self.fineness, frame }.masks(answered).await
    }

    /// The shapes of a frame, which are told together at the end: as many as a request may have bytes.
    fn kept(&self, masks: Masks, bytes: &mut usize) -> Result<Value> {
        let corner = 24;
        *bytes += masks.masks.iter().map(|shape| 256 + corner * shape.points.len()).sum::<usize>();
        let most = self.app.limits().body;
        if *bytes > most {
            let fault = Fault::over("shapes of all frames", format!("{most} bytes"), "more");
            return Err(fault.with_help("follow through fewer frames, or with coarser outlines"));
        }
        Ok(json!({"masks": masks.masks}))
    }

    fn share(&self, frame: usize) -> f64 {
        (frame - self.first + 1) as f64 / (self.last - self.first + 1) as f64
    }
}

/// `POST /v1/video/cleanup/{id}`.
pub(super) async fn cleanup(State(app): State<Shared>, Path(id): Path<String>) -> Response {
    let closed = session(&app, &id).and_then(|_| app.models.sessions.close(&id));
    let told = closed.map(|()| json!({"message": format!("session {id} is closed")}));
    Told(app::close(app.account_of_none(PROTOCOL), told, |_| Spent::default())).into_response()
}

async fn body<T: serde::de::DeserializeOwned + Send + 'static>(app: &App, request: Request) -> Result<T> {
    let body = whole(app, request.into_body()).await?;
    heavy(body.len(), move || Ok(read(Value::Object(fields(&body)?))?)).await?
}
