//! Tensors under other names than in the file.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use maskline_weights::{Checkpoint, DType, ErrorKind, Renaming};
use support::{Pickle, Storage, floats, open, safetensors};
use tempfile::TempDir;

mod support;

/// Six rows of two, then a bias of six.
const VALUES: [f32; 18] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15., 16., 17.];

fn plain() -> Checkpoint {
    let header = r#"{"qkv.weight":{"dtype":"F32","shape":[6,2],"data_offsets":[0,48]},
        "qkv.bias":{"dtype":"F32","shape":[6],"data_offsets":[48,72]}}"#;
    open(&safetensors(header, &floats(&VALUES))).unwrap_or_else(|error| panic!("{error}"))
}

/// The same in a PyTorch archive, the weight once more as a transposed view.
fn pickled() -> Checkpoint {
    let pickle = Pickle::new().op(b"}(").str("qkv.weight").tensor(&Storage::floats(18), 0, &[6, 2], &[2, 1]);
    let pickle = pickle.str("qkv.bias").tensor(&Storage::floats(18), 12, &[6], &[1]);
    let pickle = pickle.str("turned.weight").tensor(&Storage::floats(18), 0, &[2, 6], &[1, 2]).op(b"u");
    open(&pickle.archive(&[("0", &floats(&VALUES))])).unwrap_or_else(|error| panic!("{error}"))
}

fn split(name: &str) -> Renaming {
    match name.strip_prefix("qkv.") {
        Some(kind) => Renaming::Parts(["q", "k", "v"].map(|part| format!("{part}.{kind}")).into()),
        None => Renaming::Kept,
    }
}

#[track_caller]
fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let shape = checkpoint.info(name).unwrap().shape.clone();
    checkpoint.root().f32(name, &shape).unwrap().data.to_vec()
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.names().collect()
}

#[test]
fn parts_are_rows_of_the_file_and_counted_by_themselves() {
    for (mut checkpoint, more) in [(plain(), None), (pickled(), Some("turned.weight"))] {
        checkpoint.rename(split).unwrap();
        let mut expected = vec!["k.bias", "k.weight", "q.bias", "q.weight"];
        expected.extend(more);
        expected.extend(["v.bias", "v.weight"]);
        assert_eq!(names(&checkpoint), expected);
        let k = checkpoint.root().f32("k.weight", &[2, 2]).unwrap();
        assert_eq!((&k.data[..], matches!(k.data, Cow::Borrowed(_))), (&VALUES[4..8], true));
        let (span, file) = (k.span.unwrap(), checkpoint.bytes()[0]);
        assert_eq!(file[span.offset as usize..][..span.length as usize], floats(&VALUES[4..8]));
        assert_eq!(values(&checkpoint, "v.bias"), VALUES[16..]);
        assert_eq!(checkpoint.name_in_file("q.weight"), Some("qkv.weight"));
        let mut left = vec!["k.bias", "q.bias", "q.weight"];
        left.extend(more);
        left.push("v.weight");
        assert_eq!(checkpoint.unused(), left, "reading one part is not reading another");
    }
}

#[test]
fn views_are_cut_turned_and_cut_again() {
    let mut checkpoint = pickled();
    let rule = |name: &str| match name {
        "turned.weight" => Renaming::Transposed("straight.weight".into()),
        "qkv.weight" => Renaming::WithoutFirst("second.weight".into()),
        _ => Renaming::Kept,
    };
    checkpoint.rename(rule).unwrap();
    let straight = checkpoint.root().f32("straight.weight", &[6, 2]).unwrap();
    assert!(straight.data[..] == VALUES[..12] && straight.span.is_some(), "the transpose of a transpose lies in order");
    assert_eq!(checkpoint.info("second.weight").unwrap().shape, [6, 1]);
    assert_eq!(values(&checkpoint, "second.weight"), [1., 3., 5., 7., 9., 11.]);

    let parts = |name: &str| match name {
        "second.weight" => Renaming::Parts(vec!["upper".into(), "lower".into()]),
        "straight.weight" => Renaming::Transposed("turned".into()),
        _ => Renaming::Kept,
    };
    checkpoint.rename(parts).unwrap();
    assert_eq!(values(&checkpoint, "lower"), [7., 9., 11.]);
    assert_eq!(values(&checkpoint, "turned"), [0., 2., 4., 6., 8., 10., 1., 3., 5., 7., 9., 11.]);
    assert_eq!(checkpoint.name_in_file("lower"), Some("qkv.weight"), "the name is that in the file, however often it changed");
    assert_eq!(checkpoint.name_in_file("qkv.bias"), None);
}

