//! From prompts to masks: chunks of prompts of one token count through a decoder, and what it gives made masks.

use std::sync::Arc;
use std::time::Duration;

use maskline_models::PromptHead;
use maskline_runtime::View as Tensor;
use maskline_vision::mask::{Upsampler, clean};

use super::Embedding;
use super::choice::{Candidates, are_finite, best, single_mask};
use super::decoders::{Decoders, Tokens};
use super::frame::{View, logits_of, token_count};
use crate::drivers::NOT_FINITE;
use crate::drivers::{Call, Question, Take, Tensors, made_here};
use crate::promptable::PromptMask;
use crate::{Error, ErrorKind, Multimask, Prompt, Result, SegmentOptions, Stages};

/// Tokens that go through the decoder together at most: what attention takes of memory grows with them, whoever's they are.
const MOST_TOKENS: usize = 4096;

/// Prompts of one token count, with or without masks.
struct Group {
    points: usize,
    has_masks: bool,
    members: Vec<usize>,
}

/// Hands the answers to a question's valid prompts to `take`, grouped by token count; what the decoders took.
pub(super) fn answer_all(decoders: &Decoders, view: &View, question: &Question<'_>, take: Take<'_>) -> Result<Stages> {
    let head = &decoders.head;
    let mut asking = Asking {
        decoders,
        view,
        tensors: &made_here::<Embedding>(question.picture)?.tensors,
        prompts: question.prompts,
        options: question.options,
        upsampler: Arc::new(view.upsampler(head.mask_side())?),
        call: question.call.clone(),
    };
    let chunk = question.options.chunk.unwrap_or_else(|| decoders.chunk());
    let mut stages = Stages::default();
    for group in groups(question, head) {
        for members in group.members.chunks(chunk.min(MOST_TOKENS / group.points.max(1)).max(1)) {
            let (found, spent) = asking.answer(members)?;
            // Tests slow down a call, not its chunks.
            asking.call.pace = Duration::ZERO;
            stages += spent;
            members.iter().zip(found).try_for_each(|(index, masks)| take(*index, masks))?;
        }
    }
    Ok(stages)
}

/// One question, brought to the decoders.
struct Asking<'a> {
    decoders: &'a Decoders,
    view: &'a View,
    tensors: &'a Tensors,
    prompts: &'a [Prompt],
    options: &'a SegmentOptions,
    upsampler: Arc<Upsampler>,
    call: Call,
}

/// A decoder's outputs for some prompts: logits [P, M, 16 g²], scores [P, M] and in SAM 2 [P, 1].
struct Rows<'a> {
    logits: Tensor<'a, f32>,
    scores: Tensor<'a, f32>,
    presence: Option<Tensor<'a, f32>>,
}

impl Asking<'_> {
    /// One run of the decoder: the masks of some prompts.
    fn answer(&self, members: &[usize]) -> Result<(Vec<Result<Vec<PromptMask>>>, Stages)> {
        let head = &self.decoders.head;
        let mut tokens = Tokens { points: token_count(&self.prompts[members[0]], head), ..Tokens::default() };
        for index in members {
            let prompt = &self.prompts[*index];
            self.view.add_tokens(prompt, head, &mut tokens);
            if let Some(mask) = &prompt.mask {
                self.view.mask_logits(mask, head.mask_side(), tokens.masks.get_or_insert_default());
            }
        }
        let (outputs, spent) = self.tensors.ask(&self.call, |tensors| self.decoders.ask(tensors, tokens.clone(), &self.call))?;
        let rows = Rows {
            logits: outputs.f32(PromptHead::MASKS)?,
            scores: outputs.f32(PromptHead::SCORES)?,
            presence: if head.object_score { Some(outputs.f32(PromptHead::OBJECT)?) } else { None },
        };
        Ok((members.iter().enumerate().map(|(row, index)| self.masks_of(*index, row, &rows)).collect(), spent))
    }

    /// The masks of the prompt of this index, which has this row of the outputs.
    fn masks_of(&self, index: usize, row: usize, rows: &Rows<'_>) -> Result<Vec<PromptMask>> {
        let head = &self.decoders.head;
        let size = 16 * head.grid * head.grid;
        let of_row = |data: &[f32], length: usize| data[row * length..][..length].to_vec();
        let candidates = Candidates {
            logits: &rows.logits.data[row * head.masks * size..][..head.masks * size],
            scores: &of_row(rows.scores.data, head.masks),
        };
        let presence = rows.presence.as_ref().map(|view| view.data[row]);
        let make = |candidate: usize| {
            let (blocked, score) = (&candidates.logits[candidate * size..][..size], candidates.scores[candidate]);
            if !are_finite(blocked) || !score.is_finite() {
                let message = format!("prompt {index}: the network's answer is not finite");
                return Err(Error::new(ErrorKind::BadAnswer, message).with_help(NOT_FINITE));
            }
            let mut logits = logits_of(blocked, head)?;
            // Does nothing where both areas are 0.
            clean(&mut logits, &self.options.cleaning());
            Ok(PromptMask {
                prompt: index,
                candidate,
                score,
                presence,
                logits,
                part: None,
                prompt_limit: head.prompt_logit_limit,
                upsampler: Arc::clone(&self.upsampler),
                threshold: self.options.threshold,
                settled: None,
            })
        };
        wanted(&self.prompts[index], self.options.multimask, head, candidates).into_iter().map(make).collect()
    }
}

/// Indices of the masks that a prompt gets.
fn wanted(prompt: &Prompt, multimask: Multimask, head: &PromptHead, candidates: Candidates<'_>) -> Vec<usize> {
    let is_ambiguous = prompt.bounds.is_none() && prompt.mask.is_none() && prompt.clicks.len() == 1;
    match multimask {
        _ if head.masks == 1 => vec![0],
        Multimask::On => (1..head.masks).collect(),
        Multimask::Auto if is_ambiguous => vec![1 + best(&candidates.scores[1..])],
        Multimask::Auto | Multimask::Off => vec![single_mask(head.single, candidates)],
    }
}

/// Valid prompts by token count, each group in the order of its prompts.
fn groups(question: &Question<'_>, head: &PromptHead) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for index in question.valid {
        let prompt = &question.prompts[*index];
        let (points, has_masks) = (token_count(prompt, head), prompt.mask.is_some());
        match groups.iter_mut().find(|group| (group.points, group.has_masks) == (points, has_masks)) {
            Some(group) => group.members.push(*index),
            None => groups.push(Group { points, has_masks, members: vec![*index] }),
        }
    }
    groups
}
