//! The geometry of everything mode against the official helpers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_vision::grid::{
    Crop, EDGE_TOLERANCE, OVERLAP_RATIO, crop_boxes, layer_grids, mask_box, near_crop_edge, point_grid, uncrop_box, uncrop_mask,
    uncrop_point,
};
use maskline_vision::{ErrorKind, Mask};
use proptest::prelude::*;
use serde_json::{Value, json};

fn helpers() -> Option<Value> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens/postprocess/all/case.json");
    if !path.exists() {
        maskline_testing::skip(format_args!("{} is missing", path.display()));
        return None;
    }
    let case: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Some(case["amg_helpers"].clone())
}

#[test]
fn points_and_crops_of_the_official_code() {
    let Some(helpers) = helpers() else { return };
    for n in [2, 5] {
        assert_eq!(json!(point_grid(n).unwrap()), helpers[format!("grid{n}")]);
    }
    let layers: Vec<usize> = layer_grids(32, 2, 2).unwrap().iter().map(Vec::len).collect();
    assert_eq!(json!(layers), helpers["layers"]);
    let crops = helpers["crops"].as_object().unwrap();
    assert_eq!(crops.len(), 3);
    for (name, expected) in crops {
        let (size, layers) = name.split_once("_n").unwrap();
        let (height, width) = size.split_once('x').unwrap();
        let found = crop_boxes([height.parse().unwrap(), width.parse().unwrap()], layers.parse().unwrap(), OVERLAP_RATIO).unwrap();
        let bounds: Vec<_> = found.iter().map(|crop| crop.bounds).collect();
        let layers: Vec<_> = found.iter().map(|crop| crop.layer).collect();
        assert_eq!(&json!([bounds, layers]), expected, "{name}");
    }
}

#[test]
fn edges_of_the_official_code() {
    let Some(helpers) = helpers() else { return };
    let edges = &helpers["near_crop_edge"];
    let numbers = |value: &Value| [0, 1, 2, 3].map(|i| value[i].as_u64().unwrap() as usize);
    let crop = Crop { bounds: numbers(&edges["crop_box"]), layer: 1 };
    let [_, _, width, height] = numbers(&edges["orig_box"]);
    let boxes = edges["boxes"].as_array().unwrap();
    let near = |bounds: &Value| near_crop_edge(numbers(bounds).map(|side| side as f32), &crop, [height, width], EDGE_TOLERANCE);
    assert_eq!(json!(boxes.iter().map(near).collect::<Vec<bool>>()), edges["out"]);
}

#[test]
fn boxes_near_an_edge_are_looked_for_in_the_picture() {
    let crop = Crop { bounds: [300, 0, 640, 480], layer: 1 };
    let near = |bounds| near_crop_edge(bounds, &crop, [480, 640], EDGE_TOLERANCE);
    assert!(near([20.0, 100.0, 200.0, 200.0]) && !near([20.5, 100.0, 200.0, 200.0]));
    assert!(!near([100.0, 0.0, 340.0, 480.0]), "these are edges of the picture");
    assert_eq!(uncrop_box([1.0, 2.0, 3.5, 4.0], &crop), [301.0, 2.0, 303.5, 4.0]);
    assert_eq!(uncrop_point([1.0, 2.0], &crop), [301.0, 2.0]);
}

#[test]
fn grids_of_one_point_and_none() {
    assert_eq!(point_grid(1).unwrap(), [[0.5, 0.5]]);
    assert!(point_grid(0).unwrap().is_empty());
    let side: Vec<f64> = point_grid(32).unwrap().iter().take(32).map(|[x, _]| *x).collect();
    assert_eq!((side[0], side[31]), (1.0 / 64.0, 63.0 / 64.0));
}

