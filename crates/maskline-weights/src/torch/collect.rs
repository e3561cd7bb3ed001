//! Finding the tensors in an unpickled value, under the names that `state_dict()` would give them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::facts::FactReader;
use super::value::{Id, Storage, TensorRecord, Value, Values};
use crate::attribute::Module;
use crate::contents::{Choice, Contents};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Layout, View};
use crate::tensor::{DType, TensorInfo};

/// Keys under which training scripts put the weights, in order of preference: averaged weights first, as PyTorch-side
/// loaders of these files do.
const WRAPPERS: &[&str] = &[
    "ema",
    "model_ema",
    "ema_model",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema_state_dict",
    "params_ema",
    "model",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model_weights",
    "params",
    "module",
    "net",
    "network",
    "weights",
];
/// Keys under which training scripts put what is not of the model, though it holds tensors: moments of optimizers, random states.
const TRAINER_STATE: &[&str] = &[
    "optimizer",
    "optimizers",
    "optimizer_state",
    "optimizer_states",
    "optimizer_state_dict",
    "optim",
    "optim_state_dict",
    "scheduler",
    "schedulers",
    "scheduler_state_dict",
    "lr_scheduler",
    "lr_schedulers",
    "lr_scheduler_state_dict",
    "scaler",
    "grad_scaler",
    "scaler_state_dict",
    "amp",
    "callbacks",
    "loops",
    "rng_state",
    "rng_states",
];
const MAX_WRAPPERS: usize = 8;
/// Modules and dictionaries inside each other; a cycle ends here.
const MAX_DEPTH: usize = 64;
/// Entries looked at plus bytes of names made: bounds the walk over a shared (exponentially unfolding) structure.
const MAX_WORK: usize = 64_000_000;

/// Lists the tensors and plain values of the object that was saved. `storages` tells where the
/// archive's storages lie in the file.
pub(super) fn collect(values: &Values<'_>, root: Id, file: &[u8], storages: &HashMap<String, Range<usize>>) -> Result<Contents> {
    let reader = TensorReader { values, file, storages };
    let mut facts = FactReader::new(&reader);
    let (mut outer, mut choices) = (Vec::new(), Vec::new());
    let (mut weights, mut path) = (root, String::new());
    for _ in 0..MAX_WRAPPERS {
        let Some((key, inner)) = wrapped(values, weights) else { break };
        let entries = values.entries(weights).unwrap_or_default();
        let left = beside(values, entries, key);
        if !left.is_empty() {
            choices.push(Choice { taken: format!("{path}{key}"), left: left.iter().map(|other| format!("{path}{other:.80}")).collect() });
        }
        outer.extend(facts.entries(entries));
        path += &format!("{key}.");
        weights = inner;
    }
    let mut walk = Walk { reader: &reader, facts, found: BTreeMap::new(), skipped: BTreeMap::new(), modules: BTreeMap::new(), work: 0 };
    walk.run(weights)?;
    let Walk { mut facts, found, skipped, modules, .. } = walk;
    if found.is_empty() && skipped.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "the file holds no state dict and no module: there are no tensors in it")
            .with_help("pass a checkpoint: a state_dict() or a model saved with torch.save"));
    }
    let mut contents = Contents { skipped, choices, ..Contents::default() };
    contents.tensors = found.into_iter().map(|(name, (info, layout))| (name, info, layout)).collect();
    contents.facts.modules = modules;
    // A plain state dict has facts as well: entries that are no tensors.
    let own = if values.is_module(weights) { Vec::new() } else { facts.entries(values.entries(weights).unwrap_or_default()) };
    strip_wrapping_modules(&mut contents);
    contents.facts.root = own;
    contents.facts.root.extend(outer);
    contents.facts.adopt_root_module();
    Ok(contents)
}

/// The weights inside a training checkpoint, and their key: the first wrapper key with a state dict or module under it.
fn wrapped(values: &Values<'_>, id: Id) -> Option<(&'static str, Id)> {
    let entries = values.entries(id)?;
    WRAPPERS.iter().find_map(|key| {
        let inner = values.entry(entries, key)?;
        has_weights(values, inner).then_some((*key, inner))
    })
}

/// Keys of further weights beside those under `key`.
fn beside<'v>(values: &'v Values<'v>, entries: &[(Id, Id)], key: &str) -> Vec<&'v str> {
    let names = entries.iter().filter_map(|(name, value)| Some((values.str(*name)?, *value)));
    names
        .filter(|(name, value)| *name != key && !TRAINER_STATE.contains(name) && has_weights(values, *value))
        .map(|(name, _)| name)
        .collect()
}

