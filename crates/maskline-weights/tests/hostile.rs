//! Files made to harm: they are refused, nothing in them runs, and they cost neither the stack nor much memory.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use maskline_weights::ErrorKind;
use proptest::prelude::*;
use support::{Pickle, Storage, floats, open, safetensors};

mod support;

fn refusal(pickle: Pickle) -> (ErrorKind, String) {
    let start = Instant::now();
    let error = open(&pickle.archive(&[("0", &floats(&[1.0; 6]))])).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?} for {error}", start.elapsed());
    (error.kind(), error.to_string())
}

#[test]
fn code_is_refused_and_not_run() {
    let folder = tempfile::TempDir::new().unwrap();
    let witness = folder.path().join("witness");
    let command = format!("touch {}", witness.display());
    let reduce = |module: &str, name: &str| Pickle::new().global(module, name).str(&command).op(b"\x85R");
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "__import__"),
        ("importlib", "import_module"),
        ("runpy", "run_path"),
        ("webbrowser", "open"),
        ("operator", "attrgetter"),
        ("torch.hub", "load"),
        ("torch", "serialization.os.system"),
        ("torch.serialization", "os.system"),
    ] {
        let (kind, message) = refusal(reduce(module, name));
        assert_eq!(kind, ErrorKind::Unsafe, "{message}");
        assert!(message.contains(&format!("`{module}.{name}`")) && message.contains("never executes"), "{message}");
    }
    // The other ways to name and call a function: protocol 0, INST, OBJ, STACK_GLOBAL, deep inside a harmless structure.
    let line = format!("cos\nsystem\n(S'{command}'\ntR");
    let inst = format!("(S'{command}'\nios\nsystem\n");
    let nested = Pickle::new().op(b"}(").str("model").op(b"}(").str("w").op(b"](").global("os", "system").str(&command).op(b"\x85Reuu");
    for pickle in [
        Pickle(line.into_bytes()),
        Pickle(inst.into_bytes()),
        Pickle::new().op(b"(").global("os", "system").str(&command).op(b"o"),
        Pickle::new().str("os").str("system").op(b"\x93").str(&command).op(b"\x85R"),
        nested,
        // getattr is for methods of classes only.
        Pickle::new().global("builtins", "getattr").global("torch.nn", "Module").str("__globals__").op(b"\x86R"),
        Pickle::new().global("builtins", "getattr").str("text").str("format").op(b"\x86R"),
        Pickle::new().global("builtins", "getattr").global("torch.nn", "Module").str("to").op(b"\x86R").str(&command).op(b"\x85R"),
    ] {
        let (kind, message) = refusal(pickle);
        assert_eq!(kind, ErrorKind::Unsafe, "{message}");
    }
    assert!(!witness.exists());
}

fn weight(pickle: Pickle) -> Pickle {
    pickle.tensor(&Storage::floats(6), 0, &[6], &[1])
}

#[test]
fn nesting_costs_no_stack() {
    // 200,000 lists in each other: refused for their depth, before anything is walked.
    let lists = Pickle::new().op(&[b']'; 200_000]).op(&[b'a'; 199_999]);
    assert_eq!(refusal(lists).0, ErrorKind::Limit);
    let marks = Pickle::new().op(&[b'('; 200_000]).op(&[b't'; 200_000]);
    assert_eq!(refusal(marks).0, ErrorKind::Limit);
    // Tuples can nest without a deep stack; beside a tensor they are harmless.
    let tuples = weight(Pickle::new().op(b"}(").str("w")).str("deep").op(b")").op(&[0x85; 300_000]).op(b"u");
    let checkpoint = open(&tuples.archive(&[("0", &floats(&[1.0; 6]))])).unwrap();
    assert!(checkpoint.attribute(&["deep"]).is_none());
    // Dictionaries that nest by memo: a is in b is in c …
    let mut dicts = weight(Pickle::new().op(b"}").str("w")).op(b"s");
    for _ in 0..200_000 {
        dicts = dicts.op(b"q\0").op(b"0}X\x01\0\0\0kh\0s");
    }
    assert_eq!(refusal(dicts).0, ErrorKind::Limit);
}

