//! Files made byte by byte: a pickle assembler, a zip writer and a safetensors writer, so that the tests need no Python and
//! can make files that no honest program writes.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::path::PathBuf;

use maskline_weights::{Checkpoint, Result};
use tempfile::TempDir;

/// A pickle under construction.
#[derive(Clone)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn op(mut self, opcodes: &[u8]) -> Self {
        self.0.extend_from_slice(opcodes);
        self
    }

    pub(crate) fn str(mut self, text: &str) -> Self {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.op(text.as_bytes())
    }

    pub(crate) fn int(mut self, value: i64) -> Self {
        self.0.extend([0x8a, 8]);
        self.op(&value.to_le_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.op(b"("), |pickle, value| pickle.int(*value)).op(b"t")
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, False, OrderedDict())`.
    pub(crate) fn tensor(self, storage: &Storage, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .str("storage")
            .global("torch", storage.class)
            .str(storage.key)
            .str("cpu")
            .int(storage.count)
            .op(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }

    /// As a saved object, with storages.
    pub(crate) fn archive(self, storages: &[(&str, &[u8])]) -> Vec<u8> {
        torch_zip(&self.stop(), storages)
    }
}

/// A storage as a pickle names it.
pub(crate) struct Storage {
    pub(crate) class: &'static str,
    pub(crate) key: &'static str,
    pub(crate) count: i64,
}

impl Storage {
    pub(crate) fn floats(count: i64) -> Self {
        Self { class: "FloatStorage", key: "0", count }
    }
}

/// What `torch.save` writes around a pickle and its storages.
pub(crate) fn torch_zip(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = Zip::default().entry("model/data.pkl", pickle).entry("model/byteorder", b"little");
    for (key, data) in storages {
        zip = zip.entry(&format!("model/data/{key}"), data);
    }
    zip.entry("model/version", b"3\n").finish()
}

/// A zip archive of stored entries whose data is aligned to 64 bytes, as PyTorch does.
#[derive(Default)]
pub(crate) struct Zip {
    body: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
    /// The compression method to claim; 0 is stored.
    method: u16,
}

impl Zip {
    pub(crate) fn with_method(method: u16) -> Self {
        Self { method, ..Self::default() }
    }

    pub(crate) fn entry(mut self, name: &str, data: &[u8]) -> Self {
        let offset = self.body.len() as u32;
        let unpadded = self.body.len() + 30 + name.len() + 4;
        let padding = unpadded.next_multiple_of(64) - unpadded;
        // From "version needed" to the length of the name: the same in both headers.
        let mut common = [20u16, 0, self.method, 0, 0x21].iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<u8>>();
        for field in [0, data.len() as u32, data.len() as u32] {
            common.extend(field.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        self.body.extend(b"PK\x03\x04");
        self.body.extend(&common);
        self.body.extend((padding as u16 + 4).to_le_bytes());
        self.body.extend(name.as_bytes());
        self.body.extend(b"FB");
        self.body.extend((padding as u16).to_le_bytes());
        self.body.extend(std::iter::repeat_n(b'Z', padding));
        self.body.extend(data);
        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(&common);
        self.directory.extend([0; 12]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count += 1;
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let (offset, length) = (self.body.len() as u32, self.directory.len() as u32);
        self.body.extend(self.directory);
        self.body.extend(b"PK\x05\x06\0\0\0\0");
        self.body.extend([self.count.to_le_bytes(), self.count.to_le_bytes()].concat());
        self.body.extend(length.to_le_bytes());
        self.body.extend(offset.to_le_bytes());
        self.body.extend([0, 0]);
        self.body
    }
}

/// A safetensors file: JSON header, then data.
pub(crate) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let padded = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    [&(padded.len() as u64).to_le_bytes(), padded.as_bytes(), data].concat()
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Opens these bytes as a file called `checkpoint.bin`; the mapping outlives the folder.
pub(crate) fn open(bytes: &[u8]) -> Result<Checkpoint> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("checkpoint.bin");
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::open(&path)
}

/// A folder of reference data beside the repository, or `None` (said on stderr) where it is not there.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    maskline_testing::skip(format_args!("{} is missing", path.display()));
    None
}
