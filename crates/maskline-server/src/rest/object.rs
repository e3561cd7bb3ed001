//! Objects in JSON: as answers tell them, and as they come back to be written.

use maskline::vision::mask::Rle;
use maskline::{Error, ErrorKind, Keypoint, Mask, Object, RotatedBox};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::fault::{Fault, Result};

/// Longest name of an object, in bytes.
pub(super) const LONGEST_LABEL: usize = 1024;
/// Farthest from the picture that something can be, in pixels.
const FARTHEST: f32 = 16_777_216.0;

/// An object; keys that do not apply are left out.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = Object)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectBody {
    /// Index of the prompt that it answers.
    prompt: Option<usize>,
    /// What it is called.
    label: Option<String>,
    /// Index of its class.
    class_id: Option<usize>,
    /// Of what answers prompts, the predicted overlap with the object.
    score: Option<f32>,
    /// `[x1, y1, x2, y2]` in pixels of the picture.
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    /// Of models that find rotated boxes.
    rotated_box: Option<RotatedBody>,
    /// `[x, y]` or `[x, y, score]` each.
    keypoints: Option<Vec<Vec<f32>>>,
    /// How little the mask depends on its threshold.
    stability: Option<f32>,
    /// Around the mask, where the box is a detector's.
    mask_box: Option<[f32; 4]>,
    /// The mask's own score, where the object is a detector's.
    mask_score: Option<f32>,
    /// The mask as COCO's run lengths.
    segmentation: Option<SegmentationBody>,
    /// Pixels of the mask.
    #[allow(dead_code, reason = "tells the form; the mask itself says it")]
    area: Option<u64>,
    /// Everything mode: the click that it answers.
    point: Option<[f64; 2]>,
    /// Everything mode: the crop that it was found in.
    crop_box: Option<[usize; 4]>,
}

/// A rotated box.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = RotatedBox)]
#[serde(deny_unknown_fields)]
struct RotatedBody {
    center: [f32; 2],
    size: [f32; 2],
    /// In radians, clockwise.
    angle: f32,
    /// They follow from the others.
    corners: Option<[[f64; 2]; 4]>,
}

/// COCO's run lengths.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = Segmentation)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentationBody {
    /// `[height, width]`.
    size: [usize; 2],
    /// COCO's compressed text.
    counts: String,
}

/// An object that somebody sees.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) object: Object,
    /// Of its rotated box, as they were told: what follows from rounded numbers may be a hundredth of a pixel beside them.
    corners: Option<[[f64; 2]; 4]>,
    /// Where everything mode found it.
    point: Option<[f64; 2]>,
    crop_box: Option<[usize; 4]>,
}

impl Seen {
    /// As JSON, with the keys of an answer.
    pub(super) fn json(&self) -> Value {
        let mut value = json!(self.object);
        if let Some(corners) = self.corners {
            value["rotated_box"]["corners"] = json!(corners);
        }
        if let Some(point) = self.point {
            value["point"] = json!(point);
        }
        if let Some(crop) = self.crop_box {
            value["crop_box"] = json!(crop);
        }
        value
    }
}

impl ObjectBody {
    /// Bytes of the run lengths of its mask.
    pub(super) fn mask_bytes(&self) -> usize {
        self.segmentation.as_ref().map_or(0, |mask| mask.counts.len())
    }

    /// The object in a picture of this width and height, number `index` of those that were sent.
    ///
    /// # Errors
    /// `BadRequest` for numbers that are none, an object that is nowhere, and a mask of another picture; `TooLarge`.
    pub(super) fn seen(self, index: usize, size: (usize, usize)) -> Result<Seen> {
        self.read(size).map_err(|mut fault| {
            *fault.error = fault.error.named(format!("objects[{index}]"));
            fault
        })
    }

    fn read(self, size: (usize, usize)) -> Result<Seen> {
        self.check()?;
        let mask = self.segmentation.map(|runs| runs.mask(size)).transpose()?;
        let corners = self.rotated_box.as_ref().and_then(|rotated| rotated.corners);
        let rotated = self.rotated_box.map(|RotatedBody { center, size, angle, .. }| RotatedBox { center, size, angle });
        let around_mask = || mask.as_ref().and_then(Mask::bounds).map(|bounds| bounds.map(|side| side as f32));
        let bounds = self.bounds.or_else(|| rotated.as_ref().map(RotatedBox::bounds)).or_else(around_mask);
        if bounds.is_none() && mask.is_none() {
            return Err(Fault::bad("", "`box`, `rotated_box` or `segmentation`", "none of them"));
        }
        let object = Object {
            prompt: self.prompt,
            label: self.label,
            class_id: self.class_id,
            // What is no number is left out of answers.
            score: self.score.unwrap_or(f32::NAN),
            stability: self.stability,
            bounds: bounds.unwrap_or([f32::NAN; 4]),
            rotated,
            keypoints: self.keypoints.map(|points| points.iter().map(|point| keypoint(point)).collect()).transpose()?,
            mask,
            mask_box: self.mask_box,
            mask_score: self.mask_score,
        };
        Ok(Seen { object, corners, point: self.point, crop_box: self.crop_box })
    }

    /// Refuses names without end and places without measure.
    fn check(&self) -> Result<()> {
        if let Some(length) = self.label.as_ref().map(String::len).filter(|length| *length > LONGEST_LABEL) {
            return Err(Fault::over("label", format!("{LONGEST_LABEL} bytes"), length));
        }
        let rotated = self.rotated_box.as_ref().map(|rotated| [rotated.center[0], rotated.center[1], rotated.size[0], rotated.size[1]]);
        let angle = self.rotated_box.as_ref().map(|rotated| rotated.angle);
        let scores = [("score", self.score), ("stability", self.stability), ("mask_score", self.mask_score), ("rotated_box", angle)];
        let boxes = [("box", self.bounds), ("mask_box", self.mask_box), ("rotated_box", rotated)];
        let places = boxes.into_iter().flat_map(|(name, sides)| sides.into_iter().flatten().map(move |side| (name, side)));
        let points = self.keypoints.iter().flatten().flatten().map(|value| ("keypoints", *value));
        let scores = scores.into_iter().filter_map(|(name, value)| Some((name, value?)));
        match places.chain(points).chain(scores).find(|(_, value)| !(-FARTHEST..=FARTHEST).contains(value)) {
            Some((name, value)) => Err(Fault::bad(name, format!("numbers from -{FARTHEST} to {FARTHEST}"), value)),
            None => Ok(()),
        }
    }
}

fn keypoint(point: &[f32]) -> Result<Keypoint> {
    match *point {
        [x, y] => Ok(Keypoint { x, y, score: None }),
        [x, y, score] => Ok(Keypoint { x, y, score: Some(score) }),
        _ => Err(Fault::bad("keypoints", "[x, y] or [x, y, score] each", format!("{} numbers", point.len()))),
    }
}

impl SegmentationBody {
    /// The mask in a picture of this width and height.
    fn mask(self, (width, height): (usize, usize)) -> Result<Mask> {
        if self.size != [height, width] {
            return Err(Fault::bad("segmentation", format!("the picture's size [{height}, {width}]"), format!("{:?}", self.size)));
        }
        let read = Rle::from_coco_string(self.size, &self.counts).and_then(|runs| Mask::from_rle(&runs));
        Ok(read.map_err(|error| Error::from(error).of_kind(ErrorKind::BadInput).named("segmentation"))?)
    }
}
