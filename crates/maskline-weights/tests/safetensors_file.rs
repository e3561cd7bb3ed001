//! Look-up by scope, shape checks, in-place spans, and files that are something else.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use maskline_weights::{Attribute, Checkpoint, DType, ErrorKind};
use support::{floats, open, safetensors};

mod support;

/// Tensors of several types; the f32 ones aligned, the bytes in between not.
fn sample() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt","license":"none"},
        "layers.0.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
        "layers.0.bias":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},
        "layers.2.bias":{"dtype":"BF16","shape":[2],"data_offsets":[28,32]},
        "layers.10.wide":{"dtype":"F64","shape":[],"data_offsets":[32,40]},
        "layers_more.x":{"dtype":"F32","shape":[0,4],"data_offsets":[40,40]},
        "steps":{"dtype":"I64","shape":[1],"data_offsets":[40,48]},
        "flag":{"dtype":"BOOL","shape":[1],"data_offsets":[48,49]},
        "odd.weight":{"dtype":"F32","shape":[1],"data_offsets":[49,53]},
        "odd.fp8":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[53,54]}}"#;
    let mut data = floats(&[1.0, -2.0, 3.5, f32::MIN_POSITIVE, 5.0, 6.0]);
    data.extend([0x00, 0x3c, 0x00, 0xc0]); // 1, -2 as f16
    data.extend([0x80, 0x3f, 0x40, 0xc0]); // 1, -3 as bf16
    data.extend(0.1f64.to_le_bytes());
    data.extend(7i64.to_le_bytes());
    data.push(1);
    data.extend(9.25f32.to_le_bytes());
    data.push(0x38);
    safetensors(header, &data)
}

#[test]
fn values_are_converted_and_spans_point_at_them() {
    let bytes = sample();
    let checkpoint = open(&bytes).unwrap();
    let layers = checkpoint.root().push("layers");
    let weight = layers.push(0).f32("weight", &[2, 3]).unwrap();
    assert_eq!(weight.data[..], [1.0, -2.0, 3.5, f32::MIN_POSITIVE, 5.0, 6.0]);
    assert!(matches!(weight.data, Cow::Borrowed(_)), "aligned f32 is read in place");
    let span = weight.span.unwrap();
    assert_eq!(span.path, checkpoint.path().unwrap());
    assert_eq!(bytes[span.offset as usize..][..span.length as usize], floats(&weight.data));
    let bias = layers.push(0).f32("bias", &[2]).unwrap();
    assert_eq!((&bias.data[..], bias.span), (&[1.0, -2.0][..], None), "widened values are not in the file");
    assert_eq!(layers.push(2).f32("bias", &[2]).unwrap().data[..], [1.0, -3.0]);
    assert_eq!(layers.push(10).f32("wide", &[]).unwrap().data[..], [0.1f32]);
    let unaligned = checkpoint.root().f32("odd.weight", &[1]).unwrap();
    assert_eq!(unaligned.data[..], [9.25]);
    assert_eq!(unaligned.span.unwrap().length, 4);
    let empty = checkpoint.root().f32("layers_more.x", &[0, 4]).unwrap();
    assert!(empty.data.is_empty() && empty.span.is_none());
    let half = layers.push(0).raw("bias", &[2]).unwrap();
    assert_eq!((half.dtype, &half.bytes[..]), (DType::F16, &[0x00, 0x3c, 0x00, 0xc0][..]));
    assert_eq!(half.span.unwrap().length, 4);
}

