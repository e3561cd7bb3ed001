//! Telling files apart by their first bytes, and saying what to do about those that are no checkpoints.

use crate::error::{Error, ErrorKind, Result};

/// The two forms that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Safetensors,
    TorchZip,
}

/// The form of a file, from its contents.
pub(crate) fn detect(file: &[u8]) -> Result<Format> {
    if file.starts_with(b"PK\x03\x04") || file.starts_with(b"PK\x05\x06") {
        return Ok(Format::TorchZip);
    }
    // Before the magic numbers of others, since the length in front of the header may look like any of them.
    if is_safetensors(file) {
        return Ok(Format::Safetensors);
    }
    if let Some((what, help)) = foreign(file) {
        return Err(Error::new(ErrorKind::Unsupported, what).with_help(help));
    }
    if file.len() < 16 {
        return Err(Error::corrupt(format!("a file of {} bytes holds no weights", file.len())).with_help(DOWNLOAD));
    }
    Err(Error::new(ErrorKind::Unsupported, "neither a safetensors file nor a PyTorch zip archive")
        .with_help("pass a .safetensors file, or a .pt file saved by PyTorch 1.6 or later"))
}

/// Eight bytes of header length, then a JSON object. A length beyond the file or the format's limit of 100 MB is for the
/// reader to report; one of 2⁴⁰ and more is something else.
fn is_safetensors(file: &[u8]) -> bool {
    matches!(file, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

const DOWNLOAD: &str = "download the checkpoint again, and compare its size with the published one";
const RESAVE: &str = "load it in PyTorch and save it again (torch.save writes zip archives since 1.6), or convert it to safetensors";
const OFFICIAL: &str = "maskline emits its own graphs: pass the official checkpoint (.safetensors or .pt)";

/// What a file is that is no checkpoint, and the way out.
fn foreign(file: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = file.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let opens = |prefix: &[u8]| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if opens(b"version https://git-lfs") {
        return Some(("a Git LFS pointer, not the weights themselves", "run `git lfs pull`, or download the file over HTTP"));
    }
    if opens(b"<!doctype") || opens(b"<html") || opens(b"<?xml") {
        return Some((
            "a web page, not a checkpoint",
            "the download ended at an error or log-in page; fetch the file from its direct link",
        ));
    }
    if opens(b"{") || opens(b"[") {
        return Some(("a JSON text, not a checkpoint", "pass the weights beside it (usually model.safetensors)"));
    }
    // Legacy files start with a pickled magic number; other pickles start with their protocol version.
    if matches!(file, [0x80, 1..=5, ..]) {
        return Some(("a bare pickle, as PyTorch wrote before version 1.6, not a zip archive", RESAVE));
    }
    if file.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive, as PyTorch wrote before version 0.2, or one to unpack first", RESAVE));
    }
    // ModelProto: ir_version (field 1) as a small varint, then producer_name, opset or graph.
    if matches!(file, [0x08, 1..=20, 0x12 | 0x3a | 0x42, ..]) {
        return Some(("an ONNX model", OFFICIAL));
    }
    let known: [(&[u8], &str, &str); 6] = [
        (b"GGUF", "a GGUF file", OFFICIAL),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)", OFFICIAL),
        (b"\x93NUMPY", "a NumPy array", OFFICIAL),
        (b"\x1f\x8b", "a gzip archive", "unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it first"),
    ];
    known.iter().find(|(magic, ..)| file.starts_with(magic)).map(|&(_, what, help)| (what, help))
}
