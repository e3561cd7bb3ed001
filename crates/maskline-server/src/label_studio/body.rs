//! What Label Studio sends.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::fault::{Fault, Result};

/// Tasks of one request; Label Studio's own batches hold a hundred.
const MOST_TASKS: usize = 1000;
/// What was drawn, of one request.
const MOST_ITEMS: usize = 10_000;

/// `POST /setup`: said when a project is connected, and again whenever its state is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Setup {
    /// The project's number and when it was made.
    pub(super) project: Option<Text>,
    /// The labelling configuration.
    pub(super) schema: Option<String>,
    /// Where Label Studio says that it is.
    pub(super) hostname: Option<String>,
    pub(super) access_token: Option<String>,
    pub(super) extra_params: Option<Extra>,
}

/// Parameters that somebody entered for the connection: an object, or JSON as text. What is neither says nothing.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) model: Option<String>,
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = serde_json::Value::deserialize(deserializer)?;
        let parsed = given.as_str().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let model = parsed.as_ref().unwrap_or(&given).get("model").and_then(serde_json::Value::as_str);
        Ok(Self { model: model.map(str::to_owned) })
    }
}

/// `POST /predict`.
#[derive(Debug, Deserialize)]
pub(super) struct Predict {
    #[serde(deserialize_with = "few::<_, _, MOST_TASKS>")]
    pub(super) tasks: Vec<Task>,
    #[serde(default)]
    pub(super) project: Option<Text>,
    pub(super) label_config: String,
    #[serde(default)]
    pub(super) model_version: Option<String>,
    #[serde(default)]
    pub(super) params: Option<Params>,
}

/// A picture that is to be labelled.
#[derive(Debug, Deserialize)]
pub(super) struct Task {
    #[serde(default)]
    pub(super) id: Option<Text>,
    /// Unread until one of its fields is wanted.
    pub(super) data: HashMap<String, Box<RawValue>>,
}

/// Beside the tasks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    pub(super) context: Option<Context>,
}

/// What somebody is doing right now.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    /// What he has drawn.
    #[serde(deserialize_with = "few::<_, _, MOST_ITEMS>")]
    pub(super) result: Vec<Item>,
    /// `prewarm`: nothing yet, and soon something.
    pub(super) event: Option<String>,
}

/// A thing that was drawn or written.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) value: Drawn,
    #[serde(default)]
    pub(super) is_positive: Option<Sign>,
}

/// Where it is, in percent of the picture, and what it is called.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Drawn {
    pub(super) x: Option<f32>,
    pub(super) y: Option<f32>,
    pub(super) width: Option<f32>,
    pub(super) height: Option<f32>,
    /// Of a rectangle about its top left corner: degrees, clockwise.
    pub(super) rotation: Option<f32>,
    pub(super) positive: Option<Sign>,
    pub(super) text: OneOrMany,
    keypointlabels: Vec<String>,
    rectanglelabels: Vec<String>,
    labels: Vec<String>,
}

impl Drawn {
    /// The first of its labels.
    pub(super) fn label(&self) -> Option<&str> {
        [&self.keypointlabels, &self.rectanglelabels, &self.labels].into_iter().find_map(|labels| labels.first()).map(String::as_str)
    }
}

/// On the object, or beside it: `true`, `1`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Sign {
    Bool(bool),
    Number(f64),
}

impl Sign {
    pub(super) fn is_positive(self) -> bool {
        match self {
            Self::Bool(is) => is,
            Self::Number(number) => number > 0.0,
        }
    }
}

/// A text, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// A number or a text, as text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "TextOrNumber")]
pub(super) struct Text(pub(super) String);

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Number(i64),
    Text(String),
}

impl From<TextOrNumber> for Text {
    fn from(given: TextOrNumber) -> Self {
        Self(match given {
            TextOrNumber::Number(number) => number.to_string(),
            TextOrNumber::Text(text) => text,
        })
    }
}

/// Reads a body.
///
/// # Errors
/// `BadRequest`, with the place of what is wrong.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        let what = if place == "." { "body".to_owned() } else { format!("body: `{}`", place.chars().take(80).collect::<String>()) };
        Fault::bad(what, "what Label Studio sends to a machine learning backend", error.into_inner())
    })
}

/// A list that stops being read once it is too long.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T, const MOST: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Few<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST}")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(next) = seq.next_element()? {
                if list.len() >= MOST {
                    return Err(A::Error::custom(format!("more than {MOST}")));
                }
                list.push(next);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_any(Few::<T, MOST>(PhantomData))
}
