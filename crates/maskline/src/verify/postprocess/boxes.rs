//! Suppression (torchvision) and the geometry of everything mode (`segment_anything/utils/amg.py`).

use maskline_vision::grid::{Crop, EDGE_TOLERANCE, OVERLAP_RATIO, crop_boxes, layer_grids, near_crop_edge, point_grid};
use maskline_vision::nms::{batched_nms, nms};
use serde_json::{Value, json};

use super::super::case::{Case, Tensors};
use super::super::compare::{Entry, Pair};
use super::{exact, list, of_facts, of_tensors, text, unknown, whole};
use crate::{Error, ErrorKind, Result};

/// What NumPy's rounding may differ by in a grid.
const GRID_ROUNDING: f64 = 1e-15;
/// The grids whose sizes a case holds: points a side, layers of crops, divisor from layer to layer.
const LAYERS: [usize; 3] = [32, 2, 2];

pub(super) fn suppression(case: &Case) -> Result<Vec<Entry>> {
    let (inputs, outputs) = (case.file("nms_inputs.safetensors")?, case.file("nms_outputs.safetensors")?);
    let mut entries = of_tensors("nms", &outputs, |name| {
        let (call, threshold) = name.split_once(".iou").ok_or_else(|| unknown(name))?;
        let kept = suppressed(&inputs, call, threshold.parse().map_err(|_| unknown(name))?)?;
        let shape = vec![kept.len()];
        Ok(exact(outputs.get(name)?, kept.into_iter().map(|index| index as f32).collect(), shape))
    });
    let facts = |fact: &Value| {
        let (call, threshold) = (text(fact, "name")?, fact["iou"].as_f64().ok_or_else(|| unknown("nms.iou"))?);
        let count = inputs.get(&format!("{call}.scores"))?.data.len();
        let kept = suppressed(&inputs, call, threshold)?.len();
        Ok(json!({ "name": call, "iou": threshold, "n": count, "kept": kept, "batched": is_batched(&inputs, call) }))
    };
    entries.push(of_facts(case, "nms", facts));
    Ok(entries)
}

fn is_batched(inputs: &Tensors, call: &str) -> bool {
    inputs.has(&format!("{call}.idxs"))
}

/// Indices of the boxes that a call keeps.
fn suppressed(inputs: &Tensors, call: &str, threshold: f64) -> Result<Vec<usize>> {
    let (boxes, scores) = (inputs.get(&format!("{call}.boxes"))?, inputs.get(&format!("{call}.scores"))?);
    let boxes = boxes.data.as_chunks::<4>().0;
    let of_each = |what: &str| Error::new(ErrorKind::BadInput, call).expecting(format!("a {what} for each of {} boxes", boxes.len()));
    if boxes.len() != scores.data.len() {
        return Err(of_each("score").but_found(scores.data.len()));
    }
    if !is_batched(inputs, call) {
        return Ok(nms(boxes, &scores.data, threshold));
    }
    let classes: Vec<i64> = inputs.get(&format!("{call}.idxs"))?.data.iter().map(|class| *class as i64).collect();
    if classes.len() != boxes.len() {
        return Err(of_each("class").but_found(classes.len()));
    }
    Ok(batched_nms(boxes, &scores.data, &classes, threshold))
}

/// An entry for each helper of everything mode in `case.json`.
pub(super) fn geometry(case: &Case) -> Vec<Entry> {
    let helpers = case.entry("amg_helpers").as_object().into_iter().flatten();
    let entry = |key: &str, golden: &Value| {
        let found = match key {
            "layers" => layer_sizes(),
            "crops" => crops(golden),
            "near_crop_edge" => edges(golden),
            key => key
                .strip_prefix("grid")
                .and_then(|n| n.parse().ok())
                .and_then(|n| point_grid(n).ok())
                .map(|grid| json!(grid))
                .ok_or_else(|| unknown(key)),
        };
        let pair = found.map(|found| Pair::Facts { golden: golden.clone(), found, tolerance: GRID_ROUNDING });
        Entry::new(format!("amg_helpers.{key}"), pair)
    };
    helpers.map(|(key, golden)| entry(key, golden)).collect()
}

fn layer_sizes() -> Result<Value> {
    let [points, layers, divisor] = LAYERS;
    let sizes = layer_grids(points, layers, divisor)?.iter().map(Vec::len).collect::<Vec<usize>>();
    Ok(json!(sizes))
}

/// `<height>x<width>_n<layers>`: boxes and their layers.
fn crops(golden: &Value) -> Result<Value> {
    let crop = |key: &str| {
        let numbers: Vec<usize> = key.split(['x', '_']).filter_map(|part| part.trim_start_matches('n').parse().ok()).collect();
        let &[height, width, layers] = numbers.as_slice() else { return Err(unknown(key)) };
        let found = crop_boxes([height, width], layers, OVERLAP_RATIO)?;
        let bounds: Vec<[usize; 4]> = found.iter().map(|crop| crop.bounds).collect();
        let layers: Vec<usize> = found.iter().map(|crop| crop.layer).collect();
        Ok((key.to_string(), json!([bounds, layers])))
    };
    golden.as_object().into_iter().flatten().map(|(key, _)| crop(key)).collect()
}

fn edges(golden: &Value) -> Result<Value> {
    let numbers =
        |value: &Value| -> Result<[usize; 4]> { Ok([whole(&value[0])?, whole(&value[1])?, whole(&value[2])?, whole(&value[3])?]) };
    let crop = Crop { bounds: numbers(&golden["crop_box"])?, layer: 1 };
    let [_, _, width, height] = numbers(&golden["orig_box"])?;
    let near = |bounds: &Value| {
        let bounds = numbers(bounds)?.map(|side| side as f32);
        Ok(near_crop_edge(bounds, &crop, [height, width], EDGE_TOLERANCE))
    };
    let mut found = golden.clone();
    found["out"] = json!(list(golden, "boxes")?.iter().map(near).collect::<Result<Vec<bool>>>()?);
    Ok(found)
}
