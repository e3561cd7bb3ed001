//! Checkpoints in which the model is one branch of several: the one that people mean is taken, and what is left out is said.
#![allow(clippy::unwrap_used)]

use maskline_models::{BuildOptions, Output, recognise};
use maskline_weights::Source;
use support::{Module, detector, save_tensors};
use tempfile::TempDir;

mod support;

/// What is known of a checkpoint with these branches, each a detector of so many classes or, of 0 classes, one tensor: the classes of the
/// model that is taken, and the notes. Or the error.
fn taken(branches: &[(&str, usize)]) -> Result<(usize, String), String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut net = Module::new("my.Net");
    for (prefix, classes) in branches {
        let mut branch = if *classes > 0 { detector(*classes) } else { Module::new("my.Loss") };
        if *classes == 0 {
            branch.tensors.push(("weight".into(), vec![2]));
        }
        net.children.push(((*prefix).into(), branch));
    }
    save_tensors(&path, &net, ("", &[]));
    let (source, family) = recognise(Source::open(&path).unwrap()).map_err(|error| error.to_string())?;
    let built = family.build(&source, &BuildOptions::default()).map_err(|error| error.to_string())?;
    let Output::Detector(head) = &built.info().output else { panic!("a detector") };
    Ok((head.classes, source.checkpoint().choice_notes().join("; ")))
}

#[test]
fn what_stands_beside_the_model_is_left_out_and_said() {
    let (classes, notes) = taken(&[("criterion", 0), ("model", 3), ("train_acc.total", 0)]).unwrap();
    assert_eq!((classes, notes.as_str()), (3, "weights: those under `model`; left out: `criterion`, `train_acc`"));
    let (classes, notes) = taken(&[("wrapper.net", 3), ("wrapper.loss", 0), ("step", 0)]).unwrap();
    assert_eq!((classes, notes.as_str()), (3, "weights: those under `wrapper.net`; left out: `step`, `wrapper.loss`"));
    // Alone under a prefix, nothing is left out and there is nothing to say.
    assert_eq!(taken(&[("model", 3)]).unwrap(), (3, String::new()));
}

#[test]
fn averaged_weights_come_first_and_teachers_last() {
    for (branches, prefix) in [
        ([("model", 4), ("ema", 3)], "ema"),
        ([("model_ema.module", 3), ("model", 4)], "model_ema.module"),
        ([("online_model", 4), ("ema_model", 3)], "ema_model"),
        ([("teacher", 4), ("student", 3)], "student"),
        ([("modelTeacher", 4), ("net", 3)], "net"),
        ([("target_network", 4), ("network", 3)], "network"),
        // Words, not letters.
        ([("schema_old", 4), ("schema", 3)], "schema"),
    ] {
        let (classes, notes) = taken(&branches).unwrap();
        assert!(classes == 3 && notes.starts_with(&format!("weights: those under `{prefix}`; left out")), "{prefix}: {notes}");
    }
}

#[test]
fn neither_of_two_equals_is_guessed_and_nothing_that_changes_answers_is_left_out() {
    let error = taken(&[("first", 3), ("second", 4)]).unwrap_err();
    assert!(error.contains("2 models") && error.contains("`first`, `second`") && error.contains("help:"), "{error}");
    for adapter in ["lora_layers", "ImageAdapter"] {
        let error = taken(&[("model", 3), (adapter, 0)]).unwrap_err();
        assert!(error.contains(adapter), "{error}");
    }
    let error = taken(&[("first", 0), ("second", 0)]).unwrap_err();
    assert!(error.contains("no family knows"), "{error}");
}
