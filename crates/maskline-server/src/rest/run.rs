//! A request's way: heard, put to a model, answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use maskline::{Answer, Answers, Error, ErrorKind, Stage, Stages};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Answerer, Drawn, Found, Unmet, with_timings};
use super::choose::{Need, choose};
use super::fields::Way;
use super::files::{PictureName, Writing, attachment};
use super::format::{Chosen, Format, LINES, Wish, ZIP, not_acceptable};
use super::hear::hear;
use super::problem::Problem;
use super::question::{AskedModel, Question, class_names};
use super::source::{Source, heavy};
use crate::app::{self, App};
use crate::fault::{Fault, Result};
use crate::models::Turn;
use crate::pictures::Picture;
use crate::statistics::{Account, Spent};

/// Name in the accounts.
pub(super) const PROTOCOL: &str = "rest";
/// Pictures of one request that are worked on at once: the next is decoded while this one is looked at.
pub(crate) const AT_ONCE: usize = 2;
/// Bytes of an answer's mask beside its bits: the low-resolution logits.
pub(crate) const MASK_LOGITS: u64 = 256 << 10;

/// Answers a request.
pub(super) async fn answer(app: Arc<App>, way: Way, request: Request) -> Response {
    let began = Instant::now();
    let mut account = app.account_of_none(PROTOCOL);
    let put = put(&app, way, request, &mut account).await;
    let (call, mut pictures) = match put {
        Ok(put) => put,
        Err(fault) => {
            account.fail(&fault);
            return fault.into_response();
        }
    };
    let received = began.elapsed();
    match (call.chosen.is_stream, pictures.pop()) {
        (false, Some(source)) => {
            let about = About { source, began, received, deadline: call.deadline };
            let outcome = call.one(about).await;
            match app::close(account, outcome, |written| written.spent) {
                Ok(written) => written.into_response(),
                Err(fault) => fault.into_response(),
            }
        }
        (_, last) => {
            pictures.extend(last);
            lines(call, pictures, account)
        }
    }
}

/// A request that was heard, and a place at the model that answers it.
struct Call {
    app: Arc<App>,
    turn: Turn,
    question: Arc<Question>,
    chosen: Chosen,
    /// Of the first picture.
    deadline: Instant,
    /// What the request asked for, for each picture.
    timeout: Option<Duration>,
    /// What files call the picture.
    name: Option<PictureName>,
    save_conf: bool,
}

/// A picture that is asked about.
struct About {
    source: Source,
    began: Instant,
    /// What reading the request took.
    received: Duration,
    deadline: Instant,
}

/// An answer as it is sent.
struct Written {
    bytes: Vec<u8>,
    format: Format,
    /// What it is called, where it is to be kept as a file.
    file: Option<String>,
    timings: Stages,
    spent: Spent,
}

/// Hears a request, and enters the model that answers it.
async fn put(app: &Arc<App>, way: Way, request: Request, account: &mut Account) -> Result<(Call, Vec<Source>)> {
    let mut heard = hear(app, way, request).await?;
    let pictures = std::mem::take(&mut heard.pictures);
    if pictures.is_empty() {
        let fault = Fault::bad("image", "a picture", "none");
        return Err(fault.with_help("curl: -F image=@photo.jpg; JSON: {\"image\": {\"base64\": …}} or {\"image\": {\"ref\": …}}"));
    }
    let is_stream = heard.ask.stream || pictures.len() > 1;
    let wish = Wish { way, format: heard.ask.format.as_deref(), accept: heard.accept.as_deref(), is_stream };
    let chosen = wish.choose()?;
    let name = heard.ask.name.as_deref().map(PictureName::of).transpose()?;
    let need = Need::of(way, heard.is_told());
    let slot = choose(app, heard.ask.model.as_deref(), need)?;
    account.names(slot.name(), &slot.statistics);
    let timeout = heard.ask.timeout.map(Duration::from_millis);
    let deadline = app.deadline(timeout);
    let turn = within(deadline, app.models.enter(&slot)).await?;
    need.check(&slot, &turn.served)?;
    check_format(chosen.format, &turn)?;
    let save_conf = heard.ask.save_conf;
    let question = Arc::new(within(deadline, Question::of(app, way, heard)).await?);
    Ok((Call { app: Arc::clone(app), turn, question, chosen, deadline, timeout, name, save_conf }, pictures))
}

