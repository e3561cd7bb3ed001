//! Tasks with predictions for Label Studio.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::labelme::label_of;
use super::within::{box_within, is_within};
use super::{Answer, is_finite};
use crate::object::{pixels, score};
use crate::{Keypoint, Object, Result, RotatedBox};

/// The names of the tags in a project's labelling configuration: predictions are shown only where they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelStudioNames<'a> {
    /// `<Image name="…">`.
    pub image: &'a str,
    /// `<BrushLabels name="…">`.
    pub brush: &'a str,
    /// `<RectangleLabels name="…">`.
    pub rectangle: &'a str,
    /// `<KeyPointLabels name="…">`.
    pub keypoint: &'a str,
    /// What made the predictions.
    pub model_version: &'a str,
}

impl Default for LabelStudioNames<'_> {
    /// As in [`label_studio_config`].
    fn default() -> Self {
        Self { image: "image", brush: "brush", rectangle: "rectangle", keypoint: "keypoint", model_version: "maskline" }
    }
}

/// One task: `{"data": {"image"}, "predictions": [{"model_version", "score", "result": […]}]}`.
///
/// A mask is a brush (`brushlabels`, [`Mask::to_label_studio_rle`](crate::Mask::to_label_studio_rle)), another object a rectangle
/// (`rectanglelabels`, turned about its top left corner where it is rotated; an upright one is cut at the picture's edges), keypoints
/// are points of their own named `keypoint 1`, `keypoint 2`, … Places are in percent of the picture. The prediction's score is the
/// mean. Left out are empty masks, what lies outside of the picture and what is not finite.
/// `data.image` is the answer's file name as it is: Label Studio wants a URL, or the path under its local files.
///
/// # Errors
/// As [`Mask::to_label_studio_rle`](crate::Mask::to_label_studio_rle).
pub fn label_studio(answer: &Answer<'_>, names: &LabelStudioNames<'_>) -> Result<Value> {
    let found = &answer.found;
    let size = [found.width as f32, found.height as f32];
    let mut result: Vec<Value> = Vec::new();
    let mut scores: Vec<f32> = Vec::new();
    for (index, object) in found.objects.iter().enumerate().filter(|(_, object)| is_finite(object)) {
        let before = result.len();
        let region = |part: &str, item: Value| common(item, &format!("{}-{part}", index + 1), answer, names);
        if let Some(item) = shape(object, size, names)? {
            result.push(region("shape", scored(item, object.score)));
        }
        for (number, point) in object.keypoints.iter().flatten().enumerate() {
            if is_within([point.x, point.y], size) {
                let item = keypoint(point, number, size, names);
                result.push(region(&format!("keypoint-{}", number + 1), scored(item, point.score.unwrap_or(object.score))));
            }
        }
        scores.extend((result.len() > before).then_some(object.score));
    }
    let mean = scores.iter().sum::<f32>() / scores.len().max(1) as f32;
    let prediction = json!({"model_version": names.model_version, "score": score(mean), "result": result});
    Ok(json!({"data": {"image": answer.file_name}, "predictions": [prediction]}))
}

/// A labelling configuration that takes predictions of these classes, keypoints included where there are any.
pub fn label_studio_config(classes: &[impl AsRef<str>], keypoints: usize, names: &LabelStudioNames<'_>) -> String {
    let labels = |values: &mut dyn Iterator<Item = String>| {
        values.map(|value| format!("    <Label value=\"{}\"/>\n", escaped(&value))).collect::<String>()
    };
    let tag = |kind: &str, name: &str, labels: &str| {
        format!("  <{kind} name=\"{}\" toName=\"{}\">\n{labels}  </{kind}>\n", escaped(name), escaped(names.image))
    };
    // A value may be listed once only.
    let distinct: BTreeSet<&str> = classes.iter().map(AsRef::as_ref).collect();
    let classes = labels(&mut distinct.into_iter().map(str::to_owned));
    let mut text = format!("<View>\n  <Image name=\"{}\" value=\"$image\"/>\n", escaped(names.image));
    text += &tag("BrushLabels", names.brush, &classes);
    text += &tag("RectangleLabels", names.rectangle, &classes);
    if keypoints > 0 {
        text += &tag("KeyPointLabels", names.keypoint, &labels(&mut (0..keypoints).map(keypoint_name)));
    }
    text + "</View>\n"
}

fn common(mut item: Value, id: &str, answer: &Answer<'_>, names: &LabelStudioNames<'_>) -> Value {
    item["id"] = json!(id);
    item["to_name"] = json!(names.image);
    item["original_width"] = json!(answer.found.width);
    item["original_height"] = json!(answer.found.height);
    item["image_rotation"] = json!(0);
    item
}

fn scored(mut item: Value, value: f32) -> Value {
    item["score"] = json!(score(value));
    item
}

/// The brush or the rectangle of an object.
fn shape(object: &Object, size: [f32; 2], names: &LabelStudioNames<'_>) -> Result<Option<Value>> {
    let label = label_of(object);
    if let Some(mask) = &object.mask {
        if mask.is_empty() {
            return Ok(None);
        }
        let value = json!({"format": "rle", "rle": mask.to_label_studio_rle()?, "brushlabels": [label]});
        return Ok(Some(json!({"type": "brushlabels", "from_name": names.brush, "value": value})));
    }
    let rectangle = match &object.rotated {
        Some(rotated) => rotated_rectangle(rotated, size),
        None => box_within(object.bounds, size).map(|[x1, y1, x2, y2]| ([x1, y1, x2 - x1, y2 - y1], 0.0)),
    };
    Ok(rectangle.map(|([x, y, width, height], rotation)| {
        let value = json!({
            "x": percent(x, size[0]),
            "y": percent(y, size[1]),
            "width": percent(width, size[0]),
            "height": percent(height, size[1]),
            "rotation": rotation,
            "rectanglelabels": [label],
        });
        json!({"type": "rectanglelabels", "from_name": names.rectangle, "value": value})
    }))
}

/// The top left corner with the sides before turning, and the turn about that corner, clockwise in degrees. `None` outside of the picture.
fn rotated_rectangle(rotated: &RotatedBox, size: [f32; 2]) -> Option<([f32; 4], f64)> {
    box_within(rotated.bounds(), size)?;
    let [_, _, [x, y], _] = rotated.corners();
    Some(([x, y, rotated.size[0], rotated.size[1]], pixels(rotated.angle.to_degrees().rem_euclid(360.0))))
}

fn keypoint(point: &Keypoint, number: usize, size: [f32; 2], names: &LabelStudioNames<'_>) -> Value {
    let value = json!({
        "x": percent(point.x, size[0]),
        "y": percent(point.y, size[1]),
        // Of the dot that is drawn.
        "width": 0.5,
        "keypointlabels": [keypoint_name(number)],
    });
    json!({"type": "keypointlabels", "from_name": names.keypoint, "value": value})
}

fn keypoint_name(number: usize) -> String {
    format!("keypoint {}", number + 1)
}

/// With five decimals: less than a hundredth of a pixel.
fn percent(value: f32, side: f32) -> f64 {
    (f64::from(value) / f64::from(side) * 1e7).round() / 1e5
}

/// Text within an XML attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' | '\t' | '\r' => escaped += &format!("&#{};", u32::from(letter)),
            // XML has no way to write the others.
            _ if letter.is_control() => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    escaped
}
