//! Everything mode (`SamAutomaticMaskGenerator`): grids of points, crops of the picture, and the way back from them.
//!
//! Suppression of duplicates within a crop and between crops is [`nms`](crate::nms::nms): by predicted quality, then by one
//! over the crop's area. Formulas are those of `segment_anything/utils/amg.py`.

use crate::{Error, Mask, Result};

/// How far a box may be from an edge, in pixels, to count as touching it.
pub const EDGE_TOLERANCE: f32 = 20.0;
/// How far crops overlap by default, as a part of the short side, in the first layer.
pub const OVERLAP_RATIO: f64 = 512.0 / 1500.0;
/// Layer `i` has `4^i` crops.
const MOST_LAYERS: usize = 8;
/// Points a side of a grid, each of which is a prompt: hours.
const MOST_POINTS: usize = 4096;

/// `points_per_side` squared points `[x, y]`, evenly spaced in 0..1, row after row.
///
/// # Errors
/// `TooLarge` above 4096 points a side.
pub fn point_grid(points_per_side: usize) -> Result<Vec<[f64; 2]>> {
    if points_per_side > MOST_POINTS {
        let error = Error::too_large("point grid").with_expected(format!("at most {MOST_POINTS} points a side"));
        return Err(error.with_found(points_per_side.to_string()));
    }
    let offset = 1.0 / (2.0 * points_per_side as f64);
    let last = 1.0 - offset;
    // NumPy's `linspace`, to the last bit.
    let step = (last - offset) / (points_per_side as f64 - 1.0);
    let position = |i: usize| if i > 0 && i + 1 == points_per_side { last } else { i as f64 * step + offset };
    let side: Vec<f64> = if points_per_side == 1 { vec![offset] } else { (0..points_per_side).map(position).collect() };
    Ok(side.iter().flat_map(|y| side.iter().map(move |x| [*x, *y])).collect())
}

/// The grid of each layer of crops, from the whole picture (layer 0) to `layers`: the number of points a side is divided by
/// `downscale` from layer to layer.
///
/// # Errors
/// `InvalidArgument` for a divisor of 0, or when a layer would have no point; `TooLarge` as [`point_grid`].
pub fn layer_grids(points_per_side: usize, layers: usize, downscale: usize) -> Result<Vec<Vec<[f64; 2]>>> {
    check_layers(layers)?;
    let side = |layer: usize| downscale.checked_pow(layer as u32).map_or(0, |divisor| points_per_side.checked_div(divisor).unwrap_or(0));
    let sides: Vec<usize> = (0..=layers).map(side).collect();
    if let Some(empty) = sides.iter().position(|side| *side == 0) {
        let error = Error::invalid(format!("points of crop layer {empty}")).with_expected("at least 1 a side");
        let found = format!("{points_per_side} / {downscale}^{empty}");
        return Err(error.with_found(found).with_help("use more points a side, fewer layers or a smaller divisor"));
    }
    sides.into_iter().map(point_grid).collect()
}

/// A part of the picture that is looked at on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// `[x1, y1, x2, y2]` in pixels of the picture, the last two exclusive.
    pub bounds: [usize; 4],
    /// 0 for the whole picture.
    pub layer: usize,
}

