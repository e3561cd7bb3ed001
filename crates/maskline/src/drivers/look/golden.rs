//! Golden tensors of nano: what the network is shown, and what comes out after the last look.

use std::sync::Arc;

use maskline_vision::look::{Look, PLANES};
use serde_json::Value;

use super::{Looker, Picture};
use crate::drivers::{Call, Driver, Encoded, made_here};
use crate::promptable::Embedding;
use crate::verify::{Case, Check, Computed};
use crate::{Error, ErrorKind, Image, Prompt, Result, SegmentOptions};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["nano"];

pub(super) struct Golden<'c> {
    case: &'c Case,
    looker: Arc<Looker>,
    picture: Image,
    encoded: Encoded,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, looker: Arc<Looker>) -> Result<Self> {
        let picture = Image::open(case.path("picture.png"))?;
        let (encoded, _) = looker.encode(&picture, &Call::default())?;
        Ok(Self { case, looker, picture, encoded })
    }

    fn prompt(&self, name: &str) -> Result<Prompt> {
        let bad = || Error::new(ErrorKind::BadInput, format!("case.json has no prompt `{name}`, or it is broken"));
        let numbers = |value: &Value| -> Option<Vec<f32>> {
            value.as_array().map(|list| list.iter().filter_map(|number| number.as_f64().map(|number| number as f32)).collect())
        };
        let entry = self.case.entry("prompts").get(name).ok_or_else(bad)?;
        let mut prompt = Prompt::default();
        if let Some(sides) = numbers(&entry["box"]) {
            prompt.bounds = Some(<[f32; 4]>::try_from(sides).map_err(|_| bad())?);
        }
        for click in entry["clicks"].as_array().into_iter().flatten() {
            let Some([x, y, kind]) = numbers(click).and_then(|click| <[f32; 3]>::try_from(click).ok()) else { return Err(bad()) };
            prompt = prompt.with_click(x, y, kind > 0.0);
        }
        Ok(prompt)
    }

    fn planes(&self, look: &Look) -> Result<Computed> {
        let optics = self.looker.viewer.optics();
        let mut data = vec![0.0; PLANES * optics.input * optics.input];
        look.planes(&made_here::<Picture>(&self.encoded)?.0, optics, &mut data);
        Ok(Computed { shape: vec![PLANES, optics.input, optics.input], data })
    }
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (call, tensor) = name.split_once('.').ok_or_else(unknown)?;
        let prompt = self.prompt(call)?;
        let (viewer, size) = (&self.looker.viewer, self.picture.size());
        let first = viewer.first_look(&prompt, size);
        match tensor {
            "first_planes" => return self.planes(&first),
            "refined_planes" => {
                let (seen, _) = viewer.look(&made_here::<Picture>(&self.encoded)?.0, &[&first], &Call::default())?;
                let seen = seen.first().ok_or_else(unknown)?;
                return self.planes(&viewer.refined_look(first, &seen.logits, size));
            }
            _ => {}
        }
        let embedding = Embedding::new(self.looker.clone(), self.encoded.clone(), size);
        let answer = embedding.segment(&[prompt], &SegmentOptions::default())?.answers.pop().ok_or_else(unknown)??;
        let answer = answer.first().ok_or_else(unknown)?;
        let side = viewer.optics().output;
        match (tensor, answer.part) {
            ("logits", _) => Ok(Computed { shape: vec![side, side], data: answer.logits.data().to_vec() }),
            ("score", _) => Ok(Computed { shape: vec![1], data: vec![answer.score] }),
            ("part", Some(part)) => Ok(Computed { shape: vec![4], data: part.map(|side| side as f32).to_vec() }),
            _ => Err(unknown()),
        }
    }
}
