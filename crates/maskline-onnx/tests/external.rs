//! Which files an existing model needs beside it, and what is refused.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline_onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto};
use maskline_onnx::{Constant, DType, Dialect, Dim, ErrorKind, Graph, ModelHeader, SaveOptions, Saver, external_files};
use prost::Message;

fn tensor(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    let external_data: Vec<StringStringEntryProto> = entries.iter().map(|entry| StringStringEntryProto::new(entry.0, entry.1)).collect();
    TensorProto { name: name.into(), dims: vec![2, 3], data_type: 1, external_data, data_location: Some(1), ..Default::default() }
}

/// A model with these initializers, one of them inside of a constant node.
fn write(path: &Path, mut tensors: Vec<TensorProto>) {
    let inner = tensors.pop().unwrap();
    let attribute = AttributeProto { name: "value".into(), t: Some(inner), r#type: 4, ..Default::default() };
    let node = NodeProto { output: vec!["c".into()], op_type: "Constant".into(), attribute: vec![attribute], ..Default::default() };
    let graph = GraphProto { node: vec![node], initializer: tensors, ..Default::default() };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    let model = ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() };
    std::fs::write(path, model.encode_to_vec()).unwrap();
}

#[test]
fn all_files_beside_a_model_are_found_wherever_its_tensors_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    for name in ["a.bin", "b.bin"] {
        std::fs::write(folder.path().join(name), [0; 48]).unwrap();
    }
    let inside = TensorProto { name: "w".into(), dims: vec![4096], data_type: 1, raw_data: Some(vec![7; 16384]), ..Default::default() };
    let a = tensor("a", &[("location", "a.bin"), ("offset", "24"), ("length", "24")]);
    write(&path, vec![inside, a.clone(), a, tensor("b", &[("location", "./b.bin")])]);
    assert_eq!(external_files(&path).unwrap(), [folder.path().join("a.bin"), folder.path().join("b.bin")]);

    let mut g = Graph::new("own", Dialect::Portable);
    let x = g.input("x", DType::F32, [Dim::fixed(512)]).unwrap();
    let w = g.constant(Constant::f32(&[512], vec![1.5; 512]).unwrap());
    let y = g.mul(&x, &w).unwrap();
    g.output("y", &y).unwrap();
    let saved = Saver::new(folder.path(), SaveOptions::default()).save("own", &g.finish().unwrap()).unwrap();
    assert_eq!(external_files(&saved.model).unwrap(), [folder.path().join("own.weights")]);
    std::fs::write(&path, b"\x08\x08nonsense").unwrap();
    assert_eq!(external_files(&path).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn data_that_is_missing_too_short_or_elsewhere_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    let path = folder.path().join("inner/model.onnx");
    std::fs::write(folder.path().join("inner/a.bin"), [0; 24]).unwrap();
    std::fs::write(folder.path().join("outside.bin"), [0; 24]).unwrap();
    let absolute = folder.path().join("outside.bin").display().to_string();
    for (entries, word) in [
        (vec![("location", absolute.as_str())], "outside of the model's folder"),
        (vec![("location", "../outside.bin")], "outside of the model's folder"),
        (vec![("location", "x/../../outside.bin")], "outside of the model's folder"),
        (vec![("location", "..\\outside.bin")], "outside of the model's folder"),
        (vec![("location", "absent.bin")], "`absent.bin`, which is missing"),
        (vec![("location", ".")], "which is missing"),
        (vec![("offset", "0")], "does not name"),
        (vec![("location", "a.bin"), ("offset", "1")], "24 bytes"),
        (vec![("location", "a.bin"), ("offset", "-1")], "24 bytes"),
        (vec![("location", "a.bin"), ("offset", "18446744073709551615")], "24 bytes"),
        (vec![("location", "a.bin"), ("length", "99999999999999999999")], "24 bytes"),
    ] {
        write(&path, vec![tensor("spare", &[("location", "a.bin")]), tensor("the.weight", &entries)]);
        let error = external_files(&path).unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == ErrorKind::Format && text.contains(word) && text.contains("the.weight"), "{word}: {text}");
    }
    let huge = TensorProto { dims: vec![i64::MAX, 4], ..tensor("huge", &[("location", "a.bin")]) };
    write(&path, vec![huge.clone()]);
    assert!(external_files(&path).unwrap_err().to_string().contains("huge"));
    write(&path, vec![TensorProto { dims: vec![-1], ..huge }]);
    assert_eq!(external_files(&path).unwrap_err().kind(), ErrorKind::Format);
    assert_eq!(external_files(folder.path()).unwrap_err().kind(), ErrorKind::Format, "a folder is no model");
    assert_eq!(ModelHeader::read(folder.path()).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn damaged_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(folder.path().join("a.bin"), [0; 24]).unwrap();
    write(&path, vec![tensor("a", &[("location", "a.bin")]), tensor("b", &[("location", "a.bin")])]);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        std::fs::write(&path, &whole[..at]).unwrap();
        drop(external_files(&path));
        for byte in [0x00, 0x7f, 0xff, whole[at] ^ 0x08] {
            let mut bad = whole.clone();
            bad[at] = byte;
            std::fs::write(&path, &bad).unwrap();
            drop(external_files(&path));
        }
    }
}
