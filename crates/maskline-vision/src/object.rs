//! What a model found in a picture.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use crate::Mask;

/// One object, in pixels of the original picture. Fields that a model does not give are `None` and left out of the JSON.
///
/// Serialises as `{"prompt", "label", "class_id", "score", "box", "rotated_box", "keypoints", "stability", "mask_box", "mask_score",
/// "segmentation", "area"}`: pixels with two decimals, scores with five, `segmentation` as COCO's compressed RLE and `area` in pixels
/// of the mask. JSON has no word for what is not finite: such a score, box or list of keypoints is left out.
///
/// Read is what is written: a score or box that was left out becomes one that is not a number, `area` and what is unknown are not
/// looked at.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Object {
    /// Index of the prompt that this object answers (promptable models).
    pub prompt: Option<usize>,
    /// Class name.
    pub label: Option<String>,
    /// Class index.
    pub class_id: Option<usize>,
    /// Confidence, 0..1.
    #[serde(default = "no_number")]
    pub score: f32,
    /// How steep the mask's borders are, 0..1 (promptable models).
    pub stability: Option<f32>,
    /// `[x1, y1, x2, y2]`; for a rotated object, the upright box around it.
    #[serde(rename = "box", default = "no_numbers")]
    pub bounds: [f32; 4],
    /// The rotated box of an oriented detector.
    #[serde(rename = "rotated_box")]
    pub rotated: Option<RotatedBox>,
    /// Keypoints of a pose model, in the order of its skeleton.
    pub keypoints: Option<Vec<Keypoint>>,
    /// The object's pixels, at the size of the original picture.
    #[serde(rename = "segmentation")]
    pub mask: Option<Mask>,
    /// `[x1, y1, x2, y2]` around the mask, where a segmenter made it for a detector's object: `bounds` is the detector's box.
    pub mask_box: Option<[f32; 4]>,
    /// The segmenter's confidence in such a mask, 0..1: `score` is the detector's.
    pub mask_score: Option<f32>,
}

/// A box turned about its centre. Serialises as `{"center", "size", "angle", "corners"}`; corners are not read.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct RotatedBox {
    /// Centre x, y in pixels.
    pub center: [f32; 2],
    /// Width and height in pixels, before turning.
    pub size: [f32; 2],
    /// Angle in radians, clockwise in image coordinates (y down).
    pub angle: f32,
}

/// One keypoint of a pose. Serialises as `[x, y, score]`, or `[x, y]` without a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// x in pixels.
    pub x: f32,
    /// y in pixels.
    pub y: f32,
    /// Visibility, 0..1, where the model gives one.
    pub score: Option<f32>,
}

impl RotatedBox {
    /// The corners: bottom right first (before turning), then top right, top left and bottom left; the order of ultralytics'
    /// `xywhr2xyxyxyxy`.
    pub fn corners(&self) -> [[f32; 2]; 4] {
        let (sine, cosine) = self.angle.sin_cos();
        let [half_width, half_height] = self.size.map(|side| side / 2.0);
        let along = [half_width * cosine, half_width * sine];
        let across = [-half_height * sine, half_height * cosine];
        [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]
            .map(|[a, b]| [0, 1].map(|axis| self.center[axis] + a * along[axis] + b * across[axis]))
    }

    /// Whether all its numbers and corners are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.angle.is_finite() && self.center.iter().chain(&self.size).chain(self.corners().as_flattened()).all(|value| value.is_finite())
    }

    /// `[x1, y1, x2, y2]`: the upright box around the corners.
    pub fn bounds(&self) -> [f32; 4] {
        let corners = self.corners();
        let extreme =
            |axis: usize, pick: fn(f32, f32) -> f32| corners[1..].iter().fold(corners[0][axis], |best, corner| pick(best, corner[axis]));
        [extreme(0, f32::min), extreme(1, f32::min), extreme(0, f32::max), extreme(1, f32::max)]
    }
}

impl Keypoint {
    /// Whether its place and score are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.x.is_finite() && self.y.is_finite() && self.score.is_none_or(f32::is_finite)
    }
}

/// Pixels with two decimals.
pub(crate) fn pixels(value: f32) -> f64 {
    rounded(value, 100.0)
}

/// Scores with five decimals.
pub(crate) fn score(value: f32) -> f64 {
    rounded(value, 1e5)
}

