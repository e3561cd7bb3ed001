//! Tensors as they are handed out: element type, shape, values, and where in the file they lie.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use half::{bf16, f16};

use crate::error::{Error, ErrorKind, Result};

/// The element type of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 double precision.
    F64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16: the upper half of an `F32`.
    BF16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// One byte per element, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}

/// Element type and shape of a stored tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The element type in the file.
    pub dtype: DType,
    /// Sizes of the dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Number of elements. Never overflows for a tensor of an opened checkpoint.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Where the bytes of a tensor lie, so that another file (an ONNX model with external data) can refer to them in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpan {
    /// The checkpoint file.
    pub path: PathBuf,
    /// First byte, from the start of the file. Not promised to be a multiple of the element size.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// A tensor as f32, in row-major order.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Sizes of the dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values: borrowed from the file where it holds aligned little-endian f32, else converted.
    pub data: Cow<'a, [f32]>,
    /// Set only where the bytes in the file are exactly these values, in this order, as little-endian f32.
    pub span: Option<FileSpan>,
}

/// A tensor in its stored element type, in row-major order, little-endian.
#[derive(Debug, Clone)]
pub struct RawTensor<'a> {
    /// The element type in the file; `F32` for generated weights.
    pub dtype: DType,
    /// Sizes of the dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements: borrowed from the file unless they had to be gathered from a strided view.
    pub bytes: Cow<'a, [u8]>,
    /// Where these bytes lie in the file; absent where they were gathered or generated.
    pub span: Option<FileSpan>,
}

impl<'a> RawTensor<'a> {
    /// The same tensor as f32. `name` is for the error: integers and booleans are no weights.
    pub(crate) fn into_f32(self, name: &str) -> Result<Tensor<'a>> {
        let data = match self.dtype {
            DType::F32 => f32_values(self.bytes),
            DType::F64 => Cow::Owned(convert(&self.bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
            DType::F16 => Cow::Owned(convert(&self.bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
            DType::BF16 => Cow::Owned(convert(&self.bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
            DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
                return Err(Error::new(ErrorKind::DType, name).expecting("a floating point tensor").finding(self.dtype));
            }
        };
        let span = if self.dtype == DType::F32 { self.span } else { None };
        Ok(Tensor { shape: self.shape, data, span })
    }
}

/// Borrows where the bytes are aligned and the machine is little-endian, else converts.
fn f32_values(bytes: Cow<'_, [u8]>) -> Cow<'_, [f32]> {
    if cfg!(target_endian = "little")
        && let Cow::Borrowed(borrowed) = bytes
        && let Ok(values) = bytemuck::try_cast_slice(borrowed)
    {
        return Cow::Borrowed(values);
    }
    Cow::Owned(convert(&bytes, f32::from_le_bytes))
}

fn convert<const SIZE: usize>(bytes: &[u8], element: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<SIZE>().0.iter().map(|chunk| element(*chunk)).collect()
}

impl RawTensor<'static> {
    pub(crate) fn from_f32(tensor: Tensor<'_>) -> Self {
        let mut bytes = Vec::with_capacity(tensor.data.len() * size_of::<f32>());
        tensor.data.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        Self { dtype: DType::F32, shape: tensor.shape, bytes: Cow::Owned(bytes), span: None }
    }
}
