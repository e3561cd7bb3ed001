//! The fields of requests: which endpoint takes which, how their text is read in forms, and what somebody may have meant.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::fault::{Fault, Result};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Segment,
    Detect,
    Classify,
    Embed,
}

impl Way {
    pub(super) const ALL: [Self; 4] = [Self::Segment, Self::Detect, Self::Classify, Self::Embed];

    /// The last part of the path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Detect => "detect",
            Self::Classify => "classify",
            Self::Embed => "embed",
        }
    }

    /// The fields that it takes, in JSON.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static Field> {
        FIELDS.iter().filter(move |field| field.ways.contains(&self))
    }
}

/// How the text of a field is read where it is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Number,
    /// `true`, `1` or nothing behind the name; `false` or `0`.
    Flag,
    /// With commas.
    List,
    /// Under a name of its own, which may be repeated: [`Form`]s' `box`, `point`, `text`, ….
    Repeated(&'static [&'static str]),
}

/// A field of a request.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    ways: &'static [Way],
}

const ALL: &[Way] = &Way::ALL;
const OBJECTS: &[Way] = &[Way::Segment, Way::Detect];
const ANSWERS: &[Way] = &[Way::Segment, Way::Detect, Way::Classify];
const SEGMENT: &[Way] = &[Way::Segment];
const DETECT: &[Way] = &[Way::Detect];
const NETWORK: &[Way] = &[Way::Detect, Way::Classify];

const fn field(name: &'static str, form: Form, ways: &'static [Way]) -> Field {
    Field { name, form, ways }
}

/// All of them, in the order in which they are told.
const FIELDS: [Field; 42] = [
    field("model", Form::Text, ALL),
    field("image", Form::Repeated(&["image"]), ALL),
    field("images", Form::Repeated(&[]), ALL),
    field("prompts", Form::Repeated(&["box", "point", "mask", "label", "object"]), SEGMENT),
    field("texts", Form::Repeated(&["text"]), DETECT),
    field("like", Form::Repeated(&["like"]), DETECT),
    field("like_boxes", Form::Repeated(&["like_box"]), DETECT),
    field("unlike_boxes", Form::Repeated(&["unlike_box"]), DETECT),
    field("format", Form::Text, ANSWERS),
    field("name", Form::Text, ANSWERS),
    field("stream", Form::Flag, ALL),
    field("timeout", Form::Number, ALL),
    field("priority", Form::Text, ALL),
    field("everything", Form::Flag, SEGMENT),
    field("multimask", Form::Text, OBJECTS),
    field("mask_threshold", Form::Number, OBJECTS),
    field("fill_holes", Form::Number, OBJECTS),
    field("remove_spots", Form::Number, OBJECTS),
    field("no_overlap", Form::Flag, OBJECTS),
    field("points_per_side", Form::Number, SEGMENT),
    field("pred_iou_thresh", Form::Number, SEGMENT),
    field("stability_thresh", Form::Number, SEGMENT),
    field("stability_offset", Form::Number, SEGMENT),
    field("box_nms_thresh", Form::Number, SEGMENT),
    field("crop_layers", Form::Number, SEGMENT),
    field("crop_nms_thresh", Form::Number, SEGMENT),
    field("crop_overlap", Form::Number, SEGMENT),
    field("crop_points_downscale", Form::Number, SEGMENT),
    field("min_area", Form::Number, SEGMENT),
    field("m2m", Form::Flag, SEGMENT),
    field("conf", Form::List, DETECT),
    field("iou", Form::Number, DETECT),
    field("max_detections", Form::Number, DETECT),
    field("agnostic_nms", Form::Flag, DETECT),
    field("classes", Form::List, DETECT),
    field("size", Form::Number, NETWORK),
    field("rect", Form::Flag, DETECT),
    field("templates", Form::Flag, DETECT),
    field("truncate", Form::Flag, DETECT),
    field("top", Form::Number, &[Way::Classify]),
    field("save_conf", Form::Flag, OBJECTS),
    // Only in forms: all of the others as JSON.
    field(REQUEST, Form::Repeated(&[REQUEST]), ALL),
];

/// The field of a form that holds the rest as JSON.
pub(super) const REQUEST: &str = "request";

