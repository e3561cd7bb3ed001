//! How sure a mean is.

use crate::choice::Random;

/// The sum of the values of one picture, and how many there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cluster {
    pub(crate) sum: f64,
    pub(crate) count: usize,
}

/// Mean of all values.
pub(crate) fn mean(clusters: &[Cluster]) -> f64 {
    let count: usize = clusters.iter().map(|cluster| cluster.count).sum();
    clusters.iter().map(|cluster| cluster.sum).sum::<f64>() / count as f64
}

/// Share of resampled means below and above the interval.
const TAIL: f64 = 0.025;

/// The 95 % interval of the mean by resampling pictures (a percentile bootstrap over clusters): objects of one picture are alike, so
/// that resampling objects would promise too much. `None` where there are less than two pictures or no resamples.
pub(crate) fn interval(clusters: &[Cluster], resamples: usize, seed: u64) -> Option<[f64; 2]> {
    if clusters.len() < 2 || resamples == 0 {
        return None;
    }
    let mut random = Random::new(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let (mut sum, mut count) = (0.0, 0);
            for _ in 0..clusters.len() {
                let drawn = clusters[random.below(clusters.len())];
                sum += drawn.sum;
                count += drawn.count;
            }
            sum / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some([quantile(&means, TAIL), quantile(&means, 1.0 - TAIL)])
}

/// Between the two nearest of the sorted values, linearly.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clusters(pictures: usize, objects: usize) -> Vec<Cluster> {
        let mut random = Random::new(9);
        (0..pictures).map(|_| Cluster { sum: random.below(1000) as f64 / 1000.0 * objects as f64, count: objects }).collect()
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|share| quantile(&[1.0, 2.0, 4.0], share)), [1.0, 1.5, 2.0, 4.0]);
        assert_eq!(quantile(&[3.0], 0.3), 3.0);
    }

    #[test]
    fn the_interval_is_that_of_the_normal_distribution() {
        // Means of 400 uniform numbers deviate by 1 / √12 / 20 = 0.01443; 1.96 times that on both sides.
        let many = clusters(400, 1);
        let [low, high] = interval(&many, 2000, 5).unwrap();
        assert!((high - low - 2.0 * 1.96 * 0.014_43).abs() < 0.006, "{low} {high}");
        assert!(low < mean(&many) && mean(&many) < high);
        assert_eq!(interval(&many, 2000, 5), Some([low, high]));
        assert_ne!(interval(&many, 2000, 6), Some([low, high]));
    }

    #[test]
    fn many_objects_of_a_picture_are_one_piece_of_evidence() {
        let width = |pictures, objects| interval(&clusters(pictures, objects), 2000, 5).map(|[low, high]| high - low).unwrap();
        assert!((width(50, 1) - width(50, 30)).abs() < 1e-12);
        assert!(width(50, 1) > 2.0 * width(400, 1));
    }

    #[test]
    fn one_picture_says_nothing_about_others() {
        assert_eq!(interval(&clusters(1, 9), 2000, 5), None);
        assert_eq!(interval(&clusters(9, 1), 0, 5), None);
    }
}
