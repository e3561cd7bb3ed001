//! Non-maximum suppression, equal to torchvision's and ultralytics'.

/// Indices of the boxes `[x1, y1, x2, y2]` that no better kept box overlaps by more than `threshold` (intersection over
/// union), best first; equal scores keep their order. Equal to `torchvision.ops.nms`.
///
/// Inverted boxes have the (negative) area that their coordinates give, as there.
///
/// # Panics
/// If there is not one score per box.
pub fn nms(boxes: &[[f32; 4]], scores: &[f32], threshold: f64) -> Vec<usize> {
    assert_eq!(boxes.len(), scores.len(), "one score per box");
    let order = descending(scores);
    let sorted = Columns::new(boxes, &order);
    let mut suppressed = vec![false; order.len()];
    let mut kept = Vec::new();
    for i in 0..order.len() {
        if !suppressed[i] {
            kept.push(order[i]);
            sorted.suppress_after(i, threshold, &mut suppressed);
        }
    }
    kept
}

/// As [`nms`], but boxes of different classes leave each other alone. Equal to `torchvision.ops.batched_nms`, also where that
/// is not quite so: up to 1000 boxes, classes are set apart by the largest coordinate, which negative ones can bridge.
///
/// # Panics
/// If there is not one score and class per box.
pub fn batched_nms(boxes: &[[f32; 4]], scores: &[f32], (classes, threshold): (&[i64], f64)) -> Vec<usize> {
    const MOST_SET_APART: usize = 1000;
    assert_eq!(boxes.len(), classes.len(), "one class per box");
    if boxes.len() <= MOST_SET_APART {
        let apart = boxes.iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max) + 1.0;
        let moved = boxes.iter().zip(classes).map(|(own, class)| own.map(|side| side + *class as f32 * apart));
        return nms(&moved.collect::<Vec<_>>(), scores, threshold);
    }
    let mut by_class = std::collections::BTreeMap::<i64, Vec<usize>>::new();
    classes.iter().enumerate().for_each(|(i, class)| by_class.entry(*class).or_default().push(i));
    let mut kept = vec![false; boxes.len()];
    for members in by_class.values() {
        let own_boxes: Vec<[f32; 4]> = members.iter().map(|i| boxes[*i]).collect();
        let own_scores: Vec<f32> = members.iter().map(|i| scores[*i]).collect();
        nms(&own_boxes, &own_scores, threshold).into_iter().for_each(|i| kept[members[i]] = true);
    }
    descending(scores).into_iter().filter(|i| kept[*i]).collect()
}

/// Indices of the rotated boxes `[center x, center y, width, height, angle]` that overlap no better box, kept or not, by more
/// than `threshold`, best first: ultralytics' fast suppression with the probabilistic overlap of [`probiou`].
///
/// # Panics
/// If there is not one score per box.
pub fn nms_rotated(boxes: &[[f32; 5]], scores: &[f32], threshold: f32) -> Vec<usize> {
    assert_eq!(boxes.len(), scores.len(), "one score per box");
    let order = descending(scores);
    let is_free = |rank: &usize| order[..*rank].iter().all(|better| probiou(&boxes[*better], &boxes[order[*rank]]) <= threshold);
    (0..order.len()).filter(is_free).map(|rank| order[rank]).collect()
}

/// Overlap of two rotated boxes seen as Gaussians: 1 minus their Hellinger distance (Llerena et al. 2021).
pub fn probiou(first: &[f32; 5], second: &[f32; 5]) -> f32 {
    const EPSILON: f32 = 1e-7;
    let (a1, b1, c1) = covariance(first);
    let (a2, b2, c2) = covariance(second);
    let (dx, dy) = (second[0] - first[0], first[1] - second[1]);
    let (a, b, c) = (a1 + a2, b1 + b2, c1 + c2);
    let determinant = a * b - c * c;
    let near = (a * dy * dy + b * dx * dx) / (determinant + EPSILON) * 0.25;
    let turned = c * dx * dy / (determinant + EPSILON) * 0.5;
    let volumes = ((a1 * b1 - c1 * c1).max(0.0) * (a2 * b2 - c2 * c2).max(0.0)).sqrt();
    let spread = (determinant / (4.0 * volumes + EPSILON) + EPSILON).ln() * 0.5;
    let distance = (near + turned + spread).clamp(EPSILON, 100.0);
    1.0 - (1.0 - (-distance).exp() + EPSILON).sqrt()
}

/// Variances along x and y and the covariance of a uniform rotated box.
fn covariance(&[_, _, width, height, angle]: &[f32; 5]) -> (f32, f32, f32) {
    let (a, b) = (width * width / 12.0, height * height / 12.0);
    let (sin, cos) = angle.sin_cos();
    (a * cos * cos + b * sin * sin, a * sin * sin + b * cos * cos, (a - b) * cos * sin)
}

/// Indices by falling score; equal scores (and NaN, last) keep their order.
fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap_or_else(|| scores[*a].is_nan().cmp(&scores[*b].is_nan())));
    order
}

/// Sorted boxes, one column per coordinate: the inner loop runs over plain slices.
struct Columns {
    sides: [Vec<f32>; 4],
    areas: Vec<f32>,
}

impl Columns {
    fn new(boxes: &[[f32; 4]], order: &[usize]) -> Self {
        let sides = [0, 1, 2, 3].map(|side| order.iter().map(|i| boxes[*i][side]).collect::<Vec<f32>>());
        let areas = order.iter().map(|i| (boxes[*i][2] - boxes[*i][0]) * (boxes[*i][3] - boxes[*i][1])).collect();
        Self { sides, areas }
    }

    fn suppress_after(&self, i: usize, threshold: f64, suppressed: &mut [bool]) {
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| self.sides[side][i]);
        let rest = |side: usize| &self.sides[side][i + 1..];
        let others = rest(0).iter().zip(rest(1)).zip(rest(2)).zip(rest(3)).zip(&self.areas[i + 1..]);
        for (((((ox1, oy1), ox2), oy2), area), suppressed) in others.zip(&mut suppressed[i + 1..]) {
            // Written as torchvision's comparisons are, so that NaN takes the same way.
            let width = if x2 < *ox2 { x2 } else { *ox2 } - if x1 < *ox1 { *ox1 } else { x1 };
            let height = if y2 < *oy2 { y2 } else { *oy2 } - if y1 < *oy1 { *oy1 } else { y1 };
            let overlap = if 0.0 < width { width } else { 0.0 } * if 0.0 < height { height } else { 0.0 };
            let iou = overlap / (self.areas[i] + area - overlap);
            *suppressed |= f64::from(iou) > threshold;
        }
    }
}
