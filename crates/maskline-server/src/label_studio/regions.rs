//! Objects as Label Studio's regions.

use std::sync::Arc;

use maskline::Object;
use maskline::vision::write::{Answer, ImageObjects, LabelStudioNames, label_studio};
use maskline::{Error, Mask};
use serde_json::{Value, json};

use super::config::{Config, Control, Form};
use crate::fault::Result;

/// An outline may stray so far from its mask, in pixels.
const TOLERANCE: f32 = 1.0;
/// Parts of one object; what has more is noise.
const MOST_PARTS: usize = 100;

/// What is to become regions.
pub(super) struct Found<'a> {
    pub(super) config: &'a Config,
    pub(super) size: (usize, usize),
    pub(super) model_version: &'a str,
}

impl Found<'_> {
    /// A prediction: `{"result", "score", "model_version"}`. Each object is a region of the control beside it.
    ///
    /// # Errors
    /// As [`label_studio`].
    pub(super) fn prediction(&self, objects: Vec<(Arc<Control>, Object)>) -> Result<Value> {
        let (mut result, mut scores) = (Vec::new(), Vec::new());
        for (control, object) in objects {
            let regions = self.regions(&control, object)?;
            scores.extend(regions.first().and_then(|region| region["score"].as_f64()));
            result.extend(regions);
        }
        // From zero on, for a sum of nothing is a negative one.
        let mean = scores.iter().fold(0.0, |sum, score: &f64| sum + score) / scores.len().max(1) as f64;
        Ok(json!({"result": result, "score": (mean * 1e5).round() / 1e5, "model_version": self.model_version}))
    }

    fn regions(&self, control: &Control, mut object: Object) -> Result<Vec<Value>> {
        // Keypoints have labels of their own, which the configuration need not have.
        object.keypoints = None;
        let outlined = match control.form {
            Form::Brush => None,
            Form::Rectangle => {
                object.bounds = object.mask_box.unwrap_or(object.bounds);
                object.mask = None;
                None
            }
            Form::Polygon => object.mask.take(),
        };
        let names = LabelStudioNames {
            image: &self.config.image,
            brush: &control.name,
            rectangle: &control.name,
            model_version: self.model_version,
            ..LabelStudioNames::default()
        };
        let objects = [object];
        let found = ImageObjects { image_id: 1, width: self.size.0, height: self.size.1, objects: &objects };
        let answer = Answer { found, file_name: "", pixels: None, marks: Default::default() };
        let mut task = label_studio(&answer, &names).map_err(Error::from)?;
        let Value::Array(mut regions) = task["predictions"][0]["result"].take() else { return Ok(Vec::new()) };
        if let Some(mask) = outlined {
            regions = regions.iter().flat_map(|rectangle| self.outlines(&mask, rectangle)).collect();
        }
        for region in &mut regions {
            // Unlike those of a file of its own, they come to stand beside others.
            region["id"] = json!(crate::http::fresh_id());
        }
        Ok(regions)
    }

    /// Regions that are outlines of a mask, like one that is a rectangle.
    fn outlines(&self, mask: &Mask, rectangle: &Value) -> Vec<Value> {
        let [width, height] = [self.size.0 as f64, self.size.1 as f64];
        let percent = |place: f32, side: f64| (f64::from(place) / side * 1e7).round() / 1e5;
        let outlines = mask.polygons(TOLERANCE).into_iter().take(MOST_PARTS);
        outlines
            .map(|outline| {
                let points: Vec<[f64; 2]> = outline.iter().map(|[x, y]| [percent(*x, width), percent(*y, height)]).collect();
                let mut region = rectangle.clone();
                region["type"] = json!("polygonlabels");
                region["value"] = json!({"points": points, "closed": true, "polygonlabels": rectangle["value"]["rectanglelabels"]});
                region
            })
            .collect()
    }
}
