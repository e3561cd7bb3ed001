//! Golden tensors of the click head, of a model that has the other one too.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use maskline_runtime::Outputs;

use super::Sam3;
use super::golden::Pair;
use crate::drivers::sam::{Calls, Embedding, Prompters};
use crate::drivers::{Call, Driver};
use crate::verify::{Case, Check, Computed};
use crate::{Error, ErrorKind, Result, Stages};

pub(super) struct Golden<'c> {
    /// Outputs of the tapped neck by picture.
    taps: HashMap<String, Outputs>,
    calls: Calls<'c>,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, models: [Arc<dyn Driver>; 2]) -> Result<Self> {
        let Pair { shipped, tapped } = Pair::of(models)?;
        let (mut taps, mut pictures) = (HashMap::new(), HashMap::new());
        for image in case.calls().into_iter().map(|call| call.image) {
            if let Entry::Vacant(new) = pictures.entry(image.clone()) {
                let pixels = case.input(&format!("{image}.pixel_values"))?;
                let (inner, embeddings) = see(&pixels, &shipped, &tapped)?;
                taps.insert(image, inner);
                new.insert(embeddings);
            }
        }
        let mut stages = Stages::default();
        let (shipped, tapped) = (shipped.clicks()?.prompter(&mut stages)?, tapped.clicks()?.prompter(&mut stages)?);
        Ok(Self { taps, calls: Calls::of(case, Prompters { shipped: &shipped, tapped: &tapped }, &pictures)? })
    }
}

/// The tapped neck's outputs for the first picture of a batch, and the shipped one's embedding of each.
fn see(pixels: &Computed, shipped: &Sam3, tapped: &Sam3) -> Result<(Outputs, Vec<Embedding>)> {
    let (mut inner, mut embeddings) = (None, Vec::new());
    let size: usize = pixels.shape[1..].iter().product();
    for picture in pixels.data.chunks_exact(size.max(1)) {
        let (call, mut stages) = (Call::default(), Stages::default());
        let sight = shipped.see(picture.to_vec(), &call)?;
        let tensors = shipped.clicks()?.neck(&sight, &mut stages)?.see(&mut stages, &call)?;
        embeddings.push(shipped.clicks()?.prompter(&mut stages)?.embedding(tensors));
        inner.get_or_insert(tapped.clicks()?.neck(&sight, &mut stages)?.run(&call)?.0);
    }
    Ok((inner.ok_or_else(|| Error::new(ErrorKind::BadInput, "the case has no picture"))?, embeddings))
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let tap = |taps: &Outputs, name: &str| {
            let view = taps.f32(name)?;
            Ok(Computed { shape: view.shape, data: view.data.to_vec() })
        };
        match name.split_once('.') {
            None if name == "image_pe" => self.taps.values().next().map_or_else(|| self.calls.compute(name), |taps| tap(taps, "positions")),
            Some((image, tensor)) if self.taps.contains_key(image) => match tensor.strip_prefix("image_embeddings.") {
                Some(level) => tap(&self.taps[image], &format!("level.{level}")),
                None => tap(&self.taps[image], tensor),
            },
            _ => self.calls.compute(name),
        }
    }
}
