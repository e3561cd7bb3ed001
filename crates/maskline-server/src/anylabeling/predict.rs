//! `POST /v1/predict`: a picture and what is marked on it, or words, in; shapes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use maskline::{Ask, Click, Concept, Error, ErrorKind, Exemplar, Object, PredictOptions, Prompt, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Told;
use super::models::Capabilities;
use super::shapes::{Drawing, Shape, UNNAMED, USUAL_FINENESS};
use super::{PROTOCOL, Shared};
use crate::app::{self, App};
use crate::fault::{Fault, Result};
use crate::models::Turn;
use crate::rest::{MASK_LOGITS, Source, heavy, json, read, whole, within};
use crate::statistics::{Account, Spent};

/// The tool waits no longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Longest words, in bytes.
const LONGEST_TEXT: usize = 4096;

/// What the tool sends. It sends more with every version: what is not known here is not looked at.
#[derive(Debug, Deserialize)]
struct PredictBody {
    model: String,
    /// A data URI, or base64 alone.
    image: String,
    #[serde(default)]
    params: ParamsBody,
}

/// Options, marks and words.
#[derive(Debug, Default, Deserialize)]
struct ParamsBody {
    /// 0 where its window has no such slider.
    conf_threshold: Option<f32>,
    iou_threshold: Option<f32>,
    epsilon_factor: Option<f32>,
    text_prompt: Option<String>,
    #[serde(default)]
    marks: Vec<MarkBody>,
}

/// A point or a box that somebody has drawn.
#[derive(Debug, Deserialize)]
struct MarkBody {
    #[serde(rename = "type")]
    kind: String,
    data: Vec<f32>,
    /// 1 for what is meant, 0 for what is not.
    #[serde(default = "meant")]
    label: f32,
}

fn meant() -> f32 {
    1.0
}

/// What the tool draws.
#[derive(Debug, Serialize)]
struct Prediction {
    shapes: Vec<Shape>,
    /// Of the whole picture.
    description: String,
    /// Whether the shapes come in place of all that there are; left out, the tool's own switch says it. What is marked is one object more.
    #[serde(skip_serializing_if = "Option::is_none")]
    replace: Option<bool>,
}

/// `POST /v1/predict`.
pub(super) async fn predict(State(app): State<Shared>, request: Request) -> Response {
    let mut account = app.account_of_none(PROTOCOL);
    let deadline = app.deadline(Some(PATIENCE));
    let predicted = within(deadline, predicted(&app, request, Call { account: &mut account, deadline })).await;
    Told(app::close(account, predicted, |predicted| predicted.spent).map(|predicted| predicted.prediction)).into_response()
}

/// A prediction, and where its time went.
struct Predicted {
    prediction: Prediction,
    spent: Spent,
}

/// A request's account, and until when it is to be answered.
struct Call<'a> {
    account: &'a mut Account,
    deadline: Instant,
}

async fn predicted(app: &App, request: Request, call: Call<'_>) -> Result<Predicted> {
    let began = Instant::now();
    let body = whole(app, request.into_body()).await?;
    let body: PredictBody = heavy(body.len(), move || Ok::<_, Fault>(read(Value::Object(json(&body)?))?)).await??;
    let received = began.elapsed();
    let slot = app.models.get(&body.model)?;
    call.account.names(slot.name(), &slot.statistics);
    let turn = app.models.enter(&slot).await?;
    let question = Question::of(&body.params, Capabilities::of(&turn.served), app.limits().prompts)?;
    if question.asks.is_empty() {
        // As after all marks were taken away: nothing is asked, and nothing is wrong.
        let prediction = Prediction { shapes: Vec::new(), description: String::new(), replace: Some(false) };
        return Ok(Predicted { prediction, spent: Spent::default() });
    }
    let picture = Source::Base64(body.image).picture(app).await?;
    let size = picture.image.size();
    let mask = ((size.0 * size.1) as u64 / 8).saturating_add(MASK_LOGITS);
    let _room = app.pictures.room(mask.saturating_mul(question.asks.len() as u64)).await?;
    let request = maskline::Request {
        predict: question.predict(),
        deadline: Some(call.deadline),
        ..maskline::Request::new(Arc::clone(&picture.image), question.asks.clone())
    };
    let answered = app::answer(&turn, request).await?;
    let mut timings = answered.timings;
    timings.spend(Stage::Decode, picture.decode);
    timings.spend(Stage::Queue, picture.waited);
    timings.spend(Stage::Receive, received);
    let encoding = Instant::now();
    let Found { objects, description } = Found::of(answered.answers, &turn)?;
    let Question { fineness, is_marked, asks, .. } = question;
    let shapes = heavy(usize::MAX, move || Drawing { fineness, size }.shapes(&objects)).await?;
    timings.spend(Stage::Encode, encoding.elapsed());
    let spent = Spent::of(&timings.rest(Stage::Other, began), asks.len());
    let prediction = Prediction { shapes, description, replace: is_marked.then_some(false) };
    Ok(Predicted { prediction, spent })
}

