//! Outlines of a mask, and masks from outlines.

mod coco;
mod components;
mod fill;
mod parts;

use components::Holes;
pub use parts::Part;

use super::Mask;

/// A closed outline in pixel edges: corner `[x, y]` lies between pixels `x - 1` and `x`. The last vertex joins the first.
pub type Polygon = Vec<[f32; 2]>;

impl Mask {
    /// The outer outlines of the mask's parts, largest first. Pixels that touch at a corner belong to one part; holes are filled.
    ///
    /// With `tolerance` 0 the outlines follow the pixel edges exactly; above, vertices are dropped while the outline stays
    /// within that many pixels of the exact one (Douglas and Peucker 1973). Every outline has at least 3 vertices.
    pub fn polygons(&self, tolerance: f32) -> Vec<Polygon> {
        let mut parts: Vec<Polygon> =
            outlines(self).into_iter().filter(|outline| !outline.in_hole).map(|outline| outline.corners).collect();
        parts.sort_by(|a, b| area(b).total_cmp(&area(a)));
        parts.into_iter().map(|corners| simplified(corners, tolerance)).collect()
    }

    /// [`Mask::polygons`] with a tolerance of its own for each: this share of its length, as users of OpenCV's `approxPolyDP` give it. The
    /// length is that of the outline without the steps between pixels.
    pub fn polygons_by_length(&self, share: f32) -> Vec<Polygon> {
        let simple = |outline: Polygon| {
            let smooth = simplified(outline.clone(), STEP);
            let tolerance = share * length(&smooth);
            simplified(outline, tolerance)
        };
        self.polygons(0.0).into_iter().map(simple).collect()
    }

    /// All parts as one outline, for formats that allow one polygon per object: each part is joined to the nearest vertex of
    /// those before it by a bridge of no width. Parts below 1 % of the largest are left out, as are all but the 100 largest;
    /// holes are filled. Empty for an empty mask.
    pub fn merged_polygon(&self, tolerance: f32) -> Polygon {
        let mut parts = self.polygons(tolerance).into_iter().take(MOST_MERGED);
        let Some(first) = parts.next() else { return Polygon::new() };
        let least = area(&first) / 100.0;
        let others: Vec<Polygon> = parts.filter(|part| area(part) >= least).collect();
        bridged(&first, &others)
    }

    /// All closed outlines for drawing, holes too, without the steps between pixels.
    pub(crate) fn smooth_outlines(&self) -> Vec<Polygon> {
        outlines(self).into_iter().map(|outline| simplified(cut_corners(&outline.corners), SMOOTH_TOLERANCE)).collect()
    }
}

/// An outline joined with others, each to the nearest vertex of those before it, by bridges that have no width: they are walked there
/// and back. Rings that turn the other way are holes, of which the first 100 are joined.
pub(crate) fn bridged<'a>(first: &Polygon, others: impl IntoIterator<Item = &'a Polygon>) -> Polygon {
    let mut merged = first.clone();
    for ring in others.into_iter().take(MOST_MERGED) {
        let (at, from) = nearest(&merged, ring);
        let bridge = ring[from..].iter().chain(&ring[..=from]).copied().chain([merged[at]]).collect::<Vec<_>>();
        merged.splice(at + 1..at + 1, bridge);
    }
    merged
}

/// Every part is compared with all before it, and what is in more parts than this is noise.
const MOST_MERGED: usize = 100;

/// Pixels that an outline may leave its mask's edge by so that the steps of slopes are gone.
const STEP: f32 = 1.0;

/// How far a corner's ends are from it once it is cut off, in pixels. Twice as much is the length of an edge of which only the
/// middle stays: the edges of a slope's steps are shorter.
const CUT: f32 = 2.0;
/// How far a smooth outline may leave the one with cut corners, in pixels.
const SMOOTH_TOLERANCE: f32 = 0.4;

/// The middles of short edges, and long edges without their ends.
fn cut_corners(outline: &[[f32; 2]]) -> Polygon {
    let mut cut = Polygon::with_capacity(outline.len());
    for (from, to) in outline.iter().zip(outline.iter().cycle().skip(1)) {
        let length = squared(*from, *to).sqrt();
        let at = |share: f32| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * share);
        if length <= 2.0 * CUT {
            cut.push(at(0.5));
        } else {
            cut.extend([at(CUT / length), at(1.0 - CUT / length)]);
        }
    }
    cut
}

/// One closed walk along pixel edges.
struct Outline {
    /// Clockwise (y down) around a part, counter-clockwise around a hole.
    corners: Polygon,
    /// A set pixel of the part that the outline belongs to.
    pixel: [usize; 2],
    /// Whether the outline is that of a hole, or of a part that lies in a hole of another.
    in_hole: bool,
}

/// The mask's pixels within its bounds.
struct Bitmap {
    /// `[x1, y1, x2, y2]`
    bounds: [usize; 4],
    pixels: Vec<u8>,
}

const SET: u8 = 1;
/// The outline above this pixel has been followed.
const FOLLOWED: u8 = 2;

impl Bitmap {
    /// Coordinates wrap around left of and above the picture, which is outside of the bounds too.
    fn place(&self, [x, y]: [usize; 2]) -> Option<usize> {
        let [x1, y1, x2, y2] = self.bounds;
        ((x1..x2).contains(&x) && (y1..y2).contains(&y)).then(|| (y - y1) * (x2 - x1) + x - x1)
    }

    fn is_set(&self, pixel: [usize; 2]) -> bool {
        self.place(pixel).is_some_and(|place| self.pixels[place] & SET != 0)
    }

