//! Small holes and islands, against OpenCV's labelling and a flood fill.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_vision::Mask;
use maskline_vision::mask::{Cleaning, Logits, Regions, clean, fill_holes, remove_small_regions};
use proptest::prelude::*;
use safetensors::SafeTensors;

fn golden(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(path);
    if !path.exists() {
        maskline_testing::skip(format_args!("{} is missing", path.display()));
        return None;
    }
    Some(path)
}

#[test]
fn masks_of_the_official_code() {
    let Some(folder) = golden("postprocess/all") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (inputs, outputs, case) = (read("regions_inputs.safetensors"), read("regions_outputs.safetensors"), read("case.json"));
    let (inputs, outputs) = (SafeTensors::deserialize(&inputs).unwrap(), SafeTensors::deserialize(&outputs).unwrap());
    let case: serde_json::Value = serde_json::from_slice(&case).unwrap();
    let cases = case["regions"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for facts in cases {
        let (name, area) = (facts["name"].as_str().unwrap(), facts["area"].as_u64().unwrap());
        let input = inputs.tensor(name).unwrap();
        let mask = Mask::from_rows(input.shape()[1], input.shape()[0], input.data()).unwrap();
        let (filled, has_filled) = remove_small_regions(&mask, area, Regions::Holes);
        let (left, has_removed) = remove_small_regions(&filled, area, Regions::Islands);
        assert_eq!(filled.to_rows(1), outputs.tensor(&format!("{name}.holes{area}")).unwrap().data(), "{name} {area}");
        assert_eq!(left.to_rows(1), outputs.tensor(&format!("{name}.holes_then_islands{area}")).unwrap().data(), "{name} {area}");
        assert_eq!(facts["changed_holes"], has_filled, "{name} {area}");
        assert_eq!(facts["changed_islands"], has_removed, "{name} {area}");
        assert_eq!(facts["area_after"], left.area(), "{name} {area}");
    }
}

/// The regions of the chosen pixels, each a list of indices, by a flood fill in the order of the rows.
fn flood([height, width]: [usize; 2], is_chosen: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    let mut seen = vec![false; height * width];
    let mut regions = Vec::new();
    for start in 0..height * width {
        let mut open = if is_chosen(start) && !seen[start] { vec![start] } else { continue };
        seen[start] = true;
        let mut region = Vec::new();
        while let Some(at) = open.pop() {
            region.push(at);
            let (y, x) = (at / width, at % width);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    let next = y * width + x;
                    if is_chosen(next) && !std::mem::replace(&mut seen[next], true) {
                        open.push(next);
                    }
                }
            }
        }
        regions.push(region);
    }
    regions
}

fn pixels() -> impl Strategy<Value = ([usize; 2], Vec<u8>)> {
    let size = [1_usize..24, 1_usize..24];
    (size, 1_u8..20).prop_flat_map(|(size, rarity)| {
        let pixel = (0..rarity).prop_map(|n| u8::from(n > 1));
        (Just(size), proptest::collection::vec(pixel, size[0] * size[1]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn regions_are_those_of_a_flood_fill((size, rows) in pixels(), area in 0_u64..30) {
        let mask = Mask::from_rows(size[1], size[0], &rows).unwrap();
        for (kind, value) in [(Regions::Holes, 0), (Regions::Islands, 1)] {
            let regions = flood(size, |i| rows[i] == value);
            let is_small = |region: &&Vec<usize>| (region.len() as u64) < area;
            let mut expected = rows.clone();
            regions.iter().filter(is_small).flatten().for_each(|i| expected[*i] = 1 - value);
            let any = regions.iter().any(|region| is_small(&region));
            if any && kind == Regions::Islands && regions.iter().all(|region| is_small(&region)) {
                let by_square = |region: &&Vec<usize>| region.iter().map(|i| (i / size[1] / 2, i % size[1] / 2)).min();
                let most = regions.iter().map(Vec::len).max();
                let largest = regions.iter().filter(|region| Some(region.len()) == most).min_by_key(by_square).unwrap();
                largest.iter().for_each(|i| expected[*i] = 1);
            }
            let (found, changed) = remove_small_regions(&mask, area, kind);
            prop_assert_eq!(changed, any);
            prop_assert_eq!(found.to_rows(1), expected);
        }
    }

    #[test]
    fn logits_are_cleaned_region_by_region((size, rows) in pixels(), most in (0_u64..12, 0_u64..12), threshold in -2.0_f32..2.0) {
        // On the threshold counts as below.
        let values = rows.iter().enumerate().map(|(i, set)| threshold + f32::from(*set) * (1.0 + i as f32)).collect();
        let mut logits = Logits::new(values, size).unwrap();
        let mut expected = logits.data().to_vec();
        for (value, most, to) in [(0, most.0, threshold + 10.0), (1, most.1, threshold - 10.0)] {
            let regions = flood(size, |i| rows[i] == value);
            regions.iter().filter(|region| region.len() as u64 <= most).flatten().for_each(|i| expected[*i] = to);
        }
        clean(&mut logits, &Cleaning { threshold, max_hole_area: most.0, max_sprinkle_area: most.1 });
        prop_assert_eq!(logits.data(), &expected[..]);
    }
}

#[test]
fn video_holes_are_filled_a_little_above_zero() {
    let rows = [5.0, 5.0, 5.0, 5.0, 5.0, 0.0, 5.0, -3.0, 5.0, f32::NAN, 5.0, -3.0];
    let mut logits = Logits::new(rows.to_vec(), [3, 4]).unwrap();
    fill_holes(&mut logits, 1);
    assert_eq!(logits.data()[..9], [5.0, 5.0, 5.0, 5.0, 5.0, 0.1, 5.0, -3.0, 5.0]);
    assert!(logits.data()[9].is_nan() && logits.data()[11] == -3.0, "two pixels are no small hole, and NaN is none at all");
    fill_holes(&mut logits, 2);
    assert_eq!((logits.data()[7], logits.data()[11]), (0.1, 0.1));
}

#[test]
fn nothing_small_leaves_the_mask_as_it_is() {
    let mask = Mask::from_fn(9, 7, |x, y| x > 2 && y > 2).unwrap();
    assert_eq!(remove_small_regions(&mask, 24, Regions::Islands), (mask.clone(), false));
    assert_eq!(remove_small_regions(&mask, 25, Regions::Islands), (mask.clone(), true), "the only one is the largest");
    assert_eq!(remove_small_regions(&mask, 39, Regions::Holes), (mask.clone(), false));
    let empty = Mask::from_fn(9, 7, |_, _| false).unwrap();
    assert_eq!(remove_small_regions(&empty, 100, Regions::Islands), (empty.clone(), false));
    assert_eq!(remove_small_regions(&empty, 100, Regions::Holes).0.area(), 63);
}