/// Refuses fields that an endpoint does not take, by name.
///
/// # Errors
/// `BadRequest`, with the nearest one that it takes.
pub(super) fn check(way: Way, fields: &Map<String, Value>) -> Result<()> {
    let known = || way.fields().map(|field| field.name).filter(|name| *name != REQUEST);
    match fields.keys().find(|name| known().all(|known| known != *name)) {
        Some(name) => Err(unknown(way, name, known())),
        None => Ok(()),
    }
}

/// The refusal of a field.
pub(super) fn unknown<'a>(way: Way, name: &str, known: impl Iterator<Item = &'a str>) -> Fault {
    let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
    let elsewhere = Way::ALL.into_iter().find(|other| other.fields().any(|field| field.name == name));
    let known: Vec<&str> = known.collect();
    let help = match (elsewhere, nearest(name, known.iter().copied())) {
        (Some(other), _) => format!("`{shown}` belongs to /v1/{}", other.name()),
        (None, Some(near)) => format!("is `{near}` meant?"),
        (None, None) => format!("known are {}", known.join(", ")),
    };
    let error = maskline::Error::new(maskline::ErrorKind::BadInput, format!("unknown field `{shown}` of /v1/{}", way.name()));
    Fault::from(error.with_help(help))
}

/// What is spelt most like a word: of its letters a third may be wrong, of a short one a single letter.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(60).collect::<String>().to_lowercase();
    let most = (word.chars().count() / 3).max(1);
    let near = known.map(|known| (strsim::osa_distance(&word, known), known)).min()?;
    (near.0 <= most).then_some(near.1)
}

/// Reads a value, and tells where in it something is wrong.
///
/// # Errors
/// What is wrong, with the nearest known name of an unknown field.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> std::result::Result<T, maskline::Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (place, message) = (error.path().to_string(), error.into_inner().to_string());
        let message: String = message.chars().take(600).collect();
        let named = if place == "." { message.clone() } else { format!("`{place}`: {message}") };
        let new = maskline::Error::new(maskline::ErrorKind::BadInput, named);
        match meant(&message) {
            Some(near) => new.with_help(format!("is `{near}` meant?")),
            None => new,
        }
    })
}

/// The known field that is nearest to an unknown one, which serde tells with all that it knows: ``unknown field `a`, expected `b` or `c` ``.
fn meant(message: &str) -> Option<&str> {
    let (name, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    nearest(name, known.split('`').skip(1).step_by(2))
}

/// The JSON that a field's text in a form or query string stands for. What is no such thing stays text, which is refused by its type.
pub(super) fn value(form: Form, text: &str) -> Value {
    let number = |text: &str| text.trim().parse::<Number>().map_or_else(|_| Value::from(text), Value::Number);
    match form {
        Form::Number => number(text),
        Form::Flag if matches!(text, "" | "1" | "true") => Value::Bool(true),
        Form::Flag if matches!(text, "0" | "false") => Value::Bool(false),
        Form::List => text.split(',').map(|part| number(part.trim())).collect(),
        Form::Text | Form::Flag | Form::Repeated(_) => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_told_with_what_may_be_meant() {
        let fault = |name: &str| check(Way::Segment, &Map::from_iter([(name.to_owned(), Value::Null)])).expect_err("unknown");
        assert_eq!(fault("multimsak").error.help(), Some("is `multimask` meant?"));
        assert_eq!(fault("texts").error.help(), Some("`texts` belongs to /v1/detect"));
        assert!(fault("elephants").error.help().is_some_and(|help| help.starts_with("known are model, image")));
        assert_eq!(meant("unknown field `bxo`, expected one of `box`, `points`"), Some("box"));
        assert_eq!(meant("invalid type: null"), None);
    }

    #[test]
    fn text_becomes_what_the_field_holds() {
        assert_eq!(value(Form::Number, "0.5"), serde_json::json!(0.5));
        assert_eq!(value(Form::Number, "many"), serde_json::json!("many"));
        assert_eq!(value(Form::Flag, ""), serde_json::json!(true));
        assert_eq!(value(Form::List, "1, dog"), serde_json::json!([1, "dog"]));
    }
}
