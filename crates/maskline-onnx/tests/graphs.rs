//! Building, naming, errors and saving.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use maskline_onnx::{Constant, DType, Dialect, Dim, ErrorKind, FileSpan, Graph, Model, ModelHeader, SaveOptions, Saver};
use maskline_runtime::{Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, Tensor, load};
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
    let error = g.scoped("norm", |g| g.layer_norm(&x, &w, None, 1e-5)).unwrap_err();
    assert_eq!(error.to_string(), "norm.LayerNormalization: expected parameters [4], found [5, 3]");
    assert_eq!((error.place(), error.expected(), error.found()), (Some("norm.LayerNormalization"), Some("parameters [4]"), Some("[5, 3]")));
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
    let mut saver = Saver::new(folder, SaveOptions { in_place, inline_below: 8 });
    let saved = saver.save("m", &g.finish().unwrap()).unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::File(&saved.model), &LaneOptions::default()).unwrap();
    let indices: Vec<i64> = (last - 4..last).collect();
    let outputs = lane.run(Job::new([("at", Tensor::new([4], indices).unwrap())])).unwrap();
    (outputs.f32("y").unwrap().data.to_vec(), saver.links().count())
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

/// A model that adds these constants, each of 2 MB, to its input.
fn sum(constants: Vec<Constant<'_>>) -> Model<'_> {
    let mut g = Graph::new("test", Dialect::Portable);
    let mut y = g.input("x", DType::F32, [Dim::fixed(1 << 19)]).unwrap();
    for constant in constants {
        let w = g.constant(constant);
        y = g.add(&y, &w).unwrap();
    }
    g.output("y", &y).unwrap();
    g.finish().unwrap()
}

fn first_of_sum(path: &Path) -> f32 {
    let lane = Lane::open(&LIBRARY, ModelSource::File(path), &LaneOptions::default()).unwrap();
    let outputs = lane.run(Job::new([("x", Tensor::new([1 << 19], vec![0.0_f32; 1 << 19]).unwrap())])).unwrap();
    outputs.f32("y").unwrap().data[0]
}

#[test]
fn what_models_of_one_folder_share_lies_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    let kept = vec![1.0_f32; 1 << 19];
    let bytes = 4 * kept.len() as u64;
    std::fs::write(&path, bytemuck::cast_slice(&kept)).unwrap();
    let span = || Some(FileSpan { path: path.clone(), offset: 0, length: bytes });
    let stored = || Constant::f32(&[1 << 19], &kept[..]).unwrap().located(span());
    let computed = |value: f32| Constant::f32(&[1 << 19], vec![value; 1 << 19]).unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let mut saver = Saver::new(&out, SaveOptions::default());
    let first = saver.save("first", &sum(vec![stored(), computed(2.0)])).unwrap();
    let second = saver.save("second", &sum(vec![stored(), computed(2.0), computed(4.0)])).unwrap();
    let third = saver.save("third", &sum(vec![computed(4.0), computed(2.0)])).unwrap();
    assert_eq!([&first, &second, &third].map(|saved| saved.written_bytes / bytes), [1, 1, 0]);
    assert_eq!([&first, &second, &third].map(|saved| saved.external_bytes / bytes), [2, 3, 2]);
    assert_eq!(saver.links().collect::<Vec<_>>(), ["checkpoint-0"]);
    assert!(!out.join("third.weights").exists());
    assert_eq!([&first, &second, &third].map(|saved| first_of_sum(&saved.model)), [3.0, 7.0, 6.0]);
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
