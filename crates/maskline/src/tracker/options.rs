//! Options of a tracker.

use crate::{Error, ErrorKind, Result};

/// In which numbers memories are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryPrecision {
    /// Rounded to bfloat16, as the official code keeps them.
    #[default]
    Rounded,
    /// As the network gives them, in f32.
    Full,
}

/// Options of [`Model::tracker`](crate::Model::tracker). The defaults are those of the official `SAM2VideoPredictor`.
#[derive(Debug, Clone)]
pub struct TrackerOptions {
    /// Frames of the clip, where that is known: the official code counts time in shares of it where it is shorter than the model's 16
    /// pointers. Of a longer clip, or a stream, nothing changes.
    pub length: Option<usize>,
    /// In which numbers memories are kept.
    pub memory: MemoryPrecision,
    /// How many frames one may go back: what was answered there is kept so long, beyond what tracking needs. `usize::MAX`: for ever.
    pub history: usize,
    /// Most prompted frames of an object that are kept and looked at, the nearest ones; at least 2. `None`: all.
    pub conditioning_frames: Option<usize>,
    /// Whether a frame that is corrected after it was tracked counts as prompted (`add_all_frames_to_correct_as_cond`).
    pub corrections_condition: bool,
    /// Whether memories around a prompted frame are forgotten, which may be out of date (`clear_non_cond_mem_around_input`).
    pub forget_around_prompts: bool,
    /// Whether each pixel is kept by one object alone (`non_overlap_masks`).
    pub non_overlapping: bool,
    /// Holes of at most so many low-resolution pixels are filled; 0 for none (`fill_hole_area`).
    pub hole_area: u64,
    /// Most objects.
    pub most_objects: usize,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            length: None,
            memory: MemoryPrecision::Rounded,
            history: 0,
            conditioning_frames: None,
            corrections_condition: false,
            forget_around_prompts: false,
            non_overlapping: false,
            hole_area: 8,
            most_objects: 256,
        }
    }
}

impl TrackerOptions {
    pub(super) fn check(&self) -> Result<()> {
        let least = |what: &str, found: usize, least: usize| {
            let wrong = || Error::new(ErrorKind::InvalidOption, what).expecting(format!("at least {least}")).but_found(found);
            if found >= least { Ok(()) } else { Err(wrong()) }
        };
        self.length.map_or(Ok(()), |length| least("length of the clip", length, 1))?;
        self.conditioning_frames.map_or(Ok(()), |frames| least("conditioning frames", frames, 2))?;
        least("most objects", self.most_objects, 1)
    }
}
