//! Small YOLO checkpoints made by hand: as a pickle of modules, which says everything about itself, and as bare tensors.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

mod archive;
pub(crate) mod generations;

use std::path::Path;

/// A plain value of an attribute.
#[derive(Clone)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl<const N: usize> From<[i64; N]> for Value {
    fn from(values: [i64; N]) -> Self {
        Self::List(values.into_iter().map(Value::Int).collect())
    }
}

/// A module: its class, plain attributes, tensors by shape, and submodules.
#[derive(Clone, Default)]
pub(crate) struct Module {
    pub(crate) class: (String, String),
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) tensors: Vec<(String, Vec<usize>)>,
    pub(crate) children: Vec<(String, Module)>,
}

impl Module {
    pub(crate) fn new(class: &str) -> Self {
        let (module, name) = class.rsplit_once('.').unwrap();
        Self { class: (module.into(), name.into()), ..Self::default() }
    }

    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.retain(|(name, _)| name != key);
        self.attributes.push((key.into(), value.into()));
        self
    }

    fn tensor(mut self, name: &str, shape: &[usize]) -> Self {
        self.tensors.push((name.into(), shape.to_vec()));
        self
    }

    fn child(mut self, name: impl ToString, module: Module) -> Self {
        self.children.push((name.to_string(), module));
        self
    }

    /// The submodule at a dotted path.
    pub(crate) fn at(&mut self, path: &str) -> &mut Module {
        path.split('.').fold(self, |module, part| {
            let found = module.children.iter_mut().find(|(name, _)| name == part);
            &mut found.unwrap_or_else(|| panic!("no {part} of {path}")).1
        })
    }

    /// Replaces the submodule at a dotted path.
    pub(crate) fn with(mut self, path: &str, module: Module) -> Self {
        *self.at(path) = module;
        self
    }

    /// Sets an attribute of the submodule at a dotted path.
    pub(crate) fn say(mut self, path: &str, key: &str, value: impl Into<Value>) -> Self {
        let module = self.at(path);
        *module = std::mem::take(module).set(key, value);
        self
    }

    /// Calls `change` on every module, with its name.
    pub(crate) fn each(mut self, change: &dyn Fn(&str, Module) -> Module) -> Self {
        self.children = self.children.into_iter().map(|(name, module)| (name.clone(), change(&name, module.each(change)))).collect();
        self
    }

    /// Names and shapes as `state_dict` lists them.
    pub(crate) fn state_dict(&self) -> Vec<(String, Vec<usize>)> {
        let inner = self
            .children
            .iter()
            .flat_map(|(name, module)| module.state_dict().into_iter().map(move |(tensor, shape)| (format!("{name}.{tensor}"), shape)));
        self.tensors.iter().cloned().chain(inner).collect()
    }
}

pub(crate) fn activation(class: &str) -> Module {
    Module::new(&format!("torch.nn.modules.activation.{class}"))
}

fn conv2d(input: usize, output: usize, kernel: usize) -> Module {
    let module = Module::new("torch.nn.modules.conv.Conv2d").tensor("weight", &[output, input, kernel, kernel]);
    let module = module.set("stride", [1, 1]).set("padding", [kernel as i64 / 2; 2]).set("dilation", [1, 1]);
    module.set("groups", 1).set("padding_mode", "zeros")
}

fn conv(input: usize, output: usize, kernel: usize) -> Module {
    let norm = ["weight", "bias", "running_mean", "running_var"]
        .iter()
        .fold(Module::new("torch.nn.modules.batchnorm.BatchNorm2d").set("eps", 1e-3), |norm, name| norm.tensor(name, &[output]));
    Module::new("ultralytics.nn.modules.conv.Conv")
        .child("conv", conv2d(input, output, kernel))
        .child("bn", norm)
        .child("act", activation("SiLU"))
}

fn down(input: usize, output: usize) -> Module {
    conv(input, output, 3).say("conv", "stride", [2, 2])
}

