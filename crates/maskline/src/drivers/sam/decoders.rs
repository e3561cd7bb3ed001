//! The lanes that answer prompts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use maskline_models::PromptHead;
use maskline_models::sam::kind;
use maskline_runtime::{Input, Outputs, SharedTensor, Tensor};

use super::chunk::{CHUNKS, Chosen, DEFAULT_CHUNK, ROUNDS, Remembered};
use crate::drivers::parts::LazyLanes;
use crate::drivers::{Call, Lanes, Parts};
use crate::{Result, Stage, Stages};

/// Both decoders of a promptable model; the one for mask prompts is opened when it is first needed.
#[derive(Debug)]
pub(super) struct Decoders {
    pub(super) head: PromptHead,
    plain: Arc<Lanes>,
    masked: LazyLanes,
    /// 0 until it is measured.
    chunk: AtomicUsize,
    /// Whether this process has measured, or found what another one measured to be true.
    is_tuned: AtomicBool,
    /// Where the fastest chunk is remembered.
    chunk_file: PathBuf,
}

/// Prompts of one token count, ready for a decoder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    /// Number of prompts.
    pub(crate) prompts: usize,
    /// Tokens of each prompt.
    pub(crate) points: usize,
    /// x, y of each token in pixels of the prompt square.
    pub(crate) coords: Vec<f32>,
    /// Kind of each token, see [`maskline_models::sam::kind`].
    pub(crate) kinds: Vec<i64>,
    /// Mask logits of each prompt, where they have some.
    pub(crate) masks: Option<Vec<f32>>,
}

impl Tokens {
    /// Of so many objects of which nothing is said: a pad, and the one that follows every prompt.
    pub(super) fn nothing(count: usize) -> Self {
        Self { prompts: count, points: 2, coords: vec![0.0; 4 * count], kinds: vec![kind::PAD; 2 * count], masks: None }
    }

    /// Boxes of about a quarter of the picture.
    fn boxes(count: usize, space: f32) -> Self {
        let bounds = [0.25, 0.25, 0.75, 0.75].map(|share| share * space);
        Self {
            prompts: count,
            points: 2,
            coords: bounds.repeat(count),
            kinds: [kind::TOP_LEFT, kind::BOTTOM_RIGHT].repeat(count),
            masks: None,
        }
    }
}

impl Decoders {
    pub(super) fn open(parts: &Parts, head: PromptHead) -> Result<Self> {
        let plain = parts.open(PromptHead::DECODER)?;
        let chunk_file = parts.beside(&format!("chunk.{}.{}.txt", parts.device(), plain.first().threads().count));
        let remembered = Remembered::read(&chunk_file);
        let decoders = Self {
            head,
            plain,
            masked: LazyLanes::new(parts, PromptHead::MASKED_DECODER),
            chunk: AtomicUsize::new(remembered.map_or(0, |remembered| remembered.chunk)),
            is_tuned: AtomicBool::new(false),
            chunk_file,
        };
        // Of eight callers, four get their answers while the other four make masks of theirs: more together, and all wait for each other.
        decoders.plain.set_max_rows(DEFAULT_CHUNK);
        Ok(decoders)
    }

    /// Shape of one tensor of an embedding, as the decoder takes it.
    pub(super) fn embedding_shape(&self, name: &str) -> Option<Vec<usize>> {
        self.plain.first().inputs().iter().find(|port| port.name == name)?.shape.iter().copied().collect()
    }

    /// Prompts that go through the decoder together: what was measured to be fastest on this machine, else [`DEFAULT_CHUNK`].
    pub(super) fn chunk(&self) -> usize {
        match self.chunk.load(Ordering::Relaxed) {
            0 => DEFAULT_CHUNK,
            chunk => chunk,
        }
    }

    /// Measures which chunk is fastest on this machine, once in this process. What an earlier process remembered is taken if a run with it
    /// does not contradict it; what is measured is remembered if it repeats itself (see [`chunk`](super::chunk)).
    pub(super) fn tune(&self, embedding: &[SharedTensor]) -> Result<()> {
        if self.is_tuned.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let run = |chunk: usize| -> Result<f64> {
            let (_, stages) = self.run(embedding, Tokens::boxes(chunk, self.head.space as f32))?;
            Ok(stages.get(Stage::MaskDecode).as_secs_f64() * 1e3 / chunk as f64)
        };
        if let Some(remembered) = Remembered::read(&self.chunk_file) {
            // The first run of a shape also plans its memory.
            run(remembered.chunk)?;
            if !remembered.is_contradicted(run(remembered.chunk)?) {
                return Ok(());
            }
        }
        CHUNKS.into_iter().try_for_each(|chunk| run(chunk).map(drop))?;
        let mut rounds = [[0.0; CHUNKS.len()]; ROUNDS];
        for round in &mut rounds {
            for (time, chunk) in round.iter_mut().zip(CHUNKS) {
                *time = run(chunk)?;
            }
        }
        let chosen = Chosen::of(&rounds);
        self.chunk.store(chosen.best.chunk, Ordering::Relaxed);
        // The file is that of the wished provider, and the CPU may stand in for it.
        if self.plain.degraded().is_none() {
            chosen.remember(&self.chunk_file);
        }
        Ok(())
    }

    /// Runs the decoder for one picture; `embedding` in the order of [`PromptHead::embedding`].
    pub(super) fn run(&self, embedding: &[SharedTensor], tokens: Tokens) -> Result<(Outputs, Stages)> {
        self.ask(embedding, tokens, &Call::default())
    }

    /// As [`Decoders::run`], for somebody.
    pub(super) fn ask(&self, embedding: &[SharedTensor], tokens: Tokens, call: &Call) -> Result<(Outputs, Stages)> {
        let Tokens { prompts, points, coords, kinds, masks } = tokens;
        let mut inputs: Vec<(&str, Input)> = vec![
            (PromptHead::COORDS, Tensor::new([prompts, points, 2], coords)?.into()),
            (PromptHead::KINDS, Tensor::new([prompts, points], kinds)?.into()),
        ];
        let mut stages = Stages::default();
        let masked = match masks {
            None => None,
            Some(masks) => {
                let side = self.head.mask_side();
                inputs.push((PromptHead::MASK, Tensor::new([prompts, 1, side, side], masks)?.into()));
                Some(self.masked.get(&mut stages)?)
            }
        };
        let lanes = masked.as_deref().unwrap_or(&self.plain);
        for (name, tensor) in self.head.embedding().iter().zip(embedding) {
            // A decoder with masks projects its own cells.
            if lanes.first().inputs().iter().any(|port| port.name == *name) {
                inputs.push((name, tensor.clone().into()));
            }
        }
        let (outputs, spent) = lanes.run(inputs, Stage::MaskDecode, call)?;
        Ok((outputs, stages + spent))
    }
}
