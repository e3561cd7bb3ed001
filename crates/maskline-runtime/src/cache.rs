//! A directory cache: what takes time to build is built once, whoever asks.
//!
//! An entry is a directory named by its [`Key`]; it appears whole or not at all. Who uses one holds a shared lock, so that
//! nobody prunes it meanwhile.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind, Result};
use crate::staging::{self, Lock, Staging, lock_path, tree_size};

/// Name of an entry: a hash of all that its content depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// The key of these parts; their lengths count too, so that no two lists share one.
pub fn hash_key<P: AsRef<str>>(parts: impl IntoIterator<Item = P>) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let part = part.as_ref().as_bytes();
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    Key(hasher.finalize().to_hex()[..40].to_string())
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry in use; it cannot be pruned while this lives.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its directory.
    pub path: PathBuf,
    /// Whether it was built by this call.
    pub built: bool,
    /// What went to make room for it, where the cache has a [limit](Cache::with_limit).
    pub evicted: Pruned,
    _in_use: Arc<Lock>,
}

/// What is known of an entry from outside.
#[derive(Debug, Clone)]
pub struct EntryInfo {
    /// Its key.
    pub key: String,
    /// Its directory.
    pub path: PathBuf,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was last asked for.
    pub last_used: SystemTime,
}

/// Which entries [`Cache::prune`] removes.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Those not used for this long.
    pub older_than: Option<Duration>,
    /// The least recently used ones, until the rest is at most this many bytes.
    pub max_bytes: Option<u64>,
    /// All.
    pub all: bool,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What [`Cache::prune`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Number of entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that should have gone but are in use.
    pub in_use: usize,
}

/// What the cache of bundles keeps where `MASKLINE_CACHE_MAX` does not say.
pub const DEFAULT_CACHE_LIMIT: u64 = 10_000_000_000;

/// The most bytes that the cache of bundles is to keep: `MASKLINE_CACHE_MAX` (`5GB`, `800MB`, bytes; `none` for no limit), else
/// [`DEFAULT_CACHE_LIMIT`].
///
/// # Errors
/// `InvalidOption` where the variable is no such size.
pub fn cache_limit() -> Result<Option<u64>> {
    match std::env::var_os("MASKLINE_CACHE_MAX") {
        Some(text) if !text.is_empty() => parse_limit(&text.to_string_lossy()),
        _ => Ok(Some(DEFAULT_CACHE_LIMIT)),
    }
}

fn parse_limit(text: &str) -> Result<Option<u64>> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    match parse_bytes(text) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => Err(error.at("MASKLINE_CACHE_MAX").expecting("a size such as 5GB, or none")),
    }
}

/// A number of bytes as people write it: `5GB`, `800 MB`, `2GiB`, `4096`.
///
/// # Errors
/// `InvalidOption` for other texts.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let trimmed = text.trim().to_ascii_lowercase();
    let (number, unit) = trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len()));
    let factor = match unit.trim() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => f64::NAN,
    };
    let bytes = number.parse::<f64>().unwrap_or(f64::NAN) * factor;
    if bytes.is_finite() && bytes < u64::MAX as f64 {
        return Ok(bytes as u64);
    }
    let error = Error::new(ErrorKind::InvalidOption, "not a size");
    Err(error
        .expecting("a size such as 5GB")
        .finding(format!("{text:?}"))
        .with_help("sizes are a number and KB, MB, GB, TB, or KiB, MiB, GiB, TiB; a plain number is bytes"))
}

/// Between two attempts to build what another one failed to build.
const RETRY: Duration = Duration::from_millis(10);
/// How often it is tried again to remove what seems to be in use.
const PATIENCE: usize = 20;

/// A directory of entries, shared by all processes.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    limit: Option<u64>,
}

