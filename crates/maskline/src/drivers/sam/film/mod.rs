//! Golden tensors of videos: every scenario of a case, through the tracker that ships (`official`), or through the rules of Hugging Face's
//! session, which differ (`hugging_face`), on the same networks. `steps` reads what is done in a scenario.

mod hugging_face;
mod official;
mod steps;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use maskline_models::{MemoryHead, Normalise};
use maskline_vision::mask::Logits;

use super::{Features, Sam, Video};
use crate::drivers::{Call, Driver};
use crate::tracker::{Followed, MemoryPrecision};
use crate::verify::{Case, Check, Computed};
use crate::{Error, ErrorKind, Result};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["sam2_video", "sam2_video_official"];

/// The frames of a case, encoded.
pub(super) struct Film<'c> {
    case: &'c Case,
    video: Arc<Video>,
    frames: Vec<Features>,
}

/// What a scenario gave, by the names of the golden tensors without the scenario's own.
pub(super) type Found = HashMap<String, Computed>;

/// All scenarios of a case, by name.
pub(super) struct Golden {
    scenarios: HashMap<String, Found>,
}

impl Golden {
    pub(super) fn of(case: &Case, shipped: &Sam, tapped: Arc<dyn Driver>) -> Result<Self> {
        let tapped: Arc<dyn Any + Send + Sync> = tapped;
        let tapped = tapped.downcast::<Sam>().map_err(|_| Error::new(ErrorKind::Failed, "the tapped model has another driver"))?;
        let film = Film::of(case, shipped.video()?)?;
        let inner = tapped.video()?;
        let (taps, of_memory) = (film.taps(&tapped)?, film.places(&inner)?);
        let mut scenarios = HashMap::new();
        for name in steps::scenarios(case)? {
            let memory = if name.starts_with(steps::FULL) { MemoryPrecision::Full } else { MemoryPrecision::Rounded };
            let steps = steps::of(case, &name)?;
            let mut found = match case.family() {
                "sam2_video" => hugging_face::play(&film, &steps, memory)?,
                _ => official::play(&film, &steps, &official::options(case, &name, memory))?,
            };
            let places: Vec<String> =
                found.keys().filter_map(|name| Some(format!("{}maskmem_pos_enc", name.strip_suffix("maskmem_features")?))).collect();
            found.extend(places.into_iter().map(|name| (name, of_memory.clone())));
            found.extend(taps.clone());
            scenarios.insert(name, found);
        }
        Ok(Self { scenarios })
    }
}

impl Check for Golden {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (scenario, tensor) = name.split_once('.').ok_or_else(unknown)?;
        self.scenarios.get(scenario).and_then(|found| found.get(tensor)).cloned().ok_or_else(unknown)
    }
}

impl<'c> Film<'c> {
    fn of(case: &'c Case, video: Arc<Video>) -> Result<Self> {
        let mut film = Self { case, video, frames: Vec::new() };
        let (size, all) = (film.size()?, film.pictures()?);
        for values in all {
            film.frames.push(film.video.encode_values(values, size, &Call::default())?.0);
        }
        Ok(film)
    }

    /// Width and height of the frames, to which prompts belong.
    fn size(&self) -> Result<(usize, usize)> {
        let side = |index: usize| self.case.entry("config")["vid"][index].as_u64().map(|side| side as usize);
        side(1).zip(side(0)).ok_or_else(|| Error::new(ErrorKind::BadInput, "case.json does not tell the size of its frames (`vid`)"))
    }

    /// The frames as the network takes them: f32 [3, S, S].
    fn pictures(&self) -> Result<Vec<Vec<f32>>> {
        let levels = self.case.input("video.u8")?;
        let side = self.video.side();
        let Normalise { mean, std } = Normalise::IMAGENET;
        let normalised = |(index, level): (usize, &f32)| {
            let channel = index / (side * side);
            (level / 255.0 - mean[channel]) / std[channel]
        };
        if levels.shape.len() != 4 || levels.shape[1..] != [3, side, side] {
            let error = Error::new(ErrorKind::BadInput, "video.u8").expecting(format!("[frames, 3, {side}, {side}]"));
            return Err(error.but_found(format!("{:?}", levels.shape)));
        }
        Ok(levels.data.chunks_exact(3 * side * side).map(|frame| frame.iter().enumerate().map(normalised).collect()).collect())
    }

