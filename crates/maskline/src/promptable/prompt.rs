//! What is asked of a picture: clicks, boxes and rough masks, in pixels of the picture.

use maskline_vision::Mask;
use maskline_vision::mask::Logits;

use crate::drivers::Prompting;
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

    /// Refuses what no model can answer; `size` is width and height of the picture.
    pub(crate) fn check(&self, size: (usize, usize), prompting: &Prompting) -> Result<()> {
        if self.clicks.is_empty() && self.bounds.is_none() && self.mask.is_none() {
            return Err(wrong("a click, a box or a mask", "none of them"));
        }
        if self.clicks.len() > MAX_CLICKS {
            return Err(wrong(format!("at most {MAX_CLICKS} clicks"), self.clicks.len()));
        }
        let (width, height) = (size.0 as f32, size.1 as f32);
        for Click { x, y, .. } in &self.clicks {
            if !(0.0..=width).contains(x) || !(0.0..=height).contains(y) {
                return Err(wrong(format!("a click inside the picture of {width} × {height}"), format!("{x}, {y}")));
            }
        }
        if let Some(bounds @ [x1, y1, x2, y2]) = self.bounds {
            let found = format!("{x1}, {y1}, {x2}, {y2}");
            if bounds.iter().any(|side| !side.is_finite()) || x1 >= x2 || y1 >= y2 {
                return Err(wrong("a box x1, y1, x2, y2 with x1 < x2 and y1 < y2", found));
            }
            if x2 <= 0.0 || y2 <= 0.0 || x1 >= width || y1 >= height {
                return Err(wrong(format!("a box that meets the picture of {width} × {height}"), found));
            }
        }
        let is_alone = self.bounds.is_none() && self.clicks.is_empty();
        match &self.mask {
            Some(MaskPrompt::Logits(_)) if prompting.is_part => {
                Err(Error::new(ErrorKind::BadInput, "this model answers for parts of the picture")
                    .with_help("give a mask of the picture, or `PromptMask::to_prompt`"))
            }
            Some(MaskPrompt::Part(_)) if !prompting.is_part => {
                Err(wrong("logits of the whole picture", "some of a part of it, which another model gave"))
            }
            Some(MaskPrompt::Logits(logits)) => check_logits(logits, prompting.mask_side),
            Some(MaskPrompt::Part(part)) => part.check(size).and_then(|()| check_logits(&part.logits, prompting.mask_side)),
            Some(MaskPrompt::Picture(mask)) if (mask.width(), mask.height()) != size => {
                Err(wrong(format!("a mask of the picture's size {width} × {height}"), format!("{} × {}", mask.width(), mask.height())))
            }
            Some(MaskPrompt::Picture(mask)) if prompting.is_part && mask.is_empty() && is_alone => {
                Err(wrong("a mask with at least one pixel", "an empty one"))
            }
            _ => Ok(()),
        }
    }
}

impl PartLogits {
    /// Refuses a part that no picture of this width and height has.
    fn check(&self, size: (usize, usize)) -> Result<()> {
        let (width, height) = size;
        let [x1, y1, x2, y2] = self.bounds;
        if self.bounds.iter().any(|side| !side.is_finite()) || x1 >= x2 || y1 >= y2 {
            return Err(wrong("the part of the picture that mask logits cover as x1, y1, x2, y2", format!("{:?}", self.bounds)));
        }
        if x2 <= 0.0 || y2 <= 0.0 || x1 >= width as f64 || y1 >= height as f64 {
            let expected = format!("mask logits of a part that meets the picture of {width} × {height}");
            return Err(wrong(expected, format!("{x1}, {y1}, {x2}, {y2}")));
        }
        Ok(())
    }
}

/// A prompt that is not what was expected. Whoever knows which one it is names it.
fn wrong(expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::BadInput, "").expecting(expected).but_found(found)
}

/// A box, cut where it reaches further beyond the picture than the picture is wide and high.
pub(crate) fn within_reach([x1, y1, x2, y2]: [f32; 4], size: (usize, usize)) -> [f32; 4] {
    let (width, height) = (size.0 as f32, size.1 as f32);
    [x1.max(-width), y1.max(-height), x2.min(2.0 * width), y2.min(2.0 * height)]
}

fn check_logits(logits: &Logits, side: usize) -> Result<()> {
    let [rows, columns] = logits.size();
    if [rows, columns] != [side; 2] {
        return Err(wrong(format!("mask logits of {side} × {side}"), format!("{columns} × {rows}")));
    }
    if logits.data().iter().any(|value| !value.is_finite()) {
        return Err(wrong("finite mask logits", "NaN or infinite ones"));
    }
    Ok(())
}

/// More clicks than a person makes; each is a token that attends to all others.
const MAX_CLICKS: usize = 256;