/// Refuses forms that would hold nothing of what the model finds.
fn check_format(format: Format, turn: &Turn) -> Result<()> {
    let models = turn.served.models();
    let has_masks = models.iter().any(|model| model.info().task.has_masks());
    let labels = models.first().map(|model| model.info().labels.as_slice()).unwrap_or_default();
    if format.fits(has_masks, labels) {
        return Ok(());
    }
    let fitting: Vec<Format> = Format::ALL.into_iter().filter(|format| format.fits(has_masks, labels)).collect();
    let why = if format == Format::Coco91 { "knows other classes than COCO's" } else { "finds no masks" };
    Err(not_acceptable(format!("format `{}`: `{}` {why}", format.name(), turn.slot.name()), &fitting))
}

/// What is answered until then, or not at all: dropped, it is called off.
pub(crate) async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Fault::from(Error::new(ErrorKind::TimedOut, "the request's deadline passed before it was answered"));
    tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(late()))
}

impl Call {
    /// The answer about one picture.
    async fn one(&self, about: About) -> Result<Written> {
        within(about.deadline, self.found_and_written(about)).await
    }

    async fn found_and_written(&self, about: About) -> Result<Written> {
        let About { source, began, received, deadline } = about;
        let found = self.found(source, deadline).await?;
        let mut timings = found.timings;
        let encoding = Instant::now();
        let bytes = self.written(found).await?;
        if !received.is_zero() {
            timings.spend(Stage::Receive, received);
        }
        timings.spend(Stage::Encode, encoding.elapsed());
        let timings = timings.rest(Stage::Other, began);
        let format = self.chosen.format;
        let bytes = if format == Format::Json { with_timings(bytes, &timings)? } else { bytes };
        let file = (format.media() == ZIP).then(|| PictureName::file_name(self.name.as_ref(), &format!(".{}.zip", format.name())));
        Ok(Written { bytes, format, file, timings, spent: Spent::of(&timings, self.question.rows()) })
    }

    /// Asks the model.
    async fn found(&self, source: Source, deadline: Instant) -> Result<Found> {
        let picture = source.picture(&self.app).await?;
        let (width, height) = picture.image.size();
        let mask = ((width * height) as u64 / 8).saturating_add(MASK_LOGITS);
        let waiting = Instant::now();
        let room = self.app.pictures.room(mask.saturating_mul(self.question.masks() as u64)).await?;
        let waited = waiting.elapsed() + picture.waited;
        let (question, image) = (Arc::clone(&self.question), Arc::clone(&picture.image));
        let asked = AskedModel { served: self.turn.served.clone(), deadline };
        // However small the picture is, a rough mask's outlines may be long.
        let work = if question.has_masks() { usize::MAX } else { 0 };
        let asked = heavy(work, move || question.about(&image, &asked)).await??;
        let mut found = Found::nothing(picture, room);
        // Where none can be asked, the picture need not be encoded.
        if asked.failed.len() < asked.request.asks.len() {
            found = self.sorted(found, app::answer(&self.turn, asked.request).await?);
        }
        for (index, error) in asked.failed {
            found.errors.retain(|unmet| unmet.index != index);
            found.errors.push(Unmet { index, error });
        }
        found.errors.sort_by_key(|unmet| unmet.index);
        found.asked = self.question.drawn(&found.errors);
        found.timings.spend(Stage::Decode, found.picture.decode);
        found.timings.spend(Stage::Queue, waited);
        // What nothing of could be answered is the request's own error.
        if found.errors.len() >= self.question.rows() { Err(found.errors.swap_remove(0).error.into()) } else { Ok(found) }
    }

