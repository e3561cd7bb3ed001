//! Between the picture and the square that the network sees.

use maskline_models::sam::kind;
use maskline_models::{Preprocess, PromptHead};
use maskline_vision::Mask;
use maskline_vision::fit::longest_side_size;
use maskline_vision::mask::{Frame, Logits, Upsampler};

use super::decoders::Tokens;
use crate::promptable::within_reach;
use crate::{Click, Error, ErrorKind, MaskPrompt, PartLogits, Prompt, Result};

/// Logit of the inside of a mask prompt that is given as a picture; its negative is the outside.
const MASK_LOGIT: f32 = 10.0;

/// How one picture lies in the square.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Width and height of the picture.
    pub(super) size: (usize, usize),
    frame: Frame,
    /// Factors of x and y from the picture to the prompt square.
    scale: [f64; 2],
}

fn not_taken(preprocess: &Preprocess) -> Error {
    Error::new(ErrorKind::Failed, format!("a promptable model cannot take pictures by {preprocess:?}"))
}

impl View {
    /// `size` is width and height of the picture.
    pub(super) fn new(size: (usize, usize), preprocess: &Preprocess, head: &PromptHead) -> Result<Self> {
        let (width, height) = size;
        let (frame, [rows, columns]) = match preprocess {
            Preprocess::Stretch(_) | Preprocess::StretchLevels(_) | Preprocess::StretchLevelsLinear(_) => (Frame::Whole, [head.space; 2]),
            Preprocess::LongestSide(_) => {
                let kept = longest_side_size([height, width], head.space).map_err(Error::of_picture)?;
                (Frame::Padded { side: head.space, kept }, kept)
            }
            other => return Err(not_taken(other)),
        };
        Ok(Self { size, frame, scale: [columns as f64 / width as f64, rows as f64 / height as f64] })
    }

    pub(super) fn upsampler(&self, side: usize) -> Result<Upsampler> {
        Upsampler::new([side; 2], &self.frame, [self.size.1, self.size.0]).map_err(Error::of_picture)
    }

    fn place(&self, x: f32, y: f32) -> [f32; 2] {
        [(f64::from(x) * self.scale[0]) as f32, (f64::from(y) * self.scale[1]) as f32]
    }

    /// Appends a prompt's tokens, in the order and with the pad of the official predictors.
    pub(super) fn add_tokens(&self, prompt: &Prompt, head: &PromptHead, tokens: &mut Tokens) {
        let mut push = |[x, y]: [f32; 2], kind: i64| {
            tokens.coords.extend([x, y]);
            tokens.kinds.push(kind);
        };
        if let Some([x1, y1, x2, y2]) = prompt.bounds.map(|bounds| within_reach(bounds, self.size)) {
            push(self.place(x1, y1), kind::TOP_LEFT);
            push(self.place(x2, y2), kind::BOTTOM_RIGHT);
        }
        for Click { x, y, is_positive } in &prompt.clicks {
            push(self.place(*x, *y), if *is_positive { kind::POSITIVE } else { kind::NEGATIVE });
        }
        if has_pad(prompt, head) {
            push([0.0, 0.0], kind::PAD);
        }
        tokens.prompts += 1;
    }

    /// The logits of a mask prompt: those given, or the share of the mask in each cell of the square, steep at one half.
    pub(super) fn mask_logits(&self, mask: &MaskPrompt, side: usize, out: &mut Vec<f32>) {
        match mask {
            MaskPrompt::Logits(logits) | MaskPrompt::Part(PartLogits { logits, .. }) => out.extend_from_slice(logits.data()),
            MaskPrompt::Picture(mask) => self.shrink(mask, side, out),
        }
    }

    fn shrink(&self, mask: &Mask, side: usize, out: &mut Vec<f32>) {
        let (width, height) = self.size;
        let rows = mask.to_rows(1);
        let [columns_used, rows_used] = match self.frame {
            Frame::Whole | Frame::Window { .. } => [side as f64; 2],
            Frame::Padded { side: square, kept } => [kept[1], kept[0]].map(|n| n as f64 * side as f64 / square as f64),
        };
        let span = |i: usize, used: f64, length: usize| {
            let at = |i: usize| ((i as f64 / used * length as f64).round() as usize).min(length);
            (at(i), at(i + 1).max(at(i) + 1).min(length))
        };
        for row in 0..side {
            let (top, bottom) = span(row, rows_used, height);
            for column in 0..side {
                let (left, right) = span(column, columns_used, width);
                let cells = bottom.saturating_sub(top) * right.saturating_sub(left);
                let set: usize = (top..bottom).map(|y| rows[y * width + left..y * width + right].iter().filter(|v| **v != 0).count()).sum();
                let share = if cells == 0 { 0.0 } else { set as f32 / cells as f32 };
                out.push(MASK_LOGIT * (2.0 * share - 1.0));
            }
        }
    }
}

/// Number of a prompt's tokens: prompts of one count go through the decoder together.
pub(super) fn token_count(prompt: &Prompt, head: &PromptHead) -> usize {
    2 * usize::from(prompt.bounds.is_some()) + prompt.clicks.len() + usize::from(has_pad(prompt, head))
}

fn has_pad(prompt: &Prompt, head: &PromptHead) -> bool {
    match (prompt.clicks.is_empty(), prompt.bounds.is_some()) {
        (true, false) => false,
        (_, true) => head.always_padded,
        (false, false) => true,
    }
}

/// Logits in rows from the decoder's blocked order.
pub(super) fn logits_of(blocked: &[f32], head: &PromptHead) -> Result<Logits> {
    let mut rows = Vec::new();
    maskline_models::sam::unblock(blocked, head.grid, &mut rows);
    Ok(Logits::new(rows, [head.mask_side(); 2])?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use maskline_models::Normalise;

    use super::*;
    use crate::{BundleOptions, Engine, EngineOptions};

    #[test]
    fn prompts_are_stretched_with_the_picture_whatever_stretches_it() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(EngineOptions { cache: folder.path().to_path_buf(), ..EngineOptions::default() }).unwrap();
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tiny/sam2");
        let bundle = engine.build(case.as_path(), &BundleOptions::default()).unwrap();
        let head = bundle.info().prompts().unwrap();
        let space = head.space as f32;
        for preprocess in [Preprocess::Stretch(Normalise::IMAGENET), Preprocess::StretchLevelsLinear(Normalise::CENTRED)] {
            let view = View::new((40, 20), &preprocess, head).unwrap();
            let mut tokens = Tokens::default();
            view.add_tokens(&Prompt::bounds([0.0, 5.0, 40.0, 20.0]), head, &mut tokens);
            assert_eq!(tokens.coords[..4], [0.0, space / 4.0, space, space], "{preprocess:?}");
            assert_eq!(view.frame, Frame::Whole);
        }
        let error = View::new((40, 20), &Preprocess::PaddedSquare(Normalise::CLIP), head).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
    }
}
