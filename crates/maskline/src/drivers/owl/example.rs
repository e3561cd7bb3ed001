//! Which patch of a picture stands for an example on it.

use super::sight::{Sight, query};
use crate::{Error, ErrorKind, Result};

/// Boxes that overlap the example by this share of the best overlap are candidates.
const SHARE_OF_BEST: f32 = 0.8;
/// All of a picture.
const WHOLE: [f32; 4] = [0.0, 0.0, 1.0, 1.0];

/// A patch that was chosen.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Its index.
    pub(super) patch: usize,
    /// What to look for.
    pub(super) query: Vec<f32>,
}

/// The patch that stands for what a box shows (`[x1, y1, x2, y2]` in 0..1 of the input), or for the picture as a whole.
///
/// Without a box it is the reference's choice: in version 2 the patch that is most of an object, in version 1 as with a box around all.
/// With one it is the rule of the original code (`scenic`): of the patches whose boxes fit it best, the one that is least like the
/// picture on average.
///
/// # Errors
/// `BadInput` where no box can be chosen.
pub(super) fn choose(sight: &Sight, bounds: Option<[f32; 4]>) -> Result<Chosen> {
    let patch = match (bounds, sight.objectness()?) {
        (None, Some(objectness)) => first_of(objectness, |best, other| other > best),
        (bounds, _) => least_common(sight, bounds.unwrap_or(WHOLE))?,
    };
    let patch = patch.ok_or_else(|| Error::new(ErrorKind::BadInput, "example: nothing on its picture can stand for it"))?;
    Ok(Chosen { patch, query: query(sight.class(patch)?) })
}

/// The index of the first value that none is better than.
fn first_of(values: &[f32], is_better: impl Fn(f32, f32) -> bool) -> Option<usize> {
    (0..values.len()).reduce(|best, other| if is_better(values[best], values[other]) { other } else { best })
}

/// Of the patches whose boxes fit `bounds` best, the one that is least like the mean of all.
fn least_common(sight: &Sight, bounds: [f32; 4]) -> Result<Option<usize>> {
    let boxes = sight.corners()?;
    let mut fits: Vec<f32> = boxes.iter().map(|other| Overlap::of(bounds, *other).iou()).collect();
    if fits.iter().all(|fit| *fit == 0.0) {
        fits = boxes.iter().map(|other| Overlap::of(bounds, *other).generalised(bounds, *other)).collect();
    }
    let best = fits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let candidates: Vec<usize> = (0..fits.len()).filter(|patch| fits[*patch] >= SHARE_OF_BEST * best).collect();
    let mean = mean(sight)?;
    let likeness = |patch: &usize| Ok(sight.class(*patch)?.iter().zip(&mean).map(|(a, b)| a * b).sum::<f32>());
    let likeness = candidates.iter().map(likeness).collect::<Result<Vec<f32>>>()?;
    Ok(first_of(&likeness, |best, other| other < best).map(|index| candidates[index]))
}

/// What all patches look like on average.
fn mean(sight: &Sight) -> Result<Vec<f32>> {
    let mut sums = vec![0.0_f64; sight.width()];
    for class in sight.classes()?.chunks_exact(sight.width()) {
        sums.iter_mut().zip(class).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = sight.lines().len().max(1) as f64;
    Ok(sums.into_iter().map(|sum| (sum / count) as f32).collect())
}

/// Areas of what two boxes share, and of what they cover together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overlap {
    shared: f32,
    union: f32,
}

impl Overlap {
    pub(super) fn of(a: [f32; 4], b: [f32; 4]) -> Self {
        let area = |[x1, y1, x2, y2]: [f32; 4]| (x2 - x1) * (y2 - y1);
        let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
        let shared = side(0) * side(1);
        Self { shared, union: area(a) + area(b) - shared }
    }

    /// Nothing over nothing is nothing.
    pub(super) fn iou(self) -> f32 {
        let iou = self.shared / self.union;
        if iou.is_finite() { iou } else { 0.0 }
    }

    /// The share that is covered neither by one nor by the other of the box around both counts against it (Rezatofighi et al. 2019).
    fn generalised(self, a: [f32; 4], b: [f32; 4]) -> f32 {
        let side = |low: usize| (a[low + 2].max(b[low + 2]) - a[low].min(b[low])).max(0.0);
        let around = side(0) * side(1);
        self.iou() - (around - self.union) / around
    }
}
