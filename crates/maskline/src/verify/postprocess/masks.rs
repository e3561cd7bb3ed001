//! Low-resolution logits to masks of the picture (SAM 1 and SAM 2), their stability, and small regions.

use maskline_vision::Mask;
use maskline_vision::fit::longest_side_size;
use maskline_vision::mask::{Frame, Logits, Regions, StabilityCut, Upsampler, remove_small_regions};
use serde_json::{Value, json};

use super::super::case::{Case, Tensors};
use super::super::compare::{Entry, Pair};
use super::{Computed, bits, exact, list, mask, of_facts, of_tensors, text, unknown, whole};
use crate::{Error, ErrorKind, Result};

/// What blending in another order may change in a logit.
const ROUNDING: f64 = 1e-5;
/// Pixels whose logit is closer to 0 are counted as near zero, and may have either sign.
const NEAR_ZERO: f32 = 1e-3;
/// Side of SAM 1's square.
const SIDE: usize = 1024;
/// Offsets of the stored stability scores.
const OFFSETS: [f32; 2] = [1.0, 0.5];

/// One picture's logits and sizes.
struct Low {
    logits: Logits,
    /// `[height, width]` of the picture.
    size: [usize; 2],
    /// That, scaled into SAM 1's square.
    kept: [usize; 2],
}

impl Low {
    fn open(case: &Case, inputs: &Tensors, name: &str) -> Result<Self> {
        let fact = list(case.whole(), "upsample")?.iter().find(|fact| fact["name"] == name).ok_or_else(|| unknown(name))?;
        let size = [whole(&fact["original"][0])?, whole(&fact["original"][1])?];
        let stored = inputs.get(&format!("{name}.low_res"))?;
        let &[1, 1, height, width] = stored.shape.as_slice() else {
            let error = Error::new(ErrorKind::BadInput, format!("{name}.low_res")).expecting("[1, 1, height, width]");
            return Err(error.but_found(format!("{:?}", stored.shape)));
        };
        Ok(Self { logits: Logits::new(stored.data, [height, width])?, size, kept: longest_side_size(size, SIDE)? })
    }

    /// The way to the picture of a generation, `sam1` or `sam2`.
    fn upsampler(&self, generation: &str) -> Result<Upsampler> {
        let frame = match generation {
            "sam1" => Frame::Padded { side: SIDE, kept: self.kept },
            "sam2" => Frame::Whole,
            other => return Err(unknown(other)),
        };
        Ok(Upsampler::new(self.logits.size(), &frame, self.size)?)
    }

    fn upsampled(&self, generation: &str) -> Result<Vec<f32>> {
        Ok(self.upsampler(generation)?.upsample(&self.logits)?)
    }

    fn mask(&self, generation: &str) -> Result<Mask> {
        Ok(self.upsampler(generation)?.threshold(&self.logits, 0.0)?)
    }
}

pub(super) fn upsampling(case: &Case) -> Result<Vec<Entry>> {
    let (inputs, outputs) = (case.file("upsample_inputs.safetensors")?, case.file("upsample_outputs.safetensors")?);
    let mut entries = of_tensors("upsample", &outputs, |name| {
        let (low, tensor) = name.split_once('.').ok_or_else(|| unknown(name))?;
        let low = Low::open(case, &inputs, low)?;
        let (golden, shape) = (outputs.get(name)?, vec![1, 1, low.size[0], low.size[1]]);
        if tensor == "stability" {
            let scores = OFFSETS.map(|offset| low.logits.stability(StabilityCut { threshold: 0.0, offset }));
            return Ok(exact(golden, scores.to_vec(), vec![OFFSETS.len()]));
        }
        if let Some(generation) = tensor.strip_suffix("_mask") {
            return Ok(exact(golden, bits(&low.mask(generation)?), shape));
        }
        let found = Computed { shape, data: low.upsampled(tensor)? };
        Ok(Pair::Tensors { golden, found, tolerance: ROUNDING, is_rounded: outputs.is_half(name) })
    });
    let facts = |fact: &Value| {
        let name = text(fact, "name")?;
        let low = Low::open(case, &inputs, name)?;
        let near_zero = low.upsampled("sam2")?.iter().filter(|logit| logit.abs() < NEAR_ZERO).count();
        let (sam1, sam2) = (low.mask("sam1")?.area(), low.mask("sam2")?.area());
        Ok(json!({
            "name": name,
            "original": low.size,
            "sam1_input_size": low.kept,
            "sam1_area": sam1,
            "sam2_area": sam2,
            "near_zero_pixels_sam2": near_zero,
        }))
    };
    entries.push(of_facts(case, "upsample", facts));
    Ok(entries)
}

pub(super) fn regions(case: &Case) -> Result<Vec<Entry>> {
    let (inputs, outputs) = (case.file("regions_inputs.safetensors")?, case.file("regions_outputs.safetensors")?);
    let cleaned = |name: &str, area: u64| {
        let (filled, has_filled) = remove_small_regions(&mask(&inputs, name)?, area, Regions::Holes);
        let (left, has_removed) = remove_small_regions(&filled, area, Regions::Islands);
        Ok::<_, Error>(((filled, has_filled), (left, has_removed)))
    };
    let mut entries = of_tensors("regions", &outputs, |name| {
        let (input, step) = name.split_once('.').ok_or_else(|| unknown(name))?;
        let (step, area) = step.split_at(step.find(|c: char| c.is_ascii_digit()).unwrap_or(step.len()));
        let ((filled, _), (left, _)) = cleaned(input, area.parse().map_err(|_| unknown(name))?)?;
        let found = match step {
            "holes" => filled,
            "holes_then_islands" => left,
            _ => return Err(unknown(name)),
        };
        Ok(exact(outputs.get(name)?, bits(&found), vec![found.height(), found.width()]))
    });
    let facts = |fact: &Value| {
        let (name, area) = (text(fact, "name")?, whole(&fact["area"])? as u64);
        let ((_, has_filled), (left, has_removed)) = cleaned(name, area)?;
        Ok(json!({
            "name": name, "area": area, "changed_holes": has_filled, "changed_islands": has_removed, "area_after": left.area(),
        }))
    };
    entries.push(of_facts(case, "regions", facts));
    Ok(entries)
}
