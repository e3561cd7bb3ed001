//! An opened checkpoint: what is in it, and what of it was used.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use memmap2::Mmap;

use crate::attribute::{Attribute, Module};
use crate::contents::{Choice, Contents, Facts, common_prefix, stripped_modules};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Files, Index};
use crate::format::{self, Format};
use crate::generated::Generator;
use crate::layout::Layout;
use crate::renaming::{self, Renaming};
use crate::scope::Scope;
use crate::stored::{Piece, Stored};
use crate::synthetic::Init;
use crate::tensor::{FileSpan, RawTensor, Tensor, TensorInfo};
use crate::{mmap, safetensors, torch};

/// The tensors and plain facts of one checkpoint, in one file or in shards, or generated weights.
///
/// Values are not read before they are asked for; the files stay mapped as long as this lives.
#[derive(Debug)]
pub struct Checkpoint {
    storage: Storage,
    /// Sorted by name.
    tensors: Vec<Stored>,
    facts: Facts,
    /// Tensors of element types that are not read, with the name of the type.
    skipped: BTreeMap<String, String>,
    /// What was taken off in front of all names.
    stripped: String,
    choices: Vec<Choice>,
}

#[derive(Debug)]
enum Storage {
    Files {
        /// The file, or the index of the shards.
        place: PathBuf,
        files: Vec<MappedFile>,
    },
    Memory(&'static [u8]),
    Generated(Generator),
}

#[derive(Debug)]
struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl Checkpoint {
    /// Opens a safetensors file or a PyTorch zip archive, told apart by content, not by name; of a folder or index of shards, the files
    /// of [`files_of`](crate::files_of).
    ///
    /// Counters of profilers, and the names of modules that `torch.compile` and FSDP put around others, are left out.
    ///
    /// The files must not be truncated or overwritten in place while the checkpoint lives (replacing them by rename is
    /// fine): a truncated map ends the process with `SIGBUS`.
    ///
    /// # Errors
    /// As [`files_of`](crate::files_of); [`ErrorKind::Io`] if a file cannot be read, [`ErrorKind::Unsupported`] if it is something else
    /// (the message says what, and the way out), [`ErrorKind::Corrupt`] if it is damaged, [`ErrorKind::Unsafe`] if PyTorch would run
    /// code when loading it, and [`ErrorKind::Limit`] if it asks for more memory or nesting than a checkpoint can need.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of_files(files::resolve(path)?)
    }

    pub(crate) fn of_files(files: Files) -> Result<Self> {
        let Files { place, index, weights } = files;
        let (mut mapped, mut contents) = (Vec::new(), Vec::new());
        for path in weights {
            let map = mmap::map(&path)?;
            contents.push(read(&map).map_err(|error| error.in_file(&path))?);
            mapped.push(MappedFile { path, map });
        }
        if let Some(index) = &index {
            check_shards(index, &contents, &mapped)?;
        }
        Self::from_contents(Storage::Files { place, files: mapped }, contents)
    }