/// Whether it is a module, or a dictionary with tensors or modules in it, at any depth: `ema` may hold a state dict, or only its settings.
fn has_weights(values: &Values<'_>, id: Id) -> bool {
    /// Entries looked at; in a structure that unfolds into more there is hardly none.
    const MAX_ENTRIES: usize = 100_000;
    let (mut pending, mut left) = (vec![(id, 0)], MAX_ENTRIES);
    while let Some((id, depth)) = pending.pop() {
        if values.is_module(id) {
            return true;
        }
        let Some(entries) = values.entries(id).filter(|_| depth < MAX_DEPTH) else { continue };
        if values.hold_tensors(entries) || left < entries.len() {
            return true;
        }
        left -= entries.len();
        let is_state = |name: Id| values.str(name).is_some_and(|name| TRAINER_STATE.contains(&name));
        pending.extend(entries.iter().filter(|(name, _)| !is_state(*name)).map(|(_, value)| (*value, depth + 1)));
    }
    false
}

/// `DataParallel` and `torch.compile` wrap the model in one more module; its name is in front of every tensor.
fn strip_wrapping_modules(contents: &mut Contents) {
    for wrapper in ["module", "_orig_mod", "module"] {
        if contents.common_prefix() == Some(wrapper) {
            contents.strip(wrapper);
        }
    }
}

struct Walk<'r, 'v> {
    reader: &'r TensorReader<'v>,
    facts: FactReader<'r, 'v>,
    found: BTreeMap<String, (TensorInfo, Layout)>,
    skipped: BTreeMap<String, String>,
    modules: BTreeMap<String, Module>,
    work: usize,
}

impl Walk<'_, '_> {
    fn run(&mut self, root: Id) -> Result<()> {
        let mut pending = vec![(root, String::new(), 0)];
        while let Some((id, prefix, depth)) = pending.pop() {
            if depth > MAX_DEPTH {
                return Err(Error::limit(format!("{prefix:.200}: modules nest deeper than {MAX_DEPTH} levels, or hold themselves")));
            }
            let inner = if self.reader.values.is_module(id) { self.module(id, &prefix)? } else { self.dictionary(id, &prefix)? };
            pending.extend(inner.into_iter().map(|(id, name)| (id, name, depth + 1)));
        }
        Ok(())
    }

    /// Parameters and persistent buffers, as `Module.state_dict` lists them; returns the submodules.
    fn module(&mut self, id: Id, prefix: &str) -> Result<Vec<(Id, String)>> {
        let values = self.reader.values;
        let state = values.attributes(id).unwrap_or_default();
        self.charge(state.len())?;
        let group = |name| values.entry(state, name).and_then(|group| values.entries(group)).unwrap_or_default();
        let transient = values.entry(state, "_non_persistent_buffers_set").and_then(|set| values.sequence(set)).unwrap_or_default();
        self.charge(transient.len() * group("_buffers").len())?;
        let persistent = |(name, _): &&(Id, Id)| !transient.iter().any(|other| values.str(*other) == values.str(*name));
        for (name, value) in group("_parameters").iter().chain(group("_buffers").iter().filter(persistent)) {
            if let (Some(name), Value::Tensor(tensor)) = (values.str(*name), values.get(*value)) {
                let name = self.join(prefix, name)?;
                self.tensor(name, tensor)?;
            }
        }
        let mut inner = Vec::new();
        for (name, module) in group("_modules") {
            if let (Some(name), true) = (values.str(*name), values.is_module(*module)) {
                inner.push((*module, self.join(prefix, name)?));
            }
        }
        let attributes = self.facts.attributes(state);
        self.modules.insert(prefix.to_owned(), Module { class: values.class(id), attributes });
        Ok(inner)
    }

    /// Tensors of a (possibly nested) state dict; returns the inner dictionaries and modules.
    fn dictionary(&mut self, id: Id, prefix: &str) -> Result<Vec<(Id, String)>> {
        let values = self.reader.values;
        let mut inner = Vec::new();
        for (key, value) in values.entries(id).unwrap_or_default() {
            self.charge(1)?;
            let key = match values.get(*key) {
                Value::Str(key) => Cow::Borrowed(key.as_ref()),
                Value::Int(key) => Cow::Owned(key.to_string()),
                _ => continue,
            };
            match values.get(*value) {
                Value::Tensor(tensor) => {
                    let name = self.join(prefix, &key)?;
                    self.tensor(name, tensor)?;
                }
                Value::Dict(_) if prefix.is_empty() && TRAINER_STATE.contains(&key.as_ref()) => {}
                Value::Dict(_) | Value::Object(_) => inner.push((*value, self.join(prefix, &key)?)),
                _ => {}
            }
        }
        Ok(inner)
    }

