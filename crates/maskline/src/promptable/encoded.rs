//! A picture as an encoder's tensors, and the decoders that answer prompts on it.

use std::sync::Arc;

use maskline_models::PromptHead;
use maskline_runtime::SharedTensor;
use maskline_vision::mask::{Upsampler, clean};

use super::choice::{best, single_mask};
use super::decoders::{Decoders, Tokens};
use super::frame::{View, logits_of, token_count};
use super::prompt::Prompt;
use super::segment::{Multimask, PromptMask, SegmentOptions};
use crate::timings::Work;
use crate::{Error, ErrorKind, Result};

/// Tokens that go through the decoder together at most: what attention takes of memory grows with them, whoever's they are.
const MOST_TOKENS: usize = 4096;

/// An encoded picture.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) tensors: Arc<Vec<SharedTensor>>,
    pub(super) decoders: Arc<Decoders>,
    pub(super) view: View,
}

/// Prompts of one token count, with or without masks.
struct Group {
    key: (usize, bool),
    members: Vec<usize>,
}

impl Encoded {
    /// Hands the answers to the prompts named in `valid` to `take`, grouped by token count; what the decoders took.
    pub(super) fn answer_all(
        &self,
        (prompts, valid): (&[Prompt], &[usize]),
        options: &SegmentOptions,
        mut take: impl FnMut(usize, Result<Vec<PromptMask>>) -> Result<()>,
    ) -> Result<Work> {
        let head = &self.decoders.head;
        let upsampler = Arc::new(self.view.upsampler(head.mask_side())?);
        let chunk = options.chunk.unwrap_or_else(|| self.decoders.chunk());
        let mut work = Work::default();
        for group in groups((prompts, valid), head) {
            let (points, _) = group.key;
            for members in group.members.chunks(chunk.min(MOST_TOKENS / points.max(1)).max(1)) {
                let (found, took) = self.answer((prompts, members), (options, &upsampler))?;
                work += took;
                members.iter().zip(found).try_for_each(|(index, masks)| take(*index, masks))?;
            }
        }
        Ok(work)
    }

    /// One run of the decoder.
    fn answer(
        &self,
        (prompts, members): (&[Prompt], &[usize]),
        (options, upsampler): (&SegmentOptions, &Arc<Upsampler>),
    ) -> Result<(Vec<Result<Vec<PromptMask>>>, Work)> {
        let head = &self.decoders.head;
        let mut tokens = Tokens { points: token_count(&prompts[members[0]], head), ..Tokens::default() };
        for index in members {
            let prompt = &prompts[*index];
            self.view.add_tokens(prompt, (head, &mut tokens));
            if let Some(mask) = &prompt.mask {
                self.view.mask_logits(mask, head.mask_side(), tokens.masks.get_or_insert_default());
            }
        }
        let (outputs, took) = self.decoders.ask(&self.tensors, tokens)?;
        let (logits, scores) = (outputs.f32(PromptHead::MASKS)?, outputs.f32(PromptHead::SCORES)?);
        let presence = if head.object_score { Some(outputs.f32(PromptHead::OBJECT)?) } else { None };
        let size = 16 * head.grid * head.grid;
        let cleaning = options.cleaning();
        let mut found = Vec::with_capacity(members.len());
        for (row, index) in members.iter().enumerate() {
            let logits = &logits.data[row * head.masks * size..][..head.masks * size];
            let scores = &scores.data[row * head.masks..][..head.masks];
            let make = |candidate: usize| {
                let blocked = &logits[candidate * size..][..size];
                // A sum is finite where all its parts are, for logits of any sane magnitude.
                if !blocked.iter().sum::<f32>().is_finite() || !scores[candidate].is_finite() {
                    let message = format!("prompt {index}: the network's answer is not finite");
                    return Err(Error::new(ErrorKind::BadAnswer, message + "\n  help: the weights are damaged or diverged in training"));
                }
                let mut logits = logits_of(blocked, head)?;
                // Does nothing where both areas are 0.
                clean(&mut logits, &cleaning);
                let presence = presence.as_ref().map(|view| view.data[row]);
                let (score, threshold, upsampler) = (scores[candidate], options.threshold, Arc::clone(upsampler));
                Ok(PromptMask { prompt: *index, candidate, score, presence, logits, part: None, upsampler, threshold, settled: None })
            };
            found.push(wanted(&prompts[*index], options.multimask, (head, logits, scores)).into_iter().map(make).collect());
        }
        Ok((found, took))
    }
}

/// Indices of the masks that a prompt gets.
fn wanted(prompt: &Prompt, multimask: Multimask, (head, logits, scores): (&PromptHead, &[f32], &[f32])) -> Vec<usize> {
    let is_ambiguous = prompt.bounds.is_none() && prompt.mask.is_none() && prompt.clicks.len() == 1;
    match multimask {
        _ if head.masks == 1 => vec![0],
        Multimask::On => (1..head.masks).collect(),
        Multimask::Auto if is_ambiguous => vec![1 + best(&scores[1..])],
        Multimask::Auto | Multimask::Off => vec![single_mask(head.single, (logits, scores))],
    }
}

/// Valid prompts by token count, each group in the order of its prompts.
fn groups((prompts, valid): (&[Prompt], &[usize]), head: &PromptHead) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for index in valid {
        let prompt = &prompts[*index];
        let key = (token_count(prompt, head), prompt.mask.is_some());
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.members.push(*index),
            None => groups.push(Group { key, members: vec![*index] }),
        }
    }
    groups
}
