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
    let sorted: Vec<[f32; 4]> = order.iter().map(|i| boxes[*i]).collect();
    let mut is_kept = vec![false; order.len()];
    for group in groups(&sorted, threshold) {
        Survivors::new(&sorted, group).for_each_kept(threshold, |rank| is_kept[rank] = true);
    }
    order.into_iter().zip(is_kept).filter_map(|(i, kept)| kept.then_some(i)).collect()
}

/// As [`nms`], but boxes of different classes leave each other alone. Equal to `torchvision.ops.batched_nms`, also where that
/// is not quite so: up to 1000 boxes, classes are set apart by the largest coordinate, which negative ones can bridge.
///
/// # Panics
/// If there is not one score and class per box.
pub fn batched_nms(boxes: &[[f32; 4]], scores: &[f32], classes: &[i64], threshold: f64) -> Vec<usize> {
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
    let gaussians: Vec<Gaussian> = order.iter().map(|i| Gaussian::new(&boxes[*i])).collect();
    // Two Gaussians further apart than this overlap by less than the threshold; a little more, for the rounding of exp and ln.
    let furthest = -(1.0 - (1.0 - threshold) * (1.0 - threshold)).ln() * 1.001 + 1e-3;
    let is_free = |rank: &usize| {
        let own = &gaussians[*rank];
        let mut better = gaussians[..*rank].chunks(LANES);
        !better.any(|chunk| {
            // The first test is plain arithmetic over the whole chunk.
            let is_near = chunk.iter().fold(false, |any, other| any | !other.is_far(own, furthest));
            is_near && chunk.iter().any(|other| other.overlap(own) > threshold)
        })
    };
    (0..order.len()).filter(is_free).map(|rank| order[rank]).collect()
}

/// Overlap of two rotated boxes seen as Gaussians: 1 minus their Hellinger distance (Llerena et al. 2021).
pub fn probiou(first: &[f32; 5], second: &[f32; 5]) -> f32 {
    Gaussian::new(first).overlap(&Gaussian::new(second))
}

const EPSILON: f32 = 1e-7;

/// A rotated box as a Gaussian: its centre, the variances along x and y, their covariance, and the determinant of the three.
#[derive(Debug, Clone, Copy)]
struct Gaussian {
    center: [f32; 2],
    a: f32,
    b: f32,
    c: f32,
    determinant: f32,
}

impl Gaussian {
    fn new(&[x, y, width, height, angle]: &[f32; 5]) -> Self {
        // Variances of a uniform box.
        let (along, across) = (width * width / 12.0, height * height / 12.0);
        let (sin, cos) = angle.sin_cos();
        let (a, b) = (along * cos * cos + across * sin * sin, along * sin * sin + across * cos * cos);
        let c = (along - across) * cos * sin;
        Self { center: [x, y], a, b, c, determinant: (a * b - c * c).max(0.0) }
    }

    /// Numerators (quarter of the Mahalanobis distance) and determinant of the summed covariances.
    #[inline(always)]
    fn sums(&self, other: &Self) -> ([f32; 2], f32) {
        let (dx, dy) = (other.center[0] - self.center[0], self.center[1] - other.center[1]);
        let (a, b, c) = (self.a + other.a, self.b + other.b, self.c + other.c);
        ([a * dy * dy + b * dx * dx, c * dx * dy], a * b - c * c)
    }

    fn overlap(&self, other: &Self) -> f32 {
        let ([near, turned], determinant) = self.sums(other);
        let near = near / (determinant + EPSILON) * 0.25;
        let turned = turned / (determinant + EPSILON) * 0.5;
        let volumes = (self.determinant * other.determinant).sqrt();
        let spread = (determinant / (4.0 * volumes + EPSILON) + EPSILON).ln() * 0.5;
        let distance = (near + turned + spread).clamp(EPSILON, 100.0);
        1.0 - (1.0 - (-distance).exp() + EPSILON).sqrt()
    }

    /// Whether the two are surely further apart than `furthest`, without a logarithm: the centres alone are, and the term of the
    /// shapes is not negative.
    #[inline(always)]
    fn is_far(&self, other: &Self, furthest: f32) -> bool {
        let ([near, turned], determinant) = self.sums(other);
        let volumes = (self.determinant * other.determinant).sqrt();
        let apart = near * 0.25 + turned * 0.5 > furthest * (determinant + EPSILON) * 1.001;
        (determinant > 0.0) & (determinant >= 4.0 * volumes + EPSILON) & apart
    }
}