    /// Puts answers where they belong: objects of prompts in their order, what was looked for by falling score.
    fn sorted(&self, mut found: Found, answers: Answers) -> Found {
        found.timings = answers.timings;
        for (index, answer) in answers.answers.into_iter().enumerate() {
            match answer {
                Ok(Answer { objects, classes, origins, .. }) => {
                    found.objects.extend(objects);
                    found.origins.extend(origins);
                    found.classes = classes.or(found.classes);
                }
                Err(error) => found.errors.push(Unmet { index, error }),
            }
        }
        if self.question.concepts.len() > 1 {
            found.objects.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        found
    }

    /// The answer's bytes, but for JSON's timings.
    async fn written(&self, found: Found) -> Result<Vec<u8>> {
        let (width, height) = found.picture.image.size();
        let format = self.chosen.format;
        if format == Format::Json {
            let masks = found.objects.iter().filter(|object| object.mask.is_some()).count();
            let answerer = Answerer::of(self.question.way, &self.turn);
            // A mask has a bit for a pixel.
            return heavy(width * height / 8 * masks, move || answerer.json(&found)).await?;
        }
        let (known, name, has_scores) = (class_names(&self.question, &self.turn.slot), self.name.clone(), self.save_conf);
        heavy(usize::MAX, move || {
            let name = name.unwrap_or_else(|| PictureName::of_hash(found.picture.hash));
            let Found { picture, objects, classes, asked, .. } = &found;
            let (image, ranked, marks) = (&picture.image, classes.as_deref(), asked.marks());
            Writing { image, objects, ranked, marks, name: &name, known: &known, keypoints: None, has_scores }.answer(format)
        })
        .await?
    }
}

impl Found {
    /// Nothing yet.
    fn nothing(picture: Picture, room: OwnedSemaphorePermit) -> Self {
        let (objects, origins, errors) = (Vec::new(), Vec::new(), Vec::new());
        Self { picture, objects, origins, classes: None, errors, timings: Stages::default(), asked: Drawn::default(), _room: room }
    }
}

pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.format.media()));
        if let Ok(timing) = HeaderValue::from_str(&self.timings.server_timing()) {
            headers.insert(SERVER_TIMING, timing);
        }
        headers.extend(self.file.map(|file| (header::CONTENT_DISPOSITION, attachment(&file))));
        response
    }
}

/// The answers about several pictures, a line each, in their order and as soon as they are there. Dropped, as when the caller goes, what is
/// not begun is called off.
fn lines(call: Call, pictures: Vec<Source>, account: Account) -> Response {
    let call = Arc::new(call);
    let answers = futures_util::stream::iter(pictures.into_iter().enumerate()).map(move |(index, source)| {
        let call = Arc::clone(&call);
        async move {
            let deadline = call.app.deadline(call.timeout);
            let about = About { source, began: Instant::now(), received: Duration::ZERO, deadline };
            (index, call.one(about).await)
        }
    });
    let body = Body::from_stream(told(answers.buffered(AT_ONCE), account));
    ([(header::CONTENT_TYPE, LINES)], body).into_response()
}

/// Lines under way.
struct Lines<S> {
    answers: std::pin::Pin<Box<S>>,
    /// `None` once it is closed.
    account: Option<Account>,
    spent: Spent,
    failed: Option<Fault>,
}

/// The lines of answers; the account is closed behind the last one.
fn told(
    answers: impl Stream<Item = (usize, Result<Written>)> + Send + 'static,
    account: Account,
) -> impl Stream<Item = std::result::Result<Vec<u8>, std::convert::Infallible>> + Send + 'static {
    let lines = Lines { answers: Box::pin(answers), account: Some(account), spent: Spent::default(), failed: None };
    futures_util::stream::unfold(lines, |mut lines| async move {
        match lines.answers.next().await {
            Some((index, outcome)) => {
                let line = lines.line(index, outcome);
                Some((Ok(line), lines))
            }
            None => {
                lines.close();
                None
            }
        }
    })
    // What packs answers asks once more behind the last line.
    .fuse()
}

impl<S> Lines<S> {
    fn line(&mut self, index: usize, outcome: Result<Written>) -> Vec<u8> {
        let mut line = match outcome {
            Ok(written) => {
                self.spent += written.spent;
                written.bytes
            }
            Err(fault) => {
                let line = json!({"index": index, "error": Problem::from(&fault)}).to_string().into_bytes();
                self.failed = Some(fault);
                line
            }
        };
        line.push(b'\n');
        line
    }

    /// A request of which something was answered is answered.
    fn close(&mut self) {
        match (self.account.take(), &self.failed) {
            (Some(account), Some(fault)) if self.spent.rows == 0 => account.fail(fault),
            (Some(account), _) => account.succeed(&self.spent),
            (None, _) => {}
        }
    }
}
