//! Answers that need no model: what a mask must be better than.

use maskline::{Mask, Result};

/// All pixels of the box `[x1, y1, x2, y2]`, in a picture of `size` (`[width, height]`).
pub(crate) fn filled_box([x1, y1, x2, y2]: [usize; 4], size: [usize; 2]) -> Result<Mask> {
    Ok(Mask::from_fn(x2 - x1, y2 - y1, |_, _| true)?.placed([x1, y1], size)?)
}

/// The pixels whose centres lie in the ellipse that touches the box's sides from within.
pub(crate) fn filled_ellipse([x1, y1, x2, y2]: [usize; 4], size: [usize; 2]) -> Result<Mask> {
    let (width, height) = (x2 - x1, y2 - y1);
    // In halves of the sides, from -1 to 1.
    let across = |at: usize, side: usize| (2.0 * at as f64 + 1.0) / side as f64 - 1.0;
    let is_inside = |x, y| across(x, width).powi(2) + across(y, height).powi(2) <= 1.0;
    Ok(Mask::from_fn(width, height, is_inside)?.placed([x1, y1], size)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_ellipses_touch_their_sides() {
        let bounds = [7, 3, 37, 93];
        let full = filled_box(bounds, [50, 100]).unwrap();
        let ellipse = filled_ellipse(bounds, [50, 100]).unwrap();
        assert_eq!((full.bounds(), ellipse.bounds()), (Some(bounds), Some(bounds)));
        assert_eq!(full.area(), 30 * 90);
        let share = ellipse.iou(&full).unwrap();
        assert!((share - std::f64::consts::FRAC_PI_4).abs() < 0.005, "{share}");
        assert!(ellipse.get(22, 3) && !ellipse.get(8, 4) && ellipse.get(22, 92) && !ellipse.get(35, 91));
        for side in 1..4 {
            assert_eq!(filled_ellipse([0, 0, side, 1], [9, 9]).unwrap().area(), side as u64);
        }
    }
}
