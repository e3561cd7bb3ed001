//! The graphs of a promptable model, run by hand.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::path::Path;

use maskline::runtime::{Input, Job, Lane, LaneOptions, LibraryOptions, ModelSource, SharedTensor, Tensor, load};
use maskline::vision::fit::{Normalise, Target, stretch};
use maskline::{Image, Model};
use maskline_models::{Output, PromptHead};

/// Encoder and decoders.
pub struct Parts {
    pub head: PromptHead,
    input: String,
    side: usize,
    sessions: Vec<(String, Lane)>,
}

/// Prompts as the graphs take them: `points` tokens each.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub points: usize,
    pub coords: Vec<f32>,
    pub kinds: Vec<i64>,
    pub masks: Option<Vec<f32>>,
}

/// What a decoder gives: logits in its own order [P, masks, 16 grid²], scores [P, masks], presence [P].
#[derive(Debug)]
pub struct Answers {
    pub logits: Vec<f32>,
    pub scores: Vec<f32>,
    pub presence: Vec<f32>,
}

impl Parts {
    pub fn of(model: &Model) -> Self {
        let library = load(&LibraryOptions::from_env()).unwrap();
        let open = |file: &Path| Lane::open(&library, ModelSource::File(file), &LaneOptions::default()).unwrap();
        let sessions = model.bundle().parts().map(|(name, file)| (name.to_string(), open(&file))).collect();
        let info = model.info();
        let Output::Promptable(head) = &info.output else { panic!("{} takes no prompts", model.name()) };
        Self { head: head.clone(), input: info.input.clone(), side: info.default_size, sessions }
    }

    fn session(&self, name: &str) -> &Lane {
        &self.sessions.iter().find(|(part, _)| part == name).unwrap().1
    }

    pub fn encode(&self, image: &Image) -> Vec<SharedTensor> {
        let side = self.side;
        let mut values = vec![0.0; 3 * side * side];
        let maskline_models::Normalise { mean, std } = maskline_models::Normalise::IMAGENET;
        let normalise = Normalise { mean, std };
        stretch(image.pixels(), Target { frame: [side; 2], normalise }, &mut values).unwrap();
        let input = Tensor::new([1, 3, side, side], values).unwrap();
        let mut outputs = self.session(PromptHead::ENCODER).run(Job::new([(self.input.as_str(), input)])).unwrap();
        self.head.embedding().iter().map(|name| outputs.take(name).unwrap()).collect()
    }

    pub fn decode(&self, embedding: &[SharedTensor], tokens: &Tokens) -> Answers {
        let Tokens { points, coords, kinds, masks } = tokens.clone();
        let prompts = kinds.len() / points;
        let mut inputs: Vec<(&str, Input)> = vec![
            (PromptHead::COORDS, Tensor::new([prompts, points, 2], coords).unwrap().into()),
            (PromptHead::KINDS, Tensor::new([prompts, points], kinds).unwrap().into()),
        ];
        let name = if masks.is_some() { PromptHead::MASKED_DECODER } else { PromptHead::DECODER };
        let side = self.head.mask_side();
        inputs.extend(masks.map(|masks| (PromptHead::MASK, Tensor::new([prompts, 1, side, side], masks).unwrap().into())));
        let session = self.session(name);
        let wanted = |name: &str| session.inputs().iter().any(|port| port.name == name);
        let embedding = self.head.embedding().iter().zip(embedding).filter(|(name, _)| wanted(name));
        inputs.extend(embedding.map(|(name, tensor)| (*name, tensor.clone().into())));
        let outputs = session.run(Job::new(inputs)).unwrap();
        let values = |name: &str| outputs.f32(name).unwrap().data.to_vec();
        Answers { logits: values(PromptHead::MASKS), scores: values(PromptHead::SCORES), presence: values(PromptHead::OBJECT) }
    }
}