    /// The tensors of a safetensors file that the program carries.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        Self::from_contents(Storage::Memory(bytes), vec![safetensors::read(bytes)?])
    }

    /// Generated weights: every tensor that is asked for exists, in the shape that is asked for. The values depend on the
    /// seed, the full name of the tensor and its [`Init`] alone.
    pub fn synthetic(seed: u64) -> Self {
        Self {
            storage: Storage::Generated(Generator::new(seed)),
            tensors: Vec::new(),
            facts: Facts::default(),
            skipped: BTreeMap::new(),
            stripped: String::new(),
            choices: Vec::new(),
        }
    }

    /// Writes the generated tensors that were asked for so far to a safetensors file, f32, in the names that they were asked for
    /// by. It appears whole or not at all. Read back, it gives the same values: other programs can run the same network.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if this is a file already, [`ErrorKind::Shape`] if a tensor was asked for in two shapes,
    /// [`ErrorKind::Io`] if the file cannot be written.
    pub fn write_generated(&self, path: &Path) -> Result<()> {
        match &self.storage {
            Storage::Generated(generator) => generator.write(path),
            Storage::Files { .. } | Storage::Memory(_) => {
                Err(self.in_file(Error::new(ErrorKind::Unsupported, "").expecting("generated weights").finding("those of a file")))
            }
        }
    }

    /// Joins what was found in each file; facts of earlier files come first.
    fn from_contents(storage: Storage, files: Vec<Contents>) -> Result<Self> {
        let (mut tensors, mut skipped, mut facts, mut choices) = (Vec::new(), BTreeMap::new(), Facts::default(), Vec::new());
        for (file, mut contents) in files.into_iter().enumerate() {
            contents.clean().map_err(|error| storage.in_place(error))?;
            let stored = |(name, info, layout)| Stored::new(name, info, Piece { file, layout });
            tensors.extend(contents.tensors.into_iter().map(stored));
            skipped.append(&mut contents.skipped);
            facts.root.append(&mut contents.facts.root);
            facts.modules.append(&mut contents.facts.modules);
            choices.append(&mut contents.choices);
        }
        tensors.sort_by(|left, right| left.name.cmp(&right.name));
        if let Some([double, _]) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(storage.in_place(Error::corrupt(format!("{:.200}: two shards hold this tensor", double.name))));
        }
        Ok(Self { storage, tensors, facts, skipped, stripped: String::new(), choices })
    }

    /// The first segment of the names, if all tensors have the same one and more after it: what a trainer put the model under.
    pub fn common_prefix(&self) -> Option<&str> {
        common_prefix(self.names().chain(self.skipped.keys().map(String::as_str)))
    }

    /// Takes the [`common_prefix`](Self::common_prefix) off all names; whether there was one.
    pub fn strip_common_prefix(&mut self) -> bool {
        let Some(prefix) = self.common_prefix().map(str::to_owned) else { return false };
        self.keep_under(&prefix);
        true
    }

    /// Keeps only what lies under a dotted prefix, and takes that off the names. What is left out is noted, see
    /// [`choice_notes`](Self::choice_notes).
    pub fn keep_under(&mut self, prefix: &str) {
        let dotted = format!("{prefix}.");
        let left: BTreeSet<String> = self.names().filter(|name| !name.starts_with(&dotted)).map(|name| branch(name, prefix)).collect();
        if !left.is_empty() {
            let taken = format!("{}{prefix}", self.stripped);
            let left = left.into_iter().map(|name| format!("{}{name}", self.stripped)).collect();
            self.choices.push(Choice { taken, left });
        }
        self.tensors.retain(|tensor| tensor.name.starts_with(&dotted));
        self.tensors.iter_mut().for_each(|tensor| drop(tensor.name.drain(..dotted.len())));
        let skipped = std::mem::take(&mut self.skipped).into_iter();
        self.skipped = skipped.filter_map(|(name, dtype)| Some((name.strip_prefix(&dotted)?.to_owned(), dtype))).collect();
        self.facts.modules = stripped_modules(std::mem::take(&mut self.facts.modules), prefix);
        self.facts.adopt_root_module();
        self.stripped += &dotted;
    }

    /// Which weights were taken where the file holds several (averaged ones beside those of the last step, a teacher, a loss with weights
    /// of its own), and what was left out: sentences for people.
    pub fn choice_notes(&self) -> Vec<String> {
        self.choices.iter().map(Choice::note).collect()
    }

    /// What was taken off in front of all names, with its last dot; empty where nothing was.
    pub fn stripped_prefix(&self) -> &str {
        &self.stripped
    }

    /// What a pickle says about one of its modules, by its dotted name; the empty name is the model itself. `None` in state dicts and
    /// safetensors files, which hold tensors only.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.facts.modules.get(name)
    }

    /// All modules of a pickle by dotted name, sorted; none in state dicts and safetensors files.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.facts.modules.iter().map(|(name, module)| (name.as_str(), module))
    }

    /// Gives the tensors the names of another layout, by a rule that takes each name as it is now. Nothing is read or copied: the
    /// elements are those of the files under other names, and a part of a tensor is a tensor, also where use is counted. Messages
    /// tell the [name in the file](Self::name_in_file) beside the new one. Generated weights and the modules of a pickle keep their names.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if two tensors get one name, [`ErrorKind::Missing`] if a part of a table is missing, and
    /// [`ErrorKind::Shape`] if a tensor has not the shape that its [`Renaming`] needs. The names are then as before.
    pub fn rename(&mut self, rule: impl Fn(&str) -> Renaming) -> Result<()> {
        self.tensors = renaming::renamed(&self.tensors, &self.stripped, &rule).map_err(|error| self.in_file(error))?;
        let skipped = std::mem::take(&mut self.skipped).into_iter();
        self.skipped =
            skipped.flat_map(|(name, dtype)| rule(&name).names(name).into_iter().map(move |name| (name, dtype.clone()))).collect();
        Ok(())
    }

    /// The name that a tensor has in the file, where [`rename`](Self::rename) gave it another.
    pub fn name_in_file(&self, name: &str) -> Option<&str> {
        self.find(name)?.origin.as_deref()
    }

    /// A name for messages.
    pub(crate) fn told(&self, name: &str) -> String {
        self.find(name).map_or_else(|| name.to_owned(), Stored::told)
    }

    /// Whether the weights are generated.
    pub fn is_synthetic(&self) -> bool {
        matches!(self.storage, Storage::Generated(_))
    }

    /// The file, or the index of the shards; `None` for generated weights and for those that the program carries.
    pub fn path(&self) -> Option<&Path> {
        self.storage.place()
    }

    /// The bytes of all files, for hashing; none for generated weights.
    pub fn bytes(&self) -> Vec<&[u8]> {
        match &self.storage {
            Storage::Files { files, .. } => files.iter().map(|file| &file.map[..]).collect(),
            Storage::Memory(bytes) => vec![bytes],
            Storage::Generated(_) => vec![],
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
                descend(&module.attributes, &path[depth..])
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
        if let Storage::Generated(generator) = &self.storage {
            check_count(name, shape)?;
            let data = generator.tensor(name, shape, init);
            return Ok(Tensor { shape: shape.to_vec(), data: data.into(), span: None });
        }
        self.read_raw(name, shape)?.into_f32(&self.told(name)).map_err(|error| self.in_file(error))
    }

    pub(crate) fn read_raw(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>> {
        if self.is_synthetic() {
            return Ok(RawTensor::from_f32(self.read_f32(name, shape, Init::Auto)?));
        }
        let tensor = self.require(name)?;
        let TensorInfo { dtype, shape: found } = &tensor.info;
        if found != shape {
            let misfit = Error::new(ErrorKind::Shape, tensor.told()).expecting(format!("{shape:?}")).finding(format!("{found:?}"));
            return Err(self.in_file(misfit));
        }
        tensor.used.store(true, Ordering::Relaxed);
        let bytes = tensor.read(|file| self.storage.map(file));
        Ok(RawTensor { dtype: *dtype, shape: shape.to_vec(), bytes, span: self.span(tensor) })
    }

    /// Where the elements of a tensor lie in one piece and in order.
    fn span(&self, tensor: &Stored) -> Option<FileSpan> {
        let ([Piece { file, layout: Layout::Contiguous(range) }], Storage::Files { files, .. }) = (&tensor.pieces[..], &self.storage)
        else {
            return None;
        };
        let path = || files[*file].path.clone();
        (!range.is_empty()).then(|| FileSpan { path: path(), offset: range.start as u64, length: range.len() as u64 })
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
            names => {
                let names: Vec<String> = names.into_iter().map(|name| self.told(name)).collect();
                error.with_help(format!("similar names in the file: {}", names.join(", ")))
            }
        }
    }

    fn in_file(&self, error: Error) -> Error {
        self.storage.in_place(error)
    }
}

