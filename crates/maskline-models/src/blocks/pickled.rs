//! What pickled modules say about themselves beside their tensors: done as they say where a graph can, refused by name where not.
//!
//! State dicts and safetensors files say nothing of this; then the published models are taken for granted.

use maskline_onnx::GeluForm;
use maskline_weights::{Attribute, Module, Scope};

use super::{Activation, ConvSpec};
use crate::{Error, ErrorKind, Result};

/// The module of a scope, where the checkpoint is a pickle of modules.
pub fn module<'w>(scope: &Scope<'w>) -> Option<&'w Module> {
    scope.checkpoint().module(scope.name())
}

/// The error for something in a pickle that is not built: `what` it is, and what was expected.
pub fn refuse(scope: &Scope<'_>, what: &str) -> Error {
    let error = Error::new(ErrorKind::Checkpoint, format!("{}: {what}", scope.name())).at(scope.checkpoint().path());
    error.with_help("the checkpoint is of a variant that maskline does not build; computed as the published model it would be wrong")
}

/// Refuses a module of another class than these, by its name.
///
/// # Errors
/// `Checkpoint` if it is of another class.
pub fn expect_class(scope: &Scope<'_>, expected: &[&str]) -> Result<()> {
    match module(scope) {
        Some(module) if !expected.contains(&module.class_name()) => {
            Err(refuse(scope, &format!("expected a {}, found a `{}`", expected.join(" or "), module.class)))
        }
        _ => Ok(()),
    }
}

/// Refuses an attribute of a module that is not as the graph is built.
///
/// # Errors
/// `Checkpoint`, which names attribute, expectation and find.
pub fn expect(scope: &Scope<'_>, attribute: &str, fits: impl Fn(&Attribute) -> bool) -> Result<()> {
    match module(scope).and_then(|module| module.attributes.get(attribute)) {
        Some(value) if !fits(value) => Err(refuse(scope, &format!("its `{attribute}` is {}, which is not built", shown(value)))),
        _ => Ok(()),
    }
}

/// A value as a person would write it, cut where it is long.
pub fn shown(value: &Attribute) -> String {
    let text = match value {
        Attribute::None => "None".into(),
        Attribute::Bool(value) => value.to_string(),
        Attribute::Int(value) => value.to_string(),
        Attribute::Float(value) => value.to_string(),
        Attribute::Str(text) => format!("`{text}`"),
        Attribute::List(items) => format!("[{}]", items.iter().take(8).map(shown).collect::<Vec<_>>().join(", ")),
        Attribute::Map(_) => "a dictionary".into(),
    };
    text.chars().take(120).collect()
}

/// Whether a whole number, or every one of a list (a size per axis), is `wanted`. Floats that are whole count.
pub fn is_all(value: &Attribute, wanted: usize) -> bool {
    match value {
        Attribute::List(items) => !items.is_empty() && items.iter().all(|item| is_all(item, wanted)),
        other => other.as_float() == Some(wanted as f64),
    }
}

/// Epsilon of a normalisation: what its module says, else `published`.
///
/// # Errors
/// `Checkpoint` if the module is no such normalisation or says no usable epsilon.
pub fn epsilon(scope: &Scope<'_>, published: f64) -> Result<f64> {
    let Some(module) = module(scope) else { return Ok(published) };
    if !["BatchNorm", "SyncBatchNorm", "FrozenBatchNorm", "LayerNorm"].iter().any(|known| module.class_name().starts_with(known)) {
        return Err(refuse(scope, &format!("expected a batch or layer normalisation, found a `{}`", module.class)));
    }
    match module.attributes.get("eps").or_else(|| module.attributes.get("variance_epsilon")).and_then(Attribute::as_float) {
        Some(epsilon) if epsilon.is_finite() && epsilon >= 0.0 => Ok(epsilon),
        found => Err(refuse(scope, &format!("expected an `eps` of 0 or more, found {found:?}"))),
    }
}

/// Whether a normalisation has no scale and shift of its own (`affine=False`).
pub fn is_plain(scope: &Scope<'_>) -> bool {
    let says = |module: &Module| module.attributes.get("affine").and_then(Attribute::as_bool) == Some(false);
    module(scope).is_some_and(says) && !scope.contains("weight") && !scope.contains("bias")
}

/// Refuses a batch normalisation without stored statistics (`track_running_stats=False`): it would take those of each batch.
///
/// # Errors
/// `Checkpoint`, which names it.
pub fn check_statistics(scope: &Scope<'_>) -> Result<()> {
    match module(scope) {
        Some(_) if !scope.contains("running_mean") && !scope.contains("running_var") => {
            Err(refuse(scope, "it normalises by the statistics of each batch (`track_running_stats=False`), which is not built"))
        }
        _ => Ok(()),
    }
}

/// Refuses a convolution that steps, pads or groups in another way than `spec`.
///
/// # Errors
/// `Checkpoint`, which names what differs.
pub fn check_convolution(scope: &Scope<'_>, spec: ConvSpec) -> Result<()> {
    expect_class(scope, &["Conv2d"])?;
    let same = |value: &Attribute| value.as_str() == Some("same") && spec.stride == 1;
    expect(scope, "stride", |value| is_all(value, spec.stride))?;
    expect(scope, "padding", |value| is_all(value, spec.kernel / 2) || same(value))?;
    expect(scope, "dilation", |value| is_all(value, 1))?;
    expect(scope, "groups", |value| is_all(value, spec.groups))?;
    expect(scope, "padding_mode", |value| value.as_str() == Some("zeros"))
}

