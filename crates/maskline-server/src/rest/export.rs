//! `POST /v1/export`: what somebody sees, as the files that `maskline run` writes. No model is asked.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maskline::vision::write::{FileFormat, HIGHEST_CLASS, RESULTS, has_coco_classes};
use maskline::{Error, ErrorKind, Mask, Object};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::Shared;
use super::answer::Drawn;
use super::ask::{PictureBody, PromptBody};
use super::fields;
use super::files::{NamedFile, PictureName, Writing, attachment, zip};
use super::format::{Format, ZIP};
use super::hear::{json, kind_of, unread, whole};
use super::object::{LONGEST_LABEL, ObjectBody, Seen};
use super::question::clicks;
use super::run::{PROTOCOL, within};
use super::source::{Source, heavy};
use crate::app::{self, App};
use crate::fault::{Fault, Reason, Result};
use crate::pictures::Picture;
use crate::statistics::Spent;

/// Most objects of a picture.
const MOST_OBJECTS: usize = 10_000;
/// Memory for a byte of a mask's run lengths, each of which may be a run: its place in the mask, and in what is written.
const RUN_BYTES: u64 = 16;
/// The same where outlines are written: a run has at most four corners, each of two numbers in JSON.
const OUTLINE_BYTES: u64 = 512;
/// Longest run lengths that outlines are followed along: many times those of a mask with hair, and what is longer is noise, whose parts
/// would be joined for hours.
const LONGEST_OUTLINE: usize = 1 << 20;
/// Memory for a byte of a brush mask, which is a number in a list.
const BRUSH_BYTES: u64 = 40;

/// What is seen, and the form that it is wished in.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ExportRequest)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportBody {
    /// The picture.
    image: PictureBody,
    /// What files call it, `photo.jpg`; left out, its hash.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// Form of the files.
    #[schema(value_type = Format)]
    format: String,
    /// What is seen, as `/v1/segment` and `/v1/detect` answer it.
    #[schema(max_items = 10_000)]
    objects: Vec<ObjectBody>,
    /// Names of classes by number. Left out, those of `model`; where that has none either, the labels of the objects are numbered.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    classes: Vec<String>,
    /// A model, whose classes the objects' are. It is not asked.
    model: Option<String>,
    /// What was asked, to be drawn with the objects: points and boxes.
    #[serde(default)]
    prompts: Vec<PromptBody>,
    /// YOLO's lines end in the score.
    #[serde(default)]
    save_conf: bool,
}

/// `POST /v1/export`.
pub(super) async fn export(State(app): State<Shared>, request: Request) -> Response {
    let account = app.account_of_none(PROTOCOL);
    let exported = within(app.deadline(None), exported(&app, request)).await;
    app::close(account, exported, |_| Spent::default()).into_response()
}

/// A file as it is sent.
struct Exported {
    file: NamedFile,
    media: &'static str,
}

impl IntoResponse for Exported {
    fn into_response(self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, HeaderValue::from_static(self.media)), (header::CONTENT_DISPOSITION, attachment(&self.file.name))];
        (headers, Body::from(self.file.bytes)).into_response()
    }
}

async fn exported(app: &App, request: Request) -> Result<Exported> {
    let kind = kind_of(&request);
    if kind != "application/json" {
        return Err(unread(&kind, "application/json"));
    }
    let body = whole(app, request.into_body()).await?;
    let body: ExportBody = heavy(body.len(), move || Ok::<_, Fault>(fields::read(Value::Object(json(&body)?))?)).await??;
    let Wished { export, image, objects } = Wished::of(app, body)?;
    let picture = Source::of(image)?.picture(app).await?;
    let format = export.format;
    let held = Held { _room: app.pictures.room(reading_bytes(format, &objects)?).await?, _core: app.pictures.core().await? };
    let size = picture.image.size();
    // Who goes meanwhile leaves the work to its end, and what it holds is held so long.
    let read = move || {
        let seen = objects.into_iter().enumerate().map(|(index, object)| object.seen(index, size));
        let seen = seen.collect::<Result<Vec<Seen>>>()?;
        Ok::<_, Fault>(Read { writing_bytes: writing_bytes(format, size, &seen), seen, held })
    };
    let read = heavy(usize::MAX, read).await??;
    let room = app.pictures.room(read.writing_bytes).await?;
    heavy(usize::MAX, move || {
        let _held = (read.held, room);
        export.files(&picture, read.seen)
    })
    .await?
}

