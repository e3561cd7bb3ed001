//! Which files beside an ONNX model hold its weights, found without reading those inside of it.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

use crate::{DType, Error, ErrorKind, Result};

/// Protocol buffers end at 2 GB: no file that a runtime reads is larger.
pub(crate) const MOST_BYTES: u64 = 1 << 31;
/// Graphs inside of nodes inside of graphs; as deep as the readers of protocol buffers go.
const MAX_DEPTH: usize = 100;
/// Names and paths are short: a longer one is skipped where it does not matter, and refused where it does.
const MAX_TEXT: u64 = 4096;

/// The files beside an ONNX model that hold weights of it (external data), each once, sorted. Whoever caches what was made of the model
/// must look at all of these.
///
/// # Errors
/// `Io` if the model cannot be read; `Format` if it is no ONNX model, if a tensor's data lies outside of the model's folder or is
/// missing there, or if the file is too short for it: the message names tensor and file.
pub fn external_files(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let length = checked_length(path)?;
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let mut scanner = Scanner { reader: BufReader::new(file), found: Vec::new() };
    scanner.message(Kind::Model, length, 0).map_err(|why| match why {
        Failure::Io(error) => Error::io(path, &error),
        Failure::Damaged(what) => Error::new(ErrorKind::Format, format!("{}: not an ONNX model: {what}", path.display())),
    })?;
    let mut files = Vec::new();
    for tensor in scanner.found {
        let file = tensor.file_in(folder).map_err(|why| {
            let message = format!("tensor `{:.200}`: {why}\n  in   {}", tensor.name, path.display());
            Error::new(ErrorKind::Format, message)
        })?;
        files.push(file);
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The length of a model file that may be read.
pub(crate) fn checked_length(path: &Path) -> Result<u64> {
    let facts = std::fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    let refuse = |why: String| Err(Error::new(ErrorKind::Format, format!("{}: {why}", path.display())));
    if !facts.is_file() {
        return refuse("not an ONNX model: not a regular file".into());
    }
    if facts.len() >= MOST_BYTES {
        return refuse(format!("not an ONNX model: {} bytes, and none has {MOST_BYTES} or more", facts.len()));
    }
    Ok(facts.len())
}

/// A message of `onnx.proto`, as far as tensors lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Sparse,
    Tensor,
}

impl Kind {
    /// The message in a field.
    fn child(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Node, 5) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            _ => return None,
        })
    }
}

/// What a tensor says about where its data lies.
#[derive(Debug, Default)]
struct External {
    name: String,
    dims: Vec<i64>,
    data_type: i32,
    is_external: bool,
    location: String,
    offset: String,
    length: String,
}

impl External {
    /// The file, checked to be in the folder and long enough.
    fn file_in(&self, folder: &Path) -> Result<PathBuf, String> {
        let location = Path::new(&self.location);
        if self.location.is_empty() {
            return Err("its data lies in another file, which it does not name".into());
        }
        let stays = location.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !stays || self.location.contains(['\\', '\0']) {
            return Err(format!(
                "its data lies in `{:.200}`, outside of the model's folder\n  help: export again with the data beside the model",
                self.location
            ));
        }
        let file = folder.join(location);
        let facts = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file);
        let Some(facts) = facts else {
            return Err(format!("its data lies in `{:.200}`, which is missing\n  help: put that file beside the model", self.location));
        };
        let number = |text: &str, default: Option<u64>| if text.is_empty() { default } else { text.trim().parse().ok() };
        let (offset, length) = (number(&self.offset, Some(0)), number(&self.length, Some(self.bytes()?)));
        let end = offset.zip(length).and_then(|(offset, length)| offset.checked_add(length));
        match end {
            Some(end) if end <= facts.len() => Ok(file),
            _ => Err(format!(
                "its data lies in `{:.200}` from byte {} on, {} bytes long, and that file has {} bytes\n  help: the file is of another export or was cut off",
                self.location,
                if self.offset.is_empty() { "0" } else { &self.offset },
                length.map_or_else(|| self.length.clone(), |length| length.to_string()),
                facts.len()
            )),
        }
    }

    /// Bytes of the elements; 0 for types of which this crate does not know the size.
    fn bytes(&self) -> Result<u64, String> {
        let size = DType::from_code(self.data_type).map_or(0, |dtype| dtype.size() as u64);
        let sizes = self.dims.iter().map(|dim| u64::try_from(*dim).ok());
        let bytes = sizes.into_iter().try_fold(size, |bytes, dim| bytes.checked_mul(dim?));
        bytes.ok_or_else(|| format!("its shape {:?} is none", self.dims))
    }
}

