//! What a pickle describes, as inert values in an arena.
//!
//! Values refer to each other by index, so cyclic and deeply nested pickles cost no more than their size: nothing here
//! is built, walked or dropped by recursion over the pickle's own nesting.

use std::borrow::Cow;

/// How many entries tell what a dictionary is. It is asked wherever one is referred to, so the cost must not grow with size.
const PEEK: usize = 64;

/// The index of a value in its [`Values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) u32);

/// One Python value.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'a, str>),
    /// A list, tuple or set.
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Box<Global<'a>>),
    Object(Box<Object>),
    Storage(Box<Storage<'a>>),
    Tensor(Box<TensorRecord<'a>>),
    /// Bytes, big integers, unknown persistent ids: present, but of no interest.
    Opaque,
}

/// A class or function by name. Only ever a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Global<'a> {
    pub(super) module: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
}

/// An instance of a class that means nothing here (a module, a namespace, the result of an unknown function).
#[derive(Debug)]
pub(super) struct Object {
    /// What would have been called to make it.
    pub(super) class: Id,
    /// What `BUILD` would have set: the `__dict__` of most objects.
    pub(super) state: Option<Id>,
    /// Entries of a dictionary subclass.
    pub(super) items: Vec<(Id, Id)>,
}

/// A storage of the archive.
#[derive(Debug)]
pub(super) struct Storage<'a> {
    /// Name of the storage class, e.g. `HalfStorage`.
    pub(super) class: Cow<'a, str>,
    /// Name of the data entry.
    pub(super) key: Id,
    /// Number of elements (bytes for `UntypedStorage`).
    pub(super) count: Id,
}

/// The arguments of `torch._utils._rebuild_tensor_v2` and `_v3`, checked when the tensor is collected.
#[derive(Debug)]
pub(super) struct TensorRecord<'a> {
    pub(super) storage: Id,
    pub(super) offset: Id,
    pub(super) shape: Id,
    pub(super) strides: Id,
    /// Element type by name (`_v3` only), where the storage is untyped.
    pub(super) dtype: Option<Cow<'a, str>>,
}

/// The arena.
#[derive(Debug, Default)]
pub(super) struct Values<'a>(pub(super) Vec<Value<'a>>);

impl<'a> Values<'a> {
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        &self.0[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value<'a> {
        &mut self.0[id.0 as usize]
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        if let Value::Int(value) = self.get(id) { Some(*value) } else { None }
    }

    pub(super) fn str(&self, id: Id) -> Option<&str> {
        if let Value::Str(value) = self.get(id) { Some(value) } else { None }
    }

    pub(super) fn global(&self, id: Id) -> Option<&Global<'a>> {
        if let Value::Global(global) = self.get(id) { Some(global) } else { None }
    }

    /// The items of a list or tuple.
    pub(super) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dictionary, or of an instance of a subclass of one.
    pub(super) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(entries) => Some(entries),
            Value::Object(object) if !object.items.is_empty() => Some(&object.items),
            _ => None,
        }
    }

    /// The attributes of an object. A state of two parts is `(__dict__, slots)`.
    pub(super) fn attributes(&self, id: Id) -> Option<&[(Id, Id)]> {
        let Value::Object(object) = self.get(id) else { return None };
        let state = object.state?;
        match self.get(state) {
            Value::Dict(entries) => Some(entries),
            Value::Tuple(parts) if parts.len() == 2 => parts.iter().find_map(|part| match self.get(*part) {
                Value::Dict(entries) => Some(entries.as_slice()),
                _ => None,
            }),
            _ => None,
        }
    }

    /// Full name of the class of an object; empty for anything else, and where the class is no plain name.
    pub(super) fn class(&self, id: Id) -> String {
        let Value::Object(object) = self.get(id) else { return String::new() };
        self.global(object.class).map_or_else(String::new, |global| format!("{}.{}", global.module, global.name))
    }

    /// The value under a text key; the last one wins, as in Python.
    pub(super) fn entry(&self, entries: &[(Id, Id)], key: &str) -> Option<Id> {
        entries.iter().rev().find(|(name, _)| self.str(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// Whether it is a `torch.nn.Module`, of whatever class: its constructor sets these members before any other.
    pub(super) fn is_module(&self, id: Id) -> bool {
        let state = self.attributes(id).unwrap_or_default();
        let start = &state[..state.len().min(PEEK)];
        self.entry(start, "_modules").is_some() && self.entry(start, "_parameters").is_some()
    }

    /// Whether these entries look like a state dict.
    pub(super) fn hold_tensors(&self, entries: &[(Id, Id)]) -> bool {
        entries.iter().take(PEEK).any(|(_, value)| matches!(self.get(*value), Value::Tensor(_)))
    }
}
