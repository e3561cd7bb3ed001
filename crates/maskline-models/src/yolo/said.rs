//! What a checkpoint says about itself beside its tensors: attributes of a pickled model, entries of a training file, metadata of a
//! safetensors file, as values or as their text.

use maskline_onnx::{Interpolation, PoolOptions};
use maskline_weights::{Attribute, Checkpoint, Module, Scope};

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

/// Epsilon of the batch normalisations that have no module to say it: as the file says, else as published. Only the detectors' initialisation
/// changes PyTorch's default.
pub(super) fn epsilon(checkpoint: &Checkpoint, is_classifier: bool) -> Result<f64> {
    const PLACES: [&[&str]; 4] = [&["batch_norm_eps"], &["bn_eps"], &["norm_eps"], &["eps"]];
    let Some(said) = told(checkpoint, &PLACES) else { return Ok(if is_classifier { 1e-5 } else { 1e-3 }) };
    said.as_float().filter(|epsilon| epsilon.is_finite() && *epsilon >= 0.0).ok_or_else(|| {
        let message = format!("the epsilon of its batch normalisations is {}; expected a number of 0 or more", pickled::shown(&said));
        Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path())
    })
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

/// Whether a block of this class adds its input.
pub(super) fn adds(block: &Scope<'_>, class: &str, published: bool) -> Result<bool> {
    pickled::expect_class(block, &[class])?;
    let Some(module) = pickled::module(block) else { return Ok(published) };
    let said = module.attributes.get("add").and_then(Attribute::as_bool);
    said.ok_or_else(|| pickled::refuse(block, "it does not say whether it adds its input"))
}

/// The pooling of an SPPF block.
pub(super) struct Pooling {
    pub(super) pool: PoolOptions,
    /// How often it is applied.
    pub(super) times: usize,
    /// Whether the input is added to the result.
    pub(super) adds: bool,
}

/// Modules that say nothing of adding their input are older than it.
pub(super) fn pooling(block: &Scope<'_>, published_adds: bool) -> Result<Pooling> {
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
    let adds = match pickled::module(block) {
        None => published_adds,
        Some(module) => module.attributes.get("add").and_then(Attribute::as_bool).unwrap_or(false),
    };
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
