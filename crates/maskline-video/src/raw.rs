//! Raw frames from a stream.

use std::io::Read;
use std::time::Instant;

use maskline_vision::RgbImage;

use crate::clip::{Clip, Frame};
use crate::time::{Ratio, Time};
use crate::{Error, ErrorKind, Result};

/// Reads frames of R, G, B bytes.
pub(crate) struct RawFrames {
    reader: Box<dyn Read + Send>,
    clip: Clip,
    tick: Ratio,
    next: usize,
    end: Option<usize>,
    is_at_end: bool,
}

/// What raw frames are like, which nothing in them tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) size: (usize, usize),
    pub(crate) rate: Ratio,
    pub(crate) most_pixels: u64,
}

impl RawFrames {
    /// Checks the size; nothing is read yet.
    ///
    /// # Errors
    /// `InvalidArgument` for a size of 0, `TooLarge` above the limit.
    pub(crate) fn open(reader: Box<dyn Read + Send>, layout: Layout) -> Result<Self> {
        let (width, height) = layout.size;
        if width == 0 || height == 0 {
            return Err(Error::invalid("size of raw frames").with_expected("at least 1 × 1").with_found(format!("{width} × {height}")));
        }
        if (width as u64).saturating_mul(height as u64) > layout.most_pixels {
            let error = Error::new(ErrorKind::TooLarge, "the raw frames are too large");
            return Err(error.with_expected(format!("at most {} pixels", layout.most_pixels)).with_found(format!("{width} × {height}")));
        }
        let clip = Clip { size: layout.size, length: None, rate: Some(layout.rate) };
        Ok(Self { reader, clip, tick: layout.rate.inverse(), next: 0, end: None, is_at_end: false })
    }

    /// Passes over the frames before `first`, and ends behind `count` of them.
    pub(crate) fn within(mut self, first: usize, count: Option<usize>) -> Result<Self> {
        self.end = count.map(|count| first.saturating_add(count));
        let bytes = (self.frame_bytes() as u64).saturating_mul(first as u64);
        let skipped = std::io::copy(&mut self.reader.by_ref().take(bytes), &mut std::io::sink());
        if skipped.map_err(|error| unreadable(&error))? < bytes {
            return Err(Error::invalid("frame")
                .with_expected("one of the stream's")
                .with_found(format!("{first}, which is behind its end")));
        }
        self.next = first;
        Ok(self)
    }

    pub(crate) fn clip(&self) -> &Clip {
        &self.clip
    }

    fn frame_bytes(&self) -> usize {
        self.clip.size.0 * self.clip.size.1 * 3
    }

    pub(crate) fn next(&mut self) -> Option<Result<Frame>> {
        if self.is_at_end || self.end.is_some_and(|end| self.next >= end) {
            return None;
        }
        let frame = self.frame().transpose();
        self.is_at_end = !matches!(frame, Some(Ok(_)));
        self.next += 1;
        frame
    }

    fn frame(&mut self) -> Result<Option<Frame>> {
        let (expected, index, begun) = (self.frame_bytes(), self.next, Instant::now());
        let mut pixels = Vec::with_capacity(expected);
        let count = self.reader.by_ref().take(expected as u64).read_to_end(&mut pixels).map_err(|error| unreadable(&error))?;
        let (width, height) = self.clip.size;
        match count {
            0 if index == 0 => Err(Error::new(ErrorKind::NoFrames, "there is no frame in the stream")),
            0 => Ok(None),
            _ if count < expected => {
                let error = Error::new(ErrorKind::Corrupt, format!("frame {index} of the stream is cut off"));
                let error = error.with_expected(format!("{width} × {height} × 3 = {expected} bytes")).with_found(count.to_string());
                Err(error.with_help("the whole frames before it were used; give the size that they have"))
            }
            _ => {
                let time = Time { ticks: index as i64, tick: self.tick };
                Ok(Some(Frame { index, time, image: RgbImage::new(width, height, pixels)?, decode: begun.elapsed() }))
            }
        }
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("the stream cannot be read: {error}"))
}
