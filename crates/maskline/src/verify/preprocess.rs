//! Golden network inputs: pictures prepared by the official transforms of each family.
//!
//! A case's pictures are decoded, turned and prepared by the code that ships, and compared where the case sampled them; of the
//! whole input, its shape and statistics are.

use maskline_vision::RgbImage;
use maskline_vision::decode::{DecodeOptions, decode_file, exif_orientation, turn};
use maskline_vision::fit::{Normalise, SquareFilter, Target, longest_side, padded_square, stretch, stretch_levels};
use maskline_vision::letterbox::Letterbox;
use maskline_vision::resize::Resampling;
use serde_json::{Value, json};

use super::Computed;
use super::case::{Case, Tensors};
use super::compare::{Entry, Pair, again};
use crate::{Error, ErrorKind, Result};

/// What sums in another order may change in a normalised value.
const ROUNDING: f64 = 2e-6;
/// The same for the mean, the deviation and the sum of a million of them.
const STATISTICS_ROUNDING: f64 = 1e-6;
/// Pixels of the corner that a case holds completely, a side.
const CORNER: usize = 32;
/// Stride of the rectangular letterbox.
const STRIDE: usize = 32;

/// A network input, f32 [3, height, width].
struct Prepared {
    size: [usize; 2],
    planes: Vec<f32>,
}

pub(super) fn entries(case: &Case) -> Result<Vec<Entry>> {
    let outputs = case.outputs()?;
    let mut entries = Vec::new();
    for (image, facts) in case.entry("images").as_object().into_iter().flatten() {
        let picture = open(case, image, facts);
        entries.push(Entry::new(image, picture.as_ref().map(|picture| of_picture(picture, facts)).map_err(again)));
        for (method, golden) in facts.as_object().into_iter().flatten().filter(|(_, golden)| golden.is_object()) {
            let prepared = picture.as_ref().map_err(again).and_then(|picture| prepare(picture, method, golden));
            entries.extend(of_method(&format!("{image}.{method}"), golden, &prepared, outputs));
        }
    }
    let known: std::collections::HashSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    entries.extend(outputs.names().into_iter().filter(|name| !known.contains(name)).map(Entry::unknown));
    Ok(entries)
}

/// The picture as the case's transforms saw it: a JPEG in the pixels of its own decoder, which the case holds as a PNG.
fn open(case: &Case, image: &str, facts: &Value) -> Result<RgbImage> {
    let nameless = || Error::new(ErrorKind::BadInput, format!("case.json names no file for the picture `{image}`"));
    let file = facts["file"].as_str().ok_or_else(nameless)?;
    let options = DecodeOptions { apply_exif: false, ..DecodeOptions::default() };
    let picture = decode_file(&case.path(facts["decoded_png"].as_str().unwrap_or(file)), &options)?;
    if !image.ends_with("exif_applied") {
        return Ok(picture);
    }
    let path = case.path(file);
    let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
    Ok(turn(picture, exif_orientation(&bytes)?)?)
}

/// Size and sum of the pixels.
fn of_picture(picture: &RgbImage, facts: &Value) -> Pair {
    let golden = json!({ "width": facts["width"], "height": facts["height"], "pixel_sum": facts["pixel_sum"] });
    let sum: u64 = picture.pixels().iter().map(|level| u64::from(*level)).sum();
    Pair::exact(golden, json!({ "width": picture.width(), "height": picture.height(), "pixel_sum": sum }))
}

