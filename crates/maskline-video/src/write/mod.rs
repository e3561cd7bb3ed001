//! The masks of a clip as files. What is there is whole whenever the work ends: pictures and documents are written aside and renamed, lines
//! are whole or not there.
//!
//! [`MaskLines`] come first: they tell which frames are done, frames are added to them in any order, and everything else can be made from
//! them. A sink ([`MaskSink`]) takes the frames one by one.

mod documents;
mod lines;
mod matroska;
mod mots;
mod overlay;
mod pictures;
mod youtube_vis;

use std::path::PathBuf;

use maskline_vision::{Mask, RgbImage};

pub use documents::write_whole;
pub use lines::MaskLines;
pub use mots::{MotsOptions, write_mots};
pub use overlay::{Overlay, OverlayOptions};
pub use pictures::{ObjectFolders, PaletteFolder, palette_png};
pub use youtube_vis::{YoutubeVisOptions, write_youtube_vis};

use crate::Result;
use crate::time::Time;

/// One object in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectMask {
    /// The object's number, the same in all frames.
    pub id: i64,
    /// How sure it is that the object is seen, 0..1.
    pub score: f32,
    /// Its class name, where it has one.
    pub label: Option<String>,
    /// Its class index.
    pub class_id: Option<usize>,
    /// Its pixels at the frame's size; empty where it is not seen.
    pub mask: Mask,
}

/// The objects of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameMasks {
    /// The frame's place in the clip, from 0.
    pub index: usize,
    /// When it is shown.
    pub time: Time,
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Its objects.
    pub objects: Vec<ObjectMask>,
}

/// What takes the masks of a clip, frame by frame.
pub trait MaskSink {
    /// Writes one frame. What was written of it before is replaced.
    ///
    /// # Errors
    /// `Io` where it cannot be written, a full disk for one; `InvalidArgument` for what the format has no place for.
    fn put(&mut self, image: &RgbImage, masks: &FrameMasks) -> Result<()>;

    /// Ends it; returns the file or folder, where there is something in it.
    ///
    /// # Errors
    /// `Io` and `Failed` where what is not whole yet cannot be finished.
    fn finish(self: Box<Self>) -> Result<Option<PathBuf>>;
}

/// Name of a frame's picture, as data sets have it: `00042`.
pub fn frame_name(index: usize) -> String {
    format!("{index:05}")
}
