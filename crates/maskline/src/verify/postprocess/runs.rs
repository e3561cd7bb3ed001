//! Run lengths of pycocotools and of Label Studio.

use maskline_vision::Mask;
use maskline_vision::grid::mask_box;
use maskline_vision::mask::Rle;
use serde_json::{Value, json};

use super::super::case::{Case, Tensors};
use super::super::compare::{Entry, Pair, again};
use super::{list, mask, text, unknown};
use crate::{Error, ErrorKind, Result};

/// What an intersection over union may differ by: the rounding of one division.
const IOU_ROUNDING: f64 = 1e-15;

/// An entry for each mask of `rle.json`, and one for each table of masks with each other.
pub(super) fn coco(case: &Case) -> Result<Vec<Entry>> {
    let (golden, masks) = (case.read_json("rle.json")?, case.file("rle_masks.safetensors")?);
    let rows = list(&golden, "rows")?;
    let mut entries: Vec<Entry> = rows.iter().map(|row| of_row("rle", row, |row| described(&masks, row))).collect();
    let count = json!(masks.names().len());
    entries.push(Entry::new("rle_masks", Ok(Pair::exact(case.entry("rle_masks").clone(), count))));
    let names = golden["iou"]["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tabled = names.map(|name| mask(&masks, name)).collect::<Result<Vec<Mask>>>();
    for (key, value) in golden.as_object().into_iter().flatten().filter(|(key, _)| !["rows", "note"].contains(&key.as_str())) {
        let found = tabled.as_ref().map_err(again).and_then(|masks| if key == "iou" { table(value, masks) } else { merged(key, masks) });
        let pair = found.map(|found| Pair::Facts { golden: value.clone(), found, tolerance: IOU_ROUNDING });
        entries.push(Entry::new(format!("rle.{key}"), pair));
    }
    Ok(entries)
}

/// An entry for each mask of `label_studio.json`.
pub(super) fn label_studio(case: &Case) -> Result<Vec<Entry>> {
    let (golden, masks) = (case.read_json("label_studio.json")?, case.file("rle_masks.safetensors")?);
    let packed = |row: &Value| {
        let mask = mask(&masks, text(row, "name")?)?;
        Ok(json!({ "name": row["name"], "size": [mask.height(), mask.width()], "rle": mask.to_label_studio_rle()? }))
    };
    Ok(list(&golden, "rows")?.iter().map(|row| of_row("label_studio", row, packed)).collect())
}

fn of_row(part: &str, row: &Value, found: impl Fn(&Value) -> Result<Value>) -> Entry {
    let name = row["name"].as_str().unwrap_or("?");
    Entry::new(format!("{part}.{name}"), found(row).map(|found| Pair::exact(row.clone(), found)))
}

/// All that a row of `rle.json` says of a mask.
fn described(masks: &Tensors, row: &Value) -> Result<Value> {
    let name = text(row, "name")?;
    let mask = mask(masks, name)?;
    let rle = mask.to_rle();
    let read = Mask::from_rle(&Rle::from_coco_string(rle.size, text(row, "counts")?)?)?;
    if read != mask {
        return Err(Error::new(ErrorKind::BadAnswer, format!("{name}: its compressed text is read as another mask")));
    }
    let [x1, y1, x2, y2] = mask.bounds().unwrap_or_default();
    Ok(json!({
        "name": name,
        "size": rle.size,
        "counts": rle.to_coco_string(),
        // Long lists are stored in their compressed form only.
        "uncompressed": if row["uncompressed"].is_null() { Value::Null } else { json!(rle.counts) },
        "runs": rle.counts.len(),
        "area": mask.area(),
        "bbox_xywh": [x1, y1, x2 - x1, y2 - y1],
        "amg_box_xyxy": mask_box(&mask),
    }))
}

/// Intersections over unions of masks with each other and, for crowds, over the area of the first.
fn table(golden: &Value, masks: &[Mask]) -> Result<Value> {
    let rows = |cell: &dyn Fn(&Mask, &Mask) -> maskline_vision::Result<f64>| {
        let row = |a: &Mask| masks.iter().map(|b| unlike(cell(a, b), unlike_iou(a, b))).collect::<Result<Vec<f64>>>();
        masks.iter().map(row).collect::<Result<Vec<_>>>()
    };
    let of_crowd = |a: &Mask, b: &Mask| Ok(a.overlap(b)? as f64 / a.area().max(1) as f64);
    Ok(json!({ "names": golden["names"], "iou": rows(&|a, b| a.iou(b))?, "iou_crowd": rows(&of_crowd)? }))
}

/// What pycocotools gives for masks of different sizes: it only looks at the sizes where the boxes overlap.
fn unlike_iou(a: &Mask, b: &Mask) -> f64 {
    let overlap = |a: [usize; 4], b: [usize; 4]| (0..2).all(|i| a[i].max(b[i]) < a[i + 2].min(b[i + 2]));
    if a.bounds().zip(b.bounds()).is_some_and(|(a, b)| overlap(a, b)) { -1.0 } else { 0.0 }
}

/// `merge_union_first<n>` and `merge_intersect_<from>_<to>`: the compressed text of masks of the table merged.
fn merged(key: &str, masks: &[Mask]) -> Result<Value> {
    let numbers: Vec<usize> = key.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    let (range, is_union) = match (numbers.as_slice(), key.contains("union")) {
        (&[end], true) => (0..end, true),
        (&[start, end], false) if key.contains("intersect") => (start..end, false),
        _ => return Err(unknown(key)),
    };
    let [first, rest @ ..] = masks.get(range).ok_or_else(|| unknown(key))? else { return Err(unknown(key)) };
    let merge = |all: Mask, mask: &Mask| if is_union { all.union(mask) } else { all.intersection(mask) };
    let merged = rest.iter().try_fold(first.clone(), merge);
    Ok(json!(unlike(merged.map(|mask| mask.to_rle().to_coco_string()), String::new())?))
}

/// Ours, or what pycocotools gives where it is an error that masks have different sizes.
fn unlike<T>(ours: maskline_vision::Result<T>, theirs: T) -> Result<T> {
    match ours {
        Err(error) if error.kind() == maskline_vision::ErrorKind::InvalidArgument => Ok(theirs),
        other => Ok(other?),
    }
}
