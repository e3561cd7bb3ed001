//! Constant tensors: weights, and what folding makes of them.

use std::borrow::Cow;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{DType, Shape};

/// Where the bytes of a tensor already lie in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileSpan {
    /// The file.
    pub path: PathBuf,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// The bytes of a constant: copies share them, so that a weight is in memory once however often it is moved about.
#[derive(Debug, Clone)]
pub(crate) enum Bytes<'w> {
    /// Of a mapped checkpoint.
    Borrowed(&'w [u8]),
    /// Made here.
    Shared(Arc<Vec<u8>>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Bytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(Arc::new(bytes))
    }
}

impl<'w> From<Cow<'w, [u8]>> for Bytes<'w> {
    fn from(bytes: Cow<'w, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => Self::Borrowed(bytes),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

/// A constant tensor: little-endian, row-major.
#[derive(Debug, Clone)]
pub struct Constant<'w> {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Bytes<'w>,
    pub(crate) span: Option<FileSpan>,
}

impl<'w> Constant<'w> {
    /// A tensor from raw little-endian bytes. `None` if their number does not fit the shape.
    pub fn new(dtype: DType, shape: &[usize], bytes: impl Into<Cow<'w, [u8]>>) -> Option<Self> {
        let bytes = Bytes::from(bytes.into());
        let expected = shape.iter().try_fold(dtype.size(), |bytes, size| bytes.checked_mul(*size));
        (expected == Some(bytes.len())).then(|| Self { dtype, shape: shape.to_vec(), bytes, span: None })
    }

    /// An f32 tensor. `None` if the number of values does not fit the shape.
    pub fn f32(shape: &[usize], values: impl Into<Cow<'w, [f32]>>) -> Option<Self> {
        let bytes = match values.into() {
            Cow::Borrowed(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Cow::Owned(values) => Cow::Owned(bytemuck::cast_slice(&values).to_vec()),
        };
        Self::new(DType::F32, shape, bytes)
    }

    /// A one-dimensional i64 tensor.
    pub fn i64s(values: &[i64]) -> Self {
        let bytes = bytemuck::cast_slice(values).to_vec();
        Self { dtype: DType::I64, shape: vec![values.len()], bytes: bytes.into(), span: None }
    }

    /// Says that these very bytes lie at `span` of a file, so that the written model can refer to them in place.
    #[must_use]
    pub fn located(mut self, span: Option<FileSpan>) -> Self {
        self.span = span.filter(|s| s.length == self.bytes.len() as u64);
        self
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same numbers in another float type, rounded; `None` for what is no float.
    pub(crate) fn converted(&self, dtype: DType) -> Option<Self> {
        Self::from_floats(dtype, &self.shape, &self.floats()?)
    }

    pub(crate) fn symbolic_shape(&self) -> Shape {
        Shape::fixed(&self.shape)
    }

    /// The elements as f64, whatever float type they are stored in; `None` for integers and booleans.
    pub(crate) fn floats(&self) -> Option<Vec<f64>> {
        let bytes = &self.bytes;
        Some(match self.dtype {
            DType::F32 => bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
            DType::F16 => bytes.chunks_exact(2).map(|b| f64::from(half::f16::from_le_bytes([b[0], b[1]]))).collect(),
            DType::BF16 => bytes.chunks_exact(2).map(|b| f64::from(half::bf16::from_le_bytes([b[0], b[1]]))).collect(),
            _ => return None,
        })
    }

    /// The elements as i64; `None` for floats.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        let bytes = &self.bytes;
        Some(match self.dtype {
            DType::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default())).collect(),
            DType::I32 => bytes.chunks_exact(4).map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
            DType::U8 | DType::Bool => bytes.iter().map(|b| i64::from(*b)).collect(),
            _ => return None,
        })
    }

    pub(crate) fn from_floats(dtype: DType, shape: &[usize], values: &[f64]) -> Option<Self> {
        let bytes: Vec<u8> = match dtype {
            DType::F32 => values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
            DType::F16 => values.iter().flat_map(|v| half::f16::from_f64(*v).to_le_bytes()).collect(),
            DType::BF16 => values.iter().flat_map(|v| half::bf16::from_f64(*v).to_le_bytes()).collect(),
            _ => return None,
        };
        Self::new(dtype, shape, bytes)
    }

    pub(crate) fn from_integers(dtype: DType, shape: &[usize], values: &[i64]) -> Option<Self> {
        let bytes: Vec<u8> = match dtype {
            DType::I64 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            DType::I32 => values.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect(),
            DType::U8 => values.iter().map(|v| *v as u8).collect(),
            DType::Bool => values.iter().map(|v| u8::from(*v != 0)).collect(),
            _ => return None,
        };
        Self::new(dtype, shape, bytes)
    }
}
