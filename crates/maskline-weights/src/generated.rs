//! Generated weights as a file: what was asked for, in the names and shapes in which it was asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ::safetensors::tensor::{Dtype, View};

use crate::error::{Error, ErrorKind, Result};
use crate::synthetic::{self, Init};

/// Seed, and the tensors that were asked for so far.
#[derive(Debug)]
pub(crate) struct Generator {
    seed: u64,
    asked: Mutex<BTreeMap<String, Request>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Request {
    shape: Vec<usize>,
    init: Init,
    /// Whether a later request wanted something else under the same name.
    is_contradicted: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, asked: Mutex::default() }
    }

    /// The values of a tensor, whose count does not overflow.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.get_mut(name) {
            Some(known) => known.is_contradicted |= known.shape != shape || known.init != init,
            None => {
                asked.insert(name.to_owned(), Request { shape: shape.to_vec(), init, is_contradicted: false });
            }
        }
        drop(asked);
        synthetic::generate(self.seed, name, shape, init)
    }

    /// Writes all tensors that were asked for to a safetensors file, which appears whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((name, _)) = asked.iter().find(|(_, request)| request.is_contradicted) {
            let message = format!("{name}: was asked for in two shapes or distributions, of which a file can hold one");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let tensors = asked.iter().map(|(name, request)| (name.as_str(), Generated { seed: self.seed, name, request }));
        ::safetensors::serialize_to_file(tensors, None, path)
            .map_err(|error| Error::new(ErrorKind::Io, format!("the generated weights cannot be written: {error}")).in_file(path))
    }
}

/// A tensor whose values are generated when they are written.
struct Generated<'a> {
    seed: u64,
    name: &'a str,
    request: &'a Request,
}

impl View for Generated<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.request.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = synthetic::generate(self.seed, self.name, &self.request.shape, self.request.init);
        values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.request.shape.iter().product::<usize>()
    }
}