fn c2f(input: usize, output: usize, adds: bool) -> Module {
    let half = output / 2;
    let bottleneck = Module::new("ultralytics.nn.modules.block.Bottleneck").set("add", adds);
    let bottleneck = bottleneck.child("cv1", conv(half, half, 3)).child("cv2", conv(half, half, 3));
    let list = Module::new("torch.nn.modules.container.ModuleList").child(0, bottleneck);
    let module = Module::new("ultralytics.nn.modules.block.C2f").child("cv1", conv(input, output, 1));
    module.child("cv2", conv(3 * half, output, 1)).child("m", list)
}

fn sppf(channels: usize) -> Module {
    let pool =
        Module::new("torch.nn.modules.pooling.MaxPool2d").set("kernel_size", 5).set("stride", 1).set("padding", 2).set("dilation", 1);
    let module = Module::new("ultralytics.nn.modules.block.SPPF").child("cv1", conv(channels, channels / 2, 1));
    module.child("cv2", conv(2 * channels, channels, 1)).child("m", pool)
}

fn upsample() -> Module {
    let module = Module::new("torch.nn.modules.upsampling.Upsample").set("size", Value::None).set("scale_factor", 2.0);
    module.set("mode", "nearest").set("align_corners", Value::None)
}

fn concat() -> Module {
    Module::new("ultralytics.nn.modules.conv.Concat").set("d", 1)
}

fn detect(inputs: [usize; 3], classes: usize) -> Module {
    let branch = |output: usize| {
        let level = |input: usize| {
            let level = Module::new("torch.nn.modules.container.Sequential").child(0, conv(input, 8, 3)).child(1, conv(8, 8, 3));
            level.child(2, conv2d(8, output, 1).tensor("bias", &[output]))
        };
        let list = Module::new("torch.nn.modules.container.ModuleList");
        inputs.into_iter().enumerate().fold(list, |list, (i, input)| list.child(i, level(input)))
    };
    let head = Module::new("ultralytics.nn.modules.head.Detect").set("nc", classes as i64).set("nl", 3).set("reg_max", 4);
    head.set("stride", [8, 16, 32]).child("cv2", branch(16)).child("cv3", branch(classes))
}

/// A detector of 8 to 16 channels, saying of itself what the published ones say.
pub(crate) fn detector(classes: usize) -> Module {
    let layers = [
        down(3, 8),
        down(8, 8),
        c2f(8, 8, true),
        down(8, 8),
        c2f(8, 8, true),
        down(8, 16),
        c2f(16, 16, true),
        down(16, 16),
        c2f(16, 16, true),
        sppf(16),
        upsample(),
        concat(),
        c2f(32, 16, false),
        upsample(),
        concat(),
        c2f(24, 8, false),
        down(8, 8),
        concat(),
        c2f(24, 16, false),
        down(16, 16),
        concat(),
        c2f(32, 16, false),
        detect([8, 16, 16], classes),
    ];
    let sequential = Module::new("torch.nn.modules.container.Sequential");
    let sequential = layers.into_iter().enumerate().fold(sequential, |sequential, (i, layer)| {
        let from: Value = match i {
            11 => [-1, 6].into(),
            14 => [-1, 4].into(),
            17 => [-1, 12].into(),
            20 => [-1, 9].into(),
            22 => [15, 18, 21].into(),
            _ => (-1).into(),
        };
        sequential.child(i, layer.set("f", from).set("i", i as i64))
    });
    Module::new("ultralytics.nn.tasks.DetectionModel").child("model", sequential)
}

/// Writes `{"model": module, **entries}` as `torch.save` does.
pub(crate) fn save_pickle(path: &Path, model: &Module, entries: &[(&str, Value)]) {
    std::fs::write(path, archive::pickled(model, entries)).unwrap();
}

/// Writes the tensors of a module to a safetensors file, under a prefix and with metadata.
pub(crate) fn save_tensors(path: &Path, model: &Module, (prefix, metadata): (&str, &[(&str, &str)])) {
    std::fs::write(path, archive::safetensors(model, prefix, metadata)).unwrap();
}