/// In f64, whose shortest text is the rounded decimal; `-0` becomes `0`.
fn rounded(value: f32, steps: f64) -> f64 {
    (f64::from(value) * steps).round() / steps + 0.0
}

impl Object {
    /// The object with the numbers that its JSON has: pixels with two decimals, scores with five. Whatever is written of it is what one
    /// who has read the JSON writes.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let (to_pixels, to_score) = (|value: f32| pixels(value) as f32, |value: f32| score(value) as f32);
        let point = |point: &Keypoint| Keypoint { x: to_pixels(point.x), y: to_pixels(point.y), score: point.score.map(to_score) };
        Self {
            score: to_score(self.score),
            stability: self.stability.map(to_score),
            bounds: self.bounds.map(to_pixels),
            rotated: self.rotated.map(|RotatedBox { center, size, angle }| RotatedBox {
                center: center.map(to_pixels),
                size: size.map(to_pixels),
                angle: to_score(angle),
            }),
            keypoints: self.keypoints.as_ref().map(|points| points.iter().map(point).collect()),
            mask_box: self.mask_box.map(|bounds| bounds.map(to_pixels)),
            mask_score: self.mask_score.map(to_score),
            ..self.clone()
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(prompt) = self.prompt {
            map.serialize_entry("prompt", &prompt)?;
        }
        if let Some(label) = &self.label {
            map.serialize_entry("label", label)?;
        }
        if let Some(class_id) = self.class_id {
            map.serialize_entry("class_id", &class_id)?;
        }
        let finite = |value: f32| value.is_finite().then(|| score(value));
        let whole = |bounds: [f32; 4]| bounds.iter().all(|side| side.is_finite()).then(|| bounds.map(pixels));
        if let Some(score) = finite(self.score) {
            map.serialize_entry("score", &score)?;
        }
        if let Some(bounds) = whole(self.bounds) {
            map.serialize_entry("box", &bounds)?;
        }
        if let Some(rotated) = self.rotated.as_ref().filter(|rotated| rotated.is_finite()) {
            map.serialize_entry("rotated_box", rotated)?;
        }
        if let Some(keypoints) = self.keypoints.as_ref().filter(|points| points.iter().all(Keypoint::is_finite)) {
            map.serialize_entry("keypoints", keypoints)?;
        }
        if let Some(stability) = self.stability.and_then(finite) {
            map.serialize_entry("stability", &stability)?;
        }
        if let Some(bounds) = self.mask_box.and_then(whole) {
            map.serialize_entry("mask_box", &bounds)?;
        }
        if let Some(score) = self.mask_score.and_then(finite) {
            map.serialize_entry("mask_score", &score)?;
        }
        if let Some(mask) = &self.mask {
            map.serialize_entry("segmentation", &mask.to_rle())?;
            map.serialize_entry("area", &mask.area())?;
        }
        map.end()
    }
}

impl Serialize for RotatedBox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("center", &self.center.map(pixels))?;
        map.serialize_entry("size", &self.size.map(pixels))?;
        map.serialize_entry("angle", &score(self.angle))?;
        map.serialize_entry("corners", &self.corners().map(|corner| corner.map(pixels)))?;
        map.end()
    }
}

impl Serialize for Keypoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(if self.score.is_some() { 3 } else { 2 })?;
        tuple.serialize_element(&pixels(self.x))?;
        tuple.serialize_element(&pixels(self.y))?;
        if let Some(visibility) = self.score {
            tuple.serialize_element(&score(visibility))?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Keypoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(KeypointVisitor)
    }
}

struct KeypointVisitor;

impl<'de> Visitor<'de> for KeypointVisitor {
    type Value = Keypoint;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a keypoint [x, y] or [x, y, score]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Keypoint, A::Error> {
        let missing = |length| A::Error::invalid_length(length, &self);
        let x = values.next_element()?.ok_or_else(|| missing(0))?;
        let y = values.next_element()?.ok_or_else(|| missing(1))?;
        let score = values.next_element()?;
        if values.next_element::<serde::de::IgnoredAny>()?.is_some() {
            return Err(missing(4));
        }
        Ok(Keypoint { x, y, score })
    }
}

/// A score that was left out because it was none.
fn no_number() -> f32 {
    f32::NAN
}

/// A box that was left out because it was none.
fn no_numbers() -> [f32; 4] {
    [f32::NAN; 4]
}
