//! Golden tensors of prompt calls: every call of a case through the decoders that ship, whoever encoded its pictures.
//!
//! Calls are fed to the decoders as the implementation that made them orders and pads its tokens; the order changes nothing but
//! the tensor `sparse`.

use std::collections::HashMap;

use maskline_models::sam::{kind, unblock};
use maskline_models::{PromptHead, SingleMask};
use maskline_runtime::Outputs;

use super::choice::{Candidates, single_mask, stability};
use super::decoders::Tokens;
use super::prompter::{Embedding, Prompter};
use super::upscale::Frame;
use crate::verify::{Case, CaseCall, Check, Computed};
use crate::{Error, ErrorKind, Result};

/// Pictures of a case by their names; each has one embedding for every entry of its batch.
pub(in crate::drivers) type Pictures = HashMap<String, Vec<Embedding>>;

/// What answers, as it ships and with its inner tensors.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers) struct Prompters<'a> {
    pub(in crate::drivers) shipped: &'a Prompter,
    pub(in crate::drivers) tapped: &'a Prompter,
}

/// The answers to the calls of a case.
pub(in crate::drivers) struct Calls<'c> {
    case: &'c Case,
    head: PromptHead,
    /// By call, one entry per picture of the call's batch.
    calls: HashMap<String, (CaseCall, Vec<Answer>)>,
}

/// What the shipped decoder, and the tapped one, gave for the prompts of one picture.
struct Answer {
    shipped: Outputs,
    tapped: Outputs,
}

impl<'c> Calls<'c> {
    /// Runs all calls of a case; their pictures were encoded by the model that ships.
    pub(in crate::drivers) fn of(case: &'c Case, prompters: Prompters<'_>, pictures: &Pictures) -> Result<Self> {
        let mut answered = Self { case, head: prompters.shipped.head.clone(), calls: HashMap::new() };
        for call in case.calls() {
            let missing = || Error::new(ErrorKind::BadInput, format!("the case has no picture `{}`", call.image));
            let embeddings = pictures.get(&call.image).ok_or_else(missing)?;
            let prompts = answered.tokens(&call, embeddings.len())?;
            let mut answers = Vec::new();
            for (embedding, tokens) in embeddings.iter().zip(prompts) {
                let tensors = embedding.tensors.now();
                let (tapped, _) = prompters.tapped.decoders.run(&tensors, tokens.clone())?;
                let (shipped, _) = prompters.shipped.decoders.run(&tensors, tokens)?;
                answers.push(Answer { shipped, tapped });
            }
            answered.calls.insert(call.name.clone(), (call, answers));
        }
        Ok(answered)
    }