/// Why a scan ended early.
enum Failure {
    Io(std::io::Error),
    Damaged(&'static str),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::UnexpectedEof { Self::Damaged("it is cut off") } else { Self::Io(error) }
    }
}

/// Walks the messages of a file and skips the weights in it.
struct Scanner<R> {
    reader: BufReader<R>,
    found: Vec<External>,
}

impl<R: Read + Seek> Scanner<R> {
    /// A message of so many bytes, at a depth.
    fn message(&mut self, kind: Kind, length: u64, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::Damaged("it is nested too deeply"));
        }
        let mut left = length;
        let mut tensor = External::default();
        while left > 0 {
            let tag = self.varint(&mut left)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => {
                    let value = self.varint(&mut left)?;
                    if kind == Kind::Tensor {
                        tensor.number(field, value);
                    }
                }
                1 => self.skip(8, &mut left)?,
                5 => self.skip(4, &mut left)?,
                2 => {
                    let inner = self.varint(&mut left)?;
                    match (kind.child(field), kind == Kind::Tensor) {
                        _ if inner > left => return Err(Failure::Damaged("a part of it is longer than the whole")),
                        (Some(child), _) => {
                            left -= inner;
                            self.message(child, inner, depth + 1)?;
                        }
                        (None, true) => {
                            left -= inner;
                            self.tensor_field(field, inner, &mut tensor)?;
                        }
                        (None, false) => self.skip(inner, &mut left)?,
                    }
                }
                _ => return Err(Failure::Damaged("an unknown kind of field")),
            }
        }
        if tensor.is_external {
            self.found.push(tensor);
        }
        Ok(())
    }

    /// The dimensions, the name, or an entry about external data, of so many bytes; weights are skipped.
    fn tensor_field(&mut self, field: u64, length: u64, tensor: &mut External) -> Result<(), Failure> {
        let mut left = length;
        match field {
            1 => {
                while left > 0 {
                    tensor.number(1, self.varint(&mut left)?);
                }
            }
            8 => tensor.name = self.text(length, &mut left)?.unwrap_or_else(|| "?".into()),
            13 => {
                tensor.is_external = true;
                let (key, value) = self.entry(length)?;
                match key.as_str() {
                    "location" => tensor.location = value,
                    "offset" => tensor.offset = value,
                    "length" => tensor.length = value,
                    _ => {}
                }
            }
            _ => self.skip(length, &mut left)?,
        }
        Ok(())
    }

    /// Key and value of a `StringStringEntryProto`.
    fn entry(&mut self, length: u64) -> Result<(String, String), Failure> {
        let (mut left, mut pair) = (length, [String::new(), String::new()]);
        while left > 0 {
            let tag = self.varint(&mut left)?;
            if tag & 7 != 2 {
                return Err(Failure::Damaged("an entry about external data is none"));
            }
            let inner = self.varint(&mut left)?;
            if inner > left {
                return Err(Failure::Damaged("a part of it is longer than the whole"));
            }
            match tag >> 3 {
                field @ (1 | 2) => {
                    let text = self.text(inner, &mut left)?.ok_or(Failure::Damaged("the name of an external file is too long"))?;
                    pair[field as usize - 1] = text;
                }
                _ => self.skip(inner, &mut left)?,
            }
        }
        let [key, value] = pair;
        Ok((key, value))
    }

    /// A text; `None` where it is longer than any that matters.
    fn text(&mut self, length: u64, left: &mut u64) -> Result<Option<String>, Failure> {
        if length > MAX_TEXT {
            self.skip(length, left)?;
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes)?;
        *left -= length;
        String::from_utf8(bytes).map(Some).map_err(|_| Failure::Damaged("a name that is no text"))
    }

    fn varint(&mut self, left: &mut u64) -> Result<u64, Failure> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            *left = left.checked_sub(1).ok_or(Failure::Damaged("a number reaches beyond its part"))?;
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(Failure::Damaged("a number of more than 64 bits"))
    }

    fn skip(&mut self, length: u64, left: &mut u64) -> Result<(), Failure> {
        *left = left.checked_sub(length).ok_or(Failure::Damaged("a part of it is longer than the whole"))?;
        // No longer than a file of less than 2 GB.
        self.reader.seek_relative(length as i64)?;
        Ok(())
    }
}

impl External {
    fn number(&mut self, field: u64, value: u64) {
        match field {
            // No tensor has more; a file could hold billions.
            1 if self.dims.len() < 64 => self.dims.push(value as i64),
            2 => self.data_type = value as i32,
            14 => self.is_external |= value == 1,
            _ => {}
        }
    }
}