#[test]
fn a_table_is_joined_of_rows_in_any_shard() {
    let folder = TempDir::new().unwrap();
    // Row 1 in the first file, rows 0 and 2 in the second.
    let row = |name: &str, range: [usize; 2]| format!(r#""row.{name}":{{"dtype":"F32","shape":[1,2],"data_offsets":{range:?}}}"#);
    let first = safetensors(&format!("{{{}}}", row("1", [0, 8])), &floats(&[2., 3.]));
    let second = safetensors(&format!("{{{},{}}}", row("0", [0, 8]), row("2", [8, 16])), &floats(&[0., 1., 4., 5.]));
    let files = [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)];
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let [one, two] = files.map(|(name, _)| name);
    let index = format!(r#"{{"weight_map": {{"row.0": "{two}", "row.1": "{one}", "row.2": "{two}"}}}}"#);
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();

    let whole = |index: usize| Renaming::PartOf { whole: "table".into(), index };
    let at = |name: &str| name.strip_prefix("row.").and_then(|row| row.parse().ok());
    let mut checkpoint = Checkpoint::open(folder.path()).unwrap();
    checkpoint.rename(|name| at(name).map_or(Renaming::Kept, whole)).unwrap();
    let table = checkpoint.root().raw("table", &[3, 2]).unwrap();
    assert_eq!((table.dtype, &table.bytes[..], table.span), (DType::F32, &floats(&VALUES[..6])[..], None));
    assert!(checkpoint.unused().is_empty());

    for (rule, kind, part) in [
        (&(|name: &str| whole(at(name).unwrap() * 2)) as &dyn Fn(&str) -> Renaming, ErrorKind::Missing, "part 1"),
        (&|_: &str| whole(0), ErrorKind::Corrupt, "`row.1`"),
    ] {
        let mut checkpoint = Checkpoint::open(folder.path()).unwrap();
        let error = checkpoint.rename(rule).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(part) && error.path().is_some(), "{error}");
        assert_eq!(names(&checkpoint), ["row.0", "row.1", "row.2"], "what failed changed nothing");
    }
}

#[test]
fn two_tensors_of_one_name_and_parts_that_do_not_fit_are_errors() {
    let error = |rule: &dyn Fn(&str) -> Renaming| {
        let mut checkpoint = plain();
        let error = checkpoint.rename(rule).unwrap_err();
        assert_eq!(names(&checkpoint), ["qkv.bias", "qkv.weight"]);
        (error.kind(), error.to_string())
    };
    let (kind, text) = error(&|_| Renaming::To("w".into()));
    assert!(kind == ErrorKind::Corrupt && text.contains("`qkv.bias` and `qkv.weight`"), "{text}");
    let parts = |count: usize| move |name: &str| Renaming::Parts((0..count).map(|part| format!("{name}.{part}")).collect());
    let (kind, text) = error(&parts(4));
    assert!(kind == ErrorKind::Shape && text.contains("4 equal parts, found [6]"), "{text}");
    assert_eq!(error(&parts(0)).0, ErrorKind::Shape);
    let only_bias = |renaming: Renaming| move |name: &str| if name == "qkv.bias" { renaming.clone() } else { Renaming::Kept };
    for renaming in [Renaming::Transposed("b".into()), Renaming::WithoutFirst("b".into())] {
        let (kind, text) = error(&only_bias(renaming));
        assert!(kind == ErrorKind::Shape && text.contains("qkv.bias: expected"), "{text}");
    }
    let (kind, text) = error(&|name| Renaming::PartOf { whole: "all".into(), index: usize::from(name == "qkv.bias") });
    assert!(kind == ErrorKind::Shape && text.contains("f32 [6]") && text.contains("f32 [6, 2]"), "{text}");
}

#[test]
fn messages_tell_the_name_in_the_file() {
    let header = r#"{"net.a.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "net.b.count":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},"net.c.scale":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[16,17]}}"#;
    let mut checkpoint = open(&safetensors(header, &[0; 17])).unwrap_or_else(|error| panic!("{error}"));
    assert!(checkpoint.strip_common_prefix());
    checkpoint.rename(|name| Renaming::To(format!("model.{name}"))).unwrap();
    let root = checkpoint.root();
    for (result, kind, said) in [
        (root.f32("model.a.weight", &[3]), ErrorKind::Shape, "model.a.weight (`net.a.weight` in the file): expected [3], found [2]"),
        (root.f32("model.b.count", &[1]), ErrorKind::DType, "model.b.count (`net.b.count` in the file): expected a floating point"),
        (root.f32("model.a.weights", &[2]), ErrorKind::Missing, "similar names in the file: model.a.weight (`net.a.weight` in the file)"),
        (root.f32("model.c.scale", &[1]), ErrorKind::DType, "model.c.scale: elements of type"),
    ] {
        let error = result.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(said), "{error}");
    }
}

#[test]
fn generated_weights_keep_their_names() {
    let mut generated = Checkpoint::synthetic(1);
    generated.rename(|_| Renaming::To("other".into())).unwrap();
    let again = Checkpoint::synthetic(1);
    let read = |checkpoint: &Checkpoint| checkpoint.root().f32("a.weight", &[4]).unwrap().data.to_vec();
    assert_eq!(read(&generated), read(&again));
}
