//! Tensors in ONNX Runtime's own memory.

use std::sync::Arc;

use ort::value::DynValue;

use crate::error::{Error, ErrorKind, Result};
use crate::kept::Kept;
use crate::library::check_loaded;
use crate::tensor::{Element, ElementType, Tensor, TensorData, for_each_element};

/// A tensor that many runs take as input, in ONNX Runtime's own memory or where a run has left it, in that of a device
/// ([`Job::staying`](crate::Job::staying)). Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedTensor {
    pub(crate) kept: Arc<Kept>,
    pub(crate) element_type: ElementType,
    pub(crate) shape: Vec<usize>,
}

impl SharedTensor {
    /// Takes over a tensor without copying it.
    ///
    /// # Errors
    /// `InvalidInput` if ONNX Runtime refuses it, `LibraryNotFound` before it is [loaded](crate::load).
    pub fn new(tensor: Tensor) -> Result<Self> {
        check_loaded()?;
        let (element_type, shape) = (tensor.element_type(), tensor.shape().to_vec());
        let refused = |error: ort::Error| Error::new(ErrorKind::InvalidInput, error.to_string()).at("a shared tensor").with_source(error);
        Ok(Self { kept: Arc::new(Kept::here(ort_value(tensor).map_err(refused)?)), element_type, shape })
    }

    /// Size of every dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element_type.size()
    }

    /// The elements; fetched from the device where that alone has them.
    ///
    /// # Errors
    /// `InvalidOutput` if they are of another type; `Lost` if their device is.
    pub fn view<T: Element>(&self) -> Result<View<'_, T>> {
        extract(self.kept.fetched()?, "a shared tensor")
    }

    /// Whether both are the same tensor, not only equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kept, &other.kept)
    }

    /// Whether it takes memory of a device.
    pub fn is_on_device(&self) -> bool {
        self.kept.device().is_some()
    }

    /// Whether it was on a device alone, and is gone with that.
    pub fn is_lost(&self) -> bool {
        self.kept.is_lost()
    }
}

/// The elements of a tensor, not copied.
#[derive(Debug, Clone)]
pub struct View<'a, T> {
    /// Shape.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: &'a [T],
}

pub(crate) fn extract<'a, T: Element>(value: &'a DynValue, what: &str) -> Result<View<'a, T>> {
    let (shape, data) = value.try_extract_tensor::<T>().map_err(|error| {
        let error = Error::new(ErrorKind::InvalidOutput, what).with_source(error);
        error.expecting(format!("a tensor of {}", T::TYPE)).finding(value.dtype())
    })?;
    Ok(View { shape: shape.iter().map(|size| *size as usize).collect(), data })
}

/// Hands the elements to ONNX Runtime without copying them.
pub(crate) fn ort_value(tensor: Tensor) -> ort::Result<DynValue> {
    let (shape, data) = tensor.into_parts();
    macro_rules! convert {
        ($(($variant:ident, $type:ty, $name:literal, $ort:ident))*) => {
            match data { $(TensorData::$variant(data) => ort::value::Tensor::from_array((shape, data)).map(|t| t.into_dyn()),)* }
        };
    }
    for_each_element!(convert)
}
