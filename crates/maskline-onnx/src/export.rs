//! The files of an existing export.

use std::path::{Path, PathBuf};

use crate::external::external_files;
use crate::{Error, ModelHeader, Result};

/// An existing ONNX model, with the files beside it that hold weights of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    file: PathBuf,
    external: Vec<PathBuf>,
}

impl Export {
    /// Finds the files of an export.
    ///
    /// A path that is a symbolic link may have its weights beside the link (the stores of download tools) or beside what it points to.
    ///
    /// # Errors
    /// As [`external_files`](crate::external_files); `Io` if there is no such file.
    pub fn find(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io(path, &error);
        let target = path.canonicalize().map_err(failed)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let beside = folder.canonicalize().map_err(failed)?.join(path.file_name().unwrap_or_default());
        match external_files(&beside) {
            Ok(external) => Ok(Self { file: beside, external }),
            Err(_) if beside != target => Ok(Self { external: external_files(&target)?, file: target }),
            Err(error) => Err(error),
        }
    }

    /// The absolute path of the model, in the folder in which its weights are.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// All files that the model consists of: itself, then those that hold weights, sorted.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.file()).chain(self.external.iter().map(PathBuf::as_path))
    }

    /// What the model says of itself.
    ///
    /// # Errors
    /// As [`ModelHeader::read`].
    pub fn header(&self) -> Result<ModelHeader> {
        ModelHeader::read(&self.file)
    }
}
