//! A clip and its frames.

use std::time::Duration;

use maskline_vision::RgbImage;

use crate::time::{Ratio, Time};

/// What is known of a clip before its frames come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// Width and height of every frame in pixels, turned as the clip says.
    pub size: (usize, usize),
    /// How many frames there are: counted in a folder, as the header tells for a file; not known for streams.
    pub length: Option<usize>,
    /// Frames per second, where the clip tells; the times of the frames are exact, and need not be as even.
    pub rate: Option<Ratio>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Its place in the clip, from 0.
    pub index: usize,
    /// When it is shown.
    pub time: Time,
    /// Its pixels.
    pub image: RgbImage,
    /// How long it took to come, where nobody had to wait for room.
    pub decode: Duration,
}
