//! How objects are seen on one frame: by a prompt, or by what is remembered of them.

use std::sync::Arc;

use maskline_vision::mask::{Logits, fill_holes};

use super::object::{Followed, Output, Viewpoint};
use super::{Direction, TrackerOptions};
use crate::drivers::{Asked, Call, Cells, Choice, Decoded, Features, Past, Seen, Tokens, Video};
use crate::{MaskPrompt, Prompt, Result, Stages};

/// Objects that are seen together: their keys and values are in memory at once, and nothing is gained by more.
const TOGETHER: usize = 4;

/// One frame, looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) video: &'a Video,
    pub(crate) options: &'a TrackerOptions,
    pub(crate) frame: usize,
    pub(crate) features: &'a Features,
    pub(crate) call: &'a Call,
}

/// What is said of an object on the frame.
#[derive(Debug, Clone)]
pub(crate) struct Said<'a> {
    pub(crate) prompt: &'a Prompt,
    /// Which way the frame was passed before; `None` where the object has no past on it.
    pub(crate) passed: Option<Direction>,
    /// An earlier answer, which is fed back with clicks.
    pub(crate) earlier: Option<Arc<Logits>>,
    /// Whose pointer stands for a mask that is given.
    pub(crate) of_mask: Choice,
}

/// An answer before holes are filled, which is what is remembered of a frame that was tracked.
pub(crate) struct Glimpse {
    pub(crate) output: Output,
    pub(crate) unfilled: Arc<Logits>,
}

impl<'a> Sight<'a> {
    fn viewpoint(&self, direction: Direction) -> Viewpoint<'a> {
        Viewpoint { frame: self.frame, direction, options: self.options, head: &self.video.head }
    }

    /// The object as a prompt says where it is.
    pub(crate) fn prompted(&self, object: &Followed, said: &Said<'_>) -> Result<(Glimpse, Stages)> {
        if let Some(MaskPrompt::Picture(mask)) = &said.prompt.mask {
            let (decoded, stages) = self.video.believe(self.features, &self.video.given(mask)?, said.of_mask, self.call)?;
            return Ok((self.glimpse(decoded), stages));
        }
        let (mut tokens, choice) = self.video.tokens(said.prompt, self.features.size)?;
        tokens.masks = said.earlier.as_ref().map(|logits| logits.data().to_vec());
        let (decoded, stages) = match said.passed {
            None => self.video.decode(self.features, Asked { cells: self.video.plain(true), tokens, choice }, self.call)?,
            Some(direction) => self.remembered(&[&object.past(self.viewpoint(direction))], &tokens, choice)?,
        };
        let outputs = decoded.into_iter().map(|one| self.glimpse(one));
        Ok((outputs.last().ok_or_else(super::nothing_decoded)?, stages))
    }

    /// Objects with pasts of equal lengths, decoded from the frame as they see it.
    fn remembered(&self, pasts: &[&Past], tokens: &Tokens, choice: Choice) -> Result<(Vec<Decoded>, Stages)> {
        let decode = |cells: &Cells| {
            let asked = Asked { cells: cells.clone(), tokens: tokens.clone(), choice };
            self.video.decode(self.features, asked, self.call)
        };
        let (cells, mut stages) = self.video.attend(self.features, pasts, self.call)?;
        let (decoded, spent) = match decode(&cells) {
            // Lost with a device on the way.
            Err(_) if cells.are_lost() => {
                let (cells, again) = self.video.attend(self.features, pasts, self.call)?;
                stages += again;
                decode(&cells)?
            }
            outcome => outcome?,
        };
        Ok((decoded, stages + spent))
    }

    /// The frame as an object with a past sees it.
    pub(crate) fn conditioned(&self, object: &Followed, direction: Direction) -> Result<(Cells, Stages)> {
        self.video.attend(self.features, &[&object.past(self.viewpoint(direction))], self.call)
    }

    /// Objects as they are remembered.
    pub(crate) fn tracked(&self, objects: &[&Followed], direction: Direction) -> Result<(Vec<Glimpse>, Stages)> {
        let pasts: Vec<Past> = objects.iter().map(|object| object.past(self.viewpoint(direction))).collect();
        let lengths = |index: usize| (pasts[index].memories.len(), pasts[index].pointers.len());
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by_key(|index| lengths(*index));
        let mut glimpses: Vec<Option<Glimpse>> = objects.iter().map(|_| None).collect();
        let mut stages = Stages::default();
        for group in order.chunk_by(|a, b| lengths(*a) == lengths(*b)) {
            for members in group.chunks(TOGETHER) {
                let together: Vec<&Past> = members.iter().map(|index| &pasts[*index]).collect();
                let (decoded, spent) = self.remembered(&together, &self.video.nothing(members.len()), Choice::Best)?;
                stages += spent;
                members.iter().zip(decoded).for_each(|(index, one)| glimpses[*index] = Some(self.glimpse(one)));
            }
        }
        Ok((glimpses.into_iter().collect::<Option<_>>().ok_or_else(super::nothing_decoded)?, stages))
    }

    fn glimpse(&self, decoded: Decoded) -> Glimpse {
        let unfilled = Arc::new(decoded.logits.clone());
        let mut output = Output::of(decoded);
        // Does nothing where the area is 0.
        if let Some(logits) = &mut output.logits {
            fill_holes(Arc::make_mut(logits), self.options.hole_area);
        }
        Glimpse { output, unfilled }
    }

    /// What is remembered of masks on the frame.
    pub(crate) fn remember(&self, seen: &[Seen<'_>]) -> Result<(Vec<Vec<f32>>, Stages)> {
        let (mut memories, mut stages) = (Vec::with_capacity(seen.len()), Stages::default());
        for together in seen.chunks(TOGETHER) {
            let (more, spent) = self.video.remember(self.features, together, self.call)?;
            memories.extend(more);
            stages += spent;
        }
        Ok((memories, stages))
    }
}
