//! What of a box lies inside the picture.

/// The part of `[x1, y1, x2, y2]` inside a picture of `size` (`[width, height]`); `None` where nothing is.
pub(super) fn box_within([x1, y1, x2, y2]: [f32; 4], [width, height]: [f32; 2]) -> Option<[f32; 4]> {
    let cut = [x1.max(0.0), y1.max(0.0), x2.min(width), y2.min(height)];
    (cut[0] < cut[2] && cut[1] < cut[3]).then_some(cut)
}

/// Whether a point lies in the picture or on its edge.
pub(super) fn is_within([x, y]: [f32; 2], [width, height]: [f32; 2]) -> bool {
    (0.0..=width).contains(&x) && (0.0..=height).contains(&y)
}

/// Four corners of what a four-sided box has inside the picture; `None` where nothing is.
///
/// What the edges cut off leaves up to eight corners: those four are taken that hold the largest area. A box inside stays as it is.
pub(super) fn corners_within(corners: [[f32; 2]; 4], size: [f32; 2]) -> Option<[[f32; 2]; 4]> {
    if corners.iter().all(|corner| is_within(*corner, size)) {
        return (area(&corners) > 0.0).then_some(corners);
    }
    let mut left = corners.to_vec();
    for axis in [0, 1] {
        left = cut(&left, |corner| corner[axis], |corner| corner[axis] = 0.0);
        left = cut(&left, |corner| size[axis] - corner[axis], |corner| corner[axis] = size[axis]);
    }
    if left.len() == 3 {
        // A triangle has its fourth corner in the middle of a side.
        left.push([0, 1].map(|axis| (left[0][axis] + left[2][axis]) / 2.0));
    }
    largest_four(&left).filter(|four| area(four) > 0.0)
}

/// The part of a convex outline where `inside` is not negative (Sutherland and Hodgman 1974); `settle` puts a corner on the edge,
/// which rounding may have missed.
fn cut(outline: &[[f32; 2]], inside: impl Fn(&[f32; 2]) -> f32, settle: impl Fn(&mut [f32; 2])) -> Vec<[f32; 2]> {
    let mut kept = Vec::with_capacity(outline.len() + 1);
    for (from, to) in outline.iter().zip(outline.iter().cycle().skip(1)) {
        let [a, b] = [inside(from), inside(to)];
        if a >= 0.0 {
            kept.push(*from);
        }
        if (a < 0.0) != (b < 0.0) {
            // In f64: coordinates may be far apart.
            let share = f64::from(a) / (f64::from(a) - f64::from(b));
            let mut crossing = [0, 1].map(|axis| (f64::from(from[axis]) + (f64::from(to[axis]) - f64::from(from[axis])) * share) as f32);
            settle(&mut crossing);
            kept.push(crossing);
        }
    }
    kept
}

/// The four corners of a convex outline, in its order, with the largest area.
fn largest_four(outline: &[[f32; 2]]) -> Option<[[f32; 2]; 4]> {
    let count = outline.len();
    let choices = (0..count)
        .flat_map(move |a| (a + 1..count).flat_map(move |b| (b + 1..count).flat_map(move |c| (c + 1..count).map(move |d| [a, b, c, d]))));
    choices.map(|choice| choice.map(|index| outline[index])).max_by(|a, b| area(a).total_cmp(&area(b)))
}

/// Shoelace formula.
pub(super) fn area(corners: &[[f32; 2]; 4]) -> f64 {
    let next = corners.iter().cycle().skip(1);
    let twice: f64 = corners.iter().zip(next).map(|(a, b)| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1])).sum();
    twice.abs() / 2.0
}
