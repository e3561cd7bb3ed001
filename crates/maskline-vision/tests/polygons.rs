//! Outlines of masks, and masks from outlines.
#![allow(clippy::unwrap_used)]

use maskline_vision::mask::{Part, Polygon};
use maskline_vision::{ErrorKind, Mask};
use proptest::prelude::*;

/// A mask from rows of text; everything but `.` is set.
fn drawn(rows: &[&str]) -> Mask {
    let set: Vec<&[u8]> = rows.iter().map(|row| row.as_bytes()).collect();
    Mask::from_fn(set[0].len(), rows.len(), |x, y| set[y][x] != b'.').unwrap()
}

fn filled(mask: &Mask, parts: &[Part]) -> Mask {
    Mask::from_polygons(mask.width(), mask.height(), parts.iter().flat_map(Part::rings)).unwrap()
}

fn signed_area(ring: &Polygon) -> f32 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>() / 2.0
}

#[test]
fn parts_know_their_holes() {
    let mask = drawn(&["#######..", "#.....#.#", "#.###.#..", "#.#.#.#..", "#.###.#..", "#.....#..", "#######.."]);
    let parts = mask.parts(0.0);
    let areas = |part: &Part| part.rings().map(signed_area).collect::<Vec<_>>();
    assert_eq!(parts.iter().map(areas).collect::<Vec<_>>(), [vec![49.0, -25.0], vec![9.0, -1.0], vec![1.0]]);
    assert_eq!(filled(&mask, &parts), mask);
    // Holes are filled, so that the part within one is not an outline of its own.
    assert_eq!(mask.polygons(0.0).iter().map(signed_area).collect::<Vec<_>>(), [49.0, 1.0]);
}

#[test]
fn outlines_are_as_fine_as_a_share_of_their_length() {
    let disc = |radius: f32| {
        let side = 2 * radius as usize + 10;
        let off = |place: usize| place as f32 + 0.5 - side as f32 / 2.0;
        Mask::from_fn(side, side, |x, y| off(x).hypot(off(y)) < radius).unwrap()
    };
    let corners = |radius: f32, share: f32| disc(radius).polygons_by_length(share)[0].len();
    assert_eq!(disc(40.0).polygons_by_length(0.0), disc(40.0).polygons(0.0));
    let counts = [0.0, 0.005, 0.02, 0.1].map(|share| corners(40.0, share));
    assert!(counts.windows(2).all(|pair| pair[0] > pair[1]), "{counts:?}");
    // A circle of length 2πr keeps as many corners at any size, but for the steps of its pixels.
    assert!(corners(40.0, 0.01).abs_diff(corners(200.0, 0.01)) <= 1, "{} {}", corners(40.0, 0.01), corners(200.0, 0.01));
    for outline in disc(40.0).polygons_by_length(0.01) {
        let tolerance = 0.01 * std::f32::consts::TAU * 40.0;
        assert!(outline.iter().all(|[x, y]| ((x - 45.0).hypot(y - 45.0) - 40.0).abs() < tolerance), "{outline:?}");
    }
}

#[test]
fn pixels_that_touch_at_a_corner_are_one_part() {
    let mask = drawn(&["##..", "##..", "..##", "..##"]);
    assert_eq!(mask.parts(0.0).len(), 1);
    // The unset middle is open to the outside at no edge; it is two holes that touch at a corner.
    let ring = drawn(&[".##..", "#.##.", "##.#.", ".###."]);
    let parts = ring.parts(0.0);
    assert_eq!((parts.len(), parts[0].holes.len()), (1, 2));
    assert_eq!(filled(&ring, &parts), ring);
}

#[test]
fn empty_and_full_masks() {
    for (width, height) in [(0, 0), (0, 5), (5, 0), (4, 3)] {
        let empty = Mask::from_fn(width, height, |_, _| false).unwrap();
        assert_eq!(empty.parts(0.0), []);
        assert_eq!(filled(&empty, &[]), empty);
    }
    let full = Mask::from_fn(4, 3, |_, _| true).unwrap();
    assert_eq!(full.parts(1.0), [Part { outer: vec![[4.0, 0.0], [4.0, 3.0], [0.0, 3.0], [0.0, 0.0]], holes: vec![] }]);
    assert_eq!(filled(&full, &full.parts(1.0)), full);
}

