//! What a model found in a picture.

use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use crate::Mask;

/// One object, in pixels of the original picture. Fields that a model does not give are `None` and left out of the JSON.
///
/// Serialises as `{"prompt", "label", "class_id", "score", "box", "rotated_box", "keypoints", "stability", "mask_box", "mask_score",
/// "segmentation", "area"}`: pixels with two decimals, scores with five, `segmentation` as COCO's compressed RLE and `area` in pixels of
/// the mask.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// Index of the prompt that this object answers (promptable models).
    pub prompt: Option<usize>,
    /// Class name.
    pub label: Option<String>,
    /// Class index.
    pub class_id: Option<usize>,
    /// Confidence, 0..1.
    pub score: f32,
    /// How steep the mask's borders are, 0..1 (promptable models).
    pub stability: Option<f32>,
    /// `[x1, y1, x2, y2]`; for a rotated object, the upright box around it.
    pub bounds: [f32; 4],
    /// The rotated box of an oriented detector.
    pub rotated: Option<RotatedBox>,
    /// Keypoints of a pose model, in the order of its skeleton.
    pub keypoints: Option<Vec<Keypoint>>,
    /// The object's pixels, at the size of the original picture.
    pub mask: Option<Mask>,
    /// `[x1, y1, x2, y2]`: the mask's own box, where `bounds` is another model's.
    pub mask_box: Option<[f32; 4]>,
    /// The mask's own score, where `score` is another model's.
    pub mask_score: Option<f32>,
}

/// A box turned about its centre. Serialises as `{"center", "size", "angle", "corners"}`.
#[derive(Debug, Clone, Copy, PartialEq)]
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

    /// `[x1, y1, x2, y2]`: the upright box around the corners.
    pub fn bounds(&self) -> [f32; 4] {
        let corners = self.corners();
        let extreme =
            |axis: usize, pick: fn(f32, f32) -> f32| corners[1..].iter().fold(corners[0][axis], |best, corner| pick(best, corner[axis]));
        [extreme(0, f32::min), extreme(1, f32::min), extreme(0, f32::max), extreme(1, f32::max)]
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
        map.serialize_entry("score", &score(self.score))?;
        map.serialize_entry("box", &self.bounds.map(pixels))?;
        if let Some(rotated) = &self.rotated {
            map.serialize_entry("rotated_box", rotated)?;
        }
        if let Some(keypoints) = &self.keypoints {
            map.serialize_entry("keypoints", keypoints)?;
        }
        if let Some(stability) = self.stability {
            map.serialize_entry("stability", &score(stability))?;
        }
        if let Some(mask_box) = &self.mask_box {
            map.serialize_entry("mask_box", &mask_box.map(pixels))?;
        }
        if let Some(mask_score) = self.mask_score {
            map.serialize_entry("mask_score", &score(mask_score))?;
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
