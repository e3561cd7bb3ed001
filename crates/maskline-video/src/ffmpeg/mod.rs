//! `ffmpeg` as a child process: never through a shell, with files and pipes as all that it may open.

mod child;
mod decode;
mod program;
mod told;

pub(crate) use child::{Child, Pipes, spawn};
pub(crate) use decode::{Decoder, Input, Opening, Start};
pub use program::{PROGRAM_VARIABLE, is_available};
pub(crate) use program::{Program, file_argument, known_length};
pub(crate) use told::{Complaints, listen};
