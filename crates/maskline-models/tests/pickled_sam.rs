//! A promptable model saved as modules says its activations and epsilons: as they are built, or refused by name.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_models::{BuildOptions, recognise};
use maskline_weights::{Checkpoint, Source};
use support::{Module, save_pickle};
use tempfile::TempDir;

mod support;

fn case() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../maskline/tests/cases/sam_vit/tiny96_hf")
}

/// The modules of the case's tensors, as PyTorch would have them.
fn modules() -> Module {
    let checkpoint = Checkpoint::open(&case().join("model.safetensors")).unwrap();
    let mut model = Module::new("transformers.models.sam.modeling_sam.SamModel");
    for name in checkpoint.names() {
        let shape = checkpoint.info(name).unwrap().shape.clone();
        let (path, tensor) = name.rsplit_once('.').unwrap();
        let class = match (path.contains("norm"), shape.len(), path.contains("upscale")) {
            (true, ..) => "torch.nn.modules.normalization.LayerNorm",
            (_, 4, true) => "torch.nn.modules.conv.ConvTranspose2d",
            (_, 4, false) if tensor == "weight" => "torch.nn.modules.conv.Conv2d",
            _ => "torch.nn.modules.linear.Linear",
        };
        let leaf = inner(&mut model, path);
        if tensor == "weight" || path.contains("norm") {
            leaf.class = Module::new(class).class;
        }
        if path.contains("norm") && leaf.attributes.is_empty() {
            *leaf = std::mem::take(leaf).set("eps", 1e-6);
        }
        leaf.tensors.push((tensor.into(), shape));
    }
    model
}

/// The submodule at a dotted path, made where it is not there yet.
fn inner<'m>(model: &'m mut Module, path: &str) -> &'m mut Module {
    path.split('.').fold(model, |module, part| {
        if !module.children.iter().any(|(name, _)| name == part) {
            module.children.push((part.into(), Module::new("torch.nn.modules.container.Module")));
        }
        module.at(part)
    })
}

fn build(model: &Module) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.pt");
    save_pickle(&path, model, &[]);
    let config = serde_json::from_slice(&std::fs::read(case().join("config.json")).unwrap()).unwrap();
    let (source, family) = recognise(Source::open(&path).unwrap()).unwrap();
    let options = BuildOptions { config: Some(config), ..BuildOptions::default() };
    family.build(&source, &options).map(drop).map_err(|error| error.to_string())
}

#[test]
fn activations_are_refused_where_they_do_not_belong() {
    const ENCODER: &str = "vision_encoder.layers.0.mlp.act";
    const DECODER: &str = "mask_decoder.transformer.layers.0.mlp.act";
    const HEAD: &str = "mask_decoder.iou_prediction_head.activation";
    let torch = |class: &str| Module::new(&format!("torch.nn.modules.activation.{class}"));
    let with = |place: &str, act: Module| {
        let mut model = modules();
        *inner(&mut model, place) = act;
        build(&model)
    };
    build(&modules()).unwrap();
    with(ENCODER, torch("GELU").set("approximate", "none")).unwrap();
    with(ENCODER, Module::new("transformers.activations.GELUActivation")).unwrap();
    with(DECODER, torch("ReLU")).unwrap();
    with(HEAD, torch("ReLU")).unwrap();
    for (place, act) in [
        (ENCODER, torch("ReLU")),
        (ENCODER, torch("SiLU")),
        (ENCODER, torch("GELU").set("approximate", "tanh")),
        (ENCODER, Module::new("transformers.activations.QuickGELUActivation")),
        (DECODER, torch("GELU").set("approximate", "none")),
        (HEAD, torch("Sigmoid")),
    ] {
        let class = act.class.1.clone();
        let error = with(place, act).expect_err(&class);
        assert!(error.contains(place) && error.contains(&class), "{error}");
    }
}