impl Cache {
    /// The cache in this directory, which is made when it is first needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), limit: None }
    }

    /// The same cache, which keeps to this many bytes: whenever an entry is built, the least recently used others go until the rest
    /// is that small. Never one that is in use, nor the one just built. `None`: no limit.
    #[must_use]
    pub fn with_limit(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// The most bytes that it keeps.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of a key; where there is none, `build` fills a directory aside, which then becomes the entry.
    ///
    /// Other processes wait meanwhile and find it. A build that fails or crashes leaves no entry.
    ///
    /// # Errors
    /// What `build` returns, and `Io`.
    pub fn get_or_build<E: From<Error>>(&self, key: &Key, build: impl FnOnce(&Path) -> Result<(), E>) -> Result<Entry, E> {
        let target = self.root.join(&key.0);
        if let Some(entry) = self.existing(&target, false)? {
            return Ok(entry);
        }
        let lock = loop {
            if let Some(lock) = Lock::try_exclusive(&lock_path(&target)).map_err(|error| self.unbuildable(error))? {
                break lock;
            }
            // Another one builds it: a shared lock comes when that is done. To wait for the exclusive one would be to wait until nobody
            // uses the entry any more.
            let finished = Lock::shared(&lock_path(&target))?;
            if let Some(entry) = self.existing(&target, false)? {
                return Ok(entry);
            }
            drop(finished);
            std::thread::sleep(RETRY);
        };
        let built = !target.is_dir();
        if built {
            let staging = Staging::beside(&target)?;
            build(staging.path())?;
            staging.commit()?;
        }
        drop(lock);
        let gone = || Error::new(ErrorKind::Cache, "the entry was removed while it was built").at(target.display());
        let mut entry = self.existing(&target, built)?.ok_or_else(gone)?;
        if built {
            entry.evicted = self.keep_to_limit()?;
        }
        Ok(entry)
    }

    /// Makes room where the cache is over its [limit](Cache::with_limit): the least recently used entries go, but for those in use. For
    /// who adds to an entry after it was built.
    ///
    /// # Errors
    /// `Io`.
    pub fn keep_to_limit(&self) -> Result<Pruned> {
        match self.limit {
            Some(limit) => self.prune(&PruneOptions { max_bytes: Some(limit), ..PruneOptions::default() }),
            None => Ok(Pruned::default()),
        }
    }

    /// What it means that nothing can be built here.
    fn unbuildable(&self, error: Error) -> Error {
        if !staging::is_read_only(&error) {
            return error;
        }
        let message = format!("it is not there yet, and the cache cannot be written to: {}", error.sentence());
        Error::new(ErrorKind::Cache, message)
            .at(self.root.display())
            .with_help("build it where the cache can be written to, or set MASKLINE_HOME to a folder of your own")
    }

    fn existing(&self, target: &Path, built: bool) -> Result<Option<Entry>> {
        if !target.is_dir() {
            return Ok(None);
        }
        let lock = Lock::shared(&lock_path(target))?;
        lock.touch();
        Ok(target.is_dir().then(|| Entry { path: target.to_path_buf(), built, evicted: Pruned::default(), _in_use: Arc::new(lock) }))
    }

    /// Removes an entry, if there is one.
    ///
    /// # Errors
    /// `Cache` if it is in use.
    pub fn remove(&self, key: &Key) -> Result<()> {
        let target = self.root.join(&key.0);
        // A process that another thread is just starting holds copies of our locks until it runs its own program: an entry that we have
        // let go of may seem to be in use for a moment.
        for _ in 0..PATIENCE {
            if self.remove_if_free(&target)? || !target.is_dir() {
                return Ok(());
            }
            std::thread::sleep(RETRY);
        }
        Err(Error::new(ErrorKind::Cache, "the entry is in use by another process").at(target.display()))
    }

    fn remove_if_free(&self, target: &Path) -> Result<bool> {
        match Lock::try_exclusive(&lock_path(target))? {
            Some(_lock) if target.is_dir() => staging::remove_dir(target).map(|()| true),
            _ => Ok(false),
        }
    }

    /// All entries, the most recently used first.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read; one that does not exist has no entries.
    pub fn entries(&self) -> Result<Vec<EntryInfo>> {
        let listing = match std::fs::read_dir(&self.root) {
            Ok(listing) => listing,
            Err(error) if matches!(error.kind(), IoKind::NotFound | IoKind::NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&self.root, error)),
        };
        let mut entries: Vec<EntryInfo> = listing
            .flatten()
            .filter(|entry| entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| {
                let path = entry.path();
                let used = std::fs::metadata(lock_path(&path)).and_then(|facts| facts.modified());
                let key = entry.file_name().to_string_lossy().into_owned();
                EntryInfo { key, bytes: tree_size(&path), last_used: used.unwrap_or(SystemTime::UNIX_EPOCH), path }
            })
            .collect();
        entries.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.key.cmp(&b.key)));
        Ok(entries)
    }

    /// Removes entries, and what crashed builds left behind; never one that is in use.
    ///
    /// # Errors
    /// `Io`.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        let now = SystemTime::now();
        let (mut kept, mut pruned) = (0, Pruned::default());
        for entry in self.entries()? {
            let age = now.duration_since(entry.last_used).unwrap_or_default();
            let too_old = options.older_than.is_some_and(|limit| age >= limit);
            let too_much = options.max_bytes.is_some_and(|limit| kept + entry.bytes > limit);
            if !(options.all || too_old || too_much) {
                kept += entry.bytes;
            } else if options.dry_run || self.remove_if_free(&entry.path)? {
                pruned.entries += 1;
                pruned.bytes += entry.bytes;
            } else {
                // It stays, and takes its room.
                kept += entry.bytes;
                pruned.in_use += 1;
            }
        }
        if !options.dry_run {
            self.remove_crashed_builds()?;
        }
        Ok(pruned)
    }

    fn remove_crashed_builds(&self) -> Result<()> {
        let Ok(listing) = std::fs::read_dir(&self.root) else { return Ok(()) };
        for entry in listing.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(target) = staging::leftover_of(&name).map(|target| self.root.join(target)) else { continue };
            if let Some(_lock) = Lock::try_exclusive(&lock_path(&target))? {
                staging::remove_leftovers(&target)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        let read = |text: &str| parse_limit(text).ok();
        for (text, bytes) in
            [("5GB", 5_000_000_000), ("1.5 gb", 1_500_000_000), ("800m", 800_000_000), ("2GiB", 2 << 30), ("123", 123), ("0", 0)]
        {
            assert_eq!(read(text), Some(Some(bytes)), "{text}");
        }
        assert_eq!(read(" None "), Some(None));
        for wrong in ["", "much", "-1GB", "5 G B", "1.2.3GB", "GB", "nan", "99999999999TB"] {
            let error = parse_limit(wrong).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.to_string().contains("MASKLINE_CACHE_MAX") && error.help().is_some(), "{error}");
        }
    }
}
