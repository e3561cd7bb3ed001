//! Filters in f32 along one axis.

use crate::mask::Bilinear;

/// Whose filter [`padded_square`](super::padded_square) follows. The two differ at the border of enlarged pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SquareFilter {
    /// torchvision's `gaussian_blur` (3 deviations wide) and `resize` without antialiasing: the border pixel is repeated.
    Torchvision,
    /// SciPy's `gaussian_filter` (4 deviations wide) and `zoom`: the picture is mirrored at the centre of the border pixel.
    Scipy,
}

/// The filters of one axis, all of the same number of taps: what a filter lacks weighs 0.
pub(super) struct Filters {
    pub(super) taps: usize,
    /// First source position of each target position; never falling.
    pub(super) firsts: Vec<usize>,
    weights: Vec<f32>,
}

/// A filter that works along the rows and then down the columns.
pub(super) struct Separable {
    pub(super) columns: Filters,
    pub(super) rows: Filters,
}

/// The first source position of a target position, and the weights from there on.
type Span = (usize, Vec<f32>);

impl Filters {
    /// PyTorch's `interpolate(mode="bilinear", antialias=True)`: triangles as wide as the reduction.
    ///
    /// In f32, as PyTorch computes them: far to the right a weight differs from the exact one in the fourth digit.
    pub(super) fn antialiased(source: usize, target: usize) -> Self {
        let scale = source as f32 / target as f32;
        let support = scale.max(1.0);
        let shrink = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
        let span = |i: usize| {
            let center = scale * (i as f32 + 0.5);
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(source);
            let weight = |x: usize| (1.0 - ((x as f32 - center + 0.5) * shrink).abs()).max(0.0);
            let mut weights: Vec<f32> = (first..end).map(weight).collect();
            let total: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= total);
            (first, weights)
        };
        Self::new(source, (0..target).map(span).collect())
    }

    /// `length` positions followed by zeros up to `square`, which is blurred where it shrinks and then interpolated.
    pub(super) fn padded(filter: SquareFilter, length: usize, square: usize, target: usize) -> Self {
        let blur = filter.blur(square as f64 / target as f64);
        let radius = blur.len() / 2;
        let span = |steps: [(usize, f64); 2]| {
            let first = steps[0].0.min(steps[1].0).saturating_sub(radius);
            let end = (steps[0].0.max(steps[1].0) + radius + 1).min(square);
            let mut weights = vec![0.0; end - first];
            for (position, weight) in steps {
                for (k, share) in blur.iter().enumerate() {
                    weights[mirrored(position + k, radius, square).clamp(first, end - 1) - first] += weight * share;
                }
            }
            // Zeros weigh nothing.
            let kept = length.saturating_sub(first).min(weights.len());
            (first.min(length), weights[..kept].iter().map(|weight| *weight as f32).collect())
        };
        Self::new(length, filter.steps(square, target).into_iter().map(span).collect())
    }

    /// `spans` lie inside `source` positions, and their beginnings never fall.
    fn new(source: usize, spans: Vec<Span>) -> Self {
        let taps = spans.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1).max(1);
        let mut filters = Self { taps, firsts: Vec::with_capacity(spans.len()), weights: vec![0.0; taps * spans.len()] };
        for ((first, own), weights) in spans.into_iter().zip(filters.weights.chunks_exact_mut(taps)) {
            // At the border the taps begin earlier, so that all of them lie in the picture.
            let shifted = first.min(source - taps);
            filters.firsts.push(shifted);
            weights[first - shifted..][..own.len()].copy_from_slice(&own);
        }
        filters
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.firsts.iter().copied().zip(self.weights.chunks_exact(self.taps))
    }
}

impl SquareFilter {
    /// Weights of the blur before a reduction by `factor`, an odd number of them.
    fn blur(self, factor: f64) -> Vec<f64> {
        let deviation = (factor - 1.0) / 2.0;
        if deviation <= 0.0 {
            return vec![1.0];
        }
        let radius = match self {
            Self::Torchvision => (3.0 * deviation).ceil(),
            Self::Scipy => (4.0 * deviation + 0.5).floor(),
        } as usize;
        let raw: Vec<f64> = (0..=2 * radius).map(|k| (-0.5 * ((k as f64 - radius as f64) / deviation).powi(2)).exp()).collect();
        let total: f64 = raw.iter().sum();
        raw.into_iter().map(|weight| weight / total).collect()
    }

    /// The two source positions of each target position and their weights.
    fn steps(self, source: usize, target: usize) -> Vec<[(usize, f64); 2]> {
        let mirrored = |i: usize| {
            let (last, at) = ((source - 1) as f64, (i as f64 + 0.5) * (source as f64 / target as f64) - 0.5);
            let at = if at > last { 2.0 * last - at } else { at }.abs();
            // Of the last two, even where all weight is on the last: positions must not fall.
            let first = (at as usize).min(source.saturating_sub(2));
            let share = if source > 1 { at - first as f64 } else { 0.0 };
            [(first, 1.0 - share), ((first + 1).min(source - 1), share)]
        };
        let repeated = |step: Bilinear| [0, 1].map(|i| (step.positions[i], f64::from(step.weights[i])));
        match self {
            Self::Torchvision => Bilinear::axis(source, target).into_iter().map(repeated).collect(),
            Self::Scipy => (0..target).map(mirrored).collect(),
        }
    }
}

/// `shifted - by`, mirrored at the centres of the first and last of `length` positions as often as needed.
fn mirrored(shifted: usize, by: usize, length: usize) -> usize {
    let period = 2 * (length - 1);
    if period == 0 {
        return 0;
    }
    let at = (shifted + by.div_ceil(period) * period - by) % period;
    at.min(period - at)
}
