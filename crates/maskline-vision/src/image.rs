//! The picture in memory.

/// An RGB picture: 8 bits per channel, rows from the top, no padding (`pixels.len() == width * height * 3`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Interleaved R, G, B.
    pub pixels: Vec<u8>,
}
