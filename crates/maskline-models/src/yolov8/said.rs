//! What a checkpoint says about itself beside its tensors: attributes of a pickled model, entries of a training file, metadata of a
//! safetensors file, as values or as their text.

use maskline_onnx::{Interpolation, PoolOptions};
use maskline_weights::{Attribute, Checkpoint, Module, Scope};

use super::config::{CLASSIFY_LAYER, Config, DETECT_LAYER};
use super::head::STRIDES;
use crate::blocks::{Activation, pickled};
use crate::info::MOST_SIDE;
use crate::{Error, ErrorKind, Result, SizeSource, Task};

/// The first of these paths under which something is said; texts that hold a value are read.
pub(super) fn told(checkpoint: &Checkpoint, paths: &[&[&str]]) -> Option<Attribute> {
    paths.iter().find_map(|path| {
        if let Some(found) = checkpoint.attribute(path) {
            return Some(read(found)).filter(|value| *value != Attribute::None);
        }
        let (outer, rest) = path.split_first()?;
        let text = checkpoint.attribute(&[outer])?.as_str()?;
        rest.iter().try_fold(Attribute::parse(text)?, |value, key| value.get(key).cloned()).filter(|value| *value != Attribute::None)
    })
}

fn read(value: &Attribute) -> Attribute {
    value.as_str().and_then(Attribute::parse).unwrap_or_else(|| value.clone())
}

/// Whole numbers: one, or a list of them. `None` if it is something else.
pub(super) fn sizes(value: &Attribute) -> Option<Vec<usize>> {
    let size = |value: &Attribute| {
        let number = value.as_float().or_else(|| value.as_str()?.trim().parse().ok())?;
        (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as usize)
    };
    match value {
        Attribute::List(items) => items.iter().map(size).collect(),
        other => Some(vec![size(other)?]),
    }
}

/// Side of the square input: what the model was trained at, else what the published ones were.
///
/// Of a height and a width the larger one counts, as in training; it is rounded up to the stride, as ultralytics does.
pub(super) fn picture_side(checkpoint: &Checkpoint, task: Task) -> Result<(usize, SizeSource)> {
    let Some(said) = told(checkpoint, &[&["train_args", "imgsz"], &["args", "imgsz"], &["hyper_parameters", "imgsz"], &["imgsz"]]) else {
        return Ok((super::default_size(task), SizeSource::Published));
    };
    side_of(&said).map(|side| (side, SizeSource::File)).ok_or_else(|| {
        let message = format!("its picture size is {}; expected one or two numbers from 1 to {MOST_SIDE}", pickled::shown(&said));
        Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path())
    })
}

/// The side that a stored `imgsz` stands for.
pub(super) fn side_of(said: &Attribute) -> Option<usize> {
    let sizes = sizes(said).filter(|sizes| matches!(sizes.len(), 1 | 2))?;
    let fits = sizes.iter().all(|side| (1..=MOST_SIDE).contains(side));
    sizes.into_iter().max().filter(|_| fits).map(|side| side.next_multiple_of(32))
}

/// What follows the convolutions: as the configuration says that the model was made from, else SiLU.
pub(super) fn default_activation(checkpoint: &Checkpoint) -> Result<Activation> {
    let Some(said) = told(checkpoint, &[&["yaml", "activation"], &["activation"]]) else { return Ok(Activation::Silu) };
    let found = match &said {
        Attribute::Str(text) => pickled::activation_named(text),
        _ => None,
    };
    found.ok_or_else(|| {
        let message = format!("the activation {} is not built", pickled::shown(&said));
        Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path())
    })
}

/// The activation of a `Conv`; `None` for one whose slopes are weights (`PReLU`).
pub(super) fn activation(conv: &Scope<'_>, default: Activation) -> Result<Option<Activation>> {
    let act = conv.push("act");
    if !conv.checkpoint().is_synthetic() && act.contains("weight") {
        pickled::expect_class(&act, &["PReLU"])?;
        return Ok(None);
    }
    match (pickled::activation(&act)?, pickled::module(conv)) {
        (Some(activation), _) => Ok(Some(activation)),
        (None, None) => Ok(Some(default)),
        // A function, or something that is no module, of which nothing is known.
        (None, Some(module)) => Err(pickled::refuse(conv, &format!("a `{}` without an activation that is a module", module.class))),
    }
}

