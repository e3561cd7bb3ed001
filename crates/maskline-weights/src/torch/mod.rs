//! PyTorch zip archives, as `torch.save` writes them since version 1.6: a pickle of the object, and one stored
//! (uncompressed) entry per storage, so that every tensor is a view into the file.

mod collect;
mod construct;
mod facts;
mod globals;
mod pickle;
mod value;

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};

const RESAVE: &str = "load it in PyTorch and save it again with torch.save";

/// Lists the tensors of the pickled state dict or module, and keeps its plain values.
pub(crate) fn read(file: &[u8]) -> Result<Contents> {
    let archive = Archive::open(file)?;
    let (values, root) = pickle::load(&file[archive.pickle.clone()])?;
    collect::collect(&values, root, file, &archive.storages)
}

/// The central directory.
struct Archive {
    /// Where the pickle lies in the file.
    pickle: Range<usize>,
    /// Where each storage lies, by key.
    storages: HashMap<String, Range<usize>>,
}

impl Archive {
    fn open(file: &[u8]) -> Result<Self> {
        let mut zip = ZipArchive::new(Cursor::new(file)).map_err(|error| damaged(&error))?;
        let names = (0..zip.len()).map(|index| zip.name_for_index(index).and_then(Result::ok).unwrap_or_default().into_owned());
        let names: Vec<String> = names.collect();
        let folder = folder(&names)?;
        let mut storages = HashMap::new();
        let mut pickle = None;
        for (index, name) in names.iter().enumerate() {
            let Some(name) = name.strip_prefix(folder) else { continue };
            if let Some(key) = name.strip_prefix("data/") {
                storages.insert(key.to_owned(), entry(&mut zip, index, file.len())?);
            } else if name == "data.pkl" {
                pickle = Some(entry(&mut zip, index, file.len())?);
            } else if name == "byteorder" && file[entry(&mut zip, index, file.len())?].trim_ascii() != b"little" {
                return Err(Error::new(ErrorKind::Unsupported, "saved on a big-endian machine")
                    .with_help("load it in PyTorch on an x86 or ARM machine and save it again"));
            } else if name == "constants.pkl" {
                return Err(Error::new(ErrorKind::Unsupported, "a TorchScript archive (a compiled program), not a checkpoint")
                    .with_help("pass the checkpoint it was made from, or save its state_dict() with torch.save"));
            }
        }
        let pickle = pickle.ok_or_else(|| Error::corrupt("data.pkl is not readable"))?;
        Ok(Self { pickle, storages })
    }
}

/// The folder in which `data.pkl` lies, with its slash: named like the file it was first saved to.
fn folder(names: &[String]) -> Result<&str> {
    let mut folders = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
    folders.find(|folder| folder.is_empty() || folder.find('/') == Some(folder.len() - 1)).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "a zip archive without data.pkl: not written by torch.save")
            .with_help("if it is an archive with the checkpoint inside, unpack it first")
    })
}

/// Where the bytes of an entry lie in the file.
fn entry(zip: &mut ZipArchive<Cursor<&[u8]>>, index: usize, file_length: usize) -> Result<Range<usize>> {
    let entry = zip.by_index_raw(index).map_err(|error| damaged(&error))?;
    let name = entry.name().map_err(|error| damaged(&error))?;
    if entry.compression() != CompressionMethod::Stored {
        let message = format!("{name} is compressed ({}); PyTorch stores entries as they are", entry.compression());
        return Err(Error::new(ErrorKind::Unsupported, message).with_help(RESAVE));
    }
    if entry.encrypted() {
        return Err(Error::new(ErrorKind::Unsupported, format!("{name} is encrypted")).with_help(RESAVE));
    }
    let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
    let length = usize::try_from(entry.size()).ok().filter(|_| entry.size() == entry.compressed_size());
    let range = start.zip(length).and_then(|(start, length)| Some(start..start.checked_add(length)?));
    range.filter(|range| range.end <= file_length).ok_or_else(|| Error::corrupt(format!("{name} reaches beyond the end of the file")))
}

fn damaged(error: &zip::result::ZipError) -> Error {
    Error::corrupt(format!("damaged zip archive: {error}"))
        .with_help("the download was probably cut off (the directory of a zip archive is at its end); fetch the file again")
}
