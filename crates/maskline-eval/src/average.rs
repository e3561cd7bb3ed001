//! Average precision and recall over classes, as COCO's evaluation takes them.
//!
//! Source: `pycocotools/cocoeval.py`, `accumulate` and `summarize`.

use maskline::Result;

use crate::AveragePrecision;
use crate::matching::{Cell, Matches, RANGES, Shape, THRESHOLDS, Verdict, by_falling_score};

/// Recalls at which precision is read: 0, 0.01, … 1.
const RECALLS: usize = 101;
/// Most detections of a class in a picture, for the three recalls.
const LIMITS: [usize; 3] = [1, 10, 100];
/// Index of the threshold 0.75.
const THREE_QUARTERS: usize = 5;

/// Sums over the classes that have objects of a range of areas.
#[derive(Default, Clone, Copy)]
struct Sums {
    /// At every threshold, of the mean precision.
    precision: [f64; THRESHOLDS],
    /// At every limit, of the mean recall over the thresholds.
    recall: [f64; LIMITS.len()],
    classes: usize,
}

/// The figures of classes, each with its pictures by rising id.
pub(crate) fn average<'a>(classes: impl Iterator<Item = &'a [Cell<'a>]>, shape: Shape) -> Result<AveragePrecision> {
    let mut sums = [Sums::default(); RANGES];
    for cells in classes {
        let matches = cells.iter().map(|cell| cell.matches(shape)).collect::<Result<Vec<_>>>()?;
        for (range, sums) in sums.iter_mut().enumerate() {
            sums.add(&matches.iter().map(|ranges| &ranges[range]).collect::<Vec<_>>());
        }
    }
    let [all, small, medium, large] = sums;
    Ok(AveragePrecision {
        ap: all.precision(0..THRESHOLDS),
        ap_50: all.precision(0..1),
        ap_75: all.precision(THREE_QUARTERS..THREE_QUARTERS + 1),
        ap_small: small.precision(0..THRESHOLDS),
        ap_medium: medium.precision(0..THRESHOLDS),
        ap_large: large.precision(0..THRESHOLDS),
        ar_1: all.recall(0),
        ar_10: all.recall(1),
        ar_100: all.recall(2),
        ar_small: small.recall(2),
        ar_medium: medium.recall(2),
        ar_large: large.recall(2),
    })
}

impl Sums {
    /// Adds a class.
    fn add(&mut self, pictures: &[&Matches]) {
        let positives: usize = pictures.iter().map(|matches| matches.positives).sum();
        if positives == 0 {
            return;
        }
        self.classes += 1;
        for (limit, recall) in LIMITS.into_iter().zip(&mut self.recall) {
            let mut ranked: Vec<_> = pictures.iter().flat_map(|matches| matches.verdicts.iter().take(limit)).collect();
            // Stable: of equal scores, those of the first picture go first.
            ranked.sort_by(|a, b| by_falling_score(a.0, b.0));
            for threshold in 0..THRESHOLDS {
                let verdicts = ranked.iter().map(|(_, verdicts)| verdicts[threshold]);
                let curve = Curve::of(verdicts, positives);
                *recall += curve.recall() / THRESHOLDS as f64;
                if limit == LIMITS[2] {
                    self.precision[threshold] += curve.mean_precision();
                }
            }
        }
    }

    /// Mean over classes and thresholds; `None` where no class has objects.
    fn precision(&self, thresholds: std::ops::Range<usize>) -> Option<f64> {
        let count = self.classes * thresholds.len();
        (count > 0).then(|| self.precision[thresholds].iter().sum::<f64>() / count as f64)
    }

    fn recall(&self, limit: usize) -> Option<f64> {
        (self.classes > 0).then(|| self.recall[limit] / self.classes as f64)
    }
}

/// Precision over recall, by falling score. Ignored detections leave it as it is.
struct Curve {
    /// Recall and precision, both as far as each detection.
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn of(verdicts: impl Iterator<Item = Verdict>, positives: usize) -> Self {
        let (mut right, mut wrong) = (0.0, 0.0);
        let points = verdicts.filter(|verdict| *verdict != Verdict::Ignored).map(|verdict| {
            *(if verdict == Verdict::True { &mut right } else { &mut wrong }) += 1.0;
            // The epsilon is pycocotools', against 0 / 0.
            (right / positives as f64, right / (wrong + right + f64::EPSILON))
        });
        Self { points: points.collect() }
    }

    fn recall(&self) -> f64 {
        self.points.last().map_or(0.0, |(recall, _)| *recall)
    }

    /// Mean over 101 recalls of the best precision at that recall or a higher one.
    fn mean_precision(mut self) -> f64 {
        let mut best = 0.0_f64;
        for (_, precision) in self.points.iter_mut().rev() {
            best = best.max(*precision);
            *precision = best;
        }
        let at = |number: usize| {
            let wished = number as f64 * 0.01;
            let place = self.points.partition_point(|(recall, _)| *recall < wished);
            self.points.get(place).map_or(0.0, |(_, precision)| *precision)
        };
        (0..RECALLS).map(at).sum::<f64>() / RECALLS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_the_best_at_any_higher_recall() {
        use Verdict::{False, Ignored, True};
        let mean = |verdicts: &[Verdict]| Curve::of(verdicts.iter().copied(), 4).mean_precision();
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        near(mean(&[True, True, True, True]), 1.0);
        near(mean(&[]), 0.0);
        near(mean(&[False, False]), 0.0);
        // Recall 0.25 at precision 1/2, recall 0.5 at 2/3: the second counts for both; 51 recalls up to 0.5.
        near(mean(&[False, True, True]), 51.0 / 101.0 * 2.0 / 3.0);
        near(mean(&[Ignored, False, Ignored, True, True, Ignored]), 51.0 / 101.0 * 2.0 / 3.0);
        near(Curve::of([True, False, True].into_iter(), 4).recall(), 0.5);
    }
}
