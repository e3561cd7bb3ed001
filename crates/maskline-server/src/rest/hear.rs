//! Requests as they come: a form, a picture with options in the query string, or JSON. All three are read into one [`Heard`].

use axum::RequestExt;
use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use maskline::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::ask::{AskBody, LikeBody};
use super::fields::{self, Form, REQUEST, Way};
use super::source::{Source, heavy};
use super::words::{self, Draft, Prompts, Sought};
use crate::app::App;
use crate::fault::{Fault, Reason, Result};

/// Most parts of a form.
const MOST_PARTS: usize = 16_384;
/// Most values of a JSON body, so that it takes not many times its own size when it is read: run lengths and polygons are long lists.
const MOST_VALUES: usize = 2_000_000;

/// An example on another picture.
#[derive(Debug, Clone)]
pub(super) struct Like {
    pub(super) source: Source,
    pub(super) bounds: Option<[f32; 4]>,
    pub(super) label: Option<String>,
}

/// What a request says.
#[derive(Debug)]
pub(super) struct Heard {
    /// All but pictures, prompts, texts and examples, which stand beside it.
    pub(super) ask: AskBody,
    pub(super) pictures: Vec<Source>,
    pub(super) prompts: Vec<Draft>,
    pub(super) sought: Sought,
    pub(super) like: Vec<Like>,
    /// What forms of the answer the caller accepts.
    pub(super) accept: Option<String>,
}

impl Heard {
    /// Whether it says what to look for.
    pub(super) fn is_told(&self) -> bool {
        !(self.like.is_empty() && self.sought.is_empty())
    }
}

/// Reads a request.
///
/// # Errors
/// `UnsupportedMedia` for a body of another kind, `TooLarge` over a limit, `BadRequest` for all that is wrong in it.
pub(super) async fn hear(app: &App, way: Way, request: Request) -> Result<Heard> {
    let accept = text_header(request.headers(), header::ACCEPT);
    let kind = kind_of(&request);
    let mut reading = Reading { way, most: app.limits().prompts, ..Reading::new(way) };
    for (name, text) in query(&request)? {
        reading.word(&name, &text)?;
    }
    match kind.as_str() {
        "multipart/form-data" => form(request, |part| reading.part(part)).await?,
        "application/json" => {
            let body = whole(app, request.into_limited_body()).await?;
            let fields = heavy(body.len(), move || json(&body)).await??;
            reading.merge(fields)?;
        }
        kind if kind.is_empty() || kind == "application/octet-stream" || kind.starts_with("image/") => {
            let body = whole(app, request.into_limited_body()).await?;
            if !body.is_empty() {
                reading.pictures.push(Source::File(body));
            }
        }
        kind => {
            let help = "curl: -F image=@photo.jpg, or --data-binary @photo.jpg -H 'Content-Type: image/jpeg'";
            return Err(unread(kind, "multipart/form-data, application/json, application/octet-stream or an image").with_help(help));
        }
    }
    reading.finish(accept).await
}

/// Names and values behind the path.
///
/// # Errors
/// `BadRequest` for what is none.
pub(super) fn query(request: &Request) -> Result<Vec<(String, String)>> {
    let read = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    Ok(read.map_err(|error| Fault::bad("query string", "names and values", error.body_text()))?.0)
}

