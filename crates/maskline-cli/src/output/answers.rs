//! Which pictures of a folder are answers of earlier runs.

use std::path::{Path, PathBuf};

use super::known::Known;
use super::names;

/// The files that maskline wrote into a folder.
#[derive(Debug)]
pub(crate) struct Answers {
    folder: PathBuf,
    known: Known,
}

impl Answers {
    /// Of the folder that a run writes into; `None` where no run has.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        // What is wrong with the journal, opening the folder tells.
        let (known, _) = Known::read(&folder).ok()?;
        Some(Self { folder, known })
    }

    /// Whether a file in a real folder is one of them, and nobody has changed it since.
    pub(crate) fn has(&self, path: &Path) -> bool {
        path.strip_prefix(&self.folder).is_ok_and(|name| self.known.own(&names::slashed(name)).is_some())
    }
}