    fn tensor(&mut self, name: String, tensor: &TensorRecord<'_>) -> Result<()> {
        match self.reader.locate(tensor).map_err(|error| Error::new(error.kind(), format!("{name:.200}: {}", error.message())))? {
            Located::Readable(info, layout) => {
                self.found.insert(name, (info, layout));
            }
            Located::Unreadable(dtype) => {
                self.skipped.insert(name, dtype);
            }
        }
        Ok(())
    }

    fn join(&mut self, prefix: &str, name: &str) -> Result<String> {
        self.charge(prefix.len() + name.len() + size_of::<TensorInfo>())?;
        Ok(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") })
    }

    fn charge(&mut self, work: usize) -> Result<()> {
        self.work = self.work.saturating_add(work);
        if self.work > MAX_WORK { Err(Error::limit("the pickle unfolds into too many tensors")) } else { Ok(()) }
    }
}

/// Resolves tensor records against the storages of the archive.
pub(super) struct TensorReader<'v> {
    pub(super) values: &'v Values<'v>,
    pub(super) file: &'v [u8],
    storages: &'v HashMap<String, Range<usize>>,
}

pub(super) enum Located {
    Readable(TensorInfo, Layout),
    /// Of an element type that is not read.
    Unreadable(String),
}

impl TensorReader<'_> {
    /// Where a tensor lies, with every bound checked.
    pub(super) fn locate(&self, tensor: &TensorRecord<'_>) -> Result<Located> {
        let Value::Storage(storage) = self.values.get(tensor.storage) else {
            return Err(Error::corrupt("a tensor whose storage is not in the archive"));
        };
        let type_name = tensor.dtype.as_deref().unwrap_or(&storage.class);
        let Some(dtype) = dtype(type_name) else { return Ok(Located::Unreadable(type_name.to_owned())) };
        let bytes_per_count = if storage.class == "UntypedStorage" { 1 } else { dtype.size() };
        let view = View {
            storage: self.storage(storage, bytes_per_count)?,
            offset: self.size(tensor.offset)?,
            shape: self.sizes(tensor.shape)?,
            strides: self.sizes(tensor.strides)?,
            element_size: dtype.size(),
        };
        let layout = view.layout()?;
        Ok(Located::Readable(TensorInfo { dtype, shape: view.shape }, layout))
    }

    fn storage(&self, storage: &Storage<'_>, bytes_per_count: usize) -> Result<Range<usize>> {
        let key = match self.values.get(storage.key) {
            Value::Str(key) => key.as_ref(),
            _ => return Err(Error::corrupt("a storage without a key")),
        };
        let entry = self.storages.get(key).ok_or_else(|| Error::corrupt(format!("no entry data/{key:.200} in the archive")))?;
        let length = self.size(storage.count)?.checked_mul(bytes_per_count);
        match length {
            Some(length) if length <= entry.len() => Ok(entry.start..entry.start + length),
            _ => Err(Error::corrupt(format!("data/{key:.200} has {} bytes, fewer than its storage", entry.len()))),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        let items = self.values.sequence(id).ok_or_else(|| Error::corrupt("a shape that is no tuple"))?;
        if items.len() > MAX_DEPTH {
            return Err(Error::corrupt(format!("a tensor of {} dimensions", items.len())));
        }
        items.iter().map(|size| self.size(*size)).collect()
    }

    fn size(&self, id: Id) -> Result<usize> {
        let size = self.values.int(id).ok_or_else(|| Error::corrupt("a size that is no integer"))?;
        usize::try_from(size).map_err(|_| Error::corrupt(format!("a size of {size}")))
    }
}

/// By the name of a storage class or of a `torch.dtype`.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "DoubleStorage" | "float64" => DType::F64,
        "FloatStorage" | "float32" => DType::F32,
        "HalfStorage" | "float16" => DType::F16,
        "BFloat16Storage" | "bfloat16" => DType::BF16,
        "LongStorage" | "int64" => DType::I64,
        "IntStorage" | "int32" => DType::I32,
        "ShortStorage" | "int16" => DType::I16,
        "CharStorage" | "int8" => DType::I8,
        "ByteStorage" | "uint8" => DType::U8,
        "BoolStorage" | "bool" => DType::Bool,
        _ => return None,
    })
}