/// Objects, before they are written.
struct Read {
    seen: Vec<Seen>,
    /// Memory that writing them takes.
    writing_bytes: u64,
    held: Held,
}

/// What an export keeps from others.
struct Held {
    _room: OwnedSemaphorePermit,
    _core: OwnedSemaphorePermit,
}

/// What a request wishes, checked as far as that can be without its picture.
struct Wished {
    export: Export,
    image: PictureBody,
    objects: Vec<ObjectBody>,
}

/// How objects are to be written.
struct Export {
    format: Format,
    name: Option<PictureName>,
    classes: Vec<String>,
    /// Keypoints of the model's objects.
    keypoints: Option<usize>,
    /// The model that is named, and what runs it.
    model: Option<Named>,
    drawn: Drawn,
    has_scores: bool,
}

/// A model that is named.
struct Named {
    name: String,
    provider: String,
}

impl Wished {
    fn of(app: &App, body: ExportBody) -> Result<Self> {
        let ExportBody { image, name, format, objects, classes, model, prompts, save_conf } = body;
        let format = Format::of_name(&format, &Format::ALL)?;
        let counts = [
            ("objects", objects.len(), MOST_OBJECTS),
            ("classes", classes.len(), HIGHEST_CLASS + 1),
            ("prompts", prompts.len(), app.limits().prompts),
        ];
        if let Some((what, count, most)) = counts.into_iter().find(|(_, count, most)| count > most) {
            return Err(Fault::over(what, most, count));
        }
        if let Some(length) = classes.iter().map(String::len).find(|length| *length > LONGEST_LABEL) {
            return Err(Fault::over("classes: a name", format!("{LONGEST_LABEL} bytes"), length));
        }
        let name = name.as_deref().map(PictureName::of).transpose()?;
        let mut export = Export { format, name, classes, keypoints: None, model: None, drawn: drawn(&prompts)?, has_scores: save_conf };
        if let Some(model) = &model {
            export.learn(app, model)?;
        }
        if format == Format::Coco91 && !has_coco_classes(&export.classes) {
            let error = Error::new(ErrorKind::InvalidOption, "coco91").expecting("objects of COCO's 80 classes");
            let help =
                "name the model that found them (`model`), or its `classes`; coco and coco-results number the classes that there are";
            return Err(Fault::new(Reason::BadRequest, error.but_found("others").with_help(help)));
        }
        Ok(Self { export, image, objects })
    }
}

impl Export {
    /// What a loaded model tells of its objects.
    fn learn(&mut self, app: &App, name: &str) -> Result<()> {
        let slot = app.models.get(name)?;
        let served = slot.served().ok_or_else(|| {
            let error = Error::new(ErrorKind::Unavailable, format!("`{}` is not loaded, so that its classes are not known", slot.name()));
            Fault::new(Reason::NotReady, error.with_help("say `classes` in its place, or load it"))
        })?;
        let models = served.models();
        if self.classes.is_empty() {
            let labels = models.iter().map(|model| model.info().labels.as_slice()).find(|labels| !labels.is_empty());
            self.classes = labels.unwrap_or_default().to_vec();
        }
        self.keypoints = models.iter().find_map(|model| model.info().keypoints());
        self.model = Some(Named { name: slot.name().to_owned(), provider: served.provider() });
        Ok(())
    }