    /// What the networks give of the first frame and of no object.
    fn taps(&self, tapped: &Sam) -> Result<Found> {
        let mut found = Found::new();
        let Some(picture) = self.pictures()?.into_iter().next() else { return Ok(found) };
        let (outputs, _) = tapped.encoder.run_values(picture, &Call::default())?;
        // Of higher resolution they come with channels first.
        for (name, output) in [("feat.0", "level.0"), ("feat.1", "level.1")] {
            let view = outputs.f32(output)?;
            let (channels, area) = (view.shape[1], view.data.len() / view.shape[1].max(1));
            let data = (0..area).flat_map(|cell| (0..channels).map(move |channel| view.data[channel * area + cell])).collect();
            found.insert(name.into(), Computed { shape: vec![area, 1, channels], data });
        }
        let view = outputs.f32(MemoryHead::FEATURES)?;
        let shape = vec![view.shape[1], 1, view.shape[2]];
        found.insert("feat.2".into(), Computed { shape, data: view.data.to_vec() });
        Ok(found)
    }

    /// Where a memory's cells are, as the memory encoder with its inner tensors tells: [T, 1, M].
    fn places(&self, tapped: &Video) -> Result<Computed> {
        let (side, width) = (self.video.mask_side(), self.video.head.memory_width);
        let empty = Logits::new(vec![0.0; side * side], [side; 2])?;
        let features = self.frames.first().ok_or_else(|| Error::new(ErrorKind::BadInput, "the case has no frame"))?;
        let data = tapped.memory_places(features, &empty)?;
        Ok(Computed { shape: vec![data.len() / width, 1, width], data })
    }
}

/// Whole numbers as a golden tensor of one axis.
fn numbers<N: TryInto<i64>>(numbers: impl IntoIterator<Item = N>) -> Computed {
    let data: Vec<f32> = numbers.into_iter().map(|number| number.try_into().unwrap_or(-1) as f32).collect();
    Computed { shape: vec![data.len()], data }
}

/// Logits [objects, 1, side, side] and scores [objects, 1] of objects on a frame.
fn of_objects(objects: &[Followed], frame: usize, side: usize) -> (Computed, Computed) {
    let outputs: Vec<_> = objects.iter().filter_map(|object| object.latest(frame)).collect();
    let masks = outputs.iter().flat_map(|output| output.logits.iter().flat_map(|logits| logits.data().iter().copied())).collect();
    let scores = outputs.iter().map(|output| output.presence).collect();
    (Computed { shape: vec![outputs.len(), 1, side, side], data: masks }, Computed { shape: vec![outputs.len(), 1], data: scores })
}

/// What is remembered of objects in the end; the official predictor's memories are maps with channels first, [1, M, g, g], the others
/// cells by rows, [T, 1, M].
fn of_state(found: &mut Found, film: &Film<'_>, objects: &[Followed], are_maps: bool) {
    let width = film.video.head.memory_width;
    for (index, object) in objects.iter().enumerate() {
        let mut tell = |name: &str, tensor: Computed| {
            found.insert(format!("obj{}.{name}", object.id), tensor.clone());
            found.insert(format!("o{index}.{name}"), tensor);
        };
        let all: std::collections::BTreeMap<_, _> = object.ordinary.iter().chain(&object.conditioning).collect();
        let pointers: Vec<f32> = all.values().flat_map(|output| output.pointer.iter().copied()).collect();
        tell("pointers", Computed { shape: vec![all.len(), film.video.head.width], data: pointers });
        tell("pointer_frames", numbers(all.keys().map(|frame| **frame)));
        for (frame, output) in all {
            let Some(memory) = &output.memory else { continue };
            let area = memory.len() / width;
            let memory = if are_maps {
                let side = area.isqrt();
                let data = (0..width).flat_map(|channel| (0..area).map(move |cell| memory[cell * width + channel])).collect();
                Computed { shape: vec![1, width, side, side], data }
            } else {
                Computed { shape: vec![area, 1, width], data: memory.to_vec() }
            };
            tell(&format!("frame{frame}.maskmem_features"), memory);
        }
    }
}