/// Whether a bottleneck adds its input.
pub(super) fn adds(bottleneck: &Scope<'_>, published: bool) -> Result<bool> {
    pickled::expect_class(bottleneck, &["Bottleneck"])?;
    let Some(module) = pickled::module(bottleneck) else { return Ok(published) };
    module
        .attributes
        .get("add")
        .and_then(Attribute::as_bool)
        .ok_or_else(|| pickled::refuse(bottleneck, "it does not say whether it adds its input"))
}

/// The pooling of an SPPF block.
pub(super) struct Pooling {
    pub(super) pool: PoolOptions,
    /// How often it is applied.
    pub(super) times: usize,
    /// Whether the input is added to the result.
    pub(super) adds: bool,
}

pub(super) fn pooling(block: &Scope<'_>) -> Result<Pooling> {
    let m = block.push("m");
    pickled::expect_class(&m, &["MaxPool2d"])?;
    let attribute = |module: Option<&Module>, name: &str| module.and_then(|module| module.attributes.get(name)).cloned();
    let kernel = match attribute(pickled::module(&m), "kernel_size") {
        None => 5,
        Some(said) => match sizes(&said).as_deref() {
            Some(&[side]) if side % 2 == 1 && side < 64 => side,
            Some(&[rows, columns]) if rows == columns && rows % 2 == 1 && rows < 64 => rows,
            _ => return Err(pickled::refuse(&m, &format!("its `kernel_size` is {}, which is not built", pickled::shown(&said)))),
        },
    };
    pickled::expect(&m, "stride", |value| pickled::is_all(value, 1))?;
    pickled::expect(&m, "padding", |value| pickled::is_all(value, kernel / 2))?;
    pickled::expect(&m, "dilation", |value| pickled::is_all(value, 1))?;
    let times = match attribute(pickled::module(block), "n") {
        None => 3,
        Some(said) => match sizes(&said).as_deref() {
            Some(&[times]) if (1..=16).contains(&times) => times,
            _ => return Err(pickled::refuse(block, &format!("its `n` is {}, which is not built", pickled::shown(&said)))),
        },
    };
    let adds = attribute(pickled::module(block), "add").and_then(|said| said.as_bool()).unwrap_or(false);
    Ok(Pooling { pool: PoolOptions { kernel: [kernel; 2], stride: [1; 2], padding: [kernel / 2; 4] }, times, adds })
}

/// How a layer doubles the resolution.
pub(super) fn upsampling(layer: &Scope<'_>) -> Result<Interpolation> {
    pickled::expect_class(layer, &["Upsample", "UpsamplingNearest2d"])?;
    pickled::expect(layer, "scale_factor", |value| pickled::is_all(value, 2))?;
    pickled::expect(layer, "size", |value| *value == Attribute::None)?;
    pickled::expect(layer, "align_corners", |value| matches!(value, Attribute::None | Attribute::Bool(false)))?;
    let mode = pickled::module(layer).and_then(|module| module.attributes.get("mode")).map(|mode| mode.as_str().unwrap_or("?"));
    match mode {
        None | Some("nearest") => Ok(Interpolation::Nearest),
        Some("bilinear") => Ok(Interpolation::Linear),
        Some("bicubic") => Ok(Interpolation::Cubic),
        Some(other) => Err(pickled::refuse(layer, &format!("its `mode` is `{other}`, which is not built"))),
    }
}

/// Which layers each layer reads, where it is not the one before it; -1 is that one.
const WIRING: [(usize, &[i64]); 5] = [(11, &[-1, 6]), (14, &[-1, 4]), (17, &[-1, 12]), (20, &[-1, 9]), (22, &[15, 18, 21])];
/// The class of each layer of a detector.
const LAYERS: [&str; 22] = [
    "Conv", "Conv", "C2f", "Conv", "C2f", "Conv", "C2f", "Conv", "C2f", "SPPF", "Upsample", "Concat", "C2f", "Upsample", "Concat", "C2f",
    "Conv", "Concat", "C2f", "Conv", "Concat", "C2f",
];

