//! Frames encoded, ahead of tracking if need be.

use std::sync::Arc;

use crate::drivers::{Call, Features, Video};
use crate::{Image, Result, Stage, Stages};

/// Encodes frames for trackers of one model. Cheap to clone, and at work on any thread.
#[derive(Debug, Clone)]
pub struct FrameEncoder {
    video: Arc<Video>,
}

/// An encoded frame.
#[derive(Debug, Clone)]
pub struct Frame {
    pub(crate) features: Features,
    /// What reading and encoding it took.
    pub(crate) spent: Stages,
}

impl FrameEncoder {
    pub(super) fn new(video: Arc<Video>) -> Self {
        Self { video }
    }

    /// Encodes a frame. Frames are stretched to the network's square as the official predictor does it with pictures of a folder: in 8
    /// bits, by a cubic filter.
    ///
    /// # Errors
    /// `BadInput` for a frame that is too thin, `Failed` where the network fails.
    pub fn encode(&self, frame: &Image) -> Result<Frame> {
        let (features, mut spent) = self.video.encode(frame, &Call::default())?;
        spent.spend(Stage::Decode, frame.decode_time());
        Ok(Frame { features, spent })
    }
}

impl Frame {
    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.features.size
    }
}
