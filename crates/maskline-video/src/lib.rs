//! Frames in, frames and masks out: what tracking through a clip needs beside a model.
//!
//! *In*: [`Frames`] decodes a clip through `ffmpeg`, a folder of pictures, or a raw stream, ahead of who reads it and within bounded memory;
//! every frame has its exact [`Time`]. *Out*: [`mod@write`] takes the masks of each frame ([`FrameMasks`](write::FrameMasks)) to palette
//! pictures, pictures per object, COCO run lengths, MOTS text, YouTube-VIS results and an overlay clip, so that what is there is whole
//! whenever the work ends, and can be gone on with.

mod clip;
mod error;
mod ffmpeg;
mod folder;
mod frames;
mod natural;
mod raw;
mod source;
mod time;
pub mod write;

pub use clip::{Clip, Frame};
pub use error::{Error, ErrorKind, Result};
pub use ffmpeg::{PROGRAM_VARIABLE, is_available};
pub use frames::{Backward, FrameOptions, Frames, Stopper};
pub use natural::natural_order;
pub use source::Source;
pub use time::{Ratio, Time};
