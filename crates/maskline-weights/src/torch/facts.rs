//! Plain values of a pickle as [`Attribute`]s.

use half::{bf16, f16};

use super::collect::{Located, TensorReader};
use super::value::{Id, TensorRecord, Value};
use crate::attribute::Attribute;
use crate::tensor::DType;

/// Deeper values are left out; this also ends cycles.
const MAX_DEPTH: usize = 16;
/// Nodes plus bytes of text in one attribute, and in all: larger ones are left out.
const MAX_SIZE: usize = 1 << 20;
const MAX_TOTAL: usize = 16 << 20;
/// Tensors with more elements are weights, not facts.
const MAX_ELEMENTS: usize = 64;

pub(super) struct FactReader<'r, 'v> {
    tensors: &'r TensorReader<'v>,
    total: usize,
    /// What is left for the attribute being read.
    budget: usize,
}

impl<'r, 'v> FactReader<'r, 'v> {
    pub(super) fn new(tensors: &'r TensorReader<'v>) -> Self {
        Self { tensors, total: MAX_TOTAL, budget: 0 }
    }

    /// The entries of a dictionary that are plain values under text keys.
    pub(super) fn entries(&mut self, entries: &[(Id, Id)]) -> Vec<(Attribute, Attribute)> {
        let mut kept = Vec::new();
        for (key, value) in entries {
            if let Some(key) = self.tensors.values.str(*key)
                && !self.is_weight(*value)
                && let Some(value) = self.start(*value)
            {
                kept.push((Attribute::Str(key.to_owned()), value));
            }
        }
        kept
    }

    /// The attributes of a module that are plain values, without Python's and PyTorch's own.
    pub(super) fn attributes(&mut self, state: &[(Id, Id)]) -> Attribute {
        let mut kept = Vec::new();
        for (key, value) in state {
            if let Some(key) = self.tensors.values.str(*key)
                && !key.starts_with('_')
                && let Some(value) = self.start(*value)
            {
                kept.push((Attribute::Str(key.to_owned()), value));
            }
        }
        Attribute::Map(kept)
    }

    /// Tensors and state dicts, which would otherwise be kept in part: the small tensors of them.
    fn is_weight(&self, id: Id) -> bool {
        let values = self.tensors.values;
        matches!(values.get(id), Value::Tensor(_)) || values.entries(id).is_some_and(|entries| values.hold_tensors(entries))
    }

    fn start(&mut self, id: Id) -> Option<Attribute> {
        self.budget = MAX_SIZE.min(self.total);
        let before = self.budget;
        let attribute = self.convert(id, 0);
        self.total -= before - self.budget;
        attribute
    }

    /// `None` for what is not plain; dictionaries leave such entries out, lists are dropped as a whole, since positions matter.
    fn convert(&mut self, id: Id, depth: usize) -> Option<Attribute> {
        let values = self.tensors.values;
        self.charge(1)?;
        if depth > MAX_DEPTH {
            return None;
        }
        match values.get(id) {
            Value::None => Some(Attribute::None),
            Value::Bool(value) => Some(Attribute::Bool(*value)),
            Value::Int(value) => Some(Attribute::Int(*value)),
            Value::Float(value) => Some(Attribute::Float(*value)),
            Value::Str(text) => {
                self.charge(text.len())?;
                Some(Attribute::Str(text.to_string()))
            }
            Value::List(items) | Value::Tuple(items) => {
                let items = items.iter().map(|item| self.convert(*item, depth + 1));
                Some(Attribute::List(items.collect::<Option<_>>()?))
            }
            Value::Tensor(tensor) => self.small_tensor(tensor),
            Value::Dict(entries) => self.map(entries, depth),
            // Submodules have attributes of their own; other objects (argument namespaces) are what they hold.
            Value::Object(_) if values.is_module(id) => None,
            Value::Object(_) => self.map(values.attributes(id).or_else(|| values.entries(id))?, depth),
            Value::Global(_) | Value::Storage(_) | Value::Opaque => None,
        }
    }

    fn map(&mut self, entries: &[(Id, Id)], depth: usize) -> Option<Attribute> {
        let mut kept = Vec::new();
        for (key, value) in entries {
            let (key, value) = (self.convert(*key, depth + 1), self.convert(*value, depth + 1));
            kept.extend(key.zip(value));
        }
        // An exhausted budget must not leave a half-read dictionary.
        (self.budget > 0).then_some(Attribute::Map(kept))
    }

    fn small_tensor(&mut self, tensor: &TensorRecord<'_>) -> Option<Attribute> {
        let Ok(Located::Readable(info, layout)) = self.tensors.locate(tensor) else { return None };
        if info.element_count() > MAX_ELEMENTS {
            return None;
        }
        self.charge(info.element_count())?;
        let bytes = layout.read(self.tensors.file, &info.shape, info.dtype.size());
        let elements = bytes.chunks_exact(info.dtype.size()).map(|element| scalar(info.dtype, element));
        Some(Attribute::List(elements.collect::<Option<_>>()?))
    }

    fn charge(&mut self, size: usize) -> Option<()> {
        match self.budget.checked_sub(size) {
            Some(left) if left > 0 => {
                self.budget = left;
                Some(())
            }
            _ => {
                self.budget = 0;
                None
            }
        }
    }
}

fn scalar(dtype: DType, bytes: &[u8]) -> Option<Attribute> {
    Some(match dtype {
        DType::F64 => Attribute::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        DType::F32 => Attribute::Float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::F16 => Attribute::Float(f16::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::BF16 => Attribute::Float(bf16::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::I64 => Attribute::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        DType::I32 => Attribute::Int(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::I16 => Attribute::Int(i16::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::I8 => Attribute::Int(i8::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::U8 => Attribute::Int(bytes.first().copied()?.into()),
        DType::Bool => Attribute::Bool(bytes.first().copied()? != 0),
    })
}
