//! Prompt files.

use std::fmt;
use std::path::Path;

use maskline::{Click, Error, ErrorKind};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::mask::MaskSource;
use super::{Draft, Own, Prompts};
use crate::nearest::shortened;

const FORM: &str = "{\"prompts\": [{\"box\": [x1, y1, x2, y2], \"points\": [[x, y, 1]]}, …]}, or {\"images\": {\"photo.jpg\": […]}}";

/// Letters of what is wrong: it may quote the file.
const LONGEST: usize = 600;

/// A prompt file. Prompts are read one by one, so that an error names the one that is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "prompts")]
struct PromptFile {
    prompts: Vec<Value>,
    images: ByKey,
}

/// Prompts by picture, in the order of the file; each key once.
#[derive(Debug, Default)]
struct ByKey(Vec<(String, Vec<Value>)>);

impl<'de> Deserialize<'de> for ByKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = ByKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of prompts by the names of pictures")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByKey, A::Error> {
                let mut pairs: Vec<(String, Vec<Value>)> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                while let Some((key, list)) = map.next_entry::<String, Vec<Value>>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("images: the key `{key}` is there twice")));
                    }
                    pairs.push((key, list));
                }
                Ok(ByKey(pairs))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Reads a file: a list of prompts for every picture, or an object with `prompts` and `images`.
///
/// # Errors
/// `BadInput`, with the prompt it is about, for a file that cannot be read or has another form.
pub(super) fn read(path: &Path) -> Result<Prompts, Error> {
    let unread = |why: &str| {
        let message = format!("the prompts cannot be read: {}", shortened(why, LONGEST));
        Error::new(ErrorKind::BadInput, message).at(path)
    };
    let bad = |why: String| unread(&why).with_help(format!("expected {FORM}"));
    let bytes = std::fs::read(path).map_err(|error| unread(&error.to_string()))?;
    let text = maskline_eval::without_mark(&bytes).map_err(&bad)?;
    // A bare list is the prompts of all pictures.
    let file = if text.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(text).map(|prompts| PromptFile { prompts, ..PromptFile::default() })
    } else {
        serde_json::from_slice(text)
    };
    let PromptFile { prompts, images: ByKey(images) } = file.map_err(|error| bad(error.to_string()))?;
    let drafts = |list: Vec<Value>, of: &str| -> Result<Vec<Draft>, Error> {
        let mut drafts = Vec::with_capacity(list.len());
        for (index, json) in list.into_iter().enumerate() {
            drafts.push(draft_of(json, path).map_err(|why| bad(format!("prompt {index}{of}: {why}")))?);
        }
        Ok(drafts)
    };
    let own = images.into_iter().map(|(key, list)| Ok(Own { drafts: drafts(list, &format!(" of `{key}`"))?, key }));
    Ok(Prompts { all: drafts(prompts, "")?, own: own.collect::<Result<_, Error>>()?, ..Prompts::default() })
}

/// A prompt as an object; also an annotation of COCO's, or an object that maskline found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    /// COCO's box: x, y, width, height.
    bbox: Option<[f32; 4]>,
    #[serde(default)]
    points: Vec<Vec<f32>>,
    /// 1 or 0 per point, where the points do not carry it themselves.
    labels: Option<Vec<f32>>,
    mask: Option<Value>,
    /// COCO's name of a mask; an empty list is none.
    segmentation: Option<Value>,
    label: Option<String>,
    class_id: Option<usize>,
    /// COCO's name of a class; the number stays as it is.
    category_id: Option<usize>,
    /// Of a clip: the object's number, and the frame that is prompted.
    object: Option<i64>,
    frame: Option<usize>,
}

/// What annotations and answers tell beside what is asked. Another `point` than that of everything mode, which `crop_box` stands beside,
/// is a slip of the pen for `points`.
const FACTS: [&str; 14] = [
    "id",
    "image_id",
    "iscrowd",
    "area",
    "score",
    "stability",
    "prompt",
    "keypoints",
    "num_keypoints",
    "rotated_box",
    "mask_box",
    "mask_score",
    "attributes",
    "file_name",
];

/// A prompt: a box, or an object.
fn draft_of(mut json: Value, path: &Path) -> Result<Draft, String> {
    let file = Some(path.to_path_buf());
    if json.is_array() {
        let bounds = serde_json::from_value(json).map_err(|e| format!("expected a box [x1, y1, x2, y2]: {e}"))?;
        return Ok(Draft { bounds: Some(bounds), file, ..Draft::default() });
    }
    if let Value::Object(fields) = &mut json {
        if fields.remove("crop_box").is_some() {
            fields.remove("point");
        }
        fields.retain(|name, _| !FACTS.contains(&name.as_str()));
    }
    let fields: Fields = serde_json::from_value(json).map_err(|e| e.to_string())?;
    let corners = |[x, y, width, height]: [f32; 4]| [x, y, x + width, y + height];
    let segmentation = fields.segmentation.filter(|value| value.as_array().is_none_or(|list| !list.is_empty()));
    let mask = one_of(["mask", "segmentation"], fields.mask, segmentation)?;
    Ok(Draft {
        clicks: clicks(fields.points, fields.labels)?,
        bounds: one_of(["box", "bbox"], fields.bounds, fields.bbox.map(corners))?,
        mask: mask.map(|mask| MaskSource::of_json(mask, path.parent().unwrap_or(Path::new("")))).transpose()?,
        label: fields.label,
        class_id: one_of(["class_id", "category_id"], fields.class_id, fields.category_id)?,
        object: fields.object,
        frame: fields.frame,
        file,
    })
}

/// The value of two names for one thing.
fn one_of<T>(names: [&str; 2], first: Option<T>, second: Option<T>) -> Result<Option<T>, String> {
    match (first, second) {
        (Some(_), Some(_)) => Err(format!("expected `{}` or `{}`, found both", names[0], names[1])),
        (first, second) => Ok(first.or(second)),
    }
}

fn clicks(mut points: Vec<Vec<f32>>, labels: Option<Vec<f32>>) -> Result<Vec<Click>, String> {
    if let Some(labels) = labels {
        if labels.len() != points.len() {
            return Err(format!("expected a label for each of the {} points, found {}", points.len(), labels.len()));
        }
        if let Some(point) = points.iter().find(|point| point.len() != 2) {
            return Err(format!("expected points [x, y] beside `labels`, found {point:?}"));
        }
        points.iter_mut().zip(labels).for_each(|(point, label)| point.push(label));
    }
    let click = |numbers: Vec<f32>| match numbers.as_slice() {
        [x, y] => Ok(Click { x: *x, y: *y, is_positive: true }),
        [x, y, label] if *label == 0.0 || *label == 1.0 => Ok(Click { x: *x, y: *y, is_positive: *label == 1.0 }),
        other => Err(format!("expected a point [x, y] or [x, y, 0 or 1], found {other:?}")),
    };
    points.into_iter().map(click).collect()
}