    fn files(self, picture: &Picture, seen: Vec<Seen>) -> Result<Exported> {
        let name = self.name.clone().unwrap_or_else(|| PictureName::of_hash(picture.hash));
        let media = self.format.media();
        if self.format == Format::Json {
            let file = NamedFile { name: RESULTS.to_owned(), bytes: self.line(picture, &name, &seen) };
            return Ok(Exported { file, media });
        }
        let objects: Vec<Object> = seen.into_iter().map(|seen| seen.object).collect();
        let of_objects = || objects.iter().find_map(|object| object.keypoints.as_ref()).map(Vec::len);
        let writing = Writing {
            image: &picture.image,
            objects: &objects,
            ranked: None,
            marks: self.drawn.marks(),
            name: &name,
            known: &self.classes,
            keypoints: self.keypoints.or_else(of_objects),
            has_scores: self.has_scores,
        };
        let mut files = writing.files(self.format.of_files())?;
        let is_single = !matches!(self.format.of_files(), FileFormat::Masks | FileFormat::Cutout | FileFormat::Yolo | FileFormat::YoloSeg);
        if let Some(file) = files.pop_if(|_| is_single) {
            return Ok(Exported { file, media });
        }
        let name = PictureName::file_name(self.name.as_ref(), &format!(".{}.zip", self.format.name()));
        Ok(Exported { file: NamedFile { name, bytes: zip(files)? }, media: ZIP })
    }

    /// The line of a run's results, without what only a run has: times, what its model came from, files.
    fn line(&self, picture: &Picture, name: &PictureName, seen: &[Seen]) -> Vec<u8> {
        let (width, height) = picture.image.size();
        let objects: Vec<Value> = seen.iter().map(Seen::json).collect();
        let mut line = json!({"image": name.whole, "width": width, "height": height, "objects": objects, "files": []});
        if let Some(Named { name, provider }) = &self.model {
            line["model"] = json!(name);
            line["provider"] = json!(provider);
        }
        format!("{line}\n").into_bytes()
    }
}

/// What was asked, as overlays show it.
fn drawn(prompts: &[PromptBody]) -> Result<Drawn> {
    let mut drawn = Drawn::default();
    for (index, PromptBody(fields)) in prompts.iter().enumerate() {
        let of_prompt = |error: Error| Fault::from(error.named(format!("prompt {index}")));
        let clicks = clicks(&fields.points, fields.labels.as_deref()).map_err(of_prompt)?;
        let sides = clicks.iter().flat_map(|click| [click.x, click.y]).chain(fields.bounds.into_iter().flatten());
        if let Some(side) = sides.into_iter().find(|side| !side.is_finite()) {
            return Err(Fault::bad(format!("prompt {index}"), "finite numbers", side));
        }
        drawn.points.extend(clicks.iter().map(|click| (click.x, click.y, click.is_positive)));
        drawn.boxes.extend(fields.bounds);
    }
    Ok(drawn)
}

/// Memory that reading the masks takes, and what is written of them as far as that depends on their outlines.
fn reading_bytes(format: Format, objects: &[ObjectBody]) -> Result<u64> {
    let is_outlined = matches!(format, Format::Coco | Format::Labelme | Format::Polygons | Format::Yolo | Format::YoloSeg);
    let longest = objects.iter().map(ObjectBody::mask_bytes).max().unwrap_or_default();
    if is_outlined && longest > LONGEST_OUTLINE {
        let fault = Fault::over("segmentation", format!("{LONGEST_OUTLINE} bytes of run lengths where outlines are written"), longest);
        return Err(fault.with_help("format coco-rle, masks or png-index"));
    }
    let each = if is_outlined { OUTLINE_BYTES } else { RUN_BYTES };
    Ok(objects.iter().map(|object| object.mask_bytes() as u64 * each).sum())
}

/// Memory that is written beside that: files, and the zip that holds them once more.
fn writing_bytes(format: Format, size: (usize, usize), seen: &[Seen]) -> u64 {
    let pixels = size.0 as u64 * size.1 as u64;
    let masks = || seen.iter().filter_map(|seen| seen.object.mask.as_ref());
    match format {
        Format::Png | Format::Jpg => pixels * 6,
        Format::PngIndex => pixels * 4,
        // Black and white pixels pack to a bit at most.
        Format::Masks => pixels + masks().count() as u64 * pixels / 4,
        Format::Cutout => masks().filter_map(Mask::bounds).map(|[x1, y1, x2, y2]| ((x2 - x1) * (y2 - y1)) as u64 * 8).sum(),
        Format::LabelStudio => {
            let lengths = masks().map(|mask| mask.to_label_studio_rle().map_or(0, |bytes| bytes.len() as u64));
            pixels + lengths.sum::<u64>() * BRUSH_BYTES
        }
        _ => 0,
    }
}
