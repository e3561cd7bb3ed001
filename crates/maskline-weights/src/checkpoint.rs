//! An opened checkpoint: what is in it, and what of it was used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::Mmap;

use crate::attribute::Attribute;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{self, Format};
use crate::generated::Generator;
use crate::layout::Layout;
use crate::scope::Scope;
use crate::synthetic::Init;
use crate::tensor::{FileSpan, RawTensor, Tensor, TensorInfo};
use crate::{mmap, safetensors, torch};

/// The tensors and plain facts of one checkpoint file, or generated weights.
///
/// Values are not read before they are asked for; the file stays mapped as long as this lives.
#[derive(Debug)]
pub struct Checkpoint {
    source: Source,
    /// Sorted by name.
    tensors: Vec<Stored>,
    facts: Facts,
    /// Tensors of element types that are not read, with the name of the type.
    skipped: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Source {
    File { path: PathBuf, map: Mmap },
    Memory(&'static [u8]),
    Generated(Generator),
}

#[derive(Debug)]
struct Stored {
    name: String,
    info: TensorInfo,
    layout: Layout,
    used: AtomicBool,
}

/// The plain values beside the tensors.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Attributes of the root module, then the top-level entries of the file, by key.
    pub(crate) root: Vec<(Attribute, Attribute)>,
    /// Attributes of inner modules, by dotted module name.
    pub(crate) modules: BTreeMap<String, Attribute>,
}

/// What a reader finds in a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) tensors: Vec<(String, TensorInfo, Layout)>,
    pub(crate) skipped: BTreeMap<String, String>,
    pub(crate) facts: Facts,
}

impl Checkpoint {
    /// Opens a safetensors file or a PyTorch zip archive, told apart by content, not by name. A directory that holds
    /// `model.safetensors` opens that.
    ///
    /// The file must not be truncated or overwritten in place while the checkpoint lives (replacing it by rename is
    /// fine): a truncated map ends the process with `SIGBUS`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it cannot be read, [`ErrorKind::Unsupported`] if it is something else (the message says what,
    /// and the way out), [`ErrorKind::Corrupt`] if it is damaged, [`ErrorKind::Unsafe`] if PyTorch would run code
    /// when loading it, and [`ErrorKind::Limit`] if it asks for more memory or nesting than a checkpoint can need.
    pub fn open(path: &Path) -> Result<Self> {
        let path = format::resolve(path)?;
        let map = mmap::map(&path)?;
        let contents = match format::detect(&map) {
            Ok(Format::Safetensors) => safetensors::read(&map),
            Ok(Format::TorchZip) => torch::read(&map),
            Err(error) => Err(error),
        }
        .map_err(|error| error.in_file(&path))?;
        Ok(Self::from_contents(Source::File { path, map }, contents))
    }

