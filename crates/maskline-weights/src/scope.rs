//! Looking tensors up under a dotted prefix, as modules nest.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::synthetic::Init;
use crate::tensor::{RawTensor, Tensor};

/// A checkpoint and a dotted prefix. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub(crate) fn root(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint, prefix: String::new() }
    }

    /// The checkpoint that this looks into.
    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }

    /// The scope of a child: `"model.22"` pushed `"cv2"` is `"model.22.cv2"`. Indices are names too.
    #[must_use]
    pub fn push(&self, name: impl Display) -> Self {
        Self { checkpoint: self.checkpoint, prefix: self.full_name(name) }
    }

    /// The dotted prefix; empty at the root.
    pub fn name(&self) -> &str {
        &self.prefix
    }

    /// Whether there is a tensor of this name here; always so in generated weights. Does not count as use.
    pub fn contains(&self, name: &str) -> bool {
        self.checkpoint.is_synthetic() || self.checkpoint.info(&self.full_name(name)).is_some()
    }

    /// The distinct next segments of the names below this scope: numbers in numeric order, then the others sorted. None
    /// in generated weights.
    pub fn children(&self) -> Vec<String> {
        let prefix = self.full_name("");
        let segments = self.checkpoint.names_under(&prefix).filter_map(|name| name[prefix.len()..].split('.').next());
        let (mut numbers, mut others) = (BTreeSet::new(), BTreeSet::new());
        for segment in segments {
            match segment.parse::<u64>() {
                // "+7" and "007" are numbers to `parse`, but no indices.
                Ok(number) if number.to_string() == segment => {
                    numbers.insert(number);
                }
                _ => {
                    others.insert(segment);
                }
            }
        }
        numbers.into_iter().map(|number| number.to_string()).chain(others.into_iter().map(str::to_owned)).collect()
    }

    /// The stored shape of a tensor. Does not count as use.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if there is none, and for generated weights, which take the shape of the request.
    pub fn shape(&self, name: &str) -> Result<&'a [usize]> {
        self.checkpoint.stored_shape(&self.full_name(name))
    }

    /// A tensor as f32, of exactly this shape; f16 and bf16 are widened, f64 is rounded. Marks it as used.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing), [`ErrorKind::Shape`](crate::ErrorKind::Shape), or
    /// [`ErrorKind::DType`](crate::ErrorKind::DType) if it holds integers or booleans.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Tensor<'a>> {
        self.f32_init(name, shape, Init::Auto)
    }

    /// As [`f32`](Self::f32), but generated weights follow this distribution.
    ///
    /// # Errors
    /// As for [`f32`](Self::f32).
    pub fn f32_init(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor<'a>> {
        self.checkpoint.read_f32(&self.full_name(name), shape, init)
    }

    /// A tensor as it is stored, of exactly this shape, and where its bytes lie. Marks it as used.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing) or [`ErrorKind::Shape`](crate::ErrorKind::Shape).
    pub fn raw(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'a>> {
        self.checkpoint.read_raw(&self.full_name(name), shape)
    }

    fn full_name(&self, name: impl Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}