pub(super) fn text_header(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// What kind of body a request says that it has.
pub(super) fn kind_of(request: &Request) -> String {
    let kind = text_header(request.headers(), header::CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The refusal of a body of another kind.
pub(super) fn unread(kind: &str, expected: &str) -> Fault {
    let error = Error::new(ErrorKind::BadInput, "Content-Type").expecting(expected);
    Fault::new(Reason::UnsupportedMedia, error.but_found(kind.chars().take(80).collect::<String>()))
}

/// All of a body.
///
/// # Errors
/// `TooLarge` over the limit; `BadRequest` where it ends early.
pub(crate) async fn whole(app: &App, body: Body) -> Result<Bytes> {
    let most = app.limits().body;
    axum::body::to_bytes(body, most).await.map_err(|error| {
        let error = error.into_inner();
        let is_long = std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source())
            .any(|error| error.is::<http_body_util::LengthLimitError>());
        if is_long { too_long(most) } else { Fault::bad("body", "all of it", error) }
    })
}

fn too_long(most: usize) -> Fault {
    Fault::over("body", format!("{most} bytes"), "more").with_help("send a smaller picture, or start the server with a larger --max-body")
}

/// The fields of a JSON body.
///
/// # Errors
/// `BadRequest` for what is no JSON object; `TooLarge`.
pub(crate) fn json(body: &[u8]) -> Result<Map<String, Value>> {
    let values = body.iter().filter(|byte| **byte == b',').count();
    if values > MOST_VALUES {
        return Err(Fault::over("JSON body", format!("{MOST_VALUES} values"), values));
    }
    serde_json::from_slice(body).map_err(|error| Fault::bad("JSON body", "an object", error))
}

/// A request while it is read.
struct Reading {
    way: Way,
    /// Most prompts, texts and examples, and pictures.
    most: usize,
    fields: Map<String, Value>,
    pictures: Vec<Source>,
    prompts: Prompts,
    sought: Sought,
    like: Vec<Like>,
}

impl Reading {
    fn new(way: Way) -> Self {
        let (fields, pictures, like) = (Map::new(), Vec::new(), Vec::new());
        Self { way, most: 0, fields, pictures, prompts: Prompts::default(), sought: Sought::default(), like }
    }

    /// A name with text, of a form or a query string.
    fn word(&mut self, name: &str, text: &str) -> Result<()> {
        let mut known = self.way.fields();
        let names = |form: Form, own: &'static str| match form {
            Form::Repeated(names) => names.to_vec(),
            _ => vec![own],
        };
        let Some(field) = known.find(|field| names(field.form, field.name).contains(&name)) else {
            let known = self.way.fields().flat_map(|field| names(field.form, field.name));
            return Err(fields::unknown(self.way, name, known));
        };
        match (field.name, field.form) {
            ("prompts", _) if name == "mask" => {
                return Err(Fault::bad("mask", "a file", "text").with_help("curl: -F mask=@mask.png"));
            }
            ("prompts", _) => self.prompts.hear(name, text)?,
            ("texts" | "like_boxes" | "unlike_boxes", _) => self.sought.hear(name, text)?,
            ("image", _) => self.pictures.push(Source::of_text(text.to_owned())?),
            ("like", _) => self.like.push(like(text)?),
            (REQUEST, _) => self.merge(json(text.as_bytes())?)?,
            (own, form) => self.put(own, fields::value(form, text))?,
        }
        self.check_counts()
    }

    /// A part of a form.
    fn part(&mut self, part: Part) -> Result<()> {
        if part.is_file || part.name == REQUEST {
            return self.file(&part.name, part.content);
        }
        self.word(&part.name, part.text()?)
    }

    /// A name with a file, of a form.
    fn file(&mut self, name: &str, file: Bytes) -> Result<()> {
        match name {
            "image" => self.pictures.push(Source::File(file)),
            "mask" if self.way == Way::Segment => self.prompts.hear_mask(file),
            "like" if self.way == Way::Detect => self.like.push(Like { source: Source::File(file), bounds: None, label: None }),
            REQUEST => self.merge(json(&file)?)?,
            name => {
                let text = std::str::from_utf8(&file).map_err(|_| Fault::bad(name.to_owned(), "text", "something else"))?;
                return self.word(name, text);
            }
        }
        self.check_counts()
    }

    fn merge(&mut self, more: Map<String, Value>) -> Result<()> {
        fields::check(self.way, &more)?;
        more.into_iter().try_for_each(|(name, value)| self.put(&name, value))
    }

    fn put(&mut self, name: &str, value: Value) -> Result<()> {
        match self.fields.insert(name.to_owned(), value) {
            Some(_) => Err(Fault::bad(format!("`{name}`"), "it once", "it twice")),
            None => Ok(()),
        }
    }

    /// Refuses more than is answered, before there is more of it.
    fn check_counts(&self) -> Result<()> {
        let counts = [
            ("prompts", self.prompts.len()),
            ("texts and examples", self.sought.texts.len() + self.like.len()),
            ("pictures", self.pictures.len()),
        ];
        match counts.into_iter().find(|(_, count)| *count > self.most) {
            Some((what, count)) => Err(Fault::over(what, self.most, count)),
            None => Ok(()),
        }
    }

    /// All that was read, in its types.
    async fn finish(self, accept: Option<String>) -> Result<Heard> {
        let Self { most, fields, pictures, prompts, sought, like, .. } = self;
        // A picture within JSON is long text, which is moved and not looked at.
        let mut ask: AskBody = fields::read(Value::Object(fields))?;
        let mut reading = Self { most, pictures, prompts: Prompts::default(), sought, like, ..Self::new(self.way) };
        let of_json = ask.image.take().into_iter().chain(std::mem::take(&mut ask.images));
        reading.pictures.extend(of_json.map(Source::of).collect::<Result<Vec<_>>>()?);
        reading.sought.texts.extend(std::mem::take(&mut ask.texts).into_iter().map(Into::into));
        reading.sought.like_boxes.append(&mut ask.like_boxes);
        reading.sought.unlike_boxes.append(&mut ask.unlike_boxes);
        for LikeBody { image, bounds, label } in std::mem::take(&mut ask.like) {
            reading.like.push(Like { source: Source::of(image)?, bounds, label });
        }
        let drafts = std::mem::take(&mut ask.prompts).into_iter().map(|body| Draft { fields: body.0, mask: None });
        let prompts: Vec<Draft> = prompts.finish().into_iter().chain(drafts).collect();
        reading.check_counts()?;
        if prompts.len() > most {
            return Err(Fault::over("prompts", most, prompts.len()));
        }
        let Self { pictures, sought, like, .. } = reading;
        Ok(Heard { ask, pictures, prompts, sought, like, accept })
    }
}

/// An example: a picture that was sent before or an address, and behind `#` a box on it.
fn like(text: &str) -> Result<Like> {
    let (picture, bounds) = match text.rsplit_once('#') {
        Some((picture, bounds)) => (picture, Some(words::bounds("like", bounds)?)),
        None => (text, None),
    };
    Ok(Like { source: Source::of_text(picture.to_owned())?, bounds, label: None })
}

/// A part of a form.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) content: Bytes,
    /// Whether it is a file, rather than text.
    pub(super) is_file: bool,
}