/// What was answered.
struct Found {
    objects: Vec<Object>,
    description: String,
}

impl Found {
    /// Of what could be answered; where nothing could, why not.
    fn of(answers: Vec<maskline::Result<maskline::Answer>>, turn: &Turn) -> Result<Self> {
        let (mut objects, mut description, mut failed) = (Vec::new(), Vec::new(), None);
        let mut is_answered = false;
        for answer in answers {
            match answer {
                Ok(answer) => {
                    is_answered = true;
                    objects.extend(answer.objects);
                    let shown = |class: &maskline::ClassScore| class.shown();
                    description.extend(answer.classes.iter().flatten().map(shown).map(|(name, score)| format!("{name} {score:.2}")));
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if !is_answered => Err(error.into()),
            Some(error) => {
                // The tool has no place for it beside shapes.
                tracing::warn!(model = turn.slot.name(), %error, "a part of a request is not answered");
                Ok(Self { objects, description: description.join(", ") })
            }
            None => Ok(Self { objects, description: description.join(", ") }),
        }
    }
}

/// What a model is asked.
#[derive(Debug)]
struct Question {
    asks: Vec<Ask>,
    conf: Option<f32>,
    iou: Option<f32>,
    fineness: f32,
    /// Whether somebody points at an object.
    is_marked: bool,
}

impl Question {
    fn of(params: &ParamsBody, takes: Capabilities, most: usize) -> Result<Self> {
        let marks = Marks::of(&params.marks)?;
        let words = split(params.text_prompt.as_deref().unwrap_or_default());
        for (what, count) in [("marks", params.marks.len()), ("words", words.len())] {
            if count > most {
                return Err(Fault::over(what, most, count));
            }
        }
        if let Some(length) = words.iter().map(|text| text.len()).find(|length| *length > LONGEST_TEXT) {
            return Err(Fault::over("text_prompt", format!("{LONGEST_TEXT} bytes"), length));
        }
        let is_marked = !marks.is_empty();
        let asks = match (is_marked, words.as_slice()) {
            (true, words) => marks.asks(words, takes)?,
            (false, []) if takes.objects || takes.classes => vec![Ask::Detect],
            (false, []) => Vec::new(),
            (false, words) if takes.words => words.iter().map(|text| Ask::Concept(Concept::text(*text))).collect(),
            (false, _) => return Err(unfit("text_prompt", "a model that takes words")),
        };
        let fineness = params.epsilon_factor.unwrap_or(USUAL_FINENESS);
        if !(0.0..=1.0).contains(&fineness) {
            return Err(Fault::bad("epsilon_factor", "a number from 0 to 1", fineness));
        }
        // The tool says 0 before somebody has moved its slider.
        let said = |value: Option<f32>| value.filter(|value| *value != 0.0);
        Ok(Self { asks, conf: said(params.conf_threshold), iou: said(params.iou_threshold), fineness, is_marked })
    }

    fn predict(&self) -> PredictOptions {
        PredictOptions { conf: self.conf, iou: self.iou, ..PredictOptions::default() }
    }
}

fn unfit(what: &str, expected: &str) -> Fault {
    let error = Error::new(ErrorKind::InvalidOption, what).expecting(expected).but_found("another");
    Fault::from(error.with_help("GET …/v1/models tells what each takes (`capabilities`)"))
}

/// Words: with commas, or else with full stops between them; each once.
fn split(text: &str) -> Vec<&str> {
    let separator = [',', '.'].into_iter().find(|separator| text.contains(*separator)).unwrap_or(',');
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(separator).map(str::trim).filter(|word| !word.is_empty()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// What is marked on the picture.
#[derive(Debug, Default)]
struct Marks {
    clicks: Vec<Click>,
    /// Around what is meant.
    boxes: Vec<[f32; 4]>,
    /// Around what is not.
    unlike: Vec<[f32; 4]>,
}

impl Marks {
    fn of(marks: &[MarkBody]) -> Result<Self> {
        let mut read = Self::default();
        for (index, mark) in marks.iter().enumerate() {
            let wrong = |expected: &str, found: String| Err(Fault::bad(format!("marks[{index}]"), expected, found));
            if mark.label != 0.0 && mark.label != 1.0 {
                return wrong("label 1 or 0", mark.label.to_string());
            }
            let is_positive = mark.label == 1.0;
            match (mark.kind.as_str(), mark.data.as_slice()) {
                ("point", [x, y]) => read.clicks.push(Click { x: *x, y: *y, is_positive }),
                // Drawn from any corner.
                ("rectangle", [x1, y1, x2, y2]) => {
                    let bounds = [x1.min(*x2), y1.min(*y2), x1.max(*x2), y1.max(*y2)];
                    if is_positive { &mut read.boxes } else { &mut read.unlike }.push(bounds);
                }
                ("point" | "rectangle", data) => {
                    return wrong("a point [x, y], or a rectangle [x1, y1, x2, y2]", format!("{} numbers", data.len()));
                }
                (kind, _) => return wrong("the type point or rectangle", kind.chars().take(40).flat_map(char::escape_debug).collect()),
            }
        }
        Ok(read)
    }

    fn is_empty(&self) -> bool {
        self.clicks.is_empty() && self.boxes.is_empty() && self.unlike.is_empty()
    }

    /// Boxes alone are examples to a model that takes some; else points and boxes are about objects themselves.
    fn asks(self, words: &[&str], takes: Capabilities) -> Result<Vec<Ask>> {
        if self.clicks.is_empty() && takes.examples {
            let wanted = self.boxes.iter().map(|bounds| Exemplar::here(*bounds));
            let unlike = self.unlike.iter().map(|bounds| Exemplar { is_negative: true, ..Exemplar::here(*bounds) });
            let text = match words {
                [] => None,
                [text] if takes.words => Some((*text).to_owned()),
                [_] => return Err(unfit("text_prompt", "a model that takes words")),
                _ => return Err(Fault::bad("text_prompt", "one thing beside the boxes that show it", format!("{}", words.len()))),
            };
            let label = text.is_none().then(|| UNNAMED.to_owned());
            return Ok(vec![Ask::Concept(Concept { text, exemplars: wanted.chain(unlike).collect(), label, ..Concept::default() })]);
        }
        if !takes.prompts {
            return Err(unfit("marks", "a model that takes points and boxes"));
        }
        if !self.unlike.is_empty() {
            return Err(Fault::bad("marks", "rectangles around what is meant", "one around what is not").with_help("mark it with points"));
        }
        Ok(self.prompts().into_iter().map(Ask::Object).collect())
    }

    /// An object for each box, with the points in it; what lies in none says more of the last one. Without boxes, all points are of one.
    fn prompts(self) -> Vec<Prompt> {
        let mut prompts: Vec<Prompt> = self.boxes.iter().map(|bounds| Prompt::bounds(*bounds)).collect();
        if prompts.is_empty() {
            prompts.push(Prompt::default());
        }
        for click in self.clicks {
            let is_in = |[x1, y1, x2, y2]: &[f32; 4]| (*x1..=*x2).contains(&click.x) && (*y1..=*y2).contains(&click.y);
            let place = self.boxes.iter().position(is_in).unwrap_or(prompts.len() - 1);
            prompts[place].clicks.push(click);
        }
        prompts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOTHING: Capabilities =
        Capabilities { prompts: false, words: false, examples: false, objects: false, classes: false, masks: false };
    const PROMPTS: Capabilities = Capabilities { prompts: true, masks: true, ..NOTHING };
    const ALL: Capabilities = Capabilities { words: true, examples: true, ..PROMPTS };

    fn asked(params: Value, takes: Capabilities) -> Result<Question> {
        Question::of(&serde_json::from_value(params).expect("params"), takes, 10)
    }

    #[test]
    fn words_are_split_at_commas_or_else_at_full_stops() {
        assert_eq!(split("a cat, a dog ,,a cat"), ["a cat", "a dog"]);
        assert_eq!(split("a cat. a dog."), ["a cat", "a dog"]);
        assert_eq!(split("St. Bernard, cat"), ["St. Bernard", "cat"]);
        assert_eq!(split("cat"), ["cat"]);
        assert!(split(" , ").is_empty());
    }

    #[test]
    fn points_and_boxes_are_prompts_and_boxes_alone_are_examples_where_a_model_takes_some() {
        let marks = json!([
            {"type": "rectangle", "data": [30, 40, 10, 20], "label": 1},
            {"type": "rectangle", "data": [100, 100, 200, 200], "label": 1},
            {"type": "point", "data": [150, 150], "label": 1},
            {"type": "point", "data": [500, 500], "label": 0},
        ]);
        let question = asked(json!({"marks": marks}), PROMPTS).expect("prompts");
        let [Ask::Object(first), Ask::Object(second)] = question.asks.as_slice() else { panic!("{question:?}") };
        assert_eq!((first.bounds, first.clicks.len(), second.clicks.len()), (Some([10.0, 20.0, 30.0, 40.0]), 0, 2));
        assert!(question.is_marked && !second.clicks[1].is_positive);
        let boxes = json!([
            {"type": "rectangle", "data": [10, 20, 30, 40], "label": 1}, {"type": "rectangle", "data": [5, 5, 9, 9], "label": 0},
        ]);
        let question = asked(json!({"marks": boxes, "text_prompt": "a cup"}), ALL).expect("examples");
        let [Ask::Concept(concept)] = question.asks.as_slice() else { panic!("{question:?}") };
        assert_eq!((concept.text.as_deref(), concept.exemplars.len(), concept.exemplars[1].is_negative), (Some("a cup"), 2, true));
        assert!(asked(json!({"marks": boxes}), PROMPTS).is_err_and(|fault| fault.error.help() == Some("mark it with points")));
    }

    #[test]
    fn what_a_model_does_not_take_is_refused_and_nothing_is_nothing() {
        assert!(asked(json!({"text_prompt": "cat"}), PROMPTS).is_err());
        assert!(asked(json!({"marks": [{"type": "point", "data": [1, 2]}]}), NOTHING).is_err());
        assert!(asked(json!({"marks": [{"type": "circle", "data": [1, 2]}]}), PROMPTS).is_err());
        assert!(asked(json!({"marks": [{"type": "point", "data": [1, 2, 3]}]}), PROMPTS).is_err());
        assert!(asked(json!({"epsilon_factor": -1}), PROMPTS).is_err());
        assert!(asked(json!({}), PROMPTS).is_ok_and(|question| question.asks.is_empty()));
        let usual = asked(json!({"conf_threshold": 0.0, "iou_threshold": 0.6}), Capabilities { objects: true, ..NOTHING }).expect("all");
        assert_eq!((usual.conf, usual.iou, usual.asks.len()), (None, Some(0.6), 1));
    }
}
