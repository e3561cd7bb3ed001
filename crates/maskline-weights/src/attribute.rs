//! The facts beside the tensors: class names, task, configuration.

use crate::literal;

/// A plain value kept from a checkpoint: a module attribute or top-level entry of a pickle, or safetensors metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list, tuple or set, or a small tensor (flattened).
    List(Vec<Attribute>),
    /// A dictionary, or the attributes of an object, in stored order.
    Map(Vec<(Attribute, Attribute)>),
}

impl Attribute {
    /// Reads a value written as text, in JSON or as Python prints it: lists, tuples, dictionaries, texts with all escapes, numbers,
    /// `None`, `True`. `None` if it is anything else. A byte order mark in front is skipped.
    pub fn parse(text: &str) -> Option<Self> {
        literal::parse(text)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is one (integers too).
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(value) = self { Some(value) } else { None }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Attribute]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The entries, if it is a map.
    pub fn as_map(&self) -> Option<&[(Attribute, Attribute)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    /// The entry of a map under a text or integer key (`"0"` finds the key 0; the last one wins, as in Python), or the item of a
    /// list at an index.
    pub fn get(&self, key: &str) -> Option<&Attribute> {
        match self {
            Self::Map(entries) => entries.iter().rev().find(|(name, _)| name.is_key(key)).map(|(_, value)| value),
            Self::List(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    fn is_key(&self, key: &str) -> bool {
        match self {
            Self::Str(name) => name == key,
            Self::Int(number) => key.parse() == Ok(*number),
            _ => false,
        }
    }
}

/// What a pickled module says about itself beside its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Full name of its class, e.g. `torch.nn.modules.activation.ReLU`. Only ever a name.
    pub class: String,
    /// Its plain attributes, a [`Attribute::Map`].
    pub attributes: Attribute,
}

impl Module {
    /// The class without the modules it lies in, e.g. `ReLU`.
    pub fn class_name(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }
}
