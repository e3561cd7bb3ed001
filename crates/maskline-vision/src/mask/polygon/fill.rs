//! From outlines back to pixels.

use super::Polygon;
use crate::mask::{MOST_CROSSINGS, pixel_count};
use crate::{Error, Mask, Result};

impl Mask {
    /// The pixels whose centres lie inside an odd number of the polygons (the even-odd rule): a ring within a ring is a hole.
    ///
    /// The exact inverse of [`Mask::parts`] with tolerance 0; [`Mask::from_coco_polygons`] rounds as pycocotools does. Vertices are in pixel edges; what lies outside of the picture is
    /// cut off. A centre that lies on an edge belongs to the polygon on its right, or below it on an upright edge's end.
    ///
    /// # Errors
    /// `InvalidArgument` for a vertex that is not finite, `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS) and for outlines
    /// that cross columns more than 2^27 times.
    pub fn from_polygons<'a>(width: usize, height: usize, polygons: impl IntoIterator<Item = &'a Polygon>) -> Result<Self> {
        pixel_count(width, height)?;
        let mut crossings: Vec<u32> = Vec::new();
        for (index, polygon) in polygons.into_iter().enumerate() {
            if let Some([x, y]) = polygon.iter().find(|vertex| !vertex.iter().all(|value| value.is_finite())) {
                let error = Error::invalid(format!("polygon {index}")).with_expected("finite vertices");
                return Err(error.with_found(format!("[{x}, {y}]")));
            }
            for (from, to) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
                if crossings.len() > MOST_CROSSINGS {
                    let expected = format!("outlines that cross columns up to {MOST_CROSSINGS} times");
                    return Err(Error::too_large(format!("polygon {index}")).with_expected(expected).with_found("more"));
                }
                cross_columns([*from, *to].map(|vertex| vertex.map(f64::from)), [width, height], &mut crossings);
            }
        }
        Self::from_crossings([width, height], crossings)
    }

    /// The mask whose value flips at each of these column-major positions.
    pub(super) fn from_crossings([width, height]: [usize; 2], mut crossings: Vec<u32>) -> Result<Self> {
        let total = pixel_count(width, height)?;
        crossings.sort_unstable();
        // The value flips at every crossing, so that two at one place cancel out.
        let mut flips: Vec<u32> = Vec::new();
        for crossing in crossings {
            if flips.last() == Some(&crossing) {
                flips.pop();
            } else {
                flips.push(crossing);
            }
        }
        // The end of the last column; it can only be the last.
        flips.pop_if(|flip| *flip == total);
        Ok(Self { width, height, flips })
    }
}

/// For every column whose centre line the edge crosses, the column-major position of the first centre below the crossing.
/// Crossings below the picture are at the end of their column, which is where the next begins.
fn cross_columns([from, to]: [[f64; 2]; 2], [width, height]: [usize; 2], crossings: &mut Vec<u32>) {
    let [left, right] = if from[0] <= to[0] { [from, to] } else { [to, from] };
    // The casts saturate, at 0 too.
    let first_centre = |edge: f64, limit: usize| ((edge - 0.5).ceil() as usize).min(limit);
    let slope = (right[1] - left[1]) / (right[0] - left[0]);
    for x in first_centre(left[0], width)..first_centre(right[0], width) {
        let y = left[1] + (x as f64 + 0.5 - left[0]) * slope;
        crossings.push((x * height + first_centre(y, height)) as u32);
    }
}