    /// The tokens of a call, per picture of its batch.
    fn tokens(&self, call: &CaseCall, batch: usize) -> Result<Vec<Tokens>> {
        let input = |names: &[&str]| {
            let full = names.iter().map(|name| format!("{}.{name}", call.name)).find(|name| self.case.has_input(name));
            full.map(|name| self.case.input(&name)).transpose()
        };
        let points = input(&["input_points", "point_coords"])?;
        let labels = input(&["input_labels", "point_labels"])?;
        let boxes = input(&["input_boxes", "boxes"])?;
        let masks = input(&["input_masks", "mask_input", "mask_inputs"])?;
        let first = [&points, &boxes, &masks].into_iter().flatten().next();
        // Hugging Face's tensors lead with the pictures of the batch, the others hold one picture's prompts.
        let family = self.case.family();
        let prompts = match (first, family) {
            (None, _) => 1,
            (Some(_), "sam2_image" | "sam3_tracker" | "sam_vit") if points.is_none() && boxes.is_none() => 1,
            (Some(tensor), "sam2_image" | "sam3_tracker") => tensor.shape[1],
            (Some(tensor), "sam_vit") if tensor.shape.len() > 3 || (tensor.shape.len() == 3 && points.is_none()) => tensor.shape[1],
            (Some(tensor), _) => tensor.shape[0],
        };
        let per_prompt = |tensor: &Option<Computed>, width: usize| tensor.as_ref().map_or(0, |t| t.data.len() / (batch * prompts * width));
        let (clicks, corners) = (per_prompt(&points, 2), 2 * per_prompt(&boxes, 4));
        let mask_size = self.head.mask_side() * self.head.mask_side();
        let part = |tensor: &Option<Computed>, at: usize, size: usize| {
            tensor.as_ref().map(|t| t.data[at * size..(at + 1) * size].to_vec()).unwrap_or_default()
        };
        let mut pictures = Vec::with_capacity(batch);
        for picture in 0..batch {
            let mut tokens = Tokens { prompts, ..Tokens::default() };
            for prompt in 0..prompts {
                let at = picture * prompts + prompt;
                let clicked = part(&points, at, 2 * clicks).into_iter().collect::<Vec<_>>();
                let clicked = clicked.chunks_exact(2).zip(part(&labels, at, clicks)).map(|(xy, label)| (xy[0], xy[1], click_kind(label)));
                let boxed = part(&boxes, at, 2 * corners);
                let kinds = [kind::TOP_LEFT, kind::BOTTOM_RIGHT].into_iter().cycle();
                let boxed = boxed.chunks_exact(2).zip(kinds).map(|(xy, kind)| (xy[0], xy[1], kind));
                let row = Row { clicks: clicked.collect(), corners: boxed.collect(), has_mask: masks.is_some() }.ordered(family);
                tokens.points = row.len();
                for (x, y, kind) in row {
                    tokens.coords.extend([x, y]);
                    tokens.kinds.push(kind);
                }
            }
            tokens.masks = masks.as_ref().map(|m| m.data[picture * prompts * mask_size..(picture + 1) * prompts * mask_size].to_vec());
            pictures.push(tokens);
        }
        Ok(pictures)
    }

    /// An output of all pictures of a call, joined along a new first axis where the golden tensor has one.
    fn of_call(&self, call: &str, pick: impl Fn(&CaseCall, &Answer) -> Result<Computed>) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no call is named `{call}`"));
        let (call, answers) = self.calls.get(call).ok_or_else(unknown)?;
        let mut parts = answers.iter().map(|answer| pick(call, answer)).collect::<Result<Vec<_>>>()?.into_iter();
        let mut all = parts.next().ok_or_else(unknown)?;
        for part in parts {
            all.data.extend(part.data);
        }
        if self.leads_with_pictures() {
            all.shape.insert(0, answers.len());
        }
        Ok(all)
    }

    fn leads_with_pictures(&self) -> bool {
        ["sam2_image", "sam3_tracker"].contains(&self.case.family())
    }

    /// Masks or scores of the wanted mask tokens.
    fn chosen(&self, call: &CaseCall, answer: &Answer, output: &str) -> Result<Computed> {
        let view = answer.shipped.f32(output)?;
        let (prompts, masks) = (view.shape[0], view.shape[1]);
        let size = view.data.len() / (prompts * masks).max(1);
        let mut rows = Vec::new();
        for prompt in 0..prompts {
            let wanted = if call.multimask { 1..masks } else { self.single(answer, prompt)? };
            rows.extend(wanted.map(|mask| &view.data[(prompt * masks + mask) * size..][..size]));
        }
        let per_prompt = rows.len() / prompts.max(1);
        if output == PromptHead::SCORES {
            return Ok(Computed { shape: vec![prompts, per_prompt], data: rows.concat() });
        }
        let (mut data, mut row) = (Vec::new(), Vec::new());
        for mask in rows {
            unblock(mask, self.head.grid, &mut row);
            data.extend_from_slice(&row);
        }
        Ok(Computed { shape: vec![prompts, per_prompt, self.head.mask_side(), self.head.mask_side()], data })
    }

    fn single(&self, answer: &Answer, prompt: usize) -> Result<std::ops::Range<usize>> {
        let (logits, scores) = (answer.shipped.f32(PromptHead::MASKS)?, answer.shipped.f32(PromptHead::SCORES)?);
        let size = logits.data.len() / logits.shape[0];
        let scores = &scores.data[prompt * self.head.masks..][..self.head.masks];
        let chosen = single_mask(self.head.single, Candidates { logits: &logits.data[prompt * size..][..size], scores });
        Ok(chosen..chosen + 1)
    }

    fn stability(&self, answer: &Answer) -> Result<Computed> {
        let logits = answer.shipped.f32(PromptHead::MASKS)?;
        let size = logits.data.len() / logits.shape[0];
        let SingleMask::Stable { delta, .. } = self.head.single else {
            return Err(Error::new(ErrorKind::BadInput, "this family has no stability"));
        };
        let first = |prompt: &[f32]| stability(&prompt[..size / self.head.masks], delta);
        Ok(Computed { shape: vec![logits.shape[0], 1], data: logits.data.chunks_exact(size).map(first).collect() })
    }
}

