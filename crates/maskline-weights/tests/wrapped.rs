//! What trainers put around the weights: wrappers, prefixes, counters, optimizer states, compiled modules.
#![allow(clippy::unwrap_used)]

use maskline_weights::{Attribute, Checkpoint, ErrorKind};
use support::{Pickle, Storage, floats, open, safetensors};

mod support;

/// A state dict of these names, each two floats.
fn state_dict(pickle: Pickle, names: &[&str]) -> Pickle {
    let pickle = pickle.op(b"}(");
    names.iter().fold(pickle, |pickle, name| pickle.str(name).tensor(&Storage::floats(2), 0, &[2], &[1])).op(b"u")
}

fn archive(pickle: Pickle) -> Checkpoint {
    open(&pickle.archive(&[("0", &floats(&[1.0, 2.0]))])).unwrap_or_else(|error| panic!("{error}"))
}

fn plain(names: &[&str]) -> Checkpoint {
    let entries: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(i, n)| format!(r#""{n}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#, 4 * i, 4 * i + 4))
        .collect();
    open(&safetensors(&format!("{{{}}}", entries.join(",")), &vec![0; 4 * names.len()])).unwrap_or_else(|error| panic!("{error}"))
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.names().collect()
}

#[test]
fn any_common_prefix_comes_off_one_segment_at_a_time() {
    for read in [plain as fn(&[&str]) -> Checkpoint, |names| archive(state_dict(Pickle::new(), names))] {
        let mut checkpoint = read(&["net.sam.a.weight", "net.sam.b.weight"]);
        assert_eq!(checkpoint.common_prefix(), Some("net"));
        assert!(checkpoint.strip_common_prefix());
        assert_eq!((names(&checkpoint), checkpoint.stripped_prefix()), (vec!["sam.a.weight", "sam.b.weight"], "net."));
        assert!(checkpoint.strip_common_prefix());
        assert_eq!((names(&checkpoint), checkpoint.stripped_prefix()), (vec!["a.weight", "b.weight"], "net.sam."));
        assert!(!checkpoint.strip_common_prefix(), "what is left differs");
        assert!(checkpoint.root().f32("a.weight", checkpoint.info("a.weight").unwrap().shape.as_slice()).is_ok());
        assert!(!read(&["net.a", "net"]).strip_common_prefix() && !read(&["a.x", "b.x"]).strip_common_prefix());
    }
}

#[test]
fn counters_of_profilers_and_wrapping_modules_are_no_part_of_the_names() {
    let counted = ["total_ops", "a.total_ops", "a.total_params", "a._orig_mod.weight", "b._fsdp_wrapped_module._orig_mod.weight"];
    for checkpoint in [plain(&counted), archive(state_dict(Pickle::new(), &counted))] {
        assert_eq!(names(&checkpoint), ["a.weight", "b.weight"]);
    }
    let two = Pickle::new();
    let bytes = state_dict(two, &["a.weight", "a._orig_mod.weight"]).archive(&[("0", &floats(&[1.0, 2.0]))]);
    assert_eq!(open(&bytes).unwrap_err().kind(), ErrorKind::Corrupt, "neither of two tensors may win");
}

#[test]
fn the_model_is_found_under_the_keys_of_trainers() {
    for wrapper in ["model_state", "model_state_dict", "state_dict", "model", "ema", "model_ema", "ema_state_dict", "module"] {
        let pickle = state_dict(Pickle::new().op(b"}(").str("optimizer"), &["m"]).str(wrapper);
        assert_eq!(names(&archive(state_dict(pickle, &["w"]).op(b"u"))), ["w"], "{wrapper}");
    }
    // A key that nobody knows is in front of the names, beside states that are not of the model.
    let pickle = state_dict(Pickle::new().op(b"}(").str("optimizer"), &["step"]).str("my_net");
    let mut checkpoint = archive(state_dict(pickle, &["w"]).str("epoch").int(3).op(b"u"));
    assert_eq!(names(&checkpoint), ["my_net.w"]);
    assert!(checkpoint.strip_common_prefix());
    assert_eq!(names(&checkpoint), ["w"]);
    assert_eq!(checkpoint.attribute(&["epoch"]).and_then(Attribute::as_int), Some(3));
}

#[test]
fn which_of_several_weights_are_taken_is_said() {
    // A dictionary with two state dicts under these keys.
    let two = |keys: [&str; 2]| {
        let pickle = keys.iter().fold(Pickle::new().op(b"}("), |pickle, key| state_dict(pickle.str(key), &[&format!("of_{key}.w"), "b"]));
        archive(pickle.op(b"u"))
    };
    for (keys, taken) in [(["model", "ema"], "ema"), (["state_dict_ema", "state_dict"], "state_dict_ema"), (["teacher", "model"], "model")]
    {
        let checkpoint = two(keys);
        let left = keys.iter().find(|key| **key != taken).unwrap();
        assert_eq!(names(&checkpoint), ["b", &format!("of_{taken}.w")]);
        assert_eq!(checkpoint.choice_notes(), [format!("weights: those under `{taken}`; left out: `{left}`")]);
    }
    assert!(two(["model", "optimizer"]).choice_notes().is_empty(), "the state of an optimizer is none of the weights");
    // `ema` has its settings only.
    let settings = Pickle::new().op(b"}(").str("ema").op(b"}(").str("config").op(b"}(").str("decay").int(1).op(b"uu").str("model");
    let checkpoint = archive(state_dict(settings, &["w"]).op(b"u"));
    assert_eq!((names(&checkpoint), checkpoint.choice_notes().len()), (vec!["w"], 0));
    // `AveragedModel` counts beside its module.
    let mut averaged = plain(&["module.a", "module.b", "n_averaged"]);
    assert!(averaged.strip_common_prefix() && names(&averaged) == ["a", "b"]);
}

/// A module of class `module.name` with one plain attribute, whose members `fill` pushes as submodules.
fn module(pickle: Pickle, (class, key): ((&str, &str), &str), fill: impl FnOnce(Pickle) -> Pickle) -> Pickle {
    let pickle = pickle.global(class.0, class.1).op(b")\x81}(").str("_parameters").op(b"}(");
    let pickle = pickle.str("weight").tensor(&Storage::floats(2), 0, &[2], &[1]).op(b"u").str("_modules").op(b"}(");
    fill(pickle).op(b"u").str(key).int(7).op(b"ub")
}

#[test]
fn modules_tell_their_class_under_the_names_that_are_left() {
    let inner = |pickle: Pickle| module(pickle.str("act"), (("torch.nn.modules.activation", "ReLU"), "slope"), |p| p);
    let outer = module(Pickle::new(), (("my.code", "Net"), "names"), inner);
    let checkpoint = archive(outer.clone());
    assert_eq!(checkpoint.module("").map(|m| m.class_name()), Some("Net"));
    let act = checkpoint.module("act").unwrap();
    assert_eq!((act.class.as_str(), act.class_name()), ("torch.nn.modules.activation.ReLU", "ReLU"));
    assert_eq!(act.attributes.get("slope"), Some(&Attribute::Int(7)));

    // The same model inside of a trainer's dictionary: names and facts move together.
    let inner = |pickle: Pickle| module(pickle.str("act"), (("torch.nn.modules.activation", "ReLU"), "slope"), |p| p);
    let wrapped = module(Pickle::new().op(b"}(").str("my_net"), (("my.code", "Net"), "names"), inner).op(b"u");
    let mut checkpoint = archive(wrapped);
    assert!(checkpoint.attribute(&["names"]).is_none() && checkpoint.strip_common_prefix());
    assert_eq!(checkpoint.attribute(&["names"]), Some(&Attribute::Int(7)));
    assert_eq!(checkpoint.module("act").map(|m| m.class_name()), Some("ReLU"));
    assert!(plain(&["a"]).module("").is_none());
}