#[test]
fn scopes_nest_and_list_their_children() {
    let checkpoint = open(&sample()).unwrap();
    let root = checkpoint.root();
    assert_eq!(root.name(), "");
    assert_eq!(root.push("layers").push(0).name(), "layers.0");
    assert_eq!(root.push("layers").children(), ["0", "2", "10"], "numeric order, and nothing of layers_more");
    assert_eq!(root.children(), ["flag", "layers", "layers_more", "odd", "steps"]);
    assert_eq!(root.push("layers.0").children(), ["bias", "weight"]);
    assert!(root.push("layers.0.weight").children().is_empty() && root.push("no").children().is_empty());
    assert!(root.push("layers").push(0).contains("weight") && !root.push("layers").contains("weight"));
    assert_eq!(root.push("layers").shape("0.weight").unwrap(), [2, 3]);
    assert_eq!(root.push("layers.0.weight").f32("", &[2, 3]).unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(checkpoint.info("steps").unwrap().dtype, DType::I64);
    assert_eq!(checkpoint.attribute(&["format"]), Some(&Attribute::Str("pt".into())));
    assert!(checkpoint.attribute(&["format", "x"]).is_none() && checkpoint.attribute(&[]).is_none());
}

#[test]
fn errors_name_tensor_file_and_what_was_found() {
    let checkpoint = open(&sample()).unwrap();
    let layer = checkpoint.root().push("layers").push(0);
    let error = layer.f32("weight", &[3, 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(error.message(), "layers.0.weight: expected [3, 2], found [2, 3]");
    assert_eq!((error.expected(), error.found()), (Some("[3, 2]"), Some("[2, 3]")));
    assert_eq!(error.place(), error.path().map(|path| path.display().to_string()));
    assert_eq!(error.path(), checkpoint.path());
    assert!(error.to_string().contains("\n  in   ") && error.to_string().contains("checkpoint.bin"));
    let error = layer.f32("weigth", &[3, 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.message().starts_with("layers.0.weigth") && error.help().unwrap().contains("layers.0.weight"), "{error}");
    let error = checkpoint.root().f32("steps", &[1]).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::DType, "steps: expected a floating point tensor, found i64"));
    let error = checkpoint.root().f32("odd.fp8", &[1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DType);
    assert!(error.message().contains("F8_E4M3"), "{error}");
}

#[test]
fn unused_tensors_are_those_that_nobody_read() {
    let checkpoint = open(&sample()).unwrap();
    let root = checkpoint.root();
    assert_eq!(checkpoint.unused().len(), 8);
    root.shape("layers.0.weight").unwrap();
    assert!(root.contains("flag") && root.f32("layers.0.weight", &[1]).is_err());
    assert_eq!(checkpoint.unused().len(), 8, "looking is not reading");
    root.f32("layers.0.weight", &[2, 3]).unwrap();
    root.raw("flag", &[1]).unwrap();
    std::thread::scope(|scope| scope.spawn(|| root.raw("steps", &[1]).map(drop)).join().unwrap().unwrap());
    assert_eq!(checkpoint.unused(), ["layers.0.bias", "layers.10.wide", "layers.2.bias", "layers_more.x", "odd.weight"]);
}

#[test]
fn damaged_files_are_corrupt() {
    let whole = sample();
    for length in 0..whole.len() {
        let error = open(&whole[..length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {length}: {error}");
        assert!(error.path().is_some());
    }
    let header = |header: &str| open(&safetensors(header, &[0; 8])).map_err(|error| error.kind()).map(drop);
    let corrupt = Err(ErrorKind::Corrupt);
    assert_eq!(header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#), Ok(()));
    assert_eq!(header(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#), corrupt, "shape against length");
    assert_eq!(header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#), corrupt, "beyond the end");
    assert_eq!(header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#), corrupt, "backwards");
    let twice = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    assert_eq!(header(twice), corrupt, "overlap");
    let huge = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#;
    assert_eq!(header(huge), corrupt, "overflow");
    let hidden = r#"{"a":{"dtype":"F32","shape":[9223372036854775807,4,0],"data_offsets":[0,0]}}"#;
    assert_eq!(header(hidden), corrupt, "overflow behind a size of zero");
    assert_eq!(header("{not json"), corrupt);
    let mut long = whole;
    long[..8].copy_from_slice(&(1u64 << 30).to_le_bytes());
    assert_eq!(open(&long).unwrap_err().kind(), ErrorKind::Corrupt, "header too large");
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let onnx = [&[0x08, 0x0a, 0x12, 0x07][..], b"pytorch: and so on, and so on"].concat();
    let legacy = [&[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19][..], b".\x80\x02M"].concat();
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases: [(&[u8], &str); 9] = [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "web page"),
        (b"{\"error\": \"Repository not found\"}", "JSON"),
        (&onnx, "ONNX"),
        (&legacy, "before version 1.6"),
        (&tar, "tar archive"),
        (b"GGUF\x03\0\0\0 and so on", "GGUF"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "gzip"),
        (b"an ordinary text of no special kind", "neither"),
    ];
    for (bytes, what) in cases {
        let error = open(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains(what) && error.help().is_some(), "{error}");
    }
    let error = open(b"").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, "the file is empty"));
}

#[test]
fn paths_that_are_no_files() {
    let folder = tempfile::TempDir::new().unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    std::fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
    assert_eq!(Checkpoint::open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt, "an index of no shards");
    std::fs::write(folder.path().join("model.safetensors"), sample()).unwrap();
    assert!(Checkpoint::open(folder.path()).is_ok());
    let error = Checkpoint::open(&folder.path().join("absent.pt")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("absent.pt"));
}