impl Part {
    /// # Errors
    /// `BadRequest` for what is none.
    pub(super) fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.content).map_err(|_| Fault::bad(self.name.clone(), "text", "something else"))
    }
}

/// Reads a form, part by part.
///
/// # Errors
/// `BadRequest` for what is no form, `TooLarge`; as whoever takes the parts.
pub(super) async fn form(request: Request, mut take: impl FnMut(Part) -> Result<()>) -> Result<()> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| Fault::bad("Content-Type", "multipart/form-data with its boundary", error.body_text()))?;
    let mut parts = 0;
    while let Some(part) = form.next_field().await.map_err(|error| of_form(&error))? {
        parts += 1;
        if parts > MOST_PARTS {
            return Err(Fault::over("form", format!("{MOST_PARTS} parts"), "more"));
        }
        let name = part.name().ok_or_else(|| Fault::bad("form", "a name of every part", "a part without"))?.to_owned();
        let is_file = part.file_name().is_some() || part.content_type().is_some_and(|kind| kind.starts_with("image/"));
        let content = part.bytes().await.map_err(|error| of_form(&error))?;
        take(Part { name, content, is_file })?;
    }
    Ok(())
}

fn of_form(error: &axum::extract::multipart::MultipartError) -> Fault {
    let fault = Fault::bad("form", "multipart/form-data", error.body_text());
    if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE { Fault { reason: Reason::TooLarge, ..fault } } else { fault }
}