impl Check for Calls<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (call, tensor) = name.split_once('.').ok_or_else(unknown)?;
        let plain = |outputs: &Outputs, name: &str| {
            let view = outputs.f32(name)?;
            Ok(Computed { shape: view.shape, data: view.data.to_vec() })
        };
        match tensor {
            "pred_masks" | "low_res_masks" => self.of_call(call, |call, answer| self.chosen(call, answer, PromptHead::MASKS)),
            "masks_orig" => {
                let frame = Frame::of(self.head.space, self.case.mask_postprocess())?;
                self.of_call(call, |call, answer| frame.apply(&self.chosen(call, answer, PromptHead::MASKS)?))
            }
            "iou_scores" | "iou" | "iou_predictions" => self.of_call(call, |call, answer| self.chosen(call, answer, PromptHead::SCORES)),
            "object_score_logits" => self.of_call(call, |_, answer| plain(&answer.shipped, PromptHead::OBJECT)),
            "stability_token0" => self.of_call(call, |_, answer| self.stability(answer)),
            "sparse" => self.of_call(call, |_, answer| plain(&answer.tapped, "sparse")),
            // One mask prompt per picture: the pictures lead in all layouts.
            "dense" => self.of_call(call, |_, answer| plain(&answer.tapped, "dense")).map(|mut dense| {
                if self.leads_with_pictures() {
                    dense.shape.remove(1);
                }
                dense
            }),
            _ => Err(unknown()),
        }
    }
}

fn click_kind(label: f32) -> i64 {
    match label as i64 {
        -10 => kind::IGNORED,
        -1 => kind::PAD,
        label => label + 1,
    }
}

/// Place and kind of a token.
type Token = (f32, f32, i64);

/// What a prompt of a case says.
struct Row {
    clicks: Vec<Token>,
    corners: Vec<Token>,
    has_mask: bool,
}

impl Row {
    /// Clicks and corners in the order, and with the pads, of the implementation that made the case.
    fn ordered(self, family: &str) -> Vec<Token> {
        const PAD: Token = (0.0, 0.0, kind::PAD);
        let Self { clicks, corners, has_mask } = self;
        let is_empty = clicks.is_empty() && corners.is_empty();
        match family {
            "sam2_official" if is_empty && has_mask => vec![],
            "sam2_official" => corners.into_iter().chain(clicks).chain([PAD]).collect(),
            // An empty prompt is a pad, which gets a pad.
            "sam2_image" | "sam3_tracker" if is_empty => vec![PAD, PAD],
            "sam2_image" | "sam3_tracker" if corners.is_empty() => clicks.into_iter().chain([PAD]).collect(),
            "sam2_image" | "sam3_tracker" => clicks.into_iter().chain(corners).chain([PAD]).collect(),
            _ if clicks.is_empty() || !corners.is_empty() => clicks.into_iter().chain(corners).collect(),
            _ => clicks.into_iter().chain([PAD]).collect(),
        }
    }
}