/// Checks what the layers of a pickled model say about themselves: their classes, what they read, and the numbers of the head.
pub(super) fn check_layers(model: &Scope<'_>, config: &Config) -> Result<()> {
    let last = if config.task == Task::Classify { CLASSIFY_LAYER } else { DETECT_LAYER };
    for (index, class) in LAYERS.iter().enumerate().take(last) {
        let layer = model.push(index);
        // `Upsample` has more than one class, see `upsampling`.
        if *class != "Upsample" {
            pickled::expect_class(&layer, &[class])?;
        }
        check_wiring(&layer, index)?;
        if *class == "Concat" {
            pickled::expect(&layer, "d", |value| pickled::is_all(value, 1))?;
        }
    }
    check_wiring(&model.push(last), if last == CLASSIFY_LAYER { 0 } else { last })?;
    check_head(&model.push(last), config)
}

fn check_wiring(layer: &Scope<'_>, index: usize) -> Result<()> {
    let expected = WIRING.iter().find(|(at, _)| *at == index).map_or(&[-1][..], |(_, from)| from);
    pickled::expect(layer, "f", |said| match said {
        Attribute::List(items) => items.iter().map(Attribute::as_int).eq(expected.iter().map(|from| Some(*from))),
        other => expected.len() == 1 && other.as_int() == expected.first().copied(),
    })
}

/// What the file says that it is for must be what its head answers.
pub(super) fn check_task(checkpoint: &Checkpoint, task: Task) -> Result<()> {
    const KNOWN: [Task; 5] = [Task::Detect, Task::Segment, Task::Pose, Task::Classify, Task::Obb];
    let said = told(checkpoint, &[&["task"], &["train_args", "task"], &["args", "task"]]);
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

fn check_head(head: &Scope<'_>, config: &Config) -> Result<()> {
    let class = match config.task {
        Task::Segment => "Segment",
        Task::Pose => "Pose",
        Task::Obb => "OBB",
        Task::Classify => "Classify",
        _ => "Detect",
    };
    pickled::expect_class(head, &[class])?;
    pickled::expect(head, "end2end", |value| matches!(value, Attribute::Bool(false) | Attribute::None))?;
    pickled::expect(head, "nc", |value| pickled::is_all(value, config.classes))?;
    pickled::expect(head, "reg_max", |value| pickled::is_all(value, config.reg_max))?;
    pickled::expect(head, "nl", |value| pickled::is_all(value, STRIDES.len()))?;
    pickled::expect(head, "nm", |value| pickled::is_all(value, config.extras.channels()))?;
    pickled::expect(head, "ne", |value| pickled::is_all(value, config.extras.channels()))?;
    pickled::expect(&head.push("pool"), "output_size", |value| pickled::is_all(value, 1))?;
    pickled::expect(&head.push("proto").push("upsample"), "stride", |value| pickled::is_all(value, 2))?;
    pickled::expect(&head.push("proto").push("upsample"), "padding", |value| pickled::is_all(value, 0))?;
    if config.task == Task::Classify {
        return Ok(());
    }
    let strides = |value: &Attribute| sizes(value).is_some_and(|sizes| sizes == STRIDES);
    pickled::expect(head, "stride", strides)?;
    // Metadata of a safetensors file, where `stride` may also be the largest one.
    match told(head.checkpoint(), &[&["stride"]]) {
        Some(said) if !strides(&said) && !pickled::is_all(&said, STRIDES[2]) => {
            let message = format!("its strides are {}; expected {STRIDES:?}", pickled::shown(&said));
            Err(Error::new(ErrorKind::Checkpoint, message).at(head.checkpoint().path()))
        }
        _ => Ok(()),
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

/// Refuses a pickled model that holds modules of which the graph has nothing: they may have no tensors that would be left over.
pub(super) fn check_no_other_modules(checkpoint: &Checkpoint) -> Result<()> {
    for (name, module) in checkpoint.modules() {
        // The layers themselves are checked one by one, activations where they are used.
        let is_inner = name.strip_prefix("model.").is_some_and(|inner| inner.contains('.'));
        if is_inner && !name.ends_with(".act") && !KNOWN_CLASSES.contains(&module.class_name()) {
            let message = format!("{name}: a `{}` has no place in a YOLOv8", module.class);
            return Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()));
        }
    }
    Ok(())
}
