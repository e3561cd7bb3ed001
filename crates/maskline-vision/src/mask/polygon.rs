//! Outlines of a mask.

use super::Mask;

/// A closed outline in pixel edges: corner `[x, y]` lies between pixels `x - 1` and `x`. The last vertex joins the first.
pub type Polygon = Vec<[f32; 2]>;

impl Mask {
    /// The outer outlines of the mask's parts, largest first. Pixels that touch at a corner belong to one part; holes are filled.
    ///
    /// With `tolerance` 0 the outlines follow the pixel edges exactly; above, vertices are dropped while the outline stays
    /// within that many pixels of the exact one (Douglas and Peucker 1973). Every outline has at least 3 vertices.
    pub fn polygons(&self, tolerance: f32) -> Vec<Polygon> {
        let mut parts: Vec<Polygon> = outlines(self).into_iter().filter(|(_, is_outer)| *is_outer).map(|(outline, _)| outline).collect();
        parts.sort_by(|a, b| area(b).total_cmp(&area(a)));
        parts.into_iter().map(|outline| simplified(outline, tolerance)).collect()
    }

    /// All parts as one outline, for formats that allow one polygon per object: each part is joined to the nearest vertex of
    /// those before it by a bridge of no width. Parts below 1 % of the largest are left out. Empty for an empty mask.
    pub fn merged_polygon(&self, tolerance: f32) -> Polygon {
        let mut parts = self.polygons(tolerance).into_iter();
        let Some(mut merged) = parts.next() else { return Polygon::new() };
        let least = area(&merged) / 100.0;
        for part in parts.filter(|part| area(part) >= least) {
            let (at, from) = nearest(&merged, &part);
            let bridge = part[from..].iter().chain(&part[..=from]).copied().chain([merged[at]]).collect::<Vec<_>>();
            merged.splice(at + 1..at + 1, bridge);
        }
        merged
    }

    /// All closed outlines for drawing: outer ones clockwise, holes counter-clockwise (y down).
    pub(crate) fn all_outlines(&self, tolerance: f32) -> Vec<Polygon> {
        outlines(self).into_iter().map(|(outline, _)| simplified(outline, tolerance)).collect()
    }
}

/// The mask's pixels within its bounds, with a border of one unset pixel.
struct Bitmap {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

const SET: u8 = 1;
/// The outline above this pixel has been followed.
const FOLLOWED: u8 = 2;
/// Connected to the border through unset pixels: not in a hole.
const OUTSIDE: u8 = 4;

impl Bitmap {
    fn new(mask: &Mask) -> Option<Self> {
        let [x1, y1, x2, y2] = mask.bounds()?;
        let (width, height) = (x2 - x1 + 2, y2 - y1 + 2);
        let mut pixels = vec![0; width * height];
        for (x, ys) in mask.column_runs() {
            for y in ys {
                pixels[(y - y1 + 1) * width + x - x1 + 1] = SET;
            }
        }
        let mut bitmap = Self { x: x1, y: y1, width, height, pixels };
        bitmap.mark_outside();
        Some(bitmap)
    }

    fn mark_outside(&mut self) {
        let mut open = vec![0];
        self.pixels[0] = OUTSIDE;
        while let Some(at) = open.pop() {
            let x = at % self.width;
            let neighbours = [
                (x > 0).then(|| at - 1),
                (x + 1 < self.width).then(|| at + 1),
                at.checked_sub(self.width),
                Some(at + self.width).filter(|&below| below < self.pixels.len()),
            ];
            for next in neighbours.into_iter().flatten() {
                if self.pixels[next] == 0 {
                    self.pixels[next] = OUTSIDE;
                    open.push(next);
                }
            }
        }
    }

    fn is_set(&self, x: usize, y: usize) -> bool {
        self.pixels[y * self.width + x] & SET != 0
    }
}

/// Steps along pixel edges with the mask on the right-hand side: right, down, left, up.
const STEPS: [[isize; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/// Every outline, and whether it is the outer one of a part that lies in no hole of another.
fn outlines(mask: &Mask) -> Vec<(Polygon, bool)> {
    let Some(mut bitmap) = Bitmap::new(mask) else { return Vec::new() };
    let mut found = Vec::new();
    for y in 1..bitmap.height - 1 {
        for x in 1..bitmap.width - 1 {
            let above = bitmap.pixels[(y - 1) * bitmap.width + x];
            let is_new_top_edge = bitmap.pixels[y * bitmap.width + x] == SET && above & SET == 0;
            if is_new_top_edge {
                found.push((follow(&mut bitmap, x, y), above == OUTSIDE));
            }
        }
    }
    found
}

/// Follows the outline whose first step is the top edge of pixel (x, y), and notes the top edges that it passes.
fn follow(bitmap: &mut Bitmap, x: usize, y: usize) -> Polygon {
    let mut outline = Polygon::new();
    let start = [x, y];
    let (mut corner, mut direction) = (start, 0);
    loop {
        let previous = direction;
        if direction == 0 {
            bitmap.pixels[corner[1] * bitmap.width + corner[0]] |= FOLLOWED;
        }
        corner = [0, 1].map(|axis| corner[axis].wrapping_add_signed(STEPS[direction][axis]));
        direction = turn(bitmap, corner, direction);
        if direction != previous {
            outline.push([(corner[0] + bitmap.x - 1) as f32, (corner[1] + bitmap.y - 1) as f32]);
        }
        if corner == start && direction == 0 {
            return outline;
        }
    }
}

/// The next direction at a corner. Left where the pixel ahead on the left is set (it may touch at the corner only), straight on
/// where only the one ahead on the right is, else right.
fn turn(bitmap: &Bitmap, [x, y]: [usize; 2], direction: usize) -> usize {
    // The four pixels around the corner, clockwise from the top left; ahead of direction `right` are 1 (left) and 2 (right).
    let around = [[x - 1, y - 1], [x, y - 1], [x, y], [x - 1, y]];
    let [left, right] = [(direction + 1) % 4, (direction + 2) % 4].map(|index| bitmap.is_set(around[index][0], around[index][1]));
    match (left, right) {
        (true, _) => (direction + 3) % 4,
        (false, true) => direction,
        (false, false) => (direction + 1) % 4,
    }
}

/// Shoelace formula.
fn area(polygon: &[[f32; 2]]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    let twice: f64 = polygon.iter().zip(next).map(|(a, b)| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1])).sum();
    twice.abs() / 2.0
}

/// Douglas and Peucker on a closed outline, split at its first vertex and the one farthest from it.
fn simplified(outline: Polygon, tolerance: f32) -> Polygon {
    let by_distance = |a: &usize, b: &usize| squared(outline[*a], outline[0]).total_cmp(&squared(outline[*b], outline[0]));
    let Some(farthest) = (0..outline.len()).max_by(by_distance) else { return outline };
    if tolerance <= 0.0 {
        return outline;
    }
    let mut keep = vec![false; outline.len() + 1];
    keep[0] = true;
    keep[farthest] = true;
    let closed: Vec<[f32; 2]> = outline.iter().copied().chain([outline[0]]).collect();
    let mut open = vec![(0, farthest), (farthest, outline.len())];
    while let Some((first, last)) = open.pop() {
        let off_line = |index: usize| distance_to_segment(closed[index], closed[first], closed[last]);
        let Some(worst) = (first + 1..last).max_by(|&a, &b| off_line(a).total_cmp(&off_line(b))) else { continue };
        if off_line(worst) > tolerance {
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