/// Prepares a picture as a method of the case says; the size of the input is read off the golden one.
fn prepare(picture: &RgbImage, method: &str, golden: &Value) -> Result<Prepared> {
    let side = |axis: usize| golden["shape"][axis].as_u64().filter(|side| (1..=1 << 14).contains(side)).map(|side| side as usize);
    let size = side(1).zip(side(2)).ok_or_else(|| Error::new(ErrorKind::BadInput, format!("{method}: no shape of a network input")))?;
    let size = [size.0, size.1];
    if method.starts_with("yolov8_letterbox") {
        return letterboxed(picture, method, size);
    }
    let [imagenet, clip, signed] =
        [Normalise::IMAGENET, Normalise::CLIP, Normalise::SIGNED].map(|normalise| Target { frame: size, normalise });
    let mut planes = vec![0.0; 3 * size[0] * size[1]];
    let out = planes.as_mut_slice();
    let (name, is_pil) = method.strip_suffix("_pil").map_or((method, false), |name| (name, true));
    match (name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_'), is_pil) {
        ("sam2_official", false) => stretch(picture, imagenet, out)?,
        ("sam2_hf", false) => stretch_levels(picture, imagenet, Resampling::TORCH_BILINEAR, out)?,
        ("sam3_official" | "sam3_hf", false) => stretch_levels(picture, signed, Resampling::TORCH_BILINEAR, out)?,
        ("sam1_longest" | "efficientvit_sam", false) => {
            longest_side(picture, size[0].max(size[1]), imagenet, out)?;
        }
        ("owlvit_hf", false) => stretch_levels(picture, clip, Resampling::TORCH_BICUBIC, out)?,
        ("owlvit_hf", true) => stretch_levels(picture, clip, Resampling::PILLOW_BICUBIC, out)?,
        ("owlv2_hf", false) => padded_square(picture, clip, SquareFilter::Torchvision, out)?,
        ("owlv2_hf", true) => padded_square(picture, clip, SquareFilter::Scipy, out)?,
        _ => return Err(Error::new(ErrorKind::BadInput, format!("no maskline code for this yet: the preprocessing `{method}`"))),
    }
    Ok(Prepared { size, planes })
}

fn letterboxed(picture: &RgbImage, method: &str, [height, width]: [usize; 2]) -> Result<Prepared> {
    let source = picture.size();
    let longest = height.max(width);
    let letterbox = if method.ends_with("_rect") { Letterbox::rect(source, longest, STRIDE)? } else { Letterbox::square(source, longest)? };
    // The letterbox's own answer, which must be the golden one.
    let (width, height) = letterbox.target();
    let mut planes = vec![0.0; 3 * height * width];
    letterbox.to_planar_f32(picture, &mut planes);
    Ok(Prepared { size: [height, width], planes })
}

/// The entries of one picture and method: the facts, and the sampled tensors that the case has.
fn of_method(name: &str, golden: &Value, prepared: &Result<Prepared>, outputs: &Tensors) -> Vec<Entry> {
    let facts = prepared.as_ref().map_err(again).map(|prepared| {
        let mut found = prepared.facts();
        found["step"] = golden["step"].clone();
        Pair::Facts { golden: golden.clone(), found, tolerance: STATISTICS_ROUNDING }
    });
    let mut entries = vec![Entry::new(name, facts)];
    let step = golden["step"].as_u64().unwrap_or(1).max(1) as usize;
    for (part, step, end) in [("sub", step, usize::MAX), ("corner", 1, CORNER)] {
        let name = format!("{name}.{part}");
        if outputs.has(&name) {
            let found = prepared.as_ref().map_err(again).map(|prepared| prepared.sample(step, end));
            let pair = found.and_then(|found| {
                Ok(Pair::Tensors { golden: outputs.get(&name)?, found, tolerance: ROUNDING, is_rounded: outputs.is_half(&name) })
            });
            entries.push(Entry::new(name, pair));
        }
    }
    entries
}

impl Prepared {
    /// Every `step`th row and column before `end`.
    fn sample(&self, step: usize, end: usize) -> Computed {
        let [rows, columns] = self.size.map(|side| (0..side.min(end)).step_by(step));
        let mut data = Vec::with_capacity(3 * rows.len() * columns.len());
        for plane in self.planes.chunks_exact(self.size[0] * self.size[1]) {
            for y in rows.clone() {
                data.extend(columns.clone().map(|x| plane[y * self.size[1] + x]));
            }
        }
        Computed { shape: vec![3, rows.len(), columns.len()], data }
    }

    /// Shape and statistics.
    fn facts(&self) -> Value {
        let values = || self.planes.iter().map(|value| f64::from(*value));
        let count = self.planes.len() as f64;
        let mean = values().sum::<f64>() / count;
        let plane = self.size[0] * self.size[1];
        let means = self.planes.chunks_exact(plane).map(|plane| plane.iter().map(|v| f64::from(*v)).sum::<f64>() / plane.len() as f64);
        json!({
            "shape": [3, self.size[0], self.size[1]],
            "min": values().fold(f64::INFINITY, f64::min),
            "max": values().fold(f64::NEG_INFINITY, f64::max),
            "mean": mean,
            // Of a sample, as PyTorch's.
            "std": (values().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt(),
            "sum_abs": values().map(f64::abs).sum::<f64>(),
            "channel_mean": means.collect::<Vec<f64>>(),
        })
    }
}
