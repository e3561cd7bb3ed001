//! PyTorch archives: the forms in which weights are saved, and the facts beside them.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use maskline_weights::{Attribute, Checkpoint, DType, ErrorKind};
use support::{Pickle, Storage, Zip, floats, open, torch_zip};

mod support;

const STORED: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

/// Opens an archive with one storage of six floats, key "0".
fn open_floats(pickle: Pickle) -> Checkpoint {
    open(&pickle.archive(&[("0", &floats(&STORED))])).unwrap_or_else(|error| panic!("{error}"))
}

fn weight(pickle: Pickle) -> Pickle {
    pickle.tensor(&Storage::floats(6), 0, &[2, 3], &[3, 1])
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.names().collect()
}

/// `cls.__new__(cls)` with this state: a module of the given members, each pushed by its own steps.
fn module(pickle: Pickle, class: (&str, &str), state: impl FnOnce(Pickle) -> Pickle) -> Pickle {
    state(pickle.global(class.0, class.1).op(b")\x81}(")).op(b"ub")
}

/// `"key": OrderedDict()` with the items that `fill` pushes.
fn group(pickle: Pickle, key: &str, fill: impl FnOnce(Pickle) -> Pickle) -> Pickle {
    fill(pickle.str(key).global("collections", "OrderedDict").op(b")R(")).op(b"u")
}

fn linear(pickle: Pickle) -> Pickle {
    module(pickle, ("torch.nn.modules.linear", "Linear"), |state| {
        let state = group(state, "_parameters", |items| {
            let items = items.str("weight").global("torch._utils", "_rebuild_parameter").op(b"(");
            let items = weight(items).op(b"\x88").global("collections", "OrderedDict").op(b")RtR");
            items.str("bias").op(b"N")
        });
        let state = group(state, "_buffers", |items| {
            let items = items.str("kept").tensor(&Storage::floats(6), 1, &[2], &[1]);
            items.str("scratch").tensor(&Storage::floats(6), 0, &[1], &[1])
        });
        let state = group(state, "_modules", |items| items);
        let state = state.str("_non_persistent_buffers_set").global("__builtin__", "set").op(b"](").str("scratch").op(b"e\x85R");
        state.str("training").op(b"\x89").str("in_features").int(3)
    })
}

fn model(pickle: Pickle) -> Pickle {
    module(pickle, ("ultralytics.nn.tasks", "DetectionModel"), |state| {
        let state = group(state, "_parameters", |items| items);
        let state = group(state, "_modules", |items| linear(items.str("fc")).str("none").op(b"N"));
        let state = state.str("names").op(b"}(").int(0).str("cat").int(1).str("dog").op(b"u");
        let state = state.str("stride").tensor(&Storage::floats(6), 2, &[2], &[1]);
        let state = state.str("detect").global("__builtin__", "getattr").global("ultralytics.nn.modules.head", "Detect");
        state.str("forward").op(b"\x86R").str("task").str("detect")
    })
}

#[test]
fn a_state_dict_is_read_in_place() {
    let checkpoint = open_floats(weight(Pickle::new().op(b"}(").str("fc.weight")).op(b"u"));
    assert_eq!(names(&checkpoint), ["fc.weight"]);
    let tensor = checkpoint.root().push("fc").f32("weight", &[2, 3]).unwrap();
    assert_eq!(tensor.data[..], STORED);
    assert!(matches!(tensor.data, Cow::Borrowed(_)));
    let span = tensor.span.unwrap();
    let file = checkpoint.bytes()[0];
    assert_eq!(file[span.offset as usize..][..span.length as usize], floats(&STORED));
}

#[test]
fn modules_give_state_dict_names_and_their_attributes() {
    let checkpoint = open_floats(model(Pickle::new()));
    assert_eq!(names(&checkpoint), ["fc.kept", "fc.weight"], "no absent bias, no buffer that state_dict leaves out");
    assert_eq!(checkpoint.root().f32("fc.kept", &[2]).unwrap().data[..], [1.0, 2.0]);
    assert_eq!(checkpoint.attribute(&["names", "1"]).and_then(Attribute::as_str), Some("dog"));
    assert_eq!(checkpoint.attribute(&["names"]).unwrap().as_map().unwrap().len(), 2);
    assert_eq!(checkpoint.attribute(&["stride"]), Some(&Attribute::List(vec![Attribute::Float(2.0), Attribute::Float(3.0)])));
    assert_eq!(checkpoint.attribute(&["fc", "in_features"]), Some(&Attribute::Int(3)));
    assert_eq!(checkpoint.attribute(&["fc", "training"]).and_then(Attribute::as_bool), Some(false));
    assert!(checkpoint.attribute(&["detect"]).is_none() && checkpoint.attribute(&["_modules"]).is_none());
}

