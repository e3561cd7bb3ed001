//! The files in which Linux tells about the computer. Where they are missing, so are the facts.

use std::path::{Path, PathBuf};

/// `/proc`, `/sys` and `/etc`, or a copy of some of it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    /// Those of the running system.
    pub(super) fn of_system() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// The content of a file, without the space around it; the path is relative to the root.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(std::fs::read_to_string(self.root.join(path)).ok()?.trim().to_string())
    }

    /// The number in a file.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<f64> {
        self.read(path)?.parse().ok()
    }

    /// Paths of what lies in a folder and begins with `prefix`, sorted; none where the folder is missing.
    pub(super) fn list(&self, folder: &str, prefix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with(prefix));
        let mut paths: Vec<PathBuf> = names.map(|name| Path::new(folder).join(name)).collect();
        paths.sort();
        paths
    }

    /// A copy of some files, for tests.
    #[cfg(test)]
    pub(super) fn with(root: &Path, files: &[(&str, &str)]) -> Self {
        for (path, content) in files {
            let path = root.join(path);
            let written = std::fs::create_dir_all(path.parent().unwrap_or(root)).and_then(|()| std::fs::write(&path, content));
            written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        Self { root: root.to_path_buf() }
    }
}

/// The value of the first line `name : value`, as in `/proc/cpuinfo` and `/proc/meminfo`.
pub(super) fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    fields(text, name).next()
}

/// The values of all lines `name : value`.
pub(super) fn fields<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let values = text.lines().filter_map(|line| line.split_once(':')).filter(move |(found, _)| found.trim() == name);
    values.map(|(_, value)| value.trim())
}

/// Bytes of a value such as `24626012 kB`.
pub(super) fn kilobytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
