//! `run --everything`: objects of a picture that nobody pointed at.

use maskline::vision::draw::Marks;
use maskline::{EverythingOptions, Image, Model};
use serde_json::json;

use super::prompted::told;
use super::report::{Answer, Report};
use crate::args::{Multimask, Run};
use crate::failure::Failure;
use crate::output::Drawn;

/// A promptable model that is asked at every place.
pub(super) struct Everything<'a> {
    pub(super) model: &'a Model,
    pub(super) options: EverythingOptions,
}

/// The options that the command line names.
pub(super) fn options(arguments: &Run) -> EverythingOptions {
    let wished = &arguments.everything;
    EverythingOptions {
        points_per_side: Some(wished.points_per_side),
        pred_iou_thresh: wished.pred_iou_thresh,
        stability_score_thresh: wished.stability_thresh,
        stability_score_offset: wished.stability_offset,
        mask_threshold: arguments.prompted.mask_threshold,
        box_nms_thresh: wished.box_nms_thresh,
        crop_n_layers: wished.crop_layers,
        crop_nms_thresh: wished.crop_nms_thresh,
        crop_overlap_ratio: wished.crop_overlap.unwrap_or(EverythingOptions::default().crop_overlap_ratio),
        crop_n_points_downscale_factor: wished.crop_points_downscale,
        min_mask_region_area: wished.min_area,
        use_m2m: wished.m2m,
        multimask_output: arguments.prompted.multimask != Multimask::Off,
        chunk: arguments.prompted.chunk,
        ..EverythingOptions::default()
    }
}

impl Everything<'_> {
    pub(super) fn answer(&self, report: &mut Report<'_>, places: &[usize]) -> Result<(), Failure> {
        for &place in places {
            match report.open(place).and_then(|image| Ok((self.model.everything(&image, &self.options)?, image))) {
                Ok((found, image)) => self.tell(report, (place, &image), &found)?,
                Err(error) => report.fail(place, error)?,
            }
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report<'_>, (place, image): (usize, &Image), found: &maskline::Everything) -> Result<(), Failure> {
        let mut all = json!(found.objects);
        for (object, origin) in all.as_array_mut().into_iter().flatten().zip(&found.origins) {
            object["point"] = json!(origin.point.map(|side| (f64::from(side) * 100.0).round() / 100.0));
            object["crop_box"] = json!(origin.crop);
        }
        let answer = Answer {
            image,
            models: &[self.model],
            drawn: Drawn { objects: &found.objects, classes: None, marks: Marks::default() },
            found: all,
            timings: told(&found.timings, None),
            nothing: "nothing found".into(),
            errors: &[],
        };
        report.succeed(place, &answer)
    }
}
