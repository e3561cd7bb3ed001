//! A folder of pictures as a clip.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use maskline_vision::decode::{DecodeOptions, EXTENSIONS, decode_file};

use crate::clip::{Clip, Frame};
use crate::natural::natural_order;
use crate::time::{Ratio, Time};
use crate::{Error, ErrorKind, Result};

/// The pictures of a folder, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Pictures {
    paths: Arc<Vec<PathBuf>>,
    rate: Ratio,
    decode: DecodeOptions,
}

impl Pictures {
    /// Lists a folder.
    ///
    /// # Errors
    /// `Io` where it cannot be read, `NoFrames` where no picture is in it.
    pub(crate) fn of(folder: &Path, rate: Ratio, most_pixels: u64) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io(folder, "the folder cannot be read", &error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if is_picture(&path) {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            let error = Error::new(ErrorKind::NoFrames, "there is no picture in the folder").at(folder);
            return Err(error.with_help("the frames of a folder are its own JPEG, PNG, WebP, BMP, TIFF or GIF files"));
        }
        paths.sort_by(|a, b| natural_order(&name(a), &name(b)));
        let decode = DecodeOptions { max_pixels: most_pixels, ..DecodeOptions::default() };
        Ok(Self { paths: Arc::new(paths), rate, decode })
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Hidden files are other programs' notes.
fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.contains(&extension.as_str()) && !name(path).starts_with('.') && path.is_file()
}

/// Decodes pictures one after the other.
#[derive(Debug)]
pub(crate) struct Turning {
    pictures: Pictures,
    clip: Clip,
    first: Option<Frame>,
    next: usize,
    end: usize,
}

impl Turning {
    /// Begins with a picture.
    ///
    /// # Errors
    /// `InvalidArgument` for one behind the last, and as [`decode_file`].
    pub(crate) fn open(pictures: Pictures, start: usize, count: Option<usize>) -> Result<Self> {
        let length = pictures.len();
        if start >= length {
            let error = Error::invalid("frame").with_expected(format!("below {length}, the number of pictures in the folder"));
            return Err(error.with_found(start.to_string()));
        }
        let clip = Clip { size: (0, 0), length: Some(length), rate: Some(pictures.rate) };
        let end = start.saturating_add(count.unwrap_or(length)).min(length);
        let mut turning = Self { pictures, clip, first: None, next: start, end };
        let first = turning.decode()?;
        turning.clip.size = first.image.size();
        turning.first = Some(first);
        Ok(turning)
    }

    pub(crate) fn clip(&self) -> &Clip {
        &self.clip
    }

    pub(crate) fn next(&mut self) -> Option<Result<Frame>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if self.next >= self.end {
            return None;
        }
        let frame = self.decode().and_then(|frame| self.checked(frame));
        if frame.is_err() {
            self.next = self.end;
        }
        Some(frame)
    }

    fn decode(&mut self) -> Result<Frame> {
        let (index, begun) = (self.next, Instant::now());
        self.next += 1;
        let image = decode_file(&self.pictures.paths[index], &self.pictures.decode)?;
        let time = Time { ticks: index as i64, tick: self.pictures.rate.inverse() };
        Ok(Frame { index, time, image, decode: begun.elapsed() })
    }

    fn checked(&self, frame: Frame) -> Result<Frame> {
        let ((width, height), (wide, high)) = (self.clip.size, frame.image.size());
        if (width, height) == (wide, high) {
            return Ok(frame);
        }
        let error =
            Error::new(ErrorKind::Corrupt, "the picture has another size than those before it").at(&self.pictures.paths[frame.index]);
        let error = error.with_expected(format!("{width} × {height}")).with_found(format!("{wide} × {high}"));
        Err(error.with_help("the frames of a clip are of one size: resize it, or take it out of the folder"))
    }
}