    /// The tensors of a safetensors file that the program carries.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        Ok(Self::from_contents(Source::Memory(bytes), safetensors::read(bytes)?))
    }

    /// Generated weights: every tensor that is asked for exists, in the shape that is asked for. The values depend on the
    /// seed, the full name of the tensor and its [`Init`] alone.
    pub fn synthetic(seed: u64) -> Self {
        Self::from_contents(Source::Generated(Generator::new(seed)), Contents::default())
    }

    /// Writes the generated tensors that were asked for so far to a safetensors file, f32, in the names that they were asked for
    /// by. It appears whole or not at all. Read back, it gives the same values: other programs can run the same network.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if this is a file already, [`ErrorKind::Shape`] if a tensor was asked for in two shapes,
    /// [`ErrorKind::Io`] if the file cannot be written.
    pub fn write_generated(&self, path: &Path) -> Result<()> {
        match &self.source {
            Source::Generated(generator) => generator.write(path),
            Source::File { .. } | Source::Memory(_) => {
                Err(self.in_file(Error::new(ErrorKind::Unsupported, "expected generated weights, found those of a file")))
            }
        }
    }

    fn from_contents(source: Source, contents: Contents) -> Self {
        let Contents { mut tensors, skipped, facts } = contents;
        tensors.sort_by(|left, right| left.0.cmp(&right.0));
        let stored = |(name, info, layout)| Stored { name, info, layout, used: AtomicBool::new(false) };
        Self { source, tensors: tensors.into_iter().map(stored).collect(), facts, skipped }
    }

    /// Whether the weights are generated.
    pub fn is_synthetic(&self) -> bool {
        matches!(self.source, Source::Generated(_))
    }

    /// The file; `None` for generated weights and for those that the program carries.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File { path, .. } => Some(path),
            Source::Memory(_) | Source::Generated(_) => None,
        }
    }

    /// The whole file, for hashing; `None` for generated weights.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.source {
            Source::File { map, .. } => Some(map),
            Source::Memory(bytes) => Some(bytes),
            Source::Generated(_) => None,
        }
    }

    /// Full names of all tensors, sorted; none for generated weights.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|tensor| tensor.name.as_str())
    }

    /// Element type and shape of a tensor by its full name. Does not count as use.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.find(name).map(|tensor| &tensor.info)
    }

    /// The scope of all tensors, with an empty prefix.
    pub fn root(&self) -> Scope<'_> {
        Scope::root(self)
    }

    /// A plain value beside the tensors, by a path of keys: `["names"]`, `["yaml", "nc"]`, `["kpt_shape"]`.
    ///
    /// Of a PyTorch file: the attributes of the pickled model, else the top-level entries (`["train_args", "imgsz"]`),
    /// else the attributes of an inner module (`["model", "22", "nc"]`). Of a safetensors file: its `__metadata__`. An
    /// empty path names nothing.
    pub fn attribute(&self, path: &[&str]) -> Option<&Attribute> {
        let (first, rest) = path.split_first()?;
        let root = self.facts.root.iter().filter(|(key, _)| key.as_str() == Some(*first)).map(|(_, value)| value);
        let mut found = root.filter_map(|value| descend(value, rest));
        found.next().or_else(|| {
            (1..path.len()).rev().find_map(|depth| {
                let module = self.facts.modules.get(&path[..depth].join("."))?;
                descend(module, &path[depth..])
            })
        })
    }

    /// Full names of the tensors that nobody has read, sorted.
    pub fn unused(&self) -> Vec<String> {
        let unused = self.tensors.iter().filter(|tensor| !tensor.used.load(Ordering::Relaxed));
        unused.map(|tensor| tensor.name.clone()).collect()
    }

    /// Names that start with `prefix`, as one sorted run.
    pub(crate) fn names_under(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let start = self.tensors.partition_point(|tensor| tensor.name.as_str() < prefix);
        self.tensors[start..].iter().map(|tensor| tensor.name.as_str()).take_while(move |name| name.starts_with(prefix))
    }

    pub(crate) fn stored_shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.require(name)?.info.shape)
    }

    pub(crate) fn read_f32(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor<'_>> {
        if let Source::Generated(generator) = &self.source {
            check_count(name, shape)?;
            let data = generator.tensor(name, shape, init);
            return Ok(Tensor { shape: shape.to_vec(), data: data.into(), span: None });
        }
        self.read_raw(name, shape)?.into_f32(name).map_err(|error| self.in_file(error))
    }

    pub(crate) fn read_raw(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>> {
        let (path, map): (_, &[u8]) = match &self.source {
            Source::File { path, map } => (Some(path), map),
            Source::Memory(bytes) => (None, bytes),
            Source::Generated(_) => return Ok(RawTensor::from_f32(self.read_f32(name, shape, Init::Auto)?)),
        };
        let tensor = self.require(name)?;
        let TensorInfo { dtype, shape: found } = &tensor.info;
        if found != shape {
            let message = format!("{name}: expected {shape:?}, found {found:?}");
            return Err(self.in_file(Error::new(ErrorKind::Shape, message)));
        }
        tensor.used.store(true, Ordering::Relaxed);
        let span = match &tensor.layout {
            Layout::Contiguous(range) if !range.is_empty() => {
                path.map(|path| FileSpan { path: path.clone(), offset: range.start as u64, length: range.len() as u64 })
            }
            Layout::Contiguous(_) | Layout::Strided { .. } => None,
        };
        let bytes = tensor.layout.read(map, shape, dtype.size());
        Ok(RawTensor { dtype: *dtype, shape: shape.to_vec(), bytes, span })
    }

    fn find(&self, name: &str) -> Option<&Stored> {
        let index = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()?;
        Some(&self.tensors[index])
    }

    fn require(&self, name: &str) -> Result<&Stored> {
        self.find(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        if self.is_synthetic() {
            return Error::new(ErrorKind::Missing, format!("{name}: generated weights have no shape of their own"))
                .with_help("take the shape from the model's configuration");
        }
        if let Some(dtype) = self.skipped.get(name) {
            return self.in_file(Error::new(ErrorKind::DType, format!("{name}: elements of type {dtype} are not read")));
        }
        let error = self.in_file(Error::new(ErrorKind::Missing, format!("{name}: no such tensor")));
        match similar::nearest(name, self.names()) {
            names if names.is_empty() => error.with_help("the checkpoint holds no tensors"),
            names => error.with_help(format!("similar names in the file: {}", names.join(", "))),
        }
    }

    fn in_file(&self, error: Error) -> Error {
        match self.path() {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

fn descend<'a>(value: &'a Attribute, path: &[&str]) -> Option<&'a Attribute> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// A generated tensor has the shape of the request: refuse what cannot be allocated.
fn check_count(name: &str, shape: &[usize]) -> Result<()> {
    let count = shape.iter().try_fold(4usize, |bytes, &size| bytes.checked_mul(size));
    if count.is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::new(ErrorKind::Shape, format!("{name}: shape {shape:?} overflows")));
    }
    Ok(())
}

mod similar {
    /// Up to three names with the smallest edit distance, nearest first.
    pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        // Enough for every real checkpoint; keeps the error cheap for a file made to be slow.
        const MAX_NAMES: usize = 20_000;
        const MAX_LENGTH: usize = 256;
        let candidates = names.filter(|name| name.len() <= MAX_LENGTH).take(MAX_NAMES);
        let wanted = &wanted.as_bytes()[..wanted.len().min(MAX_LENGTH)];
        let mut scored: Vec<(usize, &str)> = candidates.map(|name| (distance(wanted, name.as_bytes()), name)).collect();
        scored.sort_unstable();
        let limit = scored.first().map_or(0, |best| best.0 + 4);
        scored.into_iter().take(3).filter(|(score, _)| *score <= limit).map(|(_, name)| name).collect()
    }

    /// Levenshtein distance of two byte strings.
    fn distance(left: &[u8], right: &[u8]) -> usize {
        let mut row: Vec<usize> = (0..=right.len()).collect();
        for (i, a) in left.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, b) in right.iter().enumerate() {
                let substituted = diagonal + usize::from(a != b);
                diagonal = row[j + 1];
                row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
            }
        }
        row[right.len()]
    }
}
