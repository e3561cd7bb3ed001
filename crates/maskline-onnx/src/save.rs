//! Writing a model to disk, weights outside or in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::proto::TensorProto;
use crate::{Constant, Error, ErrorKind, FileSpan, Model, Result};

/// Weights start at multiples of this, so that a runtime can map them.
const ALIGNMENT: u64 = 64;

/// A checkpoint is linked for this many bytes of unchanged tensors; fewer are copied.
const WORTH_A_LINK: u64 = 1 << 20;

/// Options of [`Model::save`].
#[derive(Debug, Clone)]
pub struct SaveOptions {
    /// File name without extension: `<stem>.onnx`, `<stem>.weights`.
    pub stem: String,
    /// Constants below this many bytes stay inside the `.onnx`.
    pub inline_below: usize,
    /// Refer to tensors that lie in a checkpoint unchanged, through a hard link beside the model, instead of copying them.
    /// Where a link is not possible (another file system), they are copied.
    pub in_place: bool,
}

impl SaveOptions {
    /// The defaults for a file name.
    pub fn new(stem: &str) -> Self {
        Self { stem: stem.into(), inline_below: 1024, in_place: true }
    }
}

/// What [`Model::save`] wrote.
#[derive(Debug, Clone)]
pub struct SavedModel {
    /// The `.onnx` file.
    pub model: PathBuf,
    /// Bytes written beside it.
    pub weight_bytes: u64,
    /// Hard links to checkpoints that the model reads in place. A model is valid as long as these keep their content.
    pub links: Vec<PathBuf>,
}

impl Model<'_> {
    /// Writes the model into an existing directory: plain ONNX that stands on its own and can be copied anywhere.
    ///
    /// # Errors
    /// `Io`, naming the file. The caller writes into a directory aside and renames it when all is there.
    pub fn save(&self, directory: &Path, options: &SaveOptions) -> Result<SavedModel> {
        let mut links = if options.in_place { self.link_checkpoints(directory, &options.stem) } else { BTreeMap::new() };
        let name = format!("{}.weights", options.stem);
        let mut weights = WeightFile::new(directory.join(&name));
        let mut places = Vec::with_capacity(self.initializers.len());
        for (_, constant) in &self.initializers {
            places.push(if constant.bytes.len() < options.inline_below {
                TensorProto { raw_data: Some(constant.bytes.to_vec()), ..Default::default() }
            } else if let Some((link, span)) = usable_span(constant).and_then(|s| links.get(&s.path).map(|link| (link, s))) {
                external(link, span.offset, span.length)
            } else {
                let offset = weights.append(&constant.bytes)?;
                external(&name, offset, constant.bytes.len() as u64)
            });
        }
        let weight_bytes = weights.finish()?;
        let bytes = self.encode(|i, _| std::mem::take(&mut places[i]));
        if bytes.len() as u64 >= 1 << 31 {
            return Err(Error::new(ErrorKind::Invalid, "the graph without its weights exceeds 2 GB"));
        }
        let model = directory.join(format!("{}.onnx", options.stem));
        std::fs::write(&model, bytes).map_err(|e| Error::io(&model, &e))?;
        let links = std::mem::take(&mut links).into_values().map(|name| directory.join(name)).collect();
        Ok(SavedModel { model, weight_bytes, links })
    }

    /// Hard links every checkpoint that holds enough usable tensors: its path → the link's name. One that cannot be linked is left out.
    fn link_checkpoints(&self, directory: &Path, stem: &str) -> BTreeMap<PathBuf, String> {
        let mut usable = BTreeMap::<&PathBuf, u64>::new();
        for span in self.initializers.iter().filter_map(|(_, constant)| usable_span(constant)) {
            *usable.entry(&span.path).or_default() += span.length;
        }
        let mut links = BTreeMap::new();
        for (path, _) in usable.into_iter().filter(|(_, bytes)| *bytes >= WORTH_A_LINK) {
            let name = format!("{stem}.checkpoint-{}", links.len());
            // The link must name the file itself: a link to a symbolic link would break with its target.
            let linked = path.canonicalize().and_then(|file| std::fs::hard_link(file, directory.join(&name)));
            if linked.is_ok() {
                links.insert(path.clone(), name);
            }
        }
        links
    }
}

/// A span that a runtime can read as it lies: aligned to its elements.
fn usable_span<'c>(constant: &'c Constant<'_>) -> Option<&'c FileSpan> {
    constant.span.as_ref().filter(|span| span.offset % constant.dtype.size() as u64 == 0)
}

fn external(location: &str, offset: u64, length: u64) -> TensorProto {
    let (offset, length) = (offset.to_string(), length.to_string());
    let external_data = vec![("location", location).into(), ("offset", offset.as_str()).into(), ("length", length.as_str()).into()];
    TensorProto { external_data, data_location: Some(1), ..Default::default() }
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
