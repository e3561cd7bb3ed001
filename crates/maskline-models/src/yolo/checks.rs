//! Whether a checkpoint is what its tensors make of it: classes, links and numbers of its modules, its task, and modules of which a graph
//! would have nothing.

use maskline_weights::{Attribute, Checkpoint, Scope};

use super::config::Config;
use super::generation::Generation;
use super::head::STRIDES;
use super::said;
use crate::blocks::pickled;
use crate::{Coding, Error, ErrorKind, HeadBranch, Result, Task};

/// Refuses a module of another class, by its name.
pub(super) fn class(scope: &Scope<'_>, expected: &str) -> Result<()> {
    pickled::expect_class(scope, &[expected])
}

/// Checks what the layers of a pickled model say about themselves: their classes, what they read, and the numbers of the head.
pub(super) fn layers(model: &Scope<'_>, config: &Config) -> Result<()> {
    let generation = config.generation;
    let layers = generation.layers(config.is_classifier());
    for (index, layer) in layers.iter().enumerate() {
        let (scope, expected) = (model.push(index), layer.class(generation.stage_class()));
        // `Upsample` has more than one class, see `said::upsampling`.
        if expected != "Upsample" {
            class(&scope, expected)?;
        }
        wiring(&scope, &layer.reads())?;
        if expected == "Concat" {
            pickled::expect(&scope, "d", |value| pickled::is_all(value, 1))?;
        }
    }
    let scope = model.push(layers.len());
    let reads = if config.is_classifier() { vec![-1] } else { generation.levels.map(|level| level as i64).to_vec() };
    wiring(&scope, &reads)?;
    head(&scope, config)
}

fn wiring(layer: &Scope<'_>, expected: &[i64]) -> Result<()> {
    pickled::expect(layer, "f", |said| match said {
        Attribute::List(items) => items.iter().map(Attribute::as_int).eq(expected.iter().map(|from| Some(*from))),
        other => expected.len() == 1 && other.as_int() == expected.first().copied(),
    })
}

fn head(head: &Scope<'_>, config: &Config) -> Result<()> {
    let class = match config.task {
        Task::Segment if config.head.has_fused_protos => "Segment26",
        Task::Segment => "Segment",
        Task::Pose if config.head.has_keypoint_layer => "Pose26",
        Task::Pose => "Pose",
        Task::Obb if config.coding == Coding::Plain => "OBB26",
        Task::Obb => "OBB",
        Task::Classify => "Classify",
        _ => "Detect",
    };
    pickled::expect_class(head, &[class])?;
    // Where there are two heads it says nothing: which one answers is chosen.
    let has_two =
        HeadBranch::ALL.iter().any(|branch| head.contains(&format!("{}cv2.0.2.weight", branch.prefix())) && !branch.prefix().is_empty());
    pickled::expect(head, "end2end", |value| has_two || matches!(value, Attribute::Bool(false) | Attribute::None))?;
    pickled::expect(head, "nc", |value| pickled::is_all(value, config.classes))?;
    pickled::expect(head, "reg_max", |value| pickled::is_all(value, config.reg_max))?;
    pickled::expect(head, "nl", |value| pickled::is_all(value, STRIDES.len()))?;
    pickled::expect(head, "nm", |value| pickled::is_all(value, config.extras.channels()))?;
    pickled::expect(head, "ne", |value| pickled::is_all(value, config.extras.channels()))?;
    pickled::expect(&head.push("pool"), "output_size", |value| pickled::is_all(value, 1))?;
    pickled::expect(&head.push("proto").push("upsample"), "stride", |value| pickled::is_all(value, 2))?;
    pickled::expect(&head.push("proto").push("upsample"), "padding", |value| pickled::is_all(value, 0))?;
    if config.is_classifier() {
        return Ok(());
    }
    let strides = |value: &Attribute| said::sizes(value).is_some_and(|sizes| sizes == STRIDES);
    pickled::expect(head, "stride", strides)?;
    // Metadata of a safetensors file, where `stride` may also be the largest one.
    match said::told(head.checkpoint(), &[&["stride"]]) {
        Some(said) if !strides(&said) && !pickled::is_all(&said, STRIDES[2]) => {
            let message = format!("its strides are {}; expected {STRIDES:?}", pickled::shown(&said));
            Err(Error::new(ErrorKind::Checkpoint, message).at(head.checkpoint().path()))
        }
        _ => Ok(()),
    }
}

/// What the file says that it is for must be what its head answers.
pub(super) fn task(checkpoint: &Checkpoint, task: Task) -> Result<()> {
    const KNOWN: [Task; 5] = [Task::Detect, Task::Segment, Task::Pose, Task::Classify, Task::Obb];
    let said = said::told(checkpoint, &[&["task"], &["train_args", "task"], &["args", "task"]]);
    let said = said.as_ref().and_then(Attribute::as_str);
    // Words of others, such as `object-detection`, contradict nothing.
    match KNOWN.iter().find(|known| said == Some(known.name()) && **known != task) {
        Some(other) => {
            let message = format!("it says that its task is `{other}`, and its head is one for `{task}`");
            let help = "the file was put together from two models; save the model again";
            Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()).with_help(help))
        }
        None => Ok(()),
    }
}

/// Classes of modules that a pickled model may hold beside its layers; an activation is checked where it is used.
const KNOWN_CLASSES: [&str; 15] = [
    "AdaptiveAvgPool2d",
    "BatchNorm2d",
    "Bottleneck",
    "Conv",
    "Conv2d",
    "ConvTranspose2d",
    "DFL",
    "Dropout",
    "Linear",
    "MaxPool2d",
    "ModuleList",
    "PReLU",
    "Proto",
    "Sequential",
    "SyncBatchNorm",
];

/// Those that came with YOLO11 and YOLO26.
const NEWER_CLASSES: [&str; 7] = ["Attention", "C3k", "DWConv", "Identity", "PSABlock", "Proto26", "RealNVP"];

/// Parts of a head that only training uses: how far keypoints deviate, and classes of pixels.
pub(super) const TRAINING_ONLY: [&str; 3] = [".flow_model.", "cv4_sigma.", ".proto.semseg."];

/// Refuses a pickled model that holds modules of which the graph has nothing: they may have no tensors that would be left over.
pub(super) fn no_other_modules(checkpoint: &Checkpoint, generation: &Generation) -> Result<()> {
    let is_known = |class: &str| KNOWN_CLASSES.contains(&class) || (generation.has_light_classes && NEWER_CLASSES.contains(&class));
    for (name, module) in checkpoint.modules() {
        // The layers themselves are checked one by one, activations where they are used.
        let is_inner = name.strip_prefix("model.").is_some_and(|inner| inner.contains('.'));
        let is_unused = TRAINING_ONLY.iter().any(|part| name.contains(part));
        if is_inner && !is_unused && !name.ends_with(".act") && !is_known(module.class_name()) {
            let message = format!("{name}: a `{}` has no place in {}", module.class, generation.title);
            return Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()));
        }
    }
    Ok(())
}

/// What of a checkpoint's tensors a graph need not have: counters, what only training uses, and the head that does not answer.
pub(super) fn not_needed(config: &Config) -> Vec<String> {
    let head = config.generation.head_layer(config.is_classifier());
    let others = HeadBranch::ALL.into_iter().filter(|branch| *branch != config.head.branch && !config.is_classifier());
    let others = others.map(|branch| format!("model.{head}.{}cv", branch.prefix()));
    std::iter::once(".num_batches_tracked").chain(TRAINING_ONLY).map(str::to_owned).chain(others).collect()
}