#[test]
fn impossible_crops_are_errors() {
    let mask = Mask::from_fn(4, 3, |_, _| true).unwrap();
    let crop = |bounds| Crop { bounds, layer: 1 };
    let errors = [
        layer_grids(32, 6, 2).unwrap_err(),
        layer_grids(32, 1, 0).unwrap_err(),
        layer_grids(0, 0, 1).unwrap_err(),
        layer_grids(32, 8, usize::MAX).unwrap_err(),
        layer_grids(32, usize::MAX, 1).unwrap_err(),
        crop_boxes([0, 5], 0, 0.3).unwrap_err(),
        crop_boxes([5, usize::MAX], 8, 1.0).unwrap_err(),
        crop_boxes([50, 50], 1, 1.5).unwrap_err(),
        crop_boxes([50, 50], 1, f64::NAN).unwrap_err(),
        crop_boxes([3, 50], 3, 0.3).unwrap_err(),
        crop_boxes([50, 50], 30, 0.3).unwrap_err(),
        uncrop_mask(&mask, &crop([0, 0, 3, 3]), [9, 9]).unwrap_err(),
        uncrop_mask(&mask, &crop([6, 0, 10, 3]), [9, 9]).unwrap_err(),
        uncrop_mask(&mask, &crop([9, 3, 5, 0]), [9, 9]).unwrap_err(),
        mask.placed([usize::MAX, 0], [9, 9]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    assert_eq!(mask.placed([0, 0], [1 << 20, 1 << 20]).unwrap_err().kind(), ErrorKind::TooLarge);
}

proptest! {
    #[test]
    fn masks_come_back_to_their_place(size in [1_usize..20, 1_usize..20], crop in [0_usize..20, 0_usize..20, 1_usize..20, 1_usize..20], seed in any::<u64>()) {
        let [height, width] = size;
        let (x1, y1) = (crop[0] % width, crop[1] % height);
        let crop = Crop { bounds: [x1, y1, (x1 + crop[2]).min(width), (y1 + crop[3]).min(height)], layer: 1 };
        let [x1, y1, x2, y2] = crop.bounds;
        let is_set = |x: usize, y: usize| (seed >> ((x * 7 + y * 3) % 64)) & 1 == 1;
        let mask = Mask::from_fn(x2 - x1, y2 - y1, is_set).unwrap();
        let placed = uncrop_mask(&mask, &crop, size).unwrap();
        let inside = |x: usize, y: usize| (x1..x2).contains(&x) && (y1..y2).contains(&y) && is_set(x - x1, y - y1);
        prop_assert_eq!(&placed, &Mask::from_fn(width, height, inside).unwrap());
        let set: Vec<(usize, usize)> = (0..width).flat_map(|x| (0..height).map(move |y| (x, y))).filter(|(x, y)| inside(*x, *y)).collect();
        let ends = |axis: fn(&(usize, usize)) -> usize| (set.iter().map(axis).min().unwrap_or(0), set.iter().map(axis).max().unwrap_or(0));
        let ((left, right), (top, bottom)) = (ends(|p| p.0), ends(|p| p.1));
        prop_assert_eq!(mask_box(&placed), [left, top, right, bottom]);
    }

    #[test]
    fn crops_cover_the_picture(size in [40_usize..3000, 40_usize..3000], layers in 0_usize..4, ratio in 0.0_f64..0.9) {
        let crops = crop_boxes(size, layers, ratio).unwrap();
        prop_assert_eq!(crops.len(), (0..=layers).map(|layer| 1 << (2 * layer)).sum::<usize>());
        for layer in 0..=layers {
            let own = || crops.iter().filter(move |crop| crop.layer == layer);
            prop_assert!(own().all(|crop| crop.bounds[2] <= size[1] && crop.bounds[3] <= size[0]));
            for point in [[0, 0], [size[1] - 1, size[0] - 1], [size[1] / 2, size[0] / 3]] {
                let holds = |crop: &Crop| (0..2).all(|i| (crop.bounds[i]..crop.bounds[i + 2]).contains(&point[i]));
                prop_assert!(own().any(holds), "{:?}", point);
            }
        }
    }
}