#[test]
fn averaged_weights_come_before_the_model_and_top_level_values_are_kept() {
    let model_only = Pickle::new().op(b"}(").str("ema").op(b"N").str("epoch").int(-1);
    let model_only = model(model_only.str("model")).str("train_args").op(b"}(").str("imgsz").int(640).op(b"uu");
    let checkpoint = open_floats(model_only);
    assert_eq!(names(&checkpoint), ["fc.kept", "fc.weight"]);
    assert_eq!(checkpoint.attribute(&["train_args", "imgsz"]).and_then(Attribute::as_int), Some(640));
    assert_eq!(checkpoint.attribute(&["epoch"]).and_then(Attribute::as_int), Some(-1));
    assert_eq!(checkpoint.attribute(&["task"]).and_then(Attribute::as_str), Some("detect"));

    let both = weight(Pickle::new().op(b"}(").str("model").op(b"}(").str("old")).op(b"u");
    let both = weight(both.str("ema").op(b"}(").str("new")).op(b"uu");
    assert_eq!(names(&open_floats(both)), ["new"]);

    for wrapper in ["state_dict", "model_state_dict", "params"] {
        let wrapped = weight(Pickle::new().op(b"}(").str(wrapper).op(b"}(").str("w")).op(b"uu");
        assert_eq!(names(&open_floats(wrapped)), ["w"], "{wrapper}");
    }
}

#[test]
fn a_wrapping_module_is_stripped_only_if_all_tensors_have_it() {
    let both = |first: &str, second: &str| {
        let pickle = weight(Pickle::new().op(b"}(").str(first));
        open_floats(weight(pickle.str(second)).op(b"u"))
    };
    assert_eq!(names(&both("module.a", "module.b.c")), ["a", "b.c"]);
    assert_eq!(names(&both("module.a", "b")), ["b", "module.a"]);
    assert_eq!(names(&both("_orig_mod.module.a", "_orig_mod.module.b")), ["a", "b"]);
}

#[test]
fn strided_views_are_gathered() {
    let view = |offset, shape: &[i64], strides: &[i64]| {
        let checkpoint = open_floats(Pickle::new().op(b"}").str("t").tensor(&Storage::floats(6), offset, shape, strides).op(b"s"));
        let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
        let tensor = checkpoint.root().f32("t", &shape).unwrap();
        (tensor.data.into_owned(), tensor.span.is_some())
    };
    assert_eq!(view(0, &[3, 2], &[1, 3]), (vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0], false), "transposed");
    assert_eq!(view(1, &[2, 2], &[3, 1]), (vec![1.0, 2.0, 4.0, 5.0], false), "sliced");
    assert_eq!(view(5, &[2, 2], &[0, 0]), (vec![5.0; 4], false), "expanded");
    assert_eq!(view(2, &[1, 2, 1], &[i64::MAX, 1, 77]), (vec![2.0, 3.0], true), "strides of size 1 do not count");
    assert_eq!(view(1, &[1, 2], &[i64::MAX, 2]), (vec![1.0, 3.0], false), "strides of size 1 do not count");
    assert_eq!(view(4, &[], &[]), (vec![4.0], true), "scalar");
    assert_eq!(view(0, &[0, 3], &[3, 1]), (vec![], false), "empty");
}

#[test]
fn element_types_are_those_of_the_storages() {
    let cases: [(&str, &[u8], DType); 5] = [
        ("HalfStorage", &[0x00, 0x3c], DType::F16),
        ("BFloat16Storage", &[0x80, 0x3f], DType::BF16),
        ("DoubleStorage", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f], DType::F64),
        ("LongStorage", &[1, 0, 0, 0, 0, 0, 0, 0], DType::I64),
        ("BoolStorage", &[1], DType::Bool),
    ];
    for (class, bytes, dtype) in cases {
        let storage = Storage { class, key: "0", count: 1 };
        let checkpoint = open(&Pickle::new().op(b"}").str("t").tensor(&storage, 0, &[1], &[1]).op(b"s").archive(&[("0", bytes)])).unwrap();
        assert_eq!(checkpoint.info("t").unwrap().dtype, dtype);
        match checkpoint.root().f32("t", &[1]) {
            Ok(tensor) => assert_eq!(tensor.data[..], [1.0]),
            Err(error) => assert!(error.kind() == ErrorKind::DType && matches!(dtype, DType::I64 | DType::Bool), "{error}"),
        }
    }
}

