//! COCO's polygons to pixels, as pycocotools counts them.

use crate::{Error, Mask, Result};

/// pycocotools rounds vertices to this part of a pixel.
const STEPS: i64 = 5;
/// The step at the middle of a pixel.
const MIDDLE: i64 = 2;
/// Vertices farther out are a mistake, and would take long to walk to.
const FARTHEST: f64 = 1e6;
/// Most steps along all outlines, of which a pixel has [`STEPS`]: seconds.
const MOST_STEPS: i64 = 1 << 30;

impl Mask {
    /// The pixels that pycocotools gives COCO's polygons (`frPyObjects` and `merge`), for equality with its figures.
    ///
    /// Each polygon is a flat list `x, y, x, y, …` in pixel edges; the mask is their union, so that a ring within a ring is no hole.
    /// Where [`Mask::from_polygons`] asks exactly which pixel centres lie inside, here vertices are first rounded to fifths of a
    /// pixel and edges to points between them (`maskApi.c`, `rleFrPoly`): outlines differ in single pixels.
    ///
    /// # Errors
    /// `InvalidArgument` for a polygon of less than three vertices, and for a vertex that is not finite or a million
    /// pixels away; `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS), and for outlines of more than 200 million pixels.
    pub fn from_coco_polygons<'a>(width: usize, height: usize, polygons: impl IntoIterator<Item = &'a [f64]>) -> Result<Self> {
        let nothing = Self::from_crossings([width, height], Vec::new())?;
        // Neighbours are united first, as in a tree: one by one, the time would grow with the square of their number.
        let mut united: Vec<Self> = Vec::new();
        let mut steps = 0;
        for (index, polygon) in polygons.into_iter().enumerate() {
            let name = || format!("polygon {index}");
            if polygon.len() < 6 || polygon.len() % 2 == 1 {
                let error = Error::invalid(name()).with_expected("x, y of at least 3 vertices");
                return Err(error.with_found(format!("{} numbers", polygon.len())));
            }
            if let Some(number) = polygon.iter().find(|number| !(-FARTHEST..=FARTHEST).contains(*number)) {
                let error = Error::invalid(name()).with_expected(format!("vertices about the picture of {width} x {height}"));
                return Err(error.with_found(number.to_string()));
            }
            let vertices = vertices(polygon);
            steps += edges(&vertices).map(|(from, to)| length(from, to)).sum::<i64>();
            if steps > MOST_STEPS {
                let expected = format!("outlines of at most {} pixels", MOST_STEPS / STEPS);
                return Err(Error::too_large(name()).with_expected(expected).with_found("more"));
            }
            let mut mask = Self::from_crossings([width, height], crossings(&vertices, [width, height]))?;
            for before in united.split_off(united.len() - (index + 1).trailing_zeros() as usize).iter().rev() {
                mask = before.union(&mask)?;
            }
            united.push(mask);
        }
        united.iter().rev().try_fold(nothing, |all, mask| mask.union(&all))
    }
}

/// In steps. A cast cuts towards 0, as it does in C.
fn vertices(polygon: &[f64]) -> Vec<[i64; 2]> {
    polygon.chunks_exact(2).map(|vertex| [vertex[0], vertex[1]].map(|at| (STEPS as f64 * at + 0.5) as i64)).collect()
}

fn edges(vertices: &[[i64; 2]]) -> impl Iterator<Item = ([i64; 2], [i64; 2])> {
    vertices.iter().copied().zip(vertices.iter().copied().cycle().skip(1))
}

/// Steps along an edge.
fn length(from: [i64; 2], to: [i64; 2]) -> i64 {
    (to[0] - from[0]).abs().max((to[1] - from[1]).abs())
}

/// Where the outline crosses the middles of columns, as column-major positions of the first pixel below.
fn crossings(vertices: &[[i64; 2]], size: [usize; 2]) -> Vec<u32> {
    let mut crossings = Vec::new();
    for (from, to) in edges(vertices) {
        let mut previous = None;
        for point in edge(from, to) {
            crossings.extend(previous.and_then(|previous| crossing(previous, point, size)));
            previous = Some(point);
        }
    }
    crossings
}

/// The points of an edge, from its left (of a steep edge: upper) end to the other: one at each step along its longer side.
fn edge(from: [i64; 2], to: [i64; 2]) -> impl Iterator<Item = [i64; 2]> {
    let long = usize::from((to[0] - from[0]).abs() < (to[1] - from[1]).abs());
    let [start, end] = if from[long] <= to[long] { [from, to] } else { [to, from] };
    let length = end[long] - start[long];
    let slope = (end[1 - long] - start[1 - long]) as f64 / length as f64;
    (0..=length).map(move |step| {
        let mut point = [start[long] + step; 2];
        point[1 - long] = (start[1 - long] as f64 + slope * step as f64 + 0.5) as i64;
        point
    })
}

/// Where two neighbouring points lie on both sides of a column's middle.
fn crossing(a: [i64; 2], b: [i64; 2], [width, height]: [usize; 2]) -> Option<u32> {
    let left = a[0].min(b[0]);
    let column = usize::try_from(left.div_euclid(STEPS)).ok()?;
    if a[0] == b[0] || left.rem_euclid(STEPS) != MIDDLE || column >= width {
        return None;
    }
    // Rounded up to the first middle of a pixel that is not above.
    let row = (a[1].min(b[1]) + MIDDLE).div_euclid(STEPS);
    Some((column * height) as u32 + row.clamp(0, height as i64) as u32)
}
