//! Golden tensors of the promptable families: the encoder's taps, and every prompt call ([`Calls`]).

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use maskline_runtime::{Outputs, Tensor};

use super::calls::Pictures;
use super::{Calls, Embedding, Prompters, Sam};
use crate::drivers::{Call, Driver, Tensors};
use crate::verify::{Case, Check, Computed};
use crate::{Error, ErrorKind, Result};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["sam2_image", "sam2_official", "mobile_sam", "efficientvit_sam", "sam_vit", "sam3_tracker"];

pub(super) struct Golden<'c> {
    /// Outputs of the tapped encoder by picture.
    taps: HashMap<String, Outputs>,
    calls: Calls<'c>,
}

/// The model as it ships, and with its inner tensors, on the pictures of a case.
struct Pair<'a> {
    case: &'a Case,
    shipped: &'a Sam,
    tapped: &'a Sam,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, shipped: &Sam, tapped: Arc<dyn Driver>) -> Result<Self> {
        let tapped: Arc<dyn Any + Send + Sync> = tapped;
        let tapped = tapped.downcast::<Sam>().map_err(|_| Error::new(ErrorKind::Failed, "the tapped model has another driver"))?;
        let pair = Pair { case, shipped, tapped: &tapped };
        let (mut taps, mut pictures) = (HashMap::new(), Pictures::new());
        for call in case.calls() {
            if let Entry::Vacant(place) = pictures.entry(call.image) {
                let (tapped, embeddings) = pair.encode(place.key())?;
                taps.insert(place.key().clone(), tapped);
                place.insert(embeddings);
            }
        }
        let prompters = Prompters { shipped: &shipped.prompter, tapped: &tapped.prompter };
        Ok(Self { taps, calls: Calls::of(case, prompters, &pictures)? })
    }

    /// A tensor of the tapped encoder, by its golden name.
    fn tap(&self, image: &str, tensor: &str) -> Result<Computed> {
        let name = match tensor {
            "image_embeddings.0" | "feats.0" => "level.0",
            "image_embeddings.1" | "feats.1" => "level.1",
            "image_embeddings.2" | "feats.2" => "level.2",
            "image_embeddings" => "embedding",
            "patch_pos" => "patches",
            other => other,
        };
        let view = self.taps[image].f32(name)?;
        Ok(Computed { shape: view.shape, data: view.data.to_vec() })
    }
}

impl Pair<'_> {
    /// The tapped encoder's outputs for a batch, and the shipped one's embedding of each picture.
    fn encode(&self, image: &str) -> Result<(Outputs, Vec<Embedding>)> {
        let name = ["pixel_values", "image"].map(|suffix| format!("{image}.{suffix}")).into_iter().find(|n| self.case.has_input(n));
        let missing = || Error::new(ErrorKind::BadInput, format!("the case has no picture `{image}`"));
        let picture = self.case.input(&name.ok_or_else(missing)?)?;
        let &[_, 3, height, width] = picture.shape.as_slice() else { return Err(missing()) };
        let run = |model: &Sam, values: &[f32]| {
            let pictures = Tensor::new([values.len() / (3 * height * width), 3, height, width], values.to_vec())?;
            Ok::<_, Error>(model.encoder.run(pictures.into(), &Call::default())?.0)
        };
        let taps = run(self.tapped, &picture.data)?;
        let embedding = |values: &[f32]| {
            let tensors = self.shipped.encoder.take(run(self.shipped, values)?)?;
            Ok(self.shipped.prompter.embedding(Tensors::new(tensors)))
        };
        let pictures = picture.data.chunks_exact(3 * height * width).map(embedding).collect::<Result<_>>()?;
        Ok((taps, pictures))
    }
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        if name == "image_pe" || name == "dense_pe" {
            let image = self.taps.keys().next().cloned().unwrap_or_default();
            return self.tap(&image, "positions");
        }
        match name.split_once('.') {
            Some((image, tensor)) if self.taps.contains_key(image) => self.tap(image, tensor),
            _ => self.calls.compute(name),
        }
    }
}