/// The picture of `size` (`[height, width]`) and, for each further layer `i`, `2^i` by `2^i` overlapping crops, column after
/// column. The overlap is `overlap_ratio` of the short side in the first layer and halves from layer to layer.
///
/// # Errors
/// `InvalidArgument` for an impossible side, a ratio outside 0..=1, too many layers, or a picture too small for them: crops that begin
/// outside of it.
pub fn crop_boxes(size: [usize; 2], layers: usize, overlap_ratio: f64) -> Result<Vec<Crop>> {
    check_layers(layers)?;
    let [height, width] = size;
    // Larger sides than masks can have are refused before anything overflows.
    let is_possible = size.iter().all(|side| (1..=u32::MAX as usize).contains(side));
    if !is_possible || !(0.0..=1.0).contains(&overlap_ratio) {
        let error = Error::invalid("crops").with_expected("sides of 1 to 2^32 - 1 and an overlap of 0 to 1");
        return Err(error.with_found(format!("{width} x {height} and {overlap_ratio}")));
    }
    let mut crops = vec![Crop { bounds: [0, 0, width, height], layer: 0 }];
    for layer in 1..=layers {
        let count = 1_usize << layer;
        let overlap = (overlap_ratio * height.min(width) as f64 * (2.0 / count as f64)) as usize;
        let starts_and_ends = |side: usize| {
            let length = (overlap * (count - 1) + side).div_ceil(count);
            let starts = (0..count).map(move |i| (length - overlap) * i);
            starts.map(|start| (start, (start + length).min(side))).collect::<Vec<_>>()
        };
        let (columns, rows) = (starts_and_ends(width), starts_and_ends(height));
        if columns.iter().chain(&rows).any(|(start, end)| start >= end) {
            let message = format!("crops: a picture of {width} x {height} cannot be cut into {count} x {count} overlapping parts");
            return Err(Error::invalid(message).with_help("use fewer layers"));
        }
        let boxes = columns.iter().flat_map(|(x1, x2)| rows.iter().map(move |(y1, y2)| [*x1, *y1, *x2, *y2]));
        crops.extend(boxes.map(|bounds| Crop { bounds, layer }));
    }
    Ok(crops)
}

fn check_layers(layers: usize) -> Result<()> {
    if layers <= MOST_LAYERS {
        return Ok(());
    }
    Err(Error::invalid("crop layers").with_expected(format!("at most {MOST_LAYERS}")).with_found(layers.to_string()))
}

/// The box around a mask as everything mode has it: `[x1, y1, x2, y2]` of the first and last set pixels, the last two
/// inclusive; zeros for an empty mask (`batched_mask_to_box`).
pub fn mask_box(mask: &Mask) -> [usize; 4] {
    mask.bounds().map_or([0; 4], |[x1, y1, x2, y2]| [x1, y1, x2 - 1, y2 - 1])
}

/// Whether a box (`[x1, y1, x2, y2]` in pixels of the crop) touches an edge of the crop that is not one of the picture of `size`
/// (`[height, width]`): such an object is cut off, and another crop has more of it. `tolerance` is usually [`EDGE_TOLERANCE`].
pub fn near_crop_edge(bounds: [f32; 4], crop: &Crop, size: [usize; 2], tolerance: f32) -> bool {
    let picture = [0, 0, size[1], size[0]];
    let bounds = uncrop_box(bounds, crop);
    let is_near = |side: f32, edge: usize| (side - edge as f32).abs() <= tolerance;
    (0..4).any(|i| is_near(bounds[i], crop.bounds[i]) && !is_near(bounds[i], picture[i]))
}

/// A box `[x1, y1, x2, y2]` of a crop in pixels of the picture.
pub fn uncrop_box([x1, y1, x2, y2]: [f32; 4], crop: &Crop) -> [f32; 4] {
    let ([x1, y1], [x2, y2]) = (uncrop_point([x1, y1], crop), uncrop_point([x2, y2], crop));
    [x1, y1, x2, y2]
}

/// A point `[x, y]` of a crop in pixels of the picture.
pub fn uncrop_point([x, y]: [f32; 2], crop: &Crop) -> [f32; 2] {
    [x + crop.bounds[0] as f32, y + crop.bounds[1] as f32]
}

/// A mask of a crop as a mask of the picture of `size` (`[height, width]`).
///
/// # Errors
/// `InvalidArgument` if the mask has not the size of the crop or the crop is not inside the picture, `TooLarge` above
/// [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS).
pub fn uncrop_mask(mask: &Mask, crop: &Crop, size: [usize; 2]) -> Result<Mask> {
    let ([x1, y1, x2, y2], [height, width]) = (crop.bounds, size);
    let is_inside = x1 <= x2 && x2 <= width && y1 <= y2 && y2 <= height;
    if !is_inside || [mask.width(), mask.height()] != [x2 - x1, y2 - y1] {
        let expected = format!("the size of {:?} inside {width} x {height}", crop.bounds);
        let error = Error::invalid("mask of a crop").with_expected(expected);
        return Err(error.with_found(format!("{} x {}", mask.width(), mask.height())));
    }
    mask.placed([x1, y1], [width, height])
}
