//! What is asked of a picture: clicks, boxes and rough masks, in pixels of the picture.

use maskline_vision::Mask;
use maskline_vision::mask::Logits;

use crate::{Error, ErrorKind, Result};

/// A click.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Click {
    /// x in pixels of the picture.
    pub x: f32,
    /// y in pixels of the picture.
    pub y: f32,
    /// On the object, or beside it.
    pub is_positive: bool,
}

/// A rough mask of the object.
#[derive(Debug, Clone, PartialEq)]
pub enum MaskPrompt {
    /// Low-resolution logits of an earlier answer ([`PromptMask::logits`](crate::PromptMask)).
    Logits(Logits),
    /// A mask of the picture's size.
    Picture(Mask),
    /// An earlier answer of a model that answers for a part of the picture ([`PromptMask::to_prompt`](crate::PromptMask::to_prompt)).
    Part(PartLogits),
}

/// Logits of a part of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct PartLogits {
    /// The logits, rows from the top.
    pub logits: Logits,
    /// `[x1, y1, x2, y2]` in pixels: what they cover.
    pub bounds: [f64; 4],
}

/// Mask logits that a model takes: their side, and whether they belong to a part of the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaskSide {
    pub(super) side: usize,
    pub(super) is_part: bool,
}

/// All that is said about one object; at least one of click, box and mask.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prompt {
    /// Clicks on and beside the object.
    pub clicks: Vec<Click>,
    /// `[x1, y1, x2, y2]`: a box around the object, which meets the picture. It may reach beyond the picture as far as the picture is wide
    /// and high, as with the official predictors, and is cut there: no network has seen a box of a thousand pictures.
    pub bounds: Option<[f32; 4]>,
    /// A rough mask.
    pub mask: Option<MaskPrompt>,
    /// Name of the object, which its answer carries.
    pub label: Option<String>,
    /// Class of the object, which its answer carries.
    pub class_id: Option<usize>,
}

impl Prompt {
    /// A click on the object.
    pub fn click(x: f32, y: f32) -> Self {
        Self::default().with_click(x, y, true)
    }

    /// A box around the object: `[x1, y1, x2, y2]`.
    pub fn bounds(bounds: [f32; 4]) -> Self {
        Self { bounds: Some(bounds), ..Self::default() }
    }

    /// One click more.
    #[must_use]
    pub fn with_click(mut self, x: f32, y: f32, is_positive: bool) -> Self {
        self.clicks.push(Click { x, y, is_positive });
        self
    }

    /// With a rough mask.
    #[must_use]
    pub fn with_mask(mut self, mask: MaskPrompt) -> Self {
        self.mask = Some(mask);
        self
    }

    /// Refuses what no model can answer; `size` is width and height of the picture, `mask_side` the side of mask logits.
    pub(super) fn check(&self, index: usize, (size, mask): ((usize, usize), MaskSide)) -> Result<()> {
        let fail = |message: String| Err(Error::new(ErrorKind::BadInput, format!("prompt {index}: {message}")));
        let (width, height) = size;
        if self.clicks.is_empty() && self.bounds.is_none() && self.mask.is_none() {
            return fail("expected a click, a box or a mask, found none of them".into());
        }
        if self.clicks.len() > MAX_CLICKS {
            return fail(format!("expected at most {MAX_CLICKS} clicks, found {}", self.clicks.len()));
        }
        for Click { x, y, .. } in &self.clicks {
            if !(0.0..=width as f32).contains(x) || !(0.0..=height as f32).contains(y) {
                return fail(format!("expected a click inside the picture of {width} × {height}, found {x}, {y}"));
            }
        }
        if let Some(bounds @ [x1, y1, x2, y2]) = self.bounds {
            if bounds.iter().any(|side| !side.is_finite()) || x1 >= x2 || y1 >= y2 {
                return fail(format!("expected a box x1, y1, x2, y2 with x1 < x2 and y1 < y2, found {x1}, {y1}, {x2}, {y2}"));
            }
            if x2 <= 0.0 || y2 <= 0.0 || x1 >= width as f32 || y1 >= height as f32 {
                return fail(format!("expected a box that meets the picture of {width} × {height}, found {x1}, {y1}, {x2}, {y2}"));
            }
        }
        match &self.mask {
            Some(MaskPrompt::Logits(_)) if mask.is_part => {
                fail("this model answers for parts of the picture\n  help: give a mask of the picture, or `PromptMask::to_prompt`".into())
            }
            Some(MaskPrompt::Part(_)) if !mask.is_part => {
                fail("expected logits of the whole picture, found some of a part of it, which another model gave".into())
            }
            Some(MaskPrompt::Part(part)) if part.bounds.iter().any(|side| !side.is_finite()) || !has_area(part.bounds) => {
                fail(format!("expected the part of the picture that mask logits cover as x1, y1, x2, y2, found {:?}", part.bounds))
            }
            Some(MaskPrompt::Part(PartLogits { bounds: [x1, y1, x2, y2], .. }))
                if *x2 <= 0.0 || *y2 <= 0.0 || *x1 >= width as f64 || *y1 >= height as f64 =>
            {
                fail(format!("expected mask logits of a part that meets the picture of {width} × {height}, found {x1}, {y1}, {x2}, {y2}"))
            }
            Some(MaskPrompt::Logits(logits) | MaskPrompt::Part(PartLogits { logits, .. })) => check_logits(logits, mask.side).or_else(fail),
            Some(MaskPrompt::Picture(mask)) if (mask.width(), mask.height()) != size => {
                fail(format!("expected a mask of the picture's size {width} × {height}, found {} × {}", mask.width(), mask.height()))
            }
            Some(MaskPrompt::Picture(picture)) if mask.is_part && picture.is_empty() && self.bounds.is_none() && self.clicks.is_empty() => {
                fail("expected a mask with at least one pixel, found an empty one".into())
            }
            _ => Ok(()),
        }
    }
}

/// A box, cut where it reaches further beyond the picture than the picture is wide and high.
pub(super) fn within_reach([x1, y1, x2, y2]: [f32; 4], (width, height): (usize, usize)) -> [f32; 4] {
    let (width, height) = (width as f32, height as f32);
    [x1.max(-width), y1.max(-height), x2.min(2.0 * width), y2.min(2.0 * height)]
}

fn has_area([x1, y1, x2, y2]: [f64; 4]) -> bool {
    x1 < x2 && y1 < y2
}

fn check_logits(logits: &Logits, side: usize) -> std::result::Result<(), String> {
    if logits.size() != [side; 2] {
        let [rows, columns] = logits.size();
        return Err(format!("expected mask logits of {side} × {side}, found {columns} × {rows}"));
    }
    if logits.data().iter().any(|value| !value.is_finite()) {
        return Err("expected finite mask logits, found NaN or infinite ones".into());
    }
    Ok(())
}

/// More clicks than a person makes; each is a token that attends to all others.
const MAX_CLICKS: usize = 256;
