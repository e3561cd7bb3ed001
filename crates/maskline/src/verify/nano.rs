//! Golden tensors of nano: what the network is shown, and what comes out after the last look.

use std::path::Path;

use maskline_vision::look::{Look, PLANES};
use serde_json::Value;

use super::Computed;
use super::case::Case;
use crate::promptable::Viewer;
use crate::{BundleOptions, Embedding, Engine, Error, ErrorKind, Image, LoadOptions, Model, Prompt, Result, SegmentOptions};

pub(super) struct Check<'c> {
    case: &'c Case,
    model: Model,
    picture: Image,
    embedding: Embedding,
}

impl<'c> Check<'c> {
    pub(super) fn load(engine: &Engine, case: &'c Case, checkpoint: &Path) -> Result<Self> {
        let bundle = BundleOptions { dialect: case.dialect(), ..BundleOptions::default() };
        let model = engine.load(checkpoint, &LoadOptions { warm_up: false, bundle, ..LoadOptions::default() })?;
        let picture = Image::open(case.path("picture.png"))?;
        let embedding = model.embed(&picture)?;
        Ok(Self { case, model, picture, embedding })
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

    fn planes(&self, look: &Look, viewer: &Viewer) -> Result<Computed> {
        let side = viewer.optics().input;
        let mut data = vec![0.0; PLANES * side * side];
        look.planes((self.embedding.pyramid()?, viewer.optics()), &mut data);
        Ok(Computed { shape: vec![PLANES, side, side], data })
    }
}

impl super::Check for Check<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (call, tensor) = name.split_once('.').ok_or_else(unknown)?;
        let prompt = self.prompt(call)?;
        let (viewer, size) = (self.model.viewer()?, self.picture.size());
        let first = viewer.first_look(&prompt, size);
        match tensor {
            "first_planes" => return self.planes(&first, viewer),
            "refined_planes" => {
                let seen = viewer.see(self.embedding.pyramid()?, &[&first])?;
                let seen = seen.first().ok_or_else(unknown)?;
                return self.planes(&viewer.refined_look(first, &seen.logits, size), viewer);
            }
            _ => {}
        }
        let answer = self.embedding.segment(&[prompt], &SegmentOptions::default())?.answers.pop().ok_or_else(unknown)??;
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