    fn is_followed(&self, pixel: [usize; 2]) -> bool {
        self.place(pixel).is_some_and(|place| self.pixels[place] & FOLLOWED != 0)
    }

    fn set_followed(&mut self, pixel: [usize; 2]) {
        if let Some(place) = self.place(pixel) {
            self.pixels[place] |= FOLLOWED;
        }
    }
}

/// Steps along pixel edges with the mask on the right-hand side: right, down, left, up.
const STEPS: [[isize; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/// Every outline, by the column and then the row of its first top edge. Every outline has one, and each is the start of a run.
fn outlines(mask: &Mask) -> Vec<Outline> {
    let Some(bounds) = mask.bounds() else { return Vec::new() };
    let mut bitmap = Bitmap { bounds, pixels: mask.rows_within(bounds, SET) };
    let holes = Holes::of(mask, bounds);
    let mut found = Vec::new();
    for (x, ys) in mask.column_runs() {
        let pixel = [x, ys.start];
        if !bitmap.is_followed(pixel) {
            let in_hole = holes.contain([x, ys.start.wrapping_sub(1)]);
            found.push(Outline { corners: follow(&mut bitmap, pixel), pixel, in_hole });
        }
    }
    found
}

/// Follows the outline whose first step is the top edge of this pixel, and notes the top edges that it passes.
fn follow(bitmap: &mut Bitmap, start: [usize; 2]) -> Polygon {
    let mut outline = Polygon::new();
    let (mut corner, mut direction) = (start, 0);
    loop {
        let previous = direction;
        if direction == 0 {
            bitmap.set_followed(corner);
        }
        corner = [0, 1].map(|axis| corner[axis].wrapping_add_signed(STEPS[direction][axis]));
        direction = turn(bitmap, corner, direction);
        if direction != previous {
            outline.push(corner.map(|value| value as f32));
        }
        if corner == start && direction == 0 {
            return outline;
        }
    }
}

/// The next direction at a corner. Left where the pixel ahead on the left is set (it may touch at the corner only), straight on
/// where only the one ahead on the right is, else right.
fn turn(bitmap: &Bitmap, [x, y]: [usize; 2], direction: usize) -> usize {
    let [left, above] = [x.wrapping_sub(1), y.wrapping_sub(1)];
    // The four pixels around the corner, clockwise from the top left; ahead of direction `right` are 1 (left) and 2 (right).
    let around = [[left, above], [x, above], [x, y], [left, y]];
    let [left, right] = [(direction + 1) % 4, (direction + 2) % 4].map(|index| bitmap.is_set(around[index]));
    match (left, right) {
        (true, _) => (direction + 3) % 4,
        (false, true) => direction,
        (false, false) => (direction + 1) % 4,
    }
}

fn length(polygon: &[[f32; 2]]) -> f32 {
    polygon.iter().zip(polygon.iter().cycle().skip(1)).map(|(a, b)| squared(*a, *b).sqrt()).sum()
}

fn area(polygon: &[[f32; 2]]) -> f64 {
    signed_area(polygon).abs()
}

/// Shoelace formula; positive for a clockwise polygon (y down).
fn signed_area(polygon: &[[f32; 2]]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    let twice: f64 = polygon.iter().zip(next).map(|(a, b)| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1])).sum();
    twice / 2.0
}

/// Douglas and Peucker on a closed outline, split at its first vertex and the one farthest from it.
fn simplified(outline: Polygon, tolerance: f32) -> Polygon {
    let by_distance = |a: &usize, b: &usize| squared(outline[*a], outline[0]).total_cmp(&squared(outline[*b], outline[0]));
    let Some(farthest) = (0..outline.len()).max_by(by_distance).filter(|_| tolerance > 0.0) else { return outline };
    let mut keep = vec![false; outline.len() + 1];
    keep[0] = true;
    keep[farthest] = true;
    let closed: Vec<[f32; 2]> = outline.iter().copied().chain([outline[0]]).collect();
    let mut open = vec![(0, farthest), (farthest, outline.len())];
    while let Some((first, last)) = open.pop() {
        let off_line = |index: usize| (index, distance_to_segment(closed[index], closed[first], closed[last]));
        let worst = (first + 1..last).map(off_line).max_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((worst, _)) = worst.filter(|(_, distance)| *distance > tolerance) {
            keep[worst] = true;
            open.extend([(first, worst), (worst, last)]);
        }
    }
    let kept: Polygon = outline.iter().zip(&keep).filter(|&(_, &keep)| keep).map(|(&vertex, _)| vertex).collect();
    // A part thinner than the tolerance would collapse to a line.
    if kept.len() < 3 { outline } else { kept }
}

fn squared(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

fn distance_to_segment(point: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let length = squared(from, to);
    let offset = (point[0] - from[0]) * along[0] + (point[1] - from[1]) * along[1];
    let share = if length > 0.0 { (offset / length).clamp(0.0, 1.0) } else { 0.0 };
    squared(point, [from[0] + share * along[0], from[1] + share * along[1]]).sqrt()
}

/// Indices of the closest vertices of two polygons.
fn nearest(a: &[[f32; 2]], b: &[[f32; 2]]) -> (usize, usize) {
    let pairs = (0..a.len()).flat_map(|i| (0..b.len()).map(move |j| (i, j)));
    pairs.min_by(|&(i, j), &(k, l)| squared(a[i], b[j]).total_cmp(&squared(a[k], b[l]))).unwrap_or((0, 0))
}
