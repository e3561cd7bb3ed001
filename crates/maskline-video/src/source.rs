//! Where frames come from.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Where frames come from.
pub enum Source {
    /// A clip of any kind that `ffmpeg` reads. Names are files' names, whatever they look like.
    File(PathBuf),
    /// The pictures of a folder, in [`natural_order`](crate::natural_order): all of one size.
    Folder(PathBuf),
    /// A clip that `ffmpeg` reads from this process's standard input.
    Stdin,
    /// A clip that `ffmpeg` reads through a pipe.
    Reader(Box<dyn Read + Send>),
    /// Frames as bytes R, G, B, row after row from the top, one behind the other.
    Raw {
        /// Width and height in pixels.
        size: (usize, usize),
        /// What is read.
        reader: Box<dyn Read + Send>,
    },
}

impl Source {
    /// A folder of pictures, or the file of a clip.
    pub fn at(path: &Path) -> Self {
        if path.is_dir() { Self::Folder(path.to_path_buf()) } else { Self::File(path.to_path_buf()) }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            Self::Stdin => f.write_str("Stdin"),
            Self::Reader(_) => f.write_str("Reader"),
            Self::Raw { size, .. } => f.debug_struct("Raw").field("size", size).finish_non_exhaustive(),
        }
    }
}
