//! The answering half: what an encoder gave of a picture, asked by prompts.

use std::sync::Arc;

use maskline_models::PromptHead;
use maskline_runtime::{SharedTensor, Tensor};

use super::answers::answer_all;
use super::decoders::Decoders;
use super::frame::View;
use crate::drivers::{Call, Encoded, Encoding, Listener, Parts, Prompting, Question, Sweep, Take, Tensors, made_here};
use crate::promptable::{EmbeddingFile, POINTS_TOGETHER, Stored};
use crate::{Multimask, Prompt, Result, SegmentOptions, Stages};

/// An encoded picture: the encoder's outputs, in the order of [`PromptHead::embedding`].
#[derive(Debug)]
pub(in crate::drivers) struct Embedding {
    names: &'static [&'static str],
    pub(super) tensors: Tensors,
}

impl Encoding for Embedding {
    fn bytes(&self) -> usize {
        self.tensors.bytes()
    }

    fn device_bytes(&self) -> usize {
        self.tensors.device_bytes()
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        let tensors = self.tensors.fetched(&Call::default())?;
        Ok(self.names.iter().zip(&*tensors).map(|(name, tensor)| Stored::tensor(name, tensor.clone())).collect())
    }
}

/// The mask decoders of a model, whoever encodes its pictures: all that is asked of it about an [`Embedding`].
#[derive(Debug)]
pub(in crate::drivers) struct Prompter {
    parts: Parts,
    pub(super) head: PromptHead,
    pub(super) decoders: Decoders,
}

impl Prompter {
    /// Opens the decoder of the model; the one for mask prompts is opened when it is first needed.
    pub(in crate::drivers) fn open(parts: &Parts, head: PromptHead) -> Result<Self> {
        let decoders = Decoders::open(parts, head.clone())?;
        Ok(Self { parts: parts.clone(), head, decoders })
    }

    /// How pictures of a model with this head are asked about.
    pub(in crate::drivers) fn prompting(head: &PromptHead) -> Prompting {
        Prompting {
            mask_side: head.mask_side(),
            is_part: false,
            candidates: head.masks.saturating_sub(1).max(1),
            everything: head.everything,
        }
    }

    /// The embedding of what an encoder gave, in the order of [`PromptHead::embedding`].
    pub(in crate::drivers) fn embedding(&self, tensors: Tensors) -> Embedding {
        Embedding { names: self.head.embedding(), tensors }
    }

    /// The embedding of a file.
    pub(in crate::drivers) fn restore(&self, file: &EmbeddingFile) -> Result<Encoded> {
        let names = self.head.embedding();
        let tensor = |name: &&str| {
            let expected = self.decoders.embedding_shape(name).ok_or_else(|| file.bad(format!("the decoder takes no `{name}`")))?;
            let data = file.f32(name, &expected)?;
            Ok(SharedTensor::new(Tensor::new(expected, data)?)?)
        };
        Ok(Arc::new(self.embedding(Tensors::new(names.iter().map(tensor).collect::<Result<_>>()?))))
    }

    /// Finds out how many prompts go through the decoder together, see [`Decoders::tune`].
    pub(in crate::drivers) fn tune(&self, picture: &Encoded) -> Result<()> {
        self.decoders.tune(&made_here::<Embedding>(picture)?.tensors.now())
    }

    /// As [`Driver::segment`](crate::drivers::Driver::segment), of an [`Embedding`].
    pub(in crate::drivers) fn segment(&self, question: &Question<'_>, take: Take<'_>) -> Result<Stages> {
        let view = View::new(question.size, &self.parts.info().preprocess, &self.head)?;
        answer_all(&self.decoders, &view, &Question { call: &question.call.slowed(self.parts.delays().mask_decode), ..*question }, take)
    }

    /// As [`Driver::sweep`](crate::drivers::Driver::sweep), of an [`Embedding`].
    pub(in crate::drivers) fn sweep(&self, sweep: &Sweep<'_>, listener: &mut dyn Listener) -> Result<Stages> {
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
}