/// Indices by falling score; equal scores (and NaN, last) keep their order.
fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap_or_else(|| scores[*a].is_nan().cmp(&scores[*b].is_nan())));
    order
}

/// Ranks in groups that cannot overlap: the boxes of a group cover one interval of x without a gap. Boxes of different classes
/// that are set apart (ultralytics' class offset) fall into different groups. The ranks of a group rise.
fn groups(sorted: &[[f32; 4]], threshold: f64) -> Vec<Vec<usize>> {
    let all = || vec![(0..sorted.len()).collect()];
    // No overlap is above a threshold below 0, and comparisons with NaN say nothing about gaps.
    if threshold.is_nan() || threshold < 0.0 || sorted.as_flattened().iter().any(|side| side.is_nan()) {
        return all();
    }
    let mut by_start: Vec<usize> = (0..sorted.len()).collect();
    by_start.sort_unstable_by(|a, b| sorted[*a][0].total_cmp(&sorted[*b][0]));
    let mut groups = Vec::<Vec<usize>>::new();
    let mut end = f32::NEG_INFINITY;
    for rank in by_start {
        let [start, _, stop, _] = sorted[rank];
        match groups.last_mut() {
            Some(group) if start < end => group.push(rank),
            _ => groups.push(vec![rank]),
        }
        end = end.max(stop);
    }
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Boxes tested at a time.
const LANES: usize = 16;

/// The boxes of a group that are still to be judged, best first, one column per coordinate: the inner loop runs over plain
/// slices.
struct Survivors {
    ranks: Vec<usize>,
    sides: [Vec<f32>; 4],
    areas: Vec<f32>,
    is_suppressed: Vec<bool>,
}

impl Survivors {
    fn new(sorted: &[[f32; 4]], ranks: Vec<usize>) -> Self {
        let sides = [0, 1, 2, 3].map(|side| ranks.iter().map(|rank| sorted[*rank][side]).collect::<Vec<f32>>());
        let area = |[x1, y1, x2, y2]: [f32; 4]| (x2 - x1) * (y2 - y1);
        let areas = ranks.iter().map(|rank| area(sorted[*rank])).collect();
        let is_suppressed = vec![false; ranks.len()];
        Self { ranks, sides, areas, is_suppressed }
    }

    fn for_each_kept(mut self, threshold: f64, mut keep: impl FnMut(usize)) {
        let threshold = round_down(threshold);
        for i in 0..self.ranks.len() {
            if !self.is_suppressed[i] {
                keep(self.ranks[i]);
                self.suppress_after(i, threshold);
            }
        }
    }

    fn suppress_after(&mut self, i: usize, threshold: f32) {
        let own = [0, 1, 2, 3].map(|side| self.sides[side][i]);
        let own_area = self.areas[i];
        let mut start = i + 1;
        while start < self.ranks.len() {
            let end = (start + LANES).min(self.ranks.len());
            let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| &self.sides[side][start..end]);
            let mut overlaps = [0.0; LANES];
            let others = x1.iter().zip(y1).zip(x2).zip(y2);
            for (overlap, (((x1, y1), x2), y2)) in overlaps.iter_mut().zip(others) {
                *overlap = intersection(own, [*x1, *y1, *x2, *y2]);
            }
            // Most boxes are far apart: the division is for the others. (Not `> 0`: NaN and a threshold below 0 matter.)
            if threshold < 0.0 || overlaps.iter().fold(false, |any, overlap| any | (*overlap != 0.0)) {
                let others = self.areas[start..end].iter().zip(&mut self.is_suppressed[start..end]);
                for (overlap, (area, suppressed)) in overlaps.iter().zip(others) {
                    *suppressed |= overlap / (own_area + area - overlap) > threshold;
                }
            }
            start = end;
        }
    }
}

/// Written as torchvision's comparisons are, so that NaN takes the same way.
#[inline(always)]
fn intersection([x1, y1, x2, y2]: [f32; 4], [other_x1, other_y1, other_x2, other_y2]: [f32; 4]) -> f32 {
    let width = if x2 < other_x2 { x2 } else { other_x2 } - if x1 < other_x1 { other_x1 } else { x1 };
    let height = if y2 < other_y2 { y2 } else { other_y2 } - if y1 < other_y1 { other_y1 } else { y1 };
    (if 0.0 < width { width } else { 0.0 }) * (if 0.0 < height { height } else { 0.0 })
}

/// The largest f32 that is not above the threshold: an f32 is above the one exactly if it is above the other.
fn round_down(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest.next_down() } else { nearest }
}
