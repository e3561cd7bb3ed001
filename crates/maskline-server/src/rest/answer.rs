//! Answers in JSON, as `maskline run --json` prints them.

use maskline::vision::draw::{Marks, Unanswered};
use maskline::{ClassScore, Error, Object, Origin, Stages};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::fields::Way;
use super::object::ObjectBody;
use super::problem::Told;
use crate::fault::{Fault, Result};
use crate::models::Turn;
use crate::pictures::Picture;

/// What was found in one picture.
pub(super) struct Found {
    pub(super) picture: Picture,
    pub(super) objects: Vec<Object>,
    /// Where each object comes from, in everything mode.
    pub(super) origins: Vec<Origin>,
    /// Of a classifier.
    pub(super) classes: Option<Vec<ClassScore>>,
    pub(super) errors: Vec<Unmet>,
    pub(super) timings: Stages,
    /// What was asked, to be drawn.
    pub(super) asked: Drawn,
    /// Keeps memory for its masks.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What was asked and could not be answered.
pub(super) struct Unmet {
    /// Its place among the prompts, or among what is looked for.
    pub(super) index: usize,
    pub(super) error: Error,
}

/// What was asked, as it is drawn.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub(super) points: Vec<(f32, f32, bool)>,
    pub(super) boxes: Vec<[f32; 4]>,
    pub(super) failed_points: Vec<[f32; 2]>,
    pub(super) failed_boxes: Vec<[f32; 4]>,
}

impl Drawn {
    pub(super) fn marks(&self) -> Marks<'_> {
        let unanswered = Unanswered { points: &self.failed_points, boxes: &self.failed_boxes };
        Marks { points: &self.points, boxes: &self.boxes, unanswered }
    }
}

/// The answer about one picture.
#[derive(Serialize, ToSchema)]
#[schema(as = Answer)]
pub(super) struct AnswerBody<'a> {
    /// The model that answered.
    model: &'a str,
    /// What ran its networks.
    #[schema(example = "cpu")]
    provider: &'a str,
    /// The CPU stands in for the provider that was wished for.
    #[serde(skip_serializing_if = "is_not")]
    degraded: bool,
    /// The picture.
    image: ImageBody,
    /// What was found; promptable models answer in the order of the prompts, others by falling score.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ObjectBody>>)]
    objects: Option<Vec<Placed<'a>>>,
    /// The best classes, of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ClassScoreBody>>)]
    classes: Option<&'a [ClassScore]>,
    /// What was asked beside that and could not be answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<UnmetBody>,
    /// Most rows (prompts, pictures, phrases) that ran together, those of other requests counted too.
    rows_together: usize,
    /// Where the time went, in milliseconds: the parts add up to `total`. Told last, for writing the rest is a part of it.
    #[serde(skip)]
    #[schema(value_type = TimingsBody)]
    #[allow(dead_code, reason = "written behind the rest")]
    timings_ms: (),
}

fn is_not(value: &bool) -> bool {
    !value
}

/// A picture that was asked about.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ImageBody {
    /// SHA-256 of its file: later requests may send it in place of the picture.
    #[serde(rename = "ref")]
    pub(super) reference: String,
    /// In pixels.
    pub(super) width: usize,
    /// In pixels.
    pub(super) height: usize,
}

impl ImageBody {
    pub(super) fn of(picture: &Picture) -> Self {
        let (width, height) = picture.image.size();
        Self { reference: picture.hash.to_string(), width, height }
    }
}

/// An object, and where it comes from.
#[derive(Serialize)]
struct Placed<'a> {
    #[serde(flatten)]
    object: &'a Object,
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crop_box: Option<[usize; 4]>,
}

/// What could not be answered.
#[derive(Serialize, ToSchema)]
#[schema(as = Unmet)]
struct UnmetBody {
    /// Index of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<usize>,
    /// Index of the text or example.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<usize>,
    #[serde(flatten)]
    told: Told,
}

/// A class and its probability.
#[derive(Debug, ToSchema)]
#[schema(as = ClassScore)]
#[allow(dead_code, reason = "tells the form, in which classes write themselves")]
struct ClassScoreBody {
    class_id: usize,
    label: Option<String>,
    score: f32,
}

/// Milliseconds by stage.
#[derive(Debug, ToSchema)]
#[schema(as = Timings)]
#[allow(dead_code, reason = "tells the form, in which stages write themselves")]
pub(super) struct TimingsBody {
    /// All of them together: from the arrival of the request to its answer.
    total: f64,
    /// Reading the request.
    receive: Option<f64>,
    /// File to pixels.
    decode: Option<f64>,
    /// Waiting for memory, for others who use the same networks.
    queue: Option<f64>,
    /// Objects to JSON or to the form that was asked for.
    encode: Option<f64>,
    /// Where the picture's embedding came from: `held`, `hit`, `waited` or `miss`.
    embedding: Option<String>,
}

/// Who answers, as answers tell it.
#[derive(Debug, Clone)]
pub(super) struct Answerer {
    way: Way,
    model: String,
    provider: String,
    is_degraded: bool,
}

impl Answerer {
    pub(super) fn of(way: Way, turn: &Turn) -> Self {
        let (provider, is_degraded) = (turn.served.provider(), turn.served.degraded().is_some());
        Self { way, model: turn.slot.name().to_owned(), provider, is_degraded }
    }

    /// An answer without its timings, which follow it ([`with_timings`]).
    ///
    /// # Errors
    /// `Failed`, should something be no JSON.
    pub(super) fn json(&self, found: &Found) -> Result<Vec<u8>> {
        let has_objects = matches!(self.way, Way::Segment | Way::Detect);
        let body = AnswerBody {
            model: &self.model,
            provider: &self.provider,
            degraded: self.is_degraded,
            image: ImageBody::of(&found.picture),
            objects: has_objects.then(|| found.placed()),
            classes: found.classes.as_deref(),
            errors: found.errors.iter().map(|unmet| self.unmet(unmet)).collect(),
            rows_together: found.timings.rows_together(),
            timings_ms: (),
        };
        serde_json::to_vec(&body).map_err(no_json)
    }

    fn unmet(&self, unmet: &Unmet) -> UnmetBody {
        let index = Some(unmet.index);
        let (prompt, text) = if self.way == Way::Segment { (index, None) } else { (None, index) };
        UnmetBody { prompt, text, told: Told::from(&unmet.error) }
    }
}

impl Found {
    fn placed(&self) -> Vec<Placed<'_>> {
        let hundredths = |side: f32| (f64::from(side) * 100.0).round() / 100.0;
        let placed = |(index, object): (usize, _)| {
            let origin = self.origins.get(index);
            Placed { object, point: origin.map(|origin| origin.point.map(hundredths)), crop_box: origin.map(|origin| origin.crop) }
        };
        self.objects.iter().enumerate().map(placed).collect()
    }
}

pub(super) fn no_json(error: serde_json::Error) -> Fault {
    maskline::Error::new(maskline::ErrorKind::Failed, format!("the answer cannot be written: {error}")).into()
}

/// A JSON object with `timings_ms` behind its other fields: what writing those took is one of them.
///
/// # Errors
/// `Failed`, should something be no JSON.
pub(super) fn with_timings(mut object: Vec<u8>, timings: &Stages) -> Result<Vec<u8>> {
    let end = object.pop();
    debug_assert_eq!(end, Some(b'}'));
    object.extend_from_slice(b",\"timings_ms\":");
    serde_json::to_writer(&mut object, timings).map_err(no_json)?;
    object.push(b'}');
    Ok(object)
}
