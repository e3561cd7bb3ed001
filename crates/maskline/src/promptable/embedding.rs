//! An encoded picture as a value.

use std::sync::Arc;

use crate::drivers::{Driver, Encoded};
use crate::{Delays, Model, Stages};

/// An encoded picture: it answers any number of prompts ([`Embedding::segment`]), from any number of threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedding {
    driver: Arc<dyn Driver>,
    encoded: Encoded,
    size: (usize, usize),
    stages: Stages,
    delays: Delays,
    bundle: Arc<str>,
}

impl Embedding {
    /// `size` is width and height of the picture.
    pub(crate) fn new(driver: Arc<dyn Driver>, encoded: Encoded, size: (usize, usize)) -> Self {
        Self { driver, encoded, size, stages: Stages::of_prompts(), delays: Delays::default(), bundle: "".into() }
    }

    /// With what making it took, by a model.
    pub(super) fn told(self, stages: Stages, model: &Model) -> Self {
        Self { stages, delays: model.delays(), bundle: model.bundle_name(), ..self }
    }

    /// Width and height of the picture in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// What the call took that gave this embedding, and where it came from. What prompts take is told with their answers, and `+` of both
    /// is the whole.
    pub fn timings(&self) -> &Stages {
        &self.stages
    }

    /// Bytes of what is kept of the picture.
    pub fn bytes(&self) -> usize {
        self.encoded.bytes()
    }

    /// Name of the bundle that made it.
    pub(super) fn bundle(&self) -> &str {
        &self.bundle
    }

    pub(super) fn delays(&self) -> Delays {
        self.delays
    }

    pub(super) fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    pub(crate) fn encoded(&self) -> &Encoded {
        &self.encoded
    }
}
