//! How the sessions of a lane are opened, again if need be.

use std::path::PathBuf;
use std::sync::Arc;

use super::runner::Placed;
use super::{Fallback, Faults, LaneOptions, ModelSource};
use crate::Library;
use crate::error::Result;
use crate::opening::{Opened, Opening};
use crate::provider::Provider;

/// All that opening a session takes, kept as long as the lane may need another one.
#[derive(Debug)]
pub(super) struct Plan {
    library: Arc<Library>,
    model: Kept,
    options: LaneOptions,
    fallback: Fallback,
}

#[derive(Debug)]
enum Kept {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Plan {
    /// Of a lane that may fall back to the CPU; `None` of one that may not, or runs there already.
    pub(super) fn of(library: &Arc<Library>, source: ModelSource<'_>, options: &LaneOptions) -> Option<Self> {
        let fallback = options.fallback.clone()?;
        if options.provider.is_cpu() && !options.faults.are_any() {
            return None;
        }
        let model = match source {
            ModelSource::File(path) => Kept::File(path.to_path_buf()),
            ModelSource::Bytes(bytes) => Kept::Bytes(bytes.to_vec()),
        };
        // A profile is that of the first session.
        let options = LaneOptions { profile: None, ..options.clone() };
        Some(Self { library: Arc::clone(library), model, options, fallback })
    }

    pub(super) fn faults(&self) -> Faults {
        self.options.faults
    }

    /// A session with the provider that was wished for.
    pub(super) fn wished(&self) -> Result<Placed> {
        self.open(&self.options)
    }

    /// A session on the CPU.
    pub(super) fn on_cpu(&self) -> Result<Placed> {
        let options = LaneOptions {
            provider: Provider::Cpu,
            faults: Faults::default(),
            optimised: self.fallback.optimised.clone(),
            ..self.options.clone()
        };
        self.open(&options)
    }

    fn open(&self, options: &LaneOptions) -> Result<Placed> {
        let opening = Opening::new(&self.library, self.source(), options);
        let Opened { session, .. } = opening.open(self.source())?;
        Ok(Placed { session, providers: opening.providers()? })
    }

    fn source(&self) -> ModelSource<'_> {
        match &self.model {
            Kept::File(path) => ModelSource::File(path),
            Kept::Bytes(bytes) => ModelSource::Bytes(bytes),
        }
    }
}
