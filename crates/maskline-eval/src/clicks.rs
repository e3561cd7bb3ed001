//! Where a person would click next.

use maskline::vision::mask::largest_region;
use maskline::{Click, Mask, Result};

/// The first click on an object: its deepest pixel ([`Mask::middle`]); `None` for an empty object.
pub fn first_click(object: &Mask) -> Option<Click> {
    object.middle().map(|pixel| click(pixel, true))
}

/// The click that corrects an answer best: on the deepest pixel of its largest error, positive where the object was missed, negative
/// where there is none. `None` where nothing is wrong.
///
/// An error is a connected region (pixels that touch at a corner too) of missed or of wrong pixels; the largest is the one with most
/// pixels. Of equal ones a missed one goes first, then the one whose first pixel by rows comes first.
///
/// # Errors
/// `InvalidOption` when the masks differ in size.
pub fn next_click(answer: &Mask, object: &Mask) -> Result<Option<Click>> {
    let missed = largest_region(&object.difference(answer)?);
    let wrong = largest_region(&answer.difference(object)?);
    let area = |region: &Option<Mask>| region.as_ref().map_or(0, Mask::area);
    let is_positive = area(&missed) >= area(&wrong);
    let region = if is_positive { missed } else { wrong };
    Ok(region.and_then(|region| region.middle()).map(|pixel| click(pixel, is_positive)))
}

/// On the centre of a pixel.
fn click([x, y]: [usize; 2], is_positive: bool) -> Click {
    Click { x: x as f32 + 0.5, y: y as f32 + 0.5, is_positive }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rectangle([x1, y1, x2, y2]: [usize; 4]) -> Mask {
        Mask::from_fn(40, 30, |x, y| (x1..x2).contains(&x) && (y1..y2).contains(&y)).unwrap()
    }

    #[test]
    fn clicks_that_anyone_would_make() {
        let object = rectangle([10, 5, 31, 24]);
        assert_eq!(first_click(&object), Some(Click { x: 19.5, y: 14.5, is_positive: true }));
        let next = |answer: &Mask| next_click(answer, &object).unwrap();
        assert_eq!(next(&rectangle([0, 0, 0, 0])), first_click(&object));
        assert_eq!(next(&object), None);
        // The right part is missed.
        assert_eq!(next(&rectangle([10, 5, 20, 24])), Some(Click { x: 25.5, y: 10.5, is_positive: true }));
        // What is wrong on the right (6 × 19) is more than what is missed on the left (5 × 19).
        assert_eq!(next(&rectangle([15, 5, 37, 24])), Some(Click { x: 33.5, y: 7.5, is_positive: false }));
        // Two missed parts of 3 × 19 count alone, not together, against 4 × 21 wrong pixels below.
        let answer = rectangle([13, 5, 28, 24]).union(&rectangle([10, 25, 31, 29])).unwrap();
        assert!(!next(&answer).unwrap().is_positive);
        // As much wrong as missed: on the object first.
        assert!(next(&rectangle([11, 5, 32, 24])).unwrap().is_positive);
        assert!(next_click(&Mask::from_fn(3, 3, |_, _| true).unwrap(), &object).is_err());
        assert_eq!(first_click(&rectangle([0, 0, 0, 0])), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_next_click_is_on_the_error((width, height, answer, object) in (1..20_usize, 1..20_usize).prop_flat_map(|(width, height)| {
            let pixels = || proptest::collection::vec(0..2_u8, width * height);
            (Just(width), Just(height), pixels(), pixels())
        })) {
            let mask = |rows: &[u8]| Mask::from_rows(width, height, rows).unwrap();
            let (answer, object) = (mask(&answer), mask(&object));
            match next_click(&answer, &object).unwrap() {
                None => prop_assert_eq!(answer, object),
                Some(Click { x, y, is_positive }) => {
                    prop_assert!(x.fract() == 0.5 && y.fract() == 0.5 && x < width as f32 && y < height as f32);
                    let at = |mask: &Mask| mask.get(x as usize, y as usize);
                    prop_assert!(at(&answer) != at(&object));
                    prop_assert_eq!(is_positive, at(&object));
                }
            }
        }
    }
}
