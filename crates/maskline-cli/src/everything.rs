//! `run --everything`: objects of a picture that nobody pointed at.

use std::path::{Path, PathBuf};

use maskline::vision::draw::Marks;
use maskline::{ErrorKind, EverythingOptions, Image, Model};
use serde_json::{Value, json};

use crate::args::{Multimask, Run};
use crate::failure::Failure;
use crate::outputs::Answer;
use crate::prompted::timing_line;
use crate::run::{Report, object_table, say_loaded};
use crate::terminal;

/// A promptable model that is asked at every place.
pub(crate) struct Everything<'a> {
    pub(crate) model: &'a Model,
    pub(crate) options: EverythingOptions,
}

/// The options that the command line names.
pub(crate) fn options(arguments: &Run) -> EverythingOptions {
    let wished = &arguments.everything;
    EverythingOptions {
        points_per_side: wished.points_per_side,
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
    pub(crate) fn answer(&self, report: &mut Report<'_>, paths: &[PathBuf]) -> Result<(), Failure> {
        for path in paths {
            let found = report.open(path).and_then(|image| Ok((self.model.everything(&image, &self.options)?, image)));
            match found {
                Ok((found, image)) => self.tell(report, (path, &image), &found)?,
                // Another picture may be large enough for the crops.
                Err(error) if matches!(error.kind(), ErrorKind::BadInput | ErrorKind::Io) => report.fail(path, &error)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report<'_>, (path, image): (&Path, &Image), found: &maskline::Everything) -> Result<(), Failure> {
        let mut all = json!(found.objects);
        for (object, origin) in all.as_array_mut().into_iter().flatten().zip(&found.origins) {
            object["point"] = json!(origin.point.map(|side| (f64::from(side) * 100.0).round() / 100.0));
            object["crop_box"] = json!(origin.crop);
        }
        let written = Answer { objects: &found.objects, classes: None, marks: Marks::default() };
        let answer: (&[&Model], (&str, Value), Value) = (&[self.model], ("objects", all), json!(found.timings));
        let is_first = report.succeed((path, image), answer, &written)?;
        if report.arguments.json {
            return Ok(());
        }
        let (width, height) = image.size();
        let mut text = format!("{}  {width} × {height}\n", path.display());
        text += &if found.objects.is_empty() { "nothing found\n".into() } else { object_table(&found.objects) };
        text += &timing_line(&found.timings, None);
        if is_first {
            say_loaded(self.model);
        }
        terminal::print(&text)
    }
}