#[test]
fn polygons_are_filled_by_pixel_centres() {
    let triangle = vec![[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]];
    let mask = Mask::from_polygons(6, 6, [&triangle]).unwrap();
    // A centre that lies on the slope belongs to what is below it.
    assert_eq!(mask, Mask::from_fn(6, 6, |x, y| x + y < 7).unwrap());
    let far = vec![[-1e30, -1e30], [1e30, -1e30], [1e30, 1e30], [-1e30, 1e30]];
    assert_eq!(Mask::from_polygons(6, 4, [&far]).unwrap().area(), 24);
    assert_eq!(Mask::from_polygons(6, 4, [&far, &far]).unwrap().area(), 0, "even-odd");
    let line = vec![[1.0, 1.0], [5.0, 3.0]];
    assert!(Mask::from_polygons(6, 4, [&line, &Polygon::new()]).unwrap().is_empty());
}

#[test]
fn polygons_that_are_not_finite_are_errors() {
    let broken = vec![[0.0, 0.0], [f32::NAN, 1.0], [1.0, 1.0]];
    let error = Mask::from_polygons(6, 6, [&vec![[0.0, 0.0]], &broken]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("polygon 1"), "{error}");
    assert_eq!(Mask::from_polygons(1 << 17, 1 << 17, []).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn simplified_outlines_stay_close() {
    let disc = Mask::from_fn(400, 300, |x, y| (x as f32 - 200.0).hypot(y as f32 - 150.0) < 120.0).unwrap();
    let exact = disc.parts(0.0);
    let simple = disc.parts(1.0);
    assert!(simple[0].outer.len() * 7 < exact[0].outer.len(), "{} of {}", simple[0].outer.len(), exact[0].outer.len());
    let iou = disc.iou(&filled(&disc, &simple)).unwrap();
    assert!((0.985..1.0).contains(&iou), "{iou}");
}

fn masks() -> impl Strategy<Value = Mask> {
    (1usize..14, 1usize..14).prop_flat_map(|(width, height)| {
        prop::collection::vec(any::<bool>(), width * height)
            .prop_map(move |set| Mask::from_fn(width, height, |x, y| set[y * width + x]).unwrap())
    })
}

/// Labels by flooding: the number of 8-connected parts, and of 4-connected unset areas that do not reach the border.
fn counted(mask: &Mask) -> (usize, usize) {
    let (width, height) = (mask.width() as isize + 2, mask.height() as isize + 2);
    let is_set = |x: isize, y: isize| x > 0 && y > 0 && mask.get(x as usize - 1, y as usize - 1);
    let mut seen = vec![false; (width * height) as usize];
    let mut counts = [0; 2];
    for start in 0..width * height {
        if seen[start as usize] {
            continue;
        }
        let value = is_set(start % width, start / width);
        counts[usize::from(value)] += 1;
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            let (x, y) = (at % width, at / width);
            for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)] {
                let (x, y) = (x + dx, y + dy);
                let reaches = (dx == 0 || dy == 0 || value) && (0..width).contains(&x) && (0..height).contains(&y);
                if reaches && is_set(x, y) == value && !std::mem::replace(&mut seen[(y * width + x) as usize], true) {
                    open.push(y * width + x);
                }
            }
        }
        seen[start as usize] = true;
    }
    (counts[1], counts[0] - 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn exact_outlines_give_the_mask_back(mask in masks()) {
        let parts = mask.parts(0.0);
        prop_assert_eq!(filled(&mask, &parts), mask.clone());
        let holes: usize = parts.iter().map(|part| part.holes.len()).sum();
        prop_assert_eq!((parts.len(), holes), counted(&mask));
        for part in &parts {
            prop_assert!(signed_area(&part.outer) > 0.0 && part.holes.iter().all(|hole| signed_area(hole) < 0.0));
            // A hole alone within its part's outline: filling the outline sets it, filling both does not.
            for hole in &part.holes {
                let outline = Mask::from_polygons(mask.width(), mask.height(), [&part.outer]).unwrap();
                let inside = Mask::from_polygons(mask.width(), mask.height(), [hole]).unwrap();
                let both = Mask::from_polygons(mask.width(), mask.height(), [&part.outer, hole]).unwrap();
                prop_assert_eq!(both.area() + inside.area(), outline.area());
            }
        }
    }

    #[test]
    fn outer_outlines_fill_their_holes(mask in masks()) {
        let outlines = mask.polygons(0.0);
        let filled = Mask::from_polygons(mask.width(), mask.height(), &outlines).unwrap();
        prop_assert_eq!(counted(&filled), (outlines.len(), 0));
        prop_assert!((0..mask.width()).all(|x| (0..mask.height()).all(|y| !mask.get(x, y) || filled.get(x, y))));
    }

    #[test]
    fn rows_come_back(mask in masks()) {
        let rows = mask.to_rows(255);
        prop_assert!(rows.iter().enumerate().all(|(at, &byte)| (byte == 255) == mask.get(at % mask.width(), at / mask.width())));
        prop_assert_eq!(Mask::from_rows(mask.width(), mask.height(), &rows).unwrap(), mask);
    }
}