#[test]
fn types_that_are_not_read_do_not_spoil_the_rest() {
    let complex = Storage { class: "ComplexFloatStorage", key: "1", count: 2 };
    let pickle = weight(Pickle::new().op(b"}(").str("w")).str("rotary").tensor(&complex, 0, &[2], &[1]).op(b"u");
    let checkpoint = open(&pickle.archive(&[("0", &floats(&STORED)), ("1", &[0; 16])])).unwrap();
    assert_eq!(names(&checkpoint), ["w"]);
    let error = checkpoint.root().raw("rotary", &[2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DType);
    assert!(error.message().contains("ComplexFloatStorage"), "{error}");
}

#[test]
fn untyped_storages_name_their_type_in_the_tensor() {
    let pickle = Pickle::new().op(b"}").str("t").global("torch._utils", "_rebuild_tensor_v3").op(b"((").str("storage");
    let pickle = pickle.global("torch.storage", "UntypedStorage").str("0").str("cpu").int(24).op(b"tQ").int(1).ints(&[2]).ints(&[1]);
    let pickle = pickle.op(b"\x89").global("collections", "OrderedDict").op(b")R").global("torch", "float32").op(b"tRs");
    assert_eq!(open_floats(pickle).root().f32("t", &[2]).unwrap().data[..], [1.0, 2.0]);
}

#[test]
fn newer_protocols_and_unknown_objects_are_read_as_data() {
    // Protocol 4: a frame, MEMOIZE, SHORT_BINUNICODE, STACK_GLOBAL; a numpy scalar, a path, a namespace.
    let pickle = Pickle(vec![0x80, 4]).op(b"\x95\0\0\0\0\0\0\0\0").op(b"}\x94(").op(b"\x8c\x04loss\x94");
    let pickle = pickle.op(b"\x8c\x15numpy.core.multiarray\x94\x8c\x06scalar\x94\x93").op(b"C\x02ab\x85R\x94");
    let pickle = pickle.str("path").global("pathlib", "PosixPath").op(b"(").str("runs").op(b"tR");
    let pickle = pickle.str("args").global("types", "SimpleNamespace").op(b")R}(").str("imgsz").op(b"M\x80\x02ub");
    let pickle = pickle.str("big").op(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
    let checkpoint = open_floats(weight(pickle.str("w")).op(b"u"));
    assert_eq!(names(&checkpoint), ["w"]);
    assert_eq!(checkpoint.attribute(&["args", "imgsz"]).and_then(Attribute::as_int), Some(640));
    assert!(checkpoint.attribute(&["loss"]).is_none() && checkpoint.attribute(&["big"]).is_none());
}

#[test]
fn archives_of_another_kind_are_refused_with_the_way_out() {
    let pickle = weight(Pickle::new().op(b"}").str("w")).op(b"s").stop();
    let data = floats(&STORED);
    let refused = |bytes: Vec<u8>, what: &str| {
        let error = open(&bytes).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.help().is_some(), "{error}");
        assert!(error.message().contains(what), "{error}");
    };
    refused(Zip::with_method(8).entry("m/data.pkl", &pickle).finish(), "compressed");
    refused(Zip::default().entry("m/data.pkl", &pickle).entry("m/constants.pkl", b"").finish(), "TorchScript");
    refused(Zip::default().entry("m/data.pkl", &pickle).entry("m/byteorder", b"big").finish(), "big-endian");
    refused(Zip::default().entry("weights.npy", &data).finish(), "without data.pkl");
    refused(Pickle::new().op(b"]").archive(&[]), "no state dict");
    refused(torch_zip(&Pickle(vec![0x80, 9]).stop(), &[]), "protocol 9");
    // An archive without a folder, as some tools repack them, is fine.
    let flat = Zip::default().entry("data.pkl", &pickle).entry("data/0", &data).finish();
    assert_eq!(names(&open(&flat).unwrap()), ["w"]);
}