/// The activation of a scope: what its module is; `None` where the checkpoint holds no modules.
///
/// # Errors
/// `Checkpoint` for one that is not built, with the name of its class.
pub fn activation(scope: &Scope<'_>) -> Result<Option<Activation>> {
    let Some(module) = module(scope) else { return Ok(None) };
    let unknown = || refuse(scope, &format!("the activation `{}` is not built", module.class));
    if !module.class.starts_with("torch.nn.") {
        return Err(unknown());
    }
    let number = |name: &str, default: f64| match module.attributes.get(name) {
        None => Some(default as f32),
        Some(value) => value.as_float().map(|value| value as f32).filter(|value| value.is_finite()),
    };
    let found = match module.class_name() {
        "Softplus" if number("beta", 1.0) != Some(1.0) => None,
        "GELU" => match module.attributes.get("approximate").and_then(Attribute::as_str) {
            None | Some("none") => Some(Activation::Gelu(GeluForm::Exact)),
            Some("tanh") => Some(Activation::Gelu(GeluForm::Tanh)),
            Some(_) => None,
        },
        "LeakyReLU" => number("negative_slope", 0.01).map(|slope| Activation::LeakyRelu { slope }),
        "ELU" => number("alpha", 1.0).map(|alpha| Activation::Elu { alpha }),
        "CELU" => number("alpha", 1.0).filter(|alpha| *alpha != 0.0).map(|alpha| Activation::Celu { alpha }),
        "Hardtanh" => number("min_val", -1.0).zip(number("max_val", 1.0)).map(|(low, high)| Activation::Clip { low, high }),
        class => plain(class),
    };
    found.map(Some).ok_or_else(unknown)
}

/// The activations of PyTorch that have no options.
fn plain(class: &str) -> Option<Activation> {
    Some(match class {
        "Identity" => Activation::None,
        "ReLU" => Activation::Relu,
        "ReLU6" => Activation::Clip { low: 0.0, high: 6.0 },
        "SiLU" => Activation::Silu,
        "Hardswish" => Activation::HardSwish,
        "Hardsigmoid" => Activation::HardSigmoid,
        "Mish" => Activation::Mish,
        "SELU" => Activation::Selu,
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        _ => return None,
    })
}

/// An activation as configurations write it, e.g. `nn.LeakyReLU(0.1)`, `torch.nn.SiLU()` or `relu`; `None` for one that is not built.
pub fn activation_named(text: &str) -> Option<Activation> {
    let (name, arguments) = text.trim().split_once('(').unwrap_or((text.trim(), ")"));
    let arguments: Vec<&str> = arguments.strip_suffix(')')?.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let arguments: Vec<&str> = arguments.into_iter().filter(|part| !part.starts_with("inplace")).collect();
    let class = name.rsplit('.').next().unwrap_or(name);
    let value = |at: usize, default: f32| arguments.get(at).map_or(Some(default), |text| text.rsplit('=').next()?.trim().parse().ok());
    let known =
        ["Identity", "ReLU", "ReLU6", "SiLU", "Hardswish", "Hardsigmoid", "Mish", "SELU", "Sigmoid", "Tanh", "Softsign", "Softplus"];
    match (class.to_ascii_lowercase().as_str(), arguments.as_slice()) {
        ("leakyrelu" | "leaky_relu", [] | [_]) => value(0, 0.01).map(|slope| Activation::LeakyRelu { slope }),
        ("elu", [] | [_]) => value(0, 1.0).map(|alpha| Activation::Elu { alpha }),
        ("celu", [] | [_]) => value(0, 1.0).filter(|alpha| *alpha != 0.0).map(|alpha| Activation::Celu { alpha }),
        ("hardtanh", [] | [_, _]) => value(0, -1.0).zip(value(1, 1.0)).map(|(low, high)| Activation::Clip { low, high }),
        ("gelu", []) => Some(Activation::Gelu(GeluForm::Exact)),
        ("gelu", [form]) if form.contains("tanh") => Some(Activation::Gelu(GeluForm::Tanh)),
        ("gelu", [form]) if form.contains("none") => Some(Activation::Gelu(GeluForm::Exact)),
        ("swish", []) => Some(Activation::Silu),
        (name, []) => known.iter().find(|class| class.eq_ignore_ascii_case(name)).and_then(|class| plain(class)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_as_configurations_write_them() {
        for (text, expected) in [
            ("nn.ReLU()", Some(Activation::Relu)),
            ("torch.nn.SiLU()", Some(Activation::Silu)),
            ("nn.SiLU(inplace=True)", Some(Activation::Silu)),
            ("relu", Some(Activation::Relu)),
            ("nn.LeakyReLU(0.1)", Some(Activation::LeakyRelu { slope: 0.1 })),
            ("nn.LeakyReLU(negative_slope=0.2, inplace=True)", Some(Activation::LeakyRelu { slope: 0.2 })),
            ("torch.nn.modules.activation.Hardswish()", Some(Activation::HardSwish)),
            ("nn.GELU(approximate='tanh')", Some(Activation::Gelu(GeluForm::Tanh))),
            ("nn.PReLU()", None),
            ("my.Own()", None),
            ("nn.ReLU", Some(Activation::Relu)),
            ("nn.LeakyReLU(x)", None),
            ("nn.ReLU(", None),
        ] {
            assert_eq!(activation_named(text), expected, "{text}");
        }
    }
}
