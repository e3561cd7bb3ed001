//! Detections of other programs.

use std::path::Path;

use maskline::Result;

use crate::file::{self, ResultEntry, bad, wrong};
use crate::{Detection, Truth};

const FORM: &str = "COCO's results: [{\"image_id\": …, \"category_id\": …, \"score\": …, \"bbox\": […] or \"segmentation\": {…}}, …]";

/// Reads COCO's results format (`bbox`, `segmentation` or both), as `maskline run -f coco91` and most detectors write it.
///
/// # Errors
/// `BadInput`, with the place in the list, for a file that is missing or of another format, a picture that the ground truth lacks, and
/// a segmentation that does not fit its picture.
pub fn read_predictions(path: impl AsRef<Path>, truth: &Truth) -> Result<Vec<Detection>> {
    let path = path.as_ref();
    let entries: Vec<ResultEntry> = file::read(path, FORM)?;
    let found = entries
        .into_iter()
        .enumerate()
        .map(|(index, entry)| detection(entry, truth).map_err(|error| bad(path, error.named(format!("detection {index}")))));
    found.collect()
}

fn detection(entry: ResultEntry, truth: &Truth) -> Result<Detection> {
    let image_id = truth.image_id(&entry.image_id);
    let picture = image_id.and_then(|id| truth.picture_of(id));
    let missing = || wrong(format!("its image {} is not among those of {}", entry.image_id, truth.path().display()));
    let picture = &truth.pictures()[picture.ok_or_else(&missing)?];
    let size = [picture.width, picture.height];
    let mask = entry.segmentation.map(|segmentation| segmentation.into_mask(size)).transpose()?.flatten();
    let bounds = entry.bbox.map(|numbers| file::bounds(&numbers)).transpose()?.flatten();
    if mask.is_none() && bounds.is_none() {
        return Err(wrong("").expecting("a bbox or a segmentation").but_found("neither"));
    }
    let category_id = truth.category_id(&entry.category_id);
    let unknown = || wrong(format!("its category {} is not among those of {}", entry.category_id, truth.path().display()));
    let (image_id, category_id) = (image_id.ok_or_else(missing)?, category_id.ok_or_else(unknown)?);
    Ok(Detection { image_id, category_id, score: entry.score, bounds, mask })
}
