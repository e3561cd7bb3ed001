//! Frames: given one by one, or several in a request, and answered as they come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use maskline::{Direction, Stage};
use serde_json::{Map, Value, json as as_json};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::super::Shared;
use super::super::fields::{self, Form};
use super::super::format::{Format, LINES, accepted, not_acceptable};
use super::super::hear::{Part, form, json, kind_of, query, text_header, unread, whole};
use super::super::problem::Problem;
use super::super::run::{PROTOCOL, within};
use super::super::source::{Source, heavy};
use super::answer::{Told, Writing};
use super::body::FramesBody;
use crate::app::{self, App, panicked};
use crate::fault::{Fault, Result};
use crate::guard::Room;
use crate::statistics::{Account, Spent};
use crate::video::{Course, Prepared, Session};

/// `POST /v1/video/{id}/frames`.
pub(super) async fn give(State(app): State<Shared>, Path(id): Path<String>, request: Request) -> Response {
    let began = Instant::now();
    let mut account = app.account_of_none(PROTOCOL);
    let room = request.extensions().get::<Room>().cloned();
    let (giving, mut frames) = match heard(&app, &id, request, &mut account).await {
        Ok(heard) => heard,
        Err(fault) => {
            account.fail(&fault);
            return fault.into_response();
        }
    };
    let received = began.elapsed();
    match (giving.is_stream, frames.pop()) {
        (false, Some(frame)) => {
            let told = within(app.deadline(giving.timeout), giving.one(frame, Clock { began, received })).await;
            match app::close(account, told, |told| told.spent) {
                Ok(told) => told.into_response(),
                Err(fault) => fault.into_response(),
            }
        }
        (_, last) => {
            frames.extend(last);
            lines(giving, frames, Telling { account, _room: room })
        }
    }
}

/// What a request says of its frames.
struct Giving {
    app: Arc<App>,
    session: Arc<Session>,
    /// Of the first frame.
    index: Option<usize>,
    tracks: bool,
    direction: Direction,
    has_masks: bool,
    /// As JSON lines.
    is_stream: bool,
    timeout: Option<Duration>,
}

/// When a frame came.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    /// What reading the request took.
    received: Duration,
}

async fn heard(app: &Arc<App>, id: &str, request: Request, account: &mut Account) -> Result<(Giving, Vec<Source>)> {
    let session = app.models.sessions.get(id)?;
    account.names(session.slot.name(), &session.slot.statistics);
    let accept = text_header(request.headers(), header::ACCEPT);
    let accepted = accept.map(|accept| accepted(&accept, &[Format::Json]).ok_or_else(|| not_acceptable("Accept".into(), &[Format::Json])));
    let wants_lines = accepted.transpose()?.is_some_and(|(_, is_stream)| is_stream);
    let (fields, mut frames) = read(app, request).await?;
    let FramesBody { image, images, index, track, direction, masks, stream, timeout } = fields::read(Value::Object(fields))?;
    frames.extend(image.into_iter().chain(images).map(Source::of).collect::<Result<Vec<_>>>()?);
    if frames.is_empty() {
        let help = "curl: --data-binary @frame.jpg -H 'Content-Type: image/jpeg', or -F image=@frame.jpg";
        return Err(Fault::bad("image", "a frame", "none").with_help(help));
    }
    if frames.len() > app.limits().prompts {
        return Err(Fault::over("frames of a request", app.limits().prompts, frames.len()));
    }
    let giving = Giving {
        app: Arc::clone(app),
        session,
        index,
        tracks: track.unwrap_or(true),
        direction: direction.map_or(Direction::Forward, Direction::from),
        has_masks: masks.unwrap_or(true),
        is_stream: stream || wants_lines || frames.len() > 1,
        timeout: timeout.map(Duration::from_millis),
    };
    Ok((giving, frames))
}

/// The fields of a request, and the frames that stand beside them.
async fn read(app: &App, request: Request) -> Result<(Map<String, Value>, Vec<Source>)> {
    let kind = kind_of(&request);
    let (mut fields, mut frames) = (Map::new(), Vec::new());
    for (name, text) in query(&request)? {
        word(&mut fields, &mut frames, Word { name: &name, text: &text })?;
    }
    match kind.as_str() {
        "multipart/form-data" => form(request, |part| of_form(&mut fields, &mut frames, part)).await?,
        "application/json" => {
            let body = whole(app, request.into_limited_body()).await?;
            for (name, value) in heavy(body.len(), move || json(&body)).await?? {
                put(&mut fields, &name, value)?;
            }
        }
        kind if kind.is_empty() || kind == "application/octet-stream" || kind.starts_with("image/") => {
            let body = whole(app, request.into_limited_body()).await?;
            if !body.is_empty() {
                frames.push(Source::File(body));
            }
        }
        kind => return Err(unread(kind, "an image, application/octet-stream, multipart/form-data or application/json")),
    }
    Ok((fields, frames))
}

