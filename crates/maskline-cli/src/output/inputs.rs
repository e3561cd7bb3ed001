//! The files that a run reads, which it must never replace.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A set of files, whatever names they go by.
#[derive(Debug, Default)]
pub(crate) struct Inputs(HashSet<Identity>);

/// A file by itself: links to it and other spellings of its name are the same.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    #[cfg(unix)]
    Node { device: u64, inode: u64 },
    #[cfg_attr(unix, allow(dead_code))]
    Path(PathBuf),
}

impl Identity {
    /// `None` for what does not exist.
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        return std::fs::metadata(path).ok().map(|facts| {
            use std::os::unix::fs::MetadataExt;
            Self::Node { device: facts.dev(), inode: facts.ino() }
        });
        #[cfg(not(unix))]
        path.canonicalize().ok().map(Self::Path)
    }
}

impl Inputs {
    /// Adds files; those that do not exist need no protection.
    pub(crate) fn add<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        self.0.extend(paths.into_iter().filter_map(Identity::of));
    }

    pub(crate) fn contains(&self, path: &Path) -> bool {
        Identity::of(path).is_some_and(|identity| self.0.contains(&identity))
    }
}
