//! How much each row and column of a map counts in what is pooled of a box: RoIAlign (He et al. 2017) as exact weights.
//!
//! Each bin is the mean of a grid of bilinear samples, as many a side as the bin is cells long, rounded up. A sample's weight is that of its
//! row times that of its column, and so is a bin's mean.

/// Weights of one axis: f32 `[bins, cells]`, for a box that reaches from `low` to `high` in cells.
///
/// As `torchvision.ops.roi_align` with `aligned=False` and its own choice of the number of samples: samples more than a cell outside count
/// as zeros, those nearer as the border.
pub(super) fn weights(low: f32, high: f32, bins: usize, cells: usize) -> Vec<f32> {
    let length = (high - low).max(1.0);
    let bin = length / bins as f32;
    let samples = bin.ceil().max(1.0) as usize;
    let mut weights = vec![0.0; bins * cells];
    for (index, row) in weights.chunks_exact_mut(cells).enumerate() {
        for sample in 0..samples {
            let at = low + index as f32 * bin + (sample as f32 + 0.5) * bin / samples as f32;
            if at < -1.0 || at > cells as f32 {
                continue;
            }
            let at = at.max(0.0);
            let first = (at as usize).min(cells - 1);
            let share = if first + 1 < cells { at - first as f32 } else { 0.0 };
            row[first] += (1.0 - share) / samples as f32;
            if share > 0.0 {
                row[first + 1] += share / samples as f32;
            }
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::weights;

    #[test]
    fn a_bin_is_the_mean_of_its_samples() {
        // Two bins of two cells each, two samples each: at 1.5 and 2.5, at 3.5 and 4.5.
        let expected = [0.0, 0.25, 0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.25];
        assert_eq!(weights(1.0, 5.0, 2, 6), expected);
    }

    #[test]
    fn what_is_outside_is_the_border_and_then_nothing() {
        // Samples at -2.5, -1.5, -0.5 and 0.5.
        let expected = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.5];
        assert_eq!(weights(-3.0, 1.0, 4, 2), expected);
        // At 1.75, 2.25, 2.75 and 3.25 of two cells.
        assert_eq!(weights(1.5, 3.5, 4, 2), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_box_is_at_least_a_cell_long() {
        assert_eq!(weights(2.0, 2.0, 1, 4), weights(2.0, 3.0, 1, 4));
        assert_eq!(weights(2.0, 3.0, 1, 4), [0.0, 0.0, 0.5, 0.5]);
    }
}