fn of_form(fields: &mut Map<String, Value>, frames: &mut Vec<Source>, part: Part) -> Result<()> {
    if part.is_file && part.name == "image" {
        frames.push(Source::File(part.content));
        return Ok(());
    }
    word(fields, frames, Word { name: &part.name, text: part.text()? })
}

/// A name with text, of a form or a query string.
struct Word<'a> {
    name: &'a str,
    text: &'a str,
}

fn word(fields: &mut Map<String, Value>, frames: &mut Vec<Source>, word: Word<'_>) -> Result<()> {
    let Word { name, text } = word;
    let form = match name {
        "image" => {
            frames.push(Source::of_text(text.to_owned())?);
            return Ok(());
        }
        "index" | "timeout" => Form::Number,
        "track" | "masks" | "stream" => Form::Flag,
        // What is not known is refused with the rest.
        _ => Form::Text,
    };
    put(fields, name, fields::value(form, text))
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Value) -> Result<()> {
    match fields.insert(name.to_owned(), value) {
        Some(_) => Err(Fault::bad(format!("`{}`", name.chars().take(60).collect::<String>()), "it once", "it twice")),
        None => Ok(()),
    }
}

impl Giving {
    async fn one(&self, frame: Source, clock: Clock) -> Result<Told> {
        let prepared = self.prepared(frame).await?;
        self.followed(prepared, At { number: 0, clock }).await
    }

    async fn prepared(&self, frame: Source) -> Result<Prepared> {
        self.session.prepared(&self.app, frame.picture(&self.app)).await
    }

    /// Follows the objects onto a frame.
    async fn followed(&self, prepared: Prepared, at: At) -> Result<Told> {
        let course = Course { index: self.index_of(at.number)?, tracks: self.tracks, direction: self.direction };
        let mut answered = self.session.follow(&self.app, prepared, course).await?;
        if !at.clock.received.is_zero() {
            answered.tracked.timings.spend(Stage::Receive, at.clock.received);
        }
        let writing = Writing { session: self.session.id.clone(), has_masks: self.has_masks, began: at.clock.began };
        writing.told(&self.app, answered).await
    }

    /// Index of frame number `number` of the request.
    fn index_of(&self, number: usize) -> Result<Option<usize>> {
        let Some(first) = self.index else { return Ok(None) };
        let index = match self.direction {
            Direction::Forward => first.checked_add(number),
            Direction::Backward => first.checked_sub(number),
        };
        index.map(Some).ok_or_else(|| Fault::bad("index", "a frame of the video", format!("{number} frames after {first}")))
    }
}

/// Which frame of a request.
#[derive(Clone, Copy)]
struct At {
    number: usize,
    clock: Clock,
}

/// Who hears of a stream's end, and what it holds so long.
struct Telling {
    account: Account,
    /// Of the request's body, in which the frames lie.
    _room: Option<Room>,
}

/// The answers about several frames, a line each, as soon as they are there.
fn lines(giving: Giving, frames: Vec<Source>, telling: Telling) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(Arc::new(giving).all(frames, sender, telling).instrument(tracing::Span::current()));
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async {
        let line: Vec<u8> = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), receiver))
    });
    // What packs answers asks once more behind the last line.
    ([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines.fuse())).into_response()
}

impl Giving {
    /// Follows objects through all frames; the next one is encoded meanwhile. The first that fails is the last: those behind it would be
    /// other frames than their sender believes. Whoever does not read for too long hears no more.
    async fn all(self: Arc<Self>, frames: Vec<Source>, lines: mpsc::Sender<Vec<u8>>, telling: Telling) {
        let (mut spent, mut failed) = (Spent::default(), None);
        let mut frames = frames.into_iter();
        let mut ahead = frames.next().map(|frame| self.ahead(frame));
        let mut number = 0;
        while let Some(prepared) = ahead.take() {
            let clock = Clock { began: Instant::now(), received: Duration::ZERO };
            let told = async {
                let prepared = prepared.await.map_err(|_| panicked("preparing the frame"))??;
                ahead = frames.next().map(|frame| self.ahead(frame));
                self.followed(prepared, At { number, clock }).await
            };
            let told = within(self.app.deadline(self.timeout), told).await;
            let mut line = match told {
                Ok(told) => {
                    spent += told.spent;
                    told.bytes
                }
                Err(fault) => {
                    ahead = None;
                    let line = as_json!({"index": number, "error": Problem::from(&fault)}).to_string().into_bytes();
                    failed = Some(fault);
                    line
                }
            };
            line.push(b'\n');
            if !matches!(tokio::time::timeout(self.app.times().client, lines.send(line)).await, Ok(Ok(()))) {
                // Dropped, the account tells that nobody heard.
                return;
            }
            number += 1;
        }
        match failed {
            Some(fault) if spent.rows == 0 => telling.account.fail(&fault),
            _ => telling.account.succeed(&spent),
        }
    }

    /// Prepares a frame on a task of its own, which ends with whoever waits for it.
    fn ahead(self: &Arc<Self>, frame: Source) -> AbortOnDropHandle<Result<Prepared>> {
        let giving = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move { giving.prepared(frame).await }))
    }
}
