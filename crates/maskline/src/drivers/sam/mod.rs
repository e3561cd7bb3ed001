//! Segment Anything and its kin (SAM 1, MobileSAM, EfficientViT-SAM, SAM 2 on pictures): an encoder's tensors, read by mask decoders.
//!
//! `frame` brings pictures and prompts to the network's square, `decoders` are the lanes that answer, in chunks that `chunk` chooses,
//! `answers` makes masks of what they give (`choice` picks one of a prompt's), `golden` and `upscale` check all that.

mod answers;
mod choice;
mod chunk;
mod decoders;
mod frame;
mod golden;
mod upscale;

use std::sync::Arc;

use maskline_models::PromptHead;
use maskline_runtime::{Lane, Outputs, SharedTensor, Tensor};

use self::answers::answer_all;
use self::decoders::Decoders;
pub(super) use self::golden::CASES;
use super::{
    Call, Driver, Encoded, Encoding, Inquiry, Lanes, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take, made_here,
};
use crate::delays::sleep;
use crate::promptable::{EmbeddingFile, POINTS_TOGETHER, Stored};
use crate::stages::Clock;
use crate::verify::{AtSize, Case, Check};
use crate::{Detections, Image, Multimask, Object, Prompt, Result, SegmentOptions, Stage, Stages, WordOptions, limits};

/// An image encoder and its mask decoders.
#[derive(Debug)]
pub(super) struct Sam {
    parts: Parts,
    head: PromptHead,
    encoder: Lanes,
    decoders: Decoders,
}

/// An encoded picture: the encoder's outputs, in the order of [`PromptHead::embedding`].
#[derive(Debug)]
struct Embedding {
    names: &'static [&'static str],
    tensors: Vec<SharedTensor>,
}

impl Encoding for Embedding {
    fn bytes(&self) -> usize {
        self.tensors.iter().map(SharedTensor::bytes).sum()
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        let mut stored = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
            let view = tensor.view::<f32>()?;
            stored.push(Stored::f32(name, view.shape, view.data));
        }
        Ok(stored)
    }
}

impl Sam {
    pub(super) fn open(parts: Parts, head: PromptHead) -> Result<Self> {
        let encoder = parts.open(PromptHead::ENCODER)?;
        let decoders = Decoders::open(&parts, head.clone())?;
        Ok(Self { parts, head, encoder, decoders })
    }

    /// Side of the encoder's square input.
    fn side(&self) -> usize {
        self.parts.info().default_size
    }

    /// Runs the encoder on pictures f32 [batch, 3, height, width], of which `shape` is [batch, height, width].
    fn run(&self, values: Vec<f32>, [batch, height, width]: [usize; 3], call: &Call) -> Result<(Outputs, Stages)> {
        let values = Tensor::new([batch, 3, height, width], values)?;
        self.encoder.run(vec![(self.parts.info().input.as_str(), values)], Stage::ImageEncode, call)
    }

    /// The embedding among the encoder's outputs.
    fn embedding(&self, outputs: &mut Outputs) -> Result<Embedding> {
        let names = self.head.embedding();
        Ok(Embedding { names, tensors: names.iter().map(|name| Ok(outputs.take(name)?)).collect::<Result<_>>()? })
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.parts.info())
    }
}

impl Driver for Sam {
    fn lanes(&self) -> Vec<&Lane> {
        self.encoder.iter().chain(self.decoders.plain().iter()).collect()
    }

    fn warm_up(&self) -> Result<()> {
        let side = self.side();
        let empty = vec![0.0; limits::input_length([1, side, side])?];
        let (mut outputs, _) = self.run(empty, [1, side, side], &Call::default())?;
        self.decoders.tune(&self.embedding(&mut outputs)?.tensors)
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        Err(self.refusal().detection())
    }

    fn prompting(&self) -> Result<Prompting> {
        Ok(Prompting {
            mask_side: self.head.mask_side(),
            is_part: false,
            candidates: self.head.masks.saturating_sub(1).max(1),
            everything: self.head.everything,
        })
    }

    fn encode(&self, image: &Image, call: &Call) -> Result<(Encoded, Stages)> {
        let (mut clock, mut stages, side) = (Clock::start(), Stages::default(), self.side());
        let values = frame::fit(image.pixels(), side, &self.parts.info().preprocess)?;
        sleep(self.parts.delays().preprocess);
        stages.spend(Stage::Preprocess, clock.lap());
        let (mut outputs, spent) = self.run(values, [1, side, side], &call.slowed(self.parts.delays().network))?;
        Ok((Arc::new(self.embedding(&mut outputs)?), stages + spent))
    }

    fn restore(&self, file: &EmbeddingFile) -> Result<Encoded> {
        let names = self.head.embedding();
        let tensor = |name: &&str| {
            let expected = self.decoders.embedding_shape(name).ok_or_else(|| file.bad(format!("the decoder takes no `{name}`")))?;
            let data = file.f32(name, &expected)?;
            Ok(SharedTensor::new(Tensor::new(expected, data)?)?)
        };
        Ok(Arc::new(Embedding { names, tensors: names.iter().map(tensor).collect::<Result<_>>()? }))
    }

    fn tune(&self, picture: &Encoded) -> Result<()> {
        self.decoders.tune(&made_here::<Embedding>(picture)?.tensors)
    }

    fn segment(&self, question: &Question<'_>, take: Take<'_>) -> Result<Stages> {
        let view = frame::View::new(question.size, &self.parts.info().preprocess, &self.head)?;
        answer_all(&self.decoders, &view, &Question { call: &question.call.slowed(self.parts.delays().mask_decode), ..*question }, take)
    }

    fn sweep(&self, sweep: &Sweep<'_>, listener: &mut dyn Listener) -> Result<Stages> {
        let Sweep { picture, size, call, .. } = *sweep;
        let multimask = if sweep.options.multimask_output { Multimask::On } else { Multimask::Off };
        let options = SegmentOptions { multimask, ..sweep.options.asking() };
        let mut stages = Stages::default();
        for (index, points) in sweep.points.chunks(POINTS_TOGETHER).enumerate() {
            let prompts: Vec<Prompt> = points.iter().map(|[x, y]| Prompt::click(*x, *y)).collect();
            let valid: Vec<usize> = (0..prompts.len()).collect();
            let mut answers: Vec<_> = prompts.iter().map(|_| Vec::new()).collect();
            let question = Question { picture, size, prompts: &prompts, valid: &valid, options: &options, call };
            stages += self.segment(&question, &mut |at, masks| {
                answers[at] = masks?;
                Ok(())
            })?;
            let first = index * POINTS_TOGETHER;
            let mut masks = answers.concat();
            masks.iter_mut().for_each(|mask| mask.prompt += first);
            listener.masks(masks)?;
            listener.progress(first + points.len())?;
        }
        Ok(stages)
    }

    fn read(&self, _: &[&str], _: &WordOptions, _: &Call) -> Result<(Vec<Encoded>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn find(&self, _: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn golden<'c>(self: Arc<Self>, case: &'c Case, tapped: Arc<dyn Driver>, _: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        Ok(Box::new(golden::Golden::of(case, &self, tapped)?))
    }
}