impl Storage {
    /// The bytes of a file.
    fn map(&self, file: usize) -> &[u8] {
        match self {
            Self::Files { files, .. } => &files[file].map[..],
            Self::Memory(bytes) => bytes,
            Self::Generated(_) => &[],
        }
    }

    fn place(&self) -> Option<&Path> {
        match self {
            Self::Files { place, .. } => Some(place),
            Self::Memory(_) | Self::Generated(_) => None,
        }
    }

    fn in_place(&self, error: Error) -> Error {
        match self.place() {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// What a file holds.
fn read(file: &[u8]) -> Result<Contents> {
    match format::detect(file)? {
        Format::Safetensors => safetensors::read(file),
        Format::TorchZip => torch::read(file),
    }
}

/// The shortest part of a name, in whole segments, with which it leaves a dotted prefix.
fn branch(name: &str, prefix: &str) -> String {
    let common = name.split('.').zip(prefix.split('.')).take_while(|(part, other)| part == other).count();
    name.split('.').take(common + 1).collect::<Vec<_>>().join(".")
}

/// Every tensor of the index must be where it says.
fn check_shards(index: &Index, contents: &[Contents], files: &[MappedFile]) -> Result<()> {
    let held = |contents: &Contents| contents.tensors.iter().map(|(name, ..)| name).chain(contents.skipped.keys()).cloned().collect();
    let held: Vec<HashSet<String>> = contents.iter().map(held).collect();
    match index.iter().find(|(name, file)| !held[**file].contains(*name)) {
        Some((name, file)) => {
            let message = format!("{name:.200}: the index of the shards says that it is in this file, and it is not");
            Err(Error::corrupt(message).in_file(&files[*file].path).with_help("download the shards again, all of one version"))
        }
        None => Ok(()),
    }
}

fn descend<'a>(value: &'a Attribute, path: &[&str]) -> Option<&'a Attribute> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The largest tensor of a published model has 0.3 GB; the largest that a picture of 8192 pixels asks for, 1.4 GB.
const MAX_GENERATED_BYTES: usize = 1 << 32;

/// A generated tensor has the shape of the request: refuse what no model can need before memory is asked for.
fn check_count(name: &str, shape: &[usize]) -> Result<()> {
    let bytes = shape.iter().try_fold(size_of::<f32>(), |bytes, &size| bytes.checked_mul(size));
    if bytes.is_some_and(|bytes| bytes <= MAX_GENERATED_BYTES) {
        return Ok(());
    }
    let message = format!("{name}: generated weights of shape {shape:?} would take more than {MAX_GENERATED_BYTES} bytes");
    Err(Error::limit(message).with_help("choose a smaller picture size or architecture"))
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
