//! Building, naming, errors and saving.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use maskline_onnx::{Constant, DType, Dialect, Dim, ErrorKind, FileSpan, Graph, ModelHeader, SaveOptions};
use maskline_runtime::{Library, LibraryOptions, ModelSource, Session, SessionOptions, Tensor, load};
use proptest::prelude::*;

static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

#[test]
fn errors_name_the_scope_and_both_shapes() {
    let mut g = Graph::new("test", Dialect::Ort);
    let x = g.input("x", DType::F32, [Dim::symbol("batch"), 4.into()]).unwrap();
    let w = g.input("w", DType::F32, [Dim::fixed(5), 3.into()]).unwrap();
    let error = g.scoped("mask_decoder", |g| g.scoped("layers.0", |g| g.matmul(&x, &w))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(error.to_string(), "mask_decoder.layers.0.MatMul: [batch, 4] × [5, 3] do not fit");
    assert_eq!(g.add(&x, &w).unwrap_err().kind(), ErrorKind::Shape);
    let i = g.i64s(&[1]);
    assert_eq!(g.add(&x, &i).unwrap_err().kind(), ErrorKind::DType);
    assert_eq!(g.slice(&x, 1, 3..9).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(g.input("x", DType::F32, [Dim::fixed(1)]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(g.finish().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn equal_constants_are_stored_once_and_what_nobody_needs_is_dropped() {
    let mut g = Graph::new("test", Dialect::Ort);
    let x = g.input("x", DType::F32, [Dim::fixed(3)]).unwrap();
    let a = g.constant(Constant::f32(&[3], vec![1.0, 2.0, 3.0]).unwrap());
    let b = g.constant(Constant::f32(&[3], vec![1.0, 2.0, 3.0]).unwrap());
    let dead = g.constant(Constant::f32(&[3], vec![9.0; 3]).unwrap());
    let _unused = g.mul(&x, &dead).unwrap();
    let y = g.add(&x, &a).and_then(|y| g.mul(&y, &b)).unwrap();
    g.output("y", &y).unwrap();
    let model = g.finish().unwrap();
    assert_eq!((model.node_count(), model.weight_bytes()), (2, 12));
}

/// The last four of `w` picked at run time, with `w` as `constant`, saved and run; and the number of links.
fn last_of_saved(folder: &std::path::Path, constant: Constant<'_>, in_place: bool) -> (Vec<f32>, usize) {
    let mut g = Graph::new("test", Dialect::Portable);
    let at = g.input("at", DType::I64, [Dim::fixed(4)]).unwrap();
    let last = constant.shape()[0] as i64;
    let w = g.constant(constant);
    let y = g.gather(&w, &at, 0).unwrap();
    g.output("y", &y).unwrap();
    let saved = g.finish().unwrap().save(folder, &SaveOptions { in_place, inline_below: 8, ..SaveOptions::new("m") }).unwrap();
    let session = Session::open(&LIBRARY, ModelSource::File(&saved.model), &SessionOptions::default()).unwrap();
    let indices: Vec<i64> = (last - 4..last).collect();
    let outputs = session.run(vec![("at", Tensor::new([4], indices).unwrap())]).unwrap();
    (outputs.f32("y").unwrap().data.to_vec(), saved.links.len())
}

#[test]
fn weights_lie_outside() {
    let folder = tempfile::tempdir().unwrap();
    let tail = vec![0.5, 2.0, 3.0, 4.0];
    assert_eq!(last_of_saved(folder.path(), Constant::f32(&[4], tail.clone()).unwrap(), true), (tail, 0));
}

#[test]
fn large_tensors_are_read_in_place_beyond_two_gigabytes() {
    // A sparse file: only the last pages exist.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    let count = 1 << 19;
    let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let offset = 2_200_000_064;
    let file = std::fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, offset).unwrap();
    let expected = values[count - 4..].to_vec();
    let span = |offset| Some(FileSpan { path: path.clone(), offset, length: bytes.len() as u64 });
    for (i, (offset, in_place, links)) in [(offset, true, 1), (offset, false, 0), (offset + 1, true, 0)].into_iter().enumerate() {
        let out = folder.path().join(i.to_string());
        std::fs::create_dir(&out).unwrap();
        let constant = Constant::f32(&[count], &values[..]).unwrap().located(span(offset));
        assert_eq!(last_of_saved(&out, constant, in_place), (expected.clone(), links), "case {i}");
    }
}

#[test]
fn headers_are_read_back() {
    let mut g = Graph::new("test", Dialect::Ort);
    let x = g.input("x", DType::F32, [Dim::symbol("batch"), 3.into()]).unwrap();
    let y = g.quick_gelu(&x).unwrap();
    g.output("y", &y).unwrap();
    g.metadata("task", "detect");
    let header = ModelHeader::parse(&g.finish().unwrap().to_bytes().unwrap()).unwrap();
    assert_eq!(header.metadata["task"], "detect");
    assert_eq!(header.inputs, [("x".to_string(), Some(DType::F32), vec![None, Some(3)])]);
    assert_eq!((header.producer.as_str(), header.opset), ("maskline", maskline_onnx::OPSET));
}

proptest! {
    #[test]
    fn any_bytes_are_a_model_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(error) = ModelHeader::parse(&bytes) {
            prop_assert_eq!(error.kind(), ErrorKind::Format);
        }
    }
}
