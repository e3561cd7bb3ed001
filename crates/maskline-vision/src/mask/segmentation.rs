//! COCO's `segmentation`, as it lies in JSON.

use serde_json::{Map, Value};

use super::{Mask, Rle, pixel_count};
use crate::{Error, Result};

const FORMS: &str = "a list of polygons [[x, y, x, y, …], …], or run lengths {\"size\": [height, width], \"counts\": …}";

impl Mask {
    /// The mask of a COCO `segmentation` in a picture of `size` (`[width, height]`).
    ///
    /// Read are polygons `[[x, y, x, y, …], …]` (as [`Mask::from_coco_polygons`]; of an empty list, an empty mask), and run lengths
    /// `{"size": [height, width], "counts": …}` with counts as a list of numbers or as compressed text. Their size must be the
    /// picture's, or be left out.
    ///
    /// # Errors
    /// `InvalidArgument`, saying where, for JSON of another form, run lengths of another size or sum, and as
    /// [`Mask::from_coco_polygons`]; `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS), before anything is asked for.
    pub fn from_coco_segmentation(segmentation: &Value, size: [usize; 2]) -> Result<Self> {
        let [width, height] = size;
        pixel_count(width, height)?;
        match segmentation {
            Value::Array(polygons) => {
                let polygons =
                    polygons.iter().enumerate().map(|(index, numbers)| polygon(index, numbers)).collect::<Result<Vec<Vec<f64>>>>()?;
                Self::from_coco_polygons(width, height, polygons.iter().map(Vec::as_slice))
            }
            Value::Object(runs) => Self::from_rle(&run_lengths(runs, [height, width])?),
            other => Err(Error::invalid("segmentation").with_expected(FORMS).with_found(kind(other))),
        }
    }
}

fn polygon(index: usize, polygon: &Value) -> Result<Vec<f64>> {
    let expected = || Error::invalid(format!("polygon {index}")).with_expected("a list of numbers x, y, x, y, …");
    let unlike = |found: &Value| expected().with_found(kind(found));
    let Value::Array(numbers) = polygon else {
        let error = unlike(polygon);
        return Err(if polygon.is_number() { error.with_help("one polygon is a list in a list: [[x, y, x, y, …]]") } else { error });
    };
    numbers.iter().map(|number| number.as_f64().ok_or_else(|| unlike(number))).collect()
}

/// `size` is `[height, width]`.
fn run_lengths(runs: &Map<String, Value>, size: [usize; 2]) -> Result<Rle> {
    if let Some(told) = runs.get("size") {
        let sides: Option<Vec<u64>> = told.as_array().and_then(|sides| sides.iter().map(Value::as_u64).collect());
        if sides.as_deref() != Some(&size.map(|side| side as u64)) {
            return Err(unlike_runs(format!("the picture's size {size:?} (height, width)"), shortened(told)));
        }
    }
    match runs.get("counts") {
        Some(Value::String(text)) => Rle::from_coco_string(size, text),
        Some(Value::Array(counts)) => {
            let count = |index: usize, count: &Value| {
                let number = count.as_u64().and_then(|count| u32::try_from(count).ok());
                number.ok_or_else(|| unlike_runs(format!("pixels below 2^32 as count {index}"), shortened(count)))
            };
            Ok(Rle { size, counts: counts.iter().enumerate().map(|(index, told)| count(index, told)).collect::<Result<_>>()? })
        }
        Some(other) => Err(unlike_runs("counts as a list of numbers or as text".into(), kind(other))),
        None => Err(Error::invalid("segmentation").with_expected(FORMS).with_found("no counts")),
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        other => shortened(other),
    }
}

/// A value of the file as it can stand in a message.
fn shortened(value: &Value) -> String {
    const MOST: usize = 40;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

fn unlike_runs(expected: String, found: String) -> Error {
    Error::invalid("run lengths").with_expected(expected).with_found(found)
}
