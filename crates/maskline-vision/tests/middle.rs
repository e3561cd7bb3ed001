//! Middles, largest regions and differences of masks, against the plainest way to find them.
#![allow(clippy::unwrap_used)]

use maskline_vision::Mask;
use maskline_vision::mask::largest_region;
use proptest::prelude::*;

/// Depth of every pixel by looking at all pixels in the picture and around it.
fn middle_by_search(mask: &Mask) -> Option<[usize; 2]> {
    let (width, height) = (mask.width() as i64, mask.height() as i64);
    let around = || (-1..=height).flat_map(move |y| (-1..=width).map(move |x| (x, y)));
    let is_set = |x: i64, y: i64| x >= 0 && y >= 0 && mask.get(x as usize, y as usize);
    let unset: Vec<(i64, i64)> = around().filter(|(x, y)| !is_set(*x, *y)).collect();
    let depth = |x: i64, y: i64| unset.iter().map(|(u, v)| (x - u).pow(2) + (y - v).pow(2)).min().unwrap();
    let mut best = None;
    for (x, y) in around().filter(|(x, y)| is_set(*x, *y)) {
        if best.is_none_or(|(most, _)| depth(x, y) > most) {
            best = Some((depth(x, y), [x as usize, y as usize]));
        }
    }
    best.map(|(_, place)| place)
}

/// All regions by flood fill, in the order of their first pixels by rows.
fn regions_by_flood(mask: &Mask) -> Vec<Vec<(usize, usize)>> {
    let mut left: std::collections::BTreeSet<(usize, usize)> =
        (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (y, x))).filter(|(y, x)| mask.get(*x, *y)).collect();
    let mut regions = Vec::new();
    while let Some(first) = left.pop_first() {
        let (mut region, mut open) = (vec![first], vec![first]);
        while let Some((y, x)) = open.pop() {
            for neighbour in (y.saturating_sub(1)..=y + 1).flat_map(|v| (x.saturating_sub(1)..=x + 1).map(move |u| (v, u))) {
                if left.remove(&neighbour) {
                    region.push(neighbour);
                    open.push(neighbour);
                }
            }
        }
        regions.push(region);
    }
    regions
}

/// Masks of noise (many regions), of blocks (deep ones), and full ones.
fn masks() -> impl Strategy<Value = Mask> {
    let noise = |share: u8| move |byte: &u8| *byte < share;
    (1..24_usize, 1..24_usize, prop_oneof![Just(40_u8), Just(128), Just(230), Just(255)], 1..7_usize).prop_flat_map(
        move |(width, height, share, block)| {
            proptest::collection::vec(any::<u8>(), width * height).prop_map(move |bytes| {
                let at = |x: usize, y: usize| noise(share)(&bytes[(y / block * block) * width + x / block * block]);
                Mask::from_fn(width, height, at).unwrap()
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_middle_is_the_first_deepest_pixel(mask in masks()) {
        prop_assert_eq!(mask.middle(), middle_by_search(&mask));
    }

    #[test]
    fn the_largest_region_is_that_of_a_flood_fill(mask in masks()) {
        let regions = regions_by_flood(&mask);
        let most = regions.iter().map(Vec::len).max();
        let largest = regions.into_iter().find(|region| Some(region.len()) == most);
        let expected = largest.map(|region| {
            Mask::from_fn(mask.width(), mask.height(), |x, y| region.contains(&(y, x))).unwrap()
        });
        prop_assert_eq!(largest_region(&mask), expected);
    }

    #[test]
    fn a_difference_is_what_the_other_lacks(mask in masks(), seed in any::<u64>()) {
        let other = Mask::from_fn(mask.width(), mask.height(), |x, y| seed.rotate_left((x * 7 + y * 3) as u32) & 1 == 1).unwrap();
        let expected = Mask::from_fn(mask.width(), mask.height(), |x, y| mask.get(x, y) && !other.get(x, y)).unwrap();
        prop_assert_eq!(mask.difference(&other).unwrap(), expected);
    }
}

#[test]
fn middles_that_anyone_would_name() {
    let square = Mask::from_fn(100, 80, |x, y| (10..21).contains(&x) && (30..41).contains(&y)).unwrap();
    assert_eq!(square.middle(), Some([15, 35]));
    // An even side has two middles; the first by rows is taken.
    assert_eq!(Mask::from_fn(6, 4, |_, _| true).unwrap().middle(), Some([1, 1]));
    let disk = Mask::from_fn(640, 480, |x, y| (x as i64 - 400).pow(2) + (y as i64 - 200).pow(2) <= 150 * 150).unwrap();
    assert_eq!(disk.middle(), Some([400, 200]));
    assert_eq!(Mask::from_fn(5, 5, |_, _| false).unwrap().middle(), None);
    assert_eq!(
        square.difference(&Mask::from_fn(5, 5, |_, _| true).unwrap()).unwrap_err().kind(),
        maskline_vision::ErrorKind::InvalidArgument
    );
}
