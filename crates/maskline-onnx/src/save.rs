//! Writing a model to disk, weights outside or in place.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::model::Initializer;
use crate::proto::{StringStringEntryProto, TensorProto};
use crate::{Constant, DType, Error, ErrorKind, FileSpan, Model, Result};

/// Weights start at multiples of this, so that a runtime can map them.
const ALIGNMENT: u64 = 64;

/// A checkpoint is linked for this many bytes of unchanged tensors; fewer are copied.
const WORTH_A_LINK: u64 = 1 << 20;

/// Options of a [`Saver`].
#[derive(Debug, Clone)]
pub struct SaveOptions {
    /// Constants below this many bytes stay inside the `.onnx`.
    pub inline_below: usize,
    /// Refer to tensors that lie in a checkpoint unchanged, through a hard link beside the models, instead of copying them.
    /// Where a link is not possible (another file system), they are copied.
    pub in_place: bool,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self { inline_below: 1024, in_place: true }
    }
}

/// What [`Saver::save`] wrote.
#[derive(Debug, Clone)]
pub struct SavedModel {
    /// The `.onnx` file.
    pub model: PathBuf,
    /// Bytes of its weights outside of that file, wherever they lie.
    pub external_bytes: u64,
    /// Bytes of those that were written for it; the others lie in a checkpoint, or were written for a model before it.
    pub written_bytes: u64,
    /// Whether some of them are of half precision ([`Graph::widened`](crate::Graph::widened)): opened, it takes more than it does here.
    pub has_half: bool,
}

/// Writes the models of one directory, in which what they have in common lies once: a checkpoint has one link for all of them, and a
/// tensor that was written for one model is used again by those after it.
#[derive(Debug)]
pub struct Saver {
    directory: PathBuf,
    options: SaveOptions,
    /// Content → where it was written.
    written: HashMap<blake3::Hash, Place>,
    /// Checkpoint → its link; `None` for one that cannot be linked.
    links: BTreeMap<PathBuf, Option<String>>,
}

/// Where the bytes of a tensor lie beside a model.
#[derive(Debug, Clone)]
struct Place {
    file: String,
    offset: u64,
    length: u64,
}

impl Place {
    fn tensor(&self) -> TensorProto {
        let (offset, length) = (self.offset.to_string(), self.length.to_string());
        let entries = [("location", self.file.as_str()), ("offset", offset.as_str()), ("length", length.as_str())];
        let external_data = entries.into_iter().map(|(key, value)| StringStringEntryProto::new(key, value)).collect();
        TensorProto { external_data, data_location: Some(1), ..Default::default() }
    }
}

impl Saver {
    /// For an existing directory, which nobody else writes to.
    pub fn new(directory: &Path, options: SaveOptions) -> Self {
        Self { directory: directory.to_path_buf(), options, written: HashMap::new(), links: BTreeMap::new() }
    }

    /// Writes a model as `<stem>.onnx`, and the weights that lie nowhere yet as `<stem>.weights`: plain ONNX that stands on its own and
    /// can be copied anywhere, together with the rest of the directory.
    ///
    /// # Errors
    /// `Io`, naming the file. The caller writes into a directory aside and renames it when all is there.
    pub fn save(&mut self, stem: &str, model: &Model<'_>) -> Result<SavedModel> {
        if self.options.in_place {
            self.link_checkpoints(model);
        }
        let name = format!("{stem}.weights");
        let mut weights = WeightFile::new(self.directory.join(&name));
        let (mut tensors, mut external_bytes, mut has_half) = (Vec::new(), 0, false);
        for Initializer { constant, hash, .. } in model.initializers() {
            if constant.bytes.len() < self.options.inline_below {
                tensors.push(TensorProto { raw_data: Some(constant.bytes.to_vec()), ..Default::default() });
                continue;
            }
            let length = constant.bytes.len() as u64;
            let place = match (self.in_place(constant), self.written.get(&hash)) {
                (Some(place), _) => place,
                (None, Some(place)) => place.clone(),
                (None, None) => {
                    let place = Place { file: name.clone(), offset: weights.append(&constant.bytes)?, length };
                    self.written.insert(hash, place.clone());
                    place
                }
            };
            external_bytes += length;
            has_half |= matches!(constant.dtype, DType::F16 | DType::BF16);
            tensors.push(place.tensor());
        }
        let written_bytes = weights.finish()?;
        let bytes = model.encode(|i, _| std::mem::take(&mut tensors[i]));
        if bytes.len() as u64 >= 1 << 31 {
            return Err(Error::new(ErrorKind::Invalid, "the graph without its weights exceeds 2 GB"));
        }
        let model = self.directory.join(format!("{stem}.onnx"));
        std::fs::write(&model, bytes).map_err(|e| Error::io(&model, &e))?;
        Ok(SavedModel { model, external_bytes, written_bytes, has_half })
    }

    /// Hard links to checkpoints that the models read in place, each once. The models are valid as long as these keep their content.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.links.values().flatten().map(String::as_str)
    }

    /// Where a constant lies in a linked checkpoint.
    fn in_place(&self, constant: &Constant<'_>) -> Option<Place> {
        let span = usable_span(constant)?;
        let file = self.links.get(&span.path)?.clone()?;
        Some(Place { file, offset: span.offset, length: span.length })
    }

    /// Hard links every checkpoint that holds enough usable tensors of a model and has no link yet.
    fn link_checkpoints(&mut self, model: &Model<'_>) {
        let mut usable = BTreeMap::<&PathBuf, u64>::new();
        for span in model.initializers().into_iter().filter_map(|initializer| usable_span(initializer.constant)) {
            *usable.entry(&span.path).or_default() += span.length;
        }
        for (path, _) in usable.into_iter().filter(|(_, bytes)| *bytes >= WORTH_A_LINK) {
            if self.links.contains_key(path) {
                continue;
            }
            let name = format!("checkpoint-{}", self.links().count());
            // The link must name the file itself: a link to a symbolic link would break with its target.
            let linked = path.canonicalize().and_then(|file| std::fs::hard_link(file, self.directory.join(&name)));
            self.links.insert(path.clone(), linked.ok().map(|()| name));
        }
    }
}

/// A span that a runtime can read as it lies: aligned to its elements.
fn usable_span<'c>(constant: &'c Constant<'_>) -> Option<&'c FileSpan> {
    constant.span.as_ref().filter(|span| span.offset % constant.dtype.size() as u64 == 0)
}

/// The `.weights` file, made when the first tensor comes.
struct WeightFile {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    length: u64,
}

impl WeightFile {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, length: 0 }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let path = &self.path;
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::with_capacity(1 << 20, File::create(path).map_err(|e| Error::io(path, &e))?)),
        };
        let padding = self.length.next_multiple_of(ALIGNMENT) - self.length;
        let zeros = [0; ALIGNMENT as usize];
        file.write_all(&zeros[..padding as usize]).and_then(|()| file.write_all(bytes)).map_err(|e| Error::io(path, &e))?;
        let offset = self.length + padding;
        self.length = offset + bytes.len() as u64;
        Ok(offset)
    }

    fn finish(mut self) -> Result<u64> {
        match &mut self.file {
            Some(file) => file.flush().map_err(|e| Error::io(&self.path, &e)).map(|()| self.length),
            None => Ok(0),
        }
    }
}