#[test]
fn cycles_end() {
    let list = weight(Pickle::new().op(b"}(").str("w")).str("list").op(b"]q\x01h\x01au");
    let checkpoint = open(&list.archive(&[("0", &floats(&[1.0; 6]))])).unwrap();
    assert!(checkpoint.attribute(&["list"]).is_none());
    let dict = weight(Pickle::new().op(b"}q\x01(").str("w")).str("own").op(b"h\x01u");
    assert_eq!(refusal(dict).0, ErrorKind::Limit);
    let wrapper = weight(Pickle::new().op(b"}q\x01(").str("w")).str("model").op(b"h\x01u");
    assert_eq!(refusal(wrapper).0, ErrorKind::Limit);
    let tensor = Pickle::new().op(b"}q\x01").str("w").global("torch._utils", "_rebuild_parameter").op(b"(h\x01tRs");
    assert_eq!(refusal(tensor).0, ErrorKind::Limit);
}

#[test]
fn shared_structures_do_not_unfold_without_bound() {
    // Billion laughs: each level holds the one below twice.
    let double = |mut pickle: Pickle, open: &[u8], add: &dyn Fn(Pickle) -> Pickle| {
        for _ in 0..50 {
            pickle = add(pickle.op(b"q\x01").op(b"0").op(open));
        }
        pickle
    };
    let lists = weight(Pickle::new().op(b"}(").str("w")).str("laughs");
    let lists = double(lists.op(b"]"), b"](", &|pickle| pickle.op(b"h\x01h\x01e")).op(b"u");
    let checkpoint = open(&lists.archive(&[("0", &floats(&[1.0; 6]))])).unwrap();
    assert!(checkpoint.attribute(&["laughs"]).is_none());
    let dicts = weight(Pickle::new().op(b"}").str("w")).op(b"s");
    let dicts = double(dicts, b"}(", &|pickle| pickle.str("a").op(b"h\x01").str("b").op(b"h\x01u"));
    assert_eq!(refusal(dicts).0, ErrorKind::Limit);
}

#[test]
fn amount_is_bounded() {
    let values = Pickle::new().op(b"]").op(&b"]0".repeat(5_000_000));
    assert_eq!(refusal(values).0, ErrorKind::Limit);
    let opcodes = Pickle::new().op(b"]").op(&b"20".repeat(9_000_000));
    assert_eq!(refusal(opcodes).0, ErrorKind::Limit);
    let stack = Pickle::new().op(b"]").op(&[b'2'; 200_000]);
    assert_eq!(refusal(stack).0, ErrorKind::Limit);
    let integer = Pickle::new().op(b"\x8b\xff\xff\xff\x7f");
    assert_eq!(refusal(integer).0, ErrorKind::Limit);
    // A list of pairs, copied again and again into ordered dictionaries.
    let pairs = Pickle::new().op(b"](").op(&b"))\x86".repeat(40_000)).op(b"eq\x01");
    let copies = (0..1_000).fold(pairs, |pickle, _| pickle.global("collections", "OrderedDict").op(b"h\x01\x85R0"));
    assert_eq!(refusal(copies).0, ErrorKind::Limit);
}

#[test]
fn shared_large_objects_are_not_searched_again_and_again() {
    // An object with 200,000 attributes, 200,000 times in one state dict.
    let object = Pickle::new().global("lib", "Thing").op(b")\x81q\x01}");
    let filled = (0..5).fold(object, |pickle, _| pickle.op(b"(").op(&b"K\x01N".repeat(40_000)).op(b"u")).op(b"b0");
    let dict =
        (0..5).fold(weight(filled.op(b"}").str("w")).op(b"s"), |pickle, _| pickle.op(b"(").op(&b"K\x07h\x01".repeat(40_000)).op(b"u"));
    let start = Instant::now();
    let checkpoint = open(&dict.archive(&[("0", &floats(&[1.0; 6]))])).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["w"]);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn tensors_stay_inside_their_storages() {
    let tensor = |count, offset, shape: &[i64], strides: &[i64]| {
        let storage = Storage { class: "FloatStorage", key: "0", count };
        refusal(Pickle::new().op(b"}").str("layer.weight").tensor(&storage, offset, shape, strides).op(b"s"))
    };
    for (count, offset, shape, strides) in [
        (6, 0, &[7][..], &[1][..]),
        (6, 6, &[1], &[1]),
        (6, 0, &[2, 3], &[4, 1]),
        (7, 0, &[6], &[1]),
        (-1, 0, &[6], &[1]),
        (6, -1, &[6], &[1]),
        (6, 0, &[-6], &[1]),
        (6, 0, &[6], &[-1]),
        (6, 0, &[6], &[1, 1]),
        (6, 0, &[i64::MAX, i64::MAX], &[0, 0]),
        (6, 0, &[i64::MAX, 4, 0], &[0, 0, 0]),
        (6, 0, &[2], &[i64::MAX]),
        (6, i64::MAX, &[2], &[i64::MAX]),
        (i64::MAX, 0, &[2], &[1]),
    ] {
        let (kind, message) = tensor(count, offset, shape, strides);
        assert_eq!(kind, ErrorKind::Corrupt, "{message}");
        assert!(message.contains("layer.weight"), "{message}");
    }
    // Expanded from 24 bytes to 4 GB.
    let (kind, message) = tensor(6, 0, &[1 << 15, 1 << 15], &[0, 0]);
    assert_eq!(kind, ErrorKind::Limit, "{message}");
    let elsewhere = Storage { class: "FloatStorage", key: "../0", count: 6 };
    assert_eq!(refusal(Pickle::new().op(b"}").str("w").tensor(&elsewhere, 0, &[1], &[1]).op(b"s")).0, ErrorKind::Corrupt);
}

#[test]
fn old_strings_need_not_end_as_they_begin() {
    for (line, name) in [("'w'", "w"), ("\"w\"", "w"), ("'é", "é"), ("'", ""), ("é", "é")] {
        let pickle = Pickle::new().op(b"}(").op(format!("S{line}\n").as_bytes());
        let checkpoint = open(&weight(pickle).op(b"u").archive(&[("0", &floats(&[1.0; 6]))])).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), [name], "{line}");
    }
}

#[test]
fn truncated_archives_are_errors() {
    let whole = weight(Pickle::new().op(b"}").str("w")).op(b"s").archive(&[("0", &floats(&[1.0; 6]))]);
    assert!(open(&whole).is_ok());
    for length in 0..whole.len() {
        let error = open(&whole[..length]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt), "cut at {length}: {error}");
    }
    // A pickle cut anywhere, inside a good archive.
    let pickle = weight(Pickle::new().op(b"}").str("w")).op(b"s").stop();
    for length in 0..pickle.len() {
        assert!(open(&support::torch_zip(&pickle[..length], &[("0", &floats(&[1.0; 6]))])).is_err(), "cut at {length}");
    }
}

/// A small file of each kind.
fn samples() -> [Vec<u8>; 2] {
    let header = r#"{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}}"#;
    let pickle = weight(Pickle::new().op(b"}(").str("w")).str("names").op(b"}(").int(0).str("cat").op(b"u").str("t");
    let pickle = pickle.tensor(&Storage::floats(6), 0, &[2, 3], &[1, 2]).op(b"u");
    [safetensors(header, &[0; 12]), pickle.archive(&[("0", &floats(&[1.0; 6]))])]
}

/// Whatever the bytes: an error, or a checkpoint of which every tensor can be read.
fn open_and_read(bytes: &[u8]) {
    let Ok(checkpoint) = open(bytes) else { return };
    for name in checkpoint.names() {
        let info = checkpoint.info(name).unwrap();
        let raw = checkpoint.root().raw(name, &info.shape).unwrap();
        assert_eq!(raw.bytes.len(), info.element_count() * info.dtype.size());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn corrupted_files_never_panic(
        kind in 0..2usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = samples()[kind].clone();
        for (index, value) in edits {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        open_and_read(&bytes);
    }

    #[test]
    fn random_pickles_never_panic(
        // Mostly opcodes, so that something is built.
        pickle in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(b"]})(tlduseaRQb0125NKcihgq\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x91\x81\x92\x93\x94\x80\n".to_vec()),
            1 => any::<u8>(),
        ], 0..200),
    ) {
        open_and_read(&Pickle(pickle).archive(&[("0", &[0; 24])]));
    }
}
